//! One state of a branch or commit, to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use allod_blocks::{Block, Cid, Codec, Store};
use allod_tree::Tree;
use bytes::Bytes;

use crate::entry::{
    Entry, EntryError, KEY_BYTES_MAX, State, StateRef, VALUE_BLOCK_BYTES_MAX,
    VALUE_INLINE_BYTES_MAX,
};
use crate::error::RepoError;
use crate::joining::{Load, joinable_of, shown_text};
use crate::part::Part;
use crate::repo::{Heads, Repo};
use crate::timing::Verb;
use crate::work::Staged;

/// What a key holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// The value.
    Bytes(Bytes),
    /// The value is a UnixFS file with this root; it is read as a stream.
    File(Cid),
}

/// An unchanging state: the tree of a branch's heads or of a commit, and staged edits over it if
/// it is a working view.
#[derive(Clone, Debug)]
pub struct View {
    repo: Repo,
    heads: Heads,
    tree: Tree,
    staged: Option<Arc<Staged>>,
    /// What is kept of it, if not all is.
    part: Option<Arc<Part>>,
}

/// A range of keys; `None` is open on that side. The start is part of it, the end is not.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// The first key.
    pub from: Option<Vec<u8>>,
    /// The key after the last.
    pub to: Option<Vec<u8>>,
}

impl Span {
    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// All keys that start with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            from: Some(prefix.to_vec()),
            to: allod_tree::prefix_end(prefix),
        }
    }

    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.from
                .as_deref()
                .map_or(Bound::Unbounded, Bound::Included),
            self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
        )
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!((&self.from, &self.to), (Some(from), Some(to)) if from >= to)
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_deref().is_none_or(|from| from <= key)
            && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// Entries that [`View::sample`] reads for each that is wanted: enough unless fifteen of sixteen are
/// deleted.
const SAMPLE_READS: u64 = 16;

/// A key and its entry.
pub type Item = (Bytes, Entry);

type Items = Box<dyn Iterator<Item = Result<Item, RepoError>> + Send>;

impl View {
    pub(crate) const fn new(repo: Repo, heads: Heads, tree: Tree) -> Self {
        Self {
            repo,
            heads,
            tree,
            staged: None,
            part: None,
        }
    }

    pub(crate) fn with_part(mut self, part: Option<Arc<Part>>) -> Self {
        self.part = part;
        self
    }

    pub(crate) fn with_staged(mut self, staged: Arc<Staged>) -> Self {
        self.staged = Some(staged);
        self
    }

    /// The commits whose state this is.
    #[must_use]
    pub const fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Whether anything is staged over the tree.
    #[must_use]
    pub fn has_staged(&self) -> bool {
        let staged = self.staged.as_ref();
        staged.is_some_and(|staged| !staged.is_empty())
    }

    /// Whether two views have the same entries, staged ones included.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let (these, those) = (self.staged.as_deref(), other.staged.as_deref());
        let nothing = Staged::default();
        self.tree.root() == other.tree.root()
            && these.unwrap_or(&nothing) == those.unwrap_or(&nothing)
    }

    /// The tree below the staged edits.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The keys of a range that have staged edits.
    pub(crate) fn staged_keys(&self, span: &Span) -> BTreeSet<Bytes> {
        let staged = self.staged.iter();
        let items = staged.flat_map(|staged| staged.within(span, false));
        items.map(|(key, _)| key).collect()
    }

    pub(crate) const fn repo(&self) -> &Repo {
        &self.repo
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.repo.store()
    }

    /// The entry of a key, tombstones included.
    ///
    /// # Errors
    /// [`RepoError::OutOfPart`] if the replica keeps a part of the space that does not have it.
    pub fn entry(&self, key: &[u8]) -> Result<Option<Entry>, RepoError> {
        if self.part.as_ref().is_some_and(|part| !part.contains(key)) {
            return Err(RepoError::OutOfPart { key: key.to_vec() });
        }
        if let Some(entry) = self.staged.as_ref().and_then(|staged| staged.get(key)) {
            return Ok(Some(entry.clone()));
        }
        self.tree.get(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// The value of a key; `None` if it has none.
    pub fn get(&self, key: &[u8]) -> Result<Option<Content>, RepoError> {
        let _timing = self.repo.timing(Verb::Read);
        match self.entry(key)? {
            Some(entry) => self.content(&entry),
            None => Ok(None),
        }
    }

    /// What an entry holds.
    pub fn content(&self, entry: &Entry) -> Result<Option<Content>, RepoError> {
        self.repo.content(entry)
    }

    /// How many entries a range of the tree has, tombstones included and staged edits not, in
    /// O(depth). How many live ones there are takes a walk: `range(..).count()`.
    pub fn count(&self, span: &Span) -> Result<u64, RepoError> {
        let (first, end) = self.ranks(span)?;
        Ok(end - first)
    }

    /// The entry of the tree before which `index` entries of a range stand, of those that
    /// [`count`](Self::count) counts, in O(depth).
    pub fn nth(&self, span: &Span, index: u64) -> Result<Option<Item>, RepoError> {
        let (first, end) = self.ranks(span)?;
        if index >= end - first {
            return Ok(None);
        }
        let found = self.tree.nth(first + index)?;
        found
            .map(|(key, entry)| Ok((key, decode(&entry)?)))
            .transpose()
    }

    /// At most `count` live entries of a range of the tree, each as likely as another, in key order;
    /// `seed` decides which. Staged edits are not among them.
    ///
    /// Costs O(depth) for each. Where nearly all of a range is deleted it finds fewer than there
    /// are: it reads 16 entries for each that is wanted.
    pub fn sample(&self, span: &Span, count: usize, seed: u64) -> Result<Vec<Item>, RepoError> {
        let (first, end) = self.ranks(span)?;
        let mut ranks = Shuffled::new(end - first, seed);
        let mut found = BTreeMap::new();
        for _ in 0..(count as u64).saturating_mul(SAMPLE_READS) {
            let rank = ranks.next().filter(|_| found.len() < count);
            let Some(rank) = rank else { break };
            if let Some((key, entry)) = self.tree.nth(first + rank)? {
                let entry = decode(&entry)?;
                if entry.is_live() {
                    found.insert(key, entry);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The ranks of the first entry of a range and of the one after its last.
    fn ranks(&self, span: &Span) -> Result<(u64, u64), RepoError> {
        let rank =
            |key: &Option<Vec<u8>>, open| key.as_ref().map_or(Ok(open), |key| self.tree.rank(key));
        let first = rank(&span.from, 0)?;
        Ok((first, rank(&span.to, self.tree.len())?.max(first)))
    }

    /// The live entries of a range in key order, or in the opposite order.
    #[must_use]
    pub fn range(&self, span: &Span, reverse: bool) -> Items {
        if span.is_empty() {
            return Box::new(std::iter::empty());
        }
        let stored = self.tree.range(span.bounds());
        let decoded = |item: Result<(Bytes, Bytes), allod_tree::TreeError>| {
            let (key, value) = item?;
            Ok((key, decode(&value)?))
        };
        let stored: Items = if reverse {
            Box::new(stored.rev().map(decoded))
        } else {
            Box::new(stored.map(decoded))
        };
        let staged = self
            .staged
            .as_ref()
            .map(|staged| staged.within(span, reverse));
        let all: Items = match staged {
            Some(staged) if !staged.is_empty() => Box::new(Overlaid {
                stored: stored.peekable(),
                staged: staged.into_iter().peekable(),
                reverse,
            }),
            _ => stored,
        };
        Box::new(all.filter(|item| item.as_ref().map_or(true, |(_, entry)| entry.is_live())))
    }
}

impl Repo {
    /// What an entry holds; `None` for a tombstone.
    pub fn content(&self, entry: &Entry) -> Result<Option<Content>, RepoError> {
        self.content_of(&entry.state)
    }

    /// What a state holds; `None` for a tombstone.
    pub fn content_of(&self, state: &State) -> Result<Option<Content>, RepoError> {
        match state {
            State::Tombstone => Ok(None),
            State::Value(value) => Ok(Some(Content::Bytes(value.clone()))),
            State::Link(cid) if cid.codec() == Codec::Raw.code() => {
                Ok(Some(Content::Bytes(self.raw(cid)?)))
            }
            State::Link(cid) => Ok(Some(Content::File(*cid))),
            joining => shown(joining.into(), &|cid| self.raw(cid)),
        }
    }
}

/// What a state that joins shows, as JSON (CRDT, "Values as text").
pub(crate) fn shown(state: StateRef<'_>, load: Load<'_>) -> Result<Option<Content>, RepoError> {
    let joinable = joinable_of(state, load)?;
    let text = joinable.as_ref().map(shown_text).transpose()?.flatten();
    Ok(text.map(|text| Content::Bytes(text.into())))
}

/// The numbers below an end in an order of chance, each once. What was exchanged so far is kept, not
/// all numbers (Fisher and Yates, Durstenfeld's form).
struct Shuffled {
    next: u64,
    end: u64,
    state: u64,
    exchanged: BTreeMap<u64, u64>,
}

impl Shuffled {
    const fn new(end: u64, seed: u64) -> Self {
        Self {
            next: 0,
            end,
            state: seed,
            exchanged: BTreeMap::new(),
        }
    }

    /// A number below `bound`, by SplitMix64 (Steele, Lea, Flood 2014). That low ones are likelier by
    /// one in 2^64 / `bound` harms no sample.
    const fn draw(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl Iterator for Shuffled {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let left = self.end.checked_sub(self.next).filter(|left| *left > 0)?;
        let chosen = self.next + self.draw(left);
        let here = self.exchanged.remove(&self.next).unwrap_or(self.next);
        self.next += 1;
        if chosen + 1 == self.next {
            return Some(here);
        }
        Some(self.exchanged.insert(chosen, here).unwrap_or(chosen))
    }
}

/// Staged edits over stored entries, both in the same order; a staged one hides a stored one.
struct Overlaid {
    stored: std::iter::Peekable<Items>,
    staged: std::iter::Peekable<std::vec::IntoIter<Item>>,
    reverse: bool,
}

impl Iterator for Overlaid {
    type Item = Result<Item, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        use std::cmp::Ordering;
        let order = match (self.stored.peek(), self.staged.peek()) {
            (Some(Ok((stored, _))), Some((staged, _))) => {
                let order = stored.cmp(staged);
                if self.reverse { order.reverse() } else { order }
            }
            (Some(_), _) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.stored.next(),
            Ordering::Greater => self.staged.next().map(Ok),
            Ordering::Equal => {
                self.stored.next();
                self.staged.next().map(Ok)
            }
        }
    }
}

pub(crate) fn decode(bytes: &Bytes) -> Result<Entry, RepoError> {
    Entry::decode(bytes).map_err(damaged)
}

/// The fault of a stored entry that does not decode.
pub(crate) fn damaged(_error: EntryError) -> RepoError {
    RepoError::Damaged("a stored entry does not decode")
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), RepoError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(RepoError::BadKey { got: key.len() });
    }
    Ok(())
}

/// The state that holds `value`, and the block that it needs, if any (REPO-3). Values over 1 MiB
/// are files, which the caller adds to the store first.
pub(crate) fn state_of(value: Bytes) -> Result<(State, Option<Block>), RepoError> {
    if value.len() <= VALUE_INLINE_BYTES_MAX {
        return Ok((State::Value(value), None));
    }
    if value.len() > VALUE_BLOCK_BYTES_MAX {
        return Err(RepoError::TooLong {
            what: "a value that is not added as a file",
            limit: VALUE_BLOCK_BYTES_MAX,
        });
    }
    let block = Block::new(Codec::Raw, value).map_err(|_error| RepoError::TooLong {
        what: "a value",
        limit: VALUE_BLOCK_BYTES_MAX,
    })?;
    Ok((State::Link(*block.cid()), Some(block)))
}
