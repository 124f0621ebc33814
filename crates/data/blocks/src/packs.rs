//! Files of blocks, written once (BLOCKS-90 to BLOCKS-94).
//!
//! An LSM tree writes a value three times: into its journal, into a table, and again whenever tables
//! are merged. The blocks of a store are most of its bytes, and none ever changes. So they go into files
//! that only grow, and the engine keeps where.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::block::BLOCK_BYTES_MAX;
use crate::files::{numbered, sync_dir};
use crate::lock::lock;
use crate::store::{StoreError, StoreErrorKind};

/// The size from which on a pack gets nothing more. It is the unit of room that is given back: as much
/// is read, and what lives in it is written, before it is removed.
pub(crate) const PACK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the names of packs end in, behind a point.
const EXTENSION: &str = "pack";

/// At the beginning of a pack.
const MAGIC: [u8; 8] = *b"allodpck";

/// Of a record, before the name and the stored form: their lengths (u8 and u32, little-endian).
const HEADER_BYTES: usize = 1 + 4;

/// Packs that are kept open for the next read: a quarter of the files that a process may have open
/// where nobody raised that, 1024.
const FILES_OPEN_MAX: usize = 256;

/// The bytes of records that are collected before they are written.
const WRITE_BYTES: usize = 1024 * 1024;

/// A stored form of so many bytes is written from where it is, behind what was collected: to copy it takes
/// longer than another call.
const APART_BYTES: usize = WRITE_BYTES / 4;

/// Where a stored form is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) pack: u32,
    /// Where its record begins.
    pub(crate) at: u32,
    /// The length of the stored form.
    pub(crate) length: u32,
    /// The length of the name, which is before it.
    name: u8,
}

impl Place {
    /// What no stored form begins with (BLOCKS-60).
    const KIND: u8 = 3;

    pub(crate) fn encode(self) -> Bytes {
        let numbers = [self.pack, self.at, self.length].map(u32::to_le_bytes);
        Bytes::from([&[Self::KIND, self.name][..], numbers.as_flattened()].concat())
    }

    /// Reads what is kept under a name; `None` if that is the stored form itself.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let (&name, numbers) = value.strip_prefix(&[Self::KIND])?.split_first()?;
        let (pack, numbers) = numbers.split_first_chunk()?;
        let (at, numbers) = numbers.split_first_chunk()?;
        let length = numbers.try_into().ok()?;
        let [pack, at, length] = [*pack, *at, length].map(u32::from_le_bytes);
        Some(Self {
            pack,
            at,
            length,
            name,
        })
    }

    /// Bytes of its record.
    pub(crate) const fn bytes(self) -> u64 {
        HEADER_BYTES as u64 + self.name as u64 + self.length as u64
    }
}

/// Who writes. Each writes to another pack than the other, so that what is old stays together, and nobody
/// waits for the sync of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writing {
    /// Blocks that are put.
    New = 0,
    /// Blocks of packs that are to be removed.
    Moved = 1,
}

/// The packs in a directory.
#[derive(Debug)]
pub(crate) struct Packs {
    dir: PathBuf,
    bytes_max: u64,
    /// All that are there, by number.
    files: RwLock<BTreeMap<u32, Pack>>,
    next: AtomicU32,
    /// The last of those that were there when they were opened, and its end.
    opened: Option<(u32, u64)>,
    writers: [Writer; 2],
    /// Bytes of packs that are durable.
    #[cfg(test)]
    pub(crate) synced: Mutex<BTreeMap<u32, u64>>,
}

#[derive(Debug, Default)]
struct Pack {
    bytes: u64,
    file: Option<Arc<File>>,
}

#[derive(Debug, Default)]
struct Writer {
    head: Mutex<Head>,
    /// Whether a sync failed: what the files have is not known then. Locked while one goes on.
    is_broken: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Head {
    pack: Option<(u32, Arc<File>)>,
    end: u64,
    /// Records that are not written yet. Kept, so that a batch of some megabytes takes no new memory.
    records: Vec<u8>,
    /// Packs that were written to since the last sync.
    unsynced: BTreeMap<u32, Arc<File>>,
}

impl Packs {
    /// Opens the packs in a directory. What is put next is written behind the end of the last pack, if that
    /// is not full.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        let mut files = BTreeMap::new();
        for (number, path) in numbered(dir, EXTENSION).map_err(StoreError::io)? {
            if path == path_of(dir, number) {
                let bytes = fs::metadata(path).map_err(StoreError::io)?.len();
                files.insert(number, Pack { bytes, file: None });
            }
        }
        // Whoever made them may have been killed before their names were durable.
        for dir in [Some(dir), dir.parent()].into_iter().flatten() {
            sync_dir(dir).map_err(StoreError::io)?;
        }
        let last: Option<(u32, u64)> = files
            .last_key_value()
            .map(|(number, pack)| (*number, pack.bytes));
        let packs = Self {
            dir: dir.to_owned(),
            bytes_max,
            next: AtomicU32::new(last.map_or(0, |(number, _)| number.saturating_add(1))),
            files: RwLock::new(files),
            opened: last,
            writers: Default::default(),
            #[cfg(test)]
            synced: Mutex::default(),
        };
        if let Some((number, end)) = last
            && end < bytes_max
        {
            let mut options = File::options();
            let opened = options.read(true).write(true).open(packs.path(number));
            let mut file = opened.map_err(StoreError::io)?;
            // Nothing is written behind what is no pack.
            if starts_a_pack(&mut file).map_err(StoreError::io)? {
                let mut head = lock(&packs.writers[Writing::New as usize].head);
                head.pack = Some((number, Arc::new(file)));
                head.end = end;
            }
        }
        Ok(packs)
    }

    /// Takes back what was written since these were opened, where the store does not open: who tries again
    /// writes it again, under the same names.
    pub(crate) fn undo(&self) {
        for (number, _) in self.all() {
            let path = self.path(number);
            match self.opened {
                Some((last, end)) if number == last => {
                    let file = File::options().write(true).open(path);
                    file.and_then(|file| file.set_len(end)).ok();
                }
                Some((last, _)) if number < last => {}
                _ => {
                    fs::remove_file(path).ok();
                }
            }
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        path_of(&self.dir, number)
    }

    /// Writes stored forms, each under its name. They are durable after the next [`sync`](Self::sync).
    pub(crate) fn append<'a>(
        &self,
        writing: Writing,
        blocks: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Vec<Place>, StoreError> {
        let mut head = lock(&self.writers[writing as usize].head);
        let mut places = Vec::new();
        for (name, stored) in blocks {
            if head.records.len() >= WRITE_BYTES {
                self.write(&mut head, &[])?;
            }
            let at = head.end + head.records.len() as u64;
            let (pack, at) = match &head.pack {
                Some((pack, _)) if at < self.bytes_max => (*pack, at),
                _ => {
                    self.write(&mut head, &[])?;
                    (self.begin(&mut head)?, head.end)
                }
            };
            places.push(Place {
                pack,
                at: at as u32,
                length: stored.len() as u32,
                name: name.len() as u8,
            });
            push_head(&mut head.records, name, stored.len());
            if stored.len() < APART_BYTES {
                head.records.extend(stored);
            } else {
                self.write(&mut head, stored)?;
            }
        }
        self.write(&mut head, &[])?;
        Ok(places)
    }

    /// Makes a pack, durably, for what is written next: its number.
    fn begin(&self, head: &mut Head) -> Result<u32, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut options = File::options();
        let options = options.create_new(true).read(true).write(true);
        let path = self.path(number);
        let file = options.open(&path).map_err(StoreError::io)?;
        let made = file
            .write_all_at(&MAGIC, 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_dir(&self.dir));
        made.map_err(|error| {
            fs::remove_file(path).ok();
            StoreError::io(error)
        })?;
        let file = Arc::new(file);
        head.end = MAGIC.len() as u64;
        let pack = Pack {
            bytes: head.end,
            file: Some(Arc::clone(&file)),
        };
        self.files_mut(|files| files.insert(number, pack));
        head.pack = Some((number, file));
        Ok(number)
    }

    /// Writes the records behind the end, and what the last of them stores if that is not among them. If
    /// that fails, the next are written over them.
    fn write(&self, head: &mut Head, stored: &[u8]) -> Result<(), StoreError> {
        let Head {
            pack: Some((number, file)),
            end,
            records,
            unsynced,
        } = head
        else {
            return Ok(());
        };
        if records.is_empty() {
            return Ok(());
        }
        let between = *end + records.len() as u64;
        let written = file
            .write_all_at(records, *end)
            .and_then(|()| file.write_all_at(stored, between));
        let bytes = (records.len() + stored.len()) as u64;
        records.clear();
        if let Err(error) = written {
            // Where the disk is full, the store needs some of the room to be opened again.
            file.set_len(*end).ok();
            return Err(StoreError::io(error));
        }
        *end += bytes;
        unsynced.insert(*number, Arc::clone(file));
        self.files_mut(|files| {
            if let Some(pack) = files.get_mut(number) {
                pack.bytes = *end;
            }
        });
        Ok(())
    }

    /// Makes durable what was written so far. After one that failed, all do.
    pub(crate) fn sync(&self, writing: Writing) -> Result<(), StoreError> {
        let writer = &self.writers[writing as usize];
        let mut is_broken = lock(&writer.is_broken);
        if *is_broken {
            return Err(StoreError::stopped());
        }
        #[cfg(test)]
        let ends = self.all();
        let packs = std::mem::take(&mut lock(&writer.head).unsynced);
        let synced = packs.values().try_for_each(|file| file.sync_data());
        *is_broken = synced.is_err();
        #[cfg(test)]
        lock(&self.synced).extend(
            ends.into_iter()
                .filter(|(pack, _)| packs.contains_key(pack)),
        );
        synced.map_err(StoreError::io)
    }

    /// The stored form at a place; `None` if its pack is gone.
    pub(crate) fn read(&self, place: Place) -> Result<Option<Bytes>, StoreError> {
        let Some(file) = self.file(place.pack)? else {
            return Ok(None);
        };
        // The form of a block is not larger than that, and its kind.
        if place.length as usize > BLOCK_BYTES_MAX + 1 {
            let text = format!("{} bytes for a block", place.length);
            return Err(StoreError::new(StoreErrorKind::Corrupt, text));
        }
        let mut stored = vec![0; place.length as usize];
        let at = u64::from(place.at) + HEADER_BYTES as u64 + u64::from(place.name);
        file.read_exact_at(&mut stored, at)
            .map_err(StoreError::io)?;
        Ok(Some(stored.into()))
    }

    fn file(&self, number: u32) -> Result<Option<Arc<File>>, StoreError> {
        match self.files().get(&number) {
            None => return Ok(None),
            Some(Pack {
                file: Some(file), ..
            }) => return Ok(Some(Arc::clone(file))),
            Some(_) => {}
        }
        let file = match File::open(self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => Arc::new(opened.map_err(StoreError::io)?),
        };
        self.files_mut(|files| {
            let opened = files.values().filter(|pack| pack.file.is_some());
            if opened.count() >= FILES_OPEN_MAX {
                for pack in files.values_mut() {
                    pack.file = None;
                }
            }
            if let Some(pack) = files.get_mut(&number) {
                pack.file = Some(Arc::clone(&file));
            }
        });
        Ok(Some(file))
    }

    fn files(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Pack>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn files_mut<T>(&self, change: impl FnOnce(&mut BTreeMap<u32, Pack>) -> T) -> T {
        change(&mut self.files.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.files().values().map(|pack| pack.bytes).sum()
    }

    /// The size from which on a pack gets nothing more.
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// All packs, with their bytes.
    pub(crate) fn all(&self) -> Vec<(u32, u64)> {
        self.files()
            .iter()
            .map(|(number, pack)| (*number, pack.bytes))
            .collect()
    }

    /// Writes nothing more to the packs that there are.
    pub(crate) fn seal(&self) {
        for writer in &self.writers {
            lock(&writer.head).pack = None;
        }
    }

    /// Removes a pack. Who reads it goes on.
    pub(crate) fn remove(&self, number: u32) -> Result<(), StoreError> {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(StoreError::io)?,
        }
        self.files_mut(|files| files.remove(&number));
        Ok(())
    }

    /// The records of a pack, one by one.
    pub(crate) fn records(&self, number: u32) -> Result<Records, StoreError> {
        let path = self.path(number);
        let mut file = File::open(&path).map_err(StoreError::io)?;
        if !starts_a_pack(&mut file).map_err(StoreError::io)? {
            let text = format!("{} is no pack", path.display());
            return Err(StoreError::new(StoreErrorKind::Corrupt, text));
        }
        let bytes = file.metadata().map_err(StoreError::io)?.len();
        Ok(Records {
            pack: number,
            file: io::BufReader::with_capacity(WRITE_BYTES, file),
            at: MAGIC.len() as u64,
            bytes,
        })
    }
}

fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.{EXTENSION}"))
}

fn starts_a_pack(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| magic == MAGIC),
    }
}

/// What is before a stored form in its record.
fn push_head(records: &mut Vec<u8>, name: &[u8], stored_bytes: usize) {
    records.push(name.len() as u8);
    records.extend((stored_bytes as u32).to_le_bytes());
    records.extend(name);
}

/// What a pack has, from its beginning, as far as its records follow one another. Where a crash has left
/// one that is not whole, what follows is not found; the engine knows where it is (BLOCKS-93).
pub(crate) struct Records {
    pack: u32,
    file: io::BufReader<File>,
    at: u64,
    bytes: u64,
}

impl Records {
    /// The next record: its name, its place, and what is stored there. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Bytes, Place, Bytes)>> {
        let mut header = [0; HEADER_BYTES];
        let Ok(at) = u32::try_from(self.at) else {
            return Ok(None);
        };
        if self.at + HEADER_BYTES as u64 > self.bytes {
            return Ok(None);
        }
        self.file.read_exact(&mut header)?;
        let [name, length @ ..] = header;
        let place = Place {
            pack: self.pack,
            at,
            length: u32::from_le_bytes(length),
            name,
        };
        let is_record = place.name > 0 && place.length as usize <= BLOCK_BYTES_MAX + 1;
        if !is_record || self.at + place.bytes() > self.bytes {
            return Ok(None);
        }
        let mut body = vec![0; usize::from(name) + place.length as usize];
        self.file.read_exact(&mut body)?;
        self.at += place.bytes();
        let mut name = Bytes::from(body);
        let stored = name.split_off(usize::from(place.name));
        Ok(Some((name, place, stored)))
    }
}
