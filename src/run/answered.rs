//! What a page's answer says beside its records, for people: how it goes on, and whether it says so where nobody looks.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::extract::auth::Redactor;
use crate::extract::paginate::{Given, Seen};
use crate::pipeline::spec::{Paginate, PaginateKind};

/// Lists longer than this are shown by their length.
const LONGEST_LIST: usize = 3;

/// Fields that tell of further pages by their name, without signs and in lower case.
const TELLING: [&str; 13] = [
    "hasmore",
    "hasnext",
    "hasnextpage",
    "more",
    "moreresults",
    "next",
    "nextcursor",
    "nextlink",
    "nextpage",
    "nextpagetoken",
    "nexttoken",
    "nexturl",
    "odatanextlink",
];

/// The first answer of a preview, without its records.
#[derive(Debug, Clone, Serialize)]
pub struct Answered {
    /// The answer without the records that are plainly at a path; lists that are left are shown by their length. Redacted.
    pub envelope: Value,
    /// How the next page would be asked for, in words. Redacted.
    pub next: String,
    /// What `paginate.more` gave.
    pub more: Option<bool>,
    /// What `paginate.total` gave, in rows.
    pub total: Option<u64>,
}

impl Answered {
    pub(super) fn of(paginate: &Paginate, seen: &Seen, envelope: &Value) -> Self {
        Self { envelope: brief(envelope), next: next(&paginate.kind, seen), more: seen.more, total: seen.total }
    }

    pub(super) fn scrubbed(self, redactor: &Redactor) -> Self {
        let text = redactor.scrub(&self.envelope.to_string());
        // What echoes a credential is no JSON any more where it stood outside of a text: then it is shown as a text.
        let envelope = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { envelope, next: redactor.scrub(&self.next), ..self }
    }
}

fn next(kind: &PaginateKind, seen: &Seen) -> String {
    let given = |what: &str| match &seen.given {
        Given::Next(value) => format!("the {what} {value}"),
        Given::Empty => format!("none: the answer says that there is no further {what}"),
        Given::Absent if seen.more == Some(false) => "none: `more` says that this is the last".to_owned(),
        Given::Absent => format!("none: there is no {what} where `paginate` looks"),
    };
    match kind {
        PaginateKind::None => "none: one page is read (`paginate: none`)".to_owned(),
        PaginateKind::Offset { .. } => "its offset".to_owned(),
        PaginateKind::Page { .. } => "its number".to_owned(),
        PaginateKind::Seek { .. } => match &seen.last_value {
            Some(value) => format!("the last row's value {value}"),
            None => "none: the last row has no value to go on by".to_owned(),
        },
        PaginateKind::Cursor(_) => given("cursor"),
        PaginateKind::NextLink(_) => given("link"),
    }
}

/// Shortens the lists of an answer: the records of a jq program are still in it.
fn brief(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() > LONGEST_LIST => Value::String(format!("[{} items]", items.len())),
        Value::Array(items) => items.iter().map(brief).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), brief(value))).collect(),
        other => other.clone(),
    }
}

/// Returns what in an answer says that there are more pages, such as `has_more: true`: in itself, or in a map beside the records.
pub(super) fn unread_more(envelope: &Value) -> Option<String> {
    let fields = envelope.as_object()?;
    told_by(fields)
        .or_else(|| fields.iter().find_map(|(name, value)| Some(format!("{name}.{}", told_by(value.as_object()?)?))))
}

fn told_by(fields: &Map<String, Value>) -> Option<String> {
    let told = fields.iter().find(|(name, value)| {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let tells = match value {
            Value::Bool(more) => *more,
            Value::String(text) => !text.is_empty() && plain != "more",
            Value::Number(_) => plain.starts_with("next"),
            _ => false,
        };
        tells && TELLING.contains(&plain.as_str())
    });
    told.map(|(name, value)| match value {
        // A cursor or a link may let in, and says nothing to people.
        Value::String(_) => name.clone(),
        value => format!("{name}: {value}"),
    })
}

/// Says what a person should look at where one page was read of an answer that tells of more.
pub(super) fn one_of_several(told: &str) -> String {
    format!(
        "the answer says `{told}`, and `paginate: none` reads one page: where there are more, their rows are missing; say how to page, as \
         docs/pipeline.md tells, or `total:`, by which it is seen that all have come"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_tells_of_more_pages_by_a_field_of_a_telling_name() {
        for (answer, expect) in [
            (json!({"has_more": true}), Some("has_more: true")),
            (json!({"count": 2, "nextPageToken": "abc"}), Some("nextPageToken")),
            (json!({"@odata.nextLink": "https://h/x"}), Some("@odata.nextLink")),
            (json!({"meta": {"next_page": 2}}), Some("meta.next_page: 2")),
            (json!({"links": {"next": "/rows?page=2"}}), Some("links.next")),
            (json!({"has_more": false, "next": null, "nextPage": "", "more": "text"}), None),
            (json!({"next_steps": "call us", "remore": true, "a": {"b": {"next": "x"}}}), None),
            (json!([{"next": "x"}]), None),
        ] {
            assert_eq!(unread_more(&answer).as_deref(), expect, "{answer}");
        }
    }

    #[test]
    fn long_lists_are_shown_by_their_length() {
        let answer = json!({"total": 4, "rows": [1, 2, 3, 4], "few": [{"a": [1, 2, 3, 4, 5]}]});
        assert_eq!(brief(&answer), json!({"total": 4, "rows": "[4 items]", "few": [{"a": "[5 items]"}]}));
    }
}
