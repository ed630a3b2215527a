//! Places in the request: do they exist, and is what a job needs to say written to one of them.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::super::file::{JobFile, WindowFile};
use super::super::load::{Jq as JqText, RequestValue, Span, Spanned, nearest};
use super::super::spec::Request;
use super::request::Vars;
use super::{Findings, word};
use crate::lang::place::{Place, ROOTS};
use crate::lang::template::Template;
use crate::lang::tree::Tree;

impl Findings<'_> {
    /// Compiles a place, or points at its mistake.
    pub(super) fn place(&mut self, text: &JqText, vars: &Vars) -> Option<Place> {
        self.place_at(text.as_str(), vars, |offset| word(text, offset))
    }

    /// Compiles a place that is the key of a map, and checks that the request has that part.
    pub(super) fn sent_key(&mut self, text: &Spanned<String>, job: &JobFile, vars: &Vars) -> Option<Place> {
        let place = self.place_at(&text.value, vars, |_| text.span)?;
        self.place_exists(&text.value, text.span, &place, job);
        Some(place)
    }

    fn place_at(&mut self, text: &str, vars: &Vars, span: impl Fn(usize) -> Span) -> Option<Place> {
        let error = match Place::compile(text, &vars.places()) {
            Ok(place) => return Some(place),
            Err(error) => error,
        };
        if self.partial && vars.fan_out.is_none() && text.contains("[$") {
            return None;
        }
        let root = text.split(['.', '[']).next().unwrap_or_default();
        let help = match nearest(root, &ROOTS) {
            Some(near) if near != root => format!("did you mean `{near}`?"),
            _ if is_name(text) => format!("for a parameter of the query, write `query.{text}`"),
            _ => "a place is a jq path without its first dot, such as `query.start` or `body.filter[0].gte`".to_owned(),
        };
        let message = format!("this isn't a place in the request: {}", error.message);
        self.error(span(error.offset), message, help);
        None
    }

    /// Checks that a place lies in the request: in a part that it has, and not inside a plain value.
    pub(super) fn place_exists(&mut self, shown: &str, span: Span, place: &Place, job: &JobFile) {
        let message = |part: &str| format!("the request has no `{part}`, so nothing can be written to `{shown}`");
        match place.root() {
            "form" if job.form.is_none() && job.body.is_some() => {
                self.error(span, message("form"), "name a place in `body`");
            }
            "form" if job.form.is_none() => {
                self.missing(span, message("form"), "add `form:` to the job, or name another place");
            }
            "body" if job.form.is_some() => self.error(span, message("body"), "name a place in `form`"),
            "body" if job.get.is_some() && job.body.is_none() => {
                self.missing(span, message("body"), "add `body:` to the job, or name another place");
            }
            _ => self.place_fits(span, place, job),
        }
    }

    fn place_fits(&mut self, span: Span, place: &Place, job: &JobFile) {
        // What stands behind a variable is only known when a request is made.
        if place.as_str().contains("[$") {
            return;
        }
        let mut request = Tree::Map(IndexMap::from([
            ("query".to_owned(), Tree::Map(outline_of(&job.query))),
            ("form".to_owned(), job.form.as_ref().map_or(Tree::Null, |form| Tree::Map(outline_of(&form.value)))),
            ("body".to_owned(), job.body.as_ref().map_or(Tree::Null, |body| outline(&body.value))),
        ]));
        if let Err(error) = place.set(&mut request, &json!({}), Value::Null) {
            self.error(span, error.to_string(), "change the place, or what the request has there");
        }
    }

    /// Checks that both edges of the window are sent: by a place, or by a template.
    pub(super) fn window_is_sent(&mut self, window: &Spanned<WindowFile>, request: &Request) {
        let names = names_of(request);
        if window.at.is_some() || names.contains("window.at") {
            return self.window_at(window, &names);
        }
        let from = window.from.is_some() || names.contains("window.from") || names.contains("window");
        let to = window.to.is_some() || names.contains("window.to") || names.contains("window");
        let span = window.span;
        match (from, to) {
            (true, true) => {}
            (false, false) => {
                let message = "the window is never sent: each slice would ask for everything";
                let help = "name its places (`from: query.since`, `to: query.until`), or use `{{ window.from }}` and \
                            `{{ window.to }}` in the request; where the API takes one value for a whole cell, such as a day, name \
                            that (`at: query.date`, or `{{ window.at }}`)";
                self.missing(span, message, help);
            }
            (true, false) => self.edge_is_open(window, "end", "after", ("to: query.until", "window.to")),
            (false, true) => self.edge_is_open(window, "beginning", "before", ("from: query.since", "window.from")),
        }
    }

    /// The cell is sent by one value: then it has no edges that could be sent too, or moved.
    fn window_at(&mut self, window: &Spanned<WindowFile>, names: &BTreeSet<String>) {
        let edges = [window.from.as_ref().map(|edge| edge.span), window.to.as_ref().map(|edge| edge.span)];
        let by_name = ["window.from", "window.to"].into_iter().any(|edge| names.contains(edge));
        let edge = edges.into_iter().flatten().next().or_else(|| by_name.then_some(window.span));
        if let Some(edge) = edge {
            let message = "the window is sent as a whole cell and by its edges";
            self.error(
                edge,
                message,
                "keep `at`, for an API that takes one value, or the edges, for one that takes two",
            );
        }
        if let Some(pad) = &window.pad {
            self.error(pad.span, "`pad` has no meaning beside `at`: a whole cell has no edges", "remove it");
        }
    }

    /// One edge isn't sent: without `time` each slice would hold rows of all the others.
    fn edge_is_open(&mut self, window: &Spanned<WindowFile>, edge: &str, side: &str, (place, variable): (&str, &str)) {
        // Its place may be among what was refused.
        if self.partial {
            return;
        }
        let message =
            format!("the window's {edge} is never sent: each slice would ask for all that comes {side} it too");
        let mut help = format!("name its place (`{place}`), or use `{{{{ {variable} }}}}` in the request");
        if edge == "end" {
            help.push_str(
                "; if the value means a whole cell, such as a day, write `at:` (or `{{ window.at }}`) instead",
            );
        }
        if window.own_time().is_some() {
            self.warn(window.span, message, format!("{help}; `time` drops those rows, but they are all read"));
        } else {
            self.missing(
                window.span,
                message,
                format!("{help}; if the API can't, add `time:`, which drops those rows"),
            );
        }
    }
}

/// Tells whether a text is a plain name, such as that of a parameter.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Returns the names that the templates of a request use.
pub(super) fn names_of(request: &Request) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut collect = |text: &str| {
        if let Ok(template) = Template::compile(text) {
            names.extend(template.names());
        }
    };
    collect(request.path.as_str());
    for (name, value) in request.query.iter().chain(&request.headers).chain(request.form.iter().flatten()) {
        collect(name);
        each_text(value, &mut collect);
    }
    if let Some(body) = &request.body {
        each_text(body, &mut collect);
    }
    names
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

/// Returns what is known of a value before its templates are rendered: those are null, which can become anything.
fn outline(value: &RequestValue) -> Tree {
    match value {
        RequestValue::Null => Tree::Null,
        RequestValue::Bool(flag) => Tree::Bool(*flag),
        RequestValue::Number(text) => Tree::Number(text.clone()),
        RequestValue::String(text) if text.as_str().contains("{{") => Tree::Null,
        RequestValue::String(text) => Tree::Text(text.as_str().to_owned()),
        RequestValue::List(items) => Tree::List(items.iter().map(outline).collect()),
        RequestValue::Map(map) => Tree::Map(outline_of(map)),
    }
}

fn outline_of(map: &IndexMap<Spanned<String>, RequestValue>) -> IndexMap<String, Tree> {
    map.iter().map(|(name, value)| (name.value.clone(), outline(value))).collect()
}
