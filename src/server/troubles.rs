//! What needs a person: what failed, why, what is missing, and what to type.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::health::{Health, JobFailure};
use super::known::{Chain, Known};
use super::text::{count, plural, word};
use crate::ledger::{Failure, HowItFailed};
use crate::model::{Asked, FanoutKey, JobName, SinkName, Window};
use crate::pipeline::load::concealed;
use crate::schedule::{FileError, PipelineView};

/// How many troubles of a pipeline are named one by one, and holes and jobs of one trouble.
const NAMED: usize = 5;
const FAILURES: usize = 10;

/// What is said of a window that has landed, and wasn't read again.
const STAYS: &str = ", not read again: what landed before stays";

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
    /// Whether that run never ended.
    pub(super) died: bool,
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
            died: false,
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
        commands: vec![match &refused.other {
            Some(other) => {
                format!("tidegate validate {} {}", word(&other.display().to_string()), word(&file.to_string()))
            }
            None => format!("tidegate validate {}", word(&file.to_string())),
        }],
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

    /// `tidegate VERB FILE --state STATE`.
    pub(super) fn line(&self, verb: &str) -> String {
        format!("tidegate {verb} {} --state {}", self.file, self.state)
    }

    /// Asks for the same of some jobs, with one more option.
    fn again(&self, asked: &Asked, jobs: &[JobName], option: &str) -> String {
        asked.command(&self.file, jobs, option, &self.state)
    }

    /// Reads a hole again.
    pub(super) fn backfill(&self, job: &JobName, hole: &Window) -> String {
        let asked = Asked { window: Some(*hole), missing: true, ..Asked::new("backfill") };
        self.again(&asked, std::slice::from_ref(job), "")
    }
}

/// Returns what is wrong with a pipeline, the worst first.
pub(super) fn of_pipeline(view: &PipelineView, known: &Known, health: &Health, state: &str) -> Vec<Trouble> {
    let typed = Typed::new(view, state);
    let mut found = Vec::new();
    let unread = match (&view.trouble, &known.error) {
        (Some(why), _) => {
            Some((why, "the ledger can't be read, so nothing runs on schedule", "It is tried again every second."))
        }
        (None, Some(why)) => {
            let next = "Runs begin by schedule all the same, and fail as long as it stays so.";
            Some((why, "the ledger can't be read, so it isn't known what has landed, and how older runs ended", next))
        }
        (None, None) => None,
    };
    if let Some((why, what, next)) = unread {
        found.push(Trouble {
            why: Some(why.clone()),
            next: Some(next.to_owned()),
            commands: vec![typed.line("status")],
            ..Trouble::new("bad", Some(view), what.to_owned())
        });
    }
    found.extend(health.failures.iter().take(FAILURES).map(|failed| of_failure(view, known, failed, &typed)));
    let more = health.failures.len().saturating_sub(FAILURES);
    if more > 0 {
        let what = format!("and {} more failures, older than these", count(more as u64));
        found.push(Trouble::new("bad", Some(view), what));
    }
    let of_runs = |failed: &&JobFailure| failed.failure.sink.is_none() && failed.failure.of.asked.window.is_none();
    let told = health.failures.iter().filter(of_runs).flat_map(|failed| &failed.jobs).collect();
    found.extend(overdue(view, known, &told, &typed));
    found.extend(health.refused.iter().map(|(job, sink, rows)| of_refused(view, job, sink, *rows, &typed)));
    if view.running.is_none() {
        found.extend(never_run(view, &health.never, &typed));
    }
    found
}

/// Says that the server of a sink has refused rows for good.
fn of_refused(view: &PipelineView, job: &JobName, sink: &SinkName, rows: u64, typed: &Typed) -> Trouble {
    let next = "They aren't sent again by themselves: once the rows, or what the sink makes of them, are put right, they are sent by:";
    Trouble {
        missing: vec![format!(
            "{} that landed and weren't sent; the server's answers lie beside them",
            plural(rows, "row")
        )],
        next: Some(next.to_owned()),
        commands: vec![typed.line("quarantine list"), format!("{} --refused", typed.line("deliver"))],
        ..Trouble::new(
            "warn",
            Some(view),
            format!("the server of sink {sink} of job {job} refused {}", plural(rows, "row")),
        )
    }
}

/// Says what failed of some jobs in one run.
fn of_failure(view: &PipelineView, known: &Known, failed: &JobFailure, typed: &Typed) -> Trouble {
    let JobFailure { jobs, failure } = failed;
    let asked = &failure.of.asked;
    let landing = view.pipeline.jobs.iter().filter(|job| job.lands()).count();
    let named = if jobs.len() == landing && jobs.len() > 1 { &[] } else { &jobs[..] };
    let missing = match &failure.sink {
        Some((_, left)) => vec![format!("{} that landed and weren't sent", plural(*left, "row"))],
        None if asked.window.is_some() => unread(known, jobs, failure),
        None => holes(known, jobs, failure),
    };
    let why = failure.error.clone().unwrap_or_else(|| {
        match failure.how {
            HowItFailed::Died => "it never said how it ended: its process was killed, or its machine went away",
            HowItFailed::Interrupted => {
                "its process was told to end: what had landed stays, and the rest was thrown away"
            }
            HowItFailed::Stopped => {
                "it came to a limit that it was given, or its process was told to end: what had begun has landed"
            }
            HowItFailed::Failed => "it never said why",
        }
        .to_owned()
    });
    let next = match (failure.remedy, asked.verb.as_str()) {
        (Some(remedy), "backfill") => format!("{} Where nobody wants it any more, dismiss it.", remedy.told()),
        (Some(remedy), _) => remedy.told().to_owned(),
        (None, verb) if verb == "run" || failure.sink.is_some() => then(view),
        (None, "backfill") => {
            "No run makes up for a backfill: what it was to read is read when it is asked for again; where nobody wants it any more, \
             dismiss it."
                .to_owned()
        }
        (None, _) => "Nothing tries it again by itself.".to_owned(),
    };
    let tone = if failure.how.is_failure() { "bad" } else { "warn" };
    Trouble {
        at: Some(failure.of.at),
        why: Some(why),
        missing,
        next: Some(next),
        commands: failure.against(&typed.file, named, &typed.state),
        run: Some(failure.of.run.clone()),
        died: failure.how == HowItFailed::Died,
        ..Trouble::new(tone, Some(view), what_failed(named, failure))
    }
}

/// Says in a few words what failed.
fn what_failed(jobs: &[JobName], failure: &Failure) -> String {
    let verb = match failure.of.asked.verb.as_str() {
        "deliver" => "delivery",
        verb => verb,
    };
    let within = if verb == "run" { String::new() } else { format!(" in a {verb}") };
    let jobs = match jobs {
        [] => None,
        [one] => Some(format!("job {one}")),
        some => {
            let shown: Vec<&str> = some.iter().take(NAMED).map(JobName::as_str).collect();
            let more = some.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("jobs {}{more}", shown.join(", ")))
        }
    };
    let of_jobs = jobs.as_ref().map(|jobs| format!(" of {jobs}")).unwrap_or_default();
    match (failure.how, &failure.sink, failure.slices) {
        (_, Some((sink, _)), _) => format!("sink {sink}{of_jobs} couldn't send all"),
        (HowItFailed::Died, ..) => format!("the {verb}{of_jobs} died"),
        (HowItFailed::Interrupted, ..) => format!("the {verb}{of_jobs} was interrupted"),
        (HowItFailed::Stopped, ..) => format!("the {verb}{of_jobs} was stopped before all of it had begun"),
        (HowItFailed::Failed, _, 0) => {
            jobs.map_or_else(|| format!("the {verb} failed"), |jobs| format!("{jobs} failed{within}"))
        }
        (HowItFailed::Failed, _, 1) => format!("1 slice{of_jobs} failed{within}"),
        (HowItFailed::Failed, _, slices) => format!("{} slices{of_jobs} failed{within}", count(slices)),
    }
}

/// Names what a backfill should have read and hasn't.
fn unread(known: &Known, jobs: &[JobName], failure: &Failure) -> Vec<String> {
    let mut named = Vec::new();
    for job in jobs {
        for one in &failure.windows {
            let key = one.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
            let stays = if has_landed(known, job, one.key.as_ref(), &one.window) { STAYS } else { "" };
            named.push(format!("{job}{key}: {}{stays}", span(&one.window)));
        }
    }
    shorten(named, "more stretches")
}

/// Keeps as many lines as are named one by one, and counts the rest.
fn shorten(mut lines: Vec<String>, what: &str) -> Vec<String> {
    let more = lines.len().saturating_sub(NAMED);
    lines.truncate(NAMED);
    if more > 0 {
        lines.push(format!("and {} {what}", count(more as u64)));
    }
    lines
}

/// Says which jobs no run has ever taken part in.
fn never_run(view: &PipelineView, jobs: &[JobName], typed: &Typed) -> Option<Trouble> {
    let shown: Vec<&str> = jobs.iter().take(NAMED).map(JobName::as_str).collect();
    let more = if jobs.len() > NAMED { format!(" and {} more", jobs.len() - NAMED) } else { String::new() };
    let what = match jobs.len() {
        0 => return None,
        1 => format!("job {} has never run", shown.join(", ")),
        _ => format!("jobs {}{more} have never run", shown.join(", ")),
    };
    let next = match view.next {
        Some(at) if view.paused.is_none() => {
            format!("The next run does it, at {} UTC.", at.format("%Y-%m-%d %H:%M:%S"))
        }
        _ => "Nothing runs by itself.".to_owned(),
    };
    let commands = vec![typed.again(&Asked::new("run"), jobs, "")];
    Some(Trouble { next: Some(next), commands, ..Trouble::new("warn", Some(view), what) })
}

/// Says what comes next by schedule.
fn then(view: &PipelineView) -> String {
    match view.next {
        _ if view.paused.is_some() => "The pipeline is paused, so nothing tries again by itself.".to_owned(),
        Some(at) => format!("The next run tries again, at {} UTC.", at.format("%Y-%m-%d %H:%M:%S")),
        None => "It has no schedule, so nothing tries again by itself.".to_owned(),
    }
}

/// Names what some jobs should have landed and haven't: the windows that aren't there, and the slices that failed and aren't among them.
fn holes(known: &Known, jobs: &[JobName], failure: &Failure) -> Vec<String> {
    let of_jobs = |chain: &&Chain| jobs.is_empty() || jobs.contains(&chain.standing.job);
    let chains = || known.chains.iter().filter(of_jobs);
    let holes = chains()
        .flat_map(|chain| chain.overdue_holes.iter().map(move |hole| format!("{} {}", place(chain), span(hole))));
    let lost = failure.lost.iter().filter_map(|lost| {
        let [job] = jobs else { return None };
        let key = lost.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        match lost.window {
            Some(window) if !has_landed(known, job, lost.key.as_ref(), &window) => None,
            Some(window) => Some(format!("{job}{key}: {}{STAYS}", span(&window))),
            None => {
                let chain = chains().find(|chain| chain.standing.key == lost.key);
                let landed = chain.map_or("nothing yet", |chain| &chain.standing.reach);
                Some(format!("{job}{key}: slice {}; has landed: {landed}", lost.slice))
            }
        }
    });
    let mut named: Vec<String> = holes.chain(lost).collect();
    let more = failure.slices.saturating_sub(failure.lost.len() as u64);
    if more > 0 && named.len() == failure.lost.len() {
        named.push(format!("and {} more", plural(more, "slice")));
    }
    shorten(named, "more")
}

/// Tells whether a window has landed before.
fn has_landed(known: &Known, job: &JobName, key: Option<&FanoutKey>, window: &Window) -> bool {
    let ranges = known.state.landed_ranges(job, key);
    ranges.iter().any(|range| range.from <= window.from && window.to <= range.to)
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

/// Says of which jobs windows are missing though no failure that is told explains it.
fn overdue(view: &PipelineView, known: &Known, told: &BTreeSet<&JobName>, typed: &Typed) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for chain in known.chains.iter().filter(|chain| chain.overdue > 0 && !told.contains(&chain.standing.job)) {
        let (job, windows) = (&chain.standing.job, count(chain.overdue));
        let plural = if chain.overdue == 1 { "window hasn't" } else { "windows haven't" };
        let holes = chain.overdue_holes.iter().take(NAMED);
        let what = format!("{windows} {plural} landed of job {job}");
        if troubles.len() == NAMED {
            troubles.push(Trouble::new("warn", Some(view), "and more jobs with missing windows".to_owned()));
            break;
        }
        troubles.push(Trouble {
            missing: holes.clone().map(|hole| format!("{} {}", place(chain), span(hole))).collect(),
            next: Some(then(view)),
            commands: holes.take(2).map(|hole| typed.backfill(job, hole)).collect(),
            ..Trouble::new("warn", Some(view), what)
        });
    }
    troubles
}
