//! Content-addressed blocks: names, stores, files and archives.
//!
//! Spec: `specs/20-blocks.md` (BLOCKS).
//!
//! # What this crate is
//! A [`Block`] is bytes together with the CID that names them; it exists only after its hash was
//! checked. A [`Store`] keeps blocks, named references and an append-only log, and changes all
//! three in one atomic, durable [`Batch`]. Files are cut into blocks the way the IPFS tools cut
//! them, and a DAG travels as a CAR archive.
//!
//! # What it is not
//! No network, no history, no meaning of references: those belong to the layers above.
//!
//! # The flow
//! ```text
//! bytes --Block::new / Block::verify--> Block --Batch::put--> Batch --Store::commit--> durable
//! ```
//!
//! # Invariants
//! - A `Block` exists only if its bytes hash to its CID and are at most [`BLOCK_BYTES_MAX`].
//! - `Store::commit` returns only when the whole batch survives a crash, or leaves no trace.
//! - A store never returns bytes that do not hash to the CID asked for.

mod block;
mod car;
pub mod contract;
mod dag_pb;
#[cfg(feature = "fjall")]
mod deferred;
#[cfg(feature = "fjall")]
mod engine;
mod faulty;
mod file;
mod file_range;
#[cfg(feature = "fjall")]
mod files;
#[cfg(feature = "fjall")]
mod fjall;
mod histogram;
#[cfg(feature = "fjall")]
mod journal;
#[cfg(feature = "packing")]
mod lock;
mod marked;
mod memory;
mod metered;
mod name;
#[cfg(feature = "packing")]
mod packed;
#[cfg(feature = "fjall")]
mod packs;
#[cfg(feature = "fjall")]
mod pending;
mod prefix;
#[cfg(feature = "fjall")]
mod redo;
#[cfg(feature = "sled")]
mod sled;
mod store;
#[cfg(any(feature = "fjall", feature = "sled"))]
mod turns;
mod uses;

pub use crate::block::{BLOCK_BYTES_MAX, Block, BlockError, Codec, sha256_cid};
pub use crate::car::{
    CarError, CarInfo, block_links, cbor_links, export_car, export_car_with, import_car,
};
pub use crate::dag_pb::PbError;
pub use crate::faulty::{Fault, FaultyStore};
pub use crate::file::{
    FILE_DEPTH_MAX, FileError, FileIndex, FileInfo, FileProfile, add_file, file_index, file_links,
    file_size, read_file,
};
pub use crate::file_range::FileRange;
#[cfg(feature = "fjall")]
pub use crate::fjall::FjallStore;
pub use crate::histogram::{Histogram, Latency};
pub use crate::marked::Marked;
pub use crate::memory::MemoryStore;
pub use crate::metered::{MeteredStore, Metrics, Operation, Ticks};
pub use crate::name::{NameError, parse_cid, proto_uri};
#[cfg(feature = "packing")]
pub use crate::packed::{BadCompression, Compression, Packing, UnpackError};
pub use crate::prefix::prefix_end;
#[cfg(feature = "sled")]
pub use crate::sled::SledStore;
pub use crate::store::{
    Aside, Batch, BatchOutcome, Decide, Expect, Garbage, LOG_REMOVED_MAX, LogEntry,
    REF_NAME_BYTES_MAX, REF_VALUE_BYTES_MAX, RefEdit, Store, StoreError, StoreErrorKind,
    StoreStats, Swept,
};
pub use crate::uses::{Changed, Collecting, Hold, Removing, Uses};
pub use cid::Cid;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
