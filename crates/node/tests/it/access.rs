//! Grants, rules and members (ACCESS), by processes of their own.

use allod::now_ms;
use allod_identity::{DecisionOutcome, SecretKey, Verified, Who};
use allod_repo::{BranchName, Rejected};
use serde_json::json;

use crate::home::{Home, Up};
use crate::merging::open;

fn agent(home: &Home) -> String {
    home.json(&["id"])["agent"].as_str().unwrap().to_owned()
}

/// A running node, and a home that joined with a ticket of these options.
fn joined(ada: &Home, ticket: &[&str]) -> (Up, Home) {
    let (up, bob) = (ada.up(), Home::new());
    let ticket = ada.run(&[&["space", "ticket"], ticket].concat()).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    (up, bob)
}

fn answer(home: &Home, args: &[&str]) -> (String, String) {
    let value = home.json(&[&["rules", "test"], args].concat());
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    (text("answer"), text("ground"))
}

#[test]
fn a_ticket_for_a_branch_brings_that_branch_alone() {
    let ada = Home::with_space();
    ada.commit("welcome", "hello");
    ada.run(&["switch", "-c", "public"]).ok();
    ada.commit("news", "today");
    ada.run(&["switch", "main"]).ok();
    ada.commit("diary", "nobody's business");
    ada.run(&["branch", "draft"]).ok();
    let (up, bob) = joined(
        &ada,
        &["--can", "read", "--branch", "public", "--expires", "7d"],
    );

    let branches = bob.run(&["branch", "--json"]).rows();
    let names: Vec<&str> = branches
        .iter()
        .filter_map(|it| it["branch"].as_str())
        .collect();
    assert!(
        names.contains(&"public") && !names.contains(&"draft"),
        "{names:?}"
    );
    bob.run(&["switch", "public"]).ok();
    assert_eq!(bob.run(&["get", "news"]).ok().trim(), "today");
    bob.run(&["switch", "main"]).ok();
    bob.run(&["get", "diary"]).fails(1, &["denied"]);
    // It may read, and nothing else.
    bob.run(&["switch", "public"]).ok();
    bob.run(&["put", "news", "mine"])
        .fails(1, &["put is denied"]);
    bob.run(&["grant", &agent(&ada), "--can", "write"])
        .fails(1, &["may not"]);
    bob.run(&["rules", "set", "key", "x", "--allow", "anyone=read"])
        .fails(1, &["administers"]);

    let granted = ada.run(&["grants", "--json"]).rows();
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0]["command"], "/space/read");
    assert_eq!(granted[0]["to"], agent(&bob));
    let grant = granted[0]["grant"].as_str().unwrap();
    ada.run(&["revoke", grant, "--reason", "moved away"]).ok();
    assert_eq!(ada.run(&["grants", "--json"]).rows().len(), 0);
    let all = ada.run(&["grants", "--all", "--json"]).rows();
    assert_eq!(all[0]["standing"], "taken back");
    let synced = bob.run(&["sync"]);
    assert!(synced.out.contains("E_NOT_MEMBER"), "{}", synced.out);
    up.stop();
}

#[test]
fn a_writer_of_some_keys_writes_those_and_a_right_that_went_counts_no_more() {
    let ada = Home::with_space();
    ada.commit("notes/0", "from the beginning");
    let (up, bob) = joined(&ada, &["--can", "read"]);
    let you = agent(&bob);
    ada.run(&["grant", &you, "--can", "write", "--prefix", "notes/"])
        .ok();
    bob.run(&["sync"]).ok();
    assert_eq!(
        bob.run(&["get", "notes/0"]).ok().trim(),
        "from the beginning"
    );
    bob.commit("notes/1", "mine");
    bob.run(&["put", "letters/1", "not mine"])
        .fails(1, &["is about something else"]);
    bob.run(&["del", "notes/1"]).fails(1, &["delete is denied"]);
    bob.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "notes/1"]).ok().trim(), "mine");
    let asked = [you.as_str(), "write", "main", "notes/x"];
    assert_eq!(
        answer(&ada, &asked),
        ("allowed".to_owned(), "grant".to_owned())
    );
    let asked = [you.as_str(), "write", "main", "letters/x"];
    assert_eq!(
        answer(&ada, &asked),
        ("denied".to_owned(), "nothing".to_owned())
    );
    let asked = [you.as_str(), "write", "main", "*"];
    assert_eq!(answer(&ada, &asked).0, "partly");

    // What is made apart from the revocation is kept beside, wherever it is known.
    let late = bob.commit("notes/2", "too late");
    let grants = ada.run(&["grants", "--json"]).rows();
    let write = grants.iter().find(|it| it["command"] == "/space/write");
    let write = write.unwrap()["grant"].as_str().unwrap();
    ada.run(&["revoke", write]).ok();
    bob.run(&["sync"]).ok();
    for home in [&ada, &bob] {
        assert_eq!(home.run(&["get", "notes/1"]).ok().trim(), "mine");
        home.run(&["get", "notes/2"]).fails(1, &["no value"]);
        assert_eq!(home.json(&["explain", &late])["counts"], false);
    }
    bob.run(&["put", "notes/3", "again"])
        .fails(1, &["was taken back"]);
    // Who may do the same can take it in.
    ada.run(&["trust", "take-in"]).ok();
    assert_eq!(ada.run(&["get", "notes/2"]).ok().trim(), "too late");
    bob.run(&["sync"]).ok();
    assert_eq!(bob.run(&["get", "notes/2"]).ok().trim(), "too late");
    up.stop();
}

#[test]
fn rules_say_who_may_what_and_the_owner_sets_them() {
    let ada = Home::with_space();
    ada.commit("shared:1", "all of us");
    let (up, bob) = joined(&ada, &[]);
    let you = agent(&bob);
    let members = ada.run(&["member", "list", "--json"]).rows();
    assert_eq!(
        members[1],
        json!({ "agent": you, "name": null, "roles": ["member"] })
    );
    ada.run(&["member", "set", &you, "--name", "bob", "--role", "editor"])
        .ok();
    for rule in [
        &[
            "key",
            "user:{userId}:*",
            "--owner",
            "{userId}",
            "--allow",
            "admin=read,write,delete",
        ][..],
        &[
            "key",
            "shared:*",
            "--allow",
            "editor=read,write",
            "--allow",
            "viewer=read",
        ],
        &[
            "branch",
            "main",
            "--allow",
            "admin=merge",
            "--allow",
            "member=read,write",
            "--nobody",
            "delete",
        ],
        &["branch", "{user}/*", "--owner", "{user}"],
    ] {
        ada.run(&[&["rules", "set"], rule].concat()).ok();
    }
    assert_eq!(ada.run(&["rules", "show", "--json"]).rows().len(), 4);
    let denied = |ground: &str| ("denied".to_owned(), ground.to_owned());
    let allowed = ("allowed".to_owned(), "rule".to_owned());
    assert_eq!(
        answer(&ada, &["bob", "write", "main", "user:bob:1"]),
        allowed
    );
    assert_eq!(
        answer(&ada, &["bob", "write", "main", "user:eve:1"]),
        denied("nothing")
    );
    assert_eq!(answer(&ada, &["bob", "write", "main", "shared:1"]), allowed);
    assert_eq!(
        answer(&ada, &["bob", "delete", "main", "shared:1"]),
        denied("nothing")
    );
    assert_eq!(answer(&ada, &["bob", "merge", "main"]), denied("nothing"));
    assert_eq!(answer(&ada, &["bob", "create", "bob/wip"]), allowed);
    assert_eq!(
        answer(&ada, &["bob", "create", "eve/wip"]),
        denied("nothing")
    );
    assert_eq!(
        answer(&ada, &[&agent(&ada), "drop", "main"]),
        denied("nobody")
    );

    ada.run(&["rules", "set", "key", "shared:*"])
        .fails(2, &["says something"]);
    ada.run(&["rules", "set", "key", "a{b", "--allow", "member=read"])
        .fails(1, &["pattern"]);
    ada.run(&["rules", "set", "key", "a", "--allow", "owner"])
        .fails(2, &["ROLE=WHAT"]);
    ada.run(&["rules", "remove", "key", "nothing:*"])
        .fails(1, &["no rule"]);
    ada.run(&["rules", "remove", "branch", "main"]).ok();
    assert_eq!(ada.run(&["rules", "show", "--json"]).rows().len(), 3);

    ada.run(&["member", "remove", &you]).ok();
    assert_eq!(ada.run(&["member", "list", "--json"]).rows().len(), 1);
    let synced = bob.run(&["sync"]);
    assert!(synced.out.contains("E_NOT_MEMBER"), "{}", synced.out);
    ada.run(&["member", "remove", &you])
        .fails(1, &["no member"]);
    assert_eq!(ada.run(&["get", "shared:1"]).ok().trim(), "all of us");
    up.stop();
}

/// The grant of a command, as `grants` lists it.
fn grant_of(home: &Home, command: &str) -> String {
    let grants = home.run(&["grants", "--json"]).rows();
    let found = grants.iter().find(|it| it["command"] == command);
    found.unwrap()["grant"].as_str().unwrap().to_owned()
}

/// A home tells of a commit whose author's grant was taken back.
#[track_caller]
fn tells_why(home: &Home, late: &str, (you, write): (&str, &str)) {
    let told = home.json(&["explain", late]);
    assert_eq!(
        (&told["counts"], &told["stands"]),
        (&json!(false), &json!(false))
    );
    let denial = &told["denial"];
    assert_eq!(
        (&denial["operation"], &denial["branch"]),
        (&json!("write"), &json!("main"))
    );
    assert_eq!(
        (&denial["who"], &denial["ground"]),
        (&json!(you), &json!("nothing"))
    );
    assert_eq!(
        denial["near"],
        json!({ "how": "taken-back", "grant": write })
    );
    let noted = told["decisions"].as_array().unwrap();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(noted[0]["what"]["act"], "count");
    assert_eq!(noted[0]["what"]["on"], json!(late));
    assert_eq!(noted[0]["outcome"], "deny");
    let words = home.run(&["explain", late]).ok();
    for part in [
        "may not write main",
        "was taken back",
        "allod grant did:key:",
        "take-in",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

/// Why a commit does not count is told wherever it is, with what would help, and noted once.
#[test]
fn why_a_commit_does_not_count_is_told() {
    let ada = Home::with_space();
    ada.commit("notes/0", "from the beginning");
    let (up, bob) = joined(&ada, &["--can", "read"]);
    let you = agent(&bob);
    let gift = ["grant", &you, "--can", "write", "--prefix", "notes/"];
    ada.run(&gift).ok();
    bob.run(&["sync"]).ok();
    bob.run(&["put", "letters/1", "not mine"])
        .fails(1, &["put is denied"]);
    let kept = bob.commit("notes/1", "in time");
    bob.run(&["sync"]).ok();
    let late = bob.commit("notes/2", "too late");
    let write = grant_of(&ada, "/space/write");
    let told = bob.json(&["explain", &late]);
    assert_eq!(
        (&told["counts"], &told["stands"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&told["denial"], &told["decisions"]),
        (&json!(null), &json!([]))
    );
    ada.run(&["revoke", &write]).ok();
    for _ in 0..2 {
        bob.run(&["sync"]).ok();
        for home in [&ada, &bob] {
            tells_why(home, &late, (&you, &write));
        }
    }
    // What was there is kept by a commit on top, and it is said whose.
    let told = ada.json(&["explain", &kept]);
    assert_eq!(
        (&told["counts"], &told["stands"]),
        (&json!(true), &json!(false))
    );
    let voucher = told["vouched_by"].as_str().unwrap().to_owned();
    assert_eq!(
        ada.json(&["explain", &voucher])["author"],
        json!(agent(&ada))
    );
    let words = ada.run(&["explain", &kept]).ok();
    assert!(
        words.contains(&format!("as {voucher} is built on it")),
        "{words}"
    );
    // With the right again it counts.
    ada.run(&gift).ok();
    let told = ada.json(&["explain", &late]);
    assert_eq!(
        (&told["counts"], &told["denial"]),
        (&json!(true), &json!(null))
    );
    up.stop();
}

/// A commit of who may not make it is refused, and that is noted once, also when it comes again after a restart.
#[test]
fn a_refused_commit_is_noted_once() {
    let home = Home::with_space();
    home.commit("a", "1");
    let thief = SecretKey::from_seed([77; 32]);
    let mut forged = None;
    for _ in 0..2 {
        let node = open(&home);
        let repo = node.space(None).unwrap();
        let statement = forged.get_or_insert_with(|| {
            let head = *repo.heads(&BranchName::main()).unwrap().first().unwrap();
            let mut said = repo.commit(head).unwrap().payload().clone();
            said.author = thief.agent_id();
            Verified::sign(&thief, said).unwrap()
        });
        for _ in 0..2 {
            let refused = repo.review(statement.bytes().clone(), now_ms());
            let code = match refused {
                Err(Rejected::Refused(refusal)) => refusal.code(),
                other => panic!("{other:?}"),
            };
            assert_eq!(code, "E_NOT_MEMBER");
        }
        let mut noted = node.decisions().unwrap();
        noted.retain(|it| it.what().act() == "take");
        assert_eq!(noted.len(), 1, "{noted:?}");
        assert_eq!(noted[0].who(), Some(&Who::Agent(thief.agent_id())));
        assert_eq!(noted[0].outcome(), &DecisionOutcome::Refuse);
        assert_eq!(
            noted[0].words(),
            "create on main: no rule and no grant allows it"
        );
    }
    // It is not here, and can be asked about.
    let id = forged.unwrap().cid().to_string();
    let told = home.json(&["explain", &id]);
    assert_eq!(
        (&told["outcome"], &told["what"]["on"]),
        (&json!("refuse"), &json!(id))
    );
}

/// What a command names is asked about, and not where the space stands.
#[test]
fn a_state_that_is_named_is_read_by_its_branch() {
    let ada = Home::with_space();
    ada.commit("k", "main");
    ada.run(&["switch", "-c", "open"]).ok();
    ada.commit("k", "open");
    ada.run(&["switch", "-c", "closed"]).ok();
    let secret = ada.commit("k", "closed");
    let (up, bob) = joined(&ada, &["--can", "read", "--branch", "open"]);
    let you = agent(&bob);
    let gift = ["grant", &you, "--can", "read", "--branch", "closed"];
    let made = ada.run(&[&gift[..], &["--json"]].concat()).rows();
    bob.run(&["sync"]).ok();
    bob.run(&["switch", "open"]).ok();
    assert_eq!(bob.run(&["get", "k", "--at", "closed"]).ok(), "closed\n");
    ada.run(&["revoke", made[0]["grant"].as_str().unwrap()])
        .ok();
    bob.run(&["sync"]).ok();
    // It is still here, and it may not be read any more.
    for command in [
        &["get", "k", "--at", "closed"][..],
        &["get", "k", "--at", &secret],
        &["ls", "--at", "closed"],
        &["blame", "k", "--at", "closed"],
        &["export", "--at", &secret],
        &["log", "closed"],
        &["log", "--all"],
        &["show", &secret],
        &["diff", "open", "closed"],
        &["sql", "SELECT key FROM entries", "--at", "closed"],
        &["inspect", "tree", "closed"],
    ] {
        bob.run(command).fails(1, &["denied"]);
    }
    assert_eq!(bob.run(&["get", "k", "--at", "open"]).ok(), "open\n");
    bob.run(&["switch", "closed"]).ok();
    bob.run(&["get", "k"]).fails(1, &["denied"]);
    for command in [
        &["get", "k", "--at", "open"][..],
        &["ls", "--at", "open"],
        &["log", "open"],
    ] {
        bob.run(command).ok();
    }
    up.stop();
}
