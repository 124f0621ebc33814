//! Running a program that may hang, say too much or not listen (HOOK-21, HOOK-22).

use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use allod_repo::PatchError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often it is looked whether a program has ended, while something else keeps its pipes open.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// How a program ended.
pub(crate) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Whether its time was up.
    pub(crate) late: bool,
    /// What it printed, as far as it is kept.
    pub(crate) words: String,
}

/// Runs a program in a process group of its own, which is killed when the time is up, with what
/// `write` writes on its standard input. `words_max` bytes of what it prints are kept, and the rest
/// is read and dropped.
///
/// Nothing that the program leaves behind keeps it waiting: once it has ended, nobody writes to its
/// pipes or waits for their end.
pub(crate) fn run(
    mut command: Command,
    time: Duration,
    words_max: usize,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), PatchError>,
) -> io::Result<Ended> {
    let (output, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .process_group(0)
        .spawn()?;
    // With it go our copies of its end of the pipe.
    drop(command);
    let output = std::fs::File::from(output);
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (late, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (code, written, words) = std::thread::scope(|scope| {
        let (alive, clock) = channel::<()>();
        let (late, over) = (&late, &over);
        scope.spawn(move || {
            if clock.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                late.store(true, Ordering::SeqCst);
                if let Some(group) = group {
                    // It may have ended by itself at this moment.
                    kill_process_group(group, Signal::KILL).ok();
                }
            }
        });
        let words = scope.spawn(move || listen(output, words_max, over));
        let written = tell(&mut child, write);
        let status = child.wait();
        drop(alive);
        over.store(true, Ordering::SeqCst);
        (status, written, words.join())
    });
    match written {
        // It need not read all of it.
        Err(PatchError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => return Err(io::Error::other(error)),
        Ok(()) => {}
    }
    let words = words.map_err(|_| io::Error::other("what it printed could not be read"))??;
    Ok(Ended {
        code: code?.code(),
        late: late.into_inner(),
        words: String::from_utf8_lossy(&words).into_owned(),
    })
}

/// Writes to the standard input of a program as long as it runs.
fn tell(
    child: &mut Child,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), PatchError>,
) -> Result<(), PatchError> {
    let Some(stdin) = child.stdin.take() else {
        return Ok(());
    };
    rustix::io::ioctl_fionbio(&stdin, true).map_err(io::Error::from)?;
    let mut stdin = BufWriter::new(Telling { stdin, child });
    write(&mut stdin).and_then(|()| Ok(stdin.flush()?))
}

struct Telling<'a> {
    stdin: ChildStdin,
    child: &'a mut Child,
}

impl Write for Telling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stdin.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if self.child.try_wait()?.is_some() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            wait_for(&self.stdin, PollFlags::OUT)?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.flush()
    }
}

/// Reads what a program prints until nobody can print any more, or it is `over` and all is read.
fn listen(mut output: std::fs::File, max: usize, over: &AtomicBool) -> io::Result<Vec<u8>> {
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut words = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        // Asked before reading, so that what it printed last is read.
        let last = over.load(Ordering::SeqCst);
        match output.read(&mut buffer) {
            Ok(0) => return Ok(words),
            Ok(read) => {
                let kept = read.min(max.saturating_sub(words.len()));
                words.extend_from_slice(buffer.get(..kept).unwrap_or_default());
                if last && kept == 0 {
                    return Ok(words);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last {
                    return Ok(words);
                }
                wait_for(&output, PollFlags::IN)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until a pipe is ready, or for a moment.
fn wait_for(pipe: &impl AsFd, ready: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(pipe, ready)], Some(&LOOK_EVERY)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
