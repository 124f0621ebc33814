//! An expression as a tree, and its one spelling (VIEW-11).

use std::fmt::{self, Display as _};

use super::cast::Type;
use super::functions::Function;
use super::token::is_name;
use crate::timestamp;
use crate::value::Value;

/// Words that are no names unless they stand between `"`.
pub(super) const RESERVED: [&str; 16] = [
    "AND", "BETWEEN", "CASE", "ELSE", "END", "ESCAPE", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL",
    "OR", "THEN", "TRUE", "WHEN",
];

/// The values of a record.
pub trait Fields {
    /// The value of a field; null if there is no such field.
    fn field(&self, path: &FieldPath) -> Value;
}

impl<F: Fn(&FieldPath) -> Value> Fields for F {
    fn field(&self, path: &FieldPath) -> Value {
        self(path)
    }
}

/// A field, or one within another: `address.city`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    pub(super) const fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names on the way to it, one or more.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, name) in self.0.iter().enumerate() {
            let is_plain = name.chars().all(is_name)
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty()
                && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name));
            f.write_str(if nth == 0 { "" } else { "." })?;
            if is_plain {
                f.write_str(name)?;
            } else {
                write!(f, "\"{}\"", name.replace('"', "\"\""))?;
            }
        }
        Ok(())
    }
}

/// A part of an expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Node {
    Literal(Value),
    Field(FieldPath),
    /// Also of `NOT IN`, `IS NOT` and their like, which are spelled so.
    Not(Box<Self>),
    /// Of anything but a number, which has its own sign.
    Minus(Box<Self>),
    /// Of two or more.
    And(Vec<Self>),
    /// Of two or more.
    Or(Vec<Self>),
    Binary(Operator, Box<[Self; 2]>),
    Between(Box<[Self; 3]>),
    In(Box<Self>, Vec<Self>),
    Like(Box<[Self; 2]>, Option<char>),
    Case {
        of: Option<Box<Self>>,
        /// WHEN and THEN of each; one or more.
        branches: Vec<[Self; 2]>,
        otherwise: Option<Box<Self>>,
    },
    Cast(Box<Self>, Type),
    Call(&'static Function, Vec<Self>),
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Is,
    Less,
    AtMost,
    More,
    AtLeast,
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
    Concat,
}

impl Operator {
    pub(super) const fn spelling(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Is => "IS",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Over => "/",
            Self::Modulo => "%",
            Self::Concat => "||",
        }
    }

    pub(super) const fn level(self) -> Level {
        match self {
            Self::Equal | Self::Unequal | Self::Is => Level::Equality,
            Self::Less | Self::AtMost | Self::More | Self::AtLeast => Level::Comparison,
            Self::Plus | Self::Minus => Level::Sum,
            Self::Times | Self::Over | Self::Modulo => Level::Product,
            Self::Concat => Level::Concat,
        }
    }
}

/// How tightly an operator binds, from the loosest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    Or,
    And,
    Not,
    Equality,
    Comparison,
    Sum,
    Product,
    Concat,
    Sign,
    Single,
}

impl Level {
    /// The next tighter one.
    pub(super) const fn tighter(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Not,
            Self::Not => Self::Equality,
            Self::Equality => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Concat,
            Self::Concat => Self::Sign,
            Self::Sign | Self::Single => Self::Single,
        }
    }
}

impl Node {
    /// What it is made of.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Field(_) => Vec::new(),
            Self::Not(part) | Self::Minus(part) | Self::Cast(part, _) => vec![part],
            Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) => parts.iter().collect(),
            Self::Binary(_, parts) | Self::Like(parts, _) => parts.iter().collect(),
            Self::Between(parts) => parts.iter().collect(),
            Self::In(of, list) => [&**of].into_iter().chain(list).collect(),
            Self::Case {
                of,
                branches,
                otherwise,
            } => {
                let ends = of.as_deref().into_iter().chain(otherwise.as_deref());
                ends.chain(branches.iter().flatten()).collect()
            }
        }
    }

    /// How many levels it has (VIEW-18).
    pub(super) fn depth(&self) -> usize {
        let parts = self.parts().into_iter().map(Self::depth);
        1 + parts.max().unwrap_or_default()
    }

    fn level(&self) -> Level {
        match self {
            Self::Or(_) => Level::Or,
            Self::And(_) => Level::And,
            Self::Not(part) if part.takes_not() => Level::Equality,
            Self::Not(_) => Level::Not,
            Self::Between(_) | Self::In(..) | Self::Like(..) => Level::Equality,
            Self::Binary(operator, _) => operator.level(),
            Self::Minus(_) => Level::Sign,
            Self::Literal(Value::Number(number)) if number.coefficient() < 0 => Level::Sign,
            _ => Level::Single,
        }
    }

    /// Whether a NOT is written within it.
    const fn takes_not(&self) -> bool {
        matches!(
            self,
            Self::Between(_) | Self::In(..) | Self::Like(..) | Self::Binary(Operator::Is, _)
        )
    }

    /// What is written within another, with brackets unless it binds as tightly as it has to.
    const fn within(&self, level: Level) -> Within<'_> {
        Within(self, level)
    }

    /// Writes it with a word for NOT, in it or before it.
    fn write(&self, not: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equality = |part| Within(part, Level::Equality);
        let comparison = |part| Within(part, Level::Comparison);
        match self {
            Self::Literal(value) => write_literal(value, f),
            Self::Field(path) => path.fmt(f),
            Self::Not(part) if part.takes_not() => part.write("NOT ", f),
            Self::Not(part) => write!(f, "NOT {}", part.within(Level::Not)),
            Self::Minus(part) => write!(f, "-{}", part.within(Level::Single)),
            Self::And(parts) => write_list(parts, " AND ", Level::And.tighter(), f),
            Self::Or(parts) => write_list(parts, " OR ", Level::Or.tighter(), f),
            Self::Binary(operator, parts) => {
                let [left, right] = &**parts;
                let (level, sign) = (operator.level(), operator.spelling());
                let (left, right) = (left.within(level), right.within(level.tighter()));
                write!(f, "{left} {sign} {not}{right}")
            }
            Self::Between(parts) => {
                let [of, low, high] = &**parts;
                write!(f, "{} {not}BETWEEN ", equality(of))?;
                write!(f, "{} AND {}", comparison(low), comparison(high))
            }
            Self::In(of, list) => {
                write!(f, "{} {not}IN (", equality(of))?;
                write_list(list, ", ", Level::Or, f)?;
                f.write_str(")")
            }
            Self::Like(parts, escape) => {
                let [text, pattern] = &**parts;
                write!(f, "{} {not}LIKE {}", equality(text), comparison(pattern))?;
                match escape {
                    Some(c) => write!(f, " ESCAPE {}", Quoted(&c.to_string())),
                    None => Ok(()),
                }
            }
            Self::Case {
                of,
                branches,
                otherwise,
            } => {
                f.write_str("CASE")?;
                if let Some(of) = of {
                    write!(f, " {of}")?;
                }
                for [when, then] in branches {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Self::Cast(part, to) => write!(f, "CAST({part} AS {})", to.name()),
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name)?;
                write_list(arguments, ", ", Level::Or, f)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write("", f)
    }
}

struct Within<'a>(&'a Node, Level);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node, level) = self;
        if node.level() < *level {
            write!(f, "({node})")
        } else {
            node.fmt(f)
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

fn write_list(
    parts: &[Node],
    between: &str,
    level: Level,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (nth, part) in parts.iter().enumerate() {
        f.write_str(if nth == 0 { "" } else { between })?;
        part.within(level).fmt(f)?;
    }
    Ok(())
}

fn write_literal(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("NULL"),
        Value::Boolean(true) => f.write_str("TRUE"),
        Value::Boolean(false) => f.write_str("FALSE"),
        Value::Number(number) => number.fmt(f),
        // No text is a float by itself.
        Value::Float(float) => write!(f, "CAST({:e} AS float)", float.get()),
        Value::Timestamp(micros) => write!(f, "TIMESTAMP '{}'", timestamp::spell(*micros)),
        Value::Text(text) => Quoted(text).fmt(f),
        Value::Bytes(bytes) => {
            f.write_str("x'")?;
            for byte in bytes {
                write!(f, "{byte:02x}")?;
            }
            f.write_str("'")
        }
    }
}
