//! A naive reading of REPO-100, REPO-101 and REPO-112 to REPO-116: all that a replica knows, looked at from the beginning.

use std::collections::{BTreeMap, BTreeSet};

use allod_access::{Authorizer, Principal, Request, Target};
use allod_identity::Standing;
use allod_repo::Entry;

use super::*;

/// What came to a replica, by branch.
pub(crate) type Known = BTreeMap<BranchName, Heads>;

/// Where a branch stands: its heads, and what is beside it.
pub(crate) type Stands = BTreeMap<BranchName, (Heads, Heads)>;

/// Where all branches of a replica stand.
pub(crate) fn stands_of(repo: &Repo) -> Stands {
    let offered = repo.offered().unwrap().into_iter();
    let stand = |name: BranchName| {
        let (heads, beside) = (repo.heads(&name).unwrap(), repo.beside(&name).unwrap());
        (name, (heads, beside))
    };
    offered.map(|(name, _)| stand(name)).collect()
}

/// Adds all that a replica offers to what came to it.
pub(crate) fn note(repo: &Repo, known: &mut Known) {
    for (branch, tips) in repo.offered().unwrap() {
        let all = repo.missing(&tips, &Heads::new()).unwrap();
        known.entry(branch).or_default().extend(all);
    }
}

/// What a commit is to the reading.
struct Said {
    id: CommitId,
    commit: Commit,
    /// Whether its signer speaks for its author.
    speaks: bool,
    rests: Vec<CommitId>,
    /// What it changes: keys with whether they are there after it.
    changes: Vec<(Vec<u8>, Entry)>,
}

/// The reading of one half of a space, `meta` or all the rest.
pub(crate) struct Naive {
    all: BTreeMap<CommitId, Said>,
    apart: bool,
    rights: Authorizer,
}

/// All that a commit's tree has, what was deleted too.
fn entries(repo: &Repo, id: &CommitId) -> BTreeMap<Vec<u8>, Entry> {
    let tree = repo.tree(repo.commit(*id).unwrap().payload().tree).unwrap();
    let all = tree.range(..);
    let decoded = |(key, entry): (Bytes, Bytes)| (key.to_vec(), Entry::decode(&entry).unwrap());
    all.map(|item| decoded(item.unwrap())).collect()
}

/// REPO-5, of values that do not join.
fn joined(repo: &Repo, ids: &[CommitId]) -> BTreeMap<Vec<u8>, Entry> {
    let mut all: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    for (key, entry) in ids.iter().flat_map(|id| entries(repo, id)) {
        let order = |entry: &Entry| (entry.stamp, entry.encode());
        let known = all.get(&key).map(order);
        if known.is_none_or(|known| known < order(&entry)) {
            all.insert(key, entry);
        }
    }
    all
}

impl Naive {
    fn new(repo: &Repo, rights: Authorizer, ids: &Heads) -> Self {
        let apart = rights.rules_moves();
        let mut all = BTreeMap::new();
        for id in ids {
            let stored = repo.commit(*id).unwrap();
            let commit = stored.payload().clone();
            let log = repo.agents().key_log(&commit.author).unwrap();
            let branch_of = |id: &CommitId| repo.commit(*id).unwrap().payload().branch.clone();
            let parents = commit.parents.iter().copied();
            let own: Vec<CommitId> = parents
                .filter(|it| branch_of(it) == commit.branch)
                .collect();
            let rests = if own.is_empty() {
                commit.parents.clone()
            } else {
                own
            };
            let (before, after) = (joined(repo, &rests), entries(repo, id));
            let changes = after.into_iter();
            let changes = changes.filter(|(key, entry)| before.get(key) != Some(entry));
            let said = Said {
                id: *id,
                speaks: log.standing(stored.signer()) == Some(Standing::Now),
                changes: changes.collect(),
                commit,
                rests,
            };
            all.insert(*id, said);
        }
        Self { all, apart, rights }
    }

    fn asks(
        &self,
        who: &Principal,
        (op, branch): (Op, &BranchName),
        target: Target<'_>,
        at: u64,
    ) -> bool {
        let request = Request {
            who,
            op,
            branch: branch.as_str(),
            target,
            at,
        };
        self.rights.check(&request).is_allowed()
    }

    /// REPO-114.
    fn may(&self, agent: &allod_identity::AgentId, of: &Said, at: u64) -> bool {
        let (who, commit) = (Principal::agent(*agent), &of.commit);
        let branch = &commit.branch;
        if branch.is_meta() {
            return self.asks(&who, (Op::Admin, branch), Target::Branch, at)
                || self.may_say(agent, of, at);
        }
        let begins = of
            .rests
            .iter()
            .all(|it| self.all[it].commit.branch != *branch);
        let op = match begins {
            true => Op::Create,
            false if of.rests.len() < commit.parents.len() => Op::Merge,
            false => Op::Write,
        };
        if !self.asks(&who, (op, branch), Target::Branch, at) {
            return false;
        }
        of.changes.iter().all(|(key, entry)| {
            let on_key = if entry.is_live() {
                Op::Write
            } else {
                Op::Delete
            };
            let request = Request {
                who: &who,
                op: on_key,
                branch: branch.as_str(),
                target: Target::Key(key),
                at,
            };
            let verdict = if op == Op::Write {
                self.rights.check(&request)
            } else {
                self.rights.check_key(&request)
            };
            verdict.is_allowed()
        })
    }

    fn may_say(&self, agent: &allod_identity::AgentId, of: &Said, at: u64) -> bool {
        let may = |(key, entry): &(Vec<u8>, Entry)| {
            let key = std::str::from_utf8(key).unwrap();
            let allod_repo::State::Value(bytes) = &entry.state else {
                return false;
            };
            if key.starts_with("grant/") {
                let grant = allod_identity::Signed::<Grant>::decode(bytes.clone()).unwrap();
                let grant = grant.verify().unwrap().payload().clone();
                return grant.issuer == *agent
                    && grant
                        .proof
                        .is_some_and(|it| self.rights.holds(agent, &it, at));
            }
            let ungrant = allod_identity::Signed::<Ungrant>::decode(bytes.clone());
            key.starts_with("ungrant/")
                && ungrant.is_ok_and(|it| {
                    let said = it.verify().unwrap().payload().clone();
                    said.by == *agent && self.rights.may_take_back(agent, &said.of)
                })
        };
        !of.changes.is_empty() && of.changes.iter().all(may)
    }

    fn stands(&self, of: &Said) -> bool {
        let commit = &of.commit;
        let is_owner = commit.author == *self.rights.owner();
        of.speaks && (is_owner || self.may(&commit.author, of, commit.stamp.millis()))
    }

    /// Whether a commit answers for all that is below it.
    fn answers_for_all(&self, of: &Said) -> bool {
        if of.commit.author == *self.rights.owner() {
            return true;
        }
        let (who, at) = (Principal::agent(of.commit.author), of.commit.stamp.millis());
        let branch = &of.commit.branch;
        let keys = [Op::Write, Op::Delete]
            .map(|op| self.asks(&who, (op, branch), Target::Prefix(b""), at));
        let moves =
            [Op::Create, Op::Merge].map(|op| self.asks(&who, (op, branch), Target::Branch, at));
        let admin = self.asks(&who, (Op::Admin, branch), Target::Branch, at);
        keys == [true; 2] && moves == [true; 2] && (admin || !self.apart)
    }

    /// Whether there is a way from a commit down to another one on which nobody stands for that.
    fn is_way(&self, from: &Said, to: &Said) -> bool {
        if from.id == to.id {
            return true;
        }
        let at = from.commit.stamp.millis();
        let vouches = self.answers_for_all(from) || self.may(&from.commit.author, to, at);
        if self.stands(from) && vouches {
            return false;
        }
        from.rests.iter().any(|it| self.is_way(&self.all[it], to))
    }

    fn rests_on(&self, of: &Said, found: &mut BTreeSet<CommitId>) {
        for id in &of.rests {
            if found.insert(*id) {
                self.rests_on(&self.all[id], found);
            }
        }
    }

    /// REPO-100: those that count.
    fn counting(&self) -> BTreeSet<CommitId> {
        let mut counting = BTreeSet::new();
        let standing: BTreeSet<CommitId> = self
            .all
            .values()
            .filter(|it| self.stands(it))
            .map(|it| it.id)
            .collect();
        for id in &standing {
            let mut below = BTreeSet::new();
            self.rests_on(&self.all[id], &mut below);
            let mut lost = below.difference(&standing);
            if lost.all(|to| !self.is_way(&self.all[id], &self.all[to])) {
                counting.insert(*id);
            }
        }
        loop {
            let before = counting.len();
            for (id, said) in &self.all {
                if standing.contains(id) && said.rests.iter().all(|it| counting.contains(it)) {
                    counting.insert(*id);
                }
                if counting.contains(id) {
                    counting.extend(&said.rests);
                    if standing.contains(id) && self.answers_for_all(said) {
                        counting.extend(self.below(&BTreeSet::from([*id])));
                    }
                }
            }
            if counting.len() == before {
                return counting;
            }
        }
    }

    /// What is said of each commit is what it is: what its author may not do, and who stands for it.
    fn check_reasons(&self, repo: &Repo, counting: &BTreeSet<CommitId>) {
        for (id, said) in &self.all {
            let author = &said.commit.author;
            let may =
                author == self.rights.owner() || self.may(author, said, said.commit.stamp.millis());
            let denial = repo.denial_of(*id).unwrap();
            assert_eq!(denial.is_none(), may, "{denial:?}");
            if let Some(denial) = denial {
                assert_eq!((&denial.who, denial.verdict.is_allowed()), (author, false));
                let is_key = |key: &Bytes| said.changes.iter().any(|(it, _)| *it == *key);
                assert!(denial.key.as_ref().is_none_or(is_key), "{denial:?}");
            }
            if counting.contains(id) && !self.stands(said) {
                let voucher = repo.voucher_of(*id).unwrap().unwrap();
                assert!(counting.contains(&voucher) && self.stands(&self.all[&voucher]));
            }
        }
    }

    fn newest(&self, of: &BTreeSet<CommitId>) -> Heads {
        let parents = |id: &CommitId| self.all[id].commit.parents.clone();
        let below: BTreeSet<CommitId> = self.below(&of.iter().flat_map(parents).collect());
        of.difference(&below).copied().collect()
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

    /// REPO-101 and REPO-116 for one branch.
    fn stand(
        &self,
        branch: &BranchName,
        known: &Heads,
        counting: &BTreeSet<CommitId>,
    ) -> (Heads, Heads) {
        let is_of = |id: &CommitId| {
            branch.is_meta() || !self.apart || self.all[id].commit.branch == *branch
        };
        let may: BTreeSet<CommitId> = known
            .intersection(counting)
            .copied()
            .filter(is_of)
            .collect();
        let heads = self.newest(&may);
        let rest: BTreeSet<CommitId> = known.difference(&self.below(&heads)).copied().collect();
        (heads, self.newest(&rest))
    }
}

/// What all that came to a replica makes of it, by the rights that are read from `meta` as it stands there.
pub(crate) fn naive(repo: &Repo, known: &Known) -> Stands {
    let owner = repo.genesis().payload().owner;
    let facts = repo.authorizer().unwrap().facts().clone();
    let rights = || Authorizer::new(owner, *repo.id().cid(), &facts);
    let mut stands = Stands::new();
    for of_meta in [true, false] {
        let is_mine =
            |(name, ids): &(&BranchName, &Heads)| name.is_meta() == of_meta && !ids.is_empty();
        let mine = || known.iter().filter(is_mine);
        let all: Heads = mine().flat_map(|(_, ids)| ids.iter().copied()).collect();
        let reading = Naive::new(repo, rights(), &all);
        let counting = reading.counting();
        reading.check_reasons(repo, &counting);
        for (branch, ids) in mine() {
            let stand = reading.stand(branch, ids, &counting);
            stands.insert(branch.clone(), stand);
        }
    }
    stands
}
