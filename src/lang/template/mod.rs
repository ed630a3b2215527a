//! Templates: `MiniJinja` for the values that go into a request. No I/O, no includes, a bound on the work.

mod convert;
mod filters;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;

pub use self::convert::to_template;

use super::tree::Tree;

/// Instructions that one rendering may use: far more than any request needs, far less than a second of work.
const FUEL: u64 = 100_000;

/// What is escaped in a URL's path and query: all but the unreserved characters of RFC 3986.
pub const URL_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

static TEXTS: LazyLock<Environment<'static>> = LazyLock::new(|| environment(false));
static PATHS: LazyLock<Environment<'static>> = LazyLock::new(|| environment(true));

/// Why a template is refused, or can't be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (at byte {offset} of the template '{text}')")]
pub struct TemplateError {
    /// The template.
    pub text: String,
    /// Where in it the mistake is, in bytes.
    pub offset: usize,
    /// What is wrong, and what is known instead.
    pub message: String,
}

/// A template, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No template syntax at all: the text is the value.
    Literal,
    /// Exactly one `{{ }}`: the bytes of the expression within the text. It keeps the value's JSON type.
    Expression { start: usize, end: usize },
    /// Text with templates in it.
    Text,
    /// The same for a URL's path: each value is escaped as one segment.
    Path,
}

impl Template {
    /// Reads a template whose result is a JSON value.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        if is_literal(text) {
            return Ok(Self { text: text.to_owned(), form: Form::Literal });
        }
        let form = sole_expression(text).unwrap_or(Form::Text);
        TEXTS.template_from_str(text).map_err(|error| explain(text, 0, &error, &Value::Null))?;
        Ok(Self { text: text.to_owned(), form })
    }

    /// Reads a template for a URL's path: what stands outside `{{ }}` goes in as it is, values are escaped as one segment each.
    pub fn compile_path(text: &str) -> Result<Self, TemplateError> {
        let form = if is_literal(text) { Form::Literal } else { Form::Path };
        PATHS.template_from_str(text).map_err(|error| explain(text, 0, &error, &Value::Null))?;
        Ok(Self { text: text.to_owned(), form })
    }

    /// Returns the template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether the text holds no template syntax.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        matches!(self.form, Form::Literal)
    }

    /// Returns the names that the template needs, with the attributes it reads where they are plain: `iface.ifid`, `now`.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let Ok(template) = TEXTS.template_from_str(&self.text) else { return BTreeSet::new() };
        let globals: BTreeSet<_> = TEXTS.globals().map(|(name, _)| name).collect();
        let needed = template.undeclared_variables(true).into_iter();
        needed.filter(|name| !globals.contains(name.split('.').next().unwrap_or(name))).collect()
    }

    /// Returns the first filter that doesn't exist, with the byte of the text that it begins at.
    ///
    /// The engine looks filters up when it renders; this is a best effort on the text, which skips what stands in quotes.
    #[must_use]
    pub fn unknown_filter(&self) -> Option<(usize, String)> {
        let mut rest = 0;
        while let Some(open) = self.text.get(rest..)?.find("{{") {
            let start = rest + open + 2;
            let end = self.text.get(start..)?.find("}}").map_or(self.text.len(), |close| start + close);
            let inside = filters::applied(self.text.get(start..end)?);
            let unknown = inside.into_iter().find(|(_, name)| !filters::exists(&TEXTS, name));
            if let Some((at, name)) = unknown {
                return Some((start + at, name.to_owned()));
            }
            rest = end;
        }
        None
    }

    /// Renders the template with the names in the object `context`. A string that is exactly one `{{ }}` gives the value with its
    /// JSON type, any other text gives a string. Null in the midst of a text is an error.
    pub fn render(&self, context: &Value) -> Result<Value, TemplateError> {
        match self.form {
            Form::Literal => Ok(Value::String(self.text.clone())),
            Form::Expression { start, end } => self.evaluate(start, end, context),
            Form::Text => self.print(&TEXTS, context).map(Value::String),
            Form::Path => self.print(&PATHS, context).map(Value::String),
        }
    }

    fn evaluate(&self, start: usize, end: usize, context: &Value) -> Result<Value, TemplateError> {
        let source = &self.text[start..end];
        let fail = |error: &minijinja::Error| explain(&self.text, start, error, context);
        let value = TEXTS.compile_expression(source).and_then(|it| it.eval(convert::to_template(context)));
        let value = value.map_err(|error| fail(&error))?;
        if value.is_undefined() {
            let at = start + (source.len() - source.trim_start().len());
            return Err(undefined(&self.text, at, source.trim(), context));
        }
        convert::to_json(&value).map_err(|error| fail(&error))
    }

    fn print(&self, environment: &Environment<'static>, context: &Value) -> Result<String, TemplateError> {
        let template = environment.template_from_str(&self.text);
        let rendered = template.and_then(|template| template.render(convert::to_template(context)));
        rendered.map_err(|error| explain(&self.text, 0, &error, context))
    }
}

fn is_literal(text: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Finds the expression of a text that is exactly one `{{ }}`.
fn sole_expression(text: &str) -> Option<Form> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let front = usize::from(inner.starts_with(['-', '+']));
    let back = usize::from(inner.len() > front && inner.ends_with('-'));
    let (start, end) = (2 + front, text.len() - 2 - back);
    // `{{ a }} and {{ b }}` begins and ends like one expression, but isn't one.
    TEXTS.compile_expression(text.get(start..end)?).ok().map(|_| Form::Expression { start, end })
}

fn environment(path: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The delimiters are the built-in ones, so the syntax can't be refused.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    // Errors then say where in the template they are.
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    filters::install(&mut environment);
    environment.set_formatter(move |out, _, value| {
        let text = if path { segment(value)? } else { plain(value)? };
        out.write_str(&text).map_err(|_| minijinja::Error::from(ErrorKind::WriteFailure))
    });
    environment
}

/// Prints a value in the midst of a text. Null isn't printed: `none` in a request is never what was meant.
fn plain(value: &minijinja::Value) -> Result<String, minijinja::Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let text = Tree::from(convert::to_json(value)?).wire_text();
    text.ok_or_else(|| invalid("a value in the text is null; give it one with default(...)"))
}

/// Prints a value as one segment, or a part of one, of a URL's path.
fn segment(value: &minijinja::Value) -> Result<String, minijinja::Error> {
    let text = plain(value)?;
    if text.is_empty() {
        return Err(invalid("a value in the path is empty, which would name another resource"));
    }
    Ok(utf8_percent_encode(&text, URL_ESCAPED).to_string())
}

fn invalid(message: &str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, message.to_owned())
}

/// Puts an error of the engine into our words. `base` is where the engine's text begins in ours.
fn explain(text: &str, base: usize, error: &minijinja::Error, context: &Value) -> TemplateError {
    let range = error.range().unwrap_or(0..0);
    let source = text.get(base..).and_then(|text| text.get(range.clone())).map_or("", str::trim);
    if error.kind() == ErrorKind::UndefinedError {
        return undefined(text, base + range.start, source, context);
    }
    let message = match error.kind() {
        ErrorKind::OutOfFuel => "the template does more work than a request may need; make it simpler".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    TemplateError { text: text.to_owned(), offset: (base + range.start).min(text.len()), message }
}

fn undefined(text: &str, offset: usize, source: &str, context: &Value) -> TemplateError {
    let known: Vec<_> = context.as_object().into_iter().flat_map(serde_json::Map::keys).map(String::as_str).collect();
    let known =
        if known.is_empty() { "nothing is known here".to_owned() } else { format!("known: {}", known.join(", ")) };
    // The engine may point at the filter that was given the undefined value: the name stands before it.
    let missing = missing_names(text, context);
    let before = missing.iter().filter_map(|name| text.find(name.as_str()).map(|at| (at, name.as_str())));
    let named = before.filter(|(at, _)| *at <= offset).max();
    let (offset, source) = match named {
        Some(named) if !missing.iter().any(|name| name == source) => named,
        _ => (offset, source),
    };
    let message = format!("'{source}' is undefined; {known}");
    TemplateError { text: text.to_owned(), offset: offset.min(text.len()), message }
}

/// Returns the names of a template that `context` doesn't have.
fn missing_names(text: &str, context: &Value) -> BTreeSet<String> {
    let names = Template { text: text.to_owned(), form: Form::Text }.names();
    let has = |name: &String| name.split('.').try_fold(context, |value, part| value.get(part)).is_some();
    names.into_iter().filter(|name| !has(name)).collect()
}
