//! What follows a large page, found before the page is decoded: the next page of a cursor, or of a link, is on its way meanwhile.
//!
//! To read only the envelope takes about a third of the time that decoding takes. On a small page neither takes any.

use std::sync::Arc;

use super::pages::{self, Asked, Facts};
use crate::extract::http::RawAnswer;
use crate::extract::paginate::Seen;
use crate::lang::Selector;
use crate::lang::jq::JqInput;
use crate::model::{AnswerFormat, Slice};
use crate::pipeline::spec::{Job, PaginateKind};

/// Bodies below this are decoded in no time.
const WORTH_IT: usize = 256 * 1024;

/// Looks at answers that aren't decoded, nor judged, yet.
#[derive(Clone)]
pub(super) struct Peek {
    job: Arc<Job>,
    slice: Slice,
}

impl Peek {
    /// Makes one for a slice; none where what follows a page is known only from its rows.
    pub(super) fn new(job: &Arc<Job>, slice: &Slice) -> Option<Self> {
        let along_a_path = matches!(job.records, Selector::Plain { .. }) && job.source.format == AnswerFormat::Json;
        let given = matches!(job.paginate.kind, PaginateKind::Cursor(_) | PaginateKind::NextLink(_));
        let by_rows = pages::programs(job).iter().any(|program| program.names(&["rows", "first", "last"]));
        (along_a_path && given && !by_rows).then(|| Self { job: Arc::clone(job), slice: slice.clone() })
    }

    /// Tells whether to look at an answer.
    pub(super) fn is_worth_it(answer: &RawAnswer) -> bool {
        answer.status.is_success() && answer.body.len() >= WORTH_IT
    }

    /// Returns what an answer to `asked` shows but for its rows, of which it is taken to have some; none where it can't be told. It
    /// computes: not for an async thread.
    pub(super) fn look(&self, asked: &Asked, answer: &RawAnswer) -> Option<Seen> {
        let envelope = crate::decode::envelope_of(&answer.body, self.job.source.format, &self.job.records);
        let vars = pages::variables(&self.job, &self.slice, answer, &Facts::default());
        let shown = pages::Shown { envelope: JqInput::new(&envelope), body: &answer.body, rows: 1, new_rows: 1 };
        pages::seen(&self.job, asked, &shown, &vars).ok()
    }
}
