//! Records of trust, policies, quarantine and explanations (RECS), by processes of their own.

use serde_json::{Value, json};

use crate::home::{Home, Up};

fn agent(home: &Home) -> String {
    home.json(&["id"])["agent"].as_str().unwrap().to_owned()
}

/// A running node, and a home that shares its space.
fn two() -> (Home, Up, Home) {
    let (ada, bob) = (Home::with_space(), Home::new());
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    (ada, up, bob)
}

fn record(home: &Home, args: &[&str]) -> String {
    home.json(args)["record"].as_str().unwrap().to_owned()
}

/// Gives records of one home to another, as a person does in a message.
fn hand_over(from: &Home, to: &Home, records: &[&str]) -> Vec<Value> {
    let text = from.run(&[&["trust", "give"], records].concat()).ok();
    to.feed(&["trust", "take", "--json"], text.as_bytes())
        .rows()
}

fn held(home: &Home) -> Vec<Value> {
    home.run(&["trust", "held", "--json"]).rows()
}

#[test]
fn a_policy_keeps_apart_what_strangers_say_until_they_are_none() {
    let (ada, up, bob) = two();
    let (me, you) = (agent(&ada), agent(&bob));
    let policy = json!({
        "rules": [{
            "when": { "related": { "within": 1, "level": "community" } },
            "then": "accept", "because": "somebody I live with",
        }],
        "otherwise": "quarantine",
    });
    let file = ada.write("policy.json", policy.to_string());
    ada.run(&["trust", "policy", "set", &file]).ok();
    assert_eq!(ada.json(&["trust", "policy", "show"])["policy"], policy);
    bob.run(&["trust", "policy", "set", &file])
        .fails(1, &["administers the space"]);

    bob.commit("k", "hello");
    bob.run(&["sync"]).ok();
    ada.run(&["get", "k"]).fails(1, &["no value"]);
    let apart = held(&ada);
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0]["author"], you);
    assert_eq!(ada.json(&["status"])["apart"], 1);
    let status = ada.run(&["status"]).ok();
    assert!(status.contains("kept apart 1"), "{status}");
    let commit = apart[0]["commit"].as_str().unwrap();
    let why = ada.json(&["explain", commit]);
    assert_eq!(why["counts"], false);
    assert_eq!(why["quarantine"], "no rule is about it");
    assert_eq!(why["decisions"][0]["outcome"], "quarantine");
    assert_eq!(why["decisions"][0]["who"]["agent"], you);
    let told = ada.run(&["explain", &you]).ok();
    assert!(told.contains("nobody whom you know"), "{told}");

    // One side alone says nothing.
    let level = |whom, level| ["trust", "relate", whom, "--level", level];
    record(&ada, &level(&you, "family"));
    assert_eq!(held(&ada).len(), 1);
    let theirs = record(&bob, &level(&me, "community"));
    assert_eq!(hand_over(&bob, &ada, &[&theirs])[0]["counts"], true);
    assert_eq!(ada.run(&["get", "k"]).ok().trim(), "hello");
    assert_eq!(held(&ada).len(), 0);
    assert_eq!(ada.json(&["explain", commit])["counts"], true);
    let way = ada.run(&["trust", "path", &you]).ok();
    assert!(
        way.starts_with("you and ") && way.contains("community"),
        "{way}"
    );
    let last = ada.json(&["explain", "--last", "1"]);
    assert_eq!(last["outcome"], "accept");
    assert_eq!(last["evidence"].as_array().unwrap().len(), 2);
    let name = last["decision"].as_str().unwrap();
    assert_eq!(
        ada.json(&["explain", &name[name.len() - 8..]])["decision"],
        last["decision"]
    );
    up.stop();
}

#[test]
fn what_is_in_quarantine_is_released_by_hand_and_refusals_say_why() {
    let (ada, up, bob) = two();
    let everything = |outcome| json!({ "rules": [], "otherwise": outcome }).to_string();
    let file = ada.write("policy.json", everything("quarantine"));
    ada.run(&["trust", "policy", "set", &file]).ok();
    bob.commit("k", "hello");
    bob.run(&["sync"]).ok();
    let commit = held(&ada)[0]["commit"].as_str().unwrap().to_owned();
    let tested = ada.json(&["trust", "policy", "test", &commit]);
    assert_eq!(tested["outcome"], "quarantine");
    assert_eq!(ada.json(&["trust", "release", &commit])["released"], 1);
    assert_eq!(ada.run(&["get", "k"]).ok().trim(), "hello");

    let file = ada.write("policy.json", everything("refuse"));
    ada.run(&["trust", "policy", "set", &file]).ok();
    bob.commit("k", "again");
    let told = bob.run(&["sync"]);
    assert!(told.out.contains("takes nothing like it"), "{told:?}");
    assert_eq!(ada.run(&["get", "k"]).ok().trim(), "hello");
    let refused = ada.json(&["explain", "--last", "1"]);
    assert_eq!(refused["outcome"], "refuse");

    ada.run(&["trust", "policy", "clear"]).ok();
    bob.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "k"]).ok().trim(), "again");
    up.stop();
}

#[test]
fn what_is_no_policy_is_refused() {
    let ada = Home::with_space();
    for (text, word) in [
        ("{}", "missing field"),
        (r#"{"rules": [], "otherwise": "maybe"}"#, "unknown variant"),
        (
            r#"{"rules": [{"when": {"not": {"author": []}}, "then": "accept", "because": "x"}], "otherwise": "refuse"}"#,
            "everybody",
        ),
    ] {
        let file = ada.write("policy.json", text);
        ada.run(&["trust", "policy", "set", &file])
            .fails(1, &[word]);
    }
}

#[test]
fn claims_are_made_witnessed_found_and_taken_back() {
    let (ada, up, bob) = two();
    let (me, you) = (agent(&ada), agent(&bob));
    let claim = record(
        &ada,
        &["attest", &you, "skill.bees", "keeps bees", "--days", "30"],
    );
    let space = record(&ada, &["attest", "space:notes", "licence", "CC BY 4.0"]);
    ada.run(&["attest", &you, "Not A Word", "x"])
        .fails(1, &["a name has 1 to 32"]);
    ada.run(&["attest", "nobody", "skill", "x"])
        .fails(2, &["DID"]);
    ada.run(&["witness", &claim]).fails(1, &["your own"]);

    // The public space is shared like any other, and what it has is known there.
    let ticket = ada.run(&["space", "ticket", "public"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let about = |home: &Home| {
        home.run(&["attestations", "--about", &you, "--json"])
            .rows()
    };
    assert_eq!(about(&bob)[0]["record"], claim);
    let witnessed = record(&bob, &["witness", &claim]);
    assert_eq!(hand_over(&bob, &ada, &[&witnessed]).len(), 1);
    assert_eq!(about(&ada)[0]["witnesses"], json!([you]));
    assert_eq!(about(&ada)[0]["by"], me);
    let by_category = ["attestations", "--category", "licence", "--json"];
    assert_eq!(ada.run(&by_category).rows()[0]["record"], space);
    let long_ago = ["attestations", "--about", &you, "--at", "1000", "--json"];
    assert_eq!(ada.run(&long_ago).rows(), Vec::<Value>::new());

    bob.run(&["revoke", &claim]).fails(1, &["not yours"]);
    ada.run(&["revoke", &claim, "--reason", "gave it up"]).ok();
    assert_eq!(about(&ada), Vec::<Value>::new());
    up.stop();
}

#[test]
fn circles_have_members_with_roles() {
    let (ada, bob, eve) = (Home::with_space(), Home::new(), Home::new());
    let (you, other) = (agent(&bob), agent(&eve));
    let roles = ["--role", "steward:member,steward", "--role", "member"];
    let circle = record(
        &ada,
        &[&["circle", "new", "Garden Street"], &roles[..]].concat(),
    );
    let admitted = record(
        &ada,
        &["circle", "admit", "Garden", &you, "--role", "steward"],
    );
    let members = |home: &Home| home.run(&["circle", "list", &circle, "--json"]).rows();
    assert_eq!(members(&ada)[0]["agent"], you);
    hand_over(&ada, &bob, &[&circle, &admitted]);
    let by_bob = record(&bob, &["circle", "admit", &circle, &other]);
    assert_eq!(members(&bob).len(), 2);
    // Who was admitted by somebody goes with that one.
    bob.run(&["revoke", &admitted]).ok();
    assert_eq!(members(&bob), Vec::<Value>::new());
    assert_eq!(members(&ada).len(), 1, "which nobody told her");
    assert_ne!(by_bob, admitted);
    ada.run(&["circle", "list", "Nowhere"])
        .fails(2, &["no circle"]);
}

/// What a guardian says reaches the owner, and what the owner says the guardian, by the spaces that they share.
#[test]
fn what_is_said_of_a_recovery_travels_in_public_spaces() {
    let (owner, friend) = (Home::with_space(), Home::new());
    let (me, you) = (agent(&owner), agent(&friend));
    let key = friend.json(&["id"])["key"].as_str().unwrap().to_owned();
    owner
        .run(&[
            "id",
            "guardians",
            "set",
            &key,
            "--needed",
            "1",
            "--wait",
            "1h",
        ])
        .ok();
    let log = owner.file("log").to_str().unwrap().to_owned();
    owner.run(&["id", "log", "--out", &log]).ok();
    // Each has a public space, which the other keeps as well.
    record(&owner, &["attest", &you, "vouch", "a friend"]);
    record(&friend, &["attest", &me, "vouch", "a friend"]);
    let up = owner.up();
    let at_owner = up.addr.clone();
    let ticket = owner.run(&["space", "ticket", "public"]).ok();
    friend
        .run(&["space", "join", ticket.trim(), "--as", "of-owner"])
        .ok();
    up.stop();
    let up = friend.up();
    let at_friend = up.addr.clone();
    let ticket = friend.run(&["space", "ticket", "public"]).ok();
    owner
        .run(&["space", "join", ticket.trim(), "--as", "of-friend"])
        .ok();
    up.stop();

    let thief = crate::identity::device_only();
    let begun = thief.json(&["id", "recover", "begin", &me, "--log", &log]);
    let request = begun["request"].as_str().unwrap();
    let code = begun["check"].as_str().unwrap();
    friend
        .run(&[
            "id", "recover", "approve", request, "--log", &log, "--code", code,
        ])
        .ok();
    let up = friend.up_at(&at_friend);
    owner.run(&["sync", "--space", "of-friend"]).ok();
    up.stop();
    let seen = owner
        .run(&["id", "recover", "status", &me, "--json"])
        .rows();
    assert_eq!(seen.len(), 1, "{seen:?}");
    owner.run(&["id", "recover", "object", request]).ok();
    let up = owner.up_at(&at_owner);
    friend.run(&["sync", "--space", "of-owner"]).ok();
    up.stop();
    let seen = friend
        .run(&["id", "recover", "status", &me, "--json"])
        .rows();
    assert_eq!(seen.len(), 2, "{seen:?}");
}
