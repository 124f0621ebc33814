//! Commits from elsewhere: looked at, completed, and only then believed.
//!
//! ```text
//! bytes --review--> Reviewed --with_changes--> Complete --accept--> on the branch
//!                   Reviewed --fetch_tree--> Arriving --finish--> Complete
//! ```
//! Each step holds the proof of the one before. Until the last, nothing that a reader can reach
//! has changed.

use std::collections::VecDeque;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Expect};
use allod_crdt::State as Joinable;
use allod_identity::{Signed, Verified};
use allod_tree::Tree;
use bytes::Bytes;

use crate::agents::{spoke, statement_block};
use crate::entry::{Entry, StateRef, VALUE_INLINE_BYTES_MAX, joins, left_wins};
use crate::error::{Refusal, Rejected, RepoError};
use crate::history::ByCommit;
use crate::hooks::{Act, Proposal};
use crate::ids::{BranchName, CommitId};
use crate::joining::{Joining, Load, join_entries};
use crate::kinds::{KindRules, check_rule};
use crate::layout;
use crate::part::{Holding, Step};
use crate::repo::{Heads, Repo, lock};
use crate::rights::{ChangedKey, check_kept};
use crate::statements::Commit;
use crate::tags::check_tag;
use crate::timing::Verb;
use crate::view::check_key;
use crate::write::{Entries, TRIES, apply};

/// Entries after which it is guessed how large a change is: few to read in vain.
const SAMPLE: usize = 1024;

/// Commits whose changes are kept at hand: those of half a minute where many write.
pub(crate) const RECENT: usize = 2048;

/// Bytes of changes of one of them; larger ones take longer to be sent than to be found.
const RECENT_BYTES: usize = 4096;

/// A commit whose own words are in order (REPO-10 to REPO-14, REPO-17); its tree is not known yet.
#[derive(Clone, Debug)]
pub struct Reviewed {
    commit: Verified<Commit>,
    /// Why it is to be in quarantine, if it is.
    note: Option<Bytes>,
}

/// A commit with its whole tree (REPO-15, REPO-16).
#[derive(Debug)]
pub struct Complete {
    commit: Verified<Commit>,
    note: Option<Bytes>,
    tree: Tree,
    blocks: Vec<Block>,
    links: Vec<Cid>,
    /// Entries that join and can be judged when what they link to is here: before and now.
    states: Vec<Judged>,
    holding: Holding,
    /// By which keys it differs from the join of its parents, where that is at hand.
    changed: Option<Vec<ChangedKey>>,
}

/// A changed entry that joins with the one before it.
pub(crate) type Judged = (Option<Bytes>, Bytes);

/// What is found of one changed entry.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) link: Option<Cid>,
    pub(crate) judged: Option<Judged>,
}

impl Reviewed {
    /// The commit's id.
    #[must_use]
    pub fn id(&self) -> CommitId {
        CommitId::from_cid(*self.commit.cid())
    }

    /// What was signed.
    #[must_use]
    pub const fn commit(&self) -> &Verified<Commit> {
        &self.commit
    }

    /// A commit that passed before, and was kept.
    pub(crate) const fn again(commit: Verified<Commit>) -> Self {
        Self { commit, note: None }
    }

    /// The commit, and the note on it.
    pub(crate) fn into_parts(self) -> (Verified<Commit>, Option<Bytes>) {
        (self.commit, self.note)
    }
}

impl Complete {
    /// A commit whose tree is in the store.
    pub(crate) fn new(
        (commit, note): (Verified<Commit>, Option<Bytes>),
        tree: Tree,
        (links, states): (Vec<Cid>, Vec<Judged>),
        holding: Holding,
    ) -> Self {
        Self {
            commit,
            note,
            tree,
            blocks: Vec::new(),
            links,
            states,
            holding,
            changed: None,
        }
    }

    /// The branch that it was made on.
    pub(crate) fn branch(&self) -> &BranchName {
        &self.commit.payload().branch
    }

    /// What the changed entries link to.
    #[must_use]
    pub fn links(&self) -> &[Cid] {
        &self.links
    }

    /// The commit's id.
    #[must_use]
    pub fn id(&self) -> CommitId {
        CommitId::from_cid(*self.commit.cid())
    }
}

impl Repo {
    /// Judges a commit by everything but its tree.
    pub fn review(&self, statement: Bytes, now_ms: u64) -> Result<Reviewed, Rejected> {
        let signed = Signed::<Commit>::decode(statement)
            .map_err(|_error| Refusal::Malformed("the statement does not decode"))?;
        let commit = signed.verify().map_err(|error| match error {
            allod_identity::VerifyError::Signature => Refusal::Signature,
            _ => Refusal::Malformed("a field is out of its range"),
        })?;
        let said = commit.payload();
        if said.space != self.id() {
            return Err(Refusal::WrongSpace.into());
        }
        if said.stamp.is_future(now_ms) {
            return Err(Refusal::Future.into());
        }
        self.review_parents(said)?;
        let log = self.agents().key_log(&said.author)?;
        if !spoke(&log, commit.signer()) {
            return Err(Refusal::Device.into());
        }
        self.review_rights((CommitId::from_cid(*commit.cid()), said), None)?;
        let note = self.judge(&commit)?;
        Ok(Reviewed { commit, note })
    }

    pub(crate) fn review_parents(&self, said: &Commit) -> Result<(), Rejected> {
        let mut generation = 0;
        for parent in &said.parents {
            let parent = match self.commit(*parent) {
                Ok(parent) => parent,
                Err(RepoError::NoCommit(_)) => return Err(Refusal::Parent.into()),
                Err(error) => return Err(error.into()),
            };
            let parent = parent.payload();
            generation = generation.max(parent.generation);
            if parent.stamp >= said.stamp {
                return Err(Refusal::Malformed("its stamp is not later than its parent's").into());
            }
            if said.branch.is_meta() != parent.branch.is_meta() {
                return Err(Refusal::Branch.into());
            }
        }
        if said.generation != generation + 1 {
            return Err(Refusal::Malformed("its generation is not its parents' plus one").into());
        }
        Ok(())
    }

    /// Completes a commit from the entries it changed: they must lead to the signed root.
    pub fn with_changes(
        &self,
        reviewed: Reviewed,
        changes: &Entries,
    ) -> Result<Complete, Rejected> {
        let said = reviewed.commit.payload();
        if self.part_of(&said.branch).is_some() {
            // Changes do not lead to a root where the rest of the tree is missing (PART-11).
            return Err(Refusal::Tree.into());
        }
        let (base, joined) = self.joined(&parents(said))?;
        let kinds = self.kind_rules()?;
        let (mut links, mut states) = (Vec::new(), Vec::new());
        let (mut are_changes, mut changed) = (true, Vec::with_capacity(changes.len()));
        for (key, entry) in changes {
            check_key(key).map_err(|_error| Refusal::Malformed("a key breaks its limit"))?;
            let before = base.get(key)?;
            are_changes &= before.as_ref() != Some(entry);
            let found = check_entry((said, &kinds), key, before.as_ref(), entry)?;
            links.extend(found.link);
            states.extend(found.judged);
            let is_live = match StateRef::decode(entry).map_err(Refusal::Entry)?.1 {
                StateRef::Tombstone => false,
                StateRef::Joining(_, state) => allod_crdt::has_value(state),
                _ => true,
            };
            changed.push((key.clone(), is_live));
        }
        let mut blocks = joined.to_vec();
        let tree = apply(&base, changes, &mut |block| blocks.push(block))?;
        if tree.root() != said.tree {
            return Err(Refusal::Root.into());
        }
        let step = Step {
            base: &base,
            tree: &tree,
            changes: Some(changes),
        };
        self.check_parts(said, &step, &mut |block| blocks.push(block))?;
        if are_changes {
            self.remember_changes(reviewed.id(), changes);
        }
        Ok(Complete {
            commit: reviewed.commit,
            note: reviewed.note,
            tree,
            blocks,
            links,
            states,
            holding: Holding::Whole,
            changed: are_changes.then_some(changed),
        })
    }

    /// Accepts a complete commit, whose links must all be there (REPO-18). It is durable, and so is where it moved the
    /// branch to, once the store was synced ([`Store::sync`](allod_blocks::Store::sync)).
    ///
    /// Where the branch stands at the commit's parents it moves to the commit at once. Otherwise
    /// the commit waits for [`join_branch`](Self::join_branch), so that a line of commits meets
    /// the heads here only with its last one.
    pub fn accept(&self, complete: Complete, branch: &BranchName) -> Result<(), Rejected> {
        let _timing = self.timing(Verb::Accept);
        let parents = parents(complete.commit.payload());
        let id = complete.id();
        let _hold = self.store().uses().hold();
        let heads = self.take(complete, branch)?;
        let stands_there = self.heads(branch)?.is_subset(&parents);
        if stands_there && self.may_lead(id)? && self.is_clean(&*self.rights()?, id)? {
            self.advance(branch, &Heads::from([id]), Some(&heads))?;
        }
        Ok(())
    }

    /// Accepts a complete commit of a branch, and moves no branch (REPO-81). It is durable once the store was synced. Until something refers to the
    /// commit it stays for as long as it is in use (REPO-61).
    pub fn accept_apart(&self, complete: Complete, branch: &BranchName) -> Result<(), Rejected> {
        let _timing = self.timing(Verb::Accept);
        let _hold = self.store().uses().hold();
        self.take(complete, branch).map(drop)
    }

    /// Stores a complete commit; the heads of its branch that hooks were asked about.
    fn take(&self, complete: Complete, branch: &BranchName) -> Result<Heads, Rejected> {
        let sweeps = self.store().uses().sweeps();
        if !self.missing_of(&complete, 1)?.blocks.is_empty() {
            return Err(Refusal::Missing.into());
        }
        let said = complete.commit.payload();
        for (before, entry) in &complete.states {
            judge(said, before.as_ref(), entry, &|cid| self.raw(cid))?;
        }
        let changed = complete.changed.as_deref();
        self.review_rights((complete.id(), said), Some((&complete.tree, changed)))?;
        if branch.is_meta() != said.branch.is_meta() {
            return Err(Refusal::Branch.into());
        }
        let heads = self.heads(branch)?;
        self.propose_received(&complete, branch, &heads)?;
        let id = complete.id();
        let held = self.held_with(id, complete.holding)?;
        let mark = layout::commit(self.id(), id);
        self.observe(said.stamp);
        // Its statement must be readable before it can be placed in the history. What is held of a parent may
        // become more meanwhile.
        let mut is_done = false;
        for _ in 0..TRIES {
            let mut batch = Batch::new();
            for block in &complete.blocks {
                batch.put(block.clone());
            }
            batch.put(statement_block(&complete.commit)?);
            // What was taken before is not put in quarantine (REPO-108).
            let is_new = complete.note.is_some() && self.store().get_ref(&mark)?.is_none();
            let expect = if is_new { Expect::Absent } else { Expect::Any };
            batch.set_ref(mark.clone(), expect, Some(held.clone()));
            if is_new {
                self.put_note(id, complete.note.as_ref(), &mut batch);
            }
            for parent in &said.parents {
                self.rely_on(*parent, &mut batch)?;
            }
            is_done = matches!(self.store().commit_later(batch)?, BatchOutcome::Done { .. });
            if is_done || !self.has_parents(said)? {
                break;
            }
        }
        if !is_done {
            return Err(Refusal::Parent.into());
        }
        self.keep_tree(&complete.tree);
        self.keep_commit(Arc::new(complete.commit.clone()), sweeps);
        self.note_deed((id, said), changed)?;
        Ok(heads)
    }

    fn has_parents(&self, said: &Commit) -> Result<bool, RepoError> {
        for parent in &said.parents {
            let mark = layout::commit(self.id(), *parent);
            if self.store().get_ref(&mark)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn propose_received(
        &self,
        complete: &Complete,
        branch: &BranchName,
        heads: &Heads,
    ) -> Result<(), RepoError> {
        let said = complete.commit.payload();
        let parents = self.held_of(&parents(said))?;
        let goes_on = !heads.is_empty() && heads.is_subset(&parents);
        let stands = if goes_on { heads } else { &parents };
        self.propose(&Proposal {
            repo: self,
            act: Act::Receive,
            branch,
            author: Some(said.author),
            message: &said.message,
            policy: said.policy,
            parents: &parents,
            stands,
            after: Some(complete.tree.clone()),
            blocks: &[],
        })
    }

    /// Lets accepted commits join a branch, all or none of them; durable once the store was synced. One that is held by what is going to be kept alone stays beside, until
    /// it is held by what is kept (PART-12).
    pub fn join_branch(&self, branch: &BranchName, heads: &Heads) -> Result<Heads, Rejected> {
        for head in heads {
            match self.commit(*head) {
                Ok(commit) if commit.payload().branch.is_meta() == branch.is_meta() => {
                    if !self.is_held(*head)? {
                        return Err(Refusal::Missing.into());
                    }
                }
                Ok(_) => return Err(Refusal::Branch.into()),
                Err(RepoError::NoCommit(_)) => return Err(Refusal::Parent.into()),
                Err(error) => return Err(error.into()),
            }
        }
        let mut leading = Heads::new();
        for head in heads {
            if self.may_lead(*head)? {
                leading.insert(*head);
            }
        }
        // What the branch has already is held by the part in force, and need not be by what is going to be kept.
        Ok(self.in_force().advance(branch, &leading, None)?)
    }

    /// The entries by which a commit differs from the join of its parents, or `None` if they
    /// exceed `max_bytes`; also if the first of them and the growth of the tree say that they would
    /// by far.
    pub fn changes_of(
        &self,
        commit: &Verified<Commit>,
        max_bytes: usize,
    ) -> Result<Option<Entries>, RepoError> {
        let (id, commit) = (CommitId::from_cid(*commit.cid()), commit.payload());
        if self.part_of(&commit.branch).is_none()
            && let Some(known) = lock(&self.inner.changes).of(id)
            && bytes_of(&known) <= max_bytes
        {
            return Ok(Some(Entries::clone(&known)));
        }
        let parents = parents(commit);
        let base = match self.part_of(&commit.branch) {
            None => self.joined(&parents)?.0,
            Some(_) => self.signed_base(&parents, &mut |_block| {})?,
        };
        let tree = self.tree(commit.tree)?;
        let mut changes = Entries::new();
        let mut bytes = 0;
        let grown = tree.len().saturating_sub(base.len());
        for change in base.diff(&tree) {
            let change = change?;
            let Some(entry) = change.right else {
                return Ok(None);
            };
            bytes += change.key.len() + entry.len();
            if bytes > max_bytes {
                return Ok(None);
            }
            changes.insert(change.key, entry);
            if changes.len() == SAMPLE
                && grown / SAMPLE as u64 * bytes as u64 / 2 > max_bytes as u64
            {
                return Ok(None);
            }
        }
        if self.part_of(&commit.branch).is_none() {
            self.remember_changes(id, &changes);
        }
        Ok(Some(changes))
    }

    /// Keeps at hand by which entries a commit differs from the join of its parents, if they are small.
    pub(crate) fn remember_changes(&self, id: CommitId, changes: &Entries) {
        if is_recent(changes) {
            lock(&self.inner.changes).keep(id, Arc::new(changes.clone()));
        }
    }
}

/// What the last commits changed: most of them go on to others at once, and are joined with what others wrote
/// meanwhile.
#[derive(Debug, Default)]
pub(crate) struct RecentChanges {
    of: ByCommit<Arc<Entries>>,
    /// The oldest first.
    order: VecDeque<CommitId>,
}

impl RecentChanges {
    fn keep(&mut self, id: CommitId, changes: Arc<Entries>) {
        if self.of.insert(id, changes).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.of.remove(&oldest);
        }
    }

    pub(crate) fn of(&self, id: CommitId) -> Option<Arc<Entries>> {
        self.of.get(&id).cloned()
    }

    /// What each of some commits changed, if all of that is at hand.
    pub(crate) fn of_all(
        &self,
        ids: impl IntoIterator<Item = CommitId>,
    ) -> Option<Vec<Arc<Entries>>> {
        ids.into_iter().map(|id| self.of(id)).collect()
    }
}

/// Whether changes are small enough to be kept at hand.
pub(crate) fn is_recent(changes: &Entries) -> bool {
    bytes_of(changes) <= RECENT_BYTES
}

fn bytes_of(changes: &Entries) -> usize {
    let bytes = changes.iter().map(|(key, entry)| key.len() + entry.len());
    bytes.sum()
}

pub(crate) fn parents(commit: &Commit) -> Heads {
    commit.parents.iter().copied().collect()
}

/// REPO-16, REPO-19, REPO-31 and REPO-42 for one changed entry.
pub(crate) fn check_entry(
    (commit, kinds): (&Commit, &KindRules),
    key: &[u8],
    before: Option<&Bytes>,
    entry: &Bytes,
) -> Result<Found, Refusal> {
    let decoded = Entry::decode(entry).map_err(Refusal::Entry)?;
    if decoded.stamp > commit.stamp {
        return Err(Refusal::EntryStamp);
    }
    check_tag(&commit.branch, key, before, &decoded)?;
    check_kept(&commit.branch, key, before, &decoded)?;
    check_rule(&commit.branch, key, before, &decoded)?;
    let link = decoded.state.link().copied();
    if !StateRef::from(&decoded.state).joins() {
        // A state that joins is not put aside for another (REPO-4).
        if before.is_some_and(|before| joins(before) || left_wins(before, entry)) {
            return Err(Refusal::EntryStamp);
        }
        return Ok(Found { link, judged: None });
    }
    let is_defined = kinds.iter().any(|(pattern, _)| pattern.matches(key));
    if commit.branch.is_meta() || !is_defined {
        return Err(Refusal::Kind);
    }
    let is_whole = link.is_none() && before.is_none_or(|before| !has_link(before));
    let judged = (before.cloned(), entry.clone());
    if !is_whole {
        let judged = Some(judged);
        return Ok(Found { link, judged });
    }
    // Nothing is to be read for it.
    match judge(commit, before, entry, &|cid| Err(RepoError::Missing(*cid))) {
        Ok(()) => Ok(Found::default()),
        Err(Rejected::Refused(refusal)) => Err(refusal),
        Err(Rejected::Fault(_)) => Err(Refusal::Malformed("a state that joins")),
    }
}

/// Whether an encoded entry links to something.
fn has_link(entry: &[u8]) -> bool {
    let state = StateRef::decode(entry).map(|(_, state)| state);
    matches!(state, Ok(StateRef::Link(_) | StateRef::JoiningLink(..)))
}

/// What was left to judge of an entry that joins: its state, and that it includes the one before (REPO-3,
/// REPO-16, REPO-19).
pub(crate) fn judge(
    commit: &Commit,
    before: Option<&Bytes>,
    entry: &Bytes,
    load: Load<'_>,
) -> Result<(), Rejected> {
    let (_, state) = StateRef::decode(entry).map_err(Refusal::Entry)?;
    let (kind, bytes) = match state {
        StateRef::Joining(kind, bytes) => (kind, Bytes::copy_from_slice(bytes)),
        StateRef::JoiningLink(kind, cid) => {
            let bytes = load(&cid)?;
            if bytes.len() <= VALUE_INLINE_BYTES_MAX {
                return Err(Refusal::StateSize.into());
            }
            (kind, bytes)
        }
        _ => return Ok(()),
    };
    let joinable = Joinable::decode(kind, &bytes).map_err(Refusal::State)?;
    if joinable.newest_stamp() > Some(commit.stamp.bits()) {
        return Err(Refusal::EntryStamp.into());
    }
    // What is there is no change.
    if before == Some(entry) {
        return Err(Refusal::EntryStamp.into());
    }
    match before
        .map(|before| join_entries(before, entry, load))
        .transpose()?
    {
        None | Some(Joining::Right) => Ok(()),
        Some(_) => Err(Refusal::EntryStamp.into()),
    }
}
