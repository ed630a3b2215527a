//! Incremental jobs whose cursor is a time, or is sent by a place, and sources that were reset: no row is lost, none comes twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::Bench;

pub(crate) type Rows = Arc<Mutex<Vec<Value>>>;

pub(crate) fn at(second: u32) -> String {
    format!("2026-01-03T12:{:02}:{:02}Z", second / 60, second % 60)
}

/// A row by its id and its time, in seconds after noon.
pub(crate) fn row(id: i64, second: u32) -> Value {
    json!({"id": id, "t": at(second)})
}

pub(crate) fn ids(bench: &Bench) -> Vec<i64> {
    let mut ids: Vec<i64> = bench.lines().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// A server of rows by their time, in pages of two.
fn by_time(rows: &Rows) -> Api {
    let rows = Arc::clone(rows);
    Api::start(move |request| {
        let since = &request.query["since"];
        let mut rows: Vec<Value> =
            rows.lock().unwrap().iter().filter(|row| row["t"].as_str() >= Some(since)).cloned().collect();
        rows.sort_by_key(|row| (row["t"].as_str().map(str::to_owned), row["id"].as_i64()));
        Answer::json(&rows.into_iter().skip(request.number("offset")).take(2).collect())
    })
}

const BY_TIME: &str = "records: '.[]'\nquery: {offset: 0}\npaginate: {offset: {into: query.offset, size: 2}}
incremental: {cursor: CAST(t AS TIMESTAMP), start: '2026-01-03T12:00:00Z', into: query.since, lag: 60s}";

#[test]
fn young_rows_wait_so_that_late_ones_are_not_lost() {
    let rows: Rows = Arc::new(Mutex::new(vec![row(1, 10), row(2, 10), row(3, 20), row(4, 90)]));
    let bench = Bench::new(by_time(&rows));
    bench.job(BY_TIME);
    assert_eq!(
        bench.run_at(&at(120), &[]).fine(),
        "s0-2026-01-03T12_3a00_3a00Z landed: 3 of 4, 1 outside_window; complete"
    );
    assert_eq!(ids(&bench), [1, 2, 3]);
    // Both come late, within the lag: one with the time of a row that is there, one with an earlier one.
    rows.lock().unwrap().extend([row(5, 90), row(6, 70)]);
    let second = bench.run_at(&at(160), &[]);
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5, 6], "{second:?}");
    assert_eq!(
        second.slices()[0]["rows"]["outside_window"],
        1,
        "row 3, which the server's `>=` sends again: {second:?}"
    );
    assert_eq!(bench.api.asked().last().unwrap().query["since"], at(20));
    assert_eq!(bench.run_at(&at(400), &[]).rows(), "", "nothing new is nothing");
}

/// A clock that is wrong on the other side must not carry the cursor away.
#[test]
fn rows_of_the_future_wait_for_their_time() {
    let rows: Rows = Arc::new(Mutex::new(vec![row(1, 10), row(2, 3000)]));
    let bench = Bench::new(by_time(&rows));
    bench.job(&BY_TIME.replace("lag: 60s", "lag: 0s"));
    bench.run_at(&at(60), &[]).fine();
    assert_eq!(ids(&bench), [1]);
    rows.lock().unwrap().push(row(3, 70));
    bench.run_at(&at(120), &[]).fine();
    assert_eq!(ids(&bench), [1, 3]);
    bench.run_at(&at(3001), &[]).fine();
    assert_eq!(ids(&bench), [1, 2, 3]);
}

/// A server that sends the newest first, counts in seconds, and leaves out the very second it was asked for.
#[test]
fn a_server_that_sorts_as_it_likes_is_read_to_its_end() {
    let rows: Rows = Arc::new(Mutex::new((1..=5).map(|id| row(id, 10 * u32::try_from(id).unwrap())).collect()));
    let known = Arc::clone(&rows);
    let epoch = |row: &Value| row["t"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
    let bench = Bench::new(Api::start(move |request: &Request| {
        let since = i64::try_from(request.number("since")).unwrap();
        let mut rows: Vec<Value> = known.lock().unwrap().iter().filter(|row| epoch(row) > since).cloned().collect();
        rows.reverse();
        Answer::json(&rows.into_iter().skip(request.number("offset")).take(2).collect())
    }));
    let job = BY_TIME.replace("into: query.since", "into: {into: query.since, as: epoch_s, order: any}");
    bench.job(&job);
    bench.run_at(&at(200), &[]).fine();
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5]);
    assert_eq!(bench.api.asked()[0].query["since"], "1767441600");
    rows.lock().unwrap().extend([row(6, 150), row(7, 140)]);
    bench.run_at(&at(300), &[]).fine();
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5, 6, 7]);

    bench.job(&job.replace(", order: any", ""));
    rows.lock().unwrap().extend([row(8, 300), row(9, 310)]);
    let error = bench.run_at(&at(500), &[]).errors().pop().unwrap();
    assert!(error.contains("a row with the cursor 2026-01-03T12:05:00Z comes after one with"), "{error}");
}

#[test]
fn a_server_that_ignores_the_cursor_is_noticed() {
    let rows: Rows = Arc::new(Mutex::new((1..=5).map(|id| row(id, 10 * u32::try_from(id).unwrap())).collect()));
    let known = Arc::clone(&rows);
    let bench = Bench::new(Api::start(move |request: &Request| {
        Answer::json(&known.lock().unwrap().iter().skip(request.number("offset")).take(4).cloned().collect())
    }));
    bench.job(BY_TIME);
    bench.run_at(&at(200), &[]).fine();
    rows.lock().unwrap().push(row(6, 150));
    let ran = bench.run_at(&at(300), &[]);
    insta::assert_snapshot!(bench.workspace.redact(&ran.errors().join("\n")), @"s0-2026-01-03T12_3a00_3a50Z: GET /rows?offset=0&since=2026-01-03T12%3A00%3A50Z: 4 of 4 rows come before 2026-01-03T12:00:50Z, the cursor that was asked for: the server ignored it; check the place and the format of `incremental.into`");
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5]);
}

/// Two sites of rows by id; `newest` asks for the last one.
fn by_id(sites: &Arc<Mutex<[i64; 2]>>) -> Api {
    let sites = Arc::clone(sites);
    Api::start(move |request| {
        let site = usize::from(request.query["site"] == "b");
        let newest = sites.lock().unwrap()[site];
        if request.query["order"] == "desc" {
            if newest == -1 {
                return Answer::json(&json!({"error": "no"})).status(400);
            }
            let rows: Vec<Value> = (1..=newest).rev().take(1).map(|id| json!({"id": id})).collect();
            return Answer::json(&json!({"rows": rows}));
        }
        let after = i64::try_from(request.number("after")).unwrap();
        let rows: Vec<Value> = (after + 1..=newest).take(3).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"rows": rows}))
    })
}

const BY_ID: &str = "records: '.rows[]'\nfor_each: {values: [a, b], as: site}\nquery: {site: '{{ site }}', order: asc}
incremental: {cursor: id, start: 0, newest: {query: {order: desc, limit: 1}, value: '.rows[0].id'}}
paginate: {seek: {into: query.after, value: '$last.id', order: asc, bound: exclusive, size: 3}}\nkey: id";

/// The ids that landed, by site and series.
fn landed(bench: &Bench) -> String {
    let sql = "SELECT site, regexp_extract(filename, '-(s[0-9]+)-', 1) AS series, list(id ORDER BY id) AS ids
        FROM read_json('{dir}/lake/*.jsonl', filename = true) GROUP BY ALL ORDER BY ALL";
    let line =
        |row: &Value| format!("{} {} {}", row["site"].as_str().unwrap(), row["series"].as_str().unwrap(), row["ids"]);
    bench.query(sql).iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_source_that_was_reset_fails_its_own_slice_and_no_other() {
    let sites = Arc::new(Mutex::new([4, 4]));
    let bench = Bench::new(by_id(&sites));
    bench.job(BY_ID);
    bench.run().fine();
    assert_eq!(
        bench.api.asked().iter().filter(|request| request.query["order"] == "desc").count(),
        0,
        "nothing has landed yet"
    );
    *sites.lock().unwrap() = [2, 6];
    let ran = bench.run();
    assert_eq!(ran.code(), 3, "{ran:?}");
    insta::assert_snapshot!(ran.errors().join("\n"), @"s0-4-80cbd9aea2a3f013: the newest id is 2, and 4 has landed: the source was reset, and its ids began again, so rows would be missed; with `incremental.on_reset: restart` a new series begins, and nothing that has landed is replaced");
    assert_eq!(landed(&bench), "a s0 [1,2,3,4]\nb s0 [1,2,3,4,5,6]");
    let asked = bench.api.asked();
    let newest: Vec<_> = asked.iter().filter(|request| request.query["order"] == "desc").collect();
    assert_eq!(newest.len(), 2, "once a chain: {newest:?}");
    assert!(
        newest.iter().all(|request| request.query["limit"] == "1" && !request.query.contains_key("after")),
        "{newest:?}"
    );

    *sites.lock().unwrap() = [-1, 7];
    let ran = bench.run();
    assert!(ran.errors()[0].contains("the server answered 400"), "{ran:?}");
    assert_eq!(landed(&bench), "a s0 [1,2,3,4]\nb s0 [1,2,3,4,5,6,7]", "what can't be asked isn't read");
}

#[test]
fn a_new_series_begins_beside_what_has_landed() {
    let sites = Arc::new(Mutex::new([4, 4]));
    let bench = Bench::new(by_id(&sites));
    bench.job(&BY_ID.replace("start: 0,", "start: 0, on_reset: restart,"));
    bench.run().fine();
    // A source with no rows may have purged them: that is no reset.
    *sites.lock().unwrap() = [0, 5];
    assert_eq!(bench.run().fine().lines().count(), 1);
    *sites.lock().unwrap() = [2, 5];
    let ran = bench.run();
    assert_eq!(ran.fine().lines().count(), 1, "{ran:?}");
    insta::assert_snapshot!(ran.report["jobs"][0]["warnings"].to_string(), @r#"["the source of {\"site\":\"a\"} was reset: its newest id is 2, and 4 has landed; series 1 begins, and nothing that has landed is replaced"]"#);
    assert_eq!(landed(&bench), "a s0 [1,2,3,4]\na s1 [1,2]\nb s0 [1,2,3,4,5]");
    assert_eq!(bench.run().rows(), "", "the ledger remembers the series");
    *sites.lock().unwrap() = [3, 5];
    bench.run().fine();
    *sites.lock().unwrap() = [1, 1];
    bench.run().fine();
    assert_eq!(landed(&bench), "a s0 [1,2,3,4]\na s1 [1,2,3]\na s2 [1]\nb s0 [1,2,3,4,5]\nb s1 [1]");
}

/// The new series is noted before anything of it lands: a run that ends in between is gone on with.
#[test]
fn a_series_that_landed_nothing_yet_is_gone_on_with() {
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sites = Arc::new(Mutex::new([4, 4]));
    let (known, broken) = (Arc::clone(&sites), Arc::clone(&fails));
    let bench = Bench::new(Api::start(move |request| {
        let newest = known.lock().unwrap()[0];
        let desc = request.query["order"] == "desc";
        if broken.load(std::sync::atomic::Ordering::SeqCst) && !desc {
            return Answer::json(&json!({})).status(500);
        }
        let after = i64::try_from(request.number("after")).unwrap();
        let rows: Vec<i64> = if desc { vec![newest] } else { (after + 1..=newest).collect() };
        Answer::json(&json!({"rows": rows.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()}))
    }));
    bench.job(&BY_ID.replace("start: 0,", "start: 0, on_reset: restart,").replace("[a, b]", "[a]"));
    bench.run().fine();
    *sites.lock().unwrap() = [2, 2];
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(bench.run().code(), 1);
    fails.store(false, std::sync::atomic::Ordering::SeqCst);
    let ran = bench.run();
    ran.fine();
    assert_eq!(landed(&bench), "a s0 [1,2,3,4]\na s1 [1,2]");
}

/// A bad row among young ones isn't this slice's business yet: it lies in quarantine once, with the slice that it belongs to.
#[test]
fn a_bad_row_waits_with_those_around_it() {
    let rows: Rows = Arc::new(Mutex::new(vec![row(1, 10)]));
    let bench = Bench::new(by_time(&rows));
    bench.job(BY_TIME);
    bench.run_at(&at(100), &[]).fine();
    rows.lock().unwrap().extend([row(2, 85), row(3, 91), json!({"id": "x", "t": at(92)}), row(4, 95)]);
    let second = bench.run_at(&at(150), &[]).fine();
    assert_eq!(second, "s0-2026-01-03T12_3a00_3a10Z landed: 1 of 5, 4 outside_window; complete");
    assert_eq!(bench.quarantine(), Vec::<Value>::new());
    let third = bench.run_at(&at(160), &[]).fine();
    assert_eq!(third, "s0-2026-01-03T12_3a01_3a25Z landed: 2 of 4, 1 quarantined, 1 outside_window; complete");
    rows.lock().unwrap().push(row(5, 200));
    bench.run_at(&at(300), &[]).fine();
    assert_eq!((ids(&bench), bench.quarantine().len()), (vec![1, 2, 3, 4, 5], 1));
}

/// Rows whose cursor can't be read are bad rows like others: each goes to quarantine with those around it, and takes nothing with it.
#[test]
fn a_cursor_that_cannot_be_read_takes_its_row_to_quarantine_alone() {
    let bad = |id: i64, second: u32| json!({"id": id, "t": "garbage", "sorts": at(second)});
    let (old, young) = ([row(1, 10), bad(91, 15), row(2, 20), row(3, 30), bad(92, 35)], [row(4, 90), bad(93, 92)]);
    let rows: Rows = Arc::new(Mutex::new([&old[..], &young[..], &[row(5, 95)]].concat()));
    let known = Arc::clone(&rows);
    let bench = Bench::new(Api::start(move |request| {
        let since = request.query["since"].clone();
        let place = |row: &Value| row.get("sorts").unwrap_or(&row["t"]).as_str().unwrap().to_owned();
        let mut rows: Vec<Value> = known.lock().unwrap().iter().filter(|row| place(row) > since).cloned().collect();
        rows.sort_by_key(place);
        Answer::json(&rows.into_iter().skip(request.number("offset")).take(2).collect())
    }));
    bench.job(&format!("{BY_TIME}\nschema: {{bad_rows: fail}}"));
    insta::assert_snapshot!(bench.run_at(&at(120), &[]).errors().join("\n"), @r#"s0-2026-01-03T12_3a00_3a00Z: 2 of 8 rows are bad, and `bad_rows: fail` allows none; the first: `t` fails for `incremental.cursor`: error parsing timestamp from 'garbage': timestamp must contain at least 10 characters: {"id":91,"t":"garbage","sorts":"2026-01-03T12:00:15Z"}; nothing of the slice has landed"#);
    bench.job(&format!("{BY_TIME}\nschema: {{max_bad_rows: 1}}"));
    let error = bench.run_at(&at(120), &[]).errors().join("\n");
    assert!(error.contains("2 of 8 rows are bad, and `max_bad_rows` allows 1"), "{error}");
    assert_eq!(bench.landed(), Vec::<String>::new());
    bench.job(&format!("{BY_TIME}\nschema: {{max_bad_rows: 2}}"));
    let first = bench.run_at(&at(120), &[]).fine();
    assert_eq!(first, "s0-2026-01-03T12_3a00_3a00Z landed: 3 of 8, 2 quarantined, 3 outside_window; complete");
    // The one among young rows has waited with them. The one right behind the last good row is given again, this once.
    let second = bench.run_at(&at(160), &[]).fine();
    assert_eq!(second, "s0-2026-01-03T12_3a00_3a30Z landed: 2 of 4, 2 quarantined; complete");
    rows.lock().unwrap().push(row(6, 200));
    let third = bench.run_at(&at(300), &[]).fine();
    assert_eq!(third, "s0-2026-01-03T12_3a01_3a35Z landed: 1 of 1; unknown");
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5, 6]);
    let held = bench.quarantine();
    let mut of: Vec<i64> = held
        .iter()
        .map(|bad| serde_json::from_str::<Value>(bad["row"].as_str().unwrap()).unwrap()["id"].as_i64().unwrap())
        .collect();
    of.sort_unstable();
    assert_eq!(of, [91, 92, 92, 93]);
    let said = "fails for `incremental.cursor`: error parsing timestamp from 'garbage'";
    assert!(
        held.iter().all(|bad| bad["column"] == "t" && bad["reason"].as_str().unwrap().starts_with(said)),
        "{held:?}"
    );
    let landed = bench.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM read_json('{dir}/lake/**/*.jsonl')");
    assert_eq!(landed, [json!({"n": 6, "ids": 6})]);
}

/// The newest id is read in the format of the job.
#[test]
fn the_newest_id_of_a_table_is_found() {
    let newest = Arc::new(Mutex::new(4));
    let known = Arc::clone(&newest);
    let bench = Bench::new(Api::start(move |request| {
        let newest = *known.lock().unwrap();
        if request.query["order"] == "desc" {
            return Answer::bytes(format!("id\n{newest}\n"));
        }
        let ids = (request.number("after") + 1..=newest).map(|id| format!("{id}\n"));
        Answer::bytes(format!("id\n{}", ids.collect::<String>()))
    }));
    bench.job(&format!(
        "format: {{csv: {{}}}}\nschema: {{columns: {{id: int64}}}}\n{}",
        BY_ID.replace("'.rows[]'", "'.[]'").replace("'.rows[0].id'", "'.[0].id'").replace("[a, b]", "[a]")
    ));
    bench.run().fine();
    *newest.lock().unwrap() = 6;
    bench.run().fine();
    *newest.lock().unwrap() = 2;
    assert!(bench.run().errors()[0].contains("the newest id is 2, and 6 has landed"));
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn of_equal_keys_the_latest_stays_whatever_came_last() {
    let rows = [
        json!({"id": 1, "v": 3, "text": "new"}),
        json!({"id": 2, "v": null, "text": "first"}),
        json!({"id": 1, "v": 1, "text": "old"}),
        json!({"id": 3, "v": 10, "text": "ten"}),
        json!({"id": 2, "v": null, "text": "last of equal ones"}),
        json!({"id": 3, "v": 9, "text": "nine"}),
        json!({"id": 1, "v": null, "text": "nothing"}),
    ];
    let bench = Bench::new(Api::start(move |request| {
        let some: Vec<&Value> = rows.iter().skip(request.number("offset")).take(2).collect();
        Answer::json(&json!({"items": some}))
    }));
    bench.job("records: '.items[]'\nkey: id\nlatest_by: v\nsnapshot: latest\npaginate: {offset: {into: query.offset, size: 2}}\nquery: {offset: 0}");
    assert_eq!(bench.run().fine(), "latest landed: 3 of 7, 4 deduplicated; unknown");
    let found = bench.query("SELECT id, text FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    let row = |id, text| json!({"id": id, "text": text});
    assert_eq!(found, [row(1, "new"), row(2, "last of equal ones"), row(3, "ten")]);
}

/// Of equal keys the latest stays, and a row that can't be compared is no version: it lands beside none, and replaces none.
#[test]
fn a_value_of_latest_by_that_cannot_be_read_takes_its_row_to_quarantine_alone() {
    let rows = [
        json!({"id": 1, "v": "3", "text": "new"}),
        json!({"id": 1, "v": "x", "text": "no number"}),
        json!({"id": 2, "v": null, "text": "a null is the smallest"}),
        json!({"id": 2, "v": "x", "text": "nor this"}),
        json!({"id": 3, "v": "9", "text": "nine"}),
        json!({"id": 3, "v": "10", "text": "ten"}),
        json!({"id": 4, "v": "x", "text": "all there is of it"}),
        json!({"id": null, "v": "x", "text": "no key either"}),
    ];
    let bench = Bench::new(Api::start(move |request| {
        let some: Vec<&Value> = rows.iter().skip(request.number("offset")).take(3).collect();
        Answer::json(&json!({"items": some, "total": rows.len()}))
    }));
    let job = "records: '.items[]'\nkey: id\nlatest_by: CAST(v AS BIGINT)\nsnapshot: latest\npaginate: {offset: {into: query.offset, size: 3}, total: .total}\nquery: {offset: 0}";
    bench.job(&format!("{job}\nschema: {{bad_rows: fail}}"));
    let error = bench.run().errors().join("\n");
    assert!(error.contains("4 of 8 rows are bad, and `bad_rows: fail` allows none"), "{error}");
    bench.job(job);
    assert_eq!(bench.run().fine(), "latest landed: 3 of 8, 4 quarantined, 1 deduplicated; complete");
    let found = bench.query("SELECT id, text FROM read_json('{dir}/lake/**/*.jsonl') ORDER BY id");
    let row = |id, text| json!({"id": id, "text": text});
    assert_eq!(found, [row(1, "new"), row(2, "a null is the smallest"), row(3, "ten")]);
    let held = bench.query(
        "SELECT \"column\", reason, count(*) AS n FROM read_json('{dir}/state/test/quarantine/**/*.jsonl') GROUP BY ALL ORDER BY n",
    );
    insta::assert_snapshot!(serde_json::to_string(&held).unwrap(), @r#"[{"column":"id","reason":"is null, and `key` names it","n":1},{"column":"v","reason":"fails for `latest_by`: cannot cast string 'x' to value of Int64 type","n":3}]"#);
}

/// A row is edited while its increment is read by positions: the one behind it slides onto a page that was read, and each slice has as many rows as
/// it should.
#[test]
fn a_slice_that_is_cut_while_its_pages_are_counted_is_not_known_to_be_whole() {
    let edited = Arc::new(AtomicBool::new(false));
    let is_edited = Arc::clone(&edited);
    let bench = Bench::new(Api::start(move |request: &Request| {
        let offset = request.number("offset");
        if offset == 20 {
            is_edited.store(true, Ordering::SeqCst);
        }
        let of = |id: usize| if id == 5 && is_edited.load(Ordering::SeqCst) { 1000 } else { id };
        let since: usize = request.query["since"].parse().unwrap();
        let mut rows: Vec<(usize, usize)> = (1..=100).map(|id| (of(id), id)).filter(|(at, _)| *at >= since).collect();
        rows.sort_unstable();
        let page: Value = rows.iter().skip(offset).take(10).map(|(at, id)| json!({"id": id, "changed": at})).collect();
        Answer::json(&json!({"items": page, "total": rows.len()}))
    }));
    bench.job(
        "records: '.items[]'\nkey: id\nincremental: {cursor: changed, start: 0, rows_per_slice: 40, into: query.since}\n\
         paginate: {offset: {into: query.offset, size: 10}, total: .total}",
    );
    let ran = bench.run();
    assert_eq!(ran.code(), 0, "{ran:?}");
    let verdicts: Vec<&Value> = ran.slices().into_iter().map(|slice| &slice["reconciliation"]["verdict"]).collect();
    assert_eq!(verdicts.first(), Some(&&json!("unknown")), "{ran:?}");
    assert!(ran.report.to_string().contains("ends by `incremental.rows_per_slice`"), "{ran:?}");
    let ids: BTreeSet<u64> = bench.lines().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!((1..=100).filter(|id| !ids.contains(id)).collect::<Vec<_>>(), [21], "what the verdict is about");
}
