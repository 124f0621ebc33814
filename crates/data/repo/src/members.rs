//! Who may write: the owner, and the members that `meta` names (REPO-13, REPO-17).

use allod_blocks::Cid;
use allod_identity::AgentId;
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Repo, lock};
use crate::view::{Content, Span};

const MEMBER_PREFIX: &str = "member/";
const MAY_WRITE: &[u8] = b"write";

/// How often an admission is tried beside others.
const TRIES: u32 = 16;

/// The members in a state of `meta`, by its root.
pub(crate) type KnownMembers = Option<(Cid, Vec<AgentId>)>;

impl Repo {
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
