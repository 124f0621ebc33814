//! Events from a stream of NATS JetStream (SRC-30).

use std::path::Path;
use std::time::{Duration, Instant};

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

/// How often it is looked up to where the stream has nothing else for the source (SRC-17).
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a server says of a message that is larger than what was asked for, or than what is left of that.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";

/// The header in which a server says how long a message is that it gives by its headers alone.
const MESSAGE_SIZE: &str = "Nats-Msg-Size";

/// A stream that is read.
pub(crate) struct Messages {
    /// The client's connection lives in it.
    runtime: Runtime,
    client: Client,
    stream: Stream,
    subject: Option<String>,
    reader: Option<Reader>,
    /// When it is looked again up to where there is nothing else.
    look_at: Instant,
}

/// A reader that the server has made for this.
struct Reader {
    consumer: PullConsumer,
    /// How many messages it was given: of those that a broken connection lost, the server says nothing.
    given: u64,
    /// The sequence from which on the next one is.
    next: u64,
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
            look_at: Instant::now(),
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
                ..Mark::default()
            },
            Seek::End => Mark {
                next: last + 1,
                ..Mark::default()
            },
            Seek::At(position) => {
                if position.of != of {
                    return Err(gone("the stream is not the one that was read"));
                }
                let mark = position.parts.get(&0).cloned();
                let mark = mark.ok_or_else(|| gone("the position is not of a stream"))?;
                if mark.from() > last + 1 {
                    return Err(gone("the stream has fewer messages than were read"));
                }
                if mark.from() < first {
                    return Err(gone("the stream lost messages that were not read"));
                }
                self.compare(&mark).await?;
                mark
            }
        };
        self.reader = Some(self.reader(mark.from(), false).await?);
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

    async fn reader(&self, next: u64, headers_only: bool) -> Result<Reader, Fault> {
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: next,
            },
            headers_only,
            ack_policy: AckPolicy::None,
            filter_subject: self.subject.clone().unwrap_or_default(),
            inactive_threshold: IDLE,
            ..Config::default()
        };
        let made = self.stream.create_consumer(config).await;
        Ok(Reader {
            consumer: made.map_err(Fault::away)?,
            given: 0,
            next,
        })
    }

    async fn batch(&mut self) -> Result<Batch, Fault> {
        let unsought = || Fault::away("it was not said where to read");
        let reader = self.reader.as_mut().ok_or_else(unsought)?;
        let Some(mut batch) = reader.batch(&self.client).await? else {
            let next = reader.next;
            return self.too_large(next).await;
        };
        if batch.is_end && Instant::now() >= self.look_at {
            batch.passed.extend(self.passed().await?.map(|to| (0, to)));
            self.look_at = Instant::now() + LOOK_EVERY;
        }
        Ok(batch)
    }

    /// The next message without what it says: that is more than is read at a time. Where that one is gone meanwhile another
    /// comes next, which is read as any other.
    async fn too_large(&mut self, next: u64) -> Result<Batch, Fault> {
        let headers = self.reader(next, true).await?;
        let asked = headers.consumer.batch().max_messages(1).expires(WAIT);
        let asked = tokio::time::timeout(ANSWER_TIME, asked.messages()).await;
        let mut messages = asked.map_err(Fault::away)?.map_err(Fault::away)?;
        let mut batch = Batch::default();
        if let Some(message) = messages.next().await {
            let message = message.map_err(Fault::away)?;
            let at = message.info().map_err(Fault::away)?.stream_sequence;
            if is_readable(&message) {
                self.reader = Some(self.reader(at, false).await?);
                return Ok(batch);
            }
            batch.records.push(Record {
                payload: None,
                check: String::new(),
                ..record(at, &message)
            });
            self.reader = Some(self.reader(at + 1, false).await?);
        }
        Ok(batch)
    }

    /// Up to where the stream has nothing that was not given, if that can be said. What the stream has is asked for
    /// first: what comes meanwhile is not counted.
    async fn passed(&self) -> Result<Option<u64>, Fault> {
        let Some(reader) = &self.reader else {
            return Ok(None);
        };
        // Who may read a stream need not be one who may ask this.
        let Ok(stream) = self.stream.get_info().await else {
            return Ok(None);
        };
        let Ok(told) = reader.consumer.get_info().await else {
            return Ok(None);
        };
        if told.delivered.consumer_sequence != reader.given {
            return Err(lost_on_the_way());
        }
        let end = stream.state.last_sequence + 1;
        Ok((told.num_pending == 0).then_some(end))
    }
}

fn lost_on_the_way() -> Fault {
    Fault::away("messages were lost on the way")
}

impl Reader {
    /// The messages that come next; `None` if the next one is larger than what is read at a time.
    async fn batch(&mut self, client: &Client) -> Result<Option<Batch>, Fault> {
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
            let message = match message {
                Err(error) if error.to_string().contains(TOO_LARGE) => {
                    // Those before it are taken first; then it is the next one.
                    batch.is_end = false;
                    return Ok((!batch.records.is_empty()).then_some(batch));
                }
                message => message.map_err(Fault::away)?,
            };
            let info = message.info().map_err(Fault::away)?;
            if info.consumer_sequence != self.given + 1 {
                return Err(lost_on_the_way());
            }
            self.given += 1;
            self.next = info.stream_sequence + 1;
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
        Ok(Some(batch))
    }
}

/// Whether a message of which there are the headers alone is one that is read with what it says. The server says how long
/// that is: of no more than half of what is read at a time there is no doubt.
fn is_readable(message: &jetstream::Message) -> bool {
    let headers = message.headers.as_ref();
    let size = headers.and_then(|headers| headers.get(MESSAGE_SIZE));
    let size = size.and_then(|size| size.as_str().parse::<usize>().ok());
    size.is_some_and(|size| size.saturating_add(message.length) <= BYTES_MAX / 2)
}

fn record(at: u64, message: &jetstream::Message) -> Record {
    // What has more beside its payload than a payload may have is kept no more than a payload that is too long.
    let is_kept = message.length <= RECORD_BYTES_MAX;
    let headers = message.headers.iter().filter(|_| is_kept);
    let headers = headers.flat_map(|headers| headers.iter());
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
        payload: is_kept.then(|| message.payload.clone()),
    }
}

impl Origin for Messages {
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        let runtime = self.runtime.handle().clone();
        runtime.block_on(self.sought(to))
    }

    fn next(&mut self) -> Result<Batch, Fault> {
        let runtime = self.runtime.handle().clone();
        runtime.block_on(self.batch())
    }
}
