//! The planner of parts against servers in memory: one that cuts its pages, and one that merges the points of a time series.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::lang::jq::Jq;
use crate::pipeline::spec::{InstantFormat, Start, most_steps};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

fn seconds_of(part: Window) -> (i64, i64) {
    (part.from.timestamp(), part.to.timestamp())
}

fn spec(parts: PartsSpec) -> WindowSpec {
    WindowSpec {
        every: Duration::from_secs(60),
        start: Start::At(DateTime::UNIX_EPOCH),
        lag: Duration::ZERO,
        lookback: Duration::ZERO,
        format: InstantFormat::EpochSeconds,
        from: None,
        to: None,
        time: None,
        at: None,
        pad_before: Duration::ZERO,
        pad_after: Duration::ZERO,
        parts,
    }
}

fn resolution(step: u64, max_points: u64) -> PartsSpec {
    let observed = Jq::compile(".step", &[]).unwrap();
    PartsSpec::Resolution { step: Duration::from_secs(step), max_points, into: None, observed }
}

/// What was asked for and what was taken, in order.
#[derive(Debug, Clone, PartialEq)]
struct Walk {
    asked: Vec<(i64, i64)>,
    taken: Vec<(i64, i64)>,
    end: Result<(), PartError>,
}

/// Reads a cell from a server that gives a part's rows and their step.
fn walk(spec: &WindowSpec, cell: Window, answer: impl Fn(Window) -> (u64, Value)) -> Walk {
    let mut parts = Parts::of(spec, cell);
    let (mut asked, mut taken) = (Vec::new(), Vec::new());
    loop {
        let part = parts.current().unwrap();
        asked.push(seconds_of(part));
        assert!(asked.len() < 10_000, "it doesn't end");
        let (rows, observed) = answer(part);
        match judge(&spec.parts, rows, &observed) {
            Err(error) => return Walk { asked, taken, end: Err(error) },
            Ok(Some(misfit)) if !parts.halve() => return Walk { asked, taken, end: Err(misfit.error(part)) },
            Ok(Some(_)) => {}
            Ok(None) => {
                taken.push(seconds_of(part));
                if !parts.advance() {
                    return Walk { asked, taken, end: Ok(()) };
                }
            }
        }
    }
}

impl Walk {
    /// The law: what is taken covers the cell once, in order, and no part is asked for twice.
    fn check(&self, cell: Window) {
        let (from, to) = seconds_of(cell);
        let mut reached = from;
        for (begin, end) in &self.taken {
            assert_eq!(*begin, reached, "a gap, or twice: {self:?}");
            assert!(begin < end, "{self:?}");
            reached = *end;
        }
        assert!(self.end.is_err() || reached == to, "the cell's end is missing: {self:?}");
        let distinct: BTreeSet<_> = self.asked.iter().collect();
        assert_eq!(distinct.len(), self.asked.len(), "asked twice: {self:?}");
    }
}

fn rows_in(rows: &[i64], part: Window) -> u64 {
    let (from, to) = seconds_of(part);
    rows.iter().filter(|row| (from..to).contains(row)).count() as u64
}

proptest! {
    #[test]
    fn halves_of_full_pages_cover_the_cell_once(
        rows in prop::collection::vec(0_i64..200, 0..120), size in 2_u64..20, from in 0_i64..50, length in 1_i64..150
    ) {
        let (spec, cell) = (spec(PartsSpec::Split { size }), window(from, from + length));
        // A page has at most `size` rows.
        let read = || walk(&spec, cell, |part| (rows_in(&rows, part).min(size), Value::Null));
        let found = read();
        found.check(cell);
        prop_assert_eq!(&found, &read(), "the same answers, the same parts");
        match &found.end {
            Ok(()) => for (from, to) in &found.taken {
                prop_assert!(rows_in(&rows, window(*from, *to)) < size, "a full page was taken");
            },
            Err(PartError::Full { part, .. }) => {
                prop_assert_eq!(part.to - part.from, TimeDelta::seconds(1));
                prop_assert!(rows_in(&rows, *part) >= size, "refused though it wasn't full");
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn points_keep_their_step_or_it_is_an_error(
        steps in 1_i64..700, step in prop::sample::select(vec![1_i64, 60, 1800]), max_points in 3_u64..310,
        holds in 2_i64..400, offset in 0_i64..5
    ) {
        // A server that merges points once there would be more than it holds, and has a point at both edges.
        let answer = |part: Window| {
            let (from, to) = seconds_of(part);
            let points = (to - from) / step + 1;
            let merged = step * ((points - 1) / holds + 1);
            let shown = if (to - from) / merged < 1 { Value::Null } else { json!(merged) };
            (points.cast_unsigned(), shown)
        };
        let cell = window(offset * step, (offset + steps) * step);
        let spec = spec(resolution(step.cast_unsigned(), max_points));
        let found = walk(&spec, cell, answer);
        found.check(cell);
        for (from, to) in &found.taken {
            prop_assert!((to - from) / step < max_points.cast_signed(), "more points than fit");
            let (_, shown) = answer(window(*from, *to));
            prop_assert!(shown.is_null() || shown == json!(step), "coarse points were taken: {}", shown);
        }
        if let Err(error) = &found.end {
            let PartError::Coarse { part, .. } = error else { panic!("{error}") };
            prop_assert!((part.to - part.from).num_seconds() / step < 4, "it could be halved: {}", error);
        }
    }
}

#[test]
fn a_cell_begins_as_parts_of_about_one_length() {
    let parts = |steps: i64, max_points: u64| {
        let found = walk(&spec(resolution(1800, max_points)), window(0, steps * 1800), |_| (1, Value::Null));
        found.taken.iter().map(|(from, to)| (to - from) / 1800).collect::<Vec<_>>()
    };
    assert_eq!(parts(48, 300), [48], "a day of half hours");
    assert_eq!(parts(299, 300), [299]);
    assert_eq!(parts(300, 300), [150, 150], "a point at both edges makes 301");
    assert_eq!(parts(336, 300), [168, 168]);
    assert_eq!(parts(7, 4), [2, 2, 3]);
}

#[test]
fn what_is_asked_for_in_excess_has_points_too() {
    let (step, pad) = (Duration::from_secs(60), Duration::from_secs(90));
    assert_eq!(most_steps(step, 10, Duration::ZERO), 9);
    assert_eq!(most_steps(step, 10, pad), 7);
    assert_eq!(most_steps(step, 2, pad), 0);
    let padded = WindowSpec { pad_after: pad, ..spec(resolution(60, 5)) };
    assert_eq!(walk(&padded, window(0, 240), |_| (1, Value::Null)).taken, [(0, 120), (120, 240)]);
}

#[test]
fn a_full_page_is_halved_down_to_a_unit() {
    let rows = [3, 3, 3, 7];
    let found = walk(&spec(PartsSpec::Split { size: 3 }), window(0, 8), |part| (rows_in(&rows, part), Value::Null));
    assert_eq!(found.asked, [(0, 8), (0, 4), (0, 2), (2, 4), (2, 3), (3, 4)]);
    insta::assert_snapshot!(found.end.unwrap_err(), @"the page is full with 3 rows (`window.split.size` is 3), so others may be missing, and the time from 1970-01-01 00:00:03 UTC to 1970-01-01 00:00:04 UTC can't be halved any more; let the request ask for more rows and raise `split.size`, write instants more finely in `window.as`, make `window.pad` smaller, or ask for less at once by `for_each`");
}

#[test]
fn a_step_is_what_was_said_or_an_error() {
    let judge = |observed: Value| judge(&resolution(1800, 300), 5, &observed);
    assert_eq!(judge(json!(null)), Ok(None));
    assert_eq!(judge(json!(1800)), Ok(None));
    assert_eq!(judge(json!(1800.0001)), Ok(None));
    let coarse = judge(json!(3600)).unwrap().unwrap();
    insta::assert_snapshot!(coarse.error(window(0, 3600)), @"the points from 1970-01-01 00:00:00 UTC to 1970-01-01 01:00:00 UTC are 1h apart, and not 30m (`window.resolution.step`), though so short a time was asked for: the server has merged them for good, or makes them at another step; check `step`, or read them before they are merged");
    insta::assert_snapshot!(judge(json!(60)).unwrap_err(), @"the points are 1m apart, and not 30m (`window.resolution.step`): the server has finer ones than the file says; correct `step`, or what the request asks for");
    for odd in [json!(0), json!(-1800), json!("1800"), json!([1800])] {
        assert!(matches!(judge(odd.clone()), Err(PartError::Observed { .. })), "{odd}");
    }
    insta::assert_snapshot!(judge(json!(-1800)).unwrap_err(), @"`window.resolution.observed` gives -1800; it must be the seconds between two points, more than 0, or null where an answer doesn't show them");
}

#[test]
fn other_cells_are_read_whole() {
    let found = walk(&spec(PartsSpec::Whole), window(0, 86_400), |_| (1_000_000, json!("any")));
    assert_eq!((found.taken, found.end), (vec![(0, 86_400)], Ok(())));
}
