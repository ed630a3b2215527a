//! What rules about retries see of a page, before it is decoded, is what the other rules see of it afterwards.

use super::*;
use crate::model::CsvDialect;

/// Returns what rules see after a page was decoded, or couldn't be.
fn afterwards(body: &str, format: AnswerFormat, records: &[&str]) -> Value {
    let mut decoder = PageDecoder::new(DecodeOptions { format, ..options(records) });
    let page = try_page(&mut decoder, body.as_bytes().to_vec());
    page.map_or_else(|_| serde_json::from_str(body).unwrap_or_default(), |page| page.envelope)
}

#[test]
fn before_and_after_rules_see_the_same() {
    let csv = AnswerFormat::Csv(CsvDialect::default());
    let bodies = [
        r#"{"rc":0,"rsp":{"rows":[{"a":1},{"a":2}],"more":true}}"#,
        r#"{"rc":0,"rsp":{"rows":[]}}"#,
        r#"{"rc":0,"rsp":[]}"#,
        r#"{"rc":-1,"rsp":{"rows":null}}"#,
        r#"{"rc":-1,"rsp":{"rows":7}}"#,
        r#"{"status":"busy"}"#,
        r#"[{"a":1},{"a":2}]"#,
        "[]",
        "{\"a\":1}\n{\"a\":2}",
        "a,b\n1,2\n3,4\n",
        "a,b\n1\n",
        "",
        "<html></html>",
        "{\"rc\":0,\"rsp\":{\"rows\":[{\"a\":1},",
        "null",
    ];
    let paths: [&[&str]; 4] =
        [&[".rsp.rows[]"], &[".results[]", ".rsp.rows[]?"], &[".[]"], &[".[]? | objects | {b: .a}"]];
    for body in bodies {
        for records in paths {
            for format in [AnswerFormat::Json, AnswerFormat::JsonLines, csv] {
                let selector = options(records).selector;
                let seen = envelope_of(body.as_bytes(), format, &selector);
                assert_eq!(seen, afterwards(body, format, records), "{body} by {records:?} of {format:?}");
            }
        }
    }
}
