//! Types by hand, and how many rows may be bad.

use super::super::file::{BadRows, SchemaFile};
use super::super::load::{RequestValue, Spanned, nearest};
use super::super::spec::MostBadRows;
use super::Findings;
use crate::lang::wall_clock::WallClock;
use crate::model::{HandColumn, HandType, HandTypeError, InstantReading, TYPE_NAMES};

impl Findings<'_> {
    pub(super) fn columns(&mut self, schema: &SchemaFile) -> Vec<HandColumn> {
        let mut columns = Vec::new();
        for (name, text) in &schema.columns {
            match HandType::parse(&text.value) {
                Ok(kind) => {
                    self.clocks(&kind, text);
                    columns.push(HandColumn { name: name.value.clone(), kind });
                }
                Err(error) => self.type_error(text, &error),
            }
        }
        columns
    }

    pub(super) fn most_bad_rows(&mut self, schema: &SchemaFile) -> Option<MostBadRows> {
        let written = schema.max_bad_rows.as_ref()?;
        let text = match &written.value {
            RequestValue::Number(text) => text.as_str(),
            RequestValue::String(text) => text.as_str(),
            _ => "",
        };
        let most = match text.trim().strip_suffix('%') {
            Some(share) => {
                let share = share.trim_end().parse().ok().filter(|share: &f64| (0.0..=100.0).contains(share));
                share.map(MostBadRows::Percent)
            }
            None => text.trim().parse().ok().map(MostBadRows::Rows),
        };
        if most.is_none() {
            let help = "write a number of rows, such as `100`, or a share of those received, such as `1%`";
            self.error(written.span, format!("`{text}` is not a number of bad rows"), help);
        }
        if let Some(bad_rows) = schema.bad_rows.filter(|bad_rows| bad_rows.value == BadRows::Fail) {
            let help = "remove one of them: `fail` allows no bad row at all";
            self.error(bad_rows.span, "`bad_rows: fail` and `max_bad_rows` contradict each other", help);
        }
        most
    }

    fn type_error(&mut self, text: &Spanned<String>, error: &HandTypeError) {
        let types = || format!("the types are {}", TYPE_NAMES.join(", "));
        let help = match &error.unknown {
            Some(word) => nearest(word, &TYPE_NAMES).map_or_else(types, |near| format!("did you mean `{near}`?")),
            None => {
                "such as `int64`, `decimal(18, 2)`, `timestamp(s)`, 'timestamp(\"%d/%m/%Y %H:%M\", \"Europe/Rome\")', \
                     `list<string>` or `struct<id: int64>`"
                    .to_owned()
            }
        };
        let message = match (&error.unknown, text.value.get(error.offset..)) {
            (Some(word), _) if *word == text.value => error.message.clone(),
            (Some(_), _) | (None, None) => format!("`{}` can't be read as a type: {}", text.value, error.message),
            (None, Some("")) => format!("`{}` can't be read as a type: {}, at its end", text.value, error.message),
            (None, Some(rest)) => format!("`{}` can't be read as a type: {}, at `{rest}`", text.value, error.message),
        };
        self.error(text.span, message, help);
    }

    /// Checks the formats and zones of a type.
    fn clocks(&mut self, kind: &HandType, text: &Spanned<String>) {
        let clock = match kind {
            HandType::Timestamp(InstantReading::Text { format, zone }) => WallClock::new(format, zone),
            HandType::Date(format) => WallClock::new(format, "UTC"),
            HandType::List(item) => return self.clocks(item, text),
            HandType::Struct(fields) => return fields.iter().for_each(|field| self.clocks(&field.kind, text)),
            HandType::Timestamp(_) | HandType::Plain(_) => return,
        };
        if let Err(error) = clock {
            let message = format!("`{}` can't be read as a type: {error}", text.value);
            self.error(text.span, message, "write a strftime format and the name of a zone, each in double quotes");
        }
    }
}
