//! Where pages break decides nothing: a slice that is decoded page by page, and brought to the schema that it ended with, is what its
//! records are when all of them stand on one page.
//!
//! Texts of `json` columns are equal as JSON: numbers digit for digit, whichever way they are written. The order of keys isn't told,
//! nor a field that is null from one that is missing: no column of ours tells them either.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::*;

/// Values as they are written: each pair of them meets in some column, on one page or on two.
fn value() -> impl Strategy<Value = String> {
    let scalars = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "1.50",
        "0.1",
        "-2.5E-3",
        "1e999",
        "1e-400",
        "0.1234567890123456789",
        "0.30000000000000004",
        "9007199254740993",
        "9007199254740993.0",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "123456789012345678901234567890",
        r#""""#,
        r#""x""#,
        r#""\u00e9\n""#,
        r#""1""#,
        "[]",
        "{}",
    ];
    let leaf = proptest::sample::select(scalars.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::btree_map("[a-c]", inner, 0..3).prop_map(object),
        ]
    })
}

#[expect(clippy::needless_pass_by_value, reason = "a strategy gives its values away")]
fn object(fields: BTreeMap<String, String>) -> String {
    let fields = fields.iter().map(|(name, value)| format!("\"{name}\": {value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// Makes the records of a slice. Few values a slice, so that columns of one kind come up as often as those of all.
fn records() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(value(), 1..4).prop_flat_map(|values| {
        let record = proptest::collection::btree_map("[a-b]", proptest::sample::select(values), 0..3).prop_map(object);
        proptest::collection::vec(record, 1..6)
    })
}

/// Decodes pages of records, and shows each row in the schema at the end: in pieces of one row, which is as if they were whole.
fn decoded(pages: &[&[String]], pinned: Option<&RecordSchema>) -> (String, Vec<String>) {
    let (whole, in_pieces) = (decoded_in(usize::MAX, pages, pinned), decoded_in(0, pages, pinned));
    assert_eq!(whole, in_pieces);
    in_pieces
}

fn decoded_in(piece: usize, pages: &[&[String]], pinned: Option<&RecordSchema>) -> (String, Vec<String>) {
    let mut decoder = PageDecoder::new(DecodeOptions { pinned: pinned.cloned(), piece, ..options(&[".[]"]) });
    let pages: Vec<DecodedPage> =
        pages.iter().map(|records| page(&mut decoder, format!("[{}]", records.join(",")))).collect();
    let widener = decoder.widener(decoder.schema().clone());
    let mut rows = Vec::new();
    for page in pages {
        for held in page.pieces {
            let batch = widener.widen(&held.held().unwrap(), &page.schema).unwrap();
            assert_eq!(batch.schema(), arrow_schema(decoder.schema()));
            rows.extend(shown(&batch, decoder.schema()));
        }
    }
    (show(decoder.schema()), rows)
}

fn shown(batch: &RecordBatch, schema: &RecordSchema) -> Vec<String> {
    let row = |at: usize| {
        let shown = schema.columns().iter().zip(batch.columns()).map(|(column, array)| {
            let mut text = String::new();
            schema::print_value(array, &column.kind, at, &mut text).unwrap();
            format!("{}: {}", column.name, canonical(&text))
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Writes a JSON text in one way.
fn canonical(text: &str) -> String {
    match text.as_bytes()[0] {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            format!("[{}]", items.iter().map(|item| canonical(item.get())).collect::<Vec<_>>().join(","))
        }
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            let fields = fields.iter().filter(|(_, value)| value.get() != "null");
            object(fields.map(|(name, value)| (name.clone(), canonical(value.get()))).collect())
        }
        b'-' | b'0'..=b'9' => number(text),
        _ => text.parse::<Value>().unwrap().to_string(),
    }
}

/// Writes a number as its digits and a power of ten.
fn number(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let exponent = exponent.parse::<i64>().unwrap() + i64::try_from(digits.len() - significant.len()).unwrap()
        - i64::try_from(fraction.len()).unwrap();
    match significant.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}e{exponent}"),
    }
}

/// Cuts records into pages after those that `cuts` names.
fn cut<'r>(records: &'r [String], cuts: &[bool]) -> Vec<&'r [String]> {
    let (mut pages, mut start) = (Vec::new(), 0);
    for (at, cut) in cuts.iter().enumerate().take(records.len()).skip(1) {
        if *cut {
            pages.push(&records[start..at]);
            start = at;
        }
    }
    pages.push(&records[start..]);
    pages
}

proptest! {
    #[test]
    fn where_pages_break_decides_nothing(records in records(), cuts: [bool; 6], before in records(), pin: bool) {
        // What an earlier slice has pinned is free where it is null, and in new fields.
        let mut earlier = decoder();
        page(&mut earlier, format!("[{}]", before.join(",")));
        let pinned = pin.then(|| earlier.schema());
        let whole = decoded(&[&records], pinned);
        let paged = decoded(&cut(&records, &cuts), pinned);
        prop_assert_eq!(paged, whole);
    }
}

#[test]
fn an_empty_list_stays_one_when_its_column_is_known_later() {
    let pages = |pages: &[&str]| {
        let pages: Vec<Vec<String>> = pages.iter().map(|page| vec![(*page).to_owned()]).collect();
        decoded(&pages.iter().map(Vec::as_slice).collect::<Vec<_>>(), None)
    };
    let check = |first: &str, second: &str, schema: &str, row: &str| {
        let (found, rows) = pages(&[first, second]);
        assert_eq!((found.as_str(), rows[0].as_str()), (schema, row), "{first} {second}");
    };
    check(r#"{"a": []}"#, r#"{"a": ["x"]}"#, "a: list<string>", "a: []");
    check(r#"{"a": [[], [{}]]}"#, r#"{"a": [[{"b": 1}]]}"#, "a: list<list<struct<b: int64>>>", "a: [[],[{}]]");
    check(r#"{"a": {"b": {}}}"#, r#"{"a": {"b": 1}}"#, "a: struct<b: json>", r#"a: {"b": {}}"#);
    check(r#"{"a": {"b": []}}"#, r#"{"a": 1}"#, "a: json", r#"a: {"b": []}"#);
    check(r#"{"a": []}"#, r#"{"a": {"b": 1}}"#, "a: struct<b: int64>", "a: null");
    check(r#"{"a": 0.1234567890123456789}"#, r#"{"a": "x"}"#, "a: json", "a: 1234567890123456789e-19");
}

/// Lua and PHP print an empty table so; where that means no rows is for the pipeline file to say, as of null.
#[test]
fn an_empty_list_in_place_of_an_object_is_no_page() {
    for (path, body, place) in [
        (".data.list.items[]", r#"{"data": []}"#, "`data` is"),
        (".data.list.items[]", r#"{"data": {"list": []}}"#, "`data.list` is"),
        (".items[]", "[]", "the body is"),
    ] {
        let said = refused(&[path], body.as_bytes());
        let due = format!(
            "the path `{path}` finds no records: {place} an empty list, and an object was due there; where that means no rows, write \
             `records: '{path}?'`; otherwise correct the path"
        );
        assert_eq!(said, due);
        let mut decoder = PageDecoder::new(options(&[&format!("{path}?")]));
        assert_eq!(page(&mut decoder, body).rows, 0, "{body}");
    }
}
