//! What is foreseen of an honest server is what is then asked; of any other it changes nothing.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn place(text: &str) -> Place {
    Place::compile(text, &[]).unwrap()
}

/// The paginators that count.
fn counting(kind: usize, size: u64, max_pages: Option<u64>) -> Box<dyn Paginator> {
    let rules = EndRules { max_pages, ..EndRules::default() };
    let (into, size_into) = (place("query.at"), Some(place("query.size")));
    match kind {
        0 => Box::new(Offset::new(into, size_into, size, 3, Advance::Received, rules)),
        1 => Box::new(Offset::new(into, None, size, 0, Advance::Size, rules)),
        _ => Box::new(PageNumber::new(into, size_into, size, 1, rules)),
    }
}

/// Pages to the end, or to an error. `page` gives the rows of a page and what it states. Returns the decisions after each page, and
/// those that were foreseen there.
fn decisions(
    mut paginator: Box<dyn Paginator>,
    count: usize,
    mut page: impl FnMut(u64) -> Seen,
) -> Vec<(Vec<Decision>, Option<Decision>)> {
    let mut all = Vec::new();
    for number in 1..500 {
        let seen = Seen { page: number, ..page(number) };
        let foreseen = paginator.foresee(&seen, count);
        assert_eq!(foreseen, paginator.foresee(&seen, count), "to look ahead changes nothing");
        let decided = paginator.next(&seen).ok();
        let ends = !matches!(decided, Some(Decision::Fetch(_) | Decision::Follow(_)));
        all.push((foreseen, decided));
        if ends {
            return all;
        }
    }
    panic!("paging doesn't end");
}

proptest! {
    #[test]
    fn full_pages_with_a_total_are_foreseen_exactly(
        kind in 0_usize..3, rows in 0_u64..90, size in 1_u64..12, count in 0_usize..12, says_more: bool,
        max_pages in prop::option::of(1_u64..20)
    ) {
        let page = |number: u64| {
            let left = rows.saturating_sub((number - 1) * size);
            let here = left.min(size);
            let more = says_more.then_some(left > here);
            Seen { rows: here, new_rows: here, total: Some(rows), more, ..Seen::default() }
        };
        let all = decisions(counting(kind, size, max_pages), count, page);
        for at in 0..all.len() {
            let asked: Vec<_> = all[at..].iter().filter_map(|(_, decided)| decided.clone())
                .filter(|decided| matches!(decided, Decision::Fetch(_))).take(count).collect();
            // A page shorter than asked for, before the end, isn't full: then only the next request is known.
            prop_assert_eq!(&all[at].0, &asked, "after page {}", at + 1);
        }
    }

    #[test]
    fn without_a_total_only_the_next_request_is_foreseen(
        kind in 0_usize..3, pages in prop::collection::vec(0_u64..9, 1..20), count in 1_usize..9
    ) {
        let page = |number: u64| {
            let rows = pages.get(usize::try_from(number).unwrap() - 1).copied().unwrap_or_default();
            Seen { rows, new_rows: rows, ..Seen::default() }
        };
        for (foreseen, decided) in decisions(counting(kind, 8, None), count, page) {
            let next: Vec<_> = decided.into_iter().filter(|decided| matches!(decided, Decision::Fetch(_))).collect();
            prop_assert_eq!(foreseen, next);
        }
    }

    #[test]
    fn a_server_that_cuts_pages_short_changes_no_decision(
        kind in 0_usize..3, pages in prop::collection::vec((0_u64..9, prop::option::of(0_u64..60)), 1..20), count in 1_usize..9
    ) {
        let page = |number: u64| {
            let (rows, total) = pages.get(usize::try_from(number).unwrap() - 1).copied().unwrap_or_default();
            Seen { rows, new_rows: rows, total, ..Seen::default() }
        };
        let looked = decisions(counting(kind, 8, None), count, page);
        let blind = decisions(counting(kind, 8, None), 0, page);
        prop_assert_eq!(looked.len(), blind.len());
        for ((foreseen, looked), (none, blind)) in looked.iter().zip(&blind) {
            prop_assert_eq!(looked, blind);
            prop_assert!(none.is_empty() && foreseen.len() <= count);
            // The first one is certain, whatever comes after it.
            if let (Some(first), Some(decided)) = (foreseen.first(), looked) {
                prop_assert_eq!(first, decided);
            }
        }
    }
}

#[test]
fn a_cursor_and_a_link_are_foreseen_one_page_ahead() {
    let seen = |given| Seen { rows: 5, given, page: 1, total: Some(100), ..Seen::default() };
    let cursor = Cursor::new(Some(place("body.offset")), EndRules::default());
    let next = vec![Decision::Fetch(vec![Edit { place: place("body.offset"), value: json!("b") }])];
    assert_eq!(cursor.foresee(&seen(Given::Next(json!("b"))), 8), next);
    assert_eq!(cursor.foresee(&seen(Given::Empty), 8), []);
    let link = NextLink::new(EndRules::default());
    assert_eq!(link.foresee(&seen(Given::Next(json!("/x?p=2"))), 8), [Decision::Follow("/x?p=2".to_owned())]);
    assert_eq!(link.foresee(&seen(Given::Next(json!(7))), 8), [], "the error is for `next` to tell");
}

#[test]
fn seek_is_foreseen_only_where_it_moves() {
    let spec = SeekSpec {
        into: place("query.after"),
        size_into: None,
        size: 3,
        order: Order::Asc,
        bound: Bound::Inclusive,
        format: "{}".to_owned(),
        rules: EndRules::default(),
        start: Some(json!(4)),
        limit: None,
        unique: false,
        overlap: false,
    };
    let paginator = Seek::new(spec);
    let seen = |value| Seen { rows: 3, last_value: Some(value), page: 1, ..Seen::default() };
    let next = vec![Decision::Fetch(vec![Edit { place: place("query.after"), value: json!(7) }])];
    assert_eq!(paginator.foresee(&seen(json!(7)), 8), next);
    assert_eq!(paginator.foresee(&seen(json!(4)), 8), [], "it stands still");
    assert_eq!(paginator.foresee(&Seen { rows: 0, ..seen(json!(9)) }, 8), []);
    assert_eq!(OnePage::default().foresee(&seen(json!(7)), 8), []);
}
