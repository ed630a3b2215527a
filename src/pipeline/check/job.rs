//! A job: its parts, and how they fit together.

use super::super::file::{BadRows, JobFile, OnMismatch, PipelineFile};
use super::super::load::diagnostic::position;
use super::super::load::{Spanned, Text};
use super::super::spec::{FanOut, Job};
use super::fits::Parts;
use super::request::Vars;
use super::{Findings, names, word};
use crate::lang::{Selector, SelectorError};
use crate::model::JobName;

impl Findings<'_> {
    /// Checks one job. Nothing is returned where it has a mistake that leaves no job.
    pub(super) fn job(&mut self, name: &Spanned<String>, job: &JobFile, file: &PipelineFile) -> Option<Job> {
        self.name(name, "a job's name", '_');
        let records = self.records(job);
        let format = self.format(job, &file.source);
        let vars = Vars::of(job, format, records.as_ref());
        if let Some(records) = &records {
            self.records_fit(format, job, records);
        }
        let source = self.source(name, job, &file.source, &vars);
        let request = self.request(name, job, &file.source, &vars);
        let for_each = job.for_each.as_ref().map(|for_each| self.for_each(for_each, &vars));
        let slicing = self.slicing(name, job, request.as_ref(), &vars);
        let paginate = self.paginate(job, &vars);
        let rows = job.rows.as_ref().and_then(|rows| self.jq(rows, &vars.answer()));
        let key = self.key(job, for_each.as_ref());
        let schema = job.schema.clone().unwrap_or_default();
        let columns = self.columns(&schema);
        self.columns_fit(format, job, &columns);
        let max_bad_rows = self.most_bad_rows(&schema);
        let tables = self.tables(job);
        let expect = self.expectations(job);
        self.selected(job);
        self.latest_by(job);
        let enrich = self.enrich(job, &file.source, for_each.as_ref(), request.as_ref(), &vars);
        let sinks = self.sinks(job);
        self.headless(job, schema.contract);
        let outboxes = self.outboxes(job);
        self.fits(&Parts {
            name,
            job,
            request: request.as_ref(),
            records: records.as_ref(),
            paginate: paginate.as_ref(),
            slicing: slicing.as_ref(),
            key: &key,
        });
        Some(Job {
            name: JobName::new(name.value.clone()),
            source: source?,
            request: request?,
            for_each,
            slicing: slicing?,
            paginate: paginate?,
            records: records?,
            records_line: position(self.text, job.records.span.start).0,
            rows,
            key,
            contract: schema.contract,
            columns,
            latest_by: job.latest_by.clone(),
            enrich,
            bad_rows: schema.bad_rows.map_or_else(BadRows::default, |bad_rows| bad_rows.value),
            max_bad_rows,
            transform: job.transform.clone(),
            tables,
            expect,
            on_mismatch: job.on_mismatch.map_or_else(OnMismatch::default, |on_mismatch| on_mismatch.value),
            sinks,
            outboxes,
            places: names::places(job),
        })
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
                (job.records.0.get(*index).map_or(job.records.span, Text::span), error.to_string())
            }
            SelectorError::Program(error) => {
                let unknown = error.message.starts_with("there is no variable");
                if self.partial && fan_out.is_none() && unknown {
                    return None;
                }
                let at = job.records.0.first().map_or(job.records.span, |text| word(text, error.offset));
                (at, format!("jq: {}", error.message))
            }
            _ => (job.records.span, error.to_string()),
        };
        let help = "write a plain path such as `.rsp.records[]`, a list of them, or one jq program";
        self.error(span, message, help);
        None
    }

    /// Returns the key's columns, with those of the fan-out, which it always includes.
    fn key(&mut self, job: &JobFile, for_each: Option<&FanOut>) -> Vec<String> {
        let Some(key) = &job.key else { return Vec::new() };
        let mut columns: Vec<String> = for_each.map(|for_each| for_each.key.clone()).unwrap_or_default();
        for column in &key.value.0 {
            if !columns.contains(&column.value) {
                columns.push(column.value.clone());
            }
        }
        if key.value.0.is_empty() {
            self.missing(key.span, "`key` names no column", "name the columns that identify a row, or remove `key`");
        }
        columns
    }

    fn latest_by(&mut self, job: &JobFile) {
        let Some(latest_by) = &job.latest_by else { return };
        self.sql_expression(latest_by);
        if job.key.is_none() {
            let help = "add `key:`, the columns that identify a row, or remove `latest_by`";
            self.missing(
                latest_by.span(),
                "`latest_by` chooses among rows with one key, and the job has no `key`",
                help,
            );
        }
    }
}
