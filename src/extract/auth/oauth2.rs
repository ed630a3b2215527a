//! `oauth2`: a token by client credentials (RFC 6749, section 4.4) or by a refresh token (section 6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::login::status_text;
use super::session::{Denied, Given};
use super::{Auth, CredentialId, Redactor, excerpt};
use crate::extract::http::RawAnswer;
use crate::extract::request::{Payload, RenderedRequest, header_value};
use crate::secret::Secret;

/// A token is renewed when a tenth of its life is left, at most this long before it expires.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// The most characters of an error code that are shown: the codes of the standard have at most 25.
const CODE: usize = 60;

/// Where a client's id and secret go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Into an HTTP Basic header.
    Header,
    /// Into the form.
    Body,
}

/// An OAuth 2.0 client.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token end point.
    pub token_url: Url,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// A refresh token; none for client credentials.
    pub refresh_token: Option<Secret>,
    /// Where id and secret go.
    pub client_auth: ClientAuth,
}

impl OAuth2 {
    /// Makes the request for a token; `refresh` is the refresh token that replaced the one of the pipeline file.
    pub(super) fn request(&self, refresh: Option<&Secret>) -> RenderedRequest {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        match refresh.filter(|_| self.refresh_token.is_some()).or(self.refresh_token.as_ref()) {
            None => field("grant_type", "client_credentials"),
            Some(token) => {
                field("grant_type", "refresh_token");
                field("refresh_token", token.expose());
            }
        }
        if let Some(scope) = &self.scope {
            field("scope", scope);
        }
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        match self.client_auth {
            ClientAuth::Body => {
                field("client_id", &self.client_id);
                field("client_secret", self.client_secret.expose());
            }
            ClientAuth::Header => {
                let pair =
                    STANDARD.encode(format!("{}:{}", encoded(&self.client_id), encoded(self.client_secret.expose())));
                // Base64 is always the value of a header.
                if let Some(mut value) = header_value(&format!("Basic {pair}")) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
        }
        let mut resource = self.token_url.clone();
        resource.set_query(None);
        RenderedRequest {
            method: Method::POST,
            resource,
            linked: self.token_url.query().map(str::to_owned),
            query: Vec::new(),
            headers,
            payload: Payload::Form(fields),
        }
    }

    /// Returns its secrets, the client's also as it stands in a Basic header.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let in_header = Secret::new(encoded(self.client_secret.expose()));
        [self.client_secret.clone(), in_header].into_iter().chain(self.refresh_token.clone()).collect()
    }

    /// Returns its identity: what is sent.
    pub(super) fn id(&self) -> CredentialId {
        let refresh = self.refresh_token.as_ref().map(Secret::expose).unwrap_or_default();
        let how = format!("{:?} {:?} {}", self.client_auth, self.scope, self.refresh_token.is_some());
        let parts = [self.token_url.as_str(), &self.client_id, self.client_secret.expose(), refresh, &how];
        CredentialId::of("oauth2", parts)
    }

    /// Takes the token from an answer that came at `now` (sections 5.1 and 5.2).
    pub(super) fn read(&self, answer: &RawAnswer, redactor: &Redactor, now: DateTime<Utc>) -> Result<Given, Denied> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if !answer.status.is_success() || text("error").is_some() {
            return Err(self.refused(answer, &body, redactor));
        }
        let unusable = |reason: &str, hint| Err(Denied { reason: reason.to_owned(), hint });
        let Some(token) = text("access_token") else {
            let reason = if body.is_object() {
                "the answer has no access_token"
            } else {
                "the answer isn't a JSON object, so there is no access_token in it"
            };
            return unusable(reason, "check token_url: it must be the token end point itself");
        };
        if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return unusable(
                "the token isn't of the type Bearer, the only one that is known here",
                "ask the server's admin",
            );
        }
        if header_value(token).is_none() {
            return unusable(
                "the access_token holds a control character, and can't go into a header",
                "ask the server's admin",
            );
        }
        Ok(Given {
            token: Auth::Bearer(Secret::new(token)),
            until: body
                .get("expires_in")
                .and_then(seconds)
                .and_then(|life| now.checked_add_signed(life - margin(life))),
            refresh: text("refresh_token").map(Secret::new),
        })
    }

    fn refused(&self, answer: &RawAnswer, body: &Value, redactor: &Redactor) -> Denied {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut reason = status_text(answer.status, &answer.headers, redactor);
        let code: String = text("error").chars().take(CODE).collect();
        for said in [&code, text("error_description")] {
            if !said.is_empty() {
                reason.push_str(&format!(": {}", excerpt(redactor, said.as_bytes())));
            }
        }
        if code.is_empty() && !answer.body.is_empty() && !answer.status.is_redirection() {
            reason.push_str(&format!("; body: {}", excerpt(redactor, &answer.body)));
        }
        let hint = match code.as_str() {
            "invalid_client" => "check client_id and client_secret; some servers want `client_auth: body`",
            "invalid_grant" => "the refresh token is used up, expired or revoked: get a new one",
            "invalid_scope" => "check scope",
            "unauthorized_client" | "unsupported_grant_type" if self.refresh_token.is_some() => {
                "the client may not use refresh tokens: ask the server's admin"
            }
            "unauthorized_client" | "unsupported_grant_type" => {
                "the client may not use client credentials: ask the server's admin, or use a refresh_token"
            }
            _ => "check token_url, client_id, client_secret and scope",
        };
        Denied { reason, hint }
    }
}

/// Encodes a client's id or secret for a Basic header, as section 2.3.1 wants it.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Reads a life in seconds, which some servers write as a text.
fn seconds(life: &Value) -> Option<TimeDelta> {
    let seconds = match life {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_f64()?,
    };
    // Truncated: a part of a second doesn't count.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is too large is cut to the largest number, and has no end then"
    )]
    TimeDelta::try_seconds(seconds as i64).filter(|life| *life >= TimeDelta::zero())
}

fn margin(life: TimeDelta) -> TimeDelta {
    (life / 10).min(MARGIN)
}
