//! What a commit does, as rights are asked about it (REPO-113, REPO-114).

use allod_access::{Authorizer, Grant, Op, Principal, Request, Target, Ungrant, Verdict};
use allod_identity::AgentId;
use allod_tree::Tree;
use bytes::Bytes;

use crate::accept::parents;
use crate::entry::Entry;
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Heads, Repo};
use crate::rights::Denial;
use crate::rights::facts::{GRANT_PREFIX, UNGRANT_PREFIX, verified};
use crate::statements::Commit;
use crate::view::{Content, decode};

/// Grants that one agent who does not own the space may have put into `meta`: so many people are few.
const GRANTS_OF_ONE_MAX: usize = 256;

/// Changed keys that are asked about together, at most: what is at hand of them stays small.
const TOGETHER: usize = 4096;

/// So few keys are asked about one by one.
const FEW: usize = 8;

/// What a commit does.
pub(crate) struct Deed<'a> {
    repo: &'a Repo,
    said: &'a Commit,
    /// Its parents on its own branch.
    own: Heads,
    /// The state after it; none where no more than its statement is here.
    tree: Option<Tree>,
    /// Whether it is looked at for the first time, so that a limit holds.
    is_new: bool,
    /// What it changed, where that is at hand.
    changed: Option<&'a [ChangedKey]>,
}

/// A key that was changed, and whether it has a value then. Many are in the order of their bytes.
pub(crate) type ChangedKey = (Bytes, bool);

impl<'a> Deed<'a> {
    /// What a commit does that led to a state.
    pub(crate) fn new(repo: &'a Repo, said: &'a Commit, tree: Tree) -> Result<Self, RepoError> {
        Self::of(repo, said, Some(tree), true)
    }

    /// What a commit does that is here.
    pub(crate) fn stored(
        repo: &'a Repo,
        id: CommitId,
        said: &'a Commit,
    ) -> Result<Self, RepoError> {
        let tree = match repo.held_tree(id) {
            Ok(tree) => Some(tree),
            Err(RepoError::Bare(_)) => None,
            Err(error) => return Err(error),
        };
        Self::of(repo, said, tree, false)
    }

    /// What a commit does, as far as its statement says.
    pub(crate) fn stated(repo: &'a Repo, said: &'a Commit) -> Result<Self, RepoError> {
        Self::of(repo, said, None, true)
    }

    fn of(
        repo: &'a Repo,
        said: &'a Commit,
        tree: Option<Tree>,
        is_new: bool,
    ) -> Result<Self, RepoError> {
        let mut own = Heads::new();
        for parent in &said.parents {
            if repo.commit(*parent)?.payload().branch == said.branch {
                own.insert(*parent);
            }
        }
        Ok(Self {
            repo,
            said,
            own,
            tree,
            is_new,
            changed: None,
        })
    }

    /// The same, where it is known by which keys it differs from the join of all its parents.
    pub(crate) fn changing(mut self, changed: Option<&'a [ChangedKey]>) -> Self {
        let merges = !self.own.is_empty() && self.own.len() < self.said.parents.len();
        self.changed = changed.filter(|_| !merges);
        self
    }

    /// Whether its author may do it.
    pub(crate) fn is_right(&self, rights: &Authorizer) -> Result<bool, RepoError> {
        Ok(self.wrong(rights)?.is_none())
    }

    /// What of it its author may not do, if there is something.
    pub(crate) fn wrong(&self, rights: &Authorizer) -> Result<Option<Denial>, RepoError> {
        self.denial(rights, &self.said.author, self.said.stamp.millis())
    }

    /// Whether somebody may do it at a time.
    pub(crate) fn is_allowed(
        &self,
        rights: &Authorizer,
        agent: &AgentId,
        at: u64,
    ) -> Result<bool, RepoError> {
        Ok(self.denial(rights, agent, at)?.is_none())
    }

    /// What of it somebody may not do at a time, if there is something: the one place that asks.
    fn denial(
        &self,
        rights: &Authorizer,
        agent: &AgentId,
        at: u64,
    ) -> Result<Option<Denial>, RepoError> {
        if self.said.branch.is_meta() {
            return self.denial_on_meta(rights, agent, at);
        }
        if rights.is_plain() && rights.is_member(agent) {
            return Ok(None);
        }
        let who = &Principal::agent(*agent);
        let joins = !self.own.is_empty() && self.own.len() < self.said.parents.len();
        let is_ordinary = (!self.own.is_empty() && !joins) || self.is_of_part()?;
        let op = if joins {
            Op::Merge
        } else if is_ordinary {
            Op::Write
        } else {
            Op::Create
        };
        let denied = |op, key, verdict| Denial {
            who: *agent,
            at,
            op,
            branch: self.said.branch.clone(),
            key,
            verdict,
        };
        let of_branch = rights.check(&self.request(who, op, Target::Branch, at));
        if !of_branch.is_allowed() {
            return Ok(Some(denied(op, None, of_branch)));
        }
        // Who writes has to be allowed the branch and the key together (ACCESS-21).
        let ask = |op: Op, target: Target<'_>| {
            let request = self.request(who, op, target, at);
            let verdict = if is_ordinary {
                rights.check(&request)
            } else {
                rights.check_key(&request)
            };
            (!verdict.is_allowed()).then_some(verdict)
        };
        let of_keys = |keys: &[ChangedKey]| {
            first_denied(keys, &ask).map(|(op, key, verdict)| denied(op, Some(key), verdict))
        };
        if let Some(changed) = self.changed {
            return Ok(of_keys(changed));
        }
        if self.tree.is_none() {
            return Ok(None);
        }
        let may_all = [Op::Write, Op::Delete]
            .into_iter()
            .all(|op| ask(op, Target::Prefix(b"")).is_none());
        if may_all {
            return Ok(None);
        }
        let (mut found, mut some) = (None, Vec::new());
        self.each_change(&mut |key, entry, _before| {
            some.push((key.clone(), entry.is_live()));
            if some.len() == TOGETHER {
                found = of_keys(&some);
                some.clear();
            }
            Ok(found.is_none())
        })?;
        Ok(found.or_else(|| of_keys(&some)))
    }

    /// Whether it was made by who has a part alone, and so names no parent (PART-23).
    fn is_of_part(&self) -> Result<bool, RepoError> {
        let repo = self.repo;
        Ok(self.said.parents.is_empty() && repo.is_of_parts(self.said, self.tree.as_ref())?)
    }

    fn request<'r>(
        &'r self,
        who: &'r Principal,
        op: Op,
        target: Target<'r>,
        at: u64,
    ) -> Request<'r> {
        Request {
            who,
            op,
            branch: self.said.branch.as_str(),
            target,
            at,
        }
    }

    /// REPO-114: who may not administer the space can still pass on what it has, and take that back.
    fn denial_on_meta(
        &self,
        rights: &Authorizer,
        agent: &AgentId,
        at: u64,
    ) -> Result<Option<Denial>, RepoError> {
        let who = &Principal::agent(*agent);
        let verdict = rights.check(&self.request(who, Op::Admin, Target::Branch, at));
        if verdict.is_allowed() {
            return Ok(None);
        }
        let (mut other, mut any, mut granted) = (None, false, 0);
        self.each_change(&mut |key, entry, before| {
            any = true;
            let may = !before && self.passes_on(rights, (agent, at), (key, entry), &mut granted)?;
            if !may {
                other = Some(key.clone());
            }
            Ok(may)
        })?;
        if any && other.is_none() {
            return Ok(None);
        }
        Ok(Some(Denial {
            who: *agent,
            at,
            op: Op::Admin,
            branch: self.said.branch.clone(),
            key: other,
            verdict,
        }))
    }

    /// Whether a new entry on `meta` is a grant that somebody may give, of which so many came before, or takes one back that they
    /// may take back.
    fn passes_on(
        &self,
        rights: &Authorizer,
        (agent, at): (&AgentId, u64),
        (key, entry): (&Bytes, &Entry),
        granted: &mut usize,
    ) -> Result<bool, RepoError> {
        let key = std::str::from_utf8(key).unwrap_or_default();
        let Some(Content::Bytes(bytes)) = self.repo.content(entry)? else {
            return Ok(false);
        };
        let may = if let Some(name) = key.strip_prefix(GRANT_PREFIX) {
            *granted += 1;
            let is_room = rights.issued_by(agent) + *granted <= GRANTS_OF_ONE_MAX;
            let is_room = is_room || !self.is_new;
            verified::<Grant>(name, bytes).is_some_and(|grant| {
                let grant = grant.payload();
                is_room
                    && grant.issuer == *agent
                    && grant.space == *self.repo.id().cid()
                    && grant.proof.is_some_and(|of| rights.holds(agent, &of, at))
            })
        } else if let Some(name) = key.strip_prefix(UNGRANT_PREFIX) {
            verified::<Ungrant>(name, bytes).is_some_and(|ungrant| {
                let ungrant = ungrant.payload();
                ungrant.by == *agent && rights.may_take_back(agent, &ungrant.of)
            })
        } else {
            false
        };
        Ok(may)
    }

    /// Hands on each entry that it changed, with whether there was one before, until that says false.
    fn each_change(&self, each: &mut EachChange<'_>) -> Result<(), RepoError> {
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        // What a merge changes, it changes in what its own branch had.
        let before = if self.own.is_empty() {
            parents(self.said)
        } else {
            self.own.clone()
        };
        let held = self.repo.held_of(&before)?;
        if held != before {
            // What is bare changed something too, and what that was is not here (PART-24).
            return Ok(());
        }
        let (base, _) = self.repo.joined(&held)?;
        for change in base.diff(tree) {
            let change = change?;
            let Some(entry) = change.right else {
                continue;
            };
            if !each(&change.key, &decode(&entry)?, change.left.is_some())? {
                break;
            }
        }
        Ok(())
    }
}

/// The first of some keys that may not be changed, and why: none if all that begins as all of them do may be, or else of each half.
fn first_denied(
    keys: &[ChangedKey],
    ask: &dyn Fn(Op, Target<'_>) -> Option<Verdict>,
) -> Option<(Op, Bytes, Verdict)> {
    let ((first, _), (last, _)) = (keys.first()?, keys.last()?);
    let op_of = |live: bool| if live { Op::Write } else { Op::Delete };
    if keys.len() <= FEW {
        return keys.iter().find_map(|(key, live)| {
            let op = op_of(*live);
            ask(op, Target::Key(key)).map(|verdict| (op, key.clone(), verdict))
        });
    }
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let prefix = Target::Prefix(&first[..common]);
    let has = |live: bool| keys.iter().any(|(_, it)| *it == live);
    if [true, false]
        .into_iter()
        .all(|live| !has(live) || ask(op_of(live), prefix).is_none())
    {
        return None;
    }
    let (left, right) = keys.split_at(keys.len() / 2);
    first_denied(left, ask).or_else(|| first_denied(right, ask))
}

type EachChange<'a> = dyn FnMut(&Bytes, &Entry, bool) -> Result<bool, RepoError> + 'a;

/// REPO-111 for one changed entry: what gives a right or takes it back stays in `meta`.
pub(crate) fn check_kept(
    branch: &BranchName,
    key: &[u8],
    before: Option<&Bytes>,
    entry: &Entry,
) -> Result<(), Refusal> {
    let kept = [GRANT_PREFIX, UNGRANT_PREFIX];
    let Some(before) = before else { return Ok(()) };
    if !branch.is_meta() || !kept.iter().any(|prefix| key.starts_with(prefix.as_bytes())) {
        return Ok(());
    }
    let before = Entry::decode(before).map_err(Refusal::Entry)?;
    if before.state == entry.state {
        return Ok(());
    }
    Err(Refusal::Kept)
}
