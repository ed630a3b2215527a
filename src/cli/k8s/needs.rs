//! What a pipeline file needs around it: variables, secrets and files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::pipeline::load::{Lookup, Reference, Referred};
use crate::pipeline::spec::Pipeline;

/// Where the pipeline file, and what stands beside it, lies in the image.
pub(super) const FOLDER: &str = "/etc/tidegate";

/// What a pod is given.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    /// Variables with their values.
    pub(super) plain: BTreeMap<String, String>,
    /// Variables that are keys of the Secret.
    pub(super) secret: BTreeSet<String>,
    /// Files that are keys of the Secret: where each is mounted, and its key.
    pub(super) files: BTreeMap<String, String>,
}

impl Needs {
    /// Sorts what a file refers to, with the values that were given by `--set`. An error says which are missing.
    pub(super) fn of(referred: &[Referred], values: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut needs = Self { plain: values.clone(), ..Self::default() };
        let (mut missing, mut told) = (Vec::new(), Vec::new());
        for Referred { reference, secret } in referred {
            match reference {
                Reference::Var { name, .. } if *secret && values.contains_key(name) => told.push(name.as_str()),
                Reference::Var { name, .. } if *secret => {
                    needs.secret.insert(name.clone());
                }
                Reference::Var { name, default: None } if !values.contains_key(name) => missing.push(name.as_str()),
                Reference::Var { .. } => {}
                Reference::File { path } => needs.add_file(Path::new(path))?,
            }
        }
        // The same variable may stand with a default and without.
        missing.dedup();
        match (told.as_slice(), missing.as_slice()) {
            ([], []) => Ok(needs),
            ([], missing) => Err(format!(
                "the pipeline file has no default for {}: give {}",
                missing.join(", "),
                missing.iter().map(|name| format!("--set {name}=VALUE")).collect::<Vec<_>>().join(" ")
            )),
            (told, _) => Err(format!(
                "{} is secret, so its value doesn't belong into an object that is printed and committed: leave --set out; the Secret has it",
                told.join(", ")
            )),
        }
    }

    /// Adds the certificates and keys of a pipeline, whose paths begin with the `folder` of its file.
    pub(super) fn add_certificates(&mut self, pipeline: &Pipeline, folder: &Path) -> Result<(), String> {
        for job in &pipeline.jobs {
            let source = &job.source;
            for file in [&source.ca_file, &source.client_cert, &source.client_key].into_iter().flatten() {
                self.add_file(file.strip_prefix(folder).unwrap_or(file))?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let at = mounted(path)?;
        let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '-') { char } else { '_' };
        let name = |path: &Path| path.to_string_lossy().trim_start_matches('/').chars().map(plain).collect::<String>();
        let short = path.file_name().map_or_else(String::new, |last| name(Path::new(last)));
        let taken = self.files.iter().any(|(other, key)| *key == short && *other != at);
        self.files.insert(at, if taken { name(path) } else { short });
        Ok(())
    }
}

/// Returns where a file of the pipeline file is mounted: a path without `.` and `..`.
fn mounted(path: &Path) -> Result<String, String> {
    let mut whole = PathBuf::from(FOLDER);
    for part in path.components() {
        match part {
            Component::RootDir => whole = PathBuf::from("/"),
            Component::Normal(part) => whole.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!(
                    "the file {} lies outside the pipeline file's folder: give it an absolute path, such as /run/secrets/x",
                    path.display()
                ));
            }
        }
    }
    Ok(whole.to_string_lossy().into_owned())
}

/// Stands for what is secret. A URL, since that of a hook may be a secret in itself; nothing else that is secret has a form.
const UNSET: &str = "https://unset.invalid";

/// What is secret is there; what is plain is what was given.
impl Lookup for Needs {
    fn var(&self, name: &str) -> Option<String> {
        self.plain.get(name).cloned().or_else(|| self.secret.contains(name).then(|| UNSET.to_owned()))
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok(UNSET.to_owned())
    }
}
