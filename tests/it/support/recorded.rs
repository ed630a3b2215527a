//! A pipeline that is recorded, and then tried against what was recorded, with nothing to ask and no secret.

use std::fs;

use super::files::digests;
use super::workspace::{Outcome, Workspace};

/// Records a file of a workspace whole, at an instant, with these variables; then tries it without any. What is kept holds none of `secrets`.
pub(crate) fn recorded(workspace: &Workspace, file: &str, now: &str, env: &[(&str, &str)], secrets: &[&str]) {
    let record = workspace.tidegate(&["record", file, "--all", "--now", now]);
    let record = env.iter().fold(record, |record, (name, value)| record.env(name, value)).run();
    assert_eq!((record.code, record.stderr.as_str()), (Some(0), ""), "{record:?}");
    let folder = workspace.path(&file.replace(".yaml", ".recording"));
    for name in digests(&folder).keys() {
        let text = String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned();
        for secret in secrets {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
    }
    let tried = tried(workspace, file, &[]);
    assert_eq!((tried.code, tried.stderr.as_str()), (Some(0), ""), "{tried:?}");
    assert!(tried.stdout.lines().all(|line| line.starts_with("ok ")), "{tried:?}");
}

/// Tries a file of a workspace, with no variable but those that all have.
pub(crate) fn tried(workspace: &Workspace, file: &str, arguments: &[&str]) -> Outcome {
    workspace.tidegate(&[&["test", file], arguments].concat()).run()
}
