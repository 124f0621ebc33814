//! The elements of a tree, read leaf by leaf.

use allod_sketch::{Estimate, element, element_of_digest};
use allod_tree::{Leaves, Tree, TreeError};

use crate::limits::{ENTRIES_COUNTERS, LEAVES_COUNTERS};

/// Leaves read in one step: some 4,000 entries.
const STEP: usize = 64;

/// What is gathered of a tree that is compared with another (SKETCH-1, SKETCH-6).
#[derive(Debug)]
pub(crate) struct Scan {
    leaves: Leaves,
    /// The elements of its entries, in their order.
    pub(crate) elements: Vec<u64>,
    pub(crate) entries_about: Estimate,
    pub(crate) leaves_about: Estimate,
    pub(crate) entry_bytes: u64,
    pub(crate) leaf_bytes: u64,
    pub(crate) leaf_count: u64,
}

impl Scan {
    pub(crate) fn new(tree: &Tree) -> Self {
        Self {
            leaves: tree.leaves(&[], None),
            elements: Vec::with_capacity(usize::try_from(tree.len()).unwrap_or_default()),
            entries_about: Estimate::new(ENTRIES_COUNTERS),
            leaves_about: Estimate::new(LEAVES_COUNTERS),
            entry_bytes: 0,
            leaf_bytes: 0,
            leaf_count: 0,
        }
    }

    /// Reads on; whether there is more.
    pub(crate) fn step(&mut self) -> Result<bool, TreeError> {
        let mut key = Vec::new();
        for _ in 0..STEP {
            let Some(leaf) = self.leaves.next()? else {
                return Ok(false);
            };
            self.leaves_about
                .add(element_of_digest(leaf.cid().hash().digest()));
            let node = leaf.node()?;
            for index in 0..node.len() {
                if let Some(entry) = node.entry(index, &mut key) {
                    let element = element(&key, entry);
                    self.entries_about.add(element);
                    self.elements.push(element);
                    self.entry_bytes += (key.len() + entry.len()) as u64;
                }
            }
            self.leaf_bytes += node.bytes().len() as u64;
            self.leaf_count += 1;
        }
        Ok(true)
    }
}
