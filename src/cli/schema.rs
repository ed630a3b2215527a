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
    titled(schemars::schema_for!(PipelineFile).to_value(), "A Tidegate pipeline")
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
