//! The log of deliveries: what is noted is known, across checkpoints, faults and writers that lost their lease.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use object_store::memory::InMemory;
use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;
use crate::ledger::Lane;
use crate::ledger::tests::World;
use crate::model::{PipelineName, SliceId};
use crate::objects::testing::{Call, Fate, Flawed};

fn key(number: u64) -> RowKey {
    RowKey::of([number.to_string().as_str()])
}

fn keys(numbers: impl IntoIterator<Item = u64>) -> RowKeys {
    RowKeys(numbers.into_iter().map(key).collect())
}

fn ledger() -> Ledger {
    Ledger::in_store(Arc::new(InMemory::new()), "state", PipelineName::new("p"), Arc::new(SystemClock))
}

async fn open(writer: &Writer) -> DeliveryLog {
    writer.delivery(&JobName::new("j"), &SinkName::new("s")).await.unwrap()
}

#[test]
fn a_request_is_in_doubt_until_its_end_is_noted() {
    let mut state = DeliveryState::default();
    state.apply(&DeliveryNote { begun: vec![keys([1, 2]), keys([3])], ..DeliveryNote::default() });
    assert_eq!(state.in_doubt(), [keys([1, 2]), keys([3])]);
    assert!(!state.has_ended(key(1)));
    state.apply(&DeliveryNote { sent: keys([1]), unsent: keys([3]), ..DeliveryNote::default() });
    assert_eq!(state.in_doubt(), [keys([2])]);
    assert!(state.has_ended(key(1)) && !state.has_ended(key(3)));
    state.apply(&DeliveryNote { begun: vec![keys([2, 4])], maybe_sent: 1, ..DeliveryNote::default() });
    assert_eq!((state.in_doubt(), state.maybe_sent()), (&[keys([2, 4])][..], 1));
    state.apply(&DeliveryNote { refused: keys([2, 4]), ..DeliveryNote::default() });
    assert_eq!((state.in_doubt().len(), state.refused(), state.sent()), (0, 2, 1));
    state.apply(&DeliveryNote { forgive: true, ..DeliveryNote::default() });
    assert!(!state.has_ended(key(2)) && state.has_ended(key(1)), "only what was sent stays");
}

fn kept(numbers: impl IntoIterator<Item = u64> + Clone) -> KeptRequest {
    let rows = numbers.clone().into_iter().map(|number| serde_json::json!({"z": number, "a": 0.1 + 0.2})).collect();
    KeptRequest { request: keys(numbers).id(), mark: "a mark".to_owned(), rows }
}

#[test]
fn a_request_is_kept_as_it_was_until_its_end_is_noted() {
    let mut state = DeliveryState::default();
    let note = DeliveryNote {
        begun: vec![keys([1, 2]), keys([3])],
        kept: vec![kept([1, 2]), kept([3])],
        ..DeliveryNote::default()
    };
    state.apply(&serde_json::from_str(&serde_json::to_string(&note).unwrap()).unwrap());
    assert_eq!(state.kept(&keys([1, 2])), Some(&kept([1, 2])));
    let stored = serde_json::to_string(&state.stored()).unwrap();
    let read: DeliveryState = serde_json::from_str::<StoredState>(&stored).unwrap().into();
    assert_eq!(read, state);
    state.apply(&DeliveryNote { sent: keys([1, 2]), ..DeliveryNote::default() });
    assert_eq!((state.kept(&keys([1, 2])), state.kept(&keys([3]))), (None, Some(&kept([3]))));
    state.apply(&DeliveryNote { forgive: true, ..DeliveryNote::default() });
    let left = state.kept(&keys([3])).unwrap();
    assert!(left.rows.is_empty() && left.mark == "a mark", "it is sent as its rows are now");
}

#[test]
fn after_an_edit_of_the_key_rows_are_known_by_the_new_one() {
    let by = |column: &str| vec![column.to_owned()];
    let mut state = DeliveryState::default();
    state.apply(&DeliveryNote { key: by("id"), ..DeliveryNote::default() });
    let note =
        DeliveryNote { sent: keys([1, 2]), refused: keys([3]), begun: vec![keys([4])], ..DeliveryNote::default() };
    state.apply(&note);
    state.apply(&DeliveryNote { key: by("n"), sent: keys([11]), begun: vec![keys([14])], ..DeliveryNote::default() });
    assert_eq!((state.key(), state.in_doubt()), (&by("n")[..], &[keys([14])][..]));
    assert_eq!((state.sent(), state.refused()), (1, 0), "of those by the old key nothing is counted");
    assert!(state.was_sent(key(11)) && state.was_sent(key(1)), "and nothing that was sent is forgotten");
    state.apply(&DeliveryNote { sent: keys([12]), ..DeliveryNote::default() });
    assert_eq!(state.sent(), 2);
    state.apply(&DeliveryNote { key: by("id"), sent: keys([1, 2]), ..DeliveryNote::default() });
    assert_eq!(state.sent(), 2);
}

#[tokio::test]
async fn what_is_noted_is_read_back_across_checkpoints() {
    let ledger = ledger();
    let writer = ledger.acquire(Lane::WHOLE, false).await.unwrap();
    let mut log = open(&writer).await;
    for number in 0..450 {
        let done = DoneSlice { slice: SliceId::new(format!("s{number}")), key: None, generation: 1 };
        let done = if number % 10 == 0 { vec![done] } else { Vec::new() };
        let note =
            DeliveryNote { sent: keys([number]), begun: vec![keys([number + 1])], done, ..DeliveryNote::default() };
        log.note(note).await.unwrap();
        if number % 97 == 0 {
            let state = ledger.delivery(&JobName::new("j"), &SinkName::new("s")).await.unwrap();
            assert_eq!(state, *log.state());
            log = open(&writer).await;
        }
    }
    let left = log.store.numbers("delivery/j/s/log", None).await.unwrap().len();
    assert!((100..=300).contains(&left), "{left} notes of 450 are left");
    let state = open(&writer).await.state().clone();
    assert_eq!((state.sent(), state.in_doubt()), (450, &[keys([450])][..]));
    assert!(state.is_done(&SliceId::new("s440"), None, 1) && !state.is_done(&SliceId::new("s440"), None, 2));
}

#[tokio::test]
async fn of_two_writers_the_second_to_note_stops() {
    let writer = ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let (mut one, mut two) = (open(&writer).await, open(&writer).await);
    one.note(DeliveryNote { sent: keys([1]), ..DeliveryNote::default() }).await.unwrap();
    let error = two.note(DeliveryNote { sent: keys([2]), ..DeliveryNote::default() }).await.unwrap_err();
    assert!(error.to_string().contains("another run delivers"), "{error}");
    assert!(!open(&writer).await.state().has_ended(key(2)));
}

/// The number that it would note by is free again: what stood there is in a checkpoint.
#[tokio::test]
async fn one_whose_lease_was_taken_meanwhile_notes_nothing() {
    let world = World::new(Arc::new(InMemory::new()));
    let stale = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let mut log = open(&stale).await;
    let ledger = world.ledger();
    let acquire = tokio::spawn(async move { ledger.acquire(Lane::WHOLE, false).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.uptime.advance(Duration::from_mins(1));
    let fresh = acquire.await.unwrap().unwrap();
    let mut newer = open(&fresh).await;
    for number in 0..250 {
        newer.note(DeliveryNote { sent: keys([number]), ..DeliveryNote::default() }).await.unwrap();
    }
    assert_eq!(newer.store.get(&note_path(&log.place, log.next())).await.unwrap(), None);
    let error = log.note(DeliveryNote { begun: vec![keys([7])], ..DeliveryNote::default() }).await.unwrap_err();
    assert!(matches!(error, LedgerError::LeaseLost { lease: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_note_that_takes_longer_than_the_lease_is_none() {
    let (memory, slow) = (Arc::new(InMemory::new()), Arc::new(AtomicBool::new(false)));
    let mut world = World::new(Arc::clone(&memory) as Arc<dyn object_store::ObjectStore>);
    let (uptime, is_slow) = (Arc::clone(&world.uptime), Arc::clone(&slow));
    world.store = Arc::new(Flawed::over(memory, move |call| {
        if call == Call::Put && is_slow.load(Ordering::SeqCst) {
            uptime.advance(Duration::from_mins(1));
        }
        Fate::FINE
    }));
    let writer = world.ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let mut log = open(&writer).await;
    log.note(DeliveryNote { sent: keys([1]), ..DeliveryNote::default() }).await.unwrap();
    slow.store(true, Ordering::SeqCst);
    let error = log.note(DeliveryNote { begun: vec![keys([2])], ..DeliveryNote::default() }).await.unwrap_err();
    assert!(matches!(error, LedgerError::LeaseLost { .. }), "{error}");
}

#[tokio::test]
async fn one_that_gave_its_lease_back_notes_nothing() {
    let writer = ledger().acquire(Lane::WHOLE, false).await.unwrap();
    let mut log = open(&writer).await;
    writer.release().await.unwrap();
    assert!(log.note(DeliveryNote { sent: keys([1]), ..DeliveryNote::default() }).await.is_err());
}

#[tokio::test]
async fn refused_rows_are_kept_under_names_of_their_own() {
    let writer = ledger().acquire(Lane::WHOLE, false).await.unwrap();
    for lines in ["{\"a\":1}\n", "{\"a\":2}\n", "{\"a\":1}\n"] {
        writer.quarantine("p-j-s-delivery-7", lines.to_owned()).await.unwrap();
    }
    let store = &writer.held.ledger.store;
    let read = async |name: &str| store.get(&format!("quarantine/p-j-s-delivery-7-{name}.jsonl")).await.unwrap();
    assert_eq!((read("0").await, read("1").await), (Some("{\"a\":1}\n".into()), Some("{\"a\":2}\n".into())));
    assert_eq!(read("2").await, None);
}

#[test]
fn checkpoints_are_rarer_the_larger_they_are() {
    assert!(!is_due(99, 0) && is_due(100, 25_600) && !is_due(100, 30_000) && is_due(118, 30_000));
}

proptest! {
    /// Whatever is noted, in whatever order: what is stored is what was known, and nothing that was sent is forgotten.
    #[test]
    fn a_state_reads_back(notes in prop::collection::vec((0_u64..9, prop::collection::vec(0_u64..20, 0..5)), 0..30)) {
        let (mut state, mut sent) = (DeliveryState::default(), HashSet::new());
        for (kind, numbers) in notes {
            let keys = keys(numbers.iter().copied());
            let note = match kind {
                0..=3 => {
                    sent.extend(numbers);
                    DeliveryNote { sent: keys, ..DeliveryNote::default() }
                }
                4 => DeliveryNote { refused: keys, ..DeliveryNote::default() },
                5 => DeliveryNote { unsent: keys, ..DeliveryNote::default() },
                6 => DeliveryNote { forgive: true, ..DeliveryNote::default() },
                _ => DeliveryNote { begun: vec![keys], ..DeliveryNote::default() },
            };
            let text = serde_json::to_string(&note).unwrap();
            state.apply(&serde_json::from_str(&text).unwrap());
        }
        let stored = serde_json::to_string(&state.stored()).unwrap();
        let read: DeliveryState = serde_json::from_str::<StoredState>(&stored).unwrap().into();
        prop_assert_eq!(&read, &state);
        prop_assert_eq!(state.sent(), sent.len() as u64);
        prop_assert!(sent.iter().all(|number| state.has_ended(key(*number))));
    }
}
