//! Types that a pipeline file gives to columns by hand, and the text that they are written as.

use std::fmt;

use super::{Column, ColumnType};

/// The most digits of a decimal: what 128 bits hold.
const MAX_PRECISION: u8 = 38;

/// How deep lists and structs may nest.
const MAX_DEPTH: usize = 16;

/// A column typed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandColumn {
    /// The name, exactly as in the records.
    pub name: String,
    /// The type.
    pub kind: HandType,
}

/// A type by hand: a column's type, and how its values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandType {
    /// A type whose values are read as they are.
    Plain(ColumnType),
    /// An instant.
    Timestamp(InstantReading),
    /// A day, written in this strftime format.
    Date(String),
    /// Items of one type.
    List(Box<HandType>),
    /// Named fields.
    Struct(Vec<HandColumn>),
}

/// How an instant is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstantReading {
    /// Seconds since 1970-01-01T00:00Z; decimals are parts of one.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
    /// Text: a strftime format, and the IANA zone of texts that have no offset.
    Text {
        /// The format.
        format: String,
        /// The zone.
        zone: String,
    },
}

/// Why a text is no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HandTypeError {
    /// What is wrong.
    pub message: String,
    /// Where it begins, in bytes of the text.
    pub offset: usize,
    /// The word that names no type, if that is what is wrong.
    pub unknown: Option<String>,
}

/// The names of types, for those who mistype one.
pub const TYPE_NAMES: [&str; 11] =
    ["bool", "int64", "uint64", "float64", "decimal", "string", "timestamp", "date", "json", "list", "struct"];

impl InstantReading {
    /// RFC 3339, such as `2026-01-01T00:00:00Z`.
    #[must_use]
    pub fn rfc3339() -> Self {
        Self::Text { format: "%+".to_owned(), zone: "UTC".to_owned() }
    }
}

impl HandType {
    /// Returns the type of the column.
    #[must_use]
    pub fn kind(&self) -> ColumnType {
        match self {
            Self::Plain(kind) => kind.clone(),
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Date(_) => ColumnType::Date,
            Self::List(item) => ColumnType::List(Box::new(item.kind())),
            Self::Struct(fields) => {
                let field = |field: &HandColumn| Column { name: field.name.clone(), kind: field.kind.kind() };
                let mut fields: Vec<Column> = fields.iter().map(field).collect();
                fields.sort_by(|a, b| a.name.cmp(&b.name));
                ColumnType::Struct(fields)
            }
        }
    }

    /// Reads `int64`, `decimal(38, 2)`, `timestamp(s)`, `timestamp("%d/%m/%Y %H:%M", "Europe/Rome")`, `date`,
    /// `list<string>`, `struct<id: int64, "a b": string>`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, HandTypeError> {
        read(text, false)
    }
}

impl ColumnType {
    /// Reads what [`Self::written`] wrote: as [`HandType::parse`], and `null`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, HandTypeError> {
        read(text, true).map(|kind| kind.kind())
    }

    /// Writes the type as `schema.columns` would, names of fields in quotes where they aren't words.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::List(item) => format!("list<{}>", item.written()),
            Self::Struct(fields) => {
                let is_word = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
                let field = |field: &Column| {
                    let name = if is_word(&field.name) { field.name.clone() } else { quote(&field.name) };
                    format!("{name}: {}", field.kind.written())
                };
                format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
            scalar => scalar.to_string(),
        }
    }
}

/// Reads a type. `pinned` ones may be `null`, and structs without fields.
fn read(text: &str, pinned: bool) -> Result<HandType, HandTypeError> {
    let mut reader = Reader { text, at: 0, pinned };
    let kind = reader.kind(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("nothing more is expected here"));
    }
    Ok(kind)
}

/// Reads a type from left to right.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    pinned: bool,
}

impl<'t> Reader<'t> {
    fn kind(&mut self, depth: usize) -> Result<HandType, HandTypeError> {
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("types nest at most {MAX_DEPTH} deep")));
        }
        self.space();
        let start = self.at;
        let name = self.word();
        Ok(match name {
            "null" if self.pinned => HandType::Plain(ColumnType::Null),
            "bool" => HandType::Plain(ColumnType::Bool),
            "int64" => HandType::Plain(ColumnType::Int64),
            "uint64" => HandType::Plain(ColumnType::Uint64),
            "float64" => HandType::Plain(ColumnType::Float64),
            "string" => HandType::Plain(ColumnType::String),
            "json" => HandType::Plain(ColumnType::Json),
            "decimal" => self.decimal()?,
            "timestamp" => HandType::Timestamp(self.instant()?),
            "date" => HandType::Date(self.date()?),
            "list" => {
                self.take('<')?;
                let item = self.kind(depth + 1)?;
                self.take('>')?;
                HandType::List(Box::new(item))
            }
            "struct" => HandType::Struct(self.fields(depth)?),
            other => {
                let message = if other.is_empty() {
                    "a type is expected here".to_owned()
                } else {
                    format!("there is no type `{other}`")
                };
                return Err(HandTypeError { message, offset: start, unknown: Some(other.to_owned()) });
            }
        })
    }

    fn decimal(&mut self) -> Result<HandType, HandTypeError> {
        self.take('(')?;
        let start = self.at;
        let precision = self.number()?;
        self.take(',')?;
        let scale = self.number()?;
        self.take(')')?;
        if !(1..=MAX_PRECISION).contains(&precision) || scale > precision {
            let message = format!(
                "a decimal has 1 to {MAX_PRECISION} digits in all, and at most that many of them after the point, such as \
                 `decimal(18, 2)`"
            );
            return Err(HandTypeError { message, offset: start, unknown: None });
        }
        Ok(HandType::Plain(ColumnType::Decimal { precision, scale }))
    }

    fn instant(&mut self) -> Result<InstantReading, HandTypeError> {
        if !self.taken('(') {
            return Ok(InstantReading::rfc3339());
        }
        self.space();
        let start = self.at;
        let reading = if self.text[self.at..].starts_with('"') {
            let format = self.quoted()?;
            let zone = if self.taken(',') { self.quoted()? } else { "UTC".to_owned() };
            InstantReading::Text { format, zone }
        } else {
            match self.word() {
                "s" => InstantReading::Seconds,
                "ms" => InstantReading::Millis,
                "us" => InstantReading::Micros,
                "ns" => InstantReading::Nanos,
                _ => {
                    let message =
                        "write a unit (`s`, `ms`, `us` or `ns`), or a format and a zone, each in double quotes";
                    return Err(HandTypeError { message: message.to_owned(), offset: start, unknown: None });
                }
            }
        };
        self.take(')')?;
        Ok(reading)
    }

    fn date(&mut self) -> Result<String, HandTypeError> {
        if !self.taken('(') {
            return Ok("%Y-%m-%d".to_owned());
        }
        let format = self.quoted()?;
        self.take(')')?;
        Ok(format)
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<HandColumn>, HandTypeError> {
        self.take('<')?;
        let mut fields: Vec<HandColumn> = Vec::new();
        if self.pinned && self.taken('>') {
            return Ok(fields);
        }
        loop {
            self.space();
            let start = self.at;
            let name = if self.text[self.at..].starts_with('"') { self.quoted()? } else { self.word().to_owned() };
            let refuse = |message: String| HandTypeError { message, offset: start, unknown: None };
            if name.is_empty() {
                return Err(refuse("a field's name is expected here, such as `struct<id: int64>`".to_owned()));
            }
            if fields.iter().any(|field| field.name == name) {
                return Err(refuse(format!("the field `{name}` comes twice")));
            }
            self.take(':')?;
            fields.push(HandColumn { name, kind: self.kind(depth + 1)? });
            if !self.taken(',') {
                self.take('>')?;
                return Ok(fields);
            }
        }
    }

    fn space(&mut self) {
        self.at += self.text[self.at..].len() - self.text[self.at..].trim_start().len();
    }

    fn word(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<u8, HandTypeError> {
        self.space();
        let start = self.at;
        let refuse = |_| HandTypeError {
            message: "a number of digits is expected here".to_owned(),
            offset: start,
            unknown: None,
        };
        self.word().parse().map_err(refuse)
    }

    /// Reads a text in double quotes; a backslash before a quote or a backslash stands for itself.
    fn quoted(&mut self) -> Result<String, HandTypeError> {
        self.space();
        let rest = &self.text[self.at..];
        if !rest.starts_with('"') {
            return Err(self.error("a text in double quotes is expected here"));
        }
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(characters.next().map(|(_, next)| next)),
                plain => text.push(plain),
            }
        }
        Err(self.error("the quote that begins here doesn't end"))
    }

    fn taken(&mut self, mark: char) -> bool {
        self.space();
        let there = self.text[self.at..].starts_with(mark);
        self.at += if there { mark.len_utf8() } else { 0 };
        there
    }

    fn take(&mut self, mark: char) -> Result<(), HandTypeError> {
        if self.taken(mark) { Ok(()) } else { Err(self.error(&format!("`{mark}` is expected here"))) }
    }

    fn error(&self, message: &str) -> HandTypeError {
        HandTypeError { message: message.to_owned(), offset: self.at, unknown: None }
    }
}

impl fmt::Display for HandType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(kind) => kind.fmt(f),
            Self::Timestamp(InstantReading::Seconds) => f.write_str("timestamp(s)"),
            Self::Timestamp(InstantReading::Millis) => f.write_str("timestamp(ms)"),
            Self::Timestamp(InstantReading::Micros) => f.write_str("timestamp(us)"),
            Self::Timestamp(InstantReading::Nanos) => f.write_str("timestamp(ns)"),
            Self::Timestamp(InstantReading::Text { format, zone }) => {
                write!(f, "timestamp({}, {})", quote(format), quote(zone))
            }
            Self::Date(format) => write!(f, "date({})", quote(format)),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, field) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", quote(&field.name), field.kind)?;
                }
                f.write_str(">")
            }
        }
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> String {
        HandType::parse(text).unwrap().kind().to_string()
    }

    #[test]
    fn types_are_read() {
        assert_eq!(kind("int64"), "int64");
        assert_eq!(kind(" decimal( 38,0 ) "), "decimal(38, 0)");
        assert_eq!(kind("timestamp(ms)"), "timestamp");
        assert_eq!(kind("list<struct<b: date, \"a b\": json>>"), "list<struct<a b: json, b: date>>");
        let rome = HandType::parse(r#"timestamp("%Y-%m-%d %H:%M:%S", "Europe/Rome")"#).unwrap();
        let reading = InstantReading::Text { format: "%Y-%m-%d %H:%M:%S".into(), zone: "Europe/Rome".into() };
        assert_eq!(rome, HandType::Timestamp(reading));
        assert_eq!(HandType::parse("timestamp").unwrap(), HandType::Timestamp(InstantReading::rfc3339()));
    }

    #[test]
    fn what_is_no_type_is_pointed_at() {
        let refused = |text: &str| {
            let error = HandType::parse(text).unwrap_err();
            format!("{}: {}", error.offset, error.message)
        };
        assert_eq!(refused("integer"), "0: there is no type `integer`");
        assert_eq!(refused("list<integer>"), "5: there is no type `integer`");
        assert_eq!(refused("decimal"), "7: `(` is expected here");
        assert!(refused("decimal(39, 1)").starts_with("8: a decimal has 1 to 38 digits"));
        assert!(refused("decimal(3, 4)").starts_with("8: a decimal has"));
        assert!(refused("timestamp(m)").starts_with("10: write a unit"));
        assert_eq!(refused("timestamp(\"%Y)"), "10: the quote that begins here doesn't end");
        assert_eq!(refused("struct<a: int64, a: bool>"), "17: the field `a` comes twice");
        assert_eq!(refused("struct<>"), "7: a field's name is expected here, such as `struct<id: int64>`");
        assert_eq!(refused("int64 or so"), "6: nothing more is expected here");
        assert_eq!(refused(""), "0: a type is expected here");
        assert_eq!(refused(&"list<".repeat(40)), "85: types nest at most 16 deep");
    }

    fn any_type() -> impl Strategy<Value = HandType> {
        let texts = ("[ -~é]{1,8}", "[A-Za-z/\\\\\"]{1,6}");
        let leaf = prop_oneof![
            Just(HandType::Plain(ColumnType::Json)),
            (1_u8..=38, 0_u8..=38).prop_map(|(precision, scale)| {
                HandType::Plain(ColumnType::Decimal { precision, scale: scale.min(precision) })
            }),
            Just(HandType::Timestamp(InstantReading::Nanos)),
            texts.prop_map(|(format, zone)| HandType::Timestamp(InstantReading::Text { format, zone })),
            texts.0.prop_map(HandType::Date),
        ];
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|item| HandType::List(Box::new(item))),
                proptest::collection::btree_map("\\PC{1,5}", inner, 1..3).prop_map(|fields| {
                    HandType::Struct(fields.into_iter().map(|(name, kind)| HandColumn { name, kind }).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(kind in any_type()) {
            prop_assert_eq!(HandType::parse(&kind.to_string()), Ok(kind));
        }

        #[test]
        fn what_is_pinned_reads_back(kind in any_type()) {
            let kind = kind.kind();
            prop_assert_eq!(ColumnType::parse(&kind.written()), Ok(kind));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[a-z<>(),:\"\\\\0-9 é]{0,40}") {
            if let Err(error) = HandType::parse(&text) {
                prop_assert!(text.is_char_boundary(error.offset));
            }
        }
    }
}
