//! A pipeline against a scripted API: run, and judged by its report, whose numbers must add up.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::api::Api;
use super::duck;
use super::workspace::{Outcome, Workspace};

/// The instant that runs plan with.
pub(crate) const NOW: &str = "2026-01-03T12:00:00Z";

/// A folder with a pipeline file that asks an API.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The folder.
    pub(crate) workspace: Workspace,
    /// The API.
    pub(crate) api: Api,
}

/// A run that has ended, and its report.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The report; null where there is none.
    pub(crate) report: Value,
}

impl Bench {
    /// Makes a folder for an API.
    pub(crate) fn new(api: Api) -> Self {
        Self { workspace: Workspace::new(), api }
    }

    /// Writes a pipeline of one job, `rows`, that lands JSON Lines in `lake`, unless `job` has sinks of its own.
    pub(crate) fn job(&self, job: &str) -> &Self {
        let sinks = if job.contains("sinks:") { "" } else { "\n    sinks: {lake: {jsonl: {url: ./lake}}}" };
        let get = if job.contains("post:") { "" } else { "\n    get: /rows" };
        self.jobs(&format!("  rows:{get}\n    {}{sinks}\n", job.trim().replace('\n', "\n    ")))
    }

    /// Writes a pipeline with these jobs.
    pub(crate) fn jobs(&self, jobs: &str) -> &Self {
        self.file(&format!(
            "source: {{base_url: {}, retry: {{attempts: 2, max_delay: 1ms}}}}\njobs:\n{jobs}",
            self.api.url()
        ))
    }

    /// Writes a pipeline file, all but its version and its name.
    pub(crate) fn file(&self, text: &str) -> &Self {
        self.workspace.write("pipeline.yaml", &format!("version: 1\nname: test\n{text}"));
        self
    }

    /// Runs it at [`NOW`].
    pub(crate) fn run(&self) -> Ran {
        self.run_at(NOW, &[])
    }

    /// Runs it at an instant, with further arguments.
    pub(crate) fn run_at(&self, now: &str, arguments: &[&str]) -> Ran {
        self.run_with(now, arguments, &[])
    }

    /// Runs it at an instant, with further arguments, and variables of its environment.
    pub(crate) fn run_with(&self, now: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let arguments =
            [&["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", now], arguments].concat();
        let run = self.workspace.tidegate(&arguments);
        Ran::of(environment.iter().fold(run, |run, (name, value)| run.env(name, value)).run())
    }

    /// Runs it, and returns its exit code and the only failure of its report, redacted. Nothing of it may have landed, and the log says no
    /// more than that.
    pub(crate) fn failure(&self) -> String {
        let ran = self.run();
        assert_eq!(self.landed(), Vec::<String>::new(), "{ran:?}");
        let mut errors = ran.errors();
        let error = errors.pop().unwrap_or_else(|| panic!("no error: {ran:?}"));
        assert!(errors.is_empty(), "{ran:?}");
        assert!(ran.outcome.stderr.lines().all(|line| line.contains(": slice failed ")), "{ran:?}");
        self.workspace.redact(&format!("{}: {error}", ran.code()))
    }

    /// Runs a query over what landed, in the folder.
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        duck::rows(&sql.replace("{dir}", self.workspace.path("").to_str().unwrap().trim_end_matches('/')))
    }

    /// Returns the rows of the JSON Lines files that stand in the lake, by file.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.json_lines("lake")
    }

    /// Returns the rows in quarantine.
    pub(crate) fn quarantine(&self) -> Vec<Value> {
        self.json_lines("state/test/quarantine")
    }

    /// Returns the rows of the JSON Lines files below a folder.
    pub(crate) fn json_lines(&self, below: &str) -> Vec<Value> {
        let files = files(&self.workspace.path(below)).into_iter().filter(|path| path.ends_with(".jsonl"));
        let texts = files.map(|path| fs::read_to_string(path).unwrap());
        texts
            .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
            .collect()
    }

    /// Returns the files of data that stand in the lake and in quarantine, hidden and staged ones too, relative to the folder.
    pub(crate) fn landed(&self) -> Vec<String> {
        let folder = self.workspace.path("");
        let found = ["lake", "state/test/quarantine"].map(|below| files(&self.workspace.path(below))).concat();
        let relative = |path: &String| Path::new(path).strip_prefix(&folder).unwrap().display().to_string();
        found.iter().map(relative).filter(|path| !path.contains("_tidegate/")).collect()
    }
}

impl Ran {
    /// Reads the report of a run that printed it as JSON, and checks its accounts.
    pub(crate) fn of(outcome: Outcome) -> Self {
        let reports: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        let ran = Self { report: reports[0].clone(), outcome };
        ran.check_accounts();
        ran
    }

    /// Returns the exit code.
    pub(crate) fn code(&self) -> i32 {
        self.outcome.code.unwrap()
    }

    /// Returns the slices of all jobs.
    pub(crate) fn slices(&self) -> Vec<&Value> {
        self.jobs().iter().flat_map(|job| job["slices"].as_array().unwrap()).collect()
    }

    /// Asserts that all went well, and returns where the rows of all slices went, in words.
    pub(crate) fn fine(&self) -> String {
        assert_eq!(self.code(), 0, "{self:?}");
        assert_eq!(self.errors(), Vec::<String>::new(), "{self:?}");
        self.rows()
    }

    /// Returns where the rows of each slice went, in words.
    pub(crate) fn rows(&self) -> String {
        let slice = |slice: &&Value| {
            let rows = &slice["rows"];
            let count = |name: &str| rows[name].as_u64().unwrap();
            let parts = ["quarantined", "outside_window", "deduplicated", "read_again", "refused"]
                .map(|name| (name, count(name)));
            let others: String =
                parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!(", {count} {name}")).collect();
            let verdict = slice["reconciliation"]["verdict"].as_str().unwrap_or("-");
            let outcome = slice["outcome"].as_str().unwrap();
            format!(
                "{} {outcome}: {} of {}{others}; {verdict}",
                slice["slice"].as_str().unwrap(),
                count("transformed"),
                count("received")
            )
        };
        self.slices().iter().map(slice).collect::<Vec<_>>().join("\n")
    }

    /// Returns the errors of jobs and slices.
    pub(crate) fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for job in self.jobs() {
            errors.extend(job["error"].as_str().map(str::to_owned));
            for slice in job["slices"].as_array().unwrap() {
                errors.extend(
                    slice["error"].as_str().map(|error| format!("{}: {error}", slice["slice"].as_str().unwrap())),
                );
            }
        }
        errors
    }

    fn jobs(&self) -> &[Value] {
        self.report["jobs"].as_array().unwrap_or_else(|| panic!("no report: {self:?}"))
    }

    fn check_accounts(&self) {
        for slice in
            self.report["jobs"].as_array().into_iter().flatten().flat_map(|job| job["slices"].as_array().unwrap())
        {
            let rows = |name: &str| slice["rows"][name].as_u64().unwrap();
            let ends = ["decoded", "quarantined", "outside_window", "deduplicated", "read_again", "refused"].map(rows);
            assert_eq!(rows("received"), ends.iter().sum::<u64>(), "{slice}");
            for (_, sink) in slice["sinks"].as_object().unwrap() {
                let sum = sink["landed"].as_u64().unwrap() + sink["filtered"].as_u64().unwrap();
                assert_eq!(rows("transformed"), sum, "{slice}");
            }
        }
    }
}

/// Returns all files below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.display().to_string()) }
        }
    }
    found.sort();
    found
}
