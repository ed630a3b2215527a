//! What a record costs, counted in allocations and not in seconds: the same on every machine, and in every profile.
//!
//! The counter is the allocator of this test binary. It counts by thread, so that tests which run beside it change nothing.

use std::sync::Arc;

use allocation_counter::measure;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use serde_json::json;
use tidegate::decode::{DecodeOptions, PAGE_VARIABLES, PageDecoder, PageVars};
use tidegate::lang::Selector;
use tidegate::model::AnswerFormat;
use tidegate::transform::KeyIndex;
use tidegate::transform::dedupe::DEFAULT_MEMORY_LIMIT;

/// How many allocations a thousand records more may cost. Buffers grow by doubling: a column may need one step more. One allocation
/// a record would be a thousand.
const A_THOUSAND_RECORDS: u64 = 100;

/// How many allocations a page of 17 columns and 28 leaves may cost, whatever it holds: about one a leaf for each of its buffers, its
/// type and its name.
const A_PAGE: u64 = 700;

/// Records like those of an appliance: objects in objects, texts, numbers as text, nulls.
fn page(records: usize) -> Bytes {
    let record = |at: usize| {
        json!({
            "row_id": format!("{}", 9_007_199_254_740_993_u64 + at as u64),
            "tstamp": {"value": 1_767_225_600 + at, "label": "01/01 00:00:00"},
            "severity": {"value": 3, "label": "Notice"},
            "cli": {"ip": format!("10.0.{}.{}", at / 256 % 256, at % 256), "port": "443", "name": "", "country": "IT"},
            "srv": {"ip": "2001:db8::1", "port": "53", "name": "a.example", "country": null},
            "score": 10.5, "bytes": at * 700, "is_cli_attacker": at.is_multiple_of(13), "probe_ip": null,
            "tags": ["a", "b"], "info": format!("flow {at} \u{2192} GET /index.html"),
        })
    };
    let records: Vec<_> = (0..records).map(record).collect();
    json!({"rc": 0, "rsp": {"records": records, "total": 1_000_000}}).to_string().into()
}

fn decoder() -> PageDecoder {
    PageDecoder::new(DecodeOptions::new(
        AnswerFormat::Json,
        Selector::parse_with(&[".rsp.records[]".to_owned()], &PAGE_VARIABLES).unwrap(),
    ))
}

/// Counts the allocations of decoding a page whose schema is known.
fn decoding(records: usize) -> u64 {
    let (mut decoder, context) = (decoder(), PageVars { status: 200, headers: json!({}) });
    let body = page(records);
    decoder.decode(&body, &context, None, &[]).unwrap();
    measure(|| {
        let page = decoder.decode(&body, &context, None, &[]).unwrap();
        assert_eq!(page.rows, records as u64);
    })
    .count_total
}

#[test]
fn a_record_is_decoded_without_an_allocation() {
    let (small, large) = (decoding(1000), decoding(2000));
    assert!(large <= small + A_THOUSAND_RECORDS, "1,000 records: {small} allocations, 2,000: {large}");
    assert!(small <= A_PAGE, "a page costs {small} allocations");
}

fn keys(from: i64, rows: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|at| format!("host-{at}.example"))));
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

#[test]
fn a_key_is_noted_without_an_allocation() {
    let noting = |rows: i64| {
        let (mut index, batch) =
            (KeyIndex::new(&["id".to_owned(), "name".to_owned()], DEFAULT_MEMORY_LIMIT), keys(0, rows));
        measure(|| assert_eq!(index.observe(&batch, 0).unwrap().new_rows, rows.unsigned_abs())).count_total
    };
    let (small, large) = (noting(1000), noting(2000));
    assert!(large <= small + A_THOUSAND_RECORDS, "1,000 keys: {small} allocations, 2,000: {large}");
}
