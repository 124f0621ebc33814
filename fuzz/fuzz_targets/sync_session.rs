//! A session against a peer that sends anything: frames of an honest session in any order, bent
//! ones, messages put together from its parts, and noise.

#![no_main]

use std::sync::{Arc, OnceLock};

use allod_blocks::{Cid, MemoryStore};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, CommitId, Edit, Genesis, Heads, Repo, SpaceClass};
use allod_sync::{
    Branches, FRAME_BYTES_CEILING, Hello, Input, Me, Message, Mode, Output, Scope, Session,
};
use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000_000;

/// What the peer has to build with.
struct Parts {
    genesis: Bytes,
    /// The frames that an honest peer sent to an empty replica, and to one that walks.
    frames: Vec<Message>,
    hello: Hello,
    names: Vec<Cid>,
    blocks: Vec<Bytes>,
}

fn owner() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn author(key: &SecretKey) -> Author<'_> {
    Author {
        agent: key.agent_id(),
        key,
    }
}

fn me(initiator: bool, scope: Scope) -> Me {
    Me {
        agent: owner().agent_id(),
        initiator,
        introduce: true,
        scope,
    }
}

fn write(repo: &Repo, edits: Vec<(String, Edit)>, now: u64) {
    let key = owner();
    let main = BranchName::main();
    let edits = edits
        .into_iter()
        .map(|(key, edit)| (Bytes::from(key), edit));
    repo.stage(&main, edits, now).unwrap();
    repo.commit_staged(&main, author(&key), "fuzz", now)
        .unwrap();
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let key = owner();
        let genesis = Genesis {
            at: NOW,
            class: SpaceClass::Convergent,
            name: "fuzz".into(),
            nonce: [0; 16],
            owner: key.agent_id(),
        };
        let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author(&key)).unwrap();
        repo.add_member(&SecretKey::from_seed([2; 32]).agent_id(), author(&key), NOW)
            .unwrap();
        let put = |n: u32, size: usize| (format!("key {n:04}"), Edit::Put(vec![b'v'; size].into()));
        write(&repo, (0..60).map(|n| put(n, 100)).collect(), NOW);
        write(
            &repo,
            vec![put(7, 3000), put(100, 1), ("key 0008".into(), Edit::Delete)],
            NOW + 1,
        );
        let frames = record(&repo);
        let hello = frames.iter().find_map(|message| match message {
            Message::Hello(hello) => Some((**hello).clone()),
            _ => None,
        });
        let names = repo.store().scan_blocks(None, 200).unwrap();
        let blocks = names
            .iter()
            .map(|name| repo.store().get(name).unwrap().unwrap().into_bytes());
        Parts {
            genesis: repo.genesis().bytes().clone(),
            hello: hello.unwrap(),
            blocks: blocks.collect(),
            names,
            frames,
        }
    })
}

fn replica(genesis: &Bytes) -> Repo {
    Repo::adopt(Arc::new(MemoryStore::new()), genesis.clone()).unwrap()
}

/// What `repo` says to an empty replica.
fn record(repo: &Repo) -> Vec<Message> {
    let peer = owner().device_id();
    let empty = replica(repo.genesis().bytes());
    let mut sides = [
        Session::new(repo.clone(), me(true, Scope::default()), peer, NOW),
        Session::new(empty, me(false, Scope::default()), peer, NOW),
    ];
    let mut said = Vec::new();
    for _ in 0..100 {
        for side in 0..2 {
            sides[side].handle(NOW, Input::Tick);
            while let Some(output) = sides[side].poll() {
                if let Output::Send(frame) = output {
                    if side == 0 {
                        said.push(Message::decode(&frame).unwrap());
                    }
                    sides[1 - side].handle(NOW, Input::Frame(frame));
                }
            }
        }
    }
    assert!(
        sides.iter().all(Session::is_closed),
        "the recorded session ends"
    );
    said
}

fn name(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Cid> {
    input.choose(&parts.names).copied()
}

fn names(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Vec<Cid>> {
    let count = input.int_in_range(0..=6)?;
    (0..count).map(|_| name(input, parts)).collect()
}

fn blob(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Bytes> {
    Ok(if input.ratio(3, 4)? {
        input.choose(&parts.blocks)?.clone()
    } else {
        input.arbitrary::<Vec<u8>>()?.into()
    })
}

fn blobs(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Vec<Bytes>> {
    let count = input.int_in_range(0..=4)?;
    (0..count).map(|_| blob(input, parts)).collect()
}

fn hello(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Message> {
    let mut hello = parts.hello.clone();
    if input.ratio(1, 2)? {
        for (_, heads) in &mut hello.branches {
            *heads = names(input, parts)?
                .into_iter()
                .map(CommitId::from_cid)
                .collect();
        }
    }
    if input.ratio(1, 4)? {
        if let Ok(branch) = input.arbitrary::<String>()?.parse() {
            hello.branches.push((branch, Vec::new()));
        }
    }
    if input.ratio(1, 4)? {
        hello.samples = names(input, parts)?
            .into_iter()
            .map(CommitId::from_cid)
            .collect();
    }
    if input.ratio(1, 4)? {
        let events = blobs(input, parts)?;
        hello.events = events
            .into_iter()
            .map(|event| event.to_vec().into())
            .collect();
    }
    if input.ratio(1, 8)? {
        hello.agent = SecretKey::from_seed([input.arbitrary()?; 32]).agent_id();
    }
    for (_, mark) in &mut hello.logs {
        *mark = input.arbitrary::<[u8; 16]>()?.into();
    }
    Ok(Message::Hello(Box::new(hello)))
}

/// A message from parts of honest ones.
fn message(input: &mut Unstructured<'_>, parts: &Parts) -> Result<Message> {
    Ok(match input.int_in_range(0..=15)? {
        0 => hello(input, parts)?,
        1 => Message::KeyEvents {
            agent: parts.hello.agent,
            events: blobs(input, parts)?,
        },
        2 | 3 => Message::Commit {
            statement: blob(input, parts)?,
            branch: input.int_in_range(0..=3)?,
            mode: if input.arbitrary()? {
                Mode::Walk
            } else {
                Mode::Changes
            },
        },
        4 => {
            let mut entries = std::collections::BTreeMap::new();
            for _ in 0..input.int_in_range(0..=4)? {
                entries.insert(blob(input, parts)?, blob(input, parts)?);
            }
            Message::Changes {
                entries: entries.into_iter().collect(),
                last: input.arbitrary()?,
            }
        }
        5 => Message::Want {
            opened: names(input, parts)?,
            names: names(input, parts)?,
        },
        6 => Message::Blocks {
            blocks: blobs(input, parts)?,
            absent: names(input, parts)?,
        },
        7 => Message::Done,
        8 => Message::Refuse {
            commit: CommitId::from_cid(name(input, parts)?),
            code: "E_COMMIT".into(),
            reason: input.arbitrary()?,
        },
        9 => Message::Ack,
        10 => Message::Credit(input.arbitrary()?),
        11 => Message::Compare {
            tree: name(input, parts)?,
            size: input.int_in_range(0..=4)?,
            leaves: vec![0; 16].into(),
            entries: vec![0; 128].into(),
            have: input.int_in_range(0..=20)?,
        },
        12 => Message::Sketch {
            total: input.arbitrary()?,
            first: input.int_in_range(0..=20)?,
            symbols: input.arbitrary::<Vec<u8>>()?.into(),
            last: input.arbitrary()?,
        },
        13 => Message::Pick {
            elements: input.arbitrary()?,
            last: input.arbitrary()?,
        },
        14 => Message::Entries {
            entries: vec![(blob(input, parts)?, blob(input, parts)?)],
            last: input.arbitrary()?,
        },
        _ => Message::Close {
            code: input.arbitrary()?,
            reason: String::new(),
        },
    })
}

fn frame(input: &mut Unstructured<'_>, parts: &Parts, next: &mut usize) -> Result<Bytes> {
    match input.int_in_range(0..=9)? {
        // Mostly the next frame of the honest session, so that the deep states are reached.
        0..=4 => {
            let message = &parts.frames[*next % parts.frames.len()];
            *next += 1;
            Ok(match message {
                // The tree is to be walked, although it could be sent as changes.
                Message::Commit {
                    statement, branch, ..
                } if input.ratio(1, 4)? => {
                    let (statement, branch) = (statement.clone(), *branch);
                    Message::Commit {
                        statement,
                        branch,
                        mode: Mode::Walk,
                    }
                    .encode()
                }
                other => other.encode(),
            })
        }
        5 => Ok(input.choose(&parts.frames)?.encode()),
        6 => {
            let mut bytes = input.choose(&parts.frames)?.encode().to_vec();
            let at = input.choose_index(bytes.len())?;
            bytes[at] ^= 1 << input.int_in_range(0..=7)?;
            Ok(bytes.into())
        }
        7 => Ok(input.arbitrary::<Vec<u8>>()?.into()),
        _ => Ok(message(input, parts)?.encode()),
    }
}

/// Lets the session do what it can; returns the blocks that it asks for.
fn settle(session: &mut Session, parts: &Parts) -> Vec<Bytes> {
    let mut wanted = Vec::new();
    for _ in 0..64 {
        let mut over = false;
        while let Some(output) = session.poll() {
            assert!(!over, "nothing follows a close");
            match output {
                Output::Send(frame) => {
                    assert!(frame.len() <= FRAME_BYTES_CEILING, "SYNC-1");
                    let message = Message::decode(&frame).expect("what is sent decodes");
                    assert_eq!(message.encode(), frame);
                    if let Message::Want { names, .. } = message {
                        let has = |name| parts.names.iter().position(|known| *known == name);
                        let found = names.into_iter().filter_map(has);
                        wanted.extend(found.map(|index| parts.blocks[index].clone()));
                    }
                }
                Output::Event(_) => {}
                Output::Close(_) => over = true,
            }
        }
        assert_eq!(over || session.is_closed(), session.is_closed());
        if !session.is_busy() {
            break;
        }
        session.handle(NOW, Input::Tick);
    }
    wanted
}

fn play(session: &mut Session, input: &mut Unstructured<'_>, parts: &Parts) -> Result<()> {
    let mut next = 0;
    for _ in 0..40 {
        if session.is_closed() || input.is_empty() {
            break;
        }
        let frame = frame(input, parts, &mut next)?;
        session.handle(NOW, Input::Frame(frame));
        let mut blocks = settle(session, parts);
        while !blocks.is_empty() && !session.is_closed() && input.ratio(7, 8)? {
            let answer = Message::Blocks {
                blocks,
                absent: Vec::new(),
            };
            session.handle(NOW, Input::Frame(answer.encode()));
            blocks = settle(session, parts);
        }
    }
    Ok(())
}

/// What a side gives or takes; everything unless the input says otherwise.
fn branches(input: &mut Unstructured<'_>) -> Branches {
    match input.int_in_range(0..=3u8).unwrap_or(0) {
        0 => Branches::All,
        1 => Branches::none(),
        2 => Branches::Only(vec![BranchName::main()]),
        _ => Branches::Only(vec![BranchName::meta()]),
    }
}

fuzz_target!(|data: &[u8]| {
    let parts = parts();
    let repo = replica(&parts.genesis);
    let mut input = Unstructured::new(data);
    let initiator = input.arbitrary().unwrap_or(false);
    let scope = Scope {
        gives: branches(&mut input),
        wants: branches(&mut input),
        anew: input.arbitrary().unwrap_or(false),
        apart: input.arbitrary().unwrap_or(false).then(Heads::new),
    };
    let me = me(initiator, scope);
    let mut session = Session::new(repo.clone(), me, owner().device_id(), NOW);
    settle(&mut session, parts);
    // When the input is used up, the session stays as it is: as if the stream were cut.
    play(&mut session, &mut input, parts).ok();
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    session.handle(session.deadline(), Input::Silence);
    assert!(session.is_closed(), "SYNC-13");
});
