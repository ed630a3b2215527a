//! From a pipeline as typed to one as meant. Everything that can be known without sending a request is checked here, and all
//! mistakes are reported at once.

mod auth;
mod columns;
mod connect;
mod enrich;
mod fan_out;
mod fits;
mod format;
mod graph;
mod hide;
mod hooks;
mod incremental;
mod job;
mod names;
mod outbox;
mod paging;
mod parts;
mod places;
mod request;
mod roots;
mod schema;
mod sinks;
mod slicing;
mod source;
mod transform;
mod weak;

use std::sync::Arc;

use chrono::DateTime;
use chrono_tz::Tz;

use self::request::{ANSWER_VARS, PAGE_VARS};
use super::cron;
use super::file::{PipelineFile, ScheduleFile};
use super::load::fields::Text;
use super::load::tree::Kind;
use super::load::{self, Diagnostic, Jq as JqText, Lookup, Severity, Source, Span, Spanned, Sql};
use super::spec::{Pipeline, Schedule};
use crate::lang::jq::{Jq, JqError};
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
    /// What would make it safer: warnings for those who write the file, not for each of its runs.
    pub advice: Vec<Diagnostic>,
}

/// Loads `source`, with `${...}` looked up in `lookup`, and checks it. Where a part of the file can't be read, the rest is checked.
///
/// # Errors
/// All mistakes of the file, warnings among them, in the order of the file.
pub fn load(source: &Source, lookup: &dyn Lookup) -> Result<Checked, Vec<Diagnostic>> {
    let seen = hide::Seen::new(lookup);
    let (file, mut found) = load::partly::<PipelineFile>(source, &seen);
    let mut findings = Findings::new(&source.text, found.iter().map(|one| one.span.start).collect());
    let pipeline = file.and_then(|file| findings.pipeline(&file));
    seen.hide(&source.text, &mut findings.all);
    seen.hide(&source.text, &mut findings.advice);
    // What stands at the empty span was made up for something missing, which has been reported.
    found.extend(findings.all.into_iter().filter(|one| one.span != Span::default()));
    found.extend(weak::secrets(source, lookup));
    load::diagnostic::sort(&mut found);
    match pipeline {
        Some(mut pipeline) if found.iter().all(|one| one.severity == Severity::Warning) => {
            let file = Arc::new(source.clone());
            pipeline.jobs.iter_mut().for_each(|job| job.places.are_in(Arc::clone(&file)));
            Ok(Checked { pipeline, warnings: found, advice: findings.advice })
        }
        _ => Err(found),
    }
}

/// Returns the name of the pipeline in a file that may have mistakes; none where it doesn't say a plain one.
#[must_use]
pub fn name(text: &str) -> Option<PipelineName> {
    let Kind::Map(entries) = load::yaml::parse(text).0?.kind else { return None };
    let named = entries.iter().find(|entry| entry.key.text == "name")?;
    let Kind::Scalar(scalar) = &named.value.kind else { return None };
    plain_name(scalar.text(), '-').filter(|plain| plain == scalar.text()).map(PipelineName::new)
}

/// What has been found so far.
struct Findings<'t> {
    all: Vec<Diagnostic>,
    advice: Vec<Diagnostic>,
    /// The text of the file.
    text: &'t str,
    /// Where parts of the file were refused, and are absent.
    holes: Vec<usize>,
    /// Whether there is such a part in what is being checked.
    partial: bool,
}

impl<'t> Findings<'t> {
    fn new(text: &'t str, holes: Vec<usize>) -> Self {
        Self { all: Vec::new(), advice: Vec::new(), text, partial: !holes.is_empty(), holes }
    }

    fn pipeline(&mut self, file: &PipelineFile) -> Option<Pipeline> {
        if file.version.value != 1 {
            let message = format!("version {} of the pipeline file is not known", file.version.value);
            self.add(Diagnostic::error(file.version.span, message).expected("`1`"));
        }
        self.name(&file.name, "a pipeline's name", '-');
        let on_failure = self.hook(file.on_failure.as_ref());
        let on_success = self.hook(file.on_success.as_ref());
        let timezone = self.timezone(file.schedule.as_ref());
        let schedule = file.schedule.as_ref().and_then(|schedule| self.schedule(schedule));
        if file.jobs.is_empty() {
            self.missing(file.name.span, "the pipeline has no jobs", "add one under `jobs:`");
        }
        let order = graph::order(self, &file.jobs);
        let jobs: Vec<_> = order
            .iter()
            .filter_map(|name| file.jobs.get_key_value(*name))
            .filter_map(|(name, job)| {
                self.enter(name, file);
                self.job(name, job, file)
            })
            .collect();
        self.roots(file);
        Some(Pipeline {
            name: PipelineName::new(file.name.value.clone()),
            description: file.description.clone(),
            timezone: timezone?,
            schedule,
            on_failure,
            on_success,
            jobs,
        })
    }

    /// Goes on to a job: what is absent there may have been refused there, or in `source`.
    fn enter(&mut self, name: &Spanned<String>, file: &PipelineFile) {
        let starts = || file.jobs.keys().map(|job| job.span.start);
        let start = name.span.start;
        let end = starts().filter(|other| *other > start).min().unwrap_or(self.text.len());
        let first = starts().min().unwrap_or(start);
        self.partial = self.holes.iter().any(|hole| (start..end).contains(hole) || *hole < first);
    }

    /// Tells whether a line of the file seems to be the key `name`, though it may have been refused.
    fn is_written(&self, name: &str) -> bool {
        !self.holes.is_empty()
            && self
                .text
                .lines()
                .any(|line| line.trim().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':')))
    }

    fn timezone(&mut self, schedule: Option<&ScheduleFile>) -> Option<Tz> {
        let Some(zone) = schedule.and_then(|schedule| schedule.timezone.as_ref()) else { return Some(Tz::UTC) };
        let known = zone.value.parse().ok();
        if known.is_none() {
            // An abbreviation is like others, which are hours away: only places are taken for misspelled.
            let names: Vec<&str> =
                chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| name.contains('/')).collect();
            let near = Some(&zone.value).filter(|name| name.contains('/')).and_then(|name| load::nearest(name, &names));
            let near = near.map_or_else(
                || "write an IANA name, such as `Europe/Rome`, `America/Los_Angeles` or `UTC`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.error(zone.span, format!("the time zone `{}` is not known", zone.value), near);
        }
        known
    }

    fn schedule(&mut self, schedule: &ScheduleFile) -> Option<Schedule> {
        let text = &schedule.cron.value;
        match cron::parse(text) {
            Err(error) => {
                let message = format!("`{text}` is not a cron expression: {}", cron::why(text, &error));
                let help = "write minute, hour, day of month, month and day of week, such as '15 2 * * *'";
                self.error(schedule.cron.span, message, help);
                return None;
            }
            Ok(cron) if cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false).is_err() => {
                let help = "check the day of the month against the month";
                self.error(schedule.cron.span, format!("`{text}` never comes to pass"), help);
                return None;
            }
            Ok(_) => {}
        }
        Some(Schedule {
            cron: text.clone(),
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

    /// Reports that something is absent, unless that may come from a mistake that was reported.
    fn missing(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if !self.partial {
            self.error(span, message, help);
        }
    }

    fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::warning(span, message).help(help));
    }

    fn advise(&mut self, span: Span, message: &str, help: &str) {
        let advice = Diagnostic::warning(span, message).help(help);
        // Jobs share their source, and each is looked at.
        if !self.advice.contains(&advice) {
            self.advice.push(advice);
        }
    }

    /// Checks a name of lower-case letters, digits and `joint`, which file names, metrics and SQL can all bear.
    fn name(&mut self, name: &Spanned<String>, what: &str, joint: char) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint;
        let edges = name.value.starts_with(joint) || name.value.ends_with(joint);
        if name.value.is_empty() || name.value.len() > MAX_NAME || edges || !name.value.chars().all(plain) {
            let message = format!("`{}` can't be {what}", name.value);
            let rule = format!("use lower-case letters, digits and `{joint}` between them, at most {MAX_NAME} in all");
            let help = plain_name(&name.value, joint).map_or(rule.clone(), |such| format!("{rule}: `{such}`"));
            self.error(name.span, message, help);
        }
    }

    /// Compiles a jq expression, or points at its mistake.
    fn jq(&mut self, text: &JqText, vars: &[&str]) -> Option<Jq> {
        match Jq::compile(text.as_str(), vars) {
            Ok(program) => Some(program),
            Err(error) => {
                self.jq_error(text, vars, &error);
                None
            }
        }
    }

    fn jq_error(&mut self, text: &JqText, vars: &[&str], error: &JqError) {
        // The variable of a `for_each` that was refused isn't known, but it would be.
        let own = vars.iter().any(|var| !ANSWER_VARS.contains(var) && !PAGE_VARS.contains(var));
        if own || !self.partial || !error.message.starts_with("there is no variable") {
            self.add(Diagnostic::error(word(text, error.offset), format!("jq: {}", error.message)));
        }
    }

    /// Checks an SQL expression, or points at its mistake.
    fn sql_expression(&mut self, text: &Sql) {
        if let Err(error) = sql::check_expr(text.as_str()) {
            self.sql_error(text, &error);
        }
    }

    fn sql_error(&mut self, text: &Sql, error: &sql::SqlSyntaxError) {
        // The parser gives no place for what is missing at the end.
        let (message, offset) = match error.message.strip_suffix("found: EOF") {
            Some(words) => (format!("{words}found the end of the text"), text.as_str().trim_end().len()),
            None => (error.message.replace(", found: ", ", found "), error.offset),
        };
        let message = message.replacen("expected: ", "expected ", 1);
        self.add(Diagnostic::error(word(text, offset), format!("SQL: {message}")));
    }
}

/// Returns where the word stands that begins at a byte of `text`: a name, a variable or a number as a whole, anything else by its
/// first character.
fn word<L>(text: &Text<L>, offset: usize) -> Span {
    if text.span() == Span::default() {
        return Span::default();
    }
    let rest = text.as_str().get(offset..).unwrap_or_default();
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let tail = rest.get(first..).unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let length = match rest.chars().next() {
        Some(c) if plain(c) || c == '$' || c == '@' => first + tail.find(|c| !plain(c)).unwrap_or(tail.len()),
        _ => first,
    };
    text.file_span(offset, offset + length)
}

/// Makes an acceptable name of one that isn't, where there is anything to make it of.
/// Makes a name of a text; `joint` stands for what a name can't have. None where nothing is left, or too much.
pub(crate) fn plain_name(name: &str, joint: char) -> Option<String> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let plain = parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join(&joint.to_string());
    (!plain.is_empty() && plain.len() <= MAX_NAME).then_some(plain)
}

#[cfg(test)]
mod tests;
