//! The statements that give a right and take it back (ACCESS-2 to ACCESS-6).

use allod_identity::text::{LINE_BYTES_MAX, is_line};
use allod_identity::{AgentId, CheckError, Payload, PublicKey, TIME_MS_MAX};
use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::op::Command;
use crate::policy::Policy;

/// The largest grant, in bytes.
pub const GRANT_BYTES_MAX: usize = 4096;

/// The largest `ungrant`, in bytes: as that of other records.
const UNGRANT_BYTES_MAX: usize = 1024;

/// That an agent may do something in a space: the payload of domain `grant`, as a delegation of UCAN.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who grants.
    #[serde(rename = "iss")]
    pub issuer: AgentId,
    /// Who may.
    #[serde(rename = "aud")]
    pub audience: AgentId,
    /// In which space.
    #[serde(rename = "sub")]
    pub space: Cid,
    /// What.
    #[serde(rename = "cmd")]
    pub command: Command,
    /// Under which conditions.
    #[serde(rename = "pol")]
    pub policy: Policy,
    /// The grant that it rests on; none if the issuer owns the space.
    #[serde(rename = "prf")]
    pub proof: Option<Cid>,
    /// From when on, in milliseconds since 1970.
    #[serde(rename = "nbf")]
    pub not_before: Option<u64>,
    /// Until when.
    #[serde(rename = "exp")]
    pub expires: Option<u64>,
    /// Makes two grants two.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 16],
}

impl Grant {
    /// Whether it is valid at a time.
    #[must_use]
    pub fn is_valid(&self, at: u64) -> bool {
        self.not_before.is_none_or(|from| from <= at) && self.expires.is_none_or(|end| at < end)
    }
}

impl Payload for Grant {
    const DOMAIN: &'static str = "grant";
    const BYTES_MAX: usize = GRANT_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        let (from, end) = (self.not_before, self.expires);
        let is_late = |time: Option<u64>| time.is_some_and(|time| time > TIME_MS_MAX);
        let is_empty = from.is_some_and(|from| end.is_some_and(|end| end <= from));
        if is_late(from) || is_late(end) || is_empty {
            return Err(CheckError::new("E_GRANT_TIMES", "its times are none"));
        }
        if self.issuer == self.audience {
            return Err(CheckError::new("E_GRANT_SELF", "it is for its own issuer"));
        }
        if self.policy.check().is_err() {
            return Err(CheckError::new("E_GRANT_POLICY", "its policy is none"));
        }
        Ok(())
    }
}

/// That a grant is taken back: the payload of domain `ungrant`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ungrant {
    /// When, by the clock of who says so. Decides nothing.
    pub at: u64,
    /// Who takes it back.
    pub by: AgentId,
    /// The grant.
    pub of: Cid,
    /// Why: a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Payload for Ungrant {
    const DOMAIN: &'static str = "ungrant";
    const BYTES_MAX: usize = UNGRANT_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        if self.at > TIME_MS_MAX {
            return Err(CheckError::new("E_TIME", "its time is none"));
        }
        if let Some(reason) = &self.reason
            && !is_line(reason, LINE_BYTES_MAX)
        {
            return Err(CheckError::new("E_TRUST_LINE", "its reason is no line"));
        }
        Ok(())
    }
}
