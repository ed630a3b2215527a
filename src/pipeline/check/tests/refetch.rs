//! What `on_mismatch: refetch` needs.

use super::{say_job, say_landing};

#[test]
fn rows_that_can_be_told_apart() {
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    on_mismatch: refetch\n"), @r"
    error: `on_mismatch: refetch` takes the rows of several readings together, and needs a `key` to tell them apart
     --> p.yaml:7:18
      |
    7 |     on_mismatch: refetch
      |                  ^^^^^^^
      |
      = help: add `key:`, the columns that identify a row
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    key: id
    latest_by: updated_at
    on_mismatch: refetch
"), @r"
    error: `on_mismatch: refetch` doesn't go with `latest_by`
     --> p.yaml:9:18
      |
    9 |     on_mismatch: refetch
      |                  ^^^^^^^
      |
      = help: remove `latest_by`: of the readings that prove a list whole, each row lands as it came last
    ");
    assert_eq!(say_landing("    snapshot: daily\n    key: id\n    on_mismatch: refetch\n"), "");
    assert_eq!(say_job("    on_mismatch: refetch\n"), "", "a parent's rows are told apart by all that they hold");
}

#[test]
fn slices_that_end() {
    insta::assert_snapshot!(say_landing(r"    incremental: {cursor: id, start: 0}
    key: id
    paginate: {seek: {into: query.after, value: '$last.id', order: asc, size: 10}}
    on_mismatch: refetch
"), @r"
    error: `on_mismatch: refetch` has no meaning for an `incremental` job
     --> p.yaml:9:18
      |
    9 |     on_mismatch: refetch
      |                  ^^^^^^^
      |
      = help: use `fail` or `warn`: rows that come while an increment is read are for the next one
    ");
}
