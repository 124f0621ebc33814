//! The half that answers a peer which compares a tree with its own (SKETCH-8 to SKETCH-10).

use std::collections::{BTreeSet, VecDeque};

use allod_blocks::Cid;
use allod_sketch::{Estimate, Sketch};
use allod_tree::Tree;
use bytes::Bytes;

use crate::limits::{
    CHANGES_FRAME_BYTES, COMPARED_MAX, PICKED_MAX, SYMBOLS_FRAME_MAX, SYMBOLS_MAX,
};
use crate::message::Message;
use crate::scan::Scan;
use crate::session::Fault;

/// Elements added to symbols, or looked for, in one step.
const STEP: usize = 32_768;

/// What an entry costs besides itself: its symbols, and its element in a pick.
const ENTRY_OVERHEAD_BYTES: u64 = 70;

/// What the peer asks to be compared.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) tree: Cid,
    pub(crate) size: u64,
    pub(crate) leaves: Estimate,
    pub(crate) entries: Estimate,
    /// Symbols that the peer has.
    pub(crate) have: u64,
}

/// A tree that the peer compares, and what is under way for it.
#[derive(Debug, Default)]
pub(crate) struct Sketching {
    /// The tree that was scanned last, and its elements.
    scanned: Option<(Tree, Scan)>,
    /// Symbols of it that were sent.
    sent: usize,
    picked: BTreeSet<u64>,
    task: Task,
    ready: VecDeque<Message>,
}

#[derive(Debug, Default)]
enum Task {
    #[default]
    None,
    Scan {
        tree: Tree,
        scan: Box<Scan>,
        asked: Box<Asked>,
    },
    /// Elements up to a place are in the symbols.
    Fill { sketch: Sketch, at: usize },
    /// Those of the picked elements that are before a place are found, and sent as entries.
    Answer {
        at: usize,
        entries: Vec<(Bytes, Bytes)>,
        bytes: usize,
    },
}

impl Sketching {
    /// Whether there is work that needs no input.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.task, Task::None) || !self.ready.is_empty()
    }

    /// Says that a walk is the way; `Err` with a code if that may not be now.
    pub(crate) fn decline(&mut self) -> Result<(), &'static str> {
        if self.is_busy() {
            return Err("E_ORDER");
        }
        *self = Self::default();
        self.ready.push_back(walk());
        Ok(())
    }

    /// Begins to compare; `Err` with a code if that may not be now.
    pub(crate) fn compare(&mut self, tree: Tree, asked: Asked) -> Result<(), &'static str> {
        if self.is_busy() {
            return Err("E_ORDER");
        }
        let same = self.scanned.as_ref();
        if asked.have > 0 {
            let is_next = same.is_some_and(|(known, _)| known.root() == asked.tree)
                && asked.have == self.sent as u64;
            if !is_next {
                return Err("E_ORDER");
            }
            self.fill(self.sent / 2 + 1);
            return Ok(());
        }
        let (own, other) = (tree.len(), asked.size);
        if own > COMPARED_MAX || own.max(other) > own.min(other).saturating_mul(2) {
            return self.decline();
        }
        *self = Self::default();
        let scan = Box::new(Scan::new(&tree));
        let asked = Box::new(asked);
        self.task = Task::Scan { tree, scan, asked };
        Ok(())
    }

    /// Takes elements whose entries the peer lacks; `Err` with a code if they may not come now.
    pub(crate) fn pick(&mut self, elements: Vec<u64>, last: bool) -> Result<(), &'static str> {
        if self.is_busy() || self.sent == 0 {
            return Err("E_ORDER");
        }
        self.picked.extend(elements);
        if self.picked.len() > PICKED_MAX {
            return Err("E_LIMIT");
        }
        if last {
            self.task = Task::Answer {
                at: 0,
                entries: Vec::new(),
                bytes: 0,
            };
        }
        Ok(())
    }

    /// The next message, if there is one. Bounded work.
    pub(crate) fn poll(&mut self) -> Result<Option<Message>, Fault> {
        if self.ready.is_empty() {
            self.task = match std::mem::take(&mut self.task) {
                Task::None => Task::None,
                Task::Scan { tree, scan, asked } => self.scan(tree, scan, asked)?,
                Task::Fill { sketch, at } => self.add(sketch, at),
                Task::Answer { at, entries, bytes } => self.answer(at, entries, bytes)?,
            };
        }
        Ok(self.ready.pop_front())
    }

    fn scan(&mut self, tree: Tree, mut scan: Box<Scan>, asked: Box<Asked>) -> Result<Task, Fault> {
        if scan.step()? {
            return Ok(Task::Scan { tree, scan, asked });
        }
        let symbols = symbols_for(&scan, &asked);
        self.scanned = Some((tree, *scan));
        match symbols {
            None => {
                *self = Self::default();
                self.ready.push_back(walk());
            }
            Some(symbols) => self.fill(symbols),
        }
        Ok(std::mem::take(&mut self.task))
    }

    /// Begins to make `more` symbols.
    fn fill(&mut self, more: usize) {
        let end = (self.sent + more).min(SYMBOLS_MAX);
        let sketch = Sketch::new(self.sent..end);
        self.task = Task::Fill { sketch, at: 0 };
    }

    fn add(&mut self, mut sketch: Sketch, at: usize) -> Task {
        let elements = self.scanned.iter().flat_map(|(_, scan)| &scan.elements);
        let mut added = 0;
        for element in elements.skip(at).take(STEP) {
            sketch.add(*element);
            added += 1;
        }
        if added == STEP {
            let at = at + added;
            return Task::Fill { sketch, at };
        }
        let total = (at + added) as u64;
        self.sent = sketch.indices().end;
        let parts = sketch.split(SYMBOLS_FRAME_MAX);
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            self.ready.push_back(Message::Sketch {
                total,
                first: part.indices().start as u64,
                symbols: part.encode(total).into(),
                last: index + 1 == count,
            });
        }
        if count == 0 {
            self.ready.push_back(walk());
        }
        Task::None
    }

    fn answer(
        &mut self,
        mut at: usize,
        mut entries: Vec<(Bytes, Bytes)>,
        mut bytes: usize,
    ) -> Result<Task, Fault> {
        let Some((tree, scan)) = &self.scanned else {
            return Ok(Task::None);
        };
        for element in scan.elements.iter().skip(at).take(STEP) {
            let rank = at as u64;
            at += 1;
            if !self.picked.contains(element) {
                continue;
            }
            let Some((key, entry)) = tree.nth(rank)? else {
                continue;
            };
            if bytes > 0 && bytes + key.len() + entry.len() > CHANGES_FRAME_BYTES {
                self.ready.push_back(Message::Entries {
                    entries: std::mem::take(&mut entries),
                    last: false,
                });
                bytes = 0;
            }
            bytes += key.len() + entry.len();
            entries.push((key, entry));
        }
        if at < scan.elements.len() {
            return Ok(Task::Answer { at, entries, bytes });
        }
        let last = true;
        self.ready.push_back(Message::Entries { entries, last });
        // The peer goes on with what it got; a second pick is out of order.
        self.scanned = None;
        self.sent = 0;
        self.picked.clear();
        Ok(Task::None)
    }
}

/// What says that nodes are better.
const fn walk() -> Message {
    Message::Sketch {
        total: 0,
        first: 0,
        symbols: Bytes::new(),
        last: true,
    }
}

/// How many symbols a peer is sent; `None` if it is to walk (SKETCH-9).
fn symbols_for(scan: &Scan, asked: &Asked) -> Option<usize> {
    let entries = scan.entries_about.difference(&asked.entries);
    let leaves = scan.leaves_about.difference(&asked.leaves);
    let average = |bytes: u64, count: usize| bytes / (count as u64).max(1);
    let entry = average(scan.entry_bytes, scan.elements.len()) + ENTRY_OVERHEAD_BYTES;
    let leaf = average(scan.leaf_bytes, scan.leaf_count as usize);
    if leaves.saturating_mul(leaf) < entries.saturating_mul(entry) {
        return None;
    }
    let symbols = entries.saturating_mul(9) / 4 + 16;
    usize::try_from(symbols)
        .ok()
        .filter(|symbols| *symbols <= SYMBOLS_MAX)
}
