//! Which partition a key belongs to: as the producer of Kafka's own client does it (SINK-40).

/// The seed and the two constants of Kafka's `Utils.murmur2`.
const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// MurmurHash2 of 32 bits, with the seed of Kafka.
fn murmur2(bytes: &[u8]) -> u32 {
    // Kafka takes the length as an int of Java: of the low 32 bits.
    let length = (bytes.len() & 0xffff_ffff) as u64;
    let mut hash = SEED ^ u32::try_from(length).unwrap_or_default();
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut part = u32::from_le_bytes(*word).wrapping_mul(M);
        part ^= part >> R;
        hash = hash.wrapping_mul(M) ^ part.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key, of so many; of none the first.
pub(crate) fn partition(key: &[u8], count: usize) -> usize {
    let hash = (murmur2(key) & 0x7fff_ffff) as usize;
    hash.checked_rem(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// What the tests of Kafka (`UtilsTest.testMurmur2`) have, as unsigned numbers.
    #[test]
    fn hashes_are_those_of_kafka() {
        let cases = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }
}
