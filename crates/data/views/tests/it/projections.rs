//! Projections are what a naive computation makes of the same records, wherever they come from.

use std::ops::ControlFlow;

use allod_repo::{BranchName, MergeOptions, Outcome, Resolving, Rule, Strategy as Decides};
use allod_views::{
    Checked, FieldDefinition, FieldKind, Function, OnStale, Page, ProjectionDefinition, Row,
    RowChange, Snapshot, TypeDefinition, Value, ViewError, Views, define_type,
};
use proptest::prelude::*;

use crate::naive;
use crate::world::{World, group, index, join, main, name, projected, scale, typed, words};

/// One of each shape, over users and orders.
fn definitions() -> Vec<(&'static str, ProjectionDefinition)> {
    let totals = [
        ("n", Function::Count, None),
        ("ages", Function::Count, Some("age")),
        ("sum", Function::Sum, Some("age")),
        ("mean", Function::Avg, Some("age")),
        ("least", Function::Min, Some("bio")),
        ("most", Function::Max, Some("age")),
    ];
    vec![
        (
            "by_role",
            index("user:*", None, &["role"], &[("upper", "upper(role)")]),
        ),
        (
            "adults",
            index("user:*", Some("age >= 18"), &["role", "age"], &[]),
        ),
        (
            "by_tag",
            index("user:*", None, &["tags"], &[("bio", "bio")]),
        ),
        ("by_bio", index("user:*", None, &["bio"], &[])),
        ("ages", group("user:*", &[("role", "role")], &totals)),
        ("all", group("user:*", &[], &totals)),
        ("tagged", group("user:*", &[("tag", "tags")], &totals[..3])),
        (
            "orders",
            join(
                ("order:*", "who"),
                ("user:*", "id"),
                &[("what", "what")],
                &[("role", "role"), ("bio", "bio")],
                true,
            ),
        ),
        (
            "matched",
            join(
                ("order:*", "who"),
                ("user:*", "id"),
                &[],
                &[("age", "age")],
                false,
            ),
        ),
        ("texts", words("user:*", &["bio", "tags"])),
    ]
}

fn all_rows(snapshot: &Snapshot, called: &str) -> Vec<Row> {
    let projected = projected(snapshot, called);
    let rows = projected.rows(&[], &Page::default()).unwrap();
    rows.map(|row| row.unwrap().1).collect()
}

#[track_caller]
fn check(snapshot: &Snapshot) {
    for (called, definition) in definitions() {
        assert_eq!(
            all_rows(snapshot, called),
            naive::rows(snapshot, &definition),
            "{called}"
        );
    }
}

fn users() -> TypeDefinition {
    typed(&[
        "id:string",
        "role:string",
        "age:number",
        "bio:string",
        "tags:string[]",
    ])
}

fn with_definitions() -> World {
    let mut world = World::new();
    world.define(
        "user",
        typed(&[
            "id:string",
            "role:string",
            "age:number",
            "bio:string",
            "tags:string[]",
        ]),
    );
    for (called, definition) in definitions() {
        world.create(called, definition);
    }
    world
}

/// Records, some of them malformed or with fields of another kind.
fn record() -> impl Strategy<Value = String> {
    let role = prop::sample::select(vec!["\"admin\"", "\"user\"", "null", "7", "\"\""]);
    let age = prop::sample::select(vec![
        "17", "18", "1.5", "1e3", "\"x\"", "null", "-4", "0.25",
    ]);
    let bio = prop_oneof![
        Just("\"The quick, the brown\"".to_owned()),
        Just("\"Stra\u{df}e 12\"".to_owned()),
        (60usize..140).prop_map(|length| format!("\"{}\"", "long ".repeat(length / 5))),
        Just(format!("\"{}\"", "very long ".repeat(200))),
        Just("false".to_owned()),
    ];
    let tags = prop::sample::select(vec![
        "[]",
        "[\"a\"]",
        "[\"b\",\"a\",\"b\"]",
        "null",
        "[1]",
        "[\"c d\",\"a\"]",
    ]);
    let id = 0u8..4;
    let whole = (role, age, bio, tags, id).prop_map(|(role, age, bio, tags, id)| {
        format!("{{\"id\":\"{id}\",\"role\":{role},\"age\":{age},\"bio\":{bio},\"tags\":{tags}}}")
    });
    prop_oneof![
        12 => whole,
        1 => Just("{}".to_owned()),
        1 => Just("[1]".to_owned()),
        1 => Just("{\"role\":\"x\",\"role\":\"y\"}".to_owned()),
    ]
}

fn order() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u8..5, "[a-c]{1,2}").prop_map(|(who, what)| format!("{{\"who\":\"{who}\",\"what\":\"{what}\"}}")),
        1 => Just("{\"what\":\"nobody's\"}".to_owned()),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Edit(bool, Vec<(String, Option<String>)>),
    Merge,
    Branch,
    Revert,
    Redefine(bool),
}

fn edit() -> impl Strategy<Value = (String, Option<String>)> {
    let user = (0u8..8, prop::option::weighted(0.8, record()))
        .prop_map(|(id, value)| (format!("user:{id}"), value));
    let order = (0u8..8, prop::option::weighted(0.8, order()))
        .prop_map(|(id, value)| (format!("order:{id}"), value));
    let other = (0u8..3).prop_map(|id| (format!("userx:{id}"), Some("{}".to_owned())));
    prop_oneof![6 => user, 4 => order, 1 => other]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<bool>(), prop::collection::vec(edit(), 1..6)).prop_map(|(side, edits)| Step::Edit(side, edits)),
        1 => Just(Step::Merge),
        1 => Just(Step::Branch),
        1 => Just(Step::Revert),
        1 => any::<bool>().prop_map(Step::Redefine),
    ];
    prop::collection::vec(step, 1..14)
}

fn play(world: &mut World, step: &Step) {
    let side: BranchName = "side".parse().unwrap();
    let repo = world.repo.clone();
    match step {
        Step::Edit(on_side, edits) => {
            let on = if *on_side { &side } else { &main() };
            if !repo.heads(on).unwrap().is_empty() || !on_side {
                let edits: Vec<(&str, Option<&str>)> = edits
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_deref()))
                    .collect();
                world.commit(on, &edits);
            }
        }
        Step::Branch => {
            let heads = repo.heads(&main()).unwrap();
            if !heads.is_empty() && repo.heads(&side).unwrap().is_empty() {
                repo.create_branch(&side, &heads).unwrap();
            }
        }
        Step::Merge => {
            let theirs = repo.heads(&side).unwrap();
            if !theirs.is_empty() && !repo.heads(&main()).unwrap().is_empty() {
                let rules = [newest()];
                let options = MergeOptions {
                    resolving: Resolving {
                        rules: &rules,
                        ..Resolving::default()
                    },
                    ..MergeOptions::default()
                };
                let (author, now) = world.by();
                let merged = repo.merge(&main(), &theirs, author, &options, now).unwrap();
                assert!(!matches!(merged, Outcome::Stopped(_)), "{merged:?}");
            }
        }
        Step::Revert => {
            let heads = repo.heads(&main()).unwrap();
            let head = heads.first().map(|head| repo.commit(*head).unwrap());
            // A merge has two sides to be undone from.
            if let Some(head) = head.filter(|head| head.payload().parents.len() == 1) {
                let rules = [newest()];
                let resolving = Resolving {
                    rules: &rules,
                    ..Resolving::default()
                };
                let (author, now) = world.by();
                let id = *heads.first().unwrap();
                drop((
                    head,
                    repo.revert(&main(), id, author, resolving, now).unwrap(),
                ));
            }
        }
        Step::Redefine(newer) => {
            let mut definition = users();
            if *newer {
                definition.fields[2].default = Some("21".to_owned());
                // Under another name, and with a field more.
                "about".clone_into(&mut definition.fields[3].name);
                definition.fields[3].was = vec!["bio".to_owned()];
                definition
                    .fields
                    .push(FieldDefinition::new("extra", FieldKind::Number));
            }
            define_type(&repo, &name("user"), definition, true, world.by()).unwrap();
        }
    }
}

fn newest() -> Rule {
    ("*".parse().unwrap(), Decides::Newest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64 * scale()))]

    /// At every step of a random history with branches and merges; the second `Views` has computed
    /// nothing and gets the same roots.
    #[test]
    fn each_projection_is_what_a_naive_one_is(steps in steps()) {
        let mut world = with_definitions();
        let views = Views::open(&world.repo).unwrap();
        for step in &steps {
            play(&mut world, step);
            for (branch, heads) in world.repo.branches().unwrap() {
                if branch.is_meta() || heads.is_empty() {
                    continue;
                }
                let snapshot = views.branch(&branch).unwrap();
                check(&snapshot);
            }
        }
        // Whoever computes it from the source has the same tree.
        let snapshot = views.branch(&main()).unwrap();
        let derived: Vec<_> = definitions().iter().map(|(called, _)| projected(&snapshot, called).tree.root()).collect();
        views.forget_all().unwrap();
        let built: Vec<_> = definitions().iter().map(|(called, _)| projected(&snapshot, called).tree.root()).collect();
        prop_assert_eq!(derived, built);
    }
}

#[test]
fn a_switch_is_a_look_up_and_old_commits_have_theirs() {
    let mut world = with_definitions();
    let first = world.commit(
        &main(),
        &[("user:1", Some(r#"{"id":"1","role":"admin","age":30}"#))],
    );
    world.commit(
        &main(),
        &[("user:1", Some(r#"{"id":"1","role":"user","age":30}"#))],
    );
    let views = Views::open(&world.repo).unwrap();
    let now = views.branch(&main()).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    let stale = now.projection(&name("by_role"), OnStale::Error, go_on);
    assert!(matches!(stale, Err(ViewError::Stale(_))), "{stale:?}");
    assert_eq!(now.refresh(go_on).unwrap(), definitions().len());
    assert!(now.is_fresh(&name("by_role")).unwrap());
    assert_eq!(now.refresh(go_on).unwrap(), 0);
    let then = views.commit(first).unwrap();
    assert!(!then.is_fresh(&name("by_role")).unwrap());
    let admin = [Value::text("admin")];
    let found = |snapshot: &Snapshot| {
        let projected = projected(snapshot, "by_role");
        projected.rows(&admin, &Page::default()).unwrap().count()
    };
    assert_eq!((found(&then), found(&now)), (1, 0));
    // Another process finds what was computed.
    let again = Views::open(&world.repo).unwrap();
    assert!(
        again
            .branch(&main())
            .unwrap()
            .is_fresh(&name("by_role"))
            .unwrap()
    );
    assert!(
        again
            .commit(first)
            .unwrap()
            .is_fresh(&name("by_role"))
            .unwrap()
    );
    let stop = &mut |_| ControlFlow::Break(());
    drop(
        now.projection(&name("by_role"), OnStale::Block, stop)
            .unwrap(),
    );
}

#[test]
fn pages_go_on_where_they_ended_in_both_directions() {
    let mut world = with_definitions();
    let texts: Vec<(String, String)> = (0..40)
        .map(|n| {
            (
                format!("user:{n}"),
                format!(
                    "{{\"id\":\"{}\",\"role\":\"r{}\",\"age\":{n}}}",
                    n % 7,
                    n % 3
                ),
            )
        })
        .chain((0..20).map(|n| (format!("order:{n}"), format!("{{\"who\":\"{}\"}}", n % 9))))
        .collect();
    let edits: Vec<(&str, Option<&str>)> = texts
        .iter()
        .map(|(key, value)| (key.as_str(), Some(value.as_str())))
        .collect();
    world.commit(&main(), &edits);
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    for (called, _) in definitions() {
        let projected = projected(&snapshot, called);
        let all = all_rows(&snapshot, called);
        for reverse in [false, true] {
            let mut page = Page {
                after: None,
                reverse,
            };
            let mut paged = Vec::new();
            if reverse && ["orders", "matched"].contains(&called) {
                assert!(projected.rows(&[], &page).is_err());
                continue;
            }
            loop {
                let rows: Vec<_> = projected
                    .rows(&[], &page)
                    .unwrap()
                    .take(3)
                    .map(Result::unwrap)
                    .collect();
                let Some((cursor, _)) = rows.last() else {
                    break;
                };
                page.after = Some(cursor.clone());
                paged.extend(rows.into_iter().map(|(_, row)| row));
            }
            if reverse {
                paged.reverse();
            }
            assert_eq!(paged, all, "{called} {reverse}");
        }
    }
}

#[test]
fn words_are_searched() {
    let mut world = with_definitions();
    world.commit(
        &main(),
        &[
            (
                "user:1",
                Some(r#"{"bio":"The quick brown fox. The end","tags":["fox"]}"#),
            ),
            ("user:2", Some(r#"{"bio":"A brown Fox-trot"}"#)),
            ("user:3", Some(r#"{"bio":"Nothing of it"}"#)),
        ],
    );
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let texts = projected(&snapshot, "texts");
    let search = |text: &str| -> Vec<(String, u64)> {
        let found = texts.search(text).unwrap();
        found
            .into_iter()
            .map(|(key, times)| (String::from_utf8(key.to_vec()).unwrap(), times))
            .collect()
    };
    assert_eq!(
        search("FOX brown"),
        [("user:1".to_owned(), 3), ("user:2".to_owned(), 2)]
    );
    assert_eq!(search("fox the"), [("user:1".to_owned(), 4)]);
    assert_eq!(search("wolf"), []);
    assert!(matches!(texts.search("?!"), Err(ViewError::Query(_))));
    assert!(projected(&snapshot, "by_role").search("fox").is_err());
    let too_many = [Value::Null, Value::Null];
    assert!(
        projected(&snapshot, "by_role")
            .rows(&too_many, &Page::default())
            .is_err()
    );
}

/// What [`Projected::changes`] should tell: the rows of two states compared by the keys of their records.
///
/// [`Projected::changes`]: allod_views::Projected::changes
fn naive_changes(before: &[Row], after: &[Row]) -> (usize, usize) {
    let only =
        |these: &[Row], those: &[Row]| these.iter().filter(|row| !those.contains(row)).count();
    (only(before, after), only(after, before))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64 * scale()))]

    #[test]
    fn a_watcher_is_told_exactly_what_differs(steps in steps()) {
        let mut world = with_definitions();
        let views = Views::open(&world.repo).unwrap();
        let mut before = views.branch(&main()).unwrap();
        for step in &steps {
            if matches!(step, Step::Redefine(_)) {
                continue;
            }
            play(&mut world, step);
            let after = views.branch(&main()).unwrap();
            for (called, _) in definitions() {
                let changes = projected(&before, called).changes(&projected(&after, called), 1000).unwrap();
                let (mut gone, mut come) = (0, 0);
                let (was, is) = (all_rows(&before, called), all_rows(&after, called));
                for change in &changes {
                    match change {
                        RowChange::Added(row) => {
                            prop_assert!(is.contains(row) && !was.contains(row));
                            come += 1;
                        }
                        RowChange::Removed(row) => {
                            prop_assert!(was.contains(row) && !is.contains(row));
                            gone += 1;
                        }
                        RowChange::Modified { before, after } => {
                            prop_assert!(was.contains(before) && is.contains(after));
                            prop_assert_eq!(&before.key, &after.key);
                            (gone, come) = (gone + 1, come + 1);
                        }
                    }
                }
                prop_assert_eq!((gone, come), naive_changes(&was, &is), "{}", called);
            }
            before = after;
        }
    }
}

/// Blocks of a tree that was kept go away, or are another tree's: a check notices, and puts it right.
#[test]
fn a_projection_is_checked_against_its_records() {
    let mut world = with_definitions();
    let edits: Vec<(String, String)> = (0..2000)
        .map(|n| (format!("user:{n:04}"), format!("{{\"role\":\"r{n}\"}}")))
        .collect();
    let edits: Vec<(&str, Option<&str>)> = edits
        .iter()
        .map(|(key, value)| (key.as_str(), Some(value.as_str())))
        .collect();
    world.commit(&main(), &edits);
    let views = Views::open(&world.repo).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    let snapshot = views.branch(&main()).unwrap();
    let by_role = name("by_role");
    assert_eq!(snapshot.check(&by_role, go_on).unwrap(), Checked::NotKept);
    let rows = all_rows(&snapshot, "by_role");
    assert_eq!(snapshot.check(&by_role, go_on).unwrap(), Checked::Right);
    // The reference names the tree of another projection.
    let store = world.repo.store().clone();
    let kept = store.scan_refs(b"view/", None, 10).unwrap();
    let (reference, _) = kept.first().unwrap().clone();
    let other = projected(&snapshot, "by_bio").tree.root();
    let mut batch = allod_blocks::Batch::new();
    let value = allod_identity::canonical::encode(&(7u64, other)).unwrap();
    batch.set_ref(reference, allod_blocks::Expect::Any, Some(value));
    drop(store.commit(batch).unwrap());
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    assert_eq!(snapshot.check(&by_role, go_on).unwrap(), Checked::PutRight);
    assert_eq!(all_rows(&snapshot, "by_role"), rows);
    assert_eq!(snapshot.check(&by_role, go_on).unwrap(), Checked::Right);
}

/// What was computed is no garbage, and what was forgotten is.
#[test]
fn a_collection_keeps_what_is_kept() {
    let mut world = with_definitions();
    world.commit(&main(), &[("user:1", Some(r#"{"role":"admin"}"#))]);
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    snapshot.refresh(go_on).unwrap();
    views.save().unwrap();
    let collect = || {
        let options = allod_repo::GcOptions::default();
        let go_on = &mut |_, _| ControlFlow::Continue(());
        allod_repo::collect_garbage(&**world.repo.store(), options, go_on).unwrap()
    };
    collect();
    let again = Views::open(&world.repo).unwrap();
    let snapshot = again.branch(&main()).unwrap();
    for (called, _) in definitions() {
        assert_eq!(
            snapshot.check(&name(called), go_on).unwrap(),
            Checked::Right,
            "{called}"
        );
    }
    again.forget_all().unwrap();
    collect();
    check(&again.branch(&main()).unwrap());
}

/// What belongs to no state of a branch goes, and so does what belongs to a projection that was dropped,
/// whatever its type was meanwhile.
#[test]
fn what_is_of_no_more_use_goes() {
    let mut world = with_definitions();
    let side: BranchName = "side".parse().unwrap();
    world.commit(&main(), &[("user:1", Some(r#"{"role":"admin"}"#))]);
    world
        .repo
        .create_branch(&side, &world.repo.heads(&main()).unwrap())
        .unwrap();
    world.commit(&side, &[("user:2", Some(r#"{"role":"guest"}"#))]);
    let views = Views::open(&world.repo).unwrap();
    let store = world.repo.store().clone();
    let kept = || {
        let names = store.scan_refs(b"view/", None, 1000).unwrap();
        names.len()
    };
    let all = definitions().len();
    let go_on = &mut |_| ControlFlow::Continue(());
    for branch in [&main(), &side] {
        views.branch(branch).unwrap().refresh(go_on).unwrap();
    }
    views.save().unwrap();
    assert_eq!(kept(), 2 * all);
    assert_eq!(views.forget_unused().unwrap(), 0);
    world.repo.delete_branch(&side, true).unwrap();
    assert_eq!(views.forget_unused().unwrap(), all);
    assert_eq!(kept(), all);
    assert_eq!(
        views.branch(&main()).unwrap().refresh(go_on).unwrap(),
        0,
        "what is of use stays"
    );
    // Under the next definition of its type too.
    let repo = world.repo.clone();
    let (author, now) = world.by();
    let user = name("user");
    let mut definition = views
        .definitions()
        .unwrap()
        .kind(&user)
        .unwrap()
        .definition()
        .clone();
    definition
        .fields
        .push(FieldDefinition::new("extra", "string".parse().unwrap()));
    define_type(&repo, &user, definition, true, (author, now)).unwrap();
    let by_role = name("by_role");
    views
        .branch(&main())
        .unwrap()
        .projection(&by_role, OnStale::Block, go_on)
        .unwrap();
    let before = kept();
    views.drop_projection(&by_role, (author, now + 1)).unwrap();
    assert_eq!(kept(), before - 2);
}

/// What answers at once and was not stored is computed again by whoever comes after a crash.
#[test]
fn what_is_refreshed_is_stored_later() {
    let mut world = with_definitions();
    let views = Views::open(&world.repo).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    let is_fresh = |views: &Views| {
        let snapshot = views.branch(&main()).unwrap();
        definitions()
            .iter()
            .filter(|(called, _)| snapshot.is_fresh(&name(called)).unwrap())
            .count()
    };
    for n in 0..5 {
        let record = format!("{{\"id\":\"{n}\",\"role\":\"r{n}\",\"bio\":\"word {n}\"}}");
        world.commit(&main(), &[(&format!("user:{n}"), Some(&record))]);
        views.branch(&main()).unwrap().refresh(go_on).unwrap();
        assert_eq!(is_fresh(&views), definitions().len());
        check(&views.branch(&main()).unwrap());
        assert_eq!(is_fresh(&Views::open(&world.repo).unwrap()), 0);
    }
    check(&Views::open(&world.repo).unwrap().branch(&main()).unwrap());
    views.save().unwrap();
    let again = Views::open(&world.repo).unwrap();
    assert_eq!(is_fresh(&again), definitions().len());
    check(&again.branch(&main()).unwrap());
    assert_eq!(world.repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

/// Values that begin with others, and lists as long texts: rows, changes and extremes are of exactly one.
#[test]
fn what_begins_with_another_value_is_another() {
    let mut world = World::new();
    world.define("a", typed(&["raw:bytes", "tags:string[]"]));
    world.create("by_raw", index("a:*", None, &["raw"], &[]));
    let greatest = group("a:*", &[], &[("m", Function::Max, Some("tags"))]);
    world.create("greatest", greatest.clone());
    let long = format!("[\"{}\"]", "long ".repeat(40));
    world.commit(
        &main(),
        &[
            ("a:1", Some(r#"{"raw":""}"#)),
            ("a:12", Some(r#"{"raw":"","tags":["z"]}"#)),
            ("a:2", Some(r#"{"raw":"AA=="}"#)),
            ("a:3", Some(&format!(r#"{{"raw":"AP8=","tags":{long}}}"#))),
        ],
    );
    let views = Views::open(&world.repo).unwrap();
    let before = views.branch(&main()).unwrap();
    let by_raw = projected(&before, "by_raw");
    let keys = |raw: &[u8]| -> Vec<String> {
        let rows = by_raw
            .rows(&[Value::Bytes(raw.to_vec())], &Page::default())
            .unwrap();
        let keys = rows.map(|row| String::from_utf8(row.unwrap().1.key.unwrap().to_vec()).unwrap());
        keys.collect()
    };
    assert_eq!(keys(b""), ["a:1", "a:12"]);
    assert_eq!(keys(&[0]), ["a:2"]);
    assert_eq!(keys(&[0, 255]), ["a:3"]);
    world.commit(&main(), &[("a:12", None)]);
    world.commit(&main(), &[("a:1", Some(r#"{"raw":"","tags":[]}"#))]);
    let after = views.branch(&main()).unwrap();
    let changes = by_raw.changes(&projected(&after, "by_raw"), 10).unwrap();
    assert!(
        matches!(&changes[..], [RowChange::Removed(row)] if row.key.as_deref() == Some(b"a:12")),
        "{changes:?}"
    );
    for snapshot in [&before, &after] {
        assert_eq!(
            all_rows(snapshot, "greatest"),
            naive::rows(snapshot, &greatest)
        );
    }
}
