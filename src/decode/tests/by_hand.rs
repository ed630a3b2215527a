//! Columns that are, or were, typed by hand.

use super::*;

#[test]
fn whole_numbers_are_whole_however_they_are_written() {
    let read = |kind: &str, text: &str| {
        let column = HandColumn { name: "a".to_owned(), kind: HandType::parse(kind).unwrap() };
        let mut decoder = PageDecoder::new(DecodeOptions { by_hand: vec![column], ..options(&[".[]"]) });
        let page = page(&mut decoder, format!(r#"[{{"a": {text}}}]"#));
        let shown = lines(&page.batch()).first().map(|row| row.replace(r#"{"a":"#, "").replace('}', ""));
        shown.unwrap_or_else(|| page.rejected[0].got.clone())
    };
    for (text, int, float) in [
        ("9007199254740993.0", "9007199254740993", "9.007199254740992e15"),
        ("\"9007199254740993.0\"", "9007199254740993", "9.007199254740992e15"),
        ("9007199254740993", "9007199254740993", "integer 9007199254740993"),
        ("-0", "0", "-0.0"),
        ("-0.0", "0", "-0.0"),
        ("1e2", "100", "100.0"),
        ("\"1e2\"", "100", "100.0"),
        ("0.00000000000000000001e20", "1", "1.0"),
        ("1e18", "1000000000000000000", "1.0e18"),
        ("1.5", "number 1.5", "1.5"),
        ("1e19", "number 1e19", "1.0e19"),
        ("true", "true", "true"),
        ("[]", "an empty list", "an empty list"),
    ] {
        assert_eq!((read("int64", text).as_str(), read("float64", text).as_str()), (int, float), "{text}");
    }
    assert_eq!(read("uint64", "18446744073709551615.0"), "18446744073709551615");
    assert_eq!(read("uint64", "-1e0"), "number -1e0");
    assert_eq!(read("decimal(38, 0)", "9007199254740993.0"), "9007199254740993");
    // What isn't typed by hand takes no number that is written as another kind.
    let mut pinned = pinned(&[("a", ColumnType::Int64)], Contract::Evolve);
    assert_eq!(page(&mut pinned, r#"[{"a": 1}, {"a": -0}, {"a": 1.0}, {"a": 1e2}]"#).rejected.len(), 3);
}

#[test]
fn what_was_once_typed_by_hand_is_read_by_its_pinned_type() {
    let kinds =
        [("d", ColumnType::Decimal { precision: 4, scale: 1 }), ("t", ColumnType::Timestamp), ("y", ColumnType::Date)];
    let mut decoder = pinned(&kinds, Contract::Evolve);
    let page = page(&mut decoder, r#"[{"d": 1.5, "t": "2026-01-01T00:00:00Z", "y": "2026-01-31"}, {"t": 1767225600}]"#);
    assert_eq!(page.batch().num_rows(), 1);
    assert_eq!(page.rejected[0].expected, "timestamp, RFC 3339");
}
