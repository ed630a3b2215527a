//! Servers that hold a list that doesn't change, and say nothing that isn't so.

use http::StatusCode;
use serde_json::Value;

use super::server::{caps, lists, number, param, part};
use super::*;

/// The rows that a server shows which counts some more and hides them; never all of a page.
fn visible(page: &[Row]) -> Vec<Row> {
    let shown: Vec<Row> = page.iter().filter(|row| row.id % 3 != 2).copied().collect();
    if shown.is_empty() { page.iter().take(1).copied().collect() } else { shown }
}

/// The cursor of page `number`, as JSON, of the type `kind`. In a query it is a scalar.
fn token(kind: usize, number: usize) -> Value {
    let odd = ["é&=+%2F \"'", "{{ now }}", "a/b?c#d", "\u{1F980};,|", "null", " "];
    match kind {
        0 => json!(number),
        1 => json!(u64::MAX - number as u64),
        2 => json!(9_007_199_254_740_993_u64 + number as u64),
        3 => json!(i64::MIN + i64::try_from(number).unwrap()),
        4 => json!(format!("{}{number}", odd[number % odd.len()])),
        5 => json!(number.to_string()),
        6 => json!(f64::from(u32::try_from(number).unwrap()) + 0.25),
        // From here on only for a body.
        7 => json!({"after": [number, null, {"z": "", "a": true}], "b": number}),
        8 => json!([number, "x", []]),
        9 if number.is_multiple_of(2) => json!(number),
        _ => [json!([[true]]), json!({"last": false}), json!([[]]), json!("0")]
            .get(number / 2)
            .cloned()
            .unwrap_or(json!([number])),
    }
}

/// How a server says that there is no other page.
fn last(kind: usize) -> Option<Value> {
    [None, Some(json!(null)), Some(json!("")), Some(json!([])), Some(json!({}))][kind].clone()
}

/// A link to page `number`, in one of the ways in which it may be written.
fn link(kind: usize, number: usize) -> String {
    let query = format!("?p={number}&x=%2F%20+%c3%a9;a=b,c&&y=é'()*~&z=%25");
    match kind {
        0 => query,
        1 => format!("rows{query}"),
        2 => format!("/v1/rows{query}"),
        3 => format!("//a.example/v1/rows{query}"),
        4 => format!("https://A.example:443/v1/./rows{query}#top"),
        _ => format!("  https://a.example/v1/x/../rows{query}\n"),
    }
}

/// Cuts a list into pages of these sizes in turn, empty ones among them, until all rows are on one; where the sizes allow it.
fn cut<'r>(rows: &'r [Row], sizes: &[usize]) -> Vec<&'r [Row]> {
    let (mut pages, mut from) = (Vec::new(), 0);
    for size in sizes.iter().cycle().take(sizes.len() * 40) {
        pages.push(part(rows, from, *size));
        from += size;
        if from >= rows.len() {
            break;
        }
    }
    pages
}

proptest! {
    #[test]
    fn offset_is_exact(
        rows in lists(40, 1000), caps in caps(), size in 1_usize..12, first in 0_usize..2, more: bool, ends: bool, total in honest_totals()
    ) {
        let more_field = if more { ", more: .more" } else { "" };
        let short = if ends { ", short_page: end" } else { "" };
        let job = job("get: /rows", &format!(
            "{{offset: {{into: query.start, size_into: query.n, size: SIZE, first: {first}}}, total: .total{more_field}{short}}}"
        ), size);
        let mut page = 0;
        let outcome = read(&job, |request| {
            let start = number(request, "start", 0) - first;
            page += 1;
            let shown = part(&rows, start, caps.of(page, number(request, "n", 0)));
            let more = more.then_some(start + shown.len() < rows.len());
            Answer { total: total(rows.len() as u64), more, ..Answer::of(shown) }
        }).unwrap();
        outcome.check_evidence(None, false)?;
        outcome.check_complete(&rows)?;
        if outcome.end != EndReason::ShortPage {
            outcome.check_exact(&rows)?;
            // A list with no full page may have rows that aren't shown.
            let proven = if outcome.end == EndReason::NeverFull { Verdict::Unknown } else { Verdict::Complete };
            prop_assert_eq!(outcome.verdict, proven);
        }
    }

    #[test]
    fn pages_counted_by_size_are_complete_only_where_they_are_exact(
        rows in lists(40, 1000), cap in 1_usize..12, size in 1_usize..12, hides: bool, by_offset: bool, by_cap: bool, more: bool,
        total in honest_totals()
    ) {
        let more_field = if more { ", more: .more" } else { "" };
        let (kind, first) = if by_offset {
            ("offset: {into: query.at, size: SIZE, advance: size}", 0)
        } else {
            ("page: {into: query.at, size: SIZE}", 1)
        };
        let job = job("get: /rows", &format!("{{{kind}, total: .total{more_field}}}"), size);
        // It takes no more than its cap for a page; some count pages by it, most by what was asked for.
        let step = if by_cap && !by_offset { size.min(cap) } else { size };
        let show = |start| {
            let page = part(&rows, start, size.min(cap));
            if hides { visible(page) } else { page.to_vec() }
        };
        let truth: Vec<Row> = rows.chunks(step).flat_map(|chunk| if hides { visible(chunk) } else { chunk.to_vec() }).collect();
        let outcome = read(&job, |request| {
            let at = number(request, "at", 0) - first;
            let start = if by_offset { at } else { at * step };
            let shown = show(start);
            let more = more.then_some(start + size.min(cap) < rows.len());
            Answer { total: total(truth.len() as u64), more, ..Answer::of(&shown) }
        });
        // Nothing is refused, whatever it hides and skips.
        let outcome = outcome.unwrap();
        outcome.check_evidence(Some(size as u64), false)?;
        outcome.check_complete(&truth)?;
        if cap >= size && !hides {
            outcome.check_exact(&truth)?;
        }
    }

    #[test]
    fn an_empty_page_in_the_middle_ends_no_list(
        mut holes in prop::collection::vec(any::<bool>(), 0..8), tail in 0_usize..5, size in 1_usize..5, kind in 0_usize..3
    ) {
        // Two in a row are the end, and so is one before a rest that is no page.
        let mut before = false;
        holes.iter_mut().for_each(|hole| before = std::mem::replace(hole, *hole && !before));
        let tail = tail.min(size);
        let rows: Vec<Row> = (1..=(holes.len() * size + tail) as u64).map(|id| Row { id, value: id }).collect();
        let paginate = [
            "{offset: {into: query.at, size: SIZE}}",
            "{offset: {into: query.at, size: SIZE, advance: size}}",
            "{page: {into: query.at, size: SIZE, first: 0}}",
        ][kind];
        let is_hidden = |start: usize| holes.get(start / size).copied().unwrap_or_default();
        let outcome = read(&job("get: /rows", paginate, size), |request| {
            let at = number(request, "at", 0) * if kind == 2 { size } else { 1 };
            Answer::of(if is_hidden(at) { &[] } else { part(&rows, at, size) })
        });
        let visible: Vec<Row> = rows.chunks(size).enumerate().filter(|(page, _)| !is_hidden(page * size)).flat_map(|(_, rows)| rows.to_vec()).collect();
        let last = visible.last().map_or(0, |row| row.id);
        let in_the_middle = visible.len() < usize::try_from(last).unwrap();
        match outcome {
            Ok(outcome) => {
                outcome.check_evidence((kind > 0).then_some(size as u64), false)?;
                outcome.check_exact(&visible)?;
                outcome.check_complete(&visible)?;
                prop_assert!(!in_the_middle || (kind > 0 && outcome.verdict == Verdict::Unknown), "{outcome:?}");
            }
            Err(error) => prop_assert!(kind == 0 && in_the_middle, "{error}"),
        }
    }

    #[test]
    fn cursors_of_any_type_are_exact(
        rows in lists(30, 1000), sizes in prop::collection::vec(0_usize..4, 1..6), kind in 0_usize..10, last_kind in 0_usize..5, in_body: bool,
        more: bool, total in honest_totals()
    ) {
        let in_body = in_body || kind > 6;
        let more_field = if more { ", more: .more" } else { "" };
        let (request, into) = if in_body { ("post: /rows\n    body: {}", "body.cursor") } else { ("get: /rows", "query.cursor") };
        let job = job(request, &format!("{{cursor: {{into: {into}, value: .next}}, total: .total{more_field}}}"), 1);
        let pages = cut(&rows, &sizes);
        prop_assume!(pages.iter().map(|page| page.len()).sum::<usize>() == rows.len());
        let mut asked = 0;
        let outcome = read(&job, |request| {
            let got = if in_body {
                let body: Value = serde_json::from_str(&request.body().unwrap().1).unwrap();
                body.get("cursor").map(Value::to_string)
            } else {
                param(request, "cursor")
            };
            let sent = token(kind, asked);
            let due = (asked > 0).then(|| if in_body { sent.to_string() } else { sent.as_str().map_or(sent.to_string(), str::to_owned) });
            assert_eq!(got, due, "the cursor goes back as it came");
            asked += 1;
            let is_last = asked == pages.len();
            let next = if is_last { last(last_kind) } else { Some(token(kind, asked)) };
            Answer { total: total(rows.len() as u64), more: more.then_some(!is_last), next, ..Answer::of(pages[asked - 1]) }
        }).unwrap();
        outcome.check_evidence(None, false)?;
        outcome.check_exact(&rows)?;
        // Nothing is proved only where no page ever gave a cursor, or the last one without is as full as those with one.
        let unproved = [EndReason::NoCursor, EndReason::CursorGoneFull].contains(&outcome.end);
        prop_assert!(outcome.verdict == Verdict::Complete || unproved, "{:?}", outcome);
    }

    #[test]
    fn links_of_any_form_are_exact(
        rows in lists(30, 1000), sizes in prop::collection::vec(0_usize..4, 1..6), forms in prop::collection::vec(0_usize..6, 1..4),
        last_kind in 0_usize..3, in_header: bool, more: bool, total in honest_totals()
    ) {
        let more_field = if more { ", more: .more" } else { "" };
        let from = if in_header { "{header: Link}" } else { "{url: .next}" };
        let job = job("get: /rows", &format!("{{next_link: {from}, total: .total{more_field}}}"), 1);
        let pages = cut(&rows, &sizes);
        prop_assume!(pages.iter().map(|page| page.len()).sum::<usize>() == rows.len());
        let mut asked = 0;
        let outcome = read(&job, |request| {
            assert_eq!(request.url().host_str(), Some("a.example"));
            assert_eq!(request.url().path(), "/v1/rows");
            assert_eq!(number(request, "p", 0), asked, "the pages come in their order");
            if asked > 0 {
                let escaped = ["x", "y", "z"].map(|name| param(request, name).unwrap());
                assert_eq!(escaped, ["/  é;a=b,c", "é'()*~", "%"], "the link's own escapes are kept");
            }
            asked += 1;
            let is_last = asked == pages.len();
            let next = (!is_last).then(|| link(forms[asked % forms.len()], asked));
            let answer = Answer { total: total(rows.len() as u64), more: more.then_some(!is_last), ..Answer::of(pages[asked - 1]) };
            match (in_header, next) {
                (true, next) => {
                    let next = next.map(|link| format!(", <{}>; title=\"a, <b>\"; rel=\"last next\"", link.trim()));
                    let headers = json!({"link": format!("</v1/rows>; rel=first{}", next.unwrap_or_default())});
                    Answer { headers, ..answer }
                }
                (false, next) => Answer { next: next.map(Value::from).or_else(|| last(last_kind)), ..answer },
            }
        }).unwrap();
        outcome.check_evidence(None, false)?;
        outcome.check_exact(&rows)?;
        let unproved = [EndReason::NoLink, EndReason::LinkGoneFull].contains(&outcome.end);
        prop_assert!(outcome.verdict == Verdict::Complete || unproved, "{:?}", outcome);
    }

    #[test]
    fn seeks_are_complete_only_where_they_are_exact(
        rows in prop_oneof![lists(30, 1000), lists(30, 8)], caps in caps(), size in 1_usize..12, inclusive: bool, desc: bool, more: bool,
        total in honest_totals()
    ) {
        let mut rows = rows;
        if desc {
            rows.reverse();
        }
        let (bound, order) = (if inclusive { "inclusive" } else { "exclusive" }, if desc { "desc" } else { "asc" });
        let more_field = if more { ", more: .more" } else { "" };
        let job = job("get: /rows", &format!(
            "{{seek: {{into: query.from, value: '$last.v', order: {order}, bound: {bound}, size: SIZE}}, total: .total{more_field}}}"
        ), size);
        let mut page = 0;
        let outcome = read(&job, |request| {
            let asked = param(request, "from").map(|text| text.parse::<i64>().unwrap());
            let is_due = |row: &Row| asked.is_none_or(|asked| {
                let value = i64::try_from(row.value).unwrap();
                (inclusive && value == asked) || if desc { value < asked } else { value > asked }
            });
            let matching: Vec<Row> = rows.iter().filter(|row| is_due(row)).copied().collect();
            page += 1;
            // With an inclusive bound, a page that is cut to the very value can't be moved past: see the error.
            let shown = part(&matching, 0, caps.of(if inclusive { 0 } else { page }, size));
            Answer { total: total(rows.len() as u64), more: more.then_some(shown.len() < matching.len()), ..Answer::of(shown) }
        });
        let unique = rows.windows(2).all(|pair| pair[0].value != pair[1].value);
        let Ok(outcome) = outcome else {
            prop_assert!(!unique || (inclusive && caps.of(0, size) == 1), "{outcome:?}");
            return Ok(());
        };
        outcome.check_evidence(None, inclusive)?;
        outcome.check_complete(&rows)?;
        if unique {
            outcome.check_exact(&rows)?;
        }
    }

    #[test]
    fn seeks_by_the_key_are_complete_and_exact(rows in lists(30, 1000), caps in caps(), size in 1_usize..12, total in honest_totals()) {
        let job = job("get: /rows", "{seek: {into: query.from, value: $last.id, order: asc, bound: exclusive, size: SIZE}, total: .total}", size);
        let mut page = 0;
        let outcome = read(&job, |request| {
            page += 1;
            let from = number(request, "from", 0);
            Answer { total: total(rows.len() as u64), ..Answer::of(part(&rows, from, caps.of(page, size))) }
        }).unwrap();
        outcome.check_exact(&rows)?;
        prop_assert_eq!(outcome.verdict, Verdict::Complete);
    }

    #[test]
    fn one_page_is_exact_or_refused(rows in lists(12, 1000), cap in 1_usize..12, sign in 0_usize..5) {
        let job = job("get: /rows", "none", 1);
        let rest = rows.len() > cap;
        let outcome = read(&job, |_| {
            let mut answer = Answer::of(part(&rows, 0, cap));
            match sign {
                0 => answer.headers = json!({"link": if rest { "</v1/rows?p=2>; rel=\"next\"" } else { "</v1/rows>; rel=\"first\"" }}),
                1 => answer.status = if rest { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK },
                2 => answer.headers = json!({"content-range": format!("rows 0-{}/{}", cap.min(rows.len()).max(1) - 1, rows.len().max(1))}),
                _ => {}
            }
            answer
        });
        match outcome {
            Ok(outcome) => {
                outcome.check_evidence(None, false)?;
                outcome.check_complete(&rows)?;
                prop_assert!(!rest || sign > 2, "the rest is missed: {:?}", outcome);
            }
            Err(error) => prop_assert!(rest && sign < 3, "{error}"),
        }
    }
}
