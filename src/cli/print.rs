//! What people and programs read: data on standard output, problems on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent};
use serde::Serialize;

pub(super) use crate::objects::chain;
pub(super) use crate::telemetry::colour;

/// Prints text to standard output, with a line end. In one go: of what can't be written nothing waits to be written with what comes next.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{}\n", text.trim_end_matches('\n')).as_bytes())?;
    out.flush()
}

/// Prints a value as JSON to standard output.
pub(super) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    text(&serde_json::to_string_pretty(value)?)
}

/// Takes how printing went what a verb has done. That stays done where it can't be printed, and the exit code tells of it: what wasn't
/// printed is a note, and none where the reader chose to go.
pub(super) fn done(printed: io::Result<()>) {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            note(&format!("warning: what was done can't be printed: {error}; the exit code tells of what was done"));
        }
        _ => {}
    }
}

/// Prints a problem to standard error. It is lost where nobody listens: there is no other place to tell.
pub(super) fn problem(message: &str) {
    note(&format!("error: {message}"));
}

/// Prints a line to standard error.
pub(super) fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Starts a table with these heads; those that begin with `#` are numbers, and stand to the right.
pub(super) fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(heads.iter().map(|head| Cell::new(head.trim_start_matches('#'))));
    for (at, head) in heads.iter().enumerate() {
        if let (true, Some(column)) = (head.starts_with('#'), table.column_mut(at)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Writes a path as a word of a command line, so that a shell reads it as it is.
pub(super) fn word(path: &Path) -> String {
    crate::server::shell_word(&path.display().to_string())
}

/// Writes a number with commas between its thousands.
pub(super) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// Writes a number and what it counts: `1 row`, `1,234 rows`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Writes a size in bytes with its unit: `1.2 MiB`.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
