//! Windows, increments and snapshots.

use super::{say_job, say_landing};

fn window(text: &str) -> String {
    say_landing(&format!("    window: {{{text}}}\n"))
}

#[test]
fn windows_that_are_never_sent() {
    insta::assert_snapshot!(window("every: 1d, start: -1d, as: epoch_s"), @"
    error: the window is never sent: each slice would ask for everything
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its places (`from: query.since`, `to: query.until`), or use `{{ window.from }}` and `{{ window.to }}` in the request; where the API takes one value for a whole cell, such as a day, name that (`at: query.date`, or `{{ window.at }}`)
    ");
    insta::assert_snapshot!(window("every: 1d, start: -1d, as: epoch_s, time: ts"), @"
    error: the window is never sent: each slice would ask for everything
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, time: ts}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its places (`from: query.since`, `to: query.until`), or use `{{ window.from }}` and `{{ window.to }}` in the request; where the API takes one value for a whole cell, such as a day, name that (`at: query.date`, or `{{ window.at }}`)
    ");
    insta::assert_snapshot!(window("every: 1d, start: -1d, as: epoch_s, from: query.a"), @"
    error: the window's end is never sent: each slice would ask for all that comes after it too
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`to: query.until`), or use `{{ window.to }}` in the request; if the value means a whole cell, such as a day, write `at:` (or `{{ window.at }}`) instead; if the API can't, add `time:`, which drops those rows
    ");
    insta::assert_snapshot!(window("every: 1d, start: -1d, as: epoch_s, to: query.b, time: ts"), @r"
    warning: the window's beginning is never sent: each slice would ask for all that comes before it too
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, to: query.b, time: ts}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`from: query.since`), or use `{{ window.from }}` in the request; `time` drops those rows, but they are all read
    ");
    let templates = r"    window: {every: 1d, start: -1d, as: epoch_s}
    query: {q: 'between {{ window.from }} and {{ window.to }}'}
";
    assert_eq!(say_landing(templates), "");
}

#[test]
fn instants() {
    insta::assert_snapshot!(window("every: 0s, start: 2026-01-01, as: unix, from: query.a, to: query.b"), @r"
    error: a cell of no length holds nothing
     --> p.yaml:6:21
      |
    6 |     window: {every: 0s, start: 2026-01-01, as: unix, from: query.a, to: query.b}
      |                     ^^
      |
      = help: write a duration such as `1d`

    error: `2026-01-01` is not an instant that a window can start at
     --> p.yaml:6:32
      |
    6 |     window: {every: 0s, start: 2026-01-01, as: unix, from: query.a, to: query.b}
      |                                ^^^^^^^^^^
      |
      = help: say in which time zone: `2026-01-01T00:00:00Z` is UTC

    error: `unix` is not a way to write instants
     --> p.yaml:6:48
      |
    6 |     window: {every: 0s, start: 2026-01-01, as: unix, from: query.a, to: query.b}
      |                                                ^^^^
      |
      = help: write `epoch_s`, `epoch_ms`, `rfc3339` or a strftime format such as '%Y-%m-%d %H:%M:%S'
    ");
    insta::assert_snapshot!(window("every: 1d, start: 2026-01-01 12:00:00, as: epoch_sec, from: query.a, to: query.b"), @r"
    error: `2026-01-01 12:00:00` is not an instant that a window can start at
     --> p.yaml:6:32
      |
    6 |     window: {every: 1d, start: 2026-01-01 12:00:00, as: epoch_sec, from: query.a, to: query.b}
      |                                ^^^^^^^^^^^^^^^^^^^
      |
      = help: say in which time zone: `2026-01-01T12:00:00Z` is UTC

    error: `epoch_sec` is not a way to write instants
     --> p.yaml:6:57
      |
    6 |     window: {every: 1d, start: 2026-01-01 12:00:00, as: epoch_sec, from: query.a, to: query.b}
      |                                                         ^^^^^^^^^
      |
      = help: did you mean `epoch_s`?
    ");
    insta::assert_snapshot!(window("every: 1 day, start: -1d, as: epoch_s"), @r"
    error: `1 day` is not a duration; write a whole number and a unit of ms, s, m, h, d or w, such as `90s`, `1h30m` or `7d`
     --> p.yaml:6:21
      |
    6 |     window: {every: 1 day, start: -1d, as: epoch_s}
      |                     ^^^^^
    ");
    insta::assert_snapshot!(window("every: 1d, start: 30d, as: '%Y-%Q', from: query.a, to: query.b"), @r"
    error: `30d` is not an instant that a window can start at
     --> p.yaml:6:32
      |
    6 |     window: {every: 1d, start: 30d, as: '%Y-%Q', from: query.a, to: query.b}
      |                                ^^^
      |
      = help: write `-30d` for that long before the first run

    error: `%Y-%Q` is not a way to write instants
     --> p.yaml:6:41
      |
    6 |     window: {every: 1d, start: 30d, as: '%Y-%Q', from: query.a, to: query.b}
      |                                         ^^^^^^^
      |
      = help: write `epoch_s`, `epoch_ms`, `rfc3339` or a strftime format such as '%Y-%m-%d %H:%M:%S'
    ");
    insta::assert_snapshot!(window("every: 1h, start: soon, as: '%Y-%m-%d', from: query.a, to: query.b"), @r"
    error: `soon` is not an instant that a window can start at
     --> p.yaml:6:32
      |
    6 |     window: {every: 1h, start: soon, as: '%Y-%m-%d', from: query.a, to: query.b}
      |                                ^^^^
      |
      = help: write an instant with an offset, such as `2026-01-01T00:00:00Z`, or how long ago, such as `-30d`

    error: `%Y-%m-%d` is too coarse for cells of 1h
     --> p.yaml:6:42
      |
    6 |     window: {every: 1h, start: soon, as: '%Y-%m-%d', from: query.a, to: query.b}
      |                                          ^^^^^^^^^^
      |
      = help: write more of the instant, or choose `every` so that each edge is a whole unit of it
    ");
    insta::assert_snapshot!(window("every: 500ms, start: -1d, as: epoch_s, from: query.a, to: query.b"), @r"
    error: `epoch_s` is too coarse for cells of 500ms
     --> p.yaml:6:44
      |
    6 |     window: {every: 500ms, start: -1d, as: epoch_s, from: query.a, to: query.b}
      |                                            ^^^^^^^
      |
      = help: write more of the instant, or choose `every` so that each edge is a whole unit of it
    ");
    insta::assert_snapshot!(window("every: 99999999w, start: -1d, as: epoch_s, from: query.a, to: query.b"), @r"
    error: no instant is that far away
     --> p.yaml:6:21
      |
    6 |     window: {every: 99999999w, start: -1d, as: epoch_s, from: query.a, to: query.b}
      |                     ^^^^^^^^^
      |
      = help: write a duration such as `1d`
    ");
}

#[test]
fn edges() {
    insta::assert_snapshot!(
        window("every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: inclusive}"),
        @r"
    warning: the server includes the end of the window, and rows aren't cut by their own time
     --> p.yaml:6:69
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: inclusive}}
      |                                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `time:`, SQL for a row's own time; else the end is sent one unit of `as` earlier, which is right only if times are whole units
    "
    );
    insta::assert_snapshot!(
        window("every: 1d, start: -1d, as: epoch_s, from: {into: query.a, bound: exclusive}, to: query.b"),
        @r"
    warning: the server excludes the beginning of the window, and rows aren't cut by their own time
     --> p.yaml:6:56
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: {into: query.a, bound: exclusive}, to: query.b}
      |                                                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `time:`, SQL for a row's own time; else the beginning is sent one unit of `as` earlier, which is right only if times are whole units
    "
    );
    assert_eq!(
        window(
            "every: 1d, start: -1d, as: epoch_s, from: {into: query.a, bound: exclusive}, to: query.b, time: to_timestamp_seconds(t)"
        ),
        ""
    );
    insta::assert_snapshot!(window("every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, pad: {before: 1h}"), @r"
    error: with `pad` and without `time`, rows would land in two slices
     --> p.yaml:6:83
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, pad: {before: 1h}}
      |                                                                                   ^^^^^^^^^^^^
      |
      = help: add `time:`, SQL for a row's own time, which cuts what is asked for in excess
    ");
    insta::assert_snapshot!(
        window("every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: closed}, pad: {before: 1h}"),
        @r"
    error: unknown name `closed`
     --> p.yaml:6:92
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: closed}, pad: {before: 1h}}
      |                                                                                            ^^^^^^
      |
      = note: expected `inclusive` or `exclusive`
    "
    );
}

#[test]
fn increments() {
    insta::assert_snapshot!(
        say_landing("    incremental: {cursor: 'max(id)', start: [0], rows_per_slice: 0}\n"),
        @"
        error: SQL: max() is an aggregate: this is worked out for each row by itself
         --> p.yaml:6:28
          |
        6 |     incremental: {cursor: 'max(id)', start: [0], rows_per_slice: 0}
          |                            ^^^

        error: a cursor begins at a whole number or an instant
         --> p.yaml:6:45
          |
        6 |     incremental: {cursor: 'max(id)', start: [0], rows_per_slice: 0}
          |                                             ^^^
          |
          = help: write the value that all data come after, such as `0` or `'2026-01-01T00:00:00Z'`

        error: `rows_per_slice` can't be 0
         --> p.yaml:6:66
          |
        6 |     incremental: {cursor: 'max(id)', start: [0], rows_per_slice: 0}
          |                                                                  ^
          |
          = help: write how many rows a slice should hold

        error: an `incremental` job has no way to send its cursor
         --> p.yaml:9:15
          |
        9 |     paginate: none
          |               ^^^^
          |
          = help: name its place (`into: query.since`), use `{{ increment.from }}` in the request, or page by `seek`, whose place also takes the cursor
        "
    );
    insta::assert_snapshot!(say_landing(r"    incremental: {cursor: id, start: '{{ now }}', rows_per_slice: 0}
    paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 10}}
"), @r"
    error: a cursor's `start` isn't a template
     --> p.yaml:6:38
      |
    6 |     incremental: {cursor: id, start: '{{ now }}', rows_per_slice: 0}
      |                                      ^^^^^^^^^^^
      |
      = help: write the value itself

    error: `rows_per_slice` can't be 0
     --> p.yaml:6:67
      |
    6 |     incremental: {cursor: id, start: '{{ now }}', rows_per_slice: 0}
      |                                                                   ^
      |
      = help: write how many rows a slice should hold
    ");
}

#[test]
fn snapshots() {
    insta::assert_snapshot!(say_job("    snapshot: dayly\n    sinks: {lake: {jsonl: {url: ./a}}}\n"), @r"
    error: unknown name `dayly`
     --> p.yaml:6:15
      |
    6 |     snapshot: dayly
      |               ^^^^^
      |
      = note: expected `daily`, `every_run` or `latest`
      = help: did you mean `daily`?
    ");
}

#[test]
fn a_cell_may_be_sent_by_one_value() {
    let window = |rest: &str| format!("    window: {{every: 1d, start: -7d, as: '%Y-%m-%d'{rest}}}\n");
    assert_eq!(say_landing(&window(", at: query.day")), "");
    assert_eq!(say_landing(&format!("    get: '/rates/{{{{ window.at }}}}'\n{}", window(""))), "");
    insta::assert_snapshot!(say_landing(&window(", from: query.day")), @"
    error: the window's end is never sent: each slice would ask for all that comes after it too
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -7d, as: '%Y-%m-%d', from: query.day}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`to: query.until`), or use `{{ window.to }}` in the request; if the value means a whole cell, such as a day, write `at:` (or `{{ window.at }}`) instead; if the API can't, add `time:`, which drops those rows
    ");
    insta::assert_snapshot!(say_landing(&window(", at: query.day, from: query.a, pad: {before: 1d}, time: t")), @"
    error: the window is sent as a whole cell and by its edges
     --> p.yaml:6:74
      |
    6 |     window: {every: 1d, start: -7d, as: '%Y-%m-%d', at: query.day, from: query.a, pad: {before: 1d}, time: t}
      |                                                                          ^^^^^^^
      |
      = help: keep `at`, for an API that takes one value, or the edges, for one that takes two

    error: `pad` has no meaning beside `at`: a whole cell has no edges
     --> p.yaml:6:88
      |
    6 |     window: {every: 1d, start: -7d, as: '%Y-%m-%d', at: query.day, from: query.a, pad: {before: 1d}, time: t}
      |                                                                                        ^^^^^^^^^^^^
      |
      = help: remove it
    ");
    insta::assert_snapshot!(say_landing(&window(", at: query.day, split: {size: 9}, time: t")), @"
    error: `split` asks for parts of a window, but `at` always sends the whole cell
     --> p.yaml:6:75
      |
    6 |     window: {every: 1d, start: -7d, as: '%Y-%m-%d', at: query.day, split: {size: 9}, time: t}
      |                                                                           ^^^^^^^^^
      |
      = help: name the places of both edges, `from:` and `to:`, or remove `split`
    ");
    insta::assert_snapshot!(say_landing(&window(", at: day")), @"
    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'day'
     --> p.yaml:6:57
      |
    6 |     window: {every: 1d, start: -7d, as: '%Y-%m-%d', at: day}
      |                                                         ^^^
      |
      = help: for a parameter of the query, write `query.day`
    ");
}

#[test]
fn a_misspelt_window_is_known_for_one() {
    let said = |text: &str| {
        say_job(&format!(
            "    window: {{every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, time: t}}\n    query: {{q: '{{{{ {text} }}}}'}}\n    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n"
        ))
    };
    assert!(said("wndow.from").contains("did you mean `window.from` or `window.to`?"));
    assert!(said("frmo").contains("templates here see `now`, `cursor`, `window.from`, `window.to`"));
}
