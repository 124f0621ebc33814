//! How long a space takes for what it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use allod_blocks::{Histogram, Latency, Ticks};

use crate::repo::Repo;

/// What a space is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verb {
    /// Read the value of a key.
    Read,
    /// Stage edits.
    Stage,
    /// Commit, what is staged or a transaction.
    Commit,
    /// Merge, or go on with what waits.
    Merge,
    /// Accept a commit from elsewhere.
    Accept,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Stage,
        Self::Commit,
        Self::Merge,
        Self::Accept,
    ];

    /// Its name in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read a key",
            Self::Stage => "stage",
            Self::Commit => "commit",
            Self::Merge => "merge",
            Self::Accept => "accept",
        }
    }
}

/// How long spaces took, since it was made. Clones share it.
#[derive(Clone)]
pub struct Timings {
    ticks: Ticks,
    histograms: Arc<[Histogram; Verb::ALL.len()]>,
}

impl fmt::Debug for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = Verb::ALL.map(|verb| (verb.name(), self.latency(verb)));
        f.debug_map().entries(each).finish()
    }
}

impl Timings {
    /// Nothing was done yet; `ticks` says how much time passes.
    #[must_use]
    pub fn new(ticks: Ticks) -> Self {
        Self {
            ticks,
            histograms: Arc::new(std::array::from_fn(|_| Histogram::new())),
        }
    }

    /// How long a verb took, whether it worked or not.
    #[must_use]
    pub fn latency(&self, verb: Verb) -> Latency {
        self.histograms[verb as usize].latency()
    }
}

/// Notes how long it lived.
pub(crate) struct Timing<'a> {
    timings: &'a Timings,
    verb: Verb,
    started: Duration,
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let took = (self.timings.ticks)().saturating_sub(self.started);
        self.timings.histograms[self.verb as usize].record(took);
    }
}

impl Repo {
    /// The same space, timed: what is asked through this handle, its clones, and what they give out.
    #[must_use]
    pub fn timed(mut self, timings: Timings) -> Self {
        self.timings = Some(timings);
        self
    }

    /// Times from now until it is dropped, if somebody asked for it.
    pub(crate) fn timing(&self, verb: Verb) -> Option<Timing<'_>> {
        self.timings.as_ref().map(|timings| Timing {
            timings,
            verb,
            started: (timings.ticks)(),
        })
    }
}
