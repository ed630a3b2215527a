//! Counts what comes over the wire for a slice, so that one that fails can say how far it came.

use std::sync::{Mutex, PoisonError};

use super::RunError;
use crate::extract::http::{ExchangeError, Exchanged, HttpError};
use crate::model::Fetched;

/// The counts of one slice.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Fetched>);

impl Meter {
    /// Adds to the counts.
    pub(super) fn add(&self, more: Fetched) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.pages += more.pages;
        sum.server_rows += more.server_rows;
        sum.bytes += more.bytes;
        sum.retries += more.retries;
    }

    /// Counts a page that was asked for, and returns it.
    pub(super) fn note<T>(&self, fetched: Result<Exchanged<T>, RunError>) -> Result<Exchanged<T>, RunError> {
        let retries = |attempts: u32| u64::from(attempts.saturating_sub(1));
        match &fetched {
            Ok(Exchanged { answer, .. }) => self.add(Fetched {
                pages: 1,
                server_rows: 0,
                bytes: answer.body.len() as u64,
                retries: retries(answer.attempts),
            }),
            Err(RunError::Exchange(error)) => {
                let attempts = match error {
                    ExchangeError::Answer(error) => error.attempts,
                    ExchangeError::Http(HttpError::Transport { attempts, .. }) => *attempts,
                    _ => 0,
                };
                self.add(Fetched { retries: retries(attempts), ..Fetched::default() });
            }
            Err(_) => {}
        }
        fetched
    }

    /// Returns the counts so far.
    pub(super) fn read(&self) -> Fetched {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
