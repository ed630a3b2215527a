//! Values of the template engine to and from JSON. Keys keep their order, integers their digits.

use minijinja::value::{Value as Templated, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Number, Value};

/// Makes a value of the template engine.
#[must_use]
pub fn to_template(value: &Value) -> Templated {
    match value {
        Value::Null => Templated::from(()),
        Value::Bool(flag) => Templated::from(*flag),
        Value::Number(number) => number_to_template(number),
        Value::String(text) => Templated::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_template).collect(),
        Value::Object(map) => Templated::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_template(value)))),
    }
}

fn number_to_template(number: &Number) -> Templated {
    if let Some(signed) = number.as_i64() {
        return Templated::from(signed);
    }
    number.as_u64().map_or_else(|| Templated::from(number.as_f64().unwrap_or(f64::NAN)), Templated::from)
}

/// Makes JSON of a value of the template engine. Undefined, bytes and what has no JSON are errors.
pub(super) fn to_json(value: &Templated) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(value.is_true())),
        ValueKind::Number => number_to_json(value),
        ValueKind::String => Ok(Value::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter()?.map(|item| to_json(&item)).collect::<Result<_, _>>().map(Value::Array)
        }
        ValueKind::Map => map_to_json(value),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("a value is {kind}, which has no JSON"))),
    }
}

fn number_to_json(value: &Templated) -> Result<Value, Error> {
    if value.is_integer() {
        if let Ok(signed) = i64::try_from(value.clone()) {
            return Ok(Value::from(signed));
        }
        return u64::try_from(value.clone()).map(Value::from);
    }
    let double = f64::try_from(value.clone())?;
    Number::from_f64(double)
        .map(Value::Number)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{double} has no JSON")))
}

fn map_to_json(value: &Templated) -> Result<Value, Error> {
    let mut map = Map::new();
    for key in value.try_iter()? {
        let inner = to_json(&value.get_item(&key)?)?;
        map.insert(key.as_str().map_or_else(|| key.to_string(), str::to_owned), inner);
    }
    Ok(Value::Object(map))
}
