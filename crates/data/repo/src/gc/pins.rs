//! Pins: blocks that are kept though no space refers to them, with all below them (REPO-60).

use allod_blocks::{Batch, BatchOutcome, Cid, Codec, Expect, Store};
use bytes::Bytes;

use crate::error::RepoError;
use crate::files::missing_part;
use crate::layout;

/// Keeps a block, which must be there, and what it links to; of a file all parts must be there. Pinning again
/// changes nothing.
pub fn pin(store: &dyn Store, cid: &Cid) -> Result<(), RepoError> {
    let _hold = store.uses().hold();
    let missing = if cid.codec() == Codec::DagPb.code() {
        missing_part(store, *cid)?
    } else {
        (!store.has(cid)?).then_some(*cid)
    };
    if let Some(cid) = missing {
        return Err(RepoError::Missing(cid));
    }
    let mut batch = Batch::new();
    batch.set_ref(layout::pin(cid), Expect::Any, Some(Bytes::new()));
    let _outcome = store.commit(batch)?;
    Ok(())
}

/// Stops keeping a block; whether it was pinned. Nothing is removed before garbage is collected.
pub fn unpin(store: &dyn Store, cid: &Cid) -> Result<bool, RepoError> {
    let mut batch = Batch::new();
    let expect = Expect::Value(Bytes::new());
    batch.set_ref(layout::pin(cid), expect, None::<Bytes>);
    Ok(matches!(store.commit(batch)?, BatchOutcome::Done { .. }))
}

/// At most `limit` pinned blocks after `after`, in the order of their names.
pub fn pins(store: &dyn Store, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, RepoError> {
    let after = after.map(layout::pin);
    let page = store.scan_refs(layout::PINS, after.as_deref(), limit)?;
    page.iter()
        .map(|(name, _)| {
            Cid::try_from(&name[layout::PINS.len()..])
                .map_err(|_error| RepoError::Damaged("a pin's name is no CID"))
        })
        .collect()
}
