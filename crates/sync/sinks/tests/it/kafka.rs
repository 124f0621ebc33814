//! A topic of Kafka, on brokers that librdkafka plays (SINK-40 to SINK-46).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use allod_events::{CloudEvent, Extension, Headers};
use allod_sinks::{Definition, To};
use bytes::Bytes;
use proptest::prelude::*;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::world::Node;

const PARTS: i32 = 3;
const TIME: Duration = Duration::from_secs(20);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("t", PARTS, 3).unwrap();
    cluster
}

fn definition(cluster: &Cluster, mode: &str, properties: Option<&Path>) -> Definition {
    let brokers = cluster.bootstrap_servers();
    let mut definition: Definition =
        format!(r#"{{"to":{{"kafka":{{"brokers":"{brokers}","topic":"t"}}}},"mode":"{mode}"}}"#)
            .parse()
            .unwrap();
    // Brokers that are played do not say how large a record may be.
    let said = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kafka.properties");
    if let To::Kafka { properties: of, .. } = &mut definition.to {
        *of = Some(properties.map_or(said, Path::to_owned));
    }
    definition
}

/// A node with a sink to a cluster, from the beginning.
fn node(cluster: &Cluster, mode: &str) -> Node {
    let node = Node::new();
    let from = node.tail.feed().beginning();
    let definition = definition(cluster, mode, None);
    node.register().add("sink", &definition, from).unwrap();
    node
}

/// A record as a reader has it.
struct Read {
    partition: i32,
    key: String,
    event: CloudEvent,
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

impl Read {
    fn of(record: &BorrowedMessage<'_>) -> Self {
        let headers = record.headers().unwrap().iter().map(|header| {
            let value = header.value.unwrap_or_default().to_vec();
            (header.key.to_owned(), String::from_utf8(value).unwrap())
        });
        let headers: Vec<(String, String)> = headers.collect();
        let payload = record.payload().unwrap().to_vec();
        let kind = headers.iter().find(|(name, _)| name == "content-type");
        let event = if kind.is_some_and(|(_, kind)| kind.starts_with("application/cloudevents")) {
            CloudEvent::from_json(&payload).unwrap()
        } else {
            let pairs = headers.iter().map(|(name, value)| (&name[..], &value[..]));
            CloudEvent::from_headers(Headers::Kafka, pairs, Bytes::from(payload.clone())).unwrap()
        };
        Self {
            partition: record.partition(),
            key: String::from_utf8(record.key().unwrap().to_vec()).unwrap(),
            event,
            headers,
            payload,
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.event.source, self.event.id)
    }

    fn sequence(&self) -> String {
        match &self.event.extensions["sequence"] {
            Extension::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// All that the topic has, as any client reads it.
fn read(cluster: &Cluster) -> Vec<Read> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for part in 0..PARTS {
        list.add_partition_offset("t", part, Offset::Beginning)
            .unwrap();
    }
    reader.assign(&list).unwrap();
    let (mut found, mut open) = (Vec::new(), PARTS);
    let began = Instant::now();
    while open > 0 {
        assert!(began.elapsed() < TIME);
        match reader.poll(Duration::from_millis(20)) {
            Some(Ok(record)) => found.push(Read::of(&record)),
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    found
}

/// Carries until nothing fails any more.
fn carry_all(node: &Node) {
    for _ in 0..20 {
        let state = node.carry("sink").unwrap();
        if state.words.is_none() {
            return;
        }
        assert!(!state.stopped, "{:?}", state.words);
    }
    panic!("it never ends: {:?}", node.register().get("sink").unwrap());
}

/// The topic has what the log has, each event once, and in each partition in order.
fn is_log(node: &Node, cluster: &Cluster) {
    let records = read(cluster);
    let names: Vec<String> = records.iter().map(Read::name).collect();
    let set: BTreeSet<&String> = names.iter().collect();
    assert_eq!(set.len(), names.len(), "something is there twice");
    let log = node.log();
    assert_eq!(set, log.iter().collect::<BTreeSet<_>>());
    let mut parts: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for record in &records {
        parts
            .entry(record.partition)
            .or_default()
            .push(record.sequence());
    }
    assert!(parts.len() > 1, "all is in one partition");
    for (part, sequences) in parts {
        assert!(sequences.is_sorted(), "{part}: {sequences:?}");
    }
}

fn commits(node: &Node, from: usize, count: usize) {
    for number in from..from + count {
        let value = number.to_string();
        let keys: Vec<String> = (0..=number % 4).map(|key| format!("k{key}")).collect();
        let edits: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], &value[..])).collect();
        node.put(&edits);
    }
}

/// SINK-40: each event is a record, by the key that orders it, where Kafka's own partitioner puts it, in both modes.
#[test]
fn events_are_records_of_their_keys() {
    for mode in ["structured", "binary"] {
        let cluster = cluster();
        let node = node(&cluster, mode);
        commits(&node, 0, 6);
        let state = node.carry("sink").unwrap();
        assert_eq!(
            (state.delivered, state.words),
            (node.log().len() as u64, None)
        );
        is_log(&node, &cluster);
        let records = read(&cluster);
        for record in &records {
            let Extension::Text(key) = &record.event.extensions["partitionkey"] else {
                panic!("a key is text");
            };
            assert_eq!(*key, record.key);
            let header = |name: &str| {
                let found = record.headers.iter().find(|(header, _)| header == name);
                found.map(|(_, value)| value.clone())
            };
            let Extension::Text(cursor) = &record.event.extensions["allodcursor"] else {
                panic!("a cursor is text");
            };
            assert_eq!(header("allod-cursor").as_ref(), Some(cursor));
            assert_eq!(header("allod-sink").as_deref(), Some("sink"));
            assert_eq!(header("ce_id").is_some(), mode == "binary");
        }
        // The same keys, placed by the client's own murmur2.
        let other = MockCluster::new(1).unwrap();
        other.create_topic("t", PARTS, 1).unwrap();
        copy(&other, &records, false);
        let placed = |records: &[Read]| -> BTreeSet<(String, i32)> {
            let places = records
                .iter()
                .map(|read| (read.key.clone(), read.partition));
            places.collect()
        };
        assert_eq!(placed(&read(&other)), placed(&records));
    }
}

/// Writes records into the topic of another cluster, in the same partitions or by their keys.
fn copy(to: &Cluster, records: &[Read], is_placed: bool) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", to.bootstrap_servers())
        .set("partitioner", "murmur2")
        .set("max.in.flight", "1")
        .create()
        .unwrap();
    for read in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &read.headers {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let mut record = BaseRecord::to("t")
            .key(&read.key)
            .payload(&read.payload)
            .headers(headers);
        if is_placed {
            record = record.partition(read.partition);
        }
        producer.send(record).unwrap();
    }
    producer.flush(TIME).unwrap();
}

/// SINK-42: what the sink forgot that the topic has, because it was killed before it kept it, is not written again.
#[test]
fn what_the_topic_has_is_not_written_again() {
    let cluster = cluster();
    let node = node(&cluster, "structured");
    let register = node.register();
    commits(&node, 0, 4);
    node.carry("sink").unwrap();
    let (_, early) = register.get("sink").unwrap();
    commits(&node, 4, 5);
    node.carry("sink").unwrap();
    let (_, late) = register.get("sink").unwrap();
    register.keep("sink", (&late, &early), None).unwrap();
    commits(&node, 9, 2);
    carry_all(&node);
    is_log(&node, &cluster);
}

/// SINK-42: a snapshot has its order too, and comes before the moves after it.
#[test]
fn a_snapshot_is_not_written_again() {
    let cluster = cluster();
    let node = Node::new();
    commits(&node, 0, 5);
    let from = node.tail.feed().snapshot().unwrap();
    let definition = definition(&cluster, "structured", None);
    node.register().add("sink", &definition, from).unwrap();
    let (_, first) = node.register().get("sink").unwrap();
    commits(&node, 5, 2);
    node.carry("sink").unwrap();
    let count = read(&cluster).len();
    // Four keys as they were or are, two commits, and what these changed.
    assert!((4 + 2 + 2..=4 + 2 + 5).contains(&count), "{count}");
    for _ in 0..2 {
        let (_, last) = node.register().get("sink").unwrap();
        node.register().keep("sink", (&last, &first), None).unwrap();
        let state = node.carry("sink").unwrap();
        assert_eq!((state.delivered, state.words), (0, None));
        assert_eq!(read(&cluster).len(), count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// SINK-41 to SINK-43: whatever each partition has lost of its tail, and whichever earlier state the sink is left
    /// with: in the end the topic has the log, each event once and in order.
    #[test]
    fn parts_that_lost_their_tails_get_them_again(
        kept in prop::collection::vec(0..=12usize, 3),
        is_early in any::<bool>(),
        fails_first in any::<bool>(),
    ) {
        let first = cluster();
        let node = node(&first, "binary");
        let register = node.register();
        commits(&node, 0, 6);
        node.carry("sink").unwrap();
        let (_, early) = register.get("sink").unwrap();
        commits(&node, 6, 6);
        node.carry("sink").unwrap();
        let mut left = kept;
        let records: Vec<Read> = read(&first)
            .into_iter()
            .filter(|record| {
                let left = &mut left[usize::try_from(record.partition).unwrap()];
                let is_kept = *left > 0;
                *left = left.saturating_sub(1);
                is_kept
            })
            .collect();
        let second = cluster();
        copy(&second, &records, true);
        if is_early {
            let (_, late) = register.get("sink").unwrap();
            register.keep("sink", (&late, &early), None).unwrap();
        }
        register.define("sink", &definition(&second, "binary", None)).unwrap();
        commits(&node, 12, 1);
        if fails_first {
            // What was lost is not forgotten where the first delivery after it fails.
            second.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 8]);
            node.carry("sink").unwrap();
            second.clear_request_errors(RDKafkaApiKey::Produce);
        }
        carry_all(&node);
        is_log(&node, &second);
    }
}

/// SINK-4, SINK-44: brokers that answer with errors, now or for some time, lead to nothing lost and nothing twice.
#[test]
fn errors_of_brokers_pass() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as NOT_LEADER,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT as TIMED_OUT,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as DENIED,
    };
    let cluster = cluster();
    let node = node(&cluster, "structured");
    commits(&node, 0, 3);
    carry_all(&node);
    let produce = RDKafkaApiKey::Produce;
    // Those that the client tries again by itself, and one that it does not.
    cluster.request_errors(produce, &[NOT_LEADER, TIMED_OUT, NOT_LEADER]);
    commits(&node, 3, 3);
    carry_all(&node);
    is_log(&node, &cluster);
    cluster.request_errors(produce, &[DENIED, DENIED, DENIED]);
    commits(&node, 6, 3);
    let state = node.carry("sink").unwrap();
    assert_eq!(state.failures, 1, "{:?}", state.words);
    let words = state.words.unwrap();
    assert!(words.contains("authorization failed"), "{words}");
    cluster.clear_request_errors(produce);
    carry_all(&node);
    is_log(&node, &cluster);
}

/// SINK-45: a topic that others write to is left alone, and so is one of another sink.
#[test]
fn a_topic_of_somebody_else_is_left_alone() {
    let cluster = cluster();
    let node = node(&cluster, "structured");
    commits(&node, 0, 2);
    carry_all(&node);
    let from = node.tail.feed().beginning();
    let elsewhere = {
        let mut definition = definition(&cluster, "structured", None);
        // The same brokers by another name: that the register cannot know.
        if let To::Kafka { brokers, .. } = &mut definition.to {
            brokers.push(',');
        }
        definition
    };
    node.register().add("other", &elsewhere, from).unwrap();
    let state = node.carry("other").unwrap();
    assert!(state.stopped && state.words.unwrap().contains("another sink"));
    assert_eq!(read(&cluster).len(), node.log().len());
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    let record = BaseRecord::<str, str>::to("t")
        .partition(1)
        .payload("hello");
    producer.send(record).unwrap();
    producer.flush(TIME).unwrap();
    commits(&node, 2, 1);
    let state = node.carry("sink").unwrap();
    assert!(state.stopped && state.words.unwrap().contains("somebody else"));
}

/// SINK-5: a record that is too large for the topic holds up nothing.
#[test]
fn what_is_too_large_is_a_dead_letter() {
    let cluster = cluster();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kafka.properties");
    std::fs::write(&path, "# small\nmessage.max.bytes = 4000\n").unwrap();
    let node = Node::new();
    let from = node.tail.feed().beginning();
    let mut definition = definition(&cluster, "structured", Some(&path));
    definition.filter = r#"{"kinds":["change"]}"#.parse().unwrap();
    node.register().add("sink", &definition, from).unwrap();
    node.put(&[("a", "small"), ("b", &"x".repeat(5000)), ("c", "small")]);
    let state = node.carry("sink").unwrap();
    assert_eq!((state.delivered, state.dead), (2, 1), "{:?}", state.words);
    assert_eq!(read(&cluster).len(), 2);
    let dead = node.register().dead("sink").unwrap();
    assert!(dead[0].1.id.ends_with("/b"), "{dead:?}");
    // Brokers that are not there, and properties that make no sense, are told apart.
    std::fs::write(&path, "no.such.property = 1\n").unwrap();
    node.put(&[("d", "small")]);
    let state = node.carry("sink").unwrap();
    assert!(state.stopped && state.words.unwrap().contains("no.such.property"));
}

/// SINK-47: a record that only the brokers refuse is found among those that are sent with it, and nothing is there twice.
#[test]
fn what_brokers_refuse_is_found() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_INVALID_RECORD as NO_RECORD,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as LARGE,
    };
    for error in [LARGE, NO_RECORD] {
        let cluster = cluster();
        let node = Node::new();
        let from = node.tail.feed().beginning();
        let mut definition = definition(&cluster, "structured", None);
        definition.filter = r#"{"kinds":["change"]}"#.parse().unwrap();
        node.register().add("sink", &definition, from).unwrap();
        node.put(&[("a", "0")]);
        node.carry("sink").unwrap();
        for number in 1..6 {
            node.put(&[("a", &number.to_string())]);
        }
        // Of all together, and then of the first alone.
        cluster.request_errors(RDKafkaApiKey::Produce, &[error, error]);
        let state = node.carry("sink").unwrap();
        assert_eq!((state.delivered, state.dead), (5, 1), "{:?}", state.words);
        assert_eq!((state.failures, state.words), (0, None));
        let dead = node.register().dead("sink").unwrap();
        let read = read(&cluster);
        assert_eq!(read.len(), 5);
        assert!(
            read.iter()
                .all(|read| !read.name().ends_with(&dead[0].1.id))
        );
        node.put(&[("a", "end")]);
        assert_eq!(node.carry("sink").unwrap().delivered, 6);
    }
}

/// Somebody who seeks gets what they sought, whatever the topic has; and after that nothing twice again.
#[test]
fn who_seeks_gets_it_again() {
    let cluster = cluster();
    let node = node(&cluster, "structured");
    commits(&node, 0, 3);
    carry_all(&node);
    let count = node.log().len();
    let beginning = node.tail.feed().beginning();
    node.register().go_on_from("sink", &beginning).unwrap();
    carry_all(&node);
    assert_eq!(read(&cluster).len(), 2 * count);
    carry_all(&node);
    commits(&node, 3, 1);
    carry_all(&node);
    assert_eq!(read(&cluster).len(), count + node.log().len());
}
