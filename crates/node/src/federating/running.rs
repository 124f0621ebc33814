//! The federations of a running node, and their links (FED-50 to FED-53).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allod_deltas::SpaceDeltas;
use allod_federation::{Clock, Dial, Federation, FederationOptions, Me, RemoteLink, Unsubscribe};
use allod_repo::{BranchName, Repo, SpaceId};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};

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

/// How often it is looked what changed without a word, and what is known of links is kept.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long links may take to part when the node stops.
const PARTING: Duration = Duration::from_secs(5);

/// Links that cannot be opened, and why.
type Failed = BTreeMap<String, String>;

/// The federations of a running node.
#[derive(Default)]
pub(crate) struct Federating {
    pub(super) running: Mutex<BTreeMap<SpaceId, Running>>,
    /// Links that are not open, and why.
    pub(super) failed: Mutex<Failed>,
    /// Spaces that could not be told or brought into, and why.
    pub(super) troubles: Mutex<BTreeMap<SpaceId, String>>,
    /// What was neither told nor brought since the node runs.
    pub(super) left_out: Mutex<BTreeMap<SpaceId, LeftOut>>,
    changed: Notify,
}

/// A federation, and its links.
pub(super) struct Running {
    shared: Shared,
    pub(super) federation: Federation,
    pub(super) links: BTreeMap<String, Live>,
    pub(super) heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    following: JoinHandle<()>,
    _hearing: Unsubscribe,
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
struct NodeClock {
    secret: [u8; 32],
    count: AtomicU64,
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
            // A store that cannot be read now is read again.
            drop(self.reconcile(&stop).await);
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
        let parting = tokio::time::Instant::now() + PARTING;
        for running in ended {
            running.federation.close();
            while !running.federation.links().is_empty() && tokio::time::Instant::now() < parting {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let states = running.states();
            let register = self.federations();
            let keeping = spawn_blocking(move || {
                for (name, state) in states {
                    drop(register.keep(&name, &state));
                }
            });
            drop(keeping.await);
            drop(running.following.await);
        }
    }

    /// Makes what runs what is kept.
    async fn reconcile(&self, stop: &watch::Receiver<bool>) -> Result<(), NodeError> {
        let node = self.clone();
        let read = spawn_blocking(move || node.wanted()).await;
        let Ok(wanted) = read else { return Ok(()) };
        let (wanted, failed) = wanted?;
        *lock(&self.federating().failed) = failed;
        let mut commands = Vec::new();
        let (mut states, mut ended) = (Vec::new(), BTreeMap::new());
        {
            let mut all = lock(&self.federating().running);
            all.retain(|space, running| {
                let stays = wanted
                    .get(space)
                    .is_some_and(|it| it.shared == running.shared);
                if !stays {
                    ended.extend(running.states());
                    running.federation.close();
                }
                stays
            });
            states.extend(ended.clone());
            for (space, mut wanted) in wanted {
                // Links that are opened again go on counting from where they ended just now.
                for (name, _, _, before) in &mut wanted.links {
                    if let Some(state) = ended.remove(name) {
                        *before = state;
                    }
                }
                let running = match all.entry(space) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(vacant) => {
                        vacant.insert(self.open_federation(space, wanted.shared.clone(), stop)?)
                    }
                };
                running.set_links(wanted.links, &mut commands);
                states.extend(running.unkept());
            }
        }
        for (link, paused) in commands {
            match paused {
                Some(true) => link.pause().await,
                Some(false) => link.resume().await,
                None => link.disconnect().await,
            }
        }
        let register = self.federations();
        let keeping = spawn_blocking(move || {
            for (name, state) in states {
                // What is known of a link is no reason to end it.
                drop(register.keep(&name, &state));
            }
        });
        drop(keeping.await);
        Ok(())
    }

    /// What is to run, and which links cannot.
    fn wanted(&self) -> Result<(BTreeMap<SpaceId, Wanted>, Failed), NodeError> {
        let register = self.federations();
        let mut wanted = BTreeMap::new();
        for (space, shared) in register.spaces()? {
            let links = Vec::new();
            wanted.insert(space, Wanted { shared, links });
        }
        let mut failed = Failed::new();
        for (name, definition) in register.links()? {
            let space = definition.space.parse().ok();
            let Some(wanted) = space.and_then(|space| wanted.get_mut(&space)) else {
                failed.insert(name, "its space is not federated".to_owned());
                continue;
            };
            let before = register.state(&name)?;
            match dial(&definition, &wanted.shared) {
                Ok(dial) => wanted.links.push((name, definition, dial, before)),
                Err(error) => {
                    failed.insert(name, error.to_string());
                }
            }
        }
        wanted.retain(|_, it| {
            let works = it.shared.tell.is_some() || it.shared.bring.is_some();
            it.shared.served || works || !it.links.is_empty()
        });
        Ok((wanted, failed))
    }

    fn open_federation(
        &self,
        space: SpaceId,
        shared: Shared,
        stop: &watch::Receiver<bool>,
    ) -> Result<Running, NodeError> {
        let repo = self.repo(space)?;
        let branch = shared.branch.clone();
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
        options.positions = Arc::new(self.federations().positions(space));
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

struct Wanted {
    shared: Shared,
    links: Vec<(String, LinkDefinition, Dial, LinkState)>,
}

impl Running {
    /// Opens links that are not there, and says what is to be done with those that are: pause, resume, end.
    fn set_links(
        &mut self,
        wanted: Vec<(String, LinkDefinition, Dial, LinkState)>,
        commands: &mut Vec<(RemoteLink, Option<bool>)>,
    ) {
        self.links.retain(|name, live| {
            let stays = wanted.iter().any(|(wanted, ..)| wanted == name);
            if !stays {
                commands.push((live.link.clone(), None));
            }
            stays
        });
        for (name, definition, dial, before) in wanted {
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
            let link = self
                .federation
                .keep_connected(&definition.url, config, dial);
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
