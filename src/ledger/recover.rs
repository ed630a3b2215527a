//! Settling: what a run does first for one that died.

use futures::{StreamExt as _, TryStreamExt as _};

use super::LedgerError;
use super::data::{DataStore, Fault, Presence, publish_all};
use super::entry::{Landing, LeaseEvent, Record, SliceRef};
use super::state::SliceState;
use super::writer::{LET_GO, Writer, read_list};
use crate::model::FileReceipt;

/// How many uploads are thrown away at a time.
const DISCARDS: usize = 16;

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
        let begun = self.mine(|at, slice| slice.begun.is_some().then(|| at.clone()));
        said.extend(begun.into_iter().map(|at| format!("{at} was begun and not published: it is read again")));
        self.unstage(data).await?;
        self.mark_dirty(self.state(|state| state.roots().into_iter().map(str::to_owned).collect::<Vec<_>>()));
        said.extend(self.tidy(data).await?);
        if self.state(|state| state.lanes.get(&self.held.lane).is_some_and(|lane| lane.settling)) {
            self.append(vec![Record::Lease(LeaseEvent::Settled)]).await?;
        }
        Ok(said)
    }

    /// Throws away what begun slices of this lane have staged. They stay begun.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`], and [`LedgerError::Data`]. What isn't done is done by the next run.
    pub async fn unstage(&self, data: &dyn DataStore) -> Result<(), LedgerError> {
        let staged = self.mine(|_, slice| {
            let is_begun_only = slice.published.is_none() && !slice.staged.is_empty();
            is_begun_only.then(|| Some((slice.begun.clone()?, slice.staged.clone()))).flatten()
        });
        let (begins, places): (Vec<_>, Vec<_>) = staged.into_iter().unzip();
        let discards = futures::stream::iter(places.into_iter().flatten())
            .map(async |place| data.discard(&place.into_receipt()).await)
            .buffer_unordered(DISCARDS);
        discards.try_collect::<()>().await?;
        // So that the ledger forgets what they had staged, and nobody looks for it again.
        let begins: Vec<Record> = begins.into_iter().map(Record::Begin).collect();
        for some in begins.chunks(LET_GO) {
            self.append(some.to_vec()).await?;
        }
        Ok(())
    }

    /// Finishes one publish, or takes it back: all of its files that have appeared go, and so do those that are still staged. What
    /// others have put under their names stays.
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
            let count = |wanted| found.iter().filter(|presence| **presence == wanted).count();
            let why = are_gone(count(Presence::Missing), count(Presence::Foreign), landing.generation);
            self.roll_back(landing, &files, &why, data).await
        }
    }

    async fn roll_forward(
        &self,
        landing: Landing,
        files: &[FileReceipt],
        data: &dyn DataStore,
    ) -> Result<String, LedgerError> {
        let (at, generation) = (landing.at.clone(), landing.generation);
        match publish_all(data, files).await {
            // It was there a moment ago, or some of its parts weren't.
            Err(error) if error.fault == Fault::Gone => {
                return self.roll_back(landing, files, &are_gone(1, 0, generation), data).await;
            }
            Err(error) if error.fault == Fault::Taken => {
                return self.roll_back(landing, files, &are_gone(0, 1, generation), data).await;
            }
            published => published?,
        }
        match self.commit(landing.clone()).await {
            // It contradicts what has landed, and always will.
            Err(LedgerError::Refused { why }) => {
                let why = format!("generation {generation} can't be ({why})");
                return self.roll_back(landing, files, &why, data).await;
            }
            committed => committed?,
        }
        Ok(format!("{at} was published and not committed: {} of generation {generation} committed", count(files.len())))
    }

    async fn roll_back(
        &self,
        landing: Landing,
        files: &[FileReceipt],
        why: &str,
        data: &dyn DataStore,
    ) -> Result<String, LedgerError> {
        let Landing { at, generation, .. } = landing;
        let said = format!(
            "{at} was published and not committed, and {why}: what was left of it is deleted, and it is read again"
        );
        self.take_back(at, generation, files, data).await?;
        Ok(said)
    }

    /// Takes a publish back whose commit can't be: its files go, those that are still staged too, and the slice is to be read again. A
    /// file that isn't the one of its receipt is somebody else's, and stays.
    ///
    /// # Errors
    ///
    /// As [`Self::recover`]. What isn't done is done by that.
    pub async fn take_back(
        &self,
        at: SliceRef,
        generation: u32,
        files: &[FileReceipt],
        data: &dyn DataStore,
    ) -> Result<(), LedgerError> {
        // What is staged goes first: a run that lost its lease may be about to make it appear.
        for file in files {
            data.discard(file).await?;
        }
        for file in files {
            if data.probe(file).await? != Presence::Foreign {
                data.delete(&file.root, &file.path).await?;
            }
        }
        self.void(at, generation).await
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

/// Says what keeps a generation from landing: files that are gone, and names that others have.
fn are_gone(gone: usize, taken: usize, generation: u32) -> String {
    let lost = |files| format!("{} of generation {generation} gone", count(files));
    let other =
        |files| format!("something else, which stays, has the name of {} of generation {generation}", count(files));
    match (gone, taken) {
        (gone, 0) => lost(gone),
        (0, taken) => other(taken),
        (gone, taken) => format!("{}, {}", lost(gone), other(taken)),
    }
}

/// Says how many files it is.
pub(super) fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, TimeDelta};
    use object_store::memory::InMemory;
    use serde_json::Value;

    use super::*;
    use crate::ledger::tests::{ROOT, World, begin_slice, publication};
    use crate::ledger::{Entry, FORMAT, Lane, LedgerState, MemoryData, log};
    use crate::model::{JobName, Slice, SliceKind, Window};

    fn window(from: i64, to: i64) -> Slice {
        let at = |hour| DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        let kind = SliceKind::Window(Window { from: at(from), to: at(to) });
        Slice::new(JobName::new("j"), None, Value::Null, kind)
    }

    /// Begins a slice and stages its file.
    async fn publish(writer: &Writer, data: &MemoryData, slice: &Slice) -> Result<Landing, LedgerError> {
        let begun = writer.begin(vec![begin_slice(slice)]).await?;
        let publication = publication(slice, begun[0].generation, &["a"]);
        publication.files.iter().for_each(|file| data.stage(file));
        writer.publish(publication).await
    }

    #[tokio::test]
    async fn of_two_windows_that_overlap_the_second_is_not_published() {
        let world = World::new(Arc::new(InMemory::new()));
        let data = MemoryData::default();
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        let first = publish(&writer, &data, &window(0, 2)).await.unwrap();
        let refused = publish(&writer, &data, &window(1, 3)).await.unwrap_err();
        assert!(refused.to_string().contains("another slice has published"), "{refused}");
        publish(&writer, &data, &window(2, 3)).await.unwrap();
        writer.commit(first.clone()).await.unwrap();
        // One that is voided is in nobody's way.
        writer.void(SliceRef::of(&window(2, 3)), 1).await.unwrap();
        publish(&writer, &data, &window(2, 4)).await.unwrap();
    }

    #[tokio::test]
    async fn a_publish_that_can_never_be_committed_is_taken_back() {
        let world = World::new(Arc::new(InMemory::new()));
        let data = MemoryData::default();
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        let first = publish(&writer, &data, &window(0, 2)).await.unwrap();
        let second = window(1, 3);
        publish(&writer, &data, &second).await.unwrap_err();
        // As an earlier version wrote it, which accepted such a publish.
        let list = Some(format!("files/j/{}-g1.json", second.id));
        let landing = Landing { at: SliceRef::of(&second), kind: second.kind.clone(), list, ..first.clone() };
        let sequence = writer.state(LedgerState::sequence) + 1;
        let entry = Entry {
            format: FORMAT,
            sequence,
            nonce: "0".to_owned(),
            lane: Lane::WHOLE,
            lease: 1,
            at: DateTime::UNIX_EPOCH,
            records: vec![Record::Publish(landing)],
        };
        let path = log::entry_path(sequence);
        world.ledger().store.create(&path, log::encode(&path, &entry).unwrap()).await.unwrap();
        writer.commit(first).await.unwrap();
        assert_eq!(writer.state(|state| state.open_publishes().count()), 1);
        let said = writer.recover(&data).await.unwrap();
        assert!(said[0].contains("overlaps what has landed") && said[0].contains("read again"), "{said:?}");
        assert_eq!(writer.state(|state| state.open_publishes().count()), 0);
        assert!(data.published(ROOT).keys().all(|path| !path.contains(second.id.as_str())), "its file is gone");
        assert_eq!(data.staged(), 1, "that of the first, which nobody made appear");
        let said = writer.recover(&data).await.unwrap();
        assert!(said.iter().all(|said| !said.contains("was published")), "once: {said:?}");
        publish(&writer, &data, &window(2, 3)).await.unwrap();
    }
    #[tokio::test]
    async fn what_others_have_put_under_a_name_stays_and_the_publish_is_voided() {
        for appeared in [false, true] {
            let world = World::new(Arc::new(InMemory::new()));
            let data = MemoryData::default();
            let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
            let slice = window(0, 2);
            writer.begin(vec![begin_slice(&slice)]).await.unwrap();
            let publication = publication(&slice, 1, &["a", "b"]);
            let files = publication.files.clone();
            files.iter().for_each(|file| data.stage(file));
            writer.publish(publication).await.unwrap();
            if appeared {
                data.publish(&files[0]).await.unwrap();
            }
            data.put_foreign(&files[1]);
            let said = writer.recover(&data).await.unwrap();
            assert_eq!(
                said[0],
                "slice 19700101T000000Z of job j was published and not committed, and something else, which stays, has the name of \
                 1 file of generation 1: what was left of it is deleted, and it is read again"
            );
            let left: Vec<String> = data.published(ROOT).into_keys().collect();
            assert_eq!((left, data.staged()), (vec![files[1].path.clone()], 0));
            assert_eq!(writer.state(|state| state.next_generation(&SliceRef::of(&slice))), 2);
        }
    }
}
