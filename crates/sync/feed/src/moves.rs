//! What a log entry stands for, shared among consumers that are close to the end (FEED-3 to FEED-7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use allod_repo::{CommitId, Heads, RefMove, Repo, RepoError};

/// Moves at hand at most (FEED, "Limits"): consumers that are close to the end share them.
const MOVES_MAX: usize = 1024;

/// Bytes of commit ids in them at most.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an id takes.
const ID_BYTES: usize = size_of::<CommitId>();

/// How a move is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Course {
    /// As its commits and their changes (FEED-3).
    Forward,
    /// As a move, its commits, and the changes that are its own (FEED-4).
    Elsewhere,
    /// As a move alone (FEED-5).
    Alone,
}

/// A log entry, and what it stands for.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) position: u64,
    pub(crate) said: RefMove,
    pub(crate) course: Course,
    /// The commits that the branch had not, parents first.
    pub(crate) commits: Vec<CommitId>,
}

impl Move {
    /// Reads what an entry stands for. `None` if a commit of it is gone.
    fn read(repo: &Repo, position: u64, said: &RefMove) -> Result<Option<Self>, RepoError> {
        let (from, to) = (heads(&said.from), heads(&said.to));
        let mut course = Course::Forward;
        let mut commits = Vec::new();
        let is_alone = from.is_empty() && said.here || to.is_empty();
        for id in from.iter().chain(&to) {
            if !is_alone && !repo.has_commit(*id)? {
                return Ok(None);
            }
        }
        if is_alone {
            course = Course::Alone;
        } else {
            commits = match repo.missing(&to, &from) {
                Err(RepoError::NoCommit(_)) => return Ok(None),
                found => found?,
            };
            if said.here || !is_forward(repo, (&from, &to), &commits)? {
                course = Course::Elsewhere;
            }
        }
        Ok(Some(Self {
            position,
            said: said.clone(),
            course,
            commits,
        }))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + ID_BYTES * (self.commits.len() + self.said.from.len() + self.said.to.len())
    }
}

fn heads(ids: &[CommitId]) -> Heads {
    ids.iter().copied().collect()
}

/// Whether a branch has after a move all that it had before.
fn is_forward(
    repo: &Repo,
    (from, to): (&Heads, &Heads),
    commits: &[CommitId],
) -> Result<bool, RepoError> {
    // Mostly what it had are the parents of what is new, so nothing need be walked.
    let mut met: BTreeSet<CommitId> = to.clone();
    for id in commits.iter().take(from.len().saturating_add(1)) {
        met.extend(&repo.commit(*id)?.payload().parents);
    }
    if from.is_subset(&met) {
        return Ok(true);
    }
    Ok(repo.missing(from, to)?.is_empty())
}

/// The last moves that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    at_hand: Mutex<AtHand>,
}

#[derive(Debug, Default)]
struct AtHand {
    moves: BTreeMap<u64, Arc<Move>>,
    bytes: usize,
}

impl Moves {
    /// What an entry stands for. `None` if a commit of it is gone.
    pub(crate) fn get(
        &self,
        repo: &Repo,
        position: u64,
        said: &RefMove,
    ) -> Result<Option<Arc<Move>>, RepoError> {
        let known = self.lock().moves.get(&position).cloned();
        if let Some(known) = known.filter(|known| known.said == *said) {
            return Ok(Some(known));
        }
        // Not under the lock: it may take long. Two consumers may do it at once.
        let Some(read) = Move::read(repo, position, said)? else {
            return Ok(None);
        };
        let read = Arc::new(read);
        self.lock().keep(Arc::clone(&read));
        Ok(Some(read))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, AtHand> {
        // What is kept is whole whenever a holder panics.
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtHand {
    fn keep(&mut self, read: Arc<Move>) {
        if read.bytes() > BYTES_MAX {
            return;
        }
        self.bytes += read.bytes();
        if let Some(before) = self.moves.insert(read.position, read) {
            self.bytes -= before.bytes();
        }
        while self.moves.len() > MOVES_MAX || self.bytes > BYTES_MAX {
            // The oldest: who asks for old ones is catching up, and asks for each once.
            let Some((_, oldest)) = self.moves.pop_first() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }
}
