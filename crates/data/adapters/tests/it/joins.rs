//! Joins, which look rows up in what is kept, give what reading all rows gives.

use allod_sql::Scalar;

use crate::world::{CSV, JSON, Outside};

#[test]
fn a_join_looks_rows_up() {
    let mut content = String::from("id,parent,name\n");
    for id in 1..=20_000 {
        content += &format!("{id},{},n{id}\n", id / 2);
    }
    let file = Outside::new(CSV, content);
    let mut session = file.session();
    let sql = "SELECT count(*), sum(p.id) FROM t JOIN t p ON p.id = t.parent";
    let plan = session.explain(sql).unwrap();
    assert!(
        plan.iter().any(|row| row.detail.contains("lookup (id=?)")),
        "{plan:?}"
    );
    // A scan for each row would take minutes.
    let rows = session.prepare(sql).unwrap().rows(&[]).unwrap();
    let sum = (1..=20_000_i64).map(|id| id / 2).sum::<i64>();
    assert_eq!(rows, [[Scalar::from(19_999), sum.into()]]);
    // One value is looked for by reading on: nothing is kept for it.
    let plan = session.explain("SELECT * FROM t WHERE id = 5").unwrap();
    assert!(
        plan.iter().all(|row| !row.detail.contains("lookup")),
        "{plan:?}"
    );
}

/// Each pair of values by `=` in both ways: by a lookup, and by a condition that none takes.
#[test]
fn lookups_find_what_the_engine_finds() {
    let rows = [
        r#"{"i":1,"n":1.0,"t":"1","b":true,"j":[1]}"#,
        r#"{"i":0,"n":0.5,"t":"0.5","b":false,"j":"1"}"#,
        r#"{"i":9007199254740993,"n":9007199254740992.5,"t":"","b":null,"j":1}"#,
        r#"{"i":-1,"n":-0.0,"t":"a","b":true,"j":true}"#,
        r#"{"i":null,"n":1e300,"t":null,"b":false,"j":{"a":1}}"#,
        r#"{"i":1,"n":-1,"t":"A","b":null,"j":null}"#,
    ];
    let file = Outside::new(JSON, rows.join("\n"));
    assert_eq!(
        file.kinds(),
        "i integer, n number, t text, b boolean, j json"
    );
    let mut session = file.session();
    let mut found = 0;
    for one in ["i", "n", "t", "b", "j"] {
        for two in ["i", "n", "t", "b", "j"] {
            let pairs = |condition: &str| {
                format!(
                    "SELECT x.rowid, y.rowid FROM t x CROSS JOIN t y ON {condition} ORDER BY 1, 2"
                )
            };
            let by_lookup = pairs(&format!("y.{two} = x.{one}"));
            let by_reading = pairs(&format!("(y.{two} = x.{one}) + 0"));
            let mut ask = |sql: &str| session.prepare(sql).unwrap().rows(&[]).unwrap();
            let expected = ask(&by_reading);
            assert_eq!(ask(&by_lookup), expected, "{one} {two}");
            found += expected.len();
        }
    }
    assert!(found > 20, "{found}");
    let sql = "SELECT count(*) FROM t x LEFT JOIN t y ON y.i = x.i OR y.t = x.t";
    assert!(session.prepare(sql).unwrap().rows(&[]).is_ok());
}

/// Rows beyond what is kept are read again.
#[test]
fn a_large_table_is_joined_without_being_kept() {
    let filler = "x".repeat(1000 * 1000);
    let mut content = String::from("id,filler\n");
    for id in 0..70 {
        content += &format!("{id},{filler}\n");
    }
    let file = Outside::new(CSV, content);
    let sql = "SELECT count(*) FROM t CROSS JOIN t other ON other.id = t.id AND t.id < 3";
    assert_eq!(file.ask(sql).unwrap(), [[Scalar::from(3)]]);
}
