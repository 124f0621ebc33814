//! Small worlds from bytes: few names and letters, so that things meet.

use std::collections::{BTreeMap, BTreeSet};

use allod_access::{
    Command, Comparison, Draft, Facts, Glob, Grant, Member, On, Op, Pattern, Policy, Roles, Rule,
    Selector, Statement, Token, Ungrant, Value,
};
use allod_identity::AgentId;
use cid::Cid;

use crate::naive::Who;
use crate::{agent, key, link, space};

/// Choices from bytes: the first of all when there are no more.
pub(crate) struct Dice<'a>(pub(crate) &'a [u8]);

impl Dice<'_> {
    pub(crate) fn pick(&mut self, of: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % of
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.pick(of.len())]
    }

    /// Whether one of so many.
    pub(crate) fn is_one_in(&mut self, of: usize) -> bool {
        self.pick(of) == 1
    }

    pub(crate) fn agent(&mut self) -> AgentId {
        agent(u8::try_from(self.pick(4)).expect("it is small"))
    }

    fn roles(&mut self, of: &[&str]) -> Vec<String> {
        let count = self.pick(3);
        let roles: BTreeSet<&str> = (0..count).map(|_| self.one(of)).collect();
        roles.into_iter().map(ToOwned::to_owned).collect()
    }
}

/// All keys of up to three letters.
pub(crate) fn keys() -> Vec<Vec<u8>> {
    let mut keys = vec![Vec::new()];
    let mut longest = keys.clone();
    for _ in 0..3 {
        let longer = longest
            .iter()
            .flat_map(|it: &Vec<u8>| b"ab:/".iter().map(|letter| [&**it, &[*letter]].concat()));
        longest = longer.collect();
        keys.extend(longest.iter().cloned());
    }
    keys
}

pub(crate) const BRANCHES: [&str; 7] = ["main", "meta", "a", "b", "a/b", "b/a", "a:b"];

const NAMED: [&str; 6] = ["r", "s", "member", "admin", "owner", "anyone"];

/// What a token or a grant is for.
const COMMANDS: [&str; 14] = [
    "/",
    "/space",
    "/space/read",
    "/space/write",
    "/space/delete",
    "/space/admin",
    "/branch",
    "/branch/create",
    "/branch/merge",
    "/pin",
    "/events",
    "/events/read",
    "/spa",
    "/space/read/more",
];

fn pattern(dice: &mut Dice<'_>) -> Pattern {
    let mut text = String::new();
    for _ in 0..dice.pick(5) {
        text += dice.one(&["a", "b", ":", "/", "{x}", "{y}", "{x}:", "{y}/", "main"]);
    }
    if dice.is_one_in(2) {
        text += "*";
    }
    text.parse()
        .unwrap_or_else(|_| "*".parse().expect("it is a pattern"))
}

fn operations(on: On) -> &'static [Op] {
    match on {
        On::Key => &[Op::Read, Op::Write, Op::Delete],
        On::Branch => &[Op::Read, Op::Write, Op::Create, Op::Merge, Op::Drop],
    }
}

pub(crate) fn rule(dice: &mut Dice<'_>, on: On, pattern: Pattern) -> Rule {
    let (mut allow, mut deny) = (Roles::new(), Roles::new());
    for op in operations(on) {
        if dice.is_one_in(3) {
            allow.insert(*op, dice.roles(&NAMED));
        }
        let denied = if dice.is_one_in(12) {
            dice.roles(&NAMED)
        } else {
            Vec::new()
        };
        if !denied.is_empty() {
            deny.insert(*op, denied);
        }
    }
    let did = agent(2).to_string();
    let short = did.strip_prefix("did:key:").expect("it is a did:key");
    let owner = dice.one(&[
        None,
        None,
        None,
        Some("{x}"),
        Some("a"),
        Some(&*did),
        Some(short),
    ]);
    let owner = owner.filter(|it| *it != "{x}" || pattern.as_str().contains("{x}"));
    let draft = Draft {
        on,
        allow,
        deny,
        owner: owner.map(ToOwned::to_owned),
        pattern,
    };
    draft.try_into().expect("it is a rule")
}

pub(crate) fn member(dice: &mut Dice<'_>) -> Member {
    let name = dice.one(&[None, Some("a"), Some("b")]);
    let roles = dice.roles(&["r", "s", "member", "member"]);
    Member::new(name.map(ToOwned::to_owned), roles).expect("it is a member")
}

fn statement(dice: &mut Dice<'_>, depth: usize) -> Statement {
    let selector = dice.one(&[Selector::Key, Selector::Key, Selector::Branch]);
    let kinds = if depth == 0 { 5 } else { 2 };
    match dice.pick(kinds) {
        0 => {
            let texts = [
                "a*", "*", "b:*", "*b", "a*b", "*:*", "a", "main", "**a*", "\\*",
            ];
            let glob = Glob::try_from(dice.one(&texts).to_owned());
            Statement::Like(selector, glob.expect("it is a pattern"))
        }
        1 => {
            let how = dice.one(&[
                Comparison::Equal,
                Comparison::NotEqual,
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Greater,
                Comparison::GreaterOrEqual,
            ]);
            let value = dice.one(&["a", "b", "a:", "ab", "main", ""]);
            let value = if dice.is_one_in(2) {
                Value::Text(value.to_owned())
            } else {
                Value::Bytes(value.as_bytes().to_vec())
            };
            Statement::Compare(how, selector, value)
        }
        2 => Statement::Not(Box::new(statement(dice, depth + 1))),
        kind => {
            let inner = (0..=dice.pick(2))
                .map(|_| statement(dice, depth + 1))
                .collect();
            if kind == 3 {
                Statement::And(inner)
            } else {
                Statement::Or(inner)
            }
        }
    }
}

pub(crate) fn policy(dice: &mut Dice<'_>) -> Policy {
    let count = dice.one(&[0, 0, 1, 2]);
    Policy((0..count).map(|_| statement(dice, 0)).collect())
}

fn grant(dice: &mut Dice<'_>, known: &BTreeMap<Cid, Grant>) -> Grant {
    let earlier = match dice.pick(8) {
        0..4 => None,
        4 => Some(link(200)),
        _ => known.keys().nth(dice.pick(known.len().max(1))).copied(),
    };
    let before = earlier.and_then(|it| known.get(&it));
    let issuer = match before {
        Some(before) if !dice.is_one_in(8) => before.audience,
        None if !dice.is_one_in(8) => agent(0),
        _ => dice.agent(),
    };
    let command = match before {
        Some(before) if dice.is_one_in(2) => before.command.clone(),
        _ => dice.one(&COMMANDS).parse().expect("it is a command"),
    };
    Grant {
        issuer,
        audience: dice.agent(),
        space: if dice.is_one_in(24) {
            link(254)
        } else {
            space()
        },
        command,
        policy: policy(dice),
        proof: earlier,
        not_before: dice.one(&[None, None, None, Some(1), Some(3)]),
        expires: dice.one(&[None, None, None, Some(2), Some(4)]),
        nonce: [0; 16],
    }
}

pub(crate) fn ungrant(dice: &mut Dice<'_>, grants: usize) -> Ungrant {
    Ungrant {
        at: 0,
        by: dice.agent(),
        of: link(u8::try_from(dice.pick(grants.max(1))).expect("it is small")),
        reason: None,
    }
}

pub(crate) fn facts(dice: &mut Dice<'_>) -> Facts {
    let mut facts = Facts::default();
    for name in 0..dice.pick(7) {
        let on = dice.one(&[On::Key, On::Branch]);
        let known: Vec<&Rule> = facts.rules.values().collect();
        let again = !known.is_empty() && dice.is_one_in(3);
        let (on, pattern) = if again {
            let of = known[dice.pick(known.len())];
            (of.on(), of.pattern().clone())
        } else {
            (on, pattern(dice))
        };
        let rule = if dice.is_one_in(8) {
            Rule::removed(on, pattern)
        } else {
            rule(dice, on, pattern)
        };
        facts.rules.insert(name.to_string(), rule);
    }
    for who in 0..4 {
        let versions = dice.one(&[0, 1, 1, 2]);
        let versions: Vec<Member> = (0..versions).map(|_| member(dice)).collect();
        if !versions.is_empty() {
            facts.members.insert(agent(who), versions);
        }
    }
    let grants = dice.pick(7);
    for name in 0..grants {
        let grant = grant(dice, &facts.grants);
        let name = u8::try_from(name).expect("it is small");
        facts.grants.insert(link(name), grant);
    }
    for _ in 0..dice.one(&[0, 0, 1, 2]) {
        facts.ungrants.push(ungrant(dice, grants));
    }
    facts
}

pub(crate) fn who(dice: &mut Dice<'_>) -> Who {
    let is_token = dice.is_one_in(3);
    if !is_token {
        let agent = dice.agent();
        let agent = (!dice.is_one_in(8)).then_some(agent);
        return Who { agent, token: None };
    }
    let user = [dice.agent().to_string(), "a".to_owned(), "b".to_owned()];
    let user = user[dice.pick(3)].clone();
    let can: BTreeSet<Command> = (0..3)
        .map(|_| dice.one(&COMMANDS).parse().expect("it is a command"))
        .collect();
    let device = key(9).device_id();
    let token = Token {
        aud: device,
        user,
        roles: dice.roles(&["r", "s", "member", "admin", "owner"]),
        can: can.into_iter().collect(),
        space: dice.one(&[None, None, Some(space()), Some(link(254))]),
        began: 0,
        at: 0,
        exp: 1,
        nonce: [0; 16],
    };
    Who {
        agent: token.user.parse().ok(),
        token: Some(token),
    }
}
