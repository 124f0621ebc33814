//! Whoever asks for damaged blocks gets none but those of the space, and whoever answers places none
//! but those that were asked for (SYNC-32, SYNC-34).
#![no_main]

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use allod_blocks::{Block, Cid, Codec, MemoryStore, Store};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Edit, Genesis, Repo, SpaceClass};
use allod_sync::{Fetching, Message, Serving};
use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000_000;

/// A store with two spaces of one owner.
struct Parts {
    repo: Repo,
    /// The blocks of the space that is asked about.
    own: BTreeSet<Cid>,
    names: Vec<Cid>,
}

fn owner() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn begin(store: &Arc<dyn Store>, nonce: u8) -> Repo {
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: NOW,
        class: SpaceClass::Convergent,
        name: "fuzz".into(),
        nonce: [nonce; 16],
        owner: key.agent_id(),
    };
    let repo = Repo::create(Arc::clone(store), genesis, author).unwrap();
    let main = BranchName::main();
    for round in 0..2u64 {
        let edits = (0..200u64).map(|n| {
            let size = if n == 7 { 3000 } else { 60 };
            let value = format!("{nonce} {round} {n} ").repeat(size / 6);
            (Bytes::from(format!("key {n:04}")), Edit::Put(value.into()))
        });
        repo.stage(&main, edits, NOW + round).unwrap();
        repo.commit_staged(&main, author, "fuzz", NOW + round)
            .unwrap();
    }
    repo
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repo = begin(&store, 0);
        let own = store.scan_blocks(None, usize::MAX).unwrap();
        begin(&store, 1);
        let names = store.scan_blocks(None, usize::MAX).unwrap();
        assert!(names.len() > own.len() + 5);
        Parts {
            repo,
            own: own.into_iter().collect(),
            names,
        }
    })
}

fn names(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Vec<Cid>> {
    let count = input.int_in_range(0..=12)?;
    (0..count)
        .map(|_| input.choose(&parts.names).copied())
        .collect()
}

fn frame(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Bytes> {
    Ok(match input.int_in_range(0..=11)? {
        10 | 11 => Fetching::projection(*input.choose(&parts.names)?, *input.choose(&parts.names)?),
        0..=7 => Message::Want {
            opened: names(input, parts)?,
            names: names(input, parts)?,
        }
        .encode(),
        8 => Message::Credit(input.arbitrary()?).encode(),
        _ => input.arbitrary::<Vec<u8>>()?.into(),
    })
}

fn serve(input: &mut Unstructured<'_>, parts: &Parts) -> Result<()> {
    let own = parts.own.clone();
    // Each block of the space may be the root of a tree that is kept.
    let kept = move |name: &Cid, _state: &Cid| own.contains(name).then_some(*name);
    let serving = Serving::new(parts.repo.clone(), owner().device_id(), NOW);
    let mut serving = serving.with_kept(Box::new(kept));
    serving.handle(&Fetching::hello(owner().agent_id(), parts.repo.id()));
    while !serving.is_closed() && !input.is_empty() {
        serving.handle(&frame(input, parts)?);
        while let Some(frame) = serving.poll() {
            let Message::Blocks { blocks, .. } = Message::decode(&frame).unwrap() else {
                continue;
            };
            for content in blocks {
                let codecs = [Codec::DagCbor, Codec::Raw, Codec::DagPb];
                let cids = codecs.map(|codec| *Block::new(codec, content.clone()).unwrap().cid());
                assert!(cids.iter().any(|cid| parts.own.contains(cid)), "SYNC-32");
            }
        }
    }
    Ok(())
}

fn ask(input: &mut Unstructured<'_>, parts: &Parts) -> Result<()> {
    let mut fetching = Fetching::new();
    let asked = names(input, parts)?;
    fetching.want(&names(input, parts)?, &asked).unwrap();
    let mut got = BTreeSet::new();
    while !input.is_empty() {
        let mut blocks = Vec::new();
        for name in names(input, parts)? {
            let block = parts.repo.store().get(&name).unwrap().unwrap();
            blocks.push(block.into_bytes());
        }
        let absent = names(input, parts)?;
        let Ok(answer) = fetching.take(&Message::Blocks { blocks, absent }.encode()) else {
            break;
        };
        for block in answer.blocks {
            assert!(asked.contains(block.cid()), "SYNC-34");
            assert!(got.insert(*block.cid()), "SYNC-34: once");
        }
        if answer.last {
            break;
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let parts = parts();
    let mut input = Unstructured::new(data);
    // When the input is used up, the stream is cut.
    if input.arbitrary().unwrap_or(false) {
        serve(&mut input, parts).ok();
    } else {
        ask(&mut input, parts).ok();
    }
});
