//! What the language has and this version doesn't do: each is refused, at its place, with what to do instead.

use super::{say, say_landing};

#[test]
fn of_the_source() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source:
  base_url: 'http://h'
  auth: none
jobs:
  a: {get: /x, paginate: none, records: '.[]'}
on_failure: {post: 'http://h'}
on_success: {post: 'http://h'}
"), @r"
    error: `on_failure` is not built yet
     --> p.yaml:8:13
      |
    8 | on_failure: {post: 'http://h'}
      |             ^^^^^^^^^^^^^^^^^^
      |
      = help: remove it, and act on the exit code of `tidegate run`

    error: `on_success` is not built yet
     --> p.yaml:9:13
      |
    9 | on_success: {post: 'http://h'}
      |             ^^^^^^^^^^^^^^^^^^
      |
      = help: remove it, and act on the exit code of `tidegate run`
    ");
}

#[test]
fn of_slices() {
    insta::assert_snapshot!(say_landing(r"    incremental:
      cursor: id
      start: 0
      lag: 1h
      into: query.since
      newest: {query: {sort: desc}, value: '.rows[0].id'}
      on_reset: restart
"), @r"
    error: `incremental.lag` is not built yet
     --> p.yaml:9:12
      |
    9 |       lag: 1h
      |            ^^
      |
      = help: use a `window` for rows that come late

    error: `incremental.into` is not built yet
      --> p.yaml:10:13
       |
    10 |       into: query.since
       |             ^^^^^^^^^^^
       |
       = help: page by `seek`, which sends the cursor

    error: `incremental.newest` is not built yet
      --> p.yaml:11:15
       |
    11 |       newest: {query: {sort: desc}, value: '.rows[0].id'}
       |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: remove it

    error: `on_reset: restart` is not built yet
      --> p.yaml:12:17
       |
    12 |       on_reset: restart
       |                 ^^^^^^^
       |
       = help: remove it
    ");
}
