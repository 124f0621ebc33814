//! A versioned space: entries, commits, branches, join.
//!
//! Specs: `specs/22-repo.md` (REPO), and MERGE, WORK, OBJ, PATCH and HOOK up to `27-hooks.md`.
//!
//! # What this crate is
//! A [`Repo`] is a handle on one space in a store. Edits are staged and survive a crash; a commit signs the resulting
//! tree; a branch is its set of heads, read as the join of their trees. Commits from elsewhere pass [`Repo::review`],
//! [`Repo::with_changes`] or [`Repo::fetch_tree`], and [`Repo::accept`], in this order: the types allow no other.
//!
//! # What it is not
//! No network, no clock: the time is an argument. How commits travel is `allod-sync`.
//!
//! # The flow
//! ```text
//! stage --> working set --commit_staged--> commit --advance--> heads --state--> View
//! bytes --review--> Reviewed --with_changes--> Complete --accept--> heads
//! heads --merge--> commit, or conflicts --resolve, resume--> commit     (`specs/23-merge.md`)
//! ```
//!
//! # Invariants
//! - A commit is one only with its mark: it was made here, or passed every rule.
//! - Heads move by compare-and-swap, in the batch that logs the move.
//! - What is not resolved changes no branch and no working set (MERGE-7).
//! - Join is commutative, associative and idempotent: same commits, same heads, same state.

mod accept;
mod agents;
mod arrive;
mod bisect;
mod blame;
mod branches;
mod check;
mod conflict;
mod copy;
mod decide;
mod diff;
mod entry;
mod error;
mod event;
mod files;
mod follow;
mod gc;
mod heal;
mod history;
mod hooks;
mod ids;
mod inspect;
mod joining;
mod json;
mod kinds;
mod layout;
mod members;
mod merge;
mod objects;
mod operate;
mod part;
mod patch;
mod pattern;
mod pending;
mod pick;
mod pins;
mod plan;
mod protect;
mod reach;
mod repair;
mod repo;
mod resolve;
mod stamp;
mod stash;
mod statements;
mod tags;
mod threeway;
mod timing;
mod tracking;
mod transaction;
mod undo;
mod view;
mod work;
mod write;

pub use crate::diff::{Changes, Difference, Differences};
pub use crate::entry::{
    Entry, EntryError, KEY_BYTES_MAX, State, StateRef, VALUE_BLOCK_BYTES_MAX,
    VALUE_INLINE_BYTES_MAX, left_wins,
};
pub use crate::error::{Refusal, Rejected, RepoError};
pub use crate::follow::{FOLLOW_TRIES, Follower, Heard, begin_to_follow, follow, follower};
pub use crate::gc::{GcError, GcOptions, GcPhase, GcReport, MOVES_KEPT, collect_garbage};
pub use crate::heal::{BlockPeer, Keep, forget_found, heal_space, note_lost, noted_lost};
pub use crate::ids::{BadBranchName, BranchName, CommitId, SpaceId, TagName};
pub use crate::inspect::{Parsed, SpaceStats, StoreSizes, parse, store_sizes};
pub use crate::merge::{Done, FastForward, MergeOptions, Outcome, Stopped};
pub use crate::objects::{ATTRIBUTES_MAX, OBJECT_NAME_BYTES_MAX, Object, ObjectError, Ref};
pub use crate::patch::{
    PATCH_BYTES_MAX, PATCH_CHANGES_MAX, PATCH_LINE_BYTES_MAX, Patch, PatchError, write_patch,
};
pub use crate::pending::{Applied, RULES_MAX, Replay, Task, UnderWay};
pub use crate::repair::{Mended, Progress, StoreReport, check_store, lost_blocks, mend};
pub use crate::repo::{Author, BRANCHES_MAX, HEADS_MAX, HEADS_TOTAL_MAX, Heads, Repo};
pub use crate::resolve::{
    BadStrategy, BadValue, Callback, MergeConflict, MergeType, MergeTypes, Resolution, Resolving,
    Rule, Strategy,
};
pub use crate::statements::{Commit, Genesis, MESSAGE_BYTES_MAX, PARENTS_MAX, SpaceClass};
pub use crate::{accept::Complete, accept::Reviewed, check::Problem, check::ProblemKind};
pub use crate::{agents::Agents, arrive::Arriving, event::RefMove, joining::shown_text};
pub use crate::{bisect::Bisect, bisect::Verdict, blame::Blame, blame::KeyHistory, stamp::Clock};
pub use crate::{check::Report, files::Missing, hooks::Act, hooks::Objection, hooks::PreCommit};
pub use crate::{conflict::Conflict, history::Log, joining::Load, joining::join, work::Staged};
pub use crate::{copy::Copied, copy::copy_store, hooks::Proposal};
pub use crate::{kinds::KindRules, part::BadPart, part::Part, pick::REPLAY_MAX, stamp::Stamp};
pub use crate::{pattern::BadPattern, pattern::Pattern, plan::KEYS_LISTED, plan::Keys, work::Edit};
pub use crate::{pins::pin, pins::pins, pins::unpin, tags::TAG_MESSAGE_BYTES_MAX, tags::Tag};
pub use crate::{stamp::DRIFT_MS_MAX, view::Content, view::Item, view::Span, view::View};
pub use crate::{stash::STASHES_MAX, stash::Stash, stash::Unstashed, tracking::Tracking};
pub use crate::{timing::Timings, timing::Verb, transaction::Savepoint, transaction::Transaction};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
