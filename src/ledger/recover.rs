//! Settling: what a run does first for one that died.

use super::LedgerError;
use super::data::{DataStore, Presence, publish_all};
use super::entry::{Landing, LeaseEvent, Record, SliceRef};
use super::state::SliceState;
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

    /// Reads a list of files.
    ///
    /// # Errors
    ///
    /// As [`super::Ledger::files`].
    pub async fn files(&self, list: &str) -> Result<Vec<FileReceipt>, LedgerError> {
        read_list(&self.held.ledger.store, list).await
    }

    /// Picks from the slices of this lane.
    pub(super) fn mine<T>(&self, pick: impl Fn(&SliceRef, &SliceState) -> Option<T>) -> Vec<T> {
        self.state(|state| {
            let mine = state.all_slices().filter(|(_, slice)| slice.lane == Some(self.held.lane));
            mine.filter_map(|(at, slice)| pick(&at, slice)).collect()
        })
    }
}

/// Says how many files it is.
pub(super) fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
