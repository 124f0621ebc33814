//! The tree of parts that a commit signs: the roots of its slices, by their prefixes (PART-21).

use std::collections::BTreeMap;
use std::ops::Bound;

use allod_blocks::{Block, Cid};
use allod_tree::{KeySpans, Tree, TreeError, prefix_end};
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::joining::join;
use crate::part::slice::Nodes;
use crate::repo::Repo;
use crate::statements::Commit;
use crate::write::{Entries, apply};

/// Bytes of changed entries of declared parts that are kept in memory. If there are more, all slices are made anew.
const CHANGED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a commit goes on from, what it led to, and what it changed, if that is at hand.
pub(crate) struct Step<'a> {
    pub(crate) base: &'a Tree,
    pub(crate) tree: &'a Tree,
    pub(crate) changes: Option<&'a Entries>,
}

impl Repo {
    /// The tree of parts of a commit by the policy that it names; none if nothing is declared there for its branch. Hands
    /// new nodes to `out`.
    pub(crate) fn parts_of(
        &self,
        said: &Commit,
        step: &Step<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Option<Cid>, RepoError> {
        let prefixes = self.declared_by(said.policy, &said.branch)?;
        if prefixes.is_empty() {
            return Ok(None);
        }
        let (mut found, changes) = (None, step.changes);
        if changes.is_none() {
            found = changed_within(step, &prefixes)?;
        }
        let made = match changes.or(found.as_ref()) {
            Some(changes) => match self.going_on(said, &prefixes, (step.base, changes), out) {
                // What is derived may be gone (PART-25).
                Err(RepoError::Tree(TreeError::Missing { .. })) => {
                    let from_base = |prefix: &Bytes, out: &mut dyn FnMut(Block)| {
                        let slice = slice_of(step.base, prefix, out)?;
                        changed(&slice, prefix, changes, out)
                    };
                    parts_tree(&prefixes, from_base, out)
                }
                made => made,
            },
            None => parts_tree(
                &prefixes,
                |prefix, out| slice_of(step.tree, prefix, out),
                out,
            ),
        };
        Ok(Some(made?.root()))
    }

    /// The tree of parts that goes on from those of the parents.
    fn going_on(
        &self,
        said: &Commit,
        prefixes: &[Bytes],
        (base, changes): (&Tree, &Entries),
        out: &mut dyn FnMut(Block),
    ) -> Result<Tree, RepoError> {
        let mut before: Vec<Option<Tree>> = Vec::new();
        let mut are_alike = true;
        for parent in &said.parents {
            let commit = self.commit(*parent)?;
            let parent = commit.payload();
            let tree = parent.parts.map(|root| self.tree(root)).transpose()?;
            let first = before.first().unwrap_or(&tree);
            are_alike &= first.as_ref().map(Tree::root) == tree.as_ref().map(Tree::root);
            // Then it has the same names.
            are_alike &= parent.policy == said.policy && parent.branch == said.branch;
            before.push(tree);
        }
        if let (true, Some(Some(parts))) = (are_alike, before.first()) {
            let mut edits = Entries::new();
            for prefix in prefixes.iter().filter(|prefix| touches(prefix, changes)) {
                let slice = self.slice_in(parts, prefix)?;
                // A commit that was not held whole may have been believed without it.
                let slice = slice.ok_or(TreeError::Missing { cid: parts.root() })?;
                let slice = changed(&slice, prefix, changes, out)?;
                edits.insert(prefix.clone(), slice.root().to_bytes().into());
            }
            return apply(parts, &edits, out);
        }
        let known: Option<Vec<Tree>> = before.into_iter().collect();
        let known = known.filter(|known| !known.is_empty());
        let from_parents = |prefix: &Bytes, out: &mut dyn FnMut(Block)| {
            let slice = self.joined_slice(known.as_deref().unwrap_or_default(), prefix, out)?;
            let slice = slice.map_or_else(|| slice_of(base, prefix, out), Ok)?;
            changed(&slice, prefix, changes, out)
        };
        parts_tree(prefixes, from_parents, out)
    }

    /// The join of the slices that some trees of parts have; none unless all have it, or where more than two differ: what
    /// two of them join to may be a block that is nowhere yet.
    fn joined_slice(
        &self,
        trees: &[Tree],
        prefix: &[u8],
        out: &mut dyn FnMut(Block),
    ) -> Result<Option<Tree>, RepoError> {
        let mut slices: Vec<Tree> = Vec::new();
        for parts in trees {
            let Some(slice) = self.slice_in(parts, prefix)? else {
                return Ok(None);
            };
            if slices.iter().all(|there| there.root() != slice.root()) {
                slices.push(slice);
            }
        }
        Ok(match slices.as_slice() {
            [only] => Some(only.clone()),
            [one, other] => Some(join(one, other, &|cid| self.raw(cid), out)?),
            _ => None,
        })
    }

    pub(crate) fn slice_in(&self, parts: &Tree, prefix: &[u8]) -> Result<Option<Tree>, RepoError> {
        let root = parts.get(prefix)?;
        let root = root.map(|bytes| root_in(&bytes)).transpose()?;
        root.map(|root| self.tree(root)).transpose()
    }

    /// Refuses a commit whose parts are not those of its tree (PART-21). Hands their new nodes to `out`.
    pub(crate) fn check_parts(
        &self,
        said: &Commit,
        step: &Step<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<(), Rejected> {
        let Some(parts) = said.parts else {
            return Ok(());
        };
        if let Some(policy) = said.policy
            && !self.has_commit(policy)?
        {
            return Err(Refusal::Policy.into());
        }
        if self.parts_of(said, step, out)? != Some(parts) {
            return Err(Refusal::Parts.into());
        }
        Ok(())
    }

    /// The same of a commit whose tree is in the store, into which the nodes go.
    pub(crate) fn check_stored_parts(
        &self,
        said: &Commit,
        base: &Tree,
        tree: &Tree,
    ) -> Result<(), Rejected> {
        let step = Step {
            base,
            tree,
            changes: None,
        };
        let mut nodes = Nodes::new(self);
        self.check_parts(said, &step, &mut |block| nodes.put(block))?;
        Ok(nodes.flush()?)
    }

    /// Refuses slices that have other keys than those of their prefixes.
    pub(crate) fn check_named(&self, found: &BTreeMap<Bytes, Cid>) -> Result<(), Rejected> {
        for (prefix, root) in found {
            if !Self::is_under(&self.tree(*root)?, [prefix])? {
                return Err(Refusal::Parts.into());
            }
        }
        Ok(())
    }

    /// Some trees that are here.
    pub(crate) fn trees(&self, roots: &[Cid]) -> Result<Vec<Tree>, RepoError> {
        roots.iter().map(|root| self.tree(*root)).collect()
    }

    /// Whether a commit has keys of parts alone that its policy declares for its branch (PART-23), as far as its tree is here.
    pub(crate) fn is_of_parts(
        &self,
        said: &Commit,
        tree: Option<&Tree>,
    ) -> Result<bool, RepoError> {
        let prefixes = self.declared_by(said.policy, &said.branch)?;
        if prefixes.is_empty() {
            return Ok(false);
        }
        let Some(tree) = tree else {
            return Ok(true);
        };
        Self::is_under(tree, &prefixes)
    }
}

/// The root that a tree of parts has under a prefix.
pub(crate) fn root_in(value: &[u8]) -> Result<Cid, Refusal> {
    Cid::try_from(value).map_err(|_error| Refusal::Parts)
}

/// The tree of the slices that `of` gives.
fn parts_tree(
    prefixes: &[Bytes],
    mut of: impl FnMut(&Bytes, &mut dyn FnMut(Block)) -> Result<Tree, RepoError>,
    out: &mut dyn FnMut(Block),
) -> Result<Tree, RepoError> {
    let mut roots = Vec::new();
    for prefix in prefixes {
        roots.push((prefix, of(prefix, out)?.root().to_bytes()));
    }
    Ok(Tree::build(roots, out)?)
}

/// The entries of a tree under a prefix, as a tree.
fn slice_of(tree: &Tree, prefix: &[u8], out: &mut dyn FnMut(Block)) -> Result<Tree, RepoError> {
    let end = prefix_end(prefix);
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut fault = None;
    let entries = tree.range((Bound::Included(prefix), to));
    let entries = entries.map_while(|item| item.map_err(|error| fault = Some(error)).ok());
    let slice = Tree::build(entries, out)?;
    fault.map_or(Ok(slice), |fault| Err(fault.into()))
}

/// A slice with what was changed of it.
fn changed(
    slice: &Tree,
    prefix: &[u8],
    changes: &Entries,
    out: &mut dyn FnMut(Block),
) -> Result<Tree, RepoError> {
    let from: (Bound<&[u8]>, _) = (Bound::Included(prefix), Bound::Unbounded);
    let own = changes.range::<[u8], _>(from);
    let own = own.take_while(|(key, _)| key.starts_with(prefix));
    let own: Entries = own
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    if slice.is_empty() && own.is_empty() {
        // The node of the empty map may be nowhere yet.
        return Ok(Tree::build([(b"", b""); 0], out)?);
    }
    apply(slice, &own, out)
}

fn touches(prefix: &[u8], changes: &Entries) -> bool {
    let from: (Bound<&[u8]>, _) = (Bound::Included(prefix), Bound::Unbounded);
    let mut from = changes.range::<[u8], _>(from);
    from.next().is_some_and(|(key, _)| key.starts_with(prefix))
}

/// What a step changed of some parts; none if that is too much.
fn changed_within(step: &Step<'_>, prefixes: &[Bytes]) -> Result<Option<Entries>, RepoError> {
    let keys = KeySpans::of_prefixes(prefixes);
    let (mut changes, mut bytes) = (Entries::new(), 0);
    for change in step.base.diff(step.tree) {
        let change = change?;
        let Some(entry) = change.right.filter(|_| keys.contains(&change.key)) else {
            continue;
        };
        bytes += change.key.len() + entry.len();
        if bytes > CHANGED_BYTES_MAX {
            return Ok(None);
        }
        changes.insert(change.key, entry);
    }
    Ok(Some(changes))
}
