//! Tidying: what a run does after its commits. Lists of files are brought up to date, then what was replaced is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::LedgerError;
use super::data::DataStore;
use super::entry::{Generation, Record, SliceRef};
use super::log::READ_AHEAD;
use super::manifest::{ListedSlice, Manifest, ManifestFile, ManifestUpdate};
use super::recover::count;
use super::state::Replaced;
use super::writer::{LET_GO, Writer};
use crate::model::{FileReceipt, PipelineName};

/// A list is written as a whole, so it waits until this part of its slices was replaced, or until this many times as long has passed
/// as writing it took. Replacing all slices then writes it about as many times, however many they are.
const PART: u32 = 64;

/// What writing a list takes at least: a tick of the clock that it is measured by.
const TICK: Duration = Duration::from_millis(10);

/// How many replaced files are deleted at a time.
const AT_ONCE: usize = 8;

/// When lists are written again. All times are those of [`super::Uptime`].
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Slices that were replaced since lists were written last.
    waiting: usize,
    /// How many slices those lists named.
    listed: usize,
    /// How long it took.
    took: Duration,
    /// When it was done.
    ended: Duration,
}

impl Pace {
    fn is_due(&self, now: Duration) -> bool {
        let many = self.waiting.saturating_mul(PART as usize) >= self.listed;
        let late = now.saturating_sub(self.ended) >= self.took.max(TICK) * PART;
        self.waiting > 0 && (many || late)
    }
}

/// A generation that was replaced, and its files.
type Gone = (SliceRef, u32, Vec<FileReceipt>);

impl Writer {
    /// Does what [`Self::tidy`] does once enough slices were replaced for it to be worth while: call it once for each. What it
    /// leaves waits for the next call, or for `tidy`. Where few slices have landed it leaves nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::tidy`].
    pub async fn tidy_in_turn(&self, data: &dyn DataStore) -> Result<(), LedgerError> {
        self.pace().waiting += 1;
        if !self.is_due() {
            return Ok(());
        }
        let _alone = self.tidying.lock().await;
        // Whoever had the lock may have done it for all that waited.
        if self.is_due() {
            self.tidy_alone(data).await?;
        }
        Ok(())
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
        self.tidy_alone(data).await
    }

    async fn tidy_alone(&self, data: &dyn DataStore) -> Result<Vec<String>, LedgerError> {
        let began = self.held.ledger.uptime.now();
        self.pace().waiting = 0;
        let replaced = self.replaced().await?;
        // A commit is in the state before its roots are in `dirty`, and a run that is cancelled here forgets what it took out of
        // it: so the roots of what is going to be deleted are brought up to date in any case.
        let mut dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        dirty.extend(replaced.iter().flat_map(|(_, _, files)| files).map(|file| file.root.clone()));
        let mut listed = 0;
        for roots in self.data_sets(&dirty, data).await {
            match self.update_manifest(&roots, data).await {
                Ok(slices) => listed += slices,
                Err(error) => {
                    self.mark_dirty(dirty.clone());
                    return Err(error);
                }
            }
        }
        if !dirty.is_empty() {
            let ended = self.held.ledger.uptime.now();
            let mut pace = self.pace();
            *pace = Pace { waiting: pace.waiting, listed, took: ended.saturating_sub(began), ended };
        }
        let mut said = Vec::new();
        for some in replaced.chunks(LET_GO) {
            said.extend(self.delete(some, data).await?);
        }
        Ok(said)
    }

    /// Returns what this lane has let go, of its own slices or others', and is still there.
    async fn replaced(&self) -> Result<Vec<Gone>, LedgerError> {
        let lists = self.state(|state| {
            let all = state.all_slices().flat_map(|(at, slice)| {
                let mine = |gone: &&Replaced| gone.lane.or(slice.lane) == Some(self.held.lane);
                let gone = slice.replaced.iter().filter(mine);
                gone.map(|gone| (at.clone(), gone.generation, gone.list.clone())).collect::<Vec<_>>()
            });
            all.collect::<Vec<_>>()
        });
        let read = lists.into_iter().map(|(at, generation, list)| async move {
            let files = self.files(&list).await?;
            Ok::<_, LedgerError>((at, generation, files))
        });
        stream::iter(read).buffered(READ_AHEAD).try_collect().await
    }

    /// Deletes files that no list names any more, and notes it in one entry.
    async fn delete(&self, replaced: &[Gone], data: &dyn DataStore) -> Result<Vec<String>, LedgerError> {
        let gone = |at: &SliceRef, file: &FileReceipt| self.state(|state| !state.has_left(&at.job, &file.root));
        let mut files = Vec::new();
        let mut said = Vec::new();
        for (at, generation, of_it) in replaced {
            let before = files.len();
            files.extend(of_it.iter().filter(|file| gone(at, file)));
            let count = count(files.len() - before);
            said.push(format!("{at}: {count} of generation {generation}, which was replaced, deleted"));
        }
        let deleted = stream::iter(files)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, async |file: &FileReceipt| data.delete(&file.root, &file.path).await);
        deleted.await?;
        let cleaned = replaced.iter().map(|(at, generation, _)| Generation { at: at.clone(), generation: *generation });
        if !said.is_empty() {
            self.append(cleaned.map(Record::Cleaned).collect()).await?;
        }
        Ok(said)
    }

    /// Returns the data sets of some roots, each with all roots that the log has of it: its place may be written in several ways.
    async fn data_sets(&self, dirty: &BTreeSet<String>, data: &dyn DataStore) -> Vec<BTreeSet<String>> {
        let mut all: BTreeSet<String> = self.state(|state| state.roots().into_iter().map(str::to_owned).collect());
        all.extend(dirty.iter().cloned());
        let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for root in all {
            sets.entry(data.place(&root).await).or_default().insert(root);
        }
        sets.into_values().filter(|roots| !roots.is_disjoint(dirty)).collect()
    }

    /// Brings the list of one data set, which has these roots, up to the log, and returns how many slices it names. Only files that it
    /// doesn't name yet are looked up.
    async fn update_manifest(&self, roots: &BTreeSet<String>, data: &dyn DataStore) -> Result<usize, LedgerError> {
        let Some(root) = roots.first() else { return Ok(0) };
        let pipeline = self.held.ledger.pipeline().clone();
        let listed = Manifest::read(root, data.read_manifest(root).await?.as_deref())?.listed(&pipeline);
        let (sequence, ledger, landed) = self.state(|state| {
            let own = |(at, generation, list): (SliceRef, u32, &str)| ((at.job, at.slice, generation), list.to_owned());
            let ledger = state.id().map(str::to_owned);
            (
                state.sequence(),
                ledger,
                roots.iter().flat_map(|root| state.landed_in(root)).map(own).collect::<BTreeSet<_>>(),
            )
        });
        let new = landed.iter().filter(|(slice, _)| !listed.contains(slice));
        let lists = new.map(|(slice, list)| async move { Ok::<_, LedgerError>((slice, self.files(list).await?)) });
        let lists: Vec<_> = stream::iter(lists).buffered(READ_AHEAD).try_collect().await?;
        let files = lists.into_iter().flat_map(|(slice, files)| files.into_iter().map(move |file| (slice, file)));
        let here = files.filter(|(_, file)| roots.contains(&file.root));
        let add = here.map(|(slice, file)| listing(&pipeline, slice, file)).collect();
        // What a sink that was removed has listed stays listed.
        let stays = self.state(|state| {
            let left = listed.into_iter().filter(|(job, ..)| state.has_left_all(job, roots));
            left.collect::<Vec<_>>()
        });
        let landed: BTreeSet<_> = landed.into_iter().map(|(slice, _)| slice).chain(stays).collect();
        let slices = landed.len();
        data.update_manifest(root, &ManifestUpdate { pipeline, sequence, ledger, landed, add }).await?;
        Ok(slices)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self) -> bool {
        let now = self.held.ledger.uptime.now();
        self.pace().is_due(now)
    }
}

fn listing(pipeline: &PipelineName, slice: &ListedSlice, file: FileReceipt) -> ManifestFile {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use object_store::memory::InMemory;

    use super::*;
    use crate::ledger::tests::{ROOT, World, begin_slice, land, publication, window};
    use crate::ledger::{Accept, Accepted, DataError, Lane, MemoryData, Presence};
    use crate::model::JobName;

    /// Counts how often lists are written, and sees that nothing is deleted that a list still names.
    #[derive(Default)]
    struct Watched {
        data: MemoryData,
        written: AtomicUsize,
    }

    #[async_trait]
    impl DataStore for Watched {
        async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError> {
            self.data.probe(file).await
        }

        async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
            self.data.publish(file).await
        }

        async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
            self.data.discard(file).await
        }

        async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
            let listed = self.data.manifest(root).unwrap().files;
            assert!(listed.iter().all(|file| file.path != path), "{path} is deleted and still listed");
            self.data.delete(root, path).await
        }

        async fn place(&self, root: &str) -> String {
            self.data.place(root).await
        }

        async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
            self.data.read_manifest(root).await
        }

        async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
            self.written.fetch_add(1, Ordering::SeqCst);
            self.data.update_manifest(root, update).await
        }
    }

    /// Lands so many slices, replaces each, and returns how often their list was written for that.
    async fn writes_to_replace(slices: i64) -> usize {
        let world = World::new(Arc::new(InMemory::new()));
        let data = Watched::default();
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        for hour in 0..slices {
            land(&writer, &data.data, &window("j", hour), &["a"]).await.unwrap();
        }
        writer.tidy(&data).await.unwrap();
        let before = data.written.load(Ordering::SeqCst);
        for hour in 0..slices {
            land(&writer, &data.data, &window("j", hour), &["b"]).await.unwrap();
            writer.tidy_in_turn(&data).await.unwrap();
        }
        writer.tidy(&data).await.unwrap();
        let listed: Vec<_> = data.data.manifest(ROOT).unwrap().files.into_iter().map(|file| file.path).collect();
        assert_eq!(i64::try_from(listed.len()).unwrap(), slices);
        assert_eq!(listed, data.data.published(ROOT).into_keys().collect::<Vec<_>>());
        assert_eq!(writer.state(|state| state.uncleaned().count()), 0);
        data.written.load(Ordering::SeqCst) - before
    }

    #[tokio::test]
    async fn to_replace_many_slices_their_list_is_written_a_bounded_number_of_times() {
        assert_eq!(writes_to_replace(20).await, 20, "few: at once");
        assert_eq!(writes_to_replace(640).await, 64);
        assert_eq!(writes_to_replace(321).await, 53 + 1, "for every sixth, and at the end");
    }

    #[tokio::test]
    async fn what_was_replaced_goes_when_writing_the_list_is_cheap_by_comparison() {
        let world = World::new(Arc::new(InMemory::new()));
        let data = Watched::default();
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        for hour in 0..200 {
            land(&writer, &data.data, &window("j", hour), &["a"]).await.unwrap();
        }
        writer.tidy(&data).await.unwrap();
        land(&writer, &data.data, &window("j", 0), &["b"]).await.unwrap();
        writer.tidy_in_turn(&data).await.unwrap();
        assert_eq!(writer.state(|state| state.uncleaned().count()), 1, "one of 200 has to wait");
        world.uptime.advance(TICK * PART);
        land(&writer, &data.data, &window("j", 1), &["b"]).await.unwrap();
        writer.tidy_in_turn(&data).await.unwrap();
        assert_eq!(writer.state(|state| state.uncleaned().count()), 0);
    }

    /// Lands two windows as one shard, and lets them go as another, as after a job was cut otherwise.
    async fn let_go_by_another(world: &World, data: &MemoryData) -> Writer {
        let shard = async |index| world.ledger().acquire(Lane::shard(index, 2).unwrap(), false).await.unwrap();
        let writer = shard(0).await;
        for hour in 0..2 {
            land(&writer, data, &window("j", hour), &["a"]).await.unwrap();
        }
        let restart = Accepted { how: Accept::Restart, left: Vec::new(), since: None };
        writer.set_fingerprint(&JobName::new("j"), serde_json::json!({}), Some(restart)).await.unwrap();
        writer.tidy(data).await.unwrap();
        writer.release().await.unwrap();
        let other = shard(1).await;
        let gone = (0..2).map(|hour| Generation { at: SliceRef::of(&window("j", hour)), generation: 1 });
        other.supersede(gone.collect()).await.unwrap();
        other
    }

    #[tokio::test]
    async fn who_lets_a_generation_go_deletes_it_though_another_shard_landed_it() {
        let (world, data) = (World::new(Arc::new(InMemory::new())), MemoryData::default());
        let writer = let_go_by_another(&world, &data).await;
        assert_eq!(data.published(ROOT).len(), 2);
        assert_eq!(writer.tidy(&data).await.unwrap().len(), 2);
        assert_eq!((data.published(ROOT).len(), writer.state(|state| state.uncleaned().count())), (0, 0));
    }

    #[tokio::test]
    async fn what_a_shard_let_go_and_left_is_deleted_by_the_run_that_adopts_it() {
        let (world, data) = (World::new(Arc::new(InMemory::new())), MemoryData::default());
        let_go_by_another(&world, &data).await.release().await.unwrap();
        let whole = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        whole.recover(&data).await.unwrap();
        assert_eq!((data.published(ROOT).len(), whole.state(|state| state.uncleaned().count())), (0, 0));
    }

    #[tokio::test]
    async fn a_place_that_is_written_in_two_ways_has_one_list() {
        let (world, data) = (World::new(Arc::new(InMemory::new())), MemoryData::default());
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        for hour in 0..4 {
            let slice = window("j", hour);
            writer.begin(vec![begin_slice(&slice)]).await.unwrap();
            let mut publication = publication(&slice, 1, &["a"]);
            if hour % 2 == 1 {
                publication.files[0].root = ROOT.replace("///", "///./");
            }
            data.stage(&publication.files[0]);
            let landing = writer.publish(publication.clone()).await.unwrap();
            data.publish(&publication.files[0]).await.unwrap();
            writer.commit(landing).await.unwrap();
            writer.tidy(&data).await.unwrap();
            assert_eq!(i64::try_from(data.manifest(ROOT).unwrap().files.len()).unwrap(), hour + 1);
        }
    }

    #[test]
    fn lists_are_written_when_many_slices_wait_or_when_they_have_waited_long() {
        let pace =
            |waiting, listed| Pace { waiting, listed, took: Duration::from_secs(1), ended: Duration::from_secs(9) };
        assert!(!pace(0, 0).is_due(Duration::from_secs(1000)), "nothing waits");
        assert!(pace(1, 64).is_due(Duration::from_secs(9)));
        assert!(!pace(1, 65).is_due(Duration::from_secs(72)));
        assert!(pace(1, 65).is_due(Duration::from_secs(73)));
        assert!(pace(312, 19_968).is_due(Duration::from_secs(9)));
        assert!(!pace(312, 20_000).is_due(Duration::from_secs(9)));
    }
}
