//! CSV: RFC 4180 quoting unless told otherwise, nested values as JSON.
//!
//! A cell is quoted where it has to be: it holds the delimiter, a quote, an escape or a line end, or it is a text that would read as
//! null. Structs, lists and maps are JSON text; timestamps are RFC 3339 with `Z`; binaries are hexadecimal.

use std::io::Write as _;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::super::spec::{CsvOptions, LineEnd};
use super::super::store::StagedFile;
use super::compress::Compressed;
use super::{EncodeError, Encoder, printable};

/// Bytes gathered before they are handed to the compressor and the disk.
const BUFFER: usize = 64 * 1024;

/// Writes a CSV file.
pub(super) struct CsvEncoder {
    out: Compressed,
    options: CsvOptions,
    lines: Vec<u8>,
}

impl CsvEncoder {
    pub(super) fn new(options: &CsvOptions, schema: &SchemaRef, file: StagedFile) -> Result<Self, EncodeError> {
        let out = Compressed::new(options.compression, file)?;
        let mut encoder = Self { out, options: options.clone(), lines: Vec::with_capacity(2 * BUFFER) };
        if options.byte_order_mark {
            encoder.lines.extend_from_slice("\u{feff}".as_bytes());
        }
        if options.header {
            for (at, field) in schema.fields().iter().enumerate() {
                encoder.separate(at);
                encoder.text(field.name());
            }
            encoder.end_line();
        }
        Ok(encoder)
    }

    fn separate(&mut self, cell: usize) {
        if cell > 0 {
            self.lines.push(self.options.delimiter);
        }
    }

    fn end_line(&mut self) {
        self.lines.extend_from_slice(match self.options.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
        });
    }

    /// Writes a text, made harmless to spreadsheets if that is wanted.
    fn text(&mut self, text: &str) {
        if self.options.protect_formulas && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            self.cell(&format!("'{text}"));
        } else {
            self.cell(text);
        }
    }

    fn cell(&mut self, text: &str) {
        let CsvOptions { quote, escape, .. } = self.options;
        if text.is_empty() || text == self.options.null_text || text.bytes().any(|byte| self.options.is_special(byte)) {
            self.lines.push(quote);
            for byte in text.bytes() {
                if byte == quote || byte == escape {
                    self.lines.push(escape);
                }
                self.lines.push(byte);
            }
            self.lines.push(quote);
        } else {
            self.lines.extend_from_slice(text.as_bytes());
        }
    }

    fn drain(&mut self) -> Result<(), EncodeError> {
        self.out.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

impl Encoder for CsvEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        let schema = batch.schema();
        let printers = batch.columns().iter().zip(schema.fields()).map(|(column, field)| Printer::new(column, field));
        let mut printers = printers.collect::<Result<Vec<_>, _>>()?;
        if let ([only], [field], true) = (batch.columns(), schema.fields().as_ref(), self.options.null_text.is_empty())
            && only.null_count() > 0
        {
            return Err(EncodeError::EmptyLine { column: field.name().clone() });
        }
        let mut scratch = String::new();
        for row in 0..batch.num_rows() {
            for (at, (printer, column)) in printers.iter_mut().zip(batch.columns()).enumerate() {
                self.separate(at);
                if column.is_null(row) {
                    self.lines.extend_from_slice(self.options.null_text.as_bytes());
                } else {
                    printer.print(row, &mut scratch, self)?;
                }
            }
            self.end_line();
            if self.lines.len() >= BUFFER {
                self.drain()?;
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.out.size() + self.lines.len() as u64
    }

    fn buffered(&self) -> usize {
        0
    }

    fn held(&self) -> usize {
        self.out.file().held()
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<StagedFile, EncodeError> {
        self.drain()?;
        Ok(self.out.finish()?)
    }
}

/// Prints the cells of one column.
enum Printer<'a> {
    Text(&'a StringArray),
    Json(NullableEncoder<'a>, Vec<u8>),
    Plain(ArrayFormatter<'a>),
}

impl<'a> Printer<'a> {
    fn new(column: &'a ArrayRef, field: &'a FieldRef) -> Result<Self, EncodeError> {
        /// Timestamps as RFC 3339, dates as ISO 8601: Arrow's defaults.
        static PLAIN: FormatOptions<'static> = FormatOptions::new();
        static JSON: std::sync::LazyLock<EncoderOptions> =
            std::sync::LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));
        Ok(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            kind if kind.is_nested() => {
                printable::check(column.as_ref(), field.name())?;
                Self::Json(make_encoder(field, column.as_ref(), &JSON)?, Vec::new())
            }
            _ => Self::Plain(ArrayFormatter::try_new(column.as_ref(), &PLAIN)?),
        })
    }

    fn print(&mut self, row: usize, scratch: &mut String, into: &mut CsvEncoder) -> Result<(), EncodeError> {
        match self {
            Self::Text(texts) => into.text(texts.value(row)),
            Self::Json(encoder, bytes) => {
                bytes.clear();
                encoder.encode(row, bytes);
                into.cell(&String::from_utf8_lossy(bytes));
            }
            Self::Plain(formatter) => {
                scratch.clear();
                formatter.value(row).write(scratch)?;
                into.cell(scratch);
            }
        }
        Ok(())
    }
}
