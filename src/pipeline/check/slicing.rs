//! Windows, increments and snapshots.

use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Utc};

use super::super::file::{Edge, EdgeBound, IncrementalFile, JobFile, WindowFile};
use super::super::load::{RequestValue, Span, Spanned};
use super::super::spec::{IncrementalSpec, InstantFormat, Request, Slicing, Start, WindowSpec};
use super::Findings;
use super::request::Vars;
use crate::lang::place::Place;

/// Large enough to keep files few, small enough to lose little when a run is killed.
const ROWS_PER_SLICE: u64 = 100_000;

impl Findings {
    pub(super) fn slicing(
        &mut self,
        name: &Spanned<String>,
        job: &JobFile,
        request: Option<&Request>,
        vars: &Vars,
    ) -> Option<Slicing> {
        let given = [
            job.window.as_ref().map(|window| window.span),
            job.incremental.as_ref().map(|incremental| incremental.span),
            job.snapshot.as_ref().map(|snapshot| snapshot.span),
        ];
        let mut given = given.into_iter().flatten();
        if let (Some(_), Some(second)) = (given.next(), given.next()) {
            let message = format!("the job `{}` is cut into slices in two ways", name.value);
            self.error(second, message, "keep one of `window`, `incremental` and `snapshot`");
            return None;
        }
        if let Some(window) = &job.window {
            return self.window(window, job, request, vars).map(|spec| Slicing::Window(Box::new(spec)));
        }
        if let Some(incremental) = &job.incremental {
            return self.incremental(incremental).map(|spec| Slicing::Incremental(Box::new(spec)));
        }
        Some(job.snapshot.map_or(Slicing::Parent, |mode| Slicing::Snapshot(mode.value)))
    }

    fn window(
        &mut self,
        window: &Spanned<WindowFile>,
        job: &JobFile,
        request: Option<&Request>,
        vars: &Vars,
    ) -> Option<WindowSpec> {
        if window.every.value.0.is_zero() {
            self.error(window.every.span, "a cell of no length holds nothing", "write a duration such as `1d`");
        }
        let start = self.start(&window.start);
        let format = self.instant_format(&window.format);
        let from = self.edge(window.from.as_ref(), EdgeBound::Inclusive, job, vars);
        let to = self.edge(window.to.as_ref(), EdgeBound::Exclusive, job, vars);
        if let Some(time) = &window.time {
            self.sql_expression(time);
        }
        if let Some(request) = request {
            self.window_is_sent(window.span, request, window.from.is_some() || window.to.is_some());
        }
        let inclusive = matches!(to, Some((_, EdgeBound::Inclusive)));
        if let (None, true, Some(to)) = (&window.time, inclusive, &window.to) {
            let help = "add `time:`, SQL for a row's own time; else the end is sent one unit of `as` earlier, \
                        which is right only if times are whole units";
            self.warn(
                to.span,
                "the server includes the end of the window, and rows aren't cut by their own time",
                help,
            );
        }
        let pad = window.pad.unwrap_or_default();
        let length =
            |duration: Option<super::super::file::Duration>| duration.map_or(Duration::ZERO, |duration| duration.0);
        Some(WindowSpec {
            every: window.every.value.0,
            start: start?,
            lag: length(window.lag),
            lookback: length(window.lookback),
            format: format?,
            from,
            to,
            time: window.time.clone(),
            pad_before: length(pad.before),
            pad_after: length(pad.after),
        })
    }

    fn edge(
        &mut self,
        edge: Option<&Spanned<Edge>>,
        default: EdgeBound,
        job: &JobFile,
        vars: &Vars,
    ) -> Option<(Place, EdgeBound)> {
        let edge = edge?;
        if edge.into.span() == Span::default() {
            // A bare text has no place of its own in the file: the edge's is used.
            return match Place::compile(edge.into.as_str(), &vars.places()) {
                Ok(place) => Some((place, edge.bound.unwrap_or(default))),
                Err(error) => {
                    self.error(edge.span, error.message, "write a place in the request, such as `query.since`");
                    None
                }
            };
        }
        self.sent(&edge.into, job, vars).map(|place| (place, edge.bound.unwrap_or(default)))
    }

    fn start(&mut self, text: &Spanned<String>) -> Option<Start> {
        if let Some(ago) = text.value.strip_prefix('-')
            && let Ok(ago) = super::super::file::Duration::try_from(ago.to_owned())
        {
            return Some(Start::Ago(ago.0));
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(&text.value) {
            return Some(Start::At(instant.with_timezone(&Utc)));
        }
        let help = "write an instant with an offset, such as `2026-01-01T00:00:00Z`, or how long ago, such as `-30d`";
        self.error(text.span, format!("`{}` is not a beginning", text.value), help);
        None
    }

    fn instant_format(&mut self, text: &Spanned<String>) -> Option<InstantFormat> {
        match text.value.as_str() {
            "epoch_s" => return Some(InstantFormat::EpochSeconds),
            "epoch_ms" => return Some(InstantFormat::EpochMillis),
            "rfc3339" => return Some(InstantFormat::Rfc3339),
            strftime if strftime.contains('%') => {
                if StrftimeItems::new(strftime).all(|item| !matches!(item, Item::Error)) {
                    return Some(InstantFormat::Strftime(strftime.to_owned()));
                }
            }
            _ => {}
        }
        let help = "write `epoch_s`, `epoch_ms`, `rfc3339` or a strftime format such as '%Y-%m-%d %H:%M:%S'";
        self.error(text.span, format!("`{}` is not a way to write instants", text.value), help);
        None
    }

    fn incremental(&mut self, incremental: &Spanned<IncrementalFile>) -> Option<IncrementalSpec> {
        self.sql_expression(&incremental.cursor);
        let start = json_of(&incremental.start);
        if start.is_object() || start.is_array() || start.is_null() {
            let help = "write the value that all data come after, such as `0` or `'2026-01-01T00:00:00Z'`";
            self.error(incremental.start.span, "a cursor begins at a number or a text", help);
            return None;
        }
        let rows_per_slice = incremental.rows_per_slice.map_or(ROWS_PER_SLICE, |rows| rows.value);
        if rows_per_slice == 0 {
            self.error(incremental.span, "`rows_per_slice` can't be 0", "write how many rows a slice should hold");
        }
        Some(IncrementalSpec { cursor: incremental.cursor.clone(), start, rows_per_slice })
    }
}

/// Turns a value of the pipeline file into JSON. A number that JSON can't hold in 64 bits stays a text.
pub(super) fn json_of(value: &RequestValue) -> serde_json::Value {
    match value {
        RequestValue::Null => serde_json::Value::Null,
        RequestValue::Bool(value) => (*value).into(),
        RequestValue::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
        RequestValue::String(text) => text.as_str().into(),
        RequestValue::List(items) => items.iter().map(json_of).collect(),
        RequestValue::Map(map) => map.iter().map(|(name, value)| (name.value.clone(), json_of(value))).collect(),
    }
}
