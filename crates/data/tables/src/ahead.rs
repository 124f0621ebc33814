//! Leaves with their decoded columns, some of them ahead of whoever reads them (TAB-8).

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use allod_sql::{ColumnSet, TableError};
use allod_tree::{Leaf, Leaves};
use allod_views::RecordReader;

use crate::fault::fault;
use crate::leaf::{LeafRows, Reading};
use crate::records::Inner;

/// Leaves that are decoded together at most: a few milliseconds of work, and a few MiB.
const TOGETHER_MAX: usize = 256;

/// Fewer leaves than this are not worth a thread.
const WORTH_A_THREAD: usize = 24;

/// A leaf and what was decoded of it.
pub(crate) struct Decoded {
    pub(crate) leaf: Leaf,
    pub(crate) rows: Arc<LeafRows>,
}

/// The leaves of a scan, decoded on as many threads as there are processors. It begins with one, as many
/// a statement has enough after a few rows.
pub(crate) struct Ahead {
    inner: Arc<Inner>,
    used: ColumnSet,
    leaves: Leaves,
    ready: VecDeque<Decoded>,
    /// How many are decoded next.
    count: usize,
}

impl Ahead {
    pub(crate) fn new(inner: Arc<Inner>, used: ColumnSet, leaves: Leaves) -> Self {
        Self {
            inner,
            used,
            leaves,
            ready: VecDeque::new(),
            count: 1,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Decoded>, TableError> {
        if self.ready.is_empty() {
            self.fill()?;
        }
        Ok(self.ready.pop_front())
    }

    fn fill(&mut self) -> Result<(), TableError> {
        let mut leaves = Vec::new();
        while leaves.len() < self.count
            && let Some(leaf) = self.leaves.next().map_err(fault)?
        {
            let kept = self.inner.kept.get(&self.inner.leaf_name(&leaf));
            leaves.push((leaf, kept));
        }
        self.count = TOGETHER_MAX.min(self.count * 2);
        let is_missing = |(_, kept): &&(Leaf, Option<Arc<LeafRows>>)| {
            kept.as_ref().is_none_or(|rows| !rows.has(self.used))
        };
        let missing = leaves.iter().filter(is_missing).count();
        let threads = match missing / WORTH_A_THREAD {
            0 | 1 => 1,
            // Asking takes as long as decoding some leaves.
            worth => std::thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(worth),
        };
        let mut parts = leaves.chunks(leaves.len().div_ceil(threads).max(1));
        let own = parts.next().unwrap_or_default();
        let decode = |part| decode(&self.inner, self.used, part);
        let decoded = std::thread::scope(|scope| {
            let others: Vec<_> = parts
                .map(|part| scope.spawn(move || decode(part)))
                .collect();
            let mut decoded = decode(own)?;
            for other in others {
                let part = other.join();
                decoded.extend(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(decoded)
        })?;
        let ready = leaves.into_iter().zip(decoded);
        self.ready
            .extend(ready.map(|((leaf, _), rows)| Decoded { leaf, rows }));
        Ok(())
    }
}

/// What is kept of leaves, or is decoded and kept now.
fn decode(
    inner: &Inner,
    used: ColumnSet,
    leaves: &[(Leaf, Option<Arc<LeafRows>>)],
) -> Result<Vec<Arc<LeafRows>>, TableError> {
    let mut reader = RecordReader::new(Some(Arc::clone(&inner.kind)));
    let mut decoded = Vec::with_capacity(leaves.len());
    for (leaf, kept) in leaves {
        if let Some(rows) = kept.as_ref().filter(|rows| rows.has(used)) {
            decoded.push(Arc::clone(rows));
            continue;
        }
        let mut reading = Reading {
            repo: inner.repo(),
            kind: &inner.kind,
            reader: &mut reader,
            prefix: &inner.prefix,
        };
        let node = leaf.node().map_err(fault)?;
        let rows = LeafRows::decode(&node, &mut reading, used, kept.as_deref())?;
        let rows = Arc::new(rows);
        inner.kept.keep(inner.leaf_name(leaf), Arc::clone(&rows));
        decoded.push(rows);
    }
    Ok(decoded)
}
