//! Windows that are read in parts, and a `seek` that moves an edge of the window.

use super::say_landing;

/// A job whose window has both of its edges, and these keys besides.
fn window(more: &str, lines: &str) -> String {
    say_landing(&format!(
        "    window: {{every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, {more}}}\n{lines}"
    ))
}

#[test]
fn what_is_fine() {
    assert_eq!(window("split: {size: 100}", ""), "");
    assert_eq!(
        window("lag: 1h, time: t, resolution: {step: 30m, max_points: 300, into: query.n, observed: .step}", ""),
        ""
    );
    assert_eq!(
        window("lag: 1h, time: t, resolution: {step: 30m, max_points: 300, observed: '$last.t - $first.t'}", ""),
        ""
    );
    let templates = r"    window: {every: 1d, start: -1d, as: epoch_s, split: {size: 100}}
    query: {q: 'between {{ window.from }} and {{ window.to }}'}
";
    assert_eq!(say_landing(templates), "");
}

#[test]
fn full_pages() {
    insta::assert_snapshot!(window("split: {size: 1}", ""), @"
    error: a page of so few rows is always full
     --> p.yaml:6:92
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, split: {size: 1}}
      |                                                                                            ^
      |
      = help: write the limit that the request asks for, at least 2
    ");
    insta::assert_snapshot!(window("split: {size: 9}", "    paginate: {page: {into: query.p, size: 9}}\n"), @"
    error: with `split` each part of a window is one page, and this goes to further ones
     --> p.yaml:7:15
      |
    7 |     paginate: {page: {into: query.p, size: 9}}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `paginate: none`, or remove `split`
    ");
    insta::assert_snapshot!(window("split: {size: 9}", "    records: '.rows | map(.x)[]'\n"), @"
    error: `records` is a jq program, so its records don't tell how many rows a page had
     --> p.yaml:7:14
      |
    7 |     records: '.rows | map(.x)[]'
      |              ^^^^^^^^^^^^^^^^^^^
      |
      = help: add `rows:`, jq for how many rows the server put on the page, such as `.items | length`
    ");
    insta::assert_snapshot!(
        window("split: {size: 9}, resolution: {step: 30m, max_points: 300, observed: .step}", ""), @"
    error: a window is halved for one reason: full pages, or points that were merged
     --> p.yaml:6:108
      |
    6 | ...o: query.b, split: {size: 9}, resolution: {step: 30m, max_points: 300, observed: .step}}
      |                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep `split` or `resolution`
    "
    );
    insta::assert_snapshot!(
        say_landing("    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, time: ts, split: {size: 9}}\n"), @"
    warning: the window's end is never sent: each slice would ask for all that comes after it too
     --> p.yaml:6:13
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, time: ts, split: {size: 9}}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name its place (`to: query.until`), or use `{{ window.to }}` in the request; if the value means a whole cell, such as a day, write `at:` (or `{{ window.at }}`) instead; `time` drops those rows, but they are all read

    error: `split` asks for parts of a window, but one of its edges is never sent
     --> p.yaml:6:82
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, time: ts, split: {size: 9}}
      |                                                                                  ^^^^^^^^^
      |
      = help: name the places of both edges, `from:` and `to:`
    "
    );
}

#[test]
fn points() {
    let resolution = |text: &str| window(&format!("lag: 1h, time: t, resolution: {{{text}}}"), "");
    insta::assert_snapshot!(resolution("step: 0s, max_points: 300, observed: .step"), @"
    error: points have a step
     --> p.yaml:6:115
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, time: t, resolution: {step: 0s, max_points: 300...
      |                                                                                                                   ^^
      |
      = help: write a duration such as `30m`
    ");
    insta::assert_snapshot!(resolution("step: 7h, max_points: 300, observed: .step"), @"
    error: cells of 1d cut the steps of 7h apart
     --> p.yaml:6:21
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, time: t, resolution: {step: 7h, max_points: 300...
      |                     ^^
      |
      = help: make `every` a multiple of `resolution.step`

    warning: the last point of a cell may still change when the cell is read
     --> p.yaml:6:115
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, time: t, resolution: {step: 7h, max_points: 300...
      |                                                                                                                   ^^
      |
      = help: give the window a `lag` of one step or more
    ");
    insta::assert_snapshot!(resolution("step: 1d, max_points: 300, observed: .step"), @"
    warning: a cell of one step has one point, which shows no step
     --> p.yaml:6:21
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, time: t, resolution: {step: 1d, max_points: 300...
      |                     ^^
      |
      = help: make `every` longer: then the step that comes back can be checked

    warning: the last point of a cell may still change when the cell is read
     --> p.yaml:6:115
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, time: t, resolution: {step: 1d, max_points: 300...
      |                                                                                                                   ^^
      |
      = help: give the window a `lag` of one step or more
    ");
    insta::assert_snapshot!(resolution("step: 30m, max_points: 2, into: query.b, observed: '.rows[0].t'"), @"
    error: `max_points` leaves no room for two steps, with a point at both edges and those of `pad`
     --> p.yaml:6:132
      |
    6 | ... query.b, lag: 1h, time: t, resolution: {step: 30m, max_points: 2, into: query.b, observed: '.rows[0].t'}}
      |                                                                    ^
      |
      = help: let answers have more points, or make `pad` smaller

    error: an edge of the window and the most points would both be written to `query.b`
     --> p.yaml:6:141
      |
    6 | ...g: 1h, time: t, resolution: {step: 30m, max_points: 2, into: query.b, observed: '.rows[0].t'}}
      |                                                                 ^^^^^^^
      |
      = help: give each a place of its own

    error: this expression reaches into the records (`.rows`), which it doesn't see
     --> p.yaml:6:161
      |
    6 | ...olution: {step: 30m, max_points: 2, into: query.b, observed: '.rows[0].t'}}
      |                                                                  ^^^^^
      |
      = help: use `$rows` (how many), `$first` or `$last` (one record), or make `records` a jq program
    ");
    insta::assert_snapshot!(
        window("lag: 1h, time: t, pad: {after: 2h}, resolution: {step: 30m, max_points: 6, observed: .step}", ""), @"
    error: `max_points` leaves no room for two steps, with a point at both edges and those of `pad`
     --> p.yaml:6:150
      |
    6 | ... time: t, pad: {after: 2h}, resolution: {step: 30m, max_points: 6, observed: .step}}
      |                                                                    ^
      |
      = help: let answers have more points, or make `pad` smaller
    "
    );
    insta::assert_snapshot!(
        window("lag: 1h, time: t, resolution: {step: 30m, max_points: 9, observed: .s}", "    paginate: {cursor: {into: query.c, value: .c}}\n"),
        @"
    error: with `resolution` each part of a window is one page, and this goes to further ones
     --> p.yaml:7:15
      |
    7 |     paginate: {cursor: {into: query.c, value: .c}}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `paginate: none`, or remove `resolution`
    "
    );
}

#[test]
fn points_at_an_edge() {
    insta::assert_snapshot!(window("lag: 1h, resolution: {step: 30m, max_points: 9, observed: .s}", ""), @"
    warning: servers put a point at both edges of what is asked for, and no `time` cuts the one that belongs elsewhere
     --> p.yaml:6:106
      |
    6 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b, lag: 1h, resolution: {step: 30m, max_points: 9, observed...
      |                                                                                                          ^^^
      |
      = help: add `time:`, SQL for a point's own time; else a point at an edge may land twice
    ");
}

/// A job that pages by `seek`, in this window.
fn seek(window: &str, seek: &str) -> String {
    say_landing(&format!(
        "    key: id
    window: {{every: 1d, start: -1d, from: query.a, {window}}}
    paginate: {{seek: {{value: '$last.t', size: 9, {seek}}}}}
"
    ))
}

#[test]
fn edges_that_move() {
    let format = "as: '%Y-%m-%d %H:%M:%S'";
    assert_eq!(seek(&format!("{format}, to: query.b, time: t"), "into: query.b, order: desc"), "");
    assert_eq!(seek("as: epoch_s, to: query.b", "into: query.b, order: desc, bound: exclusive"), "");
    assert_eq!(seek("as: epoch_s, to: query.b", "into: query.a, order: asc"), "");
    assert_eq!(seek("as: epoch_s, to: query.b", "into: query.after_id, order: asc"), "");
    insta::assert_snapshot!(seek("as: epoch_s, to: query.b", "into: query.a, order: desc"), @"
    error: downwards, the end of the window moves, and `query.a` isn't its place
     --> p.yaml:8:56
      |
    8 |     paginate: {seek: {value: '$last.t', size: 9, into: query.a, order: desc}}
      |                                                        ^^^^^^^
      |
      = help: make `paginate.seek.into` and `window.to` the same place
    ");
    insta::assert_snapshot!(seek("as: epoch_s, to: query.b", "into: query.b, order: asc"), @"
    error: upwards, `query.b` would move the end of the window
     --> p.yaml:8:56
      |
    8 |     paginate: {seek: {value: '$last.t', size: 9, into: query.b, order: asc}}
      |                                                        ^^^^^^^
      |
      = help: name the place of `window.from`, or say `order: desc`
    ");
    insta::assert_snapshot!(seek("as: epoch_s, to: query.b", "into: query.b, order: desc"), @"
    error: `window.to` and `paginate.seek` are one place, and differ in how the server treats its value
     --> p.yaml:7:69
      |
    7 |     window: {every: 1d, start: -1d, from: query.a, as: epoch_s, to: query.b}
      |                                                                     ^^^^^^^
      |
      = help: say `bound: inclusive` of both if rows with the very value are in the answer, else `bound: exclusive`
    ");
    insta::assert_snapshot!(seek("as: epoch_s, to: query.b", "into: query.a, order: asc, bound: exclusive"), @"
    error: `window.from` and `paginate.seek` are one place, and differ in how the server treats its value
     --> p.yaml:7:43
      |
    7 |     window: {every: 1d, start: -1d, from: query.a, as: epoch_s, to: query.b}
      |                                           ^^^^^^^
      |
      = help: say `bound: inclusive` of both if rows with the very value are in the answer, else `bound: exclusive`
    ");
    insta::assert_snapshot!(
        seek("as: '%d/%m/%Y %H:%M:%S', to: query.b, time: t", "into: query.b, order: desc"), @"
    error: instants written as `%d/%m/%Y %H:%M:%S` don't sort as texts, and `seek` compares them
     --> p.yaml:7:56
      |
    7 |     window: {every: 1d, start: -1d, from: query.a, as: '%d/%m/%Y %H:%M:%S', to: query.b, time: t}
      |                                                        ^^^^^^^^^^^^^^^^^^^
      |
      = help: write the year first, then month, day, hour, minute and second
    "
    );
}

#[test]
fn downwards_without_a_window() {
    let paginate = "    paginate: {seek: {into: query.before, value: '$last.id', order: desc, size: 9}}\n    key: id\n";
    assert_eq!(say_landing(&format!("    snapshot: daily\n{paginate}")), "");
    insta::assert_snapshot!(say_landing(&format!("    incremental: {{cursor: id, start: 0}}\n{paginate}")), @"
    error: an `incremental` job goes on after the greatest cursor, so it reads upwards
     --> p.yaml:7:69
      |
    7 |     paginate: {seek: {into: query.before, value: '$last.id', order: desc, size: 9}}
      |                                                                     ^^^^
      |
      = help: sort upwards (`order: asc`); if the API can't, use a `window` or a `snapshot`
    ");
}
