//! Whole nodes in a deterministic world: fake clock, seeded network, faulty disk.
//!
//! Specs put to the test: `specs/15-access.md` (ACCESS), `specs/22-repo.md` (REPO), `specs/30-sync.md` (SYNC).
//!
//! # What this crate is
//! A [`World`] has 2 to 25 nodes of up to three agents, linked in some [`Topology`] that changes. Each is a
//! `Repo` on a store that fails on command, with a clock of its own that is off and is set, in sessions with
//! the others over connections that are slow, break, and fall silent. Writers write few keys, so that they
//! meet, and operate on values that join. Some nodes keep a part of the space, and change it; one may be a
//! member with a [`Vice`]. Blocks rot, and are asked for from peers; some fetch apart from their branches, and
//! merge later; a branch is protected. Everything comes from one seed.
//!
//! # What it is not
//! No threads, no sockets, no real time. Races between threads of one process are not found here.
//!
//! # The flow
//! ```text
//! seed --Scenario::of_seed--> Scenario --World::new--> World --run--> Summary or Failure --shrink--> Scenario
//! ```
//!
//! # What is checked
//! - Every acknowledged edit is in the final state of all honest replicas, unless a later stamp took
//!   its place; what was staged and acknowledged survives every crash, whole.
//! - A value that joins shows what was done to it, by the meaning of its kind and by what each writer knew:
//!   no operation is lost, none counts twice, whether it is staged, committed or joined.
//! - Once the nodes have kept in touch along their links for a while, the heads and roots of all honest ones
//!   are equal, running and reopened; of those that keep a part, what they keep.
//! - `Repo::check` finds nothing, and the log of moves leads to the heads without a gap.
//! - What rotted on a node that keeps all comes back as it was, from peers some of which lie about it.
//! - What is fetched moves no branch, and stays until it is fetched again.
//! - A protected branch goes forward with each move, whatever is tried; and once the owner has merged what was
//!   committed apart, all have the same.
//! - Honest nodes never break the protocol with each other, and at the end refuse each other
//!   nothing. What a hostile one does has the code of a refusal or of an end.
//! - In a world about keys ([`run_keys`]): whatever thieves do with devices and keys, honest nodes agree in the end on who
//!   speaks for whom and on what counts, all see a contradiction that one sees, and nobody is locked out.
//! - In a world about rights ([`run_rights`]): whatever is granted, ruled, taken back and dated back, nodes whose persons may
//!   read the same agree, what counts is what a plain reading makes of it, nothing is lost that was written by right, and no
//!   frame that a node hands over has anything in it that its receiver may not read.
//! - No storms: a link has no more sessions than there are commits that one end did not know the other to have,
//!   and of what is written once all have the same, a commit or block crosses a link at most once.
//!
//! # Invariants
//! - The same scenario gives the same trace, byte for byte.

mod apart;
mod breaking;
mod checks;
mod error;
mod guarding;
mod healing;
mod hostile;
mod keys;
mod ledger;
mod meeting;
mod model;
mod node;
mod part;
mod plan;
mod rest;
mod rights;
mod rng;
mod rot;
mod scenario;
mod settle;
mod shrink;
mod staging;
mod summary;
mod topology;
mod trace;
mod traffic;
mod twin;
mod wire;
mod world;
mod writing;

pub use crate::error::Failure;
pub use crate::hostile::Vice;
pub use crate::keys::{KeySummary, run_keys};
pub use crate::model::Rule;
pub use crate::node::Disk;
pub use crate::rights::{RightsSummary, run_rights};
pub use crate::rng::Rng;
pub use crate::scenario::Scenario;
pub use crate::shrink::shrink;
pub use crate::summary::{Rest, Summary};
pub use crate::topology::Topology;
pub use crate::world::{World, run, run_traced};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
