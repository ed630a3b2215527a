//! One page: its answer, asked for now or early, and decoded, now or early.

use std::sync::Arc;

use super::{Extraction, Reading, lock};
use crate::decode::DecodeError;
use crate::extract::http::{Exchanged, RawAnswer};
use crate::extract::paginate::Seen;
use crate::run::RunError;
use crate::run::intake::PageRead;
use crate::run::pages::{Asked, Pages};
use crate::run::peek::Peek;
use crate::run::readers::Arrived;

impl Extraction {
    /// Fetches one page and decodes it.
    pub(super) async fn fetch(
        &self,
        asked: &Asked,
        pages: &Pages,
        reading: &mut Reading<'_>,
    ) -> Result<Exchanged<Result<PageRead, DecodeError>>, RunError> {
        let intake = Arc::clone(&reading.intake);
        let Arrived { asked: answered, early } = reading.ahead.answer(&asked.request).await?;
        if let Some(page) = early.and_then(|early| lock(&intake).adopt(early)) {
            let (answer, room) = self.exchange.accept(answered);
            return Ok(Exchanged { answer, page: Some(Ok(page)), empty: false, room });
        }
        let peek = Self::peek(asked, reading, answered.answer());
        let read = move |answer: &RawAnswer| lock(&intake).decode(answer);
        let settle = self.exchange.settle(&asked.request, answered, read);
        let ahead = &mut reading.ahead;
        let early = async {
            if let Some(seen) = peek.await? {
                ahead.send(pages.foresee(asked, &seen, ahead.most())).await;
            }
            Ok::<_, RunError>(())
        };
        let (settled, peeked) = futures::join!(settle, early);
        let fetched = settled?;
        peeked?;
        Ok(fetched)
    }

    /// Looks at an answer while it is decoded, where that is worth it.
    fn peek(
        asked: &Asked,
        reading: &Reading<'_>,
        answer: &RawAnswer,
    ) -> impl Future<Output = Result<Option<Seen>, RunError>> + use<> {
        let wanted = reading.limit.is_none() && !reading.ahead.is_surprised();
        let worth_it = wanted && Peek::is_worth_it(answer);
        let work = reading.peek.as_ref().filter(|_| worth_it).cloned().map(|peek| {
            let (asked, answer) = (asked.clone(), answer.clone());
            tokio::task::spawn_blocking(move || peek.look(&asked, &answer))
        });
        async {
            match work {
                Some(work) => Ok(work.await?),
                None => Ok(None),
            }
        }
    }
}
