//! Nodes that keep a part of the space, and change it (PART).

use std::sync::Arc;

use allod_repo::{BranchName, CommitId, Part, Repo, RepoError};

use crate::error::Failure;
use crate::meeting::Errand;
use crate::node::Node;
use crate::rng::Rng;
use crate::world::World;

/// What keys of writers begin with.
const PREFIXES: [&str; 8] = [
    "key/0",
    "key/1",
    "key/03",
    "pn-counter:",
    "or-set:",
    "list:",
    "lww-map:",
    "mv-register:1",
];

/// Any part.
pub(crate) fn part(rng: &mut Rng) -> Option<Part> {
    let mut prefixes = Vec::new();
    for _ in 0..rng.within(1, 5) {
        prefixes.push(PREFIXES[rng.index(PREFIXES.len())]);
    }
    let depth = match rng.below(4) {
        0 => None,
        1 => Some(1),
        _ => Some(rng.within(2, 9)),
    };
    let part = Part::new(prefixes, depth).ok()?;
    if rng.below(2) > 0 {
        return Some(part);
    }
    // Files here have smaller parts than are believed, so that of all but the shortest the index is kept alone.
    part.with_value_max(Part::VALUE_MAX_LEAST).ok()
}

impl Node {
    /// The part that is kept; none if all is.
    pub(crate) fn part(&self) -> Option<Arc<Part>> {
        self.witness.part()
    }

    /// Whether a key may be written here.
    pub(crate) fn keeps(&self, key: &[u8]) -> bool {
        self.part().is_none_or(|part| part.contains(key))
    }

    /// What the node is going to keep, if that is not all here yet.
    pub(crate) fn next_part(&self) -> Result<Option<Repo>, Failure> {
        let Some(repo) = &self.repo else {
            return Ok(None);
        };
        match repo.next_part() {
            Err(_) if self.disk.struck() => Ok(None),
            next => next.map_err(|error| self.fault("next_part", &error)),
        }
    }
}

impl World {
    /// A node that keeps a part begins to keep another.
    pub(crate) fn repart(&mut self, node: usize) -> Result<(), Failure> {
        let is_part = self.nodes[node].part().is_some();
        if let (true, Some(repo), Some(next)) =
            (is_part, &self.nodes[node].repo, part(&mut self.rng))
        {
            match repo.begin_part(next) {
                Ok(_) => {}
                Err(_) if self.nodes[node].disk.struck() => {}
                Err(error) => return Err(self.nodes[node].fault("begin_part", &error)),
            }
        }
        self.after(node)
    }

    /// Whether a node that keeps all has a commit.
    fn is_at_whole(&self, commit: CommitId) -> bool {
        let mut whole = self.nodes[..self.scenario.whole()].iter();
        whole.any(|node| node.witness.has_commit(commit).unwrap_or(false))
    }

    /// A node gives up large files that are elsewhere, and removes what nothing leads to.
    pub(crate) fn collect(&mut self, node: usize) -> Result<(), Failure> {
        let here = &self.nodes[node];
        if let Some(repo) = &here.repo {
            let released = repo.release_large::<RepoError>(&mut |id| Ok(self.is_at_whole(id)));
            match released {
                Ok(_) => {}
                Err(_) if here.disk.struck() => {}
                Err(error) => return Err(here.fault("release_large", &error)),
            }
        }
        self.summary.trimmed += here.trim()?;
        self.summary.collected += here.collect()?;
        Ok(())
    }

    /// A node may have fetched what it is going to keep, and keeps it from now on. What falls out of it is at
    /// some node that keeps all.
    pub(crate) fn finish_part(&mut self, node: usize) -> Result<(), Failure> {
        let Some(repo) = &self.nodes[node].repo else {
            return Ok(());
        };
        match repo.finish_part(&|head| self.is_at_whole(head)) {
            Ok(true) => {
                let node = &mut self.nodes[node];
                node.witness = node.reopened()?;
                self.summary.parts += 1;
                Ok(())
            }
            Ok(false) | Err(RepoError::OnlyHere(_) | RepoError::OutOfPart { .. }) => Ok(()),
            Err(_) if self.nodes[node].disk.struck() => Ok(()),
            Err(error) => Err(self.nodes[node].fault("finish_part", &error)),
        }
    }

    /// Whoever began to keep another part has it, now that nothing goes wrong.
    pub(crate) fn finish_parts(&mut self) -> Result<(), Failure> {
        let mut going_on = Vec::new();
        for node in self.scenario.whole()..self.scenario.honest() {
            if self.nodes[node].next_part()?.is_none() {
                continue;
            }
            going_on.push(node);
            // What is staged and falls out of it would be in the way.
            let now = self.nodes[node].clock(self.now_ms);
            for branch in [Ok(BranchName::main()), "side".parse()]
                .into_iter()
                .flatten()
            {
                self.nodes[node].commit(&branch, now, &mut self.model)?;
            }
        }
        self.spread()?;
        for node in going_on {
            if let Some(peer) = self.neighbours(node).first() {
                // All of it is asked for again: that is no storm.
                let traffic = self.traffic.clone();
                self.meet(node, *peer, Errand::Anew)?;
                self.drain()?;
                self.traffic = traffic;
            }
            if self.nodes[node].next_part()?.is_some() {
                let what = "what it is going to keep does not come".to_owned();
                return Err(self.nodes[node].lost(what));
            }
        }
        Ok(())
    }
}
