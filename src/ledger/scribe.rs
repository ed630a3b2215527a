//! The one task of a process that writes to the log: it writes all that waits as one entry, and renews the lease.

use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::entry::{Entry, FORMAT, LeaseEvent, Record};
use super::lane::Lane;
use super::lease::nonce;
use super::log::{self, Outcome};
use super::state::LedgerState;
use super::writer::{reading, writing};
use super::{Ledger, LedgerError, checkpoint, prune};

/// How many requests one entry takes at most, so that its size has a bound.
const GROUP: usize = 256;

/// What the writer's handles and the task share.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ledger: Ledger,
    pub(super) lane: Lane,
    pub(super) lease: u64,
    pub(super) state: Arc<RwLock<LedgerState>>,
    /// Why the task has ended.
    pub(super) stopped: OnceLock<Stop>,
    /// When the last entry was on its way, by the uptime.
    pub(super) written: Mutex<Duration>,
    /// Whether the lane has an OS lock, on disk. While it is held nobody can take the lane, however late a renewal is.
    pub(super) is_locked: bool,
}

/// Why nothing is written any more.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    Lost(String),
    Other(String),
}

impl Held {
    fn written(&self) -> Duration {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without an OS lock others may take the lane once the ttl is over, so nothing is written after that.
    pub(super) fn in_time(&self) -> Result<(), Stop> {
        let since = self.ledger.uptime.now().saturating_sub(self.written());
        if self.is_locked || since < self.ledger.timing.ttl {
            return Ok(());
        }
        Err(Stop::Lost(format!("it wasn't renewed for {} s", since.as_secs())))
    }

    /// Returns the error of one who finds that nothing may be written any more.
    pub(super) fn refused(&self, stop: Stop) -> LedgerError {
        let (lane, lease) = (self.lane, self.lease);
        match stop {
            Stop::Lost(why) => LedgerError::LeaseLost { lane, lease, why },
            Stop::Other(why) => LedgerError::Stopped { lane, why },
        }
    }

    /// Returns the error of one who wants to write when the task has ended.
    pub(super) fn stopped(&self) -> LedgerError {
        let stop = self.stopped.get().cloned();
        self.refused(stop.unwrap_or_else(|| Stop::Other("its task has ended".to_owned())))
    }
}

/// Records that someone wants in the log, all in one entry.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) records: Vec<Record>,
    pub(super) reply: oneshot::Sender<Result<(), LedgerError>>,
}

/// The task.
#[derive(Debug)]
pub(super) struct Scribe {
    pub(super) held: Arc<Held>,
    /// The lane's OS lock, on disk. It stands before `asks`, so that it is dropped first: one who sees the queue closed finds the lock
    /// free.
    #[expect(dead_code, reason = "it is held")]
    pub(super) lock: Option<File>,
    pub(super) asks: mpsc::Receiver<Ask>,
    /// The last checkpoint.
    pub(super) checkpoint: checkpoint::Last,
}

impl Scribe {
    /// Writes until the lease is released or lost, or until the last handle is gone.
    pub(super) async fn run(mut self) {
        loop {
            let group = match tokio::time::timeout(self.until_renewal(), self.asks.recv()).await {
                Ok(None) => return,
                Ok(Some(first)) => self.gather(first),
                Err(_elapsed) => Vec::new(),
            };
            match self.serve(group).await {
                Ok(Done::GoOn) => self.checkpoint_if_due().await,
                Ok(Done::Released) => return self.stop(Stop::Other("its lease is released".to_owned())),
                Err(stop) => return self.stop(stop),
            }
        }
    }

    /// Ends the task. Those who ask from now on, or wait in the queue, get the reason from [`Held::stopped`].
    fn stop(self, stop: Stop) {
        let _ = self.held.stopped.set(stop);
    }

    fn until_renewal(&self) -> Duration {
        (self.held.written() + self.held.ledger.timing.ttl / 3).saturating_sub(self.held.ledger.uptime.now())
    }

    fn gather(&mut self, first: Ask) -> Vec<Ask> {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = self.asks.try_recv()
        {
            group.push(next);
        }
        group
    }

    /// Writes the group as one entry and answers; an empty group renews the lease.
    async fn serve(&mut self, mut group: Vec<Ask>) -> Result<Done, Stop> {
        let renewal = group.is_empty();
        loop {
            if let Err(stop) = self.held.in_time() {
                return Err(self.refuse_all(group, stop));
            }
            let entry =
                if renewal { self.entry(vec![Record::Lease(LeaseEvent::Renewed)]) } else { self.draft(&mut group) };
            if entry.records.is_empty() {
                return Ok(Done::GoOn);
            }
            let started = self.held.ledger.uptime.now();
            let outcome = match log::write_entry(&self.held.ledger.store, &entry).await {
                Ok(Outcome::Written) => self.fold(&entry).map(|()| true),
                Ok(Outcome::Lost(other)) => self.fold(&other).map(|()| false),
                Err(error) => Err(Stop::Other(in_full(&error))),
            };
            match outcome {
                Ok(true) => {
                    *self.held.written.lock().unwrap_or_else(PoisonError::into_inner) = started;
                    for ask in group {
                        let _ = ask.reply.send(Ok(()));
                    }
                    let released = entry.records.contains(&Record::Lease(LeaseEvent::Released));
                    return Ok(if released { Done::Released } else { Done::GoOn });
                }
                Ok(false) => {}
                Err(stop) => return Err(self.refuse_all(group, stop)),
            }
        }
    }

    /// Makes the entry of all that doesn't contradict the log; what does is answered and taken out of the group.
    fn draft(&self, group: &mut Vec<Ask>) -> Entry {
        let all = self.entry(group.iter().flat_map(|ask| ask.records.clone()).collect());
        if self.contradiction(&all).is_none() {
            return all;
        }
        let mut accepted = self.entry(Vec::new());
        for ask in std::mem::take(group) {
            let before = accepted.records.len();
            accepted.records.extend(ask.records.iter().cloned());
            match self.contradiction(&accepted) {
                None => group.push(ask),
                Some(why) => {
                    accepted.records.truncate(before);
                    let _ = ask.reply.send(Err(LedgerError::Refused { why }));
                }
            }
        }
        accepted
    }

    fn contradiction(&self, entry: &Entry) -> Option<String> {
        let mut part = reading(&self.held.state).excerpt(&entry.records);
        part.try_apply(entry).err().or_else(|| part.collision(&entry.records))
    }

    fn entry(&self, records: Vec<Record>) -> Entry {
        Entry {
            format: FORMAT,
            sequence: reading(&self.held.state).sequence() + 1,
            nonce: nonce(),
            lane: self.held.lane,
            lease: self.held.lease,
            at: self.held.ledger.clock.now(),
            records,
        }
    }

    /// Folds an entry in, and sees whether the lane is still ours.
    fn fold(&self, entry: &Entry) -> Result<(), Stop> {
        let mut state = writing(&self.held.state);
        state.apply(entry).map_err(|error| Stop::Other(in_full(&error)))?;
        match state.lanes.get(&self.held.lane) {
            Some(lane) if lane.lease > self.held.lease => {
                Err(Stop::Lost(format!("entry {} took the lane with lease {}", entry.sequence, lane.lease)))
            }
            _ => Ok(()),
        }
    }

    fn refuse_all(&self, group: Vec<Ask>, stop: Stop) -> Stop {
        let _ = self.held.stopped.set(stop.clone());
        for ask in group {
            let _ = ask.reply.send(Err(self.held.stopped()));
        }
        stop
    }

    /// A checkpoint only saves time, so a failure is no reason to stop: the next entry tries again.
    async fn checkpoint_if_due(&mut self) {
        let sequence = reading(&self.held.state).sequence();
        if !self.checkpoint.is_behind(sequence) {
            return;
        }
        match checkpoint::write(&self.held.ledger.store, &self.held.state).await {
            Ok(last) => self.checkpoint = last,
            Err(error) => {
                tracing::warn!(error = in_full(&error), "a checkpoint of the ledger couldn't be written");
                return;
            }
        }
        let ledger = &self.held.ledger;
        if let Err(error) = prune::entries(&ledger.store, ledger.clock.now()).await {
            tracing::warn!(error = in_full(&error), "old entries of the ledger couldn't be deleted");
        }
    }
}

enum Done {
    GoOn,
    Released,
}

/// Prints an error with its causes: it is going to be told to several, who can't share its value.
fn in_full(error: &LedgerError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
