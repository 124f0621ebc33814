//! The tables of a space (TAB-1, TAB-2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use allod_repo::{BranchName, CommitId, Heads};
use allod_sql::{At, Catalog, Scalar, Table, TableError};
use allod_views::{Name, Snapshot, Views};

use crate::diff::diff;
use crate::entries::Entries;
use crate::history;
use crate::kept::Kept;
use crate::projected::ProjectedTable;
use crate::records::Records;
use crate::states;
use crate::visibility::{Both, Everything, Visibility};
use crate::write::{Clock, Writes};

/// The table of all that has a key, whatever it is.
pub const ENTRIES: &str = "allod_entries";

/// The state that names without a clause mean.
#[derive(Clone, Debug)]
pub enum Own {
    /// A branch with what is staged on it.
    Working(BranchName),
    /// A commit.
    Commit(CommitId),
    /// Commits together, with the types of now: what a branch is, or was, without what is staged.
    Commits(Heads),
}

/// The tables of a space: its types, its projections, all that has a key, and tables that the program
/// adds.
///
/// It is of one moment: what is committed or staged later is seen by a catalog that is made later. So one
/// statement of it may write (TAB-7).
pub struct SpaceCatalog {
    views: Views,
    own: Own,
    snapshot: Snapshot,
    kept: Kept,
    visibility: Arc<dyn Visibility>,
    clock: Option<Clock>,
    added: BTreeMap<String, Arc<dyn Table>>,
}

impl fmt::Debug for SpaceCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceCatalog")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl SpaceCatalog {
    /// The tables of a space, which cannot be written.
    pub fn new(views: &Views, own: Own) -> Result<Self, TableError> {
        Ok(Self {
            snapshot: states::own(views, &own)?,
            views: views.clone(),
            own,
            kept: Kept::default(),
            visibility: Arc::new(Everything),
            clock: None,
            added: BTreeMap::new(),
        })
    }

    /// Shares what was decoded with other catalogs.
    #[must_use]
    pub fn with_kept(mut self, kept: &Kept) -> Self {
        self.kept = kept.clone();
        self
    }

    /// Shows what a reader may see, and nothing else.
    #[must_use]
    pub fn seen_by(mut self, visibility: Arc<dyn Visibility>) -> Self {
        self.visibility = visibility;
        self
    }

    /// Lets statements write to the types of the working set; staged edits are stamped by this clock, in
    /// milliseconds since 1970.
    #[must_use]
    pub fn writable(mut self, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Adds a table of this process: a file, another space, whatever gives rows. It has no other states,
    /// and no projection is made of it. A table of the space with the same name stands behind it.
    pub fn add(&mut self, name: &str, table: Arc<dyn Table>) {
        self.added.insert(name.to_ascii_lowercase(), table);
    }

    /// What the reader sees of a state.
    fn seen_at(&self, at: &At) -> Result<Arc<dyn Visibility>, TableError> {
        let seen = self.visibility.elsewhere(at)?;
        Ok(seen.unwrap_or_else(|| Arc::clone(&self.visibility)))
    }

    fn records(
        &self,
        name: &str,
        (snapshot, visibility): (&Snapshot, &Arc<dyn Visibility>),
        is_own: bool,
    ) -> Result<Option<Records>, TableError> {
        let mut types = snapshot.types().types();
        let Some((name, kind)) = types.find(|(known, _)| is_called(known, name)) else {
            return Ok(None);
        };
        let writes = match (&self.clock, &self.own) {
            (Some(clock), Own::Working(branch)) if is_own => {
                let repo = self.views.repo().clone();
                Some(Writes::new(repo, branch.clone(), Arc::clone(clock)))
            }
            _ => None,
        };
        Records::new(snapshot, (name, kind), &self.kept, visibility, writes).map(Some)
    }

    fn table_of(
        &self,
        name: &str,
        (snapshot, visibility): (&Snapshot, &Arc<dyn Visibility>),
        is_own: bool,
    ) -> Result<Option<Arc<dyn Table>>, TableError> {
        if let Some(records) = self.records(name, (snapshot, visibility), is_own)? {
            return Ok(Some(Arc::new(records)));
        }
        if name.eq_ignore_ascii_case(ENTRIES) {
            let entries = Entries::new(snapshot, visibility)?;
            return Ok(Some(Arc::new(entries)));
        }
        let mut projections = snapshot.projections().projections();
        let found = projections.find(|(known, _)| is_called(known, name));
        let Some((name, projection)) = found else {
            return Ok(None);
        };
        let table = ProjectedTable::new(snapshot, (name, projection), visibility);
        Ok(table.map(|table| Arc::new(table) as Arc<dyn Table>))
    }
}

fn is_called(known: &Name, name: &str) -> bool {
    known.as_str().eq_ignore_ascii_case(name)
}

impl Catalog for SpaceCatalog {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        if let Some(table) = self.added.get(&name.to_ascii_lowercase()) {
            if !at.is_own() {
                return Err(TableError::State(format!("{name} has no other states")));
            }
            return Ok(Some(Arc::clone(table)));
        }
        if at.is_own() {
            return self.table_of(name, (&self.snapshot, &self.visibility), true);
        }
        // Who may not see the state does not hear whether it is there.
        let visibility = self.seen_at(at)?;
        let snapshot = states::named(&self.views, &self.own, at)?;
        self.table_of(name, (&snapshot, &visibility), false)
    }

    fn diff(&self, name: &str, from: &str, to: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        let state = |text: &str| {
            let at = At {
                as_of: Some(text.to_owned()),
                branch: None,
            };
            let visibility = self.seen_at(&at)?;
            Ok((states::named(&self.views, &self.own, &at)?, visibility))
        };
        let ((from, one), (to, other)) = (state(from)?, state(to)?);
        let visibility: Arc<dyn Visibility> = Arc::new(Both([one, other]));
        let kind = |snapshot: &Snapshot| {
            let mut types = snapshot.types().types();
            let found = types.find(|(known, _)| is_called(known, name));
            found.map(|(name, kind)| (name.clone(), Arc::clone(kind)))
        };
        let Some(kind) = kind(&to).or_else(|| kind(&from)) else {
            return Ok(None);
        };
        Ok(Some(diff(&kind, (&from, &to), &visibility)))
    }

    fn function(
        &self,
        name: &str,
        arguments: &[Scalar],
    ) -> Result<Option<Arc<dyn Table>>, TableError> {
        let table = history::function(
            name,
            arguments,
            (&self.snapshot, &self.own),
            &self.visibility,
        )?;
        Ok(table.map(|table| Arc::new(table) as Arc<dyn Table>))
    }

    fn names(&self) -> Vec<String> {
        let types = self
            .snapshot
            .types()
            .types()
            .map(|(name, _)| name.to_string());
        let projections = self.snapshot.projections().projections();
        let projections = projections.map(|(name, _)| name.to_string());
        let mut names: Vec<String> = types
            .chain(projections)
            .chain(self.added.keys().cloned())
            .collect();
        names.push(ENTRIES.to_owned());
        names
    }

    fn functions(&self) -> Vec<String> {
        history::FUNCTIONS
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    }
}
