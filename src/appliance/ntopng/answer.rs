//! Answers on the wire: envelope, codes, heads and redirects (vendors.md A2 and A10 "Transport"), as in the fixtures.

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::json::{Json, table};
use crate::appliance::server::{Framing, Request, Response, head_of};

/// What `Location` leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What the server calls itself when a script ran, and when none did.
const SERVER: [&str; 2] = ["ntopng 6.2.261122 [Debian GNU/Linux 12 (bookworm) [x86_64]]", "ntopng 6.2.261122 (x86_64)"];

/// A result code of the API and the HTTP status that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    rc: i64,
    name: &'static str,
    text: &'static str,
    status: u16,
    reason: &'static str,
}

pub(super) const OK: Code = Code { rc: 0, name: "OK", text: "Success", status: 200, reason: "OK" };
pub(super) const INVALID_INTERFACE: Code =
    Code { rc: -2, name: "INVALID_INTERFACE", text: "Invalid interface", status: 400, reason: "Bad Request" };
pub(super) const NOT_GRANTED: Code =
    Code { rc: -3, name: "NOT_GRANTED", text: "Not authorized", status: 401, reason: "Unauthorized" };
pub(super) const INVALID_ARGUMENTS: Code =
    Code { rc: -5, name: "INVALID_ARGUMENTS", text: "Invalid arguments", status: 400, reason: "Bad Request" };

/// What a script came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) body: Body,
    /// Rows in the body, for the log.
    pub(super) rows: usize,
}

/// The kinds of bodies.
#[derive(Debug)]
pub(super) enum Body {
    /// The envelope: code, payload, and members next to it.
    Json(Code, Json, Vec<(&'static str, Json)>),
    /// A file with separators.
    Csv(String),
    /// JSON behind a second head: what `connect/test.lua` sends.
    TwoHeads,
    /// The script failed with this message.
    LuaError(String),
    /// The whole process died.
    Crash,
}

impl Outcome {
    /// Succeeds with `rows` rows in `rsp`.
    pub(super) const fn success(rsp: Json, rows: usize) -> Self {
        Self { body: Body::Json(OK, rsp, Vec::new()), rows }
    }

    /// Fails with a code.
    pub(super) const fn failure(code: Code) -> Self {
        Self { body: Body::Json(code, Json::Table(Vec::new()), Vec::new()), rows: 0 }
    }

    /// Fails with an error of the interpreter.
    pub(super) fn lua_error(message: impl Into<String>) -> Self {
        Self { body: Body::LuaError(message.into()), rows: 0 }
    }
}

/// What an answer depends on besides its outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) now: DateTime<Utc>,
    pub(super) timezone: Tz,
    /// Decides on the order of keys.
    pub(super) salt: u64,
}

/// Turns the outcome into an answer; `None` where the process died.
pub(super) fn respond(body: Body, request: &Request, setting: Setting) -> Option<Response> {
    let json = "application/json";
    let response = match body {
        Body::Json(code, rsp, extra) => {
            script_answer(code, json, request, setting, envelope(code, rsp, extra, setting.salt))
        }
        Body::Csv(text) => script_answer(OK, "text/csv", request, setting, text),
        Body::TwoHeads => {
            let inner = envelope(OK, Json::Table(Vec::new()), Vec::new(), setting.salt);
            let inner = script_answer(OK, json, request, setting, inner);
            let mut text = String::from_utf8_lossy(&head_of(&inner)).into_owned();
            text.push_str(&String::from_utf8_lossy(&inner.body));
            script_answer(OK, "application/json; charset=utf-8", request, setting, text)
        }
        Body::LuaError(message) => error_page("internal_error", &message, request),
        Body::Crash => return None,
    };
    Some(response)
}

fn envelope(code: Code, rsp: Json, extra: Vec<(&'static str, Json)>, salt: u64) -> String {
    let mut pairs =
        vec![("rc", code.rc.into()), ("rc_str", code.name.into()), ("rc_str_hr", code.text.into()), ("rsp", rsp)];
    pairs.extend(extra);
    let mut text = String::with_capacity(1024);
    Json::Table(pairs).write(salt, &mut text);
    text
}

/// An answer with the head that every Lua script sends.
fn script_answer(code: Code, content: &str, request: &Request, setting: Setting, body: String) -> Response {
    let offset = setting.timezone.offset_from_utc_datetime(&setting.now.naive_utc()).fix();
    let port = request.port;
    let headers = vec![
        ("Cache-Control", "max-age=0, no-cache, no-store".to_owned()),
        ("Server", SERVER[0].to_owned()),
        ("Set-Cookie", format!("tzname={}; path=/ HttpOnly; SameSite=lax", setting.timezone)),
        ("Pragma", "no-cache".to_owned()),
        ("X-Frame-Options", "DENY".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Content-Type", content.to_owned()),
        // The number of the month stands where the day ought to.
        ("Last-Modified", setting.now.format("%a, %m %B %Y %H:%M:%S GMT").to_string()),
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("Access-Control-Allow-Methods", "GET, POST, HEAD".to_owned()),
        ("Set-Cookie", format!("session_{port}_0=; max-age=3600; path=/;  HttpOnly; SameSite=lax")),
        ("Set-Cookie", format!("timezone={}; path=/ HttpOnly; SameSite=lax", offset.local_minus_utc())),
    ];
    Response { status: code.status, reason: code.reason, headers, body: body.into_bytes(), framing: Framing::Close }
}

/// The answer to missing or wrong credentials: never 401, always the login page.
pub(super) fn login_redirect(request: &Request) -> Response {
    let cookie = "session=; HttpOnly; path=/; expires=Thu, 01-Jan-1970 00:00:01 GMT; max-age=0; HttpOnly; SameSite=lax";
    redirect(cookie, format!("/lua/login.lua?referer={}", referer(request)), String::new())
}

/// The answer to an error of the interpreter (`internal_error`) or an unknown script (`not_found`).
pub(super) fn error_page(kind: &str, message: &str, request: &Request) -> Response {
    let encoded = utf8_percent_encode(message, UNRESERVED);
    let location =
        format!("/lua/http_status_code.lua?message={kind}&referer={}&error_message={encoded}", referer(request));
    redirect("session=; HttpOnly; path=/; HttpOnly; SameSite=lax", location, format!("{message}\n\r"))
}

fn redirect(cookie: &str, location: String, body: String) -> Response {
    let headers = vec![("Server", SERVER[1].to_owned()), ("Set-Cookie", cookie.to_owned()), ("Location", location)];
    Response { status: 302, reason: "Found", headers, body: body.into_bytes(), framing: Framing::Close }
}

/// Host and target of the request, encoded for `Location`.
fn referer(request: &Request) -> String {
    let url = format!("{}{}", request.header("host").unwrap_or_default(), request.target);
    utf8_percent_encode(&url, UNRESERVED).to_string()
}

/// The HTML page that both redirects lead to.
pub(super) fn page(request: &Request, setting: Setting) -> Response {
    let body =
        "<!DOCTYPE html>\n<html><head><title>Welcome to ntopng</title></head><body><form></form></body></html>\n";
    script_answer(OK, "text/html", request, setting, body.to_owned())
}

/// The severities as the API lists them; the envelope of `get/alert/severity/consts.lua`.
pub(super) fn severity_list() -> Json {
    let entry =
        |severity: &super::kinds::Severity| table([("id", severity.value.into()), ("severity", severity.key.into())]);
    Json::List(super::kinds::SEVERITIES.iter().map(entry).collect())
}

/// Writes a number with commas, as the GUI does: `1,432`.
pub(super) fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The label of a time stamp: the clock of the day for today, date and clock else, in the server's timezone and without its name.
pub(super) fn time_label(epoch: i64, setting: Setting) -> String {
    let Some(time) = DateTime::from_timestamp(epoch, 0) else { return String::new() };
    let (time, now) = (time.with_timezone(&setting.timezone), setting.now.with_timezone(&setting.timezone));
    let today = time.date_naive() == now.date_naive();
    time.format(if today { "%H:%M:%S" } else { "%d/%m/%Y %H:%M:%S" }).to_string()
}

/// The offset of the server's timezone from UTC at `now`, as `+hhmm`.
pub(super) fn offset_label(setting: Setting) -> String {
    setting.now.with_timezone(&setting.timezone).format("%z").to_string()
}

#[cfg(test)]
mod tests {
    use super::{Setting, time_label, with_commas};

    #[test]
    fn labels_follow_the_day_and_the_timezone() {
        let now = chrono::DateTime::from_timestamp(1_795_315_800, 0).unwrap();
        let setting = Setting { now, timezone: chrono_tz::Europe::Rome, salt: 0 };
        assert_eq!(time_label(1_795_315_734, setting), "03:48:54");
        assert_eq!(time_label(1_642_028_429, setting), "13/01/2022 00:00:29");
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(with_commas), ["0", "999", "1,000", "1,234,567"]);
    }
}
