//! What needs a person: what failed, why, what is missing, and what to type.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::known::{Chain, Known};
use super::runs::{Failure, RunLine, failures};
use super::text::{count, plural, word};
use crate::model::Window;
use crate::pipeline::load::concealed;
use crate::run::is_of_another_ledger;
use crate::schedule::{FileError, PipelineView};

/// How many jobs of one run, and holes of one job, are named one by one.
const NAMED: usize = 5;

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    /// `bad`, or `warn` where nothing is lost.
    pub(super) tone: &'static str,
    /// The pipeline; none for a file that has none.
    pub(super) pipeline: Option<String>,
    /// What is wrong, in a few words.
    pub(super) what: String,
    /// When it came about.
    pub(super) at: Option<DateTime<Utc>>,
    /// Why.
    pub(super) why: Option<String>,
    /// Whether the reason is a text of many lines.
    pub(super) many_lines: bool,
    /// What is missing.
    pub(super) missing: Vec<String>,
    /// What happens by itself.
    pub(super) next: Option<String>,
    /// What to type.
    pub(super) commands: Vec<String>,
    /// The run that it is about.
    pub(super) run: Option<String>,
}

impl Trouble {
    fn new(tone: &'static str, pipeline: Option<&PipelineView>, what: String) -> Self {
        Self {
            tone,
            pipeline: pipeline.map(|view| view.pipeline.name.to_string()),
            what,
            at: None,
            why: None,
            many_lines: false,
            missing: Vec::new(),
            next: None,
            commands: Vec::new(),
            run: None,
        }
    }
}

/// Says what is wrong with a file.
pub(super) fn of_file(refused: &FileError) -> Trouble {
    let file = refused.file.display();
    let rest = if refused.goes_on { "; what was read from it before goes on" } else { "" };
    let what = format!("{file} can't be used{rest}");
    Trouble {
        why: Some(concealed(&refused.error)),
        many_lines: true,
        commands: vec![format!("tidegate validate {}", word(&file.to_string()))],
        ..Trouble::new("bad", None, what)
    }
}

/// Says that the folder can't be read: what was read before may have been changed, or removed, since.
pub(super) fn of_folder(unread: &str) -> Trouble {
    let next = "What was read before goes on, as often as it is due; new, changed and removed files count once the folder can be read again.";
    Trouble {
        why: Some(unread.to_owned()),
        next: Some(next.to_owned()),
        ..Trouble::new("bad", None, "the folder of the pipeline files can't be read".to_owned())
    }
}

/// Makes command lines for a pipeline.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    file: String,
    state: String,
}

impl Typed {
    pub(super) fn new(view: &PipelineView, state: &str) -> Self {
        Self { file: word(&view.file.display().to_string()), state: word(state) }
    }

    /// `tidegate VERB FILE MORE --state STATE`.
    pub(super) fn line(&self, verb: &str, more: &str) -> String {
        let space = if more.is_empty() { "" } else { " " };
        format!("tidegate {verb} {}{space}{more} --state {}", self.file, self.state)
    }

    /// Reads a hole again.
    pub(super) fn backfill(&self, job: &str, hole: &Window) -> String {
        let at = |instant: DateTime<Utc>| instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.line("backfill", &format!("--job {job} --from {} --to {} --missing", at(hole.from), at(hole.to)))
    }
}

/// Returns what is wrong with a pipeline, the worst first.
pub(super) fn of_pipeline(view: &PipelineView, known: &Known, last: Option<&RunLine>, state: &str) -> Vec<Trouble> {
    let typed = Typed::new(view, state);
    let mut found = Vec::new();
    if let Some(why) = view.trouble.as_ref().or(known.error.as_ref()) {
        found.push(Trouble {
            why: Some(why.clone()),
            next: view.trouble.as_ref().map(|_| "It is tried again every second.".to_owned()),
            commands: vec![typed.line("status", "")],
            ..Trouble::new("bad", Some(view), "the ledger can't be read, so nothing runs on schedule".to_owned())
        });
    }
    if let Some(line) = last.filter(|line| line.badge.is_bad()) {
        found.extend(of_run(view, known, line, &typed));
    }
    found.extend(overdue(view, known, &found, &typed));
    found
}

/// Says what failed of the last run, job by job.
fn of_run(view: &PipelineView, known: &Known, line: &RunLine, typed: &Typed) -> Vec<Trouble> {
    let own = view.ended.iter().find(|end| end.run.as_str() == line.id);
    let mut failed = own.map(|end| failures(end)).unwrap_or_default();
    if failed.is_empty() {
        // Of older runs the ledger keeps the first error, which begins with its job.
        let why = line.error.clone().unwrap_or_else(|| "it never said how it ended".to_owned());
        let job = why
            .split_once(": ")
            .map(|(job, _)| job)
            .filter(|job| view.pipeline.jobs.iter().any(|one| one.name.as_str() == *job));
        failed.push(Failure { job: job.map(str::to_owned), sink: None, slices: 0, why });
    }
    let more = failed.len().saturating_sub(NAMED);
    let next = (view.next, view.paused).into();
    let mut troubles: Vec<Trouble> = failed
        .into_iter()
        .take(NAMED)
        .map(|failure| {
            let job = failure.job.as_deref();
            let what = match (job, failure.slices) {
                (Some(job), _) if let Some((sink, _)) = &failure.sink => {
                    format!("sink {sink} of job {job} couldn't send all")
                }
                (Some(job), 1) => format!("1 slice of job {job} failed"),
                (Some(job), slices @ 2..) => format!("{} slices of job {job} failed", count(slices)),
                (Some(job), _) => format!("job {job} failed"),
                (None, _) => format!("the run {}", broke_off(line.badge.word)),
            };
            let (verb, missing) = match &failure.sink {
                Some((_, left)) => ("deliver", vec![format!("{} that landed and weren't sent", plural(*left, "row"))]),
                None => ("run", holes(known, job)),
            };
            let of_job = job.map(|job| format!("--job {job}")).unwrap_or_default();
            let (next, commands) = what_helps(&failure.why, next, typed.line(verb, &of_job));
            Trouble {
                at: line.ended.or(Some(line.started)),
                why: Some(failure.why),
                missing,
                next: Some(next),
                commands,
                run: Some(line.id.clone()),
                ..Trouble::new("bad", Some(view), what)
            }
        })
        .collect();
    if more > 0 {
        let what = format!("and {} more jobs failed in the same run", count(more as u64));
        troubles.push(Trouble { run: Some(line.id.clone()), ..Trouble::new("bad", Some(view), what) });
    }
    troubles
}

/// Says how a run that didn't come to its end ended, by the word of its badge.
fn broke_off(word: &str) -> &'static str {
    match word {
        "died" => "died",
        "our bug" => "was ended by a bug of Tidegate",
        _ => "failed",
    }
}

/// What comes next by schedule.
#[derive(Debug, Clone, Copy)]
struct Next(Option<DateTime<Utc>>, bool);

impl From<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> for Next {
    fn from((next, paused): (Option<DateTime<Utc>>, Option<DateTime<Utc>>)) -> Self {
        Self(next, paused.is_some())
    }
}

fn then(next: Next) -> String {
    match next {
        Next(_, true) => "The pipeline is paused, so nothing tries again by itself.".to_owned(),
        Next(Some(at), _) => format!("The next run tries again, at {} UTC.", at.format("%Y-%m-%d %H:%M:%S")),
        Next(None, _) => "It has no schedule, so nothing tries again by itself.".to_owned(),
    }
}

/// Says what comes next, and what to type: nothing where the reason says what helps, and no run does.
fn what_helps(why: &str, next: Next, command: String) -> (String, Vec<String>) {
    if is_of_another_ledger(why) {
        return ("Each run ends like this until what the reason says is done: choose one.".to_owned(), Vec::new());
    }
    (then(next), vec![command])
}

/// Names what a job, or the pipeline, should have landed and hasn't.
fn holes(known: &Known, job: Option<&str>) -> Vec<String> {
    let of_job = |chain: &&Chain| job.is_none_or(|job| chain.standing.job.as_str() == job);
    let mut named: Vec<String> = Vec::new();
    let mut more = 0;
    for chain in known.chains.iter().filter(of_job) {
        for hole in &chain.overdue_holes {
            if named.len() < NAMED {
                named.push(format!("{} {}", place(chain), span(hole)));
            } else {
                more += 1;
            }
        }
    }
    if more > 0 {
        named.push(format!("and {} more holes", count(more)));
    }
    named
}

/// Names a chain: the job, and the fan-out value where there is one.
pub(super) fn place(chain: &Chain) -> String {
    let key = chain.standing.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    format!("{}{key}:", chain.standing.job)
}

/// Writes a stretch of time, UTC.
pub(super) fn span(window: &Window) -> String {
    let show = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M");
    format!("{} to {} UTC", show(window.from), show(window.to))
}

/// Says of which jobs windows are missing though no failure of the last run explains it.
fn overdue(view: &PipelineView, known: &Known, found: &[Trouble], typed: &Typed) -> Vec<Trouble> {
    if found.iter().any(|trouble| !trouble.missing.is_empty()) {
        return Vec::new();
    }
    let mut troubles = Vec::new();
    for chain in known.chains.iter().filter(|chain| chain.overdue > 0) {
        let (job, windows) = (chain.standing.job.as_str(), count(chain.overdue));
        let plural = if chain.overdue == 1 { "window hasn't" } else { "windows haven't" };
        let holes = chain.overdue_holes.iter().take(NAMED);
        let what = format!("{windows} {plural} landed of job {job}");
        if troubles.len() == NAMED {
            troubles.push(Trouble::new("warn", Some(view), "and more jobs with missing windows".to_owned()));
            break;
        }
        troubles.push(Trouble {
            missing: holes.clone().map(|hole| format!("{} {}", place(chain), span(hole))).collect(),
            next: Some(then((view.next, view.paused).into())),
            commands: holes.take(2).map(|hole| typed.backfill(job, hole)).collect(),
            ..Trouble::new("warn", Some(view), what)
        });
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunError;

    #[test]
    fn a_run_is_not_advised_where_none_helps() {
        let next = Next("2026-11-26T00:00:00Z".parse().ok(), false);
        let of = |why: &str| what_helps(why, next, "tidegate run p.yaml".to_owned());
        let other = RunError::OtherLedger { root: "lake".to_owned(), state: "state".to_owned() };
        let (said, commands) = of(&other.to_string());
        assert!(!said.contains("tries again") && commands.is_empty(), "{said} {commands:?}");
        let (said, commands) = of("no connection");
        assert!(
            said.starts_with("The next run tries again") && commands == ["tidegate run p.yaml"],
            "{said} {commands:?}"
        );
    }
}
