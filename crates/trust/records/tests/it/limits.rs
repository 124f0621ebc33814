//! What a register and a record hold, and what a stranger can make of them.

use std::collections::BTreeMap;

use allod_identity::{AgentId, KeyChain, KeyLog, STATEMENT_BYTES_MAX, SignError, Verified};
use allod_trust::{
    About, Attestation, Circle, Counted, KEEP_MAX, Keep, Level, RECORD_BYTES_MAX,
    RECORDS_OF_SIGNER_MAX, Record, Register, Relation, Revocation, Witness,
};
use cid::Cid;
use proptest::prelude::*;

use crate::{NOW, agent, cases, key, said};

fn witness(by: AgentId, at: u64) -> Witness {
    let of = Cid::default();
    Witness { by, of, at }
}

/// TRUST-1: the limit holds where a record is made as well, and what is larger is refused unread.
#[test]
fn a_record_has_at_most_1024_bytes() {
    let link = |n: u8| *said(1, witness(agent(1), u64::from(n))).cid();
    let mut of: Vec<Cid> = (0..KEEP_MAX as u8).map(link).collect();
    of.sort_unstable();
    let keep = said(
        1,
        Keep {
            by: agent(1),
            of,
            at: NOW,
        },
    );
    assert!(keep.bytes().len() <= RECORD_BYTES_MAX, "all 16 fit");
    let role = |n: u8| format!("role-{n:027}");
    let roles = (0..16).map(|n| (role(n), vec![role(0)]));
    let mut circle = Circle {
        by: agent(1),
        name: "n".repeat(256),
        roles: roles.collect(),
        at: NOW,
    };
    let error = Verified::sign(&key(1), circle.clone()).expect_err("too large");
    assert_eq!(error.code(), "E_SIZE");
    assert!(matches!(error, SignError::Encoding(_)));
    circle.roles.values_mut().for_each(Vec::clear);
    assert!(Verified::sign(&key(1), circle).is_ok());
    for size in [RECORD_BYTES_MAX + 1, STATEMENT_BYTES_MAX + 1] {
        let error = Record::decode(vec![0; size]).expect_err("too large");
        assert_eq!(error.code(), "E_SIZE");
    }
}

/// Whoever says things in the name of others fills no room but what its own key has.
#[test]
fn a_signer_has_its_own_room() {
    let mut register = Register::new();
    for at in 0..RECORDS_OF_SIGNER_MAX as u64 {
        // Signatures that hold take a second or two; each is made once.
        let record = said(9, witness(agent(1), at));
        assert_eq!(register.add(record), Ok(true));
    }
    let more = said(9, witness(agent(1), u64::MAX >> 17));
    assert_eq!(
        register.add(more.clone()).expect_err("full").code(),
        "E_TRUST_FULL"
    );
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let counted = Counted::new(&register, &logs);
    assert!(!counted.is_cut() && counted.unheard().iter().eq([&agent(9)]));
    let first = said(9, witness(agent(1), 0));
    assert_eq!(register.add(first.clone()), Ok(false), "it is there");
    assert_eq!(register.add(said(1, witness(agent(1), 0))), Ok(true));
    assert!(register.remove(first.cid()) && !register.remove(first.cid()));
    assert_eq!(register.add(more), Ok(true), "where one went there is room");
    assert_eq!(register.records().len(), RECORDS_OF_SIGNER_MAX + 1);
}

/// The log of the agent of key 1, whose device is that of key 2.
fn log(states: usize) -> BTreeMap<AgentId, KeyLog> {
    let chain = KeyChain::new(key(3));
    let mut log = KeyLog::inception(&key(1), chain.commitment(0)).expect("a log");
    let device = key(2).device_id();
    log.add_device(&key(1), device, "phone", 1).expect("added");
    if states > 0 {
        log.remove_device(&key(1), device, 2).expect("removed");
    }
    for number in 1..states as u32 {
        let (next, head) = (chain.key(number).expect("a key"), log.head().copied());
        let commitment = chain.commitment(number);
        log.rotate((&next, commitment), (head, 3), (None, vec![]))
            .expect("rotated");
    }
    BTreeMap::from([(agent(1), log)])
}

/// TRUST-14: if what is told is kept each time, the same counts after keys come and go; and no more than that is told.
#[test]
fn what_has_to_be_kept_is_told() {
    let mut register = Register::new();
    let claim = |number: u64| Attestation {
        by: agent(1),
        about: About::Agent(agent(9)),
        category: "skill".to_owned(),
        claim: format!("number {number}"),
        evidence: Vec::new(),
        from: NOW,
        until: None,
        at: NOW,
    };
    let claims: Vec<_> = (0..20).map(|number| said(2, claim(number))).collect();
    for claim in &claims {
        register.add(claim.clone()).expect("room");
    }
    let taken = said(1, claim(20));
    let revocation = said(
        2,
        Revocation {
            by: agent(1),
            of: *taken.cid(),
            at: NOW,
            reason: None,
        },
    );
    register.add(taken.clone()).expect("room");
    register.add(revocation.clone()).expect("room");
    register.add(said(7, claim(21))).expect("room");
    let counts = |register: &Register, logs: &BTreeMap<AgentId, KeyLog>| {
        let counted = Counted::new(register, logs);
        let all = claims.iter().all(|claim| counted.counts(claim.cid()));
        all && !counted.counts(taken.cid())
    };
    let chain = KeyChain::new(key(3));
    // The device goes, then the first key, then the next one.
    let gone = [key(2), key(1), chain.key(1).expect("a key")];
    let next = [
        key(1),
        chain.key(1).expect("a key"),
        chain.key(2).expect("a key"),
    ];
    for state in 0..3 {
        let (before, after) = (log(state), log(state + 1));
        assert!(counts(&register, &before));
        let keep = register.to_keep(&agent(1), &gone[state].public(), &before);
        assert_eq!(
            keep.first(),
            Some(revocation.cid()),
            "revocations are first"
        );
        assert_eq!(keep.len(), 21, "not what a stranger signed");
        assert!(
            !counts(&register, &after),
            "something is lost if it is not kept"
        );
        for kept in Keep::all(agent(1), &keep, NOW + state as u64) {
            let kept = Verified::sign(&next[state], kept).expect("it is signed");
            register.add(kept).expect("room");
        }
        assert!(counts(&register, &after));
    }
    let none = register.to_keep(&agent(1), &key(7).public(), &log(3));
    assert_eq!(none, []);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(Record::decode(bytes).is_err());
    }

    #[test]
    fn a_changed_record_is_refused(at: prop::sample::Index, bit in 0..8u8, until: Option<u32>) {
        let record = said(1, Relation {
            by: agent(1),
            with: agent(2),
            kind: "friend".to_owned(),
            level: Level::Family,
            from: 1,
            until: until.map(|until| u64::from(until) + 2),
            at: NOW,
        });
        let whole = record.bytes().to_vec();
        prop_assert_eq!(Record::decode(whole.clone()).map(|it| *it.cid()), Ok(*record.cid()));
        let mut changed = whole;
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert!(Record::decode(changed).is_err());
    }
}
