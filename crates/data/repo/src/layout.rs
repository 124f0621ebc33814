//! Where a space's references live in the store.
//!
//! | reference | value |
//! |---|---|
//! | `space/<id>` | empty; lists the spaces of a store |
//! | `s/<id>/head/<branch>` | the heads, a list of links |
//! | `s/<id>/commit/<cid>` | empty; marks a commit that was made or accepted here |
//! | `s/<id>/work/<branch>\0<key>` | a staged entry |
//! | `s/<id>/clash/<branch>\0<key>\0<digest>` | a conflict record |
//! | `s/<id>/merge/<branch>\0` | a merge, pick or replay that is under way |
//! | `s/<id>/merge/<branch>\0<key>` | how a conflict of it was resolved |
//! | `s/<id>/stash/<number>` | what is known of a stash |
//! | `s/<id>/stash/<number>\0<key>` | an edit in it, as it was staged |
//! | `keylog/<agent>` | the events of an agent's key log, a list of links |
//! | `keylog-fork/<agent>` | two events at one position: the proof that it deceives |
//!
//! What is under way names commits and blocks that nothing else may refer to: its values are
//! CBOR with links, and keep what they name.
//!
//! Ids and agents are bytes, a number is 8 of them, big-endian. A branch name has no zero byte, and a digest has 32 bytes, so each
//! name has one reading whatever the key.

use crate::ids::{BranchName, CommitId, SpaceId};

pub(crate) const SPACES: &[u8] = b"space/";

pub(crate) fn space(id: SpaceId) -> Vec<u8> {
    [SPACES, &id.cid().to_bytes()].concat()
}

pub(crate) fn key_log(agent: &[u8; 32]) -> Vec<u8> {
    [&b"keylog/"[..], agent].concat()
}

pub(crate) fn key_log_fork(agent: &[u8; 32]) -> Vec<u8> {
    [&b"keylog-fork/"[..], agent].concat()
}

fn scoped(id: SpaceId, kind: &str) -> Vec<u8> {
    [b"s/", &id.cid().to_bytes()[..], b"/", kind.as_bytes(), b"/"].concat()
}

pub(crate) fn heads(id: SpaceId) -> Vec<u8> {
    scoped(id, "head")
}

pub(crate) fn head(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&heads(id)[..], branch.as_str().as_bytes()].concat()
}

pub(crate) fn commit(id: SpaceId, commit: CommitId) -> Vec<u8> {
    [&scoped(id, "commit")[..], &commit.cid().to_bytes()].concat()
}

pub(crate) fn work(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&scoped(id, "work")[..], branch.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn staged(id: SpaceId, branch: &BranchName, key: &[u8]) -> Vec<u8> {
    [&work(id, branch)[..], key].concat()
}

pub(crate) fn clashes(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&scoped(id, "clash")[..], branch.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn clash(id: SpaceId, branch: &BranchName, key: &[u8], digest: &[u8; 32]) -> Vec<u8> {
    [&clashes(id, branch)[..], key, b"\0", digest].concat()
}

pub(crate) fn merge(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&scoped(id, "merge")[..], branch.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn resolution(id: SpaceId, branch: &BranchName, key: &[u8]) -> Vec<u8> {
    [&merge(id, branch)[..], key].concat()
}

pub(crate) fn stashes(id: SpaceId) -> Vec<u8> {
    scoped(id, "stash")
}

pub(crate) fn stash(id: SpaceId, number: u64) -> Vec<u8> {
    [&stashes(id)[..], &number.to_be_bytes()].concat()
}

pub(crate) fn stashed(id: SpaceId, number: u64, key: &[u8]) -> Vec<u8> {
    [&stash(id, number)[..], b"\0", key].concat()
}

/// After all references of a stash, and before those of the next.
pub(crate) fn stash_end(id: SpaceId, number: u64) -> Vec<u8> {
    [&stash(id, number)[..], b"\x01"].concat()
}
