//! What names a job's data: an edit of it would leave a lake whose files no longer mean what the pipeline file says.

use serde_json::{Map, Value, json};

use super::RunError;
use crate::model::JobName;
use crate::pipeline::file::Compression;
use crate::pipeline::load::Sql;
use crate::pipeline::spec::{Job, Sink, SinkFormat, Slicing};

/// Characters of a value that a difference shows.
const SHOWN: usize = 200;

/// Returns the fingerprint of a job, part by part, so that a difference can be named.
pub(super) fn of(job: &Job) -> Value {
    let mut parts = Map::new();
    let mut part = |name: &str, value: Value| parts.insert(name.to_owned(), value);
    part("for_each.key", json!(job.for_each.as_ref().map(|for_each| &for_each.key)));
    part("key", json!(job.key));
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
    Value::Object(parts)
}

/// Refuses a job whose fingerprint isn't the one that data have landed under.
pub(super) fn compare(job: &JobName, landed: &Value, now: &Value) -> Result<(), RunError> {
    let (Some(landed), Some(now)) = (landed.as_object(), now.as_object()) else { return Ok(()) };
    let mut names: Vec<&String> = landed.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let difference = |name: &String| {
        let (before, after) = (landed.get(name), now.get(name));
        if before.is_none() && !is_of_a_new_sink(name, landed) {
            // An earlier version, which knew nothing of this part, noted the fingerprint.
            return None;
        }
        (before != after).then(|| format!("`{name}` was {} and is {}", show(before), show(after)))
    };
    let changed: Vec<String> = names.into_iter().filter_map(difference).collect();
    if changed.is_empty() { Ok(()) } else { Err(RunError::Renamed { job: job.clone(), what: changed.join(", ") }) }
}

/// Tells whether a part belongs to a sink that data haven't landed in.
fn is_of_a_new_sink(name: &str, landed: &Map<String, Value>) -> bool {
    let Some((sink, _)) = name.strip_prefix("sinks.").and_then(|rest| rest.split_once('.')) else { return false };
    let prefix = format!("sinks.{sink}.");
    !landed.keys().any(|known| known.starts_with(&prefix))
}

fn show(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
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
    std::path::absolute(url).map_or_else(|_| url.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let job = JobName::new("j");
        let landed = json!({"key": ["id"], "window.every": 86400.0});
        assert!(compare(&job, &landed, &landed).is_ok());
        let error = compare(&job, &landed, &json!({"key": ["id"], "window.every": 3600.0})).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the job `j` was changed after data landed: `window.every` was 86400.0 and is 3600.0;"),
            "{error}"
        );
        let error = compare(&job, &landed, &json!({"key": ["id"]})).unwrap_err();
        assert!(matches!(error, RunError::Renamed { what, .. } if what == "`window.every` was 86400.0 and is nothing"));
    }

    #[test]
    fn parts_that_an_earlier_version_did_not_know_are_no_edit_but_a_new_sink_is() {
        let job = JobName::new("j");
        let landed = json!({"key": ["id"], "sinks.lake.url": "/lake"});
        let with = |name: &str| json!({"key": ["id"], "sinks.lake.url": "/lake", name: "x"});
        assert!(compare(&job, &landed, &with("sinks.lake.format")).is_ok());
        assert!(compare(&job, &landed, &with("window.every")).is_ok());
        assert!(compare(&job, &landed, &with("sinks.feed.url")).is_err());
    }
}
