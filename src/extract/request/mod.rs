//! The request: a tree with templates, rendered for one page with the paginator's edits in it.

mod rendered;
#[cfg(test)]
mod tests;
mod verb;

use indexmap::IndexMap;
use serde_json::Value;
use thiserror::Error;
use url::Url;

pub(crate) use self::rendered::header_value;
pub use self::rendered::{Fingerprint, Payload, RenderedRequest};
use self::verb::Verb;
pub use self::verb::VerbSpec;
use super::paginate::Edit;
use crate::lang::place::SetError;
use crate::lang::template::{Template, TemplateError};
use crate::lang::tree::Tree;

/// Why a request is refused, or can't be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// `base_url` can't be the start of a request.
    #[error("base_url '{url}' {reason}")]
    BaseUrl {
        /// The text of `base_url`, without its user and password.
        url: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The path can't be appended to `base_url`.
    #[error("path '{path}' {reason}")]
    Path {
        /// The path, as written or as rendered.
        path: String,
        /// What is wrong with it and what to do.
        reason: &'static str,
    },
    /// A template is wrong, or has no value.
    #[error("{field}: {source}")]
    Template {
        /// Where in the request, such as `query.ifid`.
        field: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// An edit doesn't fit the request.
    #[error(transparent)]
    Edit(#[from] SetError),
    /// Two keys of an object are the same once rendered.
    #[error("{field}: two keys are both '{key}' once rendered")]
    DoubleKey {
        /// Where in the request.
        field: String,
        /// The key.
        key: String,
    },
    /// A header's name or value can't be sent.
    #[error("header '{name}' {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong; the value isn't shown, for it may be a secret.
        reason: &'static str,
    },
    /// `query`, `headers` or `form` isn't an object.
    #[error("{field} is {found}; it must be an object of names and values")]
    NotAnObject {
        /// Which part of the request.
        field: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A template gives something else than a method.
    #[error("method gives {found}; it must give POST, PUT, PATCH or DELETE")]
    Method {
        /// What it gives, as JSON.
        found: String,
    },
    /// Both a body and a form.
    #[error(
        "the request has both a body and a form; a request carries one of them (a place in the one that isn't there makes it)"
    )]
    BodyAndForm,
}

/// What a pipeline file says of a request. Texts and keys may hold templates.
#[derive(Debug, Clone, Default)]
pub struct RequestSpec {
    /// The method.
    pub method: VerbSpec,
    /// What is appended to the path of `base_url`.
    pub path: String,
    /// Parameters of the query.
    pub query: IndexMap<String, Tree>,
    /// Headers.
    pub headers: IndexMap<String, Tree>,
    /// The JSON body.
    pub body: Option<Tree>,
    /// Fields of a form, sent URL-encoded.
    pub form: Option<IndexMap<String, Tree>>,
}

/// A request with its templates checked.
#[derive(Debug, Clone)]
pub struct RequestTree {
    method: Verb,
    base: Url,
    path: Template,
    /// The parts of the request by their name: `query`, `headers`, `body`, `form`.
    parts: Vec<(&'static str, Branch)>,
}

/// A tree whose texts and keys are templates.
#[derive(Debug, Clone)]
enum Branch {
    Fixed(Tree),
    Text(Template),
    List(Vec<Branch>),
    Map(Vec<(Template, Branch)>),
}

impl RequestTree {
    /// Checks a request to `base_url`. The origin comes from `base_url` alone, which holds no template.
    pub fn compile(base_url: &str, spec: RequestSpec) -> Result<Self, RequestError> {
        if spec.body.is_some() && spec.form.is_some() {
            return Err(RequestError::BodyAndForm);
        }
        let base = base(base_url)?;
        let path = compile_path(&spec.path)?;
        let headers = spec.headers.into_iter().map(|(name, value)| (name, rendered::without_blanks(value))).collect();
        let mut parts = vec![("query", Tree::Map(spec.query)), ("headers", Tree::Map(headers))];
        parts.extend(spec.body.map(|body| ("body", body)));
        parts.extend(spec.form.map(|form| ("form", Tree::Map(form))));
        let parts = parts.into_iter().map(|(name, tree)| Ok((name, Branch::compile(name, tree)?)));
        let method = Verb::compile(spec.method)?;
        Ok(Self { method, base, path, parts: parts.collect::<Result<_, RequestError>>()? })
    }

    /// Returns every template of the request, so that the names it uses can be checked.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        let mut all: Vec<&Template> = self.method.template().into_iter().chain([&self.path]).collect();
        self.parts.iter().for_each(|(_, branch)| branch.templates(&mut all));
        all.retain(|template| !template.is_literal());
        all
    }

    /// Renders the request with the names in the object `context`, and `edits` put into it. `$name` in a place is the name's
    /// value in `context`.
    pub fn render(&self, context: &Value, edits: &[Edit]) -> Result<RenderedRequest, RequestError> {
        let mut request = IndexMap::new();
        for (name, branch) in &self.parts {
            request.insert((*name).to_owned(), branch.render(name, context)?);
        }
        let path =
            self.path.render(context).map_err(|source| RequestError::Template { field: "path".to_owned(), source })?;
        request.insert("path".to_owned(), Tree::from(path));
        let mut request = Tree::Map(request);
        for edit in edits {
            edit.place.set(&mut request, context, edit.value.clone())?;
        }
        self.assemble(self.method.render(context)?, request)
    }

    fn assemble(&self, method: http::Method, request: Tree) -> Result<RenderedRequest, RequestError> {
        let Tree::Map(mut parts) = request else {
            return Err(RequestError::NotAnObject { field: "the request", found: request.kind() });
        };
        let path = parts.swap_remove("path").and_then(|path| path.wire_text()).unwrap_or_default();
        let query = pairs("query", parts.swap_remove("query").unwrap_or_default())?;
        let headers = rendered::headers(parts.swap_remove("headers").unwrap_or_default())?;
        let payload = match (parts.swap_remove("body"), parts.swap_remove("form")) {
            (None, None) => Payload::None,
            (Some(body), None) => Payload::Json(body),
            (None, Some(form)) => Payload::Form(pairs("form", form)?),
            (Some(_), Some(_)) => return Err(RequestError::BodyAndForm),
        };
        Ok(RenderedRequest { method, resource: join(&self.base, &path)?, linked: None, query, headers, payload })
    }
}

impl Branch {
    fn compile(field: &str, tree: Tree) -> Result<Self, RequestError> {
        let template = |field: &str, text: &str| {
            Template::compile(text).map_err(|source| RequestError::Template { field: field.to_owned(), source })
        };
        Ok(match tree {
            Tree::Text(text) => Self::Text(template(field, &text)?),
            Tree::List(items) => {
                let items =
                    items.into_iter().enumerate().map(|(at, item)| Self::compile(&format!("{field}[{at}]"), item));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Tree::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| {
                    let field = format!("{field}.{key}");
                    Ok((template(&field, &key)?, Self::compile(&field, value)?))
                });
                Self::Map(entries.collect::<Result<_, RequestError>>()?)
            }
            scalar => Self::Fixed(scalar),
        })
    }

    fn templates<'a>(&'a self, all: &mut Vec<&'a Template>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(template) => all.push(template),
            Self::List(items) => items.iter().for_each(|item| item.templates(all)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    all.push(key);
                    value.templates(all);
                }
            }
        }
    }

    fn render(&self, field: &str, context: &Value) -> Result<Tree, RequestError> {
        let evaluate = |field: &str, template: &Template| {
            let value =
                template.render(context).map_err(|source| RequestError::Template { field: field.to_owned(), source });
            value.map(Tree::from)
        };
        match self {
            Self::Fixed(tree) => Ok(tree.clone()),
            Self::Text(template) => evaluate(field, template),
            Self::List(items) => {
                let items = items.iter().enumerate().map(|(at, item)| item.render(&format!("{field}[{at}]"), context));
                items.collect::<Result<_, _>>().map(Tree::List)
            }
            Self::Map(entries) => {
                let mut map = IndexMap::with_capacity(entries.len());
                for (key, value) in entries {
                    let field = format!("{field}.{}", key.as_str());
                    let key = evaluate(&field, key)?.wire_text().unwrap_or_else(|| "null".to_owned());
                    let value = value.render(&field, context)?;
                    if map.insert(key.clone(), value).is_some() {
                        return Err(RequestError::DoubleKey { field, key });
                    }
                }
                Ok(Tree::Map(map))
            }
        }
    }
}

fn base(text: &str) -> Result<Url, RequestError> {
    let refuse = |reason: &str| {
        let url = text.rsplit_once('@').map_or(text, |(_, rest)| rest).to_owned();
        RequestError::BaseUrl { url, reason: reason.to_owned() }
    };
    if text.contains("{{") || text.contains("{%") {
        return Err(refuse("holds a template; the origin never comes from one, write it in full or use ${NAME}"));
    }
    let url =
        Url::parse(text).map_err(|error| refuse(&format!("isn't a URL such as https://host:8443/api ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a user or a password; put them under auth.basic"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("has a query or a fragment; put parameters under query"));
    }
    Ok(url)
}

fn compile_path(text: &str) -> Result<Template, RequestError> {
    let refuse = |reason| RequestError::Path { path: text.to_owned(), reason };
    let template =
        Template::compile_path(text).map_err(|source| RequestError::Template { field: "path".to_owned(), source })?;
    if template.is_literal() {
        check_path(text)?;
    } else if !text.starts_with(['/', '{']) {
        return Err(refuse("must begin with /"));
    }
    Ok(template)
}

fn check_path(path: &str) -> Result<(), RequestError> {
    let refuse = |reason| Err(RequestError::Path { path: path.to_owned(), reason });
    if !path.is_empty() && !path.starts_with('/') {
        return refuse("must begin with /");
    }
    if path.contains(['?', '#']) {
        return refuse("holds ? or #; put parameters under query");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("holds a backslash or a control character");
    }
    // URL parsers take `%2e` for a dot, so escaping doesn't help a segment of dots.
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return refuse("has a segment . or .., which would name another resource");
    }
    Ok(())
}

/// Appends `path` to the path of `base`.
fn join(base: &Url, path: &str) -> Result<Url, RequestError> {
    check_path(path)?;
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    Ok(url)
}

/// Flattens an object to names and texts: null is left out, a list becomes a pair for each of its items, as HTML forms and most servers have
/// it, and what else isn't a scalar compact JSON.
fn pairs(field: &'static str, tree: Tree) -> Result<Vec<(String, String)>, RequestError> {
    match tree {
        Tree::Null => Ok(Vec::new()),
        Tree::Map(entries) => {
            let pair = |name: &str, value: &Tree| value.wire_text().map(|text| (name.to_owned(), text));
            let pairs = entries.iter().flat_map(|(name, value)| match value {
                Tree::List(items) => items.iter().filter_map(|item| pair(name, item)).collect(),
                value => pair(name, value).into_iter().collect::<Vec<_>>(),
            });
            Ok(pairs.collect())
        }
        other => Err(RequestError::NotAnObject { field, found: other.kind() }),
    }
}
