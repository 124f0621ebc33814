//! Which rows a reader sees (TAB-9).

use std::fmt;

/// Decides, key by key, what a reader sees: asked before a row is given, by every table.
pub trait Visibility: Send + Sync + fmt::Debug {
    /// Whether the reader sees what is under this key.
    fn sees(&self, key: &[u8]) -> bool;

    /// Whether it sees everything. Who does not is given no totals and no words: they tell of rows that
    /// it does not see.
    fn sees_all(&self) -> bool {
        false
    }
}

/// The owner of the store: everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Visibility for Everything {
    fn sees(&self, _key: &[u8]) -> bool {
        true
    }

    fn sees_all(&self) -> bool {
        true
    }
}
