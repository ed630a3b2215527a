//! What the first row of a page tells of a `seek`.

use super::*;

#[test]
fn a_page_whose_first_row_lies_behind_its_last_one_is_not_sorted() {
    let page = |first: serde_json::Value, last: serde_json::Value| Seen {
        first_value: Some(first),
        last_value: Some(last),
        ..seen(2, 1)
    };
    let exclusive = || Seek::new(SeekSpec { bound: Bound::Exclusive, ..seek(2) });
    assert!(exclusive().next(&page(json!(5), json!(5))).is_ok());
    assert!(exclusive().next(&page(json!("b"), json!("A"))).is_ok(), "the server may sort texts in its own way");
    let error = exclusive().next(&page(json!("10"), json!("9"))).unwrap_err();
    assert_eq!(
        error,
        PaginateError::SeekUnsorted { page: 1, first: "\"10\"".to_owned(), last: "\"9\"".to_owned(), order: "asc" }
    );
    let mut down = Seek::new(SeekSpec { order: Order::Desc, ..seek(2) });
    assert!(down.next(&page(json!("2026-01-02T00:00:00Z"), json!("2026-01-01T00:00:00Z"))).is_ok());
}

#[test]
fn a_row_that_an_exclusive_seek_brings_again_is_told_unless_its_key_tells() {
    let page = |first: i64, last: i64, page, new_rows| Seen {
        first_value: Some(json!(first)),
        last_value: Some(json!(last)),
        new_rows,
        ..seen(2, page)
    };
    let mut exclusive = Seek::new(SeekSpec { bound: Bound::Exclusive, ..seek(2) });
    assert!(exclusive.next(&page(1, 2, 1, 2)).is_ok());
    assert!(exclusive.clone().next(&page(2, 3, 2, 1)).is_ok());
    assert!(exclusive.clone().next(&page(3, 4, 2, 2)).is_ok());
    let error = exclusive.next(&page(2, 3, 2, 2)).unwrap_err();
    assert_eq!(error, PaginateError::SeekNotExclusive { page: 2, value: "2".to_owned() });
}
