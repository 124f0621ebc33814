//! Sets: with removal for ever (CRDT-12), where adding wins (CRDT-13), and with counts (CRDT-14).

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{At, Body};
use crate::causal::{Causal, CausalWire};
use crate::counter::PnCounter;
use crate::error::{BadState, OpError};
use crate::item::Item;
use crate::kind::{Kind, Writer};
use crate::lattice::{Join, JoinMap, ascending, later};
use crate::op::Op;
use crate::value::Value;

/// What adds and removes the elements in which two sets differ.
fn changes(from: &BTreeSet<&[u8]>, to: &BTreeSet<&[u8]>) -> Vec<Op> {
    let added = to.difference(from).map(|element| Op::Add(element.to_vec()));
    let gone = from
        .difference(to)
        .map(|element| Op::Remove(element.to_vec()));
    added.chain(gone).collect()
}

/// Whether an element that was added has been removed for ever.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Removed(bool);

impl Join for Removed {
    fn join(&mut self, other: &Self) {
        later(self, other);
    }

    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}

/// A set from which an element is removed for ever.
pub(crate) type TwoPhaseSet = JoinMap<Item, Removed>;

impl TwoPhaseSet {
    fn elements(&self, removed: bool) -> BTreeSet<&[u8]> {
        let elements = self.0.iter().filter(|(_, it)| it.0 == removed);
        elements.map(|(element, _)| element.as_slice()).collect()
    }
}

impl Body for TwoPhaseSet {
    type Wire = (Vec<Item>, Vec<Item>);
    const KIND: Kind = Kind::TwoPhaseSet;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire((there, removed): Self::Wire) -> Result<Self, BadState> {
        let count = there.len() + removed.len();
        for element in there.iter().chain(&removed) {
            element.check()?;
        }
        let mut all = ascending(there.into_iter().map(|it| (it, Removed(false))))?;
        all.extend(ascending(
            removed.into_iter().map(|it| (it, Removed(true))),
        )?);
        if all.len() < count {
            return Err(BadState::Both);
        }
        Ok(Self(all))
    }

    fn to_wire(&self) -> Self::Wire {
        let list = |removed| {
            let elements = self.elements(removed).into_iter();
            elements.map(Item::from).collect()
        };
        (list(false), list(true))
    }

    fn apply_one(&mut self, op: &Op, _at: At) -> Result<bool, OpError> {
        match op {
            Op::Add(element) => match self.0.get(element.as_slice()) {
                Some(Removed(true)) => Err(OpError::RemovedForEver),
                Some(Removed(false)) => Ok(false),
                None => {
                    self.0.insert(element.as_slice().into(), Removed(false));
                    Ok(true)
                }
            },
            Op::Remove(element) => match self.0.get_mut(element.as_slice()) {
                Some(status) if !status.0 => {
                    *status = Removed(true);
                    Ok(true)
                }
                _ => Ok(false),
            },
            _ => Self::refuse(op),
        }
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        Ok(changes(&self.elements(false), &to.elements(false)))
    }

    fn compact(&self, _at: At) -> Result<Self, OpError> {
        let mut there = self.clone();
        there.0.retain(|_, it| !it.0);
        if let (true, Some((least, it))) = (there.0.is_empty(), self.0.first_key_value()) {
            there.0.insert(least.clone(), *it);
        }
        Ok(there)
    }

    fn value(&self) -> Value {
        Value::items(self.elements(false))
    }
}

/// A set where adding wins over removing at the same time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OrSet(Causal);

impl Join for OrSet {
    fn join(&mut self, other: &Self) {
        self.0.join(&other.0);
    }

    fn includes(&self, other: &Self) -> bool {
        self.0.includes(&other.0)
    }

    fn delta(&self, since: &Self) -> Option<Self> {
        self.0.delta(&since.0).map(Self)
    }
}

impl Body for OrSet {
    type Wire = CausalWire;
    const KIND: Kind = Kind::OrSet;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        Causal::from_wire(wire).map(Self)
    }

    fn to_wire(&self) -> Self::Wire {
        self.0.to_wire()
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        match op {
            Op::Add(element) => self.0.add(at.writer, element).map(|()| true),
            Op::Remove(element) => Ok(self.0.remove(element)),
            _ => Self::refuse(op),
        }
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        Ok(changes(&self.0.items(), &to.0.items()))
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        Causal::of(at.writer, self.0.items()).map(Self)
    }

    fn value(&self) -> Value {
        Value::items(self.0.items())
    }
}

/// A set with a count for each element.
pub(crate) type CountedSet = JoinMap<Item, PnCounter>;

impl CountedSet {
    fn sum(&self, element: &[u8]) -> i128 {
        self.0.get(element).map_or(0, PnCounter::sum)
    }

    /// The elements that are there, and how often.
    fn counts(&self) -> BTreeMap<&[u8], i128> {
        let counts = self.0.iter();
        let counts = counts.map(|(element, slots)| (element.as_slice(), slots.sum()));
        counts.filter(|(_, sum)| *sum > 0).collect()
    }

    fn add(&mut self, writer: Writer, element: &[u8], by: i128) -> Result<bool, OpError> {
        if by == 0 {
            return Ok(false);
        }
        match self.0.get_mut(element) {
            Some(slots) => slots.add(writer, by)?,
            None => {
                let mut slots = PnCounter::default();
                slots.add(writer, by)?;
                self.0.insert(element.into(), slots);
            }
        }
        Ok(true)
    }
}

impl Body for CountedSet {
    type Wire = Vec<(Item, Vec<(Writer, u64, u64)>)>;
    const KIND: Kind = Kind::CountedSet;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        let mut all = BTreeMap::new();
        for (element, slots) in ascending(wire)? {
            element.check()?;
            if slots.is_empty() {
                return Err(BadState::Needless);
            }
            all.insert(element, PnCounter::from_wire(slots)?);
        }
        Ok(Self(all))
    }

    fn to_wire(&self) -> Self::Wire {
        let elements = self.0.iter();
        elements
            .map(|(element, slots)| (element.clone(), slots.to_wire()))
            .collect()
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        match op {
            Op::Add(element) => self.add(at.writer, element, 1),
            Op::Remove(element) if self.sum(element) <= 0 => Ok(false),
            Op::Remove(element) => self.add(at.writer, element, -1),
            Op::AddCount(element, by) => self.add(at.writer, element, (*by).into()),
            _ => Self::refuse(op),
        }
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        let (from, to) = (self.counts(), to.counts());
        let elements: BTreeSet<&[u8]> = from.keys().chain(to.keys()).copied().collect();
        let mut ops = Vec::new();
        for element in elements {
            let count = |counts: &BTreeMap<&[u8], i128>| counts.get(element).copied().unwrap_or(0);
            let mut left = count(&to) - count(&from);
            while left != 0 {
                let most = if left > 0 { i64::MAX } else { i64::MIN };
                let step = i64::try_from(left).unwrap_or(most);
                ops.push(Op::AddCount(element.to_vec(), step));
                left -= i128::from(step);
            }
        }
        Ok(ops)
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        let mut all = BTreeMap::new();
        for (element, count) in self.counts() {
            all.insert(element.into(), PnCounter::of(at.writer, count)?);
        }
        if let (true, Some(least)) = (all.is_empty(), self.0.keys().next()) {
            all.insert(least.clone(), PnCounter::of(at.writer, 0)?);
        }
        Ok(Self(all))
    }

    fn value(&self) -> Value {
        let pair = |(element, count): (&[u8], i128)| {
            Value::List(vec![Value::Bytes(element.to_vec()), Value::Integer(count)])
        };
        Value::List(self.counts().into_iter().map(pair).collect())
    }
}
