//! Tables of outside data: registered in this node for a space, and never part of it (TAB-20 to TAB-25).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use allod_adapters::{Declared, FileSource, Format, Found, OutsideColumn, OutsideTable, Source};
use allod_blocks::{Batch, BatchOutcome, Expect};
use allod_repo::{BranchName, Repo, SpaceId};
use allod_sql::{At, Catalog, Scalar, Table, TableError};
use allod_tables::{Own, SpaceCatalog};
use allod_views::Name;
use serde::{Deserialize, Serialize};

use crate::error::NodeError;
use crate::fetch::{HttpSource, check_url};
use crate::node::Node;

/// The most tables of outside data that a space has here: a page of a list.
const TABLES_MAX: usize = 1000;

/// What names of tables do not begin with: the engine and this node have such names.
const RESERVED: [&str; 4] = ["allod_", "sqlite_", "json_each", "json_tree"];

/// Where the rows of a table are.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "adapter", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Outside {
    /// In a file of CSV.
    Csv {
        /// The file, from the root.
        file: String,
        /// What is between fields: an ASCII character.
        delimiter: char,
        /// Whether the first record has the names of the columns.
        names: bool,
    },
    /// In a file of JSON: an array of objects, or one behind the other.
    Json {
        /// The file, from the root.
        file: String,
        /// Where in the document the rows are, as a JSON pointer.
        at: Option<String>,
    },
    /// In what a server answers: JSON as in a file.
    Url {
        /// The address.
        url: String,
        /// Where in the document the rows are, as a JSON pointer.
        at: Option<String>,
    },
    /// In a Parquet file.
    Parquet {
        /// The file, from the root.
        file: String,
    },
    /// In another space of this home, as it is in its branch `main`.
    Space {
        /// The id of the space.
        space: String,
        /// The name of a type or projection there.
        table: String,
    },
}

impl Outside {
    /// The word for its adapter.
    #[must_use]
    pub const fn adapter(&self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::Json { .. } => "json",
            Self::Url { .. } => "url",
            Self::Parquet { .. } => "parquet",
            Self::Space { .. } => "space",
        }
    }

    /// How it is read, and from where; `None` if it is no bytes.
    fn source(&self) -> Option<(Format, Arc<dyn Source>)> {
        let file = |path: &str| Arc::new(FileSource::new(Path::new(path)));
        let json = |at: &Option<String>| Format::Json {
            pointer: at.clone(),
        };
        Some(match self {
            Self::Csv {
                file: path,
                delimiter,
                names,
            } => {
                let format = Format::Csv {
                    // What is no ASCII is refused as a delimiter when columns are looked for.
                    delimiter: u8::try_from(*delimiter).unwrap_or(u8::MAX),
                    has_names: *names,
                };
                (format, file(path))
            }
            Self::Json { file: path, at } => (json(at), file(path)),
            Self::Url { url, at } => (json(at), Arc::new(HttpSource::new(url))),
            Self::Parquet { .. } | Self::Space { .. } => return None,
        })
    }
}

/// A table of outside data, as it is registered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutsideDefinition {
    /// Where its rows are.
    pub from: Outside,
    /// What was declared of its columns, as `name:kind`.
    #[serde(default)]
    pub declared: Vec<String>,
    /// Its columns; none for another space, where they are what they are there.
    #[serde(default)]
    pub columns: Vec<OutsideColumn>,
}

/// What is registered under a name.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The name, as it was given.
    pub name: String,
    /// The definition, or why it cannot be read: another version may have made it.
    pub definition: Result<OutsideDefinition, String>,
}

fn prefix(space: SpaceId) -> Vec<u8> {
    [b"node/table/", &space.cid().to_bytes()[..], b"/"].concat()
}

fn table_ref(space: SpaceId, name: &str) -> Vec<u8> {
    [&prefix(space)[..], name.to_ascii_lowercase().as_bytes()].concat()
}

/// What is stored under a reference.
#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    #[serde(flatten)]
    definition: OutsideDefinition,
}

impl Node {
    /// The tables of outside data of a space, by name.
    pub fn outside_tables(&self, repo: &Repo) -> Result<Vec<Registered>, NodeError> {
        let prefix = prefix(repo.id());
        let page = self.store().scan_refs(&prefix, None, TABLES_MAX)?;
        let registered =
            page.iter().map(
                |(key, value)| match serde_json::from_slice::<Record>(value) {
                    Ok(record) => Registered {
                        name: record.name,
                        definition: Ok(record.definition),
                    },
                    Err(error) => Registered {
                        name: String::from_utf8_lossy(&key[prefix.len()..]).into_owned(),
                        definition: Err(error.to_string()),
                    },
                },
            );
        Ok(registered.collect())
    }

    /// The table of outside data of this name, in any case of its letters.
    ///
    /// # Errors
    /// [`NodeError::NoSuchTable`].
    pub fn outside_table(&self, repo: &Repo, name: &str) -> Result<Registered, NodeError> {
        let mut all = self.outside_tables(repo)?.into_iter();
        let found = all.find(|it| it.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| NodeError::NoSuchTable(name.to_owned()))
    }

    /// Registers a table of outside data for a space (TAB-20): reads all of it once, finds its columns
    /// and sees that each value fits them. Returns the definition, and what was found.
    ///
    /// # Errors
    /// [`NodeError::TableName`], [`NodeError::TableTaken`], [`NodeError::Adapter`].
    pub fn add_outside_table(
        &self,
        repo: &Repo,
        name: &str,
        (from, declared): (Outside, &[String]),
        should_stop: &dyn Fn() -> bool,
    ) -> Result<(OutsideDefinition, Found), NodeError> {
        let is_reserved = RESERVED.iter().any(|it| {
            let start = name.get(..it.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(it))
        });
        if name.parse::<Name>().is_err() || is_reserved {
            return Err(NodeError::TableName(name.to_owned()));
        }
        let position = self.position(repo)?;
        let catalog = self.catalog(repo, position.into())?;
        if catalog
            .names()
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
        {
            return Err(NodeError::TableTaken(name.to_owned()));
        }
        let found = self.find_columns(&from, declared, should_stop)?;
        let definition = OutsideDefinition {
            from,
            declared: declared.to_vec(),
            columns: found.columns.clone(),
        };
        self.write_table(repo, name, &definition, Expect::Absent)?;
        Ok((definition, found))
    }

    /// Finds the columns of a registered table anew, and keeps them.
    ///
    /// # Errors
    /// [`NodeError::NoSuchTable`], [`NodeError::Adapter`].
    pub fn refresh_outside_table(
        &self,
        repo: &Repo,
        name: &str,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<(OutsideDefinition, Found), NodeError> {
        let registered = self.outside_table(repo, name)?;
        let unreadable = |why| NodeError::TableRecord(name.to_owned(), why);
        let mut definition = registered.definition.map_err(unreadable)?;
        let found = self.find_columns(&definition.from, &definition.declared, should_stop)?;
        definition.columns.clone_from(&found.columns);
        self.write_table(repo, &registered.name, &definition, Expect::Any)?;
        Ok((definition, found))
    }

    /// Takes the registration of a table away. What it was of stays as it is.
    ///
    /// # Errors
    /// [`NodeError::NoSuchTable`].
    pub fn remove_outside_table(&self, repo: &Repo, name: &str) -> Result<(), NodeError> {
        let registered = self.outside_table(repo, name)?;
        let mut batch = Batch::new();
        let key = table_ref(repo.id(), &registered.name);
        batch.set_ref(key, Expect::Any, None::<Vec<u8>>);
        // Without an expectation nothing can have moved.
        drop(self.store().commit(batch)?);
        Ok(())
    }

    fn write_table(
        &self,
        repo: &Repo,
        name: &str,
        definition: &OutsideDefinition,
        expect: Expect,
    ) -> Result<(), NodeError> {
        let record = Record {
            name: name.to_owned(),
            definition: definition.clone(),
        };
        let value = serde_json::to_vec(&record)
            .map_err(|error| NodeError::TableRecord(name.to_owned(), error.to_string()))?;
        if value.len() > allod_blocks::REF_VALUE_BYTES_MAX {
            let why = "its columns have too many and too long names".to_owned();
            return Err(NodeError::TableRecord(name.to_owned(), why));
        }
        if self.outside_tables(repo)?.len() >= TABLES_MAX {
            let why = format!("there are {TABLES_MAX} tables already");
            return Err(NodeError::TableRecord(name.to_owned(), why));
        }
        let mut batch = Batch::new();
        batch.set_ref(table_ref(repo.id(), name), expect, Some(value));
        match self.store().commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => Err(NodeError::TableTaken(name.to_owned())),
        }
    }

    fn find_columns(
        &self,
        from: &Outside,
        declared: &[String],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Found, NodeError> {
        let declared = declared.iter().map(|text| text.parse());
        let declared: Vec<Declared> = declared.collect::<Result<_, _>>()?;
        if let Outside::Url { url, .. } = from {
            check_url(url).map_err(|why| definition_fault(why.to_owned()))?;
        }
        if let Some((format, source)) = from.source() {
            return Ok(allod_adapters::find(
                &format,
                source.as_ref(),
                &declared,
                should_stop,
            )?);
        }
        if !declared.is_empty() {
            let text = format!("columns of {} are what they are there", from.adapter());
            return Err(definition_fault(text));
        }
        if let Outside::Parquet { file } = from {
            return parquet::find(Path::new(file));
        }
        // That it is there is all that is looked for.
        self.open_outside(from, &[])?;
        Ok(Found::default())
    }

    /// A registered table, to be read.
    fn open_outside(
        &self,
        from: &Outside,
        columns: &[OutsideColumn],
    ) -> Result<Arc<dyn Table>, NodeError> {
        if let Some((format, source)) = from.source() {
            return Ok(Arc::new(OutsideTable::new(
                format,
                source,
                columns.to_vec(),
            )));
        }
        match from {
            Outside::Space { space, table } => self.table_of_space(space, table),
            Outside::Parquet { file } => parquet::open(Path::new(file), columns),
            _ => Err(definition_fault("no such adapter".to_owned())),
        }
    }

    /// A table of another space, as it is in its branch `main`, without what is staged.
    fn table_of_space(&self, space: &str, name: &str) -> Result<Arc<dyn Table>, NodeError> {
        let repo = self.space(Some(space))?;
        let main = BranchName::main();
        let catalog = SpaceCatalog::new(&self.views(&repo)?, Own::Working(main.clone()))?
            .with_kept(self.kept());
        let at = At {
            as_of: None,
            branch: Some(main.to_string()),
        };
        match catalog.table(name, &at)? {
            Some(table) => Ok(table),
            None => Err(definition_fault(format!(
                "the branch main of the space {space} has no table {name}"
            ))),
        }
    }

    /// The tables of a space, and those of outside data that are registered for it.
    pub fn catalog(&self, repo: &Repo, own: Own) -> Result<NodeCatalog, NodeError> {
        Ok(NodeCatalog {
            space: self.space_catalog(repo, own)?,
            outside: self.outside_tables(repo)?,
            node: self.clone(),
        })
    }
}

fn definition_fault(text: String) -> NodeError {
    NodeError::Adapter(allod_adapters::AdapterError::Definition(text))
}

/// The tables of a space, and before them those of outside data (TAB-2). The latter are opened when a
/// statement names them.
pub struct NodeCatalog {
    space: SpaceCatalog,
    outside: Vec<Registered>,
    node: Node,
}

impl fmt::Debug for NodeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCatalog")
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

impl NodeCatalog {
    fn registered(&self, name: &str) -> Option<&Registered> {
        let mut all = self.outside.iter();
        all.find(|it| it.name.eq_ignore_ascii_case(name))
    }

    /// Whether a table of outside data stands before one of the space with the same name.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        let mut names = self.space.names().into_iter();
        names.any(|it| it.eq_ignore_ascii_case(name))
    }
}

impl Catalog for NodeCatalog {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        let Some(registered) = self.registered(name) else {
            return self.space.table(name, at);
        };
        if !at.is_own() {
            let text = format!("{name} is a table of outside data: it has no other states");
            return Err(TableError::State(text));
        }
        let definition = registered.definition.as_ref();
        let definition = definition.map_err(|why| TableError::Fault {
            code: "E_TAB_DEFINITION",
            message: format!("its registration cannot be read: {why}"),
        })?;
        let table = self
            .node
            .open_outside(&definition.from, &definition.columns);
        table.map(Some).map_err(|error| match error {
            NodeError::Adapter(error) => error.into(),
            NodeError::Table(error) => error,
            other => TableError::Fault {
                code: "E_TAB_SOURCE",
                message: format!("{}: {other}", definition.from.adapter()),
            },
        })
    }

    fn diff(&self, name: &str, from: &str, to: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        if self.registered(name).is_some() {
            let text = format!("{name} is a table of outside data: it has no other states");
            return Err(TableError::State(text));
        }
        self.space.diff(name, from, to)
    }

    fn function(
        &self,
        name: &str,
        arguments: &[Scalar],
    ) -> Result<Option<Arc<dyn Table>>, TableError> {
        self.space.function(name, arguments)
    }

    fn names(&self) -> Vec<String> {
        let outside = self.outside.iter().map(|it| it.name.clone());
        let mut names: Vec<String> = outside.collect();
        let hidden = |name: &String| self.registered(name).is_some();
        names.extend(self.space.names().into_iter().filter(|it| !hidden(it)));
        names
    }

    fn functions(&self) -> Vec<String> {
        self.space.functions()
    }
}

/// Parquet, in builds that have it.
#[cfg(feature = "arrow")]
mod parquet {
    use allod_adapters::{ParquetTable, find_parquet};

    use super::{Arc, Found, NodeError, OutsideColumn, Path, Table};

    pub(super) fn find(file: &Path) -> Result<Found, NodeError> {
        Ok(find_parquet(file)?)
    }

    #[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
    pub(super) fn open(
        file: &Path,
        columns: &[OutsideColumn],
    ) -> Result<Arc<dyn Table>, NodeError> {
        Ok(Arc::new(ParquetTable::new(file, columns.to_vec())))
    }
}

/// Parquet, which this build does not read.
#[cfg(not(feature = "arrow"))]
mod parquet {
    use super::{Arc, Found, NodeError, OutsideColumn, Path, Table, definition_fault};

    fn absent() -> NodeError {
        let text = "Parquet needs a build with the feature arrow: cargo build --features arrow";
        definition_fault(text.to_owned())
    }

    pub(super) fn find(_file: &Path) -> Result<Found, NodeError> {
        Err(absent())
    }

    pub(super) fn open(
        _file: &Path,
        _columns: &[OutsideColumn],
    ) -> Result<Arc<dyn Table>, NodeError> {
        Err(absent())
    }
}
