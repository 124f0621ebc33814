//! Tags: names for commits, kept in `meta`, and never given another meaning (REPO-30 to REPO-33).

use allod_blocks::REF_VALUE_BYTES_MAX;
use allod_identity::{AgentId, canonical};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, State};
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId, TagName};
use crate::repo::{Author, Repo};
use crate::view::{Content, Span};

/// Before a name, the key in `meta` that holds the tag.
pub(crate) const TAG_PREFIX: &str = "tag/";

/// The longest message of a tag, in bytes: with it a tag fits the entry (REPO-3).
pub const TAG_MESSAGE_BYTES_MAX: usize = 512;

/// How often a tag is made or deleted anew beside other changes of `meta`.
const RETRIES: u32 = 15;

/// A commit with a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// When it was made, in milliseconds since 1970.
    pub at: u64,
    /// Who made it.
    pub by: AgentId,
    /// The commit.
    pub commit: CommitId,
    /// What was said of it.
    pub message: String,
}

impl Repo {
    /// Gives a commit a name, for everybody: a commit on `meta`, by the owner of the space.
    ///
    /// Fails with [`RepoError::NoCommit`], [`RepoError::TagExists`] (REPO-31), with
    /// [`RepoError::NameTaken`] if a branch or tag has the name but for its case, with
    /// [`RepoError::TooLong`] for a message over [`TAG_MESSAGE_BYTES_MAX`], and with
    /// [`Refusal::NotOwner`].
    pub fn create_tag(
        &self,
        name: &TagName,
        commit: CommitId,
        message: &str,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        if message.len() > TAG_MESSAGE_BYTES_MAX {
            return Err(RepoError::TooLong {
                what: "the message of a tag",
                limit: TAG_MESSAGE_BYTES_MAX,
            });
        }
        self.commit(commit)?;
        let tag = Tag {
            at: now_ms,
            by: owner.agent,
            commit,
            message: message.to_owned(),
        };
        let value = canonical::encode(&tag)
            .map_err(|_error| RepoError::Damaged("a tag does not encode"))?;
        let said = format!("Tag {name}");
        let made = self.transact(&BranchName::meta(), owner, &said, (RETRIES, now_ms), |tx| {
            if tx.get(&key(name))?.is_some() {
                return Err(RepoError::TagExists(name.clone()));
            }
            self.check_name(name.as_str())?;
            tx.put(key(name), value.clone())
        });
        Ok(made?.0)
    }

    /// Deletes a tag, for everybody: a commit on `meta`, by the owner of the space. Its name may
    /// be given again.
    ///
    /// Fails with [`RepoError::NoTag`] and [`Refusal::NotOwner`].
    pub fn delete_tag(
        &self,
        name: &TagName,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        let said = format!("Delete tag {name}");
        let made = self.transact(&BranchName::meta(), owner, &said, (RETRIES, now_ms), |tx| {
            if tx.get(&key(name))?.is_none() {
                return Err(RepoError::NoTag(name.clone()));
            }
            tx.delete(key(name))
        });
        Ok(made?.0)
    }

    /// The tag of this name. What `meta` holds there and is no tag is passed over.
    pub fn tag(&self, name: &TagName) -> Result<Option<Tag>, RepoError> {
        let value = self.state(&BranchName::meta())?.get(&key(name))?;
        Ok(value.as_ref().and_then(decode))
    }

    /// The tags of the space in name order. Their commits may not be here: a tag does not bring
    /// its commit along (REPO-33).
    pub fn tags(&self) -> Result<Vec<(TagName, Tag)>, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let mut tags = Vec::new();
        for item in meta.range(&Span::prefix(TAG_PREFIX.as_bytes()), false) {
            let (key, entry) = item?;
            let name = std::str::from_utf8(&key[TAG_PREFIX.len()..]).ok();
            let name = name.and_then(|name| name.parse().ok());
            let tag = meta.content(&entry)?.as_ref().and_then(decode);
            tags.extend(name.zip(tag));
        }
        Ok(tags)
    }

    /// Refuses a name that a branch or a tag has, but for the case of its letters (REPO-32).
    pub(crate) fn check_name(&self, name: &str) -> Result<(), RepoError> {
        let branches = self
            .branches()?
            .into_iter()
            .map(|(known, _)| known.to_string());
        let tags = self.tags()?.into_iter().map(|(known, _)| known.to_string());
        let taken = branches
            .chain(tags)
            .find(|known| known.eq_ignore_ascii_case(name));
        match taken {
            Some(taken) => Err(RepoError::NameTaken { taken }),
            None => Ok(()),
        }
    }
}

fn key(name: &TagName) -> Bytes {
    format!("{TAG_PREFIX}{name}").into()
}

fn decode(content: &Content) -> Option<Tag> {
    match content {
        Content::Bytes(bytes) => canonical::decode(bytes, REF_VALUE_BYTES_MAX).ok(),
        Content::File(_) => None,
    }
}

/// REPO-31 for one changed entry of a commit.
pub(crate) fn check_tag(
    branch: &BranchName,
    key: &[u8],
    before: Option<&Bytes>,
    entry: &Entry,
) -> Result<(), Refusal> {
    let Some(before) = before else { return Ok(()) };
    if !branch.is_meta() || !key.starts_with(TAG_PREFIX.as_bytes()) {
        return Ok(());
    }
    let before = Entry::decode(before).map_err(Refusal::Entry)?;
    if !before.is_live() || entry.state == State::Tombstone || entry.state == before.state {
        return Ok(());
    }
    Err(Refusal::Tag)
}
