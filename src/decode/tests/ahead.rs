//! Pages that are decoded before their turn are what they would be in it.

use super::properties::any_json;
use super::*;

fn early(decoder: &mut PageDecoder, body: &Bytes) -> Option<EarlyPage> {
    decoder.decode_early(body, &PageVars { status: 200, headers: json!({}) }, None, &[])
}

#[test]
fn a_page_stands_only_where_the_types_are_those_that_its_decoder_knew() {
    let mut decoder = decoder();
    page(&mut decoder, r#"[{"a": 1, "b": "x"}]"#);
    let (mut fork, same) = (decoder.fork(), Bytes::from_static(br#"[{"a": 2, "b": null}]"#));
    let (read, again) = (early(&mut fork, &same).unwrap(), early(&mut fork, &same).unwrap());
    assert_eq!(decoder.adopt(read).unwrap().rows, 1);
    page(&mut decoder, r#"[{"a": 1, "c": true}]"#);
    assert!(decoder.adopt(again).is_none(), "a column has joined since");

    let mut fork = decoder.fork();
    assert!(early(&mut fork, &Bytes::from_static(br#"[{"a": "one"}]"#)).is_none(), "it shows a new type");
    assert!(early(&mut decoder.fork(), &Bytes::from_static(b"[{")).is_none(), "it can't be read");
}

#[test]
fn what_the_values_of_an_early_page_show_counts_once_it_stands() {
    for adopts in [true, false] {
        let mut decoder = decoder();
        page(&mut decoder, r#"[{"a": 1}]"#);
        let read = early(&mut decoder.fork(), &Bytes::from_static(br#"[{"a": 9007199254740993}]"#)).unwrap();
        if adopts {
            assert!(decoder.adopt(read).is_some());
        }
        page(&mut decoder, r#"[{"a": 1.5}]"#);
        assert_eq!(show(decoder.schema()), if adopts { "a: json" } else { "a: float64" });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_read_early_the_pages_are_those_read_in_their_turn(
        records in proptest::collection::vec(proptest::collection::btree_map("[a-c]", any_json(), 0..3), 1..4),
        pages in proptest::collection::vec((proptest::collection::vec(0_usize..4, 0..4), 0_usize..3), 1..12),
    ) {
        let (mut plain, mut decoder) = (decoder(), decoder());
        let mut forks: Vec<PageDecoder> = Vec::new();
        for (which, lag) in pages {
            let body = which.iter().map(|at| json!(records[at % records.len()])).collect::<Value>().to_string();
            let fork = forks.len().checked_sub(1 + lag).map(|at| &mut forks[at]);
            let read = fork.and_then(|fork| early(fork, &Bytes::from(body.clone())));
            let expected = page(&mut plain, body.clone());
            let found = read.and_then(|read| decoder.adopt(read)).unwrap_or_else(|| page(&mut decoder, body));
            prop_assert_eq!(&found.batch, &expected.batch);
            prop_assert_eq!(&found.rejected, &expected.rejected);
            prop_assert_eq!(&found.envelope, &expected.envelope);
            prop_assert_eq!(decoder.schema(), plain.schema());
            prop_assert_eq!(decoder.notes(), plain.notes());
            prop_assert_eq!(&decoder.root, &plain.root);
            forks.push(decoder.fork());
        }
    }
}
