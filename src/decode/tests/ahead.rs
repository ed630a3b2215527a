//! Pages that are decoded before their turn are what they would be in it.

use super::properties::any_json;
use super::*;

fn early(decoder: PageDecoder, body: &'static [u8]) -> Option<EarlyPage> {
    read(decoder, body).map(|(page, _)| page)
}

fn read(decoder: PageDecoder, body: impl Into<Bytes>) -> Option<(EarlyPage, PageDecoder)> {
    decoder.decode_early(&body.into(), &PageVars { status: 200, headers: json!({}) }, None, &[])
}

#[test]
fn a_page_stands_only_where_the_types_are_those_that_its_decoder_knew() {
    let mut decoder = decoder();
    page(&mut decoder, r#"[{"a": 1, "b": "x"}]"#);
    let (first, fork) = read(decoder.fork(), r#"[{"a": 2, "b": null}]"#).unwrap();
    let again = early(fork, br#"[{"a": 2, "b": null}]"#).unwrap();
    assert_eq!(decoder.adopt(first).unwrap().rows, 1);
    page(&mut decoder, r#"[{"a": 1, "c": true}]"#);
    assert!(decoder.adopt(again).is_none(), "a column has joined since");

    assert!(early(decoder.fork(), br#"[{"a": "one"}]"#).is_none(), "it shows a new type");
    assert!(early(decoder.fork(), b"[{").is_none(), "it can't be read");
}

#[test]
fn what_the_values_of_an_early_page_show_counts_once_it_stands() {
    for adopts in [true, false] {
        let mut decoder = decoder();
        page(&mut decoder, r#"[{"a": 1}]"#);
        let read = early(decoder.fork(), br#"[{"a": 9007199254740993}]"#).unwrap();
        if adopts {
            assert!(decoder.adopt(read).is_some());
        }
        page(&mut decoder, r#"[{"a": 1.5}]"#);
        assert_eq!(show(decoder.schema()), if adopts { "a: json" } else { "a: float64" });
    }
}

#[test]
fn a_column_by_hand_is_met_on_an_early_page_too() {
    let by_hand = HandColumn { name: "a".to_owned(), kind: HandType::parse("string").unwrap() };
    let mut decoder = PageDecoder::new(DecodeOptions { by_hand: vec![by_hand], ..options(&[".[]"]) });
    page(&mut decoder, r#"[{"a": null}]"#);
    let read = early(decoder.fork(), br#"[{"a": "x"}]"#).unwrap();
    assert!(decoder.met.is_empty());
    assert!(decoder.adopt(read).is_some());
    assert!(decoder.met.contains("a"), "else a run says that no row has it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_read_early_the_pages_are_those_read_in_their_turn(
        records in proptest::collection::vec(proptest::collection::btree_map("[a-c]", any_json(), 0..3), 1..4),
        pages in proptest::collection::vec((proptest::collection::vec(0_usize..4, 0..4), 0_usize..3), 1..12),
    ) {
        let by_hand = HandColumn { name: "c".to_owned(), kind: HandType::parse("string").unwrap() };
        let options = DecodeOptions { by_hand: vec![by_hand], ..options(&[".[]"]) };
        let (mut plain, mut decoder) = (PageDecoder::new(options.clone()), PageDecoder::new(options));
        let mut forks: Vec<Option<PageDecoder>> = Vec::new();
        for (which, lag) in pages {
            let body = which.iter().map(|at| json!(records[at % records.len()])).collect::<Value>().to_string();
            let at = forks.len().checked_sub(1 + lag);
            let read = at.and_then(|at| forks[at].take()).and_then(|fork| read(fork, body.clone()));
            let early = read.map(|(early, fork)| {
                forks.push(Some(fork));
                early
            });
            let expected = page(&mut plain, body.clone());
            let found = early.and_then(|early| decoder.adopt(early)).unwrap_or_else(|| page(&mut decoder, body));
            prop_assert_eq!(found.held(), expected.held());
            prop_assert_eq!(&found.rejected, &expected.rejected);
            prop_assert_eq!(&found.envelope, &expected.envelope);
            prop_assert_eq!(decoder.schema(), plain.schema());
            prop_assert_eq!(decoder.notes(), plain.notes());
            prop_assert_eq!(&decoder.root, &plain.root);
            prop_assert_eq!(&decoder.met, &plain.met);
            forks.push(Some(decoder.fork()));
        }
    }
}
