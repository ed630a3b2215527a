//! What to say to those who write a field under the name that other tools, or other habits, have for it.

/// A name as it is often written, and the field that is meant, where it is known at that place.
const MEANT: [(&str, &str); 40] = [
    ("api_key", "header"),
    ("batch_size", "size"),
    ("columns", "key"),
    ("cron", "schedule"),
    ("cursor_field", "cursor"),
    ("data_path", "records"),
    ("data_selector", "records"),
    ("depends_on", "rows_of"),
    ("destination", "sinks"),
    ("dir", "url"),
    ("endpoint", "get"),
    ("end_date", "to"),
    ("field", "cursor"),
    ("field", "into"),
    ("filter", "where"),
    ("folder", "url"),
    ("granularity", "every"),
    ("host", "base_url"),
    ("interval", "every"),
    ("limit", "size"),
    ("max_retries", "attempts"),
    ("method", "get"),
    ("output", "sinks"),
    ("page_size", "size"),
    ("param", "into"),
    ("parameter", "into"),
    ("params", "query"),
    ("parent", "rows_of"),
    ("partition", "partition_by"),
    ("path", "get"),
    ("path", "url"),
    ("per_page", "size"),
    ("primary_key", "key"),
    ("since", "from"),
    ("source", "base_url"),
    ("sql", "transform"),
    ("start_date", "start"),
    ("until", "to"),
    ("url", "base_url"),
    ("user", "username"),
];

/// Returns what to do about a field that doesn't exist at a place where those of `known` do.
pub(super) fn of_field(name: &str, known: &[&str]) -> Option<String> {
    let has = |field: &str| known.contains(&field);
    if matches!(name, "type" | "kind") && has("offset") {
        return Some("the kind is the key itself: `{offset: {into: query.start, size: 100}}`".to_owned());
    }
    if matches!(name, "limit" | "page_size" | "per_page" | "size" | "into") && has("offset") {
        return Some("it stands in the kind: `{offset: {into: query.start, size: 100}}`".to_owned());
    }
    if matches!(name, "type" | "format") && has("parquet") {
        return Some("the format is the key itself: `{parquet: {url: ./lake}}`".to_owned());
    }
    if matches!(name, "url" | "partition_by" | "compression" | "path") && has("parquet") {
        return Some("a sink has a name of its own first: `lake: {parquet: {url: ./lake}}`".to_owned());
    }
    if matches!(name, "path" | "url" | "endpoint" | "method") && has("get") {
        return Some("write the method and the path as one: `get: /orders`".to_owned());
    }
    if matches!(name, "method" | "path" | "verb") && has("post") {
        return Some(
            "write the method and the path as one: `post: /tickets`; where the method depends on the row, \
             `request: {method: '{{ ... }}', path: /tickets}`"
                .to_owned(),
        );
    }
    let meant = MEANT.iter().find(|(written, meant)| *written == name && has(meant)).map(|(_, meant)| meant);
    meant.map(|meant| format!("did you mean `{meant}`?"))
}

/// Returns what to write for a field that is missing.
pub(super) fn of_missing(name: &str) -> String {
    let written = match name {
        "as" => {
            "`as:`, how instants are written in requests: `epoch_s`, `epoch_ms`, `rfc3339`, or a format such as '%Y-%m-%d'"
        }
        "base_url" => "`base_url:`, such as `base_url: https://api.example.com/v1`",
        "cron" => "`cron:`, such as `cron: '15 2 * * *'`",
        "every" => "`every:`, how much time a slice covers, such as `every: 1d`",
        "get" => "`get:`, the path of the request, such as `get: /orders`",
        "into" => "`into:`, the place in the request that it goes to, such as `into: query.offset`",
        "paginate" => {
            "`paginate:`, such as `paginate: {offset: {into: query.offset, size: 100}}`; `paginate: none` for a list of one page"
        }
        "size" => "`size:`, how many rows a page is asked for, such as `size: 100`",
        "start" => "`start:`, where the first slice begins: `-30d`, or an instant such as '2026-01-01T00:00:00Z'",
        "version" => "`version: 1`",
        other => return format!("add `{other}:`"),
    };
    format!("add {written}")
}

/// Returns how a map is written whose one value stands alone.
pub(super) fn of_lone(text: &str, known: &[&str]) -> Option<String> {
    let field = match known {
        ["cron", ..] => return Some(format!("write `{{cron: '{text}'}}`")),
        ["url", "header"] => "url",
        ["attempts", ..] => "attempts",
        ["connect", "request"] => "request",
        _ => return None,
    };
    Some(format!("write `{{{field}: {text}}}`"))
}

/// Returns what to do about a map of several keys where one is due, that names a kind.
pub(super) fn of_kind(keys: &[&str], known: &[&str]) -> Option<String> {
    let says_kind = keys.iter().any(|key| matches!(*key, "type" | "kind" | "method"));
    (says_kind && known.contains(&"bearer")).then(|| {
        "the kind is the key itself: `{bearer: '${TOKEN}'}`, `{basic: {username: ..., password: ...}}`".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_tools_call_it_is_known_where_it_fits() {
        assert_eq!(of_field("page_size", &["into", "size"]).as_deref(), Some("did you mean `size`?"));
        assert_eq!(of_field("field", &["start", "cursor"]).as_deref(), Some("did you mean `cursor`?"));
        assert_eq!(of_field("field", &["into", "value"]).as_deref(), Some("did you mean `into`?"));
        assert_eq!(of_field("page_size", &["cron"]), None);
        assert!(of_field("url", &["parquet", "csv"]).is_some_and(|advice| advice.contains("a name of its own")));
        assert!(of_field("path", &["get", "post"]).is_some_and(|advice| advice.contains("`get: /orders`")));
        assert!(of_kind(&["type", "token"], &["none", "bearer"]).is_some());
        assert_eq!(of_kind(&["basic", "bearer"], &["none", "bearer"]), None);
        assert_eq!(of_lone("30s", &["connect", "request"]).as_deref(), Some("write `{request: 30s}`"));
    }

    #[test]
    fn nothing_is_advised_that_is_what_was_written() {
        assert!(MEANT.iter().all(|(written, meant)| written != meant));
    }
}
