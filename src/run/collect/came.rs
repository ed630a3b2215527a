//! Where the rows of a page came from: what quarantine keeps of them, beside the fault.

use std::cell::OnceCell;

use crate::decode::Origin;
use crate::run::RunError;
use crate::run::quarantine::{BadRow, Fault};

/// A page, and its records as they came.
pub(super) struct Came<'p> {
    /// The request that brought it, redacted.
    pub(super) request: &'p str,
    /// Which page of the slice it is, from 1.
    pub(super) page: u64,
    /// Before which of the rows that could be decoded each of the others stood.
    pub(super) stood: Vec<usize>,
    origin: &'p Origin,
    texts: OnceCell<Vec<&'p str>>,
}

impl<'p> Came<'p> {
    /// Notes a page; `stood` says where its undecoded rows were.
    pub(super) const fn new(request: &'p str, page: u64, stood: Vec<usize>, origin: &'p Origin) -> Self {
        Self { request, page, stood, origin, texts: OnceCell::new() }
    }

    /// Makes a bad row of one that was decoded, by its place among those.
    pub(super) fn bad(&self, row: usize, fault: &Fault) -> Result<BadRow, RunError> {
        let ordinal = row + self.stood.partition_point(|before| *before <= row);
        let text = self.texts()?.get(ordinal).copied().unwrap_or_default();
        Ok(BadRow::of(text, fault, self.request, self.page))
    }

    /// Returns all records of the page as they came.
    pub(super) fn texts(&self) -> Result<&[&'p str], RunError> {
        if self.texts.get().is_none() {
            let failed = |source| RunError::Decode { request: self.request.to_owned(), source };
            // Nobody else has set it meanwhile.
            let _ = self.texts.set(self.origin.texts().map_err(failed)?);
        }
        Ok(self.texts.get().map(Vec::as_slice).unwrap_or_default())
    }
}
