//! `none`: one page.

use serde_json::{Value, json};

use super::{Decision, Edit, Given, PaginateError, Paginator, Seen};
use crate::model::{EndReason, counted};

/// Reads one page; evidence of another is an error: `more`, `total`, a `Link` header with the relation `next` (RFC 8288), status 206, or a
/// `Content-Range` that ends before its total.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnePage {
    /// Whether what came is taken where `total` states more: the job lands what doesn't match (`on_mismatch: warn`).
    pub total_may_be_more: bool,
}

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
            (_, Some(total)) if total > seen.rows && !self.total_may_be_more => {
                Some(format!("the server states a total of {} and sent {}", counted(total, "row"), seen.rows))
            }
            _ => None,
        };
        match evidence {
            Some(evidence) => Err(PaginateError::MoreThanOnePage { evidence }),
            None if seen.more == Some(false) => Ok(Decision::Done(EndReason::MoreFalse)),
            None => Ok(Decision::Done(EndReason::OnePage)),
        }
    }

    fn foresee(&self, _seen: &Seen, _count: usize) -> Vec<Decision> {
        Vec::new()
    }
}

/// Tells whether an answer says that it is a part of something: by its status (RFC 9110, section 15.3.7), or by a `Content-Range` that
/// ends before its total, as many APIs count rows. `headers` is an object with names in lower case.
#[must_use]
pub fn is_part(status: Option<&Value>, headers: &Value) -> bool {
    let ends_early = |range: &str| {
        let (range, total) = range.rsplit_once('/')?;
        let (_, last) = range.rsplit_once('-')?;
        Some(last.trim().parse::<u64>().ok()?.checked_add(1)? < total.trim().parse().ok()?)
    };
    let range = headers.get("content-range").and_then(Value::as_str);
    status == Some(&json!(206)) || range.and_then(ends_early) == Some(true)
}

/// Tells whether the header `Link` has the word `next` in it, however it is written.
#[must_use]
pub fn names_next(headers: &Value) -> bool {
    headers.get("link").and_then(Value::as_str).is_some_and(|link| link.to_ascii_lowercase().contains("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_a_part_says_so() {
        let is_part = |status: u16, range: &str| is_part(Some(&json!(status)), &json!({"content-range": range}));
        assert!(is_part(206, ""));
        assert!(is_part(200, "items 0-2/100"));
        for whole in ["", "items 0-99/100", "items 0-2/*", "items */0", "bytes", "-/"] {
            assert!(!is_part(200, whole), "{whole}");
        }
        assert!(!super::is_part(Some(&json!(200)), &Value::Null));
    }

    #[test]
    fn a_link_that_may_be_a_next_one_is_looked_at() {
        for link in ["<?page=2>; rel=\"next\"", "?page=2; REL=Next", "<?page=2> next"] {
            assert!(names_next(&json!({"link": link})), "{link}");
        }
        assert!(!names_next(&json!({"link": "</style.css>; rel=preload, oops"})) && !names_next(&json!({})));
    }
}
