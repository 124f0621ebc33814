//! `table`: outside data as tables of SQL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::home::{Done, Home};

fn sql(home: &Home, statement: &str) -> Done {
    home.run(&["sql", statement, "--json"])
}

/// A space with a type of two records, `a` and `b`, that are staged.
fn with_items() -> Home {
    let home = Home::with_space();
    let fields = ["--field", "sku:string", "--field", "n:integer"];
    home.run(&[&["type", "define", "item"], &fields[..]].concat())
        .ok();
    let insert = "INSERT INTO item (_id, sku, n) VALUES ('a', '007', 2), ('b', '008', 5)";
    home.run(&["sql", insert]).ok();
    home
}

#[test]
fn a_file_stands_beside_the_types_of_a_space() {
    let home = with_items();
    home.write("prices.csv", "sku;price\n007;1.5\n008;3\n");
    let add = [
        "table",
        "add",
        "prices",
        "--csv",
        "prices.csv",
        "--delimiter",
        ";",
    ];
    let added = home.json(&add);
    assert_eq!(added["rows"], 2);
    let columns = json!([
        { "column": "sku", "field": "sku", "kind": "text" },
        { "column": "price", "field": "price", "kind": "number" },
    ]);
    assert_eq!(added["columns"], columns);
    let join = "SELECT _id, n * price AS sum FROM item JOIN prices USING (sku) ORDER BY sum";
    let expected = [
        json!({ "_id": "a", "sum": 3.0 }),
        json!({ "_id": "b", "sum": 15 }),
    ];
    assert_eq!(sql(&home, join).rows(), expected);
    // A node that runs has it too, and others may be registered with it.
    let up = home.up();
    assert_eq!(sql(&home, join).rows(), expected);
    let notes = home.write("notes.ndjson", "{\"id\":1,\"tags\":[\"x\"]}\n{\"id\":2}\n");
    home.run(&["table", "add", "notes", "--json-file", "notes.ndjson"])
        .ok();
    assert_eq!(up.stop(), Some(0));
    let rows = sql(&home, "SELECT id, tags ->> 0 AS tag FROM notes").rows();
    assert_eq!(
        rows,
        [
            json!({ "id": 1, "tag": "x" }),
            json!({ "id": 2, "tag": null })
        ]
    );
    let listed = home.run(&["table", "list", "--json"]).rows();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        listed[0]["from"],
        json!({ "adapter": "json", "file": notes, "at": null })
    );
    let tables = home.run(&["sql", "--tables", "--json"]).rows();
    let names: Vec<&str> = tables
        .iter()
        .filter_map(|it| it["table"].as_str())
        .collect();
    assert_eq!(names, ["notes", "prices", "item", "allod_entries"]);
    assert_eq!(
        home.run(&["sql", "--describe", "PRICES"]).ok(),
        "sku    TEXT\nprice  NUMERIC\n"
    );
    let shown = home.run(&["table", "show", "Prices"]).ok();
    assert!(
        shown.contains("delimiter ';'") && shown.contains("  price  number"),
        "{shown}"
    );
    // It is of this space, and nothing of it is in the space.
    home.run(&["space", "new", "other"]).ok();
    assert!(home.run(&["table", "list"]).ok().is_empty());
    sql(&home, "SELECT * FROM prices").fails(1, &["E_SQL_TABLE"]);
    home.run(&["space", "use", "notes"]).ok();
    assert!(!home.run(&["ls"]).ok().contains("price"));
    home.run(&["table", "remove", "prices"]).ok();
    home.run(&["table", "remove", "prices"])
        .fails(1, &["no table \"prices\" of outside data"]);
    sql(&home, join).fails(1, &["no such table: prices"]);
}

#[test]
fn names_are_refused_or_go_first() {
    let home = with_items();
    home.write("t.csv", "x\n1\n");
    let add = |name: &str| home.run(&["table", "add", name, "--csv", "t.csv"]);
    for taken in ["ITEM", "allod_entries"] {
        add(taken).fails(1, &["table"]);
    }
    for bad in ["allod_x", "sqlite_master", "json_each", "a-b", "1a", ""] {
        add(bad).fails(1, &["is no name for a table"]);
    }
    add("users").ok();
    add("Users").fails(1, &["there is a table Users already"]);
    sql(&home, "SELECT * FROM user").fails(1, &["is it users?"]);
    // What the space gets later stands behind.
    home.run(&["type", "define", "users", "--field", "y:string"])
        .ok();
    assert_eq!(
        sql(&home, "SELECT * FROM users").rows(),
        [json!({ "x": 1 })]
    );
    let listed = home.json(&["table", "list"]);
    assert_eq!(listed["hides"], true);
    for state in ["users AS OF 'main'", "users ON BRANCH 'main'"] {
        let done = sql(&home, &format!("SELECT * FROM {state}"));
        done.fails(1, &["E_SQL_STATE", "no other states"]);
    }
    sql(&home, "DIFF 'main' 'main' ON users").fails(1, &["E_SQL_STATE"]);
    sql(&home, "INSERT INTO users VALUES (2)").fails(1, &["E_SQL_READ_ONLY"]);
    home.run(&["table", "remove", "users"]).ok();
    assert!(sql(&home, "SELECT y FROM users").rows().is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let home = Home::with_space();
    let add = |args: &[&str]| home.run(&[&["table", "add", "t"], args].concat());
    home.write("bad.csv", "a,b\n1,\"x\n");
    add(&["--csv", "bad.csv"]).fails(
        1,
        &["bad.csv, line 2: a quote is not closed", "E_TAB_FORMAT"],
    );
    add(&["--csv", "none.csv"]).fails(1, &["CSV /", "none.csv", "E_TAB_SOURCE"]);
    home.write("one.json", "{\"a\":[{\"x\":1}]}");
    add(&["--json-file", "one.json", "--at", "/b"]).fails(1, &["nothing at /b"]);
    add(&["--json-file", "one.json", "--at", "b"]).fails(2, &["no JSON pointer"]);
    add(&["--json-file", "one.json", "--no-header"]).fails(2, &["--no-header is for --csv"]);
    add(&["--csv", "bad.csv", "--at", "/b"]).fails(2, &["--at is for"]);
    add(&["--csv", "bad.csv", "--delimiter", "::"]).fails(2, &["ASCII"]);
    add(&["--csv", "bad.csv", "--json-file", "one.json"]).fails(2, &["cannot be used with"]);
    add(&["--url", "ftp://a/b"]).fails(1, &["begins with http:// or https://"]);
    add(&["--from-space", "nowhere", "--type", "x"]).fails(1, &["no space named"]);
    assert!(home.run(&["table"]).ok().is_empty());

    home.write("t.csv", "a\n1\n");
    add(&["--csv", "t.csv"]).ok();
    home.write("t.csv", "a\n1\nx\n");
    sql(&home, "SELECT * FROM t").fails(
        1,
        &["t.csv, line 3", "column a is no integer", "E_TAB_VALUE"],
    );
    home.run(&["table", "refresh", "t"]).ok();
    assert_eq!(sql(&home, "SELECT * FROM t").rows().len(), 2);
    std::fs::remove_file(home.file("t.csv")).unwrap();
    sql(&home, "SELECT * FROM t").fails(1, &["t failed: CSV /", "t.csv", "E_TAB_SOURCE"]);
    // Others are not kept from being read.
    home.run(&["sql", "SELECT * FROM allod_entries"]).ok();
}

/// A server whose answer to the path `/n` is how often it was asked for that. Its address.
fn serve() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || answer(stream, &count));
        }
    });
    (format!("http://{addr}"), asked)
}

fn answer(mut stream: TcpStream, count: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let asked = count.fetch_add(1, Ordering::SeqCst) + 1;
    let path = first.split([' ', '?']).nth(1).unwrap().to_owned();
    if path == "/slow" && asked > 3 {
        // It says nothing more, and does not hang up.
        std::thread::sleep(std::time::Duration::from_secs(20));
    }
    let body = match &*path {
        "/rows" => format!("{{\"data\":{{\"rows\":[{{\"asked\":{asked}}},{{\"asked\":0}}]}}}}"),
        "/slow" => "{\"x\":1}\n{\"x\":2}".to_owned(),
        _ => "no".to_owned(),
    };
    let status = if body == "no" { "500 Oops" } else { "200 OK" };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).ok();
}

#[test]
fn a_server_is_asked_once_by_each_command() {
    let home = Home::with_space();
    let (url, asked) = serve();
    let rows = format!("{url}/rows?token=secret");
    home.run(&["table", "add", "rows", "--url", &rows, "--at", "/data/rows"])
        .ok();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let twice =
        "SELECT count(*) AS n, max(a.asked) AS asked FROM rows a JOIN rows b ON a.asked = b.asked";
    let script = format!("{twice}; SELECT max(asked) AS asked FROM rows;");
    let done = home.feed(&["sql", "--json"], script.as_bytes()).rows();
    assert_eq!(done, [json!({ "n": 2, "asked": 2 }), json!({ "asked": 2 })]);
    // What lists tables asks nobody.
    home.run(&["sql", "--tables"]).ok();
    home.run(&["table", "show", "rows"]).ok();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let gone = format!("{url}/gone?token=secret");
    let done = home.run(&["table", "add", "gone", "--url", &gone]);
    assert!(!done.err.contains("secret"), "{}", done.err);
    done.fails(1, &["the server answers 500", "E_TAB_SOURCE"]);
}

#[test]
fn a_slow_server_ends_with_the_statement() {
    let home = Home::with_space();
    let (url, _) = serve();
    home.run(&["table", "add", "slow", "--url", &format!("{url}/slow")])
        .ok();
    assert_eq!(
        sql(&home, "SELECT sum(x) AS x FROM slow").rows(),
        [json!({ "x": 3 })]
    );
    sql(&home, "SELECT * FROM slow").ok();
    let started = std::time::Instant::now();
    let done = home.run(&["sql", "SELECT * FROM slow", "--timeout", "0.5"]);
    assert!(started.elapsed().as_secs() < 10);
    done.fails(1, &["E_SQL_LIMIT", "--timeout allows more"]);
}

#[test]
fn another_space_is_as_it_is_in_its_main_branch() {
    let home = with_items();
    home.run(&["commit", "-m", "items"]).ok();
    home.run(&["sql", "INSERT INTO item (_id) VALUES ('c')"])
        .ok();
    home.run(&["space", "new", "desk"]).ok();
    let add = [
        "table",
        "add",
        "things",
        "--from-space",
        "notes",
        "--type",
        "item",
    ];
    home.run(&add).ok();
    let ids = || -> Vec<Value> {
        let rows = sql(&home, "SELECT _id FROM things ORDER BY 1").rows();
        rows.into_iter().map(|row| row["_id"].clone()).collect()
    };
    // What is staged there is not seen here.
    assert_eq!(ids(), ["a", "b"]);
    home.run(&["-s", "notes", "commit", "-m", "one more"]).ok();
    assert_eq!(ids(), ["a", "b", "c"]);
    let listed = home.run(&["table", "list"]).ok();
    assert_eq!(listed, "things  space  item of notes\n");
    sql(&home, "DELETE FROM things").fails(1, &["E_SQL_READ_ONLY"]);
    let add = [
        "table",
        "add",
        "other",
        "--from-space",
        "notes",
        "--type",
        "nothing",
    ];
    home.run(&add).fails(1, &["has no table nothing"]);
    let add = [
        "table",
        "add",
        "x",
        "--from-space",
        "notes",
        "--type",
        "item",
        "--column",
        "a:text",
    ];
    home.run(&add).fails(1, &["columns of space"]);
}

#[test]
fn files_of_columns_have_a_place() {
    let home = Home::with_space();
    let ask = |args: &[&str]| home.run(&[&["sql", "SELECT 1 AS x"], args].concat());
    for form in ["arrow", "parquet"] {
        ask(&["--format", form]).fails(2, &["--output says where"]);
        ask(&["--format", form, "--output", "x", "--explain"]).fails(2, &["a plan is printed"]);
    }
    ask(&["--format", "csv", "--output", "x"]).fails(2, &["--output is for"]);
    ask(&["--output", "x"]).fails(2, &["--format"]);
    if !cfg!(feature = "arrow") {
        ask(&["--format", "arrow", "--output", "x"]).fails(2, &["--features arrow"]);
        let add = ["table", "add", "p", "--parquet", "x"];
        home.run(&add).fails(1, &["feature arrow"]);
    }
    assert!(!home.file("x").exists());
}

#[cfg(feature = "arrow")]
#[test]
fn a_result_is_a_parquet_file_and_that_a_table() {
    let home = with_items();
    let select = "SELECT _id, sku, n, n * 0.5 AS half, NULL AS none FROM item ORDER BY _id";
    let expected = sql(&home, select).rows();
    let up = home.up();
    let to = ["--format", "parquet", "--output", "items.parquet"];
    home.run(&[&["sql", select], &to[..]].concat()).ok();
    let added = home.json(&["table", "add", "items", "--parquet", "items.parquet"]);
    assert_eq!(added["rows"], 2);
    assert_eq!(sql(&home, "SELECT * FROM items").rows(), expected);
    let joined = "SELECT count(*) AS n FROM item JOIN items USING (sku)";
    assert_eq!(sql(&home, joined).rows(), [json!({ "n": 2 })]);
    assert_eq!(up.stop(), Some(0));
    // What there was stays unless all rows are of their columns.
    let mixed = "SELECT 1 AS x UNION ALL SELECT 'a'";
    let done = home.run(&[&["sql", mixed], &to[..]].concat());
    done.fails(
        1,
        &[
            "row 2, column x: the text \"a\" among whole numbers",
            "E_TAB_VALUE",
        ],
    );
    assert_eq!(sql(&home, "SELECT * FROM items").rows(), expected);
    let two = home.run(&[&["sql", "SELECT 1; SELECT 2"], &to[..]].concat());
    two.fails(2, &["a file is of one statement"]);
    home.run(&["sql", "SELECT 1 AS x", "--format", "arrow", "-o", "x.arrow"])
        .ok();
    let bytes = std::fs::read(home.file("x.arrow")).unwrap();
    assert!(bytes.starts_with(b"ARROW1") && bytes.ends_with(b"ARROW1"));
    std::fs::write(home.file("items.parquet"), "no").unwrap();
    sql(&home, "SELECT * FROM items").fails(1, &["Parquet /", "E_TAB_SOURCE"]);
    let left: Vec<_> = std::fs::read_dir(home.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 4, "{left:?}");
}
