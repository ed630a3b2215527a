//! What each stage costs for a page of 1,000 records like those of an appliance, or for 100 such pages: `cargo bench`.
//!
//! Beside the time stand the allocations. End to end, and against others: `benches/run.py`.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by them")]

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;
use tempfile::TempDir;
use tidegate::clock::SystemClock;
use tidegate::decode::{DecodeOptions, PAGE_VARIABLES, PageDecoder, PageVars};
use tidegate::lang::Selector;
use tidegate::ledger::{BeginSlice, Lane, Ledger, Publication, Writer};
use tidegate::model::{
    AnswerFormat, EndReason, FileReceipt, JobName, PipelineName, Reconciliation, SinkName, Slice, SliceId, SliceKind,
    StagedPlace, Window,
};
use tidegate::objects::Stores;
use tidegate::sink::{DataSets, Format, Landing, Notes, ParquetOptions, SinkSpec, SinkWriter, Staging};
use tidegate::transform::{KeyIndex, Spool, TransformPlan};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const RECORDS: usize = 1000;
const PAGES: usize = 100;
const ROWS: usize = RECORDS * PAGES;

const SQL: &str = "SELECT CAST(row_id AS BIGINT) AS row_id, to_timestamp_seconds(tstamp.\"value\") AS ts, cli.ip AS client, \
                   CAST(cli.port AS INT) AS port, severity.label AS severity, upper(info) AS info, bytes / packets AS size FROM records";

fn main() {
    divan::main();
}

fn body() -> Bytes {
    let record = |at: usize| {
        json!({
            "row_id": (9_007_199_254_740_993_u64 + at as u64).to_string(),
            "tstamp": {"value": 1_767_225_600 + at, "label": "01/01 00:00:00"}, "first_seen": 1_767_225_500 + at,
            "severity": {"value": 3, "label": "Notice"}, "score": {"value": at % 400, "color": "#b94a48"},
            "cli": {"ip": format!("10.0.{}.{}", at / 256, at % 256), "port": "40123", "name": format!("host-{at}.example"), "country": "IT"},
            "srv": {"ip": "198.51.100.7", "port": "443", "name": "", "country": "DE"},
            "bytes": at * 70_000, "packets": at + 1, "thpt": 0.125, "probe_ip": null,
            "info": format!("flow {at} \u{2192} GET /index.html?id={at}"),
        })
    };
    json!({"rc": 0, "rsp": {"records": (0..RECORDS).map(record).collect::<Vec<_>>(), "total": ROWS}}).to_string().into()
}

fn decoder() -> PageDecoder {
    PageDecoder::new(DecodeOptions::new(
        AnswerFormat::Json,
        Selector::parse_with(&[".rsp.records[]".to_owned()], &PAGE_VARIABLES).unwrap(),
    ))
}

fn page_of(decoder: &mut PageDecoder, body: &Bytes) -> RecordBatch {
    let context = PageVars { status: 200, headers: json!({}) };
    decoder.decode(body, &context, None, &[]).unwrap().pieces.remove(0).batch
}

fn rows() -> RecordBatch {
    page_of(&mut decoder(), &body())
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let (body, mut decoder) = (body(), decoder());
    page_of(&mut decoder, &body);
    let (items, bytes) = (ItemsCount::new(RECORDS), BytesCount::new(body.len()));
    bencher.counter(items).counter(bytes).bench_local(|| page_of(&mut decoder, &body));
}

/// The floor of decoding: the same text parsed, and nothing made of it.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let body = body();
    let bytes = BytesCount::new(body.len());
    bencher.counter(bytes).bench_local(|| serde_json::from_slice::<serde::de::IgnoredAny>(&body).unwrap());
}

/// The floor of building columns: the values of a page, which are typed already, copied to new columns one by one.
#[divan::bench]
fn build(bencher: Bencher<'_, '_>) {
    let batch = rows();
    let each = UInt32Array::from_iter_values((0..u32::try_from(RECORDS).unwrap()).rev());
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| take_record_batch(&batch, &each).unwrap());
}

#[divan::bench]
fn keys(bencher: Bencher<'_, '_>) {
    let (batch, columns) = (rows(), ["row_id".to_owned()]);
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| KeyIndex::new(&columns, 64 << 20).observe(&batch, 0).unwrap());
}

/// 100 pages, through a temporary file.
#[divan::bench]
fn spool(bencher: Bencher<'_, '_>) {
    let batch = rows();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut spool = Spool::new(0);
        (0..PAGES).for_each(|_| spool.push(batch.clone()).unwrap());
        spool.into_batches().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    });
}

/// 100 pages through a SELECT, with its planning.
#[divan::bench]
fn sql(bencher: Bencher<'_, '_>) {
    let batch = rows();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let plan = TransformPlan::new(Some(SQL), batch.schema(), DateTime::UNIX_EPOCH).unwrap();
        let pages = vec![batch.clone(); PAGES].into_iter().map(Ok::<_, std::io::Error>);
        plan.run(Box::new(pages), |_| Ok::<_, std::io::Error>(())).unwrap()
    });
}

/// 100 pages into a staged Parquet file, with its way to stable storage.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (batch, lake) = (rows(), Lake::new());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut writer = lake.writer(&batch.schema());
        (0..PAGES).for_each(|_| writer.write(&batch).unwrap());
        writer.finish().unwrap()
    });
}

/// The floor of encoding: the same pages by the `parquet` crate alone, into memory.
#[divan::bench(args = ["plain", "zstd"])]
fn write(bencher: Bencher<'_, '_>, compression: &str) {
    let batch = rows();
    let compression = match compression {
        "plain" => Compression::UNCOMPRESSED,
        _ => Compression::ZSTD(ZstdLevel::default()),
    };
    let properties = WriterProperties::builder().set_compression(compression).build();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.clone())).unwrap();
        (0..PAGES).for_each(|_| writer.write(&batch).unwrap());
        writer.into_inner().unwrap().len()
    });
}

/// One slice: begun in the ledger, one file published, committed.
#[divan::bench]
fn commit(bencher: Bencher<'_, '_>) {
    let (batch, lake, runtime) = (rows(), Lake::new(), Runtime::new().unwrap());
    let state = tempfile::tempdir().unwrap();
    let writer = runtime.block_on(async {
        let state = state.path().to_str().unwrap();
        let ledger = Ledger::open(state, PipelineName::new("bench"), Arc::new(SystemClock), &Stores::default());
        ledger.unwrap().acquire(Lane::WHOLE, false).await.unwrap()
    });
    let mut number = 0;
    let staged = || {
        let mut writer = lake.writer(&batch.schema());
        writer.write(&batch).unwrap();
        number += 1;
        (number, writer.finish().unwrap())
    };
    bencher.with_inputs(staged).bench_local_values(|(number, files)| {
        runtime.block_on(land(&writer, number, files));
    });
}

async fn land(writer: &Writer, number: i64, files: Vec<FileReceipt>) {
    let from = DateTime::UNIX_EPOCH + TimeDelta::hours(number);
    let window = SliceKind::Window(Window { from, to: from + TimeDelta::hours(1) });
    let slice = Slice::new(JobName::new("flows"), None, serde_json::Value::Null, window);
    let begin = BeginSlice { slice: slice.clone(), now: DateTime::UNIX_EPOCH, schema_version: None };
    let made = writer.begin(vec![begin]).await.unwrap();
    let reconciliation = Reconciliation::of(1, 1, (None, None), EndReason::EmptyPage);
    // Each slice has files of its own name.
    let path = |file: FileReceipt| FileReceipt { path: format!("{number}-{}", file.path), ..file };
    let files: Vec<_> = files.into_iter().map(path).collect();
    let publication = Publication {
        slice,
        generation: made.first().unwrap().generation,
        cursor_end: None,
        rows: 1,
        records: 1,
        good: 1,
        reconciliation,
        schema_version: None,
        files: files.clone(),
    };
    let landing = writer.publish(publication).await.unwrap();
    for file in &files {
        DataSets::default().publish(file).await.unwrap();
    }
    writer.commit(landing).await.unwrap();
}

/// A data set in a folder that goes with it.
struct Lake {
    spec: SinkSpec,
    landing: Landing,
    _dir: TempDir,
}

impl Lake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = SinkSpec {
            name: SinkName::new("lake"),
            format: Format::Parquet(ParquetOptions::default()),
            url: dir.path().to_str().unwrap().to_owned(),
            partition_by: Vec::new(),
            sort_by: Vec::new(),
            rows_per_file: 1_000_000,
            bytes_per_file: 1 << 30,
        };
        let landing = Landing {
            pipeline: PipelineName::new("bench"),
            job: JobName::new("flows"),
            slice: SliceId::new("all"),
            generation: 1,
            snapshot: None,
            schema_version: 1,
        };
        Self { spec, landing, _dir: dir }
    }

    fn writer(&self, schema: &SchemaRef) -> SinkWriter {
        SinkWriter::open(&self.spec, &self.landing, schema, &Staging::new(DataSets::default(), Arc::new(Nobody)))
            .unwrap()
    }
}

/// Tells nobody where a file is staged: a folder is swept.
struct Nobody;

#[async_trait::async_trait]
impl Notes for Nobody {
    async fn staged(&self, _: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}
