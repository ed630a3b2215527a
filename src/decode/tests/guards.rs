//! Bodies that would hurt: each is an error that says what is wrong, whichever way the records are picked out.

use super::*;

/// One plain path, a list of them, and a program, to the same list.
const WAYS: [&[&str]; 3] = [&[".items[]"], &[".nope[]", ".items[]"], &[".items[] | ."]];

/// Decodes a page in each way, and by the way of parents, none of which may take it.
fn refused_each(body: &[u8]) -> Vec<String> {
    let mut errors = Vec::new();
    for records in WAYS {
        errors.push(refused(records, body));
        let context = PageVars { status: 200, headers: json!({}) };
        let whole = read_whole(body, AnswerFormat::Json, &options(records).selector, &context, None, &[]);
        errors.push(whole.unwrap_err().to_string());
    }
    errors
}

/// As [`refused_each`], where all must say the same.
fn refused_alike(body: &[u8]) -> String {
    let mut errors = refused_each(body);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:#?}");
    errors.swap_remove(0)
}

#[test]
fn bodies_that_are_no_json() {
    insta::assert_snapshot!(refused_alike(b"  <html>log in</html>"), @"the body is html or xml, not json: <html>log in</html>; if it is the page of a login or a proxy, check auth and base_url");
    insta::assert_snapshot!(refused_alike(b"\r\n "), @"the body is empty: json was due; if the server means no rows by that, say so with `empty`");
    insta::assert_snapshot!(refused_alike(br#"{"items": [{"a": 1}]} {"items": []}"#), @r#"the body isn't json at byte 22: trailing characters: {"items": [{"a": 1}]} {"items": []}; more comes after its end: for one document on each line write `format: jsonl`, else tell the server's owner"#);
    insta::assert_snapshot!(refused_alike(br#"{"items": [{"a": 1}"#), @r#"the body isn't json at byte 18: eof while parsing a list: {"items": [{"a": 1}; it ends too soon: ask for smaller pages, or tell the server's owner"#);
    insta::assert_snapshot!(refused_alike(b"{\"items\": [{\"a\": \"\xc3\x28\"}]}"), @r#"the body isn't utf-8 at byte 18: {"items": [{"a": "�("}]}; ask for utf-8, as some servers let you with the header `accept-charset: utf-8`, or tell the server's owner"#);
    for number in ["NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "0x1F", "1."] {
        let error = refused_alike(format!(r#"{{"items": [{{"a": {number}}}]}}"#).as_bytes());
        assert!(
            error.starts_with("the body isn't json at byte 1") || error.starts_with("the body isn't json at byte 2"),
            "{number}: {error}"
        );
        let is_a_word = number.to_lowercase().ends_with(['n', 'y']);
        assert_eq!(error.contains("json has no such number"), is_a_word, "{number}: {error}");
    }
    insta::assert_snapshot!(refused_alike(b"\x1f\x8b\x08\x00\x00\x00\x00\x00"), @"the body is still gzip data: it was compressed more than once, or its header content-encoding doesn't say that it is; ask the server, or a proxy between, not to compress");
}

#[test]
fn keys_that_come_twice() {
    let twice = r#"{"Total": 1, "items": [{"a": 1}], "Total": 2}"#;
    insta::assert_snapshot!(refused_alike(twice.as_bytes()), @r#"the body isn't json at byte 44: the key `Total` comes twice: {"Total": 1, "items": [{"a": 1}], "Total": 2}; one of its two values would be lost: tell the server's owner"#);
    let within = r#"{"page": {"n": [{"x": 1, "x": 1}]}, "items": [{"a": 1}]}"#;
    assert!(refused_each(within.as_bytes()).iter().all(|error| error.contains("the key `x` comes twice")));
    let escaped = r#"{"total": 1, "items": [], "tot\u0061l": 2}"#;
    assert!(refused_alike(escaped.as_bytes()).contains("the key `total` comes twice"));
    // A record of a plain path costs its row alone; a program could have taken either value.
    let record = r#"{"items": [{"a": 1, "a": 2}, {"a": 3}]}"#;
    for records in &WAYS[..2] {
        let page = page(&mut PageDecoder::new(options(records)), record);
        assert_eq!((page.rejected[0].got.as_str(), page.batch().num_rows()), ("the key twice", 1));
    }
    assert!(refused(WAYS[2], record.as_bytes()).contains("the key `a` comes twice"));
}

#[test]
fn a_number_that_a_parents_row_cannot_hold() {
    let huge = r#"{"items": [{"id": 123456789012345678901234567890}]}"#;
    for records in WAYS {
        let context = PageVars { status: 200, headers: json!({}) };
        let selector = options(records).selector;
        let read = |body: &str| read_whole(body.as_bytes(), AnswerFormat::Json, &selector, &context, None, &[]);
        let error = read(huge).unwrap_err().to_string();
        assert!(error.contains("the number 1.2345678901234568e29 is beyond 64 bits"), "{error}");
        let rows =
            read(r#"{"items": [{"id": 18446744073709551615, "x": -9223372036854775808, "f": 0.5}]}"#).unwrap().rows;
        assert_eq!(rows, [json!({"id": u64::MAX, "x": i64::MIN, "f": 0.5})]);
    }
}

/// Runs on a small stack, as the smallest of our threads has.
fn on_a_small_stack(act: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(act).unwrap().join().unwrap();
}

#[test]
fn a_hundred_thousand_levels_overflow_nothing() {
    on_a_small_stack(|| {
        for (open, close) in [("[", "]"), (r#"{"k":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let beside = format!(r#"{{"items": [{{"a": 1}}], "x": {deep}}}"#);
            assert!(refused_each(beside.as_bytes()).iter().all(|error| error.contains("nested more than 128 deep")));
            let before = format!(r#"{{"x": {deep}, "items": [{{"a": 1}}]}}"#);
            assert!(refused_each(before.as_bytes()).iter().all(|error| error.contains("nested more than 128 deep")));
            let cut = format!(r#"{{"items": [{}"#, open.repeat(100_000));
            for records in WAYS {
                refused(records, cut.as_bytes());
            }
            assert!(is_cut(AnswerFormat::Json, cut.as_bytes()));
            // Within a record of a plain path it costs the row; with `$last` it can't be shown.
            let inside = format!(r#"{{"items": [{{"a": {deep}}}, {deep}]}}"#);
            for records in &WAYS[..2] {
                let typed = options(records);
                let shallow = DecodeOptions { max_depth: 16, ..typed.clone() };
                let page = page(&mut PageDecoder::new(shallow), inside.clone());
                assert_eq!((page.rows, page.batch().num_rows(), page.rejected.len()), (2, 0, 2));
                assert_eq!(page.rejected[0].got, "it is nested more than 128 deep");
                let edges = DecodeOptions { max_depth: 16, want_edges: true, ..typed };
                let error = try_page(&mut PageDecoder::new(edges), inside.clone()).unwrap_err().to_string();
                assert!(error.contains("nested more than 128 deep"), "{error}");
            }
            assert!(refused(WAYS[2], inside.as_bytes()).contains("nested more than 128 deep"));
            let lines = format!("{{\"a\": 1}}\n{{\"a\": {deep}}}\n");
            let by_line = DecodeOptions { format: AnswerFormat::JsonLines, max_depth: 16, ..options(&[".[]"]) };
            assert_eq!(page(&mut PageDecoder::new(by_line), lines.clone()).batch().num_rows(), 1);
            let by_program = DecodeOptions { format: AnswerFormat::JsonLines, ..options(&[".[] | ."]) };
            let error = try_page(&mut PageDecoder::new(by_program), lines).unwrap_err().to_string();
            assert!(error.starts_with("line 2 isn't json") && error.contains("nested more than 128 deep"), "{error}");
        }
    });
}

#[test]
fn a_key_that_comes_twice_in_a_value_of_json_costs_the_row() {
    let deep = |inner: &str| format!("{}{inner}{}", r#"{"k":"#.repeat(30), "}".repeat(30));
    let body = format!(r#"{{"items": [{{"a": {}}}, {{"a": {}}}]}}"#, deep("1"), deep(r#"{"x": 1, "x": 2}"#));
    let typed = DecodeOptions { max_depth: 16, ..options(&[".items[]"]) };
    let page = page(&mut PageDecoder::new(typed), body);
    assert_eq!((page.batch().num_rows(), page.rejected.len()), (1, 1));
    assert_eq!(page.rejected[0].got, "the key `x` comes twice");
}

#[test]
fn a_number_beyond_doubles_costs_its_record_and_not_the_page() {
    let body =
        r#"{"rows": [{"a": 1, "t": "x"}, {"a": 1e999, "t": "y"}, {"a": 2, "t": 1e999}, {"a": 3, "t": "z"}], "n": 4}"#;
    let columns = [("a", ColumnType::Int64), ("t", ColumnType::String)];
    let schema = RecordSchema::new(
        columns.into_iter().map(|(name, kind)| Column { name: name.to_owned(), kind }).collect::<Vec<_>>(),
    );
    let pinned = DecodeOptions { pinned: Some(schema), ..options(&[".rows[]"]) };
    let page = page(&mut PageDecoder::new(pinned), body);
    assert_eq!(lines(&page.batch()), [r#"{"a":1,"t":"x"}"#, r#"{"a":3,"t":"z"}"#]);
    let rejected: Vec<_> = page.rejected.iter().map(|row| (row.ordinal, row.expected.as_str(), &*row.raw)).collect();
    let due = "numbers within the range of a double";
    assert_eq!(rejected, [(1, due, r#"{"a": 1e999, "t": "y"}"#), (2, due, r#"{"a": 2, "t": 1e999}"#)]);
    assert_eq!(page.envelope, json!({"n": 4}));
    // Where the type isn't pinned it is the column that gives way.
    assert_eq!(schema_of(&[r#"[{"a": 1}]"#, r#"[{"a": 1e999}]"#]), "a: json");
}

#[test]
fn a_program_too_loses_no_page_to_a_number_beyond_doubles() {
    let body = r#"{"rows": [{"a": 1}, {"a": 1e999}, {"a": -1e999}, {"a": 3}], "n": 1e999}"#;
    let columns = vec![Column { name: "a".to_owned(), kind: ColumnType::Int64 }];
    for records in [".rows[] | {a}", ".rows[] | select(.a != 7)", "[.rows[]][]"] {
        let pinned = DecodeOptions { pinned: Some(RecordSchema::new(columns.clone())), ..options(&[records]) };
        let page = page(&mut PageDecoder::new(pinned), body);
        assert_eq!(lines(&page.batch()), [r#"{"a":1}"#, r#"{"a":3}"#], "{records}");
        let rejected: Vec<u64> = page.rejected.iter().map(|row| row.ordinal).collect();
        assert_eq!(rejected, [1, 2], "{records}");
        assert_eq!(page.envelope["n"], json!(f64::MAX), "{records}");
    }
}

#[test]
fn half_of_a_pair_of_surrogates_costs_its_record_and_not_the_page() {
    let record = |text: &str| format!(r#"{{"a": "{text}"}}"#);
    for text in [r"\ud83d", r"\ude00 x", r"\ud83d\n", r"\ud83d\ud83d"] {
        let bad = record(text);
        let body = format!("[{}, {bad}, {}]", record(r"\ud83d\ude00"), record("z"));
        let page = page(&mut PageDecoder::new(options(&[".[]"])), body);
        assert_eq!(lines(&page.batch()), [r#"{"a":"😀"}"#, r#"{"a":"z"}"#], "{text}");
        let rejected: Vec<_> = page.rejected.iter().map(|row| (row.ordinal, row.got.as_str(), &*row.raw)).collect();
        assert_eq!(rejected, [(1, "one with half of a pair of surrogates", bad.as_str())], "{text}");
    }
    let error = refused(&[".[] | ."], br#"[{"a": "\ud83d"}]"#);
    assert!(error.contains("half of a pair of surrogates is no character") && !error.contains("`format`"), "{error}");
}

#[test]
fn what_cannot_be_read_beside_the_records_is_no_loss() {
    let body = r#"{"n": 1e999, "t": "\ud83d", "next": 2, "deep": [{"x": -1e999}], "rows": [{"a": 1}, {"a": 2}]}"#;
    for records in [&[".rows[]"][..], &[".nope[]", ".rows[]"]] {
        let page = page(&mut PageDecoder::new(options(records)), body);
        assert_eq!((page.batch().num_rows(), page.rejected.len(), &page.envelope["next"]), (2, 0, &json!(2)));
        assert!(is_beyond_value(&page.envelope["n"]) && is_beyond_value(&page.envelope["t"]));
        assert_eq!(envelope_of(body.as_bytes(), AnswerFormat::Json, &options(records).selector), page.envelope);
    }
    // What isn't JSON at all still is none, and a key that comes twice is told.
    assert!(refused(&[".rows[]"], br#"{"n": 1e999, "n": 1, "rows": []}"#).contains("the key `n` comes twice"));
    assert!(refused(&[".rows[]"], br#"{"n": {"a": 1e999, "a": 1}, "rows": []}"#).contains("the key `a` comes twice"));
}

#[test]
fn an_edge_that_cannot_be_read_costs_its_record_only() {
    let body = r#"[{"a": "\ud83d", "n": 1}, {"a": "x", "n": 2}, {"a": "y", "n": 3, "z": 1e999}]"#;
    let columns = [("a", ColumnType::String), ("n", ColumnType::Int64), ("z", ColumnType::Int64)];
    let pinned = columns.into_iter().map(|(name, kind)| Column { name: name.to_owned(), kind }).collect();
    let edges = DecodeOptions { want_edges: true, pinned: Some(RecordSchema::new(pinned)), ..options(&[".[]"]) };
    let page = page(&mut PageDecoder::new(edges.clone()), body);
    assert_eq!((page.batch().num_rows(), page.rejected.len()), (1, 2));
    assert_eq!((&page.first["n"], &page.last["n"]), (&json!(1), &json!(3)));
    assert!(is_beyond_value(&page.first["a"]) && is_beyond_value(&page.last["z"]));
    let context = PageVars { status: 200, headers: json!({}) };
    let split = PageDecoder::new(edges).split(&body.into(), &context, None, &[]).unwrap();
    assert_eq!((split.first, split.last), (page.first, page.last));
}
