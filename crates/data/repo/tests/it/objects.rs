//! OBJ-1 to OBJ-6: objects over keys.

use std::collections::BTreeMap;

use allod_repo::{
    ATTRIBUTES_MAX, Content, Edit, Object, ObjectError, Ref, Repo, RepoError, Transaction,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::world::{Person, START, get, main, put, replica, send, space};

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct Writer {
    name: String,
    born: Option<u32>,
    friends: Vec<Ref<Writer>>,
}

impl Object for Writer {
    const KIND: &'static str = "writer";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Book {
    title: String,
    by: Ref<Writer>,
    scores: BTreeMap<String, u64>,
    #[serde(with = "serde_bytes")]
    cover: Vec<u8>,
}

impl Object for Book {
    const KIND: &'static str = "book";
}

#[derive(Serialize, Deserialize)]
struct Number(f64);

impl Object for Number {
    const KIND: &'static str = "number";
}

#[derive(Serialize, Deserialize)]
struct Named(BTreeMap<String, f64>);

impl Object for Named {
    const KIND: &'static str = "named";
}

fn writer(name: &str) -> Writer {
    Writer {
        name: name.to_owned(),
        born: None,
        friends: Vec::new(),
    }
}

fn at<T: Object>(id: &str) -> Ref<T> {
    Ref::new(id).unwrap()
}

fn within<R>(repo: &Repo, who: &Person, now: u64, work: impl FnOnce(&mut Transaction) -> R) -> R {
    let mut transaction = repo.begin(&main()).unwrap();
    let result = work(&mut transaction);
    transaction.commit(who.author(), "objects", now).unwrap();
    result
}

#[test]
fn a_graph_is_stored_and_walked_without_keys() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let (mary, percy) = (at::<Writer>("mary"), at::<Writer>("percy"));
    let book = Book {
        title: "Frankenstein".into(),
        by: mary.clone(),
        scores: [("plot".to_owned(), 9)].into(),
        cover: vec![7; 5000],
    };
    within(&repo, &ada, START, |transaction| {
        let mut both = writer("Mary");
        both.friends.push(percy.clone());
        assert_eq!(transaction.save(&mary, &both).unwrap(), 3);
        transaction.save(&percy, &writer("Percy")).unwrap();
        transaction.save(&at("1818"), &book).unwrap();
        assert_eq!(transaction.object(&mary).unwrap(), Some(both));
    });
    let view = repo.state(&main()).unwrap();
    let found: Book = view.object(&at("1818")).unwrap().unwrap();
    assert_eq!(found, book);
    let author = view.object(&found.by).unwrap().unwrap();
    let friend = view.object(&author.friends[0]).unwrap().unwrap();
    assert_eq!(friend.name, "Percy");
    let writers: Vec<Ref<Writer>> = view.objects().map(Result::unwrap).collect();
    assert_eq!(writers, [mary, percy]);
    assert_eq!(view.object::<Writer>(&at("nobody")).unwrap(), None);
}

#[test]
fn only_what_changed_is_written() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let mary = at::<Writer>("mary");
    within(&repo, &ada, START, |transaction| {
        transaction.save(&mary, &writer("Mary")).unwrap()
    });
    let before = repo.state(&main()).unwrap();
    let changed = Writer {
        born: Some(1797),
        ..writer("Mary")
    };
    let count = within(&repo, &ada, START + 1, |transaction| {
        transaction.save(&mary, &changed).unwrap()
    });
    assert_eq!(count, 1);
    let after = repo.state(&main()).unwrap();
    let keys: Vec<Bytes> = before
        .tree()
        .diff(after.tree())
        .map(|change| change.unwrap().key)
        .collect();
    assert_eq!(keys, ["writer/mary/born"]);
    let mut again = repo.begin(&main()).unwrap();
    assert_eq!(again.save(&mary, &changed).unwrap(), 0);
    assert!(matches!(
        again.commit(ada.author(), "nothing", START + 2),
        Err(RepoError::NothingStaged)
    ));
}

#[test]
fn edits_of_different_attributes_both_survive_and_removal_wins() {
    let ada = Person::new(1);
    let here = space(&ada);
    let (mary, percy) = (at::<Writer>("mary"), at::<Writer>("percy"));
    within(&here, &ada, START, |transaction| {
        transaction.save(&mary, &writer("Mary")).unwrap();
        transaction.save(&percy, &writer("Percy")).unwrap();
    });
    let there = replica(&here);
    send(&here, &there, &main(), START).unwrap();
    within(&here, &ada, START + 1, |transaction| {
        let mut changed = writer("Mary");
        changed.name = "Mary Shelley".into();
        transaction.save(&mary, &changed).unwrap();
        assert!(transaction.remove(&percy).unwrap());
        assert!(!transaction.remove(&at::<Writer>("nobody")).unwrap());
    });
    within(&there, &ada, START + 2, |transaction| {
        let mut changed = writer("Mary");
        changed.born = Some(1797);
        transaction.save(&mary, &changed).unwrap();
        let mut changed = writer("Percy");
        changed.born = Some(1792);
        transaction.save(&percy, &changed).unwrap();
    });
    send(&there, &here, &main(), START + 3).unwrap();
    send(&here, &there, &main(), START + 3).unwrap();
    for repo in [&here, &there] {
        let view = repo.state(&main()).unwrap();
        let found = view.object(&mary).unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), found.born),
            ("Mary Shelley", Some(1797))
        );
        assert_eq!(view.object(&percy).unwrap(), None, "OBJ-1");
        assert_eq!(view.objects::<Writer>().count(), 1);
    }
    // What is left of a removed object does not come back with a new one.
    assert!(get(&here, "writer/percy/born").is_some());
    within(&here, &ada, START + 4, |transaction| {
        transaction.save(&percy, &writer("Percy")).unwrap()
    });
    let anew = here.state(&main()).unwrap().object(&percy).unwrap();
    assert_eq!(anew, Some(writer("Percy")));
}

#[test]
fn what_is_no_object_is_refused_and_named() {
    let ada = Person::new(1);
    let repo = space(&ada);
    for id in ["", "a/b", "a\nb", &"x".repeat(256)] {
        assert!(
            matches!(Ref::<Writer>::new(id), Err(ObjectError::Name { .. })),
            "{id:?}"
        );
    }
    let mut transaction = repo.begin(&main()).unwrap();
    let refused = |outcome: Result<usize, ObjectError>| outcome.unwrap_err().to_string();
    let plain = refused(transaction.save(&at("n"), &Number(1.0)));
    assert!(plain.contains("no attributes"), "{plain}");
    for (name, value) in [("", 1.0), ("x", f64::NAN)] {
        let named = Named([(name.to_owned(), value)].into());
        refused(transaction.save(&at("n"), &named));
    }
    let many = (0..=ATTRIBUTES_MAX).map(|n| (n.to_string(), 1.0)).collect();
    let many = refused(transaction.save(&at("n"), &Named(many)));
    assert!(many.contains("named/n") && many.contains("4096"), "{many}");
    drop(transaction);

    let mary = at::<Writer>("mary");
    let mut now = START;
    let mut faulty = |key: &'static str, value: &'static [u8]| {
        now += 1;
        let mut transaction = repo.begin(&main()).unwrap();
        transaction.save(&mary, &writer("Mary")).unwrap();
        transaction.put(key, value).unwrap();
        transaction.commit(ada.author(), "broken", now).unwrap();
        let view = repo.state(&main()).unwrap();
        match view.object(&mary) {
            Err(ObjectError::Attribute { key, fault }) => format!("{key}: {fault}"),
            other => panic!("{other:?}"),
        }
    };
    // Not DAG-CBOR, not the canonical one, not the type, and a reference of another kind.
    assert!(faulty("writer/mary/name", b"\xff").starts_with("writer/mary/name: "));
    assert!(faulty("writer/mary/name", b"\x18\x01").starts_with("writer/mary/name: "));
    assert!(faulty("writer/mary/name", b"\x01").starts_with("writer/mary/: "));
    assert!(faulty("writer/mary/friends", b"\x81\x66book/1").contains("refers to no writer"));
    put(&repo, &ada, &[("writer/mary/name", None)], now + 1);
    let view = repo.state(&main()).unwrap();
    assert!(
        matches!(view.object(&mary), Err(ObjectError::Attribute { key, .. }) if key == "writer/mary/")
    );
}

#[test]
fn keys_of_others_are_passed_over() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let others = [
        "writer",
        "writer/",
        "writer/a",
        "writer/ab",
        "writer/ghost/name",
        "writers/x/",
    ];
    let edits = others.map(|key| (Bytes::from(key), Edit::Put("x".into())));
    repo.stage(&main(), edits, START).unwrap();
    repo.commit_staged(&main(), ada.author(), "others", START)
        .unwrap();
    within(&repo, &ada, START + 1, |transaction| {
        for id in ["aa", "ab", "b"] {
            transaction.save(&at::<Writer>(id), &writer(id)).unwrap();
        }
    });
    let view = repo.state(&main()).unwrap();
    let found: Vec<String> = view
        .objects::<Writer>()
        .map(|found| found.unwrap().id().to_owned())
        .collect();
    assert_eq!(found, ["aa", "ab", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a map of whole objects.
    #[test]
    fn objects_agree_with_a_map(
        steps in prop::collection::vec((0..4u8, prop::option::of(("[a-c]{0,3}", prop::option::of(0..9u32)))), 1..20)
    ) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let mut model = BTreeMap::new();
        for (now, (id, value)) in steps.into_iter().enumerate() {
            let writer = value.map(|(name, born)| Writer {
                friends: vec![at(&name.chars().next().unwrap_or('z').to_string())],
                name,
                born,
            });
            let id = format!("w{id}");
            let mut transaction = repo.begin(&main()).unwrap();
            match &writer {
                Some(writer) => {
                    transaction.save(&at(&id), writer).unwrap();
                    model.insert(id, writer.clone());
                }
                None => {
                    let was = transaction.remove(&at::<Writer>(&id)).unwrap();
                    prop_assert_eq!(was, model.remove(&id).is_some());
                }
            }
            match transaction.commit(ada.author(), "step", START + now as u64) {
                Ok(_) | Err(RepoError::NothingStaged) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let view = repo.state(&main()).unwrap();
        let mut found = BTreeMap::new();
        for reference in view.objects::<Writer>() {
            let reference = reference.unwrap();
            found.insert(reference.id().to_owned(), view.object(&reference).unwrap().unwrap());
        }
        prop_assert_eq!(&found, &model);
        // A mark and the attributes that are not none, which have no key of their own kind.
        let keys = model.len() * 4;
        prop_assert_eq!(all_keys(&repo), keys);
    }
}

fn all_keys(repo: &Repo) -> usize {
    let view = repo.state(&main()).unwrap();
    view.range(&allod_repo::Span::all(), false).count()
}

#[test]
fn values_of_every_size_are_attributes() {
    let ada = Person::new(1);
    let repo = space(&ada);
    for len in [0, 1000, 1100, 500_000] {
        let book = Book {
            title: "t".repeat(len),
            by: at("x"),
            scores: BTreeMap::new(),
            cover: vec![1; len],
        };
        within(&repo, &ada, START + len as u64, |transaction| {
            transaction.save(&at("b"), &book).unwrap()
        });
        let view = repo.state(&main()).unwrap();
        assert_eq!(view.object(&at("b")).unwrap(), Some(book));
    }
    let huge = Book {
        title: String::new(),
        by: at("x"),
        scores: BTreeMap::new(),
        cover: vec![1; 2_000_000],
    };
    let mut transaction = repo.begin(&main()).unwrap();
    assert!(matches!(
        transaction.save(&at("b"), &huge),
        Err(ObjectError::Repo(RepoError::TooLong { .. }))
    ));
    assert!(matches!(
        transaction.get(b"book/b/title"),
        Ok(Some(Content::Bytes(_)))
    ));
}
