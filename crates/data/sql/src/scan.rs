//! Rows of a table, as a cursor of the engine goes over them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::bound::{Bound, Chosen, Fit, Taken};
use crate::error::TableError;
use crate::guard::{Shared, Stop};
use crate::plan::{Arg, Ask, Constraint, Op, Open, Plan, ShouldStop};
use crate::sorted::Sorted;
use crate::table::{Identity, Rows};
use crate::value::{Scalar, ScalarRef};

/// A cursor over a table.
pub(crate) struct Scan {
    bound: Arc<Bound>,
    shared: Arc<Shared>,
    stop: ShouldStop,
    rows: Option<Box<dyn Rows>>,
    lists: Option<Lists>,
    is_number: bool,
    count: i64,
}

/// What stands for a value that comes later.
const NOTHING: Arg<'_> = Arg {
    column: None,
    op: Op::IsNull,
    value: ScalarRef::Null,
};

/// A plan that is opened for each of several values.
struct Lists {
    chosen: Arc<Chosen>,
    /// For each constraint.
    values: Vec<Vec<Scalar>>,
    /// Which value of each is next.
    at: Vec<usize>,
}

impl Lists {
    fn new(chosen: Arc<Chosen>, values: Vec<Vec<Scalar>>) -> Self {
        let at = vec![0; values.len()];
        Self { chosen, values, at }
    }

    fn args(&self) -> Vec<Arg<'_>> {
        let values = self.values.iter().zip(&self.at);
        let args = self.chosen.takes.iter().zip(values);
        args.map(|(taken, (values, at))| Arg {
            column: taken.column,
            op: taken.op,
            value: values.get(*at).map_or(ScalarRef::Null, Scalar::borrow),
        })
        .collect()
    }

    /// Whether a row has the values at hand. A table may give more rows than were asked for, and another of
    /// the values would give the same row again.
    fn has(&self, rows: &dyn Rows) -> Result<bool, TableError> {
        for (taken, (values, at)) in self
            .chosen
            .takes
            .iter()
            .zip(self.values.iter().zip(&self.at))
        {
            if let (true, Some(column), Some(value)) =
                (taken.is_list, taken.column, values.get(*at))
                && rows.column(column)?.compare(value.borrow()).is_ne()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to the next values; false behind the last.
    fn next(&mut self) -> bool {
        for (at, values) in self.at.iter_mut().zip(&self.values).rev() {
            *at += 1;
            if *at < values.len() {
                return true;
            }
            *at = 0;
        }
        false
    }
}

impl Scan {
    pub(crate) fn new(bound: Arc<Bound>, shared: Arc<Shared>) -> Self {
        let is_number = bound.identity == Identity::Number;
        Self {
            bound,
            stop: shared.asked(),
            shared,
            rows: None,
            lists: None,
            is_number,
            count: 0,
        }
    }

    /// Goes to the first row of a plan. `value` gives what a constraint compares with, `list` all values of
    /// one that is a list.
    pub(crate) fn filter<'a>(
        &mut self,
        number: i32,
        value: impl Fn(usize) -> Option<ScalarRef<'a>>,
        list: impl Fn(usize, &mut dyn FnMut(Option<ScalarRef<'_>>)) -> Option<()>,
    ) -> Result<(), TableError> {
        self.rows = None;
        self.lists = None;
        self.count = 0;
        let chosen = self.bound.chosen(number)?;
        let mut args = [NOTHING; Plan::TAKES_MAX];
        let mut lists = Vec::new();
        let (mut count, mut is_unknown) = (0, false);
        for (at, taken) in chosen.takes.iter().enumerate() {
            let mut arg = Arg {
                column: taken.column,
                op: taken.op,
                value: ScalarRef::Null,
            };
            if taken.is_list {
                match self.values(taken, |each| list(at, each))? {
                    Some(values) => lists.push((count, values)),
                    None => {
                        is_unknown = true;
                        continue;
                    }
                }
            } else {
                match self.bound.fit(taken.column, taken.op, value(at)) {
                    Fit::Nothing => return Ok(()),
                    Fit::Value(value) => arg.value = value,
                    Fit::Unknown if taken.op == Op::Offset => {
                        return Err(TableError::broken("an offset that is no whole number"));
                    }
                    Fit::Unknown => {
                        is_unknown = true;
                        continue;
                    }
                }
            }
            args[count] = arg;
            count += 1;
        }
        let args = &args[..count];
        if is_unknown {
            let is_list = |at: &usize| lists.iter().any(|(place, _)| place == at);
            let alone = (0..count).filter(|at| !is_list(at));
            let alone: Vec<Arg<'_>> = alone.map(|at| args[at]).collect();
            self.rows = Some(self.plan_again(&chosen, &alone)?);
        } else if lists.is_empty() {
            self.rows = Some(self.open(&chosen, args)?);
        } else if lists.iter().all(|(_, values)| !values.is_empty()) {
            let values = args.iter().map(|arg| vec![arg.value.to_scalar()]);
            let mut values: Vec<Vec<Scalar>> = values.collect();
            for (place, list) in lists {
                values[place] = list;
            }
            let lists = Lists::new(chosen, values);
            self.rows = Some(self.open(&lists.chosen, &lists.args())?);
            self.lists = Some(lists);
        }
        self.next()
    }

    /// The values of a list, each once, that the table finds rows for; `None` if it might miss some.
    fn values(
        &self,
        taken: &Taken,
        list: impl FnOnce(&mut dyn FnMut(Option<ScalarRef<'_>>)) -> Option<()>,
    ) -> Result<Option<Vec<Scalar>>, TableError> {
        let mut values = Vec::new();
        let (mut is_unknown, mut bytes) = (false, 0_u64);
        let memory_bytes = self.shared.limits.memory_bytes;
        let read = list(
            &mut |value| match self.bound.fit(taken.column, taken.op, value) {
                Fit::Unknown => is_unknown = true,
                Fit::Value(value) if bytes <= memory_bytes => {
                    bytes += (size_of::<Scalar>() + value.bytes()) as u64;
                    values.push(value.to_scalar());
                }
                Fit::Value(_) | Fit::Nothing => {}
            },
        );
        if read.is_none() {
            return Err(TableError::broken("a list that cannot be read"));
        }
        if bytes > memory_bytes {
            self.shared.stop(Stop::Memory);
            return Err(TableError::broken("too many values in a list"));
        }
        // Two texts may be one number.
        values.sort_by(|one, two| one.borrow().compare(two.borrow()));
        values.dedup_by(|one, two| one.borrow().compare(two.borrow()).is_eq());
        Ok((!is_unknown).then_some(values))
    }

    fn open(&self, chosen: &Chosen, args: &[Arg<'_>]) -> Result<Box<dyn Rows>, TableError> {
        let lists = chosen.takes.iter().filter(|taken| taken.is_list);
        let compared = lists.filter_map(|taken| taken.column);
        self.bound.table.open(&Open {
            plan: &chosen.plan,
            args,
            order_by: &chosen.order_by,
            used: compared.fold(chosen.used, crate::table::ColumnSet::with),
            should_stop: &*self.stop,
            stop: &self.stop,
        })
    }

    /// Rows by a plan that takes these constraints alone, in the order that another plan promised.
    fn plan_again(&self, chosen: &Chosen, args: &[Arg<'_>]) -> Result<Box<dyn Rows>, TableError> {
        let constraint = |arg: &Arg<'_>| Constraint {
            column: arg.column,
            op: arg.op,
            value: Some(arg.value.to_scalar()),
            is_list: false,
        };
        let constraints: Vec<Constraint> = args.iter().map(constraint).collect();
        let again = self.bound.plan(&Ask {
            constraints: &constraints,
            order_by: &[],
            used: chosen.used,
        })?;
        let takes = again.plan.takes.iter();
        let args: Vec<Arg<'_>> = takes.filter_map(|at| args.get(*at).copied()).collect();
        let rows = self.open(&again, &args)?;
        if !chosen.is_ordered() {
            return Ok(rows);
        }
        let columns = self.bound.columns.len();
        let sorted = Sorted::collect(rows, columns, chosen, &self.shared)?;
        Ok(Box::new(sorted))
    }

    pub(crate) fn next(&mut self) -> Result<(), TableError> {
        while let Some(rows) = &mut self.rows {
            if rows.next()? {
                if let Some(lists) = &self.lists
                    && !lists.has(&**rows)?
                {
                    continue;
                }
                self.count = self.count.wrapping_add(1);
                return Ok(());
            }
            self.rows = None;
            if let Some(lists) = &mut self.lists
                && lists.next()
            {
                let lists = self.lists.as_ref();
                let opened = lists.map(|lists| self.open(&lists.chosen, &lists.args()));
                self.rows = opened.transpose()?;
            }
        }
        Ok(())
    }

    pub(crate) fn is_end(&self) -> bool {
        self.rows.is_none()
    }

    pub(crate) fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        match &self.rows {
            Some(rows) => rows.column(index),
            None => Ok(ScalarRef::Null),
        }
    }

    pub(crate) fn row_id(&self) -> i64 {
        match &self.rows {
            Some(rows) if self.is_number => rows.row_id(),
            _ => self.count,
        }
    }

    /// Keeps what the table says until the engine has come back.
    pub(crate) fn fail(&self, error: TableError) {
        self.shared.fail(&self.bound.name, error);
    }
}

impl Drop for Scan {
    /// The engine drops it, and no panic may go through the engine.
    fn drop(&mut self) {
        let rows = self.rows.take();
        if catch_unwind(AssertUnwindSafe(|| drop(rows))).is_err() {
            self.fail(TableError::broken("panicked while its rows were dropped"));
        }
    }
}
