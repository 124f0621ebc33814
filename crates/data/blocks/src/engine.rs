//! What the store keeps its tables in: fjall, and packs for what blocks hold.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::files::numbered;
use crate::journal;
use crate::packs::{Packs, Place, Writing};
use crate::store::{StoreError, StoreErrorKind, position_of};

/// The directory of the packs, in that of the store.
const PACKS: &str = "packs";

/// The file that fjall makes last, in that of the store.
const MARKER: &str = "version";

/// A memtable of places of blocks. Two may exist while one is flushed. With smaller ones a collection, which
/// removes a million places in half a minute, has the tables merged all the time, and commits wait for
/// the disk: the slowest of a hundred took 13 ms beside one with 2 MiB, and 9 with 8. With 16 it is 8, but
/// a collection takes more than 64 MiB then.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// What makes a batch durable: fdatasync of the journal, which also writes the length of the file, and
/// spares the time of its last change.
const DURABLE: PersistMode = PersistMode::SyncData;

/// The number of the last batch that the engine had when it last began to sync.
const SYNCED: &[u8] = b"synced";

/// The number of the last batch that was not logged.
const UNLOGGED: &[u8] = b"unlogged";

/// After so many syncs, of some MiB each, the keyspace of numbers is flushed, so that it keeps no more
/// than a journal or two.
const SYNCS_UNFLUSHED: u32 = 16;

/// A keyspace, by its number in the redo log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Table {
    Blocks = 0,
    Refs = 1,
    Log = 2,
    /// Damaged blocks (BLOCKS-70).
    Aside = 3,
}

impl Table {
    pub(crate) const ALL: [Self; 4] = [Self::Blocks, Self::Refs, Self::Log, Self::Aside];
}

/// A value put under a key of a table, or with `None` a removal.
pub(crate) type Write = (Table, Bytes, Option<Bytes>);

/// The bytes of the keys and values of writes, with so many more for `each`.
pub(crate) fn bytes_of(writes: &[Write], each: usize) -> usize {
    let bytes = writes
        .iter()
        .map(|(_, key, value)| each + key.len() + value.as_ref().map_or(0, Bytes::len));
    bytes.sum()
}

/// That a block is in another place.
pub(crate) struct Move {
    pub(crate) name: Bytes,
    pub(crate) from: Place,
    pub(crate) to: Place,
}

/// The engine. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Engine {
    db: Database,
    pub(crate) blocks: Keyspace,
    pub(crate) refs: Keyspace,
    pub(crate) log: Keyspace,
    pub(crate) aside: Keyspace,
    /// Numbers of batches.
    numbers: Keyspace,
    /// What the blocks hold; their table says where.
    pub(crate) packs: Arc<Packs>,
    syncs: Arc<AtomicU32>,
    dir: PathBuf,
}

/// How a batch is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Apply {
    /// It is in the redo log, or need not be durable.
    Later,
    /// Durably, with its number: it is not in the redo log.
    Durably(u64),
}

impl Engine {
    /// Opens the engine in a directory; a pack is full with `pack_bytes`.
    pub(crate) fn open(path: &Path, cache_bytes: u64, pack_bytes: u64) -> Result<Self, StoreError> {
        // Made first, so that a store without it has lost it.
        let packs = path.join(PACKS);
        if path.join(MARKER).exists() && !packs.exists() {
            let text = format!("{} is not there", packs.display());
            return Err(StoreError::new(StoreErrorKind::Corrupt, text));
        }
        fs::create_dir_all(&packs).map_err(StoreError::io)?;
        let db = match open_database(path, cache_bytes) {
            Err(fjall::Error::JournalRecovery(_)) => {
                cut_journal(path)?;
                open_database(path, cache_bytes)
            }
            opened => opened,
        };
        let db = db.map_err(fault)?;
        let keyspace = |name, options: KeyspaceCreateOptions| {
            let opened = db.keyspace(name, || options);
            opened.map_err(fault)
        };
        let blocks = pinned().max_memtable_size(MEMTABLE_BYTES);
        let aside = KeyspaceCreateOptions::default()
            .with_kv_separation(Some(KvSeparationOptions::default()));
        Ok(Self {
            blocks: keyspace("blocks", blocks)?,
            refs: keyspace("refs", pinned())?,
            log: keyspace("log", KeyspaceCreateOptions::default())?,
            aside: keyspace("aside", aside)?,
            numbers: keyspace("numbers", KeyspaceCreateOptions::default())?,
            // Behind the lock of the database: nobody else writes to them now.
            packs: Arc::new(Packs::open(&packs, pack_bytes)?),
            syncs: Arc::default(),
            dir: path.to_owned(),
            db,
        })
    }

    pub(crate) const fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Blocks => &self.blocks,
            Table::Refs => &self.refs,
            Table::Log => &self.log,
            Table::Aside => &self.aside,
        }
    }

    fn number(&self, key: &[u8]) -> Result<u64, StoreError> {
        let number = self.numbers.get(key).map_err(fault)?;
        number.map_or(Ok(0), |number| position_of(&number))
    }

    /// The number up to which it was synced, at least.
    pub(crate) fn synced(&self) -> Result<u64, StoreError> {
        self.number(SYNCED)
    }

    /// The number of the last batch that was not logged; it has all up to there.
    pub(crate) fn unlogged(&self) -> Result<u64, StoreError> {
        self.number(UNLOGGED)
    }

    /// Writes what blocks hold into packs, where that has not been done, and leaves in its place where it
    /// is.
    pub(crate) fn place(&self, writes: &mut [Write]) -> Result<(), StoreError> {
        let mut stored: Vec<_> = writes.iter_mut().filter_map(stored).collect();
        let blocks = stored.iter().map(|(name, stored)| (&name[..], &stored[..]));
        let places = self.packs.append(Writing::New, blocks)?;
        for ((_, stored), place) in stored.iter_mut().zip(places) {
            **stored = place.encode();
        }
        Ok(())
    }

    /// Writes a batch as a whole.
    pub(crate) fn apply(&self, writes: &mut [Write], how: Apply) -> Result<(), StoreError> {
        self.place(writes)?;
        let mode = match how {
            Apply::Later => PersistMode::Buffer,
            Apply::Durably(_) => {
                self.packs.sync(Writing::New)?;
                self.flush_numbers()?;
                DURABLE
            }
        };
        let mut batch = self.db.batch().durability(Some(mode));
        for (table, key, value) in writes {
            let keyspace = self.keyspace(*table);
            match value {
                Some(value) => batch.insert(keyspace, key.clone(), value.clone()),
                None => batch.remove(keyspace, key.clone()),
            }
        }
        if let Apply::Durably(number) = how {
            batch.insert(&self.numbers, UNLOGGED, number.to_be_bytes());
            batch.insert(&self.numbers, SYNCED, number.to_be_bytes());
        }
        batch.commit().map_err(fault)
    }

    /// Says that blocks are elsewhere, where the table says that they are where they were. What they hold
    /// is durable there.
    pub(crate) fn relocate(&self, moves: &[Move]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for Move { name, from, to } in moves {
            if self.is_at(name, *from)? {
                batch.insert(&self.blocks, name.clone(), to.encode());
            }
        }
        batch.commit().map_err(fault)
    }

    /// Whether the table says that a block is at this place.
    pub(crate) fn is_at(&self, name: &[u8], place: Place) -> Result<bool, StoreError> {
        let now = self.blocks.get(name).map_err(fault)?;
        Ok(now.is_some_and(|now| Place::decode(&now) == Some(place)))
    }

    /// What the table of blocks has, in the order of names: where each is.
    pub(crate) fn places(&self) -> impl Iterator<Item = Result<(Bytes, Place), StoreError>> {
        self.blocks.iter().filter_map(|item| {
            let pair = item.into_inner().map_err(fault);
            pair.map(|(name, value)| Some((name.into(), Place::decode(&value)?)))
                .transpose()
        })
    }

    /// Makes durable all that was applied, up to the batch of this number. Batches wait while the
    /// engine syncs its journal, so that is synced here before, beside them.
    pub(crate) fn sync(&self, number: u64) -> Result<(), StoreError> {
        // A place is durable only where what is there is.
        self.packs.sync(Writing::New)?;
        self.flush_numbers()?;
        let number = number.to_be_bytes();
        self.numbers.insert(SYNCED, number).map_err(fault)?;
        for path in journals(&self.dir).unwrap_or_default() {
            // One that is gone meanwhile is not needed any more; other faults are met again below.
            File::open(path).and_then(|file| file.sync_data()).ok();
        }
        self.db.persist(DURABLE).map_err(fault)
    }

    /// Has the keyspace of numbers flushed now and then: while it is not, journals that name it stay.
    /// Before a number is written, so that the newest is in the journal alone, and goes with it.
    fn flush_numbers(&self) -> Result<(), StoreError> {
        let syncs = self.syncs.fetch_add(1, Ordering::Relaxed);
        if syncs % SYNCS_UNFLUSHED == SYNCS_UNFLUSHED - 1 {
            self.numbers.rotate_memtable().map_err(fault)?;
        }
        Ok(())
    }

    /// Gives the room in the tables back that removed entries had. The journal that is being written
    /// stays: up to 64 MiB, until that is full.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        // Until all are flushed, none of their old journals can go.
        for keyspace in [&self.blocks, &self.refs, &self.log, &self.numbers] {
            keyspace.rotate_memtable_and_wait().map_err(fault)?;
            keyspace.major_compact().map_err(fault)?;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.db.disk_space().map_err(fault)? + self.packs.bytes())
    }
}

/// Of a write of a block that no pack has yet, its name and what is stored.
fn stored((table, name, value): &mut Write) -> Option<(&Bytes, &mut Bytes)> {
    let value = value.as_mut().filter(|_| *table == Table::Blocks)?;
    Place::decode(value).is_none().then_some((&*name, value))
}

/// Opens the database as fjall does, which wants its journals whole but for an end that is missing.
pub(crate) fn open_database(path: &Path, cache_bytes: u64) -> Result<Database, fjall::Error> {
    Database::builder(path).cache_size(cache_bytes).open()
}

/// The engine's journals, the newest last.
fn journals(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let found = numbered::<u64>(dir, "jnl").map_err(StoreError::io)?;
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Cuts the last journal off where its batches are not whole any more (BLOCKS-86). The engine does so
/// only if the end is missing, and refuses to open if something before it is. As it was, it is kept.
fn cut_journal(dir: &Path) -> Result<(), StoreError> {
    let Some(last) = journals(dir)?.pop() else {
        return Ok(());
    };
    let kept = last.with_extension("jnl.damaged");
    fs::copy(&last, &kept).map_err(StoreError::io)?;
    File::open(&kept)
        .and_then(|kept| kept.sync_all())
        .map_err(StoreError::io)?;
    let bytes = fs::read(&last).map_err(StoreError::io)?;
    let file = File::options()
        .write(true)
        .open(&last)
        .map_err(StoreError::io)?;
    let length = journal::whole_bytes(&bytes) as u64;
    file.set_len(length)
        .and_then(|()| file.sync_all())
        .map_err(StoreError::io)
}

/// Filters and indexes stay in memory. They are as large as their tables have names, and larger than
/// what the cache takes: each read would read and check a megabyte of them.
fn pinned() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

pub(crate) fn fault(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::io(error)
        }
        fjall::Error::Locked => StoreError::new(StoreErrorKind::Locked, "its lock is held"),
        fjall::Error::Poisoned => StoreError::stopped(),
        fjall::Error::JournalRecovery(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::InvalidVersion(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::Storage(_)
        | fjall::Error::Unrecoverable => StoreError::caused(StoreErrorKind::Corrupt, error),
        _ => StoreError::caused(StoreErrorKind::Io, error),
    }
}
