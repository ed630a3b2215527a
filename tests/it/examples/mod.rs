//! The example pipelines, each by the binary against a small server that pages as the API's documentation says.
//!
//! The files are run letter for letter but for their rate limits and pauses; where the server is, and the secrets, come from the
//! environment, as for everyone.

mod elasticsearch;
mod github;
mod jira;
mod microsoft_graph;
mod okta;
mod prometheus;
mod salesforce;
mod servicenow;
mod stripe;
mod tickets;
mod trial;
mod zendesk;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Ran;
use crate::support::duck;
use crate::support::recorded::recorded;
use crate::support::workspace::Workspace;

/// An example in a folder of its own, and the server that stands for the API.
struct Example {
    workspace: Workspace,
    api: Api,
    name: &'static str,
    env: Vec<(&'static str, String)>,
}

fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.yaml"))
}

impl Example {
    /// Takes `examples/<name>.yaml`; its variable `url` says where the server is, `env` what else it needs.
    fn new(name: &'static str, url: &'static str, api: Api, env: &[(&'static str, &str)]) -> Self {
        let workspace = Workspace::new();
        let text = std::fs::read_to_string(path_of(name)).unwrap();
        workspace.write("example.yaml", &unhurried(&text));
        let mut env: Vec<_> = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        env.push((url, api.url()));
        Self { workspace, api, name, env }
    }

    fn tidegate(&self, arguments: &[&str]) -> crate::support::workspace::Outcome {
        let run = self.workspace.tidegate(arguments);
        self.env.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
    }

    /// Asserts that the file has no mistake and no warning, and returns what `plan` prints.
    fn plan(&self, now: &str) -> String {
        let path = path_of(self.name);
        let valid = self.tidegate(&["validate", path.to_str().unwrap()]);
        assert_eq!((valid.code, valid.stderr.as_str()), (Some(0), ""), "{valid:?}");
        let plan = self.tidegate(&["plan", "example.yaml", "--now", now]);
        assert_eq!((plan.code, plan.stderr.as_str()), (Some(0), ""), "{plan:?}");
        assert!(self.api.asked().is_empty(), "a plan asks for nothing");
        plan.stdout
    }

    /// Runs it at an instant.
    fn run(&self, now: &str) -> Ran {
        Ran::of(self.tidegate(&["run", "example.yaml", "--output", "json", "--now", now]))
    }

    /// Records it at an instant, and tries it without the server and its secrets.
    fn recorded(&self, now: &str) {
        let is_secret = |name: &str| ["TOKEN", "KEY", "SECRET", "PASSWORD"].iter().any(|word| name.contains(word));
        let env: Vec<_> = self.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let secrets: Vec<_> = env.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| *value).collect();
        recorded(&self.workspace, "example.yaml", now, &env, &secrets);
    }

    /// Runs it, and returns its failures, without what differs from run to run.
    fn failures(&self, now: &str) -> String {
        self.workspace.redact(&self.run(now).errors().join("\n"))
    }

    /// Runs a query over the Parquet files of a data set below `./lake`; `{set}` stands for them.
    fn query(&self, set: &str, sql: &str) -> Vec<Value> {
        let glob = self.workspace.path("lake").join(set).join("**/*.parquet");
        let files = format!(
            "read_parquet('{}', hive_partitioning = true, hive_types_autocast = false, union_by_name = true)",
            glob.display()
        );
        duck::rows(&sql.replace("{set}", &files))
    }

    /// Returns the rows of a query as lines of JSON.
    fn show(&self, set: &str, sql: &str) -> String {
        self.query(set, sql).iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Returns one column of a data set, sorted.
    fn column(&self, set: &str, column: &str) -> Vec<Value> {
        let rows = self.query(set, &format!("SELECT {column} AS it FROM {{set}} ORDER BY 1"));
        rows.into_iter().map(|mut row| row["it"].take()).collect()
    }
}

/// Takes the brakes off: a test waits for no quota.
fn unhurried(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.split_once("rate_limit: ") {
            Some((before, _)) => lines.push(format!("{before}rate_limit: 10000/s")),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// Fails one request, the first that fits, and only once.
struct Once(std::sync::atomic::AtomicBool);

impl Once {
    const fn new() -> Self {
        Self(std::sync::atomic::AtomicBool::new(true))
    }

    /// Tells whether this is the time.
    fn now(&self, fits: bool) -> bool {
        fits && self.0.swap(false, std::sync::atomic::Ordering::SeqCst)
    }
}

/// Tells whether a request carries a header with this value.
fn has(request: &Request, header: &str, value: &str) -> bool {
    request.headers.get(header).is_some_and(|found| found == value)
}

/// Answers with an error.
fn refuse(status: u16, body: &Value) -> Answer {
    Answer::json(body).status(status)
}

/// Returns the URL that a request came to, without its query: servers write links of themselves.
fn own_url(request: &Request) -> String {
    format!("http://{}{}", request.headers["host"], request.path)
}

/// Returns an instant of the documentation's kind, some minutes after another.
fn minutes_after(start: &str, minutes: i64) -> chrono::DateTime<chrono::Utc> {
    start.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + chrono::TimeDelta::minutes(minutes)
}

/// Returns when so many seconds will have passed, in seconds since 1970: how some servers say when to come again.
fn in_seconds(seconds: i64) -> String {
    use tidegate::clock::{Clock as _, SystemClock};
    (SystemClock.now().timestamp() + seconds).to_string()
}
