//! What leads where: the links of blocks, and the names that references spell.

use allod_blocks::{Block, Cid, Codec, block_links};
use allod_tree::Node;

use crate::entry::{Entry, State};
use crate::tags::TAG_PREFIX;

/// What a block leads to (REPO-62); `None` if it cannot be read.
pub(crate) fn links_of(block: &Block) -> Option<Vec<Cid>> {
    if block.cid().codec() != Codec::DagCbor.code() {
        return block_links(block).ok();
    }
    let Ok(node) = Node::decode(block.bytes()) else {
        return Some(cids_in(block.bytes()));
    };
    let mut links = Vec::new();
    for index in 0..node.len() {
        if let Some(child) = node.link(index) {
            links.push(child);
        } else if let Some(value) = node.value(index) {
            match Entry::decode(&value) {
                Ok(entry) => {
                    if let State::Link(cid) = entry.state {
                        links.push(cid);
                    }
                }
                // A tree that is no space's: keep whatever it may mean.
                Err(_) => links.extend(cids_in(&value)),
            }
        }
    }
    Some(links)
}

/// What the tags in a node of a tree name (REPO-33). It may be elsewhere, so that nothing is lost
/// where it is not here.
pub(crate) fn tagged_by(block: &Block) -> Vec<Cid> {
    let Ok(node) = Node::decode(block.bytes()) else {
        return Vec::new();
    };
    let last = node.len().checked_sub(1).and_then(|last| node.key(last));
    if !node.is_leaf() || last.is_none_or(|last| *last < *TAG_PREFIX.as_bytes()) {
        return Vec::new();
    }
    node.entries()
        .skip_while(|(key, _)| **key < *TAG_PREFIX.as_bytes())
        .take_while(|(key, _)| key.starts_with(TAG_PREFIX.as_bytes()))
        .flat_map(|(_, value)| cids_in(&value))
        .collect()
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
pub(crate) fn texts_in(bytes: &[u8]) -> Vec<Cid> {
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
