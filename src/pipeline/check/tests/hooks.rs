//! Requests after a run.

use super::say;

fn hook(text: &str) -> String {
    say(&format!(
        "version: 1\nname: x\nsource: {{base_url: 'http://h'}}\njobs:\n  a: {{get: /x, paginate: none, records: '.[]'}}\non_failure: {text}\n"
    ))
}

#[test]
fn hooks_see_the_run() {
    for good in [
        "{post: 'http://h/x?y=z'}",
        "{post: 'https://h', headers: {x-a: '{{ run.id }}'}, body: {text: '{{ run.pipeline }}: {{ run.slices.failed }}', all: '{{ run }}'}}",
    ] {
        assert_eq!(hook(good), "", "{good}");
    }
    let bad = hook("{post: 'http://h', body: {text: '{{ run.eror }} {{ pipeline }}'}}");
    assert!(bad.contains("there is no template variable `run.eror` in a hook"), "{bad}");
    assert!(bad.contains("did you mean `run.error`?"), "{bad}");
    assert!(bad.contains("there is no template variable `pipeline` in a hook"), "{bad}");
    for url in ["h", "ftp://h", "http://user:pw@h/"] {
        let bad = hook(&format!("{{post: '{url}'}}"));
        assert!(bad.contains("a hook is posted to a URL that begins with `http://` or `https://`"), "{bad}");
    }
    assert!(hook("{url: 'http://h'}").contains("post"), "another key");
}
