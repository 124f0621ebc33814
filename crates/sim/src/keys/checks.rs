//! What must hold once everybody has talked to everybody.

use std::collections::BTreeSet;

use allod_identity::Mark;
use allod_repo::{BranchName, CommitId, Heads, Repo};

use super::{KeyWorld, ROUNDS, words};

/// What a node has in the end: of each agent what is known of it, the heads of `main`, and what is beside it.
type Shape = (Vec<Mark>, Heads, Heads);

impl KeyWorld {
    /// Partitions end. Who contradicts itself is seen by all who can hear of it; then the persons take their next keys,
    /// and all honest nodes come to have the same.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.is_parted = false;
        self.gossip()?;
        self.seen_by_all()?;
        for agent in 0..self.agents.len() {
            let nodes = self.nodes.iter();
            let node = nodes
                .enumerate()
                .find(|(_, node)| node.agent == agent && !node.is_stolen);
            if let Some((node, _)) = node {
                self.rotate(node)?;
                for stolen in 0..self.nodes.len() {
                    if self.nodes[stolen].is_stolen && self.nodes[stolen].agent == agent {
                        self.remove_stolen(node)?;
                    }
                }
            }
        }
        self.gossip()?;
        self.agree("after the persons took new keys")?;
        self.is_healed = true;
        for node in self.honest() {
            self.not_locked_out(node)?;
            self.write(node)?;
        }
        self.gossip()?;
        self.agree("after all have written once more")?;
        self.counts_as_said()
    }

    /// The nodes that their persons have.
    fn honest(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let honest = nodes.filter(|(_, node)| !node.is_stolen);
        honest.map(|(number, _)| number).collect()
    }

    /// All meet all, thieves too.
    fn gossip(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            for left in 0..self.nodes.len() {
                for right in 0..self.nodes.len() {
                    if left != right {
                        self.meet(left, right, usize::MAX)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Nodes that can talk know of each contradiction that one of them knows of (IDENT-13).
    fn seen_by_all(&mut self) -> Result<(), String> {
        for agent in 0..self.agents.len() {
            let id = self.agents[agent].id();
            let (mut seen, mut not) = (None, None);
            for node in self.honest() {
                let log = |agent: &_| self.nodes[node].repo.agents().key_log(agent).map_err(words);
                // Its own nodes talk to nobody as long as it contradicts itself; nor do those of another such agent.
                let own = log(&self.agents[self.nodes[node].agent].id())?;
                if !own.speaks(&self.nodes[node].device.public()) {
                    continue;
                }
                match log(&id)?.equivocation() {
                    Some(_) => seen = Some(node),
                    None => not = Some(node),
                }
            }
            if let (Some(seen), Some(not)) = (seen, not) {
                return Err(format!(
                    "node {seen} sees that agent {agent} contradicts itself, and node {not} does not"
                ));
            }
        }
        Ok(())
    }

    fn shape(&self, node: usize) -> Result<Shape, String> {
        let repo = &self.nodes[node].repo;
        let mut marks = Vec::new();
        for agent in &self.agents {
            let log = repo.agents().key_log(&agent.id()).map_err(words)?;
            marks.push(log.mark());
        }
        let main = BranchName::main();
        let heads = repo.heads(&main).map_err(words)?;
        Ok((marks, heads, repo.beside(&main).map_err(words)?))
    }

    fn agree(&self, when: &str) -> Result<(), String> {
        let honest = self.honest();
        let first = self.shape(honest[0])?;
        for node in honest {
            let shape = self.shape(node)?;
            if shape != first {
                let what = match (shape.0 == first.0, shape.1 == first.1) {
                    (false, _) => "who speaks for whom",
                    (true, false) => "the heads",
                    (true, true) => "what is beside",
                };
                return Err(format!("{when}: nodes 0 and {node} do not agree on {what}"));
            }
        }
        Ok(())
    }

    /// A thief cannot lock the owner out: its devices that it has speak, and those of thieves do not.
    fn not_locked_out(&self, node: usize) -> Result<(), String> {
        for other in &self.nodes {
            let log = self.nodes[node].repo.agents();
            let log = log.key_log(&self.agents[other.agent].id()).map_err(words)?;
            if log.equivocation().is_some() {
                return Err(format!("agent {} is frozen for ever", other.agent));
            }
            let speaks = log.speaks(&other.device.public());
            if speaks == other.is_stolen {
                let what = if speaks { "speaks" } else { "does not speak" };
                return Err(format!("a device of agent {} {what}", other.agent));
            }
        }
        Ok(())
    }

    /// The heads are what the rules make of all commits that an honest node has, read as they are written.
    fn counts_as_said(&mut self) -> Result<(), String> {
        let node = self.honest()[0];
        let repo = &self.nodes[node].repo;
        let (heads, beside) = naive(repo, &self.all)?;
        let (_, here, apart) = self.shape(node)?;
        if here != heads {
            return Err("the heads are not the newest of what counts".to_owned());
        }
        if apart != beside {
            return Err("what is beside is not the newest of what does not count".to_owned());
        }
        self.summary.beside += beside.len() as u64;
        Ok(())
    }
}

/// REPO-100 and REPO-101, word by word.
fn naive(repo: &Repo, all: &BTreeSet<CommitId>) -> Result<(Heads, Heads), String> {
    let mut here = BTreeSet::new();
    for id in all {
        // What a thief wrote and could tell nobody is not here.
        if repo.has_commit(*id).map_err(words)? {
            here.insert(*id);
        }
    }
    let parents = |id: CommitId| -> Result<Vec<CommitId>, String> {
        Ok(repo.commit(id).map_err(words)?.payload().parents.clone())
    };
    let (mut counting, mut open) = (BTreeSet::new(), Vec::new());
    for id in &here {
        if repo.stands(*id).map_err(words)? {
            open.push(*id);
        }
    }
    while let Some(id) = open.pop() {
        if counting.insert(id) {
            open.extend(parents(id)?);
        }
    }
    let newest = |of: BTreeSet<CommitId>| -> Result<Heads, String> {
        let mut below = BTreeSet::new();
        for id in &of {
            below.extend(parents(*id)?);
        }
        Ok(of.difference(&below).copied().collect())
    };
    let rest = here.difference(&counting).copied().collect();
    Ok((newest(counting)?, newest(rest)?))
}
