//! Keys that a space refuses hold no others up (DELTA-59).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use allod_blocks::MemoryStore;
use allod_crdt::Kind;
use allod_deltas::{
    Bringing, Brought, Delta, DeltaStore as _, Pointer, SpaceDeltas, StoreFault, ViewError, bring,
    bring_again, bring_while,
};
use allod_repo::{Author, BranchName, Content, Objection, Part, Pattern, Repo, RepoError, Span};
use proptest::prelude::*;

use crate::world::{delta, owner, repo};

fn deltas_of(repo: &Repo) -> SpaceDeltas {
    let key = owner();
    let branch = "deltas".parse().unwrap();
    SpaceDeltas::new(repo.clone(), branch, key.agent_id(), key)
}

fn bringing() -> Bringing {
    Bringing {
        branch: BranchName::main(),
        prefix: "net/".to_owned(),
        schema: None,
        view: None,
    }
}

fn about(object: &str, at: u64) -> Arc<Delta> {
    let to = Pointer::under("post", object, "title").unwrap();
    let value = Pointer::text("text", format!("at {at}")).unwrap();
    Arc::new(delta(
        &format!("{object}-{at}"),
        at,
        "alice",
        vec![to, value],
    ))
}

/// The objects that were brought.
fn objects(repo: &Repo) -> BTreeSet<String> {
    let view = repo.state(&BranchName::main()).unwrap();
    let keys = view.range(&Span::all(), false).map(|item| item.unwrap().0);
    let names = keys.map(|key| String::from_utf8(key.to_vec()).unwrap());
    let objects = names.filter_map(|key| Some(key.strip_prefix("net/")?.to_owned()));
    objects.filter(|object| object != ".brought").collect()
}

/// A space that refuses commits with one of these objects, and how many it was asked about. It fails at objects that
/// begin with `!`.
fn refusing(refused: &Arc<Mutex<BTreeSet<String>>>) -> (Repo, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let (refused, count) = (Arc::clone(refused), Arc::clone(&asked));
    let hooked = repo().hooked(Arc::new(move |proposal| {
        if *proposal.branch != BranchName::main() {
            return Ok(());
        }
        count.fetch_add(1, Ordering::Relaxed);
        let refused = refused.lock().unwrap();
        for change in proposal.changes().unwrap() {
            let key = String::from_utf8(change.unwrap().key.to_vec()).unwrap();
            let object = key.strip_prefix("net/").unwrap_or_default();
            if object.starts_with('!') && refused.contains(object) {
                return Err(Objection::Failed("it hangs".to_owned()));
            }
            if refused.contains(object) || refused.contains("*") {
                return Err("it is not wanted".to_owned().into());
            }
        }
        Ok(())
    }));
    (hooked, asked)
}

/// How many commits bringing has made.
fn commits(repo: &Repo) -> usize {
    let heads = repo.heads(&BranchName::main()).unwrap();
    repo.log(&heads).unwrap().count()
}

fn named(brought: &Brought) -> BTreeSet<String> {
    let keys = brought.refusals.iter().map(|refused| {
        assert!(refused.words.contains("not wanted"), "{}", refused.words);
        String::from_utf8(refused.key.clone()).unwrap()
    });
    keys.collect()
}

proptest! {
    /// Whichever objects are refused: all others are there, each refused one is counted, and neither is tried again.
    #[test]
    fn all_that_is_not_refused_is_brought(
        present in proptest::collection::btree_set(0..60u8, 1..40),
        refused in proptest::collection::btree_set(0..60u8, 0..20),
    ) {
        let name = |of: &u8| format!("o{of:02}");
        let all: BTreeSet<String> = present.iter().map(name).collect();
        let bad: BTreeSet<String> = refused.iter().map(name).collect();
        let (repo, asked) = refusing(&Arc::new(Mutex::new(bad.clone())));
        let store = deltas_of(&repo);
        let said: Vec<_> = all.iter().map(|object| about(object, 1)).collect();
        store.append(&said, 1000).unwrap();
        let brought = bring_while(&store, &bringing(), 1000, &|| true).unwrap();
        let wanted: BTreeSet<String> = all.difference(&bad).cloned().collect();
        let out: BTreeSet<String> = all.intersection(&bad).cloned().collect();
        prop_assert_eq!(objects(&repo), wanted.clone());
        prop_assert_eq!(brought.set, wanted.len() as u64);
        prop_assert_eq!(brought.refused, out.len() as u64);
        let named = named(&brought);
        prop_assert_eq!(named.len(), out.len().min(8));
        let keys: BTreeSet<String> = out.iter().map(|object| format!("net/{object}")).collect();
        prop_assert!(named.is_subset(&keys));
        // What it costs: a way down for each of them.
        let most = 3 + out.len() as u64 * 2 * 7;
        prop_assert!(asked.load(Ordering::Relaxed) <= most, "{} of {most}", asked.load(Ordering::Relaxed));
        let heads = repo.heads(&BranchName::main()).unwrap();
        let again = bring_while(&store, &bringing(), 1001, &|| true).unwrap();
        prop_assert_eq!((again.set, again.refused), (0, 0));
        prop_assert_eq!(repo.heads(&BranchName::main()).unwrap(), heads);
    }
}

/// More than one commit has: what is refused in one of them is no matter of the others.
#[test]
fn one_refused_key_of_many_is_left_out() {
    let refused = Arc::new(Mutex::new(BTreeSet::from(["o1234".to_owned()])));
    let (repo, asked) = refusing(&refused);
    let store = deltas_of(&repo);
    let said: Vec<_> = (0..2500).map(|of| about(&format!("o{of:04}"), 1)).collect();
    store.append(&said, 1000).unwrap();
    let brought = bring(&store, &bringing(), 1000).unwrap();
    assert_eq!((brought.set, brought.refused), (2499, 1));
    assert_eq!(named(&brought), ["net/o1234".to_owned()].into());
    assert_eq!(objects(&repo).len(), 2499);
    assert!(asked.load(Ordering::Relaxed) < 40);
    // It is looked at again when something is said of it.
    refused.lock().unwrap().clear();
    assert_eq!(bring(&store, &bringing(), 1001).unwrap().set, 0);
    store.append(&[about("o1234", 2)], 1002).unwrap();
    assert_eq!(bring(&store, &bringing(), 1002).unwrap().set, 1);
}

/// Where nothing at all is taken nothing is left out: it is all tried again.
#[test]
fn who_refuses_everything_leaves_nothing_out() {
    let refused = Arc::new(Mutex::new(BTreeSet::from(["*".to_owned()])));
    let (repo, asked) = refusing(&refused);
    let store = deltas_of(&repo);
    let said: Vec<_> = (0..100).map(|of| about(&format!("o{of:02}"), 1)).collect();
    store.append(&said, 1000).unwrap();
    let fault = bring(&store, &bringing(), 1000).unwrap_err();
    assert!(fault.to_string().contains("not wanted"), "{fault}");
    let most = 7 + 2 * 8 + 1;
    assert!(asked.load(Ordering::Relaxed) <= most, "not all are tried");
    assert!(objects(&repo).is_empty());
    assert_eq!(commits(&repo), 0);
    refused.lock().unwrap().clear();
    assert_eq!(bring(&store, &bringing(), 1001).unwrap().set, 100);
}

/// What was to end does so between two attempts, and goes on from where it was.
#[test]
fn it_ends_while_it_sorts_out() {
    let bad = (0..50).map(|of| format!("o{:02}", of * 2)).collect();
    let refused = Arc::new(Mutex::new(bad));
    let (repo, asked) = refusing(&refused);
    let store = deltas_of(&repo);
    let said: Vec<_> = (0..100).map(|of| about(&format!("o{of:02}"), 1)).collect();
    store.append(&said, 1000).unwrap();
    let go_on = || asked.load(Ordering::Relaxed) < 20;
    let brought = bring_while(&store, &bringing(), 1000, &go_on).unwrap();
    assert!(brought.set < 50, "{brought:?}");
    assert!(asked.load(Ordering::Relaxed) <= 20);
    let rest = bring(&store, &bringing(), 1001).unwrap();
    assert_eq!(brought.set + rest.set, 50);
    assert_eq!(rest.refused, 50);
}

/// A key with values that join, and one that is too long, are named by the space itself.
#[test]
fn what_stands_there_and_what_is_too_long_is_named() {
    let repo = repo();
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let pattern: Pattern = "net/counted".parse().unwrap();
    repo.define_kind(&pattern, Kind::PnCounter, author, 500)
        .unwrap();
    let store = deltas_of(&repo);
    let long = "x".repeat(200);
    let said: Vec<_> = ["a", "counted", "z", &long]
        .iter()
        .map(|object| about(object, 1))
        .collect();
    store.append(&said, 1000).unwrap();
    let brought = bring(&store, &bringing(), 1000).unwrap();
    assert_eq!((brought.set, brought.refused), (3, 1), "{brought:?}");
    let refusal = &brought.refusals[0];
    assert_eq!(refusal.key, b"net/counted");
    assert!(refusal.words.contains("pn-counter"), "{}", refusal.words);
    let view = repo.state(&BranchName::main()).unwrap();
    let kept = view.get(b"net/z").unwrap();
    assert_eq!(
        kept,
        Some(Content::Bytes(br#"{"title":"at 1"}"#[..].into()))
    );
    let mut deep = bringing();
    deep.prefix = "p".repeat(4000) + "/";
    let brought = bring(&store, &deep, 1001).unwrap();
    assert_eq!((brought.set, brought.refused), (3, 1), "{brought:?}");
    assert!(brought.refusals[0].words.contains("4,096"));
}

/// A key on which the hook fails waits: all others are brought, it is not taken for refused, and trying it again and
/// again leaves nothing in the history.
#[test]
fn a_key_on_which_the_hook_fails_holds_no_others_up() {
    let mut bad: BTreeSet<String> = (0..20).map(|of| format!("o{of:02}")).collect();
    bad.insert("!crash".to_owned());
    let refused = Arc::new(Mutex::new(bad.clone()));
    let (repo, _) = refusing(&refused);
    let store = deltas_of(&repo);
    let mut said: Vec<_> = (0..60).map(|of| about(&format!("o{of:02}"), 1)).collect();
    said.push(about("!crash", 1));
    store.append(&said, 1000).unwrap();
    let waits = |at: u64| match bring(&store, &bringing(), at).unwrap_err() {
        ViewError::Store(StoreFault::Repo(RepoError::HookFailed(words))) => {
            assert_eq!(words, "key net/!crash: it hangs");
        }
        other => panic!("{other}"),
    };
    waits(1000);
    assert_eq!(objects(&repo).len(), 40);
    waits(1001);
    let before = commits(&repo);
    for at in 1002..1006 {
        waits(at);
        assert_eq!(commits(&repo), before, "trying again is written");
    }
    // What comes meanwhile is brought, and the one that waited once it can be.
    store.append(&[about("later", 1)], 1006).unwrap();
    waits(1006);
    assert_eq!(objects(&repo).len(), 41);
    refused.lock().unwrap().remove("!crash");
    let brought = bring(&store, &bringing(), 1007).unwrap();
    assert_eq!((brought.set, brought.refused), (1, 20));
    // Nothing is tried again now, until somebody wants all of it to be.
    assert_eq!(bring(&store, &bringing(), 1008).unwrap().refused, 0);
    refused.lock().unwrap().clear();
    assert_eq!(bring(&store, &bringing(), 1009).unwrap().set, 0);
    let again = bring_again(&store, &bringing(), 1010).unwrap();
    assert_eq!((again.set, again.refused), (20, 0));
}

/// A hook that fails whatever it is asked is found out at once.
#[test]
fn who_fails_at_everything_is_asked_twice() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let repo = repo().hooked(Arc::new(move |proposal| {
        if *proposal.branch != BranchName::main() {
            return Ok(());
        }
        count.fetch_add(1, Ordering::Relaxed);
        Err(Objection::Failed("it is not there".to_owned()))
    }));
    let store = deltas_of(&repo);
    let said: Vec<_> = (0..100).map(|of| about(&format!("o{of:02}"), 1)).collect();
    store.append(&said, 1000).unwrap();
    let fault = bring(&store, &bringing(), 1000).unwrap_err();
    assert!(fault.to_string().contains("it is not there"), "{fault}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// A refused delta makes one commit, which says that it was looked at.
#[test]
fn what_is_refused_alone_is_written_once() {
    let refused = Arc::new(Mutex::new(BTreeSet::from(["bad".to_owned()])));
    let (repo, _) = refusing(&refused);
    let store = deltas_of(&repo);
    for at in 1..4u64 {
        store.append(&[about("bad", at)], 1000 + at).unwrap();
        let brought = bring(&store, &bringing(), 1000 + at).unwrap();
        assert_eq!((brought.set, brought.refused), (0, 1));
        assert_eq!(commits(&repo) as u64, at);
        assert_eq!(
            bring(&store, &bringing(), 1000 + at).unwrap(),
            Brought::default()
        );
        assert_eq!(commits(&repo) as u64, at);
    }
}

/// Keys with values that join are known before a commit is tried, however many they are.
#[test]
fn keys_with_values_that_join_cost_no_commits() {
    let (repo, asked) = refusing(&Arc::default());
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let pattern: Pattern = "net/c*".parse().unwrap();
    repo.define_kind(&pattern, Kind::PnCounter, author, 500)
        .unwrap();
    let store = deltas_of(&repo);
    let mut said: Vec<_> = (0..900).map(|of| about(&format!("c{of}"), 1)).collect();
    said.push(about("o", 1));
    store.append(&said, 1000).unwrap();
    let brought = bring(&store, &bringing(), 1000).unwrap();
    assert_eq!((brought.set, brought.refused), (1, 900));
    assert_eq!(objects(&repo), ["o".to_owned()].into());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// A replica of a part brings what is in the part, and names the rest.
#[test]
fn keys_outside_of_the_part_that_is_kept_are_named() {
    let genesis = repo().genesis().bytes().clone();
    let part = Part::new(["delta", "net/.", "net/in"], None).unwrap();
    let store = Arc::new(MemoryStore::new());
    let repo = Repo::adopt_part(store, genesis, Some(&part)).unwrap();
    let store = deltas_of(&repo);
    let said: Vec<_> = ["in1", "out", "in2"]
        .iter()
        .map(|object| about(object, 1))
        .collect();
    store.append(&said, 1000).unwrap();
    let brought = bring(&store, &bringing(), 1000).unwrap();
    assert_eq!((brought.set, brought.refused), (2, 1));
    assert_eq!(brought.refusals[0].key, b"net/out");
    assert!(brought.refusals[0].words.contains("part"), "{brought:?}");
    let repo_has = objects(&repo);
    assert_eq!(repo_has, ["in1", "in2"].map(str::to_owned).into());
}
