//! A log of the last batches, in front of an engine whose own is slow to sync (BLOCKS-80 to BLOCKS-85).
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

use crate::engine::{Table, Write};
use crate::pending::Pending;
use crate::store::{StoreError, StoreErrorKind};

/// The size that a file may reach. Both together are what is read after a crash, at most, and one is
/// what the engine has to sync at a time.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A file has room for as many of the largest records. Of a larger batch the engine syncs the only
/// copy: it would have to write all of it twice, which costs more than the sync of a growing file.
const RECORDS_MIN: u64 = 4;

/// By how much a file grows ahead of a small batch, so that few of them wait for it.
const GROWTH_BYTES: u64 = 256 * 1024;

/// At the beginning of a file, and followed by its seed (u64, little-endian).
const MAGIC: [u8; 8] = *b"allodrdo";

/// Where the records of a file begin.
const START: u64 = 16;

/// Of a record: number (u64), length of the writes (u32), checksum (u64), all little-endian.
const HEADER_BYTES: usize = 8 + 4 + 8;

/// Of a write, before its key and value: table (u8), length of the key (u32), of the value (u32).
const WRITE_BYTES: usize = 1 + 4 + 4;

/// Set in the table of a write that is a removal.
const REMOVAL: u8 = 0x80;

/// How many bytes of a record writes take.
fn logged_bytes(writes: &[Write]) -> usize {
    let bytes = writes
        .iter()
        .map(|(_, key, value)| WRITE_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len));
    bytes.sum()
}

/// The record of a batch: its header, and its writes in order.
pub(crate) fn encode(writes: &[Write], number: u64, seed: u64) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + logged_bytes(writes));
    record.resize(HEADER_BYTES, 0);
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

fn checksum(number: u64, seed: u64, writes: &[u8]) -> u64 {
    xxh64(writes, seed ^ number)
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
    /// Which file is written, and from where on; `None` until the first record.
    at: Option<(usize, u64)>,
    /// The number of the next record.
    next: u64,
    bytes_max: u64,
    /// Whether a write failed: what the files have is not known then.
    is_broken: bool,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    seed: u64,
    length: u64,
}

impl Redo {
    /// Opens the log in a directory, and has the engine `apply` what it does not have: the batches
    /// after number `applied`, in order.
    pub(crate) fn open(
        dir: &Path,
        bytes_max: u64,
        applied: u64,
        apply: &mut dyn FnMut(u64, Vec<Write>) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut files = [LogFile::open(dir, 0)?, LogFile::open(dir, 1)?];
        let mut records = Vec::new();
        for file in files.iter_mut().flatten() {
            records.extend(file.records(applied).map_err(StoreError::io)?);
        }
        records.sort_unstable_by_key(|(number, _)| *number);
        let mut next = applied + 1;
        for (number, writes) in &records {
            if *number != next {
                let text = format!("the redo log has batch {number}, and {next} is missing");
                return Err(StoreError::new(StoreErrorKind::Corrupt, text));
            }
            let writes = decode(writes).ok_or_else(|| {
                let text = format!("batch {number} of the redo log does not decode");
                StoreError::new(StoreErrorKind::Corrupt, text)
            })?;
            apply(*number, writes)?;
            next += 1;
        }
        Ok(Self {
            dir: dir.to_owned(),
            files,
            at: None,
            next,
            bytes_max,
            is_broken: false,
        })
    }

    /// Whether these writes fit a record. If they do not, the engine has to make them durable, under
    /// a number that [`pass`](Self::pass) gives (BLOCKS-83).
    pub(crate) fn fits(&self, writes: &[Write]) -> bool {
        let bytes = (HEADER_BYTES + logged_bytes(writes)) as u64;
        bytes <= (self.bytes_max - START) / RECORDS_MIN
    }

    /// Logs a batch, durably, and returns its number. `pending` makes room by having the engine sync.
    ///
    /// After a failure nothing more is written: whether the batch survives is not known.
    pub(crate) fn append(
        &mut self,
        writes: &[Write],
        pending: &Pending,
    ) -> Result<u64, StoreError> {
        let number = self.pass()?;
        let place = self.place(HEADER_BYTES + logged_bytes(writes), pending);
        let done = place.and_then(|(file, at)| self.write(file, at, number, writes));
        self.is_broken = done.is_err();
        done.map(|()| number)
    }

    /// The number of the next batch.
    pub(crate) fn pass(&mut self) -> Result<u64, StoreError> {
        if self.is_broken {
            return Err(StoreError::new(
                StoreErrorKind::Io,
                "an earlier write failed, so nothing more is written until the store is opened again",
            ));
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Where a record of so many bytes goes.
    fn place(&mut self, bytes: usize, pending: &Pending) -> Result<(usize, u64), StoreError> {
        match self.at {
            Some((file, at)) if at + bytes as u64 <= self.bytes_max => Ok((file, at)),
            Some((file, _)) => {
                // What is in the other one was pushed before this one was begun (BLOCKS-81).
                pending.wait_sync()?;
                pending.start_sync();
                Ok((1 - file, START))
            }
            None => {
                // What an earlier process gave to the engine may not be durable.
                pending.start_sync();
                pending.wait_sync()?;
                Ok((0, START))
            }
        }
    }

    fn write(
        &mut self,
        file: usize,
        at: u64,
        number: u64,
        writes: &[Write],
    ) -> Result<(), StoreError> {
        let slot = self.files.get_mut(file).and_then(Option::as_mut);
        let log = match slot {
            Some(log) => log,
            None => {
                let made = LogFile::create(&self.dir, file).map_err(StoreError::io)?;
                self.files[file].insert(made)
            }
        };
        let record = encode(writes, number, log.seed);
        let end = at + record.len() as u64;
        log.write(at, record, self.bytes_max)
            .map_err(StoreError::io)?;
        self.at = Some((file, end));
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().flatten().map(|file| file.length).sum()
    }

    /// Gives the room of the log back; it grows again when it is needed.
    pub(crate) fn shrink(&mut self, pending: &Pending) -> Result<(), StoreError> {
        pending.start_sync();
        pending.wait_sync()?;
        for log in self.files.iter_mut().flatten() {
            log.file.set_len(START).map_err(StoreError::io)?;
            log.length = START;
        }
        self.at = None;
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
        if header == [0; START as usize] {
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
        file.write_all(&MAGIC)?;
        file.write_all(&seed.to_le_bytes())?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        let length = START;
        Ok(Self { file, seed, length })
    }

    /// The records numbered after `applied`, as far as they are whole.
    fn records(&mut self, applied: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut found = Vec::new();
        let (mut at, mut last) = (START, 0);
        while at + HEADER_BYTES as u64 <= self.length {
            let mut header = [0; HEADER_BYTES];
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut header)?;
            let Some((number, length, expected)) = read_header(&header) else {
                break;
            };
            at += HEADER_BYTES as u64 + u64::from(length);
            // What is left of an earlier round is older.
            if number <= last || at > self.length {
                break;
            }
            last = number;
            if number > applied {
                let mut writes = vec![0; length as usize];
                self.file.read_exact(&mut writes)?;
                if checksum(number, self.seed, &writes) != expected {
                    break;
                }
                found.push((number, writes));
            }
        }
        Ok(found)
    }

    fn write(&mut self, at: u64, mut record: Vec<u8>, bytes_max: u64) -> io::Result<()> {
        let end = at + record.len() as u64;
        if end > self.length {
            let length = end.next_multiple_of(GROWTH_BYTES).min(bytes_max).max(end);
            record.resize(record.len() + (length - end) as usize, 0);
            self.length = length;
        }
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&record)?;
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
