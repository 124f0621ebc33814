//! Messages with deltas, packed into binary frames (FED-35).
//!
//! Each is packed by itself: a link keeps nothing for it, and what one message says tells nothing of another.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::{Link, Output, Phase, Role, is_answer};
use crate::event::Status;
use crate::limits::{CLIENT_FRAME_BYTES_MAX, FRAME_BYTES_MAX, PACK_BYTES_MIN, close};

/// How hard it is tried: of 100 signed deltas 26 % stay in 0.23 ms. The first level leaves 38 % in 0.12 ms, the sixth as
/// much as this one in 0.36 ms.
const LEVEL: u32 = 2;

/// Whether messages with deltas are packed (FED-35), if the peer takes them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Deflate {
    /// Never.
    Never,
    /// Unless the server is on this machine, says whoever connects; who is connected to leaves it to them.
    #[default]
    Elsewhere,
    /// Wherever the peer is.
    Always,
}

/// What is no packed message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BadPacked {
    /// More comes out than a frame may have.
    TooLarge,
    /// It is no stream, or something follows it, or no text comes out.
    Damaged,
}

/// The packed text, if that is worth it.
pub(super) fn pack(text: &str) -> Option<Vec<u8>> {
    if text.len() < PACK_BYTES_MIN {
        return None;
    }
    // A packed message comes to a third or a quarter.
    let packed = Vec::with_capacity(text.len() / 3);
    let mut encoder = DeflateEncoder::new(packed, Compression::new(LEVEL));
    encoder.write_all(text.as_bytes()).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < text.len()).then_some(packed)
}

/// The text that was packed, of at most so many bytes: no more than one above that is ever unpacked.
pub(super) fn unpack(packed: &[u8], bytes_max: usize) -> Result<String, BadPacked> {
    let mut decoder = DeflateDecoder::new(packed);
    let mut bytes = Vec::new();
    let one_more = bytes_max as u64 + 1;
    let read = decoder.by_ref().take(one_more).read_to_end(&mut bytes);
    if bytes.len() > bytes_max {
        return Err(BadPacked::TooLarge);
    }
    let is_whole = read.is_ok() && decoder.total_in() == packed.len() as u64;
    let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
    text.ok_or(BadPacked::Damaged)
}

impl Link {
    /// The most that a frame may have, unpacked (FED-4).
    pub(super) const fn frame_bytes_max(&self) -> usize {
        match self.role {
            Role::Client => CLIENT_FRAME_BYTES_MAX,
            Role::Server => FRAME_BYTES_MAX,
        }
    }

    pub(super) fn too_large(&mut self) {
        self.close(close::TOO_LARGE, "a frame is too large", Status::Error);
    }

    /// What is sent of a message: packed, if it has deltas and both sides can.
    pub(super) fn packed(&mut self, text: String) -> Output {
        let is_packed = self.can("deflate") && !is_answer(&text);
        let packed = is_packed.then(|| pack(&text)).flatten();
        let bytes = packed.as_ref().map_or(text.len(), Vec::len);
        self.stats.wire_bytes_sent += bytes as u64;
        packed.map_or(Output::Send(text), Output::Packed)
    }

    /// A binary frame.
    pub(super) fn on_packed(&mut self, now_ms: u64, packed: &[u8]) {
        self.stats.wire_bytes_received += packed.len() as u64;
        // Nobody has anything unpacked before it agreed.
        if self.phase != Phase::Open || !self.can("deflate") {
            self.on_fault(now_ms, "a frame is no text");
            return;
        }
        match unpack(packed, self.frame_bytes_max()) {
            Ok(text) => self.on_text(now_ms, &text),
            Err(BadPacked::TooLarge) => self.too_large(),
            Err(BadPacked::Damaged) => self.on_fault(now_ms, "a frame is no packed text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What was packed comes back, within its limit and not one byte below it.
        #[test]
        fn what_was_packed_comes_back(word in "\\PC{1,40}", times in 0..400usize) {
            let text = word.repeat(times);
            match pack(&text) {
                None => prop_assert!(text.len() < PACK_BYTES_MIN || times < 2),
                Some(packed) => {
                    prop_assert!(packed.len() < text.len());
                    prop_assert_eq!(unpack(&packed, text.len()), Ok(text.clone()));
                    prop_assert_eq!(unpack(&packed, text.len() - 1), Err(BadPacked::TooLarge));
                    let more = [&packed[..], b"x"].concat();
                    prop_assert_eq!(unpack(&more, text.len()), Err(BadPacked::Damaged));
                    let less = &packed[..packed.len() - 1];
                    prop_assert_eq!(unpack(less, text.len()), Err(BadPacked::Damaged));
                }
            }
        }

        /// Any bytes are a text or are refused, and never more than the limit.
        #[test]
        fn any_bytes_are_bounded(bytes: Vec<u8>, bytes_max in 0..2000usize) {
            if let Ok(text) = unpack(&bytes, bytes_max) {
                prop_assert!(text.len() <= bytes_max);
            }
        }
    }

    /// A mebibyte that would be a gibibyte is given up where the limit is.
    #[test]
    fn a_bomb_is_not_blown_up() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let mebibyte = vec![b' '; 1024 * 1024];
        for _ in 0..1024 {
            encoder.write_all(&mebibyte).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1_100_000);
        assert_eq!(unpack(&bomb, 1024 * 1024), Err(BadPacked::TooLarge));
        let mut decoder = DeflateDecoder::new(&bomb[..]);
        let mut bytes = Vec::new();
        let most = 1024 * 1024 + 1;
        decoder.by_ref().take(most).read_to_end(&mut bytes).unwrap();
        // Only as much went in as had to for that to come out.
        assert!(decoder.total_in() < 64 * 1024, "{}", decoder.total_in());
        assert!(bytes.capacity() <= 2 * 1024 * 1024 + 64);
    }
}
