//! The examples of the design: nothing is wrong with them but what isn't built yet.

use super::super::super::load::Diagnostic;
use super::{Vars, load, source};

/// Checks that what is said about an example is that these things aren't built yet.
fn check(text: &str, unbuilt: &[&str]) {
    let found: Vec<Diagnostic> = match load(&source(text), &Vars) {
        Ok(checked) => checked.warnings,
        Err(found) => found,
    };
    let said: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    let expected: Vec<String> = unbuilt.iter().map(|what| format!("{what} is not built yet")).collect();
    assert_eq!(said, expected, "{found:#?}");
}

#[test]
fn ntopng() {
    check(include_str!("examples/ntopng.yaml"), &[]);
}

#[test]
fn scrutinizer() {
    check(include_str!("examples/scrutinizer.yaml"), &[]);
}

#[test]
fn secure_workload() {
    check(include_str!("examples/secure_workload.yaml"), &[]);
}

#[test]
fn lastline() {
    check(include_str!("examples/lastline.yaml"), &[]);
}

#[test]
fn shipped() {
    check(include_str!("../../../../pipelines/ntopng.yaml").replace("${NTOPNG_PASSWORD}", "${TOKEN}").as_str(), &[]);
}
