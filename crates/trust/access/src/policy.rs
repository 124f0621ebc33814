//! What a grant says of the requests that it allows (ACCESS-3, ACCESS-4): the policy language of UCAN, without lists.

use std::fmt;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};

use crate::glob::Glob;
use crate::request::Target;
use crate::steps::Steps;

/// Statements of a policy, how many are in each other, and bytes of a value, at most (ACCESS-3): what people can read.
const STATEMENTS_MAX: usize = 64;
const DEPTH_MAX: usize = 8;
const VALUE_BYTES_MAX: usize = 256;

/// No policy. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a policy has at most 64 statements, 8 in each other, with values of at most 256 bytes")]
pub struct PolicyError;

/// What all requests have in common that a grant allows. All statements hold; none at all is no condition.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy(pub Vec<Statement>);

/// Something that holds of a request, or does not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Statement {
    /// What is selected compares so with a value.
    Compare(Comparison, Selector, Value),
    /// What is selected has the form of a pattern.
    Like(Selector, Glob),
    /// It does not hold.
    Not(Box<Self>),
    /// Each of them holds.
    And(Vec<Self>),
    /// One of them holds.
    Or(Vec<Self>),
}

/// How two values compare, as bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Selector {
    /// The key.
    #[serde(rename = ".key")]
    Key,
    /// The branch.
    #[serde(rename = ".branch")]
    Branch,
}

/// A text or bytes; both compare as bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What can be said of a request of which not all is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum Truth {
    False,
    Open,
    True,
}

impl Truth {
    const fn from_known(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }

    const fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Open => Self::Open,
            Self::True => Self::False,
        }
    }
}

impl Policy {
    /// A policy by which keys begin with a text.
    #[must_use]
    pub fn prefix(prefix: &str) -> Self {
        Self(vec![Statement::Like(Selector::Key, Glob::prefix(prefix))])
    }

    /// A policy by which it is one branch.
    #[must_use]
    pub fn branch(name: &str) -> Self {
        let value = Value::Text(name.to_owned());
        let statement = Statement::Compare(Comparison::Equal, Selector::Branch, value);
        Self(vec![statement])
    }

    /// What holds by both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether a statement of it is about a part of a request.
    pub(crate) fn asks_of(&self, part: Selector) -> bool {
        self.0.iter().any(|statement| statement.asks_of(part))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let mut count = 0;
        check_all(&self.0, 1, &mut count)
    }

    /// Whether it holds of what is done to a target on a branch; `None` when steps ran out.
    pub(crate) fn holds(
        &self,
        branch: &str,
        target: Target<'_>,
        steps: &mut Steps,
    ) -> Option<Truth> {
        let mut all = Truth::True;
        for statement in &self.0 {
            all = all.min(statement.holds(branch, target, steps)?);
            if all == Truth::False {
                break;
            }
        }
        Some(all)
    }
}

fn check_all(statements: &[Statement], depth: usize, count: &mut usize) -> Result<(), PolicyError> {
    for statement in statements {
        *count += 1;
        if *count > STATEMENTS_MAX || depth > DEPTH_MAX {
            return Err(PolicyError);
        }
        match statement {
            Statement::Compare(_, _, value) if value.as_bytes().len() > VALUE_BYTES_MAX => {
                return Err(PolicyError);
            }
            Statement::Like(_, glob) if glob.as_str().len() > VALUE_BYTES_MAX => {
                return Err(PolicyError);
            }
            Statement::Compare(..) | Statement::Like(..) => {}
            Statement::Not(inner) => check_all(std::slice::from_ref(inner), depth + 1, count)?,
            Statement::And(inner) | Statement::Or(inner) => {
                if inner.is_empty() {
                    return Err(PolicyError);
                }
                check_all(inner, depth + 1, count)?;
            }
        }
    }
    Ok(())
}

impl Statement {
    fn asks_of(&self, part: Selector) -> bool {
        match self {
            Self::Compare(_, selector, _) | Self::Like(selector, _) => *selector == part,
            Self::Not(inner) => inner.asks_of(part),
            Self::And(inner) | Self::Or(inner) => inner.iter().any(|it| it.asks_of(part)),
        }
    }

    fn holds(&self, branch: &str, target: Target<'_>, steps: &mut Steps) -> Option<Truth> {
        steps.take(1)?;
        Some(match self {
            Self::Compare(how, Selector::Branch, value) => {
                Truth::from_known(how.holds(branch.as_bytes(), value.as_bytes()))
            }
            Self::Compare(how, Selector::Key, value) => match target {
                Target::Key(key) => Truth::from_known(how.holds(key, value.as_bytes())),
                Target::Prefix(prefix) => how.of_all(prefix, value.as_bytes()),
                Target::Branch => Truth::Open,
            },
            Self::Like(Selector::Branch, glob) => {
                steps.take(glob.cost(branch.len()))?;
                Truth::from_known(glob.matches(branch.as_bytes()))
            }
            Self::Like(Selector::Key, glob) => match target {
                Target::Key(key) => {
                    steps.take(glob.cost(key.len()))?;
                    Truth::from_known(glob.matches(key))
                }
                Target::Prefix(prefix) => glob.of_all(prefix),
                Target::Branch => Truth::Open,
            },
            Self::Not(inner) => inner.holds(branch, target, steps)?.negated(),
            Self::And(inner) => {
                let mut all = Truth::True;
                for one in inner {
                    all = all.min(one.holds(branch, target, steps)?);
                    if all == Truth::False {
                        break;
                    }
                }
                all
            }
            Self::Or(inner) => {
                let mut any = Truth::False;
                for one in inner {
                    any = any.max(one.holds(branch, target, steps)?);
                    if any == Truth::True {
                        break;
                    }
                }
                any
            }
        })
    }
}

impl Comparison {
    const ALL: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];

    fn symbol(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }

    fn holds(self, left: &[u8], right: &[u8]) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// Of all keys with a prefix.
    fn of_all(self, prefix: &[u8], value: &[u8]) -> Truth {
        if value.starts_with(prefix) {
            // The prefix itself is the first of them.
            let first = self.holds(prefix, value);
            return match self {
                Self::GreaterOrEqual if first => Truth::True,
                Self::Less if prefix == value => Truth::False,
                _ => Truth::Open,
            };
        }
        // All of them lie on one side of the value.
        Truth::from_known(self.holds(prefix, value))
    }
}

impl Value {
    /// As bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
                Ok(Value::Bytes(bytes.to_vec()))
            }
        }

        deserializer.deserialize_any(Visit)
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn two<S: Serializer>(to: S, name: &str, what: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut tuple = to.serialize_tuple(2)?;
            tuple.serialize_element(name)?;
            tuple.serialize_element(what)?;
            tuple.end()
        }
        fn three<S: Serializer>(
            to: S,
            (name, selector): (&str, Selector),
            what: &impl Serialize,
        ) -> Result<S::Ok, S::Error> {
            let mut tuple = to.serialize_tuple(3)?;
            tuple.serialize_element(name)?;
            tuple.serialize_element(&selector)?;
            tuple.serialize_element(what)?;
            tuple.end()
        }
        match self {
            Self::Compare(how, selector, value) => {
                three(serializer, (how.symbol(), *selector), value)
            }
            Self::Like(selector, glob) => three(serializer, ("like", *selector), glob),
            Self::Not(inner) => two(serializer, "not", inner),
            Self::And(inner) => two(serializer, "and", inner),
            Self::Or(inner) => two(serializer, "or", inner),
        }
    }
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(StatementVisitor)
    }
}

struct StatementVisitor;

impl<'de> Visitor<'de> for StatementVisitor {
    type Value = Statement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement of a policy")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statement, A::Error> {
        fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(list: &mut A) -> Result<T, A::Error> {
            list.next_element()?
                .ok_or_else(|| de::Error::custom("a statement is cut short"))
        }
        let name: String = next(&mut list)?;
        let statement = match &*name {
            "not" => Statement::Not(next(&mut list)?),
            "and" => Statement::And(next(&mut list)?),
            "or" => Statement::Or(next(&mut list)?),
            "like" => Statement::Like(next(&mut list)?, next(&mut list)?),
            _ => {
                let mut all = Comparison::ALL.into_iter();
                let how = all.find(|(symbol, _)| *symbol == name);
                let (_, how) = how.ok_or_else(|| de::Error::custom("no such statement"))?;
                Statement::Compare(how, next(&mut list)?, next(&mut list)?)
            }
        };
        if list.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::custom("a statement is too long"));
        }
        Ok(statement)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, statement) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" and ")?;
            }
            fmt::Display::fmt(statement, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn join(f: &mut fmt::Formatter<'_>, all: &[Statement], by: &str) -> fmt::Result {
            f.write_str("(")?;
            for (place, one) in all.iter().enumerate() {
                if place > 0 {
                    write!(f, " {by} ")?;
                }
                fmt::Display::fmt(one, f)?;
            }
            f.write_str(")")
        }
        match self {
            Self::Compare(how, selector, value) => {
                let value = value.as_bytes().escape_ascii();
                write!(f, "{selector} {} \"{value}\"", how.symbol())
            }
            Self::Like(selector, glob) => {
                write!(f, "{selector} like \"{}\"", glob.as_str().escape_debug())
            }
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(inner) => join(f, inner, "and"),
            Self::Or(inner) => join(f, inner, "or"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Branch => "branch",
        })
    }
}
