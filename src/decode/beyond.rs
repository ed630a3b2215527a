//! Pages with a number beyond the range of a double. It is JSON, and serde's reader breaks off at it where it looks for a number: so
//! such a page is read again record by record, and only the records that it breaks off in are rejected.

use super::envelope::{Rows as _, TypedRows};
use super::error::{DecodeError, json};

/// How `serde_json` says it.
const REASON: &str = "number out of range";

/// Tells whether a page broke off at such a number.
pub(super) fn is_beyond(error: &DecodeError) -> bool {
    matches!(error, DecodeError::Json { reason, .. } | DecodeError::Line { reason, .. } if reason == REASON)
}

/// Reads records one by one: into `trial` first where they have such a number, since a column of JSON text takes it.
pub(super) fn read(raw: &[&str], rows: &mut TypedRows<'_>, trial: &mut TypedRows<'_>) -> Result<(), DecodeError> {
    for record in raw {
        let reads = |rows: &mut TypedRows<'_>| rows.row(&mut serde_json::Deserializer::from_str(record));
        if serde_json::from_str::<serde_json::Value>(record).is_ok() || reads(trial).is_ok() {
            reads(rows).map_err(|error| json(record, &error))?;
            continue;
        }
        // A column that isn't pinned takes the number once it is `json`.
        rows.row.grows = true;
        rows.reject("numbers within the range of a double", "one that is beyond".to_owned());
    }
    Ok(())
}
