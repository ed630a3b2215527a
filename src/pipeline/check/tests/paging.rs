//! How a job gets from page to page.

use super::say_landing;

fn paginate(text: &str) -> String {
    say_landing(&format!("    snapshot: daily\n    paginate: {text}\n"))
}

#[test]
fn exactly_one_way() {
    insta::assert_snapshot!(paginate("nome"), @r"
    error: expected `none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`, found the text `nome`
     --> p.yaml:7:15
      |
    7 |     paginate: nome
      |               ^^^^
    ");
    insta::assert_snapshot!(paginate("{total: .n}"), @r"
    error: `paginate` doesn't say how to get to the next page
     --> p.yaml:7:15
      |
    7 |     paginate: {total: .n}
      |               ^^^^^^^^^^^
      |
      = help: add one of `offset`, `page`, `cursor`, `next_link` and `seek`, or write `paginate: none` for an API that answers with one page
    ");
    insta::assert_snapshot!(paginate("{page: {into: query.p, size: 1}, offset: {into: query.o, size: 1}}"), @r"
    error: `paginate` goes to the next page in several ways
     --> p.yaml:7:15
      |
    7 |     paginate: {page: {into: query.p, size: 1}, offset: {into: query.o, size: 1}}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none`
    ");
    insta::assert_snapshot!(paginate("{pages: {into: query.p, size: 1}}"), @r"
    error: unknown field `pages`
     --> p.yaml:7:16
      |
    7 |     paginate: {pages: {into: query.p, size: 1}}
      |                ^^^^^
      |
      = note: expected `offset`, `page`, `cursor`, `next_link`, `seek`, `none`, `more`, `total`, `short_page` or `max_pages`
      = help: did you mean `page`?
    ");
}

#[test]
fn one_page_says_what_it_states() {
    assert_eq!(paginate("{none: true, total: .n}"), "");
    assert_eq!(paginate("{none: true, more: 'false'}"), "");
    insta::assert_snapshot!(paginate("{none: false}"), @r"
    error: `none: false` doesn't say how to get to the next page
     --> p.yaml:7:22
      |
    7 |     paginate: {none: false}
      |                      ^^^^^
      |
      = help: name the way to the next page, or write `none: true`
    ");
    insta::assert_snapshot!(paginate("{none: true, short_page: end, max_pages: 3}"), @r"
    error: `max_pages` doesn't go with `none`: one page is read
     --> p.yaml:7:22
      |
    7 |     paginate: {none: true, short_page: end, max_pages: 3}
      |                      ^^^^
      |
      = help: remove `max_pages`

    error: `short_page` doesn't go with `none`: one page is read
     --> p.yaml:7:22
      |
    7 |     paginate: {none: true, short_page: end, max_pages: 3}
      |                      ^^^^
      |
      = help: remove `short_page`
    ");
    insta::assert_snapshot!(paginate("{none: true, page: {into: query.p, size: 1}}"), @r"
    error: `paginate` goes to the next page in several ways
     --> p.yaml:7:15
      |
    7 |     paginate: {none: true, page: {into: query.p, size: 1}}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none`
    ");
}

#[test]
fn numbers_above_zero() {
    insta::assert_snapshot!(paginate("{page: {into: query.p, size: 0}, max_pages: 0}"), @r"
    error: a page of no rows never moves on
     --> p.yaml:7:44
      |
    7 |     paginate: {page: {into: query.p, size: 0}, max_pages: 0}
      |                                            ^
      |
      = help: write how many rows to ask for

    error: `max_pages` can't be 0
     --> p.yaml:7:59
      |
    7 |     paginate: {page: {into: query.p, size: 0}, max_pages: 0}
      |                                                           ^
      |
      = help: write the most pages that a slice can have
    ");
    insta::assert_snapshot!(paginate("{page: {into: query.p, size: -1, first: x}}"), @r"
    error: expected a whole number, not negative, found the number `-1`
     --> p.yaml:7:44
      |
    7 |     paginate: {page: {into: query.p, size: -1, first: x}}
      |                                            ^^

    error: expected a whole number, not negative, found the text `x`
     --> p.yaml:7:55
      |
    7 |     paginate: {page: {into: query.p, size: -1, first: x}}
      |                                                       ^
    ");
}

#[test]
fn seeking() {
    insta::assert_snapshot!(
        paginate("{seek: {into: query.after, value: '$last.id', order: asc, format: 'gt', size: 10}}"),
        @r"
    error: an inclusive `seek` sees rows twice and needs a `key` to drop them
     --> p.yaml:7:15
      |
    7 |     paginate: {seek: {into: query.after, value: '$last.id', order: asc, format: 'gt', size: 10}}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `key:`, or say `bound: exclusive` if the server leaves the value itself out

    error: `gt` doesn't say where the value goes
     --> p.yaml:7:81
      |
    7 |     paginate: {seek: {into: query.after, value: '$last.id', order: asc, format: 'gt', size: 10}}
      |                                                                                 ^^^^
      |
      = help: write `{}` once in its place, such as '{};gt'
    "
    );
    insta::assert_snapshot!(paginate("{seek: {into: query.after, value: '.rows[-1].id', size: 10}}"), @r"
    error: missing field `order`
     --> p.yaml:7:16
      |
    7 |     paginate: {seek: {into: query.after, value: '.rows[-1].id', size: 10}}
      |                ^^^^ in this map
      |
      = help: add `order:`

    error: this expression reaches into the records (`.rows`), which it doesn't see
     --> p.yaml:7:50
      |
    7 |     paginate: {seek: {into: query.after, value: '.rows[-1].id', size: 10}}
      |                                                  ^^^^^
      |
      = help: use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program
    ");
}

#[test]
fn cursors() {
    insta::assert_snapshot!(paginate("{cursor: {into: query.c}}"), @r"
    error: missing field `value`
     --> p.yaml:7:16
      |
    7 |     paginate: {cursor: {into: query.c}}
      |                ^^^^^^ in this map
      |
      = help: add `value:`
    ");
    insta::assert_snapshot!(paginate("{cursor: {into: query.c, vlaue: .n}}"), @r"
    error: `cursor` takes `into: place` and `value: jq`, or places, each with its jq: `body.offset: .next`
     --> p.yaml:7:16
      |
    7 |     paginate: {cursor: {into: query.c, vlaue: .n}}
      |                ^^^^^^
    ");
    insta::assert_snapshot!(paginate("{cursor: {}}"), @r"
    error: `cursor` takes `into: place` and `value: jq`, or places, each with its jq: `body.offset: .next`
     --> p.yaml:7:16
      |
    7 |     paginate: {cursor: {}}
      |                ^^^^^^
    ");
    assert_eq!(paginate("{cursor: {query.a: .a, query.b: .b}}"), "");
    assert_eq!(paginate("{cursor: {into: query.a, value: .a}}"), "");
    insta::assert_snapshot!(paginate("{cursor: {value: .n}}"), @r"
    error: the cursor is never sent: each page would be the first
     --> p.yaml:7:15
      |
    7 |     paginate: {cursor: {value: .n}}
      |               ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`into: body.offset`), or use `{{ cursor }}` in the request
    ");
    insta::assert_snapshot!(paginate("{cursor: {after: .n, body.b: '.rows[-1].id'}}"), @"
    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'after'
     --> p.yaml:7:25
      |
    7 |     paginate: {cursor: {after: .n, body.b: '.rows[-1].id'}}
      |                         ^^^^^
      |
      = help: for a parameter of the query, write `query.after`

    error: the request has no `body`, so nothing can be written to `body.b`
     --> p.yaml:7:36
      |
    7 |     paginate: {cursor: {after: .n, body.b: '.rows[-1].id'}}
      |                                    ^^^^^^
      |
      = help: add `body:` to the job, or name another place

    error: this expression reaches into the records (`.rows`), which it doesn't see
     --> p.yaml:7:45
      |
    7 |     paginate: {cursor: {after: .n, body.b: '.rows[-1].id'}}
      |                                             ^^^^^
      |
      = help: use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program
    ");
}

#[test]
fn links() {
    assert_eq!(paginate("{next_link: {header: Link}}"), "");
    assert_eq!(paginate("{next_link: {url: .links.next}}"), "");
    insta::assert_snapshot!(paginate("{next_link: {}}"), @r"
    error: `next_link` needs `url` or `header`, one of them
     --> p.yaml:7:27
      |
    7 |     paginate: {next_link: {}}
      |                           ^^
      |
      = help: write `{url: .links.next}` for a link in the answer, `{header: link}` for one in its headers
    ");
    insta::assert_snapshot!(paginate("{next_link: {url: .next, header: link}}"), @r"
    error: `next_link` needs `url` or `header`, one of them
     --> p.yaml:7:27
      |
    7 |     paginate: {next_link: {url: .next, header: link}}
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `{url: .links.next}` for a link in the answer, `{header: link}` for one in its headers
    ");
}

#[test]
fn overlap_needs_a_time_and_an_inclusive_bound() {
    insta::assert_snapshot!(paginate("{seek: {into: query.to, value: $last.end, order: asc, size: 5, overlap: true, bound: exclusive}}"), @r"
    error: `overlap` doesn't go with an exclusive `bound`
     --> p.yaml:7:87
      |
    7 |     paginate: {seek: {into: query.to, value: $last.end, order: asc, size: 5, overlap: true, bound: exclusive}}
      |                                                                                       ^^^^
      |
      = help: remove `bound: exclusive`: what goes on at the value comes again anyway

    error: with `overlap` and without `window.time`, rows would land in several slices
     --> p.yaml:7:87
      |
    7 |     paginate: {seek: {into: query.to, value: $last.end, order: asc, size: 5, overlap: true, bound: exclusive}}
      |                                                                                       ^^^^
      |
      = help: add a `window` with `time:`, SQL for a row's own time: one that doesn't change as the row goes on
    ");
}
