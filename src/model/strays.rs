//! Rows from outside of what was asked for.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

/// Rows whose own time lies outside of what their request asked for, the padding included, by more than `window.as` can show. They don't
/// land. They show that the server reads the edges of a window otherwise than they are meant, so that rows may be missing at the other edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Strays {
    /// Those from before what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Stray>,
    /// Those from after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Stray>,
}

/// Such rows of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stray {
    /// How many.
    pub rows: u64,
    /// How far outside the furthest of them lies, in milliseconds.
    pub by_ms: u64,
    /// The furthest one's own time, UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: DateTime<Utc>,
}

impl Strays {
    /// Tells whether there are none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }
}

impl Stray {
    /// Adds these rows to those of the same side.
    pub const fn add_to(self, side: &mut Option<Self>) {
        *side = Some(match *side {
            None => self,
            Some(known) => {
                let furthest = if self.by_ms > known.by_ms { self } else { known };
                Self { rows: known.rows + self.rows, ..furthest }
            }
        });
    }
}

impl std::ops::AddAssign for Strays {
    fn add_assign(&mut self, other: Self) {
        if let Some(before) = other.before {
            before.add_to(&mut self.before);
        }
        if let Some(after) = other.after {
            after.add_to(&mut self.after);
        }
    }
}
