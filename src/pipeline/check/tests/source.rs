//! The schedule, and where and how requests are sent.

use super::{say, say_job};

fn base_url(url: &str) -> String {
    say(&format!(
        "version: 1\nname: x\nsource: {{base_url: {url}}}\njobs: {{a: {{get: /x, paginate: none, records: '.[]'}}}}\n"
    ))
}

#[test]
fn versions() {
    insta::assert_snapshot!(say("version: 2\nname: x\njobs: {}\n"), @r"
    error: version 2 of the pipeline file is not known
     --> p.yaml:1:10
      |
    1 | version: 2
      |          ^
      |
      = note: expected `1`

    error: the pipeline has no jobs
     --> p.yaml:2:7
      |
    2 | name: x
      |       ^
      |
      = help: add one under `jobs:`
    ");
}

#[test]
fn schedules() {
    let schedule = |text: &str| {
        say(&format!(
            "version: 1\nname: x\nschedule: {{{text}}}\nsource: {{base_url: 'http://h'}}\njobs: {{a: {{get: /x, paginate: none, records: '.[]'}}}}\n"
        ))
    };
    insta::assert_snapshot!(schedule("cron: '15 26 * * *', timezone: Europe/Rom"), @r"
    error: `15 26 * * *` is not a cron expression: `26` can't be the hour (0 to 23)
     --> p.yaml:3:18
      |
    3 | schedule: {cron: '15 26 * * *', timezone: Europe/Rom}
      |                  ^^^^^^^^^^^^^
      |
      = help: write minute, hour, day of month, month and day of week, such as '15 2 * * *'

    error: the time zone `Europe/Rom` is not known
     --> p.yaml:3:43
      |
    3 | schedule: {cron: '15 26 * * *', timezone: Europe/Rom}
      |                                           ^^^^^^^^^^
      |
      = help: did you mean `Europe/Rome`?
    ");
    insta::assert_snapshot!(schedule("cron: 'every night', timezone: Nowhere"), @"
    error: `every night` is not a cron expression: it has 2 fields, not five
     --> p.yaml:3:18
      |
    3 | schedule: {cron: 'every night', timezone: Nowhere}
      |                  ^^^^^^^^^^^^^
      |
      = help: write minute, hour, day of month, month and day of week, such as '15 2 * * *'

    error: the time zone `Nowhere` is not known
     --> p.yaml:3:43
      |
    3 | schedule: {cron: 'every night', timezone: Nowhere}
      |                                           ^^^^^^^
      |
      = help: write an IANA name, such as `Europe/Rome`, `America/Los_Angeles` or `UTC`
    ");
    insta::assert_snapshot!(schedule("cron: '0 0 30 2 *'"), @r"
    error: `0 0 30 2 *` never comes to pass
     --> p.yaml:3:18
      |
    3 | schedule: {cron: '0 0 30 2 *'}
      |                  ^^^^^^^^^^^^
      |
      = help: check the day of the month against the month
    ");
    insta::assert_snapshot!(schedule("cron: '0 2 * *', overlap: wait, catch_up: all, jitter: 5"), @r"
    error: `0 2 * *` is not a cron expression: it has 4 fields, not five
     --> p.yaml:3:18
      |
    3 | schedule: {cron: '0 2 * *', overlap: wait, catch_up: all, jitter: 5}
      |                  ^^^^^^^^^
      |
      = help: write minute, hour, day of month, month and day of week, such as '15 2 * * *'

    error: unknown name `wait`
     --> p.yaml:3:38
      |
    3 | schedule: {cron: '0 2 * *', overlap: wait, catch_up: all, jitter: 5}
      |                                      ^^^^
      |
      = note: expected `skip` or `queue`

    error: unknown name `all`
     --> p.yaml:3:54
      |
    3 | schedule: {cron: '0 2 * *', overlap: wait, catch_up: all, jitter: 5}
      |                                                      ^^^
      |
      = note: expected `latest` or `none`

    error: expected a duration such as `90s`, `1h30m` or `7d`, found the number `5`
     --> p.yaml:3:67
      |
    3 | schedule: {cron: '0 2 * *', overlap: wait, catch_up: all, jitter: 5}
      |                                                                   ^
    ");
    for good in ["'15 2 * * *'", "'0 15 2 * * *'", "'@daily'", "'@Midnight'", "'0 0 29 2 *'"] {
        assert_eq!(schedule(&format!("cron: {good}")), "", "{good}");
    }
}

#[test]
fn base_urls() {
    insta::assert_snapshot!(say("version: 1\nname: x\njobs: {a: {get: /x, paginate: none, records: '.[]'}}\n"), @r"
    error: the job has no `base_url`
     --> p.yaml:3:8
      |
    3 | jobs: {a: {get: /x, paginate: none, records: '.[]'}}
      |        ^
      |
      = help: set it here or under `source:`, such as `https://host/api`
    ");
    insta::assert_snapshot!(base_url("localhost"), @r"
    error: `base_url` must begin with `http://` or `https://`
     --> p.yaml:3:20
      |
    3 | source: {base_url: localhost}
      |                    ^^^^^^^^^
      |
      = help: write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`
    ");
    insta::assert_snapshot!(base_url("host:3000"), @r"
    error: `base_url` must begin with `http://` or `https://`
     --> p.yaml:3:20
      |
    3 | source: {base_url: host:3000}
      |                    ^^^^^^^^^
      |
      = help: write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`
    ");
    insta::assert_snapshot!(base_url("'http://h:99999'"), @r"
    error: `base_url` is not a URL: invalid port number
     --> p.yaml:3:20
      |
    3 | source: {base_url: 'http://h:99999'}
      |                    ^^^^^^^^^^^^^^^^
      |
      = help: write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`
    ");
    insta::assert_snapshot!(base_url("'http://admin:pw@h/'"), @r"
    error: `base_url` can't hold a user or a password
     --> p.yaml:3:20
      |
    3 | source: {base_url: 'http://********@h/'}
      |                    ^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove them, and use `auth: {basic: ...}`
    ");
    insta::assert_snapshot!(base_url("'http://h/?a=1'"), @r"
    error: `base_url` can't hold a query or a fragment
     --> p.yaml:3:20
      |
    3 | source: {base_url: 'http://h/?a=1'}
      |                    ^^^^^^^^^^^^^^^
      |
      = help: write parameters under `query:`
    ");
    insta::assert_snapshot!(base_url("'http://{{ host }}/'"), @r"
    error: `base_url` can't hold a template
     --> p.yaml:3:20
      |
    3 | source: {base_url: 'http://{{ host }}/'}
      |                    ^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it out, or use ${NAME}: the origin must not come from data
    ");
}

#[test]
fn limits() {
    insta::assert_snapshot!(say_job(r"    retry: {attempts: 0, max_delay: 1}
    concurrency: 1000
    rate_limit: 10/d
    max_response: 64MB
    timeout: {conect: 1s}
"), @"
    error: `attempts` can't be 0
     --> p.yaml:6:23
      |
    6 |     retry: {attempts: 0, max_delay: 1}
      |                       ^
      |
      = help: write a number from 1 to 100

    error: expected a duration such as `90s`, `1h30m` or `7d`, found the number `1`
     --> p.yaml:6:37
      |
    6 |     retry: {attempts: 0, max_delay: 1}
      |                                     ^

    error: `concurrency` can't be 1000
     --> p.yaml:7:18
      |
    7 |     concurrency: 1000
      |                  ^^^^
      |
      = help: write a number from 1 to 256

    error: `10/d` is not a rate; write a whole number above 0, `/` and a unit of s, m or h, such as `10/s`
     --> p.yaml:8:17
      |
    8 |     rate_limit: 10/d
      |                 ^^^^

    error: `64MB` is not a size; write a whole number above 0 and a unit of B, KiB, MiB or GiB, such as `64MiB`
     --> p.yaml:9:19
      |
    9 |     max_response: 64MB
      |                   ^^^^

    error: unknown field `conect`
      --> p.yaml:10:15
       |
    10 |     timeout: {conect: 1s}
       |               ^^^^^^
       |
       = note: expected `connect`, `request` or `read`
       = help: did you mean `connect`?
    ");
}

#[test]
fn a_credential_that_no_request_can_carry_is_refused() {
    for auth in
        ["{header: {name: x-key, value: 'Token ${TWO_LINES}'}}", "{headers: {a: '${TOKEN}', b: '${TWO_LINES}'}}"]
    {
        assert!(say_job(&format!("    auth: {auth}\n")).contains("holds a line break or another control character"));
    }
    insta::assert_snapshot!(say_job("    auth: {bearer: '${TWO_LINES}'}\n"), @"
    error: the credential holds a line break or another control character, and can't go into a header
     --> p.yaml:6:11
      |
    6 |     auth: ************************
      |           ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: if it comes from a file, write the file with no more than one line break at its end
    ");
    insta::assert_snapshot!(say_job("    auth: {basic: {username: 'corp:ann', password: '${TWO_LINES}'}}\n"), @"
    error: the user's name of `basic` holds a colon, which ends it there
     --> p.yaml:6:30
      |
    6 |     auth: {basic: {username: 'corp:ann', password: '${TWO_LINES}'}}
      |                              ^^^^^^^^^^
      |
      = help: the server takes what comes before the first colon for the user; where it wants another form, send it by `auth.header`
    ");
}
