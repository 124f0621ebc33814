//! Expressions over the fields of a record: filters, checks and computed fields (VIEW-10 to VIEW-19).
//!
//! # Goals
//! - What it gives depends on the expression and the record alone: every replica computes the same.
//! - It reads as SQL does, with the precedence of SQLite.
//! - Whoever writes an expression can be a stranger: text, depth, size and results are bounded.
//!
//! # The flow
//! ```text
//! text --token--> tokens --parse--> Expr --eval, with the fields of a record--> Value
//!                                    |
//!                                    +--Display--> its one spelling, which parses to the same Expr
//! ```

mod cast;
mod error;
mod eval;
mod functions;
mod like;
mod node;
mod parse;
mod token;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use self::error::{BadExpr, EvalError, ExprFault};
use self::node::Node;
pub use self::node::{FieldPath, Fields};
use crate::value::Value;

/// The longest text of an expression, in bytes, as it is written and in its one spelling: a page of text. It stands in
/// a definition that every replica reads (VIEW-18).
pub const EXPR_BYTES_MAX: usize = 4096;

/// The most levels of an expression, and the most brackets that are open at once. Each is a few frames of the
/// stack while it is parsed and computed (VIEW-18).
pub const EXPR_DEPTH_MAX: usize = 64;

/// The most operators, functions, fields and literals of an expression; it bounds the work for a record
/// (VIEW-18).
pub const EXPR_NODES_MAX: usize = 1024;

/// The longest text that an expression makes from shorter ones, in bytes. Without a bound, `replace` would double it
/// with each use (VIEW-18).
pub const EXPR_RESULT_BYTES_MAX: usize = 1 << 20;

/// The longest pattern of LIKE, in bytes. Each character of the text costs time in proportion to it
/// (VIEW-18).
pub const EXPR_PATTERN_BYTES_MAX: usize = 1024;

/// An expression over the fields of a record.
///
/// ```
/// use allod_views::{Expr, FieldPath, Value};
///
/// let expr: Expr = "role = 'admin' AND NOT (age < 18 or address.city IN ('Oslo'))".parse()?;
/// assert_eq!(expr.to_string(), "role = 'admin' AND NOT (age < 18 OR address.city IN ('Oslo'))");
/// let record = |path: &FieldPath| match path.to_string().as_str() {
///     "role" => Value::text("admin"),
///     "age" => Value::Number(30.into()),
///     _ => Value::Null,
/// };
/// // Nobody knows whether the city is Oslo.
/// assert_eq!(expr.holds(&record)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expr(Node);

impl Expr {
    /// Reads an expression (VIEW-10).
    pub fn parse(text: &str) -> Result<Self, BadExpr> {
        let expr = Self(parse::parse(text)?);
        // Numbers such as 1e37 are longer as they are written.
        if expr.to_string().len() > EXPR_BYTES_MAX {
            return Err(BadExpr::new(text, 0, ExprFault::TooLong));
        }
        Ok(expr)
    }

    /// Every field that it names, once each, in the order of their names.
    pub fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        let (mut fields, mut open) = (BTreeSet::new(), vec![&self.0]);
        while let Some(node) = open.pop() {
            if let Node::Field(path) = node {
                fields.insert(path);
            }
            open.extend(node.parts());
        }
        fields.into_iter()
    }

    /// The field that it is, if it is nothing else.
    #[must_use]
    pub const fn as_field(&self) -> Option<&FieldPath> {
        match &self.0 {
            Node::Field(path) => Some(path),
            _ => None,
        }
    }

    /// Its value for a record.
    pub fn eval(&self, record: &dyn Fields) -> Result<Value, EvalError> {
        eval::eval(&self.0, record)
    }

    /// Whether it holds for a record; None if that is not known, because something is null (VIEW-12). Fails if its
    /// value is no boolean.
    pub fn holds(&self, record: &dyn Fields) -> Result<Option<bool>, EvalError> {
        eval::truth("a condition", self.eval(record)?)
    }
}

impl FromStr for Expr {
    type Err = BadExpr;

    fn from_str(text: &str) -> Result<Self, BadExpr> {
        Self::parse(text)
    }
}

impl fmt::Display for Expr {
    /// Its one spelling (VIEW-11).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
