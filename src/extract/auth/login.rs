//! `login`: a request with a user and a password, and the token or the cookies that its answer gives.

use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::session::{Denied, Given};
use super::{Auth, Cookies, CredentialId, Redactor, excerpt};
use crate::extract::http::RawAnswer;
use crate::extract::request::{RenderedRequest, RequestError, RequestTree, header_value};
use crate::lang::jq::Jq;
use crate::lang::place::Place;
use crate::secret::Secret;

/// The name under which the templates of a login see the values that come from outside of the pipeline file, a list.
pub const CREDENTIALS: &str = "credentials";

/// The most names of fields that an error shows, and the most characters of one.
const NAMES: usize = 12;
const NAME: usize = 24;

const CHECK: &str = "check the login's credentials, and that the account isn't locked out";

/// A login.
#[derive(Debug)]
pub struct Login {
    /// The request. What comes from outside of the pipeline file isn't in it: templates name that by its place in the list
    /// [`CREDENTIALS`].
    pub tree: RequestTree,
    /// That list.
    pub values: Vec<Secret>,
    /// What must not show.
    pub secrets: Vec<Secret>,
    /// jq: whether it succeeded. It sees `$status` and `$headers`.
    pub success: Option<Jq>,
    /// jq: the server's words about a failure. It sees the same.
    pub error_message: Option<Jq>,
    /// jq: the token, and its place in other requests. It sees the same.
    pub token: Option<(Jq, Place)>,
}

impl Login {
    /// Makes the request at `now`.
    pub(super) fn request(&self, now: DateTime<Utc>) -> Result<RenderedRequest, RequestError> {
        let values: Vec<_> = self.values.iter().map(Secret::expose).collect();
        let now = now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        self.tree.render(&json!({"now": now, CREDENTIALS: values}), &[])
    }

    /// Returns its secrets.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Returns its identity: what is sent, and what is taken from the answer.
    pub(super) fn id(&self) -> CredentialId {
        let texts = [format!("{:?}", self.tree), format!("{:?} {:?}", self.success, self.token)];
        let values = self.values.iter().map(Secret::expose);
        CredentialId::of("login", texts.iter().map(String::as_str).chain(values))
    }

    /// Takes the session from an answer.
    ///
    /// An answer with a 2xx status may hold a token, also where it is judged a failure. So none of it is quoted but the words
    /// that are meant for people, and the names of its fields.
    pub(super) fn read(&self, answer: &RawAnswer, cookies: &Cookies, redactor: &Redactor) -> Result<Given, Denied> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let vars = [Value::from(answer.status.as_u16()), answer.headers.clone()];
        let status = answer.status;
        if !(status.is_success() || status.is_redirection() && self.success.is_some()) {
            let mut reason = status_text(status, &answer.headers, redactor);
            if !answer.body.is_empty() && !status.is_redirection() {
                reason.push_str(&format!("; body: {}", excerpt(redactor, &answer.body)));
            }
            let hint = match status.as_u16() {
                300..400 => {
                    "redirects aren't followed: check base_url, or say with `success` which redirect means that it succeeded"
                }
                404 | 405 => "check the login's path, and base_url",
                _ => CHECK,
            };
            return Err(Denied { reason, hint });
        }
        let said = self.error_message.as_ref().and_then(|words| words.one(&body, &vars).ok());
        let about = || match &said {
            Some(Value::String(said)) if !said.is_empty() => format!("it says: {}", excerpt(redactor, said.as_bytes())),
            _ => about(&body, redactor),
        };
        if let Some(success) = &self.success {
            match success.truthy(&body, &vars) {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Denied {
                        reason: format!("the login's `success` is not true; {}", about()),
                        hint: CHECK,
                    });
                }
                // What jq says quotes the value it failed on.
                Err(_) => {
                    let reason = format!("the login's `success` can't be evaluated on the answer; {}", about());
                    return Err(Denied { reason, hint: "check `success` against the answer's fields" });
                }
            }
        }
        let token = match &self.token {
            Some((token, place)) => token_at(place, &text_of(token.one(&body, &vars).ok(), about)?)?,
            None if cookies.has_any() => Auth::None,
            None => return Err(no_cookie(cookies.had_insecure(), &about())),
        };
        Ok(Given { token, until: None, refresh: None })
    }
}

/// Names a place in requests as an [`Auth`] with a value.
fn token_at(place: &Place, token: &str) -> Result<Auth, Denied> {
    let value = Secret::new(token);
    let name = || place.sole_key().unwrap_or_default().to_owned();
    match place.root() {
        "headers" if header_value(token).is_none() => {
            let reason = "the login's `token` holds a line break or another control character".to_owned();
            Err(Denied { reason, hint: "check `token` against the answer, or send it somewhere else than in a header" })
        }
        "headers" => Ok(Auth::Headers(vec![(name(), value)])),
        "query" => Ok(Auth::Query { name: name(), value }),
        "form" => Ok(Auth::Form { name: name(), value }),
        _ => Ok(Auth::Body { place: place.clone(), value }),
    }
}

/// Returns the token's text.
fn text_of(token: Option<Value>, about: impl Fn() -> String) -> Result<String, Denied> {
    let found = match token {
        Some(Value::String(token)) if !token.trim().is_empty() => return Ok(token),
        Some(Value::Number(token)) => return Ok(token.to_string()),
        Some(Value::String(_)) => "gives an empty text",
        Some(Value::Null) => "gives null",
        Some(Value::Bool(_)) => "gives a boolean",
        Some(Value::Array(_)) => "gives a list",
        Some(Value::Object(_)) => "gives an object",
        None => "can't be evaluated on the answer",
    };
    let reason = format!("there is no token: the login's `token` {found}; {}", about());
    Err(Denied {
        reason,
        hint: "check `token` against the answer's fields; if they tell of a failure, check the credentials",
    })
}

fn no_cookie(had_insecure: bool, about: &str) -> Denied {
    if had_insecure {
        let reason = "the answer to the login sets a cookie that is for https only, and base_url is http".to_owned();
        return Denied { reason, hint: "use https in base_url" };
    }
    let reason = format!("the answer to the login sets no cookie; {about}");
    Denied {
        reason,
        hint: "check the credentials, and the login's path; if it answers with a token, name it with `token` and `into`",
    }
}

/// Says what an answer is like, without quoting what may be a session.
fn about(body: &Value, redactor: &Redactor) -> String {
    const WORDS: [&str; 9] =
        ["error", "error_code", "error_description", "err", "message", "msg", "detail", "reason", "rc_str"];
    let Value::Object(fields) = body else {
        return if body.is_null() { "the answer isn't JSON" } else { "the answer isn't a JSON object" }.to_owned();
    };
    // `{"error": {"message": ...}}`, as JSON-RPC has it.
    let within = fields.get("error").and_then(Value::as_object).unwrap_or(fields);
    let said = WORDS.iter().filter_map(|name| within.get(*name).map(|value| (name, value)));
    let said: Vec<_> = said
        .filter(|(_, value)| value.is_string() || value.is_number())
        .map(|(name, value)| format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    if !said.is_empty() {
        return format!("it says: {}", excerpt(redactor, said.join(", ").as_bytes()));
    }
    let names = fields.keys().filter(|name| name.chars().count() <= NAME).take(NAMES).map(String::as_str);
    match names.collect::<Vec<_>>().join(", ") {
        names if names.is_empty() => "the answer is an object with no fields".to_owned(),
        names => format!("the answer has the fields {}", excerpt(redactor, names.as_bytes())),
    }
}

/// Says what a status means that is no success.
pub(super) fn status_text(status: StatusCode, headers: &Value, redactor: &Redactor) -> String {
    let name = status.canonical_reason().unwrap_or("an unknown status");
    match headers.get("location").and_then(Value::as_str) {
        Some(location) if status.is_redirection() => {
            format!("the server redirects to {}", excerpt(redactor, location.as_bytes()))
        }
        _ => format!("the server answered {} {name}", status.as_u16()),
    }
}
