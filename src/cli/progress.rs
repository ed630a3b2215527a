//! Progress bars on standard error, where that is a terminal.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use super::print;
use crate::model::{JobName, SliceOutcome};
use crate::run::Progress;

/// How often a bar that waits for the server shows that it lives.
const TICK: Duration = Duration::from_millis(120);

/// One bar a job.
pub(super) struct Bars {
    all: MultiProgress,
    jobs: Mutex<HashMap<JobName, Bar>>,
}

struct Bar {
    bar: ProgressBar,
    rows: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl Bars {
    /// Makes bars if standard error is a terminal.
    pub(super) fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(|| Self { all: MultiProgress::new(), jobs: Mutex::new(HashMap::new()) })
    }

    fn with(&self, job: &JobName, act: impl FnOnce(&Bar)) {
        let mut jobs = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(jobs.entry(job.clone()).or_insert_with(|| self.bar(job)));
    }

    fn bar(&self, job: &JobName) -> Bar {
        let bar = self.all.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template("{prefix:>20} {bar:24.cyan/black} {pos:>4}/{len:<4} slices  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_prefix(job.to_string());
        bar.enable_steady_tick(TICK);
        Bar { bar, rows: AtomicU64::new(0), bytes: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }
}

impl Bar {
    fn tell(&self) {
        let rows = print::counted(self.rows.load(Ordering::Relaxed), "row");
        let bytes = HumanBytes(self.bytes.load(Ordering::Relaxed));
        let failed = match self.failed.load(Ordering::Relaxed) {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        self.bar.set_message(format!("{rows}, {bytes}{failed}"));
    }
}

impl Progress for Bars {
    fn waits(&self, what: Option<&str>) {
        if let Some(what) = what {
            // Where the terminal is gone nobody waits for it either.
            let _ = self.all.println(format!("waiting for {what}"));
        }
    }

    fn planned(&self, job: &JobName, slices: u64) {
        self.with(job, |bar| bar.bar.inc_length(slices));
    }

    fn page(&self, job: &JobName, rows: u64, bytes: u64) {
        self.with(job, |bar| {
            bar.rows.fetch_add(rows, Ordering::Relaxed);
            bar.bytes.fetch_add(bytes, Ordering::Relaxed);
            bar.tell();
        });
    }

    fn slice(&self, job: &JobName, outcome: &SliceOutcome) {
        self.with(job, |bar| {
            bar.bar.inc(1);
            if matches!(outcome, SliceOutcome::Failed { .. }) {
                bar.failed.fetch_add(1, Ordering::Relaxed);
            }
            bar.tell();
        });
    }

    fn ended(&self, job: &JobName) {
        self.with(job, |bar| bar.bar.finish());
    }
}
