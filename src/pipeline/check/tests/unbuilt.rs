//! What the language has and this version doesn't do: each is refused, at its place, with what to do instead.

use super::say;

#[test]
fn of_the_source() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source:
  base_url: 'http://h'
  auth: none
  proxy: http://proxy
  retry: {when: .busy, after: .wait}
  tls: {client_cert: a.pem, client_key: b.pem}
jobs:
  a: {get: /x, paginate: none, records: '.[]'}
on_failure: {post: 'http://h'}
on_success: {post: 'http://h'}
"), @r"
    error: `proxy` is not built yet
     --> p.yaml:6:10
      |
    6 |   proxy: http://proxy
      |          ^^^^^^^^^^^^
      |
      = help: set HTTPS_PROXY in the environment

    error: retrying by an expression is not built yet
     --> p.yaml:7:17
      |
    7 |   retry: {when: .busy, after: .wait}
      |                 ^^^^^
      |
      = help: remove it: 429, 5xx and torn answers are tried again

    error: retrying by an expression is not built yet
     --> p.yaml:7:31
      |
    7 |   retry: {when: .busy, after: .wait}
      |                               ^^^^^
      |
      = help: remove it: 429, 5xx and torn answers are tried again

    error: a client certificate is not built yet
     --> p.yaml:8:22
      |
    8 |   tls: {client_cert: a.pem, client_key: b.pem}
      |                      ^^^^^
      |
      = help: use another kind of `auth`

    error: a client certificate is not built yet
     --> p.yaml:8:41
      |
    8 |   tls: {client_cert: a.pem, client_key: b.pem}
      |                                         ^^^^^
      |
      = help: use another kind of `auth`

    error: `on_failure` is not built yet
      --> p.yaml:11:13
       |
    11 | on_failure: {post: 'http://h'}
       |             ^^^^^^^^^^^^^^^^^^
       |
       = help: remove it, and act on the exit code of `tidegate run`

    error: `on_success` is not built yet
      --> p.yaml:12:13
       |
    12 | on_success: {post: 'http://h'}
       |             ^^^^^^^^^^^^^^^^^^
       |
       = help: remove it, and act on the exit code of `tidegate run`
    ");
}
