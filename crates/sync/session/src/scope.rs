//! Which branches a session is about, and in which direction.

use allod_repo::{BranchName, Heads};

/// What one side of a session gives and asks for (SYNC-16).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scope {
    /// What it offers the peer.
    pub gives: Branches,
    /// What it takes from the peer.
    pub wants: Branches,
    /// Whether it asks for all of that again, as if of other branches than `meta` it had nothing and
    /// offered nothing: to have what a commit was not taken with (PART-12).
    pub anew: bool,
    /// If what comes moves no branch here but `meta` (REPO-81): heads of what came so before, so that it
    /// does not come again.
    pub apart: Option<Heads>,
}

/// Some of the branches of a space.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Branches {
    /// All there are.
    #[default]
    All,
    /// These, and `meta` with them unless there are none.
    Only(Vec<BranchName>),
}

impl Scope {
    /// Gives these branches and takes nothing.
    #[must_use]
    pub const fn push(gives: Branches) -> Self {
        let wants = Branches::none();
        Self {
            gives,
            wants,
            anew: false,
            apart: None,
        }
    }

    /// Takes these branches and gives nothing.
    #[must_use]
    pub const fn pull(wants: Branches) -> Self {
        let gives = Branches::none();
        Self {
            gives,
            wants,
            anew: false,
            apart: None,
        }
    }

    /// Takes these branches apart from those here, and gives nothing. `before` are the heads of what was
    /// taken so from this peer before.
    #[must_use]
    pub const fn fetch(wants: Branches, before: Heads) -> Self {
        Self {
            gives: Branches::none(),
            wants,
            anew: false,
            apart: Some(before),
        }
    }

    /// Takes all there is, whatever of it is here already, and gives `meta` alone.
    #[must_use]
    pub fn anew() -> Self {
        Self {
            anew: true,
            ..Self::default()
        }
    }
}

impl Branches {
    /// None of them.
    #[must_use]
    pub const fn none() -> Self {
        Self::Only(Vec::new())
    }

    /// Whether `branch` is one of them.
    #[must_use]
    pub fn include(&self, branch: &BranchName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(branch) || branch.is_meta() && !names.is_empty(),
        }
    }

    /// What a hello says for them.
    pub(crate) fn to_wants(&self) -> Option<Vec<BranchName>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names.clone()),
        }
    }
}

impl From<Option<Vec<BranchName>>> for Branches {
    fn from(wants: Option<Vec<BranchName>>) -> Self {
        wants.map_or(Self::All, Self::Only)
    }
}
