//! A world about keys: agents whose devices are stolen, whose keys are changed, who are recovered and who contradict
//! themselves, while their nodes write and meet apart (IDENT-33 to IDENT-44, REPO-100 to REPO-105).
//!
//! Nodes and sessions are the real ones; stores do not fail here, and time is what each node's clock makes of it.

mod checks;
mod people;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_identity::{KeyLog, SecretKey};
use allod_repo::{Agents, Author, BranchName, CommitId, Edit, Genesis, Refusal, Repo, SpaceClass};
use allod_sync::{Input, Me, Output, Scope, Session};
use bytes::Bytes;

use crate::rng::Rng;
use people::{Agent, events_of};

/// When such a world begins, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;

/// How far a clock is off at most: less than what a replica puts up with between two.
const SKEW_MS: u64 = 120_000;

/// Rounds in which all meet all at the end.
const ROUNDS: usize = 6;

/// Steps of a session after which it is taken for endless.
const STEPS_MAX: usize = 20_000;

/// What happened in a world about keys.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KeySummary {
    /// Commits that were made.
    pub commits: u64,
    /// Sessions that came to their end.
    pub sessions: u64,
    /// Devices that were removed.
    pub removed: u64,
    /// Keys that were changed.
    pub rotated: u64,
    /// Agents that were recovered by guardians.
    pub recovered: u64,
    /// Times that a node saw after a session that an agent contradicts itself.
    pub frozen: u64,
    /// Commits that counted for nobody at the end.
    pub beside: u64,
}

/// One node: a replica, the device that it is, and whether a thief has it.
struct Node {
    repo: Repo,
    device: SecretKey,
    agent: usize,
    skew_ms: u64,
    is_stolen: bool,
}

struct KeyWorld {
    rng: Rng,
    now_ms: u64,
    agents: Vec<Agent>,
    nodes: Vec<Node>,
    /// Which side of a partition each node is on.
    sides: Vec<bool>,
    is_parted: bool,
    /// Whether the persons have answered what thieves did.
    is_healed: bool,
    all: BTreeSet<CommitId>,
    summary: KeySummary,
}

/// Runs the world about keys of a seed to its end.
///
/// # Errors
/// What does not hold, in words.
pub fn run_keys(seed: u64) -> Result<KeySummary, String> {
    let mut world = KeyWorld::new(seed)?;
    for _ in 0..world.rng.within(30, 90) {
        world.now_ms += world.rng.below(5_000);
        world.happen()?;
    }
    world.heal()?;
    Ok(world.summary)
}

impl KeyWorld {
    fn new(seed: u64) -> Result<Self, String> {
        let mut rng = Rng::new(seed ^ 0x6b65_7973);
        let mut agents: Vec<Agent> = Vec::new();
        for _ in 0..rng.within(2, 4) {
            agents.push(Agent::new(&mut rng)?);
        }
        let owner = agents[0].id();
        let genesis = Genesis {
            at: START_MS,
            class: SpaceClass::Convergent,
            name: "keys".to_owned(),
            nonce: [3; 16],
            owner,
        };
        let mut nodes: Vec<Node> = Vec::new();
        let count = agents.len() as u64 + rng.within(2, 5);
        for number in 0..count as usize {
            let agent = number % agents.len();
            let device = SecretKey::from_seed(rng.seed());
            agents[agent].add(&device, START_MS)?;
            let skew_ms = rng.below(SKEW_MS);
            let store = Arc::new(MemoryStore::new());
            let repo = match nodes.first() {
                None => {
                    learn(&Agents::new(store.clone()), &agents[0].log)?;
                    let author = Author {
                        agent: owner,
                        key: &device,
                    };
                    Repo::create(store, genesis.clone(), author).map_err(words)?
                }
                Some(first) => {
                    learn(&Agents::new(store.clone()), &agents[0].log)?;
                    let genesis = first.repo.genesis().bytes().clone();
                    Repo::adopt(store, genesis).map_err(words)?
                }
            };
            let repo = repo.on_device(device.device_id());
            nodes.push(Node {
                repo,
                device,
                agent,
                skew_ms,
                is_stolen: false,
            });
        }
        let mut world = Self {
            rng,
            now_ms: START_MS,
            sides: vec![false; nodes.len()],
            is_parted: false,
            is_healed: false,
            all: BTreeSet::new(),
            summary: KeySummary::default(),
            agents,
            nodes,
        };
        world.begin()?;
        Ok(world)
    }

    /// Everybody is a member, and knows who acts for whom.
    fn begin(&mut self) -> Result<(), String> {
        let logs: Vec<KeyLog> = self.agents.iter().map(|agent| agent.log.clone()).collect();
        for node in &self.nodes {
            for log in &logs {
                learn(node.repo.agents(), log)?;
            }
            node.repo.heed_logs().map_err(words)?;
        }
        for agent in 1..self.agents.len() {
            let (member, first) = (self.agents[agent].id(), &self.nodes[0]);
            let author = Author {
                agent: self.agents[0].id(),
                key: &first.device,
            };
            let made = first.repo.add_member(&member, author, START_MS);
            let _made = made.map_err(words)?;
        }
        // All of them have heard of all members, whom nobody can take back.
        for node in 1..self.nodes.len() {
            self.meet(0, node, usize::MAX)?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Result<(), String> {
        let node = self.rng.index(self.nodes.len());
        let agent = self.nodes[node].agent;
        match self.rng.below(100) {
            0..35 => self.write(node),
            35..72 => {
                let other = self.rng.index(self.nodes.len());
                let cut = if self.rng.chance(25) {
                    self.rng.index(12)
                } else {
                    usize::MAX
                };
                let apart = self.is_parted && self.sides[node] != self.sides[other];
                if node == other || apart {
                    return Ok(());
                }
                self.meet(node, other, cut)
            }
            72..78 => {
                self.is_parted = !self.is_parted;
                for side in &mut self.sides {
                    *side = self.rng.chance(50);
                }
                Ok(())
            }
            78..83 => {
                self.steal(node);
                Ok(())
            }
            83..88 => self.thief_acts(agent),
            88..94 => self.remove_stolen(node),
            94..97 => self.rotate(node),
            _ => self.recover(node),
        }
    }

    /// A node writes, unless it knows that its device may not.
    fn write(&mut self, node: usize) -> Result<(), String> {
        let now = self.clock(node);
        let key = format!("key {}", self.rng.below(6));
        let value = self.rng.bytes(6);
        let Node {
            repo,
            device,
            agent,
            ..
        } = &self.nodes[node];
        let author = Author {
            agent: self.agents[*agent].id(),
            key: device,
        };
        let main = BranchName::main();
        let edit = [(Bytes::from(key), Edit::Put(value.into()))];
        repo.stage(&main, edit, now).map_err(words)?;
        match repo.commit_staged(&main, author, "", now) {
            Ok(id) => {
                self.all.insert(id);
                self.summary.commits += 1;
                Ok(())
            }
            Err(error) => match error.refusal() {
                Some(Refusal::Device | Refusal::Equivocation) => {
                    self.speaks_not(node, "could not write")
                }
                // A thief of the owner's key can take the devices away that said who is a member, until the owner answers.
                Some(Refusal::NotMember) if !self.is_healed => Ok(()),
                _ => Err(words(error)),
            },
        }
    }

    /// Only who speaks for nobody is refused.
    fn speaks_not(&self, node: usize, what: &str) -> Result<(), String> {
        let Node {
            repo,
            device,
            agent,
            ..
        } = &self.nodes[node];
        let log = repo
            .agents()
            .key_log(&self.agents[*agent].id())
            .map_err(words)?;
        let speaks = log.speaks(&device.public());
        if speaks {
            return Err(format!("node {node} {what}, though its device speaks"));
        }
        Ok(())
    }

    fn clock(&self, node: usize) -> u64 {
        self.now_ms + self.nodes[node].skew_ms
    }

    /// Two nodes have a session, of which so many frames arrive.
    fn meet(&mut self, left: usize, right: usize, cut: usize) -> Result<(), String> {
        let me = |world: &Self, node: usize, initiator| Me {
            agent: world.agents[world.nodes[node].agent].id(),
            initiator,
            introduce: true,
            scope: Scope::default(),
        };
        let times = [self.clock(left), self.clock(right)];
        let [one, other] = [left, right].map(|node| &self.nodes[node]);
        let mut sessions = [
            Session::new(
                one.repo.clone(),
                me(self, left, true),
                other.device.device_id(),
                times[0],
            ),
            Session::new(
                other.repo.clone(),
                me(self, right, false),
                one.device.device_id(),
                times[1],
            ),
        ];
        let mut wires: [VecDeque<Bytes>; 2] = Default::default();
        let (mut passed, mut moved) = (0, true);
        let mut steps = 0;
        while moved {
            moved = false;
            steps += 1;
            if steps > STEPS_MAX {
                return Err(format!("a session of {left} and {right} goes on and on"));
            }
            for side in 0..2 {
                let session = &mut sessions[side];
                if session.is_busy() {
                    session.handle(times[side], Input::Tick);
                    moved = true;
                }
                if let Some(frame) = wires[side].pop_front() {
                    session.handle(times[side], Input::Frame(frame));
                    moved = true;
                }
                while let Some(output) = session.poll() {
                    match output {
                        Output::Send(frame) if passed < cut => {
                            passed += 1;
                            wires[1 - side].push_back(frame);
                        }
                        Output::Close(_) => self.summary.sessions += 1,
                        _ => {}
                    }
                }
            }
        }
        for node in [left, right] {
            self.heads_count(node)?;
            for agent in &self.agents {
                let log = self.nodes[node].repo.agents().key_log(&agent.id());
                let is_frozen = log.map_err(words)?.equivocation().is_some();
                self.summary.frozen += u64::from(is_frozen);
            }
        }
        Ok(())
    }

    /// No head of a branch is of a key that speaks no more, as far as the node knows (REPO-101).
    fn heads_count(&self, node: usize) -> Result<(), String> {
        let repo = &self.nodes[node].repo;
        for head in repo.heads(&BranchName::main()).map_err(words)? {
            if !repo.stands(head).map_err(words)? {
                return Err(format!(
                    "node {node} has a head by a key that does not speak"
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Tells a node of a log; what it takes for unsound is passed over.
fn learn(agents: &Agents, log: &KeyLog) -> Result<(), String> {
    match agents.learn(log.agent(), &events_of(log)) {
        Ok(()) | Err(allod_repo::Rejected::Refused(_)) => Ok(()),
        Err(error) => Err(words(error)),
    }
}
