//! What a peer may be told of a space, and what it may take a branch to (SYNC-60 to SYNC-66).

use std::collections::BTreeSet;

use allod_access::{Op, Principal, Request, Target};
use allod_identity::{AgentId, DeviceId};
use allod_repo::{BranchName, Repo, RepoError, RightsNow};
use allod_tree::Tree;
use bytes::Bytes;

/// What a peer may have of a branch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Share {
    Nothing,
    /// What has one of these prefixes, which are declared (SYNC-64).
    Parts(BTreeSet<Bytes>),
    All,
}

impl Share {
    /// Whether it has all that another one has.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (_, Self::Nothing) => true,
            (Self::Parts(own), Self::Parts(others)) => others.is_subset(own),
            _ => false,
        }
    }
}

/// Whoever a space is told to, at a time.
#[derive(Debug)]
pub(crate) struct Reader {
    rights: RightsNow,
    /// The agents that it may be: of a peer that has said nothing yet there may be several, or none.
    agents: Vec<Principal>,
    at: u64,
}

impl Reader {
    /// An agent.
    pub(crate) fn agent(repo: &Repo, agent: AgentId, at: u64) -> Result<Self, RepoError> {
        Ok(Self {
            rights: repo.authorizer()?,
            agents: vec![Principal::agent(agent)],
            at,
        })
    }

    /// Whoever a device acts for, of those that have a right here: all that is known before it says who it is.
    pub(crate) fn device(repo: &Repo, device: DeviceId, at: u64) -> Result<Self, RepoError> {
        let rights = repo.authorizer()?;
        if rights.is_plain() {
            // Then it is told what a member is told.
            let agents = Vec::new();
            return Ok(Self { rights, agents, at });
        }
        let mut may_be: BTreeSet<AgentId> = rights.members().copied().collect();
        may_be.insert(*rights.owner());
        may_be.extend(rights.facts().grants.values().map(|grant| grant.audience));
        let mut agents = Vec::new();
        for agent in may_be {
            if repo.agents().key_log(&agent)?.speaks(device.key()) {
                agents.push(Principal::agent(agent));
            }
        }
        Ok(Self { rights, agents, at })
    }

    /// Whether it may hear of the space at all.
    pub(crate) fn knows(&self) -> bool {
        self.agents
            .iter()
            .all(|who| self.rights.knows(who, self.at))
    }

    /// Whether it may have all that a branch has: no less than that can be told of one.
    pub(crate) fn may_have(&self, branch: &BranchName) -> bool {
        // Where members read everything, who is asked is known to be one, or is told nothing more before it says hello.
        branch.is_meta() || self.rights.is_plain() || self.may_read(branch, b"")
    }

    /// Whether all members may do the same, and nobody else anything.
    pub(crate) fn is_plain(&self) -> bool {
        self.rights.is_plain()
    }

    /// What it may have of a branch.
    pub(crate) fn share(&self, repo: &Repo, branch: &BranchName) -> Result<Share, RepoError> {
        if self.may_have(branch) {
            return Ok(Share::All);
        }
        if repo.part().is_some() {
            // What it has not all of it has not checked against the rest either (PART-21).
            return Ok(Share::Nothing);
        }
        let parts = self.parts(repo, branch)?;
        Ok(if parts.is_empty() {
            Share::Nothing
        } else {
            Share::Parts(parts)
        })
    }

    /// Whether it may read all keys that a tree has of a branch.
    pub(crate) fn may_read_tree(
        &self,
        repo: &Repo,
        branch: &BranchName,
        tree: &Tree,
    ) -> Result<bool, RepoError> {
        Repo::is_under(tree, self.parts(repo, branch)?)
    }

    /// The prefixes that are declared for a branch and under which it may read all keys.
    fn parts(&self, repo: &Repo, branch: &BranchName) -> Result<BTreeSet<Bytes>, RepoError> {
        let declared = repo.declared_parts()?;
        let of_branch = declared.iter().filter(|(_, of)| of.contains(branch));
        let may = of_branch.filter(|(prefix, _)| self.may_read(branch, prefix));
        Ok(may.map(|(prefix, _)| prefix.clone()).collect())
    }

    fn may_read(&self, branch: &BranchName, prefix: &[u8]) -> bool {
        let mut agents = self.agents.iter();
        let may = |who| self.may(who, Op::Read, branch, Target::Prefix(prefix));
        !self.agents.is_empty() && agents.all(may)
    }

    /// Whether it may take a branch to commits that were made on others, or begin it there: such a move is signed by nobody, so it
    /// is taken from who might make it (SYNC-65).
    pub(crate) fn may_move(&self, branch: &BranchName, op: Op) -> bool {
        let all = Target::Prefix(b"");
        self.rights.is_plain()
            || self.agents.iter().all(|who| {
                self.may(who, op, branch, Target::Branch)
                    && self.may(who, Op::Write, branch, all)
                    && self.may(who, Op::Delete, branch, all)
            })
    }

    fn may(&self, who: &Principal, op: Op, branch: &BranchName, target: Target<'_>) -> bool {
        let request = Request {
            who,
            op,
            branch: branch.as_str(),
            target,
            at: self.at,
        };
        self.rights.check(&request).is_allowed()
    }

    /// Whether rights are what they were when this was made; else they are looked at anew.
    pub(crate) fn is_current(&self, repo: &Repo) -> Result<bool, RepoError> {
        Ok(repo.authorizer()?.is_same(&self.rights))
    }
}
