use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::lang::Selector;
use crate::model::{AnswerFormat, Column, ColumnType, HandColumn, HandType};

mod ahead;
mod by_hand;
mod constants;
mod formats;
mod guards;
mod oracle;
mod pages;
mod properties;
mod seen;

fn options(records: &[&str]) -> DecodeOptions {
    let texts: Vec<String> = records.iter().map(|&text| text.to_owned()).collect();
    DecodeOptions {
        max_depth: 64,
        ..DecodeOptions::new(AnswerFormat::Json, Selector::parse_with(&texts, &PAGE_VARIABLES).unwrap())
    }
}

fn decoder() -> PageDecoder {
    PageDecoder::new(options(&[".[]"]))
}

fn pinned(columns: &[(&str, ColumnType)], contract: Contract) -> PageDecoder {
    let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: kind.clone() });
    let pinned = Some(RecordSchema::new(columns.collect()));
    PageDecoder::new(DecodeOptions { pinned, contract, ..options(&[".[]"]) })
}

fn try_page(decoder: &mut PageDecoder, body: impl Into<Bytes>) -> Result<DecodedPage, DecodeError> {
    let context = PageVars { status: 200, headers: json!({}) };
    let page = decoder.decode(&body.into(), &context, None, &[])?;
    assert_eq!(page.rows, page.batch().num_rows() as u64 + page.rejected.len() as u64);
    assert_eq!(page.batch().schema(), arrow_schema(&page.schema));
    Ok(page)
}

fn page(decoder: &mut PageDecoder, body: impl Into<Bytes>) -> DecodedPage {
    try_page(decoder, body).unwrap_or_else(|error| panic!("{error}"))
}

impl DecodedPage {
    /// Returns the rows as one batch.
    fn batch(&self) -> RecordBatch {
        let batches = self.pieces.iter().map(|piece| &piece.batch);
        arrow::compute::concat_batches(&self.pieces[0].batch.schema(), batches).unwrap()
    }

    /// Returns what a widener is given, as one batch.
    fn held(&self) -> RecordBatch {
        let pieces: Vec<_> = self.pieces.iter().map(|piece| piece.clone().held().unwrap()).collect();
        arrow::compute::concat_batches(&pieces[0].schema(), &pieces).unwrap()
    }
}

fn refused(records: &[&str], body: &[u8]) -> String {
    try_page(&mut PageDecoder::new(options(records)), body.to_vec()).unwrap_err().to_string()
}

/// Prints the batch as JSON Lines, nulls left out, by Arrow's own writer.
fn lines(batch: &RecordBatch) -> Vec<String> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
}

fn schema_of(bodies: &[&str]) -> String {
    let mut decoder = decoder();
    for body in bodies {
        page(&mut decoder, body.as_bytes().to_vec());
    }
    show(decoder.schema())
}

fn show(schema: &RecordSchema) -> String {
    schema.columns().iter().map(|column| format!("{}: {}", column.name, column.kind)).collect::<Vec<_>>().join(", ")
}

#[test]
fn types_follow_from_what_was_seen() {
    let check = |body: &str, expected: &str| {
        assert_eq!(schema_of(&[body]), expected, "{body}");
        assert_eq!(schema_of(&["[]", body, "[null]"]), expected, "{body}");
    };
    check(r#"[{"b": 1, "a": null}, {"b": -2}]"#, "a: null, b: int64");
    check(r#"[{"a": true}, {"a": null}]"#, "a: bool");
    check(r#"[{"a": 18446744073709551615}, {"a": 1}]"#, "a: uint64");
    check(r#"[{"a": 18446744073709551615}, {"a": -1}]"#, "a: json");
    check(r#"[{"a": 9223372036854775808}, {"a": -1}]"#, "a: float64");
    check(r#"[{"a": 1}, {"a": 0.5}]"#, "a: float64");
    check(r#"[{"a": 9007199254740993}, {"a": 0.5}]"#, "a: json");
    check(r#"[{"a": 123456789012345678901234567890}]"#, "a: json");
    check(r#"[{"a": 1e999}]"#, "a: json");
    check(r#"[{"a": -0}]"#, "a: float64");
    check(r#"[{"a": 1}, {"a": "1"}]"#, "a: json");
    check(r#"[{"a": "x"}, {"a": {"b": 1}}]"#, "a: json");
    check(r#"[{"a": []}, {"a": {}}]"#, "a: null");
    check(r#"[{"a": []}, {"a": {"b": {"c": []}}}]"#, "a: struct<b: struct<c: null>>");
    check(r#"[{"a": []}, {"a": [1, null, 2.5]}]"#, "a: list<float64>");
    check(r#"[{"a": [{"x": 1}, {"y": ["z"]}]}]"#, "a: list<struct<x: int64, y: list<string>>>");
    check(r#"[{"a": [1]}, {"a": {"b": 1}}]"#, "a: json");
}

#[test]
fn wide_and_deep_objects_are_json() {
    let wide: Vec<String> = (0..65).map(|at| format!("\"k{at}\": {at}")).collect();
    let body = format!("[{{\"a\": {{{}}}, {}}}]", wide.join(","), wide.join(","));
    let mut decoder = decoder();
    page(&mut decoder, body);
    assert_eq!(decoder.schema().columns().len(), 66);
    assert_eq!(decoder.schema().column("a").unwrap().kind, ColumnType::Json);
    assert_eq!(
        decoder.notes(),
        ["`a` is kept as json text: it holds objects with more than 64 keys, or nested too deep"]
    );
    let mut shallow = PageDecoder::new(DecodeOptions { max_depth: 2, ..options(&[".[]"]) });
    page(&mut shallow, "[{\"a\": {\"b\": {\"c\": 1}}}]");
    assert_eq!(show(shallow.schema()), "a: struct<b: json>");
    let deep = format!("[{{\"a\": {}1{}}}]", "[".repeat(1000), "]".repeat(1000));
    let mut decoder = self::decoder();
    let deepest = page(&mut decoder, deep.clone());
    assert_eq!((deepest.batch().num_rows(), deepest.rejected.len()), (0, 1), "it is nested more than 128 deep");
    assert_eq!(show(decoder.schema()).matches("list<").count(), 63);
    assert!(
        refused(&[".x[]"], format!("{{\"x\": [], \"y\": {deep}}}").as_bytes()).contains("nested more than 128 deep")
    );
}

#[test]
fn values_arrive_as_they_were() {
    let mut decoder = decoder();
    let body = r#"[{"i": -9223372036854775808, "u": 18446744073709551615, "f": 0.1, "s": "a\né", "b": true,
        "j": 1.10, "l": [1, null], "o": {"x": 1}}, {"j": {"k": 123456789012345678901234567890}, "o": [], "l": []}]"#;
    let batch = page(&mut decoder, body).batch();
    assert_eq!(batch["i"].as_primitive::<Int64Type>().value(0), i64::MIN);
    assert_eq!(batch["u"].as_primitive::<UInt64Type>().value(0), u64::MAX);
    assert_eq!(batch["f"].as_primitive::<Float64Type>().value(0).to_bits(), 0.1_f64.to_bits());
    assert_eq!(batch["s"].as_string::<i32>().value(0), "a\né");
    assert_eq!(batch["j"].as_string::<i32>().value(0), "1.10");
    assert_eq!(batch["j"].as_string::<i32>().value(1), r#"{"k": 123456789012345678901234567890}"#);
    assert!(batch["o"].is_null(1) && batch["s"].is_null(1));
    assert_eq!(batch["l"].as_list::<i32>().value_length(1), 0);
}

#[test]
fn later_pages_widen_the_schema_and_earlier_batches_follow() {
    let mut decoder = decoder();
    let bodies = [
        r#"[{"a": 1, "n": null, "o": {"x": 1}, "m": "t", "l": [1], "j": {"p": [true, {"q": "r"}]}}]"#,
        r#"[{"a": 2.5, "n": [{"y": 1}], "o": {"z": "w"}, "m": 7, "l": [0.5], "new": true, "j": 1}]"#,
    ];
    let pages: Vec<DecodedPage> = bodies.iter().map(|&body| page(&mut decoder, body)).collect();
    let merged: Vec<String> = pages
        .iter()
        .flat_map(|page| lines(&decoder.widener(decoder.schema().clone()).widen(&page.held(), &page.schema).unwrap()))
        .collect();
    assert_eq!(
        merged,
        [
            r#"{"a":1.0,"j":"{\"p\":[true,{\"q\": \"r\"}]}","l":[1.0],"m":"\"t\"","o":{"x":1}}"#,
            r#"{"a":2.5,"j":"1","l":[0.5],"m":"7","n":[{"y":1}],"new":true,"o":{"z":"w"}}"#,
        ]
    );
    let back = decoder.widener(pages[0].schema.clone()).widen(&pages[1].batch(), &pages[1].schema).unwrap_err();
    assert!(matches!(back, DecodeError::Widen { .. }));
}

#[test]
fn facts_of_pages_that_fit_count_as_well() {
    assert_eq!(schema_of(&[r#"[{"a": 1}]"#, r#"[{"a": 9007199254740993}]"#, r#"[{"a": 0.5}]"#]), "a: json");
    assert_eq!(schema_of(&[r#"[{"a": null}]"#, r#"[{"a": []}]"#, r#"[{"a": "x"}]"#]), "a: json");
}

#[test]
fn a_pinned_schema_only_gains() {
    let columns =
        [("a", ColumnType::Int64), ("f", ColumnType::Float64), ("n", ColumnType::Null), ("s", ColumnType::String)];
    let mut decoder = pinned(&columns, Contract::Evolve);
    let body = r#"[{"a": 1, "n": {"x": 1}}, {"a": 1.5}, {"s": 7}, {"f": 9007199254740993}, {"f": 3, "new": "y"}, 5,
        {"a": 1, "a": 2}, {"a": 18446744073709551615}, {"s": "007"}]"#;
    let page = page(&mut decoder, body);
    assert_eq!(show(decoder.schema()), "a: int64, f: float64, n: struct<x: int64>, new: string, s: string");
    let told: Vec<String> = page
        .rejected
        .iter()
        .map(|row| format!("{} {}: {} not {} in {}", row.ordinal, row.column, row.expected, row.got, row.raw))
        .collect();
    assert_eq!(
        told,
        [
            r#"1 a: int64 not number 1.5 in {"a": 1.5}"#,
            r#"2 s: string not integer 7 in {"s": 7}"#,
            r#"3 f: float64 not integer 9007199254740993 in {"f": 9007199254740993}"#,
            "5 : an object not integer 5 in 5",
            r#"6 a: each key once not the key twice in {"a": 1, "a": 2}"#,
            r#"7 a: int64 not integer 18446744073709551615 in {"a": 18446744073709551615}"#,
        ]
    );
    assert_eq!(lines(&page.batch()), [r#"{"a":1,"n":{"x":1}}"#, r#"{"f":3.0,"new":"y"}"#, r#"{"s":"007"}"#]);
}

#[test]
fn a_misfit_names_its_path() {
    let field = |name: &str, kind| Column { name: name.to_owned(), kind };
    let kind = ColumnType::List(Box::new(ColumnType::Struct(vec![field("y", ColumnType::Bool)])));
    let mut decoder = pinned(&[("x", ColumnType::Struct(vec![field("l", kind)]))], Contract::Freeze);
    let page =
        page(&mut decoder, r#"[{"x": {"l": [{"y": true}, {"y": "no", "q": 1}]}}, {"x": {"l": [{"q": 1}]}}, {"z": 1}]"#);
    let columns: Vec<&str> = page.rejected.iter().map(|row| row.column.as_str()).collect();
    assert_eq!(columns, ["x.l[].y", "x.l[].q", "z"]);
    assert_eq!(page.batch().num_rows(), 0);
}

#[test]
fn discard_leaves_unknown_fields_out_and_counts_them() {
    let mut decoder = pinned(&[("a", ColumnType::Int64)], Contract::Discard);
    let page = page(&mut decoder, r#"[{"a": 1, "b": 2, "c": [3]}, {"a": "x"}]"#);
    assert_eq!((page.discarded_fields, page.rejected.len(), show(decoder.schema())), (2, 1, "a: int64".to_owned()));
}

fn by_hand(columns: &[(&str, &str)]) -> PageDecoder {
    let column =
        |(name, kind): &(&str, &str)| HandColumn { name: (*name).to_owned(), kind: HandType::parse(kind).unwrap() };
    PageDecoder::new(DecodeOptions { by_hand: columns.iter().map(column).collect(), ..options(&[".[]"]) })
}

#[test]
fn columns_by_hand_exist_and_never_change() {
    let mut decoder = by_hand(&[("id", "string"), ("never", "float64"), ("raw", "json")]);
    let page = page(&mut decoder, r#"[{"id": "7", "raw": {"a": 1}}, {"id": 7, "raw": [1.10]}, {"id": null, "x": 1}]"#);
    assert_eq!(show(decoder.schema()), "id: string, never: float64, raw: json, x: int64");
    assert_eq!(page.rejected.len(), 0);
    assert_eq!(
        lines(&page.batch()),
        [r#"{"id":"7","raw":"{\"a\": 1}"}"#, r#"{"id":"7","raw":"[1.10]"}"#, r#"{"x":1}"#]
    );
}

#[test]
fn objects_by_hand_have_the_fields_that_are_named_and_others() {
    let of = |pinned: Option<&str>, contract| {
        let kind = |text| HandType::parse(text).unwrap();
        let by_hand = vec![HandColumn { name: "u".to_owned(), kind: kind("list<struct<id: string, never: int64>>") }];
        let column = |text| Column { name: "u".to_owned(), kind: HandType::parse(text).unwrap().kind() };
        let pinned = pinned.map(|text| RecordSchema::new(vec![column(text)]));
        PageDecoder::new(DecodeOptions { by_hand, pinned, contract, ..options(&[".[]"]) })
    };
    let text = r#"[{"u": [{"id": 7, "name": "x"}]}, {"u": [{"id": {"a": 1}}]}]"#;
    let mut fresh = of(None, Contract::Evolve);
    let first = page(&mut fresh, text);
    assert_eq!(show(fresh.schema()), "u: list<struct<id: string, name: string, never: int64>>");
    assert_eq!((lines(&first.batch()), first.rejected.len()), (vec![r#"{"u":[{"id":"7","name":"x"}]}"#.to_owned()], 1));

    let earlier = "list<struct<id: string, never: int64, old: bool>>";
    let mut evolving = of(Some(earlier), Contract::Evolve);
    assert_eq!(page(&mut evolving, text).rejected.len(), 1);
    assert_eq!(show(evolving.schema()), "u: list<struct<id: string, name: string, never: int64, old: bool>>");
    assert_eq!(page(&mut of(Some(earlier), Contract::Freeze), text).rejected.len(), 2);
    let discarding = page(&mut of(Some(earlier), Contract::Discard), text);
    assert_eq!((discarding.discarded_fields, discarding.rejected.len()), (1, 1));
}

#[test]
fn numbers_and_booleans_by_hand_may_come_as_texts() {
    let mut decoder = by_hand(&[("i", "int64"), ("u", "uint64"), ("f", "float64"), ("b", "bool")]);
    let texts = r#"[{"i": "-7", "u": "18446744073709551615", "f": "0.5", "b": "true"}, {"i": 5.0, "u": 1, "f": 1, "b": false}]"#;
    let page1 = page(&mut decoder, texts);
    assert_eq!(
        lines(&page1.batch()),
        [r#"{"b":true,"f":0.5,"i":-7,"u":18446744073709551615}"#, r#"{"b":false,"f":1.0,"i":5,"u":1}"#]
    );
    let bad =
        r#"[{"i": "1.5"}, {"i": ""}, {"u": "-1"}, {"f": "NaN"}, {"b": "yes"}, {"i": 1.5}, {"f": "9007199254740993"}]"#;
    let page2 = page(&mut decoder, bad);
    let told: Vec<String> =
        page2.rejected.iter().map(|row| format!("{}: {}, not {}", row.column, row.expected, row.got)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    i: int64, not string "1.5"
    i: int64, not string ""
    u: uint64, not string "-1"
    f: float64, not string "NaN"
    b: bool, not string "yes"
    i: int64, not number 1.5
    f: float64, not string "9007199254740993"
    "#);
}

#[test]
fn decimals_instants_and_days_by_hand() {
    let mut decoder = by_hand(&[
        ("amount", "decimal(20, 2)"),
        ("at", "timestamp(s)"),
        ("day", "date"),
        ("items", "list<struct<when: timestamp, n: int64>>"),
    ]);
    let good = r#"[{"amount": 90071992547409.93, "at": 1767225600, "day": "2026-01-31", "items": [{"when": "2026-01-01T00:00:00Z", "n": "3"}]},
                   {"amount": "12", "at": "1767225600.5", "day": null, "items": []}, {}]"#;
    let page1 = page(&mut decoder, good);
    assert_eq!(
        show(decoder.schema()),
        "amount: decimal(20, 2), at: timestamp, day: date, items: list<struct<n: int64, when: timestamp>>"
    );
    insta::assert_snapshot!(lines(&page1.batch()).join("\n"), @r#"
    {"amount":90071992547409.93,"at":"2026-01-01T00:00:00Z","day":"2026-01-31","items":[{"n":3,"when":"2026-01-01T00:00:00Z"}]}
    {"amount":12.00,"at":"2026-01-01T00:00:00.500Z","items":[]}
    {}
    "#);
    let bad = r#"[{"amount": 0.001}, {"amount": true}, {"at": "noon"}, {"day": "31.1.2026"}, {"items": [{"when": 5}]}, {"at": 1767225600000000}]"#;
    let page2 = page(&mut decoder, bad);
    let told: Vec<String> =
        page2.rejected.iter().map(|row| format!("{}: {}, not {}", row.column, row.expected, row.got)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    amount: decimal(20, 2), not number 0.001
    amount: decimal(20, 2), not true
    at: timestamp(s), not string "noon"
    day: date written as '%Y-%m-%d', not string "31.1.2026"
    items[].when: timestamp, RFC 3339, not integer 5
    at: timestamp(s), not integer 1767225600000000
    "#);
}

#[test]
fn values_that_do_not_fit_may_be_null_and_are_counted() {
    let kinds = [
        ("a", ColumnType::Int64),
        ("s", ColumnType::Struct(vec![Column { name: "b".to_owned(), kind: ColumnType::Bool }])),
    ];
    let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
    let pinned = Some(RecordSchema::new(columns.to_vec()));
    let options = DecodeOptions { nulls: true, contract: Contract::Freeze, pinned, ..options(&[".[]"]) };
    let mut decoder = PageDecoder::new(options);
    let page = page(
        &mut decoder,
        r#"[{"a": 1}, {"a": "x", "s": {"b": 0}}, {"a": 2, "s": {"b": "y"}}, {"a": "x", "new": 1}, {"new": 1, "a": "x"}, 7, {"a": 1, "a": 1}]"#,
    );
    assert_eq!(lines(&page.batch()), [r#"{"a":1}"#, r#"{"s":{}}"#, r#"{"a":2,"s":{}}"#]);
    assert_eq!(page.nulled_values, 3);
    assert_eq!(page.first_nulled.as_ref().map(|row| (row.ordinal, row.column.as_str())), Some((1, "a")));
    let told: Vec<(u64, &str)> = page.rejected.iter().map(|row| (row.ordinal, row.column.as_str())).collect();
    assert_eq!(
        told,
        [(3, "new"), (4, "new"), (5, ""), (6, "a")],
        "what is wrong with a record as such costs the record"
    );
}

#[test]
fn the_envelope_comes_without_the_records() {
    let mut decoder = PageDecoder::new(DecodeOptions { want_edges: true, ..options(&[".rsp.records[]"]) });
    let page1 = page(&mut decoder, r#"{"rc": 0, "rsp": {"records": [{"a": 1}, {"a": 2}, {"a": 3}], "total": 3}}"#);
    assert_eq!(page1.envelope, json!({"rc": 0, "rsp": {"total": 3}}));
    assert_eq!((page1.first, page1.last, page1.server_rows), (json!({"a": 1}), json!({"a": 3}), 3));
    let empty = page(&mut decoder, r#"{"rc": 0, "rsp": {"records": []}}"#);
    assert_eq!((empty.rows, empty.envelope, empty.last), (0, json!({"rc": 0, "rsp": {}}), json!(null)));
}

#[test]
fn what_is_no_page_says_so() {
    assert_eq!(
        refused(&[".rsp.records[]"], br#"{"rc": 0, "rsp": {"data": [], "sort": 1}}"#),
        "the path `.rsp.records[]` finds no records: there is no `records` in `rsp`, which has `data`, `sort`; \
         where that means no rows, write `records: '.rsp.records[]?'`; otherwise correct the path"
    );
    assert_eq!(
        refused(&[".a[]"], br#"{"a": {}}"#),
        "the path `.a[]` finds no records: `a` is an object; if it is one record, write `records: '.a'`; if it has a record under each \
         key, `records: '.a | to_entries[] | .value + {key}'`"
    );
    assert_eq!(
        refused(&[".a.b[]"], br#"{"a": [1]}"#),
        "the path `.a.b[]` finds no records: `a` is an array; if that is the list, write `records: '.a[]'`"
    );
    assert!(
        refused(&[".[]"], br#"{"message": "Internal problem"}"#).contains(
            r#"finds no records: the body is an object, {"message": "Internal problem"}; if it is one record"#
        )
    );
    assert!(
        refused(&[".[]"], b"{}")
            .contains("write `records: '.'`; if it has a record under each key, `records: 'to_entries[] |")
    );
    assert!(refused(&[".a[]"], br#"{"a": 1}"#).ends_with("`a` is a number; correct the path: it must lead to a list"));
    assert_eq!(
        refused(&[".a[]"], br#"{"a": [], "a": []}"#),
        "the path `.a[]` finds no records: the key `a` comes twice; one of its two values would be lost: tell the server's owner"
    );
    assert!(refused(&[".[]"], b"  <html>login</html>").starts_with("the body is html or xml, not json: <html>login"));
    assert!(refused(&[".[]"], b"\n ").starts_with("the body is empty"));
    assert!(refused(&[".[]"], b"[{\"a\": \"\xff\"}]").starts_with("the body isn't utf-8 at byte 8"));
    assert!(refused(&[".[]"], b"[{\"a\": 1}] x").starts_with("the body isn't json at byte 11: trailing characters"));
    assert!(refused(&[".[]"], b"[{\"a\": 1},\n{\"a\"").starts_with("the body isn't json at byte 1"));
    assert!(refused(&[".[]"], b"[{\"a\": nan}]").contains("isn't json at byte 8"));
}

#[test]
fn a_decoder_goes_on_after_a_broken_page() {
    let mut decoder = decoder();
    page(&mut decoder, r#"[{"a": 1, "b": [1]}]"#);
    try_page(&mut decoder, r#"[{"a": 1, "b": [1"#).unwrap_err();
    assert_eq!(lines(&page(&mut decoder, r#"[{"a": 2, "b": [3, 4]}]"#).batch()), [r#"{"a":2,"b":[3,4]}"#]);
}

#[test]
fn a_program_emits_records_and_another_counts_rows() {
    let program = ".data | to_entries[] | .key as $k | .value[] | {k: $k, n: .[0], status: $status}";
    let mut decoder = PageDecoder::new(DecodeOptions { want_edges: true, ..options(&[program]) });
    let rows = Jq::compile(".data | length", &PAGE_VARIABLES).unwrap();
    let context = PageVars { status: 203, headers: json!({}) };
    let body = Bytes::from_static(br#"{"data": {"a": [[18446744073709551615]], "b": [[1], [2]]}}"#);
    let page = decoder.decode(&body, &context, Some(&rows), &[]).unwrap();
    assert_eq!((page.rows, page.server_rows, page.envelope["data"]["b"][1][0].clone()), (3, 2, json!(2)));
    assert_eq!(lines(&page.batch())[0], r#"{"k":"a","n":18446744073709551615,"status":203}"#);
    assert_eq!(page.last, json!({"k": "b", "n": 2, "status": 203}));
    let none = Jq::compile("empty", &PAGE_VARIABLES).unwrap();
    assert!(matches!(decoder.decode(&body, &context, Some(&none), &[]), Err(DecodeError::Count { .. })));
}

#[test]
fn a_program_that_gives_lists_is_a_mistake_of_the_pipeline_file() {
    let decode = |program: &str, body: &'static str| {
        let mut decoder = PageDecoder::new(options(&[program]));
        try_page(&mut decoder, body).map(|page| page.rejected.len()).map_err(|error| error.to_string())
    };
    let error = decode(".items", r#"{"items": [{"id": 1}]}"#).unwrap_err();
    assert!(error.starts_with("`.items` gives lists, and a record is an object: write `[]`"), "{error}");
    assert!(decode(".items[] | .", r#"{"items": [[1], [2]]}"#).is_err());
    assert_eq!(decode(".items[] | .", r#"{"items": [[1], {"id": 2}]}"#), Ok(1));
    assert_eq!(decode(".items[] | .", r#"{"items": []}"#), Ok(0));
}
