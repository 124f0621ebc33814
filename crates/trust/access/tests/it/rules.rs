//! Rules and members: the rules of users, of what is shared and of branches, and versions of them.

use allod_access::{
    Answer, Facts, Ground, Member, On, Op, Pattern, Principal, RULE_BYTES_MAX, RULES_MAX, Rule,
    RuleError, Target,
};
use serde_json::{Value, json};

use crate::{agent, ask, authorizer, rule, short};

const ALLOW: Answer = Answer::Allow;
const DENY: Answer = Answer::Deny;

fn member(facts: &mut Facts, who: u8, name: Option<&str>, roles: &[&str]) {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let version = Member::new(name.map(ToOwned::to_owned), roles).expect("it is a member");
    facts.members.entry(agent(who)).or_default().push(version);
}

fn on(on: &str, pattern: &str, allow: Value) -> Value {
    json!({ "on": on, "allow": allow, "deny": {}, "owner": null, "pattern": pattern })
}

/// The rules that M-22 and M-23 name: 1 is anna, 2 bob, 3 an editor, 4 a viewer, 5 nobody, 6 may `admin`.
fn world() -> Facts {
    let mut facts = Facts::default();
    rule(
        &mut facts,
        json!({
            "on": "key",
            "allow": { "read": ["admin"], "write": ["admin"], "delete": ["admin"] },
            "deny": {},
            "owner": "{userId}",
            "pattern": "user:{userId}:*",
        }),
    );
    rule(
        &mut facts,
        on(
            "key",
            "shared:*",
            json!({ "read": ["editor", "viewer"], "write": ["editor"] }),
        ),
    );
    rule(
        &mut facts,
        on(
            "branch",
            "main",
            json!({
                "read": ["anyone"], "write": ["member"], "create": ["admin"], "merge": ["admin"], "drop": [],
            }),
        ),
    );
    rule(
        &mut facts,
        json!({
            "on": "branch", "allow": {}, "deny": {}, "owner": "{user}", "pattern": "{user}/*",
        }),
    );
    member(&mut facts, 1, Some("anna"), &["member"]);
    member(&mut facts, 2, Some("bob"), &["member"]);
    member(&mut facts, 3, None, &["editor", "member"]);
    member(&mut facts, 4, None, &["member", "viewer"]);
    let grant = crate::chains::grant(0, 6, "/space/admin");
    facts.grants.insert(crate::link(1), grant);
    facts
}

#[test]
fn users_own_their_keys_and_admins_may_as_well() {
    let facts = world();
    for op in [Op::Read, Op::Write, Op::Delete] {
        let of = |who, key| short(&facts, who, op, "main", key);
        assert_eq!(of(1, "user:anna:a"), (ALLOW, Ground::Role), "{op}");
        assert_eq!(of(2, "user:anna:a"), (DENY, Ground::Nothing), "{op}");
        assert_eq!(of(3, "user:anna:a"), (DENY, Ground::Nothing), "{op}");
        assert_eq!(of(2, "user:bob:a"), (ALLOW, Ground::Role), "{op}");
        assert_eq!(of(0, "user:anna:a"), (ALLOW, Ground::Owner), "{op}");
        // Keys that no rule is about, once there is a rule.
        assert_eq!(of(1, "other"), (DENY, Ground::Nothing), "{op}");
        assert_eq!(of(0, "other"), (ALLOW, Ground::Owner), "{op}");
    }
    // An admin is no member: the keys are theirs to change, the branch is not.
    assert_eq!(
        short(&facts, 6, Op::Read, "main", "user:anna:a"),
        (ALLOW, Ground::Role)
    );
    assert_eq!(
        short(&facts, 6, Op::Write, "main", "user:anna:a"),
        (DENY, Ground::Nothing)
    );
}

/// Who may list what is theirs is told so without a look at each key.
#[test]
fn users_own_all_keys_that_begin_as_theirs_do() {
    let facts = world();
    let of = |who, prefix: &[u8]| {
        let who = Principal::agent(agent(who));
        ask(&facts, &who, Op::Write, "main", Target::Prefix(prefix)).answer
    };
    assert_eq!([of(1, b"user:anna:"), of(1, b"user:anna:b")], [ALLOW; 2]);
    assert_eq!([of(2, b"user:anna:"), of(2, b"user:ann:")], [DENY; 2]);
    assert_eq!(
        [of(1, b"user:anna"), of(1, b"user:"), of(1, b"")],
        [Answer::Partly; 3]
    );
    assert_eq!(
        [of(3, b"shared:"), of(3, b"shared")],
        [ALLOW, Answer::Partly]
    );
    assert_eq!([of(4, b"shared:"), of(1, b"other")], [DENY; 2]);
    assert_eq!([of(0, b""), of(0, b"user:anna:")], [ALLOW; 2]);
}

#[test]
fn editors_change_what_is_shared_and_viewers_read_it() {
    let facts = world();
    let of = |who, op| short(&facts, who, op, "main", "shared:a").0;
    assert_eq!(
        [of(3, Op::Read), of(3, Op::Write), of(3, Op::Delete)],
        [ALLOW, ALLOW, DENY]
    );
    assert_eq!(
        [of(4, Op::Read), of(4, Op::Write), of(4, Op::Delete)],
        [ALLOW, DENY, DENY]
    );
    assert_eq!(
        [of(1, Op::Read), of(5, Op::Read), of(0, Op::Delete)],
        [DENY, DENY, ALLOW]
    );
    let verdict = ask(
        &facts,
        &Principal::agent(agent(4)),
        Op::Write,
        "main",
        Target::Key(b"shared:a"),
    );
    assert_eq!(verdict.rule.as_deref(), Some("key shared:*"));
    assert!(
        verdict
            .words()
            .contains("\"key shared:*\" does not allow it"),
        "{}",
        verdict.words()
    );
}

#[test]
fn main_is_merged_into_by_admins_and_deleted_by_nobody() {
    let facts = world();
    let of = |who, op| short(&facts, who, op, "main", "");
    assert_eq!(of(6, Op::Merge), (ALLOW, Ground::Role));
    assert_eq!(of(0, Op::Merge), (ALLOW, Ground::Owner));
    assert_eq!(of(1, Op::Merge), (DENY, Ground::Nothing));
    for who in 0..7 {
        assert_eq!(of(who, Op::Drop), (DENY, Ground::Nobody));
    }
    let own = |who, op| short(&facts, who, op, "anna/work", "").0;
    for op in [Op::Read, Op::Write, Op::Create, Op::Merge, Op::Drop] {
        assert_eq!(
            [own(1, op), own(2, op), own(6, op), own(0, op)],
            [ALLOW, DENY, DENY, ALLOW],
            "{op}"
        );
        assert_eq!(short(&facts, 1, op, "elsewhere", "").0, DENY);
    }
    // On a branch of one's own the rules of keys hold too.
    assert_eq!(
        short(&facts, 1, Op::Write, "anna/work", "user:anna:a").0,
        ALLOW
    );
    assert_eq!(short(&facts, 1, Op::Write, "anna/work", "shared:a").0, DENY);
    assert_eq!(
        short(&facts, 1, Op::Write, "bob/work", "user:anna:a").0,
        DENY
    );
}

#[test]
fn deny_beats_allow_whoever_it_is() {
    let mut facts = world();
    rule(
        &mut facts,
        json!({
            "on": "key", "allow": {}, "deny": { "write": ["editor"], "read": ["anyone"] },
            "owner": null, "pattern": "shared:s*",
        }),
    );
    assert_eq!(short(&facts, 3, Op::Write, "main", "shared:a").0, ALLOW);
    assert_eq!(
        short(&facts, 3, Op::Write, "main", "shared:s").1,
        Ground::Denied
    );
    assert_eq!(
        short(&facts, 0, Op::Read, "main", "shared:s").1,
        Ground::Denied
    );
    assert_eq!(
        short(&facts, 0, Op::Write, "main", "shared:s").1,
        Ground::Owner
    );
    // Neither does a grant open it.
    facts
        .grants
        .insert(crate::link(2), crate::chains::grant(0, 3, "/"));
    assert_eq!(
        short(&facts, 3, Op::Write, "main", "shared:s").1,
        Ground::Denied
    );
    assert_eq!(
        short(&facts, 3, Op::Delete, "main", "shared:s").1,
        Ground::Grant
    );
}

#[test]
fn the_most_specific_rule_decides() {
    let mut facts = Facts::default();
    rule(&mut facts, on("branch", "*", json!({ "read": ["anyone"] })));
    member(&mut facts, 1, None, &["r"]);
    member(&mut facts, 2, None, &["s"]);
    let mut say = |pattern: &str, role: &str| {
        rule(&mut facts, on("key", pattern, json!({ "read": [role] })));
        [1, 2].map(|who| short(&facts, who, Op::Read, "main", "a:b").0)
    };
    assert_eq!(say("*", "r"), [ALLOW, DENY]);
    assert_eq!(say("{x}:{y}", "s"), [DENY, ALLOW]);
    assert_eq!(say("a:*", "r"), [ALLOW, DENY]);
    assert_eq!(say("a:{y}", "s"), [DENY, ALLOW]);
    // As specific as the one before: both must.
    assert_eq!(say("{x}:b", "r"), [DENY, DENY]);
    assert_eq!(say("a:b", "r"), [ALLOW, DENY]);
    // What does not match, or says nothing of it, is passed over.
    assert_eq!(say("a:c", "s"), [ALLOW, DENY]);
}

#[test]
fn of_versions_the_stricter_holds() {
    let mut facts = Facts::default();
    rule(
        &mut facts,
        on(
            "branch",
            "*",
            json!({ "write": ["anyone"], "read": ["anyone"] }),
        ),
    );
    member(&mut facts, 1, None, &["r"]);
    member(&mut facts, 2, None, &["r", "s"]);
    let of = |facts: &Facts, op| [1, 2].map(|who| short(facts, who, op, "main", "a").0);
    rule(&mut facts, on("key", "a", json!({ "read": ["r"] })));
    assert_eq!(of(&facts, Op::Read), [ALLOW, ALLOW]);
    rule(
        &mut facts,
        on("key", "a", json!({ "read": ["s"], "write": ["r"] })),
    );
    assert_eq!(of(&facts, Op::Read), [DENY, ALLOW]);
    // One version leaves writing to rules that there are not.
    assert_eq!(of(&facts, Op::Write), [DENY, DENY]);
    rule(
        &mut facts,
        on("key", "*", json!({ "write": ["s"], "read": ["anyone"] })),
    );
    assert_eq!(of(&facts, Op::Write), [DENY, ALLOW]);
    // Removed by one and kept by others: it holds, and so does what is below it.
    let removed = |text: &str| Rule::removed(On::Key, text.parse::<Pattern>().expect("it is one"));
    facts.rules.insert("removed".to_owned(), removed("a"));
    assert_eq!(of(&facts, Op::Read), [DENY, ALLOW]);
    facts
        .rules
        .retain(|_, rule| rule.pattern().as_str() != "a" || !rule.says_something());
    assert_eq!(of(&facts, Op::Read), [ALLOW, ALLOW]);
    // A version in which nobody may.
    rule(&mut facts, on("key", "*", json!({ "read": [] })));
    assert_eq!(short(&facts, 0, Op::Read, "main", "b").1, Ground::Nobody);
}

#[test]
fn without_rules_members_may() {
    let mut facts = Facts::default();
    member(&mut facts, 1, None, &["member"]);
    member(&mut facts, 2, None, &["editor"]);
    assert!(authorizer(&facts).is_plain());
    for op in Op::ALL {
        let of = |who| short(&facts, who, op, "main", "a");
        let expected = if op == Op::Admin { DENY } else { ALLOW };
        assert_eq!(
            (of(1).0, of(2).0, of(0)),
            (expected, DENY, (ALLOW, Ground::Owner)),
            "{op}"
        );
    }
    // A rule that was removed is none; one that is about other things is.
    let pattern = || "x".parse::<Pattern>().expect("it is a pattern");
    facts
        .rules
        .insert("0".to_owned(), Rule::removed(On::Key, pattern()));
    assert!(authorizer(&facts).is_plain());
    assert_eq!(
        short(&facts, 1, Op::Write, "main", "a"),
        (ALLOW, Ground::Member)
    );
    rule(&mut facts, on("key", "x", json!({ "read": ["r"] })));
    assert!(!authorizer(&facts).is_plain());
    assert_eq!(
        short(&facts, 1, Op::Write, "main", "a"),
        (DENY, Ground::Nothing)
    );
    // Rules of keys are none of branches.
    assert_eq!(
        short(&facts, 1, Op::Create, "b", ""),
        (ALLOW, Ground::Member)
    );
}

#[test]
fn of_versions_of_members_they_have_what_all_have() {
    let mut facts = world();
    facts.rules.clear();
    for on_what in ["key", "branch"] {
        rule(
            &mut facts,
            json!({
                "on": on_what, "allow": { "write": ["r"] }, "deny": { "write": ["s"] }, "owner": "anna", "pattern": "*",
            }),
        );
    }
    facts.members.clear();
    let of = |facts: &Facts, who| short(facts, who, Op::Write, "main", "a").1;
    member(&mut facts, 1, Some("anna"), &["member", "q"]);
    member(&mut facts, 2, Some("bob"), &["r"]);
    assert_eq!([of(&facts, 1), of(&facts, 2)], [Ground::Role, Ground::Role]);
    member(&mut facts, 2, Some("bob"), &["q"]);
    assert_eq!(of(&facts, 2), Ground::Nothing);
    // A name that another has in any version is nobody's.
    member(&mut facts, 2, Some("anna"), &["r"]);
    assert_eq!(of(&facts, 1), Ground::Nothing);
    facts.members.remove(&agent(2));
    assert_eq!(of(&facts, 1), Ground::Role);
    let standing = authorizer(&facts);
    assert_eq!(
        standing.standing(&agent(1)).expect("it is one").1,
        Some("anna")
    );
    // By a role that one version gives, things are denied.
    member(&mut facts, 1, Some("anna"), &["member", "s"]);
    assert_eq!(of(&facts, 1), Ground::Denied);
    facts.members.get_mut(&agent(1)).expect("it is there").pop();
    // Versions that do not agree on the name.
    facts
        .members
        .get_mut(&agent(1))
        .expect("it is there")
        .push(Member::plain());
    assert_eq!(of(&facts, 1), Ground::Nothing);
    assert!(authorizer(&facts).is_member(&agent(1)));
    facts
        .members
        .get_mut(&agent(1))
        .expect("it is there")
        .push(Member::removed());
    assert!(!authorizer(&facts).is_member(&agent(1)));
    assert!(authorizer(&facts).standing(&agent(1)).is_none());
    assert_eq!(authorizer(&facts).members().count(), 0);
}

#[test]
fn meta_is_read_by_readers_and_changed_by_admins() {
    let facts = world();
    for (who, answer) in [(0, ALLOW), (1, ALLOW), (4, ALLOW), (5, ALLOW), (6, ALLOW)] {
        // The rule of `main` lets anyone read something.
        assert_eq!(short(&facts, who, Op::Read, "meta", "rules/1").0, answer);
    }
    let mut closed = facts.clone();
    closed
        .rules
        .retain(|_, rule| rule.pattern().as_str() != "main");
    let of = |who| short(&closed, who, Op::Read, "meta", "");
    assert_eq!(
        [of(1).1, of(5).1, of(6).1],
        [Ground::Known, Ground::Nothing, Ground::Known]
    );
    for op in [Op::Write, Op::Delete, Op::Create, Op::Merge, Op::Drop] {
        let of = |who| short(&facts, who, op, "meta", "rules/1");
        assert_eq!([of(0).1, of(6).1], [Ground::Owner, Ground::Grant], "{op}");
        assert_eq!([of(1).0, of(3).0, of(5).0], [DENY; 3], "{op}");
    }
}

#[test]
fn too_many_rules_leave_it_to_the_owner() {
    let mut facts = Facts::default();
    member(&mut facts, 1, None, &["r", "member"]);
    for n in 0..RULES_MAX {
        let on_what = if n == 0 { "branch" } else { "key" };
        let pattern = if n < 2 {
            "*".to_owned()
        } else {
            format!("{n}")
        };
        rule(
            &mut facts,
            on(on_what, &pattern, json!({ "read": ["r"], "write": ["r"] })),
        );
    }
    assert_eq!(
        short(&facts, 1, Op::Read, "main", "a"),
        (ALLOW, Ground::Role)
    );
    rule(
        &mut facts,
        json!({
            "on": "key", "allow": {}, "deny": { "read": ["anyone"] }, "owner": null, "pattern": "*",
        }),
    );
    assert_eq!(facts.rules.len(), RULES_MAX + 1);
    assert_eq!(
        short(&facts, 1, Op::Read, "main", "a"),
        (DENY, Ground::TooManyRules)
    );
    assert_eq!(
        short(&facts, 0, Op::Read, "main", "a"),
        (ALLOW, Ground::Owner)
    );
    // No rule is asked for these.
    assert_eq!(
        short(&facts, 0, Op::Write, "meta", "a"),
        (ALLOW, Ground::Owner)
    );
    assert_eq!(
        short(&facts, 1, Op::Pin, "main", ""),
        (ALLOW, Ground::Member)
    );
    assert!(!authorizer(&facts).is_plain());
}

#[test]
fn what_is_no_rule_is_refused() {
    let many: Vec<String> = (0..17).map(|n| format!("r{n:02}")).collect();
    for parts in [
        on("key", "a", json!({ "merge": ["r"] })),
        on("key", "a", json!({ "admin": ["r"] })),
        on("branch", "a", json!({ "delete": ["r"] })),
        on("key", "a", json!({ "read": ["s", "r"] })),
        on("key", "a", json!({ "read": ["r", "r"] })),
        on("key", "a", json!({ "read": ["R"] })),
        on("key", "a", json!({ "read": [""] })),
        on("key", "a", json!({ "read": many })),
        on("keys", "a", json!({})),
        on("key", "", json!({})),
        json!({ "on": "key", "allow": {}, "deny": { "read": [] }, "owner": null, "pattern": "a" }),
        json!({ "on": "key", "allow": {}, "deny": {}, "owner": null, "pattern": "a", "more": 1 }),
        json!({ "on": "key", "allow": {}, "deny": {}, "pattern": 1 }),
    ] {
        assert!(
            serde_json::from_value::<Rule>(parts.clone()).is_err(),
            "{parts}"
        );
    }
    let full = on("key", "{a}:*", json!({ "read": many[..16], "write": [] }));
    let full: Rule = serde_json::from_value(full).expect("it is a rule");
    let bytes = full.encode().expect("it has bytes");
    assert_eq!(Rule::decode(&bytes), Ok(full));
    for cut in 0..bytes.len() {
        assert_eq!(Rule::decode(&bytes[..cut]), Err(RuleError::Encoding));
    }
    assert_eq!(
        Rule::decode(&[&*bytes, &[0]].concat()),
        Err(RuleError::Encoding)
    );
    assert!(Rule::decode(&vec![0; RULE_BYTES_MAX + 1]).is_err());
    // All roles of all operations in both lists would be larger than a rule may be.
    let list: Vec<String> = (0..16)
        .map(|n| format!("{}{n:02}", "r".repeat(30)))
        .collect();
    let lists = json!({ "read": list, "write": list, "create": list, "merge": list, "drop": list });
    let large =
        json!({ "on": "branch", "allow": lists, "deny": lists, "owner": null, "pattern": "a" });
    assert!(serde_json::from_value::<Rule>(large).is_err());
}

#[test]
fn what_is_no_member_is_refused() {
    let new = |name: Option<&str>, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Member::new(name.map(ToOwned::to_owned), roles)
    };
    for role in ["owner", "admin", "anyone"] {
        assert_eq!(new(None, &[role]), Err(RuleError::Given));
    }
    for name in [
        "",
        "Anna",
        "1a",
        "a b",
        "a:b",
        "\u{430}nna",
        &"a".repeat(33),
    ] {
        assert_eq!(new(Some(name), &[]), Err(RuleError::Name));
        assert_eq!(new(None, &[name]), Err(RuleError::List));
    }
    assert_eq!(new(None, &["r", "r"]), Err(RuleError::List));
    let member = new(Some("anna"), &["s", "member"]).expect("it is a member");
    assert_eq!(member.roles(), ["member", "s"]);
    let bytes = member.encode().expect("it has bytes");
    assert_eq!(Member::decode(&bytes), Ok(member));
    assert_eq!(RuleError::Given.code(), "E_RULE");
    // Roles in another order are not sorted when read.
    let swapped = [&bytes[..bytes.len() - 9], b"\x61s", b"\x66member"].concat();
    assert_eq!(swapped.len(), bytes.len());
    assert_eq!(Member::decode(&swapped), Err(RuleError::Encoding));
}
