//! What can be done in a space, and the commands that grants name it by (ACCESS-1).

use std::fmt;
use std::str::FromStr;

use allod_identity::text::is_name;
use serde::{Deserialize, Serialize};

/// The longest command, in bytes, and its most segments (ACCESS-1): three times what there is.
const COMMAND_BYTES_MAX: usize = 64;
const SEGMENTS_MAX: usize = 4;

/// An operation on a space.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// To have an entry, its history, or that there is one.
    Read,
    /// To change an entry, or make one.
    Write,
    /// To take an entry away.
    Delete,
    /// To begin a branch.
    Create,
    /// To bring commits of another branch into a branch.
    Merge,
    /// To delete a branch.
    Drop,
    /// To change `meta`.
    Admin,
    /// To have the space kept.
    Pin,
    /// To hear of what changes.
    Events,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::Create,
        Self::Merge,
        Self::Drop,
        Self::Admin,
        Self::Pin,
        Self::Events,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Merge => "merge",
            Self::Drop => "drop",
            Self::Admin => "admin",
            Self::Pin => "pin",
            Self::Events => "events",
        }
    }

    /// The command that grants it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Read => "/space/read",
            Self::Write => "/space/write",
            Self::Delete => "/space/delete",
            Self::Create => "/branch/create",
            Self::Merge => "/branch/merge",
            Self::Drop => "/branch/delete",
            Self::Admin => "/space/admin",
            Self::Pin => "/pin",
            Self::Events => "/events/read",
        }
    }

    /// Of what it is.
    #[must_use]
    pub const fn scope(self) -> OpScope {
        match self {
            Self::Read | Self::Write | Self::Delete => OpScope::Key,
            Self::Create | Self::Merge | Self::Drop => OpScope::Branch,
            Self::Admin | Self::Pin | Self::Events => OpScope::Space,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an operation is one of read, write, delete, create, merge, drop, admin, pin, events")]
pub struct BadOp;

impl FromStr for Op {
    type Err = BadOp;

    fn from_str(text: &str) -> Result<Self, BadOp> {
        let mut all = Self::ALL.into_iter();
        all.find(|op| op.name() == text).ok_or(BadOp)
    }
}

/// Of what an operation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpScope {
    /// Of entries on a branch.
    Key,
    /// Of a branch.
    Branch,
    /// Of the space.
    Space,
}

/// What a grant is for: `/`, or names after slashes, of which the later are within the earlier (ACCESS-1).
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Command(String);

/// The text is no command. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a command is / or up to 4 names after slashes, of 64 bytes")]
pub struct BadCommand;

impl Command {
    /// The command that covers all.
    #[must_use]
    pub fn all() -> Self {
        Self("/".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a command is this one or within it.
    #[must_use]
    pub fn covers(&self, other: &str) -> bool {
        self.0 == "/"
            || other
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl From<Op> for Command {
    fn from(op: Op) -> Self {
        Self(op.command().to_owned())
    }
}

impl FromStr for Command {
    type Err = BadCommand;

    fn from_str(text: &str) -> Result<Self, BadCommand> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Command {
    type Error = BadCommand;

    fn try_from(text: String) -> Result<Self, BadCommand> {
        let segments = text.strip_prefix('/').ok_or(BadCommand)?;
        let is_good = text == "/"
            || (text.len() <= COMMAND_BYTES_MAX
                && segments.split('/').count() <= SEGMENTS_MAX
                && segments.split('/').all(is_name));
        is_good.then_some(Self(text)).ok_or(BadCommand)
    }
}

impl From<Command> for String {
    fn from(command: Command) -> Self {
        command.0
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
