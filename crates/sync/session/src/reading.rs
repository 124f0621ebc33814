//! Frames that are read apart from the session: decoded, and the blocks in them hashed.

use std::collections::BTreeSet;

use allod_blocks::{Block, Cid, Codec};
use bytes::Bytes;

use crate::message::{FrameError, Message};

/// A frame that was read. What that takes depends on the frame alone, so a driver may read the next one while the
/// session works with those before.
#[derive(Clone, Debug)]
pub struct ReadFrame {
    bytes: usize,
    message: Result<Message, FrameError>,
    /// The blocks of the message, each as raw; `None` for what is too large to be a block.
    blocks: Vec<Option<Block>>,
}

impl ReadFrame {
    /// Reads a frame from the peer.
    #[must_use]
    pub fn new(frame: &Bytes) -> Self {
        let mut message = Message::decode(frame);
        let mut blocks = Vec::new();
        if let Ok(Message::Blocks {
            blocks: contents, ..
        }) = &mut message
        {
            let contents = std::mem::take(contents).into_iter();
            blocks.extend(contents.map(|bytes| Block::new(Codec::Raw, bytes).ok()));
        }
        Self {
            bytes: frame.len(),
            message,
            blocks,
        }
    }

    /// Bytes of the frame.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The message, and apart from it the blocks that it has.
    pub(crate) fn into_parts(self) -> (Result<Message, FrameError>, Vec<Option<Block>>) {
        (self.message, self.blocks)
    }
}

/// The block with this content whose name is in one of `wanted`, tried under the `likely` codecs.
pub(crate) fn identify(
    block: &Block,
    likely: [Codec; 3],
    wanted: &[&BTreeSet<Cid>],
) -> Option<Block> {
    let mut named = likely.into_iter().map(|codec| block.read_as(codec));
    let found = named.find(|block| wanted.iter().any(|names| names.contains(block.cid())));
    if found.is_some() {
        return found;
    }
    // Another hash function, or a block that nobody asked for.
    let mut others = wanted.iter().copied().flatten();
    let bytes = block.bytes();
    let other =
        others.find(|cid| cid.hash().code() != 0x12 && Block::verify(**cid, bytes.clone()).is_ok());
    Block::verify(*other?, bytes.clone()).ok()
}
