//! Leases, races and stores that lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use object_store::memory::InMemory;
use serde_json::Value;

use super::*;
use crate::clock::ManualClock;
use crate::model::{
    Column, ColumnType, EndReason, JobName, Reconciliation, RecordSchema, SinkName, Slice, SliceKind, Window,
};
use crate::objects::testing::{Call, Fate, Flawed};

pub(super) const ROOT: &str = "memory:///lake";

/// What a test needs to open a ledger as if by another process.
#[derive(Clone)]
pub(super) struct World {
    pub(super) store: Arc<dyn object_store::ObjectStore>,
    pub(super) uptime: Arc<ManualUptime>,
}

impl World {
    pub(super) fn new(store: Arc<dyn object_store::ObjectStore>) -> Self {
        Self { store, uptime: Arc::default() }
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::in_store(Arc::clone(&self.store), "state", PipelineName::new("p"), clock())
            .timed(timing(), Arc::clone(&self.uptime) as Arc<dyn Uptime>)
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(DateTime::UNIX_EPOCH))
}

pub(super) fn timing() -> Timing {
    Timing { ttl: Duration::from_mins(1), poll: Duration::from_millis(1), pause: Duration::ZERO }
}

pub(super) fn window(job: &str, hour: i64) -> Slice {
    let from = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
    let kind = SliceKind::Window(Window { from, to: from + TimeDelta::hours(1) });
    Slice::new(JobName::new(job), None, Value::Null, kind)
}

pub(super) fn begin_slice(slice: &Slice) -> BeginSlice {
    BeginSlice { slice: slice.clone(), now: DateTime::UNIX_EPOCH, schema_version: Some(1) }
}

/// Makes what a sink would have staged of `slice`: one file per content.
pub(super) fn publication(slice: &Slice, generation: u32, contents: &[&str]) -> Publication {
    let file = |(part, content): (usize, &&str)| {
        let path = format!("p-{}-{}-g{generation}-{part}", slice.job, slice.id);
        FileReceipt {
            sink: SinkName::new("lake"),
            root: ROOT.to_owned(),
            staged: format!(".{path}"),
            path,
            rows: 1,
            bytes: 1,
            sha256: (*content).to_owned(),
        }
    };
    Publication {
        slice: slice.clone(),
        generation,
        cursor_end: None,
        rows: contents.len() as u64,
        records: contents.len() as u64,
        good: contents.len() as u64,
        reconciliation: Reconciliation::of(1, 1, (None, None), EndReason::EmptyPage),
        schema_version: Some(1),
        files: contents.iter().enumerate().map(file).collect(),
    }
}

/// Lands a slice as a run does, up to its commit.
pub(super) async fn land(
    writer: &Writer,
    data: &MemoryData,
    slice: &Slice,
    contents: &[&str],
) -> Result<(), LedgerError> {
    let begun = writer.begin(vec![begin_slice(slice)]).await?;
    let publication = publication(slice, begun[0].generation, contents);
    publication.files.iter().for_each(|file| data.stage(file));
    let files = publication.files.clone();
    let landing = writer.publish(publication).await?;
    for file in &files {
        data.publish(file).await?;
    }
    writer.commit(landing).await
}

fn landed(state: &LedgerState) -> usize {
    state.all_slices().filter(|(_, slice)| slice.landed.is_some()).count()
}

#[tokio::test]
async fn what_one_writer_commits_another_reads() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = MemoryData::default();
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    land(&writer, &data, &window("j", 0), &["a", "b"]).await.unwrap();
    land(&writer, &data, &window("j", 0), &["c"]).await.unwrap();
    let said = writer.tidy(&data).await.unwrap();
    assert_eq!(said, ["slice 19700101T000000Z of job j: 2 files of generation 1, which was replaced, deleted"]);
    assert!(writer.tidy(&data).await.unwrap().is_empty());
    writer.release().await.unwrap();
    let ledger = world.ledger();
    let state = ledger.read_state().await.unwrap();
    let slice = state.landed(&SliceRef::of(&window("j", 0))).unwrap();
    let files = ledger.files(slice.list.as_deref().unwrap()).await.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(data.published(ROOT).into_iter().collect::<Vec<_>>(), [(files[0].path.clone(), "c".to_owned())]);
    let manifest = data.manifest(ROOT).unwrap();
    assert_eq!(manifest.files.iter().map(|file| &file.path).collect::<Vec<_>>(), [&files[0].path]);
    assert_eq!(ledger.history(3).await.unwrap().last().unwrap().sequence, state.sequence());
}

#[tokio::test]
async fn no_list_names_a_file_that_is_deleted() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = MemoryData::default();
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    land(&writer, &data, &window("j", 0), &["a"]).await.unwrap();
    writer.tidy(&data).await.unwrap();
    land(&writer, &data, &window("j", 0), &["b"]).await.unwrap();
    // As it is between a commit's entry and the note of its roots, and after a run was cancelled while it tidied.
    writer.dirty.lock().unwrap().clear();
    writer.tidy(&data).await.unwrap();
    let listed: Vec<_> = data.manifest(ROOT).unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(listed, data.published(ROOT).into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn two_files_of_one_name_are_not_published() {
    let world = World::new(Arc::new(InMemory::new()));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let slice = window("j", 0);
    writer.begin(vec![begin_slice(&slice)]).await.unwrap();
    let mut publication = publication(&slice, 1, &["a", "b"]);
    publication.files[1].path = publication.files[0].path.clone();
    let refused = writer.publish(publication).await;
    assert!(matches!(refused, Err(LedgerError::Refused { .. })), "{refused:?}");
    assert!(writer.state(|state| state.open_publishes().next().is_none()));
}

#[tokio::test]
async fn old_checkpoints_go() {
    let world = World::new(Arc::new(InMemory::new()));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    for _ in 0..600 {
        writer.append(vec![Record::Lease(LeaseEvent::Renewed)]).await.unwrap();
    }
    writer.release().await.unwrap();
    let kept = world.ledger().store.numbers("checkpoint", None).await.unwrap();
    assert!(kept.len() == 3 && kept[2] >= 500, "{kept:?}");
    assert_eq!(world.ledger().read_state().await.unwrap().sequence(), 602);
}

/// Checkpoints that are damaged cost nothing, as long as the log reaches back to one that isn't, or to its beginning.
#[tokio::test]
async fn a_damaged_checkpoint_is_read_around() {
    let world = World::new(Arc::new(InMemory::new()));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    for hour in 0..120 {
        land(&writer, &MemoryData::default(), &window("j", hour), &["a"]).await.unwrap();
    }
    writer.release().await.unwrap();
    let whole = world.ledger().read_state().await.unwrap();
    let store = world.ledger().store;
    let kept = store.numbers("checkpoint", None).await.unwrap();
    assert!(kept.len() > 1 && whole.sequence() > kept[kept.len() - 1], "{kept:?}");
    for sequence in kept.into_iter().rev() {
        let path = store::numbered("checkpoint", sequence);
        let half = store.get(&path).await.unwrap().unwrap();
        store.delete(&path).await.unwrap();
        store.create(&path, half.slice(..half.len() / 2)).await.unwrap();
        assert_eq!(world.ledger().read_state().await.unwrap(), whole, "{path} is damaged");
    }
    store.delete(&log::entry_path(1)).await.unwrap();
    let lost = world.ledger().read_state().await.unwrap_err().to_string();
    assert!(lost.starts_with("checkpoint/") && lost.contains("is corrupt: EOF while parsing"), "{lost}");
}

#[tokio::test]
async fn a_list_knows_its_ledger() {
    let data = MemoryData::default();
    let (world, pipeline) = (World::new(Arc::new(InMemory::new())), PipelineName::new("p"));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let young = writer.state(Clone::clone);
    land(&writer, &data, &window("j", 0), &["a"]).await.unwrap();
    writer.tidy(&data).await.unwrap();
    let list = data.manifest(ROOT).unwrap();
    assert!(writer.state(|state| list.is_of(&pipeline, state)));
    assert!(!list.is_of(&pipeline, &young), "an older copy of the ledger");
    assert!(!list.is_of(&pipeline, &LedgerState::default()), "no ledger");
    let other = World::new(Arc::new(InMemory::new())).ledger().acquire(Lane::WHOLE, false).await.unwrap();
    for hour in 0..9 {
        land(&other, &MemoryData::default(), &window("j", hour), &["a"]).await.unwrap();
    }
    assert!(!other.state(|state| list.is_of(&pipeline, state)), "a longer one");
    assert!(list.is_of(&PipelineName::new("other"), &LedgerState::default()));
}

#[tokio::test]
async fn a_state_from_a_checkpoint_is_that_of_the_whole_log() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = MemoryData::default();
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    for hour in 0..70 {
        land(&writer, &data, &window("j", hour), &["a"]).await.unwrap();
    }
    writer.release().await.unwrap();
    let (state, covered) = log::load(&world.ledger().store).await.unwrap();
    assert!(covered >= 100 && state.sequence() > covered, "{covered} of {}", state.sequence());
    let mut replayed = LedgerState::default();
    log::catch_up(&world.ledger().store, &mut replayed).await.unwrap();
    assert_eq!(replayed, state);
    assert_eq!(landed(&state), 70);
}

#[tokio::test]
async fn racing_shards_lose_no_entry() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = Arc::new(MemoryData::default());
    let mut tasks = tokio::task::JoinSet::new();
    for shard in 0..3 {
        let (world, data) = (world.clone(), Arc::clone(&data));
        tasks.spawn(async move {
            let writer = world.ledger().acquire(Lane::shard(shard, 3).unwrap(), false).await.unwrap();
            let job = format!("j{shard}");
            let slices: Vec<_> = (0..20).map(|hour| window(&job, hour)).collect();
            let landing = slices.iter().map(|slice| land(&writer, &data, slice, &["a"]));
            futures::future::try_join_all(landing).await.unwrap();
            writer.release().await.unwrap();
        });
    }
    tasks.join_all().await;
    let ledger = world.ledger();
    assert_eq!(landed(&ledger.read_state().await.unwrap()), 60);
    let entries = ledger.history(usize::MAX).await.unwrap();
    let begun = entries.iter().flat_map(|entry| &entry.records).filter(|record| matches!(record, Record::Begin(_)));
    assert_eq!(begun.count(), 60);
    assert!(entries.len() < 3 * (2 + 60), "waiting records share entries: {} entries", entries.len());
}

#[tokio::test]
async fn a_refused_record_does_not_harm_its_neighbours() {
    let world = World::new(Arc::new(InMemory::new()));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let (one, two) = (window("j", 0), window("j", 1));
    let publish = publication(&one, 1, &["a"]);
    let (begun, refused) = tokio::join!(writer.begin(vec![begin_slice(&two)]), writer.publish(publish));
    assert_eq!(begun.unwrap()[0].generation, 1);
    assert!(matches!(refused, Err(LedgerError::Refused { .. })), "{refused:?}");
    writer.close(SliceRef::of(&two), Closed::Unchanged).await.unwrap();
}

#[tokio::test]
async fn a_dead_holder_is_replaced_after_the_ttl_and_can_not_go_on() {
    let world = World::new(Arc::new(InMemory::new()));
    let stale = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let slice = window("j", 0);
    stale.begin(vec![begin_slice(&slice)]).await.unwrap();
    let (ledger, uptime) = (world.ledger(), Arc::clone(&world.uptime));
    let acquire = tokio::spawn(async move { ledger.acquire(Lane::WHOLE, false).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!acquire.is_finished(), "silence shorter than the ttl proves nothing");
    uptime.advance(Duration::from_mins(1));
    let fresh = acquire.await.unwrap().unwrap();
    let error = stale.append(vec![Record::Lease(LeaseEvent::Renewed)]).await.unwrap_err();
    assert!(matches!(error, LedgerError::LeaseLost { lease: 1, .. }), "{error}");
    let error = stale.close(SliceRef::of(&slice), Closed::Empty).await.unwrap_err();
    assert!(matches!(error, LedgerError::LeaseLost { .. }), "{error}");
    fresh.close(SliceRef::of(&slice), Closed::Empty).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_sees_a_newer_lease_stops() {
    let world = World::new(Arc::new(InMemory::new()));
    let stale = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    // The second machine's clock runs ahead of ours.
    let other = World { uptime: Arc::default(), ..world.clone() };
    let (ledger, uptime) = (other.ledger(), Arc::clone(&other.uptime));
    let acquire = tokio::spawn(async move { ledger.acquire(Lane::WHOLE, true).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    uptime.advance(Duration::from_mins(1));
    acquire.await.unwrap().unwrap();
    let error = stale.begin(vec![begin_slice(&window("j", 0))]).await.unwrap_err();
    assert!(error.to_string().contains("took the lane with lease 2"), "{error}");
}

#[tokio::test]
async fn a_living_holder_is_seen_without_waiting_for_its_end() {
    let world = World::new(Arc::new(InMemory::new()));
    let holder = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let ledger = world.ledger();
    let acquire = tokio::spawn(async move { ledger.acquire(Lane::shard(0, 2).unwrap(), false).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    holder.append(vec![Record::Lease(LeaseEvent::Renewed)]).await.unwrap();
    let error = acquire.await.unwrap().unwrap_err();
    assert!(matches!(error, LedgerError::Held { lane: Lane::WHOLE, .. }), "{error}");
    holder.release().await.unwrap();
    world.ledger().acquire(Lane::shard(0, 2).unwrap(), false).await.unwrap();
}

#[tokio::test]
async fn on_disk_a_lock_tells_at_once_who_lives() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let open = || Ledger::open(state, PipelineName::new("p"), clock(), &Stores::default()).unwrap();
    let shard = Lane::shard(0, 2).unwrap();
    let holder = open().acquire(Lane::WHOLE, false).await.unwrap();
    assert!(matches!(open().acquire(Lane::WHOLE, false).await, Err(LedgerError::Held { .. })));
    assert!(matches!(open().acquire(shard, false).await, Err(LedgerError::Held { .. })));
    let data = MemoryData::default();
    let slice = window("j", 0);
    let begun = holder.begin(vec![begin_slice(&slice)]).await.unwrap();
    let published = publication(&slice, begun[0].generation, &["a"]);
    data.stage(&published.files[0]);
    holder.publish(published).await.unwrap();
    // The holder dies: its lock goes, its lease doesn't.
    drop(holder);
    let next = loop {
        match open().acquire(shard, false).await {
            Ok(next) => break next,
            Err(LedgerError::Held { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let said = next.recover(&data).await.unwrap();
    assert_eq!(
        said[0],
        "slice 19700101T000000Z of job j was published and not committed: 1 file of generation 1 committed"
    );
    assert_eq!(data.manifest(ROOT).unwrap().files.len(), 1);
    let other_shard = open().acquire(Lane::shard(1, 2).unwrap(), false).await.unwrap();
    next.release().await.unwrap();
    other_shard.release().await.unwrap();
    open().acquire(Lane::WHOLE, false).await.unwrap();
}

#[tokio::test]
async fn a_publish_with_a_file_gone_is_taken_back() {
    let world = World::new(Arc::new(InMemory::new()));
    let data = MemoryData::default();
    let slice = window("j", 0);
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    writer.begin(vec![begin_slice(&slice)]).await.unwrap();
    let published = publication(&slice, 1, &["a", "b", "c"]);
    data.stage(&published.files[0]);
    data.stage(&published.files[1]);
    data.publish(&published.files[0]).await.unwrap();
    writer.publish(published).await.unwrap();
    writer.recover(&data).await.unwrap();
    assert!(data.published(ROOT).is_empty() && data.staged() == 0);
    assert_eq!(writer.state(|state| state.next_generation(&SliceRef::of(&slice))), 2);
    land(&writer, &data, &slice, &["a", "b", "c"]).await.unwrap();
    assert_eq!(data.published(ROOT).len(), 3);
}

#[tokio::test]
async fn the_first_to_pin_decides() {
    let world = World::new(Arc::new(InMemory::new()));
    let job = JobName::new("j");
    let of = |name: &str| PinnedSchema {
        records: RecordSchema::new(vec![Column { name: name.to_owned(), kind: ColumnType::Int64 }]),
        output: Vec::new(),
    };
    let one = world.ledger().acquire(Lane::shard(0, 2).unwrap(), false).await.unwrap();
    let two = world.ledger().acquire(Lane::shard(1, 2).unwrap(), false).await.unwrap();
    assert_eq!(one.pin_schema(&job, 1, of("a")).await.unwrap(), of("a"));
    assert_eq!(two.pin_schema(&job, 1, of("b")).await.unwrap(), of("a"));
    assert_eq!(world.ledger().schema(&job, 1).await.unwrap(), of("a"));
    let (first, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::days(1));
    assert_eq!(one.pin_start(&job, first).await.unwrap(), first);
    assert_eq!(two.pin_start(&job, later).await.unwrap(), first);
}

#[tokio::test]
async fn a_list_that_a_dead_run_left_is_not_overwritten() {
    let world = World::new(Arc::new(InMemory::new()));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let slice = window("j", 0);
    // Not begun, so the list is written and its publish refused, as if the run had died between the two.
    writer.publish(publication(&slice, 1, &["left"])).await.unwrap_err();
    let data = MemoryData::default();
    land(&writer, &data, &slice, &["landed"]).await.unwrap();
    let list = writer.state(|state| state.landed(&SliceRef::of(&slice)).unwrap().list.clone()).unwrap();
    assert_eq!(list, "files/j/19700101T000000Z-g1-1.json");
    assert_eq!(world.ledger().files(&list).await.unwrap()[0].sha256, "landed");
}

#[tokio::test]
async fn entries_of_a_later_format_and_gaps_are_refused() {
    let world = World::new(Arc::new(InMemory::new()));
    let store = world.ledger().store;
    store.create(&log::entry_path(1), bytes::Bytes::from_static(br#"{"format": 2, "what": []}"#)).await.unwrap();
    let error = world.ledger().read_state().await.unwrap_err();
    assert!(matches!(error, LedgerError::NewerFormat { format: 2, known: 1, .. }), "{error}");
    let gap = World::new(Arc::new(InMemory::new()));
    gap.ledger().store.create(&log::entry_path(2), bytes::Bytes::from_static(b"{}")).await.unwrap();
    let error = gap.ledger().read_state().await.unwrap_err();
    assert!(error.to_string().contains("the entry is missing"), "{error}");
}

#[tokio::test]
async fn an_error_after_the_write_does_not_write_twice() {
    for written in [true, false] {
        let puts = AtomicUsize::new(0);
        let every_third = move |call| {
            let lies = call == Call::Put && puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
            Fate { made: written || !lies, answered: !lies }
        };
        let world = World::new(Arc::new(Flawed::over(Arc::new(InMemory::new()), every_third)));
        let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
        let data = MemoryData::default();
        for hour in 0..5 {
            land(&writer, &data, &window("j", hour), &["a"]).await.unwrap();
        }
        let entries = world.ledger().history(usize::MAX).await.unwrap();
        let state = world.ledger().read_state().await.unwrap();
        assert_eq!(entries.len() as u64, state.sequence());
        let commits =
            entries.iter().flat_map(|entry| &entry.records).filter(|record| matches!(record, Record::Commit(_)));
        assert_eq!(commits.count(), landed(&state));
        assert_eq!(landed(&state), 5);
    }
}
