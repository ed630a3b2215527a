//! Slices by a growing cursor.

use super::say_landing;

#[test]
fn a_cursor_may_be_sent_by_a_place() {
    assert_eq!(say_landing("    incremental: {cursor: id, start: 0, into: query.since}\n"), "");
    let by_time = "    incremental:
      cursor: CAST(t AS TIMESTAMP)
      start: '2026-01-01T00:00:00Z'
      lag: 5m
      into: {into: query.since, as: '%Y-%m-%d %H:%M:%S', order: any}
      newest: {query: {sort: '-t', size: 1}, value: '.rows[0].t'}
      on_reset: restart
    paginate: {offset: {into: query.offset, size: 10}}
";
    assert_eq!(say_landing(by_time), "");
}

#[test]
fn places_and_formats() {
    insta::assert_snapshot!(say_landing(r"    incremental:
      cursor: id
      start: 0
      rows_per_slice: 10
      lag: 5m
      into: {into: body.since, as: epoch, order: any}
      on_reset: restart
"), @"
    error: a slice can only end after some rows where the server sorts by the cursor
     --> p.yaml:9:23
      |
    9 |       rows_per_slice: 10
      |                       ^^
      |
      = help: remove `rows_per_slice`, or ask the server to sort and write `order: asc`

    error: `lag` leaves young rows to the next slice, but the cursor begins at a number, not at a time
      --> p.yaml:10:12
       |
    10 |       lag: 5m
       |            ^^
       |
       = help: remove it, or make `cursor` a timestamp and `start` an instant: `cursor: to_timestamp_seconds(seconds)`, and `as: epoch_s` in `into`

    error: the request has no `body`, so nothing can be written to `body.since`
      --> p.yaml:11:20
       |
    11 |       into: {into: body.since, as: epoch, order: any}
       |                    ^^^^^^^^^^
       |
       = help: add `body:` to the job, or name another place

    error: `as` says how an instant is written, but the cursor begins at a number
      --> p.yaml:11:36
       |
    11 |       into: {into: body.since, as: epoch, order: any}
       |                                    ^^^^^
       |
       = help: remove it, or make `cursor` a timestamp and `start` an instant

    error: `epoch` is not a way to write instants
      --> p.yaml:11:36
       |
    11 |       into: {into: body.since, as: epoch, order: any}
       |                                    ^^^^^
       |
       = help: did you mean `epoch_s`?

    error: `on_reset` without `newest`: nothing notices that the source was reset
      --> p.yaml:12:17
       |
    12 |       on_reset: restart
       |                 ^^^^^^^
       |
       = help: add `newest:`, which asks for the newest id
    ");
    insta::assert_snapshot!(say_landing(r"    incremental:
      cursor: id
      start: 7
      into: {into: query.after, as: epoch_s}
      newest: {query: {order: '{{ colour }}'}, value: '.rows['}
    paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 10}}
"), @"
    error: the value to seek by and the cursor would both be written to `query.after`
     --> p.yaml:9:20
      |
    9 |       into: {into: query.after, as: epoch_s}
      |                    ^^^^^^^^^^^
      |
      = help: give each a place of its own

    error: `as` says how an instant is written, but the cursor begins at a number
     --> p.yaml:9:37
      |
    9 |       into: {into: query.after, as: epoch_s}
      |                                     ^^^^^^^
      |
      = help: remove it, or make `cursor` a timestamp and `start` an instant

    error: there is no template variable `colour`
      --> p.yaml:10:35
       |
    10 |       newest: {query: {order: '{{ colour }}'}, value: '.rows['}
       |                                   ^^^^^^
       |
       = help: templates here see `now`, `cursor`, `increment.from`

    error: jq: expected closing bracket, found the end of the program
      --> p.yaml:10:62
       |
    10 |       newest: {query: {order: '{{ colour }}'}, value: '.rows['}
       |                                                              ^
    ");
}

#[test]
fn starts() {
    insta::assert_snapshot!(say_landing("    incremental: {cursor: t, start: '2026-01-01 00:00:00', into: query.since}\n"), @"
    error: `2026-01-01 00:00:00` is neither a whole number nor an instant
     --> p.yaml:6:37
      |
    6 |     incremental: {cursor: t, start: '2026-01-01 00:00:00', into: query.since}
      |                                     ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: say in which time zone: `2026-01-01T00:00:00Z` is UTC
    ");
    insta::assert_snapshot!(say_landing("    incremental: {cursor: t, start: 1.5, into: query.since}\n"), @"
    error: a cursor begins at a whole number or an instant
     --> p.yaml:6:37
      |
    6 |     incremental: {cursor: t, start: 1.5, into: query.since}
      |                                     ^^^
      |
      = help: write the value that all data come after, such as `0` or `'2026-01-01T00:00:00Z'`
    ");
    insta::assert_snapshot!(say_landing("    incremental: {cursor: t, start: '2026-01-01T00:00:00Z', into: query.since}\n"), @"
    warning: the cursor is a time: a row that appears after others of its time have landed is never read
     --> p.yaml:6:27
      |
    6 |     incremental: {cursor: t, start: '2026-01-01T00:00:00Z', into: query.since}
      |                           ^
      |
      = help: add `lag:`, longer than a row takes to appear, such as `lag: 5m`; `lag: 0s` says that none comes late
    ");
    assert_eq!(
        say_landing("    incremental: {cursor: t, start: '2026-01-01T00:00:00Z', lag: 0s, into: query.since}\n"),
        ""
    );
}
