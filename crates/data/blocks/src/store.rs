//! The store contract: blocks, references and a log, changed together.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::uses::Uses;

/// The longest reference name, in bytes (BLOCKS-12): a space, a kind, a branch and a
/// key of 4 KiB fit.
pub const REF_NAME_BYTES_MAX: usize = 5 * 1024;

/// The largest reference value, in bytes (BLOCKS-12): a list of heads or a staged entry fits;
/// anything larger is a block and the reference holds its name.
pub const REF_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Entries of the log that one batch removes at most (BLOCKS-27): a record of them fits the redo log several times.
pub const LOG_REMOVED_MAX: u64 = 4096;

/// Bytes of keys and values that wait to be durable (BLOCKS-87): what a session brings in small commits. More of them
/// would have whoever needs them durable wait for long.
pub(crate) const LATER_BYTES_MAX: usize = 256 * 1024;

/// The error of a disk with a bad sector (EIO).
const BAD_MEDIUM: i32 = 5;

/// Blocks, named references and an append-only log.
///
/// Synchronous and object-safe; one instance is shared by all threads. Implementations MUST:
/// - BLOCKS-20 return from [`commit`](Self::commit) with [`BatchOutcome::Done`] only when the whole
///   batch survives a crash; on any other outcome no part of it is visible, now or after a restart;
/// - BLOCKS-21 treat a second `put` of a block as success;
/// - BLOCKS-22 never return bytes that do not hash to the name asked for
///   ([`StoreErrorKind::Corrupt`]);
/// - BLOCKS-23 report every failure; what is absent is `None`, not an error;
/// - BLOCKS-24 evaluate all expectations of a batch against one state, and change nothing when one
///   of them does not hold;
/// - BLOCKS-25 number log entries from 0 without gaps, in commit order;
/// - BLOCKS-27 remove log entries only as a batch says where the log begins, the oldest first and never the last;
/// - BLOCKS-50 to BLOCKS-53 tell their [`Uses`] of every read and write, and remove by
///   [`sweep`](Self::sweep) what is garbage and in no use.
pub trait Store: Send + Sync + fmt::Debug {
    /// The block named `cid`.
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError>;

    /// Whether a block named `cid` is kept. Does not read or verify its bytes.
    fn has(&self, cid: &Cid) -> Result<bool, StoreError>;

    /// The value of the reference `name`.
    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// At most `limit` references whose name starts with `prefix` and is greater than `after`, in
    /// name order.
    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError>;

    /// At most `limit` log entries from position `from` on, or from the first that is there if that comes later.
    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError>;

    /// At most `limit` names of kept blocks greater than `after`, in the order of the names' bytes.
    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError>;

    /// Applies a batch: all of it, durably, or none of it.
    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError>;

    /// Applies a batch like [`commit`](Self::commit), all of it or none, which all see at once; but it is durable only when
    /// [`sync`](Self::sync) or a later [`commit`](Self::commit) returns. After a crash before that it may be gone,
    /// and then so is what was applied after it (BLOCKS-87).
    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.commit(batch)
    }

    /// Makes durable what was applied before.
    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What is in use beyond what references reach.
    fn uses(&self) -> &Uses;

    /// Bytes that the block named `cid` takes in the store. Is no use of it.
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError>;

    /// Removes what `decide` says, but for the blocks in use (BLOCKS-51 to BLOCKS-53).
    ///
    /// No batch commits between the beginning of `decide` and the end of the removal; `decide` may
    /// read the store. What it names is short: a writer waits for it. The removal of references
    /// survives a crash when this returns; blocks without references may be back after one.
    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError>;

    /// Puts what is stored under `cid` aside if it is damaged (BLOCKS-70 to BLOCKS-72): the block is
    /// absent then, and may be put again. It is read anew for that while nothing commits, so that a sound block,
    /// which somebody may have put since it was last read, stays.
    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError>;

    /// Gives the room of what was removed back to the file system, as far as the engine can. Takes
    /// long; everything else goes on meanwhile.
    fn reclaim(&self) -> Result<(), StoreError>;

    /// Figures about the store.
    fn stats(&self) -> Result<StoreStats, StoreError>;
}

/// What became of a block that was to be put aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aside {
    /// It is sound, or not here: nothing was done.
    Nothing,
    /// It was damaged. Its bytes are kept where nothing but the engine's own tools finds them.
    Kept,
    /// The engine refused to read it, so that there was nothing to keep. Its name is gone.
    Unreadable,
}

/// What says, while nothing commits, what is garbage.
pub type Decide<'a> = &'a mut dyn FnMut() -> Result<Garbage, StoreError>;

/// What a sweep is to remove.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Garbage {
    /// Blocks, which stay if they are in use.
    pub blocks: Vec<Cid>,
    /// References, by name.
    pub refs: Vec<Bytes>,
}

/// What a sweep removed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// The blocks that are gone.
    pub blocks: Vec<Cid>,
    /// How many stay because they are in use.
    pub in_use: u64,
}

/// One log entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// Its position, counted from 0.
    pub position: u64,
    /// What was appended.
    pub bytes: Bytes,
}

/// Figures about a store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreStats {
    /// Bytes on disk, or in memory for a store without one.
    pub bytes: u64,
    /// The position of the first log entry that is there; `log_end` if there is none.
    pub log_begin: u64,
    /// The position the next log entry will get.
    pub log_end: u64,
}

/// What a batch expects of a reference before it changes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Nothing: last writer wins. For references that have one writer.
    Any,
    /// The reference does not exist.
    Absent,
    /// The reference has exactly this value.
    Value(Bytes),
}

impl Expect {
    /// Whether `current` is what is expected.
    #[must_use]
    pub fn holds(&self, current: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => current.is_none(),
            Self::Value(value) => current == Some(value.as_ref()),
        }
    }

    /// Expects what was read before: the value, or absence.
    #[must_use]
    pub fn read(value: Option<Bytes>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

/// One change of a reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefEdit {
    /// The reference's name, at most [`REF_NAME_BYTES_MAX`].
    pub name: Bytes,
    /// What it must be before.
    pub expect: Expect,
    /// What it becomes; `None` removes it.
    pub value: Option<Bytes>,
}

/// Changes that take effect together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    blocks: Vec<Block>,
    refs: Vec<RefEdit>,
    log: Vec<Bytes>,
    log_begin: Option<u64>,
}

/// What a batch does to a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogChange {
    /// The positions of the entries that go.
    pub(crate) removed: Range<u64>,
    /// The positions of the entries that come.
    pub(crate) appended: Range<u64>,
    /// The positions of the entries that are there afterwards.
    pub(crate) there: Range<u64>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a block.
    pub fn put(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// Changes a reference. Each name at most once per batch (BLOCKS-26).
    pub fn set_ref(
        &mut self,
        name: impl Into<Bytes>,
        expect: Expect,
        value: Option<impl Into<Bytes>>,
    ) {
        self.refs.push(RefEdit {
            name: name.into(),
            expect,
            value: value.map(Into::into),
        });
    }

    /// Appends to the log.
    pub fn append(&mut self, entry: impl Into<Bytes>) {
        self.log.push(entry.into());
    }

    /// Says where the log begins (BLOCKS-27): entries before `position` go, at most [`LOG_REMOVED_MAX`] of them, the
    /// oldest first, but not the last of the log. In a log without entries the first that the batch appends gets this
    /// position.
    pub const fn begin_log_at(&mut self, position: u64) {
        self.log_begin = Some(position);
    }

    /// What the batch does to a log that has these entries.
    pub(crate) fn change_log(&self, there: Range<u64>) -> LogChange {
        let Range { start, end } = there;
        let count = self.log.len() as u64;
        let wanted = self.log_begin.unwrap_or(start);
        if start == end {
            let first = if count == 0 { end } else { wanted.max(end) };
            return LogChange {
                removed: start..start,
                appended: first..first + count,
                there: first..first + count,
            };
        }
        let most = start.saturating_add(LOG_REMOVED_MAX).min(end - 1);
        let begin = wanted.clamp(start, most);
        LogChange {
            removed: start..begin,
            appended: end..end + count,
            there: begin..end + count,
        }
    }

    /// Whether the batch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
            && self.refs.is_empty()
            && self.log.is_empty()
            && self.log_begin.is_none()
    }

    /// The blocks to keep.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The references to change.
    #[must_use]
    pub fn refs(&self) -> &[RefEdit] {
        &self.refs
    }

    /// The log entries to append.
    #[must_use]
    pub fn log(&self) -> &[Bytes] {
        &self.log
    }

    /// The outcome of a batch of which an expectation does not hold of what `read` says the
    /// references are; `None` if all hold (BLOCKS-24). A backend calls this under its write lock.
    pub fn unmet(
        &self,
        mut read: impl FnMut(&[u8]) -> Result<Option<Bytes>, StoreError>,
    ) -> Result<Option<BatchOutcome>, StoreError> {
        for edit in &self.refs {
            let current = read(&edit.name)?;
            if !edit.expect.holds(current.as_deref()) {
                let name = edit.name.clone();
                return Ok(Some(BatchOutcome::Moved { name, current }));
            }
        }
        Ok(None)
    }

    /// Refuses a batch that no store may apply: names or values over the limits, no name, or a reference
    /// named twice (BLOCKS-12, BLOCKS-26). Every backend calls this first.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut names: Vec<&[u8]> = Vec::with_capacity(self.refs.len());
        for edit in &self.refs {
            let value_bytes = edit.value.as_ref().map_or(0, Bytes::len);
            if edit.name.is_empty() {
                let text = "a reference without a name";
                return Err(StoreError::new(StoreErrorKind::Misuse, text));
            }
            if edit.name.len() > REF_NAME_BYTES_MAX || value_bytes > REF_VALUE_BYTES_MAX {
                return Err(StoreError::new(
                    StoreErrorKind::Misuse,
                    format!("reference of {}+{value_bytes} bytes", edit.name.len()),
                ));
            }
            names.push(&edit.name);
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StoreError::new(
                StoreErrorKind::Misuse,
                "a reference is named twice",
            ));
        }
        Ok(())
    }
}

/// How a batch ended without a fault.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum BatchOutcome {
    /// Everything is durable.
    Done {
        /// The position after the last log entry.
        log_end: u64,
    },
    /// A reference was not as expected; nothing changed.
    Moved {
        /// The reference's name.
        name: Bytes,
        /// Its current value.
        current: Option<Bytes>,
    },
}

/// What kind of fault a store had. Blame: the environment, but for `Misuse`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Reading or writing failed.
    Io,
    /// The disk has no room.
    Full,
    /// Another process holds the store.
    Locked,
    /// What is stored is not what was written, or the disk cannot read it.
    Corrupt,
    /// The caller broke the contract.
    Misuse,
}

/// A fault of the store.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", kind.words())]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// A fault without a deeper cause.
    pub fn new(kind: StoreErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            source: None,
        }
    }

    /// A fault with the error that caused it; its text becomes part of the message.
    pub fn caused(
        kind: StoreErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self {
            kind,
            detail: source.to_string(),
            source: Some(source),
        }
    }

    /// A fault of the file system, sorted by what it means.
    #[must_use]
    pub fn io(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreErrorKind::Full
            }
            std::io::ErrorKind::WouldBlock => StoreErrorKind::Locked,
            // A file that ends before what it promised.
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
                StoreErrorKind::Corrupt
            }
            // What was there once cannot be read back, however often one asks. Other failures may pass.
            _ if error.raw_os_error() == Some(BAD_MEDIUM) => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Io,
        };
        Self::caused(kind, error)
    }

    /// The block stored under `cid` is not that block (BLOCKS-22).
    #[must_use]
    pub fn corrupt_block(cid: &Cid) -> Self {
        Self::new(
            StoreErrorKind::Corrupt,
            format!("block {cid} does not match its name"),
        )
    }

    /// Of a write after one that failed.
    #[cfg(feature = "fjall")]
    pub(crate) fn stopped() -> Self {
        Self::new(
            StoreErrorKind::Io,
            "an earlier write failed, so nothing more is written until the store is opened again",
        )
    }

    /// The same fault for another caller, without its cause.
    #[cfg(feature = "fjall")]
    pub(crate) fn again(&self) -> Self {
        Self::new(self.kind, self.detail.clone())
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl StoreErrorKind {
    const fn words(self) -> &'static str {
        match self {
            Self::Io => "the store could not be read or written",
            Self::Full => "the disk is full",
            Self::Locked => "the store is in use by another process",
            Self::Corrupt => "the store is damaged",
            Self::Misuse => "the store was used wrongly",
        }
    }
}

/// Reads the key under which a backend on disk keeps a log entry: its position, big-endian.
#[cfg(any(feature = "fjall", feature = "sled"))]
pub(crate) fn position_of(key: &[u8]) -> Result<u64, StoreError> {
    let bytes = key
        .try_into()
        .map_err(|_error| StoreError::new(StoreErrorKind::Corrupt, "a log position is 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The block named `cid` from its stored form.
#[cfg(any(feature = "fjall", feature = "sled"))]
pub(crate) fn unpacked(
    packing: &crate::packed::Packing,
    cid: &Cid,
    stored: Bytes,
) -> Result<Block, StoreError> {
    packing
        .unpack(stored)
        .ok()
        .and_then(|content| Block::verify(*cid, content).ok())
        .ok_or_else(|| StoreError::corrupt_block(cid))
}
