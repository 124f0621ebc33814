//! Statements that ask for totals of one table and nothing else (SQL-16): the table may have them at hand,
//! or get them in fewer steps than the engine, which takes every row for itself.

use std::cmp::Ordering;
use std::ops::Range;

use crate::bound::{Bound, Fit};
use crate::outline::{Outline, Wanted};
use crate::plan::Op;
use crate::token::{Kind, Token, tokens};
use crate::value::{Scalar, ScalarRef};

/// What is computed of the rows of a group.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Function {
    /// How many there are; of a column, how many are not null.
    Count,
    /// `sum`: null if all are null.
    Sum,
    /// `avg`.
    Avg,
    /// `min`.
    Min,
    /// `max`.
    Max,
}

/// A value that a statement wants of each group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Item {
    /// That of one of the columns by which rows are grouped.
    Group(usize),
    /// A total, of a column or of the rows.
    Total(Function, Option<usize>),
}

/// A comparison that rows have to hold for, of a column that is not null.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The column.
    pub column: usize,
    /// One of `=`, `<`, `<=`, `>`, `>=`.
    pub op: Op,
    /// A whole number, or a text that is compared with by its bytes.
    pub value: Scalar,
}

/// What a statement wants to know of the rows of a table, by groups of rows with the same values in some
/// columns. Without such columns all rows are one group, also if there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// The columns by which rows are grouped, and whether groups come from the last to the first by it.
    pub groups: Vec<(usize, bool)>,
    /// What is wanted of each group.
    pub items: Vec<Item>,
    /// What rows have to be, all of it.
    pub filters: Vec<Comparison>,
}

/// A statement of that kind: what it wants, in which order, and how many rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) totals: Totals,
    /// Items, and whether from the last to the first.
    order: Vec<(usize, bool)>,
    limit: Option<usize>,
}

impl Shape {
    /// What a statement over one table wants, if it is of that kind.
    pub(crate) fn read(sql: &str, outline: &Outline, table: &Bound) -> Option<Self> {
        let [source] = &outline.sources[..] else {
            return None;
        };
        if outline.is_explained() || !matches!(source.wanted, Wanted::Table { .. }) {
            return None;
        }
        let all = tokens(sql).ok()?;
        let mut reader = Reader {
            sql,
            tokens: &all,
            at: 0,
            table,
        };
        reader.statement(&source.span)
    }

    /// Puts rows in order, and leaves out those beyond the limit.
    pub(crate) fn arrange(&self, rows: &mut Vec<Vec<Scalar>>) {
        rows.sort_by(|one, two| {
            let mut orders = self.order.iter().map(|(at, is_descending)| {
                value(one, *at).compare_by(value(two, *at), *is_descending)
            });
            orders
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        rows.truncate(self.limit.unwrap_or(usize::MAX));
    }
}

/// A value of a row; null beyond the last.
fn value(row: &[Scalar], at: usize) -> ScalarRef<'_> {
    row.get(at).map_or(ScalarRef::Null, Scalar::borrow)
}

/// Words that stand for values, or begin something else than a name.
const MEANINGS: [&str; 14] = [
    "ALL",
    "CASE",
    "CAST",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "DISTINCT",
    "EXISTS",
    "FALSE",
    "NOT",
    "NULL",
    "ROWID",
    "SELECT",
    "TRUE",
];

/// An item as it is written.
struct Named {
    item: Item,
    alias: Option<String>,
}

struct Reader<'a> {
    sql: &'a str,
    tokens: &'a [Token],
    at: usize,
    table: &'a Bound,
}

impl Reader<'_> {
    fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is = self.peek()?.is_word(self.sql, word);
        is.then(|| self.at += 1)
    }

    fn mark(&mut self, mark: u8) -> Option<()> {
        let is = self.peek()?.kind == Kind::Mark(mark);
        is.then(|| self.at += 1)
    }

    /// A name. What the engine may take for something else is left to it.
    fn name(&mut self) -> Option<String> {
        let token = self.peek()?;
        let is_name = match token.kind {
            Kind::Quoted => true,
            Kind::Word => !MEANINGS.iter().any(|word| token.is_word(self.sql, word)),
            _ => false,
        };
        is_name.then(|| {
            self.at += 1;
            token.unquoted(self.sql)
        })
    }

    fn column(&mut self) -> Option<usize> {
        let name = self.name()?;
        let mut columns = self.table.columns.iter();
        columns.position(|column| column.name.eq_ignore_ascii_case(&name))
    }

    fn statement(&mut self, table: &Range<usize>) -> Option<Shape> {
        self.word("SELECT")?;
        let mut named = vec![self.item()?];
        while self.mark(b',').is_some() {
            named.push(self.item()?);
        }
        self.word("FROM")?;
        if self.peek()?.start != table.start {
            return None;
        }
        while self.peek().is_some_and(|token| token.start < table.end) {
            self.at += 1;
        }
        let mut filters = Vec::new();
        if self.word("WHERE").is_some() {
            filters.push(self.comparison()?);
            while self.word("AND").is_some() {
                filters.push(self.comparison()?);
            }
        }
        let mut groups = Vec::new();
        if self.word("GROUP").is_some() {
            self.word("BY")?;
            groups.push(self.column()?);
            while self.mark(b',').is_some() {
                groups.push(self.column()?);
            }
        }
        // In a group, a column that it is not of has a value of any row.
        for named in &mut named {
            if let Item::Group(column) = &mut named.item {
                *column = groups.iter().position(|group| group == column)?;
            }
        }
        let is_total = |named: &Named| matches!(named.item, Item::Total(..));
        if groups.is_empty() && !named.iter().any(is_total) {
            return None;
        }
        let mut order = Vec::new();
        if self.word("ORDER").is_some() {
            self.word("BY")?;
            order.push(self.order(&named, &groups)?);
            while self.mark(b',').is_some() {
                order.push(self.order(&named, &groups)?);
            }
        }
        // Groups that are equal in the order stay as they were, which the engine sorts by the directions of
        // an order that is as long.
        let is_as_long = order.len() == groups.len();
        let groups: Vec<(usize, bool)> = groups
            .iter()
            .enumerate()
            .map(|(place, column)| (*column, is_as_long && order[place].1))
            .collect();
        let limit = match self.word("LIMIT") {
            Some(()) => Some(self.whole()?.try_into().ok()?),
            None => None,
        };
        // A semicolon may be behind it, and nothing else.
        self.mark(b';').unwrap_or(());
        if self.peek().is_some() {
            return None;
        }
        let items = named.into_iter().map(|named| named.item).collect();
        Some(Shape {
            totals: Totals {
                groups,
                items,
                filters,
            },
            order,
            limit,
        })
    }

    fn item(&mut self) -> Option<Named> {
        let is_call = self
            .tokens
            .get(self.at + 1)
            .is_some_and(|next| next.kind == Kind::Mark(b'('));
        let item = if is_call {
            let function = self.function()?;
            self.mark(b'(')?;
            let column = match (function, self.mark(b'*')) {
                (Function::Count, Some(())) => None,
                (_, Some(())) => return None,
                (_, None) => Some(self.column()?),
            };
            self.mark(b')')?;
            Item::Total(function, column)
        } else {
            Item::Group(self.column()?)
        };
        let alias = match self.word("AS") {
            Some(()) => Some(self.name()?),
            None => None,
        };
        Some(Named { item, alias })
    }

    fn function(&mut self) -> Option<Function> {
        let name = self.name()?.to_ascii_lowercase();
        Some(match name.as_str() {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "avg" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            _ => return None,
        })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let column = self.column()?;
        let Kind::Mark(first @ (b'=' | b'<' | b'>')) = self.peek()?.kind else {
            return None;
        };
        self.at += 1;
        // A sign of two marks has nothing between them.
        let behind = self.tokens.get(self.at - 1)?.end;
        let is_one = self.peek()?.start == behind;
        let op = match (first, is_one.then(|| self.mark(b'=')).flatten()) {
            (b'=', _) => Op::Eq,
            (b'<', None) => Op::Lt,
            (b'<', Some(())) => Op::Le,
            (b'>', None) => Op::Gt,
            _ => Op::Ge,
        };
        let value = match self.peek()?.kind {
            Kind::Text => {
                let text = self.peek()?.unquoted(self.sql);
                self.at += 1;
                Scalar::Text(text)
            }
            _ => Scalar::Integer(self.whole()?),
        };
        // As the engine compares it with what is in the column.
        match self.table.fit(Some(column), op, Some(value.borrow())) {
            Fit::Value(fit) => Some(Comparison {
                column,
                op,
                value: fit.to_scalar(),
            }),
            Fit::Nothing | Fit::Unknown => None,
        }
    }

    /// A whole number that is written with digits, and perhaps a sign.
    fn whole(&mut self) -> Option<i64> {
        let is_negative = self.mark(b'-').is_some();
        let token = self.peek().filter(|token| token.kind == Kind::Number)?;
        self.at += 1;
        let whole: i64 = token.text(self.sql).parse().ok()?;
        Some(if is_negative { -whole } else { whole })
    }

    /// The item by which rows are ordered: its alias, its column, or its number.
    fn order(&mut self, named: &[Named], groups: &[usize]) -> Option<(usize, bool)> {
        let place = if self.peek()?.kind == Kind::Number {
            let number = usize::try_from(self.whole()?).ok()?;
            number.checked_sub(1).filter(|place| *place < named.len())?
        } else {
            let name = self.name()?;
            let is_alias = |named: &Named| {
                let alias = named.alias.as_ref();
                alias.is_some_and(|alias| alias.eq_ignore_ascii_case(&name))
            };
            let is_column = |named: &Named| match named.item {
                Item::Group(group) => groups
                    .get(group)
                    .and_then(|column| self.table.columns.get(*column))
                    .is_some_and(|column| column.name.eq_ignore_ascii_case(&name)),
                Item::Total(..) => false,
            };
            let alias = named.iter().position(is_alias);
            alias.or_else(|| named.iter().position(is_column))?
        };
        let is_descending = self.word("DESC").is_some();
        if !is_descending {
            self.word("ASC").unwrap_or(());
        }
        Some((place, is_descending))
    }
}
