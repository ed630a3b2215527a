//! Settling: what a run does after its commits, and what the next one does first for a run that died before it had.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::LedgerError;
use super::data::{DataStore, Presence, publish_all};
use super::entry::{Landing, LeaseEvent, Record, SliceRef};
use super::log::READ_AHEAD;
use super::manifest::{ListedSlice, Manifest, ManifestFile, ManifestUpdate};
use super::state::{Replaced, SliceState};
use super::writer::{Writer, read_list};
use crate::model::FileReceipt;

impl Writer {
    /// Settles what earlier runs of this lane, and of dead lanes that it adopted, have left open. Tells it, a sentence each.
    ///
    /// What was published rolls forward, or back where a file is gone; what was begun is thrown away, but [`super::LedgerState`]
    /// still shows it, so that the rerun keeps its `now`, its schema version and its parent; data sets' lists are brought up
    /// to date, and replaced files deleted. It can be stopped anywhere and repeated.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`]; [`LedgerError::Data`] and [`LedgerError::Manifest`] for the data sets.
    pub async fn recover(&self, data: &dyn DataStore) -> Result<Vec<String>, LedgerError> {
        let mut said = Vec::new();
        for landing in self.mine(|_, slice| slice.published.clone()) {
            said.push(self.settle(landing, data).await?);
        }
        for (at, places) in self.mine(|at, slice| slice.begun.as_ref().map(|_| (at.clone(), slice.staged.clone()))) {
            for place in places {
                data.discard(&place.into_receipt()).await?;
            }
            said.push(format!("{at} was begun and not published: it is read again"));
        }
        self.mark_dirty(self.state(|state| state.roots().into_iter().map(str::to_owned).collect::<Vec<_>>()));
        said.extend(self.tidy(data).await?);
        if self.state(|state| state.lanes.get(&self.held.lane).is_some_and(|lane| lane.settling)) {
            self.append(vec![Record::Lease(LeaseEvent::Settled)]).await?;
        }
        Ok(said)
    }

    /// Brings the lists of the data sets that commits have changed up to date, then deletes the files that were replaced.
    /// Tells what it deleted, a sentence each.
    ///
    /// A list is written as a whole, so call it for many commits at a time, not after each.
    ///
    /// # Errors
    ///
    /// As [`Self::recover`]. What isn't done stays to be done.
    pub async fn tidy(&self, data: &dyn DataStore) -> Result<Vec<String>, LedgerError> {
        let _alone = self.tidying.lock().await;
        let mut replaced = Vec::new();
        let of = |at: &SliceRef, slice: &SliceState| {
            (!slice.replaced.is_empty()).then(|| (at.clone(), slice.replaced.clone()))
        };
        for (at, generations) in self.mine(of) {
            for Replaced { generation, list } in generations {
                replaced.push((at.clone(), generation, self.files(&list).await?));
            }
        }
        // A commit is in the state before its roots are in `dirty`, and a run that is cancelled here forgets what it took out of
        // it: so the roots of what is going to be deleted are brought up to date in any case.
        let mut dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        dirty.extend(replaced.iter().flat_map(|(_, _, files)| files).map(|file| file.root.clone()));
        for root in &dirty {
            if let Err(error) = self.update_manifest(root, data).await {
                self.mark_dirty(dirty.clone());
                return Err(error);
            }
        }
        let mut said = Vec::new();
        for (at, generation, files) in replaced {
            let gone = |file: &&FileReceipt| self.state(|state| !state.has_left(&at.job, &file.root));
            let gone: Vec<&FileReceipt> = files.iter().filter(gone).collect();
            for file in &gone {
                data.delete(&file.root, &file.path).await?;
            }
            said.push(format!("{at}: {} of generation {generation}, which was replaced, deleted", count(gone.len())));
            self.cleaned(at, generation).await?;
        }
        Ok(said)
    }

    /// Finishes one publish, or takes it back: all of its files that have appeared go, and so do those that are still staged.
    async fn settle(&self, landing: Landing, data: &dyn DataStore) -> Result<String, LedgerError> {
        let files = match &landing.list {
            Some(list) => self.files(list).await?,
            None => Vec::new(),
        };
        let mut found = Vec::with_capacity(files.len());
        for file in &files {
            found.push(data.probe(file).await?);
        }
        if found.iter().all(|presence| matches!(presence, Presence::Staged | Presence::Published)) {
            self.roll_forward(landing, &files, data).await
        } else {
            let gone =
                found.iter().filter(|presence| matches!(presence, Presence::Missing | Presence::Foreign)).count();
            self.roll_back(landing, &files, gone, data).await
        }
    }

    async fn roll_forward(
        &self,
        landing: Landing,
        files: &[FileReceipt],
        data: &dyn DataStore,
    ) -> Result<String, LedgerError> {
        match publish_all(data, files).await {
            // It was there a moment ago, or some of its parts weren't.
            Err(error) if error.gone => return self.roll_back(landing, files, 1, data).await,
            published => published?,
        }
        let (at, generation) = (landing.at.clone(), landing.generation);
        self.commit(landing).await?;
        Ok(format!("{at} was published and not committed: {} of generation {generation} committed", count(files.len())))
    }

    async fn roll_back(
        &self,
        landing: Landing,
        files: &[FileReceipt],
        gone: usize,
        data: &dyn DataStore,
    ) -> Result<String, LedgerError> {
        // What is staged goes first: a run that lost its lease may be about to make it appear.
        for file in files {
            data.discard(file).await?;
        }
        for file in files {
            data.delete(&file.root, &file.path).await?;
        }
        let Landing { at, generation, .. } = landing;
        let said = format!(
            "{at} was published and not committed, and {} of generation {generation} gone or changed: what was left of it is \
             deleted, and it is read again",
            count(gone)
        );
        self.void(at, generation).await?;
        Ok(said)
    }

    /// Brings the list of one data set up to the log. Only files that it doesn't name yet are looked up.
    async fn update_manifest(&self, root: &str, data: &dyn DataStore) -> Result<(), LedgerError> {
        let pipeline = self.held.ledger.pipeline().clone();
        let listed = Manifest::read(root, data.read_manifest(root).await?.as_deref())?.listed(&pipeline);
        let (sequence, ledger, landed) = self.state(|state| {
            let own = |(at, generation, list): (SliceRef, u32, &str)| ((at.job, at.slice, generation), list.to_owned());
            let ledger = state.id().map(str::to_owned);
            (state.sequence(), ledger, state.landed_in(root).into_iter().map(own).collect::<Vec<_>>())
        });
        let new = landed.iter().filter(|(slice, _)| !listed.contains(slice));
        let lists = new.map(|(slice, list)| async move { Ok::<_, LedgerError>((slice, self.files(list).await?)) });
        let lists: Vec<_> = stream::iter(lists).buffered(READ_AHEAD).try_collect().await?;
        let files = lists.into_iter().flat_map(|(slice, files)| files.into_iter().map(move |file| (slice, file)));
        let here = files.filter(|(_, file)| file.root == root);
        let add = here.map(|(slice, file)| listing(&pipeline, slice, file)).collect();
        // What a sink that was removed has listed stays listed.
        let stays = self.state(|state| {
            let left = listed.into_iter().filter(|(job, ..)| state.has_left(job, root));
            left.collect::<Vec<_>>()
        });
        let landed: BTreeSet<_> = landed.into_iter().map(|(slice, _)| slice).chain(stays).collect();
        data.update_manifest(root, &ManifestUpdate { pipeline, sequence, ledger, landed, add }).await
    }

    /// Reads a list of files.
    ///
    /// # Errors
    ///
    /// As [`super::Ledger::files`].
    pub async fn files(&self, list: &str) -> Result<Vec<FileReceipt>, LedgerError> {
        read_list(&self.held.ledger.store, list).await
    }

    /// Picks from the slices of this lane.
    fn mine<T>(&self, pick: impl Fn(&SliceRef, &SliceState) -> Option<T>) -> Vec<T> {
        self.state(|state| {
            let mine = state.all_slices().filter(|(_, slice)| slice.lane == Some(self.held.lane));
            mine.filter_map(|(at, slice)| pick(&at, slice)).collect()
        })
    }
}

fn listing(pipeline: &crate::model::PipelineName, slice: &ListedSlice, file: FileReceipt) -> ManifestFile {
    let (job, slice, generation) = slice.clone();
    ManifestFile {
        pipeline: pipeline.clone(),
        job,
        slice,
        generation,
        path: file.path,
        sink: file.sink,
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256,
    }
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
