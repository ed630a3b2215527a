//! What is sent: one request, no secret in it, and places that exist.

use super::{say, say_job, say_landing};

#[test]
fn one_request() {
    insta::assert_snapshot!(
        say("version: 1\nname: x\nsource: {base_url: 'http://h'}\njobs: {a: {paginate: none, records: '.[]'}}\n"),
        @r"
    error: the job `a` sends no request
     --> p.yaml:4:8
      |
    4 | jobs: {a: {paginate: none, records: '.[]'}}
      |        ^
      |
      = help: write `get:` or `post:` and a path
    "
    );
    insta::assert_snapshot!(say_job("    get: /x\n    post: /y\n    body: {}\n    form: {}\n"), @r"
    error: a job sends one request
     --> p.yaml:7:11
      |
    7 |     post: /y
      |           ^^
      |
      = help: keep one of `get`, `post`, `put` and `delete`

    error: a request has a `body` or a `form`, not both
     --> p.yaml:8:11
      |
    8 |     body: {}
      |           ^^
      |
      = help: remove one of them
    ");
    insta::assert_snapshot!(say_job("    get: https://other/x\n"), @r"
    error: a path can't name another host
     --> p.yaml:6:10
      |
    6 |     get: https://other/x
      |          ^^^^^^^^^^^^^^^
      |
      = help: the origin comes from `base_url` alone
    ");
    insta::assert_snapshot!(say_job("    get: /x?a=1\n"), @r"
    error: a path can't hold a query
     --> p.yaml:6:10
      |
    6 |     get: /x?a=1
      |          ^^^^^^
      |
      = help: write parameters under `query:`
    ");
}

#[test]
fn secrets_belong_to_auth() {
    insta::assert_snapshot!(say_job(r"    post: /x
    headers: {Authorization: '${TOKEN}', X-Api-Key: hunter2}
    query: {token: 'hunter2'}
    form: {login: {password: hunter2}}
"), @"
    error: `Authorization` looks like a secret, and requests show in logs
     --> p.yaml:7:30
      |
    7 |     headers: {Authorization: **********, X-Api-Key: *******}
      |                              ^^^^^^^^^^
      |
      = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`

    error: `X-Api-Key` looks like a secret, and requests show in logs
     --> p.yaml:7:53
      |
    7 |     headers: {Authorization: **********, X-Api-Key: *******}
      |                                                     ^^^^^^^
      |
      = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`

    error: `token` looks like a secret, and requests show in logs
     --> p.yaml:8:20
      |
    8 |     query: {token: *********}
      |                    ^^^^^^^^^
      |
      = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`

    error: `password` looks like a secret, and requests show in logs
     --> p.yaml:9:30
      |
    9 |     form: {login: {password: *******}}
      |                              ^^^^^^^
      |
      = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`
    ");
    insta::assert_snapshot!(say_job(r"    auth: {bearer: hunter2}
"), @r"
    error: a secret can't be written in the file
     --> p.yaml:6:20
      |
    6 |     auth: {bearer: *******}
      |                    ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(say_job(r"    auth: {login: {post: /in, form: {user: '${TOKEN}', password: hunter2}}}
"), @r"
    error: a secret can't be written in the file
     --> p.yaml:6:66
      |
    6 |     auth: {login: {post: /in, form: {user: '${TOKEN}', password: *******}}}
      |                                                                  ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(say_job("    post: /x\n    auth: {form: {name: key, value: '${TOKEN}'}}\n    body: {}\n"), @r"
    error: the credential `key` goes into a form, but the request has a `body`
     --> p.yaml:7:25
      |
    7 |     auth: {form: {name: key, value: '${TOKEN}'}}
      |                         ^^^
      |
      = help: use `auth: {header: ...}`, or send a `form`
    ");
}

#[test]
fn places_of_paging() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    paginate: {offset: {into: form.start, size_into: body.size, size: 10}}
"), @r"
    error: the request has no `form`, so nothing can be written to `form.start`
     --> p.yaml:7:31
      |
    7 |     paginate: {offset: {into: form.start, size_into: body.size, size: 10}}
      |                               ^^^^^^^^^^
      |
      = help: add `form:` to the job, or name another place

    error: the request has no `body`, so nothing can be written to `body.size`
     --> p.yaml:7:54
      |
    7 |     paginate: {offset: {into: form.start, size_into: body.size, size: 10}}
      |                                                      ^^^^^^^^^
      |
      = help: add `body:` to the job, or name another place
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    post: /x
    form: {a: {b: text, c: [1]}}
    paginate: {offset: {into: form.a.b.offset, size_into: 'form.a.c[2]', size: 10}}
"), @r#"
    error: the place 'form.a.b.offset' needs an object at 'form["a"]["b"]', but the request has a text there
     --> p.yaml:9:31
      |
    9 |     paginate: {offset: {into: form.a.b.offset, size_into: 'form.a.c[2]', size: 10}}
      |                               ^^^^^^^^^^^^^^^
      |
      = help: change the place, or what the request has there

    error: the place 'form.a.c[2]' names item 2 at 'form["a"]["c"]', but the list has 1 items; write the list's items into the request
     --> p.yaml:9:59
      |
    9 |     paginate: {offset: {into: form.a.b.offset, size_into: 'form.a.c[2]', size: 10}}
      |                                                           ^^^^^^^^^^^^^
      |
      = help: change the place, or what the request has there
    "#);
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    post: /x
    form: {}
    paginate: {offset: {into: body.start, size_into: params.size, size: 10}}
"), @r"
    error: the request has no `body`, so nothing can be written to `body.start`
     --> p.yaml:9:31
      |
    9 |     paginate: {offset: {into: body.start, size_into: params.size, size: 10}}
      |                               ^^^^^^^^^^
      |
      = help: name a place in `form`

    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'params'
     --> p.yaml:9:54
      |
    9 |     paginate: {offset: {into: body.start, size_into: params.size, size: 10}}
      |                                                      ^^^^^^
      |
      = help: a place is a jq path without its first dot, such as `query.start` or `body.filter[0].gte`
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    paginate: {offset: {into: query.start, size_into: query.start, size: 10}}
"), @r"
    error: the offset and the size would both be written to `query.start`
     --> p.yaml:7:55
      |
    7 |     paginate: {offset: {into: query.start, size_into: query.start, size: 10}}
      |                                                       ^^^^^^^^^^^
      |
      = help: give each a place of its own
    ");
}

#[test]
fn places_of_windows() {
    insta::assert_snapshot!(
        say_landing("    window: {every: 1d, start: -1d, as: epoch_s, from: quer.a, to: body.b}\n"),
        @r"
    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'quer'
     --> p.yaml:6:56
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: quer.a, to: body.b}
      |                                                        ^^^^
      |
      = help: did you mean `query`?

    error: the request has no `body`, so nothing can be written to `body.b`
     --> p.yaml:6:68
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: quer.a, to: body.b}
      |                                                                    ^^^^^^
      |
      = help: add `body:` to the job, or name another place
    "
    );
    insta::assert_snapshot!(say_landing(r"    post: /x
    body: {}
    window: {every: 1d, start: -1d, as: epoch_s, from: {into: form.a}, to: 'query[0'}
"), @r"
    error: the request has no `form`, so nothing can be written to `form.a`
     --> p.yaml:8:63
      |
    8 |     window: {every: 1d, start: -1d, as: epoch_s, from: {into: form.a}, to: 'query[0'}
      |                                                               ^^^^^^
      |
      = help: name a place in `body`

    error: this isn't a place in the request: expected ]
     --> p.yaml:8:84
      |
    8 |     window: {every: 1d, start: -1d, as: epoch_s, from: {into: form.a}, to: 'query[0'}
      |                                                                                    ^
      |
      = help: a place is a jq path without its first dot, such as `query.start` or `body.filter[0].gte`
    ");
    insta::assert_snapshot!(
        say_landing("    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.a}\n"),
        @r"
    error: the window's beginning and its end would both be written to `query.a`
     --> p.yaml:6:69
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.a}
      |                                                                     ^^^^^^^
      |
      = help: give each a place of its own
    "
    );
    insta::assert_snapshot!(say_landing("    window: {every: 1d, start: -1d, as: epoch_s, from: 5, to: [query.a]}\n"), @r"
    error: YAML may read `5` as a number
     --> p.yaml:6:56
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: 5, to: [query.a]}
      |                                                        ^
      |
      = note: expected a jq expression
      = help: put it in single quotes: `'5'`

    error: YAML reads this `[` as the start of a list
     --> p.yaml:6:63
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: 5, to: [query.a]}
      |                                                               ^^^^^^^^^
      |
      = note: expected a jq expression
      = help: put it in single quotes: `'[query.a]'`
    ");
}

#[test]
fn places_with_a_variable() {
    let job = |place: &str| {
        format!(
            r"    for_each: {{values: [in, out], as: direction}}
    post: /x
    form: {{data: {{'{{{{ direction }}}}': {{offset: 0}}}}}}
    snapshot: daily
    paginate: {{offset: {{into: '{place}', size: 10}}}}
    records: '.report[$direction].rows[]'
    rows: '.report[$direction].rows | length'
"
        )
    };
    assert_eq!(say_landing(&job("form.data[$direction].offset")), "");
    insta::assert_snapshot!(say_landing(&job("form.data[$dir].offset")), @r"
    error: this isn't a place in the request: the variable $dir isn't known; known: $direction
      --> p.yaml:10:43
       |
    10 |     paginate: {offset: {into: 'form.data[$dir].offset', size: 10}}
       |                                           ^^^
       |
       = help: a place is a jq path without its first dot, such as `query.start` or `body.filter[0].gte`
    ");
}
