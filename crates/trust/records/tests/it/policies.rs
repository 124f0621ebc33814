//! Policies beside an evaluation by sets of possible worlds, and what bounds them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_identity::{AgentId, DecisionOutcome, DeviceId, KeyLog, Link, What, Who};
use allod_trust::{
    About, Answer, Attestation, Authors, By, Condition, Counted, Facts, Ground, Level, Moment,
    Outcome, Policy, PolicyError, Predicate, Predicates, RECORDS_OF_SIGNER_MAX, Register, Relation,
    Rule, Signer, Subject, VOUCH, World,
};
use cid::Cid;
use proptest::prelude::*;

use crate::{NOW, agent, cases, said};

const NAMES: [&str; 3] = ["one", "three", "two"];
const OUTCOMES: [Outcome; 3] = [Outcome::Accept, Outcome::Quarantine, Outcome::Refuse];

/// Facts that are drawn: each predicate, each distance, membership and claim by itself.
#[derive(Clone, Debug)]
struct Drawn {
    customs: Vec<Option<bool>>,
    near: Vec<(u8, Level)>,
    members: BTreeSet<u8>,
    claims: Vec<(u8, u8, bool)>,
}

fn number(of: &AgentId) -> u8 {
    (1..8).find(|n| agent(*n) == *of).unwrap()
}

fn answer(is_it: Option<bool>) -> Answer {
    match is_it {
        Some(true) => Answer::Yes(vec![Cid::default()]),
        Some(false) => Answer::No,
        None => Answer::Unknown,
    }
}

/// The number of an agent; nothing is claimed of what is none.
fn number_of(about: &About) -> u8 {
    match about {
        About::Agent(of) => number(of),
        _ => 0,
    }
}

impl Facts for Drawn {
    fn attested(&self, by: &AgentId, about: &About, category: &str, claim: Option<&str>) -> Answer {
        let asked = (number(by), number_of(about), category == "skill");
        answer(Some(claim.is_none() && self.claims.contains(&asked)))
    }

    fn authors<'a>(&'a self, about: &About, category: &str) -> Option<Authors<'a>> {
        let about = number_of(about);
        let those = self.claims.iter().filter(move |(_, of, _)| *of == about);
        let is_skill = category == "skill";
        let by: BTreeSet<u8> = those
            .filter(|(.., it)| *it == is_skill)
            .map(|(by, ..)| *by)
            .collect();
        Some(Box::new(by.into_iter().map(agent)))
    }

    fn related(&self, to: &AgentId, within: u8, least: Level) -> Answer {
        let (far, level) = self.near[usize::from(number(to)) - 1];
        answer(Some(far <= within && level >= least))
    }

    fn member(&self, agent: &AgentId, _circle: &Cid, _role: Option<&str>) -> Answer {
        answer(Some(self.members.contains(&number(agent))))
    }

    fn custom(&self, name: &str, _subject: &Subject) -> Answer {
        let at = NAMES.iter().position(|it| *it == name);
        answer(at.and_then(|at| self.customs[at]))
    }
}

/// Of whom of all agents a condition holds, where `customs` says what each predicate is, and `device` what is unknown of a
/// device.
fn naive(
    it: &Condition,
    facts: &Drawn,
    customs: &BTreeMap<&str, bool>,
    device: bool,
) -> BTreeSet<u8> {
    let everybody: BTreeSet<u8> = (1..5).collect();
    let of = |it: &Condition| naive(it, facts, customs, device);
    let those = |holds: &dyn Fn(u8) -> bool| -> BTreeSet<u8> {
        everybody.iter().copied().filter(|of| holds(*of)).collect()
    };
    match it {
        Condition::Author(agents) => those(&|of| agents.contains(&agent(of))),
        Condition::Device(devices) => those(&|_| device && !devices.is_empty()),
        Condition::Related { within, level } => those(&|of| {
            let (far, is) = facts.near[usize::from(of) - 1];
            far <= *within && is >= level.unwrap_or(Level::Network)
        }),
        Condition::Member { .. } => those(&|of| facts.members.contains(&of)),
        Condition::Custom(name) => those(&|_| customs[name.as_str()]),
        Condition::Attested { category, by, .. } => {
            let by = match by {
                By::Agents(agents) => those(&|of| agents.contains(&agent(of))),
                By::Who(who) => of(who),
            };
            those(&|of| {
                facts.claims.iter().any(|(from, about, is_skill)| {
                    *about == of && *is_skill == (category == "skill") && by.contains(from)
                })
            })
        }
        Condition::All(inner) if inner.is_empty() => BTreeSet::new(),
        Condition::All(inner) => inner.iter().fold(everybody, |all, it| &all & &of(it)),
        Condition::Any(inner) => inner.iter().fold(BTreeSet::new(), |any, it| &any | &of(it)),
        Condition::Not(inner) => &everybody - &of(inner),
        other => unreachable!("{other:?}"),
    }
}

/// All outcomes that there are if what cannot be told is one or the other.
fn possible(policy: &Policy, facts: &Drawn, author: u8) -> BTreeSet<u8> {
    let mut found = BTreeSet::new();
    for world in 0..16u8 {
        let customs = NAMES.iter().enumerate().map(|(at, name)| {
            let guess = world >> at & 1 == 1;
            (*name, facts.customs[at].unwrap_or(guess))
        });
        let customs = customs.collect();
        let device = world >> 3 == 1;
        let rule = policy
            .rules()
            .iter()
            .find(|rule| naive(&rule.when, facts, &customs, device).contains(&author));
        let outcome = rule.map_or(policy.otherwise(), |rule| rule.then);
        found.insert(outcome as u8);
    }
    found
}

fn condition() -> impl Strategy<Value = Condition> {
    let who = 1..5u8;
    let agents = prop::collection::vec(who.clone().prop_map(agent), 0..3);
    let leaf = prop_oneof![
        3 => agents.clone().prop_map(Condition::Author),
        1 => Just(Condition::Device(vec![DeviceId::from(*agent(9).key())])),
        2 => (1..5u8, prop::option::of(0..5usize)).prop_map(|(within, level)| {
            let level = level.map(|level| Level::ALL[level]);
            Condition::Related { within, level }
        }),
        1 => Just(Condition::Member { circle: Link::from(Cid::default()), role: None }),
        3 => (0..3usize).prop_map(|at| Condition::Custom(NAMES[at].to_owned())),
        2 => (any::<bool>(), agents).prop_map(|(is_skill, agents)| Condition::Attested {
            category: if is_skill { "skill" } else { "role" }.to_owned(),
            claim: None,
            by: By::Agents(agents),
        }),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            some.clone().prop_map(Condition::All),
            some.prop_map(Condition::Any),
            inner.clone().prop_map(|it| Condition::Not(Box::new(it))),
            inner.prop_map(|it| Condition::Attested {
                category: "skill".to_owned(),
                claim: None,
                by: By::Who(Box::new(it)),
            }),
        ]
    })
}

fn policy() -> impl Strategy<Value = Result<Policy, PolicyError>> {
    let rule = (condition(), 0..3usize).prop_map(|(when, then)| Rule {
        when,
        then: OUTCOMES[then],
        because: "so it is".to_owned(),
    });
    (prop::collection::vec(rule, 0..4), 0..3usize)
        .prop_map(|(rules, otherwise)| Policy::new(rules, OUTCOMES[otherwise]))
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let near = (1..6u8, (0..5usize).prop_map(|level| Level::ALL[level]));
    (
        prop::collection::vec(prop::option::of(any::<bool>()), 3),
        prop::collection::vec(near, 4),
        prop::collection::btree_set(1..5u8, 0..4),
        prop::collection::vec((1..5u8, 1..5u8, any::<bool>()), 0..6),
    )
        .prop_map(|(customs, near, members, claims)| Drawn {
            customs,
            near,
            members,
            claims,
        })
}

proptest! {
    #![proptest_config(cases(512))]

    /// Where all that is unknown gives one outcome, another than that one is given by caution alone; where it gives
    /// several, or nothing is sure, it is quarantine. And a sure outcome is right in every world.
    #[test]
    fn an_outcome_is_one_of_every_world(
        policy in policy(), facts in drawn(), author in 1..5u8,
    ) {
        let Ok(policy) = policy else { return Ok(()) };
        let subject = Subject { author: agent(author), device: Signer::Unknown };
        let verdict = policy.evaluate(&subject, &facts);
        let possible = possible(&policy, &facts, author);
        match verdict.ground {
            Ground::Rule(_) | Ground::Otherwise => {
                prop_assert_eq!(possible, BTreeSet::from([verdict.outcome as u8]));
            }
            Ground::Unsure(_) => prop_assert_eq!(verdict.outcome, Outcome::Quarantine),
            other => prop_assert!(false, "{:?}", other),
        }
        if facts.customs.iter().all(Option::is_some) && !format!("{policy:?}").contains("Device") {
            prop_assert!(!matches!(verdict.ground, Ground::Unsure(_)), "all can be told");
        }
        prop_assert!(verdict.evidence.len() <= 32);
    }

    #[test]
    fn a_policy_is_read_as_it_was_written(policy in policy()) {
        let Ok(policy) = policy else { return Ok(()) };
        let bytes = policy.encode().unwrap();
        prop_assert_eq!(Policy::decode(&bytes), Ok(policy.clone()));
        let text = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }

    #[test]
    fn nobody_is_nobody(policy in policy(), author in 1..5u8) {
        // A rule of an empty list, of any kind, changes nothing.
        let Ok(policy) = policy else { return Ok(()) };
        let facts = Drawn {
            customs: vec![Some(true); 3],
            near: vec![(1, Level::Family); 4],
            members: (1..5).collect(),
            claims: vec![(1, author, true)],
        };
        let subject = Subject { author: agent(author), device: Signer::Agent };
        let before = policy.evaluate(&subject, &facts);
        let by = By::Agents(Vec::new());
        let attested = Condition::Attested { category: "skill".to_owned(), claim: None, by };
        for when in [
            Condition::Author(vec![]), Condition::Device(vec![]), Condition::All(vec![]),
            Condition::Any(vec![]), attested,
        ] {
            let empty = Rule { when, then: Outcome::Accept, because: "nobody".to_owned() };
            let mut rules = vec![empty.clone()];
            rules.extend(policy.rules().iter().cloned());
            let after = Policy::new(rules, policy.otherwise()).unwrap().evaluate(&subject, &facts);
            prop_assert_eq!((after.outcome, &after.evidence), (before.outcome, &before.evidence));
            let not = Condition::Not(Box::new(Condition::Any(vec![empty.when])));
            let rules = vec![Rule { when: not, ..empty }];
            prop_assert_eq!(Policy::new(rules, Outcome::Refuse), Err(PolicyError::NotNobody));
        }
    }
}

/// A predicate that holds for some agents, and cannot be told of others.
struct Known(BTreeSet<AgentId>);

impl Predicate for Known {
    fn holds(&self, subject: &Subject) -> Answer {
        if self.0.contains(&subject.author) {
            Answer::Yes(Vec::new())
        } else {
            Answer::Unknown
        }
    }
}

#[test]
fn a_verdict_says_why() {
    let vouch = |by: u8, about: u8| {
        said(
            by,
            Attestation {
                by: agent(by),
                about: About::Agent(agent(about)),
                category: VOUCH.to_owned(),
                claim: "a good neighbour".to_owned(),
                evidence: Vec::new(),
                from: NOW,
                until: Some(NOW + 10),
                at: NOW,
            },
        )
    };
    let mut register = Register::new();
    let (first, second) = (vouch(1, 2), vouch(2, 3));
    register.add(first.clone()).unwrap();
    register.add(second.clone()).unwrap();
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    let counted = Arc::new(Counted::new(&register, &logs));
    let mut predicates = Predicates::new();
    let known = Known(BTreeSet::from([agent(4)]));
    predicates.insert("known".to_owned(), Box::new(known));
    let rules = r#"{ "rules": [
        { "when": { "related": { "within": 2 } }, "then": "accept", "because": "somebody vouches" },
        { "when": { "custom": "known" }, "then": "refuse", "because": "known" }
    ], "otherwise": "accept" }"#;
    let policy: Policy = serde_json::from_str(rules).unwrap();
    let verdict = |of: u8, now: u64| {
        let moment = Moment::new(Arc::clone(&counted), now);
        assert!(moment.holds_at(now) && !moment.holds_at(now - 1));
        assert_eq!(moment.holds_at(NOW + 10), now >= NOW + 10);
        let world = World::new(&moment, agent(1), &predicates);
        let subject = Subject {
            author: agent(of),
            device: Signer::Agent,
        };
        policy.evaluate(&subject, &world)
    };
    let near = verdict(3, NOW);
    assert_eq!(
        (near.outcome, near.ground),
        (Outcome::Accept, Ground::Rule(0))
    );
    assert_eq!(near.evidence, [*first.cid(), *second.cid()]);
    let decision = near.decision(NOW, agent(3), What::new("commit").on("photos"));
    assert_eq!(*decision.outcome(), DecisionOutcome::Accept);
    assert_eq!(decision.rule(), Some("trust, rule 1"));
    assert_eq!(decision.words(), "somebody vouches");
    assert_eq!(decision.who(), Some(&Who::Agent(agent(3))));
    let evidence = decision.evidence().iter().map(|link| *link.cid());
    assert_eq!(evidence.collect::<Vec<_>>(), near.evidence);

    let known = verdict(4, NOW);
    assert_eq!(
        (known.outcome, known.ground),
        (Outcome::Refuse, Ground::Rule(1))
    );
    // What a predicate cannot tell is never taken, and neither is what was vouched for once.
    let ended = verdict(3, NOW + 10);
    assert_eq!(
        (ended.outcome, ended.ground),
        (Outcome::Quarantine, Ground::Unsure(1))
    );
    assert_eq!(ended.words, "whether rule 2 holds cannot be told");
}

/// A claim of category `skill` about the agent of key 1, with a text of its own.
fn skill(by: u8, number: u64) -> Attestation {
    Attestation {
        by: agent(by),
        about: About::Agent(agent(1)),
        category: "skill".to_owned(),
        claim: format!("number {number}"),
        evidence: Vec::new(),
        from: NOW,
        until: None,
        at: NOW,
    }
}

/// A policy that refuses for a claim of this category, and else accepts.
fn refusing(claim: Option<&str>, by: By) -> Policy {
    let rule = Rule {
        when: Condition::Attested {
            category: "skill".to_owned(),
            claim: claim.map(ToOwned::to_owned),
            by,
        },
        then: Outcome::Refuse,
        because: "so it is".to_owned(),
    };
    Policy::new(vec![rule], Outcome::Accept).unwrap()
}

/// TRUST-44: nobody who writes a policy makes a node think for long.
#[test]
fn steps_run_out_without_an_acceptance() {
    let subject = Subject {
        author: agent(1),
        device: Signer::Agent,
    };
    // Claims whose authors are asked about claims, and so on, take no longer than others.
    let loops = Drawn {
        customs: vec![Some(true); 3],
        near: vec![(1, Level::Family); 4],
        members: BTreeSet::new(),
        claims: (1..5)
            .flat_map(|one| (1..5).map(move |two| (one, two, true)))
            .collect(),
    };
    let verdict = |end: u8| {
        let mut who = Condition::Author(vec![agent(end)]);
        for _ in 0..14 {
            who = Condition::Attested {
                category: "skill".to_owned(),
                claim: None,
                by: By::Who(Box::new(who)),
            };
        }
        let verdict = refusing(None, By::Who(Box::new(who))).evaluate(&subject, &loops);
        (verdict.outcome, verdict.ground)
    };
    assert_eq!(verdict(3), (Outcome::Refuse, Ground::Rule(0)));
    assert_eq!(verdict(5), (Outcome::Quarantine, Ground::Exhausted));
}

/// TRUST-44: as many claims as one key may make hide nobody else's, and keep nobody out, whoever is asked for.
#[test]
fn what_strangers_claim_decides_nothing() {
    let mut register = Register::new();
    for number in 0..RECORDS_OF_SIGNER_MAX as u64 {
        register.add(said(9, skill(9, number))).unwrap();
    }
    let friend = |of: u8, with: u8| {
        said(
            of,
            Relation {
                by: agent(of),
                with: agent(with),
                kind: "friend".to_owned(),
                level: Level::Family,
                from: NOW,
                until: None,
                at: NOW,
            },
        )
    };
    register.add(friend(2, 3)).unwrap();
    register.add(friend(3, 2)).unwrap();
    let predicates = Predicates::new();
    let near = || {
        let (within, level) = (1, None);
        By::Who(Box::new(Condition::Related { within, level }))
    };
    let outcome = |register: &Register, claim: Option<&str>, by: By| {
        let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
        let counted = Arc::new(Counted::new(register, &logs));
        let moment = Moment::new(counted, NOW);
        let world = World::new(&moment, agent(2), &predicates);
        let subject = Subject {
            author: agent(1),
            device: Signer::Agent,
        };
        let verdict = refusing(claim, by).evaluate(&subject, &world);
        (verdict.outcome, verdict.evidence)
    };
    let named = || By::Agents(vec![agent(4), agent(3)]);
    for claim in [None, Some("number 7")] {
        assert_eq!(outcome(&register, claim, near()).0, Outcome::Accept);
        assert_eq!(outcome(&register, claim, named()).0, Outcome::Accept);
    }
    // Of somebody who claims several things it is the first by its text.
    let claims = [7, 70, 8].map(|number| said(3, skill(3, number)));
    for claim in &claims {
        register.add(claim.clone()).unwrap();
    }
    for claim in [None, Some("number 7")] {
        let refused = (Outcome::Refuse, vec![*claims[0].cid()]);
        assert_eq!(outcome(&register, claim, named()), refused);
        let (outcome, evidence) = outcome(&register, claim, near());
        assert_eq!((outcome, evidence[0]), (Outcome::Refuse, *claims[0].cid()));
        assert_eq!(evidence.len(), 3, "and why its author is near");
    }
    let other = Some("number 9");
    assert_eq!(outcome(&register, other, named()).0, Outcome::Accept);
}
