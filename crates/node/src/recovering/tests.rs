//! What a home keeps of what is said of recoveries, and when it asks for none.

use allod_identity::{KeyLogError, Keystore};

use super::*;
use crate::home::{Home, HomeConfig, KeySource, StoreKind, make_key_file};

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// A home, with its secret, that acts for the agent of key 1 if it `acts`; with a device of key 3.
fn home(dir: &std::path::Path, acts: bool) -> (Node, Vec<u8>) {
    let keys = Keystore {
        agent: acts.then(|| key(1)),
        next_agent: acts.then(|| key(2)),
        device: key(3),
    };
    let file = dir.join("key");
    let secret = make_key_file(&file).unwrap();
    let home = Home::at(dir.join("home"));
    let (source, device) = (KeySource::File(file), keys.device.device_id());
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let config = HomeConfig::new(StoreKind::default(), source, device, "laptop".into(), agent);
    home.create(&config, &keys, &secret).unwrap();
    let node = Node::open(home, Some(keys)).unwrap();
    if acts {
        node.begin_log("laptop").unwrap();
    }
    (node, secret.to_vec())
}

/// The agent of key 50 is known, with a device of key 51, one of key 52 that was removed, and the device here as its guardian.
fn guarded(node: &Node) -> (AgentId, KeyLog) {
    let chain = KeyChain::new(key(60));
    let guardians = Guardians {
        keys: vec![key(3).public()],
        needed: 1,
        wait: 0,
    };
    let made = || -> Result<KeyLog, KeyLogError> {
        let mut log = KeyLog::inception_guarded(&key(50), chain.commitment(0), Some(guardians))?;
        log.add_device(&key(50), key(51).device_id(), "phone", 1)?;
        log.add_device(&key(50), key(52).device_id(), "stolen", 2)?;
        log.remove_device(&key(50), key(52).device_id(), 3)?;
        Ok(log)
    };
    let log = made().unwrap();
    node.learn_log(log.agent(), &events(&log)).unwrap();
    (*log.agent(), log)
}

fn events(log: &KeyLog) -> Vec<Bytes> {
    log.known().map(|event| event.bytes().clone()).collect()
}

fn objection(by: &SecretKey, agent: AgentId, new: u8) -> Said {
    let said = Objection {
        agent,
        at: u64::from(new),
        key: key(new).public(),
    };
    Said::Objection(Verified::sign(by, said).unwrap())
}

fn request(log: &KeyLog, number: u16) -> RecoveryRequest {
    let mut seed = [200; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    RecoveryRequest {
        agent: *log.agent(),
        key: SecretKey::from_seed(seed).public(),
        next: [7; 32],
        prev: *log.head().unwrap(),
    }
}

/// Strangers fill their own list and no other, and who comes to be known leaves it (IDENT-51).
#[test]
fn objections_by_unknown_keys_are_kept_apart_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = home(dir.path(), true);
    let (agent, log) = guarded(&node);
    let late = key(53);
    assert!(!node.hear(&objection(&late, agent, 90)).unwrap());
    let heard = (101..=115).map(|by| node.hear(&objection(&key(by), agent, 90)).unwrap());
    assert!(heard.into_iter().all(|has_a_say| !has_a_say));
    let full = node.hear(&objection(&key(120), agent, 90));
    let is_full = matches!(full, Err(NodeError::Recovery(RecoveryError::FullUnknown)));
    assert!(is_full, "{full:?}");
    // What is kept already is no more.
    assert!(!node.hear(&objection(&late, agent, 90)).unwrap());
    let unknown = node.unknown_objections(agent).unwrap();
    assert_eq!((unknown.said.len(), unknown.is_full), (UNKNOWN_MAX, true));
    assert!(node.said_of(agent).unwrap().is_empty());
    // Whoever has a say is heard, and whoever had one is not, and is no stranger either.
    assert!(node.hear(&objection(&key(51), agent, 90)).unwrap());
    let removed = node.hear(&objection(&key(52), agent, 90));
    assert!(matches!(
        removed,
        Err(NodeError::Recovery(RecoveryError::Unfit(_)))
    ));
    assert_eq!(node.said_of(agent).unwrap().len(), 1);
    // The log says whose key it is, and leaves room for another.
    let mut log = log;
    log.add_device(&key(50), late.device_id(), "tablet", 4)
        .unwrap();
    node.learn_log(&agent, &events(&log)).unwrap();
    let said = node.said_of(agent).unwrap();
    assert_eq!(said.len(), 2);
    assert!(said.iter().any(|said| said.signer() == late.public()));
    let unknown = node.unknown_objections(agent).unwrap();
    assert_eq!((unknown.said.len(), unknown.is_full), (15, false));
    assert!(!node.hear(&objection(&key(120), agent, 90)).unwrap());
    // Once more it is nothing new, and in no list twice.
    assert!(node.hear(&objection(&late, agent, 90)).unwrap());
    assert_eq!(node.said_of(agent).unwrap().len(), 2);
}

/// Of an agent that has no guardians nobody is to see what strangers say.
#[test]
fn without_guardians_strangers_are_not_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = home(dir.path(), true);
    for agent in [key(70).agent_id(), node.agent().unwrap()] {
        let heard = node.hear(&objection(&key(53), agent, 90));
        let is_refused = matches!(
            heard,
            Err(NodeError::Recovery(RecoveryError::NoGuardians(_)))
        );
        assert!(is_refused, "{heard:?}");
        assert!(node.unknown_objections(agent).unwrap().said.is_empty());
    }
}

#[test]
fn no_more_than_a_full_list_of_statements_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = home(dir.path(), true);
    let (agent, log) = guarded(&node);
    let last = SAID_MAX as u16;
    for number in 0..last {
        node.approve(&request(&log, number)).unwrap();
    }
    assert_eq!(node.said_of(agent).unwrap().len(), SAID_MAX);
    let full = node.approve(&request(&log, last));
    let is_full = matches!(full, Err(NodeError::Recovery(RecoveryError::Full)));
    assert!(is_full, "{full:?}");
    let objected = node.hear(&objection(&key(51), agent, 90));
    assert!(matches!(
        objected,
        Err(NodeError::Recovery(RecoveryError::Full))
    ));
    // What was said before is said again, and what strangers say has its own list.
    let again = node.approve(&request(&log, 7)).unwrap();
    assert_eq!(again.request(), Some(request(&log, 7)));
    assert_eq!(node.said_of(agent).unwrap().len(), SAID_MAX);
    assert!(!node.hear(&objection(&key(53), agent, 90)).unwrap());
}

/// Keys of an import that was cut off are not given up unasked.
#[test]
fn keys_that_no_request_asks_for_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (node, secret) = home(dir.path(), false);
    let (agent, _) = guarded(&node);
    let held = |of: &Node| {
        let AgentKeys { agent, next } = of.agent_keys();
        [agent, next].map(|key| key.map(|key| key.public()))
    };
    for (of_agent, next) in [(Some(key(61)), None), (None, Some(key(62)))] {
        let keys = AgentKeys {
            agent: of_agent,
            next,
        };
        node.seal_agent_keys(&secret, keys).unwrap();
        let before = held(&node);
        let begun = node.begin_recovery(&secret, agent, None, false);
        let is_refused = matches!(begun, Err(NodeError::Recovery(RecoveryError::OtherKeys)));
        assert!(is_refused, "{begun:?}");
        assert_eq!(held(&node), before);
        assert_eq!(node.asked().unwrap(), None);
    }
    let begun = node.begin_recovery(&secret, agent, None, true).unwrap();
    let [of_agent, next] = held(&node);
    assert_eq!(of_agent, None);
    assert!(next.is_some_and(|next| next != key(62).public()));
    assert_eq!(node.asked().unwrap(), Some(begun));
}
