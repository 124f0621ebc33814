//! Deltas in a space, on a branch of it (DELTA-31 to DELTA-36).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, PoisonError};

use allod_identity::{AgentId, SecretKey};
use allod_repo::{
    Author, BranchName, Content, Differences, Entry, Heads, RefMove, Repo, RepoError, Stamp, State,
    View,
};

use crate::delta::Delta;
use crate::filter::DeltaFilter;
use crate::keys;
use crate::number::Number;
use crate::store::{
    Appended, Arrivals, Cursor, DeltaStore, EXAMINED_MAX, PAGE_MAX, Page, Place, StoreFault, meet,
};

/// How often an append is tried on a branch that others write to.
const TRIES: u32 = 8;

/// Log entries read at a time.
const LOG_PAGE: usize = 64;

/// A store over a branch of a space: what is appended is one commit, unless a hook refuses some of it, and travels with
/// the space.
pub struct SpaceDeltas {
    pub(crate) repo: Repo,
    pub(crate) branch: BranchName,
    agent: AgentId,
    key: SecretKey,
    /// Where reading a large change stopped, so that its next page goes on there.
    reading: Mutex<Option<(Cursor, Differences)>>,
}

impl std::fmt::Debug for SpaceDeltas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpaceDeltas")
            .field("space", &self.repo.id())
            .field("branch", &self.branch)
            .finish_non_exhaustive()
    }
}

impl SpaceDeltas {
    /// The deltas on a branch. Commits are made for `agent` and signed by `key`, one of its devices.
    #[must_use]
    pub const fn new(repo: Repo, branch: BranchName, agent: AgentId, key: SecretKey) -> Self {
        Self {
            repo,
            branch,
            agent,
            key,
            reading: Mutex::new(None),
        }
    }

    pub(crate) fn view(&self) -> Result<View, StoreFault> {
        Ok(self.repo.state(&self.branch)?)
    }

    pub(crate) const fn author(&self) -> Author<'_> {
        Author {
            agent: self.agent,
            key: &self.key,
        }
    }

    /// Appends deltas, and sets a key that is none of theirs in the same commit.
    pub(crate) fn append_with(
        &self,
        deltas: &[Arc<Delta>],
        beside: Option<(Vec<u8>, Vec<u8>)>,
        now_ms: u64,
    ) -> Result<Vec<Appended>, StoreFault> {
        self.write("Append deltas", now_ms, &mut |view, writes| {
            let mut fresh: BTreeMap<&str, Arc<Delta>> = BTreeMap::new();
            let mut said = Vec::with_capacity(deltas.len());
            for delta in deltas {
                let kept = match fresh.get(delta.id()) {
                    Some(kept) => Some(Arc::clone(kept)),
                    None => record(view, delta.id())?,
                };
                let outcome = match kept {
                    Some(kept) => meet(&kept, delta),
                    None if is_redacted(view, delta)? => Appended::Redacted,
                    None => Appended::New,
                };
                if matches!(outcome, Appended::New | Appended::Signed) {
                    writes.put(delta);
                    fresh.insert(delta.id(), Arc::clone(delta));
                }
                said.push(outcome);
            }
            if let Some((key, value)) = beside.clone() {
                writes.0.insert(key, Some(value));
            }
            Ok(said)
        })
    }

    /// Appends the halves of what a hook refuses, down to single deltas: it is those alone that it refuses (DELTA-38).
    fn append_apart(
        &self,
        deltas: &[Arc<Delta>],
        words: String,
        now_ms: u64,
    ) -> Result<Vec<Appended>, StoreFault> {
        if deltas.len() < 2 {
            return Ok(vec![Appended::Refused(words)]);
        }
        let (first, second) = deltas.split_at(deltas.len() / 2);
        let mut said = self.append(first, now_ms)?;
        said.extend(self.append(second, now_ms)?);
        Ok(said)
    }

    /// What `put` finds to write, in one commit; tried again while others write too.
    fn write<T>(
        &self,
        message: &str,
        now_ms: u64,
        put: &mut dyn FnMut(&View, &mut Writes) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let mut left = TRIES;
        loop {
            let mut writes = Writes::default();
            let said = put(&self.view()?, &mut writes)?;
            if writes.0.is_empty() {
                return Ok(said);
            }
            let mut transaction = self.repo.begin(&self.branch)?;
            for (key, value) in writes.0 {
                match value {
                    Some(value) => transaction.put(key, value)?,
                    None => transaction.delete(key)?,
                }
            }
            match transaction.commit(self.author(), message, now_ms) {
                Ok(_) => return Ok(said),
                Err(RepoError::Conflict { .. } | RepoError::Contended(_)) if left > 0 => left -= 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The places of an index that begin with one of `prefixes`, in order, each once.
    fn places(
        view: &View,
        prefixes: Vec<Vec<u8>>,
        after: Option<&Place>,
        start: Option<Number>,
    ) -> Merged {
        let sources = prefixes
            .into_iter()
            .map(|prefix| {
                let items = view.range(&keys::span(&prefix, after, start), false);
                let keys: Keys = Box::new(items.map(|item| item.map(|(key, _)| key.to_vec())));
                (prefix, keys)
            })
            .collect();
        Merged {
            sources,
            heap: BinaryHeap::new(),
            begun: false,
        }
    }

    /// What an index names, if it is a delta that is in that index.
    fn page(
        view: &View,
        places: Merged,
        limit: usize,
        passes: &dyn Fn(&Delta) -> bool,
    ) -> Result<Page, StoreFault> {
        let mut page = Page::default();
        let mut last: Option<Vec<u8>> = None;
        let mut examined = 0;
        for place in places {
            let (tail, id) = place?;
            if last.as_ref() == Some(&tail) {
                continue;
            }
            if page.deltas.len() >= limit.clamp(1, PAGE_MAX) || examined >= EXAMINED_MAX {
                return Ok(page);
            }
            examined += 1;
            if let Some(delta) = record(view, &id)? {
                // Of two contents of an id, the other one is in the index too.
                let is_it = keys::indexes(&delta).iter().any(|key| key.ends_with(&tail));
                if is_it {
                    page.next = Some(Place::of(&delta));
                    if passes(&delta) {
                        page.deltas.push(delta);
                    }
                }
            }
            last = Some(tail);
        }
        page.next = None;
        Ok(page)
    }

    /// The prefixes of the index of targets for a target and a context, or all that it has.
    fn prefixes(
        view: &View,
        target: &str,
        context: Option<&str>,
    ) -> Result<Vec<Vec<u8>>, StoreFault> {
        if let Some(context) = context {
            return Ok(vec![keys::target(target, context)]);
        }
        let any = keys::any_context(target);
        let mut span = allod_repo::Span::prefix(&any);
        let mut prefixes = Vec::new();
        while let Some(item) = view.range(&span, false).next() {
            let (key, _) = item?;
            // What is no key of ours is passed over (DELTA-32).
            let (mut behind, last) = match keys::context_of(&any, &key) {
                Some(context) => {
                    prefixes.push(keys::target(target, context));
                    ([&any, context.as_bytes()].concat(), 1)
                }
                None => (key.to_vec(), 0),
            };
            behind.push(last);
            span.from = Some(behind);
        }
        Ok(prefixes)
    }
}

/// Keys and what they are to have; `None` deletes.
#[derive(Default)]
struct Writes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Writes {
    fn put(&mut self, delta: &Delta) {
        self.0
            .insert(keys::record(delta), Some(delta.encode().into_bytes()));
        for key in keys::indexes(delta) {
            self.0.insert(key, Some(Vec::new()));
        }
    }

    fn delete(&mut self, delta: &Delta) {
        for key in keys::both_records(delta) {
            self.0.insert(key, None);
        }
        for key in keys::indexes(delta) {
            self.0.insert(key, None);
        }
    }
}

type Keys = Box<dyn Iterator<Item = Result<Vec<u8>, RepoError>>>;

/// Indexes in one order: by the tails of their keys.
struct Merged {
    sources: Vec<(Vec<u8>, Keys)>,
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    begun: bool,
}

impl Merged {
    fn refill(&mut self, source: usize) -> Result<(), RepoError> {
        let (prefix, keys) = &mut self.sources[source];
        if let Some(key) = keys.next() {
            let tail = key?.split_off(prefix.len());
            self.heap.push(Reverse((tail, source)));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(Vec<u8>, String)>, RepoError> {
        if !self.begun {
            self.begun = true;
            for source in 0..self.sources.len() {
                self.refill(source)?;
            }
        }
        while let Some(Reverse((tail, source))) = self.heap.pop() {
            self.refill(source)?;
            // What is no key of ours was written by somebody else, and says nothing (DELTA-32).
            if let Some((_, id)) = keys::tail_of(&[], &tail) {
                let id = id.to_owned();
                return Ok(Some((tail, id)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Merged {
    type Item = Result<(Vec<u8>, String), RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// The delta of an id: of several contents the one with the least digest, and of several copies of that a signed
/// one (DELTA-8, DELTA-12).
fn record(view: &View, id: &str) -> Result<Option<Arc<Delta>>, StoreFault> {
    for item in view.range(&keys::records_of(id), false) {
        let (key, entry) = item?;
        if let Some(delta) = read(view.content(&entry)?, &key) {
            return Ok(Some(delta));
        }
    }
    Ok(None)
}

/// Whether a delta was here and is not any more.
fn is_redacted(view: &View, delta: &Delta) -> Result<bool, StoreFault> {
    for key in keys::both_records(delta) {
        if view.entry(&key)?.is_some_and(|entry| !entry.is_live()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The delta that a record has, if it is one and stands under its own key (DELTA-32).
pub(crate) fn read(content: Option<Content>, key: &[u8]) -> Option<Arc<Delta>> {
    let Some(Content::Bytes(bytes)) = content else {
        return None;
    };
    let delta = Delta::decode(std::str::from_utf8(&bytes).ok()?).ok()?;
    (keys::record(&delta) == key).then(|| Arc::new(delta))
}

impl DeltaStore for SpaceDeltas {
    fn append(&self, deltas: &[Arc<Delta>], now_ms: u64) -> Result<Vec<Appended>, StoreFault> {
        match self.append_with(deltas, None, now_ms) {
            Err(StoreFault::Repo(RepoError::Hook(words))) => {
                self.append_apart(deltas, words, now_ms)
            }
            other => other,
        }
    }

    fn redact(&self, id: &str, now_ms: u64) -> Result<bool, StoreFault> {
        self.write("Redact a delta", now_ms, &mut |view, writes| {
            let found = record(view, id)?;
            if let Some(delta) = &found {
                writes.delete(delta);
            }
            Ok(found.is_some())
        })
    }

    fn get(&self, id: &str) -> Result<Option<Arc<Delta>>, StoreFault> {
        record(&self.view()?, id)
    }

    fn targeting(
        &self,
        target: &str,
        context: Option<&str>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        let view = self.view()?;
        let prefixes = Self::prefixes(&view, target, context)?;
        let places = Self::places(&view, prefixes, after, None);
        Self::page(&view, places, limit, &|delta| {
            delta.references().any(|(_, to)| {
                to.id() == target && context.is_none_or(|context| to.context() == Some(context))
            })
        })
    }

    fn scan(
        &self,
        filter: &DeltaFilter,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        let view = self.view()?;
        let passes = |delta: &Delta| filter.matches(delta);
        if let Some(ids) = &filter.ids {
            let mut found = Vec::new();
            for id in ids {
                found.extend(record(&view, id)?.filter(|delta| passes(delta)));
            }
            found.sort_by(|a, b| a.order(b));
            found.retain(|delta| after.is_none_or(|after| Place::of(delta) > *after));
            let more = found.len() > limit.clamp(1, PAGE_MAX);
            found.truncate(limit.clamp(1, PAGE_MAX));
            let next = found.last().filter(|_| more).map(|delta| Place::of(delta));
            return Ok(Page {
                deltas: found,
                next,
            });
        }
        let mut prefixes = vec![keys::by_time()];
        if let Some(targets) = &filter.target_ids {
            prefixes.clear();
            for target in targets {
                prefixes.extend(Self::prefixes(&view, target, None)?);
            }
        }
        let start = filter.timestamp_range.and_then(|range| range.start);
        let places = Self::places(&view, prefixes, after, start);
        Self::page(&view, places, limit, &passes)
    }

    fn arrivals(&self, after: Cursor, limit: usize) -> Result<Arrivals, StoreFault> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut arrivals = Arrivals {
            next: after,
            ..Arrivals::default()
        };
        while !arrivals.more {
            let page = self.repo.store().read_log(arrivals.next.position, LOG_PAGE);
            let page = page.map_err(RepoError::from)?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                if entry.position > arrivals.next.position {
                    return Err(StoreFault::Expired);
                }
                let moved = RefMove::decode(&entry.bytes)?;
                if moved.space == self.repo.id() && moved.branch == self.branch {
                    self.arrived(&moved, &mut arrivals, limit)?;
                }
                if arrivals.more {
                    break;
                }
                arrivals.next = Cursor {
                    position: entry.position + 1,
                    within: 0,
                };
            }
        }
        Ok(arrivals)
    }

    fn end(&self) -> Result<Cursor, StoreFault> {
        let stats = self.repo.store().stats().map_err(RepoError::from)?;
        Ok(Cursor {
            position: stats.log_end,
            within: 0,
        })
    }
}

impl SpaceDeltas {
    /// Adds what a move of the branch brought, from where the cursor stands in it.
    fn arrived(
        &self,
        moved: &RefMove,
        arrivals: &mut Arrivals,
        limit: usize,
    ) -> Result<(), StoreFault> {
        let view = self.view()?;
        let mut differences = self.differences(moved, arrivals.next)?;
        loop {
            if arrivals.deltas.len() >= limit {
                arrivals.more = true;
                let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
                *reading = Some((arrivals.next, differences));
                return Ok(());
            }
            let Some(difference) = differences.next() else {
                return Ok(());
            };
            let difference = difference?;
            arrivals.next.within += 1;
            if difference.after == State::Tombstone {
                continue;
            }
            let entry = Entry {
                stamp: Stamp::default(),
                state: difference.after,
            };
            let content = view.content(&entry)?;
            arrivals.deltas.extend(read(content, &difference.key));
        }
    }

    /// What differs in the records, from a cursor in the move on.
    fn differences(&self, moved: &RefMove, at: Cursor) -> Result<Differences, StoreFault> {
        let kept = self
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((cursor, differences)) = kept
            && cursor == at
        {
            return Ok(differences);
        }
        let state = |commits: &[allod_repo::CommitId]| {
            let heads: Heads = commits.iter().copied().collect::<BTreeSet<_>>();
            match self.repo.together(&heads) {
                Ok(view) => Ok(view),
                // Their commits were collected (DELTA-35).
                Err(RepoError::NoCommit(_) | RepoError::Missing(_)) => Err(StoreFault::Expired),
                Err(error) => Err(error.into()),
            }
        };
        let mut differences = state(&moved.from)?.diff(&state(&moved.to)?, &keys::records());
        for _ in 0..at.within {
            if let Some(difference) = differences.next() {
                difference?;
            }
        }
        Ok(differences)
    }
}
