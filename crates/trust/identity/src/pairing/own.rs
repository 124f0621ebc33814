//! What devices of one agent tell each other: the log of the agent, and its spaces (PAIR-12 to PAIR-17).

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::PairError;
use super::message::{LOG_BYTES_MAX, TEXT_BYTES_MAX, read};
use crate::canonical;
use crate::key::DeviceId;

/// The most spaces that a device tells of, and that come to a home by themselves (PAIR-15): more than a person keeps in
/// mind, and what fits a frame.
pub const OWN_SPACES_MAX: usize = 1024;

/// The most peers that are told of a space (PAIR-15): one of them is reached.
pub const OWN_PEERS_MAX: usize = 4;

/// The most addresses that are told of a peer: as many as are kept of one.
pub const OWN_ADDRS_MAX: usize = 4;

/// The longest address, in bytes: an IPv6 address with its port has 47.
const ADDR_BYTES_MAX: usize = 64;

/// The longest list of spaces, in bytes: 1024 of 1.5 KiB each.
const SPACES_BYTES_MAX: usize = 2_097_152;

/// A space of the agent, as the device that tells of it knows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(into = "Row", from = "Row")]
pub struct OwnSpace {
    /// What it is called there, in at most 256 bytes.
    pub name: String,
    /// Which space it is.
    pub space: Cid,
    /// Peers of it, at most [`OWN_PEERS_MAX`], and where each was reached, at most [`OWN_ADDRS_MAX`] addresses of at most 64
    /// bytes.
    pub peers: Vec<(DeviceId, Vec<String>)>,
}

type Row = (String, Cid, Vec<(DeviceId, Vec<String>)>);

impl From<OwnSpace> for Row {
    fn from(space: OwnSpace) -> Self {
        (space.name, space.space, space.peers)
    }
}

impl From<Row> for OwnSpace {
    fn from((name, space, peers): Row) -> Self {
        Self { name, space, peers }
    }
}

impl OwnSpace {
    fn fits(&self) -> bool {
        let fits = |(_, addrs): &(DeviceId, Vec<String>)| {
            addrs.len() <= OWN_ADDRS_MAX && addrs.iter().all(|addr| addr.len() <= ADDR_BYTES_MAX)
        };
        (1..=TEXT_BYTES_MAX).contains(&self.name.len())
            && self.peers.len() <= OWN_PEERS_MAX
            && self.peers.iter().all(fits)
    }

    /// The same without what is more than is told (PAIR-15); `None` if its name is longer than one may be.
    #[must_use]
    pub fn bounded(mut self) -> Option<Self> {
        for (_, addrs) in &mut self.peers {
            addrs.retain(|addr| addr.len() <= ADDR_BYTES_MAX);
            addrs.truncate(OWN_ADDRS_MAX);
        }
        self.peers.retain(|(_, addrs)| !addrs.is_empty());
        self.peers.truncate(OWN_PEERS_MAX);
        self.fits().then_some(self)
    }
}

/// One message of a device to another one of its agent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OwnMessage {
    /// The key events of the agent that are known.
    Log(Vec<ByteBuf>),
    /// The spaces of the agent that are there; at most [`OWN_SPACES_MAX`].
    Spaces(Vec<OwnSpace>),
}

impl OwnMessage {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let encoded = match self {
            Self::Log(events) => canonical::encode(&(1u64, events)),
            Self::Spaces(spaces) => canonical::encode(&(2u64, spaces)),
        };
        #[expect(clippy::expect_used, reason = "bytes, texts and links encode")]
        encoded.expect("a message encodes").into()
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`PairError::Frame`] for whatever is no message.
    pub fn decode(frame: &[u8]) -> Result<Self, PairError> {
        let message = match frame.get(1) {
            Some(1) => read::<(u64, Vec<ByteBuf>)>(frame, LOG_BYTES_MAX)
                .map(|(_, events)| Self::Log(events)),
            Some(2) => read::<(u64, Vec<OwnSpace>)>(frame, SPACES_BYTES_MAX)
                .map(|(_, spaces)| Self::Spaces(spaces)),
            _ => None,
        };
        let message = message.ok_or(PairError::Frame)?;
        let fits = match &message {
            Self::Log(_) => true,
            Self::Spaces(spaces) => {
                spaces.len() <= OWN_SPACES_MAX && spaces.iter().all(OwnSpace::fits)
            }
        };
        if fits {
            Ok(message)
        } else {
            Err(PairError::Frame)
        }
    }
}
