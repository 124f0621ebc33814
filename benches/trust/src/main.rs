//! Records of trust: how long it takes to read and verify them beside the bare check of their signatures, to find what
//! counts, and to find by which way one agent is related to another; and to open a node that knows many agents.
//!
//! Each round runs the contenders in turn on the same records; the median of the rounds counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use allod::{Home, HomeConfig, KeySource, Node, StoreKind, make_key_file};
use allod_identity::{
    AgentId, KeyChain, KeyLog, Keystore, KnownKeys, Payload as _, SecretKey, Verified,
};
use allod_trust::{
    About, Attestation, By, Condition, Counted, DISTANCE_MAX, Graph, Level, Moment, Outcome,
    Policy, Predicates, RECORDS_MAX, Record, Register, Relation, Rule, Signer, Subject, World,
};
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};

/// A time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

fn main() {
    let is_said = |word: &str| std::env::args().any(|arg| arg == word);
    let quick = is_said("--quick");
    let (rounds, scale) = if quick { (3, 10) } else { (7, 1) };
    // The one that has a disk, alone.
    if is_said("opening") {
        return opening(rounds, 10_000 / scale);
    }
    verifying(rounds, 100_000 / scale);
    paths(if quick { 20 } else { 200 }, 100_000 / scale);
    strangers(rounds, 100_000 / scale);
    opening(rounds, 10_000 / scale);
}

fn row(case: &str, unit: &str, ours: f64, peers: &[(&str, f64)], target: &str) {
    let peers: serde_json::Map<String, serde_json::Value> = peers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "area": "trust", "case": case, "unit": unit, "better": "less",
            "ours": ours, "peers": peers, "target": target,
        })
    );
}

fn seconds<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = std::hint::black_box(run());
    (started.elapsed().as_secs_f64(), result)
}

fn at(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

fn key(number: u32) -> SecretKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(seed)
}

/// What a signature is over (STMT-6).
fn signed_part(record: &Record) -> Vec<u8> {
    let bytes = record.bytes();
    let context = format!("allod/{}/1\0", Attestation::DOMAIN);
    let said = &bytes[1..bytes.len() - 66];
    [context.as_bytes(), &[0x83], said].concat()
}

/// Claims of 100 authors, read and verified.
fn verifying(rounds: usize, count: usize) {
    let keys: Vec<SecretKey> = (0..100).map(key).collect();
    let record = |number: usize| {
        let author = &keys[number % keys.len()];
        let about = keys[(number + 1) % keys.len()].agent_id();
        let claim = Attestation {
            by: author.agent_id(),
            about: About::Agent(about),
            category: "skill".to_owned(),
            claim: format!("plays the viola, as is shown by proof {number}"),
            evidence: Vec::new(),
            from: NOW,
            until: Some(NOW * 2),
            at: NOW,
        };
        Record::from(Verified::sign(author, claim).expect("it is signed"))
    };
    // Both read through one stretch of memory, as what comes from a peer is.
    let (mut whole, mut inputs) = (Vec::new(), Vec::new());
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut bare: Vec<(usize, usize, Signature)> = Vec::new();
    for number in 0..count {
        let record = record(number);
        let signature = &record.bytes()[record.bytes().len() - 64..];
        let signature = Signature::from_slice(signature).expect("64 bytes");
        places.push((whole.len(), whole.len() + record.bytes().len()));
        whole.extend_from_slice(record.bytes());
        let start = inputs.len();
        inputs.extend(signed_part(&record));
        bare.push((start, inputs.len(), signature));
    }
    let known = keys
        .iter()
        .map(|key| VerifyingKey::from_bytes(key.public().as_bytes()));
    let known: Vec<VerifyingKey> = known.map(|key| key.expect("a key")).collect();
    let whole = Bytes::from(whole);
    let read = || {
        let read = places
            .iter()
            .map(|(start, end)| Record::decode(whole.slice(*start..*end)));
        read.filter(Result::is_ok).count()
    };
    let check = || {
        let held = bare
            .iter()
            .enumerate()
            .map(|(at, (start, end, signature))| {
                known[at % known.len()].verify_strict(&inputs[*start..*end], signature)
            });
        held.filter(Result::is_ok).count()
    };
    let (mut ours, mut cold, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut keys = KnownKeys::new();
    for _ in 0..rounds {
        for (times, (time, good)) in [
            (&mut ours, seconds(|| keys.during(read))),
            (&mut theirs, seconds(check)),
            (&mut cold, seconds(read)),
        ] {
            assert_eq!(good, count);
            times.push(time * 1e6 / count as f64);
        }
    }
    let case = format!("a record of {count} by 100 authors: read, and its signature checked");
    let bare = [("verify_strict of ed25519-dalek 3", at(&mut theirs, 0.5))];
    row(
        &format!("{case}, keys known"),
        "us",
        at(&mut ours, 0.5),
        &bare,
        "<= 1.2x",
    );
    row(
        &format!("{case}, keys not known"),
        "us",
        at(&mut cold, 0.5),
        &bare,
        "stated",
    );
}

/// Relationships of many agents: what counts of their halves, the graph, and paths in it.
fn paths(asked: usize, count: usize) {
    // As many halves as there are to be do not fit the bound of one register, so the rest is of the same agents.
    let count = count.min(RECORDS_MAX / 2);
    let agents = count / 5;
    let keys: Vec<SecretKey> = (0..agents as u32).map(key).collect();
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    let mut register = Register::new();
    let mut made = 0;
    while made < count {
        let (one, two) = (next(agents), next(agents));
        let level = Level::ALL[next(5)];
        if one == two {
            continue;
        }
        let half = |of: &SecretKey, with: &SecretKey| {
            let relation = Relation {
                by: of.agent_id(),
                with: with.agent_id(),
                kind: "friend".to_owned(),
                level,
                from: NOW,
                until: None,
                at: NOW,
            };
            Verified::sign(of, relation).expect("it is signed")
        };
        register.add(half(&keys[one], &keys[two])).expect("room");
        register.add(half(&keys[two], &keys[one])).expect("room");
        made += 1;
    }
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let (time, counted) = seconds(|| Counted::new(&register, &logs));
    let shown = register.records().len();
    row(
        &format!("what counts of {shown} records"),
        "ms",
        time * 1e3,
        &[],
        "stated",
    );
    let (time, graph) = seconds(|| Graph::new(&counted, NOW));
    row(
        &format!("the graph of {count} relationships"),
        "ms",
        time * 1e3,
        &[],
        "stated",
    );

    let mut found = 0;
    let mut times: Vec<f64> = (0..asked)
        .map(|_| {
            let (from, to) = (keys[next(agents)].agent_id(), keys[next(agents)].agent_id());
            let (time, path) = seconds(|| graph.path(&from, &to, DISTANCE_MAX, Level::Network));
            found += usize::from(path.is_some());
            time * 1e3
        })
        .collect();
    assert!(found > asked * 9 / 10, "most are related");
    let case = format!("a path between two of {agents} agents over {count} relationships");
    row(
        &format!("{case}, median"),
        "ms",
        at(&mut times, 0.5),
        &[],
        "<= 10",
    );
    row(
        &format!("{case}, longest of {asked}"),
        "ms",
        at(&mut times, 1.0),
        &[],
        "<= 10",
    );

    let rule = Rule {
        when: Condition::Related {
            within: 3,
            level: Some(Level::Community),
        },
        then: Outcome::Accept,
        because: "near".to_owned(),
    };
    let policy = Policy::new(vec![rule], Outcome::Quarantine).expect("a policy");
    let predicates = Predicates::new();
    let moment = Moment::new(Arc::new(counted), NOW);
    let world = World::new(&moment, keys[0].agent_id(), &predicates);
    let mut times: Vec<f64> = (0..asked)
        .map(|_| {
            let subject = Subject {
                author: keys[next(agents)].agent_id(),
                device: Signer::Agent,
            };
            seconds(|| policy.evaluate(&subject, &world)).0 * 1e6
        })
        .collect();
    row(
        &format!("a verdict by distance over {count} relationships, median"),
        "us",
        at(&mut times, 0.5),
        &[],
        "stated",
    );
}

/// A verdict about somebody of whom many strangers claim something, each with a key of its own.
fn strangers(rounds: usize, count: usize) {
    let keys: Vec<SecretKey> = (0..count as u32).map(key).collect();
    let subject = keys[0].agent_id();
    let mut register = Register::new();
    for key in &keys {
        let claim = Attestation {
            by: key.agent_id(),
            about: About::Agent(subject),
            category: "spam".to_owned(),
            claim: "sends advertisements".to_owned(),
            evidence: Vec::new(),
            from: NOW,
            until: None,
            at: NOW,
        };
        register
            .add(Verified::sign(key, claim).expect("it is signed"))
            .expect("room");
    }
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let moment = Moment::new(Arc::new(Counted::new(&register, &logs)), NOW);
    let (predicates, reader) = (Predicates::new(), key(u32::MAX).agent_id());
    let near = Condition::Related {
        within: 3,
        level: None,
    };
    for (case, by, unit, scale) in [
        ("by somebody near", By::Who(Box::new(near)), "ms", 1e3),
        ("by one who is named", By::Agents(vec![reader]), "us", 1e6),
    ] {
        let when = Condition::Attested {
            category: "spam".to_owned(),
            claim: None,
            by,
        };
        let (then, because) = (Outcome::Refuse, "spam".to_owned());
        let rule = Rule {
            when,
            then,
            because,
        };
        let policy = Policy::new(vec![rule], Outcome::Accept).expect("a policy");
        let subject = Subject {
            author: subject,
            device: Signer::Agent,
        };
        let mut times: Vec<f64> = (0..rounds)
            .map(|_| {
                let world = World::new(&moment, reader, &predicates);
                seconds(|| policy.evaluate(&subject, &world)).0 * scale
            })
            .collect();
        let case = format!("a verdict over claims of {count} strangers, asked for one {case}");
        row(&case, unit, at(&mut times, 0.5), &[], "stated");
    }
}

/// The keys of the home that is opened.
fn own_keys() -> Keystore {
    Keystore {
        agent: Some(key(u32::MAX)),
        next_agent: Some(key(u32::MAX - 1)),
        device: key(u32::MAX - 2),
    }
}

/// A home with a space.
fn home(dir: &std::path::Path) -> Home {
    let file = dir.join("key");
    let secret = make_key_file(&file).expect("a key file");
    let home = Home::at(dir.join("home"));
    let (source, agent) = (KeySource::File(file), key(u32::MAX).agent_id());
    let device = key(u32::MAX - 2).device_id();
    let (kind, name) = (StoreKind::default(), "laptop".to_owned());
    let config = HomeConfig::new(kind, source, device, name, Some(agent));
    home.create(&config, &own_keys(), &secret).expect("a home");
    let node = Node::open(home.clone(), Some(own_keys())).expect("opens");
    node.begin_log("laptop").expect("a log");
    node.create_space("notes").expect("a space");
    home
}

/// Opening a node whose store has the key logs of many agents, beside one that knows its own.
fn opening(rounds: usize, count: usize) {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [many, none] = dirs.each_ref().map(|dir| home(dir.path()));
    {
        let node = Node::open(many.clone(), Some(own_keys())).expect("opens");
        for number in 0..count as u32 {
            let agent = key(number);
            let next = KeyChain::new(key(number + 500_000)).commitment(0);
            let mut log = KeyLog::inception(&agent, next).expect("a log");
            let device = key(number + 1_000_000).device_id();
            log.add_device(&agent, device, "phone", NOW)
                .expect("a device");
            let events: Vec<Bytes> = log.known().map(|event| event.bytes().clone()).collect();
            node.agents().learn(log.agent(), &events).expect("learned");
        }
    }
    // Until it can say who acts for its agent, and what its space is.
    let open = |home: &Home| {
        let (time, node) = seconds(|| {
            let node = Node::open(home.clone(), Some(own_keys())).expect("opens");
            assert_eq!(node.own_log().expect("its log").devices().len(), 1);
            let _repo = node.space(Some("notes")).expect("its space");
            node
        });
        drop(node);
        time * 1e3
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(open(&many));
        theirs.push(open(&none));
    }
    row(
        &format!("a node opened whose store has the key logs of {count} agents"),
        "ms",
        at(&mut ours, 0.5),
        &[(
            "the same node that knows its own alone",
            at(&mut theirs, 0.5),
        )],
        "< 300",
    );
}
