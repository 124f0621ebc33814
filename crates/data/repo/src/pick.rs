//! Applying, undoing and replaying commits ("Applying commits" of `specs/23-merge.md`).

use allod_blocks::{Batch, BatchOutcome};

use crate::accept::parents;
use crate::error::RepoError;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::merge::{Done, Job, Outcome};
use crate::pending::{Applied, Replay, Task};
use crate::plan::{Plan, Sides};
use crate::repo::{Author, Heads, Repo};
use crate::resolve::Resolving;
use crate::statements::{MESSAGE_BYTES_MAX, PARENTS_MAX};
use crate::write::{Draft, TRIES};

/// The most commits of a replay: their ids fit a reference.
pub const REPLAY_MAX: usize = 512;

impl Repo {
    /// Applies to a branch what a commit changed (MERGE-20), as a commit of `author`.
    ///
    /// Of a merge that is what it decided, or, with a main line, what it brought there.
    /// Conflicts are as in [`merge`](Self::merge). [`Outcome::Nothing`] if the branch has it all.
    /// [`RepoError::NotAParent`] if the main line is none of its parents.
    pub fn cherry_pick(
        &self,
        branch: &BranchName,
        commit: impl Into<Applied>,
        author: Author<'_>,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        let applied = commit.into();
        self.check_meta(branch, &Heads::from([applied.commit]))?;
        self.begin_job(branch, Task::Pick(applied), author, resolving, now_ms)?
            .apply()
    }

    /// Undoes on a branch what a commit changed, where nobody changed it since (MERGE-20). What
    /// that is and how it fails is as with [`cherry_pick`](Self::cherry_pick).
    pub fn revert(
        &self,
        branch: &BranchName,
        commit: impl Into<Applied>,
        author: Author<'_>,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        let applied = commit.into();
        self.check_meta(branch, &Heads::from([applied.commit]))?;
        self.begin_job(branch, Task::Revert(applied), author, resolving, now_ms)?
            .apply()
    }

    /// Applies to `onto` each commit of a branch that it lacks, at most [`REPLAY_MAX`], and lets
    /// the branch `to` stand at the result (MERGE-23): a new one, or `branch` itself.
    ///
    /// Whoever replaces a branch makes sure that no peer has it (MERGE-24); the repo cannot know.
    /// [`RepoError::InTheWay`] if something is staged on a branch that would be replaced,
    /// [`RepoError::MovedOn`] if it has got commits since.
    pub fn rebase(
        &self,
        branch: &BranchName,
        onto: &Heads,
        to: &BranchName,
        (author, resolving): (Author<'_>, Resolving<'_>),
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        self.check_meta(branch, onto)?;
        let heads = self.heads(branch)?;
        if heads.is_empty() {
            return Err(RepoError::NoBranch(branch.clone()));
        }
        let onto = self.newest_of(onto)?;
        if onto.len() > PARENTS_MAX {
            return Err(RepoError::TooManyParents);
        }
        if to != branch && (to.is_meta() || !self.heads(to)?.is_empty()) {
            return Err(RepoError::BranchExists(to.clone()));
        }
        if to != branch {
            self.check_name(to.as_str())?;
        }
        let todo = self.missing(&heads, &onto)?;
        // It stands there already, or has nothing of its own to carry there.
        if todo.is_empty() || self.has_all(&heads, &onto)? {
            return Ok(Outcome::Nothing);
        }
        if self.merge_bases(&heads, &onto)?.is_empty() {
            return Err(RepoError::Unrelated);
        }
        if todo.len() > REPLAY_MAX {
            return Err(RepoError::TooMany {
                what: "commits",
                limit: REPLAY_MAX,
            });
        }
        let task = Task::Replay(Replay {
            to: to.clone(),
            at: onto.into_iter().collect(),
            todo,
        });
        let job = self.begin_job(branch, task, author, resolving, now_ms)?;
        job.check_unstaged(to)?;
        job.replay()
    }

    /// Leaves out the commit that a pick, a revert or a replay waits at, and goes on.
    pub fn skip(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        let mut job = self.stored_job(branch, author, resolving, now_ms)?;
        match &mut job.task.task {
            Task::Replay(replay) => {
                replay.todo.drain(..replay.todo.len().min(1));
                job.replay()
            }
            Task::Pick(_) | Task::Revert(_) => job.nothing(),
            Task::Merge(_) => Err(RepoError::NothingUnderWay(branch.clone())),
        }
    }

    /// The trees for applying a commit, or for undoing it, on `heads`.
    pub(crate) fn pick_sides(
        &self,
        heads: &Heads,
        Applied { commit, mainline }: Applied,
        undo: bool,
    ) -> Result<Sides, RepoError> {
        let said = self.commit(commit)?;
        let mut from = parents(said.payload());
        if let Some(parent) = mainline {
            if !from.contains(&parent) {
                return Err(RepoError::NotAParent(parent));
            }
            from = Heads::from([parent]);
        }
        let before = self.joined(&from)?.0;
        let after = self.held_tree(commit)?;
        let (base, theirs) = if undo {
            (after, before)
        } else {
            (before, after)
        };
        let ours = self.joined(&self.named_parents(heads))?.0;
        Ok(Sides {
            base,
            ours,
            theirs,
            joins: false,
        })
    }
}

impl Job<'_> {
    pub(crate) fn apply(mut self) -> Result<Outcome, RepoError> {
        let (applied, undo) = match self.task.task {
            Task::Pick(applied) => (applied, false),
            Task::Revert(applied) => (applied, true),
            _ => return Err(RepoError::Damaged("what is under way is no pick")),
        };
        let commit = applied.commit;
        let original = self.repo.commit(commit)?;
        let original = &original.payload().message;
        let message = if undo {
            let first = original.lines().next().unwrap_or_default();
            with_trailer(
                &format!("Revert \"{first}\""),
                &format!("(reverts commit {commit})"),
            )
        } else {
            with_trailer(original, &format!("(cherry picked from commit {commit})"))
        };
        for _ in 0..TRIES {
            self.read_again()?;
            let (raw, heads) = self.repo.read_heads(self.branch)?;
            let plan = self.plan(&self.repo.pick_sides(&heads, applied, undo)?)?;
            if plan.open_count > 0 {
                return self.stop(plan, &heads, Some(commit));
            }
            if plan.is_empty() {
                return self.nothing();
            }
            let moved = self.moved(&heads);
            if let Some(commit) = self.write(&plan, (raw, &heads), None, &message)? {
                return Ok(Outcome::Done(Done {
                    commits: vec![commit],
                    merged: plan.merged,
                    decided: plan.decided,
                    empty: 0,
                    moved,
                }));
            }
        }
        Err(RepoError::Contended(self.branch.clone()))
    }

    pub(crate) fn replay(mut self) -> Result<Outcome, RepoError> {
        let mut done = Done::default();
        loop {
            let Task::Replay(replay) = &self.task.task else {
                return Err(RepoError::Damaged("what is under way is no replay"));
            };
            let Some(&commit) = replay.todo.first() else {
                return self.finish(done);
            };
            let at: Heads = replay.at.iter().copied().collect();
            let plan = self.plan(&self.repo.pick_sides(&at, commit.into(), false)?)?;
            if plan.open_count > 0 {
                let heads = self.repo.heads(self.branch)?;
                return self.stop(plan, &heads, Some(commit));
            }
            done.decided += plan.decided;
            let made = if plan.is_empty() {
                done.empty += 1;
                None
            } else {
                Some(self.replay_one(commit, &at, &plan)?)
            };
            if let Task::Replay(replay) = &mut self.task.task {
                replay.todo.remove(0);
                replay.at = made.map_or_else(|| replay.at.clone(), |id| vec![id]);
            }
            done.commits.extend(made);
            done.merged = plan.merged;
        }
    }

    /// Makes one commit of a replay. It is a head of nothing until the replay is finished.
    fn replay_one(&self, commit: CommitId, at: &Heads, plan: &Plan) -> Result<CommitId, RepoError> {
        let Task::Replay(replay) = &self.task.task else {
            return Err(RepoError::Damaged("what is under way is no replay"));
        };
        let original = self.repo.commit(commit)?;
        let original = &original.payload().message;
        let (entries, newest) = plan.entries(self.repo, self.now_ms);
        let draft = Draft {
            act: Act::Replay,
            branch: &replay.to,
            author: self.author,
            message: &with_trailer(original, &format!("(rebased from commit {commit})")),
            entries: &entries,
            newest,
            blocks: &plan.blocks,
            merges: None,
        };
        let mut batch = Batch::new();
        let made = self
            .repo
            .make(&draft, at, &entries, self.now_ms, &mut batch)?;
        if made.parents != *at {
            return Err(RepoError::Beside);
        }
        self.repo.propose_draft(&draft, at, at, &made.after)?;
        let _outcome = self.repo.store().commit(batch)?;
        self.repo.keep_tree(&made.after);
        Ok(CommitId::from_cid(*made.commit.cid()))
    }

    /// Lets the branch stand at the result, in one batch (MERGE-23).
    fn finish(self, mut done: Done) -> Result<Outcome, RepoError> {
        let Task::Replay(replay) = &self.task.task else {
            return Err(RepoError::Damaged("what is under way is no replay"));
        };
        self.check_unstaged(&replay.to)?;
        let next: Heads = replay.at.iter().copied().collect();
        let (raw, heads) = self.repo.read_heads(&replay.to)?;
        if replay.to == *self.branch {
            if self.moved(&heads) {
                return Err(RepoError::MovedOn(self.branch.clone()));
            }
        } else if !heads.is_empty() {
            return Err(RepoError::BranchExists(replay.to.clone()));
        }
        done.moved = self.moved(&self.repo.heads(self.branch)?);
        if !heads.is_empty() {
            // Its commits were asked about; what it is put onto was not (HOOK-1).
            self.repo
                .propose_move(Act::Replay, &replay.to, &heads, &next)?;
        }
        let mut batch = Batch::new();
        self.repo.end_task(self.branch, &self.stored, &mut batch);
        self.repo
            .move_heads(&replay.to, (raw, &heads), &next, &mut batch)?;
        match self.repo.store().commit(batch)? {
            BatchOutcome::Done { .. } => Ok(Outcome::Done(done)),
            BatchOutcome::Moved { .. } => Err(RepoError::Contended(replay.to.clone())),
        }
    }

    fn check_unstaged(&self, to: &BranchName) -> Result<(), RepoError> {
        match self.repo.staged(to)?.iter().next() {
            Some((key, _)) => Err(RepoError::InTheWay { key: key.to_vec() }),
            None => Ok(()),
        }
    }
}

/// A message with a last line of its own, cut so that both fit (MERGE-21).
fn with_trailer(message: &str, trailer: &str) -> String {
    let room = MESSAGE_BYTES_MAX.saturating_sub(trailer.len() + 2);
    let mut end = message.len().min(room);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let message = message.get(..end).unwrap_or_default();
    format!("{message}\n\n{trailer}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_always_fits() {
        assert_eq!(with_trailer("a\nb", "(x)"), "a\nb\n\n(x)");
        let long = "\u{e9}".repeat(MESSAGE_BYTES_MAX);
        let cut = with_trailer(&long, "(x)");
        assert!(cut.len() <= MESSAGE_BYTES_MAX && cut.len() > MESSAGE_BYTES_MAX - 3);
        assert!(cut.ends_with("\n\n(x)"));
    }
}
