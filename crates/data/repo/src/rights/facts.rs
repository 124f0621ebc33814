//! What `meta` says of rights (REPO-110, REPO-111).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_access::{Facts, Grant, Member, RULES_MAX, Rule, Ungrant};
use allod_blocks::Cid;
use allod_identity::{AgentId, Payload, PublicKey, Signed, Standing, Verified};
use bytes::Bytes;

use crate::agents::spoke;
use crate::error::RepoError;
use crate::ids::CommitId;
use crate::repo::{Heads, Repo, lock};
use crate::rights::GRANTS;
use crate::view::{Content, Span, View};

/// The keys in `meta` that say something of rights.
pub(crate) const RULE_PREFIX: &str = "rule/";
pub(crate) const MEMBER_PREFIX: &str = "member/";
pub(crate) const GRANT_PREFIX: &str = "grant/";
pub(crate) const UNGRANT_PREFIX: &str = "ungrant/";

/// Random bytes that name a version (ACCESS-14).
pub(crate) const VERSION_BYTES: usize = 16;

/// Versions of a member that are read: each is a change apart from the others.
const VERSIONS_READ: usize = 64;

impl Repo {
    /// What is said in a state of `meta`, with grants also of what is beside it.
    pub(super) fn facts(&self, heads: &Heads, beside: &Heads) -> Result<Facts, RepoError> {
        let meta = self.together(heads)?;
        let mut facts = said_of_rules(&meta)?;
        let mut signers = Signers {
            repo: self,
            witnesses: Some(Vec::new()),
        };
        for commit in self.of_owner(heads)? {
            let state = self.at(commit)?;
            signers.witnesses.get_or_insert_default().push(state);
        }
        self.said_of_grants(&meta, &signers, &mut facts)?;
        for commit in beside {
            self.said_of_grants(&self.at(*commit)?, &signers, &mut facts)?;
        }
        Ok(facts)
    }

    /// What is said in `meta` as it was at a commit.
    pub(super) fn facts_at(&self, policy: Option<CommitId>) -> Result<Facts, RepoError> {
        let Some(policy) = policy else {
            return Ok(Facts::default());
        };
        let meta = self.at(policy)?;
        let mut facts = said_of_rules(&meta)?;
        let signers = Signers {
            repo: self,
            witnesses: None,
        };
        self.said_of_grants(&meta, &signers, &mut facts)?;
        Ok(facts)
    }

    /// The newest commits of `meta` that a key made which speaks for the owner.
    fn of_owner(&self, heads: &Heads) -> Result<Vec<CommitId>, RepoError> {
        let owner = self.genesis().payload().owner;
        let log = self.agents().key_log(&owner)?;
        let (mut found, mut seen) = (Vec::new(), heads.clone());
        let mut open: Vec<CommitId> = heads.iter().copied().collect();
        while let Some(id) = open.pop() {
            let commit = self.commit(id)?;
            let said = commit.payload();
            if said.author == owner && log.standing(commit.signer()) == Some(Standing::Now) {
                found.push(id);
                continue;
            }
            let parents = said.parents.iter().copied();
            open.extend(parents.filter(|parent| seen.insert(*parent)));
        }
        Ok(found)
    }

    fn said_of_grants(
        &self,
        meta: &View,
        signers: &Signers<'_>,
        facts: &mut Facts,
    ) -> Result<(), RepoError> {
        for (name, bytes) in values(meta, GRANT_PREFIX)? {
            let Some(grant) = self.grant_of(&name[GRANT_PREFIX.len()..], bytes) else {
                continue;
            };
            if !facts.grants.contains_key(grant.cid())
                && signers.counts(&name, &grant.payload().issuer, grant.signer())?
            {
                facts.grants.insert(*grant.cid(), grant.payload().clone());
            }
        }
        for (name, bytes) in values(meta, UNGRANT_PREFIX)? {
            let Some(ungrant) = verified::<Ungrant>(&name[UNGRANT_PREFIX.len()..], bytes) else {
                continue;
            };
            let said = ungrant.payload();
            let is_new = !facts.ungrants.contains(said);
            if is_new && signers.counts(&name, &said.by, ungrant.signer())? {
                facts.ungrants.push(said.clone());
            }
        }
        // In whatever order they were found.
        facts.ungrants.sort_by_key(|it| (it.of, it.by, it.at));
        Ok(())
    }

    /// A grant of this space under its name.
    fn grant_of(&self, name: &str, bytes: Bytes) -> Option<Arc<Verified<Grant>>> {
        let cid: Cid = name.parse().ok()?;
        if let Some(known) = lock(&self.inner.rights.grants).get(&cid) {
            return Some(Arc::clone(known));
        }
        let grant = Arc::new(verified::<Grant>(name, bytes)?);
        if grant.payload().space != *self.id().cid() {
            return None;
        }
        let mut known = lock(&self.inner.rights.grants);
        if known.len() >= GRANTS {
            known.clear();
        }
        known.insert(cid, Arc::clone(&grant));
        Some(grant)
    }
}

/// Which statements in `meta` count, by who signed them (REPO-111).
struct Signers<'a> {
    repo: &'a Repo,
    /// States that the owner stands for; none, where it is enough that a key spoke once.
    witnesses: Option<Vec<View>>,
}

impl Signers<'_> {
    fn counts(&self, key: &str, by: &AgentId, signer: &PublicKey) -> Result<bool, RepoError> {
        let log = self.repo.agents().key_log(by)?;
        let Some(witnesses) = &self.witnesses else {
            return Ok(spoke(&log, signer));
        };
        if log.equivocation().is_none() && log.standing(signer) == Some(Standing::Now) {
            return Ok(true);
        }
        if !spoke(&log, signer) {
            return Ok(false);
        }
        for state in witnesses {
            if state.entry(key.as_bytes())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A statement under its name.
pub(super) fn verified<T: Payload>(name: &str, bytes: Bytes) -> Option<Verified<T>> {
    let statement = Signed::<T>::decode(bytes).ok()?.verify().ok()?;
    (statement.cid().to_string() == name).then_some(statement)
}

fn said_of_rules(meta: &View) -> Result<Facts, RepoError> {
    let mut facts = Facts::default();
    for (name, bytes) in values(meta, RULE_PREFIX)? {
        let version = &name[RULE_PREFIX.len()..];
        if let (true, Ok(rule)) = (is_version(version), Rule::decode(&bytes)) {
            facts.rules.insert(version.to_owned(), rule);
        }
        if facts.rules.len() > RULES_MAX {
            break;
        }
    }
    let mut members: BTreeMap<AgentId, Vec<Member>> = BTreeMap::new();
    for (name, bytes) in values(meta, MEMBER_PREFIX)? {
        let rest = &name[MEMBER_PREFIX.len()..];
        let Some((agent, version)) = rest.split_once('/') else {
            continue;
        };
        let parsed = (agent.parse::<AgentId>(), Member::decode(&bytes));
        if let (true, (Ok(agent), Ok(member))) = (is_version(version), parsed) {
            let versions = members.entry(agent).or_default();
            if versions.len() < VERSIONS_READ {
                versions.push(member);
            }
        }
    }
    facts.members = members;
    Ok(facts)
}

/// The values under a prefix, with their keys, where both are what they may be.
fn values(meta: &View, prefix: &str) -> Result<Vec<(String, Bytes)>, RepoError> {
    let mut values = Vec::new();
    for item in meta.range(&Span::prefix(prefix.as_bytes()), false) {
        let (key, entry) = item?;
        let Ok(name) = String::from_utf8(key.to_vec()) else {
            continue;
        };
        if let Some(Content::Bytes(bytes)) = meta.content(&entry)? {
            values.push((name, bytes));
        }
    }
    Ok(values)
}

fn is_version(text: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 2 * VERSION_BYTES && text.bytes().all(hex)
}
