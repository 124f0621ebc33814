//! A plain reading of which commits count (REPO-100, REPO-101, REPO-110 to REPO-116): all that a node knows, looked at from
//! the beginning. No key is lost in these worlds, so who signed something speaks for its author.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use allod_access::{
    Authorizer, Facts, Grant, Member, Op, Principal, Request, Rule, Target, Ungrant,
};
use allod_blocks::Cid;
use allod_identity::{AgentId, Payload, Signed};
use allod_repo::{BranchName, Commit, CommitId, Entry, Heads, Repo, State};
use bytes::Bytes;

use crate::keys::words;

/// Where a branch stands: its heads, and what is beside it.
pub(super) type Stands = BTreeMap<BranchName, (Heads, Heads)>;

type Entries = BTreeMap<Vec<u8>, Entry>;

/// What a commit does, which is the same wherever it is.
struct Said {
    commit: Commit,
    rests: Vec<CommitId>,
    /// What it changes in what it rests on.
    changes: Vec<(Vec<u8>, Entry)>,
}

/// What was read of commits once.
#[derive(Default)]
pub(super) struct Reading {
    said: BTreeMap<CommitId, Rc<Said>>,
    entries: BTreeMap<CommitId, Rc<Entries>>,
}

/// One half of what a node knows, `meta` or all other branches, by what is said of rights.
pub(super) struct Half {
    all: BTreeMap<CommitId, Rc<Said>>,
    /// Parents before children.
    order: Vec<CommitId>,
    apart: bool,
    rights: Authorizer,
    standing: BTreeSet<CommitId>,
    answering: BTreeSet<CommitId>,
    counting: BTreeSet<CommitId>,
}

impl Reading {
    /// All that a commit's tree has, what was deleted too.
    fn entries(&mut self, repo: &Repo, id: CommitId) -> Result<Rc<Entries>, String> {
        if let Some(known) = self.entries.get(&id) {
            return Ok(Rc::clone(known));
        }
        let commit = repo.commit(id).map_err(words)?;
        let tree = repo.tree(commit.payload().tree).map_err(words)?;
        let mut entries = Entries::new();
        for item in tree.range(..) {
            let (key, entry) = item.map_err(words)?;
            entries.insert(key.to_vec(), Entry::decode(&entry).map_err(words)?);
        }
        let entries = Rc::new(entries);
        self.entries.insert(id, Rc::clone(&entries));
        Ok(entries)
    }

    /// REPO-5, of values that do not join.
    fn joined(&mut self, repo: &Repo, ids: &[CommitId]) -> Result<Entries, String> {
        let order = |entry: &Entry| (entry.stamp, entry.encode());
        let mut all = Entries::new();
        for id in ids {
            for (key, entry) in &*self.entries(repo, *id)? {
                if all.get(key).is_none_or(|known| order(known) < order(entry)) {
                    all.insert(key.clone(), entry.clone());
                }
            }
        }
        Ok(all)
    }

    fn said(&mut self, repo: &Repo, id: CommitId) -> Result<Rc<Said>, String> {
        if let Some(known) = self.said.get(&id) {
            return Ok(Rc::clone(known));
        }
        let commit = repo.commit(id).map_err(words)?.payload().clone();
        let mut rests = Vec::new();
        for parent in &commit.parents {
            if super::branch_of(repo, *parent)? == commit.branch {
                rests.push(*parent);
            }
        }
        if rests.is_empty() {
            rests.clone_from(&commit.parents);
        }
        let before = self.joined(repo, &rests)?;
        let after = self.entries(repo, id)?;
        let changes = after.iter();
        let changes = changes.filter(|(key, entry)| before.get(*key) != Some(entry));
        let said = Rc::new(Said {
            changes: changes
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect(),
            rests,
            commit,
        });
        self.said.insert(id, Rc::clone(&said));
        Ok(said)
    }

    /// What the heads of `meta` say of rights, and what is beside them of grants.
    pub(super) fn facts(&mut self, repo: &Repo, stand: &(Heads, Heads)) -> Result<Facts, String> {
        let heads: Vec<CommitId> = stand.0.iter().copied().collect();
        let meta = self.joined(repo, &heads)?;
        let mut facts = Facts::default();
        for (key, entry) in &meta {
            let (Ok(key), Some(value)) = (std::str::from_utf8(key), value_of(repo, entry)?) else {
                continue;
            };
            if let Some(version) = key.strip_prefix("rule/") {
                let rule = Rule::decode(&value).map_err(words)?;
                facts.rules.insert(version.to_owned(), rule);
            } else if let Some((who, _)) = key
                .strip_prefix("member/")
                .and_then(|it| it.split_once('/'))
            {
                let member = Member::decode(&value).map_err(words)?;
                let who = who.parse().map_err(words)?;
                facts.members.entry(who).or_default().push(member);
            }
        }
        add_grants(repo, &meta, &mut facts)?;
        for id in &stand.1 {
            let beside = self.entries(repo, *id)?;
            add_grants(repo, &beside, &mut facts)?;
        }
        facts.ungrants.sort_by_key(|it| (it.of, it.by, it.at));
        Ok(facts)
    }

    /// What counts of some commits by what is said of rights.
    pub(super) fn half(
        &mut self,
        repo: &Repo,
        facts: &Facts,
        ids: &BTreeSet<CommitId>,
    ) -> Result<Half, String> {
        let rights = Authorizer::new(repo.genesis().payload().owner, *repo.id().cid(), facts);
        let mut all = BTreeMap::new();
        for id in ids {
            all.insert(*id, self.said(repo, *id)?);
        }
        let mut order: Vec<CommitId> = ids.iter().copied().collect();
        order.sort_by_key(|id| all[id].commit.generation);
        let mut half = Half {
            apart: rights.rules_moves(),
            all,
            order,
            rights,
            standing: BTreeSet::new(),
            answering: BTreeSet::new(),
            counting: BTreeSet::new(),
        };
        half.decide();
        Ok(half)
    }

    /// What all branches of a node come to, by the plain reading. What `meta` says is read where it stands there.
    pub(super) fn read(&mut self, repo: &Repo, known: &Known) -> Result<Read, String> {
        let meta = BranchName::meta();
        let stand = (
            repo.heads(&meta).map_err(words)?,
            repo.beside(&meta).map_err(words)?,
        );
        let facts = self.facts(repo, &stand)?;
        let mut stands = Stands::new();
        let mut halves = Vec::new();
        for of_meta in [true, false] {
            let mine = || known.iter().filter(|(name, _)| name.is_meta() == of_meta);
            let all = mine().flat_map(|(_, ids)| ids.iter().copied()).collect();
            let half = self.half(repo, &facts, &all)?;
            for (branch, ids) in mine() {
                stands.insert(branch.clone(), half.stand(branch, ids));
            }
            halves.push(half);
        }
        let rest = halves.pop().ok_or("nothing was read")?;
        Ok(Read {
            facts,
            stands,
            rest,
        })
    }
}

/// What is known at a node, by branch.
pub(super) type Known = BTreeMap<BranchName, BTreeSet<CommitId>>;

/// What the plain reading makes of a node.
pub(super) struct Read {
    pub(super) facts: Facts,
    pub(super) stands: Stands,
    /// The branches but for `meta`.
    pub(super) rest: Half,
}

impl Half {
    fn decide(&mut self) {
        for (id, said) in &self.all {
            let commit = &said.commit;
            let is_owner = commit.author == *self.rights.owner();
            if is_owner || self.may(&commit.author, said, commit.stamp.millis()) {
                self.standing.insert(*id);
            }
        }
        let answering = self.all.iter().filter(|(_, said)| self.answers(said));
        self.answering = answering.map(|(id, _)| *id).collect();
        self.answering.retain(|id| self.standing.contains(id));
        self.counting = self.vouched_for();
        loop {
            let before = self.counting.len();
            for (id, said) in &self.all {
                let stands = self.standing.contains(id);
                if stands && said.rests.iter().all(|it| self.counting.contains(it)) {
                    self.counting.insert(*id);
                }
                if !self.counting.contains(id) {
                    continue;
                }
                self.counting.extend(&said.rests);
                if self.answering.contains(id) {
                    let below = self.below(&BTreeSet::from([*id]));
                    self.counting.extend(below);
                }
            }
            if self.counting.len() == before {
                return;
            }
        }
    }

    /// Those that stand, of which somebody vouches for each that they rest on and that does not.
    fn vouched_for(&self) -> BTreeSet<CommitId> {
        let mut open = BTreeSet::new();
        for lost in self.all.keys().filter(|id| !self.standing.contains(*id)) {
            // Those that there is a way from on which nobody vouches for this one.
            let mut ways = BTreeSet::from([*lost]);
            for id in &self.order {
                let said = &self.all[id];
                if !said.rests.iter().any(|it| ways.contains(it)) {
                    continue;
                }
                let (author, at) = (&said.commit.author, said.commit.stamp.millis());
                let vouches = self.standing.contains(id)
                    && (self.answering.contains(id) || self.may(author, &self.all[lost], at));
                if !vouches {
                    ways.insert(*id);
                }
            }
            open.extend(ways);
        }
        self.standing.difference(&open).copied().collect()
    }

    fn asks(
        &self,
        (who, at): (&AgentId, u64),
        op: Op,
        branch: &BranchName,
        target: Target<'_>,
    ) -> bool {
        let request = Request {
            who: &Principal::agent(*who),
            op,
            branch: branch.as_str(),
            target,
            at,
        };
        self.rights.check(&request).is_allowed()
    }

    /// REPO-114. What the owner did they may do, as may they who do it again.
    fn may(&self, agent: &AgentId, of: &Said, at: u64) -> bool {
        let (who, commit) = ((agent, at), &of.commit);
        let branch = &commit.branch;
        if agent == self.rights.owner() {
            return true;
        }
        if branch.is_meta() {
            let admin = self.asks(who, Op::Admin, branch, Target::Branch);
            return admin || self.may_say(agent, of, at);
        }
        let begins = of.rests.iter().all(|it| {
            self.all
                .get(it)
                .is_none_or(|it| it.commit.branch != *branch)
        });
        let op = match begins {
            true => Op::Create,
            false if of.rests.len() < commit.parents.len() => Op::Merge,
            false => Op::Write,
        };
        if !self.asks(who, op, branch, Target::Branch) {
            return false;
        }
        of.changes.iter().all(|(key, entry)| {
            let on_key = match entry.state {
                State::Tombstone => Op::Delete,
                _ => Op::Write,
            };
            if op == Op::Write {
                return self.asks(who, on_key, branch, Target::Key(key));
            }
            let request = Request {
                who: &Principal::agent(*agent),
                op: on_key,
                branch: branch.as_str(),
                target: Target::Key(key),
                at,
            };
            self.rights.check_key(&request).is_allowed()
        })
    }

    /// Whether a commit on `meta` does nothing but pass on what its author has, or take back what it may.
    fn may_say(&self, agent: &AgentId, of: &Said, at: u64) -> bool {
        let may = |(key, entry): &(Vec<u8>, Entry)| {
            let (Ok(key), State::Value(bytes)) = (std::str::from_utf8(key), &entry.state) else {
                return false;
            };
            if let Some(name) = key.strip_prefix("grant/") {
                return statement::<Grant>(name, bytes).is_some_and(|grant| {
                    let holds = |of: Cid| self.rights.holds(agent, &of, at);
                    grant.issuer == *agent && grant.proof.is_some_and(holds)
                });
            }
            let ungrant = key
                .strip_prefix("ungrant/")
                .and_then(|name| statement::<Ungrant>(name, bytes));
            ungrant.is_some_and(|it| it.by == *agent && self.rights.may_take_back(agent, &it.of))
        };
        !of.changes.is_empty() && of.changes.iter().all(may)
    }

    /// Whether the author of a commit answers for all that is below it.
    fn answers(&self, of: &Said) -> bool {
        let commit = &of.commit;
        if commit.author == *self.rights.owner() {
            return true;
        }
        let (who, branch) = ((&commit.author, commit.stamp.millis()), &commit.branch);
        let all = Target::Prefix(b"");
        self.asks(who, Op::Write, branch, all)
            && self.asks(who, Op::Delete, branch, all)
            && self.asks(who, Op::Create, branch, Target::Branch)
            && self.asks(who, Op::Merge, branch, Target::Branch)
            && (!self.apart || self.asks(who, Op::Admin, branch, Target::Branch))
    }

    /// Whether a commit stands, and all that it rests on does, and so on: then nobody has to vouch for anything.
    pub(super) fn is_sound(&self, id: CommitId) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
        while let Some(id) = open.pop() {
            if !self.standing.contains(&id) {
                return false;
            }
            if seen.insert(id) {
                open.extend(&self.all[&id].rests);
            }
        }
        true
    }

    /// Whether the author of a commit may no more do what it does, and nobody else has built on it.
    pub(super) fn is_alone(&self, id: CommitId) -> bool {
        let author = self.all[&id].commit.author;
        let others = self.all.iter();
        let mut others = others.filter(|(_, said)| said.commit.author != author);
        !self.standing.contains(&id)
            && !others.any(|(of, _)| self.below(&BTreeSet::from([*of])).contains(&id))
    }

    fn below(&self, of: &BTreeSet<CommitId>) -> BTreeSet<CommitId> {
        let (mut all, mut open) = (BTreeSet::new(), Vec::new());
        open.extend(of);
        while let Some(id) = open.pop() {
            if all.insert(id) {
                open.extend(&self.all[&id].commit.parents);
            }
        }
        all
    }

    fn newest(&self, of: &BTreeSet<CommitId>) -> Heads {
        let parents = of.iter().flat_map(|id| self.all[id].commit.parents.iter());
        let below = self.below(&parents.copied().collect());
        of.difference(&below).copied().collect()
    }

    /// REPO-101 and REPO-116 for one branch.
    fn stand(&self, branch: &BranchName, known: &BTreeSet<CommitId>) -> (Heads, Heads) {
        let is_of = |id: &CommitId| {
            branch.is_meta() || !self.apart || self.all[id].commit.branch == *branch
        };
        let may = known.intersection(&self.counting).copied();
        let heads = self.newest(&may.filter(is_of).collect());
        let rest = known.difference(&self.below(&heads)).copied().collect();
        (heads, self.newest(&rest))
    }
}

fn add_grants(repo: &Repo, meta: &Entries, facts: &mut Facts) -> Result<(), String> {
    for (key, entry) in meta {
        let (Ok(key), Some(value)) = (std::str::from_utf8(key), value_of(repo, entry)?) else {
            continue;
        };
        if let Some(name) = key.strip_prefix("grant/") {
            if let Some(grant) = statement::<Grant>(name, &value) {
                facts.grants.insert(name.parse().map_err(words)?, grant);
            }
        } else if let Some(name) = key.strip_prefix("ungrant/")
            && let Some(ungrant) = statement::<Ungrant>(name, &value)
            && !facts.ungrants.contains(&ungrant)
        {
            facts.ungrants.push(ungrant);
        }
    }
    Ok(())
}

fn value_of(repo: &Repo, entry: &Entry) -> Result<Option<Bytes>, String> {
    match &entry.state {
        State::Value(bytes) => Ok(Some(bytes.clone())),
        State::Link(cid) => {
            let block = repo.store().get(cid).map_err(words)?;
            Ok(block.map(|block| block.bytes().clone()))
        }
        _ => Ok(None),
    }
}

/// A statement under its name.
fn statement<T: Payload + Clone>(name: &str, bytes: &Bytes) -> Option<T> {
    let signed = Signed::<T>::decode(bytes.clone()).ok()?.verify().ok()?;
    (signed.cid().to_string() == name).then(|| signed.payload().clone())
}
