//! What every store must do, asked of each: a disk, memory, s3s-fs and moto. Files are staged, appear, stay and go; a ledger's numbers
//! are given out once, and its lease to one at a time.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use object_store::{PutMode, PutOptions, PutPayload};
use tempfile::TempDir;
use tidegate::clock::SystemClock;
use tidegate::ledger::{
    DataStore, Fault, Lane, LeaseEvent, Ledger, LedgerError, Manifest, ManifestFile, ManifestUpdate, Record, Timing,
};
use tidegate::model::{FileReceipt, JobName, PipelineName, SinkName, SliceId, StagedPlace};
use tidegate::objects::{Bucket, Location, Purpose, Stores};
use tidegate::run::Data;
use tidegate::sink::{
    DataSets, Format, Landing, Notes, Presence, SinkError, SinkSpec, SinkWriter, Staging, TextCompression,
};

use crate::support::s3::S3;

/// Somewhere to land and to keep state.
struct Place {
    name: &'static str,
    url: String,
    stores: Arc<Stores>,
    _s3: Option<S3>,
    _folder: Option<TempDir>,
}

impl Place {
    fn all() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().to_str().unwrap().to_owned();
        let (fs, moto) = (S3::start(), S3::moto());
        vec![
            Self { name: "disk", url: disk, stores: Arc::default(), _s3: None, _folder: Some(folder) },
            Self { name: "memory", url: "memory://lake".to_owned(), stores: Arc::default(), _s3: None, _folder: None },
            Self { name: "s3s-fs", url: "s3://lake".to_owned(), stores: fs.stores(), _s3: Some(fs), _folder: None },
            Self { name: "moto", url: "s3://lake".to_owned(), stores: moto.stores(), _s3: Some(moto), _folder: None },
        ]
    }

    fn is_disk(&self) -> bool {
        self.name == "disk"
    }

    fn location(&self) -> Option<Location> {
        Location::parse(&self.url).unwrap()
    }

    fn bucket(&self) -> Option<Bucket> {
        Some(self.stores.open(&self.location()?, Purpose::Data).unwrap())
    }

    fn sets(&self) -> DataSets {
        DataSets::new(Arc::clone(&self.stores))
    }

    fn data(&self) -> Data {
        Data::new(Arc::clone(&self.stores))
    }

    fn ledger(&self, ttl: Duration) -> Ledger {
        let state = format!("{}/state", self.url);
        let ledger = Ledger::open(&state, PipelineName::new("p"), Arc::new(SystemClock), &self.stores).unwrap();
        ledger.with_timing(Timing::of(ttl))
    }

    /// Stages rows with these texts in the data set `set`, a file for each text or one for all.
    async fn stage(&self, set: &str, generation: u32, texts: &[&str], notes: &Arc<Heard>) -> Vec<FileReceipt> {
        let spec = SinkSpec {
            name: SinkName::new("lake"),
            format: Format::JsonLines { compression: TextCompression::None },
            url: format!("{}/{set}", self.url),
            sort_by: Vec::new(),
            partition_by: if set == "large" { Vec::new() } else { vec!["text".parse().unwrap()] },
            rows_per_file: u64::MAX,
            bytes_per_file: u64::MAX,
        };
        let staging = Staging::new(self.sets(), Arc::clone(notes) as Arc<dyn Notes>);
        let ids = Int64Array::from_iter_values(0..i64::try_from(texts.len()).unwrap());
        let texts = StringArray::from_iter_values(texts);
        let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("text", Arc::new(texts) as _)]).unwrap();
        tokio::task::spawn_blocking(move || {
            let mut writer = SinkWriter::open(&spec, &landing(generation), &batch.schema(), &staging).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap()
        })
        .await
        .unwrap()
    }

    /// The keys of the bucket's objects below a data set.
    async fn keys(&self, set: &str) -> Vec<String> {
        use futures::TryStreamExt as _;
        let Some(bucket) = self.bucket() else { return Vec::new() };
        let prefix = object_store::path::Path::from(set);
        let found: Vec<_> = bucket.objects().list(Some(&prefix)).try_collect().await.unwrap();
        let mut keys: Vec<String> = found.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }
}

fn landing(generation: u32) -> Landing {
    Landing {
        pipeline: PipelineName::new("p"),
        job: JobName::new("j"),
        slice: SliceId::new("20260101T000000Z"),
        generation,
        snapshot: None,
        schema_version: 1,
    }
}

/// Keeps in mind what is staged.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<StagedPlace>>);

#[async_trait]
impl Notes for Heard {
    async fn staged(&self, place: StagedPlace) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.lock().unwrap().push(place);
        Ok(())
    }
}

/// Asks every place the same.
fn of_each<F: AsyncFn(&Place)>(ask: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for place in Place::all() {
        let asked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(ask(&place))));
        assert!(asked.is_ok(), "on {}: see above", place.name);
    }
    drop(ask);
}

#[test]
fn files_are_staged_appear_once_and_go() {
    of_each(async |place| {
        let (sets, notes) = (place.sets(), Arc::new(Heard::default()));
        let receipts = place.stage("set", 1, &["a", "b"], &notes).await;
        assert_eq!(receipts.len(), 2);
        let heard: BTreeSet<_> = notes.0.lock().unwrap().iter().map(|place| place.path.clone()).collect();
        let paths: BTreeSet<_> = receipts.iter().map(|file| file.path.clone()).collect();
        assert_eq!(heard, if place.is_disk() { BTreeSet::new() } else { paths }, "noted before the first byte");
        assert_eq!(place.keys("set").await, Vec::<String>::new(), "no reader sees what is staged");
        for file in &receipts {
            assert_eq!(sets.probe(file).await.unwrap(), Presence::Staged);
            sets.publish(file).await.unwrap();
            sets.publish(file).await.unwrap();
            assert_eq!(sets.probe(file).await.unwrap(), Presence::Published);
            sets.discard(file).await.unwrap();
            assert_eq!(sets.probe(file).await.unwrap(), Presence::Published, "what is published isn't thrown away");
        }
        // The same names, other bytes.
        let others = place.stage("set", 1, &["a", "b", "b"], &notes).await;
        let other = &others[1];
        assert_eq!(other.path, receipts[1].path);
        assert!(matches!(sets.publish(other).await, Err(SinkError::Conflict { .. })));
        assert_eq!(place.data().publish(other).await.unwrap_err().fault, Fault::Taken);
        assert_eq!(sets.probe(other).await.unwrap(), Presence::Foreign, "though it is staged");
        assert_eq!(sets.probe(&receipts[1]).await.unwrap(), Presence::Published, "it was left alone");
        for file in &others {
            sets.discard(file).await.unwrap();
            sets.discard(file).await.unwrap();
        }
        for file in &receipts {
            sets.delete(&file.root, &file.path).await.unwrap();
            sets.delete(&file.root, &file.path).await.unwrap();
            assert_eq!(sets.probe(file).await.unwrap(), Presence::Missing);
            let lost = place.data().publish(file).await.unwrap_err();
            assert_eq!(lost.fault, Fault::Gone, "{lost:?}");
        }
        assert_eq!(place.keys("set").await, Vec::<String>::new());
    });
}

#[test]
fn what_was_noted_is_enough_to_throw_it_away() {
    of_each(async |place| {
        let (sets, notes) = (place.sets(), Arc::new(Heard::default()));
        let receipts = place.stage("set", 1, &["a"], &notes).await;
        let places = std::mem::take(&mut *notes.0.lock().unwrap());
        for staged in places {
            sets.discard(&staged.into_receipt()).await.unwrap();
        }
        if place.is_disk() {
            sets.sweep_staged(&receipts[0].root, &PipelineName::new("p"), |_| false).await.unwrap();
        }
        assert!(matches!(sets.publish(&receipts[0]).await, Err(SinkError::StagedGone { .. })));
    });
}

#[test]
fn an_upload_whose_parts_are_lost_is_gone() {
    of_each(async |place| {
        // s3s-fs doesn't look at the tags of parts, and the others have no parts that could be lost.
        if place.name != "moto" {
            return;
        }
        let receipts = place.stage("set", 1, &["a"], &Arc::default()).await;
        let mut staged: serde_json::Value = serde_json::from_str(&receipts[0].staged).unwrap();
        staged["parts"][0] = "\"0123456789abcdef0123456789abcdef\"".into();
        let lost = FileReceipt { staged: staged.to_string(), ..receipts[0].clone() };
        assert_eq!(place.sets().probe(&lost).await.unwrap(), Presence::Staged);
        assert_eq!(place.data().publish(&lost).await.unwrap_err().fault, Fault::Gone);
        place.sets().publish(&receipts[0]).await.unwrap();
    });
}

#[test]
fn a_file_of_many_parts_arrives_whole() {
    of_each(async |place| {
        let (sets, notes) = (place.sets(), Arc::new(Heard::default()));
        // About 21 MiB.
        let text = "0123456789abcdef".repeat(8);
        let texts = vec![text.as_str(); 140_000];
        let receipts = place.stage("large", 1, &texts, &notes).await;
        assert_eq!(receipts.len(), 1);
        assert!(receipts[0].bytes > 20 << 20, "{}", receipts[0].bytes);
        sets.publish(&receipts[0]).await.unwrap();
        assert_eq!(
            sets.probe(&receipts[0]).await.unwrap(),
            Presence::Published,
            "size and digest are those of the receipt"
        );
        let longer = FileReceipt { bytes: receipts[0].bytes + 1, ..receipts[0].clone() };
        let changed = FileReceipt { sha256: "00".repeat(32), ..receipts[0].clone() };
        if !place.is_disk() {
            assert_eq!(notes.0.lock().unwrap().len(), 1);
            assert_eq!(sets.probe(&longer).await.unwrap(), Presence::Foreign);
            assert_eq!(sets.probe(&changed).await.unwrap(), Presence::Foreign);
        }
    });
}

#[test]
fn values_of_rows_are_escaped_once_in_keys() {
    of_each(async |place| {
        let (sets, notes) = (place.sets(), Arc::new(Heard::default()));
        let texts = ["../../etc", "a%2Fb", "a b", "é", "{x}~[y]", ""];
        for file in place.stage("hostile set", 1, &texts, &notes).await {
            sets.publish(&file).await.unwrap();
            assert_eq!(sets.probe(&file).await.unwrap(), Presence::Published);
        }
        if !place.is_disk() {
            let keys = place.keys("hostile set").await;
            let mut folders: Vec<&str> = keys.iter().map(|key| key.rsplit_once('/').unwrap().0).collect();
            folders.sort_unstable();
            let expected = ["", "%7Bx%7D%7E%5By%5D", "%C3%A9", "..%2F..%2Fetc", "a%20b", "a%252Fb"];
            assert_eq!(folders, expected.map(|value| format!("hostile set/text={value}")));
        }
    });
}

fn update(pipeline: &str, sequence: u64, landed: &[(&str, u32)], add: &[(&str, u32)]) -> ManifestUpdate {
    let file = |(slice, generation): &(&str, u32)| ManifestFile {
        pipeline: PipelineName::new(pipeline),
        job: JobName::new("j"),
        slice: SliceId::new(*slice),
        generation: *generation,
        path: format!("{pipeline}-j-{slice}-g{generation}-0.csv"),
        sink: SinkName::new("lake"),
        rows: 1,
        bytes: 1,
        sha256: "00".to_owned(),
    };
    ManifestUpdate {
        pipeline: PipelineName::new(pipeline),
        sequence,
        ledger: None,
        landed: landed
            .iter()
            .map(|(slice, generation)| (JobName::new("j"), SliceId::new(*slice), *generation))
            .collect(),
        add: add.iter().map(file).collect(),
    }
}

#[test]
fn a_list_of_files_never_goes_back_and_loses_nothing() {
    of_each(async |place| {
        let (data, root) = (place.data(), format!("{}/listed", place.url));
        if place.is_disk() {
            std::fs::create_dir_all(&root).unwrap();
        }
        let listed = async || {
            let text = data.read_manifest(&root).await.unwrap();
            let files = Manifest::read(&root, text.as_deref()).unwrap().files;
            files.into_iter().map(|file| file.path).collect::<Vec<_>>()
        };
        assert_eq!(data.read_manifest(&root).await.unwrap(), None);
        data.update_manifest(&root, &update("p", 5, &[("a", 1)], &[("a", 1)])).await.unwrap();
        data.update_manifest(&root, &update("p", 9, &[("a", 2)], &[("a", 2)])).await.unwrap();
        data.update_manifest(&root, &update("p", 7, &[("a", 1)], &[("a", 1)])).await.unwrap();
        assert_eq!(listed().await, ["p-j-a-g2-0.csv"]);
        let names: Vec<String> = (0..12).map(|number| format!("q{number:02}")).collect();
        let updates = names.iter().map(|name| {
            let update = update(name, 1, &[("a", 1)], &[("a", 1)]);
            let (data, root) = (&data, &root);
            async move { data.update_manifest(root, &update).await.unwrap() }
        });
        futures::future::join_all(updates).await;
        assert_eq!(listed().await.len(), 13, "twelve at once, and each is in the list");
    });
}

#[test]
fn of_sixteen_who_write_one_name_one_wins() {
    of_each(async |place| {
        let Some(bucket) = place.bucket() else { return };
        place.stores.prove(&place.location().unwrap(), Purpose::Data).await.unwrap();
        for round in 0..4 {
            let key = object_store::path::Path::from(format!("race/{round}"));
            let racing = (0..16).map(|racer: u8| {
                let (bucket, key) = (bucket.clone(), key.clone());
                tokio::spawn(async move {
                    let put = PutOptions::from(PutMode::Create);
                    bucket.objects().put_opts(&key, PutPayload::from(vec![racer]), put).await.is_ok()
                })
            });
            let won = futures::future::join_all(racing).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
            assert_eq!(won, 1);
        }
    });
}

#[test]
fn a_log_written_by_sixteen_at_once_has_each_number_once() {
    of_each(async |place| {
        let ttl = Duration::from_mins(1);
        let lanes = (0..16).map(|shard| {
            let ledger = place.ledger(ttl);
            tokio::spawn(async move {
                let writer = ledger.acquire(Lane::shard(shard, 16).unwrap(), false).await.unwrap();
                for _ in 0..3 {
                    writer.append(vec![Record::Lease(LeaseEvent::Renewed)]).await.unwrap();
                }
                writer.release().await.unwrap();
            })
        });
        futures::future::join_all(lanes).await.into_iter().for_each(|ended| ended.unwrap());
        let entries = place.ledger(ttl).history(usize::MAX).await.unwrap();
        assert_eq!(entries.len(), 16 * 5);
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
        assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
        let nonces: BTreeSet<&str> = entries.iter().map(|entry| entry.nonce.as_str()).collect();
        assert_eq!(nonces.len(), 80);
    });
}

#[test]
fn a_lease_is_held_by_one_and_passes_on_when_its_holder_is_silent() {
    of_each(async |place| {
        let ttl = Duration::from_secs(2);
        let holder = place.ledger(ttl).acquire(Lane::WHOLE, false).await.unwrap();
        let refused = place.ledger(ttl).acquire(Lane::WHOLE, false).await;
        assert!(matches!(refused, Err(LedgerError::Held { .. })), "{refused:?}");
        holder.release().await.unwrap();
        let began = std::time::Instant::now();
        // It goes silent without a word.
        drop(place.ledger(ttl).acquire(Lane::WHOLE, false).await.unwrap());
        let next = place.ledger(Duration::from_mins(1)).acquire(Lane::WHOLE, true).await.unwrap();
        assert_eq!(began.elapsed() >= ttl, !place.is_disk(), "on a disk a lock tells: {:?}", began.elapsed());
        next.release().await.unwrap();
    });
}
