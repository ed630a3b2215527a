//! What is said about bad pipelines, and what is accepted. Read each message as the person on call would, at 3 in the morning: is it
//! clear what to do?

use super::super::load::diagnostic;
use super::*;

mod all_at_once;
mod auth;
mod connect;
mod enrich;
mod environment;
mod examples;
mod fan_out;
mod format;
mod hooks;
mod incremental;
mod jobs;
mod languages;
mod names;
mod newcomer;
mod outbox;
mod paging;
mod parts;
mod refetch;
mod request;
mod schema;
mod sinks;
mod slicing;
mod source;

struct Vars;

impl Lookup for Vars {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("hunter2-hunter2".to_owned()),
            "SHORT" => Some("no".to_owned()),
            "WHEN" => Some("hunter2 o'clock".to_owned()),
            name if name.starts_with("CSW_") || name.starts_with("LASTLINE_") || name.starts_with("SCRUTINIZER_") => {
                Some("something".to_owned())
            }
            "TWO_LINES" => Some("hunter2\nhunter2".to_owned()),
            "NTOPNG_USER" => Some("admin".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "/run/secrets/ntopng" { Ok("from-file\n".to_owned()) } else { Err("no such file".to_owned()) }
    }
}

fn source(text: &str) -> Source {
    Source { name: "p.yaml".to_owned(), text: text.to_owned() }
}

/// Loads a file, and prints all that is said about it: nothing where it is fine.
fn say(text: &str) -> String {
    let source = source(text);
    let found = match load(&source, &Vars) {
        Ok(checked) => checked.warnings,
        Err(found) => {
            assert!(found.iter().any(|one| one.severity == Severity::Error), "refused without an error: {found:?}");
            found
        }
    };
    let shown = diagnostic::render(&found, &source, false);
    assert!(!shown.contains("hunter2") && !shown.contains("from-file"), "a secret is shown: {shown}");
    for one in &found {
        assert!(
            one.help.is_some() || one.expected.is_some() || one.message.contains([':', ';']),
            "no way out: {one:?}"
        );
    }
    shown
}

/// As [`say`], for a file whose one job `a` has these lines, each indented by four, and what else it needs to be a job.
fn say_job(lines: &str) -> String {
    let mut text = "version: 1\nname: x\nsource: {base_url: 'http://h'}\njobs:\n  a:\n".to_owned();
    text.push_str(lines);
    for (key, rest) in [("get", "/x"), ("paginate", "none"), ("records", "'.rows[]'")] {
        let method = key == "get" && ["    post:", "    put:"].iter().any(|other| lines.contains(other));
        if !lines.contains(&format!("    {key}:")) && !method {
            text.push_str(&format!("    {key}: {rest}\n"));
        }
    }
    say(&text)
}

/// As [`say_job`], for a job that lands what it reads.
fn say_landing(lines: &str) -> String {
    say_job(&format!("{lines}    sinks: {{lake: {{parquet: {{url: ./lake}}}}}}\n"))
}
