//! The past beside the present, differences, and sums that are kept.

use allod_repo::{BranchName, CommitId};
use allod_sql::Session;
use allod_tables::{Kept, Own};
use allod_views::Views;

use crate::people::People;
use crate::queries::{each, once, session};
use crate::{median, ms, row};

/// Commits between the present and the past that is asked for.
const COMMITS: usize = 1000;

/// Records that differ between two states.
const CHANGES: usize = 100;

/// Look-ups for a figure.
const LOOK_UPS: usize = 2000;

/// Sessions, each for one statement.
const SESSIONS: usize = 50;

const ROUNDS: usize = 5;

pub(crate) fn run(people: &mut People, size: usize) {
    let main = BranchName::main();
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    let views = Views::open(&people.repo).unwrap();
    let kept = Kept::default();
    people.stage(size, CHANGES, 20_000);
    people.commit();
    let past = people.head();
    views.branch(&main).unwrap().refresh(go_on).unwrap();
    for round in 0..COMMITS {
        people.stage(size, 1, 30_000 + round);
        people.commit();
    }
    let before = people.head();
    people.stage(size, CHANGES, 40_000);
    people.commit();
    views.branch(&main).unwrap().refresh(go_on).unwrap();
    let now = || session(&views, Own::Working(main.clone()), &kept);
    as_of(&now, past, size);
    diff(&now, (before, people.head()), size);
    people.group();
    views.branch(&main).unwrap().refresh(go_on).unwrap();
    let cities: Vec<String> = (0..LOOK_UPS)
        .map(|n| format!("city {}", n * 13 % 1000))
        .collect();
    let mut present = now();
    let (mut looked, mut summed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        looked.push(each(
            &mut present,
            "SELECT n, total FROM ages_by_city WHERE city = ?",
            &cities,
        ));
        summed.push(each(
            &mut present,
            "SELECT count(*), sum(age) FROM user WHERE city = ?",
            &cities[..50],
        ));
    }
    row(
        &format!("a count and a sum of a thousandth, kept by a projection, {size} records"),
        "us",
        median(looked),
        &[("the same, summed over an index", median(summed))],
        "stated",
    );
}

/// The same statements of the past and of the present.
fn as_of(now: &impl Fn() -> Session, past: CommitId, size: usize) {
    let of_past = format!("user AS OF '{past}'");
    let case = |what: &str| format!("{what} AS OF {COMMITS} commits back, {size} records");
    let keys: Vec<String> = (0..LOOK_UPS)
        .map(|n| format!("{:08}", n * 7919 % size))
        .collect();
    let cities: Vec<String> = (0..50).map(|n| format!("city {}", n * 13)).collect();
    for (what, sql, parameters) in [
        ("point look-up", "SELECT * FROM user WHERE _id = ?", &keys),
        (
            "index look-up of a thousandth",
            "SELECT id, mail FROM user WHERE city = ?",
            &cities,
        ),
    ] {
        let then = sql.replace("user", &of_past);
        let mut asked = now();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        // The first round is for the caches.
        for _ in 0..=ROUNDS {
            new.push(each(&mut asked, sql, parameters));
            old.push(each(&mut asked, &then, parameters));
        }
        let (old, new) = (median(old.split_off(1)), median(new.split_off(1)));
        let peers = [("the present", new)];
        row(&case(what), "us", old, &peers, "<= 1.2x the present");
    }
    let sql = "SELECT role, count(*), sum(age) FROM user GROUP BY role";
    let then = sql.replace("user", &of_past);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        new.push(once(&mut now(), sql));
        old.push(once(&mut now(), &then));
    }
    let (old, new) = (median(old.split_off(1)), median(new.split_off(1)));
    let peers = [("the present", new)];
    let sums = case("sums by group, leaves decoded,");
    row(&sums, "ms", old, &peers, "<= 1.2x the present");
    // All that one who asks once waits for: tables are bound, the statement is prepared.
    let key = &keys[keys.len() / 2];
    let sql = format!("SELECT * FROM user WHERE _id = '{key}'");
    let then = sql.replace("user", &of_past);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for _ in 0..SESSIONS {
        for (sql, figures) in [(&sql, &mut new), (&then, &mut old)] {
            let started = std::time::Instant::now();
            let mut asked = now();
            let found = asked.prepare(sql).unwrap().rows(&[]).unwrap();
            figures.push(ms(started) * 1000.0);
            assert_eq!(found.len(), 1);
        }
    }
    let peers = [("the present", median(new))];
    let whole = case("point look-up with its session");
    row(&whole, "us", median(old), &peers, "stated");
}

/// What differs between two states, with the session that is made for it.
fn diff(now: &impl Fn() -> Session, (before, after): (CommitId, CommitId), size: usize) {
    let sql = format!("DIFF '{before}' '{after}' ON user");
    let mut figures = Vec::new();
    for _ in 0..SESSIONS {
        let started = std::time::Instant::now();
        let mut asked = now();
        let rows = asked.prepare(&sql).unwrap().rows(&[]).unwrap();
        figures.push(ms(started));
        assert_eq!(rows.len(), CHANGES);
    }
    row(
        &format!("DIFF of {CHANGES} changes, {size} records"),
        "ms",
        median(figures),
        &[],
        "< 5 ms at 1 M",
    );
}
