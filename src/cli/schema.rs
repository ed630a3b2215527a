//! `tidegate schema`: the JSON Schema of pipeline files.

use serde_json::Value;

use super::{CliError, Exit, print};
use crate::pipeline::file::PipelineFile;

/// Prints the schema.
pub(super) fn run() -> Result<Exit, CliError> {
    print::json(&json_schema())?;
    Ok(Exit::Done)
}

/// Returns the JSON Schema of pipeline files, as `schema/pipeline.json` in the repository holds it.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(PipelineFile).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), "A Tidegate pipeline".into());
    }
    schema
}
