//! How a device comes to act for an agent: two devices in one person's hands (PAIR).
//!
//! Spec: `specs/42-pairing.md`. [`Offer`] and [`Host`] are the side that shows a [`PairingCode`], [`Guest`] the side that is
//! given it. Both are machines without I/O: a frame goes in, a [`HostStep`] or [`GuestStep`] comes out. Nonces, times and what
//! a person says are arguments. [`OwnMessage`] is what devices of one agent tell each other from then on.
//!
//! # Invariants
//! - Neither side gives out digits before the other has proved that it has the secret (PAIR-7).
//! - What is hashed has the device keys that the transport proved: what is passed on by somebody else proves nothing.

mod code;
mod message;
mod own;

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use self::code::PairingCode;
pub use self::message::{Message, SPACES_MAX, Welcome};
pub use self::own::{OWN_ADDRS_MAX, OWN_PEERS_MAX, OWN_SPACES_MAX, OwnMessage, OwnSpace};
use crate::key::DeviceId;

/// How long a code is good, in milliseconds (PAIR-3): to walk to the other room.
pub const CODE_MS: u64 = 10 * 60 * 1000;

/// How often a code may be tried (PAIR-3).
pub const TRIES: u32 = 3;

/// The one-time secret of a code: 72 random bits.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(pub [u8; 9]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a pairing came to nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// A text is no code. Blame: whoever typed it.
    #[error("this is no pairing code; compare it character by character")]
    Code,
    /// A message that is malformed or out of turn. Blame: the peer.
    #[error("the other device does not keep to the protocol")]
    Frame,
    /// The other side does not have the code. Blame: the peer.
    #[error(
        "the other device does not have this code: it is another node, or the code is not its latest one"
    )]
    Proof,
    /// No code waits, or not any more. Blame: nobody.
    #[error("no code is waiting there, or it has expired; make another one")]
    Expired,
    /// Another device is being paired with the code. Blame: nobody.
    #[error("another device is being paired with this code")]
    Busy,
    /// The person said no.
    #[error("the person at the other device said that the digits differ")]
    Digits,
    /// The other side cannot go on, for a reason of its own.
    #[error("the other device could not go on; it says there why")]
    Fault,
    /// The device acts for an agent already.
    #[error("that device acts for an agent already")]
    Taken,
    /// The other side said so.
    #[error("{reason}")]
    Refused {
        /// The registered code.
        code: String,
        /// The reason that it gave.
        reason: String,
    },
}

impl PairError {
    /// The registered error code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Code => "E_PAIR_CODE",
            Self::Frame => "E_PAIR_FRAME",
            Self::Proof => "E_PAIR_PROOF",
            Self::Expired => "E_PAIR_EXPIRED",
            Self::Busy => "E_PAIR_BUSY",
            Self::Digits => "E_PAIR_DIGITS",
            Self::Fault => "E_PAIR_FAULT",
            Self::Taken => "E_PAIR_TAKEN",
            Self::Refused { code, .. } => code,
        }
    }

    /// What the other side is told.
    #[must_use]
    pub fn refusal(&self) -> Bytes {
        let (code, reason) = (self.code().to_owned(), self.to_string());
        Message::Refuse { code, reason }.encode()
    }
}

/// The six digits that both devices show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digits(u32);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// What both sides know of a pairing.
#[derive(Clone, Debug)]
struct Parties {
    host: DeviceId,
    guest: DeviceId,
    name: String,
}

impl Parties {
    fn commit(&self, nonce: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"allod/pair/commit/1\0")
            .chain_update(self.host.key().as_bytes())
            .chain_update(self.guest.key().as_bytes())
            .chain_update(nonce)
            .chain_update(&self.name)
            .finalize()
            .into()
    }

    fn transcript(&self, host: &[u8; 32], guest: &[u8; 32]) -> Transcript {
        let digest = Sha256::new()
            .chain_update(b"allod/pair/1\0")
            .chain_update(self.host.key().as_bytes())
            .chain_update(self.guest.key().as_bytes())
            .chain_update(host)
            .chain_update(guest)
            .chain_update(&self.name)
            .finalize();
        Transcript(digest.into())
    }
}

#[derive(Clone, Copy, Debug)]
struct Transcript([u8; 32]);

impl Transcript {
    fn proof(&self, of: &[u8], secret: &Secret) -> [u8; 32] {
        Sha256::new()
            .chain_update(of)
            .chain_update(secret.0)
            .chain_update(self.0)
            .finalize()
            .into()
    }

    fn guest(&self, secret: &Secret) -> [u8; 32] {
        self.proof(b"allod/pair/guest/1\0", secret)
    }

    fn host(&self, secret: &Secret) -> [u8; 32] {
        self.proof(b"allod/pair/host/1\0", secret)
    }

    fn digits(&self) -> Digits {
        let digest = Sha256::new()
            .chain_update(b"allod/pair/digits/1\0")
            .chain_update(self.0)
            .finalize();
        let first = digest.first_chunk().copied().unwrap_or_default();
        Digits((u64::from_be_bytes(first) % 1_000_000) as u32)
    }
}

fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// A code that waits for a guest: how long, and how often it may be tried (PAIR-3, PAIR-8).
#[derive(Debug)]
pub struct Offer {
    secret: Secret,
    device: DeviceId,
    expires_ms: u64,
    tries: u32,
    is_busy: bool,
}

impl Offer {
    /// A code of the host `device` that begins to wait at `now_ms`.
    #[must_use]
    pub const fn new(secret: Secret, device: DeviceId, now_ms: u64) -> Self {
        Self {
            secret,
            device,
            expires_ms: now_ms.saturating_add(CODE_MS),
            tries: TRIES,
            is_busy: false,
        }
    }

    /// When it has waited long enough, in milliseconds since 1970.
    #[must_use]
    pub const fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// Begins a pairing with a device that dialled, which costs a try: from the host's nonce whoever is on the line knows the
    /// digits, and could hang up and begin anew until they suit. It has to be [ended](Self::end).
    ///
    /// # Errors
    /// [`PairError::Expired`], [`PairError::Busy`].
    pub fn begin(
        &mut self,
        guest: DeviceId,
        nonce: [u8; 32],
        now_ms: u64,
    ) -> Result<Host, PairError> {
        if self.tries == 0 || now_ms >= self.expires_ms {
            return Err(PairError::Expired);
        }
        if self.is_busy {
            return Err(PairError::Busy);
        }
        self.is_busy = true;
        self.tries -= 1;
        Ok(Host {
            secret: self.secret.clone(),
            device: self.device,
            guest,
            nonce,
            phase: HostPhase::Hello,
        })
    }

    /// A pairing ended, and so others may begin. Whether the code may be tried again.
    pub fn end(&mut self, outcome: Result<(), &PairError>) -> bool {
        self.is_busy = false;
        let is_over = match outcome {
            Ok(()) | Err(PairError::Digits) => true,
            // The person at the guest says so.
            Err(PairError::Refused { code, .. }) => code == PairError::Digits.code(),
            Err(_) => false,
        };
        if is_over {
            self.tries = 0;
        }
        self.tries > 0
    }
}

/// The side that showed the code.
#[derive(Debug)]
pub struct Host {
    secret: Secret,
    device: DeviceId,
    guest: DeviceId,
    nonce: [u8; 32],
    phase: HostPhase,
}

#[derive(Debug)]
enum HostPhase {
    Hello,
    Reveal { parties: Parties, commit: [u8; 32] },
    Asking,
    Welcomed,
    Over,
}

/// What a host does next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HostStep {
    /// Send this frame.
    Send(Bytes),
    /// Send this frame, show the digits and ask the person; then [`Host::welcome`], or send a
    /// [refusal](PairError::refusal).
    Ask {
        /// The frame.
        frame: Bytes,
        /// What both devices show.
        digits: Digits,
        /// What the guest calls itself.
        name: String,
    },
    /// The guest has all that it needs.
    Done,
}

impl Host {
    /// The device that dialled.
    #[must_use]
    pub const fn guest(&self) -> DeviceId {
        self.guest
    }

    /// Takes a frame of the guest. After an error it is over.
    ///
    /// # Errors
    /// [`PairError::Frame`], [`PairError::Proof`], and [`PairError::Refused`] if the guest gave up.
    pub fn handle(&mut self, frame: &[u8]) -> Result<HostStep, PairError> {
        let phase = std::mem::replace(&mut self.phase, HostPhase::Over);
        match (phase, Message::decode(frame)?) {
            (HostPhase::Hello, Message::Hello { commit, name }) => {
                let parties = Parties {
                    host: self.device,
                    guest: self.guest,
                    name,
                };
                self.phase = HostPhase::Reveal { parties, commit };
                Ok(HostStep::Send(Message::Nonce(self.nonce).encode()))
            }
            (HostPhase::Reveal { parties, commit }, Message::Reveal { nonce, proof }) => {
                let transcript = parties.transcript(&self.nonce, &nonce);
                let is_bound = same(&parties.commit(&nonce), &commit);
                if !is_bound || !same(&transcript.guest(&self.secret), &proof) {
                    return Err(PairError::Proof);
                }
                self.phase = HostPhase::Asking;
                Ok(HostStep::Ask {
                    frame: Message::Proof(transcript.host(&self.secret)).encode(),
                    digits: transcript.digits(),
                    name: parties.name,
                })
            }
            (HostPhase::Welcomed, Message::Done) => Ok(HostStep::Done),
            (HostPhase::Hello, _) => Err(PairError::Frame),
            (_, Message::Refuse { code, reason }) => Err(PairError::Refused { code, reason }),
            _ => Err(PairError::Frame),
        }
    }

    /// The frame that lets the guest in, once the person said that the digits are the same.
    ///
    /// # Errors
    /// [`PairError::Frame`] at any other time.
    pub fn welcome(&mut self, welcome: Welcome) -> Result<Bytes, PairError> {
        if !matches!(self.phase, HostPhase::Asking) {
            return Err(PairError::Frame);
        }
        self.phase = HostPhase::Welcomed;
        Ok(Message::Welcome(welcome).encode())
    }
}

/// The side that is given the code.
#[derive(Debug)]
pub struct Guest {
    secret: Secret,
    parties: Parties,
    nonce: [u8; 32],
    phase: GuestPhase,
}

#[derive(Clone, Copy, Debug)]
enum GuestPhase {
    Nonce,
    Proof(Transcript),
    Welcome,
    Over,
}

/// What a guest does next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GuestStep {
    /// Send this frame.
    Send(Bytes),
    /// Show the digits, and wait for the host.
    Show(Digits),
    /// It is let in.
    Welcome(Welcome),
}

impl Guest {
    /// The guest `guest`, called `name`, that reached the device `host`; with the frame to send first.
    #[must_use]
    pub fn new(
        secret: Secret,
        (guest, name): (DeviceId, &str),
        host: DeviceId,
        nonce: [u8; 32],
    ) -> (Self, Bytes) {
        let name = name.to_owned();
        let parties = Parties { host, guest, name };
        let commit = parties.commit(&nonce);
        let name = parties.name.clone();
        let guest = Self {
            secret,
            parties,
            nonce,
            phase: GuestPhase::Nonce,
        };
        (guest, Message::Hello { commit, name }.encode())
    }

    /// Takes a frame of the host. After an error it is over.
    ///
    /// # Errors
    /// [`PairError::Frame`], [`PairError::Proof`], and [`PairError::Refused`] if the host says no.
    pub fn handle(&mut self, frame: &[u8]) -> Result<GuestStep, PairError> {
        let phase = std::mem::replace(&mut self.phase, GuestPhase::Over);
        match (phase, Message::decode(frame)?) {
            (GuestPhase::Over, _) => Err(PairError::Frame),
            (_, Message::Refuse { code, reason }) => Err(PairError::Refused { code, reason }),
            (GuestPhase::Nonce, Message::Nonce(nonce)) => {
                let transcript = self.parties.transcript(&nonce, &self.nonce);
                self.phase = GuestPhase::Proof(transcript);
                let (nonce, proof) = (self.nonce, transcript.guest(&self.secret));
                Ok(GuestStep::Send(Message::Reveal { nonce, proof }.encode()))
            }
            (GuestPhase::Proof(transcript), Message::Proof(proof)) => {
                if !same(&transcript.host(&self.secret), &proof) {
                    return Err(PairError::Proof);
                }
                self.phase = GuestPhase::Welcome;
                Ok(GuestStep::Show(transcript.digits()))
            }
            (GuestPhase::Welcome, Message::Welcome(welcome)) => Ok(GuestStep::Welcome(welcome)),
            _ => Err(PairError::Frame),
        }
    }
}
