//! The session as a machine.

use std::collections::{BTreeSet, VecDeque};

use allod_blocks::{Block, Hold, StoreError};
use allod_identity::{AgentId, DeviceId};
use allod_repo::{BranchName, CommitId, Refusal, Rejected, Repo, RepoError};
use allod_tree::{TreeError, WalkProgress};
use bytes::Bytes;
use serde_bytes::ByteArray;

use crate::claims::Claims;
use crate::inbound::{Inbound, Source};
use crate::limits::{IDLE_MS, LOGS_MAX, SAMPLES_MAX};
use crate::message::{Hello, Message, VERSION};
use crate::offering::{InParts, Offer, branches_of, parts_of};
use crate::outbound::Outbound;
use crate::readers::{Reader, Share};
use crate::reading::ReadFrame;
use crate::recognise::{not_member, recognise};
use crate::scope::{Branches, Scope};

/// One side of a session about one space.
///
/// Pure but for the repo it is given: no clock, no randomness, no network. Call
/// [`handle`](Self::handle) for each input, then [`poll`](Self::poll) until `None`; while
/// [`is_busy`](Self::is_busy), hand it a [`Input::Tick`] before waiting for the peer. The initiator
/// begins with a tick. Each call does a bounded amount of work. Time never goes backwards. A
/// driver reads and writes at the same time, and says [`hold`](Self::hold) while the peer does not
/// read.
///
/// After [`Output::Close`] the session is over: further inputs are ignored.
#[derive(Debug)]
pub struct Session {
    repo: Repo,
    me: Me,
    peer: DeviceId,
    /// What this side's hello offered, once it was said.
    said: Option<Vec<Offer>>,
    flow: Option<Flow>,
    out: VecDeque<Output>,
    stats: Stats,
    heard_ms: u64,
    busy: bool,
    hold: bool,
    closed: bool,
    /// What sessions of this node fetch together.
    claims: Claims,
    /// What this session brings or finds here stays until it ends, referred to or not.
    _in_use: Hold,
}

/// Both directions, once the peer has said hello.
#[derive(Debug)]
struct Flow {
    outbound: Outbound,
    inbound: Inbound,
    /// What the peer may be told.
    reader: Reader,
    peer_agent: AgentId,
    /// What its hello offered.
    theirs: Vec<(BranchName, Vec<CommitId>)>,
    /// What of this side's branches it asked for.
    wants: Branches,
    /// Whether it only takes: it has heads of branches that it wants, and offers none.
    takes_only: bool,
    /// When its hello came.
    met_ms: u64,
    acked: bool,
}

/// Which side a session is on, and who it speaks for.
#[derive(Clone, Debug)]
pub struct Me {
    /// Whom this node acts for.
    pub agent: AgentId,
    /// Whether this side says hello first.
    pub initiator: bool,
    /// Whether the hello carries this agent's key log: on first contact with a node.
    pub introduce: bool,
    /// What is exchanged: by default everything, both ways.
    pub scope: Scope,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// A frame from the peer.
    Frame(Bytes),
    /// The same, where it was read before.
    Read(ReadFrame),
    /// There is work left ([`Session::is_busy`]).
    Tick,
    /// For 60 seconds neither a frame came from the peer nor one of ours could be sent (SYNC-13).
    Silence,
}

/// What a session asks of its driver.
#[derive(Clone, Debug)]
#[must_use]
pub enum Output {
    /// Send this frame to the peer.
    Send(Bytes),
    /// Tell whoever is interested.
    Event(Event),
    /// The session is over; send what was asked before this, then close the stream.
    Close(Outcome),
}

/// What a session tells of its progress.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer was recognised.
    Met {
        /// Its agent.
        agent: AgentId,
        /// Commits that it lacks.
        to_send: usize,
    },
}

/// How a session ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Both sides have all that the other offered and they wanted, but for what was refused.
    Complete,
    /// This side ended it.
    Ended {
        /// The registered code.
        code: &'static str,
        /// The reason in words.
        reason: String,
    },
    /// The peer ended it.
    EndedByPeer {
        /// The code it gave.
        code: String,
        /// The reason it gave.
        reason: String,
    },
}

/// A commit that was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The commit.
    pub commit: CommitId,
    /// The registered code.
    pub code: String,
    /// The reason in words.
    pub reason: String,
}

impl Refused {
    pub(crate) fn new(commit: CommitId, refusal: Refusal) -> Self {
        Self {
            commit,
            code: refusal.code().to_owned(),
            reason: refusal.to_string(),
        }
    }
}

/// Refusals kept in the figures; more are only counted.
const REFUSED_MAX: usize = 100;

/// Figures of a session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Commits accepted.
    pub commits_in: u64,
    /// Commits sent.
    pub commits_out: u64,
    /// Commits of which only the statement was taken, as this side keeps a part.
    pub bare_in: u64,
    /// Commits that the peer lacks and that were not sent, as not all of them is here (PART-10).
    pub left_out: u64,
    /// Entries received.
    pub entries_in: u64,
    /// Bytes of keys and entries received as changes.
    pub entry_bytes_in: u64,
    /// Blocks received.
    pub blocks_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Commits of the peer that were refused here; the first hundred.
    pub refused: Vec<Refused>,
    /// Commits that the peer refused; the first hundred.
    pub refused_by_peer: Vec<Refused>,
    /// How far the walk at hand is.
    pub walk: Option<WalkProgress>,
}

impl Stats {
    /// Notes a refusal; returns the message that tells the peer.
    pub(crate) fn refuse(&mut self, refused: Refused) -> Message {
        let Refused {
            commit,
            code,
            reason,
        } = refused.clone();
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(refused);
        }
        Message::Refuse {
            commit,
            code,
            reason,
        }
    }
}

/// Why this side cannot go on. Blame: this side, or a limit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error("too many {0}")]
    Limit(&'static str),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<TreeError> for Fault {
    fn from(error: TreeError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<Rejected> for Fault {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Fault(fault) => Self::Repo(fault),
            Rejected::Refused(refusal) => Self::Repo(refusal.into()),
        }
    }
}

/// Why a call ended early: a code and a reason for the peer.
pub(crate) struct Stop(pub(crate) &'static str, pub(crate) String);

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Limit(_) => Self("E_LIMIT", fault.to_string()),
            Fault::Repo(_) => Self("E_FAULT", fault.to_string()),
        }
    }
}

impl Session {
    /// A session about `repo`'s space with the device that the transport has authenticated.
    #[must_use]
    pub fn new(repo: Repo, me: Me, peer: DeviceId, now_ms: u64) -> Self {
        Self {
            _in_use: repo.store().uses().hold(),
            repo,
            peer,
            said: None,
            flow: None,
            out: VecDeque::new(),
            stats: Stats::default(),
            heard_ms: now_ms,
            busy: me.initiator,
            me,
            hold: false,
            closed: false,
            claims: Claims::default(),
        }
    }

    /// A session that fetches files together with the others of this node which have these `claims`
    /// (SYNC-18). Without, it fetches alone.
    #[must_use]
    pub fn sharing(mut self, claims: &Claims) -> Self {
        self.claims = claims.clone();
        self
    }

    /// Takes an input.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        if self.closed {
            return;
        }
        let result = match input {
            Input::Frame(frame) => self.hear(now_ms, ReadFrame::new(&frame)),
            Input::Read(frame) => self.hear(now_ms, frame),
            Input::Silence => Err(Stop(
                "E_TIMEOUT",
                "nothing was heard for 60 seconds".to_owned(),
            )),
            Input::Tick => Ok(()),
        };
        let result = result.and_then(|()| self.work(now_ms));
        if let Err(Stop(code, reason)) = result {
            self.end(code, reason);
        }
        if self.closed
            && let Some(flow) = &mut self.flow
        {
            // Others bring it, however long the driver keeps this session.
            flow.inbound.want_no_more();
        }
    }

    /// The next thing to do for the driver.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Whether there is work that needs no input from the peer.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.busy && !self.closed
    }

    /// Tells the session that its driver has frames in hand that the peer does not take (`true`), or
    /// that it has sent them. Meanwhile nothing but answers to the peer is made, so that two sides
    /// which both have much to send go on reading (SYNC-15).
    pub const fn hold(&mut self, hold: bool) {
        self.busy |= self.hold && !hold;
        self.hold = hold;
    }

    /// When [`Input::Silence`] is due if nothing is heard until then and nothing could be sent, in
    /// milliseconds since 1970.
    #[must_use]
    pub const fn deadline(&self) -> u64 {
        self.heard_ms.saturating_add(IDLE_MS)
    }

    /// Whether the session is over.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The figures so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Heads that the peer has now that the session is complete: those it offered, and, if it refused
    /// nothing, those that this side offered and it wanted.
    #[must_use]
    pub fn shared_heads(&self) -> BTreeSet<CommitId> {
        let mut heads = BTreeSet::new();
        let Some(flow) = &self.flow else {
            return heads;
        };
        heads.extend(flow.theirs.iter().flat_map(|(_, heads)| heads));
        if self.stats.refused_by_peer.is_empty() && self.stats.left_out == 0 {
            let given = self.said.iter().flatten();
            let given = given.filter(|offer| flow.wants.include(&offer.branch));
            let given = given.filter(|offer| offer.share == Share::All);
            heads.extend(given.flat_map(|offer| &offer.heads));
        }
        heads
    }

    /// Whether both sides offered and wanted all they have, as far as this side knows.
    #[must_use]
    pub fn was_about_all(&self) -> bool {
        let is_about_all = |flow: &Flow| {
            flow.wants == Branches::All
                && !flow.takes_only
                && flow.inbound.parts.iter().next().is_none()
        };
        let mut said = self.said.iter().flatten();
        self.me.scope == Scope::default()
            && self.flow.as_ref().is_some_and(is_about_all)
            && said.all(|offer| offer.share == Share::All)
            && self.stats.left_out == 0
    }

    /// Whether the peer said which heads it has of branches other than `meta`, or that it has nothing at all. One that
    /// offers `meta` alone may take everything anew, whatever it has.
    #[must_use]
    pub fn was_told_heads(&self) -> bool {
        let Some(flow) = &self.flow else {
            return false;
        };
        let has_nothing = flow.theirs.iter().all(|(_, heads)| heads.is_empty());
        has_nothing || flow.theirs.iter().any(|(branch, _)| !branch.is_meta())
    }

    /// When the peer said what it has, in milliseconds since 1970; `None` before it did.
    #[must_use]
    pub fn met_ms(&self) -> Option<u64> {
        self.flow.as_ref().map(|flow| flow.met_ms)
    }

    /// Whether the peer keeps a part of the space only.
    #[must_use]
    pub fn peer_keeps_part(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.outbound.slices)
    }

    /// The branches that the peer's hello offered and this side wanted, and their heads.
    pub fn offered(&self) -> impl Iterator<Item = &(BranchName, Vec<CommitId>)> {
        let offered = self.flow.iter().flat_map(|flow| &flow.theirs);
        offered.filter(|(branch, _)| self.me.scope.wants.include(branch))
    }

    /// Whether the peer's hello offered a branch.
    #[must_use]
    pub fn was_offered(&self, branch: &BranchName) -> bool {
        let mut offered = self.flow.iter().flat_map(|flow| &flow.theirs);
        offered.any(|(name, _)| name == branch)
    }

    /// The branches that the peer offered in parts (SYNC-64), with the prefixes of these.
    pub fn offered_in_parts(&self) -> impl Iterator<Item = (&BranchName, &[Bytes])> {
        self.flow.iter().flat_map(|flow| flow.inbound.parts.iter())
    }

    /// Those of them of which not all that is kept here was offered, so that nothing of them came.
    pub fn offered_in_other_parts(&self) -> impl Iterator<Item = (&BranchName, &[Bytes])> {
        let part = self.repo.part();
        self.flow.iter().flat_map(move |flow| {
            let (parts, part) = (&flow.inbound.parts, part.clone());
            let is_had = move |branch| part.as_ref().is_some_and(|part| parts.covers(branch, part));
            parts.iter().filter(move |(branch, _)| !is_had(branch))
        })
    }

    /// The peer's agent, once it was recognised.
    #[must_use]
    pub fn peer_agent(&self) -> Option<AgentId> {
        self.flow.as_ref().map(|flow| flow.peer_agent)
    }

    fn hear(&mut self, now_ms: u64, frame: ReadFrame) -> Result<(), Stop> {
        self.heard_ms = now_ms;
        let bytes = frame.bytes();
        self.stats.bytes_in += bytes as u64;
        let (message, blocks) = frame.into_parts();
        let message = message.map_err(|error| Stop("E_FRAME", error.to_string()))?;
        self.message(message, blocks, bytes)
    }

    /// Takes a message, with the blocks that came in it and the bytes of its frame.
    fn message(
        &mut self,
        message: Message,
        blocks: Vec<Option<Block>>,
        bytes: usize,
    ) -> Result<(), Stop> {
        let order = |what: &str| Stop("E_ORDER", format!("{what} is not allowed now"));
        if let Message::Close { code, reason } = message {
            self.closed = true;
            self.out
                .push_back(Output::Close(Outcome::EndedByPeer { code, reason }));
            return Ok(());
        }
        if let Message::Hello(hello) = message {
            return if self.flow.is_some() {
                Err(order("a second hello"))
            } else {
                self.meet(&hello)
            };
        }
        let Some(flow) = &mut self.flow else {
            return Err(order("a message before hello"));
        };
        match message {
            Message::KeyEvents { .. }
            | Message::Commit { .. }
            | Message::Changes { .. }
            | Message::Done => {
                let charged = if message.is_charged() { bytes } else { 0 };
                flow.inbound.enqueue(message, charged).map_err(|code| {
                    Stop(
                        code,
                        "out of order, not wanted, or over the credit".to_owned(),
                    )
                })?;
            }
            Message::Want { opened, names } => {
                if !flow.outbound.ask(&self.repo, &opened, names)? {
                    return Err(Stop("E_LIMIT", "too many blocks wanted at once".to_owned()));
                }
            }
            Message::Blocks { absent, .. } => {
                let taken = flow
                    .inbound
                    .blocks(&self.repo, blocks, &absent, &mut self.stats)?;
                let refused = taken.map_err(|code| {
                    Stop(
                        code,
                        "a block that matches no name that was asked for".to_owned(),
                    )
                })?;
                if let Some(message) = refused {
                    self.send(&message);
                }
            }
            Message::Refuse {
                commit,
                code,
                reason,
            } => {
                if self.stats.refused_by_peer.len() < REFUSED_MAX {
                    self.stats.refused_by_peer.push(Refused {
                        commit,
                        code,
                        reason,
                    });
                }
            }
            Message::Ack => {
                if !flow.outbound.done || flow.acked {
                    return Err(order("an ack"));
                }
                flow.acked = true;
            }
            Message::Credit(bytes) => flow.outbound.add_credit(bytes),
            Message::Compare { .. }
            | Message::Pick { .. }
            | Message::Sketch { .. }
            | Message::Entries { .. } => compared(flow, &self.repo, message)?,
            Message::Projection { .. } | Message::Tree(_) => {
                return Err(order("a message of another kind of stream"));
            }
            Message::Hello(_) | Message::Close { .. } => {}
        }
        Ok(())
    }

    /// Recognises the peer (SYNC-2, SYNC-3) and plans what to send.
    fn meet(&mut self, hello: &Hello) -> Result<(), Stop> {
        let reader = recognise(&self.repo, self.peer, hello, self.heard_ms)?;
        if self.said.is_none() {
            self.hello(Some(hello))?;
        }
        let said = self.said.iter().flatten().cloned();
        let gives = said.map(|offer| offer.to(&self.repo, &reader, hello));
        let gives: Vec<Offer> = gives.collect::<Result<_, _>>().map_err(Fault::from)?;
        let outbound = Outbound::plan(&self.repo, &gives, hello)?;
        let to_send = outbound.remaining();
        self.said = Some(gives);
        self.flow = Some(Flow {
            outbound,
            reader,
            inbound: Inbound::new(
                hello.branches.clone(),
                InParts::of(hello),
                &self.me.scope,
                &self.claims,
            ),
            peer_agent: hello.agent,
            theirs: hello.branches.clone(),
            wants: hello.wants.clone().into(),
            takes_only: hello.branches.is_empty() && !hello.samples.is_empty(),
            met_ms: self.heard_ms,
            acked: false,
        });
        self.out.push_back(Output::Event(Event::Met {
            agent: hello.agent,
            to_send,
        }));
        Ok(())
    }

    /// Says hello, in answer to `theirs` if the peer said it first.
    fn hello(&mut self, theirs: Option<&Hello>) -> Result<(), Stop> {
        let (hello, offers) = self.make_hello(theirs).map_err(Fault::from)?;
        self.said = Some(offers);
        self.send(&Message::Hello(Box::new(hello)));
        Ok(())
    }

    fn make_hello(&self, theirs: Option<&Hello>) -> Result<(Hello, Vec<Offer>), RepoError> {
        let mut offers: Vec<Offer> = Vec::new();
        let mut all = BTreeSet::new();
        let mut samples = Vec::new();
        let Scope {
            gives,
            wants,
            anew,
            apart,
        } = &self.me.scope;
        samples.extend(apart.iter().flatten().copied());
        let reader = match theirs {
            Some(theirs) => Reader::agent(&self.repo, theirs.agent, self.heard_ms)?,
            None => Reader::device(&self.repo, self.peer, self.heard_ms)?,
        };
        for (name, heads) in self.repo.offered()? {
            if *anew && !name.is_meta() {
                continue;
            }
            let is_offered = gives.include(&name);
            // What is neither given nor taken is nobody's business.
            if !is_offered && !wants.include(&name) {
                continue;
            }
            let share = reader.share(&self.repo, &name)?;
            if share == Share::Nothing {
                continue;
            }
            all.extend(heads.iter().copied());
            if is_offered {
                offers.push(Offer {
                    branch: name,
                    heads: heads.into_iter().collect(),
                    share,
                });
            } else {
                samples.extend(heads);
            }
        }
        offers.sort_by_key(|offer| !offer.branch.is_meta());
        // The peer need not send what it offers and is here, however far behind the heads here that is.
        let offered = theirs.iter().filter(|_| !anew);
        let offered = offered.flat_map(|theirs| &theirs.branches);
        for head in offered.flat_map(|(_, heads)| heads) {
            if !all.contains(head) && self.repo.is_held(*head)? {
                samples.push(*head);
            }
        }
        samples.extend(self.repo.samples(&all)?);
        let mut told = BTreeSet::new();
        samples.retain(|id| told.insert(*id));
        samples.truncate(SAMPLES_MAX);
        let mut logs = Vec::new();
        for agent in self.repo.people()?.into_iter().take(LOGS_MAX) {
            logs.push((
                ByteArray::new(*agent.as_bytes()),
                ByteArray::new(self.repo.agents().key_log(&agent)?.mark()),
            ));
        }
        let mut events = Vec::new();
        if self.me.introduce {
            let log = self.repo.agents().key_log(&self.me.agent)?;
            events.extend(log.known().map(|event| event.bytes().to_vec().into()));
        }
        let parts = parts_of(&mut offers);
        let hello = Hello {
            agent: self.me.agent,
            branches: branches_of(&offers),
            events,
            logs,
            parts,
            samples,
            slices: self.repo.part().is_some(),
            space: self.repo.id(),
            version: VERSION,
            wants: self.me.scope.wants.to_wants(),
        };
        Ok((hello, offers))
    }

    /// Ends the session where the peer may no more have what it was offered (SYNC-62).
    fn check_reader(&self, flow: &mut Flow, now_ms: u64) -> Result<(), Stop> {
        if flow.reader.is_current(&self.repo).map_err(Fault::from)? {
            return Ok(());
        }
        let reader = Reader::agent(&self.repo, flow.peer_agent, now_ms).map_err(Fault::from)?;
        if !reader.knows() {
            return Err(not_member());
        }
        for offer in self.said.iter().flatten() {
            let now = reader
                .share(&self.repo, &offer.branch)
                .map_err(Fault::from)?;
            if !now.covers(&offer.share) {
                let reason = "what may be read here has changed; ask again";
                return Err(Stop("E_RIGHTS", reason.to_owned()));
            }
        }
        flow.reader = reader;
        Ok(())
    }

    /// Goes on with both directions.
    fn work(&mut self, now_ms: u64) -> Result<(), Stop> {
        if self.closed {
            return Ok(());
        }
        if self.me.initiator && self.said.is_none() {
            self.hello(None)?;
        }
        self.busy = false;
        let Some(mut flow) = self.flow.take() else {
            return Ok(());
        };
        let result = self.step(&mut flow, now_ms);
        let over = flow.acked && flow.inbound.settled;
        self.flow = Some(flow);
        result?;
        if over {
            self.closed = true;
            self.out.push_back(Output::Close(Outcome::Complete));
        }
        Ok(())
    }

    fn step(&mut self, flow: &mut Flow, now_ms: u64) -> Result<(), Stop> {
        let from = Source {
            reader: &flow.reader,
            agent: flow.peer_agent,
        };
        let inbound = &mut flow.inbound;
        let step = inbound.step(&self.repo, from, now_ms, &mut self.stats)?;
        // What came just now may have changed what the peer may have.
        self.check_reader(flow, now_ms)?;
        self.busy |= step.again;
        for message in &step.send {
            self.send(message);
        }
        if self.hold {
            return Ok(());
        }
        if let Some(message) = flow.outbound.poll(&self.repo, &mut self.stats)? {
            let bytes = self.send(&message);
            if message.is_charged() {
                flow.outbound.charge(bytes);
            }
            self.busy = true;
        }
        self.busy |= flow.outbound.goes_on();
        Ok(())
    }

    fn send(&mut self, message: &Message) -> usize {
        let frame = message.encode();
        let bytes = frame.len();
        self.stats.bytes_out += bytes as u64;
        self.out.push_back(Output::Send(frame));
        bytes
    }

    fn end(&mut self, code: &'static str, reason: String) {
        self.closed = true;
        self.send(&Message::Close {
            code: code.to_owned(),
            reason: short(&reason),
        });
        self.out
            .push_back(Output::Close(Outcome::Ended { code, reason }));
    }
}

/// Takes a message of a comparison.
fn compared(flow: &mut Flow, repo: &Repo, message: Message) -> Result<(), Stop> {
    let taken = match message {
        Message::Compare { .. } | Message::Pick { .. } => flow.outbound.sketch(repo, message)?,
        _ => flow.inbound.compared(message),
    };
    taken.map_err(|code| {
        let reason = match code {
            "E_ORDER" => "nothing is compared that this belongs to",
            _ => "malformed symbols or elements, or too many",
        };
        Stop(code, reason.to_owned())
    })
}

/// A reason cut to what a close may carry.
pub(crate) fn short(reason: &str) -> String {
    reason.chars().take(120).collect()
}
