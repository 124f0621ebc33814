//! Which way to the records a statement takes (TAB-4, TAB-5).

use allod_sql::{Ask, Constraint, Op, OrderBy, Plan};
use allod_views::FieldKind;

use crate::columns::{ID, KEY};

/// Constraints that a scan takes to pass rows over before the engine sees them.
const FILTERS_MAX: usize = 8;

/// What one of many values is estimated to hold of all rows, and what a bound on one side leaves.
const EQUAL_SHARE: f64 = 0.01;
const BOUND_SHARE: f64 = 0.3;

/// The cost of finding one record by its key, in records that are read in passing.
const LOOK_UP: f64 = 4.0;

/// The cost of each record that has to be read to compute an index that is not kept.
const COMPUTE: f64 = 4.0;

/// The ways, by the number of the plan.
pub(crate) const SCAN: i32 = 0;
pub(crate) const BY_KEY: i32 = 1;
pub(crate) const KEY_RANGE: i32 = 2;
/// That of the first index.
pub(crate) const FIRST_INDEX: i32 = 3;

/// An index that may be looked up in.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// What it is called.
    pub(crate) name: String,
    /// Of the fields that it is in the order of, the columns.
    pub(crate) columns: Vec<usize>,
    /// What these fields are.
    pub(crate) kinds: Vec<FieldKind>,
    /// Whether it is kept for the state, or follows from one that is.
    pub(crate) is_near: bool,
}

/// What a table knows of itself.
#[derive(Debug)]
pub(crate) struct Ways<'a> {
    pub(crate) rows: u64,
    pub(crate) indexes: &'a [Way],
    /// How many columns there are.
    pub(crate) width: usize,
}

impl Ways<'_> {
    /// The cheapest way.
    pub(crate) fn plan(&self, ask: &Ask<'_>) -> Plan {
        let mut best = self.scan(ask);
        let mut candidates: Vec<Plan> = [by_key(ask), self.key_range(ask)]
            .into_iter()
            .flatten()
            .collect();
        for (index, way) in self.indexes.iter().enumerate() {
            candidates.extend(self.by_index(ask, index, way));
        }
        for plan in candidates {
            if with_sorting(&plan, ask) < with_sorting(&best, ask) {
                best = plan;
            }
        }
        best
    }

    fn scan(&self, ask: &Ask<'_>) -> Plan {
        let filters = ask
            .constraints
            .iter()
            .enumerate()
            .filter(|(_, constraint)| {
                constraint.column.is_some_and(|column| column < self.width)
                    && matches!(
                        constraint.op,
                        Op::Eq
                            | Op::Lt
                            | Op::Le
                            | Op::Gt
                            | Op::Ge
                            | Op::IsNull
                            | Op::NotNull
                            | Op::Like
                    )
                    && !constraint.is_list
            });
        let takes: Vec<usize> = filters.map(|(place, _)| place).take(FILTERS_MAX).collect();
        let share = takes
            .iter()
            .map(|place| share(&ask.constraints[*place]))
            .product::<f64>();
        Plan {
            number: SCAN,
            name: "scan".to_owned(),
            ordered: is_by_key(ask.order_by),
            cost: self.rows as f64 + 1.0,
            rows: estimate(self.rows, share),
            takes,
            unique: false,
        }
    }

    fn key_range(&self, ask: &Ask<'_>) -> Option<Plan> {
        let bounds = ask
            .constraints
            .iter()
            .enumerate()
            .filter(|(_, constraint)| {
                matches!(constraint.column, Some(KEY | ID))
                    && matches!(
                        constraint.op,
                        Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Like | Op::Glob
                    )
            });
        let takes: Vec<usize> = bounds.map(|(place, _)| place).take(FILTERS_MAX).collect();
        if takes.is_empty() {
            return None;
        }
        let share = takes
            .iter()
            .map(|place| share(&ask.constraints[*place]))
            .product::<f64>();
        Some(Plan {
            number: KEY_RANGE,
            name: "key range".to_owned(),
            takes,
            ordered: is_by_key(ask.order_by),
            unique: false,
            cost: LOOK_UP + self.rows as f64 * share,
            rows: estimate(self.rows, share),
        })
    }

    fn by_index(&self, ask: &Ask<'_>, index: usize, way: &Way) -> Option<Plan> {
        let mut takes = Vec::new();
        let mut share_of_rows = 1.0;
        let mut equal = 0;
        for column in &way.columns {
            let found = ask.constraints.iter().position(|constraint| {
                constraint.column == Some(*column)
                    && matches!(constraint.op, Op::Eq | Op::Is | Op::IsNull)
            });
            let Some(place) = found else { break };
            takes.push(place);
            equal += 1;
            share_of_rows *= share(&ask.constraints[place]);
        }
        if let Some(next) = way.columns.get(equal) {
            for (place, constraint) in ask.constraints.iter().enumerate() {
                let is_bound = matches!(constraint.op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
                if constraint.column == Some(*next) && is_bound && takes.len() < Plan::TAKES_MAX {
                    takes.push(place);
                    share_of_rows *= share(constraint);
                }
            }
        }
        let ordered = !ask.order_by.is_empty() && is_by_index(ask.order_by, way, equal);
        if takes.is_empty() && !ordered {
            return None;
        }
        let rows = estimate(self.rows, share_of_rows);
        let to_compute = if way.is_near {
            0.0
        } else {
            self.rows as f64 * COMPUTE
        };
        Some(Plan {
            number: FIRST_INDEX + i32::try_from(index).ok()?,
            name: way.name.clone(),
            takes,
            ordered,
            unique: false,
            cost: LOOK_UP + rows as f64 * LOOK_UP + to_compute,
            rows,
        })
    }
}

fn by_key(ask: &Ask<'_>) -> Option<Plan> {
    let place = ask.constraints.iter().position(|constraint| {
        matches!(constraint.column, Some(KEY | ID)) && matches!(constraint.op, Op::Eq | Op::Is)
    })?;
    Some(Plan {
        number: BY_KEY,
        name: "key".to_owned(),
        takes: vec![place],
        ordered: true,
        unique: true,
        cost: LOOK_UP,
        rows: 1,
    })
}

fn share(constraint: &Constraint) -> f64 {
    match constraint.op {
        Op::Eq | Op::Is | Op::IsNull => EQUAL_SHARE,
        Op::NotNull | Op::Ne | Op::IsNot => 1.0,
        _ => BOUND_SHARE,
    }
}

fn estimate(rows: u64, share: f64) -> u64 {
    ((rows as f64 * share) as i64).unsigned_abs().max(1)
}

/// What a plan costs with the sorting that the engine does behind it.
fn with_sorting(plan: &Plan, ask: &Ask<'_>) -> f64 {
    let rows = plan.rows as f64;
    let sorts = !ask.order_by.is_empty() && !plan.ordered;
    plan.cost
        + if sorts {
            rows * rows.max(2.0).log2()
        } else {
            0.0
        }
}

/// The order of keys. A scan goes forwards.
fn is_by_key(order: &[OrderBy]) -> bool {
    match order {
        [] => true,
        [first, ..] => matches!(first.column, Some(KEY | ID)) && !first.descending,
    }
}

/// The order of an index, in one direction, behind values that are the same in all rows. Long texts are
/// not in order there (PROJ-4).
fn is_by_index(order: &[OrderBy], way: &Way, equal: usize) -> bool {
    // Numbers that are looked up as one may be several that round alike.
    let is_exact = |kind: &FieldKind| {
        matches!(
            kind,
            FieldKind::String | FieldKind::Ref(_) | FieldKind::Bytes | FieldKind::Boolean
        )
    };
    let same = way.kinds[..equal]
        .iter()
        .take_while(|kind| is_exact(kind))
        .count();
    let Some(descending) = order.first().map(|first| first.descending) else {
        return true;
    };
    let rest = order.iter().filter(|by| {
        !way.columns[..same]
            .iter()
            .any(|column| by.column == Some(*column))
    });
    let mut columns = way.columns.iter().zip(&way.kinds).skip(same);
    let mut all = rest;
    all.all(|by| {
        let next = columns.next();
        by.descending == descending
            && next.is_some_and(|(column, kind)| {
                let is_cut = matches!(
                    kind,
                    FieldKind::String | FieldKind::Ref(_) | FieldKind::Bytes
                );
                by.column == Some(*column) && !is_cut
            })
    })
}
