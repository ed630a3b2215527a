//! Leases: who may write for a lane, and how one who waits tells a dead holder from a living one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::entry::{Entry, FORMAT, LeaseEvent, Record};
use super::lane::Lane;
use super::log::{self, Outcome};
use super::state::{LaneState, LedgerState};
use super::writer::{Taken, Writer};
use super::{Ledger, LedgerError, lock_file, lock_path};

/// How long to wait before a lock that is held is looked at again.
const GLANCE: Duration = Duration::from_millis(20);

impl Ledger {
    /// Takes the lease of `lane`. The next thing to do is [`Writer::recover`].
    ///
    /// A lane is free when no living run holds it or a lane that divides the slices differently, and when nobody is settling
    /// what such lanes left open. On disk an OS lock tells at once whether a holder lives. Elsewhere that takes up to the ttl,
    /// also without `wait`: which means not to wait for the end of a run that is seen to live.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Held`] without `wait`; else as [`Ledger::read_state`], and [`LedgerError::Disk`] for the lock.
    pub async fn acquire(&self, lane: Lane, wait: bool) -> Result<Writer, LedgerError> {
        self.acquire_with(lane, Patience { wait, heard: &|_| {}, give_up: CancellationToken::new() }).await
    }

    /// Does as [`Self::acquire`] for one who is told what it waits for, and may give up.
    ///
    /// # Errors
    ///
    /// As [`Self::acquire`], and [`LedgerError::Held`] for one who gives up.
    pub async fn acquire_with(&self, lane: Lane, patience: Patience<'_>) -> Result<Writer, LedgerError> {
        let (mut state, checkpoint) = log::load(&self.store).await?;
        let mut looked = 0;
        let mut seeker = Look { ledger: self, lane, own: Own::Unknown, watch: Watch::default() };
        loop {
            log::catch_up(&self.store, &mut state).await?;
            match seeker.around(&state)? {
                Found::Free { adopts, foreign } => {
                    let started = self.uptime.now();
                    let died = state.lanes().any(|(_, at)| at.holder.is_some());
                    let lease = self.take(lane, adopts, &mut state).await?;
                    drop(foreign);
                    if let Some(lease) = lease {
                        // Nobody else writes then, so what is unfinished was left by a process that was killed.
                        if lane == Lane::WHOLE {
                            self.store.sweep(died).await?;
                        }
                        let lock = seeker.own.into_lock();
                        return Ok(Writer::start(self, Taken { lane, lease, lock, started, state, checkpoint }));
                    }
                }
                // Who only looks whether a holder lives has its lock for a moment.
                Found::Blocked { by, alive: true } if !patience.wait && looked > 1 => return Err(by),
                Found::Blocked { alive: true, .. } if !patience.wait => {
                    looked += 1;
                    tokio::time::sleep(GLANCE).await;
                }
                Found::Blocked { by, .. } => {
                    tracing::debug!(pipeline = %self.pipeline, %lane, "waiting for a lease: {by}");
                    (patience.heard)(&by);
                    tokio::select! {
                        () = tokio::time::sleep(self.timing.poll.min(shortest_poll(&state))) => {}
                        // Nowhere else: a lease that is being taken has an owner.
                        () = patience.give_up.cancelled() => return Err(by),
                    }
                }
            }
        }
    }

    /// Returns the lanes whose holders have died, as far as that shows: on disk their locks are free; elsewhere `watch` has seen no sign
    /// of life of them for as long as their leases live. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Disk`] where a lock can't be looked at.
    pub fn dead(&self, state: &LedgerState, watch: &mut Watch) -> Result<BTreeSet<Lane>, LedgerError> {
        let mut dead = BTreeSet::new();
        for (lane, at) in state.lanes().filter(|(_, at)| at.holder.is_some()) {
            let is_dead = match self.store.disk().map(|directory| is_free(directory, lane)).transpose()?.flatten() {
                Some(free) => free,
                None => watch.judge(lane, at, self.uptime.now(), at.ttl()) == Life::Dead,
            };
            if is_dead {
                dead.insert(lane);
            }
        }
        Ok(dead)
    }

    /// Writes the entry that takes the lane; `None` where another entry came first, which is folded in.
    async fn take(&self, lane: Lane, adopts: Vec<Lane>, state: &mut LedgerState) -> Result<Option<u64>, LedgerError> {
        let lease = state.lanes.get(&lane).map_or(0, |lane| lane.lease) + 1;
        let entry = Entry {
            format: FORMAT,
            sequence: state.sequence() + 1,
            nonce: nonce(),
            lane,
            lease,
            at: self.clock.now(),
            records: vec![Record::Lease(LeaseEvent::Taken {
                holder: holder(),
                adopts,
                ttl_ms: self.timing.told(),
                asked: self.asked.clone(),
            })],
        };
        match log::write_entry(&self.store, &entry).await? {
            Outcome::Written => state.apply(&entry).map(|()| Some(lease)),
            Outcome::Lost(other) => state.apply(&other).map(|()| None),
        }
    }
}

/// How one waits for a lease.
pub struct Patience<'a> {
    /// Whether to wait for the end of a run that is seen to live.
    pub wait: bool,
    /// Hears who holds the lease, a [`LedgerError::Held`], each time that it is found held.
    pub heard: &'a (dyn Fn(&LedgerError) + Send + Sync),
    /// Ends the waiting, once it is cancelled.
    pub give_up: CancellationToken,
}

/// One who wants a lane and looks around.
struct Look<'a> {
    ledger: &'a Ledger,
    lane: Lane,
    own: Own,
    watch: Watch,
}

/// The lock of the lane that is wanted.
enum Own {
    Unknown,
    Locked(File),
    /// There are no locks here.
    Lockless,
}

impl Own {
    fn into_lock(self) -> Option<File> {
        match self {
            Self::Locked(file) => Some(file),
            Self::Unknown | Self::Lockless => None,
        }
    }
}

enum Found {
    Free {
        /// Dead lanes whose open ends become ours.
        adopts: Vec<Lane>,
        /// Their locks, to be held until it is written that they are ours.
        foreign: Vec<File>,
    },
    Blocked {
        by: LedgerError,
        /// Whether the holder is known to live.
        alive: bool,
    },
}

impl Look<'_> {
    fn around(&mut self, state: &LedgerState) -> Result<Found, LedgerError> {
        if matches!(self.own, Own::Unknown) {
            self.own = match self.lock(self.lane)? {
                Lock::Got(file) => Own::Locked(file),
                Lock::Lockless => Own::Lockless,
                Lock::Busy => return Ok(self.blocked(self.lane, state.lanes.get(&self.lane), true)),
            };
        }
        let left_open = lanes_with_open_ends(state);
        let (mut adopts, mut foreign) = (Vec::new(), Vec::new());
        for (other, at) in state.lanes() {
            let life = self.life(other, at, &mut foreign)?;
            let concerns = self.lane.excludes(other) || at.settling;
            match life {
                _ if !concerns => {}
                Life::Alive => return Ok(self.blocked(other, Some(at), true)),
                Life::NotKnown => return Ok(self.blocked(other, Some(at), false)),
                Life::Dead if other == self.lane => {}
                Life::Dead if at.holder.is_some() || at.settling || left_open.contains(&other) => adopts.push(other),
                Life::Dead => {}
            }
        }
        Ok(Found::Free { adopts, foreign })
    }

    fn life(&mut self, other: Lane, at: &LaneState, foreign: &mut Vec<File>) -> Result<Life, LedgerError> {
        if at.holder.is_none() || (other == self.lane && matches!(self.own, Own::Locked(_))) {
            return Ok(Life::Dead);
        }
        if other != self.lane {
            match self.lock(other)? {
                Lock::Got(file) => {
                    foreign.push(file);
                    return Ok(Life::Dead);
                }
                Lock::Busy => return Ok(Life::Alive),
                Lock::Lockless => {}
            }
        }
        Ok(self.watch.judge(other, at, self.ledger.uptime.now(), at.ttl()))
    }

    fn lock(&self, lane: Lane) -> Result<Lock, LedgerError> {
        let Some(directory) = self.ledger.store.disk() else { return Ok(Lock::Lockless) };
        let (path, file) = lock_file(directory, lane)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock::Got(file)),
            Err(TryLockError::WouldBlock) => Ok(Lock::Busy),
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(Lock::Lockless),
            Err(TryLockError::Error(source)) => Err(LedgerError::Disk { action: "lock", path, source }),
        }
    }

    fn blocked(&self, lane: Lane, at: Option<&LaneState>, alive: bool) -> Found {
        let by = at.and_then(|at| at.holder.clone()).unwrap_or_else(|| "a run that is about to start".to_owned());
        let since = at.map_or_else(|| self.ledger.clock.now(), |at| at.since);
        Found::Blocked { by: LedgerError::Held { lane, by, since }, alive }
    }
}

enum Lock {
    Got(File),
    Busy,
    Lockless,
}

/// What is known about a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    NotKnown,
    Dead,
}

/// Watches lanes for new entries. The clock is the observer's own: what the holder's says doesn't matter.
#[derive(Debug, Default)]
pub struct Watch(BTreeMap<Lane, Sign>);

/// The last sign of life of a holder.
#[derive(Debug)]
struct Sign {
    lease: u64,
    sequence: u64,
    seen: Duration,
    /// Whether it is newer than the first look, which proves nothing: the entry may be old.
    fresh: bool,
}

impl Watch {
    fn judge(&mut self, lane: Lane, at: &LaneState, now: Duration, ttl: Duration) -> Life {
        let (lease, sequence) = (at.lease, at.last_sequence);
        let sign = self.0.entry(lane).or_insert(Sign { lease, sequence, seen: now, fresh: false });
        if (sign.lease, sign.sequence) != (lease, sequence) {
            *sign = Sign { lease, sequence, seen: now, fresh: true };
        }
        match (now.saturating_sub(sign.seen) >= ttl, sign.fresh) {
            (true, _) => Life::Dead,
            (false, true) => Life::Alive,
            (false, false) => Life::NotKnown,
        }
    }
}

impl LaneState {
    /// Returns how long its lease lives without a sign of life.
    fn ttl(&self) -> Duration {
        self.ttl_ms.map_or(super::TTL, Duration::from_millis)
    }
}

/// Tells whether nobody holds the lock of a lane; none where that can't be told by a lock. It is held for a moment by who looks, shared
/// with others who look: who takes the lease then looks again.
fn is_free(directory: &Path, lane: Lane) -> Result<Option<bool>, LedgerError> {
    let path = lock_path(directory, lane);
    let looked = File::open(&path).map(|file| file.try_lock_shared());
    match looked {
        Ok(Ok(())) => Ok(Some(true)),
        Ok(Err(TryLockError::WouldBlock)) => Ok(Some(false)),
        Ok(Err(TryLockError::Error(error))) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(Err(TryLockError::Error(source))) | Err(source) => {
            Err(LedgerError::Disk { action: "look at", path, source })
        }
    }
}

/// Returns how often one should look whether a holder lives whose lease is a short one.
fn shortest_poll(state: &LedgerState) -> Duration {
    let ttl = state.lanes().filter(|(_, at)| at.holder.is_some()).filter_map(|(_, at)| at.ttl_ms).min();
    ttl.map_or(Duration::MAX, |ttl| Duration::from_millis(ttl / 6))
}

/// Returns the lanes under which something is published and not committed, replaced and not deleted, or staged.
fn lanes_with_open_ends(state: &LedgerState) -> BTreeSet<Lane> {
    let open =
        |slice: &super::SliceState| slice.published.is_some() || !slice.replaced.is_empty() || !slice.staged.is_empty();
    let mut lanes = BTreeSet::new();
    for (_, slice) in state.all_slices().filter(|(_, slice)| open(slice)) {
        lanes.extend(slice.lane);
        lanes.extend(slice.replaced.iter().filter_map(|gone| gone.lane));
    }
    lanes
}

/// Names this process for people.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "an unnamed host".to_owned());
    format!("process {} on {}", std::process::id(), host.trim())
}

/// Returns 128 random bits.
pub(super) fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_after_the_ttl_without_a_new_entry() {
        let mut watch = Watch::default();
        let ttl = Duration::from_mins(1);
        let at = |last_sequence| LaneState { lease: 1, last_sequence, ..LaneState::default() };
        let mut judge = |sequence, now| watch.judge(Lane::WHOLE, &at(sequence), Duration::from_secs(now), ttl);
        assert_eq!(judge(7, 100), Life::NotKnown);
        assert_eq!(judge(7, 159), Life::NotKnown);
        assert_eq!(judge(8, 159), Life::Alive);
        assert_eq!(judge(8, 218), Life::Alive);
        assert_eq!(judge(8, 219), Life::Dead);
        assert_eq!(judge(9, 220), Life::Alive);
    }
}
