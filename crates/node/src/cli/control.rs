//! The control socket: commands of other processes, run by the node that holds the home.
//!
//! A connection is one command. Frames are a kind byte, a length (u32, little-endian), and bytes.
//! The one who asks sends its arguments first; then either side sends what the table says.
//!
//! | kind | from | bytes |
//! |---|---|---|
//! | 0 | asker | JSON: arguments, directory, whether somebody watches, the width of the terminal; what opens the home, for commands that seal its keys again |
//! | 1 | asker | standard input; empty at its end |
//! | 2 | node | wants standard input |
//! | 3, 4 | node | standard output, standard error |
//! | 5 | node | the exit code: the last frame |
//!
//! The socket is for the user alone: mode 0600 in a directory of mode 0700.

use std::io::{self, IsTerminal as _, Read, Write};
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
use zeroize::{Zeroize as _, Zeroizing};

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

#[derive(Serialize, Deserialize)]
struct Request {
    /// What opens the home, for a command that seals its keys again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    args: Vec<String>,
    dir: PathBuf,
    live: bool,
    columns: Option<usize>,
}

/// Erased when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Secret(Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
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
        secret: secret.map(|secret| Secret(secret.to_vec())),
        args,
        dir: std::env::current_dir()?,
        live,
        columns: terminal_columns(),
    };
    let request = Zeroizing::new(serde_json::to_vec(&request)?);
    write_frame(&mut stream, ARGS, &request)?;
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    loop {
        let (kind, bytes) = read_frame(&mut stream, FRAME_BYTES_MAX)
            .context("the node ended before the command did")?;
        match kind {
            OUTPUT => match io::stdout()
                .write_all(&bytes)
                .and_then(|()| io::stdout().flush())
            {
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
    let (kind, bytes) = read_frame(&mut stream, ARGS_BYTES_MAX)?;
    if kind != ARGS {
        bail!("a command begins with its arguments");
    }
    let bytes = Zeroizing::new(bytes);
    let mut request: Request = serde_json::from_slice(&bytes)?;
    let secret = request.secret.take();
    let secret = secret.map(|secret| Zeroizing::new(secret.0.clone()));
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
        rest: Vec::new(),
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
    rest: Vec<u8>,
    over: bool,
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && !self.over {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            write_frame(&mut *stream, WANT_INPUT, &[])?;
            let (kind, bytes) = read_frame(&mut *stream, FRAME_BYTES_MAX)?;
            if kind != INPUT {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.over = bytes.is_empty();
            self.rest = bytes;
        }
        let taken = self.rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.rest[..taken]);
        self.rest.drain(..taken);
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

fn read_frame(stream: &mut impl Read, limit: usize) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}
