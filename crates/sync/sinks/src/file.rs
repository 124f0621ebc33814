//! A file of lines, and standard output (SINK-30, SINK-31).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use allod_events::{CURSOR, CloudEvent, Extension};

use crate::target::{Fault, Form, Has, Outgoing, SINK, Target};

/// Events that are written at a time: some MiB between two syncs.
const EVENTS_MAX: usize = 4096;

/// What is read at a time to find the last line.
const STEP: u64 = 64 * 1024;

/// The longest line that is one of a sink, in bytes: an event is not larger.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How each line of a sink begins.
const BEGINNING: &[u8] = br#"{"specversion":"1.0","#;

/// A file of lines.
#[derive(Debug)]
pub(crate) struct LinesFile {
    path: PathBuf,
    file: File,
}

impl LinesFile {
    /// Opens the file, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|error| about(path, error))?,
        })
    }

    /// Whether the file at the path is still the one that is written to: files are put by, and begun anew.
    fn is_in_place(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            there => {
                let there = there?;
                Ok((there.dev(), there.ino()) == (own.dev(), own.ino()))
            }
        }
    }

    /// The last whole line, and where it ends.
    fn last_line(&mut self, length: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(end) = self.newline_before(length)? else {
            return Ok(None);
        };
        let begin = self.newline_before(end)?.map_or(0, |before| before + 1);
        Ok(Some((self.read(begin, end)?, end + 1)))
    }

    /// The bytes between two places, of a line that may be one of a sink; no more of any other.
    fn read(&mut self, begin: u64, end: u64) -> io::Result<Vec<u8>> {
        let bytes = (end - begin).min(LINE_BYTES_MAX);
        let mut read = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        self.file.seek(SeekFrom::Start(begin))?;
        self.file.read_exact(&mut read)?;
        Ok(read)
    }

    /// Where the last newline before a place is.
    fn newline_before(&mut self, place: u64) -> io::Result<Option<u64>> {
        let mut end = place;
        while end > 0 {
            let begin = end.saturating_sub(STEP);
            let part = self.read(begin, end)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(begin + at as u64));
            }
            end = begin;
        }
        Ok(None)
    }

    /// Cuts off what follows the last whole line.
    fn cut(&mut self, end: u64, length: u64) -> io::Result<()> {
        if end < length {
            self.file.set_len(end)?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

fn about(path: &Path, error: io::Error) -> Fault {
    Fault::away(format!("{}: {error}", path.display()))
}

/// Opens a file; one that is made is there for good.
fn open(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path)?;
    if is_new && let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

/// The cursor and sink of a line, if it is one of a sink.
fn has_of(line: &[u8]) -> Option<Has> {
    let mut event = serde_json::from_slice::<CloudEvent>(line).ok()?;
    let mut text = |name| match event.extensions.remove(name) {
        Some(Extension::Text(text)) => Some(text),
        _ => None,
    };
    Some(Has::UpTo {
        cursor: text(CURSOR)?,
        sink: text(SINK)?,
    })
}

impl Target for LinesFile {
    fn has(&mut self) -> Result<Has, Fault> {
        let other = || Fault::Stopped("the file has lines that are not of a sink".to_owned());
        let length = self.file.seek(SeekFrom::End(0)).map_err(Fault::away)?;
        let last = self.last_line(length).map_err(Fault::away)?;
        let (has, end) = match last {
            Some((line, end)) => (has_of(&line).ok_or_else(other)?, end),
            // Nothing, or the beginning of a first line; nobody else's file is cut.
            None => {
                let begun = self.read(0, length).map_err(Fault::away)?;
                let shared = begun.len().min(BEGINNING.len());
                if begun.get(..shared) != BEGINNING.get(..shared) {
                    return Err(other());
                }
                (Has::Unknown, 0)
            }
        };
        self.cut(end, length).map_err(Fault::away)?;
        Ok(has)
    }

    fn events_max(&self) -> usize {
        EVENTS_MAX
    }

    fn form(&self) -> Form {
        Form::Text
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        if !self
            .is_in_place()
            .map_err(|error| about(&self.path, error))?
        {
            self.file = open(&self.path).map_err(|error| about(&self.path, error))?;
        }
        let (text, refused) = lines(events);
        let before = self.file.seek(SeekFrom::End(0)).map_err(Fault::away)?;
        let written = self.file.write_all(&text);
        let written = written.and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What cannot be cut off now is when the file is opened again.
            drop(self.file.set_len(before));
            return Err(about(&self.path, error));
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The lines of events, up to one that cannot be written.
fn lines(events: &[Outgoing]) -> (Vec<u8>, Option<Fault>) {
    let mut text = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event.text() {
            Ok(line) => {
                text.extend_from_slice(&line);
                text.push(b'\n');
            }
            Err(error) => {
                let words = error.to_string();
                return (text, Some(Fault::Refused { at, words }));
            }
        }
    }
    (text, None)
}

/// Standard output of this process.
#[derive(Debug)]
pub(crate) struct Stdout;

impl Target for Stdout {
    fn has(&mut self) -> Result<Has, Fault> {
        Ok(Has::Unknown)
    }

    fn events_max(&self) -> usize {
        EVENTS_MAX
    }

    fn form(&self) -> Form {
        Form::Text
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let (text, refused) = lines(events);
        let mut out = io::stdout().lock();
        let written = out.write_all(&text);
        written.and_then(|()| out.flush()).map_err(Fault::away)?;
        refused.map_or(Ok(()), Err)
    }
}
