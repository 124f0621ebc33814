//! An agent's key log: the chain of events that says which devices act for it (IDENT-9 to IDENT-15).

use std::collections::BTreeMap;

use cid::Cid;
use sha2::{Digest as _, Sha256};

use crate::event::{Event, KeyEvent};
use crate::key::{AgentId, DeviceId, PublicKey};
use crate::secret::SecretKey;
use crate::statement::{SignError, Verified};

/// The most events one log may have (IDENT-14).
///
/// 1024: a new device every week for twenty years. A log of that length is about 330 kB to fetch,
/// which fits a frame, and 40 ms to verify, which is what a stranger can make a node do by naming
/// an agent; the names of its events fit a reference.
pub const KEYLOG_EVENTS_MAX: usize = 1024;

/// Why an event does not extend a log. Blame: the event's signer, but for `Gap` and `OtherAgent`
/// (whoever sent it) and `Sign` (the caller).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyLogError {
    /// An event of another agent's log (IDENT-9).
    #[error("an event of another agent's log")]
    OtherAgent,
    /// Not signed by the key that is current at its position (IDENT-10).
    #[error("not signed by the agent's current key")]
    Signer,
    /// Events between the log's end and this one are missing (IDENT-11).
    #[error("position {got} does not follow; the log has {len} events")]
    Gap {
        /// The event's position.
        got: u64,
        /// How many events the log has.
        len: u64,
    },
    /// Does not name the event before it (IDENT-11).
    #[error("does not name the event before it")]
    Prev,
    /// Adds a device that the log has already (IDENT-12).
    #[error("the device is in the log already")]
    DuplicateDevice,
    /// The log has [`KEYLOG_EVENTS_MAX`] events (IDENT-14).
    #[error("the log has reached its limit of {KEYLOG_EVENTS_MAX} events")]
    Full,
    /// The agent signed two different events for one position (IDENT-13).
    #[error("the agent signed two different events for position {}", .0.seq())]
    Equivocation(Box<Equivocation>),
    /// The event could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl KeyLogError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherAgent => "E_KEYLOG_AGENT",
            Self::Signer => "E_KEYLOG_SIGNER",
            Self::Gap { .. } => "E_KEYLOG_GAP",
            Self::Prev => "E_KEYLOG_PREV",
            Self::DuplicateDevice => "E_KEYLOG_DUPLICATE",
            Self::Full => "E_KEYLOG_FULL",
            Self::Equivocation(_) => "E_EQUIVOCATION",
            Self::Sign(error) => error.code(),
        }
    }
}

/// Two different events that one agent signed for one position of its log: a proof that it, or
/// whoever has its key, deceives (IDENT-13). Anyone can check it again from the two statements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Equivocation {
    first: Verified<KeyEvent>,
    second: Verified<KeyEvent>,
}

impl Equivocation {
    /// The proof, if the two statements are one: same signer, same agent, same position, different
    /// events.
    #[must_use]
    pub fn new(first: Verified<KeyEvent>, second: Verified<KeyEvent>) -> Option<Self> {
        let (a, b) = (first.payload(), second.payload());
        let same_place = first.signer() == second.signer() && a.agent == b.agent && a.seq == b.seq;
        (same_place && first.cid() != second.cid()).then_some(Self { first, second })
    }

    /// Whose log it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.first.payload().agent
    }

    /// The position.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.first.payload().seq
    }

    /// The two statements: the one known first, and the one that contradicts it.
    #[must_use]
    pub const fn statements(&self) -> [&Verified<KeyEvent>; 2] {
        [&self.first, &self.second]
    }
}

/// A device that may act for an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// When it was added by the agent's clock, in milliseconds since 1970.
    pub at: u64,
    /// The position of the event that added it.
    pub seq: u64,
}

/// The events of one agent, in order, each checked against those before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyLog {
    agent: AgentId,
    events: Vec<Verified<KeyEvent>>,
    devices: BTreeMap<DeviceId, Device>,
    equivocation: Option<Box<Equivocation>>,
}

impl KeyLog {
    /// The empty log: an agent that is only its key.
    #[must_use]
    pub const fn new(agent: AgentId) -> Self {
        Self {
            agent,
            events: Vec::new(),
            devices: BTreeMap::new(),
            equivocation: None,
        }
    }

    /// Begins a log and commits to the key that may replace `key` (IDENT-5).
    pub fn inception(key: &SecretKey, next: &PublicKey) -> Result<Self, KeyLogError> {
        let mut log = Self::new(key.agent_id());
        let next = Sha256::digest(next.as_bytes()).into();
        log.say(key, Event::Inception { next })?;
        Ok(log)
    }

    /// Replays the events of `agent`; they need not be in memory at once.
    pub fn from_events(
        agent: AgentId,
        events: impl IntoIterator<Item = Verified<KeyEvent>>,
    ) -> Result<Self, KeyLogError> {
        let mut log = Self::new(agent);
        events.into_iter().try_for_each(|event| log.append(event))?;
        Ok(log)
    }

    /// Lets `device` act for the agent; `key` is the agent's, `at` in milliseconds since 1970.
    /// Returns the event, which is also appended.
    pub fn add_device(
        &mut self,
        key: &SecretKey,
        device: DeviceId,
        name: impl Into<String>,
        at: u64,
    ) -> Result<Verified<KeyEvent>, KeyLogError> {
        let name = name.into();
        self.say(key, Event::AddDevice { device, name, at })
    }

    /// Appends an event, or leaves the log as it is and says why not.
    ///
    /// An event that the log has already is accepted again without effect. An event that
    /// contradicts one the log has is an [`Equivocation`]: the log then ends before that position
    /// and takes no further events.
    pub fn append(&mut self, event: Verified<KeyEvent>) -> Result<(), KeyLogError> {
        let said = event.payload();
        if said.agent != self.agent {
            return Err(KeyLogError::OtherAgent);
        }
        if event.signer() != self.agent.key() {
            return Err(KeyLogError::Signer);
        }
        if let Some(proof) = &self.equivocation {
            return Err(KeyLogError::Equivocation(proof.clone()));
        }
        let len = self.events.len();
        let position = usize::try_from(said.seq).unwrap_or(usize::MAX);
        if position > len {
            return Err(KeyLogError::Gap {
                got: said.seq,
                len: len as u64,
            });
        }
        if let Some(known) = self.events.get(position) {
            return match Equivocation::new(known.clone(), event) {
                None => Ok(()),
                Some(proof) => Err(self.stop(proof)),
            };
        }
        if said.prev.as_ref() != self.head() {
            return Err(KeyLogError::Prev);
        }
        if len >= KEYLOG_EVENTS_MAX {
            return Err(KeyLogError::Full);
        }
        self.apply(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// Whose log it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Whether `device` may act for the agent.
    #[must_use]
    pub fn is_device(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// The devices that may act for the agent, in the order of their keys.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }

    /// The name of the last event; `None` if there are none.
    #[must_use]
    pub fn head(&self) -> Option<&Cid> {
        self.events.last().map(Verified::cid)
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[Verified<KeyEvent>] {
        &self.events
    }

    /// The proof that the agent signed two different events for one position, if it did.
    #[must_use]
    pub fn equivocation(&self) -> Option<&Equivocation> {
        self.equivocation.as_deref()
    }

    fn say(&mut self, key: &SecretKey, event: Event) -> Result<Verified<KeyEvent>, KeyLogError> {
        let event = Verified::sign(
            key,
            KeyEvent {
                agent: self.agent,
                seq: self.events.len() as u64,
                prev: self.head().copied(),
                event,
            },
        )?;
        self.append(event.clone())?;
        Ok(event)
    }

    fn apply(&mut self, event: &Verified<KeyEvent>) -> Result<(), KeyLogError> {
        match &event.payload().event {
            Event::Inception { .. } => {}
            Event::AddDevice { device, name, at } => {
                if self.devices.contains_key(device) {
                    return Err(KeyLogError::DuplicateDevice);
                }
                let (name, at, seq) = (name.clone(), *at, event.payload().seq);
                self.devices.insert(*device, Device { name, at, seq });
            }
        }
        Ok(())
    }

    /// Ends the log before the position of `proof` (IDENT-13).
    fn stop(&mut self, proof: Equivocation) -> KeyLogError {
        let position = proof.seq();
        self.events.retain(|event| event.payload().seq < position);
        self.devices.retain(|_, device| device.seq < position);
        let proof = Box::new(proof);
        self.equivocation = Some(proof.clone());
        KeyLogError::Equivocation(proof)
    }
}
