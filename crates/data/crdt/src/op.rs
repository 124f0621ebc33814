//! What is done to a state.

/// An operation. Each kind has some of them ([`Kind::operations`](crate::Kind::operations)).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new one must be handled everywhere"
)]
pub enum Op {
    /// Adds to a counter.
    Increment(u64),
    /// Takes from a counter.
    Decrement(u64),
    /// Gives a register its value.
    Set(Vec<u8>),
    /// Adds an element to a set; to a counted set, once.
    Add(Vec<u8>),
    /// Removes an element from a set; from a counted set, once. Of one that is not there, nothing.
    Remove(Vec<u8>),
    /// Adds to the sum of an element of a counted set. What the sum is below 0 has to be added again before
    /// the element is there.
    AddCount(Vec<u8>, i64),
    /// Gives a field its value.
    Put(String, Vec<u8>),
    /// Removes a field. Of one that is not there, nothing.
    Delete(String),
    /// Inserts a value before the one with this index, or behind the last one.
    Insert(usize, Vec<u8>),
    /// Removes the value with this index.
    RemoveAt(usize),
}

impl Op {
    /// Its name, as in [`Kind::operations`](crate::Kind::operations).
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Increment(_) => "increment",
            Self::Decrement(_) => "decrement",
            Self::Set(_) => "set",
            Self::Add(_) => "add",
            Self::Remove(_) => "remove",
            Self::AddCount(..) => "add-count",
            Self::Put(..) => "put",
            Self::Delete(_) => "delete",
            Self::Insert(..) => "insert",
            Self::RemoveAt(_) => "remove-at",
        }
    }

    /// The size of the largest item in it.
    pub(crate) fn item_bytes(&self) -> usize {
        match self {
            Self::Increment(_) | Self::Decrement(_) | Self::RemoveAt(_) => 0,
            Self::Set(item)
            | Self::Add(item)
            | Self::Remove(item)
            | Self::AddCount(item, _)
            | Self::Insert(_, item) => item.len(),
            Self::Put(field, value) => field.len().max(value.len()),
            Self::Delete(field) => field.len(),
        }
    }
}
