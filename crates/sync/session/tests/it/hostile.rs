//! What sessions do with peers that lie, and with strangers.

use allod_identity::Verified;
use allod_repo::BranchName;
use allod_sync::{FrameError, Input, Message, Outcome, Output, Session};
use bytes::Bytes;
use proptest::prelude::*;

use crate::pair::{Person, Run, START, get, pairs, put, replica, run, space, talk};

fn ended(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Ended { code, .. }) => code,
        other => panic!("expected an end by this side, got {other:?}"),
    }
}

fn setting() -> (Person, allod_repo::Repo, allod_repo::Repo) {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    put(&full, &ada, &pairs(0..50, "value"), START);
    let empty = replica(&full);
    (ada, full, empty)
}

/// Runs a session in which the left side's messages are changed on the way.
fn bent(change: &mut dyn FnMut(Message) -> Option<Message>) -> (Run, allod_repo::Repo) {
    let (ada, full, empty) = setting();
    let done = run(
        (&full, &ada),
        (&empty, &ada),
        usize::MAX,
        &mut |left, frame| {
            if !left {
                return Some(frame);
            }
            change(Message::decode(&frame).unwrap()).map(|message| message.encode())
        },
    );
    (done, empty)
}

#[test]
fn a_commit_with_a_forged_signature_is_refused_with_a_reason() {
    let (done, empty) = bent(&mut |message| {
        Some(match message {
            Message::Commit {
                statement,
                branch,
                mode,
            } => {
                let mut bytes = statement.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                Message::Commit {
                    statement: bytes.into(),
                    branch,
                    mode,
                }
            }
            other => other,
        })
    });
    assert!(done.is_complete(), "the session goes on without it");
    assert_eq!(done.right_stats.refused[0].code, "E_SIGNATURE");
    assert_eq!(done.left_stats.refused_by_peer, done.right_stats.refused);
    assert!(empty.heads(&BranchName::main()).unwrap().is_empty());
}

#[test]
fn tampered_changes_do_not_give_the_signed_root() {
    let (done, empty) = bent(&mut |message| {
        Some(match message {
            Message::Changes { mut entries, last } => {
                entries.pop();
                Message::Changes { entries, last }
            }
            other => other,
        })
    });
    assert_eq!(done.right_stats.refused[0].code, "E_ROOT");
    assert!(empty.heads(&BranchName::main()).unwrap().is_empty());
}

#[test]
fn a_tampered_block_is_not_the_block_asked_for() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    put(&full, &ada, &[("page".into(), "text ".repeat(1000))], START);
    let empty = replica(&full);
    let done = run(
        (&full, &ada),
        (&empty, &ada),
        usize::MAX,
        &mut |_, frame| {
            Some(match Message::decode(&frame).unwrap() {
                Message::Blocks { blocks, absent } => {
                    let mut bytes = blocks[0].to_vec();
                    bytes[0] ^= 1;
                    Message::Blocks {
                        blocks: vec![bytes.into()],
                        absent,
                    }
                    .encode()
                }
                _ => frame,
            })
        },
    );
    assert_eq!(ended(done.right.as_ref()), "E_ORDER");
    assert!(empty.heads(&BranchName::main()).unwrap().is_empty());
}

#[test]
fn a_peer_that_does_not_serve_is_told_what_is_missing() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let cid = {
        put(&full, &ada, &[("page".into(), "text ".repeat(1000))], START);
        let changes = full.commit(*full.heads(&BranchName::main()).unwrap().first().unwrap());
        *changes.unwrap().cid()
    };
    let empty = replica(&full);
    let done = run(
        (&full, &ada),
        (&empty, &ada),
        usize::MAX,
        &mut |left, frame| {
            Some(match Message::decode(&frame).unwrap() {
                // Asks for a block of the store that was never offered: the commit itself.
                Message::Want { .. } if !left => Message::Want {
                    opened: Vec::new(),
                    names: vec![cid],
                }
                .encode(),
                _ => frame,
            })
        },
    );
    assert!(matches!(
        done.messages.iter().find(|(_, message)| matches!(message, Message::Blocks { .. })),
        Some((true, Message::Blocks { blocks, absent })) if blocks.is_empty() && *absent == [cid]
    ));
}

#[test]
fn strangers_learn_nothing() {
    let (ada, eve) = (Person::new(1), Person::new(9));
    let full = space(&ada, &[]);
    put(&full, &ada, &pairs(0..5, "value"), START);
    let copy = replica(&full);
    let done = talk((&copy, &eve), (&full, &ada));
    assert_eq!(ended(done.right.as_ref()), "E_NOT_MEMBER");
    let told = done.messages.iter().filter(|(left, _)| !left);
    assert!(
        told.into_iter()
            .all(|(_, message)| matches!(message, Message::Close { .. }))
    );
    // Somebody who claims to be Ada, from another device.
    let mut session = Session::new(full.clone(), ada.me(false), eve.0.device_id(), START);
    let mut claim = Session::new(copy.clone(), ada.me(true), ada.0.device_id(), START);
    claim.handle(START, Input::Tick);
    let Some(Output::Send(hello)) = claim.poll() else {
        panic!("a hello")
    };
    session.handle(START, Input::Frame(hello));
    let outputs: Vec<Output> = std::iter::from_fn(|| session.poll()).collect();
    assert!(matches!(
        outputs.last(),
        Some(Output::Close(Outcome::Ended {
            code: "E_NOT_MEMBER",
            ..
        }))
    ));
}

#[test]
fn messages_out_of_order_end_the_session() {
    let (ada, full, _) = setting();
    let first = |message: &Message| {
        let mut session = Session::new(full.clone(), ada.me(false), ada.0.device_id(), START);
        session.handle(START, Input::Frame(message.encode()));
        std::iter::from_fn(|| session.poll()).last()
    };
    for message in [
        Message::Done,
        Message::Ack,
        Message::Credit(1),
        Message::Want {
            opened: Vec::new(),
            names: Vec::new(),
        },
    ] {
        let last = first(&message);
        assert!(
            matches!(
                last,
                Some(Output::Close(Outcome::Ended {
                    code: "E_ORDER",
                    ..
                }))
            ),
            "{message:?}"
        );
    }
    let (done, _) = bent(&mut |message| match message {
        Message::Commit { .. } => None,
        other => Some(other),
    });
    assert_eq!(ended(done.right.as_ref()), "E_ORDER");
}

#[test]
fn silence_ends_a_session() {
    let (ada, full, _) = setting();
    let mut session = Session::new(full, ada.me(true), ada.0.device_id(), START);
    session.handle(START, Input::Tick);
    session.handle(session.deadline(), Input::Tick);
    assert!(
        !session.is_closed(),
        "a tick is no silence: a frame may be waiting"
    );
    session.handle(session.deadline(), Input::Silence);
    assert!(session.is_closed());
}

/// A writer with a clock far ahead is refused until the clock is right; others go on.
#[test]
fn commits_from_the_future_are_refused() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    put(&full, &ada, &pairs(0..2, "now"), START);
    let later = START + 10 * 60 * 1000;
    put(
        &full,
        &ada,
        &[("key 00000000".into(), "later".into())],
        later,
    );
    let empty = replica(&full);
    let done = talk((&full, &ada), (&empty, &ada));
    assert!(done.is_complete());
    assert_eq!(done.right_stats.refused[0].code, "E_FUTURE");
    assert_eq!(get(&empty, "key 00000000").as_deref(), Some(&b"now 0"[..]));
}

/// A commit by somebody who is not a member, inside an honest peer's history.
#[test]
fn a_strangers_commit_is_refused() {
    let (ada, eve) = (Person::new(1), Person::new(9));
    let (done, empty) = bent(&mut |message| {
        Some(match message {
            Message::Commit {
                statement,
                branch,
                mode,
            } => {
                let signed = allod_identity::Signed::<allod_repo::Commit>::decode(statement);
                let mut commit = signed.unwrap().verify().unwrap().payload().clone();
                commit.author = eve.author().agent;
                let forged = Verified::sign(&eve.0, commit).unwrap();
                Message::Commit {
                    statement: forged.bytes().clone(),
                    branch,
                    mode,
                }
            }
            other => other,
        })
    });
    assert_eq!(done.right_stats.refused[0].code, "E_NOT_MEMBER");
    assert!(empty.heads(&BranchName::main()).unwrap().is_empty());
    assert!(empty.is_owner(&ada.author().agent));
}

#[test]
fn frames_have_a_limit() {
    let long = Bytes::from(vec![0x81; allod_sync::FRAME_BYTES_MAX + 1]);
    assert!(matches!(
        Message::decode(&long),
        Err(FrameError::TooLong { .. })
    ));
    assert_eq!(Message::decode(&Bytes::new()), Err(FrameError::Malformed));
    let mut trailing = Message::Done.encode().to_vec();
    trailing.push(0);
    assert_eq!(
        Message::decode(&trailing.into()),
        Err(FrameError::Malformed)
    );
    let descending = vec![("b".into(), "1".into()), ("a".into(), "2".into())];
    let frame = Message::Changes {
        entries: descending,
        last: true,
    }
    .encode();
    assert_eq!(Message::decode(&frame), Err(FrameError::Malformed));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the size of a test run is no input of a session"
)]
pub(crate) fn scale() -> u32 {
    std::env::var("ALLOD_TEST_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64 * scale()))]

    /// Whatever is done to one frame, neither side panics, and what is reachable stays sound.
    #[test]
    fn a_bent_frame_harms_nobody(which in 0usize..12, at: usize, bit in 0u8..8, drop: bool) {
        let (ada, full, empty) = setting();
        let mut number = 0;
        run((&full, &ada), (&empty, &ada), usize::MAX, &mut |_, frame| {
            number += 1;
            if number != which + 1 {
                return Some(frame);
            }
            if drop {
                return None;
            }
            let mut bytes = frame.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            Some(bytes.into())
        });
        prop_assert_eq!(empty.check(&mut |_, _| {}).unwrap().problem_count, 0);
        let again = talk((&full, &ada), (&empty, &ada));
        prop_assert!(again.is_complete());
        prop_assert_eq!(
            empty.heads(&BranchName::main()).unwrap(),
            full.heads(&BranchName::main()).unwrap()
        );
    }
}

/// Frames of blocks are written and read by hand; they are what the general encoder makes.
#[test]
fn frames_of_blocks_are_canonical() {
    let cid = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, b"absent");
    for sizes in [
        &[][..],
        &[0],
        &[1, 23, 24, 255, 256],
        &[65_535, 65_536, 200_000],
    ] {
        let blocks: Vec<Bytes> = sizes
            .iter()
            .map(|size| Bytes::from(vec![7; *size]))
            .collect();
        for absent in [vec![], vec![cid], vec![cid; 30]] {
            let message = Message::Blocks {
                blocks: blocks.clone(),
                absent: absent.clone(),
            };
            let frame = message.encode();
            assert_eq!(Message::decode(&frame), Ok(message));
            let general = allod_identity::canonical::encode(&(
                6u64,
                blocks
                    .iter()
                    .map(|block| serde_bytes::Bytes::new(block))
                    .collect::<Vec<_>>(),
                absent,
            ));
            assert_eq!(frame, general.unwrap());
            let mut long = frame.to_vec();
            long.push(0);
            assert_eq!(Message::decode(&long.into()), Err(FrameError::Malformed));
            if frame.len() > 4 {
                let cut = frame.slice(..frame.len() - 1);
                assert_eq!(Message::decode(&cut), Err(FrameError::Malformed));
            }
        }
    }
}
