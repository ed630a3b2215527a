//! What comes beyond a total that was reached, and beyond one that is exceeded.

use super::*;

fn page(rows: u64, new_rows: u64, total: u64, page: u64) -> Seen {
    Seen { new_rows, total: Some(total), ..seen(rows, page) }
}

#[test]
fn the_last_page_again_beyond_the_total_is_the_end() {
    let mut read = offset(3, rules());
    assert!(matches!(read.next(&page(3, 3, 6, 1)), Ok(Decision::Fetch(_))) && read.past_end().is_none());
    assert!(
        matches!(read.next(&page(3, 3, 6, 2)), Ok(Decision::Fetch(_)))
            && read.past_end() == Some(EndReason::TotalReached)
    );
    for (next, end) in [
        (page(3, 0, 6, 3), Some(EndReason::PageAgain)),
        (page(0, 0, 6, 3), Some(EndReason::EmptyPage)),
        // A total that counts the page only, one that has changed, and a server that says that it goes on.
        (page(3, 3, 6, 3), None),
        (page(3, 0, 7, 3), None),
        (Seen { more: Some(true), ..page(3, 0, 6, 3) }, None),
    ] {
        let mut read = read.clone();
        match end {
            Some(end) => assert_eq!(read.next(&next), done(end)),
            None => {
                assert!(matches!(read.next(&next), Ok(Decision::Fetch(_))) && read.past_end().is_none(), "{next:?}");
            }
        }
    }
}

#[test]
fn far_more_than_the_total_is_an_error() {
    let mut number = PageNumber::new(place("query.page"), None, 3, 1, rules());
    let error = (1..100).find_map(|at| number.next(&page(3, 3, 9, at)).err());
    assert_eq!(error, Some(PaginateError::FarBeyondTotal { page: 8, received: 24, total: 9 }));
    let trusting = EndRules { total_may_be_less: true, ..rules() };
    let mut number = PageNumber::new(place("query.page"), None, 3, 1, trusting);
    assert!((1..100).all(|at| number.next(&page(3, 3, 9, at)).is_ok()));
}

#[test]
fn a_text_that_does_not_move_ends_where_fewer_rows_came_than_were_asked_for() {
    let at = |rows, new_rows, page| Seen { new_rows, last_value: Some(json!("k0")), ..seen(rows, page) };
    let mut one = Seek::new(seek(5));
    assert!(matches!(one.next(&at(1, 1, 1)), Ok(Decision::Fetch(_))));
    assert_eq!(one.next(&at(1, 0, 2)), done(EndReason::NothingNew));
    let mut full = Seek::new(seek(1));
    assert!(matches!(full.next(&at(1, 1, 1)), Ok(Decision::Fetch(_))));
    assert!(matches!(full.next(&at(1, 0, 2)), Err(PaginateError::SharedByMoreThanAPage { rows: 1, .. })));
}
