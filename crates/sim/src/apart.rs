//! What is fetched apart from the branches, and merged later (REPO-80 to REPO-83).

use std::collections::BTreeMap;

use allod_repo::{
    BranchName, CommitId, Heads, MergeOptions, Outcome, RepoError, Resolving, Strategy,
};
use allod_sync::Session;

use crate::error::Failure;
use crate::meeting::Errand;
use crate::model::Model;
use crate::node::Node;
use crate::staging::Doubt;
use crate::world::World;

/// The tracking branches of a node: the heads of each, by peer and branch.
type Tracked = BTreeMap<(usize, BranchName), Heads>;

/// What a node is to know of the branches of its peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracking {
    known: Tracked,
    /// The same after a fetch of which the node does not know whether it was noted.
    unsure: Option<Tracked>,
}

impl Tracking {
    /// The heads of all that was fetched from a peer.
    pub(crate) fn of(&self, peer: usize) -> Heads {
        let of_peer = self.known.iter().filter(|((name, _), _)| *name == peer);
        of_peer.flat_map(|(_, heads)| heads).copied().collect()
    }

    /// The heads of a branch at some of the peers.
    pub(crate) fn branch(&self, branch: &BranchName, peers: usize) -> Heads {
        let of_branch = self.known.iter();
        let of_branch = of_branch.filter(|((peer, name), _)| *peer < peers && name == branch);
        of_branch.flat_map(|(_, heads)| heads).copied().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.unsure.is_none()
    }
}

/// What a node calls a peer.
fn remote(peer: usize) -> String {
    format!("node-{peer}")
}

impl World {
    /// A node that keeps all fetches from one of its peers, and moves no branch.
    pub(crate) fn fetch_any(&mut self, node: usize) -> Result<(), Failure> {
        let node = node % self.scenario.whole();
        let near = self.neighbours(node);
        match near.get(self.rng.index(near.len().max(1))) {
            Some(peer) => self.meet(node, *peer, Errand::Fetch),
            None => Ok(()),
        }
    }

    /// A fetch came to its end: what was offered and is here is noted (REPO-81).
    pub(crate) fn fetched(
        &mut self,
        (node, peer): (usize, usize),
        session: &Session,
    ) -> Result<(), Failure> {
        let node = &mut self.nodes[node];
        let Some(repo) = &node.repo else {
            return Ok(());
        };
        let mut found = Vec::new();
        for (branch, offered) in session.offered() {
            let mut heads = Heads::new();
            for head in offered {
                match repo.is_held(*head) {
                    Ok(true) => drop(heads.insert(*head)),
                    Ok(false) => {}
                    Err(_) if node.disk.struck() => return Ok(()),
                    Err(error) => return Err(node.fault("is_held", &error)),
                }
            }
            if !branch.is_meta() && !heads.is_empty() {
                found.push((branch.clone(), heads));
            }
        }
        let result = repo.track(&remote(peer), &found);
        let mut next = node.tracking.known.clone();
        next.extend(
            found
                .into_iter()
                .map(|(branch, heads)| ((peer, branch), heads)),
        );
        match result {
            Ok(()) => node.tracking.known = next,
            Err(_) if node.disk.struck() => node.tracking.unsure = Some(next),
            Err(error) => return Err(node.fault("track", &error)),
        }
        self.summary.fetched += 1;
        Ok(())
    }

    /// A node merges what it fetched of some branch.
    pub(crate) fn merge(&mut self, node: usize) -> Result<(), Failure> {
        let node = node % self.scenario.whole();
        let known = &self.nodes[node].tracking.known;
        let chosen = known.iter().nth(self.rng.index(known.len().max(1)));
        let Some(((_, branch), heads)) = chosen else {
            return Ok(());
        };
        let (branch, heads) = (branch.clone(), heads.clone());
        let now = self.nodes[node].clock(self.now_ms);
        self.nodes[node].merge((&branch, &heads), now, &mut self.model)?;
        self.summary.merges += 1;
        self.after(node)
    }

    /// What was fetched is there still.
    pub(crate) fn tracked(&mut self) -> Result<(), Failure> {
        self.nodes.iter_mut().try_for_each(Node::tracks)
    }
}

impl Node {
    /// Merges commits into a branch; where both sides changed a key, what a join would keep counts. An error is
    /// remembered as a doubt.
    pub(crate) fn merge(
        &mut self,
        (branch, heads): (&BranchName, &Heads),
        now_ms: u64,
        model: &mut Model,
    ) -> Result<(), Failure> {
        let Some(repo) = &self.repo else {
            return Ok(());
        };
        let before = self.witness.heads(branch);
        let before = before.map_err(|error| self.fault("heads", &error))?;
        let all = "*".parse();
        let all = all.map_err(|_error| self.lost("the pattern of all keys".to_owned()))?;
        let rules = [(all, Strategy::Newest)];
        let options = MergeOptions {
            resolving: Resolving {
                rules: &rules,
                ..Resolving::default()
            },
            allow_unrelated: true,
            ..MergeOptions::default()
        };
        match repo.merge(branch, heads, self.author(), &options, now_ms) {
            Ok(Outcome::Stopped(stopped)) => {
                let left = stopped.count;
                Err(self.lost(format!("{left} conflicts of a merge have no decision")))
            }
            Ok(_) => self.learn_merge(branch, &before, model),
            Err(_) if self.disk.struck() => {
                self.staging.doubt = Doubt::Merge(branch.clone(), before);
                Ok(())
            }
            // Not let in yet, or something is staged where the merge would change it.
            Err(RepoError::InTheWay { .. }) => Ok(()),
            Err(error) if error.refusal().is_some() => Ok(()),
            Err(error) => Err(self.fault("merge", &error)),
        }
    }

    /// Tells the model of the commit that a merge made over the heads `before`, if it made one.
    pub(crate) fn learn_merge(
        &self,
        branch: &BranchName,
        before: &Heads,
        model: &mut Model,
    ) -> Result<(), Failure> {
        let fault = |error: RepoError| self.fault("reading a merge", &error);
        let heads = self.witness.heads(branch).map_err(fault)?;
        for id in heads.difference(before) {
            if model.ledger.has(*id) {
                continue;
            }
            let commit = self.witness.commit(*id).map_err(fault)?;
            let parents = commit.payload().parents.iter().copied().collect();
            let nothing = BTreeMap::new();
            model.ledger.committed(branch, (*id, &parents), &nothing);
            self.learn_decisions(branch, (*id, &parents), model)?;
        }
        Ok(())
    }

    /// Tells the model of the entries that a merge wrote anew: what one side has and the other deleted where nothing
    /// was is no conflict, and stays (MERGE-2).
    fn learn_decisions(
        &self,
        branch: &BranchName,
        (id, parents): (CommitId, &Heads),
        model: &mut Model,
    ) -> Result<(), Failure> {
        let fault = |error: RepoError| self.fault("reading a merge", &error);
        let merged = self.witness.at(id).map_err(fault)?;
        let sides = parents.iter().map(|parent| self.witness.at(*parent));
        let sides = sides.collect::<Result<Vec<_>, _>>().map_err(fault)?;
        for key in model.branch(branch).into_keys() {
            let Some(entry) = merged.entry(&key).map_err(fault)? else {
                continue;
            };
            let entries = sides.iter().map(|side| side.entry(&key));
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(fault)?;
            let mut before = entries.iter().flatten();
            if before.clone().any(|before| *before == entry) {
                continue;
            }
            if !before.any(|before| before.state == entry.state) {
                let what = format!("a merge made {entry:?} of {}", key.escape_ascii());
                return Err(self.lost(what));
            }
            model.acknowledge(branch, &key, entry);
        }
        Ok(())
    }

    /// The heads of the branches, but for what governs the space.
    pub(crate) fn own_heads(&self) -> Result<Vec<(BranchName, Heads)>, Failure> {
        let branches = self.witness.branches();
        let mut branches = branches.map_err(|error| self.fault("branches", &error))?;
        branches.retain(|(branch, _)| !branch.is_meta());
        Ok(branches)
    }

    /// What was fetched is noted as it was, and every commit of it is here.
    pub(crate) fn tracks(&mut self) -> Result<(), Failure> {
        if self.tracking.is_empty() {
            return Ok(());
        }
        let fault = |error: RepoError| self.fault("reading what was fetched", &error);
        let repo = self.reopened()?;
        let mut found = BTreeMap::new();
        for tracking in repo.tracking(None).map_err(fault)? {
            let digits = tracking.remote.rsplit('-').next();
            let peer = digits.and_then(|digits| digits.parse().ok());
            let peer = peer.unwrap_or(usize::MAX);
            for head in &tracking.heads {
                repo.commit(*head).map_err(fault)?;
            }
            found.insert((peer, tracking.branch), tracking.heads);
        }
        if found != self.tracking.known && self.tracking.unsure.as_ref() != Some(&found) {
            return Err(self.lost("what was fetched".to_owned()));
        }
        self.tracking = Tracking {
            known: found,
            unsure: None,
        };
        Ok(())
    }
}
