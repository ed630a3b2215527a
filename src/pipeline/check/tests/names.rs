//! What a job names of others: columns of its transform, folders that are another's.

use super::{Vars, load, say, say_job, source};

fn two(first: &str, second: &str) -> String {
    say(&text(first, second))
}

fn text(first: &str, second: &str) -> String {
    let job = |name: &str, sinks: &str| {
        format!("  {name}: {{get: /{name}, snapshot: daily, paginate: none, records: '.[]', sinks: {{{sinks}}}}}\n")
    };
    let jobs = [job("orders", first), job("refunds", second)].concat();
    format!("version: 1\nname: x\nsource: {{base_url: 'http://h'}}\njobs:\n{jobs}")
}

#[test]
fn two_jobs_that_land_in_one_data_set_are_told() {
    let lake = "lake: {parquet: {url: ./lake/orders}}";
    let Ok(checked) = load(&source(&text(lake, lake)), &Vars) else { panic!("it may be meant") };
    let messages: Vec<&str> = checked.advice.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["the jobs `orders` and `refunds` land in one data set"]);
}

#[test]
fn two_jobs_do_not_share_a_folder() {
    insta::assert_snapshot!(two("lake: {parquet: {url: ./lake/orders}}", "lake: {csv: {url: lake/orders/}}"), @"
    error: the jobs `orders` and `refunds` would land in one folder in two formats
     --> p.yaml:6:103
      |
    5 |   orders: {get: /orders, snapshot: daily, paginate: none, records: '.[]', sinks: {lake: {parquet: {url: ./lake/orders}}}}
      |                                                                                                         ------------- the other one
    6 |   refunds: {get: /refunds, snapshot: daily, paginate: none, records: '.[]', sinks: {lake: {csv: {url: lake/orders/}}}}
      |                                                                                                       ^^^^^^^^^^^^
      |
      = help: give each its own `url`: a reader of the folder would find files that it can't read
    ");
    insta::assert_snapshot!(two("lake: {parquet: {url: s3://b/lake}}", "feed: {jsonl: {url: s3://b/lake/refunds}}"), @"
    error: the data set of `jobs.refunds.sinks.feed` would lie within that of `jobs.orders.sinks.lake`
     --> p.yaml:6:105
      |
    5 |   orders: {get: /orders, snapshot: daily, paginate: none, records: '.[]', sinks: {lake: {parquet: {url: s3://b/lake}}}}
      |                                                                                                         ----------- the other one
    6 |   refunds: {get: /refunds, snapshot: daily, paginate: none, records: '.[]', sinks: {feed: {jsonl: {url: s3://b/lake/refunds}}}}
      |                                                                                                         ^^^^^^^^^^^^^^^^^^^
      |
      = help: give each a folder beside the other: who reads the outer one would find the rows of both
    ");
    insta::assert_snapshot!(two("a: {jsonl: {url: /lake/a}}, b: {jsonl: {url: /lake/a/b}}", "lake: {csv: {url: /lake/ab}}"), @"
    error: the data set of `jobs.orders.sinks.b` would lie within that of `jobs.orders.sinks.a`
     --> p.yaml:5:128
      |
    5 | ...one, records: '.[]', sinks: {a: {jsonl: {url: /lake/a}}, b: {jsonl: {url: /lake/a/b}}}}
      |                                                  ------- the other one       ^^^^^^^^^
      |
      = help: give each a folder beside the other: who reads the outer one would find the rows of both
    ");
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
    insta::assert_snapshot!(job("SELECT id, name, amount, ts FROM records"), @"
    error: the transform gives no column `nmae`
     --> p.yaml:8:30
      |
    8 |     expect: [{not_null: [id, nmae]}, {unique: id}, {sql: max(amount) > total}]
      |                              ^^^^
      |
      = help: did you mean `name`?

    error: the transform gives no column `total`
     --> p.yaml:8:58
      |
    8 |     expect: [{not_null: [id, nmae]}, {unique: id}, {sql: max(amount) > total}]
      |                                                          ^^^^^^^^^^^^^^^^^^^
      |
      = help: its SELECT gives id, name, amount, ts

    error: the transform gives no column `tz`
      --> p.yaml:10:52
       |
    10 |       lake: {parquet: {url: ./lake, partition_by: [day(tz), region], sort_by: [id desc, when], bloom_filters: [ip]}, where: state = ...
       |                                                    ^^^^^^^
       |
       = help: its SELECT gives id, name, amount, ts

    error: the transform gives no column `region`
      --> p.yaml:10:61
       |
    10 |       lake: {parquet: {url: ./lake, partition_by: [day(tz), region], sort_by: [id desc, when], bloom_filters: [ip]}, where: state = ...
       |                                                             ^^^^^^
       |
       = help: its SELECT gives id, name, amount, ts

    error: the transform gives no column `when`
      --> p.yaml:10:89
       |
    10 |       lake: {parquet: {url: ./lake, partition_by: [day(tz), region], sort_by: [id desc, when], bloom_filters: [ip]}, where: state = ...
       |                                                                                         ^^^^
       |
       = help: its SELECT gives id, name, amount, ts

    error: the transform gives no column `ip`
      --> p.yaml:10:112
       |
    10 |       lake: {parquet: {url: ./lake, partition_by: [day(tz), region], sort_by: [id desc, when], bloom_filters: [ip]}, where: state = ...
       |                                                                                                                ^^
       |
       = help: its SELECT gives id, name, amount, ts

    error: the transform gives no column `state`
      --> p.yaml:10:125
       |
    10 | ...n], sort_by: [id desc, when], bloom_filters: [ip]}, where: state = 'x'}
       |                                                               ^^^^^^^^^^^
       |
       = help: its SELECT gives id, name, amount, ts
    ");
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
