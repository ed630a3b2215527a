//! Disks that fill up: the run says what filled and where, nothing of the slice is visible, and once there is room the next run
//! leaves what an undisturbed one would.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::bench::{Bench, NOW, Ran};
use crate::support::files::data_files;
use crate::support::workspace::Run;

const ROWS: u64 = 40_000;

/// About 4 MB of rows that don't compress.
fn bench() -> Bench {
    let noise =
        |n: u64| (0..6).map(|part| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(part * 9) ^ n).collect::<Vec<_>>();
    let text = |n: u64| noise(n).iter().map(|word| format!("{word:016x}")).collect::<String>();
    let bodies: Vec<Value> = (0..4)
        .map(|page| (page * ROWS / 4..(page + 1) * ROWS / 4).map(|n| json!({"n": n, "noise": text(n)})).collect())
        .collect();
    let bench = Bench::new(Api::start(move |request| {
        let page = request.number("offset") as u64 * 4 / ROWS;
        Answer::json(&bodies.get(usize::try_from(page).unwrap()).cloned().unwrap_or_else(|| json!([])))
    }));
    bench.job(&format!(
        "records: '.[]'\nsnapshot: latest\npaginate: {{offset: {{into: query.offset, size: {}}}}}\nsinks:
  lake: {{jsonl: {{url: ./lake/lines}}}}
  tables: {{parquet: {{url: ./lake/tables, rows_per_file: 9000}}}}",
        ROWS / 4
    ));
    bench
}

fn run(bench: &Bench) -> Run<'_> {
    bench.workspace.tidegate(&["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW])
}

/// What an undisturbed run leaves.
fn undisturbed() -> std::collections::BTreeMap<String, String> {
    let bench = bench();
    Ran::of(run(&bench).run()).fine();
    data_files(&bench.workspace.path("lake"))
}

/// Fails unless the run has failed for this reason, with the slice, and has left nothing.
fn assert_failed(bench: &Bench, ran: &Ran, reason: &[&str]) {
    assert_eq!(ran.code(), 1, "{ran:?}");
    let errors = ran.errors().join("\n");
    assert!(reason.iter().all(|part| errors.contains(part)), "{errors}");
    assert_eq!(bench.landed(), Vec::<String>::new(), "{errors}");
}

/// A small disk in memory. It goes with the value.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one, where that is permitted.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Needs no rights: a file may get no larger than this.
#[test]
fn a_file_that_may_grow_no_more_fails_the_slice_and_leaves_nothing() {
    let bench = bench();
    let limited = run(&bench).with_small_files(512);
    assert_failed(&bench, &Ran::of(limited.run()), &["the sink `lake`", "lake/lines", "File too large"]);
    assert_eq!(Ran::of(run(&bench).run()).fine(), format!("latest landed: {ROWS} of {ROWS}; complete"));
    assert_eq!(data_files(&bench.workspace.path("lake")), undisturbed());
}

#[test]
fn a_full_disk_fails_the_slice_and_with_room_it_lands_whole() {
    let bench = bench();
    let Some(disk) = Disk::mount(&bench.workspace.path("lake"), "2m") else {
        eprintln!("skipped: a small disk can't be mounted here; a limit on the size of files is tried in its place");
        return;
    };
    for _ in 0..2 {
        assert_failed(
            &bench,
            &Ran::of(run(&bench).run()),
            &["the sink `lake`", "lake/lines", "No space left on device"],
        );
    }
    // Enough for one sink, and not for both.
    disk.grow("6m");
    assert_failed(
        &bench,
        &Ran::of(run(&bench).run()),
        &["the sink `tables`", "lake/tables", "No space left on device"],
    );
    disk.grow("64m");
    assert_eq!(Ran::of(run(&bench).run()).fine(), format!("latest landed: {ROWS} of {ROWS}; complete"));
    assert_eq!(data_files(&bench.workspace.path("lake")), undisturbed());
}

#[test]
fn a_full_temporary_folder_is_named() {
    let bench = bench();
    let folder = bench.workspace.path("temporary");
    let Some(_disk) = Disk::mount(&folder, "256k") else {
        eprintln!("skipped: a small disk can't be mounted here");
        return;
    };
    let arguments =
        ["run", "pipeline.yaml", "--state", "state", "--output", "json", "--now", NOW, "--memory-limit", "16MiB"];
    let ran = Ran::of(bench.workspace.tidegate(&arguments).env("TMPDIR", &folder).run());
    let place = format!("can't keep records in a temporary file in {}", folder.display());
    assert_failed(&bench, &ran, &[&place, "No space left on device"]);
}
