//! Where the bytes of a table come from.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::SourceError;

/// Gives the bytes of a table, from their beginning, as often as it is asked.
///
/// It MUST give the same bytes each time, or fail with [`SourceError::Changed`] (TAB-20).
pub trait Source: Send + Sync {
    /// What it is called where errors name it: a path, an address.
    fn place(&self) -> String;

    /// The bytes. Whoever takes long asks now and then whether the statement has to end.
    fn open(&self, should_stop: &dyn Fn() -> bool) -> Result<Box<dyn Read>, SourceError>;
}

/// What a file was when it was first opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mark {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            changed: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// A file. It is what it was when it was first opened, or it fails.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    mark: Mutex<Option<Mark>>,
}

impl FileSource {
    /// A file, which is not looked at yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            mark: Mutex::default(),
        }
    }

    /// Opens it, and sees that it is the file that it was.
    pub(crate) fn open_file(&self) -> Result<Marked, SourceError> {
        // A pipe would wait for whoever writes to it.
        if !std::fs::metadata(&self.path)?.is_file() {
            return Err(SourceError::Unreachable("is not a file".to_owned()));
        }
        let file = File::open(&self.path)?;
        let mark = Mark::of(&file.metadata()?);
        let mut first = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if *first.get_or_insert(mark) != mark {
            return Err(SourceError::Changed);
        }
        Ok(Marked { file, mark })
    }
}

impl Source for FileSource {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn open(&self, _should_stop: &dyn Fn() -> bool) -> Result<Box<dyn Read>, SourceError> {
        Ok(Box::new(self.open_file()?))
    }
}

/// An open file that must stay as it is.
#[derive(Debug)]
pub(crate) struct Marked {
    file: File,
    mark: Mark,
}

impl Marked {
    /// Fails if the file was written to.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        if Mark::of(&self.file.metadata()?) == self.mark {
            Ok(())
        } else {
            Err(SourceError::Changed)
        }
    }

    /// The file itself.
    #[cfg(feature = "arrow")]
    pub(crate) fn file(&self) -> Result<File, SourceError> {
        Ok(self.file.try_clone()?)
    }
}

impl Read for Marked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        // What was read is used only if nothing changed before it was.
        self.check()?;
        Ok(read)
    }
}
