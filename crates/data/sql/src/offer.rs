//! What the engine wants of a table, in the words of this crate.

use rusqlite::vtab::{IndexConstraintOp, IndexInfo};

use crate::bound::Bound;
use crate::module::scalar;
use crate::plan::{Constraint, Op, OrderBy};
use crate::value::ScalarRef;

/// The constraints that are offered to a table: the engine tells of no others whether they are lists.
const CONSTRAINTS_MAX: usize = 32;

/// The constraints that a table may take, and their places at the engine's.
pub(crate) fn offered(
    bound: &Bound,
    info: &IndexInfo,
    is_order_known: bool,
) -> Vec<(usize, Constraint)> {
    let mut offered = Vec::new();
    let mut count = 0;
    for (at, constraint) in info.constraints().enumerate() {
        count += 1;
        if at >= CONSTRAINTS_MAX {
            continue;
        }
        let Some(op) = op_of(&constraint.operator()) else {
            continue;
        };
        let column = usize::try_from(constraint.column()).ok();
        let column = column.filter(|_| !matches!(op, Op::Limit | Op::Offset));
        // Texts are compared by their bytes, unless the statement asks for something else.
        let is_binary = info
            .collation(at)
            .is_ok_and(|name| name.eq_ignore_ascii_case("BINARY"));
        if constraint.is_usable() && is_binary && bound.is_indexable(column, op) {
            let value = info.rhs_value(at).ok().flatten();
            let value = value.and_then(scalar).map(ScalarRef::to_scalar);
            let is_list = info.is_in_constraint(at).unwrap_or_default();
            offered.push((
                at,
                Constraint {
                    column,
                    op,
                    value,
                    is_list,
                },
            ));
        }
    }
    // Rows may be left out and counted by a table only if nothing else decides which there are.
    let is_all = count == offered.len() && offered.iter().all(|(_, it)| is_limit(it));
    if !is_all || !is_order_known {
        offered.retain(|(_, constraint)| !is_limit(constraint));
    }
    offered
}

const fn is_limit(constraint: &Constraint) -> bool {
    matches!(constraint.op, Op::Limit | Op::Offset)
}

const fn op_of(op: &IndexConstraintOp) -> Option<Op> {
    Some(match op {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Op::Eq,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Op::Lt,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Op::Le,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Op::Gt,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Op::Ge,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_NE => Op::Ne,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_IS => Op::Is,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_ISNOT => Op::IsNot,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_ISNULL => Op::IsNull,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_ISNOTNULL => Op::NotNull,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LIKE => Op::Like,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GLOB => Op::Glob,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LIMIT => Op::Limit,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_OFFSET => Op::Offset,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_MATCH
        | IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_REGEXP
        | IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_FUNCTION(_) => return None,
    })
}

/// The order that a table may give its rows in: all that was asked for, or none.
pub(crate) fn order_by(bound: &Bound, info: &IndexInfo) -> Vec<OrderBy> {
    let order: Option<Vec<OrderBy>> = info
        .order_bys()
        .map(|by| {
            let column = usize::try_from(by.column()).ok();
            let descending = by.is_order_by_desc();
            let by = OrderBy { column, descending };
            bound.is_sortable(column).then_some(by)
        })
        .collect();
    order.unwrap_or_default()
}
