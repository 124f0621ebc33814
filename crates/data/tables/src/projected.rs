//! Projections as tables (TAB-6).

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use allod_sql::{
    Ask, Column, ColumnType, Identity, Op, Open, Plan, Rows, Scalar, ScalarRef, Table, TableError,
};
use allod_views::{
    FieldKind, Name, OnStale, Page, Projected, Projection, ShapeDefinition, Snapshot, Value,
};

use crate::columns::{Names, column_type};
use crate::convert::{Wanted, scalar, wanted};
use crate::fault::fault;
use crate::keys::key_text;
use crate::visibility::Visibility;

/// Rows fetched from a projection at a time.
const AT_ONCE: usize = 256;

/// A projection of a state, computed for a statement unless it has to end (TAB-6).
pub(crate) fn computed(
    snapshot: &Snapshot,
    name: &Name,
    open: &Open<'_>,
) -> Result<Projected, TableError> {
    let go_on = &mut |_| {
        if (open.should_stop)() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let made = if snapshot.view().has_staged() {
        snapshot.working_projection(name, go_on)
    } else {
        snapshot.projection(name, OnStale::Block, go_on)
    };
    made.map_err(fault)
}

/// A projection in one state.
pub(crate) struct ProjectedTable {
    snapshot: Snapshot,
    name: Name,
    columns: Vec<Column>,
    /// Keys that come before the values.
    keys: usize,
    /// What the first values are, as far as that is known.
    kinds: Vec<Option<FieldKind>>,
    is_join: bool,
    visibility: Arc<dyn Visibility>,
    projected: OnceLock<Arc<Projected>>,
}

impl ProjectedTable {
    /// None for totals and words where the reader does not see all that they are of.
    pub(crate) fn new(
        snapshot: &Snapshot,
        (name, projection): (&Name, &Arc<Projection>),
        visibility: &Arc<dyn Visibility>,
    ) -> Option<Self> {
        let shape = &projection.definition().shape;
        let tells_of_others = matches!(
            shape,
            ShapeDefinition::Group { .. } | ShapeDefinition::Words { .. }
        );
        if tells_of_others && !visibility.sees_all() {
            return None;
        }
        let is_join = matches!(shape, ShapeDefinition::Join { .. });
        let keys = match shape {
            ShapeDefinition::Group { .. } => 0,
            ShapeDefinition::Join { .. } => 2,
            _ => 1,
        };
        let kinds = match shape {
            // The rows of a join do not show the value that both sides have.
            ShapeDefinition::Join { .. } => Vec::new(),
            _ => projection.kinds(snapshot.types()),
        };
        let mut names = Names::default();
        let mut columns: Vec<Column> = ["_key", "_other"][..keys]
            .iter()
            .map(|name| Column::new(names.free(name), ColumnType::Text))
            .collect();
        for (place, called) in projection.columns().iter().enumerate() {
            let kind = kinds.get(place).and_then(Option::as_ref);
            let kind = kind.map_or(ColumnType::Any, column_type);
            columns.push(Column::new(names.free(called), kind));
        }
        Some(Self {
            snapshot: snapshot.clone(),
            name: name.clone(),
            columns,
            keys,
            kinds,
            is_join,
            visibility: Arc::clone(visibility),
            projected: OnceLock::new(),
        })
    }

    fn projected(&self, open: &Open<'_>) -> Result<Arc<Projected>, TableError> {
        if let Some(projected) = self.projected.get() {
            return Ok(Arc::clone(projected));
        }
        let made = Arc::new(computed(&self.snapshot, &self.name, open)?);
        Ok(Arc::clone(self.projected.get_or_init(|| made)))
    }
}

impl Table for ProjectedTable {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn identity(&self) -> Identity {
        if self.is_join {
            Identity::Counted
        } else {
            Identity::Number
        }
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let rows = self.snapshot.view().tree().len();
        let mut takes = Vec::new();
        for (place, kind) in self.kinds.iter().enumerate() {
            let found = ask.constraints.iter().position(|constraint| {
                constraint.column == Some(place + self.keys)
                    && matches!(constraint.op, Op::Eq | Op::Is | Op::IsNull)
            });
            match found.filter(|_| kind.is_some()) {
                Some(found) => takes.push(found),
                None => break,
            }
        }
        if takes.is_empty() {
            return Plan::scan(rows);
        }
        Plan {
            number: 1,
            name: "first values".to_owned(),
            takes,
            cost: 10.0,
            rows: 10,
            ..Plan::default()
        }
    }

    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let mut first = Vec::new();
        for (arg, kind) in open.args.iter().zip(&self.kinds) {
            let kind = kind.as_ref();
            match kind.and_then(|kind| wanted(kind, arg.op, arg.value)) {
                Some(Wanted::Equal(value)) => first.push(value),
                // Whatever may be meant is among the rows with the values before it.
                _ => break,
            }
        }
        Ok(Box::new(ProjectedRows {
            projected: self.projected(open)?,
            first,
            keys: self.keys,
            visibility: Arc::clone(&self.visibility),
            page: Page::default(),
            ahead: std::collections::VecDeque::new(),
            current: Vec::new(),
            cursor: Vec::new(),
            is_over: false,
        }))
    }
}

struct ProjectedRows {
    projected: Arc<Projected>,
    first: Vec<Value>,
    keys: usize,
    visibility: Arc<dyn Visibility>,
    page: Page,
    ahead: std::collections::VecDeque<(Vec<u8>, Vec<Scalar>)>,
    current: Vec<Scalar>,
    cursor: Vec<u8>,
    is_over: bool,
}

impl ProjectedRows {
    /// Fetches some rows more. A page is a walk of its own, as a walk borrows the projection.
    fn fetch(&mut self) -> Result<(), TableError> {
        let rows = self
            .projected
            .rows(&self.first, &self.page)
            .map_err(fault)?;
        let mut fetched = 0;
        let mut last = None;
        for row in rows.take(AT_ONCE) {
            let (cursor, row) = row.map_err(fault)?;
            fetched += 1;
            last = Some(cursor.clone());
            let mut keys = [&row.key, &row.other].into_iter().take(self.keys);
            if !keys.clone().flatten().all(|key| self.visibility.sees(key)) {
                continue;
            }
            let mut values = Vec::with_capacity(self.keys + row.values.len());
            values.extend(keys.by_ref().map(|key| match key {
                Some(key) => Scalar::Text(key_text(key).into_owned()),
                None => Scalar::Null,
            }));
            values.extend(row.values.iter().map(scalar));
            self.ahead.push_back((cursor, values));
        }
        self.is_over = fetched < AT_ONCE;
        self.page.after = last;
        Ok(())
    }
}

impl Rows for ProjectedRows {
    fn next(&mut self) -> Result<bool, TableError> {
        while self.ahead.is_empty() && !self.is_over {
            self.fetch()?;
        }
        match self.ahead.pop_front() {
            Some((cursor, row)) => {
                (self.cursor, self.current) = (cursor, row);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        Ok(self
            .current
            .get(index)
            .map_or(ScalarRef::Null, Scalar::borrow))
    }

    fn row_id(&self) -> i64 {
        // The place in the tree, whichever way the row was come to.
        let rank = self.projected.tree.rank(&self.cursor).unwrap_or_default();
        i64::try_from(rank).unwrap_or(i64::MAX)
    }
}
