//! `tidegate preview`: a job's first rows, as they would land.

use arrow::array::RecordBatch;
use arrow::json::ArrayWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

use super::args::{Output, PreviewArguments};
use super::{CliError, Exit, load, print};
use crate::model::JobName;
use crate::run::{self as runs, Env, Preview};

/// The most columns that are shown side by side; of more, each row is shown as a list.
const COLUMNS_SIDE_BY_SIDE: usize = 8;

/// Prints a preview.
pub(super) async fn run(arguments: &PreviewArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(std::slice::from_ref(&arguments.file), output) else {
        return Ok(Exit::Refused);
    };
    let Some(pipeline) = pipelines.first() else { return Ok(Exit::Refused) };
    let now = arguments.now.unwrap_or_else(|| env.clock.now());
    let name = JobName::new(&arguments.job);
    match runs::preview(pipeline, &name, now, arguments.rows.get(), &env).await {
        Ok(preview) if output == Output::Json => print::json(&as_json(&preview)?)?,
        Ok(preview) => print::text(&as_text(&preview))?,
        Err(error) => {
            print::problem(&format!("{}: {}", arguments.job, error.chain()));
            return Ok(error.exit());
        }
    }
    Ok(Exit::Done)
}

fn as_json(preview: &Preview) -> std::io::Result<Value> {
    let mut writer = ArrayWriter::new(Vec::new());
    let batches: Vec<&RecordBatch> = preview.batches.iter().collect();
    let written = writer.write_batches(&batches).and_then(|()| writer.finish());
    written.map_err(std::io::Error::other)?;
    let rows: Value = match writer.into_inner() {
        text if text.is_empty() => json!([]),
        text => serde_json::from_slice(&text)?,
    };
    Ok(json!({
        "request": preview.request, "records": preview.schema, "counts": preview.rows, "bad": preview.bad, "rows": rows,
    }))
}

fn as_text(preview: &Preview) -> String {
    let mut out = format!("request: {}\n\nrecords: {} received\n", preview.request, preview.rows.received);
    for column in preview.schema.columns() {
        out.push_str(&format!("  {}: {}\n", column.name, column.kind));
    }
    for bad in &preview.bad {
        out.push_str(&format!("quarantine: {bad}\n"));
    }
    out.push('\n');
    let Some(first) = preview.batches.first() else {
        out.push_str("no rows would land\n");
        return out;
    };
    if first.num_columns() <= COLUMNS_SIDE_BY_SIDE {
        let heads: Vec<&str> = first.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        let mut table = print::table(&heads);
        each_row(&preview.batches, |_, cells| {
            table.add_row(cells.into_iter().map(|(_, cell)| cell));
        });
        out.push_str(&format!("{table}\n"));
    } else {
        each_row(&preview.batches, |number, cells| {
            out.push_str(&format!("row {number}\n"));
            for (name, cell) in cells {
                out.push_str(&format!("  {name}: {cell}\n"));
            }
        });
    }
    out
}

/// Visits each row, numbered from 1, with the names of its columns and its cells.
fn each_row(batches: &[RecordBatch], mut visit: impl FnMut(usize, Vec<(String, String)>)) {
    let options = FormatOptions::default().with_null("null").with_display_error(true);
    let mut number = 0;
    for batch in batches {
        let columns: Vec<_> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .filter_map(|(field, column)| Some((field.name(), ArrayFormatter::try_new(column, &options).ok()?)))
            .collect();
        for row in 0..batch.num_rows() {
            number += 1;
            visit(
                number,
                columns.iter().map(|(name, cells)| ((*name).clone(), cells.value(row).to_string())).collect(),
            );
        }
    }
}
