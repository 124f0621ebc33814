//! Tables as the engine calls them, by pointers of C.
//!
//! All the unsafe code of the crate is here: what `rusqlite` asks whoever has tables to promise, and
//! two calls that it does not offer. No panic of a table goes through the engine.

#![expect(
    unsafe_code,
    reason = "the traits of tables are unsafe to implement, as the engine casts their pointers"
)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::vtab::{
    ConflictMode, Context, CreateVTab, Filters, IndexFlags, IndexInfo, Inserts, Module,
    TransactionVTab, UpdateVTab, Updates, VTab, VTabConfig, VTabConnection, VTabCursor, VTabKind,
    Values, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result, ffi};

use crate::bound::Bound;
use crate::error::TableError;
use crate::guard::Shared;
use crate::offer::{offered, order_by};
use crate::plan::{Constraint, Op};
use crate::scan::Scan;
use crate::table::{ColumnSet, Identity, OnConflict};
use crate::value::ScalarRef;

/// The module of tables whose rows have ids.
const WITH_ROW_IDS: &CStr = c"allod_rows";

/// The module of tables whose rows have keys.
const WITH_KEYS: &CStr = c"allod_keys";

/// What a row is written with has these before its columns: the row that was, and the id that is to be.
const IDS: usize = 2;

/// Takes the engine's own tables out of a connection, and puts ours in.
pub(crate) fn install(connection: &Connection, shared: &Arc<Shared>) -> Result<()> {
    const ROWS: &Module<'static, VirtualTable> = &Module::update_module_with_tx();
    const KEYS: &Module<'static, VirtualTable> = &Module::update_module_with_tx().without_rowid();
    // SAFETY: the handle is that of an open connection, which is not closed here, and null keeps no
    // module.
    let code = unsafe { ffi::sqlite3_drop_modules(connection.handle(), ptr::null_mut()) };
    if code != ffi::SQLITE_OK {
        return Err(Error::SqliteFailure(ffi::Error::new(code), None));
    }
    connection.create_module(WITH_ROW_IDS, ROWS, Some(Arc::clone(shared)))?;
    connection.create_module(WITH_KEYS, KEYS, Some(Arc::clone(shared)))
}

/// The module of a table.
pub(crate) fn module_of(bound: &Bound) -> &'static str {
    let name = match bound.identity {
        Identity::Counted | Identity::Number => WITH_ROW_IDS,
        Identity::Key(_) => WITH_KEYS,
    };
    name.to_str().unwrap_or_default()
}

/// The bytes that the engine has in use, in the whole process.
pub(crate) fn memory_used() -> u64 {
    // SAFETY: it takes nothing, and reads a counter behind a lock of its own.
    let bytes = unsafe { ffi::sqlite3_memory_used() };
    bytes.unsigned_abs()
}

/// Does what a table does, without its panics.
pub(crate) fn caught<T>(
    work: impl FnOnce() -> std::result::Result<T, TableError>,
) -> std::result::Result<T, TableError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(TableError::broken("panicked")))
}

/// What the engine gets to know of an error, which is kept beside it.
#[cold]
fn failed(error: TableError, keep: impl FnOnce(TableError)) -> Error {
    let code = match error {
        TableError::Constraint(_) => ffi::SQLITE_CONSTRAINT,
        _ => ffi::SQLITE_ERROR,
    };
    keep(error);
    Error::SqliteFailure(ffi::Error::new(code), None)
}

/// A table of the engine.
#[repr(C)]
struct VirtualTable {
    /// The engine's own part, which it finds at the address of the whole.
    base: sqlite3_vtab,
    /// The connection that it is a table of, and so one that outlives it.
    connection: *mut ffi::sqlite3,
    bound: Arc<Bound>,
    shared: Arc<Shared>,
    /// The table was told that a statement writes, and not yet that it ended.
    is_writing: bool,
}

// SAFETY: it is `repr(C)` and begins with the engine's part.
unsafe impl<'vtab> VTab<'vtab> for VirtualTable {
    type Aux = Arc<Shared>;
    type Cursor = Cursor;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&Self::Aux>,
        _module_name: &[u8],
        _database_name: &[u8],
        table_name: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let name = String::from_utf8_lossy(table_name);
        let shared = aux.ok_or(Error::InvalidQuery)?;
        let bound = shared.table(&name).ok_or(Error::InvalidQuery)?;
        db.config(VTabConfig::ConstraintSupport)?;
        let declaration = CString::new(bound.declaration())?;
        let table = Self {
            base: sqlite3_vtab::default(),
            // SAFETY: the handle is only asked what to do on a conflict, while it is in use.
            connection: unsafe { db.handle() },
            bound,
            shared: Arc::clone(shared),
            is_writing: false,
        };
        Ok((Cow::Owned(declaration), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let order_by = order_by(&self.bound, info);
        let is_order_known = order_by.len() == info.num_of_order_by();
        let offered = offered(&self.bound, info, is_order_known);
        let constraints: Vec<Constraint> = offered.iter().map(|(_, it)| it.clone()).collect();
        let used = ColumnSet(info.col_used());
        let (number, chosen) = self.guarded(|bound| bound.choose(&constraints, &order_by, used))?;
        let plan = &chosen.plan;
        for (argument, place) in (1..).zip(&plan.takes) {
            if let Some((at, constraint)) = offered.get(*place) {
                let mut usage = info.constraint_usage(*at);
                usage.set_argv_index(argument);
                // All else the engine checks itself.
                usage.set_omit(constraint.op == Op::Offset);
                if constraint.is_list {
                    // The engine's own loop over the values compares texts with numbers by other rules
                    // than IN does.
                    info.set_in_constraint(*at, true)?;
                }
            }
        }
        info.set_idx_num(number);
        info.set_idx_str(&self.bound.shown(&chosen));
        info.set_order_by_consumed(chosen.is_ordered());
        info.set_estimated_cost(plan.cost.max(1.0));
        info.set_estimated_rows(i64::try_from(plan.rows).unwrap_or(i64::MAX));
        if chosen.is_unique {
            info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
        }
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            scan: Scan::new(Arc::clone(&self.bound), Arc::clone(&self.shared)),
        })
    }
}

/// A value of the engine; `None` for a text that is not UTF-8.
pub(crate) fn scalar(value: ValueRef<'_>) -> Option<ScalarRef<'_>> {
    Some(match value {
        ValueRef::Null => ScalarRef::Null,
        ValueRef::Integer(number) => ScalarRef::Integer(number),
        ValueRef::Real(number) => ScalarRef::Real(number),
        ValueRef::Text(text) => ScalarRef::Text(std::str::from_utf8(text).ok()?),
        ValueRef::Blob(bytes) => ScalarRef::Blob(bytes),
    })
}

impl ToSql for ScalarRef<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A cursor of the engine.
#[repr(C)]
struct Cursor {
    /// The engine's own part, which it finds at the address of the whole.
    base: sqlite3_vtab_cursor,
    scan: Scan,
}

// SAFETY: it is `repr(C)` and begins with the engine's part.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, idx_num: c_int, _: Option<&str>, args: &Filters<'_>) -> Result<()> {
        let value = |at| args.iter().nth(at).and_then(scalar);
        let list = |at, each: &mut dyn FnMut(Option<ScalarRef<'_>>)| {
            let mut values = args.in_values(at).ok()?;
            while let Some(value) = values.next().ok()? {
                each(scalar(value));
            }
            Some(())
        };
        caught(|| self.scan.filter(idx_num, value, list))
            .map_err(|error| failed(error, |error| self.scan.fail(error)))
    }

    fn next(&mut self) -> Result<()> {
        caught(|| self.scan.next()).map_err(|error| failed(error, |error| self.scan.fail(error)))
    }

    fn eof(&self) -> bool {
        self.scan.is_end()
    }

    fn column(&self, context: &mut Context, i: c_int) -> Result<()> {
        if context.no_change() {
            return Ok(());
        }
        let index = usize::try_from(i).map_err(|_error| Error::InvalidColumnIndex(0))?;
        let value = caught(|| self.scan.column(index))
            .map_err(|error| failed(error, |error| self.scan.fail(error)))?;
        context.set_result(value)
    }

    fn rowid(&self) -> Result<i64> {
        caught(|| Ok(self.scan.row_id()))
            .map_err(|error| failed(error, |error| self.scan.fail(error)))
    }
}

impl CreateVTab<'_> for VirtualTable {
    const KIND: VTabKind = VTabKind::Default;
}

impl VirtualTable {
    fn guarded<T>(
        &self,
        work: impl FnOnce(&Bound) -> std::result::Result<T, TableError>,
    ) -> Result<T> {
        caught(|| work(&self.bound))
            .map_err(|error| failed(error, |error| self.shared.fail(&self.bound.name, error)))
    }

    fn write<T>(
        &self,
        conflict: OnConflict,
        work: impl FnOnce(&Bound) -> std::result::Result<T, TableError>,
    ) -> Result<T> {
        let done = self.guarded(|bound| match work(bound) {
            Err(TableError::Constraint(_)) if conflict == OnConflict::Ignore => Ok(None),
            done => done.map(Some),
        })?;
        // The engine goes on with the next row, as the statement says.
        let ignored = ffi::Error::new(ffi::SQLITE_CONSTRAINT);
        done.ok_or(Error::SqliteFailure(ignored, None))
    }
}

fn conflict(mode: &ConflictMode) -> OnConflict {
    match mode {
        ConflictMode::Ignore => OnConflict::Ignore,
        ConflictMode::Replace => OnConflict::Replace,
        _ => OnConflict::Fail,
    }
}

/// The values that a row is written with.
fn row<'a>(values: &'a Values<'_>) -> std::result::Result<Vec<ScalarRef<'a>>, TableError> {
    let values = values.iter().skip(IDS).map(scalar);
    values.collect::<Option<Vec<_>>>().ok_or_else(not_utf8)
}

fn not_utf8() -> TableError {
    TableError::Constraint("a text that is not UTF-8".to_owned())
}

impl UpdateVTab<'_> for VirtualTable {
    fn delete(&mut self, id: ValueRef<'_>) -> Result<()> {
        self.write(OnConflict::Fail, |bound| {
            writable(bound)?;
            bound.table.delete(scalar(id).ok_or_else(not_utf8)?)
        })
    }

    fn insert(&mut self, args: &Inserts<'_>) -> Result<i64> {
        // SAFETY: the connection is the one that writes now, and so it is open.
        let mode = unsafe { args.on_conflict(self.connection) };
        let conflict = conflict(&mode);
        self.write(conflict, |bound| {
            let has_id = args.iter().nth(1).is_some_and(|id| id != ValueRef::Null);
            if has_id && !matches!(bound.identity, Identity::Key(_)) {
                let message = "row ids are given by the table".to_owned();
                return Err(TableError::Constraint(message));
            }
            bound.table.insert(&row(args)?, conflict)
        })
    }

    fn update(&mut self, args: &Updates<'_>) -> Result<()> {
        // SAFETY: the connection is the one that writes now, and so it is open.
        let mode = unsafe { args.on_conflict(self.connection) };
        let conflict = conflict(&mode);
        self.write(conflict, |bound| {
            writable(bound)?;
            let mut ids = args.iter().map(scalar);
            let (Some(Some(old)), Some(Some(new))) = (ids.next(), ids.next()) else {
                return Err(not_utf8());
            };
            if bound.identity == Identity::Number && old != new {
                let message = "row ids do not change".to_owned();
                return Err(TableError::Constraint(message));
            }
            let mut changed: Vec<Option<ScalarRef<'_>>> =
                row(args)?.into_iter().map(Some).collect();
            for (column, value) in changed.iter_mut().enumerate() {
                if args.no_change(column + IDS) {
                    *value = None;
                }
            }
            bound.table.update(old, &changed, conflict)
        })
    }
}

/// Whether rows of a table can be told apart.
fn writable(bound: &Bound) -> std::result::Result<(), TableError> {
    match bound.identity {
        Identity::Counted => Err(TableError::ReadOnly),
        Identity::Number | Identity::Key(_) => Ok(()),
    }
}

impl TransactionVTab<'_> for VirtualTable {
    fn begin(&mut self) -> Result<()> {
        self.guarded(|bound| bound.table.begin())?;
        self.is_writing = true;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        // The engine tells of its end a table that it has only made, too.
        if self.is_writing {
            self.guarded(|bound| bound.table.commit())?;
        }
        self.is_writing = false;
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        if self.is_writing {
            self.guarded(|bound| {
                bound.table.rollback();
                Ok(())
            })?;
        }
        self.is_writing = false;
        Ok(())
    }
}
