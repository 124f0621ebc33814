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
//! - Heads move by compare-and-swap, in the batch that logs the move. What is not resolved changes nothing (MERGE-7).
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
pub use crate::{accept::Complete, accept::Reviewed, agents::Agents, arrive::Arriving};
pub use crate::{bisect::Bisect, bisect::Verdict, blame::Blame, blame::KeyHistory, check::Problem};
pub use crate::{check::ProblemKind, check::Report, conflict::Conflict, copy::Copied};
pub use crate::{copy::copy_store, diff::Changes, diff::Difference, diff::Differences};
pub use crate::{event::RefMove, event::log_range, event::trim_log, files::Missing, history::Log};
pub use crate::{hooks::Act, hooks::Objection, hooks::PreCommit, hooks::Proposal, joining::Load};
pub use crate::{joining::join, joining::shown_text, kinds::KindRules, members::BadReach};
pub use crate::{members::Reach, part::BadPart, part::Part, pattern::BadPattern, pattern::Pattern};
pub use crate::{pick::REPLAY_MAX, pins::pin, pins::pins, pins::unpin, plan::KEYS_LISTED};
pub use crate::{plan::Keys, stamp::Clock, stamp::DRIFT_MS_MAX, stamp::Stamp, stash::STASHES_MAX};
pub use crate::{stash::Stash, stash::Unstashed, tags::TAG_MESSAGE_BYTES_MAX, tags::Tag};
pub use crate::{timing::Timings, timing::Verb, tracking::Tracking, transaction::Savepoint};
pub use crate::{transaction::Transaction, view::Content, view::Item, view::Span, view::View};
pub use crate::{work::Edit, work::Staged};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
