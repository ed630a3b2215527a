//! An answer as it came.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

/// An answer, not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct RawAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers, an object with names in lower case. Several of one name are joined by a comma and a blank.
    pub headers: Value,
    /// The body, decompressed.
    pub body: Bytes,
    /// Tries made, the last included.
    pub attempts: u32,
    /// Time from the first try's start to the body's end, waits included.
    pub elapsed: Duration,
    /// What to know of the waits: the server asked for a longer one than the policy allows.
    pub note: Option<String>,
}

/// Makes an object of headers.
pub(super) fn headers_to_json(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        map.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
    }
    Value::Object(map)
}
