//! A search: the body of a request to an answer's body.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::cursor::{self, Position};
use super::flows::{DIMENSIONS, Flow, METRICS};
use super::{SecureWorkloadConfig, Spelling, filter};
use crate::appliance::dice::mix;

/// Rows of a page where the request says nothing.
const DEFAULT_LIMIT: usize = 100;

/// What a search found.
pub(super) struct Found {
    pub(super) body: Value,
    pub(super) rows: usize,
}

/// What is asked for.
struct Search {
    from: i64,
    to: i64,
    filter: Value,
    fields: Option<Vec<String>>,
    limit: usize,
    /// A hash of all of it.
    identity: u64,
    at: Position,
}

/// Runs the search that `body` asks for over `flows`.
pub(super) fn run(
    config: &SecureWorkloadConfig,
    flows: &[Flow],
    application: &str,
    body: &[u8],
) -> Result<Found, String> {
    let search = Search::read(config, application, body)?;
    let mut found = Vec::new();
    for flow in flows {
        let before_end = flow.timestamp < search.to || config.inclusive_end && flow.timestamp == search.to;
        if flow.timestamp >= search.from && before_end {
            let record = flow.render(config);
            if filter::passes(&search.filter, &record)? {
                found.push(record);
            }
        }
    }
    Ok(search.page(config, found))
}

impl Search {
    fn read(config: &SecureWorkloadConfig, application: &str, body: &[u8]) -> Result<Self, String> {
        let Ok(Value::Object(mut asked)) = serde_json::from_slice::<Value>(body) else {
            return Err("the body is no JSON object".to_owned());
        };
        let offset = asked.remove("offset").unwrap_or_default();
        let identity = Sha256::digest(format!("{}/{application}/{}", config.seed, Value::Object(asked.clone())));
        let identity = identity.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte));
        let at = match &offset {
            Value::Null => Some(Position { given: 0, pages: 0 }),
            Value::String(text) if text.is_empty() => Some(Position { given: 0, pages: 0 }),
            cursor => cursor::read(identity, cursor),
        };
        Ok(Self {
            from: instant(asked.get("t0")).ok_or("t0 is no time")?,
            to: instant(asked.get("t1")).ok_or("t1 is no time")?,
            filter: asked.get("filter").cloned().ok_or("filter is missing")?,
            fields: fields(&asked)?,
            limit: limit(asked.get("limit"))?.min(config.max_limit).max(1),
            identity,
            at: at.ok_or("invalid offset")?,
        })
    }

    /// Cuts the page out of all that was found.
    fn page(&self, config: &SecureWorkloadConfig, found: Vec<Value>) -> Found {
        let chance = mix(self.identity, self.at.pages + 1000);
        if found.is_empty() {
            return Found { body: nothing(config, chance), rows: 0 };
        }
        let total = found.len() as u64;
        let hollow =
            config.empty_page_every > 0 && mix(chance, 1).is_multiple_of(u64::from(config.empty_page_every.max(2)));
        let take = if hollow { 0 } else { self.limit };
        let skip = usize::try_from(self.at.given).unwrap_or(usize::MAX);
        let rows: Vec<Value> = found.into_iter().skip(skip).take(take).map(|record| self.pick(record)).collect();
        let at = Position { given: self.at.given + rows.len() as u64, pages: self.at.pages + 1 };
        // Some searches know that a page is the last, others find out by one more that is empty.
        let knows = mix(self.identity, 4).is_multiple_of(2);
        let more = at.given < total || (!knows && !rows.is_empty());
        let offset = if more { Some(cursor::write(self.identity, at)) } else { end(chance) };
        let count = rows.len();
        Found { body: answer(config.spelling, rows.into(), offset), rows: count }
    }

    fn pick(&self, record: Value) -> Value {
        let (Some(fields), Value::Object(record)) = (&self.fields, &record) else { return record };
        record
            .iter()
            .filter(|(name, _)| fields.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

fn answer(spelling: Spelling, results: Value, offset: Option<Value>) -> Value {
    let (offset_key, results_key) = match spelling {
        Spelling::Lower => ("offset", "results"),
        Spelling::Capital => ("Offset", "Results"),
    };
    let mut body = Map::new();
    if let Some(offset) = offset {
        body.insert(offset_key.to_owned(), offset);
    }
    body.insert(results_key.to_owned(), results);
    Value::Object(body)
}

/// The ways in which a last page says so: empty, null, or not at all.
fn end(chance: u64) -> Option<Value> {
    match chance % 3 {
        0 => Some(json!("")),
        1 => Some(Value::Null),
        _ => None,
    }
}

/// The ways in which an answer says that there are no flows.
fn nothing(config: &SecureWorkloadConfig, chance: u64) -> Value {
    match chance % 4 {
        0 => json!({}),
        1 => json!([]),
        2 => answer(config.spelling, Value::Null, Some(json!(""))),
        _ => answer(config.spelling, json!([]), None),
    }
}

/// Reads a time: epoch seconds, or ISO 8601 with an offset, with and without its colon. In milliseconds.
fn instant(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(seconds) => seconds.as_i64().map(|seconds| seconds * 1000),
        Value::String(text) => {
            let read = |format| chrono::DateTime::parse_from_str(text, format).ok();
            let time = read("%Y-%m-%dT%H:%M:%S%z").or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok())?;
            Some(time.timestamp_millis())
        }
        _ => None,
    }
}

fn limit(value: Option<&Value>) -> Result<usize, String> {
    match value {
        None | Some(Value::Null) => Ok(DEFAULT_LIMIT),
        Some(value) => {
            value.as_u64().and_then(|limit| usize::try_from(limit).ok()).ok_or("limit is no number".to_owned())
        }
    }
}

/// Reads which columns are wanted; none: all.
fn fields(asked: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    let read = |name: &str, known: &[&str]| match asked.get(name) {
        None => Ok(None),
        Some(list) => {
            let list: Vec<String> = serde_json::from_value(list.clone()).map_err(|_| format!("{name} is no list"))?;
            match list.iter().find(|field| !known.contains(&field.as_str())) {
                Some(unknown) => Err(format!("unknown field {unknown} in {name}")),
                None => Ok(Some(list)),
            }
        }
    };
    let (dimensions, metrics) = (read("dimensions", &DIMENSIONS)?, read("metrics", &METRICS)?);
    if dimensions.is_none() && metrics.is_none() {
        return Ok(None);
    }
    let own = |names: Option<Vec<String>>, all: &[&str]| {
        names.unwrap_or_else(|| all.iter().map(ToString::to_string).collect())
    };
    let mut fields = own(dimensions, &DIMENSIONS);
    fields.extend(own(metrics, &METRICS));
    fields.push("timestamp".to_owned());
    Ok(Some(fields))
}
