//! Pipeline files from the disk, with their mistakes shown.

use std::path::Path;

use crate::pipeline::check::{self, Checked};
use crate::pipeline::load::{Diagnostic, Environment, Source, Span};
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
    let name = path.display().to_string();
    let text = match read(path) {
        Ok(text) => text,
        Err(found) => return Loaded { source: Source { name, text: String::new() }, checked: Err(vec![found]) },
    };
    let source = Source { name, text };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut checked = check::load(&source, &Environment::new(folder));
    if let Ok(checked) = &mut checked {
        for job in &mut checked.pipeline.jobs {
            job.source.ca_file = job.source.ca_file.take().map(|file| folder.join(file));
        }
    }
    Loaded { source, checked }
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
    let mut pipelines = Vec::new();
    let mut refused = Vec::new();
    for path in paths {
        let Loaded { source, checked } = file(path.as_ref());
        let found = match checked {
            Ok(Checked { pipeline, warnings }) => {
                pipelines.push(pipeline);
                warnings
            }
            Err(mistakes) => {
                refused.push(source.name.clone());
                mistakes
            }
        };
        show(&found, &source, output);
    }
    refused.is_empty().then_some(pipelines)
}

fn show(found: &[Diagnostic], source: &Source, output: Output) {
    use crate::pipeline::load::diagnostic;
    if found.is_empty() {
        return;
    }
    match output {
        Output::Text => print::note(diagnostic::render(found, source, print::colour()).trim_end()),
        Output::Json => print::note(&diagnostic::to_json(found, source).to_string()),
    }
}
