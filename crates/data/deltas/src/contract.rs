//! The contract of [`DeltaStore`] as a test that every store passes.

use std::sync::Arc;

use crate::delta::{Delta, DeltaError};
use crate::filter::{DeltaFilter, TimestampRange};
use crate::number::Number;
use crate::pointer::Pointer;
use crate::store::{Appended, Cursor, DeltaStore, Place, StoreFault};

/// What of the contract a store does not keep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractBroken {
    /// What is said here does not hold.
    #[error("{0}")]
    Not(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A delta of the test cannot be made.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

fn must(holds: bool, what: &'static str) -> Result<(), ContractBroken> {
    holds.then_some(()).ok_or(ContractBroken::Not(what))
}

fn delta(id: &str, at: u64, pointers: Vec<Pointer>) -> Result<Arc<Delta>, DeltaError> {
    Delta::new(id, Number::of(at), "alice", "laptop", pointers).map(Arc::new)
}

fn ids(deltas: &[Arc<Delta>]) -> Vec<&str> {
    deltas.iter().map(|delta| delta.id()).collect()
}

/// Checks that an empty store keeps the contract of [`DeltaStore`]. It is for tests, and leaves deltas there.
pub fn check_store(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    appends(store)?;
    targets(store)?;
    scans(store)?;
    arrives(store)?;
    redacts(store)
}

fn appends(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    let one = delta("a", 30, vec![Pointer::under("of", "x", "name")?])?;
    let other = delta("a", 31, vec![])?;
    let two = delta(
        "b",
        10,
        vec![Pointer::to("of", "x")?, Pointer::under("of", "y", "name")?],
    )?;
    must(
        store.append(&[], 1)?.is_empty(),
        "nothing is appended to no effect",
    )?;
    let said = store.append(&[Arc::clone(&one), two, Arc::clone(&one)], 1)?;
    must(
        said == [Appended::New, Appended::New, Appended::Known],
        "a delta that is appended twice is known",
    )?;
    let said = store.append(&[Arc::clone(&other), Arc::clone(&one)], 2)?;
    let is_conflict = matches!(&said[..], [Appended::Conflict(conflict), Appended::Known]
        if conflict.id == "a" && conflict.kept == *one.digest() && conflict.refused == *other.digest());
    must(
        is_conflict,
        "another content of an id is refused, and the rest is not",
    )?;
    must(
        store.get("a")?.as_ref() == Some(&one),
        "the first content is kept",
    )?;
    must(store.get("c")?.is_none(), "what is not there is not found")
}

fn targets(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    let all = store.targeting("x", None, None, 10)?;
    must(
        ids(&all.deltas) == ["b", "a"],
        "what refers to an object is given in order",
    )?;
    must(all.next.is_none(), "the last page has no next")?;
    let named = store.targeting("x", Some("name"), None, 10)?;
    must(
        ids(&named.deltas) == ["a"],
        "what refers to an object under a context is given",
    )?;
    let none = store.targeting("x", Some("nam"), None, 10)?;
    must(
        none.deltas.is_empty(),
        "a context is not the beginning of another",
    )?;
    let first = store.targeting("x", None, None, 1)?;
    let second = store.targeting("x", None, first.next.as_ref(), 1)?;
    must(
        ids(&second.deltas) == ["a"],
        "a page goes on after its place",
    )?;
    // Twice under one context, and under two: once.
    let twice = delta(
        "twice",
        5,
        vec![
            Pointer::under("of", "z", "c")?,
            Pointer::under("of", "z", "c")?,
            Pointer::under("of", "z", "d")?,
        ],
    )?;
    store.append(&[twice], 3)?;
    let found = store.targeting("z", None, None, 10)?;
    must(ids(&found.deltas) == ["twice"], "a delta is given once")
}

fn scans(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    let (mut after, mut found): (Option<Place>, Vec<String>) = (None, Vec::new());
    loop {
        let page = store.scan(&DeltaFilter::all(), after.as_ref(), 1)?;
        found.extend(page.deltas.iter().map(|delta| delta.id().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    must(
        found == ["twice", "b", "a"],
        "a scan has everything in order",
    )?;
    let of = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect());
    let range = TimestampRange {
        start: Some(Number::of(10)),
        end: Some(Number::of(30)),
    };
    let both = DeltaFilter {
        timestamp_range: Some(range),
        ..DeltaFilter::default()
    };
    must(
        ids(&store.scan(&both, None, 10)?.deltas) == ["b", "a"],
        "both ends are in a range",
    )?;
    for (filter, expected) in [
        (
            DeltaFilter {
                ids: of(&["a", "b", "q"]),
                ..DeltaFilter::default()
            },
            vec!["b", "a"],
        ),
        (
            DeltaFilter {
                target_ids: of(&["y", "z"]),
                ..DeltaFilter::default()
            },
            vec!["twice", "b"],
        ),
        (
            DeltaFilter {
                target_contexts: of(&["d"]),
                ..DeltaFilter::default()
            },
            vec!["twice"],
        ),
        (
            DeltaFilter {
                authors: of(&[]),
                ..DeltaFilter::default()
            },
            vec![],
        ),
    ] {
        let page = store.scan(&filter, None, 10)?;
        must(
            ids(&page.deltas) == expected,
            "a scan has what meets the filter",
        )?;
    }
    Ok(())
}

fn arrives(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    let (mut cursor, mut found) = (Cursor::default(), Vec::new());
    loop {
        let arrivals = store.arrivals(cursor, 1)?;
        must(arrivals.next >= cursor, "a cursor moves forward")?;
        found.extend(arrivals.deltas.iter().map(|delta| delta.id().to_owned()));
        cursor = arrivals.next;
        if !arrivals.more {
            break;
        }
    }
    // What is appended together arrives in any order.
    if let Some(together) = found.get_mut(..2) {
        together.sort();
    }
    must(found == ["a", "b", "twice"], "everything arrives once")?;
    let end = store.end()?;
    must(end >= cursor, "the end is after all that arrived")?;
    store.append(&[delta("late", 1, vec![])?], 4)?;
    let arrivals = store.arrivals(end, 10)?;
    must(
        ids(&arrivals.deltas) == ["late"],
        "an old delta arrives when it comes",
    )?;
    let again = store.arrivals(arrivals.next, 10)?;
    must(again.deltas.is_empty(), "nothing arrives twice")
}

fn redacts(store: &dyn DeltaStore) -> Result<(), ContractBroken> {
    let gone = delta("gone", 7, vec![Pointer::under("of", "g", "name")?])?;
    store.append(&[Arc::clone(&gone)], 5)?;
    must(store.redact("gone", 6)?, "what is there is redacted")?;
    must(
        !store.redact("gone", 7)?,
        "what is gone is not redacted again",
    )?;
    must(
        store.get("gone")?.is_none(),
        "what was redacted is not found",
    )?;
    let found = store.targeting("g", None, None, 10)?;
    must(found.deltas.is_empty(), "what was redacted is in no index")?;
    let said = store.append(&[gone], 8)?;
    must(
        said == [Appended::Redacted],
        "what was redacted does not come back",
    )
}
