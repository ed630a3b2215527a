//! A session: what a login or a token end point gave, until it expires. No I/O: the exchange sends the requests that are made here.
//!
//! There is one for each credential in a process. Each session has a number, its generation, so that a request which was refused
//! knows whether another one has renewed the session meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Auth, AuthError, Cookies, CredentialId, Login, OAuth2, Redactor, SecureWorkload};
use crate::extract::http::RawAnswer;
use crate::extract::request::{RenderedRequest, RequestError};
use crate::secret::Secret;

/// The session of a credential.
#[derive(Debug)]
pub struct Session {
    how: How,
    id: CredentialId,
    redactor: Redactor,
    state: Mutex<State>,
    /// Held by the one task that renews.
    renewing: tokio::sync::Mutex<()>,
}

/// How it is got.
#[derive(Debug)]
enum How {
    Login(Login),
    OAuth2(OAuth2),
}

#[derive(Debug, Default)]
struct State {
    /// Sessions so far.
    generation: u64,
    current: Option<Arc<Grant>>,
    /// The last session with which a request was accepted; 0 where none ever was.
    accepted: u64,
    /// The refresh token that replaced the one of the pipeline file.
    refresh: Option<Secret>,
    /// Renewals that failed so far, and how the last one did.
    failures: u64,
    failure: Arc<str>,
}

/// What requests carry while a session lasts.
#[derive(Debug)]
pub struct Grant {
    generation: u64,
    token: Auth,
    cookies: Cookies,
    until: Option<DateTime<Utc>>,
}

/// What an answer gave.
#[derive(Debug)]
pub(super) struct Given {
    /// The token, and where it goes.
    pub(super) token: Auth,
    /// When it is to be renewed.
    pub(super) until: Option<DateTime<Utc>>,
    /// The refresh token for the next time.
    pub(super) refresh: Option<Secret>,
}

/// Why an answer gave nothing: the credential must not be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What is wrong. It quotes nothing of an answer that may hold a session.
    pub reason: String,
    /// What to do.
    pub hint: &'static str,
}

/// What is done at every try of a request.
#[derive(Debug, Clone, Copy)]
pub enum EachTry<'a> {
    /// Nothing.
    Nothing,
    /// It is signed anew.
    Sign(&'a SecureWorkload),
    /// It carries the cookies as they are then, and its answer may change them.
    Cookies(&'a Cookies),
}

impl EachTry<'_> {
    /// Returns the request as it goes out at `now`; none where nothing is changed.
    #[must_use]
    pub fn prepared(&self, request: &RenderedRequest, now: DateTime<Utc>) -> Option<RenderedRequest> {
        let mut copy = match self {
            Self::Nothing => return None,
            Self::Sign(_) | Self::Cookies(_) => request.clone(),
        };
        match self {
            Self::Nothing => {}
            Self::Sign(signer) => signer.sign(&mut copy, now),
            Self::Cookies(cookies) => cookies.add_to(&mut copy, now),
        }
        Some(copy)
    }

    /// Takes the headers of a try's answer.
    pub fn heard(&self, request: &RenderedRequest, headers: &http::HeaderMap, now: DateTime<Utc>) {
        if let Self::Cookies(cookies) = self {
            cookies.heard(&request.resource, headers, now);
        }
    }
}

impl Grant {
    /// Returns which session of its credential it is, from 1.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Puts the token into `request`, where there is one. Cookies go in at every try: see [`Grant::cookies`].
    pub fn apply(&self, request: &mut RenderedRequest) -> Result<(), AuthError> {
        self.token.apply(request)
    }

    /// Returns its cookies.
    #[must_use]
    pub const fn cookies(&self) -> &Cookies {
        &self.cookies
    }
}

impl Session {
    /// Makes the session of a login; the login is sent when a request needs it.
    #[must_use]
    pub fn of_login(login: Login) -> Self {
        let (id, redactor) = (login.id(), Redactor::new(login.secrets()));
        Self::new(How::Login(login), id, redactor)
    }

    /// Makes the session of an OAuth 2.0 client.
    #[must_use]
    pub fn of_oauth2(client: OAuth2) -> Self {
        let (id, redactor) = (client.id(), Redactor::new(&client.secrets()));
        Self::new(How::OAuth2(client), id, redactor)
    }

    fn new(how: How, id: CredentialId, redactor: Redactor) -> Self {
        Self { how, id, redactor, state: Mutex::default(), renewing: tokio::sync::Mutex::default() }
    }

    /// Names the kind as a pipeline file does.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.how {
            How::Login(_) => "login",
            How::OAuth2(_) => "oauth2",
        }
    }

    /// Returns the identity of its credential.
    #[must_use]
    pub const fn id(&self) -> &CredentialId {
        &self.id
    }

    /// Returns what scrubs its secrets: the credential's, and those that its sessions brought.
    #[must_use]
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Returns the session that requests carry at `now`; none where there is none yet, or it has expired.
    #[must_use]
    pub fn current(&self, now: DateTime<Utc>) -> Option<Arc<Grant>> {
        self.state().current.clone().filter(|grant| grant.until.is_none_or(|until| until > now))
    }

    /// Tells whether the session of that generation is the one that requests carry.
    #[must_use]
    pub fn is_current(&self, generation: u64) -> bool {
        self.state().current.as_ref().is_some_and(|grant| grant.generation == generation)
    }

    /// Ends the session of that generation, unless it has ended already.
    pub fn expire(&self, generation: u64) {
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|grant| grant.generation == generation) {
            state.current = None;
        }
    }

    /// Notes that the server accepted a request with the session of that generation.
    pub fn accepted(&self, generation: u64) {
        let mut state = self.state();
        state.accepted = state.accepted.max(generation);
    }

    /// Tells whether the server ever accepted a request with the session of that generation, as far as the last ones go.
    #[must_use]
    pub fn was_accepted(&self, generation: u64) -> bool {
        self.state().accepted == generation
    }

    /// Tells whether the credential is known to be right: a request was accepted, or the answer that gave the session says so.
    /// That it sets a cookie says nothing, for many servers set one in any case.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let says_so = match &self.how {
            How::Login(login) => login.success.is_some() || login.token.is_some(),
            How::OAuth2(_) => true,
        };
        says_so || self.state().accepted > 0
    }

    /// Waits until no other task renews the session. Look at [`Session::current`] again then.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.renewing.lock().await
    }

    /// Returns how many renewals failed so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    /// Returns how the last renewal failed, if one did since there were `failures`.
    #[must_use]
    pub fn failed_since(&self, failures: u64) -> Option<Arc<str>> {
        let state = self.state();
        (state.failures > failures).then(|| Arc::clone(&state.failure))
    }

    /// Notes that a renewal failed, secrets scrubbed, so that those who wait for it needn't try themselves.
    pub fn failed(&self, reason: &str) {
        let mut state = self.state();
        state.failures += 1;
        state.failure = reason.into();
    }

    /// Makes the request that renews the session at `now`, and the cookies that its tries and the session share.
    pub fn request(&self, now: DateTime<Utc>) -> Result<(RenderedRequest, Cookies), RequestError> {
        let refresh = self.state().refresh.clone();
        let request = match &self.how {
            How::Login(login) => login.request(now)?,
            How::OAuth2(client) => client.request(refresh.as_ref()),
        };
        Ok((request, Cookies::new(self.redactor.clone())))
    }

    /// Returns what is done at every try of the request that renews: cookies are for a login's own origin.
    #[must_use]
    pub const fn each_try<'a>(&self, cookies: &'a Cookies) -> EachTry<'a> {
        match self.how {
            How::Login(_) => EachTry::Cookies(cookies),
            How::OAuth2(_) => EachTry::Nothing,
        }
    }

    /// Takes the answer, which came at `now`, to the request that renews. The CPU is used for as long as jq runs.
    ///
    /// # Errors
    /// The answer refuses the credential, or has no session in it.
    pub fn read(&self, answer: &RawAnswer, cookies: Cookies, now: DateTime<Utc>) -> Result<Arc<Grant>, Denied> {
        let given = match &self.how {
            How::Login(login) => login.read(answer, &cookies, &self.redactor)?,
            How::OAuth2(client) => client.read(answer, &self.redactor, now)?,
        };
        self.redactor.learn(given.token.secrets().into_iter().chain(&given.refresh));
        let mut state = self.state();
        state.generation += 1;
        state.refresh = given.refresh.or_else(|| state.refresh.take());
        let grant = Arc::new(Grant { generation: state.generation, token: given.token, cookies, until: given.until });
        state.current = Some(Arc::clone(&grant));
        Ok(grant)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
