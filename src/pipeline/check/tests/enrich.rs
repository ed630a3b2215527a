//! Child requests, and which of equal rows stays.

use super::{say, say_job, say_landing};

#[test]
fn a_child_request_sees_its_row() {
    let fine = "    snapshot: daily
    for_each: {values: [a, b], as: site}
    enrich:
      detail: {get: '/d/{{ row.id }}', query: {site: '{{ site }}', at: '{{ now }}'}, value: '.detail | select($status == 200)', on_error: 'null'}
      more: {get: /m, query: {ids: '{{ row.detail.ids }}'}, value: '.[$site]'}
";
    assert_eq!(say_landing(fine), "");
}

#[test]
fn mistakes() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    for_each: {values: [a, b], as: site}
    enrich:
      site: {get: '/d?id={{ row.id', value: .detail}
      more: {get: /d?x=1, query: {after: '{{ cursor }}', token: abc, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
"), @"
    error: `site` is a column already: `for_each` makes it
     --> p.yaml:9:7
      |
    9 |       site: {get: '/d?id={{ row.id', value: .detail}
      |       ^^^^
      |
      = help: choose another name, such as `detail`

    error: template: unexpected end of input, expected end of variable block
     --> p.yaml:9:33
      |
    9 |       site: {get: '/d?id={{ row.id', value: .detail}
      |                                 ^^

    error: a path can't hold a query
      --> p.yaml:10:19
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                   ^^^^^^
       |
       = help: write parameters under `query:`

    error: there is no template variable `cursor`
      --> p.yaml:10:46
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                                              ^^^^^^
       |
       = help: a child request has no pages, and no cursor

    error: `token` looks like a secret, and requests show in logs
      --> p.yaml:10:65
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                                                                 ^^^
       |
       = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`

    error: there is no template variable `window.from`
      --> p.yaml:10:77
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                                                                             ^^^^^^^^^^^
       |
       = help: the job has no `window:`

    error: there is no template variable `rwo`
      --> p.yaml:10:101
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                                                                                                     ^^^^^^
       |
       = help: did you mean `row`?

    error: jq: there is no variable `$row`: there are `$status`, `$headers`, `$site`
      --> p.yaml:10:127
       |
    10 |       more: {get: /d?x=1, query: {after: '{{ cursor }}', token: ***, w: '{{ window.from }}', y: '{{ rwo.id }}'}, value: '.a | $row'}
       |                                                                                                                               ^^^^
    ");
    insta::assert_snapshot!(say_job("    enrich: {detail: {get: '/d/{{ row.id }}', value: .}}\n"), @"
    error: `enrich` has no meaning here: the rows of a job that isn't cut into slices only feed others, as they come
     --> p.yaml:6:13
      |
    6 |     enrich: {detail: {get: '/d/{{ row.id }}', value: .}}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: put it into the job that lands rows
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    enrich: {}\n    query: {id: '{{ row.id }}'}\n"), @"
    error: `enrich` names no column
     --> p.yaml:7:13
      |
    7 |     enrich: {}
      |             ^^
      |
      = help: name one and its request, or remove `enrich`

    error: there is no template variable `row`
     --> p.yaml:8:21
      |
    8 |     query: {id: '{{ row.id }}'}
      |                     ^^^^^^
      |
      = help: did you mean `now`?
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    enrich: {d: {get: /x, value: ., on_error: null}}\n"), @"
    error: without quotes this is nothing at all; write `fail` or, in single quotes, `'null'`
     --> p.yaml:7:47
      |
    7 |     enrich: {d: {get: /x, value: ., on_error: null}}
      |                                               ^^^^
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    enrich: {d: {get: /x, value: ., on_error: nul}}\n"), @"
    error: unknown name `nul`
     --> p.yaml:7:47
      |
    7 |     enrich: {d: {get: /x, value: ., on_error: nul}}
      |                                               ^^^
      |
      = note: expected `fail` or `null`
      = help: did you mean `null`?
    ");
}

#[test]
fn a_credential_that_is_no_header_and_no_parameter_has_no_place_in_a_child_request() {
    let with = |auth: &str| {
        let file = r"version: 1
name: x
source: {base_url: 'http://h', auth: AUTH}
jobs:
  a:
    post: /x
    form: {a: 1}
    paginate: none
    records: '.[]'
    snapshot: daily
    enrich: {d: {get: '/d/{{ row.id }}', value: .}}
    sinks: {lake: {jsonl: {url: ./lake}}}
";
        say(&file.replace("AUTH", auth))
    };
    let login =
        |into: &str| format!("{{login: {{post: /in, form: {{password: '${{TOKEN}}'}}, token: .t, into: {into}}}}}");
    insta::assert_snapshot!(with("{form: {name: t, value: '${TOKEN}'}}"), @"
    error: the credential `t` goes into a form, and a child request has none
      --> p.yaml:11:13
       |
    11 |     enrich: {d: {get: '/d/{{ row.id }}', value: .}}
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: send it in a header or a parameter, if the API can
    ");
    insta::assert_snapshot!(with(&login("form.t")), @"
    error: the token of the login goes into `form.t`, and a child request has none
      --> p.yaml:11:13
       |
    11 |     enrich: {d: {get: '/d/{{ row.id }}', value: .}}
       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: send it in a header or a parameter, if the API can
    ");
    assert_eq!(with(&login("query.t")), "");
}

#[test]
fn the_latest_of_equal_keys() {
    assert_eq!(say_landing("    snapshot: daily\n    key: id\n    latest_by: CAST(v AS BIGINT)\n"), "");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    latest_by: v DESC\n"), @"
    error: `latest_by` chooses among rows with one key, and the job has no `key`
     --> p.yaml:7:16
      |
    7 |     latest_by: v DESC
      |                ^^^^^^
      |
      = help: add `key:`, the columns that identify a row, or remove `latest_by`

    error: SQL: the expression ended before `DESC`: only one expression is allowed here
     --> p.yaml:7:18
      |
    7 |     latest_by: v DESC
      |                  ^^^^
    ");
}
