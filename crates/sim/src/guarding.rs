//! A branch that only goes forward (REPO-90 to REPO-93): what is tried with it, and how those who wrote apart come
//! together.

use std::collections::BTreeSet;

use allod_repo::{BranchName, CommitId, Heads, RefMove, Refusal, Rejected, Repo, RepoError};

use crate::error::Failure;
use crate::meeting::Errand;
use crate::node::Node;
use crate::plan::Event;
use crate::world::World;

/// Log entries read at a time.
const PAGE: usize = 1024;

/// The branch that is protected in some worlds.
pub(crate) fn guarded() -> BranchName {
    "guarded".parse().unwrap_or_else(|_| BranchName::main())
}

impl World {
    /// The owner protects the branch.
    pub(crate) fn protect(&mut self) -> Result<(), Failure> {
        self.govern(Event::Protect, &|repo, owner, now| {
            repo.protect(&guarded(), true, owner, now).map(drop)
        })
    }

    /// Whether a node keeps all, and knows that the branch is protected.
    pub(crate) fn guards(&self, node: usize) -> Result<bool, Failure> {
        if node >= self.scenario.whole() {
            return Ok(false);
        }
        let node = &self.nodes[node];
        let protected = node.witness.is_protected(&guarded());
        protected.map_err(|error| node.fault("is_protected", &error))
    }

    /// Somebody tries what the protection of the branch does not allow.
    pub(crate) fn overstep(&mut self, node: usize) -> Result<(), Failure> {
        let way = self.rng.below(3);
        let node = &self.nodes[node];
        let Some(repo) = &node.repo else {
            return Ok(());
        };
        let before = node.heads(&guarded())?;
        if before.is_empty() {
            return Ok(());
        }
        let refused = match way {
            0 => undo_last(repo),
            1 => repo.delete_branch(&guarded(), true).map(drop),
            _ => {
                let other = node.heads(&BranchName::main())?;
                let joined = repo.join_branch(&guarded(), &other);
                joined.map(drop).map_err(|rejected| match rejected {
                    Rejected::Refused(refusal) => refusal.into(),
                    Rejected::Fault(fault) => fault,
                })
            }
        };
        match refused {
            Ok(()) if node.heads(&guarded())? == before => Ok(()),
            Ok(()) => Err(node.lost("the protection of a branch".to_owned())),
            Err(RepoError::Refused(Refusal::Protected)) => {
                self.summary.overstepped += 1;
                Ok(())
            }
            Err(RepoError::NoMove(_) | RepoError::InTheWay { .. }) => Ok(()),
            Err(_) if node.disk.struck() => Ok(()),
            Err(error) => Err(node.fault("what is not allowed", &error)),
        }
    }

    /// The owner merges what was committed apart: until somebody does, the branches differ (REPO-93).
    pub(crate) fn reconcile(&mut self) -> Result<(), Failure> {
        if !self.scenario.guarded {
            return Ok(());
        }
        // What is staged would be in the way.
        let now = self.nodes[0].clock(self.now_ms);
        self.nodes[0].commit(&guarded(), now, &mut self.model)?;
        for peer in 1..self.scenario.whole() {
            self.meet(0, peer, Errand::Fetch)?;
            self.drain()?;
        }
        // A fetch gives nothing: the others have not heard of what is here.
        self.known.clear();
        let heads = self.nodes[0]
            .tracking
            .branch(&guarded(), self.scenario.whole());
        if heads.is_empty() {
            return Ok(());
        }
        let now = self.nodes[0].clock(self.now_ms);
        self.nodes[0].merge((&guarded(), &heads), now, &mut self.model)?;
        let merged = self.nodes[0].heads(&guarded())?;
        self.say(|| format!("node 0: merged {heads:?}, which gave {merged:?}"));
        Ok(())
    }
}

/// Takes the last move of the branch back.
fn undo_last(repo: &Repo) -> Result<(), RepoError> {
    let moves = repo.moves(usize::MAX)?.into_iter();
    let mut of_branch = moves.filter(|(_, step)| step.branch == guarded());
    let last = of_branch.next().map(|(position, _)| position);
    repo.undo(last.ok_or(RepoError::NoMove(0))?).map(drop)
}

impl Node {
    /// The heads of a branch.
    fn heads(&self, branch: &BranchName) -> Result<Heads, Failure> {
        let heads = self.witness.heads(branch);
        heads.map_err(|error| self.fault("heads", &error))
    }

    /// Since the protection was known here, the branch went forward with each move.
    pub(crate) fn went_forward(&self, repo: &Repo) -> Result<(), Failure> {
        let fault = |error: RepoError| self.fault("following a branch", &error);
        let key = format!("protect/{}", guarded());
        // What the log has lost of `meta` is in the state before its first move there.
        let mut steps = Vec::new();
        let mut from = 0;
        loop {
            let page = repo.store().read_log(from, PAGE);
            let page = page.map_err(|error| fault(error.into()))?;
            let Some(end) = page.last() else { break };
            from = end.position + 1;
            for entry in page {
                steps.push(RefMove::decode(&entry.bytes).map_err(fault)?);
            }
        }
        let knows = |heads: &[CommitId]| {
            for head in heads {
                if repo.at(*head)?.entry(key.as_bytes())?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let before = match steps.iter().find(|step| step.branch.is_meta()) {
            Some(step) => step.from.clone(),
            None => self.heads(&BranchName::meta())?.into_iter().collect(),
        };
        let mut is_known = knows(&before).map_err(fault)?;
        for step in &steps {
            is_known |= step.branch.is_meta() && knows(&step.to).map_err(fault)?;
            let is_watched = is_known && step.branch == guarded();
            if is_watched && !is_forward(repo, step).map_err(fault)? {
                return Err(self.lost(format!("what a protected branch had: {step:?}")));
            }
        }
        Ok(())
    }
}

/// Whether a move leads to one head that goes on from all that there were.
fn is_forward(repo: &Repo, step: &RefMove) -> Result<bool, RepoError> {
    let [head] = step.to.as_slice() else {
        return Ok(false);
    };
    let mut seen = BTreeSet::from([*head]);
    let mut open = vec![*head];
    while let Some(id) = open.pop() {
        let commit = repo.commit(id)?;
        let parents = commit.payload().parents.iter().copied();
        open.extend(parents.filter(|parent: &CommitId| seen.insert(*parent)));
    }
    Ok(step.from.iter().all(|before| seen.contains(before)))
}
