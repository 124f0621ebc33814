//! How the room of blocks that were removed is given back: what lives in a pack is written anew, and the
//! pack removed (BLOCKS-92 to BLOCKS-94).
//!
//! ```text
//! places --bytes that live--> packs to empty --copy, sync, relocate--> sync of the engine --> remove
//! ```
//!
//! A block is copied while others read, put and remove it. The thread that gives batches to the engine
//! says where it is now, between two batches, and only if it is still where it was copied from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;

use bytes::Bytes;

use super::{Durable, FjallStore, Writer};
use crate::engine::Move;
use crate::packs::{Place, Writing};
use crate::store::{StoreError, StoreErrorKind};

/// Of a pack that stays, at least 7 of 8 bytes live. With fewer dead ones allowed, a collection would
/// write nearly all anew that lives to gain little; more would not keep the store within 1.15 times of
/// what lives.
const LIVES: (u64, u64) = (7, 8);

/// Packs with less than one part in so many of a full one are emptied into one whatever lives in them, so
/// that they do not become many.
const SMALL_PART: u64 = 2;

/// Packs that are emptied before they are removed: as many at least, and no more than one part in
/// [`ROUNDS_MAX`] of those that are to be. So much more room is needed meanwhile.
const EMPTIED_MIN: usize = 4;

/// Times that the table of places is read to the end for a collection.
const ROUNDS_MAX: usize = 16;

/// Bytes that are copied between two syncs, and that nobody sees yet. It is memory, and what a commit waits
/// for whose sync comes behind.
const COPIED_BYTES: usize = 1024 * 1024;

/// What a block that is copied takes in memory beside its record.
const BLOCK_BYTES: usize = 256;

impl FjallStore {
    /// Empties packs in which much is dead, and removes them. One that cannot be read stays.
    pub(super) fn compact_packs(&self) -> Result<(), StoreError> {
        let sealed = {
            // No batch has its places and is not pending yet. One that is begun now is not among them.
            let _writer = self.lock();
            let sealed = self.engine.packs.all();
            self.engine.packs.seal();
            sealed
        };
        // What lives in them is in the table of places after this.
        self.pending.drain()?;
        let mut live = BTreeMap::new();
        for place in self.engine.places() {
            let (_, place) = place?;
            *live.entry(place.pack).or_insert(0) += place.bytes();
        }
        let full = self.engine.packs.bytes_max();
        let is_small = |(_, bytes): &&(u32, u64)| *bytes < full / SMALL_PART;
        let are_several = sealed.iter().filter(is_small).count() > 1;
        let is_emptied = |pack: &(u32, u64)| {
            let (number, bytes) = pack;
            let live = live.get(number).copied().unwrap_or(0);
            live * LIVES.1 < bytes * LIVES.0 || are_several && is_small(&pack)
        };
        let emptied: Vec<u32> = sealed
            .into_iter()
            .filter(is_emptied)
            .map(|(number, _)| number)
            .collect();
        let at_once = emptied.len().div_ceil(ROUNDS_MAX).max(EMPTIED_MIN);
        for packs in emptied.chunks(at_once) {
            self.empty(packs)?;
        }
        Ok(())
    }

    fn empty(&self, packs: &[u32]) -> Result<(), StoreError> {
        let kept = self.copy_all(packs)?;
        // Nothing that is durable names them any more, in the engine or in the log.
        drop(self.settle()?);
        let emptied = packs.iter().filter(|pack| !kept.contains(pack));
        emptied
            .copied()
            .try_for_each(|pack| self.engine.packs.remove(pack))
    }

    /// Copies what lives in packs into others: those from which not all could be read.
    pub(super) fn copy_all(&self, packs: &[u32]) -> Result<BTreeSet<u32>, StoreError> {
        let mut copies = Copies::default();
        for pack in packs {
            // In the order in which they were written, which is how they will be read. What cannot be
            // read here is met again below.
            let Ok(mut records) = self.engine.packs.records(*pack) else {
                continue;
            };
            while let Ok(Some((name, place, stored))) = records.next() {
                if self.engine.is_at(&name, place)? {
                    self.copy(&mut copies, name, place, stored)?;
                }
            }
        }
        self.finish(&mut copies)?;
        // What the table says is still there was not found, because something before it is damaged.
        let mut kept = BTreeSet::new();
        for place in self.engine.places() {
            let (name, place) = place?;
            if !packs.contains(&place.pack) {
                continue;
            }
            match self.engine.packs.read(place) {
                Ok(Some(stored)) => self.copy(&mut copies, name, place, stored)?,
                // Its file may be put back.
                Ok(None) => {
                    kept.insert(place.pack);
                }
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    kept.insert(place.pack);
                }
                Err(error) => return Err(error),
            }
        }
        self.finish(&mut copies)?;
        Ok(kept)
    }

    fn copy(
        &self,
        copies: &mut Copies,
        name: Bytes,
        from: Place,
        stored: Bytes,
    ) -> Result<(), StoreError> {
        copies.bytes += from.bytes() as usize + BLOCK_BYTES;
        copies.blocks.push((name, from, stored));
        if copies.bytes >= COPIED_BYTES {
            self.finish(copies)?;
        }
        Ok(())
    }

    /// Writes what was collected to its new places, and has the engine say so once it is durable there.
    fn finish(&self, copies: &mut Copies) -> Result<(), StoreError> {
        let Copies { blocks, .. } = std::mem::take(copies);
        if blocks.is_empty() {
            return Ok(());
        }
        let stored = blocks
            .iter()
            .map(|(name, _, stored)| (&name[..], &stored[..]));
        let places = self.engine.packs.append(Writing::Moved, stored)?;
        self.engine.packs.sync(Writing::Moved)?;
        let moves = blocks.into_iter().zip(places);
        let moves = moves.map(|((name, from, _), to)| Move { name, from, to });
        self.pending.relocate(moves.collect())
    }

    /// Has the engine make all durable that was acknowledged, and the log say so.
    pub(super) fn settle(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        // Most of it while others commit.
        self.lock().redo.start_sync(&self.pending);
        self.pending.wait_sync()?;
        let mut writer = self.lock();
        self.write(&mut writer, Vec::new(), Durable::Now)?;
        writer.redo.close(&self.pending)?;
        Ok(writer)
    }
}

/// Blocks that are to be copied: their names, where they are, and their stored forms.
#[derive(Default)]
struct Copies {
    blocks: Vec<(Bytes, Place, Bytes)>,
    bytes: usize,
}
