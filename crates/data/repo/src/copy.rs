//! Copying a store that is damaged beyond mending into a new one (REPO-70).

use std::ops::{ControlFlow, Range};

use allod_blocks::{Batch, Block, Cid, Codec, Expect, Marked, Store, StoreError, StoreErrorKind};

use crate::error::RepoError;
use crate::event::log_range;
use crate::files::ALL;
use crate::reach::{hints_in_reference, named_by, roots_of};
use crate::repair::{PAGE, Progress, each_block, each_reference};

/// Bytes of blocks that are written at a time: as much as a session writes.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// Blocks.
    pub blocks: u64,
    /// Their contents, in bytes.
    pub bytes: u64,
    /// References.
    pub references: u64,
    /// Log entries.
    pub log_entries: u64,
    /// Blocks that references lead to and that could not be read.
    pub unreadable: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Copies into the empty store `to` every block that can be read, then the log and the references.
/// Fails if a reference or a log entry cannot be read: what is said must be whole, and what it is
/// said about can be fetched.
///
/// Nothing else may write to `from` meanwhile.
pub fn copy_store(
    from: &dyn Store,
    to: &dyn Store,
    progress: Progress<'_>,
) -> Result<Copied, RepoError> {
    let mut copy = Copy {
        to,
        batch: Batch::new(),
        batch_bytes: 0,
        copied: Copied::default(),
    };
    let mut fault = None;
    each_block(from, &mut |_cid, read| {
        // What is damaged is met again below, if anything leads to it.
        if let Ok(Some(block)) = read {
            fault = copy.block(block).err();
        }
        copy.copied.stopped = progress(copy.copied.blocks).is_break();
        if copy.copied.stopped || fault.is_some() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    if copy.copied.stopped {
        return Ok(copy.copied);
    }
    copy.flush()?;
    copy.named(from, progress)?;
    if copy.copied.stopped {
        return Ok(copy.copied);
    }
    copy.log(from)?;
    copy.references(from)?;
    Ok(copy.copied)
}

struct Copy<'a> {
    to: &'a dyn Store,
    batch: Batch,
    batch_bytes: usize,
    copied: Copied,
}

impl Copy<'_> {
    fn block(&mut self, block: Block) -> Result<(), StoreError> {
        self.copied.blocks += 1;
        self.copied.bytes += block.bytes().len() as u64;
        self.batch_bytes += block.bytes().len();
        self.batch.put(block);
        if self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let _outcome = self.to.commit(std::mem::take(&mut self.batch))?;
        self.batch_bytes = 0;
        Ok(())
    }

    /// Blocks that were not listed, as the engine could not say their names: as far as references
    /// lead to them.
    fn named(&mut self, from: &dyn Store, progress: Progress<'_>) -> Result<(), RepoError> {
        let mut seen = Marked::new();
        each_reference(from, &mut |name, value| {
            if self.copied.stopped {
                return Ok(());
            }
            let mut open = roots_of(name, value);
            open.extend(hints_in_reference(name, value));
            while let Some(cid) = open.pop() {
                if !seen.insert(&cid) {
                    continue;
                }
                let is_new = !self.to.has(&cid)?;
                let Some(block) = self.read(from, &cid, is_new)? else {
                    continue;
                };
                let named = named_by(&block, ALL).unwrap_or_default();
                open.extend(named.links.into_iter().map(|(link, _)| link));
                if is_new {
                    self.block(block)?;
                }
                if progress(self.copied.blocks).is_break() {
                    self.copied.stopped = true;
                    return Ok(());
                }
            }
            Ok(())
        })?;
        Ok(self.flush()?)
    }

    /// A block that may lead on, or has to be copied.
    fn read(
        &mut self,
        from: &dyn Store,
        cid: &Cid,
        is_new: bool,
    ) -> Result<Option<Block>, StoreError> {
        if !is_new {
            let leads_on = cid.codec() != Codec::Raw.code();
            return if leads_on { self.to.get(cid) } else { Ok(None) };
        }
        match from.get(cid) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                self.copied.unreadable += 1;
                Ok(None)
            }
            read => read,
        }
    }

    fn log(&mut self, from: &dyn Store) -> Result<(), RepoError> {
        let Range { start, end } = log_range(from)?;
        let mut next = start;
        while next < end {
            let page = from.read_log(next, PAGE)?;
            if page.is_empty() {
                return Err(RepoError::Damaged("entries of the log are missing"));
            }
            let mut batch = Batch::new();
            batch.begin_log_at(start);
            for entry in page {
                if entry.position != next {
                    return Err(RepoError::Damaged("entries of the log are missing"));
                }
                next += 1;
                batch.append(entry.bytes);
            }
            let _outcome = self.to.commit(batch)?;
        }
        self.copied.log_entries = end - start;
        Ok(())
    }

    /// Last, so that what they name is there whenever the copy is cut off.
    fn references(&mut self, from: &dyn Store) -> Result<(), RepoError> {
        let mut batch = Batch::new();
        let mut size = 0;
        let (to, mut references) = (self.to, 0);
        each_reference(from, &mut |name, value| {
            references += 1;
            size += 1;
            batch.set_ref(name.clone(), Expect::Absent, Some(value.clone()));
            if size == PAGE {
                size = 0;
                let _outcome = to.commit(std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
        let _outcome = to.commit(batch)?;
        self.copied.references = references;
        Ok(())
    }
}
