//! Child requests.

use indexmap::IndexMap;

use super::super::file::{Auth, EnrichError, JobFile, SourceFile};
use super::super::load::Spanned;
use super::super::spec::{Enrich, FanOut, Method, Request};
use super::Findings;
use super::request::{About, Vars, merged};
use crate::model::AnswerFormat;
use crate::pipeline::file;

impl Findings<'_> {
    pub(super) fn enrich(
        &mut self,
        job: &JobFile,
        source: &SourceFile,
        for_each: Option<&FanOut>,
        request: Option<&Request>,
        vars: &Vars,
    ) -> Vec<Enrich> {
        let Some(enrich) = &job.enrich else { return Vec::new() };
        if enrich.value.is_empty() {
            self.missing(enrich.span, "`enrich` names no column", "name one and its request, or remove `enrich`");
        }
        if job.window.is_none() && job.incremental.is_none() && job.snapshot.is_none() {
            let message = "`enrich` has no meaning here: the rows of a job that isn't cut into slices only feed others, as they come";
            self.missing(enrich.span, message, "put it into the job that lands rows");
        }
        let auth = job.auth.as_ref().or(source.auth.as_ref());
        if let Some(goes) = auth.and_then(|auth| needs_a_payload(&auth.value)) {
            let message = format!("{goes}, and a child request has none");
            self.error(enrich.span, message, "send it in a header or a parameter, if the API can");
        }
        let vars = Vars {
            fan_out: vars.fan_out.clone(),
            fan_out_is_scalar: vars.fan_out_is_scalar,
            window: vars.window,
            increment: vars.increment,
            format: AnswerFormat::Json,
            about: About::Row,
            records: Vec::new(),
        };
        let headers = request.map(|request| request.headers.clone()).unwrap_or_default();
        let mut checked = Vec::new();
        for (name, child) in &enrich.value {
            self.enrich_column(name, for_each);
            self.path(&child.get, &vars);
            child.query.iter().for_each(|(name, value)| self.entry(name, value, &vars));
            let Some(value) = self.jq(&child.value, &vars.answer()) else { continue };
            checked.push(Enrich {
                column: name.value.clone(),
                request: child_request(child, source, headers.clone()),
                value,
                null_on_error: child.on_error == EnrichError::Null,
            });
        }
        checked
    }

    fn enrich_column(&mut self, name: &Spanned<String>, for_each: Option<&FanOut>) {
        if name.value.is_empty() {
            self.error(name.span, "a column needs a name", "write one, such as `detail`");
        }
        let taken = for_each.is_some_and(|for_each| {
            for_each.key.contains(&name.value) || for_each.columns.iter().any(|(column, _)| *column == name.value)
        });
        if taken {
            let message = format!("`{}` is a column already: `for_each` makes it", name.value);
            self.error(name.span, message, "choose another name, such as `detail`");
        }
    }
}

/// Says where a credential goes that a request without a form and a body can't hold.
fn needs_a_payload(auth: &Auth) -> Option<String> {
    match auth {
        Auth::Form(form) => Some(format!("the credential `{}` goes into a form", form.name.value)),
        Auth::Login(login) => {
            let into =
                login.into.as_ref().filter(|into| ["form", "body"].iter().any(|root| into.as_str().starts_with(root)));
            into.map(|into| format!("the token of the login goes into `{}`", into.shown()))
        }
        _ => None,
    }
}

fn child_request(
    child: &file::Enrich,
    source: &SourceFile,
    headers: IndexMap<String, super::super::load::RequestValue>,
) -> Request {
    Request {
        method: Method::Fixed("GET"),
        path: child.get.clone(),
        query: merged(&source.query, &child.query),
        headers,
        body: None,
        form: None,
    }
}
