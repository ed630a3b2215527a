//! Rows of which something is in doubt: whether a request was heard, which row of a batch is at fault, by which key a row was sent, and
//! whether it is the rows that are wrong, or the pipeline file.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::desk::{FIND, KEYED, Mishap, PLAIN, TicketBench, alert, checked};

const AT_ONCE: Duration = Duration::ZERO;

fn numbers<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{report}")))
}

fn error(delivery: &Value) -> &str {
    delivery["error"].as_str().unwrap_or_else(|| panic!("{delivery}"))
}

/// Lets each run replace what the ones before have landed, so that rows leave and change.
fn with_the_latest_list(it: TicketBench) -> TicketBench {
    let file = fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    let latest = file.replace("snapshot: every_run", "snapshot: latest");
    assert_ne!(latest, file);
    it.bench.workspace.write("pipeline.yaml", &latest);
    it
}

/// Lets an alert's ticket be created, and every answer to that of a run say otherwise.
fn created_but_unanswered(it: &TicketBench, id: &'static str) {
    it.fault(move |alert, _| if alert == id { Mishap::CreatedBut(503) } else { Mishap::None });
    let ran = it.run(0);
    assert_eq!(ran.code(), 3, "{ran:?}");
    it.mend();
}

#[test]
fn a_batch_one_of_whose_rows_is_there_goes_in_halves() {
    for keys in [PLAIN, KEYED] {
        let it = TicketBench::new(10, AT_ONCE, &format!("{keys}\nbatch: {{rows: 4}}\nexists: $status == 409"));
        it.fault(|alert, _| if alert == "2" { Mishap::Instead(409, "2 is there") } else { Mishap::None });
        let ran = it.run(0);
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert_eq!(numbers(&checked(&ran.report), ["sent", "found", "maybe_sent"]), [9, 1, 0], "{keys}");
        it.desk().alerts.remove(2);
        it.assert_one_each();
    }
}

/// The desk takes a key for one request, and asserts that it stays the same one.
#[test]
fn a_batch_in_doubt_is_sent_again_as_it_was_though_a_row_is_gone() {
    let it = with_the_latest_list(TicketBench::new(10, AT_ONCE, &format!("{KEYED}\nbatch: {{rows: 4}}")));
    created_but_unanswered(&it, "5");
    assert_eq!(numbers(&it.status(), ["pending", "in_doubt"]), [4, 4]);
    let gone = it.desk().alerts.remove(6);
    let file = fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    it.bench.workspace.write("pipeline.yaml", &file.replace("rows: 4", "rows: 3"));
    let ran = it.run_with(1, &["--allow-shrink"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "maybe_sent", "left"]), [4, 0, 0]);
    assert_eq!(numbers(&it.status(), ["pending", "in_doubt", "sent", "maybe_sent"]), [0, 0, 10, 0]);
    it.desk().alerts.push(gone);
    it.assert_one_each();
}

/// What is too large for a note is put together again from what has landed: where that is what it was, the server knows it.
#[test]
fn of_a_request_that_is_too_large_to_be_kept_what_may_be_doubled_is_counted() {
    for gone in [false, true] {
        let keys = format!("{KEYED}\nbatch: {{rows: 2}}");
        let it = with_the_latest_list(TicketBench::new(4, AT_ONCE, &keys));
        it.desk().alerts[2..].iter_mut().for_each(|alert| alert["text"] = "x".repeat(600_000).into());
        created_but_unanswered(&it, "3");
        assert_eq!(numbers(&it.status(), ["in_doubt"]), [2]);
        if gone {
            it.desk().alerts.pop();
        }
        let ran = it.run_with(1, &["--allow-shrink"]);
        assert_eq!(ran.code(), 0, "{ran:?}");
        let (sent, doubled) = if gone { (1, 1) } else { (2, 0) };
        assert_eq!(numbers(&checked(&ran.report), ["sent", "maybe_sent", "left"]), [sent, doubled, 0]);
        assert_eq!(it.doubles(), doubled);
    }
}

#[test]
fn a_row_in_doubt_is_sent_again_as_it_was_though_it_changed() {
    let it = with_the_latest_list(TicketBench::new(4, AT_ONCE, KEYED));
    created_but_unanswered(&it, "1");
    it.desk().alerts[1]["text"] = "another".into();
    let ran = it.run(1);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "maybe_sent", "left"]), [1, 0, 0]);
    it.assert_one_each();
    assert_eq!(numbers(&it.status(), ["pending", "in_doubt", "sent"]), [0, 0, 4]);
}

#[test]
fn where_the_server_knows_it_by_another_key_a_double_is_counted() {
    let it = TicketBench::new(4, AT_ONCE, KEYED);
    created_but_unanswered(&it, "1");
    it.sink("idempotency_key: {header: Idempotency-Key, value: 'x{{ row.id }}'}");
    let (code, delivery) = it.deliver(&[]);
    assert_eq!((code, numbers(&delivery, ["sent", "maybe_sent"])), (0, [1, 1]), "{delivery}");
    assert_eq!(it.doubles(), 1);
}

#[test]
fn a_row_that_a_server_stumbles_over_is_sent_as_it_is_by_now_once_that_is_asked_for() {
    let it = with_the_latest_list(TicketBench::new(4, AT_ONCE, KEYED));
    it.fault(|alert, _| if alert == "1" { Mishap::Instead(500, "the text is bad") } else { Mishap::None });
    assert_eq!(it.run(0).code(), 3);
    it.desk().alerts[1]["text"] = "better".into();
    let ran = it.run(1);
    assert_eq!(ran.code(), 3, "{ran:?}");
    let told = checked(&ran.report);
    assert!(error(&told).contains("`tidegate deliver --refused` sends them as they have landed since"), "{told}");
    it.mend();
    let (code, delivery) = it.deliver(&["--refused"]);
    assert_eq!((code, numbers(&delivery, ["sent", "maybe_sent"])), (0, [1, 1]), "{delivery}");
    it.assert_one_each();
    let posts = it.bench.api.asked();
    assert!(posts.iter().any(|request| request.body.contains("better")), "{posts:?}");
}

#[test]
fn what_was_sent_counts_as_sent_by_a_key_with_other_columns() {
    let it = TicketBench::new(3, AT_ONCE, PLAIN);
    assert_eq!(it.run(0).code(), 0);
    let file = fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    let write = |text: &str| it.bench.workspace.write("pipeline.yaml", text);
    write(&file.replace("key: [id]", "key: [id, text]"));
    assert_eq!(it.run(1).code(), 2, "that must be accepted");
    it.desk().alerts.push(alert(3));
    let ran = it.run_with(1, &["--accept", "future"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "maybe_sent"]), [1, 0]);
    it.assert_one_each();
    assert_eq!(numbers(&it.status(), ["pending", "sent"]), [0, 4]);
    // By the new key it is another row.
    it.desk().alerts[0]["text"] = "worse".into();
    assert_eq!(numbers(&checked(&it.run(2).report), ["sent"]), [1]);
    assert_eq!(it.doubles(), 1);
    write(&file);
    let back = it.run_with(3, &["--accept", "future"]);
    assert_eq!(numbers(&checked(&back.report), ["sent"]), [0], "{back:?}");
    assert_eq!(numbers(&it.status(), ["pending", "sent"]), [0, 4]);
    assert_eq!(it.doubles(), 1);
}

#[test]
fn a_key_that_what_was_sent_does_not_have_sends_nothing() {
    let it = TicketBench::new(3, AT_ONCE, PLAIN);
    assert_eq!(it.run(0).code(), 0);
    let file = fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    let edited = file.replace("key: [id]", "key: [nr]");
    let edited = edited.replace("    sinks:", "    transform: SELECT id AS nr, id, text FROM records\n    sinks:");
    it.bench.workspace.write("pipeline.yaml", &edited);
    let ran = it.run_with(1, &["--accept", "future"]);
    assert_eq!(ran.code(), 3, "{ran:?}");
    insta::assert_snapshot!(error(&checked(&ran.report)), @"the rows were known by id when they were sent, and are by nr now, but some of those that have landed have no column `nr`, so it isn't known which were sent: nothing is sent. Take the edit of `key` back; or give the sink another name, and run once with `--accept future`: it is sent what lands from then on");
    it.assert_one_each();
}

#[test]
fn a_name_that_no_row_has_gives_up_no_row() {
    let it = TicketBench::new(4, AT_ONCE, "body: {alert: '{{ row.nope }}'}");
    let ran = it.run(0);
    assert_eq!(ran.code(), 3, "{ran:?}");
    let delivery = checked(&ran.report);
    assert_eq!(numbers(&delivery, ["refused", "left"]), [0, 4]);
    insta::assert_snapshot!(error(&delivery), @"no request can be made of any of the 4 rows that came first, so it is the pipeline file that is wrong, not the rows: they stay to be sent; the first: body.alert: 'row.nope' is undefined; known: row, key (at byte 3 of the template '{{ row.nope }}')");
    assert_eq!(it.bench.quarantine(), Vec::<Value>::new());
    it.sink(PLAIN);
    let (code, delivery) = it.deliver(&[]);
    assert_eq!((code, numbers(&delivery, ["sent", "maybe_sent"])), (0, [4, 0]), "{delivery}");
    // A typo later gives up none either; one row that lacks a name does.
    it.sink("body: {alert: '{{ row.nope }}'}");
    it.desk().alerts.push(alert(4));
    assert_eq!(numbers(&checked(&it.run(1).report), ["refused", "left"]), [0, 1]);
    it.sink("body: {alert: '{{ row.id if row.id > 4 else row.nope }}'}");
    it.desk().alerts.push(alert(5));
    assert_eq!(numbers(&checked(&it.run(2).report), ["sent", "refused", "left"]), [1, 1, 0]);
    assert!(it.bench.quarantine()[0]["reason"].as_str().unwrap().starts_with("no request can be made of it: "));
}

#[test]
fn a_delivery_all_of_whose_rows_are_refused_has_failed() {
    for keys in [PLAIN, FIND, KEYED] {
        let it = TicketBench::new(2, AT_ONCE, keys);
        it.fault(|_, _| Mishap::Instead(400, "no"));
        let ran = it.run(0);
        assert_eq!(ran.code(), 3, "{ran:?}");
        assert_eq!(numbers(&checked(&ran.report), ["refused", "left"]), [0, 2], "{keys}: it may be the request");
        it.mend();
        let (code, delivery) = it.deliver(&[]);
        assert_eq!((code, numbers(&delivery, ["sent", "maybe_sent"])), (0, [2, 0]), "{delivery}");
        it.fault(|_, _| Mishap::Instead(400, "no"));
        it.desk().alerts.push(alert(2));
        let ran = it.run(1);
        assert_eq!(ran.code(), 3, "{ran:?}");
        let delivery = checked(&ran.report);
        assert_eq!(numbers(&delivery, ["refused", "left"]), [1, 0], "{keys}: others were taken");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error(&delivery), @"all rows that were to be sent were refused; they are in quarantine, with the reasons: once the pipeline file is right, `tidegate deliver --refused` sends them again");
        }
        assert_eq!(it.run(2).code(), 0, "they aren't sent again");
    }
}

#[test]
fn a_state_in_memory_has_its_outbox_there_too() {
    let it = TicketBench::new(3, AT_ONCE, PLAIN);
    let line = ["run", "pipeline.yaml", "--state", "memory://", "--now", "2026-01-03T12:00:00Z"];
    let outcome = it.bench.workspace.tidegate(&line).env("TOKEN", "a-token-of-the-desk").run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!outcome.stderr.contains("can't be"), "{outcome:?}");
    it.assert_one_each();
}

/// What answers instead of the search says nothing of the ticket.
#[test]
fn an_answer_of_find_that_can_not_be_read_is_no_absence() {
    for body in ["<html>Scheduled maintenance</html>", "", "null", r#"{"total": 1"#] {
        let it = TicketBench::new(3, AT_ONCE, FIND);
        it.desk().search = Some(body);
        let ran = it.run(0);
        assert_eq!((ran.code(), it.desk().tickets.len()), (3, 0), "{body}: {ran:?}");
        let told = checked(&ran.report);
        assert!(error(&told).contains("`find`: ") && error(&told).contains("/search"), "{told}");
        it.desk().search = None;
        assert_eq!(it.run(1).code(), 0);
        it.assert_one_each();
    }
}

/// A ticket that was created may be shown elsewhere: the answer leads there.
#[test]
fn a_ticket_whose_answer_leads_elsewhere_is_in_doubt() {
    for (keys, doubled) in [(PLAIN, 1), (KEYED, 0), (FIND, 0)] {
        let it = TicketBench::new(3, AT_ONCE, keys);
        it.fault(|alert, _| if alert == "1" { Mishap::CreatedBut(303) } else { Mishap::None });
        assert_eq!(it.run(0).code(), 3);
        it.mend();
        let ran = it.run(1);
        assert_eq!(numbers(&checked(&ran.report), ["maybe_sent", "left"]), [doubled, 0], "{keys}: {ran:?}");
        assert_eq!(it.doubles(), doubled, "{keys}");
    }
}

/// The first try creates the ticket, and the last one says that nothing was done, which is true of that one alone.
#[test]
fn a_doubt_outlives_the_tries_that_follow_it() {
    for last in [403, 404, 400] {
        let it = TicketBench::new(3, AT_ONCE, KEYED);
        it.fault(move |alert, tries| match (alert, tries) {
            ("1", 0) => Mishap::CreatedBut(503),
            ("1", _) => Mishap::Instead(last, "no"),
            _ => Mishap::None,
        });
        let ran = it.run(0);
        let told = checked(&ran.report);
        if last == 400 {
            assert_eq!(numbers(&told, ["refused", "left"]), [1, 0], "{told}");
            let reason = it.bench.quarantine()[0]["reason"].to_string();
            assert!(reason.contains("look whether it is there"), "{reason}");
            continue;
        }
        assert_eq!(numbers(&it.status(), ["in_doubt"]), [1], "{last}: {told}");
        it.mend();
        // By another key the desk doesn't know it, which is counted.
        it.sink("idempotency_key: {header: Idempotency-Key, value: 'x{{ row.id }}'}");
        let (code, delivery) = it.deliver(&[]);
        assert_eq!((code, numbers(&delivery, ["maybe_sent"])), (0, [1]), "{last}: {delivery}");
        assert_eq!(it.doubles(), 1);
    }
}

/// A search index shows what was created a while later.
#[test]
fn a_ticket_is_looked_for_once_a_search_that_lags_can_show_it() {
    let find = format!("{}, lag: 700ms}}", FIND.strip_suffix('}').unwrap());
    let it = TicketBench::new(12, AT_ONCE, &find);
    it.desk().lag = Duration::from_millis(500);
    it.fault(|alert, tries| match alert {
        "1" if tries == 0 => Mishap::CreatedBut(500),
        "2" if tries == 0 => Mishap::BrokenAfter,
        // All tries of the first run say so, and the next one begins at once.
        "3" if tries < 2 => Mishap::CreatedBut(503),
        _ => Mishap::None,
    });
    let ran = it.run(0);
    assert_eq!(numbers(&checked(&ran.report), ["sent", "found", "left", "maybe_sent"]), [9, 3, 0, 0], "{ran:?}");
    it.assert_one_each();
    assert_eq!(numbers(&it.status(), ["in_doubt", "maybe_sent"]), [0, 0]);
}

/// A server that refuses what is there already never makes it twice.
#[test]
fn a_row_in_doubt_that_is_there_by_the_servers_word_is_no_double() {
    let it = TicketBench::new(3, AT_ONCE, "exists: $status == 409\nconcurrency: 2");
    it.fault(|alert, tries| match (alert, tries) {
        ("1", 0) => Mishap::CreatedBut(503),
        ("1", _) => Mishap::Instead(409, "it is there"),
        _ => Mishap::None,
    });
    let ran = it.run(0);
    assert_eq!(numbers(&checked(&ran.report), ["sent", "found", "maybe_sent", "left"]), [2, 1, 0, 0], "{ran:?}");
    it.assert_one_each();
}

#[test]
fn refused_rows_that_have_left_their_slices_are_told() {
    let it = with_the_latest_list(TicketBench::new(4, AT_ONCE, PLAIN));
    it.fault(|alert, _| if matches!(alert, "1" | "2") { Mishap::Instead(400, "no") } else { Mishap::None });
    assert_eq!(numbers(&checked(&it.run(0).report), ["sent", "refused"]), [2, 2]);
    it.mend();
    it.desk().alerts.remove(1);
    assert_eq!(it.run(1).code(), 0);
    let (code, delivery) = it.deliver(&["--refused"]);
    assert_eq!((code, numbers(&delivery, ["sent", "gone"])), (0, [1, 1]), "{delivery}");
}

#[test]
fn a_row_in_doubt_is_left_once() {
    let it = with_the_latest_list(TicketBench::new(10, AT_ONCE, &format!("{KEYED}\nconcurrency: 4")));
    it.fault(|_, _| Mishap::CreatedBut(503));
    assert_eq!(it.run(0).code(), 3);
    let doubts = it.status()["in_doubt"].as_u64().unwrap();
    assert!(doubts > 0);
    it.fault(|_, _| Mishap::Instead(403, "not now"));
    let told = checked(&it.run(1).report);
    assert_eq!(numbers(&told, ["rows", "left"]), [10, 10], "{doubts} in doubt: {told}");
    assert_eq!(numbers(&it.status(), ["pending"]), [10]);
}

/// A proxy's page with the status 200 says nothing of the ticket.
#[test]
fn a_page_for_people_is_no_word_of_the_desk() {
    for (keys, doubtful) in [(PLAIN, 1), (KEYED, 0), (FIND, 0)] {
        let it = TicketBench::new(3, AT_ONCE, keys);
        it.fault(|alert, _| if alert == "1" { Mishap::Page } else { Mishap::None });
        let ran = it.run(0);
        assert_eq!(ran.code(), 3, "{keys}: {ran:?}");
        assert!(error(&checked(&ran.report)).contains("page of HTML"), "{ran:?}");
        it.mend();
        let ran = it.run(1);
        assert_eq!(numbers(&checked(&ran.report), ["left", "maybe_sent"]), [0, doubtful], "{keys}: {ran:?}");
        it.assert_one_each();
    }
    let it = TicketBench::new(1, AT_ONCE, "success: $status == 200");
    it.fault(|_, _| Mishap::Page);
    assert_eq!(numbers(&checked(&it.run(0).report), ["sent"]), [1], "the file says that it is one");
}
