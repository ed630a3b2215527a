//! Pages that aren't one JSON document.

use super::*;
use crate::model::CsvDialect;

const CSV: AnswerFormat = AnswerFormat::Csv(CsvDialect { delimiter: b',', header: true, sparse: false });
const BARE: AnswerFormat = AnswerFormat::Csv(CsvDialect { delimiter: b',', header: false, sparse: false });

fn of(format: AnswerFormat) -> PageDecoder {
    PageDecoder::new(DecodeOptions { format, want_edges: true, ..options(&[".[]"]) })
}

fn rows(format: AnswerFormat, body: &str) -> Vec<String> {
    let page = page(&mut of(format), body.to_owned());
    assert_eq!(page.rejected, vec![]);
    lines(&page.batch())
}

fn error(format: AnswerFormat, records: &str, body: &str) -> String {
    let mut decoder = PageDecoder::new(DecodeOptions { format, ..options(&[records]) });
    let error = try_page(&mut decoder, body.to_owned()).unwrap_err().to_string();
    let whole = whole(format, records, body).unwrap_err().to_string();
    assert_eq!(error, whole, "parents say it alike");
    error
}

fn whole(format: AnswerFormat, records: &str, body: &str) -> Result<WholePage, DecodeError> {
    let context = PageVars { status: 200, headers: json!({}) };
    let selector = options(&[records]).selector;
    read_whole(body.as_bytes(), format, &selector, &context, None, &[])
}

fn told(page: &DecodedPage) -> Vec<String> {
    let told = |row: &RejectedRow| {
        format!("{} {}: expected {}, got {} in {}", row.ordinal, row.column, row.expected, row.got, row.raw)
    };
    page.rejected.iter().map(told).collect()
}

#[test]
fn each_line_is_a_record() {
    let body = "\u{feff}{\"a\": 1}\r\n\n  {\"a\": 2, \"b\": {\"c\": [1.5]}}  \n{\"a\": 3}";
    let page = page(&mut of(AnswerFormat::JsonLines), body);
    assert_eq!(lines(&page.batch()), [r#"{"a":1}"#, r#"{"a":2,"b":{"c":[1.5]}}"#, r#"{"a":3}"#]);
    assert_eq!((page.envelope, page.first, page.last), (json!(null), json!({"a": 1}), json!({"a": 3})));
    assert_eq!(rows(AnswerFormat::JsonLines, "{\"a\": 1}\n{\"a\": 2}\n").len(), 2);
}

#[test]
fn lines_that_are_no_objects_are_bad_rows_and_broken_ones_are_named() {
    let page = page(&mut of(AnswerFormat::JsonLines), "{\"a\": 1}\n7\n{\"a\": 1, \"a\": 2}\n[1]\n");
    assert_eq!(
        told(&page),
        [
            "1 : expected an object, got integer 7 in 7",
            r#"2 a: expected each key once, got the key twice in {"a": 1, "a": 2}"#,
            "3 : expected an object, got a list in [1]",
        ]
    );
    let error = |body: &str| error(AnswerFormat::JsonLines, ".[]", body);
    insta::assert_snapshot!(error("{\"a\": 1}\n\n{\"a\": nope}\n{\"a\": 2}\n"), @r#"line 3 isn't json at byte 7: expected ident: {"a": nope}; each document stands on a line of its own: for a body that is one document write `format: json`, else tell the server's owner"#);
    insta::assert_snapshot!(error("{\"a\": 1}\n{\"a\": 1} {\"a\": 2}\n"), @r#"line 2 isn't json at byte 9: trailing characters: {"a": 1} {"a": 2}; each document stands on a line of its own: for a body that is one document write `format: json`, else tell the server's owner"#);
    insta::assert_snapshot!(error("{\"a\": 1}\n{\"a\": NaN}\n"), @r#"line 2 isn't json at byte 6: expected value: {"a": NaN}; json has no such number: ask for the answer without that field, or tell the server's owner to write null"#);
    insta::assert_snapshot!(error("{\"a\": 1}\n{\"a\":"), @r#"line 2 isn't json at byte 4: eof while parsing a value: {"a":; each document stands on a line of its own: for a body that is one document write `format: json`, else tell the server's owner"#);
    insta::assert_snapshot!(error("{\n  \"a\": 1\n}\n"), @"line 1 isn't json at byte 0: eof while parsing an object: {; each document stands on a line of its own: for a body that is one document write `format: json`, else tell the server's owner");
    insta::assert_snapshot!(error("[{\"a\": 1}, {\"a\": 2}]"), @r#"the body is one json document, not jsonl: [{"a": 1}, {"a": 2}]; if it is an error, `success` and `error_message` see it"#);
    insta::assert_snapshot!(error("<html>log in</html>"), @"the body is html or xml, not jsonl: <html>log in</html>; if it is the page of a login or a proxy, check auth and base_url");
    insta::assert_snapshot!(error("\n \n"), @"the body is empty: jsonl was due; if the server means no rows by that, let `records` begin with `.[]?`");
}

#[test]
fn a_program_sees_the_list() {
    let program = ".[] | select(.ok) | .items[] | {n: ., status: $status}";
    for (format, body) in [
        (AnswerFormat::JsonLines, "{\"ok\": true, \"items\": [1, 2]}\n{\"ok\": false}\n{\"ok\": true, \"items\": [3]}"),
        (AnswerFormat::Json, r#"[{"ok": true, "items": [1, 2]}, {"ok": false}, {"ok": true, "items": [3]}]"#),
    ] {
        let mut decoder = PageDecoder::new(DecodeOptions { format, want_edges: true, ..options(&[program]) });
        let rows = Jq::compile("length", &PAGE_VARIABLES).unwrap();
        let context = PageVars { status: 200, headers: json!({}) };
        let page = decoder.decode(&Bytes::from_static(body.as_bytes()), &context, Some(&rows), &[]).unwrap();
        assert_eq!((page.rows, page.server_rows, page.last), (3, 3, json!({"n": 3, "status": 200})));
        assert_eq!(page.envelope[2], json!({"ok": true, "items": [3]}));
    }
    let csv = whole(CSV, ".[] | {n: (.n | tonumber)}", "n,x\n1,\n2,\"\"\n").unwrap();
    assert_eq!(csv.rows, [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(csv.envelope, json!([{"n": "1", "x": null}, {"n": "2", "x": ""}]));
    assert_eq!(whole(CSV, ".[]? | .n", "").unwrap().rows, Vec::<Value>::new());
    assert_eq!(
        error(AnswerFormat::JsonLines, ".[] | .", "{}\n]}, [\n"),
        "line 2 isn't json at byte 0: expected value: ]}, [; each document stands on a line of its own: for a body that is one \
         document write `format: json`, else tell the server's owner"
    );
    let short = error(CSV, ".[] | .", "a,b\n1,2\n\n3\n");
    assert_eq!(short, "the body isn't a csv table, at line 4: expected 2 cells, got 1 cell: a,b 1,2  3 ");
    assert!(error(CSV, ".[] | .", " \n").contains("let `records` begin with `.[]?`"));
}

#[test]
fn nothing_at_all_is_no_rows_where_records_say_so() {
    for format in [AnswerFormat::JsonLines, CSV, BARE] {
        for body in ["", "\r\n\n"] {
            let mut decoder = PageDecoder::new(DecodeOptions { format, ..options(&[".[]?"]) });
            assert_eq!(page(&mut decoder, body).rows, 0);
            assert!(error(format, ".[]", body).contains("let `records` begin with `.[]?`"));
        }
    }
    assert_eq!(page(&mut of(CSV), "a,b\n").rows, 0);
    assert_eq!(of(CSV).schema().columns().len(), 0);
}

#[test]
fn cells_are_texts() {
    let body = "\u{feff}id,\"the name\",note\r\n7,\"a, \"\"b\"\"\r\nc\",\r\n\n007,x\ry,\"\"\r\n";
    assert_eq!(
        rows(CSV, body),
        [r#"{"id":"7","the name":"a, \"b\"\r\nc"}"#, r#"{"id":"007","note":"","the name":"x\ry"}"#]
    );
    let tab = AnswerFormat::Csv(CsvDialect { delimiter: b'\t', header: true, sparse: false });
    assert_eq!(rows(tab, "a\tb\n1,5\t5'10\"\n"), [r#"{"a":"1,5","b":"5'10\""}"#]);
    assert_eq!(rows(BARE, "1,2\n,4\n"), [r#"{"c1":"1","c2":"2"}"#, r#"{"c2":"4"}"#]);
    assert_eq!(rows(CSV, ",a,\n0,1,2"), [r#"{"a":"1","c1":"0","c3":"2"}"#]);
    assert_eq!(rows(CSV, "<DATE>,<LAST>\n1,2"), [r#"{"<DATE>":"1","<LAST>":"2"}"#]);
}

#[test]
fn rows_of_another_width_are_bad_rows() {
    let mut decoder = of(CSV);
    let page1 = page(&mut decoder, "a,b\n1,2\n3\n4,5,6\n\"7\"x,8\n9,10\n");
    assert_eq!(lines(&page1.batch()), [r#"{"a":"1","b":"2"}"#, r#"{"a":"9","b":"10"}"#]);
    assert_eq!(
        told(&page1),
        [
            "1 : expected 2 cells, got 1 cell in 3",
            "2 : expected 2 cells, got 3 cells in 4,5,6",
            "3 : expected nothing after a closing quote, got text there in \"7\"x,8",
        ]
    );
    let page2 = page(&mut decoder, "b,a,new\n2,1,\n4,3,n\n");
    assert_eq!(lines(&page2.batch()), [r#"{"a":"1","b":"2"}"#, r#"{"a":"3","b":"4","new":"n"}"#]);
    let mut bare = of(BARE);
    page(&mut bare, "1,2\n");
    assert_eq!(told(&page(&mut bare, "1,2,3\n")), ["0 : expected 2 cells, got 3 cells in 1,2,3"]);
    let pinned = Some(decoder.schema().clone());
    let freeze = DecodeOptions { format: CSV, pinned, contract: Contract::Freeze, ..options(&[".[]"]) };
    let page3 = page(&mut PageDecoder::new(freeze), "a,b,new,more\n1,2,3,4\n");
    assert_eq!(told(&page3), ["0 more: expected a known field, got an unknown one in 1,2,3,4"]);
}

#[test]
fn cells_are_typed_by_hand() {
    let kinds = [
        ("i", "int64"),
        ("f", "float64"),
        ("b", "bool"),
        ("d", "decimal(6, 2)"),
        ("t", "timestamp(s)"),
        ("j", "json"),
        ("s", "string"),
    ];
    let by_hand =
        kinds.iter().map(|(name, kind)| HandColumn { name: (*name).to_owned(), kind: HandType::parse(kind).unwrap() });
    let by_hand: Vec<HandColumn> = by_hand.collect();
    let mut decoder = PageDecoder::new(DecodeOptions { format: CSV, by_hand, ..options(&[".[]"]) });
    let body = "i,f,b,d,t,j,s,x\n-1,0.5,true,1.5,1767225600,\"{\"\"k\"\": [1]}\",7,8\n,\"\",,\"\",,\"\",\"\",\n";
    let page1 = page(&mut decoder, body);
    insta::assert_snapshot!(lines(&page1.batch()).join("\n"), @r#"
    {"b":true,"d":1.50,"f":0.5,"i":-1,"j":"{\"k\": [1]}","s":"7","t":"2026-01-01T00:00:00Z","x":"8"}
    {"s":""}
    "#);
    let page2 =
        page(&mut decoder, "i,f,b,d,t,j,s,x\n1.5,,,,,,,\n,NaN,,,,,,\n,,yes,,,,,\n,,,x,,,,\n,,,,noon,,,\n,,,,,{,,\n");
    let columns: Vec<&str> = page2.rejected.iter().map(|row| row.column.as_str()).collect();
    assert_eq!((page2.batch().num_rows(), columns), (0, vec!["i", "f", "b", "d", "t", "j"]));
    assert_eq!(told(&page2)[1], r#"1 f: expected float64, got string "NaN" in ,NaN,,,,,,"#);
}

#[test]
fn values_that_do_not_fit_may_be_null_and_rows_that_are_none_may_not() {
    let by_hand = vec![HandColumn { name: "i".to_owned(), kind: HandType::parse("int64").unwrap() }];
    let mut decoder = PageDecoder::new(DecodeOptions { format: CSV, by_hand, nulls: true, ..options(&[".[]"]) });
    let page = page(&mut decoder, "i,s\n1,a\nx,b\n3\n");
    assert_eq!(lines(&page.batch()), [r#"{"i":1,"s":"a"}"#, r#"{"s":"b"}"#]);
    assert_eq!((page.nulled_values, told(&page)), (1, vec!["2 : expected 2 cells, got 1 cell in 3".to_owned()]));
    assert_eq!(page.first_nulled.unwrap().raw, "x,b".into());
}

#[test]
fn constants_do_not_replace_a_tables_own_cells() {
    let constants = vec![("site".to_owned(), json!(7))];
    let mut decoder = PageDecoder::new(DecodeOptions { format: CSV, constants, ..options(&[".[]"]) });
    let page = page(&mut decoder, "site,a\n7,1\nx,2\n,3\n");
    assert_eq!(lines(&page.batch()), [r#"{"a":"1","site":7}"#, r#"{"a":"3","site":7}"#]);
    assert_eq!((page.rejected[0].column.as_str(), page.rejected[0].got.as_str()), ("site", r#"string "x""#));
}

#[test]
fn what_is_no_table_says_so() {
    let error = |body: &str| error(CSV, ".[]", body);
    insta::assert_snapshot!(error("a,b,a\n1,2,3\n"), @"the body isn't a csv table, at line 1: the header names the column `a` twice: a,b,a 1,2,3 ");
    insta::assert_snapshot!(error("a,,c2\n1,2,3\n"), @"the body isn't a csv table, at line 1: the header names the column `c2` twice: a,,c2 1,2,3 ");
    insta::assert_snapshot!(error("a,b\r1,2\r3,4\r"), @r#"the body isn't a csv table, at line 1: the header names a column "b\r1", which holds a control character: a,b 1,2 3,4 "#);
    insta::assert_snapshot!(error("a,b\n1,2\n3,\"4\n5,6\n"), @r#"the body isn't a csv table, at line 3: a quote is opened and never closed: the body may be cut off: a,b 1,2 3,"4 5,6 "#);
    insta::assert_snapshot!(error("\"a\"x,b\n"), @r#"the body isn't a csv table, at line 1: a column's name goes on after its closing quote: "a"x,b "#);
    insta::assert_snapshot!(error("Internal error\n"), @"the body isn't a csv table, at line 1: there is one line, and no ',' in it: a message, or a table with another `delimiter`? If it is the header of a table with one column, name that in `schema.columns`: Internal error ");
    insta::assert_snapshot!(error("{\"error\": \"no such list\"}"), @r#"the body is one json document, not csv: {"error": "no such list"}; if it is an error, `success` and `error_message` see it"#);
    assert!(error("[\n  1,\n  2").starts_with("the body is one json document"));
    assert!(error("<!DOCTYPE html>\n<p>a, b</p>").starts_with("the body is html or xml, not csv"));
    assert!(error("<b>a</b>,<i>c</i>\n").starts_with("the body is html or xml, not csv"));
    let pinned = Some(page(&mut of(CSV), "id,name\n1,x\n").schema);
    let mut later = PageDecoder::new(DecodeOptions { format: CSV, pinned, ..options(&[".[]"]) });
    let error = try_page(&mut later, "Too many requests\nTry later\n").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"the body isn't a csv table, at line 1: the header names none of the columns that are known (`id`, `name`): Too many requests Try later ");
}

#[test]
fn a_header_may_leave_columns_out_where_that_is_said_of_it() {
    const SPARSE: AnswerFormat = AnswerFormat::Csv(CsvDialect { delimiter: b',', header: true, sparse: true });
    let mut decoder = of(SPARSE);
    page(&mut decoder, "id,v,w\n0,a,b\n".to_owned());
    let found = page(&mut decoder, "w,id\nc,1\n".to_owned());
    let value = |column: &str| found.batch().column_by_name(column).map(|column| column.is_null(0));
    assert_eq!((value("id"), value("v"), value("w")), (Some(false), Some(true), Some(false)));
    for body in ["Internal error, try again later\n", "Error,code\ntry later,5\n", "3,a3\n"] {
        let error = try_page(&mut decoder, body.to_owned()).unwrap_err().to_string();
        assert!(error.contains("which the slice's first page has"), "{error}");
    }
    let mut keyed = PageDecoder::new(DecodeOptions { format: SPARSE, due: vec!["id".to_owned()], ..options(&[".[]"]) });
    page(&mut keyed, "id,v\n0,a\n".to_owned());
    assert!(try_page(&mut keyed, "v\nb\n".to_owned()).unwrap_err().to_string().contains("which `key` has"));
}

#[test]
fn the_pages_of_a_slice_have_one_header() {
    let later = |first: &str, body: &str| {
        let mut decoder = of(CSV);
        page(&mut decoder, first.to_owned());
        let error = try_page(&mut decoder, body.to_owned()).map(|page| page.rows).map_err(|error| error.to_string());
        // A page that was refused says nothing of the next one.
        page(&mut decoder, "more,v,id\n1,2,3\n");
        error
    };
    assert_eq!(later("id,v\n0,a\n", "v,id,x\nb,1,2\n"), Ok(1), "in any order, and with more");
    assert_eq!(later("id,v\n", "id,v\n"), Ok(0));
    insta::assert_snapshot!(later("id,v\n0,a\n", "Internal error, try again later\n").unwrap_err(), @"the body isn't a csv table, at line 1: the header doesn't name the column `id`, which the slice's first page has: is it a message, a table of another kind, or a page that goes on without a header? Each page of a slice needs one, with the same columns; where the server leaves out those that have no value on a page, write `format: {csv: {sparse: true}}`: Internal error, try again later ");
    for body in ["3,a3\n4,a4\n", "ID,v\n3,a3\n", "Error,code\ntry later,5\n", "id\n3\n", "Error\n"] {
        let error = later("id,v\n0,a\n", body).unwrap_err();
        assert!(error.contains("which the slice's first page has"), "{error}");
        assert!(later("id,v\n", body).is_err(), "{body}");
    }
    let mut program = PageDecoder::new(DecodeOptions { format: CSV, ..options(&[".[] | {id, v}"]) });
    page(&mut program, "id,v\n0,a\n");
    assert!(try_page(&mut program, "ID,v\n1,b\n").unwrap_err().to_string().contains("name the column `id`"));
    let mut split = of(CSV);
    let context = PageVars { status: 200, headers: json!({}) };
    let mut parted = |body: &'static str| split.split(&Bytes::from_static(body.as_bytes()), &context, None, &[]);
    assert_eq!(parted("id,v\n0,a\n").unwrap().records.len(), 1);
    assert!(parted("ID,v\n1,b\n").is_err());
}

#[test]
fn the_pages_of_a_parent_have_one_header() {
    let columns = whole(CSV, ".[]", "id,v\n0,a\n").unwrap().columns;
    assert_eq!(columns, ["id", "v"]);
    for (body, goes_on) in
        [("v,id,x\n", true), ("", true), ("ID,v\n1,b\n", false), ("Internal error, try later\n1,2\n", false)]
    {
        let page = whole(CSV, ".[]? | .", body).unwrap();
        assert_eq!(page.goes_on(&columns, CSV).is_ok(), goes_on, "{body}");
        assert!(page.goes_on(&[], CSV).is_ok());
    }
}

#[test]
fn the_header_of_a_page_that_is_decoded_early_is_looked_at_in_its_turn() {
    let pinned = Some(page(&mut of(CSV), "id,v\n0,a\n").schema);
    let mut decoder = PageDecoder::new(DecodeOptions { format: CSV, pinned, ..options(&[".[]"]) });
    let context = PageVars { status: 200, headers: json!({}) };
    let early = decoder.fork().decode_early(&Bytes::from_static(b"ID,v\n1,b\n"), &context, None, &[]);
    page(&mut decoder, "id,v\n0,a\n");
    assert!(early.is_none_or(|(early, _)| decoder.adopt(early).is_none()));
    assert!(try_page(&mut decoder, "ID,v\n1,b\n").is_err());
}

#[test]
fn a_table_without_its_key_is_none_and_a_message_is_no_header() {
    let due = vec!["id".to_owned()];
    let keyed = DecodeOptions { format: CSV, due, ..options(&[".[]"]) };
    for body in ["Internal error, try again later\n", "ID,v\n1,a\n", "Error,code\ntry later,5\n", "Error\n"] {
        let error = try_page(&mut PageDecoder::new(keyed.clone()), body.to_owned()).unwrap_err().to_string();
        assert!(error.contains("doesn't name the column `id`, which `key` has"), "{error}");
    }
    assert_eq!(page(&mut PageDecoder::new(keyed), "v,id\n").rows, 0);
    insta::assert_snapshot!(error(CSV, ".[]", "Internal error, try again later\n"), @"the body isn't a csv table, at line 1: there is one line, and it reads like a message: if it is the header of a table with no rows, name its columns in `schema.columns`: Internal error, try again later ");
    for body in ["a,b\n", "a,Date of birth\n", "a, b\n1,2\n"] {
        assert!(try_page(&mut of(CSV), body.to_owned()).is_ok(), "{body}");
    }
}

#[test]
fn text_of_another_character_set_lands_nowhere() {
    let context = |kind: &str| PageVars { status: 200, headers: json!({"content-type": kind}) };
    let bytes = Bytes::from_static(b"a,b\n1,\x1b$BF|K\\\x1b(B\n2,\x1b[31mred\n");
    let declared = context("text/csv; charset=iso-2022-jp");
    let error = of(CSV).decode(&bytes, &declared, None, &[]).unwrap_err().to_string();
    assert!(error.contains("says that the body is in iso-2022-jp"), "{error}");
    let selector = options(&[".[]"]).selector;
    assert!(read_whole(&bytes, CSV, &selector, &declared, None, &[]).is_err());
    let latin = of(CSV).decode(&Bytes::from_static(b"a\n\xe9\n"), &context("text/csv; charset=latin1"), None, &[]);
    assert!(latin.unwrap_err().to_string().contains("is in latin1"), "it says more than the byte does");
    // Nobody says so.
    let page1 = page(&mut of(CSV), bytes);
    let raw = "1,\u{1b}$BF|K\\\u{1b}(B";
    assert_eq!(told(&page1), [format!("0 : expected text in utf-8, got an escape sequence of iso-2022 in {raw}")]);
    let wide: Vec<u8> = "1,a\n2,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let page2 = page(&mut of(BARE), wide);
    assert_eq!((page2.batch().num_rows(), page2.rejected.len() as u64), (0, page2.rows));
    assert!(told(&page2)[0].contains("got a byte of zero, as utf-16 has"));
    let old = try_page(&mut of(BARE), "0,a\r1,b\r2,c\r").unwrap_err().to_string();
    assert!(old.contains("at line 1: a carriage return stands in the first row"), "{old}");
    assert_eq!(rows(BARE, "0,\"a\rb\"\r\n"), [r#"{"c1":"0","c2":"a\rb"}"#]);
}

/// Its header names 30 columns and its rows have 25 cells, so that nobody knows which values are whose.
#[test]
fn tables_of_a_real_ntopng_have_rows_that_do_not_fit_their_header() {
    let bar = AnswerFormat::Csv(CsvDialect { delimiter: b'|', header: true, sparse: false });
    let body = properties::fixture("flow-alert-list-txt");
    let page = page(&mut of(bar), body.clone());
    assert_eq!((page.rows, page.rejected.len(), page.batch().num_rows()), (5, 5, 0));
    assert_eq!(
        told(&page)[0],
        "0 : expected 30 cells, got 25 cells in |1|13|Blacklisted Server Contact|1||6|flow|||||||91|Blacklisted Server Contact|13|\
         \"Blacklisted Server [ Blacklist: \"\"Emerging Threats\"\" ]\"||6|200|6|1795314590||0"
    );
    let text = std::str::from_utf8(&body).unwrap();
    let (_, rows) = text.split_once('\n').unwrap();
    let bare = AnswerFormat::Csv(CsvDialect { delimiter: b'|', header: false, sparse: false });
    let decoded = super::page(&mut of(bare), rows.to_owned());
    assert_eq!((decoded.batch().num_rows(), decoded.batch().num_columns()), (5, 25));
    assert_eq!(
        decoded.batch()["c18"].as_string::<i32>().value(0),
        r#"Blacklisted Server [ Blacklist: "Emerging Threats" ]"#
    );
    assert_eq!(decoded.batch()["c23"].as_string::<i32>().value(4), "1795314596");
}

fn cells() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = prop_oneof!["[ab,|\t\"\r\n é]{0,6}", "\\PC{0,5}"];
    (1_usize..5)
        .prop_flat_map(move |width| proptest::collection::vec(proptest::collection::vec(cell.clone(), width), 1..12))
}

/// Writes a table as RFC 4180 says, each cell in quotes where it must be or where `quote` says so.
fn written(rows: &[Vec<String>], delimiter: char, end: &str, quote: bool) -> String {
    let cell = |text: &String| {
        let must = text.contains([delimiter, '"', '\r', '\n']) || quote || (text.is_empty() && rows[0].len() == 1);
        if must { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
    };
    let row = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(&delimiter.to_string());
    rows.iter().map(|cells| row(cells) + end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_table_comes_back_cell_by_cell(rows in cells(), bar in any::<bool>(), crlf in any::<bool>(), quote in any::<bool>(), split in 0_usize..12) {
        let (delimiter, end) = (if bar { '|' } else { ',' }, if crlf { "\r\n" } else { "\n" });
        let names: Vec<String> = (0..rows[0].len()).map(|at| format!("n{at}")).collect();
        let dialect = CsvDialect { delimiter: if bar { b'|' } else { b',' }, header: true, sparse: false };
        let mut decoder = of(AnswerFormat::Csv(dialect));
        let mut found = Vec::new();
        let (one, two) = rows.split_at(split.min(rows.len()));
        let mut batches = Vec::new();
        for part in [one, two] {
            let body = written(&[vec![names.clone()], part.to_vec()].concat(), delimiter, end, quote);
            prop_assume!(!part.is_empty() || names.len() > 1);
            let page = page(&mut decoder, body);
            prop_assert_eq!(&page.rejected, &vec![]);
            batches.push((page.batch(), page.schema));
        }
        for (batch, schema) in batches {
            let batch = decoder.widener(decoder.schema().clone()).widen(&batch, &schema).unwrap();
            for row in 0..batch.num_rows() {
                found.push(names.iter().map(|name| match batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()) {
                    Some(column) if column.is_valid(row) => column.value(row).to_owned(),
                    _ => String::new(),
                }).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn lines_come_back_as_a_page_of_json_would(pages in proptest::collection::vec(proptest::collection::vec(properties::any_json(), 1..8), 1..4), gap in any::<bool>()) {
        let (mut lines_decoder, mut json_decoder) = (of(AnswerFormat::JsonLines), decoder());
        for records in pages {
            prop_assume!(!(records.len() == 1 && records[0].is_array()));
            let end = if gap { "\r\n\n" } else { "\n" };
            let body: String = records.iter().map(|record| format!("{record}{end}")).collect();
            let (ours, theirs) = (page(&mut lines_decoder, body), page(&mut json_decoder, Value::from(records).to_string()));
            prop_assert_eq!(ours.batch(), theirs.batch());
            prop_assert_eq!(ours.rejected, theirs.rejected);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..48)) {
        for format in [CSV, BARE, AnswerFormat::JsonLines] {
            let _ = try_page(&mut of(format), body.clone());
            let _ = is_cut(format, &body);
        }
    }

    #[test]
    fn a_table_that_is_cut_brings_no_row_that_it_did_not_have(rows in cells(), cut in 0_usize..200) {
        let names: Vec<String> = (0..rows[0].len()).map(|at| format!("n{at}")).collect();
        let whole = written(&[vec![names.clone()], rows.clone()].concat(), ',', "\n", true);
        let cut = whole.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(whole.len());
        let body = &whole[..cut];
        let Ok(page) = try_page(&mut of(CSV), body.to_owned()) else { return Ok(()) };
        let batch = page.batch();
        prop_assert!(batch.num_rows() <= rows.len());
        prop_assert!(page.rejected.len() <= 1, "only the last row can be cut");
        prop_assert_eq!(!page.rejected.is_empty(), is_cut(CSV, body.as_bytes()));
        // Of the last row a part of the last cell may be missing, where it has no line end.
        let sure = if body.ends_with('\n') { batch.num_rows() } else { batch.num_rows().saturating_sub(1) };
        for (row, cells) in rows.iter().enumerate().take(sure) {
            for (name, cell) in names.iter().zip(cells) {
                prop_assert_eq!(batch[name.as_str()].as_string::<i32>().value(row), cell.as_str());
            }
        }
    }
}
