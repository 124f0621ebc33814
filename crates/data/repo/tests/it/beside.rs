//! REPO-100 to REPO-105: what counts when keys no longer speak.

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{MemoryStore, Store};
use allod_identity::{DeviceId, KeyChain, KeyLog, SecretKey, Verified};
use allod_repo::{
    Agents, Author, BESIDE_MAX, Commit, CommitId, Edit, Genesis, Heads, Judgement, Refusal, Repo,
    RepoError, SpaceClass, Span,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{START, deliver, get, heads, main, on, refusal, scale};

/// An agent with devices, whose log grows as the test says.
pub(crate) struct Agent {
    key: SecretKey,
    chain: KeyChain,
    devices: Vec<SecretKey>,
    pub(crate) log: KeyLog,
}

impl Agent {
    pub(crate) fn new(seed: u8, devices: u8) -> Self {
        let key = SecretKey::from_seed([seed; 32]);
        let chain = KeyChain::new(SecretKey::from_seed([seed + 1; 32]));
        let mut log = KeyLog::inception(&key, chain.commitment(0)).unwrap();
        let devices: Vec<_> = (0..devices)
            .map(|number| SecretKey::from_seed([seed + 2 + number; 32]))
            .collect();
        for device in &devices {
            log.add_device(&key, device.device_id(), "device", START)
                .unwrap();
        }
        Self {
            key,
            chain,
            devices,
            log,
        }
    }

    pub(crate) fn remove(&mut self, device: usize) {
        let device = self.devices[device].device_id();
        self.log.remove_device(&self.key, device, START).unwrap();
    }

    pub(crate) fn remove_if_there(&mut self, device: DeviceId) {
        let _gone = self.log.remove_device(&self.key, device, START);
    }

    pub(crate) fn by(&self, device: usize) -> Author<'_> {
        Author {
            agent: self.key.agent_id(),
            key: &self.devices[device],
        }
    }

    pub(crate) fn events(log: &KeyLog) -> Vec<Bytes> {
        log.known().map(|event| event.bytes().clone()).collect()
    }

    pub(crate) fn tell(&self, repo: &Repo) {
        tell(repo, &self.log);
    }

    pub(crate) fn space(&self) -> Repo {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let events = Self::events(&self.log);
        let agents = Agents::new(Arc::clone(&store));
        agents.learn(self.log.agent(), &events).unwrap();
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: self.key.agent_id(),
        };
        Repo::create(store, genesis, self.by(0)).unwrap()
    }

    pub(crate) fn replica(&self, of: &Repo) -> Repo {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let agents = Agents::new(Arc::clone(&store));
        agents
            .learn(self.log.agent(), &Self::events(&self.log))
            .unwrap();
        Repo::adopt(store, of.genesis().bytes().clone()).unwrap()
    }
}

/// What a session does with key events.
pub(crate) fn tell(repo: &Repo, log: &KeyLog) {
    let _told = repo.agents().learn(log.agent(), &Agent::events(log));
    repo.heed_logs().unwrap();
}

fn put(repo: &Repo, by: Author<'_>, branch: &str, key: &str, now: u64) -> CommitId {
    let edit = [(key.to_owned().into(), Edit::Put(key.to_owned().into()))];
    repo.stage(&on(branch), edit, now).unwrap();
    repo.commit_staged(&on(branch), by, "test", now).unwrap()
}

/// Brings what `from` offers of a branch to `to`.
fn sync(from: &Repo, to: &Repo, branch: &str, now: u64) {
    for (name, offered) in from.offered().unwrap() {
        if name != on(branch) {
            continue;
        }
        for id in from.missing(&offered, &Heads::new()).unwrap() {
            if !to.has_commit(id).unwrap() {
                deliver(from, to, id, &name, now).unwrap();
            }
        }
        to.join_branch(&name, &offered).unwrap();
    }
}

/// The order in which a removal and a commit come to somebody decides nothing.
#[test]
fn replicas_agree_whatever_they_heard_of_first() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    let first = put(&repo, ada.by(0), "main", "a", START);
    let (late, early) = (ada.replica(&repo), ada.replica(&repo));
    for other in [&late, &early] {
        sync(&repo, other, "main", START);
    }
    let stolen = put(&late, ada.by(1), "main", "b", START + 1);
    ada.remove(1);
    ada.tell(&early);
    sync(&late, &early, "main", START + 2);
    assert_eq!(heads(&early), Heads::from([first]));
    assert_eq!(early.beside(&main()).unwrap(), Heads::from([stolen]));
    assert_eq!(get(&early, "b"), None);

    // Who had it, and had it as a head, comes to the same.
    assert_eq!(heads(&late), Heads::from([stolen]));
    ada.tell(&late);
    assert_eq!(heads(&late), Heads::from([first]));
    assert_eq!(late.beside(&main()).unwrap(), Heads::from([stolen]));

    // It is told on, and somebody who speaks takes it in.
    sync(&early, &repo, "main", START + 2);
    ada.tell(&repo);
    assert_eq!(repo.beside(&main()).unwrap(), Heads::from([stolen]));
    let taken = repo.take_in(&main(), ada.by(0), "take it in", START + 3);
    let taken = taken.unwrap().unwrap();
    for other in [&early, &late] {
        sync(&repo, other, "main", START + 3);
        assert_eq!(heads(other), Heads::from([taken]));
        assert_eq!(other.beside(&main()).unwrap(), Heads::new());
        assert_eq!(get(other, "b").as_deref(), Some("b"));
    }
}

/// What somebody who speaks has built on counts, though the one who did had not heard of the removal.
#[test]
fn what_was_built_on_counts() {
    let mut ada = Agent::new(1, 3);
    let repo = ada.space();
    put(&repo, ada.by(1), "main", "a", START);
    let last = put(&repo, ada.by(2), "main", "b", START + 1);
    ada.remove(1);
    let other = ada.replica(&repo);
    sync(&repo, &other, "main", START + 1);
    ada.tell(&repo);
    assert_eq!(
        (heads(&repo), heads(&other)),
        ([last].into(), [last].into())
    );
    assert_eq!(repo.heads(&main()).unwrap(), Heads::from([last]));
}

/// A branch that stands where another one went on is no less for it.
#[test]
fn what_another_branch_leads_to_counts() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    let old = put(&repo, ada.by(1), "main", "a", START);
    repo.create_branch(&on("old"), &Heads::from([old])).unwrap();
    let new = put(&repo, ada.by(0), "main", "b", START + 1);
    ada.remove(1);
    ada.tell(&repo);
    assert_eq!(repo.heads(&on("old")).unwrap(), Heads::from([old]));
    let other = ada.replica(&repo);
    // The branch that does not count by itself comes first.
    sync(&repo, &other, "old", START + 1);
    sync(&repo, &other, "main", START + 1);
    assert_eq!(other.heads(&on("old")).unwrap(), Heads::from([old]));
    assert_eq!(heads(&other), Heads::from([new]));
}

/// A device vouches for what another one wrote before it removes that one.
#[test]
fn who_removes_a_device_keeps_what_it_wrote() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    let last = put(&repo, ada.by(1), "main", "a", START);
    let lost = ada.devices[1].public();
    let needs = |commit: &Verified<Commit>| *commit.signer() == lost;
    let author = (ada.by(0), "keep");
    let vouched = repo.vouch(&main(), &needs, author, START + 1).unwrap();
    assert!(vouched.is_some());
    let again = repo.vouch(&main(), &needs, author, START + 2).unwrap();
    assert_eq!(again, None, "nothing needs it any more");
    ada.remove(1);
    ada.tell(&repo);
    assert_eq!(heads(&repo), vouched.into_iter().collect::<Heads>());
    assert_eq!(get(&repo, "a").as_deref(), Some("a"));
    assert_ne!(heads(&repo), Heads::from([last]));
}

/// What an agent says two things about waits until it has said which counts; what neither is about stays.
#[test]
fn a_frozen_agent_waits_until_it_has_said_what_counts() {
    let ada = Agent::new(1, 1);
    let (repo, mut mallory) = (ada.space(), ada.log.clone());
    let first = put(&repo, ada.by(0), "main", "a", START);
    let (mut honest, two) = (ada.log.clone(), SecretKey::from_seed([77; 32]));
    honest
        .add_device(&ada.key, two.device_id(), "mine", START)
        .unwrap();
    let three = SecretKey::from_seed([78; 32]);
    mallory
        .add_device(&ada.key, three.device_id(), "not mine", START)
        .unwrap();
    tell(&repo, &honest);
    let by_two = Author {
        agent: ada.key.agent_id(),
        key: &two,
    };
    let second = put(&repo, by_two, "main", "b", START + 1);
    tell(&repo, &mallory);
    assert_eq!(heads(&repo), Heads::from([first]), "neither is trusted");
    assert_eq!(repo.beside(&main()).unwrap(), Heads::from([second]));
    let frozen = repo.take_in(&main(), ada.by(0), "", START + 2);
    let is_refused = matches!(frozen, Err(RepoError::Refused(Refusal::Equivocation)));
    assert!(is_refused, "{frozen:?}");
    // Others read its history all the same.
    let other = ada.replica(&repo);
    tell(&other, &honest);
    tell(&other, &mallory);
    sync(&repo, &other, "main", START + 2);
    assert_eq!(heads(&other), Heads::from([first]));
    assert_eq!(other.beside(&main()).unwrap(), Heads::from([second]));

    let after = honest.head().copied();
    let (next, commitment) = (ada.chain.key(1).unwrap(), ada.chain.commitment(1));
    let at = (after, START);
    honest
        .rotate((&next, commitment), at, (None, Vec::new()))
        .unwrap();
    for repo in [&repo, &other] {
        tell(repo, &honest);
        assert_eq!(heads(repo), Heads::from([second]));
        assert_eq!(repo.beside(&main()).unwrap(), Heads::new());
    }
}

/// However many commits somebody put on top: what counts below them stays, also when it is decided anew.
#[test]
fn a_long_line_takes_nothing_away() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    let head = put(&repo, ada.by(0), "main", "a", START);
    let (thief, other) = (ada.replica(&repo), ada.replica(&repo));
    sync(&repo, &thief, "main", START);
    sync(&repo, &other, "main", START);
    for number in 1..300 {
        put(&thief, ada.by(1), "main", "k", START + number);
    }
    sync(&thief, &other, "main", START + 300);
    ada.remove(1);
    ada.tell(&repo);
    sync(&thief, &repo, "main", START + 300);
    ada.tell(&other);
    for repo in [&repo, &other] {
        repo.reconsider().unwrap();
        assert_eq!(heads(repo), Heads::from([head]));
        assert_eq!(repo.beside(&main()).unwrap(), heads(&thief));
    }
}

/// What was merged is not more than a branch may have.
#[test]
fn heads_below_what_does_not_count_keep_the_limit() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    let origin = ada.replica(&repo);
    for round in 0..5 {
        for number in 0..60 {
            let fork = ada.replica(&repo);
            sync(&origin, &fork, "main", START + round);
            put(
                &fork,
                ada.by(0),
                "main",
                &format!("{round}/{number}"),
                START + round,
            );
            sync(&fork, &repo, "main", START + round);
        }
        put(&repo, ada.by(1), "main", "merge", START + round);
    }
    let before = heads(&repo);
    assert_eq!(before.len(), 1, "with 300 below it");
    ada.remove(1);
    ada.tell(&repo);
    assert_eq!(heads(&repo), before);
    assert_eq!(
        repo.state(&main())
            .unwrap()
            .range(&Span::all(), false)
            .count(),
        301
    );
}

/// A commit that counts on a branch counts on others, whichever of them heard of it first.
#[test]
fn what_came_first_to_which_branch_decides_nothing() {
    let mut ada = Agent::new(1, 2);
    let origin = ada.space();
    let old = put(&origin, ada.by(1), "main", "a", START);
    origin
        .create_branch(&on("feature"), &Heads::from([old]))
        .unwrap();
    put(&origin, ada.by(0), "feature", "b", START + 1);
    ada.remove(1);
    let (one, other) = (ada.replica(&origin), ada.replica(&origin));
    for (repo, order) in [(&one, ["main", "feature"]), (&other, ["feature", "main"])] {
        for branch in order {
            sync(&origin, repo, branch, START + 1);
        }
        assert_eq!(heads(repo), Heads::from([old]), "{order:?}");
        assert_eq!(repo.beside(&main()).unwrap(), Heads::new());
    }
}

/// What was beside a branch is not gone with it unsaid.
#[test]
fn a_branch_with_something_beside_is_not_deleted_unasked() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    put(&repo, ada.by(0), "main", "a", START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    let last = put(&repo, ada.by(1), "side", "b", START + 1);
    ada.remove(1);
    ada.tell(&repo);
    assert_eq!(repo.heads(&on("side")).unwrap(), heads(&repo));
    let deleted = repo.delete_branch(&on("side"), false);
    assert!(
        matches!(deleted, Err(RepoError::Unmerged(_))),
        "{deleted:?}"
    );
    assert_eq!(repo.beside(&on("side")).unwrap(), Heads::from([last]));
    repo.delete_branch(&on("side"), true).unwrap();
    assert_eq!(repo.beside(&on("side")).unwrap(), Heads::new());
}

/// What returns to a protected branch goes forward, or stays beside.
#[test]
fn nothing_returns_to_a_protected_branch_that_is_no_move_forward() {
    let ada = Agent::new(1, 3);
    let origin = ada.space();
    let first = put(&origin, ada.by(0), "main", "a", START);
    origin.protect(&main(), true, ada.by(0), START).unwrap();
    let (fork, judged) = (ada.replica(&origin), ada.replica(&origin));
    let distrusted = ada.devices[1].public();
    let judged = judged.judged_by(Arc::new(move |_, commit| {
        let is_it = *commit.signer() == distrusted;
        let words = || "not by that one".to_owned();
        Ok(if is_it {
            Judgement::Quarantine(words())
        } else {
            Judgement::Accept
        })
    }));
    for repo in [&fork, &judged] {
        sync(&origin, repo, "meta", START);
        sync(&origin, repo, "main", START);
    }
    let apart = put(&fork, ada.by(1), "main", "b", START + 1);
    sync(&fork, &judged, "main", START + 1);
    let second = put(&origin, ada.by(0), "main", "c", START + 1);
    sync(&origin, &judged, "main", START + 1);
    judged.release(apart).unwrap();
    assert_eq!(heads(&judged), Heads::from([second]));
    assert_eq!(judged.beside(&main()).unwrap(), Heads::from([apart]));
    assert_ne!(first, second);
}

/// A note does not come after a commit was taken.
#[test]
fn what_was_accepted_is_not_put_in_quarantine_when_it_comes_again() {
    let ada = Agent::new(1, 2);
    let origin = ada.space();
    let first = put(&origin, ada.by(0), "main", "a", START);
    let plain = ada.replica(&origin);
    sync(&origin, &plain, "main", START);
    let judged = plain.clone().judged_by(Arc::new(|_, _| {
        Ok(Judgement::Quarantine("nobody".to_owned()))
    }));
    deliver(&origin, &judged, first, &main(), START).unwrap();
    judged.reconsider().unwrap();
    assert_eq!(heads(&judged), Heads::from([first]));
    assert_eq!(judged.quarantined(first).unwrap(), None);
}

/// What a judge puts in quarantine counts once it is released, or somebody whom the judge accepts builds on it.
#[test]
fn quarantine_is_apart_until_it_is_released_or_built_on() {
    let ada = Agent::new(1, 3);
    let origin = ada.space();
    let first = put(&origin, ada.by(0), "main", "a", START);
    let (fork, judged) = (ada.replica(&origin), ada.replica(&origin));
    sync(&origin, &fork, "main", START);
    let distrusted = ada.devices[1].public();
    let judged = judged.judged_by(Arc::new(move |_, commit| {
        let signer = *commit.signer();
        let words = || format!("not by {signer:?} {}", "x".repeat(2000));
        Ok(if signer == distrusted {
            Judgement::Quarantine(words())
        } else {
            Judgement::Accept
        })
    }));
    let second = put(&fork, ada.by(1), "main", "b", START + 1);
    let third = put(&fork, ada.by(1), "main", "c", START + 2);
    sync(&fork, &judged, "main", START + 2);
    assert_eq!(heads(&judged), Heads::from([first]));
    assert_eq!(judged.beside(&main()).unwrap(), Heads::from([third]));
    assert_eq!(judged.quarantine().unwrap().len(), 2);
    assert_eq!(judged.quarantined(second).unwrap().unwrap().len(), 1024);
    // It is offered to others, who judge by themselves.
    let plain = ada.replica(&origin);
    sync(&judged, &plain, "main", START + 2);
    assert_eq!(heads(&plain), Heads::from([third]));

    assert_eq!(judged.judge_again().unwrap(), 0, "it is judged as before");
    assert_eq!(
        judged.release(second).unwrap(),
        1,
        "and what comes after it stays"
    );
    assert_eq!(heads(&judged), Heads::from([second]));
    let fourth = put(&plain, ada.by(2), "main", "d", START + 3);
    sync(&plain, &judged, "main", START + 3);
    assert_eq!(heads(&judged), Heads::from([fourth]));
    assert_eq!(judged.beside(&main()).unwrap(), Heads::new());
}

/// What a judge refuses is as if it never came, and so is what was built on it.
#[test]
fn what_is_refused_never_came() {
    let ada = Agent::new(1, 3);
    let origin = ada.space();
    put(&origin, ada.by(0), "main", "a", START);
    let judged = ada
        .replica(&origin)
        .judged_by(Arc::new(|_, _| Ok(Judgement::Refuse)));
    let id = *heads(&origin).first().unwrap();
    let commit = origin.commit(id).unwrap();
    assert_eq!(
        refusal(judged.review(commit.bytes().clone(), START).map(|_| ())),
        Refusal::Untrusted
    );
    assert!(!judged.has_commit(id).unwrap());
}

/// A thief cannot fill what a branch may have.
#[test]
fn what_is_beside_a_branch_is_bounded() {
    let mut ada = Agent::new(1, 2);
    let repo = ada.space();
    put(&repo, ada.by(0), "main", "a", START);
    let thief = ada.replica(&repo);
    let base = heads(&repo);
    let mut many = Heads::new();
    for number in 0..100 {
        let fork = ada.replica(&repo);
        sync(&repo, &fork, "main", START);
        let id = put(&fork, ada.by(1), "main", &format!("k{number}"), START + 1);
        sync(&fork, &thief, "main", START + 1);
        many.insert(id);
    }
    assert_eq!(heads(&thief), many);
    ada.remove(1);
    ada.tell(&thief);
    assert_eq!(heads(&thief), base);
    assert_eq!(thief.beside(&main()).unwrap().len(), BESIDE_MAX);
}

/// What the naive reading makes of all commits of a space on one branch: the newest that count, and the others.
fn naive(repo: &Repo, all: &BTreeSet<CommitId>) -> (Heads, Heads) {
    let parents = |id: CommitId| repo.commit(id).unwrap().payload().parents.clone();
    let mut counting: BTreeSet<CommitId> = BTreeSet::new();
    let mut open: Vec<CommitId> = all
        .iter()
        .copied()
        .filter(|id| repo.stands(*id).unwrap())
        .collect();
    while let Some(id) = open.pop() {
        if counting.insert(id) {
            open.extend(parents(id));
        }
    }
    let newest = |of: &BTreeSet<CommitId>| -> Heads {
        let below: BTreeSet<CommitId> = of.iter().flat_map(|id| parents(*id)).collect();
        of.difference(&below).copied().collect()
    };
    let rest: BTreeSet<CommitId> = all.difference(&counting).copied().collect();
    (newest(&counting), newest(&rest))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// Whatever is written, told and removed in whatever order: replicas that know the same stand where the naive
    /// reading says.
    #[test]
    fn heads_are_a_function_of_what_is_known(
        steps in prop::collection::vec((0_usize..3, 0_usize..4, 0_usize..3), 1..40),
    ) {
        let mut ada = Agent::new(1, 4);
        let repos = [ada.space()];
        let others = [ada.replica(&repos[0]), ada.replica(&repos[0])];
        let repos: Vec<&Repo> = repos.iter().chain(&others).collect();
        let mut all = BTreeSet::new();
        for (number, (what, device, at)) in (0_u64..).zip(&steps) {
            let (now, repo) = (START + number, repos[*at]);
            match what {
                0 => {
                    let author = ada.by(*device);
                    let speaks = repo.agents().key_log(&author.agent).unwrap();
                    if speaks.is_device(&author.key.device_id()) {
                        all.insert(put(repo, author, "main", &format!("k{number}"), now));
                    }
                }
                1 => sync(repos[*device % 3], repo, "main", now),
                // One device stays.
                _ if *device > 0 => {
                    let removed = ada.devices[*device].device_id();
                    let _again = ada.log.remove_device(&ada.key, removed, now);
                    ada.tell(repo);
                }
                _ => ada.tell(repo),
            }
        }
        for _ in 0..2 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
                sync(repos[from], repos[to], "main", START + 1000);
                ada.tell(repos[to]);
            }
        }
        for repo in repos {
            let (counting, beside) = naive(repo, &all);
            prop_assert_eq!(heads(repo), counting);
            prop_assert_eq!(repo.beside(&main()).unwrap(), beside);
        }
    }
}
