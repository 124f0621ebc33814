//! Two sessions joined by a pipe that can be watched, bent and cut.

use std::collections::VecDeque;
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, CommitId, Content, Edit, Genesis, Repo, SpaceClass};
use allod_sync::{Input, Me, Message, Outcome, Output, Scope, Session, Stats};
use bytes::Bytes;

pub(crate) const START: u64 = 1_700_000_000_000;

/// Somebody who is a device and an agent in one.
pub(crate) struct Person(pub(crate) SecretKey);

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        Self(SecretKey::from_seed([number; 32]))
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            agent: self.0.agent_id(),
            key: &self.0,
        }
    }

    pub(crate) fn me(&self, initiator: bool) -> Me {
        Me {
            agent: self.0.agent_id(),
            initiator,
            introduce: true,
            scope: Scope::default(),
        }
    }
}

pub(crate) fn space(owner: &Person, members: &[&Person]) -> Repo {
    let genesis = Genesis {
        at: START,
        class: SpaceClass::Convergent,
        name: "test".into(),
        nonce: [0; 16],
        owner: owner.author().agent,
    };
    let store = Arc::new(MemoryStore::new());
    let repo = Repo::create(store, genesis, owner.author()).unwrap();
    for member in members {
        repo.add_member(&member.author().agent, owner.author(), START)
            .unwrap();
    }
    repo
}

pub(crate) fn replica(of: &Repo) -> Repo {
    Repo::adopt(Arc::new(MemoryStore::new()), of.genesis().bytes().clone()).unwrap()
}

pub(crate) fn put(repo: &Repo, who: &Person, edits: &[(String, String)], now: u64) -> CommitId {
    let main = BranchName::main();
    let edits = edits.iter().map(|(key, value)| {
        (
            Bytes::from(key.clone()),
            Edit::Put(Bytes::from(value.clone())),
        )
    });
    repo.stage(&main, edits, now).unwrap();
    repo.commit_staged(&main, who.author(), "test", now)
        .unwrap()
}

pub(crate) fn pairs(range: std::ops::Range<u32>, value: &str) -> Vec<(String, String)> {
    range
        .map(|n| (format!("key {n:08}"), format!("{value} {n}")))
        .collect()
}

pub(crate) fn get(repo: &Repo, key: &str) -> Option<Bytes> {
    match repo
        .state(&BranchName::main())
        .unwrap()
        .get(key.as_bytes())
        .unwrap()?
    {
        Content::Bytes(bytes) => Some(bytes),
        Content::File(cid) => Some(cid.to_string().into()),
    }
}

/// How a run ended, and what passed.
pub(crate) struct Run {
    pub(crate) left: Option<Outcome>,
    pub(crate) right: Option<Outcome>,
    /// Of each side, whether it was about all, and was told heads.
    pub(crate) told: [(bool, bool); 2],
    pub(crate) left_stats: Stats,
    pub(crate) right_stats: Stats,
    /// Every message in the order in which it was sent, and whether the left side sent it.
    pub(crate) messages: Vec<(bool, Message)>,
}

impl Run {
    pub(crate) fn is_complete(&self) -> bool {
        self.left == Some(Outcome::Complete) && self.right == Some(Outcome::Complete)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.left_stats.bytes_out + self.right_stats.bytes_out
    }
}

/// Lets two sessions talk. `bend` may change, drop (`None`) or pass each frame; after `cut` frames
/// nothing passes any more.
pub(crate) fn run(
    left: (&Repo, &Person),
    right: (&Repo, &Person),
    cut: usize,
    bend: &mut dyn FnMut(bool, Bytes) -> Option<Bytes>,
) -> Run {
    let scopes = [Scope::default(), Scope::default()];
    run_about(scopes, left, right, cut, bend)
}

/// The same between two sides that may not exchange everything.
pub(crate) fn run_about(
    [left_scope, right_scope]: [Scope; 2],
    left: (&Repo, &Person),
    right: (&Repo, &Person),
    cut: usize,
    bend: &mut dyn FnMut(bool, Bytes) -> Option<Bytes>,
) -> Run {
    let device = |person: &Person| person.0.device_id();
    let me = |person: &Person, initiator, scope| Me {
        scope,
        ..person.me(initiator)
    };
    let (one, other) = (
        me(left.1, true, left_scope),
        me(right.1, false, right_scope),
    );
    let mut sessions = [
        Session::new(left.0.clone(), one, device(right.1), START),
        Session::new(right.0.clone(), other, device(left.1), START),
    ];
    let mut outcomes = [None, None];
    let mut wires: [VecDeque<Bytes>; 2] = Default::default();
    let mut messages = Vec::new();
    let mut passed = 0;
    loop {
        let mut moved = false;
        for side in 0..2 {
            let session = &mut sessions[side];
            if session.is_busy() {
                session.handle(START + 1000, Input::Tick);
                moved = true;
            }
            if let Some(frame) = wires[side].pop_front() {
                session.handle(START + 1000, Input::Frame(frame));
                moved = true;
            }
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(frame) => {
                        passed += 1;
                        let Some(frame) = bend(side == 0, frame) else {
                            continue;
                        };
                        if passed <= cut {
                            messages.extend(Message::decode(&frame).map(|m| (side == 0, m)));
                            wires[1 - side].push_back(frame);
                        }
                    }
                    Output::Close(outcome) => outcomes[side] = Some(outcome),
                    Output::Event(_) => {}
                }
            }
        }
        if !moved {
            let [left, right] = outcomes;
            let told = sessions
                .each_ref()
                .map(|session| (session.was_about_all(), session.was_told_heads()));
            let [left_stats, right_stats] = sessions.map(|session| session.stats().clone());
            return Run {
                left,
                right,
                told,
                left_stats,
                right_stats,
                messages,
            };
        }
    }
}

pub(crate) fn talk(left: (&Repo, &Person), right: (&Repo, &Person)) -> Run {
    run(left, right, usize::MAX, &mut |_, frame| Some(frame))
}
