//! What statements try, and must not get; and tables that fail.

use std::sync::Arc;

use allod_sql::{
    Ask, Column, ColumnType, Identity, OnConflict, Op, Open, Plan, Rows, Scalar, ScalarRef,
    Session, SqlError, Table, TableError,
};

use crate::world::{Memories, all, ask, code, people};

fn session() -> Session {
    Memories::default()
        .add(
            "user",
            "",
            people(&[("a", "Ada", 36)]).with(Identity::Key(0)),
        )
        .session()
}

#[test]
fn nothing_but_tables_of_the_catalog_is_reached() {
    let mut session = session();
    all(&mut session, "SELECT * FROM user");
    for sql in [
        "SELECT * FROM sqlite_schema",
        "SELECT count(*) FROM sqlite_master",
        "SELECT sql FROM main.sqlite_master",
        "SELECT name FROM sqlite_temp_schema",
        "SELECT * FROM user WHERE key IN (SELECT name FROM sqlite_schema)",
        "WITH x AS (SELECT * FROM sqlite_schema) SELECT count(*) FROM x",
        "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x(a)')",
        "UPDATE sqlite_schema SET sql = ''",
        "DELETE FROM sqlite_schema",
        "DELETE FROM user WHERE key IN (SELECT name FROM sqlite_schema)",
        "SELECT * FROM pragma_table_list",
        "SELECT count(*) FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('user')",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT fts3_tokenizer('simple', x'00')",
        "SELECT sqlite_log(1, 'x')",
        "SELECT sqlite_compileoption_get(1)",
        "SELECT rtreecheck('user')",
        "SELECT changes(), last_insert_rowid()",
        "SELECT fts5_source_id()",
        "SELECT key FROM user ORDER BY total_changes()",
    ] {
        assert_eq!(code(&mut session, sql), "E_SQL_DENIED", "{sql}");
    }
    for sql in [
        "SELECT * FROM dbstat",
        "SELECT * FROM fts3tokenize",
        "SELECT * FROM fts5vocab",
        "SELECT * FROM temp.user",
        "SELECT * FROM other.user",
        "SELECT readfile('/etc/passwd') FROM nowhere",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT * FROM fsdir('/')",
        "SELECT * FROM allod_rows",
        "SELECT * FROM allod_keys()",
    ] {
        assert_eq!(code(&mut session, sql), "E_SQL_TABLE", "{sql}");
    }
    for sql in [
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT edit('x')",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT * FROM user WHERE user MATCH 'x'",
    ] {
        let code = code(&mut session, sql);
        assert!(
            matches!(code, "E_SQL" | "E_SQL_DENIED" | "E_SQL_COLUMN"),
            "{sql}: {code}"
        );
    }
    assert_eq!(all(&mut session, "SELECT count(*) FROM user"), ["1"]);
}

#[test]
fn what_reads_only_values_is_allowed() {
    let mut session = session();
    for (sql, expected) in [
        (
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) FROM n",
            "10",
        ),
        ("WITH c AS (SELECT 1) SELECT count(*) FROM c", "1"),
        ("SELECT upper(name) || '!' FROM user", "ADA!"),
        ("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]')", "2"),
        ("SELECT key ->> '$' FROM json_tree('[7]') WHERE atom", "0"),
        ("SELECT date('2024-02-28', '+1 day')", "2024-02-29"),
        ("SELECT count(*) FILTER (WHERE 1) OVER () FROM user", "1"),
        ("VALUES (1) UNION SELECT 2 LIMIT 1", "1"),
    ] {
        assert_eq!(all(&mut session, sql), [expected], "{sql}");
    }
}

#[test]
fn a_text_that_is_no_utf8_comes_as_bytes() {
    let mut session = session();
    assert_eq!(
        all(&mut session, "SELECT CAST(x'ff41' AS TEXT), 'A'"),
        ["[ff, 41] A"]
    );
    let sql = "SELECT name FROM user WHERE key = CAST(x'ff' AS TEXT)";
    assert_eq!(all(&mut session, sql), [""; 0]);
    assert_eq!(
        code(&mut session, "UPDATE user SET name = CAST(x'ff' AS TEXT)"),
        "E_SQL_CONSTRAINT"
    );
}

/// A table that fails, or panics, in one place.
struct Bad(&'static str);

impl Bad {
    fn at(&self, place: &str) -> Result<(), TableError> {
        if self.0 == place {
            return Err(TableError::Fault {
                code: "E_IO",
                message: format!("broken in {place}"),
            });
        }
        self.panics_at(place);
        Ok(())
    }

    fn panics_at(&self, place: &str) {
        let is_here = self.0.strip_prefix('!') == Some(place);
        assert!(!is_here, "on purpose in {place}");
    }
}

impl Table for Bad {
    fn columns(&self) -> &[Column] {
        static COLUMNS: std::sync::LazyLock<[Column; 2]> = std::sync::LazyLock::new(|| {
            ["key", "value"].map(|name| Column::new(name, ColumnType::Integer))
        });
        &*COLUMNS
    }

    fn identity(&self) -> Identity {
        Identity::Number
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        self.panics_at("plan");
        let mut plan = Plan::scan(3);
        match self.0 {
            "too far" => plan.takes = vec![ask.constraints.len()],
            "twice" if !ask.constraints.is_empty() => plan.takes = vec![0, 0],
            "early offset" => {
                let is_offset = |at: &usize| ask.constraints[*at].op == Op::Offset;
                plan.takes = (0..ask.constraints.len()).filter(is_offset).collect();
            }
            _ => {}
        }
        plan
    }

    fn open(&self, _: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        self.at("open")?;
        Ok(Box::new(BadRows(Self(self.0), 0)))
    }

    fn insert(&self, _: &[ScalarRef<'_>], _: OnConflict) -> Result<i64, TableError> {
        self.at("insert").map(|()| 1)
    }

    fn begin(&self) -> Result<(), TableError> {
        self.at("begin")
    }

    fn commit(&self) -> Result<(), TableError> {
        self.at("commit")
    }

    fn rollback(&self) {
        self.panics_at("rollback");
    }
}

struct BadRows(Bad, i64);

impl Rows for BadRows {
    fn next(&mut self) -> Result<bool, TableError> {
        self.1 += 1;
        if self.1 == 2 {
            self.0.at("next")?;
        }
        Ok(self.1 <= 3)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        if index == 1 {
            self.0.at("column")?;
        }
        Ok(ScalarRef::Integer(self.1))
    }

    fn row_id(&self) -> i64 {
        self.0.panics_at("row_id");
        self.1
    }
}

impl Drop for BadRows {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.panics_at("drop");
        }
    }
}

fn bad(place: &'static str, sql: &str) -> Result<Vec<String>, SqlError> {
    let mut session = Memories::default().add("bad", "", Bad(place)).session();
    let result = ask(&mut session, sql);
    // The session is as good as it was.
    assert_eq!(ask(&mut session, "SELECT 5").unwrap(), ["5"]);
    result
}

#[test]
fn what_a_table_says_comes_out_as_it_was() {
    for place in ["open", "next", "column", "insert", "begin", "commit"] {
        let sql = match place {
            "insert" | "begin" | "commit" => "INSERT INTO bad VALUES (1, 2)",
            _ => "SELECT max(value) FROM bad WHERE key > 0",
        };
        let expected = SqlError::Table {
            table: "bad".to_owned(),
            code: "E_IO",
            message: format!("broken in {place}"),
        };
        assert_eq!(bad(place, sql).unwrap_err(), expected);
        assert_eq!(expected.code(), "E_SQL_TABLE_FAULT");
    }
    assert_eq!(
        bad("", "SELECT sum(value), max(rowid) FROM bad").unwrap(),
        ["6 3"]
    );
}

#[test]
fn a_panic_of_a_table_is_an_error() {
    for place in [
        "!plan", "!open", "!next", "!column", "!row_id", "!drop", "!insert", "!begin", "!commit",
    ] {
        let sql = match place {
            "!insert" | "!begin" | "!commit" => "INSERT INTO bad VALUES (1, 2)",
            _ => "SELECT value, rowid FROM bad WHERE key > 0",
        };
        let error = bad(place, sql).unwrap_err();
        assert_eq!(error.code(), "E_SQL_TABLE_FAULT", "{place}: {error}");
        assert!(error.to_string().contains("panicked"), "{place}: {error}");
    }
}

#[test]
fn a_plan_that_breaks_its_contract_is_refused() {
    for (place, sql) in [
        ("too far", "SELECT * FROM bad"),
        ("too far", "SELECT * FROM bad WHERE key = 1"),
        ("twice", "SELECT * FROM bad WHERE key = 1"),
        (
            "early offset",
            "SELECT * FROM bad ORDER BY value LIMIT 1 OFFSET 1",
        ),
    ] {
        assert_eq!(
            bad(place, sql).unwrap_err().code(),
            "E_SQL_TABLE_FAULT",
            "{place}: {sql}"
        );
    }
}

#[test]
fn names_of_all_kinds_are_names() {
    let columns = [
        ("a\"b", ColumnType::Text),
        ("x TEXT); DROP TABLE y; --", ColumnType::Integer),
        ("select", ColumnType::Integer),
    ];
    let row = vec![Scalar::from("v"), Scalar::from(2), Scalar::from(3)];
    let table = crate::world::Memory::new(&columns, vec![row]);
    let name = "t\"; DROP TABLE user; --";
    let mut session = Memories::default()
        .add(&name.to_ascii_lowercase(), "", table)
        .session();
    let sql = format!(
        "SELECT \"a\"\"b\", \"select\", [x TEXT); DROP TABLE y; --] FROM \"{}\"",
        name.replace('"', "\"\"")
    );
    assert_eq!(all(&mut session, &sql), ["v 3 2"]);
}

#[test]
fn tables_outlive_what_they_are_bound_to() {
    let table: Arc<dyn Table> = Arc::new(people(&[("a", "Ada", 36)]));
    let mut catalog = Memories::default();
    catalog
        .tables
        .insert(("user".to_owned(), String::new()), Arc::clone(&table));
    let mut session = catalog.session();
    all(&mut session, "SELECT * FROM user");
    drop(session);
    assert_eq!(Arc::strong_count(&table), 1);
}
