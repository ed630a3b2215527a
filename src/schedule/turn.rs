//! What becomes of the instants of a schedule: pure. Each is run, or is covered by a run for a later one, or is skipped for a reason
//! that is told.

use chrono::{DateTime, TimeDelta, Utc};

use super::Timetable;
use crate::pipeline::file::{CatchUp, Overlap};

/// What lies further ahead than this comes from a clock that was wrong, by a zone perhaps. Steps that a clock takes to be right are
/// smaller, and no instant is to come twice by them.
const AHEAD: TimeDelta = TimeDelta::minutes(15);

/// Why an instant isn't run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The run before it still goes on, or waits (`overlap: skip`).
    Overlap,
    /// The pipeline is paused.
    Paused,
    /// It passed while there was no daemon (`catch_up: none`).
    Missed,
}

/// What is to be done about an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A run begins for it.
    Run(DateTime<Utc>),
    /// A run begins for it once the one before has ended.
    Queued(DateTime<Utc>),
    /// Nothing.
    Skipped(DateTime<Utc>, Skip),
}

/// Up to which instant nothing is left to do: what the ledger is to remember.
pub type Settled = Option<DateTime<Utc>>;

/// Where one pipeline stands in its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The last instant that was decided on.
    decided: DateTime<Utc>,
    /// Whether a run goes on, or waits for a place.
    active: bool,
    /// The instant that waits for the run to end.
    queued: Option<DateTime<Utc>>,
}

impl Turn {
    /// Takes a pipeline up at `now`, with what the ledger remembers. Returns what is to be done about the instants that were missed,
    /// and what the ledger is to remember.
    #[must_use]
    pub fn begin(
        remembered: Settled,
        now: DateTime<Utc>,
        table: Option<&Timetable>,
        catch_up: CatchUp,
    ) -> (Self, Option<Step>, Settled) {
        let believed = remembered.filter(|settled| *settled <= now + AHEAD);
        let mut turn = Self { decided: believed.unwrap_or(now), active: false, queued: None };
        // What is due, but still delayed by its jitter, isn't missed.
        let missed = table.and_then(|table| table.last_within(turn.decided, now - table.delay()));
        let Some(missed) = missed else { return (turn, None, believed.is_none().then_some(now)) };
        turn.decided = missed;
        match catch_up {
            CatchUp::Latest => {
                turn.active = true;
                (turn, Some(Step::Run(missed)), None)
            }
            CatchUp::None => (turn, Some(Step::Skipped(missed, Skip::Missed)), Some(missed)),
        }
    }

    /// Returns the instant that comes next; its run begins by the delay of the timetable later.
    #[must_use]
    pub fn next(&self, table: &Timetable) -> Option<DateTime<Utc>> {
        table.next_after(self.decided)
    }

    /// Goes on from `now` where the clock was put back, so far that what was decided on last lies ahead. Returns whether it was, and
    /// what the ledger is to remember.
    #[must_use]
    pub fn set_back(&mut self, now: DateTime<Utc>) -> (bool, Settled) {
        if self.decided <= now + AHEAD {
            return (false, None);
        }
        self.decided = now;
        (true, self.settled())
    }

    /// Goes by another schedule from `now` on: what that had before isn't due. Returns what the ledger is to remember.
    #[must_use]
    pub const fn rescheduled(&mut self, now: DateTime<Utc>) -> Settled {
        self.decided = now;
        self.settled()
    }

    /// Decides on an instant whose time has come. Where the process was held up, or the machine slept, it stands for those before it
    /// too.
    #[must_use]
    pub fn fire(&mut self, instant: DateTime<Utc>, paused: bool, overlap: Overlap) -> (Step, Settled) {
        self.decided = instant;
        let step = match (paused, self.active, overlap) {
            (true, ..) => Step::Skipped(instant, Skip::Paused),
            (_, true, Overlap::Skip) => Step::Skipped(instant, Skip::Overlap),
            (_, true, Overlap::Queue) => {
                self.queued = Some(instant);
                Step::Queued(instant)
            }
            (_, false, _) => {
                self.active = true;
                Step::Run(instant)
            }
        };
        (step, self.settled())
    }

    /// Begins a run that a person asked for; false where one goes on.
    #[must_use]
    pub fn begin_by_hand(&mut self) -> bool {
        !std::mem::replace(&mut self.active, true)
    }

    /// Tells whether a run goes on, or waits for a place.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// Returns the instant that waits for the run to end.
    #[must_use]
    pub const fn queued(&self) -> Option<DateTime<Utc>> {
        self.queued
    }

    /// Ends the run. Returns what begins now, and what the ledger is to remember.
    #[must_use]
    pub fn ended(&mut self) -> (Option<Step>, Settled) {
        self.active = false;
        let next = self.queued.take();
        if let Some(queued) = next {
            self.active = true;
            return (Some(Step::Run(queued)), Some(queued - TimeDelta::seconds(1)));
        }
        (None, self.settled())
    }

    const fn settled(&self) -> Settled {
        if self.active { None } else { Some(self.decided) }
    }
}

/// Returns up to which instant nothing is left to do once a pause ends, which no daemon may have seen: what came while it lasted isn't
/// made up for. None where something from before it is: then the last that was missed is made up for, as after any stop.
#[must_use]
pub fn after_pause(settled: DateTime<Utc>, paused: DateTime<Utc>, now: DateTime<Utc>, table: &Timetable) -> Settled {
    let until = now - table.delay();
    let open = table.last_within(settled, paused.min(until)).is_some();
    (!open && until > settled).then_some(until)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::timetable::tests::timetable;
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    #[test]
    fn a_pipeline_that_is_new_begins_with_its_next_instant() {
        let table = timetable("cron: '*/10 * * * *'");
        let (turn, step, settled) = Turn::begin(None, at(5), Some(&table), CatchUp::Latest);
        assert_eq!((step, settled), (None, Some(at(5))));
        assert_eq!(turn.next(&table), Some(at(10)));
    }

    #[test]
    fn what_was_missed_is_made_up_for_once_or_skipped() {
        let table = timetable("cron: '*/10 * * * *'");
        let (turn, step, settled) = Turn::begin(Some(at(10)), at(45), Some(&table), CatchUp::Latest);
        assert_eq!((step, settled), (Some(Step::Run(at(40))), None));
        assert_eq!(turn.next(&table), Some(at(50)));
        let (_, step, settled) = Turn::begin(Some(at(10)), at(45), Some(&table), CatchUp::None);
        assert_eq!((step, settled), (Some(Step::Skipped(at(40), Skip::Missed)), Some(at(40))));
        let (_, step, settled) = Turn::begin(Some(at(40)), at(45), Some(&table), CatchUp::Latest);
        assert_eq!((step, settled), (None, None), "nothing was missed");
    }

    #[test]
    fn another_schedule_counts_from_when_it_was_seen() {
        let table = timetable("cron: '*/10 * * * *'");
        let mut turn = Turn::begin(None, at(0), None, CatchUp::Latest).0;
        assert_eq!(turn.rescheduled(at(45)), Some(at(45)), "the ledger is to know");
        assert_eq!(turn.next(&table), Some(at(50)), "not the one at 10");
        assert!(turn.begin_by_hand());
        assert_eq!(turn.rescheduled(at(55)), None, "a run goes on, which is to be made up for where it dies");
    }

    #[test]
    fn what_came_in_a_pause_is_settled_by_its_end() {
        let table = timetable("cron: '*/10 * * * *'");
        assert_eq!(after_pause(at(20), at(25), at(45), &table), Some(at(45)));
        assert_eq!(after_pause(at(10), at(25), at(45), &table), None, "a run for 20 goes on, or was missed");
        assert_eq!(after_pause(at(50), at(25), at(45), &table), None, "the clock was set back");
    }

    #[test]
    fn a_note_from_a_far_future_blocks_nothing() {
        let table = timetable("cron: '*/10 * * * *'");
        let (turn, step, settled) = Turn::begin(Some(at(5_000_000)), at(5), Some(&table), CatchUp::Latest);
        assert_eq!((step, settled), (None, Some(at(5))));
        assert_eq!(turn.next(&table), Some(at(10)));
    }

    #[test]
    fn a_clock_that_is_put_back_leaves_the_schedule_going() {
        let table = timetable("cron: '*/10 * * * *'");
        let mut turn = Turn::begin(None, at(0), Some(&table), CatchUp::Latest).0;
        let wrong = turn.next(&table).unwrap() + TimeDelta::days(3);
        assert_eq!(turn.fire(wrong, false, Overlap::Skip), (Step::Run(wrong), None));
        assert_eq!(turn.set_back(at(15)), (true, None), "its run goes on");
        assert_eq!(turn.next(&table), Some(at(20)), "not in three days, and not always a moment ahead");
        assert_eq!(turn.set_back(at(15)), (false, None), "once");
        assert_eq!(turn.ended(), (None, Some(at(15))));
        let _ = turn.fire(wrong, true, Overlap::Skip);
        assert_eq!(turn.set_back(at(25)), (true, Some(at(25))));
        let _ = turn.fire(at(30), true, Overlap::Skip);
        assert_eq!(
            (turn.set_back(at(15)), turn.next(&table)),
            ((false, None), Some(at(40))),
            "none comes twice by a small step"
        );
    }

    #[test]
    fn a_firing_meets_a_run_that_goes_on() {
        let mut turn = Turn::begin(None, at(0), None, CatchUp::Latest).0;
        assert_eq!(turn.fire(at(10), false, Overlap::Skip), (Step::Run(at(10)), None));
        assert!(!turn.begin_by_hand());
        assert_eq!(turn.fire(at(20), false, Overlap::Skip), (Step::Skipped(at(20), Skip::Overlap), None));
        assert_eq!(turn.fire(at(30), false, Overlap::Queue), (Step::Queued(at(30)), None));
        assert_eq!(turn.fire(at(40), false, Overlap::Queue), (Step::Queued(at(40)), None), "the last one waits");
        let (next, settled) = turn.ended();
        assert_eq!((next, settled), (Some(Step::Run(at(40))), Some(at(40) - TimeDelta::seconds(1))));
        assert_eq!(turn.ended(), (None, Some(at(40))));
        assert_eq!(turn.fire(at(50), true, Overlap::Queue), (Step::Skipped(at(50), Skip::Paused), Some(at(50))));
        assert!(turn.begin_by_hand());
    }

    /// What happens in the life of a daemon.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Minutes(i64),
        RunEnds,
        Killed,
    }

    fn life() -> impl Strategy<Value = Vec<Happens>> {
        let one = prop_oneof![
            5 => (1_i64..25).prop_map(Happens::Minutes),
            4 => Just(Happens::RunEnds),
            1 => Just(Happens::Killed),
        ];
        prop::collection::vec(one, 1..120)
    }

    proptest! {
        #[test]
        fn no_instant_is_lost_and_none_doubled(life in life(), queue in any::<bool>()) {
            let table = timetable("cron: '*/10 * * * *'");
            let overlap = if queue { Overlap::Queue } else { Overlap::Skip };
            let (mut now, mut note): (DateTime<Utc>, Settled) = (at(3), None);
            let (mut ended, mut skipped) = (BTreeMap::<DateTime<Utc>, u32>::new(), Vec::new());
            let mut alive: Option<(Turn, Option<DateTime<Utc>>)> = None;
            for happens in life.into_iter().chain([Happens::Minutes(10), Happens::RunEnds, Happens::RunEnds]) {
                if alive.is_none() {
                    let (turn, step, settled) = Turn::begin(note, now, Some(&table), CatchUp::Latest);
                    note = settled.or(note);
                    let running = step.map(|step| match step { Step::Run(at) => at, other => panic!("{other:?}") });
                    alive = Some((turn, running));
                }
                let (turn, running) = alive.as_mut().unwrap();
                match happens {
                    Happens::Killed => {
                        alive = None;
                        now += TimeDelta::minutes(17);
                    }
                    Happens::Minutes(minutes) => for _ in 0..minutes {
                        now += TimeDelta::minutes(1);
                        if let Some(instant) = turn.next(&table).filter(|next| *next <= now) {
                            let (step, settled) = turn.fire(instant, false, overlap);
                            note = settled.or(note);
                            match step {
                                Step::Run(at) => *running = Some(at),
                                Step::Skipped(at, Skip::Overlap) => skipped.push(at),
                                Step::Queued(_) => {}
                                Step::Skipped(..) => panic!("{step:?}"),
                            }
                        }
                    },
                    Happens::RunEnds => if let Some(at) = running.take() {
                        *ended.entry(at).or_default() += 1;
                        let (step, settled) = turn.ended();
                        note = settled.or(note);
                        *running = step.map(|step| match step { Step::Run(at) => at, other => panic!("{other:?}") });
                    },
                }
            }
            prop_assert!(ended.values().all(|times| *times == 1), "{ended:?}");
            let settled = note.unwrap();
            let mut instant = table.next_after(at(3)).unwrap();
            while instant <= settled {
                let covered = ended.range(instant..).next().is_some() || skipped.contains(&instant);
                prop_assert!(covered, "{instant} is lost: {ended:?} {skipped:?} {settled}");
                instant = table.next_after(instant).unwrap();
            }
        }
    }
}
