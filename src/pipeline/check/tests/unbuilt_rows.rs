//! What isn't built yet of rows and sinks.

use super::{say_job, say_landing};

#[test]
fn of_rows() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    key: id
    latest_by: updated_at
    enrich: {detail: {get: '/d/{{ row.id }}', query: {a: 1}, value: .detail, on_error: 'null'}}
"), @"
    error: `latest_by` is not built yet
     --> p.yaml:8:16
      |
    8 |     latest_by: updated_at
      |                ^^^^^^^^^^
      |
      = help: remove it: of rows with one key the last received stays

    error: `enrich` is not built yet
     --> p.yaml:9:13
      |
    9 |     enrich: {detail: {get: '/d/{{ row.id }}', query: {a: 1}, value: .detail, on_error: 'null'}}
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

    error: sinks on gs are not built yet
      --> p.yaml:10:28
       |
    10 |       typed: {jsonl: {url: gs://b/x}}
       |                            ^^^^^^^^
       |
       = help: write to a local folder, such as `./lake/alerts`
    ");
}
