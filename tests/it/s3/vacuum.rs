//! `vacuum` in a bucket: what goes, what stays, and that a run which goes on doesn't notice.

use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use serde_json::Value;

use super::*;
use crate::support::s3::LATER;

const STATE: &str = "s3://lake/state";
const NEXT_DAY: &str = "2026-01-04T12:00:00Z";

impl Small {
    fn vacuum(&self, s3: &S3, more: &[&str]) -> Outcome {
        let arguments = ["vacuum", "pipeline.yaml", "--state", STATE, "--output", "json"];
        s3.env(self.workspace.tidegate(&[&arguments[..], more].concat())).run()
    }
}

/// What a vacuum removed, or would remove: places and reasons.
fn removed(outcome: &Outcome) -> Vec<(String, String)> {
    let found = report(outcome, 0);
    let removed = found[0]["found"]["removed"].as_array().unwrap().iter();
    let text = |removal: &Value, field: &str| removal[field].as_str().unwrap().to_owned();
    let mut removed: Vec<_> = removed.map(|removal| (text(removal, "place"), text(removal, "why"))).collect();
    removed.sort();
    removed
}

fn is_list(method: &str, path: &str) -> bool {
    method == "PUT" && path.starts_with("/lake/state/small/files/")
}

#[test]
fn what_nothing_names_goes_from_a_bucket_and_all_else_stays() {
    for s3 in [S3::start(), S3::moto()] {
        let small = Small::new("s3://lake/a");
        report(&small.run(&s3, STATE), 0);
        // All of the next day is staged, and the run dies before it can say so.
        let target = s3.signal_at("KILL", |request| is_list(&request.method, &request.path));
        let running = small.start_doomed(&s3, STATE, NEXT_DAY);
        target.is(&running);
        assert_eq!(running.wait().code, None);
        s3.unhook();
        assert_eq!(s3.parts().len(), 2, "an upload to the lake, one of bad rows");
        let before = s3.digests("");
        let orphans = [
            ("a/snapshot=2026-01-03/day=a%2Fb/small-rows-20260103-g7-00000.jsonl", "of a run that lost its lease"),
            ("state/small/files/rows/20260103-g7.json", "{}"),
        ];
        let others = [
            ("a/notes.jsonl", "not ours"),
            ("a/snapshot=2025-01-03/small-rows-20250103-g1-00000.jsonl", "of a slice that the ledger doesn't know"),
            ("a/other-rows-20260103-g1-00000.jsonl", "of another pipeline"),
        ];
        for (key, text) in others.into_iter().chain(orphans) {
            s3.put(key, text);
        }
        let full = s3.digests("");
        let dry = small.vacuum(&s3, &["--dry-run"]);
        let shown = removed(&dry);
        assert_eq!(shown.len(), 4, "{shown:#?}");
        assert_eq!(shown.iter().filter(|(_, why)| why.starts_with("an upload of slice 20260104")).count(), 2);
        for (key, _) in orphans {
            assert!(
                shown.iter().any(|(place, _)| key.ends_with(place.trim_start_matches("s3://lake/"))),
                "{key}: {shown:#?}"
            );
        }
        assert_eq!((s3.digests(""), s3.parts().len()), (full.clone(), 2), "a dry run changes nothing");
        let wet = small.vacuum(&s3, &[]);
        assert_eq!(removed(&wet).len(), 4, "as many as were shown: {wet:?}");
        assert!(wet.stdout.contains("was begun and not published"), "{wet:?}");
        assert_eq!(s3.parts(), Vec::<String>::new());
        let mut left = s3.digests("");
        left.retain(|key, _| before.contains_key(key) || !key.starts_with("state/small/log/"));
        let mut expected = full;
        orphans.iter().for_each(|(key, _)| drop(expected.remove(*key)));
        assert_eq!(left, expected);
        assert_eq!(removed(&small.vacuum(&s3, &[])), []);
        assert_eq!(landed(&report(&small.start(&s3, STATE, NEXT_DAY).wait(), 0)), 1);
    }
}

#[test]
fn old_entries_of_a_log_in_a_bucket_go_once_checkpoints_cover_them() {
    let s3 = S3::start();
    let small = Small::new("s3://lake/a");
    let pipeline = std::fs::read_to_string(small.workspace.path("pipeline.yaml")).unwrap();
    let windows = "query: {from: '', to: ''}\n    window: {every: 1h, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.from, to: query.to}";
    small.workspace.write("pipeline.yaml", &pipeline.replace("snapshot: daily", windows));
    assert_eq!(landed(&report(&small.run(&s3, STATE), 0)), 60);
    let entries = || s3.objects("state/small/log").into_keys().collect::<Vec<_>>();
    let all = entries();
    let data = s3.digests("a");
    assert!(all.len() > 120, "{}", all.len());
    assert_eq!(removed(&small.vacuum(&s3, &["--dry-run"])), [], "they are too young");
    #[expect(clippy::disallowed_methods, reason = "the server's files have the machine's times")]
    let now = SystemTime::now();
    s3.written_at("state/small/log", now - Duration::from_secs(8 * 86_400));
    let shown = removed(&small.vacuum(&s3, &["--dry-run"]));
    assert!(shown.len() >= 100, "{shown:#?}");
    assert!(shown.iter().all(|(_, why)| why == "an entry that checkpoints cover, older than seven days"), "{shown:#?}");
    assert_eq!(entries(), all);
    assert_eq!(removed(&small.vacuum(&s3, &[])), shown);
    let left = entries();
    assert!(all[..shown.len()].iter().all(|entry| !left.contains(entry)), "the oldest ones went");
    assert!(all[shown.len()..].iter().all(|entry| left.contains(entry)), "the log has no gap");
    assert_eq!(landed(&report(&small.run(&s3, STATE), 0)), 0, "the ledger knows what has landed");
    assert_eq!(s3.digests("a"), data);
}

#[test]
fn a_vacuum_does_no_harm_to_a_run_that_goes_on() {
    for s3 in [S3::start(), S3::moto()] {
        let small = Small::new("s3://lake/a");
        report(&small.run(&s3, STATE), 0);
        let before = s3.digests("a");
        // All is staged, and the store takes its time for the list of it, while it takes the renewals of the lease.
        let waits = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&waits);
        s3.hook(move |request| {
            let is_it = is_list(&request.method, &request.path);
            told.fetch_or(is_it, Ordering::SeqCst);
            is_it.then_some(LATER)
        });
        let running = small.start_doomed(&s3, STATE, NEXT_DAY);
        while !waits.load(Ordering::SeqCst) {
            assert!(!running.has_ended());
            std::thread::sleep(Duration::from_millis(2));
        }
        let shown = removed(&small.vacuum(&s3, &["--dry-run"]));
        assert_eq!(shown.len(), 2, "{shown:#?}");
        assert!(shown.iter().all(|(_, why)| why.ends_with("unless its run still goes on")), "{shown:#?}");
        let refused = small.vacuum(&s3, &[]);
        assert_eq!(refused.code, Some(4), "{refused:#?}");
        assert_eq!((s3.digests("a"), s3.parts().len()), (before.clone(), 2));
        s3.unhook();
        assert_eq!(landed(&report(&running.wait(), 0)), 1);
        let after = s3.digests("a");
        assert_eq!(after.len(), before.len() + 1, "{after:#?}");
        assert_eq!(landed(&report(&small.start(&s3, STATE, NEXT_DAY).wait(), 0)), 0);
    }
}

/// Kills a run that has begun an upload, before it can note that.
fn killed_before_its_note(s3: &S3, small: &Small) {
    let begun = AtomicBool::new(false);
    let target = s3.signal_at("KILL", move |request| {
        let begins = request.method == "POST" && request.query.starts_with("uploads");
        let notes = request.method == "PUT" && request.path.starts_with("/lake/state/small/log/");
        begun.fetch_or(begins, Ordering::SeqCst);
        notes && begun.load(Ordering::SeqCst)
    });
    let running = small.start_doomed(s3, STATE, NEXT_DAY);
    target.is(&running);
    assert_eq!(running.wait().code, None);
    s3.unhook();
}

#[test]
fn uploads_that_were_begun_and_never_noted_are_found_where_the_store_lists_them() {
    let s3 = S3::moto();
    // The prefix needs escapes in a query.
    let small = Small::new("s3://lake/data sets/a");
    report(&small.run(&s3, STATE), 0);
    killed_before_its_note(&s3, &small);
    let begun = s3.uploads();
    assert_eq!((begun.len(), s3.parts()), (1, Vec::new()));
    // Two of others: of another pipeline, and of a slice that the ledger doesn't know.
    let others = ["a/other-rows-20260104-g1-00000.jsonl", "a/small-rows-20250104-g1-00000.jsonl"];
    for name in others {
        s3.begin_upload(&format!("data sets/{name}"));
    }
    let shown = removed(&small.vacuum(&s3, &["--dry-run"]));
    let [(place, why)] = shown.as_slice() else { panic!("{shown:#?}") };
    assert!(place.ends_with("small-rows-20260104-g1-00000.jsonl"), "{place}");
    assert!(why.starts_with("an upload begun at ") && why.contains("that the ledger doesn't note"), "{why}");
    assert_eq!(s3.uploads().len(), 3, "a dry run changes nothing");
    let wet = small.vacuum(&s3, &[]);
    assert_eq!(removed(&wet), shown);
    let left = s3.uploads();
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&begun[0]));
    let found = &report(&wet, 0)[0]["found"];
    assert_eq!(found["unknown"], json!(["s3://lake/data sets/a/small-rows-20250104-g1-00000.jsonl"]));
    assert_eq!(found["notes"], json!([]));
    assert_eq!(landed(&report(&small.start(&s3, STATE, NEXT_DAY).wait(), 0)), 1);
    assert_eq!(s3.uploads(), left);
}

#[test]
fn a_store_that_lists_no_uploads_is_told_of() {
    let s3 = S3::start();
    let small = Small::new("s3://lake/a");
    report(&small.run(&s3, STATE), 0);
    killed_before_its_note(&s3, &small);
    assert_eq!((s3.uploads().len(), s3.parts()), (1, Vec::new()));
    let wet = small.vacuum(&s3, &[]);
    assert_eq!(removed(&wet), []);
    let notes = &report(&wet, 0)[0]["found"]["notes"];
    insta::assert_snapshot!(notes[0].as_str().unwrap(), @"uploads below s3://lake/a/ that were begun and never noted in the ledger weren't looked for: s3://lake/a: 501 Not Implemented: NotImplemented (ListMultipartUploads is not implemented yet); let a lifecycle rule of the bucket abort incomplete uploads after some days");
    let s3 = S3::moto();
    let small = Small::new("s3://lake/a");
    report(&small.run(&s3, STATE), 0);
    s3.hook(|request| request.query.starts_with("uploads=").then_some((403, "AccessDenied")));
    let denied = small.vacuum(&s3, &["--dry-run"]);
    let denied = report(&denied, 0);
    insta::assert_snapshot!(denied[0]["found"]["notes"][0].as_str().unwrap(), @"uploads below s3://lake/a/ that were begun and never noted in the ledger weren't looked for: s3://lake/a: 403 Forbidden: AccessDenied (A test says so); the credentials (AWS_ACCESS_KEY_ID, or the machine's role) must be allowed to get, put, delete and list objects there, to abort uploads and, for `vacuum`, to list them; let a lifecycle rule of the bucket abort incomplete uploads after some days");
}

#[test]
fn a_run_that_is_told_to_end_aborts_its_uploads_itself() {
    for s3 in [S3::start(), S3::moto()] {
        // Once all is staged, and while the first part is on its way.
        for is_it in [is_list as fn(&str, &str) -> bool, |method, path| method == "PUT" && path.ends_with(".jsonl")] {
            let small = Small::new("s3://lake/a");
            let target = s3.signal_at("TERM", move |request| is_it(&request.method, &request.path));
            let running = small.start(&s3, STATE, NEXT_DAY);
            target.is(&running);
            let ended = running.wait();
            assert_eq!(ended.code, Some(143), "{ended:#?}");
            s3.unhook();
            assert_eq!((s3.uploads(), s3.parts()), (Vec::new(), Vec::new()), "{ended:#?}");
            assert_eq!(removed(&small.vacuum(&s3, &["--dry-run"])), [], "the ledger has forgotten them");
            assert_eq!(landed(&report(&small.start(&s3, STATE, NEXT_DAY).wait(), 0)), 1);
            s3.clear();
        }
    }
}
