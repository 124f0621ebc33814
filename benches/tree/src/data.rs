//! What every candidate is given: the same random entries in the same order.

/// An owned entry.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Entries with 16-byte keys and 100-byte values, and what is done with them.
pub struct Data {
    sorted: Vec<([u8; 16], [u8; 100])>,
    order: Vec<u32>,
    /// The keys in the order `order`, side by side: a loop over them measures the map, not the
    /// cache misses of this table.
    keys: Vec<[u8; 16]>,
    updates: Vec<u32>,
    scattered: Vec<u32>,
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

impl Data {
    /// `entries` entries from a fixed seed.
    pub fn new(entries: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        let mut sorted: Vec<_> = (0..entries)
            .map(|_| {
                let mut key = [0; 16];
                let mut value = [0; 100];
                for part in key.chunks_mut(8).chain(value.chunks_mut(8)) {
                    let random = next(&mut state).to_le_bytes();
                    part.copy_from_slice(&random[..part.len()]);
                }
                (key, value)
            })
            .collect();
        sorted.sort_unstable();
        sorted.dedup_by_key(|entry| entry.0);
        let mut order: Vec<_> = (0..sorted.len() as u32).collect();
        for index in (1..order.len()).rev() {
            let other = next(&mut state) % (index as u64 + 1);
            order.swap(index, other as usize);
        }
        let pick = |from: usize, count: usize| {
            let mut picked = order[from..from + count].to_vec();
            picked.sort_unstable();
            picked
        };
        Self {
            updates: pick(0, 1000),
            scattered: pick(1000, 100),
            keys: order
                .iter()
                .map(|index| sorted[*index as usize].0)
                .collect(),
            order,
            sorted,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// How many bytes all keys and values have.
    pub fn bytes(&self) -> usize {
        self.len() * (16 + 100)
    }

    /// Owned entries in key order.
    pub fn sorted(&self) -> Vec<Pair> {
        self.sorted
            .iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }

    /// Owned entries in random order.
    pub fn shuffled(&self) -> Vec<Pair> {
        self.shuffled_keys()
            .zip(&self.order)
            .map(|(key, index)| (key.to_vec(), self.sorted[*index as usize].1.to_vec()))
            .collect()
    }

    /// All keys in random order.
    pub fn shuffled_keys(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.keys.iter()
    }

    /// A thousand random entries with other values of the same length, in key order.
    pub fn updates(&self) -> Vec<Pair> {
        self.changed(&self.updates)
    }

    /// A hundred more.
    pub fn scattered(&self) -> Vec<Pair> {
        self.changed(&self.scattered)
    }

    fn changed(&self, indices: &[u32]) -> Vec<Pair> {
        indices
            .iter()
            .map(|index| (self.sorted[*index as usize].0.to_vec(), vec![0xa5; 100]))
            .collect()
    }
}
