//! Commits are refused if they break the types of the space.

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_repo::{BranchName, Content, Edit, Repo, RepoError};
use allod_views::{Received, TypeDefinition, Views, define_type};
use bytes::Bytes;

use crate::world::{START, World, index, main, name, projected, typed};

fn guarded(repo: &Repo) -> Repo {
    let views = Views::open(repo).unwrap();
    repo.clone().hooked(Arc::new(move |proposal| {
        let broken = views.judge(proposal).map_err(|error| error.to_string())?;
        match broken.count {
            0 => Ok(()),
            _ => Err(broken.to_string().into()),
        }
    }))
}

fn users() -> TypeDefinition {
    let mut definition = typed(&["id:string!", "mail:string", "tags:string[]"]);
    definition.fields[1].unique = true;
    definition
}

fn commit(world: &mut World, repo: &Repo, edits: &[(&str, &str)]) -> Result<(), String> {
    let edits = edits.iter().map(|(key, value)| {
        let edit = match *value {
            "" => Edit::Delete,
            value => Edit::Put(Bytes::copy_from_slice(value.as_bytes())),
        };
        (Bytes::copy_from_slice(key.as_bytes()), edit)
    });
    let (author, now) = world.by();
    repo.unstage(&main()).unwrap();
    repo.stage(&main(), edits, now).unwrap();
    match repo.commit_staged(&main(), author, "test", now) {
        Ok(_) => Ok(()),
        Err(RepoError::Hook(words)) => Err(words),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_breaks_a_type_is_not_committed() {
    let mut world = World::new();
    world.define("user", users());
    let repo = guarded(&world.repo);
    commit(
        &mut world,
        &repo,
        &[("user:1", r#"{"id":"1"}"#), ("note", "no record")],
    )
    .unwrap();
    let words = commit(
        &mut world,
        &repo,
        &[("user:2", r#"{"id":2}"#), ("user:3", "x")],
    )
    .unwrap_err();
    assert!(
        words.contains("user:2, field \"id\": expected string, found 2"),
        "{words}"
    );
    assert!(words.contains("user:3: no object"), "{words}");
    assert!(
        repo.state(&main())
            .unwrap()
            .get(b"user:2")
            .unwrap()
            .is_none()
    );
    let many: Vec<(String, String)> = (0..30)
        .map(|n| (format!("user:x{n}"), "{}".to_owned()))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let words = commit(&mut world, &repo, &many).unwrap_err();
    assert!(words.contains("and 10 records more"), "{words}");
}

#[test]
fn unique_values_are() {
    let mut world = World::new();
    world.define("user", users());
    let repo = guarded(&world.repo);
    let user = |id: &str, mail: &str| format!(r#"{{"id":"{id}","mail":{mail}}}"#);
    let (a, b) = (user("1", "\"a@x\""), user("2", "\"b@x\""));
    commit(
        &mut world,
        &repo,
        &[("user:1", &a), ("user:2", &b), ("user:0", r#"{"id":"0"}"#)],
    )
    .unwrap();
    let words = commit(&mut world, &repo, &[("user:3", &user("3", "\"a@x\""))]).unwrap_err();
    assert!(
        words.contains("user:3, field \"mail\": unique, and user:1"),
        "{words}"
    );
    let both = commit(
        &mut world,
        &repo,
        &[
            ("user:4", &user("4", "\"c\"")),
            ("user:5", &user("5", "\"c\"")),
        ],
    );
    assert!(both.unwrap_err().contains("unique"));
    // Null is not, the same record is no other, and two may exchange theirs.
    commit(
        &mut world,
        &repo,
        &[("user:6", &user("6", "null")), ("user:1", &a)],
    )
    .unwrap();
    commit(
        &mut world,
        &repo,
        &[
            ("user:1", &user("1", "\"b@x\"")),
            ("user:2", &user("2", "\"a@x\"")),
        ],
    )
    .unwrap();
    commit(
        &mut world,
        &repo,
        &[("user:1", ""), ("user:7", &user("7", "\"b@x\""))],
    )
    .unwrap();
}

/// What arrives is judged by the definition in force when it was made, and only where that says so.
#[test]
fn what_arrives_is_flagged_left_out_or_refused() {
    for (received, is_accepted, is_indexed) in [
        (Received::Flag, true, true),
        (Received::Quarantine, true, false),
        (Received::Refuse, false, false),
    ] {
        let mut world = World::new();
        let mut definition = users();
        definition.received = received;
        world.define("user", definition);
        world.create("by_id", index("user:*", None, &["id"], &[]));
        let here = world.repo.clone();
        let there =
            Repo::adopt(Arc::new(MemoryStore::new()), here.genesis().bytes().clone()).unwrap();
        let there = guarded(&there);
        // Elsewhere nobody judged it.
        world.commit(&main(), &[("user:1", Some(r#"{"id":7}"#))]);
        hand_over(&here, &there, &BranchName::meta()).unwrap();
        let accepted = hand_over(&here, &there, &main());
        assert_eq!(accepted.is_ok(), is_accepted, "{accepted:?}");
        let views = Views::open(&there).unwrap();
        let rows = projected(&views.branch(&main()).unwrap(), "by_id");
        let count = rows
            .rows(&[], &allod_views::Page::default())
            .unwrap()
            .count();
        assert_eq!(count, usize::from(is_indexed), "{received:?}");
        // Whoever relaxes the definition later does not change how the commit is judged.
        let mut relaxed = users();
        relaxed.received = Received::Flag;
        define_type(&here, &name("user"), relaxed, false, world.by()).unwrap();
        hand_over(&here, &there, &BranchName::meta()).unwrap();
        assert_eq!(hand_over(&here, &there, &main()).is_ok(), is_accepted);
    }
}

/// A commit is judged by what it changes, whatever else the receiver has by then.
#[test]
fn who_receives_judges_as_everybody_does() {
    let mut world = World::new();
    let here = world.repo.clone();
    // Broken under the definition that comes later.
    world.commit(
        &main(),
        &[
            ("user:1", Some(r#"{"id":7}"#)),
            ("user:2", Some(r#"{"id":"2"}"#)),
        ],
    );
    let mut definition = users();
    definition.received = Received::Refuse;
    world.define("user", definition);
    let there = Repo::adopt(Arc::new(MemoryStore::new()), here.genesis().bytes().clone()).unwrap();
    let there = guarded(&there);
    hand_over(&here, &there, &BranchName::meta()).unwrap();
    hand_over(&here, &there, &main()).unwrap();
    // Mended there, while here something else happens: that does not bring the fault back.
    commit(&mut world, &there, &[("user:1", r#"{"id":"1"}"#)]).unwrap();
    world.commit(&main(), &[("note", Some("x"))]);
    hand_over(&here, &there, &main()).unwrap();
    let state = there.state(&main()).unwrap();
    assert!(state.get(b"note").unwrap().is_some());
    assert_eq!(
        state.get(b"user:1").unwrap(),
        Some(Content::Bytes(Bytes::from_static(br#"{"id":"1"}"#)))
    );
    // What a commit itself breaks is refused.
    world.commit(&main(), &[("user:2", Some(r#"{"id":2}"#))]);
    hand_over(&here, &there, &main()).unwrap_err();
}

/// Lets another replica accept the commits of a branch.
fn hand_over(from: &Repo, to: &Repo, branch: &BranchName) -> Result<(), String> {
    let mut open: Vec<_> = from.heads(branch).unwrap().into_iter().collect();
    let mut order = Vec::new();
    while let Some(id) = open.pop() {
        if !to.has_commit(id).unwrap() {
            order.push(id);
            open.extend(from.commit(id).unwrap().payload().parents.iter().copied());
        }
    }
    for id in order.into_iter().rev() {
        let commit = from.commit(id).unwrap();
        let log = from.agents().key_log(&commit.payload().author).unwrap();
        let events: Vec<Bytes> = log
            .events()
            .iter()
            .map(|event| event.bytes().clone())
            .collect();
        to.agents()
            .learn(&commit.payload().author, &events)
            .unwrap();
        let changes = from.changes_of(&commit, 1 << 20).unwrap().unwrap();
        let reviewed = to
            .review(commit.bytes().clone(), START + 1000)
            .map_err(|error| error.to_string())?;
        let complete = to
            .with_changes(reviewed, &changes)
            .map_err(|error| error.to_string())?;
        to.accept(complete, branch)
            .map_err(|error| error.to_string())?;
    }
    to.join_branch(branch, &from.heads(branch).unwrap())
        .map_err(|error| error.to_string())?;
    Ok(())
}
