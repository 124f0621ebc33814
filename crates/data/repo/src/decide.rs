//! Looking at the conflicts of what is under way, and deciding them (MERGE-7, MERGE-8).

use crate::entry::State;
use crate::error::RepoError;
use crate::ids::BranchName;
use crate::pending::{Resolved, Stored, Task, UnderWay};
use crate::plan::{Terms, conflict_of, state_of};
use crate::repo::Repo;
use crate::resolve::{Judge, MergeConflict, Resolution, Resolving};
use crate::threeway::Three;
use crate::write::TRIES;

impl Repo {
    /// Decides a conflict of what is under way on a branch, durably, in the place of any other
    /// decision about the key.
    pub fn resolve(
        &self,
        branch: &BranchName,
        key: &[u8],
        resolution: Resolution,
    ) -> Result<(), RepoError> {
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (task, stored) = self.task_of(branch)?;
            let [base, ours, theirs] = self.sides(branch, &task)?.entries(key)?;
            let three = Three {
                key,
                base: base.as_deref(),
                ours: ours.as_deref(),
                theirs: theirs.as_deref(),
            };
            let values = three.values()?;
            if values.agreed().is_some() {
                return Err(RepoError::NoConflict { key: key.to_vec() });
            }
            let (state, block) = state_of(self, resolution.clone(), &values)?;
            if let Some(link) = state.link() {
                self.check_file(key, *link)?;
            }
            let resolved = Resolved::new(&values, state);
            if self.keep_resolution(branch, &stored, (key, &resolved, block))? {
                return Ok(());
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// At most `limit` conflicts of what is under way on a branch, greater than `after` and in key
    /// order, each with the value that a resolution, a rule or the callback decided for.
    pub fn open_conflicts(
        &self,
        branch: &BranchName,
        resolving: Resolving<'_>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(MergeConflict, Option<State>)>, RepoError> {
        let (task, stored) = self.task_of(branch)?;
        // Nothing is written here, and so nothing is stamped.
        let terms = self.terms(branch, &task, &stored, (resolving, 0))?;
        let mut found = Vec::new();
        let mut changes = self.sides(branch, &task)?.changes();
        while let Some(three) = changes.next_key()? {
            if found.len() >= limit {
                break;
            }
            let values = three.values()?;
            let is_none = values.join() || values.agreed().is_some();
            if is_none || after.is_some_and(|after| three.key <= after) {
                continue;
            }
            found.push(match terms.decide(&three, &values)? {
                Ok((state, _)) => (conflict_of(&three)?, Some(state)),
                Err(conflict) => (conflict, None),
            });
        }
        Ok(found)
    }

    pub(crate) fn task_of(&self, branch: &BranchName) -> Result<(UnderWay, Stored), RepoError> {
        self.stored_task(branch)?
            .ok_or_else(|| RepoError::NothingUnderWay(branch.clone()))
    }

    /// What decides the conflicts of a task, and what it must not touch.
    pub(crate) fn terms<'a>(
        &'a self,
        branch: &BranchName,
        task: &UnderWay,
        stored: &'a Stored,
        (resolving, now_ms): (Resolving<'a>, u64),
    ) -> Result<Terms<'a>, RepoError> {
        // The rules of the call before those of the space (MERGE-11).
        let mut rules = task.parsed_rules()?;
        rules.extend(self.merge_rules()?);
        let changed = match &task.task {
            Task::Replay(replay) => &replay.to,
            _ => branch,
        };
        Ok(Terms {
            judge: Judge {
                repo: self,
                rules,
                types: resolving.types,
                callback: resolving.callback,
            },
            now_ms,
            resolved: &stored.resolved,
            staged: self.staged(changed)?,
        })
    }
}
