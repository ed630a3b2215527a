//! The answers of a real server, and laws that hold for any records.

use std::path::Path;

use super::*;

pub(super) fn fixture(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ntopng").join(format!("{name}.http"));
    let exchange = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let exchange = exchange.replace("\r\n", "\n");
    Bytes::from(exchange.split_once("\n\n").unwrap().1.to_owned())
}

#[test]
fn answers_of_a_real_ntopng_decode() {
    for (name, records, rows) in [
        ("flow-alert-list-sorted", ".rsp.records[]", 10),
        ("flow-alert-list", ".rsp.records[]", 20),
        ("flow-alert-list-beyond-end", ".rsp.records[]", 0),
        ("host-active", ".rsp.data[]", 10),
        ("host-active-page2", ".rsp.data[]", 10),
        ("host-active-beyond-end", ".rsp.data[]", 0),
        ("flow-active", ".rsp.data[]", 10),
        ("flow-active-beyond-end", ".rsp.data[]", 0),
        ("host-alert-list", ".rsp.records[]", 10),
        ("host-alert-list-engaged", ".rsp.records[]", 2),
        ("ntopng-interfaces", ".rsp[]", 3),
    ] {
        let mut decoder = PageDecoder::new(options(&[records]));
        let body = fixture(name);
        let page = page(&mut decoder, body.clone());
        let value: Value = serde_json::from_slice(&body).unwrap();
        let path = Selector::parse(&[records.to_owned()]).unwrap();
        let Selector::Plain { paths } = path else { panic!("{records}") };
        let counted = paths[0].keys.iter().fold(&value, |value, key| &value[key]).as_array().unwrap().len();
        assert_eq!((page.rows, page.rejected.len()), (counted as u64, 0), "{name}: {:?}", page.rejected);
        assert!(rows == 0 || page.rows > 0, "{name}");
        assert!(decoder.notes().is_empty() || name.contains("alert"), "{name}: {:?}", decoder.notes());
    }
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn shape() -> Vec<(&'static str, ColumnType)> {
    let field = |name: &str, kind| Column { name: name.to_owned(), kind };
    let inner = vec![field("text", ColumnType::String), field("truth", ColumnType::Bool)];
    vec![
        ("float", ColumnType::Float64),
        ("inner", ColumnType::Struct(inner)),
        ("int", ColumnType::Int64),
        ("list", ColumnType::List(Box::new(ColumnType::Int64))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_is_accounted_for(pages in proptest::collection::vec(proptest::collection::vec(any_json(), 0..8), 1..4), contract in 0..4) {
        let mut decoder = match contract {
            0 => decoder(),
            1 => pinned(&shape(), Contract::Evolve),
            2 => pinned(&shape(), Contract::Freeze),
            _ => pinned(&shape(), Contract::Discard),
        };
        let mut decoded = Vec::new();
        for records in pages {
            let rows = records.len() as u64;
            let objects = records.iter().filter(|record| record.is_object()).count();
            let page = page(&mut decoder, Value::from(records).to_string());
            prop_assert_eq!(page.rows, rows);
            if contract == 0 {
                prop_assert_eq!(page.batch().num_rows(), objects, "{:?}", page.rejected);
            }
            decoded.push(page);
        }
        for page in decoded {
            let widener = decoder.widener(decoder.schema().clone());
            let conformed = widener.widen(&page.held(), &page.schema).unwrap();
            prop_assert_eq!(conformed.num_rows(), page.batch().num_rows());
        }
    }

    #[test]
    fn a_page_in_pieces_is_the_page(pages in proptest::collection::vec(proptest::collection::vec(any_json(), 0..8), 1..4), piece in 0_usize..200, contract in 0..4) {
        let made = |piece| {
            let PageDecoder { options, .. } = match contract {
                0 => decoder(),
                1 => pinned(&shape(), Contract::Evolve),
                2 => pinned(&shape(), Contract::Freeze),
                _ => pinned(&shape(), Contract::Discard),
            };
            PageDecoder::new(DecodeOptions { piece, constants: vec![("key".to_owned(), json!(7))], ..options })
        };
        let (mut whole, mut cut) = (made(usize::MAX), made(piece));
        for records in pages {
            let body = Value::from(records).to_string();
            let (expected, found) = (page(&mut whole, body.clone()), page(&mut cut, body));
            prop_assert_eq!(expected.pieces.len(), 1);
            let (rows, pieces) = (found.batch().num_rows(), found.pieces.len());
            prop_assert!(piece > 0 || pieces as u64 == found.rows.max(1), "{} pieces of {} rows", pieces, rows);
            prop_assert_eq!(found.held(), expected.held());
            prop_assert_eq!(&found.rejected, &expected.rejected);
            prop_assert_eq!(&found.envelope, &expected.envelope);
            prop_assert_eq!(&cut.root, &whole.root);
        }
    }

    #[test]
    fn the_order_of_pages_and_keys_decides_nothing(pages in proptest::collection::vec(proptest::collection::vec(any_json(), 0..6), 2..5)) {
        let schema = |pages: &mut dyn Iterator<Item = Value>| {
            let mut decoder = decoder();
            for body in pages {
                page(&mut decoder, body.to_string());
            }
            show(decoder.schema())
        };
        let forward = schema(&mut pages.iter().cloned().map(Value::from));
        let backward = schema(&mut pages.iter().rev().map(|page| page.iter().rev().map(flipped).collect()));
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..64), cut in 0_usize..200) {
        let mut decoder = decoder();
        let _ = try_page(&mut decoder, body);
        let whole = r#"[{"a": 1, "b": {"c": ["x", 2.5, null]}}, {"a": "z", "d": true}, 7]"#;
        let _ = try_page(&mut decoder, whole.as_bytes()[..cut.min(whole.len())].to_vec());
        prop_assert_eq!(page(&mut decoder, whole).rows, 3);
    }
}

/// Turns the order of keys around.
fn flipped(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), flipped(value))).collect();
            Value::Object(entries.into_iter().rev().collect())
        }
        other => other.clone(),
    }
}
