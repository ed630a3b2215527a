//! Compression of a whole text file, without a clock in its header.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::spec::TextCompression;
use super::super::store::StagedFile;

/// A staged file behind its compressor.
pub(super) enum Compressed {
    Plain(StagedFile),
    Gzip(GzEncoder<StagedFile>),
    Zstd(zstd::Encoder<'static, StagedFile>),
}

impl Compressed {
    pub(super) fn new(compression: TextCompression, file: StagedFile) -> io::Result<Self> {
        Ok(match compression {
            TextCompression::None => Self::Plain(file),
            TextCompression::Gzip => Self::Gzip(GzEncoder::new(file, Compression::default())),
            TextCompression::Zstd { level } => Self::Zstd(zstd::Encoder::new(file, level)?),
        })
    }

    /// Returns the compressed bytes written so far.
    pub(super) fn size(&self) -> u64 {
        self.file().bytes()
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &StagedFile {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Zstd(encoder) => encoder.get_ref(),
        }
    }

    pub(super) fn finish(self) -> io::Result<StagedFile> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: a flush would end a block of the compressor, and bytes reach the disk at the end of the file.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
