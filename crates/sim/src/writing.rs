//! What writers write.

use allod_blocks::{FileProfile, add_file};
use allod_crdt::{Kind, Op, Value};
use allod_repo::{BranchName, Edit};
use bytes::Bytes;

use crate::error::Failure;
use crate::guarding::guarded;
use crate::ledger::Change;
use crate::plan::KINDS;
use crate::rng::Rng;
use crate::world::World;

/// Keys that writers use: few, so that they meet.
const KEYS: u64 = 16;

/// Keys of each kind that join: fewer yet.
const JOINING_KEYS: u64 = 2;

/// Elements of sets, and fields of maps.
const ELEMENTS: u64 = 4;

impl World {
    /// A node edits some keys, those that join and others, and commits them most of the time.
    pub(crate) fn write(&mut self, node: usize) -> Result<(), Failure> {
        if self.nodes[node].repo.is_none() || self.nodes[node].hostile {
            return Ok(());
        }
        let branch = match self.rng.below(8) {
            0 => "side".parse().unwrap_or_else(|_| BranchName::main()),
            _ => BranchName::main(),
        };
        let branch = if self.scenario.guarded && self.rng.chance(25) && self.guards(node)? {
            guarded()
        } else {
            branch
        };
        let now = self.nodes[node].clock(self.now_ms);
        let (plain, joining) = match self.rng.below(3) {
            0 => (1, 0),
            1 => (0, 1),
            _ => (1, 1),
        };
        if plain > 0 {
            let mut edits = Vec::new();
            for _ in 0..self.rng.within(1, 6) {
                let key = Bytes::from(format!("key/{:02}", self.rng.below(KEYS)));
                if self.nodes[node].keeps(&key) {
                    edits.push((key, self.edit(node)));
                }
            }
            self.nodes[node].stage(&branch, edits, now)?;
        }
        for _ in 0..joining * self.rng.within(1, 5) {
            if !self.nodes[node].disk.struck() {
                self.operate(node, &branch, now)?;
            }
        }
        if !self.nodes[node].disk.struck() && self.rng.chance(75) {
            let done = self.nodes[node].commit(&branch, now, &mut self.model)?;
            self.summary.commits += u64::from(done.is_some());
        }
        if branch == guarded() && !self.nodes[node].disk.struck() && self.rng.chance(30) {
            self.overstep(node)?;
        }
        self.after(node)
    }

    /// A node changes a value that joins.
    fn operate(&mut self, node: usize, branch: &BranchName, now: u64) -> Result<(), Failure> {
        let kind = KINDS[self.rng.index(KINDS.len())];
        let key = Bytes::from(format!("{kind}:{}", self.rng.below(JOINING_KEYS)));
        if !self.nodes[node].keeps(&key) {
            return Ok(());
        }
        let rng = &mut self.rng;
        let (place, model) = ((branch, &key, kind), &mut self.model);
        self.nodes[node].operate(place, now, model, &mut |shown| change(rng, kind, shown))
    }

    fn edit(&mut self, node: usize) -> Edit {
        let part = self.nodes[node].part();
        let keeps_few = part.is_some_and(|part| part.value_max().is_some());
        match self.rng.below(20) {
            // What a replica does with large files is seen where it writes some.
            7..15 if keeps_few => self.file(node),
            0..4 => Edit::Delete,
            4..6 => {
                let length = self.rng.within(1_000, 6_000) as usize;
                Edit::Put(self.rng.bytes(length).into())
            }
            6 => self.file(node),
            _ => {
                let length = self.rng.below(60) as usize;
                Edit::Put(self.rng.bytes(length).into())
            }
        }
    }

    fn file(&mut self, node: usize) -> Edit {
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

    /// Many keys, on the node of the owner.
    pub(crate) fn stock(&mut self) -> Result<(), Failure> {
        let edits = (0..600)
            .map(|n| {
                let key = format!("key/{:02}/{n:03}", n % 16);
                (Bytes::from(key), Edit::Put(self.rng.bytes(40).into()))
            })
            .collect();
        let (now, main) = (self.nodes[0].clock(self.now_ms), BranchName::main());
        self.nodes[0].stage(&main, edits, now)?;
        let done = self.nodes[0].commit(&main, now, &mut self.model)?;
        self.summary.commits += u64::from(done.is_some());
        self.after(0)
    }

    /// A commit whose changes exceed what is sent as such, so that its tree is walked.
    pub(crate) fn big_write(&mut self, node: usize) -> Result<(), Failure> {
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
}

/// What is done to a value that shows this. Writers remove what they see, and nothing else.
fn change(rng: &mut Rng, kind: Kind, shown: Option<&Value>) -> Option<Change> {
    if shown.is_some() && rng.chance(4) {
        return Some(Change::Clear);
    }
    let is_compacted = matches!(kind, Kind::PnCounter | Kind::OrSet | Kind::MvRegister);
    if is_compacted && shown.is_some() && rng.chance(4) {
        return Some(Change::Compact);
    }
    let item = |rng: &mut Rng| vec![b'a' + rng.below(ELEMENTS) as u8];
    let there: &[Value] = match shown {
        Some(Value::List(values)) => values,
        _ => &[],
    };
    let removes = !there.is_empty() && rng.chance(40);
    let chosen = rng.index(there.len().max(1));
    let op = match kind {
        Kind::GCounter => Op::Increment(rng.within(1, 10)),
        Kind::PnCounter if rng.chance(30) => Op::Decrement(rng.within(1, 10)),
        Kind::PnCounter => {
            // Several at one go, all of them or none.
            let ops = (0..rng.within(1, 4)).map(|_| Op::Increment(1));
            return Some(Change::Do(ops.collect()));
        }
        Kind::LwwRegister | Kind::MvRegister => Op::Set(rng.bytes(8)),
        Kind::TwoPhaseSet | Kind::OrSet if removes => Op::Remove(bytes(there.get(chosen)?)),
        Kind::CountedSet if removes => match there.get(chosen)? {
            Value::List(pair) => Op::Remove(bytes(pair.first()?)),
            _ => return None,
        },
        Kind::CountedSet if rng.chance(50) => {
            Op::AddCount(item(rng), 3 - 2 * rng.below(6).cast_signed())
        }
        Kind::TwoPhaseSet | Kind::OrSet | Kind::CountedSet => Op::Add(item(rng)),
        Kind::LwwMap => match shown {
            Some(Value::Map(fields)) if !fields.is_empty() && rng.chance(30) => {
                Op::Delete(fields.keys().nth(rng.index(fields.len()))?.clone())
            }
            _ => Op::Put(format!("field {}", rng.below(ELEMENTS)), rng.bytes(6)),
        },
        Kind::List if removes => Op::RemoveAt(chosen),
        Kind::List => Op::Insert(rng.index(there.len() + 1), rng.bytes(8)),
        Kind::Document => return None,
    };
    Some(Change::Do(vec![op]))
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        _ => Vec::new(),
    }
}
