//! Servers that say what isn't so: nothing is complete against the answers' own evidence, and reading ends.

use super::server::{caps, lists, number, param, part};
use super::*;

/// What a server states on page `number` of a list of `rows`.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Less(u64),
    More(u64),
    Flips(u64),
    Grows,
    /// Only the pages in the middle differ.
    Dips,
    /// How many rows the page has.
    Page,
    Random(u64),
}

impl Lie {
    fn total(self, number: usize, rows: u64, shown: u64) -> u64 {
        let number = number as u64;
        match self {
            Self::Less(by) => rows.saturating_sub(by),
            Self::More(by) => rows + by,
            Self::Flips(by) => rows + (number % 2) * by,
            Self::Grows => rows + number,
            Self::Dips => rows - u64::from(number == 2 && rows > 0),
            Self::Page => shown,
            Self::Random(seed) => (seed.wrapping_mul(number + 7) >> 3) % (rows + 3),
        }
    }
}

fn lies() -> impl Strategy<Value = Lie> {
    prop_oneof![
        (1_u64..4).prop_map(Lie::Less),
        (1_u64..4).prop_map(Lie::More),
        (1_u64..4).prop_map(Lie::Flips),
        Just(Lie::Grows),
        Just(Lie::Dips),
        Just(Lie::Page),
        any::<u64>().prop_map(Lie::Random),
    ]
}

/// What a server does beside: which rows it sends for those that are due.
#[derive(Debug, Clone, Copy)]
enum Slip {
    None,
    /// Every page begins with the last row of the one before.
    Repeats,
    /// The first page comes for every other one.
    Ignores(usize),
    /// Nothing comes from here on.
    Stops(usize),
    /// This page comes empty.
    Blank(usize),
}

fn slips() -> impl Strategy<Value = Slip> {
    prop_oneof![
        4 => Just(Slip::None),
        1 => Just(Slip::Repeats),
        1 => (2_usize..4).prop_map(Slip::Ignores),
        1 => (0_usize..20).prop_map(Slip::Stops),
        2 => (1_usize..8).prop_map(Slip::Blank),
    ]
}

impl Slip {
    fn page(self, rows: &[Row], start: usize, count: usize, number: usize) -> Vec<Row> {
        match self {
            Self::Blank(page) if page == number => Vec::new(),
            Self::None | Self::Blank(_) => part(rows, start, count).to_vec(),
            Self::Repeats => {
                let before = start.checked_sub(1).and_then(|at| rows.get(at)).copied();
                before.into_iter().chain(part(rows, start, count).iter().copied()).take(count).collect()
            }
            Self::Ignores(every) => part(rows, if number.is_multiple_of(every) { 0 } else { start }, count).to_vec(),
            Self::Stops(at) => part(&rows[..at.min(rows.len())], start, count).to_vec(),
        }
    }
}

/// The ways to page by a place that counts rows or pages.
const KINDS: [&str; 5] = [
    "{offset: {into: query.at, size: SIZE}, total: .total}",
    "{offset: {into: query.at, size: SIZE, advance: size}, total: .total}",
    "{page: {into: query.at, size: SIZE, first: 0}, total: .total}",
    "{cursor: {into: query.at, value: .next}, total: .total}",
    "{next_link: {url: .next}, total: .total}",
];

proptest! {
    #[test]
    fn nothing_is_complete_against_its_own_evidence(
        rows in lists(30, 1000), caps in caps(), size in 1_usize..8, kind in 0..KINDS.len(), lie in lies(), slip in slips(), totals: bool,
        more: bool
    ) {
        let more_field = if more { ", more: .more}" } else { "}" };
        let job = job("get: /rows", &format!("{}{more_field}", KINDS[kind].strip_suffix('}').unwrap()), size);
        let mut page = 0;
        let outcome = read(&job, |request| {
            page += 1;
            let at = number(request, "at", 0);
            let start = if kind == 2 { at * size } else { at };
            let shown = slip.page(&rows, start, caps.of(page, size), page);
            let end = start + shown.len();
            let total = if totals { Total::Number(lie.total(page, rows.len() as u64, shown.len() as u64)) } else { Total::Null };
            let next = (end < rows.len() && !shown.is_empty()).then(|| match kind {
                4 => json!(format!("?at={end}")),
                _ => json!(end),
            });
            Answer { total, more: more.then_some(end < rows.len()), next, ..Answer::of(&shown) }
        });
        let counted = matches!(kind, 1 | 2).then_some(size as u64);
        match outcome {
            Ok(outcome) => outcome.check_evidence(counted, false)?,
            Err(error) => prop_assert!(matches!(error, RunError::Paginate { .. } | RunError::Guard(_)), "{error}"),
        }
    }

    #[test]
    fn no_seek_is_complete_against_its_own_evidence(
        rows in lists(30, 12), caps in caps(), size in 1_usize..8, inclusive: bool, lie in lies(), slip in slips(), more: bool
    ) {
        let bound = if inclusive { "inclusive" } else { "exclusive" };
        let more_field = if more { ", more: .more" } else { "" };
        let job = job("get: /rows", &format!(
            "{{seek: {{into: query.from, value: '$last.v', order: asc, bound: {bound}, size: SIZE}}, total: .total{more_field}}}"
        ), size);
        let mut page = 0;
        let outcome = read(&job, |request| {
            page += 1;
            let from = param(request, "from").map(|text| text.parse::<u64>().unwrap());
            let is_due = |row: &Row| from.is_none_or(|from| row.value > from || (inclusive && row.value == from));
            let start = rows.iter().position(is_due).unwrap_or(rows.len());
            let shown = slip.page(&rows, start, caps.of(page, size), page);
            let total = Total::Number(lie.total(page, rows.len() as u64, shown.len() as u64));
            Answer { total, more: more.then_some(start + shown.len() < rows.len()), ..Answer::of(&shown) }
        });
        match outcome {
            Ok(outcome) => outcome.check_evidence(None, inclusive)?,
            Err(error) => prop_assert!(matches!(error, RunError::Paginate { .. } | RunError::Guard(_)), "{error}"),
        }
    }

    #[test]
    fn cursors_that_come_back_are_refused(before in 0_usize..6, circle in 1_usize..8, in_link: bool) {
        let job = job("get: /rows", if in_link { KINDS[4] } else { KINDS[3] }, 1);
        let mut page = 0;
        let error = read(&job, |_| {
            page += 1;
            let at = if page > before { before + (page - before) % circle } else { page };
            let next = if in_link { json!(format!("?at={at}")) } else { json!(at) };
            Answer { next: Some(next), ..Answer::of(&[Row { id: page as u64, value: 0 }]) }
        }).unwrap_err();
        prop_assert!(matches!(error, RunError::Guard(_)), "{error}");
        prop_assert!(page <= before + circle + 2, "noticed at once, after {page} pages");
    }
}

/// A total that differs on a page in the middle only shows that the list moved.
#[test]
fn a_total_that_differs_in_the_middle_is_no_proof() {
    let rows: Vec<Row> = (1..7).map(|id| Row { id, value: id }).collect();
    let job = job("get: /rows", "{offset: {into: query.at, size: SIZE}, total: .total}", 2);
    let outcome = read(&job, |request| {
        let at = number(request, "at", 0);
        Answer { total: Total::Number(if at == 2 { 7 } else { 6 }), ..Answer::of(part(&rows, at, 2)) }
    });
    assert_eq!(outcome.unwrap().verdict, Verdict::Moving);
}

/// Rows that came twice show that the list moved, though as many came as there are.
#[test]
fn rows_that_came_twice_are_no_proof_whatever_the_total() {
    let job = job("get: /rows", "{cursor: {into: query.at, value: .next}, total: .total}", 1);
    let pages = [[1, 2], [3, 4], [5, 1]];
    let outcome = read(&job, |request| {
        let at = number(request, "at", 0);
        let rows = pages[at].map(|id| Row { id, value: 0 });
        let next = if at < 2 { json!(at + 1) } else { json!(null) };
        Answer { total: Total::Number(5), next: Some(next), ..Answer::of(&rows) }
    });
    assert_eq!(outcome.unwrap().verdict, Verdict::Unknown);
}

/// A server that has more and gives fewer rows at a time than asked for skips the rest, whatever it says of its end.
#[test]
fn a_stated_end_is_no_proof_after_a_short_page_in_the_middle() {
    let rows: Vec<Row> = (1..8).map(|id| Row { id, value: id }).collect();
    let job = job("get: /rows", "{page: {into: query.at, size: SIZE, first: 0}, more: .more}", 5);
    let outcome = read(&job, |request| {
        let shown = part(&rows, number(request, "at", 0) * 5, 3);
        Answer { more: Some(shown.last().is_some_and(|row| row.id < 7)), ..Answer::of(shown) }
    });
    let outcome = outcome.unwrap();
    assert_eq!((outcome.rows, outcome.verdict), (vec![1, 2, 3, 6, 7], Verdict::Unknown));
}

/// Four rows, of which three fit on a page: the next page begins behind the fourth.
#[test]
fn a_list_of_one_short_page_is_no_proof() {
    let rows: Vec<Row> = (1..5).map(|id| Row { id, value: id }).collect();
    let job = job("get: /rows", "{page: {into: query.at, size: SIZE, first: 0}}", 5);
    let outcome = read(&job, |request| Answer::of(part(&rows, number(request, "at", 0) * 5, 3))).unwrap();
    assert_eq!((outcome.rows, outcome.verdict), (vec![1, 2, 3], Verdict::Unknown));
}

/// A server that forgets the way on from a page in the middle: nothing tells it from a list that ends there.
#[test]
fn a_full_page_without_a_way_on_is_no_proof() {
    let rows: Vec<Row> = (1..8).map(|id| Row { id, value: id }).collect();
    let read_by = |kind: usize, size: usize, forgets: usize| {
        let job = job("get: /rows", KINDS[kind], 1);
        let outcome = read(&job, |request| {
            let at = number(request, "at", 0);
            let next = (at + size < rows.len() && at != forgets).then(|| at + size);
            let next = next.map(|next| if kind == 4 { json!(format!("?at={next}")) } else { json!(next) });
            Answer { next, ..Answer::of(part(&rows, at, size)) }
        });
        let outcome = outcome.unwrap();
        (outcome.rows.len(), outcome.end, outcome.verdict)
    };
    assert_eq!(read_by(3, 2, 2), (4, EndReason::CursorGoneFull, Verdict::Unknown));
    assert_eq!(read_by(4, 2, 2), (4, EndReason::LinkGoneFull, Verdict::Unknown));
    assert_eq!(read_by(3, 2, 9), (7, EndReason::CursorGone, Verdict::Complete));
    assert_eq!(read_by(4, 3, 9), (7, EndReason::LinkGone, Verdict::Complete));
}
