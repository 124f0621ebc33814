//! Where a space's references live in the store.
//!
//! | reference | value | roots |
//! |---|---|---|
//! | `space/<id>` | empty; lists the spaces of a store | the genesis |
//! | `s/<id>/quarantine/<digest>` | why a commit is in quarantine | nothing |
//! | `s/<id>/head/<branch>` | the heads, a list of links | the heads |
//! | `s/<id>/beside/<branch>` | the newest commits beside it, a list of links | the commits |
//! | `s/<id>/track/<remote>/<branch>` | heads of a branch of a remote, as they were fetched | the heads |
//! | `s/<id>/commit/<cid>` | marks a commit that was made or accepted here; says what is held of it, and nothing if all is | nothing |
//! | `s/<id>/large/<digest><file>` | a link to a file that a commit made here needs, and that is larger than what is kept | the file |
//! | `s/<id>/part` | the part of the space that is kept here, if not all is | nothing |
//! | `s/<id>/work/<branch>\0<key>` | a staged entry | its link |
//! | `s/<id>/clash/<branch>\0<key>\0<digest>` | a conflict record | both links, the commit |
//! | `s/<id>/merge/<branch>\0` | a merge, pick or replay that is under way | the commits it names |
//! | `s/<id>/merge/<branch>\0<key>` | how a conflict of it was resolved | its link |
//! | `s/<id>/writer/<branch>` | who writes values that join there, and digests of heads | nothing |
//! | `s/<id>/stash/<number>` | what is known of a stash | the commits it names |
//! | `s/<id>/stash/<number>\0<key>` | an edit in it, as it was staged | its link |
//! | `keylog/<agent>` | the events that are known of an agent, a list of links | the events |
//! | `hook/<name>` | where a hook after commits stands in the log | nothing |
//! | `pin/<cid>` | empty; keeps a block that nothing else refers to | the block |
//! | any other | | every CID that its name or value spells |
//!
//! What roots what is one rule without a list of kinds: every CID that a reference spells, but for
//! those of marks (REPO-60). A new kind is kept by it, if it spells whole CIDs.
//!
//! Ids and agents are bytes, a number is 8 of them, big-endian. A branch name has no zero byte, and a digest has 32 bytes, so each
//! name has one reading whatever the key.

use allod_blocks::{Cid, Codec};
use multihash::Multihash;

use crate::ids::{BranchName, CommitId, SpaceId};

/// The code of the hash that names commits.
const SHA2_256: u64 = 0x12;

pub(crate) const SPACES: &[u8] = b"space/";

pub(crate) fn space(id: SpaceId) -> Vec<u8> {
    [SPACES, &id.cid().to_bytes()].concat()
}

pub(crate) const KEY_LOGS: &[u8] = b"keylog/";

pub(crate) fn key_log(agent: &[u8; 32]) -> Vec<u8> {
    [KEY_LOGS, agent].concat()
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

pub(crate) fn all_beside(id: SpaceId) -> Vec<u8> {
    scoped(id, "beside")
}

pub(crate) fn beside(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&all_beside(id)[..], branch.as_str().as_bytes()].concat()
}

pub(crate) fn quarantine(id: SpaceId) -> Vec<u8> {
    scoped(id, "quarantine")
}

pub(crate) fn quarantined(id: SpaceId, commit: CommitId) -> Vec<u8> {
    [&quarantine(id)[..], commit.cid().hash().digest()].concat()
}

pub(crate) fn tracking(id: SpaceId) -> Vec<u8> {
    scoped(id, "track")
}

/// The name of a remote has no `/`.
pub(crate) fn tracked(id: SpaceId, remote: &str) -> Vec<u8> {
    [&tracking(id)[..], remote.as_bytes(), b"/"].concat()
}

pub(crate) fn tracking_branch(id: SpaceId, remote: &str, branch: &BranchName) -> Vec<u8> {
    [&tracked(id, remote)[..], branch.as_str().as_bytes()].concat()
}

pub(crate) fn commit(id: SpaceId, commit: CommitId) -> Vec<u8> {
    [&commits(id)[..], &commit.cid().to_bytes()].concat()
}

pub(crate) fn large(id: SpaceId) -> Vec<u8> {
    scoped(id, "large")
}

pub(crate) fn large_file(id: SpaceId, commit: CommitId, file: &Cid) -> Vec<u8> {
    [
        &large(id)[..],
        commit.cid().hash().digest(),
        &file.to_bytes(),
    ]
    .concat()
}

/// The commit of such a reference.
pub(crate) fn commit_of_large(id: SpaceId, name: &[u8]) -> Option<CommitId> {
    commit_of_digest(name.strip_prefix(&large(id)[..])?.first_chunk::<32>()?)
}

/// The commit whose name has a digest: where it is noted so, nothing spells it, and so it is not kept.
pub(crate) fn commit_of_digest(digest: &[u8]) -> Option<CommitId> {
    let hash = Multihash::wrap(SHA2_256, digest).ok()?;
    Some(CommitId::from_cid(Cid::new_v1(Codec::DagCbor.code(), hash)))
}

/// Whether a reference says which part of a space is kept.
pub(crate) fn is_part(name: &[u8]) -> bool {
    of_space(name, |kind| kind == b"/part")
}

pub(crate) fn part(id: SpaceId) -> Vec<u8> {
    [b"s/", &id.cid().to_bytes()[..], b"/part"].concat()
}

pub(crate) fn commits(id: SpaceId) -> Vec<u8> {
    scoped(id, "commit")
}

/// The commit whose mark has this name, if it is that of a mark.
pub(crate) fn marked_commit(name: &[u8]) -> Option<Cid> {
    let rest = name.strip_prefix(b"s/")?;
    let id = Cid::read_bytes(rest).ok()?.to_bytes();
    let commit = rest.strip_prefix(&id[..])?.strip_prefix(b"/commit/")?;
    Cid::try_from(commit).ok()
}

/// Whether all that the reference roots must be there (REPO-63). What others refer to may name
/// what never was here, as notes on peers do.
pub(crate) fn is_needed(name: &[u8]) -> bool {
    const NEEDED: [&[u8]; 7] = [
        b"/beside/",
        b"/head/",
        b"/large/",
        b"/merge/",
        b"/stash/",
        b"/track/",
        b"/work/",
    ];
    name.starts_with(SPACES)
        || name.starts_with(PINS)
        || name.starts_with(KEY_LOGS)
        || of_space(name, |kind| {
            NEEDED.iter().any(|needed| kind.starts_with(needed))
        })
}

/// Whether a reference is one of a space, and what follows the name of that is as said.
fn of_space(name: &[u8], is_kind: impl Fn(&[u8]) -> bool) -> bool {
    name.strip_prefix(b"s/")
        .and_then(|rest| {
            let id = Cid::read_bytes(rest).ok()?.to_bytes();
            rest.strip_prefix(&id[..])
        })
        .is_some_and(is_kind)
}

pub(crate) fn follower(name: &str) -> Vec<u8> {
    [b"hook/", name.as_bytes()].concat()
}

/// Where the log begins, if entries were removed from it: a position, big-endian.
pub(crate) const LOG_BEGIN: &[u8] = b"log/begin";

pub(crate) const PINS: &[u8] = b"pin/";

pub(crate) fn pin(cid: &Cid) -> Vec<u8> {
    [PINS, &cid.to_bytes()].concat()
}

/// What is known to be damaged or missing. It roots nothing: there is nothing.
pub(crate) const LOST: &[u8] = b"lost/";

pub(crate) fn lost(cid: &Cid) -> Vec<u8> {
    [LOST, &cid.to_bytes()].concat()
}

/// What is staged on all branches: of each its name, a zero byte and a key follow.
pub(crate) fn works(id: SpaceId) -> Vec<u8> {
    scoped(id, "work")
}

pub(crate) fn work(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&scoped(id, "work")[..], branch.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn staged(id: SpaceId, branch: &BranchName, key: &[u8]) -> Vec<u8> {
    [&work(id, branch)[..], key].concat()
}

pub(crate) fn writer(id: SpaceId, branch: &BranchName) -> Vec<u8> {
    [&scoped(id, "writer")[..], branch.as_str().as_bytes()].concat()
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
