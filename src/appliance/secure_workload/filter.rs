//! Filters: `eq ne lt lte gt gte in contains range`, and `and or not` of them. `{}` is all.

use std::cmp::Ordering;

use serde_json::Value;

/// Tells whether a record passes.
pub(super) fn passes(filter: &Value, record: &Value) -> Result<bool, String> {
    let Value::Object(fields) = filter else { return Err("filter is no object".to_owned()) };
    if fields.is_empty() {
        return Ok(true);
    }
    let kind = filter["type"].as_str().unwrap_or_default();
    let list = |name: &str| filter[name].as_array().ok_or_else(|| format!("filter of type '{kind}' has no '{name}'"));
    let each = |filters: &[Value]| filters.iter().map(|filter| passes(filter, record)).collect::<Result<Vec<_>, _>>();
    match kind {
        "and" => return Ok(each(list("filters")?)?.into_iter().all(|passed| passed)),
        "or" => return Ok(each(list("filters")?)?.into_iter().any(|passed| passed)),
        "not" => return passes(&filter["filter"], record).map(|passed| !passed),
        _ => {}
    }
    let field = filter["field"].as_str().ok_or("filter has no field")?;
    let found = text(&record[field]);
    let value = text(&filter["value"]);
    Ok(match kind {
        "eq" => found == value,
        "ne" => found != value,
        "lt" => compare(&found, &value).is_lt(),
        "lte" => compare(&found, &value).is_le(),
        "gt" => compare(&found, &value).is_gt(),
        "gte" => compare(&found, &value).is_ge(),
        "contains" => found.contains(&value),
        "in" => list("values")?.iter().any(|value| text(value) == found),
        "range" => compare(&found, &text(&filter["start"])).is_ge() && compare(&found, &text(&filter["end"])).is_le(),
        other => return Err(format!("unknown filter type '{other}'")),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Compares numbers by value, whether they are written as numbers or, as filters have them, as strings.
fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_read_as_the_documents_write_them() {
        let record = json!({"dst_port": 443, "category": "escaped", "fwd_bytes": u64::MAX});
        let documented = json!({"type": "and", "filters": [
            {"type": "contains", "field": "category", "value": "escaped"},
            {"type": "in", "field": "dst_port", "values": ["80", "443"]},
        ]});
        assert_eq!(passes(&documented, &record), Ok(true));
        assert_eq!(passes(&json!({"type": "not", "filter": documented}), &record), Ok(false));
        assert_eq!(passes(&json!({"type": "gt", "field": "dst_port", "value": "80"}), &record), Ok(true));
        assert_eq!(passes(&json!({"type": "range", "field": "dst_port", "start": 1, "end": 100}), &record), Ok(false));
        assert_eq!(passes(&json!({}), &record), Ok(true));
        assert!(passes(&json!({"type": "near", "field": "dst_port"}), &record).is_err());
        assert!(passes(&json!([]), &record).is_err());
    }
}
