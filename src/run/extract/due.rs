//! One page whose answer was judged: it is looked at, and its rows are taken in.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::{Extraction, lock};
use crate::extract::http::{RawAnswer, Room};
use crate::extract::paginate::Seen;
use crate::run::RunError;
use crate::run::intake::{Intake, Looked, PageRead};
use crate::run::pages::Asked;
use crate::run::parts::Misfit;

/// A page whose turn it is. All that is done with it computes.
pub(super) struct Due {
    pub(super) extraction: Extraction,
    pub(super) intake: Arc<Mutex<Intake>>,
    pub(super) asked: Asked,
    pub(super) answer: RawAnswer,
    /// The memory that the answer and its records take.
    pub(super) room: Room,
    /// How many rows of the slice are enough.
    pub(super) limit: Option<u64>,
}

/// How far a page has come.
#[expect(clippy::large_enum_variant, reason = "a slice has one at a time")]
pub(super) enum Step {
    /// It was looked at, and can be taken in once what follows was asked for.
    Looked { due: Due, page: PageRead, seen: Seen, leads_on: bool },
    /// It was taken in.
    Taken { taken: Taken, leads_on: bool },
    /// It isn't taken in.
    Left { seen: Seen, misfit: Misfit },
}

/// A page that was taken in.
pub(super) struct Taken {
    /// What it showed.
    pub(super) seen: Seen,
    /// Whether the slice has enough rows.
    pub(super) enough: bool,
    /// How many bytes of memory the rows and keys of the pages so far take.
    pub(super) kept: u64,
}

impl Due {
    /// Looks at the page, and takes it in as well where nothing has to be done `between`: to hand it from thread to thread costs
    /// more than a small page does.
    pub(super) fn step(self, page: PageRead, between: bool) -> Result<Step, RunError> {
        let looked = lock(&self.intake).look(page, &self.asked, &self.answer, self.limit)?;
        let Looked { page, seen, misfit, leads_on } = looked;
        if let Some(misfit) = misfit {
            return Ok(Step::Left { seen, misfit });
        }
        if between {
            return Ok(Step::Looked { due: self, page, seen, leads_on });
        }
        Ok(Step::Taken { taken: self.take(page, seen, &BTreeSet::new())?, leads_on })
    }

    /// Takes the page in, which showed `seen`. No child request was sent for the records in `skipped`.
    pub(super) fn take(mut self, page: PageRead, seen: Seen, skipped: &BTreeSet<usize>) -> Result<Taken, RunError> {
        let (line, mut intake) = (&self.asked.line, lock(&self.intake));
        let page = intake.typed(page).map_err(|source| self.extraction.unreadable(line, &self.answer, source))?;
        let (seen, full, rows) = intake.take(page, seen, skipped, &self.asked)?;
        let enough = full || self.limit.is_some_and(|limit| intake.collector.received() >= limit);
        // To write the rows may take a while.
        drop(self.answer);
        self.room.hold(rows.bytes());
        intake.collector.keep(rows, line)?;
        Ok(Taken { seen, enough, kept: intake.collector.memory() })
    }
}
