//! The body of an answer: read as it comes, unpacked, and held to its limits of time and memory.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout_at;

use super::client::HttpClient;
use super::connect::torn;
use super::error::TransportKind;
use super::memory::Room;
use super::tried::TryError;
use super::unpack::{PIECE, Unpacker};
use crate::lang::spell;

/// Bytes from which on a body lies apart.
const LARGE: usize = 4 * 1024 * 1024;

/// Bytes of a buffer that lies apart: more than allocators keep for later, as glibc does up to 32 MiB and jemalloc up to 8. So it is given
/// back to the system as soon as it is dropped, and grows without a copy. What of it isn't written to takes no memory. But the system
/// clears the memory of each anew, which for bodies of a megabyte took 5 % of an export's time.
const APART: usize = 33 * 1024 * 1024;

impl HttpClient {
    /// Reads a body, until `deadline`. Where it breaks off, `body` keeps what has come of it.
    pub(super) async fn read(
        &self,
        response: Response<Incoming>,
        deadline: Instant,
        room: &mut Room,
        body: &mut BytesMut,
    ) -> Result<(), TryError> {
        let (limit, length) = (self.options.max_response, response.body().size_hint().exact());
        let mut unpacker = Unpacker::of(response.headers());
        // What is packed is measured once it is unpacked.
        if unpacker.is_none() && length.is_some_and(|length| length > limit) {
            return Err(TryError::TooLarge);
        }
        if let Some(stated) = length.filter(|_| unpacker.is_none()) {
            room.expect(stated).await?;
            make_way(body, usize::try_from(stated).unwrap_or(APART));
        }
        let (is_http_2, mut stream) = (response.version() == Version::HTTP_2, response.into_body());
        let undoing = |reason| TryError::Transport(TransportKind::TornBody, reason);
        loop {
            let silent = Instant::now() + self.options.read_timeout;
            let next = timeout_at(silent.min(deadline).into(), stream.frame()).await;
            let next = next.map_err(|_| if silent < deadline { stalled(self.options.read_timeout) } else { late() })?;
            let Some(frame) = next.transpose().map_err(|error| torn(&error))? else { break };
            let Ok(chunk) = frame.into_data() else { continue };
            match &mut unpacker {
                None => self.keep(&chunk, body, room).await?,
                Some(unpacker) => {
                    for mut piece in chunk.chunks(PIECE) {
                        loop {
                            let undone = unpacker.push(&mut piece).map_err(undoing)?;
                            self.keep(&undone, body, room).await?;
                            if piece.is_empty() && undone.is_empty() {
                                break;
                            }
                        }
                    }
                }
            }
        }
        // A stream that is reset without an error ends as well, without having come to its end.
        if is_http_2 && !stream.is_end_stream() {
            return Err(undoing("the server reset the stream before its end".to_owned()));
        }
        if let Some(unpacker) = &mut unpacker {
            self.keep(&unpacker.finish().map_err(undoing)?, body, room).await?;
        }
        Ok(())
    }

    /// Adds bytes to a body, unless it grows too large.
    async fn keep(&self, bytes: &[u8], body: &mut BytesMut, room: &mut Room) -> Result<(), TryError> {
        if u64::try_from(body.len() + bytes.len()).unwrap_or(u64::MAX) > self.options.max_response {
            return Err(TryError::TooLarge);
        }
        room.grow(bytes.len() as u64).await?;
        make_way(body, bytes.len());
        body.extend_from_slice(bytes);
        Ok(())
    }
}

/// The try took longer than one may.
pub(super) fn late() -> TryError {
    TryError::Transport(TransportKind::Timeout, "error sending request: operation timed out".to_owned())
}

/// The body came to a halt.
fn stalled(silence: Duration) -> TryError {
    TryError::Transport(TransportKind::Timeout, format!("no byte of the body came for {}", spell(silence)))
}

/// Makes way for `bytes` more.
fn make_way(body: &mut BytesMut, bytes: usize) {
    if body.capacity() - body.len() < bytes {
        // What a server states of a large body may be a lie, so that is no more than a sign that it is one.
        let is_large = body.len() + bytes > LARGE;
        body.reserve(if is_large && body.capacity() < APART { APART - body.len() } else { bytes });
    }
}
