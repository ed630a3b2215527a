//! An answer as it came.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use serde_json::{Map, Value};

use super::unpack::{encodings, undone_here};
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
    /// Why the body isn't whole, not scrubbed: only where the status is none of success, and stands all the same.
    pub broken: Option<String>,
    /// Tries made, the last included.
    pub attempts: u32,
    /// Time from the first try's start to the body's end, waits included.
    pub elapsed: Duration,
    /// What to know of the tries: the server asked for a longer wait than the policy allows, or the budget is spent.
    pub note: Option<String>,
    /// Whether it was worth another try, and none was left.
    pub unsettled: bool,
    /// Whether nothing tells the body from one that was cut off behind a line: neither its transport nor its format.
    pub unmarked: bool,
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
/// is the announced one. Of the transfer codings only `chunked`, which is the last then, marks the end (RFC 9112, section 6.3).
pub(super) fn ends_with_connection(version: Version, headers: &HeaderMap, length: Option<u64>) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().filter_map(|codings| codings.to_str().ok());
    let last = codings.flat_map(|codings| codings.split(',')).map(str::trim).rfind(|coding| !coding.is_empty());
    version < Version::HTTP_2 && length.is_none() && !last.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
}

/// Returns which part of the body an answer brings, where that isn't all of it and the request asked for no part: a cache on the way
/// may answer so (RFC 9110, section 15.3.7). APIs that count rows in `Content-Range` have units of their own, and are no such answer.
pub(super) fn unasked_part(request: &HeaderMap, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if status != StatusCode::PARTIAL_CONTENT || request.contains_key(RANGE) {
        return None;
    }
    // As it was written: what is told is scrubbed of secrets, which would be strangers in another case.
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let Some(range) = text(CONTENT_RANGE) else {
        return text(CONTENT_TYPE).filter(|kind| kind.to_ascii_lowercase().starts_with("multipart/byteranges"));
    };
    let (unit, part) = range.split_once(char::is_whitespace)?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let is_whole = part.split_once('/').is_some_and(|(part, length)| {
        let last = part.trim().strip_prefix("0-").and_then(|last| last.parse::<u64>().ok()?.checked_add(1));
        last.is_some() && last == length.trim().parse().ok()
    });
    (!is_whole).then_some(range)
}

/// Tells whether a body without a marked end may have been cut in its last cell: the last line of a table has no end of a line.
/// Whoever writes tables so writes them so each time.
pub(super) fn is_open_ended(format: AnswerFormat, body: &[u8]) -> bool {
    matches!(format, AnswerFormat::Csv(_)) && body.last().is_some_and(|byte| !matches!(byte, b'\n' | b'\r'))
}

/// Tells whether a body of a format is whole wherever a line of it ends.
pub(super) const fn ends_with_any_line(format: AnswerFormat) -> bool {
    matches!(format, AnswerFormat::Csv(_) | AnswerFormat::JsonLines)
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
    let encodings = encodings(headers);
    match encodings.as_slice() {
        [] => None,
        [one] if undone_here(one).is_some() => None,
        _ => Some(encodings.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_chunks_and_http_2_tell_the_end() {
        let none = HeaderMap::new();
        let coded = |codings: &str| HeaderMap::from_iter([(TRANSFER_ENCODING, codings.parse().unwrap())]);
        let chunked = coded("gzip, Chunked");
        assert!(ends_with_connection(Version::HTTP_11, &none, None));
        assert!(!ends_with_connection(Version::HTTP_11, &none, Some(0)));
        assert!(!ends_with_connection(Version::HTTP_11, &chunked, None));
        assert!(!ends_with_connection(Version::HTTP_2, &none, None));
        for unmarked in ["identity", "gzip", "chunked, identity", ""] {
            assert!(ends_with_connection(Version::HTTP_11, &coded(unmarked), None), "{unmarked}");
        }
    }

    #[test]
    fn a_part_that_nobody_asked_for_is_told_from_a_page_of_a_list() {
        let headers = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        let part =
            |range: &str| unasked_part(&HeaderMap::new(), StatusCode::PARTIAL_CONTENT, &headers(CONTENT_RANGE, range));
        for range in ["bytes 0-9/100", "Bytes 1-99/100", "bytes  0-98/100", "bytes 0-9/*", "bytes 0-9"] {
            assert_eq!(part(range).as_deref(), Some(range));
        }
        for range in ["bytes 0-99/100", "items 0-9/100", "0-24/3573", "records 0-9/*", ""] {
            assert_eq!(part(range), None, "{range}");
        }
        let (range, none) = (headers(CONTENT_RANGE, "bytes 0-9/100"), HeaderMap::new());
        assert_eq!(unasked_part(&headers(RANGE, "bytes=0-9"), StatusCode::PARTIAL_CONTENT, &range), None);
        assert_eq!(unasked_part(&none, StatusCode::OK, &range), None);
        assert_eq!(unasked_part(&none, StatusCode::PARTIAL_CONTENT, &none), None);
        let parts = headers(CONTENT_TYPE, "multipart/byteranges; boundary=x");
        assert!(unasked_part(&none, StatusCode::PARTIAL_CONTENT, &parts).is_some());
    }
}
