//! What nothing names any more, and its removal. Careful: only names that this ledger can have given, and only under the lease.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::gone::{self, Gone};
use super::{Data, Env, RunError, owner, quarantine, release};
use crate::ledger::{
    DataStore as _, Generation, Lane, Ledger, LedgerError, LedgerState, Manifest, RunOutcome, RunSummary, SliceRef,
    Timing,
};
use crate::model::{Asked, FileReceipt, JobName};
use crate::objects::{OpenUpload, OpenUploads};
use crate::pipeline::spec::Pipeline;
use crate::sink::{Found, NamedFile, slice_name, upload_id};

/// What a vacuum found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Vacuumed {
    /// What was removed, or would be.
    pub removed: Vec<Removal>,
    /// What a run that died had left, settled first; a sentence each.
    pub settled: Vec<String>,
    /// What has landed and isn't there any more.
    pub gone: Vec<Gone>,
    /// Files and uploads with a name like ours that the ledger knows no slice of: left alone.
    pub unknown: Vec<String>,
    /// What couldn't be looked at, and what to do about it.
    pub notes: Vec<String>,
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

/// What no state names.
enum Orphan {
    File { root: String, path: String },
    Upload { root: String, upload: OpenUpload },
}

/// What lies below a root.
struct Listed {
    root: String,
    files: Vec<Found>,
    uploads: OpenUploads,
}

/// What a vacuum is to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vacuuming {
    /// Whether it only looks.
    pub dry_run: bool,
    /// Whether what landed of fan-out values that are gone isn't needed any more, of lists that hold the present (`snapshot: latest`).
    pub retired: bool,
}

/// Looks for what isn't needed; unless `dry_run`, takes the lease, settles what dead runs left, and removes it.
///
/// # Errors
/// The ledger or a data set can't be read; another run holds the lease.
pub async fn vacuum(
    pipeline: &Pipeline,
    state: &str,
    now: DateTime<Utc>,
    what: Vacuuming,
    env: &Env,
) -> Result<Vacuumed, RunError> {
    let Vacuuming { dry_run, retired } = what;
    let ledger = Ledger::open(state, pipeline.name.clone(), Arc::clone(&env.clock), &env.stores)?;
    let ledger = ledger.with_timing(Timing::default()).asking(Asked::new("vacuum"));
    let data = Data::new(Arc::clone(&env.stores));
    if ledger.read_state().await?.sequence() == 0 {
        return Ok(Vacuumed::default());
    }
    owner::check(pipeline, state, &ledger, &data).await?;
    if dry_run {
        let places = roots(pipeline, state, &data, &ledger.read_state().await?).await?;
        // What is read after the files were listed names all of them that a run has made appear meanwhile.
        let found = list(&data, &places).await?;
        let known = ledger.read_state().await?;
        let mut all = look(pipeline, &ledger, &data, &known, found).await?;
        let ends = open_ends(&ledger, &known).await?;
        let retired = if retired { retired_files(pipeline, &ledger, &known).await?.1 } else { Vec::new() };
        all.found.removed.splice(0..0, ends.into_iter().chain(retired));
        return Ok(all.found);
    }
    let writer = ledger.acquire(Lane::WHOLE, false).await?;
    let removed = async {
        let known = writer.state(Clone::clone);
        let mut removed = open_ends(&ledger, &known).await?;
        if retired {
            let (generations, files) = retired_files(pipeline, &ledger, &known).await?;
            writer.supersede(generations).await?;
            removed.extend(files);
        }
        let settled = writer.recover(&data).await?;
        let known = writer.state(Clone::clone);
        let found = list(&data, &roots(pipeline, state, &data, &known).await?).await?;
        let all = look(pipeline, &ledger, &data, &known, found).await?;
        for orphan in &all.orphans {
            // A run that holds the lease by now may have written it.
            writer.still_held()?;
            match orphan {
                Orphan::File { root, path } => data.delete(root, path).await?,
                Orphan::Upload { root, upload } => data.sets().abort(root, upload).await?,
            }
        }
        for spare in &all.spare {
            writer.still_held()?;
            ledger.discard(spare).await?;
        }
        removed.extend(all.found.removed);
        Ok::<_, RunError>(Vacuumed { removed, settled, ..all.found })
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

impl All {
    /// Sorts out the uploads below a root that the ledger doesn't note; `whose` is asked of a path and its place.
    fn take_uploads(
        &mut self,
        root: &str,
        uploads: impl Iterator<Item = OpenUpload>,
        whose: impl Fn(&str, &str) -> Whose,
    ) {
        for upload in uploads {
            let place = format!("{root}{}", upload.path);
            match whose(&upload.path, &place) {
                Whose::Ours => {
                    let begun = upload.begun.format("%Y-%m-%d %H:%M:%S");
                    let why = format!(
                        "an upload begun at {begun} UTC that the ledger doesn't note, unless its run still goes on"
                    );
                    self.found.removed.push(Removal { place, bytes: 0, why });
                    self.orphans.push(Orphan::Upload { root: root.to_owned(), upload });
                }
                Whose::Unknown => self.found.unknown.push(place),
                Whose::Others => {}
            }
        }
    }
}

/// Returns every place where the pipeline may have files, once however it is written.
async fn roots(
    pipeline: &Pipeline,
    state: &str,
    data: &Data,
    known: &LedgerState,
) -> Result<BTreeSet<String>, RunError> {
    let mut roots: BTreeSet<String> = known.roots().into_iter().map(str::to_owned).collect();
    for sink in pipeline.jobs.iter().flat_map(|job| &job.sinks) {
        roots.insert(super::build::sink(sink)?.root()?);
    }
    roots.insert(quarantine::sink(state, &pipeline.name).root()?);
    let mut places = BTreeSet::new();
    for root in roots {
        places.insert(data.place(&root).await);
    }
    Ok(places)
}

async fn list(data: &Data, roots: &BTreeSet<String>) -> Result<Vec<Listed>, RunError> {
    let mut listed = Vec::new();
    for root in roots {
        let (files, uploads) = (data.sets().list(root).await?, data.sets().open_uploads(root).await?);
        listed.push(Listed { root: root.clone(), files, uploads });
    }
    Ok(listed)
}

/// Sorts out what no state names.
async fn look(
    pipeline: &Pipeline,
    ledger: &Ledger,
    data: &Data,
    known: &LedgerState,
    listed: Vec<Listed>,
) -> Result<All, RunError> {
    let named = Named::by(ledger, known).await?;
    let mut left = Vec::new();
    for (job, root) in known.left_roots() {
        left.push((job, data.place(root).await));
    }
    let sizes = listed.iter().flat_map(|Listed { root, files, .. }| {
        files.iter().map(move |file| (format!("{root}{}", file.path), file.bytes))
    });
    let gone = gone::look(data, known, &named.read, &sizes.collect()).await?;
    let mut all =
        All { found: Vacuumed { gone, ..Vacuumed::default() }, orphans: Vec::new(), spare: ledger.spare(known).await? };
    for Listed { root, files, uploads } in listed {
        let text = data.read_manifest(&root).await?;
        let manifest = Manifest::read(&root, text.as_deref()).map_err(LedgerError::from)?;
        let others = manifest.files.iter().filter(|file| file.pipeline != pipeline.name);
        let others: HashSet<&str> = others.map(|file| file.path.as_str()).collect();
        for Found { path, bytes } in files {
            let place = format!("{root}{path}");
            match whose(&path, &place, &others, pipeline, known, &left) {
                Whose::Ours if named.files.contains(file_name(&path)) => {}
                Whose::Ours => {
                    let why = "the ledger doesn't name it: a run that died or lost its lease left it, or it was landed with another state"
                        .to_owned();
                    all.found.removed.push(Removal { place, bytes, why });
                    all.orphans.push(Orphan::File { root: root.clone(), path });
                }
                Whose::Unknown if !named.files.contains(file_name(&path)) => all.found.unknown.push(place),
                Whose::Unknown | Whose::Others => {}
            }
        }
        match uploads {
            OpenUploads::Listed(uploads) => {
                let unnoted = uploads.into_iter().filter(|upload| !named.uploads.contains(&upload.id));
                all.take_uploads(&root, unnoted, |path, place| whose(path, place, &others, pipeline, known, &left));
            }
            OpenUploads::NotListed(why) => all.found.notes.push(unlisted(&root, &why)),
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

/// What the ledger names.
struct Named {
    /// Names of files, without where they lie: one root may lie in another, or be another by a link. No two generations share a name.
    files: HashSet<String>,
    /// The files of each list.
    read: HashMap<String, Vec<FileReceipt>>,
    /// Ids of uploads.
    uploads: HashSet<String>,
}

impl Named {
    async fn by(ledger: &Ledger, known: &LedgerState) -> Result<Self, RunError> {
        let staged = known.all_slices().flat_map(|(_, slice)| &slice.staged);
        let uploads = staged.filter_map(|place| upload_id(&place.staged)).collect();
        let mut named = Self { files: HashSet::new(), read: HashMap::new(), uploads };
        for list in known.lists() {
            let files = ledger.files(list).await?;
            named.files.extend(files.iter().map(|file| file_name(&file.path).to_owned()));
            named.uploads.extend(files.iter().filter_map(|file| upload_id(&file.staged)));
            named.read.insert(list.to_owned(), files);
        }
        Ok(named)
    }
}

/// Who has given a name.
enum Whose {
    /// This pipeline, to a slice that it knows.
    Ours,
    /// This pipeline, maybe: it knows no such slice.
    Unknown,
    Others,
}

/// Tells who has given the name of what lies at `path` below a root, which is at `place`. `others` are the paths there of other pipelines: the names of two
/// may look alike, such as those of `a` with a job `b`, and of `a-b`. `left` are the places in which no sink of a job writes any more: what lies there stays.
fn whose(
    path: &str,
    place: &str,
    others: &HashSet<&str>,
    pipeline: &Pipeline,
    known: &LedgerState,
    left: &[(&JobName, String)],
) -> Whose {
    if others.contains(path) {
        return Whose::Others;
    }
    let stays = |job: &JobName| left.iter().any(|(other, root)| *other == job && place.starts_with(root));
    let jobs = known.jobs().filter(|job| !stays(job));
    let ours: Vec<(&JobName, NamedFile)> =
        jobs.filter_map(|job| Some((job, NamedFile::parse(file_name(path), &pipeline.name, job)?))).collect();
    if ours.iter().any(|(job, file)| is_known(known, job, &file.slice)) {
        Whose::Ours
    } else if ours.is_empty() {
        Whose::Others
    } else {
        Whose::Unknown
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Says that uploads weren't looked for.
fn unlisted(root: &str, why: &str) -> String {
    format!(
        "uploads below {root} that were begun and never noted in the ledger weren't looked for: {why}; let a lifecycle rule of the bucket \
         abort incomplete uploads after some days"
    )
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

/// Returns what landed of fan-out values that are gone, in lists that hold the present, with its files.
async fn retired_files(
    pipeline: &Pipeline,
    ledger: &Ledger,
    known: &LedgerState,
) -> Result<(Vec<Generation>, Vec<Removal>), RunError> {
    let (mut generations, mut files) = (Vec::new(), Vec::new());
    // Rows that wait to be sent would go unsent.
    for job in pipeline.jobs.iter().filter(|job| job.outboxes.is_empty()) {
        for key in known.retired(&job.name) {
            for (id, slice) in known.slices(&job.name, Some(key)) {
                let Some(landed) = slice.landed.as_ref().filter(|landed| landed.kind.is_latest()) else { continue };
                let at = SliceRef { job: job.name.clone(), key: Some(key.clone()), slice: id.clone() };
                if let Some(list) = &landed.list {
                    let of =
                        ledger.files(list).await?.into_iter().filter(|file| !known.has_left(&job.name, &file.root));
                    files.extend(of.map(|FileReceipt { root, path, bytes, .. }| Removal {
                        place: format!("{root}{path}"),
                        bytes,
                        why: format!("of {key}, which isn't among the values of `for_each` of {} any more", job.name),
                    }));
                }
                generations.push(Generation { at, generation: landed.generation });
            }
        }
    }
    Ok((generations, files))
}

impl Vacuumed {
    /// Returns the bytes of what was removed, or would be.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removal| removal.bytes).sum()
    }
}
