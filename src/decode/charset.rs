//! The character set that an answer says it is in: text of another one may be UTF-8 all the same, and say something else.

use serde_json::Value;

use super::DecodeError;
use crate::model::AnswerFormat;

/// Where the headers stand among the variables of a page.
const HEADERS: usize = 1;

/// The longest name that is quoted; the longest there is has 45.
const LONGEST: usize = 45;

/// Where the bytes of ASCII may stand for other characters, though all are below 128.
const ESCAPES: [&str; 4] = ["utf-7", "utf7", "iso-2022", "hz-"];

/// Where a character of ASCII takes several bytes.
const WIDE: [&str; 5] = ["utf-16", "utf16", "utf-32", "utf32", "ucs"];

/// Refuses a body in another character set than UTF-8.
///
/// All but those of above have ASCII in common with it. JSON is UTF-8 whatever is said of it (RFC 8259, sections 8.1 and 11), and can
/// be told from those with wide characters; a table can't be told from anything.
pub(super) fn check(vars: &[Value], body: &[u8], format: AnswerFormat) -> Result<(), DecodeError> {
    let kind = vars.get(HEADERS).and_then(|headers| headers.get("content-type")).and_then(Value::as_str);
    let Some(charset) = kind.and_then(charset) else { return Ok(()) };
    let name = charset.to_ascii_lowercase();
    let is_one_of = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    let is_ours =
        ["utf-8", "utf8", "ascii"].iter().any(|ours| name.contains(ours)) || body.starts_with(b"\xef\xbb\xbf");
    let is_table = matches!(format, AnswerFormat::Csv(_));
    let is_other = is_one_of(&ESCAPES) || (is_table && (is_one_of(&WIDE) || !body.is_ascii()));
    if is_ours || !is_other { Ok(()) } else { Err(DecodeError::Charset { charset: charset.to_owned() }) }
}

/// Returns the parameter `charset` of a content type (RFC 9110, section 8.3.2).
fn charset(kind: &str) -> Option<&str> {
    let value = kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    let is_part = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',');
    let value = value.trim_start_matches(|c: char| !is_part(c));
    let end = value.find(|c: char| !is_part(c)).unwrap_or(value.len()).min(LONGEST);
    Some(&value[..end]).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::CsvDialect;

    const CSV: AnswerFormat = AnswerFormat::Csv(CsvDialect { delimiter: b',', header: true, sparse: false });

    fn refused(format: AnswerFormat, kind: &str, body: &str) -> Option<String> {
        let vars = [json!(200), json!({"content-type": kind})];
        check(&vars, body.as_bytes(), format).err().map(|error| error.to_string())
    }

    #[test]
    fn another_character_set_is_refused_where_it_may_say_something_else() {
        for (kind, body) in [
            ("text/csv; charset=iso-2022-jp", "a,b\n1,\u{1b}$BF|K\\\u{1b}(B\n"),
            ("text/csv; charset=\"UTF-16LE\"", "a\0,\0b\0\n\0"),
            ("text/csv; header=present; Charset = utf-7", "a,b\n1,+AOk-\n"),
            ("text/csv;charset=windows-1252", "a,b\n1,\u{c3a9}\n"),
            ("text/csv; charset=gb18030, text/csv", "a,b\n1,\u{e9}\n"),
        ] {
            let error = refused(CSV, kind, body).unwrap_or_else(|| panic!("{kind}"));
            assert!(error.contains("and only utf-8 is read; ask for utf-8"), "{error}");
        }
        assert!(refused(CSV, "text/csv; charset=gb18030, text/csv", "é").unwrap().contains("is in gb18030, and"));
        assert!(refused(AnswerFormat::Json, "application/json; charset=iso-2022-kr", "[]").is_some());
    }

    #[test]
    fn what_reads_the_same_is_read() {
        for kind in
            ["text/csv", "text/csv; charset=UTF-8", "text/csv; charset=\"utf8\"", "text/csv; charset=", "", "; charset"]
        {
            assert_eq!(refused(CSV, kind, "a,b\n1,é\n"), None, "{kind}");
        }
        for charset in ["us-ascii", "ANSI_X3.4-1968", "iso-8859-1", "windows-1252", "binary"] {
            assert_eq!(refused(CSV, &format!("text/csv; charset={charset}"), "a,b\n1,2\n"), None, "{charset}");
        }
        assert_eq!(refused(CSV, "text/csv; charset=utf-16", "\u{feff}a,b\n1,é\n"), None, "its mark says utf-8");
        assert_eq!(refused(AnswerFormat::Json, "application/json; charset=iso-8859-1", "[{\"a\": \"é\"}]"), None);
        assert_eq!(check(&[json!(200), Value::Null], b"a", CSV).err().map(|error| error.to_string()), None);
    }
}
