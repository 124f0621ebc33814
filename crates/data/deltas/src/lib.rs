//! Deltas of RhizomeDB: what they are, which of them count, and what they say.
//!
//! Spec: `specs/50-deltas.md` (DELTA).
//!
//! # What this crate is
//! A [`Delta`] says something about objects, once and for ever. A [`DeltaStore`] keeps deltas: in memory
//! ([`MemoryDeltas`]) or on a branch of a space ([`SpaceDeltas`]). [`visible`] tells which of them nobody
//! took back. A [`HyperView`] has those around an object by property, as a [`HyperSchema`] asks for;
//! [`ViewSchema`] makes one value of each property, and [`Materialized`] keeps views up to date. [`tell`] says what a
//! branch has as deltas, and [`bring`] makes entries of what deltas say.
//!
//! # What it is not
//! No network: deltas travel by `allod-federation`, or with their space. It has no clock, and believes no
//! author whose signature it did not check.
//!
//! # The flow
//! ```text
//! JSON --Delta::decode--> Delta --append--> DeltaStore --HyperView::of--> HyperView --resolve--> values
//!                           |--verify--> VerifiedDelta
//! ```
//!
//! # Invariants
//! - A [`Delta`] exists only if it is valid; a [`VerifiedDelta`] only if its author signed it.
//! - What a set of deltas says does not depend on the order in which they came, nor on how often.
//! - A stranger's deltas take bounded memory and time per call, and no recursion.

mod bring;
mod contract;
mod delta;
mod filter;
mod hyperview;
pub mod json;
mod keys;
mod materialized;
mod memory;
mod negation;
mod number;
mod pointer;
mod primitive;
mod resolve;
mod schema;
mod schema_deltas;
mod signature;
mod space;
mod store;
mod subscription;
mod tell;
mod told;

pub use crate::bring::{Bringing, Brought, Refused, bring, bring_again, bring_while};
pub use crate::contract::{ContractBroken, check_store};
pub use crate::delta::{DELTA_BYTES_MAX, Delta, DeltaError, POINTERS_MAX};
pub use crate::filter::{DeltaFilter, FILTER_LIST_MAX, FilterError, TimestampRange};
pub use crate::hyperview::{HyperView, Looking, Metadata, ViewError, ViewedDelta};
pub use crate::materialized::Materialized;
pub use crate::memory::MemoryDeltas;
pub use crate::negation::{MayNegate, visible};
pub use crate::number::{Number, NumberError};
pub use crate::pointer::{NAME_BYTES_MAX, Pointer, Reference, Target};
pub use crate::primitive::Primitive;
pub use crate::resolve::{Resolving, Strategy, ViewSchema, ViewValue};
pub use crate::schema::{HyperSchema, On, Pattern, SchemaError, Schemas, Select, Transform};
pub use crate::schema_deltas::{META_SCHEMA, ReadSchemaError, SELECT_BY_TARGET_CONTEXT};
pub use crate::signature::{DeltaSignError, NotVerified, VerifiedDelta};
pub use crate::space::SpaceDeltas;
pub use crate::store::{
    Appended, Arrivals, BadCursor, Conflict, Cursor, DeltaStore, PAGE_MAX, Page, Place, StoreFault,
    scan_visible,
};
pub use crate::subscription::{BEHIND_WARNING, Subscription};
pub use crate::tell::{Told, tell, tell_while};
pub use crate::told::{delta_of_commit, delta_of_entry, negation_of, object_of};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
