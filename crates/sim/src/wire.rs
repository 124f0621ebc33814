//! A connection between two nodes, with a session at each end.

use std::collections::BTreeSet;

use allod_repo::CommitId;
use allod_sync::Session;

use crate::hostile::Held;
use crate::meeting::Errand;
use crate::rng::Rng;

/// A connection. Frames of one direction arrive in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The node that opened it, and the other.
    pub(crate) ends: [usize; 2],
    /// The sessions; `None` once one is over.
    pub(crate) sessions: [Option<Session>; 2],
    /// The heads of either end when it began.
    pub(crate) heads: [BTreeSet<CommitId>; 2],
    /// When the last frame to each end arrives.
    pub(crate) last_ms: [u64; 2],
    /// How long a frame takes at least.
    pub(crate) latency_ms: u64,
    /// Frames until it breaks, if it does.
    pub(crate) frames_left: Option<u64>,
    /// Whether some frames come twice, which no transport does.
    pub(crate) noisy: bool,
    /// How often it swallowed a frame, an end went down, or the clock of one was set: then one may wait in vain.
    pub(crate) setbacks: usize,
    /// Whether the world is quiet: then every session must reach its end.
    pub(crate) quiet: bool,
    /// What the node that opened it is after.
    pub(crate) errand: Errand,
    /// Delays and the like, so that what happens here does not depend on what happens elsewhere.
    pub(crate) rng: Rng,
    /// What a hostile end keeps back.
    pub(crate) held: Held,
}

impl Wire {
    pub(crate) fn is_over(&self) -> bool {
        self.sessions.iter().all(Option::is_none)
    }

    /// Whether a node is at one of its ends.
    pub(crate) fn touches(&self, node: usize) -> bool {
        self.ends.contains(&node)
    }
}
