//! What a commit does, as rights are asked about it (REPO-113, REPO-114).

use allod_access::{Authorizer, Grant, Op, Principal, Request, Target, Ungrant};
use allod_tree::Tree;
use bytes::Bytes;

use crate::accept::parents;
use crate::entry::Entry;
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Heads, Repo};
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
        let who = Principal::agent(self.said.author);
        self.is_allowed(rights, &who, self.said.stamp.millis())
    }

    /// Whether somebody may do it at a time.
    pub(crate) fn is_allowed(
        &self,
        rights: &Authorizer,
        who: &Principal,
        at: u64,
    ) -> Result<bool, RepoError> {
        if self.said.branch.is_meta() {
            return self.is_allowed_on_meta(rights, who, at);
        }
        if rights.is_plain() {
            return Ok(who.agent_id().is_some_and(|agent| rights.is_member(agent)));
        }
        let joins = !self.own.is_empty() && self.own.len() < self.said.parents.len();
        let is_ordinary = (!self.own.is_empty() && !joins) || self.is_of_part()?;
        let op = if joins {
            Op::Merge
        } else if is_ordinary {
            Op::Write
        } else {
            Op::Create
        };
        let as_branch = self.request(who, op, Target::Branch, at);
        if !rights.check(&as_branch).is_allowed() {
            return Ok(false);
        }
        // Who writes has to be allowed the branch and the key together (ACCESS-21).
        let may = |request: &Request<'_>| {
            let verdict = if is_ordinary {
                rights.check(request)
            } else {
                rights.check_key(request)
            };
            verdict.is_allowed()
        };
        let may_all = [Op::Write, Op::Delete]
            .into_iter()
            .all(|op| may(&self.request(who, op, Target::Prefix(b""), at)));
        if may_all {
            return Ok(true);
        }
        let may_keys = |keys: &[ChangedKey]| {
            are_allowed(keys, &|op, target| may(&self.request(who, op, target, at)))
        };
        if let Some(changed) = self.changed {
            return Ok(may_keys(changed));
        }
        let (mut may_each, mut some) = (true, Vec::new());
        self.each_change(&mut |key, entry, _before| {
            some.push((key.clone(), entry.is_live()));
            if some.len() == TOGETHER {
                may_each = may_keys(&some);
                some.clear();
            }
            Ok(may_each)
        })?;
        Ok(may_each && may_keys(&some))
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
    fn is_allowed_on_meta(
        &self,
        rights: &Authorizer,
        who: &Principal,
        at: u64,
    ) -> Result<bool, RepoError> {
        if rights
            .check(&self.request(who, Op::Admin, Target::Branch, at))
            .is_allowed()
        {
            return Ok(true);
        }
        let (Some(agent), true) = (who.agent_id(), self.tree.is_some()) else {
            return Ok(false);
        };
        let space = *self.repo.id().cid();
        let (mut may, mut any, mut granted) = (true, false, 0);
        self.each_change(&mut |key, entry, before| {
            any = true;
            let key = std::str::from_utf8(key).unwrap_or_default();
            let Some(Content::Bytes(bytes)) = self.repo.content(entry)? else {
                may = false;
                return Ok(false);
            };
            may = !before
                && if let Some(name) = key.strip_prefix(GRANT_PREFIX) {
                    granted += 1;
                    let is_room = rights.issued_by(agent) + granted <= GRANTS_OF_ONE_MAX;
                    let is_room = is_room || !self.is_new;
                    verified::<Grant>(name, bytes).is_some_and(|grant| {
                        let grant = grant.payload();
                        is_room
                            && grant.issuer == *agent
                            && grant.space == space
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
        })?;
        Ok(may && any)
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

/// Whether each of some keys may be changed: all that begins as all of them do, or else each half.
fn are_allowed(keys: &[ChangedKey], may: &dyn Fn(Op, Target<'_>) -> bool) -> bool {
    let (Some((first, _)), Some((last, _))) = (keys.first(), keys.last()) else {
        return true;
    };
    let op_of = |live: bool| if live { Op::Write } else { Op::Delete };
    if keys.len() <= FEW {
        let mut keys = keys.iter();
        return keys.all(|(key, live)| may(op_of(*live), Target::Key(key)));
    }
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let prefix = Target::Prefix(&first[..common]);
    let has = |live: bool| keys.iter().any(|(_, it)| *it == live);
    if [true, false]
        .into_iter()
        .all(|live| !has(live) || may(op_of(live), prefix))
    {
        return true;
    }
    let (left, right) = keys.split_at(keys.len() / 2);
    are_allowed(left, may) && are_allowed(right, may)
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
