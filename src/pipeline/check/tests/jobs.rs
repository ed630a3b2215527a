//! Jobs: their names, whose rows they need, what they are repeated for, their rows.

use super::{say, say_job, say_landing};

#[test]
fn names() {
    insta::assert_snapshot!(say("version: 1\nname: -x_\nsource: {base_url: 'http://h'}\njobs: {}\n"), @r"
    error: `-x_` can't be a pipeline's name
     --> p.yaml:2:7
      |
    2 | name: -x_
      |       ^^^
      |
      = help: use lower-case letters, digits and `-` between them, at most 64 in all: `x`

    error: the pipeline has no jobs
     --> p.yaml:2:7
      |
    2 | name: -x_
      |       ^^^
      |
      = help: add one under `jobs:`
    ");
    insta::assert_snapshot!(say(r"version: 1
name: x
source: {base_url: 'http://h'}
jobs:
  Flow Alerts:
    get: /x
    snapshot: daily
    paginate: none
    records: '.[]'
    sinks: {lake-1: {jsonl: {url: ./a}}, quarantine: {jsonl: {url: ./b}}}
"), @r"
    error: `Flow Alerts` can't be a job's name
     --> p.yaml:5:3
      |
    5 |   Flow Alerts:
      |   ^^^^^^^^^^^
      |
      = help: use lower-case letters, digits and `_` between them, at most 64 in all: `flow_alerts`

    error: `lake-1` can't be a sink's name
      --> p.yaml:10:13
       |
    10 |     sinks: {lake-1: {jsonl: {url: ./a}}, quarantine: {jsonl: {url: ./b}}}
       |             ^^^^^^
       |
       = help: use lower-case letters, digits and `_` between them, at most 64 in all: `lake_1`

    error: `quarantine` is where bad rows go
      --> p.yaml:10:42
       |
    10 |     sinks: {lake-1: {jsonl: {url: ./a}}, quarantine: {jsonl: {url: ./b}}}
       |                                          ^^^^^^^^^^
       |
       = help: give the sink another name
    ");
}

#[test]
fn parents() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source: {base_url: 'http://h'}
jobs:
  users:
    for_each: {rows_of: user, as: u, key: id}
    get: /users
    paginate: none
    records: '.[]'
  rooms:
    for_each: {rows_of: doors, as: d, key: id}
    get: /rooms
    paginate: none
    records: '.[]'
  doors:
    for_each: {rows_of: rooms, as: r, key: id}
    get: /doors
    paginate: none
    records: '.[]'
  self:
    for_each: {rows_of: self, as: r, key: id}
    get: /doors
    paginate: none
    records: '.[]'
  events:
    get: /events
    incremental: {cursor: id, start: 0}
    paginate: {seek: {into: query.after, value: '$last.id', bound: exclusive, order: asc, size: 10}}
    records: '.[]'
    sinks: {lake: {jsonl: {url: ./a}}}
  details:
    for_each: {rows_of: events, as: e, key: id}
    get: /details
    paginate: none
    records: '.[]'
  last:
    for_each: {rows_of: elsewhere, as: e, key: id}
    get: /details
    paginate: none
    records: '.[]'
"), @r"
    error: there is no job `user`
     --> p.yaml:6:25
      |
    6 |     for_each: {rows_of: user, as: u, key: id}
      |                         ^^^^
      |
      = note: expected the name of another job
      = help: did you mean `users`?

    error: the jobs wait for one another: `rooms` -> `doors` -> `rooms`
      --> p.yaml:16:25
       |
    16 |     for_each: {rows_of: rooms, as: r, key: id}
       |                         ^^^^^
       |
       = help: one of them must get its rows without the others

    error: the jobs wait for one another: `self` -> `self`
      --> p.yaml:21:25
       |
    21 |     for_each: {rows_of: self, as: r, key: id}
       |                         ^^^^
       |
       = help: one of them must get its rows without the others

    error: `events` can't feed other jobs: it is read in slices, not whole
      --> p.yaml:32:25
       |
    32 |     for_each: {rows_of: events, as: e, key: id}
       |                         ^^^^^^
       |
       = help: name a job that has no `window` and no `incremental`

    error: there is no job `elsewhere`
      --> p.yaml:37:25
       |
    37 |     for_each: {rows_of: elsewhere, as: e, key: id}
       |                         ^^^^^^^^^
       |
       = note: expected the name of another job
       = help: the jobs are `users`, `rooms`, `doors`, `self`, `events`, `details`, `last`
    ");
}

#[test]
fn what_a_job_is_repeated_for() {
    insta::assert_snapshot!(say_job("    for_each: {as: item}\n"), @r"
    error: `for_each` says nothing to repeat for
     --> p.yaml:6:15
      |
    6 |     for_each: {as: item}
      |               ^^^^^^^^^^
      |
      = help: add `rows_of:` or `values:`
    ");
    insta::assert_snapshot!(say_job("    for_each: {as: 1st, values: []}\n"), @r"
    error: `values` is empty: the job would never do anything
     --> p.yaml:6:15
      |
    6 |     for_each: {as: 1st, values: []}
      |               ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: list at least one value

    error: `1st` can't be the name of a variable
     --> p.yaml:6:20
      |
    6 |     for_each: {as: 1st, values: []}
      |                    ^^^
      |
      = help: choose another name of lower-case letters, digits and `_`, such as `item`
    ");
    insta::assert_snapshot!(say_job("    for_each: {as: status, rows_of: a, values: [1], max_keys: 0}\n"), @r"
    error: `for_each` has both `rows_of` and `values`
     --> p.yaml:6:15
      |
    6 |     for_each: {as: status, rows_of: a, values: [1], max_keys: 0}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep one of them

    error: `for_each` has no `key`
     --> p.yaml:6:15
      |
    6 |     for_each: {as: status, rows_of: a, values: [1], max_keys: 0}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name the columns of the parent's row that identify it, such as `key: id`

    error: `status` has a meaning of its own in expressions
     --> p.yaml:6:20
      |
    6 |     for_each: {as: status, rows_of: a, values: [1], max_keys: 0}
      |                    ^^^^^^
      |
      = help: choose another name of lower-case letters, digits and `_`, such as `item`

    error: the jobs wait for one another: `a` -> `a`
     --> p.yaml:6:37
      |
    6 |     for_each: {as: status, rows_of: a, values: [1], max_keys: 0}
      |                                     ^
      |
      = help: one of them must get its rows without the others

    error: `max_keys` can't be 0
     --> p.yaml:6:63
      |
    6 |     for_each: {as: status, rows_of: a, values: [1], max_keys: 0}
      |                                                               ^
      |
      = help: write the most keys that you expect
    ");
    insta::assert_snapshot!(
        say_job("    for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}\n"),
        @"
    error: a listed value isn't a template
     --> p.yaml:6:38
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                      ^^^^^^^^^^^
      |
      = help: write the value itself

    error: a listed value becomes a column, so it is a text, a number or a boolean
     --> p.yaml:6:51
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                                   ^^^
      |
      = help: list plain values, or maps of them with a `key:`, such as `{owner: a, name: b}`

    error: a listed value becomes a column, so it is a text, a number or a boolean
     --> p.yaml:6:56
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                                        ^^^^
      |
      = help: list plain values, or maps of them with a `key:`, such as `{owner: a, name: b}`

    error: the key of listed plain values is always `item`
     --> p.yaml:6:68
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                                                    ^^
      |
      = help: remove `key:`

    error: `item` is a column already: it is in `key`
     --> p.yaml:6:82
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                                                                  ^^^^
      |
      = help: remove it here

    error: jq: there is no variable `$x`: there are `$item`
     --> p.yaml:6:97
      |
    6 |     for_each: {as: item, values: [1, '{{ now }}', [2], null], key: id, columns: {item: '.', b: '$x'}}
      |                                                                                                 ^^
    "
    );
}

#[test]
fn rows() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    records: ['.a[]', '.b | map(.c)']
    key: []
    schema: {columns: {a: sting, b: timestamp(m), c: whatever, d: int64}}
"), @r#"
    error: `.b | map(.c)` isn't a plain path such as `.data[]`: a list holds plain paths only
     --> p.yaml:7:23
      |
    7 |     records: ['.a[]', '.b | map(.c)']
      |                       ^^^^^^^^^^^^^^
      |
      = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program

    error: `key` names no column
     --> p.yaml:8:10
      |
    8 |     key: []
      |          ^^
      |
      = help: name the columns that identify a row, or remove `key`

    error: there is no type `sting`
     --> p.yaml:9:27
      |
    9 |     schema: {columns: {a: sting, b: timestamp(m), c: whatever, d: int64}}
      |                           ^^^^^
      |
      = help: did you mean `string`?

    error: `timestamp(m)` can't be read as a type: write a unit (`s`, `ms`, `us` or `ns`), or a format and a zone, each in double quotes, at `m)`
     --> p.yaml:9:37
      |
    9 |     schema: {columns: {a: sting, b: timestamp(m), c: whatever, d: int64}}
      |                                     ^^^^^^^^^^^^
      |
      = help: such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp("%d/%m/%Y %H:%M", "Europe/Rome")', `list<string>` or `struct<id: int64>`

    error: there is no type `whatever`
     --> p.yaml:9:54
      |
    9 |     schema: {columns: {a: sting, b: timestamp(m), c: whatever, d: int64}}
      |                                                      ^^^^^^^^
      |
      = help: the types are bool, int64, uint64, float64, decimal, string, timestamp, date, json, list, struct
    "#);
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    records: []\n"), @r"
    error: `records` is empty: give a path such as `.data[]`
     --> p.yaml:7:14
      |
    7 |     records: []
      |              ^^
      |
      = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    records: '.a[] | {id}'
    paginate: {page: {into: query.page, size: 10}}
"), @r"
    error: `records` is a jq program, so its records don't tell how many rows a page had
     --> p.yaml:7:14
      |
    7 |     records: '.a[] | {id}'
      |              ^^^^^^^^^^^^^
      |
      = help: add `rows:`, jq for how many rows the server put on the page, such as `.items | length`
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    rows: .n\n"), @r"
    error: `rows` has no meaning beside a plain path: its items are counted
     --> p.yaml:7:11
      |
    7 |     rows: .n
      |           ^^
      |
      = help: remove it
    ");
}

#[test]
fn slices_and_sinks_go_together() {
    insta::assert_snapshot!(say_landing(""), @"
    error: the job `a` lands data, but doesn't say in which slices
     --> p.yaml:5:3
      |
    5 |   a:
      |   ^
      |
      = help: add `window` (by time), `incremental` (by an id or a time that grows) or `snapshot: latest` (the whole list)
    ");
    insta::assert_snapshot!(
        say_job("    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b}\n"),
        @r"
    error: the job `a` is cut into slices, but has no `sinks` to land them in
     --> p.yaml:5:3
      |
    5 |   a:
      |   ^
      |
      = help: add `sinks:`
    "
    );
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b}
"), @r"
    error: the job `a` is cut into slices in two ways
     --> p.yaml:6:15
      |
    6 |     snapshot: daily
      |               ^^^^^
      |
      = help: keep one of `window`, `incremental` and `snapshot`
    ");
    assert_eq!(say_job("    snapshot: daily\n"), "", "a parent may keep its rows apart by day");
}
