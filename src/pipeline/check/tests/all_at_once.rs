//! A file with some of everything.

use super::say;

#[test]
fn twenty_mistakes_are_said_at_once() {
    insta::assert_snapshot!(say(r"version: 2
name: Ntop NG
schedule: {cron: '61 2 * * *', timezone: Europe/Roma}
source:
  base_url: ntopng:3000
  auth: {basic: {username: admin, password: hunter2}}
  timeot: {connect: 10s}
  success: '.rc = = 0'
jobs:
  interfaces:
    get: /interfaces?all=1
    records: '.rsp[]'
    paginate: none
    window: {every: 1d, start: 2026-01-01, as: epoch, from: query.from}
  flow-alerts:
    for_each: {rows_of: interface, as: iface, key: ifid}
    get: /alerts
    query: {ifid: '{{ ifac.ifid }}', limit: ten, api_key: hunter2}
    snapshot: hourly
    paginate: {offset: {into: form.start, size: 0}, total: '.rsp.records | length'}
    records: '.rsp.records[]'
    key: []
    schema: {columns: {score: integer}}
    transform: SELECT * FROM recrods
    sinks:
      lake: {parquet: {url: ftp://lake, partition_by: [date(ts)]}}
      feed: {csv: {url: ./lake, delimiter: ;;}, where: severity === 3}
  hosts:
    for_each: {rows_of: interfaces, as: iface, key: ifid}
    get: /hosts
    paginate: {seek: {into: query.after, value: $lst.id, order: asc, size: 10}}
    records: .rsp[
    rows: .n
"), @r#"
    error: version 2 of the pipeline file is not known
     --> p.yaml:1:10
      |
    1 | version: 2
      |          ^
      |
      = note: expected `1`

    error: `Ntop NG` can't be a pipeline's name
     --> p.yaml:2:7
      |
    2 | name: Ntop NG
      |       ^^^^^^^
      |
      = help: use lower-case letters, digits and `-` between them, at most 64 in all: `ntop-ng`

    error: `61 2 * * *` is not a cron expression: `61` can't be the minute (0 to 59)
     --> p.yaml:3:18
      |
    3 | schedule: {cron: '61 2 * * *', timezone: Europe/Roma}
      |                  ^^^^^^^^^^^^
      |
      = help: write minute, hour, day of month, month and day of week, such as '15 2 * * *'

    error: the time zone `Europe/Roma` is not known
     --> p.yaml:3:42
      |
    3 | schedule: {cron: '61 2 * * *', timezone: Europe/Roma}
      |                                          ^^^^^^^^^^^
      |
      = help: did you mean `Europe/Rome`?

    error: `base_url` must begin with `http://` or `https://`
     --> p.yaml:5:13
      |
    5 |   base_url: ntopng:3000
      |             ^^^^^^^^^^^
      |
      = help: write the scheme, the host and maybe a port and a path, such as `https://host:3000/api`

    error: a secret can't be written in the file
     --> p.yaml:6:45
      |
    6 |   auth: {basic: {username: admin, password: *******}}
      |                                             ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it

    error: unknown field `timeot`
     --> p.yaml:7:3
      |
    7 |   timeot: {connect: 10s}
      |   ^^^^^^
      |
      = help: did you mean `timeout`?

    error: jq: expected term, found `=`
     --> p.yaml:8:19
      |
    8 |   success: '.rc = = 0'
      |                   ^

    error: a path can't hold a query
      --> p.yaml:11:10
       |
    11 |     get: /interfaces?all=1
       |          ^^^^^^^^^^^^^^^^^
       |
       = help: write parameters under `query:`

    error: `2026-01-01` is not an instant that a window can start at
      --> p.yaml:14:32
       |
    14 |     window: {every: 1d, start: 2026-01-01, as: epoch, from: query.from}
       |                                ^^^^^^^^^^
       |
       = help: say in which time zone: `2026-01-01T00:00:00Z` is UTC

    error: `epoch` is not a way to write instants
      --> p.yaml:14:48
       |
    14 |     window: {every: 1d, start: 2026-01-01, as: epoch, from: query.from}
       |                                                ^^^^^
       |
       = help: did you mean `epoch_s`?

    error: `flow-alerts` can't be a job's name
      --> p.yaml:15:3
       |
    15 |   flow-alerts:
       |   ^^^^^^^^^^^
       |
       = help: use lower-case letters, digits and `_` between them, at most 64 in all: `flow_alerts`

    error: there is no job `interface`
      --> p.yaml:16:25
       |
    16 |     for_each: {rows_of: interface, as: iface, key: ifid}
       |                         ^^^^^^^^^
       |
       = note: expected the name of another job
       = help: did you mean `interfaces`?

    error: there is no template variable `ifac`
      --> p.yaml:18:23
       |
    18 |     query: {ifid: '{{ ifac.ifid }}', limit: ten, api_key: *******}
       |                       ^^^^^^^^^
       |
       = help: did you mean `iface`?

    error: `api_key` looks like a secret, and requests show in logs
      --> p.yaml:18:59
       |
    18 |     query: {ifid: '{{ ifac.ifid }}', limit: ten, api_key: *******}
       |                                                           ^^^^^^^
       |
       = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`

    error: unknown name `hourly`
      --> p.yaml:19:15
       |
    19 |     snapshot: hourly
       |               ^^^^^^
       |
       = note: expected `daily`, `every_run` or `latest`

    error: a page of no rows never moves on
      --> p.yaml:20:49
       |
    20 |     paginate: {offset: {into: form.start, size: 0}, total: '.rsp.records | length'}
       |                                                 ^
       |
       = help: write how many rows to ask for

    error: this expression reaches into the records (`.rsp.records`), which it doesn't see
      --> p.yaml:20:61
       |
    20 |     paginate: {offset: {into: form.start, size: 0}, total: '.rsp.records | length'}
       |                                                             ^^^^^^^^^^^^
       |
       = help: use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program

    error: there is no type `integer`
      --> p.yaml:23:31
       |
    23 |     schema: {columns: {score: integer}}
       |                               ^^^^^^^
       |
       = help: the types are bool, int64, uint64, float64, decimal, string, timestamp, date, json, list, struct

    error: SQL: there is no table `recrods`: this SQL can read `records` (names are case-sensitive)
      --> p.yaml:24:30
       |
    24 |     transform: SELECT * FROM recrods
       |                              ^^^^^^^

    error: `ftp://` is not a place for files
      --> p.yaml:26:29
       |
    26 |       lake: {parquet: {url: ftp://lake, partition_by: [date(ts)]}}
       |                             ^^^^^^^^^^
       |
       = help: write `./dir`, `/dir`, `file:///dir` or `s3://bucket/prefix`

    error: `date(ts)` is not a partition
      --> p.yaml:26:56
       |
    26 |       lake: {parquet: {url: ftp://lake, partition_by: [date(ts)]}}
       |                                                        ^^^^^^^^
       |
       = help: write a column of the transform, or `year(c)`, `month(c)`, `day(c)` or `hour(c)` of one

    error: `;;` can't stand between two cells
      --> p.yaml:27:44
       |
    27 |       feed: {csv: {url: ./lake, delimiter: ;;}, where: severity === 3}
       |                                            ^^
       |
       = help: write one ASCII character, such as ',' or '|' or a tab ("\t")

    error: SQL: expected an expression, found =
      --> p.yaml:27:67
       |
    27 |       feed: {csv: {url: ./lake, delimiter: ;;}, where: severity === 3}
       |                                                                   ^

    error: `interfaces` can't feed other jobs: it is read in slices, not whole
      --> p.yaml:29:25
       |
    29 |     for_each: {rows_of: interfaces, as: iface, key: ifid}
       |                         ^^^^^^^^^^
       |
       = help: name a job that has no `window` and no `incremental`

    error: jq: there is no variable `$lst`: there are `$status`, `$headers`, `$rows`, `$first`, `$last`, `$iface`
      --> p.yaml:31:49
       |
    31 |     paginate: {seek: {into: query.after, value: $lst.id, order: asc, size: 10}}
       |                                                 ^^^^

    error: jq: expected closing bracket, found the end of the program
      --> p.yaml:32:19
       |
    32 |     records: .rsp[
       |                   ^
       |
       = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program
    "#);
}

#[test]
fn what_could_not_be_read_is_not_missed_a_second_time() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source: {base_url: '${NO_URL}'}
jobs:
  a:
    for_each: {rows_off: 5, as: item, key: id}
    get: /x
    form: no
    query: {id: '{{ item.id }}', since: '{{ window.from }}', nmae: '{{ nwo }}'}
    window: 1d
    paginate: {offset: {into: form.start, size: many}}
    records: '.rows | map(.)'
    sinks: {lake: {parquet: {}}}
  b:
    for_each: soon
    get: /y
    query: {id: '{{ item.id }}'}
    paginate: {}
    records: '.rows[$item]'
"), @"
    error: the environment variable `NO_URL` isn't set
     --> p.yaml:3:21
      |
    3 | source: {base_url: '${NO_URL}'}
      |                     ^^^^^^^^^
      |
      = help: set it, or give it a default: `${NAME:-default}` (not for secrets)

    error: unknown field `rows_off`
     --> p.yaml:6:16
      |
    6 |     for_each: {rows_off: 5, as: item, key: id}
      |                ^^^^^^^^
      |
      = note: expected `rows_of`, `values`, `as`, `key`, `columns` or `max_keys`
      = help: did you mean `rows_of`?

    error: expected a text, found the number `5`
     --> p.yaml:6:26
      |
    6 |     for_each: {rows_off: 5, as: item, key: id}
      |                          ^
      |
      = help: put it in single quotes: `'5'`

    error: expected a map, found the text `no`
     --> p.yaml:8:11
      |
    8 |     form: no
      |           ^^

    error: there is no template variable `nwo`
     --> p.yaml:9:72
      |
    9 |     query: {id: '{{ item.id }}', since: '{{ window.from }}', nmae: '{{ nwo }}'}
      |                                                                        ^^^
      |
      = help: did you mean `now`?

    error: expected a map of fields, found the text `1d`
      --> p.yaml:10:13
       |
    10 |     window: 1d
       |             ^^

    error: expected a whole number, not negative, found the text `many`
      --> p.yaml:11:49
       |
    11 |     paginate: {offset: {into: form.start, size: many}}
       |                                                 ^^^^

    error: missing field `url`
      --> p.yaml:13:20
       |
    13 |     sinks: {lake: {parquet: {}}}
       |                    ^^^^^^^ in this map
       |
       = help: add `url:`

    error: expected a map with `rows_of`, `values`, `as`, `key`, `columns` and `max_keys`, found the text `soon`
      --> p.yaml:15:15
       |
    15 |     for_each: soon
       |               ^^^^
    ");
}

#[test]
fn a_refused_value_does_not_hide_the_rest_of_its_job() {
    insta::assert_snapshot!(say(r"version: one
name: x
source: {base_url: 'http://h'}
jobs:
  a:
    get: /x
    query: {id: '{{ item.id }}'}
    paginate: nome
    records: '.[] |'
"), @r"
    error: expected a whole number from 0 to 4294967295, found the text `one`
     --> p.yaml:1:10
      |
    1 | version: one
      |          ^^^

    error: expected `none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`, found the text `nome`
     --> p.yaml:8:15
      |
    8 |     paginate: nome
      |               ^^^^

    error: jq: expected term, found the end of the program
     --> p.yaml:9:20
      |
    9 |     records: '.[] |'
      |                    ^
      |
      = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program
    ");
}

#[test]
fn an_abbreviation_is_not_taken_for_another() {
    for zone in ["PST", "CEST", "EST5", "Utc+1"] {
        let said = super::say(&format!(
            "version: 1\nname: x\nschedule: {{cron: '0 1 * * *', timezone: {zone}}}\nsource: {{base_url: 'http://h'}}\n\
             jobs: {{a: {{get: /x, paginate: none, records: '.[]'}}}}\n"
        ));
        assert!(said.contains(&format!("the time zone `{zone}` is not known")), "{said}");
        assert!(said.contains("write an IANA name") && !said.contains("did you mean"), "{said}");
    }
}
