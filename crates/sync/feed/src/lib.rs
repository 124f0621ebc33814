//! The log of a node as a changefeed.
//!
//! Spec: `specs/32-feed.md` (FEED).
//!
//! # What this crate is
//! A [`Feed`] tells what happened to the spaces of a store, from any [`Cursor`] on: commits, what they changed, and
//! where branches went. It is derived from the log that each commit is in, so nothing is told that is not durable,
//! and nothing is missed.
//!
//! # What it is not
//! No network and no thread. Events are values of Rust here.
//!
//! # The flow
//! ```text
//! AnnouncingStore --LogEnd--> Tail --wakes--> Subscription
//!        log --Feed::read--> Reader --page--> events, and the cursor after them
//! ```
//!
//! # Invariants
//! - Every event of the log is told to each consumer at least once, in order, or its cursor has expired (FEED-14).
//! - A consumer that waits costs its filter and a place in a list; one that is slow, no more than a page.
//! - It writes nothing but the name of the log, how much of it is kept, and what reading a state of several heads
//!   writes.

mod announce;
mod cursor;
mod error;
mod event;
mod feed;
mod filter;
mod moves;
mod outline;
mod reader;
mod retention;
mod snapshot;
mod tail;
mod walk;

pub use crate::announce::{AnnouncingStore, LogEnd};
pub use crate::cursor::{CURSOR_BYTES_MAX, Cursor, Epoch};
pub use crate::error::FeedError;
pub use crate::event::{ChangedBy, Event, Order, Told};
pub use crate::feed::{Feed, Spaces};
pub use crate::filter::{FILTER_BYTES_MAX, Filter, Kind, Text};
pub use crate::reader::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX, Page, Reader};
pub use crate::retention::Retention;
pub use crate::tail::{Subscription, Tail};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
