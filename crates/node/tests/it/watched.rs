//! Statements that are watched from the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::home::Home;

fn with_users() -> Home {
    let home = Home::with_space();
    let define = "type define user --field role:string --field age:integer";
    home.run(&define.split(' ').collect::<Vec<_>>()).ok();
    home
}

fn put(home: &Home, id: &str, role: &str, age: u32) {
    let record = json!({ "role": role, "age": age }).to_string();
    home.run(&["put", &format!("user:{id}"), &record]).ok();
}

fn commit(home: &Home) -> String {
    let done = home.json(&["commit", "-m", "a change"]);
    done["commit"].as_str().unwrap().to_owned()
}

/// Of each commit and each switch, with a real node.
#[test]
fn a_running_node_tells_what_changes_in_a_result() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    put(&home, "2", "admin", 31);
    let first = commit(&home);
    let up = home.up();
    let sql = "SELECT _key, role FROM user WHERE age >= ?";
    let mut watch = home.command(&["sql", "--watch", sql, "--param", "30", "--json"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(
        next(),
        json!({ "watching": sql, "columns": ["_key", "role"], "commit": first, "heads": [first] })
    );
    // What is staged is not told of before it is committed.
    put(&home, "1", "user", 30);
    put(&home, "3", "admin", 40);
    put(&home, "4", "admin", 20);
    let second = commit(&home);
    let row = |id: &str, role: &str| json!({ "_key": format!("user:{id}"), "role": role });
    assert_eq!(
        next(),
        json!({ "change": "modified", "row": row("1", "user"), "was": row("1", "admin") })
    );
    assert_eq!(
        next(),
        json!({ "change": "added", "row": row("3", "admin"), "count": 1 })
    );
    let end = |branch: &str, changes: u32, commit: &str| json!({ "change": "end", "branch": branch, "changes": changes, "commit": commit, "heads": [commit] });
    assert_eq!(next(), end("main", 2, &second));
    home.run(&["switch", "-c", "side"]).ok();
    home.run(&["del", "user:2"]).ok();
    let third = commit(&home);
    assert_eq!(next()["change"], "removed");
    assert_eq!(next(), end("side", 1, &third));
    home.run(&["switch", "main"]).ok();
    assert_eq!(
        next(),
        json!({ "change": "added", "row": row("2", "admin"), "count": 1 })
    );
    assert_eq!(next(), end("main", 1, &second));
    // A watcher does not keep the node from stopping.
    assert_eq!(up.stop(), Some(0));
    watch.wait().unwrap();
}

/// The cursor that was told leads on, without a node that runs too.
#[test]
fn a_watch_goes_on_from_a_commit() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    let first = commit(&home);
    put(&home, "2", "admin", 31);
    let second = commit(&home);
    home.run(&["put", "note", "nothing that is read"]).ok();
    commit(&home);
    home.run(&["del", "user:1"]).ok();
    let last = commit(&home);
    let sql = "SELECT role, count(*) AS n FROM user GROUP BY role";
    let ask = |from: &str| {
        let args = [
            "sql", "--watch", sql, "--key", "role", "--from", from, "--once", "--json",
        ];
        home.run(&args).rows()
    };
    let told = ask(&first);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0]["was"]["n"], 1);
    assert_eq!(told[0]["row"]["n"], 2);
    assert_eq!(told[1]["commit"], second.as_str());
    assert_eq!(told[2]["row"]["n"], 1);
    assert_eq!(told[3]["commit"], last.as_str());
    assert_eq!(ask(&second), told[2..]);
    assert_eq!(ask(&last), [json!(null); 0]);
    let shown = home.run(&[
        "sql",
        "--watch",
        "SELECT role FROM user",
        "--from",
        &second,
        "--once",
    ]);
    assert_eq!(shown.ok(), "- role=admin\n");
    home.run(&["sql", "--watch", sql])
        .fails(1, &["no node runs"]);
    home.run(&[
        "sql",
        "--watch",
        "SELECT rol FROM user",
        "--from",
        &last,
        "--once",
    ])
    .fails(1, &["is it role?", "E_SQL_COLUMN"]);
    home.run(&[
        "sql",
        "--watch",
        "DELETE FROM user",
        "--from",
        &last,
        "--once",
    ])
    .fails(1, &["not allowed"]);
    home.run(&[
        "sql", "--watch", sql, "--key", "nothing", "--from", &last, "--once",
    ])
    .fails(1, &["not one column"]);
    home.run(&["sql", "--watch", sql, "--once"])
        .fails(2, &["--from"]);
    home.run(&["sql", "--from", &last, sql])
        .fails(2, &["--watch"]);
}

/// Whoever reads slowly holds up the watch, and nobody else; who does not read at all is left when the node
/// stops.
#[test]
fn a_slow_reader_holds_nobody_else_up() {
    let home = with_users();
    put(&home, "0", "admin", 30);
    commit(&home);
    let up = home.up();
    let sql = "SELECT _key, role FROM user";
    let mut watch = home.command(&["sql", "--watch", sql, "--json"]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap());
    let mut next = || -> Value {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(next()["watching"], sql);
    // More than pipes and sockets hold.
    let change_all = |role: &str| {
        let role = role.repeat(500);
        let lines: Vec<String> = (1..=2000)
            .map(|n| json!({ "id": n.to_string(), "role": role }).to_string())
            .collect();
        let file = home.write("users.ndjson", lines.join("\n"));
        home.run(&["import", &file, "--prefix", "user:"]).ok();
        commit(&home);
    };
    change_all("r");
    put(&home, "0", "user", 30);
    commit(&home);
    let count = home.json(&["sql", "SELECT count(*) AS n FROM user"]);
    assert_eq!(count["n"], 2001);
    // Nothing is lost for who comes back to it.
    let changes: Vec<Value> = (0..2003).map(|_| next()).collect();
    assert_eq!(changes[2000]["changes"], 2000);
    assert_eq!(changes[2001]["was"]["role"], "admin");
    change_all("s");
    assert_eq!(next()["change"], "modified");
    assert_eq!(up.stop(), Some(0));
    watch.kill().unwrap();
    watch.wait().unwrap();
}
