//! The node: keys, a store, and the spaces in it.

use std::sync::{Arc, MutexGuard, Weak};

use allod_blocks::{
    Batch, BatchOutcome, Cid, Compression, Expect, MeteredStore, Metrics, Packing, Store,
};
use allod_feed::AnnouncingStore;
use allod_identity::{AgentId, DeviceId, Keystore, SecretKey};
use allod_repo::{
    Agents, Author, BranchName, CommitId, Genesis, RefMove, Repo, RepoError, SpaceClass, SpaceId,
    Timings,
};
use allod_sync::{Claims, Tickets};
use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::{self, now_ms};
use crate::doors::Doors;
use crate::error::NodeError;
use crate::federating::Federating;
use crate::home::{Home, HomeConfig, HomeLock, random};
use crate::hooks::{Hooks, lock};
use crate::identity::AgentKeys;
use crate::known::KnownPeers;
use crate::links::Links;
use crate::own::OwnDevices;
use crate::pairing::Pairings;
use crate::telling::Telling;
use crate::tokens::Tokens;
use crate::trusting::{Trusting, denials_of, judge_of};
use crate::views::AllViews;

/// How long a ticket is valid unless said otherwise: a week, in milliseconds.
pub const TICKET_MS_DEFAULT: u64 = 7 * 24 * 60 * 60 * 1000;

/// A node with its home open. Cheap to clone.
///
/// Only one process has a home open at a time.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    _lock: HomeLock,
    store: Arc<dyn Store>,
    packing: Packing,
    metrics: Metrics,
    timings: Timings,
    hooks: Arc<Hooks>,
    views: Arc<AllViews>,
    links: Links,
    known_peers: KnownPeers,
    claims: Claims,
    telling: Telling,
    federating: Federating,
    doors: Doors,
    tokens: Tokens,
    trusting: Trusting,
    /// Held from when a key log is read until what goes on from it is kept: two events after one are a contradiction.
    saying: std::sync::Mutex<()>,
    /// The key logs that all spaces look at: what one session learns all know.
    agents: Agents,
    config: std::sync::Mutex<HomeConfig>,
    device_key: Option<SecretKey>,
    agent_keys: std::sync::Mutex<AgentKeys>,
    pairings: Pairings,
    own: OwnDevices,
    spaces: std::sync::Mutex<Vec<Repo>>,
    changed: watch::Sender<u64>,
    heard: watch::Sender<u64>,
}

/// A handle on a node that does not keep its home open.
#[derive(Clone)]
pub(crate) struct WeakNode(Weak<Inner>);

impl WeakNode {
    pub(crate) fn get(&self) -> Option<Node> {
        self.0.upgrade().map(|inner| Node { inner })
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("home", &self.inner.home.path())
            .finish_non_exhaustive()
    }
}

/// Where a space stands in this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Position {
    /// On a branch: edits are staged there.
    Branch(BranchName),
    /// At a commit: reads only.
    Detached(CommitId),
}

impl From<Position> for allod_tables::Own {
    fn from(position: Position) -> Self {
        match position {
            Position::Branch(branch) => Self::Working(branch),
            Position::Detached(commit) => Self::Commit(commit),
        }
    }
}

pub(crate) const CURRENT: &[u8] = b"node/current";

pub(crate) fn name_ref(name: &str) -> Vec<u8> {
    [b"node/name/", name.as_bytes()].concat()
}

fn position_ref(space: SpaceId) -> Vec<u8> {
    [&b"node/position/"[..], &space.cid().to_bytes()].concat()
}

impl Node {
    /// Opens a home. With `keys` the node can sign and speak to others; without, it reads.
    pub fn open(home: Home, keys: Option<Keystore>) -> Result<Self, NodeError> {
        let config = home.config()?;
        let home_lock = home.lock()?;
        let packing = Packing::new(config.compression);
        let store = home.open_store(config.store, packing.clone())?;
        let metrics = Metrics::new();
        let timings = Timings::new(clock::ticks());
        let announcing = Arc::new(AnnouncingStore::new(store)?);
        let telling = Telling::new(Arc::clone(&announcing))?;
        let store = Arc::new(MeteredStore::new(
            announcing,
            metrics.clone(),
            clock::ticks(),
        ));
        let (device_key, agent_keys) = match keys {
            Some(keys) => {
                let (agent, next) = (keys.agent, keys.next_agent);
                (Some(keys.device), AgentKeys { agent, next })
            }
            None => (None, AgentKeys::default()),
        };
        let inner = Inner {
            _lock: home_lock,
            store: store.clone(),
            packing,
            metrics,
            timings,
            hooks: Arc::new(Hooks::new(home.path(), store.clone())),
            views: Arc::default(),
            links: Links::default(),
            known_peers: KnownPeers::default(),
            claims: Claims::default(),
            telling,
            federating: Federating::default(),
            trusting: Trusting::new(home.path()),
            doors: Doors::default(),
            tokens: Tokens::default(),
            saying: std::sync::Mutex::default(),
            agents: Agents::new(store.clone()),
            config: std::sync::Mutex::new(config),
            device_key,
            agent_keys: std::sync::Mutex::new(agent_keys),
            pairings: Pairings::default(),
            own: OwnDevices::default(),
            spaces: std::sync::Mutex::default(),
            changed: watch::Sender::new(0),
            heard: watch::Sender::new(0),
            home,
        };
        let node = Self {
            inner: Arc::new(inner),
        };
        node.settle_rotation()?;
        Ok(node)
    }

    /// The connections that stay open.
    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    /// Who is told of the log.
    pub(crate) fn telling(&self) -> &Telling {
        &self.inner.telling
    }

    /// The federations that run.
    pub(crate) fn federating(&self) -> &Federating {
        &self.inner.federating
    }

    /// Held by who signs a key event.
    pub(crate) fn saying(&self) -> MutexGuard<'_, ()> {
        lock(&self.inner.saying)
    }

    /// How often doors were passed.
    pub(crate) fn doors(&self) -> &Doors {
        &self.inner.doors
    }

    /// The session tokens that were given back.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// What is known of who says what of whom.
    pub(crate) fn trusting(&self) -> &Trusting {
        &self.inner.trusting
    }

    /// A handle that does not keep the home open.
    pub(crate) fn weak(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.inner))
    }

    /// What the sessions of this node fetch together (SYNC-18).
    pub(crate) fn claims(&self) -> &Claims {
        &self.inner.claims
    }

    pub(crate) fn known_peers(&self) -> &KnownPeers {
        &self.inner.known_peers
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// How long the store took for what it was asked since the home was opened.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// How long the spaces took for what they were asked since the home was opened.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.inner.timings
    }

    /// How the home was made.
    #[must_use]
    pub fn config(&self) -> HomeConfig {
        self.inner
            .config
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Whether the keys are open.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.inner.device_key.is_some()
    }

    /// The keys of the agent that are here.
    pub(crate) fn agent_keys(&self) -> AgentKeys {
        lock(&self.inner.agent_keys).clone()
    }

    /// Keeps other keys of the agent at hand.
    pub(crate) fn set_agent_keys(&self, keys: AgentKeys) {
        *lock(&self.inner.agent_keys) = keys;
    }

    /// The code that waits for a new device.
    pub(crate) fn pairings(&self) -> &Pairings {
        &self.inner.pairings
    }

    /// What the other devices of the agent were told.
    pub(crate) fn own_devices(&self) -> &OwnDevices {
        &self.inner.own
    }

    /// The device's key.
    pub fn device_key(&self) -> Result<&SecretKey, NodeError> {
        let key = self.inner.device_key.as_ref();
        key.ok_or(NodeError::NoPassphrase)
    }

    /// This device.
    pub fn device(&self) -> Result<DeviceId, NodeError> {
        let config = self.config();
        let path = self.inner.home.path().join("config.json");
        config
            .device
            .parse()
            .map_err(|_error| NodeError::Config(path, "device".to_owned()))
    }

    /// Whom this device acts for.
    pub fn agent(&self) -> Result<AgentId, NodeError> {
        let config = self.config();
        let path = self.inner.home.path().join("config.json");
        match config.agent {
            None => Err(NodeError::NoAgent(self.device()?)),
            Some(agent) => agent
                .parse()
                .map_err(|_error| NodeError::Config(path, "agent".to_owned())),
        }
    }

    /// Who signs here.
    pub fn author(&self) -> Result<Author<'_>, NodeError> {
        Ok(Author {
            agent: self.agent()?,
            key: self.device_key()?,
        })
    }

    /// The key logs known here.
    #[must_use]
    pub fn agents(&self) -> Agents {
        self.inner.agents.clone()
    }

    /// Compresses new blocks differently from now on, also after a restart. What is stored already
    /// stays as it is, and readable.
    pub fn set_compression(&self, compression: Compression) -> Result<(), NodeError> {
        let mut config = self.config();
        config.compression = compression;
        self.configure(config)?;
        self.inner.packing.set(compression);
        Ok(())
    }

    pub(crate) fn configure(&self, config: HomeConfig) -> Result<(), NodeError> {
        self.inner.home.write_config(&config)?;
        *self
            .inner
            .config
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = config;
        Ok(())
    }

    /// Decides anew what counts in all spaces: something was learned of an agent (REPO-104).
    pub(crate) fn heed(&self) -> Result<(), NodeError> {
        let mut fault = None;
        for (_, id) in self.spaces()? {
            // One that cannot be read keeps no other from being looked at.
            let heeded = self.repo(id).map(|repo| repo.heed_logs());
            match heeded {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => fault = Some(error.into()),
                Err(error) => fault = Some(error),
            }
        }
        self.judge_again()?;
        fault.map_or(Ok(()), Err)
    }

    /// Begins a space that this agent owns, and makes it the current one.
    pub fn create_space(&self, name: &str) -> Result<Repo, NodeError> {
        self.check_free(name)?;
        let genesis = Genesis {
            at: now_ms(),
            class: SpaceClass::Convergent,
            name: name.to_owned(),
            nonce: random()?,
            owner: self.agent()?,
        };
        let made = Repo::create(Arc::clone(&self.inner.store), genesis, self.author()?)?;
        let repo = self.repo(made.id())?;
        self.register(&repo, name, true)?;
        Ok(repo)
    }

    /// Refuses a name that another space has here.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), NodeError> {
        let names_another = name.parse::<SpaceId>().is_ok();
        match self.inner.store.get_ref(&name_ref(name))? {
            None if !names_another => Ok(()),
            _ => Err(NodeError::NameTaken(name.to_owned())),
        }
    }

    /// Gives a space a name here, and makes it the current one if it `is_current` or there is none.
    pub(crate) fn register(
        &self,
        repo: &Repo,
        name: &str,
        is_current: bool,
    ) -> Result<(), NodeError> {
        let id = repo.id().cid().to_bytes();
        let mut batch = Batch::new();
        batch.set_ref(name_ref(name), Expect::Absent, Some(id.clone()));
        if is_current || self.inner.store.get_ref(CURRENT)?.is_none() {
            batch.set_ref(CURRENT, Expect::Any, Some(id));
        }
        match self.inner.store.commit(batch)? {
            BatchOutcome::Done { .. } => {}
            BatchOutcome::Moved { .. } => return Err(NodeError::NameTaken(name.to_owned())),
        }
        let mut spaces = self.spaces_lock();
        if !spaces.iter().any(|known| known.id() == repo.id()) {
            spaces.push(self.attended(repo.clone()));
        }
        Ok(())
    }

    /// A handle that is timed, and whose commits are judged by the types of the space and put to the
    /// hooks of the home.
    fn attended(&self, repo: Repo) -> Repo {
        let hooks = Arc::clone(&self.inner.hooks);
        let views = Arc::clone(&self.inner.views);
        let repo = repo
            .judged_by(judge_of(self.weak()))
            .telling_denials(denials_of(self.weak()));
        repo.timed(self.inner.timings.clone())
            .hooked(Arc::new(move |proposal| {
                let judged = views.judge(proposal).and_then(|()| hooks.propose(proposal));
                judged.inspect_err(|objection| hooks.note_refusal(proposal.act, objection))
            }))
    }

    pub(crate) fn all_views(&self) -> &AllViews {
        &self.inner.views
    }

    pub(crate) fn hooks_of(&self) -> &Hooks {
        &self.inner.hooks
    }

    pub(crate) fn spaces_lock(&self) -> MutexGuard<'_, Vec<Repo>> {
        self.inner
            .spaces
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The spaces here with their names, by name.
    pub fn spaces(&self) -> Result<Vec<(String, SpaceId)>, NodeError> {
        names(self.inner.store.as_ref())
    }

    /// A space by its name here or its id; without either, the current one.
    pub fn space(&self, name: Option<&str>) -> Result<Repo, NodeError> {
        let id = match name {
            None => match self.inner.store.get_ref(CURRENT)? {
                None => return Err(NodeError::NoCurrentSpace),
                Some(id) => space_id(&id)?,
            },
            Some(name) => match self.inner.store.get_ref(&name_ref(name))? {
                Some(id) => space_id(&id)?,
                None => name
                    .parse()
                    .map_err(|_error| NodeError::NoSuchSpace(name.to_owned()))?,
            },
        };
        match self.repo(id) {
            Err(NodeError::Repo(RepoError::NoSpace(_))) => {
                Err(NodeError::NoSuchSpace(name.unwrap_or_default().to_owned()))
            }
            other => other,
        }
    }

    /// A handle on a space.
    pub fn repo(&self, id: SpaceId) -> Result<Repo, NodeError> {
        let mut spaces = self.spaces_lock();
        if let Some(repo) = spaces.iter().find(|repo| repo.id() == id) {
            return Ok(repo.clone());
        }
        if self.is_left(id)? {
            return Err(RepoError::NoSpace(id).into());
        }
        let (store, agents) = (Arc::clone(&self.inner.store), self.agents());
        let repo = Repo::open_with(store, id, agents)?.on_device(self.device()?);
        let repo = self.attended(repo);
        spaces.push(repo.clone());
        Ok(repo)
    }

    /// Makes a space the current one.
    pub fn use_space(&self, repo: &Repo) -> Result<(), NodeError> {
        self.set(CURRENT, repo.id().cid().to_bytes())
    }

    pub(crate) fn set(&self, name: impl Into<Bytes>, value: Vec<u8>) -> Result<(), NodeError> {
        let mut batch = Batch::new();
        batch.set_ref(name, Expect::Any, Some(value));
        let _outcome = self.inner.store.commit(batch)?;
        Ok(())
    }

    /// Where a space stands; `main` unless it was switched.
    pub fn position(&self, repo: &Repo) -> Result<Position, NodeError> {
        let Some(value) = self.inner.store.get_ref(&position_ref(repo.id()))? else {
            return Ok(Position::Branch(BranchName::main()));
        };
        let text = String::from_utf8_lossy(&value);
        let damaged = || NodeError::Repo(RepoError::Damaged("its position does not decode"));
        match text.split_once(' ') {
            Some(("branch", name)) => {
                Ok(Position::Branch(name.parse().map_err(|_error| damaged())?))
            }
            Some(("commit", id)) => Ok(Position::Detached(id.parse().map_err(|_error| damaged())?)),
            _ => Err(damaged()),
        }
    }

    /// Moves a space to a branch or commit.
    pub fn switch(&self, repo: &Repo, position: &Position) -> Result<(), NodeError> {
        let text = match position {
            Position::Branch(name) => format!("branch {name}"),
            Position::Detached(id) => format!("commit {id}"),
        };
        self.set(position_ref(repo.id()), text.into_bytes())
    }

    /// The tickets that this node issued.
    #[must_use]
    pub fn tickets(&self) -> Tickets {
        Tickets::new(Arc::clone(&self.inner.store))
    }

    /// At most `limit` moves of heads from position `from` of the log on, each with its position:
    /// everything that happened to the spaces here, in order.
    pub fn moves(&self, from: u64, limit: usize) -> Result<Vec<(u64, RefMove)>, NodeError> {
        let entries = self.inner.store.read_log(from, limit)?;
        entries
            .into_iter()
            .map(|entry| Ok((entry.position, RefMove::decode(&entry.bytes)?)))
            .collect()
    }

    /// Tells whoever watches that something may have changed.
    pub fn touch(&self) {
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Tells whoever watches that something was learned of a peer.
    pub(crate) fn tell_of_peers(&self) {
        self.inner.heard.send_modify(|count| *count += 1);
    }

    /// Hears when something was learned of a peer, as after each session, also one that only gave something
    /// away.
    #[must_use]
    pub fn watch_peers(&self) -> watch::Receiver<u64> {
        self.inner.heard.subscribe()
    }

    /// Whether a connection to a device is open. Only a running node keeps some.
    #[must_use]
    pub fn is_connected(&self, device: DeviceId) -> bool {
        self.inner.links.get(device).is_some()
    }

    /// How many devices a connection is open to.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.inner.links.len()
    }

    /// Hears when a connection that is kept comes or goes.
    #[must_use]
    pub fn watch_connections(&self) -> watch::Receiver<u64> {
        self.inner.links.watch()
    }

    /// Hears of changes: after a command, after a session.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }
}

/// The spaces of a store with their names, by name.
pub(crate) fn names(store: &dyn Store) -> Result<Vec<(String, SpaceId)>, NodeError> {
    let page = store.scan_refs(b"node/name/", None, 100_000)?;
    page.iter()
        .map(|(name, id)| {
            let name = String::from_utf8_lossy(&name[b"node/name/".len()..]).into_owned();
            Ok((name, space_id(id)?))
        })
        .collect()
}

fn space_id(bytes: &[u8]) -> Result<SpaceId, NodeError> {
    Cid::try_from(bytes)
        .map(SpaceId::from_cid)
        .map_err(|_error| NodeError::Repo(RepoError::Damaged("a space's id does not decode")))
}
