//! What is wrong with an expression, or with computing it (VIEW-19).

use std::fmt::{self, Write as _};

use crate::number::BadNumber;
use crate::value::Kind;

/// How much of the text an error shows, in characters.
const NEAR_CHARS_MAX: usize = 24;

/// A text is no expression (`E_EXPR`). Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BadExpr {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What stands there, or the beginning of it. Empty at the end of the text.
    pub near: String,
    /// What is wrong.
    pub fault: ExprFault,
}

/// What is wrong with the text of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprFault {
    /// Something else belongs there.
    #[error("expected {0}")]
    Expected(&'static str),
    /// There is no function of that name.
    #[error("there is no such function{}", Suggested(*nearest))]
    Function {
        /// One whose name is nearly that.
        nearest: Option<&'static str>,
    },
    /// A function has too few or too many arguments.
    #[error("{function} takes {}", Arguments(*least, *most))]
    Arguments {
        /// Its name.
        function: &'static str,
        /// How many it takes at least.
        least: usize,
        /// How many it takes at most; `usize::MAX` if there is no such bound.
        most: usize,
    },
    /// A number cannot be kept, or is none.
    #[error(transparent)]
    Number(BadNumber),
    /// The text, or its one spelling, has more than 4096 bytes.
    #[error("an expression has at most 4096 bytes, with its numbers written out")]
    TooLong,
    /// More than 64 levels, or more than 64 open brackets.
    #[error("an expression has at most 64 levels")]
    TooDeep,
    /// More than 1024 operators, functions, fields and literals.
    #[error("an expression has at most 1024 parts")]
    TooLarge,
}

impl BadExpr {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_EXPR";

    /// A fault at a byte of a text.
    pub(super) fn new(text: &str, at: usize, fault: ExprFault) -> Self {
        let rest = text.get(at..).unwrap_or_default();
        let near = rest.chars().take(NEAR_CHARS_MAX).collect();
        Self { at, near, fault }
    }
}

impl fmt::Display for BadExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, near, fault } = self;
        if near.is_empty() {
            return write!(f, "at the end of the expression: {fault}");
        }
        write!(f, "at byte {at}, `")?;
        for c in near.chars() {
            match c {
                '\'' | '"' | '\\' => f.write_char(c)?,
                // What a terminal would take for something else.
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        write!(f, "`: {fault}")
    }
}

impl std::error::Error for BadExpr {}

/// The end of a message about a name that is not known.
struct Suggested(Option<&'static str>);

impl fmt::Display for Suggested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; is {name} meant?"),
            None => Ok(()),
        }
    }
}

/// From how many arguments to how many.
struct Arguments(usize, usize);

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(least, most) = *self;
        match most {
            1 => f.write_str("one argument"),
            usize::MAX => write!(f, "{least} arguments or more"),
            _ if least == most => write!(f, "{most} arguments"),
            _ => write!(f, "{least} to {most} arguments"),
        }
    }
}

/// An expression has no value for a record (`E_EVAL`). Blame: whoever wrote the expression, or the record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// An operator or a function does not take values of these kinds.
    #[error("{operation} does not take {}", Kinds(kinds))]
    Kind {
        /// The operator or function.
        operation: &'static str,
        /// The kinds that it got, in order.
        kinds: Vec<Kind>,
    },
    /// It takes whole numbers only.
    #[error("{operation} takes whole numbers only")]
    NotWhole {
        /// The operator or function.
        operation: &'static str,
    },
    /// The result is a number that cannot be kept (VIEW-2), or a place or a size is one beyond 64 bits.
    #[error("{operation} has a number that is too large, too small or of more than 38 digits")]
    Range {
        /// The operator or function.
        operation: &'static str,
    },
    /// The result, or a pattern, is too long.
    #[error("{operation} makes or takes a text that is too long")]
    TooLong {
        /// The operator or function.
        operation: &'static str,
    },
    /// A text that a cast should make a number is none.
    #[error("CAST takes a text that is a number, such as '-12.5'")]
    NotANumber,
}

impl EvalError {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_EVAL";
}

/// Kinds as a text: `a text and a number`.
struct Kinds<'a>(&'a [Kind]);

impl fmt::Display for Kinds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, kind) in self.0.iter().enumerate() {
            let before = match nth {
                0 => "",
                _ if nth + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{}", kind.name())?;
        }
        Ok(())
    }
}
