//! An agent's key log: the events that say which key and which devices speak for it (IDENT-9 to IDENT-15, IDENT-33 to
//! IDENT-37).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cid::Cid;
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use crate::chain::Commitment;
use crate::event::{Event, KeyEvent};
use crate::fold::{Epoch, fault_of, fold};
use crate::guardian::Guardians;
use crate::key::{AgentId, DeviceId, PublicKey};
use crate::secret::SecretKey;
use crate::statement::{SignError, Verified};

/// The most events one log may have (IDENT-14): a new device every two weeks for twenty years. The names of two such logs
/// that contradict each other fit a reference.
pub const KEYLOG_EVENTS_MAX: usize = 512;

/// The most bytes that the events of one log may have (IDENT-14): two such logs fit a frame, and what guardians signed in
/// them is checked in a tenth of a second.
pub const KEYLOG_BYTES_MAX: usize = 256 * 1024;

/// Says which events are known: 16 bytes.
pub type Mark = [u8; 16];

/// The mark of no events.
const NOTHING: Mark = [0; 16];

/// The mark after one more event (IDENT-38).
fn mark_after(mark: Mark, event: &Verified<KeyEvent>) -> Mark {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(mark)
        .chain_update(event.cid().to_bytes())
        .finalize()
        .into();
    digest.first_chunk().copied().unwrap_or(NOTHING)
}

/// What became of events that came together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Learned {
    /// Whether something is known that was not.
    pub changed: bool,
    /// Whether some of them follow from nothing.
    pub unsound: bool,
}

/// Why an event does not extend a log. Blame: the event's signer, but for `Gap` and `OtherAgent`
/// (whoever sent it), `Superseded` (nobody) and `Sign` (the caller).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyLogError {
    /// An event of another agent's log (IDENT-9).
    #[error("an event of another agent's log")]
    OtherAgent,
    /// Not signed by the key that counts at its position (IDENT-10).
    #[error("not signed by the agent's current key, or by the one that was committed to")]
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
    /// Adds a device that the log has, or had (IDENT-12).
    #[error("the device is in the log already, or was removed")]
    DuplicateDevice,
    /// Removes a device that the log does not have (IDENT-12).
    #[error("the device is not in the log")]
    NoDevice,
    /// Not enough guardians said what they have to (IDENT-41, IDENT-43).
    #[error("not enough guardians say so")]
    Guardians,
    /// The log would have more than [`KEYLOG_EVENTS_MAX`] events, or [`KEYLOG_BYTES_MAX`] bytes (IDENT-14).
    #[error(
        "the log has reached its limit of {KEYLOG_EVENTS_MAX} events and {KEYLOG_BYTES_MAX} bytes"
    )]
    Full,
    /// A newer key has let the log go on differently (IDENT-34).
    #[error("a newer key let the log go on without this event")]
    Superseded,
    /// The agent, or its guardians, said two things of which neither is trusted (IDENT-13).
    #[error("two different events contradict each other from position {} on", .0.seq())]
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
            Self::DuplicateDevice | Self::NoDevice => "E_KEYLOG_DUPLICATE",
            Self::Guardians => "E_GUARDIANS",
            Self::Full => "E_KEYLOG_FULL",
            Self::Superseded => "E_KEYLOG_SUPERSEDED",
            Self::Equivocation(_) => "E_EQUIVOCATION",
            Self::Sign(error) => error.code(),
        }
    }
}

/// Two different events of which neither can be trusted: a proof that an agent, or whoever has its key, or its guardians,
/// deceive (IDENT-13). Anyone can check it again from the two statements and those before them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Equivocation {
    seq: u64,
    statements: [Verified<KeyEvent>; 2],
}

impl Equivocation {
    /// Whose log it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.statements[0].payload().agent
    }

    /// The position from which on the log has no events.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The two statements.
    #[must_use]
    pub const fn statements(&self) -> [&Verified<KeyEvent>; 2] {
        let [first, second] = &self.statements;
        [first, second]
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

/// Whether a key speaks for an agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does.
    Now,
    /// It did, or seemed to: it was changed, removed, or added by a key that was no longer the agent's.
    Before,
}

/// The events of one agent that are known, and what they make (IDENT-33). Two that have the same events are the same,
/// however those came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyLog {
    agent: AgentId,
    events: Vec<Verified<KeyEvent>>,
    forks: Vec<Verified<KeyEvent>>,
    epoch: Option<Arc<Epoch>>,
    /// The agent's key at the end of the log.
    key: PublicKey,
    devices: BTreeMap<DeviceId, Device>,
    /// Keys that spoke for the agent: those before the present one, and devices that were removed.
    past: BTreeSet<PublicKey>,
    /// Keys that are beside the log, and may have been believed: of devices, and of who became the agent's there.
    seemed: BTreeSet<PublicKey>,
    equivocation: Option<Box<Equivocation>>,
}

impl KeyLog {
    /// The empty log: an agent that is only its key.
    #[must_use]
    pub const fn new(agent: AgentId) -> Self {
        Self {
            agent,
            events: Vec::new(),
            forks: Vec::new(),
            epoch: None,
            key: *agent.key(),
            devices: BTreeMap::new(),
            past: BTreeSet::new(),
            seemed: BTreeSet::new(),
            equivocation: None,
        }
    }

    /// Begins a log and commits to the keys that may replace `key` (IDENT-5).
    pub fn inception(key: &SecretKey, next: Commitment) -> Result<Self, KeyLogError> {
        Self::inception_guarded(key, next, None)
    }

    /// The same, with guardians from the beginning: no thief of any key can do anything about them (IDENT-44).
    pub fn inception_guarded(
        key: &SecretKey,
        next: Commitment,
        guardians: Option<Guardians>,
    ) -> Result<Self, KeyLogError> {
        let mut log = Self::new(key.agent_id());
        log.say(key, None, Event::Inception { next, guardians })?;
        Ok(log)
    }

    /// What events of `agent` make that come in order; they need not be in memory at once.
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
        if self.devices.contains_key(&device) || self.past.contains(device.key()) {
            return Err(KeyLogError::DuplicateDevice);
        }
        let name = name.into();
        let head = self.head().copied();
        self.say(key, head, Event::AddDevice { device, name, at })
    }

    /// Ends that `device` acts for the agent; `key` is the agent's.
    pub fn remove_device(
        &mut self,
        key: &SecretKey,
        device: DeviceId,
        at: u64,
    ) -> Result<Verified<KeyEvent>, KeyLogError> {
        if !self.devices.contains_key(&device) {
            return Err(KeyLogError::NoDevice);
        }
        let head = self.head().copied();
        self.say(key, head, Event::RemoveDevice { device, at })
    }

    /// Makes `key`, which was committed to, the agent's, after an event that is known: what came after that one is
    /// superseded. `next` commits to the keys after it; `guardians` are named if they change, with what the present ones
    /// said to that.
    pub fn rotate(
        &mut self,
        (key, next): (&SecretKey, Commitment),
        (after, at): (Option<Cid>, u64),
        (guardians, released): (Option<Guardians>, Vec<ByteBuf>),
    ) -> Result<Verified<KeyEvent>, KeyLogError> {
        let event = Event::Rotate {
            next,
            at,
            guardians,
            released,
        };
        self.say(key, after, event)
    }

    /// Makes `key` the agent's after an event that is known, as its guardians confirmed.
    pub fn recover(
        &mut self,
        (key, next): (&SecretKey, Commitment),
        (after, at): (Option<Cid>, u64),
        confirmed: Vec<ByteBuf>,
    ) -> Result<Verified<KeyEvent>, KeyLogError> {
        let event = Event::Recover {
            next,
            at,
            confirmed,
        };
        self.say(key, after, event)
    }

    /// Takes an event in. One that the log has already is accepted again without effect.
    ///
    /// # Errors
    /// [`KeyLogError::Equivocation`] if two events contradict each other now, or did before: the log ends before them,
    /// until a newer key or the guardians say how it goes on. It has changed then. Any other: the event has no effect
    /// on what the agent says, though one that is [`KeyLogError::Superseded`] may be kept.
    pub fn append(&mut self, event: Verified<KeyEvent>) -> Result<(), KeyLogError> {
        if event.payload().agent != self.agent {
            return Err(KeyLogError::OtherAgent);
        }
        if self.knows(event.cid()) {
            return self.outcome_of(event.cid());
        }
        if self.forks.is_empty() && event.payload().prev.as_ref() == self.head() {
            return self.follow(event);
        }
        let cid = *event.cid();
        let pool: Vec<_> = self.known().cloned().chain([event.clone()]).collect();
        // What is known is sound, and one that is not changes nothing.
        if self.take(&pool) {
            return Err(self.fault_of(&event));
        }
        self.outcome_of(&cid)
    }

    /// Takes events in that came together, in any order, and makes of all what they make. Events that follow from
    /// nothing are passed over.
    ///
    /// # Errors
    /// [`KeyLogError::OtherAgent`], and nothing has changed.
    pub fn learn(&mut self, events: Vec<Verified<KeyEvent>>) -> Result<Learned, KeyLogError> {
        if events
            .iter()
            .any(|event| event.payload().agent != self.agent)
        {
            return Err(KeyLogError::OtherAgent);
        }
        let new = events.into_iter().filter(|event| !self.knows(event.cid()));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return Ok(Learned::default());
        }
        let pool: Vec<_> = self.known().cloned().chain(new).collect();
        let before = self.mark();
        let unsound = self.take(&pool);
        let changed = before != self.mark();
        Ok(Learned { changed, unsound })
    }

    /// Whose log it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The key that speaks for the agent and changes its log; `None` while the log ends in a contradiction.
    #[must_use]
    pub fn key(&self) -> Option<&PublicKey> {
        self.equivocation.is_none().then_some(&self.key)
    }

    /// How often guardians recovered the agent, and how often its key was changed since then.
    #[must_use]
    pub fn number(&self) -> (u32, u32) {
        self.epoch.as_ref().map_or((0, 0), |epoch| epoch.number)
    }

    /// The guardians, with the event that named them, if there are any.
    #[must_use]
    pub fn guardians(&self) -> Option<&(Cid, Guardians)> {
        self.epoch.as_ref()?.guardians.as_ref()
    }

    /// What commits to the keys after that of an event which is known, and so to who may change the key after it
    /// (IDENT-30); `None` if the event is not known.
    #[must_use]
    pub fn next_after(&self, event: &Cid) -> Option<Commitment> {
        let mut at = self.find(event)?;
        loop {
            match &at.payload().event {
                Event::Inception { next, .. }
                | Event::Rotate { next, .. }
                | Event::Recover { next, .. } => return Some(*next),
                _ => at = self.find(&at.payload().prev?)?,
            }
        }
    }

    /// Whether a key speaks for the agent, or did; `None` if it never did.
    #[must_use]
    pub fn standing(&self, key: &PublicKey) -> Option<Standing> {
        if self.key() == Some(key) || self.devices.contains_key(&DeviceId::from(*key)) {
            Some(Standing::Now)
        } else if self.past.contains(key) || self.seemed.contains(key) || self.key == *key {
            Some(Standing::Before)
        } else {
            None
        }
    }

    /// Whether what a key says now is the agent's: it speaks for it, and the log does not end in a contradiction.
    #[must_use]
    pub fn speaks(&self, key: &PublicKey) -> bool {
        self.equivocation.is_none() && self.standing(key) == Some(Standing::Now)
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

    /// The events that count, in order.
    #[must_use]
    pub fn events(&self) -> &[Verified<KeyEvent>] {
        &self.events
    }

    /// All that is kept and told to others, each event after the one that it follows: the log, and what contradicts it
    /// or was superseded.
    pub fn known(&self) -> impl Iterator<Item = &Verified<KeyEvent>> {
        self.events.iter().chain(&self.forks)
    }

    /// What says which events are known (IDENT-38): of two logs with the same mark, each knows what the other does.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.known().fold(NOTHING, mark_after)
    }

    /// The events to tell somebody who has this mark: those after the ones that it stands for, if those are the first
    /// that are known here, and all if not.
    pub fn beyond(&self, mark: &Mark) -> impl Iterator<Item = &Verified<KeyEvent>> {
        let mut at = NOTHING;
        let marks = self.known().map(|event| {
            at = mark_after(at, event);
            at
        });
        let known = [NOTHING]
            .into_iter()
            .chain(marks)
            .position(|at| at == *mark);
        self.known().skip(known.unwrap_or(0))
    }

    /// The proof that neither of two events can be trusted, if the log ends in one.
    #[must_use]
    pub fn equivocation(&self) -> Option<&Equivocation> {
        self.equivocation.as_deref()
    }

    /// What became of an event that is known.
    fn outcome_of(&self, cid: &Cid) -> Result<(), KeyLogError> {
        match &self.equivocation {
            _ if self.events.iter().any(|event| event.cid() == cid) => Ok(()),
            Some(proof) => Err(KeyLogError::Equivocation(proof.clone())),
            None => Err(KeyLogError::Superseded),
        }
    }

    fn knows(&self, cid: &Cid) -> bool {
        self.known().any(|event| event.cid() == cid)
    }

    fn find(&self, cid: &Cid) -> Option<&Verified<KeyEvent>> {
        self.known().find(|event| event.cid() == cid)
    }

    fn say(
        &mut self,
        key: &SecretKey,
        prev: Option<Cid>,
        event: Event,
    ) -> Result<Verified<KeyEvent>, KeyLogError> {
        let before = prev.and_then(|prev| self.find(&prev));
        let event = Verified::sign(
            key,
            KeyEvent {
                agent: self.agent,
                seq: before.map_or(0, |before| before.payload().seq.saturating_add(1)),
                prev,
                event,
            },
        )?;
        self.append(event.clone())?;
        Ok(event)
    }

    /// Appends an event that names the last one, where nothing contradicts the log.
    fn follow(&mut self, event: Verified<KeyEvent>) -> Result<(), KeyLogError> {
        let len = self.events.len();
        if event.payload().seq != len as u64 {
            return Err(KeyLogError::Prev);
        }
        let epoch = match &self.epoch {
            None => Some(Epoch::begin(&self.agent, &event)?),
            Some(epoch) => epoch.after(&event)?,
        };
        let bytes = self.events.iter().map(|event| event.bytes().len());
        if len >= KEYLOG_EVENTS_MAX || bytes.sum::<usize>() + event.bytes().len() > KEYLOG_BYTES_MAX
        {
            return Err(KeyLogError::Full);
        }
        if let Some(epoch) = epoch {
            self.epoch = Some(Arc::new(epoch));
        }
        self.apply(&event);
        self.events.push(event);
        Ok(())
    }

    /// Why an event follows from nothing that is known.
    fn fault_of(&self, event: &Verified<KeyEvent>) -> KeyLogError {
        let (said, len) = (event.payload(), self.events.len() as u64);
        match said.prev {
            Some(prev) if !self.knows(&prev) && said.seq > len => {
                KeyLogError::Gap { got: said.seq, len }
            }
            _ => fault_of(&self.agent, self.known(), event).unwrap_or(KeyLogError::Prev),
        }
    }

    /// Makes of events what they make; whether some follow from nothing.
    fn take(&mut self, pool: &[Verified<KeyEvent>]) -> bool {
        let folded = fold(&self.agent, pool);
        let mut log = Self::new(self.agent);
        for event in &folded.path {
            log.apply(event);
        }
        for event in &folded.forks {
            match &event.payload().event {
                Event::AddDevice { device, .. } => log.seemed.insert(*device.key()),
                Event::Rotate { .. } | Event::Recover { .. } => log.seemed.insert(*event.signer()),
                _ => false,
            };
        }
        let seq = folded.path.len() as u64;
        log.equivocation = folded
            .contradiction
            .map(|statements| Box::new(Equivocation { seq, statements }));
        (log.events, log.forks, log.epoch) = (folded.path, folded.forks, folded.epoch);
        *self = log;
        folded.unsound
    }

    /// What an event of the log does to the key and the devices. One that adds a device a second time, or removes one that
    /// is not there, does nothing (IDENT-12).
    fn apply(&mut self, event: &Verified<KeyEvent>) {
        match &event.payload().event {
            Event::AddDevice { device, name, at } => {
                if !self.devices.contains_key(device) && !self.past.contains(device.key()) {
                    let (name, at, seq) = (name.clone(), *at, event.payload().seq);
                    self.devices.insert(*device, Device { name, at, seq });
                }
            }
            Event::RemoveDevice { device, .. } => {
                if self.devices.remove(device).is_some() {
                    self.past.insert(*device.key());
                }
            }
            Event::Rotate { .. } | Event::Recover { .. } => {
                self.past.insert(self.key);
                self.key = *event.signer();
            }
            Event::Inception { .. } => {}
        }
    }
}
