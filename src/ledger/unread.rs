//! What a run should have read and hasn't.

use serde::{Deserialize, Serialize};

use crate::model::{FanoutKey, SliceId, SliceReport, Window};

/// How many stretches of windows of a failure are kept one by one.
const STRETCHES: usize = 50;

/// Windows that a backfill should have read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The fan-out value; none where the job has none, or it is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The time that they cover.
    #[serde(flatten)]
    pub window: Window,
}

/// A slice that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The slice.
    pub slice: SliceId,
    /// The fan-out value, where the job has `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The time that it covers; none where it isn't a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

impl Lost {
    pub(super) fn of(slice: &SliceReport) -> Self {
        Self { slice: slice.slice.clone(), key: slice.key.clone(), window: slice.window }
    }
}

/// Merges windows where they touch, and gives them up for the time that they cover where they are too many.
pub(super) fn shortened(mut all: Vec<Unread>) -> Vec<Unread> {
    all.sort_by(|one, other| (&one.key, one.window).cmp(&(&other.key, other.window)));
    let mut merged: Vec<Unread> = Vec::new();
    for one in all {
        match merged.last_mut() {
            Some(last) if last.key == one.key && last.window.to >= one.window.from => {
                last.window.to = last.window.to.max(one.window.to);
            }
            _ => merged.push(one),
        }
    }
    let ends = merged.iter().map(|one| one.window.from).min().zip(merged.iter().map(|one| one.window.to).max());
    match ends {
        Some((from, to)) if merged.len() > STRETCHES => vec![Unread { key: None, window: Window { from, to } }],
        _ => merged,
    }
}

/// Takes what was read of a fan-out value out of what is unread.
pub(super) fn without(all: Vec<Unread>, key: Option<&FanoutKey>, read: Window) -> Vec<Unread> {
    let cut = |one: Unread| {
        let Unread { key: of, window } = one;
        if of.as_ref() != key || !window.overlaps(&read) {
            return vec![Unread { key: of, window }];
        }
        let parts = [(window.from, read.from), (read.to, window.to)];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        parts.map(|(from, to)| Unread { key: of.clone(), window: Window { from, to } }).collect()
    };
    all.into_iter().flat_map(cut).collect()
}
