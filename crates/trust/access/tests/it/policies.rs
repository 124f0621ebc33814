//! Policies of grants: what they say of what is known and what is not, their limits, and the steps that they take.

use allod_access::{
    Answer, Comparison, Facts, Glob, Grant, Ground, Op, Policy, Principal, Request, STEPS_MAX,
    Selector, Statement, Target, Value,
};
use allod_identity::{Signed, Verified};
use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::{Value as Json, json};

use crate::chains::grant;
use crate::worlds::{self, Dice};
use crate::{NOW, agent, ask, authorizer, cases, key, link, naive};

fn policy(statements: Json) -> Policy {
    serde_json::from_value(statements).expect("it is a policy")
}

/// What a grant of this policy says of a target on `main`.
fn says(policy: &Policy, target: Target<'_>) -> Answer {
    let mut facts = Facts::default();
    facts.grants.insert(
        link(1),
        Grant {
            policy: policy.clone(),
            ..grant(0, 1, "/space/write")
        },
    );
    let who = Principal::agent(agent(1));
    let request = Request {
        who: &who,
        op: Op::Write,
        branch: "main",
        target,
        at: NOW,
    };
    authorizer(&facts).check(&request).answer
}

#[test]
fn what_is_not_known_is_open() {
    const KEY: &str = ".key";
    let (yes, no, open) = (
        json!(["==", ".branch", "main"]),
        json!(["==", ".branch", "other"]),
        json!(["==", KEY, "a"]),
    );
    for (statement, branch, of_a, of_b) in [
        (yes.clone(), true, true, true),
        (no.clone(), false, false, false),
        (open.clone(), true, true, false),
        (json!(["not", open]), true, false, true),
        (json!(["not", yes]), false, false, false),
        (json!(["and", [open, no]]), false, false, false),
        (json!(["and", [no, open]]), false, false, false),
        (json!(["and", [open, yes]]), true, true, false),
        (json!(["or", [open, yes]]), true, true, true),
        (json!(["or", [open, no]]), true, true, false),
        (json!(["not", ["or", [open, yes]]]), false, false, false),
        (json!(["not", ["and", [open, no]]]), true, true, true),
        (json!(["or", [["not", open], open]]), true, true, true),
    ] {
        let policy = policy(json!([statement]));
        let is = |target| says(&policy, target) == Answer::Allow;
        let got = (
            is(Target::Branch),
            is(Target::Key(b"a")),
            is(Target::Key(b"b")),
        );
        assert_eq!(got, (branch, of_a, of_b), "{policy}");
    }
    // All must hold, and none is no condition.
    let both = policy(json!([["like", KEY, "a*"], ["!=", KEY, "ab"]]));
    assert_eq!(says(&both, Target::Key(b"ac")), Answer::Allow);
    assert_eq!(says(&both, Target::Key(b"ab")), Answer::Deny);
    assert_eq!(
        says(&Policy::default(), Target::Key(b"\xff")),
        Answer::Allow
    );
}

#[test]
fn values_compare_as_bytes() {
    for (how, value, least, most) in [
        ("<", "b", "a\u{ff}", "b"),
        ("<=", "b", "b", "b\0"),
        (">", "b", "b\0", "b"),
        (">=", "b", "b", "a\u{ff}"),
        ("==", "b", "b", "B"),
        ("!=", "b", "B", "b"),
        ("==", "e\u{301}", "e\u{301}", "\u{e9}"),
    ] {
        let policy = policy(json!([[how, ".key", value]]));
        assert_eq!(
            says(&policy, Target::Key(least.as_bytes())),
            Answer::Allow,
            "{policy}"
        );
        assert_eq!(
            says(&policy, Target::Key(most.as_bytes())),
            Answer::Deny,
            "{policy}"
        );
    }
    let bytes = Statement::Compare(Comparison::Equal, Selector::Key, Value::Bytes(vec![0xff]));
    assert_eq!(
        says(&Policy(vec![bytes]), Target::Key(b"\xff")),
        Answer::Allow
    );
}

#[test]
fn of_a_prefix_as_much_is_said_as_is_sure() {
    for (statement, prefix, answer) in [
        (json!(["like", ".key", "a*"]), "a", Answer::Allow),
        (json!(["like", ".key", "a*"]), "ab", Answer::Allow),
        (json!(["like", ".key", "a*"]), "", Answer::Partly),
        (json!(["like", ".key", "a*"]), "b", Answer::Deny),
        (json!(["like", ".key", "a"]), "a", Answer::Partly),
        (json!(["like", ".key", "a"]), "ab", Answer::Deny),
        (json!(["like", ".key", "a*b"]), "a", Answer::Partly),
        (json!(["<", ".key", "b"]), "a", Answer::Allow),
        (json!(["<", ".key", "b"]), "b", Answer::Deny),
        (json!(["<=", ".key", "b"]), "b", Answer::Partly),
        (json!([">=", ".key", "b"]), "b", Answer::Allow),
        (json!([">=", ".key", "ab"]), "a", Answer::Partly),
        (json!([">", ".key", "b"]), "b", Answer::Partly),
        (json!(["!=", ".key", "b"]), "a", Answer::Allow),
        (json!(["==", ".key", "b"]), "b", Answer::Partly),
        (json!(["not", ["like", ".key", "a*"]]), "a", Answer::Deny),
        (json!(["not", ["like", ".key", "a*"]]), "b", Answer::Allow),
    ] {
        let policy = policy(json!([statement]));
        assert_eq!(
            says(&policy, Target::Prefix(prefix.as_bytes())),
            answer,
            "{policy} {prefix}"
        );
    }
}

#[test]
fn patterns_of_like_spell_stars_and_backslashes() {
    for (text, yes, no) in [
        ("", "", "a"),
        ("*", "a:/\n", "\0never"),
        ("a*c*", "abcb", "ab"),
        ("*ab", "abab", "aba"),
        ("a*a", "aa", "a"),
        ("\\*", "*", "a"),
        ("\\\\*", "\\a", "a"),
        ("**", "", "\0never"),
        ("a*b*c", "aXbXbXc", "acb"),
    ] {
        let glob = Glob::try_from(text.to_owned()).expect(text);
        assert!(glob.matches(yes.as_bytes()), "{text} {yes}");
        assert!(
            no == "\0never" || !glob.matches(no.as_bytes()),
            "{text} {no}"
        );
        assert_eq!(glob.as_str(), text);
    }
    for text in ["\\", "a\\", "\\a", "*\\n"] {
        assert!(Glob::try_from(text.to_owned()).is_err(), "{text}");
    }
    for prefix in ["a*", "\\", "a\\*b", "*"] {
        let glob = Glob::prefix(prefix);
        assert!(glob.matches(format!("{prefix}x").as_bytes()) && !glob.matches(b"x"));
        assert_eq!(Glob::try_from(glob.as_str().to_owned()), Ok(glob));
    }
}

#[test]
fn what_is_no_statement_is_refused() {
    for statement in [
        json!([]),
        json!(["like"]),
        json!(["like", ".key"]),
        json!(["like", ".key", "a", "b"]),
        json!(["like", ".keys", "a"]),
        json!(["like", ".key", "\\a"]),
        json!(["like", ".key", 1]),
        json!(["==", "key", "a"]),
        json!(["==", ".key", 1]),
        json!(["==", ".key", null]),
        json!(["=", ".key", "a"]),
        json!(["all", ".key", ["==", ".key", "a"]]),
        json!(["not", ["==", ".key", "a"], ["==", ".key", "a"]]),
        json!(["not", [["==", ".key", "a"]]]),
        json!(["and", ["==", ".key", "a"]]),
        json!({ "like": ".key" }),
        json!("like"),
    ] {
        assert!(
            serde_json::from_value::<Policy>(json!([statement])).is_err(),
            "{statement}"
        );
    }
}

/// The code with which a grant of a policy is refused.
fn refusal(policy: Policy) -> Option<&'static str> {
    let signed = Verified::sign(
        &key(0),
        Grant {
            policy,
            ..grant(0, 1, "/")
        },
    );
    match signed {
        Ok(signed) => {
            let again = Signed::<Grant>::decode(signed.bytes().to_vec());
            let again = again.expect("it is read").verify().expect("it is good");
            assert_eq!(again.payload(), signed.payload());
            None
        }
        Err(error) => Some(error.code()),
    }
}

#[test]
fn large_policies_are_refused() {
    let small = || Statement::Like(Selector::Key, Glob::prefix("a"));
    let deep = |count: usize| (1..count).fold(small(), |it, _| Statement::Not(Box::new(it)));
    let long = |bytes: usize| {
        let value = Value::Text("a".repeat(bytes));
        Statement::Compare(Comparison::Equal, Selector::Key, value)
    };
    let glob = |bytes: usize| Statement::Like(Selector::Key, Glob::prefix(&"a".repeat(bytes)));
    for (statements, code) in [
        (vec![small(); 64], None),
        (vec![small(); 65], Some("E_GRANT_POLICY")),
        (vec![Statement::And(vec![small(); 63])], None),
        (
            vec![Statement::Or(vec![small(); 64])],
            Some("E_GRANT_POLICY"),
        ),
        (vec![deep(8)], None),
        (vec![deep(9)], Some("E_GRANT_POLICY")),
        (vec![long(256)], None),
        (vec![long(257)], Some("E_GRANT_POLICY")),
        (vec![glob(255)], None),
        (vec![glob(256)], Some("E_GRANT_POLICY")),
        (vec![Statement::And(Vec::new())], Some("E_GRANT_POLICY")),
        (vec![Statement::Or(Vec::new())], Some("E_GRANT_POLICY")),
        (
            vec![Statement::Not(Box::new(Statement::And(Vec::new())))],
            Some("E_GRANT_POLICY"),
        ),
        (vec![long(200); 32], Some("E_SIZE")),
    ] {
        assert_eq!(refusal(Policy(statements.clone())), code, "{statements:?}");
    }
}

/// Stars as many as a pattern holds, over a key as long as keys are.
#[test]
fn steps_run_out_and_then_it_is_denied() {
    let stars = |count: usize| Glob::try_from("*".repeat(count)).expect("it is a pattern");
    let of = |facts: &Facts, key: &[u8]| {
        let who = Principal::agent(agent(1));
        let verdict = ask(facts, &who, Op::Write, "main", Target::Key(key));
        (verdict.answer, verdict.ground)
    };
    let with = |policy: Policy| {
        let mut facts = Facts::default();
        facts.grants.insert(
            link(1),
            Grant {
                policy,
                ..grant(0, 1, "/space/write")
            },
        );
        facts
    };
    // A statement takes one step, and each star as many as the key has bytes.
    let policy = Policy(vec![Statement::Like(Selector::Key, stars(255))]);
    let longest = (STEPS_MAX - 1) / 255;
    assert_eq!(
        of(&with(policy.clone()), &vec![b'a'; longest]),
        (Answer::Allow, Ground::Grant)
    );
    assert_eq!(
        of(&with(policy.clone()), &vec![b'a'; longest + 1]),
        (Answer::Deny, Ground::Steps)
    );
    // A branch takes as many.
    let of_branch = with(Policy(vec![Statement::Like(Selector::Branch, stars(255))]));
    for (bytes, ground) in [(longest, Ground::Grant), (longest + 1, Ground::Steps)] {
        let (who, branch) = (Principal::agent(agent(1)), "b".repeat(bytes));
        let verdict = ask(&of_branch, &who, Op::Write, &branch, Target::Key(b"a"));
        assert_eq!(verdict.ground, ground, "{bytes}");
    }
    // One that would allow it is not reached behind one that takes all.
    let mut facts = with(Policy(vec![Statement::Not(Box::new(policy.0[0].clone()))]));
    let free = Grant {
        expires: Some(NOW + 1),
        ..grant(0, 1, "/space/write")
    };
    facts.grants.insert(link(2), free);
    assert_eq!(
        of(&facts, &vec![b'a'; longest - 1]),
        (Answer::Allow, Ground::Grant)
    );
    assert_eq!(
        of(&facts, &vec![b'a'; longest + 1]),
        (Answer::Deny, Ground::Steps)
    );
    // And the other way round it is.
    facts.grants.get_mut(&link(1)).expect("1").expires = Some(NOW + 1);
    facts.grants.get_mut(&link(2)).expect("2").expires = None;
    assert_eq!(
        of(&facts, &vec![b'a'; longest + 1]),
        (Answer::Allow, Ground::Grant)
    );
    // Whoever may by rules or as a member is asked for no steps.
    facts
        .members
        .insert(agent(1), vec![allod_access::Member::plain()]);
    facts.grants.remove(&link(2));
    assert_eq!(
        of(&facts, &vec![b'a'; longest + 1]),
        (Answer::Allow, Ground::Member)
    );
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn likes_are_those_of_every_try(text in r"([ab*]|\\\*|\\\\){0,6}", bytes in r"[ab*\\]{0,7}") {
        let glob = Glob::try_from(text.clone()).expect("it is a pattern");
        let every = naive::is_like(text.as_bytes(), bytes.as_bytes());
        prop_assert_eq!(glob.matches(bytes.as_bytes()), every, "{} {}", text, bytes);
    }

    #[test]
    fn any_text_is_a_like_or_refused(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        if let Ok(glob) = Glob::try_from(text.clone()) {
            prop_assert_eq!(glob.matches(&bytes), naive::is_like(text.as_bytes(), &bytes));
            prop_assert_eq!(String::from(glob), text);
        }
    }

    #[test]
    fn policies_say_what_the_second_reading_does(bytes in any::<[u8; 40]>(), key in "[ab:*]{0,3}") {
        let policy = worlds::policy(&mut Dice(&bytes));
        let all = |key: Option<&[u8]>| {
            let mut answers = policy.0.iter().map(|it| naive::says(it, b"main", key));
            let least = if key.is_some() { Some(true) } else { None };
            answers.all(|it| it == Some(true) || it == least)
        };
        let is = |target| says(&policy, target) == Answer::Allow;
        prop_assert_eq!(is(Target::Key(key.as_bytes())), all(Some(key.as_bytes())));
        prop_assert_eq!(is(Target::Branch), all(None));
        let text = serde_json::to_value(&policy);
        let read: Policy = serde_json::from_value(text.expect("it is JSON")).unwrap_or_default();
        // Bytes have no form of their own in JSON.
        let has_bytes = format!("{policy:?}").contains("Bytes(");
        prop_assert_eq!(has_bytes || read == policy, true);
    }
}
