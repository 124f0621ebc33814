//! How many elements two sets do not share.

use crate::code::{CodeError, put, take};
use crate::element::signs;

/// Counters that one element has signs for at a time.
const WORD: usize = 64;

/// An estimate of a set, to be compared with that of another (SKETCH-6).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Estimate {
    counters: Vec<i64>,
}

impl Estimate {
    /// An estimate of the empty set. With *n* counters the standard deviation of what it tells is the root of
    /// 2 / *n* of that: 12.5 % with 128.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        Self {
            counters: vec![0; counters],
        }
    }

    /// Adds an element.
    pub fn add(&mut self, element: u64) {
        for (word, counters) in self.counters.chunks_mut(WORD).enumerate() {
            let signs = signs(element, word as u64);
            for (bit, counter) in counters.iter_mut().enumerate() {
                *counter += (signs >> bit & 1).cast_signed() * 2 - 1;
            }
        }
    }

    /// About how many elements one of two sets has and the other has not, from estimates with as many
    /// counters.
    #[must_use]
    pub fn difference(&self, other: &Self) -> u64 {
        let pairs = self.counters.iter().zip(&other.counters);
        let squares = pairs.map(|(one, other)| {
            let apart = u128::from(one.abs_diff(*other));
            apart.saturating_mul(apart)
        });
        let sum = squares.fold(0u128, u128::saturating_add);
        u64::try_from(sum / (self.counters.len() as u128).max(1)).unwrap_or(u64::MAX)
    }

    /// The estimate as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for counter in &self.counters {
            put(&mut out, *counter);
        }
        out
    }

    /// Reads what [`encode`](Self::encode) writes of an estimate with this many counters.
    pub fn decode(mut bytes: &[u8], counters: usize) -> Result<Self, CodeError> {
        let mut estimate = Self::new(counters);
        for counter in &mut estimate.counters {
            *counter = take(&mut bytes)?;
        }
        if bytes.is_empty() {
            Ok(estimate)
        } else {
            Err(CodeError::Malformed)
        }
    }
}
