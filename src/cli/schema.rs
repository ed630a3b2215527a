//! `tidegate schema`: the JSON Schemas of pipeline files and of run reports.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{CliError, Exit, print};
use crate::model::Report;
use crate::pipeline::file::PipelineFile;

/// Prints the schema of pipeline files, or that of reports.
pub(super) fn run(report: bool) -> Result<Exit, CliError> {
    print::json(&if report { report_schema() } else { json_schema() })?;
    Ok(Exit::Done)
}

/// Returns the JSON Schema of pipeline files, as `schema/pipeline.json` in the repository holds it.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(PipelineFile).to_value();
    as_read(&mut schema);
    titled(schema, "A Tidegate pipeline")
}

/// Makes the schema say what the reader of pipeline files does: an absent key isn't one with nothing after it, and what is said of a variant
/// is said of its key, where editors look for it.
fn as_read(schema: &mut Value) {
    if let Some(variants) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        variants.iter_mut().for_each(described);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(without_null);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(as_read),
        Value::Array(items) => items.iter_mut().for_each(as_read),
        _ => {}
    }
}

/// Gives the one key of a variant the description of the variant.
fn described(variant: &mut Value) {
    let Some(text) = variant.get("description").cloned() else { return };
    let Some(Value::Object(properties)) = variant.get_mut("properties") else { return };
    let mut fields = properties.values_mut();
    if let (Some(Value::Object(field)), None) = (fields.next(), fields.next()) {
        field.entry("description").or_insert(text);
    }
}

/// Takes null away from what a key may have.
fn without_null(field: &mut Value) {
    let Some(field) = field.as_object_mut() else { return };
    if let Some(Value::Array(values)) = field.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|name| *name != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            field.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(schemas)) = field.get_mut("anyOf") {
        schemas.retain(|schema| schema.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = schemas.as_mut_slice() {
            let only = std::mem::take(only);
            field.remove("anyOf");
            for (key, value) in only {
                field.entry(key).or_insert(value);
            }
        }
    }
}

/// Returns the JSON Schema of what `tidegate run --report` writes, as `schema/report.json` in the repository holds it.
#[must_use]
pub fn report_schema() -> Value {
    let generator = SchemaSettings::default().for_serialize().into_generator();
    titled(generator.into_root_schema_for::<Report>().to_value(), "A report of Tidegate")
}

fn titled(mut schema: Value, title: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), title.into());
    }
    schema
}
