//! A stream of NATS JetStream (SINK-10 to SINK-12).

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use allod_events::{Extension, Headers};
use async_nats::jetstream::context::{ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, HeaderMap};
use multibase::Base;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use crate::definition::Mode;
use crate::target::{Fault, Has, Outgoing, SINK, Target};

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
const CURSOR_HEADER: &str = "Allod-Cursor";

/// The header that says whose sink has published a message (SINK-12).
const SINK_HEADER: &str = "Allod-Sink";

/// A stream of JetStream.
pub(crate) struct JetStream {
    /// The client's connection lives in it.
    runtime: Runtime,
    context: Context,
    stream: Stream,
    subject: String,
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
        let (context, made) = runtime.block_on(async {
            let client = client(url, credentials).await?;
            let context = ContextBuilder::new()
                .timeout(ANSWER_TIME)
                .max_ack_inflight(MESSAGES_MAX)
                .build(client);
            let config = Config {
                name: stream.to_owned(),
                subjects: vec![format!("{subject}.>")],
                storage: StorageType::File,
                duplicate_window: DUPLICATES_FOR,
                ..Config::default()
            };
            let made = context.get_or_create_stream(config).await;
            Ok::<_, Fault>((context, made.map_err(Fault::away)?))
        })?;
        Ok(Self {
            runtime,
            context,
            stream: made,
            subject: subject.to_owned(),
            mode,
            sequence: 0,
        })
    }

    fn message(&self, event: &Outgoing, sequence: u64) -> Result<PublishMessage, String> {
        let (mut headers, payload) = match self.mode {
            Mode::Binary => {
                let mut headers = HeaderMap::new();
                for (name, value) in event.cloud.to_headers(Headers::Http) {
                    headers.insert(name, value);
                }
                (headers, event.cloud.data_bytes().unwrap_or_default())
            }
            Mode::Structured | Mode::Batch => {
                let mut headers = HeaderMap::new();
                headers.insert("content-type", allod_events::STRUCTURED);
                let text = event.cloud.to_json().map_err(|error| error.to_string())?;
                (headers, text.into())
            }
        };
        let cursor = event.cursor.to_string();
        headers.insert(CURSOR_HEADER, &cursor[..]);
        if let Some(Extension::Text(sink)) = event.cloud.extensions.get(SINK) {
            headers.insert(SINK_HEADER, &sink[..]);
        }
        let id = Base::Base64Url.encode(Sha256::digest(cursor.as_bytes()));
        Ok(PublishMessage::build()
            .headers(headers)
            .payload(payload)
            .message_id(id)
            .expected_last_sequence(sequence))
    }

    fn subject_of(&self, event: &Outgoing) -> String {
        let mut branch = String::new();
        for byte in event.branch.as_str().bytes() {
            if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
                branch.push(char::from(byte));
            } else {
                branch.push_str(&format!("={byte:02X}"));
            }
        }
        let (subject, space, kind) = (&self.subject, event.space, event.kind.name());
        format!("{subject}.{space}.{branch}.{kind}")
    }

    async fn publish(&self, events: &[Outgoing]) -> (u64, Result<(), Fault>) {
        let mut under_way = Vec::with_capacity(events.len());
        let mut fault = None;
        for (at, event) in events.iter().enumerate() {
            let message = match self.message(event, self.sequence + at as u64) {
                Ok(message) => message,
                Err(words) => {
                    fault = Some(Fault::Refused { at, words });
                    break;
                }
            };
            match self
                .context
                .send_publish(self.subject_of(event), message)
                .await
            {
                Ok(ack) => under_way.push(ack),
                Err(error) => {
                    fault = Some(fault_of(at, &error));
                    break;
                }
            }
        }
        // All before the one that was not sent, in order: the first that is not kept is where it goes on.
        let mut sequence = self.sequence;
        for (at, ack) in under_way.into_iter().enumerate() {
            match ack.await {
                Ok(ack) if ack.sequence == sequence + 1 => sequence = ack.sequence,
                // It was there before, elsewhere: the stream is not what it was thought to be.
                Ok(_) => return (sequence, Err(surprised(at))),
                Err(error) => return (sequence, Err(fault_of(at, &error))),
            }
        }
        (sequence, fault.map_or(Ok(()), Err))
    }
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

/// The stream has other messages than it was thought to have, from the event at a place on: it is asked anew.
fn surprised(at: usize) -> Fault {
    Fault::Away {
        taken: at,
        words: "the stream has other messages than were published from here".to_owned(),
        after: None,
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
        let subject = format!("{}.>", self.subject);
        let (sequence, last) = self.runtime.block_on(async {
            let info = self.stream.get_info().await.map_err(Fault::away)?;
            let last = self.stream.get_last_raw_message_by_subject(&subject).await;
            let last = match last {
                Ok(last) => Some(last),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
                Err(error) => return Err(Fault::away(error)),
            };
            Ok((info.state.last_sequence, last))
        })?;
        self.sequence = sequence;
        let Some(last) = last else {
            // What is gone, and was there, has expired or was purged.
            let is_new = sequence == 0;
            return Ok(if is_new { Has::Nothing } else { Has::Unknown });
        };
        let header = |name| last.headers.get(name).map(ToString::to_string);
        match (header(CURSOR_HEADER), header(SINK_HEADER)) {
            (Some(cursor), Some(sink)) => Ok(Has::UpTo { cursor, sink }),
            _ => Err(Fault::Stopped(
                "somebody else has published into the stream; it has to be this sink's own"
                    .to_owned(),
            )),
        }
    }

    fn events_max(&self) -> usize {
        MESSAGES_MAX
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let (sequence, published) = self.runtime.block_on(self.publish(events));
        self.sequence = sequence;
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
