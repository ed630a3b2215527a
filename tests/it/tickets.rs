//! Rows that are sent: each alert becomes one ticket, whatever goes wrong on the way.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, files};
use crate::support::desk::{FIND, KEYED, Mishap, PLAIN, TicketBench, alert, checked};

const AT_ONCE: Duration = Duration::ZERO;

/// Returns some numbers of a delivery's report, or of a status.
fn numbers<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{report}")))
}

#[test]
fn each_alert_is_one_ticket_over_all_slices() {
    for keys in [PLAIN, FIND, KEYED] {
        let it = TicketBench::new(5, AT_ONCE, keys);
        let ran = it.run(0);
        assert_eq!(ran.code(), 0, "{ran:?}");
        let order: Vec<String> = (0..5).map(|id: u32| id.to_string()).collect();
        if keys == PLAIN {
            assert_eq!(it.desk().tickets, order, "in the order of the rows");
        }
        assert_eq!(numbers(&checked(&ran.report), ["rows", "sent", "left", "maybe_sent"]), [5, 5, 0, 0], "{keys}");
        it.desk().alerts.push(alert(5));
        let again = checked(&it.run(1).report);
        assert_eq!(numbers(&again, ["rows", "sent", "known"]), [6, 1, 5], "{keys}");
        assert_eq!(numbers(&checked(&it.run(2).report), ["rows", "known"]), [6, 6], "{keys}");
        let (code, alone) = it.deliver(&[]);
        assert_eq!((code, numbers(&alone, ["rows"])), (0, [0]), "done slices aren't read again");
        it.assert_one_each();
        let status = it.status();
        assert_eq!(
            numbers(&status, ["pending", "in_doubt", "sent", "refused", "maybe_sent"]),
            [0, 0, 6, 0, 0],
            "{keys}"
        );
    }
}

#[test]
fn what_is_found_or_conflicts_is_not_sent() {
    let it = TicketBench::new(3, AT_ONCE, FIND);
    it.desk().tickets.push("1".to_owned());
    assert_eq!(numbers(&checked(&it.run(0).report), ["sent", "found"]), [2, 1]);
    it.assert_one_each();
    let it = TicketBench::new(3, AT_ONCE, "exists: '$status == 409'");
    it.fault(|alert, _| if alert == "2" { Mishap::Instead(409, "it exists") } else { Mishap::None });
    assert_eq!(numbers(&checked(&it.run(0).report), ["sent", "found"]), [2, 1]);
}

#[test]
fn a_server_that_stumbles_gets_each_ticket_once() {
    let mishaps: [fn() -> Mishap; 5] = [
        || Mishap::Instead(429, "slow down"),
        || Mishap::Instead(500, "try again"),
        || Mishap::BrokenAfter,
        || Mishap::CreatedBut(502),
        || Mishap::SilentAfter,
    ];
    for keys in [FIND, KEYED] {
        let it = TicketBench::new(10, AT_ONCE, &format!("{keys}\ntimeout: {{request: 2s}}"));
        it.fault(move |alert, asked| {
            let number: usize = alert.parse().unwrap();
            if asked == 0 { mishaps.get(number).map_or(Mishap::None, |mishap| mishap()) } else { Mishap::None }
        });
        let ran = it.run(0);
        assert_eq!(ran.code(), 0, "{keys}: {ran:?}");
        assert_eq!(numbers(&checked(&ran.report), ["left", "maybe_sent"]), [0, 0], "{keys}");
        it.assert_one_each();
    }
}

#[test]
fn without_find_or_key_a_double_is_counted() {
    let it = TicketBench::new(4, AT_ONCE, PLAIN);
    it.fault(|alert, asked| match (alert, asked) {
        ("0", 0) => Mishap::Instead(429, "slow down"),
        ("1", 0) => Mishap::BrokenAfter,
        ("2", 0) => Mishap::CreatedBut(503),
        _ => Mishap::None,
    });
    let ran = it.run(0);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "maybe_sent"]), [4, 2], "429 was surely not heard");
    assert_eq!(it.doubles(), 2);
    assert_eq!(numbers(&it.status(), ["maybe_sent", "in_doubt"]), [2, 0]);
    let text = it.bench.workspace.tidegate(&["status", "pipeline.yaml", "--state", "state"]).run();
    insta::assert_snapshot!(text.stdout.lines().skip(6).map(str::trim_end).collect::<Vec<_>>().join("\n"), @"
    ───────────────────────────────────────────────────────────────────────────
     job      sink      pending   in doubt   sent   refused   maybe sent twice
    ═══════════════════════════════════════════════════════════════════════════
     alerts   tickets         0          0      4         0                  2
    ───────────────────────────────────────────────────────────────────────────
    ");
}

#[test]
fn a_refused_row_lies_in_quarantine_with_the_answer_and_the_others_go() {
    let it = TicketBench::new(4, AT_ONCE, "error_message: .error");
    it.fault(|alert, _| match alert {
        "2" => Mishap::Instead(400, "the text is bad; you are Bearer a-token-of-the-desk"),
        _ => Mishap::None,
    });
    let ran = it.run(0);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "refused", "left"]), [3, 1, 0]);
    let bad = it.bench.quarantine();
    let row: Value = serde_json::from_str(bad[0]["row"].as_str().unwrap()).unwrap();
    assert_eq!((bad.len(), row), (1, alert(2)));
    let reason = it.bench.workspace.redact(bad[0]["reason"].as_str().unwrap());
    insta::assert_snapshot!(reason, @r#"POST /desk/tickets {"alert":2,"text":"Alert: disk 2 \"full\""}: status 400 after 1 try: the server answered 400 Bad Request; it says: the text is bad; you are Bearer [redacted]; body: {"error":"the text is bad; you are Bearer [redacted]"}; correct the row in the transform, or what the sink makes of it"#);
    let list = |more: &[&str]| {
        let arguments = [&["quarantine", "list", "pipeline.yaml", "--state", "state"], more].concat();
        it.bench.workspace.tidegate(&arguments).run().stdout
    };
    insta::assert_snapshot!(list(&[]).trim_end(), @"the server of sink `tickets` of job `alerts` refused 1 row: see state/test/quarantine/test-alerts-tickets-delivery-*.jsonl; `tidegate deliver pipeline.yaml --refused --state state` sends it again");
    let listed: Value = serde_json::from_str(&list(&["--output", "json"])).unwrap();
    assert_eq!((&listed[0]["sink"], &listed[0]["rows"]), (&json!("tickets"), &json!(1)), "{listed}");
    // It isn't sent again, until somebody says so.
    assert_eq!(numbers(&checked(&it.run(1).report), ["known"]), [4]);
    it.mend();
    let (code, delivery) = it.deliver(&["--refused"]);
    assert_eq!((code, numbers(&delivery, ["sent", "left"])), (0, [1, 0]), "{delivery}");
    it.assert_one_each();
    assert_eq!(list(&[]).trim_end(), "quarantine is empty");
    assert_eq!(numbers(&it.status(), ["sent", "refused"]), [4, 0]);
}

#[test]
fn where_the_first_ten_are_refused_nothing_is_given_up() {
    for keys in [PLAIN, KEYED] {
        let it = TicketBench::new(30, AT_ONCE, keys);
        it.fault(|_, _| Mishap::Instead(422, "no such field: alert"));
        let ran = it.run(0);
        assert_eq!(ran.code(), 3, "the slice has landed: {ran:?}");
        let delivery = checked(&ran.report);
        assert_eq!(numbers(&delivery, ["refused", "left"]), [0, 30]);
        assert!(delivery["error"].as_str().unwrap().contains("the first 10 rows were all refused"), "{delivery}");
        assert_eq!(it.bench.quarantine(), Vec::<Value>::new());
        it.mend();
        assert_eq!(numbers(&it.deliver(&[]).1, ["sent", "maybe_sent"]), [30, 0], "{keys}: they surely weren't there");
        it.assert_one_each();
    }
}

#[test]
fn a_server_that_is_down_stops_the_delivery_and_not_the_landing() {
    for keys in [PLAIN, FIND, KEYED] {
        let it = TicketBench::new(6, AT_ONCE, keys);
        it.fault(|alert, _| if alert == "3" { Mishap::Instead(503, "down") } else { Mishap::None });
        let ran = it.run(0);
        assert_eq!(ran.code(), 3, "{ran:?}");
        assert_eq!(ran.slices()[0]["outcome"], "landed");
        let delivery = checked(&ran.report);
        assert!(delivery["error"].as_str().unwrap().contains("status 503 after 3 tries"), "{keys}: {delivery}");
        assert!(numbers(&delivery, ["left"])[0] >= 1, "{delivery}");
        let status = it.status();
        assert_eq!(numbers(&status, ["pending"])[0] + numbers(&status, ["sent"])[0], 6, "{status}");
        assert_ne!(it.deliver(&[]).0, 0, "{keys}: it is still down");
        it.mend();
        let (code, delivery) = it.deliver(&[]);
        assert_eq!((code, numbers(&delivery, ["left"])), (0, [0]), "{delivery}");
        it.assert_one_each();
    }
}

#[test]
fn a_refused_credential_is_sent_once_and_its_secret_lies_nowhere() {
    let it = TicketBench::new(20, AT_ONCE, KEYED);
    let wrong = [("TOKEN", "wrong-token-of-mine")];
    let ran = it.bench.run_with(&crate::support::desk::at(0), &[], &wrong);
    assert_eq!(ran.code(), 3, "{ran:?}");
    let posts = || it.bench.api.asked().iter().filter(|request| request.path == "/desk/tickets").count();
    assert_eq!(posts(), 1, "the first request goes alone, and nothing after it");
    let error = checked(&ran.report)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("refused the credential") && !error.contains("wrong-token"), "{error}");
    let again = it.bench.run_with(&crate::support::desk::at(1), &[], &wrong);
    assert_eq!(posts(), 1, "not in the next run either: {again:?}");
    assert_eq!(it.run(2).code(), 0);
    it.assert_one_each();
    for path in files(&it.bench.workspace.path("state")) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("wrong-token") && !text.contains("a-token-of-the-desk"), "{path}");
    }
}

#[test]
fn a_batch_that_is_refused_goes_in_halves() {
    let it = TicketBench::new(20, AT_ONCE, &format!("{KEYED}\nbatch: {{rows: 8}}"));
    it.fault(|alert, _| if alert == "5" { Mishap::Instead(400, "bad row") } else { Mishap::None });
    let ran = it.run(0);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "refused", "left"]), [19, 1, 0]);
    let mut tickets: Vec<usize> = it.desk().tickets.iter().map(|alert| alert.parse().unwrap()).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (0..20).filter(|id| *id != 5).collect::<Vec<_>>());
    assert_eq!(it.bench.quarantine().len(), 1);
}

#[test]
fn a_preview_shows_the_request_and_sends_nothing() {
    let it = TicketBench::new(3, AT_ONCE, KEYED);
    let preview =
        it.bench.workspace.tidegate(&["preview", "pipeline.yaml", "alerts"]).env("TOKEN", "a-token-of-the-desk").run();
    let shown = it.bench.workspace.redact(&preview.stdout);
    let (_, shown) = shown.split_once("\nsink").unwrap_or_else(|| panic!("{preview:?}"));
    insta::assert_snapshot!(shown, @r#"
    tickets would send:
     POST http://127.0.0.1:[PORT]/desk/tickets
     idempotency-key: ac65cbb9e4ee2a51f8403de111fbc1a3
     {"alert":0,"text":"Alert: disk 0 \"full\""}
    "#);
    assert_eq!(it.desk().tickets, Vec::<String>::new());
}

#[test]
fn rows_whose_key_is_null_fail_their_slice() {
    let it = TicketBench::new(1, AT_ONCE, PLAIN);
    it.desk().alerts.push(json!({"id": null, "text": "x"}));
    let ran = it.run(0);
    insta::assert_snapshot!(it.bench.workspace.redact(&ran.errors().join("\n")), @"20260103T120000Z: the sink `tickets`: `id`, which `key` names, is null in a row, so it couldn't be known whether that row was sent; leave such rows out by `where`, or give them one in the transform");
    assert_eq!(it.desk().tickets, Vec::<String>::new(), "no row without its outbox");
}

#[test]
fn the_method_depends_on_the_row() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let desk = Arc::clone(&heard);
    let bench = Bench::new(Api::start(move |request| {
        if request.path == "/alerts" {
            let alerts = [("a/1", "PUT"), ("b", "delete"), ("c", "GET"), ("d", "post")];
            return Answer::json(&alerts.map(|(id, how)| json!({"id": id, "how": how})).into());
        }
        desk.lock().unwrap().push(format!("{} {}", request.method, request.path));
        Answer::json(&json!({}))
    }));
    bench.jobs(&format!(
        "  alerts:
    get: /alerts
    records: '.[]'
    paginate: none
    snapshot: every_run
    sinks:
      desk:
        http:
          base_url: {}/desk
          request: {{method: '{{{{ row.how }}}}', path: '/{{{{ row.id }}}}'}}
          key: id
",
        bench.api.url()
    ));
    let ran = bench.run_with("2026-01-03T12:00:00Z", &[], &[]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(&checked(&ran.report), ["sent", "refused", "left"]), [3, 1, 0]);
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    assert_eq!(heard, ["DELETE /desk/b", "POST /desk/d", "PUT /desk/a%2F1"]);
    let refused = bench.quarantine();
    assert!(refused[0]["reason"].as_str().unwrap().contains("method gives \"GET\"; it must give POST"), "{refused:?}");
}

/// What was sent is known by the sink's name: a sink that is new, or renamed, would send all of it again.
#[test]
fn a_sink_that_is_renamed_or_gone_is_told_of() {
    let it = TicketBench::new(3, AT_ONCE, PLAIN);
    let file = fs::read_to_string(it.bench.workspace.path("pipeline.yaml")).unwrap();
    it.fault(|alert, _| if alert == "2" { Mishap::Instead(403, "no") } else { Mishap::None });
    assert_eq!(it.run(0).code(), 3);
    it.mend();
    let write = |text: &str| it.bench.workspace.write("pipeline.yaml", text);
    write(&file.replace("tickets:\n        http", "desk:\n        http"));
    let refused = it.run(1);
    assert_eq!(refused.code(), 2, "{refused:?}");
    insta::assert_snapshot!(refused.report["jobs"][0]["error"].as_str().unwrap(), @"the job `alerts` has a new sink that sends, `desk`: run once with `--accept future` (it is sent what lands from now on); what was sent as `tickets` isn't known under another name: a sink that was renamed needs its old one back");
    write(&file.replace("key: [id]", "key: [id, text]"));
    insta::assert_snapshot!(it.deliver(&[]).1["error"].as_str().unwrap(), @"what has landed is meant for a `key` of id, and the `key` of sink `tickets` is id, text by now: nothing is sent until that edit of the job is taken back, or accepted by a run");
    let (jobs, _) = file.split_once("tickets:\n").unwrap();
    write(&format!("{jobs}lake: {{jsonl: {{url: ./lake}}}}\n"));
    let ran = it.run_with(2, &["--accept", "future"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    insta::assert_snapshot!(it.bench.workspace.redact(&ran.report["jobs"][0]["warnings"].to_string()), @r#"["new sink `lake`: it takes what lands from now on; sink `tickets` was removed: its data stays as it is; what has landed stays, and the edit applies to what lands from now on","sink `tickets` was removed before all that had landed for it was sent; left to send: 1; to send that, put it back, and run once with `--accept future`"]"#);
    assert_eq!(it.desk().tickets, ["0", "1"]);
    // Put back, it goes on where it was, once that is accepted.
    write(&file);
    insta::assert_snapshot!(it.deliver(&[]).1["error"].as_str().unwrap(), @"what has landed is meant for other sinks, and sink `tickets` is new by now: nothing is sent until that edit of the job is taken back, or accepted by a run");
    assert_eq!(it.run(3).code(), 2);
    assert_eq!(it.desk().tickets, ["0", "1"]);
    assert_eq!(it.run_with(3, &["--accept", "future"]).code(), 0);
    it.assert_one_each();
}
