//! The world: nodes, connections and a queue of what happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_crdt::Kind;
use allod_identity::SecretKey;
use allod_repo::{Author, Repo, RepoError};
use allod_sync::Input;

use crate::checks;
use crate::error::Failure;
use crate::hostile::{Liar, Vice};
use crate::model::Model;
use crate::node::{Disk, Node};
use crate::plan::{BUSY_MS, Event, START_MS, plan};
use crate::rest::Acquaintance;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::settle::settle;
use crate::summary::Summary;
use crate::topology::Link;
use crate::trace::Trace;
use crate::traffic::Traffic;
use crate::wire::Wire;

/// Events after which a run is taken for endless.
const EVENTS_MAX: u64 = 400_000;

/// Whole nodes in a world of their own.
#[derive(Debug)]
pub struct World {
    pub(crate) scenario: Scenario,
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    queue: BTreeMap<(u64, u64), (Option<usize>, Event)>,
    sequence: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: BTreeSet<Link>,
    pub(crate) wires: BTreeMap<u64, Wire>,
    pub(crate) next_wire: u64,
    /// Which side of a partition each node is on, while there is one.
    pub(crate) parted: Option<Vec<bool>>,
    pub(crate) liar: Liar,
    owner: SecretKey,
    pub(crate) model: Model,
    /// Whether nothing goes wrong any more.
    pub(crate) quiet: bool,
    /// Whether nodes keep in touch of their own accord.
    pub(crate) in_touch: bool,
    /// Whether all came to have the same since then.
    pub(crate) settled: bool,
    /// What nodes know of each other then.
    pub(crate) known: BTreeMap<(usize, usize), Acquaintance>,
    pub(crate) traffic: Traffic,
    trace: Trace,
    pub(crate) summary: Summary,
}

/// Runs the world of a seed to its end.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    World::new(Scenario::of_seed(seed))?.run()
}

/// Runs a world to its end, and tells `heard` of each event in a line.
pub fn run_traced(scenario: Scenario, heard: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let mut world = World::new(scenario)?;
    world.trace.hear(true);
    let result = world.live();
    world.trace.lines().for_each(heard);
    result.map(|()| world.summary)
}

impl World {
    /// A world of nodes that keep their replicas in memory.
    pub fn new(scenario: Scenario) -> Result<Self, Failure> {
        Self::on_disks(scenario, &mut |_| Arc::new(MemoryStore::new()))
    }

    /// A world of nodes with stores of the caller's; the argument is the number of the node.
    pub fn on_disks(
        scenario: Scenario,
        disk: &mut dyn FnMut(usize) -> Arc<dyn Disk>,
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
            links: BTreeSet::new(),
            wires: BTreeMap::new(),
            next_wire: 0,
            parted: None,
            liar: Liar::new(scenario.hostile.unwrap_or(Vice::Bends)),
            owner,
            model: Model::new(scenario.rule),
            quiet: false,
            in_touch: false,
            settled: false,
            known: BTreeMap::new(),
            traffic: Traffic::default(),
            trace: Trace::new(),
            summary: Summary {
                lost_clocks: scenario.lost_clocks(),
                ..Summary::default()
            },
            scenario,
        };
        world.shift();
        world.plan();
        Ok(world)
    }

    /// Lets everything happen, then lets all honest nodes talk, and checks what they have.
    pub fn run(mut self) -> Result<Summary, Failure> {
        self.live()?;
        Ok(self.summary)
    }

    fn live(&mut self) -> Result<(), Failure> {
        self.drain()?;
        self.rest()?;
        self.summary.conflicts = checks::all(&self.nodes, &self.model)?;
        self.summary.trace = self.trace.value();
        self.summary.edits = self.model.edits();
        self.summary.deeds = self.model.ledger.len() as u64;
        Ok(())
    }

    fn plan(&mut self) {
        for (number, (at, event)) in plan(&self.scenario).into_iter().enumerate() {
            let keep = self.scenario.keep.as_ref();
            if keep.is_none_or(|keep| keep.contains(&number)) {
                self.sequence += 1;
                let place = (at, self.sequence);
                self.queue.insert(place, (Some(number), event));
            }
        }
    }

    pub(crate) fn at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_ms, self.sequence), (None, event));
    }

    pub(crate) fn soon(&mut self, after_ms: u64, event: Event) {
        self.at(self.now_ms + after_ms, event);
    }

    /// Handles events until there are none left.
    pub(crate) fn drain(&mut self) -> Result<(), Failure> {
        while let Some(((at, _), (planned, event))) = self.queue.pop_first() {
            self.now_ms = self.now_ms.max(at);
            self.summary.events += 1;
            if self.summary.events > EVENTS_MAX {
                return Err(Failure::Endless("events go on and on"));
            }
            // What is planned draws numbers of its own: the rest stays as it is when some of it is left out.
            if let Some(number) = planned {
                let seed = self.scenario.seed.rotate_left(32);
                self.rng = Rng::new(seed ^ number as u64);
            }
            self.trace.event(self.now_ms - START_MS, planned, &event);
            self.happen(event)?;
        }
        Ok(())
    }

    /// Says something about what happens, to whoever hears the trace.
    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        self.trace.say(self.now_ms - START_MS, what);
    }

    fn happen(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Write(node) => self.write(node),
            Event::BigWrite(node) => self.big_write(node),
            Event::Admit(agent) => self.admit(agent),
            Event::Define(kind) => self.define(kind),
            Event::Meet(node) => self.meet_any(node),
            Event::Join(node) => self.join(node),
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
            Event::Shift => {
                self.shift();
                Ok(())
            }
            Event::Jump(node) => {
                self.jump(node);
                Ok(())
            }
            Event::Collect(node) => {
                self.collect(node)?;
                self.nodes[node].tracks()?;
                self.after(node)
            }
            Event::Stock => self.stock(),
            Event::Repart(node) => self.repart(node),
            Event::Touch(node) => self.touch(node),
            Event::Rot(node) => self.rot(node),
            Event::Mend(node) => self.mend(node),
            Event::Protect => self.protect(),
            Event::Fetch(node) => self.fetch_any(node),
            Event::Merge(node) => self.merge(node),
        }
    }

    /// The owner lets an agent write; its nodes hear of it from the owner.
    pub(crate) fn admit(&mut self, agent: usize) -> Result<(), Failure> {
        let member = self.nodes[agent].agent;
        if !self.quiet {
            for node in 1..self.nodes.len() {
                if self.nodes[node].agent == member {
                    let wait = self.rng.below(60_000);
                    self.soon(wait, Event::Join(node));
                }
            }
        }
        self.govern(Event::Admit(agent), &|repo, owner, now| {
            repo.add_member(&member, owner, now).map(drop)
        })
    }

    /// The owner says that some keys have values that join.
    fn define(&mut self, kind: Kind) -> Result<(), Failure> {
        self.govern(Event::Define(kind), &|repo, owner, now| {
            let pattern = format!("{kind}:*").parse();
            let pattern = pattern.map_err(|_error| RepoError::Damaged("no pattern"))?;
            repo.define_kind(&pattern, kind, owner, now).map(drop)
        })
    }

    /// What the owner wants is tried again, unless that would be for ever: a damaged block may be in the way.
    fn again(&mut self, event: Event) {
        if !self.nodes[0].disk.rot.is_ailing() || self.now_ms < START_MS + BUSY_MS {
            self.soon(1_000, event);
        }
    }

    /// Changes what governs the space; tried again while the node of the owner is down.
    pub(crate) fn govern(
        &mut self,
        event: Event,
        change: &dyn Fn(&Repo, Author<'_>, u64) -> Result<(), RepoError>,
    ) -> Result<(), Failure> {
        let now = self.nodes[0].clock(self.now_ms);
        let Some(repo) = &self.nodes[0].repo else {
            self.again(event);
            return Ok(());
        };
        let author = Author {
            agent: self.owner.agent_id(),
            key: &self.owner,
        };
        match change(repo, author, now) {
            // It is there already: the disk had it, and its writer did not hear of it.
            Ok(()) | Err(RepoError::OtherKind { .. }) => {}
            Err(_) if self.nodes[0].disk.struck() => self.again(event),
            Err(error) => return Err(self.nodes[0].fault("changing meta", &error)),
        }
        self.after(0)
    }
}
