//! The fold: what it refuses, what it ignores, what it keeps.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::entry::*;
use super::lane::Lane;
use super::runs::RunLife;
use super::state::LedgerState;
use super::summary::{RunOutcome, RunSummary};
use crate::model::{CursorValue, EndReason, FanoutKey, JobName, Reconciliation, Slice, SliceKind, Window};

/// A log in memory, of one lane unless told otherwise.
struct Log {
    state: LedgerState,
}

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
}

fn window(from: i64, to: i64) -> Slice {
    Slice::new(JobName::new("j"), None, Value::Null, SliceKind::Window(Window { from: at(from), to: at(to) }))
}

fn after(series: u32, start: i64, end: Option<i64>) -> Slice {
    let cursor = |value: i64| CursorValue(json!(value));
    let kind = SliceKind::Incremental { series, start: cursor(start), end: end.map(cursor) };
    Slice::new(JobName::new("j"), None, Value::Null, kind)
}

fn landing(slice: &Slice, generation: u32, replaces: Option<u32>) -> Landing {
    Landing {
        at: SliceRef::of(slice),
        kind: slice.kind.clone(),
        generation,
        replaces,
        rows: 3,
        records: 3,
        good: Some(3),
        reconciliation: Reconciliation::of(3, 3, (None, None), EndReason::EmptyPage),
        schema_version: Some(1),
        digest: format!("digest {generation}"),
        list: Some(format!("files/j/{}-g{generation}.json", slice.id)),
        totals: FileTotals { files: 1, rows: 3, bytes: 30 },
        roots: vec!["file:///lake".to_owned()],
    }
}

impl Log {
    fn new() -> Self {
        let mut log = Self { state: LedgerState::default() };
        log.take(Lane::WHOLE, 1, Vec::new()).unwrap();
        log
    }

    fn take(&mut self, lane: Lane, lease: u64, adopts: Vec<Lane>) -> Result<(), String> {
        self.add(
            lane,
            lease,
            vec![Record::Lease(LeaseEvent::Taken { holder: "test".to_owned(), adopts, ttl_ms: None, asked: None })],
        )
    }

    fn add(&mut self, lane: Lane, lease: u64, records: Vec<Record>) -> Result<(), String> {
        let sequence = self.state.sequence() + 1;
        let entry = Entry { format: FORMAT, sequence, nonce: String::new(), lane, lease, at: at(0), records };
        let part = self.state.excerpt(&entry.records).try_apply(&entry);
        let mut whole = self.state.clone();
        let applied = whole.try_apply(&entry);
        assert_eq!(part, applied, "an excerpt refuses exactly what the whole state refuses");
        applied.map(|()| self.state = whole)
    }

    fn one(&mut self, record: Record) -> Result<(), String> {
        self.add(Lane::WHOLE, 1, vec![record])
    }

    fn begin(&mut self, slice: &Slice) -> Result<u32, String> {
        let generation = self.state.next_generation(&SliceRef::of(slice));
        self.one(Record::Begin(Begin { slice: slice.clone(), now: at(9), generation, schema_version: None }))?;
        Ok(generation)
    }

    fn land(&mut self, slice: &Slice) -> Result<(), String> {
        let generation = self.begin(slice)?;
        let replaces = self.state.landed(&SliceRef::of(slice)).map(|landed| landed.generation);
        let landing = landing(slice, generation, replaces);
        self.one(Record::Publish(landing.clone()))?;
        self.one(Record::Commit(landing))
    }
}

fn refused(result: Result<(), String>, with: &str) {
    let why = result.unwrap_err();
    assert!(why.contains(with), "{why}");
}

#[test]
fn a_slice_lands_and_is_replaced() {
    let mut log = Log::new();
    let (first, second) = (window(0, 1), window(1, 2));
    log.land(&first).unwrap();
    log.land(&second).unwrap();
    log.land(&first).unwrap();
    let name = JobName::new("j");
    let ranges: Vec<_> = log.state.landed_ranges(&name, None).iter().map(|range| (range.from, range.to)).collect();
    assert_eq!(ranges, [(at(0), at(2))]);
    let landed = log.state.landed(&SliceRef::of(&first)).unwrap();
    assert_eq!((landed.generation, landed.rows), (2, 3));
    assert!(log.state.unchanged(&SliceRef::of(&first), "digest 2"));
    assert!(!log.state.unchanged(&SliceRef::of(&first), "digest 1"));
    let uncleaned: Vec<_> = log.state.uncleaned().map(|(at, replaced)| (at.slice, replaced.generation)).collect();
    assert_eq!(uncleaned, [(first.id.clone(), 1)]);
    log.one(Record::Cleaned(Generation { at: SliceRef::of(&first), generation: 1 })).unwrap();
    assert_eq!(log.state.uncleaned().count(), 0);
    assert_eq!(log.state.landed_in("file:///lake").len(), 2);
    assert_eq!(log.state.landed_in("file:///pond").len(), 0);
}

#[test]
fn overlapping_slices_do_not_land() {
    let mut log = Log::new();
    log.land(&window(0, 4)).unwrap();
    refused(log.land(&window(3, 5)), "overlaps");
    refused(log.land(&window(1, 2)), "overlaps");
    // The same id, a longer cell: another part of the data under the same name.
    refused(log.land(&window(0, 5)), "another part");
    log.land(&window(4, 5)).unwrap();
}

#[test]
fn an_incremental_chain_has_no_gap_and_no_fork() {
    let mut log = Log::new();
    let name = JobName::new("j");
    refused(log.land(&after(0, 0, None)), "without its last cursor");
    log.one(Record::Close(Close { at: SliceRef::of(&after(0, 0, None)), why: Closed::Empty })).unwrap();
    log.land(&after(0, 0, Some(10))).unwrap();
    refused(log.land(&after(0, 5, Some(20))), "ends at 10");
    refused(log.land(&after(1, 10, Some(20))), "isn't of series 0");
    log.land(&after(0, 10, Some(20))).unwrap();
    log.land(&after(0, 0, Some(10))).unwrap();
    refused(log.land(&after(0, 0, Some(11))), "another part");
    assert_eq!(log.state.chain(&name, None).unwrap().end, Some(CursorValue(json!(20))));
    log.one(Record::Series { job: name.clone(), key: None, series: 1 }).unwrap();
    refused(log.one(Record::Series { job: name, key: None, series: 1 }), "follows series 1");
    log.land(&after(1, 0, Some(3))).unwrap();
}

#[test]
fn steps_out_of_order_are_refused() {
    let mut log = Log::new();
    let slice = window(0, 1);
    let (first, second) = (landing(&slice, 1, None), landing(&slice, 2, None));
    refused(log.one(Record::Publish(first.clone())), "hasn't begun");
    refused(log.one(Record::Commit(first.clone())), "hasn't published");
    log.begin(&slice).unwrap();
    refused(log.one(Record::Publish(second.clone())), "hasn't begun");
    refused(log.one(Record::Publish(landing(&slice, 1, Some(7)))), "replaces generation Some(7)");
    log.one(Record::Publish(first.clone())).unwrap();
    refused(log.begin(&slice).map(drop), "is published");
    refused(log.one(Record::Commit(Landing { rows: 4, ..first.clone() })), "commits other");
    log.one(Record::Void(Generation { at: SliceRef::of(&slice), generation: 1 })).unwrap();
    refused(log.one(Record::Commit(first)), "hasn't published");
    assert_eq!(log.state.open_begins(&JobName::new("j")).next().map(|begin| begin.generation), Some(2));
    log.one(Record::Publish(second.clone())).unwrap();
    log.one(Record::Commit(second)).unwrap();
    assert_eq!(log.state.landed(&SliceRef::of(&slice)).unwrap().generation, 2);
}

#[test]
fn a_slice_with_no_files_commits_without_a_publish_and_replaces() {
    let mut log = Log::new();
    let slice = window(0, 1);
    log.land(&slice).unwrap();
    log.begin(&slice).unwrap();
    let empty = Landing { list: None, roots: Vec::new(), ..landing(&slice, 2, Some(1)) };
    log.one(Record::Commit(empty)).unwrap();
    assert_eq!(log.state.landed_in("file:///lake").len(), 0);
    assert_eq!(log.state.uncleaned().count(), 1);
    log.land(&slice).unwrap();
    assert_eq!(log.state.uncleaned().count(), 1, "a generation with no files leaves nothing to delete");
}

#[test]
fn a_closed_slice_leaves_no_trace_unless_it_had_landed() {
    let mut log = Log::new();
    let slice = after(0, 0, None);
    log.begin(&slice).unwrap();
    log.one(Record::Close(Close { at: SliceRef::of(&slice), why: Closed::Empty })).unwrap();
    assert_eq!(log.state.all_slices().count(), 0);
}

#[test]
fn entries_under_an_older_lease_are_ignored() {
    let mut log = Log::new();
    let slice = window(0, 1);
    log.begin(&slice).unwrap();
    log.one(Record::Publish(landing(&slice, 1, None))).unwrap();
    log.take(Lane::WHOLE, 2, Vec::new()).unwrap();
    log.one(Record::Commit(landing(&slice, 1, None))).unwrap();
    assert_eq!(log.state.landed(&SliceRef::of(&slice)), None);
    assert_eq!(log.state.open_publishes().count(), 1);
    refused(log.add(Lane::WHOLE, 3, vec![]), "no lease 3");
    refused(log.take(Lane::WHOLE, 4, Vec::new()), "follows lease 2");
    log.add(Lane::WHOLE, 2, vec![Record::Lease(LeaseEvent::Released)]).unwrap();
    log.add(Lane::WHOLE, 2, vec![Record::Commit(landing(&slice, 1, None))]).unwrap();
    assert_eq!(log.state.landed(&SliceRef::of(&slice)), None, "nor after the lease was released");
}

#[test]
fn an_adopted_lane_loses_its_lease_and_what_it_left_open() {
    let mut log = Log::new();
    let slice = window(0, 1);
    log.begin(&slice).unwrap();
    log.one(Record::Publish(landing(&slice, 1, None))).unwrap();
    let shard = Lane::shard(1, 4).unwrap();
    log.take(shard, 1, vec![Lane::WHOLE]).unwrap();
    assert_eq!(log.state.slice(&SliceRef::of(&slice)).unwrap().lane, Some(shard));
    log.one(Record::Commit(landing(&slice, 1, None))).unwrap();
    assert_eq!(log.state.open_publishes().count(), 1, "the adopted lane can't commit any more");
    assert!(log.state.lanes[&shard].settling);
    log.add(shard, 1, vec![Record::Commit(landing(&slice, 1, None)), Record::Lease(LeaseEvent::Settled)]).unwrap();
    assert!(!log.state.lanes[&shard].settling);
}

#[test]
fn pins_parents_and_fingerprints_are_kept() {
    let mut log = Log::new();
    let name = JobName::new("j");
    for hour in [5, 6] {
        log.one(Record::PinStart { job: name.clone(), instant: at(hour) }).unwrap();
    }
    assert_eq!(log.state.pinned_start(&name), Some(at(5)));
    for version in [1, 3, 2] {
        log.one(Record::PinSchema { job: name.clone(), version }).unwrap();
    }
    assert_eq!(log.state.schema_version(&name), Some(3));
    let row = |id: i64| ParentRow { key: FanoutKey::new([("id", json!(id))]), row: json!({"id": id}) };
    let parents = |ids: &[i64]| Record::Parents { job: name.clone(), rows: ids.iter().map(|id| row(*id)).collect() };
    log.one(parents(&[1, 2, 3])).unwrap();
    log.one(parents(&[2])).unwrap();
    log.one(parents(&[2, 3])).unwrap();
    let retired: Vec<_> = log.state.retired(&name).map(FanoutKey::as_str).collect();
    assert_eq!(retired, [r#"{"id":1}"#]);
    log.land(&window(0, 1)).unwrap();
}

fn edit(log: &mut Log, accept: Accept, left: &[&str]) {
    let (job, left) = (JobName::new("j"), left.iter().map(|root| (*root).to_owned()).collect());
    let fingerprint = json!({"every": "2h"});
    log.one(Record::Fingerprint { job, fingerprint, accept: Some(accept), left, since: None }).unwrap();
}

#[test]
fn what_is_to_land_again_stays_until_its_next_generation_has_landed() {
    let (mut log, name) = (Log::new(), JobName::new("j"));
    log.land(&window(0, 1)).unwrap();
    log.land(&window(1, 2)).unwrap();
    edit(&mut log, Accept::Reland, &[]);
    assert_eq!(log.state.due_again(&name, None), [Window { from: at(0), to: at(2) }]);
    assert_eq!((log.state.uncleaned().count(), log.state.landed_in("file:///lake").len()), (0, 2));
    log.land(&window(0, 1)).unwrap();
    assert_eq!(log.state.due_again(&name, None), [Window { from: at(1), to: at(2) }]);
    assert_eq!(log.state.uncleaned().count(), 1);
    let begin = Begin { slice: window(1, 2), now: at(0), generation: 2, schema_version: None };
    log.one(Record::Begin(begin)).unwrap();
    let close = Close { at: SliceRef::of(&window(1, 2)), why: Closed::Unchanged };
    log.one(Record::Close(close)).unwrap();
    assert!(!log.state.relands(&name), "what is as it was needn't be read again");
}

#[test]
fn other_sinks_leave_what_is_due_again_due() {
    let (mut log, name) = (Log::new(), JobName::new("j"));
    log.land(&window(0, 1)).unwrap();
    log.land(&window(1, 2)).unwrap();
    edit(&mut log, Accept::Reland, &[]);
    log.land(&window(0, 1)).unwrap();
    edit(&mut log, Accept::Sinks, &["file:///gone"]);
    assert_eq!(log.state.due_again(&name, None), [Window { from: at(1), to: at(2) }]);
    assert!(log.state.has_left(&name, "file:///gone") && log.state.left_roots().eq([(&name, "file:///gone")]));
    edit(&mut log, Accept::Future, &[]);
    assert!(!log.state.relands(&name) && !log.state.has_left(&name, "file:///gone"));
    edit(&mut log, Accept::Restart, &[]);
    edit(&mut log, Accept::Sinks, &[]);
    assert_eq!(log.state.due_anew(&name, None), [Window { from: at(0), to: at(2) }]);
}

#[test]
fn what_is_cut_otherwise_stays_in_sight_until_it_is_covered() {
    let (mut log, name) = (Log::new(), JobName::new("j"));
    for hour in 0..3 {
        log.land(&window(hour, hour + 1)).unwrap();
    }
    edit(&mut log, Accept::Restart, &[]);
    assert!(log.state.landed_ranges(&name, None).is_empty());
    assert_eq!(log.state.due_anew(&name, None), [Window { from: at(0), to: at(3) }]);
    assert_eq!(log.state.uncleaned().count(), 0, "nothing is given up before it is covered");
    // The new grid may have cells where the old one had, and never takes a name that was used.
    log.land(&window(0, 2)).unwrap();
    log.land(&window(4, 6)).unwrap();
    assert_eq!(log.state.landed(&SliceRef::of(&window(0, 2))).unwrap().generation, 2);
    let shown = |log: &Log| {
        let shown = log.state.landed_in("file:///lake");
        shown.iter().map(|(at, generation, _)| format!("{} g{generation}", at.slice)).collect::<Vec<_>>()
    };
    let (zero, one, two, four) = ("19700101T000000Z", "19700101T010000Z", "19700101T020000Z", "19700101T040000Z");
    let old = [format!("{zero} g1"), format!("{one} g1"), format!("{two} g1"), format!("{four} g1")];
    assert_eq!(shown(&log), old, "no row twice");
    let covers = |from, to| log.state.covers(&name, None, Window { from: at(from), to: at(to) });
    assert!(covers(0, 1) && covers(1, 2) && !covers(2, 3));
    let gone = |hour| Generation { at: SliceRef::of(&window(hour, hour + 1)), generation: 1 };
    log.one(Record::Superseded(vec![gone(0), gone(1)])).unwrap();
    assert_eq!(shown(&log), [format!("{zero} g2"), format!("{two} g1"), format!("{four} g1")]);
    assert_eq!(log.state.uncleaned().count(), 2);
    let stored = serde_json::to_string(&log.state).unwrap();
    assert_eq!(serde_json::from_str::<LedgerState>(&stored).unwrap(), log.state);
}

/// Says which generations readers are shown, under which value and from which hour on.
fn shown(log: &Log) -> Vec<String> {
    let shown = log.state.landed_in("file:///lake");
    let key = |at: &SliceRef| at.key.as_ref().map(|key| format!("{key} ")).unwrap_or_default();
    shown.iter().map(|(at, generation, _)| format!("{}{}h g{generation}", key(at), &at.slice.as_str()[9..11])).collect()
}

#[test]
fn values_that_are_gone_hide_nothing_of_values_of_the_same_columns() {
    let (mut log, name) = (Log::new(), JobName::new("j"));
    let key = |column, value| FanoutKey::new([(column, json!(value))]);
    let cell = |key: &FanoutKey, from, to| {
        let kind = SliceKind::Window(Window { from: at(from), to: at(to) });
        Slice::new(JobName::new("j"), Some(key.clone()), Value::Null, kind)
    };
    let (aa, bb, xx) = (key("site", "aa"), key("site", "bb"), key("place", "xx"));
    let parents = |log: &mut Log, keys: &[&FanoutKey]| {
        let rows = keys.iter().map(|key| ParentRow { key: (*key).clone(), row: Value::Null }).collect();
        log.one(Record::Parents { job: name.clone(), rows }).unwrap();
    };
    parents(&mut log, &[&aa, &bb]);
    for key in [&aa, &bb] {
        (0..2).for_each(|hour| log.land(&cell(key, hour, hour + 1)).unwrap());
    }
    edit(&mut log, Accept::Restart, &[]);
    parents(&mut log, &[&aa]);
    log.land(&cell(&aa, 0, 2)).unwrap();
    let gone = |hour| Generation { at: SliceRef::of(&cell(&aa, hour, hour + 1)), generation: 1 };
    log.one(Record::Superseded(vec![gone(0), gone(1)])).unwrap();
    let all = [r#"{"site":"aa"} 00h g2"#, r#"{"site":"bb"} 00h g1"#, r#"{"site":"bb"} 01h g1"#];
    assert_eq!(shown(&log), all);
    // Other columns: what was before is in the way of all that is read anew.
    edit(&mut log, Accept::Restart, &[]);
    parents(&mut log, &[&xx]);
    log.land(&cell(&xx, 0, 2)).unwrap();
    assert_eq!(shown(&log), all);
}

#[test]
fn a_new_cut_that_is_given_up_leaves_what_it_has_not_replaced() {
    let (mut log, name) = (Log::new(), JobName::new("j"));
    (0..4).for_each(|hour| log.land(&window(hour, hour + 1)).unwrap());
    edit(&mut log, Accept::Restart, &[]);
    log.land(&window(0, 2)).unwrap();
    log.land(&window(2, 4)).unwrap();
    let gone = |hour| Generation { at: SliceRef::of(&window(hour, hour + 1)), generation: 1 };
    log.one(Record::Superseded(vec![gone(0), gone(1)])).unwrap();
    let before = shown(&log);
    assert_eq!(before, ["00h g2", "02h g1", "03h g1"]);
    edit(&mut log, Accept::GiveUp, &[]);
    assert_eq!(shown(&log), before, "readers see no change");
    assert!(!log.state.relands(&name) && log.state.due_anew(&name, None).is_empty());
    let uncleaned: Vec<_> =
        log.state.uncleaned().map(|(at, gone)| format!("{} g{}", at.slice, gone.generation)).collect();
    let [zero, one, two] = ["00", "01", "02"].map(|hour| format!("19700101T{hour}0000Z"));
    assert_eq!(uncleaned, [format!("{zero} g1"), format!("{one} g1"), format!("{two} g2")]);
    let ranges = log.state.landed_ranges(&name, None).iter();
    let ranges: Vec<_> = ranges.map(|range| (range.from, range.to, range.every().num_hours())).collect();
    assert_eq!(ranges, [(at(0), at(2), 2), (at(2), at(4), 1)]);
    log.land(&window(2, 3)).unwrap();
    assert_eq!(log.state.landed(&SliceRef::of(&window(2, 3))).unwrap().generation, 3);
    refused(log.land(&window(2, 4)), "another part");
    log.land(&window(4, 6)).unwrap();
}

#[test]
fn a_run_that_says_nothing_at_its_end_has_died() {
    let mut log = Log::new();
    let lives = |log: &Log| log.state.runs().map(|(_, life)| life).collect::<Vec<_>>();
    assert_eq!(lives(&log), [RunLife::Holds]);
    log.take(Lane::WHOLE, 2, Vec::new()).unwrap();
    assert_eq!(lives(&log), [RunLife::Holds, RunLife::Died]);
    let summary = RunSummary::bare("run", at(0), RunOutcome::Failed, Some(&"e".repeat(1000)));
    log.add(Lane::WHOLE, 2, vec![Record::Ran(summary)]).unwrap();
    assert_eq!(lives(&log), [RunLife::Ended, RunLife::Died]);
    for lease in 3..400 {
        log.take(Lane::WHOLE, lease, Vec::new()).unwrap();
    }
    assert_eq!(lives(&log).len(), 200, "the record has a bound");
}

proptest! {
    /// Whatever is tried, what has landed never overlaps, and a state survives being stored.
    #[test]
    fn landed_slices_never_overlap(tries in proptest::collection::vec((0_i64..20, 1_i64..4), 1..30)) {
        let mut log = Log::new();
        for (from, length) in tries {
            let slice = window(from, from + length);
            if log.land(&slice).is_err() {
                // The commit was refused with its publish: the begun slice is given up.
                let close = Close { at: SliceRef::of(&slice), why: Closed::Dropped };
                prop_assert!(log.one(Record::Close(close)).is_ok());
            }
        }
        let windows: Vec<Window> = log.state.all_slices()
            .filter_map(|(_, slice)| match &slice.landed.as_ref()?.kind { SliceKind::Window(window) => Some(*window), _ => None })
            .collect();
        for (place, one) in windows.iter().enumerate() {
            prop_assert!(windows[place + 1..].iter().all(|other| !one.overlaps(other)));
        }
        let stored = serde_json::to_string(&log.state).unwrap();
        prop_assert_eq!(serde_json::from_str::<LedgerState>(&stored).unwrap(), log.state);
    }
}
