//! What the ledger costs where a pipeline has 20,000 slices: planning them, beginning them, landing some, reading it all back.
//!
//! A slice here is one file that is there already, so only the ledger's own writes count: a list of files, `publish` and `commit`.
//! `s3` is a store in memory that takes 50 ms for each put and 20 ms for each other call.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by them")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::StreamExt as _;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::Value;
use tempfile::TempDir;
use tidegate::clock::SystemClock;
use tidegate::ledger::{Begin, BeginSlice, Lane, Ledger, MemoryData, Publication, Writer};
use tidegate::model::{
    EndReason, FileReceipt, JobName, PipelineName, Reconciliation, SinkName, Slice, SliceKind, Window,
};
use tidegate::objects::{Bucket, Stores};
use tidegate::pipeline::check;
use tidegate::pipeline::load::{Lookup, Source};
use tidegate::pipeline::spec::Pipeline;
use tidegate::plan::Shard;
use tidegate::run::{Bounds, Env, Options, Reads, Silent, new_id, plan};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SLICES: usize = 20_000;
/// How many slices a sample lands.
const LANDED: usize = 1000;
const HOUR: Duration = Duration::from_hours(1);

fn main() {
    divan::main();
}

/// The slices of a job of hourly windows, planned against an empty ledger.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn planning(bencher: Bencher<'_, '_>) {
    let (world, pipeline, options) = (World::on_disk(), pipeline(), options("./none".to_owned()));
    let env = world.env();
    bencher.counter(ItemsCount::new(SLICES)).bench_local(|| {
        let planned = world.runtime.block_on(plan(&pipeline, &options, &env)).unwrap();
        assert_eq!(planned.iter().map(|job| job.slices.len()).sum::<usize>(), SLICES);
    });
}

/// The same, where each second window has landed, and the ledger is read first.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn planning_over_holes(bencher: Bencher<'_, '_>) {
    let (world, pipeline) = (World::on_disk(), pipeline());
    let (options, env) = (options(world.state.clone()), world.env());
    world.runtime.block_on(async {
        let writer = world.writer().await;
        let begins = begin(&writer, (0..SLICES).step_by(2)).await;
        land(&writer, begins, 16).await;
        writer.release().await.unwrap();
    });
    bencher.counter(ItemsCount::new(SLICES)).bench_local(|| {
        let planned = world.runtime.block_on(plan(&pipeline, &options, &env)).unwrap();
        assert_eq!(planned.iter().map(|job| job.slices.len()).sum::<usize>(), SLICES / 2);
    });
}

/// All slices begun, in one entry.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn beginning(bencher: Bencher<'_, '_>) {
    let world = || {
        let world = World::on_disk();
        (world.runtime.block_on(world.writer()), world)
    };
    bencher
        .counter(ItemsCount::new(SLICES))
        .with_inputs(world)
        .bench_local_refs(|(writer, world)| world.runtime.block_on(begin(writer, 0..SLICES)).len());
}

/// Slices landed on a disk, so many at a time, while 20,000 are known.
#[divan::bench(sample_count = 3, sample_size = 1, args = [1, 4, 16])]
fn landing_on_disk(bencher: Bencher<'_, '_>, at_once: usize) {
    landing(bencher, at_once, World::on_disk);
}

/// Slices landed in a store that takes 50 ms a put.
#[divan::bench(sample_count = 1, sample_size = 1, args = [16, 64])]
fn landing_in_s3(bencher: Bencher<'_, '_>, at_once: usize) {
    landing(bencher, at_once, World::in_s3);
}

fn landing(bencher: Bencher<'_, '_>, at_once: usize, world: fn() -> World) {
    let begun = || {
        let world = world();
        let (writer, begins) = world.runtime.block_on(async {
            let writer = world.writer().await;
            let begins = begin(&writer, 0..SLICES).await;
            (writer, begins.into_iter().take(LANDED).collect::<Vec<_>>())
        });
        (world, writer, begins)
    };
    bencher.counter(ItemsCount::new(LANDED)).with_inputs(begun).bench_local_values(|(world, writer, begins)| {
        world.runtime.block_on(land(&writer, begins, at_once));
        (world, writer)
    });
}

/// The list of a data set, after a thousand slices have landed in it.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn tidying_in_s3(bencher: Bencher<'_, '_>) {
    let landed = || {
        let world = World::in_s3();
        let writer = world.runtime.block_on(async {
            let writer = world.writer().await;
            let begins = begin(&writer, 0..LANDED).await;
            land(&writer, begins, 64).await;
            writer
        });
        (world, writer)
    };
    bencher.counter(ItemsCount::new(LANDED)).with_inputs(landed).bench_local_refs(|(world, writer)| {
        world.runtime.block_on(writer.tidy(&MemoryData::default())).unwrap();
    });
}

/// Where a ledger lies, and who runs it.
struct World {
    runtime: Runtime,
    state: String,
    stores: Arc<Stores>,
    _dir: Option<TempDir>,
}

impl World {
    fn on_disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_str().unwrap().to_owned();
        Self { runtime: Runtime::new().unwrap(), state, stores: Arc::default(), _dir: Some(dir) }
    }

    fn in_s3() -> Self {
        let (put, other) = (Duration::from_millis(50), Duration::from_millis(20));
        let config = ThrottleConfig {
            wait_put_per_call: put,
            wait_get_per_call: other,
            wait_list_per_call: other,
            wait_delete_per_call: other,
            ..ThrottleConfig::default()
        };
        let stores = Arc::new(Stores::default());
        stores.insert("s3://lake", &Bucket::new(Arc::new(ThrottledStore::new(InMemory::new(), config))));
        Self { runtime: Runtime::new().unwrap(), state: "s3://lake/state".to_owned(), stores, _dir: None }
    }

    async fn writer(&self) -> Writer {
        let ledger = Ledger::open(&self.state, PipelineName::new("bench"), Arc::new(SystemClock), &self.stores);
        ledger.unwrap().acquire(Lane::WHOLE, false).await.unwrap()
    }

    fn env(&self) -> Env {
        Env {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            sources: Arc::default(),
            stores: Arc::clone(&self.stores),
            cancel: CancellationToken::new(),
            terminated: tidegate::run::Terminated::default(),
            bounds: Bounds::default(),
        }
    }
}

fn start() -> DateTime<Utc> {
    "2024-01-01T00:00:00Z".parse().unwrap()
}

fn slice(hour: usize) -> Slice {
    let from = start() + TimeDelta::hours(hour.try_into().unwrap());
    let window = SliceKind::Window(Window { from, to: from + HOUR });
    Slice::new(JobName::new("flows"), None, Value::Null, window)
}

async fn begin(writer: &Writer, hours: impl Iterator<Item = usize>) -> Vec<Begin> {
    let begin = |hour| BeginSlice { slice: slice(hour), now: start(), schema_version: None };
    writer.begin(hours.map(begin).collect()).await.unwrap()
}

/// Publishes and commits slices, so many at a time.
async fn land(writer: &Writer, begins: Vec<Begin>, at_once: usize) {
    let landed = begins.into_iter().map(|begin| async move {
        let landing = writer.publish(publication(begin)).await.unwrap();
        writer.commit(landing).await.unwrap();
    });
    futures::stream::iter(landed).buffer_unordered(at_once).collect::<Vec<()>>().await;
}

fn publication(Begin { slice, generation, .. }: Begin) -> Publication {
    let path = format!("bench-flows-{}-g{generation}-00000.parquet", slice.id);
    let file = FileReceipt {
        sink: SinkName::new("lake"),
        root: "memory:///lake".to_owned(),
        staged: format!(".tidegate-staged/{path}"),
        path,
        rows: 1000,
        bytes: 50_000,
        sha256: "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".to_owned(),
    };
    let reconciliation = Reconciliation::of(1000, 1000, (None, None), EndReason::EmptyPage);
    Publication {
        slice,
        generation,
        cursor_end: None,
        rows: 1000,
        records: 1000,
        good: 1000,
        reconciliation,
        schema_version: None,
        files: vec![file],
    }
}

fn pipeline() -> Pipeline {
    let text = "
version: 1
name: bench
source: {base_url: 'http://127.0.0.1:1'}
jobs:
  flows:
    get: /flows
    query: {from: '', to: ''}
    records: '.[]'
    paginate: none
    window: {every: 1h, start: 2024-01-01T00:00:00Z, as: rfc3339, from: query.from, to: query.to}
    sinks: {lake: {parquet: {url: ./lake}}}
";
    let source = Source { name: "bench.yaml".to_owned(), text: text.to_owned() };
    check::load(&source, &Nothing).unwrap().pipeline
}

struct Nothing;

impl Lookup for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(path.to_owned())
    }
}

fn options(state: String) -> Options {
    Options {
        run: new_id(start()),
        scheduled_for: None,
        shard: Shard::WHOLE,
        state,
        lease_ttl: Duration::from_mins(1),
        now: start() + TimeDelta::hours(SLICES.try_into().unwrap()),
        jobs: Vec::new(),
        wait: false,
        allow_shrink: false,
        retry_refused: false,
        accept: None,
        allow_future: true,
        lock: None,
        reads: Reads::Due,
    }
}
