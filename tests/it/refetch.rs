//! Lists that are read again until they are known to be whole (`on_mismatch: refetch`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::Bench;

const JOB: &str = "records: '.items[]'
key: id
snapshot: daily
on_mismatch: refetch
query: {offset: 0}
paginate: {offset: {into: query.offset, size: 2}, total: .total}";

/// Serves lists by `offset`, two rows a page: request after request the next one, and the last for ever.
fn lists(lists: &'static [&'static [u64]], states_total: bool) -> Api {
    let asked = AtomicUsize::new(0);
    Api::start(move |request| {
        let list = lists[asked.fetch_add(1, Ordering::SeqCst).min(lists.len() - 1)];
        let rows = list.iter().skip(request.number("offset")).take(2);
        let items: Vec<Value> = rows.map(|id| json!({"id": id, "name": format!("row {id}")})).collect();
        Answer::json(&if states_total { json!({"items": items, "total": list.len()}) } else { json!({"items": items}) })
    })
}

/// Makes a bench that asks for one page after the other.
fn bench(api: Api, job: &str) -> Bench {
    let bench = Bench::new(api);
    let job = format!("concurrency: 1\n{job}");
    bench.job(&job);
    bench
}

fn ids(bench: &Bench) -> Vec<u64> {
    let mut ids: Vec<u64> = bench.lines().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_row_that_slipped_away_between_two_pages_is_found_by_another_pass() {
    // The first row goes after the first page, and another one comes in: the total stays right, and 3 is missed.
    let bench = bench(lists(&[&[1, 2, 3, 4], &[2, 3, 4, 5], &[2, 3, 4, 5]], true), JOB);
    let ran = bench.run();
    assert_eq!(ran.fine(), "20260103 landed: 4 of 12, 8 read_again; complete");
    assert_eq!(ids(&bench), [2, 3, 4, 5]);
    let proved = &ran.slices()[0]["reconciliation"];
    assert_eq!((&proved["passes"], &proved["distinct"], &proved["received"]), (&json!(3), &json!(4), &json!(4)));
    let warning = ran.report["jobs"][0]["warnings"][0].as_str().unwrap();
    assert_snapshot!(warning, @"while a slice was read 3 times, 1 of its rows went: they don't land (`on_mismatch: refetch`)");
    // Without it that is green, and wrong.
    let once =
        self::bench(lists(&[&[1, 2, 3, 4], &[2, 3, 4, 5], &[2, 3, 4, 5]], true), &JOB.replace("refetch", "fail"));
    assert_eq!(once.run().fine(), "20260103 landed: 4 of 4; complete");
    assert_eq!(ids(&once), [1, 2, 4, 5]);
}

#[test]
fn a_list_of_one_page_is_read_once_and_any_other_twice() {
    let one = bench(lists(&[&[1, 2]], true), &JOB.replace("size: 2", "size: 3"));
    assert_eq!(one.run().fine(), "20260103 landed: 2 of 2; complete");
    assert_eq!(one.api.asked_for("offset"), ["0"]);
    let two = bench(lists(&[&[1, 2, 3]], true), JOB);
    assert_eq!(two.run().fine(), "20260103 landed: 3 of 6, 3 read_again; complete");
    assert_eq!(two.api.asked_for("offset"), ["0", "2", "0", "2"]);
    let unstated = bench(lists(&[&[1, 2, 3]], false), JOB);
    assert_eq!(unstated.run().fine(), "20260103 landed: 3 of 6, 3 read_again; complete");
    assert_eq!(unstated.api.asked_for("offset"), ["0", "2", "3", "0", "2", "3"]);
}

#[test]
fn a_list_that_never_rests_does_not_land() {
    // A new row at the beginning before every page.
    let next = AtomicUsize::new(10);
    let api = Api::start(move |request| {
        let first = next.fetch_add(1, Ordering::SeqCst);
        let list: Vec<usize> = (0..4).map(|n| first - n).collect();
        let items: Vec<Value> =
            list.iter().skip(request.number("offset")).take(2).map(|id| json!({"id": id})).collect();
        Answer::json(&json!({"items": items, "total": list.len()}))
    });
    assert_snapshot!(bench(api, JOB).failure(), @"1: 20260103: the slice was read 6 times (`on_mismatch: refetch`), and moved while it was: pass 1: 4 rows, 3 different, 3 new, total 4; pass 2: 4 rows, 3 different, 3 new, total 4; pass 3: 4 rows, 3 different, 3 new, total 4; pass 4: 4 rows, 3 different, 3 new, total 4; pass 5: 4 rows, 3 different, 3 new, total 4; pass 6: 4 rows, 3 different, 3 new, total 4; it doesn't land: sort by a column that doesn't change, make the slices smaller, or run when less changes");
}

#[test]
fn rows_that_are_bad_in_each_pass_go_to_quarantine_once() {
    let api = Api::start(|request| {
        let rows =
            [json!({"id": 1}), json!({"id": null, "n": 1}), json!({"id": 2}), json!("no object"), json!({"id": 3})];
        let items: Vec<&Value> = rows.iter().skip(request.number("offset")).take(2).collect();
        Answer::json(&json!({"items": items, "total": rows.len()}))
    });
    let bench = bench(api, JOB);
    assert_eq!(bench.run().fine(), "20260103 landed: 3 of 10, 2 quarantined, 5 read_again; unknown");
    assert_eq!((ids(&bench), bench.quarantine().len()), (vec![1, 2, 3], 2));
}

#[test]
fn the_last_version_of_a_row_lands() {
    let asked = AtomicUsize::new(0);
    let api = Api::start(move |request| {
        let version = asked.fetch_add(1, Ordering::SeqCst);
        let rows = (1..=3).map(|id| json!({"id": id, "version": version}));
        let items: Vec<Value> = rows.skip(request.number("offset")).take(2).collect();
        Answer::json(&json!({"items": items, "total": 3}))
    });
    let bench = bench(api, JOB);
    assert_eq!(bench.run().fine(), "20260103 landed: 3 of 6, 3 read_again; complete");
    let versions: Vec<u64> = bench.lines().iter().map(|row| row["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [2, 2, 3]);
}

#[test]
fn a_parent_is_read_again_too() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let api = Api::start(move |request| match request.path.as_str() {
        "/sites" => {
            // The first row goes after the first page: the third one is missed.
            let first = usize::from(counted.fetch_add(1, Ordering::SeqCst) > 0);
            let sites = [1, 2, 3, 4, 5][first..][..4].iter();
            let items: Vec<Value> = sites.skip(request.number("offset")).take(2).map(|id| json!({"id": id})).collect();
            Answer::json(&json!({"items": items, "total": 4}))
        }
        _ => Answer::json(&json!([{"n": 1}])),
    });
    let bench = Bench::new(api);
    bench.jobs(
        "  sites:
    get: /sites
    concurrency: 1
    records: '.items[]'
    key: id
    on_mismatch: refetch
    query: {offset: 0}
    paginate: {offset: {into: query.offset, size: 2}, total: .total}
  rows:
    for_each: {rows_of: sites, as: site, key: id}
    get: '/rows/{{ site.id }}'
    records: '.[]'
    paginate: none
    snapshot: daily
    sinks: {lake: {jsonl: {url: ./lake}}}\n",
    );
    bench.run().fine();
    assert_eq!(ids(&bench), [2, 3, 4, 5]);
}

/// Pages of an inclusive `seek` share rows on purpose: a pass is no worse for rows that come twice.
#[test]
fn a_parent_that_is_read_by_an_inclusive_seek_settles() {
    let api = Api::start(move |request| match request.path.as_str() {
        "/sites" => {
            let from = request.number("from");
            Answer::json(&(from..=5).take(3).map(|id| json!({"id": id})).collect())
        }
        _ => Answer::json(&json!([{"n": 1}])),
    });
    let bench = Bench::new(api);
    bench.jobs(
        "  sites:
    get: /sites
    records: '.[]'
    key: id
    on_mismatch: refetch
    query: {from: 1}
    paginate: {seek: {into: query.from, value: $last.id, order: asc, bound: inclusive, size: 3}}
  rows:
    for_each: {rows_of: sites, as: site, key: id}
    get: '/rows/{{ site.id }}'
    records: '.[]'
    paginate: none
    snapshot: daily
    sinks: {lake: {jsonl: {url: ./lake}}}\n",
    );
    bench.run().fine();
    assert_eq!(ids(&bench), [1, 2, 3, 4, 5]);
}

#[test]
fn a_preview_reads_no_list_twice() {
    let bench = bench(lists(&[&[1, 2, 3]], true), JOB);
    let arguments = ["preview", "pipeline.yaml", "rows", "--now", crate::support::bench::NOW];
    assert_eq!(bench.workspace.tidegate(&arguments).run().code, Some(0));
    assert_eq!(bench.api.asked_for("offset"), ["0", "2"]);
}

/// Serves eight pages of a list that is turned round once before the fifth, and stands still from then on.
fn turned_once(paginate: &str) -> Bench {
    let asked = AtomicUsize::new(0);
    let api = Api::start(move |request| {
        let is_turned = asked.fetch_add(1, Ordering::SeqCst) >= 4;
        let list: Vec<usize> = if is_turned { (0..24).rev().collect() } else { (0..24).collect() };
        let from = if request.query.contains_key("page") { request.number("page") * 3 } else { request.number("at") };
        let items: Vec<Value> = list.iter().skip(from).take(3).map(|id| json!({"id": id})).collect();
        let next = (from + 3 < list.len()).then_some(from + 3);
        Answer::json(&json!({"items": items, "total": list.len(), "next": next}))
    });
    let job = format!("records: '.items[]'\nkey: id\nsnapshot: daily\non_mismatch: refetch\npaginate: {paginate}");
    bench(api, &job)
}

#[test]
fn pages_that_bring_nothing_new_end_a_pass_and_not_the_slice() {
    for paginate in [
        "{offset: {into: query.at, size: 3}, total: .total}",
        "{page: {into: query.page, size: 3, first: 0}, total: .total}",
        "{cursor: {into: query.at, value: .next}, total: .total}",
    ] {
        let bench = turned_once(paginate);
        let ran = bench.run();
        assert_eq!(ran.fine().split(" landed: 24 of ").count(), 2, "{ran:?}");
        assert!(ran.fine().ends_with("; complete"), "{ran:?}");
        assert_eq!(ids(&bench), (0..24).collect::<Vec<_>>());
        assert!(ran.report["jobs"][0]["warnings"].as_array().is_none_or(Vec::is_empty), "{ran:?}");
    }
}

#[test]
fn a_server_that_ignores_the_place_is_told_of_and_not_read_for_ever() {
    let items = json!([{"id": 1}, {"id": 2}]);
    let bench = bench(Api::always(Answer::json(&json!({"items": items, "total": 6}))), JOB);
    let error = bench.failure();
    assert!(error.contains("pages 2 and 3 brought rows, but none that an earlier page hadn't"), "{error}");
    // Six passes of three pages; some are asked for early.
    assert!(bench.api.asked_for("offset").len() <= 24);
}

#[test]
fn a_total_that_only_the_last_page_states_counts() {
    let api = |states: fn(usize) -> Option<usize>| {
        Api::start(move |request| {
            let at = request.number("offset");
            let items: Vec<Value> = (at..5.min(at + 2)).map(|id| json!({"id": id})).collect();
            Answer::json(&json!({"items": items, "total": states(at)}))
        })
    };
    let last = bench(api(|at| (at >= 4).then_some(5)), JOB);
    assert_eq!(last.run().fine(), "20260103 landed: 5 of 10, 5 read_again; complete");
    let other = bench(api(|at| (at >= 4).then_some(6)), JOB).failure();
    assert!(other.contains("the slice was read 6 times"), "{other}");
}
