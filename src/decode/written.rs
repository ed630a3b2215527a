//! What the expressions over a page see of it, as it is written: with all digits of its numbers, which values don't keep.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::json;
use super::page::{Page, choose, document};
use super::table::Known;
use super::text::text_of;
use super::{DecodeError, PageVars};
use crate::lang::Selector;
use crate::model::AnswerFormat;

/// Returns the JSON text of what expressions see of a page beside its records: the body without them where they lie along a path, else
/// the whole body; null where that isn't JSON.
///
/// # Errors
/// As for [`super::PageDecoder::decode`].
pub fn written_envelope(body: &[u8], format: AnswerFormat, selector: &Selector) -> Result<String, DecodeError> {
    let text = text_of(body, format)?;
    match selector {
        Selector::Plain { paths } if format == AnswerFormat::Json => {
            let path = choose(text, paths)?;
            without(text, &path.keys).map_err(|error| json(text, &error))
        }
        Selector::Plain { .. } => Ok("null".to_owned()),
        Selector::Program(_) => Ok(document(text, format, &Known::default())?.0.into_owned()),
    }
}

/// Returns the JSON texts of a page's first record and its last one, null where there is none. The arguments are those of
/// [`super::PageDecoder::decode`].
///
/// # Errors
/// As for [`super::PageDecoder::decode`].
pub fn written_edges(
    body: &[u8],
    format: AnswerFormat,
    selector: &Selector,
    context: &PageVars,
    vars: &[Value],
) -> Result<[String; 2], DecodeError> {
    let page = Page::open(body, format, selector, &Known::default(), &context.with(vars))?;
    let (raw, _) = page.raw(false)?;
    let text = |at: usize| match raw.get(at) {
        Some(record) => page.text(record),
        None => "null".to_owned(),
    };
    Ok([text(0), text(raw.len().saturating_sub(1))])
}

/// Tells whether a value has a number that is kept as a double, which may be written otherwise where it is from.
#[must_use]
pub fn has_double(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_double),
        Value::Object(fields) => fields.values().any(has_double),
        _ => false,
    }
}

/// Leaves the list at the end of a path out of a document; one that has none stays as it is.
fn without(text: &str, keys: &[String]) -> Result<String, serde_json::Error> {
    let Some((key, rest)) = keys.split_first() else {
        return Ok(if text.trim_ascii_start().starts_with('[') { "null" } else { text }.to_owned());
    };
    if !text.trim_ascii_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    let fields: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
    let mut kept = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let is_list = name == *key && rest.is_empty() && value.get().starts_with('[');
        if !is_list {
            let value = if name == *key { without(value.get(), rest)? } else { value.get().to_owned() };
            kept.push(format!("{}:{value}", Value::from(name)));
        }
    }
    Ok(format!("{{{}}}", kept.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CsvDialect;

    fn selector(records: &str) -> Selector {
        Selector::parse_with(&[records.to_owned()], &["status", "headers"]).unwrap()
    }

    #[test]
    fn the_envelope_is_what_values_show_with_all_digits() {
        let body = r#"{"next": 1.10, "rsp": {"n": [1e3], "rows": [{"id": 1.0}], "é\n": 12345678901234567890123}}"#;
        let written = |records: &str, body: &str| {
            written_envelope(body.as_bytes(), AnswerFormat::Json, &selector(records)).unwrap()
        };
        assert_eq!(written(".rsp.rows[]", body), r#"{"next":1.10,"rsp":{"n":[1e3],"é\n":12345678901234567890123}}"#);
        assert_eq!(written(".rsp.rows[] | .", body), body);
        assert_eq!(written(".[]", "[1.10]"), "null");
        assert_eq!(written(".rsp[]?", r#"{"rsp": null}"#), r#"{"rsp":null}"#);
        for (records, body) in
            [(".rsp.rows[]", body), (".rsp[]?", "{}"), (".rsp.a[]?", r#"{"rsp": [1]}"#), (".[]", "[]")]
        {
            let seen = super::super::envelope_of(body.as_bytes(), AnswerFormat::Json, &selector(records));
            let text: Value = serde_json::from_str(&written(records, body)).unwrap();
            assert_eq!(text, seen, "{records} {body}");
        }
    }

    #[test]
    fn the_edges_are_the_first_record_and_the_last_one() {
        let context = PageVars { status: 200, headers: Value::Null };
        let edges = |body: &str, format, records: &str| {
            written_edges(body.as_bytes(), format, &selector(records), &context, &[]).unwrap()
        };
        assert_eq!(
            edges(r#"[{"a": 1.10}, 2, {"a": 1e3}]"#, AnswerFormat::Json, ".[]"),
            [r#"{"a": 1.10}"#, r#"{"a": 1e3}"#]
        );
        assert_eq!(edges(r#"{"r": [{"a": 2.50}]}"#, AnswerFormat::Json, ".r[] | {a}"), [r#"{"a":2.50}"#; 2]);
        assert_eq!(
            edges("{\"a\": 1.0}\n{\"a\": 2.0}\n", AnswerFormat::JsonLines, ".[]"),
            [r#"{"a": 1.0}"#, r#"{"a": 2.0}"#]
        );
        let csv = AnswerFormat::Csv(CsvDialect::default());
        assert_eq!(edges("a,b\n1.10,x\n", csv, ".[]"), [r#"{"a":"1.10","b":"x"}"#; 2]);
        assert_eq!(edges("[]", AnswerFormat::Json, ".[]"), ["null"; 2]);
    }
}
