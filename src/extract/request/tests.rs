use serde_json::json;

use super::*;
use crate::lang::place::Place;

fn spec(method: http::Method, path: &str, parts: &Value) -> RequestSpec {
    let map = |name: &str| match Tree::from(parts.get(name).cloned().unwrap_or_default()) {
        Tree::Map(entries) => entries,
        _ => IndexMap::new(),
    };
    RequestSpec {
        method: method.into(),
        path: path.to_owned(),
        query: map("query"),
        headers: map("headers"),
        body: parts.get("body").cloned().map(Tree::from),
        form: parts.get("form").map(|_| map("form")),
    }
}

fn tree(base: &str, path: &str, parts: &Value) -> Result<RequestTree, RequestError> {
    let method = if parts.get("body").or(parts.get("form")).is_some() { http::Method::POST } else { http::Method::GET };
    RequestTree::compile(base, spec(method, path, parts))
}

fn get(path: &str, parts: &Value, context: &Value) -> Result<RenderedRequest, RequestError> {
    tree("http://127.0.0.1:3000/base/", path, parts)?.render(context, &[])
}

fn edit(place: &str, value: Value) -> Edit {
    Edit { place: Place::compile(place, &["direction"]).unwrap(), value }
}

#[test]
fn a_list_is_a_parameter_for_each_item() {
    let parts = json!({"query": {"statuses[]": ["open", "{{ v }}", null, 3], "none": [], "deep": [[1, 2], {"a": true}], "last": "x"}});
    let request = get("/l", &parts, &json!({"v": "a&b"})).unwrap();
    let expected = "GET /base/l?statuses%5B%5D=open&statuses%5B%5D=a%26b&statuses%5B%5D=3&deep=%5B1%2C2%5D&deep=%7B%22a%22%3Atrue%7D&last=x";
    assert_eq!(request.line(), expected);
}

#[test]
fn a_query_is_rendered_in_order_with_json_for_an_object() {
    let parts = json!({"query": {
        "ifid": "{{ iface.ifid }}", "status": "any", "gone": null, "flag": true,
        "created[gte]": "2026-01-01 00:00", "filter": {"z": [1, "ü"], "a": null}, "row_id": "5;gt",
    }});
    let request = get("/list.lua", &parts, &json!({"iface": {"ifid": 0}})).unwrap();
    assert_eq!(
        request.line(),
        "GET /base/list.lua?ifid=0&status=any&flag=true&created%5Bgte%5D=2026-01-01%2000%3A00\
         &filter=%7B%22z%22%3A%5B1%2C%22%C3%BC%22%5D%2C%22a%22%3Anull%7D&row_id=5%3Bgt"
    );
    assert_eq!(request.url().origin().ascii_serialization(), "http://127.0.0.1:3000");
}

#[test]
fn a_value_can_neither_leave_its_segment_nor_the_origin() {
    let path = |value: &str| get("/a/{{ v }}/b", &json!({}), &json!({"v": value}));
    assert_eq!(path("x/../y").unwrap().url().as_str(), "http://127.0.0.1:3000/base/a/x%2F..%2Fy/b");
    assert_eq!(path("//evil.example/").unwrap().url().host_str(), Some("127.0.0.1"));
    assert_eq!(path("?q=1#f").unwrap().url().query(), None);
    assert!(matches!(path(".."), Err(RequestError::Path { .. })));
    assert!(matches!(path("."), Err(RequestError::Path { .. })));
    assert!(matches!(get("/{{ v }}{{ v }}", &json!({}), &json!({"v": "."})), Err(RequestError::Path { .. })));
    assert!(matches!(tree("https://{{ host }}/", "/", &json!({})), Err(RequestError::BaseUrl { .. })));
    assert!(matches!(tree("http://a", "@evil.example/", &json!({})), Err(RequestError::Path { .. })));
    assert_eq!(
        tree("http://a", "//evil/", &json!({})).unwrap().render(&json!({}), &[]).unwrap().url().host_str(),
        Some("a")
    );
}

#[test]
fn paths_and_base_urls_that_would_surprise_are_refused() {
    for path in ["list", "/a?b=1", "/a#b", "/a/../b", "/a/%2E%2e/b", "/a\\b"] {
        assert!(matches!(tree("http://a", path, &json!({})), Err(RequestError::Path { .. })), "{path}");
    }
    for base in ["ftp://a", "a", "http://u:secret@a", "http://a/?x=1"] {
        let error = tree(base, "/", &json!({})).unwrap_err();
        assert!(matches!(error, RequestError::BaseUrl { .. }) && !error.to_string().contains("secret"), "{error}");
    }
    let joined = tree("http://a/v2", "", &json!({})).unwrap().render(&json!({}), &[]).unwrap();
    assert_eq!(joined.url().as_str(), "http://a/v2");
}

#[test]
fn keys_are_rendered_and_edits_reach_below_them() {
    let parts = json!({"form": {
        "rm": "report_api",
        "data_requested": {"{{ direction }}": {"offset": 0}},
        "nothing": null,
    }});
    let request = tree("http://a", "/x", &parts).unwrap();
    let context = json!({"direction": "inbound"});
    let rendered = request.render(&context, &[edit("form.data_requested[$direction].offset", json!(1000))]).unwrap();
    assert_eq!(
        rendered.payload,
        Payload::Form(vec![
            ("rm".to_owned(), "report_api".to_owned()),
            ("data_requested".to_owned(), r#"{"inbound":{"offset":1000}}"#.to_owned()),
        ])
    );
    assert_eq!(rendered.body().unwrap().0, "application/x-www-form-urlencoded");
    assert_eq!(request.templates().len(), 1);
}

#[test]
fn numbers_reach_the_server_as_they_were_written() {
    let mut spec = spec(http::Method::POST, "/x", &json!({"query": {}}));
    spec.query.insert("v".to_owned(), Tree::Number("1.10".to_owned()));
    spec.body = Some(Tree::List(vec![Tree::Number("18446744073709551617".to_owned())]));
    let rendered = RequestTree::compile("http://a", spec).unwrap().render(&json!({}), &[]).unwrap();
    assert_eq!(rendered.line(), "POST /x?v=1.10 [18446744073709551617]");
}

#[test]
fn headers_hold_no_line_break() {
    let header = |value: &str| get("/x", &json!({"headers": {"X-A": "{{ v }}"}}), &json!({"v": value}));
    assert_eq!(header("plain ü").unwrap().headers["x-a"].as_bytes(), "plain ü".as_bytes());
    for bad in ["a\r\nHost: evil", "a\nb", "a\rb", "a\0b"] {
        assert!(matches!(header(bad), Err(RequestError::Header { .. })), "{bad:?}");
    }
    for bad in [" k", "k ", "\tk", " "] {
        let error = header(bad).unwrap_err().to_string();
        assert!(error.contains("begins or ends with a blank, which HTTP drops on the way"), "{bad:?}: {error}");
    }
    let written = get("/x", &json!({"headers": {"X-A": " k ", "X-B": "v {{ v }} "}}), &json!({"v": "k"})).unwrap();
    assert_eq!((&written.headers["x-a"], &written.headers["x-b"]), (&"k".parse().unwrap(), &"v k".parse().unwrap()));
    assert!(get("/x", &json!({"headers": {"a b": "c"}}), &json!({})).is_err());
    assert!(get("/x", &json!({"headers": {"a": [1]}}), &json!({})).is_err());
}

#[test]
fn an_error_names_the_field() {
    let error = get("/x", &json!({"query": {"a": {"b": ["{{ nope }}"]}}}), &json!({"now": 1})).unwrap_err();
    assert!(error.to_string().starts_with("query.a.b[0]: 'nope' is undefined; known: now"), "{error}");
    let error = get("/x", &json!({"query": {"{{ a }}": 1, "k": 2}}), &json!({"a": "k"})).unwrap_err();
    assert!(matches!(error, RequestError::DoubleKey { .. }));
}

#[test]
fn a_body_and_a_form_do_not_go_together() {
    assert!(matches!(tree("http://a", "/", &json!({"body": {}, "form": {}})), Err(RequestError::BodyAndForm)));
    let form = tree("http://a", "/", &json!({"form": {}})).unwrap();
    assert!(matches!(form.render(&json!({}), &[edit("body.x", json!(1))]), Err(RequestError::BodyAndForm)));
}

#[test]
fn the_fingerprint_is_of_all_that_is_asked() {
    let print = |path, parts: Value| get(path, &parts, &json!({})).unwrap().fingerprint();
    let one = print("/x", json!({"query": {"a": 1}}));
    assert_eq!(one, print("/x", json!({"query": {"a": 1}})));
    for other in [
        print("/x", json!({"query": {"a": 2}})),
        print("/y", json!({"query": {"a": 1}})),
        print("/x", json!({"query": {"a": 1}, "headers": {"h": 1}})),
        print("/x", json!({"query": {"a": 1}, "body": {}})),
    ] {
        assert_ne!(one, other);
    }
}
