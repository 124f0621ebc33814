//! What a command reads and writes, wherever it runs.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allod_quic::Endpoint;
use anyhow::Result;
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// How often a progress line is drawn again.
const REDRAW: Duration = Duration::from_millis(100);

/// Cells of a progress bar.
const CELLS: u64 = 24;

/// The inputs and outputs of a command.
pub(crate) struct Io<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut (dyn Write + Send),
    pub(crate) input: &'a mut dyn Read,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    /// Whether somebody watches, so that progress is drawn.
    pub(crate) live: bool,
    /// How many characters a line of the terminal has that the data goes to, if it is one.
    pub(crate) columns: Option<usize>,
    /// The directory that relative paths start from.
    pub(crate) dir: PathBuf,
    /// The network of the node that the command runs in.
    pub(crate) net: Option<Net>,
    /// Becomes true when that node stops.
    pub(crate) stop: Option<watch::Receiver<bool>>,
    /// What opens the home, for commands that seal its keys again.
    pub(crate) secret: Option<Zeroizing<Vec<u8>>>,
}

/// An endpoint and the runtime it lives in.
#[derive(Clone)]
pub(crate) struct Net {
    pub(crate) endpoint: Endpoint,
    pub(crate) handle: tokio::runtime::Handle,
}

impl Io<'_> {
    /// Whether the node that the command runs in stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// Prints data for people.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        Ok(writeln!(self.out, "{}", text.as_ref())?)
    }

    /// Prints data: a value as JSON, or a line for people.
    pub(crate) fn data(&mut self, value: &Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            return Ok(writeln!(self.out, "{value}")?);
        }
        let text = text();
        if text.is_empty() {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// Says something that is no data.
    pub(crate) fn say(&mut self, text: impl AsRef<str>) -> Result<()> {
        if self.quiet || self.json {
            return Ok(());
        }
        Ok(writeln!(self.err, "{}", text.as_ref())?)
    }

    /// Says what an answer is to be understood by, also to programs.
    pub(crate) fn warn(&mut self, text: impl AsRef<str>) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        Ok(writeln!(self.err, "{}", text.as_ref())?)
    }

    /// A path as the one who typed it meant it.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// Draws progress on standard error while somebody watches.
    pub(crate) fn progress<'b>(&'b mut self, what: &'b str) -> Progress<'b> {
        Progress {
            err: &mut *self.err,
            live: self.live,
            what,
            drawn: None,
        }
    }
}

/// How many characters a line has, if standard output is a terminal that tells.
pub(crate) fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A line that is drawn over itself.
pub(crate) struct Progress<'a> {
    err: &'a mut (dyn Write + Send),
    live: bool,
    what: &'a str,
    drawn: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// Says what is done from here on.
    pub(crate) const fn of(&mut self, what: &'a str) {
        self.what = what;
    }

    /// Shows that `done` of `total` are done; a total of 0 is unknown.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if !self.live || !due {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = match (done.min(total) * CELLS).checked_div(total) {
            None => format!("\r  {} {}", self.what, count(done)),
            Some(full) => {
                let full = full as usize;
                let (full, rest) = ("#".repeat(full), "-".repeat(CELLS as usize - full));
                format!(
                    "\r  {} [{full}{rest}] {}/{}",
                    self.what,
                    count(done),
                    count(total)
                )
            }
        };
        // Progress is a courtesy; that it cannot be shown is no failure.
        write!(self.err, "{line}\x1b[K").ok();
        self.err.flush().ok();
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            write!(self.err, "\r\x1b[K").ok();
            self.err.flush().ok();
        }
    }
}

/// What strangers wrote, for a line of a terminal: what would move the cursor, or turn the line around, is spelled.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A number with a comma before every three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
