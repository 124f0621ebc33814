//! Types and projections, from the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::home::{Done, Home};

fn with_users() -> Home {
    let home = Home::with_space();
    home.run(&[
        "type",
        "define",
        "user",
        "--field",
        "id:string!",
        "--field",
        "role:string",
        "--field",
        "age:integer",
    ])
    .ok();
    home.run(&[
        "projection",
        "create",
        "users_by_role",
        "--source",
        "user:*",
        "--index",
        "role",
    ])
    .ok();
    home
}

fn keys(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect()
}

fn put(home: &Home, id: &str, role: &str, age: u32) {
    let record = json!({ "id": id, "role": role, "age": age }).to_string();
    home.run(&["put", &format!("user:{id}"), &record]).ok();
}

/// Projections that change when one switches branches: branch, change, ask both, merge, ask again.
#[test]
fn projections_change_with_the_branch() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    put(&home, "2", "user", 20);
    home.run(&["commit", "-m", "two users"]).ok();
    let ask = |at: &[&str]| {
        let args = [
            &["projection", "query", "users_by_role", "admin", "--json"],
            at,
        ]
        .concat();
        home.run(&args).rows()
    };
    assert_eq!(keys(&ask(&[])), ["user:1"]);
    home.run(&["switch", "-c", "promotion"]).ok();
    put(&home, "2", "admin", 20);
    let promoted = home.json(&["commit", "-m", "promote"]);
    assert_eq!(keys(&ask(&[])), ["user:1", "user:2"]);
    assert_eq!(keys(&ask(&["--at", "main"])), ["user:1"]);
    home.run(&["switch", "main"]).ok();
    assert_eq!(keys(&ask(&[])), ["user:1"], "switching is enough");
    put(&home, "3", "admin", 40);
    home.run(&["commit", "-m", "a third"]).ok();
    home.run(&["merge", "promotion"]).ok();
    assert_eq!(keys(&ask(&[])), ["user:1", "user:2", "user:3"]);
    // The past has its own, by commit and by tag.
    let commit = promoted["commit"].as_str().unwrap();
    home.run(&["tag", "then", commit]).ok();
    assert_eq!(keys(&ask(&["--at", "then"])), ["user:1", "user:2"]);
    let changes = home
        .run(&[
            "projection",
            "watch",
            "users_by_role",
            "--since",
            "then",
            "--once",
            "--json",
        ])
        .rows();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["change"], "added");
    assert_eq!(changes[0]["row"]["key"], "user:3");
    let status = home
        .run(&["projection", "status", "users_by_role", "--json"])
        .rows();
    assert_eq!(status[0]["total"], 4);
    assert_eq!(
        status[0]["total"].as_u64().unwrap(),
        status[0]["rebuilt"].as_u64().unwrap() + status[0]["pending"].as_u64().unwrap()
    );
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

/// Runs a command whose arguments have no spaces.
fn run(home: &Home, line: &str) -> Done {
    home.run(&line.split(' ').collect::<Vec<_>>())
}

#[test]
fn records_are_checked() {
    let home = with_users();
    home.run(&["put", "user:1", r#"{"id":1}"#]).ok();
    home.run(&["put", "note", "no record"]).ok();
    run(&home, "commit -m x").fails(1, &["user:1", "\"id\"", "expected string", "found 1"]);
    assert_eq!(home.staged(), 2, "nothing is half written");
    put(&home, "1", "admin", 30);
    run(&home, "commit -m x").ok();
    let fields = "type define user --field id:string! --field years:integer --rename age=years --field role:string";
    run(&home, &format!("{fields} --check years<150 --unique id")).ok();
    assert!(
        run(&home, "type show user")
            .ok()
            .contains("years:integer  was age")
    );
    // An old name is read as the new one, and judged.
    put(&home, "2", "user", 200);
    run(&home, "commit -m x").fails(1, &["user:2", "years < 150"]);
    put(&home, "2", "user", 20);
    run(&home, "commit -m x").ok();
    home.run(&["put", "user:3", r#"{"id":"2"}"#]).ok();
    run(&home, "commit -m x").fails(1, &["user:3", "unique", "user:2"]);
    run(&home, "unstage --all").ok();
    assert_eq!(run(&home, "type check --json").rows(), Vec::<Value>::new());
    // What was committed before is only told of.
    run(&home, &format!("{fields} --check years<25")).ok();
    run(&home, "type check").fails(1, &["1 records are not"]);
    let told = run(&home, "type check --json");
    assert!(told.out.contains("user:1"), "{}", told.out);
    run(&home, "type drop user").ok();
    assert_eq!(run(&home, "type list --json").rows(), Vec::<Value>::new());
}

#[test]
fn types_are_exchanged_and_refused() {
    let home = with_users();
    let schema = run(&home, "type show user --schema").ok();
    let file = home.write("user.json", &schema);
    run(&home, &format!("type define user --from {file}")).ok();
    run(&home, "type define user --field id:integer --drop-fields")
        .fails(1, &["string does not become integer"]);
    run(
        &home,
        "type define user --field id:string! --field role:string",
    )
    .fails(1, &["age", "the field goes"]);
    let none = home.write("not.json", "[]");
    for (line, code, words) in [
        ("type define user", 2, "--field"),
        ("type define 9x --field a:string", 2, "begins with a letter"),
        ("type define x --field a", 2, "NAME:KIND"),
        ("type define x --field a:text", 2, "is no kind"),
        (
            "type define x --field a:string --unique b",
            2,
            "none of the fields",
        ),
        (
            "type define x --field a:string --received maybe",
            2,
            "flag, quarantine or refuse",
        ),
        ("type define x --field a:string --check b>1", 1, "no field"),
        ("type define x --from nowhere.json", 1, "nowhere.json"),
        ("type show order", 1, "no type named order"),
        ("type drop order", 1, "no type named order"),
        ("type check order", 1, "no type named order"),
    ] {
        run(&home, line).fails(code, &[words]);
    }
    run(&home, &format!("type define x --from {none}")).fails(1, &["an object is expected"]);
}

#[test]
fn records_are_migrated() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    put(&home, "2", "user", 20);
    run(&home, "commit -m two").ok();
    let shown = run(
        &home,
        "type migrate user --set age=age+1 --where role='user' --dry-run",
    )
    .ok();
    assert_eq!(
        shown,
        "user:2  {\"age\":21,\"id\":\"2\",\"role\":\"user\"}\n"
    );
    assert_eq!(home.staged(), 0);
    run(
        &home,
        "type migrate user --set age=age+1 --set tag=upper(role) --unset role",
    )
    .ok();
    assert_eq!(home.staged(), 2);
    assert_eq!(
        run(&home, "get user:1").ok(),
        "{\"age\":31,\"id\":\"1\",\"tag\":\"ADMIN\"}\n"
    );
    run(&home, "unstage --all").ok();
    run(&home, "type migrate user --unset id")
        .fails(1, &["user:1", "expected string, found nothing"]);
    run(&home, "type migrate user --set age=role+1").fails(1, &["user:1", "age"]);
    run(&home, "type migrate user --set age=age+").fails(2, &["age+"]);
    run(&home, "type migrate user").fails(2, &["--set"]);
    run(&home, "type migrate order --unset a").fails(1, &["no type named order"]);
    assert_eq!(home.staged(), 0);
}

/// One projection of each shape, and what they are of.
fn with_projections() -> Home {
    let home = with_users();
    for line in [
        "by_role_age --source user:* --compound role,age --filter role!='guest' --computed older=age+1",
        "ages --source user:* --group-by role --agg n=COUNT(*) --agg mean=avg(age) --agg eldest=MAX(age)",
        "orders --source order:* --join user:* --on who --to id --computed what --fields role,age",
        "texts --source order:* --fulltext what",
    ] {
        run(&home, &format!("projection create {line}")).ok();
    }
    for (id, role, age) in [
        ("1", "admin", 30),
        ("2", "user", 20),
        ("3", "user", 25),
        ("4", "guest", 1),
    ] {
        put(&home, id, role, age);
    }
    home.run(&[
        "put",
        "order:1",
        r#"{"who":"2","what":"green tea, and cake"}"#,
    ])
    .ok();
    home.run(&["put", "order:2", r#"{"who":"9","what":"Cake"}"#])
        .ok();
    run(&home, "commit -m all").ok();
    home
}

#[test]
fn projections_of_every_shape() {
    let home = with_projections();
    let query = |line: &str| run(&home, &format!("projection query {line} --json")).rows();
    let rows = query("by_role_age user");
    assert_eq!(keys(&rows), ["user:2", "user:3"]);
    assert_eq!(
        rows[1]["values"],
        json!({ "role": "user", "age": 25, "older": 26 })
    );
    assert_eq!(keys(&query("by_role_age user 25")), ["user:3"]);
    assert_eq!(query("by_role_age guest").len(), 0);
    run(&home, "projection query by_role_age user old")
        .fails(2, &["\"old\" is no integer, which this field is"]);
    let rows = query("ages user");
    assert_eq!(
        rows[0]["values"],
        json!({ "role": "user", "n": 2, "mean": 22.5, "eldest": 25 })
    );
    let rows = query("orders");
    assert_eq!(rows[0]["other"], "user:2");
    assert_eq!(
        rows[1]["values"],
        json!({ "what": "Cake", "role": null, "age": null })
    );
    assert_eq!(keys(&query("texts cake")), ["order:1", "order:2"]);
    assert_eq!(keys(&query("texts cake tea")), ["order:1"]);
    // Page by page, forwards and backwards.
    let first = query("by_role_age -n 2");
    let cursor = first[1]["cursor"].as_str().unwrap();
    let rest = query(&format!("by_role_age --after {cursor}"));
    assert_eq!(
        (keys(&first), keys(&rest)),
        (vec!["user:1", "user:2"], vec!["user:3"])
    );
    let back = query(&format!("by_role_age --reverse --after {cursor}"));
    assert_eq!(keys(&back), ["user:1"]);
    let inspected = home.json(&["inspect", "projection", "ages"]);
    assert_eq!(
        (&inspected["was_kept"], &inspected["depth"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(inspected["columns"], json!(["role", "n", "mean", "eldest"]));
    run(&home, "projection check").ok();
    run(&home, "projection rebuild ages").ok();
    run(&home, "projection drop ages").ok();
    assert_eq!(run(&home, "projection list --json").rows().len(), 4);
}

/// What a peer has computed is fetched, compared with the records, and gives the same rows.
#[test]
fn projections_are_fetched_from_a_peer() {
    let (ada, bob) = (with_projections(), Home::new());
    for name in ["by_role_age", "texts", "ages"] {
        run(&ada, &format!("projection query {name}")).ok();
    }
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let fetched = bob.json(&["projection", "fetch", "by_role_age"]);
    assert_eq!(fetched["fetched"], true, "{fetched}");
    assert_eq!(fetched["peer"], up.device);
    assert!(fetched["compared_entries"].as_u64().unwrap() > 0);
    assert_eq!(
        run(&bob, "projection query by_role_age --json").rows(),
        run(&ada, "projection query by_role_age --json").rows()
    );
    run(&bob, "projection check by_role_age").ok();
    let again = bob.json(&["projection", "fetch", "by_role_age"]);
    assert_eq!(again["fetched"], false);
    run(&bob, "projection fetch nothing").fails(1, &["no projection named nothing"]);
    // Also of one that is here.
    run(&bob, "projection fetch by_role_age --from nobody").fails(1, &["nobody"]);
    run(&bob, "projection fetch texts --sample 0").fails(2, &["--sample"]);
    let text = run(&bob, "projection fetch texts --sample 18446744073709551615").ok();
    assert!(text.contains("texts is here"), "{text}");
    run(&bob, "projection fetch ages").fails(1, &["cannot be compared in part", "E_PROJ_GROUP"]);
    // What the peer has not computed is computed here.
    put(&bob, "new", "admin", 1);
    bob.run(&["commit", "-m", "new"]).ok();
    run(&bob, "projection fetch texts").fails(1, &["no peer keeps texts for this state"]);
    // That nobody was reached is another matter.
    drop(up);
    run(&bob, "projection fetch texts")
        .fails(1, &["texts could not be had of any peer", "cannot reach"]);
}

#[test]
fn projections_that_are_none() {
    let home = with_projections();
    for (line, code, words) in [
        ("create users --source user --index a", 1, "no source"),
        ("create users --source user:* --index a+", 1, "a+"),
        (
            "create users --source user:* --index lenght(a)",
            1,
            "length",
        ),
        ("create ages --source user:* --index a", 1, "already"),
        ("create x --source user:*", 2, "--index"),
        ("create x --source user:* --agg total", 2, "NAME=FUNCTION"),
        ("create x --source user:* --agg t=MEDIAN(a)", 2, "MEDIAN"),
        ("query nothing", 1, "no projection named nothing"),
        ("query texts ?", 1, "no word"),
        ("query ages a b", 1, "in the order of 1"),
        ("query ages --after zz", 2, "no cursor"),
        ("query ages --at nowhere", 1, "nowhere"),
        ("watch ages", 1, "no node runs"),
        ("drop nothing", 1, "no projection named nothing"),
        ("cancel nothing", 1, "no projection named nothing"),
        ("status nothing", 1, "no projection named nothing"),
    ] {
        run(&home, &format!("projection {line}")).fails(code, &[words]);
    }
}

fn within(what: &str, holds: &dyn Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_running_node_computes_without_being_asked() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    run(&home, "commit -m one").ok();
    let up = home.up();
    let pending = || {
        let status = run(&home, "projection status users_by_role --json").rows();
        status[0]["pending"].as_u64().unwrap()
    };
    within("computed", &|| pending() == 0);
    run(&home, "projection cancel users_by_role").ok();
    put(&home, "2", "admin", 31);
    run(&home, "commit -m two").ok();
    // Long enough for the node to compute it, if it did.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(pending(), 1, "until somebody asks");
    run(&home, "projection query users_by_role --no-wait").fails(1, &["not computed yet"]);
    run(&home, "projection resume users_by_role").ok();
    within("computed again", &|| pending() == 0);
    run(&home, "projection pause").ok();
    let status = run(&home, "projection status --json").rows();
    assert_eq!(status[0]["waiting"], true);
    run(&home, "projection resume").ok();
    assert_eq!(up.stop(), Some(0));
}

/// Of each commit and each switch.
#[test]
fn a_watcher_is_told_of_changes() {
    let home = with_users();
    put(&home, "1", "admin", 30);
    put(&home, "2", "admin", 31);
    run(&home, "commit -m one").ok();
    let up = home.up();
    let mut watch = home.command(&["projection", "watch", "users_by_role", "--json"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    // It begins with the state that it finds, and says so.
    assert_eq!(next()["watching"], "users_by_role");
    put(&home, "1", "user", 30);
    run(&home, "commit -m demote").ok();
    let change = next();
    assert_eq!(change["change"], "modified");
    assert_eq!(change["row"]["values"]["role"], "user");
    assert_eq!(change["was"]["values"]["role"], "admin");
    run(&home, "switch -c side").ok();
    run(&home, "del user:2").ok();
    run(&home, "commit -m gone").ok();
    let change = next();
    assert_eq!(
        (&change["change"], &change["branch"]),
        (&json!("removed"), &json!("side"))
    );
    run(&home, "switch main").ok();
    let change = next();
    assert_eq!(
        (&change["change"], &change["branch"]),
        (&json!("added"), &json!("main"))
    );
    assert_eq!(change["row"]["key"], "user:2");
    // A watcher does not keep the node from stopping.
    assert_eq!(up.stop(), Some(0));
    watch.wait().unwrap();
}
