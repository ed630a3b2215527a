//! Sinks that send.

use super::say;

/// What is said of an `http` sink with these keys.
fn say_sink(keys: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("          {}\n", line.trim())).collect();
    let job = "get: /x\n    paginate: none\n    records: '.[]'\n    snapshot: daily";
    let head = "version: 1\nname: x\nsource: {base_url: 'http://h'}\njobs:\n  a:";
    say(&format!("{head}\n    {job}\n    sinks:\n      tickets:\n        http:\n{keys}"))
}

#[test]
fn one_that_is_right() {
    for keys in [
        "",
        "concurrency: 4\nfind: {get: '/x/{{ key }}', found: .total > 0}",
        "find: {get: '/x/{{ key }}', found: .total > 0, lag: 10m}",
        "batch: {rows: 9}\nidempotency_key: {header: X-Key}",
    ] {
        let rows = if keys.contains("batch") { "rows" } else { "row.id" };
        let keys = format!("base_url: 'http://h'\npost: /t\nkey: id\nbody: {{id: '{{{{ {rows} }}}}'}}\n{keys}");
        assert_eq!(say_sink(&keys), "", "{keys}");
    }
}

#[test]
fn no_delivery_waits_an_hour_for_a_row_to_show() {
    let find = "base_url: 'http://h'\npost: /t\nkey: id\nfind: {get: '/x/{{ key }}', found: .total > 0, lag: 1h}";
    insta::assert_snapshot!(say_sink(find), @"
    error: a delivery doesn't wait that long for a row to show
      --> p.yaml:16:63
       |
    16 |           find: {get: '/x/{{ key }}', found: .total > 0, lag: 1h}
       |                                                               ^^
       |
       = help: write at most `10m`; or `find` it by a request that doesn't go by a search index
    ");
}

#[test]
fn what_is_missing() {
    insta::assert_snapshot!(say_sink("key: []"), @"
    error: the `http` sink has no `base_url`
      --> p.yaml:13:11
       |
    13 |           key: []
       |           ^^^^^^^
       |
       = help: add `base_url:`, such as `https://desk.example.com/api`: that of `source` isn't used

    error: the `http` sink sends no request
      --> p.yaml:13:11
       |
    13 |           key: []
       |           ^^^^^^^
       |
       = help: write `post:` and a path, such as `post: /issue`

    error: `key` names no column, so it can't be known what was sent
      --> p.yaml:13:16
       |
    13 |           key: []
       |                ^^
       |
       = help: name the columns of the transform that identify a row
    ");
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\npost: /t\nkey: id\nfind: {get: /x}"), @"
    error: missing field `found`
      --> p.yaml:16:11
       |
    16 |           find: {get: /x}
       |           ^^^^ in this map
       |
       = help: add `found:`

    error: `find` asks the same for each row, so one that is there would stand for all of them
      --> p.yaml:16:17
       |
    16 |           find: {get: /x}
       |                 ^^^^^^^^^
       |
       = help: name the row in it, such as `query: {id: '{{ row.id }}'}`, or `'{{ key }}'` where that was sent
    ");
}

#[test]
fn what_is_the_same_for_each_row() {
    let sink = "base_url: 'http://h'\npost: /t\nkey: id";
    insta::assert_snapshot!(say_sink(&format!("{sink}\nfind: {{get: /f, query: {{q: x}}, found: .n > 0}}")), @"
    error: `find` asks the same for each row, so one that is there would stand for all of them
      --> p.yaml:16:17
       |
    16 |           find: {get: /f, query: {q: x}, found: .n > 0}
       |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: name the row in it, such as `query: {id: '{{ row.id }}'}`, or `'{{ key }}'` where that was sent
    ");
    for find in [
        "{get: '/f/{{ row.id }}', found: .n > 0}",
        "{get: /f, query: {'{{ key }}': 1}, found: .n > 0}",
        "{post: /f, body: {any: [{id: '{{ row[\"id\"] }}'}]}, found: .n > 0}",
    ] {
        assert_eq!(say_sink(&format!("{sink}\nfind: {find}")), "", "{find}");
    }
    assert_eq!(
        say_sink(&format!("{sink}\nheaders: {{x-alert: '{{{{ row.id }}}}'}}\nfind: {{get: /f, found: .n > 0}}")),
        ""
    );
}

#[test]
fn names_that_do_not_exist() {
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\npost: '/t/{{ now }}'\nkey: id\nbody: {a: '{{ rows }}', b: '{{ key.x }}', c: '{{ iface }}'}"), @"
    error: there is no template variable `now`
      --> p.yaml:14:24
       |
    14 |           post: '/t/{{ now }}'
       |                        ^^^
       |
       = help: a request that is sent again must be the same, so it sees no clock: take a time from the row

    error: there is no template variable `rows`
      --> p.yaml:16:25
       |
    16 |           body: {a: '{{ rows }}', b: '{{ key.x }}', c: '{{ iface }}'}
       |                         ^^^^
       |
       = help: without `batch` a request has one row: use `row`, such as `{{ row.id }}`

    error: there is no template variable `key.x`
      --> p.yaml:16:42
       |
    16 |           body: {a: '{{ rows }}', b: '{{ key.x }}', c: '{{ iface }}'}
       |                                          ^^^^^
       |
       = help: `key` is a text: write `key`

    error: there is no template variable `iface`
      --> p.yaml:16:60
       |
    16 |           body: {a: '{{ rows }}', b: '{{ key.x }}', c: '{{ iface }}'}
       |                                                            ^^^^^
       |
       = help: templates of an `http` sink see `row` and `key`
    ");
}

#[test]
fn what_does_not_fit() {
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\npost: /t\nput: /t\nkey: id\nconcurrency: 4\nempty: 'true'\nformat: jsonl\nbatch: {rows: 0}"), @"
    error: a sink sends one kind of request
      --> p.yaml:15:16
       |
    15 |           put: /t
       |                ^^
       |
       = help: keep one of `post`, `put`, `patch`, `delete` and `request`

    error: requests that can't be known again go one by one: each that is out when the process is killed may be doubled
      --> p.yaml:17:24
       |
    17 |           concurrency: 4
       |                        ^
       |
       = help: add `find:`, `exists:` or an `idempotency_key:` that the server honours; or remove `concurrency`

    error: `empty` is about pages, and a sink has none
      --> p.yaml:18:18
       |
    18 |           empty: 'true'
       |                  ^^^^^^
       |
       = help: remove it; an answer that says that the row is there already is named by `exists`

    error: `format` is about pages, and a sink has none
      --> p.yaml:19:19
       |
    19 |           format: jsonl
       |                   ^^^^^
       |
       = help: remove it: expressions see the body of an answer where it is JSON, and null where it isn't

    error: a request can't have 0 rows
      --> p.yaml:20:25
       |
    20 |           batch: {rows: 0}
       |                         ^
       |
       = help: write a number from 1 to 10000
    ");
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\npost: /t\nkey: id\nbatch: {rows: 5}\nfind: {get: /x, found: 'true'}\nidempotency_key: {header: 'a b', value: x}"), @"
    error: `find` looks one row up, and a request has several
      --> p.yaml:17:17
       |
    17 |           find: {get: /x, found: 'true'}
       |                 ^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: remove `batch`, so that each row is looked up; or `find`, for a server that knows a request again

    error: `a b` can't be the name of a header
      --> p.yaml:18:37
       |
    18 |           idempotency_key: {header: 'a b', value: x}
       |                                     ^^^^^
       |
       = help: use letters, digits and `-`, such as `x-request-id`

    error: all requests would have one idempotency key, and be taken for one
      --> p.yaml:18:51
       |
    18 |           idempotency_key: {header: 'a b', value: x}
       |                                                   ^
       |
       = help: remove it (the default is made of the row's key), or write a template such as '{{ row.id }}'
    ");
}

#[test]
fn secrets_are_not_written_down() {
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\npost: /t\nkey: id\nauth: {bearer: hunter2}\nheaders: {x-api-key: hunter3}"), @"
    error: a secret can't be written in the file
      --> p.yaml:16:26
       |
    16 |           auth: {bearer: *******}
       |                          ^^^^^^^
       |
       = note: expected `${NAME}` or `${file:path}`
       = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it

    error: `x-api-key` looks like a secret, and requests show in logs
      --> p.yaml:17:32
       |
    17 |           headers: {x-api-key: *******}
       |                                ^^^^^^^
       |
       = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`
    ");
}

#[test]
fn the_job_needs_no_other_sink() {
    let file = "version: 1\nname: x\nsource: {base_url: 'http://h'}\njobs:\n  a: {get: /x, paginate: none, records: '.[]', snapshot: daily, sinks: {t: {http: {base_url: 'http://h', post: /t, key: id}}}}\n";
    assert_eq!(say(file), "");
}

#[test]
fn a_method_of_rows_is_a_template() {
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\nrequest: {method: PUT, path: '/{{ row.id }}'}\nkey: id"), @"
    error: `PUT` is the same method for each row
      --> p.yaml:14:29
       |
    14 |           request: {method: PUT, path: '/{{ row.id }}'}
       |                             ^^^
       |
       = help: write `post:`, `put:`, `patch:` or `delete:`, and the path, instead of `request`
    ");
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\nrequest: {method: '{{ rows }}', path: /t}\nkey: id"), @"
    error: there is no template variable `rows`
      --> p.yaml:14:33
       |
    14 |           request: {method: '{{ rows }}', path: /t}
       |                                 ^^^^
       |
       = help: without `batch` a request has one row: use `row`, such as `{{ row.id }}`
    ");
    insta::assert_snapshot!(say_sink("base_url: 'http://h'\nmethod: PUT\npath: /t\nkey: id"), @"
    error: unknown field `method`
      --> p.yaml:14:11
       |
    14 |           method: PUT
       |           ^^^^^^
       |
       = help: write the method and the path as one: `post: /tickets`; where the method depends on the row, `request: {method: '{{ ... }}', path: /tickets}`

    error: unknown field `path`
      --> p.yaml:15:11
       |
    15 |           path: /t
       |           ^^^^
       |
       = help: write the method and the path as one: `post: /tickets`; where the method depends on the row, `request: {method: '{{ ... }}', path: /tickets}`
    ");
}
