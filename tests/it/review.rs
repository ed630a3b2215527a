//! What the ledger and the lake must survive: two states over one folder, a publish that stops half-way, edits before and after the
//! first landing, paths that lead elsewhere.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::support::workspace::{Outcome, Workspace};

/// An API that answers every request with the same text, until it is given another one.
struct Api {
    url: String,
    body: Arc<Mutex<String>>,
}

impl Api {
    fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = Arc::new(Mutex::new(body.to_owned()));
        let answer = Arc::clone(&body);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                head.map_while(Result::ok).find(std::string::String::is_empty);
                let body = answer.lock().unwrap().clone();
                let length = body.len();
                // A client that has left doesn't matter.
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            }
        });
        Self { url, body }
    }

    fn answer(&self, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap());
    }
}

struct Bench {
    workspace: Workspace,
    api: Api,
}

const NOW: &str = "2026-01-03T12:00:00Z";
const ROWS: &str = r#"[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]"#;
const WINDOW: &str =
    "window: {every: 1d, start: 2026-01-01T00:00:00Z, lookback: 1d, as: rfc3339, from: query.from, to: query.to}
    query: {from: a, to: b}
    sinks: {lake: {jsonl: {url: ./lake}}}";

impl Bench {
    fn new(job: &str) -> Self {
        let bench = Self { workspace: Workspace::new(), api: Api::start(ROWS) };
        bench.job(job);
        bench
    }

    fn job(&self, job: &str) {
        let head = format!("version: 1\nname: test\nsource: {{base_url: '{}', retry: {{attempts: 1}}}}", self.api.url);
        let text = format!(
            "{head}\njobs:\n  rows:\n    get: /rows\n    records: '.[]'\n    paginate: none\n    key: [id]\n    {job}\n"
        );
        self.workspace.write("pipeline.yaml", &text);
    }

    fn run(&self, state: &str) -> Outcome {
        self.workspace.tidegate(&["run", "pipeline.yaml", "--state", state, "--now", NOW, "--output", "json"]).run()
    }

    fn fine(&self) -> Value {
        let ran = self.run("state");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap()[0].clone()
    }

    fn fails(&self) -> String {
        let ran = self.run("state");
        assert_ne!(ran.code, Some(0), "{ran:?}");
        ran.stdout + &ran.stderr
    }

    fn files(&self, below: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect(&self.workspace.path(below), &mut found);
        found.sort();
        found.retain(|(name, _)| !name.contains("_tidegate/"));
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn a_second_state_over_one_lake_is_refused() {
    let bench = Bench::new(WINDOW);
    bench.fine();
    let staged = "lake/.tidegate-staged/test/rows/20260103T000000Z-g1/lake-x/file.jsonl.staged";
    bench.workspace.write(staged, "what a run of the first state is about to publish");
    let before = bench.files("lake");
    for _ in 0..8 {
        let ran = bench.run("other");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("the ledger in `other` knows nothing of"), "{ran:?}");
    }
    assert_eq!(bench.files("lake"), before);
    assert!(!bench.workspace.path("other").exists(), "a refused run writes nothing");
    bench.job(&WINDOW.replace("./lake", "./another"));
    let ran = bench.run("other");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn an_old_copy_of_the_state_is_refused() {
    let bench = Bench::new(WINDOW);
    bench.fine();
    let (state, copy) = (bench.workspace.path("state"), bench.workspace.path("copy"));
    assert!(std::process::Command::new("cp").arg("-r").arg(state).arg(copy).status().unwrap().success());
    bench.api.answer(&ROWS.replace("\"b\"", "\"c\""));
    bench.fine();
    let ran = bench.run("copy");
    assert!(ran.stderr.contains("the ledger in `copy` knows nothing of"), "{ran:?}");
    bench.fine();
}

#[test]
fn a_publish_that_stops_half_way_is_finished_by_the_next_run() {
    let bench = Bench::new(
        "snapshot: latest
    sinks: {a: {jsonl: {url: ./a}}, b: {jsonl: {url: ./b, partition_by: [name]}}, c: {jsonl: {url: ./c}}}",
    );
    // A file stands where the second sink needs a folder.
    bench.workspace.write("b/snapshot=latest", "");
    let said = bench.fails();
    assert!(!said.contains("can't be noted"), "{said}");
    let published = |sink: &str| bench.files(sink).iter().filter(|(name, _)| name.ends_with(".jsonl")).count();
    assert_eq!((published("a"), published("b"), published("c")), (1, 0, 1), "what can appear does");
    fs::remove_file(bench.workspace.path("b/snapshot=latest")).unwrap();
    let report = bench.fine();
    assert!(report["recovered"].to_string().contains("was published and not committed: 4 files"), "{report:#}");
    assert_eq!((published("a"), published("b"), published("c")), (1, 2, 1));
    assert_eq!(bench.files("a").len() + bench.files("b").len() + bench.files("c").len(), 4, "nothing is left staged");
}

#[test]
fn an_edit_is_refused_only_once_something_has_landed() {
    let bench = Bench::new(&format!("transform: SELECT nonsense FROM records\n    {WINDOW}"));
    bench.fails();
    bench.job(&format!("transform: SELECT id FROM records\n    {WINDOW}"));
    bench.fine();
    for edit in [
        WINDOW.replace("}}}", "}, where: id > 1}}"),
        WINDOW.replace("jsonl: {", "jsonl: {compression: gzip, "),
        WINDOW.replace("jsonl", "csv"),
        WINDOW.replace("every: 1d", "every: 2d"),
    ] {
        bench.job(&format!("transform: SELECT id FROM records\n    {edit}"));
        let said = bench.fails();
        assert!(said.contains("was changed after data landed"), "{edit}: {said}");
    }
}

#[test]
fn a_list_that_cannot_be_written_fails_the_job_and_keeps_the_report() {
    let bench = Bench::new(WINDOW);
    bench.workspace.write("lake/_tidegate/files.lock/in_the_way", "");
    let ran = bench.run("state");
    assert_eq!(ran.code, Some(3), "two slices landed, and the job didn't end well: {ran:?}");
    let report = serde_json::from_str::<Value>(&ran.stdout).unwrap()[0]["jobs"][0].clone();
    assert_eq!(report["slices"].as_array().unwrap().len(), 2, "{report:#}");
    assert!(report["error"].as_str().unwrap().contains("files.lock"), "{report:#}");
    fs::remove_dir_all(bench.workspace.path("lake/_tidegate")).unwrap();
    bench.fine();
    assert!(bench.workspace.path("lake/_tidegate/files.json").is_file());
}

#[test]
fn state_and_lake_may_lie_beside_the_working_folder() {
    let bench = Bench::new(&WINDOW.replace("./lake", "../lake"));
    let folder = bench.workspace.path("work");
    fs::create_dir(&folder).unwrap();
    fs::rename(bench.workspace.path("pipeline.yaml"), folder.join("pipeline.yaml")).unwrap();
    let run = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let arguments = ["run", "pipeline.yaml", "--state", "../state", "--now", NOW];
        command.args(arguments).current_dir(&folder).output().unwrap()
    };
    for _ in 0..2 {
        let ran = run();
        assert!(ran.status.success(), "{ran:?}");
    }
    assert_eq!(bench.files("lake").len(), 2);
}

#[test]
fn the_state_may_be_moved() {
    let bench = Bench::new(WINDOW);
    bench.api.answer(r#"[{"id": 1, "name": "a"}, {"id": null, "name": "bad"}]"#);
    let (old, new) = (bench.workspace.path("old"), bench.workspace.path("state"));
    let ran = bench.run("old/state");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fs::rename(old.join("state"), new).unwrap();
    fs::remove_dir_all(&old).unwrap();
    // Nothing can be made where it was.
    fs::write(&old, "").unwrap();
    bench.fine();
}
