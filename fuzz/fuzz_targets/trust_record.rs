//! Records of trust from any payloads, signed by some keys: none panics, what is made is read, and what counts does not depend
//! on the order in which they came.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::{AgentId, KeyLog, Payload, SecretKey, Verified};
use allod_trust::{
    Attestation, Circle, Circles, Counted, DISTANCE_MAX, Graph, Keep, Level, Membership, RECORD_BYTES_MAX, Record,
    Register, Relation, Revocation, Witness,
};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_800_000_000_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([41 + number % 8; 32])
}

fn signed<T: Payload>(by: u8, payload: &[u8]) -> Option<Record>
where
    Record: From<Verified<T>>,
{
    let payload = T::decode(payload).ok()?;
    Verified::sign(&key(by), payload).ok().map(Record::from)
}

/// One record: which domain, which key, the length of the payload as two bytes, the payload.
fn next(data: &mut &[u8]) -> Option<Option<Record>> {
    let (&[domain, by, low, high], rest) = data.split_first_chunk()?;
    let (payload, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    *data = rest;
    Some(match domain % 7 {
        0 => signed::<Attestation>(by, payload),
        1 => signed::<Witness>(by, payload),
        2 => signed::<Revocation>(by, payload),
        3 => signed::<Relation>(by, payload),
        4 => signed::<Circle>(by, payload),
        5 => signed::<Membership>(by, payload),
        _ => signed::<Keep>(by, payload),
    })
}

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = Record::decode(data.to_vec()) {
        assert_eq!(record.bytes().as_ref(), data);
        assert!(data.len() <= RECORD_BYTES_MAX, "TRUST-1");
    }
    let (mut rest, mut records) = (data, Vec::new());
    while let Some(record) = next(&mut rest) {
        records.extend(record);
    }
    for record in &records {
        let read = Record::decode(record.bytes().clone()).expect("what is signed is read");
        assert_eq!(read, *record);
    }
    let (mut one, mut other) = (Register::new(), Register::new());
    for (first, last) in records.iter().zip(records.iter().rev()) {
        one.add(first.clone()).expect("room");
        other.add(last.clone()).expect("room");
    }
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let (counted, again) = (Counted::new(&one, &logs), Counted::new(&other, &logs));
    assert!(counted.counting().eq(again.counting()), "TRUST-13");
    let relationships = counted.all_relationships(NOW);
    assert_eq!(relationships, again.all_relationships(NOW), "TRUST-13");
    let graph = Graph::new(&counted, NOW);
    let named: BTreeSet<AgentId> = relationships.iter().flat_map(|it| it.agents).collect();
    for it in &relationships {
        let [from, to] = it.agents;
        let path = graph.path(&from, &to, 1, it.level).expect("TRUST-20");
        assert!(path.evidence().all(|record| counted.counts(record)));
    }
    for from in named.iter().take(8) {
        for to in named.iter().take(8) {
            if let Some(path) = graph.path(from, to, DISTANCE_MAX, Level::Network) {
                assert!(path.steps.len() <= usize::from(DISTANCE_MAX), "TRUST-23");
                assert!(!path.to_string().is_empty());
            }
        }
    }
    let circles = Circles::new(&counted, NOW);
    for circle in counted.circles() {
        for member in circles.members(circle.cid()) {
            let chain = circles.admission(circle.cid(), member.agent, Some(member.role));
            let chain = chain.expect("TRUST-31");
            assert!(chain.iter().all(|record| counted.counts(record)), "TRUST-31");
        }
    }
});
