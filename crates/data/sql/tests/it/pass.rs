//! Which tables and states a statement names, case by case.

use allod_sql::{Outline, Source, SqlError, StateFault, Wanted};
use proptest::prelude::*;

/// What a statement names, briefly: a name, `@` and the state, `#` and the branch.
fn named(sql: &str) -> Result<String, SqlError> {
    let one = |source: &Source| match &source.wanted {
        Wanted::Table { name, at } => {
            let state = at.as_of.as_ref().map(|state| format!("@{state}"));
            let branch = at.branch.as_ref().map(|branch| format!("#{branch}"));
            format!(
                "{name}{}{}",
                state.unwrap_or_default(),
                branch.unwrap_or_default()
            )
        }
        Wanted::Diff { name, from, to } => format!("{name}:{from}..{to}"),
        Wanted::Function { name, arguments } => match arguments {
            Some(arguments) => format!("{name}({})", arguments.len()),
            None => format!("{name}(?)"),
        },
        other => panic!("{other:?}"),
    };
    let outline = Outline::read(sql)?;
    Ok(outline
        .sources()
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(" "))
}

#[test]
fn tables_and_their_states_are_found() {
    for (sql, expected) in [
        ("SELECT 1", ""),
        ("SELECT * FROM user", "user"),
        ("SELECT * FROM user AS OF 'x'", "user@x"),
        ("select * from user as of 'it''s' u", "user@it's"),
        ("SELECT * FROM user AS\n--c\nOF/* */'x' AS u, b", "user@x b"),
        ("SELECT * FROM user ON BRANCH 'b'", "user#b"),
        ("SELECT * FROM user AS OF 'x' ON BRANCH 'b' u", "user@x#b"),
        ("SELECT * FROM user ON BRANCH 'b' AS OF 'x'", "user@x#b"),
        (
            "SELECT * FROM \"a b\" AS OF 'x' JOIN [c] ON BRANCH 'b' ON 1",
            "a b@x c#b",
        ),
        ("SELECT * FROM `a``b` AS OF 'x'", "a`b@x"),
        ("SELECT * FROM a JOIN b AS OF 'x' ON branch = 'y'", "a b@x"),
        ("SELECT * FROM a JOIN b ON branch = 'y'", "a b"),
        ("SELECT * FROM a JOIN b ON branch IS NOT NULL, c", "a b c"),
        (
            "SELECT * FROM a JOIN b ON BRANCH 'y' ON branch = 'z'",
            "a b#y",
        ),
        ("SELECT a AS of FROM t", "t"),
        (
            "SELECT a AS of, b FROM t AS of, u AS of WHERE of.a = 'AS OF'",
            "t u",
        ),
        ("SELECT 'x FROM user AS OF ''y''' -- FROM a AS OF 'b'", ""),
        ("SELECT \"FROM\" FROM t /* FROM u AS OF 'x' */", "t"),
        (
            "SELECT * FROM a WHERE x IN (SELECT y FROM b AS OF 's')",
            "a b@s",
        ),
        (
            "SELECT * FROM a WHERE x IN b AS OF 's' AND y NOT IN c",
            "a b@s c",
        ),
        ("SELECT * FROM (SELECT 1) AS of, a AS OF 's'", "a@s"),
        ("SELECT * FROM (a AS OF 's' JOIN b) x", "a@s b"),
        (
            "WITH c AS (SELECT * FROM a) SELECT * FROM c, b ORDER BY x, y",
            "a c b",
        ),
        ("SELECT x IS NOT DISTINCT FROM y, z FROM t", "t"),
        (
            "SELECT a, b FROM t GROUP BY a, b HAVING a ORDER BY a, b LIMIT 1, 2",
            "t",
        ),
        ("SELECT * FROM t UNION SELECT * FROM u AS OF 's'", "t u@s"),
        ("SELECT * FROM main.t", "t"),
        (
            "SELECT * FROM t INDEXED BY i, u AS OF 'x' NOT INDEXED",
            "t u@x",
        ),
        ("INSERT INTO t(a, b) SELECT a, b FROM u AS OF 's'", "t u@s"),
        ("INSERT INTO t AS of (a) VALUES (1), (2)", "t"),
        (
            "UPDATE OR IGNORE t SET a = 1, b = 2 FROM u, v WHERE x",
            "t u v",
        ),
        ("UPDATE t ON BRANCH 'b' SET a = 1", "t#b"),
        ("DELETE FROM t WHERE a", "t"),
        ("REPLACE INTO t DEFAULT VALUES", "t"),
        ("EXPLAIN QUERY PLAN SELECT * FROM t", "t"),
        ("DIFF 'a' 'b' ON t", "t:a..b"),
        (
            "EXPLAIN DIFF 'a' 'b' ON t WHERE x IN (SELECT y FROM u) ORDER BY z, w LIMIT 3;",
            "t:a..b u",
        ),
        (
            "SELECT * FROM allod_diff('t', 'a', 'b') AS d, u",
            "t:a..b u",
        ),
        (
            "SELECT * FROM f(), g(1, -2.5, 'x', NULL, x'00') AS g, h(a.b), u",
            "f(0) g(5) h(?) u",
        ),
        (
            "SELECT * FROM t, json_each((SELECT j FROM u AS OF 's')) WHERE 1",
            "t json_each(?) u@s",
        ),
        ("SELECT ?1, :as, @of, $x::y(z) FROM t", "t"),
        ("\u{feff}VALUES (1)", ""),
    ] {
        match named(sql) {
            Ok(given) => assert_eq!(given, expected, "{sql}"),
            Err(error) => panic!("{sql}: {error}"),
        }
    }
}

#[test]
fn a_state_that_cannot_be_bound_is_refused() {
    use StateFault::{NotALiteral, NotATable, Schema, Twice};
    let arguments = || {
        let takes = "('table', 'state', 'state')";
        StateFault::Arguments("allod_diff".to_owned(), takes.to_owned())
    };
    let word = |fault: StateFault, sql: &'static str, at: &'static str| (sql, fault, sql.find(at));
    for (sql, fault, offset) in [
        word(NotALiteral, "SELECT * FROM user AS OF ?1", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF :state", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF 12", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF -1", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF x'00'", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF \"x\"", "AS OF"),
        word(NotALiteral, "SELECT * FROM user AS OF main", "AS OF"),
        word(
            NotALiteral,
            "SELECT * FROM user AS OF main WHERE 1",
            "AS OF",
        ),
        word(
            NotALiteral,
            "SELECT * FROM user AS OF (SELECT 'x')",
            "AS OF",
        ),
        word(NotALiteral, "SELECT * FROM user AS OF OF 'x'", "AS OF"),
        word(
            NotALiteral,
            "SELECT * FROM user AS OF 'x' ON BRANCH ?",
            "ON",
        ),
        word(NotALiteral, "SELECT * FROM user ON BRANCH b", "ON BRANCH"),
        word(
            NotALiteral,
            "SELECT * FROM user ON BRANCH \"b\"",
            "ON BRANCH",
        ),
        word(NotALiteral, "SELECT * FROM user ON BRANCH 1", "ON BRANCH"),
        word(
            NotALiteral,
            "SELECT * FROM a JOIN user ON BRANCH $b ON 1",
            "ON BRANCH",
        ),
        word(NotALiteral, "UPDATE user AS OF ?1 SET a = 1", "AS OF"),
        word(NotALiteral, "DELETE FROM user AS OF 1", "AS OF"),
        word(
            NotALiteral,
            "INSERT INTO user ON BRANCH b (a) VALUES (1)",
            "ON BRANCH",
        ),
        word(NotALiteral, "SELECT 1 WHERE 1 IN user AS OF 5", "AS OF"),
        word(
            NotALiteral,
            "SELECT * FROM user, user AS OF current_timestamp",
            "AS OF",
        ),
        word(Twice, "SELECT * FROM user AS OF 'x' AS OF 'y'", "AS OF 'y'"),
        word(
            Twice,
            "SELECT * FROM user ON BRANCH 'x' ON BRANCH 'y'",
            "ON BRANCH 'y'",
        ),
        word(
            Twice,
            "SELECT * FROM user AS OF 'x' ON BRANCH 'b' AS OF 'y'",
            "AS OF 'y'",
        ),
        word(NotATable, "SELECT * FROM user u AS OF 'x'", "AS OF"),
        word(NotATable, "SELECT * FROM user AS u AS OF 'x'", "AS OF"),
        word(
            NotATable,
            "SELECT * FROM user AS OF 'x' u AS OF 'y'",
            "AS OF 'y'",
        ),
        word(
            NotATable,
            "SELECT * FROM (SELECT * FROM user) AS OF 'x'",
            "AS OF",
        ),
        word(
            NotATable,
            "SELECT * FROM (SELECT * FROM user) AS OF ?1",
            "AS OF",
        ),
        word(
            NotATable,
            "SELECT * FROM (SELECT * FROM user) ON BRANCH 'x'",
            "ON BRANCH",
        ),
        word(NotATable, "SELECT * FROM (user JOIN b) AS OF 'x'", "AS OF"),
        word(NotATable, "SELECT * FROM f(1, (2)) AS OF 'x'", "AS OF"),
        word(
            NotATable,
            "SELECT * FROM user FOR SYSTEM_TIME AS OF 'x'",
            "AS OF",
        ),
        word(NotATable, "SELECT * FROM user TIMESTAMP AS OF 'x'", "AS OF"),
        word(NotATable, "SELECT * FROM user VERSION AS OF 3", "AS OF"),
        word(NotATable, "SELECT user AS OF 'x'", "AS OF"),
        word(
            NotATable,
            "SELECT * FROM user WHERE a = 1 AS OF 'x'",
            "AS OF",
        ),
        word(NotATable, "SELECT * FROM user WHERE a AS OF 'x'", "AS OF"),
        word(
            NotATable,
            "SELECT * FROM user ORDER BY a AS OF 'x'",
            "AS OF",
        ),
        word(NotATable, "DIFF 'a' 'b' ON user WHERE 1 AS OF 'x'", "AS OF"),
        word(
            NotATable,
            "SELECT * FROM user JOIN b ON a = c ON BRANCH 'x'",
            "ON BRANCH",
        ),
        word(Schema, "SELECT * FROM main.user AS OF 'x'", "AS OF"),
        word(
            Schema,
            "SELECT * FROM \"main\".\"user\" ON BRANCH 'x'",
            "ON BRANCH",
        ),
        word(Schema, "DIFF 'a' 'b' ON main.user", "main"),
        word(NotALiteral, "DIFF a b ON user", "DIFF"),
        word(NotALiteral, "DIFF 'a' ?1 ON user", "DIFF"),
        word(NotALiteral, "DIFF 'a' ON user", "DIFF"),
        word(
            arguments(),
            "SELECT * FROM allod_diff(?1, 'a', 'b')",
            "allod_diff",
        ),
        word(
            arguments(),
            "SELECT * FROM allod_diff('t', 'a')",
            "allod_diff",
        ),
        word(
            arguments(),
            "SELECT * FROM allod_diff('t', 'a', 5)",
            "allod_diff",
        ),
        word(
            arguments(),
            "SELECT * FROM t, ALLOD_DIFF(t.a, 'a', 'b')",
            "ALLOD_DIFF",
        ),
    ] {
        let Err(SqlError::State {
            fault: given,
            offset: at,
        }) = named(sql)
        else {
            panic!("{sql}: {:?}", named(sql));
        };
        assert_eq!((given, Some(at)), (fault, offset), "{sql}");
    }
}

#[test]
fn what_is_no_single_statement_of_the_right_kind_is_refused() {
    for (sql, code, offset) in [
        ("", "E_SQL", None),
        (" -- nothing", "E_SQL", None),
        (";", "E_SQL", None),
        ("EXPLAIN", "E_SQL", None),
        ("EXPLAIN QUERY PLAN", "E_SQL", None),
        ("SELECT 1; SELECT 2", "E_SQL", Some(10)),
        ("SELECT 1;;", "E_SQL", Some(9)),
        ("SELECT 1; DROP TABLE user", "E_SQL", Some(10)),
        (
            "SELECT * FROM main.; SELECT * FROM user AS OF 'x'",
            "E_SQL",
            Some(21),
        ),
        ("(SELECT 1)", "E_SQL", Some(0)),
        ("'SELECT 1'", "E_SQL", Some(0)),
        ("SELECT 'x", "E_SQL", Some(7)),
        ("SELECT \"x", "E_SQL", Some(7)),
        ("SELECT [x", "E_SQL", Some(7)),
        ("SELECT 1x", "E_SQL", Some(7)),
        ("SELECT x'0'", "E_SQL", Some(7)),
        ("SELECT x'0g'", "E_SQL", Some(7)),
        ("SELECT :", "E_SQL", Some(7)),
        ("SELECT ^", "E_SQL", Some(7)),
        ("SELECT 'a\0b'", "E_SQL", Some(9)),
        ("SELECT /* \0 */ 1", "E_SQL", Some(10)),
        ("DIFF 'a' 'b'", "E_SQL", Some(12)),
        ("DIFF 'a' 'b' ON", "E_SQL", Some(13)),
        ("DIFF 'a' 'b' ON 'user'", "E_SQL", Some(13)),
        ("DIFF 'a' 'b' ON user JOIN x", "E_SQL", Some(21)),
        ("DIFF 'a' 'b' ON user UNION SELECT 1", "E_SQL", Some(21)),
        ("DROP TABLE user", "E_SQL_DENIED", Some(0)),
        ("CREATE TABLE x(a)", "E_SQL_DENIED", Some(0)),
        (
            "CREATE VIRTUAL TABLE x USING allod_rows",
            "E_SQL_DENIED",
            Some(0),
        ),
        ("EXPLAIN PRAGMA table_list", "E_SQL_DENIED", Some(8)),
        ("PRAGMA temp_store = FILE", "E_SQL_DENIED", Some(0)),
        ("ATTACH 'x' AS y", "E_SQL_DENIED", Some(0)),
        ("BEGIN", "E_SQL_DENIED", Some(0)),
        ("COMMIT", "E_SQL_DENIED", Some(0)),
        ("SAVEPOINT x", "E_SQL_DENIED", Some(0)),
        ("VACUUM INTO 'x'", "E_SQL_DENIED", Some(0)),
        ("ANALYZE", "E_SQL_DENIED", Some(0)),
        ("/* SELECT */ REINDEX", "E_SQL_DENIED", Some(13)),
        ("SELECT * FROM \"allod:1\"", "E_SQL_TABLE", Some(14)),
        ("SELECT * FROM main.[ALLOD:1]", "E_SQL_TABLE", Some(19)),
    ] {
        let Err(error) = named(sql) else {
            panic!("{sql}: {:?}", named(sql));
        };
        assert_eq!(
            (error.code(), error.offset()),
            (code, offset),
            "{sql}: {error}"
        );
    }
}

/// Pieces that statements are made of, and what breaks them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "AS",
        "OF",
        "ON",
        "BRANCH",
        "'x'",
        "user",
        "\"a b\"",
        "[c]",
        "`d`",
        "(",
        ")",
        ",",
        ";",
        "JOIN",
        "WHERE",
        "IN",
        "DIFF",
        "?1",
        "12",
        "x'00'",
        ".",
        "main",
        "=",
        "--",
        "\n",
        "/*",
        "*/",
        "'",
        "\"",
        "[",
        "INTO",
        "UPDATE",
        "SET",
        "INSERT",
        "WITH",
        "VALUES",
        "allod_diff",
        "*",
        "EXPLAIN",
        "\u{e9}",
        "-",
        "1e",
        "$a(",
        "OR",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics_and_spans_are_in_order(text in pieces(), start in prop::bool::ANY) {
        let text = if start { format!("SELECT {text}") } else { text };
        let Ok(outline) = Outline::read(&text) else {
            return Ok(());
        };
        let mut end = 0;
        for source in outline.sources() {
            prop_assert!(end <= source.span.start, "{}", text);
            prop_assert!(text.get(source.span.clone()).is_some(), "{}", text);
            end = source.span.end;
        }
    }
}
