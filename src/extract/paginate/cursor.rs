//! `cursor`: the server gives a value with each page, and gets it back, as it is, for the next one.

use serde_json::Value;

use super::foresee::{foresee, unknown};
use super::given::{Ends, Trail, Way, within};
use super::{Decision, Edit, EndRules, PaginateError, Paginator, Seen};
use crate::lang::place::Place;
use crate::model::EndReason;

/// Beyond this a number with a fraction or an exponent has lost digits on its way through a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

const ENDS: Ends =
    Ends { what: "cursor", empty: EndReason::CursorEmpty, gone: EndReason::CursorGone, none: EndReason::NoCursor };

/// Moves by what the server gave.
#[derive(Debug, Clone)]
pub struct Cursor {
    places: Vec<Place>,
    several: bool,
    rules: EndRules,
    trail: Trail,
}

impl Cursor {
    /// Writes the one cursor to `into`; without it the cursor goes into the request by a template.
    #[must_use]
    pub fn new(into: Option<Place>, rules: EndRules) -> Self {
        Self { places: into.into_iter().collect(), several: false, rules, trail: Trail::default() }
    }

    /// Writes several cursors; what a page gives is then an object of them by the text of their place
    /// (see [`super::Given::gather`]).
    #[must_use]
    pub fn several(places: Vec<Place>, rules: EndRules) -> Self {
        Self { places, several: true, rules, trail: Trail::default() }
    }

    fn edits(&self, cursor: &Value) -> Vec<Edit> {
        let value = |place: &Place| {
            if self.several { cursor.get(place.as_str()).cloned().unwrap_or_default() } else { cursor.clone() }
        };
        self.places.iter().map(|place| Edit { place: place.clone(), value: value(place) }).collect()
    }
}

impl Paginator for Cursor {
    fn first(&self) -> Vec<Edit> {
        Vec::new()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        let place = self.places.first().map_or("cursor", Place::as_str);
        let cursor = match self.trail.take(seen, ENDS, place, &self.rules)? {
            Way::End(end) => return Ok(Decision::Done(end)),
            Way::On(cursor) => cursor,
        };
        if cursor.is_boolean() {
            return Err(PaginateError::BooleanCursor { page: seen.page, cursor });
        }
        if has_lost_digits(&cursor) {
            return Err(PaginateError::InexactCursor { page: seen.page, cursor: cursor.to_string() });
        }
        within(&self.rules, seen)?;
        Ok(Decision::Fetch(self.edits(&cursor)))
    }

    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision> {
        foresee(self, seen, count, unknown)
    }
}

/// Tells whether a number in the cursor can't go back as it came.
fn has_lost_digits(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= EXACT),
        Value::Array(items) => items.iter().any(has_lost_digits),
        Value::Object(fields) => fields.values().any(has_lost_digits),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::Given;
    use super::*;

    fn place(text: &str) -> Place {
        Place::compile(text, &[]).unwrap()
    }

    fn cursor() -> Cursor {
        Cursor::new(Some(place("body.offset")), EndRules::default())
    }

    fn seen(page: u64, rows: u64, given: Given) -> Seen {
        Seen { rows, new_rows: rows, page, given, ..Seen::default() }
    }

    fn next(value: Value) -> Given {
        Given::of(value, true)
    }

    #[test]
    fn a_cursor_goes_back_as_it_came_whatever_its_type() {
        for value in [json!("a b"), json!(7), json!(u64::MAX), json!(-1.5), json!(0)] {
            let mut cursor = cursor();
            assert!(cursor.first().is_empty());
            let Ok(Decision::Fetch(edits)) = cursor.next(&seen(1, 1, next(value.clone()))) else { panic!("{value}") };
            assert_eq!(edits, [Edit { place: place("body.offset"), value }]);
        }
        let nested = json!({"b": [1, {"z": null}], "a": ""});
        let Ok(Decision::Fetch(edits)) = cursor().next(&seen(1, 1, next(nested.clone()))) else { panic!() };
        assert_eq!(edits[0].value.to_string(), nested.to_string(), "the order of keys too");
        let error = cursor().next(&seen(1, 1, next(json!([1e30])))).unwrap_err().to_string();
        assert!(error.contains("[1e30]") || error.contains("[1e+30]"), "{error}");
    }

    #[test]
    fn true_and_false_are_no_cursors() {
        for value in [json!(true), json!(false)] {
            let error = cursor().next(&seen(1, 1, next(value))).unwrap_err().to_string();
            assert!(error.contains("`// null`"), "{error}");
        }
    }

    #[test]
    fn an_empty_cursor_is_stated_and_an_absent_one_only_where_there_was_one() {
        for value in [json!(null), json!(""), json!([]), json!({})] {
            assert_eq!(cursor().next(&seen(1, 5, next(value))), Ok(Decision::Done(EndReason::CursorEmpty)));
        }
        assert_eq!(cursor().next(&seen(1, 5, Given::of(json!(null), false))), Ok(Decision::Done(EndReason::NoCursor)));
        assert_eq!(cursor().next(&seen(1, 0, Given::Absent)), Ok(Decision::Done(EndReason::EmptyPage)));
        let mut later = cursor();
        assert!(matches!(later.next(&seen(1, 5, next(json!("a")))), Ok(Decision::Fetch(_))));
        assert_eq!(later.next(&seen(2, 5, Given::Absent)), Ok(Decision::Done(EndReason::CursorGone)));
    }

    #[test]
    fn what_is_stated_of_more_outweighs_the_cursor() {
        let with = |more, given| Seen { more: Some(more), ..seen(1, 5, given) };
        assert_eq!(cursor().next(&with(false, next(json!("a")))), Ok(Decision::Done(EndReason::MoreFalse)));
        assert!(matches!(cursor().next(&with(true, next(json!("a")))), Ok(Decision::Fetch(_))));
        for given in [Given::Absent, Given::Empty] {
            let error = cursor().next(&with(true, given)).unwrap_err();
            assert_eq!(error, PaginateError::MoreButNoWay { page: 1, what: "cursor" });
        }
    }

    #[test]
    fn empty_pages_go_on_and_stale_ones_do_not() {
        let mut paginator = cursor();
        for page in 1..20 {
            assert!(matches!(paginator.next(&seen(page, 0, next(json!(page)))), Ok(Decision::Fetch(_))), "{page}");
        }
        let stale = |page| Seen { new_rows: 0, ..seen(page, 5, next(json!(page))) };
        assert!(paginator.next(&stale(20)).is_ok());
        assert!(matches!(paginator.next(&stale(21)), Err(PaginateError::NoProgress { page: 21, .. })));
        let rules = EndRules { max_pages: Some(2), ..EndRules::default() };
        let mut capped = Cursor::new(None, rules);
        assert!(capped.next(&seen(1, 1, next(json!(1)))).is_ok());
        assert_eq!(capped.next(&seen(2, 1, next(json!(2)))), Err(PaginateError::MaxPages { pages: 2 }));
        assert_eq!(capped.next(&seen(2, 1, Given::Absent)), Ok(Decision::Done(EndReason::CursorGone)));
    }

    #[test]
    fn a_thousand_empty_pages_are_enough_unless_more_were_asked_for() {
        let page_of = |page: u64, rows| seen(page, rows, next(json!(page)));
        let mut paginator = cursor();
        for page in 1..3000 {
            assert!(paginator.next(&page_of(page, u64::from(page % 1000 == 0))).is_ok(), "{page}");
        }
        let error = (3001..).find_map(|page| paginator.next(&page_of(page, 0)).err());
        assert_eq!(error, Some(PaginateError::OnlyEmptyPages { pages: 1000, what: "cursor" }));
        let mut patient = Cursor::new(None, EndRules { max_pages: Some(5000), ..EndRules::default() });
        assert!((1..5000).all(|page| patient.next(&page_of(page, 0)).is_ok()));
    }

    #[test]
    fn several_cursors_go_on_while_one_is_left() {
        let places = vec![place("query.key"), place("query.version")];
        let gather = |key: Given, version: Given| Given::gather([("query.key", key), ("query.version", version)]);
        let mut paginator = Cursor::several(places, EndRules::default());
        let Ok(Decision::Fetch(edits)) = paginator.next(&seen(1, 1, gather(next(json!("k")), Given::Absent))) else {
            panic!()
        };
        assert_eq!(edits.iter().map(|edit| edit.value.clone()).collect::<Vec<_>>(), [json!("k"), json!(null)]);
        let end = paginator.clone().next(&seen(2, 1, gather(Given::Empty, Given::Absent)));
        assert_eq!(end, Ok(Decision::Done(EndReason::CursorEmpty)));
        let end = paginator.next(&seen(2, 1, gather(Given::Absent, Given::Absent)));
        assert_eq!(end, Ok(Decision::Done(EndReason::CursorGone)));
    }

    proptest! {
        #[test]
        fn every_page_of_a_chain_is_asked_for_once(pages in prop::collection::vec(0_u64..5, 1..40), kind in 0_usize..4) {
            // The server's cursor for page n, in several types; the last page gives none in one of several ways.
            let name = |page: usize| match page % 3 {
                0 => json!(page),
                1 => json!(page.to_string()),
                _ => json!({"page": page}),
            };
            let last = [Given::Absent, next(json!("")), next(json!(null)), next(json!({}))];
            let (mut paginator, mut asked, mut received) = (cursor(), Vec::new(), 0);
            let mut edits = paginator.first();
            loop {
                let page = edits.first().map_or(0, |edit| (0..pages.len()).find(|page| name(*page) == edit.value).unwrap());
                asked.push(page);
                received += pages[page];
                let given = if page + 1 < pages.len() { next(name(page + 1)) } else { last[kind].clone() };
                match paginator.next(&seen(page as u64 + 1, pages[page], given)).unwrap() {
                    Decision::Fetch(next) => edits = next,
                    Decision::Follow(_) => panic!("a cursor is no link"),
                    Decision::Done(_) => break,
                }
            }
            prop_assert_eq!(asked, (0..pages.len()).collect::<Vec<_>>());
            prop_assert_eq!(received, pages.iter().sum::<u64>());
        }
    }
}
