//! Coded symbols of a set.

use std::ops::Range;

use crate::code::{CodeError, put, take, take_bytes};
use crate::element::{Indices, check};

/// Sums over the elements that are mapped to an index (SKETCH-4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Symbol {
    pub(crate) sum: u64,
    pub(crate) check: u32,
    pub(crate) count: i64,
}

impl Symbol {
    /// Adds an element, or with -1 takes it away.
    pub(crate) const fn add(&mut self, element: u64, check: u32, count: i64) {
        self.sum ^= element;
        self.check ^= check;
        self.count = self.count.wrapping_add(count);
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The one element that it has, and whether that is the first set's (1) or the second's (-1).
    pub(crate) const fn alone(&self) -> Option<(u64, i64)> {
        if (self.count == 1 || self.count == -1) && self.check == check(self.sum) {
            Some((self.sum, self.count))
        } else {
            None
        }
    }
}

/// The coded symbols of a set with some consecutive indices.
///
/// Two sketches of one set with neighbouring indices are as good as one with all of them, so a peer may
/// ask for more when what it has is not enough.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sketch {
    first: usize,
    pub(crate) symbols: Vec<Symbol>,
}

impl Sketch {
    /// The symbols of the empty set with these indices.
    #[must_use]
    pub fn new(indices: Range<usize>) -> Self {
        Self {
            first: indices.start,
            symbols: vec![Symbol::default(); indices.len()],
        }
    }

    /// The indices.
    #[must_use]
    pub fn indices(&self) -> Range<usize> {
        self.first..self.first + self.symbols.len()
    }

    /// The same symbols in parts of at most `len`.
    #[must_use]
    pub fn split(self, len: usize) -> Vec<Self> {
        let parts = self.symbols.chunks(len.max(1)).enumerate();
        let part = |(at, symbols): (usize, &[Symbol])| Self {
            first: self.first + at * len,
            symbols: symbols.to_vec(),
        };
        parts.map(part).collect()
    }

    /// Adds an element.
    pub fn add(&mut self, element: u64) {
        self.change(element, 1);
    }

    pub(crate) fn change(&mut self, element: u64, count: i64) {
        let check = check(element);
        let mut indices = Indices::of(element);
        let end = (self.first + self.symbols.len()) as u64;
        loop {
            let index = indices.next();
            if index >= end {
                return;
            }
            let at = index.checked_sub(self.first as u64);
            if let Some(symbol) = at.and_then(|at| self.symbols.get_mut(at as usize)) {
                symbol.add(element, check, count);
            }
        }
    }

    /// The symbols as bytes, for a set of `total` elements (SKETCH-5).
    #[must_use]
    pub fn encode(&self, total: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.symbols.len() * 14);
        for (index, symbol) in self.indices().zip(&self.symbols) {
            put(&mut out, symbol.count.wrapping_sub(expected(total, index)));
            out.extend_from_slice(&symbol.sum.to_be_bytes());
            out.extend_from_slice(&symbol.check.to_be_bytes());
        }
        out
    }

    /// Reads what [`encode`](Self::encode) writes of a sketch from index `first` on, at most `max` symbols.
    pub fn decode(
        first: usize,
        total: u64,
        mut bytes: &[u8],
        max: usize,
    ) -> Result<Self, CodeError> {
        let mut symbols = Vec::new();
        while !bytes.is_empty() {
            if symbols.len() == max {
                return Err(CodeError::TooMany);
            }
            let expected = expected(total, first + symbols.len());
            symbols.push(Symbol {
                count: take(&mut bytes)?.wrapping_add(expected),
                sum: u64::from_be_bytes(take_bytes(&mut bytes)?),
                check: u32::from_be_bytes(take_bytes(&mut bytes)?),
            });
        }
        Ok(Self { first, symbols })
    }
}

/// How many elements of a set are mapped to an index, as may be expected.
fn expected(total: u64, index: usize) -> i64 {
    let expected = 2 * u128::from(total) / (index as u128 + 2);
    expected as i64
}
