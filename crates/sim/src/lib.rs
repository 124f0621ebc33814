//! Whole nodes in a deterministic world: fake clock, seeded network, faulty disk.
//!
//! Specs put to the test: `specs/22-repo.md` (REPO), `specs/30-sync.md` (SYNC).
//!
//! # What this crate is
//! A [`World`] has three to five nodes of two or three agents. Each is a `Repo` on a store that
//! fails on command, with a clock of its own that is off, in sessions with the others over
//! connections that are slow, break, and fall silent. Writers write few keys, so that they meet.
//! One node may bend every frame it sends. Everything comes from one seed.
//!
//! # What it is not
//! No threads, no sockets, no real time. Races between threads of one process are not found here.
//!
//! # The flow
//! ```text
//! seed --Scenario::of_seed--> Scenario --World::new--> World --run--> Summary or Failure
//! ```
//!
//! # What is checked
//! - Every acknowledged edit is in the final state of all honest replicas, unless a later stamp took
//!   its place; what was staged and acknowledged survives every crash, whole.
//! - Once all honest nodes have talked, their heads and roots are equal, running and reopened.
//! - `Repo::check` finds nothing, and the log of moves leads to the heads without a gap.
//! - Honest nodes never break the protocol with each other, and at the end refuse each other
//!   nothing.
//!
//! # Invariants
//! - The same scenario gives the same trace, byte for byte.

mod checks;
mod error;
mod hostile;
mod model;
mod node;
mod rng;
mod scenario;
mod trace;
mod wire;
mod world;

pub use crate::error::Failure;
pub use crate::model::Rule;
pub use crate::rng::Rng;
pub use crate::scenario::Scenario;
pub use crate::world::{Summary, World, run};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
