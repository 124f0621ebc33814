//! Telling the entries of a branch as deltas, from where it was told before (DELTA-50 to DELTA-54).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_repo::{BranchName, CommitId, Entry, Heads, Repo, RepoError, SpaceId, View, left_wins};

use crate::bring::BROUGHT;
use crate::delta::{Delta, DeltaError};
use crate::space::SpaceDeltas;
use crate::store::{Appended, StoreFault};
use crate::told::{CHANGES_MAX, delta_of_commit, delta_of_entry, negation_of};

/// Deltas that are appended in one commit.
const BATCH: usize = 1000;

/// Bytes of deltas after which they are appended though there are fewer: as much is held twice, as it is and as it is
/// written.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Beginnings of keys that are remembered: a few hundred bytes each.
const FOLDERS_MAX: usize = 10_000;

/// What was told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Told {
    /// Commits that were gone through.
    pub commits: u64,
    /// Deltas that were new here.
    pub deltas: u64,
    /// Entries that are not told: their keys are too long, or they join.
    pub left_out: u64,
}

/// Tells the commits of a branch that were not told yet, and keeps that they were in the same commits as the deltas
/// (DELTA-53). Keys under a prefix that deltas are brought to are passed over (DELTA-58).
///
/// Telling again, also elsewhere, makes the same deltas.
pub fn tell(deltas: &SpaceDeltas, branch: &BranchName, now_ms: u64) -> Result<Told, StoreFault> {
    tell_while(deltas, branch, now_ms, &|| true)
}

/// [`tell`], which ends before the next commit once `go_on` says so, having kept what it told until then.
pub fn tell_while(
    deltas: &SpaceDeltas,
    branch: &BranchName,
    now_ms: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Told, StoreFault> {
    let repo = &deltas.repo;
    let heads = repo.heads(branch)?;
    let mut telling = Telling {
        place: (repo.id(), branch),
        now: repo.state(branch)?,
        folders: BTreeMap::new(),
        deltas,
        position: [b"deltas/told/", branch.as_str().as_bytes()].concat(),
        frontier: Heads::new(),
        waiting: Vec::new(),
        bytes: 0,
        told: Told::default(),
        now_ms,
    };
    telling.frontier = telling.read()?;
    if telling.frontier == heads {
        return Ok(telling.told);
    }
    for id in repo.missing(&heads, &telling.frontier)? {
        if !go_on() {
            telling.flush(true)?;
            return Ok(telling.told);
        }
        telling.commit(id)?;
    }
    if heads.len() > 1 {
        // What the join of the heads puts aside no commit says.
        telling.put_aside(&heads)?;
    }
    telling.frontier = heads;
    telling.flush(true)?;
    Ok(telling.told)
}

struct Telling<'a> {
    place: (SpaceId, &'a BranchName),
    /// What the branch has.
    now: View,
    /// Beginnings of keys, and whether deltas are brought there.
    folders: BTreeMap<Vec<u8>, bool>,
    deltas: &'a SpaceDeltas,
    /// The key that has what was told.
    position: Vec<u8>,
    /// Heads of what was told.
    frontier: Heads,
    waiting: Vec<Arc<Delta>>,
    /// About how many bytes those have.
    bytes: usize,
    told: Told,
    now_ms: u64,
}

impl Telling<'_> {
    fn read(&self) -> Result<Heads, StoreFault> {
        let content = self.deltas.view()?.get(&self.position)?;
        Ok(read_heads(content))
    }

    fn repo(&self) -> &Repo {
        &self.deltas.repo
    }

    fn commit(&mut self, id: CommitId) -> Result<(), StoreFault> {
        let commit = self.repo().commit(id)?;
        let parents = commit.payload().parents.clone();
        let views = parents.iter().map(|parent| self.repo().at(*parent));
        let views: Vec<View> = views.collect::<Result<_, RepoError>>()?;
        let now = self.repo().at(id)?;
        let (mut changes, mut has_told) = (Vec::new(), false);
        for item in self.repo().changes(id)? {
            let (key, entry) = item?;
            // A tombstone that was pruned changes nothing that is said.
            let Some(entry) = entry else { continue };
            let Some(greater) = self.entry(&now, &key, &entry)? else {
                self.told.left_out += u64::from(!self.is_brought(&key)?);
                continue;
            };
            // Of deltas that are appended in between the ids are left.
            if changes.len() < CHANGES_MAX {
                changes.push(greater.id().to_owned());
            }
            if self.is_brought(&key)? {
                continue;
            }
            has_told = true;
            self.wait(Arc::clone(&greater));
            for view in &views {
                self.negate(view, &key, (&entry, &greater))?;
            }
            self.flush_some()?;
        }
        if parents.len() > 1 {
            self.put_aside(&parents.iter().copied().collect())?;
        }
        if has_told {
            let device = commit.signer().to_string();
            let told = delta_of_commit(id, commit.payload(), &device, &changes);
            // One whose message and parents fill a delta goes without.
            if let Ok(told) = told {
                self.wait(Arc::new(told));
            }
        }
        self.told.commits += 1;
        for parent in &parents {
            self.frontier.remove(parent);
        }
        self.frontier.insert(id);
        if self.waiting.len() >= BATCH / 2 || self.bytes >= BATCH_BYTES / 2 {
            self.flush(true)?;
        }
        Ok(())
    }

    /// Negates what commits say that their join does not.
    fn put_aside(&mut self, commits: &Heads) -> Result<(), StoreFault> {
        let together = self.repo().together(commits)?;
        for commit in commits {
            let alone = self.repo().at(*commit)?;
            for item in alone.changes_to(&together) {
                let (key, entry) = item?;
                let Some(entry) = entry else { continue };
                if self.is_brought(&key)? {
                    continue;
                }
                if let Some(greater) = self.entry(&together, &key, &entry)? {
                    self.negate(&alone, &key, (&entry, &greater))?;
                }
                self.flush_some()?;
            }
        }
        Ok(())
    }

    /// Whether a key lies where deltas are brought to: then what it has is said already (DELTA-58).
    fn is_brought(&mut self, key: &[u8]) -> Result<bool, StoreFault> {
        let ends = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in ends {
            let folder = key.get(..=at).unwrap_or_default();
            let known = self.folders.get(folder).copied();
            let is_brought = match known {
                Some(known) => known,
                None => {
                    let position = [folder, BROUGHT].concat();
                    let found = self.now.entry(&position)?.is_some();
                    if self.folders.len() >= FOLDERS_MAX {
                        self.folders.clear();
                    }
                    self.folders.insert(folder.to_vec(), found);
                    found
                }
            };
            if is_brought {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn entry(
        &self,
        view: &View,
        key: &[u8],
        entry: &Entry,
    ) -> Result<Option<Arc<Delta>>, StoreFault> {
        let content = view.content(entry)?;
        let (space, branch) = self.place;
        let told = delta_of_entry((space, branch, key), entry, content.as_ref());
        // What makes no delta is not told; a key and a value alone decide that.
        Ok(told.unwrap_or_default().map(Arc::new))
    }

    /// Negates what a view has at a key, if that is less than an entry (DELTA-51).
    fn negate(
        &mut self,
        view: &View,
        key: &[u8],
        (entry, greater): (&Entry, &Arc<Delta>),
    ) -> Result<(), StoreFault> {
        let Some(before) = view.entry(key)? else {
            return Ok(());
        };
        if left_wins(&before.encode(), &entry.encode()) {
            return Ok(());
        }
        if let Some(lesser) = self.entry(view, key, &before)? {
            let negation = negation_of(self.place.0, &lesser, greater);
            let negation = negation.map_err(|_: DeltaError| RepoError::Damaged("a name"))?;
            self.wait(Arc::new(negation));
        }
        Ok(())
    }

    fn wait(&mut self, delta: Arc<Delta>) {
        self.bytes += delta.size();
        self.waiting.push(delta);
    }

    fn flush_some(&mut self) -> Result<(), StoreFault> {
        if self.waiting.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush(false)?;
        }
        Ok(())
    }

    /// Appends what waits; with how far it was told once all of a commit is there.
    fn flush(&mut self, is_whole: bool) -> Result<(), StoreFault> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let beside = is_whole.then(|| (self.position.clone(), write_heads(&self.frontier)));
        let said = self.deltas.append_with(&waiting, beside, self.now_ms)?;
        let is_new = |said: &&Appended| matches!(said, Appended::New);
        self.told.deltas += said.iter().filter(is_new).count() as u64;
        Ok(())
    }
}

/// Commits as a position has them: their ids, with blanks between them.
pub(crate) fn write_heads(heads: &BTreeSet<CommitId>) -> Vec<u8> {
    let ids: Vec<String> = heads.iter().map(ToString::to_string).collect();
    ids.join(" ").into_bytes()
}

/// What [`write_heads`] wrote; nothing of anything else, and then all is gone through again.
pub(crate) fn read_heads(content: Option<allod_repo::Content>) -> Heads {
    let Some(allod_repo::Content::Bytes(bytes)) = content else {
        return Heads::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let ids = text.split(' ').map(str::parse::<CommitId>);
    ids.collect::<Result<_, _>>().unwrap_or_default()
}
