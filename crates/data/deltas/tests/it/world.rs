//! What tests share: deltas of a small world, and stores.

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_deltas::{Delta, Number, Pointer, SpaceDeltas};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Genesis, Repo, SpaceClass};
use proptest::prelude::*;

pub(crate) fn owner() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

pub(crate) fn genesis(owner: &SecretKey) -> Genesis {
    Genesis {
        at: 0,
        class: SpaceClass::Convergent,
        name: "deltas".into(),
        nonce: [1; 16],
        owner: owner.agent_id(),
    }
}

pub(crate) fn repo() -> Repo {
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    Repo::create(Arc::new(MemoryStore::new()), genesis(&key), author).unwrap()
}

pub(crate) fn over(repo: &Repo) -> SpaceDeltas {
    let key = owner();
    SpaceDeltas::new(repo.clone(), BranchName::main(), key.agent_id(), key)
}

pub(crate) fn delta(id: &str, at: u64, author: &str, pointers: Vec<Pointer>) -> Delta {
    Delta::new(id, Number::of(at), author, "laptop", pointers).unwrap()
}

/// Deltas with ids `d0` to `d11` about objects and each other, in circles as well: a few of them say two
/// things under one id.
pub(crate) fn deltas(max: usize) -> impl Strategy<Value = Vec<Delta>> {
    proptest::collection::vec(any_delta(), 0..max)
}

pub(crate) fn any_delta() -> impl Strategy<Value = Delta> {
    let pointer = prop_oneof![
        3 => (0..12u8).prop_map(|of| Pointer::negates(format!("d{of}")).unwrap()),
        2 => (0..4u8, 0..3u8).prop_map(|(of, context)| {
            Pointer::under("of", format!("o{of}"), format!("c{context}")).unwrap()
        }),
        1 => (0..4u8).prop_map(|of| Pointer::to("part", format!("o{of}")).unwrap()),
        1 => (0..3u8).prop_map(|text| Pointer::text("is", format!("t{text}")).unwrap()),
    ];
    let pointers = proptest::collection::vec(pointer, 0..4);
    (0..12u8, 1..6u64, 0..3u8, pointers).prop_map(|(id, at, author, pointers)| {
        delta(&format!("d{id}"), at, &format!("author{author}"), pointers)
    })
}

/// The first of each id, as a store keeps them.
pub(crate) fn first_of_each(deltas: &[Delta]) -> Vec<Delta> {
    let mut kept: Vec<Delta> = Vec::new();
    for delta in deltas {
        if kept.iter().all(|known| known.id() != delta.id()) {
            kept.push(delta.clone());
        }
    }
    kept
}
