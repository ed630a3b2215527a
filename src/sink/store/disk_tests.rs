use tempfile::tempdir;

use super::*;
use crate::model::{JobName, SliceId};

fn landing(pipeline: &str, generation: u32) -> Landing {
    Landing {
        pipeline: PipelineName::new(pipeline),
        job: JobName::new("j"),
        slice: SliceId::new("20260101T000000Z"),
        generation,
        snapshot: None,
        schema_version: 1,
    }
}

/// Stages `content` for the path `day=1/a.csv`.
fn stage(root: &Path, content: &str) -> FileReceipt {
    stage_as(root, &landing("p", 1), content)
}

fn stage_as(root: &Path, landing: &Landing, content: &str) -> FileReceipt {
    let sink = SinkName::new("lake");
    let stage = DiskStage::open(root, landing, &sink).unwrap();
    let (_, staged) = stage.create("a.csv").unwrap();
    fs::write(root.join(&staged), content).unwrap();
    stage.keep().unwrap();
    FileReceipt {
        sink,
        root: String::new(),
        path: "day=1/a.csv".to_owned(),
        staged,
        rows: 1,
        bytes: content.len() as u64,
        sha256: hex::encode(Sha256::digest(content)),
    }
}

fn names(root: &Path) -> Vec<String> {
    names_in(root).unwrap()
}

#[test]
fn publishing_again_changes_nothing() {
    let root = tempdir().unwrap();
    let receipt = stage(root.path(), "x\n");
    publish(root.path(), &receipt).unwrap();
    publish(root.path(), &receipt).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("day=1/a.csv")).unwrap(), "x\n");
    assert_eq!(names(root.path()), ["day=1"], "the staging directories are gone");
}

#[test]
fn a_crash_between_the_two_names_is_settled() {
    let root = tempdir().unwrap();
    let receipt = stage(root.path(), "x\n");
    fs::create_dir(root.path().join("day=1")).unwrap();
    fs::hard_link(root.path().join(&receipt.staged), root.path().join(&receipt.path)).unwrap();
    publish(root.path(), &receipt).unwrap();
    assert_eq!(names(root.path()), ["day=1"]);
}

#[test]
fn a_published_file_is_never_overwritten() {
    let root = tempdir().unwrap();
    publish(root.path(), &stage(root.path(), "old\n")).unwrap();
    for content in ["new\n", "longer\n"] {
        let receipt = stage(root.path(), content);
        assert!(matches!(publish(root.path(), &receipt), Err(SinkError::Conflict { .. })));
        assert!(root.path().join(&receipt.staged).exists());
    }
    assert_eq!(fs::read_to_string(root.path().join("day=1/a.csv")).unwrap(), "old\n");
}

#[test]
fn a_staged_file_that_is_gone_or_cut_is_told() {
    let root = tempdir().unwrap();
    let receipt = stage(root.path(), "x\n");
    fs::write(root.path().join(&receipt.staged), "").unwrap();
    assert!(matches!(publish(root.path(), &receipt), Err(SinkError::StagedDiffers { found: 0, .. })));
    discard(root.path(), &receipt.staged).unwrap();
    discard(root.path(), &receipt.staged).unwrap();
    assert!(matches!(publish(root.path(), &receipt), Err(SinkError::StagedGone { .. })));
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn deleting_prunes_empty_partitions_up_to_the_root() {
    let root = tempdir().unwrap();
    fs::create_dir_all(root.path().join("a=1/b=1")).unwrap();
    fs::create_dir_all(root.path().join("a=1/b=2")).unwrap();
    for file in ["a=1/b=1/x", "a=1/b=2/y"] {
        fs::write(root.path().join(file), "").unwrap();
    }
    delete(root.path(), "a=1/b=1/x").unwrap();
    delete(root.path(), "a=1/b=1/x").unwrap();
    assert_eq!(names(&root.path().join("a=1")), ["b=2"]);
    delete(root.path(), "a=1/b=2/y").unwrap();
    assert_eq!(names(root.path()), [""; 0]);
    assert!(root.path().exists());
    delete(&root.path().join("never"), "x").unwrap();
}

#[test]
fn no_receipt_reaches_outside_the_root() {
    let outer = tempdir().unwrap();
    let root = outer.path().join("lake");
    let mut receipt = stage(&root, "x\n");
    fs::write(outer.path().join("precious.staged"), "x\n").unwrap();
    assert!(matches!(delete(&root, "../precious.staged"), Err(SinkError::UnsafePath { .. })));
    assert!(matches!(discard(&root, "../precious.staged"), Err(SinkError::UnsafePath { .. })));
    receipt.path = "../escaped.csv".to_owned();
    assert!(matches!(publish(&root, &receipt), Err(SinkError::UnsafePath { .. })));
    publish(&root, &FileReceipt { path: "a.csv".to_owned(), ..receipt }).unwrap();
    assert!(matches!(discard(&root, "a.csv"), Err(SinkError::UnsafePath { .. })));
    assert_eq!(names(outer.path()), ["lake", "precious.staged"]);
    assert_eq!(names(&root), ["a.csv"]);
}

#[test]
fn a_sweep_takes_only_what_is_dead_and_of_its_pipeline() {
    let root = tempdir().unwrap();
    let dead = stage_as(root.path(), &landing("p", 1), "1");
    let live = stage_as(root.path(), &landing("p", 2), "2");
    let other = stage_as(root.path(), &landing("p-x", 1), "3");
    let keep = |found: &StagedSlice| found.is(&JobName::new("j"), &SliceId::new("20260101T000000Z"), 2);
    assert_eq!(sweep(root.path(), &PipelineName::new("p"), keep).unwrap(), 1);
    let there = |receipt: &FileReceipt| root.path().join(&receipt.staged).exists();
    assert_eq!([there(&dead), there(&live), there(&other)], [false, true, true]);
    assert_eq!(sweep(root.path(), &PipelineName::new("p"), |_| false).unwrap(), 1);
    assert_eq!(sweep(root.path(), &PipelineName::new("p-x"), |_| false).unwrap(), 1);
    assert_eq!(names(root.path()), [""; 0]);
    assert_eq!(sweep(&root.path().join("never"), &PipelineName::new("p"), |_| false).unwrap(), 0);
}

#[test]
fn a_stage_that_is_dropped_leaves_nothing_to_publish() {
    let root = tempdir().unwrap();
    let stage = DiskStage::open(root.path(), &landing("p", 1), &SinkName::new("lake")).unwrap();
    let (_, staged) = stage.create("a.csv").unwrap();
    assert!(root.path().join(&staged).exists());
    drop(stage);
    assert!(!root.path().join(&staged).exists());
}

#[test]
fn publishers_and_deleters_of_one_directory_do_not_trip_each_other() {
    let root = tempdir().unwrap();
    let turns = &|worker: u32| {
        for turn in 0..20 {
            let mut receipt = stage_as(root.path(), &landing("p", worker), "x");
            receipt.path = format!("day=1/h=1/{worker}-{turn}.csv");
            publish(root.path(), &receipt).unwrap();
            delete(root.path(), &receipt.path).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || turns(worker));
        }
    });
    assert_eq!(names(root.path()), [""; 0]);
}
