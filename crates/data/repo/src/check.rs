//! Checking everything that a space can reach: commits, trees, entries, files.

use std::collections::BTreeSet;

use allod_blocks::{BLOCK_BYTES_MAX, Cid, StoreErrorKind};
use allod_tree::Walk;

use crate::accept::{check_entry, parents};
use crate::agents::speaks;
use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::CommitId;
use crate::repo::{Heads, Repo};

/// Problems listed in a report; more are only counted.
const PROBLEMS_MAX: usize = 1000;

/// Node requests handled at a time.
const STEP: usize = 256;
const _: () = assert!(
    BLOCK_BYTES_MAX <= 2 * 1024 * 1024,
    "a step of nodes stays in memory"
);

/// What a check found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Commits checked: signature, device, parents, generation, stamp.
    pub commits: u64,
    /// Tree nodes checked: hash, encoding, order, boundaries.
    pub nodes: u64,
    /// Changed entries checked over all commits.
    pub entries: u64,
    /// Files and blocks that entries link to.
    pub files: u64,
    /// Live entries of all branches' states.
    pub live: u64,
    /// What is wrong, in words; at most 1,000.
    pub problems: Vec<String>,
    /// How many problems there are.
    pub problem_count: u64,
}

impl Report {
    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }
}

impl Repo {
    /// Verifies every commit, node, entry and file that any branch reaches, oldest commits first.
    /// `progress` hears of each commit: how many are done, how many there are.
    ///
    /// Damage is reported, not an error; an error means that the check itself could not go on.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, RepoError> {
        let mut report = Report::default();
        let mut heads = Heads::new();
        for (_, branch) in self.branches()? {
            heads.extend(branch);
        }
        let all = match self.missing(&heads, &BTreeSet::new()) {
            Ok(all) => all,
            Err(error) => {
                report.problem(format!("the history cannot be read: {error}"));
                return Ok(report);
            }
        };
        for (done, id) in all.iter().enumerate() {
            progress(done as u64, all.len() as u64);
            match self.check_commit(*id, &mut report) {
                Ok(()) => report.commits += 1,
                Err(Rejected::Refused(refusal)) => {
                    report.problem(format!("commit {id}: {refusal} ({})", refusal.code()));
                }
                Err(Rejected::Fault(RepoError::Store(error)))
                    if error.kind() != StoreErrorKind::Corrupt =>
                {
                    return Err(error.into());
                }
                Err(Rejected::Fault(fault)) => report.problem(format!("commit {id}: {fault}")),
            }
        }
        progress(all.len() as u64, all.len() as u64);
        if report.problem_count == 0 {
            for (branch, _) in self.branches()? {
                for item in self.state(&branch)?.range(&crate::view::Span::all(), false) {
                    item?;
                    report.live += 1;
                }
            }
        }
        Ok(report)
    }

    fn check_commit(&self, id: CommitId, report: &mut Report) -> Result<(), Rejected> {
        let commit = self.commit(id)?;
        let said = commit.payload();
        let log = self.agents().key_log(&said.author)?;
        if !speaks(&log, commit.signer()) {
            return Err(Refusal::Device.into());
        }
        self.review_parents(said)?;
        self.may_write(&said.branch, &said.author)?;
        let mut known = Vec::new();
        for parent in &said.parents {
            known.push(self.tree(self.commit(*parent)?.payload().tree)?);
        }
        report.nodes += self.walk_stored(said.tree, known)?;
        let (base, _) = self.joined(&parents(said))?;
        let mut links: Vec<Cid> = Vec::new();
        for change in base.diff(&self.tree(said.tree)?) {
            let change = change?;
            let entry = change.right.ok_or(Refusal::Tree)?;
            report.entries += 1;
            links.extend(check_entry(
                said,
                &change.key,
                change.left.as_ref(),
                &entry,
            )?);
        }
        report.files += links.len() as u64;
        for cid in self.missing_blocks(&links, STEP)?.blocks {
            report.problem(format!("commit {id}: block {cid} is missing"));
        }
        Ok(())
    }

    /// Checks the nodes of a stored tree that the `known` trees have not; returns how many.
    fn walk_stored(&self, root: Cid, known: Vec<allod_tree::Tree>) -> Result<u64, Rejected> {
        let mut walk = Walk::new(root, known).map_err(|_error| Refusal::Tree)?;
        let mut nodes = 0;
        loop {
            let wanted = walk.want(STEP);
            if wanted.is_empty() {
                return Ok(nodes);
            }
            for cid in wanted {
                let block = self.store().get(&cid)?.ok_or(RepoError::Missing(cid))?;
                walk.feed(block).map_err(|_error| Refusal::Tree)?;
                nodes += 1;
            }
        }
    }
}
