//! What is let go of, and what is kept beside projections (PROJ-24, PROJ-25).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use allod_blocks::{Codec, sha256_cid};
use allod_repo::BranchName;
use allod_views::{FieldDefinition, Snapshot, TypeDefinition, Views, define_type};

use crate::world::{World, index, main, name, projected, typed};

fn kept(world: &World, prefix: &[u8]) -> usize {
    let store = world.repo.store();
    store.scan_refs(prefix, None, 1000).unwrap().len()
}

/// The type of users; its e-mail addresses are unique.
fn users() -> TypeDefinition {
    let mut definition = typed(&["role:string", "mail:string"]);
    definition.fields[1].unique = true;
    definition
}

fn world() -> World {
    let mut world = World::new();
    // Before the type, so that it has a state with none in force.
    world.commit(&main(), &[("user:1", Some(r#"{"role":"r","mail":"a"}"#))]);
    world.define("user", users());
    world.create("one", index("user:*", None, &["role"], &[]));
    world.create("other", index("user:*", None, &["role"], &[]));
    // As the index of a unique field is defined.
    world.create("mails", index("user:*", None, &["\"mail\""], &[]));
    world
}

#[test]
fn what_several_have_in_common_goes_with_the_last_of_them() {
    let mut world = world();
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    for called in ["one", "other", "mails"] {
        projected(&snapshot, called);
    }
    let go_on = &mut |_| ControlFlow::Continue(());
    assert_eq!(snapshot.shared_values(None, go_on).unwrap(), []);
    // The two have one tree, and so have the unique field and the index of it.
    assert_eq!(kept(&world, b"view/"), 2);
    views.drop_projection(&name("one"), world.by()).unwrap();
    assert!(
        views
            .branch(&main())
            .unwrap()
            .is_fresh(&name("other"))
            .unwrap()
    );
    views.drop_projection(&name("mails"), world.by()).unwrap();
    assert_eq!(kept(&world, b"view/"), 2);
    views.drop_projection(&name("other"), world.by()).unwrap();
    assert_eq!(kept(&world, b"view/"), 1);
    assert_eq!(views.forget_unused().unwrap(), 0);
}

/// A drop that came from elsewhere, and one of a type, leave trees that the next collection lets go.
#[test]
fn what_nobody_defines_any_more_goes_before_a_collection() {
    let mut world = world();
    let views = Views::open(&world.repo).unwrap();
    let first = *world.repo.heads(&main()).unwrap().first().unwrap();
    projected(&views.branch(&main()).unwrap(), "one");
    // Under no type, as it stood when the commit was made, and under the next.
    projected(&views.commit(first).unwrap(), "one");
    let mut definition = users();
    let extra = "string".parse().unwrap();
    definition.fields.push(FieldDefinition::new("extra", extra));
    let repo = world.repo.clone();
    define_type(&repo, &name("user"), definition, true, world.by()).unwrap();
    projected(&views.branch(&main()).unwrap(), "one");
    assert_eq!(kept(&world, b"view/"), 3);
    assert_eq!(views.forget_unused().unwrap(), 0);
    let gone = [("projection/one", None), ("projection/other", None)];
    world.commit(&BranchName::meta(), &gone);
    assert_eq!(kept(&world, b"view/"), 3);
    assert_eq!(views.forget_unused().unwrap(), 3);
    assert_eq!(kept(&world, b"view/"), 0);
}

fn put(snapshot: &Snapshot, called: [u8; 32], key: &str) -> bool {
    let entry = (key.as_bytes().to_vec(), b"value".to_vec());
    let part = (called, BTreeMap::from([entry]));
    snapshot.put_beside(&[part], &|_| true).unwrap()
}

#[test]
fn what_is_beside_is_told_to_nobody_and_goes_before_a_collection() {
    let mut world = world();
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let column = sha256_cid(Codec::DagCbor, b"as anybody computes it");
    let called: [u8; 32] = column.hash().digest().try_into().unwrap();
    assert!(put(&snapshot, called, "a"));
    let root = snapshot.view().tree().root();
    assert_eq!(views.stored_root(&column, &root), None);
    assert_eq!((kept(&world, b"view/"), kept(&world, b"beside/")), (0, 1));
    let keys = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
        let tree = snapshot.beside(called).unwrap().unwrap();
        tree.iter().map(|entry| entry.unwrap().0.to_vec()).collect()
    };
    // That of the next state begins with it, and takes its place.
    world.commit(&main(), &[("user:2", Some("{}"))]);
    let next = views.branch(&main()).unwrap();
    assert!(put(&next, called, "b"));
    assert_eq!(keys(&next), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(kept(&world, b"beside/"), 1);
    // No branch has the one before.
    assert!(!put(&snapshot, called, "c"));
    // Whoever opens the space next has it.
    let again = Views::open(&world.repo).unwrap();
    assert_eq!(
        keys(&again.branch(&main()).unwrap()),
        [b"a".to_vec(), b"b".to_vec()]
    );
    let nothing = BTreeMap::from([(b"d".to_vec(), Vec::new())]);
    let next = again.branch(&main()).unwrap();
    next.put_beside(&[(called, nothing)], &|_| false).unwrap();
    assert_eq!(keys(&next), [b"d".to_vec()]);
    assert_eq!(again.forget_unused().unwrap(), 1);
    assert_eq!(kept(&world, b"beside/"), 0);
    assert!(next.beside(called).unwrap().is_none());
}
