//! A versioned space: entries, commits, branches, join. Specs: `specs/22-repo.md` (REPO), to `27-hooks.md`.
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
mod beside;
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
mod merge;
mod objects;
mod operate;
mod part;
mod patch;
mod pattern;
mod pending;
mod pick;
mod plan;
mod protect;
mod reach;
mod repair;
mod repo;
mod resolve;
mod rights;
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

pub use crate::part::{BadPart, DeclaredParts, PREFIX_BYTES_MAX, Part};
pub use crate::rights::{BadReach, Denial, Granting, OnDenial, Reach, RightsNow};
pub use crate::{accept::Complete, accept::Reviewed, agents::Agents, arrive::Arriving};
pub use crate::{beside::BESIDE_MAX, beside::Judge, beside::Judgement, bisect::Bisect};
pub use crate::{bisect::Verdict, blame::Blame, blame::KeyHistory, check::Problem};
pub use crate::{check::ProblemKind, check::Report, conflict::Conflict, copy::Copied};
pub use crate::{copy::copy_store, diff::Changes, diff::Difference, diff::Differences};
pub use crate::{entry::Entry, entry::EntryError, entry::KEY_BYTES_MAX, entry::State};
pub use crate::{entry::StateRef, entry::VALUE_BLOCK_BYTES_MAX, entry::VALUE_INLINE_BYTES_MAX};
pub use crate::{entry::left_wins, error::Refusal, error::Rejected, error::RepoError};
pub use crate::{event::RefMove, event::log_range, event::trim_log, files::Missing};
pub use crate::{follow::FOLLOW_TRIES, follow::Follower, follow::Heard, follow::begin_to_follow};
pub use crate::{follow::follow, follow::follower, gc::GcError, gc::GcOptions, gc::GcPhase};
pub use crate::{gc::GcReport, gc::MOVES_KEPT, gc::collect_garbage, gc::pin, gc::pins, gc::unpin};
pub use crate::{heal::BlockPeer, heal::Keep, heal::forget_found, heal::heal_space};
pub use crate::{heal::note_lost, heal::noted_lost, history::Log, hooks::Act, hooks::Objection};
pub use crate::{hooks::PreCommit, hooks::Proposal, ids::BadBranchName, ids::BranchName};
pub use crate::{ids::CommitId, ids::SpaceId, ids::TagName, inspect::Parsed, inspect::SpaceStats};
pub use crate::{inspect::StoreSizes, inspect::parse, inspect::store_sizes, joining::Load};
pub use crate::{joining::join, joining::shown_text, kinds::KindRules, merge::Done};
pub use crate::{merge::FastForward, merge::MergeOptions, merge::Outcome, merge::Stopped};
pub use crate::{objects::ATTRIBUTES_MAX, objects::OBJECT_NAME_BYTES_MAX, objects::Object};
pub use crate::{objects::ObjectError, objects::Ref, patch::PATCH_BYTES_MAX};
pub use crate::{patch::PATCH_CHANGES_MAX, patch::PATCH_LINE_BYTES_MAX, patch::Patch};
pub use crate::{patch::PatchError, patch::write_patch, pattern::BadPattern, pattern::Pattern};
pub use crate::{pending::Applied, pending::RULES_MAX, pending::Replay, pending::Task};
pub use crate::{pending::UnderWay, pick::REPLAY_MAX, plan::KEYS_LISTED, plan::Keys};
pub use crate::{repair::Mended, repair::Progress, repair::StoreReport, repair::check_store};
pub use crate::{repair::lost_blocks, repair::mend, repo::Author, repo::BRANCHES_MAX};
pub use crate::{repo::HEADS_MAX, repo::HEADS_TOTAL_MAX, repo::Heads, repo::Repo};
pub use crate::{resolve::BadStrategy, resolve::BadValue, resolve::Callback};
pub use crate::{resolve::MergeConflict, resolve::MergeType, resolve::MergeTypes};
pub use crate::{resolve::Resolution, resolve::Resolving, resolve::Rule, resolve::Strategy};
pub use crate::{stamp::Clock, stamp::DRIFT_MS_MAX, stamp::Stamp, stash::STASHES_MAX};
pub use crate::{stash::Stash, stash::Unstashed, statements::Commit, statements::Genesis};
pub use crate::{statements::MESSAGE_BYTES_MAX, statements::PARENTS_MAX, statements::SpaceClass};
pub use crate::{tags::TAG_MESSAGE_BYTES_MAX, tags::Tag, timing::Timings, timing::Verb};
pub use crate::{tracking::Tracking, transaction::Savepoint, transaction::Transaction};
pub use crate::{view::Content, view::Item, view::Span, view::View, work::Edit, work::Staged};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
