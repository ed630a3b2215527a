//! The path from batches to published bytes, on a real directory.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, Decimal128Array, Float64Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray,
    StructArray, TimestampSecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest as _, Sha256};
use tempfile::{TempDir, tempdir};

use super::writer::MAX_BUFFERED;
use super::*;
use crate::model::{FileReceipt, JobName, PipelineName, SinkName, SliceId, StagedPlace};

mod dictionaries;
mod many;
mod pages;

fn spec(root: &Path, format: Format, partition_by: &[&str]) -> SinkSpec {
    SinkSpec {
        name: SinkName::new("lake"),
        format,
        url: root.to_str().unwrap().to_owned(),
        partition_by: partition_by.iter().map(|text| text.parse().unwrap()).collect(),
        sort_by: Vec::new(),
        rows_per_file: 1_000_000,
        bytes_per_file: 1 << 30,
    }
}

fn landing(generation: u32) -> Landing {
    Landing {
        pipeline: PipelineName::new("ntopng"),
        job: JobName::new("alerts"),
        slice: SliceId::new("20260101T000000Z"),
        generation,
        snapshot: None,
        schema_version: 2,
    }
}

/// Tells nobody: a directory is swept, so nothing of it needs to be noted.
struct Nobody;

#[async_trait::async_trait]
impl Notes for Nobody {
    async fn staged(&self, place: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        panic!("{place:?}");
    }
}

fn staging() -> Staging {
    Staging::new(DataSets::default(), Arc::new(Nobody))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn publish(receipt: &FileReceipt) -> Result<(), SinkError> {
    block_on(DataSets::default().publish(receipt))
}

fn parquet() -> Format {
    Format::Parquet(ParquetOptions::default())
}

fn csv() -> Format {
    Format::Csv(CsvOptions::default())
}

fn jsonl(compression: TextCompression) -> Format {
    Format::JsonLines { compression }
}

/// Rows `range`, an hour apart, of three severities.
fn rows(range: std::ops::Range<i64>) -> RecordBatch {
    let severity = |id: i64| ["Info", "Warn", "a/b=c"][usize::try_from(id % 3).unwrap()];
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(range.clone())), true),
        ("ts", Arc::new(TimestampSecondArray::from_iter_values(range.clone().map(|id| id * 3600))), true),
        ("severity", Arc::new(StringArray::from_iter_values(range.map(severity))), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn write(spec: &SinkSpec, landing: &Landing, batches: &[RecordBatch]) -> Result<Vec<FileReceipt>, SinkError> {
    let mut writer = SinkWriter::open(spec, landing, &batches[0].schema(), &staging())?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()
}

/// Writes and publishes one file, and returns its bytes.
fn bytes_of(format: Format, batch: &RecordBatch) -> Result<Vec<u8>, SinkError> {
    let root = tempdir().unwrap();
    let receipts = write(&spec(root.path(), format, &[]), &landing(1), std::slice::from_ref(batch))?;
    assert_eq!(receipts.len(), 1);
    publish(&receipts[0])?;
    Ok(fs::read(root.path().join(&receipts[0].path)).unwrap())
}

fn text_of(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(bytes_of(format, batch).unwrap()).unwrap()
}

fn read_parquet(path: &Path) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn partitioned_rows_come_back_each_once_from_its_own_directory() {
    let root = tempdir().unwrap();
    let spec = spec(root.path(), parquet(), &["day(ts)", "severity"]);
    let receipts = write(&spec, &landing(1), &[rows(0..30), rows(30..51)]).unwrap();
    assert_eq!(receipts.len(), 9, "three days, three severities");
    let mut ids = Vec::new();
    for receipt in &receipts {
        assert!(!root.path().join(&receipt.path).exists(), "nothing is published by writing");
        publish(receipt).unwrap();
        let path = root.path().join(&receipt.path);
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len() as u64, hex::encode(Sha256::digest(&bytes))), (receipt.bytes, receipt.sha256.clone()));
        let batch = read_parquet(&path);
        assert_eq!(batch.num_rows() as u64, receipt.rows);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(batch.schema().field_with_name("ts").unwrap().data_type(), &utc);
        for id in batch.column(0).as_primitive::<Int64Type>().values() {
            let severity = ["Info", "Warn", "a%2Fb%3Dc"][usize::try_from(id % 3).unwrap()];
            let dir = format!("ts_day=1970-01-0{}/severity={severity}/", 1 + id / 24);
            assert!(receipt.path.starts_with(&dir), "{} {dir}", receipt.path);
            ids.push(*id);
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..51).collect::<Vec<_>>());
    let parts: Vec<_> = receipts.iter().map(|receipt| receipt.path.rsplit('-').next().unwrap().to_owned()).collect();
    assert_eq!(parts, (0..9).map(|part| format!("{part:05}.parquet")).collect::<Vec<_>>());
}

#[test]
fn the_same_batches_give_the_same_bytes_whatever_the_generation() {
    for format in [parquet(), jsonl(TextCompression::Gzip), jsonl(TextCompression::Zstd { level: TEXT_ZSTD })] {
        let run = |generation| {
            let root = tempdir().unwrap();
            let mut spec = spec(root.path(), format.clone(), &["hour(ts)", "severity"]);
            spec.rows_per_file = 2;
            // More partitions than files may be open: what is closed early must not depend on a hash table.
            let receipts = write(&spec, &landing(generation), &[rows(0..70), rows(0..70), rows(60..70)]).unwrap();
            assert_eq!(receipts.iter().map(|receipt| receipt.rows).sum::<u64>(), 150);
            let facts =
                |receipt: FileReceipt| (receipt.path.replace(&format!("-g{generation}-"), "-g-"), receipt.sha256);
            receipts.into_iter().map(facts).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(22));
    }
}

#[test]
fn files_roll_at_their_limits_and_keep_the_order_of_rows() {
    let root = tempdir().unwrap();
    let mut by_rows = spec(root.path(), parquet(), &[]);
    by_rows.rows_per_file = 7;
    let receipts = write(&by_rows, &landing(1), &[rows(0..10), rows(10..20)]).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.rows).collect::<Vec<_>>(), [7, 7, 6]);
    let mut ids = Vec::new();
    for receipt in &receipts {
        publish(receipt).unwrap();
        let batch = read_parquet(&root.path().join(&receipt.path));
        ids.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    assert_eq!(ids, (0..20).collect::<Vec<_>>());

    let mut by_bytes = spec(root.path(), csv(), &[]);
    by_bytes.bytes_per_file = 1000;
    let receipts = write(&by_bytes, &landing(2), &[rows(0..40), rows(40..80), rows(80..90)]).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.rows).collect::<Vec<_>>(), [40, 40, 10]);

    let mut by_bytes = self::spec(root.path(), parquet(), &[]);
    by_bytes.bytes_per_file = 8000;
    let batches: Vec<_> = (0..20).map(|at| rows(at * 100..at * 100 + 100)).collect();
    let receipts = write(&by_bytes, &landing(3), &batches).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.rows).sum::<u64>(), 2000);
    assert!((2..12).contains(&receipts.len()), "{receipts:?}");
}

#[test]
fn beyond_its_memory_a_writer_ends_row_groups_early_and_the_same_each_time() {
    let wide = |at: i64| {
        let text = |id: i64| (id % 40 > 0).then(|| format!("{id}-{}", "x".repeat(3000)));
        let parts: StringArray = (0..8192).map(|id| Some(format!("{}", id % 40))).collect();
        let texts: StringArray = (0..8192).map(|id| text(at * 8192 + id)).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("part", Arc::new(parts) as ArrayRef, true),
            ("t", Arc::new(texts), true),
        ])
        .unwrap()
    };
    let run = || {
        let root = tempdir().unwrap();
        let spec = spec(root.path(), parquet(), &["part"]);
        let mut writer = SinkWriter::open(&spec, &landing(1), &wide(0).schema(), &staging()).unwrap();
        for at in 0..6 {
            writer.write(&wide(at)).unwrap();
            assert!(writer.buffered() <= MAX_BUFFERED, "{}", writer.buffered());
        }
        let receipts = writer.finish().unwrap();
        assert_eq!(receipts.len(), 40, "a file each");
        receipts.iter().for_each(|receipt| publish(receipt).unwrap());
        let groups = |receipt: &FileReceipt| {
            let file = File::open(root.path().join(&receipt.path)).unwrap();
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().num_row_groups()
        };
        let groups: Vec<_> = receipts.iter().map(groups).collect();
        (groups, receipts.into_iter().map(|receipt| receipt.sha256).collect::<Vec<_>>())
    };
    let (groups, digests) = run();
    assert!(groups.iter().sum::<usize>() > 40, "{groups:?}");
    assert_eq!((groups, digests), run());
}

#[test]
fn a_file_that_is_encoded_as_its_rows_come_has_the_same_bytes() {
    // Of 300 bytes: twice as many as are encoded ahead, and then some.
    let batch = |part: &str, first: i64, rows: i64| {
        let text = |id: i64| format!("{id:020}").repeat(15);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(first..first + rows))),
            ("part", Arc::new(StringArray::from_iter_values((0..rows).map(|_| part)))),
            ("text", Arc::new(StringArray::from_iter_values((first..first + rows).map(text)))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let large: Vec<RecordBatch> = (0..60).map(|page| batch("a", page * 1000, 1000)).collect();
    // Small ones are put together.
    let small: Vec<RecordBatch> = (0..6000).map(|page| batch("a", page * 10, 10)).collect();
    let other = batch("b", 0, 1);
    let digest = |batches: &[RecordBatch]| {
        let root = tempdir().unwrap();
        let files = write(&spec(root.path(), parquet(), &["part"]), &landing(1), batches).unwrap();
        files.into_iter().find(|file| file.path.starts_with("part=a/")).map(|file| (file.rows, file.sha256))
    };
    for pages in [large, small] {
        let alone = digest(&pages).unwrap();
        assert_eq!(alone.0, 60_000);
        // Beside another one it is encoded at its end; where that one comes half way, some of it is encoded by then.
        for at in [0, pages.len() / 2] {
            let mut batches = pages.clone();
            batches.insert(at, other.clone());
            assert_eq!(digest(&batches).unwrap(), alone);
        }
    }
}

#[test]
fn parquet_files_say_where_they_come_from_and_bound_their_row_groups() {
    let root = tempdir().unwrap();
    let options = ParquetOptions { row_group_rows: 8, ..ParquetOptions::default() };
    let mut landing = landing(1);
    landing.snapshot = Some("2026-01-01".to_owned());
    let receipts = write(&spec(root.path(), Format::Parquet(options), &[]), &landing, &[rows(0..20)]).unwrap();
    publish(&receipts[0]).unwrap();
    assert_eq!(receipts[0].path, "snapshot=2026-01-01/ntopng-alerts-20260101T000000Z-g1-00000.parquet");
    let file = File::open(root.path().join(&receipts[0].path)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let metadata = builder.metadata();
    assert_eq!(
        metadata.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect::<Vec<_>>(),
        [8, 8, 4]
    );
    assert_eq!(metadata.file_metadata().created_by(), Some("tidegate"));
    assert!(metadata.row_group(0).column(0).statistics().is_some());
    assert!(metadata.row_group(0).column(0).column_index_offset().is_some());
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let ours = pairs.iter().filter_map(|pair| Some((pair.key.strip_prefix("tidegate.")?, pair.value.as_deref()?)));
    let expected = [("pipeline", "ntopng"), ("job", "alerts"), ("slice", "20260101T000000Z"), ("schema_version", "2")];
    assert_eq!(ours.collect::<Vec<_>>(), expected);
}

/// One column of every kind that text files treat by itself; the second row is null throughout, the third awkward.
fn kinds() -> RecordBatch {
    let (big, decimal) = (Some(u64::MAX), Some(12_345_678_901_234_567_890_123_456_789_012_345_678));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    let note: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("say \"hi\"")]));
    let fields = vec![Field::new("note", DataType::Utf8, true)];
    let nested = StructArray::new(fields.into(), vec![note], Some(vec![true, false, true].into()));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("text", Arc::new(StringArray::from(vec![Some("plain"), None, Some("")])), true),
        ("sum", Arc::new(StringArray::from(vec![Some("=1+1"), None, Some("a,\"b\"\nc")])), true),
        ("big", Arc::new(UInt64Array::from(vec![big, None, Some(0)])), true),
        (
            "dec",
            Arc::new(Decimal128Array::from(vec![decimal, None, Some(-5)]).with_precision_and_scale(38, 2).unwrap()),
            true,
        ),
        ("ts", Arc::new(TimestampSecondArray::from(vec![Some(1_767_225_600), None, Some(-1)])), true),
        ("list", Arc::new(list), true),
        ("nested", Arc::new(nested), true),
        ("void", Arc::new(NullArray::new(3)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn csv_keeps_null_and_empty_apart_and_nested_values_as_json() {
    let expected = concat!(
        "text,sum,big,dec,ts,list,nested,void\n",
        "plain,'=1+1,18446744073709551615,123456789012345678901234567890123456.78,2026-01-01T00:00:00Z,",
        "\"[1,null]\",\"{\"\"note\"\":\"\"x\"\"}\",\n",
        ",,,,,,,\n",
        "\"\",\"a,\"\"b\"\"\nc\",0,-0.05,1969-12-31T23:59:59Z,[],\"{\"\"note\"\":\"\"say \\\"\"hi\\\"\"\"\"}\",\n",
    );
    assert_eq!(text_of(csv(), &kinds()), expected);
}

#[test]
fn csv_options_are_followed() {
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("a", Arc::new(StringArray::from(vec![Some("-5"), None, Some("NULL"), Some("x;y")])), true),
        ("b", Arc::new(Int64Array::from(vec![-5, 1, 2, 3])), true),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let options = CsvOptions { delimiter: b';', header: false, null_text: "NULL".to_owned(), ..CsvOptions::default() };
    assert_eq!(text_of(Format::Csv(options.clone()), &batch), "'-5;-5\nNULL;1\n\"NULL\";2\n\"x;y\";3\n");
    let raw = CsvOptions { protect_formulas: false, compression: TextCompression::Gzip, ..options };
    let zipped = bytes_of(Format::Csv(raw), &batch).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(zipped.as_slice()).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("-5;-5\n"), "{text}");
}

#[test]
fn a_csv_line_is_never_empty() {
    let column: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("only", column, true)]).unwrap();
    let error = bytes_of(csv(), &batch).unwrap_err();
    assert!(matches!(error, SinkError::Encode { source: EncodeError::EmptyLine { .. }, .. }), "{error}");
    let named = CsvOptions { null_text: "NULL".to_owned(), ..CsvOptions::default() };
    assert_eq!(text_of(Format::Csv(named), &batch), "only\na\nNULL\n");
}

#[test]
fn json_lines_keep_every_digit_null_and_nesting() {
    let expected = concat!(
        r#"{"text":"plain","sum":"=1+1","big":18446744073709551615,"dec":123456789012345678901234567890123456.78,"#,
        r#""ts":"2026-01-01T00:00:00Z","list":[1,null],"nested":{"note":"x"},"void":null}"#,
        "\n",
        r#"{"text":null,"sum":null,"big":null,"dec":null,"ts":null,"list":null,"nested":null,"void":null}"#,
        "\n",
        r#"{"text":"","sum":"a,\"b\"\nc","big":0,"dec":-0.05,"ts":"1969-12-31T23:59:59Z","list":[],"#,
        r#""nested":{"note":"say \"hi\""},"void":null}"#,
        "\n",
    );
    assert_eq!(text_of(jsonl(TextCompression::None), &kinds()), expected);
    let packed = bytes_of(jsonl(TextCompression::Zstd { level: TEXT_ZSTD }), &kinds()).unwrap();
    assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), expected.as_bytes());
}

#[test]
fn a_number_that_json_lacks_fails_the_writer_for_good() {
    let root = tempdir().unwrap();
    let batch = |value| {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(value)]));
        RecordBatch::try_from_iter_with_nullable([("f", column, true)]).unwrap()
    };
    let spec = spec(root.path(), jsonl(TextCompression::None), &[]);
    let mut writer = SinkWriter::open(&spec, &landing(1), &batch(0.0).schema(), &staging()).unwrap();
    writer.write(&batch(2.0)).unwrap();
    let error = writer.write(&batch(f64::NAN)).unwrap_err();
    assert!(matches!(error, SinkError::Encode { source: EncodeError::NotInJson { value: "NaN", .. }, .. }));
    assert!(matches!(writer.write(&batch(2.0)), Err(SinkError::Broken)));
    assert!(matches!(writer.finish(), Err(SinkError::Broken)));
    assert_eq!(staged_files(&root), 0);
}

/// Counts the files anywhere below `root`.
fn staged_files(root: &TempDir) -> usize {
    fn count(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(root.path())
}

#[test]
fn a_dropped_writer_leaves_no_file_and_an_empty_slice_none_either() {
    let root = tempdir().unwrap();
    let spec = spec(root.path(), parquet(), &["severity"]);
    let mut writer = SinkWriter::open(&spec, &landing(1), &rows(0..1).schema(), &staging()).unwrap();
    writer.write(&rows(0..10)).unwrap();
    assert_eq!(staged_files(&root), 3);
    writer.abort();
    assert_eq!(staged_files(&root), 0);
    assert_eq!(write(&spec, &landing(1), &[rows(0..0)]).unwrap(), []);
    assert_eq!(staged_files(&root), 0);
}

#[test]
fn a_staged_file_is_hidden_from_globs_and_swept_or_published() {
    let root = tempdir().unwrap();
    let receipts = write(&spec(root.path(), parquet(), &[]), &landing(4), &[rows(0..3)]).unwrap();
    assert!(receipts[0].staged.starts_with(".tidegate-staged/ntopng/alerts/20260101T000000Z-g4/lake-"));
    assert!(receipts[0].staged.ends_with(".parquet.staged"));
    let keep = |found: &StagedSlice| found.is(&JobName::new("alerts"), &SliceId::new("20260101T000000Z"), 4);
    let pipeline = PipelineName::new("ntopng");
    let data = DataSets::default();
    assert_eq!(block_on(data.sweep_staged(&receipts[0].root, &pipeline, keep)).unwrap(), 0);
    publish(&receipts[0]).unwrap();
    block_on(data.discard(&receipts[0])).unwrap();
    assert_eq!(read_parquet(&root.path().join(&receipts[0].path)).num_rows(), 3);
    block_on(data.delete(&receipts[0].root, &receipts[0].path)).unwrap();
    assert_eq!(staged_files(&root), 0);
}
