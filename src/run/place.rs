//! The beginning of a run that may have to wait: for another process that holds its pipeline, and for a place among the runs of its own.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::SecondsFormat;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Env, Options, RunError};
use crate::ledger::{Lane, Ledger, LedgerError, Patience, Writer};

/// What a run waits for that holds its pipeline, and has no place.
const A_PLACE: &str = "other runs of this process to end (--max-concurrent-runs)";

/// The place of a run among those that may go on at once. Clones are the same place; the default is one of a run that is alone.
#[derive(Debug, Clone, Default)]
pub struct Place(Option<Arc<Seat>>);

#[derive(Debug)]
struct Seat {
    of: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    /// Takes a place that was got.
    #[must_use]
    pub fn new(held: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(Seat { of: Arc::clone(held.semaphore()), held: Mutex::new(Some(held)) })))
    }

    /// Leaves it to another run.
    pub fn leave(&self) {
        self.put(None);
    }

    /// Tells whether the run has it.
    fn is_held(&self) -> bool {
        self.0.as_ref().is_none_or(|seat| seat.held.lock().unwrap_or_else(PoisonError::into_inner).is_some())
    }

    /// Waits until there is one, if the run has left its own.
    async fn take(&self) {
        let Some(seat) = self.0.as_ref().filter(|_| !self.is_held()) else { return };
        // Nobody closes it.
        self.put(Arc::clone(&seat.of).acquire_owned().await.ok());
    }

    fn put(&self, held: Option<OwnedSemaphorePermit>) {
        if let Some(seat) = &self.0 {
            *seat.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        }
    }
}

/// Takes the lease of the run's lane. Who has to wait for another process leaves its place meanwhile. None where the process was told to
/// end before: then nothing has begun.
pub(super) async fn lease(ledger: &Ledger, options: &Options, env: &Env) -> Result<Option<Writer>, RunError> {
    let (place, wind_down) = (&env.bounds.place, &env.bounds.wind_down);
    let heard = |held: &LedgerError| {
        if let LedgerError::Held { by, since, .. } = held {
            let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
            env.progress.waits(Some(&format!("{by}, which has the pipeline since {since}")));
        }
        place.leave();
    };
    let patience = Patience { wait: options.wait, heard: &heard, give_up: wind_down.clone() };
    let taken = tokio::select! {
        taken = ledger.acquire_with(Lane::from(options.shard), patience) => taken,
        () = env.cancel.cancelled() => return Err(RunError::Interrupted),
    };
    let writer = match taken {
        Err(LedgerError::Held { .. }) if options.wait => return Ok(None),
        taken => taken?,
    };
    if !place.is_held() {
        env.progress.waits(Some(A_PLACE));
        // Told to end, it goes on without, to see that it has nothing to begin.
        tokio::select! {
            () = place.take() => {}
            () = wind_down.cancelled() => {}
            () = env.cancel.cancelled() => {}
        }
    }
    env.progress.waits(None);
    Ok(Some(writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_left_is_another_run_s_until_it_is_free_again() {
        let places = Arc::new(Semaphore::new(1));
        let place = Place::new(Arc::clone(&places).try_acquire_owned().unwrap());
        assert!(place.is_held() && places.try_acquire().is_err());
        place.take().await;
        place.leave();
        place.leave();
        let other = Arc::clone(&places).try_acquire_owned().unwrap();
        let (again, waits) = (place.clone(), tokio::spawn(async move { place.take().await }));
        tokio::task::yield_now().await;
        assert!(!again.is_held());
        drop(other);
        waits.await.unwrap();
        assert!(again.is_held() && places.try_acquire().is_err());
        drop(again);
        assert_eq!(places.available_permits(), 1);
        let alone = Place::default();
        alone.leave();
        assert!(alone.is_held());
    }
}
