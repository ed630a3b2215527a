//! On a disk a run is killed before a change to a file or a folder of its state or its lake: the next one is killed as well, and the one
//! after that leaves what an undisturbed run would have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidegate::appliance::dice::Dice;

use super::{SECOND, Shop, assert_adds_up, data, ended, is_night, listed};
use crate::support::appliance::report;
use crate::support::bench::files;
use crate::support::duck;
use crate::support::workspace::Outcome;

impl Shop {
    /// Runs with the lake on a disk, killed before a change to it, and returns the changes that it made or was about to make.
    fn stopped_before(&self, nth: usize) -> (Outcome, Vec<String>) {
        let (lake, listing) = (self.workspace.path("lake"), self.workspace.path("changes"));
        let outcome = self.run("./lake", SECOND, &["--no-wait"]).stopped_before(nth, &lake, &listing).run();
        let changes = fs::read_to_string(&listing).unwrap().lines().map(str::to_owned).collect();
        (outcome, changes)
    }
}

/// The files below a folder, by their names below it. Locks never hold data.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let below = |name: &str| Path::new(name).strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let found = files(folder).into_iter().filter(|name| !name.ends_with(".lock"));
    found.map(|name| (below(&name), fs::read(&name).unwrap())).collect()
}

/// Makes `to` what `from` is.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a change is, whatever the data set, its numbers and the names of what isn't finished. Each entry of the log is a step of its own.
fn kind(change: &str) -> String {
    let (verb, place) = change.split_once(' ').unwrap();
    if verb == "rename" && place.contains("/log/") {
        return change.to_owned();
    }
    if let Some((_, below)) = place.split_once(".tidegate-staged") {
        return format!("{verb} a staged {}", if below.ends_with(".staged") { "file" } else { "folder" });
    }
    let place = ["a/", "b/", "state/shop/quarantine/"].iter().find_map(|set| place.strip_prefix(set)).unwrap_or(place);
    let (before, unfinished) = place.split_once(".new-").map_or((place, ""), |(before, _)| (before, ".new"));
    let numberless: String = before.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    format!("{verb} {numberless}{unfinished}")
}

/// Which changes are tried, from 1: the first of each kind, and all of them at night.
fn tried(changes: &[String]) -> Vec<usize> {
    let mut kinds = BTreeSet::new();
    let numbered = (1..).zip(changes);
    numbered.filter(|(_, change)| kinds.insert(kind(change)) || is_night()).map(|(nth, _)| nth).collect()
}

/// Fails where a list names a file that isn't there, or two generations of a slice: it is true at any moment.
fn assert_lists_are_true(lake: &Path, said: &str) {
    let found = contents(lake);
    for (name, text) in found.iter().filter(|(name, _)| name.ends_with("_tidegate/files.json")) {
        let set = name.strip_suffix("_tidegate/files.json").unwrap();
        let list: Value = serde_json::from_slice(text).unwrap();
        let mut generations = BTreeMap::new();
        for file in list["files"].as_array().unwrap() {
            let path = format!("{set}{}", file["path"].as_str().unwrap());
            assert!(found.contains_key(&path), "{said}: {name} names {path}, which isn't there");
            let other = generations.insert(file["slice"].to_string(), file["generation"].clone());
            assert!(other.is_none_or(|other| other == file["generation"]), "{said}: {list:#}");
        }
    }
}

/// Fails unless the lake is what it is without a crash, its lists say so, and nothing is left of what was under way.
fn assert_undisturbed(lake: &Path, expected: &BTreeMap<String, Vec<u8>>, said: &str) {
    let found = contents(lake);
    let unfinished: Vec<_> =
        found.keys().filter(|name| name.contains(".tidegate-staged") || name.contains(".new-")).collect();
    assert!(unfinished.is_empty(), "{said}: {unfinished:?}");
    let list = |set: &str| found[&format!("{set}/_tidegate/files.json")].clone();
    assert_eq!(listed(list), expected.keys().cloned().collect::<Vec<_>>(), "{said}");
    assert_eq!(&data(found.clone()), expected, "{said}");
}

/// What DuckDB finds in the lakes of all rounds is, in each, what the API had to say.
fn assert_rows(lakes: &Path, rounds: &[usize]) {
    let sql = format!(
        "SELECT regexp_extract(filename, '/([0-9]+)/a/', 1)::BIGINT AS round, day::VARCHAR AS day, id, part, edition
         FROM read_json('{}/*/a/**/*.jsonl', format = 'newline_delimited', filename = true, hive_partitioning = true,
                        hive_types = {{'part': VARCHAR}}, columns = {{id: BIGINT, day: VARCHAR, edition: BIGINT}})
         ORDER BY ALL",
        lakes.display()
    );
    let part = |id: i64| if id % 2 == 0 { "x" } else { "y/z" };
    let row = |round: usize, day: &str, id: i64| json!({"round": round, "day": day, "id": id, "part": part(id), "edition": 2});
    let days = ["2026-01-01", "2026-01-02"];
    let rows_of = |round: usize| days.into_iter().flat_map(move |day| (0..6).map(move |id| row(round, day, id)));
    let expected: Vec<Value> = rounds.iter().flat_map(|round| rows_of(*round)).collect();
    assert_eq!(duck::rows(&sql), expected);
}

#[test]
fn killed_before_any_change_to_a_disk_a_run_leaves_what_an_undisturbed_one_would() {
    let shop = Shop::new();
    let (lake, kept, lakes) = (shop.workspace.path("lake"), shop.workspace.path("kept"), shop.workspace.path("lakes"));
    shop.first(None, "./lake");
    copy(&lake, &kept);
    let (outcome, changes) = shop.stopped_before(0);
    assert_eq!(ended(&report(&outcome, 0)), ["landed", "landed"]);
    let expected = data(contents(&lake));
    assert_eq!(expected.len(), 2 * (2 + 1 + 1), "{expected:?}");
    let tried = tried(&changes);
    assert!(tried.len() > 20, "{changes:#?}");
    let mut dice = Dice::new(20_260_125, 0);
    let mut killed = 0;
    for nth in &tried {
        let mut said = format!("killed before change {nth} of {}, `{}`", changes.len(), changes[nth - 1]);
        copy(&kept, &lake);
        let (outcome, _) = shop.stopped_before(*nth);
        assert!(matches!(outcome.code, None | Some(0)), "{said}: {outcome:#?}");
        assert_lists_are_true(&lake, &said);
        killed += usize::from(outcome.code.is_none());
        // The one that finds what that one left is killed as well, before any of as many changes.
        let also = usize::try_from(dice.between(1, u32::try_from(changes.len()).unwrap())).unwrap();
        let (outcome, settling) = shop.stopped_before(also);
        said += &format!(", then before change {also}, `{}`", settling.last().map_or("none", String::as_str));
        assert!(matches!(outcome.code, None | Some(0)), "{said}: {outcome:#?}");
        assert_lists_are_true(&lake, &said);
        let last = shop.run("./lake", SECOND, &["--no-wait"]).run();
        assert_eq!(last.code, Some(0), "{said}: {last:#?}");
        assert_adds_up(&report(&last, 0));
        assert_undisturbed(&lake, &expected, &said);
        copy(&lake, &lakes.join(nth.to_string()));
    }
    // Threads may take turns otherwise, so that a run has ended before.
    assert!(killed * 2 > tried.len(), "{killed} of {} were killed", tried.len());
    assert_rows(&lakes, &tried);
}
