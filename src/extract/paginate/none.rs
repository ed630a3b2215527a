//! `none`: one page.

use super::{Decision, Edit, Given, PaginateError, Paginator, Seen};
use crate::model::EndReason;

/// Reads one page; evidence of another is an error: `more`, `total`, a `Link` header with the
/// relation `next` (RFC 8288), status 206, or a `Content-Range` that ends before its total.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnePage;

impl Paginator for OnePage {
    fn first(&self) -> Vec<Edit> {
        Vec::new()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        let evidence = match (seen.more, seen.total) {
            (Some(true), _) => Some("the server says that there is another page".to_owned()),
            (None, _) if matches!(seen.given, Given::Next(_)) => {
                let told =
                    "the answer names a next page, or says that it is a part (`Link`, `Content-Range`, status 206)";
                Some(told.to_owned())
            }
            (_, Some(total)) if total > seen.rows => {
                Some(format!("the server states a total of {total} rows and sent {}", seen.rows))
            }
            _ => None,
        };
        match evidence {
            Some(evidence) => Err(PaginateError::MoreThanOnePage { evidence }),
            None => Ok(Decision::Done(EndReason::OnePage)),
        }
    }

    fn foresee(&self, _seen: &Seen, _count: usize) -> Vec<Decision> {
        Vec::new()
    }
}
