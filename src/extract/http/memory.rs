//! Memory for the answers in flight and what is made of them: one budget for the process, reserved as bodies arrive.
//!
//! An answer whose turn it is, the head of its slice's line, always gets what it needs; one that was asked for early gets what
//! is free, or is given up and asked for again in its turn. So whatever is held by answers that wait, the heads go on: of those
//! that find no room one at a time leads, which goes on all the same, and the others wait for it, or for room. Nobody who
//! waits here holds anything that the leader needs: it has its slot of the host already. A quarter of the limit is kept for the leader; what it takes beyond that is owed, and nobody else gets any until that is given back.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

/// How much memory answers in flight may take unless told otherwise.
pub const DEFAULT_MEMORY_LIMIT: u64 = 256 * 1024 * 1024;

/// What is reserved at once: bytes of one permit.
const UNIT: u64 = 1024;

/// The part of the limit that is kept for the answer that leads.
const FOR_THE_LEADER: u64 = 4;

/// The budget of a process.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    /// Units that all may have.
    units: u64,
    free: Arc<Semaphore>,
    /// Held by the answer that goes on whatever is free.
    lead: Arc<AsyncMutex<()>>,
    /// Units that are held and weren't free: what is given back pays for them first.
    owed: Mutex<u64>,
}

impl Memory {
    /// Makes a budget of about `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let units = (limit - limit / FOR_THE_LEADER).div_ceil(UNIT).min(Semaphore::MAX_PERMITS as u64);
        let free = Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS));
        Self { limit, units, free: Arc::new(free), lead: Arc::default(), owed: Mutex::default() }
    }

    /// Returns the limit, in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns how many bytes are reserved at present, to a kibibyte.
    #[must_use]
    pub fn held(&self) -> u64 {
        let owed = self.owed();
        (self.units - self.free.available_permits() as u64 + *owed) * UNIT
    }

    /// Makes room for an answer, empty so far, of about `expected` bytes.
    pub fn room(self: &Arc<Self>, turn: Turn, expected: u64) -> Room {
        Room { memory: Arc::clone(self), turn, expected, weight: 0, used: 0, reserved: 0, lead: None }
    }

    fn owed(&self) -> MutexGuard<'_, u64> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes units, those that aren't free as well.
    fn take(&self, units: u64) {
        let mut owed = self.owed();
        let free = self.free.forget_permits(usize::try_from(units).unwrap_or(usize::MAX));
        *owed += units - free as u64;
    }

    fn give_back(&self, units: u64) {
        let mut owed = self.owed();
        let paid = units.min(*owed);
        *owed -= paid;
        self.free.add_permits(usize::try_from(units - paid).unwrap_or(usize::MAX));
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY_LIMIT)
    }
}

/// Whether it is an answer's turn: then it may wait for room, and others wait for it. Copies are one.
#[derive(Debug, Clone)]
pub struct Turn(Arc<AtomicU8>);

const LATER: u8 = 0;
const NOW: u8 = 1;
const BESIDE: u8 = 2;

impl Turn {
    /// The turn of an answer that is waited for.
    #[must_use]
    pub fn now() -> Self {
        Self(Arc::new(AtomicU8::new(NOW)))
    }

    /// The turn of an answer that was asked for early.
    #[must_use]
    pub fn later() -> Self {
        Self(Arc::new(AtomicU8::new(LATER)))
    }

    /// The turn of an answer that another one, which has room, waits for: a login, a child request. It never waits itself, or the
    /// two would wait for each other.
    #[must_use]
    pub fn beside() -> Self {
        Self(Arc::new(AtomicU8::new(BESIDE)))
    }

    /// The turn has come.
    pub fn comes(&self) {
        self.0.fetch_max(NOW, Ordering::AcqRel);
    }

    fn is(&self, kind: u8) -> bool {
        self.0.load(Ordering::Acquire) == kind
    }
}

/// There is no room for an answer whose turn it isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// The room of one answer, or of something else that takes memory. It is given back when dropped.
#[derive(Debug)]
#[must_use = "the room is given back when it is dropped"]
pub struct Room {
    memory: Arc<Memory>,
    turn: Turn,
    /// Bytes that the answer is expected to have.
    expected: u64,
    /// Bytes that the work on it takes for each of its own.
    weight: u64,
    /// Bytes in use.
    used: u64,
    /// Units that were taken from the budget.
    reserved: u64,
    lead: Option<OwnedMutexGuard<()>>,
}

impl Room {
    /// Makes room for the work on the answer too, once it is its turn: so many bytes for each of the answer. An answer that had room for
    /// itself alone would keep it from others while it waits for more.
    pub const fn with_work(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// Reserves, without waiting, what the answer is expected to take. Tells whether that was free, and `beside` it, which is left
    /// for others.
    pub fn reserve_expected(&mut self, beside: u64) -> bool {
        let (expected, beside) = (self.expected.div_ceil(UNIT), beside.div_ceil(UNIT));
        let free = self.reserve_free(expected.saturating_add(beside));
        if free {
            self.give_back(beside);
        }
        free
    }

    /// Reserves what the answer is expected to take, before it is asked for: to wait then costs no time of the request's.
    pub(super) async fn begin(&mut self) -> Result<(), NoRoom> {
        self.reserve(self.whole(self.expected)).await
    }

    /// Expects `bytes` of the answer, which nothing is there of yet, and reserves what it takes: who knows that waits before there is.
    pub(super) async fn expect(&mut self, bytes: u64) -> Result<(), NoRoom> {
        self.expected = bytes;
        self.begin().await
    }

    /// Makes room for `bytes` more.
    pub async fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        self.used += bytes;
        self.reserve(self.used.div_ceil(UNIT)).await
    }

    /// Makes room for `bytes` more if that is free.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let free = self.reserve_free((self.used + bytes).div_ceil(UNIT));
        self.used += if free { bytes } else { 0 };
        free
    }

    /// Is for `bytes` from now on, whatever is free: they are there.
    pub fn hold(&mut self, bytes: u64) {
        self.used = bytes;
        let units = bytes.div_ceil(UNIT);
        if units > self.reserved {
            self.memory.take(units - self.reserved);
            self.reserved = units;
        } else {
            self.give_back(self.reserved - units);
        }
    }

    /// Gives all of it to somebody else.
    pub fn take(&mut self) -> Self {
        let none = self.memory.room(self.turn.clone(), 0);
        std::mem::replace(self, none)
    }

    /// Lets another answer lead: this one waits for requests next, whose slots those may have that wait to lead.
    pub fn let_lead(&mut self) {
        self.lead = None;
    }

    /// The answer so far is dropped: it is asked for again.
    pub(super) const fn restart(&mut self) {
        self.used = 0;
    }

    /// The answer is dropped, and what was made of it.
    pub(super) fn fit_to_nothing(&mut self) {
        self.hold(0);
        self.let_lead();
    }

    /// The answer is whole: gives back what it doesn't need.
    pub(super) fn fit(&mut self) {
        self.give_back(self.reserved.saturating_sub(self.whole(self.used)));
    }

    /// Returns how many units an answer of so many bytes needs, with the work on it where that comes next.
    fn whole(&self, bytes: u64) -> u64 {
        let work = if self.turn.is(NOW) { bytes.saturating_mul(self.weight) } else { 0 };
        bytes.saturating_add(work).div_ceil(UNIT)
    }

    /// Makes sure that there are `units` in all.
    async fn reserve(&mut self, units: u64) -> Result<(), NoRoom> {
        if self.reserve_free(units) {
            return Ok(());
        }
        let missing = units - self.reserved;
        if self.lead.is_none() && !self.turn.is(BESIDE) {
            if !self.turn.is(NOW) {
                return Err(NoRoom);
            }
            // Who waits for permits has those that are free meanwhile, so that no answer asked for early takes them.
            tokio::select! {
                biased;
                permits = Arc::clone(&self.memory.free).acquire_many_owned(many(missing)) => {
                    // The semaphore is never closed; were it, going on would be right.
                    if let Ok(permits) = permits {
                        permits.forget();
                        self.reserved += missing;
                        return Ok(());
                    }
                }
                lead = Arc::clone(&self.memory.lead).lock_owned() => self.lead = Some(lead),
            }
        }
        self.memory.take(missing);
        self.reserved += missing;
        Ok(())
    }

    /// Reserves what is missing to `units` if it is free.
    fn reserve_free(&mut self, units: u64) -> bool {
        let missing = units.saturating_sub(self.reserved);
        if missing == 0 {
            return true;
        }
        match self.memory.free.try_acquire_many(many(missing)) {
            Ok(permits) => {
                permits.forget();
                self.reserved += missing;
                true
            }
            Err(_) => false,
        }
    }

    fn give_back(&mut self, units: u64) {
        self.reserved -= units;
        self.memory.give_back(units);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.reserved);
    }
}

/// Counts permits. No body has 4 TiB.
fn many(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Makes a budget of `all` bytes beside what is kept for the leader.
    fn memory(all: u64) -> Arc<Memory> {
        Arc::new(Memory::new(all * FOR_THE_LEADER / (FOR_THE_LEADER - 1)))
    }

    #[tokio::test]
    async fn what_was_asked_for_early_takes_what_is_free_and_no_more() {
        let memory = memory(4 * MIB);
        let mut early = memory.room(Turn::later(), 3 * MIB);
        assert!(early.reserve_expected(0));
        assert_eq!(memory.held(), 3 * MIB);
        assert!(!memory.room(Turn::later(), 2 * MIB).reserve_expected(0), "there is no room to expect it in");
        for _ in 0..4 {
            early.grow(MIB).await.unwrap();
        }
        assert_eq!(early.grow(1).await, Err(NoRoom));
        drop(early);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn the_head_goes_on_though_all_is_held() {
        let memory = memory(2 * MIB);
        let (mut waits, turn) = (memory.room(Turn::later(), 0), Turn::later());
        waits.grow(2 * MIB).await.unwrap();
        let mut head = memory.room(turn.clone(), 0);
        assert_eq!(head.grow(MIB).await, Err(NoRoom));
        turn.comes();
        head.restart();
        head.grow(5 * MIB).await.unwrap();
        assert_eq!(memory.held(), 7 * MIB);
        // Another one waits for it, or for room, of which there is none before all is given back that wasn't free.
        let mut other = memory.room(Turn::now(), 0);
        for given_back in [None, Some(waits)] {
            drop(given_back);
            assert!(tokio::time::timeout(Duration::from_millis(20), other.grow(MIB)).await.is_err());
            other.restart();
        }
        assert_eq!(memory.held(), 5 * MIB);
        drop(head);
        other.grow(MIB).await.unwrap();
        drop(other);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn what_another_waits_for_never_waits() {
        let memory = memory(MIB);
        let (mut leads, mut login) = (memory.room(Turn::now(), 0), memory.room(Turn::beside(), 0));
        leads.grow(2 * MIB).await.unwrap();
        login.grow(MIB).await.unwrap();
        assert_eq!(memory.held(), 3 * MIB);
        // Where it starts again, another one may lead meanwhile.
        leads.fit_to_nothing();
        let mut other = memory.room(Turn::now(), 0);
        other.grow(5 * MIB).await.unwrap();
        drop((leads, login, other));
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn who_knows_how_large_it_gets_waits_before_it_holds_anything() {
        let memory = memory(4 * MIB);
        let head = || memory.room(Turn::now(), 0).with_work(1);
        let (mut first, mut leads) = (head(), head());
        first.expect(2 * MIB).await.unwrap();
        leads.expect(2 * MIB).await.unwrap();
        assert_eq!(memory.held(), 8 * MIB, "each with the work on it");
        let mut third = head();
        assert!(tokio::time::timeout(Duration::from_millis(20), third.expect(MIB)).await.is_err());
        assert_eq!(memory.held(), 8 * MIB);
        // What an early one waits for is its turn: the work on it comes after that.
        drop((first, leads));
        let mut early = memory.room(Turn::later(), 0).with_work(1);
        early.expect(3 * MIB).await.unwrap();
        assert_eq!(memory.held(), 3 * MIB);
        drop(early);
        third.expect(MIB).await.unwrap();
        third.grow(MIB).await.unwrap();
        third.fit();
        assert_eq!(memory.held(), 2 * MIB);
        third.grow(MIB).await.unwrap();
        assert_eq!(memory.held(), 2 * MIB);
    }

    #[tokio::test]
    async fn what_is_there_is_counted_and_pushes_others_back() {
        let memory = memory(4 * MIB);
        let (mut page, mut rows) = (memory.room(Turn::now(), 3 * MIB), memory.room(Turn::beside(), 0));
        page.begin().await.unwrap();
        rows.hold(2 * MIB);
        assert_eq!(memory.held(), 5 * MIB, "it doesn't wait");
        page.hold(2 * MIB);
        assert_eq!(memory.held(), 4 * MIB);
        assert!(!memory.room(Turn::later(), UNIT).reserve_expected(0), "what was given back was owed");
        let mut taken = rows.take();
        drop(rows);
        taken.hold(MIB);
        assert_eq!(memory.held(), 3 * MIB);
        assert!(memory.room(Turn::later(), MIB).reserve_expected(0));
        drop((page, taken));
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn what_was_expected_and_did_not_come_is_given_back() {
        let memory = memory(2 * MIB);
        let mut head = memory.room(Turn::now(), 5 * MIB);
        head.begin().await.unwrap();
        assert_eq!(memory.held(), 5 * MIB, "all of it beyond the limit, for it isn't free as a whole");
        head.grow(MIB + 1).await.unwrap();
        head.fit();
        assert_eq!(memory.held(), MIB + UNIT);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn heads_beyond_the_limit_lead_one_at_a_time_and_all_come_to_their_end() {
        const PAGE: u64 = 3 * MIB;
        let memory = memory(4 * MIB);
        let waits: Vec<Room> = {
            let mut room = memory.room(Turn::later(), 4 * MIB);
            assert!(room.reserve_expected(0));
            vec![room]
        };
        let most = Arc::new(AtomicU64::new(0));
        let heads = (0..16).map(|_| {
            let (memory, most) = (Arc::clone(&memory), Arc::clone(&most));
            tokio::spawn(async move {
                let mut room = memory.room(Turn::now(), 0);
                for _ in 0..PAGE / (64 * UNIT) {
                    room.grow(64 * UNIT).await.unwrap();
                    most.fetch_max(memory.held(), Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        for head in heads.collect::<Vec<_>>() {
            tokio::time::timeout(Duration::from_secs(60), head).await.expect("a head waits for ever").unwrap();
        }
        let most = most.load(Ordering::Relaxed);
        assert!(most > 4 * MIB && most <= 4 * MIB + PAGE, "{most}");
        drop(waits);
        assert_eq!(memory.held(), 0);
    }
}
