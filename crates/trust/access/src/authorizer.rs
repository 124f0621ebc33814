//! The one answer to who may do what in a space (ACCESS-20 to ACCESS-25).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_identity::AgentId;
use cid::Cid;

use crate::chains::{CHAIN_MAX, Chain, Chains, OutOfSteps};
use crate::grant::{Grant, Ungrant};
use crate::op::{Command, Op, OpScope};
use crate::policy::Truth;
use crate::request::{Principal, Request, Target};
use crate::rule::{Member, On, Rule, roles};
use crate::rules::{Asker, Found, Rules};
use crate::steps::Steps;
use crate::verdict::{Ground, Near, Verdict};

/// The branch that says what a space is.
const META: &str = "meta";

/// What changes a branch, or what is on it.
const MOVES: [Op; 4] = [Op::Write, Op::Delete, Op::Create, Op::Merge];

/// What a space says of who may do what, as it was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// The versions of rules, by their names.
    pub rules: BTreeMap<String, Rule>,
    /// The versions of each member.
    pub members: BTreeMap<AgentId, Vec<Member>>,
    /// Grants that count.
    pub grants: BTreeMap<Cid, Grant>,
    /// What takes grants back.
    pub ungrants: Vec<Ungrant>,
}

/// Who may do what in a space. It is made once for what is known, and asked often.
#[derive(Debug)]
pub struct Authorizer {
    owner: AgentId,
    space: Cid,
    rules: Rules,
    members: BTreeMap<AgentId, Standing>,
    grants: BTreeMap<Cid, Grant>,
    chains: Chains,
}

/// What a member is.
#[derive(Debug)]
struct Standing {
    roles: BTreeSet<String>,
    /// Those of any version.
    in_any: BTreeSet<String>,
    handle: Option<String>,
}

impl Authorizer {
    /// What follows from these facts about the space of an owner.
    #[must_use]
    pub fn new(owner: AgentId, space: Cid, facts: &Facts) -> Self {
        let mut called: BTreeMap<&str, BTreeSet<&AgentId>> = BTreeMap::new();
        for (agent, versions) in &facts.members {
            for handle in versions.iter().filter_map(Member::name) {
                called.entry(handle).or_default().insert(agent);
            }
        }
        // What two are called in any version, nobody is: no version more gives a handle to somebody.
        let is_one = |handle: &str| called.get(handle).is_some_and(|of| of.len() == 1);
        let members = facts.members.iter();
        let members = members.map(|(agent, versions)| (*agent, standing_of(versions, is_one)));
        Self {
            owner,
            space,
            rules: Rules::new(&facts.rules),
            members: members.collect(),
            grants: facts.grants.clone(),
            chains: Chains::new((&owner, &space), &facts.grants, &facts.ungrants),
        }
    }

    /// The owner.
    #[must_use]
    pub const fn owner(&self) -> &AgentId {
        &self.owner
    }

    /// The members, the owner not among them.
    pub fn members(&self) -> impl Iterator<Item = &AgentId> {
        let members = self.members.iter();
        let members = members.filter(|(_, standing)| standing.roles.contains(roles::MEMBER));
        members.map(|(agent, _)| agent)
    }

    /// Whether an agent owns the space or is a member.
    #[must_use]
    pub fn is_member(&self, agent: &AgentId) -> bool {
        let standing = self.members.get(agent);
        *agent == self.owner || standing.is_some_and(|it| it.roles.contains(roles::MEMBER))
    }

    /// The roles and the handle that a member was given.
    #[must_use]
    pub fn standing(&self, agent: &AgentId) -> Option<(&BTreeSet<String>, Option<&str>)> {
        let standing = self.members.get(agent)?;
        let handle = standing.handle.as_deref();
        (!standing.roles.is_empty() || handle.is_some()).then_some((&standing.roles, handle))
    }

    /// Whether no rule and no grant says anything: members may do all.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.rules.is_empty() && self.chains.is_empty()
    }

    /// Whether what may be changed on one branch may not be on another: a rule on branches, or a condition of a grant, says so of an
    /// operation that changes something. What stands on a branch then has to be made there (REPO-116).
    #[must_use]
    pub fn rules_moves(&self) -> bool {
        MOVES
            .into_iter()
            .any(|op| self.rules.tell_branches_apart(op))
            || self.chains.tell_branches_apart(&MOVES)
    }

    /// Whether somebody has a right to read, of whatever keys, and so reads `meta` (ACCESS-22).
    #[must_use]
    pub fn knows(&self, who: &Principal, at: u64) -> bool {
        if !who.is_for(Op::Read, &self.space) {
            return false;
        }
        let by_grant = who.agent_id().is_some_and(|agent| {
            let mut chains = self.chains.of(agent).iter();
            chains.any(|chain| chain.covers(Op::Read) && chain.is_valid(at))
        });
        by_grant
            || self.has_role(who, roles::OWNER, at)
            || self.has_role(who, roles::MEMBER, at)
            || self.rules.let_read(|role| self.has_role(who, role, at))
    }

    /// Answers a request.
    #[must_use]
    pub fn check(&self, request: &Request<'_>) -> Verdict {
        self.answer(request, true)
    }

    fn answer(&self, request: &Request<'_>, asks_branch: bool) -> Verdict {
        let who = request.who;
        // To change `meta` is to `admin`, and so for tokens.
        let is_of_meta = request.branch == META && request.op.scope() != OpScope::Space;
        let op = match request.op {
            Op::Read => Op::Read,
            _ if is_of_meta => Op::Admin,
            op => op,
        };
        if !who.is_for(op, &self.space) {
            return Verdict::deny(Ground::Token);
        }
        if op.scope() == OpScope::Space {
            return self.space_wide(request, op);
        }
        if is_of_meta {
            return if self.knows(who, request.at) {
                Verdict::allow(Ground::Known)
            } else {
                self.denied(request, Ground::Nothing)
            };
        }
        let no_rule_counts = self.rules.is_empty() || self.rules.are_too_many();
        if no_rule_counts && self.has_role(who, roles::OWNER, request.at) {
            return Verdict::allow(Ground::Owner);
        }
        if self.rules.are_too_many() {
            return Verdict::deny(Ground::TooManyRules);
        }
        match op.scope() {
            OpScope::Branch => {
                let target = Target::Branch;
                self.by_rules(&Request { target, ..*request }, true)
            }
            _ => self.by_rules(request, asks_branch),
        }
    }

    /// Answers a request of a key operation as far as it is about the key: the branch was asked for something else.
    #[must_use]
    pub fn check_key(&self, request: &Request<'_>) -> Verdict {
        self.answer(request, false)
    }

    /// Whether an agent may change `meta` at a time.
    #[must_use]
    pub fn is_admin(&self, agent: &AgentId, at: u64) -> bool {
        *agent == self.owner || self.chains.allows_all(agent, Op::Admin, at).is_some()
    }

    /// Whether an agent has a grant that holds at a time.
    #[must_use]
    pub fn holds(&self, agent: &AgentId, grant: &Cid, at: u64) -> bool {
        let mut chains = self.chains.of(agent).iter();
        chains.any(|chain| chain.links.first() == Some(grant) && chain.is_valid(at))
    }

    /// Whether an agent has any grant that holds at a time.
    #[must_use]
    pub fn has_grants(&self, agent: &AgentId, at: u64) -> bool {
        self.chains.of(agent).iter().any(|chain| chain.is_valid(at))
    }

    /// A grant of an agent on which one of a command can rest at a time: one without conditions, if there is one; and of
    /// these one that lasts longest.
    #[must_use]
    pub fn proof_for(&self, agent: &AgentId, command: &Command, at: u64) -> Option<&Cid> {
        let chains = self.chains.of(agent).iter();
        let fit = chains.filter(|it| it.is_valid(at) && it.command.covers(command.as_str()));
        let best = fit.max_by_key(|it| (!it.has_conditions(), it.end.unwrap_or(u64::MAX)));
        best.and_then(|chain| chain.links.first())
    }

    /// Whether any grant that is known, whatever became of it, is to an agent or by it: others take nothing back (ACCESS-6).
    #[must_use]
    pub fn is_named(&self, agent: &AgentId) -> bool {
        let mut grants = self.grants.values();
        grants.any(|grant| grant.audience == *agent || grant.issuer == *agent)
    }

    /// How many of the grants that are known an agent has issued.
    #[must_use]
    pub fn issued_by(&self, agent: &AgentId) -> usize {
        let grants = self.grants.values();
        grants.filter(|grant| grant.issuer == *agent).count()
    }

    /// Whether what an agent says of a grant takes it back (ACCESS-6).
    #[must_use]
    pub fn may_take_back(&self, agent: &AgentId, grant: &Cid) -> bool {
        let Some(of) = self.grants.get(grant) else {
            return false;
        };
        let mut link = Some(of);
        for _ in 0..CHAIN_MAX {
            let Some(known) = link else { break };
            if known.issuer == *agent {
                return true;
            }
            link = known.proof.and_then(|proof| self.grants.get(&proof));
        }
        of.audience == *agent
    }

    /// Operations for which no rule is asked (ACCESS-22).
    fn space_wide(&self, request: &Request<'_>, op: Op) -> Verdict {
        let who = request.who;
        if self.has_role(who, roles::OWNER, request.at) {
            return Verdict::allow(Ground::Owner);
        }
        let chain = who
            .agent_id()
            .and_then(|agent| self.chains.allows_all(agent, op, request.at));
        if let Some(chain) = chain {
            return Verdict::allow(Ground::Grant).over(&chain.links);
        }
        if op == Op::Admin && who.bears(roles::ADMIN) {
            return Verdict::allow(Ground::Role);
        }
        if op != Op::Admin && self.has_role(who, roles::MEMBER, request.at) {
            return Verdict::allow(Ground::Member);
        }
        self.denied(&Request { op, ..*request }, Ground::Nothing)
    }

    fn by_rules(&self, request: &Request<'_>, asks_branch: bool) -> Verdict {
        let (who, at) = (request.who, request.at);
        let standing = self.standing_of(who);
        let asker = Asker {
            who,
            handle: standing.and_then(|standing| standing.handle.as_deref()),
            has_role: &|role| self.has_role(who, role, at),
            may_have_role: &|role| {
                let in_any = standing.is_some_and(|standing| standing.in_any.contains(role));
                in_any || self.has_role(who, role, at)
            },
        };
        let (op, branch) = (request.op, request.branch.as_bytes());
        let on_branch = if op == Op::Delete { Op::Write } else { op };
        let of_branch = asks_branch.then(|| {
            let branch = Target::Key(branch);
            self.rules.find(On::Branch, on_branch, branch, &asker)
        });
        let of_key = match (op.scope(), request.target) {
            (OpScope::Key, target @ (Target::Key(_) | Target::Prefix(_))) => {
                Some(self.rules.find(On::Key, op, target, &asker))
            }
            _ => None,
        };
        let (mut is_open, mut is_partly, mut all_may) = (false, false, true);
        let (mut allows, mut would_have_to) = (None, None);
        for one in [of_branch, of_key].into_iter().flatten() {
            match one {
                Found::Denied(rule) => return Verdict::deny(Ground::Denied).by(rule),
                Found::Nobody(rule) => return Verdict::deny(Ground::Nobody).by(rule),
                Found::Allowed(how, rule) => allows = Some((how, rule)),
                Found::Open(rule) => {
                    is_open = true;
                    would_have_to = rule.or(would_have_to);
                }
                Found::Partly { may_be_denied } => {
                    is_partly = true;
                    all_may &= !may_be_denied;
                }
            }
        }
        if let Some((ground, rule)) = allows
            && !is_open
            && !is_partly
        {
            return Verdict::allow(ground).by_maybe(rule);
        }
        let mut steps = Steps::new();
        let least = if request.target == Target::Branch {
            Truth::Open
        } else {
            Truth::True
        };
        match self.chains.ask(request, &mut steps) {
            Err(OutOfSteps) => Verdict::deny(Ground::Steps),
            Ok(Some((truth, chain))) if truth >= least && all_may => {
                Verdict::allow(Ground::Grant).over(&chain.links)
            }
            Ok(Some((Truth::True | Truth::Open, chain))) if is_prefix(request) => {
                Verdict::partly(Ground::Grant).over(&chain.links)
            }
            Ok(_) if is_partly && !is_open => Verdict::partly(Ground::Role),
            Ok(_) => self
                .denied(request, Ground::Nothing)
                .by_maybe(would_have_to),
        }
    }

    /// A denial, with what was nearest to allowing it (ACCESS-25).
    fn denied(&self, request: &Request<'_>, ground: Ground) -> Verdict {
        let mut verdict = Verdict::deny(ground);
        let Some(agent) = request.who.agent_id() else {
            return verdict;
        };
        let covers = |chain: &&Chain| chain.covers(request.op);
        let live = self.chains.of(agent).iter();
        let ended = self.chains.ended_of(agent).iter();
        let near = |chain: &Chain| match (chain.taken_back, chain.end) {
            (Some(of), _) => Near::TakenBack(of),
            (None, Some(end)) if end <= request.at => Near::Ended(chain.links[0], end),
            _ if chain.from > request.at => Near::NotYet(chain.links[0], chain.from),
            _ => Near::Elsewhere(chain.links[0]),
        };
        // Of several, one that is valid now says more than one that was.
        let mut all: Vec<Near> = live.chain(ended).filter(covers).map(near).collect();
        all.sort_by_key(Near::rank);
        verdict.near = all.into_iter().next();
        verdict
    }

    fn standing_of(&self, who: &Principal) -> Option<&Standing> {
        who.agent_id().and_then(|agent| self.members.get(agent))
    }

    /// Whether somebody has a role (ACCESS-13).
    fn has_role(&self, who: &Principal, role: &str, at: u64) -> bool {
        let agent = who.agent_id();
        let is_owner = || agent == Some(&self.owner) || who.bears(roles::OWNER);
        let was_given = || {
            let standing = self.standing_of(who);
            who.bears(role) || standing.is_some_and(|standing| standing.roles.contains(role))
        };
        let may_admin = |agent| self.chains.allows_all(agent, Op::Admin, at).is_some();
        match role {
            roles::ANYONE => true,
            roles::OWNER => is_owner(),
            roles::ADMIN => is_owner() || who.bears(role) || agent.is_some_and(may_admin),
            roles::MEMBER => is_owner() || was_given(),
            _ => was_given(),
        }
    }
}

fn is_prefix(request: &Request<'_>) -> bool {
    matches!(request.target, Target::Prefix(_))
}

/// What several versions of a member say together (ACCESS-14).
fn standing_of(versions: &[Member], is_one: impl Fn(&str) -> bool) -> Standing {
    let all = versions.iter().flat_map(Member::roles);
    let in_any: BTreeSet<String> = all.cloned().collect();
    let is_in_all = |role: &&String| {
        versions
            .iter()
            .all(|version| version.roles().contains(role))
    };
    let handle = versions.first().and_then(Member::name);
    let agree = versions.iter().all(|version| version.name() == handle);
    let handle = handle.filter(|handle| agree && is_one(handle));
    Standing {
        roles: in_any.iter().filter(is_in_all).cloned().collect(),
        handle: handle.map(ToOwned::to_owned),
        in_any,
    }
}

/// The name of a rule, as verdicts have it.
pub type Label = Arc<str>;
