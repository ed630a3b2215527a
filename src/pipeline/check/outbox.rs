//! Rows that are sent: an `http` sink is checked as the job that its request would be.

use std::time::Duration;

use indexmap::IndexMap;

use super::super::file::{
    BatchFile, Duration as DurationFile, FindFile, HttpSinkFile, IdempotencyFile, JobFile, PaginateFile,
    RowRequestFile, SinkFile, SourceFile,
};
use super::super::load::{Jq as JqText, OneOrMany, RequestValue, Spanned, Tmpl};
use super::super::spec::{Find, Method, Outbox, Request};
use super::Findings;
use super::request::{ANSWER_VARS, About, Vars};
use crate::lang::template::Template;
use crate::model::SinkName;

/// The most rows of a request.
const MAX_BATCH: u32 = 10_000;

/// The longest that a delivery waits for a row to show, which it does each time that one may have been created.
const MAX_LAG: Duration = Duration::from_mins(10);

/// What a server says of a request that it will never take. 404 and 405 aren't among them: more often the path is wrong, and then
/// all rows would be given up.
const REFUSED: &str = "[400, 410, 413, 415, 422, 431] | any(. == $status)";

impl Findings<'_> {
    /// Checks the sinks of a job that send.
    pub(super) fn outboxes(&mut self, job: &JobFile) -> Vec<Outbox> {
        let sends = job.sinks.iter().filter_map(|(name, sink)| Some((name, sink, sink.http.as_ref()?)));
        sends.filter_map(|(name, sink, http)| self.outbox(name, sink, http)).collect()
    }

    fn outbox(&mut self, name: &Spanned<String>, sink: &SinkFile, http: &Spanned<HttpSinkFile>) -> Option<Outbox> {
        self.no_meaning(http);
        let key = self.outbox_key(&http.key);
        let batch = http.batch.map(|batch| self.batch(batch.value));
        let vars = Vars::of_delivery(if http.batch.is_some() { About::Batch } else { About::Sent });
        let verb = self.outbox_verb(http, &vars);
        if http.base_url.is_none() {
            let help = "add `base_url:`, such as `https://desk.example.com/api`: that of `source` isn't used";
            self.missing(http.span, "the `http` sink has no `base_url`", help);
        }
        let (method, path) = verb.filter(|_| http.base_url.is_some())?;
        let (as_job, shared) = (as_job(http, path), SourceFile::default());
        let source = self.source(name, &as_job, &shared, &vars);
        let request = self.request(name, &as_job, &shared, &vars);
        let exists = http.exists.as_ref().map(|rule| self.jq(rule, &ANSWER_VARS));
        let refused = self.jq(&http.refused.clone().unwrap_or_else(|| JqText::new(REFUSED)), &ANSWER_VARS);
        let key_header = http.idempotency_key.as_ref().map(|key| self.idempotency(key, http, &vars));
        let headers = request.as_ref().map(|request| request.headers.clone()).unwrap_or_default();
        let find = http.find.as_ref().map(|find| self.find(find, headers, &vars));
        // None within: it is there, and has a mistake.
        let mut outbox = Outbox {
            name: SinkName::new(name.value.clone()),
            source: source?,
            request: Request { method, ..request? },
            key,
            batch,
            idempotency_header: key_header.as_ref().map(|(name, _)| name.clone()),
            find: find.map_or(Some(None), |find| find.map(Some))?,
            refused: refused?,
            filter: sink.filter.clone(),
        };
        outbox.source.empty = exists.map_or(Some(None), |exists| exists.map(Some))?;
        outbox.request.headers.extend(key_header);
        if !outbox.knows_again() {
            self.one_by_one(http);
            outbox.source.concurrency = 1;
        }
        Some(outbox)
    }

    /// Sees that requests which can't be known again go one by one: a process that is killed then leaves one of them in doubt.
    fn one_by_one(&mut self, http: &HttpSinkFile) {
        if let Some(concurrency) = http.concurrency.filter(|concurrency| concurrency.value > 1) {
            let message = "requests that can't be known again go one by one: each that is out when the process is killed may be doubled";
            let help =
                "add `find:`, `exists:` or an `idempotency_key:` that the server honours; or remove `concurrency`";
            self.error(concurrency.span, message, help);
        }
    }

    fn no_meaning(&mut self, http: &HttpSinkFile) {
        if let Some(empty) = &http.empty {
            let help = "remove it; an answer that says that the row is there already is named by `exists`";
            self.error(empty.span(), "`empty` is about pages, and a sink has none", help);
        }
        if let Some(format) = &http.format {
            let help = "remove it: expressions see the body of an answer where it is JSON, and null where it isn't";
            self.error(format.span, "`format` is about pages, and a sink has none", help);
        }
    }

    fn outbox_key(&mut self, key: &Spanned<OneOrMany<Spanned<String>>>) -> Vec<String> {
        if key.value.0.is_empty() {
            let help = "name the columns of the transform that identify a row";
            self.missing(key.span, "`key` names no column, so it can't be known what was sent", help);
        }
        key.value.0.iter().map(|column| column.value.clone()).collect()
    }

    fn batch(&mut self, batch: BatchFile) -> u32 {
        if !(1..=MAX_BATCH).contains(&batch.rows.value) {
            let message = format!("a request can't have {} rows", batch.rows.value);
            self.error(batch.rows.span, message, format!("write a number from 1 to {MAX_BATCH}"));
        }
        batch.rows.value
    }

    fn outbox_verb(&mut self, http: &Spanned<HttpSinkFile>, vars: &Vars) -> Option<(Method, Tmpl)> {
        let verbs = [("POST", &http.post), ("PUT", &http.put), ("PATCH", &http.patch), ("DELETE", &http.delete)];
        let fixed = verbs.into_iter().filter_map(|(method, path)| Some((Method::Fixed(method), path.clone()?)));
        let of_row = |request: &Spanned<RowRequestFile>| {
            (Method::Template(request.value.method.clone()), request.value.path.clone())
        };
        let mut given = fixed.chain(http.request.as_ref().map(of_row));
        let first = given.next();
        if let Some((_, second)) = given.next() {
            let help = "keep one of `post`, `put`, `patch`, `delete` and `request`";
            self.error(second.span(), "a sink sends one kind of request", help);
        }
        if let Some(request) = &http.request {
            self.row_method(&request.value.method, vars);
        }
        if first.is_none() {
            self.missing(
                http.span,
                "the `http` sink sends no request",
                "write `post:` and a path, such as `post: /issue`",
            );
        }
        first
    }

    fn row_method(&mut self, method: &Tmpl, vars: &Vars) {
        self.text(method, vars);
        let text = method.as_str().trim();
        if !text.contains("{{") && !text.contains("{%") {
            let message = format!("`{text}` is the same method for each row");
            self.error(
                method.span(),
                message,
                "write `post:`, `put:`, `patch:` or `delete:`, and the path, instead of `request`",
            );
        }
    }

    /// Returns the header of the idempotency key, with its template.
    fn idempotency(
        &mut self,
        key: &Spanned<IdempotencyFile>,
        http: &HttpSinkFile,
        vars: &Vars,
    ) -> (String, RequestValue) {
        self.header_name(&key.header);
        if http.headers.keys().any(|name| name.value.eq_ignore_ascii_case(&key.header.value)) {
            let message = format!("`{}` stands under `headers` as well", key.header.value);
            self.error(key.header.span, message, "remove it there: its value goes under `idempotency_key.value`");
        }
        let value = key.value.value.clone().unwrap_or_else(|| Tmpl::new("{{ key }}"));
        self.text(&value, vars);
        if !sees_rows(value.as_str()) {
            let help = "remove it (the default is made of the row's key), or write a template such as '{{ row.id }}'";
            self.error(value.span(), "all requests would have one idempotency key, and be taken for one", help);
        }
        (key.header.value.clone(), RequestValue::String(value))
    }

    fn find(&mut self, find: &Spanned<FindFile>, headers: IndexMap<String, RequestValue>, vars: &Vars) -> Option<Find> {
        if vars.about == About::Batch {
            let help =
                "remove `batch`, so that each row is looked up; or `find`, for a server that knows a request again";
            self.error(find.span, "`find` looks one row up, and a request has several", help);
        }
        let (method, path) = match (&find.get, &find.post) {
            (Some(get), None) => (Method::Fixed("GET"), get),
            (None, Some(post)) => (Method::Fixed("POST"), post),
            (Some(_), Some(post)) => {
                self.error(post.span(), "`find` sends one request", "keep `get` or `post`");
                return None;
            }
            (None, None) => {
                self.missing(find.span, "`find` sends no request", "write `get:` or `post:` and a path");
                return None;
            }
        };
        self.path(path, vars);
        find.query.iter().for_each(|(name, value)| self.entry(name, value, vars));
        if let Some(body) = &find.body {
            self.tree(body, vars);
        }
        let found = self.jq(&find.found, &ANSWER_VARS);
        let absent = find.absent.as_ref().map(|rule| self.jq(rule, &ANSWER_VARS));
        let query: IndexMap<_, _> =
            find.query.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect();
        let body = find.body.as_ref().map(|body| body.value.clone());
        let values = || query.values().chain(headers.values()).chain(&body);
        let sees =
            sees_rows(path.as_str()) || query.keys().any(|name| sees_rows(name)) || values().any(value_sees_rows);
        if !sees && vars.about == About::Sent {
            let help =
                "name the row in it, such as `query: {id: '{{ row.id }}'}`, or `'{{ key }}'` where that was sent";
            self.error(
                find.span,
                "`find` asks the same for each row, so one that is there would stand for all of them",
                help,
            );
        }
        Some(Find {
            request: Request { method, path: path.clone(), query, headers, body, form: None },
            found: found?,
            absent: absent.map_or(Some(None), |absent| absent.map(Some))?,
            lag: find.lag.map_or(Duration::ZERO, |lag| self.lag_of_find(lag)),
        })
    }

    fn lag_of_find(&mut self, lag: Spanned<DurationFile>) -> Duration {
        let Spanned { value: DurationFile(given), span } = lag;
        if given > MAX_LAG {
            let message = "a delivery doesn't wait that long for a row to show";
            self.error(
                span,
                message,
                "write at most `10m`; or `find` it by a request that doesn't go by a search index",
            );
        }
        given
    }
}

/// Tells whether a template sees the rows that are sent. One that can't be read is told of elsewhere.
fn sees_rows(text: &str) -> bool {
    let is_one = |name: &String| matches!(name.split('.').next(), Some("row" | "rows" | "key"));
    Template::compile(text).map_or(true, |template| template.names().iter().any(is_one))
}

fn value_sees_rows(value: &RequestValue) -> bool {
    match value {
        RequestValue::String(text) => sees_rows(text.as_str()),
        RequestValue::List(items) => items.iter().any(value_sees_rows),
        RequestValue::Map(map) => map.iter().any(|(name, value)| sees_rows(&name.value) || value_sees_rows(value)),
        RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => false,
    }
}

/// Returns the job that sends the request of a sink.
fn as_job(http: &HttpSinkFile, path: Tmpl) -> JobFile {
    JobFile {
        get: None,
        post: Some(path),
        put: None,
        delete: None,
        body: http.body.clone(),
        form: http.form.clone(),
        for_each: None,
        window: None,
        incremental: None,
        snapshot: None,
        paginate: Spanned { value: PaginateFile::None, span: http.key.span },
        records: Spanned { value: OneOrMany(Vec::new()), span: http.key.span },
        rows: None,
        key: None,
        latest_by: None,
        schema: None,
        transform: None,
        tables: None,
        expect: None,
        enrich: None,
        on_mismatch: None,
        sinks: IndexMap::new(),
        base_url: http.base_url.clone(),
        auth: http.auth.clone(),
        auth_failed: http.auth_failed.clone(),
        success: http.success.clone(),
        error_message: http.error_message.clone(),
        empty: None,
        headers: http.headers.clone(),
        query: http.query.clone(),
        timeout: http.timeout,
        retry: http.retry.clone(),
        rate_limit: http.rate_limit,
        concurrency: http.concurrency,
        tls: http.tls.clone(),
        proxy: http.proxy.clone(),
        format: None,
        max_response: http.max_response,
    }
}
