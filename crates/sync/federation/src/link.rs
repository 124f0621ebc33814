//! One side of a link: a machine without I/O.
//!
//! `link/handshake.rs` brings both sides to agree, `link/inbound.rs` takes deltas, `link/pump.rs` sends them as
//! they come, `link/serving.rs` sends the past, `link/reconcile.rs` finds what differs.

mod control;
mod given;
mod handshake;
mod inbound;
mod io;
mod known;
mod meter;
mod packing;
mod proof;
mod pump;
mod reconcile;
mod serving;

use std::collections::{BTreeSet, VecDeque};

use allod_deltas::Number;
use allod_identity::PublicKey;

use crate::config::FederationConfig;
use crate::event::{Event, LinkStats, Status};
use crate::limits::{FAULTS_MAX, HANDSHAKE_MS, OUT_BYTES, PING_MS, SILENCE_MS, close};
use crate::message::{Frame, Message};

pub use given::{Me, Positions, Rules, Start};
pub use io::{Command, Input, Output, ReadFault, ReadReply, ReadRequest};
pub use packing::Deflate;

use inbound::Inbound;
use known::Known;
use meter::Meter;
use pump::Pump;
use reconcile::{Answering, Asking};
use serving::Serving;

/// Which side this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a link has two sides")]
pub enum Role {
    /// It opened the connection and says hello.
    Client,
    /// It was connected to.
    Server,
}

/// Who of the machine waits for what is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reader {
    Serving,
    Answering,
    Asking,
    Pump,
}

/// How far the sides have come.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    /// A server waits for `hello`.
    AwaitHello,
    /// A server waits for the answer to its challenge.
    AwaitAuth,
    /// A client waits for `hello_ack`.
    AwaitAck,
    /// Both agreed.
    Open,
    /// It is over.
    Closed,
}

/// One side of a link.
///
/// Call [`handle`](Self::handle) for each input, then [`poll`](Self::poll) until `None`; then wait for the next
/// input, or until [`deadline`](Self::deadline) for a [`Input::Tick`]. Frames are to be read only while
/// [`reads`](Self::reads). The same inputs give the same outputs.
#[derive(Debug)]
pub struct Link {
    role: Role,
    me: Me,
    rules: Rules,
    config: FederationConfig,
    phase: Phase,
    status: Status,
    name: String,
    nonce: String,
    peer: Peer,
    positions: Positions,
    /// What the peer has: it sent it, acknowledged it, or got it with the past.
    known: Known,
    /// What the peer sent.
    from_peer: Known,
    nacked: Known,
    inbound: Inbound,
    pump: Pump,
    serving: Option<Serving>,
    answering: Option<Answering>,
    asking: Option<Asking>,
    reading: Option<Reader>,
    out: VecDeque<Output>,
    out_bytes: usize,
    /// Of these, bytes of answers.
    answer_bytes: usize,
    begun_ms: u64,
    heard_ms: u64,
    pinged_ms: u64,
    deltas: Meter,
    bytes: Meter,
    read_at_ms: u64,
    faults: u32,
    /// The length of the frame that is handled.
    frame_bytes: usize,
    /// When the last syncs were asked for.
    synced: VecDeque<u64>,
    stats: LinkStats,
    end_reason: String,
}

/// What is known of the peer.
#[derive(Debug, Default)]
struct Peer {
    system_id: String,
    capabilities: BTreeSet<String>,
    key: Option<PublicKey>,
    /// What it wants signed.
    challenge: Option<String>,
    /// A sync of the past was asked for and has not come yet.
    syncs: bool,
    /// All of the past has come, so that its cursors mean that nothing before is missing.
    is_whole: bool,
    /// Where this side stands once what it asked for after a reconciliation has come.
    cursor_after: Option<String>,
}

impl Link {
    fn new(role: Role, me: Me, rules: Rules, start: Start, now_ms: u64) -> Self {
        Self {
            role,
            phase: Phase::AwaitHello,
            status: Status::Connecting,
            name: start.link_id,
            nonce: proof::hex(&start.nonce),
            peer: Peer::default(),
            positions: start.positions,
            config: FederationConfig::default(),
            known: Known::default(),
            from_peer: Known::default(),
            nacked: Known::default(),
            inbound: Inbound::default(),
            pump: Pump::default(),
            serving: None,
            answering: None,
            asking: None,
            reading: None,
            out: VecDeque::new(),
            out_bytes: 0,
            answer_bytes: 0,
            begun_ms: now_ms,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            deltas: Meter::new(rules.deltas_per_second, now_ms),
            bytes: Meter::new(rules.bytes_per_second, now_ms),
            read_at_ms: now_ms,
            faults: 0,
            frame_bytes: 0,
            synced: VecDeque::new(),
            stats: start.stats,
            end_reason: String::new(),
            me,
            rules,
        }
    }

    /// The side that was connected to.
    #[must_use]
    pub fn server(me: Me, rules: Rules, start: Start, now_ms: u64) -> Self {
        Self::new(Role::Server, me, rules, start, now_ms)
    }

    /// The side that connected: it says hello.
    #[must_use]
    pub fn client(
        me: Me,
        rules: Rules,
        config: FederationConfig,
        start: Start,
        now_ms: u64,
    ) -> Self {
        let mut link = Self::new(Role::Client, me, rules, start, now_ms);
        link.config = config;
        link.say_hello(now_ms);
        link
    }

    /// How it stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Figures about it.
    #[must_use]
    pub const fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Who the peer says that it is, once it said so.
    #[must_use]
    pub fn remote_system_id(&self) -> Option<&str> {
        (!self.peer.system_id.is_empty()).then_some(self.peer.system_id.as_str())
    }

    /// The key that the peer proved.
    #[must_use]
    pub const fn remote_key(&self) -> Option<&PublicKey> {
        self.peer.key.as_ref()
    }

    /// Its name: the server's, once it is known.
    #[must_use]
    pub fn link_id(&self) -> &str {
        &self.name
    }

    /// Why it is over, once it is.
    #[must_use]
    pub fn end_reason(&self) -> &str {
        &self.end_reason
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether a frame is to be read now. It is not while too much waits to be stored or sent, or the peer
    /// was faster than it may be: then TCP holds the peer back (FED-15, FED-19).
    #[must_use]
    pub fn reads(&self, now_ms: u64) -> bool {
        // Deltas that wait to be sent do not keep it from reading, or two sides that send could wait for each other.
        !self.inbound.is_full() && self.answer_bytes < OUT_BYTES && now_ms >= self.read_at_ms
    }

    /// When a [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self, now_ms: u64) -> Option<u64> {
        let by_phase = match self.phase {
            Phase::Closed => return None,
            Phase::Open => self.pinged_ms.saturating_add(PING_MS),
            _ => self.begun_ms.saturating_add(HANDSHAKE_MS),
        };
        let silence = self.heard_ms.saturating_add(SILENCE_MS);
        let mut due = by_phase.min(silence);
        if let Some(resend) = self.pump.resend_at() {
            due = due.min(resend);
        }
        if self.read_at_ms > now_ms {
            due = due.min(self.read_at_ms);
        }
        Some(due)
    }

    /// Takes what happened. Does bounded work.
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>) {
        if self.phase == Phase::Closed {
            return;
        }
        match input {
            Input::Frame(text) => self.on_frame(now_ms, text),
            Input::Packed(bytes) => self.on_packed(now_ms, bytes),
            Input::Appended(said) => self.on_appended(now_ms, said),
            Input::Read(reply) => self.on_read(now_ms, reply),
            Input::Arrived => self.pump.arrived(),
            Input::Command(command) => self.on_command(now_ms, command),
            Input::Tick => self.on_tick(now_ms),
            Input::Closed => self.end("the connection is gone", Status::Disconnected),
        }
        self.advance(now_ms);
    }

    /// What to do next; `None` if there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.out.pop_front()?;
        let Output::Send(text) = output else {
            return Some(output);
        };
        self.out_bytes = self.out_bytes.saturating_sub(text.len());
        if is_answer(&text) {
            self.answer_bytes = self.answer_bytes.saturating_sub(text.len());
        }
        Some(self.packed(text))
    }

    /// Goes on where there is room, after [`poll`](Self::poll) made some.
    pub fn go_on(&mut self, now_ms: u64) {
        if self.phase != Phase::Closed {
            self.advance(now_ms);
        }
    }

    fn on_frame(&mut self, now_ms: u64, text: &str) {
        self.stats.wire_bytes_received += text.len() as u64;
        self.on_text(now_ms, text);
    }

    fn on_text(&mut self, now_ms: u64, text: &str) {
        self.heard_ms = now_ms;
        self.frame_bytes = text.len();
        self.stats.bytes_received += text.len() as u64;
        self.read_at_ms = self
            .bytes
            .take(text.len() as u64, now_ms)
            .max(self.read_at_ms);
        if text.len() > self.frame_bytes_max() {
            self.too_large();
            return;
        }
        match Frame::decode(text) {
            Ok(Some(frame)) => self.on_message(now_ms, frame.message),
            // What nobody here knows may be an extension of somebody (FED-3).
            Ok(None) => {}
            Err(error) => self.on_fault(now_ms, &error.to_string()),
        }
    }

    fn on_message(&mut self, now_ms: u64, message: Message) {
        match (&self.phase, message) {
            (Phase::Closed, _) | (_, Message::Pong) => {}
            (_, Message::Ping) => self.send(now_ms, &Message::Pong),
            (Phase::Open, message) => self.on_open_message(now_ms, message),
            (_, message) => self.on_handshake(now_ms, message),
        }
    }

    fn on_open_message(&mut self, now_ms: u64, message: Message) {
        let is_server = self.role == Role::Server;
        match message {
            Message::Delta { delta, cursor } => self.take(now_ms, vec![delta], true, cursor),
            Message::DeltaBatch { deltas, cursor } => self.take(now_ms, deltas, true, cursor),
            Message::DeltaAck { delta_id } => self.on_ack(&delta_id),
            Message::DeltaAckBatch { delta_ids } => {
                for id in &delta_ids {
                    self.on_ack(id);
                }
            }
            Message::DeltaNack { delta_id, reason } => self.on_nack(delta_id, reason),
            Message::SyncRequest {
                filter,
                from_timestamp,
                cursor,
            } if is_server => self.on_sync_request(now_ms, filter, from_timestamp, cursor),
            Message::Pause if is_server => self.set_paused(true),
            Message::Resume if is_server => self.set_paused(false),
            Message::Reconcile { estimate, have } if is_server => {
                self.on_reconcile(now_ms, &estimate, have);
            }
            Message::ReconcileWant { elements } if is_server => self.on_want(now_ms, &elements),
            Message::SyncStart { total_deltas, .. } if !is_server => {
                self.on_sync_start(total_deltas);
            }
            Message::SyncBatch { deltas, .. } if !is_server => {
                self.take(now_ms, deltas, false, None);
            }
            Message::SyncComplete {
                deltas_processed,
                cursor,
            } if !is_server => self.on_sync_complete(deltas_processed, cursor),
            Message::ReconcileSymbols {
                total,
                first,
                symbols,
                cursor,
            } if !is_server => self.on_symbols(now_ms, (total, first), &symbols, cursor),
            Message::Error {
                code,
                message,
                fatal,
            } => self.on_error(now_ms, &code, &message, fatal),
            Message::HelloAck { .. } | Message::AuthChallenge { .. } if !is_server => {}
            other => {
                let words = format!("{} is not expected", other.name());
                self.on_fault(now_ms, &words);
            }
        }
    }

    /// A frame that is no message, or comes when it must not (FED-5).
    fn on_fault(&mut self, now_ms: u64, words: &str) {
        self.heard_ms = now_ms;
        self.stats.faults += 1;
        self.faults += 1;
        let fatal = self.faults >= FAULTS_MAX || self.phase != Phase::Open;
        self.send(
            now_ms,
            &Message::Error {
                code: "MESSAGE_ERROR".to_owned(),
                message: words.to_owned(),
                fatal,
            },
        );
        if fatal {
            self.close(close::PROTOCOL, words, Status::Error);
        }
    }

    /// Does what there is room for: gives deltas to the store, and reads of it, one each at a time.
    fn advance(&mut self, now_ms: u64) {
        if self.phase != Phase::Open {
            return;
        }
        self.pass_marks(now_ms);
        self.append_next();
        self.send_queued(now_ms);
        while self.reading.is_none() && self.out_bytes < OUT_BYTES && self.phase == Phase::Open {
            let Some((reader, request)) = self.next_read() else {
                return;
            };
            self.reading = Some(reader);
            if reader == Reader::Pump {
                self.pump.asked();
            }
            self.out.push_back(Output::Read(request));
        }
    }

    fn next_read(&self) -> Option<(Reader, ReadRequest)> {
        let serving = self.serving.as_ref().filter(|_| !self.pump.is_paused());
        let serving = serving.map(Serving::request);
        let answering = self.answering.as_ref().map(Answering::request);
        let asking = self
            .asking
            .as_ref()
            .and_then(|asking| asking.request(&self.pump));
        let pump = self.pump.request();
        None.or(serving.map(|request| (Reader::Serving, request)))
            .or(answering.map(|request| (Reader::Answering, request)))
            .or(asking.map(|request| (Reader::Asking, request)))
            .or(pump.map(|request| (Reader::Pump, request)))
    }

    fn on_read(&mut self, now_ms: u64, reply: Result<ReadReply, ReadFault>) {
        let Some(reader) = self.reading.take() else {
            return;
        };
        if matches!(reply, Err(ReadFault::Failed)) {
            self.close(close::INTERNAL, "the store failed", Status::Error);
            return;
        }
        match reader {
            Reader::Serving => self.on_served(now_ms, reply),
            Reader::Answering => self.on_answered(now_ms, reply),
            Reader::Asking => self.on_asked(now_ms, reply),
            Reader::Pump => self.on_pumped(now_ms, reply),
        }
    }

    fn send(&mut self, now_ms: u64, message: &Message) {
        // Zero is no time (FED-2).
        let text = message.encode(Number::of(now_ms.max(1)));
        self.stats.bytes_sent += text.len() as u64;
        self.out_bytes += text.len();
        if is_answer(&text) {
            self.answer_bytes += text.len();
        }
        self.out.push_back(Output::Send(text));
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Ends the link by a close.
    fn close(&mut self, code: u16, reason: &str, status: Status) {
        if self.phase == Phase::Closed {
            return;
        }
        self.end(reason, status);
        self.out.push_back(Output::Close {
            code,
            reason: reason.to_owned(),
        });
    }

    fn end(&mut self, reason: &str, status: Status) {
        self.phase = Phase::Closed;
        self.status = status;
        reason.clone_into(&mut self.end_reason);
        if status == Status::Error {
            self.event(Event::Error {
                reason: reason.to_owned(),
            });
        }
        self.event(Event::Disconnected {
            reason: reason.to_owned(),
        });
    }
}

/// Whether a message that this side wrote has no deltas: what the peer makes this side say is among these.
fn is_answer(text: &str) -> bool {
    let mut data = ["delta", "delta_batch", "sync_batch"].iter();
    let rest = text.strip_prefix("{\"type\":\"").unwrap_or_default();
    !data.any(|name| {
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('"'))
    })
}
