//! A body as text of its format, or what it is instead.

use super::error::{DecodeError, excerpt};
use crate::model::AnswerFormat;

/// The marks by which compressed data begin.
const COMPRESSED: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")];

/// Returns the body as text, or says what it is instead. A byte order mark is dropped. An empty body is none of JSON.
pub(super) fn text_of(body: &[u8], format: AnswerFormat) -> Result<&str, DecodeError> {
    if i32::try_from(body.len()).is_err() {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let start = body.trim_ascii_start();
    if start.is_empty() && format == AnswerFormat::Json {
        return Err(empty(format));
    }
    if let Some((_, how)) = COMPRESSED.iter().find(|(mark, _)| body.starts_with(mark)) {
        return Err(DecodeError::Compressed { how });
    }
    let text = simdutf8::compat::from_utf8(body).map_err(|error| {
        let offset = error.valid_up_to();
        DecodeError::Utf8 { offset, excerpt: excerpt(body, offset) }
    });
    let due = format.name();
    let is_html = start.starts_with(b"<")
        && !matches!((format, &text), (AnswerFormat::Csv(csv), Ok(text)) if is_header_in_brackets(text, csv.delimiter));
    if is_html {
        return Err(DecodeError::Html { due, excerpt: excerpt(start, 0) });
    }
    let text = text?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if matches!(format, AnswerFormat::Csv(_)) && is_one_json(text) {
        return Err(DecodeError::OneJson { due, excerpt: excerpt(text.as_bytes(), 0) });
    }
    Ok(text)
}

/// Tells whether the first line is a header whose names all stand in angle brackets, as those of some quotes of stocks do.
fn is_header_in_brackets(text: &str, delimiter: u8) -> bool {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let is_name = |cell: &str| {
        let name = cell.strip_prefix('<').and_then(|cell| cell.strip_suffix('>'));
        name.is_some_and(|name| !name.is_empty() && !name.contains(['<', '>', '/', '!', '?', ' ']))
    };
    line.contains(char::from(delimiter)) && line.split(char::from(delimiter)).all(is_name)
}

/// Tells whether a text is a JSON object or array, or the beginning of one.
fn is_one_json(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).map_or_else(|error| error.is_eof(), |_| true)
}

/// Makes the error of a body with no bytes.
pub(super) fn empty(format: AnswerFormat) -> DecodeError {
    let remedy = match format {
        AnswerFormat::Json => "say so with `empty`",
        AnswerFormat::JsonLines | AnswerFormat::Csv(_) => "let `records` begin with `.[]?`",
    };
    DecodeError::Empty { due: format.name(), remedy }
}
