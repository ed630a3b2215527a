//! The paginators against a server in memory that cuts pages short.

mod empty;
mod first;
mod past_total;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Reconciliation, Verdict};

fn place(text: &str) -> Place {
    Place::compile(text, &[]).unwrap()
}

fn rules() -> EndRules {
    EndRules::default()
}

/// A server with `rows` rows (a row is its sort value and its id), which caps pages and may cut each page shorter still.
#[derive(Debug, Clone)]
struct Server {
    rows: Vec<(u64, u64)>,
    cap: u64,
    cuts: Vec<u64>,
    states_total: bool,
    states_more: bool,
}

impl Server {
    fn page(
        &self,
        from: impl Fn(&(u64, u64)) -> bool,
        skip: u64,
        size: u64,
        page: u64,
        cut: bool,
    ) -> (Seen, Vec<(u64, u64)>) {
        let mut limit = size.min(self.cap);
        if cut && !self.cuts.is_empty() {
            let cut = self.cuts[usize::try_from(page).unwrap() % self.cuts.len()];
            limit = limit.saturating_sub(cut).max(1);
        }
        let matching: Vec<_> = self.rows.iter().copied().filter(from).skip(usize::try_from(skip).unwrap()).collect();
        let rows: Vec<_> = matching.iter().copied().take(usize::try_from(limit).unwrap()).collect();
        let seen = Seen {
            rows: u64::try_from(rows.len()).unwrap(),
            total: self.states_total.then(|| u64::try_from(self.rows.len()).unwrap()),
            more: self.states_more.then_some(matching.len() > rows.len()),
            last_value: rows.last().map(|row| json!(row.0)),
            ..Seen::default()
        };
        (seen, rows)
    }
}

/// Pages to the end. Returns the distinct rows and the end; no request may come twice.
fn drive(
    paginator: &mut dyn Paginator,
    mut answer: impl FnMut(&[Edit], u64) -> (Seen, Vec<(u64, u64)>),
) -> Result<(BTreeSet<(u64, u64)>, u64, EndReason), PaginateError> {
    let (mut distinct, mut received, mut sent) = (BTreeSet::new(), 0, BTreeSet::new());
    let mut edits = paginator.first();
    for page in 1..10_000 {
        let request = edits.iter().map(|edit| format!("{}={}", edit.place, edit.value)).collect::<Vec<_>>().join("&");
        assert!(sent.insert(request.clone()), "sent twice: {request}");
        let (mut seen, rows) = answer(&edits, page);
        seen.page = page;
        seen.new_rows = 0;
        for row in rows {
            seen.new_rows += u64::from(distinct.insert(row));
        }
        received += seen.rows;
        match paginator.next(&seen)? {
            Decision::Fetch(next) => edits = next,
            Decision::Follow(link) => panic!("no link was given: {link}"),
            Decision::Done(end) => return Ok((distinct, received, end)),
        }
    }
    panic!("paging doesn't end");
}

fn number(edits: &[Edit], at: &str) -> Option<u64> {
    edits.iter().find(|edit| edit.place.as_str() == at).and_then(|edit| edit.value.as_u64())
}

fn all(server: &Server) -> BTreeSet<(u64, u64)> {
    server.rows.iter().copied().collect()
}

fn servers(values: impl Strategy<Value = u64> + 'static) -> impl Strategy<Value = Server> {
    let rows = prop::collection::vec(values, 0..60);
    let cuts = prop::collection::vec(0_u64..5, 0..4);
    (rows, 1_u64..20, cuts, any::<bool>(), any::<bool>()).prop_map(
        |(mut values, cap, cuts, states_total, states_more)| {
            values.sort_unstable();
            let rows = values.into_iter().zip(0..).collect();
            Server { rows, cap, cuts, states_total, states_more }
        },
    )
}

proptest! {
    #[test]
    fn offset_reads_every_row_once(server in servers(0_u64..1000), size in 1_u64..25, first in 0_u64..2) {
        let mut paginator =
            Offset::new(place("query.start"), Some(place("query.length")), size, first, Advance::Received, rules());
        let (rows, received, _) = drive(&mut paginator, |edits, page| {
            let start = number(edits, "query.start").unwrap() - first;
            server.page(|_| true, start, number(edits, "query.length").unwrap(), page, true)
        }).unwrap();
        prop_assert_eq!(received, u64::try_from(server.rows.len()).unwrap());
        prop_assert_eq!(rows, all(&server));
    }

    #[test]
    fn offset_by_size_reads_every_row_that_is_not_hidden(server in servers(0_u64..1000), size in 1_u64..25) {
        let server = Server { cap: size, states_total: false, ..server };
        let mut paginator = Offset::new(place("query.start"), None, size, 0, Advance::Size, rules());
        // The server hides every third row of a page, but never all of them.
        let (rows, ..) = drive(&mut paginator, |edits, page| {
            let (mut seen, mut rows) = server.page(|_| true, number(edits, "query.start").unwrap(), size, page, false);
            rows.retain(|row| row.1 % 3 != 2 || seen.rows == 1);
            seen.rows = u64::try_from(rows.len()).unwrap();
            (seen, rows)
        }).unwrap();
        let shown = |row: &(u64, u64)| row.1 % 3 != 2;
        prop_assert!(all(&server).iter().filter(|row| shown(row)).all(|row| rows.contains(row)));
    }

    #[test]
    fn page_reads_every_row_once(server in servers(0_u64..1000), size in 1_u64..25, first in 0_u64..2) {
        let server = Server { cap: size, ..server };
        let mut paginator = PageNumber::new(place("query.page"), None, size, first, rules());
        let (rows, received, _) = drive(&mut paginator, |edits, page| {
            let skip = (number(edits, "query.page").unwrap() - first) * size;
            server.page(|_| true, skip, size, page, false)
        }).unwrap();
        prop_assert_eq!(received, u64::try_from(server.rows.len()).unwrap());
        prop_assert_eq!(rows, all(&server));
    }

    #[test]
    fn pages_that_a_server_caps_prove_nothing(server in servers(0_u64..1000), size in 1_u64..25) {
        let server = Server { states_total: false, states_more: false, ..server };
        let mut paginator = PageNumber::new(place("query.page"), None, size, 0, rules());
        let (rows, _, end) = drive(&mut paginator, |edits, page| {
            // It counts pages by the size asked for, and puts fewer rows on them.
            server.page(|_| true, number(edits, "query.page").unwrap() * size, size, page, false)
        }).unwrap();
        if rows != all(&server) {
            prop_assert!(matches!(end, EndReason::EmptyAfterShort | EndReason::NeverFull), "{:?}", end);
        }
        let proved = Reconciliation::of(rows.len() as u64, rows.len() as u64, (None, None), end).verdict;
        prop_assert!(proved != Verdict::Complete || rows == all(&server));
    }

    #[test]
    fn an_exclusive_seek_reads_every_row_once(server in servers(0_u64..100_000), size in 1_u64..25) {
        let mut server = server;
        server.rows.dedup_by_key(|row| row.0);
        let spec = SeekSpec {
            bound: Bound::Exclusive, start: Some(json!(0)), format: "{};gt".to_owned(), ..seek(size)
        };
        server.rows.retain(|row| row.0 > 0);
        let (rows, received, _) = drive(&mut Seek::new(spec), |edits, page| {
            let asked = edits[0].value.as_str().unwrap().strip_suffix(";gt").unwrap().parse::<u64>().unwrap();
            server.page(|row| row.0 > asked, 0, size, page, true)
        }).unwrap();
        prop_assert_eq!(received, u64::try_from(server.rows.len()).unwrap());
        prop_assert_eq!(rows, all(&server));
    }

    #[test]
    fn an_inclusive_seek_reads_every_row_or_says_that_it_cannot(
        server in servers(prop_oneof![0_u64..30, 0_u64..3]), size in 1_u64..25
    ) {
        let read = drive(&mut Seek::new(seek(size)), |edits, page| {
            let asked = number(edits, "query.from").unwrap_or(0);
            server.page(|row| row.0 >= asked, 0, size, page, false)
        });
        match read {
            // The last value's own rows may not have fitted on a page: then the end must not be one that proves completeness.
            Ok((rows, _, EndReason::NothingNew)) => {
                let last = server.rows.last().map(|row| row.0);
                let unseen = all(&server).difference(&rows).copied().collect::<Vec<_>>();
                prop_assert!(unseen.iter().all(|row| Some(row.0) == last), "lost before the end: {unseen:?}");
            }
            Ok((rows, ..)) => prop_assert_eq!(rows, all(&server)),
            Err(error) => {
                let shared = matches!(
                    error, PaginateError::SharedByMoreThanAPage { .. } | PaginateError::FullOfOneValue { .. }
                );
                prop_assert!(shared, "{error}");
                let page = usize::try_from(size.min(server.cap)).unwrap();
                let values: BTreeSet<_> = server.rows.iter().map(|row| row.0).collect();
                let most = values.iter().map(|value| server.rows.iter().filter(|row| row.0 == *value).count()).max();
                prop_assert!(most >= Some(page), "refused though no {page} rows share a value");
            }
        }
    }

    #[test]
    fn a_seek_downwards_reads_a_window_or_says_that_it_cannot(
        server in servers(prop_oneof![0_u64..30, 0_u64..6]), size in 1_u64..25, low in 0_u64..10, length in 0_u64..25
    ) {
        let high = low + length;
        let mut server = server;
        server.rows.reverse();
        let spec = SeekSpec {
            into: place("query.to"), order: Order::Desc, start: Some(json!(high)), limit: Some(json!(low)), ..seek(size)
        };
        let mut asked_before = high;
        let read = drive(&mut Seek::new(spec), |edits, page| {
            let asked = number(edits, "query.to").unwrap();
            assert!(asked <= asked_before && asked >= low, "out of the window, or against the order: {asked}");
            asked_before = asked;
            // Rows go on arriving at the newest end, which a walk that goes down doesn't see.
            let mut now = server.clone();
            now.rows.insert(0, (high + 1 + page, 1000 + page));
            now.page(|row| low <= row.0 && row.0 <= asked, 0, size, page, false)
        });
        let due: BTreeSet<_> = all(&server).into_iter().filter(|row| low <= row.0 && row.0 <= high).collect();
        let lowest = due.iter().next().map(|row| row.0);
        match read {
            Ok((rows, _, EndReason::NothingNew)) => {
                let unseen = due.difference(&rows).copied().collect::<Vec<_>>();
                prop_assert!(unseen.iter().all(|row| Some(row.0) == lowest), "lost above the end: {unseen:?}");
                // Only a server that sends fewer than asked for can hide rows of the lowest value.
                prop_assert!(unseen.is_empty() || server.cap < size, "lost: {unseen:?}");
            }
            Ok((rows, ..)) => prop_assert_eq!(rows, due),
            Err(PaginateError::SharedByMoreThanAPage { .. } | PaginateError::FullOfOneValue { .. }) => {
                let page = usize::try_from(size.min(server.cap)).unwrap();
                let most = due.iter().map(|row| due.iter().filter(|other| other.0 == row.0).count()).max();
                prop_assert!(most >= Some(page), "refused though no {page} rows share a value");
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

fn seek(size: u64) -> SeekSpec {
    SeekSpec {
        into: place("query.from"),
        size_into: None,
        size,
        order: Order::Asc,
        bound: Bound::Inclusive,
        unique: false,
        overlap: false,
        format: "{}".to_owned(),
        rules: rules(),
        start: None,
        limit: None,
    }
}

fn seen(rows: u64, page: u64) -> Seen {
    Seen { rows, new_rows: rows, page, ..Seen::default() }
}

fn offset(size: u64, rules: EndRules) -> Offset {
    Offset::new(place("query.start"), None, size, 0, Advance::Received, rules)
}

const fn done(end: EndReason) -> Result<Decision, PaginateError> {
    Ok(Decision::Done(end))
}

#[test]
fn a_short_page_ends_only_with_evidence() {
    let short = Seen { total: Some(7), ..seen(7, 1) };
    assert_eq!(offset(10, rules()).next(&short), done(EndReason::TotalReached));
    assert!(matches!(offset(10, rules()).next(&seen(7, 1)), Ok(Decision::Fetch(_))));
    assert!(matches!(offset(10, rules()).next(&Seen { total: Some(8), ..seen(7, 1) }), Ok(Decision::Fetch(_))));
    // ntopng's list of all alerts states the size of the page as its total: a full page isn't the end.
    assert!(matches!(offset(7, rules()).next(&short), Ok(Decision::Fetch(_))));
    let ends = EndRules { short_page_ends: true, ..rules() };
    assert_eq!(offset(10, ends.clone()).next(&seen(7, 1)), done(EndReason::ShortPage));
    assert!(matches!(offset(10, ends).next(&Seen { more: Some(true), ..seen(7, 1) }), Ok(Decision::Fetch(_))));
}

#[test]
fn a_stated_end_is_an_end_and_a_contradiction_an_error() {
    assert_eq!(offset(5, rules()).next(&Seen { more: Some(false), ..seen(5, 1) }), done(EndReason::MoreFalse));
    let contradiction = offset(5, rules()).next(&Seen { more: Some(true), ..seen(0, 3) });
    assert!(matches!(contradiction, Err(PaginateError::EmptyButMore { page: 3, .. })));
}

#[test]
fn what_a_server_states_ends_at_the_first_empty_page() {
    let by_total = (Seen { total: Some(5), ..seen(0, 2) }, EndReason::EmptyPage);
    for (stated, end) in [by_total, (Seen { more: Some(false), ..seen(0, 2) }, EndReason::MoreFalse)] {
        let mut paginator = offset(5, rules());
        assert!(paginator.next(&seen(5, 1)).is_ok());
        assert_eq!(paginator.next(&stated), done(end));
    }
    let mut paginator = offset(5, rules());
    assert!(paginator.next(&Seen { total: Some(9), ..seen(5, 1) }).is_ok());
    assert_eq!(
        paginator.next(&seen(0, 2)),
        done(EndReason::EmptyPage),
        "the total of the first page tells what is missing"
    );
}

#[test]
fn behind_an_empty_page_is_asked_for_as_far_as_a_page_reaches() {
    let mut paginator = offset(5, rules());
    let positions = [3, 3, 0].into_iter().zip(1..).map(|(rows, page)| match paginator.next(&seen(rows, page)) {
        Ok(Decision::Fetch(edits)) => edits[0].value.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(positions.collect::<Vec<_>>(), [json!(3), json!(6), json!(9)]);
}

#[test]
fn a_page_larger_than_the_step_would_bring_rows_twice() {
    let by = |advance| Offset::new(place("query.start"), None, 3, 0, advance, rules());
    assert!(by(Advance::Received).next(&seen(5, 1)).is_ok());
    let error = by(Advance::Size).next(&seen(5, 1)).unwrap_err();
    assert_eq!(error, PaginateError::MoreThanAsked { page: 1, rows: 5, size: 3 });
}

#[test]
fn the_second_page_with_nothing_new_is_an_error() {
    let mut paginator = offset(5, rules());
    let stale = |page| Seen { new_rows: 0, ..seen(5, page) };
    assert!(paginator.next(&seen(5, 1)).is_ok());
    assert!(paginator.next(&stale(2)).is_ok());
    let error = paginator.next(&stale(3)).unwrap_err().to_string();
    assert!(error.starts_with("pages 2 and 3 brought rows") && error.contains("'query.start'"), "{error}");
}

#[test]
fn max_pages_is_an_error_not_an_end() {
    let mut paginator = offset(5, EndRules { max_pages: Some(2), ..rules() });
    assert!(paginator.next(&seen(5, 1)).is_ok());
    assert_eq!(paginator.next(&seen(5, 2)), Err(PaginateError::MaxPages { pages: 2 }));
}

#[test]
fn one_page_is_one_page() {
    assert_eq!(OnePage::default().next(&seen(3, 1)), done(EndReason::OnePage));
    assert_eq!(OnePage::default().next(&Seen { total: Some(3), ..seen(3, 1) }), done(EndReason::OnePage));
    assert_eq!(OnePage::default().next(&Seen { more: Some(false), ..seen(3, 1) }), done(EndReason::MoreFalse));
    assert!(
        OnePage::default()
            .next(&Seen { total: Some(4), ..seen(3, 1) })
            .unwrap_err()
            .to_string()
            .contains("a total of 4 rows")
    );
    assert!(OnePage::default().next(&Seen { more: Some(true), ..seen(3, 1) }).is_err());
    let linked = |header: &str| Seen { given: from_header(&json!({"link": header}), "link", 1).unwrap(), ..seen(3, 1) };
    let next = linked(r#"<https://a/?x=1,2>; rel="prev", <https://a/?page=2>; title="a"; rel="last next""#);
    assert!(OnePage::default().next(&next).unwrap_err().to_string().contains("`Link`"));
    assert_eq!(OnePage::default().next(&linked(r#"<https://a/?rel=next>; rel="prev""#)), done(EndReason::OnePage));
    assert_eq!(OnePage::default().next(&Seen { more: Some(false), ..next }), done(EndReason::MoreFalse));
}

#[test]
fn a_seek_moves_forward_or_fails() {
    let at = |value: serde_json::Value, page| Seen { last_value: Some(value), ..seen(2, page) };
    let mut exclusive = Seek::new(SeekSpec { bound: Bound::Exclusive, start: Some(json!(0)), ..seek(2) });
    assert!(exclusive.next(&at(json!("9"), 1)).is_ok());
    assert!(exclusive.next(&at(json!("10"), 2)).is_ok(), "digits in strings are numbers");
    assert!(matches!(exclusive.next(&at(json!("10"), 3)), Err(PaginateError::SeekBackwards { .. })));
    let mut desc = Seek::new(SeekSpec { order: Order::Desc, limit: Some(json!("2026-01-01")), ..seek(2) });
    assert!(desc.next(&at(json!("2026-01-03"), 1)).is_ok());
    assert!(matches!(desc.next(&at(json!("2026-01-04"), 2)), Err(PaginateError::SeekBackwards { .. })));
    assert!(matches!(desc.next(&at(json!("2025-12-31"), 3)), Err(PaginateError::SeekOutOfWindow { .. })));
    assert!(matches!(Seek::new(seek(2)).next(&seen(2, 1)), Err(PaginateError::NoSeekValue { page: 1 })));
    assert!(matches!(Seek::new(seek(2)).next(&at(json!([1]), 1)), Err(PaginateError::SeekValue { .. })));
}

#[test]
fn a_total_may_be_digits_in_a_string() {
    assert_eq!(parse_total(&json!(12)), Ok(Some(12)));
    assert_eq!(parse_total(&json!("12")), Ok(Some(12)));
    assert_eq!(parse_total(&json!(12.0)), Ok(Some(12)));
    assert_eq!(parse_total(&json!(null)), Ok(None));
    for bad in [json!(-1), json!(1.5), json!("many"), json!(""), json!([1]), json!("-3")] {
        assert!(matches!(parse_total(&bad), Err(PaginateError::Total { .. })), "{bad}");
    }
}

#[test]
fn a_full_page_of_the_last_value_is_no_proof_of_completeness() {
    let at = |new_rows, page| Seen { new_rows, last_value: Some(json!(7)), ..seen(2, page) };
    // Two of three that were asked for: all that there are, though the server doesn't say so.
    let mut paginator = Seek::new(seek(3));
    assert!(matches!(paginator.next(&at(2, 1)), Ok(Decision::Fetch(edits)) if edits[0].value == json!(7)));
    assert!(matches!(paginator.next(&at(0, 2)), Ok(Decision::Fetch(edits)) if edits[0].value == json!(8)));
    let mut more = paginator.clone();
    assert_eq!(paginator.next(&seen(0, 3)), done(EndReason::NothingNew));
    assert!(matches!(more.next(&seen(1, 3)), Err(PaginateError::SharedByMoreThanAPage { rows: 2, .. })));
    // The same rows again, though more was asked for.
    let mut ignored = Seek::new(seek(3));
    assert!(ignored.next(&at(2, 1)).is_ok() && ignored.next(&at(0, 2)).is_ok());
    assert!(matches!(ignored.next(&at(0, 3)), Err(PaginateError::SeekBackwards { .. })));
    // Two of two: there may be a third.
    let mut full = Seek::new(seek(2));
    assert!(full.next(&at(2, 1)).is_ok() && full.next(&at(0, 2)).is_ok());
    assert!(matches!(full.next(&seen(0, 3)), Err(PaginateError::FullOfOneValue { rows: 2, .. })));
}

#[test]
fn nothing_is_asked_for_beyond_the_window() {
    let at =
        |rows, new_rows, page| Seen { new_rows, last_value: Some(json!("2026-01-01 00:00:00")), ..seen(rows, page) };
    let spec = SeekSpec {
        order: Order::Desc,
        start: Some(json!("2026-01-02 00:00:00")),
        limit: Some(json!("2026-01-01 00:00:00")),
        ..seek(3)
    };
    let mut paginator = Seek::new(spec.clone());
    assert_eq!(paginator.first()[0].value, json!("2026-01-02 00:00:00"), "the first request covers the window");
    assert!(matches!(paginator.next(&at(2, 2, 1)), Ok(Decision::Fetch(_))));
    assert_eq!(paginator.next(&at(2, 0, 2)), done(EndReason::NothingNew));
    let mut full = Seek::new(spec);
    assert!(matches!(full.next(&at(3, 3, 1)), Ok(Decision::Fetch(_))));
    assert!(matches!(full.next(&at(3, 0, 2)), Err(PaginateError::FullOfOneValue { .. })));
}
