//! A set of block names that takes 20 to 30 bytes a name.

use cid::Cid;

/// What a set keeps of a name: its codec and hash function in a byte, and 152 bits of its digest.
///
/// Two blocks that agree in it would take 2^76 hashes to find; a name is as good as its digest, so
/// the set may be trusted to tell what was seen from what was not.
pub(crate) type BlockKey = [u8; 20];

pub(crate) fn key_of(cid: &Cid) -> BlockKey {
    let mut key = [0; 20];
    // Codecs and hash functions of blocks differ in their low bits (BLOCKS-1, BLOCKS-2).
    key[0] = (cid.codec() as u8) ^ (cid.hash().code() as u8).rotate_left(4);
    let digest = cid.hash().digest();
    let length = digest.len().min(19);
    key[1..=length].copy_from_slice(&digest[..length]);
    key
}

/// Shards by the first two bytes of the digest, which need not be kept then.
const SHARDS: usize = 1 << 16;

type Rest = [u8; 18];

/// Names of blocks, in at most 30 bytes each and 1.5 MiB for the empty set.
#[derive(Debug)]
pub struct Marked {
    shards: Vec<Vec<Rest>>,
    len: u64,
}

impl Default for Marked {
    fn default() -> Self {
        Self::new()
    }
}

impl Marked {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: vec![Vec::new(); SHARDS],
            len: 0,
        }
    }

    /// How many names it has.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a name; says whether it is new.
    pub fn insert(&mut self, cid: &Cid) -> bool {
        let (shard, rest) = split(cid);
        let shard = &mut self.shards[shard];
        let Err(at) = shard.binary_search(&rest) else {
            return false;
        };
        if shard.len() == shard.capacity() {
            // Doubling would take twice the memory of what is kept.
            shard.reserve_exact(shard.len() / 4 + 4);
        }
        shard.insert(at, rest);
        self.len += 1;
        true
    }

    /// Whether it has a name.
    #[must_use]
    pub fn contains(&self, cid: &Cid) -> bool {
        let (shard, rest) = split(cid);
        self.shards[shard].binary_search(&rest).is_ok()
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let kept: usize = self.shards.iter().map(Vec::capacity).sum();
        kept * size_of::<Rest>() + SHARDS * size_of::<Vec<Rest>>()
    }
}

fn split(cid: &Cid) -> (usize, Rest) {
    let key = key_of(cid);
    let shard = usize::from(u16::from_be_bytes([key[1], key[2]]));
    let mut rest = [0; 18];
    rest[0] = key[0];
    rest[1..].copy_from_slice(&key[3..]);
    (shard, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Codec, sha256_cid};

    #[test]
    fn it_keeps_what_was_put_and_nothing_else_in_little_memory() {
        let mut marked = Marked::new();
        let name = |number: u32| sha256_cid(Codec::Raw, &number.to_le_bytes());
        for number in 0..200_000 {
            assert!(marked.insert(&name(number)));
        }
        assert!(!marked.insert(&name(7)));
        assert_eq!(marked.len(), 200_000);
        assert!((0..200_000).all(|number| marked.contains(&name(number))));
        assert!((200_000..400_000).all(|number| !marked.contains(&name(number))));
        assert!(
            marked.memory_bytes() < 200_000 * 60,
            "{}",
            marked.memory_bytes()
        );
    }

    #[test]
    fn one_digest_under_two_codecs_is_two_names() {
        let names = [Codec::Raw, Codec::DagPb, Codec::DagCbor].map(|codec| sha256_cid(codec, b"x"));
        let mut marked = Marked::new();
        for name in names {
            assert!(marked.insert(&name));
        }
    }
}
