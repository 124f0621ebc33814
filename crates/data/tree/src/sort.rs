//! The order of many keys, found with few looks at each.

use crate::node::head;

/// Bytes of a key that are compared at once.
const HEAD: usize = 8;

/// Keys that begin alike are compared whole if they are so few, or alike for so long.
const FEW: usize = 24;
const DEPTH_MAX: usize = 8 * HEAD;

/// The places of keys in the order of the keys; those of equal keys in their own.
///
/// The first bytes are sorted beside the places, so that keys are looked at again only where those are
/// equal, and then in the order of the places.
pub(crate) fn sorted_places<'a>(len: usize, key: impl Fn(usize) -> &'a [u8]) -> Vec<(u64, usize)> {
    let mut order: Vec<(u64, usize)> = (0..len).map(|place| (head(key(place)), place)).collect();
    sort_from(&mut order, 0, &key);
    order
}

/// Sorts places by the keys behind their first `depth` bytes, of which `order` has the heads.
fn sort_from<'a>(order: &mut [(u64, usize)], depth: usize, key: &impl Fn(usize) -> &'a [u8]) {
    order.sort_unstable();
    let next = depth + HEAD;
    for run in order.chunk_by_mut(|a, b| a.0 == b.0) {
        match run.len() {
            1 => {}
            // A key that ends and one that goes on with zeros have the same head, so whole keys.
            2..FEW => run.sort_by(|a, b| key(a.1).cmp(key(b.1))),
            _ if next >= DEPTH_MAX => run.sort_by(|a, b| key(a.1).cmp(key(b.1))),
            _ => {
                for (start, place) in &mut *run {
                    *start = head(key(*place).get(next..).unwrap_or_default());
                }
                sort_from(run, next, key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::twin::Rng;

    #[test]
    fn places_are_in_the_order_of_their_keys() {
        for seed in 0..60 {
            let mut rng = Rng::new(9000 + seed);
            let count = [0, 1, 3, 200, 900][rng.below(5)];
            let keys: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    // Keys that begin alike for long, that are equal, and that go on with zeros.
                    let alike = [0, 7, 8, 9, 40, 100][rng.below(6)];
                    let mut key = vec![b'k'; alike];
                    key.extend((0..rng.below(12)).map(|_| [0, 0, 1, b'k'][rng.below(4)]));
                    key
                })
                .collect();
            let order = sorted_places(count, |place| &keys[place]);
            let mut expected: Vec<usize> = (0..count).collect();
            expected.sort_by_key(|place| &keys[*place]);
            assert!(
                order.iter().map(|(_, place)| place).eq(&expected),
                "seed {seed}"
            );
        }
    }
}
