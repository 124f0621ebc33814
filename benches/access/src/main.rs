//! Answers to who may do what: how long one takes in a space with a hundred rules, and how long it takes to come to the first
//! from the bytes of grants, beside the bare check of their signatures.
//!
//! Each round runs the contenders in turn on the same grants; the median of the rounds counts.

use std::collections::BTreeMap;
use std::time::Instant;

use allod_access::{
    Answer, Authorizer, Draft, Facts, Grant, Ground, Member, On, Op, Policy, Principal, Request,
    Roles, Rule, Target, Verdict,
};
use allod_identity::{KnownKeys, Payload as _, SecretKey, Signed, Verified};
use cid::Cid;
use ed25519_dalek::{Signature, VerifyingKey};

/// A time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, scale) = if quick { (3, 10) } else { (9, 1) };
    let grants = grants();
    warm(rounds, 100_000 / scale, &grants);
    cold(rounds, 2_000 / scale, &grants);
}

fn row(case: &str, ours: f64, peers: &[(&str, f64)], target: &str) {
    let peers: serde_json::Map<String, serde_json::Value> = peers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "area": "access", "case": case, "unit": "us", "better": "less",
            "ours": ours, "peers": peers, "target": target,
        })
    );
}

/// How long one of so many runs takes, in microseconds.
fn each<T>(times: usize, mut run: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    for _ in 0..times {
        std::hint::black_box(run());
    }
    started.elapsed().as_secs_f64() * 1e6 / times as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn space() -> Cid {
    let name = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    name.parse().expect("it is a link")
}

/// A chain of three grants, each with conditions.
fn grants() -> Vec<Verified<Grant>> {
    let policies = [
        Policy::prefix("projects/"),
        Policy::prefix("projects/north/").and(Policy::branch("main")),
        Policy::prefix("projects/north/plans/"),
    ];
    let mut made: Vec<Verified<Grant>> = Vec::new();
    for (number, policy) in (0..).zip(policies) {
        let grant = Grant {
            issuer: key(number).agent_id(),
            audience: key(number + 1).agent_id(),
            space: space(),
            command: "/space/write".parse().expect("it is a command"),
            policy,
            proof: made.last().map(|before| *before.cid()),
            not_before: Some(NOW - 1),
            expires: Some(NOW + 1),
            nonce: [number; 16],
        };
        made.push(Verified::sign(&key(number), grant).expect("it is signed"));
    }
    made
}

fn rule(on: On, pattern: &str, op: Op, role: &str, owner: Option<&str>) -> Rule {
    let draft = Draft {
        on,
        allow: Roles::from([(op, vec![role.to_owned()])]),
        deny: Roles::new(),
        owner: owner.map(ToOwned::to_owned),
        pattern: pattern.parse().expect("it is a pattern"),
    };
    draft.try_into().expect("it is a rule")
}

/// A hundred rules, of which one denies, and members.
fn facts(grants: &[Verified<Grant>]) -> Facts {
    let mut rules = vec![
        rule(
            On::Key,
            "user:{userId}:*",
            Op::Read,
            "admin",
            Some("{userId}"),
        ),
        rule(On::Key, "shared:*", Op::Write, "editor", None),
        rule(On::Key, "*", Op::Read, "member", None),
        rule(On::Branch, "main", Op::Merge, "admin", None),
        rule(On::Branch, "{user}/*", Op::Write, "admin", Some("{user}")),
    ];
    let deny: Rule = Draft {
        on: On::Key,
        allow: Roles::new(),
        deny: Roles::from([(Op::Write, vec!["guest".to_owned()])]),
        owner: None,
        pattern: "*".parse().expect("it is a pattern"),
    }
    .try_into()
    .expect("it is a rule");
    rules.push(deny);
    while rules.len() < 100 {
        let number = rules.len();
        let (on, pattern) = if number % 3 == 0 {
            (On::Branch, format!("team-{number}/*"))
        } else {
            (On::Key, format!("projects/{{name}}/part-{number}/*"))
        };
        rules.push(rule(on, &pattern, Op::Write, "editor", None));
    }
    let mut facts = Facts::default();
    for rule in rules {
        facts
            .rules
            .insert(format!("{:04}", facts.rules.len()), rule);
    }
    let anna = Member::new(
        Some("anna".to_owned()),
        vec!["editor".to_owned(), "member".to_owned()],
    );
    facts
        .members
        .insert(key(9).agent_id(), vec![anna.expect("it is a member")]);
    facts.grants = grants
        .iter()
        .map(|it| (*it.cid(), it.payload().clone()))
        .collect();
    facts
}

fn warm(rounds: usize, times: usize, grants: &[Verified<Grant>]) {
    let authorizer = Authorizer::new(key(0).agent_id(), space(), &facts(grants));
    let [chained, anna, stranger] = [3, 9, 8].map(|it| Principal::agent(key(it).agent_id()));
    let did = key(8).agent_id().to_string();
    let own = format!("user:{}:a", &did["did:key:".len()..]);
    let branch = format!("{}/work", &did["did:key:".len()..]);
    for (case, who, branch, target, expected) in [
        (
            "a role",
            &anna,
            "team-33/work",
            Target::Key(b"shared:a"),
            Ground::Role,
        ),
        (
            "a chain of 3 grants",
            &chained,
            "main",
            Target::Key(b"projects/north/plans/7"),
            Ground::Grant,
        ),
        (
            "a chain of 3 grants, of all keys with a prefix",
            &chained,
            "main",
            Target::Prefix(b"projects/north/plans/a/"),
            Ground::Grant,
        ),
        (
            "who owns key and branch by a did:key",
            &stranger,
            &branch,
            Target::Key(own.as_bytes()),
            Ground::Role,
        ),
        (
            "nothing, with what was nearest",
            &chained,
            "main",
            Target::Key(b"projects/south/7"),
            Ground::Nothing,
        ),
    ] {
        let request = Request {
            who,
            op: Op::Write,
            branch,
            target,
            at: NOW,
        };
        let ask = || authorizer.check(std::hint::black_box(&request));
        let verdict: Verdict = ask();
        assert_eq!(verdict.ground, expected, "{case}: {}", verdict.words());
        let times = (0..rounds).map(|_| each(times, ask)).collect();
        row(
            &format!("an answer in a space of 100 rules, decided by {case}"),
            median(times),
            &[],
            "<= 5",
        );
    }
}

/// From the bytes of three grants to the first answer.
fn cold(rounds: usize, times: usize, grants: &[Verified<Grant>]) {
    let (mut facts, owner, space) = (facts(&[]), key(0).agent_id(), space());
    let bytes: Vec<Vec<u8>> = grants.iter().map(|it| it.bytes().to_vec()).collect();
    let who = Principal::agent(key(3).agent_id());
    let request = Request {
        who: &who,
        op: Op::Write,
        branch: "main",
        target: Target::Key(b"projects/north/plans/7"),
        at: NOW,
    };
    let mut first = || {
        facts.grants = bytes
            .iter()
            .map(|bytes| {
                let signed = Signed::<Grant>::decode(bytes.clone()).expect("it is read");
                let grant = signed.verify().expect("it is good");
                (*grant.cid(), grant.payload().clone())
            })
            .collect::<BTreeMap<_, _>>();
        Authorizer::new(owner, space, &facts).check(&request).answer
    };
    assert_eq!(first(), Answer::Allow);
    let signed: Vec<(Vec<u8>, Signature, VerifyingKey)> = grants.iter().map(bare).collect();
    let check = || {
        signed
            .iter()
            .all(|(said, signature, key)| key.verify_strict(said, signature).is_ok())
    };
    assert!(check());
    let mut known = KnownKeys::new();
    let (mut ours, mut cold, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(known.during(|| each(times, &mut first)));
        theirs.push(each(times, check));
        cold.push(each(times, &mut first));
    }
    let peers = [("3 times verify_strict of ed25519-dalek 3", median(theirs))];
    let case =
        "3 grants read and verified, an authorizer made of them and 100 rules, and asked once";
    row(
        &format!("{case}, keys known"),
        median(ours),
        &peers,
        "<= 1.6x",
    );
    row(
        &format!("{case}, keys not known"),
        median(cold),
        &peers,
        "stated",
    );
}

/// What a signature is over (STMT-6), the signature, and the key.
fn bare(grant: &Verified<Grant>) -> (Vec<u8>, Signature, VerifyingKey) {
    let bytes = grant.bytes();
    let context = format!("allod/{}/1\0", Grant::DOMAIN);
    let said = [context.as_bytes(), &[0x83], &bytes[1..bytes.len() - 66]].concat();
    let signature = Signature::from_slice(&bytes[bytes.len() - 64..]).expect("64 bytes");
    let key = VerifyingKey::from_bytes(grant.signer().as_bytes()).expect("it is a key");
    (said, signature, key)
}
