//! Pages with no rows: in the middle, at the beginning, at the end.

use super::*;

fn counted() -> PageNumber {
    PageNumber::new(place("query.page"), None, 5, 1, rules())
}

fn by_size(rules: EndRules) -> Offset {
    Offset::new(place("query.start"), None, 5, 0, Advance::Size, rules)
}

#[test]
fn an_empty_page_after_a_full_one_ends_only_with_another() {
    let read = |paginator: &mut dyn Paginator, pages: &[u64]| {
        let mut ends: Vec<_> = pages.iter().zip(1..).map(|(rows, page)| paginator.next(&seen(*rows, page))).collect();
        let last = ends.pop().unwrap();
        assert!(ends.iter().all(|end| matches!(end, Ok(Decision::Fetch(_)))), "it goes on until the last of {pages:?}");
        last
    };
    assert_eq!(read(&mut offset(5, rules()), &[5, 5, 0, 0]), done(EndReason::EmptyPage));
    assert_eq!(read(&mut counted(), &[5, 5, 0, 0]), done(EndReason::EmptyPage));
    // The server gives three at a time.
    assert_eq!(read(&mut offset(5, rules()), &[3, 3, 0, 0]), done(EndReason::EmptyPage));
    // A page that isn't full is evidence enough.
    assert_eq!(read(&mut offset(5, rules()), &[5, 4, 0]), done(EndReason::EmptyPage));
    assert_eq!(read(&mut counted(), &[5, 4, 0]), done(EndReason::EmptyPage));
    assert_eq!(read(&mut offset(5, rules()), &[3, 3, 1, 0]), done(EndReason::EmptyPage));
    // None is full: there may be rows that the server hides, or gives elsewhere.
    assert_eq!(read(&mut offset(5, rules()), &[3, 0]), done(EndReason::NeverFull));
    let (mut holes, mut hidden) = (offset(5, rules()), counted());
    assert_eq!(read(&mut holes, &[5, 0, 5]), Err(PaginateError::RowsAfterEmpty { page: 3 }));
    assert_eq!(read(&mut hidden, &[5, 0, 5, 0, 0]), done(EndReason::EmptyAfterShort));
    let ends = EndRules { short_page_ends: true, ..rules() };
    assert_eq!(read(&mut offset(5, ends), &[5, 0]), done(EndReason::EmptyPage));
}

#[test]
fn an_empty_page_where_there_are_more_is_gone_past() {
    let more = |rows, page| Seen { more: Some(true), ..seen(rows, page) };
    let last = |rows, page| Seen { more: Some(false), ..seen(rows, page) };
    for paginator in [&mut counted() as &mut dyn Paginator, &mut by_size(rules())] {
        assert!([more(5, 1), more(0, 2), more(0, 3), more(5, 4)].iter().all(|page| paginator.next(page).is_ok()));
        assert_eq!(paginator.next(&last(2, 5)), done(EndReason::MoreFalseAfterShort));
    }
    let mut capped = counted();
    assert!(capped.next(&more(1, 1)).is_ok());
    assert_eq!(capped.next(&last(0, 2)), done(EndReason::NeverFull), "the server may give one at a time");
    let mut first = counted();
    assert!(first.next(&more(0, 1)).is_ok());
    assert_eq!(first.next(&last(1, 2)), done(EndReason::MoreFalseAfterShort), "it may be all that a small page shows");
}

#[test]
fn an_empty_page_that_lies_within_the_total_is_gone_past() {
    let of = |total, rows, page| Seen { total: Some(total), ..seen(rows, page) };
    for paginator in [&mut counted() as &mut dyn Paginator, &mut by_size(rules())] {
        let pages = [of(27, 5, 1), of(27, 0, 2), of(27, 0, 3), seen(0, 4), of(27, 5, 5)];
        assert!(pages.iter().all(|page| matches!(paginator.next(page), Ok(Decision::Fetch(_)))));
        assert_eq!(paginator.next(&of(27, 0, 6)), done(EndReason::EmptyAfterShort), "the total lies on it");
    }
    let mut whole = counted();
    assert!(whole.next(&of(10, 5, 1)).is_ok() && whole.next(&of(10, 5, 2)).is_ok());
    assert_eq!(whole.next(&of(10, 0, 3)), done(EndReason::EmptyPage));
    // One that grows while nothing comes.
    let mut grows = PageNumber::new(place("query.page"), None, 1, 1, rules());
    assert!(grows.next(&of(2, 1, 1)).is_ok());
    let ends = (2..99).find_map(|page| match grows.next(&of(page + 1, 0, page)) {
        Ok(Decision::Fetch(_)) => None,
        end => Some((page, end)),
    });
    assert_eq!(ends, Some((2, done(EndReason::EmptyPage))));
    // A total that can't be: no list has so many pages without rows.
    let mut endless = counted();
    let error = (1..3_000).find_map(|page| endless.next(&of(u64::MAX, 0, page)).err());
    assert_eq!(error, Some(PaginateError::OnlyEmptyPages { pages: 100, what: "total" }));
}

#[test]
fn empty_pages_without_end_are_an_error() {
    let more = |rows, page| Seen { more: Some(true), ..seen(rows, page) };
    let fails_at = |paginator: &mut dyn Paginator, rows: fn(u64) -> u64| {
        (1..3_000).find_map(|page| paginator.next(&more(rows(page), page)).err())
    };
    let too_many = Some(PaginateError::OnlyEmptyPages { pages: 1_000, what: "value of `more`" });
    assert_eq!(fails_at(&mut counted(), |_| 0), too_many);
    assert_eq!(fails_at(&mut by_size(rules()), |page| if page == 1 { 5 } else { 0 }), too_many);
    assert_eq!(fails_at(&mut counted(), |page| u64::from(page % 900 == 0)), None, "not in a row");
    let most = EndRules { max_pages: Some(2_000), ..rules() };
    assert_eq!(fails_at(&mut by_size(most), |_| 0), Some(PaginateError::MaxPages { pages: 2_000 }));
}

#[test]
fn an_empty_first_page_is_the_end_only_with_another() {
    for paginator in [&mut counted() as &mut dyn Paginator, &mut by_size(rules()), &mut offset(5, rules())] {
        let Ok(Decision::Fetch(edits)) = paginator.next(&seen(0, 1)) else { panic!("it goes on") };
        assert!([json!(2), json!(5)].contains(&edits[0].value), "{edits:?}");
        assert_eq!(paginator.past_end(), Some(EndReason::EmptyPage), "there need be no such page");
        assert_eq!(paginator.next(&seen(0, 2)), done(EndReason::EmptyPage));
    }
    let mut hidden = counted();
    assert!([0, 5, 5].iter().zip(1..).all(|(rows, page)| hidden.next(&seen(*rows, page)).is_ok()));
    assert_eq!(hidden.past_end(), None);
    assert!(hidden.next(&seen(0, 4)).is_ok());
    assert_eq!(hidden.next(&seen(0, 5)), done(EndReason::EmptyAfterShort));
    let mut received = offset(5, rules());
    assert!(received.next(&seen(0, 1)).is_ok());
    assert_eq!(received.next(&seen(1, 2)), Err(PaginateError::RowsAfterEmpty { page: 2 }));
    let ends = EndRules { short_page_ends: true, ..rules() };
    assert_eq!(counted().next(&Seen { total: Some(0), ..seen(0, 1) }), done(EndReason::EmptyPage));
    assert_eq!(counted().next(&Seen { more: Some(false), ..seen(0, 1) }), done(EndReason::MoreFalse));
    assert_eq!(by_size(ends).next(&seen(0, 1)), done(EndReason::EmptyPage), "the file says that the server hides none");
}
