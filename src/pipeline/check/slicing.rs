//! The ways of cutting data into slices, and windows.

use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, TimeDelta, Utc};

use super::super::file::{Edge, EdgeBound, JobFile, WindowFile};
use super::super::load::{RequestValue, Spanned, nearest};
use super::super::spec::{InstantFormat, Request, Slicing, Start, WindowSpec};
use super::Findings;
use super::request::Vars;
use crate::lang::place::Place;

impl Findings<'_> {
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
            let spec = self.incremental(incremental, job, request, vars);
            return spec.map(|spec| Slicing::Incremental(Box::new(spec)));
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
        if let Some(format) = &format {
            self.format_is_fine_enough(window, format);
        }
        self.distinct(
            window.from.as_ref().map(|edge| &edge.value.into),
            window.to.as_ref().map(|edge| &edge.value.into),
            "the window's beginning and its end",
        );
        let at = window.at.as_ref().and_then(|at| self.sent(&at.value, job, vars));
        let from = self.edge(window.from.as_ref(), EdgeBound::Inclusive, job, vars);
        let to = self.edge(window.to.as_ref(), EdgeBound::Exclusive, job, vars);
        if let Some(time) = window.own_time() {
            self.sql_expression(time);
        }
        let parts = self.parts(window, job, vars);
        if let Some(request) = request {
            self.window_is_sent(window, request);
        }
        self.rows_are_cut(window, from.as_ref().map(|edge| edge.1), to.as_ref().map(|edge| edge.1));
        if let (Some(pad), None) = (&window.pad, window.own_time()) {
            let help = "add `time:`, SQL for a row's own time, which cuts what is asked for in excess";
            self.missing(pad.span, "with `pad` and without `time`, rows would land in two slices", help);
        }
        let pad = window.pad.map(|pad| pad.value).unwrap_or_default();
        Some(WindowSpec {
            every: window.every.value.0,
            start: start?,
            lag: length(window.lag),
            lookback: length(window.lookback),
            format: format?,
            from,
            to,
            at,
            time: window.own_time().cloned(),
            pad_before: length(pad.before),
            pad_after: length(pad.after),
            parts: parts?,
        })
    }

    /// Warns where nothing cuts rows by their own time, and so nothing shows whether the window's edges are right.
    fn rows_are_cut(&mut self, window: &Spanned<WindowFile>, from: Option<EdgeBound>, to: Option<EdgeBound>) {
        if self.partial || window.own_time().is_some() {
            return;
        }
        let excludes = (from == Some(EdgeBound::Exclusive)).then_some((&window.from, "excludes", "the beginning"));
        let includes = (to == Some(EdgeBound::Inclusive)).then_some((&window.to, "includes", "the end"));
        for (edge, does, which) in excludes.into_iter().chain(includes) {
            let help = format!(
                "add `time:`, SQL for a row's own time; else {which} is sent one unit of `as` earlier, which is right only if times are \
                 whole units"
            );
            let message = format!("the server {does} {which} of the window, and rows aren't cut by their own time");
            self.warn(edge.as_ref().map_or(window.span, |edge| edge.span), message, help);
        }
        if window.time.is_none() && excludes.is_none() && includes.is_none() {
            let help = "add `time:`, SQL for a row's own time, such as `time: created_at`; where rows have none, write `time: none`";
            let message = "nothing shows whether rows lie in the window: a server that ignores it isn't noticed";
            self.advise(window.every.span, message, help);
        }
    }

    fn edge(
        &mut self,
        edge: Option<&Spanned<Edge>>,
        default: EdgeBound,
        job: &JobFile,
        vars: &Vars,
    ) -> Option<(Place, EdgeBound)> {
        let edge = edge?;
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
        let value = &text.value;
        let whole = format!("{}{}", value.replacen(' ', "T", 1), if value.len() > 10 { "Z" } else { "T00:00:00Z" });
        let help = if DateTime::parse_from_rfc3339(&whole).is_ok() {
            format!("say in which time zone: `{whole}` is UTC")
        } else if super::super::file::Duration::try_from(value.clone()).is_ok() {
            format!("write `-{value}` for that long before the first run")
        } else {
            "write an instant with an offset, such as `2026-01-01T00:00:00Z`, or how long ago, such as `-30d`"
                .to_owned()
        };
        self.error(text.span, format!("`{value}` is not an instant that a window can start at"), help);
        None
    }

    pub(super) fn instant_format(&mut self, text: &Spanned<String>) -> Option<InstantFormat> {
        match text.value.as_str() {
            "epoch_s" => return Some(InstantFormat::EpochSeconds),
            "epoch_ms" => return Some(InstantFormat::EpochMillis),
            "rfc3339" => return Some(InstantFormat::Rfc3339),
            strftime
                if strftime.contains('%') && StrftimeItems::new(strftime).all(|item| !matches!(item, Item::Error)) =>
            {
                return Some(InstantFormat::Strftime(strftime.to_owned()));
            }
            _ => {}
        }
        let help = "write `epoch_s`, `epoch_ms`, `rfc3339` or a strftime format such as '%Y-%m-%d %H:%M:%S'";
        let help = nearest(&text.value, &["epoch_s", "epoch_ms", "rfc3339"])
            .map_or_else(|| help.to_owned(), |near| format!("did you mean `{near}`?"));
        self.error(text.span, format!("`{}` is not a way to write instants", text.value), help);
        None
    }

    /// Refuses a way to write instants that can't tell the edge of a cell from an instant just before it.
    fn format_is_fine_enough(&mut self, window: &Spanned<WindowFile>, format: &InstantFormat) {
        let every = window.every.value.0;
        let whole = every.subsec_nanos() == 0;
        let Some(edge) =
            TimeDelta::from_std(every).ok().and_then(|every| DateTime::UNIX_EPOCH.checked_add_signed(every))
        else {
            return self.error(window.every.span, "no instant is that far away", "write a duration such as `1d`");
        };
        let before = edge - if whole { TimeDelta::seconds(1) } else { TimeDelta::milliseconds(1) };
        let same = match format {
            InstantFormat::EpochSeconds => edge.timestamp() == before.timestamp(),
            InstantFormat::Strftime(format) => edge.format(format).to_string() == before.format(format).to_string(),
            InstantFormat::EpochMillis | InstantFormat::Rfc3339 => false,
        };
        if same && !every.is_zero() {
            let message = format!("`{}` is too coarse for cells of {}", window.format.value, window.every.value);
            let help = "write more of the instant, or choose `every` so that each edge is a whole unit of it";
            self.error(window.format.span, message, help);
        }
    }
}

/// Returns a duration that may be left out.
pub(super) fn length(duration: Option<super::super::file::Duration>) -> Duration {
    duration.map_or(Duration::ZERO, |duration| duration.0)
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
