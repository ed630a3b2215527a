//! The gate in front of a credential: the first request goes alone, and a refused credential is never sent again.
//!
//! An appliance that counts failed logins locks the address out; ten jobs that start at once would do that with one wrong
//! password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    states: Mutex<HashMap<CredentialId, State>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
enum State {
    /// One request is out to prove the credential.
    Proving,
    Accepted,
    Refused(Arc<str>),
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

    fn try_enter(&self, id: &CredentialId) -> Option<Result<Pass, Refused>> {
        let mut states = self.shared.lock();
        match states.get(id) {
            None => {
                states.insert(id.clone(), State::Proving);
                Some(Ok(self.pass(Some(id.clone()), true)))
            }
            Some(State::Proving) => None,
            Some(State::Accepted) => Some(Ok(self.pass(Some(id.clone()), false))),
            Some(State::Refused(reason)) => Some(Err(Refused { reason: reason.clone() })),
        }
    }

    fn pass(&self, credential: Option<CredentialId>, proving: bool) -> Pass {
        Pass { shared: self.shared.clone(), credential, proving }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Fails if another request's answer refused the credential meanwhile. Ask before every try.
    pub fn check(&self) -> Result<(), Refused> {
        let Some(id) = &self.credential else { return Ok(()) };
        match self.shared.lock().get(id) {
            Some(State::Refused(reason)) => Err(Refused { reason: reason.clone() }),
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
            if !matches!(states.get(id), Some(State::Refused(_))) {
                states.insert(id.clone(), State::Accepted);
            }
        }
        self.shared.changed.notify_waiters();
    }

    /// The server refused the credential: all who use it stop. `reason` has its secrets scrubbed. Returns the first refusal.
    pub fn refused(mut self, reason: &str) -> Refused {
        self.proving = false;
        let mut first: Arc<str> = reason.into();
        if let Some(id) = self.credential.take() {
            let mut states = self.shared.lock();
            if let Some(State::Refused(earlier)) = states.get(&id) {
                first = earlier.clone();
            }
            states.insert(id, State::Refused(first.clone()));
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
            if matches!(states.get(&id), Some(State::Proving)) {
                states.remove(&id);
            }
        }
        self.shared.changed.notify_waiters();
    }
}
