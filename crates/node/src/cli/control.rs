//! The control socket: commands of other processes, run by the node that holds the home.
//!
//! A connection is one command. Frames are a kind byte, a length (u32, little-endian), and bytes.
//! The one who asks sends what opens the home, if the command seals its keys again, and its arguments; then either side
//! sends what the table says.
//!
//! | kind | from | bytes |
//! |---|---|---|
//! | 0 | asker | JSON: arguments, directory, whether somebody watches, the width of the terminal |
//! | 1 | asker | standard input; empty at its end |
//! | 2 | node | wants standard input |
//! | 3, 4 | node | standard output, standard error |
//! | 5 | node | the exit code: the last frame |
//! | 6 | asker | what opens the home |
//!
//! The socket is for the user alone: mode 0600 in a directory of mode 0700. A frame may have a passphrase, or a kit that is typed
//! or shown, so each is erased once it was used, on both sides, and goes through no buffer of the standard library.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allod::{Home, Node};
use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::cli::args::Cli;
use crate::cli::io::{Io, Net, terminal_columns};
use crate::cli::{exit_code, words};

/// The longest path of a socket that every Unix takes, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The largest frame, in bytes: what is moved at a time.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// The largest list of arguments, in bytes: what the system allows a process is 2 MiB.
const ARGS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often the listener looks whether it should stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How long an asker may take nothing of what it is sent, once the node stops: a pager that nobody leaves
/// must not keep it up, and whoever reads takes something in this time.
const TAKE_WAIT: Duration = Duration::from_secs(1);

const ARGS: u8 = 0;
const INPUT: u8 = 1;
const WANT_INPUT: u8 = 2;
const OUTPUT: u8 = 3;
const ERROR: u8 = 4;
const EXIT: u8 = 5;
const SECRET: u8 = 6;

#[derive(Serialize, Deserialize)]
struct Request {
    args: Vec<String>,
    dir: PathBuf,
    live: bool,
    columns: Option<usize>,
}

/// Standard input or output without the buffer that the standard library has for it, which nobody erases.
fn bare(stream: impl AsFd) -> io::Result<File> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map(|fd: OwnedFd| fd.into())
}

/// Asks the node that holds `home` to run this process's command. Returns its exit code.
pub(crate) fn ask(home: &Home, cli: &Cli, secret: Option<Zeroizing<Vec<u8>>>) -> Result<u8> {
    let mut stream = UnixStream::connect(home.socket())
        .context("no node answers on the home's control socket; is one starting or stopping?")?;
    let live = io::stderr().is_terminal() && !cli.quiet;
    let args = std::env::args_os()
        .map(|arg| {
            arg.into_string()
                .map_err(|_arg| anyhow::anyhow!("an argument is no text"))
        })
        .collect::<Result<Vec<String>>>()?;
    let request = Request {
        args,
        dir: std::env::current_dir()?,
        live,
        columns: terminal_columns(),
    };
    if let Some(secret) = secret {
        write_frame(&mut stream, SECRET, &secret)?;
    }
    write_frame(&mut stream, ARGS, &serde_json::to_vec(&request)?)?;
    let (mut input, mut output) = (bare(io::stdin())?, bare(io::stdout())?);
    let mut buffer = Zeroizing::new(vec![0; FRAME_BYTES_MAX]);
    loop {
        let (kind, bytes) = read_frame(&mut stream, FRAME_BYTES_MAX)
            .context("the node ended before the command did")?;
        match kind {
            OUTPUT => match output.write_all(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
                other => other?,
            },
            ERROR => io::stderr().write_all(&bytes)?,
            WANT_INPUT => {
                let read = input.read(&mut buffer)?;
                write_frame(&mut stream, INPUT, &buffer[..read])?;
            }
            EXIT => return Ok(bytes.first().copied().unwrap_or(1)),
            _ => bail!("the node speaks another control protocol; restart it"),
        }
    }
}

/// Takes commands until `stop` becomes true.
pub(crate) fn listen(node: &Node, net: Net, stop: watch::Receiver<bool>) -> Result<JoinHandle<()>> {
    let path = node.home().socket();
    // The home's lock is held, so whoever left a socket behind is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(&path).with_context(|| {
        let long = path.as_os_str().len() > SOCKET_PATH_BYTES_MAX;
        let advice = if long {
            "; choose a --home with a shorter path"
        } else {
            ""
        };
        format!("{}{advice}", path.display())
    })?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let node = node.clone();
    Ok(tokio::task::spawn_blocking(move || {
        let mut running = Vec::new();
        while !*stop.borrow() {
            match listener.accept() {
                Ok((stream, _)) => {
                    let (node, net, stop) = (node.clone(), net.clone(), stop.clone());
                    running.push(std::thread::spawn(move || {
                        // The asker is gone if it cannot be told; there is nobody else to tell.
                        drop(answer(&node, (net, stop), stream));
                    }));
                }
                Err(_) => std::thread::sleep(STOP_POLL),
            }
            running.retain(|thread| !thread.is_finished());
        }
        for thread in running {
            drop(thread.join());
        }
        // A stale socket does no harm: the next node replaces it.
        std::fs::remove_file(&path).ok();
    }))
}

fn answer(
    node: &Node,
    (net, stop): (Net, watch::Receiver<bool>),
    mut stream: UnixStream,
) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(TAKE_WAIT))?;
    let (mut kind, mut bytes) = read_frame(&mut stream, ARGS_BYTES_MAX)?;
    let mut secret = None;
    if kind == SECRET {
        secret = Some(bytes);
        (kind, bytes) = read_frame(&mut stream, ARGS_BYTES_MAX)?;
    }
    if kind != ARGS {
        bail!("a command begins with its arguments");
    }
    let request: Request = serde_json::from_slice(&bytes)?;
    let shared = Arc::new(Mutex::new(stream));
    let mut out = Sender {
        stream: Arc::clone(&shared),
        stop: stop.clone(),
        kind: OUTPUT,
    };
    let mut err = Sender {
        stream: Arc::clone(&shared),
        stop: stop.clone(),
        kind: ERROR,
    };
    let mut input = Receiver {
        stream: Arc::clone(&shared),
        rest: Zeroizing::default(),
        taken: 0,
        over: false,
    };
    let code = match Cli::try_parse_from(&request.args) {
        Err(error) => {
            write!(err, "{error}")?;
            2
        }
        Ok(cli) => {
            let mut io = Io {
                out: &mut out,
                err: &mut err,
                input: &mut input,
                json: cli.json,
                quiet: cli.quiet,
                verbose: cli.verbose,
                live: request.live,
                columns: request.columns,
                dir: request.dir,
                net: Some(net),
                stop: Some(stop.clone()),
                secret,
            };
            match crate::cli::run(&cli, node, &mut io) {
                Ok(()) => 0,
                Err(error) => {
                    writeln!(io.err, "error: {}", words(&error))?;
                    exit_code(&error)
                }
            }
        }
    };
    let mut stream = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut patient = Patient(&mut stream, &stop);
    write_frame(&mut patient, EXIT, &[code])?;
    Ok(())
}

/// Standard output or error of a command, sent to the asker.
struct Sender {
    stream: Arc<Mutex<UnixStream>>,
    stop: watch::Receiver<bool>,
    kind: u8,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut patient = Patient(&mut stream, &self.stop);
        write_frame(&mut patient, self.kind, part)?;
        Ok(part.len())
    }

    /// Sends nothing, and so finds out whether the asker is there.
    fn flush(&mut self) -> io::Result<()> {
        self.write(&[]).map(drop)
    }
}

/// A stream to an asker who is waited for until the node stops, however long it takes nothing.
struct Patient<'a>(&'a mut UnixStream, &'a watch::Receiver<bool>);

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                // Nothing was taken for as long as the stream waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if *self.1.borrow() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard input of a command, asked for as it is read.
struct Receiver {
    stream: Arc<Mutex<UnixStream>>,
    rest: Zeroizing<Vec<u8>>,
    /// How much of that was read.
    taken: usize,
    over: bool,
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.rest.len() && !self.over {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            write_frame(&mut *stream, WANT_INPUT, &[])?;
            let (kind, bytes) = read_frame(&mut *stream, FRAME_BYTES_MAX)?;
            if kind != INPUT {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.over = bytes.is_empty();
            (self.rest, self.taken) = (bytes, 0);
        }
        let taken = (&self.rest[self.taken..]).read(buffer)?;
        self.taken += taken;
        Ok(taken)
    }
}

fn write_frame(stream: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_error| io::ErrorKind::InvalidInput)?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&head)?;
    stream.write_all(bytes)
}

/// A frame, which is erased when it is dropped.
fn read_frame(stream: &mut impl Read, limit: usize) -> io::Result<(u8, Zeroizing<Vec<u8>>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is typed is read as it was sent, in whatever pieces.
    #[test]
    fn input_is_read_in_pieces() {
        let (mut asker, node) = UnixStream::pair().unwrap();
        for part in [&b"a kit"[..], b" of many letters", b""] {
            write_frame(&mut asker, INPUT, part).unwrap();
        }
        let mut input = Receiver {
            stream: Arc::new(Mutex::new(node)),
            rest: Zeroizing::default(),
            taken: 0,
            over: false,
        };
        let (mut read, mut byte) = (Vec::new(), [0; 3]);
        loop {
            match input.read(&mut byte).unwrap() {
                0 => break,
                taken => read.extend_from_slice(&byte[..taken]),
            }
        }
        assert_eq!(read, b"a kit of many letters");
        assert_eq!(input.read(&mut byte).unwrap(), 0);
        // It was asked for as often as it was sent.
        drop(input);
        let mut asked = Vec::new();
        asker.read_to_end(&mut asked).unwrap();
        assert_eq!(asked, [WANT_INPUT, 0, 0, 0, 0].repeat(3));
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length() {
        let (mut asker, mut node) = UnixStream::pair().unwrap();
        asker.write_all(&[INPUT, 4, 0, 0, 0]).unwrap();
        let refused = read_frame(&mut node, 3).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
