//! The half that compares a tree which it lacks with one that it has (SKETCH-8 to SKETCH-11).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use allod_blocks::{Block, Cid};
use allod_sketch::{CodeError, Decoder, Difference, Sketch};
use allod_tree::{Tree, TreeError};
use bytes::Bytes;

use crate::limits::{MADE_BYTES_MAX, PICKED_FRAME_MAX, PICKED_MAX, SYMBOLS_FRAME_MAX, SYMBOLS_MAX};
use crate::message::Message;
use crate::scan::Scan;

/// How often it asks for symbols.
const TRIES: usize = 3;

/// Elements taken away from symbols in one step.
const STEP: usize = 32_768;

/// Nodes that were made here, and that a walk may ask for.
pub(crate) type Made = BTreeMap<Cid, Block>;

/// A comparison with a tree that the peer has.
#[derive(Debug)]
pub(crate) struct Comparing {
    /// The root of the tree that is wanted.
    root: Cid,
    base: Tree,
    /// The elements of `base`, in the order of its entries.
    elements: Vec<u64>,
    decoder: Decoder,
    tries: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Scan(Box<Scan>),
    /// Symbols are on their way.
    Asked,
    /// Elements up to a place are taken away from the symbols.
    Subtract(usize),
    /// Entries are on their way.
    Picked(Picked),
    /// All came.
    Edit(Picked),
    Over,
}

/// What is to become of the base.
#[derive(Debug)]
struct Picked {
    /// Elements of entries of the base that the tree has not.
    ours: BTreeSet<u64>,
    entries: BTreeMap<Bytes, Bytes>,
    bytes: usize,
    /// How many entries were asked for.
    wanted: usize,
}

/// How far a step came.
pub(crate) enum Progress {
    Wait,
    Again,
    /// It is over: these nodes were made, none if the walk has to do without.
    Over(Made),
}

impl Comparing {
    pub(crate) fn new(root: Cid, base: Tree) -> Self {
        Self {
            root,
            phase: Phase::Scan(Box::new(Scan::new(&base))),
            base,
            elements: Vec::new(),
            decoder: Decoder::default(),
            tries: 0,
        }
    }

    /// Goes on. Bounded work. A fault in reading the base ends it: what is damaged is walked.
    pub(crate) fn step(&mut self, send: &mut Vec<Message>) -> Progress {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Scan(mut scan) => match scan.step() {
                Err(_fault) => return Progress::Over(Made::new()),
                Ok(true) => self.phase = Phase::Scan(scan),
                Ok(false) => {
                    let about = [&scan.leaves_about, &scan.entries_about];
                    send.push(self.ask(about.map(|about| about.encode().into())));
                    self.elements = scan.elements;
                    self.phase = Phase::Asked;
                }
            },
            Phase::Subtract(at) => self.subtract(at, send),
            Phase::Edit(picked) => return Progress::Over(self.edit(picked).unwrap_or_default()),
            Phase::Over => return Progress::Over(Made::new()),
            phase @ (Phase::Asked | Phase::Picked(_)) => {
                self.phase = phase;
                return Progress::Wait;
            }
        }
        Progress::Again
    }

    /// Asks for symbols, from those on that are here. What the base is like was said with the first question.
    fn ask(&mut self, [leaves, entries]: [Bytes; 2]) -> Message {
        self.tries += 1;
        Message::Compare {
            tree: self.root,
            size: self.base.len(),
            leaves,
            entries,
            have: self.decoder.len() as u64,
        }
    }

    /// Takes symbols; `Err` with a code if they may not come now.
    pub(crate) fn symbols(
        &mut self,
        (first, total): (u64, u64),
        symbols: &[u8],
        last: bool,
    ) -> Result<(), &'static str> {
        if !matches!(self.phase, Phase::Asked) {
            return Err("E_ORDER");
        }
        if symbols.is_empty() {
            // There are no more, or a walk is better.
            self.phase = Phase::Over;
            return if last { Ok(()) } else { Err("E_SKETCH") };
        }
        if first != self.decoder.len() as u64 {
            return Err("E_ORDER");
        }
        let most = SYMBOLS_MAX.saturating_sub(self.decoder.len());
        let sketch = Sketch::decode(
            self.decoder.len(),
            total,
            symbols,
            most.min(SYMBOLS_FRAME_MAX),
        );
        let added = sketch.and_then(|sketch| self.decoder.extend(&sketch));
        added.map_err(|_: CodeError| "E_SKETCH")?;
        if last {
            self.phase = Phase::Subtract(0);
        }
        Ok(())
    }

    fn subtract(&mut self, at: usize, send: &mut Vec<Message>) {
        let end = (at + STEP).min(self.elements.len());
        for element in &self.elements[at..end] {
            self.decoder.subtract(*element);
        }
        if end < self.elements.len() {
            self.phase = Phase::Subtract(end);
            return;
        }
        match self.decoder.solve() {
            Some(found) if found.theirs.len() <= PICKED_MAX => {
                let found = std::mem::take(found);
                self.pick(found, send);
            }
            None if self.tries < TRIES => {
                send.push(self.ask(Default::default()));
                self.phase = Phase::Asked;
            }
            _ => self.phase = Phase::Over,
        }
    }

    fn pick(&mut self, found: Difference, send: &mut Vec<Message>) {
        let picked = Picked {
            ours: found.ours.into_iter().collect(),
            entries: BTreeMap::new(),
            bytes: 0,
            wanted: found.theirs.len(),
        };
        if found.theirs.is_empty() {
            self.phase = Phase::Edit(picked);
            return;
        }
        let mut parts: VecDeque<&[u64]> = found.theirs.chunks(PICKED_FRAME_MAX).collect();
        while let Some(part) = parts.pop_front() {
            send.push(Message::Pick {
                elements: part.to_vec(),
                last: parts.is_empty(),
            });
        }
        self.phase = Phase::Picked(picked);
    }

    /// Takes entries that were picked; `Err` with a code if they may not come now.
    pub(crate) fn entries(
        &mut self,
        entries: Vec<(Bytes, Bytes)>,
        last: bool,
    ) -> Result<(), &'static str> {
        let Phase::Picked(picked) = &mut self.phase else {
            return Err("E_ORDER");
        };
        let bytes = entries.iter().map(|(key, entry)| key.len() + entry.len());
        picked.bytes = picked.bytes.saturating_add(bytes.sum::<usize>());
        match picked.wanted.checked_sub(entries.len()) {
            Some(left) => picked.wanted = left,
            // Several entries have one element: the nodes come one by one.
            None => picked.bytes = usize::MAX,
        }
        // Too many to be edited at one go: likewise.
        if picked.bytes <= MADE_BYTES_MAX {
            picked.entries.extend(entries);
        }
        if last {
            let phase = std::mem::replace(&mut self.phase, Phase::Over);
            if let Phase::Picked(picked) = phase
                && picked.bytes <= MADE_BYTES_MAX
            {
                self.phase = Phase::Edit(picked);
            }
        }
        Ok(())
    }

    /// The nodes of the wanted tree that the base has not; none if another tree comes of it.
    fn edit(&self, picked: Picked) -> Result<Made, TreeError> {
        let Picked { ours, entries, .. } = picked;
        let mut edits: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
        for (rank, element) in self.elements.iter().enumerate() {
            if ours.contains(element)
                && let Some((key, _)) = self.base.nth(rank as u64)?
            {
                edits.insert(key, None);
            }
        }
        edits.extend(entries.into_iter().map(|(key, entry)| (key, Some(entry))));
        let (mut made, mut bytes) = (Made::new(), 0);
        let tree = self.base.edit(edits, &mut |block| {
            bytes += block.bytes().len();
            if bytes <= MADE_BYTES_MAX {
                made.insert(*block.cid(), block);
            }
        })?;
        if tree.root() != self.root {
            made.clear();
        }
        Ok(made)
    }
}
