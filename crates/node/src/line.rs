//! The driver of a session: the only place where it meets a stream.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use allod_quic::{QuicError, RecvHalf, SendHalf, Stream};
use allod_sync::{IDLE_MS, Input, Outcome, Output, ReadFrame, Session, Stats};
use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, block_in_place, spawn_blocking};
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::error::NodeError;

/// Frames handed to a session at a time: the store is visited once for all of them.
const FRAMES_AT_ONCE: usize = 4;

/// Frames that are received while the session works with those before: the store is synced meanwhile, and
/// the peer goes on sending.
const FRAMES_AHEAD: usize = 4;

/// Frames that wait to be sent before the session is told to hold: at most a few MiB.
const QUEUE_HELD: usize = 4;

/// Frames that may wait to be sent. While the session holds, only short answers are added.
const QUEUE_MAX: usize = 4096;

/// Silence after which a session ends (SYNC-13).
const SILENCE: Duration = Duration::from_millis(IDLE_MS);

/// Runs a session over a stream to its end.
///
/// Reading and writing go on at the same time (SYNC-15): frames wait in a queue while the peer does
/// not take them, and the session makes no more of its own meanwhile.
pub(crate) async fn drive(
    session: Session,
    stream: Stream,
    first: Option<Bytes>,
    progress: &mut (dyn FnMut(&Stats) + Send),
) -> Result<(Session, Outcome), NodeError> {
    let (send, recv) = stream.split();
    // Ends, and gives the stream up, when this returns.
    let mut reading = JoinSet::new();
    let (heard, mut hearing) = mpsc::channel(FRAMES_AHEAD);
    reading.spawn(read(recv, heard));
    let (frames, waiting) = mpsc::channel(1);
    let (sent, mut sending) = watch::channel(());
    let writer = tokio::spawn(write(send, waiting, sent));
    let mut line = Line::new(session, first);
    loop {
        line.work(progress).await?;
        if line.queue.is_empty()
            && let (Some(session), Some(outcome)) = (
                line.session.take_if(|_| line.outcome.is_some()),
                line.outcome.take(),
            )
        {
            // The last frame must arrive before the connection may be closed; if it cannot, the
            // peer finds out by itself.
            drop(frames);
            drop(writer.await);
            return Ok((*session, outcome));
        }
        let open = line.outcome.is_none();
        tokio::select! {
            permit = frames.reserve(), if !line.queue.is_empty() => {
                let permit = permit.map_err(|_| ended("E_FRAME", "the peer closed the stream"))?;
                if let Some(frame) = line.take() {
                    permit.send(frame);
                }
            }
            Some(frame) = hearing.recv(), if open => line.hear(frame?),
            Ok(()) = sending.changed() => line.silent_at = Instant::now() + SILENCE,
            () = tokio::time::sleep_until(line.silent_at) => {
                if !open {
                    return Err(ended("E_TIMEOUT", "the peer does not read"));
                }
                line.queue.clear();
                line.inputs.push_back(Input::Silence);
            }
            () = std::future::ready(()), if line.is_busy() => {
                if line.inputs.is_empty() {
                    line.inputs.push_back(Input::Tick);
                }
            }
        }
    }
}

/// A session and what is on its way to and from it.
struct Line {
    /// Away while it works. It goes from thread to thread for each frame, and is large.
    session: Option<Box<Session>>,
    inputs: VecDeque<Input>,
    queue: VecDeque<Bytes>,
    outcome: Option<Outcome>,
    silent_at: Instant,
}

impl Line {
    fn new(session: Session, first: Option<Bytes>) -> Self {
        let mut inputs = VecDeque::from([Input::Tick]);
        inputs.extend(first.map(Input::Frame));
        Self {
            session: Some(Box::new(session)),
            inputs,
            queue: VecDeque::new(),
            outcome: None,
            silent_at: Instant::now() + SILENCE,
        }
    }

    /// Hands the inputs to the session, apart from the runtime, as it visits the store.
    async fn work(&mut self, progress: &mut (dyn FnMut(&Stats) + Send)) -> Result<(), NodeError> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let inputs = std::mem::take(&mut self.inputs);
        let session = self.session.take();
        let session = session.ok_or_else(|| ended("E_FAULT", "the session is gone"))?;
        let (session, outputs, inputs) = apart(move || step(session, inputs)).await?;
        self.inputs = inputs;
        progress(session.stats());
        self.session = Some(session);
        for output in outputs {
            match output {
                Output::Send(frame) => self.queue.push_back(frame),
                Output::Event(_) => {}
                Output::Close(how) => self.outcome = Some(how),
            }
        }
        if self.queue.len() > QUEUE_MAX {
            return Err(ended("E_LIMIT", "the peer asks and does not read"));
        }
        self.hold();
        Ok(())
    }

    fn take(&mut self) -> Option<Bytes> {
        let frame = self.queue.pop_front();
        self.hold();
        frame
    }

    /// Lets the session make no more of its own while frames wait.
    fn hold(&mut self) {
        let hold = self.queue.len() >= QUEUE_HELD;
        if let Some(session) = &mut self.session {
            session.hold(hold);
        }
    }

    fn is_busy(&self) -> bool {
        let is_busy = self
            .session
            .as_ref()
            .is_some_and(|session| session.is_busy());
        self.outcome.is_none() && (is_busy || !self.inputs.is_empty())
    }

    fn hear(&mut self, frame: ReadFrame) {
        self.silent_at = Instant::now() + SILENCE;
        self.inputs.push_back(Input::Read(frame));
    }
}

fn ended(code: &str, reason: &str) -> NodeError {
    NodeError::Session {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Does work that visits the store, while the runtime goes on with the rest.
///
/// Where the runtime has threads, this one does it and another takes over what else it had to do: to hand the
/// work to a thread and the result back are two changes of threads, and on a busy machine each of them waits.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        // As in a thread of its own, a panic ends the session and nothing else.
        let done = block_in_place(|| catch_unwind(AssertUnwindSafe(work)));
        return done.map_err(|_panic| ended("E_FAULT", "the session panicked"));
    }
    let done = spawn_blocking(work).await;
    done.map_err(|error| ended("E_FAULT", &error.to_string()))
}

/// Reads the frames that come and hands them over until the stream ends. The blocks of a frame are hashed here:
/// that takes a millisecond at most, and to hand each frame to another thread takes longer.
async fn read(mut recv: RecvHalf, frames: mpsc::Sender<Result<ReadFrame, NodeError>>) {
    loop {
        let frame = match recv.recv().await {
            Ok(Some(frame)) => Ok(ReadFrame::new(&frame)),
            Ok(None) => Err(ended("E_FRAME", "the peer ended the stream")),
            Err(error) => Err(error.into()),
        };
        let is_last = frame.is_err();
        if frames.send(frame).await.is_err() || is_last {
            return;
        }
    }
}

/// Sends what is handed over, and tells of each frame that went.
async fn write(
    mut send: SendHalf,
    mut frames: mpsc::Receiver<Bytes>,
    sent: watch::Sender<()>,
) -> Result<(), QuicError> {
    while let Some(frame) = frames.recv().await {
        send.send(frame).await?;
        sent.send_replace(());
    }
    send.finish()?;
    send.finished().await
}

/// Hands inputs to the session, until it has something to send; gives back those that are left. What it asks for
/// is on its way while it works with what came.
fn step(
    mut session: Box<Session>,
    mut inputs: VecDeque<Input>,
) -> (Box<Session>, Vec<Output>, VecDeque<Input>) {
    let mut outputs = Vec::new();
    while outputs.is_empty()
        && let Some(input) = inputs.pop_front()
    {
        session.handle(now_ms(), input);
        outputs.extend(std::iter::from_fn(|| session.poll()));
    }
    while inputs.is_empty() && session.is_busy() && outputs.len() < FRAMES_AT_ONCE {
        session.handle(now_ms(), Input::Tick);
        outputs.extend(std::iter::from_fn(|| session.poll()));
    }
    (session, outputs, inputs)
}
