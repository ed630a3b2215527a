//! The daemon itself: one task that owns all, and does what timetables and turns say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::files::Loader;
use super::notes::Notes;
use super::pipelines::{Entry, FileState};
use super::starts::{Ask, Runner, Starts};
use super::view::{FileError, RunningView, View};
use super::{Settled, Skip, Step};
use crate::ledger;
use crate::model::{Exit, JobName, PipelineName, RunEnd};
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
    },
}

/// What others see of the daemon, and may ask of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    view: watch::Receiver<Arc<View>>,
    commands: mpsc::Sender<Asked>,
}

type Asked = (Command, oneshot::Sender<Result<(), CommandError>>);

impl Handle {
    /// Returns the daemon as it was last seen, and runs as they are now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().with_ends()
    }

    /// Tells whether the daemon goes on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
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
        let (answer, answered) = oneshot::channel();
        self.commands.send((command, answer)).await.map_err(|_| CommandError::Ending)?;
        answered.await.unwrap_or(Err(CommandError::Ending))
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
    pub(super) starts: Starts,
    pub(super) notes: Notes,
    pub(super) draining: bool,
    view: watch::Sender<Arc<View>>,
    commands: mpsc::Receiver<Asked>,
    events: mpsc::UnboundedSender<Event>,
    wake: (mpsc::Sender<()>, mpsc::Receiver<()>),
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
        let (events, heard) = mpsc::unbounded_channel();
        let starts = Starts::new(env.clone(), config.max_concurrent_runs.max(1), runner, events.clone());
        let daemon = Self {
            config,
            env,
            load,
            entries: BTreeMap::new(),
            files: BTreeMap::new(),
            unread: None,
            starts,
            notes: Notes::start(),
            draining: false,
            view,
            commands,
            events,
            wake: mpsc::channel(1),
        };
        (daemon, Handle { view: seen, commands: ask }, heard)
    }

    /// Keeps the schedules until `stop`, then drains. Returns whether everything that had begun has landed, or ended otherwise by
    /// itself.
    ///
    /// # Errors
    /// The scheduler can't be started.
    pub async fn run(mut self, stop: CancellationToken) -> Result<bool, JobSchedulerError> {
        let mut scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                end = self.starts.ended() => self.take(end),
                Some((command, answer)) = self.commands.recv() => {
                    let done = self.command(command).await;
                    // Who asked may have gone.
                    let _ = answer.send(done);
                }
                _ = poll.tick() => self.reload().await,
                _ = self.wake.1.recv() => {}
            }
            // What ended is seen before ledgers and files are read for what is due.
            self.publish();
            self.fire().await;
            self.begin_waiting().await;
            self.arm(&scheduler).await?;
            self.publish();
        }
        let whole = self.drain().await;
        scheduler.shutdown().await?;
        Ok(whole)
    }

    /// Fires the pipelines whose time has come.
    pub(super) async fn fire(&mut self) {
        let now = self.env.clock.now();
        let due: Vec<_> =
            self.entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.due(now)?))).collect();
        for (name, instant) in due {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let paused = entry.look_for_pause().await;
            let overlap = entry.pipeline.schedule.as_ref().map(|schedule| schedule.overlap).unwrap_or_default();
            let Some(turn) = &mut entry.turn else { continue };
            let (step, settled) = turn.fire(instant, paused, overlap);
            self.step(&name, step, settled);
        }
    }

    /// Does what a turn says.
    pub(super) fn step(&mut self, name: &PipelineName, step: Step, settled: Settled) {
        match step {
            Step::Run(instant) => self.starts.ask(Ask::due(name.clone(), Some(instant))),
            Step::Queued(_) => {}
            Step::Skipped(instant, why) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.skipped += 1;
                }
                tracing::info!(pipeline = %name, %instant, ?why, "an instant is skipped");
                self.tell(Event::Skipped(name.clone(), instant, why));
            }
        }
        self.settle(name, settled);
    }

    /// Does what a turn says, where it says anything.
    pub(super) fn go_on(&mut self, name: &PipelineName, next: Option<Step>, settled: Settled) {
        match next {
            Some(step) => self.step(name, step, settled),
            None => self.settle(name, settled),
        }
    }

    pub(super) fn settle(&self, name: &PipelineName, settled: Settled) {
        if let (Some(entry), Some(until)) = (self.entries.get(name), settled) {
            let schedule = Some(entry.schedule.clone());
            self.notes.settle(entry.ledger.clone(), ledger::Settled { until, schedule });
        }
    }

    /// Takes the end of a run, which has been told.
    pub(super) fn take(&mut self, end: Arc<RunEnd>) {
        let name = end.pipeline.clone();
        let Some(entry) = self.entries.get_mut(&name) else { return };
        // A run that was broken off isn't done with its instant: the next daemon makes up for it.
        let broken_off = self.draining && (end.exit_code.is_interruption() || end.exit_code == Exit::Stopped);
        entry.keep(end);
        let after = entry.turn.as_mut().map(super::Turn::ended).filter(|_| !broken_off);
        let gone = entry.gone;
        if let Some((next, settled)) = after {
            let next = next.filter(|_| !self.draining && !gone);
            self.go_on(&name, next, settled);
        }
        if gone {
            self.entries.remove(&name);
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), CommandError> {
        let (Command::RunNow(name)
        | Command::Pause(name)
        | Command::Resume(name)
        | Command::Backfill { pipeline: name, .. }) = &command;
        let entry = self.entries.get_mut(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        let now = self.env.clock.now();
        match &command {
            Command::RunNow(_) | Command::Backfill { .. } => {
                let free = entry
                    .turn
                    .as_mut()
                    .map_or(entry.running.is_none() && !self.starts.waits(name), super::Turn::begin_by_hand);
                if !free {
                    return Err(CommandError::Running(name.clone()));
                }
                let mut ask = Ask::due(name.clone(), None);
                if let Command::Backfill { backfill, jobs, .. } = &command {
                    ask.backfill = Some((*backfill, jobs.clone()));
                }
                self.starts.ask(ask);
            }
            Command::Pause(_) => {
                entry.ledger.pause(&ledger::Pause::new(now)).await?;
                entry.paused.get_or_insert(now);
            }
            Command::Resume(_) => {
                entry.ledger.resume().await?;
                entry.paused = None;
            }
        }
        Ok(())
    }

    /// Has the scheduler wake us when a pipeline is due: a one-shot job each, armed again whenever the instant changes.
    async fn arm(&mut self, scheduler: &JobScheduler) -> Result<(), JobSchedulerError> {
        let now = self.env.clock.now();
        for entry in self.entries.values_mut() {
            let begins = entry.next(now).map(|(_, begins)| begins);
            if entry.armed == begins {
                continue;
            }
            entry.armed = begins;
            let Some(wait) = begins.and_then(|begins| (begins - now).to_std().ok()) else { continue };
            let Some(at) = std::time::Instant::now().checked_add(wait) else { continue };
            let wake = self.wake.0.clone();
            let job = Job::new_one_shot_at_instant_async(at, move |_, _| {
                let wake = wake.clone();
                Box::pin(async move {
                    // One that waits is enough.
                    let _ = wake.try_send(());
                })
            })?;
            scheduler.add(job).await?;
        }
        Ok(())
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody need listen.
        let _ = self.events.send(event);
    }

    pub(super) fn publish(&self) {
        let now = self.env.clock.now();
        let pipelines = self.entries.iter().map(|(name, entry)| entry.view(self.starts.waits(name), now)).collect();
        let refused = self.files.keys().filter_map(|file| self.refused(file));
        let view = View {
            at: Some(now),
            pipelines,
            refused: refused.collect(),
            unread: self.unread.clone(),
            draining: self.draining,
        };
        self.view.send_replace(Arc::new(view));
    }
}
