//! Making commits, and moving the heads of a branch.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Expect};
use allod_identity::{Standing, Verified};
use allod_tree::{Tree, TreeError};
use bytes::Bytes;

use crate::accept::is_recent;
use crate::agents::statement_block;
use crate::beside::Stand;
use crate::conflict;
use crate::entry::{Entry, joins};
use crate::error::{Refusal, RepoError};
use crate::event::RefMove;
use crate::hooks::{Act, Proposal};
use crate::ids::{BranchName, CommitId};
use crate::joining::{Joining, are_both_kept, join_entries};
use crate::kinds::check_rule;
use crate::layout;
use crate::part::{Holding, Part, Step};
use crate::repo::{
    Author, BRANCHES_MAX, HEADS_MAX, HEADS_TOTAL_MAX, Heads, Repo, encode_heads, lock,
};
use crate::rights::check_kept;
use crate::stamp::Stamp;
use crate::statements::{Commit, MESSAGE_BYTES_MAX, PARENTS_MAX};
use crate::tags::check_tag;
use crate::timing::Verb;
use crate::view::decode;
use crate::work::{Staged, forget};

/// How often a commit is made anew because the branch moved meanwhile.
pub(crate) const TRIES: u32 = 16;

/// Encoded entries by key.
pub(crate) type Entries = BTreeMap<Bytes, Bytes>;

/// What a commit is made of, but for the state it is made on.
pub(crate) struct Draft<'a> {
    pub(crate) act: Act,
    pub(crate) branch: &'a BranchName,
    pub(crate) author: Author<'a>,
    pub(crate) message: &'a str,
    pub(crate) entries: &'a Entries,
    /// The newest stamp among the entries.
    pub(crate) newest: Stamp,
    /// Blocks that the entries link to and that are not stored yet.
    pub(crate) blocks: &'a [Block],
    /// The parents of a merge, which take all heads of the branch in; `None` for the heads.
    pub(crate) merges: Option<&'a Heads>,
}

impl Repo {
    /// Commits what is staged on a branch. Durable when it returns; the staged edits are consumed
    /// in the same batch (REPO-21). A branch without commits begins with this one.
    pub fn commit_staged(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        message: &str,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        let _timing = self.timing(Verb::Commit);
        for _ in 0..TRIES {
            // Read anew each time: a key that is staged again meanwhile is another edit.
            let staged = self.staged(branch)?;
            if staged.is_empty() {
                return Err(RepoError::NothingStaged);
            }
            let entries: Entries = staged
                .iter()
                .map(|(key, entry)| (key.clone(), entry.encode()))
                .collect();
            let newest = staged.iter().map(|(_, entry)| entry.stamp).max();
            let draft = Draft {
                act: Act::Commit,
                branch,
                author,
                message,
                entries: &entries,
                newest: newest.unwrap_or_default(),
                blocks: &[],
                merges: None,
            };
            let (raw, heads) = self.read_heads(branch)?;
            let batch = Batch::new();
            if let Some(id) = self.write(&draft, (raw, &heads), Some(&staged), now_ms, batch)? {
                return Ok(id);
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// Makes the draft's commit on the branch's heads, in one batch with what `batch` has already.
    /// `None` if the branch, or what else the batch expects, moved meanwhile.
    pub(crate) fn write(
        &self,
        draft: &Draft<'_>,
        (raw, heads): (Option<Bytes>, &Heads),
        staged: Option<&Staged>,
        now_ms: u64,
        mut batch: Batch,
    ) -> Result<Option<CommitId>, RepoError> {
        let _hold = self.inner.store.uses().hold();
        let parents = match draft.merges {
            Some(parents) => parents.clone(),
            None => self.named_parents(heads),
        };
        let overtaken = match staged {
            Some(staged) => self.overtaken(staged, &parents, &self.joined(&parents)?.0, now_ms)?,
            None => Vec::new(),
        };
        let mut entries = Cow::Borrowed(draft.entries);
        for overtaken in &overtaken {
            let (key, renewed) = (&overtaken.key, &overtaken.renewed);
            entries.to_mut().insert(key.clone(), renewed.clone());
            if let Some(block) = &overtaken.block {
                batch.put(block.clone());
            }
        }
        let sweeps = self.inner.store.uses().sweeps();
        let seen = parents;
        let Made {
            commit,
            after,
            parents,
        } = self.make(draft, &seen, &entries, now_ms, &mut batch)?;
        let id = CommitId::from_cid(*commit.cid());
        let merged_into = draft.merges.is_some() && !heads.is_empty();
        let stands = if merged_into { heads } else { &seen };
        self.propose_draft(draft, stands, &parents, &after)?;
        for overtaken in &overtaken {
            if let Some(aside) = &overtaken.aside {
                let both = (&overtaken.renewed, aside);
                conflict::keep(self, draft.branch, &overtaken.key, both, id, &mut batch)?;
            }
        }
        let mut next = Heads::from([id]);
        if draft.merges.is_none() {
            next.extend(heads.difference(&parents));
        }
        for parent in parents.difference(heads) {
            self.rely_on(*parent, &mut batch)?;
        }
        self.move_heads(draft.branch, (raw, heads), &next, &mut batch)?;
        if entries.values().any(|entry| joins(entry)) {
            self.note_line(draft.branch, (heads, &next), &mut batch)?;
        }
        if let Some(staged) = staged {
            self.consume(draft.branch, staged, &mut batch);
        }
        let mut all = lock(&self.inner.staged);
        match self.inner.store.commit(batch)? {
            BatchOutcome::Done { .. } => {}
            BatchOutcome::Moved { .. } => return Ok(None),
        }
        self.keep_tree(&after);
        self.keep_commit(Arc::new(commit), sweeps);
        if let (Some(staged), Some(current)) = (staged, all.get_mut(draft.branch)) {
            forget(current, staged);
        }
        drop(all);
        let stands = [heads.clone(), next].map(Stand::without_beside);
        self.moved_on(draft.branch, (&stands[0], &stands[1]))?;
        Ok(Some(id))
    }

    /// Puts to the hook what a draft leads to (HOOK-1), where these commits stand now.
    pub(crate) fn propose_draft(
        &self,
        draft: &Draft<'_>,
        stands: &Heads,
        parents: &Heads,
        after: &Tree,
    ) -> Result<(), RepoError> {
        self.propose(&Proposal {
            repo: self,
            act: draft.act,
            branch: draft.branch,
            author: Some(draft.author.agent),
            message: draft.message,
            policy: None,
            parents,
            stands,
            after: Some(after.clone()),
            blocks: draft.blocks,
        })
    }

    /// Adds to `batch` the draft's commit with these parents and entries, as a head of nothing.
    pub(crate) fn make(
        &self,
        draft: &Draft<'_>,
        parents: &Heads,
        entries: &Entries,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Made, RepoError> {
        if draft.message.len() > MESSAGE_BYTES_MAX {
            return Err(RepoError::TooLong {
                what: "the message",
                limit: MESSAGE_BYTES_MAX,
            });
        }
        self.check_writer(&draft.author)?;
        self.rely_on_part(draft.branch, batch)?;
        let (base, joined) = self.joined(parents)?;
        if draft.branch.is_meta() {
            for (key, entry) in entries {
                let before = base.get(key)?;
                check_tag(draft.branch, key, before.as_ref(), &decode(entry)?)?;
                check_rule(draft.branch, key, before.as_ref(), &decode(entry)?)?;
                check_kept(draft.branch, key, before.as_ref(), &decode(entry)?)?;
            }
        }
        draft
            .blocks
            .iter()
            .for_each(|block| batch.put(block.clone()));
        let led = match self.part_of(draft.branch) {
            None => {
                joined.iter().for_each(|block| batch.put(block.clone()));
                let tree = apply(&base, entries, &mut |block| batch.put(block))?;
                Led {
                    parents: parents.clone(),
                    base: base.clone(),
                    signed: tree.clone(),
                    held: tree.clone(),
                    after: tree,
                    holding: Holding::Whole,
                }
            }
            Some(part) => {
                let must = draft.merges.is_some();
                self.make_in_part(&part, (parents, must), entries, batch)?
            }
        };
        let commit = self.sign(draft, &led, entries, (now_ms, batch))?;
        let Led {
            parents,
            after,
            holding,
            ..
        } = led;
        let id = CommitId::from_cid(*commit.cid());
        if let Some(part) = self.part_of(draft.branch) {
            self.keep_large(&part, id, entries, batch)?;
        }
        if holding == Holding::Whole && is_recent(entries) {
            let mut are_changes = true;
            for (key, entry) in entries {
                are_changes &= base.get(key)?.as_ref() != Some(entry);
            }
            if are_changes {
                self.remember_changes(id, entries);
            }
        }
        batch.put(statement_block(&commit)?);
        let mark = layout::commit(self.inner.id, id);
        batch.set_ref(mark, Expect::Any, Some(holding.encode()?));
        Ok(Made {
            commit,
            after,
            parents,
        })
    }

    /// What a commit of a part leads to (PART-8, PART-9).
    fn make_in_part(
        &self,
        part: &Part,
        (seen, must): (&Heads, bool),
        entries: &Entries,
        batch: &mut Batch,
    ) -> Result<Led, RepoError> {
        if let Some(key) = entries.keys().find(|key| !part.contains(key)) {
            return Err(RepoError::OutOfPart { key: key.to_vec() });
        }
        let (parents, (base, signed), blocks) = self.parents_within(seen, must, entries)?;
        let (held_base, joined) = self.joined(&parents)?;
        let held = apply(&held_base, entries, &mut |block| batch.put(block))?;
        for block in joined.iter().chain(&blocks) {
            batch.put(block.clone());
        }
        let holding = Holding::slice(part.digest(), held.root());
        let after = if parents == *seen {
            held.clone()
        } else {
            apply(&self.joined(seen)?.0, entries, &mut |_block| {})?
        };
        Ok(Led {
            parents,
            base,
            signed,
            held,
            after,
            holding,
        })
    }

    /// Adds to `batch` the move of a branch from the heads that were read to `next`; without any
    /// the branch is gone.
    pub(crate) fn move_heads(
        &self,
        branch: &BranchName,
        (raw, heads): (Option<Bytes>, &Heads),
        next: &Heads,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        self.set_heads(branch, (raw, heads), next, batch)?;
        batch.append(RefMove::new(self.id(), branch, heads, next).encode()?);
        Ok(())
    }

    /// The same, but that the log is not told: whoever calls it does that.
    pub(crate) fn set_heads(
        &self,
        branch: &BranchName,
        (raw, heads): (Option<Bytes>, &Heads),
        next: &Heads,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        self.check_room(raw.is_none(), heads.len(), next.len())?;
        self.check_made_on(branch, next.difference(heads))?;
        self.check_forward(branch, heads, next)?;
        self.put_heads(branch, (raw, heads), next, batch)
    }

    /// Refuses heads of a branch that were made on another one, where they may not be (REPO-116). What is not here yet is made
    /// on it.
    pub(crate) fn check_made_on<'a>(
        &self,
        branch: &BranchName,
        heads: impl IntoIterator<Item = &'a CommitId>,
    ) -> Result<(), RepoError> {
        let mut is_named = None;
        for head in heads {
            match self.commit(*head) {
                Ok(commit) if commit.payload().branch == *branch => {}
                Ok(_) => {
                    let rights = self.rights()?;
                    if *is_named.get_or_insert_with(|| rights.is_named_by_commits(branch)) {
                        return Err(RepoError::MadeElsewhere(branch.clone()));
                    }
                }
                Err(RepoError::NoCommit(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same, whether it may be or not.
    pub(crate) fn put_heads(
        &self,
        branch: &BranchName,
        (raw, heads): (Option<Bytes>, &Heads),
        next: &Heads,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        self.rely_on_part(branch, batch)?;
        for head in next.difference(heads) {
            // No branch could be read that stands on a statement alone (PART-5). One that is not here yet is made.
            match self.state_root(*head) {
                Ok(_) | Err(RepoError::NoCommit(_)) => {}
                Err(error) => return Err(error),
            }
            self.rely_on(*head, batch)?;
        }
        let name = layout::head(self.inner.id, branch);
        let value = (!next.is_empty()).then(|| encode_heads(next)).transpose()?;
        batch.set_ref(name, Expect::read(raw), value);
        Ok(())
    }

    /// The staged edits that what arrived since has overtaken (REPO-23).
    fn overtaken(
        &self,
        staged: &Staged,
        parents: &Heads,
        base: &Tree,
        now_ms: u64,
    ) -> Result<Vec<Overtaken>, RepoError> {
        let oldest = staged.iter().map(|(_, entry)| entry.stamp).min();
        let mut newer = false;
        for parent in parents {
            newer |= Some(self.commit(*parent)?.payload().stamp) >= oldest;
        }
        let mut overtaken = Vec::new();
        let kinds = self.kind_rules()?;
        // An entry is not later than its commit, so older parents have overtaken nothing; but what joins has
        // to have all that was there, whenever it was made.
        let may_be = |key: &[u8]| newer || kinds.iter().any(|(pattern, _)| pattern.matches(key));
        for (key, entry) in staged.iter().filter(|(key, _)| may_be(key)) {
            let Some(there) = base.get(key)? else {
                continue;
            };
            let edit = entry.encode();
            let load = &|cid: &Cid| self.raw(cid);
            let (kept, block) = match join_entries(&there, &edit, load)? {
                // A value that does not join is put aside for one that does.
                Joining::Right if joins(&edit) && !joins(&there) && decode(&there)?.is_live() => {
                    (edit, None)
                }
                Joining::Right => continue,
                // What was edited stands, unless it cannot (REPO-4).
                Joining::Left if !joins(&there) => (edit, None),
                Joining::Left => (there.clone(), None),
                Joining::Made(joined, block) => (joined, block),
            };
            let state = decode(&kept)?.state;
            let both_kept = are_both_kept(&there, &entry.encode(), load)?;
            let aside = if state == entry.state {
                there
            } else {
                entry.encode()
            };
            let stamp = self.tick(now_ms);
            overtaken.push(Overtaken {
                key: key.clone(),
                aside: (!both_kept).then_some(aside),
                renewed: Entry { stamp, state }.encode(),
                block,
            });
        }
        Ok(overtaken)
    }

    fn sign(
        &self,
        draft: &Draft<'_>,
        led: &Led,
        entries: &Entries,
        (now_ms, batch): (u64, &mut Batch),
    ) -> Result<Verified<Commit>, RepoError> {
        let mut generation = 0;
        for parent in &led.parents {
            let parent = self.commit(*parent)?;
            generation = generation.max(parent.payload().generation);
            self.observe(parent.payload().stamp);
        }
        self.observe(draft.newest);
        let mut parents: Vec<CommitId> = led.parents.iter().copied().collect();
        parents.sort_by_key(|id| id.cid().to_bytes());
        let mut commit = Commit {
            author: draft.author.agent,
            branch: draft.branch.clone(),
            generation: generation + 1,
            message: draft.message.to_owned(),
            parents,
            parts: None,
            policy: None,
            space: self.inner.id,
            stamp: self.tick(now_ms),
            tree: led.signed.root(),
        };
        commit.policy = self.policy_of(&commit, &led.held)?;
        let step = Step {
            base: &led.base,
            tree: &led.signed,
            changes: Some(entries),
        };
        commit.parts = match self.parts_of(&commit, &step, &mut |block| batch.put(block)) {
            // Of a part not all is here that it takes (PART-21).
            Err(RepoError::Tree(TreeError::Missing { .. })) => None,
            parts => parts?,
        };
        Verified::sign(draft.author.key, commit)
            .map_err(|_error| Refusal::Malformed("a field is out of its range").into())
    }

    fn check_writer(&self, author: &Author<'_>) -> Result<(), RepoError> {
        let log = self.inner.agents.key_log(&author.agent)?;
        if log.equivocation().is_some() {
            return Err(Refusal::Equivocation.into());
        }
        if log.standing(&author.key.public()) != Some(Standing::Now) {
            return Err(Refusal::Device.into());
        }
        Ok(())
    }

    /// Lets `commits`, which are in the store, join a branch (REPO-7), all or none of them, and records what
    /// their join with each other and the other heads puts aside (REPO-9). The hook is asked, unless it was
    /// about this very move: `proposed` are the heads of the branch that it was asked with.
    pub(crate) fn advance(
        &self,
        branch: &BranchName,
        commits: &Heads,
        proposed: Option<&Heads>,
    ) -> Result<Heads, RepoError> {
        // They may have been accepted before a restart, and never been heads since (REPO-8).
        for commit in commits {
            self.observe(self.commit(*commit)?.payload().stamp);
        }
        let _hold = self.inner.store.uses().hold();
        for _ in 0..TRIES {
            let (raw, before) = self.read_stand(branch)?;
            let stand = self.stand_with(branch, commits, &before)?;
            let (heads, next) = (&before.heads, &stand.heads);
            if stand == before {
                return Ok(stand.heads);
            }
            let mut attempt = Batch::new();
            if next != heads {
                // Nobody is asked about a move that is none.
                self.check_forward(branch, heads, next)?;
                if proposed != Some(heads) && !heads.is_empty() {
                    self.propose_move(Act::Receive, branch, heads, next)?;
                }
                let met: Heads = next.intersection(heads).copied().collect();
                let new: Vec<CommitId> = next.difference(heads).copied().collect();
                conflict::record_each(self, branch, &met, &new, &mut attempt)?;
                self.move_heads(branch, (raw.heads.clone(), heads), next, &mut attempt)?;
            }
            self.put_beside(branch, (&raw, &before), &stand, &mut attempt)?;
            // Who is told that it was taken is told after a sync (BLOCKS-87).
            if let BatchOutcome::Done { .. } = self.inner.store.commit_later(attempt)? {
                self.moved_on(branch, (&before, &stand))?;
                self.tell_beside(&before.beside, &stand.beside)?;
                return self.heads(branch);
            }
            for commit in commits {
                if !self.has_commit(*commit)? {
                    return Err(RepoError::NoCommit(*commit));
                }
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }
}

impl Repo {
    /// The limits of branches and heads, before a branch goes from `before` heads to `after`.
    fn check_room(&self, is_new: bool, before: usize, after: usize) -> Result<(), RepoError> {
        if after > HEADS_MAX {
            return Err(Refusal::TooManyHeads.into());
        }
        if !is_new && after <= before {
            return Ok(());
        }
        let branches = self.branches()?;
        if is_new && branches.len() >= BRANCHES_MAX {
            return Err(Refusal::TooManyBranches.into());
        }
        let total: usize = branches.iter().map(|(_, heads)| heads.len()).sum();
        if total + after - before.min(after) > HEADS_TOTAL_MAX {
            return Err(Refusal::TooManyHeads.into());
        }
        Ok(())
    }
}

/// A commit that was made, and is in the batch.
pub(crate) struct Made {
    pub(crate) commit: Verified<Commit>,
    /// The state after it.
    pub(crate) after: Tree,
    /// Those that it names.
    pub(crate) parents: Heads,
}

/// What a commit that is being made leads to.
struct Led {
    /// Those that it is to name.
    parents: Heads,
    /// The tree that these sign together.
    base: Tree,
    /// The tree that it signs.
    signed: Tree,
    /// What is kept here of that tree.
    held: Tree,
    /// The state of the branch after it.
    after: Tree,
    holding: Holding,
}

/// A staged edit that was overtaken.
struct Overtaken {
    key: Bytes,
    /// What is put aside: the entry that arrived, or the edit; neither where they join.
    aside: Option<Bytes>,
    /// What is committed, under a new stamp.
    renewed: Bytes,
    block: Option<Block>,
}

impl Repo {
    /// The heads that the next commit names. More than a commit may name wait for those after it; and where many
    /// devices write, each names others, so that together they name all.
    pub(crate) fn named_parents(&self, heads: &Heads) -> Heads {
        let device = self.device.as_ref();
        let begin = device.and_then(|device| device.as_bytes().first_chunk());
        let begin = begin.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let begin = begin % (heads.len().max(1) as u64);
        let circle = heads.iter().chain(heads);
        let named = circle.skip(begin as usize).take(PARENTS_MAX);
        named.copied().collect()
    }
}

/// `base` with `entries` set.
pub(crate) fn apply(
    base: &Tree,
    entries: &Entries,
    out: &mut dyn FnMut(Block),
) -> Result<Tree, RepoError> {
    let edits = entries
        .iter()
        .map(|(key, entry)| (key.clone(), Some(entry.clone())));
    Ok(base.edit(edits, out)?)
}
