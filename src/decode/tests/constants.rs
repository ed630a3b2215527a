//! Columns that records don't decide.

use super::*;

#[test]
fn constants_do_not_replace_what_a_record_has_of_its_own() {
    let constants = vec![("ifid".to_owned(), json!(0)), ("zone".to_owned(), json!("a"))];
    let mut decoder = PageDecoder::new(DecodeOptions { constants, ..options(&[".[]"]) });
    let page = page(
        &mut decoder,
        r#"[{"ifid": "0", "x": 1}, {"x": 2}, {"zone": "\u0061", "x": 3}, {"ifid": null, "x": 4}, {"ifid": "lo"}, {"zone": {"a": 1}, "x": 6}]"#,
    );
    let row = |x: u8| format!(r#"{{"ifid":0,"x":{x},"zone":"a"}}"#);
    assert_eq!(lines(&page.batch()), [row(1), row(2), row(3), row(4)]);
    let why = |at: usize| {
        format!("{}: {} for {}", page.rejected[at].column, page.rejected[at].got, page.rejected[at].expected)
    };
    assert_eq!(why(0), r#"ifid: string "lo" for 0, which `for_each` puts there (give that column another name)"#);
    assert_eq!(why(1), r#"zone: an object for "a", which `for_each` puts there (give that column another name)"#);
    let columns = [Column { name: "ifid".to_owned(), kind: ColumnType::String }];
    let constants = vec![("ifid".to_owned(), json!(0))];
    let pinned = Some(RecordSchema::new(columns.to_vec()));
    let mut decoder = PageDecoder::new(DecodeOptions { constants, pinned, ..options(&[".[]"]) });
    let error = try_page(&mut decoder, "[{}]").unwrap_err();
    assert!(matches!(error, DecodeError::Constant { .. }), "{error}");
}
