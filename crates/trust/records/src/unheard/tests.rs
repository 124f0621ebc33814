//! Whatever a full register leaves out: what it tells is what one would tell that has all.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use allod_identity::{AgentId, KeyChain, KeyLog, SecretKey, Verified};
use cid::Cid;
use proptest::prelude::*;

use crate::evaluate::{Answer, Facts, Signer, Subject};
use crate::graph::VOUCH;
use crate::policy::{By, Condition, Outcome, Policy, Rule};
use crate::record::{About, Attestation, Circle, Keep, Level, Membership, Relation, Revocation};
use crate::register::{Record, Register, Room};
use crate::{Counted, Moment, Predicates, World};

/// A time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

const AGENTS: u8 = 6;

/// What somebody says: which kind of record, about whom, and how close or of which earlier one.
type Drawn = (u8, u8, u8, usize);

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n + 1; 32])
}

/// Making a key takes longer than most that is tested here.
static CIRCLES: LazyLock<Vec<Cid>> = LazyLock::new(|| (0..2).map(|by| *circle(by).cid()).collect());
static IDS: LazyLock<Vec<AgentId>> =
    LazyLock::new(|| (0..AGENTS).map(|n| key(n).agent_id()).collect());

fn agent(n: u8) -> AgentId {
    IDS[usize::from(n)]
}

fn circle(by: u8) -> Record {
    let (host, guest) = ("host".to_owned(), "guest".to_owned());
    let circle = Circle {
        by: agent(by),
        name: "quartet".to_owned(),
        roles: BTreeMap::from([(host, vec!["guest".to_owned()]), (guest, Vec::new())]),
        at: NOW,
    };
    Verified::sign(&key(by), circle).unwrap().into()
}

fn record((kind, by, with, more): Drawn, before: &[Record]) -> Option<Record> {
    let (key, at, from, until) = (key(by), NOW, NOW, None);
    let (by, with) = (agent(by), agent(with));
    let record = match kind {
        0..3 if by != with => {
            let level = Level::ALL[more % 5];
            let kind = "friend".to_owned();
            Verified::sign(
                &key,
                Relation {
                    by,
                    with,
                    kind,
                    level,
                    from,
                    until,
                    at,
                },
            )
            .unwrap()
            .into()
        }
        3..5 => {
            let category = if more % 2 == 0 { VOUCH } else { "spam" };
            let (category, claim) = (category.to_owned(), format!("number {}", more % 3));
            let (about, evidence) = (About::Agent(with), Vec::new());
            let claim = Attestation {
                by,
                about,
                category,
                claim,
                evidence,
                from,
                until,
                at,
            };
            Verified::sign(&key, claim).unwrap().into()
        }
        5..7 => {
            let (circle, member) = (CIRCLES[more % 2], with);
            let role = if more % 3 == 0 { "guest" } else { "host" }.to_owned();
            Verified::sign(
                &key,
                Membership {
                    by,
                    circle,
                    member,
                    role,
                    from,
                    until,
                    at,
                },
            )
            .unwrap()
            .into()
        }
        7 if !before.is_empty() => {
            let of = *before[more % before.len()].cid();
            Verified::sign(
                &key,
                Revocation {
                    by,
                    of,
                    at,
                    reason: None,
                },
            )
            .unwrap()
            .into()
        }
        _ => return None,
    };
    Some(record)
}

/// Whether somebody near warns of an author.
fn warned(world: &World<'_>, author: AgentId) -> Answer {
    let (within, level) = (2, None);
    let near = Condition::Related { within, level };
    let when = Condition::Attested {
        category: "spam".to_owned(),
        claim: None,
        by: By::Who(Box::new(near)),
    };
    let (then, because) = (Outcome::Refuse, "spam".to_owned());
    let rule = Rule {
        when,
        then,
        because,
    };
    let policy = Policy::new(vec![rule], Outcome::Accept).unwrap();
    let device = Signer::Agent;
    match policy.evaluate(&Subject { author, device }, world).outcome {
        Outcome::Refuse => Answer::Yes(Vec::new()),
        Outcome::Accept => Answer::No,
        Outcome::Quarantine => Answer::Unknown,
    }
}

/// All answers about everybody, in an order; with what was asked.
fn answers(register: &Register) -> Vec<(String, Answer)> {
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let moment = Moment::new(Arc::new(Counted::new(register, &logs)), NOW);
    let predicates = Predicates::new();
    let mut found = Vec::new();
    for reader in 0..2 {
        let world = World::new(&moment, agent(reader), &predicates);
        for of in 0..AGENTS {
            let asked = format!("whether somebody near {reader} warns of {of}");
            found.push((asked, warned(&world, agent(of))));
            for level in Level::ALL {
                for within in [1, 2, 3, 8] {
                    let answer = world.related(&agent(of), within, level);
                    found.push((format!("{reader} to {of}, {within} over {level:?}"), answer));
                }
            }
            for (owner, role) in [(0, None), (1, None), (1, Some("host"))] {
                let answer = world.member(&agent(of), &CIRCLES[owner], role);
                found.push((format!("{of} in that of {owner} as {role:?}"), answer));
            }
            for (by, claim) in (0..AGENTS).zip([None, Some("number 1")].into_iter().cycle()) {
                let answer = world.attested(&agent(by), &About::Agent(agent(of)), "spam", claim);
                found.push((format!("{by} about {of}, {claim:?}"), answer));
            }
        }
    }
    found
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let record = (0..8u8, 0..AGENTS, 0..AGENTS, 0..60usize);
    prop::collection::vec(record, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// TRUST-16, TRUST-47.
    #[test]
    fn what_is_told_is_so(drawn in drawn(), of_signer in 1..8usize, all in 10..50usize) {
        let mut whole = Register::new();
        let mut small = Register::with_room(Room { all, of_signer });
        let mut records = vec![circle(0), circle(1)];
        for it in drawn {
            records.extend(record(it, &records));
        }
        let mut is_left_out = false;
        for record in records {
            whole.add(record.clone()).unwrap();
            is_left_out |= small.add(record).is_err();
        }
        for ((asked, real), (_, told)) in answers(&whole).into_iter().zip(answers(&small)) {
            match told {
                Answer::Unknown => prop_assert!(is_left_out, "{} can be told", asked),
                _ if small.is_cut() => prop_assert!(false, "{} cannot be told", asked),
                Answer::Yes(_) => prop_assert!(matches!(real, Answer::Yes(_)), "{}", asked),
                Answer::No => prop_assert_eq!(real, Answer::No, "{}", asked),
            }
        }
    }
}

/// What a stranger says too much of leaves what others say as it was.
#[test]
fn a_stranger_who_says_too_much_changes_nothing_else() {
    let mut register = Register::with_room(Room {
        all: 100,
        of_signer: 10,
    });
    let say = |register: &mut Register, it: Drawn| register.add(record(it, &[]).unwrap());
    for (one, two) in [(0, 1), (1, 2)] {
        say(&mut register, (0, one, two, 0)).unwrap();
        say(&mut register, (0, two, one, 0)).unwrap();
    }
    register.add(circle(0)).unwrap();
    register.add(circle(1)).unwrap();
    say(&mut register, (5, 0, 1, 0)).unwrap();
    let before = answers(&register);
    // Vouches, claims and memberships of a stranger for all, itself and another stranger; also halves of relationships.
    say(&mut register, (5, 4, 5, 0)).unwrap();
    let mut left_out: Vec<&Cid> = Vec::new();
    let spoken: Vec<Record> = (0..60)
        .filter_map(|more| record((more % 7, 5, more % 5, usize::from(more)), &[]))
        .collect();
    for said in &spoken {
        if register.add(said.clone()).is_err() {
            left_out.push(said.cid());
        }
    }
    assert!(!left_out.is_empty() && register.overfull().eq([&key(5).public()]));
    assert!(!register.is_cut());
    for ((asked, one), (_, two)) in before.iter().zip(answers(&register)) {
        if asked.starts_with("5 about") {
            assert_eq!(two, Answer::Unknown, "{asked}");
        } else {
            assert_eq!(*one, two, "{asked}");
        }
    }
    // But if one is related to it, it may lead anywhere.
    say(&mut register, (0, 2, 5, 0)).unwrap();
    let (near, all) = (Level::Network, answers(&register));
    let of = |asked: &str| {
        all.iter()
            .find(|(it, _)| it == asked)
            .map(|(_, told)| told.clone())
    };
    let unsure = |far: u8| of(&format!("0 to 4, {far} over {near:?}"));
    assert_eq!(unsure(3), Some(Answer::No));
    assert_eq!(unsure(8), Some(Answer::Unknown));
}

/// What an agent keeps of an old key was said by that key, so more that it keeps may have been left out.
#[test]
fn who_keeps_what_an_old_key_said_is_not_heard_either() {
    let (old, room) = (
        key(3),
        Room {
            all: 100,
            of_signer: 2,
        },
    );
    let chain = KeyChain::new(key(4));
    let mut log = KeyLog::inception(&old, chain.commitment(0)).unwrap();
    let next = chain.key(1).unwrap();
    let head = log.head().copied();
    log.rotate((&next, chain.commitment(1)), (head, 1), (None, vec![]))
        .unwrap();
    let logs = BTreeMap::from([(agent(3), log)]);
    for kept in [false, true] {
        let mut register = Register::with_room(room);
        let said: Vec<Record> = (0..3)
            .map(|more| record((3, 3, 0, more), &[]).unwrap())
            .collect();
        let is_new: Vec<bool> = said
            .iter()
            .map(|it| register.add(it.clone()).is_ok())
            .collect();
        assert_eq!(is_new, [true, true, false]);
        let of: Vec<Cid> = said
            .iter()
            .take(usize::from(kept))
            .map(|it| *it.cid())
            .collect();
        for keep in Keep::all(agent(3), &of, NOW) {
            register.add(Verified::sign(&next, keep).unwrap()).unwrap();
        }
        let counted = Counted::new(&register, &logs);
        assert_eq!(counted.unheard().contains(&agent(3)), kept);
    }
}
