//! Grants, rules, members and tokens from any bytes: what is read is written so that it reads the same; an answer ends, whatever
//! the policies are, and keeps what the page promises of it.

#![no_main]

use std::sync::LazyLock;

use allod_access::{
    Answer, Authorizer, Facts, Grant, Ground, Member, Op, Policy, Principal, Request, Rule, Target, Token, Ungrant, Verdict,
};
use allod_identity::{AgentId, Payload, SecretKey, Signed, Verified};
use cid::Cid;
use libfuzzer_sys::fuzz_target;

/// A time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

/// Who signs the vectors; the first owns the spaces. Made once, as that takes longer than all else.
static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| (61..72).map(|number| SecretKey::from_seed([number; 32])).collect());
static AGENTS: LazyLock<Vec<AgentId>> = LazyLock::new(|| KEYS.iter().map(SecretKey::agent_id).collect());

/// What is asked of a world.
struct Asked {
    who: Principal,
    op: Op,
    at: u64,
    branch: String,
    key: Vec<u8>,
}

#[derive(Default)]
struct World {
    facts: Facts,
    space: Option<Cid>,
    asked: Vec<Asked>,
}

fn statement<T: Payload + Clone + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(signed) = Signed::<T>::decode(data.to_vec()) {
        assert!(data.len() <= T::BYTES_MAX, "E_SIZE");
        if let Ok(verified) = signed.verify() {
            assert_eq!(verified.bytes().as_ref(), data);
        }
    }
}

fn values(data: &[u8]) {
    statement::<Grant>(data);
    statement::<Ungrant>(data);
    statement::<Token>(data);
    if let Ok(rule) = Rule::decode(data) {
        assert_eq!(rule.encode().as_deref(), Ok(data), "ACCESS-13");
    }
    if let Ok(member) = Member::decode(data) {
        assert_eq!(member.encode().as_deref(), Ok(data), "ACCESS-14");
    }
    let device = KEYS[0].device_id();
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(token) = Token::check_text(text, &device, NOW) {
            assert_eq!(token.issue(&KEYS[0]).as_deref(), Ok(text), "ACCESS-30");
        }
    }
    if let Ok(policy) = serde_json::from_slice::<Policy>(data) {
        let grant = Grant {
            issuer: AGENTS[0],
            audience: AGENTS[1],
            space: "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().expect("a link"),
            command: Op::Write.into(),
            policy,
            proof: None,
            not_before: None,
            expires: None,
            nonce: [0; 16],
        };
        if let Ok(signed) = Verified::sign(&KEYS[0], grant) {
            let again = Signed::<Grant>::decode(signed.bytes().to_vec()).expect("what is signed is read");
            assert_eq!(again.verify().expect("it is good").payload(), signed.payload());
        }
    }
}

/// The next part of a world: its kind, which agent it is of, the length of the rest as two bytes, the rest.
fn next(data: &mut &[u8], world: &mut World) -> Option<()> {
    let (&[kind, by, low, high], rest) = data.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    *data = rest;
    let by = usize::from(by);
    match kind % 6 {
        0 => {
            let signed = Grant::decode(body).ok().and_then(|it| Verified::sign(&KEYS[by % 11], it).ok());
            if let Some(grant) = signed {
                world.space.get_or_insert(grant.payload().space);
                world.facts.grants.insert(*grant.cid(), grant.payload().clone());
            }
        }
        1 => world.facts.ungrants.extend(Ungrant::decode(body).ok()),
        2 => {
            let name = format!("{:03}", world.facts.rules.len());
            world.facts.rules.extend(Rule::decode(body).ok().map(|rule| (name, rule)));
        }
        3 => {
            let versions = world.facts.members.entry(AGENTS[by % 11]).or_default();
            versions.extend(Member::decode(body).ok());
        }
        kind => asked(kind, by, body, world)?,
    }
    Some(())
}

/// A request: operation, time, length of the branch, branch, key; or a token, for the one before it.
fn asked(kind: u8, by: usize, body: &[u8], world: &mut World) -> Option<()> {
    if kind == 5 {
        let last = world.asked.last_mut()?;
        last.who = Principal::bearer(&Token::decode(body).ok()?);
        return Some(());
    }
    let (&[op, at, length], rest) = body.split_first_chunk()?;
    let (branch, key) = rest.split_at_checked(usize::from(length))?;
    world.asked.push(Asked {
        who: AGENTS.get(by).map_or_else(Principal::stranger, |agent| Principal::agent(*agent)),
        op: Op::ALL[usize::from(op) % 9],
        at: if at == 255 { NOW } else { u64::from(at) },
        branch: String::from_utf8_lossy(branch).into_owned(),
        key: key.to_vec(),
    });
    Some(())
}

fn chain_is_sound(verdict: &Verdict, facts: &Facts, asked: &Asked) {
    let links: Vec<&Grant> = verdict.chain.iter().map(|link| &facts.grants[link]).collect();
    assert!((1..=8).contains(&links.len()), "ACCESS-5");
    assert_eq!(Some(&links[0].audience), asked.who.agent_id(), "ACCESS-5");
    assert_eq!(links[links.len() - 1].issuer, AGENTS[0], "ACCESS-5");
    for pair in links.windows(2) {
        assert_eq!(pair[0].issuer, pair[1].audience, "ACCESS-5");
        assert!(pair[1].command.covers(pair[0].command.as_str()), "ACCESS-5");
    }
    assert!(links.iter().all(|link| link.is_valid(asked.at)), "ACCESS-5");
}

fn answers(world: &World) {
    let space = world.space.unwrap_or_else(|| "bafkqaaa".parse().expect("a link"));
    let authorizer = Authorizer::new(AGENTS[0], space, &world.facts);
    let mut taken = world.facts.clone();
    taken.ungrants.extend(taken.grants.keys().map(|of| Ungrant {
        at: 0,
        by: AGENTS[0],
        of: *of,
        reason: None,
    }));
    let without = Authorizer::new(AGENTS[0], space, &taken);
    for asked in world.asked.iter().take(32) {
        let ask = |of: &Authorizer, target| {
            of.check(&Request {
                who: &asked.who,
                op: asked.op,
                branch: &asked.branch,
                target,
                at: asked.at,
            })
        };
        let verdict = ask(&authorizer, Target::Key(&asked.key));
        assert!(!verdict.words().is_empty(), "ACCESS-25");
        if verdict.ground == Ground::Grant {
            chain_is_sound(&verdict, &world.facts, asked);
        }
        assert_ne!(verdict.answer, Answer::Partly, "ACCESS-23");
        assert_ne!(ask(&without, Target::Key(&asked.key)).ground, Ground::Grant, "ACCESS-6");
        for length in [0, asked.key.len() / 2, asked.key.len()] {
            let together = ask(&authorizer, Target::Prefix(&asked.key[..length]));
            let steps = [together.ground, verdict.ground].contains(&Ground::Steps);
            assert!(steps || together.answer != Answer::Allow || verdict.is_allowed(), "ACCESS-23");
            assert!(steps || together.answer != Answer::Deny || !verdict.is_allowed(), "ACCESS-23");
        }
        let branch = ask(&authorizer, Target::Branch);
        let opens = branch.is_allowed() || branch.ground == Ground::Steps;
        assert!(opens || !verdict.is_allowed(), "ACCESS-21");
    }
}

fuzz_target!(|data: &[u8]| {
    values(data);
    let (mut rest, mut world) = (data, World::default());
    while next(&mut rest, &mut world).is_some() {}
    if !world.asked.is_empty() {
        answers(&world);
    }
});
