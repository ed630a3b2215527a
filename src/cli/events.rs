//! What `serve` says of what happens: a line an event, or JSON, one document a line. Who reads it holds up neither the daemon nor its
//! end: what can't be told is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::args::Output;
use super::{print, report};
use crate::clock::Clock;
use crate::schedule::{Event, FileError, Skip};

/// The most lines that wait for a reader who is slow; what comes then is dropped, and counted.
const WAITING: usize = 1000;

/// How long the last lines may take to be read, once the daemon has ended.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Tells events on standard output, from a thread of its own.
pub(super) struct Teller {
    output: Output,
    clock: Arc<dyn Clock>,
    lines: mpsc::Sender<String>,
    dropped: Arc<AtomicU64>,
    printer: JoinHandle<()>,
}

impl Teller {
    /// Must be called within the runtime.
    pub(super) fn start(output: Output, clock: Arc<dyn Clock>) -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let printer = tokio::task::spawn_blocking(move || print_all(waiting, &count));
        Self { output, clock, lines, dropped, printer }
    }

    /// Tells what happened, as soon as what was told before has been read.
    pub(super) fn tell(&self, event: &Event) {
        let now = self.clock.now();
        let line = match self.output {
            Output::Json => document(event, now).to_string(),
            Output::Text => format!("{}  {}", instant(now), sentence(event)),
        };
        self.line(line);
    }

    /// Tells a line.
    pub(super) fn line(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is told, for [`LAST_LINES`] at most.
    pub(super) async fn end(self) {
        drop(self.lines);
        // Who doesn't read by then isn't waited for.
        let _ = tokio::time::timeout(LAST_LINES, self.printer).await;
    }
}

/// Prints lines to their end. Those that can't be written are dropped: that is told once, and again where it happens anew.
fn print_all(mut lines: mpsc::Receiver<String>, dropped: &AtomicU64) {
    let mut is_lost = false;
    while let Some(line) = lines.blocking_recv() {
        let printed = print::text(&line);
        if let (Err(error), false) = (&printed, is_lost) {
            print::note(&format!(
                "warning: what happens can't be told on standard output: {error}; the daemon goes on, and its page and metrics tell"
            ));
        }
        is_lost = printed.is_err();
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let lines = print::counted(dropped, "line");
            print::note(&format!("warning: {lines} of what happened weren't told: nobody read standard output"));
        }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Loaded { file, pipeline, next } => {
            let next = next.map_or_else(
                || "no schedule, so it isn't run".to_owned(),
                |next| format!("next run {}", instant(next)),
            );
            format!("{pipeline}: read from {}; {next}", file.display())
        }
        Event::Refused(refused) => {
            let rest =
                if refused.goes_on { "; what was read from it before goes on" } else { ", and nothing runs by it" };
            format!("{} can't be used{rest}\n{}", refused.file.display(), refused.error)
        }
        Event::Folder(Some(error)) => format!("{error}; what was read before goes on"),
        Event::Folder(None) => "the folder can be read again".to_owned(),
        Event::Gone(pipeline) => format!("{pipeline}: its file is gone, and it isn't run any more"),
        Event::Began(pipeline, running) => match running.scheduled_for {
            Some(at) => format!("{pipeline}: run {} begins, for {}", running.run, instant(at)),
            None => format!("{pipeline}: run {} begins, as asked for", running.run),
        },
        Event::Ended(end) => match (&end.report, &end.error) {
            (Some(report), _) => report::in_short(report, end),
            (None, error) => format!("{}: {}", end.pipeline, error.as_deref().unwrap_or("ended")),
        },
        Event::Skipped(pipeline, at, why) => format!("{pipeline}: {} isn't run: {}", instant(*at), reason(*why)),
        Event::Trouble(pipeline, error) => format!("{pipeline}: its schedule waits for its ledger: {error}"),
        Event::Draining { runs, hooks } => draining(*runs, *hooks),
    }
}

fn draining(runs: usize, hooks: usize) -> String {
    let counted = |count: usize, what: &str| (count > 0).then(|| print::counted(count as u64, what));
    match (counted(runs, "run"), counted(hooks, "hook")) {
        (None, None) => "told to end; no run goes on".to_owned(),
        (None, Some(hooks)) => format!("told to end; no run goes on; waiting for {hooks} to be answered"),
        (Some(runs), None) => format!("told to end; waiting for {runs}"),
        (Some(runs), Some(hooks)) => format!("told to end; waiting for {runs}, and for {hooks} to be answered"),
    }
}

const fn reason(why: Skip) -> &'static str {
    match why {
        Skip::Overlap => "the run before it still goes on",
        Skip::Paused => "the pipeline is paused",
        Skip::Missed => "it was missed, and `catch_up: none`",
    }
}

fn document(event: &Event, at: DateTime<Utc>) -> Value {
    match event {
        Event::Loaded { file, pipeline, next } => {
            json!({"at": at, "event": "loaded", "pipeline": pipeline, "file": file, "next": next})
        }
        Event::Refused(refused) => {
            let FileError { file, error, goes_on, .. } = refused;
            json!({"at": at, "event": "refused", "file": file, "error": error, "goes_on": goes_on})
        }
        Event::Folder(error) => json!({"at": at, "event": "folder", "error": error}),
        Event::Gone(pipeline) => json!({"at": at, "event": "gone", "pipeline": pipeline}),
        Event::Began(pipeline, running) => {
            let (run, scheduled_for) = (&running.run, running.scheduled_for);
            json!({"at": at, "event": "began", "pipeline": pipeline, "run": run, "scheduled_for": scheduled_for})
        }
        Event::Ended(end) => json!({"at": at, "event": "ended", "end": end}),
        Event::Skipped(pipeline, instant, why) => {
            let why = match why {
                Skip::Overlap => "overlap",
                Skip::Paused => "paused",
                Skip::Missed => "missed",
            };
            json!({"at": at, "event": "skipped", "pipeline": pipeline, "scheduled_for": instant, "why": why})
        }
        Event::Trouble(pipeline, error) => json!({"at": at, "event": "trouble", "pipeline": pipeline, "error": error}),
        Event::Draining { runs, hooks } => json!({"at": at, "event": "draining", "runs": runs, "hooks": hooks}),
    }
}
