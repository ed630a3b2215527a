use super::*;

fn edited(landed: &Value, now: &Value) -> Edit {
    Edit::of(landed, now)
}

#[test]
fn a_difference_is_named() {
    let landed = json!({"key": ["id"], "window.every": 86400.0});
    assert!(edited(&landed, &landed).is_empty());
    let edit = edited(&landed, &json!({"key": ["id"], "window.every": 3600.0}));
    assert_eq!(edit.text(), "`window.every` was 86400.0 and is 3600.0");
    assert!(edit.renames_slices() && !edit.cuts_otherwise());
    let edit = edited(&landed, &json!({"key": ["id"], "snapshot": "daily"}));
    assert_eq!(edit.text(), "`window.every` was 86400.0 and is nothing");
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
fn a_loopback_address_names_no_system() {
    let of = |url: &str| system(&url.parse().unwrap());
    assert_eq!(of("http://127.0.0.1:4000/api/"), of("https://localhost:5000/api"));
    assert_eq!(of("http://[::1]:1/"), "loopback");
    assert_eq!(of("https://user:secret@ntop.example:3000/x"), "ntop.example:3000/x");
}
