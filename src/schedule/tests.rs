//! The daemon with runs that do as they are told: what panics, what waits, what is drained.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::timetable::tests::pipeline;
use super::*;
use crate::clock::SystemClock;
use crate::model::{Exit, PipelineName, RunEnd};
use crate::pipeline::spec::{Hook, Pipeline};
use crate::run::{Bounds, Env, Options, Silent};

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        progress: Arc::new(Silent),
        sources: Arc::default(),
        stores: Arc::default(),
        cancel: CancellationToken::new(),
        terminated: crate::run::Terminated::default(),
        bounds: Bounds::default(),
    }
}

/// A pipeline of the file's name, on no schedule that comes soon.
fn loader() -> Loader {
    Arc::new(|path: &Path| Ok(pipeline(path.file_stem().unwrap().to_str().unwrap(), "cron: '0 0 29 2 *'")))
}

fn ended(options: &Options, name: &PipelineName, exit_code: Exit) -> RunEnd {
    let now = options.now;
    RunEnd {
        pipeline: name.clone(),
        run: options.run.clone(),
        scheduled_for: options.scheduled_for,
        started: now,
        ended: now,
        exit_code,
        error: None,
        report: None,
    }
}

/// A daemon over some files, and the folder that it lives in.
fn daemon(names: &[&str], most: usize, runner: Runner) -> (Daemon, Handle, tempfile::TempDir) {
    daemon_with(names, most, runner, loader(), Duration::from_secs(60))
}

fn daemon_with(
    names: &[&str],
    most: usize,
    runner: Runner,
    loader: Loader,
    grace: Duration,
) -> (Daemon, Handle, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::write(folder.path().join(format!("{name}.yaml")), "").unwrap();
    }
    let config = Config {
        folder: folder.path().to_owned(),
        state: folder.path().join("state").display().to_string(),
        lease_ttl: Duration::from_secs(60),
        grace,
        max_concurrent_runs: most,
    };
    let (daemon, handle, _) = Daemon::new(config, env(), loader, runner);
    (daemon, handle, folder)
}

async fn until(handle: &mut Handle, holds: impl Fn(&View) -> bool) {
    while !holds(&handle.view()) {
        assert!(handle.changed().await);
    }
}

fn ends(view: &View, name: &str) -> Vec<Exit> {
    view.pipeline(&PipelineName::new(name))
        .map(|view| view.ended.iter().map(|end| end.exit_code).collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_panics_harms_no_other_and_is_reported() {
    let runner: Runner = Arc::new(|pipeline, options, _| {
        assert!(pipeline.name.as_str() != "bad", "no luck");
        ended(options, &pipeline.name, Exit::Done)
    });
    let (daemon, mut handle, _folder) = daemon(&["bad", "good"], 2, runner);
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 2).await;
    let run = |name: &str| Command::RunNow(PipelineName::new(name));
    handle.ask(run("bad")).await.unwrap();
    handle.ask(run("good")).await.unwrap();
    until(&mut handle, |view| ends(view, "bad") == [Exit::Bug] && ends(view, "good") == [Exit::Done]).await;
    let view = handle.view();
    let why = view.pipeline(&PipelineName::new("bad")).unwrap().ended[0].error.clone().unwrap();
    assert!(why.starts_with("the run panicked: no luck; this is a bug of Tidegate"), "{why}");
    handle.ask(run("bad")).await.unwrap();
    until(&mut handle, |view| ends(view, "bad").len() == 2).await;
    assert!(matches!(handle.ask(run("none")).await, Err(CommandError::Unknown(_))));
    stop.cancel();
    assert!(served.await.unwrap().unwrap(), "nothing was thrown away");
    assert!(matches!(handle.ask(run("good")).await, Err(CommandError::Ending)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_wait_for_their_turn_and_end_gracefully() {
    let (begun, most, open) =
        (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (log, peak, gate) = (Arc::clone(&begun), Arc::clone(&most), Arc::clone(&open));
    let now = Arc::new(AtomicUsize::new(0));
    let runner: Runner = Arc::new(move |pipeline, options, env| {
        log.lock().unwrap().push(pipeline.name.to_string());
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        while !gate.load(Ordering::SeqCst) && !env.bounds.wind_down.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        now.fetch_sub(1, Ordering::SeqCst);
        let exit = if env.bounds.stop().is_some() { Exit::Stopped } else { Exit::Done };
        ended(options, &pipeline.name, exit)
    });
    let (daemon, mut handle, _folder) = daemon(&["a", "b", "c"], 1, runner);
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 3).await;
    for name in ["a", "b", "c"] {
        handle.ask(Command::RunNow(PipelineName::new(name))).await.unwrap();
    }
    let again = handle.ask(Command::RunNow(PipelineName::new("b"))).await;
    assert!(matches!(again, Err(CommandError::Running(_))), "it waits");
    until(&mut handle, |view| view.pipeline(&PipelineName::new("c")).is_some_and(|view| view.waiting)).await;
    open.store(true, Ordering::SeqCst);
    until(&mut handle, |view| ["a", "b", "c"].iter().all(|name| ends(view, name) == [Exit::Done])).await;
    assert_eq!((most.load(Ordering::SeqCst), begun.lock().unwrap().join("")), (1, "abc".to_owned()));
    open.store(false, Ordering::SeqCst);
    handle.ask(Command::RunNow(PipelineName::new("a"))).await.unwrap();
    until(&mut handle, |view| view.pipeline(&PipelineName::new("a")).is_some_and(|view| view.running.is_some())).await;
    stop.cancel();
    assert!(served.await.unwrap().unwrap(), "the run stopped by itself");
    assert_eq!(ends(&handle.view(), "a")[0], Exit::Stopped);
}

/// A server that hears hooks, and answers when it is told to.
struct Slow {
    listener: tokio::net::TcpListener,
}

impl Slow {
    async fn start() -> (Self, Loader) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: url::Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let loader: Loader = Arc::new(move |path: &Path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let hook = Hook { url: url.clone(), headers: indexmap::IndexMap::new(), body: None };
            Ok(Pipeline { on_success: Some(hook), ..pipeline(name, "cron: '0 0 29 2 *'") })
        });
        (Self { listener }, loader)
    }

    /// Takes one hook: the head of the request, in lower case, and what answers it.
    async fn hears(&self) -> (String, tokio::net::TcpStream) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "the request broke off");
        }
        (String::from_utf8_lossy(&text).to_lowercase(), stream)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_is_not_answered_holds_up_no_run() {
    let (slow, loader) = Slow::start().await;
    let runner: Runner = Arc::new(|pipeline, options, _| ended(options, &pipeline.name, Exit::Done));
    let (daemon, mut handle, _folder) = daemon_with(&["a", "b"], 1, runner, loader, Duration::ZERO);
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 2).await;
    let run = |name: &str| Command::RunNow(PipelineName::new(name));
    let mut unanswered = Vec::new();
    for name in ["a", "a", "b"] {
        let before = ends(&handle.view(), name).len();
        handle.ask(run(name)).await.unwrap();
        until(&mut handle, |view| ends(view, name).len() > before).await;
        let id = handle.view().pipeline(&PipelineName::new(name)).unwrap().ended[0].run.to_string().to_lowercase();
        let (request, stream) = slow.hears().await;
        assert!(request.contains(&format!("idempotency-key: {id}-on_success\r\n")), "{id}: {request}");
        unanswered.push(stream);
    }
    stop.cancel();
    assert!(served.await.unwrap().unwrap(), "the hooks are given up, and no run is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_are_sent_before_the_process_ends() {
    let (slow, loader) = Slow::start().await;
    let runner: Runner = Arc::new(|pipeline, options, _| ended(options, &pipeline.name, Exit::Done));
    let (daemon, mut handle, _folder) = daemon_with(&["a"], 1, runner, loader, Duration::from_secs(60));
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 1).await;
    handle.ask(Command::RunNow(PipelineName::new("a"))).await.unwrap();
    let (_, mut stream) = slow.hears().await;
    stop.cancel();
    until(&mut handle, |view| view.draining).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!served.is_finished(), "a hook isn't answered yet");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(served.await.unwrap().unwrap());
}
