//! What the rows at the ends of a page tell of a `seek`.

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

#[test]
fn rows_that_share_a_value_at_the_end_of_a_full_page_are_not_left_behind() {
    let page = |last: i64, page, rows| Seen { last_value: Some(json!(last)), tied: true, ..seen(rows, page) };
    let exclusive = || Seek::new(SeekSpec { bound: Bound::Exclusive, ..seek(3) });
    let cut = |page| Err(PaginateError::SeekCutsEquals { page, value: "7".to_owned() });

    let mut full = exclusive();
    assert!(full.next(&page(7, 1, 3)).is_ok(), "a slice may end here, and leave them to the next one");
    assert_eq!(full.clone().next(&seen(0, 2)), cut(1), "none lies behind them, but they may be more themselves");
    assert_eq!(full.next(&page(8, 2, 1)), cut(1));

    let mut short = exclusive();
    assert!(short.next(&page(7, 1, 2)).is_ok());
    assert_eq!(short.clone().next(&seen(0, 2)), done(EndReason::EmptyPage), "it had room for more");
    assert_eq!(short.next(&page(8, 2, 1)), cut(1), "it hadn't: the server gives fewer at a time");

    let mut as_large = exclusive();
    assert!(as_large.next(&Seen { tied: false, ..page(6, 1, 2) }).is_ok() && as_large.next(&page(7, 2, 2)).is_ok());
    assert_eq!(as_large.next(&seen(0, 3)), cut(2));

    let told = Seen { total: Some(9), ..page(7, 1, 3) };
    let mut counted = exclusive();
    assert!(counted.next(&told).is_ok() && counted.next(&page(8, 2, 3)).is_ok(), "the total tells");
    let mut unique = Seek::new(SeekSpec { bound: Bound::Exclusive, unique: true, ..seek(3) });
    assert!(
        unique.next(&page(7, 1, 3)).is_ok() && unique.next(&page(8, 2, 3)).is_ok(),
        "the key makes one row of them"
    );
    assert_eq!(exclusive().next(&Seen { more: Some(false), ..page(7, 1, 3) }), done(EndReason::MoreFalse));
}
