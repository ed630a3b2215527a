//! The method of a request: as it stands in the pipeline file, or made of a row.

use http::Method;
use serde_json::Value;

use super::RequestError;
use crate::lang::template::Template;

/// The methods of requests that change something, one of which a template must give.
const CHANGES: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What a pipeline file says of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerbSpec {
    /// It is the same for each request.
    Fixed(Method),
    /// A template that gives it.
    Template(String),
}

/// A method whose template is checked.
#[derive(Debug, Clone)]
pub(super) enum Verb {
    Fixed(Method),
    Template(Template),
}

impl Default for VerbSpec {
    fn default() -> Self {
        Self::Fixed(Method::GET)
    }
}

impl From<Method> for VerbSpec {
    fn from(method: Method) -> Self {
        Self::Fixed(method)
    }
}

impl Verb {
    pub(super) fn compile(spec: VerbSpec) -> Result<Self, RequestError> {
        match spec {
            VerbSpec::Fixed(method) => Ok(Self::Fixed(method)),
            VerbSpec::Template(text) => Template::compile(&text).map(Self::Template).map_err(of_template),
        }
    }

    pub(super) const fn template(&self) -> Option<&Template> {
        match self {
            Self::Fixed(_) => None,
            Self::Template(template) => Some(template),
        }
    }

    /// Renders it; in small letters will do.
    pub(super) fn render(&self, context: &Value) -> Result<Method, RequestError> {
        let template = match self {
            Self::Fixed(method) => return Ok(method.clone()),
            Self::Template(template) => template,
        };
        let found = template.render(context).map_err(of_template)?;
        let named =
            |method: &Method| found.as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case(method.as_str()));
        let known = CHANGES.into_iter().find(named);
        known.ok_or_else(|| RequestError::Method { found: found.to_string().chars().take(40).collect() })
    }
}

fn of_template(source: crate::lang::template::TemplateError) -> RequestError {
    RequestError::Template { field: "method".to_owned(), source }
}
