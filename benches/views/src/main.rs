//! Projections: what they cost a commit, a switch, and from nothing beside an index of SQLite. Statements over
//! types beside other engines with the same rows, over the past beside the present, and differences.
//!
//! Prints a line of JSON per row. `--quick` leaves the spaces of a million records out.

mod history;
mod peer;
mod people;
mod queries;

use std::ops::ControlFlow;
use std::time::Instant;

use allod_repo::BranchName;
use allod_views::Views;
use serde_json::{Map, Value, json};

use crate::peer::{Packages, Peers};
use crate::people::People;

/// As in the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Commits that are measured, in turn with projections and without.
const COMMITS: usize = 15;

/// Records that a commit changes.
const CHANGES: usize = 100;

fn row(case: &str, unit: &str, ours: f64, peers: &[(&str, f64)], target: &str) {
    let peers: Map<String, Value> = peers
        .iter()
        .map(|(name, figure)| ((*name).to_owned(), json!(rounded(*figure))))
        .collect();
    println!(
        "{}",
        json!({
            "area": "views",
            "case": case,
            "unit": unit,
            "better": "less",
            "ours": rounded(ours),
            "peers": peers,
            "target": target,
        })
    );
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// Commits of a hundred changes with five indexes kept fresh, beside the same without.
fn commits(people: &mut People, size: usize) {
    let go_on = &mut |_| ControlFlow::Continue(());
    let main = BranchName::main();
    let views = Views::open(&people.repo).unwrap();
    views.branch(&main).unwrap().refresh(go_on).unwrap();
    let (mut with, mut without, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..COMMITS {
        people.stage(size, CHANGES, round);
        let started = Instant::now();
        people.commit();
        without.push(ms(started));
        views.branch(&main).unwrap().refresh(go_on).unwrap();
        views.save().unwrap();
        people.stage(size, CHANGES, round + 1000);
        let started = Instant::now();
        people.commit();
        views.branch(&main).unwrap().refresh(go_on).unwrap();
        with.push(ms(started));
        let started = Instant::now();
        views.save().unwrap();
        stored.push(ms(started));
    }
    row(
        &format!("commit of {CHANGES} changes with 5 indexes fresh, {size} records"),
        "ms",
        median(with),
        &[("the same without projections", median(without))],
        "<= 3x, whatever the size",
    );
    row(
        &format!("storing what these 5 indexes have new, {size} records"),
        "ms",
        median(stored),
        &[],
        "stated",
    );
    // A branch that differs, and back: all is kept.
    let side: BranchName = "side".parse().unwrap();
    people.branch(&side);
    people.stage_on(&side, size, CHANGES, 5000);
    people.commit_on(&side);
    views.branch(&side).unwrap().refresh(go_on).unwrap();
    let names: Vec<_> = views
        .definitions()
        .unwrap()
        .projections()
        .map(|(name, _)| name.clone())
        .collect();
    let mut switches = Vec::new();
    for round in 0..200 {
        let branch = if round % 2 == 0 { &main } else { &side };
        let started = Instant::now();
        let snapshot = views.branch(branch).unwrap();
        for name in &names {
            snapshot
                .projection(name, allod_views::OnStale::Error, go_on)
                .unwrap();
        }
        switches.push(ms(started));
    }
    row(
        &format!("switch of branches with 5 projections, {size} records"),
        "ms",
        median(switches),
        &[],
        "< 1 ms, any size",
    );
}

/// An index from nothing beside SQLite's `CREATE INDEX` on the same rows.
fn build(people: &People, size: usize) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let sqlite = people.sqlite();
    for _ in 0..3 {
        let views = Views::open(&people.repo).unwrap();
        views.forget_all().unwrap();
        let snapshot = views.branch(&BranchName::main()).unwrap();
        let name = "by_city".parse().unwrap();
        let go_on = &mut |_| ControlFlow::Continue(());
        let started = Instant::now();
        snapshot
            .projection(&name, allod_views::OnStale::Block, go_on)
            .unwrap();
        ours.push(ms(started));
        let started = Instant::now();
        sqlite
            .execute_batch("CREATE INDEX by_city ON user (city)")
            .unwrap();
        theirs.push(ms(started));
        sqlite.execute_batch("DROP INDEX by_city").unwrap();
    }
    row(
        &format!("an index of {size} records from nothing"),
        "ms",
        median(ours),
        &[("SQLite's CREATE INDEX", median(theirs))],
        "<= 1.5x",
    );
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut sizes = vec![10_000, 100_000];
    sizes.extend((!quick).then_some(1_000_000));
    let packages = Packages::new();
    for size in sizes {
        let mut people = People::new(size);
        // Gone before the rest, so that nothing of them is in memory beside it.
        queries::run(&people, Peers::new(&packages, &people), size);
        build(&people, size);
        commits(&mut people, size);
        history::run(&mut people, size);
    }
}
