//! One link beside a peer that is a script: what it says, when, to what.

use std::collections::VecDeque;
use std::sync::Arc;

use allod_deltas::{Delta, DeltaStore as _, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Command, Event, FederationConfig, Input, Link, Me, Output, Positions, ReadFault, ReadRequest,
    Rules, Start,
};
use serde_json::{Value, json};

use crate::network::{delta, open, read};
use crate::packing::unpack;

/// A link, its store, and what it said.
pub(crate) struct Scripted {
    pub(crate) now: u64,
    pub(crate) link: Link,
    pub(crate) store: Arc<MemoryDeltas>,
    pub(crate) said: VecDeque<Value>,
    pub(crate) events: Vec<Event>,
    pub(crate) close: Option<(u16, String)>,
    /// Appends that the store has not answered; it answers at once unless it is held.
    pub(crate) appends: Vec<Vec<Arc<Delta>>>,
    pub(crate) held: bool,
    pub(crate) saved: Positions,
    /// Cursors below this are older than what the store knows.
    pub(crate) forgotten: u64,
    /// How much of what it said came packed.
    pub(crate) packed: usize,
}

pub(crate) fn me() -> Me {
    Me {
        system_id: "this".to_owned(),
        store: "store".to_owned(),
        key: None,
    }
}

impl Scripted {
    pub(crate) fn of(link: Link) -> Self {
        let mut scripted = Self {
            now: 1000,
            link,
            store: Arc::default(),
            said: VecDeque::new(),
            events: Vec::new(),
            close: None,
            appends: Vec::new(),
            held: false,
            saved: Positions::default(),
            forgotten: 0,
            packed: 0,
        };
        scripted.run();
        scripted
    }

    pub(crate) fn server(rules: Rules) -> Self {
        let start = Start {
            link_id: "link-1".to_owned(),
            ..Start::default()
        };
        Self::of(Link::server(me(), rules, start, 1000))
    }

    pub(crate) fn client(rules: Rules, config: FederationConfig) -> Self {
        Self::of(Link::client(me(), rules, config, Start::default(), 1000))
    }

    /// A server that has agreed with a client of this mode.
    pub(crate) fn greeted(rules: Rules, config: Value) -> Self {
        let mut scripted = Self::server(rules);
        scripted.hear(json!({
            "type": "hello", "systemId": "peer", "config": config,
            "protocol": "rhizomedb-federation-v1",
        }));
        assert_eq!(scripted.next()["type"], "hello_ack");
        scripted
    }

    pub(crate) fn hear(&mut self, mut message: Value) {
        if message["timestamp"].is_null() {
            message["timestamp"] = json!(1.5);
        }
        self.hear_text(&message.to_string());
    }

    pub(crate) fn hear_text(&mut self, text: &str) {
        self.link.handle(self.now, Input::Frame(text));
        self.run();
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.link.handle(self.now, input);
        self.run();
    }

    pub(crate) fn append(&mut self, deltas: &[Arc<Delta>]) {
        self.store.append(deltas, self.now).unwrap();
        self.input(Input::Arrived);
    }

    pub(crate) fn next(&mut self) -> Value {
        self.said
            .pop_front()
            .unwrap_or_else(|| panic!("it says nothing; {:?}", self.close))
    }

    /// The names of all that it said and nobody has looked at.
    pub(crate) fn names(&mut self) -> Vec<String> {
        let said = self.said.drain(..);
        said.map(|value| value["type"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn run(&mut self) {
        while let Some(output) = self.link.poll() {
            match output {
                Output::Send(text) => self.said.push_back(serde_json::from_str(&text).unwrap()),
                Output::Packed(bytes) => {
                    self.said.push_back(unpack(&bytes));
                    self.packed += 1;
                }
                Output::Append(deltas) if self.held => self.appends.push(deltas),
                Output::Append(deltas) => {
                    let said = self.store.append(&deltas, self.now).unwrap();
                    self.link.handle(self.now, Input::Appended(Some(said)));
                    self.link.handle(self.now, Input::Arrived);
                }
                Output::Read(ReadRequest::Arrivals { after, .. })
                    if after.position < self.forgotten =>
                {
                    let expired = Err(ReadFault::Expired);
                    self.link.handle(self.now, Input::Read(expired));
                }
                Output::Read(request) => {
                    let reply = read(&*self.store, request);
                    self.link.handle(self.now, Input::Read(reply));
                }
                Output::Event(event) => self.events.push(event),
                Output::Close { code, reason } => self.close = Some((code, reason)),
                Output::Save(positions) => self.saved = positions,
                _ => panic!("an output that nobody here knows"),
            }
            self.link.go_on(self.now);
        }
    }
}

pub(crate) fn json_of(delta: &Delta) -> Value {
    serde_json::from_str(&delta.encode()).unwrap()
}

/// FED-15: acknowledged is durable.
#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.held = true;
    for n in 0..3 {
        server.hear(json!({ "type": "delta", "delta": json_of(&delta(&format!("d{n}"), 1)) }));
    }
    assert!(server.said.is_empty(), "{:?}", server.said);
    assert_eq!(server.appends.len(), 1, "one batch at a time");
    assert!(
        server
            .events
            .iter()
            .all(|event| event.name() != "delta:received")
    );
    let first = server.appends.pop().unwrap();
    let said = server.store.append(&first, 0).unwrap();
    server.input(Input::Appended(Some(said)));
    assert_eq!(server.next()["deltaId"], "d0");
    assert!(server.said.is_empty());
    let rest = server.appends.pop().unwrap();
    assert_eq!(rest.len(), 2, "what came meanwhile is appended together");
    // A store that fails acknowledges nothing and ends the link.
    server.input(Input::Appended(None));
    assert!(server.said.is_empty());
    assert_eq!(server.close.as_ref().unwrap().0, 1011);
}

/// FED-16: what is not acknowledged is sent again, in a window, and not for ever.
#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let mut server = Scripted::greeted(open(), json!({}));
    let many: Vec<Arc<Delta>> = (0..600)
        .map(|n| delta(&format!("d{n:03}"), n + 1))
        .collect();
    server.append(&many);
    let sent = server.names().len();
    assert!(
        (100..=256).contains(&sent),
        "{sent} deltas are on their way"
    );
    // Those that are acknowledged make room.
    for n in 0..64 {
        server.hear(json!({ "type": "delta_ack", "deltaId": format!("d{n:03}") }));
    }
    assert_eq!(server.names().len(), 64);
    // A refusal is one, whatever is said afterwards.
    server.hear(json!({ "type": "delta_nack", "deltaId": "d064", "reason": "no" }));
    server.hear(json!({ "type": "delta_ack", "deltaId": "d064" }));
    let refused = server
        .events
        .iter()
        .filter(|event| event.name() == "delta:rejected");
    assert_eq!(refused.count(), 1);
    assert_eq!(server.link.stats().deltas_refused, 1);
    let waiting = sent - 1;
    server.names();
    for round in 1..3 {
        server.now += 30_000;
        server.hear(json!({ "type": "ping" }));
        server.names();
        server.input(Input::Tick);
        let again = server.names();
        assert_eq!(
            again.iter().filter(|name| *name == "delta").count(),
            waiting,
            "{round}"
        );
    }
    server.now += 30_000;
    server.hear(json!({ "type": "ping" }));
    server.input(Input::Tick);
    assert_eq!(
        server.close.as_ref().unwrap().0,
        1008,
        "nobody is there who answers"
    );
}

/// FED-18: what comes back from a peer that sends on whatever it gets is known, and goes nowhere.
#[test]
fn an_echo_is_acknowledged_and_ends() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.next();
    client.hear(json!({ "type": "hello_ack", "systemId": "peer", "linkId": "x", "protocol": "rhizomedb-federation-v1" }));
    client.names();
    client.append(&[delta("own", 1)]);
    assert_eq!(client.next()["delta"]["id"], "own");
    for _ in 0..100 {
        client.hear(json!({ "type": "delta", "delta": json_of(&delta("own", 1)) }));
        client.hear(json!({ "type": "delta", "delta": json_of(&delta("other", 1)) }));
    }
    let names = client.names();
    assert!(names.iter().all(|name| name == "delta_ack"), "{names:?}");
    assert_eq!(client.store.len(), 2);
}

/// The same id with another content: the first is kept, and the sender hears of it.
#[test]
fn another_content_of_an_id_is_refused() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 1)) }));
    server.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 2)) }));
    assert_eq!(server.next()["type"], "delta_ack");
    let nack = server.next();
    assert_eq!(
        (nack["type"].as_str(), nack["reason"].as_str()),
        (Some("delta_nack"), Some("E_DELTA_CONFLICT"))
    );
    let kept = server.store.get("d").unwrap().unwrap();
    assert_eq!(kept.timestamp(), Number::of(1));
}

/// FED-15, FED-19: a peer that is faster than the store, or than it may be, is read more slowly.
#[test]
fn a_peer_that_is_too_fast_is_read_more_slowly() {
    let mut rules = open();
    rules.deltas_per_second = 10;
    let mut server = Scripted::greeted(rules, json!({}));
    for n in 0..15 {
        server.hear(json!({ "type": "delta", "delta": json_of(&delta(&format!("d{n}"), 1)) }));
    }
    assert!(
        !server.link.reads(server.now),
        "five more than there are in a second"
    );
    assert_eq!(server.link.deadline(server.now), Some(server.now + 500));
    assert!(server.link.reads(server.now + 500));
    assert_eq!(server.names().len(), 15, "and nothing was lost");
    let mut server = Scripted::greeted(open(), json!({}));
    server.held = true;
    for n in 0..2000 {
        if !server.link.reads(server.now) {
            assert!((1024..1600).contains(&n), "{n}");
            return;
        }
        server.hear(json!({ "type": "delta", "delta": json_of(&delta(&format!("d{n}"), 1)) }));
    }
    panic!("it read everything");
}

/// FED-15: few long deltas, and marks without any, hold up a peer as well as many short ones.
#[test]
fn bytes_and_marks_are_bounded_too() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.held = true;
    let mut count = 0;
    while server.link.reads(server.now) {
        let text = Pointer::text("is", "x".repeat(200_000)).unwrap();
        let long = Delta::new(format!("d{count}"), Number::of(1), "a", "s", vec![text]).unwrap();
        server.hear(json!({ "type": "delta", "delta": json_of(&long) }));
        count += 1;
    }
    assert_eq!(count, 11, "two full frames");
    // Once they are durable it goes on.
    for deltas in std::mem::take(&mut server.appends) {
        let said = server.store.append(&deltas, 0).unwrap();
        server.held = false;
        server.input(Input::Appended(Some(said)));
    }
    assert!(server.link.reads(server.now) && server.store.len() == 11);
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.held = true;
    client.hear(json!({
        "type": "hello_ack", "systemId": "peer", "store": "x", "capabilities": EXTENSIONS,
    }));
    client.hear(json!({ "type": "sync_complete", "deltasProcessed": 0, "cursor": "1.0@x" }));
    client.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 1)) }));
    let mut marks = 0;
    while client.link.reads(client.now) {
        client.hear(json!({ "type": "delta_batch", "deltas": [], "cursor": "2.0@x" }));
        marks += 1;
    }
    assert!(marks < 1100, "{marks}");
}

/// FED-20: batches are counted, and only the last one says that it is.
#[test]
fn batches_are_counted_and_the_last_says_so() {
    let mut server = Scripted::greeted(open(), json!({}));
    for count in [0, 1, 99, 100, 101, 200, 250] {
        server.store = Arc::default();
        let many: Vec<Arc<Delta>> = (0..count)
            .map(|n| delta(&format!("{count} {n:03}"), n + 1))
            .collect();
        server.store.append(&many, 0).unwrap();
        server.hear(json!({ "type": "sync_request" }));
        assert_eq!(server.next()["totalDeltas"], count);
        let batches = count.div_ceil(100);
        for number in 0..batches {
            let batch = server.next();
            assert_eq!(batch["batchNumber"], number);
            assert_eq!(batch["isLastBatch"], number + 1 == batches);
            let size = batch["deltas"].as_array().unwrap().len() as u64;
            assert_eq!(size, (count - 100 * number).min(100));
        }
        let complete = server.next();
        assert_eq!(complete["deltasProcessed"], count);
        assert!(server.said.is_empty() && complete["cursor"].is_null());
    }
}

/// FED-20: a batch of long deltas has fewer of them.
#[test]
fn long_deltas_make_short_batches() {
    let mut server = Scripted::greeted(open(), json!({}));
    let long = |n: u64| {
        let text = Pointer::text("is", "x".repeat(200_000)).unwrap();
        Arc::new(Delta::new(format!("d{n}"), Number::of(n + 1), "a", "s", vec![text]).unwrap())
    };
    server
        .store
        .append(&(0..7).map(long).collect::<Vec<_>>(), 0)
        .unwrap();
    server.hear(json!({ "type": "sync_request" }));
    assert_eq!(server.next()["totalDeltas"], 7);
    let mut sizes = Vec::new();
    loop {
        let said = server.next();
        if said["type"] == "sync_complete" {
            break;
        }
        assert!(said.to_string().len() < allod_federation::FRAME_BYTES_MAX);
        sizes.push(said["deltas"].as_array().unwrap().len());
    }
    assert_eq!(sizes, [2, 2, 2, 1]);
}

/// FED-21: the mode of the client is kept by the server.
#[test]
fn who_pulls_sends_nothing() {
    let mut server = Scripted::greeted(open(), json!({ "mode": "pull" }));
    server.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 1)) }));
    assert_eq!(server.names(), ["delta_nack"]);
    assert!(server.store.is_empty());
    let mut server = Scripted::greeted(open(), json!({ "mode": "push" }));
    server.append(&[delta("d", 1)]);
    assert!(server.names().is_empty());
}

/// FED-16: what was refused is not sent again, not even when somebody asks for it.
#[test]
fn what_was_refused_is_not_sent_again() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.append(&[delta("d", 1)]);
    assert_eq!(server.names(), ["delta"]);
    server.hear(json!({ "type": "delta_nack", "deltaId": "d", "reason": "no" }));
    server.input(Input::Command(Command::Send(delta("d", 1))));
    assert!(server.names().is_empty());
    server.input(Input::Command(Command::Send(delta("e", 1))));
    assert_eq!(server.names(), ["delta"]);
}

const EXTENSIONS: [&str; 3] = ["cursors", "delta_batch", "signed_deltas"];

/// FED-32: a cursor counts once all of the past is here, and all before it is durable.
#[test]
fn a_cursor_counts_once_everything_before_it_is_here() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.next();
    client.hear(json!({
        "type": "hello_ack", "systemId": "peer", "store": "x", "capabilities": EXTENSIONS,
    }));
    assert_eq!(client.names(), ["sync_request"]);
    let live = |client: &mut Scripted, id: &str, cursor: &str| {
        let delta = json_of(&delta(id, 1));
        client.hear(json!({ "type": "delta", "delta": delta, "cursor": cursor }));
    };
    live(&mut client, "early", "9.0@x");
    assert_eq!(client.saved.theirs, None, "the past is missing");
    client.hear(json!({ "type": "sync_start", "totalDeltas": 1, "batchSize": 100 }));
    client.held = true;
    let batch = json!([json_of(&delta("past", 1))]);
    client.hear(
        json!({ "type": "sync_batch", "deltas": batch, "batchNumber": 0, "isLastBatch": true }),
    );
    client.hear(json!({ "type": "sync_complete", "deltasProcessed": 1, "cursor": "7.0@x" }));
    live(&mut client, "late", "8.0@x");
    assert_eq!(client.saved.theirs, None, "nothing of it is durable");
    for expected in ["7.0@x", "8.0@x"] {
        let deltas = client.appends.remove(0);
        let said = client.store.append(&deltas, 0).unwrap();
        client.input(Input::Appended(Some(said)));
        assert_eq!(client.saved.theirs.as_deref(), Some(expected));
    }
    assert_eq!(client.saved.remote.as_deref(), Some("store peer x"));
}

/// FED-32: a client that was away for longer than the store remembers is sent everything.
#[test]
fn an_old_cursor_brings_everything() {
    let hello = json!({
        "type": "hello", "systemId": "peer", "config": {}, "protocol": "rhizomedb-federation-v1",
        "capabilities": EXTENSIONS,
    });
    for (cursor, forgotten, expected) in [
        ("2.0@store", 0, 1),
        ("2.0@store", 3, 3),
        ("2.0@other", 0, 3),
        ("x", 0, 3),
    ] {
        let mut server = Scripted::server(open());
        server.append(&[delta("a", 1), delta("b", 2), delta("c", 3)]);
        server.forgotten = forgotten;
        server.hear(hello.clone());
        server.hear(json!({ "type": "sync_request", "cursor": cursor }));
        assert_eq!(server.next()["type"], "hello_ack");
        assert_eq!(
            server.next()["totalDeltas"],
            expected,
            "{cursor} {forgotten}"
        );
        assert_eq!(server.next()["deltas"].as_array().unwrap().len(), expected);
        assert_eq!(server.next()["cursor"], "3.0@store");
    }
}

/// FED-32: a client whose store has forgotten what it sent last sends everything.
#[test]
fn a_client_that_has_forgotten_sends_everything() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client
        .store
        .append(&[delta("a", 1), delta("b", 2)], 0)
        .unwrap();
    client.forgotten = 2;
    client.next();
    client.hear(json!({ "type": "hello_ack", "systemId": "peer" }));
    assert_eq!(client.names(), ["sync_request", "delta", "delta"]);
    for id in ["a", "b"] {
        client.hear(json!({ "type": "delta_ack", "deltaId": id }));
    }
    assert_eq!(client.saved.ours.unwrap().position, 2);
    client.append(&[delta("c", 1)]);
    assert_eq!(client.names(), ["delta"]);
}

/// FED-12: a time and a filter with one hold together, whichever is later.
#[test]
fn a_time_narrows_a_filter() {
    let mut server = Scripted::greeted(open(), json!({}));
    let many: Vec<Arc<Delta>> = (0..10).map(|n| delta(&format!("d{n}"), n + 1)).collect();
    server.store.append(&many, 0).unwrap();
    for (from, start, expected) in [
        (json!(4), json!(8), 3),
        (json!(8), json!(4), 3),
        (json!(0), json!(9.5), 1),
        (json!(null), json!(10), 1),
    ] {
        let range = json!({ "timestampRange": { "start": start, "end": 10 } });
        server.hear(json!({ "type": "sync_request", "filter": range, "fromTimestamp": from }));
        assert_eq!(server.next()["totalDeltas"], expected);
        server.names();
    }
}

/// FED-17: what arrives while the store is read is not missed, however old the answer is.
#[test]
fn an_answer_that_is_older_than_what_arrived_is_not_the_last() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.link.handle(server.now, Input::Arrived);
    let Some(Output::Read(request)) = server.link.poll() else {
        panic!("it reads what arrived");
    };
    let before = read(&*server.store, request);
    server.store.append(&[delta("d", 1)], 0).unwrap();
    server.link.handle(server.now, Input::Arrived);
    server.input(Input::Read(before));
    assert_eq!(server.names(), ["delta"]);
}
