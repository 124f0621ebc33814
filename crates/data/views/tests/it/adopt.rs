//! Trees that somebody else computed (PROJ-26).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use allod_blocks::Batch;
use allod_tree::Tree;
use allod_views::{Function, OnStale, ProjectionDefinition, Snapshot, ViewError, Views};

use crate::world::{World, group, index, join, main, name, projected, typed, words};

const RECORDS: usize = 300;

fn definitions() -> Vec<(&'static str, ProjectionDefinition)> {
    vec![
        (
            "by_role",
            index("user:*", None, &["role"], &[("age", "age")]),
        ),
        ("adults", index("user:*", Some("age >= 18"), &["age"], &[])),
        ("by_tag", index("user:*", None, &["tags"], &[])),
        (
            "oldest",
            group(
                "user:*",
                &[("role", "role")],
                &[
                    ("m", Function::Max, Some("age")),
                    ("n", Function::Count, None),
                ],
            ),
        ),
        (
            "orders",
            join(
                ("user:*", "id"),
                ("order:*", "user"),
                &[("name", "bio")],
                &[("what", "what")],
                false,
            ),
        ),
        ("bios", words("user:*", &["bio"])),
    ]
}

fn world() -> World {
    let mut world = World::new();
    world.define(
        "user",
        typed(&[
            "id:string",
            "role:string",
            "age:integer",
            "bio:string",
            "tags:string[]",
        ]),
    );
    world.define("order", typed(&["user:string", "what:string"]));
    for (called, definition) in definitions() {
        world.create(called, definition);
    }
    let users: Vec<(String, String)> = (0..RECORDS)
        .map(|n| {
            let record = format!(
                r#"{{"id":"{n}","role":"r{}","age":{},"bio":"word{} of {n}","tags":["a{}","b"]}}"#,
                n % 5,
                n % 90,
                n % 7,
                n % 3
            );
            (format!("user:{n:04}"), record)
        })
        .chain((0..50).map(|n| {
            (
                format!("order:{n}"),
                format!(r#"{{"user":"{n}","what":"thing {n}"}}"#),
            )
        }))
        .chain([("user:bad".to_owned(), "{".to_owned())])
        .collect();
    let edits: Vec<(&str, Option<&str>)> = users
        .iter()
        .map(|(key, value)| (&key[..], Some(&value[..])))
        .collect();
    world.commit(&main(), &edits);
    world
}

/// Stores a tree, as if it had been fetched.
fn stored(world: &World, tree: &Tree, edits: &[(Vec<u8>, Option<Vec<u8>>)]) -> allod_blocks::Cid {
    let mut batch = Batch::new();
    let edits: BTreeMap<Vec<u8>, Option<Vec<u8>>> = edits.iter().cloned().collect();
    let changed = tree.edit(edits, &mut |block| batch.put(block)).unwrap();
    drop(world.repo.store().commit(batch).unwrap());
    changed.root()
}

fn adopt(
    snapshot: &Snapshot,
    called: &str,
    root: allod_blocks::Cid,
    samples: u64,
) -> Result<allod_views::Compared, ViewError> {
    snapshot.adopt(&name(called), root, (samples, 7), &mut |_| {
        ControlFlow::Continue(())
    })
}

#[test]
fn a_true_tree_is_taken_and_a_false_one_is_found() {
    let world = world();
    let views = Views::open(&world.repo).unwrap();
    let computed: Vec<(&str, Tree)> = definitions()
        .iter()
        .map(|(called, _)| {
            (
                *called,
                projected(&views.branch(&main()).unwrap(), called).tree,
            )
        })
        .collect();
    views.save().unwrap();
    for (called, tree) in computed {
        views.forget_all().unwrap();
        let snapshot = views.branch(&main()).unwrap();
        let root = stored(&world, &tree, &[]);
        let compared = adopt(&snapshot, called, root, 200).unwrap();
        assert!(
            compared.entries > 50 && compared.records > 100,
            "{called}: {compared:?}"
        );
        assert!(snapshot.is_fresh(&name(called)).unwrap());
        let kept = snapshot.projection(&name(called), OnStale::Error, &mut |_| {
            ControlFlow::Continue(())
        });
        assert_eq!(kept.unwrap().tree.root(), root);
        let rows: Vec<(Vec<u8>, Vec<u8>)> = tree
            .iter()
            .map(|entry| {
                entry
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .unwrap()
            })
            .collect();
        // Every fourth entry gone, or with another value; and entries of no record, many and foreign.
        let gone: Vec<_> = rows
            .iter()
            .step_by(4)
            .map(|(key, _)| (key.clone(), None))
            .collect();
        let other: Vec<_> = rows
            .iter()
            .step_by(4)
            .filter(|(key, _)| key[0] != 1 || called != "oldest")
            .map(|(key, value)| (key.clone(), Some([&value[..], b"\x00"].concat())))
            .collect();
        let foreign: Vec<_> = rows
            .iter()
            .map(|(key, value)| ([&key[..], b"x"].concat(), Some(value.clone())))
            .collect();
        let nonsense: Vec<_> = (0..rows.len())
            .map(|n| (vec![0xff, n as u8, (n >> 8) as u8], Some(vec![])))
            .collect();
        for (what, edits) in [
            ("gone", gone),
            ("other", other),
            ("foreign", foreign),
            ("nonsense", nonsense),
        ] {
            views.forget_all().unwrap();
            let root = stored(&world, &tree, &edits);
            let snapshot = views.branch(&main()).unwrap();
            let refused = adopt(&snapshot, called, root, 200);
            assert!(
                matches!(refused, Err(ViewError::Untrue { .. })),
                "{called} {what}: {refused:?}"
            );
            assert!(!snapshot.is_fresh(&name(called)).unwrap());
        }
        // What is no tree, or not all of it here.
        let snapshot = views.branch(&main()).unwrap();
        let lost = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, b"nothing");
        for root in [lost, *world.repo.id().cid()] {
            let refused = adopt(&snapshot, called, root, 1);
            assert!(
                matches!(refused, Err(ViewError::Untrue { .. })),
                "{called}: {refused:?}"
            );
        }
    }
}
