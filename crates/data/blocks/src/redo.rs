//! A log of the last batches, in front of an engine whose own is slow to sync (BLOCKS-80 to BLOCKS-86).
//!
//! A sync of a file that grows waits until the file system has written down where it grew. The two
//! files of this log grow once and are written over in turn: the sync of a small batch takes half the
//! time then, and that of some megabytes a fifth. Before a file is written over, the engine has made
//! durable by itself what is in it; it does so in the background.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use xxhash_rust::xxh64::xxh64;

use crate::engine::{Table, Write, bytes_of};
use crate::files::sync_dir;
use crate::pending::Pending;
use crate::store::{StoreError, StoreErrorKind};

/// The size that a file may reach. Both together are what is read after a crash, at most, and one is
/// what the engine has to sync at a time.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A file has room for as many of the largest records. What the blocks of a larger batch hold goes into
/// packs before it is logged: to write all of it twice costs more than the sync of a growing file.
const RECORDS_MIN: u64 = 4;

/// By how much a file grows ahead of a small batch, so that few of them wait for it.
const GROWTH_BYTES: u64 = 256 * 1024;

/// What a file grows by, a piece at a time: a buffer of all of it would be made and cleared each time.
static ZEROS: [u8; 32 * 1024] = [0; 32 * 1024];

/// At the beginning of a file, and followed by its seed (u64, little-endian).
const MAGIC: [u8; 8] = *b"allodrdo";

/// Where the records of a file begin.
const START: u64 = 16;

/// Of a record: number (u64), length of what follows (u32), checksum of it (u64), all little-endian.
const HEADER_BYTES: usize = 8 + 4 + 8;

/// What is left at the end of a file for records without writes: one when the file is left, and one when
/// the log is closed, or opened after a crash.
const RESERVED: u64 = 4 * (HEADER_BYTES + SYNCED_BYTES) as u64;

/// Before the writes of a record: the number up to which the engine has synced (u64).
const SYNCED_BYTES: usize = 8;

/// Of a write, before its key and value: table (u8), length of the key (u32), of the value (u32).
const WRITE_BYTES: usize = 1 + 4 + 4;

/// Set in the table of a write that is a removal.
const REMOVAL: u8 = 0x80;

fn record_bytes(writes: &[Write]) -> u64 {
    (HEADER_BYTES + SYNCED_BYTES + logged_bytes(writes)) as u64
}

/// How many bytes of a record writes take.
fn logged_bytes(writes: &[Write]) -> usize {
    bytes_of(writes, WRITE_BYTES)
}

/// The record of a batch: its header, the number up to which the engine has synced, and its writes in
/// order.
pub(crate) fn encode(writes: &[Write], number: u64, synced: u64, seed: u64) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + SYNCED_BYTES + logged_bytes(writes));
    record.resize(HEADER_BYTES, 0);
    record.extend(synced.to_le_bytes());
    for (table, key, value) in writes {
        let removal = if value.is_none() { REMOVAL } else { 0 };
        let value = value.as_deref().unwrap_or_default();
        record.push(*table as u8 | removal);
        record.extend((key.len() as u32).to_le_bytes());
        record.extend((value.len() as u32).to_le_bytes());
        record.extend(&key[..]);
        record.extend(value);
    }
    let length = (record.len() - HEADER_BYTES) as u32;
    let checksum = checksum(number, seed, &record[HEADER_BYTES..]);
    let header = number.to_le_bytes().into_iter();
    let header = header.chain(length.to_le_bytes());
    let header = header.chain(checksum.to_le_bytes());
    for (place, byte) in record.iter_mut().zip(header) {
        *place = byte;
    }
    record
}

fn checksum(number: u64, seed: u64, body: &[u8]) -> u64 {
    xxh64(body, seed ^ number)
}

/// Reads the writes of a record; `None` if they are none.
fn decode(mut writes: &[u8]) -> Option<Vec<Write>> {
    let mut found = Vec::new();
    while let Some((kind, rest)) = writes.split_first() {
        let (key_length, rest) = rest.split_first_chunk()?;
        let (value_length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
        let table = kind & !REMOVAL;
        let mut tables = Table::ALL.into_iter();
        let table = tables.find(|known| *known as u8 == table)?;
        let value = (kind & REMOVAL == 0).then(|| Bytes::copy_from_slice(value));
        found.push((table, Bytes::copy_from_slice(key), value));
        writes = rest;
    }
    Some(found)
}

/// The log, as its only writer has it.
#[derive(Debug)]
pub(crate) struct Redo {
    dir: PathBuf,
    files: [Option<LogFile>; 2],
    /// Which file is written, and from where on.
    at: (usize, u64),
    /// The last batch that the engine had when this was opened, durably.
    has: u64,
    /// The number of the next record.
    next: u64,
    /// Whether nothing was logged since a record that says that all is synced.
    is_clean: bool,
    bytes_max: u64,
    /// Whether a write failed: what the files have is not known then.
    is_broken: bool,
}

/// A record that was read.
struct Found {
    number: u64,
    synced: u64,
    body: Vec<u8>,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    seed: u64,
    length: u64,
}

impl Redo {
    /// Opens the log in a directory, and has the engine `apply` in order what it may not have: the
    /// batches after the last one up to which it has synced, or that went `unlogged` past the log, which
    /// is later. The engine says itself that it was `synced` up to some batch.
    ///
    /// What was applied has to be synced before anything else is done.
    pub(crate) fn open(
        dir: &Path,
        bytes_max: u64,
        (synced, unlogged): (u64, u64),
        apply: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut files = [LogFile::open(dir, 0)?, LogFile::open(dir, 1)?];
        let (mut records, mut newest) = (Vec::new(), (0, 0, START));
        for (file, log) in files.iter_mut().enumerate() {
            let Some(log) = log else { continue };
            let (found, end) = log.records().map_err(StoreError::io)?;
            let last = found.last().map_or(0, |record| record.number);
            newest = newest.max((last, file, end));
            records.extend(found);
        }
        let (_, file, end) = newest;
        records.sort_unstable_by_key(|record| record.number);
        let logged = records.iter().map(|record| record.synced).max();
        let logged = logged.unwrap_or(0);
        if synced < logged {
            let text = format!(
                "the engine has synced batch {logged}, and has none after {synced}: its journal is damaged"
            );
            return Err(StoreError::new(StoreErrorKind::Corrupt, text));
        }
        let last = records.last().map_or(0, |record| record.number);
        if synced > last.max(unlogged) {
            let text = format!("the redo log ends with batch {last}, and had {synced} at least");
            return Err(StoreError::new(StoreErrorKind::Corrupt, text));
        }
        let has = logged.max(unlogged);
        if last > has {
            // What a killed process wrote need not be on the disk.
            let logs = files.iter().flatten();
            let mut logs = logs.map(|log| log.file.sync_data());
            logs.try_for_each(|synced| synced.map_err(StoreError::io))?;
        }
        // What went past the log may have been cut off before its sync.
        let (mut next, mut is_clean) = (has + 1, unlogged <= logged);
        for Found { number, body, .. } in records.iter().filter(|record| record.number > has) {
            if *number != next {
                let text = format!("the redo log has batch {number}, and {next} is missing");
                return Err(StoreError::new(StoreErrorKind::Corrupt, text));
            }
            let writes = body.get(SYNCED_BYTES..).and_then(decode).ok_or_else(|| {
                let text = format!("batch {number} of the redo log does not decode");
                StoreError::new(StoreErrorKind::Corrupt, text)
            })?;
            if !writes.is_empty() {
                apply(writes)?;
                is_clean = false;
            }
            next += 1;
        }
        Ok(Self {
            dir: dir.to_owned(),
            files,
            at: (file, end),
            has,
            next,
            is_clean,
            bytes_max,
            is_broken: false,
        })
    }

    /// The last batch that the engine had when this was opened, durably.
    pub(crate) const fn has(&self) -> u64 {
        self.has
    }

    /// The number of the last batch.
    const fn last(&self) -> u64 {
        self.next - 1
    }

    /// Has the engine make durable all that was pushed.
    pub(crate) fn start_sync(&self, pending: &Pending) {
        pending.start_sync(self.last());
    }

    /// Whether these writes fit a record. If they do not, the engine has to make them durable, under
    /// a number that [`pass`](Self::pass) gives (BLOCKS-83).
    pub(crate) fn fits(&self, writes: &[Write]) -> bool {
        record_bytes(writes) <= self.record_bytes_max()
    }

    /// The size of the largest record.
    pub(crate) const fn record_bytes_max(&self) -> u64 {
        (self.bytes_max - START) / RECORDS_MIN
    }

    /// Logs a batch, durably. `pending` makes room by having the engine sync.
    ///
    /// After a failure nothing more is written: whether the batch survives is not known.
    pub(crate) fn append(&mut self, writes: &[Write], pending: &Pending) -> Result<(), StoreError> {
        self.check()?;
        if self.at.1 + record_bytes(writes) + RESERVED > self.bytes_max {
            self.turn(pending)?;
        }
        self.is_clean = false;
        self.write(writes, pending.synced())
    }

    /// Goes on with the other file, whose batches were pushed before this one was begun. First this one
    /// says that they are synced, as the other will not be there to give them (BLOCKS-81).
    fn turn(&mut self, pending: &Pending) -> Result<(), StoreError> {
        pending.wait_sync()?;
        self.write(&[], pending.synced())?;
        self.start_sync(pending);
        self.at = (1 - self.at.0, START);
        Ok(())
    }

    /// Has the engine sync all and says so, so that who opens the log next has nothing to apply.
    pub(crate) fn close(&mut self, pending: &Pending) -> Result<(), StoreError> {
        self.check()?;
        if self.is_clean {
            return Ok(());
        }
        pending.sync(self.last())?;
        self.write(&[], pending.synced())?;
        self.is_clean = true;
        Ok(())
    }

    /// Makes durable what a record will name.
    pub(crate) fn prepare(
        &mut self,
        prepare: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let done = prepare();
        self.is_broken = done.is_err();
        done
    }

    /// Makes a batch durable by `apply`, which is given its number, and not by the log.
    pub(crate) fn pass(
        &mut self,
        apply: impl FnOnce(u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let done = apply(self.next);
        self.next += 1;
        self.is_clean = false;
        self.is_broken = done.is_err();
        done
    }

    /// Fails if a write failed before.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::stopped());
        }
        Ok(())
    }

    fn write(&mut self, writes: &[Write], synced: u64) -> Result<(), StoreError> {
        let written = self.try_write(writes, synced);
        self.is_broken = written.is_err();
        written
    }

    fn try_write(&mut self, writes: &[Write], synced: u64) -> Result<(), StoreError> {
        let (file, at) = self.at;
        let slot = self.files.get_mut(file).and_then(Option::as_mut);
        let log = match slot {
            Some(log) => log,
            None => {
                let made = LogFile::create(&self.dir, file).map_err(StoreError::io)?;
                self.files[file].insert(made)
            }
        };
        let record = encode(writes, self.next, synced, log.seed);
        let end = at + record.len() as u64;
        log.write(at, &record, self.bytes_max)
            .map_err(StoreError::io)?;
        self.at = (file, end);
        self.next += 1;
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().flatten().map(|file| file.length).sum()
    }

    /// Gives the room of the log back; it grows again when it is needed.
    pub(crate) fn shrink(&mut self, pending: &Pending) -> Result<(), StoreError> {
        self.is_clean = false;
        self.close(pending)?;
        // One file says so always, while the other is cut, with the record that said so.
        pending.sync(self.last())?;
        self.at = (1 - self.at.0, START);
        self.write(&[], pending.synced())?;
        let (newest, end) = self.at;
        for (file, log) in self.files.iter_mut().enumerate() {
            let Some(log) = log else { continue };
            let length = if file == newest { end } else { START };
            log.file.set_len(length).map_err(StoreError::io)?;
            log.length = length;
        }
        Ok(())
    }
}

fn path(dir: &Path, file: usize) -> PathBuf {
    dir.join(format!("redo.{file}"))
}

impl LogFile {
    /// Opens a file that is there. One that was being made in a crash is made anew.
    fn open(dir: &Path, file: usize) -> Result<Option<Self>, StoreError> {
        let path = path(dir, file);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(StoreError::io)?,
        };
        let mut header = [0; START as usize];
        let length = file.metadata().map_err(StoreError::io)?.len();
        if length >= START {
            file.read_exact(&mut header).map_err(StoreError::io)?;
        }
        // It gets records only when its header is durable.
        if length <= START && header == [0; START as usize] {
            return Ok(None);
        }
        match header.split_first_chunk() {
            Some((&MAGIC, rest)) => {
                let seed = rest.first_chunk().copied().map(u64::from_le_bytes);
                let seed = seed.unwrap_or_default();
                Ok(Some(Self { file, seed, length }))
            }
            _ => {
                let text = format!("{} is not a redo log", path.display());
                Err(StoreError::new(StoreErrorKind::Corrupt, text))
            }
        }
    }

    /// Makes a file, durably. Its seed is nobody's to guess, so that nothing which was sent as the
    /// content of a block is ever taken for a record (BLOCKS-82).
    fn create(dir: &Path, file: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).read(true).write(true);
        let mut file = options.open(path(dir, file))?;
        let seed = RandomState::new().hash_one(dir);
        file.write_all(&[MAGIC, seed.to_le_bytes()].concat())?;
        file.sync_all()?;
        sync_dir(dir)?;
        let length = START;
        Ok(Self { file, seed, length })
    }

    /// The records, as far as they are whole, and where they end. One that is damaged is left out if the
    /// next is whole: then it is not where writing was cut off.
    fn records(&mut self) -> io::Result<(Vec<Found>, u64)> {
        let mut found: Vec<Found> = Vec::new();
        let (mut at, mut end) = (START, START);
        let mut damaged = None;
        while at + HEADER_BYTES as u64 <= self.length {
            let mut header = [0; HEADER_BYTES];
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut header)?;
            let Some((number, length, expected)) = read_header(&header) else {
                break;
            };
            at += HEADER_BYTES as u64 + u64::from(length);
            // What is left of an earlier round is older.
            let last = found.last().map_or(0, |last| last.number);
            if number <= last || at > self.length || damaged.is_some_and(|it| number != it + 1) {
                break;
            }
            let mut body = vec![0; length as usize];
            self.file.read_exact(&mut body)?;
            let Some(synced) = body.first_chunk().copied().map(u64::from_le_bytes) else {
                break;
            };
            if checksum(number, self.seed, &body) != expected {
                if damaged.replace(number).is_some() {
                    break;
                }
                continue;
            }
            damaged = None;
            found.push(Found {
                number,
                synced,
                body,
            });
            end = at;
        }
        Ok((found, end))
    }

    fn write(&mut self, at: u64, record: &[u8], bytes_max: u64) -> io::Result<()> {
        let end = at + record.len() as u64;
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(record)?;
        if end > self.length {
            let length = end.next_multiple_of(GROWTH_BYTES).min(bytes_max).max(end);
            let mut ahead = (length - end) as usize;
            while ahead > 0 {
                let zeros = &ZEROS[..ahead.min(ZEROS.len())];
                self.file.write_all(zeros)?;
                ahead -= zeros.len();
            }
            self.length = length;
        }
        self.file.sync_data()
    }
}

fn read_header(header: &[u8; HEADER_BYTES]) -> Option<(u64, u32, u64)> {
    let (number, rest) = header.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let checksum = rest.first_chunk()?;
    Some((
        u64::from_le_bytes(*number),
        u32::from_le_bytes(*length),
        u64::from_le_bytes(*checksum),
    ))
}
