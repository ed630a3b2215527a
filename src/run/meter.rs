//! Counts what comes over the wire for a slice, and how long its stages take, so that one that fails can say how far it came.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::RunError;
use crate::extract::http::{ExchangeError, Exchanged, HttpError};
use crate::model::{Fetched, Took};

/// The counts of one slice.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<(Fetched, Took)>);

/// What of [`Took`] a stage adds to.
type Stage = fn(&mut Took) -> &mut u64;

impl Meter {
    /// Adds to the counts.
    pub(super) fn add(&self, more: Fetched) {
        self.lock().0 += more;
    }

    /// Does a stage's work, and notes how long it took.
    pub(super) async fn time<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        *stage(&mut self.lock().1) += took;
        done
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

    /// Returns the counts, and the times, so far.
    pub(super) fn read(&self) -> (Fetched, Took) {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, (Fetched, Took)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
