//! Rows that are sent: what has landed in outboxes goes out, each row once. It is a step of its own: where it fails, what has landed
//! stays landed, and the next delivery goes on from there.

mod backlog;
mod courier;
mod error;
mod outbox;
mod parcels;
mod rekey;
mod sender;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::OutboxError;
pub(super) use outbox::{OutboxRows, data_set};

use self::backlog::{Backlog, Row};
use self::courier::Courier;
use self::parcels::{Doubt, Packer, Parcel};
use self::sender::Sender;
use super::{BrokenOff, Data, Done, Env, Options, RunError, World, refused};
use crate::ledger::{DeliveryNote, DeliveryState, Lane, Ledger, LedgerState, RowKey, RowKeys, Timing};
use crate::model::{
    Asked, DeliveryCounts, DeliveryReport, DeliveryStatus, JobName, JobReport, RunReport, SinkName, Stop,
};
use crate::pipeline::spec::{Job, Outbox, Pipeline};
use crate::plan::Shard;

/// How long it may take to count what waits for a sink, once the run is told to end.
const COUNT: Duration = Duration::from_millis(500);

/// Sends what has landed in the outboxes of a pipeline, and lands nothing. With `forgive` also the rows that were refused before, and
/// those in doubt as they have landed by now.
///
/// # Errors
/// What keeps all of it from going on: the lease, the ledger, an unknown job, an interruption; with what was done by then. What stops one
/// sink is in the report.
pub async fn deliver(pipeline: &Pipeline, options: &Options, forgive: bool, env: &Env) -> Result<RunReport, BrokenOff> {
    let before = (env.clock.now(), env.bounds.sent());
    let jobs = super::named(pipeline, &options.jobs)?;
    let asked = Asked { jobs: outboxes(&jobs).map(|(job, _)| job.name.clone()).collect(), ..Asked::new("deliver") };
    let ledger = Ledger::open(&options.state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?
        .with_timing(Timing::of(options.lease_ttl))
        .asking(asked.clone());
    let data = Data::new(Arc::clone(&env.stores));
    ledger.prove(&env.stores).await?;
    let writer = tokio::select! {
        writer = ledger.acquire(Lane::WHOLE, options.wait) => writer?,
        () = env.cancel.cancelled() => return Err(RunError::Interrupted.into()),
    };
    let world = World { ledger, data, writer: writer.clone() };
    let mut done = Done::default();
    let ended = async {
        done.recovered = writer.recover(&world.data).await?;
        let sent = &mut done.deliveries;
        let delivered = Box::pin(async {
            all(pipeline, &jobs, options, forgive, env, &world, sent).await;
            Ok(())
        });
        refused::guarded(&jobs, options.retry_refused, env, &world.ledger, delivered).await?;
        if env.cancel.is_cancelled() { Err(RunError::Interrupted) } else { Ok(()) }
    };
    let ended = ended.await;
    let done = done.end(ended, &[], pipeline, options, env, before);
    super::release(pipeline, writer, super::summary(&asked, options, env, &done)).await;
    done
}

/// Says of each sink that sends which shard does it. What is sent is noted by one writer at a time, so each sink has one shard that
/// sends; and that may end before the others have landed what they read.
pub(super) fn tell_who_sends(jobs: &[&Job], shard: Shard, reports: &mut [JobReport]) {
    for (job, outbox) in outboxes(jobs).filter(|_| !shard.is_whole()) {
        let (sink, sender) = (&outbox.name, shard.sender(&job.name, &outbox.name));
        let who = if sender == shard { "this shard".to_owned() } else { format!("shard {sender}") };
        for report in reports.iter_mut().filter(|report| report.job == job.name) {
            report.warnings.push(format!(
                "rows for sink `{sink}` are sent by {who} alone, as far as they have landed by then; the next run sends the others, or \
                 `tidegate deliver`"
            ));
        }
    }
}

fn outboxes<'p>(jobs: &[&'p Job]) -> impl Iterator<Item = (&'p Job, &'p Outbox)> {
    jobs.iter().flat_map(|job| job.outboxes.iter().map(move |outbox| (*job, outbox)))
}

/// Sends what has landed in the outboxes of some jobs, in the order of the plan: of those that the shard sends for. Once the run is
/// interrupted, or its process is told to end, what waits is only counted: the next run sends it, or `deliver`.
pub(super) async fn all(
    pipeline: &Pipeline,
    jobs: &[&Job],
    options: &Options,
    forgive: bool,
    env: &Env,
    world: &World,
    reports: &mut Vec<DeliveryReport>,
) {
    let mine = |(job, outbox): &(&Job, &Outbox)| options.shard.sends(&job.name, &outbox.name);
    for (job, outbox) in outboxes(jobs).filter(mine) {
        let mut report = DeliveryReport {
            job: job.name.clone(),
            sink: outbox.name.clone(),
            counts: DeliveryCounts::default(),
            refused_so_far: None,
            gone: 0,
            error: None,
            remedy: None,
        };
        let env = Env { cancel: env.cancel.child_token(), ..env.clone() };
        if env.bounds.stop() == Some(Stop::Asked) {
            env.cancel.cancel();
        }
        let told = env.cancel.is_cancelled();
        let sending = one(pipeline, job, outbox, options, forgive && !told, &env, world, &mut report);
        let ended = if told { tokio::time::timeout(COUNT, sending).await } else { Ok(sending.await) };
        let Ok(ended) = ended else {
            let (job, sink) = (&job.name, &outbox.name);
            tracing::warn!(%job, %sink, "it isn't known how many rows wait to be sent, since the run was told to end");
            break;
        };
        if let Err(error) = ended {
            report.remedy = error.remedy();
            report.error = Some(error.chain());
        }
        tracing::info!(
            job = %report.job, sink = %report.sink, sent = report.counts.sent, found = report.counts.found,
            refused = report.counts.refused, left = report.counts.left, error = report.error, "delivery ended"
        );
        reports.push(report);
    }
}

#[expect(clippy::too_many_arguments, reason = "the world of a delivery, which has one caller")]
async fn one(
    pipeline: &Pipeline,
    job: &Job,
    outbox: &Outbox,
    options: &Options,
    forgive: bool,
    env: &Env,
    world: &World,
    report: &mut DeliveryReport,
) -> Result<(), RunError> {
    let sender = Sender::new(outbox, env)?;
    let mut log = world.writer.delivery(&job.name, &outbox.name).await?;
    let forgiven = if forgive { log.state().refused_rows().clone() } else { HashSet::new() };
    if forgive && (log.state().refused() > 0 || !log.state().in_doubt().is_empty()) {
        log.note(DeliveryNote { forgive, ..DeliveryNote::default() }).await?;
    }
    let set = data_set(&options.state, &pipeline.name, &job.name, &outbox.name);
    // What this run knows of other shards is as old as its own last entry.
    let state = world.ledger.read_state().await?;
    check_key(job, outbox, &state)?;
    let of = (&job.name, &set, &outbox.key[..]);
    // Once the run is told to end, what waits is only counted.
    if !env.cancel.is_cancelled() {
        rekey::note(&mut log, &world.ledger, world.data.sets(), of, &state).await?;
    }
    let mut backlog = Backlog::list(&world.ledger, world.data.sets(), of, &state, log.state()).await?;
    let (again, in_doubt) = in_doubt(outbox, &sender, log.state());
    backlog.stood_for = again.iter().flat_map(|parcel| parcel.keys().0).collect();
    let mut courier = Courier {
        outbox,
        sender: &sender,
        writer: &world.writer,
        cancel: &env.cancel,
        name: file_stem(pipeline, job, outbox),
        packer: Packer::new(outbox.batch, in_doubt),
        log,
        backlog,
        stand_ins: again.iter().map(|parcel| parcel.rows.len() as u64).sum(),
        again,
        note: DeliveryNote::default(),
        refused: Vec::new(),
        unmade: Vec::new(),
        has_made: false,
        counts: DeliveryCounts::default(),
        dropped: 0,
        pause: Duration::ZERO,
        doubted: Instant::now(),
        stopped: None,
    };
    let ended = courier.deliver().await;
    report.refused_so_far = Some(courier.log.state().refused());
    if ended.is_ok() && courier.stopped.is_none() && !env.cancel.is_cancelled() {
        report.gone = courier.backlog.without(&forgiven);
    }
    report.error = courier.stopped.take().map(|error| sender.redactor().scrub(&error));
    match (courier.count(), ended) {
        (Ok(counts), ended) => {
            report.counts = counts;
            ended
        }
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
    }
}

/// Returns the requests in doubt that are sent again as they were, since the server knows them then; and the others.
fn in_doubt(outbox: &Outbox, sender: &Sender, state: &DeliveryState) -> (VecDeque<Parcel>, Vec<Doubt>) {
    let (mut again, mut others) = (VecDeque::new(), Vec::new());
    for keys in state.in_doubt() {
        let Some(kept) = state.kept(keys) else {
            others.push(Doubt { keys: keys.clone(), mark: None });
            continue;
        };
        let rows = keys.0.iter().zip(&kept.rows).map(|(key, value)| Row { key: *key, value: value.clone() });
        let rows: Vec<Row> = rows.collect();
        let mark = Some(kept.mark.clone());
        let is_whole = rows.len() == keys.0.len() && (rows.len() == 1 || outbox.batch.is_some());
        // By another header, or another template of its value, the server doesn't know it.
        if is_whole && sender.make(&rows).is_ok_and(|made| made.mark == mark) {
            again.push_back(Parcel::doubtful(rows, mark));
        } else {
            others.push(Doubt { keys: keys.clone(), mark });
        }
    }
    (again, others)
}

/// Returns the jobs all of whose sinks that send are as they were when data landed.
pub(super) fn as_landed<'p>(jobs: &[&'p Job], state: &LedgerState) -> Vec<&'p Job> {
    let is_as_landed = |job: &&&Job| job.outboxes.iter().all(|outbox| check_key(job, outbox, state).is_ok());
    jobs.iter().filter(is_as_landed).copied().collect()
}

/// Refuses a sink that knows rows by other columns than those that have landed were meant to be known by: all would be sent again.
fn check_key(job: &Job, outbox: &Outbox, state: &LedgerState) -> Result<(), OutboxError> {
    let Some(landed) = state.fingerprint(&job.name).filter(|_| state.has_data(&job.name)) else { return Ok(()) };
    let now = format!("the `key` of sink `{}` is {}", outbox.name, outbox.key.join(", "));
    match super::fingerprint::sender_key(landed, &outbox.name) {
        Some(key) if key == outbox.key => Ok(()),
        Some(key) => Err(OutboxError::Edited { landed: format!("a `key` of {}", key.join(", ")), now }),
        None => {
            Err(OutboxError::Edited { landed: "other sinks".to_owned(), now: format!("sink `{}` is new", outbox.name) })
        }
    }
}

/// Returns what the names of files begin with in which rows lie that a sink refused.
pub(super) fn file_stem(pipeline: &Pipeline, job: &Job, outbox: &Outbox) -> String {
    format!("{}-{}-{}", pipeline.name, job.name, outbox.name)
}

/// Counts the rows that have landed for a sink that sent, and were neither sent nor refused. `key` are the columns that it knows them by.
///
/// # Errors
/// A ledger or an outbox that can't be read.
pub(super) async fn unsent(
    (pipeline, job, sink): (&Pipeline, &JobName, &SinkName),
    key: &[String],
    state: &str,
    ledger: &Ledger,
    data: &Data,
) -> Result<u64, RunError> {
    let (landed, delivered) = (ledger.read_state().await?, ledger.delivery(job, sink).await?);
    let set = data_set(state, &pipeline.name, job, sink);
    let backlog = Backlog::list(ledger, data.sets(), (job, &set, key), &landed, &delivered).await?;
    Ok(backlog.keys(&delivered).await?.len() as u64)
}

/// Tells how far the sinks of a pipeline that send have come.
///
/// # Errors
/// A ledger or an outbox that can't be read.
pub async fn deliveries(pipeline: &Pipeline, state: &str, env: &Env) -> Result<Vec<DeliveryStatus>, RunError> {
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let (landed, data) = (ledger.read_state().await?, Data::new(Arc::clone(&env.stores)));
    let mut all = Vec::new();
    for (job, outbox) in pipeline.jobs.iter().flat_map(|job| job.outboxes.iter().map(move |outbox| (job, outbox))) {
        let delivered = ledger.delivery(&job.name, &outbox.name).await?;
        let set = data_set(state, &pipeline.name, &job.name, &outbox.name);
        let of = (&job.name, &set, &outbox.key[..]);
        let backlog = Backlog::list(&ledger, data.sets(), of, &landed, &delivered).await?;
        let mut pending = backlog.keys(&delivered).await?;
        if outbox.idempotency_header.is_some() {
            let is_kept = |request: &&RowKeys| delivered.kept(request).is_some_and(|kept| !kept.rows.is_empty());
            pending.extend(delivered.in_doubt().iter().filter(is_kept).flat_map(|request| &request.0));
        }
        let in_doubt = delivered.in_doubt().iter().flat_map(|request| &request.0);
        all.push(DeliveryStatus {
            job: job.name.clone(),
            sink: outbox.name.clone(),
            pending: pending.len() as u64,
            sent: delivered.sent(),
            refused: delivered.refused(),
            maybe_sent: delivered.maybe_sent(),
            in_doubt: in_doubt.filter(|key| pending.contains(key)).count() as u64,
        });
    }
    Ok(all)
}

/// Shows what each sink of a job that sends would send of some rows; the first request, redacted.
pub(super) fn shown(
    job: &Job,
    batches: &[arrow::array::RecordBatch],
    now: chrono::DateTime<chrono::Utc>,
    env: &Env,
) -> Result<Vec<super::PreviewDelivery>, RunError> {
    let request = |outbox: &Outbox| {
        let in_sink = |error| RunError::InSink { sink: outbox.name.clone(), source: Box::new(error) };
        shown_of(outbox, batches, now, env).map_err(in_sink)
    };
    job.outboxes.iter().map(request).collect()
}

fn shown_of(
    outbox: &Outbox,
    batches: &[arrow::array::RecordBatch],
    now: chrono::DateTime<chrono::Utc>,
    env: &Env,
) -> Result<super::PreviewDelivery, RunError> {
    let sender = Sender::new(outbox, env)?;
    let most = outbox.batch.map_or(1, |rows| rows as usize);
    let (mut rows, mut count) = (Vec::new(), 0);
    for batch in batches {
        let (first, taken) = outbox::first_rows(outbox, batch, now, most - rows.len())?;
        rows.extend(first);
        count += taken;
    }
    let rows: Vec<Row> = rows.into_iter().map(|value| Row { key: key_of(&value, &outbox.key), value }).collect();
    let request = if rows.is_empty() { None } else { Some(sender.redactor().scrub(&sender.render(&rows)?.shown())) };
    Ok(super::PreviewDelivery { sink: outbox.name.clone(), rows: count, request })
}

/// Returns the key of a row that is shown. As rows that wait have it: the JSON text of each value.
fn key_of(row: &serde_json::Value, key: &[String]) -> RowKey {
    let values: Vec<String> = key.iter().map(|column| row[column.as_str()].to_string()).collect();
    RowKey::of(values.iter().map(String::as_str))
}
