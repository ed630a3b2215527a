//! JSON as ntopng's Lua encoder writes it (vendors.md A2): keys in an order of their own in every answer, `[]` for an empty table,
//! floats with 14 digits, `null` for NaN. Objects are plain lists of pairs: a page of 1,000 alerts has 100,000 values in it.

use std::fmt::Write as _;

use crate::appliance::dice::mix;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Text that needs no escape: never anything that came from the network.
    Plain(&'static str),
    Text(String),
    List(Vec<Json>),
    Table(Vec<(&'static str, Json)>),
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u16> for Json {
    fn from(value: u16) -> Self {
        Self::Int(value.into())
    }
}

impl From<u8> for Json {
    fn from(value: u8) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&'static str> for Json {
    fn from(value: &'static str) -> Self {
        Self::Plain(value)
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// Makes a table.
pub(super) fn table<const N: usize>(pairs: [(&'static str, Json); N]) -> Json {
    Json::Table(pairs.into())
}

/// Makes `{"value": .., "label": ..}`, the shape of half of all fields.
pub(super) fn labelled(value: impl Into<Json>, label: impl Into<Json>) -> Json {
    table([("value", value.into()), ("label", label.into())])
}

/// Makes the integer of a count.
pub(super) fn count(number: usize) -> Json {
    Json::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Json {
    /// Writes the value; `salt` decides on the order of keys.
    pub(super) fn write(&self, salt: u64, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Int(number) => push(out, number),
            Self::Float(number) => write_float(*number, out),
            Self::Plain(text) => out.extend(["\"", text, "\""]),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => write_list(values, salt, out),
            // An empty Lua table is an empty list to the encoder.
            Self::Table(pairs) if pairs.is_empty() => out.push_str("[]"),
            Self::Table(pairs) => write_table(pairs, salt, out),
        }
    }

    /// The value as `serde_json` reads it off the wire.
    pub(super) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(number) => Value::from(*number),
            Self::Float(number) => Value::from(rounded(*number)),
            Self::Plain(text) => Value::from(*text),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(values) => values.iter().map(Self::to_value).collect(),
            Self::Table(pairs) if pairs.is_empty() => Value::Array(Vec::new()),
            Self::Table(pairs) => pairs.iter().map(|(key, value)| ((*key).to_owned(), value.to_value())).collect(),
        }
    }
}

fn write_list(values: &[Json], salt: u64, out: &mut String) {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        value.write(salt, out);
    }
    out.push(']');
}

fn write_table(pairs: &[(&'static str, Json)], salt: u64, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in shuffled(pairs, salt).enumerate() {
        out.push_str(if index == 0 { "\"" } else { ",\"" });
        out.push_str(key);
        out.push_str("\":");
        value.write(salt, out);
    }
    out.push('}');
}

/// Walks through `list` from a place and in steps that `salt` decides on: cheap, and enough to catch who relies on an order.
fn shuffled<T>(list: &[T], salt: u64) -> impl Iterator<Item = &T> {
    const STEPS: [usize; 6] = [1, 5, 7, 11, 13, 17];
    let length = list.len();
    let word = usize::try_from(mix(salt, 0) >> 48).unwrap_or(0);
    let step = (0..6).map(|place| STEPS[(word + place) % 6]).find(|step| coprime(*step, length)).unwrap_or(1);
    (0..length).filter_map(move |index| list.get((word + index * step) % length))
}

/// Tells whether steps of `step`, 1 or a prime, reach every place of a ring of `length`.
const fn coprime(step: usize, length: usize) -> bool {
    step == 1 || !length.is_multiple_of(step)
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string can't fail.
    let _ = write!(out, "{value}");
}

/// Rounds to 14 significant digits, as Lua's `%.14g` does.
fn rounded(number: f64) -> f64 {
    format!("{number:.13e}").parse().unwrap_or(number)
}

fn write_float(number: f64, out: &mut String) {
    if number.is_finite() {
        let _ = write!(out, "{:?}", rounded(number));
    } else {
        out.push_str("null");
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut clean = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.push_str(text.get(clean..index).unwrap_or_default());
        write_escape(byte, out);
        clean = index + 1;
    }
    out.push_str(text.get(clean..).unwrap_or_default());
    out.push('"');
}

fn write_escape(byte: u8, out: &mut String) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            let _ = write!(out, "\\u{byte:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};

    use super::{Json, table};

    fn written(json: &Json, salt: u64) -> String {
        let mut out = String::new();
        json.write(salt, &mut out);
        out
    }

    #[test]
    fn numbers_and_empty_tables_look_like_luas() {
        let json = Json::List(vec![
            Json::Float(0.0),
            Json::Float(558.607_543_945_312_5),
            Json::Float(f64::NAN),
            Json::Int(9_007_199_254_740_993),
            Json::Table(Vec::new()),
        ]);
        assert_eq!(written(&json, 1), "[0.0,558.60754394531,null,9007199254740993,[]]");
    }

    #[test]
    fn the_salt_orders_the_keys() {
        let json = table([("a", 1_i64.into()), ("b", 2_i64.into()), ("c", 3_i64.into()), ("d", 4_i64.into())]);
        let orders: std::collections::HashSet<_> = (0..40).map(|salt| written(&json, salt)).collect();
        assert!(orders.len() > 2, "{orders:?}");
        assert_eq!(written(&json, 5), written(&json, 5));
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop::strategy::Union::new([
            proptest::prelude::any::<String>().prop_map(Json::Text).boxed(),
            proptest::prelude::any::<i64>().prop_map(Json::Int).boxed(),
            (-1e12..1e12).prop_map(Json::Float).boxed(),
        ]);
        leaf.prop_recursive(3, 30, 9, |inner| {
            let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
            prop::collection::vec(inner, 0..9)
                .prop_map(move |values| Json::Table(keys.into_iter().zip(values).collect()))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(json in any_json(), salt: u64) {
            let read: serde_json::Value = serde_json::from_str(&written(&json, salt)).unwrap();
            proptest::prop_assert_eq!(read, json.to_value());
        }
    }
}
