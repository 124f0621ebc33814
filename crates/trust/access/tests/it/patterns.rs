//! Patterns of rules: what they match, what they capture, and whom they cannot be turned by.

use allod_access::{
    Answer, BadPattern, Draft, Facts, Op, Pattern, Principal, Request, Rule, RuleError, Target,
};
use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::json;

use crate::naive;
use crate::{agent, authorizer, cases, rule, short};

fn pattern(text: &str) -> Pattern {
    text.parse().expect(text)
}

#[test]
fn captures_end_where_a_separator_is() {
    for (text, yes, no) in [
        ("a", &["a"][..], &["", "b", "aa", "A"][..]),
        ("a*", &["a", "a:", "a/b:c"], &["", "b"]),
        ("*", &["", "a", ":/"], &[]),
        (
            "{x}",
            &["a", "a b", "*", "{x}"],
            &["", "a:", "a/b", ":", "/"],
        ),
        (
            "user:{id}",
            &["user:a", "user:a b"],
            &["user:", "user:a:", "user:a:b", "user:a/b"],
        ),
        (
            "user:{id}:*",
            &["user:a:", "user:a:b", "user:a:b:c"],
            &["user:a", "user::b", "user::", "user:a/b:c"],
        ),
        ("{a}/{b}", &["x/y"], &["x/", "/y", "x//y", "x/y/z", "x/y:"]),
        ("{a}/{a}", &["x/x"], &["x/y", "x/X", "x/xx"]),
        (
            "{a}:{b}:{a}/*",
            &["x:y:x/", "x:y:x/z"],
            &["x:y:y/z", "x:y:x"],
        ),
        ("a*b", &[], &[]),
    ] {
        let Ok(pattern) = text.parse::<Pattern>() else {
            assert_eq!((text, yes.len()), ("a*b", 0));
            continue;
        };
        for key in yes {
            assert!(pattern.matches(key.as_bytes()), "{text} {key}");
        }
        for key in no {
            assert!(!pattern.matches(key.as_bytes()), "{text} {key}");
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    let long = "a".repeat(257);
    let name = format!("{{{}}}", "a".repeat(33));
    for text in [
        "",
        "**",
        "*a",
        "a*b",
        "a**",
        "{",
        "}",
        "{}",
        "a}",
        "{a",
        "{a}*",
        "{a}{b}",
        "{a}b",
        "{1a}",
        "{a-b}",
        "{a b}",
        "{*}",
        "{{a}}",
        "{a:b}",
        "{a}/{b}/{c}/{d}/{e}",
        "{\u{e4}}",
        &*long,
        &*name,
    ] {
        assert_eq!(text.parse::<Pattern>(), Err(BadPattern), "{text}");
    }
    let longest = format!("{}*", "a".repeat(255));
    let name = format!("{{{}}}", "a".repeat(32));
    for text in [
        "a",
        "*",
        "{a}",
        "{a}/{b}/{c}/{d}",
        "\0",
        "\u{e4}",
        &*longest,
        &*name,
        "{userId}:*",
    ] {
        assert_eq!(pattern(text).as_str(), text);
        let again: Pattern = serde_json::from_value(json!(text)).expect(text);
        assert_eq!(again, pattern(text));
    }
    assert_eq!(RuleError::from(BadPattern).code(), "E_RULE_PATTERN");
}

#[test]
fn an_owner_is_a_capture_or_a_name() {
    let long = "a".repeat(257);
    for (pattern, owner, is_good) in [
        ("{x}:*", "{x}", true),
        ("{x}:*", "x", true),
        ("{x}:*", "{y}", false),
        ("{x}:*", "{x", false),
        ("{x}:*", "x}", false),
        ("{x}:*", "{x}{x}", false),
        ("{x}:*", "", false),
        ("a", "{a}", false),
        ("a", &long, false),
        ("a", &long[..256], true),
    ] {
        let parts = json!({
            "on": "key", "allow": {}, "deny": {}, "owner": owner, "pattern": pattern,
        });
        let draft: Draft = serde_json::from_value(parts).expect(owner);
        let made = Rule::try_from(draft);
        let expected = if is_good {
            None
        } else {
            Some(RuleError::Owner)
        };
        assert_eq!(made.err(), expected, "{pattern} {owner}");
    }
}

/// Users own their keys, of whom the first is called anna; every branch may be written.
fn owned() -> Facts {
    let mut facts = Facts::default();
    let owns = json!({
        "on": "key", "allow": {}, "deny": {}, "owner": "{userId}", "pattern": "user:{userId}:*",
    });
    rule(&mut facts, owns);
    let anyone = json!({
        "on": "branch", "allow": { "write": ["anyone"] }, "deny": {}, "owner": null, "pattern": "*",
    });
    rule(&mut facts, anyone);
    let member = serde_json::from_value(json!({ "name": "anna", "roles": ["member"] }));
    facts
        .members
        .insert(agent(1), vec![member.expect("it is a member")]);
    facts
}

/// Keys of `user:{userId}:*`, of which `a` has no part beside its own.
#[test]
fn names_that_look_alike_own_nothing() {
    let facts = owned();
    for key in [
        "user:anna:",
        "user:anna:b",
        "user:anna:b:c",
        "user:anna:/",
        "user:anna:\0",
    ] {
        assert_eq!(
            short(&facts, 1, Op::Write, "main", key).0,
            Answer::Allow,
            "{key}"
        );
        assert_eq!(
            short(&facts, 2, Op::Write, "main", key).0,
            Answer::Deny,
            "{key}"
        );
    }
    for key in [
        "user:anna",
        "user::anna:",
        "user:::",
        "user:ann:a",
        "user:anna2:",
        "user:annaanna:",
        "user:Anna:",
        "USER:anna:",
        "user:anna/:",
        "user:/anna:",
        " user:anna:",
        "user:anna :",
        "user:anna\0:",
        "user:\0anna:",
        "user:\u{430}nna:",
        "user:a\u{301}nna:",
        "user:{userId}:",
        "user:*:",
        "user:anna*:",
        "user:anna%3a",
        "user:bob:anna:",
        "anna:",
    ] {
        assert_eq!(
            short(&facts, 1, Op::Write, "main", key).0,
            Answer::Deny,
            "{key}"
        );
    }
}

#[test]
fn keys_that_are_no_text_are_bytes_as_others() {
    let facts = owned();
    let who = Principal::agent(agent(1));
    for (key, answer) in [
        (&b"user:anna:\xff"[..], Answer::Allow),
        (b"user:anna\xff:", Answer::Deny),
        (b"user:\xffanna:", Answer::Deny),
        (b"\xff", Answer::Deny),
    ] {
        let request = Request {
            who: &who,
            op: Op::Write,
            branch: "main",
            target: Target::Key(key),
            at: 0,
        };
        assert_eq!(authorizer(&facts).check(&request).answer, answer, "{key:?}");
    }
}

#[test]
fn an_agent_owns_by_its_key_in_this_spelling_alone() {
    let facts = owned();
    let did = agent(2).to_string();
    let bare = did.strip_prefix("did:key:").expect("it is a did:key");
    assert_eq!(
        short(&facts, 2, Op::Write, "main", &format!("user:{bare}:a")).0,
        Answer::Allow
    );
    for name in [
        bare.to_lowercase(),
        bare.to_uppercase(),
        format!("{bare}1"),
        bare[..bare.len() - 1].to_owned(),
    ] {
        assert_eq!(
            short(&facts, 2, Op::Write, "main", &format!("user:{name}:a")).0,
            Answer::Deny
        );
    }
}

#[test]
fn a_full_name_with_separators_is_owned_as_a_text() {
    let mut facts = Facts::default();
    let did = agent(2).to_string();
    for (on, list) in [
        ("key", json!({})),
        ("branch", json!({ "write": ["anyone"] })),
    ] {
        let owner = (on == "key").then(|| did.clone());
        rule(
            &mut facts,
            json!({ "on": on, "allow": list, "deny": {}, "owner": owner, "pattern": "*" }),
        );
    }
    assert_eq!(short(&facts, 2, Op::Write, "main", "a").0, Answer::Allow);
    assert_eq!(short(&facts, 1, Op::Write, "main", "a").0, Answer::Deny);
}

/// The name of one capture twice is the same bytes twice, of all keys with a prefix as well.
#[test]
fn of_a_prefix_captures_agree_too() {
    let mut facts = Facts::default();
    for (on, pattern, read) in [
        ("branch", "*", &["anyone"][..]),
        ("key", "{x}:{x}:*", &["anyone"]),
        ("key", "*", &[]),
    ] {
        let allow = json!({ "read": read });
        rule(
            &mut facts,
            json!({ "on": on, "allow": allow, "deny": {}, "owner": null, "pattern": pattern }),
        );
    }
    let who = Principal::agent(agent(1));
    let of = |target| crate::ask(&facts, &who, Op::Read, "main", target).answer;
    assert_eq!(of(Target::Key(b"a:a:b")), Answer::Allow);
    assert_eq!(of(Target::Key(b"a:b:b")), Answer::Deny);
    assert_ne!(of(Target::Prefix(b"a:b:")), Answer::Allow);
    assert_ne!(of(Target::Prefix(b"a:a:")), Answer::Deny);
    assert_eq!(of(Target::Prefix(b"b/")), Answer::Deny);
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn matches_are_those_of_every_try(
        pieces in proptest::collection::vec(0_usize..9, 1..7),
        key in "[ab:/]{0,6}",
    ) {
        let all = ["a", "b", ":", "/", "{x}", "{y}", "{x}:", "{y}/", "*"];
        let text: String = pieces.iter().map(|piece| all[*piece]).collect();
        if let Ok(pattern) = text.parse::<Pattern>() {
            let ways = naive::ways(&text, key.as_bytes());
            // Where a capture ends has one answer.
            assert!(ways.len() <= 1, "{text} {key}");
            prop_assert_eq!(pattern.matches(key.as_bytes()), ways.len() == 1);
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_refused(text in any::<String>(), key in any::<Vec<u8>>()) {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.matches(&key), !naive::ways(&text, &key).is_empty());
            prop_assert_eq!(String::from(pattern), text);
        }
    }
}
