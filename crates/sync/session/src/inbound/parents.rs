//! Which parents a peer may name whose agent may not read all that is here (SYNC-66).

use std::sync::Arc;

use allod_identity::Verified;
use allod_repo::{Commit, CommitId, Repo, RepoError};
use allod_tree::TreeError;

use super::{Inbound, Source};
use crate::session::Fault;

/// Commits of a peer's own that are looked at before one of them: what somebody writes between two commits of who has all.
const OWN_MAX: usize = 1024;

impl Inbound {
    /// Whether a peer may send a commit with these parents. What is judged against a state that it may not read would tell of
    /// that, and a branch that goes on from there would be given to it. What it made itself it may go on from, where it might
    /// make that.
    pub(super) fn may_build_on(
        &mut self,
        repo: &Repo,
        from: Source<'_>,
        said: &Commit,
    ) -> Result<bool, Fault> {
        let mut own: Vec<CommitId> = Vec::new();
        let mut open: Vec<Arc<Verified<Commit>>> = Vec::new();
        if !self.parents_of(repo, from, said, (&mut own, &mut open))? {
            return Ok(false);
        }
        while let Some(commit) = open.pop() {
            if !self.parents_of(repo, from, commit.payload(), (&mut own, &mut open))? {
                return Ok(false);
            }
        }
        self.theirs.extend(own);
        Ok(true)
    }

    /// Looks at the parents of a commit; those that the peer's agent made are to be looked at in turn.
    fn parents_of(
        &self,
        repo: &Repo,
        from: Source<'_>,
        said: &Commit,
        (own, open): (&mut Vec<CommitId>, &mut Vec<Arc<Verified<Commit>>>),
    ) -> Result<bool, Fault> {
        for parent in &said.parents {
            let commit = repo.commit(*parent)?;
            let of = commit.payload();
            if from.reader.may_have(&of.branch)
                || self.theirs.contains(parent)
                || own.contains(parent)
                || repo.might_read(*parent, &from.agent, said)?
                || may_read(repo, from, of)?
            {
                continue;
            }
            if of.author != from.agent || own.len() >= OWN_MAX {
                return Ok(false);
            }
            own.push(*parent);
            open.push(commit);
        }
        Ok(true)
    }
}

/// Whether a peer may read all keys that a commit has.
fn may_read(repo: &Repo, from: Source<'_>, said: &Commit) -> Result<bool, Fault> {
    let tree = match repo.tree(said.tree) {
        // Of what is not all here nobody can say that.
        Err(RepoError::Tree(TreeError::Missing { .. })) => return Ok(false),
        tree => tree?,
    };
    match from.reader.may_read_tree(repo, &said.branch, &tree) {
        Err(RepoError::Tree(TreeError::Missing { .. })) => Ok(false),
        may => Ok(may?),
    }
}
