//! The parameters of a request and the check that ntopng calls `http_lint` (vendors.md A1 and A10): an unknown name is an error, a
//! value that doesn't fit its name is dropped without a word.

use std::collections::BTreeMap;

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Number,
    Word,
    Order,
    Status,
    Format,
    Flag,
    Filter,
    Any,
}

/// The names that the simulator's `http_lint` knows, out of the several hundred of the real one.
const KNOWN: [(&str, Shape); 56] = [
    ("ifid", Shape::Any),
    ("currentPage", Shape::Number),
    ("perPage", Shape::Number),
    ("sortColumn", Shape::Word),
    ("sortOrder", Shape::Order),
    ("start", Shape::Number),
    ("length", Shape::Number),
    ("sort", Shape::Word),
    ("order", Shape::Order),
    ("epoch_begin", Shape::Number),
    ("epoch_end", Shape::Number),
    ("status", Shape::Status),
    ("format", Shape::Format),
    ("draw", Shape::Number),
    ("telemetry", Shape::Flag),
    ("verbose", Shape::Flag),
    ("all", Shape::Flag),
    ("no_html", Shape::Flag),
    ("row_id", Shape::Filter),
    ("alert_id", Shape::Filter),
    ("severity", Shape::Filter),
    ("score", Shape::Filter),
    ("cli_ip", Shape::Filter),
    ("srv_ip", Shape::Filter),
    ("ip", Shape::Filter),
    ("cli_port", Shape::Filter),
    ("srv_port", Shape::Filter),
    ("vlan_id", Shape::Filter),
    ("l7_proto", Shape::Filter),
    ("l7proto", Shape::Filter),
    ("info", Shape::Filter),
    ("role", Shape::Filter),
    ("role_cli_srv", Shape::Filter),
    ("alert_type", Shape::Any),
    ("alert_family", Shape::Word),
    ("maxhits_clause", Shape::Number),
    ("select_clause", Shape::Any),
    ("where_clause", Shape::Any),
    ("order_by_clause", Shape::Any),
    ("group_by_clause", Shape::Any),
    ("begin_time_clause", Shape::Any),
    ("end_time_clause", Shape::Any),
    ("ts_schema", Shape::Any),
    ("ts_query", Shape::Any),
    ("ts_aggregation", Shape::Word),
    ("ts_compare", Shape::Any),
    ("limit", Shape::Number),
    ("host", Shape::Any),
    ("vlan", Shape::Number),
    ("network", Shape::Any),
    ("page", Shape::Any),
    ("mode", Shape::Word),
    ("version", Shape::Any),
    ("referer", Shape::Any),
    ("message", Shape::Any),
    ("error_message", Shape::Any),
];

/// A parameter whose name nobody knows. Its text is what ntopng's own check says, to the letter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "/usr/share/ntopng/scripts/lua/modules/http_lint.lua:2844: [LINT] Validation error: Unknown key '{name}' [{value}]: missing \
     validation perhaps?\n"
)]
pub(super) struct UnknownParameter {
    pub(super) name: String,
    pub(super) value: String,
}

/// The parameters of a request that passed.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads the query and, over it, the body, an object in JSON. Of a name given twice the last value counts.
    pub(super) fn read(query: &str, body: &[u8]) -> Result<Self, UnknownParameter> {
        let mut given: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        given.extend(body_parameters(body));
        let mut passed = BTreeMap::new();
        for (name, value) in given {
            match KNOWN.iter().find(|(known, _)| *known == name) {
                None => return Err(UnknownParameter { name, value }),
                Some((_, shape)) if fits(*shape, &value) => {
                    passed.insert(name, value);
                }
                Some(_) => {}
            }
        }
        Ok(Self(passed))
    }

    /// The value, `None` where it is missing, empty or was dropped.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value as a whole number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Whether the value is `true` or `1`.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// All names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The members of a JSON object as parameters; nothing where the body is something else.
fn body_parameters(body: &[u8]) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body) else { return Vec::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn fits(shape: Shape, value: &str) -> bool {
    match shape {
        Shape::Number => value.parse::<i64>().is_ok(),
        Shape::Word => value.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c)),
        Shape::Order => matches!(value, "asc" | "desc"),
        Shape::Status => matches!(value, "historical" | "acknowledged" | "engaged" | "any"),
        Shape::Format => matches!(value, "json" | "txt"),
        Shape::Flag => matches!(value, "true" | "false" | "0" | "1"),
        Shape::Filter => value.split(',').all(|part| {
            part.rsplit_once(';').is_none_or(|(_, op)| matches!(op, "eq" | "neq" | "lt" | "lte" | "gt" | "gte"))
        }),
        Shape::Any => true,
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn odd_values_are_dropped_and_odd_names_refused() {
        let params =
            Params::read("perPage=abc&start=5&order=up&epoch_begin=2024-01-01&row_id=7%3Bgt&sort=", b"").unwrap();
        assert_eq!(params.iter().collect::<Vec<_>>(), [("row_id", "7;gt"), ("sort", ""), ("start", "5")]);
        assert_eq!(params.get("sort"), None);
        let refused = Params::read("ifid=0&order_by=x", b"").unwrap_err();
        assert_eq!((refused.name.as_str(), refused.value.as_str()), ("order_by", "x"));
    }

    #[test]
    fn a_json_body_goes_over_the_query() {
        let params = Params::read("ifid=0&start=1", br#"{"ifid": 1, "length": "9"}"#).unwrap();
        assert_eq!(
            (params.number("ifid"), params.number("start"), params.number("length")),
            (Some(1), Some(1), Some(9))
        );
    }
}
