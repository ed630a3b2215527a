//! JSON Lines: one object a row, every column in it.
//!
//! Nulls are written, integers and decimals keep all their digits as JSON numbers, timestamps are RFC 3339 with `Z` and a
//! fraction only where there is one, binaries are hexadecimal, structs and lists stay what they are.

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::super::spec::TextCompression;
use super::super::store::StagedFile;
use super::compress::Compressed;
use super::{EncodeError, Encoder, printable};

/// Writes a JSON Lines file.
pub(super) struct JsonLinesEncoder {
    out: Compressed,
}

impl JsonLinesEncoder {
    pub(super) fn new(compression: TextCompression, file: StagedFile) -> Result<Self, EncodeError> {
        Ok(Self { out: Compressed::new(compression, file)? })
    }
}

impl Encoder for JsonLinesEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
            printable::check(column.as_ref(), field.name())?;
        }
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut lines = builder.build::<_, LineDelimited>(&mut self.out);
        lines.write(batch)?;
        Ok(lines.finish()?)
    }

    fn size(&self) -> u64 {
        self.out.size()
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

    fn finish(self: Box<Self>) -> Result<StagedFile, EncodeError> {
        Ok(self.out.finish()?)
    }
}
