//! The formats of answers.

/// How the body of an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AnswerFormat {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON document a line.
    JsonLines,
    /// Comma-separated values.
    Csv(CsvDialect),
}

/// How a table of comma-separated values is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CsvDialect {
    /// The character between two cells, ASCII: neither a quote nor a line end.
    pub delimiter: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Whether it may leave out columns that other pages have.
    pub sparse: bool,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self { delimiter: b',', header: true, sparse: false }
    }
}

impl AnswerFormat {
    /// Names the format as a pipeline file does.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv(_) => "csv",
        }
    }
}
