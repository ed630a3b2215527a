//! `tidegate preview`: a job's first rows, as they would land.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::ArrayWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

use super::args::{Output, PreviewArguments};
use super::{CliError, Exit, load, print};
use crate::model::{JobName, RowCounts};
use crate::run::{self as runs, Answered, Env, Preview, PreviewOptions, Silent};

/// The most columns that are shown side by side; of more, each row is shown as a list.
const COLUMNS_SIDE_BY_SIDE: usize = 8;

/// The most characters of a record that are shown; all of it is in the JSON output.
const LONGEST_RECORD: usize = 2000;

/// The most characters of a cell that are shown.
const LONGEST_CELL: usize = 200;

/// Prints a preview.
pub(super) async fn run(arguments: &PreviewArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let Some(pipelines) = load::pipelines(std::slice::from_ref(&arguments.file), output) else {
        return Ok(Exit::Refused);
    };
    let Some(pipeline) = pipelines.first() else { return Ok(Exit::Refused) };
    let name = JobName::new(&arguments.job);
    let options = PreviewOptions {
        now: arguments.now.unwrap_or_else(|| env.clock.now()),
        rows: arguments.rows.get(),
        whole_pages: false,
        state: arguments.state.state.clone(),
        retry_refused: arguments.retry_refused,
    };
    // A bar that is taken away later takes a part of what was printed along.
    let env = Env { progress: Arc::new(Silent), ..env };
    match runs::preview(pipeline, &name, &options, &env).await {
        Ok(preview) if output == Output::Json => print::json(&as_json(&preview)?)?,
        Ok(preview) => print::text(&as_text(&preview))?,
        Err(error) => {
            let told = pipeline.job(&name).map_or_else(|| error.chain(), |job| error.told_of(job));
            print::problem(&format!("{}: {told}", arguments.job));
            return Ok(env.exit(&error));
        }
    }
    Ok(Exit::Done)
}

fn as_json(preview: &Preview) -> std::io::Result<Value> {
    let typed: Vec<RecordBatch> = preview.typed.iter().cloned().collect();
    let typed = json_rows(&typed)?.get(0).cloned().unwrap_or_default();
    Ok(json!({
        "slice": preview.slice, "request": preview.request, "answer": preview.answered, "raw": preview.raw, "typed": typed, "records": preview.schema,
        "counts": preview.rows, "bad": preview.bad, "rows": json_rows(&preview.batches)?, "sinks": preview.sinks,
        "deliveries": preview.deliveries, "refused": preview.refused,
    }))
}

fn json_rows(batches: &[RecordBatch]) -> std::io::Result<Value> {
    let mut writer = ArrayWriter::new(Vec::new());
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let written = writer.write_batches(&batches).and_then(|()| writer.finish());
    written.map_err(std::io::Error::other)?;
    match writer.into_inner() {
        text if text.is_empty() => Ok(json!([])),
        text => Ok(serde_json::from_slice(&text)?),
    }
}

fn as_text(preview: &Preview) -> String {
    let mut out = format!("slice: {}\nrequest: {}\n", preview.slice, preview.request);
    out.extend(preview.answered.as_ref().map(answered));
    if !preview.raw.is_null() {
        out.push_str(&format!("\nfirst record, as it came:\n{}\n", cut(&preview.raw.to_string(), LONGEST_RECORD)));
    }
    out.push_str(&format!("\nrecords: {}\n", counted(&preview.rows)));
    out.push_str(&typed(preview));
    for bad in &preview.bad {
        out.push_str(&format!("quarantine: {bad}\n"));
    }
    out.push_str("\nrows that would land:\n");
    out.push_str(&rows(&preview.batches));
    for sink in &preview.sinks {
        out.push_str(&format!("\nsink {}: {}\n", sink.sink, sink.url));
        for file in &sink.files {
            out.push_str(&format!("  {} ({})\n", file.path, some_rows(file.rows)));
        }
        if sink.filtered > 0 {
            out.push_str(&format!("  left out by its `where`: {}\n", some_rows(sink.filtered)));
        }
    }
    for delivery in &preview.deliveries {
        let request = delivery.request.as_deref().unwrap_or("no row would be sent").replace('\n', "\n  ");
        out.push_str(&format!("\nsink {} would send:\n  {request}\n", delivery.sink));
    }
    if let Some(why) = &preview.refused {
        out.push_str(&format!("\nThe slice was read to its end, and would fail: {why}\n"));
    }
    out
}

/// Shows what the answer says beside its records: there stands what `paginate` reads.
fn answered(answered: &Answered) -> String {
    let envelope = match &answered.envelope {
        Value::Null => "the answer has nothing but its records".to_owned(),
        envelope => format!("the answer without its records:\n{}", cut(&envelope.to_string(), LONGEST_RECORD)),
    };
    let stated = |value: Option<String>| value.unwrap_or_else(|| "not stated".to_owned());
    let (more, total) = (stated(answered.more.map(|more| more.to_string())), stated(answered.total.map(print::count)));
    format!("\n{envelope}\nnext page by: {}; more: {more}; total: {total}\n", answered.next)
}

fn some_rows(count: u64) -> String {
    format!("{} row{}", print::count(count), if count == 1 { "" } else { "s" })
}

/// Says where the records went, what is zero left out.
fn counted(rows: &RowCounts) -> String {
    let parts = [
        (rows.quarantined, "in quarantine"),
        (rows.outside_window, "outside of the slice"),
        (rows.deduplicated, "of a key that came again"),
        (rows.nulled_values, "values that didn't fit and are null"),
        (rows.discarded_fields, "fields left out"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: String = parts.map(|(count, what)| format!(", {} {what}", print::count(*count))).collect();
    format!("{} received{parts}", print::count(rows.received))
}

/// Shows the columns of the records, and the first record as it is typed.
fn typed(preview: &Preview) -> String {
    let mut first = Vec::new();
    each_row(preview.typed.as_slice(), |_, cells| first = cells);
    let mut table = print::table(&["column", "type", "first record"]);
    for column in preview.schema.columns() {
        let value = first.iter().find(|(name, _)| *name == column.name).map(|(_, value)| cut(value, LONGEST_CELL));
        table.add_row([column.name.clone(), column.kind.to_string(), value.unwrap_or_default()]);
    }
    if preview.schema.is_empty() { String::new() } else { format!("{table}\n") }
}

/// Shows rows as a table, or, where they have many columns, each as a list.
fn rows(batches: &[RecordBatch]) -> String {
    let Some(first) = batches.first() else { return "none\n".to_owned() };
    if first.num_columns() <= COLUMNS_SIDE_BY_SIDE {
        let heads: Vec<&str> = first.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        let mut table = print::table(&heads);
        each_row(batches, |_, cells| {
            table.add_row(cells.into_iter().map(|(_, cell)| cut(&cell, LONGEST_CELL)));
        });
        return format!("{table}\n");
    }
    let mut out = String::new();
    each_row(batches, |number, cells| {
        out.push_str(&format!("row {number}\n"));
        for (name, cell) in cells {
            out.push_str(&format!("  {name}: {}\n", cut(&cell, LONGEST_CELL)));
        }
    });
    out
}

/// Cuts a text after so many characters, and says how many there were.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}… ({} characters)", &text[..at], text.chars().count()),
        None => text.to_owned(),
    }
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
