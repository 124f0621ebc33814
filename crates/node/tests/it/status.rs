//! Where commits are, waiting for peers, and watching them (SYNC-50 to SYNC-54).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::home::{Home, Up};

/// A running node and a home that joined its space and is not running; and the device of that.
fn two() -> (Home, Up, Home, String) {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("k", "begin");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let device = bob.json(&["id"])["device"].as_str().unwrap().to_owned();
    (ada, up, bob, device)
}

/// What `status` says of a branch.
#[track_caller]
fn branch(home: &Home, name: &str) -> Value {
    let status = home.json(&["status"]);
    let mut rows = status["branches"].as_array().unwrap().iter();
    rows.find(|row| row["branch"] == name).unwrap().clone()
}

#[track_caller]
fn lacks(home: &Home) -> Value {
    home.json(&["status"])["lags"][0]["lacks"].clone()
}

#[test]
fn it_is_said_what_is_at_which_peers() {
    let (ada, up, _bob, device) = two();
    let main = branch(&ada, "main");
    assert_eq!(
        main["reached"],
        json!({ "kept_by": 1, "at": [device], "in_part_at": [], "not_at": [], "unknown": [] })
    );
    assert_eq!(lacks(&ada)["commits"], 0);
    let first = main["heads"][0].as_str().unwrap().to_owned();
    assert_eq!(up.stop(), Some(0));

    // What is written alone is only here, and is told of as what the peer lacks.
    ada.commit("k", "alone");
    ada.run(&["put", "next", "staged"]).ok();
    let last = ada.commit("l", "alone");
    ada.run(&["put", "l", "staged"]).ok();
    let main = branch(&ada, "main");
    assert_eq!(main["staged"], 1);
    assert_eq!(main["reached"]["not_at"], json!([device]));
    assert_eq!(main["reached"]["kept_by"], 0);
    let lag = lacks(&ada);
    assert_eq!(
        (&lag["commits"], &lag["bytes_of"], &lag["or_more"]),
        (&json!(2), &json!(2), &json!(false))
    );
    // Two statements of some 400 bytes, and three short entries.
    assert!(
        (400..2000).contains(&lag["bytes"].as_u64().unwrap()),
        "{lag}"
    );
    let oldest = &ada.run(&["log", "--json"]).rows()[1];
    assert_eq!(lag["since"], oldest["time"]);
    let shown = ada.run(&["status"]).ok();
    assert!(
        shown.contains("only here when its peers last told"),
        "{shown}"
    );
    assert!(shown.contains("1 staged, only here"), "{shown}");
    assert!(shown.contains("lacks 2 commits, "), "{shown}");

    // Commit by commit.
    let rows = ada.run(&["log", "--where", "--json"]).rows();
    let kept: Vec<&Value> = rows.iter().map(|row| &row["reached"]["kept_by"]).collect();
    assert_eq!(kept, [&json!(0), &json!(0), &json!(1)]);
    assert_eq!(
        ada.json(&["show", &first])["reached"]["at"],
        json!([device])
    );
    assert_eq!(ada.json(&["show", &last])["reached"]["at"], json!([]));
    let text = ada.run(&["show", &first]).ok();
    let end = &device[device.len() - 8..];
    assert!(
        text.contains(&format!("where    at {end}; kept by 1\n")),
        "{text}"
    );
    let text = ada.run(&["log", "--where"]).ok();
    assert!(text.contains(&format!("[at {end}]")), "{text}");

    // Of whom nothing was heard nothing is said.
    let eve = Home::new().json(&["id"])["device"]
        .as_str()
        .unwrap()
        .to_owned();
    ada.run(&["remote", "add", "eve", &format!("{eve}@127.0.0.1:9")])
        .ok();
    let reached = &ada.json(&["show", &last])["reached"];
    assert_eq!(
        reached["unknown"],
        json!([{ "peer": eve, "why": "unheard" }])
    );
    let shown = ada.run(&["status"]).ok();
    assert!(
        shown.contains("not known to be elsewhere; not known of eve"),
        "{shown}"
    );
    assert!(
        shown.contains("eve  not known what it has; never heard of"),
        "{shown}"
    );
}

/// SYNC-51: a session about one branch does not say what else the peer has, nor that it lacks it.
#[test]
fn what_was_not_told_is_not_known() {
    let (ada, up, bob, device) = two();
    ada.commit("k", "1");
    ada.commit("k", "2");
    let addr = format!("{}@{}", up.device, up.addr);
    bob.run(&["remote", "add", "ada", &addr]).ok();
    bob.run(&["switch", "-c", "draft"]).ok();
    bob.commit("idea", "a book");
    bob.run(&["push", "ada", "draft"]).ok();
    let why = json!({ "peer": device, "why": "partly" });
    let unknown = branch(&ada, "main")["reached"]["unknown"].clone();
    assert!(unknown.as_array().unwrap().contains(&why), "{unknown}");
    assert_eq!(branch(&ada, "draft")["reached"]["at"], json!([device]));
    let shown = ada.run(&["peers"]).ok();
    assert!(
        shown.contains("is not known to have 2 commits, "),
        "{shown}"
    );
    // A whole session tells.
    bob.run(&["sync", "ada"]).ok();
    assert_eq!(branch(&ada, "main")["reached"]["at"], json!([device]));
    assert_eq!(branch(&bob, "main")["reached"]["at"], json!([up.device]));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_space_without_peers_is_only_here() {
    let ada = Home::with_space();
    assert_eq!(ada.json(&["status"])["branches"], json!([]));
    ada.commit("k", "v");
    let none = json!({ "kept_by": 0, "at": [], "in_part_at": [], "not_at": [], "unknown": [] });
    assert_eq!(branch(&ada, "main")["reached"], none);
    let shown = ada.run(&["status"]).ok();
    assert!(shown.ends_with("  only here\n"), "{shown}");
}

/// SYNC-51: whoever keeps a part keeps nothing for others.
#[test]
fn a_peer_that_keeps_a_part_is_no_keeper() {
    let ada = Home::with_space();
    ada.commit("note:1", "a");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    let phone = Home::new();
    phone
        .run(&["space", "clone", ticket.trim(), "--prefix", "note:"])
        .ok();
    let device = phone.json(&["id"])["device"].clone();
    let reached = branch(&ada, "main")["reached"].clone();
    assert_eq!(reached["in_part_at"], json!([device]));
    assert_eq!(
        (&reached["kept_by"], &reached["at"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(ada.json(&["status"])["peers_current"], 0);
    let shown = ada.run(&["status"]).ok();
    assert!(shown.contains("0 of 1 have this state"), "{shown}");
    assert!(shown.contains("has all of its part"), "{shown}");
    ada.run(&["await", "main", "--timeout", "0"]).fails(
        1,
        &[
            "0 peers are known",
            "of 1 that should, and 1 has its part of it",
        ],
    );
    assert_eq!(branch(&phone, "main")["reached"]["at"], json!([up.device]));
    assert_eq!(up.stop(), Some(0));
}

/// SYNC-53, with a node that runs and without.
#[test]
fn a_write_is_waited_for_until_it_is_at_peers() {
    let (ada, up, bob, device) = two();
    ada.run(&["put", "k", "2"]).ok();
    let failed = ada.run(&[
        "commit",
        "-m",
        "m",
        "--until-peers",
        "1",
        "--timeout",
        "0",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&failed.out).unwrap();
    let id = made["commit"].as_str().unwrap().to_owned();
    failed.fails(
        1,
        &[
            "0 peers are known to have commit",
            &id,
            "of 1 that should",
            "it stays here",
        ],
    );
    assert_eq!(ada.run(&["log", "--json"]).rows()[0]["commit"], id.as_str());
    // Bob appears, and whoever waits is told.
    let waiting = ada.command(&["await", &id, "--timeout", "60", "--json"]);
    let waiting = spawn(waiting);
    let there = bob.up();
    let done = waiting.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["commits"], json!([id]));
    assert_eq!(told["reached"]["at"], json!([device]));
    // It is there already, and nobody has to come.
    ada.run(&["await", &id, "--timeout", "0"]).ok();
    assert_eq!(there.stop(), Some(0));

    // Without a node that runs the command is one meanwhile.
    bob.run(&["put", "k", "3"]).ok();
    let args = [
        "commit",
        "-m",
        "m",
        "--until-peers",
        "1",
        "--timeout",
        "60",
        "--json",
    ];
    let rows = bob.run(&args).rows();
    assert_eq!(json!([rows[0]["commit"]]), rows[1]["commits"]);
    assert_eq!(rows[1]["reached"]["at"], json!([up.device]));
    assert_eq!(ada.run(&["get", "k"]).ok(), "3\n");
    bob.run(&["await", "main", "--peers", "2", "--timeout", "1"])
        .fails(1, &["1 peer is known to have commit", "of 2 that should"]);
    for args in [
        &["await", "main", "--peers", "0"][..],
        &["commit", "-m", "m", "--timeout", "3"],
        &["await", "main", "--timeout", "18446744073709551615"],
    ] {
        bob.run(args).fails(2, &[]);
    }
    bob.run(&["await", "nothing"])
        .fails(1, &["no commit or branch"]);
    // A branch is all its heads.
    let apart = [ada.commit("k", "4"), bob.commit("k", "5")];
    bob.run(&["sync"]).ok();
    let told = bob.json(&["await", "main", "--timeout", "60"]);
    let heads = told["commits"].as_array().unwrap();
    assert!(
        heads.len() == 2 && apart.iter().all(|id| heads.contains(&json!(id))),
        "{told}"
    );
    assert_eq!(told["reached"]["at"], json!([up.device]));
    // A node that stops does not wait for those who wait.
    let mut waiting = spawn(ada.command(&["await", "main", "--peers", "9"]));
    assert_eq!(up.stop(), Some(0));
    assert_eq!(waiting.wait().unwrap().code(), Some(1));
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The lines of a watch.
struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn new(home: &Home) -> Self {
        let mut child = spawn(home.command(&["sync", "--watch", "--json"]));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line of which something holds.
    fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().unwrap().unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if holds(&value) {
                return value;
            }
        }
    }
}

#[test]
fn each_peer_is_shown_as_it_changes() {
    let (ada, up, bob, device) = two();
    // Beside a running node: the peer is away, lags, and catches up.
    let mut watch = Watch::new(&ada);
    let first = watch.until(|_| true);
    assert_eq!(
        (&first["peer"], &first["lacks"]["commits"]),
        (&json!(device), &json!(0))
    );
    ada.commit("k", "2");
    let behind = watch.until(|row| row["lacks"]["commits"] == 1);
    assert!(behind["lacks"]["since"].is_string(), "{behind}");
    // Without one, the watch is a node.
    let mut other = Watch::new(&bob);
    let row = watch.until(|row| row["lacks"]["commits"] == 0 && row["connected"] == true);
    assert_eq!(row["told_all"], true);
    ada.commit("k", "3");
    other.until(|row| row["connected"] == true && row["told_all"] == true);
    watch.until(|row| row["lacks"]["commits"] == 0 && row["heard"].is_string());
    // It ends when it is interrupted, and with its node.
    let pid = other.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(other.child.wait().unwrap().code(), Some(0));
    watch.until(|row| row["connected"] == false);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

/// SYNC-54.
#[test]
fn a_peer_is_paused_and_resumed() {
    let (ada, up, bob, device) = two();
    let end = &device[device.len() - 8..];
    let down = bob.up();
    let mut watch = Watch::new(&ada);
    watch.until(|row| row["connected"] == true);
    let told = ada.json(&["remote", "pause", end]);
    assert_eq!(told, json!({ "peer": device, "paused": true }));
    watch.until(|row| row["paused"] == true);
    ada.commit("k", "paused");
    bob.commit("l", "waits");
    bob.run(&["sync"]).fails(1, &["no peer could be reached"]);
    let refused = bob.run(&["push"]);
    refused.fails(1, &["E_PAUSED", "the exchange is paused here"]);
    ada.run(&["sync"]).fails(1, &["all peers are paused"]);
    ada.run(&["await", "main", "--timeout", "0"])
        .fails(1, &["0 peers"]);
    assert_eq!(ada.json(&["peers"])["paused"], true);
    assert_eq!(ada.json(&["status"])["lags"][0]["paused"], true);
    assert!(ada.run(&["status"]).ok().contains(", paused\n"));
    ada.run(&["get", "l"]).fails(1, &["l"]);
    // Somebody who names the peer means it.
    let report = ada.json(&["push", end]);
    assert_eq!(report["commits_out"], 1);
    assert_eq!(bob.run(&["get", "k"]).ok(), "paused\n");
    ada.json(&["remote", "resume", "--all"]);
    ada.commit("k", "again");
    ada.run(&["await", "main", "--timeout", "60"]).ok();
    bob.run(&["await", "main", "--timeout", "60"]).ok();
    assert_eq!(ada.run(&["get", "l"]).ok(), "waits\n");
    watch.until(|row| row["paused"] == false);
    watch.child.kill().unwrap();
    watch.child.wait().unwrap();
    ada.run(&["remote", "pause"]).fails(2, &["NAME"]);
    ada.run(&["remote", "pause", "nobody"])
        .fails(1, &["nobody"]);
    assert_eq!(down.stop(), Some(0));
    assert_eq!(up.stop(), Some(0));
}
