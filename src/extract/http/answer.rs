//! An answer as it came.

use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, StatusCode, Version};
use serde::de::IgnoredAny;
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

/// Tells whether the body is the beginning of a JSON document. What is no JSON at all, such as a page for people, is not.
pub(super) fn is_cut_json(body: &[u8]) -> bool {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(begins, Some(b'{' | b'[')) && serde_json::from_slice::<IgnoredAny>(body).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_document_is_cut() {
        let whole = br#" {"rc": 0, "rsp": [{"name": "a}]"}, []]}"#;
        for end in 2..whole.len() {
            assert!(is_cut_json(&whole[..end]), "{end}");
        }
        for body in [&whole[..], b"{} ", b"", b"  ", b"<html>", b"null", b"{\"a\":1}\n{\"a\":", b"[1,,2]"] {
            assert!(!is_cut_json(body), "{}", String::from_utf8_lossy(body));
        }
    }

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
