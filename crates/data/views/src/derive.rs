//! The tree of a projection: from the source, or from the tree of another state and what differs
//! (PROJ-3, PROJ-12).

use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::Block;
use allod_identity::canonical;
use allod_repo::{Content, RepoError, Span, State, StateRef, View};
use allod_tree::Tree;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::definition::{Function, Projection, Shape};
use crate::entries::{Changes, Entries, GroupChange, Side, group_key};
use crate::error::ViewError;
use crate::expr::Expr;
use crate::record::RecordReader;
use crate::sum::Sum;
use crate::types::Type;

/// Entries gathered before they are put into the tree: some 130 MiB of them.
const GATHERED_MAX: usize = 1 << 20;

/// Records looked at between two looks at whether to go on.
const LOOK_EVERY: u64 = 1024;

/// A projection with the types of its sources.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) projection: &'a Projection,
    pub(crate) own: Option<&'a Arc<Type>>,
    pub(crate) other: Option<&'a Arc<Type>>,
}

/// Told how many records were looked at; says whether to go on.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// A record as its bytes; `None` for what is a file and no record, and where there is nothing.
pub(crate) fn bytes_of(view: &View, state: &State) -> Result<Option<Bytes>, RepoError> {
    let entry = match state {
        State::Value(bytes) => return Ok(Some(bytes.clone())),
        State::Tombstone => return Ok(None),
        State::Link(_) | State::Joining(..) | State::JoiningLink(..) => allod_repo::Entry {
            stamp: allod_repo::Stamp::default(),
            state: state.clone(),
        },
    };
    Ok(match view.content(&entry)? {
        Some(Content::Bytes(bytes)) => Some(bytes),
        _ => None,
    })
}

/// A record that differs between two states: its bytes in the one and in the other.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    key: Bytes,
    before: Option<Bytes>,
    after: Option<Bytes>,
}

/// Bytes of what differs that are kept for several projections; more is read for each of them.
const CHANGED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a change costs besides its key and its records, in bytes.
const CHANGED_OVERHEAD: usize = 128;

/// What differs between two states; none for what is not below any of some prefixes, so that whoever
/// goes through it can count.
fn changes_between<'a>(
    (from, to): (&'a View, &'a View),
    prefixes: &'a [Vec<u8>],
) -> impl Iterator<Item = Result<Option<Changed>, ViewError>> + 'a {
    from.diff(to, &Span::all()).map(move |difference| {
        let difference = difference?;
        let mut prefixes = prefixes.iter();
        if !prefixes.any(|prefix| difference.key.starts_with(prefix)) {
            return Ok(None);
        }
        Ok(Some(Changed {
            before: bytes_of(from, &difference.before)?,
            after: bytes_of(to, &difference.after)?,
            key: difference.key,
        }))
    })
}

/// What differs between two states in what projections are of; none if that is much.
pub(crate) fn few_changes(
    states: (&View, &View),
    projections: &[&Resolved<'_>],
    progress: Progress<'_>,
) -> Result<Option<Vec<Changed>>, ViewError> {
    let prefixes = projections.iter().flat_map(|resolved| resolved.prefixes());
    let prefixes: Vec<Vec<u8>> = prefixes.collect();
    let (mut changes, mut bytes) = (Vec::new(), 0);
    for (seen, change) in (1..).zip(changes_between(states, &prefixes)) {
        if let Some(change) = change? {
            let records = [&change.before, &change.after].into_iter().flatten();
            bytes += records.map(Bytes::len).sum::<usize>() + change.key.len() + CHANGED_OVERHEAD;
            if bytes > CHANGED_BYTES_MAX {
                return Ok(None);
            }
            changes.push(change);
        }
        if seen % LOOK_EVERY == 0 && progress(0).is_break() {
            return Err(ViewError::Cancelled);
        }
    }
    Ok(Some(changes))
}

/// Told the key and the bytes of each record.
type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), ViewError>;

/// Every record below a prefix.
fn each_record(view: &View, prefix: &[u8], each: Each<'_>) -> Result<(), ViewError> {
    if view.has_staged() {
        for item in view.range(&Span::prefix(prefix), false) {
            let (key, entry) = item?;
            if let Some(bytes) = bytes_of(view, &entry.state)? {
                each(&key, &bytes)?;
            }
        }
        return Ok(());
    }
    let damaged = |_error| RepoError::Damaged("a stored entry does not decode");
    let mut leaves = view
        .tree()
        .leaves(prefix, allod_tree::prefix_end(prefix).as_deref());
    let mut key = Vec::new();
    while let Some(leaf) = leaves.next()? {
        let node = leaf.node()?;
        for index in 0..node.len() {
            let Some(entry) = node.entry(index, &mut key) else {
                continue;
            };
            if !leaf.is_within() && !key.starts_with(prefix) {
                continue;
            }
            match StateRef::decode(entry).map_err(damaged)?.1 {
                StateRef::Value(bytes) => each(&key, bytes)?,
                StateRef::Tombstone => {}
                state => {
                    if let Some(bytes) = bytes_of(view, &state.to_state())? {
                        each(&key, &bytes)?;
                    }
                }
            }
        }
    }
    Ok(())
}

impl Resolved<'_> {
    /// The sides of the projection: a prefix of keys, and what reads their records.
    pub(crate) fn sides(&self) -> Vec<(Side, &[u8], RecordReader)> {
        let reader = |kind: Option<&Arc<Type>>| RecordReader::new(kind.cloned());
        let own = (
            Side::Own,
            &self.projection.source.prefix[..],
            reader(self.own),
        );
        match &self.projection.shape {
            Shape::Join { other, .. } => {
                vec![own, (Side::Other, &other.prefix[..], reader(self.other))]
            }
            _ => vec![own],
        }
    }

    /// Computes the tree from all records of a state.
    pub(crate) fn build(
        &self,
        view: &View,
        progress: Progress<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, ViewError> {
        let mut tree = Tree::empty();
        let mut changes = Changes::default();
        let mut seen = 0;
        for (side, prefix, mut reader) in self.sides() {
            each_record(view, prefix, &mut |key, bytes| {
                changes.record(self.projection, (side, &mut reader), (key, bytes), 1);
                seen += 1;
                if seen % LOOK_EVERY == 0 && progress(seen).is_break() {
                    return Err(ViewError::Cancelled);
                }
                if changes.entries.len() + changes.groups.len() > GATHERED_MAX {
                    tree = self.apply(&tree, std::mem::take(&mut changes), out)?;
                }
                Ok(())
            })?;
        }
        self.apply(&tree, changes, out)
    }

    /// The type of the records of a side.
    pub(crate) fn kind_of(&self, side: Side) -> Option<&Type> {
        match side {
            Side::Own => self.own.map(|kind| &**kind),
            Side::Other => self.other.map(|kind| &**kind),
        }
    }

    /// What the keys of its records begin with.
    fn prefixes(&self) -> Vec<Vec<u8>> {
        let sides = self.sides().into_iter();
        sides.map(|(_, prefix, _)| prefix.to_vec()).collect()
    }

    /// Computes the tree of `to` from `tree`, that of `from`.
    pub(crate) fn derive(
        &self,
        tree: &Tree,
        states: (&View, &View),
        progress: Progress<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, ViewError> {
        let prefixes = self.prefixes();
        let changed = changes_between(states, &prefixes);
        self.derive_from(tree, changed, progress, out)
    }

    /// Computes the tree of a state from `tree`, that of another, and what differs.
    pub(crate) fn derive_from(
        &self,
        tree: &Tree,
        changed: impl Iterator<Item = Result<Option<Changed>, ViewError>>,
        progress: Progress<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, ViewError> {
        let mut tree = tree.clone();
        let mut changes = Changes::default();
        let mut sides = self.sides();
        for (seen, changed) in (1..).zip(changed) {
            if let Some(changed) = changed? {
                self.change(&mut sides, &changed, &mut changes);
            }
            if seen % LOOK_EVERY == 0 && progress(seen).is_break() {
                return Err(ViewError::Cancelled);
            }
            if changes.entries.len() + changes.groups.len() > GATHERED_MAX {
                tree = self.apply(&tree, std::mem::take(&mut changes), out)?;
            }
        }
        self.apply(&tree, changes, out)
    }

    /// Adds what a record had in the projection, and what it has.
    fn change(
        &self,
        sides: &mut [(Side, &[u8], RecordReader)],
        changed: &Changed,
        changes: &mut Changes,
    ) {
        for (side, prefix, reader) in sides {
            if !changed.key.starts_with(prefix) {
                continue;
            }
            for (bytes, times) in [(&changed.before, -1), (&changed.after, 1)] {
                if let Some(bytes) = bytes {
                    let record = (&changed.key[..], &bytes[..]);
                    changes.record(self.projection, (*side, reader), record, times);
                }
            }
        }
    }

    fn apply(
        &self,
        tree: &Tree,
        mut changes: Changes,
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, ViewError> {
        if let Shape::Group { totals, .. } = &self.projection.shape {
            for (group, change) in std::mem::take(&mut changes.groups) {
                let of = (group_key(&group), &change);
                regroup(tree, totals, of, &mut changes.entries)?;
            }
        }
        let entries = &changes.entries;
        if tree.is_empty() && entries.iter().all(|(_, value)| value.is_some()) {
            let entries = entries
                .iter()
                .filter_map(|(key, value)| Some((key, value?)));
            let entries: Vec<(&[u8], &[u8])> = entries.collect();
            return Ok(Tree::build_unsorted(&entries, out)?);
        }
        let mut entries: Vec<(&[u8], Option<&[u8]>)> = entries.iter().collect();
        // The last of a key first, so that the others go.
        entries.reverse();
        entries.sort_by(|one, other| one.0.cmp(other.0));
        entries.dedup_by(|later, first| later.0 == first.0);
        Ok(tree.edit(entries, out)?)
    }
}

/// Changes what is kept of a group: how many records, and its totals.
fn regroup(
    tree: &Tree,
    totals: &[(Function, Option<Expr>)],
    (key, change): (Vec<u8>, &GroupChange),
    entries: &mut Entries,
) -> Result<(), ViewError> {
    let mut put = |key: &[u8], value: Option<Vec<u8>>| entries.put(&[key], value.as_deref());
    let count = |key: &[u8], change: i64| -> Result<u64, ViewError> {
        let before: u64 = kept(tree, key)?.unwrap_or_default();
        before.checked_add_signed(change).ok_or(ViewError::Damaged)
    };
    for (place, ((function, of), change)) in (0u8..).zip(totals.iter().zip(&change.totals)) {
        let key = [&key[..], &[place]].concat();
        match function {
            Function::Count if of.is_some() => {
                let after = count(&key, change.count)?;
                put(&key, (after > 0).then(|| encode(&after)));
            }
            Function::Sum | Function::Avg => {
                let before = kept::<KeptSum>(tree, &key)?.map(|kept| kept.sum());
                let before = before.transpose()?.unwrap_or_default();
                let sum = before.absorb(change).ok_or(ViewError::Damaged)?;
                put(&key, (sum.count > 0).then(|| encode(&KeptSum::of(&sum))));
            }
            _ => {}
        }
    }
    let after = count(&key, change.count)?;
    put(&key, (after > 0).then(|| encode(&after)));
    Ok(())
}

/// A sum as it is kept: how many, digits, power.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptSum(u64, ByteBuf, i32);

impl KeptSum {
    fn of(sum: &Sum) -> Self {
        let (digits, power) = sum.parts();
        let count = u64::try_from(sum.count).unwrap_or_default();
        Self(count, digits.into(), power)
    }

    /// The sum. [`ViewError::Damaged`] if no values have such a one.
    pub(crate) fn sum(&self) -> Result<Sum, ViewError> {
        Sum::from_parts(self.0, &self.1, self.2).ok_or(ViewError::Damaged)
    }
}

/// The longest value that is kept, in bytes: that of a tree.
const KEPT_BYTES_MAX: usize = allod_tree::VALUE_BYTES_MAX;

/// What a tree keeps under a key.
fn kept<T: Serialize + DeserializeOwned>(tree: &Tree, key: &[u8]) -> Result<Option<T>, ViewError> {
    tree.get(key)?.map(|bytes| decode(&bytes)).transpose()
}

/// What was kept as these bytes.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, ViewError> {
    canonical::decode(bytes, KEPT_BYTES_MAX).map_err(|_error| ViewError::Damaged)
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Integers and bytes always encode.
    canonical::encode(value).unwrap_or_default()
}
