//! Random statements over our tables give what they give over the engine's own.

use std::fmt::Write as _;
use std::sync::Arc;

use allod_sql::{ColumnType, Identity, Limits, Scalar, Session};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;

use crate::world::{Memories, Memory, Way, cases, text};

/// The columns of every table; `k` is its key.
const COLUMNS: [(&str, ColumnType, &str); 7] = [
    ("k", ColumnType::Text, "TEXT"),
    ("i", ColumnType::Integer, "INTEGER"),
    ("r", ColumnType::Real, "REAL"),
    ("t", ColumnType::Text, "TEXT"),
    ("n", ColumnType::Numeric, "NUMERIC"),
    ("a", ColumnType::Any, ""),
    ("b", ColumnType::Blob, "BLOB"),
];

const TABLES: [&str; 3] = ["t0", "t1", "t2"];

/// Texts, some of which are numbers in one way or another.
const TEXTS: [&str; 12] = [
    "5",
    "05",
    " 5",
    "5.0",
    "5.5",
    "5e0",
    "abc",
    "ABC",
    "abd",
    "",
    "\u{e9}t\u{e9}",
    "+2",
];

const PATTERNS: [&str; 9] = ["ab%", "AB%", "%b%", "a_c", "5%", "5", "", "\u{e9}%", "ab"];
const GLOBS: [&str; 7] = ["ab*", "A*", "*", "?bc", "[a-b]*", "5*", "\u{e9}*"];

/// A generator of small numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.roll(one_in) == 0
    }
}

fn whole(dice: &mut Dice) -> Scalar {
    Scalar::Integer(dice.roll(8) as i64 - 1)
}

fn real(dice: &mut Dice) -> Scalar {
    Scalar::Real(dice.roll(16) as f64 / 2.0)
}

/// A value that a column of this type has.
fn stored(dice: &mut Dice, kind: ColumnType) -> Scalar {
    if dice.is(6) {
        return Scalar::Null;
    }
    let a_text = |dice: &mut Dice| Scalar::from(TEXTS[dice.roll(TEXTS.len())]);
    let bytes = |dice: &mut Dice| Scalar::Blob(vec![b'a'; dice.roll(3)]);
    match kind {
        ColumnType::Real => real(dice),
        // The engine makes a whole number of every real that is one.
        ColumnType::Numeric if dice.is(2) => Scalar::Real(dice.roll(8) as f64 + 0.5),
        ColumnType::Integer | ColumnType::Numeric => whole(dice),
        ColumnType::Text => a_text(dice),
        ColumnType::Blob => bytes(dice),
        _ => match dice.roll(4) {
            0 => whole(dice),
            1 => real(dice),
            2 => bytes(dice),
            _ => a_text(dice),
        },
    }
}

fn literal(value: &Scalar) -> String {
    match value {
        Scalar::Null => "NULL".to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Real(number) => format!("{number:?}"),
        Scalar::Text(text) => format!("'{text}'"),
        Scalar::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    }
}

fn any_literal(dice: &mut Dice) -> String {
    literal(&stored(dice, ColumnType::Any))
}

/// A column of one of these tables.
fn column(dice: &mut Dice, tables: &[&str]) -> String {
    format!(
        "{}.{}",
        dice.one(tables),
        COLUMNS[dice.roll(COLUMNS.len())].0
    )
}

/// What a column is compared with.
fn operand(dice: &mut Dice, tables: &[&str]) -> String {
    match dice.roll(10) {
        0..=4 => any_literal(dice),
        5..=7 => column(dice, tables),
        8 => {
            let kind = dice.one(&["INTEGER", "TEXT", "REAL", "NUMERIC"]);
            format!("CAST({} AS {kind})", any_literal(dice))
        }
        _ => format!("{} || ''", column(dice, tables)),
    }
}

fn condition(dice: &mut Dice, tables: &[&str], depth: usize) -> String {
    if depth > 0 && dice.is(3) {
        let one = condition(dice, tables, depth - 1);
        let two = condition(dice, tables, depth - 1);
        return match dice.roll(4) {
            0 => format!("({one} OR {two})"),
            1 => format!("NOT ({one})"),
            _ => format!("({one} AND {two})"),
        };
    }
    let left = column(dice, tables);
    match dice.roll(16) {
        0..=5 => {
            let op = dice.one(&["=", "=", "=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT"]);
            let collate = if dice.is(8) { " COLLATE NOCASE" } else { "" };
            format!("{left} {op} {}{collate}", operand(dice, tables))
        }
        6 => format!("{left} IS NULL"),
        7 => format!("{left} IS NOT NULL"),
        8 => format!(
            "{left} BETWEEN {} AND {}",
            operand(dice, tables),
            operand(dice, tables)
        ),
        9 | 10 => {
            let list: Vec<String> = (0..=dice.roll(4)).map(|_| any_literal(dice)).collect();
            let not = dice.one(&["", "NOT "]);
            format!("{left} {not}IN ({})", list.join(", "))
        }
        11 => {
            let table = dice.one(&TABLES);
            let inner = column(dice, &[table]);
            if dice.is(4) {
                // Two at a time, of the same types: the engine itself is inexact otherwise.
                return format!(
                    "({left}, x.k) IN (SELECT {}, k FROM {table})",
                    left.split('.').next_back().unwrap()
                );
            }
            format!(
                "{left} IN (SELECT {inner} FROM {table} WHERE {})",
                condition(dice, &[table], 0)
            )
        }
        12 => format!("{left} LIKE '{}'", dice.one(&PATTERNS)),
        13 => format!("{left} GLOB '{}'", dice.one(&GLOBS)),
        14 => {
            let table = dice.one(&TABLES);
            let inner = condition(dice, &["x"], 0);
            format!(
                "EXISTS (SELECT 1 FROM {table} AS x WHERE x.{} = {left} AND {inner})",
                COLUMNS[dice.roll(COLUMNS.len())].0
            )
        }
        _ => {
            let other = column(dice, tables);
            format!(
                "({left}, {other}) > ({}, {})",
                any_literal(dice),
                any_literal(dice)
            )
        }
    }
}

fn columns_of(name: &str) -> String {
    COLUMNS
        .map(|column| format!("{name}.{}", column.0))
        .join(", ")
}

/// A statement, and whether its rows have one order.
fn statement(dice: &mut Dice) -> (String, bool) {
    let (one, two) = (dice.one(&TABLES), dice.one(&TABLES));
    let direction = dice.one(&["", " DESC"]);
    match dice.roll(11) {
        0..=2 => {
            let condition = condition(dice, &["x"], 2);
            (format!("SELECT * FROM {one} AS x WHERE {condition}"), false)
        }
        3 | 4 => {
            let join = dice.one(&["JOIN", "LEFT JOIN", "JOIN", "FULL JOIN", ", "]);
            let on = if join == ", " {
                String::new()
            } else {
                format!("ON {}", condition(dice, &["x", "y"], 1))
            };
            let condition = condition(dice, &["x", "y"], 1);
            let sql = format!(
                "SELECT x.k, x.i, y.k, y.t, y.n FROM {one} AS x {join} {two} AS y {on} WHERE {condition}"
            );
            (sql, false)
        }
        5 => {
            let by = column(dice, &["x"]);
            let condition = condition(dice, &["x"], 1);
            let sql = format!(
                "SELECT {by}, count(*), count(x.t), sum(x.i), min(x.t), max(x.n), total(x.r) \
                 FROM {one} AS x WHERE {condition} GROUP BY {by} HAVING count(*) > {}",
                dice.roll(3)
            );
            (sql, false)
        }
        6 | 7 => {
            // Ordered by a column that an index may have, and then by all.
            let by = column(dice, &["x"]);
            let first = column(dice, &["x"]);
            let filter = match dice.roll(3) {
                0 => String::new(),
                1 => format!("WHERE {first} = {}", operand(dice, &["x"])),
                _ => format!("WHERE {}", condition(dice, &["x"], 1)),
            };
            let limit = match dice.roll(3) {
                0 => String::new(),
                1 => format!(" LIMIT {}", dice.roll(6)),
                _ => format!(" LIMIT {} OFFSET {}", dice.roll(6) as i64 - 1, dice.roll(5)),
            };
            let all = COLUMNS
                .map(|column| format!("x.{}{direction}", column.0))
                .join(", ");
            let sql = format!(
                "SELECT {} FROM {one} AS x {filter} ORDER BY {by}{direction}, {all}{limit}",
                columns_of("x")
            );
            (sql, true)
        }
        8 => {
            let by = column(dice, &["x"]);
            let condition = condition(dice, &["x"], 1);
            let sql = format!(
                "SELECT x.k, row_number() OVER (ORDER BY {by}, x.k), \
                 sum(x.i) OVER (PARTITION BY x.t ORDER BY x.k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) \
                 FROM {one} AS x WHERE {condition}"
            );
            (sql, false)
        }
        9 => {
            let (first, second) = (column(dice, &["x"]), column(dice, &["y"]));
            let op = dice.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            let sql = format!(
                "SELECT DISTINCT {first} FROM {one} AS x WHERE {} {op} SELECT {second} FROM {two} AS y",
                condition(dice, &["x"], 1)
            );
            (sql, false)
        }
        _ => {
            let sql = format!(
                "WITH RECURSIVE up(n) AS (SELECT 0 UNION SELECT x.i + 1 FROM up JOIN {one} AS x \
                 ON x.i = up.n WHERE {}) SELECT n, (SELECT count(*) FROM {two} AS y WHERE y.i = n) FROM up",
                condition(dice, &["x"], 1)
            );
            (sql, false)
        }
    }
}

/// Ways to find rows, the key's and others.
const WAYS: [Way; 8] = [
    Way::Scan,
    Way::All,
    Way::Index(&[0]),
    Way::Index(&[1, 3]),
    Way::Index(&[3, 1]),
    Way::Index(&[3]),
    Way::Index(&[4, 2]),
    Way::Index(&[2]),
];

/// Our tables and the engine's own, with the same rows.
fn worlds(dice: &mut Dice) -> (Session, Connection, String) {
    let engine = Connection::open_in_memory().unwrap();
    engine
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)
        .unwrap();
    let mut ours = Memories::default();
    let mut world = String::new();
    for name in TABLES {
        let count = dice.roll(12);
        let row = |at: usize, dice: &mut Dice| {
            let mut row: Vec<Scalar> = COLUMNS.map(|column| stored(dice, column.1)).to_vec();
            row[0] = Scalar::from(format!("k{at:02}"));
            row
        };
        let rows: Vec<Vec<Scalar>> = (0..count).map(|at| row(at, dice)).collect();
        let columns = COLUMNS.map(|column| format!("{} {}", column.0, column.2));
        let create = format!("CREATE TABLE {name} ({});", columns.join(", "));
        engine.execute_batch(&create).unwrap();
        writeln!(world, "{create}").unwrap();
        for row in &rows {
            let values: Vec<String> = row.iter().map(literal).collect();
            let insert = format!("INSERT INTO {name} VALUES ({});", values.join(", "));
            engine.execute_batch(&insert).unwrap();
            writeln!(world, "{insert}").unwrap();
        }
        let columns = COLUMNS.map(|column| (column.0, column.1));
        let way = WAYS[dice.roll(WAYS.len())];
        let mut memory = Memory::new(&columns, rows).by(way);
        memory.identity = match dice.roll(3) {
            0 => Identity::Counted,
            1 => Identity::Number,
            _ => Identity::Key(0),
        };
        writeln!(world, "-- {name}: {way:?}, {:?}", memory.identity).unwrap();
        ours = ours.add(name, "", memory);
    }
    let session = Session::new(Arc::new(ours), Limits::default(), || 0).unwrap();
    (session, engine, world)
}

/// A row, with one spelling for equal numbers: which of them stands for all is up to the engine.
fn shown(row: &[Scalar]) -> String {
    let row: Vec<Scalar> = row
        .iter()
        .map(|value| match value {
            Scalar::Integer(number) => Scalar::Real(*number as f64),
            value => value.clone(),
        })
        .collect();
    text(&row)
}

fn of_engine(engine: &Connection, sql: &str) -> Result<Vec<String>, String> {
    let mut statement = engine.prepare(sql).map_err(|error| error.to_string())?;
    let count = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..count).map(|at| row.get::<_, Value>(at));
        let values: rusqlite::Result<Vec<Scalar>> = values
            .map(|value| {
                Ok(match value? {
                    Value::Null => Scalar::Null,
                    Value::Integer(number) => Scalar::Integer(number),
                    Value::Real(number) => Scalar::Real(number),
                    Value::Text(text) => Scalar::Text(text),
                    Value::Blob(bytes) => Scalar::Blob(bytes),
                })
            })
            .collect();
        Ok(shown(&values?))
    });
    rows.unwrap()
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

#[test]
fn statements_give_what_they_give_over_tables_of_the_engine() {
    let (mut with_rows, mut orders) = (0, 0);
    for seed in 1..=u64::from(cases(400)) {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (mut session, engine, world) = worlds(&mut dice);
        for _ in 0..25 {
            let (sql, is_ordered) = statement(&mut dice);
            let expected = of_engine(&engine, &sql);
            let given = session
                .prepare(&sql)
                .and_then(|mut statement| statement.rows(&[]));
            let (mut expected, given) = match (expected, given) {
                (Ok(expected), Ok(given)) => (expected, given),
                (Err(_), Err(_)) => continue,
                (expected, given) => {
                    panic!("seed {seed}\n{world}{sql}\n{expected:?}\n{given:?}")
                }
            };
            let mut given: Vec<String> = given.iter().map(|row| shown(row)).collect();
            if !is_ordered {
                expected.sort();
                given.sort();
            }
            with_rows += u32::from(!expected.is_empty());
            orders += u32::from(is_ordered && expected.len() > 1);
            let plan = session.explain(&sql);
            assert_eq!(given, expected, "seed {seed}\n{world}{sql}\n{plan:#?}");
        }
    }
    assert!(with_rows > 3000 && orders > 400, "{with_rows} {orders}");
}
