//! Where the names of a job's columns stand in its file: whether there is such a column only the rows can tell.

use std::sync::Arc;

use super::super::load::diagnostic::position;
use super::super::load::{self, Span, Spanned};

/// The places of a job's names, and the file that they are in.
#[derive(Debug, Clone, Default)]
pub struct Places {
    file: Option<Arc<load::Source>>,
    names: Vec<(String, Spanned<String>)>,
}

impl Places {
    /// Notes a name in a field, such as `key`, or `sinks.lake.sort_by`.
    pub(in crate::pipeline) fn note(&mut self, field: impl Into<String>, name: &Spanned<String>) {
        self.names.push((field.into(), name.clone()));
    }

    /// Notes the file.
    pub(in crate::pipeline) fn are_in(&mut self, file: Arc<load::Source>) {
        self.file = Some(file);
    }

    /// Returns where a field names a column; of several, where that is all that it says.
    #[must_use]
    pub fn of(&self, field: &str, column: &str) -> Option<Span> {
        let named = || self.names.iter().filter(|(of, _)| of == field).map(|(_, name)| name);
        let whole = named().find(|name| name.value == column);
        whole.or_else(|| named().find(|name| name.value.contains(column))).map(|name| name.span)
    }

    /// Returns a place as people and editors read it: file, line and column, from 1.
    #[must_use]
    pub fn line(&self, span: Span) -> Option<String> {
        let file = self.file.as_ref().filter(|_| span != Span::default())?;
        let (line, column) = position(&file.text, span.start);
        Some(format!("{}:{line}:{column}", file.name))
    }
}
