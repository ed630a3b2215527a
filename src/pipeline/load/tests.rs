//! Whole files, good and bad, through all steps. The models here are small ones of their own.

use std::fmt::Debug;

use indexmap::IndexMap;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::secret::Secret;

mod bad_files;

struct Vars;

impl Lookup for Vars {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "URL" => Some("http://api.test".to_owned()),
            "TOKEN" => Some("hunter2-hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "secrets/token" { Ok("from-file\n".to_owned()) } else { Err("no such file".to_owned()) }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Wait(u64);

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
        seconds.map(Self).ok_or_else(|| format!("`{text}` isn't a duration such as `10s`"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u16,
    name: Spanned<String>,
    source: Origin,
    #[serde(default)]
    jobs: IndexMap<Spanned<String>, Job>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    base_url: String,
    auth: Option<Auth>,
    timeout: Option<Wait>,
    port: Option<u16>,
    #[serde(default)]
    strict: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Auth {
    None,
    Basic(Basic),
    Bearer(SecretText),
    Header { name: String, value: PrefixedSecret },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Basic {
    username: String,
    password: SecretText,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    get: Tmpl,
    #[serde(default)]
    query: IndexMap<Spanned<String>, RequestValue>,
    records: Option<OneOrMany<Jq>>,
    transform: Option<Sql>,
    paginate: Paginate,
    wait: Option<Wait>,
    #[serde(default)]
    ratio: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Paginate {
    None,
    Offset(Offset),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offset {
    into: String,
    size: u32,
    #[serde(default)]
    first: i64,
    length: Option<u8>,
}

const GOOD: &str = r"# a comment
version: 1
name: demo
source:
  base_url: ${URL:-http://127.0.0.1}
  auth: {basic: {username: '${TOKEN}', password: '${file:secrets/token}'}}
  timeout: 10s
  port: ${PORT}
jobs:
  alerts:
    get: /alerts
    query:
      size: ${PORT}
      p: '${PORT}'
      n: 1.10
      big: 12345678901234567890
      when: '{{ now }}'
      flag: true
      none: null
      deep: [a, {b: c}]
    records: ['.rsp[]', '.results[]?']
    transform: |
      SELECT a,
        b
      FROM records
    paginate: {offset: {into: query.start, size: 100}}
  hosts:
    get: /hosts
    records: .rsp
    paginate: none
    ratio: 1e-3
";

fn source(text: &str) -> Source {
    Source { name: "pipelines/x.yaml".to_owned(), text: text.to_owned() }
}

fn good() -> File {
    let source = source(GOOD);
    load(&source, &Vars).unwrap_or_else(|found| panic!("{}", render(&source, &found)))
}

fn render(source: &Source, found: &[Diagnostic]) -> String {
    diagnostic::render(found, source, false)
}

/// Loads a bad file, and prints all that is said about it.
fn refuse(text: &str) -> String {
    let source = source(text);
    let found = load::<File>(&source, &Vars).map(|_| ()).unwrap_err();
    let shown = render(&source, &found);
    assert!(!shown.contains("hunter2") && !shown.contains("from-file"), "a secret is shown: {shown}");
    shown
}

#[test]
fn a_good_file_loads() {
    let file = good();
    assert_eq!((file.version, file.name.as_str(), file.source.port), (1, "demo", Some(8080)));
    assert_eq!((file.source.base_url.as_str(), file.source.timeout), ("http://api.test", Some(Wait(10))));
    let Some(Auth::Basic(basic)) = &file.source.auth else { panic!("{:?}", file.source.auth) };
    assert_eq!((basic.username.as_str(), basic.password.0.expose()), ("hunter2-hunter2", "from-file"));
    let (alerts, hosts) = (&file.jobs["alerts"], &file.jobs["hosts"]);
    let Paginate::Offset(Offset { into, size: 100, first: 0, length: None }) = &alerts.paginate else {
        panic!("{:?}", alerts.paginate)
    };
    assert_eq!(into, "query.start");
    assert!(matches!(hosts.paginate, Paginate::None) && hosts.wait.is_none() && !file.source.strict);
    assert!((hosts.ratio - 0.001).abs() < f64::EPSILON);
    assert_eq!(alerts.records.as_ref().unwrap().0.len(), 2);
    assert_eq!(hosts.records.as_ref().unwrap().0[0].as_str(), ".rsp");
}

#[test]
fn request_values_keep_their_text() {
    let query = &good().jobs["alerts"].query;
    assert_eq!(query["n"], RequestValue::Number("1.10".to_owned()));
    assert_eq!(query["big"], RequestValue::Number("12345678901234567890".to_owned()));
    assert_eq!(query["when"], RequestValue::String(Tmpl::new("{{ now }}")));
    assert_eq!(query["flag"], RequestValue::Bool(true));
    assert_eq!(query["none"], RequestValue::Null);
    assert_eq!(query["p"], RequestValue::String(Tmpl::new("8080")));
    assert_eq!(query["size"], RequestValue::Number("8080".to_owned()));
    let RequestValue::List(deep) = &query["deep"] else { panic!("{query:?}") };
    assert!(matches!(&deep[1], RequestValue::Map(map) if map["b"] == RequestValue::String(Tmpl::new("c"))));
}

#[test]
fn places_are_kept() {
    let file = good();
    assert_eq!(file.name.span.slice(GOOD), "demo");
    assert_eq!(file.jobs.keys().map(|key| key.span.slice(GOOD)).collect::<Vec<_>>(), ["alerts", "hosts"]);
    let sql = file.jobs["alerts"].transform.as_ref().unwrap();
    assert_eq!(sql.as_str(), "SELECT a,\n  b\nFROM records\n");
    for word in ["SELECT", "a,", "b", "FROM", "records"] {
        let at = sql.as_str().find(word).unwrap();
        assert_eq!(sql.file_span(at, at + word.len()).slice(GOOD), word);
    }
    let jq = &file.jobs["alerts"].records.as_ref().unwrap().0[1];
    assert_eq!(jq.file_span(1, 8).slice(GOOD), "results");
}

/// Checks where a word of a decoded jq text stands in the file.
fn check_place(value: &str, word: &str, expect: &str) {
    #[derive(Debug, Deserialize)]
    struct One {
        q: Jq,
    }
    let source = source(&format!("q: {value}"));
    let one: One = load(&source, &Vars).unwrap_or_else(|found| panic!("{}", render(&source, &found)));
    let at = one.q.as_str().find(word).unwrap_or_else(|| panic!("{:?} in {:?}", word, one.q.as_str()));
    assert_eq!(one.q.file_span(at, at + word.len()).slice(&source.text), expect, "{value}");
}

#[test]
fn each_style_of_text_has_places() {
    check_place(".a.é.bc", "bc", "bc");
    check_place("'it''s .bc'", ".bc", ".bc");
    check_place(r#""tab\t\u00e9\x41 \"q\" .bc""#, ".bc", ".bc");
    check_place(r#""é\ud83d\ude00 .bc""#, ".bc", ".bc");
    check_place("\"a \\\n   bc\"", "bc", "bc");
    check_place(">-\n  a\n  b\n\n    deep\n  bc", "bc", "bc");
    check_place("|2\n    deep\n  .bc", ".bc", ".bc");
    check_place("| # comment\n  x\n\n  .bc\n", ".bc", ".bc");
    check_place(".a\n  .b\n  .bc", ".bc", ".bc");
    check_place("'${PORT} + $${x} .bc'", ".bc", ".bc");
    check_place("'a ${PORT} .bc'", "8080", "$");
}

#[test]
fn debug_shows_no_value_of_the_environment() {
    let source = source(
        "version: 1\nname: x\nsource: {base_url: u, auth: {header: {name: a, value: 'Bearer ${TOKEN}'}}}\njobs: {a: {get: '/x/${TOKEN}', paginate: none}}\n",
    );
    let file: File = load(&source, &Vars).unwrap();
    let Some(Auth::Header { value, .. }) = &file.source.auth else { panic!() };
    assert_eq!(value.0.expose(), "Bearer hunter2-hunter2");
    assert_eq!(file.jobs["a"].get.as_str(), "/x/hunter2-hunter2");
    let shown = format!("{file:?}");
    assert!(!shown.contains("hunter2") && shown.contains("/x/${TOKEN}"), "{shown}");
    let Some(Auth::Header { name, value: PrefixedSecret(secret) }) = file.source.auth else { panic!() };
    assert_eq!((name.as_str(), format!("{:?}", Secret::clone(&secret)).contains("hunter2")), ("a", false));
}

#[test]
fn anchors_and_aliases_work() {
    let source =
        source("version: 1\nname: x\nsource: {base_url: u}\njobs:\n  a: &a {get: /a, paginate: none}\n  b: *a\n");
    let file: File = load(&source, &Vars).unwrap();
    assert_eq!(file.jobs["b"].get, file.jobs["a"].get);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in ["ab", "bc", "cd", "de", "ef", "fg"].map(|pair| pair.split_at(1)) {
        text.push_str(&format!(
            "{to}: &{to} [*{from}, *{from}, *{from}, *{from}, *{from}, *{from}, *{from}, *{from}]\n"
        ));
    }
    let (root, found) = yaml::parse(&text);
    assert!(root.is_none() && found[0].message.contains("more than"), "{found:?}");
    let (_, found) = yaml::parse(&format!("{}{}", "[".repeat(80), "]".repeat(80)));
    assert!(found[0].message.contains("nested"), "{found:?}");
    let chain: String = (0..60).map(|n| format!("k{}: &k{} [[[*k{n}]]]\n", n + 1, n + 1)).collect();
    let (_, found) = yaml::parse(&format!("k0: &k0 x\n{chain}"));
    assert!(found[0].message.contains("nests deeper"), "{found:?}");
    let (root, found) = yaml::parse("a: &a [*a]");
    assert!(root.is_some() && found[0].message.contains("inside the value"), "{found:?}");
}

#[test]
fn no_more_than_a_hundred_mistakes_are_said() {
    let lines: String = (0..300).map(|n| format!("  j{n}: {{get: /x, paginate: 5}}\n")).collect();
    let source = source(&format!("version: 1\nname: x\nsource: {{base_url: u}}\njobs:\n{lines}"));
    assert_eq!(load::<File>(&source, &Vars).unwrap_err().len(), de::MAX_DIAGNOSTICS);
}

/// Loads any text, and renders what is said about it: neither may panic.
fn survives(text: &str) {
    let source = source(text);
    if let Err(found) = load::<File>(&source, &Vars) {
        assert!(!found.is_empty() && !render(&source, &found).is_empty());
        assert_eq!(diagnostic::to_json(&found, &source).as_array().map(Vec::len), Some(found.len()));
    }
}

fn edited(edits: &[(usize, usize, String)]) -> String {
    let mut text: Vec<char> = GOOD.chars().collect();
    for (at, length, new) in edits {
        let start = at % (text.len() + 1);
        let end = (start + length).min(text.len());
        text.splice(start..end, new.chars());
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_yaml_like_text_is_survived(text in r"([a-z]{0,3}[-:{}\[\],&*!|>'#%@`$\n \té\\]{0,4}(\$\{|\{\{|- |: |\n  )?){0,20}") {
        survives(&text);
    }

    #[test]
    fn any_edit_is_survived(edits in proptest::collection::vec((any::<usize>(), 0usize..12, r"[-:{}\[\],&*!|>'#%@`$a-c1\n é]{0,4}"), 1..6)) {
        survives(&edited(&edits));
    }
}

#[test]
fn a_prefix_is_the_only_text_beside_a_secret() {
    let loads = |value: &str| {
        let text =
            format!("version: 1\nname: x\nsource: {{base_url: u, auth: {{header: {{name: a, value: '{value}'}}}}}}\n");
        load::<File>(&source(&text), &Vars).map(|file| match file.source.auth {
            Some(Auth::Header { value, .. }) => value.0.expose().to_owned(),
            auth => panic!("{auth:?}"),
        })
    };
    assert_eq!(loads("Bearer ${TOKEN}").unwrap(), "Bearer hunter2-hunter2");
    for refused in ["Bearer x", "${TOKEN} x", "Bearer ${TOKEN:-x}", "Bearer ${EMPTY}", "$${x}"] {
        assert_eq!(loads(refused).unwrap_err().len(), 1, "{refused}");
    }
}

#[test]
fn a_text_knows_which_of_its_parts_were_looked_up() {
    let text = source("['/${TOKEN}/x${A:-one}y${TOKEN}', \"\\u0061${TOKEN}\", '$${TOKEN}', plain, '${A:-two}']");
    let texts: Vec<Tmpl> = load(&text, &Vars).unwrap();
    let looked_up: Vec<Vec<(usize, &str)>> = texts.iter().map(|text| text.looked_up().collect()).collect();
    let token = "hunter2-hunter2";
    let second = texts[0].as_str().rfind(token).unwrap();
    assert_eq!(looked_up, [vec![(1, token), (second, token)], vec![(1, token)], vec![], vec![], vec![]]);
}

#[test]
fn a_bearer_token_is_read() {
    let source = source("version: 1\nname: x\nsource: {base_url: u, auth: {bearer: '${TOKEN}'}}\n");
    let file: File = load(&source, &Vars).unwrap();
    assert!(matches!(&file.source.auth, Some(Auth::Bearer(token)) if token.0.expose() == "hunter2-hunter2"));
}

/// A field that is a text or a map, by a visitor of its own: the way to write `to: query.x` and `to: {into: query.x}`.
#[derive(Debug, PartialEq)]
struct Place {
    into: String,
    size: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullPlace {
    into: String,
    size: u8,
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;

        impl<'de> serde::de::Visitor<'de> for TextOrMap {
            type Value = Place;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a place or a map of fields")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Place, E> {
                Ok(Place { into: text.to_owned(), size: 0 })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Place, A::Error> {
                let full = FullPlace::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Place { into: full.into, size: full.size })
            }
        }
        deserializer.deserialize_any(TextOrMap)
    }
}

#[test]
fn a_field_may_be_a_text_or_a_map() {
    let places = source("[query.x, {into: query.y, size: 2}]");
    let places: Vec<Place> = load(&places, &Vars).unwrap();
    assert_eq!(places, [Place { into: "query.x".into(), size: 0 }, Place { into: "query.y".into(), size: 2 }]);
    let bad = source("[5, {into: query.y, sise: 300}, {}, [a]]");
    let found = load::<Vec<Place>>(&bad, &Vars).unwrap_err();
    let said: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "expected a place or a map of fields, found the number `5`",
            "unknown field `sise`",
            "expected a whole number from 0 to 255, found the number `300`",
            "missing field `into`",
            "missing field `size`",
            "expected a place or a map of fields, found a list",
        ]
    );
}
