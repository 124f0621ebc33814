//! What each kind has to tell of itself.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{BadState, OpError};
use crate::kind::{Kind, Writer};
use crate::lattice::Join;
use crate::op::Op;
use crate::value::Value;

/// By whom something is done, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) writer: Writer,
    pub(crate) stamp: u64,
}

/// The body of a state: what was done in its epoch.
pub(crate) trait Body: Join + Default + Eq {
    /// The shape of its encoding.
    type Wire: Serialize + DeserializeOwned;

    /// The kind.
    const KIND: Kind;

    /// Whether nothing was done.
    fn is_empty(&self) -> bool;

    /// Reads what was encoded. It has to be in the one form that [`Body::to_wire`] gives (CRDT-1). What reads
    /// as empty is refused by whoever calls this.
    fn from_wire(wire: Self::Wire) -> Result<Self, BadState>;

    /// What is encoded.
    fn to_wire(&self) -> Self::Wire;

    /// Does operations; says whether that changed something. After an error of one operation the body is as
    /// it was; after one of several it is of no use.
    fn apply(&mut self, ops: &[Op], at: At) -> Result<bool, OpError> {
        let mut has_changed = false;
        for op in ops {
            has_changed |= self.apply_one(op, at)?;
        }
        Ok(has_changed)
    }

    /// Does an operation, as [`Body::apply`] does several.
    fn apply_one(&mut self, op: &Op, _at: At) -> Result<bool, OpError> {
        Self::refuse(op)
    }

    /// The operations that lead from the value of this body to that of another.
    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError>;

    /// A body with the same value and nothing else. This one is not empty.
    fn compact(&self, at: At) -> Result<Self, OpError>;

    /// What is shown. The body is not empty.
    fn value(&self) -> Value;

    /// The greatest stamp of a write.
    fn newest_stamp(&self) -> Option<u64> {
        None
    }

    /// Says that the kind does not have an operation.
    fn refuse<T>(op: &Op) -> Result<T, OpError> {
        Err(OpError::NoSuchOperation {
            kind: Self::KIND,
            operation: op.name(),
        })
    }
}
