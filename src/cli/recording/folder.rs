//! A recording on disk: a folder of JSON files and of answers as they came, to be read, changed and committed.
//!
//! `recording.json` says of what it is. Each job has a folder of its own: `requests.json` lists its requests and what answers them, beside
//! it lie the bodies, and `landed.json` and `landed.jsonl` have what they would land.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::landed::Landed;
use super::lookup::Variables;
use crate::extract::http::Take;
use crate::model::{JobName, PipelineName};

/// The layout that this program writes and reads.
const VERSION: u32 = 1;

const ABOUT: &str = "recording.json";
const REQUESTS: &str = "requests.json";
const LANDED: &str = "landed.json";
const ROWS: &str = "landed.jsonl";

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// The layout of the folder.
    version: u32,
    /// The program that wrote it.
    tidegate: String,
    /// The pipeline.
    pub(super) pipeline: PipelineName,
    /// The instant that was planned with, UTC.
    pub(super) now: DateTime<Utc>,
    /// How many rows of a job were enough; none where all were wanted.
    pub(super) rows: Option<u64>,
    /// The jobs, in the order of the file.
    pub(super) jobs: Vec<JobName>,
    /// What `${...}` stood for.
    #[serde(flatten)]
    pub(super) variables: Variables,
}

/// What was recorded of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    pub(super) takes: Vec<Take>,
    pub(super) landed: Landed,
}

/// A request in `requests.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    request: String,
    status: u16,
    headers: Map<String, Value>,
    /// The file of the body.
    body: String,
    /// Whether nothing marked the body's end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unmarked: bool,
}

impl About {
    pub(super) fn new(pipeline: PipelineName, now: DateTime<Utc>, rows: Option<u64>, variables: Variables) -> Self {
        let tidegate = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, tidegate, pipeline, now, rows, jobs: Vec::new(), variables }
    }
}

/// Returns where the recording of a pipeline file lies: beside it, under its name.
pub(super) fn beside(file: &Path) -> PathBuf {
    file.with_extension("recording")
}

/// Refuses to write where something else than a recording lies.
pub(super) fn may_write(folder: &Path) -> Result<(), String> {
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !folder.exists() || folder.join(ABOUT).is_file() || is_empty() {
        return Ok(());
    }
    Err(format!("{} is there, and is no recording: name another folder by --recording", folder.display()))
}

/// How often a recording is put in place anew that others put in place at the same time.
const TRIES: usize = 5;

/// Writes a recording as a whole, in place of the one that is there. Returns its size in bytes.
pub(super) fn write(folder: &Path, about: &About, jobs: &[(JobName, Recorded)]) -> Result<u64, String> {
    let write = || {
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let aside = tempfile::Builder::new().prefix(&format!(".{name}.")).tempdir_in(parent)?;
        let new = aside.path().join("new");
        let mut size = put(&new.join(ABOUT), pretty(about)?.as_bytes())?;
        for (name, recorded) in jobs {
            size += write_job(&new.join(name.as_str()), recorded)?;
        }
        put_in_place(&new, folder, aside.path())?;
        Ok(size)
    };
    write().map_err(|error: io::Error| format!("the recording {} can't be written: {error}", folder.display()))
}

/// Puts a folder in the place of another one, which goes into `aside`.
fn put_in_place(new: &Path, folder: &Path, aside: &Path) -> io::Result<()> {
    for old in 0..TRIES {
        match fs::rename(folder, aside.join(format!("old-{old}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::rename(new, folder) {
            // Another one was put there meanwhile.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            renamed => return renamed,
        }
    }
    Err(io::Error::other("others write it at the same time"))
}

fn write_job(folder: &Path, recorded: &Recorded) -> io::Result<u64> {
    let (mut size, mut listed) = (0, Vec::new());
    for (at, take) in recorded.takes.iter().enumerate() {
        let body = format!("{:03}.{}", at + 1, extension(&take.headers));
        size += put(&folder.join(&body), &take.body)?;
        listed.push(Listed {
            request: take.request.clone(),
            status: take.status.as_u16(),
            headers: headers_to_json(&take.headers),
            body,
            unmarked: take.unmarked,
        });
    }
    size += put(&folder.join(REQUESTS), pretty(&listed)?.as_bytes())?;
    Ok(size + write_landed(folder, &recorded.landed)?)
}

/// Writes what a recorded job would land, in the folder of the job.
fn write_landed(folder: &Path, landed: &Landed) -> io::Result<u64> {
    let rows: String = landed.rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
    Ok(put(&folder.join(LANDED), pretty(&landed.about)?.as_bytes())? + put(&folder.join(ROWS), rows.as_bytes())?)
}

/// Writes what a job would land by now.
pub(super) fn update(recording: &Path, job: &JobName, landed: &Landed) -> Result<(), String> {
    let folder = recording.join(job.as_str());
    write_landed(&folder, landed).map(drop).map_err(|error| format!("{} can't be written: {error}", folder.display()))
}

/// Reads what a recording is of.
pub(super) fn about(folder: &Path, file: &Path) -> Result<About, String> {
    let path = folder.join(ABOUT);
    if !path.is_file() {
        let (folder, file) = (folder.display(), super::super::print::word(file));
        return Err(format!("there is no recording {folder}: `tidegate record {file}` makes one"));
    }
    let about: About = json_of(&path)?;
    if about.version != VERSION {
        let (path, version) = (path.display(), about.version);
        return Err(format!(
            "{path} has the version {version}, and this program reads {VERSION}: record again, or use the program that wrote it ({})",
            about.tidegate
        ));
    }
    Ok(about)
}

/// Reads what was recorded of a job.
pub(super) fn job(recording: &Path, job: &JobName) -> Result<Recorded, String> {
    let folder = recording.join(job.as_str());
    let listed: Vec<Listed> = json_of(&folder.join(REQUESTS))?;
    let takes = listed.into_iter().map(|listed| take(&folder, listed)).collect::<Result<_, _>>()?;
    let rows = read(&folder.join(ROWS))?;
    let rows = String::from_utf8_lossy(&rows).lines().map(str::to_owned).collect();
    Ok(Recorded { takes, landed: Landed { about: json_of(&folder.join(LANDED))?, rows } })
}

fn take(folder: &Path, listed: Listed) -> Result<Take, String> {
    let path = folder.join(REQUESTS);
    let wrong = |what: String| format!("{}: {what} of `{}` can't be used", path.display(), listed.request);
    if Path::new(&listed.body).components().count() != 1 || listed.body == ".." {
        return Err(wrong(format!("the body `{}`", listed.body)));
    }
    let headers = headers_of(&listed.headers).ok_or_else(|| wrong("a header".to_owned()))?;
    let status = StatusCode::from_u16(listed.status).map_err(|_| wrong(format!("the status {}", listed.status)))?;
    let body = read(&folder.join(&listed.body))?.into();
    Ok(Take { request: listed.request, status, headers, body, unmarked: listed.unmarked })
}

/// Names the files of bodies so that editors know what they hold.
fn extension(headers: &HeaderMap) -> &'static str {
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    match kind {
        kind if kind.contains("ndjson") || kind.contains("jsonl") => "jsonl",
        kind if kind.contains("json") => "json",
        kind if kind.contains("csv") => "csv",
        _ => "txt",
    }
}

/// One value of a name is a text, several are a list.
fn headers_to_json(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &HeaderValue| json!(String::from_utf8_lossy(value.as_bytes()));
    let value = |name| {
        let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
        if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
    };
    headers.keys().map(|name| (name.to_string(), value(name))).collect()
}

fn headers_of(listed: &Map<String, Value>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in listed {
        let name: HeaderName = name.parse().ok()?;
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            headers.append(name.clone(), value.as_str()?.parse().ok()?);
        }
    }
    Some(headers)
}

fn pretty(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<u64> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, bytes)?;
    Ok(bytes.len() as u64)
}

/// Reads a file of a recording, which is none of somebody else's: what it holds is shown where it can't be used.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    if path.is_symlink() {
        return Err(format!("{} is a link, and a recording has none: record again", path.display()));
    }
    fs::read(path).map_err(|error| format!("{} can't be read: {error}; record again", path.display()))
}

fn json_of<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| format!("{} can't be used: {error}; correct it, or record again", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(body: &'static str) -> Recorded {
        let mut headers = HeaderMap::new();
        for value in ["</a>; rel=next", "</b>; rel=last"] {
            headers.append("link", value.parse().unwrap());
        }
        headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
        let take = Take {
            request: "GET https://api.test/a".to_owned(),
            status: StatusCode::OK,
            headers,
            body: body.into(),
            unmarked: true,
        };
        Recorded {
            takes: vec![take],
            landed: Landed { about: json!({"n": 1}), rows: vec!["{\"a\":\"ü\"}".to_owned()] },
        }
    }

    #[test]
    fn what_was_written_is_read_and_replaced_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, file) = (parent.path().join("orders.recording"), Path::new("orders.yaml"));
        let (one, two) = (JobName::new("one"), JobName::new("two"));
        let mut about = About::new(PipelineName::new("orders"), DateTime::UNIX_EPOCH, Some(100), Variables::default());
        about.jobs = vec![one.clone(), two.clone()];
        let missing = super::about(&folder, file).unwrap_err();
        assert!(missing.ends_with(": `tidegate record orders.yaml` makes one"), "{missing}");
        write(&folder, &about, &[(one.clone(), recorded("[]")), (two.clone(), recorded("[1]"))]).unwrap();
        assert_eq!(super::about(&folder, file).unwrap(), about);
        assert_eq!(job(&folder, &two).unwrap(), recorded("[1]"));
        assert_eq!(fs::read_to_string(folder.join("two/001.json")).unwrap(), "[1]");
        write(&folder, &about, &[(one.clone(), recorded("[2]"))]).unwrap();
        assert_eq!(job(&folder, &one).unwrap(), recorded("[2]"));
        assert!(job(&folder, &two).unwrap_err().contains("two/requests.json can't be read"));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing is left beside it");
        std::os::unix::fs::symlink("/etc/hostname", folder.join("one/link")).unwrap();
        assert!(read(&folder.join("one/link")).unwrap_err().contains("is a link"));
    }

    #[test]
    fn nothing_else_is_written_over_or_read() {
        let parent = tempfile::tempdir().unwrap();
        assert_eq!(may_write(parent.path()), Ok(()), "an empty folder");
        fs::write(parent.path().join("thesis.tex"), "x").unwrap();
        assert!(may_write(parent.path()).unwrap_err().contains("is no recording"));
        let job_folder = parent.path().join("one");
        fs::create_dir(&job_folder).unwrap();
        for (body, status, told) in
            [("../thesis.tex", 200, "the body `../thesis.tex`"), ("..", 200, "the body"), ("x", 7, "the status 7")]
        {
            let listed = json!([{"request": "GET /", "status": status, "headers": {}, "body": body}]);
            fs::write(job_folder.join(REQUESTS), listed.to_string()).unwrap();
            let refused = job(parent.path(), &JobName::new("one")).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
