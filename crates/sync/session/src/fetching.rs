//! The side that asks for damaged blocks (SYNC-30 to SYNC-34).

use std::collections::BTreeSet;

use allod_blocks::{Block, Cid, Codec};
use allod_identity::AgentId;
use allod_repo::SpaceId;
use bytes::Bytes;

use crate::limits::FETCH_LINKS_MAX;
use crate::message::{FrameError, Hello, Message, VERSION};
use crate::reading::identify;

/// Asks a peer for blocks of one space.
///
/// A machine without I/O: send [`hello`](Self::hello), then for each [`want`](Self::want) read
/// frames and hand them to [`take`](Self::take) until an answer is the last.
#[derive(Debug, Default)]
pub struct Fetching {
    /// Names of the want at hand that were not answered yet.
    wanted: BTreeSet<Cid>,
    opened: BTreeSet<Cid>,
    waiting: bool,
}

/// A part of what a peer answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Blocks that were asked for, each with the name that its content has.
    pub blocks: Vec<Block>,
    /// What the peer has not, or does not serve.
    pub absent: Vec<Cid>,
    /// Whether the want is answered with this.
    pub last: bool,
}

/// Why nothing more can be had from a peer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// What it sent is no message. Blame: the peer.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It sent what nobody asked for, or what no content asked for hashes to. Blame: the peer.
    #[error("the peer sent what was not asked for")]
    NotAsked,
    /// More than a want may have. Blame: the caller.
    #[error("more than {FETCH_LINKS_MAX} links in one want")]
    TooMany,
    /// It does not go on. Blame: as its code says.
    #[error("the peer ended it ({code}): {reason}")]
    Closed {
        /// The code that it gave.
        code: String,
        /// The reason that it gave.
        reason: String,
    },
}

impl FetchError {
    /// The registered code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Frame(_) => "E_FRAME",
            Self::NotAsked => "E_ORDER",
            Self::TooMany => "E_LIMIT",
            Self::Closed { code, .. } => code,
        }
    }
}

impl Fetching {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first frame: who asks, about which space. What this side has is not said, as it may be
    /// what is damaged.
    #[must_use]
    pub fn hello(agent: AgentId, space: SpaceId) -> Bytes {
        let hello = Hello {
            agent,
            branches: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
            samples: Vec::new(),
            parts: Vec::new(),
            slices: false,
            space,
            version: VERSION,
            wants: Some(Vec::new()),
        };
        Message::Hello(Box::new(hello)).encode()
    }

    /// Asks for `names`, which the blocks of `opened` lead to; each of those is led to by one before
    /// it, or belongs to the space by itself (SYNC-32). At most 1,024 in all.
    pub fn want(&mut self, opened: &[Cid], names: &[Cid]) -> Result<Bytes, FetchError> {
        if opened.len() + names.len() > FETCH_LINKS_MAX {
            return Err(FetchError::TooMany);
        }
        self.wanted = names.iter().copied().collect();
        self.opened = opened.iter().copied().collect();
        self.waiting = true;
        let (opened, names) = (opened.to_vec(), self.wanted.iter().copied().collect());
        Ok(Message::Want { opened, names }.encode())
    }

    /// Asks which tree the peer keeps of a projection of a state: of what name (PROJ-10), and of which root
    /// (SYNC-37). The next frame is for [`take_tree`](Self::take_tree).
    #[must_use]
    pub fn projection(name: Cid, state: Cid) -> Bytes {
        Message::Projection { name, state }.encode()
    }

    /// Takes the answer to [`projection`](Self::projection): the root of the tree, if the peer keeps one.
    /// What is below it is wanted with the root first in what is opened. A peer that does not know the
    /// question ends with `E_FRAME`; it keeps none.
    pub fn take_tree(&mut self, frame: &Bytes) -> Result<Option<Cid>, FetchError> {
        match Message::decode(frame)? {
            Message::Tree(root) if !self.waiting => Ok(root),
            Message::Close { code, .. } if code == "E_FRAME" => Ok(None),
            Message::Close { code, reason } => Err(FetchError::Closed { code, reason }),
            _ => Err(FetchError::NotAsked),
        }
    }

    /// Takes a frame of the peer.
    pub fn take(&mut self, frame: &Bytes) -> Result<Answer, FetchError> {
        let (contents, absent) = match Message::decode(frame)? {
            Message::Blocks { blocks, absent } if self.waiting => (blocks, absent),
            Message::Close { code, reason } => return Err(FetchError::Closed { code, reason }),
            _ => return Err(FetchError::NotAsked),
        };
        let likely = [Codec::DagCbor, Codec::Raw, Codec::DagPb];
        let mut blocks = Vec::with_capacity(contents.len());
        for content in contents {
            let block = Block::new(Codec::Raw, content).ok();
            let block = block.and_then(|block| identify(&block, likely, &[&self.wanted]));
            let block = block.ok_or(FetchError::NotAsked)?;
            self.wanted.remove(block.cid());
            blocks.push(block);
        }
        for cid in &absent {
            if !self.opened.remove(cid) && !self.wanted.remove(cid) {
                return Err(FetchError::NotAsked);
            }
        }
        // Only the first frame of an answer speaks of what was opened.
        self.opened.clear();
        let last = self.wanted.is_empty();
        self.waiting = !last;
        Ok(Answer {
            blocks,
            absent,
            last,
        })
    }
}
