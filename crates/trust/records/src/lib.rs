//! Signed claims, relationships and circles, which of them count, and policies over them.
//!
//! Spec: `specs/12-trust.md` (TRUST).
//!
//! # What this crate is
//! A [`Record`] is what an agent says about others, signed, in at most 1024 bytes: a claim, half of a relationship, a circle
//! or a member of one. A [`Register`] holds those that are known; [`Counted`] are those that count, by what key logs say of
//! who signed them. [`Graph`] finds by which way an agent is related to another, [`Circles`] who is in which circle. A
//! [`Policy`] says what is taken from whom; a [`World`], which is a [`Moment`] seen by somebody, has the facts that it asks for.
//!
//! # What it is not
//! No storage, no network, no clock: records and times are arguments. It does not say who may see what.
//!
//! # The flow
//! ```text
//! bytes --Record::decode--> Record --Register::add--> Register --Counted::new(key logs)--> Counted
//! Counted --Moment::new(now)--> Moment --World::new(reader)--> World --Policy::evaluate--> Verdict --> Decision
//! ```
//!
//! # Invariants
//! - A `Record` exists only if its signature holds, and it has at most 1024 bytes.
//! - What counts is a function of the set of records, of key logs, and of the time that is asked for.
//! - No time in a record is believed for whether it counts.
//! - A level compares with levels alone. Nothing here has to do with who may see a space.
//! - Of whom a register has left something out nothing counts; and where that may matter, it cannot be told.
//! - What cannot be told, and running out of steps, is never an acceptance; and no empty list is anybody.

mod attested;
mod circles;
mod counted;
mod evaluate;
mod graph;
mod policy;
mod record;
mod register;
mod relationships;
mod unheard;
mod words;
mod world;

pub use crate::circles::{Circles, Member};
pub use crate::counted::{Claim, Claims, Counted};
pub use crate::evaluate::{Answer, Authors, Facts, Ground, STEPS_MAX, Signer, Subject, Verdict};
pub use crate::graph::{DISTANCE_MAX, Graph, Path, Routes, Step, Tie, VOUCH};
pub use crate::policy::{By, Condition, Outcome, POLICY_BYTES_MAX, Policy, PolicyError, Rule};
pub use crate::record::{
    About, Attestation, Circle, EVIDENCE_MAX, KEEP_MAX, Keep, Level, Membership, RECORD_BYTES_MAX,
    ROLES_MAX, Relation, Revocation, Witness,
};
pub use crate::register::{
    KeyLogs, RECORDS_MAX, RECORDS_OF_SIGNER_MAX, Record, RecordError, Register, RegisterFull,
};
pub use crate::relationships::Relationship;
pub use crate::world::{Moment, Predicate, Predicates, World};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
