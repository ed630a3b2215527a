//! The metrics: what ended runs add up to, and how things stand at a scrape. `docs/metrics.md` lists their names, and a test compares.
//!
//! Labels are names of pipelines, jobs and sinks, which the files of the folder bound, and words of fixed lists. Nothing that comes from
//! data becomes a label.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::exposition::{Exposition, plain};
use super::health::Health;
use super::known::Known;
use crate::model::{DeliveryReport, Exit, JobReport, PipelineName, RowCounts, RunEnd, SliceOutcome, Verdict};
use crate::pipeline::spec::Pipeline;
use crate::schedule::{Event, Skip, View};

/// The upper bounds of the histogram of durations, in seconds: from a second to half a day.
const DURATIONS: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 43_200.0];

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;
type Instants = Family<Labels, Gauge<f64, AtomicU64>>;

/// Counts what happened since the process began.
#[derive(Debug, Clone)]
pub struct Metrics {
    runs: Counters,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    skipped: Counters,
    slices: Counters,
    verdicts: Counters,
    rows: Counters,
    landed: Counters,
    pages: Counters,
    written: Counters,
    requests: Counters,
    retries: Counters,
    received: Counters,
    stages: Family<Labels, Counter<f64, AtomicU64>>,
    delivered: Counters,
    maybe_sent: Counters,
    undelivered: Gauges,
    broken_deliveries: Counters,
}

/// A pipeline at the moment of a scrape.
#[derive(Debug)]
pub struct Stands<'s> {
    /// The pipeline.
    pub pipeline: &'s PipelineName,
    /// Its file; none where that can't be used.
    pub spec: Option<&'s Pipeline>,
    /// What its ledger says.
    pub known: &'s Known,
    /// Its last runs of this process, the newest first: one that failed before it had the lease isn't in the ledger.
    pub ends: Vec<&'s RunEnd>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS);
        Self {
            runs: Family::default(),
            durations: Family::new_with_constructor(histogram),
            skipped: Family::default(),
            slices: Family::default(),
            verdicts: Family::default(),
            rows: Family::default(),
            landed: Family::default(),
            pages: Family::default(),
            written: Family::default(),
            requests: Family::default(),
            retries: Family::default(),
            received: Family::default(),
            stages: Family::default(),
            delivered: Family::default(),
            maybe_sent: Family::default(),
            undelivered: Family::default(),
            broken_deliveries: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts what the daemon tells.
    pub fn hear(&self, event: &Event) {
        match event {
            Event::Loaded { pipeline, .. } => self.begin(pipeline),
            Event::Ended(end) => self.ended(end),
            Event::Skipped(pipeline, _, why) => {
                self.skipped.get_or_create(&of(pipeline, "reason", word(*why))).inc();
            }
            _ => {}
        }
    }

    /// Has a pipeline's counters begin at zero, so that the first increase is one.
    fn begin(&self, pipeline: &PipelineName) {
        for exit in Exit::ALL {
            self.runs.get_or_create(&of(pipeline, "exit_code", &exit.code().to_string())).inc_by(0);
        }
        for why in [Skip::Overlap, Skip::Paused, Skip::Missed] {
            self.skipped.get_or_create(&of(pipeline, "reason", word(why))).inc_by(0);
        }
    }

    /// Counts a run that has ended.
    pub fn ended(&self, end: &RunEnd) {
        let pipeline = &end.pipeline;
        self.begin(pipeline);
        self.runs.get_or_create(&of(pipeline, "exit_code", &end.exit_code.code().to_string())).inc();
        let seconds = (end.ended - end.started).as_seconds_f64().max(0.0);
        self.durations.get_or_create(&vec![("pipeline", pipeline.to_string())]).observe(seconds);
        let Some(report) = &end.report else { return };
        self.requests.get_or_create(&vec![("pipeline", pipeline.to_string())]).inc_by(report.requests);
        for job in &report.jobs {
            self.job(pipeline, job);
        }
        for delivery in &report.deliveries {
            self.delivery(pipeline, delivery);
        }
    }

    fn delivery(&self, pipeline: &PipelineName, delivery: &DeliveryReport) {
        let DeliveryReport { job, sink, counts, error, .. } = delivery;
        let labels = vec![("pipeline", pipeline.to_string()), ("job", job.to_string()), ("sink", sink.to_string())];
        let fates =
            [("sent", counts.sent), ("found", counts.found), ("refused", counts.refused), ("known", counts.known)];
        for (fate, rows) in fates {
            let labels = [labels.clone(), vec![("fate", fate.to_owned())]].concat();
            self.delivered.get_or_create(&labels).inc_by(rows);
        }
        self.maybe_sent.get_or_create(&labels).inc_by(counts.maybe_sent);
        self.undelivered.get_or_create(&labels).set(i64::try_from(counts.left).unwrap_or(i64::MAX));
        self.broken_deliveries.get_or_create(&labels).inc_by(u64::from(error.is_some()));
    }

    fn job(&self, pipeline: &PipelineName, job: &JobReport) {
        let labels = vec![("pipeline", pipeline.to_string()), ("job", job.job.to_string())];
        let with = |name: &'static str, value: &str| [labels.clone(), vec![(name, value.to_owned())]].concat();
        let failed = |outcome: &SliceOutcome| matches!(outcome, SliceOutcome::Failed { .. });
        for (outcome, count) in [
            ("landed", job.count(|outcome| *outcome == SliceOutcome::Landed)),
            ("unchanged", job.count(|outcome| *outcome == SliceOutcome::Unchanged)),
            ("failed", job.count(failed) + usize::from(job.error.is_some())),
        ] {
            self.slices.get_or_create(&with("outcome", outcome)).inc_by(count as u64);
        }
        for slice in &job.slices {
            if let Some(found) = &slice.reconciliation {
                self.verdicts.get_or_create(&with("verdict", verdict(found.verdict))).inc();
            }
        }
        for (fate, count) in fates(&job.rows()) {
            self.rows.get_or_create(&with("fate", fate)).inc_by(count);
        }
        let sinks = job.sinks();
        self.landed.get_or_create(&labels).inc_by(sinks.landed);
        self.written.get_or_create(&labels).inc_by(sinks.bytes);
        let fetched = job.fetched();
        self.pages.get_or_create(&labels).inc_by(fetched.pages);
        self.retries.get_or_create(&labels).inc_by(fetched.retries);
        self.received.get_or_create(&labels).inc_by(fetched.bytes);
        let took = job.took();
        for (stage, ms) in [("read", took.read_ms), ("write", took.write_ms), ("commit", took.commit_ms)] {
            #[expect(clippy::cast_precision_loss, reason = "no stage takes 2^53 milliseconds")]
            self.stages.get_or_create(&with("stage", stage)).inc_by(ms as f64 / 1000.0);
        }
    }

    /// Returns all metrics as text: counters, what the ledgers say, and where there is a daemon, how it stands.
    ///
    /// # Errors
    /// None but of formatting.
    pub fn render(
        &self,
        stands: &[Stands<'_>],
        view: Option<&View>,
        exposition: Exposition,
    ) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("tidegate");
        registry.register(
            "build",
            "The version of the program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned())]),
        );
        self.register(&mut registry);
        of_ledgers(stands, &mut registry);
        if let Some(view) = view {
            of_daemon(view, &mut registry);
        }
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(match exposition {
            Exposition::OpenMetrics => text,
            Exposition::Plain => plain(&text),
        })
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("runs", "Runs that ended, by exit code", self.runs.clone());
        registry.register("skipped_runs", "Instants of a schedule that weren't run, and why", self.skipped.clone());
        let help = "How long runs took";
        registry.register_with_unit("run_duration", help, Unit::Seconds, self.durations.clone());
        registry.register(
            "slices",
            "Slices that ended, by outcome; a job that failed as a whole is one",
            self.slices.clone(),
        );
        registry.register("verdicts", "What the reading of slices proved", self.verdicts.clone());
        registry.register("rows", "Rows received, by what became of them", self.rows.clone());
        registry.register("landed_rows", "Rows written to files, of each sink", self.landed.clone());
        registry.register("pages", "Pages that were answered", self.pages.clone());
        registry.register("retries", "Tries of pages beyond the first", self.retries.clone());
        registry.register_with_unit("received", "Bodies of answers, decompressed", Unit::Bytes, self.received.clone());
        let stages = "How long the stages of slices took, those side by side added up";
        registry.register_with_unit("stage_duration", stages, Unit::Seconds, self.stages.clone());
        registry.register_with_unit("written", "Written to files", Unit::Bytes, self.written.clone());
        registry.register("requests", "Requests sent, retries included, logins not", self.requests.clone());
        let delivered = "Rows of sinks that send, by what became of them";
        registry.register("delivered_rows", delivered, self.delivered.clone());
        registry.register(
            "maybe_sent_rows",
            "Rows that were sent again and may be there twice",
            self.maybe_sent.clone(),
        );
        registry.register(
            "undelivered_rows",
            "Rows still to be sent when the last run ended",
            self.undelivered.clone(),
        );
        let broken = "Deliveries that stopped before their end";
        registry.register("failed_deliveries", broken, self.broken_deliveries.clone());
    }
}

fn of_ledgers(stands: &[Stands<'_>], registry: &mut Registry) {
    let (last, success, failed) = (Instants::default(), Instants::default(), Gauges::default());
    let (missing, overdue, held) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (doubtful, readable, refused) = (Gauges::default(), Gauges::default(), Gauges::default());
    for Stands { pipeline, spec, known, ends } in stands {
        let labels = vec![("pipeline", pipeline.to_string())];
        readable.get_or_create(&labels).set(i64::from(known.error.is_none()));
        let health = Health::of(*spec, known, ends.iter().copied());
        if let Some(at) = health.last {
            last.get_or_create(&labels).set(seconds(at));
        }
        if health.last.is_some() || !health.failures.is_empty() {
            failed.get_or_create(&labels).set(i64::from(!health.failures.is_empty()));
        }
        if let Some(at) = health.success {
            success.get_or_create(&labels).set(seconds(at));
        }
        let sinks = spec
            .iter()
            .flat_map(|spec| &spec.jobs)
            .flat_map(|job| job.outboxes.iter().map(move |outbox| (job, outbox)));
        for (job, outbox) in sinks {
            let of_it = health.refused.iter().find(|(of, sink, _)| *of == job.name && *sink == outbox.name);
            let rows = of_it.map_or(0, |(.., rows)| *rows);
            let labels =
                [labels.clone(), vec![("job", job.name.to_string()), ("sink", outbox.name.to_string())]].concat();
            refused.get_or_create(&labels).set(i64::try_from(rows).unwrap_or(i64::MAX));
        }
        let mut jobs: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for chain in &known.chains {
            let sum = jobs.entry(chain.standing.job.as_str()).or_default();
            let counts = [chain.missing, chain.overdue, chain.standing.quarantined, chain.standing.short];
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for (job, counts) in jobs {
            let labels = [labels.clone(), vec![("job", job.to_owned())]].concat();
            for (gauge, count) in [&missing, &overdue, &held, &doubtful].into_iter().zip(counts) {
                gauge.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
    registry.register("ledger_readable", "Whether the ledger could be read", readable);
    registry.register_with_unit("last_run_timestamp", "When the last run ended, by the ledger", Unit::Seconds, last);
    let success_help = "Since when all jobs have landed what was due: when the one that did so first last ended well";
    registry.register_with_unit("last_success_timestamp", success_help, Unit::Seconds, success);
    registry.register("last_run_failed", "Whether something that a run left undone hasn't been made good", failed);
    registry.register("missing_windows", "Windows that have ended and haven't landed", missing);
    registry.register("overdue_windows", "Windows that were due at the last run and haven't landed", overdue);
    registry.register("quarantined_slices", "Landed slices with rows in quarantine", held);
    registry.register("doubtful_slices", "Landed slices that weren't as the server stated", doubtful);
    registry.register(
        "refused_rows",
        "Rows that a sink's server refused for good, and that wait for a person",
        refused,
    );
}

fn of_daemon(view: &View, registry: &mut Registry) {
    let (running, waiting, paused) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (trouble, next, refused) = (Gauges::default(), Instants::default(), Gauge::<i64>::default());
    for pipeline in &view.pipelines {
        let labels = vec![("pipeline", pipeline.pipeline.name.to_string())];
        let held_up = pipeline.running.as_ref().is_some_and(|run| run.progress.waits_for().is_some());
        running.get_or_create(&labels).set(i64::from(pipeline.running.is_some() && !held_up));
        waiting.get_or_create(&labels).set(i64::from(pipeline.waiting || pipeline.queued.is_some() || held_up));
        paused.get_or_create(&labels).set(i64::from(pipeline.paused.is_some()));
        trouble.get_or_create(&labels).set(i64::from(pipeline.trouble.is_some()));
        if let Some(at) = pipeline.next {
            next.get_or_create(&labels).set(seconds(at));
        }
    }
    refused.set(i64::try_from(view.refused.len()).unwrap_or(i64::MAX));
    let folder = Gauge::<i64>::default();
    folder.set(i64::from(view.unread.is_none()));
    let beat = Gauge::<f64, AtomicU64>::default();
    beat.set(view.at.map_or(0.0, seconds));
    registry.register("running", "Whether a run goes on", running);
    registry.register("waiting", "Whether a run waits for its turn", waiting);
    registry.register("paused", "Whether the pipeline is paused", paused);
    registry.register("schedule_trouble", "Whether the schedule waits for its ledger", trouble);
    registry.register_with_unit("next_run_timestamp", "When the next run begins by schedule", Unit::Seconds, next);
    registry.register("refused_files", "Pipeline files that can't be used", refused);
    registry.register("folder_readable", "Whether the folder of the pipeline files could be read", folder);
    registry.register_with_unit("heartbeat_timestamp", "When the daemon last looked around", Unit::Seconds, beat);
}

fn of(pipeline: &PipelineName, name: &'static str, value: &str) -> Labels {
    vec![("pipeline", pipeline.to_string()), (name, value.to_owned())]
}

fn seconds(at: DateTime<Utc>) -> f64 {
    (at - DateTime::UNIX_EPOCH).as_seconds_f64()
}

const fn word(why: Skip) -> &'static str {
    match why {
        Skip::Overlap => "overlap",
        Skip::Paused => "paused",
        Skip::Missed => "missed",
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Complete => "complete",
        Verdict::Unknown => "unknown",
        Verdict::Moving => "moving",
        Verdict::Short => "short",
        Verdict::Over => "over",
    }
}

const fn fates(rows: &RowCounts) -> [(&'static str, u64); 6] {
    [
        ("decoded", rows.decoded),
        ("quarantined", rows.quarantined),
        ("outside_window", rows.outside_window),
        ("deduplicated", rows.deduplicated),
        ("read_again", rows.read_again),
        ("refused", rows.refused),
    ]
}
