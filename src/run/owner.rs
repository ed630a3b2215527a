//! Whose a data set is: two ledgers of one pipeline name that land in one folder would double its rows, since neither knows what
//! the other has landed, and each would sweep away what the other stages.

use std::collections::BTreeSet;
use std::path::Path;

use super::RunError;
use super::data::Data;
use crate::ledger::{DataStore as _, Ledger, LedgerState, Manifest, ManifestFile};
use crate::objects::absolute;
use crate::pipeline::spec::Pipeline;

/// Refuses a state that hasn't got the entries that the files of this pipeline were landed with: another state than theirs, or an
/// older copy of it. And files that this ledger has landed in another place: they were moved. Nothing is written.
pub(super) async fn check(pipeline: &Pipeline, state: &str, ledger: &Ledger, data: &Data) -> Result<(), RunError> {
    let mut lists = Vec::new();
    for root in pipeline.jobs.iter().flat_map(|job| &job.sinks).map(|sink| &sink.url).collect::<BTreeSet<_>>() {
        let text = data.read_manifest(root).await?;
        lists.push((root, Manifest::read(root, text.as_deref()).map_err(crate::ledger::LedgerError::from)?));
    }
    // The state is read after the lists: a run that goes on meanwhile can only have added to it.
    let known = ledger.read_state().await?;
    let mut places = BTreeSet::new();
    for root in known.roots() {
        places.insert(data.place(root).await);
    }
    for (root, list) in lists {
        if !list.is_of(&pipeline.name, &known) {
            return Err(RunError::OtherLedger { root: root.clone(), state: state.to_owned() });
        }
        if let Some(file) = list.file_of(&pipeline.name, &known)
            && !places.contains(&data.place(root).await)
        {
            return Err(moved(file, root, &known));
        }
    }
    Ok(())
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
    RunError::Moved { link: link.unwrap_or_default(), from, to }
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
