//! What is a sink, and what is none.

use allod_blocks::{Batch, Expect, Store as _};
use allod_sinks::{BadSink, Definition, SINKS_MAX, SinkError};

use crate::world::{Node, stdout};

#[test]
fn what_is_no_sink_is_refused() {
    for bad in [
        "",
        "{}",
        r#"{"to":{}}"#,
        r#"{"to":{"mail":{}}}"#,
        r#"{"to":{"file":{}}}"#,
        r#"{"to":{"file":{"path":"x"},"stdout":{}}}"#,
        r#"{"to":{"stdout":{}},"more":1}"#,
        r#"{"to":{"stdout":{"x":1}}}"#,
        r#"{"to":{"stdout":{}},"mode":"avro"}"#,
        r#"{"to":{"stdout":{}},"mode":"batch"}"#,
        r#"{"to":{"file":{"path":"x"}},"mode":"binary"}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a"}},"mode":"batch"}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a.b"}}}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":""}}}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a","subject":"a..b"}}}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a","subject":"a.>"}}}"#,
        r#"{"to":{"webhook":{"url":"ftp://x"}}}"#,
        r#"{"to":{"kafka":{"brokers":"x:9092","topic":"a"}},"mode":"batch"}"#,
        r#"{"to":{"kafka":{"brokers":"","topic":"a"}}}"#,
        r#"{"to":{"kafka":{"brokers":"x:9092","topic":".."}}}"#,
        r#"{"to":{"kafka":{"brokers":"x:9092","topic":"a b"}}}"#,
        r#"{"to":{"kafka":{"brokers":"x:9092","topic":"a","partitions":0}}}"#,
        r#"{"to":{"stdout":{}},"filter":{"kind":["commit"]}}"#,
    ] {
        let read = bad.parse::<Definition>();
        assert!(read.is_err(), "{bad}: {read:?}");
    }
    assert_eq!(BadSink::CODE, "E_SINK");
    for good in [
        r#"{"to":{"stdout":{}}}"#,
        r#"{"to":{"file":{"path":"/x"}},"filter":{"kinds":["commit"]},"paused":true}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a-1","subject":"a.b"}},"mode":"binary"}"#,
        r#"{"to":{"kafka":{"brokers":"x:9092,y:9092","topic":"a.b_c-d","partitions":12}},"mode":"binary"}"#,
        r#"{"to":{"webhook":{"url":"https://x/?key=1","secret":"/s"}},"mode":"batch"}"#,
    ] {
        let read: Definition = good.parse().unwrap();
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(text.parse::<Definition>().unwrap(), read);
        assert!(!read.to.place().contains("key=1"));
    }
}

#[test]
fn a_node_has_so_many_sinks_of_different_names() {
    let node = Node::new();
    let (register, from) = (node.register(), node.tail.feed().beginning());
    for bad in ["", "a b", "a/b", "\u{e9}", &"x".repeat(65)] {
        let added = register.add(bad, &stdout(), from.clone());
        assert!(matches!(added, Err(SinkError::Bad(_))), "{bad}");
    }
    for number in 0..SINKS_MAX {
        register
            .add(&format!("sink-{number}"), &stdout(), from.clone())
            .unwrap();
    }
    let one_more = register.add("one-more", &stdout(), from.clone());
    assert!(matches!(one_more, Err(SinkError::Bad(_))));
    register.remove("sink-7").unwrap();
    let again = register.add("sink-8", &stdout(), from.clone());
    assert!(matches!(again, Err(SinkError::Exists(_))));
    register.add("one-more", &stdout(), from).unwrap();
    assert_eq!(register.list().unwrap().len(), SINKS_MAX);
}

/// What cannot be read hides no other, is carried by nobody, and can be removed.
#[test]
fn a_definition_that_cannot_be_read_hides_no_other() {
    let node = Node::new();
    let (register, from) = (node.register(), node.tail.feed().beginning());
    for name in ["a", "b"] {
        register.add(name, &stdout(), from.clone()).unwrap();
    }
    let mut batch = Batch::new();
    let newer = r#"{"to":{"stdout":{}},"of a later version":1}"#;
    batch.set_ref("sink/def/a", Expect::Any, Some(newer));
    let _outcome = node.store.commit(batch).unwrap();
    let listed = register.list().unwrap();
    let is_read: Vec<_> = listed
        .iter()
        .map(|(name, definition)| (&name[..], definition.is_ok()))
        .collect();
    assert_eq!(is_read, [("a", false), ("b", true)]);
    assert!(matches!(node.carry("a"), Err(SinkError::Damaged(_))));
    node.carry("b").unwrap();
    register.remove("a").unwrap();
    assert_eq!(register.list().unwrap().len(), 1);
}

/// Two sinks of one target would each take what the other has delivered for its own.
#[test]
fn a_target_has_one_sink() {
    let node = Node::new();
    let (register, from) = (node.register(), node.tail.feed().beginning());
    for (number, to) in [
        r#"{"to":{"file":{"path":"/tmp/x"}}}"#,
        r#"{"to":{"nats":{"url":"nats://x","stream":"a"}}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let definition: Definition = to.parse().unwrap();
        register
            .add(&format!("first-{number}"), &definition, from.clone())
            .unwrap();
        let second = register.add(&format!("second-{number}"), &definition, from.clone());
        assert!(matches!(second, Err(SinkError::Bad(_))), "{second:?}");
    }
}
