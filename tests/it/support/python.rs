//! A Python of our own: some checks are worth most when other people's code makes them.
//!
//! The first test that needs it makes a virtual environment under the target directory, from PyPI alone, with everything pinned; the others
//! wait for it, in this process or in another.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Runs one of our scripts (a file beside this one), hands it `input`, and returns the JSON that it prints.
pub(crate) fn run(script: &str, arguments: &[&str], input: &str) -> Value {
    let mut child = command(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python can't be started: {error}"));
    // Our scripts read all of their input before they print, so this can't block.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}\ninput: {input}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Prepares to run one of our scripts.
pub(crate) fn command(script: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support").join(script);
    let mut command = Command::new(interpreter());
    command.arg("-I").arg(script);
    command
}

/// Returns what the JSON Schema has against each of the YAML texts: nothing where a text is as it says.
pub(crate) fn check_json_schema(schema: &Value, yaml: &[&str]) -> Vec<Vec<String>> {
    let answer = run("json_schema.py", &[], &json!({"schema": schema, "instances": yaml}).to_string());
    serde_json::from_value(answer).unwrap()
}

fn interpreter() -> &'static Path {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let digest = hex::encode(Sha256::digest(REQUIREMENTS));
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{}", &digest[..16]));
        fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let lock = File::create(home.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let ready = home.join("ready");
        if !ready.exists() {
            make(&home);
            fs::write(&ready, "").unwrap();
        }
        home.join("bin/python")
    })
}

fn make(home: &Path) {
    let _ = fs::remove_dir_all(home);
    let made = Command::new("python3").args(["-m", "venv"]).arg(home).output();
    succeed(
        made,
        "the tests need Python 3.10 or newer with venv and pip (Debian and Ubuntu: apt-get install python3-venv)",
    );
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/requirements.txt");
    let installed = Command::new(home.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "--no-deps",
            "-r",
        ])
        .arg(requirements)
        .output();
    succeed(
        installed,
        "the tests need some packages of PyPI (tests/it/support/requirements.txt), once; is it reachable?",
    );
}

fn succeed(output: std::io::Result<Output>, need: &str) {
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            panic!("{need}\n{}", String::from_utf8_lossy(&said));
        }
        Err(error) => panic!("{need}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_read_as_yaml_1_2_and_judged() {
        let schema = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let complaints = check_json_schema(
            &schema,
            &["{a: no, b: 2026-01-01T00:00:00Z, c: 12:30:00, d: '7'}", "{a: {b: 1}}", "a: 1.5"],
        );
        assert!(complaints[0].is_empty(), "{complaints:?}");
        assert_eq!(complaints[1], ["a: {'b': 1} is not of type 'string'"]);
        assert_eq!(complaints[2], ["a: 1.5 is not of type 'string'"]);
    }
}
