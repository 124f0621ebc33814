//! The rules of a space together (ACCESS-13 to ACCESS-15, ACCESS-20).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::authorizer::Label;
use crate::op::Op;
use crate::policy::Truth;
use crate::request::{Principal, Target};
use crate::rule::{On, Rule, roles};
use crate::verdict::Ground;

/// Versions of rules, at most (ACCESS-15).
pub const RULES_MAX: usize = 256;

/// The rules of a space, the most specific first.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    keys: Vec<Slot>,
    branches: Vec<Slot>,
    are_too_many: bool,
}

/// The versions of one rule.
#[derive(Debug)]
struct Slot {
    label: Label,
    /// How specific its pattern is.
    rank: Rank,
    versions: Vec<Rule>,
}

type Rank = (usize, bool, Reverse<usize>);

/// What rules say of a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// A rule denies it.
    Denied(Label),
    /// Nobody may.
    Nobody(Label),
    /// It is allowed.
    Allowed(Ground, Option<Label>),
    /// Only a grant can allow it. The rule that would have to.
    Open(Option<Label>),
    /// Some of what is asked for may be allowed; and some be denied, whatever grants say.
    Partly { may_be_denied: bool },
}

/// Whoever asks, as rules see them.
pub(crate) struct Asker<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) handle: Option<&'a str>,
    pub(crate) has_role: &'a dyn Fn(&str) -> bool,
    /// Whether it has a role by any version of a member: by these it is denied things (ACCESS-14).
    pub(crate) may_have_role: &'a dyn Fn(&str) -> bool,
}

impl Asker<'_> {
    fn has_one_of(&self, roles: &[String]) -> bool {
        roles.iter().any(|role| (self.has_role)(role))
    }

    /// Whether it is called so (ACCESS-12).
    fn is_called(&self, name: &[u8]) -> bool {
        if name.is_empty() {
            return false;
        }
        if let Some(user) = self.who.user() {
            return user.as_bytes() == name;
        }
        if self.handle.is_some_and(|it| it.as_bytes() == name) {
            return true;
        }
        let short = name.strip_prefix(b"did:key:").unwrap_or(name);
        // A handle is in small letters; spelling out a key takes longer than all of the rest.
        short.starts_with(b"z6Mk")
            && self.who.agent_id().is_some_and(|agent| {
                let did = agent.to_string();
                did.strip_prefix("did:key:").unwrap_or(&did).as_bytes() == short
            })
    }
}

impl Rules {
    pub(crate) fn new(versions: &BTreeMap<String, Rule>) -> Self {
        let mut rules = Self {
            are_too_many: versions.len() > RULES_MAX,
            ..Self::default()
        };
        let mut slots: BTreeMap<(On, &str), Vec<Rule>> = BTreeMap::new();
        for rule in versions.values().take(RULES_MAX) {
            let slot = slots.entry((rule.on(), rule.pattern().as_str()));
            slot.or_default().push(rule.clone());
        }
        for ((on, pattern), versions) in slots {
            if !versions.iter().any(Rule::says_something) {
                continue;
            }
            let label = Label::from(format!("{} {pattern}", on.name()));
            let rank = versions[0].pattern().specificity();
            let slot = Slot {
                label,
                rank,
                versions,
            };
            match on {
                On::Key => rules.keys.push(slot),
                On::Branch => rules.branches.push(slot),
            }
        }
        for slots in [&mut rules.keys, &mut rules.branches] {
            slots.sort_by_key(|slot| Reverse(slot.rank));
        }
        rules
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.branches.is_empty() && !self.are_too_many
    }

    pub(crate) const fn are_too_many(&self) -> bool {
        self.are_too_many
    }

    /// Whether a rule on branches says anything of an operation.
    pub(crate) fn tell_branches_apart(&self, op: Op) -> bool {
        let mut rules = self.branches.iter().flat_map(|slot| &slot.versions);
        rules.any(|rule| rule.names(op) || rule.deny().contains_key(&op))
    }

    fn slots(&self, on: On) -> &[Slot] {
        match on {
            On::Key => &self.keys,
            On::Branch => &self.branches,
        }
    }

    /// Whether a rule lets somebody read something.
    pub(crate) fn let_read(&self, has_role: impl Fn(&str) -> bool) -> bool {
        let mut all = self.keys.iter().chain(&self.branches);
        all.any(|slot| {
            let mut versions = slot.versions.iter();
            versions.all(|rule| {
                let list = rule.allow().get(&Op::Read);
                list.is_some_and(|roles| roles.iter().any(|role| has_role(role)))
            })
        })
    }

    /// What rules, ownership and membership say (ACCESS-20).
    pub(crate) fn find(&self, on: On, op: Op, target: Target<'_>, asker: &Asker<'_>) -> Found {
        match target {
            Target::Key(subject) => self.find_one(on, op, subject, asker),
            Target::Prefix(prefix) => self.find_all(on, op, prefix, asker),
            Target::Branch => Found::Open(None),
        }
    }

    fn find_one(&self, on: On, op: Op, subject: &[u8], asker: &Asker<'_>) -> Found {
        for slot in self.slots(on) {
            if slot.denies(op, asker) && slot.matches(subject) {
                return Found::Denied(slot.label.clone());
            }
        }
        let mut allowed: Option<&Slot> = None;
        let mut open: Option<&Slot> = None;
        let mut rank = None;
        // Whether one version leaves it to less specific rules.
        let mut falls = false;
        for slot in self.slots(on) {
            if rank.is_some_and(|it| it != slot.rank) && !falls {
                break;
            }
            if !slot.names(op) || !slot.matches(subject) {
                continue;
            }
            if rank != Some(slot.rank) {
                rank = Some(slot.rank);
                falls = false;
            }
            for rule in &slot.versions {
                if !rule.names(op) {
                    falls = true;
                    continue;
                }
                match Slot::allows(rule, op, subject, asker) {
                    Allows::Nobody => return Found::Nobody(slot.label.clone()),
                    Allows::Yes => allowed = allowed.or(Some(slot)),
                    Allows::No => open = open.or(Some(slot)),
                }
            }
        }
        if (asker.has_role)(roles::OWNER) {
            return Found::Allowed(Ground::Owner, None);
        }
        match (open, allowed) {
            (None, Some(slot)) if !falls => Found::Allowed(Ground::Role, Some(slot.label.clone())),
            (Some(slot), _) | (None, Some(slot)) => Found::Open(Some(slot.label.clone())),
            (None, None) => self.by_default(on, asker),
        }
    }

    /// Where no rule names what is asked.
    fn by_default(&self, on: On, asker: &Asker<'_>) -> Found {
        if self.slots(on).is_empty() && (asker.has_role)(roles::MEMBER) {
            return Found::Allowed(Ground::Member, None);
        }
        Found::Open(None)
    }

    /// As far as it can be said of all that begins so (ACCESS-23).
    fn find_all(&self, on: On, op: Op, prefix: &[u8], asker: &Asker<'_>) -> Found {
        let is_owner = (asker.has_role)(roles::OWNER);
        let mut may_be_denied = false;
        for slot in self.slots(on).iter().filter(|slot| slot.denies(op, asker)) {
            match slot.pattern_of_all(prefix) {
                Truth::True => return Found::Denied(slot.label.clone()),
                Truth::Open => may_be_denied = true,
                Truth::False => {}
            }
        }
        let (mut all_may, mut one_may) = (true, false);
        let (mut covered, mut most) = (None, None);
        for slot in self.slots(on).iter().filter(|slot| slot.names(op)) {
            let of_all = slot.pattern_of_all(prefix);
            if of_all == Truth::False {
                continue;
            }
            if covered.is_some_and(|it| it != slot.rank) {
                break;
            }
            let most = *most.get_or_insert(slot.rank);
            for rule in &slot.versions {
                match Slot::allows_all(rule, op, (prefix, of_all), asker) {
                    // Of some keys a more specific rule decides.
                    Some(Allows::Nobody) if of_all == Truth::True && slot.rank == most => {
                        return Found::Nobody(slot.label.clone());
                    }
                    Some(Allows::Nobody) => (all_may, may_be_denied) = (false, true),
                    Some(Allows::Yes) => one_may = true,
                    Some(Allows::No) => all_may = false,
                    None => {
                        all_may = false;
                        one_may |= rule.owner().is_some();
                    }
                }
            }
            if of_all == Truth::True && slot.versions.iter().all(|rule| rule.names(op)) {
                covered = Some(slot.rank);
            }
        }
        if covered.is_none() {
            match self.by_default(on, asker) {
                Found::Allowed(..) => one_may = true,
                _ => all_may = false,
            }
        }
        if is_owner && !may_be_denied {
            return Found::Allowed(Ground::Owner, None);
        }
        if all_may && !may_be_denied {
            let ground = if self.slots(on).is_empty() {
                Ground::Member
            } else {
                Ground::Role
            };
            return Found::Allowed(ground, None);
        }
        if one_may || is_owner || may_be_denied {
            return Found::Partly { may_be_denied };
        }
        Found::Open(None)
    }
}

/// What one version says to who asks.
enum Allows {
    Nobody,
    Yes,
    No,
}

impl Slot {
    fn matches(&self, subject: &[u8]) -> bool {
        self.versions[0].pattern().matches(subject)
    }

    fn pattern_of_all(&self, prefix: &[u8]) -> Truth {
        self.versions[0].pattern().of_all(prefix)
    }

    fn names(&self, op: Op) -> bool {
        self.versions.iter().any(|rule| rule.names(op))
    }

    fn denies(&self, op: Op, asker: &Asker<'_>) -> bool {
        let mut versions = self.versions.iter();
        versions.any(|rule| {
            let list = rule.deny().get(&op);
            list.is_some_and(|roles| roles.iter().any(|role| (asker.may_have_role)(role)))
        })
    }

    /// What a version says of all keys with a prefix that the pattern matches; `None` where it is left to others, or where it
    /// depends on the key who owns it.
    fn allows_all(
        rule: &Rule,
        op: Op,
        (prefix, of_all): (&[u8], Truth),
        asker: &Asker<'_>,
    ) -> Option<Allows> {
        if !rule.names(op) {
            return None;
        }
        // Where all that the pattern spells lies within the prefix, each of these keys has the captures of the prefix.
        let is_known = of_all == Truth::True || !rule.owner().is_some_and(|it| it.starts_with('{'));
        let list = rule.allow().get(&op).map_or(&[][..], Vec::as_slice);
        if is_known {
            Some(Self::allows(rule, op, prefix, asker))
        } else if asker.has_one_of(list) {
            Some(Allows::Yes)
        } else {
            None
        }
    }

    /// What a version that names the operation says of a key.
    fn allows(rule: &Rule, op: Op, subject: &[u8], asker: &Asker<'_>) -> Allows {
        let list = rule.allow().get(&op).map_or(&[][..], Vec::as_slice);
        let Some(owner) = rule.owner() else {
            return match (list.is_empty(), asker.has_one_of(list)) {
                (true, _) => Allows::Nobody,
                (false, true) => Allows::Yes,
                (false, false) => Allows::No,
            };
        };
        let captured = owner.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let is_owned = match captured {
            None => asker.is_called(owner.as_bytes()),
            Some(name) => {
                let captured = rule.pattern().captures(subject);
                let value = captured.as_ref().and_then(|it| it.get(name));
                value.is_some_and(|value| asker.is_called(value))
            }
        };
        if is_owned || asker.has_one_of(list) {
            Allows::Yes
        } else {
            Allows::No
        }
    }
}
