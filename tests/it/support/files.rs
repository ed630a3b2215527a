//! The files of a lake, as a folder shows them: names and bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The files below a folder with the SHA-256 of each, by path relative to it. Locks, which never hold data, are left out.
pub(crate) fn digests(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let path: PathBuf = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "lock") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, hex::encode(Sha256::digest(fs::read(&path).unwrap())));
            }
        }
    }
    found
}

/// The data files of a lake, by their names up to the generation; the files of one name but for that would be one slice's, landed
/// twice.
pub(crate) fn data_files(lake: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, digest) in digests(lake).into_iter().filter(|(name, _)| !name.contains("_tidegate/")) {
        let (before, after) = name.rsplit_once("-g").unwrap_or_else(|| panic!("{name} is no file of ours"));
        let (_, part) = after.split_once('-').unwrap();
        let twice = found.insert(format!("{before}-g#-{part}"), digest);
        assert_eq!(twice, None, "two generations of {name}");
    }
    found
}

/// Fails unless each data set's list of files is what lies beside it, names and digests.
pub(crate) fn assert_manifests(lake: &Path) {
    let sets = [
        "ntopng/flow_alerts",
        "ntopng/host_alerts",
        "ntopng/hosts",
        "ntopng/active_flows",
        "ntopng/flow_alerts_live",
        "ntopng/raw_flow_alerts",
        "ntopng/timeseries",
        "feeds/ntopng",
    ];
    for set in sets {
        let folder = lake.join(set);
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("_tidegate/files.json")).unwrap()).unwrap();
        let text = |file: &Value, field: &str| file[field].as_str().unwrap().to_owned();
        let listed: Vec<(String, String)> = manifest["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (text(file, "path"), text(file, "sha256")))
            .collect();
        let mut found = digests(&folder);
        found.remove("_tidegate/files.json");
        assert_eq!(listed.into_iter().collect::<BTreeMap<_, _>>(), found, "{set}");
    }
}
