//! What is going to happen in a world, before any of it does.

use allod_crdt::Kind;
use bytes::Bytes;

use crate::rng::Rng;
use crate::scenario::Scenario;

/// When every world begins, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// How long writers write and things break.
pub(crate) const BUSY_MS: u64 = 10 * 60 * 1000;

/// The kinds of values that join which writers use. Documents have editors of their own.
pub(crate) const KINDS: [Kind; 9] = [
    Kind::GCounter,
    Kind::PnCounter,
    Kind::LwwRegister,
    Kind::MvRegister,
    Kind::TwoPhaseSet,
    Kind::OrSet,
    Kind::CountedSet,
    Kind::LwwMap,
    Kind::List,
];

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write(usize),
    BigWrite(usize),
    /// The owner lets an agent write.
    Admit(usize),
    /// The owner says that keys have values of a kind that join.
    Define(Kind),
    Meet(usize),
    /// A node meets the owner's.
    Join(usize),
    Tick(u64, usize),
    Frame(u64, usize, Bytes),
    Break(u64),
    Arm(usize),
    Restart(usize),
    Part,
    Heal,
    /// Others are linked from now on.
    Shift,
    /// The clock of a node is set.
    Jump(usize),
    /// The owner puts much at once, so that trees have many nodes.
    Stock,
    /// A node keeps another part of the space.
    Repart(usize),
    /// A node removes what nothing leads to.
    Collect(usize),
    /// A node looks whether a peer lacks something.
    Touch(usize),
    /// Blocks of a node rot.
    Rot(usize),
    /// A node asks a peer for the blocks that it lost.
    Mend(usize),
    /// The owner protects a branch.
    Protect,
    /// A node fetches apart from its branches.
    Fetch(usize),
    /// A node merges what it fetched.
    Merge(usize),
}

/// All that is planned, in any order, each with its time.
pub(crate) fn plan(scenario: &Scenario) -> Vec<(u64, Event)> {
    let mut rng = Rng::new(scenario.seed ^ 0x9d1a_77e5);
    let rng = &mut rng;
    let nodes = scenario.nodes;
    let moment = |rng: &mut Rng| START_MS + rng.below(BUSY_MS);
    let mut plan = Vec::new();
    let mut often = |rng: &mut Rng, times: u64, event: fn(usize) -> Event| {
        for _ in 0..times {
            plan.push((moment(rng), event(rng.index(nodes))));
        }
    };
    // As many links of a large world are to be used as of a small one.
    let share = nodes as u64 / 5;
    often(rng, scenario.writes, Event::Write);
    let meetings = rng.within(10, 24) + 6 * share;
    often(rng, meetings, Event::Meet);
    let faults = rng.within(3, 9) + share;
    often(rng, faults, Event::Arm);
    let jumps = rng.below(3);
    often(rng, jumps, Event::Jump);
    let collections = rng.below(4);
    often(rng, collections, Event::Collect);
    for _ in 0..rng.below(3) {
        let at = moment(rng);
        let until = at + rng.below(BUSY_MS / 4);
        plan.push((at, Event::Part));
        plan.push((until, Event::Heal));
    }
    for _ in 0..rng.below(3) {
        plan.push((moment(rng), Event::Shift));
    }
    for agent in 1..scenario.agents {
        let at = START_MS + rng.below(BUSY_MS / 5);
        plan.push((at, Event::Admit(agent)));
    }
    for kind in KINDS {
        let at = START_MS + rng.below(BUSY_MS / 10);
        plan.push((at, Event::Define(kind)));
    }
    if scenario.hostile.is_some() {
        // Once it is a member, mostly.
        for _ in 0..rng.within(4, 9) {
            let at = START_MS + BUSY_MS / 5 + rng.below(BUSY_MS * 4 / 5);
            plan.push((at, Event::Meet(nodes - 1)));
        }
    }
    if scenario.parts > 0 {
        plan.push((START_MS, Event::Stock));
        for _ in 0..rng.below(4) {
            let node = scenario.whole() + rng.index(scenario.parts);
            plan.push((moment(rng), Event::Repart(node)));
        }
    }
    if scenario.big {
        plan.push((moment(rng), Event::BigWrite(0)));
    }
    for _ in 0..scenario.rots {
        let node = rng.index(scenario.whole());
        let at = moment(rng);
        plan.push((at, Event::Rot(node)));
        for _ in 0..rng.below(3) {
            plan.push((at + rng.below(BUSY_MS / 4), Event::Mend(node)));
        }
    }
    if scenario.guarded {
        plan.push((START_MS + rng.below(BUSY_MS / 10), Event::Protect));
    }
    for _ in 0..scenario.fetches {
        let node = rng.index(scenario.whole());
        let at = moment(rng);
        plan.push((at, Event::Fetch(node)));
        for event in [Event::Merge(node), Event::Collect(node)] {
            if rng.chance(40) {
                plan.push((at + rng.below(BUSY_MS / 4), event));
            }
        }
    }
    plan
}
