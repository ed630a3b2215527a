//! What a job is repeated for.

use super::super::file::ForEach;
use super::super::load::{OneOrMany, RequestValue, Span, Spanned};
use super::super::spec::{FanOut, FanOutFrom};
use super::Findings;
use super::request::{ANSWER_VARS, PAGE_VARS, Vars};
use super::slicing::json_of;
use crate::lang::jq::Jq;
use crate::model::JobName;

/// More keys than that are more often a mistake than a wish, and each of them is at least one request.
const MAX_KEYS: u64 = 10_000;

/// Names that mean something else in templates.
const TAKEN: [&str; 5] = ["now", "cursor", "window", "increment", "row"];

impl Findings<'_> {
    pub(super) fn for_each(&mut self, for_each: &Spanned<ForEach>, vars: &Vars) -> FanOut {
        self.fan_out_name(&for_each.name);
        let from = match (&for_each.rows_of, &for_each.values) {
            (Some(parent), None) => FanOutFrom::Rows(JobName::new(parent.value.clone())),
            (None, Some(values)) => self.values(for_each.span, values),
            (Some(parent), Some(_)) => {
                self.error(for_each.span, "`for_each` has both `rows_of` and `values`", "keep one of them");
                FanOutFrom::Rows(JobName::new(parent.value.clone()))
            }
            (None, None) => {
                self.missing(for_each.span, "`for_each` says nothing to repeat for", "add `rows_of:` or `values:`");
                FanOutFrom::Values(Vec::new())
            }
        };
        let key = self.fan_out_key(for_each, &from);
        let mut columns: Vec<(String, Jq)> = Vec::new();
        for (column, text) in &for_each.columns {
            if key.contains(&column.value) {
                let message = format!("`{}` is a column already: it is in `key`", column.value);
                self.error(column.span, message, "remove it here");
            }
            columns.extend(self.jq(text, &vars.places()).map(|program| (column.value.clone(), program)));
        }
        let max_keys = for_each.max_keys.map_or(MAX_KEYS, |max_keys| max_keys.value);
        if let (0, Some(written)) = (max_keys, for_each.max_keys) {
            self.error(written.span, "`max_keys` can't be 0", "write the most keys that you expect");
        }
        FanOut { from, name: for_each.name.value.clone(), key, columns, max_keys }
    }

    fn fan_out_name(&mut self, name: &Spanned<String>) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let text = name.value.as_str();
        let why = if [&TAKEN[..], &ANSWER_VARS, &PAGE_VARS].iter().any(|taken| taken.contains(&text)) {
            "has a meaning of its own in expressions"
        } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(plain) {
            "can't be the name of a variable"
        } else {
            return;
        };
        let help = "choose another name of lower-case letters, digits and `_`, such as `item`";
        self.error(name.span, format!("`{text}` {why}"), help);
    }

    fn values(&mut self, span: Span, values: &[Spanned<RequestValue>]) -> FanOutFrom {
        if values.is_empty() {
            self.missing(span, "`values` is empty: the job would never do anything", "list at least one value");
        }
        let is_map = |value: &Spanned<RequestValue>| matches!(value.value, RequestValue::Map(_));
        let of_maps = values.iter().any(is_map);
        for value in values {
            match &value.value {
                RequestValue::String(text) if text.as_str().contains("{{") => {
                    self.error(text.span(), "a listed value isn't a template", "write the value itself");
                }
                RequestValue::Null | RequestValue::List(_) => {
                    let message = "a listed value becomes a column, so it is a text, a number or a boolean";
                    let help = "list plain values, or maps of them with a `key:`, such as `{owner: a, name: b}`";
                    self.error(value.span, message, help);
                }
                _ if of_maps && !is_map(value) => {
                    let help = "write maps of the same fields, or plain values";
                    self.error(value.span, "some of the listed values are maps, and this one isn't", help);
                }
                _ => {}
            }
        }
        FanOutFrom::Values(values.iter().map(|value| json_of(value)).collect())
    }

    /// Checks the key of listed maps: each has its fields, and plain values in them.
    fn key_of_maps(&mut self, key: &[Spanned<String>], values: &[Spanned<RequestValue>]) {
        for value in values {
            let RequestValue::Map(map) = &value.value else { continue };
            for column in key {
                let found = map.iter().find(|(name, _)| name.value == column.value);
                let plain = |value: &RequestValue| {
                    !matches!(value, RequestValue::Null | RequestValue::List(_) | RequestValue::Map(_))
                };
                if !found.is_some_and(|(_, value)| plain(value)) {
                    let message = format!("this value has no `{}`, which `key` names", column.value);
                    self.error(value.span, message, "give it one, a text, a number or a boolean");
                }
            }
        }
    }

    fn fan_out_key(&mut self, for_each: &Spanned<ForEach>, from: &FanOutFrom) -> Vec<String> {
        let name = &for_each.name.value;
        match (&for_each.key, from) {
            (Some(OneOrMany(key)), FanOutFrom::Rows(_)) if !key.is_empty() => {
                key.iter().map(|column| column.value.clone()).collect()
            }
            (_, FanOutFrom::Rows(_)) => {
                let help = "name the columns of the parent's row that identify it, such as `key: id`";
                self.missing(for_each.span, "`for_each` has no `key`", help);
                Vec::new()
            }
            (Some(OneOrMany(key)), FanOutFrom::Values(values)) if values.iter().any(serde_json::Value::is_object) => {
                self.key_of_maps(key, for_each.values.as_deref().unwrap_or_default());
                key.iter().map(|column| column.value.clone()).collect()
            }
            (Some(OneOrMany(key)), FanOutFrom::Values(_)) => {
                let other = key.iter().find(|column| column.value != *name);
                if let Some(other) = other.filter(|_| for_each.values.is_some()) {
                    let message = format!("the key of listed plain values is always `{name}`");
                    self.error(other.span, message, "remove `key:`");
                }
                vec![name.clone()]
            }
            (None, FanOutFrom::Values(values)) if values.iter().any(serde_json::Value::is_object) => {
                let help = "name the fields that tell the listed maps apart, such as `key: name`";
                self.missing(for_each.span, "`for_each` has no `key`", help);
                Vec::new()
            }
            (None, FanOutFrom::Values(_)) => vec![name.clone()],
        }
    }
}
