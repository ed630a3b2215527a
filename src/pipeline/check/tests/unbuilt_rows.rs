//! What isn't built yet of sinks.

use super::say_job;

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
