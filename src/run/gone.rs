//! What has landed and isn't there any more: files that somebody else has deleted, or cut short.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Data;
use crate::ledger::{DataError, DataStore as _, LedgerState, SliceRef};
use crate::model::{FanoutKey, FileReceipt, JobName, Window};

/// Files of a chain of slices that aren't there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// The job.
    pub job: JobName,
    /// The fan-out value, where the job has `for_each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FanoutKey>,
    /// How many slices have lost files.
    pub slices: u64,
    /// How many files are lost.
    pub files: u64,
    /// Where the first of them was.
    pub first: String,
    /// What lands them again.
    pub advice: String,
}

/// What is lost of a chain, as it is counted.
#[derive(Default)]
struct Lost {
    slices: u64,
    files: u64,
    first: String,
    windows: Option<Window>,
    latest: bool,
}

/// Looks for the files of what has landed. `read` has the files of each list, `present` the sizes of what was listed, by place: only what
/// isn't among them is asked for one by one.
///
/// # Errors
/// A data set can't be looked at.
pub(super) async fn look(
    data: &Data,
    known: &LedgerState,
    read: &HashMap<String, Vec<FileReceipt>>,
    present: &HashMap<String, u64>,
) -> Result<Vec<Gone>, DataError> {
    let mut places = HashMap::new();
    for root in known.roots() {
        places.insert(root, data.place(root).await);
    }
    let mut lost: BTreeMap<(JobName, Option<FanoutKey>), Lost> = BTreeMap::new();
    for (SliceRef { job, key, .. }, slice) in known.all_slices() {
        let standing = slice.landed.iter().chain(&slice.outdated);
        let lists = standing.filter_map(|landed| Some((landed, read.get(landed.list.as_deref()?)?)));
        for (landed, files) in lists {
            let is_unseen = |file: &&FileReceipt| {
                let root = places.get(file.root.as_str()).unwrap_or(&file.root);
                let place = format!("{root}{}", file.path);
                !known.has_left(&job, &file.root) && present.get(&place) != Some(&file.bytes)
            };
            let unseen: Vec<FileReceipt> = files.iter().filter(is_unseen).cloned().collect();
            let gone = data.missing(&unseen).await?;
            let Some(first) = gone.first() else { continue };
            let of_it = lost.entry((job.clone(), key.clone())).or_default();
            if of_it.files == 0 {
                of_it.first = format!("{}{}", first.root, first.path);
            }
            of_it.slices += 1;
            of_it.files += gone.len() as u64;
            of_it.windows = landed
                .window()
                .into_iter()
                .chain(of_it.windows)
                .reduce(|one, other| Window { from: one.from.min(other.from), to: one.to.max(other.to) });
            of_it.latest |= landed.kind.is_latest();
        }
    }
    let told = lost.into_iter().map(|((job, key), lost)| {
        let advice = lost.advice(&job);
        Gone { job, key, slices: lost.slices, files: lost.files, first: lost.first, advice }
    });
    Ok(told.collect())
}

impl Lost {
    fn advice(&self, job: &JobName) -> String {
        let show = |instant: chrono::DateTime<chrono::Utc>| instant.format("%Y-%m-%dT%H:%M:%SZ");
        match self.windows {
            Some(Window { from, to }) => {
                format!("`tidegate backfill` with `--job {job} --from {} --to {}` lands them again", show(from), show(to))
            }
            None if self.latest => "the next run lands them again".to_owned(),
            None => "they can't be read again as they were: put them back from a copy, or give the job another name, and its sinks \
                     another `url`, to read all that the source still has"
                .to_owned(),
        }
    }
}
