//! The daemon itself: one task that owns all, and does what timetables and turns say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::Skip;
use super::files::Loader;
use super::looks::{Looks, Of, SILENT, Seen};
use super::notes::Notes;
use super::pipelines::{Entry, FileState};
use super::starts::{Runner, Starts};
use super::view::{FileError, RunningView, View};
use crate::asking;
use crate::ledger;
use crate::model::{JobName, PipelineName, RunEnd};
use crate::run::{Backfill, Env};

/// How often the folder is looked at, and the clock, which may have been set or have stood still.
const POLL: Duration = Duration::from_secs(1);

/// What the daemon is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the pipeline files.
    pub folder: PathBuf,
    /// Where the ledgers are kept.
    pub state: String,
    /// How long a lease lives without a sign of life, where no lock tells.
    pub lease_ttl: Duration,
    /// How long runs may take to end once the process is told to.
    pub grace: Duration,
    /// How many runs go on at once, one at least.
    pub max_concurrent_runs: usize,
}

/// What a person may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Runs a pipeline now, paused or not.
    RunNow(PipelineName),
    /// Pauses a pipeline: instants that come meanwhile aren't run, nor made up for. The ledger keeps it.
    Pause(PipelineName),
    /// Ends a pause.
    Resume(PipelineName),
    /// Reads windows of the past now, paused or not.
    Backfill {
        /// The pipeline.
        pipeline: PipelineName,
        /// The windows.
        backfill: Backfill,
        /// Only these jobs; all with windows where it is empty.
        jobs: Vec<JobName>,
    },
}

/// Why the daemon doesn't do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such pipeline.
    #[error("there is no pipeline `{0}` in the folder")]
    Unknown(PipelineName),
    /// A run of it goes on.
    #[error("a run of `{0}` goes on, or waits for its turn")]
    Running(PipelineName),
    /// The ledger can't be written.
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
    /// The ledger doesn't answer.
    #[error("the ledger of `{0}` hasn't answered for {s} s: look later whether it was done", s = SILENT.as_secs())]
    Silent(PipelineName),
    /// The process is about to end.
    #[error("the daemon is about to end")]
    Ending,
}

/// What happens, for who tells it to people.
#[derive(Debug, Clone)]
pub enum Event {
    /// A file was read: there is a pipeline, or another version of it.
    Loaded {
        /// The file.
        file: PathBuf,
        /// The pipeline.
        pipeline: PipelineName,
        /// When its next run begins by schedule, UTC.
        next: Option<DateTime<Utc>>,
    },
    /// A file can't be used.
    Refused(FileError),
    /// The folder can't be read, and why; none once it can be again.
    Folder(Option<String>),
    /// A pipeline's file is gone.
    Gone(PipelineName),
    /// A run began.
    Began(PipelineName, RunningView),
    /// A run ended.
    Ended(Arc<RunEnd>),
    /// An instant isn't run.
    Skipped(PipelineName, DateTime<Utc>, Skip),
    /// A pipeline's schedule can't be kept for the moment, and why.
    Trouble(PipelineName, String),
    /// The process is about to end, and waits for runs.
    Draining {
        /// So many.
        runs: usize,
        /// And so many hooks of runs that have ended.
        hooks: usize,
    },
}

/// What others see of the daemon, and may ask of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    view: watch::Receiver<Arc<View>>,
    commands: mpsc::Sender<Asked>,
    again: Arc<Notify>,
}

type Asked = (Command, oneshot::Sender<Result<(), CommandError>>);

impl Command {
    /// Returns the pipeline that it is about.
    pub(super) const fn pipeline(&self) -> &PipelineName {
        let (Self::RunNow(name) | Self::Pause(name) | Self::Resume(name) | Self::Backfill { pipeline: name, .. }) =
            self;
        name
    }
}

impl Handle {
    /// Returns the daemon as it was last seen, and runs as they are now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().with_ends()
    }

    /// Tells whether the daemon goes on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.view.has_changed().is_ok()
    }

    /// Has the folder be looked at once more, as if nothing were known of files that were refused.
    pub fn look_again(&self) {
        self.again.notify_one();
    }

    /// Waits for the next change; false once the daemon has ended.
    pub async fn changed(&mut self) -> bool {
        self.view.changed().await.is_ok()
    }

    /// Asks for something.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn ask(&self, command: Command) -> Result<(), CommandError> {
        asking::ask(&self.commands, |answer| (command, answer)).await.unwrap_or(Err(CommandError::Ending))
    }
}

/// The daemon.
pub struct Daemon {
    pub(super) config: Config,
    pub(super) env: Env,
    pub(super) load: Loader,
    pub(super) entries: BTreeMap<PipelineName, Entry>,
    pub(super) files: BTreeMap<PathBuf, FileState>,
    /// Why the folder can't be read.
    pub(super) unread: Option<String>,
    /// What is looked at just now.
    pub(super) looks: Looks,
    /// Whether the folder is to be looked at.
    pub(super) look_again: bool,
    /// Whether it ever was.
    pub(super) looked: bool,
    pub(super) starts: Starts,
    pub(super) notes: Notes,
    pub(super) draining: bool,
    view: watch::Sender<Arc<View>>,
    pub(super) commands: mpsc::Receiver<Asked>,
    again: Arc<Notify>,
    events: mpsc::UnboundedSender<Event>,
    wake: (mpsc::Sender<()>, mpsc::Receiver<()>),
    /// When the scheduler was told to wake us.
    armed: Option<DateTime<Utc>>,
}

impl Daemon {
    /// Makes the daemon, and what others see of it. `env`'s progress, bounds and end are replaced for each run.
    #[must_use]
    pub fn new(
        config: Config,
        env: Env,
        load: Loader,
        runner: Runner,
    ) -> (Self, Handle, mpsc::UnboundedReceiver<Event>) {
        let (view, seen) = watch::channel(Arc::default());
        let (ask, commands) = mpsc::channel(16);
        let again = Arc::new(Notify::new());
        let (events, heard) = mpsc::unbounded_channel();
        let starts = Starts::new(env.clone(), config.max_concurrent_runs.max(1), runner, events.clone());
        let daemon = Self {
            config,
            env,
            load,
            entries: BTreeMap::new(),
            files: BTreeMap::new(),
            unread: None,
            looks: Looks::default(),
            look_again: true,
            looked: false,
            starts,
            notes: Notes::start(),
            draining: false,
            view,
            commands,
            again: Arc::clone(&again),
            events,
            wake: mpsc::channel(1),
            armed: None,
        };
        (daemon, Handle { view: seen, commands: ask, again }, heard)
    }

    /// Keeps the schedules until `stop`, then drains. Until then no folder, file or ledger is waited for here. Returns whether everything
    /// that had begun has landed, or ended otherwise by itself.
    ///
    /// # Errors
    /// The scheduler can't be started.
    pub async fn run(mut self, stop: CancellationToken) -> Result<bool, JobSchedulerError> {
        let mut scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let again = Arc::clone(&self.again);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                end = self.starts.ended() => self.take(end),
                seen = self.looks.next() => self.see(seen),
                Some((command, answer)) = self.commands.recv() => self.command(command, answer),
                () = again.notified() => self.look_anew(),
                _ = poll.tick() => self.tick(),
                _ = self.wake.1.recv() => {}
            }
            while let Some(seen) = self.looks.ready() {
                self.see(seen);
            }
            self.go_on_all();
            self.arm(&scheduler).await?;
            self.publish();
        }
        let whole = self.drain().await;
        scheduler.shutdown().await?;
        Ok(whole)
    }

    /// Takes what was seen.
    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Folder(found) => self.take_folder(found),
            Seen::File(file, read) => self.take_slow(file, read),
            Seen::Fresh(name, loaded) => self.begin(&name, Some(loaded)),
            Seen::Ledger(name, answer) => self.answered(&name, answer),
        }
    }

    /// Does all that can be done now, and begins to look at what has to be seen before.
    pub(super) fn go_on_all(&mut self) {
        self.set_back();
        self.look_at_folder();
        self.prepare();
        self.ask_ledgers();
    }

    /// Does what is to be done each second.
    fn tick(&mut self) {
        self.look_again = true;
        self.entries.values_mut().for_each(|entry| entry.unasked = true);
        for of in self.looks.newly_silent() {
            match of {
                Of::Folder => self.folder_is_silent(),
                Of::File(file) => self.file_is_silent(&file),
                Of::Ledger(name) => self.ledger_is_silent(&name),
            }
        }
        self.answer_for_the_silent();
        self.starts.unseat();
    }

    /// Looks at the folder, and goes on until nothing is under way.
    #[cfg(test)]
    pub(super) async fn reload(&mut self) {
        self.look_again = true;
        self.until_quiet().await;
    }

    /// Goes on until nothing is under way.
    #[cfg(test)]
    pub(super) async fn until_quiet(&mut self) {
        self.go_on_all();
        while !self.looks.are_over() {
            let seen = self.looks.next().await;
            self.see(seen);
            self.go_on_all();
        }
    }

    /// Has the scheduler wake us when the next pipeline is due, by one one-shot job: of many for one instant the crate forgets to remove some,
    /// and tries that again for ever.
    async fn arm(&mut self, scheduler: &JobScheduler) -> Result<(), JobSchedulerError> {
        let now = self.env.clock.now();
        let begins = self.entries.values_mut().filter_map(|entry| entry.next().map(|(_, begins)| begins));
        let earliest = begins.filter(|begins| *begins > now).min();
        if self.armed == earliest {
            return Ok(());
        }
        self.armed = earliest;
        let Some(wait) = earliest.and_then(|earliest| (earliest - now).to_std().ok()) else { return Ok(()) };
        let Some(at) = std::time::Instant::now().checked_add(wait) else { return Ok(()) };
        let wake = self.wake.0.clone();
        let job = Job::new_one_shot_at_instant_async(at, move |_, _| {
            let wake = wake.clone();
            Box::pin(async move {
                // One that waits is enough.
                let _ = wake.try_send(());
            })
        })?;
        scheduler.add(job).await.map(drop)
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody need listen.
        let _ = self.events.send(event);
    }

    pub(super) fn publish(&self) {
        let now = self.env.clock.now();
        let silent = |name: &PipelineName| self.looks.silent(&Of::Ledger(name.clone()));
        let pipelines =
            self.entries.iter().map(|(name, entry)| entry.view(self.starts.has_no_place(name), silent(name))).collect();
        let view = View {
            at: self.looked.then_some(now),
            pipelines,
            refused: self.all_refused(),
            unread: self.unread.clone(),
            draining: self.draining,
        };
        self.view.send_replace(Arc::new(view));
    }
}
