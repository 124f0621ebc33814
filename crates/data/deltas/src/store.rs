//! Where deltas are kept (DELTA-30 to DELTA-36).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use allod_repo::RepoError;

use crate::delta::Delta;
use crate::filter::DeltaFilter;
use crate::negation::{MayNegate, visible};
use crate::number::Number;
use crate::pointer::CONTEXT_NEGATED_BY;

/// The most deltas of a page.
pub const PAGE_MAX: usize = 1024;

/// The most deltas that are read for one page: a filter that nothing meets gives empty pages, and a caller
/// can stop between them.
pub(crate) const EXAMINED_MAX: usize = 16 * 1024;

/// The most negations that are looked at to say what is visible of a page, or of an object (DELTA-23).
pub(crate) const NEGATIONS_MAX: usize = 64 * 1024;

/// The most bytes of negations that are held to say that: a negation is as large as any delta.
const NEGATIONS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Keeps deltas.
///
/// - [`append`](Self::append) returns when what it says is durable, and keeps one content for an id.
/// - Everything else reads a state that has all appends before, in pages of bounded size and work.
///
/// [`check_store`](crate::check_store) is the contract as a test.
pub trait DeltaStore: Send + Sync {
    /// Adds deltas, all of them or none, and says what became of each (DELTA-30).
    fn append(&self, deltas: &[Arc<Delta>], now_ms: u64) -> Result<Vec<Appended>, StoreFault>;

    /// Removes a delta and refuses it from now on; whether it was there (DELTA-36).
    fn redact(&self, id: &str, now_ms: u64) -> Result<bool, StoreFault>;

    /// The delta of an id.
    fn get(&self, id: &str) -> Result<Option<Arc<Delta>>, StoreFault>;

    /// Deltas that refer to an id, under a context or under any and none, in order, at most `limit` and
    /// those after a place.
    fn targeting(
        &self,
        target: &str,
        context: Option<&str>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault>;

    /// Deltas that meet a filter, in order, at most `limit` and those after a place. `include_negated` is
    /// not looked at; [`scan_visible`] does (DELTA-33).
    fn scan(
        &self,
        filter: &DeltaFilter,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault>;

    /// Deltas in the order in which they came to be here, at most `limit` and those after a cursor
    /// (DELTA-34).
    fn arrivals(&self, after: Cursor, limit: usize) -> Result<Arrivals, StoreFault>;

    /// The cursor after all that is here.
    fn end(&self) -> Result<Cursor, StoreFault>;
}

/// What became of a delta that was appended (DELTA-30).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Appended {
    /// It is new here.
    New,
    /// It was here.
    Known,
    /// It was here without a signature, and now has the one that it brought.
    Signed,
    /// Another content has its id; that one is kept (DELTA-8).
    Conflict(Conflict),
    /// It was redacted here.
    Redacted,
    /// The space does not take it: a hook refuses it, in these words (DELTA-38).
    Refused(String),
}

/// Two contents of one id. Blame: whoever gave it out twice.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{id} is the id of another content")]
pub struct Conflict {
    /// The id.
    pub id: String,
    /// The digest of what is kept.
    pub kept: [u8; 32],
    /// The digest of what was refused.
    pub refused: [u8; 32],
}

impl Conflict {
    /// The registered error code.
    pub const CODE: &'static str = "E_DELTA_CONFLICT";
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// The space failed. Blame: the environment.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// What came after the cursor is not known any more: read everything (DELTA-35). Blame: nobody.
    #[error("the cursor is older than what is kept of the past")]
    Expired,
    /// More than [`NEGATIONS_MAX`] negations, or 64 MiB of them (DELTA-23). Blame: whoever made them.
    #[error("more negations than are looked at")]
    Negations,
}

impl StoreFault {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Repo(_) => "E_DELTA_STORE",
            Self::Expired => "E_DELTA_CURSOR",
            Self::Negations => "E_DELTA_BUDGET",
        }
    }
}

/// A place in the order of deltas (DELTA-9).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The timestamp.
    pub timestamp: Number,
    /// The id.
    pub id: String,
}

impl Place {
    /// Where a delta stands.
    #[must_use]
    pub fn of(delta: &Delta) -> Self {
        Self {
            timestamp: delta.timestamp(),
            id: delta.id().to_owned(),
        }
    }
}

/// Some deltas in order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The deltas.
    pub deltas: Vec<Arc<Delta>>,
    /// Where the next page begins after; `None` if there is none. A page may be empty and have a next one.
    pub next: Option<Place>,
}

/// A place in the order of arrival at one store. It means nothing elsewhere.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor {
    /// The number of a change of the store.
    pub position: u64,
    /// How many deltas of that change.
    pub within: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.within)
    }
}

/// A text that is no cursor. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a cursor")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (position, within) = text.split_once('.').ok_or(BadCursor)?;
        let number = |text: &str| match text.parse::<u64>() {
            Ok(number) if number.to_string() == text => Ok(number),
            _ => Err(BadCursor),
        };
        Ok(Self {
            position: number(position)?,
            within: number(within)?,
        })
    }
}

/// Some deltas in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// The deltas.
    pub deltas: Vec<Arc<Delta>>,
    /// The cursor after them.
    pub next: Cursor,
    /// Whether more came after that.
    pub more: bool,
}

/// A page of what meets a filter and, unless it wants negated deltas too, is visible at a time (DELTA-33).
pub fn scan_visible(
    store: &dyn DeltaStore,
    filter: &DeltaFilter,
    (at, who): (Option<Number>, &MayNegate),
    after: Option<&Place>,
    limit: usize,
) -> Result<Page, StoreFault> {
    let mut page = store.scan(filter, after, limit)?;
    page.deltas
        .retain(|delta| at.is_none_or(|at| delta.timestamp() <= at));
    if !filter.include_negated {
        page.deltas = only_visible(store, page.deltas, (at, who), &mut |_id| {})?;
    }
    Ok(page)
}

/// Those of `deltas` that are visible at a time. `looked` hears of each id whose negations were looked for:
/// another negation of one of them may change the answer.
pub(crate) fn only_visible(
    store: &dyn DeltaStore,
    deltas: Vec<Arc<Delta>>,
    (at, who): (Option<Number>, &MayNegate),
    looked: &mut dyn FnMut(&str),
) -> Result<Vec<Arc<Delta>>, StoreFault> {
    let mut all: BTreeMap<String, Arc<Delta>> = BTreeMap::new();
    let mut open = deltas.clone();
    let (mut negations, mut bytes) = (0, 0);
    while let Some(delta) = open.pop() {
        if all.contains_key(delta.id()) {
            continue;
        }
        looked(delta.id());
        let mut after = None;
        loop {
            let page = store.targeting(
                delta.id(),
                Some(CONTEXT_NEGATED_BY),
                after.as_ref(),
                PAGE_MAX,
            )?;
            for negation in page.deltas {
                let is_one = negation.negates().any(|id| id == delta.id())
                    && at.is_none_or(|at| negation.timestamp() <= at)
                    && who.allows(&negation, &delta);
                if is_one {
                    negations += 1;
                    bytes += negation.size();
                    open.push(negation);
                }
            }
            if negations > NEGATIONS_MAX || bytes > NEGATIONS_BYTES_MAX {
                return Err(StoreFault::Negations);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        all.insert(delta.id().to_owned(), delta);
    }
    let seen = visible(all.values().map(|delta| &**delta), at, who);
    Ok(deltas
        .into_iter()
        .filter(|delta| seen.contains(delta.id()))
        .collect())
}

/// What a store keeps when `new` comes and `kept` is there, and what it says (DELTA-8, DELTA-30).
pub(crate) fn meet(kept: &Delta, new: &Delta) -> Appended {
    if kept.digest() != new.digest() {
        return Appended::Conflict(Conflict {
            id: new.id().to_owned(),
            kept: *kept.digest(),
            refused: *new.digest(),
        });
    }
    // Whoever strips a signature and is faster must not win.
    if new.is_signed() && kept.verify().is_err() && new.verify().is_ok() {
        return Appended::Signed;
    }
    Appended::Known
}
