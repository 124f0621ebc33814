//! Who may do what in the space: what `meta` says of it, and which commits that lets count (REPO-110 to REPO-117).

mod counting;
mod deed;
mod denial;
mod facts;
mod granting;
mod members;
mod vouching;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_access::{Authorizer, Facts, Grant, Op, Principal, Request, Target, Verdict};
use allod_blocks::Cid;
use allod_identity::{AgentId, Verified};
use allod_tree::Tree;

use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Heads, Repo, lock};
use crate::statements::Commit;

pub(crate) use deed::{ChangedKey, Deed, check_kept};
pub use denial::{Denial, OnDenial};
pub use granting::Granting;
pub use members::{BadReach, Reach};

pub(crate) use facts::{GRANT_PREFIX, MEMBER_PREFIX, RULE_PREFIX, UNGRANT_PREFIX, VERSION_BYTES};
pub(crate) use vouching::Unvouched;

/// What was said at commits of `meta` that is kept at hand.
const EARLIER: usize = 64;

/// Grants whose signatures need not be checked again.
const GRANTS: usize = 4096;

/// Answers about commits that are kept at hand: those of a few branches since somebody's right went.
const ANSWERS_KEPT: usize = 65_536;

/// What was said at commits of `meta`, with how much was known of agents when it was read.
type Earlier = (u64, BTreeMap<Option<CommitId>, Arc<Authorizer>>);

/// What is known of rights, kept at hand.
#[derive(Default)]
pub(crate) struct KnownRights {
    now: Mutex<Option<(Known, Arc<Rights>)>>,
    /// What was last heeded (REPO-115).
    pub(crate) heeded: Mutex<Option<Arc<Rights>>>,
    earlier: Mutex<Earlier>,
    grants: Mutex<BTreeMap<Cid, Arc<Verified<Grant>>>>,
}

/// What rights follow from: heads of `meta`, what is beside them, and how much was learned of agents.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Known {
    heads: Heads,
    beside: Heads,
    learned: u64,
}

/// Rights as they follow from what is known.
#[derive(Debug)]
pub(crate) struct Rights {
    pub(crate) facts: Facts,
    pub(crate) authorizer: Authorizer,
    /// Whether the author of a commit may do what it does.
    pub(crate) may: Mutex<BTreeMap<CommitId, bool>>,
    pub(crate) unvouched: Mutex<BTreeMap<CommitId, Unvouched>>,
}

impl Rights {
    /// Whether it is for members alone to say anything, and for all of them alike.
    pub(crate) fn are_plain(&self) -> bool {
        self.authorizer.is_plain()
    }

    fn keep_answer(&self, id: CommitId, may: bool) {
        let mut known = lock(&self.may);
        if known.len() >= ANSWERS_KEPT {
            known.clear();
        }
        known.insert(id, may);
    }

    /// Whether a branch has no heads but commits that were made on it: what may be done on one is not what may be done on
    /// another (REPO-116).
    pub(crate) fn is_named_by_commits(&self, branch: &BranchName) -> bool {
        !branch.is_meta() && self.authorizer.rules_moves()
    }
}

impl Repo {
    /// Who may do what, by what is known now.
    pub(crate) fn rights(&self) -> Result<Arc<Rights>, RepoError> {
        let (_, stand) = self.read_stand(&BranchName::meta())?;
        let known = Known {
            heads: stand.heads,
            beside: stand.beside,
            learned: self.agents().learned(),
        };
        if let Some((of, rights)) = &*lock(&self.inner.rights.now)
            && *of == known
        {
            return Ok(Arc::clone(rights));
        }
        let facts = self.facts(&known.heads, &known.beside)?;
        let rights = Arc::new(self.rights_by(facts));
        *lock(&self.inner.rights.now) = Some((known, Arc::clone(&rights)));
        Ok(rights)
    }

    /// Who may do what by these facts.
    pub(crate) fn rights_by(&self, facts: Facts) -> Rights {
        Rights {
            authorizer: self.authorizer_of(&facts),
            facts,
            may: Mutex::default(),
            unvouched: Mutex::default(),
        }
    }

    /// The same, for who asks about many things: an answer holds as long as nothing is learned.
    pub fn authorizer(&self) -> Result<RightsNow, RepoError> {
        self.rights().map(RightsNow)
    }

    /// Answers a request by what is known now.
    pub fn may(&self, request: &Request<'_>) -> Result<Verdict, RepoError> {
        Ok(self.rights()?.authorizer.check(request))
    }

    /// Whether somebody might read all that a commit has, by the `meta` that it names, or by a later one that the commit which
    /// goes on from it names: then they may have it, whatever they may read now.
    pub fn might_read(
        &self,
        id: CommitId,
        agent: &AgentId,
        by: &Commit,
    ) -> Result<bool, RepoError> {
        let commit = self.commit(id)?;
        let said = commit.payload();
        if self.reads_by(said.policy, agent, said)? {
            return Ok(true);
        }
        let is_later = match (said.policy, by.policy) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(then), Some(later)) => {
                self.has_commit(then)?
                    && self.has_commit(later)?
                    && self.is_ancestor(then, later)?
            }
        };
        Ok(is_later && self.reads_by(by.policy, agent, said)?)
    }

    fn reads_by(
        &self,
        policy: Option<CommitId>,
        agent: &AgentId,
        said: &Commit,
    ) -> Result<bool, RepoError> {
        if policy.is_some_and(
            |policy| !matches!(self.commit(policy), Ok(it) if it.payload().branch.is_meta()),
        ) {
            return Ok(false);
        }
        let who = Principal::agent(*agent);
        let read_all = Request {
            who: &who,
            op: Op::Read,
            branch: said.branch.as_str(),
            target: Target::Prefix(b""),
            at: said.stamp.millis(),
        };
        Ok(self.rights_at(policy)?.check(&read_all).is_allowed())
    }

    /// Who might do what at a commit of `meta`, or before there was any.
    fn rights_at(&self, policy: Option<CommitId>) -> Result<Arc<Authorizer>, RepoError> {
        let learned = self.agents().learned();
        {
            let mut earlier = lock(&self.inner.rights.earlier);
            if earlier.0 != learned {
                // Whose key somebody's grant was signed with may be known only now.
                *earlier = (learned, BTreeMap::new());
            }
            if let Some(known) = earlier.1.get(&policy) {
                return Ok(Arc::clone(known));
            }
        }
        let authorizer = Arc::new(self.authorizer_of(&self.facts_at(policy)?));
        let mut earlier = lock(&self.inner.rights.earlier);
        if earlier.1.len() >= EARLIER {
            earlier.1.clear();
        }
        if earlier.0 == learned {
            earlier.1.insert(policy, Arc::clone(&authorizer));
        }
        Ok(authorizer)
    }

    fn authorizer_of(&self, facts: &Facts) -> Authorizer {
        let owner = self.genesis().payload().owner;
        Authorizer::new(owner, *self.id().cid(), facts)
    }

    /// Whether the author of a commit that is here may do what it does, by what is known (REPO-112).
    pub(crate) fn may_now(
        &self,
        rights: &Rights,
        id: CommitId,
        said: &Commit,
    ) -> Result<bool, RepoError> {
        if self.is_owner(&said.author) {
            // What they may do nobody takes away, and a rule that lets nobody do it is not about what was done.
            return Ok(true);
        }
        if let Some(may) = lock(&rights.may).get(&id) {
            return Ok(*may);
        }
        let may = Deed::stored(self, id, said)?.is_right(&rights.authorizer)?;
        rights.keep_answer(id, may);
        Ok(may)
    }

    /// Remembers of a commit that is here by which keys it differs from its parents, as far as that decides something.
    pub(crate) fn note_deed(
        &self,
        (id, said): (CommitId, &Commit),
        changed: Option<&[ChangedKey]>,
    ) -> Result<(), RepoError> {
        let (Some(changed), false) = (changed, self.is_owner(&said.author)) else {
            return Ok(());
        };
        let rights = self.rights()?;
        let deed = Deed::stored(self, id, said)?.changing(Some(changed));
        let may = deed.is_right(&rights.authorizer)?;
        rights.keep_answer(id, may);
        Ok(())
    }

    /// The head of `meta` that a commit names which is being made: one that allows it alone (REPO-113). Refuses what its
    /// author may not do by all that is known.
    pub(crate) fn policy_of(
        &self,
        said: &Commit,
        after: &Tree,
    ) -> Result<Option<CommitId>, RepoError> {
        let rights = self.rights()?;
        let heads = self.heads(&BranchName::meta())?;
        let unsaid = heads.is_empty().then_some(None);
        let (mut is_right, mut wrong) = (false, None);
        for policy in heads.into_iter().map(Some).chain(unsaid) {
            let said = Commit {
                policy,
                ..said.clone()
            };
            let deed = Deed::new(self, &said, after.clone())?;
            if let Some(denial) = deed.wrong(&rights.authorizer)? {
                wrong = Some(denial);
                continue;
            }
            is_right = true;
            if self.is_owner(&said.author) || deed.is_right(&*self.rights_at(policy)?)? {
                return Ok(policy);
            }
        }
        if let (false, Some(denial)) = (is_right, wrong) {
            return Err(RepoError::Denied {
                refusal: refusal(&rights.authorizer, said),
                denial: Box::new(denial),
            });
        }
        // What they allow together, somebody who administers the space says in one.
        Err(RepoError::RightsApart)
    }

    /// Lets go of who stands for what: something went out of quarantine.
    pub(crate) fn forget_answers(&self) -> Result<(), RepoError> {
        lock(&self.rights()?.unvouched).clear();
        Ok(())
    }

    /// Refuses a commit of somebody who may not do what it does by the `meta` that it names (REPO-113): by its statement, or by the state
    /// that it led to, with what it changed where that is at hand.
    pub(crate) fn review_rights(
        &self,
        (id, said): (CommitId, &Commit),
        done: Option<(&Tree, Option<&[ChangedKey]>)>,
    ) -> Result<(), Rejected> {
        if self.is_owner(&said.author) {
            return Ok(());
        }
        let rights = self.policy_rights(said)?;
        let deed = match done {
            Some((after, changed)) => Deed::new(self, said, after.clone())?.changing(changed),
            None => Deed::stated(self, said)?,
        };
        let Some(denial) = deed.wrong(&rights)? else {
            return Ok(());
        };
        // On meta it depends on what it changes.
        if done.is_none() && said.branch.is_meta() && rights.is_named(&said.author) {
            return Ok(());
        }
        self.tell_refused(id, &denial)?;
        Err(refusal(&rights, said).into())
    }

    fn policy_rights(&self, said: &Commit) -> Result<Arc<Authorizer>, Rejected> {
        if let Some(policy) = said.policy {
            match self.commit(policy) {
                Ok(commit) if commit.payload().branch.is_meta() => {}
                Ok(_) | Err(RepoError::NoCommit(_)) => return Err(Refusal::Policy.into()),
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(self.rights_at(said.policy)?)
    }

    /// Decides anew which commits count if who may do what has changed since it was last decided (REPO-115).
    pub(crate) fn heed_rights(&self) -> Result<(), RepoError> {
        // What counts on meta may change what is said there; each time somebody's right goes, or comes back.
        for _ in 0..ROUNDS {
            let rights = self.rights()?;
            let heeded = lock(&self.inner.rights.heeded).replace(Arc::clone(&rights));
            let is_heeded = heeded.is_some_and(|it| it.facts == rights.facts);
            if is_heeded {
                return Ok(());
            }
            let _moved = self.reconsider()?;
        }
        Ok(())
    }
}

/// Why a commit may not be made.
fn refusal(rights: &Authorizer, said: &Commit) -> Refusal {
    let who = Principal::agent(said.author);
    if said.branch.is_meta() {
        Refusal::NotOwner
    } else if rights.knows(&who, said.stamp.millis()) {
        Refusal::Rights
    } else {
        Refusal::NotMember
    }
}

/// How often rights are looked at anew because of what they made count.
const ROUNDS: usize = 8;

/// Who may do what in a space, by what is known when it was asked for.
#[derive(Clone, Debug)]
pub struct RightsNow(Arc<Rights>);

impl std::ops::Deref for RightsNow {
    type Target = Authorizer;

    fn deref(&self) -> &Authorizer {
        &self.0.authorizer
    }
}

impl RightsNow {
    /// Whether nothing was learned between both.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What the space says, from which it follows.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }
}
