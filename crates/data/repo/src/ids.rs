//! Names of spaces, commits and branches.

use std::fmt;
use std::str::FromStr;

use allod_blocks::Cid;
use serde::{Deserialize, Serialize};

macro_rules! cid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Cid);

        impl $name {
            /// The id with this CID.
            #[must_use]
            pub const fn from_cid(cid: Cid) -> Self {
                Self(cid)
            }

            /// The CID of the statement it names.
            #[must_use]
            pub const fn cid(&self) -> &Cid {
                &self.0
            }

            /// Enough of the name for people to tell two apart: its last 8 characters.
            #[must_use]
            pub fn short(&self) -> String {
                let text = self.0.to_string();
                text.get(text.len().saturating_sub(8)..).unwrap_or_default().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = allod_blocks::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                allod_blocks::parse_cid(text).map(Self)
            }
        }
    };
}

cid_newtype!(
    /// Names a space: the CID of its genesis.
    SpaceId
);
cid_newtype!(
    /// Names a commit: the CID of its statement.
    CommitId
);

/// The longest name of a branch or tag, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The name of a branch (`specs/22-repo.md`, "Commits").
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

/// The name of a tag: a text that could name a branch.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TagName(String);

impl TagName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagName {
    type Err = BadBranchName;

    fn from_str(text: &str) -> Result<Self, BadBranchName> {
        check_name(text.to_owned()).map(Self)
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text names no branch and no tag. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the name of a branch or tag is 1 to 128 of a-z A-Z 0-9 . _ - / without empty segments, segments that begin \
     with . or -, have .., or end with .lock, and is not HEAD"
)]
pub struct BadBranchName;

impl BranchName {
    /// The branch that a space starts with.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The branch that governs the space.
    #[must_use]
    pub fn meta() -> Self {
        Self("meta".to_owned())
    }

    /// Whether this is the branch that governs the space.
    #[must_use]
    pub fn is_meta(&self) -> bool {
        self.0 == "meta"
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether branches and tags may have this name: the one place that decides it.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the rule is about these five bytes, not about files"
)]
fn check_name(text: String) -> Result<String, BadBranchName> {
    let segment = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with(['.', '-'])
            && !segment.ends_with(".lock")
            && !segment.contains("..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let valid = text.len() <= NAME_BYTES_MAX && text != "HEAD" && text.split('/').all(segment);
    if valid { Ok(text) } else { Err(BadBranchName) }
}

impl TryFrom<String> for BranchName {
    type Error = BadBranchName;

    fn try_from(text: String) -> Result<Self, BadBranchName> {
        check_name(text).map(Self)
    }
}

impl FromStr for BranchName {
    type Err = BadBranchName;

    fn from_str(text: &str) -> Result<Self, BadBranchName> {
        text.to_owned().try_into()
    }
}

impl From<BranchName> for String {
    fn from(name: BranchName) -> Self {
        name.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_are_bounded() {
        for good in ["main", "meta", "ada/notes", "v1.2", "a", "x_y-z"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good}");
        }
        let long = "x".repeat(129);
        for bad in [
            "", "HEAD", "a//b", "/a", "a/", ".a", "-a", "a/.b", "a.lock", "a b", "../x", "a..b",
            "a\0", &long,
        ] {
            assert_eq!(bad.parse::<BranchName>(), Err(BadBranchName), "{bad}");
            assert_eq!(bad.parse::<TagName>(), Err(BadBranchName), "{bad}");
        }
    }
}
