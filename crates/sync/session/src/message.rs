//! The messages of a session and their encoding (SYNC-1).

use allod_blocks::Cid;
use allod_identity::{AgentId, canonical};
use allod_repo::{BranchName, CommitId, SpaceId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::limits::{
    ENTRIES_COUNTERS, FRAME_BYTES_CEILING, FRAME_BYTES_MAX, LEAVES_COUNTERS, LOGS_MAX,
    PICKED_FRAME_MAX, PREFIXES_MAX, REASON_BYTES_MAX, SAMPLES_MAX, WANTED_MAX,
};

/// The version of the protocol that this crate speaks.
pub(crate) const VERSION: u64 = 1;

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Who is there, and what it has.
    Hello(Box<Hello>),
    /// Key events of an agent, in order.
    KeyEvents {
        /// The agent.
        agent: AgentId,
        /// The statements.
        events: Vec<Bytes>,
    },
    /// A commit.
    Commit {
        /// The statement.
        statement: Bytes,
        /// The branch, as an index into the sender's hello.
        branch: u64,
        /// How its tree travels.
        mode: Mode,
    },
    /// Changed entries of the commit before, ascending by key.
    Changes {
        /// Keys and encoded entries.
        entries: Vec<(Bytes, Bytes)>,
        /// Whether these are the last.
        last: bool,
    },
    /// Asks for blocks.
    Want {
        /// Blocks that the asker has, and whose links it may ask for; parents before children.
        opened: Vec<Cid>,
        /// Blocks to be sent.
        names: Vec<Cid>,
    },
    /// Answers to wants.
    Blocks {
        /// Contents, to be hashed by the receiver.
        blocks: Vec<Bytes>,
        /// Names that are not served.
        absent: Vec<Cid>,
    },
    /// Everything was sent.
    Done,
    /// A commit is not accepted.
    Refuse {
        /// The commit.
        commit: CommitId,
        /// The registered code.
        code: String,
        /// The reason in words.
        reason: String,
    },
    /// Everything accepted is durable.
    Ack,
    /// More may be sent.
    Credit(u64),
    /// The session ends.
    Close {
        /// The registered code.
        code: String,
        /// The reason in words.
        reason: String,
    },
    /// Asks which tree the peer keeps of a projection.
    Projection {
        /// The name of the resolved definition.
        name: Cid,
        /// The root of the state.
        state: Cid,
    },
    /// The root of that tree, if the peer keeps one.
    Tree(Option<Cid>),
    /// Asks for a sketch of a tree, to compare it with one that the asker has (SKETCH-8).
    Compare {
        /// The root of the tree.
        tree: Cid,
        /// Entries of the asker's tree.
        size: u64,
        /// An estimate of its leaves; empty if `have` is not 0.
        leaves: Bytes,
        /// An estimate of its entries; likewise.
        entries: Bytes,
        /// Symbols that the asker has, and to which more are to follow.
        have: u64,
    },
    /// Symbols of a tree; none if nodes are better.
    Sketch {
        /// Entries of the tree.
        total: u64,
        /// The index of the first symbol.
        first: u64,
        /// The symbols, encoded (SKETCH-5).
        symbols: Bytes,
        /// Whether these are the last for now.
        last: bool,
    },
    /// Asks for the entries with some elements (SKETCH-10).
    Pick {
        /// The elements.
        elements: Vec<u64>,
        /// Whether these are the last.
        last: bool,
    },
    /// Entries that were picked, ascending by key.
    Entries {
        /// Keys and encoded entries.
        entries: Vec<(Bytes, Bytes)>,
        /// Whether these are the last.
        last: bool,
    },
}

/// How a commit's tree travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The changed entries follow.
    Changes,
    /// The receiver walks the tree.
    Walk,
}

/// The first message of each side.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Whom the sender acts for.
    pub agent: AgentId,
    /// The branches that the sender offers, with their heads, `meta` first.
    pub branches: Vec<(BranchName, Vec<CommitId>)>,
    /// The sender's own key log, or empty.
    pub events: Vec<ByteBuf>,
    /// Which key events the sender knows of which agents, by marks (IDENT-38). The agents' keys are only compared, so
    /// they are not checked.
    pub logs: Vec<(ByteArray<32>, ByteArray<16>)>,
    /// The branches that are offered in parts, in the order of `branches`, with the prefixes of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(BranchName, Vec<ByteBuf>)>,
    /// Other commits that the sender has.
    pub samples: Vec<CommitId>,
    /// Whether the sender keeps a part of the space, and so walks each tree.
    pub slices: bool,
    /// The space.
    pub space: SpaceId,
    /// The version of the protocol.
    pub version: u64,
    /// The branches that the sender asks for; `None` for all.
    pub wants: Option<Vec<BranchName>>,
}

/// Bytes are not a message. Blame: the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than a frame may be.
    #[error("a frame of {got} bytes is too long")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// Not the canonical encoding of any message.
    #[error("the frame is malformed")]
    Malformed,
    /// A list or text in it exceeds its limit.
    #[error("a part of the frame exceeds its limit")]
    Limit,
}

impl Message {
    /// The message as a frame.
    ///
    /// # Panics
    /// Never for messages within the limits of the page, which is all that a session makes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bytes = |bytes: &Bytes| ByteBuf::from(bytes.to_vec());
        let encoded = match self {
            Self::Hello(hello) => canonical::encode(&(1u64, hello)),
            Self::KeyEvents { agent, events } => {
                let events: Vec<ByteBuf> = events.iter().map(bytes).collect();
                canonical::encode(&(2u64, agent, events))
            }
            Self::Commit {
                statement,
                branch,
                mode,
            } => {
                let mode = u64::from(*mode == Mode::Walk);
                canonical::encode(&(3u64, bytes(statement), branch, mode))
            }
            Self::Changes { entries, last } => canonical::encode(&(4u64, flat(entries), last)),
            Self::Want { opened, names } => canonical::encode(&(5u64, opened, names)),
            Self::Blocks { blocks, absent } => return encode_blocks(blocks, absent),
            Self::Done => canonical::encode(&(7u64,)),
            Self::Refuse {
                commit,
                code,
                reason,
            } => canonical::encode(&(8u64, commit, code, reason)),
            Self::Ack => canonical::encode(&(9u64,)),
            Self::Credit(credit) => canonical::encode(&(10u64, credit)),
            Self::Close { code, reason } => canonical::encode(&(11u64, code, reason)),
            Self::Projection { name, state } => canonical::encode(&(12u64, name, state)),
            Self::Tree(root) => canonical::encode(&(13u64, root)),
            Self::Compare {
                tree,
                size,
                leaves,
                entries,
                have,
            } => canonical::encode(&(14u64, tree, size, bytes(leaves), bytes(entries), have)),
            Self::Sketch {
                total,
                first,
                symbols,
                last,
            } => canonical::encode(&(15u64, total, first, bytes(symbols), last)),
            Self::Pick { elements, last } => {
                let words = elements.iter().flat_map(|element| element.to_be_bytes());
                canonical::encode(&(16u64, ByteBuf::from(words.collect::<Vec<u8>>()), last))
            }
            Self::Entries { entries, last } => canonical::encode(&(17u64, flat(entries), last)),
        };
        #[expect(
            clippy::expect_used,
            reason = "lists of bytes, links, texts and integers encode"
        )]
        encoded.expect("a message encodes").into()
    }

    /// Reads a frame.
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        if frame.len() > FRAME_BYTES_CEILING {
            return Err(FrameError::TooLong { got: frame.len() });
        }
        let number = *frame.get(1).ok_or(FrameError::Malformed)?;
        if number != 6 && frame.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { got: frame.len() });
        }
        let message = match number {
            1 => Self::Hello(Box::new(read::<(u64, Hello)>(frame)?.1)),
            2 => {
                let (_, agent, events): (u64, AgentId, Vec<ByteBuf>) = read(frame)?;
                Self::KeyEvents {
                    agent,
                    events: own(events),
                }
            }
            3 => {
                let (_, statement, branch, mode): (u64, ByteBuf, u64, u64) = read(frame)?;
                let mode = match mode {
                    0 => Mode::Changes,
                    1 => Mode::Walk,
                    _ => return Err(FrameError::Malformed),
                };
                Self::Commit {
                    statement: statement.into_vec().into(),
                    branch,
                    mode,
                }
            }
            4 => {
                let (_, flat, last): (u64, Vec<ByteBuf>, bool) = read(frame)?;
                Self::Changes {
                    entries: pairs(flat)?,
                    last,
                }
            }
            5 => {
                let (_, opened, names): (u64, Vec<Cid>, Vec<Cid>) = read(frame)?;
                Self::Want { opened, names }
            }
            6 => blocks(frame)?,
            7 => read::<(u64,)>(frame).map(|_| Self::Done)?,
            8 => {
                let (_, commit, code, reason): (u64, CommitId, String, String) = read(frame)?;
                Self::Refuse {
                    commit,
                    code,
                    reason,
                }
            }
            9 => read::<(u64,)>(frame).map(|_| Self::Ack)?,
            10 => Self::Credit(read::<(u64, u64)>(frame)?.1),
            11 => {
                let (_, code, reason): (u64, String, String) = read(frame)?;
                Self::Close { code, reason }
            }
            12 => {
                let (_, name, state): (u64, Cid, Cid) = read(frame)?;
                Self::Projection { name, state }
            }
            13 => Self::Tree(read::<(u64, Option<Cid>)>(frame)?.1),
            _ => compared(number, frame)?,
        };
        if message.is_bounded() {
            Ok(message)
        } else {
            Err(FrameError::Limit)
        }
    }

    fn is_bounded(&self) -> bool {
        match self {
            Self::Hello(hello) => {
                hello.branches.len() <= allod_repo::BRANCHES_MAX
                    && hello
                        .branches
                        .iter()
                        .all(|(_, heads)| heads.len() <= allod_repo::HEADS_MAX)
                    && hello.logs.len() <= LOGS_MAX
                    && hello.samples.len() <= SAMPLES_MAX
                    && hello.parts.iter().map(|(_, of)| of.len()).sum::<usize>() <= PREFIXES_MAX
                    && hello.parts.iter().flat_map(|(_, of)| of).all(is_prefix)
                    && hello.wants.iter().all(|names| names.len() <= allod_repo::BRANCHES_MAX)
                    // Rights come from meta, so it goes first.
                    && !hello.branches.iter().skip(1).any(|(name, _)| name.is_meta())
            }
            Self::Want { opened, names } => names.len() <= WANTED_MAX && opened.len() <= WANTED_MAX,
            Self::Blocks { blocks, absent } => blocks.len() + absent.len() <= WANTED_MAX,
            Self::Compare {
                leaves, entries, ..
            } => leaves.len() <= LEAVES_COUNTERS * 10 && entries.len() <= ENTRIES_COUNTERS * 10,
            Self::Pick { elements, .. } => elements.len() <= PICKED_FRAME_MAX,
            Self::Refuse { code, reason, .. } | Self::Close { code, reason } => {
                code.len() + reason.len() <= REASON_BYTES_MAX
            }
            _ => true,
        }
    }

    /// Whether the message counts against the credit (SYNC-11).
    #[must_use]
    pub(crate) const fn is_charged(&self) -> bool {
        matches!(
            self,
            Self::KeyEvents { .. } | Self::Commit { .. } | Self::Changes { .. }
        )
    }
}

/// Reads a message of a comparison.
fn compared(number: u8, frame: &Bytes) -> Result<Message, FrameError> {
    Ok(match number {
        14 => {
            let (_, tree, size, leaves, entries, have): (u64, Cid, u64, ByteBuf, ByteBuf, u64) =
                read(frame)?;
            Message::Compare {
                tree,
                size,
                leaves: leaves.into_vec().into(),
                entries: entries.into_vec().into(),
                have,
            }
        }
        15 => {
            let (_, total, first, symbols, last): (u64, u64, u64, ByteBuf, bool) = read(frame)?;
            Message::Sketch {
                total,
                first,
                symbols: symbols.into_vec().into(),
                last,
            }
        }
        16 => {
            let (_, words, last): (u64, ByteBuf, bool) = read(frame)?;
            let (words, rest) = words.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(FrameError::Malformed);
            }
            Message::Pick {
                elements: words.iter().map(|word| u64::from_be_bytes(*word)).collect(),
                last,
            }
        }
        17 => {
            let (_, flat, last): (u64, Vec<ByteBuf>, bool) = read(frame)?;
            Message::Entries {
                entries: pairs(flat)?,
                last,
            }
        }
        _ => return Err(FrameError::Malformed),
    })
}

fn read<T: Serialize + serde::de::DeserializeOwned>(frame: &Bytes) -> Result<T, FrameError> {
    canonical::decode(frame, FRAME_BYTES_CEILING).map_err(|_error| FrameError::Malformed)
}

fn own(list: Vec<ByteBuf>) -> Vec<Bytes> {
    list.into_iter()
        .map(|bytes| bytes.into_vec().into())
        .collect()
}

/// `[6, [bytes, ...], [link, ...]]`, written without a copy of the blocks in between: these frames
/// are most of what a large session moves.
fn encode_blocks(blocks: &[Bytes], absent: &[Cid]) -> Bytes {
    let total: usize = blocks.iter().map(|block| block.len() + 5).sum();
    let mut out = Vec::with_capacity(total + absent.len() * 45 + 16);
    out.extend_from_slice(&[0x83, 6]);
    put_head(&mut out, 4, blocks.len());
    for block in blocks {
        put_head(&mut out, 2, block.len());
        out.extend_from_slice(block);
    }
    put_head(&mut out, 4, absent.len());
    for cid in absent {
        let cid = cid.to_bytes();
        out.extend_from_slice(&[0xd8, 0x2a]);
        put_head(&mut out, 2, cid.len() + 1);
        out.push(0);
        out.extend_from_slice(&cid);
    }
    out.into()
}

fn is_prefix(prefix: &ByteBuf) -> bool {
    (1..=allod_repo::PREFIX_BYTES_MAX).contains(&prefix.len())
}

/// Reads what [`encode_blocks`] writes; the blocks are parts of the frame, not copies.
fn blocks(frame: &Bytes) -> Result<Message, FrameError> {
    canonical::check(frame).map_err(|_error| FrameError::Malformed)?;
    let mut at = 0;
    if take_head(frame, &mut at)? != (4, 3) || take_head(frame, &mut at)? != (0, 6) {
        return Err(FrameError::Malformed);
    }
    let count = take_list(frame, &mut at)?;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        let (major, length) = take_head(frame, &mut at)?;
        let end = at
            .checked_add(length)
            .filter(|end| *end <= frame.len() && major == 2);
        let end = end.ok_or(FrameError::Malformed)?;
        blocks.push(frame.slice(at..end));
        at = end;
    }
    let rest = frame.get(at..).ok_or(FrameError::Malformed)?;
    let absent = canonical::decode(rest, FRAME_BYTES_CEILING);
    Ok(Message::Blocks {
        blocks,
        absent: absent.map_err(|_error| FrameError::Malformed)?,
    })
}

/// The head of a list of at most [`WANTED_MAX`] items.
fn take_list(frame: &[u8], at: &mut usize) -> Result<usize, FrameError> {
    match take_head(frame, at)? {
        (4, count) if count <= WANTED_MAX => Ok(count),
        (4, _) => Err(FrameError::Limit),
        _ => Err(FrameError::Malformed),
    }
}

fn put_head(out: &mut Vec<u8>, major: u8, value: usize) {
    let major = major << 5;
    let bytes = (value as u32).to_be_bytes();
    match value {
        0..24 => out.push(major | bytes[3]),
        24..0x100 => out.extend_from_slice(&[major | 0x18, bytes[3]]),
        0x100..0x1_0000 => out.extend_from_slice(&[major | 0x19, bytes[2], bytes[3]]),
        _ => {
            out.push(major | 0x1a);
            out.extend_from_slice(&bytes);
        }
    }
}

/// A head of canonical DAG-CBOR, which was checked before: major type and argument.
fn take_head(frame: &[u8], at: &mut usize) -> Result<(u8, usize), FrameError> {
    let first = *frame.get(*at).ok_or(FrameError::Malformed)?;
    let width = match first & 0x1f {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => return Err(FrameError::Malformed),
    };
    let start = *at + 1;
    let argument = frame
        .get(start..start + width)
        .ok_or(FrameError::Malformed)?;
    *at = start + width;
    let value = match width {
        0 => usize::from(first & 0x1f),
        _ => argument
            .iter()
            .fold(0, |value, &byte| (value << 8) | usize::from(byte)),
    };
    Ok((first >> 5, value))
}

fn flat(entries: &[(Bytes, Bytes)]) -> Vec<ByteBuf> {
    let pairs = entries.iter().flat_map(|(key, entry)| [key, entry]);
    pairs.map(|bytes| ByteBuf::from(bytes.to_vec())).collect()
}

/// Alternating keys and entries, ascending by key.
fn pairs(flat: Vec<ByteBuf>) -> Result<Vec<(Bytes, Bytes)>, FrameError> {
    let flat = own(flat);
    if !flat.len().is_multiple_of(2) {
        return Err(FrameError::Malformed);
    }
    let pairs: Vec<(Bytes, Bytes)> = flat
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    let ascending = pairs.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if ascending {
        Ok(pairs)
    } else {
        Err(FrameError::Malformed)
    }
}
