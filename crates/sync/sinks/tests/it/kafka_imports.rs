//! Events from a topic of Kafka, on brokers that librdkafka plays (SRC-31).

use std::collections::BTreeMap;
use std::time::Duration;

use allod_sinks::source::{From, Mark, Position, Seek, open_source};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use crate::imports::Importer;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn from(cluster: &Cluster) -> From {
    From::Kafka {
        brokers: cluster.bootstrap_servers(),
        topic: "t".to_owned(),
        properties: None,
    }
}

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    cluster
}

fn write(cluster: &Cluster, partition: i32, messages: &[&str]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for message in messages {
        let header = Header {
            key: "ce_trace",
            value: Some("1"),
        };
        let record = BaseRecord::to("t")
            .partition(partition)
            .key("key")
            .payload(*message)
            .headers(OwnedHeaders::new().insert(header));
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// SRC-10, SRC-31: each record counts once, whatever is forgotten beside the space; and a topic that is not the one that
/// was read stops its source.
#[test]
fn a_topic_is_imported_once() {
    let one = cluster();
    let importer = Importer::new();
    importer.add(from(&one));
    let (_, first) = importer.register().get("in").unwrap();
    write(&one, 0, &["a", "b"]);
    write(&one, 1, &["c"]);
    let state = importer.import();
    assert_eq!((state.imported, state.words), (3, None));
    let forget = || {
        let (_, now) = importer.register().get("in").unwrap();
        importer.register().keep("in", (&now, &first), &[]).unwrap();
    };
    forget();
    write(&one, 1, &["d"]);
    assert_eq!(importer.import().imported, 1);
    forget();
    let state = importer.import();
    assert_eq!((state.imported, state.passed, state.words), (0, 0, None));
    let entries: Vec<(String, String)> = importer.entries().into_iter().collect();
    let expected = [("0-0", "a"), ("0-1", "b"), ("1-0", "c"), ("1-1", "d")];
    let expected = expected.map(|(place, value)| (format!("events/in/{place}"), value.to_owned()));
    assert_eq!(entries, expected);
    importer.register().remove("in").unwrap();
    // Elsewhere there is as much, and something else; then there is less.
    for (messages, words) in [(&["x", "y"][..], "another record"), (&["x"][..], "fewer")] {
        let other = cluster();
        write(&other, 0, messages);
        write(&other, 1, &["c", "d"]);
        importer.add(from(&other));
        let state = importer.import();
        let why = state.words.unwrap_or_default();
        assert!(
            state.stopped && why.contains("E_SOURCE_GAP") && why.contains(words),
            "{why}"
        );
        importer.register().remove("in").unwrap();
    }
}

/// SRC-17: a reader that has come to the end of a partition says so, and where that is.
#[test]
fn a_reader_says_up_to_where_there_is_nothing_else() {
    let cluster = cluster();
    write(&cluster, 0, &["a", "b"]);
    let mut origin = open_source(&from(&cluster)).unwrap();
    origin.seek(Seek::Beginning).unwrap();
    let (mut count, mut passed) = (0, BTreeMap::new());
    // The client says it once a second.
    while passed.get(&0) != Some(&2) {
        let batch = origin.next().unwrap();
        count += batch.records.len();
        for to in batch.passed.values() {
            assert!(*to <= count as u64, "{to} of {count}");
        }
        passed.extend(batch.passed);
    }
    assert_eq!(count, 2);
    // What is passed counts as read: it may go.
    let read = |next, passed| Position {
        of: "kafka t".to_owned(),
        parts: [(
            0,
            Mark {
                next,
                passed,
                ..Mark::default()
            },
        )]
        .into(),
    };
    for (position, is_there) in [(read(1, Some(2)), true), (read(1, Some(3)), false)] {
        let mut origin = open_source(&from(&cluster)).unwrap();
        assert_eq!(origin.seek(Seek::At(&position)).is_ok(), is_there);
    }
}

/// SRC-17: what was fetched and waits to be given is not passed, of whichever partition it is.
#[test]
fn what_was_not_given_is_not_passed() {
    const EACH: usize = 1500;
    let cluster = cluster();
    let messages: Vec<String> = (0..EACH).map(|number| number.to_string()).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    write(&cluster, 0, &messages);
    write(&cluster, 1, &messages);
    let mut origin = open_source(&from(&cluster)).unwrap();
    origin.seek(Seek::Beginning).unwrap();
    let (mut counts, mut passed) = (BTreeMap::new(), BTreeMap::new());
    let mut is_first = true;
    while passed.values().filter(|to| **to == EACH as u64).count() < 2 {
        let batch = origin.next().unwrap();
        for record in &batch.records {
            *counts.entry(record.part).or_insert(0) += 1;
        }
        for (part, to) in batch.passed {
            let count = counts.get(&part).copied().unwrap_or(0);
            assert!(to <= count, "{to} of {count} in {part}");
            passed.insert(part, to);
        }
        if is_first && !batch.records.is_empty() {
            // The client goes on to the ends of both meanwhile, and says so.
            std::thread::sleep(Duration::from_secs(3));
            is_first = false;
        }
    }
    assert_eq!(counts, [(0, EACH as u64), (1, EACH as u64)].into());
}
