//! What somebody may read of a space: the branch by which a state is read, and which keys of it (ACCESS-20, ACCESS-23).

use std::sync::Arc;

use allod_access::{Answer, Door, Op, Principal, Request, Target};
use allod_repo::{BranchName, CommitId, Heads, Repo, RightsNow};
use allod_sql::{At, TableError};
use allod_tables::{Visibility, moment};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::naming::{branch_heads, heads_at};
use crate::node::{Node, Position};

/// What somebody may read on a branch.
#[derive(Clone, Debug)]
pub struct Sight {
    rights: RightsNow,
    who: Principal,
    branch: String,
    is_whole: bool,
}

/// Commits whose state somebody may read, and what of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The commits.
    pub heads: Heads,
    /// What of their state.
    pub sight: Sight,
}

impl Sight {
    /// What may be read of some keys on a branch; `None` if nothing. It is noted nowhere: what is left out of a list was not
    /// asked for.
    pub fn of(
        rights: &RightsNow,
        who: &Principal,
        (branch, target): (&str, Target<'_>),
    ) -> Option<Self> {
        let request = Request {
            who,
            op: Op::Read,
            branch,
            target,
            at: now_ms(),
        };
        let answer = rights.check(&request).answer;
        (answer != Answer::Deny).then(|| Self {
            rights: rights.clone(),
            who: who.clone(),
            branch: branch.to_owned(),
            is_whole: answer == Answer::Allow,
        })
    }

    /// Whether all that was asked for may be read.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The branch by which it is read.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Whether a key may be read.
    #[must_use]
    pub fn sees(&self, key: &[u8]) -> bool {
        let target = Target::Key(key);
        self.is_whole || Self::of(&self.rights, &self.who, (&self.branch, target)).is_some()
    }
}

impl Node {
    /// The state of [`commits_at`](Self::commits_at) as far as somebody may read it. With a branch it is read by that branch.
    /// A commit, or a tag, is read by a branch that has it.
    ///
    /// # Errors
    /// [`NodeError::Denied`] for a branch, whether it is there or not; [`NodeError::NoState`] for what may not be read, as if
    /// it were not there.
    pub fn see(
        &self,
        repo: &Repo,
        (door, who): (Door, &Principal),
        (branch, at): (Option<&str>, Option<&str>),
        target: Target<'_>,
    ) -> Result<Seen, NodeError> {
        let named = match (branch, at) {
            (Some(branch), _) => Some(branch.to_owned()),
            (None, Some(text)) if moment(text).is_none() => {
                let unknown = || NodeError::NoState(text.to_owned());
                if let Ok((name, heads)) = branch_heads(repo, text) {
                    // A branch is read by itself, also where another has all of it.
                    let seen = self.ask(repo, door, who, (name.as_str(), target));
                    return match seen {
                        Err(NodeError::Denied { .. }) => Err(unknown()),
                        seen => Ok(Seen {
                            heads,
                            sight: Sight {
                                is_whole: seen?.answer == Answer::Allow,
                                rights: repo.authorizer()?,
                                who: who.clone(),
                                branch: name.to_string(),
                            },
                        }),
                    };
                }
                let heads = match heads_at(repo, text) {
                    // How many there are is not for who may not read them.
                    Err(NodeError::ManyCommits(..)) if !is_plain_to(repo, who)? => {
                        return Err(unknown());
                    }
                    heads => heads?,
                };
                let seen = self.see_commits(repo, (door, who), heads, target);
                return match seen {
                    Err(NodeError::Denied { .. }) => Err(unknown()),
                    seen => seen,
                };
            }
            (None, _) => match self.position(repo)? {
                Position::Branch(name) => Some(name.to_string()),
                Position::Detached(_) => None,
            },
        };
        let Some(named) = named else {
            let heads = self.commits_at(repo, branch, at)?;
            return self.see_commits(repo, (door, who), heads, target);
        };
        let verdict = self.ask(repo, door, who, (&named, target))?;
        let sight = Sight {
            rights: repo.authorizer()?,
            who: who.clone(),
            branch: named,
            is_whole: verdict.answer == Answer::Allow,
        };
        let heads = self.commits_at(repo, branch, at)?;
        Ok(Seen { heads, sight })
    }

    /// The state of commits as far as somebody may read it: by a branch that has them all.
    ///
    /// # Errors
    /// [`NodeError::Denied`] if there is none by which it may be read.
    pub fn see_commits(
        &self,
        repo: &Repo,
        (door, who): (Door, &Principal),
        heads: Heads,
        target: Target<'_>,
    ) -> Result<Seen, NodeError> {
        let rights = repo.authorizer()?;
        let mut best: Option<Sight> = None;
        let mut is_on_any = false;
        // Where no rule and no grant says anything, all branches are alike.
        let branches = if rights.is_plain() {
            Vec::new()
        } else {
            repo.branches()?
        };
        for (name, of) in branches {
            if !has_all(repo, &of, &heads)? {
                continue;
            }
            is_on_any = true;
            let sight = Sight::of(&rights, who, (name.as_str(), target));
            best = match (best, sight) {
                (Some(best), Some(sight)) if sight.is_whole && !best.is_whole => Some(sight),
                (Some(best), _) => Some(best),
                (None, sight) => sight,
            };
            if best.as_ref().is_some_and(Sight::is_whole) {
                break;
            }
        }
        // What no branch has is read as the branch that it was made on.
        let made_on = match heads.first() {
            Some(first) => repo.commit(*first)?.payload().branch.to_string(),
            None => BranchName::main().to_string(),
        };
        let branch = match best {
            Some(sight) => sight.branch,
            None if is_on_any => {
                return Err(NodeError::Denied {
                    door: door.name(),
                    why: "no branch that has it may be read".to_owned(),
                });
            }
            None => made_on,
        };
        let verdict = self.ask(repo, door, who, (&branch, target))?;
        let is_whole = verdict.answer == Answer::Allow;
        let sight = Sight {
            rights,
            who: who.clone(),
            branch,
            is_whole,
        };
        Ok(Seen { heads, sight })
    }
}

/// Whether somebody may read all of a space, because nothing there says otherwise.
fn is_plain_to(repo: &Repo, who: &Principal) -> Result<bool, NodeError> {
    let rights = repo.authorizer()?;
    Ok(rights.is_plain() && rights.knows(who, now_ms()))
}

/// Whether a branch has these commits in its history.
fn has_all(repo: &Repo, branch: &Heads, commits: &Heads) -> Result<bool, NodeError> {
    for commit in commits {
        let mut is_there = branch.contains(commit);
        for head in branch {
            is_there = is_there || repo.is_ancestor(*commit, *head)?;
        }
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a statement may read (TAB-9).
#[derive(Clone)]
pub(crate) struct SqlSight {
    pub(crate) node: Node,
    pub(crate) repo: Repo,
    pub(crate) sight: Sight,
}

impl std::fmt::Debug for SqlSight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SqlSight").field(&self.sight.branch).finish()
    }
}

impl SqlSight {
    fn see(&self, at: (Option<&str>, Option<&str>)) -> Result<Sight, NodeError> {
        let by = (Door::Sql, &self.sight.who);
        let seen = self.node.see(&self.repo, by, at, Target::Prefix(b""))?;
        Ok(seen.sight)
    }
}

impl Visibility for SqlSight {
    fn sees(&self, key: &[u8]) -> bool {
        self.sight.sees(key)
    }

    fn sees_all(&self) -> bool {
        self.sight.is_whole
    }

    fn elsewhere(&self, at: &At) -> Result<Option<Arc<dyn Visibility>>, TableError> {
        let (branch, as_of) = (at.branch.as_deref(), at.as_of.as_deref());
        if branch.is_none() && as_of.is_none_or(|text| moment(text).is_some()) {
            return Ok(None);
        }
        match self.see((branch, as_of)) {
            Ok(sight) => {
                let (node, repo) = (self.node.clone(), self.repo.clone());
                Ok(Some(Arc::new(Self { node, repo, sight })))
            }
            Err(error) => Err(TableError::State(error.to_string())),
        }
    }

    fn sees_branch(&self, branch: &BranchName) -> bool {
        let whole = Target::Prefix(b"");
        Sight::of(
            &self.sight.rights,
            &self.sight.who,
            (branch.as_str(), whole),
        )
        .is_some()
    }

    fn sees_commit(&self, commit: CommitId) -> bool {
        let by = (Door::Sql, &self.sight.who);
        let seen =
            self.node
                .see_commits(&self.repo, by, Heads::from([commit]), Target::Prefix(b""));
        seen.is_ok()
    }
}
