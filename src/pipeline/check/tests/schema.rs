//! Types by hand, and how many rows may be bad.

use super::say_landing;

#[test]
fn types_by_hand() {
    insta::assert_snapshot!(say_landing(r#"    snapshot: daily
    records: '.a[]'
    paginate: none
    schema:
      columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18, 2)'}
"#), @r#"
    error: `list<integer>` can't be read as a type: there is no type `integer`
      --> p.yaml:10:20
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                    ^^^^^^^^^^^^^^^
       |
       = help: the types are bool, int64, uint64, float64, decimal, string, timestamp, date, json, list, struct

    error: `timestamp("%Y", "Rome")` can't be read as a type: `Rome` isn't an IANA time zone, such as 'UTC' or 'Europe/Rome'
      --> p.yaml:10:40
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write a strftime format and the name of a zone, each in double quotes

    error: `decimal` can't be read as a type: `(` is expected here, at its end
      --> p.yaml:10:70
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                      ^^^^^^^
       |
       = help: such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp("%d/%m/%Y %H:%M", "Europe/Rome")', `list<string>` or `struct<id: int64>`

    error: `struct<x int64>` can't be read as a type: `:` is expected here, at `int64>`
      --> p.yaml:10:82
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                                  ^^^^^^^^^^^^^^^^^
       |
       = help: such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp("%d/%m/%Y %H:%M", "Europe/Rome")', `list<string>` or `struct<id: int64>`

    error: `date("%Q")` can't be read as a type: `%Q` isn't a strftime format, such as '%Y-%m-%d %H:%M:%S'
      --> p.yaml:10:104
       |
    10 |       columns: {a: 'list<integer>', b: 'timestamp("%Y", "Rome")', c: decimal, d: 'struct<x int64>', e: 'date("%Q")', f: 'decimal(18,...
       |                                                                                                        ^^^^^^^^^^^^
       |
       = help: write a strftime format and the name of a zone, each in double quotes
    "#);
}

#[test]
fn bad_rows() {
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {bad_rows: fail, max_bad_rows: 1%}\n"), @"
    error: `bad_rows: fail` and `max_bad_rows` contradict each other
     --> p.yaml:9:24
      |
    9 |     schema: {bad_rows: fail, max_bad_rows: 1%}
      |                        ^^^^
      |
      = help: remove one of them: `fail` allows no bad row at all
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {max_bad_rows: some}\n"), @"
    error: `some` is not a number of bad rows
     --> p.yaml:9:28
      |
    9 |     schema: {max_bad_rows: some}
      |                            ^^^^
      |
      = help: write a number of rows, such as `100`, or a share of those received, such as `1%`
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: '.a[]'\n    paginate: none\n    schema: {max_bad_rows: 101%}\n"), @"
    error: `101%` is not a number of bad rows
     --> p.yaml:9:28
      |
    9 |     schema: {max_bad_rows: 101%}
      |                            ^^^^
      |
      = help: write a number of rows, such as `100`, or a share of those received, such as `1%`
    ");
}
