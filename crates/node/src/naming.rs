//! What a text names in a space: a branch, a tag, a tracking branch, a commit, a time.

use std::io::Read;

use allod_blocks::{FileProfile, add_file};
use allod_repo::{BranchName, CommitId, Edit, Heads, Repo, VALUE_BLOCK_BYTES_MAX, View};
use allod_tables::moment;

use crate::error::NodeError;
use crate::node::{Node, Position};

/// The one commit that a text means: enough of its id, a branch with one head, or a tag.
pub fn one_commit(repo: &Repo, text: &str) -> Result<CommitId, NodeError> {
    match &repo.find(text)?[..] {
        [one] => Ok(*one),
        [] => Err(NodeError::NoState(text.to_owned())),
        several => Err(NodeError::ManyCommits(text.to_owned(), several.len())),
    }
}

/// The heads of the branch of this name, else of a tracking branch, else one commit.
pub fn heads_at(repo: &Repo, text: &str) -> Result<Heads, NodeError> {
    if let Ok(branch) = text.parse::<BranchName>() {
        let heads = repo.heads(&branch)?;
        if !heads.is_empty() {
            return Ok(heads);
        }
    }
    // A tag stands before a tracking branch.
    let tag = text.parse().ok().map(|name| repo.tag(&name)).transpose()?;
    if tag.flatten().is_none() {
        let tracked = repo.tracked_as(text)?;
        if !tracked.is_empty() {
            return Ok(tracked);
        }
    }
    Ok(Heads::from([one_commit(repo, text)?]))
}

/// The heads of a branch that is there.
pub fn branch_heads(repo: &Repo, text: &str) -> Result<(BranchName, Heads), NodeError> {
    let unknown = || NodeError::NoBranch(text.to_owned());
    let name: BranchName = text.parse().map_err(|_error| unknown())?;
    let heads = repo.heads(&name)?;
    if heads.is_empty() {
        return Err(unknown());
    }
    Ok((name, heads))
}

impl Node {
    /// The commits whose state is meant: those of a branch, else of where the space stands; with `at` what
    /// that names, or the newest commit of these that was made by the time that it is. What `at` names must
    /// be on the branch, if one is given.
    pub fn commits_at(
        &self,
        repo: &Repo,
        branch: Option<&str>,
        at: Option<&str>,
    ) -> Result<Heads, NodeError> {
        let of = match (branch, at) {
            (Some(branch), _) => branch_heads(repo, branch)?.1,
            (None, Some(at)) if moment(at).is_none() => return heads_at(repo, at),
            (None, _) => match self.position(repo)? {
                Position::Branch(name) => repo.heads(&name)?,
                Position::Detached(id) => Heads::from([id]),
            },
        };
        let Some(at) = at else { return Ok(of) };
        if branch.is_none()
            && let Ok((_, named)) = branch_heads(repo, at)
        {
            return Ok(named);
        }
        if let Some(micros) = moment(at) {
            let newest = repo.newest_by(&of, micros.div_euclid(1000))?;
            let newest = newest.ok_or_else(|| NodeError::NoState(at.to_owned()))?;
            return Ok(Heads::from([newest]));
        }
        let id = one_commit(repo, at)?;
        for head in &of {
            if repo.is_ancestor(id, *head)? {
                return Ok(Heads::from([id]));
            }
        }
        Err(NodeError::NoState(at.to_owned()))
    }

    /// The state of [`commits_at`](Self::commits_at).
    pub fn state_at(
        &self,
        repo: &Repo,
        branch: Option<&str>,
        at: Option<&str>,
    ) -> Result<View, NodeError> {
        Ok(repo.together(&self.commits_at(repo, branch, at)?)?)
    }

    /// An edit with the content of a reader: a value, or for a long one a file, whose blocks are in the store
    /// then. They stay as long as a [`Hold`](allod_blocks::Hold) is open, or the edit is made.
    pub fn edit_from(&self, input: &mut dyn Read) -> Result<Edit, NodeError> {
        let mut start = Vec::new();
        let limit = VALUE_BLOCK_BYTES_MAX as u64 + 1;
        let read = input.take(limit).read_to_end(&mut start);
        read.map_err(allod_blocks::FileError::from)?;
        if start.len() <= VALUE_BLOCK_BYTES_MAX {
            return Ok(Edit::Put(start.into()));
        }
        let mut whole = start.as_slice().chain(input);
        let profile = FileProfile::UNIXFS_V1_2025;
        let info = add_file(self.store().as_ref(), profile, &mut whole, &mut |_| {})?;
        Ok(Edit::Link(info.cid))
    }
}
