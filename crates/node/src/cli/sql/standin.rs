//! The entries of a space as one table: `allod_entries(_key, value)`.

use std::sync::{Arc, Mutex, PoisonError};

use allod_repo::{BranchName, CommitId, Content, Edit, Repo, RepoError, Span, View};
use allod_sql::{
    Ask, At, Catalog, Column, ColumnType, Identity, OnConflict, Open, Plan, Rows, ScalarRef, Table,
    TableError,
};
use allod_views::Views;

/// Where the space stands.
#[derive(Clone, Debug)]
pub(crate) enum Own {
    /// A branch with what is staged.
    Working(BranchName),
    /// A commit.
    Commit(CommitId),
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct TablesError(#[from] RepoError);

/// Tables of a space.
pub(crate) struct SpaceCatalog {
    repo: Repo,
    own: Own,
}

impl SpaceCatalog {
    pub(crate) fn new(views: &Views, own: Own) -> Result<Self, TablesError> {
        let repo = views.repo().clone();
        if let Own::Working(branch) = &own {
            repo.staged(branch)?;
        }
        Ok(Self { repo, own })
    }

    fn view(&self, at: &At) -> Result<View, TableError> {
        let state = |text: &str| TableError::State(format!("no branch or commit {text:?}"));
        match (&at.as_of, &at.branch, &self.own) {
            (Some(text), None, _) => match &self.repo.find(text).map_err(fault)?[..] {
                [one] => self.repo.at(*one).map_err(fault),
                _ => Err(state(text)),
            },
            (None, Some(text), _) => {
                let branch: BranchName = text.parse().map_err(|_error| state(text))?;
                self.repo.working(&branch).map_err(fault)
            }
            (Some(text), Some(_), _) => Err(state(text)),
            (None, None, Own::Working(branch)) => self.repo.working(branch).map_err(fault),
            (None, None, Own::Commit(id)) => self.repo.at(*id).map_err(fault),
        }
    }
}

fn fault(error: RepoError) -> TableError {
    TableError::Fault {
        code: "E_REPO",
        message: error.to_string(),
    }
}

const NAME: &str = "allod_entries";

impl Catalog for SpaceCatalog {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        let view = self.view(at)?;
        if !name.eq_ignore_ascii_case(NAME) {
            return Ok(None);
        }
        let branch = match &self.own {
            Own::Working(branch) if at.is_own() => Some(branch.clone()),
            _ => None,
        };
        Ok(Some(Arc::new(Entries {
            columns: ["_key", "value"].map(|name| Column::new(name, ColumnType::Text)),
            view,
            to: branch.map(|branch| (self.repo.clone(), branch)),
            edits: Mutex::default(),
        })))
    }

    fn diff(&self, _: &str, _: &str, _: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        Ok(None)
    }

    fn names(&self) -> Vec<String> {
        vec![NAME.to_owned()]
    }
}

struct Entries {
    columns: [Column; 2],
    view: View,
    to: Option<(Repo, BranchName)>,
    edits: Mutex<Vec<(bytes::Bytes, Edit)>>,
}

impl Entries {
    fn edit(&self, key: &ScalarRef<'_>, edit: Edit) -> Result<(), TableError> {
        if self.to.is_none() {
            return Err(TableError::ReadOnly);
        }
        let ScalarRef::Text(key) = key else {
            return Err(TableError::Constraint("a key is a text".to_owned()));
        };
        let key = bytes::Bytes::copy_from_slice(key.as_bytes());
        self.edits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((key, edit));
        Ok(())
    }
}

fn put(value: &ScalarRef<'_>) -> Result<Edit, TableError> {
    match value {
        ScalarRef::Text(text) => Ok(Edit::Put(bytes::Bytes::copy_from_slice(text.as_bytes()))),
        _ => Err(TableError::Constraint("a value is a text".to_owned())),
    }
}

impl Table for Entries {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn identity(&self) -> Identity {
        Identity::Key(0)
    }

    fn plan(&self, _: &Ask<'_>) -> Plan {
        Plan::scan(self.view.tree().len())
    }

    fn open(&self, _: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let mut rows = Vec::new();
        for item in self.view.range(&Span::default(), false) {
            let (key, entry) = item.map_err(fault)?;
            if let Some(Content::Bytes(value)) = self.view.content(&entry).map_err(fault)? {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                rows.push([text(&key), text(&value)]);
            }
        }
        Ok(Box::new(Read { rows, next: 0 }))
    }

    fn insert(&self, row: &[ScalarRef<'_>], _: OnConflict) -> Result<i64, TableError> {
        let [key, value] = row else {
            return Err(TableError::ReadOnly);
        };
        self.edit(key, put(value)?).map(|()| 0)
    }

    fn update(
        &self,
        id: ScalarRef<'_>,
        row: &[Option<ScalarRef<'_>>],
        _: OnConflict,
    ) -> Result<(), TableError> {
        match row {
            [_, Some(value)] => self.edit(&id, put(value)?),
            _ => Err(TableError::ReadOnly),
        }
    }

    fn delete(&self, id: ScalarRef<'_>) -> Result<(), TableError> {
        self.edit(&id, Edit::Delete)
    }

    fn commit(&self) -> Result<(), TableError> {
        let edits = std::mem::take(&mut *self.edits.lock().unwrap_or_else(PoisonError::into_inner));
        match &self.to {
            Some((repo, branch)) => repo.stage(branch, edits, allod::now_ms()).map_err(fault),
            None => Ok(()),
        }
    }

    fn rollback(&self) {
        self.edits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

struct Read {
    rows: Vec<[String; 2]>,
    next: usize,
}

impl Rows for Read {
    fn next(&mut self) -> Result<bool, TableError> {
        self.next += 1;
        Ok(self.next <= self.rows.len())
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let row = self.next.checked_sub(1).and_then(|at| self.rows.get(at));
        let text = row.and_then(|row| row.get(index));
        Ok(text.map_or(ScalarRef::Null, |text| ScalarRef::Text(text)))
    }
}
