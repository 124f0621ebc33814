//! Tables joined with their own past, with branches and with what differs.

use std::sync::Arc;

use allod_sql::{ColumnType, Limits, Scalar, Session, SqlError, StateFault};

use crate::world::{Memories, Memory, all, ask, code, people};

fn catalog() -> Memories {
    let now = [("a", "Ada", 36), ("b", "Bea", 41), ("d", "Dan", 7)];
    let then = [("a", "Ada", 35), ("b", "Bee", 40), ("c", "Cyd", 20)];
    let changes = Memory::new(
        &[("key", ColumnType::Text), ("change", ColumnType::Text)],
        [["a", "changed"], ["c", "removed"], ["d", "added"]]
            .map(|row| row.map(Scalar::from).to_vec())
            .to_vec(),
    );
    Memories::default()
        .add("user", "", people(&now))
        .add("user", "v1", people(&then))
        .add("user", "branch/draft", people(&[("a", "Adele", 36)]))
        .add("user", "v1 of draft", people(&[]))
        .add("user", "it's \"v0\"", people(&[("z", "Zoe", 1)]))
        .add("user", "v1..main", changes)
}

#[test]
fn a_table_is_joined_with_its_own_past() {
    let mut session = catalog().session();
    let changed = "SELECT user.key, old.age, user.age FROM user JOIN user AS OF 'v1' old \
                   ON user.key = old.key WHERE user.age <> old.age ORDER BY 1";
    assert_eq!(all(&mut session, changed), ["a 35 36", "b 40 41"]);
    let both = "SELECT a.name, b.name FROM user AS OF 'v1' a FULL JOIN user ON BRANCH 'draft' b \
                USING (key) ORDER BY key";
    assert_eq!(
        all(&mut session, both),
        ["Ada Adele", "Bee null", "Cyd null"]
    );
    let gone = "SELECT key FROM user AS OF 'v1' WHERE key NOT IN (SELECT key FROM user)";
    assert_eq!(all(&mut session, gone), ["c"]);
}

#[test]
fn a_table_in_a_state_keeps_its_name_unless_it_gets_another() {
    let mut session = catalog().session();
    for (sql, expected) in [
        (
            "SELECT user.name FROM user AS OF 'v1' WHERE user.key = 'b'",
            "Bee",
        ),
        (
            "SELECT u.name FROM user AS OF 'v1' u WHERE u.key = 'b'",
            "Bee",
        ),
        (
            "SELECT u.name FROM user AS OF 'v1' AS u WHERE key = 'b'",
            "Bee",
        ),
        ("SELECT user.name FROM [user] ON BRANCH 'draft'", "Adele"),
        (
            "SELECT count(*) FROM user AS OF 'v1' ON BRANCH 'draft'",
            "0",
        ),
        (
            "SELECT count(*) FROM user ON BRANCH 'draft' AS OF 'v1'",
            "0",
        ),
        ("SELECT name FROM user AS OF 'it''s \"v0\"'", "Zoe"),
        (
            "SELECT name FROM USER AS OF 'v1' WHERE \"USER\".key = 'c'",
            "Cyd",
        ),
        (
            "SELECT 'c' IN (SELECT key FROM user AS OF 'v1'), 'c' IN (SELECT key FROM user)",
            "1 0",
        ),
        ("WITH user AS (SELECT 1 AS one) SELECT one FROM user", "1"),
        (
            "WITH w AS (SELECT * FROM user AS OF 'v1') SELECT max(age) FROM w",
            "40",
        ),
    ] {
        assert_eq!(all(&mut session, sql), [expected], "{sql}");
    }
}

#[test]
fn what_differs_is_a_table() {
    let mut session = catalog().session();
    let changes = all(&mut session, "DIFF 'v1' 'main' ON user");
    assert_eq!(changes, ["a changed", "c removed", "d added"]);
    for (sql, expected) in [
        (
            "DIFF 'v1' 'main' ON user WHERE user.change <> 'changed' ORDER BY key DESC LIMIT 1;",
            "d added",
        ),
        ("SELECT count(*) FROM allod_diff('user', 'v1', 'main')", "3"),
        (
            "SELECT d.key FROM allod_diff('user', 'v1', 'main') d JOIN user USING (key) WHERE change = 'added'",
            "d",
        ),
    ] {
        assert_eq!(all(&mut session, sql), [expected], "{sql}");
    }
    assert_eq!(
        code(&mut session, "DIFF 'v1' 'nowhere' ON user"),
        "E_SQL_STATE"
    );
    assert_eq!(code(&mut session, "DIFF 'v1' 'main' ON usr"), "E_SQL_TABLE");
}

#[test]
fn functions_of_the_catalog_take_literals() {
    let mut session = catalog().session();
    let rows = all(
        &mut session,
        "SELECT value FROM allod_echo(1, -2.5, 'x''y', NULL, x'0a') e",
    );
    assert_eq!(rows, ["1", "-2.5", "x'y", "null", "[a]"]);
    let named = all(
        &mut session,
        "SELECT allod_echo.value FROM allod_echo(-9223372036854775808)",
    );
    assert_eq!(named, [i64::MIN.to_string()]);
    // The engine's own functions take what they like.
    let sql = "SELECT j.value FROM user, json_each('[' || age || ',2]') j WHERE user.key = 'd'";
    assert_eq!(all(&mut session, sql), ["7", "2"]);
    for sql in [
        "SELECT * FROM allod_echo(?1)",
        "SELECT * FROM allod_echo(1 + 1)",
        "SELECT * FROM user, allod_echo(user.age)",
        "SELECT * FROM allod_none()",
    ] {
        assert_eq!(code(&mut session, sql), "E_SQL_STATE", "{sql}");
    }
    assert_eq!(
        code(&mut session, "SELECT * FROM allod_ech(1)"),
        "E_SQL_TABLE"
    );
}

#[test]
fn an_unknown_state_is_never_the_present() {
    let mut session = catalog().session();
    for sql in [
        "SELECT * FROM user AS OF 'v2'",
        "SELECT * FROM user ON BRANCH 'main'",
        "SELECT * FROM user AS OF 'V1'",
        "SELECT * FROM user AS OF ''",
        "SELECT * FROM user AS OF 'v1' ON BRANCH 'other'",
        "SELECT * FROM user JOIN user AS OF 'v2' old USING (key)",
        "SELECT 1 WHERE 'a' IN user AS OF 'v2'",
    ] {
        let error = ask(&mut session, sql).unwrap_err();
        let SqlError::State { fault, offset } = &error else {
            panic!("{sql}: {error}");
        };
        assert!(matches!(fault, StateFault::Unknown(why) if why.starts_with("there is no")));
        assert!(sql[*offset..].starts_with("user "), "{sql}: {offset}");
    }
    assert_eq!(
        code(&mut session, "SELECT * FROM usr AS OF 'v1'"),
        "E_SQL_TABLE"
    );
}

#[test]
fn names_that_are_not_there_are_told_with_the_nearest() {
    let mut session = catalog().session();
    let error = ask(&mut session, "SELECT 1, * FROM usr").unwrap_err();
    let expected = SqlError::NoTable {
        name: "usr".to_owned(),
        offset: Some(17),
        nearest: Some("user".to_owned()),
    };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "no such table: usr; is it user?");
    let error = ask(&mut session, "SELECT u.naem FROM user AS OF 'v1' AS u").unwrap_err();
    let SqlError::NoColumn { name, nearest, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((name.as_str(), nearest), ("u.naem", None));
    let error = ask(
        &mut session,
        "SELECT key FROM user AS OF 'v1' WHERE nam = 'x'",
    )
    .unwrap_err();
    let expected = SqlError::NoColumn {
        name: "nam".to_owned(),
        offset: Some(38),
        nearest: Some("name".to_owned()),
    };
    assert_eq!(error, expected);
    // A name in double quotes is no text.
    assert_eq!(
        code(&mut session, "SELECT * FROM user WHERE name = \"Ada\""),
        "E_SQL_COLUMN"
    );
    let error = ask(
        &mut session,
        "SELECT * FROM user AS OF 'v1' JOIN user WERE x",
    )
    .unwrap_err();
    assert_eq!((error.code(), error.offset()), ("E_SQL", Some(45)));
    assert_eq!(code(&mut session, "SELECT nofunction(1)"), "E_SQL");
}

#[test]
fn the_catalog_is_asked_once_for_what_a_statement_names() {
    let catalog = Arc::new(catalog());
    let mut session = Session::new(Arc::clone(&catalog) as _, Limits::default(), || 0).unwrap();
    let asked = || std::mem::take(&mut *catalog.asked.lock().unwrap());
    all(&mut session, "SELECT age FROM (SELECT 1 AS age)");
    assert!(asked().is_empty());
    for _ in 0..3 {
        all(&mut session, "SELECT count(*) FROM user, user AS OF 'v1'");
        all(&mut session, "SELECT name FROM user AS OF 'v1'");
    }
    assert_eq!(asked().len(), 2);
    session.refresh().unwrap();
    all(&mut session, "SELECT count(*) FROM user");
    assert_eq!(asked().len(), 1);
}

#[test]
fn a_session_goes_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&catalog().session());
}
