//! Which parents a peer may name whose agent may not read all that is here (SYNC-66).

use allod_blocks::Cid;
use allod_repo::{Commit, CommitId, Repo, RepoError};
use allod_tree::TreeError;

use super::{Inbound, Source};
use crate::session::Fault;

/// Commits of a peer's own that are looked at before one of them: what somebody writes between two commits of who has all.
const OWN_MAX: usize = 1024;

impl Inbound {
    /// Whether a peer may send a commit with these parents. What is judged against a state that it may not read would tell of
    /// that, and a branch that goes on from there would be given to it.
    pub(super) fn may_build_on(
        &mut self,
        repo: &Repo,
        from: Source<'_>,
        said: &Commit,
    ) -> Result<bool, Fault> {
        for parent in &said.parents {
            let commit = repo.commit(*parent)?;
            let branch = &commit.payload().branch;
            if from.reader.may_have(branch)
                || self.theirs.contains(parent)
                || self.is_their_own(repo, from, *parent)?
                || may_read(repo, from, commit.payload())?
            {
                continue;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether the peer's agent made a commit, and all that is before it.
    fn is_their_own(&mut self, repo: &Repo, from: Source<'_>, id: CommitId) -> Result<bool, Fault> {
        let (mut open, mut own) = (vec![id], Vec::new());
        while let Some(id) = open.pop() {
            if self.theirs.contains(&id) {
                continue;
            }
            let commit = repo.commit(id)?;
            if commit.payload().author != from.agent || own.len() >= OWN_MAX {
                return Ok(false);
            }
            own.push(id);
            open.extend(commit.payload().parents.iter().copied());
        }
        self.theirs.extend(own);
        Ok(true)
    }
}

/// Whether a peer may read all that a commit has.
fn may_read(repo: &Repo, from: Source<'_>, said: &Commit) -> Result<bool, Fault> {
    match open(repo, said.tree, from, said) {
        // Of what is not all here nobody can say that.
        Err(RepoError::Tree(TreeError::Missing { .. })) => Ok(false),
        may => Ok(may?),
    }
}

fn open(repo: &Repo, root: Cid, from: Source<'_>, said: &Commit) -> Result<bool, RepoError> {
    from.reader
        .may_read_tree(repo, &said.branch, &repo.tree(root)?)
}
