//! The records: what an agent says about others, each a statement of at most 1024 bytes (TRUST-1 to TRUST-6).

use std::collections::BTreeMap;

use allod_identity::canonical::{self, CanonicalError};
use allod_identity::text::{LINE_BYTES_MAX, is_line, is_name};
use allod_identity::{
    AgentId, CheckError, DecodeError, DeviceId, Payload, PublicKey, STATEMENT_BYTES_MAX,
    TIME_MS_MAX,
};
use cid::Cid;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// The largest record, in bytes (TRUST-1): content has no room in one, and a quarter of a million of them fit in memory.
pub const RECORD_BYTES_MAX: usize = 1024;

/// Links of evidence at most (TRUST-5): what fits beside a claim.
pub const EVIDENCE_MAX: usize = 8;

/// Records that one [`Keep`] names at most (TRUST-5).
pub const KEEP_MAX: usize = 16;

/// Roles of a circle at most (TRUST-5): what people can tell apart.
pub const ROLES_MAX: usize = 16;

/// What a claim is about. In bytes a map with one member, named after the kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum About {
    /// An agent.
    Agent(AgentId),
    /// A device.
    Device(DeviceId),
    /// A space, by its genesis.
    Space(Cid),
    /// Anything that has a CID.
    Cid(Cid),
}

/// The kinds of [`About`] that this version reads (TRUST-2).
const KINDS: [&str; 4] = ["agent", "device", "space", "cid"];

/// How close two agents are: the greater, the closer.
///
/// It says nothing of who may see what: that is another type, in another crate, and has no order.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// They know of each other.
    Network,
    /// They have a purpose in common.
    Association,
    /// They live or work together.
    Community,
    /// They are relatives, or as close.
    Extended,
    /// They are family, or as close.
    Family,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [
        Self::Network,
        Self::Association,
        Self::Community,
        Self::Extended,
        Self::Family,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Association => "association",
            Self::Community => "community",
            Self::Extended => "extended",
            Self::Family => "family",
        }
    }
}

/// A claim of an agent: the payload of domain `attest`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Who claims it.
    pub by: AgentId,
    /// About whom or what.
    pub about: About,
    /// Of which category it is: a name.
    pub category: String,
    /// What is claimed: a line.
    pub claim: String,
    /// What shows it: at most [`EVIDENCE_MAX`] links, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Cid>,
    /// From when on it is valid, in milliseconds since 1970.
    pub from: u64,
    /// When it ends to be, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When it was said, by the author's clock. Decides nothing.
    pub at: u64,
}

/// That an attestation of somebody else is true: the payload of domain `witness`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Who says so.
    pub by: AgentId,
    /// The attestation.
    pub of: Cid,
    /// When, by the author's clock.
    pub at: u64,
}

/// That a record counts no more: the payload of domain `revoke`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Who says so.
    pub by: AgentId,
    /// The record.
    pub of: Cid,
    /// When, by the author's clock.
    pub at: u64,
    /// Why: a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One half of a relationship: the payload of domain `relation`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Whose half it is.
    pub by: AgentId,
    /// With whom.
    pub with: AgentId,
    /// Of which kind: a name, as `friend`.
    pub kind: String,
    /// How close, as this side sees it.
    pub level: Level,
    /// From when on it is valid, in milliseconds since 1970.
    pub from: u64,
    /// When it ends to be, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When it was said, by the author's clock. Decides nothing.
    pub at: u64,
}

/// The beginning of a circle, which is named by this record: the payload of domain `circle`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circle {
    /// Its owner.
    pub by: AgentId,
    /// What people call it: a line.
    pub name: String,
    /// Its roles, with those that each may admit others to, ascending.
    pub roles: BTreeMap<String, Vec<String>>,
    /// When, by the owner's clock.
    pub at: u64,
}

/// That somebody is a member of a circle: the payload of domain `belong`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Who admits.
    pub by: AgentId,
    /// To which circle.
    pub circle: Cid,
    /// Whom.
    pub member: AgentId,
    /// With which role.
    pub role: String,
    /// From when on it is valid, in milliseconds since 1970.
    pub from: u64,
    /// When it ends to be, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When it was said, by the author's clock. Decides nothing.
    pub at: u64,
}

/// By which records of its own an agent stands, whichever key signed them: the payload of domain `keep`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Who.
    pub by: AgentId,
    /// The records: 1 to [`KEEP_MAX`], ascending.
    pub of: Vec<Cid>,
    /// When, by the author's clock.
    pub at: u64,
}

/// The `about` member of a payload, whatever its kind.
#[derive(Deserialize)]
#[expect(
    clippy::zero_sized_map_values,
    reason = "a set would be read from an array, not from a map"
)]
struct Peek {
    about: BTreeMap<String, IgnoredAny>,
}

impl Payload for Attestation {
    const DOMAIN: &'static str = "attest";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_name(&self.category)?;
        check_line(&self.claim)?;
        check_times(self.at, self.from, self.until)?;
        check_list(self.evidence.len() <= EVIDENCE_MAX && ascend(&self.evidence))
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        canonical::decode(bytes, STATEMENT_BYTES_MAX).map_err(|error| match error {
            // One member whose name is new is a kind of the future; anything else has no shape.
            CanonicalError::Shape if is_of_unknown_kind(bytes) => DecodeError::UnknownKind,
            error => error.into(),
        })
    }
}

/// Whether a canonical payload is about something of a kind that this version does not read.
fn is_of_unknown_kind(bytes: &[u8]) -> bool {
    let peek = serde_ipld_dagcbor::from_slice::<Peek>(bytes);
    peek.is_ok_and(|peek| {
        peek.about.len() == 1 && !peek.about.keys().any(|kind| KINDS.contains(&kind.as_str()))
    })
}

impl Payload for Witness {
    const DOMAIN: &'static str = "witness";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_time(self.at)
    }
}

impl Payload for Revocation {
    const DOMAIN: &'static str = "revoke";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        self.reason.as_deref().map_or(Ok(()), check_line)?;
        check_time(self.at)
    }
}

impl Payload for Relation {
    const DOMAIN: &'static str = "relation";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_name(&self.kind)?;
        check_times(self.at, self.from, self.until)?;
        if self.by == self.with {
            return Err(CheckError::new(
                "E_TRUST_SELF",
                "a relationship is with another agent",
            ));
        }
        Ok(())
    }
}

impl Payload for Circle {
    const DOMAIN: &'static str = "circle";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        self.roles.keys().try_for_each(|role| check_name(role))?;
        check_line(&self.name)?;
        check_time(self.at)?;
        let admits = |roles: &Vec<String>| {
            roles.windows(2).all(|pair| pair[0] < pair[1])
                && roles.iter().all(|role| self.roles.contains_key(role))
        };
        let count = self.roles.len();
        check_list((1..=ROLES_MAX).contains(&count) && self.roles.values().all(admits))
    }
}

impl Payload for Membership {
    const DOMAIN: &'static str = "belong";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_name(&self.role)?;
        check_times(self.at, self.from, self.until)
    }
}

impl Keep {
    /// What keeps all of these records: as many of it as are needed, in their order.
    #[must_use]
    pub fn all(by: AgentId, records: &[Cid], at: u64) -> Vec<Self> {
        let some = records.chunks(KEEP_MAX).map(|some| {
            let mut of = some.to_vec();
            of.sort_unstable_by_key(Cid::to_bytes);
            of.dedup();
            Self { by, of, at }
        });
        some.collect()
    }
}

impl Payload for Keep {
    const DOMAIN: &'static str = "keep";
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        check_time(self.at)?;
        check_list((1..=KEEP_MAX).contains(&self.of.len()) && ascend(&self.of))
    }
}

/// Whether a time is from `from` on and before `until` (TRUST-4).
pub(crate) fn is_valid(from: u64, until: Option<u64>, now: u64) -> bool {
    from <= now && until.is_none_or(|until| now < until)
}

fn check_name(text: &str) -> Result<(), CheckError> {
    if is_name(text) {
        return Ok(());
    }
    Err(CheckError::new(
        "E_TRUST_NAME",
        "a name has 1 to 32 of a-z, 0-9, . and -, and begins with a letter",
    ))
}

fn check_line(text: &str) -> Result<(), CheckError> {
    if is_line(text, LINE_BYTES_MAX) {
        return Ok(());
    }
    Err(CheckError::new(
        "E_TRUST_LINE",
        "a line has 1 to 256 bytes, no control characters, and no blanks around it",
    ))
}

fn check_time(time: u64) -> Result<(), CheckError> {
    if time <= TIME_MS_MAX {
        return Ok(());
    }
    Err(CheckError::new("E_TIME", "the time exceeds 48 bits"))
}

fn check_times(at: u64, from: u64, until: Option<u64>) -> Result<(), CheckError> {
    check_time(at.max(from).max(until.unwrap_or(0)))?;
    if until.is_some_and(|until| until <= from) {
        return Err(CheckError::new(
            "E_TRUST_TIMES",
            "a record ends after it begins",
        ));
    }
    Ok(())
}

fn check_list(is_good: bool) -> Result<(), CheckError> {
    if is_good {
        return Ok(());
    }
    Err(CheckError::new(
        "E_TRUST_LIST",
        "lists ascend, have as many items as there may be, and name what is there",
    ))
}

/// Whether links ascend by their bytes.
fn ascend(links: &[Cid]) -> bool {
    links
        .windows(2)
        .all(|pair| pair[0].to_bytes() < pair[1].to_bytes())
}
