//! Answers as they go over the wire: an envelope of JSON, whatever the HTTP status is.

use serde_json::{Map, Value, json};

use super::config::{ErrorShape, LastlineConfig, Success};
use crate::appliance::server::{Framing, Response};

/// Who asks may not do that, or isn't logged in any more: the same code for both.
const PERMISSION_DENIED: i64 = 3001;
/// The credential is wrong.
const AUTHENTICATION_ERROR: i64 = 3004;
/// One of the appliances that were named isn't there, or is of the wrong type.
const NO_SUCH_APPLIANCE: i64 = 9003;
/// What the documents show as an example. The codes of other errors aren't known.
const OTHER: i64 = 4711;

/// Why a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    code: i64,
    text: String,
    status: u16,
}

impl ApiError {
    pub(super) fn permission_denied() -> Self {
        Self { code: PERMISSION_DENIED, text: "Permission denied".to_owned(), status: 403 }
    }

    pub(super) fn authentication() -> Self {
        Self { code: AUTHENTICATION_ERROR, text: "Authentication error".to_owned(), status: 401 }
    }

    pub(super) fn no_such_appliance() -> Self {
        Self { code: NO_SUCH_APPLIANCE, text: "No such appliance".to_owned(), status: 404 }
    }

    pub(super) fn missing(what: &str) -> Self {
        Self { code: OTHER, text: format!("No such {what}"), status: 404 }
    }

    pub(super) fn invalid(what: &str) -> Self {
        Self { code: OTHER, text: format!("Invalid parameter: {what}"), status: 400 }
    }

    /// What the log says of it.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.code, self.text)
    }
}

/// Wraps the data of a call, or its error.
pub(super) fn envelope(config: &LastlineConfig, outcome: &Result<Value, ApiError>, cookie: Option<String>) -> Response {
    let success = |yes: bool| match config.success {
        Success::Number => json!(u8::from(yes)),
        Success::Boolean => json!(yes),
    };
    let (status, body) = match outcome {
        Ok(data) => (200, json!({"success": success(true), "data": data})),
        Err(error) => {
            let mut body = Map::new();
            body.insert("success".to_owned(), success(false));
            if config.error_shape != ErrorShape::NoCode {
                body.insert("error_code".to_owned(), error.code.into());
            }
            if config.error_shape != ErrorShape::NoText {
                body.insert("error".to_owned(), error.text.clone().into());
            }
            (if config.http_errors { error.status } else { 200 }, Value::Object(body))
        }
    };
    let mut response = respond(status, "application/json", body.to_string());
    response.headers.extend(cookie.map(|cookie| ("Set-Cookie", cookie)));
    response
}

/// Answers with a page of the web server: there is no such function.
pub(super) fn not_found() -> Response {
    respond(
        404,
        "text/html",
        "<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>\n".into(),
    )
}

fn respond(status: u16, kind: &str, body: String) -> Response {
    Response {
        status,
        reason: match status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            _ => "Not Found",
        },
        headers: vec![("Server", "nginx".to_owned()), ("Content-Type", kind.to_owned())],
        body: body.into_bytes(),
        framing: Framing::ContentLength,
    }
}
