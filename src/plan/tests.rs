use proptest::prelude::*;

use super::*;
use crate::pipeline::load::Sql;
use crate::pipeline::spec::{IncrementalSpec, InstantFormat, PartsSpec};

const DAY: u64 = 86_400;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn window_spec(every: u64, lag: u64, lookback: u64) -> WindowSpec {
    WindowSpec {
        every: Duration::from_secs(every),
        start: Start::At(instant("2026-01-01T00:00:00Z")),
        lag: Duration::from_secs(lag),
        lookback: Duration::from_secs(lookback),
        format: InstantFormat::EpochSeconds,
        from: None,
        to: None,
        time: None,
        at: None,
        pad_before: Duration::ZERO,
        pad_after: Duration::ZERO,
        parts: PartsSpec::Whole,
    }
}

/// What has landed from one day to another, in cells of a day.
fn days(from: &str, to: &str) -> Stretch {
    let day = |day: &str| instant(&format!("{day}T00:00:00Z"));
    stretch(Window { from: day(from), to: day(to) }, Duration::from_secs(DAY)).unwrap()
}

fn ids(spec: WindowSpec, history: &History, now: &str) -> Vec<String> {
    let slicing = Slicing::Window(Box::new(spec));
    let start = Some(instant("2026-01-01T00:00:00Z"));
    let slices = due(&JobName::new("j"), &slicing, None, history, instant(now), start, Tz::UTC);
    slices.iter().map(|slice| slice.id.as_str().to_owned()).collect()
}

#[test]
fn a_cell_is_due_once_it_ended_lag_ago() {
    let spec = window_spec(DAY, 900, 0);
    assert_eq!(ids(spec.clone(), &History::default(), "2026-01-02T00:14:59Z"), [] as [&str; 0]);
    assert_eq!(ids(spec, &History::default(), "2026-01-02T00:15:00Z"), ["20260101T000000Z"]);
}

#[test]
fn landed_cells_are_not_due_but_those_in_the_lookback_are() {
    let landed = vec![days("2026-01-01", "2026-01-04")];
    let history = History { landed, ..History::default() };
    let now = "2026-01-05T01:00:00Z";
    assert_eq!(ids(window_spec(DAY, 0, 0), &history, now), ["20260104T000000Z"]);
    assert_eq!(ids(window_spec(DAY, 0, 1), &history, now), ["20260103T000000Z", "20260104T000000Z"]);
    assert_eq!(ids(window_spec(DAY, 0, DAY), &history, now), ["20260103T000000Z", "20260104T000000Z"]);
    assert_eq!(ids(window_spec(DAY, 0, DAY + 1), &history, now).len(), 3);
}

#[test]
fn a_window_that_a_dead_run_was_reading_again_is_due_after_the_lookback_has_moved_on() {
    let cell = |day: &str| {
        let from = instant(&format!("{day}T00:00:00Z"));
        let kind = SliceKind::Window(Window { from, to: from + TimeDelta::days(1) });
        Slice::new(JobName::new("j"), None, serde_json::Value::Null, kind)
    };
    // The second has landed, the fourth hasn't; what was before the start, or was cut otherwise, isn't read.
    let open = vec![cell("2025-12-30"), cell("2026-01-02"), cell("2026-01-04")];
    let history = History { landed: vec![days("2026-01-01", "2026-01-04")], open, ..History::default() };
    let now = "2026-01-05T01:00:00Z";
    assert_eq!(ids(window_spec(DAY, 0, 0), &history, now), ["20260102T000000Z", "20260104T000000Z"]);
    assert_eq!(
        ids(window_spec(DAY, 0, DAY), &history, now),
        ["20260102T000000Z", "20260103T000000Z", "20260104T000000Z"]
    );
    let hours = vec![
        stretch(
            Window { from: instant("2026-01-01T00:00:00Z"), to: instant("2026-01-05T00:00:00Z") },
            Duration::from_secs(DAY / 2),
        )
        .unwrap(),
    ];
    assert_eq!(ids(window_spec(DAY / 2, 0, 0), &History { landed: hours, ..history }, now), [] as [&str; 0]);
}

#[test]
fn a_lookback_or_a_lag_beyond_all_time_is_no_panic() {
    let landed = vec![days("2026-01-01", "2026-01-03")];
    let history = History { landed, ..History::default() };
    let ages = 999_999_999 * DAY;
    assert_eq!(ids(window_spec(DAY, 0, ages), &history, "2026-01-03T00:00:00Z").len(), 2);
    assert_eq!(ids(window_spec(DAY, ages, 0), &history, "2026-01-03T00:00:00Z"), [] as [&str; 0]);
    let now = instant("2026-01-03T00:00:00Z");
    assert_eq!(resolve_start(Start::Ago(Duration::from_secs(ages)), None, now), DateTime::<Utc>::MIN_UTC);
}

#[test]
fn holes_are_due() {
    let landed = vec![days("2026-01-01", "2026-01-02"), days("2026-01-03", "2026-01-04")];
    let history = History { landed, ..History::default() };
    assert_eq!(ids(window_spec(DAY, 0, 0), &history, "2026-01-04T00:00:00Z"), ["20260102T000000Z"]);
}

#[test]
fn what_an_edit_wants_again_is_due_also_before_the_start() {
    let landed = vec![days("2025-12-30", "2026-01-04")];
    let again = vec![Window { from: instant("2025-12-31T00:00:00Z"), to: instant("2026-01-02T00:00:00Z") }];
    let history = History { landed, again, ..History::default() };
    let due = ids(window_spec(DAY, 0, 0), &history, "2026-01-05T00:00:00Z");
    assert_eq!(due, ["20251231T000000Z", "20260101T000000Z", "20260104T000000Z"]);
    // Read anew by another grid: all of its cells that touch it.
    let history = History { landed: Vec::new(), anew: history.again, ..History::default() };
    let due = ids(window_spec(2 * DAY, 0, 0), &history, "2026-01-03T00:00:00Z");
    assert_eq!(due, ["20251230T000000Z", "20260101T000000Z"], "cells are counted from 1970");
}

#[test]
fn a_chain_that_begins_after_another_leaves_out_what_that_has_landed() {
    let since = Some(instant("2026-01-03T00:00:00Z"));
    let history = History { since, ..History::default() };
    assert_eq!(ids(window_spec(DAY, 0, 0), &history, "2026-01-05T00:00:00Z"), ["20260103T000000Z", "20260104T000000Z"]);
    let landed = vec![days("2026-01-01", "2026-01-02")];
    let history = History { since, landed, ..History::default() };
    assert_eq!(ids(window_spec(DAY, 0, 0), &history, "2026-01-04T00:00:00Z").len(), 2, "one that goes on has no hole");
    let landed = vec![days("2026-01-03", "2026-01-04")];
    let history = History { since, landed, ..History::default() };
    let due = ids(window_spec(DAY, 0, 0), &history, "2026-01-05T00:00:00Z");
    assert_eq!(due, ["20260104T000000Z"], "nor does it turn back once it has landed something");
}

#[test]
fn a_lookback_counts_from_the_last_window_of_the_shard() {
    // Of the first ten days of January shard 0 of 2 has some and shard 1 the others.
    let all = vec![days("2026-01-01", "2026-01-11")];
    let (now, lookback) = ("2026-01-11T00:00:00Z", 4 * DAY);
    let of = |index| {
        let shard = Shard::new(index, 2).unwrap();
        ids(window_spec(DAY, 0, lookback), &History { landed: all.clone(), shard, ..History::default() }, now)
    };
    let own = |index| {
        let shard = Shard::new(index, 2).unwrap();
        ids(window_spec(DAY, 0, 0), &History { shard, ..History::default() }, now)
    };
    for index in 0..2 {
        let last = own(index).pop().unwrap();
        assert_eq!(of(index).last(), Some(&last), "each reads its own last one again");
    }
}

#[test]
fn a_backfill_is_rounded_out_to_cells_that_have_ended() {
    let spec = window_spec(DAY, 3600, 0);
    let landed = vec![days("2025-12-02", "2025-12-03")];
    let history = History { landed, ..History::default() };
    let asked = Window { from: instant("2025-12-01T12:00:00Z"), to: instant("2025-12-03T00:00:01Z") };
    let (cells, whole) = backfill(&spec, &history, asked, instant("2026-01-01T00:00:00Z"), false);
    assert_eq!(cells.len(), 3);
    assert_eq!(whole, Some(days("2025-12-01", "2025-12-04").window));
    let (missing, _) = backfill(&spec, &history, asked, instant("2026-01-01T00:00:00Z"), true);
    assert_eq!(missing, [cells[0], cells[2]]);
    let (cells, whole) = backfill(&spec, &history, asked, instant("2025-12-03T00:59:59Z"), false);
    assert_eq!((cells.len(), whole), (1, Some(days("2025-12-01", "2025-12-02").window)));
    assert_eq!(backfill(&spec, &history, asked, instant("2025-12-01T00:00:00Z"), false), (Vec::new(), None));
}

#[test]
fn an_increment_begins_where_the_last_one_ended() {
    let spec = IncrementalSpec {
        cursor: Sql::new("id"),
        start: serde_json::json!(0),
        rows_per_slice: 10,
        lag: Duration::ZERO,
        sent: None,
        newest: None,
        restarts: false,
    };
    let slicing = Slicing::Incremental(Box::new(spec));
    let now = instant("2026-01-01T00:00:00Z");
    let id = |history: &History| {
        let slices = due(&JobName::new("j"), &slicing, None, history, now, None, Tz::UTC);
        slices[0].id.as_str().to_owned()
    };
    assert_eq!(id(&History::default()), "s0-0");
    let cursor = Some(CursorValue(serde_json::json!(41)));
    assert_eq!(id(&History { series: 2, cursor, ..History::default() }), "s2-41");
    assert_eq!(id(&History { series: 3, ..History::default() }), "s3-0", "a series that has landed nothing yet");
}

#[test]
fn a_daily_snapshot_is_taken_once_a_day_of_its_time_zone() {
    let slicing = Slicing::Snapshot(SnapshotMode::Daily);
    let now = instant("2026-01-01T23:30:00Z");
    let label = |history: &History, zone| {
        let slices = due(&JobName::new("j"), &slicing, None, history, now, None, zone);
        slices.first().map(|slice| slice.id.as_str().to_owned())
    };
    assert_eq!(label(&History::default(), Tz::UTC).as_deref(), Some("20260101"));
    assert_eq!(label(&History::default(), Tz::Europe__Rome).as_deref(), Some("20260102"));
    let history = History { snapshots: vec!["2026-01-01".to_owned()], ..History::default() };
    assert_eq!(label(&history, Tz::UTC), None);
}

#[test]
fn a_snapshot_that_was_begun_keeps_its_instant() {
    let at = instant("2026-01-01T02:00:00Z");
    let kind = SliceKind::Snapshot { at, label: "2026-01-01T020000Z".to_owned() };
    let begun = Slice::new(JobName::new("j"), None, serde_json::Value::Null, kind);
    let history = History { open: vec![begun.clone()], ..History::default() };
    let slicing = Slicing::Snapshot(SnapshotMode::EveryRun);
    let now = instant("2026-01-01T03:00:00Z");
    assert_eq!(due(&JobName::new("j"), &slicing, None, &history, now, None, Tz::UTC), [begun]);
}

#[test]
fn a_relative_start_is_counted_from_the_first_run_for_ever() {
    let now = instant("2026-01-31T00:00:00Z");
    let ago = Start::Ago(Duration::from_secs(30 * DAY));
    assert_eq!(resolve_start(ago, None, now), instant("2026-01-01T00:00:00Z"));
    let pinned = instant("2025-12-01T00:00:00Z");
    assert_eq!(resolve_start(ago, Some(pinned), now), pinned);
}

#[test]
fn a_chain_begins_after_what_had_landed_under_other_values() {
    let (start, since) = (instant("2026-01-01T00:00:00Z"), instant("2026-01-30T00:00:00Z"));
    let two_days = |from: &str, cells: i32| {
        let from = instant(from);
        stretch(Window { from, to: from + TimeDelta::days(2) * cells }, Duration::from_secs(2 * DAY)).unwrap()
    };
    let begins = |landed: &[Stretch]| begins(start, Some(since), landed);
    assert_eq!(begins(&[]), since);
    // The first cell may have begun earlier; what began with one that had ended by then is of that time.
    assert_eq!(begins(&[two_days("2026-01-29T00:00:00Z", 1)]), since);
    assert_eq!(begins(&[two_days("2026-01-29T00:00:00Z", 9)]), since);
    assert_eq!(begins(&[two_days("2026-01-27T00:00:00Z", 9)]), start);
}

proptest! {
    /// However the runs fall, what landed tiles the time from the start, and no cell lands twice without a lookback.
    #[test]
    fn runs_at_any_instants_land_each_cell_once(
        every in 3600u64..10 * DAY, lag in 0..DAY, steps in prop::collection::vec(0i64..20 * 86_400, 1..20),
    ) {
        let mut now = instant("2026-01-01T00:00:00Z");
        let slicing = Slicing::Window(Box::new(window_spec(every, lag, 0)));
        let (start, mut landed) = (now, Vec::<Stretch>::new());
        for step in steps {
            now += TimeDelta::seconds(step);
            let history = History { landed: landed.clone(), ..History::default() };
            for slice in due(&JobName::new("j"), &slicing, None, &history, now, Some(start), Tz::UTC) {
                let cell = slice.window().unwrap();
                prop_assert!(!landed.iter().any(|other| other.window.overlaps(&cell)));
                prop_assert!(cell.to + TimeDelta::seconds(i64::try_from(lag).unwrap()) <= now);
                landed.push(stretch(cell, Duration::from_secs(every)).unwrap());
            }
        }
        for pair in landed.windows(2) {
            prop_assert_eq!(pair[0].window.to, pair[1].window.from);
        }
    }

    /// A shard plans the same whatever the others have landed meanwhile. All shards together plan what a whole run would; and of what
    /// has landed they may read a little more again.
    #[test]
    fn what_other_shards_land_changes_no_plan(
        of in 2u32..7, days in 0i64..40, failed: u64, lookback in 0..12 * DAY, every in 1u64..4, since in prop::option::of(0i64..30),
        now in 0i64..60, meanwhile: u64,
    ) {
        let day = |day: i64| instant("2026-01-01T00:00:00Z") + TimeDelta::days(day);
        let cell = |window: Window| stretch(window, (window.to - window.from).to_std().unwrap()).unwrap();
        let past = (0..days).filter(|day| failed >> day & 3 != 0).map(|at| Window { from: day(at), to: day(at + 1) });
        let landed: Vec<Stretch> = past.map(cell).collect();
        let slicing = Slicing::Window(Box::new(window_spec(every * DAY, 0, lookback)));
        let plan = |index: u32, of: u32, landed: Vec<Stretch>| {
            let history =
                History { landed, since: since.map(day), shard: Shard::new(index, of).unwrap(), ..History::default() };
            due(&JobName::new("j"), &slicing, None, &history, day(days.max(now)), Some(day(0)), Tz::UTC)
        };
        let plans: Vec<Vec<Slice>> = (0..of).map(|index| plan(index, of, landed.clone())).collect();
        for (index, own) in plans.iter().enumerate() {
            let others = plans.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, plan)| plan);
            let some = others.enumerate().filter(|(place, _)| meanwhile >> (place % 64) & 1 == 1);
            let mut now_landed: Vec<Stretch> = some.map(|(_, slice)| cell(slice.window().unwrap())).collect();
            now_landed.extend(landed.iter().filter(|old| !now_landed.iter().any(|new| new == *old)).copied().collect::<Vec<_>>());
            now_landed.sort_by_key(|stretch| stretch.window);
            prop_assert_eq!(&plan(u32::try_from(index).unwrap(), of, now_landed), own);
        }
        let is_new = |slice: &&Slice| !landed.iter().any(|old| old.window == slice.window().unwrap());
        let mut all: Vec<&Slice> = plans.iter().flatten().collect();
        all.sort_by_key(|slice| slice.window());
        let whole = plan(0, 1, landed.clone());
        prop_assert!(whole.iter().all(|slice| all.contains(&slice)));
        let new: Vec<&Slice> = all.into_iter().filter(is_new).collect();
        prop_assert_eq!(new, whole.iter().filter(is_new).collect::<Vec<_>>());
    }
}
