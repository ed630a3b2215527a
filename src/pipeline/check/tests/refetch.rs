//! What `on_mismatch: refetch` needs.

use super::{say_job, say_landing};

#[test]
fn rows_that_can_be_told_apart() {
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    on_mismatch: refetch\n"), @"");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    key: id
    latest_by: updated_at
    on_mismatch: refetch
"), @"");
    assert_eq!(say_landing("    snapshot: daily\n    key: id\n    on_mismatch: refetch\n"), "");
    assert_eq!(say_job("    on_mismatch: refetch\n"), "", "a parent's rows are told apart by all that they hold");
}

#[test]
fn slices_that_end() {
    insta::assert_snapshot!(say_landing(r"    incremental: {cursor: id, start: 0}
    key: id
    paginate: {seek: {into: query.after, value: '$last.id', order: asc, size: 10}}
    on_mismatch: refetch
"), @"");
}
