//! Pipeline files from the disk, with their mistakes shown.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::model::PipelineName;
use crate::pipeline::check::{self, Checked};
use crate::pipeline::load::{Diagnostic, Environment, Lookup, Source, Span, concealed, diagnostic};
use crate::pipeline::spec::Pipeline;

use super::args::Output;
use super::print;

/// A file that was read, and what was found in it.
pub(super) struct Loaded {
    /// The file.
    pub(super) source: Source,
    /// The pipeline and warnings, or the mistakes.
    pub(super) checked: Result<Checked, Vec<Diagnostic>>,
}

/// Reads and checks a file.
pub(super) fn file(path: &Path) -> Loaded {
    file_with(path, &environment(path))
}

/// Reads and checks a file. Returns also which files it names with `${file:...}`, as far as they were looked for.
pub(super) fn file_and_names(path: &Path) -> (Loaded, Vec<PathBuf>) {
    let noting = Noting { environment: environment(path), folder: folder(path).to_owned(), files: RefCell::default() };
    let loaded = file_with(path, &noting);
    (loaded, noting.files.into_inner())
}

/// Looks up as the environment does, and notes which files were looked for.
struct Noting {
    environment: Environment,
    folder: PathBuf,
    files: RefCell<Vec<PathBuf>>,
}

impl Lookup for Noting {
    fn var(&self, name: &str) -> Option<String> {
        self.environment.var(name)
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.files.borrow_mut().push(self.folder.join(path));
        self.environment.file(path)
    }
}

fn file_with(path: &Path, lookup: &dyn Lookup) -> Loaded {
    let source = match source(path) {
        Ok(source) => source,
        Err(found) => {
            let source = Source { name: path.display().to_string(), text: String::new() };
            return Loaded { source, checked: Err(vec![found]) };
        }
    };
    let folder = folder(path);
    let mut checked = check::load(&source, lookup);
    if let Ok(checked) = &mut checked {
        for job in &mut checked.pipeline.jobs {
            for tls in job.outboxes.iter_mut().map(|outbox| &mut outbox.source).chain([&mut job.source]) {
                for file in [&mut tls.ca_file, &mut tls.client_cert, &mut tls.client_key] {
                    *file = file.take().map(|file| folder.join(file));
                }
            }
            job.tables.iter_mut().filter(|(_, table)| !table.place.contains("://")).for_each(|(_, table)| {
                table.place = folder.join(&table.place).display().to_string();
            });
        }
    }
    Loaded { source, checked }
}

/// Returns what `${...}` stands for in a file.
pub(super) fn environment(path: &Path) -> Environment {
    Environment::new(folder(path))
}

/// Returns the folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Tells whether a variable stands in the text of a file without a default.
pub(super) fn has_no_default(text: &str, name: &str) -> bool {
    text.contains(&format!("${{{name}}}"))
}

/// What `${...}` stands for where nothing is sent: what isn't there is no mistake, unless it has a default.
struct Optional {
    environment: Environment,
    text: String,
}

impl Lookup for Optional {
    fn var(&self, name: &str) -> Option<String> {
        let value = self.environment.var(name).filter(|value| !value.is_empty());
        value.or_else(|| has_no_default(&self.text, name).then(|| "unset".to_owned()))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Ok(self.environment.file(path).unwrap_or_else(|_| "unset".to_owned()))
    }
}

/// Reads and checks a file that is only looked at: its secrets needn't be there.
fn file_to_look_at(path: &Path) -> Loaded {
    let loaded = file(path);
    if loaded.checked.is_ok() {
        return loaded;
    }
    let lenient = Optional { environment: environment(path), text: loaded.source.text.clone() };
    let lenient = file_with(path, &lenient);
    if lenient.checked.is_ok() { lenient } else { loaded }
}

/// Reads the text of a file, with its name.
pub(super) fn source(path: &Path) -> Result<Source, Diagnostic> {
    Ok(Source { name: path.display().to_string(), text: read(path)? })
}

/// Reads the text of a file. What is refused has no place in it.
fn read(path: &Path) -> Result<String, Diagnostic> {
    let refuse = |message: String, help: &str| Diagnostic::error(Span::default(), message).help(help);
    if path.is_dir() {
        return Err(refuse(format!("{} is a folder", path.display()), "give the path of a pipeline file in it"));
    }
    let bytes = std::fs::read(path).map_err(|error| {
        refuse(format!("{} can't be read: {error}", path.display()), "give the path of a pipeline file")
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("{} isn't a text in UTF-8: byte {at}, on line {line}", path.display());
        refuse(message, "give the path of a pipeline file, and save it as UTF-8")
    })
}

/// Reads and checks files that are to be used, and shows what is wrong with them. None where one has a mistake.
pub(super) fn pipelines(paths: &[impl AsRef<Path>], output: Output) -> Option<Vec<Pipeline>> {
    all(paths, output, file)
}

/// As [`pipelines`], for verbs that send nothing: secrets needn't be there.
pub(super) fn pipelines_to_look_at(paths: &[impl AsRef<Path>], output: Output) -> Option<Vec<Pipeline>> {
    all(paths, output, file_to_look_at)
}

fn all(paths: &[impl AsRef<Path>], output: Output, load: fn(&Path) -> Loaded) -> Option<Vec<Pipeline>> {
    // Each of them is shown, whatever the first one is like.
    let loaded: Vec<_> = paths.iter().map(|path| one(path.as_ref(), output, load)).collect();
    loaded.into_iter().map(Result::ok).collect()
}

/// A file that was refused.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The name of its pipeline, as far as it can be told.
    pub(super) name: PipelineName,
    /// What is wrong with it, as it is shown, with no secret in it.
    pub(super) why: String,
}

/// Reads and checks files that are to be used, one by one, and shows what is wrong with them.
pub(super) fn each(paths: &[impl AsRef<Path>], output: Output) -> Vec<Result<Pipeline, Refused>> {
    paths.iter().map(|path| one(path.as_ref(), output, file)).collect()
}

fn one(path: &Path, output: Output, load: fn(&Path) -> Loaded) -> Result<Pipeline, Refused> {
    let Loaded { source, checked } = load(path);
    match checked {
        Ok(Checked { pipeline, warnings, .. }) => {
            show(&warnings, &source, output);
            Ok(pipeline)
        }
        Err(mistakes) => {
            show(&mistakes, &source, output);
            let name = check::name(&source.text).unwrap_or_else(|| named_after(path));
            let why = concealed(diagnostic::render(&mistakes, &source, false).trim_end());
            Err(Refused { name, why })
        }
    }
}

/// Names a pipeline after its file, whose text doesn't tell.
fn named_after(path: &Path) -> PipelineName {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    PipelineName::new(check::plain_name(&stem, '-').unwrap_or_else(|| "unnamed".to_owned()))
}

/// Reads and checks a file with `${...}` from somewhere else, and shows what is wrong with it.
pub(super) fn pipeline_with(path: &Path, lookup: &dyn Lookup, output: Output) -> Option<Pipeline> {
    let Loaded { source, checked } = file_with(path, lookup);
    let (pipeline, found) = match checked {
        Ok(Checked { pipeline, warnings, .. }) => (Some(pipeline), warnings),
        Err(mistakes) => (None, mistakes),
    };
    show(&found, &source, output);
    pipeline
}

/// Shows what was found in a file.
pub(super) fn show(found: &[Diagnostic], source: &Source, output: Output) {
    if found.is_empty() {
        return;
    }
    match output {
        Output::Text => print::note(diagnostic::render(found, source, print::colour()).trim_end()),
        Output::Json => print::note(&diagnostic::to_json(found, source).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_has_the_name_that_it_says_or_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text, expect) in [
            ("a.yaml", "version: 1\nname: hosts\nsource: {}\n", "hosts"),
            ("My hosts.yaml", "name: No good\n", "my-hosts"),
            ("b.yaml", "name: ${NAME}\n", "b"),
            ("c.yaml", "name: [1\n", "c"),
        ] {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            assert_eq!(one(&path, Output::Json, super::file).unwrap_err().name.as_str(), expect, "{file}");
        }
        let nowhere = one(&folder.path().join("d.yaml"), Output::Json, file).unwrap_err();
        assert_eq!(nowhere.name.as_str(), "d");
        assert!(nowhere.why.contains("d.yaml can't be read"), "{}", nowhere.why);
    }
}
