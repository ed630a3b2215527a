//! Runs whose state and lake lie in a store that fails: whichever of its calls fails, and whichever is the last, the run after it
//! leaves what an undisturbed one would have.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Query;
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::*;
use crate::clock::SystemClock;
use crate::ledger::{Manifest, RunOutcome};
use crate::model::Exit;
use crate::objects::Bucket;
use crate::objects::testing::{Call, Fate, Flaw, Flawed};
use crate::pipeline::check;
use crate::pipeline::load::{Lookup, Source};

/// Two windows of four rows, one of them bad, in two partitions of two sinks.
const PIPELINE: &str = r"
version: 1
name: p
source: {base_url: 'URL', retry: {attempts: 1}}
jobs:
  rows:
    get: /rows
    query: {from: '', to: ''}
    records: '.[]'
    paginate: none
    window: {every: 1d, start: 2026-01-01T00:00:00Z, as: rfc3339, from: query.from, to: query.to}
    schema: {columns: {id: int64}}
    sinks:
      lake: {jsonl: {url: 's3://lake/a', partition_by: [part]}}
      feed: {csv: {url: 's3://lake/b'}, where: id > 1}
";

struct Nothing;

impl Lookup for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(path.to_owned())
    }
}

/// Serves the rows, and returns the pipeline that reads them.
async fn pipeline() -> Pipeline {
    let rows = |Query(query): Query<BTreeMap<String, String>>| async move {
        let day = &query["from"][..10];
        format!(
            r#"[{{"id": 1, "part": "x", "day": "{day}"}}, {{"id": 2, "part": "y/z", "day": "{day}"}},
               {{"id": "bad", "part": "x"}}, {{"id": 3, "part": "x", "day": "{day}"}}]"#
        )
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/rows", axum::routing::get(rows))).await });
    let source = Source { name: "p.yaml".to_owned(), text: PIPELINE.replace("URL", &url) };
    check::load(&source, &Nothing).unwrap().pipeline
}

/// Runs the pipeline over a store, with a lease that lives for `ttl` milliseconds.
async fn run_over(pipeline: &Pipeline, store: Bucket, ttl: u64) -> Result<RunReport, RunError> {
    run_heard(pipeline, store, ttl, Arc::new(Silent)).await
}

/// As [`run_over`], with somebody who hears how it goes.
async fn run_heard(
    pipeline: &Pipeline,
    store: Bucket,
    ttl: u64,
    progress: Arc<dyn Progress>,
) -> Result<RunReport, RunError> {
    let stores = Arc::new(Stores::default());
    stores.insert("s3://lake", &store);
    let env = Env {
        clock: Arc::new(SystemClock),
        progress,
        sources: Arc::default(),
        stores,
        cancel: CancellationToken::new(),
        terminated: crate::run::Terminated::default(),
        bounds: Bounds::default(),
    };
    let options = Options {
        shard: Shard::WHOLE,
        run: new_id(DateTime::UNIX_EPOCH),
        scheduled_for: None,
        state: "s3://lake/state".to_owned(),
        retry_refused: false,
        accept: None,
        allow_future: true,
        lock: None,
        reads: crate::run::Reads::Due,
        lease_ttl: Duration::from_millis(ttl),
        now: "2026-01-03T12:00:00Z".parse().unwrap(),
        jobs: Vec::new(),
        wait: true,
        allow_shrink: false,
    };
    run(pipeline, &options, &env).await.map_err(|broken| broken.error)
}

/// The objects of the lake and of quarantine, by their keys up to the generation.
async fn landed(store: &InMemory) -> BTreeMap<String, String> {
    let mut landed = BTreeMap::new();
    for object in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let key = object.location.to_string();
        if key.contains("_tidegate/") || (key.starts_with("state/") && !key.contains("/quarantine/")) {
            continue;
        }
        let (before, after) = key.rsplit_once("-g").unwrap();
        let name = format!("{before}-g#-{}", after.split_once('-').unwrap().1);
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        let twice = landed.insert(name, String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!(twice, None, "two generations of {key}");
    }
    landed
}

/// The keys that the lists of files name.
async fn listed(store: &InMemory) -> Vec<String> {
    let mut listed = Vec::new();
    for set in ["a", "b", "state/p/quarantine"] {
        let list = store.get(&format!("{set}/_tidegate/files.json").into()).await.unwrap().bytes().await.unwrap();
        let files = Manifest::read(set, Some(&list)).unwrap().files;
        listed.extend(files.into_iter().map(|file| {
            let (before, after) = file.path.rsplit_once("-g").unwrap();
            format!("{set}/{before}-g#-{}", after.split_once('-').unwrap().1)
        }));
    }
    listed.sort();
    listed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_fails_the_next_run_leaves_what_an_undisturbed_one_would() {
    let pipeline = pipeline().await;
    let undisturbed = Arc::new(InMemory::new());
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    let counted = Flawed::over(Arc::clone(&undisturbed), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Fate::FINE
    });
    run_over(&pipeline, Bucket::new(Arc::new(counted)), 60_000).await.unwrap();
    let calls = calls.load(Ordering::SeqCst);
    assert!(calls > 40, "only {calls} calls");
    let expected = landed(&undisturbed).await;
    assert_eq!(expected.len(), 2 * (2 + 1 + 1), "{expected:#?}");
    assert_eq!(listed(&undisturbed).await, expected.keys().cloned().collect::<Vec<_>>());
    let ways = [(Fate::LOST, false), (Fate::UNANSWERED, false), (Fate::LOST, true), (Fate::UNANSWERED, true)];
    futures::future::join_all(ways.map(|(fate, dies)| each_in_turn(&pipeline, calls, &expected, fate, dies))).await;
}

/// Has the first call of a run fail, then in a new lake the second, and so on; where a run `dies`, all that follow fail as well.
async fn each_in_turn(pipeline: &Pipeline, calls: u64, expected: &BTreeMap<String, String>, fate: Fate, dies: bool) {
    for nth in 1..=calls {
        let store = Arc::new(InMemory::new());
        let count = AtomicU64::new(0);
        let flawed = Flawed::over(Arc::clone(&store), move |_| match count.fetch_add(1, Ordering::SeqCst) + 1 {
            call if call == nth => fate,
            call if call > nth && dies => Fate::LOST,
            _ => Fate::FINE,
        });
        let flawed = Arc::new(flawed);
        // A run that dies is waited for so long; and one that is slow may lose its lease, which is a way to end as well.
        let first = run_over(pipeline, Bucket::new(Arc::clone(&flawed)), if dies { 100 } else { 1000 }).await;
        let said = format!("call {nth} {fate:?}, dies: {dies}: {first:?}");
        let fine = Arc::new(flawed.healed());
        let next = run_over(pipeline, Bucket::new(Arc::clone(&fine)), 60_000).await;
        let next = next.unwrap_or_else(|error| panic!("{}; {said}", error.chain()));
        assert!(next.jobs.iter().all(|job| job.error.is_none()), "{next:?}; {said}");
        assert_eq!(landed(&store).await, *expected, "{said}");
        assert_eq!(listed(&store).await, expected.keys().cloned().collect::<Vec<_>>(), "{said}");
        assert_eq!(fine.uploads_with_parts(), Vec::<String>::new(), "{said}");
    }
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_refused_before_anything_is_written() {
    let pipeline = pipeline().await;
    for flaw in [Flaw::IgnoresCreate, Flaw::IgnoresUpdate] {
        let store = Flawed::new(InMemory::new(), flaw);
        let inner = store.inner();
        let error = run_over(&pipeline, Bucket::new(Arc::new(store)), 60_000).await.unwrap_err().chain();
        assert!(
            error.starts_with("can't keep state in s3://lake/state/p: the store has no conditional writes ("),
            "{error}"
        );
        let keys: Vec<_> = inner.list(None).try_collect::<Vec<_>>().await.unwrap();
        let keys: Vec<String> = keys.into_iter().map(|object| object.location.to_string()).collect();
        assert_eq!(keys, ["state/p/_tidegate/probe"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slice_that_fails_leaves_no_upload_behind() {
    let pipeline = pipeline().await;
    let store = Arc::new(InMemory::new());
    let parts = AtomicU64::new(0);
    // The second part of all never arrives, however often it is tried.
    let flawed = Arc::new(Flawed::over(Arc::clone(&store), move |call| match call {
        Call::Part if parts.fetch_add(1, Ordering::SeqCst) == 1 => Fate::LOST,
        _ => Fate::FINE,
    }));
    let report = run_over(&pipeline, Bucket::new(Arc::clone(&flawed)), 60_000).await.unwrap();
    let failed =
        report.jobs[0].slices.iter().filter(|slice| matches!(slice.outcome, crate::model::SliceOutcome::Failed { .. }));
    assert_eq!(failed.count(), 1, "{report:?}");
    for _ in 0..200 {
        if flawed.uploads_with_parts().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(flawed.uploads_with_parts(), Vec::<String>::new());
    let again = run_over(&pipeline, Bucket::new(flawed), 60_000).await.unwrap();
    assert!(again.recovered.is_empty(), "the ledger has nothing open: {again:?}");
    assert_eq!(landed(&store).await.len(), 8);
}

/// Panics at the second slice's end.
#[derive(Default)]
struct Unlucky(AtomicU64);

impl Progress for Unlucky {
    fn waits(&self, _: Option<&str>) {}
    fn planned(&self, _: &JobName, _: u64) {}
    fn page(&self, _: &JobName, _: u64, _: u64) {}
    fn slice(&self, _: &JobName, _: &crate::model::SliceOutcome) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) == 0, "no luck");
    }
    fn ended(&self, _: &JobName) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_panics_says_so_in_the_ledger_and_the_next_goes_on() {
    let pipeline = pipeline().await;
    let store = Arc::new(InMemory::new());
    let bucket = || Bucket::new(Arc::clone(&store));
    let error = run_heard(&pipeline, bucket(), 60_000, Arc::new(Unlucky::default())).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Bug);
    assert!(error.chain().starts_with("the run panicked: no luck; this is a bug of Tidegate"), "{}", error.chain());
    let stores = Stores::default();
    stores.insert("s3://lake", &bucket());
    let ledger = Ledger::open("s3://lake/state", pipeline.name.clone(), Arc::new(SystemClock), &stores).unwrap();
    let state = ledger.read_state().await.unwrap();
    let end = state.runs().next().unwrap().0.end.clone().unwrap().summary;
    assert_eq!((end.exit_code, end.outcome), (Some(70), RunOutcome::Failed));
    assert!(end.error.is_some_and(|why| why.contains("no luck")));
    // The lease is free: the next run needn't wait for its minute.
    let next = run_over(&pipeline, bucket(), 60_000).await.unwrap();
    assert!(next.jobs.iter().all(|job| job.error.is_none()), "{next:?}");
    assert_eq!(landed(&store).await.len(), 8);
    assert_eq!(ledger.read_state().await.unwrap().runs().count(), 2);
}
