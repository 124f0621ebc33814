//! The messages of a pairing.

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::PairError;
use crate::canonical;
use crate::event::check_name;
use crate::key::AgentId;

/// The longest frame but a welcome, in bytes.
const FRAME_BYTES_MAX: usize = 1024;

/// The longest welcome, in bytes: a log and its proof (IDENT-14), and the spaces.
const WELCOME_BYTES_MAX: usize = 1_310_720;

/// The longest log that a device tells another one of its agent, in bytes.
pub(super) const LOG_BYTES_MAX: usize = WELCOME_BYTES_MAX;

/// The most spaces that a welcome names: more than anybody has.
pub const SPACES_MAX: usize = 4096;

/// The longest text in a refusal, and name of a space, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256;

/// What a guest begins with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// The agent that the guest acts for.
    pub agent: AgentId,
    /// Its key events, that which adds the guest among them.
    pub events: Vec<ByteBuf>,
    /// What the spaces of the agent are called on the host, and which they are; at most [`SPACES_MAX`].
    pub spaces: Vec<(String, Cid)>,
}

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// The guest's commit, and what it is called.
    Hello {
        /// What binds the guest's nonce.
        commit: [u8; 32],
        /// A device name (IDENT-7).
        name: String,
    },
    /// The host's nonce.
    Nonce([u8; 32]),
    /// The guest's nonce, and its proof.
    Reveal {
        /// What the commit bound.
        nonce: [u8; 32],
        /// That it has the secret.
        proof: [u8; 32],
    },
    /// The host's proof.
    Proof([u8; 32]),
    /// The guest acts for the agent.
    Welcome(Welcome),
    /// The guest needs the host no longer.
    Done,
    /// It ends here.
    Refuse {
        /// The registered code.
        code: String,
        /// The reason in words.
        reason: String,
    },
}

impl Message {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bytes = |bytes: &[u8; 32]| ByteArray::new(*bytes);
        let encoded = match self {
            Self::Hello { commit, name } => canonical::encode(&(1u64, bytes(commit), name)),
            Self::Nonce(nonce) => canonical::encode(&(2u64, bytes(nonce))),
            Self::Reveal { nonce, proof } => canonical::encode(&(3u64, bytes(nonce), bytes(proof))),
            Self::Proof(proof) => canonical::encode(&(4u64, bytes(proof))),
            Self::Welcome(Welcome {
                agent,
                events,
                spaces,
            }) => canonical::encode(&(5u64, agent, events, spaces)),
            Self::Done => canonical::encode(&(6u64,)),
            Self::Refuse { code, reason } => canonical::encode(&(7u64, code, reason)),
        };
        #[expect(clippy::expect_used, reason = "bytes, texts and links encode")]
        encoded.expect("a message encodes").into()
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`PairError::Frame`] for whatever is no message.
    pub fn decode(frame: &[u8]) -> Result<Self, PairError> {
        let number = frame.get(1).copied();
        let bytes_max = if number == Some(5) {
            WELCOME_BYTES_MAX
        } else {
            FRAME_BYTES_MAX
        };
        let message = match number {
            Some(1) => {
                read::<(u64, ByteArray<32>, String)>(frame, bytes_max).map(|(_, commit, name)| {
                    Self::Hello {
                        commit: commit.into_array(),
                        name,
                    }
                })
            }
            Some(2) => read::<(u64, ByteArray<32>)>(frame, bytes_max)
                .map(|(_, nonce)| Self::Nonce(nonce.into_array())),
            Some(3) => read::<(u64, ByteArray<32>, ByteArray<32>)>(frame, bytes_max).map(
                |(_, nonce, proof)| Self::Reveal {
                    nonce: nonce.into_array(),
                    proof: proof.into_array(),
                },
            ),
            Some(4) => read::<(u64, ByteArray<32>)>(frame, bytes_max)
                .map(|(_, proof)| Self::Proof(proof.into_array())),
            Some(5) => read::<(u64, AgentId, Vec<ByteBuf>, Vec<(String, Cid)>)>(frame, bytes_max)
                .map(|(_, agent, events, spaces)| {
                    Self::Welcome(Welcome {
                        agent,
                        events,
                        spaces,
                    })
                }),
            Some(6) => read::<(u64,)>(frame, bytes_max).map(|_| Self::Done),
            Some(7) => read::<(u64, String, String)>(frame, bytes_max)
                .map(|(_, code, reason)| Self::Refuse { code, reason }),
            _ => None,
        };
        let message = message.ok_or(PairError::Frame)?;
        if message.fits() {
            Ok(message)
        } else {
            Err(PairError::Frame)
        }
    }

    fn fits(&self) -> bool {
        match self {
            Self::Hello { name, .. } => check_name(name).is_ok(),
            Self::Welcome(welcome) => {
                let fits = |(name, _): &(String, Cid)| name.len() <= TEXT_BYTES_MAX;
                welcome.spaces.len() <= SPACES_MAX && welcome.spaces.iter().all(fits)
            }
            Self::Refuse { code, reason } => {
                code.len() <= TEXT_BYTES_MAX && reason.len() <= TEXT_BYTES_MAX
            }
            _ => true,
        }
    }
}

pub(super) fn read<T: Serialize + serde::de::DeserializeOwned>(
    frame: &[u8],
    bytes_max: usize,
) -> Option<T> {
    canonical::decode(frame, bytes_max).ok()
}
