//! The events of an agent's key log (IDENT-4 to IDENT-8).

use std::collections::BTreeMap;

use cid::Cid;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::canonical::{self, CanonicalError};
use crate::chain::Commitment;
use crate::guardian::{CARRIED_BYTES_MAX, GUARDIANS_MAX, Guardians};
use crate::key::{AgentId, DeviceId, PublicKey};
use crate::statement::{CheckError, DecodeError, Payload, STATEMENT_BYTES_MAX};
use crate::text::is_line;

/// The longest device name, in bytes (IDENT-7): a line in a list, in any script.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;

/// The latest time, in milliseconds (IDENT-8): 48 bits, as in every stamp; the year 10889.
pub const TIME_MS_MAX: u64 = (1 << 48) - 1;

/// The event kinds this version reads (IDENT-6).
const KINDS: [&str; 5] = [
    "inception",
    "add-device",
    "remove-device",
    "rotate",
    "recover",
];

/// One entry of an agent's key log: the payload of domain `keylog`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEvent {
    /// Whose log it is.
    pub agent: AgentId,
    /// The position in the log, from 0.
    pub seq: u64,
    /// The name of the event before, `None` at position 0.
    pub prev: Option<Cid>,
    /// What happens.
    pub event: Event,
}

/// What a key event does. In bytes a map with one member, named after the kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Event {
    /// Begins the log and commits to the keys that may replace the present one.
    Inception {
        /// What commits to them.
        #[serde(with = "serde_bytes")]
        next: Commitment,
        /// Who are the guardians, if there are some from the beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guardians: Option<Guardians>,
    },
    /// Lets a device act for the agent.
    AddDevice {
        /// The device.
        device: DeviceId,
        /// What people call it, at most [`DEVICE_NAME_BYTES_MAX`].
        name: String,
        /// When, in milliseconds since 1970.
        at: u64,
    },
    /// Ends that a device acts for the agent, for ever.
    RemoveDevice {
        /// The device.
        device: DeviceId,
        /// When, in milliseconds since 1970.
        at: u64,
    },
    /// Makes the key that signs this event, and was committed to, the agent's.
    Rotate {
        /// What commits to the keys after it.
        #[serde(with = "serde_bytes")]
        next: Commitment,
        /// When, in milliseconds since 1970.
        at: u64,
        /// Who are the guardians from now on, if that changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guardians: Option<Guardians>,
        /// Statements by which guardians let others take their place; none if there were no guardians.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        released: Vec<ByteBuf>,
    },
    /// Makes the key that signs this event the agent's, as its guardians say.
    Recover {
        /// What commits to the keys after it.
        #[serde(with = "serde_bytes")]
        next: Commitment,
        /// When, in milliseconds since 1970.
        at: u64,
        /// Statements by which guardians say so.
        confirmed: Vec<ByteBuf>,
    },
}

impl Event {
    /// Whether it makes another key the agent's, or begins the log.
    #[must_use]
    pub const fn is_establishment(&self) -> bool {
        matches!(
            self,
            Self::Inception { .. } | Self::Rotate { .. } | Self::Recover { .. }
        )
    }

    /// When its signer says that it was, in milliseconds since 1970; what begins a log says nothing. It decides nothing
    /// (IDENT-8).
    #[must_use]
    pub const fn at(&self) -> Option<u64> {
        match self {
            Self::Inception { .. } => None,
            Self::AddDevice { at, .. }
            | Self::RemoveDevice { at, .. }
            | Self::Rotate { at, .. }
            | Self::Recover { at, .. } => Some(*at),
        }
    }
}

/// The `event` member of a payload, whatever its kind.
#[derive(Deserialize)]
#[expect(
    clippy::zero_sized_map_values,
    reason = "a set would be read from an array, not from a map"
)]
struct Peek {
    event: BTreeMap<String, IgnoredAny>,
}

impl Payload for KeyEvent {
    const DOMAIN: &'static str = "keylog";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        let is_inception = matches!(self.event, Event::Inception { .. });
        if (self.seq == 0) != is_inception || (self.seq == 0) != self.prev.is_none() {
            return Err(CheckError::new(
                "E_KEYLOG_FIRST",
                "position 0, no predecessor and inception go together",
            ));
        }
        match &self.event {
            Event::Inception { guardians, .. } => {
                guardians.as_ref().map_or(Ok(()), Guardians::check)
            }
            Event::AddDevice { name, at, .. } => check_name(name).and_then(|()| check_time(*at)),
            Event::RemoveDevice { at, .. } => check_time(*at),
            Event::Rotate {
                at,
                guardians,
                released,
                ..
            } => {
                check_time(*at)?;
                check_carried(released)?;
                if guardians.is_none() && !released.is_empty() {
                    return Err(CheckError::new(
                        "E_GUARDIANS",
                        "guardians are let go for nobody",
                    ));
                }
                guardians.as_ref().map_or(Ok(()), Guardians::check)
            }
            Event::Recover { at, confirmed, .. } => {
                check_time(*at).and_then(|()| check_carried(confirmed))
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() <= STATEMENT_BYTES_MAX && canonical::check(bytes).is_ok() {
            let peek: Peek =
                serde_ipld_dagcbor::from_slice(bytes).map_err(|_error| CanonicalError::Shape)?;
            // One member whose name is new is a kind of the future; anything else has no shape.
            if peek.event.len() == 1 && !peek.event.keys().any(|k| KINDS.contains(&k.as_str())) {
                return Err(DecodeError::UnknownKind);
            }
        }
        Ok(canonical::decode(bytes, STATEMENT_BYTES_MAX)?)
    }
}

pub(crate) fn check_time(at: u64) -> Result<(), CheckError> {
    if at > TIME_MS_MAX {
        return Err(CheckError::new("E_TIME", "the time exceeds 48 bits"));
    }
    Ok(())
}

/// Statements that an event carries: no more than there can be guardians, and none that is longer than theirs are.
fn check_carried(said: &[ByteBuf]) -> Result<(), CheckError> {
    let fits = said.iter().all(|said| said.len() <= CARRIED_BYTES_MAX);
    if said.len() > GUARDIANS_MAX || !fits {
        return Err(CheckError::new(
            "E_GUARDIANS",
            "an event carries at most 16 statements of guardians, of 1024 bytes",
        ));
    }
    Ok(())
}

/// A device name: 1 to 64 bytes, without control characters, not blank at either end (IDENT-7).
pub(crate) fn check_name(name: &str) -> Result<(), CheckError> {
    if is_line(name, DEVICE_NAME_BYTES_MAX) {
        return Ok(());
    }
    Err(CheckError::new(
        "E_DEVICE_NAME",
        "a device name has 1 to 64 bytes, no control characters, and no blanks around it",
    ))
}
