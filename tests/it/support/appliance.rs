//! A simulated appliance on a loopback port, in this process, and `tidegate run` against a simulated ntopng.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use tidegate::appliance::ntopng::{Ntopng, NtopngConfig};
use tidegate::appliance::server::{self, Appliance, Service};
use tidegate::clock::{Clock as _, ManualClock};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::s3::S3;
use super::workspace::{Outcome, Run, Workspace};

/// The pipeline that is shipped, letter for letter.
pub(crate) const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/ntopng.yaml");

/// How long something may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a loopback port. It ends with the value.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where it answers, such as `http://127.0.0.1:40000`.
    pub(crate) url: String,
    stop: CancellationToken,
    _runtime: Runtime,
}

impl Served {
    /// Serves what `serve` serves, until told to stop.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl FnOnce(TcpListener, CancellationToken) -> F,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        runtime.spawn(serve(listener, stop.clone()));
        Self { url, stop, _runtime: runtime }
    }

    /// Serves an appliance of the test's own.
    pub(crate) fn appliance<A: Appliance>(appliance: A) -> Self {
        let workers = Arc::new(Semaphore::new(5));
        let service = Service { workers, latency: Duration::ZERO, faults: Arc::default() };
        Self::start(|listener, stop| server::serve(Arc::new(appliance), listener, service, stop))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A simulated ntopng, and a folder for the lake and the state of a pipeline that exports it.
#[derive(Debug)]
pub(crate) struct Site {
    /// The appliance, which knows the truth.
    pub(crate) ntopng: Arc<Ntopng>,
    /// The folder.
    pub(crate) workspace: Workspace,
    clock: Arc<ManualClock>,
    served: Served,
    pipeline: PathBuf,
    start: String,
    /// The bucket that its state and its lake lie in, and the number of the folder there.
    bucket: Option<(Arc<S3>, u32)>,
}

impl Site {
    /// Starts an appliance whose clock stands at `now`, for the pipeline that is shipped; its windows begin at `start`.
    pub(crate) fn new(config: NtopngConfig, now: &str, start: &str) -> Self {
        let clock = Arc::new(ManualClock::new(now.parse().unwrap()));
        let ntopng = Ntopng::new(config, clock.clone());
        let served = Served::start(|listener, stop| Arc::clone(&ntopng).serve(listener, stop));
        let (workspace, pipeline, start) = (Workspace::new(), PathBuf::from(SHIPPED), start.to_owned());
        Self { ntopng, workspace, clock, served, pipeline, start, bucket: None }
    }

    /// Uses a copy of the shipped pipeline without its limit of 10 requests a second, and with these edits: what is replaced, and by
    /// what. A text that isn't there is a mistake of the test.
    pub(crate) fn hurried(mut self, edits: &[(&str, &str)]) -> Self {
        let mut text = fs::read_to_string(SHIPPED).unwrap();
        for (old, new) in [&[("  rate_limit: 10/s\n", "")], edits].concat() {
            assert!(text.contains(old), "the pipeline has no {old:?}");
            text = text.replace(old, new);
        }
        self.pipeline = self.workspace.write("pipeline.yaml", &text);
        self
    }

    /// Starts over with an empty folder, for the same appliance and pipeline.
    pub(crate) fn with_new_folder(self) -> Self {
        let workspace = Workspace::new();
        let mut pipeline = self.pipeline;
        if pipeline != Path::new(SHIPPED) {
            pipeline = workspace.write("pipeline.yaml", &fs::read_to_string(&pipeline).unwrap());
        }
        let bucket = self.bucket.map(|(s3, number)| (s3, number + 1));
        Self { workspace, pipeline, bucket, ..self }
    }

    /// Keeps its state and its lake in a bucket.
    pub(crate) fn in_bucket(self, s3: Arc<S3>) -> Self {
        Self { bucket: Some((s3, 0)), ..self }
    }

    /// The SHA-256 of its objects in the bucket, by key.
    pub(crate) fn bucket_digests(&self) -> BTreeMap<String, String> {
        let (s3, number) = self.bucket.as_ref().unwrap();
        s3.digests(&number.to_string())
    }

    /// Copies the lake from the bucket into a new folder, and returns that.
    pub(crate) fn fetch_lake(&self) -> PathBuf {
        let (s3, number) = self.bucket.as_ref().unwrap();
        let _ = fs::remove_dir_all(self.lake());
        s3.download(&format!("{number}/data"), &self.lake());
        self.lake()
    }

    /// The clock's present.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Moves the appliance's clock forward.
    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// The lake.
    pub(crate) fn lake(&self) -> PathBuf {
        self.workspace.path("lake")
    }

    /// A run that plans with the clock's present.
    pub(crate) fn run(&self, more: &[&str]) -> Run<'_> {
        self.run_at(self.now(), more)
    }

    /// A run that plans with `now`.
    pub(crate) fn run_at(&self, now: DateTime<Utc>, more: &[&str]) -> Run<'_> {
        let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let state = self.bucket.as_ref().map_or("state".to_owned(), |(_, number)| format!("s3://lake/{number}/state"));
        self.tidegate("run", &[&["--now", &now, "--state", &state, "--output", "json"], more].concat())
    }

    /// A verb with the pipeline file, in the environment that the file asks for.
    pub(crate) fn tidegate(&self, verb: &str, more: &[&str]) -> Run<'_> {
        let run = self.workspace.tidegate(&[&[verb, self.pipeline.to_str().unwrap()], more].concat());
        let run = run.env("NTOPNG_URL", &self.served.url).env("NTOPNG_PASSWORD", "admin");
        let run = run.env("NTOPNG_START", &self.start);
        match &self.bucket {
            Some((s3, number)) => s3.env(run).env("LAKE", format!("s3://lake/{number}/data")),
            None => run.env("LAKE", self.lake()),
        }
    }

    /// Waits until the appliance has been asked `count` times more than the `before` times.
    pub(crate) fn wait_for_requests(&self, before: u64, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.ntopng.faults().requests() < before + count {
            assert!(Instant::now() < deadline, "fewer than {count} requests in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The report of a run that ended with `code`.
pub(crate) fn report(outcome: &Outcome, code: i32) -> Value {
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:#?}"))
}

/// The slices of a job in a report of one pipeline.
pub(crate) fn slices<'a>(report: &'a Value, job: &str) -> Vec<&'a Value> {
    let jobs = report[0]["jobs"].as_array().unwrap();
    let found = jobs.iter().find(|found| found["job"] == job).unwrap_or_else(|| panic!("no job {job}: {report:#}"));
    found["slices"].as_array().unwrap().iter().collect()
}
