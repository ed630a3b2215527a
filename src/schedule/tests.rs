//! The daemon with runs that do as they are told: what panics, what waits, what is drained.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::pipelines::Entry;
use super::timetable::tests::pipeline;
use super::*;
use crate::clock::{Clock as _, ManualClock, SystemClock};
use crate::ledger::{self, Ledger, Pause};
use crate::model::{Exit, PipelineName, RunEnd};
use crate::pipeline::file::{CatchUp, Overlap};
use crate::pipeline::spec::{Hook, Pipeline};
use crate::run::{Bounds, Env, Options, Silent};

pub(crate) fn env() -> Env {
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
pub(crate) fn of_name(path: &Path) -> Pipeline {
    pipeline(path.file_stem().unwrap().to_str().unwrap(), "cron: '0 0 29 2 *'")
}

fn loader() -> Loader {
    Arc::new(|path: &Path| Ok(of_name(path)))
}

fn ended(options: &Options, name: &PipelineName, exit_code: Exit) -> RunEnd {
    let now = options.now;
    RunEnd {
        pipeline: name.clone(),
        run: options.run.clone(),
        asked: crate::model::Asked::new("run"),
        scheduled_for: options.scheduled_for,
        started: now,
        ended: now,
        exit_code,
        error: None,
        remedy: None,
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
    let (daemon, handle, folder, _) = daemon_heard(names, most, runner, loader, grace);
    (daemon, handle, folder)
}

type Heard = tokio::sync::mpsc::UnboundedReceiver<Event>;

fn daemon_heard(
    names: &[&str],
    most: usize,
    runner: Runner,
    loader: Loader,
    grace: Duration,
) -> (Daemon, Handle, tempfile::TempDir, Heard) {
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
    let (daemon, handle, heard) = Daemon::new(config, env(), loader, runner);
    (daemon, handle, folder, heard)
}

pub(crate) async fn until(handle: &mut Handle, holds: impl Fn(&View) -> bool) {
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
    let (daemon, mut handle, _folder, mut heard) = daemon_heard(&["a"], 1, runner, loader, Duration::from_secs(60));
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.pipelines.len() == 1).await;
    handle.ask(Command::RunNow(PipelineName::new("a"))).await.unwrap();
    let (_, mut stream) = slow.hears().await;
    stop.cancel();
    until(&mut handle, |view| view.draining).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!served.is_finished(), "a hook isn't answered yet");
    let late = tokio::time::timeout(Duration::from_secs(20), handle.ask(Command::RunNow(PipelineName::new("a")))).await;
    assert!(
        matches!(late, Ok(Err(CommandError::Ending))),
        "nobody waits for the end to hear that it is too late: {late:?}"
    );
    assert!(handle.is_alive());
    let draining = std::iter::from_fn(|| heard.try_recv().ok()).find(|event| matches!(event, Event::Draining { .. }));
    assert!(matches!(draining, Some(Event::Draining { runs: 0, hooks: 1 })), "{draining:?}");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(served.await.unwrap().unwrap());
    assert!(!handle.is_alive());
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_instant_from_before_an_edit_of_the_schedule_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let env = env();
    let state = folder.path().display().to_string();
    let ledger = Ledger::open(&state, PipelineName::new("p"), Arc::clone(&env.clock), &env.stores).unwrap();
    let of = |cron: &str| pipeline("p", &format!("cron: '{cron}', catch_up: none"));
    let mut entry = Entry::new("p.yaml".into(), of("0 5 1 1 *"), ledger);
    let (begun, edited) = (at("2026-11-25T22:10:00Z"), at("2026-11-25T23:43:02Z"));
    entry.turn = Some(Turn::begin(None, begun, entry.table.as_ref(), CatchUp::None).0);
    assert_eq!(entry.update("p.yaml".into(), of(" 0  5 1 1 * "), edited), None, "the same schedule");
    assert_eq!(entry.update("p.yaml".into(), of("43 * * * *"), edited), Some(edited), "another one");
    assert_eq!(entry.due(edited), None, "23:43:00 was before the edit");
    assert_eq!(entry.next().map(|(instant, _)| instant), Some(at("2026-11-26T00:43:00Z")));
    // The same edit while no daemon was there: the note is by the schedule of before.
    let noted = |schedule: Option<&str>| ledger::Settled { until: begun, schedule: schedule.map(str::to_owned) };
    for (schedule, believed) in [("43 * * * * UTC", Some(begun)), ("0 5 1 1 * UTC", None), ("none", None)] {
        assert_eq!(entry.believed(Some(noted(Some(schedule)))), believed, "{schedule}");
    }
    assert_eq!(entry.believed(Some(noted(None))), Some(begun), "a version before this one noted it");
}

/// A daemon that has taken up one pipeline, whose schedule stands still while the test moves its turn, and a runner that only counts.
async fn taken_up(overlap: &str) -> (Daemon, Arc<AtomicUsize>, tempfile::TempDir) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let runner: Runner = Arc::new(move |pipeline, options, _| {
        count.fetch_add(1, Ordering::SeqCst);
        ended(options, &pipeline.name, Exit::Done)
    });
    let (mut daemon, _, folder) = daemon(&["p"], 1, runner);
    let schedule = format!("cron: '0 0 29 2 *', overlap: {overlap}");
    daemon.load = Arc::new(move |_: &Path| Ok(pipeline("p", &schedule)));
    daemon.reload().await;
    (daemon, begun, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_place_or_for_a_run_is_skipped_once_the_pipeline_is_paused() {
    let (mut daemon, begun, _folder) = taken_up("queue").await;
    let name = PipelineName::new("p");
    let pause = Pause::new(at("2026-11-25T10:00:00Z"));
    let first = daemon.env.clock.now();
    let fire = |daemon: &mut Daemon, instant| {
        let turn = daemon.entries.get_mut(&name).unwrap().turn.as_mut().unwrap();
        let (step, settled) = turn.fire(instant, false, Overlap::Queue);
        daemon.step(&name, step, settled);
    };
    // One that waits for a place.
    fire(&mut daemon, first);
    let ledger = daemon.entries[&name].ledger.clone();
    ledger.pause(&pause).await.unwrap();
    daemon.until_quiet().await;
    assert_eq!((daemon.starts.count(), daemon.entries[&name].skipped), (0, 1));
    assert!(!daemon.entries[&name].turn.as_ref().unwrap().is_active(), "the next instant finds it free");
    // One that waits for the run before it.
    ledger.resume().await.unwrap();
    let (second, third) = (first + TimeDelta::minutes(1), first + TimeDelta::minutes(2));
    fire(&mut daemon, second);
    daemon.until_quiet().await;
    fire(&mut daemon, third);
    ledger.pause(&pause).await.unwrap();
    let end = daemon.starts.ended().await;
    daemon.take(end);
    daemon.until_quiet().await;
    assert_eq!((daemon.starts.count(), daemon.entries[&name].skipped, begun.load(Ordering::SeqCst)), (0, 2, 1));
    daemon.notes.close(tokio::time::Instant::now() + Duration::from_secs(60)).await;
    let settled = ledger.settled().await.unwrap().unwrap();
    assert_eq!(
        (settled.until.timestamp(), settled.schedule.as_deref()),
        (third.timestamp(), Some("0 0 29 2 * UTC")),
        "none is made up for"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_has_ended_is_not_waited_for_though_its_hook_is_out() {
    let (slow, loader) = Slow::start().await;
    let runner: Runner = Arc::new(|pipeline, options, _| ended(options, &pipeline.name, Exit::Done));
    let (mut daemon, _, _folder, mut heard) = daemon_heard(&["a"], 1, runner, loader, Duration::from_secs(60));
    daemon.reload().await;
    let (answer, _) = tokio::sync::oneshot::channel();
    daemon.command(Command::RunNow(PipelineName::new("a")), answer);
    daemon.until_quiet().await;
    while !matches!(heard.recv().await.unwrap(), Event::Ended(_)) {}
    let answers = async {
        let (_, mut stream) = slow.hears().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    };
    assert!(tokio::join!(daemon.drain(), answers).0);
    let told = std::iter::from_fn(|| heard.try_recv().ok()).find(|event| matches!(event, Event::Draining { .. }));
    assert!(matches!(told, Some(Event::Draining { runs: 0, .. })), "{told:?}");
}

#[tokio::test]
async fn a_clock_that_was_days_ahead_and_is_put_back_holds_up_no_schedule() {
    let clock = Arc::new(ManualClock::new(at("2026-11-25T10:00:05Z")));
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let runner: Runner = Arc::new(move |pipeline, options, _| {
        count.fetch_add(1, Ordering::SeqCst);
        ended(options, &pipeline.name, Exit::Done)
    });
    let loader: Loader = Arc::new(|_: &Path| Ok(pipeline("p", "cron: '*/10 * * * * *'")));
    let (mut daemon, _, _folder) = daemon_with(&["p"], 1, runner, loader, Duration::ZERO);
    daemon.env.clock = Arc::clone(&clock) as Arc<_>;
    daemon.reload().await;
    let (day, seconds) = (TimeDelta::days(1), TimeDelta::seconds);
    let steps = [(seconds(10), 1), (day * 3, 2), (seconds(10), 3), (day * -3, 3), (seconds(10), 4), (seconds(-20), 4)];
    for (step, runs) in steps.into_iter().chain([(seconds(10), 4), (seconds(20), 5)]) {
        clock.advance(step);
        daemon.until_quiet().await;
        while !daemon.starts.is_idle() {
            let end = daemon.starts.ended().await;
            daemon.take(end);
        }
        assert_eq!(begun.load(Ordering::SeqCst), runs, "after {step}, at {}", clock.now());
    }
    let ledger = daemon.entries[&PipelineName::new("p")].ledger.clone();
    daemon.notes.close(tokio::time::Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(ledger.settled().await.unwrap().unwrap().until, at("2026-11-25T10:00:40Z"), "not in three days");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_never_read_to_its_end_holds_up_nothing() {
    let (opens, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let loader: Loader = Arc::new(move |path: &Path| {
        if path.ends_with("a.yaml") {
            let _ = gate.lock().unwrap().recv();
        }
        Ok(of_name(path))
    });
    let runner: Runner = Arc::new(|pipeline, options, _| ended(options, &pipeline.name, Exit::Done));
    let (daemon, mut handle, _folder) = daemon_with(&["a", "b"], 1, runner, loader, Duration::ZERO);
    let stop = CancellationToken::new();
    let served = tokio::spawn(daemon.run(stop.clone()));
    until(&mut handle, |view| view.at.is_some() && view.pipelines.len() == 1).await;
    handle.ask(Command::RunNow(PipelineName::new("b"))).await.unwrap();
    until(&mut handle, |view| ends(view, "b") == [Exit::Done]).await;
    stop.cancel();
    assert!(served.await.unwrap().unwrap(), "it ends while the file is still being read");
    drop(opens);
}

#[tokio::test]
async fn two_files_that_swap_names_in_one_save_are_both_taken() {
    let (mut daemon, handle, folder) =
        daemon(&[], 1, Arc::new(|pipeline, options, _| ended(options, &pipeline.name, Exit::Done)));
    daemon.load = Arc::new(|path: &Path| match std::fs::read_to_string(path).unwrap().as_str() {
        "broken" => Err("no pipeline".to_owned().into()),
        name => Ok(pipeline(name, "cron: '0 0 29 2 *'")),
    });
    let file = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
    let held =
        |daemon: &Daemon, name: &str| daemon.entries.get(&PipelineName::new(name)).map(|entry| entry.file.clone());
    let refused = |daemon: &Daemon| {
        daemon.publish();
        handle.view().refused.iter().map(|refused| (refused.file.clone(), refused.goes_on)).collect::<Vec<_>>()
    };
    write("1.yaml", "a");
    write("2.yaml", "b");
    write("3.yaml", "broken");
    daemon.reload().await;
    assert_eq!(refused(&daemon), [(file("3.yaml"), false)], "nothing was read from it before");
    write("1.yaml", "b");
    write("2.yaml", "a");
    daemon.reload().await;
    assert_eq!((held(&daemon, "a"), held(&daemon, "b")), (Some(file("2.yaml")), Some(file("1.yaml"))));
    assert_eq!(refused(&daemon), [(file("3.yaml"), false)]);
    // A name that is taken stays refused, and what the file had goes on, until it is free.
    write("1.yaml", "a");
    daemon.reload().await;
    assert_eq!(refused(&daemon), [(file("1.yaml"), true), (file("3.yaml"), false)]);
    assert_eq!((held(&daemon, "a"), held(&daemon, "b")), (Some(file("2.yaml")), Some(file("1.yaml"))));
    write("2.yaml", "c");
    daemon.reload().await;
    daemon.reload().await;
    let all = (held(&daemon, "a"), held(&daemon, "b"), held(&daemon, "c"));
    assert_eq!(all, (Some(file("1.yaml")), None, Some(file("2.yaml"))));
    write("2.yaml", "broken");
    daemon.reload().await;
    assert_eq!(refused(&daemon), [(file("2.yaml"), true), (file("3.yaml"), false)]);
}
