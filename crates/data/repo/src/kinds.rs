//! Which keys have values that join, and of which kind (REPO-42).

use std::sync::Arc;

use allod_blocks::Cid;
use allod_crdt::Kind;
use bytes::Bytes;

use crate::entry::{Entry, State};
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::pattern::Pattern;
use crate::repo::{Author, Repo, lock};
use crate::view::Span;

/// In `meta`, before a pattern, the key of the kind that keys of the pattern have.
const PREFIX: &str = "joins/";

/// The kinds of a space, from the most specific pattern on.
pub type KindRules = Arc<[(Pattern, Kind)]>;

/// The rules of a state of `meta`, by its root.
pub(crate) type KnownKinds = Option<(Cid, KindRules)>;

impl Repo {
    /// Which keys have values that join, from the most specific pattern on. What is no rule is passed
    /// over.
    pub fn kind_rules(&self) -> Result<KindRules, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let root = meta.tree().root();
        if let Some((known, rules)) = &*lock(&self.inner.kinds)
            && *known == root
        {
            return Ok(Arc::clone(rules));
        }
        let mut rules = Vec::new();
        for item in meta.range(&Span::prefix(PREFIX.as_bytes()), false) {
            let (key, entry) = item?;
            let State::Value(name) = &entry.state else {
                continue;
            };
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap_or_default().to_owned();
            let pattern = text(key.get(PREFIX.len()..).unwrap_or_default()).parse();
            if let (Ok(pattern), Ok(kind)) = (pattern, text(name).parse()) {
                rules.push((pattern, kind));
            }
        }
        rules.sort_by(|left: &(Pattern, Kind), right| left.0.cmp(&right.0));
        let rules: KindRules = rules.into();
        *lock(&self.inner.kinds) = Some((root, Arc::clone(&rules)));
        Ok(rules)
    }

    /// The kind of the values that a key has, if they join.
    pub fn kind_of(&self, key: &[u8]) -> Result<Option<Kind>, RepoError> {
        let rules = self.kind_rules()?;
        let rule = rules.iter().find(|(pattern, _)| pattern.matches(key));
        Ok(rule.map(|(_, kind)| *kind))
    }

    /// Says that keys of a pattern have values that join, for ever: a commit on `meta`, by the owner.
    ///
    /// # Errors
    /// [`RepoError::OtherKind`] if they have another kind.
    pub fn define_kind(
        &self,
        pattern: &Pattern,
        kind: Kind,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        let rules = self.kind_rules()?;
        if let Some((_, has)) = rules.iter().find(|(known, _)| known == pattern) {
            return Err(RepoError::OtherKind {
                key: pattern.to_string().into(),
                has: *has,
                asked: kind,
            });
        }
        let mut change = self.begin(&BranchName::meta())?;
        change.put(format!("{PREFIX}{pattern}"), kind.name())?;
        change.commit(
            owner,
            &format!("Values of {pattern} join as a {kind}"),
            now_ms,
        )
    }

    /// Refuses a value of another kind than a key has, or any that joins where none does.
    pub(crate) fn check_kind(&self, key: &[u8], kind: Kind) -> Result<(), RepoError> {
        match self.kind_of(key)? {
            Some(has) if has == kind => Ok(()),
            Some(has) => Err(RepoError::OtherKind {
                key: key.to_vec(),
                has,
                asked: kind,
            }),
            None => Err(RepoError::NoKind {
                key: key.to_vec(),
                asked: kind,
            }),
        }
    }
}

/// REPO-42: a rule is for ever. What stands under such a key and is no rule may go.
pub(crate) fn check_rule(
    branch: &BranchName,
    key: &[u8],
    before: Option<&Bytes>,
    entry: &Entry,
) -> Result<(), Refusal> {
    if !branch.is_meta() || !key.starts_with(PREFIX.as_bytes()) {
        return Ok(());
    }
    let before = before
        .map(Entry::decode)
        .transpose()
        .map_err(Refusal::Entry)?;
    let is_rule = |state: &State| match state {
        State::Value(name) => {
            std::str::from_utf8(name).is_ok_and(|name| name.parse::<Kind>().is_ok())
        }
        _ => false,
    };
    match before {
        Some(before) if is_rule(&before.state) && before.state != entry.state => Err(Refusal::Rule),
        _ => Ok(()),
    }
}
