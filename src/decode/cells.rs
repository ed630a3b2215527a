//! The cells of a table's row, into the column builders.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::builders::{Builder, Slot, StructBuilder, Values};
use super::reject::{Row, quote};
use super::table::Cell;
use super::visitor::{ValueSeed, by_text, constant, double, unknown};

/// Reads a row's cells, as many as there are names, into the root's builder.
pub(super) fn fill(root: &mut StructBuilder, names: &[Cow<'_, str>], cells: &[Cell<'_>], row: &mut Row) {
    let mut previous = root.open();
    for (name, cell) in names.iter().zip(cells) {
        match root.find(name, previous) {
            Slot::Constant(_) if cell.is_null() => {}
            Slot::Constant(at) => {
                constant(root, at, &serde_json::Value::from(cell.text.as_ref()).to_string(), row);
            }
            Slot::Unknown => {
                unknown(root, name, row);
            }
            Slot::Known(at) => {
                previous = at;
                root.mark(at);
                if !take(&mut root.fields[at], cell, row) {
                    row.within(name);
                }
            }
        }
    }
    root.close();
}

/// Reads one cell; false where a misfit's path is the caller's to complete.
///
/// Only a text can be empty: where a table has all its cells in quotes, `""` is how it writes a number that isn't there.
fn take(column: &mut Builder, cell: &Cell<'_>, row: &mut Row) -> bool {
    let text = cell.text.as_ref();
    let is_text = matches!(column.values, Values::Null(_) | Values::String(_) | Values::Text(_));
    if cell.is_null() || (text.is_empty() && !is_text && column.by_hand) {
        column.append_null();
        return true;
    }
    let fits = match &mut column.values {
        Values::String(values) | Values::Text(values) => {
            values.append_value(text);
            true
        }
        // By hand it is json that the cell holds; else the column holds texts beside what was seen before.
        Values::Json(values) if column.by_hand => {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            if is_json {
                values.append_value(text);
            }
            is_json
        }
        Values::Json(values) => {
            values.append_value(serde_json::Value::from(text).to_string());
            true
        }
        Values::Precise(values) => values.append(text),
        Values::Float64(values) if column.by_hand => double(text).map(|value| values.append_value(value)).is_some(),
        values if column.by_hand => by_text(values, text),
        _ => false,
    };
    fits || ValueSeed { column, row }.misfit(quote(text))
}
