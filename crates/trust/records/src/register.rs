//! The records that are known, and which key logs say about their signers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use allod_identity::{
    AgentId, DecodeError, KeyLog, Payload, PublicKey, Signed, Verified, VerifyError,
    canonical::CanonicalError, domain_of,
};
use bytes::Bytes;
use cid::Cid;

use crate::record::{
    Attestation, Circle, Keep, Membership, RECORD_BYTES_MAX, Relation, Revocation, Witness,
};

/// Records held at most: half a gibibyte of memory.
pub const RECORDS_MAX: usize = 262_144;

/// Records of one signer held at most: a public life; and a stranger cannot fill a register with one key.
pub const RECORDS_OF_SIGNER_MAX: usize = 16_384;

/// Why bytes are no record to be believed. Blame: as the errors within say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not the bytes of a record.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The signature does not hold, or the record breaks a rule of its domain.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl RecordError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::Verify(error) => error.code(),
        }
    }
}

/// The register has as many records as it may have, in all or of one signer. Blame: who sent it, or this side.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the register of records is full")]
pub struct RegisterFull;

impl RegisterFull {
    /// The registered error code.
    #[expect(
        clippy::unused_self,
        reason = "all errors tell their code in the same way"
    )]
    #[must_use]
    pub const fn code(self) -> &'static str {
        "E_TRUST_FULL"
    }
}

/// A record of any domain, verified. Copies share what they are copies of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A claim.
    Attest(Arc<Verified<Attestation>>),
    /// That a claim is true.
    Witness(Arc<Verified<Witness>>),
    /// That a record counts no more.
    Revoke(Arc<Verified<Revocation>>),
    /// Half of a relationship.
    Relation(Arc<Verified<Relation>>),
    /// The beginning of a circle.
    Circle(Arc<Verified<Circle>>),
    /// A member of a circle.
    Belong(Arc<Verified<Membership>>),
    /// What its author stands by.
    Keep(Arc<Verified<Keep>>),
}

/// Does the same with the statement of a record, whatever its domain.
macro_rules! of_any {
    ($record:expr, $it:ident => $does:expr) => {
        match $record {
            Record::Attest($it) => $does,
            Record::Witness($it) => $does,
            Record::Revoke($it) => $does,
            Record::Relation($it) => $does,
            Record::Circle($it) => $does,
            Record::Belong($it) => $does,
            Record::Keep($it) => $does,
        }
    };
}

macro_rules! from_verified {
    ($($variant:ident: $payload:ident),*) => {
        $(impl From<Verified<$payload>> for Record {
            fn from(verified: Verified<$payload>) -> Self {
                Self::$variant(Arc::new(verified))
            }
        })*
    };
}

from_verified!(Attest: Attestation, Witness: Witness, Revoke: Revocation, Relation: Relation,
    Circle: Circle, Belong: Membership, Keep: Keep);

fn verified<T: Payload>(bytes: Bytes) -> Result<Verified<T>, RecordError> {
    Ok(Signed::<T>::decode(bytes)?.verify()?)
}

impl Record {
    /// Reads and verifies a record of whichever domain its bytes claim (TRUST-1, TRUST-2).
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, RecordError> {
        let bytes = bytes.into();
        let (got, max) = (bytes.len(), RECORD_BYTES_MAX);
        if got > max {
            return Err(DecodeError::from(CanonicalError::TooLarge { got, max }).into());
        }
        match domain_of(&bytes)? {
            Attestation::DOMAIN => Ok(verified::<Attestation>(bytes)?.into()),
            Witness::DOMAIN => Ok(verified::<Witness>(bytes)?.into()),
            Revocation::DOMAIN => Ok(verified::<Revocation>(bytes)?.into()),
            Relation::DOMAIN => Ok(verified::<Relation>(bytes)?.into()),
            Circle::DOMAIN => Ok(verified::<Circle>(bytes)?.into()),
            Membership::DOMAIN => Ok(verified::<Membership>(bytes)?.into()),
            Keep::DOMAIN => Ok(verified::<Keep>(bytes)?.into()),
            _ => Err(DecodeError::Domain.into()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        of_any!(self, it => it.cid())
    }

    /// Its author.
    #[must_use]
    pub fn by(&self) -> &AgentId {
        of_any!(self, it => &it.payload().by)
    }

    /// The key that signed it.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        of_any!(self, it => it.signer())
    }

    /// The whole statement.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        of_any!(self, it => it.bytes())
    }
}

/// What key logs say about who speaks for whom. Of an agent without a log, its own key alone speaks.
pub trait KeyLogs {
    /// Whether a key speaks for an agent now (IDENT-15): `false` while the agent is frozen.
    fn speaks(&self, agent: &AgentId, key: &PublicKey) -> bool;

    /// Whether the log of an agent ends in an equivocation (TRUST-11).
    fn is_frozen(&self, agent: &AgentId) -> bool;
}

impl KeyLogs for BTreeMap<AgentId, KeyLog> {
    fn speaks(&self, agent: &AgentId, key: &PublicKey) -> bool {
        match self.get(agent) {
            None => agent.key() == key,
            Some(log) => log.speaks(key),
        }
    }

    fn is_frozen(&self, agent: &AgentId) -> bool {
        self.get(agent)
            .is_some_and(|log| log.equivocation().is_some())
    }
}

/// The records that are known: a set, whatever the order in which they came. It keeps them in memory.
#[derive(Clone, Default)]
pub struct Register {
    records: BTreeMap<Cid, Record>,
    of_signer: BTreeMap<PublicKey, usize>,
    /// Signers of whom records were left out; each had all the room that one may have.
    overfull: BTreeSet<PublicKey>,
    is_cut: bool,
    room: Room,
}

/// How many records there may be in all, and of one signer.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) all: usize,
    pub(crate) of_signer: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: RECORDS_MAX,
            of_signer: RECORDS_OF_SIGNER_MAX,
        }
    }
}

impl Register {
    /// One without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One with less room than others, which is full sooner.
    #[cfg(test)]
    pub(crate) fn with_room(room: Room) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Takes a record in; whether it was not known.
    ///
    /// # Errors
    /// [`RegisterFull`] if it would have more than [`RECORDS_MAX`], or [`RECORDS_OF_SIGNER_MAX`] of this signer. What is
    /// said in somebody else's name is held against who signed it. That something was left out is remembered (TRUST-16).
    pub fn add(&mut self, record: impl Into<Record>) -> Result<bool, RegisterFull> {
        let record = record.into();
        if self.records.contains_key(record.cid()) {
            return Ok(false);
        }
        let held = self.of_signer.get(record.signer()).copied().unwrap_or(0);
        if held >= self.room.of_signer {
            self.overfull.insert(*record.signer());
            return Err(RegisterFull);
        }
        if self.records.len() >= self.room.all {
            self.is_cut = true;
            return Err(RegisterFull);
        }
        self.of_signer.insert(*record.signer(), held + 1);
        self.records.insert(*record.cid(), record);
        Ok(true)
    }

    /// Lets a record go, as when the space that had it goes; whether it was there.
    pub fn remove(&mut self, cid: &Cid) -> bool {
        let Some(record) = self.records.remove(cid) else {
            return false;
        };
        if let Some(held) = self.of_signer.get_mut(record.signer()) {
            *held -= 1;
            if *held == 0 {
                self.of_signer.remove(record.signer());
            }
        }
        true
    }

    /// Takes note that records may be missing that nobody could read, as if they had found no room (TRUST-16).
    pub const fn note_missing(&mut self) {
        self.is_cut = true;
    }

    /// Whether a record was ever left out because there were as many as there may be in all (TRUST-16).
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The signers of whom a record was ever left out because there were as many as there may be of one (TRUST-16).
    pub fn overfull(&self) -> impl ExactSizeIterator<Item = &PublicKey> {
        self.overfull.iter()
    }

    /// A record by its name.
    #[must_use]
    pub fn get(&self, cid: &Cid) -> Option<&Record> {
        self.records.get(cid)
    }

    /// All of them, in the order of their names.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.records.values()
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({} records)", self.records.len())
    }
}
