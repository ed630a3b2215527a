//! What those get wrong who write their first pipeline file, with the habits of other tools: each message must say what to write.

use super::*;

const SHOP: &str = "version: 1
name: shop
source:
  base_url: https://api.example.com
  auth: {bearer: '${TOKEN}'}
jobs:
  orders:
    get: /orders
    snapshot: latest
    paginate: {page: {into: query.page, size: 100}}
    records: .data[]
    sinks: {lake: {parquet: {url: ./lake}}}
";

/// Says what is wrong with the file once `right` in it is `wrong`.
fn instead(right: &str, wrong: &str) -> String {
    assert!(SHOP.contains(right), "{right}");
    say(&SHOP.replace(right, wrong))
}

#[test]
fn the_file_itself_is_fine() {
    assert_eq!(say(SHOP), "");
    assert_eq!(instead(".data[]", ".data[]          # all of them"), "", "a comment is a comment");
}

#[test]
fn paths_of_other_languages() {
    insta::assert_snapshot!(instead(".data[]", "data"), @"
    error: jq: there is no filter `data`; a field is written with a dot: `.data`
      --> p.yaml:11:14
       |
    11 |     records: data
       |              ^^^^
       |
       = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program
    ");
    insta::assert_snapshot!(instead(".data[]", "$.data[*]"), @"
    error: jq: a path begins with a dot, such as `.data[]`; `$.data[*]` is JSONPath
      --> p.yaml:11:14
       |
    11 |     records: $.data[*]
       |              ^
       |
       = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program
    ");
    insta::assert_snapshot!(instead(".data[]", ".data"), @"
    error: `.data` is one record, not the items of a list
      --> p.yaml:11:14
       |
    11 |     records: .data
       |              ^^^^^
       |
       = help: write `.data[]` for the items; if it is one record indeed, add `rows: '1'`
    ");
    insta::assert_snapshot!(instead("size: 100}", "size: 100}, total: meta.total"), @"
    error: jq: there is no filter `meta`; a field is written with a dot: `.meta`
      --> p.yaml:10:60
       |
    10 |     paginate: {page: {into: query.page, size: 100}, total: meta.total}
       |                                                            ^^^^
    ");
}

#[test]
fn paging_as_other_tools_say_it() {
    insta::assert_snapshot!(instead("{page: {into: query.page, size: 100}}", "{type: page, page_size: 100}"), @"
    error: unknown field `type`
      --> p.yaml:10:16
       |
    10 |     paginate: {type: page, page_size: 100}
       |                ^^^^
       |
       = note: expected `offset`, `page`, `cursor`, `next_link`, `seek`, `none`, `more`, `total`, `short_page` or `max_pages`
       = help: the kind is the key itself: `{offset: {into: query.start, size: 100}}`

    error: unknown field `page_size`
      --> p.yaml:10:28
       |
    10 |     paginate: {type: page, page_size: 100}
       |                            ^^^^^^^^^
       |
       = note: expected `offset`, `page`, `cursor`, `next_link`, `seek`, `none`, `more`, `total`, `short_page` or `max_pages`
       = help: it stands in the kind: `{offset: {into: query.start, size: 100}}`
    ");
    insta::assert_snapshot!(instead("{into: query.page, size: 100}", "{param: page, per_page: 100}"), @"
    error: missing field `into`
      --> p.yaml:10:16
       |
    10 |     paginate: {page: {param: page, per_page: 100}}
       |                ^^^^ in this map
       |
       = help: add `into:`, the place in the request that it goes to, such as `into: query.offset`

    error: missing field `size`
      --> p.yaml:10:16
       |
    10 |     paginate: {page: {param: page, per_page: 100}}
       |                ^^^^ in this map
       |
       = help: add `size:`, how many rows a page is asked for, such as `size: 100`

    error: unknown field `param`
      --> p.yaml:10:23
       |
    10 |     paginate: {page: {param: page, per_page: 100}}
       |                       ^^^^^
       |
       = note: expected `into`, `size_into`, `size` or `first`
       = help: did you mean `into`?

    error: unknown field `per_page`
      --> p.yaml:10:36
       |
    10 |     paginate: {page: {param: page, per_page: 100}}
       |                                    ^^^^^^^^
       |
       = note: expected `into`, `size_into`, `size` or `first`
       = help: did you mean `size`?
    ");
    insta::assert_snapshot!(instead("query.page", "page"), @"
    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'page'
      --> p.yaml:10:29
       |
    10 |     paginate: {page: {into: page, size: 100}}
       |                             ^^^^
       |
       = help: for a parameter of the query, write `query.page`
    ");
    insta::assert_snapshot!(instead("{page: {into: query.page, size: 100}}", "{next_link: .links.next}"), @"
    error: expected a map with `url` and `header`, found the text `.links.next`
      --> p.yaml:10:27
       |
    10 |     paginate: {next_link: .links.next}
       |                           ^^^^^^^^^^^
       |
       = help: write `{url: .links.next}`
    ");
    insta::assert_snapshot!(instead("{page: {into: query.page, size: 100}}", "{cursor: .next}"), @"
    error: expected a map with `into` and `value`, or of places such as `body.offset` to jq, found the text `.next`
      --> p.yaml:10:24
       |
    10 |     paginate: {cursor: .next}
       |                        ^^^^^
    ");
}

#[test]
fn credentials_as_other_tools_say_them() {
    insta::assert_snapshot!(instead("{bearer: '${TOKEN}'}", "{type: bearer, token: x}"), @"
    error: expected exactly one of `none`, `basic`, `bearer`, `header`, `headers`, `query`, `form`, `login`, `oauth2` or `hmac`, found a map of 2 keys
     --> p.yaml:5:9
      |
    5 |   auth: {type: bearer, token: *}
      |         ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: the kind is the key itself: `{bearer: '${TOKEN}'}`, `{basic: {username: ..., password: ...}}`
    ");
    insta::assert_snapshot!(instead("auth: {bearer: '${TOKEN}'}", "headers: {Authorization: 'Bearer ${TOKEN}'}"), @"
    error: `Authorization` looks like a secret, and requests show in logs
     --> p.yaml:5:28
      |
    5 |   headers: {Authorization: *****************}
      |                            ^^^^^^^^^^^^^^^^^
      |
      = help: put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`
    ");
    insta::assert_snapshot!(instead("{bearer: '${TOKEN}'}", "{bearer: $TOKEN}"), @"
    error: a secret can't be written in the file
     --> p.yaml:5:18
      |
    5 |   auth: {bearer: ******}
      |                  ^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(instead("https://api.example.com", "$SHOP_URL"), @"
    error: `base_url` must begin with `http://` or `https://`
     --> p.yaml:4:13
      |
    4 |   base_url: $SHOP_URL
      |             ^^^^^^^^^
      |
      = help: a variable of the environment is written `${NAME}`
    ");
}

#[test]
fn requests_and_sinks_as_other_tools_say_them() {
    insta::assert_snapshot!(instead("get: /orders", "method: GET\n    path: /orders"), @"
    error: unknown field `method`
     --> p.yaml:8:5
      |
    8 |     method: GET
      |     ^^^^^^
      |
      = help: write the method and the path as one: `get: /orders`

    error: unknown field `path`
     --> p.yaml:9:5
      |
    9 |     path: /orders
      |     ^^^^
      |
      = help: write the method and the path as one: `get: /orders`
    ");
    insta::assert_snapshot!(instead("get: /orders", "get: /orders?status=open"), @"
    error: a path can't hold a query
     --> p.yaml:8:10
      |
    8 |     get: /orders?status=open
      |          ^^^^^^^^^^^^^^^^^^^
      |
      = help: write parameters under `query:`
    ");
    insta::assert_snapshot!(instead("{lake: {parquet: {url: ./lake}}}", "{parquet: {url: ./lake}}"), @"
    error: unknown field `url`
      --> p.yaml:12:23
       |
    12 |     sinks: {parquet: {url: ./lake}}
       |                       ^^^
       |
       = note: expected `parquet`, `csv`, `jsonl`, `http` or `where`
       = help: a sink has a name of its own first: `lake: {parquet: {url: ./lake}}`
    ");
    insta::assert_snapshot!(instead("url: ./lake", "path: ./lake, partition_by: day(created)"), @"
    error: missing field `url`
      --> p.yaml:12:20
       |
    12 |     sinks: {lake: {parquet: {path: ./lake, partition_by: day(created)}}}
       |                    ^^^^^^^ in this map
       |
       = help: add `url:`

    error: unknown field `path`
      --> p.yaml:12:30
       |
    12 |     sinks: {lake: {parquet: {path: ./lake, partition_by: day(created)}}}
       |                              ^^^^
       |
       = note: expected `url`, `partition_by`, `sort_by`, `compression`, `rows_per_file`, `bytes_per_file`, `row_group_rows`, `dictionary`, `statistics` or `bloom_filters`
       = help: did you mean `url`?

    error: expected a list, found the text `day(created)`
      --> p.yaml:12:58
       |
    12 |     sinks: {lake: {parquet: {path: ./lake, partition_by: day(created)}}}
       |                                                          ^^^^^^^^^^^^
       |
       = help: write `[day(created)]`
    ");
    insta::assert_snapshot!(instead("jobs:", "schedule: 0 2 * * *\njobs:"), @"
    error: expected a map with `cron`, `timezone`, `overlap`, `catch_up` and `jitter`, found the text `0 2 * * *`
     --> p.yaml:6:11
      |
    6 | schedule: 0 2 * * *
      |           ^^^^^^^^^
      |
      = help: write `{cron: '0 2 * * *'}`
    ");
    insta::assert_snapshot!(instead("    snapshot: latest\n", ""), @"
    error: the job `orders` lands data, but doesn't say in which slices
     --> p.yaml:7:3
      |
    7 |   orders:
      |   ^^^^^^
      |
      = help: add `window` (by time), `incremental` (by an id or a time that grows) or `snapshot: latest` (the whole list)
    ");
}
