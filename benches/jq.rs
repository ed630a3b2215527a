//! The jq path on the cells of a Scrutinizer report: from the bytes of a page to typed columns.

#![expect(clippy::expect_used, reason = "a benchmark that can't begin has nothing to say")]

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde_json::{Value, json};
use tidegate::decode::{DecodeOptions, PAGE_VARIABLES, PageDecoder, PageVars};
use tidegate::lang::Selector;
use tidegate::lang::jq::Jq;
use tidegate::model::AnswerFormat;

/// Rows of a page, as many as `pipelines/scrutinizer.yaml` asks for.
const ROWS: usize = 10_000;

/// The columns after the rank: ten cells with it.
const COLUMNS: [&str; 9] = [
    "sourceipaddress",
    "commonport",
    "destinationipaddress",
    "rpt_man_peak",
    "sum_packetdeltacount",
    "percenttotal",
    "sum_octetdeltacount",
    "first_flow_epoch",
    "last_flow_epoch",
];

/// The programs of `pipelines/scrutinizer.yaml`.
const RECORDS: &str = ".report.table[$direction].rows[] \
                       | map(select(.dataJson) | {(.dataJson | fromjson.column): (.rawValue // .title)}) | add";
const COUNT: &str = ".report.table[$direction].rows | length";

fn main() {
    divan::main();
}

fn row(rank: usize) -> Value {
    let cell = |(at, column): (usize, &&str)| {
        let value = (rank * 7919 + at * 104_729).to_string();
        json!({
            "rawValue": value, "title": value, "label": format!("host{value}.lan"), "klassLabel": "ipDns",
            "dataJson": json!({"column": column}).to_string(), "klasstd": "alignLeft",
        })
    };
    let first = json!({"title": format!("Rank: {rank}"), "label": rank.to_string(), "klasstd": format!("rank{rank}")});
    std::iter::once(first).chain(COLUMNS.iter().enumerate().map(cell)).collect()
}

/// Decodes a page of 10,000 rows of ten cells, about 1.5 KB a row, with the programs that say the records and their number.
#[divan::bench(sample_count = 20)]
fn scrutinizer_cells(bencher: Bencher<'_, '_>) {
    let rows: Vec<Value> = (0..ROWS).map(row).collect();
    let page = json!({"report": {"table": {"inbound": {"rows": rows}}}}).to_string();
    let variables = [&PAGE_VARIABLES[..], &["direction"]].concat();
    let options = DecodeOptions {
        constants: vec![("direction".to_owned(), json!("inbound"))],
        lean_envelope: true,
        ..DecodeOptions::new(
            AnswerFormat::Json,
            Selector::parse_with(&[RECORDS.to_owned()], &variables).expect("the records"),
        )
    };
    let count = Jq::compile(COUNT, &variables).expect("the number of rows");
    let context = PageVars { status: 200, headers: json!({}) };
    let mut decoder = PageDecoder::new(options);
    let (body, vars) = (Bytes::from(page), [json!("inbound")]);
    let mut decode = || decoder.decode(&body, &context, Some(&count), &vars).expect("a page");
    // The first page finds the columns; all others know them.
    assert_eq!(decode().rows, ROWS as u64);
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::new(body.len())).bench_local(decode);
}
