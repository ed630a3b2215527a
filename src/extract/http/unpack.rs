//! Undoes gzip, deflate, brotli and zstd, to the body's last byte.
//!
//! A body may have several members of gzip (RFC 1952, section 2.2), or frames of zstd (RFC 8878, section 3): exports that are put
//! together of parts are written so. Decoders that stop at the end of the first drop what follows.

use std::io::{self, Write as _};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation as _};

/// Bytes that are undone at once. Each may become a thousand.
pub(super) const PIECE: usize = 1024;

/// The most bytes that a piece of brotli or zstd becomes at once: each of its bytes may become a million.
const ROOM: usize = 16 * 1024;

/// Returns the encoding of that name, if it is undone. Names have no case, and `x-gzip` is gzip (RFC 9110,
/// section 8.4.1).
pub(super) fn undone_here(name: &str) -> Option<&'static str> {
    let known = [("gzip", "gzip"), ("x-gzip", "gzip"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd")];
    known.into_iter().find(|(known, _)| name.trim().eq_ignore_ascii_case(known)).map(|(_, encoding)| encoding)
}

/// Returns how a body with these headers is encoded, in the order in which that was done: the encodings may stand in one header or in
/// several, and `identity` is none (RFC 9110, section 8.4.1).
pub(super) fn encodings(headers: &HeaderMap) -> Vec<String> {
    let all =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let each = all.flat_map(|value| value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>());
    each.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity")).collect()
}

/// A body that is being undone.
pub(super) struct Unpacker {
    encoding: &'static str,
    how: How,
    /// Whether there was any: a body of no bytes is one of no bytes, however it is said to be encoded.
    begun: bool,
}

enum How {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    /// What it is shows with its first byte.
    Deflate {
        state: Option<Box<Decompress>>,
        ended: bool,
    },
    Brotli {
        state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
        ended: bool,
    },
    /// `between` frames: behind one, and before another if there is one.
    Zstd {
        state: ZstdDecoder<'static>,
        between: bool,
    },
}

impl Unpacker {
    /// Returns what undoes a body with these headers; none where there is nothing to do here.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let encodings = encodings(headers);
        let [encoding] = encodings.as_slice() else { return None };
        let encoding = undone_here(encoding)?;
        let how = match encoding {
            "gzip" => How::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            "br" => {
                let [one, two, three] = [(); 3].map(|()| StandardAlloc::default());
                How::Brotli { state: Box::new(BrotliState::new(one, two, three)), ended: false }
            }
            "zstd" => How::Zstd { state: ZstdDecoder::new().ok()?, between: true },
            _ => How::Deflate { state: None, ended: false },
        };
        Some(Self { encoding, how, begun: false })
    }

    /// Takes some of the bytes that come next, and returns what has become of them by now; to be called until there is nothing left of
    /// either.
    pub(super) fn push(&mut self, bytes: &mut &[u8]) -> Result<Vec<u8>, String> {
        self.begun |= !bytes.is_empty();
        let undone = match &mut self.how {
            How::Gzip(decoder) => gunzip(decoder, std::mem::take(bytes)),
            How::Deflate { ended: true, .. } | How::Brotli { ended: true, .. } if !bytes.is_empty() => {
                Err(io::Error::other(GOES_ON))
            }
            How::Deflate { state, ended } => match bytes.first() {
                Some(first) => {
                    let state = state.get_or_insert_with(|| Box::new(Decompress::new(is_zlib(*first))));
                    inflate(state, ended, std::mem::take(bytes))
                }
                None => Ok(Vec::new()),
            },
            How::Brotli { state, ended } => unbrotli(state, ended, bytes),
            How::Zstd { state, between } => unzstd(state, between, bytes),
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
            How::Deflate { ended: true, .. } | How::Brotli { ended: true, .. } | How::Zstd { between: true, .. } => {
                Ok(Vec::new())
            }
            How::Deflate { .. } | How::Brotli { .. } | How::Zstd { .. } => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        undone.map_err(|error| self.say(&error))
    }

    fn say(&self, error: &io::Error) -> String {
        format!("the {} data is cut off or garbled: {error}", self.encoding)
    }
}

/// Undoes a piece of gzip members. Zeros behind one fill a block of whoever wrote it, and mean nothing, as gzip(1) has it.
fn gunzip(decoder: &mut GzDecoder<Vec<u8>>, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    while !bytes.is_empty() {
        match decoder.write(bytes)? {
            // The member has ended, and what is left isn't of it.
            0 => {
                decoder.try_finish()?;
                let filling = bytes.iter().take_while(|byte| **byte == 0).count();
                bytes = bytes.get(filling..).unwrap_or_default();
                if !bytes.is_empty() {
                    *decoder = GzDecoder::new(std::mem::take(decoder.get_mut()));
                }
            }
            taken => bytes = bytes.get(taken..).unwrap_or_default(),
        }
    }
    Ok(std::mem::take(decoder.get_mut()))
}

/// What is wrong where bytes follow that nobody could make anything of.
const GOES_ON: &str = "it goes on after its end";

/// Tells by the first byte of a `deflate` body whether it is a zlib stream (RFC 1950), which is what the name means, or bare deflate
/// (RFC 1951), which some servers send under it. A stored block with anything in its unused bits, which nobody writes, would be taken
/// for zlib.
const fn is_zlib(first: u8) -> bool {
    first & 0x8f == 8
}

/// Undoes a piece of a zlib or deflate stream.
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
            Status::StreamEnd => return Err(io::Error::other(GOES_ON)),
            // With room left there is no more to come of these bytes.
            _ if bytes.is_empty() && undone.len() < undone.capacity() => return Ok(undone),
            Status::BufError => return Ok(undone),
            Status::Ok => {}
        }
    }
}

/// Undoes some of a piece of a brotli stream (RFC 7932), of which there is one in a body.
fn unbrotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    ended: &mut bool,
    bytes: &mut &[u8],
) -> io::Result<Vec<u8>> {
    if *ended {
        return Ok(Vec::new());
    }
    let mut undone = vec![0; ROOM];
    let (mut left, mut taken, mut room, mut made, mut all) = (bytes.len(), 0, ROOM, 0, 0);
    let result =
        BrotliDecompressStream(&mut left, &mut taken, bytes, &mut room, &mut made, &mut undone, &mut all, state);
    *bytes = bytes.get(taken..).unwrap_or_default();
    undone.truncate(made);
    match result {
        BrotliResult::ResultSuccess => *ended = true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        BrotliResult::ResultFailure => return Err(io::ErrorKind::InvalidData.into()),
    }
    Ok(undone)
}

/// Undoes some of a piece of zstd frames.
fn unzstd(state: &mut ZstdDecoder<'static>, between: &mut bool, bytes: &mut &[u8]) -> io::Result<Vec<u8>> {
    if *between && bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut undone = vec![0; ROOM];
    let status = state.run_on_buffers(bytes, &mut undone)?;
    *bytes = bytes.get(status.bytes_read..).unwrap_or_default();
    undone.truncate(status.bytes_written);
    *between = status.remaining == 0;
    Ok(undone)
}
