//! From a parent's rows to the keys of a fan-out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::FanoutKey;
use crate::pipeline::spec::FanOut;

/// One value of a fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What identifies it.
    pub key: FanoutKey,
    /// The parent's row, or the listed value, as templates see it.
    pub row: Value,
}

/// A parent's rows can't be fanned out over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FanOutError {
    /// A row has no value in a key column.
    #[error("row {row} of the parent has no `{column}`, which `for_each.key` names")]
    NoKey {
        /// The row's number, from 1.
        row: usize,
        /// The column.
        column: String,
    },
    /// Two rows have the same key and differ.
    #[error("two rows of the parent have the key {key}; name more columns in `for_each.key`")]
    SameKey {
        /// The key.
        key: FanoutKey,
    },
    /// There are more keys than expected.
    #[error("the parent has {found} keys, more than `max_keys: {max_keys}`; raise it if that is right")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max_keys: u64,
    },
}

/// Returns the keys of `rows` in the order of their canonical JSON, so that the order of the answer decides nothing.
///
/// Rows that are equal count once.
///
/// # Errors
/// A row without its key columns, two different rows of one key, or more keys than `max_keys`.
pub fn keys_of(fan_out: &FanOut, rows: &[Value]) -> Result<Vec<Key>, FanOutError> {
    let mut keys: BTreeMap<FanoutKey, Value> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let key = key_of(fan_out, row, at + 1)?;
        match keys.get(&key) {
            Some(other) if other != row => return Err(FanOutError::SameKey { key }),
            _ => keys.insert(key, row.clone()),
        };
    }
    if keys.len() as u64 > fan_out.max_keys {
        return Err(FanOutError::TooMany { found: keys.len(), max_keys: fan_out.max_keys });
    }
    Ok(keys.into_iter().map(|(key, row)| Key { key, row }).collect())
}

fn key_of(fan_out: &FanOut, row: &Value, number: usize) -> Result<FanoutKey, FanOutError> {
    let mut columns = Vec::with_capacity(fan_out.key.len());
    for column in &fan_out.key {
        let value = if row.is_object() { row.get(column) } else { Some(row) };
        let value = value.filter(|value| !value.is_null());
        let missing = || FanOutError::NoKey { row: number, column: column.clone() };
        columns.push((column.as_str(), value.cloned().ok_or_else(missing)?));
    }
    Ok(FanoutKey::new(columns))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::JobName;
    use crate::pipeline::spec::FanOutFrom;

    fn fan_out(key: &str, max_keys: u64) -> FanOut {
        let from = FanOutFrom::Rows(JobName::new("parents"));
        FanOut { from, name: "p".to_owned(), key: vec![key.to_owned()], columns: Vec::new(), max_keys }
    }

    #[test]
    fn keys_come_in_their_own_order_and_once() {
        let rows = [json!({"id": 2, "n": "b"}), json!({"id": 1, "n": "a"}), json!({"n": "b", "id": 2})];
        let keys = keys_of(&fan_out("id", 10), &rows).unwrap();
        let keys: Vec<_> = keys.iter().map(|key| key.key.as_str()).collect();
        assert_eq!(keys, [r#"{"id":1}"#, r#"{"id":2}"#]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let rows = [json!({"id": 1, "n": "a"}), json!({"id": 1, "n": "b"})];
        assert!(matches!(keys_of(&fan_out("id", 10), &rows), Err(FanOutError::SameKey { .. })));
        assert!(matches!(keys_of(&fan_out("x", 10), &rows), Err(FanOutError::NoKey { row: 1, .. })));
        assert!(matches!(keys_of(&fan_out("n", 1), &rows), Err(FanOutError::TooMany { found: 2, max_keys: 1 })));
    }
}
