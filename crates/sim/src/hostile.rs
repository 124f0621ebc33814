//! Frames as a liar would send them.

use allod_blocks::{Cid, Codec, sha256_cid};
use allod_repo::{BranchName, CommitId};
use allod_sync::{Hello, Message};
use allod_tree::Node;
use bytes::Bytes;

use crate::rng::Rng;

/// What a hostile member does to its peers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Vice {
    /// It bends what it says: drops, doubles, cuts and changes frames.
    Bends,
    /// It gives some commits and blocks, and says of others that it has none.
    Withholds,
    /// It says again what was said earlier, in this session or in another.
    Replays,
    /// It gives each commit twice.
    Repeats,
    /// It says things in another order.
    Reorders,
    /// It offers heads, some of them of commits that nobody made, and gives none of them.
    Promises,
}

impl Vice {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Bends,
        Self::Withholds,
        Self::Replays,
        Self::Repeats,
        Self::Reorders,
        Self::Promises,
    ];
}

/// A peer that runs the protocol and does not say what it should.
#[derive(Clone, Debug)]
pub(crate) struct Liar {
    vice: Vice,
    /// Earlier frames, to be said again.
    old: Vec<Bytes>,
}

/// What a liar keeps of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// A frame that is sent after the next one.
    late: Option<Bytes>,
    /// The frames of the commit at hand.
    commit: Vec<Bytes>,
    /// Whether the commit at hand is not given.
    withheld: bool,
}

/// Frames of earlier sessions that a liar remembers.
const OLD_MAX: usize = 64;

impl Liar {
    pub(crate) const fn new(vice: Vice) -> Self {
        Self {
            vice,
            old: Vec::new(),
        }
    }

    /// What is sent instead of `frame`: often itself.
    pub(crate) fn bend(&mut self, rng: &mut Rng, held: &mut Held, frame: &Bytes) -> Vec<Bytes> {
        let same = vec![frame.clone()];
        match self.vice {
            Vice::Bends => self.distort(rng, frame),
            Vice::Withholds => withhold(rng, held, frame, 40),
            Vice::Promises => match Message::decode(frame) {
                Ok(Message::Hello(hello)) => vec![promise(rng, *hello)],
                _ => withhold(rng, held, frame, 100),
            },
            Vice::Replays => {
                let again = self.old.get(rng.index(self.old.len().max(1))).cloned();
                if self.old.len() < OLD_MAX {
                    self.old.push(frame.clone());
                } else {
                    let at = rng.index(OLD_MAX);
                    self.old[at] = frame.clone();
                }
                match (again, rng.below(10)) {
                    (Some(again), 0) => vec![frame.clone(), again],
                    (Some(again), 1) => vec![again],
                    _ => same,
                }
            }
            Vice::Repeats => {
                held.commit.push(frame.clone());
                match Message::decode(frame) {
                    Ok(Message::Changes { last: true, .. }) => {
                        let mut twice = same;
                        twice.append(&mut held.commit);
                        twice
                    }
                    Ok(Message::Commit { .. } | Message::Changes { .. }) => same,
                    _ => {
                        held.commit.clear();
                        same
                    }
                }
            }
            Vice::Reorders => match held.late.take() {
                Some(late) => vec![frame.clone(), late],
                None if rng.chance(20) => {
                    held.late = Some(frame.clone());
                    Vec::new()
                }
                None => same,
            },
        }
    }

    fn distort(&mut self, rng: &mut Rng, frame: &Bytes) -> Vec<Bytes> {
        if !rng.chance(20) {
            if rng.chance(30) {
                self.old = vec![frame.clone()];
            }
            return vec![frame.clone()];
        }
        match rng.below(7) {
            0 => Vec::new(),
            1 => vec![frame.clone(), frame.clone()],
            2 => vec![frame.slice(..rng.index(frame.len().max(1)))],
            3 => {
                let length = rng.index(200);
                vec![rng.bytes(length).into()]
            }
            4 => std::mem::replace(&mut self.old, vec![frame.clone()]),
            5 => {
                let mut bytes = frame.to_vec();
                if !bytes.is_empty() {
                    let at = rng.index(bytes.len());
                    bytes[at] ^= 1 << rng.below(8);
                }
                vec![bytes.into()]
            }
            _ => vec![lie(rng, frame)],
        }
    }
}

/// Leaves out `percent` of the commits, and says of as many answers with blocks that there are none.
fn withhold(rng: &mut Rng, held: &mut Held, frame: &Bytes, percent: u64) -> Vec<Bytes> {
    match Message::decode(frame) {
        Ok(Message::Commit { .. }) => {
            held.withheld = rng.chance(percent);
            if held.withheld {
                return Vec::new();
            }
        }
        Ok(Message::Changes { .. }) if held.withheld => return Vec::new(),
        Ok(Message::Blocks { blocks, mut absent }) if rng.chance(percent) => {
            absent.extend(blocks.iter().map(name));
            let blocks = Vec::new();
            return vec![Message::Blocks { blocks, absent }.encode()];
        }
        _ => {}
    }
    vec![frame.clone()]
}

/// What a liar answers who asks for blocks: some that are something else, or that there are none.
pub(crate) fn misserve(rng: &mut Rng, frame: &Bytes) -> Vec<Bytes> {
    let Ok(Message::Blocks {
        mut blocks,
        mut absent,
    }) = Message::decode(frame)
    else {
        return vec![frame.clone()];
    };
    let at = rng.index(blocks.len().max(1));
    match (rng.below(8), blocks.get(at).cloned()) {
        (0..3, Some(block)) => {
            let mut bytes = block.to_vec();
            match rng.index(bytes.len() + 1) {
                place if place < bytes.len() => bytes[place] ^= 1 << rng.below(8),
                _ => bytes.push(0),
            }
            blocks[at] = bytes.into();
        }
        (3..5, Some(block)) => {
            blocks.remove(at);
            absent.push(name(&block));
        }
        (5, Some(block)) => blocks.push(block),
        (6, _) => return Vec::new(),
        // It has whatever it is asked for, until it is asked for it.
        (_, None) => absent.clear(),
        _ => {}
    }
    vec![Message::Blocks { blocks, absent }.encode()]
}

/// The name that a block was probably asked for by.
fn name(block: &Bytes) -> Cid {
    let is_node = Node::decode(block).is_ok();
    let codec = if is_node { Codec::DagCbor } else { Codec::Raw };
    sha256_cid(codec, block)
}

/// A hello with heads that nobody made.
fn promise(rng: &mut Rng, mut hello: Hello) -> Bytes {
    for (branch, heads) in &mut hello.branches {
        if !branch.is_meta() && rng.chance(50) {
            let made_up = sha256_cid(Codec::DagCbor, &rng.seed());
            heads.push(CommitId::from_cid(made_up));
            heads.sort();
        }
    }
    Message::Hello(Box::new(hello)).encode()
}

/// A well-formed message that says something else.
fn lie(rng: &mut Rng, frame: &Bytes) -> Bytes {
    let Ok(message) = Message::decode(frame) else {
        return frame.clone();
    };
    let message = match message {
        Message::Hello(mut hello) => {
            if rng.chance(50) {
                let heads = hello.branches.iter().flat_map(|(_, heads)| heads.clone());
                hello.branches = vec![(BranchName::meta(), heads.collect())];
            } else {
                for (_, mark) in &mut hello.logs {
                    let seed = rng.seed();
                    let (first, _) = seed.split_at(16);
                    mark.copy_from_slice(first);
                }
            }
            Message::Hello(hello)
        }
        Message::Changes { mut entries, last } => {
            let at = rng.index(entries.len().max(1));
            match entries.get(at).cloned() {
                Some((key, _)) if rng.chance(30) => {
                    let other = entries[rng.index(entries.len())].1.clone();
                    entries[at] = (key, other);
                }
                Some((key, entry)) if rng.chance(50) => {
                    let mut bytes = entry.to_vec();
                    if let Some(byte) = bytes.last_mut() {
                        *byte ^= 1;
                    }
                    entries[at] = (key, bytes.into());
                }
                Some(_) => drop(entries.remove(at)),
                None => {}
            }
            Message::Changes { entries, last }
        }
        Message::Commit {
            statement,
            branch,
            mode,
        } => Message::Commit {
            statement,
            branch: branch + rng.below(3),
            mode,
        },
        Message::Blocks { blocks, absent } => Message::Blocks {
            blocks: blocks.into_iter().rev().skip(1).collect(),
            absent,
        },
        Message::Want { opened, mut names } => {
            names.extend(opened.clone());
            Message::Want { opened, names }
        }
        _ if rng.chance(50) => Message::Done,
        _ => Message::Ack,
    };
    message.encode()
}
