//! What statements may do and how long, watched while they run (SQL-12 to SQL-15).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::bound::Bound;
use crate::error::{SqlError, TableError};
use crate::functions::is_function;
use crate::limits::{Limit, Limits};
use crate::module::memory_used;
use crate::plan::ShouldStop;

/// Instructions of the engine between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1000;

/// Tables of the engine that read nothing but their arguments.
const ENGINE_TABLES: &[&str] = &["json_each", "json_tree"];

/// Ends what runs in a session, from any thread.
///
/// A session that is cancelled refuses everything until [`clear`](Self::clear).
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Cancels what runs, and what would.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lets statements run again.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a statement was stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    Cancelled,
    Time,
    Memory,
}

impl Stop {
    pub(crate) const fn error(self) -> SqlError {
        match self {
            Self::Cancelled => SqlError::Cancelled,
            Self::Time => SqlError::Limit(Limit::Time),
            Self::Memory => SqlError::Limit(Limit::Memory),
        }
    }
}

/// What a session and the callbacks of its engine know of each other.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) cancel: Cancel,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    deadline_ms: AtomicU64,
    /// A [`Stop`], or 0.
    stopped: AtomicU8,
    /// While the session itself changes the schema.
    is_own: AtomicBool,
    /// By the names that the engine has them under, in lower case.
    tables: Mutex<BTreeMap<String, Arc<Bound>>>,
    fault: Mutex<Option<SqlError>>,
    denied: Mutex<Option<String>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// Each of these is replaced as a whole, so what a panic left behind is whole too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(limits: Limits, clock: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self {
            limits,
            cancel: Cancel::default(),
            clock,
            deadline_ms: AtomicU64::new(u64::MAX),
            stopped: AtomicU8::new(0),
            is_own: AtomicBool::new(false),
            tables: Mutex::default(),
            fault: Mutex::default(),
            denied: Mutex::default(),
        }
    }

    /// The time of a statement begins.
    pub(crate) fn start(&self) -> Result<(), SqlError> {
        lock(&self.fault).take();
        lock(&self.denied).take();
        self.stopped.store(0, Ordering::Relaxed);
        let deadline = (self.clock)().saturating_add(self.limits.time_ms);
        self.deadline_ms.store(deadline, Ordering::Relaxed);
        if self.cancel.is_cancelled() {
            return Err(SqlError::Cancelled);
        }
        Ok(())
    }

    /// Whether what runs has to end.
    pub(crate) fn should_stop(&self) -> bool {
        let stop = if self.cancel.is_cancelled() {
            Stop::Cancelled
        } else if (self.clock)() > self.deadline_ms.load(Ordering::Relaxed) {
            Stop::Time
        } else if memory_used() > self.limits.memory_bytes {
            Stop::Memory
        } else {
            return false;
        };
        self.stop(stop);
        true
    }

    /// Whether what runs has to end, for whoever keeps the question.
    pub(crate) fn asked(self: &Arc<Self>) -> ShouldStop {
        let shared = Arc::clone(self);
        Arc::new(move || shared.should_stop())
    }

    /// Notes why what runs ends.
    pub(crate) fn stop(&self, stop: Stop) {
        let code = match stop {
            Stop::Cancelled => 1,
            Stop::Time => 2,
            Stop::Memory => 3,
        };
        self.stopped.store(code, Ordering::Relaxed);
    }

    /// Why what ran has ended, if it was stopped.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stopped.load(Ordering::Relaxed) {
            1 => Some(Stop::Cancelled),
            2 => Some(Stop::Time),
            3 => Some(Stop::Memory),
            _ => None,
        }
    }

    /// Keeps what a table says until the engine has come back; the first counts.
    pub(crate) fn fail(&self, table: &str, error: TableError) {
        lock(&self.fault).get_or_insert(SqlError::of_table(table, error));
    }

    pub(crate) fn take_fault(&self) -> Option<SqlError> {
        lock(&self.fault).take()
    }

    pub(crate) fn take_denied(&self) -> Option<String> {
        lock(&self.denied).take()
    }

    /// A table, by the name that the engine has it under.
    pub(crate) fn table(&self, name: &str) -> Option<Arc<Bound>> {
        lock(&self.tables).get(&name.to_ascii_lowercase()).cloned()
    }

    pub(crate) fn add_table(&self, name: &str, table: Arc<Bound>) {
        lock(&self.tables).insert(name.to_ascii_lowercase(), table);
    }

    pub(crate) fn remove_table(&self, name: &str) {
        lock(&self.tables).remove(&name.to_ascii_lowercase());
    }

    pub(crate) fn remove_tables(&self) {
        lock(&self.tables).clear();
    }

    /// Does something that statements may not.
    pub(crate) fn as_own<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Also when `work` panics: statements that follow may do no more for it.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        let _over = Over(&self.is_own);
        self.is_own.store(true, Ordering::Relaxed);
        work()
    }

    /// Sets the callbacks of a connection.
    pub(crate) fn watch(self: &Arc<Self>, connection: &mut Connection) -> rusqlite::Result<()> {
        let shared = Arc::clone(self);
        connection.progress_handler(STEPS, Some(move || shared.should_stop()))?;
        let shared = Arc::clone(self);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            match shared.refusal(&context) {
                None => Authorization::Allow,
                Some(what) => {
                    lock(&shared.denied).get_or_insert(what);
                    Authorization::Deny
                }
            }
        }))
    }

    /// What is wrong with an action, if a statement may not do it.
    fn refusal(&self, context: &AuthContext<'_>) -> Option<String> {
        if self.is_own.load(Ordering::Relaxed) {
            return None;
        }
        match context.action {
            AuthAction::Select | AuthAction::Recursive => None,
            AuthAction::Read {
                table_name,
                column_name,
            } => {
                let is_ours = self.table(table_name).is_some();
                let is_engines = ENGINE_TABLES
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(table_name));
                // Without a column it may be a common table expression, which is no table.
                let is_expression = column_name.is_empty() && !is_engines_own(table_name);
                (!is_ours && !is_engines && !is_expression).then(|| format!("reading {table_name}"))
            }
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => self
                .table(table_name)
                .is_none()
                .then(|| format!("writing to {table_name}")),
            AuthAction::Function { function_name } => {
                (!is_function(function_name)).then(|| format!("the function {function_name}"))
            }
            AuthAction::Pragma { pragma_name, .. } => Some(format!("PRAGMA {pragma_name}")),
            AuthAction::Attach { .. } => Some("ATTACH".to_owned()),
            _ => Some("what the statement does".to_owned()),
        }
    }
}

/// Whether a name is of the engine's own tables, about itself.
fn is_engines_own(table: &str) -> bool {
    ["sqlite_", "pragma_"].iter().any(|begins| {
        table
            .get(..begins.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(begins))
    })
}
