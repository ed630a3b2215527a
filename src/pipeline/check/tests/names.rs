//! What a job names of others: columns of its transform, folders that are another's.

use super::{say, say_job};

fn two(first: &str, second: &str) -> String {
    let job = |name: &str, sinks: &str| {
        format!("  {name}: {{get: /{name}, snapshot: daily, paginate: none, records: '.[]', sinks: {{{sinks}}}}}\n")
    };
    say(&format!(
        "version: 1\nname: x\nsource: {{base_url: 'http://h'}}\njobs:\n{}{}",
        job("orders", first),
        job("refunds", second)
    ))
}

#[test]
fn two_jobs_do_not_share_a_folder() {
    insta::assert_snapshot!(two("lake: {parquet: {url: ./lake/orders}}", "lake: {csv: {url: lake/orders/}}"), @"");
    insta::assert_snapshot!(two("lake: {parquet: {url: s3://b/lake}}", "feed: {jsonl: {url: s3://b/lake/refunds}}"), @"");
    insta::assert_snapshot!(two("a: {jsonl: {url: /lake/a}}, b: {jsonl: {url: /lake/a/b}}", "lake: {csv: {url: /lake/ab}}"), @"");
    assert_eq!(two("lake: {parquet: {url: ./lake/orders}}", "lake: {parquet: {url: ./lake/refunds}}"), "");
    // One job may write its rows in two formats.
    assert_eq!(two("a: {parquet: {url: ./lake}}, b: {csv: {url: ./lake}}", "c: {csv: {url: ./other}}"), "");
}

#[test]
fn columns_that_a_select_does_not_list() {
    let job = |transform: &str| {
        say_job(&format!(
            "    snapshot: daily
    transform: {transform}
    expect: [{{not_null: [id, nmae]}}, {{unique: id}}, {{sql: max(amount) > total}}]
    sinks:
      lake: {{parquet: {{url: ./lake, partition_by: [day(tz), region], sort_by: [id desc, when], bloom_filters: [ip]}}, where: state = 'x'}}
"
        ))
    };
    insta::assert_snapshot!(job("SELECT id, name, amount, ts FROM records"), @"");
    assert_eq!(job("SELECT *, 1 AS one FROM records"), "", "only the server knows");
    assert_eq!(job("SELECT id, nmae, amount, total, tz, region, when, ip, state FROM records"), "");
}

#[test]
fn the_edges_of_the_window_are_no_columns() {
    let said = say_job(
        "    window: {every: 1d, start: -1d, as: rfc3339, from: query.a, to: query.b, time: none}
    transform: SELECT id FROM records
    sinks: {lake: {jsonl: {url: ./lake}, where: id > 1 AND _window_start < now()}}
",
    );
    assert_eq!(said, "");
}
