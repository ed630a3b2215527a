//! Whose a data set is: two ledgers of one pipeline name that land in one folder would double its rows, since neither knows what
//! the other has landed, and each would sweep away what the other stages.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::data::Data;
use super::{Env, Options, OwnerError, RunError, fingerprint};
use crate::ledger::{Accept, DataStore as _, Ledger, LedgerError, LedgerState, Manifest, ManifestFile};
use crate::model::PipelineName;
use crate::objects::absolute;
use crate::pipeline::spec::{Job, Pipeline};

/// The most slices whose files are looked for, to see whether a lake is there.
const LOOKED_AT: usize = 20;

/// Refuses a state that hasn't got the entries that the files of this pipeline were landed with: another state than theirs, or an
/// older copy of it. And files that this ledger has landed in another place: they were moved. Nothing is written.
pub(super) async fn check(pipeline: &Pipeline, state: &str, ledger: &Ledger, data: &Data) -> Result<(), RunError> {
    look(pipeline, state, ledger, data).await.map(drop)
}

/// As [`check`], and refuses too what would land beside the rows of a job or a pipeline that was renamed, beside a lake that isn't there, or in the state.
pub(super) async fn check_run(
    pipeline: &Pipeline,
    options: &Options,
    ledger: &Ledger,
    data: &Data,
    env: &Env,
) -> Result<(), RunError> {
    for root in pipeline.jobs.iter().flat_map(|job| &job.sinks).map(|sink| &sink.url) {
        apart(root, &options.state, &pipeline.name, data).await?;
    }
    let (lists, known) = look(pipeline, &options.state, ledger, data).await?;
    if options.accept == Some(Accept::Future) {
        return Ok(());
    }
    let is_asked = |root: &str| {
        let asked = |job: &&Job| options.jobs.is_empty() || options.jobs.contains(&job.name);
        pipeline.jobs.iter().filter(asked).flat_map(|job| &job.sinks).any(|sink| sink.url == root)
    };
    for (root, list) in lists.iter().filter(|(root, _)| is_asked(root)) {
        not_renamed(pipeline, root, list.as_ref(), &known)?;
        if let Some(list) = list {
            pipeline_not_renamed(pipeline, &options.state, (root, list), &known, env).await?;
        }
        if list.is_none() && options.reads.backfill().is_none() {
            is_there(root, ledger, data, &known).await?;
        }
    }
    Ok(())
}

/// The data sets of the sinks, each with its list of files, where it has one; and what the ledger knows.
type Looked = (Vec<(String, Option<Manifest>)>, LedgerState);

async fn look(pipeline: &Pipeline, state: &str, ledger: &Ledger, data: &Data) -> Result<Looked, RunError> {
    let mut lists = Vec::new();
    for root in pipeline.jobs.iter().flat_map(|job| &job.sinks).map(|sink| &sink.url).collect::<BTreeSet<_>>() {
        let text = data.read_manifest(root).await?;
        let list = Manifest::read(root, text.as_deref()).map_err(LedgerError::from)?;
        lists.push((root.clone(), text.is_some().then_some(list)));
    }
    // The state is read after the lists: a run that goes on meanwhile can only have added to it.
    let known = ledger.read_state().await?;
    let mut places = BTreeSet::new();
    for root in known.roots() {
        places.insert(data.place(root).await);
    }
    for (root, list) in &lists {
        let Some(list) = list else { continue };
        if !list.is_of(&pipeline.name, &known) {
            return Err(OwnerError::OtherLedger { root: root.clone(), state: state.to_owned() }.into());
        }
        if let Some(file) = list.file_of(&pipeline.name, &known)
            && !places.contains(&data.place(root).await)
        {
            return Err(moved(file, root, &known));
        }
    }
    Ok((lists, known))
}

/// Refuses a sink within the pipeline's folder of the state, and one around it, unless readers pass that over: they do so with folders whose
/// names begin with `_` or `.`.
async fn apart(root: &str, state: &str, pipeline: &PipelineName, data: &Data) -> Result<(), OwnerError> {
    let of_pipeline = format!("{}/{pipeline}", state.trim_end_matches('/'));
    let (sink, state) = (data.place(root).await, data.place(&of_pipeline).await);
    let (sink, state) = (sink.trim_end_matches('/'), state.trim_end_matches('/'));
    let below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let is_seen = |rest: String| !rest.split('/').any(|part| part.starts_with(['_', '.']));
    if below(sink, state).is_some() || below(state, sink).is_some_and(is_seen) {
        return Err(OwnerError::StateWithin { root: root.to_owned(), state: state.to_owned() });
    }
    Ok(())
}

/// Refuses a job that never landed where a job that isn't in the file any more has.
fn not_renamed(
    pipeline: &Pipeline,
    root: &str,
    list: Option<&Manifest>,
    known: &LedgerState,
) -> Result<(), OwnerError> {
    let of_it = list.into_iter().flat_map(|list| &list.files).filter(|file| file.pipeline == pipeline.name);
    let Some(gone) = of_it.map(|file| &file.job).find(|job| pipeline.job(job).is_none()) else { return Ok(()) };
    let lands_here = |job: &&Job| job.sinks.iter().any(|sink| sink.url == root);
    let new = pipeline.jobs.iter().filter(lands_here).find(|job| known.fingerprint(&job.name).is_none());
    new.map_or(Ok(()), |job| {
        Err(OwnerError::RenamedJob { job: job.name.clone(), root: root.to_owned(), gone: gone.clone() })
    })
}

/// Refuses a job that never landed where the job of its name of another pipeline has, which is the same in all that names its rows: the pipeline
/// was renamed. Only a ledger in the same state can be asked.
async fn pipeline_not_renamed(
    pipeline: &Pipeline,
    state: &str,
    (root, list): (&str, &Manifest),
    known: &LedgerState,
    env: &Env,
) -> Result<(), RunError> {
    let is_new = |job: &&Job| known.fingerprint(&job.name).is_none() && job.sinks.iter().any(|sink| sink.url == root);
    for job in pipeline.jobs.iter().filter(is_new) {
        let others = list.files.iter().filter(|file| file.job == job.name && file.pipeline != pipeline.name);
        for other in others.map(|file| &file.pipeline).collect::<BTreeSet<_>>() {
            let ledger = Ledger::open(state, other.clone(), Arc::clone(&env.clock), &env.stores)?;
            if ledger.read_state().await?.fingerprint(&job.name) == Some(&fingerprint::of(job)) {
                let (job, root, gone) = (job.name.clone(), root.to_owned(), other.clone());
                return Err(OwnerError::RenamedPipeline { job, root, gone }.into());
            }
        }
    }
    Ok(())
}

/// Refuses a data set with no list of files that has lost some that have landed: a list alone is made anew. What the next run replaces anyway
/// isn't looked at.
async fn is_there(root: &str, ledger: &Ledger, data: &Data, known: &LedgerState) -> Result<(), RunError> {
    let place = data.place(root).await;
    let landed = known.all_slices().filter_map(|(at, slice)| Some((at, slice.landed.as_ref()?)));
    let listed = landed.filter(|(_, landed)| !landed.kind.is_latest());
    let mut lists: Vec<_> =
        listed.filter_map(|(at, landed)| Some((landed.committed, at, landed.list.as_deref()?))).collect();
    lists.sort_by_key(|(committed, ..)| std::cmp::Reverse(*committed));
    let mut gone = None;
    for (_, at, list) in lists.into_iter().take(LOOKED_AT) {
        let mut here = Vec::new();
        for file in ledger.files(list).await? {
            if !known.has_left(&at.job, &file.root) && data.place(&file.root).await == place {
                here.push(file);
            }
        }
        if data.missing(&here).await?.len() < here.len() {
            return Ok(());
        }
        gone = gone.or_else(|| here.first().map(|file| format!("{}{}", file.root, file.path)));
    }
    gone.map_or(Ok(()), |file| Err(OwnerError::Gone { root: root.to_owned(), file }.into()))
}

/// Says that the data set of `file` lies in the folder `root` now.
fn moved(file: &ManifestFile, root: &str, known: &LedgerState) -> RunError {
    let landed =
        known.fingerprint(&file.job).and_then(|landed| landed.get(format!("sinks.{}.url", file.sink))?.as_str());
    let from = landed.map_or_else(|| known.roots().into_iter().collect::<Vec<_>>().join(" or "), str::to_owned);
    let to = if root.contains("://") {
        root.to_owned()
    } else {
        absolute(Path::new(root)).map_or_else(|_| root.to_owned(), |path| path.display().to_string())
    };
    let link = link(Path::new(&from), Path::new(&to), Path::exists).map(|(old, new)| {
        format!(
            ", or set a link in the old place (`ln -s {} {}`), and it goes on as before",
            new.display(),
            old.display()
        )
    });
    OwnerError::Moved { link: link.unwrap_or_default(), from, to }.into()
}

/// Returns the outermost folder that was moved: where it was, and where it is. None where that can't be linked: they aren't both folders, or
/// something has the old place.
fn link<'p>(from: &'p Path, to: &'p Path, exists: impl Fn(&Path) -> bool) -> Option<(&'p Path, &'p Path)> {
    let (mut old, mut new) = (from, to);
    while let (Some(above), Some(target)) = (old.parent(), new.parent())
        && old.file_name() == new.file_name()
        && above != target
        && !exists(above)
    {
        (old, new) = (above, target);
    }
    (from.is_absolute() && to.is_absolute() && !exists(old) && old.parent().is_some_and(exists)).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_from_the_outermost_folder_that_was_moved() {
        let there = ["/x", "/x/C", "/x/C/lake", "/x/C/lake/a", "/x/D"];
        let linked = |from: &'static str, to: &'static str| {
            link(Path::new(from), Path::new(to), |path| there.contains(&path.to_str().unwrap()))
                .map(|(old, new)| (old.to_str().unwrap(), new.to_str().unwrap()))
        };
        assert_eq!(linked("/x/A/lake/a", "/x/C/lake/a"), Some(("/x/A", "/x/C")));
        assert_eq!(linked("/x/D/lake/a", "/x/C/lake/a"), Some(("/x/D/lake", "/x/C/lake")));
        assert_eq!(linked("/x/a", "/x/C/lake/a"), Some(("/x/a", "/x/C/lake/a")));
        assert_eq!(linked("/x/C/lake/a", "/x/C/b"), None, "it is a copy");
        assert_eq!(linked("s3://b/a", "/x/C"), None);
        assert_eq!(linked("/y/z/a", "/x/C/b"), None);
    }
}
