//! Writing over HTTP: HTTP-22, HTTP-50 to HTTP-53.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::home::Home;
use crate::http_client::Served;

const SPACE: &str = "/v1/spaces/notes";

#[test]
fn a_write_is_a_commit() {
    let served = Served::new();
    let made = served
        .put("notes/to%20day", b"one", &[("allod-message", "caf%C3%A9")])
        .is(201);
    let commit = made.json()["commit"].as_str().unwrap().to_owned();
    assert_eq!(made.header("allod-commit"), commit);
    assert_eq!(made.header("allod-state"), format!("\"{commit}\""));
    let shown = served.get(&format!("{SPACE}/commits/{commit}"));
    assert_eq!(
        (&shown["message"], &shown["branch"]),
        (&json!("caf\u{e9}"), &json!("main"))
    );
    assert_eq!(served.home.run(&["get", "notes/to day"]).ok(), "one\n");
    served.put("notes/to%20day", b"two", &[]).is(200);
    let gone = served
        .ask("DELETE", &format!("{SPACE}/entries/notes/to%20day"))
        .is(200);
    assert!(gone.json()["commit"].is_string());
    served
        .ask("DELETE", &format!("{SPACE}/entries/notes/to%20day"))
        .fails(404, "E_HTTP_ENTRY");
    served
        .ask("GET", &format!("{SPACE}/entries/notes/to%20day"))
        .fails(404, "E_HTTP_ENTRY");
    assert_eq!(served.home.json(&["check"])["problem_count"], 0);
    // What is staged stays staged, and is not committed by others.
    served.home.run(&["put", "mine", "staged"]).ok();
    served.put("yours", b"", &[]).is(201);
    assert_eq!(served.home.staged(), 1);
    served
        .ask("GET", &format!("{SPACE}/entries/mine"))
        .fails(404, "E_HTTP_ENTRY");
    assert_eq!(
        served
            .ask("GET", &format!("{SPACE}/entries/yours"))
            .is(200)
            .body,
        b""
    );
    served.stop();
}

#[test]
fn several_changes_are_one_commit_or_none() {
    let served = Served::new();
    served.put("old", b"1", &[]).is(201);
    let path = format!("{SPACE}/commits");
    let changes = json!([
        { "key": "text", "text": "t\u{e9}xt" },
        { "key": "json", "json": { "n": 1.5 } },
        { "key": "hex:ff00", "base64": "AP8=" },
        { "key": "long", "text": "x".repeat(1_500_000) },
        { "key": "old", "delete": true },
    ]);
    let made = served
        .post(&path, &json!({ "message": "all", "changes": changes }))
        .is(201);
    let commit = made.json()["commit"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("{path}/{commit}"));
    assert_eq!(
        made.header("etag"),
        format!("\"{}\"", made.json()["etag"].as_str().unwrap())
    );
    let listed = served.get(&format!("{SPACE}/entries?values=true"));
    let rows: Vec<Value> = listed["entries"].as_array().unwrap().clone();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row["key"].as_str().unwrap(), &row["kind"], &row["value"]))
        .collect();
    let (value, file) = (json!("value"), json!("file"));
    let link = rows[1]["value"].clone();
    assert!(link["file"].is_string());
    assert_eq!(
        found,
        [
            ("json", &value, &json!("{\"n\":1.5}")),
            ("long", &file, &link),
            ("text", &value, &json!("t\u{e9}xt")),
            ("hex:ff00", &value, &json!({ "base64": "AP8=" })),
        ]
    );
    // A file that is here by its name.
    let again = json!({ "changes": [{ "key": "again", "file": link["file"] }] });
    served.post(&path, &again).is(201);
    assert_eq!(
        served
            .ask("HEAD", &format!("{SPACE}/entries/again"))
            .header("content-length"),
        "1500000"
    );
    assert_eq!(served.home.json(&["check"])["problem_count"], 0);
    served.stop();
}

#[test]
fn one_bad_change_and_nothing_happens() {
    let served = Served::new();
    served.put("old", b"1", &[]).is(201);
    let path = format!("{SPACE}/commits");
    let before = served.get(&format!("{SPACE}/branches/main"));
    let absent = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, b"absent").to_string();
    let good = json!({ "key": "good", "text": "1" });
    for (bad, status, code) in [
        (json!({ "key": "", "text": "1" }), 400, "E_HTTP_KEY"),
        (
            json!({ "key": "x".repeat(4097), "text": "1" }),
            400,
            "E_HTTP_KEY",
        ),
        (json!({ "key": "hex:0", "text": "1" }), 400, "E_HTTP_KEY"),
        (json!({ "key": "a" }), 400, "E_HTTP_REQUEST"),
        (
            json!({ "key": "a", "text": "1", "delete": true }),
            400,
            "E_HTTP_REQUEST",
        ),
        (
            json!({ "key": "a", "text": "1", "json": 1 }),
            400,
            "E_HTTP_REQUEST",
        ),
        (json!({ "key": "a", "base64": "%" }), 400, "E_HTTP_REQUEST"),
        (json!({ "key": "a", "file": "x" }), 400, "E_HTTP_REQUEST"),
        (
            json!({ "key": "a", "file": absent }),
            422,
            "E_HTTP_NEEDS_FILE",
        ),
        (json!({ "key": "a", "txt": "1" }), 400, "E_HTTP_REQUEST"),
        (json!({ "key": "good", "text": "2" }), 400, "E_HTTP_REQUEST"),
        (json!({ "key": 1, "text": "1" }), 400, "E_HTTP_REQUEST"),
    ] {
        served
            .post(&path, &json!({ "changes": [good, bad] }))
            .fails(status, code);
    }
    served
        .post(&path, &json!({ "changes": [] }))
        .fails(422, "E_HTTP_VALUE");
    served
        .post(
            &path,
            &json!({ "changes": [good], "message": "x".repeat(4097) }),
        )
        .fails(422, "E_HTTP_VALUE");
    served
        .post(&path, &json!({ "changes": [good], "branch": "other" }))
        .fails(404, "E_HTTP_STATE");
    served
        .post(&path, &json!({ "changes": [good], "branch": "meta" }))
        .fails(409, "E_HTTP_REFUSED");
    assert_eq!(served.get(&format!("{SPACE}/branches/main")), before);
    assert_eq!(served.home.json(&["check"])["problem_count"], 0);
    served.stop();
}

#[test]
fn writes_are_compared_with_what_was_seen() {
    let served = Served::new();
    let first = served.put("k", b"1", &[("if-none-match", "*")]).is(201);
    served
        .put("k", b"2", &[("if-none-match", "*")])
        .fails(412, "E_HTTP_CONDITION");
    let (value, state) = (
        first.header("etag").to_owned(),
        first.header("allod-state").to_owned(),
    );
    // The branch moves; the value stays.
    served.put("other", b"1", &[]).is(201);
    served
        .put("k", b"2", &[("if-match", &state)])
        .fails(412, "E_HTTP_CONDITION");
    let second = served.put("k", b"2", &[("if-match", &value)]).is(200);
    served
        .put("k", b"3", &[("if-match", &value)])
        .fails(412, "E_HTTP_CONDITION");
    let state = second.header("allod-state").to_owned();
    let third = served.put("k", b"3", &[("if-match", &state)]).is(200);
    served
        .put("new", b"1", &[("if-match", "*")])
        .fails(412, "E_HTTP_CONDITION");
    served
        .put("new", b"1", &[("if-match", third.header("allod-state"))])
        .is(201);
    let path = format!("{SPACE}/entries/k");
    served
        .send("DELETE", &path, &[("if-match", &value)], b"")
        .fails(412, "E_HTTP_CONDITION");
    served
        .put("k", b"3", &[("if-match", "nonsense")])
        .fails(400, "E_HTTP_REQUEST");
    let tag = third.header("etag");
    served
        .send("DELETE", &path, &[("if-match", tag)], b"")
        .is(200);
    // A commit is compared with the branch alone.
    let change = json!({ "changes": [{ "key": "k", "text": "4" }] }).to_string();
    let commit = |tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        served.send(
            "POST",
            &format!("{SPACE}/commits"),
            &headers,
            change.as_bytes(),
        )
    };
    commit(&state).fails(412, "E_HTTP_CONDITION");
    let now = served.ask("GET", &format!("{SPACE}/branches/main")).is(200);
    commit(now.header("etag")).is(201);
    commit(now.header("etag")).fails(412, "E_HTTP_CONDITION");
    served.stop();
}

/// Every increment that was answered with success is in the sum: once.
#[test]
fn of_writers_that_saw_the_same_one_wins() {
    const WRITERS: usize = 6;
    const EACH: u32 = 8;
    let served = Served::new();
    served.put("sum", b"0", &[]).is(201);
    served.put("total", b"0", &[]).is(201);
    let lost = AtomicU32::new(0);
    let add = |key: &str, name: &str| {
        loop {
            let seen = served.ask("GET", &format!("{SPACE}/entries/{key}")).is(200);
            let sum: u32 = seen.text().parse().unwrap();
            let value = (sum + 1).to_string();
            let answer = served.put(key, value.as_bytes(), &[("if-match", seen.header(name))]);
            match answer.status {
                200 => return,
                412 => lost.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other} {}", answer.text()),
            };
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let add = &add;
            scope.spawn(move || {
                for _ in 0..EACH {
                    // By the value, or by the whole branch.
                    match writer % 2 {
                        0 => add("sum", "etag"),
                        _ => add("total", "allod-state"),
                    }
                }
            });
        }
    });
    let value = |key: &str| {
        served
            .ask("GET", &format!("{SPACE}/entries/{key}"))
            .is(200)
            .text()
    };
    let expected = (WRITERS as u32 / 2 * EACH).to_string();
    assert_eq!((value("sum"), value("total")), (expected.clone(), expected));
    // Without conditions both writes happen, one after the other.
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| served.put("free", b"x", &[]));
        }
    });
    let commits = served.get(&format!("{SPACE}/commits?limit=1000"));
    let count = commits["commits"].as_array().unwrap().len();
    assert_eq!(count, 2 + WRITERS * EACH as usize + WRITERS);
    served.stop();
}

#[test]
fn what_guards_the_space_guards_it_here() {
    let home = Home::with_space();
    home.commit("k", "v");
    home.run(&["values", "define", "likes:*", "pn-counter"])
        .ok();
    home.run(&["counter", "incr", "likes:home", "3"]).ok();
    home.run(&["commit", "-m", "likes"]).ok();
    let hooks = home.path().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("pre-commit");
    let script = "#!/bin/sh\nif grep -q forbidden; then echo 'no such words here'; exit 1; fi\n";
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
    let served = Served::of(home, &[]);
    served.put("k", b"allowed", &[]).is(200);
    let refused = served.put("k", b"forbidden", &[]);
    assert!(refused.text().contains("no such words here"));
    refused.fails(422, "E_HOOK");
    assert_eq!(
        served
            .ask("GET", &format!("{SPACE}/entries/k"))
            .is(200)
            .text(),
        "allowed"
    );
    // What joins is shown, and not put.
    let shown = served
        .ask("GET", &format!("{SPACE}/entries/likes:home"))
        .is(200);
    assert_eq!(shown.text(), "3");
    let entry = served.get(&format!("{SPACE}/entries/likes:home?as=json"));
    assert_eq!(entry["value"], json!({ "joins": "pn-counter", "value": 3 }));
    served
        .put("likes:home", b"4", &[])
        .fails(409, "E_CRDT_KIND");
    served
        .put("k?branch=meta", b"x", &[])
        .fails(409, "E_HTTP_REFUSED");
    served
        .put("k?branch=nothing", b"x", &[])
        .fails(404, "E_HTTP_STATE");
    served.home.run(&["switch", "--detach", "main"]).ok();
    served.put("k", b"x", &[]).fails(409, "E_HTTP_REFUSED");
    served.put("k?branch=main", b"x", &[]).is(200);
    served.stop();
}
