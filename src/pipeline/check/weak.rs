//! Secrets that are too short to be hidden well.

use super::super::file::PipelineFile;
use super::super::load::{Diagnostic, Lookup, Reference, Source, Span, references};
use crate::secret::SHORTEST_WITHIN_WORDS;

/// Warns of secrets that are so short that messages can't hide them wherever they stand.
pub(super) fn secrets(source: &Source, lookup: &dyn Lookup) -> Vec<Diagnostic> {
    let referred = references::<PipelineFile>(source).unwrap_or_default();
    let weak = referred.into_iter().filter(|one| one.secret).filter_map(|one| {
        let (name, value) = match &one.reference {
            Reference::Var { name, .. } => (name.clone(), lookup.var(name)?),
            Reference::File { path } => (format!("file:{path}"), lookup.file(path).ok()?),
        };
        let length = value.trim_end().len();
        (1..SHORTEST_WITHIN_WORDS).contains(&length).then_some(name)
    });
    let warning = |name: String| {
        let written = format!("${{{name}}}");
        let start = source.text.find(&written)?;
        let message = format!("the secret `{written}` has less than {SHORTEST_WITHIN_WORDS} characters");
        let help = "in messages it is hidden only where it stands as a word of its own, and it is soon guessed: take a longer one";
        Some(Diagnostic::warning(Span::new(start, start + written.len()), message).help(help))
    };
    weak.filter_map(warning).collect()
}
