//! Rows from outside of what was asked for, as evidence: a server that gives what lies before an edge reads it otherwise than it is
//! meant, and may then keep what lies before the other edge.

use arrow::array::RecordBatch;
use chrono::{DateTime, TimeDelta, Utc};

use super::edges::Edges;
use crate::model::{Stray, Strays, Window};
use crate::pipeline::spec::{Job, PaginateKind, PartsSpec, WindowSpec};
use crate::run::row::RowSql;
use crate::run::window;

/// Cuts the rows of a window by their own time.
pub(super) struct OwnTime {
    /// The time of a row.
    pub(super) row: RowSql,
    /// What lands.
    pub(super) window: Window,
    /// What was asked for: that with its padding.
    pub(super) asked: Window,
    /// How far outside of `asked` rows may lie and prove nothing: one unit of `as`, or one step of a time series.
    slack: TimeDelta,
    /// Whether rows that begin before what was asked for are no sign: it finds rows that reach into it.
    pub(super) reaching: bool,
    /// What lay further outside.
    pub(super) strays: Strays,
    /// The rows that its neighbours were asked for too.
    pub(super) edges: Option<Edges>,
}

impl OwnTime {
    /// Begins a window of a job whose rows have a time.
    pub(super) fn new(job: &Job, spec: &WindowSpec, window: Window, asked: Window) -> Option<Self> {
        let unit = window::unit(&spec.format);
        let slack = match &spec.parts {
            PartsSpec::Resolution { step, .. } => unit.max(crate::plan::delta(*step)),
            PartsSpec::Whole | PartsSpec::Split { .. } => unit,
        };
        Some(Self {
            row: RowSql::new(spec.time.as_ref()?.as_str(), "window.time"),
            window,
            asked,
            slack,
            reaching: matches!(job.paginate.kind, PaginateKind::Seek { overlap: true, .. }),
            strays: Strays::default(),
            edges: Edges::new(job, spec, window, asked),
        })
    }

    /// Notes a row of a page by its time, where it is a sign.
    pub(super) fn note(&mut self, batch: &RecordBatch, row: usize, time: DateTime<Utc>) {
        if let Some(edges) = &mut self.edges {
            edges.note(batch, row, time);
        }
        self.note_stray(time);
    }

    /// Tells whether a time lies so far outside of what was asked for that it proves something: by the name of a day all of it is asked for.
    pub(super) fn is_far(&self, time: DateTime<Utc>) -> bool {
        self.asked.from - time > self.slack || time - self.asked.to > self.slack
    }

    fn note_stray(&mut self, time: DateTime<Utc>) {
        if time < self.asked.from && !self.reaching {
            self.note_by(self.asked.from - time, time, true);
        } else if time > self.asked.to {
            self.note_by(time - self.asked.to, time, false);
        }
    }

    fn note_by(&mut self, by: TimeDelta, time: DateTime<Utc>, before: bool) {
        if by > self.slack {
            let by_ms = u64::try_from(by.num_milliseconds()).unwrap_or_default();
            let side = if before { &mut self.strays.before } else { &mut self.strays.after };
            Stray { rows: 1, by_ms, time }.add_to(side);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-0{text}:00Z").parse().unwrap()
    }

    /// Returns a day that is cut by a time that is asked for in minutes, with an hour's padding after it.
    fn day(reaching: bool) -> OwnTime {
        OwnTime {
            row: RowSql::new("t", "window.time"),
            window: Window { from: at("2T00:00"), to: at("3T00:00") },
            asked: Window { from: at("2T00:00"), to: at("3T01:00") },
            slack: TimeDelta::minutes(1),
            reaching,
            strays: Strays::default(),
            edges: None,
        }
    }

    #[test]
    fn what_was_asked_for_and_one_unit_more_is_no_sign() {
        let mut day = day(false);
        for time in ["1T23:59", "2T00:00", "2T12:00", "3T00:00", "3T01:00", "3T01:01"] {
            day.note_stray(at(time));
        }
        assert_eq!(day.strays, Strays::default());
        let is_far = |time| day.is_far(at(time));
        assert!(!is_far("1T23:59") && !is_far("3T01:01") && is_far("1T23:58") && is_far("3T01:02"));
    }

    #[test]
    fn the_furthest_row_of_each_side_is_kept() {
        let noted = |reaching| {
            let mut day = day(reaching);
            for time in ["1T23:50", "1T23:00", "1T23:30", "3T01:02"] {
                day.note_stray(at(time));
            }
            day.strays
        };
        let after = Some(Stray { rows: 1, by_ms: 120_000, time: at("3T01:02") });
        let before = Some(Stray { rows: 3, by_ms: 3_600_000, time: at("1T23:00") });
        assert_eq!(noted(false), Strays { before, after });
        assert_eq!(noted(true), Strays { before: None, after }, "rows that begin earlier may reach into it");
    }
}
