//! `tidegate vacuum`: remove what nothing names any more.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::args::{Output, StateArgument};
use super::{CliError, Exit, load, print};
use crate::run::{self as runs, Env, Gone, Vacuumed, Vacuuming};

/// The most objects that are shown one by one.
const SHOWN: usize = 50;

/// What `vacuum` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "In a bucket, uploads that a killed run has begun cost money until they are aborted, which this does. It takes the permission \
                        to list uploads (s3:ListBucketMultipartUploads). For stores that don't list them, and as a second net, let a \
                        lifecycle rule of the bucket abort incomplete uploads after seven days.\n\n\
                        Examples:\n  tidegate vacuum ntopng.yaml --dry-run\n  tidegate vacuum ntopng.yaml"
)]
pub(super) struct VacuumArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// Show what would be removed, and why. Nothing is written, and no lease is taken.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Remove also what landed of values of `for_each` that are gone, in lists by `snapshot: latest`: rows of a shop that was closed, say.
    ///
    /// `status` marks them as retired. See by `--dry-run` whether they are gone indeed: a parent's list may have come back short. What landed of
    /// them by `window`, `incremental` or `snapshot: daily` is history, and stays; so does what jobs with an `http` sink landed.
    #[arg(long)]
    retired: bool,
}

/// Removes what isn't needed of pipeline files, or shows it.
pub(super) async fn run(arguments: &VacuumArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines_to_look_at(&arguments.files, output) else { return Ok(Exit::Refused) };
    let mut all = Vec::new();
    for pipeline in &pipelines {
        let what = Vacuuming { dry_run: arguments.dry_run, retired: arguments.retired };
        let done = runs::vacuum(pipeline, &arguments.state.state, env.clock.now(), what, &env).await;
        match done {
            Ok(found) if output == Output::Text => {
                print::done(print::text(&format!("{}\n{}", pipeline.name, text(&found, arguments.dry_run))));
            }
            Ok(found) => all.push(json!({
                "pipeline": pipeline.name, "dry_run": arguments.dry_run, "bytes": found.bytes(), "found": found,
            })),
            Err(error) => {
                print::problem(&format!("{}: {}", pipeline.name, error.chain()));
                return Ok(env.exit(&error));
            }
        }
    }
    if output == Output::Json {
        print::done(print::json(&all));
    }
    Ok(Exit::Done)
}

fn text(found: &Vacuumed, dry_run: bool) -> String {
    let mut out: String = found.settled.iter().map(|sentence| format!("settled: {sentence}\n")).collect();
    for removal in found.removed.iter().take(SHOWN) {
        out += &format!("  {} ({})\n    {}\n", removal.place, print::size(removal.bytes), removal.why);
    }
    let (count, more) = (found.removed.len(), found.removed.len().saturating_sub(SHOWN));
    if more > 0 {
        out += &format!("  and {more} more; `--output json` has them all\n");
    }
    for place in found.unknown.iter().take(SHOWN) {
        out += &format!("  left alone: {place}: its name is like ours, but this ledger knows no such slice\n");
    }
    for Gone { job, key, slices, files, first, advice } in &found.gone {
        let key = key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let (files, slices) = (print::counted(*files, "file"), print::counted(*slices, "slice"));
        out += &format!("  gone: {files} of {slices} of {job}{key} that landed, such as {first}\n    {advice}\n");
    }
    out.extend(found.notes.iter().map(|note| format!("  note: {note}\n")));
    let verb = if dry_run { "would be removed" } else { "removed" };
    let what = if count == 1 { "1 object".to_owned() } else { format!("{} objects", print::count(count as u64)) };
    out + &format!("{what} {verb}, {}", print::size(found.bytes()))
}
