//! What nothing names any more, and its removal. Careful: only names that this ledger can have given, and only under the lease.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Data, Env, RunError, quarantine, release};
use crate::ledger::{DataStore as _, Lane, Ledger, LedgerError, LedgerState, Manifest, RunOutcome, RunSummary, Timing};
use crate::model::{FileReceipt, JobName};
use crate::pipeline::spec::Pipeline;
use crate::sink::{Found, NamedFile, slice_name};

/// What a vacuum found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Vacuumed {
    /// What was removed, or would be.
    pub removed: Vec<Removal>,
    /// What a run that died had left, settled first; a sentence each.
    pub settled: Vec<String>,
    /// Files with a name like ours that the ledger knows no slice of: left alone.
    pub unknown: Vec<String>,
}

/// Something that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Where it is.
    pub place: String,
    /// Its size; 0 where that isn't known.
    pub bytes: u64,
    /// Why it isn't needed.
    pub why: String,
}

/// A file that no state names.
struct Orphan {
    root: String,
    path: String,
}

/// Looks for what isn't needed; unless `dry_run`, takes the lease, settles what dead runs left, and removes it.
///
/// # Errors
/// The ledger or a data set can't be read; another run holds the lease.
pub async fn vacuum(
    pipeline: &Pipeline,
    state: &str,
    now: DateTime<Utc>,
    dry_run: bool,
    env: &Env,
) -> Result<Vacuumed, RunError> {
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let ledger = ledger.with_timing(Timing::default());
    let data = Data::new(Arc::clone(&env.stores));
    if ledger.read_state().await?.sequence() == 0 {
        return Ok(Vacuumed::default());
    }
    if dry_run {
        let places = roots(pipeline, state, &ledger.read_state().await?)?;
        // What is read after the files were listed names all of them that a run has made appear meanwhile.
        let found = list(&data, &places).await?;
        let known = ledger.read_state().await?;
        let mut all = look(pipeline, &ledger, &data, &known, found).await?;
        all.found.removed.splice(0..0, open_ends(&ledger, &known).await?);
        return Ok(all.found);
    }
    let writer = ledger.acquire(Lane::WHOLE, false).await?;
    let removed = async {
        let mut removed = open_ends(&ledger, &writer.state(Clone::clone)).await?;
        let settled = writer.recover(&data).await?;
        let known = writer.state(Clone::clone);
        let found = list(&data, &roots(pipeline, state, &known)?).await?;
        let all = look(pipeline, &ledger, &data, &known, found).await?;
        for orphan in &all.orphans {
            data.delete(&orphan.root, &orphan.path).await?;
        }
        for spare in &all.spare {
            ledger.discard(spare).await?;
        }
        removed.extend(all.found.removed);
        Ok::<_, RunError>(Vacuumed { settled, removed, unknown: all.found.unknown })
    };
    let removed = removed.await;
    let outcome = if removed.is_ok() { RunOutcome::Done } else { RunOutcome::Failed };
    let error = removed.as_ref().err().map(RunError::chain);
    release(pipeline, writer, RunSummary::bare("vacuum", now, outcome, error.as_deref())).await;
    removed
}

struct All {
    found: Vacuumed,
    orphans: Vec<Orphan>,
    spare: Vec<crate::ledger::Spare>,
}

/// Returns every place where the pipeline may have files.
fn roots(pipeline: &Pipeline, state: &str, known: &LedgerState) -> Result<BTreeSet<String>, RunError> {
    let mut roots: BTreeSet<String> = known.roots().into_iter().map(str::to_owned).collect();
    for sink in pipeline.jobs.iter().flat_map(|job| &job.sinks) {
        roots.insert(super::build::sink(sink)?.root()?);
    }
    roots.insert(quarantine::sink(state, &pipeline.name).root()?);
    Ok(roots)
}

async fn list(data: &Data, roots: &BTreeSet<String>) -> Result<Vec<(String, Vec<Found>)>, RunError> {
    let mut listed = Vec::new();
    for root in roots {
        listed.push((root.clone(), data.sets().list(root).await?));
    }
    Ok(listed)
}

/// Sorts out what no state names.
async fn look(
    pipeline: &Pipeline,
    ledger: &Ledger,
    data: &Data,
    known: &LedgerState,
    listed: Vec<(String, Vec<Found>)>,
) -> Result<All, RunError> {
    let mut named: HashSet<(String, String)> = HashSet::new();
    for list in known.lists() {
        named.extend(ledger.files(list).await?.into_iter().map(|file| (file.root, file.path)));
    }
    let mut all = All { found: Vacuumed::default(), orphans: Vec::new(), spare: ledger.spare(known).await? };
    for (root, files) in listed {
        let text = data.read_manifest(&root).await?;
        let manifest = Manifest::read(&root, text.as_deref()).map_err(LedgerError::from)?;
        // The names of two pipelines may look alike: `a` with a job `b`, and `a-b`.
        let others: HashSet<&str> = manifest
            .files
            .iter()
            .filter(|file| file.pipeline != pipeline.name)
            .map(|file| file.path.as_str())
            .collect();
        for Found { path, bytes } in files {
            if named.contains(&(root.clone(), path.clone())) || others.contains(path.as_str()) {
                continue;
            }
            let name = path.rsplit('/').next().unwrap_or(&path);
            let jobs = known.jobs().filter(|job| !known.has_left(job, &root));
            let ours: Vec<(&JobName, NamedFile)> =
                jobs.filter_map(|job| Some((job, NamedFile::parse(name, &pipeline.name, job)?))).collect();
            let place = format!("{root}{path}");
            if ours.iter().any(|(job, file)| is_known(known, job, &file.slice)) {
                let why = "a file of a run that died or lost its lease: the ledger doesn't name it".to_owned();
                all.found.removed.push(Removal { place, bytes, why });
                all.orphans.push(Orphan { root: root.clone(), path });
            } else if !ours.is_empty() {
                all.found.unknown.push(place);
            }
        }
    }
    let spare = all.spare.iter().map(|spare| Removal {
        place: spare.object.clone(),
        bytes: spare.bytes,
        why: spare.why.to_owned(),
    });
    all.found.removed.extend(spare);
    Ok(all)
}

/// Tells whether the ledger has a slice of the job with such a name.
fn is_known(known: &LedgerState, job: &JobName, slice: &str) -> bool {
    known.keys(job).flat_map(|key| known.slices(job, key)).any(|(id, _)| slice_name(id) == slice)
}

/// Returns what the next run, or a vacuum, settles: uploads that were begun, and files of generations that were replaced.
async fn open_ends(ledger: &Ledger, known: &LedgerState) -> Result<Vec<Removal>, RunError> {
    let mut ends = Vec::new();
    for (at, slice) in known.all_slices() {
        ends.extend(slice.staged.iter().map(|staged| Removal {
            place: format!("{}{}", staged.root, staged.path),
            bytes: 0,
            why: format!("an upload of {at} that was begun and not completed, unless its run still goes on"),
        }));
    }
    for (at, replaced) in known.uncleaned() {
        let files = ledger.files(&replaced.list).await?;
        let gone = files.into_iter().filter(|file| !known.has_left(&at.job, &file.root));
        ends.extend(gone.map(|FileReceipt { root, path, bytes, .. }| Removal {
            place: format!("{root}{path}"),
            bytes,
            why: format!("of generation {} of {at}, which was replaced", replaced.generation),
        }));
    }
    Ok(ends)
}

impl Vacuumed {
    /// Returns the bytes of what was removed, or would be.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removal| removal.bytes).sum()
    }
}
