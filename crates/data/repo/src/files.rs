//! Files that entries link to: what of them is kept here, and what is missing (REPO-18, PART-14, PART-15).

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::{
    Batch, Block, Cid, Codec, Expect, FILE_DEPTH_MAX, FileError, FileIndex, Store, file_index,
    file_links,
};
use allod_identity::canonical;
use bytes::Bytes;

use crate::accept::Complete;
use crate::entry::Entry;
use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::part::Part;
use crate::repo::Repo;
use crate::write::Entries;

/// All bytes of a file are kept, whatever its indexes state.
pub(crate) const ALL: u64 = u64::MAX;

/// Bytes that a part has at least, on the average, for an index to be believed how large the file is
/// (PART-14): half of the least that the IPFS tools cut, so that whoever states less than there is makes
/// nobody fetch many times the maximum.
const PART_BYTES_LEAST: u64 = 64 * 1024;

/// References looked at at a time.
const PAGE: usize = 256;

/// What files lack here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Missing {
    /// Blocks that are not in the store.
    pub blocks: Vec<Cid>,
    /// Indexes of files that are, parents before children.
    pub indexes: Vec<Cid>,
}

/// What is kept of the parts of an index (PART-14).
pub(crate) enum Parts {
    /// All of them, with how many bytes of each.
    Kept(Vec<(Cid, u64)>),
    /// None, unless so many bytes of the file were kept.
    Needs(u64),
}

impl Parts {
    /// The parts of an index where at most so many bytes of the file are kept.
    pub(crate) fn of(index: &Block, most: u64) -> Result<Self, FileError> {
        if most == ALL {
            let parts = file_links(index)?.into_iter();
            return Ok(Self::Kept(parts.map(|part| (part, ALL)).collect()));
        }
        let FileIndex { size, parts } = file_index(index)?;
        let are_few = parts.len() as u64 <= size / PART_BYTES_LEAST + 1;
        let needs = if are_few { size } else { ALL };
        Ok(if needs <= most {
            Self::Kept(parts)
        } else {
            Self::Needs(needs)
        })
    }
}

impl Repo {
    /// What is linked to, as deep as files are, and not in the store: at most `limit` names.
    pub fn missing_blocks(&self, links: &[Cid], limit: usize) -> Result<Missing, Rejected> {
        missing_upto(self.store().as_ref(), links, ALL, limit)
    }

    /// Whether all of a file is here.
    pub fn has_file(&self, file: Cid) -> Result<bool, RepoError> {
        Ok(missing_part(self.store().as_ref(), file)?.is_none())
    }

    /// What of a commit's files is to be kept here and is not in the store: at most `limit` names.
    pub fn missing_of(&self, complete: &Complete, limit: usize) -> Result<Missing, Rejected> {
        let most = self.most_of(complete.branch());
        missing_upto(self.store().as_ref(), complete.links(), most, limit)
    }

    /// The most bytes of a file that are kept of a branch.
    pub(crate) fn most_of(&self, branch: &BranchName) -> u64 {
        let part = self.part_of(branch);
        part.and_then(|part| part.value_max()).unwrap_or(ALL)
    }

    /// Sees to it that files which a commit of this replica links to stay here though they are larger than what
    /// is kept (PART-15); they must be here.
    pub(crate) fn keep_large(
        &self,
        part: &Part,
        id: CommitId,
        entries: &Entries,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        let Some(most) = part.value_max() else {
            return Ok(());
        };
        for (key, entry) in entries {
            let entry = Entry::decode(entry).map_err(|_error| DAMAGED)?;
            let link = entry.state.link();
            let Some(file) = link.filter(|cid| cid.codec() == Codec::DagPb.code()) else {
                continue;
            };
            if self.keeps_all(*file, most)? {
                continue;
            }
            self.check_file(key, *file)?;
            let link = canonical::encode(&[*file]).map_err(|_error| DAMAGED)?;
            batch.set_ref(
                layout::large_file(self.id(), id, file),
                Expect::Any,
                Some(link),
            );
        }
        Ok(())
    }

    /// Whether all of a file is kept where at most so many bytes of one are.
    fn keeps_all(&self, file: Cid, most: u64) -> Result<bool, RepoError> {
        let (mut open, mut seen) = (vec![(file, most)], BTreeSet::new());
        while let Some((cid, most)) = open.pop() {
            if cid.codec() == Codec::Raw.code() || !seen.insert((cid, most)) {
                continue;
            }
            let Some(index) = self.store().get(&cid)? else {
                return Ok(false);
            };
            match Parts::of(&index, most).map_err(|_error| DAMAGED)? {
                Parts::Kept(parts) => open.extend(parts),
                Parts::Needs(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Refuses a file that is to be linked to anew and is not here (PART-15).
    pub(crate) fn check_file(&self, key: &[u8], link: Cid) -> Result<(), RepoError> {
        if link.codec() != Codec::DagPb.code() {
            return Ok(());
        }
        self.check_link(link).map_err(|error| match error {
            RepoError::Missing(_) => RepoError::NotKept { key: key.to_vec() },
            error => error,
        })
    }

    /// Gives up files that are larger than what is kept, and were kept because commits of this replica link to
    /// them, once those commits are elsewhere, or not here any more; returns how many. What nothing else keeps is
    /// garbage then.
    pub fn release_large<E: From<RepoError>>(
        &self,
        is_elsewhere: &mut dyn FnMut(CommitId) -> Result<bool, E>,
    ) -> Result<u64, E> {
        let prefix = layout::large(self.id());
        let (mut released, mut after) = (0, None);
        loop {
            let page = self.store().scan_refs(&prefix, after.as_deref(), PAGE);
            let page = page.map_err(RepoError::from)?;
            let Some((last, _)) = page.last() else {
                return Ok(released);
            };
            after = Some(last.clone());
            let mut batch = Batch::new();
            for (name, _) in page {
                let commit = layout::commit_of_large(self.id(), &name).ok_or(DAMAGED)?;
                if !self.has_commit(commit)? || is_elsewhere(commit)? {
                    batch.set_ref(name, Expect::Any, None::<Bytes>);
                    released += 1;
                }
            }
            let _outcome = self.store().commit(batch).map_err(RepoError::from)?;
        }
    }
}

/// What is missing where at most so many bytes of a file are kept.
pub(crate) fn missing_upto(
    store: &dyn Store,
    links: &[Cid],
    most: u64,
    limit: usize,
) -> Result<Missing, Rejected> {
    let mut missing = Missing::default();
    let mut open: Vec<(Cid, usize, u64)> = links.iter().map(|cid| (*cid, 0, most)).collect();
    // How deep each was met, and how much has to be kept for its parts to be looked at, if they were not.
    let mut seen: BTreeMap<Cid, (usize, u64)> = BTreeMap::new();
    while let Some((cid, depth, most)) = open.pop() {
        if missing.blocks.len() >= limit {
            break;
        }
        // What is met again deeper down may reach too deep from there.
        let before = seen.get(&cid).copied();
        let (deepest, needs) = before.unwrap_or((depth, 0));
        if before.is_some() && (most < needs || needs == 0 && deepest >= depth) {
            continue;
        }
        let deepest = deepest.max(depth);
        seen.insert(cid, (deepest, 0));
        if cid.codec() == Codec::Raw.code() {
            if before.is_none() && !store.has(&cid)? {
                missing.blocks.push(cid);
            }
            continue;
        }
        match store.get(&cid)? {
            None if before.is_none() => missing.blocks.push(cid),
            None => {}
            Some(_) if depth >= FILE_DEPTH_MAX => {
                return Err(Refusal::Malformed("a file is nested too deeply").into());
            }
            Some(block) => {
                if before.is_none() {
                    missing.indexes.push(cid);
                }
                let parts = Parts::of(&block, most)
                    .map_err(|_error| Refusal::Malformed("a file's index does not decode"))?;
                match parts {
                    Parts::Kept(parts) => {
                        let parts = parts.into_iter().rev();
                        open.extend(parts.map(|(part, most)| (part, depth + 1, most)));
                    }
                    Parts::Needs(needs) => {
                        seen.insert(cid, (deepest, needs));
                    }
                }
            }
        }
    }
    Ok(missing)
}

/// A block of a file that is not here, if one is.
pub(crate) fn missing_part(store: &dyn Store, file: Cid) -> Result<Option<Cid>, RepoError> {
    match missing_upto(store, &[file], ALL, 1) {
        Ok(missing) => Ok(missing.blocks.first().copied()),
        Err(Rejected::Refused(refusal)) => Err(refusal.into()),
        Err(Rejected::Fault(fault)) => Err(fault),
    }
}

const DAMAGED: RepoError = RepoError::Damaged("a file that an entry links to");

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use allod_blocks::{FileProfile, MemoryStore, add_file};

    use super::*;

    fn index(parts: usize, chunk_bytes: usize) -> Block {
        let store = MemoryStore::new();
        let profile = FileProfile {
            chunk_bytes,
            links: 1024,
        };
        let content = vec![7; parts * chunk_bytes];
        let info = add_file(&store, profile, &mut &content[..], &mut |_| {}).unwrap();
        store.get(&info.cid).unwrap().unwrap()
    }

    fn needs(index: &Block, most: u64) -> Option<u64> {
        match Parts::of(index, most).unwrap() {
            Parts::Kept(_) => None,
            Parts::Needs(needs) => Some(needs),
        }
    }

    #[test]
    fn an_index_is_believed_to_its_limits() {
        let least = PART_BYTES_LEAST as usize;
        let file = index(3, least);
        assert_eq!(needs(&file, 3 * PART_BYTES_LEAST), None);
        let one_less = 3 * PART_BYTES_LEAST - 1;
        assert_eq!(needs(&file, one_less), Some(3 * PART_BYTES_LEAST));
        // Two parts fit what they state, three do not; whoever keeps all keeps them all the same.
        let (two, three) = (index(2, least / 2 + 1), index(3, least / 2 + 1));
        assert_eq!(needs(&two, ALL - 1), None);
        assert_eq!(needs(&three, ALL - 1), Some(ALL));
        assert_eq!(needs(&three, ALL), None);
    }
}
