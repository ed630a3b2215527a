//! The format of answers, and what it leaves of the rest of a job.

use serde_json::{Value, json};

use super::super::file::{CsvFormat, FormatFile, JobFile, SourceFile};
use super::super::load::{Jq as JqText, Span, Spanned};
use super::Findings;
use super::request::Vars;
use crate::lang::Selector;
use crate::lang::jq::Jq;
use crate::model::{AnswerFormat, CsvDialect, HandColumn, HandType};

impl Findings<'_> {
    /// Reads the format of a job's answers: its own, or that of the source.
    pub(super) fn format(&mut self, job: &JobFile, source: &SourceFile) -> AnswerFormat {
        let Some(format) = job.format.as_ref().or(source.format.as_ref()) else { return AnswerFormat::Json };
        match &format.value {
            FormatFile::Json => AnswerFormat::Json,
            FormatFile::Jsonl => AnswerFormat::JsonLines,
            FormatFile::Csv(csv) => AnswerFormat::Csv(CsvDialect {
                delimiter: self.delimiter(csv.delimiter.as_ref()),
                header: csv.header.unwrap_or(true),
                sparse: self.sparse(csv),
            }),
        }
    }

    /// Tells whether headers may leave columns out.
    fn sparse(&mut self, csv: &CsvFormat) -> bool {
        let Some(sparse) = csv.sparse.filter(|sparse| sparse.value) else { return false };
        if csv.header == Some(false) {
            let message = "without a header nothing tells which columns a page leaves out";
            self.error(sparse.span, message, "remove `sparse`, or `header: false` if there is one");
        }
        true
    }

    /// Reads the character between two cells.
    pub(super) fn delimiter(&mut self, text: Option<&Spanned<String>>) -> u8 {
        let Some(text) = text else { return b',' };
        match text.value.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => *byte,
            _ => {
                let message = format!("{} can't stand between two cells", super::sinks::shown(&text.value));
                self.error(text.span, message, "write one ASCII character, such as ',' or '|' or a tab (\"\\t\")");
                b','
            }
        }
    }

    /// Checks that `records` can find something in a page of the format: a list of documents or rows.
    pub(super) fn records_fit(&mut self, format: AnswerFormat, job: &JobFile, records: &Selector) {
        if format == AnswerFormat::Json {
            return;
        }
        let what = match format {
            AnswerFormat::Csv(_) => "its rows",
            _ => "its lines' documents",
        };
        let mut refuse = |span: Span, message: String| {
            self.error(span, message, "write `.[]` for one record each, or a jq program that begins with `.[]`");
        };
        match records {
            Selector::Plain { paths } => {
                for (path, text) in paths.iter().zip(&job.records.0).filter(|(path, _)| !path.keys.is_empty()) {
                    let name = format.name();
                    refuse(text.span(), format!("a page of `{name}` is the list of {what}, so `{path}` finds nothing"));
                }
            }
            Selector::Program(program) if program.text().trim() == "." => {
                refuse(job.records.span, format!("`.` is the whole page, the list of {what}"));
            }
            Selector::Program(_) => {}
        }
    }

    /// Checks that a column typed by hand can be read from a cell.
    pub(super) fn columns_fit(&mut self, format: AnswerFormat, job: &JobFile, columns: &[HandColumn]) {
        if !matches!(format, AnswerFormat::Csv(_)) {
            return;
        }
        for column in columns.iter().filter(|column| matches!(column.kind, HandType::List(_) | HandType::Struct(_))) {
            let texts = job.schema.iter().flat_map(|schema| &schema.columns);
            let span = texts.filter(|(name, _)| name.value == column.name).map(|(_, text)| text.span).next();
            let message = format!("`{}` is a cell of `csv`, which can't hold a list or a struct", column.name);
            self.error(span.unwrap_or_default(), message, "type it as `json` or `string`, and read it in `transform`");
        }
    }

    /// Refuses a rule about answers that no good page can pass: it sees null of a page that is nothing but records.
    pub(super) fn success_fits(&mut self, text: Option<&JqText>, program: Option<&Jq>, vars: &Vars) {
        let (Some(text), Some(program)) = (text, program) else { return };
        let depends = |name: &str| text.as_str().contains(&format!("${name}"));
        if !vars.only_records() || depends("headers") || vars.fan_out.as_deref().is_some_and(depends) {
            return;
        }
        let mut values = vec![json!(200), json!({})];
        values.extend(vars.fan_out.iter().map(|_| Value::Null));
        if program.truthy(&Value::Null, &values) == Ok(true) {
            return;
        }
        let message = "no page passes `success`: it sees null of a page that is nothing but records";
        let instead = match vars.format {
            AnswerFormat::Csv(_) => ", since it sees a JSON document that comes instead of a table",
            _ => "",
        };
        let help = format!(
            "let it be true for null, such as `. == null`{instead}; or make `records` a jq program: then it sees the list"
        );
        self.error(text.span(), message, help);
    }
}
