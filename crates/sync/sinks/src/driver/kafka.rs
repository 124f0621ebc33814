//! A topic of Kafka (SINK-40 to SINK-47).

mod delivering;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use allod_events::{CURSOR, CloudEvent, Extension, Headers};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::definition::{Mode, PARTITIONS_MAX};
use crate::driver::kafka_client::{ANSWER_TIME, Words, config, partitions, reader, set_up};
use crate::driver::murmur::partition;
use crate::open::Stopping;
use crate::target::{Fault, Has, Last, Outgoing, Part, SINK, Target};

/// Records under way at most (SINK, "Limits").
const RECORDS_MAX: usize = 4096;

/// How long a page of records may take to be kept: what is under way then is asked for anew.
const PAGE_TIME: Duration = Duration::from_secs(30);

/// How long the brokers may take to say what a topic takes: those that cannot are not waited for.
const CONFIG_TIME: Duration = Duration::from_secs(3);

/// How long is waited for acknowledgements at a time.
const STEP: Duration = Duration::from_millis(5);

/// How long is waited at a time for answers to what is given up: a request whose connection broke is to be sent again, and
/// that is given up then.
const QUIET_STEP: Duration = Duration::from_millis(100);

/// What brokers take as a record, where neither the topic nor the properties say it: what the client has by itself.
const RECORD_BYTES: &str = "1000000";

/// How far it is gone back for the last record of a partition whose very last one is no record.
const STEPS_BACK: [i64; 3] = [1, 100, 10_000];

const CURSOR_HEADER: &str = "allod-cursor";
const SINK_HEADER: &str = "allod-sink";
const SEQUENCE_HEADER: &str = "allod-sequence";

/// What became of a record.
struct Report {
    /// Which one of those under way.
    at: usize,
    kept: Result<(usize, u64), KafkaError>,
}

/// Takes reports from the client.
struct Reports {
    words: Words,
    sender: Sender<Report>,
}

impl ClientContext for Reports {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.words.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, at: Box<usize>) {
        let kept = match result {
            Ok(record) => {
                let partition = usize::try_from(record.partition()).unwrap_or_default();
                Ok((
                    partition,
                    u64::try_from(record.offset()).unwrap_or_default(),
                ))
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody listens any more to what was given up.
        drop(self.sender.send(Report { at: *at, kept }));
    }
}

/// A topic.
pub(crate) struct Topic {
    reader: BaseConsumer<Words>,
    /// How producers are set up.
    config: ClientConfig,
    producer: BaseProducer<Reports>,
    reports: Receiver<Report>,
    name: String,
    mode: Mode,
    /// How many records each partition has had.
    ends: Vec<u64>,
    /// Cursors of events that the topic has, though it refused one before them.
    kept_already: BTreeSet<String>,
    stopping: Stopping,
}

impl Topic {
    /// Connects, and makes the topic if there is none.
    pub(crate) fn connect(
        (brokers, topic, count): (&str, &str, Option<u16>),
        mode: Mode,
        (properties, stopping): (Option<&Path>, Stopping),
    ) -> Result<Self, Fault> {
        let config = config(brokers, properties)?;
        let reader = reader(config.clone())?;
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(set_up)?;
        let found = match partitions(&reader, topic)? {
            Some(found) => found,
            None => make(&admin, &reader, topic, count)?,
        };
        if found == 0 || found > usize::from(PARTITIONS_MAX) {
            let words = format!("the topic has {found} partitions, and may have {PARTITIONS_MAX}");
            return Err(Fault::Stopped(words));
        }
        let is_said = config.get("message.max.bytes").is_some();
        let bytes = if is_said {
            None
        } else {
            record_bytes(&admin, topic)
        };
        let config = set_up_to_produce(config, bytes);
        let (producer, reports) = producing(&config)?;
        Ok(Self {
            reader,
            config,
            producer,
            reports,
            name: topic.to_owned(),
            mode,
            ends: vec![0; found],
            kept_already: BTreeSet::new(),
            stopping,
        })
    }

    /// Sends nothing any more, and waits until the brokers have answered what was sent (SINK-46): a topic that is asked
    /// before that may not have it yet. Whether they did.
    fn quiet(&self) -> bool {
        let until = Instant::now() + ANSWER_TIME;
        loop {
            self.producer.purge(PurgeConfig::default().queue());
            if self.producer.flush(QUIET_STEP).is_ok() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    fn headers(&self, cloud: &CloudEvent) -> Result<(OwnedHeaders, Vec<u8>), String> {
        let mut headers = OwnedHeaders::new();
        let mut put = |key: &str, value: &str| {
            let value = Some(value);
            headers = std::mem::take(&mut headers).insert(Header { key, value });
        };
        let payload = if self.mode == Mode::Binary {
            for (name, value) in cloud.to_headers(Headers::Kafka) {
                put(&name, &value);
            }
            cloud.data_bytes().unwrap_or_default().to_vec()
        } else {
            put("content-type", allod_events::STRUCTURED);
            let text = cloud.to_json().map_err(|error| error.to_string())?;
            text.into_bytes()
        };
        let headed = [(CURSOR, CURSOR_HEADER), (SINK, SINK_HEADER)];
        for (name, header) in headed.into_iter().chain([("sequence", SEQUENCE_HEADER)]) {
            if let Some(Extension::Text(text)) = cloud.extensions.get(name) {
                put(header, text);
            }
        }
        Ok((headers, payload))
    }

    /// Gives an event to the client, waiting for room if there is none.
    fn send(&self, at: usize, event: &Outgoing, until: Instant) -> Result<(), Fault> {
        let refused = |words| Fault::Refused { at, words };
        let cloud = (event.cloud()).map_err(|error| refused(error.to_string()))?;
        let (headers, payload) = self.headers(&cloud).map_err(refused)?;
        let part = partition(key(&cloud).as_bytes(), self.ends.len());
        let mut record = BaseRecord::with_opaque_to(&self.name, Box::new(at))
            .partition(i32::try_from(part).unwrap_or_default())
            .key(key(&cloud).as_bytes())
            .payload(&payload[..])
            .headers(headers);
        loop {
            let (error, back) = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < until => {
                    self.producer.poll(STEP);
                    record = back;
                }
                _ if is_refusal(&error) => return Err(refused(error.to_string())),
                _ => return Err(self.away(0, &error)),
            }
        }
    }

    fn away(&self, taken: usize, error: &KafkaError) -> Fault {
        let words = match self.producer.client().fatal_error() {
            Some((_, why)) => format!("{error} ({why})"),
            None => self.producer.context().words.of(error),
        };
        Fault::Away {
            taken,
            words,
            after: None,
        }
    }

    /// Waits until it is known what became of the first so many records.
    fn settled(&mut self, count: usize, until: Instant) -> (usize, Result<(), Fault>) {
        let mut kept: BTreeMap<usize, Result<(), KafkaError>> = BTreeMap::new();
        let (mut is_surprised, mut has_lost) = (false, false);
        let mut has_failed = false;
        // After a failure nothing is written any more, and what is under way may never be reported.
        while kept.len() < count && !has_failed && Instant::now() < until {
            self.producer.poll(STEP);
            has_failed = self.producer.client().fatal_error().is_some();
            while let Ok(Report { at, kept: report }) = self.reports.try_recv() {
                let report = report.map(|(partition, offset)| {
                    if let Some(end) = self.ends.get_mut(partition) {
                        is_surprised |= *end != offset;
                        has_lost |= offset < *end;
                        // What a partition had is not forgotten where it lost some.
                        *end = (*end).max(offset + 1);
                    }
                });
                has_failed |= report.is_err();
                kept.insert(at, report);
            }
        }
        let mut taken = 0;
        while kept.get(&taken).is_some_and(Result::is_ok) {
            taken += 1;
        }
        let timed_out = || KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        let mut failed: Vec<KafkaError> = kept.into_values().filter_map(Result::err).collect();
        let refused = failed.iter().position(is_refusal).unwrap_or(0);
        let failed = (!failed.is_empty()).then(|| failed.swap_remove(refused));
        let failed = failed.or_else(|| (taken < count).then(timed_out));
        let result = match failed {
            // Where it goes on from, only a person can say: what was lost is before what is there now.
            _ if has_lost => Err(Fault::Stopped(
                "the topic has lost records; say from which cursor to go on".to_owned(),
            )),
            Some(error) if is_refusal(&error) => Err(Fault::Refused {
                at: taken,
                words: error.to_string(),
            }),
            Some(error) => Err(self.away(taken, &error)),
            None if is_surprised => Err(Fault::Away {
                taken,
                words: "the topic has other records than were written from here".to_owned(),
                after: None,
            }),
            None => Ok(()),
        };
        (taken, result)
    }

    /// The last record of each of some partitions that is not further back than so many.
    fn lasts(&self, of: &[(usize, (i64, i64))], back: i64) -> Result<BTreeMap<usize, Last>, Fault> {
        let mut list = TopicPartitionList::new();
        let away = |error: KafkaError| Fault::away(self.reader.context().of(&error));
        for (part, (low, high)) in of {
            let offset = Offset::Offset((high - back).max(*low));
            let part = i32::try_from(*part).unwrap_or_default();
            list.add_partition_offset(&self.name, part, offset)
                .map_err(away)?;
        }
        self.reader.assign(&list).map_err(away)?;
        let (mut found, mut open) = (BTreeMap::new(), of.len());
        let until = Instant::now() + ANSWER_TIME;
        while open > 0 {
            if Instant::now() >= until {
                let words = "the last records of the topic did not come in time";
                return Err(Fault::away(words));
            }
            match self.reader.poll(STEP) {
                Some(Ok(record)) => {
                    let part = usize::try_from(record.partition()).unwrap_or_default();
                    found.insert(part, last_of(&record));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => return Err(away(error)),
                None => {}
            }
        }
        let strange = |(part, last): (usize, Option<Last>)| match last {
            Some(last) => Ok((part, last)),
            None => Err(Fault::Stopped(
                "somebody else has written into the topic; it has to be this sink's own".to_owned(),
            )),
        };
        found.into_iter().map(strange).collect()
    }
}

/// The key of a record (SINK-40): what is told of a key of a space is all in one partition.
fn key(cloud: &CloudEvent) -> &str {
    match cloud.extensions.get("partitionkey") {
        Some(Extension::Text(key)) => key,
        _ => "",
    }
}

/// What a record says of itself, if a sink has written it.
fn last_of(record: &BorrowedMessage<'_>) -> Option<Last> {
    let headers = record.headers()?;
    let text = |name: &str| {
        let header = headers.iter().find(|header| header.key == name)?;
        String::from_utf8(header.value?.to_vec()).ok()
    };
    Some(Last {
        cursor: text(CURSOR_HEADER)?,
        sequence: text(SEQUENCE_HEADER),
        sink: text(SINK_HEADER)?,
    })
}

/// Whether it is a record that the brokers refuse, for what it is: anything else may pass.
fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord)
    )
}

/// A producer, and what it reports.
fn producing(config: &ClientConfig) -> Result<(BaseProducer<Reports>, Receiver<Report>), Fault> {
    let (sender, reports) = channel();
    let words = Words::default();
    let context = Reports { words, sender };
    let producer = config.create_with_context(context).map_err(set_up)?;
    Ok((producer, reports))
}

/// How the producer is set up (SINK-44), whatever a file of properties says.
fn set_up_to_produce(mut config: ClientConfig, record_bytes: Option<u32>) -> ClientConfig {
    let own = config.get("message.max.bytes").unwrap_or(RECORD_BYTES);
    // What the client takes for one is at least 1,000.
    let bytes = record_bytes.map_or_else(
        || own.to_owned(),
        |bytes| bytes.clamp(1000, 1_000_000_000).to_string(),
    );
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", bytes)
        .set("allow.auto.create.topics", "false");
    config
}

/// Waits for an answer.
fn wait<T>(answer: impl Future<Output = Result<T, KafkaError>>) -> Result<T, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let answer = runtime.map_err(Fault::away)?.block_on(answer);
    answer.map_err(Fault::away)
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_TIME))
        .operation_timeout(Some(ANSWER_TIME))
}

/// Makes a topic, and waits until it is there; how many partitions it has.
fn make(
    admin: &AdminClient<DefaultClientContext>,
    reader: &BaseConsumer<Words>,
    topic: &str,
    count: Option<u16>,
) -> Result<usize, Fault> {
    // What the brokers say by themselves is -1 for both.
    let count = count.map_or(-1, i32::from);
    let new = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
    let made = wait(admin.create_topics([&new], &options()))?;
    match made.into_iter().next() {
        Some(Err((_, error))) if error != RDKafkaErrorCode::TopicAlreadyExists => {
            let words = format!("the topic {topic} cannot be made: {error}");
            return Err(Fault::away(words));
        }
        _ => {}
    }
    let until = Instant::now() + ANSWER_TIME;
    loop {
        if let Some(found) = partitions(reader, topic)?.filter(|found| *found > 0) {
            return Ok(found);
        }
        if Instant::now() >= until {
            return Err(Fault::away("the topic was made, and is not there yet"));
        }
        std::thread::sleep(STEP);
    }
}

/// The largest record that a topic takes, in bytes: the client refuses what the brokers would. `None` of brokers that
/// do not say it, or not to everybody.
fn record_bytes(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Option<u32> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new().request_timeout(Some(CONFIG_TIME));
    let told = wait(admin.describe_configs(&asked, &options)).ok()?;
    let told = told.into_iter().next()?.ok()?;
    told.get("max.message.bytes")?
        .value
        .as_deref()?
        .parse()
        .ok()
}

impl Target for Topic {
    fn has(&mut self) -> Result<Has, Fault> {
        let mut parts = Vec::with_capacity(self.ends.len());
        let mut open = Vec::new();
        for number in 0..self.ends.len() {
            let part = i32::try_from(number).unwrap_or_default();
            let marks = self.reader.fetch_watermarks(&self.name, part, ANSWER_TIME);
            let marks = marks.map_err(|error| Fault::away(self.reader.context().of(&error)))?;
            if marks.0 < marks.1 {
                open.push((number, marks));
            }
            let end = u64::try_from(marks.1).unwrap_or_default();
            parts.push(Part { end, last: None });
        }
        for back in STEPS_BACK {
            if open.is_empty() {
                break;
            }
            let found = self.lasts(&open, back)?;
            open.retain(|(number, _)| !found.contains_key(number));
            for (number, last) in found {
                if let Some(part) = parts.get_mut(number) {
                    part.last = Some(last);
                }
            }
        }
        self.reader.unassign().map_err(Fault::away)?;
        self.ends = parts.iter().map(|part| part.end).collect();
        Ok(Has::Parts(parts))
    }

    fn events_max(&self) -> usize {
        RECORDS_MAX
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        if self.deliver_together(events)? {
            self.kept_already.clear();
            return Ok(());
        }
        self.deliver_singly(events)
    }

    fn part_of(&self, event: &Outgoing) -> usize {
        let count = self.ends.len();
        (event.cloud()).map_or(0, |cloud| partition(key(&cloud).as_bytes(), count))
    }

    fn ends(&self) -> Vec<u64> {
        self.ends.clone()
    }
}

impl Drop for Topic {
    /// The next one asks the topic what it has.
    fn drop(&mut self) {
        self.quiet();
    }
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic")
            .field("topic", &self.name)
            .finish_non_exhaustive()
    }
}
