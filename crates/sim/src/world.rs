//! The world: nodes, connections and a queue of what happens next.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Fault, FileProfile, MemoryStore, Store, add_file};
use allod_identity::{KeyLog, SecretKey};
use allod_repo::{
    Agents, Author, BranchName, Edit, Genesis, Rejected, Repo, RepoError, SpaceClass,
};
use allod_sync::{Input, Me, Outcome, Output, Session};
use bytes::Bytes;

use crate::checks;
use crate::error::Failure;
use crate::hostile::Liar;
use crate::model::Model;
use crate::node::Node;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::wire::Wire;

/// When every world begins, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;

/// How long writers write and things break.
const BUSY_MS: u64 = 10 * 60 * 1000;

/// How long everybody rests before the last sessions, so that no stamp is in anybody's future: more
/// than twice the greatest skew and the drift.
const REST_MS: u64 = 25 * 60 * 1000;

/// Events after which a run is taken for endless.
const EVENTS_MAX: u64 = 200_000;

/// Rounds of sessions between all pairs, after which honest replicas must be equal.
const ROUNDS_MAX: usize = 6;

/// Keys that writers use: few, so that they meet.
const KEYS: u64 = 16;

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Write(usize),
    BigWrite(usize),
    Admit(usize),
    Meet(usize),
    Tick(u64, usize),
    Frame(u64, usize, Bytes),
    Break(u64),
    Arm(usize),
    Restart(usize),
    Part,
    Heal,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// A hash over every event and frame: equal runs have equal traces.
    pub trace: u64,
    /// Events handled.
    pub events: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that both sides ended as complete.
    pub completed: u64,
    /// Commits acknowledged to writers.
    pub commits: u64,
    /// Edits acknowledged to writers.
    pub edits: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Commits refused by honest nodes.
    pub refused: u64,
    /// Sessions that an honest node ended because of what its peer sent.
    pub broken: u64,
    /// Conflicts recorded at the end, over all nodes.
    pub conflicts: u64,
}

/// Whole nodes in a world of their own.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    rng: Rng,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    nodes: Vec<Node>,
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    /// Which side of a partition each node is on, while there is one.
    parted: Option<Vec<bool>>,
    liar: Liar,
    owner: SecretKey,
    model: Model,
    trace: Trace,
    summary: Summary,
}

/// Runs the world of a seed to its end.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    World::new(Scenario::of_seed(seed))?.run()
}

impl World {
    /// A world of nodes that keep their replicas in memory.
    pub fn new(scenario: Scenario) -> Result<Self, Failure> {
        Self::on_disks(scenario, &mut |_| Arc::new(MemoryStore::new()))
    }

    /// A world of nodes with stores of the caller's; the argument is the number of the node.
    pub fn on_disks(
        scenario: Scenario,
        disk: &mut dyn FnMut(usize) -> Arc<dyn Store>,
    ) -> Result<Self, Failure> {
        let mut rng = Rng::new(scenario.seed);
        let setup = |what: String| Failure::Fault { node: 0, what };
        let (owner, nodes) = settle(&scenario, &mut rng, disk).map_err(setup)?;
        let mut world = Self {
            rng,
            now_ms: START_MS,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes,
            wires: BTreeMap::new(),
            next_wire: 0,
            parted: None,
            liar: Liar::default(),
            owner,
            model: Model::new(scenario.rule),
            trace: Trace::new(),
            summary: Summary::default(),
            scenario,
        };
        world.plan();
        Ok(world)
    }

    /// Lets everything happen, then lets all honest nodes talk, and checks what they have.
    pub fn run(mut self) -> Result<Summary, Failure> {
        self.drain()?;
        self.calm()?;
        for _ in 0..ROUNDS_MAX {
            if self.round()? {
                break;
            }
        }
        self.summary.conflicts = checks::all(&self.nodes, &self.model)?;
        self.summary.trace = self.trace.value();
        self.summary.edits = self.model.edits();
        Ok(self.summary)
    }

    fn plan(&mut self) {
        let nodes = self.nodes.len();
        let moment = |rng: &mut Rng| START_MS + rng.below(BUSY_MS);
        for _ in 0..self.scenario.writes {
            let at = moment(&mut self.rng);
            let node = self.rng.index(nodes);
            self.at(at, Event::Write(node));
        }
        for _ in 0..self.rng.within(10, 24) {
            let at = moment(&mut self.rng);
            let node = self.rng.index(nodes);
            self.at(at, Event::Meet(node));
        }
        for _ in 0..self.rng.within(3, 9) {
            let at = moment(&mut self.rng);
            let node = self.rng.index(nodes);
            self.at(at, Event::Arm(node));
        }
        for _ in 0..self.rng.below(3) {
            let at = moment(&mut self.rng);
            let until = at + self.rng.below(BUSY_MS / 4);
            self.at(at, Event::Part);
            self.at(until, Event::Heal);
        }
        for agent in 1..self.scenario.agents {
            let at = START_MS + self.rng.below(BUSY_MS / 5);
            self.at(at, Event::Admit(agent));
        }
        if self.scenario.big {
            let at = moment(&mut self.rng);
            self.at(at, Event::BigWrite(0));
        }
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_ms, self.sequence), event);
    }

    fn soon(&mut self, after_ms: u64, event: Event) {
        self.at(self.now_ms + after_ms, event);
    }

    /// Handles events until there are none left.
    fn drain(&mut self) -> Result<(), Failure> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now_ms = self.now_ms.max(at);
            self.summary.events += 1;
            if self.summary.events > EVENTS_MAX {
                return Err(Failure::Endless("events go on and on"));
            }
            self.note(&event);
            self.happen(event)?;
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        self.trace.number(self.now_ms);
        match event {
            Event::Frame(wire, side, frame) => {
                self.trace.number(*wire);
                self.trace.number(*side as u64);
                self.trace.bytes(frame);
            }
            other => self.trace.bytes(format!("{other:?}").as_bytes()),
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Write(node) => self.write(node),
            Event::BigWrite(node) => self.big_write(node),
            Event::Admit(agent) => self.admit(agent),
            Event::Meet(node) => {
                let other = (node + 1 + self.rng.index(self.nodes.len() - 1)) % self.nodes.len();
                self.meet(node, other, false);
                Ok(())
            }
            Event::Tick(wire, side) => self.input(wire, side, Input::Tick),
            Event::Frame(wire, side, frame) => self.input(wire, side, Input::Frame(frame)),
            Event::Break(wire) => {
                self.wires.remove(&wire);
                Ok(())
            }
            Event::Arm(node) => {
                self.arm(node);
                Ok(())
            }
            Event::Restart(node) => self.nodes[node].restart(&mut self.model),
            Event::Part => {
                let sides = (0..self.nodes.len()).map(|_| self.rng.chance(50)).collect();
                self.parted = Some(sides);
                Ok(())
            }
            Event::Heal => {
                self.parted = None;
                Ok(())
            }
        }
    }

    fn arm(&mut self, node: usize) {
        let fault = match self.rng.below(5) {
            0 => Fault::FailCall(self.rng.below(60)),
            1 => Fault::FlipBit(self.rng.below(20)),
            2 => Fault::CrashAfter(self.rng.below(5)),
            _ => Fault::CrashBefore(self.rng.below(5)),
        };
        if self.nodes[node].repo.is_some() && self.nodes[node].fault.is_none() {
            self.nodes[node].arm(fault);
        }
    }

    /// Ends what an injected fault has begun.
    fn after(&mut self, node: usize) -> Result<(), Failure> {
        if !self.nodes[node].disk.struck() {
            return Ok(());
        }
        if !self.nodes[node].crashed() {
            return self.nodes[node].restart(&mut self.model);
        }
        self.summary.crashes += 1;
        self.nodes[node].repo = None;
        let pause = self.rng.within(10, 20_000);
        self.soon(pause, Event::Restart(node));
        for wire in self.wires.values_mut() {
            for side in 0..2 {
                if wire.ends[side] == node {
                    wire.sessions[side] = None;
                }
            }
        }
        // Its peers hear of it, or wait for nothing.
        let touched: Vec<u64> = self.touching(node);
        for wire in touched {
            if self.rng.chance(70) {
                self.soon(5, Event::Break(wire));
            }
        }
        Ok(())
    }

    fn touching(&self, node: usize) -> Vec<u64> {
        let touched = self.wires.iter().filter(|(_, wire)| wire.touches(node));
        touched.map(|(name, _)| *name).collect()
    }

    fn write(&mut self, node: usize) -> Result<(), Failure> {
        if self.nodes[node].repo.is_none() || self.nodes[node].hostile {
            return Ok(());
        }
        let branch = match self.rng.below(8) {
            0 => "side".parse().unwrap_or_else(|_| BranchName::main()),
            _ => BranchName::main(),
        };
        let mut edits = Vec::new();
        for _ in 0..self.rng.within(1, 6) {
            let key = Bytes::from(format!("key/{:02}", self.rng.below(KEYS)));
            edits.push((key, self.edit(node)));
        }
        let now = self.nodes[node].clock(self.now_ms);
        self.nodes[node].stage(&branch, edits, now)?;
        if !self.nodes[node].disk.struck() && self.rng.chance(75) {
            let done = self.nodes[node].commit(&branch, now, &mut self.model)?;
            self.summary.commits += u64::from(done.is_some());
        }
        self.after(node)
    }

    fn edit(&mut self, node: usize) -> Edit {
        match self.rng.below(20) {
            0..4 => Edit::Delete,
            4..6 => {
                let length = self.rng.within(1_000, 6_000) as usize;
                Edit::Put(self.rng.bytes(length).into())
            }
            6 => {
                let length = self.rng.below(20_000) as usize;
                let content = self.rng.bytes(length);
                // Cut small, so that a file of a few kilobytes has an index of several levels.
                let profile = FileProfile {
                    chunk_bytes: 1_000,
                    links: 4,
                };
                let platter = self.nodes[node].platter.as_ref();
                match add_file(platter, profile, &mut &content[..], &mut |_| {}) {
                    Ok(info) => Edit::Link(info.cid),
                    Err(_) => Edit::Delete,
                }
            }
            _ => {
                let length = self.rng.below(60) as usize;
                Edit::Put(self.rng.bytes(length).into())
            }
        }
    }

    /// A commit whose changes exceed what is sent as such, so that its tree is walked.
    fn big_write(&mut self, node: usize) -> Result<(), Failure> {
        if self.nodes[node].repo.is_none() {
            return Ok(());
        }
        let edits = (0..4_500)
            .map(|n| {
                let value = self.rng.bytes(960);
                (Bytes::from(format!("big/{n:05}")), Edit::Put(value.into()))
            })
            .collect();
        let now = self.nodes[node].clock(self.now_ms);
        let branch = BranchName::main();
        self.nodes[node].stage(&branch, edits, now)?;
        if !self.nodes[node].disk.struck() {
            let done = self.nodes[node].commit(&branch, now, &mut self.model)?;
            self.summary.commits += u64::from(done.is_some());
        }
        self.after(node)
    }

    /// The owner lets an agent write; tried again while its node is down.
    fn admit(&mut self, agent: usize) -> Result<(), Failure> {
        let now = self.nodes[0].clock(self.now_ms);
        let member = self.nodes[agent].agent;
        let Some(repo) = &self.nodes[0].repo else {
            self.soon(1_000, Event::Admit(agent));
            return Ok(());
        };
        let author = Author {
            agent: self.owner.agent_id(),
            key: &self.owner,
        };
        let result = repo.add_member(&member, author, now);
        match result {
            Ok(_) => {}
            Err(_) if self.nodes[0].disk.struck() => self.soon(1_000, Event::Admit(agent)),
            Err(error) => return Err(self.nodes[0].fault("add_member", &error)),
        }
        self.after(0)
    }

    /// Whether frames pass between two nodes.
    fn reaches(&self, left: usize, right: usize) -> bool {
        let parted = self.parted.as_ref();
        parted.is_none_or(|sides| sides[left] == sides[right])
    }

    /// Opens a connection with a session at each end, if both nodes are up.
    fn meet(&mut self, left: usize, right: usize, quiet: bool) {
        let ends = [left, right];
        let (Some(one), Some(other)) = (&self.nodes[left].repo, &self.nodes[right].repo) else {
            return;
        };
        if !self.reaches(left, right) {
            return;
        }
        let me = |node: &Node, initiator| Me {
            agent: node.agent,
            initiator,
            introduce: true,
            scope: allod_sync::Scope::default(),
        };
        let (a, b) = (&self.nodes[left], &self.nodes[right]);
        let sessions = [
            Session::new(one.clone(), me(a, true), b.device(), a.clock(self.now_ms)),
            Session::new(
                other.clone(),
                me(b, false),
                a.device(),
                b.clock(self.now_ms),
            ),
        ];
        self.summary.sessions += 1;
        self.next_wire += 1;
        let breaks = !quiet && self.rng.chance(25);
        let wire = Wire {
            ends,
            sessions: sessions.map(Some),
            last_ms: [self.now_ms; 2],
            latency_ms: if quiet { 1 } else { self.rng.within(1, 3_000) },
            frames_left: breaks.then(|| self.rng.below(12)),
            quiet,
        };
        let name = self.next_wire;
        self.wires.insert(name, wire);
        self.soon(0, Event::Tick(name, 0));
        self.watch(name, 0);
        self.watch(name, 1);
    }

    /// Makes sure that a session is looked at when its peer was silent for too long.
    fn watch(&mut self, wire: u64, side: usize) {
        let session = self.wires.get(&wire);
        let session = session.and_then(|wire| wire.sessions[side].as_ref());
        let Some(deadline) = session.map(Session::deadline) else {
            return;
        };
        let node = &self.nodes[self.wires[&wire].ends[side]];
        let wait = deadline.saturating_sub(node.clock(self.now_ms));
        self.soon(wait, Event::Tick(wire, side));
    }

    /// Hands a session an input and does what it asks for.
    fn input(&mut self, name: u64, side: usize, input: Input) -> Result<(), Failure> {
        let Some(mut wire) = self.wires.remove(&name) else {
            return Ok(());
        };
        let node = wire.ends[side];
        let Some(mut session) = wire.sessions[side].take() else {
            self.wires.insert(name, wire);
            return Ok(());
        };
        let now = self.nodes[node].clock(self.now_ms);
        let heard = matches!(input, Input::Frame(_));
        session.handle(now, input);
        let mut over = None;
        let mut broken = false;
        while let Some(output) = session.poll() {
            match output {
                Output::Send(frame) => broken |= !self.send(name, &mut wire, side, frame),
                Output::Event(_) => {}
                Output::Close(outcome) => over = Some(outcome),
            }
        }
        let busy = session.is_busy();
        match &over {
            Some(outcome) => self.ended(&wire, side, &session, outcome)?,
            None => wire.sessions[side] = Some(session),
        }
        if !broken && !wire.is_over() {
            self.wires.insert(name, wire);
            if busy {
                self.soon(0, Event::Tick(name, side));
            } else if heard {
                self.watch(name, side);
            }
        }
        self.after(node)
    }

    /// Sends a frame; `false` if the connection broke with it.
    fn send(&mut self, name: u64, wire: &mut Wire, side: usize, frame: Bytes) -> bool {
        let (from, to) = (wire.ends[side], wire.ends[1 - side]);
        if let Some(left) = &mut wire.frames_left {
            if *left == 0 {
                return false;
            }
            *left -= 1;
        }
        // A parted network swallows frames without a word.
        if !self.reaches(from, to) {
            return true;
        }
        let frames = if self.nodes[from].hostile {
            self.liar.bend(&mut self.rng, &frame)
        } else {
            vec![frame]
        };
        for frame in frames {
            let jitter = self.rng.below(wire.latency_ms);
            let at = (self.now_ms + wire.latency_ms + jitter).max(wire.last_ms[1 - side]);
            wire.last_ms[1 - side] = at;
            self.at(at, Event::Frame(name, 1 - side, frame));
        }
        true
    }

    /// Judges how a session ended.
    fn ended(
        &mut self,
        wire: &Wire,
        side: usize,
        session: &Session,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        let (node, peer) = (wire.ends[side], wire.ends[1 - side]);
        if self.nodes[node].hostile {
            return Ok(());
        }
        let struck = self.nodes[node].disk.struck();
        let lied_to = self.nodes[peer].hostile;
        let failed = |what: String| Failure::Session { node, peer, what };
        match outcome {
            Outcome::Complete => self.summary.completed += 1,
            Outcome::EndedByPeer { .. } => {}
            Outcome::Ended { code, reason } => {
                let expected = match *code {
                    "E_FAULT" => struck,
                    "E_NOT_MEMBER" | "E_TIMEOUT" => !wire.quiet,
                    _ => lied_to,
                };
                self.summary.broken += u64::from(lied_to);
                if !expected {
                    return Err(failed(format!("{code}: {reason}")));
                }
            }
        }
        for refused in &session.stats().refused {
            self.summary.refused += 1;
            // A stamp in the future and its children; a member of whom nothing is known yet.
            let early = ["E_FUTURE", "E_PARENT", "E_NOT_MEMBER"];
            let expected = lied_to || (!wire.quiet && early.contains(&refused.code.as_str()));
            if !expected {
                let what = format!("refused {}: {}", refused.commit, refused.reason);
                return Err(failed(what));
            }
        }
        Ok(())
    }

    /// Ends every fault, connection and partition, and lets time pass.
    fn calm(&mut self) -> Result<(), Failure> {
        self.wires.clear();
        self.parted = None;
        for node in &mut self.nodes {
            node.disarm();
            node.restart(&mut self.model)?;
        }
        self.now_ms += REST_MS;
        Ok(())
    }

    /// One session between each two honest nodes; whether nobody had anything new to tell.
    fn round(&mut self) -> Result<bool, Failure> {
        let honest: Vec<usize> = (0..self.nodes.len())
            .filter(|node| !self.nodes[*node].hostile)
            .collect();
        let before = self.heads()?;
        for left in &honest {
            for right in honest.iter().filter(|right| *right > left) {
                self.meet(*left, *right, true);
                self.drain()?;
            }
        }
        Ok(before == self.heads()?)
    }

    fn heads(&self) -> Result<Vec<Vec<allod_repo::Heads>>, Failure> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let Some(repo) = &node.repo else { continue };
            let branches = repo.branches();
            let branches = branches.map_err(|error| node.fault("branches", &error))?;
            all.push(branches.into_iter().map(|(_, heads)| heads).collect());
        }
        Ok(all)
    }
}

/// The space on every node: its genesis, the agents' key logs, a device for each node.
fn settle(
    scenario: &Scenario,
    rng: &mut Rng,
    disk: &mut dyn FnMut(usize) -> Arc<dyn Store>,
) -> Result<(SecretKey, Vec<Node>), String> {
    let agents: Vec<SecretKey> = (0..scenario.agents)
        .map(|_| SecretKey::from_seed(rng.seed()))
        .collect();
    let devices: Vec<SecretKey> = (0..scenario.nodes)
        .map(|_| SecretKey::from_seed(rng.seed()))
        .collect();
    let logs = agents
        .iter()
        .enumerate()
        .map(|(agent, key)| {
            let next = SecretKey::from_seed(rng.seed());
            let mut log = KeyLog::inception(key, &next.public())?;
            for (name, device) in devices.iter().enumerate() {
                if name % agents.len() == agent {
                    log.add_device(key, device.device_id(), format!("node {name}"), START_MS)?;
                }
            }
            Ok(log)
        })
        .collect::<Result<Vec<KeyLog>, allod_identity::KeyLogError>>()
        .map_err(|error| error.to_string())?;
    let genesis = Genesis {
        at: START_MS,
        class: SpaceClass::Convergent,
        name: "simulated".to_owned(),
        nonce: [7; 16],
        owner: agents[0].agent_id(),
    };
    let mut nodes = Vec::new();
    let mut first: Option<Repo> = None;
    for (name, device) in devices.into_iter().enumerate() {
        let agent = name % agents.len();
        let store = disk(name);
        // A node knows its own agent and the owner, as after joining by a ticket.
        for known in [0, agent] {
            let events: Vec<Bytes> = logs[known]
                .events()
                .iter()
                .map(|e| e.bytes().clone())
                .collect();
            Agents::new(Arc::clone(&store))
                .learn(&agents[known].agent_id(), &events)
                .map_err(|error: Rejected| error.to_string())?;
        }
        let repo = match &first {
            None => {
                let author = Author {
                    agent: agents[0].agent_id(),
                    key: &agents[0],
                };
                let made = Repo::create(Arc::clone(&store), genesis.clone(), author);
                made.map_err(|error: RepoError| error.to_string())?
            }
            Some(first) => Repo::adopt(Arc::clone(&store), first.genesis().bytes().clone())
                .map_err(|error| error.to_string())?,
        };
        let hostile = scenario.hostile && name + 1 == scenario.nodes;
        let skew = scenario.skew_ms.get(name).copied().unwrap_or_default();
        let identity = (agents[agent].agent_id(), device);
        let node = Node::new(name, identity, skew, hostile, store, repo.id());
        nodes.push(node.map_err(|error| error.to_string())?);
        first.get_or_insert(repo);
    }
    let mut agents = agents;
    Ok((agents.swap_remove(0), nodes))
}
