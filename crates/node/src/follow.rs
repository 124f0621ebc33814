//! Telling hooks of commits that are durable (HOOK-10 to HOOK-12).

use allod_repo::{CommitId, Heads, RefMove, follow, follower};
use serde_json::json;

use crate::error::NodeError;
use crate::hooks::{About, HookFile, HookKind, lock};
use crate::node::Node;

/// Commits that a hook is told of by name (HOOK, "Limits").
const COMMITS_NAMED: usize = 1000;

/// How a hook that hears of commits stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HookProgress {
    /// Moves in the log that it has not heard of.
    pub waiting: u64,
    /// How often it failed at the next one.
    pub failed: u64,
    /// Moves that it failed at too often, and that were passed over.
    pub given_up: u64,
    /// Moves that were gone from the log before it heard of them.
    pub missed: u64,
}

impl Node {
    /// Tells hooks of what they have not heard of; what those said that failed.
    pub fn run_hooks(&self) -> Result<Vec<String>, NodeError> {
        let hooks = self.hooks_of();
        let files = hooks.all().map_err(NodeError::file(self.home().path()))?;
        let mut failures = Vec::new();
        let _alone = lock(&hooks.following);
        for file in files {
            if file.kind == HookKind::PostCommit {
                let told = follow(self.store().as_ref(), &file.cursor(), &mut |at, moved| {
                    self.tell(&file, at, moved)
                });
                failures.extend(told?.failure);
            }
        }
        Ok(failures)
    }

    /// How a hook stands; `None` for one that does not follow the log, or has not begun to.
    pub fn hook_progress(&self, file: &HookFile) -> Result<Option<HookProgress>, NodeError> {
        if file.kind == HookKind::PreCommit {
            return Ok(None);
        }
        let end = self.store().stats()?.log_end;
        let record = follower(self.store().as_ref(), &file.cursor())?;
        Ok(record.map(|record| HookProgress {
            waiting: end.saturating_sub(record.next),
            failed: record.failed,
            given_up: record.given_up,
            missed: record.missed,
        }))
    }

    fn tell(&self, file: &HookFile, position: u64, moved: &RefMove) -> Result<(), String> {
        let hooks = self.hooks_of();
        let name = hooks.name_of(moved.space)?;
        if let Some(of) = &file.space
            && *of != moved.space.to_string()
            && Some(of) != name.as_ref()
        {
            return Ok(());
        }
        let (commits, count) = self.commits_of(moved);
        let texts = |ids: &[CommitId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let line = json!({
            "format": "allod-hook",
            "version": 1,
            "hook": HookKind::PostCommit.name(),
            "position": position,
            "space": moved.space.to_string(),
            "branch": moved.branch.as_str(),
            "from": texts(&moved.from),
            "to": texts(&moved.to),
            "commits": texts(&commits),
            "count": count,
        });
        let about = About {
            space: moved.space,
            name: name.as_deref(),
            branch: &moved.branch,
        };
        let told = hooks.run(file, &about, &mut |out| Ok(writeln!(out, "{line}")?));
        told.map_err(|objection| objection.to_string())
    }

    /// The commits that a move brought, parents first, the last of them by name; and how many.
    fn commits_of(&self, moved: &RefMove) -> (Vec<CommitId>, usize) {
        let heads = |ids: &[CommitId]| ids.iter().copied().collect::<Heads>();
        let repo = self.repo(moved.space).ok();
        let all = repo.and_then(|repo| {
            let all = repo.missing(&heads(&moved.to), &heads(&moved.from));
            all.ok()
        });
        // Commits may be gone since: the heads say at least what moved.
        let all = all.unwrap_or_else(|| moved.to.clone());
        let count = all.len();
        let named = all.into_iter().skip(count.saturating_sub(COMMITS_NAMED));
        (named.collect(), count)
    }
}
