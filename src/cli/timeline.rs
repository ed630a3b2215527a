//! The time line of a window job: one character for one window, or for some.

use chrono::{DateTime, Utc};

use crate::run::{Mark, Stretch, Timeline};

/// What the characters mean.
pub(super) const LEGEND: &str = "█ landed  ▒ some landed  · missing  - not due, before the start  ! not as many rows as stated  q rows in quarantine  ~ read again since an edit";

/// Draws a time line with at most `width` characters, and the days of its ends.
pub(super) fn draw(timeline: &Timeline, width: usize) -> String {
    let day = |instant: DateTime<Utc>| instant.format("%Y-%m-%d").to_string();
    let room = width.saturating_sub(28).clamp(10, 120);
    let Some((first, last)) = timeline.ends() else { return String::new() };
    let bar: String = timeline.stretches(room).map(|(_, stretch)| character(stretch)).collect();
    format!("  {} {bar} {}", day(first.from), day(last.to))
}

const fn character(stretch: Stretch) -> char {
    match stretch {
        Stretch::Landed => '█',
        Stretch::Partly => '▒',
        Stretch::Missing => '·',
        Stretch::NotDue => '-',
        Stretch::Marked(Mark::NotAsStated) => '!',
        Stretch::Marked(Mark::Quarantine) => 'q',
        Stretch::Marked(Mark::Again) => '~',
    }
}
