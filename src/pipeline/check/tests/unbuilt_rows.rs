//! What isn't built yet of rows and sinks.

use super::{say_job, say_landing};

#[test]
fn of_rows() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    key: id
    latest_by: updated_at
    schema: {bad_rows: fail, max_bad_rows: 1%}
    on_mismatch: refetch
    transform: SELECT r.id, n.name FROM records r JOIN names n ON n.id = r.id
    tables: {names: {csv: ./names.csv}}
    expect: [{not_null: [id]}, {unique: [id]}, {sql: count(*) > 0}]
    enrich: {detail: {get: '/d/{{ row.id }}', query: {a: 1}, value: .detail, on_error: 'null'}}
"), @r"
    error: `latest_by` is not built yet
     --> p.yaml:8:16
      |
    8 |     latest_by: updated_at
      |                ^^^^^^^^^^
      |
      = help: remove it: of rows with one key the last received stays

    error: `bad_rows` other than `quarantine` is not built yet
     --> p.yaml:9:24
      |
    9 |     schema: {bad_rows: fail, max_bad_rows: 1%}
      |                        ^^^^
      |
      = help: remove it

    error: `max_bad_rows` is not built yet
     --> p.yaml:9:44
      |
    9 |     schema: {bad_rows: fail, max_bad_rows: 1%}
      |                                            ^^
      |
      = help: remove it

    error: `on_mismatch: refetch` is not built yet
      --> p.yaml:10:18
       |
    10 |     on_mismatch: refetch
       |                  ^^^^^^^
       |
       = help: use `fail` or `warn`

    error: `tables` is not built yet
      --> p.yaml:12:13
       |
    12 |     tables: {names: {csv: ./names.csv}}
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: join them where the lake is read

    error: `expect` is not built yet
      --> p.yaml:13:13
       |
    13 |     expect: [{not_null: [id]}, {unique: [id]}, {sql: count(*) > 0}]
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: check the rows where the lake is read

    error: `enrich` is not built yet
      --> p.yaml:14:13
       |
    14 |     enrich: {detail: {get: '/d/{{ row.id }}', query: {a: 1}, value: .detail, on_error: 'null'}}
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: read the details in a job of their own, with `for_each`
    ");
}

#[test]
fn of_sinks() {
    insta::assert_snapshot!(say_job(r"    snapshot: daily
    sinks:
      tickets: {http: {url: 'http://h', key: [id], body: {id: '{{ row.id }}'}, find: {get: /x}, auth: {bearer: '${TOKEN}'}}}
      screen: {stdout: {}}
      typed: {jsonl: {url: gs://b/x}}
"), @r"
    error: the `http` sink is not built yet
     --> p.yaml:8:23
      |
    8 |       tickets: {http: {url: 'http://h', key: [id], body: {id: '{{ row.id }}'}, find: {get: /x}, auth: {bearer: '${TOKEN}'}}}
      |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: land the rows in `jsonl`, and send them from there

    error: the `stdout` sink is not built yet
     --> p.yaml:9:24
      |
    9 |       screen: {stdout: {}}
      |                        ^^
      |
      = help: land the rows in `jsonl`, or use `tidegate preview`

    warning: sinks on gs:// are experimental
      --> p.yaml:10:28
       |
    10 |       typed: {jsonl: {url: gs://b/x}}
       |                            ^^^^^^^^
       |
       = help: they haven't been tried against the real service: try yours first
    ");
}
