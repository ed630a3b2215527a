//! What the language has and this version doesn't do: each is refused, at its place, with what to do instead.

use super::say;

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
