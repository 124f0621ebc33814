//! Keys that were looked at before. Whether bytes are a key takes a seventh of the time that a signature takes, and a
//! statement has several of them, of the same few authors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::VerifyingKey;

/// Keys held at most: 1 MiB. When there are more, those that are there are let go, and come back as they are needed.
const KEYS_MAX: usize = 4096;

type Keys = BTreeMap<[u8; 32], VerifyingKey>;

thread_local! {
    /// The keys of whoever reads something on this thread now. Types are read by serde, which passes nothing on; so this
    /// is how what a caller has gets to where a key is read. It is empty but during a call of [`KnownKeys::during`].
    static LENT: RefCell<Option<Keys>> = const { RefCell::new(None) };
}

/// Keys that are known to be usable. They make reading and verifying faster, and change no result.
#[derive(Clone, Default)]
pub struct KnownKeys {
    keys: Keys,
}

impl KnownKeys {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does something by which keys, and statements, are read and verified on this thread; those that come up are known
    /// from then on.
    pub fn during<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let keys = std::mem::take(&mut self.keys);
        let before = LENT.replace(Some(keys));
        // Given back also where `run` panics.
        let _lent = Lent { to: self, before };
        run()
    }
}

impl fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownKeys({})", self.keys.len())
    }
}

struct Lent<'a> {
    to: &'a mut KnownKeys,
    before: Option<Keys>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.to.keys = LENT.replace(self.before.take()).unwrap_or_default();
    }
}

/// A key that is known.
pub(crate) fn find(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    LENT.with_borrow(|lent| lent.as_ref()?.get(bytes).copied())
}

/// Keeps a key that was found to be usable, if somebody has room for it.
pub(crate) fn keep(key: VerifyingKey) {
    LENT.with_borrow_mut(|lent| {
        if let Some(keys) = lent {
            if keys.len() >= KEYS_MAX {
                keys.clear();
            }
            keys.insert(key.to_bytes(), key);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use crate::secret::SecretKey;

    fn keys(count: u32) -> impl Iterator<Item = PublicKey> {
        (0..count).map(|number| {
            let mut seed = [3; 32];
            seed[..4].copy_from_slice(&number.to_be_bytes());
            SecretKey::from_seed(seed).public()
        })
    }

    #[test]
    fn what_is_known_is_bounded_and_changes_nothing() {
        let mut known = KnownKeys::new();
        let bad = [[0; 32], [0xff; 32]];
        for _ in 0..2 {
            let results = known.during(|| bad.map(PublicKey::from_bytes));
            assert_eq!(results, bad.map(PublicKey::from_bytes));
            assert!(results.iter().all(Result::is_err));
        }
        assert!(known.keys.is_empty(), "what is no key is not known");
        let count = KEYS_MAX as u32 + 10;
        for key in keys(count) {
            let read = known.during(|| PublicKey::from_bytes(*key.as_bytes()));
            assert_eq!(read, Ok(key));
            assert!(known.keys.contains_key(key.as_bytes()));
        }
        assert_eq!(known.keys.len(), 10);
    }

    #[test]
    fn what_was_lent_is_given_back() {
        let (mut outer, mut inner) = (KnownKeys::new(), KnownKeys::new());
        let key = SecretKey::from_seed([1; 32]).public();
        let read = || PublicKey::from_bytes(*key.as_bytes()).is_ok();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            outer.during(|| {
                assert!(inner.during(read));
                assert!(find(key.as_bytes()).is_none(), "each has its own");
                assert!(read());
                panic!("on purpose");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!((outer.keys.len(), inner.keys.len()), (1, 1));
        assert!(LENT.with_borrow(Option::is_none));
        assert!(read() && find(key.as_bytes()).is_none());
    }
}
