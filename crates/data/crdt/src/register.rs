//! Registers, and maps of fields: of two writes, the later one (CRDT-11).

use crate::body::{At, Body};
use crate::causal::{Causal, CausalWire};
use crate::error::{BadState, ITEM_BYTES_MAX, OpError, TooLarge};
use crate::item::Item;
use crate::kind::{Kind, Writer};
use crate::lattice::{Join, JoinMap, ascending, later};
use crate::op::Op;
use crate::value::Value;

/// What was written last. The order of the members is the order that decides.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Write {
    stamp: u64,
    writer: Writer,
    /// `None` if it was removed.
    value: Option<Item>,
}

impl Write {
    fn new(at: At, value: Option<&[u8]>) -> Self {
        Self {
            stamp: at.stamp,
            writer: at.writer,
            value: value.map(Item::from),
        }
    }

    /// Refuses to write what would not stay.
    fn check(&self, at: At) -> Result<(), OpError> {
        if (at.stamp, at.writer) > (self.stamp, self.writer) {
            return Ok(());
        }
        Err(OpError::OldStamp { newest: self.stamp })
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(Item::as_slice)
    }
}

impl Join for Write {
    fn join(&mut self, other: &Self) {
        later(self, other);
    }

    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}

/// One value: the last that was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LwwRegister(Option<Write>);

impl LwwRegister {
    fn get(&self) -> Option<&[u8]> {
        self.0.as_ref().and_then(Write::value)
    }
}

impl Join for LwwRegister {
    fn join(&mut self, other: &Self) {
        later(&mut self.0, &other.0);
    }

    fn includes(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
}

impl Body for LwwRegister {
    type Wire = (u64, Writer, Item);
    const KIND: Kind = Kind::LwwRegister;

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn from_wire((stamp, writer, value): Self::Wire) -> Result<Self, BadState> {
        value.check()?;
        Ok(Self(Some(Write {
            stamp,
            writer,
            value: Some(value),
        })))
    }

    fn to_wire(&self) -> Self::Wire {
        let write = self.0.clone();
        let parts = write.map(|it| (it.stamp, it.writer, it.value.unwrap_or_default()));
        // An empty body is not encoded.
        parts.unwrap_or((0, Writer([0; 8]), Item::default()))
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        let Op::Set(value) = op else {
            return Self::refuse(op);
        };
        if let Some(last) = &self.0 {
            last.check(at)?;
        }
        self.0 = Some(Write::new(at, Some(value)));
        Ok(true)
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        match to.get() {
            value if value == self.get() => Ok(Vec::new()),
            Some(value) => Ok(vec![Op::Set(value.to_vec())]),
            None => Err(OpError::NoOperation),
        }
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        Ok(Self(self.get().map(|value| Write::new(at, Some(value)))))
    }

    fn value(&self) -> Value {
        Value::Bytes(self.get().unwrap_or_default().to_vec())
    }

    fn newest_stamp(&self) -> Option<u64> {
        self.0.as_ref().map(|write| write.stamp)
    }
}

/// The values that were written without knowing of each other (CRDT-13).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct MvRegister(Causal);

impl Join for MvRegister {
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

impl Body for MvRegister {
    type Wire = CausalWire;
    const KIND: Kind = Kind::MvRegister;

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
        let Op::Set(value) = op else {
            return Self::refuse(op);
        };
        self.0.replace(at.writer, value)?;
        Ok(true)
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        let values = to.0.items();
        if values == self.0.items() {
            return Ok(Vec::new());
        }
        match (values.first(), values.len()) {
            (Some(value), 1) => Ok(vec![Op::Set(value.to_vec())]),
            _ => Err(OpError::NoOperation),
        }
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        Causal::of(at.writer, self.0.items()).map(Self)
    }

    fn value(&self) -> Value {
        Value::items(self.0.items())
    }
}

/// Fields with one value each: the last that was written.
pub(crate) type LwwMap = JoinMap<String, Write>;

impl LwwMap {
    /// The fields that have a value.
    fn shown(&self) -> impl Iterator<Item = (&String, &[u8])> {
        let fields = self.0.iter();
        fields.filter_map(|(field, write)| Some((field, write.value()?)))
    }

    fn get(&self, field: &str) -> Option<&[u8]> {
        self.0.get(field).and_then(Write::value)
    }

    fn write(&mut self, field: &str, at: At, value: Option<&[u8]>) -> Result<bool, OpError> {
        if let Some(last) = self.0.get(field) {
            last.check(at)?;
        }
        self.0.insert(field.to_owned(), Write::new(at, value));
        Ok(true)
    }
}

impl Body for LwwMap {
    type Wire = Vec<(String, u64, Writer, Option<Item>)>;
    const KIND: Kind = Kind::LwwMap;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        for (field, _, _, value) in &wire {
            value.as_ref().map_or(Ok(()), Item::check)?;
            TooLarge::check(field.len(), ITEM_BYTES_MAX)?;
        }
        let field = |(field, stamp, writer, value)| {
            let write = Write {
                stamp,
                writer,
                value,
            };
            (field, write)
        };
        ascending(wire.into_iter().map(field)).map(Self)
    }

    fn to_wire(&self) -> Self::Wire {
        let field =
            |(field, it): (&String, &Write)| (field.clone(), it.stamp, it.writer, it.value.clone());
        self.0.iter().map(field).collect()
    }

    fn apply_one(&mut self, op: &Op, at: At) -> Result<bool, OpError> {
        match op {
            Op::Put(field, value) => self.write(field, at, Some(value)),
            Op::Delete(field) if self.get(field).is_none() => Ok(false),
            Op::Delete(field) => self.write(field, at, None),
            _ => Self::refuse(op),
        }
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        let put = to
            .shown()
            .filter(|(field, value)| self.get(field) != Some(value));
        let put = put.map(|(field, value)| Op::Put(field.clone(), value.to_vec()));
        let gone = self.shown().filter(|(field, _)| to.get(field).is_none());
        let gone = gone.map(|(field, _)| Op::Delete(field.clone()));
        Ok(put.chain(gone).collect())
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        let shown = self.shown();
        let mut fields: Self = JoinMap(
            shown
                .map(|(field, value)| (field.clone(), Write::new(at, Some(value))))
                .collect(),
        );
        if let (true, Some(least)) = (fields.0.is_empty(), self.0.keys().next()) {
            fields.0.insert(least.clone(), Write::new(at, None));
        }
        Ok(fields)
    }

    fn value(&self) -> Value {
        let field =
            |(field, value): (&String, &[u8])| (field.clone(), Value::Bytes(value.to_vec()));
        Value::Map(self.shown().map(field).collect())
    }

    fn newest_stamp(&self) -> Option<u64> {
        self.0.values().map(|write| write.stamp).max()
    }
}
