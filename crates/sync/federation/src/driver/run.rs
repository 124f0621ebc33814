//! One connection: frames to a machine, and what it asks for done.

use std::sync::Arc;
use std::time::Duration;

use allod_deltas::{Appended, DeltaStore, StoreFault};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::federation::{Closing, Inner};
use super::handle::RemoteLink;
use crate::event::Event;
use crate::limits::close;
use crate::link::{Command, Input, Link, Output, Positions, ReadFault, ReadReply, ReadRequest};

/// Frames that wait for the socket besides those that the machine counts.
const WRITES: usize = 4;

/// How long a close may take.
const CLOSE: Duration = Duration::from_secs(5);

/// How long a close may take once all links end: who stops waits for all of them.
const LEAVE: Duration = Duration::from_secs(1);

/// Limits of WebSocket: what is longer is not even held (FED-4).
pub(super) fn socket_config(frame_bytes_max: usize) -> WebSocketConfig {
    let config = WebSocketConfig::default();
    config
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max))
}

type Appending = JoinHandle<Result<Vec<Appended>, StoreFault>>;
type Reading = JoinHandle<Result<ReadReply, ReadFault>>;

/// What a connection needs while it runs.
pub(super) struct Connection<'a> {
    pub(super) inner: &'a Inner,
    pub(super) handle: &'a RemoteLink,
    pub(super) commands: &'a mut mpsc::Receiver<Command>,
    pub(super) machine: Link,
    /// Whether somebody here wants it paused: that outlives a connection.
    pub(super) paused: &'a mut bool,
    /// Told once both sides agreed.
    pub(super) agreed: Option<tokio::sync::oneshot::Sender<()>>,
}

/// Why a connection ended.
pub(super) struct Ended {
    /// The machine, at its end.
    pub(super) machine: Link,
    /// Somebody here wanted it to.
    pub(super) wanted: bool,
}

struct Work {
    appending: Option<Appending>,
    reading: Option<Reading>,
    /// A frame for which there is no room yet.
    held: Option<Message>,
    saved: Option<Positions>,
    wanted: bool,
}

impl Connection<'_> {
    /// Runs the link over a connection until either ends.
    pub(super) async fn run<S>(mut self, socket: WebSocketStream<S>) -> Ended
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sink, mut frames) = socket.split();
        let (writes, waiting) = mpsc::channel(WRITES);
        // Writing goes on beside reading: two sides that only wrote would wait for each other.
        let writer = tokio::spawn(write(sink, waiting));
        let mut arrivals = self.inner.arrivals();
        let mut closing = self.inner.closing();
        let mut work = Work {
            appending: None,
            reading: None,
            held: None,
            saved: None,
            wanted: false,
        };
        loop {
            self.outputs(&mut work, &writes);
            if self.machine.is_closed() {
                break;
            }
            let now_ms = self.inner.now_ms();
            let due = self.machine.deadline(now_ms).unwrap_or(now_ms);
            let sleep = Duration::from_millis(due.saturating_sub(now_ms));
            let reads = self.machine.reads(now_ms);
            tokio::select! {
                frame = frames.next(), if reads => self.on_frame(frame, &mut work),
                said = ended(&mut work.appending), if work.appending.is_some() => {
                    work.appending = None;
                    let said = said.and_then(Result::ok);
                    self.handle_input(Input::Appended(said));
                    self.inner.notify();
                }
                reply = ended(&mut work.reading), if work.reading.is_some() => {
                    work.reading = None;
                    self.handle_input(Input::Read(reply.unwrap_or(Err(ReadFault::Failed))));
                }
                permit = writes.reserve(), if work.held.is_some() => {
                    let (Ok(permit), Some(held)) = (permit, work.held.take()) else {
                        self.handle_input(Input::Closed);
                        break;
                    };
                    permit.send(held);
                }
                _ = arrivals.changed() => self.handle_input(Input::Arrived),
                Some(command) = self.commands.recv() => {
                    work.wanted |= matches!(command, Command::Disconnect | Command::Leave);
                    note_pause(&command, self.paused);
                    self.handle_input(Input::Command(command));
                }
                () = closing.closed(), if !work.wanted => {
                    work.wanted = true;
                    self.handle_input(Input::Command(Command::Leave));
                }
                () = tokio::time::sleep(sleep) => self.handle_input(Input::Tick),
            }
        }
        self.finish(work, writes, writer, frames).await
    }

    fn handle_input(&mut self, input: Input<'_>) {
        self.machine.handle(self.inner.now_ms(), input);
    }

    fn on_frame(&mut self, frame: Option<Result<Message, Error>>, work: &mut Work) {
        match frame {
            Some(Ok(Message::Text(text))) => self.handle_input(Input::Frame(text.as_str())),
            Some(Ok(Message::Binary(bytes))) => self.handle_input(Input::Packed(&bytes)),
            // The library answers both.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(_))) => {
                work.held = Some(closed_with(close::TOO_LARGE, "a frame is too large"));
                self.handle_input(Input::Closed);
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => self.handle_input(Input::Closed),
        }
    }

    /// Does what the machine asks for, as far as there is room.
    fn outputs(&mut self, work: &mut Work, writes: &mpsc::Sender<Message>) {
        while work.held.is_none()
            && let Some(output) = self.machine.poll()
        {
            match output {
                Output::Send(text) => put(Message::text(text), work, writes),
                Output::Packed(bytes) => put(Message::binary(bytes), work, writes),
                Output::Close { code, reason } => put(closed_with(code, &reason), work, writes),
                Output::Append(deltas) => {
                    let (store, now_ms) = (Arc::clone(&self.inner.store), self.inner.now_ms());
                    let append = move || store.append(&deltas, now_ms);
                    work.appending = Some(tokio::task::spawn_blocking(append));
                }
                Output::Read(request) => {
                    let store = Arc::clone(&self.inner.store);
                    let read = move || read(&*store, request);
                    work.reading = Some(tokio::task::spawn_blocking(read));
                }
                Output::Event(event) => {
                    self.handle.see(&self.machine);
                    if let Event::Connected { .. } = event
                        && let Some(agreed) = self.agreed.take()
                    {
                        // Whoever waited may have gone.
                        agreed.send(()).unwrap_or_default();
                    }
                    self.inner.tell(self.handle, &event);
                    if let Event::Connected { .. } = event
                        && *self.paused
                    {
                        self.handle_input(Input::Command(Command::Pause));
                    }
                }
                Output::Save(positions) => work.saved = Some(positions),
            }
            self.machine.go_on(self.inner.now_ms());
        }
        self.handle.see(&self.machine);
        if let (Some(saved), Some(url)) = (work.saved.take(), self.handle.remote_url()) {
            self.inner.options.positions.save(url, &saved);
        }
    }

    /// Lets what was said last out, and nothing of the work behind.
    async fn finish<S>(
        mut self,
        mut work: Work,
        writes: mpsc::Sender<Message>,
        writer: JoinHandle<()>,
        mut frames: SplitStream<WebSocketStream<S>>,
    ) -> Ended
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let abort = writer.abort_handle();
        let patience = patience(self.inner.closing());
        let parting = async {
            // The close comes after all that waits for the socket.
            while let Some(held) = work.held.take() {
                if writes.send(held).await.is_err() {
                    break;
                }
                self.outputs(&mut work, &writes);
            }
            drop(writes);
            let written = writer.await;
            drop(written);
            // The peer answers a close; who does not is cut off.
            while let Some(Ok(_)) = frames.next().await {}
        };
        tokio::select! {
            () = parting => {}
            () = patience => abort.abort(),
        }
        self.unsaid();
        // What the store was given it keeps, and others hear of it.
        if let Some(Ok(Ok(_))) = settle(work.appending).await {
            self.inner.notify();
        }
        Ended {
            machine: self.machine,
            wanted: work.wanted,
        }
    }

    /// Of what the machine still asks for, what does not go to the peer.
    fn unsaid(&mut self) {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Event(event) => self.inner.tell(self.handle, &event),
                Output::Save(positions) => {
                    if let Some(url) = self.handle.remote_url() {
                        self.inner.options.positions.save(url, &positions);
                    }
                }
                Output::Send(_)
                | Output::Packed(_)
                | Output::Close { .. }
                | Output::Append(_)
                | Output::Read(_) => {}
            }
        }
        self.handle.see(&self.machine);
    }
}

/// Returns once who parts was waited for long enough: less once all links end, and then from that moment on.
async fn patience(mut closing: Closing) {
    let leaving = async {
        closing.closed().await;
        tokio::time::sleep(LEAVE).await;
    };
    tokio::select! {
        () = leaving => {}
        () = tokio::time::sleep(CLOSE) => {}
    }
}

/// Keeps in mind what was asked of pauses.
pub(super) const fn note_pause(command: &Command, paused: &mut bool) {
    match command {
        Command::Pause => *paused = true,
        Command::Resume => *paused = false,
        Command::Send(_) | Command::Disconnect | Command::Leave => {}
    }
}

async fn settle<T>(work: Option<JoinHandle<T>>) -> Option<Result<T, tokio::task::JoinError>> {
    Some(work?.await)
}

/// The result of work that is there; none if it panicked.
async fn ended<T>(work: &mut Option<JoinHandle<T>>) -> Option<T> {
    match work {
        Some(work) => work.await.ok(),
        None => std::future::pending().await,
    }
}

fn put(message: Message, work: &mut Work, writes: &mpsc::Sender<Message>) {
    if let Err(refused) = writes.try_send(message) {
        work.held = Some(refused.into_inner());
    }
}

fn closed_with(code: u16, reason: &str) -> Message {
    // A reason has at most 123 bytes (RFC 6455, 5.5).
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    Message::Close(Some(CloseFrame {
        code: code.into(),
        reason: reason[..end].to_owned().into(),
    }))
}

async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut waiting: mpsc::Receiver<Message>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = waiting.recv().await {
        // A connection that is gone is noticed where it is read.
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

fn read(store: &dyn DeltaStore, request: ReadRequest) -> Result<ReadReply, ReadFault> {
    let reply = match request {
        ReadRequest::End => store.end().map(ReadReply::End),
        ReadRequest::Arrivals { after, limit } => {
            store.arrivals(after, limit).map(ReadReply::Arrivals)
        }
        ReadRequest::Scan {
            filter,
            after,
            limit,
        } => store
            .scan(&filter, after.as_ref(), limit)
            .map(ReadReply::Scan),
    };
    reply.map_err(|fault| match fault {
        StoreFault::Expired => ReadFault::Expired,
        _ => ReadFault::Failed,
    })
}
