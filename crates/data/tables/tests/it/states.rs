//! Tables in other states, differences, history, projections, and which way is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allod_repo::BranchName;
use allod_sql::{At, Limit, Limits, Session, SqlError, TableError};
use allod_tables::{Own, Visibility};
use allod_views::{Function, ShapeDefinition};

use crate::world::{World, gone, main, plan, put, rows, session, try_rows};

fn item(name: &str, count: u32) -> String {
    format!("{{\"name\":\"{name}\",\"count\":{count}}}")
}

/// Three commits on main, and a branch that left after the first.
fn world() -> World {
    let mut world = World::with_items();
    let side: BranchName = "side".parse().unwrap();
    world.commit(
        &main(),
        &[
            put("item:1", &item("one", 1)),
            put("item:2", &item("two", 2)),
        ],
    );
    let heads = world.repo.heads(&main()).unwrap();
    world.repo.create_branch(&side, &heads).unwrap();
    world.commit(&side, &[put("item:9", &item("nine", 9))]);
    world.commit(
        &main(),
        &[put("item:2", &item("deux", 2)), put("note", "free")],
    );
    world.commit(&main(), &[gone("item:1"), put("item:3", &item("three", 3))]);
    world
}

#[test]
fn a_table_is_joined_with_its_own_past() {
    let world = world();
    let log: Vec<_> = world
        .repo
        .log(&world.repo.heads(&main()).unwrap())
        .unwrap()
        .map(|item| item.unwrap().0)
        .collect();
    let mut session = world.session();
    let first = log.last().unwrap();
    let sql = format!(
        "SELECT now._key, now.name, old.name FROM item now LEFT JOIN item AS OF '{first}' old USING (_key) ORDER BY 1"
    );
    assert_eq!(
        rows(&mut session, &sql),
        ["'item:2'|'deux'|'two'", "'item:3'|'three'|null"]
    );
    let sql = "SELECT name FROM item ON BRANCH 'side' WHERE count > 1 ORDER BY count";
    assert_eq!(rows(&mut session, sql), ["'two'", "'nine'"]);
    assert_eq!(
        rows(&mut session, "SELECT count(*) FROM item AS OF 'side'"),
        ["3"]
    );
    // By time, on the branch at hand and on another.
    let time = "2023-11-14T22:13:30Z";
    let at = rows(
        &mut session,
        "SELECT at FROM allod_log() ORDER BY at LIMIT 1",
    );
    let at = at[0].trim_matches('\'').to_owned();
    assert_eq!(
        rows(
            &mut session,
            &format!("SELECT name FROM item AS OF '{at}' ORDER BY 1")
        ),
        ["'one'", "'two'"]
    );
    let sql = format!("SELECT count(*) FROM item AS OF '{at}' ON BRANCH 'side'");
    assert_eq!(rows(&mut session, &sql), ["2"]);
    for (clause, words) in [
        (format!("AS OF '{}'", &time[..10]), "no commit yet"),
        (
            "AS OF 'nothing'".to_owned(),
            "no commit, tag, branch or time",
        ),
        ("ON BRANCH 'nothing'".to_owned(), "no branch"),
        (
            format!("AS OF '{}' ON BRANCH 'side'", log[0]),
            "is not on the branch side",
        ),
    ] {
        let error = try_rows(&mut session, &format!("SELECT * FROM item {clause}")).unwrap_err();
        assert!(matches!(error, SqlError::State { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let unknown = try_rows(&mut session, "SELECT * FROM itm").unwrap_err();
    assert!(unknown.to_string().contains("is it item?"), "{unknown}");
}

/// A session sees one state, whatever is committed meanwhile.
#[test]
fn a_session_sees_one_state() {
    let mut world = world();
    let mut session = world.session();
    assert_eq!(rows(&mut session, "SELECT count(*) FROM item"), ["2"]);
    world.commit(&main(), &[put("item:7", &item("seven", 7))]);
    assert_eq!(
        rows(
            &mut session,
            "SELECT count(*) FROM item, allod_branches() LIMIT 1"
        ),
        ["6"]
    );
    assert_eq!(rows(&mut session, "SELECT count(*) FROM by_count"), ["2"]);
    assert_eq!(
        rows(&mut world.session(), "SELECT count(*) FROM item"),
        ["3"]
    );
}

#[test]
fn differences_and_history_are_tables() {
    let mut world = world();
    let mut session = world.session();
    let diff = "DIFF 'side' 'main' ON item";
    assert_eq!(
        rows(
            &mut session,
            "SELECT _key, _change, name, old_name FROM allod_diff('item', 'side', 'main') ORDER BY _key"
        ),
        [
            "'item:1'|'removed'|null|'one'",
            "'item:2'|'modified'|'deux'|'two'",
            "'item:3'|'added'|'three'|null",
            "'item:9'|'removed'|null|'nine'"
        ]
    );
    assert_eq!(
        rows(&mut session, &format!("{diff} WHERE _change = 'added'")).len(),
        1
    );
    assert_eq!(
        rows(&mut session, "SELECT count(*) FROM allod_log()"),
        ["3"]
    );
    assert_eq!(
        rows(&mut session, "SELECT count(*) FROM allod_log('side')"),
        ["2"]
    );
    assert_eq!(
        rows(
            &mut session,
            "SELECT name, heads FROM allod_branches() ORDER BY 1"
        ),
        ["'main'|1", "'meta'|1", "'side'|1"]
    );
    assert_eq!(
        rows(
            &mut session,
            "SELECT b._key, l.generation FROM allod_blame('item:*') b JOIN allod_log() l USING (id) ORDER BY 1"
        ),
        ["'item:2'|2", "'item:3'|3"]
    );
    assert_eq!(
        rows(&mut session, "SELECT * FROM allod_conflicts()").len(),
        0
    );
    assert_eq!(rows(&mut session, "SELECT * FROM allod_tags()").len(), 0);
    for (call, words) in [
        ("allod_log(1)", "takes texts"),
        ("allod_log('a', 'b')", "a branch"),
        ("allod_blame()", "a key"),
        ("allod_log('nothing')", "no branch or commit"),
    ] {
        let error = try_rows(&mut session, &format!("SELECT * FROM {call}")).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(
        rows(
            &mut session,
            "SELECT _key, value, size FROM allod_entries WHERE _key = 'note'"
        ),
        ["'note'|'free'|4"]
    );
    world.stage(&main(), &[put("note", "staged")]);
    let sql = "SELECT value FROM allod_entries WHERE _key NOT LIKE 'item:%'";
    assert_eq!(rows(&mut world.session(), sql), ["'staged'"]);
}

#[test]
fn the_index_is_named_that_answers() {
    let mut world = World::with_items();
    let edits: Vec<_> = (0..500)
        .map(|n| put(&format!("item:{n:03}"), &item(&format!("n{}", n % 50), n)))
        .collect();
    world.commit(&main(), &edits);
    world.group("by_name_total", "item:*", "name", "count");
    let mut session = world.session();
    // Once each is at hand.
    for by in ["by_name", "by_count", "by_ok_count", "by_name_total"] {
        rows(&mut session, &format!("SELECT count(*) FROM {by}"));
    }
    let mut session = world.session();
    for (sql, words) in [
        ("SELECT * FROM item WHERE name = 'n7'", "by_name (name=?)"),
        (
            "SELECT * FROM item WHERE name = 'n7' AND f > 1",
            "by_name (name=?)",
        ),
        (
            "SELECT * FROM item WHERE count BETWEEN 3 AND 5",
            "by_count (count>=? AND count<=?)",
        ),
        (
            "SELECT * FROM item WHERE name IN ('n1', 'n2')",
            "by_name (name IN ?)",
        ),
        (
            "SELECT * FROM item WHERE ok = 1 AND count > 5",
            "by_ok_count (ok=? AND count>?)",
        ),
        ("SELECT * FROM item WHERE _key = 'item:003'", "key (_key=?)"),
        ("SELECT * FROM item WHERE _id = '003'", "key (_id=?)"),
        ("SELECT * FROM item WHERE _key GLOB 'item:00*'", "key range"),
        ("SELECT * FROM item ORDER BY count DESC LIMIT 3", "by_count"),
        ("SELECT * FROM item WHERE f > 1", "scan"),
        (
            "SELECT a._key FROM item a JOIN item b ON a.name = b.name WHERE b._key = 'item:003'",
            "by_name (name=?)",
        ),
        (
            "SELECT * FROM by_name_total WHERE name = 'n7'",
            "first values (name=?)",
        ),
    ] {
        let plan = plan(&mut session, sql);
        assert!(plan.contains(words), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
    assert_eq!(
        rows(
            &mut session,
            "SELECT total, n FROM by_name_total WHERE name = 'n7'"
        ),
        ["2320|10"]
    );
    assert_eq!(
        rows(
            &mut session,
            "SELECT name FROM item ORDER BY count DESC LIMIT 2"
        ),
        ["'n49'", "'n48'"]
    );
    let sql = "SELECT sum(total) FROM by_name_total";
    assert_eq!(
        rows(&mut session, sql),
        rows(&mut session, "SELECT sum(count) FROM item")
    );
}

#[test]
fn totals_are_had_without_the_engine() {
    let mut world = World::with_items();
    let edits: Vec<_> = (0..500)
        .map(|n| put(&format!("item:{n:03}"), &item(&format!("n{}", n % 50), n)))
        .collect();
    world.commit(&main(), &edits);
    let grouped =
        "SELECT name, count(*), sum(count) FROM item GROUP BY name ORDER BY 3 DESC LIMIT 2";
    let expected = ["'n49'|10|2740", "'n48'|10|2730"];
    let mut session = world.session();
    assert_eq!(plan(&mut session, grouped), "TOTALS item (decoded columns)");
    assert_eq!(rows(&mut session, grouped), expected);
    // A projection that has them is asked instead, once it is at hand.
    world.totals("of_name", "item:*", &["name"], &["count"]);
    assert_eq!(
        plan(&mut world.session(), grouped),
        "TOTALS item (decoded columns)"
    );
    world.refresh();
    let mut session = world.session();
    assert_eq!(
        plan(&mut session, grouped),
        "TOTALS item (projection of_name)"
    );
    assert_eq!(rows(&mut session, grouped), expected);
    // A sum alone does not tell whether the engine would fail on the way to it.
    world.group("by_name_total", "item:*", "name", "count");
    world.refresh();
    let sum = "SELECT name, sum(ok) FROM item GROUP BY name";
    assert_eq!(
        plan(&mut world.session(), sum),
        "TOTALS item (decoded columns)"
    );
    for (sql, expected) in [
        ("SELECT count(*) FROM item", "500"),
        (
            "SELECT count(*) AS n, max(name), min(count) FROM item WHERE count >= 490 AND name > 'n45';",
            "4|'n49'|496",
        ),
        (
            "SELECT sum(count), avg(ok), count(name) FROM item WHERE count < 0",
            "null|null|0",
        ),
        (
            "SELECT name FROM item WHERE count <= 2 GROUP BY name",
            "'n0'",
        ),
        ("SELECT avg(count) FROM item WHERE name < 'n1'", "225"),
    ] {
        assert!(plan(&mut session, sql).starts_with("TOTALS"), "{sql}");
        assert_eq!(rows(&mut session, sql)[0], expected, "{sql}");
    }
    // What is staged is among them.
    world.stage(&main(), &[gone("item:000")]);
    let mut session = world.session();
    assert!(!plan(&mut session, "SELECT count(*) FROM item").starts_with("TOTALS"));
    assert_eq!(rows(&mut session, "SELECT count(*) FROM item"), ["499"]);
    assert_eq!(
        rows(&mut session, "SELECT count(*) FROM item AS OF 'main'"),
        ["500"]
    );
}

#[test]
fn a_pattern_is_as_long_as_the_engine_allows() {
    let mut world = World::with_items();
    world.commit(&main(), &[put("item:1", &item("name", 1))]);
    let mut session = world.session();
    let like = |length: usize| {
        format!(
            "SELECT count(*) FROM item WHERE name LIKE '%{}%'",
            "b".repeat(length)
        )
    };
    assert_eq!(rows(&mut session, &like(900)), ["0"]);
    let error = try_rows(&mut session, &like(1200)).unwrap_err();
    assert!(matches!(error, SqlError::Limit(Limit::Pattern)), "{error}");
}

#[test]
fn more_groups_than_are_kept_are_the_engines() {
    let mut world = World::with_items();
    let edits: Vec<_> = (0..3000)
        .map(|n| put(&format!("item:{n:04}"), &item(&format!("n{n:04}"), n)))
        .collect();
    world.commit(&main(), &edits);
    // Each column of a group takes room, and 3,000 of 600 take more than there is.
    let sums = vec!["sum(count)"; 600].join(", ");
    let sql = format!("SELECT name, {sums} FROM item GROUP BY name LIMIT 1");
    let mut session = world.session();
    assert!(plan(&mut session, &sql).starts_with("TOTALS"));
    let found = rows(&mut session, &sql);
    assert!(found[0].starts_with("'n0000'|0|0"), "{}", &found[0][..40]);
}

#[test]
fn what_is_more_than_totals_is_the_engines() {
    let mut world = World::with_items();
    let edits: Vec<_> = (0..500)
        .map(|n| put(&format!("item:{n:03}"), &item(&format!("n{}", n % 50), n)))
        .collect();
    world.commit(&main(), &edits);
    world.refresh();
    let mut session = world.session();
    for sql in [
        "SELECT count(*) FROM item WHERE count < = 3",
        "SELECT count(DISTINCT name) FROM item",
        "SELECT count(*) FILTER (WHERE ok) FROM item",
        "SELECT name, count FROM item GROUP BY name",
        "SELECT count(*) FROM item HAVING count(*) > 3",
        "SELECT count(*) + 1 FROM item",
        "SELECT sum(price) FROM item",
        "SELECT sum(f) FROM item",
        "SELECT f, count(*) FROM item GROUP BY f",
        "SELECT tags, count(*) FROM item GROUP BY tags",
        "SELECT count(*) FROM item WHERE name = 3",
        "SELECT count(*) FROM item WHERE name = 'a' COLLATE NOCASE",
        "SELECT count(*) FROM item WHERE count = 1 OR count = 2",
        "SELECT count(*) FROM item LIMIT -1",
        "SELECT count(*) FROM item i",
        "SELECT max(count, 3) FROM item",
        "SELECT name FROM item",
        "SELECT DISTINCT name FROM item GROUP BY name",
        "SELECT count(*) FROM item WHERE count > ?",
        "SELECT count(*) FROM item UNION SELECT 1",
        // A key or an index finds these sooner.
        "SELECT count(*) FROM item WHERE _key < 'item:004'",
        "SELECT count(*) FROM item WHERE name = 'n4'",
        "SELECT max(count) FROM item",
    ] {
        if let Ok(plan) = session.explain(sql) {
            assert!(
                !plan.is_empty() && !plan[0].detail.starts_with("TOTALS"),
                "{sql}: {plan:?}"
            );
        }
    }
}

#[test]
fn totals_of_a_projection_are_of_the_fields_that_are_named() {
    let mut world = World::new();
    world.define(
        "odd",
        &[
            "first-name:string",
            "first:integer",
            "name:integer",
            "1:integer",
        ],
    );
    let edits: Vec<_> = (0..6)
        .map(|n| {
            let json = format!(
                r#"{{"first-name":"f{}","first":{n},"name":1,"1":{n}}}"#,
                n % 2
            );
            put(&format!("odd:{n}"), &json)
        })
        .collect();
    world.commit(&main(), &edits);
    let by = |expression: &str| ShapeDefinition::Group {
        by: vec![("by".to_owned(), expression.to_owned())],
        totals: vec![("n".to_owned(), Function::Count, None)],
    };
    // The difference of two fields, and the number one.
    world.create("difference", "odd:*", by("first-name"));
    world.create("one", "odd:*", by("1"));
    world.refresh();
    let mut session = world.session();
    let sql = r#"SELECT "first-name", count(*) FROM odd GROUP BY "first-name""#;
    assert_eq!(plan(&mut session, sql), "TOTALS odd (decoded columns)");
    assert_eq!(rows(&mut session, sql), ["'f0'|3", "'f1'|3"]);
    let sql = r#"SELECT "1", count(*) FROM odd GROUP BY "1" LIMIT 2"#;
    assert_eq!(rows(&mut session, sql), ["0|1", "1|1"]);
    world.create("field", "odd:*", by("\"first-name\""));
    world.refresh();
    let sql = r#"SELECT "first-name", count(*) FROM odd GROUP BY "first-name""#;
    let mut session = world.session();
    assert_eq!(plan(&mut session, sql), "TOTALS odd (projection field)");
    assert_eq!(rows(&mut session, sql), ["'f0'|3", "'f1'|3"]);
}

#[test]
fn projections_of_every_shape_are_tables() {
    let mut world = World::with_items();
    let left = vec![("what".to_owned(), "name".to_owned())];
    let right = vec![("others".to_owned(), "name".to_owned())];
    let pairs = ShapeDefinition::Join {
        on: "count".to_owned(),
        other: "order:*".to_owned(),
        to: "n".to_owned(),
        left,
        right,
        outer: true,
    };
    world.create("pairs", "item:*", pairs);
    world.create(
        "texts",
        "item:*",
        ShapeDefinition::Words {
            of: vec!["name".to_owned()],
        },
    );
    let values = vec![("shout".to_owned(), "upper(name)".to_owned())];
    world.create(
        "loud",
        "item:*",
        ShapeDefinition::Index {
            by: vec!["count".to_owned()],
            values,
        },
    );
    world.commit(
        &main(),
        &[
            put("item:1", &item("green tea", 1)),
            put("item:2", &item("black tea", 2)),
            put("order:1", r#"{"n":1,"name":"first"}"#),
            put("order:2", r#"{"n":1,"name":"second"}"#),
        ],
    );
    let mut session = world.session();
    assert_eq!(
        rows(&mut session, "SELECT * FROM pairs ORDER BY _key, _other"),
        [
            "'item:1'|'order:1'|'green tea'|'first'",
            "'item:1'|'order:2'|'green tea'|'second'",
            "'item:2'|null|'black tea'|null"
        ]
    );
    assert_eq!(
        rows(
            &mut session,
            "SELECT _key FROM texts WHERE word = 'tea' ORDER BY 1"
        ),
        ["'item:1'", "'item:2'"]
    );
    assert_eq!(
        rows(&mut session, "SELECT shout FROM loud WHERE count = 2"),
        ["'BLACK TEA'"]
    );
    // With what is staged.
    world.stage(
        &main(),
        &[put("item:2", &item("white tea", 2)), gone("order:2")],
    );
    let mut session = world.session();
    assert_eq!(
        rows(&mut session, "SELECT shout FROM loud WHERE count = 2"),
        ["'WHITE TEA'"]
    );
    assert_eq!(rows(&mut session, "SELECT count(*) FROM pairs"), ["2"]);
}

/// Sees the records of one kind.
#[derive(Debug)]
struct Only(&'static str);

impl Visibility for Only {
    fn sees(&self, key: &[u8]) -> bool {
        key.ends_with(self.0.as_bytes())
    }
}

#[test]
fn a_reader_sees_what_it_may_and_nothing_of_the_rest() {
    let mut world = world();
    world.group("total", "item:*", "name", "count");
    world.index("loud", "item:*", &["upper(name)"]);
    world.create(
        "texts",
        "item:*",
        ShapeDefinition::Words {
            of: vec!["name".to_owned()],
        },
    );
    let catalog = world
        .catalog(Own::Working(main()))
        .seen_by(Arc::new(Only("3")));
    let mut session = session(catalog);
    for (sql, expected) in [
        ("SELECT count(*) FROM item", "1"),
        ("SELECT count(*) FROM item WHERE name = 'deux'", "0"),
        ("SELECT count(*) FROM item WHERE count > 0", "1"),
        ("SELECT count(*) FROM item WHERE _key = 'item:2'", "0"),
        ("SELECT count(*) FROM item WHERE _key > 'item:'", "1"),
        ("SELECT count(*) FROM item ON BRANCH 'side'", "0"),
        ("SELECT count(*) FROM by_name", "1"),
        ("SELECT count(*) FROM loud", "1"),
        ("SELECT count(*) FROM allod_entries", "1"),
        (
            "SELECT count(*) FROM allod_diff('item', 'side', 'main')",
            "1",
        ),
        ("SELECT count(*) FROM allod_blame('*')", "1"),
        ("SELECT count(*) FROM allod_branches()", "0"),
        ("SELECT count(*) FROM allod_tags()", "0"),
    ] {
        assert_eq!(rows(&mut session, sql), [expected], "{sql}");
    }
    for table in ["total", "texts"] {
        let error = try_rows(&mut session, &format!("SELECT * FROM {table}")).unwrap_err();
        assert_eq!(error.code(), "E_SQL_TABLE", "{error}");
    }
    let error = try_rows(&mut session, "SELECT * FROM allod_log()").unwrap_err();
    assert_eq!(error.code(), "E_SQL_STATE", "{error}");
}

/// Sees everything, but of the branch `side` nothing.
#[derive(Debug)]
struct NotSide;

impl Visibility for NotSide {
    fn sees(&self, _key: &[u8]) -> bool {
        true
    }

    fn sees_all(&self) -> bool {
        true
    }

    fn elsewhere(&self, at: &At) -> Result<Option<Arc<dyn Visibility>>, TableError> {
        let named = [at.branch.as_deref(), at.as_of.as_deref()];
        if named.contains(&Some("side")) {
            return Err(TableError::State("not for this reader".to_owned()));
        }
        Ok(None)
    }

    fn sees_branch(&self, branch: &BranchName) -> bool {
        branch.as_str() != "side"
    }
}

#[test]
fn another_state_is_asked_for_anew() {
    let world = world();
    let catalog = world
        .catalog(Own::Working(main()))
        .seen_by(Arc::new(NotSide));
    let mut session = session(catalog);
    assert_eq!(
        rows(
            &mut session,
            "SELECT count(*) FROM allod_branches() WHERE name = 'side'"
        ),
        ["0"]
    );
    for sql in [
        "SELECT * FROM item ON BRANCH 'side'",
        "SELECT * FROM item AS OF 'side'",
        "SELECT * FROM allod_entries ON BRANCH 'side'",
        "SELECT * FROM allod_diff('item', 'side', 'main')",
        "SELECT * FROM allod_diff('item', 'main', 'side')",
        "SELECT * FROM allod_log('side')",
        "SELECT * FROM allod_conflicts('side')",
    ] {
        let error = try_rows(&mut session, sql).unwrap_err();
        assert_eq!(error.code(), "E_SQL_STATE", "{sql}: {error}");
        assert!(
            error.to_string().contains("not for this reader"),
            "{sql}: {error}"
        );
    }
}

#[test]
fn tables_of_the_program_stand_beside() {
    let world = world();
    let peer = Arc::new(other::Numbers::new(3));
    let mut catalog = world.catalog(Own::Working(main()));
    catalog.add("numbers", peer);
    let mut session = session(catalog);
    let sql = "SELECT item.name, n FROM item JOIN numbers ON item.count = n ORDER BY n";
    assert_eq!(rows(&mut session, sql), ["'deux'|2", "'three'|3"]);
    let error = try_rows(&mut session, "SELECT * FROM numbers AS OF 'main'").unwrap_err();
    assert!(error.to_string().contains("no other states"), "{error}");
    // Who has not added it is told its name.
    let error = try_rows(&mut world.session(), "SELECT * FROM numbers").unwrap_err();
    assert!(error.to_string().contains("numbers"), "{error}");
}

mod other {
    use allod_sql::{Ask, Column, ColumnType, Open, Plan, Rows, ScalarRef, Table, TableError};

    /// The numbers from 1 on.
    pub(crate) struct Numbers {
        columns: Vec<Column>,
        last: i64,
    }

    impl Numbers {
        pub(crate) fn new(last: i64) -> Self {
            let columns = vec![Column::new("n", ColumnType::Integer)];
            Self { columns, last }
        }
    }

    impl Table for Numbers {
        fn columns(&self) -> &[Column] {
            &self.columns
        }

        fn plan(&self, _ask: &Ask<'_>) -> Plan {
            Plan::scan(self.last.unsigned_abs())
        }

        fn open(&self, _open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
            Ok(Box::new(Counting(0, self.last)))
        }
    }

    struct Counting(i64, i64);

    impl Rows for Counting {
        fn next(&mut self) -> Result<bool, TableError> {
            self.0 += 1;
            Ok(self.0 <= self.1)
        }

        fn column(&self, _index: usize) -> Result<ScalarRef<'_>, TableError> {
            Ok(ScalarRef::Integer(self.0))
        }
    }
}

/// What a statement needs is computed within its limits; whoever has more time gets it.
#[test]
fn computing_an_index_is_part_of_a_statement() {
    let mut world = World::with_items();
    let many: Vec<_> = (0..20_000)
        .map(|n| put(&format!("item:{n}"), &format!(r#"{{"count":{n}}}"#)))
        .collect();
    world.commit(&main(), &many);
    let ticks = Arc::new(AtomicU64::new(0));
    let session = |time_ms| {
        let limits = Limits {
            time_ms,
            ..Limits::default()
        };
        let ticks = Arc::clone(&ticks);
        // It is later each time that somebody asks.
        let clock = move || ticks.fetch_add(1, Ordering::Relaxed);
        Session::new(Arc::new(world.catalog(Own::Working(main()))), limits, clock).unwrap()
    };
    let sql = "SELECT count FROM by_count LIMIT 1";
    let error = try_rows(&mut session(10), sql).unwrap_err();
    assert_eq!(error, SqlError::Limit(Limit::Time));
    let snapshot = world.views.branch(&main()).unwrap();
    assert!(!snapshot.is_fresh(&"by_count".parse().unwrap()).unwrap());
    assert_eq!(rows(&mut session(1_000_000), sql), ["0"]);
}
