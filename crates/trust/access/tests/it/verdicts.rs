//! What verdicts say, and the decisions that they make.

use allod_access::{Answer, Facts, Grant, Ground, Near, Op, Policy, Principal, Request, Target};
use allod_identity::{Decision, DecisionOutcome, Who};
use serde_json::json;

use crate::chains::grant;
use crate::{NOW, agent, ask, authorizer, link, rule, space};

/// Facts with a rule for keys, which some may read.
fn world(pattern: &str) -> Facts {
    let mut facts = Facts::default();
    for (on, pattern) in [("key", pattern), ("branch", "*")] {
        let allow = json!({ "read": ["reader"], "write": [] });
        rule(
            &mut facts,
            json!({ "on": on, "allow": allow, "deny": {}, "owner": null, "pattern": pattern }),
        );
    }
    facts
}

#[test]
fn a_denial_names_what_would_have_to_allow_it() {
    let mut facts = world("a*");
    facts
        .rules
        .retain(|_, rule| rule.pattern().as_str() == "a*");
    let open = json!({ "on": "branch", "allow": { "read": ["anyone"] }, "deny": {}, "owner": null, "pattern": "*" });
    rule(&mut facts, open);
    let who = Principal::agent(agent(1));
    let of = |op, key| ask(&facts, &who, op, "main", Target::Key(key));
    // Not the rule of the branch, which allows it.
    let verdict = of(Op::Read, b"ab");
    assert_eq!(
        (verdict.ground, verdict.rule.as_deref()),
        (Ground::Nothing, Some("key a*"))
    );
    assert_eq!(
        verdict.words(),
        "the rule \"key a*\" does not allow it, and no grant does"
    );
    let verdict = of(Op::Read, b"b");
    assert_eq!(
        (verdict.ground, verdict.rule.as_deref()),
        (Ground::Nothing, None)
    );
    assert_eq!(verdict.words(), "no rule and no grant allows it");
    // Where only the branch has a rule, it is that.
    let mut facts = world("a*");
    facts.rules.retain(|_, rule| rule.pattern().as_str() == "*");
    let verdict = ask(&facts, &who, Op::Read, "main", Target::Key(b"ab"));
    assert_eq!(
        (verdict.ground, verdict.rule.as_deref()),
        (Ground::Nothing, Some("branch *"))
    );
}

#[test]
fn what_is_nearest_is_what_is_valid_now() {
    let mut facts = Facts::default();
    let who = Principal::agent(agent(1));
    let of = |facts: &Facts| ask(facts, &who, Op::Write, "main", Target::Key(b"b")).near;
    assert_eq!(of(&facts), None);
    let base = || grant(0, 1, "/space/write");
    let ungrant = allod_access::Ungrant {
        at: 0,
        by: agent(0),
        of: link(1),
        reason: None,
    };
    facts.ungrants.push(ungrant);
    for (name, grant, near) in [
        (1, base(), Near::TakenBack(link(1))),
        (
            2,
            Grant {
                expires: Some(NOW),
                ..base()
            },
            Near::Ended(link(2), NOW),
        ),
        (
            3,
            Grant {
                not_before: Some(NOW + 1),
                ..base()
            },
            Near::NotYet(link(3), NOW + 1),
        ),
        (
            4,
            Grant {
                policy: Policy::prefix("a"),
                ..base()
            },
            Near::Elsewhere(link(4)),
        ),
        (5, grant(0, 1, "/space/read"), Near::Elsewhere(link(4))),
    ] {
        facts.grants.insert(link(name), grant);
        assert_eq!(of(&facts), Some(near));
        let words = ask(&facts, &who, Op::Write, "main", Target::Key(b"b")).words();
        assert!(
            words.contains(&format!("; the grant {} ", link(name.min(4)))),
            "{words}"
        );
    }
}

/// Text that turns a terminal, or is longer than a decision has room for.
#[test]
fn decisions_are_made_of_every_verdict() {
    let odd = format!("\u{1b}[2J\u{202e}\n{}*", "a".repeat(200));
    let mut facts = world(&odd);
    facts.grants.insert(
        link(1),
        Grant {
            policy: Policy::prefix("b"),
            ..grant(0, 1, "/")
        },
    );
    let long = [&odd.as_bytes()[..odd.len() - 1], &[0xff; 3_000]].concat();
    for (who, op, target) in [
        (Principal::agent(agent(1)), Op::Read, Target::Key(&long)),
        (Principal::agent(agent(1)), Op::Write, Target::Prefix(&long)),
        (Principal::agent(agent(1)), Op::Read, Target::Branch),
        (Principal::agent(agent(0)), Op::Write, Target::Key(&long)),
        (Principal::agent(agent(1)), Op::Read, Target::Key(b"b")),
        (Principal::stranger(), Op::Admin, Target::Branch),
    ] {
        let request = Request {
            who: &who,
            op,
            branch: "main",
            target,
            at: NOW,
        };
        let verdict = authorizer(&facts).check(&request);
        assert!(
            !verdict
                .words()
                .chars()
                .any(|it| it.is_control() || it == '\u{202e}'),
            "{verdict:?}"
        );
        let decision = verdict.decision("act", &request, space(), NOW);
        let bytes = decision.encode().expect("it has bytes");
        assert_eq!(Decision::decode(&bytes), Ok(decision.clone()));
        let is_allowed = *decision.outcome() == DecisionOutcome::Allow;
        assert_eq!(is_allowed, verdict.answer != Answer::Deny);
        assert!(
            decision
                .rule()
                .expect("it names one")
                .starts_with(verdict.ground.name())
        );
        assert_eq!(
            decision.who(),
            who.agent_id().map(|agent| Who::Agent(*agent)).as_ref()
        );
        let near = usize::from(verdict.near.is_some());
        assert_eq!(decision.evidence().len(), verdict.chain.len() + near);
    }
}
