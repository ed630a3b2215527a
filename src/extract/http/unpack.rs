//! Undoes gzip and deflate, to the body's last byte.
//!
//! The HTTP client's own decoder stops at the end of the first member of a gzip body and drops what follows, though there may be
//! several (RFC 1952, section 2.2): exports that are put together of parts are written so. It does brotli and zstd.

use std::io::{self, Write as _};

use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Bytes that are undone at once. Each may become a thousand.
pub(super) const PIECE: usize = 1024;

/// The encodings that are undone here; the client does the others.
pub(super) const UNDONE_HERE: [&str; 2] = ["gzip", "deflate"];

/// A body that is being undone.
pub(super) struct Unpacker {
    encoding: &'static str,
    how: How,
    /// Whether there was any: a body of no bytes is one of no bytes, however it is said to be encoded.
    begun: bool,
}

enum How {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate { state: Box<Decompress>, ended: bool },
}

impl Unpacker {
    /// Returns what undoes a body with these headers; none where there is nothing to do here.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let (Some(encoding), None) = (encodings.next(), encodings.next()) else { return None };
        let encoding = UNDONE_HERE.into_iter().find(|known| encoding.as_bytes() == known.as_bytes())?;
        let how = match encoding {
            "gzip" => How::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            _ => How::Deflate { state: Box::new(Decompress::new(true)), ended: false },
        };
        Some(Self { encoding, how, begun: false })
    }

    /// Takes the bytes that come next, and returns what has become of them by now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.begun |= !bytes.is_empty();
        let undone = match &mut self.how {
            How::Gzip(decoder) => decoder.write_all(bytes).map(|()| std::mem::take(decoder.get_mut())),
            How::Deflate { ended: true, .. } if !bytes.is_empty() => Err(io::Error::other("it goes on after its end")),
            How::Deflate { state, ended } => inflate(state, ended, bytes),
        };
        undone.map_err(|error| self.say(&error))
    }

    /// Takes the end of the body, and returns what was left to undo.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, String> {
        if !self.begun {
            return Ok(Vec::new());
        }
        let undone = match &mut self.how {
            How::Gzip(decoder) => decoder.try_finish().map(|()| std::mem::take(decoder.get_mut())),
            How::Deflate { ended: true, .. } => Ok(Vec::new()),
            How::Deflate { .. } => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        undone.map_err(|error| self.say(&error))
    }

    fn say(&self, error: &io::Error) -> String {
        format!("the {} data is cut off or garbled: {error}", self.encoding)
    }
}

/// Undoes a piece of a zlib stream (RFC 1950), which is what `deflate` means.
fn inflate(state: &mut Decompress, ended: &mut bool, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut undone = Vec::new();
    loop {
        undone.reserve(PIECE);
        let before = state.total_in();
        let status = state.decompress_vec(bytes, &mut undone, FlushDecompress::None)?;
        bytes = bytes.get(usize::try_from(state.total_in() - before).unwrap_or(usize::MAX)..).unwrap_or_default();
        match status {
            Status::StreamEnd if bytes.is_empty() => {
                *ended = true;
                return Ok(undone);
            }
            Status::StreamEnd => return Err(io::Error::other("it goes on after its end")),
            // With room left there is no more to come of these bytes.
            _ if bytes.is_empty() && undone.len() < undone.capacity() => return Ok(undone),
            Status::BufError => return Ok(undone),
            Status::Ok => {}
        }
    }
}
