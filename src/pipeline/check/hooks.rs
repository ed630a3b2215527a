//! Hooks: a URL, and templates that see a run.

use url::Url;

use super::super::file::{HookFile, RUN_FIELDS};
use super::super::load::{RequestValue, Spanned, nearest};
use super::super::spec::Hook;
use super::Findings;

impl Findings<'_> {
    /// Checks a hook, where there is one.
    pub(super) fn hook(&mut self, hook: Option<&Spanned<HookFile>>) -> Option<Hook> {
        let HookFile { post, headers, body } = &hook?.value;
        for (name, value) in headers {
            self.header_name(name);
            self.of_run(value);
        }
        if let Some(body) = body {
            self.of_run(body);
        }
        let url = Url::parse(&post.value).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if url.is_none() {
            let help =
                "write it in full, with no user and no template, such as `https://hooks.slack.com/services/${SLACK}`";
            self.error(post.span, "a hook is posted to a URL that begins with `http://` or `https://`", help);
        }
        Some(Hook {
            url: url?,
            headers: headers.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
            body: body.clone(),
        })
    }

    fn of_run(&mut self, value: &RequestValue) {
        match value {
            RequestValue::String(text) => {
                self.template_of(text.as_str(), unknown_field, |offset, length| match length {
                    0 => super::word(text, offset),
                    length => text.file_span(offset, offset + length),
                });
            }
            RequestValue::List(items) => items.iter().for_each(|item| self.of_run(item)),
            RequestValue::Map(map) => {
                for (name, value) in map {
                    self.template_of(&name.value, unknown_field, |_, _| name.span);
                    self.of_run(value);
                }
            }
            RequestValue::Null | RequestValue::Bool(_) | RequestValue::Number(_) => {}
        }
    }
}

/// Says why a hook's template can't name something. What has fields inside may be named as a whole too.
fn unknown_field(name: &str) -> Option<(String, String)> {
    let field = name.strip_prefix("run.");
    let known = |field: &str| RUN_FIELDS.iter().any(|known| known.split('.').next() == Some(field) || *known == field);
    if name == "run" || field.is_some_and(known) {
        return None;
    }
    let names: Vec<String> = RUN_FIELDS.iter().map(|field| format!("run.{field}")).collect();
    let near: Vec<&str> = names.iter().map(String::as_str).collect();
    let help = nearest(name, &near).or_else(|| nearest(&format!("run.{name}"), &near)).map_or_else(
        || format!("a hook sees {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Some((format!("there is no template variable `{name}` in a hook"), help))
}
