//! What a consumer wants to be told (FEED-30, FEED-31).

use std::fmt;
use std::str::FromStr;

use allod_identity::{AgentId, DeviceId, PublicKey};
use allod_repo::{BranchName, Reach, SpaceId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::FeedError;

/// The longest text of a filter, in bytes (FEED-31): it is compared with each event.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;

/// Values of a field at most (FEED-31).
const VALUES_MAX: usize = 256;

/// What is told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// That a branch has a commit which it had not.
    Commit,
    /// That the value of a key was written.
    Change,
    /// That a branch was made, deleted, or went elsewhere than forward.
    Move,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Commit, Self::Change, Self::Move];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Change => "change",
            Self::Move => "move",
        }
    }
}

/// What is to be told: all that every field lets pass. A field that is absent lets everything pass, an empty
/// list lets nothing pass.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spaces: Option<Vec<Text<SpaceId>>>,
    /// Whom the space is meant for, by what its owner says when it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Vec<Text<Reach>>>,
    /// Branches: names, or the beginnings of names and `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<Vec<String>>,
    /// Kinds of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<Kind>>,
    /// Beginnings of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Vec<String>>,
    /// Names of types: of the keys that begin with one and a colon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// Authors of commits, as `did:key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<Vec<Text<AgentId>>>,
    /// Devices that signed commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Text<DeviceId>>>,
}

/// An id, as text in JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is the id, and nothing else")]
pub struct Text<T>(pub T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl FromStr for Filter {
    type Err = FeedError;

    fn from_str(text: &str) -> Result<Self, FeedError> {
        if text.len() > FILTER_BYTES_MAX {
            let words = format!("it is longer than {FILTER_BYTES_MAX} bytes");
            return Err(FeedError::Filter(words));
        }
        // An array is read as the fields in their order else.
        if !text.trim_start().starts_with('{') {
            return Err(FeedError::Filter("it is no object".to_owned()));
        }
        let filter: Self =
            serde_json::from_str(text).map_err(|error| FeedError::Filter(error.to_string()))?;
        filter.check()?;
        Ok(filter)
    }
}

impl Filter {
    /// Refuses a filter that is larger than filters may be (FEED-31).
    pub fn check(&self) -> Result<(), FeedError> {
        let counts = [
            self.spaces.as_ref().map(Vec::len),
            self.reach.as_ref().map(Vec::len),
            self.branches.as_ref().map(Vec::len),
            self.kinds.as_ref().map(Vec::len),
            self.prefixes.as_ref().map(Vec::len),
            self.types.as_ref().map(Vec::len),
            self.authors.as_ref().map(Vec::len),
            self.devices.as_ref().map(Vec::len),
        ];
        let fits = counts.iter().flatten().all(|count| *count <= VALUES_MAX);
        if fits {
            return Ok(());
        }
        let words = format!("a field has more than {VALUES_MAX} values");
        Err(FeedError::Filter(words))
    }

    /// Whether events of a space are told.
    #[must_use]
    pub fn wants_space(&self, space: SpaceId) -> bool {
        passes(self.spaces.as_ref(), |wanted| wanted.0 == space)
    }

    /// Whether only spaces of some reach are told of.
    #[must_use]
    pub const fn has_reach(&self) -> bool {
        self.reach.is_some()
    }

    /// Whether events of spaces of a reach are told.
    #[must_use]
    pub fn wants_reach(&self, reach: Reach) -> bool {
        passes(self.reach.as_ref(), |wanted| wanted.0 == reach)
    }

    /// Whether events of a branch are told.
    #[must_use]
    pub fn wants_branch(&self, space: SpaceId, branch: &BranchName) -> bool {
        let name = branch.as_str();
        self.wants_space(space)
            && passes(self.branches.as_ref(), |wanted| {
                match wanted.strip_suffix('*') {
                    Some(beginning) => name.starts_with(beginning),
                    None => name == wanted,
                }
            })
    }

    /// Whether events of a kind are told.
    #[must_use]
    pub fn wants_kind(&self, kind: Kind) -> bool {
        passes(self.kinds.as_ref(), |wanted| *wanted == kind)
    }

    /// Whether only some keys are told of.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        self.prefixes.is_some() || self.types.is_some()
    }

    /// Whether changes of a key are told.
    #[must_use]
    pub fn wants_key(&self, key: &[u8]) -> bool {
        let is_of = |name: &String| {
            let rest = key.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.first() == Some(&b':'))
        };
        passes(self.prefixes.as_ref(), |prefix| {
            key.starts_with(prefix.as_bytes())
        }) && passes(self.types.as_ref(), is_of)
    }

    /// Whether only some authors, or devices, are told of.
    #[must_use]
    pub const fn has_writers(&self) -> bool {
        self.authors.is_some() || self.devices.is_some()
    }

    /// Whether what an author wrote, and a key signed, is told.
    #[must_use]
    pub fn wants_writer(&self, author: &AgentId, signer: &PublicKey) -> bool {
        passes(self.authors.as_ref(), |wanted| wanted.0 == *author)
            && passes(self.devices.as_ref(), |wanted| wanted.0.key() == signer)
    }
}

fn passes<T>(wanted: Option<&Vec<T>>, is_it: impl FnMut(&T) -> bool) -> bool {
    wanted.is_none_or(|wanted| wanted.iter().any(is_it))
}
