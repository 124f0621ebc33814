//! What was decoded, kept within bounds (TAB-8).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::leaf::LeafRows;

/// Bytes of decoded columns that are kept unless said otherwise: a few columns of a million records.
const BYTES_DEFAULT: usize = 256 * 1024 * 1024;

/// The digest of a leaf, and of what it is read as.
pub(crate) type LeafName = ([u8; 32], [u8; 32]);

/// Decoded leaves, shared by all sessions that are given it. The store of a space is immutable, so what was
/// decoded of a leaf stays right for every state that has the leaf.
///
/// Two generations: when the younger has its half of the room, the elder goes, but for what was used
/// meanwhile.
#[derive(Clone)]
pub struct Kept {
    inner: Arc<Mutex<Generations>>,
}

struct Generations {
    bytes_max: usize,
    bytes: usize,
    young: HashMap<LeafName, Arc<LeafRows>>,
    old: HashMap<LeafName, Arc<LeafRows>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("bytes", &self.lock().bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::with_bytes(BYTES_DEFAULT)
    }
}

impl Kept {
    /// Keeps at most so many bytes.
    #[must_use]
    pub fn with_bytes(bytes_max: usize) -> Self {
        let inner = Generations {
            bytes_max,
            bytes: 0,
            young: HashMap::new(),
            old: HashMap::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, name: &LeafName) -> Option<Arc<LeafRows>> {
        let mut inner = self.lock();
        if let Some(found) = inner.young.get(name) {
            return Some(Arc::clone(found));
        }
        let found = inner.old.remove(name)?;
        inner.keep(*name, Arc::clone(&found));
        Some(found)
    }

    /// Keeps what was decoded; also in the place of less.
    pub(crate) fn keep(&self, name: LeafName, rows: Arc<LeafRows>) {
        self.lock().keep(name, rows);
    }
}

impl Generations {
    fn keep(&mut self, name: LeafName, rows: Arc<LeafRows>) {
        self.bytes += rows.bytes();
        if let Some(before) = self.young.insert(name, rows) {
            self.bytes = self.bytes.saturating_sub(before.bytes());
        }
        if self.bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}
