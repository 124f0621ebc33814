//! What must hold once everybody has talked to everybody.

use std::collections::{BTreeMap, BTreeSet};

use allod_repo::{BranchName, CommitId, Heads, Repo};

use crate::keys::words;

use super::RightsWorld;
use super::people::Role;
use super::reading::Known;
use super::watch::{Reads, reads};

/// Rounds in which all meet all at the end, at most; a few are enough.
const ROUNDS: usize = 12;

/// Where all branches of all nodes stand.
type Standing = Vec<Vec<(BranchName, Heads)>>;

impl RightsWorld {
    /// Partitions end, and all meet until nothing changes. Then those agree who may read the same; and once more when the owner
    /// has taken everything in.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.is_parted = false;
        self.gossip()?;
        self.agree("when all had met")?;
        self.pry_all()?;
        self.gossip()?;
        self.agree("when all had been asked for everything")?;
        self.nothing_is_lost()?;
        let branches = self.nodes[0].repo.offered().map_err(words)?;
        for (branch, _) in branches {
            if !branch.is_meta() {
                let beside = self.nodes[0].repo.beside(&branch).map_err(words)?;
                self.summary.beside += u64::from(!beside.is_empty());
                self.take_in(0, branch.as_str())?;
            }
        }
        self.gossip()?;
        self.agree("when the owner had taken everything in")?;
        self.all_counts()?;
        let node = self.rng.index(self.nodes.len());
        let report = self.nodes[node].repo.check(&mut |_, _| {});
        match report.map_err(words)?.problems.first() {
            Some(problem) => Err(format!("node {node}: {problem:?}")),
            None => Ok(()),
        }
    }

    /// All meet all, strangers too, until a round from each side has changed nothing.
    fn gossip(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for round in 0..ROUNDS {
            let before = self.standing()?;
            for left in 0..self.nodes.len() {
                for right in left + 1..self.nodes.len() {
                    let (from, to) = if round % 2 == 0 {
                        (left, right)
                    } else {
                        (right, left)
                    };
                    self.meet_at(from, to, (usize::MAX, None))?;
                }
            }
            quiet = if self.standing()? == before {
                quiet + 1
            } else {
                0
            };
            if quiet == 2 {
                return Ok(());
            }
        }
        Err(format!("there was no rest in {ROUNDS} rounds"))
    }

    fn standing(&self) -> Result<Standing, String> {
        let nodes = self.nodes.iter();
        let offered = nodes.map(|node| node.repo.offered().map_err(words));
        offered.collect()
    }

    /// What the owner knows that the person of a node may read.
    fn reads(&self, node: usize) -> Result<Reads, String> {
        let repo = &self.nodes[0].repo;
        let offered = repo.offered().map_err(words)?;
        let rights = repo.authorizer().map_err(words)?;
        let names = offered.iter().map(|(name, _)| name);
        Ok(reads(&rights, &self.agent(node), self.clock(0), names))
    }

    fn known(&self, node: usize) -> Result<Known, String> {
        let offered = self.nodes[node].repo.offered().map_err(words)?;
        let mut known = Known::new();
        for (branch, heads) in offered {
            let mut all = BTreeSet::new();
            self.watch.add_below(&heads, &mut all);
            known.insert(branch, all);
        }
        Ok(known)
    }

    /// Each node has what the plain reading makes of what it knows; and whoever may read the same has the same.
    fn agree(&mut self, when: &str) -> Result<(), String> {
        let mut groups: BTreeMap<Reads, Vec<usize>> = BTreeMap::new();
        for node in 0..self.nodes.len() {
            self.is_as_read(node)
                .map_err(|what| format!("{when}: {what}"))?;
            groups.entry(self.reads(node)?).or_default().push(node);
        }
        for (reads, nodes) in groups.into_iter().filter(|(reads, _)| !reads.is_empty()) {
            for node in nodes.iter().skip(1) {
                let same = self.are_same(&reads, (nodes[0], *node));
                same.map_err(|what| format!("{when}: nodes {} and {node} {what}", nodes[0]))?;
            }
        }
        Ok(())
    }

    fn is_as_read(&mut self, node: usize) -> Result<(), String> {
        let known = self.known(node)?;
        let repo = &self.nodes[node].repo;
        let read = self.reading.read(repo, &known)?;
        if read.facts != *repo.authorizer().map_err(words)?.facts() {
            return Err(format!(
                "node {node} reads something else of rights in meta"
            ));
        }
        for (branch, (heads, beside)) in read.stands {
            if repo.heads(&branch).map_err(words)? != heads {
                return Err(format!(
                    "the heads of {branch} at node {node} are not the newest of what counts"
                ));
            }
            if repo.beside(&branch).map_err(words)? != beside {
                return Err(format!(
                    "what is beside {branch} at node {node} is not the newest of what does not count"
                ));
            }
        }
        Ok(())
    }

    /// What was made on a branch, of what is known of it. What somebody took there from elsewhere is told only by who may read it
    /// there too (SYNC-65).
    fn made_on(&self, branch: &BranchName, known: &Known) -> BTreeSet<CommitId> {
        let all = known.get(branch).into_iter().flatten().copied();
        let is_of = |id: &CommitId| {
            let made = self.watch.commits.get(id);
            made.is_some_and(|(made_on, _)| made_on == branch)
        };
        all.filter(is_of).collect()
    }

    /// Says where two nodes differ in what their persons may read.
    fn are_same(&mut self, reads: &Reads, (one, other): (usize, usize)) -> Result<(), String> {
        let repos = [one, other].map(|node| self.nodes[node].repo.clone());
        let known = [self.known(one)?, self.known(other)?];
        let [first, second] = repos
            .each_ref()
            .map(|repo| repo.authorizer().map_err(words));
        if first?.facts() != second?.facts() {
            return Err("do not agree on who may do what".to_owned());
        }
        for (branch, _) in reads {
            let [here, there] = known.each_ref().map(|known| self.made_on(branch, known));
            if here != there {
                return Err(format!("do not know the same of {branch}"));
            }
        }
        // What counts may depend on what somebody built on another branch, which only one of them has ever had.
        if known[0] != known[1] {
            return Ok(());
        }
        self.summary.agreed += 1;
        for (branch, _) in reads {
            let [here, there] = repos
                .each_ref()
                .map(|repo| repo.heads(branch).map_err(words));
            if here? != there? {
                return Err(format!("do not agree on {branch}"));
            }
            if !known[0].contains_key(branch) {
                continue;
            }
            let root = |repo: &Repo| {
                let state = repo.state(branch);
                state.map(|it| it.tree().root()).map_err(words)
            };
            let [here, there] = repos.each_ref().map(root);
            if here? != there? {
                return Err(format!("do not read the same on {branch}"));
            }
        }
        Ok(())
    }

    /// What somebody wrote who has the right still, on what others wrote who have, counts at the owner's, as does all that the owner
    /// wrote; and nothing counts of who has it no more that nobody else built on. What a node has whose person may read something
    /// is nowhere else alone.
    fn nothing_is_lost(&mut self) -> Result<(), String> {
        let known = self.known(0)?;
        let repo = self.nodes[0].repo.clone();
        for node in 1..self.nodes.len() {
            if self.reads(node)?.is_empty() {
                continue;
            }
            for (branch, all) in self.known(node)? {
                for id in all {
                    if !repo.has_commit(id).map_err(words)? {
                        let id = id.short();
                        return Err(format!("{id} of {branch} is at node {node} alone"));
                    }
                }
            }
        }
        let read = self.reading.read(&repo, &known)?;
        let rest: BTreeSet<CommitId> = known
            .iter()
            .filter(|(name, _)| !name.is_meta())
            .flat_map(|(_, all)| all.iter().copied())
            .collect();
        let owner = self.people[Role::Owner as usize].id();
        for id in rest {
            let counts = repo.counts(id).map_err(words)?;
            let by = repo.commit(id).map_err(words)?.payload().author;
            if !counts && (by == owner || read.rest.is_sound(id)) {
                return Err(format!("{} was written by right, and is lost", id.short()));
            }
            if counts && read.rest.is_alone(id) {
                return Err(format!(
                    "{} counts, whose author has the right no more, and nobody built on it",
                    id.short()
                ));
            }
        }
        Ok(())
    }

    /// Everything that was told to the owner counts, on branches that the owner has.
    fn all_counts(&self) -> Result<(), String> {
        let repo = &self.nodes[0].repo;
        for (branch, all) in self.known(0)? {
            if branch.is_meta() {
                continue;
            }
            for id in all {
                if !repo.counts(id).map_err(words)? {
                    let id = id.short();
                    return Err(format!(
                        "the owner took {branch} in, and {id} does not count"
                    ));
                }
            }
        }
        Ok(())
    }
}
