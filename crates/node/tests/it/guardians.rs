//! Guardians, and the recovery of an agent, with real processes.

use serde_json::Value;

use crate::home::Home;
use crate::identity::{device_only, shown, text};

/// A home with an agent that has the three others as guardians.
fn guarded(wait: &str) -> (Home, [Home; 3], String) {
    let home = Home::new();
    let friends = [Home::new(), Home::new(), Home::new()];
    let keys = [0, 1, 2].map(|at| text(&shown(&friends[at]), "key"));
    let keys = keys.each_ref().map(String::as_str);
    let name = [
        &["id", "guardians", "set"],
        &keys[..],
        &["--needed", "2", "--wait", wait],
    ];
    home.run(&name.concat()).ok();
    let log = home.file("log").to_str().unwrap().to_owned();
    home.run(&["id", "log", "--out", &log]).ok();
    (home, friends, log)
}

/// How a guardian approves a request, with the check code that the person read out.
fn approve<'a>(begun: &'a Value, more: &[&'a str]) -> Vec<&'a str> {
    let [request, check] = ["request", "check"].map(|name| begun[name].as_str().unwrap());
    let command = ["id", "recover", "approve", request, "--code", check];
    [&command, more].concat()
}

/// What a guardian is shown before they sign, and what they said.
fn shown_and_said(friend: &Home, command: &[&str]) -> [Value; 2] {
    let rows = friend.run(&[command, &["--json"]].concat()).rows();
    rows.try_into().unwrap()
}

#[test]
fn guardians_compare_the_check_code() {
    let (lost, [friend, ..], log) = guarded("0s");
    let agent = text(&shown(&lost), "agent");
    let begin = ["id", "recover", "begin", &agent, "--log", &log];
    let (mine, theirs) = (device_only().json(&begin), device_only().json(&begin));
    let request = text(&theirs, "request");
    let check = text(&theirs, "check");
    friend.run(&["id", "learn", &log]).ok();
    let approve = ["id", "recover", "approve", &request];
    // Another's request, put in the place of what the person sent.
    let wrong = text(&mine, "check");
    friend
        .feed(&approve, format!("{wrong}\n").as_bytes())
        .fails(1, &["not the check code", &check]);
    for more in [&["--quiet"][..], &["--json"], &["--code", &wrong]] {
        friend
            .run(&[&approve, more].concat())
            .fails(1, &["not the check code"]);
    }
    friend
        .run(&["id", "recover", "confirm", &request])
        .fails(1, &["approve"]);
    let typed = check.to_ascii_uppercase().replace('-', " ");
    friend.feed(&approve, format!("{typed}\n").as_bytes()).ok();
    let done = friend.run(&["id", "recover", "approve", &text(&mine, "request"), "--yes"]);
    assert!(done.err.contains("nobody compared"), "{}", done.err);
    assert!(done.ok().starts_with("allod-said:"));
}

#[test]
fn guardians_recover_an_agent() {
    let (lost, friends, log) = guarded("0s");
    let agent = text(&shown(&lost), "agent");
    assert_eq!(lost.json(&["id", "guardians", "show"])["needed"], 2);
    let new = device_only();
    new.run(&["id", "recover", "begin", &agent])
        .fails(1, &["no key log"]);
    let begun = new.json(&["id", "recover", "begin", &agent, "--log", &log]);
    let request = text(&begun, "request");
    assert_eq!(
        new.json(&["id", "recover", "begin", &agent])["request"],
        request.as_str()
    );
    let stranger = Home::new();
    stranger
        .run(&approve(&begun, &["--log", &log]))
        .fails(1, &["guardian"]);
    let mut confirmed = Vec::new();
    for friend in &friends[..2] {
        friend
            .run(&["id", "recover", "confirm", &request])
            .fails(1, &["no key log"]);
        friend
            .run(&["id", "recover", "confirm", &request, "--log", &log])
            .fails(1, &["approve"]);
        let [asked, approved] = shown_and_said(friend, &approve(&begun, &[]));
        assert_eq!(
            (&asked["agent"], &asked["check"]),
            (&agent.as_str().into(), &begun["check"])
        );
        assert_eq!(
            shown_and_said(friend, &approve(&begun, &[])),
            [asked, approved]
        );
        let [_, confirmation] = shown_and_said(friend, &["id", "recover", "confirm", &request]);
        assert_eq!(confirmation["check"], begun["check"]);
        // Said once, however often it is asked for.
        let again = shown_and_said(friend, &["id", "recover", "confirm", &request]);
        assert_eq!(again[1], confirmation);
        let said = text(&confirmation, "said");
        confirmed.push(new.write(&format!("said-{}", confirmed.len()), said));
    }
    new.run(&["id", "recover", "finish", &confirmed[0]])
        .fails(1, &["1 of the 2"]);
    assert_eq!(
        new.run(&["id", "recover", "status", "--json"]).rows().len(),
        2
    );
    let finished = new.run(&["id", "recover", "finish", &confirmed[1]]);
    // Whoever has the old device can still act with it.
    let still = format!("allod id device remove {}", text(&shown(&lost), "device"));
    assert!(finished.err.contains(&still), "{}", finished.err);
    finished.ok();
    let recovered = shown(&new);
    assert_eq!(
        (&recovered["agent"], &recovered["recoveries"]),
        (&agent.as_str().into(), &1.into())
    );
    assert_eq!(
        (&recovered["key_here"], &recovered["acts"]),
        (&true.into(), &true.into())
    );
    // The keys that were lost say nothing any more, and the new ones all.
    let log = new.file("log").to_str().unwrap().to_owned();
    new.run(&["id", "log", "--out", &log]).ok();
    lost.run(&["id", "learn", &log]).ok();
    let device = text(&shown(&stranger), "device");
    lost.run(&["id", "add-device", &device])
        .fails(1, &["changed elsewhere"]);
    new.run(&["id", "rotate"]).ok();
    new.run(&["id", "add-device", &device]).ok();
}

#[test]
fn a_request_is_not_lost_to_another() {
    let (one, _friends, one_log) = guarded("0s");
    let (two, _others, two_log) = guarded("0s");
    let [one, two] = [&one, &two].map(|home| text(&shown(home), "agent"));
    let new = device_only();
    let begin = ["id", "recover", "begin"];
    let first = new.json(&[&begin[..], &[&one, "--log", &one_log]].concat());
    new.run(&[&begin[..], &[&two, "--log", &two_log]].concat())
        .fails(1, &["already", &one, "--anew"]);
    assert_eq!(new.json(&[&begin[..], &[&one]].concat()), first);
    new.run(&[&begin[..], &[&two, "--anew"]].concat()).ok();
    // What was given up is gone.
    let again = new.json(&[&begin[..], &[&one, "--anew"]].concat());
    assert_ne!(again["key"], first["key"]);
}

#[test]
fn guardians_wait_and_hear_objections() {
    let (owner, friends, log) = guarded("1h");
    let agent = text(&shown(&owner), "agent");
    let thief = device_only();
    let begun = thief.json(&["id", "recover", "begin", &agent, "--log", &log]);
    let request = text(&begun, "request");
    let friend = &friends[0];
    friend.run(&approve(&begun, &["--log", &log])).ok();
    friend
        .run(&["id", "recover", "confirm", &request])
        .fails(1, &["wait is not over"]);

    let (owner, friends, log) = guarded("0s");
    let agent = text(&shown(&owner), "agent");
    let thief = device_only();
    let begun = thief.json(&["id", "recover", "begin", &agent, "--log", &log]);
    let request = text(&begun, "request");
    let [friend, second, _] = &friends;
    friend.run(&approve(&begun, &["--log", &log])).ok();
    friend
        .run(&["id", "recover", "object", &request])
        .fails(1, &["speaks for"]);
    let objection = text(&owner.json(&["id", "recover", "object", &request]), "said");
    friend.run(&["id", "recover", "hear", &objection]).ok();
    friend
        .run(&["id", "recover", "confirm", &request])
        .fails(1, &["objected"]);
    friend
        .run(&["id", "recover", "confirm", &request, "--despite-objection"])
        .ok();
    // Nobody else is heard.
    second
        .run(&["id", "recover", "object", &request, "--log", &log])
        .fails(1, &["speaks for"]);
}

/// A device that the guardian has not heard of objects: it is shown before anything is signed, and counts once the log says
/// whose it is (IDENT-51).
#[test]
fn guardians_see_objections_by_keys_that_they_do_not_know() {
    let (owner, [friend, second, _], log) = guarded("0s");
    let agent = text(&shown(&owner), "agent");
    let phone = device_only();
    let device = text(&shown(&phone), "device");
    let newer = owner.run(&["id", "add-device", &device]).ok();
    let newer = owner.write("newer", newer);
    phone.run(&["id", "adopt", &newer]).ok();
    let thief = device_only();
    let begun = thief.json(&["id", "recover", "begin", &agent, "--log", &log]);
    let request = text(&begun, "request");
    let said = text(&phone.json(&["id", "recover", "object", &request]), "said");

    friend.run(&["id", "learn", &log]).ok();
    let heard = friend.run(&["id", "recover", "hear", &said]);
    assert!(heard.err.contains("not known here"), "{}", heard.err);
    heard.ok();
    let status = friend
        .run(&["id", "recover", "status", &agent, "--json"])
        .rows();
    assert_eq!(status.len(), 1);
    assert_eq!(
        (&status[0]["kind"], &status[0]["by"], &status[0]["known"]),
        (&"object".into(), &device.as_str().into(), &false.into())
    );
    let shown_first = friend.feed(&["id", "recover", "approve", &request], b"no\n");
    shown_first.fails(1, &["by a key that is not known here", &device]);
    let rows = friend
        .run(&[approve(&begun, &[]), vec!["--json"]].concat())
        .rows();
    assert_eq!(
        (&rows[1]["kind"], &rows[1]["known"]),
        (&"object".into(), &false.into())
    );
    assert_eq!(rows[2]["kind"], "approve");
    // It binds nobody.
    let confirmed = friend.run(&["id", "recover", "confirm", &request]);
    assert!(
        confirmed.err.contains("not known here"),
        "{}",
        confirmed.err
    );
    confirmed.ok();

    // Another guardian knows whose it is by the time they sign.
    let begun = thief.json(&["id", "recover", "begin", &agent, "--log", &newer]);
    let request = text(&begun, "request");
    let said = text(&phone.json(&["id", "recover", "object", &request]), "said");
    second.run(&["id", "learn", &log]).ok();
    second.run(&["id", "recover", "hear", &said]).ok();
    second.run(&["id", "learn", &newer]).ok();
    let approved = second.run(&approve(&begun, &[]));
    assert!(
        approved.err.contains("who speaks for the agent"),
        "{}",
        approved.err
    );
    approved.ok();
    second
        .run(&["id", "recover", "confirm", &request])
        .fails(1, &["objected"]);
}

#[test]
fn guardians_let_others_take_their_place() {
    let (home, friends, log) = guarded("0s");
    let agent = text(&shown(&home), "agent");
    let key = text(&shown(&Home::new()), "key");
    let then = ["--needed", "1", "--wait", "2d"];
    home.run(&[&["id", "guardians", "set", &key], &then[..]].concat())
        .fails(1, &["2 of the present guardians"]);
    let mut said = Vec::new();
    for friend in &friends[..2] {
        friend.run(&["id", "learn", &log]).ok();
        let release = [&["id", "guardians", "release", &agent, &key], &then[..]].concat();
        said.push(text(&friend.json(&release), "said"));
    }
    let released = ["--released", &said[0], "--released", &said[1]];
    home.run(&[&["id", "guardians", "set", &key], &then[..], &released[..]].concat())
        .ok();
    let guardians = home.json(&["id", "guardians", "show"]);
    assert_eq!(guardians["keys"], serde_json::json!([key]));
    assert_eq!(guardians["wait_ms"], 172_800_000);
    home.run(&["id", "guardians", "set", "nobody"])
        .fails(2, &["nobody"]);
    home.run(&["id", "guardians", "set", &key, "--needed", "2"])
        .fails(2, &["cannot be needed"]);
    home.run(&["id", "guardians", "set", &key, "--wait", "7"])
        .code
        .filter(|code| *code == 2)
        .unwrap();
}
