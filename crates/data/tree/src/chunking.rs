//! Where nodes end (TREE-4 to TREE-6).

use xxhash_rust::xxh64::xxh64;

/// What an entry of a leaf weighs beside its key and value (TREE-4).
const LEAF_ENTRY_WEIGHT: u64 = 4;

/// What an entry of an inner node weighs beside its key (TREE-4).
const LINK_ENTRY_WEIGHT: u64 = 48;

/// The size that nodes aim for. The format has one, [`Chunking::STANDARD`]; tests use smaller ones
/// so that small maps make deep trees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunking {
    /// The target weight is two to this power.
    bits: u32,
}

impl Chunking {
    /// The chunking of the format: 4096 (TREE-5).
    pub(crate) const STANDARD: Self = Self { bits: 12 };

    /// A chunking with small nodes. `bits` is from 3 to 12.
    #[cfg(test)]
    pub(crate) const fn small(bits: u32) -> Self {
        Self { bits }
    }

    const fn weight_min(self) -> u64 {
        1 << (self.bits - 2)
    }

    const fn weight_max(self) -> u64 {
        1 << (self.bits + 3)
    }

    /// The weight of a leaf entry (TREE-4).
    pub(crate) const fn leaf_weight(key: usize, value: usize) -> u64 {
        key as u64 + value as u64 + LEAF_ENTRY_WEIGHT
    }

    /// The weight of an inner entry (TREE-4).
    pub(crate) const fn link_weight(key: usize) -> u64 {
        key as u64 + LINK_ENTRY_WEIGHT
    }

    /// Whether a node ends after the entry with `key`, which takes the node's weight from `before`
    /// to `after` (TREE-5). `before` is zero for the node's first entry.
    #[inline]
    pub(crate) fn closes(self, level: u8, key: &[u8], before: u64, after: u64) -> bool {
        if (level > 0 && before == 0) || after < self.weight_min() {
            return false;
        }
        if after >= self.weight_max() {
            return true;
        }
        boundary_hash(level, key) < self.threshold(before, after)
    }

    /// The bound that the hash must stay under: floor((after^3 - before^3) / 2^(3 bits - 32)).
    pub(crate) const fn threshold(self, before: u64, after: u64) -> u64 {
        let grown = after * after * after - before * before * before;
        if 3 * self.bits >= 32 {
            grown >> (3 * self.bits - 32)
        } else {
            grown << (32 - 3 * self.bits)
        }
    }
}

/// The upper half of XXH64 of the key, seeded with the level (TREE-6).
#[inline]
pub(crate) fn boundary_hash(level: u8, key: &[u8]) -> u64 {
    xxh64(key, u64::from(level)) >> 32
}
