//! Events from a topic of Kafka (SRC-31).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::driver::kafka_client::{ANSWER_TIME, Words, config, partitions, reader};
use crate::source::{BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX, check_of, gone};
use crate::source::{Batch, Mark, Origin, Position, Record, Seek};
use crate::target::Fault;

/// How long a record is waited for: then it is looked whether there is anything else to do.
const WAIT: Duration = Duration::from_millis(500);

/// How long the next record is waited for where one has come: what is at hand comes at once.
const STEP: Duration = Duration::from_millis(20);

/// How often it is looked whether partitions were added.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// How often the client says up to where it has read (SRC-17).
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// A topic that is read.
pub(crate) struct Records {
    reader: BaseConsumer<Words>,
    topic: String,
    /// The records before those that are read, and what they have to be.
    before: BTreeMap<u32, Mark>,
    /// The partitions that are read to their ends.
    ended: BTreeSet<i32>,
    count: usize,
    /// When it is looked again how many partitions there are.
    look_at: Instant,
}

impl Records {
    pub(crate) fn connect(
        (brokers, topic): (&str, &str),
        properties: Option<&Path>,
    ) -> Result<Self, Fault> {
        let mut config = config(brokers, properties)?;
        config
            .set("statistics.interval.ms", TOLD_EVERY.as_millis().to_string())
            .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queued.max.messages.kbytes", "16384");
        Ok(Self {
            reader: reader(config)?,
            topic: topic.to_owned(),
            before: BTreeMap::new(),
            ended: BTreeSet::new(),
            count: 0,
            look_at: Instant::now(),
        })
    }

    fn away(&self, error: &KafkaError) -> Fault {
        Fault::away(self.reader.context().of(error))
    }

    /// From where on a partition is read, and what comes next there (SRC-12).
    fn mark(&self, part: u32, to: Seek<'_>) -> Result<(u64, Mark), Fault> {
        let number = i32::try_from(part).unwrap_or_default();
        let marks = self
            .reader
            .fetch_watermarks(&self.topic, number, ANSWER_TIME);
        let (low, high) = marks.map_err(|error| self.away(&error))?;
        let number = |mark: i64| u64::try_from(mark).unwrap_or_default();
        let (low, high) = (number(low), number(high));
        let from = |next| Mark {
            next,
            ..Mark::default()
        };
        let mark = match to {
            Seek::Beginning => from(low),
            Seek::End => from(high),
            Seek::At(position) => match position.parts.get(&part) {
                // A partition that came later is read from its beginning.
                None => from(low),
                Some(mark) if mark.from() > high => {
                    return Err(gone("the topic has fewer records than were read"));
                }
                Some(mark) if mark.from() < low => {
                    return Err(gone("the topic lost records that were not read"));
                }
                Some(mark) => mark.clone(),
            },
        };
        // The record before is read again, to see whether it is the one that was read.
        let is_compared = !mark.check.is_empty() && mark.next > low;
        let start = if is_compared {
            mark.next - 1
        } else {
            mark.from()
        };
        Ok((start, mark))
    }

    /// A record, unless it is the one before those that come next.
    fn record(&self, message: &BorrowedMessage<'_>) -> Result<Option<Record>, Fault> {
        let part = u32::try_from(message.partition()).unwrap_or_default();
        let at = u64::try_from(message.offset()).unwrap_or_default();
        let payload = message.payload().unwrap_or_default();
        let check = check_of(payload);
        if let Some(before) = self.before.get(&part)
            && at < before.next
        {
            return if check == before.check {
                Ok(None)
            } else {
                Err(gone("the topic has another record where it was read"))
            };
        }
        // What has more beside its payload than a payload may have is kept no more than a payload that is too long.
        let is_kept = payload.len() + beside(message) <= RECORD_BYTES_MAX;
        let text = |bytes: &[u8]| {
            let kept = is_kept.then(|| bytes.to_vec());
            String::from_utf8(kept?).ok()
        };
        let headers = message.headers().into_iter().flat_map(|found| found.iter());
        let headers = headers.filter_map(|header| {
            let value = text(header.value?)?;
            Some((header.key.to_owned(), value))
        });
        Ok(Some(Record {
            part,
            at,
            next: at + 1,
            subject: message.key().and_then(text),
            headers: headers.collect(),
            payload: is_kept.then(|| payload.to_vec().into()),
            check,
        }))
    }
}

/// Bytes of a record beside its payload.
fn beside(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers().into_iter().flat_map(|found| found.iter());
    let headers = headers.map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len));
    message.key_len() + headers.sum::<usize>()
}

impl Origin for Records {
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault> {
        let of = format!("kafka {}", self.topic);
        if let Seek::At(position) = to
            && position.of != of
        {
            return Err(gone("the position is of another topic"));
        }
        let count = partitions(&self.reader, &self.topic)?;
        let count = count.ok_or_else(|| Fault::away("there is no such topic"))?;
        let mut parts = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for part in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let (start, mark) = self.mark(part, to)?;
            let offset = Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
            let number = i32::try_from(part).unwrap_or_default();
            list.add_partition_offset(&self.topic, number, offset)
                .map_err(|error| self.away(&error))?;
            parts.insert(part, mark);
        }
        self.reader
            .assign(&list)
            .map_err(|error| self.away(&error))?;
        self.before.clone_from(&parts);
        self.ended.clear();
        self.count = count;
        self.look_at = Instant::now() + LOOK_EVERY;
        Ok(Position { of, parts })
    }

    fn next(&mut self) -> Result<Batch, Fault> {
        if Instant::now() >= self.look_at {
            self.look_at = Instant::now() + LOOK_EVERY;
            if partitions(&self.reader, &self.topic)? != Some(self.count) {
                return Err(Fault::away("the topic has other partitions than it had"));
            }
        }
        let mut batch = Batch::default();
        let (mut bytes, until) = (0, Instant::now() + WAIT);
        while batch.records.len() < RECORDS_MAX && bytes < BYTES_MAX {
            match self.reader.poll(STEP) {
                Some(Ok(message)) => {
                    let record = self.record(&message)?;
                    self.ended.remove(&message.partition());
                    bytes += message.payload_len() + beside(&message);
                    batch.records.extend(record);
                }
                Some(Err(KafkaError::PartitionEOF(part))) => {
                    self.ended.insert(part);
                }
                Some(Err(error)) => return Err(self.away(&error)),
                None if !batch.records.is_empty() || Instant::now() >= until => break,
                None => {}
            }
            batch.is_end = self.ended.len() == self.count;
            if batch.is_end {
                break;
            }
        }
        batch.is_end = self.ended.len() == self.count;
        batch.passed = self.reader.context().take_passed();
        Ok(batch)
    }
}
