//! Tables of a space answer as the engine's own tables with the same rows do, whatever way is taken.

use allod_sql::Session;
use allod_tables::Own;
use proptest::prelude::*;
use rusqlite::types::Value;

use crate::world::{World, main, real_text, rows, session};

fn scale() -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// A value as JSON, and as the engine has it.
type Both = (String, Value);

fn null() -> Both {
    ("null".to_owned(), Value::Null)
}

fn text(text: &str) -> Both {
    (format!("{text:?}"), Value::Text(text.to_owned()))
}

fn field(of: &'static str) -> BoxedStrategy<Both> {
    let texts = prop_oneof![
        prop::sample::select(vec!["", "a", "A", "ab", "b", "10", "\u{df}", "item"]).prop_map(text),
        (60usize..200, any::<bool>()).prop_map(|(length, upper)| {
            text(
                &"long "
                    .repeat(length)
                    .chars()
                    .take(length)
                    .chain(if upper { ['B'] } else { ['b'] })
                    .collect::<String>(),
            )
        }),
    ];
    let wholes = prop_oneof![
        (-5i64..15).prop_map(|whole| (whole.to_string(), Value::Integer(whole))),
        prop::sample::select(vec![i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1])
            .prop_map(|whole| (whole.to_string(), Value::Integer(whole))),
        Just((
            "9223372036854775808".to_owned(),
            Value::Real(9_223_372_036_854_775_808.0)
        )),
    ];
    let numbers = prop_oneof![
        wholes.clone(),
        (-50i64..150).prop_map(|tenths| {
            let real = tenths as f64 / 10.0;
            // A whole number of tenths is a whole number.
            match tenths % 10 {
                0 => (format!("{}.0", tenths / 10), Value::Integer(tenths / 10)),
                _ => (format!("{real:?}"), Value::Real(real)),
            }
        }),
        // More digits than a float has: next to 0.1 and 5.
        Just(("0.10000000000000000000000001".to_owned(), Value::Real(0.1))),
        Just(("4.9999999999999999999999999".to_owned(), Value::Real(5.0))),
        Just(("5.0000000000000000000000001".to_owned(), Value::Real(5.0))),
        Just(("1e300".to_owned(), Value::Real(1e300))),
    ];
    let some = match of {
        "name" => texts.boxed(),
        "count" => wholes.boxed(),
        "price" => numbers.boxed(),
        "f" => prop_oneof![
            (-50i64..150).prop_map(|tenths| (
                format!("{:?}", tenths as f64 / 10.0),
                Value::Real(tenths as f64 / 10.0)
            )),
            Just(("5".to_owned(), Value::Real(5.0))),
        ]
        .boxed(),
        "ok" => any::<bool>()
            .prop_map(|ok| (ok.to_string(), Value::Integer(i64::from(ok))))
            .boxed(),
        "at" => (0i64..4, 0i64..24, prop::option::of(1i64..1_000_000))
            .prop_map(|(day, hour, micros)| {
                let fraction = micros.map_or(String::new(), |micros| format!(".{micros:06}"));
                let json = format!("\"2026-11-{:02}T{hour:02}:00:00{fraction}Z\"", day + 1);
                let shown = format!(
                    "2026-11-{:02}T{hour:02}:00:00.{:06}Z",
                    day + 1,
                    micros.unwrap_or(0)
                );
                (json, Value::Text(shown))
            })
            .boxed(),
        "raw" => prop::sample::select(vec![
            ("\"\"", vec![]),
            ("\"AA==\"", vec![0]),
            ("\"AP8=\"", vec![0, 255]),
            ("\"YQ==\"", b"a".to_vec()),
        ])
        .prop_map(|(json, bytes)| (json.to_owned(), Value::Blob(bytes)))
        .boxed(),
        _ => prop::sample::select(vec!["[]", "[\"a\"]", "[\"b\",\"a\"]"])
            .prop_map(|json| (json.to_owned(), Value::Text(json.to_owned())))
            .boxed(),
    };
    prop_oneof![6 => some, 1 => Just(null())].boxed()
}

const FIELDS: [&str; 8] = ["name", "count", "price", "ok", "at", "raw", "f", "tags"];

#[derive(Clone, Debug)]
struct Item {
    id: u32,
    fields: Vec<Both>,
}

impl Item {
    fn key(&self) -> String {
        format!("item:{}", self.id)
    }

    fn json(&self) -> String {
        let fields = FIELDS.iter().zip(&self.fields);
        let fields: Vec<String> = fields
            .map(|(name, (json, _))| format!("\"{name}\":{json}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

fn item() -> impl Strategy<Value = Item> {
    (0u32..60, FIELDS.map(field)).prop_map(|(id, fields)| Item {
        id,
        fields: fields.into(),
    })
}

/// The engine's own table with the same rows.
fn peer(items: &[Item]) -> rusqlite::Connection {
    let peer = rusqlite::Connection::open_in_memory().unwrap();
    peer.execute_batch(
        "CREATE TABLE item (_key TEXT PRIMARY KEY NOT NULL, _id TEXT, name TEXT, count NUMERIC, price NUMERIC, ok BOOLEAN, \
         at TEXT, raw BLOB, f REAL, tags TEXT) WITHOUT ROWID",
    )
    .unwrap();
    for item in items {
        let key = [Value::Text(item.key()), Value::Text(item.id.to_string())];
        let values = key
            .into_iter()
            .chain(item.fields.iter().map(|(_, value)| value.clone()));
        let insert = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        peer.execute(insert, rusqlite::params_from_iter(values))
            .unwrap();
    }
    peer
}

fn peer_rows(peer: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = peer
        .prepare(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..width).map(|at| {
            Ok(match row.get::<_, Value>(at)? {
                Value::Null => "null".to_owned(),
                Value::Integer(whole) => whole.to_string(),
                Value::Real(real) => real_text(real),
                Value::Text(text) => format!("'{text}'"),
                Value::Blob(bytes) => format!("{bytes:02x?}"),
            })
        });
        Ok(values
            .collect::<Result<Vec<_>, rusqlite::Error>>()?
            .join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        (-5i64..15).prop_map(|whole| whole.to_string()),
        (-50i64..150).prop_map(|tenths| format!("{:?}", tenths as f64 / 10.0)),
        prop::sample::select(vec![
            "''",
            "'a'",
            "'A'",
            "'ab'",
            "'b'",
            "'10'",
            "'item:3'",
            "'item:4'",
            "'2026-11-02'",
            "'2026-11-02T05:00:00.000000Z'",
            "'2026'",
            "x''",
            "x'00'",
            "x'00ff'",
            "NULL",
            "9223372036854775807",
            "9223372036854775808.0",
            "1e300",
            "'long long'",
        ])
        .prop_map(str::to_owned),
        (60usize..200).prop_map(|length| format!(
            "'{}b'",
            "long "
                .repeat(length)
                .chars()
                .take(length)
                .collect::<String>()
        )),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let column = prop::sample::select(vec![
        "_key", "_id", "name", "count", "price", "ok", "at", "raw", "f", "tags",
    ]);
    let operator = prop::sample::select(vec!["=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT"]);
    let compared = (column.clone(), operator, literal())
        .prop_map(|(column, operator, literal)| format!("{column} {operator} {literal}"));
    let simple = prop_oneof![
        8 => compared,
        1 => column.clone().prop_map(|column| format!("{column} IS NULL")),
        1 => column.clone().prop_map(|column| format!("{column} IS NOT NULL")),
        2 => (column.clone(), literal(), literal()).prop_map(|(column, low, high)| format!("{column} BETWEEN {low} AND {high}")),
        2 => (column.clone(), prop::collection::vec(literal(), 1..4)).prop_map(|(column, list)| format!("{column} IN ({})", list.join(", "))),
        1 => prop::sample::select(vec!["a%", "A%", "%b", "item:1%", "1%", "long%"]).prop_map(|pattern| format!("_key LIKE '{pattern}' OR name LIKE '{pattern}'")),
        1 => prop::sample::select(vec!["a*", "item:1*", "1?"]).prop_map(|pattern| format!("_key GLOB '{pattern}'")),
    ];
    simple.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one}) AND ({two})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one}) OR ({two})")),
            inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

fn query() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec![
        "_key",
        "_key DESC",
        "count, _key",
        "price DESC, _key",
        "ok, count, _key",
        "at, _key",
        "f DESC, _key DESC",
        "name, _key",
    ]);
    let part = prop::sample::select(vec![
        "SELECT * FROM item WHERE {} ORDER BY {o}",
        "SELECT _key, name, price FROM item WHERE {} ORDER BY {o} LIMIT 5",
        "SELECT count(*), sum(count > 3), min(price), max(at), total(f) FROM item WHERE {}",
        "SELECT ok, count(*), min(name) FROM item WHERE {} GROUP BY ok ORDER BY ok",
        "SELECT a._key, b._key FROM item a JOIN item b ON a.count = b.count AND a._key < b._key WHERE a.{} ORDER BY 1, 2",
        "SELECT _key FROM item WHERE count IN (SELECT count FROM item WHERE {}) ORDER BY _key",
        "SELECT a._key, (SELECT max(b.price) FROM item b WHERE b.name = a.name) FROM item a ORDER BY a._key",
        "SELECT _key, rank() OVER (ORDER BY count, _key) FROM item WHERE {} ORDER BY _key",
    ]);
    (part, condition(), order).prop_map(|(part, condition, order)| {
        // In a join one column has to be named with its table.
        let condition = if part.contains("a.{}") {
            "ok IS NOT 7".to_owned()
        } else {
            condition
        };
        part.replace("{}", &condition).replace("{o}", order)
    })
}

/// What a table may compute by itself, and what looks like it.
fn totals() -> impl Strategy<Value = String> {
    let column = prop::sample::select(vec![
        "_key", "name", "count", "price", "ok", "at", "raw", "f", "tags",
    ]);
    let compared = (
        column.clone(),
        prop::sample::select(vec!["=", "<", "<=", ">", ">="]),
        prop::sample::select(vec![
            "3",
            "-2",
            "7.5",
            "'a'",
            "'10'",
            "'b'",
            "9223372036854775807",
        ]),
    );
    let compared =
        compared.prop_map(|(column, operator, with)| format!("{column} {operator} {with}"));
    let filters = prop::collection::vec(compared, 0..3).prop_map(|all| all.join(" AND "));
    let total = (
        prop::sample::select(vec!["count", "avg", "min", "max"]),
        column,
    )
        .prop_map(|(function, of)| format!("{function}({of})"));
    let items = prop::collection::vec(
        prop_oneof![4 => total, 1 => Just("count(*)".to_owned()), 1 => Just("sum(ok)".to_owned()), 1 => Just("max(count)".to_owned())],
        1..4,
    );
    let by = prop::sample::select(vec!["", "name", "ok", "count", "name, ok", "price", "at"]);
    let few = prop_oneof![Just(""), Just(" LIMIT 2")];
    let ways = (any::<bool>(), any::<bool>());
    (items, filters, by, ways, few).prop_map(|(items, filters, by, (is_down, is_by_total), few)| {
        let mut sql = format!("SELECT {}", items.join(", "));
        if !by.is_empty() {
            sql = format!("SELECT {by}, {}", items.join(" AS x, "));
        }
        sql += " FROM item";
        if !filters.is_empty() {
            sql += &format!(" WHERE {filters}");
        }
        if !by.is_empty() {
            let way = if is_down { " DESC" } else { "" };
            let mut order: Vec<String> = by
                .split(", ")
                .map(|column| format!("{column}{way}"))
                .collect();
            if is_by_total {
                // Rows that are equal in it are left in the order of their groups.
                order[0] = format!("{}{way}", order.len() + 1);
            }
            sql += &format!(" GROUP BY {by} ORDER BY {}{few}", order.join(", "));
        }
        sql
    })
}

#[track_caller]
fn compare(session: &mut Session, peer: &rusqlite::Connection, queries: &[String]) {
    for sql in queries {
        assert_eq!(rows(session, sql), peer_rows(peer, sql), "{sql}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24 * scale(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn statements_give_what_the_engine_gives_of_its_own(
        items in prop::collection::vec(item(), 0..60),
        staged in prop::collection::vec(item(), 0..6),
        queries in prop::collection::vec(prop_oneof![query(), totals()], 60),
    ) {
        let mut world = World::with_items();
        let edit = |item: &Item| (item.key(), Some(item.json()));
        let edits: Vec<_> = items.iter().map(edit).collect();
        // Neighbours that are none of its rows.
        let others = [("items:1".to_owned(), Some("{}".to_owned())), ("item".to_owned(), Some("x".to_owned()))];
        let head = world.commit(&main(), &[&edits[..], &others].concat());
        let committed = peer(&items);
        compare(&mut session(world.catalog(Own::Commit(head))), &committed, &queries);
        compare(&mut world.session(), &committed, &queries);
        // And with totals at hand.
        for (called, by) in [("of_name", &["name"][..]), ("of_ok_name", &["ok", "name"]), ("of_count", &["count"])] {
            world.totals(called, "item:*", by, &["ok", "count", "name"]);
        }
        world.refresh();
        compare(&mut session(world.catalog(Own::Commit(head))), &committed, &queries);
        // With what is staged over it, and as of the commit again.
        let edits: Vec<_> = staged.iter().map(edit).collect();
        world.stage(&main(), &edits);
        let all = [&items[..], &staged].concat();
        compare(&mut world.session(), &peer(&all), &queries);
        compare(&mut session(world.catalog(Own::Commit(head))), &committed, &queries);
    }
}
