//! Maps by commit. An id is a hash already, and history is walked by looking up millions of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::ids::CommitId;

/// A map by commit.
pub(crate) type ByCommit<T> = HashMap<CommitId, T, Digests>;

/// Takes eight bytes of the digest, times a number that nobody knows: who makes ids that agree in some bits does not
/// know which of them end in one place.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    times: u64,
}

impl Default for Digests {
    fn default() -> Self {
        let times = RandomState::new().hash_one(0u8) | 1;
        Self { times }
    }
}

impl BuildHasher for Digests {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher {
            times: self.times,
            bytes: 0,
        }
    }
}

/// What is hashed beside the digest is the same in all ids of commits.
#[derive(Debug)]
pub(crate) struct DigestHasher {
    times: u64,
    bytes: u64,
}

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let (Some(first), true) = (bytes.first_chunk(), bytes.len() >= 32) {
            self.bytes ^= u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.bytes) * u128::from(self.times);
        (product ^ (product >> 64)) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use allod_blocks::{Codec, sha256_cid};

    use super::*;

    #[test]
    fn ids_have_different_hashes() {
        let digests = Digests::default();
        let hashes = (0u32..10_000).map(|number| {
            let cid = sha256_cid(Codec::DagCbor, &number.to_le_bytes());
            digests.hash_one(CommitId::from_cid(cid))
        });
        let hashes: Vec<u64> = hashes.collect();
        // In all of their bits, and in those that a table looks at: the lowest and the highest.
        let count = |bits: fn(&u64) -> u64| hashes.iter().map(bits).collect::<BTreeSet<_>>().len();
        assert_eq!(count(|hash| *hash), 10_000);
        assert!(count(|hash| hash & 0xffff) > 9_000);
        assert_eq!(count(|hash| hash >> 57), 128);
    }
}
