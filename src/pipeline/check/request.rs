//! What is sent: templates whose variables can exist, and places that lie in the request.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::super::file::{JobFile, SourceFile};
use super::super::load::{Diagnostic, Jq as JqText, RequestValue, Span, Spanned, Tmpl, nearest};
use super::super::spec::Request;
use super::Findings;
use crate::lang::place::{Place, ROOTS};
use crate::lang::template::Template;

/// The variables that the rules about answers and `records` see, beside the fan-out's: see [`crate::pipeline::spec`].
pub(super) const ANSWER_VARS: [&str; 2] = ["status", "headers"];

/// What expressions over a page see besides.
pub(super) const PAGE_VARS: [&str; 3] = ["rows", "first", "last"];

/// Which names exist in the expressions of a job.
pub(super) struct Vars {
    /// The fan-out's `as` name.
    pub fan_out: Option<String>,
    /// Whether the job has a window.
    pub window: bool,
    /// The plain paths of the records, where `records` isn't a program.
    pub records: Vec<Vec<String>>,
}

impl Vars {
    /// Returns the variables of the rules about answers, and of `records` and `rows`.
    pub(super) fn answer(&self) -> Vec<&str> {
        ANSWER_VARS.into_iter().chain(self.fan_out.as_deref()).collect()
    }

    /// Returns the variables of expressions over a page.
    pub(super) fn page(&self) -> Vec<&str> {
        ANSWER_VARS.into_iter().chain(PAGE_VARS).chain(self.fan_out.as_deref()).collect()
    }

    /// Returns the variables of places.
    pub(super) fn places(&self) -> Vec<&str> {
        self.fan_out.as_deref().into_iter().collect()
    }

    /// Tells whether a path of an expression enters the list of records.
    pub(super) fn reaches_into_records(&self, path: &[String]) -> bool {
        self.records.iter().any(|keys| !keys.is_empty() && path.starts_with(keys))
    }
}

impl Findings {
    /// Merges what `source` and the job send, and checks every template in it.
    pub(super) fn request(
        &mut self,
        at: &Spanned<String>,
        job: &JobFile,
        source: &SourceFile,
        vars: &Vars,
    ) -> Option<Request> {
        let verbs = [("GET", &job.get), ("POST", &job.post), ("PUT", &job.put), ("DELETE", &job.delete)];
        let mut given = verbs.into_iter().filter_map(|(method, path)| path.as_ref().map(|path| (method, path)));
        let Some((method, path)) = given.next() else {
            self.error(
                at.span,
                format!("the job `{}` sends no request", at.value),
                "write `get:` or `post:` and a path",
            );
            return None;
        };
        if let Some((_, second)) = given.next() {
            self.error(second.span(), "a job sends one request", "keep one of `get`, `post`, `put` and `delete`");
        }
        if let (Some(body), Some(_)) = (&job.body, &job.form) {
            self.error(body.span, "a request has a `body` or a `form`, not both", "remove one of them");
        }
        self.path(path, vars);
        let query = merged(&source.query, &job.query);
        let headers = merged(&source.headers, &job.headers);
        let form = job.form.as_ref().map(|form| merged(&IndexMap::new(), &form.value));
        for map in [&source.query, &job.query, &source.headers, &job.headers]
            .into_iter()
            .chain(job.form.as_ref().map(|form| &form.value))
        {
            map.iter().for_each(|(name, value)| self.entry(name, value, vars));
        }
        if let Some(body) = &job.body {
            self.tree(body, vars);
        }
        let body = job.body.as_ref().map(|body| body.value.clone());
        Some(Request { method, path: path.clone(), query, headers, body, form })
    }

    fn path(&mut self, path: &Tmpl, vars: &Vars) {
        if path.as_str().contains("://") || path.as_str().starts_with("//") {
            self.error(path.span(), "a path can't name another host", "the origin comes from `base_url` alone");
        } else if path.as_str().contains(['?', '#']) && !path.as_str().contains("{{") {
            self.error(path.span(), "a path can't hold a query", "write parameters under `query:`");
        }
        self.template(path.as_str(), vars, |offset| path.file_offset(offset));
    }

    fn tree(&mut self, value: &RequestValue, vars: &Vars) {
        match value {
            RequestValue::String(text) => self.template(text.as_str(), vars, |offset| text.file_offset(offset)),
            RequestValue::List(items) => items.iter().for_each(|item| self.tree(item, vars)),
            RequestValue::Map(map) => map.iter().for_each(|(name, value)| self.entry(name, value, vars)),
            RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => {}
        }
    }

    fn entry(&mut self, name: &Spanned<String>, value: &RequestValue, vars: &Vars) {
        self.template_key(name, vars);
        self.tree(value, vars);
        if let (true, RequestValue::String(text)) = (is_secret(&name.value), value)
            && !text.as_str().contains("{{")
        {
            // The excerpt shows `${...}`, or hides what was written in its place.
            let found = Diagnostic::error(
                text.span(),
                format!("`{}` looks like a secret, and requests show in logs", name.value),
            );
            self.add(
                found
                    .redacted()
                    .help("put it under `auth` (`header`, `query` or `form`), where it is kept out of them"),
            );
        }
    }

    fn template_key(&mut self, name: &Spanned<String>, vars: &Vars) {
        self.template(&name.value, vars, |_| name.span.start);
    }

    fn template(&mut self, text: &str, vars: &Vars, offset: impl Fn(usize) -> usize) {
        let mut refuse = |at: usize, message: String, help: Option<String>| {
            let at = offset(at);
            let found = Diagnostic::error(Span::new(at, at + 1), message);
            self.add(match help {
                Some(help) => found.help(help),
                None => found,
            });
        };
        let template = match Template::compile(text) {
            Ok(template) => template,
            Err(error) => return refuse(error.offset, format!("template: {}", error.message), None),
        };
        for name in template.names() {
            if let Some((message, help)) = unknown_variable(&name, vars) {
                let root = name.split('.').next().unwrap_or_default();
                refuse(text.find(root).unwrap_or_default(), message, Some(help));
            }
        }
    }

    /// Compiles a place, or points at its mistake.
    pub(super) fn place(&mut self, text: &JqText, vars: &Vars) -> Option<Place> {
        self.place_at(text.as_str(), vars, |offset| text.file_offset(offset))
    }

    /// Compiles a place that is the key of a map, and checks that the request has that part.
    pub(super) fn place_of(&mut self, text: &Spanned<String>, job: &JobFile, vars: &Vars) -> Option<Place> {
        let place = self.place_at(&text.value, vars, |_| text.span.start)?;
        self.place_exists(&text.value, text.span, job);
        Some(place)
    }

    fn place_at(&mut self, text: &str, vars: &Vars, offset: impl Fn(usize) -> usize) -> Option<Place> {
        match Place::compile(text, &vars.places()) {
            Ok(place) => Some(place),
            Err(error) => {
                let at = offset(error.offset);
                let roots = ROOTS.map(|root| format!("`{root}`")).join(", ");
                let help = format!("a place begins with one of {roots}, such as `query.start`");
                self.add(Diagnostic::error(Span::new(at, at + 1), error.message).help(help));
                None
            }
        }
    }

    /// Checks that a place lies in a part that the request has.
    pub(super) fn place_exists(&mut self, text: &str, span: Span, job: &JobFile) {
        let root = text.split(['.', '[']).next().unwrap_or_default();
        let missing = match root {
            "form" if job.form.is_none() => "form",
            "body" if job.form.is_some() || job.get.is_some() && job.body.is_none() => "body",
            _ => return,
        };
        let message = format!("the request has no `{missing}`, so nothing can be written to `{text}`");
        self.error(span, message, format!("add `{missing}:` to the job, or name another place"));
    }

    /// Checks that the window is sent: by a place, or by a template.
    pub(super) fn window_is_sent(&mut self, at: Span, request: &Request, has_place: bool) {
        if has_place {
            return;
        }
        if !names(request, "window") {
            let help = "name its place (`from: query.since`), or use `{{ window.from }}` in the request";
            self.error(at, "the window is never sent: each slice would ask for everything", help);
        }
    }
}

/// Tells whether a template of the request uses the variable `root`, or a field of it.
pub(super) fn names(request: &Request, root: &str) -> bool {
    let mut names = BTreeSet::new();
    collect_names(request.path.as_str(), &mut names);
    let trees = request.query.iter().chain(&request.headers).chain(request.form.iter().flatten());
    for (name, value) in trees {
        collect_names(name, &mut names);
        each_text(value, &mut |text| collect_names(text, &mut names));
    }
    if let Some(body) = &request.body {
        each_text(body, &mut |text| collect_names(text, &mut names));
    }
    names.iter().any(|name| name.split('.').next() == Some(root))
}

/// Tells whether a value of this name is a secret wherever it stands.
fn is_secret(name: &str) -> bool {
    const SECRETS: [&str; 14] = [
        "accesstoken",
        "apikey",
        "apitoken",
        "auth",
        "authorization",
        "authtoken",
        "bearer",
        "clientsecret",
        "password",
        "passwd",
        "privatekey",
        "secret",
        "token",
        "xapikey",
    ];
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    SECRETS.contains(&plain.to_ascii_lowercase().as_str())
}

fn merged(
    shared: &IndexMap<Spanned<String>, RequestValue>,
    own: &IndexMap<Spanned<String>, RequestValue>,
) -> IndexMap<String, RequestValue> {
    shared.iter().chain(own).map(|(name, value)| (name.value.clone(), value.clone())).collect()
}

fn unknown_variable(name: &str, vars: &Vars) -> Option<(String, String)> {
    let (root, field) = name.split_once('.').map_or((name, None), |(root, field)| (root, Some(field)));
    let known = match root {
        "now" | "cursor" => true,
        "window" if vars.window => matches!(field, Some("from" | "to")),
        _ => vars.fan_out.as_deref() == Some(root),
    };
    if known {
        return None;
    }
    if root == "window" {
        let why = if vars.window { "the window has `window.from` and `window.to`" } else { "the job has no `window:`" };
        return Some((format!("there is no template variable `{name}`"), why.to_owned()));
    }
    let names: Vec<&str> = ["now", "cursor"]
        .into_iter()
        .chain(vars.fan_out.as_deref())
        .chain(vars.window.then_some("window.from"))
        .chain(vars.window.then_some("window.to"))
        .collect();
    let help = nearest(root, &names).map_or_else(
        || {
            format!(
                "templates here see {}",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )
        },
        |near| format!("did you mean `{near}`?"),
    );
    Some((format!("there is no template variable `{root}`"), help))
}

fn collect_names(text: &str, names: &mut BTreeSet<String>) {
    if let Ok(template) = Template::compile(text) {
        names.extend(template.names());
    }
}

fn each_text(value: &RequestValue, visit: &mut dyn FnMut(&str)) {
    match value {
        RequestValue::String(text) => visit(text.as_str()),
        RequestValue::List(items) => items.iter().for_each(|item| each_text(item, visit)),
        RequestValue::Map(map) => map.iter().for_each(|(name, value)| {
            visit(&name.value);
            each_text(value, visit);
        }),
        RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => {}
    }
}
