//! What is said in `meta` of members, rules and grants (REPO-110, REPO-111), and whom a space is meant for (REPO-95).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use allod_access::{Grant, Member, Rule, Ungrant};
use allod_identity::{AgentId, Verified};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Repo};
use crate::rights::{GRANT_PREFIX, MEMBER_PREFIX, RULE_PREFIX, UNGRANT_PREFIX, VERSION_BYTES};
use crate::view::{Content, Span};

/// The key in `meta` that says whom the space is meant for.
const REACH: &str = "reach";

/// How often a change of `meta` is tried beside others.
const TRIES: u32 = 16;

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
        Ok(self.is_owner(agent) || self.rights()?.authorizer.is_member(agent))
    }

    /// The members, the owner not among them.
    pub fn members(&self) -> Result<Vec<AgentId>, RepoError> {
        Ok(self.rights()?.authorizer.members().copied().collect())
    }

    /// Whose key logs rights follow from: the owner, the members, and who issued grants or has some; ascending but for the
    /// owner, who is first.
    pub fn people(&self) -> Result<Vec<AgentId>, RepoError> {
        let rights = self.rights()?;
        let mut people: BTreeSet<AgentId> = rights.facts.members.keys().copied().collect();
        for grant in rights.facts.grants.values() {
            people.extend([grant.issuer, grant.audience]);
        }
        let owner = self.genesis().payload().owner;
        people.remove(&owner);
        Ok(std::iter::once(owner).chain(people).collect())
    }

    /// Lets an agent be a member; who administers the space may say so. `None` if it is one already.
    pub fn add_member(
        &self,
        member: &AgentId,
        author: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        if self.is_member(member)? {
            return Ok(None);
        }
        let message = format!("Let {member} write");
        let said = Member::plain();
        self.set_member((member, &said), (author, &message), now_ms)
    }

    /// Says what somebody is in the space, in the place of all that was said before; who administers the space may. Nobody
    /// any more, if it is [`Member::removed`]. `None` if it is said already.
    pub fn set_member(
        &self,
        (agent, member): (&AgentId, &Member),
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let prefix = format!("{MEMBER_PREFIX}{agent}/");
        let bytes = member.encode().map_err(|_error| BAD)?;
        self.set_version(&prefix, &bytes, (author, message), now_ms)
    }

    /// Sets a rule in the place of all versions of it that are known; [`Rule::removed`] takes it away. `None` if it is so
    /// already.
    pub fn set_rule(
        &self,
        rule: &Rule,
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let bytes = rule.encode().map_err(|_error| BAD)?;
        self.set_version(RULE_PREFIX, &bytes, (author, message), now_ms)
    }

    /// Puts a version in the place of those that are known, in one commit (ACCESS-14).
    fn set_version(
        &self,
        prefix: &str,
        bytes: &[u8],
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let is_rule = prefix == RULE_PREFIX;
        let slot = |bytes: &[u8]| {
            let rule = Rule::decode(bytes).ok();
            rule.map(|rule| (rule.on(), rule.pattern().clone()))
        };
        for _ in 0..TRIES {
            // Apart from what somebody may have staged on meta, and safe beside other changes.
            let mut change = self.begin(&BranchName::meta())?;
            let mut known = Vec::new();
            for item in self
                .state(&BranchName::meta())?
                .range(&Span::prefix(prefix.as_bytes()), false)
            {
                let (key, entry) = item?;
                let Some(Content::Bytes(said)) = self.content(&entry)? else {
                    continue;
                };
                if !is_rule || slot(&said) == slot(bytes) {
                    known.push((key, said));
                }
            }
            if let [(_, said)] = &*known
                && *said == *bytes
            {
                return Ok(None);
            }
            for (key, _) in &known {
                change.delete(key.clone())?;
            }
            let version = self.version_of((prefix, bytes), author)?;
            change.put(
                Bytes::from(format!("{prefix}{version}")),
                Bytes::copy_from_slice(bytes),
            )?;
            match change.commit(author, message, now_ms) {
                Err(RepoError::Conflict { .. } | RepoError::Contended(_)) => {}
                other => return other.map(Some),
            }
        }
        Err(RepoError::Contended(BranchName::meta()))
    }

    /// A name that no other version has: nobody says the same on top of the same twice.
    fn version_of(
        &self,
        (prefix, bytes): (&str, &[u8]),
        author: Author<'_>,
    ) -> Result<String, RepoError> {
        let mut digest = Sha256::new_with_prefix(author.key.public().as_bytes());
        for head in self.heads(&BranchName::meta())? {
            digest.update(head.cid().to_bytes());
        }
        let digest = digest.chain_update(prefix).chain_update(bytes).finalize();
        let first = digest.iter().take(VERSION_BYTES);
        Ok(first.map(|byte| format!("{byte:02x}")).collect())
    }

    /// Puts grants, and what takes grants back, into `meta`, for all to know (REPO-111). `None` if all are there.
    pub fn put_rights(
        &self,
        grants: &[Verified<Grant>],
        ungrants: &[Verified<Ungrant>],
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let grants = grants.iter().map(|it| (GRANT_PREFIX, it.cid(), it.bytes()));
        let ungrants = ungrants
            .iter()
            .map(|it| (UNGRANT_PREFIX, it.cid(), it.bytes()));
        let meta = self.state(&BranchName::meta())?;
        let mut new = Vec::new();
        for (prefix, name, bytes) in grants.chain(ungrants) {
            let key = format!("{prefix}{name}");
            if meta.entry(key.as_bytes())?.is_none() {
                new.push((key, bytes.clone()));
            }
        }
        if new.is_empty() {
            return Ok(None);
        }
        let made = self.transact(
            &BranchName::meta(),
            author,
            message,
            (TRIES, now_ms),
            |tx| {
                for (key, bytes) in &new {
                    tx.put(key.clone(), bytes.clone())?;
                }
                Ok::<(), RepoError>(())
            },
        );
        Ok(Some(made?.0))
    }
}

/// What exists has an encoding.
const BAD: RepoError = RepoError::Damaged("a rule or member has no encoding");
