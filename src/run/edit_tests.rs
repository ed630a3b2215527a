use super::*;

fn edited(landed: &Value, now: &Value) -> Edit {
    Edit::of(landed, now)
}

#[test]
fn a_difference_is_named() {
    let landed = json!({"key": ["id"], "window.every": 86400.0});
    assert!(edited(&landed, &landed).is_empty());
    let edit = edited(&landed, &json!({"key": ["id"], "window.every": 3600.0}));
    assert_eq!(edit.text(), "`window.every` was 1d and is 1h");
    assert!(edit.renames_slices() && !edit.cuts_otherwise());
    let edit = edited(&landed, &json!({"key": ["id"], "snapshot": "daily"}));
    assert_eq!(edit.text(), "`window.every` was 1d and is nothing");
    assert!(edit.cuts_otherwise());
}

#[test]
fn parts_that_an_earlier_version_did_not_know_are_no_edit() {
    let landed = json!({"key": ["id"], "sinks.lake.url": "/lake"});
    let with = |name: &str| json!({"key": ["id"], "sinks.lake.url": "/lake", name: "x"});
    assert!(edited(&landed, &with("sinks.lake.format")).is_empty());
    assert!(edited(&landed, &with("window.every")).is_empty());
}

#[test]
fn sinks_come_go_and_are_renamed() {
    let landed = json!({"sinks.lake.url": "/lake", "sinks.feed.url": "/feed"});
    let edit = edited(&landed, &json!({"sinks.lake.url": "/lake", "sinks.pond.url": "/pond"}));
    assert_eq!((edit.added.as_slice(), edit.removed.as_slice()), (&["pond".to_owned()][..], &["feed".to_owned()][..]));
    assert!(edit.changes.is_empty(), "{edit:?}");
    let renamed = json!({"sinks.lake.url": "/lake", "sinks.other.url": "/feed"});
    assert!(edited(&landed, &renamed).is_empty());
    let moved = edited(&landed, &json!({"sinks.lake.url": "/pond", "sinks.feed.url": "/feed"}));
    assert_eq!(moved.text(), "`sinks.lake.url` was \"/lake\" and is \"/pond\"");
}

#[test]
fn what_was_sent_is_known_by_the_name_of_the_sink() {
    let landed = json!({"sinks.desk.key": ["id", "n"], "sinks.desk.where": null});
    let renamed = edited(&landed, &json!({"sinks.tickets.key": ["id", "n"], "sinks.tickets.where": null}));
    assert_eq!(renamed.new_senders, ["tickets"]);
    assert_eq!(renamed.gone_senders, ["desk"]);
    let changed = edited(&landed, &json!({"sinks.desk.url": "/lake"}));
    assert_eq!(changed.text(), "`sinks.desk.key` was [\"id\",\"n\"] and is nothing");
    assert!(changed.new_senders.is_empty());
}

fn sql_edited(was: &str, is: &str) -> Edit {
    edited(&json!({"transform": was, "sinks.lake.where": was}), &json!({"transform": is, "sinks.lake.where": is}))
}

#[test]
fn comments_and_blanks_in_sql_are_no_edit() {
    let was = "SELECT id, 'a  -- b' AS note\nFROM records";
    for is in
        ["SELECT id, 'a  -- b' AS note FROM records", "-- why\nSELECT id,\n  'a  -- b' /* x */ AS note\nFROM records ;"]
    {
        assert!(sql_edited(was, is).is_empty(), "{is}");
    }
    for is in [
        "SELECT id, 'a -- b' AS note FROM records",
        "SELECT ID, 'a  -- b' AS note FROM records",
        "SELECT id, 'a  -- b' AS note FROM records WHERE true",
        "SELECT \"id\", 'a  -- b' AS note FROM records",
    ] {
        assert_eq!(sql_edited(was, is).changes.len(), 2, "{is}");
    }
    // A text that isn't SQL is itself.
    assert!(!sql_edited("it's", "it's ").changes.is_empty());
    // In what isn't SQL blanks count.
    assert!(!edited(&json!({"path": "/a b"}), &json!({"path": "/a  b"})).is_empty());
}

#[test]
fn a_change_in_long_sql_is_shown_where_it_is() {
    let columns = |last: &str| format!("SELECT {}, {last} FROM records", "a_column_with_a_long_name, ".repeat(20));
    let edit = edited(&json!({"transform": columns("amount")}), &json!({"transform": columns("amount * 2")}));
    assert_eq!(edit.text(), "`transform` is another");
    let long = "olumn_with_a_long_name, a_column_with_a_long_name, ";
    assert_eq!(
        edit.lines(),
        format!(
            "\n`transform`, the lines that differ:\n  - …{long}, amount FROM records\n  + …{long}, amount * 2 FROM records"
        )
    );
    let was = "SELECT id,\n  amount,\n  note\nFROM records";
    let is = "SELECT id,\n  amount * 2 AS amount,\n  note,\n  -- new\n  day\nFROM records";
    assert_eq!(
        edited(&json!({"transform": was}), &json!({"transform": is})).lines(),
        "\n`transform`, the lines that differ:\n  -   amount,\n  -   note\n  +   amount * 2 AS amount,\n  +   note,\n  +   day"
    );
    let short = edited(&json!({"transform": "SELECT 1 AS a"}), &json!({"transform": null}));
    assert_eq!(
        (short.text().as_str(), short.lines().as_str()),
        ("`transform` was \"SELECT 1 AS a\" and is nothing", "")
    );
}

#[test]
fn the_lines_that_stay_are_left_out() {
    let shown = |was: &str, is: &str| {
        let (was, is) = (was.replace(' ', "\n"), is.replace(' ', "\n"));
        let changed = changed_lines(&Line::all(&was), &Line::all(&is));
        changed.iter().map(|(sign, line)| format!("{sign}{line}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("a b c", "a b c"), "");
    assert_eq!(shown("a b c d e", "a x c e f"), "-b +x -d +f");
    assert_eq!(shown("a", "b a b"), "+b +b");
    assert_eq!(shown("a b a", "a"), "-b -a");
}
