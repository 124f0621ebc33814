//! REPO-80, REPO-82, REPO-83: tracking branches keep what they name, and are no branches.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allod_blocks::{MemoryStore, MeteredStore, Metrics, Store, sha256_cid};
use allod_repo::{
    BRANCHES_MAX, BranchName, CommitId, GcOptions, Heads, Refusal, Repo, RepoError, check_store,
    collect_garbage,
};

use crate::world::{Person, START, fault, heads, main, on, put, put_on, space_in};

fn gc(repo: &Repo) -> u64 {
    let options = GcOptions {
        moves_kept: 0,
        dry_run: false,
    };
    let report = collect_garbage(repo.store().as_ref(), options, &mut |_, _| {
        ControlFlow::Continue(())
    });
    report.unwrap().dead_commits
}

/// A commit that no branch leads to.
fn loose(repo: &Repo, who: &Person, text: &str) -> CommitId {
    let name = on("loose");
    repo.create_branch(&name, &heads(repo)).unwrap();
    let id = put_on(repo, who, "loose", &[("k", Some(text))], START);
    repo.delete_branch(&name, true).unwrap();
    id
}

#[test]
fn what_is_tracked_is_kept_and_read_and_is_no_branch() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    put(&repo, &ada, &[("a", Some("1"))], START);
    let branches = repo.branches().unwrap();
    let stamp_later = START + 100_000;
    let name = on("loose");
    repo.create_branch(&name, &heads(&repo)).unwrap();
    let id = put_on(&repo, &ada, "loose", &[("k", Some("far"))], stamp_later);
    repo.delete_branch(&name, true).unwrap();
    repo.track("origin", &[(main(), Heads::from([id]))])
        .unwrap();
    let other = loose(&repo, &ada, "other");
    assert_eq!(gc(&repo), 1, "the one that is not tracked");
    assert!(matches!(fault(repo.commit(other)), RepoError::NoCommit(_)));
    assert_eq!(repo.branches().unwrap(), branches);
    assert_eq!(repo.tracked_as("origin/main").unwrap(), Heads::from([id]));
    for text in ["origin/main", &id.to_string(), &id.short()] {
        assert_eq!(repo.find(text).unwrap(), [id], "{text}");
    }
    for text in ["origin/other", "other/main", "origin", "origin/", "/main"] {
        assert!(repo.tracked_as(text).unwrap().is_empty(), "{text}");
    }
    let go_on = &mut |_| ControlFlow::Continue(());
    let report = check_store(store.as_ref(), &mut |_| {}, go_on).unwrap();
    assert_eq!((report.problems, report.orphaned), (0, 0));
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().commits, 2);
    // Its stamp was seen, also after a restart.
    let again = Repo::open(store, repo.id()).unwrap();
    let next = put(&again, &ada, &[("a", Some("2"))], START);
    let stamp = |id| again.commit(id).unwrap().payload().stamp;
    assert!(stamp(next) > stamp(id));
    // A branch of the name goes first.
    let same = on("origin/main");
    again.create_branch(&same, &heads(&again)).unwrap();
    assert_eq!(again.find("origin/main").unwrap(), [next]);
}

#[test]
fn tracking_branches_go_with_the_name_of_their_remote() {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::new(MemoryStore::new()));
    put(&repo, &ada, &[("a", Some("1"))], START);
    let here = heads(&repo);
    let names = |remote: Option<&str>| -> Vec<String> {
        let tracking = repo.tracking(remote).unwrap().into_iter();
        tracking.map(|of| of.name()).collect()
    };
    let both = [(main(), here.clone()), (on("a/b"), here.clone())];
    repo.track("home", &both).unwrap();
    repo.track("home2", &both[..1]).unwrap();
    assert_eq!(names(Some("home")), ["home/a/b", "home/main"]);
    assert_eq!(names(None).len(), 3);
    repo.rename_tracking("home", Some("home")).unwrap();
    repo.rename_tracking("home", Some("cellar")).unwrap();
    assert_eq!(names(None), ["cellar/a/b", "cellar/main", "home2/main"]);
    repo.track("cellar", &[(main(), Heads::new())]).unwrap();
    repo.rename_tracking("home2", None).unwrap();
    assert_eq!(names(None), ["cellar/a/b"]);
    // Nothing is tracked that is not here, and no more than a space has branches.
    let none = CommitId::from_cid(sha256_cid(allod_blocks::Codec::DagCbor, b"none"));
    let absent = repo.track("home", &[(main(), Heads::from([none]))]);
    assert!(matches!(fault(absent), RepoError::NoCommit(_)));
    let many: Vec<(BranchName, Heads)> = (0..BRANCHES_MAX)
        .map(|n| (on(&format!("b{n}")), here.clone()))
        .collect();
    repo.track("home", &many).unwrap();
    assert_eq!(names(Some("home")).len(), BRANCHES_MAX);
    repo.track("home", &many[..2]).unwrap();
    let more = repo.track("home", &[(on("one-more"), here.clone())]);
    assert!(matches!(
        fault(more),
        RepoError::Refused(Refusal::TooManyBranches)
    ));
    // What is forgotten in the same step makes room.
    let step = [(on("b1"), Heads::new()), (on("one-more"), here.clone())];
    repo.track("home", &step).unwrap();
    assert_eq!(names(Some("home")).len(), BRANCHES_MAX);
    let step = [
        (on("b2"), Heads::new()),
        (on("more"), here.clone()),
        (on("yet-more"), here),
    ];
    assert!(matches!(
        fault(repo.track("home", &step)),
        RepoError::Refused(Refusal::TooManyBranches)
    ));
}

/// REPO-66: a fetch that ends at any step of a change of names is not lost, and what it forgot is not back.
#[test]
fn what_is_fetched_while_a_remote_gets_another_name_is_not_lost() {
    for step in 1..10 {
        let ada = Person::new(1);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let fetching = space_in(&ada, Arc::clone(&store));
        let old = put(&fetching, &ada, &[("a", Some("1"))], START);
        let new = put(&fetching, &ada, &[("a", Some("2"))], START + 1);
        let both = [(main(), Heads::from([old])), (on("b"), Heads::from([old]))];
        fetching.track("home", &both).unwrap();
        let (space, asked) = (fetching.id(), Arc::new(AtomicU64::new(100)));
        let counted = Arc::clone(&asked);
        let between = move || {
            if counted.fetch_add(1, Ordering::Relaxed) == step {
                let came = [(main(), Heads::from([new])), (on("b"), Heads::new())];
                fetching.track("home", &came).unwrap();
            }
            Duration::ZERO
        };
        // Its clock is read around each call.
        let timed = MeteredStore::new(store, Metrics::new(), Arc::new(between));
        let renaming = Repo::open(Arc::new(timed), space).unwrap();
        asked.store(1, Ordering::Relaxed);
        renaming.rename_tracking("home", Some("cellar")).unwrap();
        let all = renaming.tracking(None).unwrap().into_iter();
        let main: Vec<Heads> = all
            .filter(|of| of.branch == main())
            .map(|of| of.heads)
            .collect();
        assert!(main.contains(&Heads::from([new])), "{step}: {main:?}");
    }
}
