//! Leaves with their decoded columns, some of them ahead of whoever reads them (TAB-8).

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use allod_sql::{ColumnSet, ShouldStop, TableError};
use allod_tree::{Leaf, Leaves};
use allod_views::RecordReader;

use crate::fault::fault;
use crate::leaf::{LeafRows, Reading};
use crate::records::Inner;
use crate::stored::Stored;

/// Leaves that are decoded together at most: a few milliseconds of work, and a few MiB.
const TOGETHER_MAX: usize = 256;

/// Bytes that are decoded ahead: records that the tree only links to may be much longer than leaves. One
/// leaf is decoded in any case.
const AHEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    stored: Stored,
    stop: ShouldStop,
    /// Leaves that come next.
    waiting: VecDeque<Leaf>,
    ready: VecDeque<Decoded>,
    /// A fault that is met when those that are ready are passed.
    fault: Option<TableError>,
    /// How many are decoded next.
    count: usize,
}

impl Ahead {
    /// Columns of some leaves, which may be all of the type.
    pub(crate) fn new(
        inner: Arc<Inner>,
        used: ColumnSet,
        (leaves, are_all): (Leaves, bool),
        stop: ShouldStop,
    ) -> Self {
        Self {
            stored: Stored::new(&inner, used, are_all),
            inner,
            used,
            leaves,
            stop,
            waiting: VecDeque::new(),
            fault: None,
            ready: VecDeque::new(),
            count: 1,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Decoded>, TableError> {
        if self.ready.is_empty() {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            self.fill()?;
            if self.ready.is_empty() {
                self.stored.save(&self.inner);
            }
        }
        Ok(self.ready.pop_front())
    }

    fn fill(&mut self) -> Result<(), TableError> {
        if (self.stop)() {
            return Err(stopped());
        }
        while self.waiting.len() < self.count
            && let Some(leaf) = self.leaves.next().map_err(fault)?
        {
            self.waiting.push_back(leaf);
        }
        self.count = TOGETHER_MAX.min(self.count * 2);
        let inner = &*self.inner;
        let leaves = &*self.waiting.make_contiguous();
        let mut kept: Vec<Option<Arc<LeafRows>>> = Vec::with_capacity(leaves.len());
        let mut missing = 0;
        for leaf in leaves {
            let name = inner.leaf_name(leaf);
            let mut rows = inner.kept.get(&name);
            let is_whole = |rows: &Arc<LeafRows>| rows.has(self.used);
            if !rows.as_ref().is_some_and(is_whole)
                && let Some(stored) = self.stored.find(inner, leaf, rows.as_deref())
            {
                let stored = Arc::new(stored);
                inner.kept.keep(name, Arc::clone(&stored));
                rows = Some(stored);
            }
            missing += usize::from(!rows.as_ref().is_some_and(is_whole));
            kept.push(rows);
        }
        let threads = match missing / WORTH_A_THREAD {
            0 | 1 => 1,
            // Asking takes as long as decoding some leaves.
            worth => std::thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(worth),
        };
        let length = leaves.len().div_ceil(threads).max(1);
        let bytes = AHEAD_BYTES_MAX / threads;
        let decode = |part| decode(inner, self.used, part, bytes);
        let mut parts = leaves.chunks(length).zip(kept.chunks(length));
        let own = parts.next().unwrap_or_default();
        let decoded = std::thread::scope(|scope| {
            let spawn = |part| {
                let thread = std::thread::Builder::new();
                thread.spawn_scoped(scope, move || decode(part)).ok()
            };
            let others: Vec<_> = parts.map(spawn).collect();
            let mut decoded = vec![decode(own)];
            for other in others.into_iter().map_while(|other| other) {
                let part = other.join();
                decoded.push(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            decoded
        });
        // Up to where one had enough, or met a fault: what others have behind it is kept, and found again.
        for (rows, error) in decoded {
            let is_short = rows.len() < length;
            for rows in rows {
                let Some(leaf) = self.waiting.pop_front() else {
                    break;
                };
                self.stored.pass(&leaf, &rows);
                self.ready.push_back(Decoded { leaf, rows });
            }
            self.fault = error;
            if is_short {
                break;
            }
        }
        match self.fault.take_if(|_| self.ready.is_empty()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

/// What a scan says that was told to stop: whoever told it knows why.
fn stopped() -> TableError {
    TableError::Fault {
        code: "E_FAULT",
        message: "stopped".to_owned(),
    }
}

/// What is kept of leaves, or is decoded and kept now: of those before a fault, and until there are so
/// many bytes.
fn decode(
    inner: &Inner,
    used: ColumnSet,
    (leaves, kept): (&[Leaf], &[Option<Arc<LeafRows>>]),
    bytes_max: usize,
) -> (Vec<Arc<LeafRows>>, Option<TableError>) {
    let mut reader = RecordReader::new(Some(Arc::clone(&inner.kind)));
    let mut decoded = Vec::with_capacity(leaves.len());
    let mut bytes = 0;
    for (leaf, kept) in leaves.iter().zip(kept) {
        if bytes > bytes_max {
            break;
        }
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
        let rows = leaf
            .node()
            .map_err(fault)
            .and_then(|node| LeafRows::decode(&node, &mut reading, used, kept.as_deref()));
        match rows {
            Ok(rows) => {
                let rows = Arc::new(rows);
                bytes += rows.bytes();
                inner.kept.keep(inner.leaf_name(leaf), Arc::clone(&rows));
                decoded.push(rows);
            }
            Err(error) => return (decoded, Some(error)),
        }
    }
    (decoded, None)
}
