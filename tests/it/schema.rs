//! The JSON Schema of pipeline files, as `tidegate schema` prints it and as it lies in `schema/` for editors.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate::model::{ColumnType, Effect};

use crate::support::duck;
use crate::support::python::check_json_schema;
use crate::support::workspace::Workspace;

fn top(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn stored() -> Value {
    serde_json::from_str(&fs::read_to_string(top("schema/pipeline.json")).unwrap()).unwrap()
}

fn shipped() -> Vec<(PathBuf, String)> {
    let folders = ["pipelines", "examples"].into_iter().flat_map(|folder| fs::read_dir(top(folder)).unwrap());
    let files = folders.map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_stored_schema_is_the_one_that_is_printed() {
    let printed = Workspace::new().tidegate(&["schema"]).run();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let stored = fs::read_to_string(top("schema/pipeline.json")).unwrap();
    assert!(printed.stdout == stored, "schema/pipeline.json is stale: cargo run -- schema > schema/pipeline.json");
}

#[test]
fn the_stored_schema_of_reports_is_the_one_that_is_printed() {
    let printed = Workspace::new().tidegate(&["schema", "--report"]).run();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let stored = fs::read_to_string(top("schema/report.json")).unwrap();
    assert!(printed.stdout == stored, "schema/report.json is stale: cargo run -- schema --report > schema/report.json");
}

#[test]
fn shipped_pipelines_are_as_the_schema_says() {
    let shipped = shipped();
    assert!(!shipped.is_empty());
    let texts: Vec<_> = shipped.iter().map(|(_, text)| text.as_str()).collect();
    for ((path, _), complaints) in shipped.iter().zip(check_json_schema(&stored(), &texts)) {
        assert!(complaints.is_empty(), "{}: {complaints:#?}", path.display());
    }
}

/// Collects the fields of a schema that nothing is said about, and those that may be null.
fn odd_fields(schema: &Value, path: &str, odd: &mut Vec<String>) {
    let fields = schema["properties"].as_object();
    for (name, field) in fields.into_iter().flatten() {
        let text = field.to_string();
        if field["description"].as_str().is_none_or(str::is_empty) {
            odd.push(format!("{path}.{name} has no description"));
        }
        if text.contains(r#"{"type":"null"}"#)
            || field["type"].as_array().is_some_and(|types| types.contains(&"null".into()))
        {
            odd.push(format!("{path}.{name} may be null"));
        }
    }
    match schema {
        Value::Object(all) => all.iter().for_each(|(key, value)| odd_fields(value, &format!("{path}.{key}"), odd)),
        Value::Array(all) => all.iter().for_each(|value| odd_fields(value, path, odd)),
        _ => {}
    }
}

#[test]
fn every_field_is_described_and_none_is_null() {
    let mut odd = Vec::new();
    odd_fields(&stored(), "", &mut odd);
    assert!(odd.is_empty(), "{odd:#?}");
}

#[test]
fn mistakes_are_refused_by_the_schema_too() {
    let good = fs::read_to_string(top("pipelines/ntopng.yaml")).unwrap();
    let mistakes = [
        ("\nversion: 1\n", "\nversion: one\n"),
        ("paginate: none", "paginate: nothing"),
        ("every: 1d", "evry: 1d"),
        ("schedule:", "shedule:"),
        ("lag: 15m\n", "lag: null\n"),
    ];
    let bad: Vec<_> = mistakes.iter().map(|(right, wrong)| good.replacen(right, wrong, 1)).collect();
    assert!(bad.iter().all(|text| *text != good));
    let bad: Vec<_> = bad.iter().map(String::as_str).collect();
    for ((right, wrong), complaints) in mistakes.iter().zip(check_json_schema(&stored(), &bad)) {
        assert!(!complaints.is_empty(), "{wrong:?} instead of {right:?} passes");
    }
}

/// Returns the cells of a table whose rows begin with a type.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches(['|', ' ']).split(" | ").collect()).collect()
}

#[test]
fn the_documented_effects_are_those_of_the_code() {
    let schema = stored();
    let text = schema["$defs"]["SchemaFile"]["description"].as_str().unwrap();
    let documented = rows(text);
    assert!(documented.len() > 10, "{text}");
    assert_eq!(rows(include_str!("../../docs/schema.md")), documented, "docs/schema.md has the table of `schema`");
    for row in documented {
        let kind = |cell: &str| ColumnType::parse(cell.trim_matches('`')).unwrap();
        let effect = Effect::of(&kind(row[0]), &kind(row[1]));
        assert!(row[2].starts_with(effect.as_str()), "{row:?}: {effect}");
    }
}

#[test]
fn what_widens_keeps_every_digit_for_a_reader_of_both() {
    for (from, value, to) in [
        ("BIGINT", "-9223372036854775808", "DECIMAL(19, 0)"),
        ("BIGINT", "9223372036854775807", "DECIMAL(38, 19)"),
        ("UBIGINT", "18446744073709551615", "DECIMAL(20, 0)"),
        ("DECIMAL(10, 2)", "12345678.25", "DECIMAL(12, 3)"),
    ] {
        let sql = format!(
            "SELECT x::VARCHAR AS x FROM (SELECT ({value})::{from} AS x UNION ALL SELECT 0::{to}) ORDER BY x DESC"
        );
        let rows = duck::rows(&sql);
        let kept = rows.iter().any(|row| row["x"].as_str().unwrap().starts_with(value));
        assert!(kept, "{from} to {to}: {rows:?}");
    }
}
