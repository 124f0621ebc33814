//! Which records count, beside a reading of the rules word by word; and that no order matters.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::{AgentId, KeyChain, KeyLog, Payload, PublicKey, SecretKey, Verified};
use allod_trust::{
    About, Attestation, Circle, Circles, Claims, Counted, Keep, Level, Membership, Record,
    Register, Relation, Revocation, Witness,
};
use cid::Cid;
use proptest::prelude::*;

use crate::{NOW, agent, cases, key};

/// What became of the log of an agent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    NoLog,
    Device,
    DeviceRemoved,
    Rotated,
    Frozen,
}

/// The keys that may sign for an agent.
#[derive(Clone, Copy, Debug)]
enum Hand {
    First,
    Device,
    Next,
    Stranger,
}

#[derive(Clone, Debug)]
struct Op {
    by: u8,
    hand: Hand,
    says: Says,
    /// From when on, and until when, beside now.
    span: (i8, Option<u8>),
}

#[derive(Clone, Debug)]
enum Says {
    Attest(u8),
    Witness(usize),
    Revoke(usize),
    Relation(u8, usize),
    Circle,
    Belong(usize, u8, usize),
    Keep(Vec<usize>),
}

const AGENTS: u8 = 4;
/// Of these there is no chief in a circle.
const ROLES: [&str; 4] = ["chief", "guest", "host", "usher"];

fn chain(of: u8) -> KeyChain {
    KeyChain::new(key(of + 60))
}

fn hand(of: u8, hand: Hand) -> SecretKey {
    match hand {
        Hand::First => key(of),
        Hand::Device => key(of + 20),
        Hand::Next => chain(of).key(1).unwrap(),
        Hand::Stranger => key(of + 40),
    }
}

fn log(of: u8, state: State) -> Option<KeyLog> {
    if state == State::NoLog {
        return None;
    }
    let (first, device) = (key(of), key(of + 20).device_id());
    let mut log = KeyLog::inception(&first, chain(of).commitment(0)).unwrap();
    let begun = log.clone();
    log.add_device(&first, device, "phone", 1).unwrap();
    match state {
        State::DeviceRemoved => {
            log.remove_device(&first, device, 2).unwrap();
        }
        State::Rotated => {
            let (next, head) = (chain(of).key(1).unwrap(), log.head().copied());
            let commitment = chain(of).commitment(1);
            log.rotate((&next, commitment), (head, 2), (None, vec![]))
                .unwrap();
        }
        State::Frozen => {
            let mut other = begun;
            let event = other.add_device(&first, device, "tablet", 1).unwrap();
            log.append(event).unwrap_err();
        }
        _ => {}
    }
    Some(log)
}

/// The same as the log says, by what was done.
fn speaks(state: State, hand: Hand) -> bool {
    match hand {
        Hand::First => !matches!(state, State::Rotated | State::Frozen),
        Hand::Device => matches!(state, State::Device | State::Rotated),
        Hand::Next => state == State::Rotated,
        Hand::Stranger => false,
    }
}

fn signed<T: Payload>(op: &Op, payload: T) -> Record
where
    Record: From<Verified<T>>,
{
    Verified::sign(&hand(op.by, op.hand), payload)
        .unwrap()
        .into()
}

/// A circle in which hosts admit hosts, ushers and guests, and ushers guests.
fn circle(by: AgentId) -> Circle {
    let roles = [
        ("guest", vec![]),
        ("host", vec!["guest", "host", "usher"]),
        ("usher", vec!["guest"]),
    ];
    let roles = roles.map(|(role, admits)| {
        let admits = admits.into_iter().map(str::to_owned).collect();
        (role.to_owned(), admits)
    });
    Circle {
        by,
        name: "quartet".to_owned(),
        roles: BTreeMap::from(roles),
        at: NOW,
    }
}

/// The records of the operations, each of which may name earlier ones.
fn make(ops: &[Op]) -> Vec<Record> {
    let mut made: Vec<Record> = Vec::new();
    for op in ops {
        let (by, at) = (agent(op.by), NOW);
        let from = NOW.saturating_add_signed(i64::from(op.span.0));
        let until = op.span.1.map(|after| from + 1 + u64::from(after));
        let named = |at: usize| match made.len() {
            0 => Cid::default(),
            len => *made[at % len].cid(),
        };
        let record = match &op.says {
            Says::Attest(about) => signed(
                op,
                Attestation {
                    by,
                    about: About::Agent(agent(*about)),
                    category: "skill".to_owned(),
                    claim: "plays".to_owned(),
                    evidence: Vec::new(),
                    from,
                    until,
                    at,
                },
            ),
            Says::Witness(of) => {
                let of = named(*of);
                signed(op, Witness { by, of, at })
            }
            Says::Revoke(of) => {
                let (of, reason) = (named(*of), None);
                signed(op, Revocation { by, of, at, reason })
            }
            Says::Relation(with, _) if *with == op.by => continue,
            Says::Relation(with, level) => signed(
                op,
                Relation {
                    by,
                    with: agent(*with),
                    kind: "friend".to_owned(),
                    level: Level::ALL[*level],
                    from,
                    until,
                    at,
                },
            ),
            Says::Circle => signed(op, circle(by)),
            Says::Belong(circle, member, role) => signed(
                op,
                Membership {
                    by,
                    circle: named(*circle),
                    member: agent(*member),
                    role: ROLES[*role].to_owned(),
                    from,
                    until,
                    at,
                },
            ),
            Says::Keep(of) => {
                let of: BTreeSet<Cid> = of.iter().map(|at| named(*at)).collect();
                let of = of.into_iter().collect();
                signed(op, Keep { by, of, at })
            }
        };
        made.push(record);
    }
    made
}

/// The rules of TRUST, read one after the other.
struct Naive<'a> {
    records: &'a [Record],
    hands: BTreeMap<(AgentId, PublicKey), bool>,
    frozen: BTreeSet<AgentId>,
}

impl<'a> Naive<'a> {
    fn new(records: &'a [Record], states: &[State]) -> Self {
        let (mut hands, mut frozen) = (BTreeMap::new(), BTreeSet::new());
        for (of, state) in (1..).zip(states) {
            for it in [Hand::First, Hand::Device, Hand::Next, Hand::Stranger] {
                hands.insert((agent(of), hand(of, it).public()), speaks(*state, it));
            }
            if *state == State::Frozen {
                frozen.insert(agent(of));
            }
        }
        Self {
            records,
            hands,
            frozen,
        }
    }

    fn speaks(&self, record: &Record) -> bool {
        let is_it = self.hands.get(&(*record.by(), *record.signer()));
        is_it.copied().unwrap_or(false)
    }

    fn is_said(&self, record: &Record) -> bool {
        let is_kept = self.records.iter().any(|it| match it {
            Record::Keep(keep) => {
                it.by() == record.by()
                    && self.speaks(it)
                    && keep.payload().of.contains(record.cid())
            }
            _ => false,
        });
        let is_kept = is_kept && !matches!(record, Record::Keep(_));
        !self.frozen.contains(record.by()) && (self.speaks(record) || is_kept)
    }

    fn may_revoke(&self, who: &AgentId, record: &Record) -> bool {
        match record {
            Record::Revoke(_) | Record::Keep(_) => false,
            Record::Belong(membership) => {
                let said = membership.payload();
                let owners = self.records.iter().filter_map(|it| match it {
                    Record::Circle(_) if *it.cid() == said.circle => Some(it.by()),
                    _ => None,
                });
                said.by == *who || said.member == *who || owners.into_iter().any(|it| it == who)
            }
            _ => record.by() == who,
        }
    }

    fn counts(&self, record: &Record) -> bool {
        let is_revoked = self.records.iter().any(|it| match it {
            Record::Revoke(revocation) => {
                revocation.payload().of == *record.cid()
                    && self.is_said(it)
                    && self.may_revoke(it.by(), record)
            }
            _ => false,
        });
        self.is_said(record) && !is_revoked
    }

    fn counting(&self) -> BTreeSet<Cid> {
        let counting = self.records.iter().filter(|it| self.counts(it));
        counting.map(|it| *it.cid()).collect()
    }

    /// Adds members until there are no more of them.
    fn members(&self) -> BTreeSet<(Cid, AgentId, String)> {
        let mut found: BTreeSet<(Cid, AgentId, String)> = BTreeSet::new();
        loop {
            let before = found.len();
            for record in self.records.iter().filter(|it| self.counts(it)) {
                let Record::Belong(membership) = record else {
                    continue;
                };
                let said = membership.payload();
                let circle = self.records.iter().find_map(|it| match it {
                    Record::Circle(circle) if *it.cid() == said.circle && self.counts(it) => {
                        Some(circle.payload())
                    }
                    _ => None,
                });
                let Some(circle) = circle else { continue };
                let may = said.by == circle.by
                    || circle.roles.iter().any(|(role, admits)| {
                        admits.contains(&said.role)
                            && found.contains(&(said.circle, said.by, role.clone()))
                    });
                let is_valid = said.from <= NOW && said.until.is_none_or(|until| NOW < until);
                let is_role = circle.roles.contains_key(&said.role);
                if may && is_valid && is_role && !self.frozen.contains(&said.member) {
                    found.insert((said.circle, said.member, said.role.clone()));
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    fn half(&self, by: &AgentId, with: &AgentId) -> Option<(Level, Cid, u64, Option<u64>)> {
        let halves = self.records.iter().filter_map(|it| match it {
            Record::Relation(half) if self.counts(it) => Some((half.payload(), *it.cid())),
            _ => None,
        });
        let valid = halves.filter(|(half, _)| {
            half.by == *by
                && half.with == *with
                && half.from <= NOW
                && half.until.is_none_or(|until| NOW < until)
        });
        let valid = valid.map(|(half, cid)| (half.level, cid, half.from, half.until));
        valid.min_by_key(|(level, cid, _, _)| (*level, *cid))
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let any = 0..64usize;
    let who = 1..=AGENTS;
    let says = prop_oneof![
        2 => who.clone().prop_map(Says::Attest),
        1 => any.clone().prop_map(Says::Witness),
        3 => any.clone().prop_map(Says::Revoke),
        4 => (who.clone(), 0..5usize).prop_map(|(with, level)| Says::Relation(with, level)),
        1 => Just(Says::Circle),
        4 => (any.clone(), who.clone(), 0..ROLES.len())
            .prop_map(|(circle, member, role)| Says::Belong(circle, member, role)),
        2 => prop::collection::vec(any, 1..6).prop_map(Says::Keep),
    ];
    let hand = prop_oneof![
        6 => Just(Hand::First),
        3 => Just(Hand::Device),
        2 => Just(Hand::Next),
        1 => Just(Hand::Stranger),
    ];
    let span = (-3..2i8, prop::option::of(0..4u8));
    let op = (who, hand, says, span).prop_map(|(by, hand, says, span)| Op {
        by,
        hand,
        says,
        span,
    });
    // Circles stand first, so that many are members of one.
    prop::collection::vec(op, 0..28).prop_map(|mut ops| {
        ops.sort_by_key(|op| !matches!(op.says, Says::Circle));
        ops
    })
}

fn states() -> impl Strategy<Value = Vec<State>> {
    let state = prop_oneof![
        3 => Just(State::NoLog),
        3 => Just(State::Device),
        2 => Just(State::DeviceRemoved),
        2 => Just(State::Rotated),
        1 => Just(State::Frozen),
    ];
    prop::collection::vec(state, usize::from(AGENTS))
}

fn register(records: &[Record]) -> Register {
    let mut register = Register::new();
    for record in records {
        register.add(record.clone()).unwrap();
    }
    register
}

fn check_twin(records: &[Record], states: &[State]) {
    let logs = (1..).zip(states).filter_map(|(of, state)| log(of, *state));
    let logs: BTreeMap<AgentId, KeyLog> = logs.map(|log| (*log.agent(), log)).collect();
    let (register, naive) = (register(records), Naive::new(records, states));
    let counted = Counted::new(&register, &logs);
    let counting: BTreeSet<Cid> = counted.counting().copied().collect();
    assert_eq!(counting, naive.counting());

    let circles = Circles::new(&counted, NOW);
    let mut members = BTreeSet::new();
    for circle in counted.circles() {
        for member in circles.members(circle.cid()) {
            let role = Some(member.role);
            let chain = circles.admission(circle.cid(), member.agent, role).unwrap();
            assert_eq!(
                (chain[0], chain[chain.len() - 1]),
                (*circle.cid(), *member.record)
            );
            assert!(chain.iter().all(|record| counting.contains(record)));
            members.insert((*circle.cid(), *member.agent, member.role.to_owned()));
        }
    }
    assert_eq!(members, naive.members());

    let mut all = counted.all_relationships(NOW);
    for one in 1..=AGENTS {
        let of_one = counted.relationships(&agent(one), NOW);
        let known = all.iter().filter(|it| it.agents.contains(&agent(one)));
        assert_eq!(of_one.len(), known.count());
        assert!(of_one.iter().all(|it| all.contains(it)));
        for two in one + 1..=AGENTS {
            let mut pair = [agent(one), agent(two)];
            pair.sort_unstable();
            let at = all.iter().position(|it| it.agents == pair);
            let found = at.map(|at| all.swap_remove(at));
            let halves = (
                naive.half(&pair[0], &pair[1]),
                naive.half(&pair[1], &pair[0]),
            );
            let (Some(a), Some(b)) = halves else {
                assert_eq!(found, None);
                continue;
            };
            let found = found.unwrap();
            assert_eq!(found.level, a.0.min(b.0));
            assert_eq!(found.since, a.2.max(b.2));
            let until = [a.3, b.3].into_iter().flatten().min();
            assert_eq!((found.until, found.halves), (until, [a.1, b.1]));
            all.push(found);
        }
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn what_counts_is_what_the_rules_say(ops in ops(), states in states()) {
        check_twin(&make(&ops), &states);
    }

    #[test]
    fn no_order_matters(ops in ops(), states in states(), seed: u64) {
        let records = make(&ops);
        let logs = (1..).zip(&states).filter_map(|(of, state)| log(of, *state));
        let logs: BTreeMap<AgentId, KeyLog> = logs.map(|log| (*log.agent(), log)).collect();
        let mut shuffled = records.clone();
        // A permutation and some that come twice.
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        shuffled.extend(records.iter().take(3).cloned());
        let (one, two) = (register(&records), register(&shuffled));
        let (one, two) = (Counted::new(&one, &logs), Counted::new(&two, &logs));
        prop_assert!(one.counting().eq(two.counting()));
        prop_assert_eq!(one.all_relationships(NOW), two.all_relationships(NOW));
        let all = Claims::default();
        prop_assert_eq!(one.claims(all), two.claims(all));
        // Until the time that is told, the same holds.
        let last = one.changes_after(NOW).map_or(u64::MAX, |next| next - 1);
        prop_assert!(last >= NOW);
        prop_assert_eq!(one.all_relationships(NOW), one.all_relationships(last));
        let valid = |now| one.claims(Claims { valid_at: Some(now), ..all });
        prop_assert_eq!(valid(NOW), valid(last));
        let (now, then) = (Circles::new(&one, NOW), Circles::new(&one, last));
        for circle in one.circles() {
            prop_assert!(now.members(circle.cid()).eq(then.members(circle.cid())));
        }
    }
}

/// Each way of asking for claims gives those for which everything holds.
#[test]
fn claims_are_found_by_what_they_say() {
    let claim = |by: u8, about: About, category: &str, until: Option<u64>| {
        let said = Attestation {
            by: agent(by),
            about,
            category: category.to_owned(),
            claim: "so it is".to_owned(),
            evidence: Vec::new(),
            from: NOW,
            until,
            at: NOW,
        };
        Record::from(Verified::sign(&key(by), said).unwrap())
    };
    let abouts = [
        About::Agent(agent(3)),
        About::Device(key(3).device_id()),
        About::Space(Cid::default()),
        About::Cid(Cid::default()),
    ];
    let mut records = Vec::new();
    for by in [1, 2] {
        for about in abouts {
            for category in ["skill", "role"] {
                for until in [None, Some(NOW + 5)] {
                    records.push(claim(by, about, category, until));
                }
            }
        }
    }
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let counted = Counted::new(&register(&records), &logs);
    for by in [None, Some(&agent(1)), Some(&agent(9))] {
        for about in [None, Some(&abouts[0]), Some(&abouts[2])] {
            for category in [None, Some("role"), Some("none")] {
                for valid_at in [None, Some(NOW - 1), Some(NOW), Some(NOW + 5)] {
                    let asked = Claims {
                        by,
                        about,
                        category,
                        valid_at,
                    };
                    let found = counted.claims(asked);
                    let found: Vec<_> = found.into_iter().map(|it| it.payload()).collect();
                    let all = counted.claims(Claims::default()).into_iter();
                    let all = all.map(|it| it.payload());
                    let wanted: Vec<_> = all
                        .filter(|it| by.is_none_or(|by| it.by == *by))
                        .filter(|it| about.is_none_or(|about| it.about == *about))
                        .filter(|it| category.is_none_or(|category| it.category == category))
                        .filter(|it| {
                            valid_at.is_none_or(|now| {
                                now >= NOW && it.until.is_none_or(|until| now < until)
                            })
                        })
                        .collect();
                    assert_eq!(found, wanted);
                }
            }
        }
    }
    assert_eq!(counted.claims(Claims::default()).len(), records.len());
}
