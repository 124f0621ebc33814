//! Counters: a slot for each writer (CRDT-10).

use crate::body::{At, Body};
use crate::error::{BadState, OpError};
use crate::kind::{Kind, Writer};
use crate::lattice::{Join, JoinMap, ascending, later};
use crate::op::Op;
use crate::value::Value;

/// What a writer added in all.
impl Join for u64 {
    fn join(&mut self, other: &Self) {
        later(self, other);
    }

    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}

/// The slots of a counter that only grows.
pub(crate) type GCounter = JoinMap<Writer, u64>;

impl GCounter {
    fn sum(&self) -> i128 {
        // A state has too few slots to exceed this.
        self.0.values().map(|slot| i128::from(*slot)).sum()
    }
}

impl Body for GCounter {
    type Wire = Vec<(Writer, u64)>;
    const KIND: Kind = Kind::GCounter;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        if wire.iter().any(|(_, slot)| *slot == 0) {
            return Err(BadState::Needless);
        }
        ascending(wire).map(Self)
    }

    fn to_wire(&self) -> Self::Wire {
        self.0
            .iter()
            .map(|(writer, slot)| (*writer, *slot))
            .collect()
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        match op {
            Op::Increment(0) => Ok(false),
            Op::Increment(by) => {
                let slot = self.0.entry(at.writer).or_default();
                *slot = slot.checked_add(*by).ok_or(OpError::Overflow)?;
                Ok(true)
            }
            _ => Self::refuse(op),
        }
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        let by = to.sum() - self.sum();
        if by < 0 {
            return Self::refuse(&Op::Decrement(0));
        }
        Ok(steps(by).map(Op::Increment).collect())
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        let sum = u64::try_from(self.sum()).map_err(|_error| OpError::Overflow)?;
        Ok(Self([(at.writer, sum)].into()))
    }

    fn value(&self) -> Value {
        Value::Integer(self.sum())
    }
}

/// A number as a sum of numbers of 64 bits, none of which is 0; its sign is dropped.
fn steps(number: i128) -> impl Iterator<Item = u64> {
    let mut left = number.unsigned_abs();
    std::iter::from_fn(move || {
        let step = u64::try_from(left).unwrap_or(u64::MAX);
        left -= u128::from(step);
        (step > 0).then_some(step)
    })
}

/// What a writer added and took in all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    up: u64,
    down: u64,
}

impl Tally {
    fn sum(self) -> i128 {
        i128::from(self.up) - i128::from(self.down)
    }
}

impl Join for Tally {
    fn join(&mut self, other: &Self) {
        later(&mut self.up, &other.up);
        later(&mut self.down, &other.down);
    }

    fn includes(&self, other: &Self) -> bool {
        self.up >= other.up && self.down >= other.down
    }
}

/// The slots of a counter that goes up and down, or of an element of a counted set.
pub(crate) type PnCounter = JoinMap<Writer, Tally>;

impl PnCounter {
    pub(crate) fn sum(&self) -> i128 {
        // A state has too few slots to exceed this.
        self.0.values().map(|slot| slot.sum()).sum()
    }

    /// Adds to the slot of a writer, or takes from it.
    pub(crate) fn add(&mut self, writer: Writer, by: i128) -> Result<(), OpError> {
        let steps = u64::try_from(by.unsigned_abs()).map_err(|_error| OpError::Overflow)?;
        // Only a slot that is there can overflow.
        let slot = self.0.entry(writer).or_default();
        let side = if by > 0 { &mut slot.up } else { &mut slot.down };
        *side = side.checked_add(steps).ok_or(OpError::Overflow)?;
        Ok(())
    }

    /// A single slot with this sum. That of 0 has gone up once and down once.
    pub(crate) fn of(writer: Writer, sum: i128) -> Result<Self, OpError> {
        let mut slots = Self::default();
        if sum == 0 {
            slots.add(writer, 1)?;
            slots.add(writer, -1)?;
        } else {
            slots.add(writer, sum)?;
        }
        Ok(slots)
    }
}

impl Body for PnCounter {
    type Wire = Vec<(Writer, u64, u64)>;
    const KIND: Kind = Kind::PnCounter;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        if wire.iter().any(|(_, up, down)| (*up, *down) == (0, 0)) {
            return Err(BadState::Needless);
        }
        let slot = |(writer, up, down)| (writer, Tally { up, down });
        ascending(wire.into_iter().map(slot)).map(Self)
    }

    fn to_wire(&self) -> Self::Wire {
        let slots = self.0.iter();
        slots
            .map(|(writer, slot)| (*writer, slot.up, slot.down))
            .collect()
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        let by = match op {
            Op::Increment(by) => i128::from(*by),
            Op::Decrement(by) => -i128::from(*by),
            _ => return Self::refuse(op),
        };
        if by != 0 {
            self.add(at.writer, by)?;
        }
        Ok(by != 0)
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        let by = to.sum() - self.sum();
        let op = if by > 0 { Op::Increment } else { Op::Decrement };
        Ok(steps(by).map(op).collect())
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        Self::of(at.writer, self.sum())
    }

    fn value(&self) -> Value {
        Value::Integer(self.sum())
    }
}
