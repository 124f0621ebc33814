//! Guardians: people who together can give an agent a new key (IDENT-40 to IDENT-43).

use std::collections::BTreeSet;

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::chain::Commitment;
use crate::event::{TIME_MS_MAX, check_time};
use crate::key::{AgentId, PublicKey};
use crate::statement::{CheckError, Payload, Signed, Verified};

/// Guardians of an agent at most (IDENT-40): a family; their statements fit one event.
pub const GUARDIANS_MAX: usize = 16;

/// The longest statement of a guardian that an event carries, in bytes (IDENT-40): one that names 16 others has 800.
pub(crate) const CARRIED_BYTES_MAX: usize = 1024;

/// Who can recover an agent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardians {
    /// Their keys, ascending; none if the agent has no guardians.
    pub keys: Vec<PublicKey>,
    /// How many of them are needed.
    pub needed: u64,
    /// How long they have to wait, in milliseconds.
    pub wait: u64,
}

impl Guardians {
    /// Whether it names guardians that can act (IDENT-40), or none.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        let count = self.keys.len();
        let is_none = *self == Self::default();
        let is_ascending = self.keys.windows(2).all(|pair| pair[0] < pair[1]);
        let is_some = (1..=GUARDIANS_MAX).contains(&count)
            && (1..=count as u64).contains(&self.needed)
            && self.wait <= TIME_MS_MAX;
        if is_ascending && (is_none || is_some) {
            return Ok(());
        }
        Err(CheckError::new(
            "E_GUARDIANS",
            "guardians are 1 to 16 keys, ascending, and 1 to as many are needed",
        ))
    }

    /// Whether enough of them said what `is_it` wants; what is no statement of theirs counts for nothing, and costs next
    /// to nothing.
    pub(crate) fn said(&self, said: &[ByteBuf], is_it: impl Fn(&GuardianSays) -> bool) -> bool {
        let mut who = BTreeSet::new();
        for bytes in said.iter().take(GUARDIANS_MAX) {
            let Ok(said) = Signed::<GuardianSays>::decode(Bytes::copy_from_slice(bytes)) else {
                continue;
            };
            let (signer, claim) = said.claims();
            let signer = *signer;
            let counts = self.keys.contains(&signer) && !who.contains(&signer) && is_it(claim);
            if counts && said.verify().is_ok() {
                who.insert(signer);
            }
            if who.len() as u64 >= self.needed {
                return !self.keys.is_empty();
            }
        }
        false
    }
}

/// What a guardian says: the payload of domain `guardian`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardianSays {
    /// About whom.
    pub agent: AgentId,
    /// When, by the guardian's clock, in milliseconds since 1970.
    pub at: u64,
    /// What.
    pub says: Says,
}

/// What a guardian can say. In bytes a map with one member, named after the kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Says {
    /// That the agent has this key from now on; the waiting period begins (IDENT-42).
    Approve {
        /// The new key.
        key: PublicKey,
        /// What commits to the keys after it.
        #[serde(with = "serde_bytes")]
        next: Commitment,
        /// The event after which it is the key.
        prev: Cid,
    },
    /// The same, after the waiting period.
    Confirm {
        /// The new key.
        key: PublicKey,
        /// What commits to the keys after it.
        #[serde(with = "serde_bytes")]
        next: Commitment,
        /// The event after which it is the key.
        prev: Cid,
        /// When the guardian approved, by its clock.
        since: u64,
    },
    /// That others may take the place of the guardians that an event named (IDENT-41).
    Release {
        /// That event.
        named: Cid,
        /// Who takes their place.
        guardians: Guardians,
    },
}

impl Payload for GuardianSays {
    const DOMAIN: &'static str = "guardian";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_time(self.at)?;
        match &self.says {
            Says::Approve { .. } => Ok(()),
            Says::Confirm { since, .. } if *since <= self.at => Ok(()),
            Says::Confirm { .. } => Err(CheckError::new(
                "E_TIME",
                "a confirmation is not before its approval",
            )),
            Says::Release { guardians, .. } => guardians.check(),
        }
    }
}

/// What a key that speaks for an agent says of a recovery: the payload of domain `objection` (IDENT-46).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// The agent.
    pub agent: AgentId,
    /// When, by the clock of whoever says it, in milliseconds since 1970.
    pub at: u64,
    /// The key that is not to become the agent's.
    pub key: PublicKey,
}

impl Payload for Objection {
    const DOMAIN: &'static str = "objection";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_time(self.at)
    }
}

/// The bytes of what guardians said, as an event carries them.
#[must_use]
pub fn carried(said: &[Verified<GuardianSays>]) -> Vec<ByteBuf> {
    let said = said.iter().map(|said| said.bytes().to_vec());
    said.map(ByteBuf::from).collect()
}
