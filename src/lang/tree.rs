//! A JSON tree whose numbers keep their text: what a request is made of.
//!
//! `1.10` in a pipeline file must reach the server as `1.10`, and an id of thirty digits with all of them.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::Value;

/// A JSON value. Maps keep the order in which their keys came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tree {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// An object.
    Map(IndexMap<String, Tree>),
}

impl Tree {
    /// Names the kind of the value, for messages: `an object`, `a text`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// Returns the text of a scalar as it stands in a URL or a form, `None` for null; objects and lists are compact JSON.
    #[must_use]
    pub fn wire_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Number(text) | Self::Text(text) => Some(text.clone()),
            Self::List(_) | Self::Map(_) => Some(self.to_json()),
        }
    }

    /// Returns compact JSON: keys in their order, numbers as they were written. What isn't a number in JSON (`.5`, `0x1f`) is a
    /// string there.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(text) if is_json_number(text) => out.push_str(text),
            Self::Number(text) | Self::Text(text) => write_string(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

impl From<Value> for Tree {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(map) => Self::Map(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect()),
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    // `Value`'s own printing is JSON and can't fail; writing to a `String` can't either.
    let _ = write!(out, "{}", Value::from(text));
}

/// Tells whether `text` is a number as RFC 8259 writes it.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_keep_their_text_and_keys_their_order() {
        let tree = Tree::Map(
            [
                ("z".to_owned(), Tree::Number("1.10".into())),
                ("a".to_owned(), Tree::List(vec![Tree::Number("123456789012345678901234567890".into()), Tree::Null])),
                ("q\"".to_owned(), Tree::Text("line\nbreak".into())),
            ]
            .into_iter()
            .collect(),
        );
        assert_eq!(tree.to_json(), r#"{"z":1.10,"a":[123456789012345678901234567890,null],"q\"":"line\nbreak"}"#);
    }

    #[test]
    fn what_json_has_no_number_for_becomes_a_string() {
        for text in ["010", ".5", "1.", "0x1f", "+1", "-", "1e", ".nan", ""] {
            assert_eq!(Tree::Number(text.into()).to_json(), Value::from(text).to_string(), "{text}");
        }
        for text in ["0", "-0", "10", "1.50", "1e5", "-2.5E-10"] {
            assert_eq!(Tree::Number(text.into()).to_json(), text);
        }
    }

    #[test]
    fn a_json_value_survives() {
        let value = json!({"b": [1, -2, 0.5, u64::MAX], "a": {"t": true, "n": null, "s": "ä\u{1}"}});
        assert_eq!(Tree::from(value.clone()).to_json(), value.to_string());
    }

    #[test]
    fn wire_text_is_bare_for_scalars_and_json_for_the_rest() {
        assert_eq!(Tree::Null.wire_text(), None);
        assert_eq!(Tree::from(json!(true)).wire_text().as_deref(), Some("true"));
        assert_eq!(Tree::from(json!("a b")).wire_text().as_deref(), Some("a b"));
        assert_eq!(Tree::from(json!({"z": [1], "a": "x"})).wire_text().as_deref(), Some(r#"{"z":[1],"a":"x"}"#));
    }
}
