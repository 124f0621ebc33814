//! What statements write, and what becomes of it when they fail.

use std::sync::{Arc, Mutex};

use allod_sql::{Identity, Scalar, Session, SqlError};

use crate::world::{Memories, Memory, all, ask, code, people, text};

type Stored = Arc<Mutex<Vec<(i64, Vec<Scalar>)>>>;

fn table(identity: Identity) -> (Memory, Stored) {
    let memory = people(&[("a", "Ada", 36), ("b", "Bea", 41), ("c", "Cyd", 20)]).with(identity);
    let rows = Arc::clone(&memory.rows);
    (memory, rows)
}

fn session(identity: Identity) -> (Session, Stored) {
    let (memory, rows) = table(identity);
    (Memories::default().add("user", "", memory).session(), rows)
}

fn stored(rows: &Stored) -> Vec<String> {
    rows.lock()
        .unwrap()
        .iter()
        .map(|row| text(&row.1))
        .collect()
}

fn written(session: &mut Session, sql: &str) -> u64 {
    let mut statement = session.prepare(sql).unwrap();
    assert!(!statement.is_read_only());
    statement
        .query(&[], &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap()
        .written
}

#[test]
fn rows_are_written_by_key_and_by_number() {
    for identity in [Identity::Key(0), Identity::Number] {
        let (mut session, rows) = session(identity);
        let insert = "INSERT INTO user (key, name) VALUES ('d', 'Dan'), ('e', 'Eve')";
        assert_eq!(written(&mut session, insert), 2);
        assert_eq!(
            written(
                &mut session,
                "UPDATE user SET age = coalesce(age, 0) + 1 WHERE key > 'a'"
            ),
            4
        );
        assert_eq!(
            written(&mut session, "DELETE FROM user WHERE name LIKE 'c%'"),
            1
        );
        assert_eq!(
            stored(&rows),
            ["a Ada 36", "b Bea 42", "d Dan 1", "e Eve 1"]
        );
        let copied = "INSERT INTO user SELECT key || key, name, age FROM user WHERE age > 1";
        assert_eq!(written(&mut session, copied), 2);
        assert_eq!(
            all(&mut session, "SELECT count(*), max(key) FROM user"),
            ["6 e"]
        );
        let mut statement = session.prepare("DELETE FROM user WHERE key = ?1").unwrap();
        for (key, count) in [("aa", 1), ("aa", 0), ("bb", 1)] {
            let done = statement.query(&[key.into()], &mut |_| panic!("no rows"));
            assert_eq!(done.unwrap().written, count);
        }
        drop(statement);
        assert_eq!(written(&mut session, "DELETE FROM user"), 4);
        assert_eq!(all(&mut session, "SELECT * FROM user"), [""; 0]);
    }
}

#[test]
fn columns_that_stay_are_not_given() {
    let (memory, _) = table(Identity::Key(0));
    let decoded = Arc::clone(&memory.decoded);
    let mut session = Memories::default().add("user", "", memory).session();
    written(&mut session, "UPDATE user SET age = 1 WHERE key = 'b'");
    let read = decoded.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(read & 0b010, 0, "the name was read: {read:b}");
}

#[test]
fn a_key_that_is_there_is_a_conflict_or_not() {
    let (mut session, rows) = session(Identity::Key(0));
    let error = ask(
        &mut session,
        "INSERT INTO user VALUES ('x', 'X', 1), ('a', 'A', 1)",
    )
    .unwrap_err();
    let expected = SqlError::Constraint {
        table: "user".to_owned(),
        message: "the key is there".to_owned(),
    };
    assert_eq!(error, expected);
    // Nothing of a statement that failed stays.
    assert_eq!(stored(&rows).len(), 3);
    let ignored = "INSERT OR IGNORE INTO user VALUES ('a', 'A', 1), ('x', 'X', 1)";
    assert_eq!(all(&mut session, ignored), [""; 0]);
    let replaced = "REPLACE INTO user VALUES ('b', 'B', 1)";
    assert_eq!(all(&mut session, replaced), [""; 0]);
    assert_eq!(stored(&rows), ["a Ada 36", "c Cyd 20", "x X 1", "b B 1"]);
    assert_eq!(
        code(&mut session, "INSERT INTO user VALUES (NULL, 'A', 1)"),
        "E_SQL_CONSTRAINT"
    );
    assert_eq!(
        code(&mut session, "INSERT INTO user (kay) VALUES (1)"),
        "E_SQL_COLUMN"
    );
}

#[test]
fn what_cannot_be_written_says_so() {
    for sql in [
        "INSERT INTO user VALUES ('d', 'Dan', 7)",
        "UPDATE user SET age = 1",
        "DELETE FROM user",
        "DELETE FROM user AS OF 'v1'",
        "UPDATE user AS OF 'v1' SET age = 1 WHERE key = 'a'",
        "INSERT INTO user AS OF 'v1' (key) VALUES ('d')",
    ] {
        let mut session = Memories::default()
            .add("user", "", people(&[("a", "Ada", 36)]))
            .add("user", "v1", people(&[("a", "Ada", 36)]))
            .session();
        let error = ask(&mut session, sql).unwrap_err();
        let table = "user".to_owned();
        assert_eq!(error, SqlError::ReadOnly { table }, "{sql}");
    }
    // Rows that cannot be told apart can be added, and no more.
    let (mut session, rows) = session(Identity::Counted);
    assert_eq!(
        written(&mut session, "INSERT INTO user VALUES ('d', 'Dan', 7)"),
        1
    );
    assert_eq!(
        code(&mut session, "DELETE FROM user WHERE key = 'a'"),
        "E_SQL_READ_ONLY"
    );
    assert_eq!(
        code(&mut session, "UPDATE user SET age = 0"),
        "E_SQL_READ_ONLY"
    );
    assert_eq!(stored(&rows).len(), 4);
}

#[test]
fn row_ids_are_the_tables_own() {
    let (mut session, rows) = session(Identity::Number);
    assert_eq!(
        all(&mut session, "SELECT rowid FROM user WHERE key = 'b'"),
        ["2"]
    );
    assert_eq!(
        all(&mut session, "SELECT key FROM user WHERE rowid = 3"),
        ["c"]
    );
    for sql in [
        "INSERT INTO user (rowid, key) VALUES (9, 'x')",
        "UPDATE user SET rowid = 9 WHERE key = 'a'",
    ] {
        assert_eq!(code(&mut session, sql), "E_SQL_CONSTRAINT", "{sql}");
    }
    assert_eq!(stored(&rows).len(), 3);
}

#[test]
fn a_branch_is_written_by_its_own_table() {
    let (memory, rows) = table(Identity::Key(0));
    let mut session = Memories::default()
        .add("user", "", people(&[]))
        .add("user", "branch/draft", memory)
        .session();
    let sql = "UPDATE user ON BRANCH 'draft' SET name = upper(user.name) WHERE user.age > 30";
    assert_eq!(written(&mut session, sql), 2);
    assert_eq!(stored(&rows), ["a ADA 36", "b BEA 41", "c Cyd 20"]);
}

#[test]
fn what_was_added_is_given_back() {
    let (mut session, _) = session(Identity::Number);
    let rows = all(
        &mut session,
        "INSERT INTO user VALUES ('d', 'Dan', 7) RETURNING key, age + 1",
    );
    assert_eq!(rows, ["d 8"]);
}
