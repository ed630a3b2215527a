//! JSON in and out of jaq's values, without loss: what can't be held is an error.

use std::fmt::Write as _;

use jaq_json::{Map, Num, Val, read};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{JqRunError, short};

/// The deepest nesting of an input: the limit of `serde_json`. jaq's reader recurses and has none.
const MAX_DEPTH: usize = 128;

/// Reads one JSON text. jaq's own reader takes more than JSON, so `serde_json` looks first.
pub(super) fn parse(body: &[u8]) -> Result<Val, JqRunError> {
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| JqRunError::Input { message: error.to_string() })?;
    if depth(body) > MAX_DEPTH {
        return Err(JqRunError::Input { message: format!("it is nested more than {MAX_DEPTH} deep") });
    }
    parse_checked(body)
}

/// Reads one text that is JSON, and no deeper than [`MAX_DEPTH`].
pub(super) fn parse_checked(body: &[u8]) -> Result<Val, JqRunError> {
    read::parse_single(body).map_err(|error| JqRunError::Input { message: error.to_string() })
}

/// Counts how deep the brackets of a JSON text are nested.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Makes jaq's value of a JSON value.
pub(super) fn from_value(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Number(number) => Val::Num(if let Some(signed) = number.as_i64() {
            Num::from_integral(signed)
        } else if let Some(unsigned) = number.as_u64() {
            Num::from_integral(unsigned)
        } else {
            Num::Float(number.as_f64().unwrap_or(f64::NAN))
        }),
        Value::String(text) => Val::utf8_str(text.clone()),
        Value::Array(items) => items.iter().map(from_value).collect(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (Val::utf8_str(key.clone()), from_value(value)));
            Val::obj(entries.collect::<Map>())
        }
    }
}

/// Makes jaq's values of JSON values.
pub(super) fn from_values(values: &[Value]) -> Vec<Val> {
    values.iter().map(from_value).collect()
}

/// Makes a JSON value of jaq's value. A decimal becomes the nearest double; an integer beyond 64 bits is an error.
pub(super) fn to_value(value: &Val) -> Result<Value, JqRunError> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Num(number) => {
            let text = number_text(number)?;
            let parsed: serde_json::Number = serde_json::from_str(&text).map_err(|_| not_json(value))?;
            let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            if whole && parsed.is_f64() {
                return Err(JqRunError::NotJson { what: format!("{text}, an integer beyond 64 bits") });
            }
            Value::Number(parsed)
        }
        Val::TStr(bytes) => Value::String(text_of(bytes, value)?.to_owned()),
        Val::BStr(_) => return Err(not_json(value)),
        Val::Arr(items) => Value::Array(items.iter().map(to_value).collect::<Result<_, _>>()?),
        Val::Obj(entries) => {
            let mut object = serde_json::Map::with_capacity(entries.len());
            for (key, value) in entries.iter() {
                object.insert(key_of(key)?.to_owned(), to_value(value)?);
            }
            Value::Object(object)
        }
    })
}

/// Prints a value as JSON, numbers with all their digits.
pub(super) fn to_text(value: &Val) -> Result<String, JqRunError> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    String::from_utf8(out).map_err(|_| not_json(value))
}

fn write(value: &Val, out: &mut Vec<u8>) -> Result<(), JqRunError> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Val::Num(number) => out.extend_from_slice(number_text(number)?.as_bytes()),
        Val::TStr(bytes) => write_string(text_of(bytes, value)?, out)?,
        Val::BStr(_) => return Err(not_json(value)),
        Val::Arr(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Val::Obj(entries) => {
            out.push(b'{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(key_of(key)?, out)?;
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) -> Result<(), JqRunError> {
    serde_json::to_writer(out, text).map_err(|error| JqRunError::NotJson { what: error.to_string() })
}

/// Prints a number as JSON does. jaq keeps a decimal's own text, which `fromjson` may have taken from something laxer than JSON.
fn number_text(number: &Num) -> Result<String, JqRunError> {
    let mut text = String::new();
    let printed = write!(text, "{number}").is_ok();
    if printed && serde_json::from_str::<IgnoredAny>(&text).is_ok() {
        return Ok(text);
    }
    Err(JqRunError::NotJson { what: short(&text, 40) })
}

fn text_of<'a>(bytes: &'a [u8], value: &Val) -> Result<&'a str, JqRunError> {
    std::str::from_utf8(bytes).map_err(|_| not_json(value))
}

fn key_of(key: &Val) -> Result<&str, JqRunError> {
    match key {
        Val::TStr(bytes) => text_of(bytes, key),
        other => Err(JqRunError::NotJson { what: format!("the key {}", short(&other.to_string(), 40)) }),
    }
}

fn not_json(value: &Val) -> JqRunError {
    JqRunError::NotJson { what: short(&value.to_string(), 40) }
}
