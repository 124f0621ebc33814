//! A file of lines, and standard output (SINK-30, SINK-31).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use allod_events::{CloudEvent, Extension};

use crate::target::{CURSOR, Fault, Has, Outgoing, Target};

/// Events that are written at a time: some MiB between two syncs.
const EVENTS_MAX: usize = 4096;

/// What is read at a time to find the last line.
const STEP: u64 = 64 * 1024;

/// A file of lines.
#[derive(Debug)]
pub(crate) struct LinesFile {
    file: File,
}

impl LinesFile {
    /// Opens the file, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let about = |error: io::Error| Fault::away(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        Ok(Self {
            file: options.open(path).map_err(about)?,
        })
    }

    /// The last whole line, with what follows it cut off.
    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let Some(end) = self.newline_before(length)? else {
            self.file.set_len(0)?;
            return Ok(None);
        };
        self.file.set_len(end + 1)?;
        self.file.sync_data()?;
        let begin = self.newline_before(end)?.map_or(0, |before| before + 1);
        let mut line = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX)];
        self.file.seek(SeekFrom::Start(begin))?;
        self.file.read_exact(&mut line)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(Some(line))
    }

    /// Where the last newline before a place is.
    fn newline_before(&mut self, place: u64) -> io::Result<Option<u64>> {
        let mut end = place;
        while end > 0 {
            let begin = end.saturating_sub(STEP);
            let mut part = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX)];
            self.file.seek(SeekFrom::Start(begin))?;
            self.file.read_exact(&mut part)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(begin + at as u64));
            }
            end = begin;
        }
        Ok(None)
    }
}

impl Target for LinesFile {
    fn has(&mut self) -> Result<Has, Fault> {
        let Some(line) = self.last_line().map_err(Fault::away)? else {
            // Files are put by now and then, and begun anew.
            return Ok(Has::Unknown);
        };
        let event = serde_json::from_slice::<CloudEvent>(&line).ok();
        match event.and_then(|mut event| event.extensions.remove(CURSOR)) {
            Some(Extension::Text(cursor)) => Ok(Has::UpTo(cursor)),
            _ => Err(Fault::Stopped(
                "the file has lines that are not of a sink".to_owned(),
            )),
        }
    }

    fn events_max(&self) -> usize {
        EVENTS_MAX
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let text = lines(events)?;
        let before = self.file.seek(SeekFrom::End(0)).map_err(Fault::away)?;
        let written = self.file.write_all(text.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| {
                // Half a line is cut off when the file is opened again; so is this, if it cannot be now.
                drop(self.file.set_len(before));
                Fault::away(error)
            })
    }
}

fn lines(events: &[Outgoing]) -> Result<String, Fault> {
    let mut text = String::new();
    for (at, event) in events.iter().enumerate() {
        let line = event.cloud.to_json();
        text += &line.map_err(|error| Fault::Refused {
            at,
            words: error.to_string(),
        })?;
        text.push('\n');
    }
    Ok(text)
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

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let text = lines(events)?;
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes());
        written.and_then(|()| out.flush()).map_err(Fault::away)
    }
}
