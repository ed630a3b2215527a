//! What isn't built yet of sinks.

use super::say_job;

#[test]
fn of_sinks() {
    insta::assert_snapshot!(say_job(r"    snapshot: daily
    sinks:
      screen: {stdout: {}}
      typed: {jsonl: {url: gs://b/x}}
"), @"
    error: the `stdout` sink is not built yet
     --> p.yaml:8:24
      |
    8 |       screen: {stdout: {}}
      |                        ^^
      |
      = help: land the rows in `jsonl`, or use `tidegate preview`

    warning: sinks on gs:// are experimental
     --> p.yaml:9:28
      |
    9 |       typed: {jsonl: {url: gs://b/x}}
      |                            ^^^^^^^^
      |
      = help: they haven't been tried against the real service: try yours first
    ");
}
