//! What leads where: the links of blocks, and the names that references spell.

use std::collections::BTreeMap;

use allod_blocks::{Block, Cid, Codec, Marked, Store, StoreError, cbor_links};
use allod_identity::{Payload as _, STATEMENT_BYTES_MAX, canonical};
use allod_tree::Node;
use serde_bytes::ByteBuf;

use crate::entry::Entry;
use crate::error::RepoError;
use crate::files::{self, ALL};
use crate::ids::{CommitId, SpaceId};
use crate::layout;
use crate::part::{Holding, Kept, Part};
use crate::repo::Repo;
use crate::statements::Commit;
use crate::tags::TAG_PREFIX;

/// What a block names (REPO-62).
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// What it leads to, all of which must be there with it; and how many bytes of a file are kept from there
    /// on (PART-14).
    pub(crate) links: Vec<(Cid, u64)>,
    /// How many bytes of the file would have to be kept for it to lead to its parts, if it does not.
    pub(crate) needs: Option<u64>,
    /// What its bytes spell besides, if it is no node of a space's tree, and what the tags in a node
    /// name (REPO-33). It is kept if it is here, and nothing is lost where it is not: anybody can
    /// spell anything.
    pub(crate) hints: Vec<Cid>,
    /// Trees of which the nodes with some keys are kept as far as they are here, and nothing that they
    /// lead to besides.
    pub(crate) parts: Vec<(Cid, Part)>,
}

/// Blocks that were met on the way along links.
#[derive(Default)]
pub(crate) struct Met {
    marked: Marked,
    /// Those from which not all was followed: how many bytes of a file were kept from there on, or none if
    /// nothing was followed at all. A slice may have the same nodes as another tree, and lead to less.
    narrow: BTreeMap<Cid, Option<u64>>,
}

impl Met {
    /// Meets a block with so much of a file kept from there on; whether it is to be followed, because it is new
    /// or was met with less.
    pub(crate) fn meet(&mut self, cid: &Cid, most: u64) -> bool {
        let before = if self.marked.insert(cid) {
            None
        } else {
            self.narrow.get(cid).copied().unwrap_or(Some(ALL))
        };
        if before >= Some(most) {
            return false;
        }
        // Nothing follows from a raw block.
        if most == ALL || cid.codec() == Codec::Raw.code() {
            self.narrow.remove(cid);
        } else {
            self.narrow.insert(*cid, Some(most));
        }
        true
    }

    /// Meets a block without following it.
    pub(crate) fn meet_alone(&mut self, cid: &Cid) {
        if self.marked.insert(cid) {
            self.narrow.insert(*cid, None);
        }
    }

    /// Notes that a block leads to nothing more until it is met with so much.
    pub(crate) fn note_needs(&mut self, cid: &Cid, needs: Option<u64>) {
        if let Some(needs) = needs {
            self.narrow.insert(*cid, Some(needs.saturating_sub(1)));
        }
    }

    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.marked.contains(cid)
    }

    pub(crate) fn len(&self) -> u64 {
        self.marked.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.marked.memory_bytes() + self.narrow.len() * size_of::<(Cid, Option<u64>)>()
    }
}

/// The spaces of a store of which a part is kept or is to be, and which.
#[derive(Eq, PartialEq)]
pub(crate) struct Parts(Vec<(SpaceId, Kept)>);

impl Parts {
    pub(crate) fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let mut parts = Vec::new();
        let spaces = match Repo::spaces(store) {
            Err(RepoError::Store(error)) => return Err(error),
            // A space that cannot be read has no part that could be.
            spaces => spaces.unwrap_or_default(),
        };
        for space in spaces {
            match Kept::stored(store, space) {
                Ok(kept) if kept != Kept::default() => parts.push((space, kept)),
                Err(RepoError::Store(error)) => return Err(error),
                // What cannot be read hides nothing: the commits of the space then miss their trees.
                _ => {}
            }
        }
        Ok(Self(parts))
    }

    /// Whether larger or smaller values are about to be kept of a space than are kept now.
    pub(crate) fn change_values(&self) -> bool {
        self.0.iter().any(|(_, kept)| {
            let next = kept.next.as_ref();
            next.is_some_and(|next| kept.most() != next.value_max().unwrap_or(ALL))
        })
    }

    /// What a block names that was met with `most` (see [`Met`]): of a commit that is held in part, what is held
    /// (PART-5).
    pub(crate) fn named_by(
        &self,
        store: &dyn Store,
        block: &Block,
        most: u64,
    ) -> Result<Option<Named>, StoreError> {
        let Some(mut named) = named_by(block, most) else {
            return Ok(None);
        };
        let Some((kept, said, holding)) = self.held(store, block)? else {
            return Ok(Some(named));
        };
        let tree = said.tree;
        if kept.now.is_some() {
            let is_whole = |link: &Cid| *link == tree || said.parts.as_ref() == Some(link);
            named.links.retain(|(link, _)| !is_whole(link));
            named.hints.retain(|link| !is_whole(link));
        }
        for part in kept.now.iter().chain(&kept.next) {
            if let Some(root) = holding.root(part) {
                named.links.push((root, kept.most()));
                named.parts.push((tree, part.clone()));
            }
        }
        Ok(Some(named))
    }

    /// Whether a block is a commit that is held in part.
    pub(crate) fn has(&self, store: &dyn Store, block: &Block) -> Result<bool, StoreError> {
        let held = self.held(store, block)?;
        Ok(held.is_some_and(|(kept, ..)| kept.now.is_some()))
    }

    /// What is kept of the space of a commit, what it says, and what is held of it. `meta` is whole.
    fn held(
        &self,
        store: &dyn Store,
        block: &Block,
    ) -> Result<Option<(&Kept, Commit, Holding)>, StoreError> {
        if self.0.is_empty() || block.cid().codec() != Codec::DagCbor.code() {
            return Ok(None);
        }
        for (space, kept) in &self.0 {
            let id = CommitId::from_cid(*block.cid());
            let mark = store.get_ref(&layout::commit(*space, id))?;
            let holding = mark.and_then(|mark| Holding::decode(&mark).ok());
            if let (Some(holding), Some(said)) = (holding, commit_in(block))
                && !said.branch.is_meta()
            {
                return Ok(Some((kept, said, holding)));
            }
        }
        Ok(None)
    }
}

/// The commit that a block is. Whether it was signed is not looked at: where its mark is here that was done
/// before, and what it leads to is the same.
fn commit_in(block: &Block) -> Option<Commit> {
    type Statement = (String, ByteBuf, Commit, ByteBuf);
    let statement = canonical::decode(block.bytes(), STATEMENT_BYTES_MAX);
    let (domain, _, said, _): Statement = statement.ok()?;
    (domain == Commit::DOMAIN).then_some(said)
}

/// The tree of a commit.
pub(crate) fn tree_of(block: &Block) -> Option<Cid> {
    commit_in(block).map(|said| said.tree)
}

/// What a block names that was met with `most` (see [`Met`]); `None` if it cannot be read.
pub(crate) fn named_by(block: &Block, most: u64) -> Option<Named> {
    let mut named = Named::default();
    if block.cid().codec() == Codec::Raw.code() {
        return Some(named);
    }
    if block.cid().codec() != Codec::DagCbor.code() {
        match files::Parts::of(block, most).ok()? {
            files::Parts::Kept(parts) => named.links = parts,
            files::Parts::Needs(needs) => named.needs = Some(needs),
        }
        return Some(named);
    }
    let Ok(node) = Node::decode(block.bytes()) else {
        let links = match commit_in(block) {
            // No rule says that the policy which its author knew is here.
            Some(said) => {
                let parents = said.parents.iter().map(|parent| *parent.cid());
                [said.tree, *said.space.cid()]
                    .into_iter()
                    .chain(said.parts)
                    .chain(parents)
                    .collect()
            }
            None => cbor_links(block.bytes()).unwrap_or_default(),
        };
        named.links = links.into_iter().map(|link| (link, most)).collect();
        named.hints = cids_in(block.bytes());
        return Some(named);
    };
    named.links = (0..node.len())
        .map_while(|index| node.link(index))
        .map(|link| (link, most))
        .collect();
    for (key, value) in node.entries() {
        let entry = Entry::decode(&value);
        if entry.is_err() || key.starts_with(TAG_PREFIX.as_bytes()) {
            named.hints.extend(cids_in(&value));
        }
        let link = entry.ok().and_then(|entry| entry.state.link().copied());
        named.links.extend(link.map(|link| (link, most)));
    }
    Some(named)
}

/// What a reference leads to: the links in its value, and what its name is made of (REPO-60).
pub(crate) fn roots_of(name: &[u8], value: &[u8]) -> Vec<Cid> {
    let named = name
        .strip_prefix(layout::SPACES)
        .or_else(|| name.strip_prefix(layout::PINS));
    let mut roots = cbor_links(value).unwrap_or_default();
    roots.extend(named.and_then(|name| Cid::try_from(name).ok()));
    roots
}

/// What a reference names besides: all that its name and value spell. Kept if it is here.
pub(crate) fn hints_in_reference(name: &[u8], value: &[u8]) -> Vec<Cid> {
    let mut hints = cids_in(name);
    hints.extend(cids_in(value));
    hints.extend(texts_in(value));
    hints
}

/// The length of a CIDv1 of a block, in bytes (BLOCKS-1).
const CID_BYTES: usize = 36;

/// The names of blocks that `bytes` spell, at whatever place.
pub(crate) fn cids_in(bytes: &[u8]) -> Vec<Cid> {
    let is_head = |head: &[u8]| {
        matches!(
            head,
            [1, 0x55 | 0x70 | 0x71, 0x12 | 0x1e, 0x20, ..] if head.len() == CID_BYTES
        )
    };
    bytes
        .windows(CID_BYTES)
        .filter(|window| is_head(window))
        .filter_map(|window| Cid::try_from(window).ok())
        .collect()
}

/// The names of blocks that `bytes` spell as text (BLOCKS-7).
fn texts_in(bytes: &[u8]) -> Vec<Cid> {
    bytes
        .split(|byte| !matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
        .filter(|word| word.len() == 59 && word[0] == b'b')
        .filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use allod_blocks::sha256_cid;

    /// What was met with less is followed again where more is kept, whatever was met first.
    #[test]
    fn what_is_met_with_more_is_followed_again() {
        let node = sha256_cid(Codec::DagCbor, b"node");
        let mut met = Met::default();
        assert!(!met.has(&node));
        met.meet_alone(&node);
        assert!(met.has(&node));
        assert!(met.meet(&node, 5) && !met.meet(&node, 5) && !met.meet(&node, 4));
        met.meet_alone(&node);
        assert!(!met.meet(&node, 5) && met.meet(&node, 6));
        assert!(met.meet(&node, ALL) && !met.meet(&node, ALL) && !met.meet(&node, 6));
        assert_eq!(met.len(), 1);
        // An index that leads to nothing yet is read again only where it would.
        let index = sha256_cid(Codec::DagPb, b"index");
        assert!(met.meet(&index, 5));
        met.note_needs(&index, Some(9));
        assert!(!met.meet(&index, 8) && met.meet(&index, 9));
        let leaf = sha256_cid(Codec::Raw, b"leaf");
        assert!(met.meet(&leaf, 5) && !met.meet(&leaf, ALL));
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        let (one, two) = (
            sha256_cid(Codec::DagCbor, b"one"),
            sha256_cid(Codec::Raw, b"two"),
        );
        let bytes = [b"\x01\x55", &one.to_bytes()[..], b"x", &two.to_bytes()].concat();
        assert_eq!(cids_in(&bytes), [one, two]);
        assert!(cids_in(&bytes[..bytes.len() - 36]).contains(&one));
        assert!(cids_in(&one.to_bytes()[..35]).is_empty());
        let text = format!("commit {one}");
        assert_eq!(texts_in(text.as_bytes()), [one]);
        assert!(texts_in(b"commit b").is_empty());
    }
}
