//! Values that join, from the command line.

use serde_json::{Value, json};

use crate::home::{Done, Home};

fn run(home: &Home, line: &str) -> Done {
    home.run(&line.split(' ').collect::<Vec<_>>())
}

fn value(home: &Home, line: &str) -> Value {
    let shown = run(home, &format!("{line} --json"));
    shown.json()["value"].clone()
}

fn with_kinds() -> Home {
    let home = Home::with_space();
    for line in [
        "likes:* pn-counter",
        "visits g-counter",
        "tags or-set",
        "once 2p-set",
        "cart counted-set",
        "title lww-register",
        "vote mv-register",
        "user:* lww-map",
        "todo list",
        "note:* document",
    ] {
        run(&home, &format!("values define {line}")).ok();
    }
    home
}

#[test]
fn each_kind_can_be_tried() {
    let home = with_kinds();
    assert_eq!(value(&home, "counter incr likes:1"), 1);
    assert_eq!(value(&home, "counter incr likes:1 41"), 42);
    assert_eq!(value(&home, "counter decr likes:1 2"), 40);
    assert_eq!(value(&home, "counter incr visits 7"), 7);
    run(&home, "counter decr visits").fails(1, &["g-counter has no decrement"]);
    assert_eq!(value(&home, "set add tags b a"), json!(["a", "b"]));
    assert_eq!(value(&home, "set rm tags b nothing"), json!(["a"]));
    run(&home, "set add once x").ok();
    assert_eq!(value(&home, "set rm once x"), json!([]));
    run(&home, "set add once x").fails(1, &["cannot be added again"]);
    assert_eq!(
        value(&home, "set count cart apple 3"),
        json!([["apple", 3]])
    );
    assert_eq!(
        value(&home, "set count cart apple -1"),
        json!([["apple", 2]])
    );
    assert_eq!(value(&home, "register set title one"), "one");
    assert_eq!(value(&home, "register set vote yes"), json!(["yes"]));
    assert_eq!(
        value(&home, "map put user:1 name Ada"),
        json!({ "name": "Ada" })
    );
    run(&home, "map put user:1 role admin").ok();
    assert_eq!(
        value(&home, "map rm user:1 name"),
        json!({ "role": "admin" })
    );
    assert_eq!(value(&home, "list insert todo a b"), json!(["a", "b"]));
    assert_eq!(
        value(&home, "list insert todo first --at 0"),
        json!(["first", "a", "b"])
    );
    assert_eq!(value(&home, "list rm todo 1"), json!(["first", "b"]));
    run(&home, "list rm todo 9").fails(1, &["no position 9 in a list of 2"]);
    run(
        &home,
        "doc edit note:1 --set /title=Tea --set /items=[] -m begin",
    )
    .ok();
    let edited = value(
        &home,
        "doc edit note:1 --insert /items/-=milk --text /title@3=time",
    );
    assert_eq!(edited, json!({ "items": ["milk"], "title": "Teatime" }));
    let history = run(&home, "doc history note:1 --json").rows();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["message"], "begin");
    let json = home.write("note.json", r#"{"title":"Teatime","n":1}"#);
    let replaced = value(&home, &format!("doc edit note:1 --replace {json}"));
    assert_eq!(replaced, json!({ "n": 1, "title": "Teatime" }));
    run(&home, "commit -m all").ok();
    assert_eq!(run(&home, "get likes:1").ok(), "40\n");
    assert_eq!(run(&home, "ls").ok().lines().count(), 10);
    let shown = home.json(&["values", "show", "note:1"]);
    assert_eq!(shown["kind"], "document");
    run(&home, "values compact note:1").ok();
    let compact = home.json(&["values", "show", "note:1"]);
    assert_eq!(compact["value"], shown["value"]);
    assert!(compact["bytes"].as_u64() < shown["bytes"].as_u64());
    assert!(compact["epoch"]["began"].is_string());
    let kinds = run(&home, "values kinds --json").rows();
    assert_eq!(kinds.len(), 10);
    assert_eq!(run(&home, "values list --json").rows().len(), 10);
    // Records that join are rows of their type.
    run(&home, "type define user --field role:string").ok();
    let rows = home
        .run(&["sql", "SELECT _id, role FROM user", "--format", "ndjson"])
        .rows();
    assert_eq!(rows, [json!({ "_id": "1", "role": "admin" })]);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn what_cannot_be_done_is_said() {
    let home = with_kinds();
    run(&home, "counter incr free").fails(1, &["values define PATTERN pn-counter"]);
    run(&home, "counter incr tags").fails(1, &["key tags has a or-set"]);
    run(&home, "put likes:1 7").fails(1, &["pn-counter", "del"]);
    run(&home, "values define likes:* or-set").fails(1, &["likes:* has a pn-counter"]);
    run(&home, "values define x nothing").fails(2, &["no kind of value that joins"]);
    run(&home, "values show likes:1").fails(1, &["no value under"]);
    run(&home, "doc edit note:1").fails(2, &["required"]);
    run(&home, "doc edit note:1 --set title=x").fails(2, &["begins with /"]);
    run(&home, "doc edit note:1 --rm /nothing").fails(1, &["\"/nothing\" names nothing"]);
    run(&home, "doc edit note:1 --text /t@9=y --set /t=x")
        .fails(1, &["\"/t\" is no text with such a place"]);
    run(&home, "list insert todo a b --at 18446744073709551615").fails(1, &["no position"]);
    run(&home, "doc edit note:1 --text /t=x").fails(2, &["PATH@AT"]);
    let bad = home.write("bad.json", "{");
    run(&home, &format!("doc edit note:1 --replace {bad}")).fails(1, &["no JSON"]);
    run(&home, "counter incr likes:1 18446744073709551615").ok();
    run(&home, "counter incr likes:1").fails(1, &["too large"]);
    assert_eq!(
        value(&home, "counter show likes:1").to_string(),
        "18446744073709551615"
    );
}

/// Two homes that change the same values apart, and sync.
#[test]
fn what_is_changed_apart_comes_together() {
    let (ada, bob) = (with_kinds(), Home::new());
    run(&ada, "counter incr likes:1 3").ok();
    run(&ada, "doc edit note:1 --set /title=Tea").ok();
    run(&ada, "commit -m begin").ok();
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    for (home, name) in [(&ada, "ada"), (&bob, "bob")] {
        run(home, "counter incr likes:1 10").ok();
        run(home, &format!("set add tags {name}")).ok();
        run(home, &format!("register set vote {name}")).ok();
        run(home, &format!("list insert todo {name}1 {name}2")).ok();
        run(home, &format!("doc edit note:1 --set /{name}=here")).ok();
        run(home, "commit -m apart").ok();
    }
    bob.run(&["sync"]).ok();
    for home in [&ada, &bob] {
        assert_eq!(value(home, "counter show likes:1"), 23);
        assert_eq!(value(home, "set show tags"), json!(["ada", "bob"]));
        assert_eq!(value(home, "register show vote"), json!(["ada", "bob"]));
        let list = value(home, "list show todo").to_string();
        assert!(
            list.contains(r#""ada1","ada2""#) && list.contains(r#""bob1","bob2""#),
            "{list}"
        );
        let document = json!({ "ada": "here", "bob": "here", "title": "Tea" });
        assert_eq!(value(home, "doc show note:1"), document);
        assert_eq!(run(home, "conflicts --json").rows().len(), 0);
        assert_eq!(home.json(&["check"])["problem_count"], 0);
    }
    drop(up);
}
