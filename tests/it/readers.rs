//! Who reads while runs are killed: no file that a listing shows is ever torn, on disk or in a bucket.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tidegate::appliance::dice::Dice;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::appliance::{Site, report};
use crate::support::bench::files;
use crate::support::s3::S3;

/// How often a run is killed.
fn rounds() -> u64 {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap())
}

fn site() -> Site {
    let config = NtopngConfig {
        alerts: 160,
        hosts: 130,
        flows: 60,
        host_alerts: 30,
        days: 2,
        latency: Duration::from_millis(3),
        ..NtopngConfig::default()
    };
    Site::new(config, "2026-01-08T02:15:00Z", "-2d").hurried(&[("size: 500}", "size: 40}")])
}

/// Fails unless the file is whole.
fn assert_whole(name: &str, bytes: Vec<u8>) {
    if name.ends_with(".parquet") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes));
        let reader = reader.unwrap_or_else(|error| panic!("{name} is torn: {error}"));
        let stated = reader.metadata().file_metadata().num_rows();
        let rows: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows as i64, stated, "{name}");
        assert!(rows > 0, "{name}");
    } else if name.ends_with(".zst") {
        let text = zstd::decode_all(bytes.as_slice()).unwrap_or_else(|error| panic!("{name} is torn: {error}"));
        assert!(text.ends_with(b"\n"), "{name}");
    } else if name.ends_with("files.json") {
        serde_json::from_slice::<Value>(&bytes).unwrap_or_else(|error| panic!("{name} is torn: {error}"));
    } else {
        assert!(bytes.ends_with(b"\n"), "{name} is torn: it ends with {:?}", bytes.last());
    }
}

/// Somebody who lists and reads again and again, until told to stop; then says how many files were read.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Reader {
    /// `read` reads all files that there are at the moment.
    fn start(read: impl Fn() -> Vec<(String, Vec<u8>)> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = 0;
            loop {
                // Once more after it was told to stop: all is there then.
                let last = told.load(Ordering::SeqCst);
                for (name, bytes) in read() {
                    assert_whole(&name, bytes);
                    seen += 1;
                }
                if last {
                    return seen;
                }
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Kills runs at random moments, and lets the last one end.
fn disturb(site: &Site, arguments: &[&str]) {
    let mut dice = Dice::new(20_260_110, rounds());
    for _ in 0..rounds() {
        let running = site.run(arguments).spawn();
        thread::sleep(Duration::from_millis(dice.between(100, 2000).into()));
        running.kill();
    }
    report(&site.run(arguments).run(), 0);
}

/// The files of a folder that a reader's glob finds: hidden folders too, as that of `DuckDB`, but by the suffixes of data. One that
/// goes before it is read was taken back.
fn on_disk(lake: &Path) -> Vec<(String, Vec<u8>)> {
    let suffixes = [".parquet", ".csv", ".jsonl.zst", "files.json"];
    let names = files(lake).into_iter().filter(|name| suffixes.iter().any(|suffix| name.ends_with(suffix)));
    names.filter_map(|name| fs::read(&name).ok().map(|bytes| (name, bytes))).collect()
}

#[test]
fn no_reader_of_a_folder_sees_a_torn_file_while_runs_are_killed() {
    let site = site();
    let lake = site.lake();
    let reader = Reader::start(move || on_disk(&lake));
    disturb(&site, &[]);
    assert!(reader.stop() > 10);
}

#[test]
fn no_reader_of_a_bucket_sees_a_torn_file_while_runs_are_killed() {
    let s3 = Arc::new(S3::start());
    let site = site().in_bucket(Arc::clone(&s3));
    let reader = Reader::start(move || s3.present("0/data").into_iter().collect());
    disturb(&site, &["--lease-ttl", "1s"]);
    assert!(reader.stop() > 10);
}
