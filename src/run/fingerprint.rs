//! What names a job's data: an edit of it would leave a lake whose files no longer mean what the pipeline file says.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::edit::Edit;
use super::edit_error::EditError;
use super::{RunError, hidden};
use crate::lang::{Selector, spell};
use crate::ledger::{Accept, LedgerState};
use crate::model::{FanoutKey, SinkName, SliceKind};
use crate::objects;
use crate::pipeline::file::Compression;
use crate::pipeline::load::Sql;
use crate::pipeline::spec::{Job, Sink, SinkFormat, Slicing};
use crate::plan;

/// Returns the fingerprint of a job, part by part, so that a difference can be named.
pub(super) fn of(job: &Job) -> Value {
    let mut parts = Map::new();
    let mut part = |name: &str, value: Value| parts.insert(name.to_owned(), value);
    part("for_each.key", json!(job.for_each.as_ref().map(|for_each| &for_each.key)));
    part("key", json!(job.key));
    let (source, path) = (&job.source, &job.request.path);
    part("base_url", json!(hidden::marked_url(&system(&source.base_url), source)));
    part("path", json!(hidden::marked(path.as_str(), path.looked_up().map(|(_, value)| value))));
    part("records", json!(records(&job.records)));
    part("latest_by", json!(job.latest_by.as_ref().map(Sql::as_str)));
    part("transform", json!(job.transform.as_ref().map(Sql::as_str)));
    match &job.slicing {
        Slicing::Parent => {}
        Slicing::Window(spec) => {
            part("window.every", json!(spec.every.as_secs_f64()));
            part("window.time", json!(spec.time.as_ref().map(Sql::as_str)));
        }
        Slicing::Incremental(spec) => {
            part("incremental.cursor", json!(spec.cursor.as_str()));
        }
        Slicing::Snapshot(mode) => {
            part("snapshot", json!(format!("{mode:?}").to_lowercase()));
        }
    }
    for sink in &job.sinks {
        part(&format!("sinks.{}.url", sink.name), json!(absolute(&sink.url)));
        part(&format!("sinks.{}.partition_by", sink.name), json!(sink.partition_by));
        part(&format!("sinks.{}.format", sink.name), json!(extension(sink)));
        part(&format!("sinks.{}.where", sink.name), json!(sink.filter.as_ref().map(Sql::as_str)));
    }
    for outbox in &job.outboxes {
        part(&format!("sinks.{}.key", outbox.name), json!(outbox.key));
        part(&format!("sinks.{}.where", outbox.name), json!(outbox.filter.as_ref().map(Sql::as_str)));
    }
    Value::Object(parts)
}

/// Returns the columns by which a sink that sends knew its rows, as a fingerprint has it.
pub(super) fn sender_key(fingerprint: &Value, sink: &SinkName) -> Option<Vec<String>> {
    let columns = fingerprint.get(format!("sinks.{sink}.key"))?.as_array()?;
    Some(columns.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// What becomes of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// What becomes of what has landed.
    pub(super) how: Accept,
    /// Where fan-out values that have landed nothing begin.
    pub(super) since: Option<DateTime<Utc>>,
    /// Whether a sink was removed.
    pub(super) leaves: bool,
    /// Sinks that were removed and sent.
    pub(super) gone_senders: Vec<String>,
    /// What a person should know.
    pub(super) note: String,
}

/// Compares a job with the one that data have landed under, and decides; none where nothing has landed, or nothing was edited.
///
/// # Errors
/// As [`decide`].
pub(super) fn look(
    job: &Job,
    now: &Value,
    accept: Option<Accept>,
    state: &LedgerState,
) -> Result<Option<Decision>, RunError> {
    // As long as nothing has landed an edit leaves nothing behind: most jobs fail a few times before they are right.
    let Some(landed) = state.fingerprint(&job.name).filter(|_| state.has_data(&job.name)) else { return Ok(None) };
    decide(job, &Edit::of(landed, now), accept, state)
}

/// Decides on an edit of a job that data have landed of. `accept` is what the user said; none where nothing is to be noted.
///
/// # Errors
/// An edit that wasn't accepted, or can't be accepted in that way.
pub(super) fn decide(
    job: &Job,
    edit: &Edit,
    accept: Option<Accept>,
    state: &LedgerState,
) -> Result<Option<Decision>, RunError> {
    let what = || match edit.text() {
        _ if edit.is_empty() => "it was cut otherwise before".to_owned(),
        text if text.is_empty() => of_sinks(edit, true).trim_end_matches("; ").to_owned(),
        text => text,
    };
    let refuse = |why: &str| EditError::NotAccepted {
        job: job.name.clone(),
        what: what(),
        why: why.to_owned(),
        lines: edit.lines(),
    };
    let (leaves, gone_senders) = (!edit.removed.is_empty(), edit.gone_senders.clone());
    if edit.is_empty() {
        if accept != Some(Accept::Future) || !state.relands(&job.name) {
            return Ok(None);
        }
        let (how, after) = given_up(job, state).map_err(|why| refuse(&why))?;
        future(job, edit, &after).map_err(|why| refuse(&why))?;
        let note =
            format!("what was to be read again and hasn't been stays as it has landed{}", takes_over(job, &after));
        return Ok(Some(Decision { how, since: None, leaves, gone_senders, note }));
    }
    let past = has_past_snapshots(job, state);
    let anyway = !past && !edit.changes.is_empty() && edit.is_replaced_anyway(job);
    // Windows in which nothing was found may have been asked for in the wrong way.
    let has_nothing = !past && !edit.changes.is_empty() && !state.has_rows(&job.name);
    let accept = accept.or((anyway || has_nothing).then_some(Accept::Reland));
    if accept.is_none() {
        needs_no_word(job, edit, past)?;
    }
    let concerns_nothing_landed = match accept {
        None => edit.added.is_empty() || past,
        // That a sink is gone is no reason to stop what goes on: who wants that says so when there is no edit.
        Some(Accept::Future) => edit.added.is_empty(),
        Some(_) => false,
    };
    if edit.changes.is_empty() && concerns_nothing_landed {
        let mut note = of_sinks(edit, past).trim_end_matches("; ").to_owned();
        if accept.is_some() && state.relands(&job.name) {
            note +=
                "; what was to be read again still is: say `--accept future` once more, and it stays as it has landed";
        }
        return Ok(Some(Decision { how: Accept::Sinks, since: None, leaves, gone_senders, note }));
    }
    if accept == Some(Accept::Future) {
        let (how, since, note) = for_future(job, edit, state).map_err(|why| refuse(&why))?;
        return Ok(Some(Decision { how, since, leaves, gone_senders, note }));
    }
    if past {
        return Err(refuse(if edit.cuts_otherwise() { NO_WAY } else { FUTURE_ALONE }).into());
    }
    let anew = edit.renames_slices() || edit.changes("snapshot") || matches!(job.slicing, Slicing::Incremental(_));
    let (how, what) = if anew {
        (Accept::Restart, "all of it is read anew, and what has landed stays until that covers it")
    } else {
        (Accept::Reland, "what has landed is read again, slice by slice, and replaced")
    };
    Ok(Some(Decision { how, since: None, leaves, gone_senders, note: format!("{}{what}", of_sinks(edit, false)) }))
}

/// Says how an edit applies to the future alone, from where on, and what of that a person should know.
///
/// # Errors
/// It can't.
fn for_future(job: &Job, edit: &Edit, state: &LedgerState) -> Result<(Accept, Option<DateTime<Utc>>, String), String> {
    let (how, after) = given_up(job, state)?;
    let since = future(job, edit, &after)?;
    let given_up = if state.relands(&job.name) { "; what was to be read again isn't any more" } else { "" };
    let (sinks, over) = (of_sinks(edit, true), takes_over(job, &after));
    let note = format!("{sinks}what has landed stays, and the edit applies to what lands from now on{given_up}{over}");
    Ok((how, since, note))
}

/// Refuses an edit of what rows are, and a new sink that sends: somebody must say what becomes of what has landed.
fn needs_no_word(job: &Job, edit: &Edit, past: bool) -> Result<(), EditError> {
    if !edit.changes.is_empty() {
        return Err(EditError::Renamed { job: job.name.clone(), what: edit.text(), lines: edit.lines() });
    }
    if edit.new_senders.is_empty() {
        return Ok(());
    }
    let gone = &edit.gone_senders;
    let renamed = if gone.is_empty() {
        String::new()
    } else {
        let gone = names(gone);
        format!(
            "; what was sent as {gone} isn't known under another name: a sink that was renamed needs its old one back"
        )
    };
    Err(EditError::NewSender { job: job.name.clone(), sinks: names(&edit.new_senders), past, renamed })
}

const FUTURE_ALONE: &str = "a list of the past can't be read again: use `--accept future`";

/// What is left to do where lists of the past have landed, and the job is cut otherwise now.
const NO_WAY: &str = "lists of the past can't be read again, and by the new cut their rows would land once more: give the job another name, and \
                      its sinks another `url`";

/// Returns how an edit for the future is noted, and what has landed then: where all is being read anew since the job was cut otherwise, that
/// is given up.
///
/// # Errors
/// It can't be given up: only windows can be taken back, and only under the columns of the fan-out that they have landed under.
fn given_up<'s>(job: &Job, state: &'s LedgerState) -> Result<(Accept, Cow<'s, LedgerState>), String> {
    let mut outdated = state.outdated(&job.name).peekable();
    if outdated.peek().is_none() {
        return Ok((Accept::Future, Cow::Borrowed(state)));
    }
    let refuse = || {
        "part of it has been read anew since, and it isn't known how to go on from what had landed before: run without `--accept` until \
         nothing is left, with `--allow-shrink` where the source has fewer rows by now"
            .to_owned()
    };
    let columns = state.fingerprint(&job.name).and_then(|landed| landed.get("for_each.key"));
    let columns: BTreeSet<&str> =
        columns.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let is_like = |key: Option<FanoutKey>| {
        let names = key.map(|key| key.names()).unwrap_or_default();
        names.iter().map(String::as_str).collect::<BTreeSet<_>>() == columns
    };
    if !matches!(job.slicing, Slicing::Window(_)) || !outdated.all(|(at, _)| is_like(at.key)) {
        return Err(refuse());
    }
    let after = state.accepted(&job.name, Accept::GiveUp, None)?;
    Ok((Accept::GiveUp, Cow::Owned(after)))
}

/// Tells whether an edit may apply to the future alone, and from where on values that have landed nothing are then read.
fn future(job: &Job, edit: &Edit, state: &LedgerState) -> Result<Option<DateTime<Utc>>, String> {
    // A list of another instant lies beside those that landed, in a partition of its own; rows that landed by windows it has once more.
    let are_lists = matches!(job.slicing, Slicing::Snapshot(_)) && has_lists_alone(job, state);
    if edit.cuts_otherwise() && !are_lists && has_past_snapshots(job, state) {
        return Err(NO_WAY.to_owned());
    }
    if edit.cuts_otherwise() && !are_lists {
        return Err("it isn't known where what has landed ends by the new cut, so rows would land twice or never: use `--accept \
                    reland`, or give the job another name, and its sinks another `url`"
            .to_owned());
    }
    if let (Slicing::Window(spec), Some(grid)) = (&job.slicing, grid_of(job)) {
        let mut landed = last_stretches(job, state);
        if landed.clone().any(|last| plan::takes_over(grid, last).is_none()) {
            return Err(format!(
                "a grid of {} has no common edge with what has landed: use `--accept reland`",
                spell(spec.every)
            ));
        }
        if edit.changes("for_each.key") {
            let Some(first) = landed.next() else { return Ok(None) };
            if edit.changes("window.every") || landed.any(|last| last.window.to != first.window.to) {
                return Err(
                    "the new values begin where the old ones end, which must be at one instant for all and by one \
                            `every`: run once without the edit, until nothing is due"
                        .to_owned(),
                );
            }
            return Ok(Some(first.window.to));
        }
    } else if edit.changes("for_each.key") && matches!(job.slicing, Slicing::Incremental(_)) {
        return Err("the new values have no cursor to go on from, so all rows would land twice: use `--accept reland`"
            .to_owned());
    }
    Ok(None)
}

/// Says where a new grid takes over, where that isn't right after what has landed.
fn takes_over(job: &Job, state: &LedgerState) -> String {
    let Some(grid) = grid_of(job) else { return String::new() };
    let over =
        last_stretches(job, state).filter(|last| last.grid != grid).filter_map(|last| plan::takes_over(grid, last));
    over.max()
        .map_or_else(String::new, |over| format!("; the new `every` takes over at {}", over.format("%Y-%m-%d %H:%M")))
}

fn grid_of(job: &Job) -> Option<plan::Grid> {
    match &job.slicing {
        Slicing::Window(spec) => plan::Grid::new(spec.every),
        _ => None,
    }
}

/// Returns the last landed stretch of each fan-out value.
fn last_stretches<'a>(job: &'a Job, state: &'a LedgerState) -> impl Iterator<Item = plan::Stretch> + Clone + 'a {
    let keys = state.keys(&job.name);
    keys.filter_map(|key| super::job::stretch(state.landed_ranges(&job.name, key).last()?))
}

/// Tells whether lists of the past have landed, which can't be read again.
fn has_past_snapshots(job: &Job, state: &LedgerState) -> bool {
    let is_past = |kind: &SliceKind| matches!(kind, SliceKind::Snapshot { .. }) && !kind.is_latest();
    state
        .keys(&job.name)
        .flat_map(|key| state.slices(&job.name, key))
        .any(|(_, slice)| slice.landed.as_ref().is_some_and(|landed| is_past(&landed.kind)))
}

/// Tells whether all that has landed are lists, each read at one instant.
fn has_lists_alone(job: &Job, state: &LedgerState) -> bool {
    let mut slices = state.keys(&job.name).flat_map(|key| state.slices(&job.name, key));
    slices
        .all(|(_, slice)| slice.landed.as_ref().is_none_or(|landed| matches!(landed.kind, SliceKind::Snapshot { .. })))
}

/// Says which sinks are new and which are gone. `later`: a new one isn't filled with what has landed.
fn of_sinks(edit: &Edit, later: bool) -> String {
    let mut said = String::new();
    if !edit.added.is_empty() {
        let how = if later { "takes what lands from now on" } else { "is filled with what has landed" };
        said += &format!("new sink {}: it {how}; ", names(&edit.added));
    }
    if !edit.removed.is_empty() {
        said += &format!("sink {} was removed: its data stays as it is; ", names(&edit.removed));
    }
    said
}

fn names<'s>(sinks: impl IntoIterator<Item = &'s String>) -> String {
    sinks.into_iter().map(|sink| format!("`{sink}`")).collect::<Vec<_>>().join(", ")
}

/// Names the system that is asked. A loopback address names none: it is the near end of a tunnel, or a test, and its port changes.
fn system(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let port = url.port().filter(|_| !loopback).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", if loopback { "loopback" } else { host }, url.path().trim_end_matches('/'))
}

fn records(selector: &Selector) -> Vec<String> {
    match selector {
        Selector::Plain { paths } => paths.iter().map(|path| path.keys.join(".")).collect(),
        Selector::Program(jq) => vec![jq.text().to_owned()],
    }
}

/// What the names of a sink's files end with: readers go by it.
fn extension(sink: &Sink) -> String {
    let format = match sink.format {
        SinkFormat::Parquet { .. } => return "parquet".to_owned(),
        SinkFormat::JsonLines => "jsonl",
        SinkFormat::Csv { .. } => "csv",
    };
    match sink.compression {
        Some(Compression::Gzip) => format!("{format}.gz"),
        Some(Compression::Zstd(_)) => format!("{format}.zst"),
        Some(Compression::None | Compression::Snappy) | None => format.to_owned(),
    }
}

/// A sink's folder by its absolute path, so that another working directory is another lake.
fn absolute(url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    objects::absolute(Path::new(url)).map_or_else(|_| url.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_names_no_system() {
        let of = |url: &str| system(&url.parse().unwrap());
        assert_eq!(of("http://127.0.0.1:4000/api/"), of("https://localhost:5000/api"));
        assert_eq!(of("http://[::1]:1/"), "loopback");
        assert_eq!(of("https://user:secret@ntop.example:3000/x"), "ntop.example:3000/x");
    }
}
