//! Replicas of a part of a space: what they hold of each commit (PART-1 to PART-25).

mod change;
mod declared;
mod fetch;
mod signed;
mod slice;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Codec, Expect, REF_VALUE_BYTES_MAX, Store};
use allod_identity::canonical;
use allod_tree::{KeySpans, Tree, TreeError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use crate::accept::Reviewed;
use crate::agents::statement_block;
use crate::entry::VALUE_BLOCK_BYTES_MAX;
use crate::error::{Refusal, Rejected, RepoError};
use crate::files::ALL;
use crate::ids::{BranchName, CommitId, SpaceId};
use crate::joining::join;
use crate::layout;
use crate::repo::{Heads, Repo, lock};
use crate::write::{Entries, TRIES, apply};

pub use self::declared::DeclaredParts;
pub(crate) use self::declared::KnownParts;
pub(crate) use self::signed::{Step, root_in};
pub(crate) use self::slice::{Slice, count_within};

/// The most prefixes of a part: each is looked for in each node of a path.
const PART_PREFIXES_MAX: usize = 64;

/// The longest prefix, in bytes. What a space is parted by is short, and two parts fit a reference.
pub const PREFIX_BYTES_MAX: usize = 256;

/// The part of a space that a replica keeps (PART-1).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    depth: Option<u64>,
    prefixes: Vec<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_max: Option<u64>,
}

/// What is no part of a space (PART-1). Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a part has 1 to {PART_PREFIXES_MAX} prefixes of at most {PREFIX_BYTES_MAX} bytes, a depth of 1 or more, and \
     a maximum of values of {} bytes or more",
    Part::VALUE_MAX_LEAST
)]
pub struct BadPart;

impl Part {
    /// The least maximum of values, in bytes: longer ones are files, and how large a value is that is no file
    /// is seen only where it is here.
    pub const VALUE_MAX_LEAST: u64 = VALUE_BLOCK_BYTES_MAX as u64;

    /// The keys that begin with one of `prefixes`, in commits less than `depth` generations behind the
    /// newest; in all without one.
    ///
    /// # Errors
    /// [`BadPart`].
    pub fn new<P: AsRef<[u8]>>(
        prefixes: impl IntoIterator<Item = P>,
        depth: Option<u64>,
    ) -> Result<Self, BadPart> {
        let mut all: Vec<P> = prefixes.into_iter().collect();
        all.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
        let mut prefixes: Vec<ByteBuf> = Vec::new();
        for prefix in &all {
            let prefix = prefix.as_ref();
            let is_within = |before: &ByteBuf| prefix.starts_with(before);
            if prefix.len() > PREFIX_BYTES_MAX {
                return Err(BadPart);
            }
            if !prefixes.last().is_some_and(is_within) {
                prefixes.push(ByteBuf::from(prefix));
            }
        }
        if !(1..=PART_PREFIXES_MAX).contains(&prefixes.len()) || depth == Some(0) {
            return Err(BadPart);
        }
        Ok(Self {
            depth,
            prefixes,
            value_max: None,
        })
    }

    /// The same without what is beyond the index of files of more than so many bytes (PART-14).
    ///
    /// # Errors
    /// [`BadPart`] for less than [`Self::VALUE_MAX_LEAST`].
    pub fn with_value_max(mut self, bytes: u64) -> Result<Self, BadPart> {
        if bytes < Self::VALUE_MAX_LEAST {
            return Err(BadPart);
        }
        self.value_max = Some(bytes);
        Ok(self)
    }

    /// The prefixes, ascending.
    pub fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.prefixes.iter().map(|prefix| &prefix[..])
    }

    /// How many generations of commits it has; all if it does not say.
    #[must_use]
    pub const fn depth(&self) -> Option<u64> {
        self.depth
    }

    /// The most bytes of a file that it has; any if it does not say.
    #[must_use]
    pub const fn value_max(&self) -> Option<u64> {
        self.value_max
    }

    /// Whether it has all keys.
    #[must_use]
    pub fn has_all_keys(&self) -> bool {
        self.prefixes().eq([b""])
    }

    /// Whether it has `key`.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.prefixes().any(|prefix| key.starts_with(prefix))
    }

    /// The keys that it has.
    #[must_use]
    pub fn keys(&self) -> KeySpans {
        KeySpans::of_prefixes(self.prefixes())
    }

    /// Whether it has the entries of a commit of some generation, where the newest is of another (PART-6).
    #[must_use]
    pub fn reaches(&self, generation: u64, newest: u64) -> bool {
        generation.saturating_add(self.depth.unwrap_or(u64::MAX)) > newest
    }

    /// Whether it has all that `other` has.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // None is more than any.
        let at_least = |own: Option<u64>, others: Option<u64>| {
            own.unwrap_or(u64::MAX) >= others.unwrap_or(u64::MAX)
        };
        let has_as_much =
            at_least(self.depth, other.depth) && at_least(self.value_max, other.value_max);
        has_as_much && other.prefixes().all(|prefix| self.contains(prefix))
    }

    /// What slices are known by that have these keys, and these values.
    pub(crate) fn digest(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for prefix in self.prefixes() {
            hash.update((prefix.len() as u64).to_be_bytes());
            hash.update(prefix);
        }
        if let Some(value_max) = self.value_max {
            // No prefix is as long.
            hash.update(u64::MAX.to_be_bytes());
            hash.update(value_max.to_be_bytes());
        }
        hash.finalize()[..8].to_vec()
    }
}

/// How a replica holds a commit: what its mark says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Holding {
    /// All of it, if all of the space is kept.
    Whole,
    /// Its statement, and its entries with the keys of some parts, as trees.
    Slices(Vec<Sliced>),
}

/// A slice: of which part, and its root.
pub(crate) type Sliced = (ByteBuf, Cid);

/// Slices of a commit: of what is kept, and of what is to be.
const SLICES_MAX: usize = 2;

impl Holding {
    pub(crate) const BARE: Self = Self::Slices(Vec::new());

    pub(crate) fn slice(of: Vec<u8>, root: Cid) -> Self {
        Self::Slices(vec![(ByteBuf::from(of), root)])
    }

    pub(crate) fn decode(mark: &[u8]) -> Result<Self, RepoError> {
        if mark.is_empty() {
            return Ok(Self::Whole);
        }
        let slices = canonical::decode(mark, REF_VALUE_BYTES_MAX);
        slices
            .map(Self::Slices)
            .map_err(|_error| RepoError::Damaged("the mark of a commit does not decode"))
    }

    pub(crate) fn encode(&self) -> Result<Bytes, RepoError> {
        let Self::Slices(slices) = self else {
            return Ok(Bytes::new());
        };
        let mark = canonical::encode(slices);
        mark.map(Bytes::from)
            .map_err(|_error| RepoError::Damaged("a mark does not encode"))
    }

    /// The root of the slice of a part.
    pub(crate) fn root(&self, part: &Part) -> Option<Cid> {
        let Self::Slices(slices) = self else {
            return None;
        };
        let digest = part.digest();
        let slice = slices.iter().find(|(of, _)| *of == digest);
        slice.map(|(_, root)| *root)
    }

    /// With what was held before, as far as it is of another part: of the one `in_force`, if that is held, and
    /// not of one that was begun and given up.
    fn over(self, before: Self, in_force: Option<&[u8]>) -> Self {
        match (self, before) {
            (Self::Slices(mut new), Self::Slices(old)) => {
                let others = old.into_iter().rev();
                let others = others.filter(|(of, _)| new.iter().all(|(known, _)| known != of));
                let mut kept: Vec<Sliced> = others.collect();
                kept.sort_by_key(|(of, _)| in_force != Some(of.as_slice()));
                kept.truncate(SLICES_MAX - 1);
                kept.append(&mut new);
                Self::Slices(kept)
            }
            (holding, _) => holding,
        }
    }
}

/// Commits that are looked at for one that is held, before some that are bare: who has all commits now and then.
const BARE_WALK_MAX: usize = 4096;

/// Parents, the tree that they sign together, the same with what was edited, and its new nodes.
pub(crate) type Within = (Heads, (Tree, Tree), Vec<Block>);

/// What is kept of a space, and what is to be (PART-12); none for all of it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) next: Option<Part>,
    pub(crate) now: Option<Part>,
}

impl Kept {
    /// The most bytes of a file that are kept now.
    pub(crate) fn most(&self) -> u64 {
        let now = self.now.as_ref();
        now.and_then(Part::value_max).unwrap_or(ALL)
    }

    pub(crate) fn stored(store: &dyn Store, id: SpaceId) -> Result<Self, RepoError> {
        let Some(stored) = store.get_ref(&layout::part(id))? else {
            return Ok(Self::default());
        };
        canonical::decode(&stored, KEPT_BYTES_MAX)
            .map_err(|_error| RepoError::Damaged("what part is kept of a space does not decode"))
    }

    pub(crate) fn put(&self, id: SpaceId, batch: &mut Batch) -> Result<(), RepoError> {
        let kept = canonical::encode(self)
            .map_err(|_error| RepoError::Damaged("a part of a space does not encode"))?;
        batch.set_ref(layout::part(id), Expect::Any, Some(kept));
        Ok(())
    }
}

/// Bytes of two parts: those of their prefixes, and of what is around them.
const KEPT_BYTES_MAX: usize = 4 * PART_PREFIXES_MAX * PREFIX_BYTES_MAX;

impl Repo {
    /// The part of the space that is kept here; `None` if all of it is.
    #[must_use]
    pub fn part(&self) -> Option<Arc<Part>> {
        match &self.as_part {
            Some(part) => Some(Arc::clone(part)),
            None => lock(&self.inner.part).clone(),
        }
    }

    /// Whether `part` has all that is kept here.
    #[must_use]
    pub fn is_within(&self, part: &Part) -> bool {
        self.part().is_some_and(|kept| part.covers(&kept))
    }

    /// The part that is kept of a branch; `meta` is whole everywhere.
    pub(crate) fn part_of(&self, branch: &BranchName) -> Option<Arc<Part>> {
        self.part().filter(|_| !branch.is_meta())
    }

    /// Has a batch fail if another part of the space comes to be kept before it is done. Call it before what is
    /// in force is asked for.
    pub(crate) fn rely_on_part(
        &self,
        branch: &BranchName,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        let name = layout::part(self.id());
        // A batch names a reference once (BLOCKS-26).
        if !branch.is_meta() && batch.refs().iter().all(|edit| edit.name != name) {
            let there = self.store().get_ref(&name)?;
            batch.set_ref(name, Expect::read(there.clone()), there);
        }
        Ok(())
    }

    /// What the mark of a commit is to say that was taken with this.
    pub(crate) fn held_with(&self, id: CommitId, holding: Holding) -> Result<Bytes, RepoError> {
        match self.holding(id) {
            Ok(before) => {
                let in_force = lock(&self.inner.part).as_ref().map(|part| part.digest());
                holding.over(before, in_force.as_deref()).encode()
            }
            Err(RepoError::NoCommit(_)) => holding.encode(),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn holding(&self, id: CommitId) -> Result<Holding, RepoError> {
        let mark = self.store().get_ref(&layout::commit(self.id(), id))?;
        Holding::decode(&mark.ok_or(RepoError::NoCommit(id))?)
    }

    /// Whether the entries of a commit are here, all that are kept.
    pub fn is_held(&self, id: CommitId) -> Result<bool, RepoError> {
        match self.state_root(id) {
            Ok(_) => Ok(true),
            Err(RepoError::Bare(_) | RepoError::NoCommit(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The handle on what is kept now, of one on what is going to be.
    pub(crate) fn in_force(&self) -> Self {
        Self {
            as_part: None,
            ..self.clone()
        }
    }

    /// Whether a branch may move to a commit: what is kept of it by the part in force is here. On a handle on
    /// what is going to be kept that is more than what is fetched, and the branch would not be read until then
    /// (PART-12). And the part in force may have become another one since the commit was fetched.
    pub(crate) fn may_lead(&self, id: CommitId) -> Result<bool, RepoError> {
        let now = self.in_force();
        if now.part().is_none() && self.as_part.is_none() {
            return Ok(true);
        }
        match now.part_of(&self.commit(id)?.payload().branch) {
            Some(_) => now.is_held(id),
            None => Ok(self.holding(id)? == Holding::Whole),
        }
    }

    /// The root of what is kept of a commit's tree: of the tree itself where all is kept.
    ///
    /// # Errors
    /// [`RepoError::Bare`] if only its statement is here.
    pub fn state_root(&self, id: CommitId) -> Result<Cid, RepoError> {
        let commit = self.commit(id)?;
        let said = commit.payload();
        let Some(part) = self.part_of(&said.branch) else {
            return Ok(said.tree);
        };
        let root = self.holding(id)?.root(&part);
        root.ok_or(RepoError::Bare(id))
    }

    /// What is kept of a commit's tree.
    pub(crate) fn held_tree(&self, id: CommitId) -> Result<Tree, RepoError> {
        self.tree(self.state_root(id)?)
    }

    /// Those of some commits whose entries are here.
    pub(crate) fn held_of(&self, commits: &Heads) -> Result<Heads, RepoError> {
        let mut held = Heads::new();
        for id in commits {
            if self.is_held(*id)? {
                held.insert(*id);
            }
        }
        Ok(held)
    }

    /// Of some commits those whose entries are here, and in place of the others the newest before them that have theirs here.
    pub fn newest_held(&self, commits: &[CommitId]) -> Result<Vec<CommitId>, RepoError> {
        let (mut seen, mut held) = (Heads::new(), Vec::new());
        let mut open: VecDeque<CommitId> = commits.iter().copied().collect();
        while let Some(id) = open.pop_front() {
            if seen.len() >= BARE_WALK_MAX {
                break;
            }
            if !seen.insert(id) || !self.has_commit(id)? {
                continue;
            }
            if self.is_held(id)? {
                held.push(id);
            } else {
                open.extend(self.commit(id)?.payload().parents.iter().copied());
            }
        }
        Ok(held)
    }

    /// Refuses a key that is not kept here (PART-7).
    pub(crate) fn check_part(&self, branch: &BranchName, key: &[u8]) -> Result<(), RepoError> {
        match self.part_of(branch) {
            Some(part) if !part.contains(key) => Err(RepoError::OutOfPart { key: key.to_vec() }),
            _ => Ok(()),
        }
    }

    /// Keeps the statement of a commit, without its entries (PART-5). No branch moves to it.
    pub fn accept_bare(&self, reviewed: Reviewed) -> Result<CommitId, Rejected> {
        let sweeps = self.store().uses().sweeps();
        let id = reviewed.id();
        let (commit, note) = reviewed.into_parts();
        self.observe(commit.payload().stamp);
        let mark = layout::commit(self.id(), id);
        for _ in 0..TRIES {
            let mut batch = Batch::new();
            batch.put(statement_block(&commit)?);
            batch.set_ref(mark.clone(), Expect::Absent, Some(Holding::BARE.encode()?));
            self.put_note(id, note.as_ref(), &mut batch);
            for parent in &commit.payload().parents {
                self.rely_on(*parent, &mut batch)?;
            }
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                self.keep_commit(Arc::new(commit), sweeps);
                return Ok(id);
            }
            // Somebody else accepted it, with more than this or with as little; or holds more of a parent now.
            if self
                .store()
                .get_ref(&mark)
                .map_err(RepoError::from)?
                .is_some()
            {
                return Ok(id);
            }
        }
        Err(Refusal::Parent.into())
    }

    /// A commit whose statement was accepted, to fetch its entries.
    pub fn accepted(&self, id: CommitId) -> Result<Reviewed, RepoError> {
        Ok(Reviewed::again(self.commit(id)?.as_ref().clone()))
    }

    /// The tree that commits sign together, and the same with `entries` set. Of a part of it some nodes are missing.
    fn signed_tree(
        &self,
        parents: &Heads,
        entries: &Entries,
        out: &mut dyn FnMut(Block),
    ) -> Result<(Tree, Tree), RepoError> {
        let base = self.signed_base(parents, out)?;
        let tree = apply(&base, entries, out)?;
        Ok((base, tree))
    }

    /// The tree that commits sign together; of the nodes that it needs besides, `out` hears.
    pub(crate) fn signed_base(
        &self,
        parents: &Heads,
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, RepoError> {
        let mut base = Tree::empty();
        // States that two of them join to, and that are nowhere yet.
        let mut made: BTreeMap<Cid, Bytes> = BTreeMap::new();
        for (at, parent) in parents.iter().enumerate() {
            let tree = self.tree(self.commit(*parent)?.payload().tree)?;
            if at == 0 {
                base = tree;
                continue;
            }
            let mut new = Vec::new();
            let load = |cid: &Cid| made.get(cid).cloned().map_or_else(|| self.raw(cid), Ok);
            base = join(&base, &tree, &load, &mut |block| new.push(block))?;
            for block in new {
                if block.cid().codec() == Codec::Raw.code() {
                    made.insert(*block.cid(), block.bytes().clone());
                }
                out(block);
            }
        }
        Ok(base)
    }

    /// Finds parents over whose tree `entries` can be set with what is here (PART-8, PART-9): `seen`
    /// together if that can be, and else, unless they `must` be it, one of them or none. Gives them with
    /// the tree that they sign, that tree, and its new nodes.
    pub(crate) fn parents_within(
        &self,
        seen: &Heads,
        must: bool,
        entries: &Entries,
    ) -> Result<Within, RepoError> {
        let mut ways = vec![seen.clone()];
        if !must {
            let mut latest = Vec::new();
            for id in seen.iter().filter(|_| seen.len() > 1) {
                latest.push((self.commit(*id)?.payload().stamp, *id));
            }
            latest.sort_unstable();
            ways.extend(latest.into_iter().rev().map(|(_, id)| Heads::from([id])));
            ways.push(Heads::new());
        }
        for parents in ways {
            let mut blocks = Vec::new();
            match self.signed_tree(&parents, entries, &mut |block| blocks.push(block)) {
                Ok(trees) => return Ok((parents, trees, blocks)),
                Err(RepoError::Tree(TreeError::Missing { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RepoError::Beside)
    }
}
