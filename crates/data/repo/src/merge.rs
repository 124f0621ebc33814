//! Bringing branches together (`specs/23-merge.md`).

use allod_blocks::{Batch, BatchOutcome, Expect, Hold};
use bytes::Bytes;

use crate::error::{Refusal, RepoError};
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::pending::{RULES_MAX, Stored, Task, UnderWay};
use crate::plan::{Keys, Plan, Sides};
use crate::repo::{Author, Heads, Repo};
use crate::resolve::{MergeConflict, Resolving};
use crate::statements::PARENTS_MAX;
use crate::timing::Verb;
use crate::write::{Draft, TRIES};

/// Whether a branch that has nothing of its own moves without a commit (MERGE-4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FastForward {
    /// It does.
    #[default]
    Allowed,
    /// A merge commit is made all the same.
    Never,
    /// It does, and anything else is refused.
    Only,
}

/// How a merge is done.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions<'a> {
    /// What decides conflicts.
    pub resolving: Resolving<'a>,
    /// Whether the branch may move without a commit.
    pub fast_forward: FastForward,
    /// Whether histories with nothing in common are merged (MERGE-5).
    pub allow_unrelated: bool,
    /// The message of the commit, at most [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX) bytes.
    pub message: Option<String>,
}

/// What became of a merge, a pick, a revert or a replay.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// There was nothing to do, and nothing was done.
    Nothing,
    /// The branch moved to commits that were there.
    FastForward {
        /// Its heads now.
        heads: Heads,
        /// Keys whose value changed.
        merged: Keys,
    },
    /// It is done.
    Done(Done),
    /// It waits for conflicts to be resolved; the branch is as it was.
    Stopped(Stopped),
}

/// What was done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// The commits that were made, in order.
    pub commits: Vec<CommitId>,
    /// Keys whose value changed; of a replay, in its last commit.
    pub merged: Keys,
    /// Conflicts that were decided.
    pub decided: u64,
    /// Commits that had nothing left to change (MERGE-22).
    pub empty: u64,
    /// Whether the branch had moved since it was begun (MERGE-9).
    pub moved: bool,
}

/// What is to be resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stopped {
    /// The commit that is applied, if it is not a merge.
    pub at: Option<CommitId>,
    /// The first conflicts, in key order.
    pub conflicts: Vec<MergeConflict>,
    /// How many there are.
    pub count: u64,
    /// Keys whose value will change without a decision, or by one that was made.
    pub merged: Keys,
    /// Whether the branch had moved since it was begun (MERGE-9).
    pub moved: bool,
}

/// A task on a branch, while it is worked at.
pub(crate) struct Job<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) branch: &'a BranchName,
    pub(crate) author: Author<'a>,
    pub(crate) resolving: Resolving<'a>,
    pub(crate) now_ms: u64,
    pub(crate) task: UnderWay,
    pub(crate) stored: Stored,
    /// What is looked up is there until it is written (BLOCKS-51).
    pub(crate) _hold: Hold,
}

impl Repo {
    /// Merges commits, such as the heads of another branch, into a branch.
    ///
    /// With conflicts that nothing decides the outcome is [`Outcome::Stopped`]: the branch and its
    /// working set are as they were, and the merge waits, durably, for [`resolve`](Self::resolve)
    /// and [`resume`](Self::resume), or [`abort`](Self::abort).
    pub fn merge(
        &self,
        branch: &BranchName,
        theirs: &Heads,
        author: Author<'_>,
        options: &MergeOptions<'_>,
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        let _timing = self.timing(Verb::Merge);
        let task = Task::Merge(self.newest_of(theirs)?.into_iter().collect());
        let resolving = options.resolving;
        let mut job = self.begin_job(branch, task, author, resolving, now_ms)?;
        job.task.message.clone_from(&options.message);
        job.merge(options.fast_forward, options.allow_unrelated)
    }

    /// Goes on with what is under way on a branch, with the heads it has now (MERGE-9). The rules are those that it was begun
    /// with; types and callback are given anew.
    pub fn resume(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Outcome, RepoError> {
        let _timing = self.timing(Verb::Merge);
        let job = self.stored_job(branch, author, resolving, now_ms)?;
        match job.task.task {
            Task::Merge(_) => job.merge(FastForward::Never, true),
            Task::Pick(_) | Task::Revert(_) => job.apply(),
            Task::Replay(_) => job.replay(),
        }
    }

    /// The trees of what is under way on a branch, as its heads are now.
    pub(crate) fn sides(&self, branch: &BranchName, task: &UnderWay) -> Result<Sides, RepoError> {
        let heads = self.heads(branch)?;
        match &task.task {
            Task::Merge(theirs) => self.merge_sides(&heads, &theirs.iter().copied().collect()),
            Task::Pick(applied) => self.pick_sides(&heads, *applied, false),
            Task::Revert(applied) => self.pick_sides(&heads, *applied, true),
            Task::Replay(replay) => {
                let at = replay.at.iter().copied().collect();
                let next = replay.todo.first().copied();
                let next = next.ok_or(RepoError::Damaged("a replay waits for nothing"))?;
                self.pick_sides(&at, next.into(), false)
            }
        }
    }

    fn merge_sides(&self, ours: &Heads, theirs: &Heads) -> Result<Sides, RepoError> {
        Ok(Sides {
            // MERGE-1.
            base: self.joined(&self.merge_bases(ours, theirs)?)?.0,
            ours: self.joined(ours)?.0,
            theirs: self.joined(theirs)?.0,
            joins: true,
        })
    }

    pub(crate) fn begin_job<'a>(
        &'a self,
        branch: &'a BranchName,
        task: Task,
        author: Author<'a>,
        resolving: Resolving<'a>,
        now_ms: u64,
    ) -> Result<Job<'a>, RepoError> {
        if self.under_way(branch)?.is_some() {
            return Err(RepoError::UnderWay(branch.clone()));
        }
        if resolving.rules.len() > RULES_MAX {
            return Err(RepoError::TooMany {
                what: "rules",
                limit: RULES_MAX,
            });
        }
        let rules = resolving.rules.iter();
        let task = UnderWay {
            task,
            heads: self.heads(branch)?.into_iter().collect(),
            message: None,
            resolutions: 0,
            rules: rules
                .map(|(pattern, strategy)| (pattern.to_string(), strategy.to_string()))
                .collect(),
        };
        Ok(Job {
            _hold: self.store().uses().hold(),
            repo: self,
            branch,
            author,
            resolving,
            now_ms,
            task,
            stored: Stored::default(),
        })
    }

    pub(crate) fn stored_job<'a>(
        &'a self,
        branch: &'a BranchName,
        author: Author<'a>,
        resolving: Resolving<'a>,
        now_ms: u64,
    ) -> Result<Job<'a>, RepoError> {
        let (task, stored) = self.task_of(branch)?;
        Ok(Job {
            _hold: self.store().uses().hold(),
            repo: self,
            branch,
            author,
            resolving,
            now_ms,
            task,
            stored,
        })
    }

    /// Refuses to bring commits of `meta` and others together (MERGE-6).
    pub(crate) fn check_meta(&self, branch: &BranchName, commits: &Heads) -> Result<(), RepoError> {
        for id in commits {
            if self.commit(*id)?.payload().branch.is_meta() != branch.is_meta() {
                return Err(Refusal::Branch.into());
            }
        }
        Ok(())
    }
}

impl Job<'_> {
    fn merge(
        mut self,
        fast_forward: FastForward,
        allow_unrelated: bool,
    ) -> Result<Outcome, RepoError> {
        let Task::Merge(theirs) = &self.task.task else {
            return Err(RepoError::Damaged("what is under way is no merge"));
        };
        let theirs: Heads = theirs.iter().copied().collect();
        self.repo.check_meta(self.branch, &theirs)?;
        for _ in 0..TRIES {
            self.read_again()?;
            let (raw, heads) = self.repo.read_heads(self.branch)?;
            if self.repo.has_all(&heads, &theirs)? {
                return self.nothing();
            }
            let nothing_own = self.repo.has_all(&theirs, &heads)?;
            // MERGE-4: a protected branch goes on to one head (REPO-91), which is then the merge of theirs.
            let is_forward = theirs.len() == 1 || !self.repo.is_protected(self.branch)?;
            // What was made on other branches comes with a commit, where that takes a right (REPO-116).
            let is_unsigned = match self.repo.check_made_on(self.branch, &theirs) {
                Err(RepoError::MadeElsewhere(_)) => false,
                other => other.map(|()| true)?,
            };
            let may_move = is_forward && is_unsigned;
            if nothing_own && may_move && fast_forward != FastForward::Never {
                match self.fast_forward((raw, &heads), &theirs)? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
            if fast_forward == FastForward::Only {
                return Err(RepoError::NotFastForward(self.branch.clone()));
            }
            let bases = self.repo.merge_bases(&heads, &theirs)?;
            if bases.is_empty() && !heads.is_empty() && !allow_unrelated {
                return Err(RepoError::Unrelated);
            }
            let plan = self.plan(&self.repo.merge_sides(&heads, &theirs)?)?;
            if plan.open_count > 0 {
                return self.stop(plan, &heads, None);
            }
            let both: Heads = heads.union(&theirs).copied().collect();
            let parents = if nothing_own && (is_forward || !is_unsigned) {
                both
            } else {
                self.repo.newest_of(&both)?
            };
            if parents.len() > PARENTS_MAX {
                return Err(RepoError::TooManyParents);
            }
            let message = self.task.message.clone();
            let message = message.unwrap_or_else(|| format!("Merge into {}", self.branch));
            let (commit, moved) = (
                self.write(&plan, (raw, &heads), Some(&parents), &message)?,
                self.moved(&heads),
            );
            if let Some(commit) = commit {
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

    /// Reads what is stored of the task, as far as it is: it may have been resolved further. Fails if
    /// it was given up and another begun.
    pub(crate) fn read_again(&mut self) -> Result<(), RepoError> {
        if self.stored.raw.is_some() {
            let (task, stored) = self.repo.task_of(self.branch)?;
            if task.task != self.task.task {
                return Err(RepoError::Contended(self.branch.clone()));
            }
            (self.task, self.stored) = (task, stored);
        }
        Ok(())
    }

    /// Ends the task without a change.
    pub(crate) fn nothing(&self) -> Result<Outcome, RepoError> {
        if self.stored.raw.is_some() && !self.repo.give_up(self.branch, &self.stored)? {
            return Err(RepoError::Contended(self.branch.clone()));
        }
        Ok(Outcome::Nothing)
    }

    fn fast_forward(
        &self,
        (raw, heads): (Option<Bytes>, &Heads),
        theirs: &Heads,
    ) -> Result<Option<Outcome>, RepoError> {
        let plan = self.plan(&Sides {
            base: self.repo.joined(heads)?.0,
            ours: self.repo.joined(heads)?.0,
            theirs: self.repo.joined(theirs)?.0,
            joins: true,
        })?;
        self.repo
            .propose_move(Act::FastForward, self.branch, heads, theirs)?;
        for id in theirs {
            self.repo.observe(self.repo.commit(*id)?.payload().stamp);
        }
        let mut batch = Batch::new();
        self.repo.end_task(self.branch, &self.stored, &mut batch);
        self.repo
            .move_heads(self.branch, (raw, heads), theirs, &mut batch)?;
        Ok(match self.repo.store().commit(batch)? {
            BatchOutcome::Moved { .. } => None,
            BatchOutcome::Done { .. } => Some(Outcome::FastForward {
                heads: theirs.clone(),
                merged: plan.merged,
            }),
        })
    }

    /// What is to be done with these trees.
    pub(crate) fn plan(&self, sides: &Sides) -> Result<Plan, RepoError> {
        let terms = self.repo.terms(
            self.branch,
            &self.task,
            &self.stored,
            (self.resolving, self.now_ms),
        )?;
        Plan::make(sides, &terms)
    }

    /// Makes the commit of a plan on the branch and ends the task, in one batch. `None` if the branch or
    /// the task changed meanwhile.
    pub(crate) fn write(
        &self,
        plan: &Plan,
        heads: (Option<Bytes>, &Heads),
        merges: Option<&Heads>,
        message: &str,
    ) -> Result<Option<CommitId>, RepoError> {
        let (entries, newest) = plan.entries(self.repo, self.now_ms);
        let draft = Draft {
            act: self.task.task.act(),
            branch: self.branch,
            author: self.author,
            message,
            entries: &entries,
            newest,
            blocks: &plan.blocks,
            merges,
        };
        let mut batch = Batch::new();
        self.repo.end_task(self.branch, &self.stored, &mut batch);
        self.repo.write(&draft, heads, None, self.now_ms, batch)
    }

    /// Keeps the task until its conflicts are resolved (MERGE-7).
    pub(crate) fn stop(
        &self,
        plan: Plan,
        heads: &Heads,
        at: Option<CommitId>,
    ) -> Result<Outcome, RepoError> {
        let record = self.task.encode()?;
        if self.stored.raw.as_deref() != Some(&record[..]) {
            let mut batch = Batch::new();
            let name = layout::merge(self.repo.id(), self.branch);
            let expect = Expect::read(self.stored.raw.clone());
            batch.set_ref(name, expect, Some(record));
            if let BatchOutcome::Moved { .. } = self.repo.store().commit(batch)? {
                return Err(RepoError::UnderWay(self.branch.clone()));
            }
        }
        Ok(Outcome::Stopped(Stopped {
            at,
            conflicts: plan.open,
            count: plan.open_count,
            merged: plan.merged,
            moved: self.moved(heads),
        }))
    }

    /// Whether the branch has other heads than when the task began.
    pub(crate) fn moved(&self, heads: &Heads) -> bool {
        !self.task.heads.iter().eq(heads)
    }
}
