//! From a pipeline as typed to one as meant. Everything that can be known without sending a request is checked here, and all
//! mistakes are reported at once.

mod graph;
mod job;
mod paging;
mod request;
mod sinks;
mod slicing;
mod source;
mod unbuilt;

use chrono_tz::Tz;

use super::file::{PipelineFile, ScheduleFile};
use super::load::{self, Diagnostic, Jq as JqText, Lookup, Severity, Source, Span, Spanned, Sql};
use super::spec::{Pipeline, Schedule};
use crate::lang::jq::Jq;
use crate::lang::sql;
use crate::model::PipelineName;

/// The longest name of a pipeline, a job or a sink: names become file names, and those have a limit of 255 bytes.
const MAX_NAME: usize = 64;

/// A checked pipeline, and what its author should know though it runs.
#[derive(Debug)]
pub struct Checked {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Warnings, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// Loads `source`, with `${...}` looked up in `lookup`, and checks it.
///
/// # Errors
/// All mistakes of the file, warnings among them, in the order of the file.
pub fn load(source: &Source, lookup: &dyn Lookup) -> Result<Checked, Vec<Diagnostic>> {
    check(&load::load::<PipelineFile>(source, lookup)?)
}

/// Checks a pipeline as typed.
///
/// # Errors
/// All mistakes of the file, warnings among them, in the order of the file.
pub fn check(file: &PipelineFile) -> Result<Checked, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let pipeline = findings.pipeline(file);
    load::diagnostic::sort(&mut findings.all);
    match pipeline {
        Some(pipeline) if !findings.has_errors() => Ok(Checked { pipeline, warnings: findings.all }),
        _ => Err(findings.all),
    }
}

/// What has been found so far.
#[derive(Default)]
struct Findings {
    all: Vec<Diagnostic>,
}

impl Findings {
    fn pipeline(&mut self, file: &PipelineFile) -> Option<Pipeline> {
        if file.version.value != 1 {
            let message = format!("version {} of the pipeline file is not known", file.version.value);
            self.add(Diagnostic::error(file.version.span, message).expected("`1`"));
        }
        self.name(&file.name, "a pipeline's name", '-');
        unbuilt::pipeline(self, file);
        let timezone = self.timezone(file.schedule.as_ref());
        let schedule = file.schedule.as_ref().and_then(|schedule| self.schedule(schedule));
        if file.jobs.is_empty() {
            self.error(file.name.span, "the pipeline has no jobs", "add one under `jobs:`");
        }
        let order = graph::order(self, &file.jobs);
        let jobs: Vec<_> = order
            .iter()
            .filter_map(|name| file.jobs.get_key_value(*name))
            .filter_map(|(name, job)| self.job(name, job, file))
            .collect();
        Some(Pipeline {
            name: PipelineName::new(file.name.value.clone()),
            description: file.description.clone(),
            timezone: timezone?,
            schedule,
            jobs,
        })
    }

    fn timezone(&mut self, schedule: Option<&ScheduleFile>) -> Option<Tz> {
        let Some(zone) = schedule.and_then(|schedule| schedule.timezone.as_ref()) else { return Some(Tz::UTC) };
        let known = zone.value.parse().ok();
        if known.is_none() {
            let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
            let near = load::nearest(&zone.value, &names).map_or_else(
                || "write an IANA name such as `Europe/Rome` or `UTC`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.error(zone.span, format!("the time zone `{}` is not known", zone.value), near);
        }
        known
    }

    fn schedule(&mut self, schedule: &ScheduleFile) -> Option<Schedule> {
        let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Optional).build();
        if let Err(error) = parser.parse(&schedule.cron.value) {
            let message = format!("`{}` is not a cron expression: {error}", schedule.cron.value);
            let help = "write minute, hour, day of month, month and day of week, such as '15 2 * * *'";
            self.error(schedule.cron.span, message, help);
            return None;
        }
        Some(Schedule {
            cron: schedule.cron.value.clone(),
            overlap: schedule.overlap,
            catch_up: schedule.catch_up,
            jitter: schedule.jitter.map_or(std::time::Duration::ZERO, |jitter| jitter.0),
        })
    }

    fn add(&mut self, diagnostic: Diagnostic) {
        self.all.push(diagnostic);
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::error(span, message).help(help));
    }

    fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::warning(span, message).help(help));
    }

    fn has_errors(&self) -> bool {
        self.all.iter().any(|found| found.severity == Severity::Error)
    }

    /// Checks a name of lower-case letters, digits and `joint`, which file names, metrics and SQL can all bear.
    fn name(&mut self, name: &Spanned<String>, what: &str, joint: char) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint;
        let edges = name.value.starts_with(joint) || name.value.ends_with(joint);
        if name.value.is_empty() || name.value.len() > MAX_NAME || edges || !name.value.chars().all(plain) {
            let message = format!("`{}` can't be {what}", name.value);
            let help = format!("use lower-case letters, digits and `{joint}` between them, at most {MAX_NAME} in all");
            self.error(name.span, message, help);
        }
    }

    /// Compiles a jq expression, or points at its mistake.
    fn jq(&mut self, text: &JqText, vars: &[&str]) -> Option<Jq> {
        match Jq::compile(text.as_str(), vars) {
            Ok(program) => Some(program),
            Err(error) => {
                let at = text.file_offset(error.offset);
                self.add(Diagnostic::error(Span::new(at, at + 1), format!("jq: {}", error.message)));
                None
            }
        }
    }

    /// Checks an SQL expression, or points at its mistake.
    fn sql_expression(&mut self, text: &Sql) {
        if let Err(error) = sql::check_expr(text.as_str()) {
            self.sql_error(text, &error);
        }
    }

    fn sql_error(&mut self, text: &Sql, error: &sql::SqlSyntaxError) {
        let at = text.file_offset(error.offset);
        self.add(Diagnostic::error(Span::new(at, at + 1), format!("SQL: {}", error.message)));
    }
}
