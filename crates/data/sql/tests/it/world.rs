//! Tables in memory that find rows in three ways, and a catalog of their states.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use allod_sql::{
    Arg, Ask, At, Catalog, Column, ColumnType, Identity, Limits, OnConflict, Op, Open, OrderBy,
    Plan, Rows, Scalar, ScalarRef, Session, SqlError, Table, TableError, glob_range, like_range,
};

/// Test cases, scaled by `ALLOD_TEST_SCALE`.
pub(crate) fn cases(count: u32) -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    let scale = scale.and_then(|scale| scale.parse().ok());
    count * scale.unwrap_or(1)
}

/// How a table finds rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// It gives all.
    Scan,
    /// By an index on these columns, if the first of them is constrained or ordered by.
    Index(&'static [usize]),
    /// It takes every constraint, and every order.
    All,
}

/// Rows are row id and values.
type Stored = Vec<(i64, Vec<Scalar>)>;

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Arc<Mutex<Stored>>,
    pub(crate) way: Way,
    pub(crate) identity: Identity,
    pub(crate) is_writable: bool,
    /// Before the statement that writes.
    before: Mutex<Option<Stored>>,
    /// How many rows were read.
    pub(crate) read: Arc<AtomicU64>,
    /// The columns that were asked for.
    pub(crate) decoded: Arc<AtomicU64>,
}

impl Memory {
    pub(crate) fn new(columns: &[(&str, ColumnType)], rows: Vec<Vec<Scalar>>) -> Self {
        let columns = columns.iter().map(|(name, kind)| Column::new(*name, *kind));
        Self {
            columns: columns.collect(),
            rows: Arc::new(Mutex::new((1..).zip(rows).collect())),
            way: Way::Scan,
            identity: Identity::Counted,
            is_writable: false,
            before: Mutex::new(None),
            read: Arc::default(),
            decoded: Arc::default(),
        }
    }

    pub(crate) fn by(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    pub(crate) fn with(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self.is_writable = true;
        self
    }
}

impl Table for Memory {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let rows = self.rows.lock().unwrap().len() as u64;
        let is_unique = |takes: &[usize]| {
            let Identity::Key(key) = self.identity else {
                return false;
            };
            let is_key = |at: &usize| {
                let constraint = &ask.constraints[*at];
                constraint.op == Op::Eq && constraint.column == Some(key)
            };
            takes.iter().any(is_key)
        };
        match self.way {
            Way::Scan => Plan::scan(rows),
            Way::Index(columns) => {
                let mut takes = Vec::new();
                for column in columns {
                    let is_on = |at: &usize| ask.constraints[*at].column == Some(*column);
                    let on: Vec<usize> = (0..ask.constraints.len()).filter(is_on).collect();
                    let eq = on.iter().find(|at| ask.constraints[**at].op == Op::Eq);
                    let Some(eq) = eq else {
                        let is_range = |at: &&usize| {
                            use Op::{Ge, Glob, Gt, Le, Like, Lt};
                            matches!(ask.constraints[**at].op, Lt | Le | Gt | Ge | Like | Glob)
                        };
                        takes.extend(on.iter().filter(is_range));
                        break;
                    };
                    takes.push(*eq);
                }
                takes.truncate(Plan::TAKES_MAX);
                let is_index_order = !ask.order_by.is_empty()
                    && ask.order_by.len() <= columns.len()
                    && ask.order_by.iter().zip(columns).all(|(by, column)| {
                        by.column == Some(*column) && by.descending == ask.order_by[0].descending
                    });
                if takes.is_empty() && !is_index_order {
                    return Plan::scan(rows);
                }
                Plan {
                    number: 1,
                    name: "by_index".to_owned(),
                    cost: if takes.is_empty() { rows as f64 } else { 3.0 },
                    rows: if takes.is_empty() { rows } else { 3 },
                    unique: is_unique(&takes),
                    ordered: is_index_order,
                    takes,
                }
            }
            Way::All => {
                let takes: Vec<usize> = (0..ask.constraints.len().min(Plan::TAKES_MAX)).collect();
                Plan {
                    number: 2,
                    name: "all".to_owned(),
                    cost: 2.0 + rows as f64 / (1.0 + takes.len() as f64),
                    rows: rows / (1 + takes.len() as u64),
                    unique: is_unique(&takes),
                    ordered: true,
                    takes,
                }
            }
        }
    }

    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let mut rows = self.rows.lock().unwrap().clone();
        rows.retain(|row| open.args.iter().all(|arg| holds(row, arg)));
        if let Way::Index(columns) = self.way
            && open.plan.number == 1
        {
            rows.sort_by(|one, two| compare(one, two, columns.iter().map(|it| (Some(*it), false))));
        }
        let order = |by: &OrderBy| (by.column, by.descending);
        rows.sort_by(|one, two| compare(one, two, open.order_by.iter().map(order)));
        let number = |op| {
            let arg = open.args.iter().find(|arg| arg.op == op)?;
            match arg.value {
                ScalarRef::Integer(number) => usize::try_from(number).ok(),
                _ => panic!("{:?} is no whole number", arg.value),
            }
        };
        rows.drain(..number(Op::Offset).unwrap_or(0).min(rows.len()));
        rows.truncate(number(Op::Limit).unwrap_or(usize::MAX));
        Ok(Box::new(Reader {
            rows,
            at: 0,
            read: Arc::clone(&self.read),
            decoded: Arc::clone(&self.decoded),
        }))
    }

    fn insert(&self, row: &[ScalarRef<'_>], conflict: OnConflict) -> Result<i64, TableError> {
        if !self.is_writable {
            return Err(TableError::ReadOnly);
        }
        let mut rows = self.rows.lock().unwrap();
        let id = rows.iter().map(|row| row.0).max().unwrap_or(0) + 1;
        if let Identity::Key(key) = self.identity {
            if row[key].is_null() {
                return Err(TableError::Constraint("no key".to_owned()));
            }
            let same = rows.iter().position(|old| old.1[key].borrow() == row[key]);
            match same {
                Some(at) if conflict == OnConflict::Replace => drop(rows.remove(at)),
                Some(_) => return Err(TableError::Constraint("the key is there".to_owned())),
                None => {}
            }
        }
        rows.push((id, row.iter().map(|value| value.to_scalar()).collect()));
        Ok(id)
    }

    fn update(
        &self,
        id: ScalarRef<'_>,
        row: &[Option<ScalarRef<'_>>],
        _conflict: OnConflict,
    ) -> Result<(), TableError> {
        if !self.is_writable {
            return Err(TableError::ReadOnly);
        }
        let mut rows = self.rows.lock().unwrap();
        let at = self.find(&rows, id)?;
        for (old, new) in rows[at].1.iter_mut().zip(row) {
            if let Some(new) = new {
                *old = new.to_scalar();
            }
        }
        Ok(())
    }

    fn delete(&self, id: ScalarRef<'_>) -> Result<(), TableError> {
        if !self.is_writable {
            return Err(TableError::ReadOnly);
        }
        let mut rows = self.rows.lock().unwrap();
        let at = self.find(&rows, id)?;
        rows.remove(at);
        Ok(())
    }

    fn begin(&self) -> Result<(), TableError> {
        *self.before.lock().unwrap() = Some(self.rows.lock().unwrap().clone());
        Ok(())
    }

    fn commit(&self) -> Result<(), TableError> {
        let before = self.before.lock().unwrap().take();
        assert!(before.is_some(), "a commit without a beginning");
        Ok(())
    }

    fn rollback(&self) {
        let before = self.before.lock().unwrap().take();
        *self.rows.lock().unwrap() = before.expect("a rollback without a beginning");
    }
}

impl Memory {
    fn find(&self, rows: &Stored, id: ScalarRef<'_>) -> Result<usize, TableError> {
        let found = rows.iter().position(|row| match self.identity {
            Identity::Key(key) => row.1[key].borrow() == id,
            _ => ScalarRef::Integer(row.0) == id,
        });
        found.ok_or_else(|| TableError::Constraint("no such row".to_owned()))
    }
}

fn value(row: &(i64, Vec<Scalar>), column: Option<usize>) -> ScalarRef<'_> {
    match column {
        Some(column) => row.1[column].borrow(),
        None => ScalarRef::Integer(row.0),
    }
}

fn compare(
    one: &(i64, Vec<Scalar>),
    two: &(i64, Vec<Scalar>),
    order: impl Iterator<Item = (Option<usize>, bool)>,
) -> std::cmp::Ordering {
    order
        .map(|(column, descending)| {
            let order = value(one, column).compare(value(two, column));
            if descending { order.reverse() } else { order }
        })
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

/// What a table finds for a constraint, by nothing but the value that it is given.
fn holds(row: &(i64, Vec<Scalar>), arg: &Arg<'_>) -> bool {
    if matches!(arg.op, Op::Limit | Op::Offset) {
        return true;
    }
    let value = value(row, arg.column);
    let order = value.compare(arg.value);
    let is_within = |range: Option<std::ops::Range<Vec<u8>>>| match value {
        ScalarRef::Text(text) => {
            range.is_none_or(|range| range.contains(&text.as_bytes().to_vec()))
        }
        _ => false,
    };
    let pattern = match arg.value {
        ScalarRef::Text(pattern) => pattern,
        _ => "",
    };
    match arg.op {
        Op::IsNull => value.is_null(),
        Op::NotNull => !value.is_null(),
        Op::Is => order.is_eq(),
        Op::IsNot => order.is_ne(),
        _ if value.is_null() || arg.value.is_null() => false,
        Op::Eq => order.is_eq(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Ne => order.is_ne(),
        Op::Like => is_within(like_range(pattern)),
        Op::Glob => is_within(glob_range(pattern)),
        _ => panic!("{:?}", arg.op),
    }
}

struct Reader {
    rows: Stored,
    at: usize,
    read: Arc<AtomicU64>,
    decoded: Arc<AtomicU64>,
}

impl Rows for Reader {
    fn next(&mut self) -> Result<bool, TableError> {
        self.at += 1;
        let is_row = self.at <= self.rows.len();
        self.read.fetch_add(u64::from(is_row), Relaxed);
        Ok(is_row)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        self.decoded.fetch_or(1 << index, Relaxed);
        Ok(self.rows[self.at - 1].1[index].borrow())
    }

    fn row_id(&self) -> i64 {
        self.rows[self.at - 1].0
    }
}

/// Tables by name and state; the own state has an empty name, and a branch begins with `branch/`.
#[derive(Default)]
pub(crate) struct Memories {
    pub(crate) tables: BTreeMap<(String, String), Arc<dyn Table>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Memories {
    pub(crate) fn add(mut self, name: &str, state: &str, table: impl Table + 'static) -> Self {
        let key = (name.to_owned(), state.to_owned());
        self.tables.insert(key, Arc::new(table));
        self
    }

    pub(crate) fn session(self) -> Session {
        self.session_with(Limits::default())
    }

    pub(crate) fn session_with(self, limits: Limits) -> Session {
        Session::new(Arc::new(self), limits, || 0).unwrap()
    }
}

impl Catalog for Memories {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        self.asked.lock().unwrap().push(format!("{name} {at:?}"));
        let state = match (&at.as_of, &at.branch) {
            (None, None) => String::new(),
            (Some(state), None) => {
                if state.is_empty() {
                    "nothing".to_owned()
                } else {
                    state.clone()
                }
            }
            (None, Some(branch)) => format!("branch/{branch}"),
            (Some(state), Some(branch)) => format!("{state} of {branch}"),
        };
        if !self.tables.keys().any(|key| key.1 == state) {
            return Err(TableError::State(format!("there is no state {state}")));
        }
        let key = (name.to_ascii_lowercase(), state);
        Ok(self.tables.get(&key).cloned())
    }

    fn diff(&self, name: &str, from: &str, to: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        let key = (name.to_ascii_lowercase(), format!("{from}..{to}"));
        if !self.tables.keys().any(|other| other.1 == key.1) {
            return Err(TableError::State(format!("{from} or {to} is no state")));
        }
        Ok(self.tables.get(&key).cloned())
    }

    fn function(
        &self,
        name: &str,
        arguments: &[Scalar],
    ) -> Result<Option<Arc<dyn Table>>, TableError> {
        if name.eq_ignore_ascii_case("allod_echo") {
            let rows = arguments.iter().map(|value| vec![value.clone()]);
            let table = Memory::new(&[("value", ColumnType::Any)], rows.collect());
            return Ok(Some(Arc::new(table)));
        }
        Ok(None)
    }

    fn names(&self) -> Vec<String> {
        self.tables.keys().map(|key| key.0.clone()).collect()
    }

    fn functions(&self) -> Vec<String> {
        vec!["allod_echo".to_owned(), "allod_none".to_owned()]
    }
}

/// People with a key, a name and an age.
pub(crate) fn people(rows: &[(&str, &str, i64)]) -> Memory {
    let columns = [
        ("key", ColumnType::Text),
        ("name", ColumnType::Text),
        ("age", ColumnType::Integer),
    ];
    let row = |(key, name, age): &(&str, &str, i64)| {
        vec![Scalar::from(*key), Scalar::from(*name), Scalar::from(*age)]
    };
    Memory::new(&columns, rows.iter().map(row).collect())
}

/// All rows of a statement, as text.
pub(crate) fn all(session: &mut Session, sql: &str) -> Vec<String> {
    ask(session, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(crate) fn ask(session: &mut Session, sql: &str) -> Result<Vec<String>, SqlError> {
    let mut rows = Vec::new();
    session.prepare(sql)?.query(&[], &mut |row| {
        rows.push(text(&row.to_scalars()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

pub(crate) fn text(row: &[Scalar]) -> String {
    let value = |value: &Scalar| match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Real(number) => format!("{number:?}"),
        Scalar::Text(text) => text.clone(),
        Scalar::Blob(bytes) => format!("{bytes:x?}"),
    };
    row.iter().map(value).collect::<Vec<_>>().join(" ")
}

/// The code of the error that a statement fails with, in a session of its own making.
pub(crate) fn code(session: &mut Session, sql: &str) -> &'static str {
    match ask(session, sql) {
        Ok(rows) => panic!("{sql} gives {rows:?}"),
        Err(error) => error.code(),
    }
}
