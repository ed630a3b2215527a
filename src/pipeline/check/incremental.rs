//! Slices by a growing cursor.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::super::file::{CursorOrder, IncrementalFile, JobFile, OnReset, PaginateFile, SentFile};
use super::super::load::Spanned;
use super::super::spec::{IncrementalSpec, InstantFormat, NewestSpec, Request, SentCursor};
use super::Findings;
use super::places::names_of;
use super::request::Vars;
use super::slicing::json_of;

/// Large enough to keep files few, small enough to lose little when a run is killed.
const ROWS_PER_SLICE: u64 = 100_000;

impl Findings<'_> {
    pub(super) fn incremental(
        &mut self,
        incremental: &Spanned<IncrementalFile>,
        job: &JobFile,
        request: Option<&Request>,
        vars: &Vars,
    ) -> Option<IncrementalSpec> {
        self.sql_expression(&incremental.cursor);
        let start = self.cursor_start(incremental);
        let rows_per_slice = incremental.rows_per_slice.map_or(ROWS_PER_SLICE, |rows| rows.value);
        if let (0, Some(written)) = (rows_per_slice, incremental.rows_per_slice) {
            self.error(written.span, "`rows_per_slice` can't be 0", "write how many rows a slice should hold");
        }
        if let Some(start) = &start {
            self.lag(incremental, start);
        }
        let by_template = request.is_some_and(|request| names_of(request).contains("increment.from"));
        let sent = match &incremental.into {
            Some(sent) => Some(self.sent_cursor(sent, incremental, start.as_ref(), job, vars)),
            None => {
                by_template.then_some(Some(SentCursor { place: None, format: InstantFormat::Rfc3339, sorted: true }))
            }
        };
        let newest = self.newest(incremental, request, vars);
        if let (Some(on_reset), None) = (incremental.on_reset, &incremental.newest) {
            let help = "add `newest:`, which asks for the newest id";
            self.missing(on_reset.span, "`on_reset` without `newest`: nothing notices that the source was reset", help);
        }
        Some(IncrementalSpec {
            cursor: incremental.cursor.clone(),
            start: start?,
            rows_per_slice,
            lag: incremental.lag.map_or(Duration::ZERO, |lag| lag.value.0),
            // A place that is wrong has been reported; it isn't one that is left out.
            sent: match sent {
                Some(sent) => Some(sent?),
                None => None,
            },
            newest,
            restarts: incremental.on_reset.is_some_and(|on_reset| on_reset.value == OnReset::Restart),
        })
    }

    fn cursor_start(&mut self, incremental: &IncrementalFile) -> Option<Value> {
        let (start, span) = (json_of(&incremental.start), incremental.start.span);
        let help = "write the value that all data come after, such as `0` or `'2026-01-01T00:00:00Z'`";
        match &start {
            Value::String(text) if text.contains("{{") => {
                self.error(span, "a cursor's `start` isn't a template", "write the value itself");
            }
            Value::String(text) if is_whole(text) || is_instant(&start) => return Some(start),
            Value::Number(number) if number.is_i64() || number.is_u64() => return Some(start),
            Value::String(text) => {
                let zone = format!("{}Z", text.replacen(' ', "T", 1));
                let help = if is_instant(&Value::from(zone.as_str())) {
                    format!("say in which time zone: `{zone}` is UTC")
                } else {
                    help.to_owned()
                };
                self.error(span, format!("`{text}` is neither a whole number nor an instant"), help);
            }
            _ => self.error(span, "a cursor begins at a whole number or an instant", help),
        }
        None
    }

    fn lag(&mut self, incremental: &IncrementalFile, start: &Value) {
        let written = incremental.lag.filter(|lag| !lag.value.0.is_zero());
        match (written, is_instant(start)) {
            (Some(lag), false) => {
                let message =
                    "`lag` leaves young rows to the next slice, but the cursor begins at a number, not at a time";
                self.error(lag.span, message, "remove it, or make `cursor` a timestamp and `start` an instant: `cursor: to_timestamp_seconds(seconds)`, and `as: epoch_s` in `into`");
            }
            (None, true) if incremental.lag.is_none() => {
                let message =
                    "the cursor is a time: a row that appears after others of its time have landed is never read";
                let help = "add `lag:`, longer than a row takes to appear, such as `lag: 5m`; `lag: 0s` says that none comes late";
                self.warn(incremental.cursor.span(), message, help);
            }
            _ => {}
        }
    }

    fn sent_cursor(
        &mut self,
        sent: &Spanned<SentFile>,
        incremental: &IncrementalFile,
        start: Option<&Value>,
        job: &JobFile,
        vars: &Vars,
    ) -> Option<SentCursor> {
        if let PaginateFile::By(by) = &job.paginate.value
            && let Some(seek) = &by.seek
        {
            self.distinct(Some(&seek.into), sent.into.as_ref(), "the value to seek by and the cursor");
        }
        let format = sent.format.as_ref().and_then(|format| self.instant_format(format));
        if let (Some(written), Some(start)) = (&sent.format, start)
            && !is_instant(start)
        {
            let message = "`as` says how an instant is written, but the cursor begins at a number";
            self.error(written.span, message, "remove it, or make `cursor` a timestamp and `start` an instant");
        }
        if let (CursorOrder::Any, Some(rows)) = (sent.order, incremental.rows_per_slice) {
            let message = "a slice can only end after some rows where the server sorts by the cursor";
            self.error(rows.span, message, "remove `rows_per_slice`, or ask the server to sort and write `order: asc`");
        }
        let place = match &sent.into {
            Some(into) => Some(self.sent(into, job, vars)?),
            None => None,
        };
        let sorted = sent.order == CursorOrder::Asc;
        Some(SentCursor { place, format: format.unwrap_or(InstantFormat::Rfc3339), sorted })
    }

    fn newest(&mut self, incremental: &IncrementalFile, request: Option<&Request>, vars: &Vars) -> Option<NewestSpec> {
        let newest = &incremental.newest.as_ref()?.value;
        newest.query.iter().for_each(|(name, value)| self.entry(name, value, vars));
        let value = self.jq(&newest.value, &vars.answer());
        let mut request = request?.clone();
        request.query.extend(newest.query.iter().map(|(name, value)| (name.value.clone(), value.clone())));
        Some(NewestSpec { request, value: value? })
    }
}

fn is_instant(start: &Value) -> bool {
    start.as_str().is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok())
}

fn is_whole(text: &str) -> bool {
    text.parse::<i128>().is_ok()
}
