//! Which session brings which part of a file, where several fetch together (SYNC-18).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allod_blocks::Cid;

use crate::limits::CLAIMS_MAX;

/// What sessions of a node fetch together: each asks its peer for blocks of files that no other has asked
/// for. Cheap to clone; all clones are one.
///
/// Share one between all sessions that bring blocks into one store, whichever spaces they are about: a block
/// has one name in all of them. A session that ends, or is dropped, claims nothing any more.
#[derive(Clone, Debug, Default)]
pub struct Claims(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    claims: BTreeMap<Cid, Claim>,
    /// Sessions that there were.
    begun: u64,
    /// How often one of them stored blocks that it had claimed.
    stores: u64,
}

/// A block on its way.
#[derive(Debug)]
struct Claim {
    session: u64,
    /// Sessions that have asked for it.
    asked: usize,
}

/// The claims of one session.
#[derive(Debug)]
pub(crate) struct Claimed {
    claims: Claims,
    session: u64,
    /// On their way here.
    waiting: BTreeSet<Cid>,
    /// They came, and are not in the store yet: nobody is to ask for them meanwhile.
    arrived: Vec<Cid>,
    stores: u64,
    /// How often others had stored something when this session looked for what is missing.
    looked: u64,
}

impl Claims {
    /// The claims of one more session.
    pub(crate) fn begin(&self) -> Claimed {
        let mut record = self.lock();
        record.begun += 1;
        Claimed {
            claims: self.clone(),
            session: record.begun,
            waiting: BTreeSet::new(),
            arrived: Vec::new(),
            stores: 0,
            looked: record.stores,
        }
    }

    /// Blocks that are claimed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().claims.len()
    }

    /// Whether no block is claimed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each change is one call on the map, so it is whole also after a panic.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claimed {
    /// Claims a block; `false` if another session has. Where there are too many claims, it may be asked for
    /// without one.
    pub(crate) fn claim(&mut self, cid: Cid) -> bool {
        let mut record = self.claims.lock();
        if let Some(claim) = record.claims.get(&cid) {
            return claim.session == self.session;
        }
        if record.claims.len() < CLAIMS_MAX {
            let session = self.session;
            record.claims.insert(cid, Claim { session, asked: 1 });
            self.waiting.insert(cid);
        }
        true
    }

    /// How many sessions have asked for a block that another one claims.
    pub(crate) fn asked_elsewhere(&self, cid: &Cid) -> Option<usize> {
        let record = self.claims.lock();
        let claim = record.claims.get(cid);
        let claim = claim.filter(|claim| claim.session != self.session);
        claim.map(|claim| claim.asked)
    }

    /// Notes that this session asks for a block too, which stays claimed by another.
    pub(crate) fn ask_too(&mut self, cid: Cid) {
        if !self.claim(cid)
            && let Some(claim) = self.claims.lock().claims.get_mut(&cid)
        {
            claim.asked += 1;
        }
    }

    /// A block came; its claim lasts until it is stored.
    pub(crate) fn arrived(&mut self, cid: &Cid) {
        self.arrived.extend(self.waiting.take(cid));
    }

    /// What came is in the store.
    pub(crate) fn stored(&mut self) {
        if self.arrived.is_empty() {
            return;
        }
        let arrived = std::mem::take(&mut self.arrived);
        self.stores += 1;
        let mut record = self.claims.lock();
        record.stores += 1;
        for cid in arrived {
            record.give_up(&cid, self.session);
        }
    }

    /// A block does not come from the peer of this session.
    pub(crate) fn let_go(&mut self, cid: &Cid) {
        if self.waiting.remove(cid) {
            self.claims.lock().give_up(cid, self.session);
        }
    }

    /// Nothing more is to come from the peer of this session.
    pub(crate) fn let_all_go(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.give_up(waiting);
    }

    /// Notes that this session looks into the store for what is missing.
    pub(crate) fn look(&mut self) {
        self.looked = self.stored_elsewhere();
    }

    /// Whether others may have brought what was missing when this session looked.
    pub(crate) fn is_outdated(&self) -> bool {
        self.looked != self.stored_elsewhere()
    }

    fn stored_elsewhere(&self) -> u64 {
        self.claims.lock().stores - self.stores
    }

    fn give_up(&self, names: impl IntoIterator<Item = Cid>) {
        let mut record = self.claims.lock();
        for cid in names {
            record.give_up(&cid, self.session);
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let arrived = std::mem::take(&mut self.arrived);
        self.give_up(waiting.into_iter().chain(arrived));
    }
}

impl Record {
    fn give_up(&mut self, cid: &Cid, session: u64) {
        let is_its = |claim: &Claim| claim.session == session;
        if self.claims.get(cid).is_some_and(is_its) {
            self.claims.remove(cid);
        }
    }
}

#[cfg(test)]
mod tests {
    use allod_blocks::{Codec, sha256_cid};

    use super::*;

    fn cid(number: usize) -> Cid {
        sha256_cid(Codec::Raw, &number.to_le_bytes())
    }

    /// SYNC-18: a block is claimed by one session until it is stored, let go, or the session is gone.
    #[test]
    fn a_block_is_claimed_by_one_session() {
        let claims = Claims::default();
        let (mut one, mut other) = (claims.begin(), claims.begin());
        assert!(one.claim(cid(1)) && one.claim(cid(1)) && !other.claim(cid(1)));
        assert_eq!(other.asked_elsewhere(&cid(1)), Some(1));
        other.ask_too(cid(1));
        assert_eq!(other.asked_elsewhere(&cid(1)), Some(2));
        assert_eq!(one.asked_elsewhere(&cid(1)), None);
        // It came there, and that does not end the claim of the one.
        other.arrived(&cid(1));
        other.stored();
        assert!(!other.claim(cid(1)) && !one.is_outdated());
        one.arrived(&cid(1));
        assert!(!other.claim(cid(1)) && !other.is_outdated());
        one.stored();
        assert!(other.is_outdated() && !one.is_outdated());
        other.look();
        assert!(!other.is_outdated() && other.claim(cid(1)));
        other.let_go(&cid(1));
        assert!(one.claim(cid(1)) && one.claim(cid(2)) && one.claim(cid(3)));
        one.arrived(&cid(2));
        one.let_all_go();
        assert_eq!(claims.len(), 1);
        drop(one);
        assert!(claims.is_empty());
    }

    /// What is beyond the limit is asked for by each session, and nothing of it is remembered.
    #[test]
    fn claims_are_bounded() {
        let claims = Claims::default();
        let (mut one, mut other) = (claims.begin(), claims.begin());
        assert!((0..CLAIMS_MAX + 5).all(|number| one.claim(cid(number))));
        assert_eq!(claims.len(), CLAIMS_MAX);
        assert!(!other.claim(cid(0)) && other.claim(cid(CLAIMS_MAX)));
        assert!(other.waiting.is_empty());
        drop(other);
        assert_eq!(claims.len(), CLAIMS_MAX);
    }
}
