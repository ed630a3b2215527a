//! The end of a run is seen at once: whatever the daemon is busy with, and before any ledger is read.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::{Site, home, routes};
use crate::clock::{Clock as _, SystemClock};
use crate::model::{Exit, PipelineName, RunEnd};
use crate::run::Options;
use crate::schedule::tests::{env, of_name, until};
use crate::schedule::{Command, Config, Daemon, Event, Loader, Runner};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gate that a thread waits at until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// Opens gates in the end, also of a test that fails: nothing ends while a thread waits.
struct Opens([Gate; 2]);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.iter().for_each(Gate::open);
    }
}

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

fn refused(options: &Options, name: &PipelineName) -> RunEnd {
    RunEnd {
        pipeline: name.clone(),
        run: options.run.clone(),
        asked: crate::model::Asked::new("run"),
        scheduled_for: None,
        started: options.now,
        ended: SystemClock.now(),
        exit_code: Exit::NothingLanded,
        error: Some("the server refuses it".to_owned()),
        remedy: None,
        report: None,
    }
}

async fn metrics(app: &Arc<routes::App>) -> String {
    let answer = routes::scrape(State(Arc::clone(app)), HeaderMap::new()).await;
    String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_seen_while_the_daemon_is_held_up_and_before_any_ledger_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(format!("{name}.yaml"));
    for name in ["fails", "other"] {
        std::fs::write(file(name), "").unwrap();
    }
    let config = Config {
        folder: folder.path().to_owned(),
        state: folder.path().join("state").display().to_string(),
        lease_ttl: Duration::from_secs(60),
        grace: Duration::ZERO,
        max_concurrent_runs: 2,
    };
    let (run, held_up, goes_on) = (Gate::default(), Gate::default(), Gate::default());
    let _opens = Opens([run.clone(), goes_on.clone()]);
    let gate = run.clone();
    let runner: Runner = Arc::new(move |pipeline, options, _| {
        gate.pass();
        refused(options, &pipeline.name)
    });
    // A file that takes for ever to be read.
    let (in_it, out_of_it) = (held_up.clone(), goes_on.clone());
    let loader: Loader = Arc::new(move |path: &Path| {
        if path.ends_with("slow.yaml") {
            in_it.open();
            out_of_it.pass();
        }
        Ok(of_name(path))
    });
    let (daemon, mut handle, mut events) = Daemon::new(config.clone(), env(), loader, runner);
    let site = Site {
        handle: handle.clone(),
        env: env(),
        state: config.state,
        lease_ttl: config.lease_ttl,
        metrics: Metrics::default(),
        token: None,
        hosts: Vec::new(),
    };
    let app = Arc::new(routes::App::new(site).unwrap());
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 2).await;
    handle.ask(Command::RunNow(PipelineName::new("fails"))).await.unwrap();
    until(&mut handle, |view| view.pipelines.iter().any(|one| one.running.is_some())).await;
    let before = home::page(&app).await.unwrap().0;
    assert!(before.contains("1 running") && !before.contains("the server refuses it"), "{before}");
    assert!(!metrics(&app).await.contains("tidegate_last_run_failed{pipeline=\"fails\"}"));

    // No ledger is read any more, and the daemon is held up.
    let _closed = app.ledgers.closed().await;
    std::fs::write(file("slow"), "").unwrap();
    let waits = held_up.clone();
    tokio::task::spawn_blocking(move || waits.pass()).await.unwrap();
    run.open();
    let end = async { while !matches!(events.recv().await.unwrap(), Event::Ended(_)) {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the end is told, whatever holds the daemon up");
    let after = home::page(&app).await.unwrap().0;
    assert!(after.contains("1 failed") && !after.contains("1 running"), "{after}");
    assert!(after.contains("the server refuses it") && after.contains("tidegate run"), "{after}");
    assert!(metrics(&app).await.contains("tidegate_last_run_failed{pipeline=\"fails\"} 1\n"));
    assert!(!goes_on.is_open(), "the daemon is still held up");

    goes_on.open();
    stop.cancel();
    assert!(served.await.unwrap().unwrap());
    let view = handle.view();
    let ended = &view.pipeline(&PipelineName::new("fails")).unwrap().ended;
    assert_eq!(ended.len(), 1, "the end counts once, also once the daemon has taken it");
}
