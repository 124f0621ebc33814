//! Elements, and which symbols they are mapped to.

use sha2::{Digest as _, Sha256};

/// The golden constant of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is mixed for the signs of an estimate (SKETCH-6).
const SIGNS: u64 = 0x5555_5555_5555_5555;

/// The element of an entry (SKETCH-1).
#[must_use]
pub fn element(key: &[u8], entry: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update((key.len() as u32).to_be_bytes())
        .chain_update(key)
        .chain_update(entry)
        .finalize();
    element_of_digest(&digest)
}

/// The element of what has a digest (SKETCH-1): its first 8 bytes.
#[must_use]
pub fn element_of_digest(digest: &[u8]) -> u64 {
    let mut first = [0; 8];
    first
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(first)
}

/// The finalizer of SplitMix64 (SKETCH-2).
pub(crate) const fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a symbol has of an element besides itself (SKETCH-4).
pub(crate) const fn check(x: u64) -> u32 {
    (mix(!x) >> 32) as u32
}

/// The signs of an element in 64 counters of an estimate (SKETCH-6).
pub(crate) const fn signs(x: u64, word: u64) -> u64 {
    mix(x ^ SIGNS.wrapping_add(word.wrapping_mul(GOLDEN)))
}

/// The indices of the symbols that an element is mapped to, ascending (SKETCH-3).
#[derive(Clone, Debug)]
pub(crate) struct Indices {
    state: u64,
    next: u64,
}

/// An index behind all.
const END: u64 = 1 << 63;

impl Indices {
    pub(crate) const fn of(element: u64) -> Self {
        Self {
            state: mix(element),
            next: 0,
        }
    }

    /// The next index; those from 2^63 on are none.
    #[expect(
        clippy::cast_sign_loss,
        reason = "no step is negative, and a float too large becomes the greatest number"
    )]
    pub(crate) fn next(&mut self) -> u64 {
        let index = self.next;
        self.state = self.state.wrapping_add(GOLDEN);
        let uniform = mix(self.state) as f64;
        let factor = 4_294_967_296.0 / (uniform + 1.0).sqrt() - 1.0;
        let step = ((index as f64 + 1.5) * factor).ceil();
        self.next = index.saturating_add((step as u64).max(1)).min(END);
        index
    }
}
