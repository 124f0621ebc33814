//! A space as whoever asks may have it: all routes ask here (HTTP-85 to HTTP-89).

use allod_access::{Door, Target as Keys, Verdict};
use allod_repo::{BranchName, CommitId, Edit, Heads, Repo, RepoError};
use bytes::Bytes;

use super::problem::Problem;
use super::query::{At, written};
use super::target::Target;
use super::who::Who;
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::naming::{branch_heads, one_commit};
use crate::node::{Node, Position};
use crate::seeing::{Seen, Sight};

/// A space, and who asks for it.
pub(crate) struct Space<'a> {
    pub(crate) node: &'a Node,
    pub(crate) repo: Repo,
    pub(crate) who: &'a Who,
    name: String,
}

/// All keys.
const ALL: Keys<'_> = Keys::Prefix(b"");

impl Target {
    /// The space that the path names, for whoever asks.
    pub(crate) fn open<'a>(&self, node: &'a Node, who: &'a Who) -> Result<Space<'a>, Problem> {
        Space::open(node, who, self.space_name())
    }
}

impl<'a> Space<'a> {
    pub(crate) fn open(node: &'a Node, who: &'a Who, name: &str) -> Result<Self, Problem> {
        Ok(Self {
            repo: node.space(Some(name))?,
            node,
            who,
            name: name.to_owned(),
        })
    }

    /// Whether whoever asks may read something here.
    pub(crate) fn is_known(&self) -> Result<bool, Problem> {
        let rights = self.repo.authorizer()?;
        Ok(self.who.is_own() || rights.knows(self.who.principal(), now_ms()))
    }

    /// Refuses who may read nothing here, as if there was no such space.
    pub(crate) fn check_known(&self) -> Result<(), Problem> {
        if self.is_known()? {
            return Ok(());
        }
        Err(NodeError::NoSuchSpace(self.name.clone()).into())
    }

    /// What a refusal is to whoever asks: who may read nothing here hears of no space.
    fn told<T>(&self, asked: Result<T, NodeError>) -> Result<T, Problem> {
        match asked {
            Err(NodeError::Denied { .. } | NodeError::NoState(_)) if !self.is_known()? => {
                Err(NodeError::NoSuchSpace(self.name.clone()).into())
            }
            asked => Ok(asked?),
        }
    }

    /// Asks at a door.
    pub(crate) fn ask(&self, door: Door, on: (&str, Keys<'_>)) -> Result<Verdict, Problem> {
        self.told(self.node.ask(&self.repo, door, self.who.principal(), on))
    }

    /// The state that is asked for, as far as it may be read.
    pub(crate) fn see(&self, door: Door, at: &At, keys: Keys<'_>) -> Result<Seen, Problem> {
        let by = (door, self.who.principal());
        let at = (at.branch.as_deref(), at.at.as_deref());
        self.told(self.node.see(&self.repo, by, at, keys))
    }

    /// The state that is asked for, if all of it may be read.
    pub(crate) fn see_whole(&self, door: Door, at: &At) -> Result<Heads, Problem> {
        whole(door, self.see(door, at, ALL)?)
    }

    /// One commit, if all of it may be read. One that may not is as if it was not here.
    pub(crate) fn see_commit(&self, door: Door, text: &str) -> Result<Heads, Problem> {
        self.check_known()?;
        let unknown = || NodeError::NoState(text.to_owned());
        let is_branch = branch_heads(&self.repo, text).is_ok();
        if is_branch && self.glimpse(text)?.is_none() {
            return Err(unknown().into());
        }
        let heads = match one_commit(&self.repo, text) {
            Err(NodeError::ManyCommits(..)) if !self.who.is_own() => Err(unknown()),
            found => found.map(|id| Heads::from([id])),
        };
        let by = (door, self.who.principal());
        let seen = heads.and_then(|heads| self.node.see_commits(&self.repo, by, heads, ALL));
        match seen {
            Err(NodeError::Denied { .. }) => Err(unknown().into()),
            seen => whole(door, self.told(seen)?),
        }
    }

    /// What may be read of a branch, which is asked about beside others; `None` if nothing.
    pub(crate) fn glimpse(&self, branch: &str) -> Result<Option<Sight>, Problem> {
        let rights = self.repo.authorizer()?;
        Ok(Sight::of(&rights, self.who.principal(), (branch, ALL)))
    }

    /// Whether a key may be read on a branch, which is asked about beside something else.
    pub(crate) fn glimpses(&self, branch: &str, key: &[u8]) -> Result<bool, Problem> {
        let rights = self.repo.authorizer()?;
        let sight = Sight::of(&rights, self.who.principal(), (branch, Keys::Key(key)));
        Ok(sight.is_some())
    }

    /// Whether something of the state of a commit may be read.
    pub(crate) fn sees_commit(&self, commit: CommitId) -> Result<bool, Problem> {
        let by = (Door::Inspect, self.who.principal());
        let heads = Heads::from([commit]);
        match self.node.see_commits(&self.repo, by, heads, ALL) {
            Ok(_) => Ok(true),
            Err(NodeError::Denied { .. } | NodeError::Repo(RepoError::NoCommit(_))) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The branch that a write goes to, if all of it may be written.
    pub(crate) fn written(
        &self,
        name: Option<&str>,
        edits: &[(Bytes, Edit)],
    ) -> Result<BranchName, Problem> {
        let keys = edits.iter().map(|(key, edit)| {
            let door = match edit {
                Edit::Delete => Door::Delete,
                _ => Door::Put,
            };
            (door, &key[..])
        });
        self.may_write(name, keys)
    }

    /// The same for keys alone: before anything is read that is written there.
    pub(crate) fn may_write<'k>(
        &self,
        name: Option<&str>,
        keys: impl Iterator<Item = (Door, &'k [u8])>,
    ) -> Result<BranchName, Problem> {
        let branch = match (name, self.node.position(&self.repo)?) {
            (Some(name), _) => Some(name.to_owned()),
            (None, Position::Branch(own)) => Some(own.to_string()),
            (None, Position::Detached(_)) => None,
        };
        // On meta nobody writes here, whoever asks.
        if let Some(branch) = branch.filter(|name| name != BranchName::meta().as_str()) {
            for (door, key) in keys {
                self.ask(door, (&branch, Keys::Key(key)))?;
            }
        } else {
            self.check_known()?;
        }
        written(self.node, &self.repo, name)
    }
}

/// The commits, if all of their state may be read.
fn whole(door: Door, seen: Seen) -> Result<Heads, Problem> {
    if seen.sight.is_whole() {
        return Ok(seen.heads);
    }
    Err(NodeError::DeniedInPart { door: door.name() }.into())
}
