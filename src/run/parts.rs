//! The parts that a cell is read in, where one request can't have all of it: halves of what came back full or coarse. Pure.
//!
//! A cell stays one slice, with one commit. The parts that are read cover it exactly, in the order of time; an answer that isn't
//! taken is replaced by those of its halves, so that no row is counted twice.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use thiserror::Error;

use super::window::unit;
use crate::lang::spell;
use crate::model::{Window, counted};
use crate::pipeline::spec::{LEAST_STEPS, PartsSpec, WindowSpec, most_steps};
use crate::plan::delta;

/// How far the step that came back may be from the one that is due: it was computed from decimals.
const TOLERANCE: f64 = 1e-6;

/// The parts of one cell that are still to be read.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// The next one last.
    waiting: Vec<Window>,
    /// Edges lie whole units after the beginning of the cell.
    unit: TimeDelta,
    /// The fewest units of a part.
    least: i64,
}

/// Why an answer isn't taken: its part is halved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Misfit {
    /// It has as many rows as a page holds, so there may be more.
    Full {
        /// Rows of the page.
        rows: u64,
        /// Rows of a full page.
        size: u64,
    },
    /// Its points are further apart than they were measured.
    Coarse {
        /// Seconds between two points.
        observed: f64,
        /// The step that is due.
        step: Duration,
    },
}

/// Why a cell can't be read in parts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PartError {
    /// A page is full, and what it covers can't be halved.
    #[error(
        "the page is full with {} (`window.split.size` is {size}), so others may be missing, and the time from {} to {} \
         can't be halved any more; let the request ask for more rows and raise `split.size`, write instants more finely in \
         `window.as`, make `window.pad` smaller, or ask for less at once by `for_each`", counted(*rows, "row"), part.from, part.to
    )]
    Full {
        /// The part, without its padding.
        part: Window,
        /// Rows of the page.
        rows: u64,
        /// Rows of a full page.
        size: u64,
    },
    /// The points of two steps are still too far apart.
    #[error(
        "the points from {} to {} are {} apart, and not {} (`window.resolution.step`), though so short a time was asked for: the \
         server has merged them for good, or makes them at another step; check `step`, or read them before they are merged",
        part.from, part.to, seconds(observed), spell(*step)
    )]
    Coarse {
        /// The part, without its padding.
        part: Window,
        /// Seconds between two points, as text.
        observed: String,
        /// The step that is due.
        step: Duration,
    },
    /// The points are closer together than they should be.
    #[error(
        "the points are {} apart, and not {} (`window.resolution.step`): the server has finer ones than the file says; correct \
         `step`, or what the request asks for", seconds(observed), spell(*step)
    )]
    Finer {
        /// Seconds between two points, as text.
        observed: String,
        /// The step that is due.
        step: Duration,
    },
    /// The expression for the step gave something else.
    #[error(
        "`window.resolution.observed` gives {value}; it must be the seconds between two points, more than 0, or null where an \
         answer doesn't show them"
    )]
    Observed {
        /// What it gave, as JSON.
        value: String,
    },
}

impl Parts {
    /// Cuts a cell into the parts to begin with.
    pub(super) fn of(spec: &WindowSpec, cell: Window) -> Self {
        match &spec.parts {
            PartsSpec::Whole => Self::new(cell, TimeDelta::MAX, 1, i64::MAX),
            PartsSpec::Split { .. } => Self::new(cell, unit(&spec.format), 1, i64::MAX),
            PartsSpec::Resolution { step, max_points, .. } => {
                let longest = most_steps(*step, *max_points, spec.pad_before + spec.pad_after);
                Self::new(cell, delta(*step), i64::from(LEAST_STEPS), i64::try_from(longest).unwrap_or(i64::MAX))
            }
        }
    }

    /// Cuts a cell into as few parts as there can be of at most `longest` units, of about the same length.
    fn new(cell: Window, unit: TimeDelta, least: i64, longest: i64) -> Self {
        let units = units(cell, unit);
        let longest = longest.max(1);
        let count = (units / longest + i64::from(units % longest > 0)).max(1);
        let edge = |index: i64| match index {
            index if index == count => Some(cell.to),
            index => after(cell.from, unit, units.saturating_mul(index) / count),
        };
        let part = |index: i64| Some(Window { from: edge(index)?, to: edge(index + 1)? });
        let parts: Option<Vec<Window>> = (0..count).rev().map(part).collect();
        Self { waiting: parts.unwrap_or_else(|| vec![cell]), unit, least }
    }

    /// Returns the part that is to be read; none once all have been.
    pub(super) fn current(&self) -> Option<Window> {
        self.waiting.last().copied()
    }

    /// Goes on to the next part. Tells whether there is one.
    pub(super) fn advance(&mut self) -> bool {
        self.waiting.pop();
        !self.waiting.is_empty()
    }

    /// Replaces the current part by its halves. Tells whether it could.
    pub(super) fn halve(&mut self) -> bool {
        let Some(part) = self.current() else { return false };
        let half = units(part, self.unit) / 2;
        let Some(middle) = after(part.from, self.unit, half).filter(|_| half >= self.least) else { return false };
        self.waiting.pop();
        self.waiting.push(Window { from: middle, to: part.to });
        self.waiting.push(Window { from: part.from, to: middle });
        true
    }
}

impl Misfit {
    /// Says what it means for a part that can't be halved any more.
    pub(super) fn error(self, part: Window) -> PartError {
        match self {
            Self::Full { rows, size } => PartError::Full { part, rows, size },
            Self::Coarse { observed, step } => PartError::Coarse { part, observed: observed.to_string(), step },
        }
    }
}

/// Judges an answer: `rows` is what the server put on the page, `observed` what the expression of `resolution` gave.
///
/// # Errors
/// An answer that no halving would mend.
pub(super) fn judge(spec: &PartsSpec, rows: u64, observed: &Value) -> Result<Option<Misfit>, PartError> {
    match spec {
        PartsSpec::Whole => Ok(None),
        PartsSpec::Split { size } => Ok((rows >= *size).then_some(Misfit::Full { rows, size: *size })),
        PartsSpec::Resolution { step, .. } => {
            let found = match observed {
                // One point, or none: nothing is shown, and that is common.
                Value::Null => return Ok(None),
                Value::Number(number) => number.as_f64().filter(|seconds| seconds.is_finite() && *seconds > 0.0),
                _ => None,
            };
            let found = found.ok_or_else(|| PartError::Observed { value: observed.to_string() })?;
            let due = step.as_secs_f64();
            if (found - due).abs() <= due * TOLERANCE {
                Ok(None)
            } else if found > due {
                Ok(Some(Misfit::Coarse { observed: found, step: *step }))
            } else {
                Err(PartError::Finer { observed: found.to_string(), step: *step })
            }
        }
    }
}

/// Returns how many whole units a window has.
fn units(window: Window, unit: TimeDelta) -> i64 {
    let micros = |delta: TimeDelta| delta.num_microseconds().unwrap_or(i64::MAX).max(1);
    micros(window.to - window.from) / micros(unit)
}

/// Returns the instant that lies `count` units after `from`.
fn after(from: DateTime<Utc>, unit: TimeDelta, count: i64) -> Option<DateTime<Utc>> {
    let micros = unit.num_microseconds().unwrap_or(i64::MAX).checked_mul(count)?;
    from.checked_add_signed(TimeDelta::microseconds(micros))
}

/// Shows seconds as a duration where they are one.
fn seconds(text: &str) -> String {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.map_or_else(|| format!("{text} s"), spell)
}

#[cfg(test)]
mod tests;
