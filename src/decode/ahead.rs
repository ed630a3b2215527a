//! Pages that are decoded before their turn, by copies of a slice's decoder, so that several threads decode pages of one slice.
//!
//! What becomes of a page depends on the types that the pages before it showed. So a page that was decoded early stands only where the
//! slice's decoder, when the page's turn comes, knows the types that the copy knew, and the page showed no further ones: then decoding
//! it in its turn would give the same.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::lattice::Node;
use super::{DecodedPage, PageDecoder, PageVars};
use crate::lang::jq::Jq;

/// A page that was decoded before its turn.
pub struct EarlyPage {
    page: DecodedPage,
    /// The [`PageDecoder::version`] that it was decoded under.
    version: u64,
    /// What its values add to what is known of the types, in the order of [`each`].
    facts: Vec<u16>,
}

impl EarlyPage {
    /// Returns the page. It stands only once [`PageDecoder::adopt`] has taken it.
    #[must_use]
    pub const fn page(&self) -> &DecodedPage {
        &self.page
    }
}

impl PageDecoder {
    /// Returns a decoder that knows what this one knows.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            options: self.options.clone(),
            root: self.root.clone(),
            builder: None,
            schema: self.schema.clone(),
            arrow: Arc::clone(&self.arrow),
            known: self.known.clone(),
            version: self.version,
            met: self.met.clone(),
        }
    }

    /// Tells the states of what is known of columns and types apart: it grows with each change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Decodes a page before its turn, as [`PageDecoder::decode`] does; returns the decoder too, which knows what it knew before. None where
    /// the page has to be decoded in its turn: it can't be read, or shows types that aren't known yet.
    pub fn decode_early(
        mut self,
        body: &Bytes,
        context: &PageVars,
        rows_program: Option<&Jq>,
        vars: &[Value],
    ) -> Option<(EarlyPage, Self)> {
        let version = self.version;
        let mut before = Vec::new();
        each(&mut self.root, &mut |node| before.push(node.facts));
        let page = self.decode(body, context, rows_program, vars).ok()?;
        if self.version != version {
            return None;
        }
        let (mut facts, mut known) = (Vec::with_capacity(before.len()), before.iter());
        each(&mut self.root, &mut |node| {
            facts.push(std::mem::replace(&mut node.facts, known.next().copied().unwrap_or_default()));
        });
        Some((EarlyPage { page, version, facts }, self))
    }

    /// Takes a page over whose turn has come, and that a fork has decoded. None where this decoder knows other types than the fork did.
    pub fn adopt(&mut self, early: EarlyPage) -> Option<DecodedPage> {
        if self.version != early.version {
            return None;
        }
        let mut facts = early.facts.into_iter();
        each(&mut self.root, &mut |node| node.facts |= facts.next().unwrap_or_default());
        self.meet(&early.page.pieces);
        Some(early.page)
    }
}

/// Visits a node and all below it. Nodes of one version are visited in one order.
fn each(node: &mut Node, visit: &mut impl FnMut(&mut Node)) {
    visit(node);
    if let Some(item) = &mut node.item {
        each(item, visit);
    }
    for field in node.fields.values_mut() {
        each(field, visit);
    }
}
