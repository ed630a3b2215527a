//! An answer as it came.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use serde_json::{Map, Value};

use super::unpack::UNDONE_HERE;
use crate::model::AnswerFormat;

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
    /// What to know of the tries: the server asked for a longer wait than the policy allows, or the budget is spent.
    pub note: Option<String>,
    /// Whether it was worth another try, and none was left.
    pub unsettled: bool,
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

/// Tells whether only the end of the connection ends the body, so that a body that was cut off looks like a whole one. `length`
/// is the announced one.
pub(super) fn ends_with_connection(version: Version, headers: &HeaderMap, length: Option<u64>) -> bool {
    version < Version::HTTP_2 && length.is_none() && !headers.contains_key(TRANSFER_ENCODING)
}

/// What tells whether a body was cut off, where its transport doesn't: its format may.
#[derive(Debug, Clone, Copy)]
pub struct CutCheck {
    /// How bodies are written.
    pub format: AnswerFormat,
    /// Tells whether a body of such a format is only the beginning of one. It computes.
    pub is_cut: fn(AnswerFormat, &[u8]) -> bool,
}

impl CutCheck {
    /// Looks through a body, off the async threads.
    pub(super) async fn is_cut(self, body: Bytes) -> bool {
        tokio::task::spawn_blocking(move || (self.is_cut)(self.format, &body)).await.unwrap_or(false)
    }
}

/// Returns how a body is encoded that the client couldn't decode.
pub(super) fn unknown_encoding(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let encodings: Vec<_> = all.filter(|encoding| !matches!(encoding.trim(), "" | "identity")).collect();
    match encodings.as_slice() {
        [] => None,
        [one] if UNDONE_HERE.contains(&&**one) => None,
        _ => Some(encodings.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_chunks_and_http_2_tell_the_end() {
        let (none, mut chunked) = (HeaderMap::new(), HeaderMap::new());
        chunked.insert(TRANSFER_ENCODING, "chunked".parse().unwrap());
        assert!(ends_with_connection(Version::HTTP_11, &none, None));
        assert!(!ends_with_connection(Version::HTTP_11, &none, Some(0)));
        assert!(!ends_with_connection(Version::HTTP_11, &chunked, None));
        assert!(!ends_with_connection(Version::HTTP_2, &none, None));
    }
}
