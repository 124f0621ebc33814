//! Joining a space by ticket (SYNC-20, SYNC-21).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use allod_access::Principal;
use allod_blocks::{Batch, Expect, REF_VALUE_BYTES_MAX, Store};
use allod_identity::{AgentId, DeviceId, canonical};
use allod_repo::{Agents, Author, Granting, Part, Rejected, Repo, RepoError, SpaceId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::FRAME_BYTES_MAX;

const TICKET_PREFIX: &str = "allod-ticket:";

/// The longest ticket, in characters: 8 addresses of 256 bytes and the rest.
const TICKET_CHARS_MAX: usize = 4096;

/// The most addresses in a ticket.
const ADDRS_MAX: usize = 8;

const CHECKSUM_BYTES: usize = 4;

/// What somebody needs to join a space: where to ask, whom to expect there, and a bearer secret.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Addresses of the node that issued it.
    pub addrs: Vec<String>,
    /// The key of that node.
    pub device: DeviceId,
    /// The secret.
    #[serde(with = "serde_bytes")]
    pub secret: [u8; 16],
    /// The space.
    pub space: SpaceId,
}

/// A text is not a ticket. Blame: whoever copied it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It does not begin like one.
    #[error("a ticket begins with {TICKET_PREFIX}")]
    Prefix,
    /// A character was lost or changed.
    #[error("the ticket is damaged; copy it again, whole")]
    Damaged,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("addrs", &self.addrs)
            .field("device", &self.device)
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// The ticket as text, to be handed over where nobody listens.
    #[must_use]
    pub fn to_text(&self) -> String {
        #[expect(clippy::expect_used, reason = "texts, bytes and a link encode")]
        let mut bytes = canonical::encode(self).expect("a ticket encodes");
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest[..CHECKSUM_BYTES]);
        format!(
            "{TICKET_PREFIX}{}",
            multibase::encode(multibase::Base::Base32Lower, bytes)
        )
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let body = text
            .strip_prefix(TICKET_PREFIX)
            .ok_or(TicketError::Prefix)?;
        if body.len() > TICKET_CHARS_MAX || !body.starts_with('b') {
            return Err(TicketError::Damaged);
        }
        let (_, bytes) = multibase::decode(body).map_err(|_error| TicketError::Damaged)?;
        let end = bytes
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .ok_or(TicketError::Damaged)?;
        let (content, checksum) = bytes.split_at(end);
        if Sha256::digest(content)[..CHECKSUM_BYTES] != *checksum {
            return Err(TicketError::Damaged);
        }
        let ticket: Self =
            canonical::decode(content, TICKET_CHARS_MAX).map_err(|_error| TicketError::Damaged)?;
        if ticket.addrs.len() > ADDRS_MAX {
            return Err(TicketError::Damaged);
        }
        Ok(ticket)
    }
}

/// Asks to join.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Who joins.
    pub agent: AgentId,
    /// Its key log.
    pub events: Vec<ByteBuf>,
    /// The secret of the ticket.
    #[serde(with = "serde_bytes")]
    pub secret: [u8; 16],
    /// The space.
    pub space: SpaceId,
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinRequest({} to {})", self.agent, self.space)
    }
}

/// The answer to a request to join.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JoinReply {
    /// The joiner is a member now.
    Welcome(Welcome),
    /// It is not.
    Refused {
        /// The registered code.
        code: String,
        /// The reason in words.
        reason: String,
    },
}

/// What a new member begins with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// The genesis of the space.
    pub genesis: ByteBuf,
    /// The key logs of its owner and members.
    pub logs: Vec<(AgentId, Vec<ByteBuf>)>,
}

/// A frame of the joining stream is malformed. Blame: the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the frame is malformed")]
pub struct JoinFrameError;

impl JoinRequest {
    /// The request as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        #[expect(clippy::expect_used, reason = "bytes and links encode")]
        canonical::encode(&(1u64, self))
            .expect("a request encodes")
            .into()
    }

    /// Reads a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, JoinFrameError> {
        match canonical::decode::<(u64, Self)>(frame, FRAME_BYTES_MAX) {
            Ok((1, request)) => Ok(request),
            _ => Err(JoinFrameError),
        }
    }
}

impl JoinReply {
    /// The reply as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let encoded = match self {
            Self::Welcome(welcome) => canonical::encode(&(2u64, welcome)),
            Self::Refused { code, reason } => canonical::encode(&(3u64, code, reason)),
        };
        #[expect(clippy::expect_used, reason = "bytes and texts encode")]
        encoded.expect("a reply encodes").into()
    }

    /// Reads a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, JoinFrameError> {
        if let Ok((2, welcome)) = canonical::decode::<(u64, Welcome)>(frame, FRAME_BYTES_MAX) {
            return Ok(Self::Welcome(welcome));
        }
        match canonical::decode::<(u64, String, String)>(frame, FRAME_BYTES_MAX) {
            Ok((3, code, reason)) => Ok(Self::Refused { code, reason }),
            _ => Err(JoinFrameError),
        }
    }

    /// The answer to whoever may not join, whatever the cause: an unknown space, a wrong or expired
    /// ticket, and a device that does not act for the agent look alike (SYNC-20).
    #[must_use]
    pub fn no_such_ticket() -> Self {
        Self::refused(
            "E_TICKET",
            "the ticket is not known here or has expired; ask for a new one",
        )
    }

    fn refused(code: &str, reason: &str) -> Self {
        Self::Refused {
            code: code.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// The tickets that a node issued. Only their digests are kept.
#[derive(Clone, Debug)]
pub struct Tickets {
    store: Arc<dyn Store>,
}

impl Tickets {
    /// The tickets in a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Notes a ticket that is valid until `expires_ms`, and what whoever joins with it is granted; without, it makes a member
    /// (SYNC-22).
    pub fn issue(
        &self,
        space: SpaceId,
        secret: &[u8; 16],
        expires_ms: u64,
        gives: Option<&Granting>,
    ) -> Result<(), RepoError> {
        let digest = Sha256::digest(secret);
        let mut value = [&digest[..], &expires_ms.to_be_bytes()].concat();
        if let Some(gives) = gives {
            let gives = canonical::encode(gives);
            value
                .extend(gives.map_err(|_error| RepoError::Damaged("what a ticket gives is none"))?);
        }
        let mut batch = Batch::new();
        batch.set_ref(reference(space, &digest), Expect::Any, Some(value));
        let _outcome = self.store.commit(batch)?;
        Ok(())
    }

    /// What the ticket for the space with this secret gives, if there is one that is valid at `now_ms`.
    pub fn find(
        &self,
        space: SpaceId,
        secret: &[u8; 16],
        now_ms: u64,
    ) -> Result<Option<Gives>, RepoError> {
        let digest = Sha256::digest(secret);
        // Half of the digest finds the ticket, the comparison of the whole takes constant time.
        let Some(value) = self.store.get_ref(&reference(space, &digest))? else {
            return Ok(None);
        };
        let Some((kept, rest)) = value.split_at_checked(32) else {
            return Ok(None);
        };
        let same: bool = kept.ct_eq(&digest[..]).into();
        let Some((expires, gives)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        if !same || now_ms >= u64::from_be_bytes(*expires) {
            return Ok(None);
        }
        if gives.is_empty() {
            return Ok(Some(Gives::Membership));
        }
        let gives = canonical::decode(gives, REF_VALUE_BYTES_MAX);
        let gives = gives.map_err(|_error| RepoError::Damaged("what a ticket gives"))?;
        Ok(Some(Gives::Grants(gives)))
    }
}

/// What a ticket gives.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gives {
    /// Whoever joins becomes a member.
    Membership,
    /// Whoever joins is granted this.
    Grants(Granting),
}

fn reference(space: SpaceId, digest: &[u8]) -> Vec<u8> {
    [b"ticket/", &space.cid().to_bytes()[..], b"/", &digest[..16]].concat()
}

/// Answers a request to join `repo`'s space that came from `peer` (SYNC-20).
pub fn admit(
    repo: &Repo,
    tickets: &Tickets,
    peer: &DeviceId,
    request: &JoinRequest,
    owner: Author<'_>,
    now_ms: u64,
) -> Result<JoinReply, RepoError> {
    let agent = request.agent;
    let events: Vec<Bytes> = request
        .events
        .iter()
        .map(|event| Bytes::copy_from_slice(event))
        .collect();
    let acts = acts_for(repo.agents(), &agent, &events, peer)?;
    if !acts {
        return Ok(JoinReply::no_such_ticket());
    }
    let gives = tickets.find(repo.id(), &request.secret, now_ms)?;
    let is_known = repo.authorizer()?.knows(&Principal::agent(agent), now_ms);
    if gives.is_none() && !is_known {
        return Ok(JoinReply::no_such_ticket());
    }
    match repo.agents().learn(&agent, &events) {
        Ok(()) => {}
        Err(Rejected::Fault(fault)) => return Err(fault),
        Err(Rejected::Refused(refusal)) => {
            return Ok(JoinReply::refused(refusal.code(), &refusal.to_string()));
        }
    }
    let given = match gives {
        Some(Gives::Membership) => repo.add_member(&agent, owner, now_ms).map(drop),
        // The same grants, however often somebody joins with one ticket.
        Some(Gives::Grants(gives)) if !repo.is_member(&agent)? => {
            let mut seed = [0; 16];
            let digest = Sha256::new_with_prefix(TICKET_SEED);
            let digest = digest.chain_update(request.secret).finalize();
            seed.copy_from_slice(&digest[..16]);
            repo.grant(agent, &gives, &seed, owner, now_ms).map(drop)
        }
        _ => Ok(()),
    };
    match given {
        Err(error) => match error.refusal() {
            Some(refusal) => Ok(JoinReply::refused(refusal.code(), &refusal.to_string())),
            None => Err(error),
        },
        Ok(()) => welcome(repo).map(JoinReply::Welcome),
    }
}

/// What the grants of a ticket are made from, with its secret.
const TICKET_SEED: &[u8] = b"allod/ticket-grant/1\0";

/// What a member of the space begins with.
fn welcome(repo: &Repo) -> Result<Welcome, RepoError> {
    let mut logs = Vec::new();
    for agent in repo.people()? {
        let log = repo.agents().key_log(&agent)?;
        let events = log.known().map(|event| event.bytes().to_vec().into());
        logs.push((agent, events.collect()));
    }
    Ok(Welcome {
        genesis: repo.genesis().bytes().to_vec().into(),
        logs,
    })
}

/// Keeps the space that a welcome describes, or a part of it, if it is the one asked for (SYNC-21).
pub fn enter(
    agents: &Agents,
    space: SpaceId,
    welcome: &Welcome,
    part: Option<&Part>,
) -> Result<Repo, Rejected> {
    let genesis = Bytes::copy_from_slice(&welcome.genesis);
    let name = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, &genesis);
    if SpaceId::from_cid(name) != space {
        return Err(allod_repo::Refusal::WrongSpace.into());
    }
    for (agent, events) in &welcome.logs {
        let events: Vec<Bytes> = events
            .iter()
            .map(|event| Bytes::copy_from_slice(event))
            .collect();
        agents.learn(agent, &events)?;
    }
    Repo::adopt_part(Arc::clone(agents.store()), genesis, part)
}

/// Whether `device` speaks for `agent`, by what is known here of it and these events; nothing is kept of them.
fn acts_for(
    agents: &Agents,
    agent: &AgentId,
    events: &[Bytes],
    device: &DeviceId,
) -> Result<bool, RepoError> {
    match agents.with(agent, events) {
        Ok(log) => Ok(log.speaks(device.key())),
        Err(Rejected::Refused(_)) => Ok(false),
        Err(Rejected::Fault(fault)) => Err(fault),
    }
}
