//! Elements and values: bytes.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use crate::error::{ITEM_BYTES_MAX, TooLarge};
use crate::lattice::{Join, later};

/// An element or a value. It compares as bytes.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Item(#[serde(with = "serde_bytes")] Vec<u8>);

impl Item {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Refuses one that is too large (CRDT-2).
    pub(crate) fn check(&self) -> Result<(), TooLarge> {
        TooLarge::check(self.0.len(), ITEM_BYTES_MAX)
    }
}

impl Borrow<[u8]> for Item {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Item {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// The bytes of a change of a document. Two with one hash are the same ones.
impl Join for Item {
    fn join(&mut self, other: &Self) {
        later(self, other);
    }

    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}
