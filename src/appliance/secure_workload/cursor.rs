//! The opaque cursor. It names a place in one search and is refused in any other; its JSON type changes from page to page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::appliance::dice::mix;

/// Where a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Flows given so far.
    pub(super) given: u64,
    /// Pages given so far.
    pub(super) pages: u64,
}

/// Writes a cursor for the search `search`, a hash of all that it asks for.
pub(super) fn write(search: u64, at: Position) -> Value {
    let seal = mix(search, mix(at.given, at.pages));
    let parts = json!([at.given, at.pages, seal]);
    match mix(search, at.pages) % 5 {
        0 => json!({"pagingIdentifiers": {"given": at.given, "": [null, {"z": 1, "a": at.pages}]}, "seal": seal}),
        1 => parts,
        // A number beyond 2^53: 24 bits of flows, 16 of pages, 24 of the seal.
        2 if at.given < 1 << 24 && at.pages < 1 << 16 => {
            json!((at.given << 40) | (at.pages << 24) | (seal & 0xFF_FFFF))
        }
        _ => json!(STANDARD.encode(parts.to_string())),
    }
}

/// Reads a cursor; `None` where it isn't one of this search, exactly as it was written.
pub(super) fn read(search: u64, cursor: &Value) -> Option<Position> {
    let at = match cursor {
        Value::Object(fields) => {
            let given = fields.get("pagingIdentifiers")?;
            Position { given: given.get("given")?.as_u64()?, pages: given.pointer("//1/a")?.as_u64()? }
        }
        Value::Number(number) => {
            let packed = number.as_u64()?;
            Position { given: packed >> 40, pages: (packed >> 24) & 0xFFFF }
        }
        Value::Array(parts) => Position { given: parts.first()?.as_u64()?, pages: parts.get(1)?.as_u64()? },
        Value::String(text) => {
            let parts: Value = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
            Position { given: parts.get(0)?.as_u64()?, pages: parts.get(1)?.as_u64()? }
        }
        _ => return None,
    };
    // Compared as text, so that an order of keys that changed on the way is noticed too.
    let (ours, theirs) = (write(search, at).to_string(), cursor.to_string());
    (ours == theirs).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_of_many_types_and_belong_to_one_search() {
        let mut kinds = std::collections::BTreeSet::new();
        for pages in 1..40 {
            let at = Position { given: pages * 100, pages };
            let cursor = write(7, at);
            kinds.insert(match &cursor {
                Value::Object(_) => "object",
                Value::Array(_) => "array",
                Value::Number(_) => "number",
                _ => "string",
            });
            assert_eq!(read(7, &cursor), Some(at));
            assert_eq!(read(8, &cursor), None);
        }
        assert_eq!(kinds.len(), 4);
        assert_eq!(read(7, &json!("nonsense")), None);
        assert_eq!(read(7, &json!(true)), None);
    }
}
