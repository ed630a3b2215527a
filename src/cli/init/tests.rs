//! What is seen in answers of known APIs, and that whatever is answered gives a file that can be read.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::{Answer, jq};
use super::target::Target;
use super::{draft, paging};
use crate::pipeline::check;
use crate::pipeline::load::{Lookup, Source};

struct Nothing;

impl Lookup for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no such file".to_owned())
    }
}

fn target(query: &[(&str, &str)]) -> Target {
    Target {
        name: "shop".to_owned(),
        job: "orders".to_owned(),
        base_url: "https://api.example.com:8443/v1".to_owned(),
        path: "/orders".to_owned(),
        query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        auth: None,
        headers: Vec::new(),
        ca_file: None,
    }
}

/// Says what `paginate` and `records` are for an answer.
fn seen(query: &[(&str, &str)], headers: &Value, body: &Value) -> String {
    let target = target(query);
    let answer = Answer::new(&target.query, headers, body);
    format!("{} {}", answer.records.path, paging::of(&answer, answer.key()).yaml)
}

fn rows(count: u64) -> Value {
    (0..count).map(|id| json!({"id": id})).collect()
}

#[test]
fn answers_of_known_apis() {
    let (none, two) = (json!({}), rows(2));
    for (query, body, expected) in [
        (
            &[][..],
            json!({"results": two, "paging": {"next": {"after": "2", "link": "?after=2"}}}),
            ".results[] {next_link: {url: .paging.next.link}}",
        ),
        (
            &[],
            json!({"total": 9, "results": two, "paging": {"next": {"after": "2"}}}),
            ".results[] {cursor: {into: query.after, value: .paging.next.after}, total: .total}",
        ),
        (
            &[],
            json!({"ok": true, "messages": two, "has_more": true, "response_metadata": {"next_cursor": "dXNlcg=="}}),
            ".messages[] {cursor: {into: query.cursor, value: .response_metadata.next_cursor}, more: .has_more}",
        ),
        (
            &[("limit", "2"), ("offset", "0")],
            json!({"incidents": two, "limit": 2, "offset": 0, "more": true, "total": null}),
            ".incidents[] {offset: {into: query.offset, size_into: query.limit, size: 2}, more: .more}",
        ),
        (
            &[("startAt", "0"), ("maxResults", "100")],
            json!({"startAt": 0, "maxResults": 2, "total": 8, "issues": two}),
            ".issues[] {offset: {into: query.startAt, size_into: query.maxResults, size: 2}, total: .total}",
        ),
        (
            &[("page[size]", "2"), ("page[number]", "1")],
            json!({"data": two, "links": {"self": "/x"}, "meta": {"total": 5}}),
            ".data[] {page: {into: 'query[\"page[number]\"]', size_into: 'query[\"page[size]\"]', size: 2}, total: .meta.total}",
        ),
        (
            &[],
            json!({"files": two, "nextPageToken": "abc"}),
            ".files[] {cursor: {into: query.pageToken, value: .nextPageToken}}",
        ),
        (
            &[],
            json!({"NextToken": "abc", "Items": two}),
            ".Items[] {cursor: {into: query.NextToken, value: .NextToken}}",
        ),
        (
            &[],
            json!({"records": two, "offset": "itrX/recY"}),
            ".records[] {cursor: {into: query.offset, value: .offset}}",
        ),
        (
            &[],
            json!({"totalSize": 2, "done": true, "records": two}),
            ".records[] {none: true, total: .totalSize, more: '.done | not'}",
        ),
        (
            &[],
            json!({"hits": {"total": {"value": 70, "relation": "eq"}, "hits": two}}),
            ".hits.hits[] {none: true, total: .hits.total.value}",
        ),
        (
            &[],
            json!({"rsp": {"records": two, "recordsTotal": 80, "recordsFiltered": 7}}),
            ".rsp.records[] {none: true, total: .rsp.recordsFiltered}",
        ),
        (
            &[("startIndex", "1"), ("count", "2")],
            json!({"totalResults": 9, "Resources": two}),
            ".Resources[] {offset: {into: query.startIndex, size_into: query.count, size: 2, first: 1}, total: .totalResults}",
        ),
        (
            &[("$top", "2"), ("$skip", "0")],
            json!({"value": two}),
            ".value[] {offset: {into: 'query[\"$skip\"]', size_into: 'query[\"$top\"]', size: 2}}",
        ),
        (
            &[("from", "1767225600"), ("limit", "5")],
            json!({"odd name": {"x-y": two}}),
            ".[\"odd name\"][\"x-y\"][] none",
        ),
    ] {
        assert_eq!(seen(query, &none, &body), expected, "{body}");
    }
    assert_eq!(
        seen(&[("page", "0")], &json!({"x-total-count": "31"}), &two),
        ".[] {page: {into: query.page, size: 2, first: 0}, total: '$headers[\"x-total-count\"]'}"
    );
}

/// What is a guess says so: each of these would lose rows, or take others for them, where it is wrong.
#[test]
fn guesses_are_told() {
    let checks = |query: &[(&str, &str)], body: Value| {
        let target = target(query);
        let draft = draft::of(&target, &Answer::new(&target.query, &json!({}), &body), "GET /orders").unwrap();
        for check in &draft.checks {
            assert!(draft.text.contains("# CHECK ") && !check.is_empty(), "{}", draft.text);
        }
        draft.checks.join("; ")
    };
    let customers: Value = (0..3).map(|id| json!({"customer_id": id})).collect();
    assert!(
        checks(&[], json!({"rows": customers, "next": "/x?page=2", "has_more": true}))
            .contains("that `customer_id` tells rows apart")
    );
    for whole in [json!({"Items": rows(3), "Count": 3}), json!({"items": rows(3), "meta": {"total": 3}})] {
        assert!(checks(&[], whole).contains("counts all rows there are: it might count those of the page"));
    }
    assert!(
        checks(&[("page", "1")], json!({"done": true, "rows": rows(3)})).contains("that .done tells of the last page")
    );
    assert!(checks(&[], json!({"data": rows(3), "included": rows(9)})).contains("other lists, .included[]"));
    assert!(
        checks(&[("page", "3"), ("per_page", "3")], json!({"rows": rows(3), "total": 9}))
            .contains("asked for `page` 3, and the file begins with 1")
    );
    assert!(checks(&[], json!({"id": 1, "rows": [[1, 2]], "warnings": []})).contains("no list of objects"));
    assert_eq!(checks(&[("offset", "0"), ("limit", "3")], json!({"items": rows(3), "total": 9})), "");
}

#[test]
fn a_key_differs_from_record_to_record() {
    let key = |body: Value| {
        let headers = json!({});
        Answer::new(&[], &headers, &body).key().map(|key| format!("{}{}", key.name, if key.is_sure { "" } else { "?" }))
    };
    assert_eq!(key(json!([{"account_id": 1, "id": 7}, {"account_id": 1, "id": 8}])).as_deref(), Some("id"));
    assert_eq!(
        key(json!([{"type_id": 1, "OrderId": "a"}, {"type_id": 1, "OrderId": "b"}])).as_deref(),
        Some("OrderId?")
    );
    assert_eq!(key(json!([{"paid": 1}, {"paid": 2}])), None, "it ends with `id` by chance");
    assert_eq!(key(json!([{"id": 1}, {"id": 1}])), None);
    assert_eq!(key(json!([{"id": 1}, {"x": 1}])), None);
    assert_eq!(key(json!([{"id": 1.5}, {"id": {"a": 1}}])), None);
    assert_eq!(key(json!([{"${HOME}_id": 1}])), None, "the server doesn't choose what is looked up");
    assert_eq!(key(json!([])), None);
}

#[test]
fn records_are_in_the_list_whose_name_says_so() {
    let path = |body: Value| Answer::new(&[], &json!({}), &body).records.path;
    assert_eq!(
        path(json!({"errors": [], "a": {"b": [{"tags": [{"x": 1}, {"x": 2}]}]}, "names": ["x", "y", "z"]})),
        ".a.b[]"
    );
    assert_eq!(path(json!({"data": rows(3), "included": rows(9)})), ".data[]");
    assert_eq!(path(json!({"items": rows(1), "links": rows(3)})), ".items[]");
    assert_eq!(path(json!({"data": [], "meta": {"links": rows(1)}})), ".data[]");
    assert_eq!(path(json!({"items": rows(3), "facets": {"by": rows(20)}})), ".items[]");
    assert_eq!(path(json!({"status": "error", "errors": [{"code": 1}], "data": null})), ".");
    assert_eq!(path(json!({"rows": [[1, 2]], "warnings": []})), ".");
    assert_eq!(path(json!({"data": [{}, {}, null], "errors": []})), ".data[]");
    assert_eq!(path(json!({"warnings": [], "rows": []})), ".rows[]");
    assert_eq!(path(json!({"${NOPE}": rows(3)})), ".");
    assert_eq!(path(json!({"one": 1})), ".");
    assert_eq!(jq(&["a b".to_owned(), "c".to_owned(), "d\"e".to_owned()]), r#".["a b"].c["d\"e"]"#);
}

/// Names and texts that YAML, jq, templates and `${...}` would read as something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}",
        prop::sample::select(vec![
            "id",
            "next",
            "next_cursor",
            "nextPageToken",
            "total",
            "count",
            "has_more",
            "last",
            "offset",
            "page",
            "limit",
            "'",
            "\"",
            "a: b",
            "{x}",
            "[y]",
            "- z",
            "#n",
            "no",
            "null",
            "1",
            "@odata.nextLink",
            "é ü",
            "a.b",
            "\\",
            "a\nb",
            "\u{85}",
            "%",
            "&a",
            "*b",
            "!c",
            "?",
            "",
            " ",
            "https://h/x?page=2",
            "/x",
            "2026-01-01T00:00:00Z",
            "${NOPE}",
            "{{ now }}",
            "x_id",
        ])
        .prop_map(str::to_owned),
    ]
}

/// What a URL may have: what would be evaluated is refused before.
fn of_a_url() -> impl Strategy<Value = String> {
    text().prop_filter("evaluated", |text| !text.contains("${") && !text.contains("{{"))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..200).prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_answered_the_file_can_be_read(
        body in value(),
        query in prop::collection::vec((of_a_url().prop_filter("a name", |name| !name.is_empty()), of_a_url()), 0..4),
        header in text(),
    ) {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (target, headers) = (target(&query), json!({"link": header, "x-total-count": "12"}));
        let answer = Answer::new(&target.query, &headers, &body);
        let draft = draft::of(&target, &answer, "GET /orders").unwrap();
        let loaded = check::load(&Source { name: "p.yaml".to_owned(), text: draft.text.clone() }, &Nothing);
        prop_assert!(loaded.is_ok(), "{:?}\n{}", loaded.err(), draft.text);
    }
}
