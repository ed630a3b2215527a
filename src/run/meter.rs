//! Counts what comes for a slice, and how long its stages take, so that one that fails can say how far it came.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::RunError;
use crate::extract::http::{ExchangeError, Exchanged, HttpError};
use crate::model::{Fetched, Reconciliation, Took};

/// The counts of one slice.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Metered>);

/// What is known of a slice, however it ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Metered {
    /// What came over the wire.
    pub(super) fetched: Fetched,
    /// How long its stages took.
    pub(super) took: Took,
    /// Rows received, of all its readings.
    pub(super) received: u64,
    /// What the last reading proved, if it came to its end.
    pub(super) proved: Option<Reconciliation>,
}

/// What of [`Took`] a stage adds to.
type Stage = fn(&mut Took) -> &mut u64;

impl Meter {
    /// Adds to the counts.
    pub(super) fn add(&self, more: Fetched) {
        self.lock().fetched += more;
    }

    /// Counts the rows of a reading that has ended, however it did. What it proved isn't known yet.
    pub(super) fn received(&self, rows: u64) {
        let mut counts = self.lock();
        counts.received += rows;
        counts.proved = None;
    }

    /// Notes what a reading proved.
    pub(super) fn proved(&self, proved: &Reconciliation) {
        self.lock().proved = Some(proved.clone());
    }

    /// Does a stage's work, and notes how long it took.
    pub(super) async fn time<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        *stage(&mut self.lock().took) += took;
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

    /// Returns what is known so far.
    pub(super) fn read(&self) -> Metered {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Metered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
