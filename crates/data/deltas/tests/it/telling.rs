//! Entries told as deltas, and deltas brought in as entries (DELTA-50 to DELTA-58).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_deltas::{
    Bringing, Delta, DeltaFilter, DeltaStore, HyperSchema, HyperView, Looking, MayNegate,
    MemoryDeltas, Number, Pointer, Resolving, Schemas, SpaceDeltas, Target, ViewSchema, bring,
    bring_while, object_of, scan_visible, tell, tell_while,
};
use allod_repo::{Author, BranchName, Content, Edit, Genesis, Repo, Span, State};
use bytes::Bytes;
use proptest::prelude::*;

use crate::spaces::Pair;
use crate::world::{genesis, owner};

/// One step of two replicas of a space.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, u8, u8),
    Delete(usize, u8),
    Exchange,
    Tell(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..2usize, 0..4u8, 0..6u8).prop_map(|(at, key, value)| Step::Put(at, key, value)),
        2 => (0..2usize, 0..4u8).prop_map(|(at, key)| Step::Delete(at, key)),
        2 => Just(Step::Exchange),
        1 => (0..2usize).prop_map(Step::Tell),
    ]
}

fn deltas_branch() -> BranchName {
    "deltas".parse().unwrap()
}

fn deltas_of(repo: &Repo) -> SpaceDeltas {
    let key = owner();
    SpaceDeltas::new(repo.clone(), deltas_branch(), key.agent_id(), key)
}

fn edit(repo: &Repo, key: u8, edit: Edit, now_ms: u64) {
    let (branch, owner) = (BranchName::main(), owner());
    let author = Author {
        agent: owner.agent_id(),
        key: &owner,
    };
    // A key with what is escaped in a name, and one that begins as what is brought.
    let key = Bytes::from(format!(
        "{}k {key}/\u{e9}",
        if key == 3 { "net/" } else { "" }
    ));
    repo.stage(&branch, [(key, edit)], now_ms).unwrap();
    if !repo.staged(&branch).unwrap().is_empty() {
        repo.commit_staged(&branch, author, "a change", now_ms)
            .unwrap();
    }
}

/// Values of all kinds: texts, bytes that are none, and one that stands in a block of its own.
fn value(of: u8) -> Bytes {
    match of {
        0 => Bytes::from_static(b"\xff\x00\x80"),
        1 => Bytes::from(vec![b'x'; 3000]),
        2 => Bytes::new(),
        text => Bytes::from(format!("\"{text}\"\u{0}")),
    }
}

fn run(steps: &[Step]) -> Pair {
    let pair = Pair::new();
    // Deltas are brought to `net/`, which both know before they write there.
    let said = title("t0", 1, "Nothing");
    deltas_of(&pair.repos[0]).append(&[said], 900).unwrap();
    bring(&deltas_of(&pair.repos[0]), &bringing("net/"), 900).unwrap();
    pair.exchange();
    for (now_ms, step) in (1000..).zip(steps) {
        match *step {
            // Several within a millisecond, so that counters matter.
            Step::Put(at, key, of) => {
                edit(&pair.repos[at], key, Edit::Put(value(of)), now_ms / 4 * 4);
            }
            Step::Delete(at, key) => edit(&pair.repos[at], key, Edit::Delete, now_ms / 4 * 4),
            Step::Exchange => pair.exchange(),
            Step::Tell(at) => told(&pair.repos[at]),
        }
    }
    pair
}

fn told(repo: &Repo) {
    tell(&deltas_of(repo), &BranchName::main(), 5000).unwrap();
}

fn all(store: &dyn DeltaStore) -> Vec<Arc<Delta>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .scan(&DeltaFilter::all(), after.as_ref(), 1000)
            .unwrap();
        all.extend(page.deltas);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// What a branch has: values, and deleted keys.
fn state(repo: &Repo, branch: &BranchName) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let view = repo.state(branch).unwrap();
    let items = view.range(&Span::all(), false).map(Result::unwrap);
    let read = items.map(|(key, entry)| match view.content(&entry).unwrap() {
        Some(Content::Bytes(bytes)) => (key.to_vec(), bytes.to_vec()),
        other => panic!("{other:?}"),
    });
    read.collect()
}

/// What a delta says of the key that it tells of.
fn said(delta: &Delta) -> Option<Vec<u8>> {
    let (role, target) = (delta.pointers()[1].role(), delta.pointers()[1].target());
    match (role, target) {
        ("value", Target::Text(text)) => Some(text.clone().into_bytes()),
        ("hex", Target::Text(text)) => {
            let digits = text.as_bytes().chunks(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            Some(digits.map(byte).collect())
        }
        ("deleted", Target::Bool(true)) => None,
        other => panic!("{other:?}"),
    }
}

fn shuffled(deltas: &[Arc<Delta>], seed: u64) -> Vec<Arc<Delta>> {
    let mut order: Vec<(u64, Arc<Delta>)> = Vec::new();
    let mut state = seed;
    for delta in deltas.iter().chain(deltas.iter().step_by(3)) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        order.push((state >> 20, Arc::clone(delta)));
    }
    order.sort_by_key(|(place, _)| *place);
    order.into_iter().map(|(_, delta)| delta).collect()
}

proptest! {
    /// Of each key exactly one told entry is visible, and says what the branch has, in whatever order and by
    /// whomever the deltas were made; and another space gets the same entries.
    #[test]
    fn what_is_told_of_a_history_is_its_state(
        steps in proptest::collection::vec(step(), 1..24),
        seed: u64,
    ) {
        let pair = run(&steps);
        pair.exchange();
        pair.repos.iter().for_each(told);
        let main = BranchName::main();
        let repo = &pair.repos[0];
        let mut expected = state(repo, &main);
        expected.retain(|key, _| !key.starts_with(b"net/"));
        let both: Vec<_> = pair.repos.iter().flat_map(|repo| all(&deltas_of(repo))).collect();
        let net = MemoryDeltas::new();
        for delta in shuffled(&both, seed) {
            net.append(&[delta], 0).unwrap();
        }
        let filter = DeltaFilter {
            target_contexts: Some(["entry".to_owned()].into()),
            ..DeltaFilter::default()
        };
        let visible = scan_visible(&net, &filter, (None, &MayNegate::SameAuthor), None, 1000);
        let mut found: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for delta in visible.unwrap().deltas {
            let object = delta.pointers()[0].reference().unwrap().id().to_owned();
            prop_assert_eq!(found.insert(object, said(&delta)), None, "two for one key");
        }
        found.retain(|_, value| value.is_some());
        let wanted = expected.iter().map(|(key, value)| {
            (object_of(repo.id(), &main, key).unwrap(), Some(value.clone()))
        });
        prop_assert_eq!(&found, &wanted.collect());

        // Into another space, some at a time.
        let other = other_space();
        let store = deltas_of(&other);
        let bringing = bringing("net/");
        for chunk in shuffled(&both, seed ^ 7).chunks(5) {
            store.append(chunk, 6000).unwrap();
            bring(&store, &bringing, 6000).unwrap();
        }
        prop_assert_eq!(bring(&store, &bringing, 6001).unwrap().set, 0);
        let prefix = format!("net/allod://{}/main/", repo.id()).into_bytes();
        let mut got = state(&other, &main);
        got.remove(&b"net/.brought"[..]);
        got.remove(&b"net/post-1"[..]);
        let stripped = got.into_iter().map(|(key, value)| {
            (key.strip_prefix(&prefix[..]).expect("a told key").to_vec(), value)
        });
        prop_assert_eq!(stripped.collect::<BTreeMap<_, _>>(), expected);
    }

    /// Who tells a history at once makes the deltas that those made who told it as it came.
    #[test]
    fn who_tells_makes_no_difference(steps in proptest::collection::vec(step(), 1..24)) {
        let pair = run(&steps);
        pair.exchange();
        pair.repos.iter().for_each(told);
        let named = |repo: &Repo| -> BTreeSet<String> {
            let deltas = all(&deltas_of(repo)).into_iter();
            let own = deltas.filter(|delta| {
                delta.id() != "t0" && delta.negates().next().is_none()
            });
            own.map(|delta| delta.id().to_owned()).collect()
        };
        prop_assert_eq!(named(&pair.repos[0]), named(&pair.repos[1]));
        let before = all(&deltas_of(&pair.repos[0])).len();
        let again = tell(&deltas_of(&pair.repos[0]), &BranchName::main(), 9000);
        prop_assert_eq!(again.unwrap().commits, 0);
        prop_assert_eq!(all(&deltas_of(&pair.repos[0])).len(), before);
    }
}

fn other_space() -> Repo {
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let other = Genesis {
        nonce: [2; 16],
        ..genesis(&key)
    };
    Repo::create(Arc::new(MemoryStore::new()), other, author).unwrap()
}

fn bringing(prefix: &str) -> Bringing {
    Bringing {
        branch: BranchName::main(),
        prefix: prefix.to_owned(),
        schema: None,
        view: None,
    }
}

fn delta(id: &str, at: u64, pointers: Vec<Pointer>) -> Arc<Delta> {
    Arc::new(Delta::new(id, Number::of(at), "alice", "laptop", pointers).unwrap())
}

fn title(id: &str, at: u64, text: &str) -> Arc<Delta> {
    let about = Pointer::under("post", "post-1", "title").unwrap();
    delta(id, at, vec![about, Pointer::text("text", text).unwrap()])
}

/// The record of an object follows what is said of it, taken back, and said again.
#[test]
fn objects_become_records_and_follow_what_is_said() {
    let repo = other_space();
    let store = deltas_of(&repo);
    let main = BranchName::main();
    let bringing = bringing("net/");
    let record = || {
        bring(&store, &bringing, 2000).unwrap();
        let state = state(&repo, &main);
        let text = state.get(&b"net/post-1"[..]);
        text.map(|text| String::from_utf8(text.clone()).unwrap())
    };
    let say = |delta: Arc<Delta>| store.append(&[delta], 2000).unwrap();
    let negate = |id: &str, at, of: &str| delta(id, at, vec![Pointer::negates(of).unwrap()]);
    say(title("t1", 1, "Draft"));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Draft"}"#));
    say(title("t2", 2, "Done"));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Done"}"#));
    say(negate("n2", 3, "t2"));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Draft"}"#));
    // A negation of the negation reaches the object through both.
    say(negate("n3", 4, "n2"));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Done"}"#));
    say(negate("n4", 5, "n3"));
    say(negate("n1", 6, "t1"));
    assert_eq!(record(), None);
    // What was redacted is gone as well, and a delta that somebody refers to is no object.
    say(negate("n5", 7, "n1"));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Draft"}"#));
    let comment = Pointer::under("on", "t1", "comments").unwrap();
    say(delta(
        "c1",
        8,
        vec![comment, Pointer::text("text", "Why?").unwrap()],
    ));
    assert_eq!(record().as_deref(), Some(r#"{"title":"Draft"}"#));
    assert!(!state(&repo, &main).contains_key(&b"net/t1"[..]));
    store.redact("t1", 2001).unwrap();
    assert_eq!(record(), None);
    let keys: Vec<Vec<u8>> = state(&repo, &main).into_keys().collect();
    assert_eq!(
        keys,
        [b"net/.brought".to_vec(), b"net/t1".to_vec()].to_vec()
    );
    // Nothing new writes nothing.
    let heads = repo.heads(&main).unwrap();
    record();
    assert_eq!(repo.heads(&main).unwrap(), heads);
}

/// A schema of one's own decides what records have; another one makes all of them again.
#[test]
fn another_schema_brings_everything_again() {
    let repo = other_space();
    let store = deltas_of(&repo);
    store
        .append(&[title("t1", 1, "a"), title("t2", 2, "b")], 2000)
        .unwrap();
    let mut bringing = bringing("net/");
    assert_eq!(bring(&store, &bringing, 2000).unwrap().set, 1);
    bringing.view =
        Some(ViewSchema::decode(r#"{"titles":{"source":"title","resolve":"allValues"}}"#).unwrap());
    assert_eq!(bring(&store, &bringing, 2000).unwrap().set, 1);
    let text = state(&repo, &BranchName::main())[&b"net/post-1"[..]].clone();
    assert_eq!(text, br#"{"titles":["a","b"]}"#);
    // Schemas with others in them are refused: records have no parts that change by themselves.
    bringing.schema =
        Some(HyperSchema::new("s", "S").with(allod_deltas::On::Role("post".into()), "elsewhere"));
    assert!(bring(&store, &bringing, 2000).is_err());
}

/// Nobody speaks for a space by its name alone, and what a space told itself is not brought back into it.
#[test]
fn only_a_space_tells_of_its_keys() {
    let (repo, other) = (other_space(), Pair::new().repos[0].clone());
    let main = BranchName::main();
    let store = deltas_of(&repo);
    let forged = |space: &Repo, author: String| {
        let object = object_of(space.id(), &main, b"k").unwrap();
        let pointers = vec![
            Pointer::under("entry", object, "entry").unwrap(),
            Pointer::text("value", "x").unwrap(),
            Pointer::text("stamp", "7.0").unwrap(),
        ];
        let delta = Delta::content_addressed(Number::of(7), author, "allod", pointers);
        Arc::new(delta.unwrap())
    };
    let own = format!("allod://{}", repo.id());
    let theirs = format!("allod://{}", other.id());
    store
        .append(
            &[
                forged(&other, own.clone()),
                forged(&other, "alice".into()),
                forged(&repo, own),
            ],
            2000,
        )
        .unwrap();
    assert_eq!(bring(&store, &bringing("net/"), 2000).unwrap().set, 0);
    store.append(&[forged(&other, theirs)], 2000).unwrap();
    assert_eq!(bring(&store, &bringing("net/"), 2000).unwrap().set, 1);
}

/// A key or a value that does not fit is left out, or named; the rest is told.
#[test]
fn what_does_not_fit_is_not_told() {
    let repo = other_space();
    let (main, owner) = (BranchName::main(), owner());
    let author = Author {
        agent: owner.agent_id(),
        key: &owner,
    };
    let large = Bytes::from(vec![b'x'; 400_000]);
    let edits = [
        (
            Bytes::from(vec![b'k'; 500]),
            Edit::Put(Bytes::from_static(b"v")),
        ),
        (Bytes::from_static(b"large"), Edit::Put(large)),
        (
            Bytes::from_static(b"small"),
            Edit::Put(Bytes::from_static(b"v")),
        ),
    ];
    repo.stage(&main, edits, 1000).unwrap();
    repo.commit_staged(&main, author, "all", 1000).unwrap();
    let store = deltas_of(&repo);
    let told = tell(&store, &main, 1000).unwrap();
    assert_eq!((told.commits, told.deltas, told.left_out), (1, 3, 1));
    let object = object_of(repo.id(), &main, b"large").unwrap();
    let page = store.targeting(&object, Some("entry"), None, 10).unwrap();
    let State::Link(cid) = repo
        .state(&main)
        .unwrap()
        .entry(b"large")
        .unwrap()
        .unwrap()
        .state
    else {
        panic!("a block")
    };
    assert_eq!(page.deltas[0].pointers()[1].role(), "link");
    assert_eq!(
        page.deltas[0].pointers()[1].target(),
        &Target::Text(cid.to_string())
    );
    // The view of the key by a schema that anybody has.
    let schemas = Schemas::new([HyperSchema::new("entry", "Entry")]).unwrap();
    let object = object_of(repo.id(), &main, b"small").unwrap();
    let view = HyperView::of(&store, &schemas, "entry", &object, &Looking::default()).unwrap();
    let mut value = Resolving::most_recent("entry");
    value.role = Some("value".to_owned());
    let schema = ViewSchema {
        properties: [("value".to_owned(), value)].into(),
    };
    assert_eq!(schema.resolve(&view)["value"].to_json(), "\"v\"");
}

/// What is brought goes into several commits; one that ends early keeps what it wrote, and the next goes on.
#[test]
fn much_is_brought_in_pieces_and_goes_on() {
    let repo = other_space();
    let (store, main) = (deltas_of(&repo), BranchName::main());
    let said: Vec<_> = (0..2500)
        .map(|of| {
            let about = Pointer::under("post", format!("post-{of}"), "title").unwrap();
            let text = Pointer::text("text", "x").unwrap();
            delta(&format!("t{of}"), 1, vec![about, text])
        })
        .collect();
    store.append(&said, 2000).unwrap();
    let bringing = bringing("net/");
    let left = std::cell::Cell::new(1700);
    let go_on = || {
        left.set(left.get() - 1);
        left.get() > 0
    };
    let first = bring_while(&store, &bringing, 2000, &go_on).unwrap();
    assert!((1000..1700).contains(&first.set), "{first:?}");
    // Whoever tells the branch sees that it was brought, and what is known is that not all was.
    let position = state(&repo, &main)[&b"net/.brought"[..]].clone();
    assert_eq!(position.last(), Some(&b'\n'));
    assert_eq!(tell(&store, &main, 2000).unwrap().deltas, 0);
    let second = bring(&store, &bringing, 2000).unwrap();
    assert_eq!(first.set + second.set, 2500);
    assert_eq!(state(&repo, &main).len(), 2501);
    let heads = repo.heads(&main).unwrap();
    assert!(repo.missing(&heads, &BTreeSet::new()).unwrap().len() >= 3);
    assert_eq!(bring(&store, &bringing, 2001).unwrap().deltas, 0);
}

/// Telling that ends early keeps how far it came, and the next goes on there.
#[test]
fn telling_stops_between_commits_and_goes_on() {
    let repo = other_space();
    let (store, main) = (deltas_of(&repo), BranchName::main());
    for of in 0..5 {
        edit(&repo, of, Edit::Put(value(1)), 1000 + u64::from(of));
    }
    let left = std::cell::Cell::new(3);
    let go_on = || {
        left.set(left.get() - 1);
        left.get() >= 0
    };
    assert_eq!(tell_while(&store, &main, 2000, &go_on).unwrap().commits, 3);
    assert_eq!(tell(&store, &main, 2000).unwrap().commits, 2);
}

/// Two programs that bring to one prefix by other schemas do not undo each other's work for ever: what goes on by
/// itself is refused, and who says so brings all again.
#[test]
fn other_schemas_are_not_fought() {
    let repo = other_space();
    let store = deltas_of(&repo);
    store.append(&[title("t1", 1, "a")], 2000).unwrap();
    let (mine, mut other) = (bringing("net/"), bringing("net/"));
    let view = r#"{"t":{"source":"title","resolve":{"trustedAuthor":["a","b"]}}}"#;
    other.view = Some(ViewSchema::decode(view).unwrap());
    let on = |bringing: &Bringing| bring_while(&store, bringing, 2000, &|| true);
    assert_eq!(on(&mine).unwrap().set, 1);
    let refused = on(&other).unwrap_err();
    assert_eq!(refused.code(), "E_DELTA_BROUGHT");
    assert!(refused.to_string().contains("net/"));
    bring(&store, &other, 2000).unwrap();
    assert!(on(&mine).is_err());
    // What a view is called does not depend on how it was written.
    let again = r#"{ "t": {"resolve": {"trustedAuthor": ["a", "b"]}, "source": "title"} }"#;
    other.view = Some(ViewSchema::decode(again).unwrap());
    assert_eq!(on(&other).unwrap().set, 0);
    assert_eq!(
        ViewSchema::decode(&other.view.as_ref().unwrap().encode()).as_ref(),
        Ok(other.view.as_ref().unwrap())
    );
}
