//! Guards of a slice's requests: none twice, and no more than the ceilings allow.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::extract::request::{Fingerprint, RenderedRequest};

/// The most that one slice may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Pages.
    pub pages: u64,
    /// Rows received.
    pub rows: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Time since its first request was made ready.
    pub time: Duration,
}

impl Default for Ceilings {
    /// Far above what a slice of a well-cut job holds, far below what fills a disk by accident. A slice that takes more than a day
    /// is read from a list that changes meanwhile, and never keeps up with a nightly run.
    fn default() -> Self {
        Self { pages: 100_000, rows: 100_000_000, bytes: 1 << 40, time: Duration::from_hours(24) }
    }
}

/// Why a slice's requests stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The request was sent before, in this slice.
    #[error(
        "the same request would be sent twice in one slice: {request}; paging doesn't move on: check in `paginate` what is read from a \
         page, and whether the API pages by the parameter that it is written to"
    )]
    SameRequest {
        /// The request in one line.
        request: String,
    },
    /// A cursor came that had come before, in this slice.
    #[error(
        "page {page} gives the cursor {cursor}, which an earlier page gave: the server pages in a circle; check in `paginate` where \
         the cursor is read, or say by `more` when there is no other page; request: {request}"
    )]
    CursorCycle {
        /// The page, from 1.
        page: u64,
        /// The cursor, as JSON.
        cursor: String,
        /// The request in one line.
        request: String,
    },
    /// Page after page had the rows of the one before, but for some columns.
    #[error(
        "{pages} pages in a row had the same rows, but for `{columns}`: the server seems to give one page, whichever is asked for; check in \
         `paginate` whether the API pages by the parameter that it is written to; if the rows are others indeed, name their `key`, by which \
         that is known, or the server's `total`; request: {request}"
    )]
    PagesAlike {
        /// How many.
        pages: u32,
        /// The columns that changed, with a backtick and a comma between them.
        columns: String,
        /// The request of the last one in one line.
        request: String,
    },
    /// A ceiling is reached.
    #[error(
        "the slice has more than {limit} {unit}, the most that one may have; make the slices smaller: a shorter `window.every`, fewer \
         `rows_per_slice`, or a `for_each` over a part of the data; last request: {request}"
    )]
    Ceiling {
        /// `pages`, `rows`, `bytes` or `seconds`.
        unit: &'static str,
        /// The ceiling.
        limit: u64,
        /// The request in one line.
        request: String,
    },
}

impl GuardError {
    /// Changes the texts that show requests and cursors.
    #[must_use]
    pub fn map_texts(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::SameRequest { request } => Self::SameRequest { request: change(&request) },
            Self::CursorCycle { page, cursor, request } => {
                Self::CursorCycle { page, cursor: change(&cursor), request: change(&request) }
            }
            Self::PagesAlike { pages, columns, request } => {
                Self::PagesAlike { pages, columns, request: change(&request) }
            }
            Self::Ceiling { unit, limit, request } => Self::Ceiling { unit, limit, request: change(&request) },
        }
    }
}

/// Watches over the requests of one slice.
#[derive(Debug, Clone, Default)]
pub struct RequestGuard {
    ceilings: Ceilings,
    sent: HashSet<Fingerprint>,
    /// By their SHA-256: a cursor may be as long as a page.
    cursors: HashSet<[u8; 32]>,
    pages: u64,
    rows: u64,
    bytes: u64,
}

impl RequestGuard {
    /// Begins a slice.
    #[must_use]
    pub fn new(ceilings: Ceilings) -> Self {
        Self { ceilings, ..Self::default() }
    }

    /// Takes the request that is about to be sent, before authentication is applied. A retry isn't a new request.
    pub fn request(&mut self, request: &RenderedRequest) -> Result<(), GuardError> {
        if !self.sent.insert(request.fingerprint()) {
            return Err(GuardError::SameRequest { request: request.line() });
        }
        self.pages += 1;
        check("pages", self.pages, self.ceilings.pages, request)
    }

    /// Tells whether the request was sent before.
    #[must_use]
    pub fn has_seen(&self, request: &RenderedRequest) -> bool {
        self.sent.contains(&request.fingerprint())
    }

    /// Takes a page: the rows that the server put on it, the bytes of its body, and the time since the slice began.
    pub fn page(
        &mut self,
        request: &RenderedRequest,
        rows: u64,
        bytes: u64,
        elapsed: Duration,
    ) -> Result<(), GuardError> {
        self.rows += rows;
        self.bytes += bytes;
        check("rows", self.rows, self.ceilings.rows, request)?;
        check("bytes", self.bytes, self.ceilings.bytes, request)?;
        if elapsed <= self.ceilings.time {
            return Ok(());
        }
        Err(GuardError::Ceiling { unit: "seconds", limit: self.ceilings.time.as_secs(), request: request.line() })
    }

    /// Takes the cursor that a page gave for the next one.
    pub fn cursor(&mut self, request: &RenderedRequest, cursor: &Value) -> Result<(), GuardError> {
        let cursor = cursor.to_string();
        if self.cursors.insert(Sha256::digest(&cursor).into()) {
            return Ok(());
        }
        Err(GuardError::CursorCycle { page: self.pages, cursor, request: request.line() })
    }
}

fn check(unit: &'static str, count: u64, limit: u64, request: &RenderedRequest) -> Result<(), GuardError> {
    if count <= limit {
        return Ok(());
    }
    Err(GuardError::Ceiling { unit, limit, request: request.line() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::extract::paginate::Edit;
    use crate::extract::request::{RequestSpec, RequestTree};
    use crate::lang::place::Place;

    fn request(start: u64) -> RenderedRequest {
        let spec = RequestSpec { path: "/list".to_owned(), ..RequestSpec::default() };
        let edit = Edit { place: Place::compile("query.start", &[]).unwrap(), value: json!(start) };
        RequestTree::compile("http://a", spec).unwrap().render(&json!({}), &[edit]).unwrap()
    }

    #[test]
    fn a_request_is_sent_once() {
        let mut guard = RequestGuard::new(Ceilings::default());
        guard.request(&request(0)).unwrap();
        guard.request(&request(1)).unwrap();
        let error = guard.request(&request(0)).unwrap_err();
        assert_eq!(error, GuardError::SameRequest { request: "GET /list?start=0".to_owned() });
    }

    #[test]
    fn ceilings_name_what_was_exceeded() {
        let time = Duration::from_secs(60);
        let mut guard = RequestGuard::new(Ceilings { pages: 2, rows: 10, bytes: 100, time });
        guard.request(&request(0)).unwrap();
        guard.page(&request(0), 10, 100, time).unwrap();
        let error = guard.clone().page(&request(1), 1, 0, time).unwrap_err().to_string();
        assert!(error.contains("more than 10 rows") && error.ends_with("last request: GET /list?start=1"), "{error}");
        assert!(guard.clone().page(&request(1), 0, 1, time).unwrap_err().to_string().contains("more than 100 bytes"));
        let longer = time + Duration::from_millis(1);
        let error = guard.clone().page(&request(1), 0, 0, longer).unwrap_err().to_string();
        assert!(error.contains("more than 60 seconds"), "{error}");
        guard.request(&request(1)).unwrap();
        assert!(guard.request(&request(2)).unwrap_err().to_string().contains("more than 2 pages"));
    }

    #[test]
    fn cursors_do_not_come_back() {
        let mut guard = RequestGuard::new(Ceilings::default());
        for cursor in [json!("a"), json!(1), json!("1"), json!({"k": 1})] {
            guard.cursor(&request(0), &cursor).unwrap();
        }
        assert!(matches!(guard.cursor(&request(0), &json!("a")), Err(GuardError::CursorCycle { .. })));
    }
}
