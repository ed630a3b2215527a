//! Mistakes in jq, SQL and templates, with their place inside the YAML, and texts that YAML changes.

use super::{say, say_job, say_landing};

#[test]
fn jq() {
    insta::assert_snapshot!(say_landing(r#"    snapshot: daily
    success: '.status == '
    error_message: .errors[0] | joinn(", ")
    empty: >-
      .a
      and ("x" | .b.)
    auth_failed: "\"x\" == $statu"
    paginate: {offset: {into: query.o, size: 1}, more: '.next | not(1)', total: '$rows.['}
"#), @r#"
    error: jq: expected term, found the end of the program
     --> p.yaml:7:26
      |
    7 |     success: '.status == '
      |                          ^

    error: jq: there is no filter `joinn` with 1 argument(s): did you mean `join`?
     --> p.yaml:8:33
      |
    8 |     error_message: .errors[0] | joinn(", ")
      |                                 ^^^^^

    error: jq: expected key, found `)`
      --> p.yaml:11:21
       |
    11 |       and ("x" | .b.)
       |                     ^

    error: jq: there is no variable `$statu`: there are `$status`, `$headers`
      --> p.yaml:12:28
       |
    12 |     auth_failed: "\"x\" == $statu"
       |                            ^^^^^^

    error: jq: there is no filter `not` with 1 argument(s): it takes another number of them
      --> p.yaml:13:65
       |
    13 |     paginate: {offset: {into: query.o, size: 1}, more: '.next | not(1)', total: '$rows.['}
       |                                                                 ^^^

    error: jq: expected closing bracket, found the end of the program
      --> p.yaml:13:89
       |
    13 |     paginate: {offset: {into: query.o, size: 1}, more: '.next | not(1)', total: '$rows.['}
       |                                                                                         ^
    "#);
}

#[test]
fn sql() {
    insta::assert_snapshot!(say_job(r"    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, time: 'to_timestamp(ts'}
    transform: |
      SELECT id,
             FROM records
    sinks:
      a: {jsonl: {url: ./a}, where: count(*) > 1}
      b: {jsonl: {url: ./b}, where: a = 1; DROP TABLE x}
      c: {jsonl: {url: ./c}, where: ''}
"), @r"
    error: SQL: expected ), found the end of the text
     --> p.yaml:6:100
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, time: 'to_timestamp(ts'}
      |                                                                                                    ^

    error: SQL: count() is an aggregate: this is worked out for each row by itself
      --> p.yaml:11:37
       |
    11 |       a: {jsonl: {url: ./a}, where: count(*) > 1}
       |                                     ^^^^^

    error: SQL: the expression ended before `;`: only one expression is allowed here
      --> p.yaml:12:42
       |
    12 |       b: {jsonl: {url: ./b}, where: a = 1; DROP TABLE x}
       |                                          ^

    error: SQL: expected an expression, found the end of the text
      --> p.yaml:13:37
       |
    13 |       c: {jsonl: {url: ./c}, where: ''}
       |                                     ^
    ");
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    transform: |
      SELECT id, random() AS r
      FROM records
"), @r"
    error: SQL: random() is refused: a slice that is read again has to give the same rows
     --> p.yaml:8:18
      |
    8 |       SELECT id, random() AS r
      |                  ^^^^^^
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    transform: DELETE FROM records\n"), @r"
    error: SQL: only one SELECT is allowed here, and this begins with `DELETE`
     --> p.yaml:7:16
      |
    7 |     transform: DELETE FROM records
      |                ^^^^^^
    ");
    insta::assert_snapshot!(say_landing("    snapshot: daily\n    transform: SELECT a FROM record\n"), @r"
    error: SQL: there is no table `record`: this SQL can read `records` (names are case-sensitive)
     --> p.yaml:7:30
      |
    7 |     transform: SELECT a FROM record
      |                              ^^^^^^
    ");
}

#[test]
fn templates() {
    insta::assert_snapshot!(say_job(r"    for_each: {values: [a, b], as: item}
    get: /x/{{ item.id }}/{{ window.from }}
    headers: {x-when: 'now {{ nwo }}', 'x y': 1}
    query: {a: '{{ item', b: '{{ now | agoo(1) }}', c: '{{ now.year }}', d: '{% if items %}items{% endif %}'}
    records: '.[]'
"), @r"
    error: there is no template variable `item.id`
     --> p.yaml:7:16
      |
    7 |     get: /x/{{ item.id }}/{{ window.from }}
      |                ^^^^^^^
      |
      = help: `item` is one of the listed values, with nothing inside: write `item`

    error: there is no template variable `window.from`
     --> p.yaml:7:30
      |
    7 |     get: /x/{{ item.id }}/{{ window.from }}
      |                              ^^^^^^^^^^^
      |
      = help: the job has no `window:`

    error: there is no template variable `nwo`
     --> p.yaml:8:31
      |
    8 |     headers: {x-when: 'now {{ nwo }}', 'x y': 1}
      |                               ^^^
      |
      = help: did you mean `now`?

    error: `x y` can't be the name of a header
     --> p.yaml:8:40
      |
    8 |     headers: {x-when: 'now {{ nwo }}', 'x y': 1}
      |                                        ^^^^^
      |
      = help: use letters, digits and `-`, such as `x-request-id`

    error: template: unexpected end of input, expected end of variable block
     --> p.yaml:9:20
      |
    9 |     query: {a: '{{ item', b: '{{ now | agoo(1) }}', c: '{{ now.year }}', d: '{% if items %}items{% endif %}'}
      |                    ^^^^

    error: there is no filter `agoo` for templates
     --> p.yaml:9:40
      |
    9 |     query: {a: '{{ item', b: '{{ now | agoo(1) }}', c: '{{ now.year }}', d: '{% if items %}items{% endif %}'}
      |                                        ^^^^
      |
      = help: did you mean `ago`?

    error: there is no template variable `now.year`
     --> p.yaml:9:60
      |
    9 |     query: {a: '{{ item', b: '{{ now | agoo(1) }}', c: '{{ now.year }}', d: '{% if items %}items{% endif %}'}
      |                                                            ^^^^^^^^
      |
      = help: `now` is an instant: print it with `now | time('%Y-%m-%d')`

    error: there is no template variable `items`
     --> p.yaml:9:84
      |
    9 |     query: {a: '{{ item', b: '{{ now | agoo(1) }}', c: '{{ now.year }}', d: '{% if items %}items{% endif %}'}
      |                                                                                    ^^^^^
      |
      = help: did you mean `item`?
    ");
    insta::assert_snapshot!(say_landing(r"    window: {every: 1d, start: -1d, as: epoch_s}
    post: /x
    body: {since: '{{ window.start }}', until: ['{{ window.to }}'], '{{ key }}': 1}
"), @"
    error: the window's beginning is never sent: each slice would ask for all that comes before it too
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`from: query.since`), or use `{{ window.from }}` in the request; if the API can't, add `time:`, which drops those rows

    error: there is no template variable `window.start`
     --> p.yaml:8:23
      |
    8 |     body: {since: '{{ window.start }}', until: ['{{ window.to }}'], '{{ key }}': 1}
      |                       ^^^^^^^^^^^^
      |
      = help: the window has `window.from`, `window.to` and `window.at`

    error: there is no template variable `key`
     --> p.yaml:8:69
      |
    8 |     body: {since: '{{ window.start }}', until: ['{{ window.to }}'], '{{ key }}': 1}
      |                                                                     ^^^^^^^^^^^
      |
      = help: templates here see `now`, `cursor`, `window.from`, `window.to`
    ");
}

#[test]
fn expressions_that_reach_into_the_records() {
    insta::assert_snapshot!(say_landing(r"    snapshot: daily
    success: .ok and (.data.rows | length) > 0
    paginate: {offset: {into: query.o, size: 1}, more: '.data.rows[-1].more'}
    records: ['.data.rows[]', '.Data.rows[]?']
"), @r"
    error: this expression reaches into the records (`.data.rows`), which it doesn't see
     --> p.yaml:7:23
      |
    7 |     success: .ok and (.data.rows | length) > 0
      |                       ^^^^^^^^^^
      |
      = help: leave them out, or make `records` a jq program: then it sees the whole body

    error: this expression reaches into the records (`.data.rows`), which it doesn't see
     --> p.yaml:8:57
      |
    8 |     paginate: {offset: {into: query.o, size: 1}, more: '.data.rows[-1].more'}
      |                                                         ^^^^^^^^^^
      |
      = help: use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program
    ");
    assert_eq!(
        say_landing(
            r"    snapshot: daily
    paginate: {offset: {into: query.o, size: 1}, more: '.data.more', total: '.data.total'}
    records: '.data.rows[]'
"
        ),
        ""
    );
}

#[test]
fn texts_that_yaml_changes() {
    insta::assert_snapshot!(say(r"version: 1
name: x
schedule: {cron: */5 * * * *}
source: {base_url: 'http://h', success: .rc == 0 # fine}
jobs:
  a:
    get: /x
    query: {on: no, code: 010, when: {{ now }}}
    paginate: none
    records: [.rows[]]
    transform: SELECT a #1 FROM records
"), @r"
    error: a text can't start with `*` in YAML
     --> p.yaml:3:18
      |
    3 | schedule: {cron: */5 * * * *}
      |                  ^^^^^^^^^^^
      |
      = help: put it in single quotes: `'*/5 * * * *'`

    error: YAML takes this for a comment, its brackets included
     --> p.yaml:4:50
      |
    4 | source: {base_url: 'http://h', success: .rc == 0 # fine}
      |                                                  ^^^^^^^ a comment, or a part of the text?
      |
      = help: if it is a part of the text, put it in single quotes; if not, put the comment after the closing bracket
    ");
    insta::assert_snapshot!(say("version: 1\nname: x\njobs:\n\ta: 1\n"), @r"
    error: a tab can't indent YAML
     --> p.yaml:4:2
      |
    4 |     a: 1
      |     ^
      |
      = help: indent with spaces
    ");
    insta::assert_snapshot!(say("version: 1\nname: x\nname: y\njobs:\n  a: &a {get: /x}\n  b: {<<: *a}\n  a: *b\n"), @"
    error: the key `name` stands on line 2 and again on line 3
     --> p.yaml:3:1
      |
    2 | name: x
      | ---- the first one
    3 | name: y
      | ^^^^ the second one
      |
      = help: remove one of them, or give it another name

    error: missing field `paginate`
     --> p.yaml:5:3
      |
    5 |   a: &a {get: /x}
      |   ^ in this map
      |
      = help: add `paginate:`, such as `paginate: {offset: {into: query.offset, size: 100}}`; `paginate: none` for a list of one page

    error: missing field `records`
     --> p.yaml:5:3
      |
    5 |   a: &a {get: /x}
      |   ^ in this map
      |
      = help: add `records:`

    error: merge keys (`<<`) aren't supported
     --> p.yaml:6:7
      |
    6 |   b: {<<: *a}
      |       ^^
      |
      = help: repeat the fields, or put what jobs share under `source`

    error: the key `a` stands on line 5 and again on line 7
     --> p.yaml:7:3
      |
    5 |   a: &a {get: /x}
      |   - the first one
    6 |   b: {<<: *a}
    7 |   a: *b
      |   ^ the second one
      |
      = help: remove one of them, or give it another name

    error: YAML reads `*b` as an alias, and there is no anchor `&b` before it
     --> p.yaml:7:6
      |
    7 |   a: *b
      |      ^^
      |
      = help: if it is a text, put it in single quotes: `'*b'`
    ");
}

#[test]
fn anchors_may_repeat_parts() {
    let text = r"version: 1
name: x
source: {base_url: 'http://h'}
jobs:
  a:
    get: /x
    query: &query {a: 1}
    paginate: none
    records: '.[]'
  b: {get: /y, query: *query, paginate: none, records: '.[]'}
";
    assert_eq!(say(text), "");
}

#[test]
fn a_header_that_the_client_makes_is_not_for_the_file() {
    for name in ["content-length", "Transfer-Encoding"] {
        let said = say_job(&format!("    get: /x\n    headers: {{{name}: '3'}}\n    records: '.[]'\n"));
        assert!(said.contains(&format!("`{name}` isn't for the file to say")), "{said}");
        assert!(said.contains("remove it: it is made from the body"), "{said}");
    }
}
