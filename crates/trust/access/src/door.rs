//! The doors of a space: every way by which somebody gets at it, and which operation that is (ACCESS-26).

use crate::op::Op;

macro_rules! doors {
    ($($(#[$doc:meta])* $door:ident = $name:literal: $op:ident,)*) => {
        /// A way by which somebody gets at a space.
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
        #[expect(clippy::exhaustive_enums, reason = "who lists what each door needs is to hear of a new one")]
        pub enum Door {
            $($(#[$doc])* $door,)*
        }

        impl Door {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$door,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$door => $name,)*
                }
            }

            /// The operation that it is.
            #[must_use]
            pub const fn op(self) -> Op {
                match self {
                    $(Self::$door => Op::$op,)*
                }
            }
        }
    };
}

doors! {
    /// One entry.
    Get = "get": Read,
    /// Entries in the order of their keys.
    Range = "range": Read,
    /// How many entries there are.
    Count = "count": Read,
    /// The commits of a branch.
    History = "history": Read,
    /// Who wrote a key last, and before.
    Blame = "blame": Read,
    /// What differs between two states.
    Diff = "diff": Read,
    /// Staged edits that are put by, or taken again.
    Stash = "stash": Read,
    /// Commits, trees and blocks as they are.
    Inspect = "inspect": Read,
    /// A state as a file.
    Export = "export": Read,
    /// A space as a file.
    Backup = "backup": Read,
    /// Projections.
    Projection = "projection": Read,
    /// Rows of SQL.
    Sql = "sql": Read,
    /// Who hears of what changes in a projection or a statement.
    Watch = "watch": Read,
    /// The changefeed.
    Feed = "feed": Events,
    /// A sink, which carries the changefeed on.
    Sink = "sink": Events,
    /// A federation's deltas, told.
    FederationTells = "federation-tells": Read,
    /// A federation's deltas, brought.
    FederationBrings = "federation-brings": Write,
    /// A branch, told in a session.
    SyncServes = "sync-serves": Read,
    /// An entry that is set.
    Put = "put": Write,
    /// An entry that is deleted.
    Delete = "delete": Delete,
    /// What is staged, as a commit.
    Commit = "commit": Write,
    /// Commits of another branch.
    Merge = "merge": Merge,
    /// The change of a commit, made again.
    CherryPick = "cherry-pick": Write,
    /// A line of commits, made again.
    Rebase = "rebase": Create,
    /// A name for a commit.
    Tag = "tag": Admin,
    /// A branch that begins.
    CreateBranch = "create-branch": Create,
    /// A branch that goes.
    DeleteBranch = "delete-branch": Drop,
    /// Content that goes for good.
    Forget = "forget": Admin,
    /// Rules, members, types, and what else `meta` says.
    Administer = "administer": Admin,
    /// A space that is kept for others.
    Pin = "pin": Pin,
}
