//! Events from a stream of NATS JetStream (SRC-30).

use std::path::Path;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::{Client, jetstream};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use crate::driver::nats::{ANSWER_TIME, client, runtime};
use crate::source::{BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX, check_of, gone};
use crate::source::{Batch, Mark, Origin, Position, Record, Seek};
use crate::target::Fault;

/// How long the first message is waited for: then it is looked whether there is anything else to do.
const WAIT: Duration = Duration::from_millis(500);

/// How long a server keeps a reader that does not come again.
const IDLE: Duration = Duration::from_mins(5);

/// A stream that is read.
pub(crate) struct Messages {
    /// The client's connection lives in it.
    runtime: Runtime,
    client: Client,
    stream: Stream,
    subject: Option<String>,
    reader: Option<Reader>,
}

/// A reader that the server has made for this.
struct Reader {
    consumer: PullConsumer,
    /// How many messages it was given: of those that a broken connection lost, the server says nothing.
    given: u64,
}

impl Messages {
    pub(crate) fn connect(
        (url, stream, subject): (&str, &str, Option<&str>),
        credentials: Option<&Path>,
    ) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let (client, stream) = runtime.block_on(async {
            let client = client(url, credentials).await?;
            let context = ContextBuilder::new()
                .timeout(ANSWER_TIME)
                .build(client.clone());
            let found = context.get_stream(stream).await;
            Ok::<_, Fault>((client, found.map_err(Fault::away)?))
        })?;
        Ok(Self {
            runtime,
            client,
            stream,
            subject: subject.map(str::to_owned),
            reader: None,
        })
    }

    /// Where it is to be read from.
    async fn sought(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        let info = self.stream.get_info().await.map_err(Fault::away)?;
        let created = info.created.unix_timestamp_nanos();
        let of = format!("nats {} {created}", info.config.name);
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        let mark = match to {
            Seek::Beginning => Mark {
                next: first.max(1),
                check: String::new(),
            },
            Seek::End => Mark {
                next: last + 1,
                check: String::new(),
            },
            Seek::At(position) => {
                if position.of != of {
                    return Err(gone("the stream is not the one that was read"));
                }
                let mark = position.parts.get(&0).cloned();
                let mark = mark.ok_or_else(|| gone("the position is not of a stream"))?;
                if mark.next > last + 1 {
                    return Err(gone("the stream has fewer messages than were read"));
                }
                if mark.next < first {
                    return Err(gone("the stream lost messages that were not read"));
                }
                self.compare(&mark).await?;
                mark
            }
        };
        self.reader = Some(self.reader(mark.next).await?);
        Ok(Position {
            of,
            parts: [(0, mark)].into(),
        })
    }

    /// Whether the message before a mark is the one that was read, if it is still there: a stream that was restored
    /// from a copy has others.
    async fn compare(&self, mark: &Mark) -> Result<(), Fault> {
        if mark.check.is_empty() || mark.next == 0 {
            return Ok(());
        }
        match self.stream.get_raw_message(mark.next - 1).await {
            Ok(message) if check_of(&message.payload) == mark.check => Ok(()),
            Ok(_) => Err(gone("the stream has another message where it was read")),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(()),
            Err(error) => Err(Fault::away(error)),
        }
    }

    async fn reader(&self, start_sequence: u64) -> Result<Reader, Fault> {
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            filter_subject: self.subject.clone().unwrap_or_default(),
            inactive_threshold: IDLE,
            ..Config::default()
        };
        let made = self.stream.create_consumer(config).await;
        Ok(Reader {
            consumer: made.map_err(Fault::away)?,
            given: 0,
        })
    }
}

impl Reader {
    async fn batch(&mut self, client: &Client) -> Result<Batch, Fault> {
        // Where there is no server nobody says so: a batch would be empty, as where there is no more.
        if client.connection_state() != State::Connected {
            return Err(Fault::away("the connection to the server is gone"));
        }
        let asked = self
            .consumer
            .batch()
            .max_messages(RECORDS_MAX)
            .max_bytes(BYTES_MAX)
            .expires(WAIT);
        let asked = tokio::time::timeout(ANSWER_TIME, asked.messages()).await;
        let mut messages = asked.map_err(Fault::away)?.map_err(Fault::away)?;
        let mut batch = Batch {
            is_end: true,
            ..Batch::default()
        };
        let mut bytes = 0;
        while let Some(message) = messages.next().await {
            let message = message.map_err(Fault::away)?;
            let info = message.info().map_err(Fault::away)?;
            if info.consumer_sequence != self.given + 1 {
                return Err(Fault::away("messages were lost on the way"));
            }
            self.given += 1;
            batch.is_end = info.pending == 0;
            bytes += message.payload.len();
            let at = info.stream_sequence;
            batch.records.push(record(at, &message));
            // What is there is taken at once; more is asked for then.
            if batch.is_end || batch.records.len() >= RECORDS_MAX || bytes >= BYTES_MAX {
                break;
            }
        }
        if batch.records.is_empty() && client.connection_state() != State::Connected {
            return Err(Fault::away("the connection to the server is gone"));
        }
        Ok(batch)
    }
}

fn record(at: u64, message: &jetstream::Message) -> Record {
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.filter_map(|(name, values)| {
        let value = values.first()?;
        Some((name.to_string(), value.to_string()))
    });
    Record {
        part: 0,
        at,
        next: at + 1,
        subject: Some(message.subject.to_string()),
        headers: headers.collect(),
        check: check_of(&message.payload),
        payload: (message.payload.len() <= RECORD_BYTES_MAX).then(|| message.payload.clone()),
    }
}

impl Origin for Messages {
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        let runtime = self.runtime.handle().clone();
        runtime.block_on(self.sought(to))
    }

    fn next(&mut self) -> Result<Batch, Fault> {
        let reader = self.reader.as_mut();
        let reader = reader.ok_or_else(|| Fault::away("it was not said where to read"))?;
        self.runtime.block_on(reader.batch(&self.client))
    }
}
