//! A job: its parts, and how they fit together.

use super::super::file::{ForEach, JobFile, OnMismatch, PipelineFile};
use super::super::load::{OneOrMany, Span, Spanned, nearest};
use super::super::spec::{FanOut, FanOutFrom, Job, PaginateKind, Slicing};
use super::Findings;
use super::request::Vars;
use super::unbuilt;
use crate::lang::jq::Jq;
use crate::lang::sql;
use crate::lang::{Selector, SelectorError};
use crate::model::{Column, ColumnType, JobName};

/// More keys than that are more often a mistake than a wish, and each of them is at least one request.
const MAX_KEYS: u64 = 10_000;

impl Findings {
    /// Checks one job. Nothing is returned where it has a mistake that leaves no job.
    pub(super) fn job(&mut self, name: &Spanned<String>, job: &JobFile, file: &PipelineFile) -> Option<Job> {
        self.name(name, "a job's name", '_');
        unbuilt::job(self, job, &file.source);
        let records = self.records(job);
        let vars = Vars {
            fan_out: job.for_each.as_ref().map(|for_each| for_each.name.value.clone()),
            window: job.window.is_some(),
            records: match &records {
                Some(Selector::Plain { paths }) => paths.iter().map(|path| path.keys.clone()).collect(),
                _ => Vec::new(),
            },
        };
        let source = self.source(name.span, job, &file.source, &vars);
        let request = self.request(name, job, &file.source, &vars);
        let for_each = job.for_each.as_ref().map(|for_each| self.for_each(for_each, &vars));
        let slicing = self.slicing(name, job, request.as_ref(), &vars);
        let paginate = self.paginate(job, &vars);
        let rows = job.rows.as_ref().and_then(|rows| self.jq(rows, &vars.answer()));
        let key = self.key(job, for_each.as_ref());
        let columns = self.columns(job);
        if let Some(transform) = &job.transform {
            if let Err(error) = sql::check_select(transform.as_str(), &[]) {
                self.sql_error(transform, &error);
            }
        }
        let sinks = self.sinks(job);
        let built = Job {
            name: JobName::new(name.value.clone()),
            source: source?,
            request: request?,
            for_each,
            slicing: slicing?,
            paginate: paginate?,
            records: records?,
            rows,
            key,
            contract: job.schema.as_ref().map(|schema| schema.contract).unwrap_or_default(),
            columns,
            transform: job.transform.clone(),
            on_mismatch: job.on_mismatch.map_or_else(OnMismatch::default, |on_mismatch| on_mismatch.value),
            sinks,
        };
        self.fits(name.span, &built, job);
        Some(built)
    }

    fn records(&mut self, job: &JobFile) -> Option<Selector> {
        let texts: Vec<String> = job.records.0.iter().map(|text| text.as_str().to_owned()).collect();
        let fan_out = job.for_each.as_ref().map(|for_each| for_each.name.value.as_str());
        let vars: Vec<&str> = super::request::ANSWER_VARS.into_iter().chain(fan_out).collect();
        let error = match Selector::parse_with(&texts, &vars) {
            Ok(selector) => return Some(selector),
            Err(error) => error,
        };
        let (span, message) = match &error {
            SelectorError::NotPlain { index, .. } => {
                (job.records.0.get(*index).map_or(job.records.span, |text| text.span()), error.to_string())
            }
            SelectorError::Program(error) => {
                let at = job.records.0.first().map_or(job.records.span.start, |text| text.file_offset(error.offset));
                (Span::new(at, at + 1), format!("jq: {}", error.message))
            }
            _ => (job.records.span, error.to_string()),
        };
        let help = "write a plain path such as `.rsp.records[]`, a list of them, or one jq program";
        self.error(span, message, help);
        None
    }

    fn for_each(&mut self, for_each: &Spanned<ForEach>, vars: &Vars) -> FanOut {
        let name = &for_each.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let taken = ["now", "cursor", "window", "row"].contains(&name.value.as_str())
            || super::request::ANSWER_VARS.contains(&name.value.as_str())
            || super::request::PAGE_VARS.contains(&name.value.as_str());
        if taken || !name.value.starts_with(|c: char| c.is_ascii_lowercase()) || !name.value.chars().all(plain) {
            let why = if taken { "has a meaning of its own" } else { "can't be the name of a variable" };
            let help = "use lower-case letters, digits and `_`, beginning with a letter, such as `iface`";
            self.error(name.span, format!("`{}` {why}", name.value), help);
        }
        let from = match (&for_each.rows_of, &for_each.values) {
            (Some(parent), None) => FanOutFrom::Rows(JobName::new(parent.value.clone())),
            (None, Some(values)) => FanOutFrom::Values(values.iter().map(super::slicing::json_of).collect()),
            _ => {
                self.error(
                    for_each.span,
                    "`for_each` needs `rows_of` or `values`, one of them",
                    "name a job, or list values",
                );
                FanOutFrom::Values(Vec::new())
            }
        };
        let key = match (&for_each.key, &from) {
            (Some(key), FanOutFrom::Rows(_)) if !key.0.is_empty() => {
                key.0.iter().map(|column| column.value.clone()).collect()
            }
            (_, FanOutFrom::Rows(_)) => {
                let help = "name the columns of the parent's row that identify it, such as `key: id`";
                self.error(for_each.span, "`for_each` has no `key`", help);
                Vec::new()
            }
            (Some(key), FanOutFrom::Values(_)) if key.0.iter().any(|column| column.value != name.value) => {
                let message = format!("the key of listed values is always `{}`", name.value);
                self.error(for_each.span, message, "remove `key:`");
                Vec::new()
            }
            _ => vec![name.value.clone()],
        };
        let mut columns: Vec<(String, Jq)> = Vec::new();
        for (column, text) in &for_each.columns {
            if key.contains(&column.value) {
                self.error(
                    column.span,
                    format!("`{}` is a column already: it is in `key`", column.value),
                    "remove it here",
                );
            }
            columns.extend(self.jq(text, &vars.places()).map(|program| (column.value.clone(), program)));
        }
        FanOut { from, name: name.value.clone(), key, columns, max_keys: for_each.max_keys.unwrap_or(MAX_KEYS) }
    }

    /// Returns the key's columns, with those of the fan-out, which it always includes.
    fn key(&mut self, job: &JobFile, for_each: Option<&FanOut>) -> Vec<String> {
        let Some(OneOrMany(key)) = &job.key else { return Vec::new() };
        let mut columns: Vec<String> = for_each.map(|for_each| for_each.key.clone()).unwrap_or_default();
        for column in key {
            if !columns.contains(&column.value) {
                columns.push(column.value.clone());
            }
        }
        if key.is_empty() {
            self.error(
                job.paginate.span,
                "`key` names no column",
                "name the columns that identify a row, or remove `key`",
            );
        }
        columns
    }

    fn columns(&mut self, job: &JobFile) -> Vec<Column> {
        const TYPES: [(&str, ColumnType); 6] = [
            ("bool", ColumnType::Bool),
            ("int64", ColumnType::Int64),
            ("uint64", ColumnType::Uint64),
            ("float64", ColumnType::Float64),
            ("string", ColumnType::String),
            ("json", ColumnType::Json),
        ];
        let mut columns = Vec::new();
        for (name, text) in job.schema.iter().flat_map(|schema| &schema.columns) {
            let known = TYPES.map(|(name, _)| name);
            if let Some((_, kind)) = TYPES.iter().find(|(known, _)| *known == text.value) {
                columns.push(Column { name: name.value.clone(), kind: kind.clone() });
            } else if ["timestamp", "date", "decimal", "list", "struct"]
                .iter()
                .any(|later| text.value.starts_with(later))
            {
                let message = format!("the type `{}` is not built yet", text.value);
                self.error(text.span, message, "cast in `transform`, such as `CAST(amount AS DECIMAL(18, 2))`");
            } else {
                let help = nearest(&text.value, &known).map_or_else(
                    || format!("the types are {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.error(text.span, format!("there is no type `{}`", text.value), help);
            }
        }
        columns
    }

    /// Checks what only two parts of a job together can get wrong.
    fn fits(&mut self, at: Span, built: &Job, job: &JobFile) {
        let program = matches!(built.records, Selector::Program(_));
        let counts = match built.paginate.kind {
            PaginateKind::Offset { .. } | PaginateKind::Page { .. } | PaginateKind::Seek { .. } => true,
            PaginateKind::None | PaginateKind::Cursor(_) | PaginateKind::NextLink(_) => built.paginate.total.is_some(),
        };
        if program && counts && job.rows.is_none() {
            let help = "add `rows:`, jq for how many rows the server put on the page, such as `.items | length`";
            self.error(
                job.records.span,
                "`records` is a jq program, so the rows of a page can't be counted by it",
                help,
            );
        }
        if !program && let Some(rows) = &job.rows {
            self.error(rows.span(), "`rows` has no meaning beside a plain path: its items are counted", "remove it");
        }
        if let PaginateKind::Seek { bound: super::super::file::SeekBound::Inclusive, .. } = built.paginate.kind
            && built.key.is_empty()
        {
            let help = "add `key:`, or say `bound: exclusive` if the server leaves the value itself out";
            self.error(job.paginate.span, "an inclusive `seek` sees rows twice and needs a `key` to drop them", help);
        }
        self.cursor_is_sent(job.paginate.span, &built.paginate.kind, &built.request);
        if let Slicing::Incremental(_) = built.slicing
            && !matches!(built.paginate.kind, PaginateKind::Seek { .. })
        {
            let help = "page by `seek`, whose place also takes the cursor that the slice begins at";
            self.error(job.paginate.span, "an `incremental` job has no way to send its cursor", help);
        }
        match (&built.slicing, built.sinks.is_empty()) {
            (Slicing::Parent, false) => {
                let message = format!("the job `{}` lands data, but doesn't say in which slices", built.name);
                self.error(at, message, "add one of `window`, `incremental` and `snapshot`");
            }
            (Slicing::Window(_) | Slicing::Incremental(_), true) => {
                let message =
                    format!("the job `{}` is cut into slices, but has no `sinks` to land them in", built.name);
                self.error(at, message, "add `sinks:`");
            }
            _ => {}
        }
    }
}
