//! Which plans the engine takes, and what it then does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use allod_sql::{ColumnType, Identity, Scalar, ScalarRef, Session, glob_range, like_range};
use proptest::prelude::*;

use crate::world::{Memories, Memory, Way, all};

/// A thousand rows: `k000` to `k999`, their number, and its last digit.
fn numbered(way: Way) -> (Session, Arc<AtomicU64>, Arc<AtomicU64>) {
    let columns = [
        ("k", ColumnType::Text),
        ("n", ColumnType::Integer),
        ("digit", ColumnType::Integer),
    ];
    let row = |n: i64| {
        vec![
            Scalar::from(format!("k{n:03}")),
            Scalar::from(n),
            Scalar::from(n % 10),
        ]
    };
    let mut memory = Memory::new(&columns, (0..1000).map(row).collect()).by(way);
    memory.identity = Identity::Key(0);
    let (read, decoded) = (Arc::clone(&memory.read), Arc::clone(&memory.decoded));
    (
        Memories::default().add("t", "", memory).session(),
        read,
        decoded,
    )
}

fn details(session: &mut Session, sql: &str) -> String {
    let rows = session.explain(sql).unwrap();
    rows.iter()
        .map(|row| row.detail.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn an_index_is_used_and_named() {
    let (mut session, read, _) = numbered(Way::Index(&[0]));
    for (sql, plan, count, rows) in [
        ("SELECT n FROM t WHERE k = 'k007'", "by_index (k=?)", 1, 1),
        (
            "SELECT n FROM t WHERE k IN ('k007', 'k009', 'none', NULL, 'k007')",
            "by_index (k IN ?)",
            2,
            2,
        ),
        (
            "SELECT n FROM t WHERE k > 'k990' AND k <= 'k995'",
            "by_index (k>? AND k<=?)",
            5,
            5,
        ),
        ("SELECT n FROM t WHERE k GLOB 'k12*'", "k GLOB ?)", 10, 10),
        (
            "SELECT n FROM t WHERE k LIKE 'K12%'",
            "by_index (k LIKE ?)",
            10,
            130,
        ),
        (
            "SELECT n FROM t WHERE k BETWEEN 'k1' AND 'k2'",
            "by_index (k>=? AND k<=?)",
            100,
            100,
        ),
        // What cannot be found by an index is read in passing.
        (
            "SELECT n FROM t WHERE k = 'K007' COLLATE NOCASE",
            "scan",
            1,
            1000,
        ),
        ("SELECT n FROM t WHERE n = 7", "scan", 1, 1000),
        ("SELECT n FROM t WHERE upper(k) = 'K007'", "scan", 1, 1000),
    ] {
        read.store(0, Relaxed);
        let shown = details(&mut session, sql);
        assert!(shown.contains(plan), "{sql}: {shown}");
        assert_eq!(all(&mut session, sql).len(), count, "{sql}");
        assert_eq!(read.load(Relaxed), rows, "{sql}");
    }
}

#[test]
fn a_join_looks_keys_up() {
    let (mut session, read, _) = numbered(Way::Index(&[0]));
    let sql =
        "SELECT b.n FROM t AS a JOIN t AS b ON b.k = 'k' || substr(a.k, 2) WHERE a.k < 'k010'";
    assert_eq!(all(&mut session, sql).len(), 10);
    assert_eq!(read.load(Relaxed), 20);
}

#[test]
fn an_order_that_a_table_keeps_is_not_made_again() {
    let (mut session, read, _) = numbered(Way::Index(&[0]));
    let sql = "SELECT n FROM t ORDER BY k DESC LIMIT 3";
    assert_eq!(all(&mut session, sql), ["999", "998", "997"]);
    assert_eq!(read.load(Relaxed), 3);
    assert!(!details(&mut session, sql).contains("B-TREE"));
    let sql = "SELECT n FROM t ORDER BY n DESC LIMIT 3";
    assert_eq!(all(&mut session, sql), ["999", "998", "997"]);
    assert!(details(&mut session, sql).contains("USE TEMP B-TREE FOR ORDER BY"));
}

#[test]
fn an_offset_is_left_to_a_table_that_takes_it() {
    let (mut session, read, _) = numbered(Way::All);
    for (sql, expected, rows) in [
        (
            "SELECT n FROM t ORDER BY k LIMIT 2 OFFSET 900",
            ["900", "901"],
            2,
        ),
        (
            "SELECT n FROM t LIMIT 1 + 1 OFFSET '900'",
            ["900", "901"],
            2,
        ),
        // Something else decides which rows there are.
        (
            "SELECT n FROM t WHERE n % 2 = 0 ORDER BY k LIMIT 2 OFFSET 10",
            ["20", "22"],
            24,
        ),
        (
            "SELECT DISTINCT digit FROM t LIMIT 2 OFFSET 3",
            ["3", "4"],
            401,
        ),
    ] {
        read.store(0, Relaxed);
        assert_eq!(all(&mut session, sql), expected, "{sql}");
        assert!(read.load(Relaxed) <= rows, "{sql}: {}", read.load(Relaxed));
    }
    assert_eq!(
        all(&mut session, "SELECT n FROM t LIMIT 1 OFFSET -5"),
        ["0"]
    );
    assert_eq!(
        all(
            &mut session,
            "SELECT count(*) FROM (SELECT 1 FROM t LIMIT -1 OFFSET 995)"
        ),
        ["5"]
    );
}

#[test]
fn columns_that_nobody_asks_for_are_not_read() {
    let (mut session, _, decoded) = numbered(Way::Scan);
    all(&mut session, "SELECT count(*) FROM t WHERE n > 5");
    assert_eq!(decoded.swap(0, Relaxed), 0b010);
    all(&mut session, "SELECT count(*) FROM t");
    assert_eq!(decoded.load(Relaxed), 0);
}

#[test]
fn a_prepared_statement_runs_again_with_other_values() {
    let (mut session, read, _) = numbered(Way::Index(&[0]));
    let mut statement = session.prepare("SELECT n FROM t WHERE k = ?1").unwrap();
    for n in [5_i64, 500, 999] {
        let rows = statement.rows(&[format!("k{n:03}").into()]).unwrap();
        assert_eq!(rows, [[Scalar::from(n)]]);
    }
    assert_eq!(read.load(Relaxed), 3);
    assert!(statement.is_read_only());
    let columns = statement.columns();
    assert_eq!(columns[0].name, "n");
    assert_eq!(columns[0].declared.as_deref(), Some("INTEGER"));
}

#[test]
fn a_value_that_an_index_might_miss_is_looked_for_in_all_rows() {
    let columns = [("t", ColumnType::Text), ("n", ColumnType::Integer)];
    let rows = [("05", 3), ("5", 2), (" 5", 1), ("x", 0)];
    let rows = rows.map(|(text, n)| vec![Scalar::from(text), Scalar::from(n)]);
    for way in [Way::Scan, Way::Index(&[0, 1]), Way::All] {
        let mut memory = Memory::new(&columns, rows.to_vec()).by(way);
        memory.identity = Identity::Number;
        let mut session = Memories::default().add("t", "", memory).session();
        for (sql, expected) in [
            ("SELECT n FROM t WHERE t = 5 ORDER BY n", vec!["2"]),
            (
                "SELECT n FROM t WHERE t = CAST('5' AS INTEGER) ORDER BY n",
                vec!["1", "2", "3"],
            ),
            (
                "SELECT n FROM t WHERE t IN (SELECT n + 3 FROM t) ORDER BY n",
                vec!["2"],
            ),
            (
                "SELECT n FROM t WHERE t IN (SELECT CAST(n + 3 AS INTEGER) FROM t) ORDER BY n",
                vec!["1", "2", "3"],
            ),
            ("SELECT n FROM t WHERE n = '2'", vec!["2"]),
            ("SELECT n FROM t WHERE n = ' 2.0 '", vec!["2"]),
            (
                "SELECT n FROM t WHERE n < 'x' ORDER BY n DESC LIMIT 1",
                vec!["3"],
            ),
            ("SELECT n FROM t WHERE t = NULL", vec![]),
            ("SELECT n FROM t WHERE t LIKE NULL", vec![]),
        ] {
            assert_eq!(all(&mut session, sql), expected, "{way:?} {sql}");
        }
    }
}

proptest! {
    #[test]
    fn what_a_pattern_matches_is_in_its_range(pattern in "[aAz%_*?\\[.\u{e9}]{0,5}", text in "[aAzZ.\u{e9}]{0,5}") {
        let mut session = Memories::default().session();
        let mut holds = |op: &str| {
            let mut statement = session.prepare(&format!("SELECT ?1 {op} ?2")).unwrap();
            let rows = statement.rows(&[text.as_str().into(), pattern.as_str().into()]).unwrap();
            rows[0][0] == Scalar::from(1)
        };
        let is_in = |range: Option<std::ops::Range<Vec<u8>>>| {
            range.is_none_or(|range| range.contains(&text.as_bytes().to_vec()))
        };
        prop_assert!(!holds("LIKE") || is_in(like_range(&pattern)));
        prop_assert!(!holds("GLOB") || is_in(glob_range(&pattern)));
    }

    #[test]
    fn values_have_the_order_of_the_engine(one in value(), two in value()) {
        let mut session = Memories::default().session();
        let mut statement = session.prepare("SELECT ?1 < ?2, ?1 IS ?2").unwrap();
        let rows = statement.rows(&[one.clone(), two.clone()]).unwrap();
        let order = one.borrow().compare(two.borrow());
        prop_assert_eq!(rows[0][1] == Scalar::from(1), order.is_eq());
        if !one.borrow().is_null() && !two.borrow().is_null() {
            prop_assert_eq!(rows[0][0] == Scalar::from(1), order.is_lt());
        }
    }
}

fn value() -> impl Strategy<Value = Scalar> {
    let near = prop::sample::select(vec![
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX - 1,
        i64::MAX,
    ]);
    let near =
        near.prop_flat_map(|n| prop_oneof![Just(Scalar::Integer(n)), Just(Scalar::Real(n as f64))]);
    prop_oneof![
        Just(Scalar::Null),
        near,
        any::<i64>().prop_map(Scalar::Integer),
        any::<f64>()
            .prop_filter("NaN is null", |it| !it.is_nan())
            .prop_map(Scalar::Real),
        "[a-c\u{e9}]{0,2}".prop_map(Scalar::Text),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Scalar::Blob),
    ]
}

#[test]
fn null_is_before_all_and_zero_has_no_sign() {
    assert!(
        ScalarRef::Null
            .compare(ScalarRef::Integer(i64::MIN))
            .is_lt()
    );
    assert!(ScalarRef::Real(-0.0).compare(ScalarRef::Integer(0)).is_eq());
    assert!(ScalarRef::Real(f64::NAN).compare(ScalarRef::Null).is_eq());
    assert!(ScalarRef::Text("z").compare(ScalarRef::Blob(b"")).is_lt());
}
