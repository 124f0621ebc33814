//! Frames, and the first frame of a stream, which says what the stream is for (TRANS-12, TRANS-13).

use allod_identity::canonical;
use bytes::{Buf as _, Bytes, BytesMut};

use crate::error::QuicError;

/// The largest frame's body, in bytes (TRANS-12).
///
/// 2 MiB and 64 KiB: the largest block, and the message around it.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024 + 64 * 1024;

/// The largest first frame, in bytes: an array of two small integers has at most 19.
pub(crate) const HELLO_BYTES_MAX: usize = 32;

/// The length before a frame: four bytes, little-endian.
const HEADER_BYTES: usize = 4;

/// Memory taken for a frame on the strength of its announced length alone, in bytes. The rest is
/// taken once this much has come, so that a peer pays for what it makes a node hold.
const TRUSTED_BYTES: usize = 64 * 1024;

/// What a stream is for (TRANS-14).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
#[non_exhaustive]
pub enum StreamKind {
    /// A sync session about one space.
    Sync,
    /// A request to join a space, and its answer.
    Join,
    /// Asking for blocks that are damaged or missing.
    Fetch,
    /// Pairing a device.
    Pair,
    /// What devices of one agent tell each other.
    Own,
}

impl StreamKind {
    /// Its number and the version of its protocol.
    const fn numbers(self) -> (u64, u64) {
        match self {
            Self::Sync => (1, 1),
            Self::Join => (2, 1),
            Self::Fetch => (3, 1),
            Self::Pair => (4, 1),
            Self::Own => (5, 1),
        }
    }

    /// The first frame of a stream of this kind.
    pub(crate) fn hello(self) -> Vec<u8> {
        let (kind, version) = self.numbers();
        // Both are below 24, so each is its own encoding: an array of two.
        vec![0x82, kind as u8, version as u8]
    }

    /// Reads the first frame of a stream.
    pub(crate) fn from_hello(frame: &[u8]) -> Result<Self, QuicError> {
        let numbers: (u64, u64) =
            canonical::decode(frame, HELLO_BYTES_MAX).map_err(|_error| QuicError::StreamKind)?;
        [Self::Sync, Self::Join, Self::Fetch, Self::Pair, Self::Own]
            .into_iter()
            .find(|kind| kind.numbers() == numbers)
            .ok_or(QuicError::StreamKind)
    }
}

/// The header of a frame of `len` bytes; refuses what no receiver would take.
pub(crate) fn header(len: usize) -> Result<[u8; HEADER_BYTES], QuicError> {
    if len > FRAME_BYTES_MAX {
        return Err(QuicError::FrameTooLarge { got: len as u64 });
    }
    Ok((len as u32).to_le_bytes())
}

/// Puts frames together from the pieces that a stream yields. A piece that holds whole frames is not
/// copied.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The last piece, as far as it is not used yet.
    spare: Bytes,
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// The frame that is being received: its length, and what has come of it.
    body: Option<(usize, BytesMut)>,
}

impl Assembler {
    /// Takes the next piece; only after [`next`](Self::next) gave `None`.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.spare = piece;
    }

    /// Whether a frame has begun and not ended.
    pub(crate) const fn is_mid_frame(&self) -> bool {
        self.header_len > 0
    }

    /// The next whole frame; `None` when everything pushed is used up. A frame announced with more
    /// than `bytes_max` is refused before any memory is taken.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Result<Option<Bytes>, QuicError> {
        while self.header_len < HEADER_BYTES {
            if self.spare.is_empty() {
                return Ok(None);
            }
            self.header[self.header_len] = self.spare.get_u8();
            self.header_len += 1;
        }
        let (len, mut body) = if let Some(begun) = self.body.take() {
            begun
        } else {
            let len = announced(self.header, bytes_max)?;
            if self.spare.len() >= len {
                self.header_len = 0;
                return Ok(Some(self.spare.split_to(len)));
            }
            (len, BytesMut::with_capacity(len.min(TRUSTED_BYTES)))
        };
        let take = self.spare.len().min(len - body.len());
        if body.len() + take > body.capacity() {
            body.reserve(len - body.len());
        }
        body.extend_from_slice(&self.spare.split_to(take));
        if body.len() < len {
            self.body = Some((len, body));
            return Ok(None);
        }
        self.header_len = 0;
        Ok(Some(body.freeze()))
    }
}

/// The length in a header; refuses more than `bytes_max`.
fn announced(header: [u8; HEADER_BYTES], bytes_max: usize) -> Result<usize, QuicError> {
    let got = u32::from_le_bytes(header);
    match usize::try_from(got) {
        Ok(len) if len <= bytes_max => Ok(len),
        _ => Err(QuicError::FrameTooLarge { got: got.into() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The frames in `bytes`, and whether a frame is cut or too large at the end.
    fn twin(mut bytes: &[u8], bytes_max: usize) -> (Vec<Vec<u8>>, Option<QuicError>) {
        let mut frames = Vec::new();
        while let Some((header, rest)) = bytes.split_first_chunk() {
            let len = u32::from_le_bytes(*header);
            if len as usize > bytes_max {
                return (frames, Some(QuicError::FrameTooLarge { got: len.into() }));
            }
            let Some((frame, rest)) = rest.split_at_checked(len as usize) else {
                return (frames, Some(QuicError::FrameCut));
            };
            frames.push(frame.to_vec());
            bytes = rest;
        }
        (frames, (!bytes.is_empty()).then_some(QuicError::FrameCut))
    }

    /// The same from an assembler that is given pieces of the sizes in `cuts`, over and over.
    fn assemble(
        bytes: &Bytes,
        bytes_max: usize,
        cuts: &[usize],
    ) -> (Vec<Vec<u8>>, Option<QuicError>) {
        let (mut rest, mut frames) = (bytes.clone(), Vec::new());
        let mut assembler = Assembler::default();
        let mut cuts = cuts.iter().cycle();
        loop {
            match assembler.next(bytes_max) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) if rest.is_empty() => {
                    let cut = assembler.is_mid_frame().then_some(QuicError::FrameCut);
                    return (frames, cut);
                }
                Ok(None) => {
                    let cut = cuts.next().map_or(1, |cut| *cut).min(rest.len());
                    assembler.push(rest.split_to(cut));
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    fn cases() -> ProptestConfig {
        let scale = std::env::var("ALLOD_TEST_SCALE");
        let scale: u32 = scale.ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
        ProptestConfig {
            cases: 128 * scale,
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn however_a_stream_is_cut_the_frames_are_the_same(
            frames in prop::collection::vec(0usize..200_000, 0..5),
            cuts in prop::collection::vec(1usize..90_000, 1..5),
            lost in 0usize..300,
        ) {
            let mut bytes = Vec::new();
            for (n, len) in frames.iter().enumerate() {
                bytes.extend_from_slice(&header(*len).unwrap());
                bytes.extend((0..*len).map(|at| (at + n) as u8));
            }
            bytes.truncate(bytes.len().saturating_sub(lost));
            let bytes = Bytes::from(bytes);
            for bytes_max in [FRAME_BYTES_MAX, 100_000] {
                prop_assert_eq!(assemble(&bytes, bytes_max, &cuts), twin(&bytes, bytes_max));
            }
        }

        #[test]
        fn any_bytes_give_the_frames_they_hold(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..6], 0..200),
            cuts in prop::collection::vec(1usize..9, 1..4),
        ) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(assemble(&bytes, 1000, &cuts), twin(&bytes, 1000));
        }
    }

    #[test]
    fn memory_follows_what_has_come() {
        let mut assembler = Assembler::default();
        assembler.push(Bytes::copy_from_slice(&header(FRAME_BYTES_MAX).unwrap()));
        assert_eq!(assembler.next(FRAME_BYTES_MAX), Ok(None));
        let held = |assembler: &Assembler| assembler.body.as_ref().map(|(_, body)| body.capacity());
        assert!(held(&assembler) <= Some(TRUSTED_BYTES));
        assembler.push(vec![0; TRUSTED_BYTES].into());
        assert_eq!(assembler.next(FRAME_BYTES_MAX), Ok(None));
        assert!(held(&assembler) <= Some(TRUSTED_BYTES));
        assembler.push(vec![0; 1].into());
        assert_eq!(assembler.next(FRAME_BYTES_MAX), Ok(None));
        assert!(held(&assembler) >= Some(FRAME_BYTES_MAX));
    }

    #[test]
    fn a_stream_says_what_it_is_for() {
        let hello = StreamKind::Sync.hello();
        assert_eq!(hello, [0x82, 1, 1]);
        assert_eq!(canonical::encode(&(1u64, 1u64)).unwrap(), hello);
        for kind in [
            StreamKind::Sync,
            StreamKind::Join,
            StreamKind::Fetch,
            StreamKind::Pair,
            StreamKind::Own,
        ] {
            assert_eq!(StreamKind::from_hello(&kind.hello()), Ok(kind));
        }
        for bad in [
            &[][..],
            &[0x82, 1],
            &[0x82, 1, 2],
            &[0x82, 9, 1],
            &[0x82, 1, 1, 0],
            &[0x83, 1, 1, 0],
            &[0x82, 0x18, 1, 1],
            &[0xa1, 1, 1],
            &[0; 33],
        ] {
            assert_eq!(StreamKind::from_hello(bad), Err(QuicError::StreamKind));
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let header = header(FRAME_BYTES_MAX).unwrap();
        assert_eq!(announced(header, FRAME_BYTES_MAX), Ok(FRAME_BYTES_MAX));
        assert!(super::header(FRAME_BYTES_MAX + 1).is_err());
        let over = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
        let got = FRAME_BYTES_MAX as u64 + 1;
        assert_eq!(
            announced(over, FRAME_BYTES_MAX),
            Err(QuicError::FrameTooLarge { got })
        );
        assert!(announced([0xff; 4], FRAME_BYTES_MAX).is_err());
    }
}
