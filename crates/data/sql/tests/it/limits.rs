//! Every limit is reached, and says which it was.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use allod_sql::{ColumnType, Identity, Limit, Limits, Scalar, Session, SqlError};

use crate::world::{Memories, Memory, Way, ask, people};

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ";

fn limited(limits: Limits) -> Session {
    Memories::default()
        .add("user", "", people(&[("a", "Ada", 36)]))
        .session_with(limits)
}

fn limit(session: &mut Session, sql: &str) -> Limit {
    match ask(session, sql) {
        Err(SqlError::Limit(limit)) => limit,
        other => panic!("{sql:.80}: {other:?}"),
    }
}

#[test]
fn a_statement_has_its_time() {
    let time = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&time);
    let limits = Limits {
        time_ms: 50,
        ..Limits::default()
    };
    let catalog = Memories::default().add("user", "", people(&[("a", "Ada", 36)]));
    let mut session = Session::new(Arc::new(catalog), limits, move || {
        clock.fetch_add(1, Relaxed)
    })
    .unwrap();
    assert_eq!(
        limit(&mut session, &format!("{ENDLESS} count(*) FROM n")),
        Limit::Time
    );
    assert!(time.load(Relaxed) >= 50);
    // The next has its own.
    assert_eq!(ask(&mut session, "SELECT name FROM user").unwrap(), ["Ada"]);
}

#[test]
fn the_time_goes_on_while_rows_are_sorted_here() {
    // Numbers in a column of texts: the table's plan is not taken, and its order is made here.
    let time = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&time);
    let columns = [("k", ColumnType::Text), ("v", ColumnType::Integer)];
    let row = |at: i64| vec![Scalar::from("5"), Scalar::from(at)];
    let mut table = Memory::new(&columns, (0..50_000).map(row).collect()).by(Way::All);
    table.identity = Identity::Number;
    let catalog = Memories::default().add("t", "", table);
    let limits = Limits {
        time_ms: 20,
        ..Limits::default()
    };
    let mut session = Session::new(Arc::new(catalog), limits, move || {
        clock.fetch_add(1, Relaxed)
    })
    .unwrap();
    let sql = "SELECT v FROM t WHERE k = CAST('5' AS INTEGER) ORDER BY v";
    assert_eq!(limit(&mut session, sql), Limit::Time);
}

#[test]
fn a_session_is_cancelled_from_elsewhere() {
    let mut session = limited(Limits::default());
    let cancel = session.canceller();
    let thread = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            cancel.cancel();
        }
    });
    let sql = format!("{ENDLESS} count(*) FROM n");
    assert_eq!(ask(&mut session, &sql), Err(SqlError::Cancelled));
    thread.join().unwrap();
    // It stays so until it is cleared.
    assert_eq!(ask(&mut session, "SELECT 1"), Err(SqlError::Cancelled));
    cancel.clear();
    assert_eq!(ask(&mut session, "SELECT 1").unwrap(), ["1"]);
}

#[test]
fn a_result_has_so_many_rows() {
    let limits = Limits {
        rows: 10,
        ..Limits::default()
    };
    let mut session = limited(limits);
    let sql = |count| format!("{ENDLESS} i FROM n LIMIT {count}");
    assert_eq!(ask(&mut session, &sql(10)).unwrap().len(), 10);
    assert_eq!(limit(&mut session, &sql(11)), Limit::Rows);
    let mut statement = session
        .prepare("SELECT value FROM json_each('[1,2,3]')")
        .unwrap();
    let done = statement
        .query(&[], &mut |_| ControlFlow::Break(()))
        .unwrap();
    assert!(done.is_stopped && done.rows == 1);
}

#[test]
fn the_engine_has_so_much_memory() {
    let limits = Limits {
        memory_bytes: 48 << 20,
        ..Limits::default()
    };
    let mut session = limited(limits);
    for sql in [
        "count(*) FROM (SELECT i, hex(zeroblob(500)) AS h FROM n ORDER BY h, i DESC)",
        "count(DISTINCT i || hex(zeroblob(200))) FROM n",
    ] {
        assert_eq!(
            limit(&mut session, &format!("{ENDLESS} {sql}")),
            Limit::Memory
        );
    }
    assert_eq!(ask(&mut session, "SELECT 1").unwrap(), ["1"]);
}

#[test]
fn statements_and_values_have_sizes() {
    let limits = Limits {
        sql_bytes: 20_000,
        expression_depth: 20,
        columns: 16,
        compound_selects: 3,
        pattern_bytes: 10,
        value_bytes: 1000,
        variables: 4,
        tables: 3,
        ..Limits::default()
    };
    let many = |part: &str, count: usize, between: &str| vec![part; count].join(between);
    let mut session = limited(limits);
    for (sql, expected) in [
        (
            format!("SELECT {}", many("(1)", 7000, " ")),
            Limit::Statement,
        ),
        (format!("SELECT {}", many("1", 30, " + ")), Limit::Depth),
        (
            format!("SELECT {}1{}", "(".repeat(3000), ")".repeat(3000)),
            Limit::Depth,
        ),
        (format!("SELECT {}", many("1", 17, ", ")), Limit::Columns),
        (
            format!("SELECT 1 ORDER BY {}", many("1", 17, ", ")),
            Limit::Columns,
        ),
        (many("SELECT 1", 4, " UNION "), Limit::CompoundSelects),
        (
            "SELECT name LIKE '%12345678901' FROM user".to_owned(),
            Limit::Pattern,
        ),
        (
            "SELECT name GLOB '12345678901*' FROM user".to_owned(),
            Limit::Pattern,
        ),
        ("SELECT hex(zeroblob(600))".to_owned(), Limit::Value),
        ("SELECT zeroblob(10000000000)".to_owned(), Limit::Value),
        (
            "SELECT replace('aaaaaaaaaa', 'a', printf('%200d', 1))".to_owned(),
            Limit::Value,
        ),
        (
            "SELECT group_concat(value) FROM json_each('[\"' || hex(zeroblob(300)) || '\"]'), \
          (VALUES (1), (2))"
                .to_owned(),
            Limit::Value,
        ),
        ("SELECT ?5".to_owned(), Limit::Variables),
        ("SELECT ?, ?, ?, ?, ?".to_owned(), Limit::Variables),
        (
            "SELECT 1 FROM user, user, user, user".to_owned(),
            Limit::Tables,
        ),
    ] {
        assert_eq!(limit(&mut session, &sql), expected, "{sql:.80}");
    }
    let sql = "SELECT 1 WHERE ?1 = 'x'";
    let value = Scalar::Text("x".repeat(1001));
    let given = session.prepare(sql).unwrap().rows(&[value]);
    assert_eq!(given, Err(SqlError::Limit(Limit::Value)));
    let mut session = limited(Limits::default());
    let sql = format!("SELECT 1 FROM {}", many("user", 65, ", "));
    assert_eq!(limit(&mut session, &sql), Limit::Tables);
    let sql = format!("SELECT max({})", many("1", 200, ", "));
    assert_eq!(limit(&mut session, &sql), Limit::Statement);
}

#[test]
fn a_table_has_so_many_columns() {
    let names: Vec<String> = (0..17).map(|at| format!("c{at}")).collect();
    let columns: Vec<(&str, ColumnType)> = names
        .iter()
        .map(|name| (name.as_str(), ColumnType::Text))
        .collect();
    let limits = Limits {
        columns: 16,
        ..Limits::default()
    };
    let mut session = Memories::default()
        .add("wide", "", Memory::new(&columns, Vec::new()))
        .session_with(limits);
    assert_eq!(limit(&mut session, "SELECT c0 FROM wide"), Limit::Columns);
}

#[test]
fn a_session_begins_anew_when_it_has_many_tables() {
    let mut catalog = Memories::default();
    for state in 0..50 {
        let rows = [("a", "Ada", state)];
        catalog = catalog.add("user", &format!("v{state}"), people(&rows));
    }
    let limits = Limits {
        tables: 4,
        ..Limits::default()
    };
    let mut session = catalog.session_with(limits);
    for state in 0..50 {
        let sql = format!("SELECT age FROM user AS OF 'v{state}'");
        assert_eq!(ask(&mut session, &sql).unwrap(), [state.to_string()]);
    }
}

#[test]
fn parameters_are_as_many_as_values() {
    let mut session = limited(Limits::default());
    let mut statement = session.prepare("SELECT ?1, :name, @x").unwrap();
    let names = [Some("?1"), Some(":name"), Some("@x")];
    assert_eq!(
        statement.parameters(),
        names.map(|name| name.map(str::to_owned))
    );
    let error = statement.rows(&[Scalar::Null]).unwrap_err();
    assert_eq!(
        error,
        SqlError::Parameters {
            expected: 3,
            given: 1
        }
    );
    let values = [Scalar::from(1), Scalar::from("x"), Scalar::Blob(vec![0])];
    assert_eq!(statement.rows(&values).unwrap(), [values.to_vec()]);
}
