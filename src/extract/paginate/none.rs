//! `none`: one page.

use serde_json::Value;

use super::{Decision, Edit, PaginateError, Paginator, Seen};
use crate::model::EndReason;

/// Reads one page; evidence of another is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnePage;

impl Paginator for OnePage {
    fn first(&self) -> Vec<Edit> {
        Vec::new()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        let evidence = match (seen.more, seen.total) {
            (Some(true), _) => Some("the server says that there is another page".to_owned()),
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
}

/// Tells whether the headers (names in lower case) hold a `Link` with the relation `next` (RFC 8288). It is evidence of another
/// page even where the job doesn't page.
#[must_use]
pub fn states_next_link(headers: &Value) -> bool {
    let link = headers.get("link").and_then(Value::as_str).unwrap_or_default();
    // A target may hold commas and semicolons, so each link's parameters are read from its closing `>` to the next `<`.
    link.split('<').filter_map(|one| one.split_once('>')).any(|(_, params)| params.split(';').any(is_next))
}

fn is_next(param: &str) -> bool {
    let Some((name, value)) = param.split_once('=') else { return false };
    let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel") && value.split_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
}
