//! A stream of NATS JetStream (SINK-10 to SINK-12).

mod line;

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allod_events::Headers;
use allod_feed::Kind;
use allod_repo::{BranchName, SpaceId};
use async_nats::header::HeaderName;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::{Client, ConnectOptions, Subject};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

use self::line::{Draft, Line};
use crate::definition::Mode;
use crate::target::{Fault, Form, Has, Outgoing, Target};

/// Messages under way at most (SINK, "Limits").
const MESSAGES_MAX: usize = 4096;

/// How long an answer of the server may take: what is under way then is asked for anew.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(5);

/// For how long the server knows messages again by their ids (SINK-10).
const DUPLICATES_FOR: Duration = Duration::from_mins(2);

/// What JetStream says of a message that the stream takes in no case.
const TOO_LARGE: [Option<ErrorCode>; 2] = [
    Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM),
    Some(ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM),
];

/// The header that has the cursor of a message (SINK-12).
const CURSOR_HEADER: HeaderName = HeaderName::from_static("Allod-Cursor");

/// The header that says whose sink has published a message (SINK-12).
const SINK_HEADER: HeaderName = HeaderName::from_static("Allod-Sink");

/// A stream of JetStream.
pub(crate) struct JetStream {
    /// The client's connection lives in it.
    runtime: Runtime,
    line: Line,
    stream: Stream,
    subject: String,
    /// The subject of the last event, and what it depends on.
    last_subject: Option<((SpaceId, BranchName, Kind), Subject)>,
    mode: Mode,
    /// The sequence of the last message of the stream.
    sequence: u64,
}

impl JetStream {
    /// Connects, and makes the stream if there is none.
    pub(crate) fn connect(
        (url, stream, subject): (&str, &str, &str),
        mode: Mode,
        credentials: Option<&Path>,
    ) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let (client, context, made) = runtime.block_on(async {
            let client = client(url, credentials).await?;
            let context = ContextBuilder::new()
                .timeout(ANSWER_TIME)
                .build(client.clone());
            let config = Config {
                name: stream.to_owned(),
                subjects: vec![format!("{subject}.>")],
                storage: StorageType::File,
                duplicate_window: DUPLICATES_FOR,
                ..Config::default()
            };
            let made = context.get_or_create_stream(config).await;
            Ok::<_, Fault>((client, context, made.map_err(Fault::away)?))
        })?;
        Ok(Self {
            runtime,
            line: Line { client, context },
            stream: made,
            subject: subject.to_owned(),
            last_subject: None,
            mode,
            sequence: 0,
        })
    }

    /// What messages of events are made of.
    fn drafts(&mut self, events: &[Outgoing]) -> Vec<Draft> {
        let draft = |event| Draft {
            subject: self.subject_of(event),
            cursor: Arc::clone(&event.cursor_text),
            sink: Arc::clone(&event.sink),
            said: match self.mode {
                Mode::Binary => event.cloud().map(|cloud| {
                    let payload = cloud.data_bytes().unwrap_or_default();
                    (cloud.to_headers(Headers::Http), payload)
                }),
                Mode::Structured | Mode::Batch => event.text().map(|text| (Vec::new(), text)),
            },
        };
        events.iter().map(draft).collect()
    }

    /// The subject of an event (SINK-10): many in a row have one.
    fn subject_of(&mut self, event: &Outgoing) -> Subject {
        let about = (event.space, event.branch.clone(), event.kind);
        match &self.last_subject {
            Some((last, subject)) if *last == about => subject.clone(),
            _ => {
                let subject = Subject::from(subject(&self.subject, event));
                self.last_subject = Some((about, subject.clone()));
                subject
            }
        }
    }

    /// Publishes events: how many of them the stream has, from the first on, and why it does not have all.
    async fn publish(&mut self, events: &[Outgoing]) -> (usize, Result<(), Fault>) {
        let (under_way, unsent) = self.send(events).await;
        let (mut taken, mut refused) = (0, None);
        for (end, answer) in under_way {
            match answer.await {
                // Of what came after one that was not kept the stream keeps nothing.
                _ if refused.is_some() => {}
                Ok(answer) if answer.sequence == self.sequence + end as u64 => taken = end,
                // It was there before, elsewhere: the stream is not what it was thought to be.
                Ok(_) => return (taken, Err(surprised(taken))),
                Err(error) if is_of_stream(&error) => refused = Some(end),
                Err(error) => return (taken, Err(fault_of(taken, &error))),
            }
        }
        if let Some(end) = refused {
            let group = events.get(taken..end).unwrap_or_default();
            return match self.kept_of(group, taken).await {
                Err(fault) => (taken, Err(behind(fault, taken))),
                Ok(kept) => {
                    let (rest, before) = (group.get(kept..).unwrap_or_default(), taken + kept);
                    let (more, singly) = self.publish_singly(rest, before).await;
                    let taken = before + more;
                    // What the stream takes now it refused before: of what came after that it has nothing.
                    (taken, singly.and(Err(surprised(taken))))
                }
            };
        }
        let unsent = unsent.map(|fault| behind(fault, taken));
        (taken, unsent.map_or(Ok(()), Err))
    }

    /// How many of some events, which come after so many others, the stream has. All that was sent is judged by now.
    async fn kept_of(&mut self, events: &[Outgoing], after: usize) -> Result<usize, Fault> {
        let (sequence, has) = self.ask_stream().await?;
        let count = sequence.checked_sub(self.sequence + after as u64);
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or_else(|| surprised(after))?;
        let Some(last) = count.checked_sub(1) else {
            return Ok(0);
        };
        match (has, events.get(last)) {
            (Has::UpTo { cursor, .. }, Some(event)) if cursor[..] == event.cursor_text[..] => {
                Ok(count)
            }
            _ => Err(surprised(after)),
        }
    }

    /// The sequence of the last message that the stream ever had, and what it has.
    async fn ask_stream(&mut self) -> Result<(u64, Has), Fault> {
        let subject = format!("{}.>", self.subject);
        let info = self.stream.get_info().await.map_err(Fault::away)?;
        let sequence = info.state.last_sequence;
        let last = match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(last) => last,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                // What is gone, and was there, has expired or was purged.
                let is_new = sequence == 0;
                return Ok((sequence, if is_new { Has::Nothing } else { Has::Unknown }));
            }
            Err(error) => return Err(Fault::away(error)),
        };
        let header = |name: HeaderName| last.headers.get(name).map(ToString::to_string);
        match (header(CURSOR_HEADER), header(SINK_HEADER)) {
            (Some(cursor), Some(sink)) => Ok((sequence, Has::UpTo { cursor, sink })),
            _ => Err(Fault::Stopped(
                "somebody else has published into the stream; it has to be this sink's own"
                    .to_owned(),
            )),
        }
    }

    /// Sends events: the answers that were asked for, each with how many events are sent with it; and why some were not.
    /// That is done where the connection is served: neither has to wake the other for each message.
    async fn send(
        &mut self,
        events: &[Outgoing],
    ) -> (Vec<(usize, PublishAckFuture)>, Option<Fault>) {
        let (line, drafts) = (self.line.clone(), self.drafts(events));
        let sequence = self.sequence;
        let sending = tokio::spawn(async move { line.send(drafts, sequence).await });
        match sending.await.map_err(JoinError::try_into_panic) {
            Ok(sent) => sent,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(error)) => (Vec::new(), Some(Fault::away(error))),
        }
    }

    /// The same of some events after so many others, with an answer for each: it says which one the stream does not take,
    /// and why.
    async fn publish_singly(
        &mut self,
        events: &[Outgoing],
        after: usize,
    ) -> (usize, Result<(), Fault>) {
        let (drafts, mut before) = (self.drafts(events), None);
        let (mut under_way, mut unsent) = (Vec::with_capacity(events.len()), None);
        for (at, draft) in (after..).zip(drafts) {
            let place = (self.sequence + at as u64, before.as_deref());
            match self.line.message(draft, place) {
                Ok(message) => {
                    before = Some(message.id.clone());
                    match self.line.ask(message).await {
                        Ok(answer) => under_way.push(answer),
                        Err(error) => return (0, Err(fault_of(after, &error))),
                    }
                }
                Err(words) => {
                    unsent = Some(Fault::Refused { at, words });
                    break;
                }
            }
        }
        let count = under_way.len();
        for (count, answer) in under_way.into_iter().enumerate() {
            let at = after + count;
            match answer.await {
                Ok(answer) if answer.sequence == self.sequence + at as u64 + 1 => {}
                Ok(_) => return (count, Err(surprised(at))),
                Err(error) => return (count, Err(fault_of(at, &error))),
            }
        }
        (count, unsent.map_or(Ok(()), Err))
    }
}

fn subject(beginning: &str, event: &Outgoing) -> String {
    let mut branch = String::new();
    for byte in event.branch.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            branch.push(char::from(byte));
        } else {
            branch.push_str(&format!("={byte:02X}"));
        }
    }
    let (space, kind) = (event.space, event.kind.name());
    format!("{beginning}.{space}.{branch}.{kind}")
}

/// What a client of NATS lives in.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("allod-nats")
        .enable_all()
        .build()
        .map_err(Fault::away)
}

/// A connected client.
pub(crate) async fn client(url: &str, credentials: Option<&Path>) -> Result<Client, Fault> {
    let options = match credentials {
        None => ConnectOptions::new(),
        Some(path) => {
            let read = ConnectOptions::with_credentials_file(path).await;
            read.map_err(|error| Fault::Stopped(format!("{}: {error}", path.display())))?
        }
    };
    let client = options.name("allod").connect(url).await;
    client.map_err(Fault::away)
}

/// The code of JetStream that is behind an error, if there is one.
fn code_of(error: &PublishError) -> Option<ErrorCode> {
    let source = error
        .source()?
        .downcast_ref::<async_nats::jetstream::Error>()?;
    Some(source.error_code())
}

/// Whether it is the stream that says so, of the message itself or of what it was to come after.
fn is_of_stream(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence || code_of(error).is_some()
}

/// The stream has other messages than it was thought to have, from the event at a place on: it is asked anew.
fn surprised(at: usize) -> Fault {
    Fault::Away {
        taken: at,
        words: "the stream has other messages than were published from here".to_owned(),
        after: None,
    }
}

/// A fault that came after the stream had taken so many events.
fn behind(fault: Fault, taken: usize) -> Fault {
    match fault {
        Fault::Away { words, after, .. } => Fault::Away {
            taken,
            words,
            after,
        },
        fault => fault,
    }
}

/// What a failure to publish the event at a place means.
fn fault_of(at: usize, error: &PublishError) -> Fault {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Fault::Refused {
            at,
            words: error.to_string(),
        },
        // The limits of the server are larger than those of the stream.
        PublishErrorKind::Other if TOO_LARGE.contains(&code_of(error)) => Fault::Refused {
            at,
            words: error.to_string(),
        },
        PublishErrorKind::WrongLastSequence => surprised(at),
        _ => Fault::Away {
            taken: at,
            words: error.to_string(),
            after: None,
        },
    }
}

impl Target for JetStream {
    fn has(&mut self) -> Result<Has, Fault> {
        let runtime = self.runtime.handle().clone();
        let (sequence, has) = runtime.block_on(self.ask_stream())?;
        self.sequence = sequence;
        Ok(has)
    }

    fn events_max(&self) -> usize {
        MESSAGES_MAX
    }

    fn form(&self) -> Form {
        match self.mode {
            Mode::Binary => Form::Event,
            Mode::Structured | Mode::Batch => Form::Text,
        }
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let runtime = self.runtime.handle().clone();
        let (taken, published) = runtime.block_on(self.publish(events));
        self.sequence += taken as u64;
        published
    }
}

impl std::fmt::Debug for JetStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStream")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
