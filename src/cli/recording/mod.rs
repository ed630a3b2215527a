//! `tidegate record` and `tidegate test`: a pipeline file tried against answers that an API once gave.

mod folder;
mod landed;
mod lookup;
mod record;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::folder::About;
use self::landed::Landed;
use self::lookup::{Recorded, Variables};
use super::args::Output;
use super::{load, print};
use crate::extract::auth::Redactor;
use crate::extract::http::{DEFAULT_MEMORY_LIMIT, Player, Take, Tape};
use crate::model::JobName;
use crate::pipeline::spec::{Job, Pipeline, Source};
use crate::run::{Env, PreviewOptions, RunError, Silent, Sources, preview};

pub(super) use self::record::{RecordArguments, record};
pub(super) use self::test::{TestArguments, test};

/// Where the ledger of a pipeline is that is only tried.
const NOWHERE: &str = "memory://recording";

/// Returns an environment whose requests go by a tape. It shows no bars: what is taken away of them later takes a part of what was printed along.
fn on(tape: Tape, env: &Env) -> Env {
    let sources = Arc::new(Sources::new(DEFAULT_MEMORY_LIMIT).on(tape));
    Env { sources, progress: Arc::new(Silent), ..env.clone() }
}

/// Loads a file as it was when it was recorded. What is wrong with it has been shown where there is none.
fn load(file: &Path, known: &Variables, output: Output) -> Option<Pipeline> {
    // Where the file can't be read, that is shown as it is loaded.
    let text = load::source(file).map(|source| source.text).unwrap_or_default();
    let lookup = Recorded { known, environment: load::environment(file), text: &text };
    let mut pipeline = load::pipeline_with(file, &lookup, output)?;
    for job in &mut pipeline.jobs {
        job.outboxes.iter_mut().map(|outbox| &mut outbox.source).chain([&mut job.source]).for_each(unplug);
    }
    Some(pipeline)
}

/// Takes away what only a connection needs: nothing is sent.
fn unplug(source: &mut Source) {
    (source.ca_file, source.client_cert, source.client_key, source.proxy) = (None, None, None, None);
}

/// Why it can't be told what a job would land.
enum Unplayed {
    /// It can't be read.
    Run(RunError),
    /// Its rows can't be written as JSON.
    Rows(std::io::Error),
}

impl Unplayed {
    fn told_of(&self, job: &Job) -> String {
        match self {
            Self::Run(error) => error.told_of(job),
            Self::Rows(error) => format!("the rows can't be written as JSON: {error}"),
        }
    }
}

/// Tells what a job would land by answers that were taken down.
async fn rehearse(
    pipeline: &Pipeline,
    job: &JobName,
    takes: Vec<Take>,
    about: &About,
    env: &Env,
) -> Result<Landed, Unplayed> {
    let secrets = env.sources.secrets(pipeline).map_err(Unplayed::Run)?.secrets();
    let all = Redactor::for_good(secrets.into_iter().chain(about.variables.stand_ins()).collect());
    let env = on(Tape::Playing(Arc::new(Player::new(takes, all))), env);
    let options = options(about.now, about.rows, NOWHERE, true);
    let preview = preview(pipeline, job, &options, &env).await.map_err(Unplayed::Run)?;
    Landed::of(&preview).map_err(Unplayed::Rows)
}

/// Says how a job is to be read: until there are so many rows, or to the end of its slice.
fn options(now: DateTime<Utc>, rows: Option<u64>, state: &str, retry_refused: bool) -> PreviewOptions {
    let rows = rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(usize::MAX);
    PreviewOptions { now, rows, whole_pages: true, state: state.to_owned(), retry_refused }
}

/// Returns `--recording DIR` for a command line, where it was given.
fn typed(named: Option<&PathBuf>) -> String {
    named.map(|folder| format!(" --recording {}", print::word(folder))).unwrap_or_default()
}

/// Returns the jobs of a pipeline that bring rows of their own, of those that were named, if any were.
fn jobs<'p>(pipeline: &'p Pipeline, named: &[JobName]) -> impl Iterator<Item = &'p Job> {
    pipeline.jobs.iter().filter(move |job| job.lands() && (named.is_empty() || named.contains(&job.name)))
}

/// Returns the folder of a recording.
fn recording(file: &Path, named: Option<&PathBuf>) -> PathBuf {
    named.cloned().unwrap_or_else(|| folder::beside(file))
}
