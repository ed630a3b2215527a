//! The gate in front of a credential: the first request goes alone, and a refused credential is never sent again.
//!
//! An appliance that counts failed logins locks the address out; ten jobs that start at once would do that with one wrong
//! password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::Notify;

use super::CredentialId;

/// A credential that the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the server refused the credential, so no job sends it again in this run; the first refusal: {reason}")]
pub struct Refused {
    /// The first refusal: which request, and what the server said; secrets scrubbed.
    pub reason: Arc<str>,
}

/// The gate of a process: one for all jobs.
#[derive(Debug, Clone, Default)]
pub struct CredentialGate {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    states: Mutex<States>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct States(HashMap<CredentialId, State>);

#[derive(Debug, Clone)]
enum State {
    /// One request is out to prove the credential.
    Proving,
    Accepted,
    /// Why, and when.
    Refused(Arc<str>, Instant),
}

/// The leave to send one request, retries included. Tell it what came of the request; dropped without a word, it proves nothing,
/// and the next request goes alone.
#[derive(Debug)]
#[must_use = "the others wait until the pass says what came of the request"]
pub struct Pass {
    shared: Arc<Shared>,
    credential: Option<CredentialId>,
    proving: bool,
}

impl CredentialGate {
    /// Makes the gate of a process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for the leave to send a request with `credential`: at once where it was accepted before or there is none, alone
    /// where it wasn't. Fails at once where it was refused.
    pub async fn enter(&self, credential: Option<CredentialId>) -> Result<Pass, Refused> {
        let Some(id) = credential else { return Ok(self.pass(None, false)) };
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registers before the state is read, so that no change between the two is missed.
            changed.as_mut().enable();
            if let Some(pass) = self.try_enter(&id) {
                return pass;
            }
            changed.await;
        }
    }

    /// Closes the gate to a credential that was refused `ago`, by an earlier run; `reason` has its secrets scrubbed.
    pub fn refuse(&self, id: CredentialId, reason: &str, ago: Duration) {
        self.shared.lock().refuse(id, reason.into(), ago);
        self.shared.changed.notify_waiters();
    }

    /// Returns why a credential was refused, and how long ago; none where it wasn't.
    #[must_use]
    pub fn refusal(&self, id: &CredentialId) -> Option<(Arc<str>, Duration)> {
        match self.shared.lock().0.get(id) {
            Some(State::Refused(reason, at)) => Some((reason.clone(), at.elapsed())),
            _ => None,
        }
    }

    /// Opens the gate again to a credential that was refused.
    pub fn forget_refusal(&self, id: &CredentialId) {
        self.shared.lock().0.retain(|other, state| other != id || !matches!(state, State::Refused(..)));
    }

    /// Opens the gate again to what was refused so long ago: a process may outlive many runs.
    pub fn forget_refusals(&self, ago: Duration) {
        self.shared.lock().0.retain(|_, state| !matches!(state, State::Refused(_, at) if at.elapsed() >= ago));
    }

    /// Returns the leave to send a request that can wait: only where the credential was accepted before, or there is none.
    #[must_use]
    pub fn enter_if_accepted(&self, credential: Option<CredentialId>) -> Option<Pass> {
        let accepted =
            credential.as_ref().is_none_or(|id| matches!(self.shared.lock().0.get(id), Some(State::Accepted)));
        accepted.then(|| self.pass(credential, false))
    }

    fn try_enter(&self, id: &CredentialId) -> Option<Result<Pass, Refused>> {
        let mut states = self.shared.lock();
        match states.0.get(id) {
            None => {
                states.0.insert(id.clone(), State::Proving);
                Some(Ok(self.pass(Some(id.clone()), true)))
            }
            Some(State::Proving) => None,
            Some(State::Accepted) => Some(Ok(self.pass(Some(id.clone()), false))),
            Some(State::Refused(reason, _)) => Some(Err(Refused { reason: reason.clone() })),
        }
    }

    fn pass(&self, credential: Option<CredentialId>, proving: bool) -> Pass {
        Pass { shared: self.shared.clone(), credential, proving }
    }
}

impl States {
    /// Takes a refusal, and returns the first one's reason.
    fn refuse(&mut self, id: CredentialId, reason: Arc<str>, ago: Duration) -> Arc<str> {
        if let Some(State::Refused(first, _)) = self.0.get(&id) {
            return first.clone();
        }
        let now = Instant::now();
        self.0.insert(id, State::Refused(reason.clone(), now.checked_sub(ago).unwrap_or(now)));
        reason
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Fails if another request's answer refused the credential meanwhile. Ask before every try.
    pub fn check(&self) -> Result<(), Refused> {
        let Some(id) = &self.credential else { return Ok(()) };
        match self.shared.lock().0.get(id) {
            Some(State::Refused(reason, _)) => Err(Refused { reason: reason.clone() }),
            _ => Ok(()),
        }
    }

    /// Resolves once another request's answer refuses the credential: a wait between two tries ends with it.
    pub async fn refused_elsewhere(&self) -> Refused {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Err(refused) = self.check() {
                return refused;
            }
            changed.await;
        }
    }

    /// The server took the credential: the others go on.
    pub fn accepted(mut self) {
        self.proved();
    }

    /// As [`Pass::accepted`], where the request itself is still to be sent: a login was taken.
    pub fn proved(&mut self) {
        self.proving = false;
        if let Some(id) = &self.credential {
            let mut states = self.shared.lock();
            if !matches!(states.0.get(id), Some(State::Refused(..))) {
                states.0.insert(id.clone(), State::Accepted);
            }
        }
        self.shared.changed.notify_waiters();
    }

    /// The server refused the credential: all who use it stop. `reason` has its secrets scrubbed. Returns the first refusal.
    pub fn refused(mut self, reason: &str) -> Refused {
        self.proving = false;
        let mut first: Arc<str> = reason.into();
        if let Some(id) = self.credential.take() {
            first = self.shared.lock().refuse(id, first, Duration::ZERO);
        }
        self.shared.changed.notify_waiters();
        Refused { reason: first }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.proving {
            return;
        }
        if let Some(id) = self.credential.take() {
            let mut states = self.shared.lock();
            if matches!(states.0.get(&id), Some(State::Proving)) {
                states.0.remove(&id);
            }
        }
        self.shared.changed.notify_waiters();
    }
}
