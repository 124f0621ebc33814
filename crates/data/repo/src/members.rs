//! Who may write: the owner, and the members that `meta` names (REPO-13, REPO-17); and whom a space is meant for
//! (REPO-95).

use std::fmt;
use std::str::FromStr;

use allod_blocks::Cid;
use allod_identity::AgentId;
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Repo, lock};
use crate::view::{Content, Span};

const MEMBER_PREFIX: &str = "member/";
const MAY_WRITE: &[u8] = b"write";

/// The key in `meta` that says whom the space is meant for.
const REACH: &str = "reach";

/// How often a change of `meta` is tried beside others.
const TRIES: u32 = 16;

/// The members in a state of `meta`, by its root.
pub(crate) type KnownMembers = Option<(Cid, Vec<AgentId>)>;

/// Whom a space is meant for, as its owner says (REPO-95). It is no right and no measure of trust, and has no order: what
/// compares it with either opens a door.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reach {
    /// Its owner.
    #[default]
    Private,
    /// Those whom its owner invites.
    Invited,
    /// A circle that its owner belongs to.
    Circle,
    /// Everybody.
    Public,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Private, Self::Invited, Self::Circle, Self::Public];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Invited => "invited",
            Self::Circle => "circle",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no [`Reach`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a reach is private, invited, circle or public")]
#[non_exhaustive]
pub struct BadReach;

impl FromStr for Reach {
    type Err = BadReach;

    fn from_str(text: &str) -> Result<Self, BadReach> {
        let mut all = Self::ALL.into_iter();
        all.find(|reach| reach.name() == text).ok_or(BadReach)
    }
}

impl Repo {
    /// Whom the space is meant for, by the `meta` that is here; its owner alone if that does not say, or says what is
    /// not known here.
    pub fn reach(&self) -> Result<Reach, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let entry = meta.entry(REACH.as_bytes())?;
        let value = entry.map(|entry| meta.content(&entry)).transpose()?;
        Ok(match value.flatten() {
            Some(Content::Bytes(name)) => {
                let name = std::str::from_utf8(&name).unwrap_or_default();
                name.parse().unwrap_or_default()
            }
            _ => Reach::Private,
        })
    }

    /// Says whom the space is meant for; only the owner may. `None` if it is so already.
    pub fn set_reach(
        &self,
        reach: Reach,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        // What a later version said has to go, though it is taken for private here.
        let meta = self.state(&BranchName::meta())?;
        let says = match meta.get(REACH.as_bytes())? {
            Some(Content::Bytes(name)) => *name == *reach.name().as_bytes(),
            Some(_) => false,
            None => reach == Reach::Private,
        };
        if says {
            return Ok(None);
        }
        let said = format!("The space is {reach}");
        let made = self.transact(&BranchName::meta(), owner, &said, (TRIES, now_ms), |tx| {
            tx.put(REACH, reach.name())
        });
        Ok(Some(made?.0))
    }

    /// Whether an agent owns the space.
    #[must_use]
    pub fn is_owner(&self, agent: &AgentId) -> bool {
        self.inner.genesis.payload().owner == *agent
    }

    /// Whether an agent owns the space or is a member of it.
    pub fn is_member(&self, agent: &AgentId) -> Result<bool, RepoError> {
        if self.is_owner(agent) {
            return Ok(true);
        }
        let key = member_key(agent);
        let right = self.state(&BranchName::meta())?.get(&key)?;
        Ok(matches!(right, Some(Content::Bytes(right)) if right == MAY_WRITE))
    }

    /// The members, the owner not among them.
    pub fn members(&self) -> Result<Vec<AgentId>, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let root = meta.tree().root();
        if let Some((known, members)) = &*lock(&self.inner.members)
            && *known == root
        {
            return Ok(members.clone());
        }
        let mut members = Vec::new();
        for item in meta.range(&Span::prefix(MEMBER_PREFIX.as_bytes()), false) {
            let (key, _) = item?;
            let did = std::str::from_utf8(&key[MEMBER_PREFIX.len()..]).ok();
            members.extend(did.and_then(|did| did.parse::<AgentId>().ok()));
        }
        *lock(&self.inner.members) = Some((root, members.clone()));
        Ok(members)
    }

    /// Lets an agent write; only the owner may say so. `None` if it is a member already.
    pub fn add_member(
        &self,
        member: &AgentId,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        // Apart from what the owner may have staged on meta, and safe beside other joins.
        for _ in 0..TRIES {
            if self.is_member(member)? {
                return Ok(None);
            }
            let mut admission = self.begin(&BranchName::meta())?;
            admission.put(member_key(member), Bytes::from_static(MAY_WRITE))?;
            match admission.commit(owner, &format!("Let {member} write"), now_ms) {
                Err(RepoError::Conflict { .. } | RepoError::Contended(_)) => {}
                other => return other.map(Some),
            }
        }
        Err(RepoError::Contended(BranchName::meta()))
    }

    /// Whether `agent` may commit to `branch`.
    pub(crate) fn may_write(&self, branch: &BranchName, agent: &AgentId) -> Result<(), Rejected> {
        if branch.is_meta() && !self.is_owner(agent) {
            return Err(Refusal::NotOwner.into());
        }
        if !self.is_member(agent)? {
            return Err(Refusal::NotMember.into());
        }
        Ok(())
    }
}

fn member_key(agent: &AgentId) -> Vec<u8> {
    format!("{MEMBER_PREFIX}{agent}").into_bytes()
}
