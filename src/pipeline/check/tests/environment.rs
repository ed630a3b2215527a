//! `${...}`: values that aren't there, and values that must not be shown.

use super::{say, say_job};

#[test]
fn values_that_are_not_there() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source:
  base_url: ${NO_URL}
  auth: {basic: {username: '${NO_USER:-admin}', password: '${NO_PASSWORD}'}}
jobs:
  a:
    get: /x
    query: {key: '${file:gone}'}
    paginate: none
    records: '.[]'
"), @r"
    error: the environment variable `NO_URL` isn't set
     --> p.yaml:4:13
      |
    4 |   base_url: ${NO_URL}
      |             ^^^^^^^^^
      |
      = help: set it, or give it a default: `${NAME:-default}` (not for secrets)

    error: the environment variable `NO_PASSWORD` isn't set
     --> p.yaml:5:60
      |
    5 |   auth: {basic: {username: '${NO_USER:-admin}', password: '${NO_PASSWORD}'}}
      |                                                            ^^^^^^^^^^^^^^
      |
      = help: set it, or give it a default: `${NAME:-default}` (not for secrets)

    error: can't read the file `gone`: no such file
     --> p.yaml:9:19
      |
    9 |     query: {key: '${file:gone}'}
      |                   ^^^^^^^^^^^^
      |
      = help: a relative path counts from the folder of the pipeline file
    ");
}

#[test]
fn values_stay_hidden_in_the_wrong_field() {
    insta::assert_snapshot!(say(r"version: 1
name: ${TOKEN}
schedule: {cron: '${WHEN}', timezone: '${TOKEN}'}
source: {base_url: '${TOKEN}'}
jobs:
  a:
    get: /x
    window: {every: 1d, start: '${TOKEN}', as: '${TOKEN}', from: 'query.${TOKEN}', to: '${TOKEN}'}
    paginate: none
    records: '${WHEN}'
    sinks: {lake: {parquet: {url: './x', partition_by: ['${WHEN}(']}}}
"), @"
    error: `${WHEN}` is not a cron expression: it has 2 fields, not five
     --> p.yaml:3:18
      |
    3 | schedule: {cron: '${WHEN}', timezone: '${TOKEN}'}
      |                  ^^^^^^^^^
      |
      = help: write minute, hour, day of month, month and day of week, such as '15 2 * * *'

    error: the time zone `${TOKEN}` is not known
     --> p.yaml:3:39
      |
    3 | schedule: {cron: '${WHEN}', timezone: '${TOKEN}'}
      |                                       ^^^^^^^^^^
      |
      = help: write an IANA name, such as `Europe/Rome`, `America/Los_Angeles` or `UTC`

    error: `base_url` must begin with `http://` or `https://`
     --> p.yaml:4:20
      |
    4 | source: {base_url: '${TOKEN}'}
      |                    ^^^^^^^^^^
      |
      = help: write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`

    error: `${TOKEN}` is not an instant that a window can start at
     --> p.yaml:8:32
      |
    8 |     window: {every: 1d, start: '${TOKEN}', as: '${TOKEN}', from: 'query.${TOKEN}', to: '${TOKEN}'}
      |                                ^^^^^^^^^^
      |
      = help: write an instant with an offset, such as `2026-01-01T00:00:00Z`, or how long ago, such as `-30d`

    error: `${TOKEN}` is not a way to write instants
     --> p.yaml:8:48
      |
    8 |     window: {every: 1d, start: '${TOKEN}', as: '${TOKEN}', from: 'query.${TOKEN}', to: '${TOKEN}'}
      |                                                ^^^^^^^^^^
      |
      = help: write `epoch_s`, `epoch_ms`, `rfc3339` or a strftime format such as '%Y-%m-%d %H:%M:%S'

    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not '${TOKEN}'
     --> p.yaml:8:89
      |
    8 |     window: {every: 1d, start: '${TOKEN}', as: '${TOKEN}', from: 'query.${TOKEN}', to: '${TOKEN}'}
      |                                                                                         ^
      |
      = help: a place is a jq path without its first dot, such as `query.start` or `body.filter[0].gte`

    error: jq: expected token, found `'clock`; a text stands in double quotes
      --> p.yaml:10:15
       |
    10 |     records: '${WHEN}'
       |               ^
       |
       = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program

    error: `${WHEN}(` is not a partition
      --> p.yaml:11:57
       |
    11 |     sinks: {lake: {parquet: {url: './x', partition_by: ['${WHEN}(']}}}
       |                                                         ^^^^^^^^^^
       |
       = help: write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one
    ");
}

#[test]
fn a_value_is_refused_by_its_name() {
    insta::assert_snapshot!(say_job("    snapshot: ${TOKEN}\n    concurrency: ${TOKEN}\n"), @r"
    error: unknown name `${TOKEN}`
     --> p.yaml:6:15
      |
    6 |     snapshot: ${TOKEN}
      |               ^^^^^^^^
      |
      = note: expected `daily`, `every_run` or `latest`

    error: expected a whole number from 0 to 4294967295, found the value of `${TOKEN}`
     --> p.yaml:7:18
      |
    7 |     concurrency: ${TOKEN}
      |                  ^^^^^^^^
    ");
}

#[test]
fn a_secret_that_is_too_short_to_be_hidden() {
    let file = |password: &str| {
        format!(
            "version: 1\nname: x\nsource: {{base_url: 'http://h', auth: {{login: {{post: /in, form: {{user: '${{SHORT}}', password: '{password}'}}}}}}}}\n\
             jobs: {{a: {{get: /x, paginate: none, records: '.[]'}}}}\n"
        )
    };
    let said = say(&file("${SHORT}"));
    insta::assert_snapshot!(said, @"
    warning: the secret `${SHORT}` has less than 4 characters
     --> p.yaml:3:72
      |
    3 | source: {base_url: 'http://h', auth: {login: {post: /in, form: {user: '${SHORT}', password: '${SHORT}'}}}}
      |                                                                        ^^^^^^^^
      |
      = help: in messages it is hidden only where it stands as a word of its own, and it is soon guessed: take a longer one
    ");
    assert_eq!(say(&file("${TOKEN}")), "", "a user isn't a secret");
}
