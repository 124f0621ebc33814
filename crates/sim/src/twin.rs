//! What values that join must show, computed from all that was done to them: by the meaning of each kind, not
//! by states.

use std::collections::{BTreeMap, BTreeSet};

use allod_crdt::{Epoch, Kind, Op, Value};

use crate::ledger::{Act, Deed, Deeds};

/// What is wrong with what a value shows after the deeds `known` of `all`.
pub(crate) fn wrong(
    kind: Kind,
    all: &[Deed],
    known: &Deeds,
    shown: Option<&Value>,
) -> Option<String> {
    let known = in_force(all, known);
    let done: Vec<(usize, &Deed, &Op)> = known
        .iter()
        .filter_map(|id| {
            let deed = all.get(*id)?;
            match &deed.act {
                Act::Do(op) => Some((*id, deed, op)),
                Act::Clear(_) | Act::Compact(_) => None,
            }
        })
        .collect();
    let Some(shown) = shown else {
        // A set that lost all of its elements shows none, or nothing once it was compacted.
        let is_empty = matches!(kind, Kind::OrSet) && elements(kind, &done).is_empty();
        return (!done.is_empty() && !is_empty).then(|| format!("after {} deeds", done.len()));
    };
    let must = match kind {
        Kind::GCounter | Kind::PnCounter => Value::Integer(sum(&done)),
        Kind::LwwRegister => return last(&done, shown),
        Kind::MvRegister => items(concurrent(&done)),
        Kind::TwoPhaseSet | Kind::OrSet => items(elements(kind, &done)),
        Kind::CountedSet => counts(&done),
        Kind::LwwMap => return fields(&done, shown),
        Kind::List => return list(&done, shown),
        Kind::Document => return None,
    };
    (must != *shown).then(|| format!("must show {must}"))
}

/// The epoch of a deed: the greatest that its writer knew, or began.
fn epoch(all: &[Deed], known: &Deeds) -> Option<(Epoch, usize)> {
    let begun = known.iter().filter_map(|id| match all.get(*id)?.act {
        Act::Clear(epoch) | Act::Compact(epoch) => Some((epoch, *id)),
        Act::Do(_) => None,
    });
    begun.max()
}

/// Those of the deeds that count: of the last epoch, and what that began with (CRDT-4, CRDT-20).
fn in_force(all: &[Deed], known: &Deeds) -> Deeds {
    let Some((last, began)) = epoch(all, known) else {
        return known.clone();
    };
    let within = known.iter().copied().filter(|id| {
        let seen = all.get(*id).map(|deed| epoch(all, &deed.seen));
        seen.flatten().map(|(epoch, _)| epoch) == Some(last)
    });
    let mut counts: Deeds = within.collect();
    if let Some(Deed {
        act: Act::Compact(_),
        seen,
        ..
    }) = all.get(began)
    {
        counts.extend(in_force(all, seen));
    }
    counts
}

fn items(items: BTreeSet<Vec<u8>>) -> Value {
    Value::List(items.into_iter().map(Value::Bytes).collect())
}

fn sum(done: &[(usize, &Deed, &Op)]) -> i128 {
    let by = done.iter().map(|(_, _, op)| match op {
        Op::Increment(by) => i128::from(*by),
        Op::Decrement(by) => -i128::from(*by),
        _ => 0,
    });
    by.sum()
}

/// The last value that was written; with two of one stamp, either.
fn last(done: &[(usize, &Deed, &Op)], shown: &Value) -> Option<String> {
    let newest = done.iter().map(|(_, deed, _)| deed.stamp).max();
    let mut newest = done
        .iter()
        .filter(|(_, deed, _)| Some(deed.stamp) == newest);
    let is_one = newest.any(|(_, _, op)| match (op, shown) {
        (Op::Set(value), Value::Bytes(shown)) => value == shown,
        _ => false,
    });
    (!is_one).then(|| "which is not what was written last".to_owned())
}

/// The values that nobody wrote over who knew them.
fn concurrent(done: &[(usize, &Deed, &Op)]) -> BTreeSet<Vec<u8>> {
    let is_over = |id: &usize| done.iter().any(|(_, deed, _)| deed.seen.contains(id));
    let left = done.iter().filter(|(id, _, _)| !is_over(id));
    let values = left.filter_map(|(_, _, op)| match op {
        Op::Set(value) => Some(value.clone()),
        _ => None,
    });
    values.collect()
}

/// Of a 2p-set, what was added and never removed; of an or-set, what has an addition that no removal knew.
fn elements(kind: Kind, done: &[(usize, &Deed, &Op)]) -> BTreeSet<Vec<u8>> {
    let removals = |element: &[u8], id: usize| {
        let removing = done.iter().filter(
            move |(_, deed, op)| matches!(op, Op::Remove(it) if it == element && deed.seen.contains(&id)),
        );
        removing.count()
    };
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for (id, _, op) in done {
        if let Op::Add(element) = op {
            let set = match removals(element, *id) {
                0 => &mut there,
                _ => &mut gone,
            };
            set.insert(element.clone());
        }
    }
    if kind == Kind::TwoPhaseSet {
        there.retain(|element| !gone.contains(element));
    }
    there
}

/// The sums of the elements of a counted set that are above nothing. Writers remove only what they see.
fn counts(done: &[(usize, &Deed, &Op)]) -> Value {
    let mut sums: BTreeMap<&[u8], i128> = BTreeMap::new();
    for (_, _, op) in done {
        let (element, by) = match op {
            Op::Add(element) => (element, 1),
            Op::Remove(element) => (element, -1),
            Op::AddCount(element, by) => (element, i128::from(*by)),
            _ => continue,
        };
        *sums.entry(element).or_default() += by;
    }
    let above = sums.into_iter().filter(|(_, sum)| *sum > 0);
    let pair = above.map(|(element, sum)| {
        Value::List(vec![Value::Bytes(element.to_vec()), Value::Integer(sum)])
    });
    Value::List(pair.collect())
}

/// The newest stamp, and what was written with it: none is a deletion.
type Newest<'a> = (u64, Vec<Option<&'a [u8]>>);

/// The fields of a map: of each the last write, if that is no deletion; with two of one stamp, either.
fn fields(done: &[(usize, &Deed, &Op)], shown: &Value) -> Option<String> {
    let Value::Map(shown) = shown else {
        return Some("which is no map".to_owned());
    };
    let mut newest: BTreeMap<&str, Newest<'_>> = BTreeMap::new();
    for (_, deed, op) in done {
        let (field, value) = match op {
            Op::Put(field, value) => (field, Some(value.as_slice())),
            Op::Delete(field) => (field, None),
            _ => continue,
        };
        let newest = newest.entry(field).or_default();
        match deed.stamp.cmp(&newest.0) {
            std::cmp::Ordering::Greater => *newest = (deed.stamp, vec![value]),
            std::cmp::Ordering::Equal => newest.1.push(value),
            std::cmp::Ordering::Less => {}
        }
    }
    for (field, (_, values)) in &newest {
        let value = shown.get(*field).map(|value| match value {
            Value::Bytes(bytes) => bytes.as_slice(),
            _ => &[],
        });
        if !values.contains(&value) {
            return Some(format!("where {field} is not what was written last"));
        }
    }
    let other = shown
        .keys()
        .find(|field| !newest.contains_key(field.as_str()));
    other.map(|field| format!("where nobody wrote {field}"))
}

/// A list has what was inserted and not removed, each once, in the order in which any writer saw it.
fn list(done: &[(usize, &Deed, &Op)], shown: &Value) -> Option<String> {
    let Value::List(shown) = shown else {
        return Some("which is no list".to_owned());
    };
    let shown: Vec<&[u8]> = shown
        .iter()
        .map(|value| match value {
            Value::Bytes(bytes) => bytes.as_slice(),
            _ => &[],
        })
        .collect();
    let mut must: BTreeSet<&[u8]> = BTreeSet::new();
    must.extend(done.iter().filter_map(|(_, _, op)| match op {
        Op::Insert(_, value) => Some(value.as_slice()),
        _ => None,
    }));
    for (_, _, op) in done {
        if let Op::Remove(value) = op {
            must.remove(value.as_slice());
        }
    }
    let there: BTreeSet<&[u8]> = shown.iter().copied().collect();
    if there != must || there.len() != shown.len() {
        return Some(format!("must have {} values", must.len()));
    }
    let place: BTreeMap<&[u8], usize> = shown.iter().copied().zip(0..).collect();
    for (_, deed, _) in done {
        let seen = deed
            .list
            .iter()
            .filter_map(|value| place.get(value.as_slice()));
        if !seen.is_sorted() {
            return Some("in another order than a writer saw".to_owned());
        }
    }
    None
}
