//! Guardians, and key logs as a function of the set of their events.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;

use allod_identity::{
    AgentId, Event, GuardianSays, Guardians, KeyChain, KeyEvent, KeyLog, KeyLogError, PublicKey,
    Says, SecretKey, Signed, Verified, carried,
};
use cid::Cid;
use proptest::prelude::*;

use crate::{cases, key};

const WAIT: u64 = 100;

fn named(of: &[u8], needed: u64) -> Guardians {
    let mut keys: Vec<PublicKey> = of.iter().map(|number| key(*number).public()).collect();
    keys.sort_unstable();
    Guardians {
        keys,
        needed,
        wait: WAIT,
    }
}

fn says(by: u8, agent: AgentId, says: Says) -> Verified<GuardianSays> {
    Verified::sign(
        &key(by),
        GuardianSays {
            agent,
            at: 1000,
            says,
        },
    )
    .unwrap()
}

fn confirm(
    by: &[u8],
    log: &KeyLog,
    new: &SecretKey,
    next: [u8; 32],
    since: u64,
) -> Vec<Verified<GuardianSays>> {
    let prev = *log.head().unwrap();
    let key = new.public();
    let said = by.iter().map(|by| {
        says(
            *by,
            *log.agent(),
            Says::Confirm {
                key,
                next,
                prev,
                since,
            },
        )
    });
    said.collect()
}

fn owner() -> KeyChain {
    KeyChain::new(key(2))
}

type Said = Result<Verified<KeyEvent>, KeyLogError>;

/// Changes the key to that of a number of a chain, at the end of a log.
fn turn(
    log: &mut KeyLog,
    (chain, number): (&KeyChain, u32),
    guardians: (Option<Guardians>, Vec<serde_bytes::ByteBuf>),
) -> Said {
    let (key, next) = (chain.key(number).unwrap(), chain.commitment(number));
    let head = log.head().copied();
    log.rotate((&key, next), (head, 9), guardians)
}

fn recover(
    log: &mut KeyLog,
    new: (&SecretKey, [u8; 32]),
    confirmed: Vec<serde_bytes::ByteBuf>,
) -> Said {
    let head = log.head().copied();
    log.recover(new, (head, 2000), confirmed)
}

/// An agent whose guardians are the keys 11 to 13, two of which are needed.
fn guarded() -> KeyLog {
    let mut log = KeyLog::inception(&key(1), owner().commitment(0)).unwrap();
    let guardians = Some(named(&[11, 12, 13], 2));
    turn(&mut log, (&owner(), 1), (guardians, vec![])).unwrap();
    log
}

/// IDENT-42, IDENT-43: enough guardians, who waited, give an agent another key; anything less does not.
#[test]
fn enough_guardians_recover_an_agent() {
    let log = guarded();
    let fresh = KeyChain::new(key(20));
    let (new, next) = (key(21), fresh.commitment(0));
    let try_it = |said: &[Verified<GuardianSays>]| {
        let mut log = log.clone();
        recover(&mut log, (&new, next), carried(said)).map(|_| log)
    };
    let refused = Err(KeyLogError::Guardians);
    let whole = confirm(&[11, 12], &log, &new, next, 1000 - WAIT);
    assert_eq!(try_it(&whole[..1]), refused, "one is not enough");
    let twice = [whole[0].clone(), whole[0].clone()];
    assert_eq!(try_it(&twice), refused, "nor is one twice");
    assert_eq!(
        try_it(&confirm(&[11, 12], &log, &new, next, 1001 - WAIT)),
        refused,
        "they waited too short"
    );
    assert_eq!(
        try_it(&confirm(&[11, 14], &log, &new, next, 0)),
        refused,
        "a stranger is no guardian"
    );
    assert_eq!(
        try_it(&confirm(&[11, 12], &log, &key(22), next, 0)),
        refused,
        "of another key"
    );
    assert_eq!(
        try_it(&confirm(&[11, 12], &log, &new, [7; 32], 0)),
        refused,
        "of another chain"
    );
    let mut unguarded = KeyLog::inception(&key(1), owner().commitment(0)).unwrap();
    let none = recover(&mut unguarded, (&new, next), carried(&whole));
    assert_eq!(none.unwrap_err(), KeyLogError::Guardians);

    let mut log = try_it(&whole).unwrap();
    assert_eq!((log.key(), log.number()), (Some(&new.public()), (1, 0)));
    // Neither the old key nor those that it had committed to say anything any more.
    let mut old = guarded();
    let late = turn(&mut old, (&owner(), 2), (None, vec![])).unwrap();
    assert_eq!(
        log.append(late.clone()).unwrap_err(),
        KeyLogError::Superseded
    );
    assert_eq!(log.key(), Some(&new.public()));
    // Who hears of it in the other order comes to the same.
    let all: Vec<_> = log.known().cloned().collect();
    old.learn(all).unwrap();
    assert_eq!(old, log);
    turn(&mut log, (&fresh, 1), (None, vec![])).unwrap();
}

/// IDENT-36, IDENT-41: guardians are replaced with their consent alone, and then can do nothing more.
#[test]
fn guardians_let_others_take_their_place() {
    let mut log = guarded();
    let before = log.clone();
    let (number, event) = (log.agent().to_owned(), log.guardians().unwrap().0);
    let others = named(&[14], 1);
    let release = |by: &[u8], guardians: &Guardians| {
        let said = by.iter().map(|by| {
            says(
                *by,
                number,
                Says::Release {
                    named: event,
                    guardians: guardians.clone(),
                },
            )
        });
        carried(&said.collect::<Vec<_>>())
    };
    let second = owner().key(2).unwrap();
    let mut rotate =
        |released| turn(&mut log, (&owner(), 2), (Some(others.clone()), released)).map(drop);
    assert_eq!(
        rotate(release(&[11], &others)),
        Err(KeyLogError::Guardians),
        "whoever has all keys cannot do it alone"
    );
    assert_eq!(
        rotate(release(&[11, 12], &named(&[15], 1))),
        Err(KeyLogError::Guardians)
    );
    rotate(release(&[11, 13], &others)).unwrap();

    // The former ones recover it from before: that is void, in whichever order it is heard.
    let mut forged = before.clone();
    let said = confirm(&[11, 12, 13], &before, &key(21), [0; 32], 0);
    let recovery = recover(&mut forged, (&key(21), [0; 32]), carried(&said)).unwrap();
    assert_eq!(forged.number(), (1, 0));
    assert!(log.append(recovery).is_err());
    assert_eq!(log.key(), Some(&second.public()));
    forged.learn(log.known().cloned().collect()).unwrap();
    assert_eq!(forged.key(), Some(&second.public()));
    assert_eq!(forged, log);
}

/// IDENT-36, IDENT-44: a thief of keys cannot bring guardians of the thief's own into play: those who are named in the
/// beginning stay, whatever keys the thief has, and those who are named later count on the log alone.
#[test]
fn a_thief_does_not_choose_the_guardians() {
    let mine = || (Some(named(&[30], 1)), vec![]);
    let take = |log: &mut KeyLog| {
        let said = confirm(&[30], log, &key(31), [1; 32], 0);
        recover(log, (&key(31), [1; 32]), carried(&said)).map(drop)
    };
    let begun = KeyLog::inception(&key(1), owner().commitment(0)).unwrap();
    // Of an old key: it was followed by another.
    let mut log = guarded();
    turn(&mut log, (&owner(), 2), (None, vec![])).unwrap();
    let mut thief = begun.clone();
    turn(&mut thief, (&owner(), 1), mine()).unwrap();
    take(&mut thief).unwrap();
    let both = |one: &KeyLog, other: &KeyLog| {
        let mut log = one.clone();
        log.learn(other.known().cloned().collect()).unwrap();
        log
    };
    assert_eq!(both(&log, &thief).key(), log.key());
    assert_eq!(both(&thief, &log), both(&log, &thief));
    // Of the present one: nobody is believed, until the next key comes.
    let mut present = both(&guarded(), &thief);
    assert_eq!(present.key(), None);
    let second = (&owner().key(2).unwrap(), owner().commitment(2));
    let after = guarded().head().copied();
    present.rotate(second, (after, 3), (None, vec![])).unwrap();
    assert_eq!(present.number(), (0, 2));
    // Of all keys: the guardians of the beginning stay, and take back whatever the thief did.
    let guardians = Some(named(&[11, 12, 13], 2));
    let begun = KeyLog::inception_guarded(&key(1), owner().commitment(0), guardians).unwrap();
    let mut stolen = begun.clone();
    assert_eq!(
        turn(&mut stolen, (&owner(), 1), mine()),
        Err(KeyLogError::Guardians)
    );
    for number in 1..9 {
        turn(&mut stolen, (&owner(), number), (None, vec![])).unwrap();
    }
    let said = confirm(&[11, 13], &begun, &key(21), [2; 32], 0);
    stolen
        .recover(
            (&key(21), [2; 32]),
            (begun.head().copied(), 9),
            carried(&said),
        )
        .unwrap();
    assert_eq!(
        (stolen.key(), stolen.events().len()),
        (Some(&key(21).public()), 2)
    );
}

/// IDENT-13: guardians who say two things stop the log, until enough of them say how it goes on.
#[test]
fn guardians_who_say_two_things_are_not_believed() {
    let log = guarded();
    let recovered = |new: &SecretKey| {
        let said = confirm(&[11, 12], &log, new, [5; 32], 0);
        let mut log = log.clone();
        recover(&mut log, (new, [5; 32]), carried(&said)).unwrap();
        log
    };
    let (mut one, two) = (recovered(&key(21)), recovered(&key(22)));
    let learned = one.learn(two.known().cloned().collect());
    assert!(learned.unwrap().changed);
    assert_eq!((one.key(), one.events().len()), (None, 2));
    assert_eq!(one.equivocation().unwrap().seq(), 2);
    let mut again = two;
    let said = confirm(&[12, 13], &again, &key(23), [6; 32], 0);
    recover(&mut again, (&key(23), [6; 32]), carried(&said)).unwrap();
    one.learn(again.known().cloned().collect()).unwrap();
    assert_eq!((one.key(), one.number()), (Some(&key(23).public()), (2, 0)));
}

// --- The naive twin ----------------------------------------------------------------------------

/// What a way through events comes to, told step by step and from the rules alone.
#[derive(Clone)]
struct Naive {
    key: PublicKey,
    next: [u8; 32],
    number: (u32, u32),
    guardians: Option<(Cid, Guardians)>,
    /// The last recovery on the way, or the beginning.
    since: Cid,
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn count(
    guardians: &Guardians,
    said: &[serde_bytes::ByteBuf],
    is_it: &dyn Fn(&GuardianSays) -> bool,
) -> bool {
    let mut who = BTreeSet::new();
    for bytes in said {
        if let Ok(said) = Signed::<GuardianSays>::decode(bytes.to_vec())
            && let Ok(said) = said.verify()
            && guardians.keys.contains(said.signer())
            && is_it(said.payload())
        {
            who.insert(*said.signer());
        }
    }
    guardians.needed > 0 && who.len() as u64 >= guardians.needed
}

type Events = [Verified<KeyEvent>];

fn named_by(event: &Verified<KeyEvent>, some: Option<&Guardians>) -> Option<(Cid, Guardians)> {
    let some = some.filter(|some| !some.keys.is_empty());
    some.map(|some| (*event.cid(), some.clone()))
}

/// What the way to an event comes to, if it is sound.
fn naive_way(agent: &AgentId, all: &Events, to: &Verified<KeyEvent>) -> Option<Naive> {
    let said = to.payload();
    if let Event::Inception { next, guardians } = &said.event {
        let is_first = to.signer() == agent.key();
        return is_first.then(|| Naive {
            key: *agent.key(),
            next: *next,
            number: (0, 0),
            guardians: named_by(to, guardians.as_ref()),
            since: *to.cid(),
        });
    }
    let before = all.iter().find(|event| Some(*event.cid()) == said.prev)?;
    let mut at = naive_way(agent, all, before)?;
    if before.payload().seq + 1 != said.seq {
        return None;
    }
    match &said.event {
        Event::Rotate {
            next,
            guardians,
            released,
            ..
        } => {
            let commits = hash(&[b"allod/next/1\0", to.signer().as_bytes(), next]);
            if let (Some((of, those)), Some(then)) = (&at.guardians, guardians) {
                let wanted = Says::Release {
                    named: *of,
                    guardians: then.clone(),
                };
                let is_let = count(those, released, &|said| {
                    said.agent == *agent && said.says == wanted
                });
                if !is_let {
                    return None;
                }
            }
            if commits != at.next {
                return None;
            }
            at.number.1 += 1;
            if guardians.is_some() {
                at.guardians = named_by(to, guardians.as_ref());
            }
            (at.key, at.next) = (*to.signer(), *next);
        }
        Event::Recover {
            next, confirmed, ..
        } => {
            let (_, guardians) = at.guardians.clone()?;
            let is_said = count(&guardians, confirmed, &|by| {
                let Says::Confirm {
                    key,
                    next: then,
                    prev,
                    since,
                } = &by.says
                else {
                    return false;
                };
                by.agent == *agent
                    && key == to.signer()
                    && then == next
                    && Some(*prev) == said.prev
                    && by.at >= since + guardians.wait
            });
            if !is_said {
                return None;
            }
            (at.key, at.next) = (*to.signer(), *next);
            (at.number, at.since) = ((at.number.0 + 1, 0), *to.cid());
        }
        _ if *to.signer() != at.key => return None,
        _ => {}
    }
    Some(at)
}

fn steps_to(all: &Events, mut at: Cid) -> Vec<Cid> {
    let mut way = vec![at];
    while let Some(prev) = all
        .iter()
        .find(|event| *event.cid() == at)
        .unwrap()
        .payload()
        .prev
    {
        way.insert(0, prev);
        at = prev;
    }
    way
}

/// Where the ways to some events are one.
fn naive_shared(all: &Events, of: &[Cid]) -> Vec<Cid> {
    let ways: Vec<Vec<Cid>> = of.iter().map(|cid| steps_to(all, *cid)).collect();
    let Some(first) = ways.first() else {
        return Vec::new();
    };
    let is_one = |at: &usize| ways.iter().all(|way| way.get(*at) == first.get(*at));
    let count = (0..first.len()).take_while(is_one).count();
    first[..count].to_vec()
}

/// The log, by the names of its events, and whether it ends in a contradiction.
fn naive(agent: &AgentId, all: &Events) -> (Vec<Cid>, bool) {
    let sound = |event: &Verified<KeyEvent>| naive_way(agent, all, event);
    let after = |event: &Verified<KeyEvent>| {
        all.iter()
            .find(|before| Some(*before.cid()) == event.payload().prev)
    };
    let is = |event: &&Verified<KeyEvent>, what: &str| match event.payload().event {
        Event::Inception { .. } => what == "inception",
        Event::Rotate { .. } => what == "rotate",
        Event::Recover { .. } => what == "recover",
        _ => false,
    };
    let names = |events: Vec<&Verified<KeyEvent>>| -> Vec<Cid> {
        events.iter().map(|event| *event.cid()).collect()
    };
    // Of guardians who were replaced: what was before that.
    let mut before_release: Vec<(Cid, Vec<Cid>)> = Vec::new();
    for event in all {
        if let Event::Rotate {
            guardians: Some(_), ..
        } = event.payload().event
            && sound(event).is_some()
            && let Some(Naive {
                guardians: Some((of, _)),
                ..
            }) = after(event).and_then(sound)
        {
            before_release.push((of, steps_to(all, *event.cid())));
        }
    }
    let firsts = all
        .iter()
        .filter(|event| is(event, "inception") && sound(event).is_some());
    let mut begun = names(firsts.collect());
    loop {
        let (mut log, mut is_contradicted) = (naive_shared(all, &begun), begun.len() > 1);
        if begun.len() == 1 {
            let ours = all.iter().filter(|event| {
                !matches!(
                    event.payload().event,
                    Event::AddDevice { .. } | Event::RemoveDevice { .. }
                ) && sound(event).is_some_and(|at| begun.contains(&at.since))
            });
            let number = |event: &&Verified<KeyEvent>| sound(event).unwrap().number;
            let newest = ours.clone().map(|event| number(&event)).max().unwrap();
            let tips = names(ours.filter(|event| number(event) == newest).collect());
            log = naive_shared(all, &tips);
            is_contradicted = tips.len() > 1;
            while !is_contradicted {
                let next = all.iter().filter(|event| {
                    event.payload().prev == log.last().copied()
                        && sound(event).is_some_and(|at| at.number == newest)
                });
                let next = names(next.collect());
                is_contradicted = next.len() > 1;
                match next[..] {
                    [one] => log.push(one),
                    _ => break,
                }
            }
        }
        let end = all.iter().find(|event| Some(event.cid()) == log.last());
        let Some((force, _)) = end.and_then(|end| sound(end).unwrap().guardians) else {
            return (log, is_contradicted);
        };
        let recoveries = all.iter().filter(|event| {
            let is_void = before_release.iter().any(|(of, _)| *of == force)
                && !before_release
                    .iter()
                    .any(|(of, way)| *of == force && way.contains(event.cid()));
            is(event, "recover")
                && !is_void
                && sound(event).is_some_and(|at| at.guardians.unwrap().0 == force)
                && begun.contains(&sound(after(event).unwrap()).unwrap().since)
        });
        let recoveries = names(recoveries.collect());
        if recoveries.is_empty() {
            return (log, is_contradicted);
        }
        begun = recoveries;
    }
}

/// One thing that somebody says, honest or not.
#[derive(Clone, Debug)]
struct Step {
    after: usize,
    kind: u8,
    signer: u8,
    more: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<usize>(), 0..9_u8, 0..6_u8, any::<u8>());
    let step = step.prop_map(|(after, kind, signer, more)| Step {
        after,
        kind,
        signer,
        more,
    });
    prop::collection::vec(step, 0..24)
}

/// Whoever can sign: the first key, those of the owner's chain, those that guardians may give, and a stranger.
fn signer(number: u8) -> (SecretKey, [u8; 32]) {
    match number {
        0 => (key(1), owner().commitment(0)),
        1..=3 => {
            let number = u32::from(number);
            (owner().key(number).unwrap(), owner().commitment(number))
        }
        4 => (key(21), KeyChain::new(key(20)).commitment(0)),
        _ => (key(30), [3; 32]),
    }
}

fn guardians_of(more: u8) -> Guardians {
    match more % 3 {
        0 => named(&[11, 12], 1 + u64::from(more % 2)),
        1 => named(&[13], 1),
        _ => Guardians::default(),
    }
}

/// What a step says after an event, where `of` named the guardians.
fn event_of(step: &Step, agent: AgentId, (prev, of): (Cid, Cid)) -> (SecretKey, Event) {
    let (by, next) = signer(step.signer);
    let device = key(40 + step.more % 3).device_id();
    let guardians = guardians_of(step.more);
    let all = |what: Says| carried(&[11, 12, 13].map(|by| says(by, agent, what.clone())));
    let event = match step.kind {
        0 | 1 => Event::AddDevice {
            device,
            name: "device".to_owned(),
            at: 5,
        },
        2 => Event::RemoveDevice { device, at: 6 },
        3 | 4 => Event::Rotate {
            next,
            at: 7,
            guardians: None,
            released: vec![],
        },
        5 | 6 => {
            let release = Says::Release {
                named: of,
                guardians: guardians.clone(),
            };
            Event::Rotate {
                next,
                at: 7,
                guardians: Some(guardians),
                released: if step.more > 100 {
                    all(release)
                } else {
                    vec![]
                },
            }
        }
        _ => Event::Recover {
            next,
            at: 8,
            confirmed: all(Says::Confirm {
                key: by.public(),
                next,
                prev,
                since: 0,
            }),
        },
    };
    (by, event)
}

fn events(steps: &[Step]) -> Vec<Verified<KeyEvent>> {
    let agent = key(1).agent_id();
    let some = steps.first().filter(|step| step.more % 2 == 0);
    let some = some
        .map(|step| guardians_of(step.more))
        .filter(|some| some.needed > 0);
    let next = owner().commitment(0);
    let first = KeyLog::inception_guarded(&key(1), next, some).unwrap();
    let mut all: Vec<Verified<KeyEvent>> = first.events().to_vec();
    for step in steps {
        // Mostly after what came last.
        let at = if step.after % 3 == 0 {
            step.after % all.len()
        } else {
            all.len() - 1
        };
        let before = &all[at];
        let mut log = KeyLog::new(agent);
        log.learn(all.clone()).unwrap();
        let named = log.guardians().map_or(*before.cid(), |(named, _)| *named);
        let (by, event) = event_of(step, agent, (*before.cid(), named));
        let said = KeyEvent {
            agent,
            seq: before.payload().seq + 1,
            prev: Some(*before.cid()),
            event,
        };
        let event = Verified::sign(&by, said).unwrap();
        if all.iter().all(|known| known.cid() != event.cid()) {
            all.push(event);
        }
    }
    all
}

proptest! {
    #![proptest_config(cases(64))]

    /// IDENT-33: in whatever order events come, and however often, the log is what the naive twin makes of the set.
    #[test]
    fn a_log_is_a_function_of_its_events(steps in steps(), order in any::<u64>()) {
        let all = events(&steps);
        let agent = key(1).agent_id();
        let (path, is_contradicted) = naive(&agent, &all);
        let mut once = KeyLog::new(agent);
        once.learn(all.clone()).unwrap();
        let got: Vec<Cid> = once.events().iter().map(|event| *event.cid()).collect();
        prop_assert_eq!(&got, &path);
        prop_assert_eq!(once.equivocation().is_some(), is_contradicted);
        prop_assert_eq!(once.key().is_none(), is_contradicted);

        let mut mixed = all.clone();
        let mut seed = order;
        for at in (1..mixed.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            mixed.swap(at, (seed >> 33) as usize % (at + 1));
        }
        let mut one_by_one = KeyLog::new(agent);
        for _ in 0..all.len() {
            for event in &mixed {
                drop(one_by_one.append(event.clone()));
            }
        }
        prop_assert_eq!(&one_by_one, &once);
        // What is told to others is enough to come to the same.
        let mut told = KeyLog::new(agent);
        told.learn(once.known().cloned().collect()).unwrap();
        prop_assert_eq!(&told, &once);
        // Also in pieces, by a mark.
        let count = once.known().count();
        let mut half = KeyLog::new(agent);
        half.learn(once.known().take(count / 2).cloned().collect()).unwrap();
        let rest: Vec<_> = once.beyond(&half.mark()).cloned().collect();
        half.learn(rest).unwrap();
        prop_assert_eq!(&half, &once);
        prop_assert_eq!(once.beyond(&half.mark()).count(), 0);
        prop_assert_eq!(once.beyond(&KeyLog::new(agent).mark()).count(), count);
    }
}
