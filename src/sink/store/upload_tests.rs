use std::sync::mpsc::sync_channel;

use object_store::memory::InMemory;

use super::*;
use crate::objects::testing::{Call, Fate, Flawed};
use crate::objects::{Bucket, Location};

/// More than an end takes on the slowest machine.
const LONG: Duration = Duration::from_secs(20);

struct Nobody;

#[async_trait::async_trait]
impl Notes for Nobody {
    async fn staged(&self, _: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

/// Opens the stage of a writer into a store that takes no part.
fn stage(sending: &Sending, runtime: &Handle) -> ObjectStage {
    let store = Flawed::over(Arc::new(InMemory::new()), |call| match call {
        Call::Part => Fate::LOST,
        _ => Fate::FINE,
    });
    let at = Location::parse("s3://lake/a").unwrap().unwrap();
    let root = ObjectRoot::new(Bucket::new(Arc::new(store)), at);
    let notes: Arc<dyn Notes> = Arc::new(Nobody);
    ObjectStage::open(root, "s3://lake/a/".to_owned(), &SinkName::new("lake"), (&notes, sending), runtime).unwrap()
}

#[test]
fn whoever_keeps_a_stage_just_when_its_task_ends_hears_of_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sending = Sending::default();
    let (kept, ends) = sync_channel(1);
    let handle = runtime.handle().clone();
    std::thread::spawn(move || {
        for _ in 0..3_000 {
            let stage = stage(&sending, &handle);
            stage.create("x").unwrap().finish().unwrap();
            if kept.send(stage.keep()).is_err() {
                return;
            }
        }
    });
    for round in 0..3_000 {
        let end = ends.recv_timeout(LONG);
        let Ok(end) = end else {
            runtime.shutdown_background();
            panic!("round {round}")
        };
        assert!(end.is_err(), "no part was taken");
    }
}
