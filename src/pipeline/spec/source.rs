//! Where a source is, and how requests are sent to it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::super::file::{Auth, Rate};
use crate::lang::jq::Jq;
use crate::lang::place::Place;
use crate::model::AnswerFormat;
use crate::secret::Secret;

/// Where and how requests are sent.
#[derive(Debug, Clone)]
pub struct Source {
    /// The origin, and a path that all requests begin with.
    pub base_url: Url,
    /// What came into its path from outside of the file, and may be a secret.
    pub hidden: Vec<Secret>,
    /// How requests are authenticated.
    pub auth: Auth,
    /// What a session is got with, where `auth` needs one.
    pub session: Option<SessionSpec>,
    /// Whether an answer says that the credential was refused. None: status 401.
    pub auth_failed: Option<Jq>,
    /// Whether an answer is a success, beside its 2xx status.
    pub success: Option<Jq>,
    /// The server's own words about a failure.
    pub error_message: Option<Jq>,
    /// Whether an answer is a page with no rows.
    pub empty: Option<Jq>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for a whole answer.
    pub request_timeout: Duration,
    /// Tries in all.
    pub attempts: u32,
    /// The longest silence while an answer is read.
    pub read_timeout: Duration,
    /// The longest pause between two tries.
    pub max_delay: Duration,
    /// Whether an answer is worth another try, beside those whose status says so.
    pub retry_when: Option<Jq>,
    /// How many seconds to wait before the next try, where `Retry-After` doesn't say.
    pub retry_after: Option<Jq>,
    /// The most requests in a time.
    pub rate_limit: Option<Rate>,
    /// The most requests at one time.
    pub concurrency: u32,
    /// Certificates to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, and its key where there is no `client_key`.
    pub client_cert: Option<PathBuf>,
    /// The client's private key.
    pub client_key: Option<PathBuf>,
    /// Whether any certificate is trusted.
    pub insecure_skip_verify: bool,
    /// The proxy; none leaves it to the environment.
    pub proxy: Option<Proxy>,
    /// The format of answers.
    pub format: AnswerFormat,
    /// The largest answer that is read, in bytes.
    pub max_response: u64,
}

/// A proxy between us and the source.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its URL, with no user and no password.
    pub url: Url,
    /// The user; empty for none.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What a session is got with, beside what `auth` says.
#[derive(Debug, Clone)]
pub enum SessionSpec {
    /// A login.
    Login {
        /// Whether it succeeded.
        success: Option<Jq>,
        /// The token, and its place in other requests. None: cookies alone.
        token: Option<(Jq, Place)>,
    },
    /// An OAuth 2.0 client.
    OAuth2 {
        /// The token end point.
        token_url: Url,
    },
}
