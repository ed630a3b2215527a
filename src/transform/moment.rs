//! What SQL may know of its slice beside the rows.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::model::Window;

/// When a slice is transformed, and of what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The instant that `now()` gives.
    pub now: DateTime<Utc>,
    /// The window, whose edges are `_window_start` and `_window_end`; none for a slice that isn't one of time.
    pub window: Option<Window>,
}

impl From<DateTime<Utc>> for Moment {
    fn from(now: DateTime<Utc>) -> Self {
        Self { now, window: None }
    }
}

impl Moment {
    /// Returns the edges of the window, RFC 3339 with microseconds.
    pub(super) fn edges(&self) -> Option<[String; 2]> {
        let window = self.window?;
        Some([window.from, window.to].map(|edge| edge.to_rfc3339_opts(SecondsFormat::Micros, true)))
    }
}
