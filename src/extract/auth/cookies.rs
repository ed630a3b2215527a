//! The cookies of a session (RFC 6265), as far as one origin needs them: kept, replaced, cleared and sent back to where they came from.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use url::{Host, Origin, Url};

use super::Redactor;
use crate::extract::request::{RenderedRequest, header_value};
use crate::secret::Secret;

/// Values shorter than this aren't taken for secrets: no session has so few characters, and a language or a flag has.
const SHORTEST_SECRET: usize = 8;

/// The cookies of a session.
#[derive(Debug, Default)]
pub struct Cookies {
    jar: Mutex<Jar>,
    redactor: Redactor,
}

#[derive(Debug, Default)]
struct Jar {
    /// Where the cookies came from; none before the first.
    origin: Option<Origin>,
    cookies: Vec<Cookie>,
    /// Whether one was thrown away because it is for https only and came without.
    insecure: bool,
}

#[derive(Debug, Clone)]
struct Cookie {
    name: String,
    value: Secret,
    path: String,
    /// When it ends; none: with the session.
    until: Option<DateTime<Utc>>,
}

/// One `Set-Cookie` line.
#[derive(Debug, Default)]
struct Line {
    domain: Option<String>,
    secure: bool,
}

impl Cookies {
    /// Makes an empty set. What comes in is a secret that `redactor` learns.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { jar: Mutex::default(), redactor }
    }

    /// Takes over what an answer from `url` sets, replaces and clears. The first answer decides on the origin.
    pub fn heard(&self, url: &Url, headers: &HeaderMap, now: DateTime<Utc>) {
        let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        if lines.is_empty() {
            return;
        }
        let mut jar = self.jar();
        if *jar.origin.get_or_insert_with(|| url.origin()) != url.origin() {
            return;
        }
        for line in lines {
            jar.set(url, &String::from_utf8_lossy(line.as_bytes()), now);
        }
        let secrets: Vec<_> = jar.cookies.iter().map(|cookie| cookie.value.clone()).collect();
        drop(jar);
        let long = |secret: &&Secret| secret.expose().len() >= SHORTEST_SECRET;
        self.redactor.learn(secrets.iter().filter(long));
    }

    /// Adds the cookies that `request` is due, beside those that it has already.
    pub fn add_to(&self, request: &mut RenderedRequest, now: DateTime<Utc>) {
        let Some(mut text) = self.jar().header(&request.resource, now) else { return };
        if let Some(own) = request.headers.get(COOKIE).and_then(|own| own.to_str().ok()) {
            text = format!("{own}; {text}");
        }
        // What came in a header fits a header.
        let Some(mut value): Option<HeaderValue> = header_value(&text) else { return };
        value.set_sensitive(true);
        request.headers.insert(COOKIE, value);
    }

    /// Tells whether there is a cookie with a value.
    pub(super) fn has_any(&self) -> bool {
        self.jar().cookies.iter().any(|cookie| !matches!(cookie.value.expose(), "" | "\"\""))
    }

    /// Tells whether one was thrown away because it is for https only and came without.
    pub(super) fn had_insecure(&self) -> bool {
        self.jar().insecure
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jar {
    /// Takes one line in, if it is for this host.
    fn set(&mut self, url: &Url, line: &str, now: DateTime<Utc>) {
        let Some((cookie, line)) = read(line, now) else { return };
        if line.domain.is_some_and(|domain| !is_of(url, &domain)) {
            return;
        }
        if line.secure && !is_secure(url) {
            self.insecure = true;
            return;
        }
        let other = |old: &Cookie| (&old.name, &old.path) != (&cookie.name, &cookie.path);
        let place = self.cookies.iter().position(|old| !other(old));
        match (place, cookie.until.is_some_and(|until| until <= now)) {
            (Some(place), true) => drop(self.cookies.remove(place)),
            (Some(place), false) => self.cookies[place] = cookie,
            (None, true) => {}
            (None, false) => self.cookies.push(cookie),
        }
    }

    /// Returns the value of the `Cookie` header: longer paths first, then in the order in which they came.
    fn header(&self, url: &Url, now: DateTime<Utc>) -> Option<String> {
        if self.origin.as_ref() != Some(&url.origin()) {
            return None;
        }
        let due = |cookie: &&Cookie| cookie.until.is_none_or(|until| until > now) && below(url.path(), &cookie.path);
        let mut due: Vec<&Cookie> = self.cookies.iter().filter(due).collect();
        due.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = due.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value.expose())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Reads a `Set-Cookie` line (section 5.2). One without a path is for the whole origin: a login often lies in a folder of its own, and
/// the cookie isn't sent to any other origin anyway.
fn read(line: &str, now: DateTime<Utc>) -> Option<(Cookie, Line)> {
    let mut parts = line.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return None;
    }
    let mut cookie = Cookie { name: name.to_owned(), value: Secret::new(value), path: "/".to_owned(), until: None };
    let (mut about, mut has_age) = (Line::default(), false);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "domain" if !value.is_empty() => about.domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
            "secure" => about.secure = true,
            "max-age" => {
                if let Ok(seconds) = value.parse::<i64>() {
                    has_age = true;
                    cookie.until = if seconds <= 0 { Some(now) } else { after(now, seconds) };
                }
            }
            "expires" if !has_age => cookie.until = date(value).or(cookie.until),
            _ => {}
        }
    }
    Some((cookie, about))
}

/// Returns the instant so many seconds later; none where that is beyond all time.
fn after(now: DateTime<Utc>, seconds: i64) -> Option<DateTime<Utc>> {
    TimeDelta::try_seconds(seconds).and_then(|delta| now.checked_add_signed(delta))
}

/// Reads a date as section 5.1.1 has it, which takes all three forms that servers write.
fn date(text: &str) -> Option<DateTime<Utc>> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|c: char| !c.is_alphanumeric() && c != ':').filter(|token| !token.is_empty()) {
        let number: Option<u32> = token.parse().ok();
        let parts: Vec<u32> = token.split(':').filter_map(|part| part.parse().ok()).collect();
        let name = token.get(..3).map(str::to_ascii_lowercase);
        let named = name.and_then(|name| MONTHS.iter().position(|month| *month == name));
        match (parts.as_slice(), number, named) {
            ([hour, minute, second], ..) if time.is_none() => time = Some((*hour, *minute, *second)),
            (_, Some(number), _) if day.is_none() && token.len() <= 2 => day = Some(number),
            (_, None, Some(at)) if month.is_none() => month = u32::try_from(at + 1).ok(),
            (_, Some(number), _) if year.is_none() && (2..=4).contains(&token.len()) => {
                year = i32::try_from(number).ok();
            }
            _ => {}
        }
    }
    let year = year.map(|year| match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        year => year,
    });
    let (hour, minute, second) = time?;
    NaiveDate::from_ymd_opt(year?, month?, day?)?.and_hms_opt(hour, minute, second).map(|time| time.and_utc())
}

/// Tells whether `domain` is the host of `url`, or a domain that the host is in (section 5.1.3).
fn is_of(url: &Url, domain: &str) -> bool {
    match url.host() {
        Some(Host::Domain(host)) => {
            let host = host.to_ascii_lowercase();
            host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        }
        Some(address) => address.to_string() == domain,
        None => false,
    }
}

/// Tells whether nobody can listen: https, or no network at all.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Tells whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Tells whether `path` is `folder` or below it (section 5.1.4).
fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 3, 12, 0, 0).unwrap()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn heard(cookies: &Cookies, from: &str, lines: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        cookies.heard(&url(from), &headers, now());
    }

    fn sent(cookies: &Cookies, to: &str, now: DateTime<Utc>) -> Option<String> {
        cookies.jar().header(&url(to), now)
    }

    fn after_login(lines: &[&str], to: &str) -> Option<String> {
        let cookies = Cookies::default();
        heard(&cookies, "https://h.example:8443/in/login", lines);
        sent(&cookies, to, now())
    }

    #[test]
    fn several_lines_are_several_cookies_and_attributes_are_none() {
        let lines = ["session=abc=def; Path=/; HttpOnly; SameSite=Lax", "lang = en ", "quoted=\"a b\"; secure"];
        let all = Some("session=abc=def; lang=en; quoted=\"a b\"".to_owned());
        assert_eq!(after_login(&lines, "https://h.example:8443/rows"), all);
        assert_eq!(after_login(&["nothing", "=x", ""], "https://h.example:8443/rows"), None);
    }

    #[test]
    fn they_go_to_the_origin_that_set_them_and_to_no_other() {
        for other in ["https://h.example/rows", "http://h.example:8443/rows", "https://x.h.example:8443/rows"] {
            assert_eq!(after_login(&["s=1; Domain=h.example"], other), None, "{other}");
        }
        let cookies = Cookies::default();
        heard(&cookies, "https://h.example/login", &["s=1"]);
        heard(&cookies, "https://evil.example/", &["s=2"]);
        assert_eq!(sent(&cookies, "https://h.example/", now()).unwrap(), "s=1");
    }

    #[test]
    fn a_path_and_a_domain_are_kept_to() {
        let path = |path: &str| after_login(&["a=1; path=/api", "b=2"], &format!("https://h.example:8443{path}"));
        assert_eq!(path("/api/rows").unwrap(), "a=1; b=2");
        assert_eq!(path("/api").unwrap(), "a=1; b=2");
        assert_eq!(path("/apis").unwrap(), "b=2");
        let domain = |domain: &str| after_login(&[&format!("s=1; Domain={domain}")], "https://h.example:8443/");
        assert!(domain(".Example").is_some() && domain("h.example").is_some());
        assert!(domain("ample").is_none() && domain("other.example").is_none());
    }

    #[test]
    fn later_answers_replace_and_clear() {
        let cookies = Cookies::default();
        let at = "https://h.example/login";
        heard(&cookies, at, &["s=1", "t=1; Path=/api"]);
        heard(&cookies, at, &["s=2", "t=2"]);
        assert_eq!(sent(&cookies, "https://h.example/api", now()).unwrap(), "t=1; s=2; t=2");
        heard(&cookies, at, &["s=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "t=x; Max-Age=0"]);
        assert_eq!(sent(&cookies, "https://h.example/api", now()).unwrap(), "t=1");
        heard(&cookies, at, &["t=gone; Path=/api; Max-Age=-1"]);
        assert_eq!(sent(&cookies, "https://h.example/api", now()), None);
        assert!(!cookies.has_any());
    }

    #[test]
    fn what_has_expired_is_not_sent() {
        let cookies = Cookies::default();
        let lines =
            ["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2; Expires=Sat, 03 Jan 2026 12:02:00 GMT"];
        heard(&cookies, "https://h/", &lines);
        let at = |seconds| sent(&cookies, "https://h/", now() + TimeDelta::seconds(seconds));
        assert_eq!(at(59).unwrap(), "a=1; b=2");
        assert_eq!(at(60).unwrap(), "b=2");
        assert_eq!(at(120), None);
    }

    #[test]
    fn the_dates_of_old_and_new_servers_are_read() {
        let read = |text| date(text).map(|date| date.to_rfc3339());
        let expected = Some("1994-11-06T08:49:37+00:00".to_owned());
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in ["", "never", "06 Nov 1994", "99 Nov 1994 08:49:37", "6 Nov 1994 25:00:00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_cookie_for_https_only_does_not_come_over_http() {
        let cookies = Cookies::default();
        heard(&cookies, "http://h.example/", &["s=1; Secure"]);
        assert_eq!(sent(&cookies, "http://h.example/", now()), None);
        assert!(cookies.had_insecure() && !cookies.has_any());
        let local = Cookies::default();
        heard(&local, "http://127.0.0.1:3000/", &["s=1; Secure"]);
        assert_eq!(sent(&local, "http://127.0.0.1:3000/", now()).unwrap(), "s=1");
    }

    #[test]
    fn a_session_is_a_secret_and_a_language_is_none() {
        let redactor = Redactor::default();
        let cookies = Cookies::new(redactor.clone());
        heard(&cookies, "https://h/", &["s=0123456789abcdef", "lang=en"]);
        assert_eq!(redactor.scrub("in english: 0123456789abcdef"), "in english: [redacted]");
        assert!(!format!("{cookies:?}").contains("0123456789"));
    }

    proptest! {
        #[test]
        fn no_line_breaks_it_and_none_goes_elsewhere(line in "[ -~]{0,60}", path in "/[a-z/]{0,8}") {
            let cookies = Cookies::default();
            heard(&cookies, "https://h.example/login", &[&line]);
            prop_assert_eq!(sent(&cookies, &format!("https://other.example{path}"), now()), None);
            let _ = sent(&cookies, &format!("https://h.example{path}"), now());
            let _ = date(&line);
        }
    }
}
