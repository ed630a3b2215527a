//! Bodies that are only the beginning of one: asked of those that end with their connection, where nothing else tells.

use serde::de::IgnoredAny;

use super::{lines, table};
use crate::model::AnswerFormat;

/// Tells whether a body is certainly cut off, as far as its format can tell. What isn't of the format at all, such as a page for
/// people, is not.
///
/// A JSON document ends by itself. The last line of JSON Lines is cut where its document is. A table is cut within a quoted cell, or
/// where its last row has no line end and fewer cells than the first; a cut within its last cell doesn't show.
#[must_use]
pub fn is_cut(format: AnswerFormat, body: &[u8]) -> bool {
    if body.trim_ascii_start().starts_with(b"<") {
        return false;
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // It ends in the middle of a character.
        Err(error) if error.error_len().is_none() => return true,
        Err(_) => return false,
    };
    match format {
        AnswerFormat::Json => {
            text.trim_ascii_start().starts_with(['{', '['])
                && serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
        }
        AnswerFormat::JsonLines => lines::is_cut(text),
        AnswerFormat::Csv(dialect) => table::is_cut(text, dialect.delimiter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CsvDialect;

    #[test]
    fn only_the_beginning_of_a_document_is_cut() {
        let whole = br#" {"rc": 0, "rsp": [{"name": "a}]"}, []]}"#;
        for end in 2..whole.len() {
            assert!(is_cut(AnswerFormat::Json, &whole[..end]), "{end}");
        }
        for body in [&whole[..], b"{} ", b"", b"  ", b"<html>", b"null", b"{\"a\":1}\n{\"a\":", b"[1,,2]"] {
            assert!(!is_cut(AnswerFormat::Json, body), "{}", String::from_utf8_lossy(body));
        }
        assert!(is_cut(AnswerFormat::Json, "{\"a\": \"é".as_bytes().split_last().unwrap().1), "within a character");
    }

    #[test]
    fn the_last_line_may_be_cut() {
        let cut = |body: &str| is_cut(AnswerFormat::JsonLines, body.as_bytes());
        assert!(cut("{\"a\":1}\n{\"a\":") && cut("{\"a\":1}\n{\"a\":\n") && cut("{\"a\":1"));
        for body in [
            "{\"a\":1}\n{\"a\":2}",
            "{\"a\":1}\n",
            "{\"a\":1}\r\n\r\n",
            "",
            "\n",
            "{\"a\":\n{\"a\":1}",
            "oops",
            "<html>",
        ] {
            assert!(!cut(body), "{body}");
        }
    }

    #[test]
    fn a_table_may_be_cut_in_a_row() {
        let cut = |body: &str| is_cut(AnswerFormat::Csv(CsvDialect::default()), body.as_bytes());
        assert!(cut("a,b\n1,2\n3") && cut("a,b\n1,\"x\ny") && cut("\"a"));
        for body in ["a,b\n1,2\n3,4", "a,b\n1,2\n", "a,b\r\n1,2\r\n3\r\n", "", "a,b", "a,b\n1,2\n3,"] {
            assert!(!cut(body), "{body}");
        }
    }
}
