use serde_json::json;

use super::*;

fn context() -> Value {
    json!({
        "iface": {"ifid": 0, "name": "eth0/1", "big": u64::MAX, "none": null},
        "now": "2026-01-08T10:20:30.250Z",
        "window": {"from": 1_767_225_600, "to": "x"},
    })
}

fn render(text: &str) -> Value {
    Template::compile(text).unwrap().render(&context()).unwrap()
}

fn fails(text: &str) -> TemplateError {
    Template::compile(text).and_then(|template| template.render(&context())).unwrap_err()
}

#[test]
fn a_sole_expression_keeps_its_type() {
    assert_eq!(render("{{ iface.ifid }}"), json!(0));
    assert_eq!(render("{{iface.big}}"), json!(u64::MAX));
    assert_eq!(render("{{- iface -}}"), context()["iface"]);
    assert_eq!(render("{{ iface }}").to_string(), context()["iface"].to_string(), "keys keep their order");
    assert_eq!(render("{{ iface.none }}"), Value::Null);
    assert_eq!(render("{{ [1, 'a', true] }}"), json!([1, "a", true]));
    assert_eq!(render("{{ 1.5 }}"), json!(1.5));
}

#[test]
fn any_other_text_is_a_string() {
    assert_eq!(render("plain"), json!("plain"));
    assert_eq!(render(" {{ iface.ifid }}"), json!(" 0"));
    assert_eq!(render("{{ iface.ifid }} {{ iface.ifid }}"), json!("0 0"));
    assert_eq!(render("{% if iface.ifid == 0 %}zero{% endif %}\n"), json!("zero\n"));
    assert_eq!(render("is {{ [1, true] }}"), json!("is [1,true]"));
    assert_eq!(render("<{{ iface.name }}>"), json!("<eth0/1>"));
}

#[test]
fn undefined_is_an_error_that_names_the_variable() {
    let error = fails("{{ iface.nope }}");
    assert_eq!(error.message, "'iface.nope' is undefined; known: iface, now, window");
    for text in ["{{ nope }}", "a {{ nope }}", "{{ nope.deeper }}", "{{ nope | upper }}", "{% if nope %}{% endif %}"] {
        let error = fails(text);
        assert!(error.message.contains("nope") && error.message.contains("is undefined"), "{text}: {error}");
        assert_eq!(error.offset, text.find("nope").unwrap(), "{text}: {error}");
    }
    assert_eq!(render("{{ nope | default(3) }}"), json!(3));
}

#[test]
fn null_in_a_text_is_an_error() {
    assert!(fails("x{{ iface.none }}").message.contains("is null"));
}

#[test]
fn mistakes_are_found_when_the_template_is_read() {
    let error = Template::compile("a {{ iface. }}").unwrap_err();
    assert!(error.offset >= 4, "{error}");
    assert!(Template::compile("{{ a").is_err());
    assert!(Template::compile("{% for %}").is_err());
}

#[test]
fn names_are_those_that_the_context_must_have() {
    let names = |text| Template::compile(text).unwrap().names().into_iter().collect::<Vec<_>>();
    assert_eq!(names("{{ iface.ifid }}-{{ now | ago('7d') }}"), ["iface.ifid", "now"]);
    assert_eq!(names("{% for i in range(3) %}{{ i }}{{ m['x'] }}{% endfor %}"), ["m"]);
    assert_eq!(names("plain"), Vec::<String>::new());
}

#[test]
fn instants_are_printed_and_moved() {
    assert_eq!(render("{{ now | time('%Y-%m-%d %H:%M:%S') }}"), json!("2026-01-08 10:20:30"));
    assert_eq!(render("{{ now | ago('7d') | time('%Y-%m-%d %H:%M:%S') }}"), json!("2026-01-01 10:20:30"));
    assert_eq!(render("{{ now | time('epoch_s') }}"), json!(1_767_867_630));
    assert_eq!(render("{{ now | time('epoch_ms') }}"), json!(1_767_867_630_250_u64));
    assert_eq!(render("{{ now | ago('250ms') | time('rfc3339') }}"), json!("2026-01-08T10:20:30Z"));
    assert!(fails("{{ now | time('%Q') }}").message.contains("strftime"));
    assert!(fails("{{ now | ago('a week') }}").message.contains("duration"));
    assert!(fails("{{ window.to | time('epoch_s') }}").message.contains("instant"));
}

#[test]
fn work_is_bounded_and_nothing_is_read_from_outside() {
    assert!(
        fails("{% for a in range(9000) %}{% for b in range(9000) %}{{ b }}{% endfor %}{% endfor %}")
            .message
            .contains("work")
    );
    assert!(Template::compile("{% include '/etc/passwd' %}").and_then(|it| it.render(&context())).is_err());
}

#[test]
fn a_value_in_a_path_is_one_segment() {
    let path = |text, value: &str| Template::compile_path(text).unwrap().render(&json!({"v": value}));
    assert_eq!(path("/a/{{ v }}/b", "x/../y?z#%").unwrap(), json!("/a/x%2F..%2Fy%3Fz%23%25/b"));
    assert_eq!(path("/a b/{{ v }}", "ä").unwrap(), json!("/a b/%C3%A4"));
    assert!(path("/a/{{ v }}", "").unwrap_err().message.contains("empty"));
    assert!(path("/a/{{ w }}", "").unwrap_err().message.contains("'w' is undefined"));
    assert_eq!(path("/a/{% if v %}x{% endif %}", "1").unwrap(), json!("/a/x"));
}
