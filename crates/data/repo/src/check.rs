//! Checking everything that a space can reach: commits, trees, entries, files.

use std::collections::BTreeSet;
use std::fmt;

use allod_blocks::{BLOCK_BYTES_MAX, Cid, StoreErrorKind};
use allod_tree::{TreeError, Walk};

use crate::accept::{check_entry, judge, parents};
use crate::agents::spoke;
use crate::error::{Refusal, Rejected, RepoError};
use crate::files::missing_upto;
use crate::ids::CommitId;
use crate::part::count_within;
use crate::repo::Repo;
use crate::statements::Commit;

/// Problems listed in a report; more are only counted.
const PROBLEMS_MAX: usize = 1000;

/// Node requests handled at a time.
const STEP: usize = 256;
const _: () = assert!(
    BLOCK_BYTES_MAX <= 2 * 1024 * 1024,
    "a step of nodes stays in memory"
);

/// What is wrong, by what can be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A block that is referred to is not here.
    Missing,
    /// What is stored is not the block that it is stored as.
    Corrupt,
    /// A block, whole as it is, does not say what it leads to.
    BadLink,
    /// A statement does not verify, or its signer does not speak for its author.
    BadSignature,
    /// A tree breaks a rule of `21-tree.md`.
    WrongBoundary,
    /// A commit breaks another rule of `22-repo.md`.
    BadCommit,
    /// A reference names what is not here, or cannot be read.
    DanglingRef,
    /// The log lacks an entry, or has one that cannot be read.
    LogGap,
}

impl ProblemKind {
    /// Its name in lists for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
            Self::BadLink => "bad-link",
            Self::BadSignature => "bad-signature",
            Self::WrongBoundary => "wrong-boundary",
            Self::BadCommit => "bad-commit",
            Self::DanglingRef => "dangling-ref",
            Self::LogGap => "log-gap",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Of what kind it is.
    pub kind: ProblemKind,
    /// The block that it is about, if it is about one.
    pub block: Option<Cid>,
    /// What is wrong, in words.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

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
    /// What is wrong; at most 1,000 are listed.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problem_count: u64,
}

impl Report {
    pub(crate) fn problem(&mut self, kind: ProblemKind, block: Option<Cid>, text: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { kind, block, text });
        }
    }
}

/// The kind of problem that a fault of the stored space is, and its block; `None` if the fault is
/// that it could not be read at all.
fn kind_of(fault: &RepoError) -> Option<(ProblemKind, Option<Cid>)> {
    Some(match fault {
        RepoError::Missing(cid) | RepoError::Tree(TreeError::Missing { cid }) => {
            (ProblemKind::Missing, Some(*cid))
        }
        RepoError::Tree(TreeError::Node { cid, .. } | TreeError::Link { cid, .. }) => {
            (ProblemKind::WrongBoundary, Some(*cid))
        }
        RepoError::Store(error) | RepoError::Tree(TreeError::Store(error)) => {
            if error.kind() != StoreErrorKind::Corrupt {
                return None;
            }
            (ProblemKind::Corrupt, None)
        }
        RepoError::NoCommit(id) => (ProblemKind::DanglingRef, Some(*id.cid())),
        _ => (ProblemKind::BadCommit, None),
    })
}

const fn kind_of_refusal(refusal: Refusal) -> ProblemKind {
    match refusal {
        Refusal::Signature | Refusal::Device => ProblemKind::BadSignature,
        Refusal::Tree | Refusal::Root => ProblemKind::WrongBoundary,
        Refusal::Missing => ProblemKind::Missing,
        _ => ProblemKind::BadCommit,
    }
}

impl Repo {
    /// Verifies every commit, node, entry and file that any branch or tracking branch reaches, oldest commits first.
    /// `progress` hears of each commit: how many are done, how many there are.
    ///
    /// Damage is reported, not an error; an error means that the check itself could not go on.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, RepoError> {
        let mut report = Report::default();
        self.forget();
        let all = self.all_heads();
        let all = all.and_then(|heads| self.missing(&heads, &BTreeSet::new()));
        let all = match all {
            Ok(all) => all,
            Err(error) => {
                let Some((kind, block)) = kind_of(&error) else {
                    return Err(error);
                };
                let text = format!("the history cannot be read: {error}");
                report.problem(kind, block, text);
                return Ok(report);
            }
        };
        for (done, id) in all.iter().enumerate() {
            progress(done as u64, all.len() as u64);
            match self.check_commit(*id, &mut report) {
                Ok(()) => report.commits += 1,
                Err(Rejected::Refused(refusal)) => {
                    let text = format!("commit {id}: {refusal} ({})", refusal.code());
                    report.problem(kind_of_refusal(refusal), Some(*id.cid()), text);
                }
                Err(Rejected::Fault(fault)) => match kind_of(&fault) {
                    Some((kind, block)) => {
                        report.problem(kind, block, format!("commit {id}: {fault}"));
                    }
                    None => return Err(fault),
                },
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
        if !spoke(&log, commit.signer()) {
            return Err(Refusal::Device.into());
        }
        self.review_parents(said)?;
        self.review_rights((id, said), None)?;
        let root = match self.state_root(id) {
            // Its statement is all that is to be checked (PART-5).
            Err(RepoError::Bare(_)) => return Ok(()),
            root => root?,
        };
        if root != said.tree {
            self.check_slice(said, root)?;
        }
        let parents = self.held_of(&parents(said))?;
        let mut known = Vec::new();
        for parent in &parents {
            known.push(self.held_tree(*parent)?);
        }
        report.nodes += self.walk_stored(root, known)?;
        let (base, _) = self.joined(&parents)?;
        let kinds = self.kind_rules()?;
        let mut links: Vec<Cid> = Vec::new();
        let mut states = Vec::new();
        for change in base.diff(&self.tree(root)?) {
            let change = change?;
            let entry = change.right.ok_or(Refusal::Tree)?;
            report.entries += 1;
            let before = change.left.as_ref();
            let found = check_entry((said, &kinds), &change.key, before, &entry)?;
            links.extend(found.link);
            states.extend(found.judged);
        }
        report.files += links.len() as u64;
        let most = self.most_of(&said.branch);
        for cid in missing_upto(self.store().as_ref(), &links, most, STEP)?.blocks {
            let text = format!("commit {id}: block {cid} is missing");
            report.problem(ProblemKind::Missing, Some(cid), text);
        }
        for (before, entry) in states {
            match judge(said, before.as_ref(), &entry, &|cid| self.raw(cid)) {
                // It is told above.
                Err(Rejected::Fault(RepoError::Missing(_))) => {}
                judged => judged?,
            }
        }
        Ok(())
    }

    /// A slice has as many entries as the signed tree says (PART-4).
    fn check_slice(&self, said: &Commit, root: Cid) -> Result<(), Rejected> {
        let Some(part) = self.part_of(&said.branch) else {
            return Ok(());
        };
        if said.parts.is_some() && !self.store().has(&said.tree)? {
            // It came in parts, and the tree never did (PART-22).
            return Ok(());
        }
        let signed = self.tree(said.tree)?;
        if count_within(&signed, &part.keys())? != self.tree(root)?.len() {
            return Err(Refusal::Tree.into());
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
