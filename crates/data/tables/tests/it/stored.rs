//! Columns that are stored for whoever opens the space next (TAB-19).

use std::sync::Arc;
use std::time::Duration;

use allod_blocks::{MemoryStore, MeteredStore, Metrics, Operation};
use allod_repo::Repo;
use allod_sql::Session;
use allod_tables::{Own, SpaceCatalog};
use allod_views::Views;

use crate::world::{World, gone, main, put, rows, session};

const MANY: usize = 6000;

const STATEMENTS: [&str; 6] = [
    "SELECT count(*), sum(n), min(n), max(n) FROM note",
    "SELECT count(*) FROM note WHERE text LIKE '%7%'",
    "SELECT n, count(*) FROM note GROUP BY n ORDER BY n",
    "SELECT count(*) FROM note",
    "SELECT sum(length(text)), sum(n) FROM note WHERE _key > 'note:03000'",
    "SELECT count(*), count(any), sum(any), max(any) FROM note",
];

fn note(n: usize) -> (String, Option<String>) {
    let any = match n % 5 {
        0 => "null".to_owned(),
        1 => "1.5".to_owned(),
        2 => n.to_string(),
        3 => format!("-{n}e-3"),
        _ => "\"no number\"".to_owned(),
    };
    let value = match n % 100 {
        // Malformed, so no row.
        50 => "{".to_owned(),
        _ => format!(r#"{{"n":{},"text":"text {n}","any":{any}}}"#, n % 9),
    };
    put(&format!("note:{n:05}"), &value)
}

fn world(store: Arc<MeteredStore>) -> World {
    let mut world = World::on(store);
    world.define("note", &["n:integer", "text:string", "any:number"]);
    let mut edits: Vec<_> = (0..MANY).map(note).collect();
    edits.push(put("mote", "before the type"));
    edits.push(put("nove", "behind it"));
    world.commit(&main(), &edits);
    world
}

fn metered() -> (Arc<MeteredStore>, Metrics) {
    let metrics = Metrics::new();
    let ticks = Arc::new(|| Duration::ZERO);
    let store = MeteredStore::new(Arc::new(MemoryStore::new()), metrics.clone(), ticks);
    (Arc::new(store), metrics)
}

/// A session over main with nothing in memory, and the projections that it is of.
fn opened(world: &World) -> (Session, Views) {
    let repo = Repo::open(Arc::clone(world.repo.store()), world.repo.id()).unwrap();
    let views = Views::open(&repo).unwrap();
    let catalog = SpaceCatalog::new(&views, Own::Working(main())).unwrap();
    (session(catalog), views)
}

/// What a statement gives whoever has just opened the space, and how many blocks that reads.
fn ask(world: &World, metrics: &Metrics, sql: &str) -> (Vec<String>, u64) {
    let read = || metrics.latency(Operation::Get).count;
    let (mut session, _views) = opened(world);
    let before = read();
    let answer = rows(&mut session, sql);
    (answer, read() - before)
}

fn ask_all(world: &World, metrics: &Metrics) -> Vec<Vec<String>> {
    let answers = STATEMENTS.iter().map(|sql| ask(world, metrics, sql).0);
    answers.collect()
}

#[test]
fn a_space_that_is_opened_again_reads_columns_in_the_place_of_records() {
    let (store, metrics) = metered();
    let mut world = world(store);
    let (answer, of_records) = ask(&world, &metrics, STATEMENTS[0]);
    assert_eq!(answer, ["5940|23748|0|8"]);
    let first = ask_all(&world, &metrics);
    let (answer, of_columns) = ask(&world, &metrics, STATEMENTS[0]);
    assert_eq!(answer, first[0]);
    assert!(
        of_columns * 4 < of_records,
        "{of_columns} blocks with columns, {of_records} without"
    );
    assert_eq!(ask_all(&world, &metrics), first);
    // What changed is read from records, all else from columns.
    for round in 0..4 {
        let edits: Vec<_> = (round * 700..round * 700 + 40)
            .flat_map(|n| {
                [
                    gone(&format!("note:{n:05}")),
                    put(&format!("note:{n:05}x"), r#"{"n":100,"text":"7"}"#),
                ]
            })
            .collect();
        world.commit(&main(), &edits);
        let (_, read) = ask(&world, &metrics, STATEMENTS[0]);
        assert!(read * 2 < of_records, "{read} blocks after a change");
        let changed = ask_all(&world, &metrics);
        let (_, views) = opened(&world);
        views.forget_all().unwrap();
        assert_eq!(ask_all(&world, &metrics), changed);
        assert_eq!(ask_all(&world, &metrics), changed);
    }
}

/// Of a column that is partly in memory what is stored stays.
#[test]
fn what_is_in_memory_and_what_is_stored_go_together() {
    let (store, metrics) = metered();
    let mut world = world(store);
    let all = "SELECT sum(n) FROM note";
    assert_eq!(ask(&world, &metrics, all).0, ["23748"]);
    // All leaves change but some in the middle, which are in memory when all are asked for.
    let elsewhere = (0..1000).chain(2000..MANY);
    let edits: Vec<_> = elsewhere
        .filter(|n| n % 10 == 0)
        .map(|n| put(&format!("note:{n:05}"), r#"{"n":0}"#))
        .collect();
    world.commit(&main(), &edits);
    let (mut session, _views) = opened(&world);
    let part = "SELECT sum(n) FROM note WHERE _key > 'note:01000' AND _key < 'note:02000'";
    rows(&mut session, part);
    let answer = rows(&mut session, all);
    let (of_columns, read) = ask(&world, &metrics, all);
    assert_eq!(answer, of_columns);
    let (_, views) = opened(&world);
    views.forget_all().unwrap();
    assert_eq!(answer, ask(&world, &metrics, all).0);
    let (_, read_if_whole) = ask(&world, &metrics, all);
    // Leaves at the ends of the part were read for it, and are few.
    assert!(
        read <= read_if_whole + 4,
        "{read} blocks, {read_if_whole} if all is stored"
    );
}

/// A space whose stored columns are lost or damaged answers as before.
#[test]
fn lost_columns_are_decoded_again() {
    let (store, metrics) = metered();
    let world = world(store);
    let first = ask_all(&world, &metrics);
    let store = world.repo.store();
    let mut lost = 0;
    for (name, _) in store.scan_refs(b"beside/", None, 1000).unwrap() {
        let mut batch = allod_blocks::Batch::new();
        let nonsense = vec![0x82, 0x01, 0x00];
        batch.set_ref(name, allod_blocks::Expect::Any, Some(nonsense));
        drop(store.commit(batch).unwrap());
        lost += 1;
    }
    assert!(lost >= 3, "{lost} trees");
    assert_eq!(ask_all(&world, &metrics), first);
}

/// How many trees of columns are kept.
fn trees(world: &World) -> usize {
    let store = world.repo.store();
    store.scan_refs(b"beside/", None, 1000).unwrap().len()
}

/// An entry of the tree of a column.
type Stored = (Vec<u8>, Vec<u8>);

/// The blocks of the trees of columns that are no roots, and of all of them the entries.
fn below(world: &World) -> (Vec<allod_blocks::Cid>, Vec<Stored>) {
    let store = world.repo.store();
    let (mut inner, mut entries) = (Vec::new(), Vec::new());
    for (_, value) in store.scan_refs(b"beside/", None, 1000).unwrap() {
        let (_, root): (u64, allod_blocks::Cid) =
            allod_identity::canonical::decode(&value, 64).unwrap();
        let block = store.get(&root).unwrap().unwrap();
        let node = allod_tree::Node::decode(block.bytes()).unwrap();
        inner.extend((0..node.len()).filter_map(|child| node.link(child)));
        let tree = world.repo.tree(root).unwrap();
        let all = tree.iter().map(Result::unwrap);
        entries.extend(all.map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    (inner, entries)
}

/// A block of a column that is lost or damaged is there again after the next whole scan.
#[test]
fn columns_with_a_lost_block_are_stored_anew() {
    let (store, metrics) = metered();
    let world = world(store);
    let first = ask(&world, &metrics, STATEMENTS[0]);
    let whole = ask(&world, &metrics, STATEMENTS[0]);
    let (inner, _) = below(&world);
    assert!(!inner.is_empty());
    for lost in [inner[0], inner[inner.len() / 2]] {
        let garbage = allod_blocks::Garbage {
            blocks: vec![lost],
            refs: Vec::new(),
        };
        let store = world.repo.store();
        store.sweep(&mut || Ok(garbage.clone())).unwrap();
        assert!(store.get(&lost).unwrap().is_none());
        for _ in 0..3 {
            let (answer, _) = ask(&world, &metrics, STATEMENTS[0]);
            assert_eq!(answer, first.0);
        }
        let (_, read) = ask(&world, &metrics, STATEMENTS[0]);
        assert!(read <= whole.1, "{read} blocks, {} before", whole.1);
    }
}

/// A leaf whose column is too long is known as such: nobody stores it again.
#[test]
fn columns_that_are_too_long_are_stored_once() {
    let (store, metrics) = metered();
    let mut world = World::on(store);
    world.define("note", &["n:integer", "text:string"]);
    let text = "x".repeat(300);
    let edits: Vec<_> = (0..MANY)
        .map(|n| {
            put(
                &format!("note:{n:05}"),
                &format!(r#"{{"n":1,"text":"{n}{text}"}}"#),
            )
        })
        .collect();
    world.commit(&main(), &edits);
    let sql = "SELECT sum(length(text)), sum(n) FROM note";
    let commits = || metrics.latency(Operation::Commit).count;
    let before = commits();
    let (answer, _) = ask(&world, &metrics, sql);
    // Both columns at once.
    assert_eq!((trees(&world), commits() - before), (2, 1));
    let (_, entries) = below(&world);
    let too_long = entries
        .iter()
        .filter(|(_, value)| value.len() == 32)
        .count();
    assert!(
        too_long > 10 && too_long * 2 <= entries.len(),
        "{too_long} of {}",
        entries.len()
    );
    let before = commits();
    assert_eq!(ask(&world, &metrics, sql).0, answer);
    assert_eq!(commits(), before);
}

/// Only whole scans of the states of branches store columns, and what they keep is of these states alone.
#[test]
fn columns_are_those_of_the_states_of_branches() {
    let (store, metrics) = metered();
    let mut world = world(store);
    let part = "SELECT sum(n) FROM note WHERE _key > 'note:00100'";
    ask(&world, &metrics, part);
    assert_eq!(trees(&world), 0, "of a part");
    let old = world.repo.heads(&main()).unwrap();
    let edits: Vec<_> = (0..MANY)
        .step_by(3)
        .map(|n| put(&format!("note:{n:05}"), r#"{"n":77777}"#))
        .collect();
    world.commit(&main(), &edits);
    let before = old.first().unwrap().to_string();
    let all = "SELECT sum(n) FROM note";
    ask(&world, &metrics, &format!("{all} AS OF '{before}'"));
    assert_eq!(trees(&world), 0, "of no branch");
    ask(&world, &metrics, all);
    assert_eq!(trees(&world), 1);
    // Two branches in turn take nothing from each other.
    let side: allod_repo::BranchName = "side".parse().unwrap();
    world.repo.create_branch(&side, &old).unwrap();
    let on_side = format!("{all} ON BRANCH 'side'");
    ask(&world, &metrics, &on_side);
    assert_eq!(trees(&world), 2);
    let commits = || metrics.latency(Operation::Commit).count;
    let done = commits();
    for sql in [all, &on_side, all, &on_side] {
        ask(&world, &metrics, sql);
    }
    assert_eq!(commits(), done);
    // What is of a branch that is gone goes, also behind the last leaf of what is left.
    let kept = |world: &World| below(world).1.len();
    let of_both = kept(&world);
    world.repo.delete_branch(&side, true).unwrap();
    let removed: Vec<_> = (MANY - 1500..MANY)
        .map(|n| gone(&format!("note:{n:05}")))
        .collect();
    world.commit(&main(), &removed);
    let (_, views) = opened(&world);
    views.forget_all().unwrap();
    ask(&world, &metrics, all);
    let exact = kept(&world);
    assert!(exact < of_both / 2, "{exact} of {of_both}");
    // The same from what was there before.
    world.commit(&main(), &edits);
    ask(&world, &metrics, all);
    world.commit(&main(), &removed);
    world.commit(&main(), &[put("note:00000", "{}")]);
    let changed: Vec<_> = (0..4500)
        .map(|n| put(&format!("note:{n:05}"), r#"{"n":5}"#))
        .collect();
    world.commit(&main(), &changed);
    ask(&world, &metrics, all);
    let (_, derived) = below(&world);
    views.forget_all().unwrap();
    let (_, views) = opened(&world);
    views.forget_all().unwrap();
    ask(&world, &metrics, all);
    assert_eq!(derived, below(&world).1);
    // A collection begins with none.
    let (_, views) = opened(&world);
    assert!(views.forget_unused().unwrap() > 0);
    assert_eq!(trees(&world), 0);
}
