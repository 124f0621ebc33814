//! Frames as a liar would send them.

use allod_repo::BranchName;
use allod_sync::Message;
use bytes::Bytes;

use crate::rng::Rng;

/// A peer that runs the protocol and bends what it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liar {
    /// An earlier frame, to be said again.
    kept: Option<Bytes>,
}

impl Liar {
    /// What is sent instead of `frame`: usually itself.
    pub(crate) fn bend(&mut self, rng: &mut Rng, frame: &Bytes) -> Vec<Bytes> {
        if !rng.chance(20) {
            if rng.chance(30) {
                self.kept = Some(frame.clone());
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
            4 => {
                let kept = self.kept.replace(frame.clone());
                kept.into_iter().collect()
            }
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
                for (_, events) in &mut hello.logs {
                    *events = rng.below(5);
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
