//! What rows have to be for the engine to see them (TAB-4): as it compares, so that none is missed.

use allod_sql::{Op, Scalar, ScalarRef};

use crate::cells::Cells;

/// What the values of a column have to be.
pub(crate) struct Filter {
    pub(crate) column: usize,
    test: Test,
}

enum Test {
    IsNull,
    NotNull,
    Compare(Op, Scalar),
    Like(Like),
}

impl Filter {
    /// None if all rows have to be shown to the engine.
    pub(crate) fn new(column: usize, op: Op, value: ScalarRef<'_>) -> Option<Self> {
        let test = match (op, value) {
            (Op::IsNull, _) => Test::IsNull,
            (Op::NotNull, _) => Test::NotNull,
            (Op::Eq | Op::Lt | Op::Le | Op::Gt | Op::Ge, value) => {
                Test::Compare(op, value.to_scalar())
            }
            (Op::Like, ScalarRef::Text(pattern)) => Test::Like(Like::new(pattern)?),
            _ => return None,
        };
        Some(Self { column, test })
    }

    fn holds(&self, value: ScalarRef<'_>) -> bool {
        match &self.test {
            Test::IsNull => value.is_null(),
            Test::NotNull => !value.is_null(),
            Test::Compare(op, with) => !value.is_null() && is_so(*op, value.compare(with.borrow())),
            Test::Like(like) => match value {
                ScalarRef::Text(text) => like.may_match(text),
                // Numbers are matched as the engine writes them.
                value => !value.is_null(),
            },
        }
    }

    /// Leaves those of the rows for which it holds.
    pub(crate) fn keep(&self, cells: &Cells, rows: &mut Vec<u16>) {
        // The same for each row, with what is the same for all taken out of the loop.
        match (cells, &self.test) {
            (Cells::Integers(cells), Test::Compare(op, Scalar::Integer(with))) => {
                let (op, with) = (*op, *with);
                rows.retain(|row| {
                    let cell = cells.get(usize::from(*row));
                    cell.is_some_and(|cell| is_so(op, cell.cmp(&with)))
                });
            }
            _ => rows.retain(|row| self.holds(cells.get(usize::from(*row)))),
        }
    }
}

const fn is_so(op: Op, order: std::cmp::Ordering) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        _ => true,
    }
}

/// The longest pattern that is matched here, in bytes. The engine refuses longer ones, and each byte costs
/// time in proportion to the text.
const PATTERN_BYTES_MAX: usize = 1000;

/// A pattern of LIKE: texts with any text between them.
struct Like {
    /// Letters of ASCII are small.
    first: Box<[u8]>,
    between: Box<[Box<[u8]>]>,
    /// None if there is no `%`, so that the first is all.
    last: Option<Box<[u8]>>,
}

impl Like {
    /// None if the pattern has more to it than `%`, or is longer than the engine takes.
    fn new(pattern: &str) -> Option<Self> {
        // The engine reads a pattern up to NUL.
        if pattern.len() > PATTERN_BYTES_MAX || pattern.contains(['_', '\0']) {
            return None;
        }
        let parts = pattern.split('%');
        let mut parts: Vec<Box<[u8]>> = parts
            .map(|part| part.to_ascii_lowercase().into_bytes().into())
            .collect();
        let last = (parts.len() > 1).then(|| parts.pop()).flatten();
        let first = parts.remove(0);
        parts.retain(|part| !part.is_empty());
        Some(Self {
            first,
            between: parts.into(),
            last,
        })
    }

    fn may_match(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let Some((first, rest)) = bytes.split_at_checked(self.first.len()) else {
            return bytes.contains(&0);
        };
        let is = || {
            if !first.eq_ignore_ascii_case(&self.first) {
                return false;
            }
            let Some(last) = &self.last else {
                return rest.is_empty();
            };
            let Some(middle) = rest.len().checked_sub(last.len()) else {
                return false;
            };
            let (mut middle, end) = rest.split_at(middle);
            end.eq_ignore_ascii_case(last)
                && self.between.iter().all(|part| {
                    let mut windows = middle.windows(part.len());
                    let found = windows.position(|window| window.eq_ignore_ascii_case(part));
                    found.is_some_and(|at| {
                        middle = &middle[at + part.len()..];
                        true
                    })
                })
        };
        // The engine reads a text up to NUL, so what is behind it decides nothing.
        is() || bytes.contains(&0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'%', rest)) => (0..=text.len()).any(|skipped| naive(&text[skipped..], rest)),
            Some((byte, rest)) => text
                .split_first()
                .is_some_and(|(first, text)| first.eq_ignore_ascii_case(byte) && naive(text, rest)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn like_is_as_it_is_defined(text in "[aAbB\u{e4}]{0,8}", pattern in "[aB%\u{e4}]{0,6}") {
            let like = Like::new(&pattern).unwrap();
            prop_assert_eq!(
                like.may_match(&text),
                naive(text.as_bytes(), pattern.as_bytes()),
                "{} LIKE {}", text, pattern
            );
        }
    }

    #[test]
    fn what_the_engine_cuts_off_is_left_to_it() {
        assert!(Like::new("a_").is_none());
        assert!(Like::new("a\0").is_none());
        assert!(Like::new("a").is_some_and(|like| like.may_match("a\0b")));
        assert!(Like::new("abc%").is_some_and(|like| like.may_match("\0")));
    }
}
