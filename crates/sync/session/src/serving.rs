//! The side that is asked for damaged blocks (SYNC-30 to SYNC-33).

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use allod_blocks::{Block, Cid, Codec};
use allod_identity::{AgentId, DeviceId};
use allod_repo::{CommitId, Repo};
use allod_tree::Node;
use bytes::Bytes;

use crate::limits::{BLOCKS_FRAME_BYTES, FETCH_LINKS_MAX, TREES_TOLD_MAX};
use crate::message::Message;
use crate::outbound::links_of;
use crate::readers::Reader;
use crate::recognise::{not_member, recognise};
use crate::session::{Fault, Stop, short};

/// The root of the tree that is kept of a projection, by its name (PROJ-10) and the root of the state.
pub type KeptTrees = Box<dyn Fn(&Cid, &Cid) -> Option<Cid> + Send + Sync>;

/// Serves the blocks of one space to a member that has lost some of its own.
///
/// A machine without I/O: call [`handle`](Self::handle) with a frame, then send what
/// [`poll`](Self::poll) gives until it gives nothing, and only then read the next frame. It changes
/// nothing but what is known of the asker's key log.
pub struct Serving {
    repo: Repo,
    peer: DeviceId,
    /// When the stream began: a right that ends with time lasts as long as it.
    now_ms: u64,
    reader: Option<Reader>,
    /// For whom the asker acts, once it has said so.
    agent: Option<AgentId>,
    /// Whether the asker may read all that there is.
    reads_all: bool,
    kept: Option<KeptTrees>,
    /// The trees that the asker was told of (SYNC-37).
    told: BTreeSet<Cid>,
    /// The answer to a question for a tree.
    tree: Option<Message>,
    met: bool,
    closed: bool,
    /// The want at hand: its names that were not answered yet.
    names: VecDeque<Cid>,
    /// The first of those, where it was read and did not fit the frame that was made then.
    at_hand: Option<Block>,
    /// Those of them that may be served.
    shown: BTreeSet<Cid>,
    /// What the first frame of the answer says is absent; `None` once it was sent.
    unopened: Option<Vec<Cid>>,
    close: Option<Bytes>,
    key_events: Option<BTreeSet<Cid>>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("peer", &self.peer)
            .field("met", &self.met)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// The side that has `repo`, towards the device that the transport has authenticated.
    #[must_use]
    pub const fn new(repo: Repo, peer: DeviceId, now_ms: u64) -> Self {
        Self {
            repo,
            peer,
            now_ms,
            reader: None,
            agent: None,
            kept: None,
            told: BTreeSet::new(),
            tree: None,
            met: false,
            closed: false,
            names: VecDeque::new(),
            at_hand: None,
            shown: BTreeSet::new(),
            unopened: None,
            reads_all: false,
            close: None,
            key_events: None,
        }
    }

    /// It with what says which trees of projections are kept; without, none are.
    #[must_use]
    pub fn with_kept(mut self, kept: KeptTrees) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Takes a frame of the asker. Reads at most 1,024 blocks.
    pub fn handle(&mut self, frame: &Bytes) {
        if self.closed {
            return;
        }
        if let Err(Stop(code, reason)) = self.take(frame) {
            self.closed = true;
            let (code, reason) = (code.to_owned(), short(&reason));
            self.close = Some(Message::Close { code, reason }.encode());
        }
    }

    /// The next frame to send; `None` when the asker is to be heard again.
    pub fn poll(&mut self) -> Option<Bytes> {
        if let Some(close) = self.close.take() {
            return Some(close);
        }
        if let Some(tree) = self.tree.take() {
            return Some(tree.encode());
        }
        if self.closed || (self.names.is_empty() && self.unopened.is_none()) {
            return None;
        }
        Some(self.answer().encode())
    }

    /// Whether it is over: what is left to poll is the last.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    fn take(&mut self, frame: &Bytes) -> Result<(), Stop> {
        let message = Message::decode(frame).map_err(|error| Stop("E_FRAME", error.to_string()))?;
        match message {
            Message::Hello(hello) if !self.met => {
                let reader = recognise(&self.repo, self.peer, &hello, self.now_ms)?;
                self.agent = Some(hello.agent);
                self.take_reader(reader)?;
                self.met = true;
            }
            Message::Want { opened, names } if self.met && self.is_idle() => {
                self.look_again()?;
                if opened.len() + names.len() > FETCH_LINKS_MAX {
                    return Err(Stop("E_LIMIT", "too many links in one want".to_owned()));
                }
                self.judge(&opened, names)?;
            }
            Message::Projection { name, state } if self.met && self.is_idle() => {
                self.look_again()?;
                self.tell(&name, &state)?;
            }
            Message::Close { .. } => self.closed = true,
            _ => return Err(Stop("E_ORDER", "not what is asked here".to_owned())),
        }
        Ok(())
    }

    fn take_reader(&mut self, reader: Reader) -> Result<(), Stop> {
        self.reads_all = true;
        for (branch, _) in self.repo.offered().map_err(Fault::from)? {
            self.reads_all &= reader.may_have(&branch);
        }
        self.reader = Some(reader);
        Ok(())
    }

    /// What the asker may read is what it may read now (SYNC-63).
    fn look_again(&mut self) -> Result<(), Stop> {
        let (Some(reader), Some(agent)) = (&self.reader, self.agent) else {
            return Ok(());
        };
        if reader.is_current(&self.repo).map_err(Fault::from)? {
            return Ok(());
        }
        let reader = Reader::agent(&self.repo, agent, self.now_ms).map_err(Fault::from)?;
        if !reader.knows() {
            return Err(not_member());
        }
        self.take_reader(reader)
    }

    fn is_idle(&self) -> bool {
        self.names.is_empty() && self.unopened.is_none()
    }

    /// Tells which tree is kept of a projection (SYNC-37).
    fn tell(&mut self, name: &Cid, state: &Cid) -> Result<(), Stop> {
        // A tree of a projection may be of any branch.
        let kept = self.kept.as_ref().filter(|_| self.reads_all);
        let root = kept.and_then(|kept| kept(name, state));
        self.told.extend(root);
        if self.told.len() > TREES_TOLD_MAX {
            return Err(Stop("E_LIMIT", "too many trees of projections".to_owned()));
        }
        self.tree = Some(Message::Tree(root));
        Ok(())
    }

    /// Follows the path of a want, and notes which of its names that shows (SYNC-32).
    fn judge(&mut self, opened: &[Cid], names: Vec<Cid>) -> Result<(), Stop> {
        // What is not in the want need not be remembered, so its size bounds the memory.
        let asked: BTreeSet<Cid> = opened.iter().chain(&names).copied().collect();
        let mut shown = BTreeSet::new();
        // What is below trees that the asker was told of, where nothing but inner nodes leads on.
        let mut below_told = BTreeSet::new();
        let mut unopened = Vec::new();
        for cid in opened {
            let is_of_told = self.told.contains(cid) || below_told.contains(cid);
            let (links, shows) = if is_of_told && !shown.contains(cid) {
                (self.children(cid), &mut below_told)
            } else {
                (self.open(cid, &shown)?, &mut shown)
            };
            match links {
                Some(links) => shows.extend(links.into_iter().filter(|link| asked.contains(link))),
                None => unopened.push(*cid),
            }
        }
        shown.append(&mut below_told);
        for cid in &names {
            if !shown.contains(cid) && self.is_root(cid)? {
                shown.insert(*cid);
            }
        }
        self.shown = shown;
        self.names = names.into();
        self.unopened = Some(unopened);
        Ok(())
    }

    /// What a block leads to, if it belongs to the space and is here whole.
    fn open(&mut self, cid: &Cid, shown: &BTreeSet<Cid>) -> Result<Option<Vec<Cid>>, Stop> {
        if let Some(tree) = self.tree_of(cid) {
            return Ok(Some(vec![tree]));
        }
        if !shown.contains(cid) {
            // Genesis and key events lead nowhere.
            return Ok(self.is_root(cid)?.then(Vec::new));
        }
        // Damage here is no fault of the asker, and none of the exchange (SYNC-33).
        let block = self.repo.store().get(cid).ok().flatten();
        Ok(block.and_then(|block| links_of(&block).ok()))
    }

    /// The children of a node of a tree that the asker was told of; a leaf has none, whatever its entries
    /// say.
    fn children(&self, cid: &Cid) -> Option<Vec<Cid>> {
        let block = self.repo.store().get(cid).ok().flatten()?;
        let is_node = cid.codec() == Codec::DagCbor.code();
        let node = Node::decode(block.bytes()).ok().filter(|_| is_node)?;
        let children = if node.is_leaf() { 0 } else { node.len() };
        Some((0..children).filter_map(|index| node.link(index)).collect())
    }

    /// The tree of a commit of the space that is here whole.
    fn tree_of(&self, cid: &Cid) -> Option<Cid> {
        let commit = self.repo.commit(CommitId::from_cid(*cid)).ok()?;
        let said = commit.payload();
        let reader = self.reader.as_ref()?;
        reader.may_have(&said.branch).then_some(said.tree)
    }

    /// Whether a block belongs to the space without a path to it.
    fn is_root(&mut self, cid: &Cid) -> Result<bool, Stop> {
        let is_own = cid == self.repo.id().cid() || self.told.contains(cid);
        if is_own || self.tree_of(cid).is_some() {
            return Ok(true);
        }
        if self.key_events.is_none() {
            self.key_events = Some(self.list_key_events()?);
        }
        let events = self.key_events.as_ref();
        Ok(events.is_some_and(|events| events.contains(cid)))
    }

    fn list_key_events(&self) -> Result<BTreeSet<Cid>, Stop> {
        let mut events = BTreeSet::new();
        for agent in self.repo.people().map_err(Fault::from)? {
            // A log that is damaged here cannot be served from here.
            if let Ok(log) = self.repo.agents().key_log(&agent) {
                events.extend(log.known().map(|event| *event.cid()));
            }
        }
        Ok(events)
    }

    /// The next frame of the answer.
    fn answer(&mut self) -> Message {
        let mut absent = self.unopened.take().unwrap_or_default();
        let mut blocks: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        while let Some(cid) = self.names.front().copied() {
            let block = match self.at_hand.take() {
                None if self.shown.contains(&cid) => self.repo.store().get(&cid).ok().flatten(),
                at_hand => at_hand,
            };
            let Some(block) = block else {
                self.names.pop_front();
                absent.push(cid);
                continue;
            };
            if bytes > 0 && bytes + block.bytes().len() > BLOCKS_FRAME_BYTES {
                self.at_hand = Some(block);
                break;
            }
            self.names.pop_front();
            bytes += block.bytes().len();
            blocks.push(block.into_bytes());
        }
        Message::Blocks { blocks, absent }
    }
}
