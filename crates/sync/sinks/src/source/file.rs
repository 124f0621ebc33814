//! Events from a file of lines (SRC-32).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::source::origin::{
    BYTES_MAX, Batch, Origin, RECORD_BYTES_MAX, RECORDS_MAX, Record, Seek, check, gone,
};
use crate::source::position::{Mark, Position};
use crate::target::Fault;

/// What is read at a time to find the last line.
const STEP: u64 = 64 * 1024;

/// What positions in files are of: a file has no name that another in its place would not have.
const OF: &str = "file";

/// A file that grows by lines.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let about = |error: io::Error| Fault::away(format!("{}: {error}", path.display()));
        // A pipe would be waited for, and a device has no end.
        if !std::fs::metadata(path).map_err(about)?.is_file() {
            let words = format!("{} is no regular file", path.display());
            return Err(Fault::Stopped(words));
        }
        let opened = File::open(path).map_err(about)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(opened),
            offset: 0,
        })
    }

    fn about(&self, error: &io::Error) -> Fault {
        Fault::away(format!("{}: {error}", self.path.display()))
    }

    /// Whether what the path names now is what is read.
    fn is_in_place(&self) -> io::Result<bool> {
        let (own, there) = (
            self.file.get_ref().metadata()?,
            std::fs::metadata(&self.path)?,
        );
        let is_same = (there.dev(), there.ino()) == (own.dev(), own.ino());
        Ok(is_same && there.len() >= self.offset)
    }

    /// Where the newline before a place is, or 0 at the beginning of the file; and whether there is one.
    fn begin_of_line(&mut self, end: u64) -> io::Result<u64> {
        let file = self.file.get_mut();
        let mut to = end;
        while to > 0 {
            let from = to.saturating_sub(STEP);
            let mut part = vec![0; usize::try_from(to - from).unwrap_or_default()];
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut part)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(from + at as u64 + 1);
            }
            to = from;
        }
        Ok(0)
    }

    /// The check of the line that ends at a place, its newline left out; `None` if no line ends there.
    fn line_before(&mut self, place: u64) -> io::Result<Option<String>> {
        let Some(end) = place.checked_sub(1) else {
            return Ok(None);
        };
        self.file.seek(SeekFrom::Start(end))?;
        let mut byte = [0];
        self.file.read_exact(&mut byte)?;
        if byte != *b"\n" {
            return Ok(None);
        }
        let begin = self.begin_of_line(end)?;
        self.file.seek(SeekFrom::Start(begin))?;
        let mut digest = Sha256::new();
        let mut left = (&mut self.file).take(end - begin);
        loop {
            let part = left.fill_buf()?;
            if part.is_empty() {
                return Ok(Some(check(digest)));
            }
            digest.update(part);
            let count = part.len();
            left.consume(count);
        }
    }

    fn go_to(&mut self, offset: u64) -> io::Result<Position> {
        let check = self.line_before(offset)?.unwrap_or_default();
        self.file.seek(SeekFrom::Start(offset))?;
        self.offset = offset;
        let mark = Mark {
            next: offset,
            check,
            passed: None,
        };
        Ok(Position {
            of: OF.to_owned(),
            parts: [(0, mark)].into(),
        })
    }

    /// The next line, if all of it is there.
    fn line(&mut self) -> io::Result<Option<Record>> {
        let (mut payload, mut digest, mut length) = (Vec::new(), Sha256::new(), 0_u64);
        loop {
            let part = self.file.fill_buf()?;
            if part.is_empty() {
                // What has no end yet is read again when there is more.
                self.file.seek(SeekFrom::Start(self.offset))?;
                return Ok(None);
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let taken = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
            digest.update(taken);
            length += taken.len() as u64;
            if length <= RECORD_BYTES_MAX as u64 {
                payload.extend_from_slice(taken);
            }
            let used = taken.len() + usize::from(end.is_some());
            self.file.consume(used);
            if end.is_some() {
                break;
            }
        }
        let at = self.offset;
        self.offset += length + 1;
        let is_kept = length <= RECORD_BYTES_MAX as u64;
        Ok(Some(Record {
            at,
            next: self.offset,
            payload: is_kept.then(|| Bytes::from(payload)),
            check: check(digest),
            ..Record::default()
        }))
    }

    fn sought(&mut self, to: Seek<'_>) -> io::Result<Result<Position, Fault>> {
        let length = self.file.get_ref().metadata()?.len();
        let position = match to {
            Seek::Beginning => return self.go_to(0).map(Ok),
            Seek::End => {
                let end = self.begin_of_line(length)?;
                return self.go_to(end).map(Ok);
            }
            Seek::At(position) => position,
        };
        if position.of != OF {
            return Ok(Err(gone("the position is not of a file")));
        }
        let Some(mark) = position.parts.get(&0) else {
            return self.go_to(0).map(Ok);
        };
        let is_there = mark.next <= length
            && (mark.next == 0 || self.line_before(mark.next)?.as_ref() == Some(&mark.check));
        if is_there {
            self.go_to(mark.next).map(Ok)
        } else {
            Ok(Err(gone("the file is not the one that was read")))
        }
    }
}

impl Origin for Lines {
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        match self.sought(to) {
            Ok(sought) => sought,
            Err(error) => Err(self.about(&error)),
        }
    }

    fn next(&mut self) -> Result<Batch, Fault> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.records.len() < RECORDS_MAX && bytes < BYTES_MAX {
            match self.line().map_err(|error| self.about(&error))? {
                Some(record) => {
                    bytes += record.payload.as_ref().map_or(0, Bytes::len);
                    batch.records.push(record);
                }
                None => {
                    batch.is_end = true;
                    break;
                }
            }
        }
        if batch.is_end && batch.records.is_empty() {
            match self.is_in_place() {
                Ok(true) => {}
                Ok(false) => return Err(Fault::away("the file was replaced")),
                Err(error) => return Err(self.about(&error)),
            }
        }
        Ok(batch)
    }
}
