//! Answers as they go over the wire.

use serde_json::{Value, json};

use crate::appliance::server::{Framing, Response};

/// Answers with JSON.
pub(super) fn json(body: &Value) -> Response {
    respond(200, "application/json", body.to_string())
}

/// Answers with an error that is JSON.
pub(super) fn error(status: u16, why: &str) -> Response {
    respond(status, "application/json", json!({"error": why}).to_string())
}

/// Answers with an error that is HTML, as the proxy before the API sends it.
pub(super) fn page(status: u16, title: &str) -> Response {
    let body = format!(
        "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>{status} {title}</body>\r\n</html>\r\n"
    );
    respond(status, "text/html", body)
}

fn respond(status: u16, kind: &str, body: String) -> Response {
    Response {
        status,
        reason: reason(status),
        headers: vec![
            ("Server", "nginx".to_owned()),
            ("Content-Type", kind.to_owned()),
            ("Connection", "close".to_owned()),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains".to_owned()),
        ],
        body: body.into_bytes(),
        framing: Framing::ContentLength,
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "",
    }
}
