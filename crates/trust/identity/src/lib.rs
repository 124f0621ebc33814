//! Agents, devices, key logs and signed statements.
//!
//! Spec: `specs/10-statement.md` (STMT), `specs/11-identity.md` (IDENT), `specs/13-did.md` (DID), `specs/42-pairing.md` (PAIR), and
//! decisions of `specs/12-trust.md` (TRUST).
//!
//! # What this crate is
//! A *statement* is the one signed envelope for everything anyone says. [`Signed`] is a statement
//! that was decoded and shows nothing of its payload; [`Verified`] is the proof that its signature
//! was checked over exactly the bytes it keeps. An agent's [`KeyLog`] says which key and which
//! devices speak for it, a [`Keystore`] keeps secret keys at rest, and a [`Kit`] keeps on paper what gives the agent its
//! next key. [`pairing`] is how another device comes to act for the agent.
//!
//! # What it is not
//! No storage, no network, no clock and no source of randomness: seeds, salts, nonces and times are
//! arguments.
//!
//! # The flow
//! ```text
//! payload --Verified::sign--> Verified<T> --bytes()--> a peer
//! bytes --Signed::decode--> Signed<T> --verify--> Verified<T> --KeyLog::learn--> who speaks
//! ```
//!
//! # Invariants
//! - A `Verified` exists only if its signature holds strictly over the bytes it keeps, and its
//!   payload keeps the invariants of its type.
//! - What decodes is the one canonical encoding of what it says, so a statement has one name.
//! - A key is a point of large order in its canonical encoding, so an agent has one name.
//! - A key log is a function of the set of its events: the order in which they came says nothing.
//! - Secret keys are erased when dropped and never appear in debug output.

pub mod canonical;
mod chain;
mod crockford;
mod decision;
mod did;
mod event;
mod fold;
mod guardian;
mod import;
mod key;
mod keylog;
mod keystore;
mod kit;
mod known;
mod link;
pub mod pairing;
mod recovery;
mod secret;
mod statement;
pub mod text;

pub use crate::chain::{Commitment, KeyChain, ROTATIONS_MAX};
pub use crate::decision::{
    DECISION_BYTES_MAX, Decision, DecisionError, DecisionOutcome, What, Who,
};
pub use crate::did::{DidDocument, Service, ServiceError};
pub use crate::event::{DEVICE_NAME_BYTES_MAX, Event, KeyEvent, TIME_MS_MAX};
pub use crate::guardian::{GUARDIANS_MAX, GuardianSays, Guardians, Objection, Says, carried};
pub use crate::import::ImportError;
pub use crate::key::{AgentId, DeviceId, KeyError, PublicKey};
pub use crate::keylog::{
    Device, Equivocation, KEYLOG_BYTES_MAX, KEYLOG_EVENTS_MAX, KeyLog, KeyLogError, Learned, Mark,
    Standing,
};
pub use crate::keystore::{KdfParams, Keystore, KeystoreError};
pub use crate::kit::{Kit, KitError};
pub use crate::known::KnownKeys;
pub use crate::link::{Link, NoLink};
pub use crate::recovery::{RecoveryRequest, RecoveryTextError, said_bytes, said_text};
pub use crate::secret::SecretKey;
pub use crate::statement::{
    CheckError, DecodeError, Payload, STATEMENT_BYTES_MAX, SignError, Signed, Verified,
    VerifyError, domain_of,
};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
