//! REPO-60 to REPO-66: what is garbage goes, and nothing else, whoever works beside it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use allod_blocks::{
    Batch, Block, Cid, Codec, Expect, Fault, FaultyStore, FileProfile, FjallStore, Garbage,
    MemoryStore, SledStore, Store, add_file, sha256_cid,
};
use allod_identity::Verified;
use allod_repo::{
    BranchName, CommitId, Content, Edit, GcError, GcOptions, GcPhase, GcReport, Heads,
    MergeOptions, Outcome, Repo, RepoError, Resolution, Resolving, Span, check_store,
    collect_garbage, lost_blocks, pin, pins, unpin,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, all, get, heads, main, put, put_on, refusal, replica, send, space_in,
};

const NOW: GcOptions = GcOptions {
    moves_kept: 0,
    dry_run: false,
};

fn collect(store: &dyn Store, options: GcOptions) -> Result<GcReport, GcError> {
    collect_garbage(store, options, &mut |_, _| ControlFlow::Continue(()))
}

fn gc(repo: &Repo) -> GcReport {
    collect(repo.store().as_ref(), NOW).unwrap()
}

fn branch(name: &str) -> BranchName {
    name.parse().unwrap()
}

fn blocks(store: &dyn Store) -> Vec<Cid> {
    store.scan_blocks(None, usize::MAX).unwrap()
}

fn loose(text: &str) -> Block {
    Block::new(Codec::Raw, text.as_bytes().to_vec()).unwrap()
}

fn keep(store: &dyn Store, block: &Block) {
    let mut batch = Batch::new();
    batch.put(block.clone());
    let _outcome = store.commit(batch).unwrap();
}

fn assert_sound(repo: &Repo) {
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
}

/// Commits `count` keys to a branch that starts where main is, and takes the branch away.
fn dead_branch(repo: &Repo, who: &Person, count: usize) -> Heads {
    let name = branch("dead");
    repo.create_branch(&name, &heads(repo)).unwrap();
    let edits = (0..count).map(|n| {
        let value = format!("dead {n} ").repeat(200);
        (Bytes::from(format!("dead/{n}")), Edit::Put(value.into()))
    });
    repo.stage(&name, edits, START).unwrap();
    repo.commit_staged(&name, who.author(), "dead", START)
        .unwrap();
    let heads = repo.heads(&name).unwrap();
    repo.delete_branch(&name, true).unwrap();
    heads
}

#[test]
fn what_waits_in_a_merge_stays() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&repo, &ada, &[("a", Some("1")), ("b", Some("1"))], START);
    let side = branch("side");
    repo.create_branch(&side, &heads(&repo)).unwrap();
    put(&repo, &ada, &[("a", Some("ours"))], START);
    let large = "theirs ".repeat(1000);
    put_on(
        &repo,
        &ada,
        "side",
        &[("a", Some(&large)), ("b", Some(&large))],
        START,
    );
    let theirs = repo.heads(&side).unwrap();
    let options = MergeOptions::default();
    let outcome = repo.merge(&main(), &theirs, ada.author(), &options, START);
    assert!(matches!(outcome, Ok(Outcome::Stopped(_))), "{outcome:?}");
    // Now only what is under way knows of the commits, and of the value they brought.
    repo.delete_branch(&side, true).unwrap();
    gc(&repo);
    assert_sound(&repo);
    repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
    gc(&repo);
    // There is no commit to leave out: what waits goes on waiting.
    let skipped = repo.skip(&main(), ada.author(), Resolving::default(), START);
    assert!(matches!(skipped, Err(RepoError::NothingUnderWay(_))));
    let outcome = repo.resume(&main(), ada.author(), Resolving::default(), START);
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    gc(&repo);
    assert_sound(&repo);
    assert_eq!(get(&repo, "a").as_deref(), Some(&*large));
    assert_eq!(get(&repo, "b").as_deref(), Some(&*large));
}

#[test]
fn what_a_tag_a_stash_or_the_log_names_stays() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&repo, &ada, &[("a", Some("1"))], START);
    let tagged = dead_branch(&repo, &ada, 3);
    let commit = *tagged.first().unwrap();
    let name = "kept".parse().unwrap();
    repo.create_tag(&name, commit, "", ada.author(), START)
        .unwrap();
    let large = "put by ".repeat(1000);
    let edit = Edit::Put(Bytes::from(large.clone().into_bytes()));
    repo.stage(&main(), [(Bytes::from("b"), edit)], START)
        .unwrap();
    let number = repo.stash(&main(), "", START).unwrap();
    gc(&repo);
    gc(&repo);
    assert_eq!(repo.find("kept").unwrap(), [commit]);
    let view = repo.at(commit).unwrap();
    assert_eq!(view.range(&Span::prefix(b"dead/"), false).count(), 3);
    for item in view.range(&Span::all(), false) {
        view.content(&item.unwrap().1).unwrap();
    }
    let popped = repo.unstash(&main(), number, true, Resolving::default(), START);
    assert!(popped.is_ok(), "{popped:?}");
    let there = repo.working(&main()).unwrap().get(b"b").unwrap();
    assert_eq!(there, Some(Content::Bytes(large.into())));
    // Without the tag it goes, once the log may forget it too.
    repo.delete_tag(&name, ada.author(), START).unwrap();
    gc(&repo);
    assert!(repo.commit(commit).is_ok(), "meta's history still names it");
    assert_sound(&repo);
}

#[test]
fn what_only_looks_like_a_name_is_not_needed() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    let absent = loose("nowhere");
    let bytes = [&b"\x01\x71\x12\x20"[..], &[b'A'; 32]].concat();
    let spelled = String::from_utf8(bytes.clone()).unwrap();
    put(&repo, &ada, &[("a", Some(&spelled))], START);
    let edit = |value: Vec<u8>| Edit::Put(value.into());
    let text = format!("see ipfs://{}", absent.cid()).into_bytes();
    let edits = [
        (Bytes::from("note"), edit(text)),
        (Bytes::from("bytes"), edit(bytes.clone())),
        (Bytes::from(bytes), edit(b"in the key".to_vec())),
    ];
    repo.stage(&main(), edits, START).unwrap();
    gc(&repo);
    repo.commit_staged(&main(), ada.author(), &spelled, START)
        .unwrap();
    gc(&repo);
    let on = &mut |_: &_| {};
    let report = check_store(
        repo.store().as_ref(),
        on,
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap();
    assert_eq!(report.problems, 0);
    assert_sound(&repo);
}

#[test]
fn what_is_reachable_stays_and_the_rest_goes() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    put(&repo, &ada, &[("a", Some("1"))], START);
    put(&repo, &ada, &[("a", Some("2")), ("b", Some("3"))], START);
    let mut file = &b"a file in several parts".repeat(100_000)[..];
    let info = add_file(
        store.as_ref(),
        FileProfile::UNIXFS_V1_2025,
        &mut file,
        &mut |_| {},
    )
    .unwrap();
    repo.stage(&main(), [("file".into(), Edit::Link(info.cid))], START)
        .unwrap();
    let pinned = loose("pinned");
    keep(store.as_ref(), &pinned);
    pin(store.as_ref(), pinned.cid()).unwrap();
    let live = blocks(store.as_ref());

    let dead = dead_branch(&repo, &ada, 300);
    keep(store.as_ref(), &loose("nobody's"));
    let garbage = blocks(store.as_ref()).len() - live.len();
    let before = store.stats().unwrap().bytes;

    let kept = collect(store.as_ref(), GcOptions::default()).unwrap();
    assert_eq!(kept.dead_blocks, 1, "the log remembers the branch");
    keep(store.as_ref(), &loose("nobody's"));

    let dry = GcOptions {
        dry_run: true,
        ..NOW
    };
    let counted = collect(store.as_ref(), dry).unwrap();
    assert_eq!(counted.dead_blocks, garbage as u64);
    assert_eq!(
        store.stats().unwrap().bytes,
        before,
        "a dry run removes nothing"
    );
    let done = gc(&repo);
    assert_eq!(done.dead_blocks, counted.dead_blocks);
    assert_eq!(done.dead_bytes, counted.dead_bytes);
    assert_eq!((done.dead_commits, done.in_use), (1, 0));
    assert_eq!(done.disk_before - done.disk_after, done.dead_bytes);
    assert_eq!(blocks(store.as_ref()), live);
    assert_sound(&repo);
    assert_eq!(gc(&repo).dead_blocks, 0);

    // The commit is none here now, for this handle as for a new one, and can be no head.
    let again = Repo::open(Arc::clone(&store), repo.id()).unwrap();
    for repo in [&repo, &again] {
        assert!(!repo.has_commit(*dead.first().unwrap()).unwrap());
        let placed = repo.create_branch(&branch("again"), &dead);
        assert!(matches!(placed, Err(RepoError::NoCommit(_))), "{placed:?}");
    }

    assert_eq!(pins(store.as_ref(), None, 9).unwrap(), [*pinned.cid()]);
    assert!(unpin(store.as_ref(), pinned.cid()).unwrap());
    assert!(!unpin(store.as_ref(), pinned.cid()).unwrap());
    assert_eq!(gc(&repo).dead_blocks, 1);
    assert_eq!(repo.unstage(&main()).unwrap(), 1);
    assert_eq!(gc(&repo).dead_blocks, 4, "three parts and their index");
    assert_eq!(get(&repo, "b").unwrap(), "3");
}

#[test]
fn what_a_session_in_flight_brought_stays() {
    let ada = Person::new(1);
    let from = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&from, &ada, &[("a", Some("1"))], START);
    let to = replica(&from);
    send(&from, &to, &main(), START).unwrap();
    let value = "large ".repeat(1000);
    let id = put(&from, &ada, &[("b", Some(&value))], START);

    let bring = |to: &Repo, collected: &dyn Fn()| {
        let commit = from.commit(id).unwrap();
        let changes = from.changes_of(&commit, usize::MAX).unwrap();
        let reviewed = to.review(commit.bytes().clone(), START)?;
        let complete = to.with_changes(reviewed, &changes.unwrap())?;
        for cid in to.missing_blocks(complete.links(), 9)?.blocks {
            keep(
                to.store().as_ref(),
                &from.store().get(&cid).unwrap().unwrap(),
            );
        }
        collected();
        to.accept(complete, &branch("other"))?;
        collected();
        to.join_branch(&main(), &Heads::from([id]))
    };
    let session = to.store().uses().hold();
    bring(&to, &|| assert_eq!(gc(&to).dead_blocks, 0)).unwrap();
    drop(session);
    assert_sound(&to);
    assert_eq!(all(&to), all(&from));

    // Without a session nothing says that somebody is at work.
    let to = replica(&from);
    let nobody = bring(&to, &|| {
        gc(&to);
    });
    refusal(nobody.map(|_| ()));
}

/// When all is marked and nothing is removed yet, somebody refers to what is doomed.
/// BLOCKS-55: a node that always has a session open collects what earlier sessions left.
#[test]
fn sessions_that_overlap_for_ever_let_go() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&repo, &ada, &[("a", Some("1"))], START);
    let mut session = repo.store().uses().hold();
    for n in 0..20u64 {
        keep(
            repo.store().as_ref(),
            &loose(&format!("brought by session {n}")),
        );
        let next = repo.store().uses().hold();
        session = next;
        let report = gc(&repo);
        assert_eq!(report.in_use, 1, "{report:?}");
        assert_eq!(report.dead_blocks, u64::from(n > 0), "{report:?}");
    }
    drop(session);
    assert_sound(&repo);
}

#[test]
fn what_is_referred_to_at_the_last_moment_stays() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&repo, &ada, &[("a", Some("1"))], START);
    let store = repo.store().as_ref();
    let dead = dead_branch(&repo, &ada, 500);
    let mut text = &b"a file in several parts".repeat(100_000)[..];
    let file = add_file(store, FileProfile::UNIXFS_V1_2025, &mut text, &mut |_| {}).unwrap();
    keep(store, &loose("dead"));
    let before = blocks(store);
    let back = branch("back");
    let report = collect_garbage(store, NOW, &mut |phase, _| {
        if phase == GcPhase::Mark {
            // Without reading it: only what the reference says keeps it.
            let mut batch = Batch::new();
            let commit = dead.first().unwrap().cid().to_bytes();
            batch.set_ref(&b"of another kind"[..], Expect::Absent, Some(commit));
            let _outcome = store.commit(batch).unwrap();
            let edits = [("file".into(), Edit::Link(file.cid))];
            repo.stage(&main(), edits, START).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().dead_blocks, 1);
    assert_eq!(blocks(store).len(), before.len() - 1);
    assert_sound(&repo);
    repo.create_branch(&back, &dead).unwrap();
    assert_eq!(read(&repo, &back).len(), 501);
    assert_sound(&repo);
    assert_eq!(repo.missing_blocks(&[file.cid], 9).unwrap().blocks, []);
}

#[test]
fn nothing_is_removed_while_something_needed_is_lost() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    let value = "v".repeat(5000);
    put(&repo, &ada, &[("k", Some(&value))], START);
    keep(store.as_ref(), &loose("dead"));
    for lost in [*loose(&value).cid(), *heads(&repo).first().unwrap().cid()] {
        let kept = store.get(&lost).unwrap().unwrap();
        let take = || {
            Ok(Garbage {
                blocks: vec![lost],
                refs: Vec::new(),
            })
        };
        store.sweep(&mut { take }).unwrap();
        let refused = collect(store.as_ref(), NOW);
        assert!(matches!(&refused, Err(GcError::Lost { some, .. }) if some[0] == lost));
        assert!(store.has(loose("dead").cid()).unwrap());
        keep(store.as_ref(), &kept);
    }
    assert_eq!(gc(&repo).dead_blocks, 1);
}

#[test]
fn it_stops_when_told_and_one_runs_at_a_time() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    dead_branch(&repo, &ada, 3000);
    let mut phases = Vec::new();
    let report = collect_garbage(store.as_ref(), NOW, &mut |phase, _| {
        phases.push(phase);
        assert!(matches!(collect(store.as_ref(), NOW), Err(GcError::Busy)));
        ControlFlow::Break(())
    })
    .unwrap();
    assert!(report.stopped);
    assert_eq!(phases.len(), 1);
    assert_sound(&repo);
    assert!(!gc(&repo).stopped);
}

/// A crash or a fault at every commit and every call of a collection: what is reachable stays, and
/// the next collection finishes.
#[test]
fn a_collection_may_be_cut_anywhere() {
    let ada = Person::new(1);
    let faults: [fn(u64) -> Fault; 3] = [Fault::CrashBefore, Fault::CrashAfter, Fault::FailCall];
    for fault in faults {
        for at in 0.. {
            let store = FaultyStore::new(Arc::new(MemoryStore::new()));
            let repo = space_in(&ada, Arc::new(store.clone()));
            put(&repo, &ada, &[("a", Some("1")), ("b", Some("2"))], START);
            for _ in 0..2 {
                dead_branch(&repo, &ada, 300);
            }
            let expected = all(&repo);
            store.inject(fault(at));
            let cut = collect(&store, NOW);
            let struck = store.struck();
            store.restart();
            let repo = Repo::open(Arc::new(store.clone()), repo.id()).unwrap();
            assert_sound(&repo);
            assert_eq!(all(&repo), expected);
            if !struck {
                assert!(at >= 3, "nothing was tried");
                assert_eq!(
                    gc(&repo).dead_blocks,
                    0,
                    "a collection without a fault is whole"
                );
                break;
            }
            assert!(cut.is_err());
            gc(&repo);
            assert_eq!(gc(&repo).dead_blocks, 0);
            assert_sound(&repo);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    /// A value of its own block, one of few, so that it is often written again when it is doomed.
    Large(u8, u8),
    Del(u8),
    Branch,
    DropBranch,
    Loose(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (0..20u8, 0..4u8).prop_map(|(key, value)| Step::Large(key, value)),
        2 => (0..20u8).prop_map(Step::Del),
        1 => Just(Step::Branch),
        2 => Just(Step::DropBranch),
        1 => (0..4u8).prop_map(Step::Loose),
    ]
}

/// What branches are expected to hold, and the branch that is written.
struct Model {
    repo: Repo,
    branch: BranchName,
    branches: BTreeMap<BranchName, BTreeMap<String, String>>,
    made: usize,
    now: u64,
}

impl Model {
    fn apply(&mut self, who: &Person, step: &Step) {
        let large = |value: u8| format!("large {value} ").repeat(300);
        let (key, value) = match step {
            Step::Put(key, value) => (key, Some(format!("{value}"))),
            Step::Large(key, value) => (key, Some(large(*value))),
            Step::Del(key) => (key, None),
            Step::Branch => return self.fork(),
            Step::DropBranch => {
                if self.branch != main() {
                    self.repo.delete_branch(&self.branch, true).unwrap();
                    self.branches.remove(&self.branch);
                    self.branch = main();
                }
                return;
            }
            Step::Loose(value) => return keep(self.repo.store().as_ref(), &loose(&large(*value))),
        };
        self.now += 1;
        let key = format!("key {key}");
        let edit = value
            .clone()
            .map_or(Edit::Delete, |value| Edit::Put(value.into()));
        let edits = [(Bytes::from(key.clone()), edit)];
        self.repo.stage(&self.branch, edits, self.now).unwrap();
        self.repo
            .commit_staged(&self.branch, who.author(), "step", self.now)
            .unwrap();
        let model = self.branches.entry(self.branch.clone()).or_default();
        match value {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
    }

    fn fork(&mut self) {
        let heads = self.repo.heads(&self.branch).unwrap();
        self.made += 1;
        let name = branch(&format!("branch-{}", self.made));
        self.repo.create_branch(&name, &heads).unwrap();
        let state = self.branches.get(&self.branch).cloned().unwrap_or_default();
        self.branches.insert(name.clone(), state);
        self.branch = name;
    }

    fn holds(&self) {
        for (branch, expected) in &self.branches {
            assert_eq!(read(&self.repo, branch), *expected);
        }
    }
}

/// One state of a branch, every value of it read.
fn read(repo: &Repo, branch: &BranchName) -> BTreeMap<String, String> {
    let view = repo.state(branch).unwrap();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    view.range(&Span::all(), false)
        .map(|item| {
            let (key, entry) = item.unwrap();
            match view.content(&entry).unwrap().unwrap() {
                Content::Bytes(value) => (text(key), text(value)),
                Content::File(_) => panic!("no file was put"),
            }
        })
        .collect()
}

/// A writer that takes branches away and writes the same values again and again, a reader, and a
/// collection that never stops.
fn beside_each_other(store: Arc<dyn Store>, steps: &[Step]) {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::clone(&store));
    put(&repo, &ada, &[("key 0", Some("0"))], START);
    let mut model = Model {
        repo: repo.clone(),
        branch: main(),
        branches: BTreeMap::from([(main(), BTreeMap::from([("key 0".into(), "0".into())]))]),
        made: 0,
        now: START,
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                gc(&repo);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // A handle without caches: all that main reaches is on the disk.
                let fresh = Repo::open(Arc::clone(&store), repo.id()).unwrap();
                assert!(read(&fresh, &main()).len() <= 20);
            }
        });
        for step in steps {
            model.apply(&ada, step);
        }
        over.store(true, Ordering::Relaxed);
    });
    model.holds();
    assert_sound(&repo);
    gc(&repo);
    model.repo = Repo::open(Arc::clone(&store), repo.id()).unwrap();
    model.holds();
    assert_sound(&model.repo);
    assert_eq!(gc(&repo).dead_blocks, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24 * scale()))]
    #[test]
    fn writers_readers_and_collections_beside_each_other(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        beside_each_other(Arc::new(MemoryStore::new()), &steps);
    }
}

/// The same on disks, with steps that revive what is doomed again and again.
#[test]
fn writers_readers_and_collections_beside_each_other_on_disks() {
    let steps: Vec<Step> = (0..120u8)
        .map(|n| match n % 6 {
            0 => Step::Branch,
            1 | 2 => Step::Large(n % 7, n % 4),
            3 => Step::Loose(n % 4),
            4 => Step::DropBranch,
            _ => Step::Large(n % 5, n % 3),
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    beside_each_other(
        Arc::new(FjallStore::open(dir.path().join("fjall")).unwrap()),
        &steps,
    );
    beside_each_other(
        Arc::new(SledStore::open(dir.path().join("sled")).unwrap()),
        &steps[..60],
    );
}

fn scale() -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// REPO-62: a member may name a policy that nobody has, and nobody's store is damaged by that.
#[test]
fn a_policy_that_is_nowhere_is_missed_by_nobody() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let mut said = repo.commit(first).unwrap().payload().clone();
    said.policy = Some(CommitId::from_cid(sha256_cid(Codec::DagCbor, b"nowhere")));
    said.message = "as I was allowed".to_owned();
    let forged = Verified::sign(&ada.0, said).unwrap();
    let reviewed = repo.review(forged.bytes().clone(), START).unwrap();
    let id = reviewed.id();
    let changes = repo.changes_of(&repo.commit(first).unwrap(), usize::MAX);
    let complete = repo
        .with_changes(reviewed, &changes.unwrap().unwrap())
        .unwrap();
    repo.accept(complete, &main()).unwrap();
    repo.join_branch(&main(), &[id].into()).unwrap();
    assert_eq!(heads(&repo), [first, id].into());
    let store = repo.store().as_ref();
    keep(store, &loose("dead"));
    assert_eq!(lost_blocks(store).unwrap(), []);
    assert_eq!(gc(&repo).dead_blocks, 1);
    assert_sound(&repo);
}
