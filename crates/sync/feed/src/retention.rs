//! How much of the log is kept (FEED-50 to FEED-52).

use std::ops::Range;

use allod_blocks::{Batch, Expect, Store};
use allod_repo::RepoError;
use serde::{Deserialize, Serialize};

use crate::error::FeedError;

/// Where it is kept.
const RETENTION: &[u8] = b"feed/retention";

/// How many entries of the log stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The last entries, which stay also when all have read them.
    pub keep: u64,
    /// Entries that are there at most, though somebody has not read them.
    pub max: u64,
}

impl Default for Retention {
    /// A million entries, which take some 200 bytes each; four million for who is behind.
    fn default() -> Self {
        Self {
            keep: 1_000_000,
            max: 4_000_000,
        }
    }
}

impl Retention {
    /// As a store has it.
    pub fn of(store: &dyn Store) -> Result<Self, FeedError> {
        let Some(value) = store.get_ref(RETENTION)? else {
            return Ok(Self::default());
        };
        let damaged = RepoError::Damaged("how much of the log is kept does not decode");
        let found: Self = serde_json::from_slice(&value).map_err(|_error| damaged)?;
        Ok(found)
    }

    /// Whether it keeps anything, and no less than it has at most.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.keep > 0 && self.max >= self.keep
    }

    /// Lets a store have it.
    pub fn set(&self, store: &dyn Store) -> Result<(), FeedError> {
        let text = serde_json::to_vec(self)
            .map_err(|_error| RepoError::Damaged("how much of the log is kept does not encode"))?;
        let mut batch = Batch::new();
        batch.set_ref(RETENTION, Expect::Any, Some(text));
        let _done = store.commit(batch)?;
        Ok(())
    }

    /// Where a log that has these entries is to begin, if `needed` is the first position that somebody whose place is
    /// kept has not read.
    #[must_use]
    pub fn begin(&self, there: Range<u64>, needed: Option<u64>) -> u64 {
        let unasked = there.end.saturating_sub(self.keep);
        // Of the entry before it, a cursor has the check.
        let unread = needed.map_or(unasked, |needed| needed.saturating_sub(1));
        let too_old = there.end.saturating_sub(self.max);
        unasked.min(unread).max(too_old).max(there.start)
    }
}

#[cfg(test)]
mod tests {
    use allod_blocks::MemoryStore;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_kept() {
        let store = MemoryStore::new();
        assert_eq!(Retention::of(&store).unwrap(), Retention::default());
        let other = Retention { keep: 7, max: 9 };
        other.set(&store).unwrap();
        assert_eq!(Retention::of(&store).unwrap(), other);
        assert!(other.is_sound() && !Retention { keep: 0, max: 9 }.is_sound());
        assert!(!Retention { keep: 10, max: 9 }.is_sound());
    }

    proptest! {
        /// FEED-51, entry by entry.
        #[test]
        fn an_entry_stays_as_long_as_the_rule_says(
            start in 0..50_u64,
            length in 0..50_u64,
            keep in 1..40_u64,
            more in 0..40_u64,
            needed in proptest::option::of(0..120_u64),
        ) {
            let (there, retention) = (start..start + length, Retention { keep, max: keep + more });
            let begin = retention.begin(there.clone(), needed);
            for position in there.clone() {
                let age = there.end - position;
                let is_needed = needed.is_some_and(|needed| position + 1 >= needed);
                let stays = age <= keep || is_needed && age <= keep + more;
                prop_assert_eq!(position >= begin, stays, "{} in {:?}", position, there);
            }
            prop_assert!(begin >= there.start);
        }
    }
}
