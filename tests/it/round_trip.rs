//! Whatever fits the schema comes back from Parquet, read by pyarrow, equal digit for digit; whatever doesn't is in quarantine, with a
//! reason. The records are drawn at random, always the same ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, files};
use crate::support::python;

/// How many records are drawn.
const RECORDS: usize = 800;

const JOB: &str = r#"records: '.[]'
snapshot: latest
paginate: none
schema:
  columns:
    id: int64
    i: int64
    u: uint64
    d: decimal(38, 10)
    f: float64
    s: string
    b: bool
    t: timestamp
    l: list<float64>
    n: 'struct<a: int64, "b c": list<struct<x: string, y: uint64>>>'
    j: json
sinks: {lake: {parquet: {url: ./lake}}}"#;

/// The text of a JSON number for a column of decimals with 28 digits before the point and 10 behind it.
fn decimal() -> impl Strategy<Value = String> {
    ("-?(0|[1-9][0-9]{0,27})", prop::option::of("[0-9]{1,10}")).prop_map(|(whole, fraction)| match fraction {
        Some(fraction) => format!("{whole}.{fraction}"),
        None => whole,
    })
}

fn float() -> impl Strategy<Value = String> {
    let odd =
        ["5e-324", "-0.0", "0.1", "1e-7", "2.2250738585072011e-308", "1.7976931348623157e308", "9007199254740992"];
    let long = "0\\.[0-9]{30,60}";
    // Bits at random: subnormal numbers and the largest as likely as any.
    let any = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite());
    prop_oneof![4 => any.prop_map(|value| format!("{value:?}")), 1 => long, 1 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\x00-\\x1f\"\\\\/\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}😀é́]{0,12}"]
        .prop_map(|text| Value::from(text).to_string())
}

fn time() -> impl Strategy<Value = String> {
    let parts = (1970..2200_u16, 1..13_u8, 1..29_u8, 0..24_u8, 0..60_u8, 0..60_u8, "(\\.[0-9]{1,6})?");
    parts.prop_map(|(year, month, day, hour, minute, second, fraction)| {
        format!("\"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z\"")
    })
}

fn int() -> impl Strategy<Value = String> {
    prop_oneof![any::<i64>(), prop::sample::select(vec![i64::MIN, i64::MAX, 0, -1])].prop_map(|value| value.to_string())
}

fn uint() -> impl Strategy<Value = String> {
    prop_oneof![any::<u64>(), prop::sample::select(vec![u64::MAX, 0, 1 << 63, (1 << 53) + 1])]
        .prop_map(|value| value.to_string())
}

fn or_null<S: Strategy<Value = String>>(value: S) -> impl Strategy<Value = String> {
    prop_oneof![9 => value, 1 => Just("null".to_owned())]
}

fn list<S: Strategy<Value = String>>(item: S) -> impl Strategy<Value = String> {
    prop::collection::vec(or_null(item), 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
}

fn nested() -> impl Strategy<Value = String> {
    let item = (or_null(text()), or_null(uint())).prop_map(|(x, y)| format!(r#"{{"y": {y}, "x": {x}}}"#));
    (or_null(int()), or_null(list(item))).prop_map(|(a, b)| format!(r#"{{"a": {a}, "b c": {b}}}"#))
}

fn any_json() -> impl Strategy<Value = String> {
    prop_oneof![decimal(), text(), list(float()), nested(), Just("{}".to_owned()), Just("[]".to_owned())]
}

type Fields = Vec<(&'static str, String)>;

/// The fields of a record that fits, in an order of their own; some are missing.
fn fields() -> impl Strategy<Value = Fields> {
    let values = (
        (or_null(int()), or_null(uint()), or_null(decimal()), or_null(float()), or_null(text())),
        (
            prop_oneof![Just("true"), Just("false"), Just("null")],
            or_null(time()),
            or_null(list(float())),
            or_null(nested()),
        ),
        any_json(),
        prop::collection::vec(prop::bool::weighted(0.9), 10),
    );
    let named = values.prop_map(|((i, u, d, f, s), (b, t, l, n), j, kept)| {
        let all = [
            ("i", i),
            ("u", u),
            ("d", d),
            ("f", f),
            ("s", s),
            ("b", b.to_owned()),
            ("t", t),
            ("l", l),
            ("n", n),
            ("j", j),
        ];
        all.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(field, _)| field).collect::<Fields>()
    });
    named.prop_shuffle()
}

/// What doesn't fit: the column, the value, and what is said of it.
const MISFITS: [(&str, &str, &str); 22] = [
    ("i", "1.5", "expected int64, got number 1.5"),
    ("i", "\"x\"", "expected int64, got string \"x\""),
    ("i", "9223372036854775808", "expected int64, got integer 9223372036854775808"),
    ("i", "[]", "expected int64, got an empty list"),
    ("i", "{\"a\": 1}", "expected int64, got an object"),
    ("u", "-1", "expected uint64, got integer -1"),
    ("u", "true", "expected uint64, got true"),
    ("d", "0.12345678901", "expected decimal(38, 10), got number 0.12345678901"),
    ("d", "12345678901234567890123456789", "expected decimal(38, 10), got integer 12345678901234567890123456789"),
    ("d", "\"n/a\"", "expected decimal(38, 10), got string \"n/a\""),
    ("f", "9007199254740993", "expected float64, got integer 9007199254740993"),
    ("f", "\"\"", "expected float64, got string \"\""),
    ("s", "{}", "expected string, got an empty object"),
    ("s", "[1]", "expected string, got a list"),
    ("b", "0", "expected bool, got integer 0"),
    ("t", "\"yesterday\"", "expected timestamp, RFC 3339, got string \"yesterday\""),
    ("t", "1767225600", "expected timestamp, RFC 3339, got integer 1767225600"),
    ("l", "{}", "expected list, got an empty object"),
    ("l", "[1.5, \"a\"]", "expected float64, got string \"a\""),
    ("n", "\"x\"", "expected struct, got string \"x\""),
    ("n", "[1]", "expected struct, got a list"),
    ("n", "{\"a\": 0.5}", "expected int64, got number 0.5"),
];

fn record(id: usize, fields: &Fields) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!(", \"{name}\": {value}")).collect();
    format!("{{\"id\": {id}{fields}}}")
}

#[test]
fn what_fits_comes_back_and_what_does_not_is_in_quarantine() {
    let (mut runner, strategy) = (TestRunner::deterministic(), fields());
    let (mut good, mut bad, mut page) = (Vec::new(), BTreeMap::new(), Vec::new());
    for id in 0..RECORDS {
        let mut fields = strategy.new_tree(&mut runner).unwrap().current();
        let misfit = (id % 4 == 3).then(|| MISFITS[id / 4 % MISFITS.len()]);
        if let Some((column, value, reason)) = misfit {
            fields.retain(|(name, _)| *name != column);
            fields.push((column, value.to_owned()));
            bad.insert(id, reason);
        }
        let record = record(id, &fields);
        page.push(record.clone());
        if misfit.is_none() {
            good.push(record);
        }
    }
    let bench = Bench::new(Api::always(Answer::bytes(format!("[{}]", page.join(",\n")))));
    bench.job(JOB);
    let told = format!("latest landed: {} of {RECORDS}, {} quarantined; unknown", good.len(), bad.len());
    assert_eq!(bench.run().fine(), told);
    let parquet: Vec<String> =
        files(&bench.workspace.path("lake")).into_iter().filter(|path| path.ends_with(".parquet")).collect();
    let order = json!({"files": parquet, "records": good, "decimals": ["d"], "times": ["t"], "json": ["j"]});
    let judged = python::run("same_rows.py", &[], &order.to_string());
    assert_eq!(judged, json!({"rows": good.len(), "different": []}));
    let quarantine = bench.quarantine();
    let reasons: BTreeMap<usize, &str> = quarantine
        .iter()
        .map(|row| {
            let record: Value = serde_json::from_str(row["row"].as_str().unwrap()).unwrap();
            (usize::try_from(record["id"].as_u64().unwrap()).unwrap(), row["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(reasons, bad);
}
