//! What crosses each link, so that a storm is noticed.

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::{Cid, Codec, sha256_cid};
use allod_sync::Message;
use bytes::Bytes;

use crate::topology::Link;

/// An ack, in bytes.
const ACK_BYTES: usize = 2;

/// What crossed the links since it was counted anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// Sessions.
    pub(crate) sessions: BTreeMap<Link, u64>,
    /// How often each commit crossed a link, in either direction.
    pub(crate) commits: BTreeMap<(Link, Cid), u64>,
    /// The same of blocks.
    pub(crate) blocks: BTreeMap<(Link, Cid), u64>,
    /// Bytes of key events, commits, changes and blocks.
    pub(crate) content_bytes: u64,
    /// Bytes of everything else.
    pub(crate) talk_bytes: u64,
}

impl Traffic {
    /// Takes note of a session.
    pub(crate) fn session(&mut self, link: Link) {
        *self.sessions.entry(link).or_default() += 1;
    }

    /// Takes note of a frame.
    pub(crate) fn frame(&mut self, link: Link, frame: &Bytes) {
        let bytes = frame.len() as u64;
        if !is_content(frame) {
            self.talk_bytes += bytes;
            return;
        }
        match Message::decode(frame) {
            Ok(Message::Commit { statement, .. }) => {
                let id = sha256_cid(Codec::DagCbor, &statement);
                *self.commits.entry((link, id)).or_default() += 1;
                self.content_bytes += bytes;
            }
            Ok(Message::Blocks { blocks, .. }) => {
                for block in blocks {
                    let name = sha256_cid(Codec::Raw, &block);
                    *self.blocks.entry((link, name)).or_default() += 1;
                }
                self.content_bytes += bytes;
            }
            Ok(Message::KeyEvents { .. } | Message::Changes { .. }) => self.content_bytes += bytes,
            _ => self.talk_bytes += bytes,
        }
    }

    pub(crate) fn session_count(&self) -> u64 {
        self.sessions.values().sum()
    }

    pub(crate) fn crossings(&self) -> u64 {
        self.commits.values().sum()
    }

    /// The commits that crossed any link.
    pub(crate) fn distinct(&self) -> u64 {
        let distinct: BTreeSet<&Cid> = self.commits.keys().map(|(_, id)| id).collect();
        distinct.len() as u64
    }

    /// What crossed a link more often than there is a reason for: while nothing is cut, whoever gave a commit
    /// or a block knows that the other has it, and whoever got it never asks again.
    pub(crate) fn repeated(&self) -> Option<String> {
        let all = self.commits.iter().chain(&self.blocks);
        let mut repeated = all.filter(|(_, times)| **times > 1);
        let ((link, name), times) = repeated.next()?;
        Some(format!("{name} crossed {link:?} {times} times"))
    }
}

/// Whether a frame is of key events, a commit, changes, blocks or a refusal, by its number: to decode a hello
/// takes as long as to check a signature.
fn is_content(frame: &Bytes) -> bool {
    matches!(frame.get(1), Some(2 | 3 | 4 | 6 | 8))
}

/// Whether a frame says that all that came is durable.
pub(crate) fn is_ack(frame: &Bytes) -> bool {
    frame.len() <= ACK_BYTES && Message::decode(frame) == Ok(Message::Ack)
}

/// What a frame brings of commits and blocks, in words.
pub(crate) fn content(frame: &Bytes) -> Option<String> {
    if !is_content(frame) {
        return None;
    }
    match Message::decode(frame).ok()? {
        Message::Commit {
            statement, mode, ..
        } => {
            let id = sha256_cid(Codec::DagCbor, &statement);
            Some(format!("commit {id}, {mode:?}"))
        }
        Message::Blocks { blocks, absent } => {
            let (blocks, absent) = (blocks.len(), absent.len());
            Some(format!("{blocks} blocks, {absent} absent"))
        }
        Message::Refuse { commit, code, .. } => Some(format!("refuses {commit}: {code}")),
        _ => None,
    }
}
