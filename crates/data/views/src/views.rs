//! The projections of a space: looked up, or computed once and kept (PROJ-10 to PROJ-12).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allod_blocks::{Block, Cid, Hold, StoreErrorKind};
use allod_repo::{BranchName, CommitId, Repo, RepoError, State, View};
use allod_tree::{Tree, TreeError};
use bytes::Bytes;

use crate::definition::Projection;
use crate::definitions::Definitions;
use crate::derive::{Changed, Resolved, bytes_of, few_changes};
use crate::error::ViewError;
use crate::memo::{BESIDE, Held, Memo, PROJECTIONS, Place};
use crate::together;
use crate::turn::Turn;
use crate::types::Name;

/// Ancestors of a state that are looked at for one whose projection is kept.
const ANCESTORS_MAX: usize = 32;

/// How often whoever waits for another asks whether to go on.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(50);

/// States of `meta` whose definitions are kept at hand.
const DEFINITIONS_KEPT: usize = 8;

/// The projections of a space.
///
/// Clones share what is kept. Only one of a space, with its clones, may be open at a time.
#[derive(Clone, Debug)]
pub struct Views {
    repo: Repo,
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) memo: Mutex<Memo>,
    /// What others keep beside projections.
    pub(crate) beside: Mutex<Memo>,
    /// Places that somebody is computing the tree of.
    pub(crate) computing: Mutex<BTreeSet<Place>>,
    pub(crate) computed: Condvar,
    /// By the root of the tree of `meta`, the latest used last.
    definitions: Mutex<Vec<(Cid, Arc<Definitions>)>>,
}

/// A state with the types that are in force there, and the projections that are defined now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    views: Views,
    view: View,
    in_force: Arc<Definitions>,
    now: Arc<Definitions>,
}

/// A projection of one state.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Its definition.
    pub projection: Arc<Projection>,
    /// Its tree.
    pub tree: Tree,
    /// The state that it is of.
    pub(crate) source: View,
    pub(crate) types: Arc<Definitions>,
}

/// What to do if a projection was not computed yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnStale {
    /// Compute it.
    #[default]
    Block,
    /// Fail with [`ViewError::Stale`].
    Error,
}

/// What a check of a projection found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checked {
    /// It is not kept for this state, and will be computed when it is asked for.
    NotKept,
    /// It is what its records make of it.
    Right,
    /// It was not, or blocks of it were lost; now it is.
    PutRight,
}

/// Whether to go on, asked now and then with how many records were looked at.
pub type GoOn<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Views {
    /// The projections of a space, with what its store keeps of them.
    pub fn open(repo: &Repo) -> Result<Self, ViewError> {
        let open = |kind| Memo::open(&**repo.store(), kind, repo.id().cid());
        let inner = Inner {
            memo: Mutex::new(open(PROJECTIONS)?),
            beside: Mutex::new(open(BESIDE)?),
            computing: Mutex::default(),
            computed: Condvar::new(),
            definitions: Mutex::default(),
        };
        Ok(Self {
            repo: repo.clone(),
            inner: Arc::new(inner),
        })
    }

    /// The space.
    #[must_use]
    pub const fn repo(&self) -> &Repo {
        &self.repo
    }

    /// What is defined now.
    pub fn definitions(&self) -> Result<Arc<Definitions>, ViewError> {
        self.definitions_of(&self.repo.state(&BranchName::meta())?)
    }

    /// What a commit of `meta` defines.
    pub(crate) fn definitions_at(&self, policy: CommitId) -> Result<Arc<Definitions>, ViewError> {
        self.definitions_of(&self.repo.at(policy)?)
    }

    /// A state with these types.
    pub(crate) fn snapshot_under(
        &self,
        view: View,
        types: &Arc<Definitions>,
    ) -> Result<Snapshot, ViewError> {
        let now = self.definitions()?;
        Ok(Snapshot {
            views: self.clone(),
            view,
            in_force: Arc::clone(types),
            now,
        })
    }

    fn definitions_of(&self, meta: &View) -> Result<Arc<Definitions>, ViewError> {
        let root = meta.tree().root();
        let mut kept = lock(&self.inner.definitions);
        let found = match kept.iter().position(|(known, _)| *known == root) {
            Some(at) => kept.remove(at).1,
            None => Arc::new(Definitions::read(meta)?),
        };
        if kept.len() >= DEFINITIONS_KEPT {
            kept.remove(0);
        }
        kept.push((root, Arc::clone(&found)));
        Ok(found)
    }

    /// A branch as it is, with the types of now.
    pub fn branch(&self, branch: &BranchName) -> Result<Snapshot, ViewError> {
        self.snapshot(self.repo.state(branch)?)
    }

    /// A state, with the types of now.
    pub fn snapshot(&self, view: View) -> Result<Snapshot, ViewError> {
        let now = self.definitions()?;
        Ok(Snapshot {
            views: self.clone(),
            view,
            in_force: Arc::clone(&now),
            now,
        })
    }

    /// A commit, with the types that were in force when it was made.
    pub fn commit(&self, id: CommitId) -> Result<Snapshot, ViewError> {
        let policy = self.repo.commit(id)?.payload().policy;
        let in_force = match policy {
            Some(policy) => self.definitions_at(policy)?,
            None => Arc::default(),
        };
        Ok(Snapshot {
            views: self.clone(),
            view: self.repo.at(id)?,
            in_force,
            now: self.definitions()?,
        })
    }

    /// Holds trees in memory; whether they should be stored now.
    pub(crate) fn hold(&self, trees: Vec<(Place, Tree)>, blocks: Vec<Block>, in_use: Hold) -> bool {
        lock(&self.inner.memo).hold(trees, blocks, in_use)
    }

    /// Stores what was computed and is held in memory alone. Without that it is computed again.
    pub fn save(&self) -> Result<(), ViewError> {
        let saved = lock(&self.inner.memo).save(&**self.repo.store())?;
        for tree in &saved {
            self.repo.keep_tree(tree);
        }
        Ok(())
    }

    /// Forgets everything that was computed, and what is kept beside it: it is computed again when it is
    /// asked for. Returns how many trees that were.
    pub fn forget_all(&self) -> Result<usize, ViewError> {
        let store = &**self.repo.store();
        let beside = lock(&self.inner.beside).forget(store, None)?;
        Ok(beside + lock(&self.inner.memo).forget(store, None)?)
    }

    /// Forgets what was computed under the digest of a name.
    pub(crate) fn forget(&self, name: [u8; 32]) -> Result<usize, ViewError> {
        Ok(lock(&self.inner.memo).forget(&**self.repo.store(), Some(name))?)
    }

    /// Whether so much is kept that nothing should be computed without anybody asking: it would push out
    /// what somebody asked for.
    pub(crate) fn is_half_full(&self) -> bool {
        lock(&self.inner.memo).is_half_full()
    }

    /// Whether somebody computes one of these just now.
    pub(crate) fn is_computing(&self, names: &BTreeSet<[u8; 32]>) -> bool {
        let computing = lock(&self.inner.computing);
        computing.iter().any(|place| names.contains(&place.name))
    }
}

impl Snapshot {
    /// The state.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The types in force.
    #[must_use]
    pub fn types(&self) -> &Definitions {
        &self.in_force
    }

    /// The projections that are defined.
    #[must_use]
    pub fn projections(&self) -> &Definitions {
        &self.now
    }

    /// A record as its bytes; `None` for what is a file, and where there is nothing.
    pub fn bytes_of(&self, state: &State) -> Result<Option<Bytes>, ViewError> {
        Ok(bytes_of(&self.view, state)?)
    }

    /// The space.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.views.repo
    }

    /// The state without what is staged.
    pub(crate) fn source_view(&self) -> View {
        self.repo().view(self.view.tree().clone())
    }

    pub(crate) const fn views(&self) -> &Views {
        &self.views
    }

    pub(crate) fn definition(&self, name: &Name) -> Result<Arc<Projection>, ViewError> {
        let found = self.now.projection(name);
        found
            .cloned()
            .ok_or_else(|| ViewError::NoProjection(name.clone()))
    }

    /// Where the tree of a projection is kept.
    pub(crate) fn place_of(&self, name: &Name) -> Result<Place, ViewError> {
        Ok(self.place(&*self.definition(name)?))
    }

    fn place(&self, projection: &Projection) -> Place {
        let name = self.in_force.resolve(projection).name();
        Place::new(&name, &self.view.tree().root())
    }

    /// Whether a projection of this state is at hand.
    pub fn is_fresh(&self, name: &Name) -> Result<bool, ViewError> {
        let place = self.place_of(name)?;
        Ok(lock(&self.views.inner.memo).get(&place).is_some())
    }

    /// A projection of this state; what is staged is not in it.
    ///
    /// # Errors
    /// [`ViewError::NoProjection`], [`ViewError::Stale`], and [`ViewError::Cancelled`] if `go_on` said
    /// to stop.
    pub fn projection(
        &self,
        name: &Name,
        on_stale: OnStale,
        go_on: GoOn<'_>,
    ) -> Result<Projected, ViewError> {
        let projection = self.definition(name)?;
        let place = self.place(&projection);
        let tree = match on_stale {
            OnStale::Block => self.tree_of(&projection, go_on)?,
            OnStale::Error => {
                let kept = self.kept(&place)?;
                kept.ok_or_else(|| ViewError::Stale(name.clone()))?
            }
        };
        Ok(Projected {
            projection,
            tree,
            source: self.source_view(),
            types: Arc::clone(&self.in_force),
        })
    }

    /// A projection of this state with what is staged: derived from that of the tree below, and not
    /// kept.
    ///
    /// # Errors
    /// Those of [`projection`](Self::projection).
    pub fn working_projection(&self, name: &Name, go_on: GoOn<'_>) -> Result<Projected, ViewError> {
        let mut projected = self.projection(name, OnStale::Block, go_on)?;
        let resolved = self.in_force.resolve(&projected.projection);
        let states = (&projected.source, &self.view);
        let derived = resolved.derive(&projected.tree, states, go_on, &mut |_| {});
        projected.tree = match lost_is_none(derived.map(Some))? {
            Some(tree) => tree,
            None => resolved.build(&self.view, go_on, &mut |_| {})?,
        };
        projected.source = self.view.clone();
        Ok(projected)
    }

    /// Whether a projection was ever computed under the types of this state, so that it can be derived.
    pub fn is_derivable(&self, name: &Name) -> Result<bool, ViewError> {
        let place = self.place_of(name)?;
        Ok(lock(&self.views.inner.memo).latest(place.name).is_some())
    }

    /// The tree of a projection, which need not be defined.
    pub(crate) fn tree_of(
        &self,
        projection: &Projection,
        go_on: GoOn<'_>,
    ) -> Result<Tree, ViewError> {
        let place = self.place(projection);
        loop {
            if let Some(tree) = self.kept(&place)? {
                return Ok(tree);
            }
            // One computes, whoever else wants it waits.
            if let Some(_turn) = Turn::take(&self.views.inner, place, go_on)? {
                return self.compute(projection, place, go_on);
            }
        }
    }

    /// The tree of a projection that is of use for the latest state alone: that of no other is kept.
    pub(crate) fn only_tree_of(
        &self,
        projection: &Projection,
        go_on: GoOn<'_>,
    ) -> Result<Tree, ViewError> {
        let tree = self.tree_of(projection, go_on)?;
        let place = self.place(projection);
        lock(&self.views.inner.memo).keep_only(place.name, &BTreeSet::from([place.state]));
        Ok(tree)
    }

    /// The tree that is kept of a place. One whose blocks are lost is forgotten.
    pub(crate) fn kept(&self, place: &Place) -> Result<Option<Tree>, ViewError> {
        let held = lock(&self.views.inner.memo).get(place);
        self.held(held)
    }

    /// The tree that is held somewhere. None if its blocks are lost.
    pub(crate) fn held(&self, held: Option<Held>) -> Result<Option<Tree>, ViewError> {
        match held {
            None => Ok(None),
            Some(Held::Unsaved(tree)) => Ok(Some(tree)),
            Some(Held::Saved(root)) => self.open(root),
        }
    }

    /// A tree by its root; none if its blocks are lost.
    pub(crate) fn open(&self, root: Cid) -> Result<Option<Tree>, ViewError> {
        let empty = Tree::empty();
        // Nobody stores the node of an empty tree.
        if root == empty.root() {
            return Ok(Some(empty));
        }
        match self.repo().tree(root) {
            Ok(tree) => Ok(Some(tree)),
            Err(error) if is_lost(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks what is kept of a projection of this state against its records, and puts right what is wrong.
    /// Nothing is kept that was not.
    pub fn check(&self, name: &Name, go_on: GoOn<'_>) -> Result<Checked, ViewError> {
        let projection = self.definition(name)?;
        let place = self.place(&projection);
        let Some(held) = lock(&self.views.inner.memo).get(&place) else {
            return Ok(Checked::NotKept);
        };
        let in_use = self.repo().store().uses().hold();
        let mut blocks = Vec::new();
        let resolved = self.in_force.resolve(&projection);
        let source = self.source_view();
        let tree = resolved.build(&source, go_on, &mut |block| blocks.push(block))?;
        // The blocks that are kept may be lost though their names are right.
        let kept = match held {
            Held::Saved(root) => self.open(root)?,
            Held::Unsaved(tree) => Some(tree),
        };
        let is_whole = match kept {
            Some(kept) if kept.root() == tree.root() => {
                match kept.verify().map_err(RepoError::from) {
                    Ok(_) => true,
                    Err(error) if is_lost(&error) => false,
                    Err(error) => return Err(error.into()),
                }
            }
            _ => false,
        };
        if is_whole {
            return Ok(Checked::Right);
        }
        self.views.hold(vec![(place, tree)], blocks, in_use);
        self.views.save()?;
        Ok(Checked::PutRight)
    }

    fn compute(
        &self,
        projection: &Projection,
        place: Place,
        go_on: GoOn<'_>,
    ) -> Result<Tree, ViewError> {
        // Blocks found here may be garbage until the reference names them.
        let in_use = self.repo().store().uses().hold();
        let nearest = self.nearest(place)?;
        let view = self.source_view();
        let resolved = self.in_force.resolve(projection);
        let (tree, blocks) = derived(&resolved, nearest.as_ref(), (&view, None), go_on)?;
        self.views.hold(vec![(place, tree.clone())], blocks, in_use);
        self.views.save()?;
        Ok(tree)
    }

    /// Computes all projections that are not kept, but for those that are to wait, several at once. They
    /// answer at once, and are stored by [`Views::save`]; what was not is computed again. Returns how many.
    pub fn refresh(&self, go_on: GoOn<'_>) -> Result<usize, ViewError> {
        let in_use = self.repo().store().uses().hold();
        let mut stale = Vec::new();
        for (name, projection) in self.now.projections() {
            let place = self.place(projection);
            if self.views.is_waiting(name)? || self.kept(&place)?.is_some() {
                continue;
            }
            // Somebody else computes it.
            let Some(turn) = Turn::try_take(&self.views.inner, place) else {
                continue;
            };
            let nearest = self.nearest(place)?;
            stale.push((turn, self.in_force.resolve(projection), nearest));
        }
        let view = self.source_view();
        // Most have the same state before, and so the same changes.
        let before = stale.iter().find_map(|(_, _, nearest)| nearest.as_ref());
        let shared = match before {
            Some((from, _)) if stale.len() > 1 => {
                let root = from.tree().root();
                let is_of = |nearest: &Option<(View, Tree)>| {
                    nearest
                        .as_ref()
                        .is_some_and(|(from, _)| from.tree().root() == root)
                };
                let of_it = stale.iter().filter(|(_, _, nearest)| is_of(nearest));
                let of_it: Vec<&Resolved<'_>> = of_it.map(|(_, resolved, _)| resolved).collect();
                let changes = few_changes((from, &view), &of_it, go_on);
                lost_is_none(changes.map(|changes| Some((root, changes?))))?
            }
            _ => None,
        };
        let shared = shared.as_ref();
        let made = together::each(&stale, go_on, |(_, resolved, nearest), go_on| {
            derived(resolved, nearest.as_ref(), (&view, shared), go_on)
        })?;
        let (mut trees, mut blocks) = (Vec::new(), Vec::new());
        for ((turn, _, _), (tree, made)) in stale.iter().zip(made) {
            trees.push((turn.place, tree));
            blocks.extend(made);
        }
        let count = trees.len();
        if count > 0 && self.views.hold(trees, blocks, in_use) {
            self.views.save()?;
        }
        Ok(count)
    }

    /// A state of which the projection is kept: an ancestor if there is one near, else the one that
    /// was computed last.
    fn nearest(&self, place: Place) -> Result<Option<(View, Tree)>, ViewError> {
        let mut open: Vec<CommitId> = self.view.heads().iter().copied().collect();
        let mut seen = 0;
        while let Some(id) = open.pop().filter(|_| seen < ANCESTORS_MAX) {
            seen += 1;
            let commit = self.repo().commit(id)?;
            let said = commit.payload();
            // Of a part of a space some states are not here.
            if self.repo().is_held(id)? {
                let root = self.repo().state_root(id)?;
                if let Some(tree) = self.kept(&place.at(&root))? {
                    return Ok(self.source(root)?.map(|source| (source, tree)));
                }
            }
            open.splice(0..0, said.parents.iter().copied());
        }
        let latest = lock(&self.views.inner.memo).latest(place.name);
        let Some(latest) = latest else {
            return Ok(None);
        };
        let root = latest.root();
        let tree = self.kept(&latest)?;
        Ok(self.source(root)?.zip(tree))
    }

    /// A state by the root of its tree, if it is still here.
    fn source(&self, root: Cid) -> Result<Option<View>, ViewError> {
        Ok(self.open(root)?.map(|tree| self.repo().view(tree)))
    }
}

/// What differs between a state and another one, with the root of that one.
type SharedChanges = (Cid, Vec<Changed>);

/// The tree of a projection of a state and the blocks of it that are new: from the nearest state that is
/// kept, or from the source.
fn derived(
    resolved: &Resolved<'_>,
    nearest: Option<&(View, Tree)>,
    (view, shared): (&View, Option<&SharedChanges>),
    go_on: GoOn<'_>,
) -> Result<(Tree, Vec<Block>), ViewError> {
    let mut blocks = Vec::new();
    if let Some((from, tree)) = nearest {
        let out = &mut |block| blocks.push(block);
        let derived = match shared.filter(|(root, _)| *root == from.tree().root()) {
            Some((_, changes)) => {
                let changes = changes.iter().cloned().map(|change| Ok(Some(change)));
                resolved.derive_from(tree, changes, go_on, out)
            }
            None => resolved.derive(tree, (from, view), go_on, out),
        };
        // Its state may be collected, or damaged: then from the source.
        if let Some(tree) = lost_is_none(derived.map(Some))? {
            return Ok((tree, blocks));
        }
        blocks.clear();
    }
    let tree = resolved.build(view, go_on, &mut |block| blocks.push(block))?;
    Ok((tree, blocks))
}

/// None where blocks are missing or damaged, or what they hold was never computed.
pub(crate) fn lost_is_none<T>(
    result: Result<Option<T>, ViewError>,
) -> Result<Option<T>, ViewError> {
    match result {
        Err(ViewError::Damaged) => Ok(None),
        Err(ViewError::Repo(error)) if is_lost(&error) => Ok(None),
        other => other,
    }
}

/// Whether blocks are missing or damaged, so that what they hold is to be had another way.
fn is_lost(error: &RepoError) -> bool {
    match error {
        RepoError::Missing(_) | RepoError::Damaged(_) => true,
        RepoError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
        RepoError::Tree(error) => match error {
            TreeError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            TreeError::Missing { .. } | TreeError::Node { .. } | TreeError::Link { .. } => true,
            _ => false,
        },
        _ => false,
    }
}
