//! What clients of Kafka have in common.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Statistics};

use crate::target::Fault;

/// How long an answer of the brokers may take.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The longest file of properties, in bytes.
const PROPERTIES_BYTES_MAX: usize = 64 * 1024;

/// What a client heard from its library, beside answers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    last: Mutex<Option<String>>,
    passed: Mutex<BTreeMap<u32, u64>>,
}

impl Words {
    fn note(&self, words: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// Of partitions, up to where all that a reader is given was given by now, since this was asked last (SRC-17): the end
    /// that it came to, behind marks of transactions and what they gave up.
    pub(crate) fn take_passed(&self) -> BTreeMap<u32, u64> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *passed)
    }

    /// Why something failed, in the words that came last if there are any: the library itself says no more than that
    /// an answer did not come.
    pub(crate) fn of(&self, error: &KafkaError) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(words) => format!("{error} ({words})"),
            None => error.to_string(),
        }
    }
}

impl ClientContext for Words {
    /// A library does not write to the log of a process.
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, reason: &str) {
        self.note(reason.to_owned());
    }

    fn stats(&self, told: Statistics) {
        let partitions = told.topics.into_values().flat_map(|topic| topic.partitions);
        // The end is that of what was fetched, and this comes before records that wait to be given: only where none waited
        // after the end was noted were all before it given. A reader that has not come to an end says so by a negative
        // number.
        let given = partitions.filter(|(_, told)| told.fetchq_cnt == 0);
        let ends = given.filter_map(|(number, told)| {
            Some((
                u32::try_from(number).ok()?,
                u64::try_from(told.eof_offset).ok()?,
            ))
        });
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.extend(ends);
    }
}

impl ConsumerContext for Words {}

/// Other names of properties that the node sets: which of two names counts would be chance.
const ALIASES: [&str; 5] = [
    "metadata.broker.list",
    "request.required.acks",
    "delivery.timeout.ms",
    "max.partition.fetch.bytes",
    "max.in.flight",
];

/// How any client is set up: what a file of properties says, and who it connects to.
pub(crate) fn config(brokers: &str, properties: Option<&Path>) -> Result<ClientConfig, Fault> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Emerg);
    if let Some(path) = properties {
        let about = |words: String| Fault::Stopped(format!("{}: {words}", path.display()));
        let mut text = String::new();
        let opened = File::open(path).map_err(|error| about(error.to_string()))?;
        let read = opened
            .take(PROPERTIES_BYTES_MAX as u64 + 1)
            .read_to_string(&mut text);
        read.map_err(|error| about(error.to_string()))?;
        if text.len() > PROPERTIES_BYTES_MAX {
            return Err(about("it is too long".to_owned()));
        }
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line may be a secret: it is not in the words.
            let pair = line.split_once('=');
            let (name, value) = pair.ok_or_else(|| about("a line has no `=`".to_owned()))?;
            let name = name.trim();
            if ALIASES.contains(&name) {
                return Err(about(format!("{name} is set by the node")));
            }
            config.set(name, value.trim());
        }
    }
    config.set("bootstrap.servers", brokers);
    config.set("client.id", "allod");
    Ok(config)
}

/// A reader that is told where to read, and belongs to no group.
pub(crate) fn reader(mut config: ClientConfig) -> Result<BaseConsumer<Words>, Fault> {
    config
        .set("group.id", "allod")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "50");
    config.create_with_context(Words::default()).map_err(set_up)
}

/// A client that cannot be made: its properties make no sense.
pub(crate) fn set_up(error: KafkaError) -> Fault {
    Fault::Stopped(error.to_string())
}

/// How many partitions a topic has; `None` if there is no such topic.
pub(crate) fn partitions(
    reader: &BaseConsumer<Words>,
    topic: &str,
) -> Result<Option<usize>, Fault> {
    let told = reader.fetch_metadata(Some(topic), ANSWER_TIME);
    let told = told.map_err(|error| Fault::away(reader.context().of(&error)))?;
    let found = told.topics().iter().find(|found| found.name() == topic);
    let Some(found) = found else {
        return Ok(None);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(found.partitions().len())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(error) => Err(Fault::away(format!("the topic {topic}: {error}"))),
    }
}
