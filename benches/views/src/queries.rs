//! Queries over a type beside tables of SQLite with the same rows.

use std::sync::Arc;
use std::time::Instant;

use allod_repo::{BranchName, Repo};
use allod_sql::{Limits, Scalar, Session};
use allod_tables::{Kept, Own, SpaceCatalog};
use allod_views::Views;

use crate::peer::Peers;
use crate::people::People;
use crate::{median, ms, row};

/// Statements that give one row or a few, run so often for a figure.
const LOOK_UPS: usize = 20_000;
const RANGES: usize = 200;

/// So many for those that are driven from Python: theirs take longer, and are as many for each figure.
const PEER_LOOK_UPS: usize = 2000;
const PEER_RANGES: usize = 50;

pub(crate) fn session(views: &Views, own: Own, kept: &Kept) -> Session {
    let catalog = SpaceCatalog::new(views, own).unwrap().with_kept(kept);
    Session::new(Arc::new(catalog), Limits::default(), || 0).unwrap()
}

/// Milliseconds of a statement, once.
pub(crate) fn once(session: &mut Session, sql: &str) -> f64 {
    let mut statement = session.prepare(sql).unwrap();
    let started = Instant::now();
    statement.rows(&[]).unwrap();
    ms(started)
}

fn peer_once(sqlite: &rusqlite::Connection, sql: &str) -> f64 {
    let mut statement = sqlite.prepare(sql).unwrap();
    let started = Instant::now();
    let mut rows = statement.query([]).unwrap();
    while rows.next().unwrap().is_some() {}
    ms(started)
}

/// Microseconds of a statement with one parameter, run for many of them.
pub(crate) fn each(session: &mut Session, sql: &str, parameters: &[String]) -> f64 {
    let mut statement = session.prepare(sql).unwrap();
    let started = Instant::now();
    for parameter in parameters {
        statement.rows(&[Scalar::Text(parameter.clone())]).unwrap();
    }
    ms(started) * 1000.0 / parameters.len() as f64
}

fn peer_each(sqlite: &rusqlite::Connection, sql: &str, parameters: &[String]) -> f64 {
    let mut statement = sqlite.prepare(sql).unwrap();
    let started = Instant::now();
    for parameter in parameters {
        let mut rows = statement.query([parameter]).unwrap();
        let width = rows.as_ref().unwrap().column_count();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..width {
                // As ours: owned.
                let _value: rusqlite::types::Value = row.get(column).unwrap();
            }
        }
    }
    ms(started) * 1000.0 / parameters.len() as f64
}

const SCANS: [(&str, &str); 5] = [
    (
        "count with a filter",
        "SELECT count(*) FROM user WHERE age > 45",
    ),
    (
        "sums by group",
        "SELECT role, count(*), sum(age) FROM user GROUP BY role",
    ),
    ("LIKE", "SELECT count(*) FROM user WHERE city LIKE '%99'"),
    ("sum of all", "SELECT sum(age) FROM user"),
    (
        "a few of all, sorted",
        "SELECT id, mail FROM user WHERE age = 33 AND role = 'admin' ORDER BY mail LIMIT 10",
    ),
];

pub(crate) fn run(people: &People, mut peers: Peers, size: usize) {
    let sqlite = people.sqlite_indexed();
    let views = Views::open(&people.repo).unwrap();
    let main = BranchName::main();
    let kept = Kept::default();
    let own = || Own::Working(main.clone());
    views
        .branch(&main)
        .unwrap()
        .refresh(&mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    views.save().unwrap();
    let keys: Vec<String> = (0..LOOK_UPS)
        .map(|n| format!("{:08}", n * 7919 % size))
        .collect();
    let cities: Vec<String> = (0..RANGES)
        .map(|n| format!("city {}", n * 13 % 1000))
        .collect();
    let mut looking = session(&views, own(), &kept);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.push(each(
            &mut looking,
            "SELECT * FROM user WHERE _id = ?",
            &keys,
        ));
        theirs.push(peer_each(&sqlite, "SELECT * FROM user WHERE id = ?", &keys));
    }
    let case = |what: &str| format!("{what}, {size} records");
    let [duckdb, doltlite] = peers.each("SELECT * FROM user WHERE id = ?", &keys[..PEER_LOOK_UPS]);
    row(
        &case("point look-up"),
        "us",
        median(ours),
        &[("SQLite", median(theirs)), duckdb, doltlite],
        "<= 1x SQLite",
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.push(each(
            &mut looking,
            "SELECT id, mail FROM user WHERE city = ?",
            &cities,
        ));
        theirs.push(peer_each(
            &sqlite,
            "SELECT id, mail FROM user WHERE city = ?",
            &cities,
        ));
    }
    let [duckdb, doltlite] = peers.each(
        "SELECT id, mail FROM user WHERE city = ?",
        &cities[..PEER_RANGES],
    );
    row(
        &case("index look-up of a thousandth"),
        "us",
        median(ours),
        &[("SQLite", median(theirs)), duckdb, doltlite],
        "<= 1.5x SQLite, < 1x doltlite",
    );
    for (what, sql) in SCANS {
        let (mut cold, mut warm, mut theirs_cold, mut theirs) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let opened = || {
            let repo = Repo::open(Arc::clone(people.repo.store()), people.repo.id()).unwrap();
            (Views::open(&repo).unwrap(), Kept::default())
        };
        // The first scan of a column stores it for those that follow.
        let (views, kept) = opened();
        let first = once(&mut session(&views, own(), &kept), sql);
        for _ in 0..3 {
            let (views, kept) = opened();
            cold.push(once(&mut session(&views, own(), &kept), sql));
            warm.push(once(&mut session(&views, own(), &kept), sql));
            theirs_cold.push(peer_once(&people.sqlite_opened(), sql));
            theirs.push(peer_once(&sqlite, sql));
        }
        let [duckdb, doltlite] = peers.once(sql);
        let others = |sqlite| [("SQLite", median(sqlite)), duckdb, doltlite];
        row(
            &case(&format!("{what}, leaves never scanned before")),
            "ms",
            first,
            &others(theirs_cold.clone()),
            "stated",
        );
        row(
            &case(&format!("{what}, cold: just opened")),
            "ms",
            median(cold),
            &others(theirs_cold),
            "<= 2x SQLite",
        );
        row(
            &case(&format!("{what}, leaves decoded")),
            "ms",
            median(warm),
            &others(theirs),
            "< 1x SQLite",
        );
    }
}
