//! What a move is about, in so far as it tells whom to wake.

use std::sync::Arc;

use allod_identity::Verified;
use allod_repo::{Commit, Reach, Repo, RepoError};
use bytes::Bytes;

use crate::filter::{Filter, Kind};
use crate::moves::{Course, Move};

/// Keys and commits that are looked at. A move with more may concern everybody: they look by themselves.
const LOOKED_MAX: usize = 1024;

/// What a move is about.
#[derive(Debug)]
pub(crate) struct Outline {
    is_forward: bool,
    /// `None` if nobody asks.
    reach: Option<Reach>,
    /// `None` if there are too many.
    commits: Option<Vec<Arc<Verified<Commit>>>>,
    /// In order; `None` if they are not known.
    keys: Option<Vec<Bytes>>,
}

impl Outline {
    /// Of a move; with the reach of its space, and the keys that it changed, if somebody asks for them.
    pub(crate) fn of(
        repo: &Repo,
        moved: &Move,
        (has_reach, has_keys): (bool, bool),
    ) -> Result<Self, RepoError> {
        let is_forward = moved.course == Course::Forward;
        let reach = has_reach.then(|| repo.reach()).transpose()?;
        let (mut commits, mut keys) = (None, None);
        if moved.commits.len() <= LOOKED_MAX {
            let read = moved.commits.iter().map(|id| repo.commit(*id));
            commits = Some(read.collect::<Result<_, _>>()?);
            if has_keys && is_forward {
                keys = keys_of(repo, moved)?;
            }
        }
        Ok(Self {
            is_forward,
            reach,
            commits,
            keys,
        })
    }

    /// Whether a filter may let something of it pass.
    pub(crate) fn may_concern(&self, filter: &Filter) -> bool {
        if self.is_forward && !filter.wants_kind(Kind::Commit) && !filter.wants_kind(Kind::Change) {
            return false;
        }
        if self.reach.is_some_and(|reach| !filter.wants_reach(reach)) {
            return false;
        }
        if filter.has_writers()
            && let Some(commits) = &self.commits
        {
            let mut said = commits.iter();
            if !said.any(|said| filter.wants_writer(&said.payload().author, said.signer())) {
                return false;
            }
        }
        match &self.keys {
            Some(keys) if filter.has_keys() => keys.iter().any(|key| filter.wants_key(key)),
            _ => true,
        }
    }
}

/// The keys that the commits of a move changed; `None` if they are too many.
fn keys_of(repo: &Repo, moved: &Move) -> Result<Option<Vec<Bytes>>, RepoError> {
    let mut keys = Vec::new();
    for id in &moved.commits {
        let changes = match repo.changes(*id) {
            Err(RepoError::Bare(_)) => continue,
            changes => changes?,
        };
        for change in changes {
            keys.push(change?.0);
            if keys.len() > LOOKED_MAX {
                return Ok(None);
            }
        }
    }
    Ok(Some(keys))
}
