//! What happened in a run, in numbers.

use std::collections::BTreeMap;

/// What happened in a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// A hash over every event and frame: equal runs have equal traces.
    pub trace: u64,
    /// Events handled.
    pub events: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that both sides ended as complete.
    pub completed: u64,
    /// Bytes of frames sent.
    pub bytes: u64,
    /// Commits acknowledged to writers.
    pub commits: u64,
    /// Edits acknowledged to writers.
    pub edits: u64,
    /// Operations on values that join.
    pub deeds: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Those of them that took back what was to be durable later.
    pub taken_back: u64,
    /// Clocks that stood at the beginning of 1970, or half a century ahead.
    pub lost_clocks: u64,
    /// Commits refused by honest nodes.
    pub refused: u64,
    /// Sessions that an honest node ended because of what its peer sent.
    pub broken: u64,
    /// Parts of the space that nodes changed to.
    pub parts: u64,
    /// Blocks that collections of garbage removed.
    pub collected: u64,
    /// Moves that were removed from a log.
    pub trimmed: u64,
    /// Blocks that rotted.
    pub rotten: u64,
    /// Those of them that were put again.
    pub healed: u64,
    /// Fetches apart from the branches that came to their end.
    pub fetched: u64,
    /// Merges of what was fetched.
    pub merges: u64,
    /// What was tried with a protected branch and is not allowed.
    pub overstepped: u64,
    /// Heads that did not go on from a protected branch.
    pub held_back: u64,
    /// Conflicts recorded at the end, over all nodes.
    pub conflicts: u64,
    /// With which codes honest nodes refused what a hostile one sent, and ended sessions with it.
    pub blamed: BTreeMap<String, u64>,
    /// What crossed the links after the world came to rest.
    pub rest: Rest,
}

/// What crossed the links once nothing went wrong any more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rest {
    /// Links.
    pub links: u64,
    /// Sessions until all had the same.
    pub sessions: u64,
    /// Times that a commit crossed a link.
    pub commits: u64,
    /// Commits that were written when all had the same.
    pub fresh: u64,
    /// Sessions until all had those.
    pub fresh_sessions: u64,
    /// Times that one of them crossed a link.
    pub fresh_commits: u64,
    /// Bytes of commits, changes, key events and blocks then.
    pub fresh_bytes: u64,
    /// Bytes of all other messages then.
    pub fresh_talk_bytes: u64,
}

impl Summary {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Self) {
        let Self {
            trace: _,
            events,
            sessions,
            completed,
            bytes,
            commits,
            edits,
            deeds,
            crashes,
            taken_back,
            lost_clocks,
            refused,
            broken,
            parts,
            collected,
            trimmed,
            rotten,
            healed,
            fetched,
            merges,
            overstepped,
            held_back,
            conflicts,
            blamed,
            rest,
        } = other;
        self.events += events;
        self.sessions += sessions;
        self.completed += completed;
        self.bytes += bytes;
        self.commits += commits;
        self.edits += edits;
        self.deeds += deeds;
        self.crashes += crashes;
        self.taken_back += taken_back;
        self.lost_clocks += lost_clocks;
        self.refused += refused;
        self.broken += broken;
        self.parts += parts;
        self.collected += collected;
        self.trimmed += trimmed;
        self.rotten += rotten;
        self.healed += healed;
        self.fetched += fetched;
        self.merges += merges;
        self.overstepped += overstepped;
        self.held_back += held_back;
        self.conflicts += conflicts;
        for (code, times) in blamed {
            *self.blamed.entry(code.clone()).or_default() += times;
        }
        self.rest.links += rest.links;
        self.rest.sessions += rest.sessions;
        self.rest.commits += rest.commits;
        self.rest.fresh += rest.fresh;
        self.rest.fresh_sessions += rest.fresh_sessions;
        self.rest.fresh_commits += rest.fresh_commits;
        self.rest.fresh_bytes += rest.fresh_bytes;
        self.rest.fresh_talk_bytes += rest.fresh_talk_bytes;
    }
}
