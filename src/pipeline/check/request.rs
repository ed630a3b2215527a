//! What is sent: templates whose variables can exist, and places that lie in the request.

use indexmap::IndexMap;

use super::super::file::{JobFile, SourceFile};
use super::super::load::{Diagnostic, RequestValue, Span, Spanned, Tmpl, nearest};
use super::super::spec::{Method, Request};
use super::{Findings, word};
use crate::lang::Selector;
use crate::lang::template::Template;
use crate::model::AnswerFormat;

/// The variables that the rules about answers and `records` see, beside the fan-out's: see [`crate::pipeline::spec`].
pub(super) const ANSWER_VARS: [&str; 2] = ["status", "headers"];

/// What expressions over a page see besides.
pub(super) const PAGE_VARS: [&str; 3] = ["rows", "first", "last"];

/// Filters of templates that people look for: ours first.
const FILTERS: [&str; 9] = ["time", "ago", "default", "join", "lower", "replace", "tojson", "upper", "urlencode"];

/// What expressions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// A page.
    Page,
    /// A row, which has a child request, and no pages.
    Row,
    /// A row that is sent.
    Sent,
    /// Rows that are sent with one request.
    Batch,
    /// A login, which belongs to no page, no window and no row.
    Login,
}

/// Which names exist in the expressions of a job.
pub(super) struct Vars {
    /// The fan-out's `as` name.
    pub fan_out: Option<String>,
    /// Whether that name is a plain value, with nothing inside.
    pub fan_out_is_scalar: bool,
    /// Whether the job has a window.
    pub window: bool,
    /// Whether the job is incremental.
    pub increment: bool,
    /// The format of answers.
    pub format: AnswerFormat,
    /// What the expressions are about.
    pub about: About,
    /// The plain paths of the records, where `records` isn't a program.
    pub records: Vec<Vec<String>>,
}

impl Vars {
    /// Gathers the names of a job.
    pub(super) fn of(job: &JobFile, format: AnswerFormat, records: Option<&Selector>) -> Self {
        Self {
            fan_out: job.for_each.as_ref().map(|for_each| for_each.name.value.clone()),
            fan_out_is_scalar: job
                .for_each
                .as_ref()
                .and_then(|for_each| for_each.values.as_ref())
                .is_some_and(|values| !values.iter().any(|value| matches!(value.value, RequestValue::Map(_)))),
            window: job.window.is_some(),
            increment: job.incremental.is_some(),
            format,
            about: About::Page,
            records: match records {
                Some(Selector::Plain { paths }) => paths.iter().map(|path| path.keys.clone()).collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Returns the names that exist in a login.
    pub(super) const fn of_login() -> Self {
        Self {
            fan_out: None,
            fan_out_is_scalar: false,
            window: false,
            increment: false,
            format: AnswerFormat::Json,
            about: About::Login,
            records: Vec::new(),
        }
    }

    /// Returns the names that exist in a request that sends rows.
    pub(super) fn of_delivery(about: About) -> Self {
        Self { about, ..Self::of_login() }
    }

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

    /// Tells whether it is certain that a name doesn't exist, though parts of the file were refused.
    fn knows_all(&self, root: &str) -> bool {
        if matches!(self.about, About::Login | About::Sent | About::Batch) {
            return true;
        }
        match root {
            "window" => self.window,
            "increment" => self.increment,
            "row" | "cursor" => self.about == About::Row,
            _ => self.fan_out.is_some(),
        }
    }

    /// Tells whether the records are all that there is on a page: then expressions over the page see null.
    pub(super) fn only_records(&self) -> bool {
        let is_whole = self.format != AnswerFormat::Json || self.records.iter().all(Vec::is_empty);
        is_whole && !self.records.is_empty()
    }

    /// Tells whether a path of an expression enters the list of records.
    pub(super) fn reaches_into_records(&self, path: &[String]) -> bool {
        self.records.iter().any(|keys| !keys.is_empty() && path.starts_with(keys))
    }
}

impl Findings<'_> {
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
            let message = format!("the job `{}` sends no request", at.value);
            self.missing(at.span, message, "write `get:` or `post:` and a path");
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
        for name in source.headers.keys().chain(job.headers.keys()) {
            self.header_name(name);
        }
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
        Some(Request { method: Method::Fixed(method), path: path.clone(), query, headers, body, form })
    }

    pub(super) fn path(&mut self, path: &Tmpl, vars: &Vars) {
        if path.as_str().contains("://") || path.as_str().starts_with("//") {
            self.error(path.span(), "a path can't name another host", "the origin comes from `base_url` alone");
        } else if path.as_str().contains(['?', '#']) && !path.as_str().contains("{{") {
            self.error(path.span(), "a path can't hold a query", "write parameters under `query:`");
        }
        self.text(path, vars);
    }

    pub(super) fn header_name(&mut self, name: &Spanned<String>) {
        if !name.value.contains("{{") && http::HeaderName::from_bytes(name.value.as_bytes()).is_err() {
            let message = format!("`{}` can't be the name of a header", name.value);
            self.error(name.span, message, "use letters, digits and `-`, such as `x-request-id`");
        }
        if ["content-length", "transfer-encoding"].iter().any(|own| name.value.eq_ignore_ascii_case(own)) {
            let message = format!("`{}` isn't for the file to say: another one would cut off what is sent", name.value);
            self.error(name.span, message, "remove it: it is made from the body");
        }
    }

    pub(super) fn tree(&mut self, value: &RequestValue, vars: &Vars) {
        match value {
            RequestValue::String(text) => self.text(text, vars),
            RequestValue::List(items) => items.iter().for_each(|item| self.tree(item, vars)),
            RequestValue::Map(map) => map.iter().for_each(|(name, value)| self.entry(name, value, vars)),
            RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => {}
        }
    }

    pub(super) fn entry(&mut self, name: &Spanned<String>, value: &RequestValue, vars: &Vars) {
        self.template_key(name, vars);
        self.tree(value, vars);
        if let (true, RequestValue::String(text)) = (is_secret(&name.value), value)
            && !text.as_str().contains("{{")
        {
            // The excerpt shows `${...}`, or hides what was written in its place.
            let message = format!("`{}` looks like a secret, and requests show in logs", name.value);
            let help = "put it under `auth` (`header`, `query` or `form`), where it is kept out of them, such as \
                        `auth: {header: {name: X-Api-Key, value: '${KEY}'}}`";
            self.add(Diagnostic::error(text.span(), message).redacted().help(help));
        }
    }

    pub(super) fn template_key(&mut self, name: &Spanned<String>, vars: &Vars) {
        self.template(&name.value, vars, |_, _| name.span);
    }

    pub(super) fn text(&mut self, text: &Tmpl, vars: &Vars) {
        self.template(text.as_str(), vars, |offset, length| match length {
            0 => word(text, offset),
            length => text.file_span(offset, offset + length),
        });
    }

    fn template(&mut self, text: &str, vars: &Vars, place: impl Fn(usize, usize) -> Span) {
        let partial = self.partial;
        let unknown = |name: &str| {
            let root = name.split('.').next().unwrap_or_default();
            if partial && !vars.knows_all(root) { None } else { unknown_variable(name, vars) }
        };
        self.template_of(text, unknown, place);
    }

    /// Checks a template; `unknown` says of a name why there is none such, and what there is; `place` gives the span of some bytes
    /// of the text, or of the word at a byte.
    pub(super) fn template_of(
        &mut self,
        text: &str,
        unknown: impl Fn(&str) -> Option<(String, String)>,
        place: impl Fn(usize, usize) -> Span,
    ) {
        let template = match Template::compile(text) {
            Ok(template) => template,
            Err(error) => {
                let found = Diagnostic::error(place(error.offset, 0), format!("template: {}", error.message));
                return self.add(found);
            }
        };
        if let Some((at, name)) = template.unknown_filter() {
            let help = nearest(&name, &FILTERS).map_or_else(
                || format!("there are {}, and those of Jinja", FILTERS.map(|name| format!("`{name}`")).join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.error(place(at, name.len()), format!("there is no filter `{name}` for templates"), help);
        }
        // A dotted name stands for its first part as well: one complaint is enough.
        for name in template.names() {
            if let Some((message, help)) = unknown(&name) {
                let root = name.split('.').next().unwrap_or_default();
                let at = use_of(text, &name).or_else(|| use_of(text, root));
                let span = at.map_or_else(|| place(0, 0), |(at, length)| place(at, length));
                self.error(span, message, help);
            }
        }
    }
}

/// Finds where a template uses a variable: after its first `{`, as a whole name that isn't an attribute of another.
fn use_of(text: &str, name: &str) -> Option<(usize, usize)> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let inside = text.find("{{").or_else(|| text.find("{%"))?;
    let found = text.match_indices(name).find(|(at, _)| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        *at > inside && !before.is_some_and(part) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    found.map(|(at, name)| (at, name.len()))
}

/// Tells whether a value of this name is a secret wherever it stands.
pub(super) fn is_secret(name: &str) -> bool {
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

pub(super) fn merged(
    shared: &IndexMap<Spanned<String>, RequestValue>,
    own: &IndexMap<Spanned<String>, RequestValue>,
) -> IndexMap<String, RequestValue> {
    shared.iter().chain(own).map(|(name, value)| (name.value.clone(), value.clone())).collect()
}

/// Says of a variable of a request that sends rows why it doesn't exist.
fn unknown_of_delivery(name: &str, about: About) -> Option<(String, String)> {
    let rows = if about == About::Batch { "rows" } else { "row" };
    let root = name.split('.').next().unwrap_or_default();
    let help = match root {
        "key" if name == root => return None,
        "key" => "`key` is a text: write `key`".to_owned(),
        _ if root == rows => return None,
        "row" => "with `batch` a request has several rows: use `rows`, such as `{{ rows }}`".to_owned(),
        "rows" => "without `batch` a request has one row: use `row`, such as `{{ row.id }}`".to_owned(),
        "now" => {
            "a request that is sent again must be the same, so it sees no clock: take a time from the row".to_owned()
        }
        _ => format!("templates of an `http` sink see `{rows}` and `key`"),
    };
    Some((format!("there is no template variable `{name}`"), help))
}

fn unknown_variable(name: &str, vars: &Vars) -> Option<(String, String)> {
    let (root, field) = name.split_once('.').map_or((name, None), |(root, field)| (root, Some(field)));
    let no_such = format!("there is no template variable `{name}`");
    let is_fan_out = vars.fan_out.as_deref() == Some(root);
    if matches!(vars.about, About::Sent | About::Batch) {
        return unknown_of_delivery(name, vars.about);
    }
    match (root, field) {
        ("cursor", _) if vars.about == About::Row => {
            return Some((no_such, "a child request has no pages, and no cursor".to_owned()));
        }
        ("row", _) if vars.about == About::Row => return None,
        ("now", None) => return None,
        ("cursor", _) if vars.about != About::Login => return None,
        ("now", Some(_)) => {
            return Some((no_such, "`now` is an instant: print it with `now | time('%Y-%m-%d')`".to_owned()));
        }
        ("window", Some("from" | "to" | "at")) if vars.window => return None,
        ("window", _) if vars.window => {
            return Some((no_such, "the window has `window.from`, `window.to` and `window.at`".to_owned()));
        }
        ("window", _) if vars.about != About::Login => return Some((no_such, "the job has no `window:`".to_owned())),
        ("increment", Some("from")) if vars.increment => return None,
        ("increment", _) if vars.increment => {
            return Some((no_such, "the increment has `increment.from`, the cursor that it begins after".to_owned()));
        }
        ("increment", _) if vars.about != About::Login => {
            return Some((no_such, "the job has no `incremental:`".to_owned()));
        }
        (_, Some(_)) if is_fan_out && vars.fan_out_is_scalar => {
            return Some((
                no_such,
                format!("`{root}` is one of the listed values, with nothing inside: write `{root}`"),
            ));
        }
        _ if is_fan_out => return None,
        _ => {}
    }
    if vars.about == About::Login {
        let help = "a login is sent for no page, no window and no row: its templates see `now` only".to_owned();
        return Some((format!("there is no template variable `{root}` in a login"), help));
    }
    let names: Vec<&str> = ["now", if vars.about == About::Row { "row" } else { "cursor" }]
        .into_iter()
        .chain(vars.fan_out.as_deref())
        .collect();
    let whole = |name: &'static str| vars.window.then_some(name);
    let increment = |name: &'static str| vars.increment.then_some(name);
    let roots: Vec<&str> = names.iter().copied().chain(whole("window")).chain(increment("increment")).collect();
    let help = match nearest(root, &roots) {
        Some("window") => "did you mean `window.from` or `window.to`?".to_owned(),
        Some("increment") => "did you mean `increment.from`?".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names = names.into_iter().chain(whole("window.from")).chain(whole("window.to"));
            let names = names.chain(increment("increment.from"));
            format!("templates here see {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    Some((format!("there is no template variable `{root}`"), help))
}
