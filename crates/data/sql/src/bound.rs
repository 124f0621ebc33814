//! A table as the engine has it, and the plans that were made for it.
//!
//! The engine converts values before it compares them, by the types of both sides; a table does not, and
//! it sees only one side. So a value goes to the table only if every conversion that the engine may make leads to
//! what the table finds, and otherwise the constraint is left to the engine (SQL-9).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::TableError;
use crate::plan::{Ask, Constraint, Op, OrderBy, Plan};
use crate::table::{Column, ColumnSet, ColumnType, Identity, Table};
use crate::value::{Scalar, ScalarRef};

/// Plans of a table that a session remembers before it begins anew: each statement makes a few.
const PLANS_MAX: usize = 4096;

/// A table that the engine has.
pub(crate) struct Bound {
    /// The name that statements have for it.
    pub(crate) name: String,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) columns: Vec<Column>,
    pub(crate) identity: Identity,
    plans: Mutex<Vec<Arc<Chosen>>>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A plan that the engine may take, and what it was made for.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) plan: Plan,
    /// What the plan takes, in its order.
    pub(crate) takes: Vec<Taken>,
    /// What it keeps.
    pub(crate) order_by: Vec<OrderBy>,
    pub(crate) used: ColumnSet,
    /// There is at most one row, whatever values come.
    pub(crate) is_unique: bool,
}

/// A constraint that a plan takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) column: Option<usize>,
    pub(crate) op: Op,
    pub(crate) is_list: bool,
}

impl Chosen {
    pub(crate) const fn is_ordered(&self) -> bool {
        !self.order_by.is_empty()
    }
}

/// What becomes of a value that a constraint compares with.
pub(crate) enum Fit<'a> {
    /// The table finds what the engine would.
    Value(ScalarRef<'a>),
    /// Nothing holds for it.
    Nothing,
    /// The table might miss rows.
    Unknown,
}

impl Bound {
    pub(crate) fn new(name: String, table: Arc<dyn Table>) -> Self {
        Self {
            name,
            columns: table.columns().to_vec(),
            identity: table.identity(),
            table,
            plans: Mutex::default(),
        }
    }

    /// How it is declared to the engine.
    pub(crate) fn declaration(&self) -> String {
        let key = match self.identity {
            Identity::Key(column) => self.columns.get(column),
            Identity::Counted | Identity::Number => None,
        };
        let column = |column: &Column| {
            let hidden = if column.hidden { " HIDDEN" } else { "" };
            let kind = column.kind.declaration();
            format!("{} {kind}{hidden}", quoted(&column.name))
        };
        let mut parts: Vec<String> = self.columns.iter().map(column).collect();
        parts.extend(key.map(|key| format!("PRIMARY KEY ({})", quoted(&key.name))));
        let rows = if key.is_some() { " WITHOUT ROWID" } else { "" };
        format!("CREATE TABLE x ({}){rows}", parts.join(", "))
    }

    /// Whether an index may help with a constraint.
    pub(crate) fn is_indexable(&self, column: Option<usize>, op: Op) -> bool {
        match op {
            Op::Limit | Op::Offset => true,
            Op::IsNull | Op::NotNull => self.kind(column).is_some(),
            Op::Like | Op::Glob => self.kind(column).is_some_and(is_text),
            Op::Eq | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Ne | Op::Is | Op::IsNot => self
                .kind(column)
                .is_some_and(|kind| kind != ColumnType::Any),
        }
    }

    /// What is in a column; `None` if it cannot be asked for.
    fn kind(&self, column: Option<usize>) -> Option<ColumnType> {
        match column {
            // The engine tells rows apart by what counts them, so each reading has to be the same.
            _ if self.identity == Identity::Counted => None,
            Some(column) => self.columns.get(column).map(|column| column.kind),
            None => (self.identity == Identity::Number).then_some(ColumnType::Integer),
        }
    }

    /// Whether rows can be asked to come in the order of a column.
    pub(crate) fn is_sortable(&self, column: Option<usize>) -> bool {
        self.kind(column).is_some()
    }

    /// A plan, and its number for the engine.
    pub(crate) fn choose(
        &self,
        constraints: &[Constraint],
        order_by: &[OrderBy],
        used: ColumnSet,
    ) -> Result<(i32, Arc<Chosen>), TableError> {
        let used = match self.identity {
            Identity::Key(column) => used.with(column),
            Identity::Counted | Identity::Number => used,
        };
        let chosen = self.plan(&Ask {
            constraints,
            order_by,
            used,
        })?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let number = plans.iter().position(|plan| **plan == chosen);
        let number = number.unwrap_or_else(|| {
            plans.push(Arc::new(chosen));
            plans.len() - 1
        });
        let plan = plans.get(number).cloned().ok_or_else(no_plan)?;
        let number = i32::try_from(number).map_err(|_error| no_plan())?;
        Ok((number, plan))
    }

    /// Asks the table for a plan, and holds it to its contract.
    pub(crate) fn plan(&self, ask: &Ask<'_>) -> Result<Chosen, TableError> {
        let plan = self.table.plan(ask);
        let taken = plan.takes.iter().map(|at| ask.constraints.get(*at));
        let Some(taken) = taken.collect::<Option<Vec<_>>>() else {
            return Err(TableError::broken("a plan takes what is not there"));
        };
        let mut places = plan.takes.clone();
        places.sort_unstable();
        places.dedup();
        if places.len() != plan.takes.len() || places.len() > Plan::TAKES_MAX {
            return Err(TableError::broken("a plan takes too much"));
        }
        let skips = taken
            .iter()
            .any(|it| matches!(it.op, Op::Limit | Op::Offset));
        if skips && !(plan.ordered || ask.order_by.is_empty()) {
            return Err(TableError::broken(
                "a plan leaves rows out before they are ordered",
            ));
        }
        let is_certain = |constraint: &&Constraint| {
            let value = constraint.value.as_ref().map(Scalar::borrow);
            self.is_number(constraint.column)
                || matches!(
                    self.fit(constraint.column, constraint.op, value),
                    Fit::Value(_)
                )
        };
        let has_list = taken.iter().any(|constraint| constraint.is_list);
        let takes = taken.iter().map(|constraint| Taken {
            column: constraint.column,
            op: constraint.op,
            is_list: constraint.is_list,
        });
        Ok(Chosen {
            is_unique: plan.unique && !has_list && taken.iter().all(is_certain),
            takes: takes.collect(),
            order_by: if plan.ordered && !has_list {
                ask.order_by.to_vec()
            } else {
                Vec::new()
            },
            used: ask.used,
            plan,
        })
    }

    /// How a plan is shown.
    pub(crate) fn shown(&self, chosen: &Chosen) -> String {
        let term = |taken: &Taken| {
            let name = match taken.column {
                Some(column) => self.columns.get(column).map(|it| it.name.as_str()),
                None if matches!(taken.op, Op::Limit | Op::Offset) => Some(""),
                None => Some("rowid"),
            };
            let sign = if taken.is_list {
                " IN ?"
            } else {
                taken.op.sign()
            };
            format!("{}{sign}", name.unwrap_or_default())
        };
        let terms: Vec<String> = chosen.takes.iter().map(term).collect();
        // NUL ends a text of C.
        let name = chosen.plan.name.replace('\0', "");
        if terms.is_empty() {
            name
        } else {
            format!("{name} ({})", terms.join(" AND "))
        }
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
            > PLANS_MAX
    }

    pub(crate) fn chosen(&self, number: i32) -> Result<Arc<Chosen>, TableError> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let number = usize::try_from(number).map_err(|_error| no_plan())?;
        plans.get(number).cloned().ok_or_else(no_plan)
    }

    fn is_number(&self, column: Option<usize>) -> bool {
        self.kind(column).is_some_and(|kind| {
            matches!(
                kind,
                ColumnType::Integer
                    | ColumnType::Real
                    | ColumnType::Numeric
                    | ColumnType::Boolean
                    | ColumnType::Timestamp
            )
        })
    }

    /// What becomes of a value; `None` if it is no value of ours.
    pub(crate) fn fit<'a>(
        &self,
        column: Option<usize>,
        op: Op,
        value: Option<ScalarRef<'a>>,
    ) -> Fit<'a> {
        let Some(value) = value else {
            return Fit::Unknown;
        };
        match (op, value) {
            (Op::IsNull | Op::NotNull, _) => return Fit::Value(ScalarRef::Null),
            (Op::Limit | Op::Offset, value) => {
                return whole(value).map_or(Fit::Unknown, |number| {
                    let number = if op == Op::Offset {
                        number.max(0)
                    } else {
                        number
                    };
                    Fit::Value(ScalarRef::Integer(number))
                });
            }
            (op, ScalarRef::Null) if op.needs_value() => return Fit::Nothing,
            (_, ScalarRef::Null) => return Fit::Value(value),
            _ => {}
        }
        match (self.kind(column), value) {
            (Some(kind), ScalarRef::Text(_) | ScalarRef::Blob(_)) if is_text(kind) => {
                let is_pattern = matches!(op, Op::Like | Op::Glob);
                match value {
                    ScalarRef::Blob(_) if is_pattern => Fit::Unknown,
                    value => Fit::Value(value),
                }
            }
            (Some(ColumnType::Blob), ScalarRef::Blob(_)) => Fit::Value(value),
            (_, ScalarRef::Text(text)) if self.is_number(column) => match text.parse() {
                // As the engine reads it; what else may be a number is left to it.
                Ok(number) => Fit::Value(ScalarRef::Integer(number)),
                Err(_) => Fit::Unknown,
            },
            (_, value) if self.is_number(column) => Fit::Value(value),
            _ => Fit::Unknown,
        }
    }
}

fn is_text(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Text | ColumnType::Json)
}

fn no_plan() -> TableError {
    TableError::broken("no such plan")
}

/// A whole number, however the engine spells it.
fn whole(value: ScalarRef<'_>) -> Option<i64> {
    match value {
        ScalarRef::Integer(number) => Some(number),
        ScalarRef::Text(text) => text.parse().ok(),
        // Beyond 64 bits it is the largest one, which limits nothing.
        ScalarRef::Real(number) if number.fract() == 0.0 => Some(number as i64),
        ScalarRef::Real(_) | ScalarRef::Null | ScalarRef::Blob(_) => None,
    }
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
