//! The slice: the unit that is planned, extracted, committed and, if need be, replaced.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FanoutKey, JobName, SinkName, SliceId};

/// A half-open interval of time, `[from, to)`, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// The first instant that belongs to the window.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub from: DateTime<Utc>,
    /// The first instant that doesn't.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub to: DateTime<Utc>,
}

impl Window {
    /// Tells whether `instant` lies in `[from, to)`.
    #[must_use]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.from <= instant && instant < self.to
    }

    /// Tells whether the two windows share an instant.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// A value of an incremental cursor: a number, a text or an instant, as JSON keeps it in the ledger.
///
/// Integers keep all their digits; instants are RFC 3339 text with microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CursorValue(pub serde_json::Value);

impl CursorValue {
    /// Returns the value as it stands in a request or a file name: a string bare, anything else as JSON.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.0 {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Which part of a job's data a slice is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceKind {
    /// A whole cell of the job's fixed time grid.
    Window(Window),
    /// What comes after `start` (exclusive), up to `end` (inclusive) where the slice is read again, else up to what the server has.
    Incremental {
        /// Which life of the source: raised when the source was reset and its ids began again.
        series: u32,
        /// The last cursor of the slice before.
        start: CursorValue,
        /// The last cursor of this slice, known once it has landed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<CursorValue>,
    },
    /// The whole list at one instant.
    Snapshot {
        /// The instant, UTC, kept by a rerun after a crash.
        at: DateTime<Utc>,
        /// The value of the Hive partition `snapshot=`: a day, an instant or `latest`.
        label: String,
    },
}

impl SliceKind {
    /// Tells whether it is the list of the present, which the next run replaces (`snapshot: latest`).
    #[must_use]
    pub fn is_latest(&self) -> bool {
        matches!(self, Self::Snapshot { label, .. } if label == "latest")
    }
}

/// One slice to extract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The job it belongs to.
    pub job: JobName,
    /// Its identity within the job; see [`Slice::new`].
    pub id: SliceId,
    /// The fan-out value, where the job has `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// The parent's row (or the listed value) that templates see; only `key` is part of the identity.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub parent: serde_json::Value,
    /// Which part of the data it is.
    pub kind: SliceKind,
}

impl Slice {
    /// Makes the slice of `kind`, and with it its identity: the start of the window, `s<series>-<start>` or the snapshot's
    /// label, then 16 hexadecimal digits for the fan-out key.
    #[must_use]
    pub fn new(job: JobName, key: Option<FanoutKey>, parent: serde_json::Value, kind: SliceKind) -> Self {
        let part = match &kind {
            SliceKind::Window(window) => stamp(window.from),
            SliceKind::Incremental { series, start, .. } => format!("s{series}-{}", file_safe(&start.text())),
            SliceKind::Snapshot { label, .. } => file_safe(label).replace('-', ""),
        };
        let id = key.as_ref().map_or_else(|| part.clone(), |key| format!("{part}-{}", key.digest()));
        Self { job, id: SliceId::new(id), key, parent, kind }
    }

    /// Returns the window of a window slice.
    #[must_use]
    pub const fn window(&self) -> Option<Window> {
        match &self.kind {
            SliceKind::Window(window) => Some(*window),
            _ => None,
        }
    }
}

/// One file that a sink wrote for a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReceipt {
    /// The sink that wrote it.
    pub sink: SinkName,
    /// The root of the data set, as a URL.
    pub root: String,
    /// Its path below `root`, with `/` between the parts.
    pub path: String,
    /// Where it is staged until it is published: on disk a path below `root`, hidden from readers; in an object store the upload and
    /// its parts, as JSON.
    pub staged: String,
    /// Rows in the file.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// A staged file whose content isn't known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedPlace {
    /// The sink that writes it.
    pub sink: SinkName,
    /// The root of the data set, as a URL.
    pub root: String,
    /// The path below `root` that it will have.
    pub path: String,
    /// Where it is staged, as in [`FileReceipt::staged`].
    pub staged: String,
}

impl StagedPlace {
    /// Makes the receipt of a file that was never finished: enough to throw it away.
    #[must_use]
    pub fn into_receipt(self) -> FileReceipt {
        let Self { sink, root, path, staged } = self;
        FileReceipt { sink, root, path, staged, rows: 0, bytes: 0, sha256: String::new() }
    }
}

/// Prints an instant for a file name: `20260101T000000Z`, with microseconds only where there are any.
fn stamp(instant: DateTime<Utc>) -> String {
    if instant.timestamp_subsec_micros() == 0 {
        instant.format("%Y%m%dT%H%M%SZ").to_string()
    } else {
        instant.format("%Y%m%dT%H%M%S%.6fZ").to_string().replace('.', "_")
    }
}

/// Escapes all that isn't plain in a file name as `_` and two hexadecimal digits; no two texts give the same name.
fn file_safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("_{byte:02x}"));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use serde_json::json;

    use super::*;

    fn slice(kind: SliceKind, key: Option<FanoutKey>) -> String {
        Slice::new(JobName::new("j"), key, serde_json::Value::Null, kind).id.as_str().to_owned()
    }

    #[test]
    fn slice_ids_are_fixed_for_ever() {
        let from = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let window = Window { from, to: from + chrono::TimeDelta::days(1) };
        assert_eq!(slice(SliceKind::Window(window), None), "20260101T000000Z");
        let key = FanoutKey::new([("ifid", json!(0))]);
        assert_eq!(slice(SliceKind::Window(window), Some(key)), "20260101T000000Z-8010e1e6fb705832");
        let incremental = |start| SliceKind::Incremental { series: 0, start: CursorValue(start), end: None };
        assert_eq!(slice(incremental(json!(41)), None), "s0-41");
        assert_eq!(slice(incremental(json!("a/b_")), None), "s0-a_2fb_5f");
        let snapshot = |label: &str| SliceKind::Snapshot { at: from, label: label.to_owned() };
        assert_eq!(slice(snapshot("2026-01-01"), None), "20260101");
        assert_eq!(slice(snapshot("latest"), None), "latest");
    }
}
