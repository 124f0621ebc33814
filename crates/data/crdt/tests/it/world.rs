//! Replicas that change one value apart from each other, and hear of each other late, twice and in any order.

use std::collections::BTreeSet;

use allod_crdt::{Kind, Op, OpError, State, Writer};
use proptest::prelude::*;

use crate::twin;

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 4;

/// What somebody did, and what they knew then.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) writer: Writer,
    pub(crate) stamp: u64,
    pub(crate) op: Op,
    /// The events that were known.
    pub(crate) seen: BTreeSet<usize>,
}

/// A state, and the events that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) state: State,
    pub(crate) seen: BTreeSet<usize>,
}

/// One line of a script: a verb and its arguments, each taken modulo what there is.
pub(crate) type Step = (u8, u8, u8, u8);

pub(crate) fn script() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(any::<Step>(), 0..40)
}

pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    // Documents have operations of their own.
    (0..9_usize).prop_map(|index| Kind::ALL[index])
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) events: Vec<Event>,
    pub(crate) replicas: Vec<Replica>,
    /// All states that there ever were.
    pub(crate) all: Vec<Replica>,
}

pub(crate) fn cases() -> ProptestConfig {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    let scale: u32 = scale.and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig::with_cases(512 * scale)
}

pub(crate) fn writer(number: usize) -> Writer {
    let mut bytes = [0; 8];
    bytes[7] = u8::try_from(number).unwrap();
    Writer(bytes)
}

impl World {
    /// Lives through a script. `writers` below the number of replicas makes some of them share one, which
    /// nobody should.
    pub(crate) fn live(kind: Kind, writers: usize, script: &[Step]) -> Self {
        let nobody = Replica {
            state: State::empty(kind),
            seen: BTreeSet::new(),
        };
        let mut world = Self {
            kind,
            events: Vec::new(),
            replicas: vec![nobody.clone(); REPLICAS],
            all: vec![nobody],
        };
        for &(verb, one, two, three) in script {
            let at = usize::from(one) % REPLICAS;
            if verb % 3 > 0 {
                world.act(at, writer(at % writers), (verb, two, three));
            } else {
                // An old state as well as the newest one, and the own one too.
                let from = usize::from(two) * 256 + usize::from(three);
                let from = world.all[from % world.all.len()].clone();
                world.receive(at, &from);
            }
            world.all.push(world.replicas[at].clone());
        }
        world
    }

    fn act(&mut self, at: usize, writer: Writer, (verb, two, three): (u8, u8, u8)) {
        let seen = self.replicas[at].seen.clone();
        let known = seen.iter().map(|id| &self.events[*id]);
        let stamp = known.map(|event| event.stamp).max().unwrap_or(0) + 1;
        let op = self.op(&seen, verb, two, three);
        let changed = self.replicas[at].state.apply(&op, writer, stamp);
        let event = Event {
            writer,
            stamp,
            op,
            seen,
        };
        match changed {
            Ok(_) => {
                self.replicas[at].seen.insert(self.events.len());
                self.events.push(event);
            }
            Err(OpError::RemovedForEver) => assert_eq!(self.kind, Kind::TwoPhaseSet),
            Err(OpError::OutOfBounds { .. }) => assert_eq!(self.kind, Kind::List),
            Err(OpError::OldStamp { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// An operation that the kind has.
    fn op(&self, seen: &BTreeSet<usize>, verb: u8, two: u8, three: u8) -> Op {
        let item = vec![b'a' + three % 4];
        let is_odd = two % 2 == 1;
        match self.kind {
            Kind::GCounter => Op::Increment(u64::from(three % 3)),
            Kind::PnCounter if is_odd => Op::Decrement(u64::from(three % 5)),
            Kind::PnCounter => Op::Increment(u64::from(three % 4)),
            Kind::LwwRegister | Kind::MvRegister => Op::Set(item),
            Kind::TwoPhaseSet | Kind::OrSet if is_odd => Op::Remove(item),
            Kind::TwoPhaseSet | Kind::OrSet => Op::Add(item),
            Kind::CountedSet => match two % 4 {
                0 => Op::Add(item),
                1 => Op::Remove(item),
                _ => Op::AddCount(item, i64::from(verb % 8) - 4),
            },
            Kind::LwwMap if is_odd => Op::Delete(String::from_utf8(item).unwrap()),
            Kind::LwwMap => Op::Put(String::from_utf8(item).unwrap(), vec![verb]),
            Kind::List => {
                let len = twin::list(&self.events, seen).len();
                let index = usize::from(two >> 1);
                if is_odd && len > 0 && verb.is_multiple_of(2) {
                    Op::RemoveAt(index % len)
                } else {
                    Op::Insert(index % (len + 1), vec![three])
                }
            }
            Kind::Document => unreachable!(),
        }
    }

    fn receive(&mut self, at: usize, from: &Replica) {
        let replica = &mut self.replicas[at];
        replica.state = replica.state.join(&from.state).unwrap();
        replica.seen.extend(&from.seen);
    }
}
