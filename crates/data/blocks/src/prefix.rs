//! What begins with a prefix.

use std::ops::Bound;

/// The least byte string greater than all that begin with `prefix`; `None` if there is none.
///
/// ```
/// assert_eq!(allod_blocks::prefix_end(b"a/"), Some(b"a0".to_vec()));
/// assert_eq!(allod_blocks::prefix_end(b"a\xff"), Some(b"b".to_vec()));
/// assert_eq!(allod_blocks::prefix_end(b"\xff"), None);
/// ```
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A lower and an upper bound.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The bounds of what begins with `prefix` and is greater than `after`; `None` if that is nothing.
///
/// Both ends are bounded: a log-structured store looks for what follows the last name through all
/// that was removed behind it.
pub(crate) fn names(prefix: &[u8], after: Option<&[u8]>) -> Option<Bounds> {
    let lower = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    let Some(end) = prefix_end(prefix) else {
        return Some((lower, Bound::Unbounded));
    };
    let past = after.is_some_and(|after| *after >= end[..]);
    (!past).then_some((lower, Bound::Excluded(end)))
}
