//! A second reading of the page, by loops over everything: what the oracle of the authorizer is asked.

use std::collections::{BTreeMap, BTreeSet};

use allod_access::{
    Answer, Comparison, Facts, Grant, Ground, Member, On, Op, Rule, Selector, Statement, Token,
};
use allod_identity::AgentId;
use cid::Cid;

/// Who asks: an agent, a bearer of a token, or neither.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) agent: Option<AgentId>,
    pub(crate) token: Option<Token>,
}

/// What is asked; no key asks for the branch as such.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) who: &'a Who,
    pub(crate) op: Op,
    pub(crate) branch: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) at: u64,
}

/// The table of operations.
fn command(op: Op) -> &'static str {
    match op {
        Op::Read => "/space/read",
        Op::Write => "/space/write",
        Op::Delete => "/space/delete",
        Op::Create => "/branch/create",
        Op::Merge => "/branch/merge",
        Op::Drop => "/branch/delete",
        Op::Admin => "/space/admin",
        Op::Pin => "/pin",
        Op::Events => "/events/read",
    }
}

/// ACCESS-1.
fn covers(outer: &str, inner: &str) -> bool {
    outer == "/" || outer == inner || inner.starts_with(&format!("{outer}/"))
}

// --- Patterns ---------------------------------------------------------------------------------

/// A token of a pattern of a rule.
enum Piece<'a> {
    Byte(u8),
    Capture(&'a str),
    Star,
}

fn pieces(pattern: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        if pattern.as_bytes()[at] == b'{' {
            let end = at + pattern[at..].find('}').expect("a capture ends");
            found.push(Piece::Capture(&pattern[at + 1..end]));
            at = end + 1;
            continue;
        }
        let byte = pattern.as_bytes()[at];
        at += 1;
        found.push(if byte == b'*' && at == pattern.len() {
            Piece::Star
        } else {
            Piece::Byte(byte)
        });
    }
    found
}

type Bound = BTreeMap<String, Vec<u8>>;

/// All ways in which a pattern matches (ACCESS-10), by trying every length of a capture.
pub(crate) fn ways(pattern: &str, subject: &[u8]) -> Vec<Bound> {
    fn go(pieces: &[Piece<'_>], subject: &[u8], bound: &Bound, found: &mut Vec<Bound>) {
        let Some((first, rest)) = pieces.split_first() else {
            if subject.is_empty() {
                found.push(bound.clone());
            }
            return;
        };
        match first {
            Piece::Byte(byte) => {
                if subject.first() == Some(byte) {
                    go(rest, &subject[1..], bound, found);
                }
            }
            Piece::Star => found.push(bound.clone()),
            Piece::Capture(name) => {
                for length in 1..=subject.len() {
                    let (value, after) = subject.split_at(length);
                    let is_good = !value.contains(&b':') && !value.contains(&b'/');
                    if is_good && bound.get(*name).is_none_or(|it| it == value) {
                        let mut bound = bound.clone();
                        bound.insert((*name).to_owned(), value.to_vec());
                        go(rest, after, &bound, found);
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    go(&pieces(pattern), subject, &Bound::new(), &mut found);
    found
}

/// The greater, the more specific (ACCESS-11).
fn rank(pattern: &str) -> (i64, i64, i64) {
    let (mut literal, mut open, mut captures) = (0, 0, 0);
    for piece in pieces(pattern) {
        match piece {
            Piece::Byte(_) => literal += 1,
            Piece::Capture(_) => captures += 1,
            Piece::Star => open += 1,
        }
    }
    (literal, -open, -captures)
}

/// Whether bytes have the form of a `like` (ACCESS-4), by trying every length of a star.
pub(crate) fn is_like(pattern: &[u8], bytes: &[u8]) -> bool {
    match pattern {
        [] => bytes.is_empty(),
        [b'*', rest @ ..] => (0..=bytes.len()).any(|length| is_like(rest, &bytes[length..])),
        [b'\\', meant, rest @ ..] | [meant, rest @ ..] => {
            bytes.first() == Some(meant) && is_like(rest, &bytes[1..])
        }
    }
}

// --- Policies ---------------------------------------------------------------------------------

/// What a statement says; nothing if it is open (ACCESS-4).
pub(crate) fn says(statement: &Statement, branch: &[u8], key: Option<&[u8]>) -> Option<bool> {
    let of = |selector: &Selector| match selector {
        Selector::Branch => Some(branch),
        Selector::Key => key,
    };
    match statement {
        Statement::Compare(how, selector, value) => {
            let (left, right) = (of(selector)?, value.as_bytes());
            Some(match how {
                Comparison::Equal => left == right,
                Comparison::NotEqual => left != right,
                Comparison::Less => left < right,
                Comparison::LessOrEqual => left <= right,
                Comparison::Greater => left > right,
                Comparison::GreaterOrEqual => left >= right,
            })
        }
        Statement::Like(selector, glob) => {
            of(selector).map(|bytes| is_like(glob.as_str().as_bytes(), bytes))
        }
        Statement::Not(inner) => says(inner, branch, key).map(|it| !it),
        Statement::And(inner) => all(inner.iter().map(|it| says(it, branch, key))),
        Statement::Or(inner) => {
            all(inner.iter().map(|it| says(it, branch, key).map(|it| !it))).map(|it| !it)
        }
        other => unreachable!("{other:?}"),
    }
}

fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let answers: Vec<Option<bool>> = answers.collect();
    if answers.contains(&Some(false)) {
        return Some(false);
    }
    (!answers.contains(&None)).then_some(true)
}

// --- Worlds -----------------------------------------------------------------------------------

/// Facts about a space, with all chains that there are, whether they hold or not.
pub(crate) struct World<'a> {
    owner: AgentId,
    space: Cid,
    facts: &'a Facts,
    chains: Vec<Vec<(&'a Cid, &'a Grant)>>,
}

/// What rules and the rest say of a key or branch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    Denied,
    Nobody,
    Allowed(Ground),
    Open,
}

/// What one level of rules says.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    Nobody,
    No,
    Yes,
}

impl<'a> World<'a> {
    pub(crate) fn new(owner: AgentId, space: Cid, facts: &'a Facts) -> Self {
        let mut chains: Vec<Vec<(&Cid, &Grant)>> = Vec::new();
        let of_space = || {
            facts
                .grants
                .iter()
                .filter(|(_, grant)| grant.space == space)
        };
        for (name, grant) in of_space() {
            if grant.proof.is_none() && grant.issuer == owner {
                chains.push(vec![(name, grant)]);
            }
        }
        // Each chain is looked at once, with the longer ones that it becomes behind it.
        let mut at = 0;
        while at < chains.len() {
            let chain = chains[at].clone();
            at += 1;
            let (name, last) = chain[chain.len() - 1];
            for (of, grant) in of_space() {
                let fits = grant.proof == Some(*name)
                    && grant.issuer == last.audience
                    && covers(last.command.as_str(), grant.command.as_str());
                if fits && chain.len() < 8 {
                    chains.push([&*chain, &[(of, grant)]].concat());
                }
            }
        }
        Self {
            owner,
            space,
            facts,
            chains,
        }
    }

    /// ACCESS-5, ACCESS-6.
    fn holds(&self, chain: &[(&Cid, &Grant)], at: u64) -> bool {
        (0..chain.len()).all(|place| {
            let (name, grant) = chain[place];
            let mut may: Vec<AgentId> = chain[..=place].iter().map(|(_, it)| it.issuer).collect();
            may.push(grant.audience);
            let mut ungrants = self.facts.ungrants.iter();
            let is_taken_back = ungrants.any(|it| it.of == *name && may.contains(&it.by));
            let is_early = grant.not_before.is_some_and(|from| at < from);
            let is_late = grant.expires.is_some_and(|end| at >= end);
            !is_taken_back && !is_early && !is_late
        })
    }

    /// The chains of somebody that hold and cover an operation.
    fn chains_of(&self, who: &Who, op: Op, at: u64) -> Vec<&[(&Cid, &Grant)]> {
        let chains = self.chains.iter().map(Vec::as_slice);
        let chains = chains.filter(|chain| {
            let (_, last) = chain[chain.len() - 1];
            Some(last.audience) == who.agent
                && covers(last.command.as_str(), command(op))
                && self.holds(chain, at)
        });
        chains.collect()
    }

    /// Whether a chain without conditions covers an operation.
    fn may_all(&self, who: &Who, op: Op, at: u64) -> bool {
        let chains = self.chains_of(who, op, at);
        let mut free = chains.iter();
        free.any(|chain| chain.iter().all(|(_, grant)| grant.policy.0.is_empty()))
    }

    /// What chains say.
    fn by_chains(&self, ask: &Ask<'_>) -> Vec<Option<bool>> {
        let chains = self.chains_of(ask.who, ask.op, ask.at);
        let answers = chains.iter().map(|chain| {
            let statements = chain.iter().flat_map(|(_, grant)| &grant.policy.0);
            all(statements.map(|it| says(it, ask.branch.as_bytes(), ask.key)))
        });
        answers.collect()
    }

    /// ACCESS-14.
    fn handle(&self, agent: &AgentId) -> Option<&str> {
        let versions = self.facts.members.get(agent)?;
        let handle = versions.first()?.name()?;
        let is_agreed = versions.iter().all(|it| it.name() == Some(handle));
        let others = self.facts.members.iter().filter(|(it, _)| *it != agent);
        let mut others = others.flat_map(|(_, versions)| versions);
        (is_agreed && !others.any(|it| it.name() == Some(handle))).then_some(handle)
    }

    /// ACCESS-13, ACCESS-14; those by which things are denied, if so wanted.
    fn roles(&self, who: &Who, at: u64, to_deny: bool) -> BTreeSet<String> {
        let mut roles: BTreeSet<String> = BTreeSet::from(["anyone".to_owned()]);
        if let Some(token) = &who.token {
            roles.extend(token.roles.iter().cloned());
        }
        let versions = who.agent.and_then(|agent| self.facts.members.get(&agent));
        let versions: &[Member] = versions.map_or(&[], Vec::as_slice);
        for role in versions.iter().flat_map(Member::roles) {
            if to_deny || versions.iter().all(|it| it.roles().contains(role)) {
                roles.insert(role.clone());
            }
        }
        if who.agent == Some(self.owner) || roles.contains("owner") {
            roles.extend(["owner", "admin", "member"].map(ToOwned::to_owned));
        }
        if self.may_all(who, Op::Admin, at) {
            roles.insert("admin".to_owned());
        }
        roles
    }

    /// ACCESS-12.
    fn is_called(&self, who: &Who, name: &[u8]) -> bool {
        if let Some(agent) = &who.agent {
            let did = agent.to_string();
            let short = did.strip_prefix("did:key:").expect("it is a did:key");
            return [Some(&*did), Some(short), self.handle(agent)]
                .into_iter()
                .flatten()
                .any(|it| it.as_bytes() == name);
        }
        let user = who.token.as_ref().map(|token| token.user.as_bytes());
        user == Some(name)
    }

    /// The rules on something, as versions of a pattern; those that are none left out.
    fn rules(&self, on: On) -> Vec<(&str, Vec<&Rule>)> {
        let mut all: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in self.facts.rules.values().filter(|rule| rule.on() == on) {
            all.entry(rule.pattern().as_str()).or_default().push(rule);
        }
        all.retain(|_, versions| {
            versions
                .iter()
                .any(|it| it.owner().is_some() || !it.allow().is_empty() || !it.deny().is_empty())
        });
        all.into_iter().collect()
    }

    /// What the most specific rules say that are less specific than some (ACCESS-14, ACCESS-20).
    fn level(
        &self,
        rules: &[(&str, Vec<&Rule>)],
        below: Option<(i64, i64, i64)>,
        (ask, subject): (&Ask<'_>, &[u8]),
        op: Op,
    ) -> Option<Level> {
        let names = |rule: &Rule| rule.owner().is_some() || rule.allow().contains_key(&op);
        let fits = rules.iter().filter(|(pattern, versions)| {
            below.is_none_or(|it| rank(pattern) < it) && versions.iter().any(|it| names(it))
        });
        let fits: Vec<_> = fits.collect();
        let top = fits.iter().map(|(pattern, _)| rank(pattern)).max()?;
        let roles = self.roles(ask.who, ask.at, false);
        let of_version = |rule: &Rule| {
            if !names(rule) {
                let less = self.level(rules, Some(top), (ask, subject), op);
                return less.unwrap_or(Level::No);
            }
            let list = rule.allow().get(&op).cloned().unwrap_or_default();
            if list.is_empty() && rule.owner().is_none() {
                return Level::Nobody;
            }
            let is_owned = rule.owner().is_some_and(|owner| {
                match owner.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                    None => self.is_called(ask.who, owner.as_bytes()),
                    Some(capture) => ways(rule.pattern().as_str(), subject)
                        .iter()
                        .any(|bound| self.is_called(ask.who, &bound[capture])),
                }
            });
            if is_owned || list.iter().any(|role| roles.contains(role)) {
                Level::Yes
            } else {
                Level::No
            }
        };
        let top = fits.iter().filter(|(pattern, _)| rank(pattern) == top);
        top.flat_map(|(_, versions)| versions)
            .map(|it| of_version(it))
            .min()
    }

    /// ACCESS-20, of a key or a branch, without grants.
    fn find(&self, on: On, op: Op, ask: &Ask<'_>, subject: &[u8]) -> Found {
        let rules = self.rules(on);
        let matching = rules.iter().filter(|(it, _)| !ways(it, subject).is_empty());
        let matching: Vec<_> = matching.cloned().collect();
        let denied_by = self.roles(ask.who, ask.at, true);
        for rule in matching.iter().flat_map(|(_, versions)| versions) {
            let list = rule.deny().get(&op);
            if list.is_some_and(|list| list.iter().any(|role| denied_by.contains(role))) {
                return Found::Denied;
            }
        }
        let roles = self.roles(ask.who, ask.at, false);
        match self.level(&matching, None, (ask, subject), op) {
            Some(Level::Nobody) => Found::Nobody,
            _ if roles.contains("owner") => Found::Allowed(Ground::Owner),
            Some(Level::Yes) => Found::Allowed(Ground::Role),
            None if rules.is_empty() && roles.contains("member") => Found::Allowed(Ground::Member),
            _ => Found::Open,
        }
    }

    /// ACCESS-22.
    fn knows(&self, ask: &Ask<'_>, roles: &BTreeSet<String>) -> bool {
        let by_rule = |on: On| {
            self.rules(on).iter().any(|(_, versions)| {
                versions.iter().all(|rule| {
                    let list = rule.allow().get(&Op::Read);
                    list.is_some_and(|list| list.iter().any(|role| roles.contains(role)))
                })
            })
        };
        roles.contains("member")
            || !self.chains_of(ask.who, Op::Read, ask.at).is_empty()
            || by_rule(On::Key)
            || by_rule(On::Branch)
    }

    /// The answer, and what decides.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> (Answer, Ground) {
        let is_of_space = matches!(ask.op, Op::Admin | Op::Pin | Op::Events);
        let is_of_meta = ask.branch == "meta" && !is_of_space;
        let is_change = is_of_meta && ask.op != Op::Read;
        let op = if is_change { Op::Admin } else { ask.op };
        if let Some(token) = &ask.who.token {
            let is_here = token.space.is_none_or(|it| it == self.space);
            let mut can = token.can.iter();
            if !is_here || !can.any(|it| covers(it.as_str(), command(op))) {
                return (Answer::Deny, Ground::Token);
            }
        }
        let roles = self.roles(ask.who, ask.at, false);
        if is_of_space || is_change {
            return if roles.contains("owner") {
                (Answer::Allow, Ground::Owner)
            } else if self.may_all(ask.who, op, ask.at) {
                (Answer::Allow, Ground::Grant)
            } else if op == Op::Admin && roles.contains("admin") {
                (Answer::Allow, Ground::Role)
            } else if op != Op::Admin && roles.contains("member") {
                (Answer::Allow, Ground::Member)
            } else {
                (Answer::Deny, Ground::Nothing)
            };
        }
        if is_of_meta {
            return if self.knows(ask, &roles) {
                (Answer::Allow, Ground::Known)
            } else {
                (Answer::Deny, Ground::Nothing)
            };
        }
        self.of_branch_and_key(ask)
    }

    fn of_branch_and_key(&self, ask: &Ask<'_>) -> (Answer, Ground) {
        let is_of_keys = matches!(ask.op, Op::Read | Op::Write | Op::Delete);
        let on_branch = if ask.op == Op::Delete {
            Op::Write
        } else {
            ask.op
        };
        let mut found = vec![self.find(On::Branch, on_branch, ask, ask.branch.as_bytes())];
        let key = ask.key.filter(|_key| is_of_keys);
        if let Some(key) = key {
            found.push(self.find(On::Key, ask.op, ask, key));
        }
        for one in &found {
            match one {
                Found::Denied => return (Answer::Deny, Ground::Denied),
                Found::Nobody => return (Answer::Deny, Ground::Nobody),
                _ => {}
            }
        }
        if !found.contains(&Found::Open) {
            let Found::Allowed(ground) = found[found.len() - 1] else {
                unreachable!("{found:?}");
            };
            return (Answer::Allow, ground);
        }
        let said = self.by_chains(&Ask { key, ..*ask });
        if said.contains(&Some(true)) || (key.is_none() && said.contains(&None)) {
            (Answer::Allow, Ground::Grant)
        } else {
            (Answer::Deny, Ground::Nothing)
        }
    }
}
