//! The authorizer against the second reading, and what holds whatever the facts are.

use std::cell::RefCell;
use std::collections::BTreeMap;

use allod_access::{Answer, Authorizer, Facts, Ground, Op, Principal, Request, Target};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq};
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::naive::{Ask, Who, World};
use crate::worlds::{self, BRANCHES, Dice};
use crate::{agent, authorizer, cases, space};

/// Requests of a world.
const ASKED: usize = 60;

/// Runs a property over worlds from bytes.
fn worlds(count: u32, property: impl Fn(&mut Dice<'_>) -> Result<(), TestCaseError>) {
    let bytes = vec(any::<u8>(), 0..700);
    let run = TestRunner::new(cases(count)).run(&bytes, |bytes| property(&mut Dice(&bytes)));
    run.expect("the property holds");
}

fn principal(who: &Who) -> Principal {
    match (&who.token, who.agent) {
        (Some(token), _) => Principal::bearer(token),
        (None, Some(agent)) => Principal::agent(agent),
        (None, None) => Principal::stranger(),
    }
}

/// Requests over the small alphabets: who, what, on which branch, and of which key.
struct Asked {
    who: Who,
    op: Op,
    branch: &'static str,
    key: Option<Vec<u8>>,
    at: u64,
}

impl Asked {
    fn pick(dice: &mut Dice<'_>, all: &[Vec<u8>], place: usize, who: &Who) -> Self {
        // Bytes of the dice are few: what is asked goes through all in another order each time.
        let turn = dice.pick(256) + place * 37;
        Self {
            who: who.clone(),
            op: Op::ALL[turn % 9],
            branch: BRANCHES[(turn / 3) % 7],
            key: (!turn.is_multiple_of(5)).then(|| all[(turn * 31 + place) % all.len()].clone()),
            at: (turn / 7 % 5) as u64,
        }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            who: &self.who,
            op: self.op,
            branch: self.branch,
            key: self.key.as_deref(),
            at: self.at,
        }
    }

    fn request<'a>(&'a self, who: &'a Principal) -> Request<'a> {
        Request {
            who,
            op: self.op,
            branch: self.branch,
            target: self.key.as_deref().map_or(Target::Branch, Target::Key),
            at: self.at,
        }
    }

    fn check(&self, authorizer: &Authorizer) -> Answer {
        authorizer
            .check(&self.request(&principal(&self.who)))
            .answer
    }
}

#[test]
fn every_answer_is_that_of_the_second_reading() {
    let seen: RefCell<BTreeMap<String, usize>> = RefCell::default();
    let keys = worlds::keys();
    worlds(3_000, |dice| {
        let facts = worlds::facts(dice);
        let people: Vec<Who> = (0..4).map(|_| worlds::who(dice)).collect();
        let world = World::new(agent(0), space(), &facts);
        let authorizer = authorizer(&facts);
        for place in 0..ASKED {
            let asked = Asked::pick(dice, &keys, place, &people[place % people.len()]);
            let who = principal(&asked.who);
            let verdict = authorizer.check(&asked.request(&who));
            let expected = world.answer(&asked.ask());
            prop_assert_eq!(
                (verdict.answer, verdict.ground),
                expected,
                "{:?} {:?}\n{:#?}",
                &asked.ask(),
                &verdict,
                &facts
            );
            // A chain that is named is one of whoever asks, and begins with what the owner gave.
            if verdict.ground == Ground::Grant {
                let first = &facts.grants[&verdict.chain[0]];
                let last = &facts.grants[&verdict.chain[verdict.chain.len() - 1]];
                prop_assert_eq!(Some(first.audience), asked.who.agent);
                prop_assert_eq!((last.issuer, last.proof), (agent(0), None));
            }
            let answer = format!("{:?} {}", verdict.answer, verdict.ground.name());
            *seen.borrow_mut().entry(answer).or_default() += 1;
        }
        Ok(())
    });
    // Each way to decide was gone often, so that agreement on it means something.
    let seen = seen.into_inner();
    for way in [
        "Allow grant",
        "Allow known",
        "Allow member",
        "Allow owner",
        "Allow rule",
        "Deny denied",
        "Deny nobody",
        "Deny nothing",
        "Deny token",
    ] {
        assert!(seen.get(way).is_some_and(|count| *count > 100), "{seen:?}");
    }
    assert!(seen.values().sum::<usize>() >= 3_000 * ASKED, "{seen:?}");
}

#[test]
fn all_keys_together_are_allowed_if_each_is() {
    let keys = worlds::keys();
    let seen: RefCell<BTreeMap<&str, usize>> = RefCell::default();
    worlds(3_000, |dice| {
        let facts = worlds::facts(dice);
        let authorizer = authorizer(&facts);
        for place in 0..6 {
            let someone = worlds::who(dice);
            let asked = Asked::pick(dice, &keys, place, &someone);
            let op = [Op::Read, Op::Write, Op::Delete][place % 3];
            let who = principal(&asked.who);
            let mut prefix = asked.key.clone().unwrap_or_default();
            prefix.truncate(place % 3);
            let ask = |target: Target<'_>| {
                let request = Request {
                    op,
                    target,
                    ..asked.request(&who)
                };
                authorizer.check(&request).answer
            };
            let together = ask(Target::Prefix(&prefix));
            // Keys beyond the longest of the alphabet as well, for the longest prefixes.
            let longer = keys.iter().map(|key| [&*prefix, key].concat());
            let mut answers = longer.map(|key| ask(Target::Key(&key)));
            let name = match together {
                Answer::Allow => {
                    prop_assert!(
                        answers.all(|it| it == Answer::Allow),
                        "{:?} {:?}",
                        prefix,
                        facts
                    );
                    "allow"
                }
                Answer::Deny => {
                    prop_assert!(
                        answers.all(|it| it == Answer::Deny),
                        "{:?} {:?}",
                        prefix,
                        facts
                    );
                    "deny"
                }
                Answer::Partly => "partly",
            };
            *seen.borrow_mut().entry(name).or_default() += 1;
        }
        Ok(())
    });
    let seen = seen.into_inner();
    assert!(
        ["allow", "deny", "partly"]
            .iter()
            .all(|it| seen.get(it).is_some_and(|it| *it > 200)),
        "{seen:?}"
    );
}

/// Adds something that takes away: an `ungrant`, a denial, or one more version of a rule or a member that there is.
fn restrict(dice: &mut Dice<'_>, facts: &mut Facts) {
    let rules: Vec<_> = facts.rules.values().cloned().collect();
    let members: Vec<_> = facts.members.keys().copied().collect();
    match dice.pick(3) {
        0 => {
            let ungrant = worlds::ungrant(dice, facts.grants.len());
            facts.ungrants.push(ungrant);
        }
        1 if !rules.is_empty() => {
            let of = &rules[dice.pick(rules.len())];
            let version = worlds::rule(dice, of.on(), of.pattern().clone());
            facts.rules.insert("again".to_owned(), version);
        }
        _ if !members.is_empty() => {
            let versions = facts.members.get_mut(&members[dice.pick(members.len())]);
            versions.expect("it is there").push(worlds::member(dice));
        }
        _ => {}
    }
}

#[test]
fn nothing_that_takes_away_gives() {
    let keys = worlds::keys();
    let closed = RefCell::new(0);
    worlds(3_000, |dice| {
        let mut facts = worlds::facts(dice);
        let people: Vec<Who> = (0..4).map(|_| worlds::who(dice)).collect();
        // Whoever is no admin any more is not denied what admins are.
        let denies_admins = |facts: &Facts| {
            let lists = facts.rules.values().flat_map(|rule| rule.deny().values());
            lists.flatten().any(|role| role == "admin")
        };
        let before = authorizer(&facts);
        restrict(dice, &mut facts);
        if denies_admins(&facts) {
            return Ok(());
        }
        let after = authorizer(&facts);
        for place in 0..30 {
            let asked = Asked::pick(dice, &keys, place, &people[place % people.len()]);
            let answers = (asked.check(&before), asked.check(&after));
            prop_assert!(
                answers != (Answer::Deny, Answer::Allow),
                "{:?} {:#?}",
                asked.ask(),
                facts
            );
            *closed.borrow_mut() += usize::from(answers == (Answer::Allow, Answer::Deny));
        }
        Ok(())
    });
    assert!(closed.into_inner() > 100);
}
