//! What differs, from the symbols of one set and the elements of another.

use crate::code::CodeError;
use crate::element::{Indices, check};
use crate::sketch::{Sketch, Symbol};

/// The elements that one of two sets has alone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference {
    /// Those of the set whose symbols were given.
    pub theirs: Vec<u64>,
    /// Those of the set whose elements were taken away.
    pub ours: Vec<u64>,
}

/// Finds a [`Difference`] (SKETCH-7).
///
/// Give it [`symbols`](Self::extend) of one set, [`subtract`](Self::subtract) every element of the other,
/// then [`solve`](Self::solve); as often as it takes.
#[derive(Clone, Debug)]
pub struct Decoder {
    sketch: Sketch,
    /// Symbols from which nothing was taken away yet.
    fresh: Sketch,
    found: Difference,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            sketch: Sketch::new(0..0),
            fresh: Sketch::new(0..0),
            found: Difference::default(),
        }
    }
}

impl Decoder {
    /// How many symbols it was given.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fresh.indices().end
    }

    /// Whether it was given no symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes symbols that follow those that it has.
    ///
    /// # Errors
    /// [`CodeError::Malformed`] if they do not follow.
    pub fn extend(&mut self, theirs: &Sketch) -> Result<(), CodeError> {
        if theirs.indices().start != self.len() {
            return Err(CodeError::Malformed);
        }
        self.fresh.symbols.extend_from_slice(&theirs.symbols);
        Ok(())
    }

    /// Takes an element of the other set away from what [`extend`](Self::extend) brought since the last
    /// [`solve`](Self::solve).
    pub fn subtract(&mut self, element: u64) {
        self.fresh.change(element, -1);
    }

    /// The difference; `None` if the symbols are not enough for it. Every element of the other set is to be
    /// taken away before.
    pub fn solve(&mut self) -> Option<&mut Difference> {
        for (elements, count) in [(&self.found.theirs, -1), (&self.found.ours, 1)] {
            for element in elements {
                self.fresh.change(*element, count);
            }
        }
        let end = self.len();
        self.sketch.symbols.append(&mut self.fresh.symbols);
        self.fresh = Sketch::new(end..end);
        let mut open: Vec<usize> = (0..end).collect();
        while let Some(index) = open.pop() {
            let Some((element, count)) = self.sketch.symbols[index].alone() else {
                continue;
            };
            if self.found.theirs.len() + self.found.ours.len() >= end {
                // Nobody's symbols have more than that.
                return None;
            }
            let found = if count > 0 {
                &mut self.found.theirs
            } else {
                &mut self.found.ours
            };
            found.push(element);
            let check = check(element);
            let mut indices = Indices::of(element);
            loop {
                let index = indices.next();
                if index >= end as u64 {
                    break;
                }
                let index = index as usize;
                self.sketch.symbols[index].add(element, check, -count);
                if self.sketch.symbols[index].alone().is_some() {
                    open.push(index);
                }
            }
        }
        let is_whole = end > 0 && self.sketch.symbols.iter().all(Symbol::is_zero);
        is_whole.then_some(&mut self.found)
    }
}
