//! What gives a session: a login or an OAuth 2.0 client.

use url::Url;

use super::super::file::{Auth, JobFile, LoginAuth, OAuth2Auth};
use super::super::load::{Diagnostic, Jq as JqText, RequestValue, Span, Spanned, Tmpl};
use super::super::spec::SessionSpec;
use super::Findings;
use super::request::{ANSWER_VARS, Vars, is_secret};
use crate::lang::place::Place;
use crate::secret::Secret;

impl Findings<'_> {
    /// Checks what a session is got with, and that the request of the job has a place for its token.
    pub(super) fn session(
        &mut self,
        auth: &Spanned<Auth>,
        job: &Spanned<String>,
        keys: &JobFile,
    ) -> Option<SessionSpec> {
        self.credential(auth);
        match &auth.value {
            Auth::Login(login) => self.login(auth.span, login, job, keys),
            Auth::Oauth2(client) => self.oauth2(client),
            Auth::Headers(headers) => {
                headers.keys().for_each(|name| self.header_name(name));
                if headers.is_empty() {
                    self.missing(auth.span, "`headers` names none", "add one, such as `X-Api-Key: '${KEY}'`");
                }
                None
            }
            _ => None,
        }
    }

    /// Refuses a credential that no request can carry.
    fn credential(&mut self, auth: &Spanned<Auth>) {
        let basic = match &auth.value {
            Auth::Basic(basic) => Some(basic),
            Auth::Login(login) => login.basic.as_ref(),
            _ => None,
        };
        if let Some(basic) = basic.filter(|basic| basic.username.value.contains(':')) {
            let help = "the server takes what comes before the first colon for the user; where it wants another form, send it by \
                        `auth.header`";
            self.error(basic.username.span, "the user's name of `basic` holds a colon, which ends it there", help);
        }
        let carried: Vec<&Secret> = match &auth.value {
            Auth::Bearer(token) => vec![&token.0],
            Auth::Header(header) => vec![&header.value.0],
            Auth::Headers(headers) => headers.values().map(|value| &value.0).collect(),
            _ => Vec::new(),
        };
        if carried.iter().any(|secret| http::HeaderValue::from_bytes(secret.expose().as_bytes()).is_err()) {
            let message = "the credential holds a line break or another control character, and can't go into a header";
            let help = "if it comes from a file, write the file with no more than one line break at its end";
            self.add(Diagnostic::error(auth.span, message).redacted().help(help));
        }
    }

    fn login(&mut self, at: Span, login: &LoginAuth, job: &Spanned<String>, keys: &JobFile) -> Option<SessionSpec> {
        let vars = Vars::of_login();
        self.path(&login.post, &vars);
        if !login.post.as_str().starts_with(['/', '{']) {
            self.error(login.post.span(), "the login's path must begin with `/`", "it is appended to `base_url`");
        }
        match (&login.form, &login.body) {
            (Some(_), Some(_)) => {
                self.error(at, "a login has a `form` or a `body`, not both", "remove one of them");
            }
            (None, None) if login.headers.is_empty() && login.basic.is_none() => {
                self.missing(
                    at,
                    "the login sends no credentials",
                    "add `basic:`, `form:` or `body:` with the user and the password",
                );
            }
            (Some(form), None) if !matches!(form, RequestValue::Map(_)) => {
                self.error(at, "the `form` of a login must be a map of names and values", "use `body:` for other JSON");
            }
            _ => {}
        }
        for (name, value) in &login.headers {
            self.header_name(name);
            self.of_login(Some(name), value, &vars);
        }
        login.form.iter().chain(&login.body).for_each(|value| self.of_login(None, value, &vars));
        let success = login.success.as_ref().map(|success| self.jq(success, &ANSWER_VARS));
        let token = match (&login.token, &login.into) {
            (Some(token), Some(into)) => Some(self.jq(token, &ANSWER_VARS).zip(self.token_place(into, job, keys))),
            (Some(token), None) => {
                let help = "add `into:`, such as `into: headers.authorization`";
                self.missing(token.span(), "the login's `token` goes nowhere", help);
                None
            }
            (None, Some(into)) => {
                let help = "add `token:`, jq for the token in the answer, or remove `into`: cookies need no place";
                self.missing(into.span(), "there is no `token` to write there", help);
                None
            }
            (None, None) => None,
        };
        // None within: it is there, and has a mistake.
        Some(SessionSpec::Login {
            success: success.map_or(Some(None), |success| success.map(Some))?,
            token: token.map_or(Some(None), |token| token.map(Some))?,
        })
    }

    /// Checks a value of a login: it may hold secrets, but never literally.
    fn of_login(&mut self, name: Option<&Spanned<String>>, value: &RequestValue, vars: &Vars) {
        let secret = name.filter(|name| is_secret(&name.value));
        match (value, secret) {
            (RequestValue::String(text), Some(_)) if !text.shown().contains("${") => {
                let found = Diagnostic::error(text.span(), "a secret can't be written in the file");
                let help = "use ${NAME} or ${file:path}; if it was ever committed or shared, change it";
                self.add(found.redacted().expected("`${NAME}` or `${file:path}`").help(help));
            }
            (RequestValue::String(text), _) => self.text_of_login(text, vars),
            (RequestValue::Number(_) | RequestValue::Bool(_), Some(name)) => {
                let message = format!("`{}` of a login must be a text", name.value);
                let help =
                    "write '${NAME}' or '${file:path}' in quotes: without them, digits would be sent as a number";
                self.add(Diagnostic::error(self.value_of(name), message).redacted().help(help));
            }
            (RequestValue::List(items), _) => items.iter().for_each(|item| self.of_login(name, item, vars)),
            (RequestValue::Map(map), _) => {
                for (name, value) in map {
                    self.template_key(name, vars);
                    self.of_login(Some(name), value, vars);
                }
            }
            (RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_), _) => {}
        }
    }

    /// A text with `${...}` in it is no template, so that a password may hold `{{`.
    fn text_of_login(&mut self, text: &Tmpl, vars: &Vars) {
        let shown = text.shown();
        if !shown.contains("${") {
            return self.text(text, vars);
        }
        if shown.contains("{{") || shown.contains("{%") {
            let help = "write them into two values, or leave one of them out";
            self.error(text.span(), "a text of a login can't hold both `${...}` and a template", help);
        }
    }

    /// Returns where the plain value of a key stands.
    fn value_of(&self, key: &Spanned<String>) -> Span {
        let rest = self.text.get(key.span.end..).unwrap_or_default();
        let start = rest.find(|c: char| c != ':' && !c.is_whitespace()).unwrap_or(0);
        let length = rest.get(start..).unwrap_or_default().find([',', '}', ']', '\n', ' ']);
        let end = length.map_or(rest.len(), |length| start + length);
        if key.span == Span::default() { key.span } else { Span::new(key.span.end + start, key.span.end + end) }
    }

    /// Compiles the place of a token, and checks that the request of a job has it.
    fn token_place(&mut self, into: &JqText, job: &Spanned<String>, keys: &JobFile) -> Option<Place> {
        let place = self.place(into, &Vars::of_login())?;
        let refuse = |findings: &mut Self, message: String, help: &str| {
            findings.error(into.span(), message, help);
            None
        };
        let (shown, name) = (into.shown(), &job.value);
        if place.root() != "body" && place.sole_key().is_none() {
            let message = format!("a token can't be written to `{shown}`");
            return refuse(
                self,
                message,
                "name a header, a parameter or a field: `headers.authorization`, `query.token`",
            );
        }
        let no_such =
            |part: &str| format!("the request of the job `{name}` has no `{part}`, so the token can't go there");
        match place.root() {
            "headers" if http::HeaderName::from_bytes(place.sole_key().unwrap_or_default().as_bytes()).is_err() => {
                let message = format!("`{shown}` can't be the name of a header");
                refuse(self, message, "use letters, digits and `-`, such as `headers.x-token`")
            }
            part @ "form" if keys.form.is_none() => refuse(
                self,
                no_such(part),
                "name a header, such as `headers.authorization`, or give the job its own `auth`",
            ),
            part @ "body" if keys.body.is_none() => refuse(
                self,
                no_such(part),
                "name a header, such as `headers.authorization`, or give the job its own `auth`",
            ),
            _ => {
                self.place_exists(shown, into.span(), &place, keys);
                Some(place)
            }
        }
    }

    fn oauth2(&mut self, client: &OAuth2Auth) -> Option<SessionSpec> {
        let url = &client.token_url;
        let mut refuse = |message: &str, help: &str| {
            self.error(url.span, format!("`token_url` {message}"), help);
            None
        };
        let shape = "write the whole URL, such as `https://login.example.com/oauth2/token`";
        if url.value.contains("{{") {
            return refuse("can't hold a template", "write it out, or use ${NAME}");
        }
        let parsed = match Url::parse(&url.value) {
            Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
                return refuse("must begin with `https://`", shape);
            }
            Err(url::ParseError::RelativeUrlWithoutBase) => return refuse("must begin with `https://`", shape),
            Err(error) => return refuse(&format!("is not a URL: {error}"), shape),
            Ok(parsed) => parsed,
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return refuse("can't hold a user or a password", "remove them, and use `client_id` and `client_secret`");
        }
        if parsed.fragment().is_some() {
            return refuse("can't hold a fragment", "remove `#` and what follows it");
        }
        if parsed.scheme() == "http" && !is_local(&parsed) {
            let help = "use `https://`; `http://` is for a server on this machine";
            return refuse("must be https, or the client's secret travels in clear", help);
        }
        if client.client_id.value.is_empty() {
            self.error(
                client.client_id.span,
                "`client_id` is empty",
                "write the id that the client is registered under",
            );
        }
        Some(SessionSpec::OAuth2 { token_url: parsed })
    }
}

/// Tells whether a URL leads to this machine.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
