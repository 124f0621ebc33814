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
    for (name, _) in store.scan_refs(b"view/", None, 1000).unwrap() {
        let mut batch = allod_blocks::Batch::new();
        let nonsense = vec![0x82, 0x01, 0x00];
        batch.set_ref(name, allod_blocks::Expect::Any, Some(nonsense));
        drop(store.commit(batch).unwrap());
        lost += 1;
    }
    assert!(lost >= 3, "{lost} trees");
    assert_eq!(ask_all(&world, &metrics), first);
}
