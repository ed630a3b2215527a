//! What is said about bad files. Read it as the person on call would: is it clear what to do?

use super::refuse;

/// Loads a file with one job that has these lines, each indented by four.
fn refuse_job(lines: &str) -> String {
    refuse(&format!("version: 1\nname: x\nsource: {{base_url: u}}\njobs:\n  a:\n{lines}"))
}

#[test]
fn everything_wrong_is_said_at_once() {
    insta::assert_snapshot!(refuse(r"version: 70000
name: 123
source:
  base_ulr: http://x
  auth: {basic: {username: a, password: hunter2}}
  timeout: soon
  strict: yes
  colour: blue
jobs:
  alerts:
    get: /x
    paginate: {offset: {into: a, size: '5', lenght: 300}}
    ratio: many
  hosts:
    paginate: {ofset: {into: a, size: -1}}
"), @"
    error: expected a whole number from 0 to 65535, found the number `70000`
     --> pipelines/x.yaml:1:10
      |
    1 | version: 70000
      |          ^^^^^

    error: expected a text, found the number `123`
     --> pipelines/x.yaml:2:7
      |
    2 | name: 123
      |       ^^^
      |
      = help: put it in single quotes: `'123'`

    error: unknown field `base_ulr`
     --> pipelines/x.yaml:4:3
      |
    4 |   base_ulr: http://x
      |   ^^^^^^^^
      |
      = note: expected `base_url`, `auth`, `timeout`, `port` or `strict`
      = help: did you mean `base_url`?

    error: a secret can't be written in the file
     --> pipelines/x.yaml:5:41
      |
    5 |   auth: {basic: {username: a, password: *******}}
      |                                         ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it

    error: `soon` isn't a duration such as `10s`
     --> pipelines/x.yaml:6:12
      |
    6 |   timeout: soon
      |            ^^^^

    error: expected `true` or `false`, found the text `yes`
     --> pipelines/x.yaml:7:11
      |
    7 |   strict: yes
      |           ^^^
      |
      = help: write `true`

    error: unknown field `colour`
     --> pipelines/x.yaml:8:3
      |
    8 |   colour: blue
      |   ^^^^^^
      |
      = note: expected `base_url`, `auth`, `timeout`, `port` or `strict`

    error: expected a whole number from 0 to 4294967295, found the text `5`
      --> pipelines/x.yaml:12:40
       |
    12 |     paginate: {offset: {into: a, size: '5', lenght: 300}}
       |                                        ^^^
       |
       = help: remove the quotes: `5`

    error: unknown field `lenght`
      --> pipelines/x.yaml:12:45
       |
    12 |     paginate: {offset: {into: a, size: '5', lenght: 300}}
       |                                             ^^^^^^
       |
       = note: expected `into`, `size`, `first` or `length`
       = help: did you mean `length`?

    error: expected a whole number from 0 to 255, found the number `300`
      --> pipelines/x.yaml:12:53
       |
    12 |     paginate: {offset: {into: a, size: '5', lenght: 300}}
       |                                                     ^^^

    error: expected a number, found the text `many`
      --> pipelines/x.yaml:13:12
       |
    13 |     ratio: many
       |            ^^^^

    error: missing field `get`
      --> pipelines/x.yaml:14:3
       |
    14 |   hosts:
       |   ^^^^^ in this map
       |
       = help: add `get:`, the path of the request, such as `get: /orders`

    error: unknown name `ofset`
      --> pipelines/x.yaml:15:16
       |
    15 |     paginate: {ofset: {into: a, size: -1}}
       |                ^^^^^
       |
       = note: expected `none` or `offset`
       = help: did you mean `offset`?

    error: expected a whole number from 0 to 4294967295, found the number `-1`
      --> pipelines/x.yaml:15:39
       |
    15 |     paginate: {ofset: {into: a, size: -1}}
       |                                       ^^
    ");
}

#[test]
fn all_missing_fields_are_named() {
    insta::assert_snapshot!(refuse("name: x\nsource:\njobs:\n  a:\n    paginate: {offset: {}}\n  b: {get: /x}\n"), @"
    error: missing field `version`
     --> pipelines/x.yaml:1:1
      |
    1 | name: x
      | ^^^^ in this map
      |
      = help: add `version: 1`

    error: expected a map with `base_url`, `auth`, `timeout`, `port` and `strict`, found nothing
     --> pipelines/x.yaml:2:1
      |
    2 | source:
      | ^^^^^^

    error: missing field `get`
     --> pipelines/x.yaml:4:3
      |
    4 |   a:
      |   ^ in this map
      |
      = help: add `get:`, the path of the request, such as `get: /orders`

    error: missing field `into`
     --> pipelines/x.yaml:5:16
      |
    5 |     paginate: {offset: {}}
      |                ^^^^^^ in this map
      |
      = help: add `into:`, the place in the request that it goes to, such as `into: query.offset`

    error: missing field `size`
     --> pipelines/x.yaml:5:16
      |
    5 |     paginate: {offset: {}}
      |                ^^^^^^ in this map
      |
      = help: add `size:`, how many rows a page is asked for, such as `size: 100`

    error: missing field `paginate`
     --> pipelines/x.yaml:6:3
      |
    6 |   b: {get: /x}
      |   ^ in this map
      |
      = help: add `paginate:`, such as `paginate: {offset: {into: query.offset, size: 100}}`; `paginate: none` for a list of one page
    ");
}

#[test]
fn references_that_lead_nowhere() {
    insta::assert_snapshot!(refuse(r"version: 1
name: x
source:
  base_url: http://${HOST}/${1x}
  auth: {basic: {username: '${USR', password: '${file:gone}'}}
  timeout: ${TOKEN}
  port: ${URL}
"), @r"
    error: the environment variable `HOST` isn't set
     --> pipelines/x.yaml:4:20
      |
    4 |   base_url: http://${HOST}/${1x}
      |                    ^^^^^^^
      |
      = help: set it, or give it a default: `${NAME:-default}` (not for secrets)

    error: `${1x}` names nothing that can be looked up
     --> pipelines/x.yaml:4:28
      |
    4 |   base_url: http://${HOST}/${1x}
      |                            ^^^^^
      |
      = help: use `${NAME}`, `${NAME:-default}` or `${file:path}`; write `$${` for a plain `${`

    error: this `${` is never closed
     --> pipelines/x.yaml:5:29
      |
    5 |   auth: {basic: {username: '${USR', password: '${file:gone}'}}
      |                             ^^^^^
      |
      = help: write `$${` for a plain `${`

    error: can't read the file `gone`: no such file
     --> pipelines/x.yaml:5:48
      |
    5 |   auth: {basic: {username: '${USR', password: '${file:gone}'}}
      |                                                ^^^^^^^^^^^^
      |
      = help: a relative path counts from the folder of the pipeline file

    error: `${TOKEN}` isn't a duration such as `10s`
     --> pipelines/x.yaml:6:12
      |
    6 |   timeout: ${TOKEN}
      |            ^^^^^^^^

    error: expected a whole number from 0 to 65535, found the value of `${URL}`
     --> pipelines/x.yaml:7:9
      |
    7 |   port: ${URL}
      |         ^^^^^^
    ");
}

#[test]
fn secrets_in_the_file() {
    insta::assert_snapshot!(refuse(r"version: 1
name: x
source: {base_url: 5, auth: {basic: {username: u, password: 'hunter2'}}}
jobs: {}
"), @r"
    error: expected a text, found the number `5`
     --> pipelines/x.yaml:3:20
      |
    3 | source: {base_url: 5, auth: {basic: {username: u, password: *********}}}
      |                    ^
      |
      = help: put it in single quotes: `'5'`

    error: a secret can't be written in the file
     --> pipelines/x.yaml:3:61
      |
    3 | source: {base_url: 5, auth: {basic: {username: u, password: *********}}}
      |                                                             ^^^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(refuse("version: 1\nname: x\nsource: {base_url: u, auth: {bearer: '${TOKEN:-x}'}}\n"), @r"
    error: a secret can't have a default in the file
     --> pipelines/x.yaml:3:38
      |
    3 | source: {base_url: u, auth: {bearer: '${TOKEN:-*}'}}
      |                                      ^^^^^^^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: remove `:-` and what follows it
    ");
    insta::assert_snapshot!(refuse("version: 1\nname: x\nsource: {base_url: u, auth: {bearer: 'Bearer ${TOKEN}'}}\n"), @r"
    error: a secret can't be written in the file
     --> pipelines/x.yaml:3:38
      |
    3 | source: {base_url: u, auth: {bearer: *****************}}
      |                                      ^^^^^^^^^^^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(refuse("version: 1\nname: x\nsource: {base_url: u, auth: {bearer: '${EMPTY}'}}\n"), @r"
    error: this secret is empty
     --> pipelines/x.yaml:3:38
      |
    3 | source: {base_url: u, auth: {bearer: '${EMPTY}'}}
      |                                      ^^^^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: the variable or file is there, but has nothing in it
    ");
}

#[test]
fn texts_that_yaml_mangles() {
    insta::assert_snapshot!(refuse_job(r"    get: /x
    paginate: none
    records: .a # the rows
    transform: no
  b:
    get: 010
    records: [.rsp[], {.a: .b}]
    query: {a: no, b: 010, c: on, d: {{ now }}}
    paginate: none
  c:
    get: /x
    records: {a: .b}
    paginate: none
"), @"
    error: YAML takes this for a comment, and ends the text before it
     --> pipelines/x.yaml:8:17
      |
    8 |     records: .a # the rows
      |                 ^^^^^^^^^^ a comment, or a part of the text?
      |
      = help: if it is a part of the text, put it in single quotes; if not, put two blanks before the comment

    error: YAML may read `no` as a boolean
     --> pipelines/x.yaml:9:16
      |
    9 |     transform: no
      |                ^^
      |
      = note: expected an SQL text
      = help: put it in single quotes: `'no'`

    error: YAML may read `010` as a number
      --> pipelines/x.yaml:11:10
       |
    11 |     get: 010
       |          ^^^
       |
       = note: expected a text or template
       = help: put it in single quotes: `'010'`

    error: inside brackets, a text with no quotes ends at a `[`
      --> pipelines/x.yaml:12:15
       |
    12 |     records: [.rsp[], {.a: .b}]
       |               ^^^^^^
       |
       = help: put it in single quotes: `'.rsp[]'`

    error: YAML reads this `{` as the start of a map
      --> pipelines/x.yaml:12:23
       |
    12 |     records: [.rsp[], {.a: .b}]
       |                       ^^^^^^^^
       |
       = note: expected a jq expression
       = help: put it in single quotes: `'{.a: .b}'`

    error: some read `no` as a boolean, others as a text
      --> pipelines/x.yaml:13:16
       |
    13 |     query: {a: no, b: 010, c: on, d: {{ now }}}
       |                ^^
       |
       = help: put it in single quotes: `'no'`, or write true or false

    error: some read `010` as a number, others as a text
      --> pipelines/x.yaml:13:23
       |
    13 |     query: {a: no, b: 010, c: on, d: {{ now }}}
       |                       ^^^
       |
       = help: put it in single quotes: `'010'`

    error: some read `on` as a boolean, others as a text
      --> pipelines/x.yaml:13:31
       |
    13 |     query: {a: no, b: 010, c: on, d: {{ now }}}
       |                               ^^
       |
       = help: put it in single quotes: `'on'`, or write true or false

    error: YAML reads `{{ }}` with no quotes as a map
      --> pipelines/x.yaml:13:38
       |
    13 |     query: {a: no, b: 010, c: on, d: {{ now }}}
       |                                      ^^^^^^^^^
       |
       = help: put it in single quotes: `'{{ now }}'`

    error: YAML reads this `{` as the start of a map
      --> pipelines/x.yaml:17:14
       |
    17 |     records: {a: .b}
       |              ^^^^^^^
       |
       = note: expected a jq expression
       = help: put it in single quotes: `'{a: .b}'`
    ");
}

#[test]
fn texts_that_start_with_an_indicator() {
    insta::assert_snapshot!(refuse_job(r"    get: @x
    query: {a: %d, b: `x`}
    wait: */5 * * * *
    records: !x .a
    paginate: nome
  b:
    get: {{ base }}/x
    paginate: *none
"), @r"
    error: a text can't start with `@` in YAML
     --> pipelines/x.yaml:6:10
      |
    6 |     get: @x
      |          ^^
      |
      = help: put it in single quotes: `'@x'`

    error: a text can't start with `%` in YAML
     --> pipelines/x.yaml:7:16
      |
    7 |     query: {a: %d, b: `x`}
      |                ^^
      |
      = help: put it in single quotes: `'%d'`

    error: a text can't start with ``` in YAML
     --> pipelines/x.yaml:7:23
      |
    7 |     query: {a: %d, b: `x`}
      |                       ^^^
      |
      = help: put it in single quotes: `'`x`'`

    error: a text can't start with `*` in YAML
     --> pipelines/x.yaml:8:11
      |
    8 |     wait: */5 * * * *
      |           ^^^^^^^^^^^
      |
      = help: put it in single quotes: `'*/5 * * * *'`

    error: YAML reads `!x` as a tag, and tags aren't supported
     --> pipelines/x.yaml:9:14
      |
    9 |     records: !x .a
      |              ^^^^^
      |
      = help: if the text starts with `!`, put it in single quotes

    error: unknown name `nome`
      --> pipelines/x.yaml:10:15
       |
    10 |     paginate: nome
       |               ^^^^
       |
       = note: expected `none` or `offset`
       = help: did you mean `none`?

    error: a template with no quotes is a map to YAML
      --> pipelines/x.yaml:12:10
       |
    12 |     get: {{ base }}/x
       |          ^^^^^^^^^^^^
       |
       = help: put it in single quotes: `'{{ base }}/x'`

    error: YAML reads `*none` as an alias, and there is no anchor `&none` before it
      --> pipelines/x.yaml:13:15
       |
    13 |     paginate: *none
       |               ^^^^^
       |
       = help: if it is a text, put it in single quotes: `'*none'`
    ");
}

#[test]
fn broken_yaml() {
    insta::assert_snapshot!(refuse("version: 1\nname: it's: x\n"), @r"
    error: a `:` where no key can stand
     --> pipelines/x.yaml:2:11
      |
    2 | name: it's: x
      |           ^
      |
      = help: if the `:` belongs to a text, put it in single quotes; otherwise check the indentation
    ");
    insta::assert_snapshot!(refuse("version: 1\nsource:\n\tbase_url: x\n"), @r"
    error: a tab can't indent YAML
     --> pipelines/x.yaml:3:2
      |
    3 |     base_url: x
      |     ^
      |
      = help: indent with spaces
    ");
    insta::assert_snapshot!(refuse("version: 1\nname: 'x\nsource: {}\n"), @r"
    error: a text in quotes that started before this line goes on here
     --> pipelines/x.yaml:3:1
      |
    3 | source: {}
      | ^
      |
      = help: close the quote; inside single quotes, write a quote twice: `''`
    ");
    insta::assert_snapshot!(refuse("version: 1\nname: 'it's x'\nsource: {}\n"), @r"
    error: text goes on after the closing quote
     --> pipelines/x.yaml:2:11
      |
    2 | name: 'it's x'
      |           ^
      |
      = help: quote the whole value; inside single quotes, write a quote twice: `''`
    ");
    insta::assert_snapshot!(refuse("version: 1\nsource: {base_url: x\nname: y\n"), @r"
    error: expected `,` or `}` before this
     --> pipelines/x.yaml:3:5
      |
    3 | name: y
      |     ^
      |
      = help: close the `{` before it; if it belongs to a text, put it in single quotes
    ");
    insta::assert_snapshot!(refuse("version: 1\n  name: y\n"), @r"
    error: a `:` where no key can stand
     --> pipelines/x.yaml:2:7
      |
    2 |   name: y
      |       ^
      |
      = help: if the `:` belongs to a text, put it in single quotes; otherwise check the indentation
    ");
    insta::assert_snapshot!(refuse("version: 1\nsource: {base_url: ${URL}, port: ${PORT}}\nname: [\n"), @r"
    error: inside brackets, a text with no quotes ends at a `{`
     --> pipelines/x.yaml:2:20
      |
    2 | source: {base_url: ${URL}, port: ${PORT}}
      |                    ^^^^^^
      |
      = help: put it in single quotes: `'${URL}'`

    error: inside brackets, a text with no quotes ends at a `{`
     --> pipelines/x.yaml:2:34
      |
    2 | source: {base_url: ${URL}, port: ${PORT}}
      |                                  ^^^^^^^
      |
      = help: put it in single quotes: `'${PORT}'`

    error: this `[` is never closed
     --> pipelines/x.yaml:3:7
      |
    3 | name: [
      |       ^
      |
      = note: expected `]`
    ");
    insta::assert_snapshot!(refuse("a: 1\n---\nb: 2\n"), @r"
    error: a second document starts here
     --> pipelines/x.yaml:2:1
      |
    2 | ---
      | ^^^
      |
      = help: write each pipeline in a file of its own
    ");
    insta::assert_snapshot!(refuse(""), @r"
    error: the file is empty
     |
     = help: begin with `version: 1`, `name:`, `source:` and `jobs:`
    ");
}

#[test]
fn keys_that_collide() {
    insta::assert_snapshot!(refuse("version: 1\nname: x\nsource: &s {base_url: x}\nname: y\njobs:\n  <<: *s\n"), @r"
    error: the key `name` stands on line 2 and again on line 4
     --> pipelines/x.yaml:4:1
      |
    2 | name: x
      | ---- the first one
    3 | source: &s {base_url: x}
    4 | name: y
      | ^^^^ the second one
      |
      = help: remove one of them, or give it another name

    error: merge keys (`<<`) aren't supported
     --> pipelines/x.yaml:6:3
      |
    6 |   <<: *s
      |   ^^
      |
      = help: repeat the fields, or put what jobs share under `source`
    ");
}

#[test]
fn wrong_shapes() {
    insta::assert_snapshot!(refuse(r"version: '1'
name: [x]
source: {base_url: u, auth: basic, strict: 'true'}
jobs:
  a: {get: /x, paginate: {none: 1}}
  b: {get: /x, paginate: {none: , offset: {into: x, size: 1}}}
  c: [1]
  d: {get: {a: b}, paginate: {offset: {into: x, size: 1.5}}}
"), @"
    error: expected a whole number from 0 to 65535, found the text `1`
     --> pipelines/x.yaml:1:10
      |
    1 | version: '1'
      |          ^^^
      |
      = help: remove the quotes: `1`

    error: expected a text, found a list
     --> pipelines/x.yaml:2:7
      |
    2 | name: [x]
      |       ^^^

    error: `basic` needs a value
     --> pipelines/x.yaml:3:29
      |
    3 | source: {base_url: u, auth: basic, strict: 'true'}
      |                             ^^^^^
      |
      = note: expected a map with the one key `basic`
      = help: write `{basic: ...}`

    error: expected `true` or `false`, found the text `true`
     --> pipelines/x.yaml:3:44
      |
    3 | source: {base_url: u, auth: basic, strict: 'true'}
      |                                            ^^^^^^
      |
      = help: write `true`

    error: expected `none` alone, found a value
     --> pipelines/x.yaml:5:33
      |
    5 |   a: {get: /x, paginate: {none: 1}}
      |                                 ^

    error: expected exactly one of `none` or `offset`, found a map of 2 keys
     --> pipelines/x.yaml:6:26
      |
    6 |   b: {get: /x, paginate: {none: , offset: {into: x, size: 1}}}
      |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: expected a map with `get`, `query`, `records`, `transform`, `paginate`, `wait` and `ratio`, found a list
     --> pipelines/x.yaml:7:6
      |
    7 |   c: [1]
      |      ^^^

    error: YAML reads this `{` as the start of a map
     --> pipelines/x.yaml:8:12
      |
    8 |   d: {get: {a: b}, paginate: {offset: {into: x, size: 1.5}}}
      |            ^^^^^^
      |
      = note: expected a text or template
      = help: put it in single quotes: `'{a: b}'`

    error: expected a whole number from 0 to 4294967295, found the number `1.5`
     --> pipelines/x.yaml:8:55
      |
    8 |   d: {get: {a: b}, paginate: {offset: {into: x, size: 1.5}}}
      |                                                       ^^^
    ");
}

#[test]
fn a_secret_in_broken_syntax_is_hidden() {
    insta::assert_snapshot!(refuse("version: 1\nname: x\nsource:\n  base_url: u\n  auth: {basic: {username: a, password: *hunter2}}\n"), @r"
    error: YAML reads `****` as an alias, and there is no anchor `&***` before it
     --> pipelines/x.yaml:5:41
      |
    5 |   auth: {basic: {username: a, password: **********
      |                                         ^^^^^^^^
      |
      = help: if it is a text, put it in single quotes: `'****'`
    ");
    insta::assert_snapshot!(refuse("version: 1\npassword: %hunter2\ntoken: hunter2: x\n"), @r"
    error: a text can't start with `%` in YAML
     --> pipelines/x.yaml:2:11
      |
    2 | password: ********
      |           ^^^^^^^^
      |
      = help: put it in single quotes: `'***'`

    error: a `:` where no key can stand
     --> pipelines/x.yaml:3:15
      |
    3 | token: **********
      |               ^
      |
      = help: if the `:` belongs to a text, put it in single quotes; otherwise check the indentation
    ");
}
