//! Statements that write: into the working set, checked by the type, all or nothing.

use allod_repo::{Content, Edit};
use allod_sql::{Scalar, Session, SqlError};
use allod_tables::Own;
use bytes::Bytes;

use crate::world::{World, main, put, rows, session, try_rows};

fn write(session: &mut Session, sql: &str) -> Result<(), SqlError> {
    session.prepare(sql)?.rows(&[]).map(drop)
}

fn stored(world: &World, key: &str) -> Option<String> {
    match world
        .repo
        .working(&main())
        .unwrap()
        .get(key.as_bytes())
        .unwrap()?
    {
        Content::Bytes(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        Content::File(cid) => Some(cid.to_string()),
    }
}

#[test]
fn records_are_inserted_changed_and_deleted() {
    let mut world = World::with_items();
    world.commit(
        &main(),
        &[put(
            "item:1",
            r#"{"name":"one","extra":{"a":[1, 2]},"count":1}"#,
        )],
    );
    let mut statement = world.session();
    write(&mut statement, "INSERT INTO item (_id, name, count, price, ok, at, raw, f, tags) VALUES \
        ('2', 'it''s \"two\"', 2, 0.5, 1, '2026-11-26T08:00:00Z', x'00ff', 3, '[\"a\"]'), ('3', NULL, 3, 7, 0, NULL, NULL, 1e300, NULL)").unwrap();
    assert_eq!(
        stored(&world, "item:2").unwrap(),
        r#"{"name":"it's \"two\"","count":2,"price":0.5,"ok":true,"at":"2026-11-26T08:00:00Z","raw":"AP8=","f":3,"tags":["a"]}"#
    );
    assert_eq!(
        stored(&world, "item:3").unwrap(),
        r#"{"count":3,"price":7,"ok":false,"f":1e300}"#
    );
    // Fields that the type does not know, and the spelling of others, stay.
    let mut statement = world.session();
    write(
        &mut statement,
        "UPDATE item SET count = count + 10, name = NULL WHERE count < 3",
    )
    .unwrap();
    assert_eq!(
        stored(&world, "item:1").unwrap(),
        r#"{"extra":{"a":[1, 2]},"count":11}"#
    );
    let sql = "SELECT _key, count, raw FROM item ORDER BY 1";
    assert_eq!(
        rows(&mut world.session(), sql),
        [
            "'item:1'|11|null",
            "'item:2'|12|[00, ff]",
            "'item:3'|3|null"
        ]
    );
    write(&mut world.session(), "DELETE FROM item WHERE count = 3").unwrap();
    write(
        &mut world.session(),
        "UPDATE item SET _id = 'first' WHERE _key = 'item:1'",
    )
    .unwrap();
    assert_eq!(
        rows(&mut world.session(), "SELECT _id FROM item ORDER BY 1"),
        ["'2'", "'first'"]
    );
    write(
        &mut world.session(),
        "INSERT OR REPLACE INTO item (_key, name) VALUES ('item:2', 'new')",
    )
    .unwrap();
    assert_eq!(stored(&world, "item:2").unwrap(), r#"{"name":"new"}"#);
    write(
        &mut world.session(),
        "INSERT OR IGNORE INTO item (_key, name) VALUES ('item:2', 'newer'), ('item:4', 'x')",
    )
    .unwrap();
    assert_eq!(
        rows(&mut world.session(), "SELECT name FROM item ORDER BY _key"),
        ["'new'", "'x'", "null"]
    );
    world.commit_staged(&main());
    assert_eq!(
        rows(&mut world.session(), "SELECT count(*) FROM item"),
        ["3"]
    );
    let mut bound = world.session();
    let mut insert = bound
        .prepare("INSERT INTO item (_id, count) SELECT ?1 || value, value FROM json_each(?2)")
        .unwrap();
    insert
        .rows(&[
            Scalar::Text("n".to_owned()),
            Scalar::Text("[5, 6]".to_owned()),
        ])
        .unwrap();
    drop(insert);
    assert_eq!(stored(&world, "item:n6").unwrap(), r#"{"count":6}"#);
}

#[test]
fn what_breaks_a_type_is_not_staged_nor_is_the_rest() {
    let mut world = World::with_items();
    world.commit(&main(), &[put("item:1", r#"{"name":"one"}"#)]);
    for (sql, words) in [
        (
            "INSERT INTO item (_id, name) VALUES ('2', 'x'), ('3', x'00')",
            "name: expected string",
        ),
        (
            "INSERT INTO item (_id, count) VALUES ('2', 1), ('3', 1.5)",
            "count: expected integer",
        ),
        (
            "INSERT INTO item (_id, count) VALUES ('2', 'x')",
            "count: expected integer",
        ),
        (
            "INSERT INTO item (_id, ok) VALUES ('2', 2)",
            "ok: expected boolean",
        ),
        (
            "INSERT INTO item (_id, at) VALUES ('2', 'yesterday')",
            "expected a timestamp",
        ),
        (
            "INSERT INTO item (_id, tags) VALUES ('2', '[1]')",
            "expected string, found 1",
        ),
        ("INSERT INTO item (_id, tags) VALUES ('2', '[')", "no JSON"),
        (
            "INSERT INTO item (name) VALUES ('x')",
            "needs a _key or an _id",
        ),
        (
            "INSERT INTO item (_key) VALUES ('user:1')",
            "does not begin with item:",
        ),
        (
            "INSERT INTO item (_key) VALUES ('item:')",
            "does not begin with item:",
        ),
        (
            "INSERT INTO item (_id, name) VALUES ('2', 'x'), ('1', 'y')",
            "there already",
        ),
        ("UPDATE item SET count = 'x'", "count: expected integer"),
    ] {
        let error = write(&mut world.session(), sql).unwrap_err();
        assert!(error.to_string().contains(words), "{sql}: {error}");
        assert_eq!(error.code(), "E_SQL_CONSTRAINT", "{sql}");
        let staged = world.repo.staged(&main()).unwrap();
        assert!(staged.is_empty(), "{sql}");
    }
}

#[test]
fn only_types_of_the_working_set_are_written() {
    let mut world = World::with_items();
    let head = world.commit(&main(), &[put("item:1", r#"{"name":"one"}"#)]);
    for sql in [
        "DELETE FROM by_name",
        "DELETE FROM allod_entries",
        "UPDATE item AS OF 'main' SET name = 'x'",
        "INSERT INTO item ON BRANCH 'main' (_id) VALUES ('2')",
    ] {
        let error = write(&mut world.session(), sql).unwrap_err();
        assert!(
            ["E_SQL_READ_ONLY", "E_SQL_STATE", "E_SQL"].contains(&error.code()),
            "{sql}: {error:?}"
        );
    }
    let mut past = session(world.catalog(Own::Commit(head)));
    let error = write(&mut past, "DELETE FROM item").unwrap_err();
    assert_eq!(error.code(), "E_SQL_READ_ONLY");
    let mut reader = session(world.catalog(Own::Working(main())));
    assert_eq!(
        write(&mut reader, "DELETE FROM item").unwrap_err().code(),
        "E_SQL_READ_ONLY"
    );
    assert_eq!(
        try_rows(&mut reader, "SELECT count(*) FROM item").unwrap(),
        ["1"]
    );
}

/// Nothing is written over what was staged since the tables were made, by the same session or another.
#[test]
fn what_was_staged_meanwhile_is_not_written_over() {
    let mut world = World::with_items();
    world.commit(&main(), &[put("item:1", r#"{"count":1}"#)]);
    let mut late = world.session();
    let mut session = world.session();
    let add = "UPDATE item SET count = count + 1";
    write(&mut session, add).unwrap();
    for session in [&mut session, &mut late] {
        assert_eq!(write(session, add).unwrap_err().code(), "E_SQL_MOVED");
    }
    write(&mut world.session(), add).unwrap();
    assert_eq!(stored(&world, "item:1").unwrap(), r#"{"count":3}"#);
    let mut late = world.session();
    world.commit(&main(), &[put("item:2", "{}")]);
    assert_eq!(
        write(&mut late, "DELETE FROM item").unwrap_err().code(),
        "E_SQL_MOVED"
    );
}

/// A key that is no text of at most 1,024 bytes is that of no record (TYPE-5).
#[test]
fn keys_that_are_none_of_records_are_no_rows() {
    let mut world = World::with_items();
    let now = world.now + 1;
    let long = format!("item:{}", "k".repeat(1020));
    let edits = [
        (
            Bytes::from_static(b"item:\xff"),
            Edit::Put(Bytes::from_static(b"{}")),
        ),
        (
            Bytes::from(long.clone()),
            Edit::Put(Bytes::from_static(b"{}")),
        ),
        (
            Bytes::from_static(b"item:h"),
            Edit::Put(Bytes::from_static(b"{}")),
        ),
    ];
    world.repo.stage(&main(), edits, now).unwrap();
    for _ in 0..2 {
        for sql in [
            "SELECT _id FROM item",
            "SELECT _id FROM by_name",
            "SELECT _id FROM item WHERE _id >= 'a'",
        ] {
            let sql = sql.replace("_id FROM by_name", "substr(_key, 6) FROM by_name");
            assert_eq!(rows(&mut world.session(), &sql), ["'h'"], "{sql}");
        }
        world.commit(&main(), &[put("other", "x")]);
    }
    let insert = format!("INSERT INTO item (_key) VALUES ('{long}k')");
    let error = write(&mut world.session(), &insert).unwrap_err();
    assert!(error.to_string().contains("at most 1024 bytes"), "{error}");
}
