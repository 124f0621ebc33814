//! The federations of a running node, and their links (FED-50 to FED-53).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allod_access::Target;
use allod_deltas::SpaceDeltas;
use allod_federation::{Clock, Federation, FederationOptions, Me, RemoteLink, Unsubscribe};
use allod_repo::{BranchName, Repo, SpaceId};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::dialing::dial;
use super::following::{Following, LeftOut, follow};
use super::register::{FederatingError, LinkState, Register};
use super::settings::{LinkDefinition, Shared};
use super::standing::{Heard, hear, state};
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::hooks::lock;
use crate::node::Node;
use crate::seeing::Sight;

/// How often it is looked what changed without a word, and what is known of links is kept.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long all links together may take to part when the node stops (FED-56).
const PARTING: Duration = Duration::from_secs(5);

/// Links that cannot be opened, and why.
type Failed = BTreeMap<String, String>;

/// The federations of a running node.
#[derive(Default)]
pub(crate) struct Federating {
    pub(super) running: Mutex<BTreeMap<SpaceId, Running>>,
    /// Links that are not open, and why.
    pub(super) failed: Mutex<Failed>,
    /// Spaces whose federation is not open, and why.
    pub(super) broken: Mutex<BTreeMap<SpaceId, String>>,
    /// Spaces that could not be told or brought into, and why.
    pub(super) troubles: Mutex<BTreeMap<SpaceId, String>>,
    /// What was neither told nor brought since the node runs.
    pub(super) left_out: Mutex<BTreeMap<SpaceId, LeftOut>>,
    changed: Notify,
}

/// A federation, and its links.
pub(super) struct Running {
    pub(super) shared: Shared,
    pub(super) federation: Federation,
    pub(super) links: BTreeMap<String, Live>,
    pub(super) heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    pub(super) following: JoinHandle<()>,
    pub(super) _hearing: Unsubscribe,
}

/// A link that is open, or being opened.
pub(super) struct Live {
    definition: LinkDefinition,
    pub(super) link: RemoteLink,
    /// What was known of it when it was opened.
    pub(super) before: LinkState,
    kept: LinkState,
}

/// Through what others come to a space.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) federation: Federation,
    /// Whether no token is asked for.
    pub(crate) is_open: bool,
    /// A file with a token of the space alone.
    pub(crate) token: Option<PathBuf>,
}

/// The clock of the system, and chance: each number from a secret and how many there were.
pub(super) struct NodeClock {
    pub(super) secret: [u8; 32],
    pub(super) count: AtomicU64,
}

impl Clock for NodeClock {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn random(&self) -> [u8; 32] {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new_with_prefix(self.secret);
        hash.update(count.to_le_bytes());
        hash.finalize().into()
    }
}

impl Node {
    /// How the spaces of this node are federated.
    #[must_use]
    pub fn federations(&self) -> Register {
        Register::new(Arc::clone(self.store()))
    }

    /// The deltas on a branch of a space, written for this agent and signed by this device.
    pub fn deltas(&self, repo: &Repo, branch: &BranchName) -> Result<SpaceDeltas, NodeError> {
        let key = self.device_key()?.clone();
        Ok(SpaceDeltas::new(
            repo.clone(),
            branch.clone(),
            self.agent()?,
            key,
        ))
    }

    /// Says that what is federated, or how, was changed.
    pub fn federation_changed(&self) {
        self.federating().changed.notify_one();
    }

    /// Opens the federations of this node and keeps their links open, also those that come later, until `stop`
    /// becomes true.
    pub async fn federate(&self, mut stop: watch::Receiver<bool>) {
        let federating = self.federating();
        loop {
            self.reconcile(&stop).await;
            tokio::select! {
                () = federating.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let ended: Vec<Running> = {
            let mut running = lock(&federating.running);
            std::mem::take(&mut *running).into_values().collect()
        };
        for running in &ended {
            running.federation.close();
        }
        // All of them part at once; who does not in time is left.
        let has_links = |running: &Running| !running.federation.links().is_empty();
        let part = async {
            while ended.iter().any(has_links) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        drop(timeout(PARTING, part).await);
        let states = ended.iter().flat_map(Running::states).collect();
        self.keep_states(states).await;
        for running in ended {
            drop(running.following.await);
        }
    }

    /// Makes what runs what is kept: each space and each link by itself.
    async fn reconcile(&self, stop: &watch::Receiver<bool>) {
        let node = self.clone();
        let read = spawn_blocking(move || node.wanted()).await;
        // A store that cannot be read now is read again.
        let Ok(Ok(wanted)) = read else { return };
        let mut broken = wanted.broken;
        let mut failed = wanted.failed;
        let mut commands = Vec::new();
        let (mut states, mut ended) = (Vec::new(), BTreeMap::new());
        {
            let mut all = lock(&self.federating().running);
            all.retain(|space, running| {
                let of_space = wanted.spaces.get(space);
                let stays = of_space.is_some_and(|it| it.shared == running.shared);
                if !stays {
                    ended.extend(running.states());
                    running.federation.close();
                }
                stays
            });
            states.extend(ended.clone());
            for (space, mut wanted) in wanted.spaces {
                // Links that are opened again go on counting from where they ended just now.
                for (name, _, before) in &mut wanted.links {
                    if let Some(state) = ended.remove(name) {
                        *before = state;
                    }
                }
                let running = match all.entry(space) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => {
                        match self.open_federation(space, wanted.shared.clone(), stop) {
                            Ok(running) => vacant.insert(running),
                            Err(error) => {
                                let names = wanted.links.into_iter().map(|(name, ..)| name);
                                failed.extend(names.map(|name| (name, error.to_string())));
                                broken.insert(space, error.to_string());
                                continue;
                            }
                        }
                    }
                };
                running.set_links(wanted.links, &mut commands);
                states.extend(running.unkept());
            }
            // What was wrong with a space that is followed no more is wrong no more.
            let federating = self.federating();
            lock(&federating.troubles).retain(|space, _| all.contains_key(space));
            lock(&federating.left_out).retain(|space, _| all.contains_key(space));
            *lock(&federating.failed) = failed;
            *lock(&federating.broken) = broken;
        }
        for (link, paused) in commands {
            match paused {
                Some(true) => link.pause().await,
                Some(false) => link.resume().await,
                None => link.disconnect().await,
            }
        }
        self.keep_states(states).await;
    }

    /// Keeps what is known of links.
    async fn keep_states(&self, states: Vec<(String, LinkState)>) {
        let register = self.federations();
        let keeping = spawn_blocking(move || {
            for (name, state) in states {
                // What is known of a link is no reason to end it.
                drop(register.keep(&name, &state));
            }
        });
        drop(keeping.await);
    }

    /// What is to run, and what cannot.
    fn wanted(&self) -> Result<Wanted, NodeError> {
        let register = self.federations();
        let mut wanted = Wanted::default();
        for (space, shared) in register.spaces()? {
            match shared {
                Ok(shared) => {
                    let links = Vec::new();
                    wanted.spaces.insert(space, OfSpace { shared, links });
                }
                Err(error) => {
                    wanted.broken.insert(space, error.to_string());
                }
            }
        }
        for (name, definition) in register.links()? {
            match wanted.place(definition) {
                Ok((definition, links)) => {
                    // What was counted before is no reason to open none.
                    let before = register.state(&name).unwrap_or_default();
                    links.push((name, definition, before));
                }
                Err(words) => {
                    wanted.failed.insert(name, words);
                }
            }
        }
        wanted.spaces.retain(|_, it| {
            let works = it.shared.tell.is_some() || it.shared.bring.is_some();
            it.shared.served || works || !it.links.is_empty()
        });
        Ok(wanted)
    }

    fn open_federation(
        &self,
        space: SpaceId,
        shared: Shared,
        stop: &watch::Receiver<bool>,
    ) -> Result<Running, NodeError> {
        let repo = self.repo(space)?;
        let branch = shared.branch.clone();
        self.check_federates(&repo, &branch)?;
        let me = Me {
            system_id: self.device()?.to_string(),
            store: format!("{}/{space}/{branch}", self.feed().epoch()),
            key: Some(self.device_key()?.clone()),
        };
        let clock = NodeClock {
            secret: random()?,
            count: AtomicU64::new(0),
        };
        let rules = shared.rules().map_err(FederatingError::from)?;
        let mut options = FederationOptions::new(me, rules, Arc::new(clock));
        options.connections_max = shared.links;
        options.positions = Arc::new(self.federations().positions(space, &shared));
        let store = Arc::new(self.deltas(&repo, &branch)?);
        let federation = Federation::new(store, options);
        let heard: Arc<Mutex<BTreeMap<String, Heard>>> = Arc::default();
        let hearing = federation.on_event({
            let heard = Arc::clone(&heard);
            move |link, event| hear(&mut lock(&heard), link, event)
        });
        let following = Following {
            node: self.clone(),
            repo,
            shared: shared.clone(),
            federation: federation.clone(),
            stop: stop.clone(),
        };
        Ok(Running {
            following: tokio::spawn(follow(following)),
            shared,
            federation,
            links: BTreeMap::new(),
            heard,
            _hearing: hearing,
        })
    }

    /// Refuses to federate a branch that the node's agent may not read all of: links are told what it may read, and by no
    /// rights of their own. It is tried again and again, and so noted nowhere.
    fn check_federates(&self, repo: &Repo, branch: &BranchName) -> Result<(), NodeError> {
        let who = self.principal()?;
        let all = (branch.as_str(), Target::Prefix(b""));
        let sight = Sight::of(&repo.authorizer()?, &who, all);
        if sight.is_some_and(|sight| sight.is_whole()) {
            return Ok(());
        }
        Err(NodeError::Denied {
            door: allod_access::Door::FederationTells.name(),
            why: format!("this node's agent may not read all of {branch}"),
        })
    }

    /// Where others come in to a space of this name or id, or to the one without a name.
    pub(crate) fn federation_door(&self, name: Option<&str>) -> Result<Option<Door>, NodeError> {
        let space = match name {
            Some(name) => match self.space(Some(name)) {
                Ok(repo) => Some(repo.id()),
                Err(NodeError::NoSuchSpace(_)) => None,
                Err(error) => return Err(error),
            },
            None => self.federations().default_space()?,
        };
        let all = lock(&self.federating().running);
        let running = space.and_then(|space| all.get(&space));
        let served = running.filter(|running| running.shared.served);
        Ok(served.map(|running| Door {
            federation: running.federation.clone(),
            is_open: running.shared.anyone,
            token: running.shared.token.clone(),
        }))
    }
}

/// A link that is to be open, and what is known of it.
type Link = (String, LinkDefinition, LinkState);

/// What is to run of a space.
struct OfSpace {
    shared: Shared,
    links: Vec<Link>,
}

/// What is to run, and what cannot and why.
#[derive(Default)]
struct Wanted {
    spaces: BTreeMap<SpaceId, OfSpace>,
    broken: BTreeMap<SpaceId, String>,
    failed: Failed,
}

impl Wanted {
    /// The links that a link belongs to, or why it cannot be open.
    fn place(
        &mut self,
        definition: Result<LinkDefinition, FederatingError>,
    ) -> Result<(LinkDefinition, &mut Vec<Link>), String> {
        let definition = definition.map_err(|error| error.to_string())?;
        let checked = definition.check();
        checked.map_err(|error| error.to_string())?;
        let space = definition.space.parse().ok();
        let of_space = space.and_then(|space| self.spaces.get_mut(&space));
        let of_space = of_space.ok_or("its space is not federated")?;
        Ok((definition, &mut of_space.links))
    }
}

impl Running {
    /// Opens links that are not there, and says what is to be done with those that are: pause, resume, end. One that
    /// leads elsewhere now, or otherwise, is another.
    pub(super) fn set_links(
        &mut self,
        wanted: Vec<Link>,
        commands: &mut Vec<(RemoteLink, Option<bool>)>,
    ) {
        let heard = lock(&self.heard);
        let mut ended = BTreeMap::new();
        self.links.retain(|name, live| {
            let found = wanted.iter().find(|(wanted, ..)| wanted == name);
            let stays = found.is_some_and(|(_, definition, _)| {
                let mut known = live.definition.clone();
                known.paused = definition.paused;
                known == *definition
            });
            if !stays {
                commands.push((live.link.clone(), None));
                let state = state(&live.before, &live.link, heard.get(live.link.id()));
                ended.insert(name.clone(), state);
            }
            stays
        });
        drop(heard);
        for (name, definition, before) in wanted {
            if let Some(live) = self.links.get_mut(&name) {
                if live.definition.paused != definition.paused {
                    commands.push((live.link.clone(), Some(definition.paused)));
                    live.definition = definition;
                }
                continue;
            }
            // One that rests is opened when it goes on: nothing is lost meanwhile.
            let (false, Ok(config)) = (definition.paused, definition.config()) else {
                continue;
            };
            let (url, shared) = (definition.url.clone(), self.shared.clone());
            let to = definition.clone();
            let dialing = move || dial(&to, &shared).map_err(|error| error.to_string());
            let federation = &self.federation;
            let link = federation.keep_connected(&url, config, Arc::new(dialing));
            let before = ended.remove(&name).unwrap_or(before);
            let live = Live {
                definition,
                link,
                kept: before.clone(),
                before,
            };
            self.links.insert(name, live);
        }
    }

    fn states(&self) -> Vec<(String, LinkState)> {
        let heard = lock(&self.heard);
        let links = self.links.iter();
        links
            .map(|(name, live)| {
                let state = state(&live.before, &live.link, heard.get(live.link.id()));
                (name.clone(), state)
            })
            .collect()
    }

    /// What is not kept yet.
    fn unkept(&mut self) -> Vec<(String, LinkState)> {
        let mut states = self.states();
        states.retain(|(name, state)| match self.links.get_mut(name) {
            Some(live) if live.kept != *state => {
                live.kept = state.clone();
                true
            }
            _ => false,
        });
        states
    }
}
