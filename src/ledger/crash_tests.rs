//! A run that dies anywhere, is settled and repeated, ends as one that nobody disturbed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;
use proptest::prelude::*;

use super::tests::{ROOT, World, begin_slice, publication, timing, window};
use super::*;
use crate::clock::SystemClock;
use crate::objects::testing::{Call, Fate, Flawed};

/// One landing: which hour, and what the server says then.
type Step = (i64, Vec<String>);

/// Burns once, after so many changes; from then on every change fails.
#[derive(Debug)]
struct Fuse {
    left: AtomicI64,
    /// Whether the last change is made before the error: the process died between the change and its answer.
    made: bool,
}

impl Fuse {
    fn new(left: i64, made: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(left), made })
    }

    /// Tells whether the change is to be made, and whether it is to be answered.
    fn burn(&self) -> Fate {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        Fate { made: left > 0 || (left == 0 && self.made), answered: left > 0 }
    }

    fn lives(&self) -> bool {
        self.left.load(Ordering::SeqCst) >= 0
    }
}

/// A machine that may die: its state and its data, which outlive it.
#[derive(Debug, Clone)]
struct Machine {
    state: Arc<InMemory>,
    data: Arc<MemoryData>,
    uptime: Arc<Ticking>,
    fuse: Arc<Fuse>,
}

/// An uptime by which seven seconds pass between two looks.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Uptime for Ticking {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(7, Ordering::SeqCst))
    }
}

impl Machine {
    fn new() -> Self {
        let uptime = Arc::default();
        Self { state: Arc::default(), data: Arc::default(), uptime, fuse: Fuse::new(i64::MAX, true) }
    }

    fn ledger(&self) -> Ledger {
        let (burning, living) = (Arc::clone(&self.fuse), Arc::clone(&self.fuse));
        let store = Flawed::over(Arc::clone(&self.state), move |call| match call {
            Call::Put => burning.burn(),
            Call::Get if !living.lives() => Fate::LOST,
            _ => Fate::FINE,
        });
        Ledger::in_store(Arc::new(store), "state", PipelineName::new("p"), Arc::new(SystemClock))
            .timed(timing(), Arc::clone(&self.uptime) as Arc<dyn Uptime>)
    }

    async fn change<T>(&self, change: impl Future<Output = T>) -> Result<T, DataError> {
        let Fate { made, answered } = self.fuse.burn();
        let done = if made { Some(change.await) } else { None };
        match done {
            Some(done) if answered => Ok(done),
            _ => Err(DataError {
                action: "reach",
                root: ROOT.to_owned(),
                path: String::new(),
                fault: Fault::Store,
                source: "died".into(),
            }),
        }
    }

    /// Does what a run does: settles, then lands the steps from `done` on, of which it keeps count.
    async fn run(&self, steps: &[Step], done: &mut usize) -> Result<(), LedgerError> {
        let writer = self.ledger().acquire(Lane::WHOLE, true).await?;
        writer.recover(self).await?;
        while let Some((hour, contents)) = steps.get(*done) {
            self.land(&writer, *hour, contents).await?;
            writer.tidy(self).await?;
            *done += 1;
        }
        writer.release().await
    }

    async fn land(&self, writer: &Writer, hour: i64, contents: &[String]) -> Result<(), LedgerError> {
        let slice = window("j", hour);
        let at = SliceRef::of(&slice);
        let begun = writer.begin(vec![begin_slice(&slice)]).await?;
        let contents: Vec<_> = contents.iter().map(String::as_str).collect();
        let publication = publication(&slice, begun[0].generation, &contents);
        for file in &publication.files {
            self.change(async { self.data.stage(file) }).await?;
        }
        let files = publication.files.clone();
        if writer.state(|state| state.unchanged(&at, &digest(&files))) {
            for file in &files {
                self.discard(file).await?;
            }
            return writer.close(at, Closed::Unchanged).await;
        }
        let landing = writer.publish(publication).await?;
        for file in &files {
            DataStore::publish(self, file).await?;
        }
        writer.commit(landing).await
    }
}

/// Checks what every run must leave: the last answer for each hour, listed once, and nothing else.
async fn check(machine: &Machine, steps: &[Step]) -> Result<(), TestCaseError> {
    let ledger = machine.ledger();
    let state = ledger.read_state().await.unwrap();
    let mut replayed = LedgerState::default();
    log::catch_up(&ledger.store, &mut replayed).await.unwrap();
    prop_assert_eq!(&replayed, &state);
    // Which part of a slice holds which rows is no part of the digest, so the order of files is left out here as well.
    let sorted = |mut contents: Vec<String>| {
        contents.sort();
        contents
    };
    let expected: BTreeMap<_, _> =
        steps.iter().map(|(hour, contents)| (window("j", *hour).id, sorted(contents.clone()))).collect();
    let mut found = BTreeMap::new();
    let mut paths = BTreeMap::new();
    for (at, slice) in state.all_slices() {
        prop_assert!(slice.begun.is_none() && slice.published.is_none() && slice.replaced.is_empty(), "{:?}", slice);
        let landed = slice.landed.as_ref().unwrap();
        let files = match &landed.list {
            Some(list) => ledger.files(list).await.unwrap(),
            None => Vec::new(),
        };
        paths.extend(files.iter().map(|file| (file.path.clone(), file.sha256.clone())));
        found.insert(at.slice, sorted(files.into_iter().map(|file| file.sha256).collect()));
    }
    prop_assert_eq!(found, expected);
    prop_assert_eq!(machine.data.published(ROOT), paths.clone());
    let listed: BTreeMap<_, _> =
        machine.data.manifest(ROOT).unwrap().files.into_iter().map(|file| (file.path, file.sha256)).collect();
    prop_assert_eq!(listed, paths);
    prop_assert_eq!(machine.data.staged(), 0);
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0_i64..3, proptest::collection::vec("[ab]", 0..3)), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn a_run_killed_anywhere_and_repeated_ends_undisturbed(
        steps in steps(),
        deaths in proptest::collection::vec((0_i64..40, any::<bool>()), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut machine = Machine::new();
            let mut done = 0;
            for (left, made) in deaths {
                machine.fuse = Fuse::new(left, made);
                if machine.run(&steps, &mut done).await.is_ok() {
                    break;
                }
            }
            machine.fuse = Fuse::new(i64::MAX, true);
            machine.run(&steps, &mut done).await.unwrap();
            check(&machine, &steps).await
        })?;
    }
}

#[async_trait]
impl DataStore for Machine {
    async fn probe(&self, file: &FileReceipt) -> Result<Presence, DataError> {
        self.data.probe(file).await
    }

    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.change(self.data.publish(file)).await?
    }

    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.change(self.data.discard(file)).await?
    }

    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
        self.change(self.data.delete(root, path)).await?
    }

    async fn place(&self, root: &str) -> String {
        self.data.place(root).await
    }

    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.data.read_manifest(root).await
    }

    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
        self.change(self.data.update_manifest(root, update)).await?
    }
}

/// Takes every file for staged, as a store does that can't show which parts of an upload it has lost.
struct Hopeful(MemoryData);

#[async_trait]
impl DataStore for Hopeful {
    async fn probe(&self, _: &FileReceipt) -> Result<Presence, DataError> {
        Ok(Presence::Staged)
    }
    async fn publish(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.0.publish(file).await
    }
    async fn discard(&self, file: &FileReceipt) -> Result<(), DataError> {
        self.0.discard(file).await
    }
    async fn delete(&self, root: &str, path: &str) -> Result<(), DataError> {
        self.0.delete(root, path).await
    }
    async fn place(&self, root: &str) -> String {
        self.0.place(root).await
    }
    async fn read_manifest(&self, root: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.0.read_manifest(root).await
    }
    async fn update_manifest(&self, root: &str, update: &ManifestUpdate) -> Result<(), LedgerError> {
        self.0.update_manifest(root, update).await
    }
}

#[tokio::test]
async fn a_file_that_turns_out_to_be_gone_takes_those_back_that_had_appeared() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = Hopeful(MemoryData::default());
    let slice = window("j", 0);
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    writer.begin(vec![begin_slice(&slice)]).await.unwrap();
    let published = publication(&slice, 1, &["a", "b", "c"]);
    data.0.stage(&published.files[0]);
    data.0.stage(&published.files[2]);
    writer.publish(published).await.unwrap();
    writer.recover(&data).await.unwrap();
    assert!(data.0.published(ROOT).is_empty() && data.0.staged() == 0);
    assert_eq!(writer.state(|state| state.next_generation(&SliceRef::of(&slice))), 2);
}
