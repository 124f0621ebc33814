//! A network in memory with a clock that stands still unless it is moved: nodes with stores, and connections
//! between them that can be cut at any frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use allod_deltas::{Cursor, Delta, DeltaFilter, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Deflate, Event, FederationConfig, Input, Link, Me, Output, Positions, ReadFault, ReadReply,
    ReadRequest, Rules, Start, TrustPolicy,
};

/// A delta without a signature.
pub(crate) fn delta(id: &str, at: u64) -> Arc<Delta> {
    let pointers = vec![Pointer::under("of", format!("o-{id}"), "name").unwrap()];
    Arc::new(Delta::new(id, Number::of(at), "alice", "laptop", pointers).unwrap())
}

/// Rules that take deltas without signatures.
pub(crate) fn open() -> Rules {
    Rules {
        trust: TrustPolicy::open(),
        // What is said is looked at as text, but where packing is what is tried.
        deflate: Deflate::Never,
        ..Rules::default()
    }
}

/// Rules as a peer of the original would have.
pub(crate) fn legacy() -> Rules {
    Rules {
        extensions: false,
        ..open()
    }
}

/// Answers what a link asks of a store.
pub(crate) fn read(store: &dyn DeltaStore, request: ReadRequest) -> Result<ReadReply, ReadFault> {
    let failed = |_| ReadFault::Failed;
    match request {
        ReadRequest::End => store.end().map(ReadReply::End).map_err(failed),
        ReadRequest::Arrivals { after, limit } => store
            .arrivals(after, limit)
            .map(ReadReply::Arrivals)
            .map_err(failed),
        ReadRequest::Scan {
            filter,
            after,
            limit,
        } => store
            .scan(&filter, after.as_ref(), limit)
            .map(ReadReply::Scan)
            .map_err(failed),
        _ => panic!("a request that nobody here knows"),
    }
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) store: Arc<MemoryDeltas>,
    pub(crate) rules: Rules,
    /// What it wrote down, by the node that it is about.
    pub(crate) positions: BTreeMap<usize, Positions>,
    changed: bool,
}

pub(crate) struct Connection {
    pub(crate) ends: [usize; 2],
    pub(crate) links: [Link; 2],
    /// Frames on their way to each end.
    pub(crate) wires: [VecDeque<String>; 2],
    /// Names of all frames that each end was sent.
    pub(crate) heard: [Vec<String>; 2],
    pub(crate) events: [Vec<Event>; 2],
    pub(crate) bytes: usize,
    /// What was read for each end and has not arrived there: a store takes its time, and other things happen.
    reads: [Option<Result<ReadReply, ReadFault>>; 2],
    /// What each end has the store append, likewise.
    appends: [Option<Vec<Arc<Delta>>>; 2],
    /// After so many more frames it is cut.
    pub(crate) cut_after: Option<usize>,
    pub(crate) is_cut: bool,
}

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) connections: Vec<Connection>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            now: 1_000_000,
            ..Self::default()
        }
    }

    pub(crate) fn node(&mut self, rules: Rules) -> usize {
        self.nodes.push(Node {
            name: format!("node-{}", self.nodes.len()),
            store: Arc::new(MemoryDeltas::new()),
            rules,
            positions: BTreeMap::new(),
            changed: false,
        });
        self.nodes.len() - 1
    }

    fn me(&self, node: usize) -> Me {
        Me {
            system_id: self.nodes[node].name.clone(),
            store: format!("store-{node}"),
            key: None,
        }
    }

    /// `client` opens a connection to `server`; its place.
    pub(crate) fn connect(
        &mut self,
        client: usize,
        server: usize,
        config: FederationConfig,
    ) -> usize {
        let start = |positions: Positions| Start {
            link_id: "link".to_owned(),
            positions,
            ..Start::default()
        };
        let positions = self.nodes[client]
            .positions
            .get(&server)
            .cloned()
            .unwrap_or_default();
        let client_rules = self.nodes[client].rules.clone();
        let server_rules = self.nodes[server].rules.clone();
        let links = [
            Link::client(
                self.me(client),
                client_rules,
                config,
                start(positions),
                self.now,
            ),
            Link::server(
                self.me(server),
                server_rules,
                start(Positions::default()),
                self.now,
            ),
        ];
        self.connections.push(Connection {
            ends: [client, server],
            links,
            wires: Default::default(),
            heard: Default::default(),
            events: Default::default(),
            bytes: 0,
            reads: [None, None],
            appends: [None, None],
            cut_after: None,
            is_cut: false,
        });
        self.connections.len() - 1
    }

    pub(crate) fn append(&mut self, node: usize, deltas: &[Arc<Delta>]) {
        self.nodes[node].store.append(deltas, self.now).unwrap();
        self.nodes[node].changed = true;
    }

    pub(crate) fn ids(&self, node: usize) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), Cursor::default());
        loop {
            let arrivals = self.nodes[node].store.arrivals(cursor, 1000).unwrap();
            ids.extend(arrivals.deltas.iter().map(|delta| delta.id().to_owned()));
            cursor = arrivals.next;
            if !arrivals.more {
                break;
            }
        }
        ids.sort();
        ids
    }

    pub(crate) fn content(&self, node: usize) -> Vec<String> {
        let page = self.nodes[node]
            .store
            .scan(&DeltaFilter::all(), None, 1024)
            .unwrap();
        page.deltas.iter().map(|delta| delta.encode()).collect()
    }

    /// Moves everything until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it does not settle");
    }

    /// Moves the clock, and everything.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        for at in 0..self.connections.len() {
            for side in 0..2 {
                self.connections[at].links[side].handle(self.now, Input::Tick);
            }
        }
        self.settle();
    }

    /// Moves the clock from deadline to deadline.
    pub(crate) fn pass_in_steps(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            let links = self
                .connections
                .iter()
                .flat_map(|connection| &connection.links);
            let due = links.filter_map(|link| link.deadline(self.now)).min();
            let next = due.unwrap_or(end).clamp(self.now + 1, end);
            self.pass(next - self.now);
        }
    }

    fn step(&mut self) -> bool {
        let mut moved = false;
        for node in 0..self.nodes.len() {
            if std::mem::take(&mut self.nodes[node].changed) {
                for connection in &mut self.connections {
                    for side in 0..2 {
                        if connection.ends[side] == node {
                            connection.links[side].handle(self.now, Input::Arrived);
                        }
                    }
                }
                moved = true;
            }
        }
        for at in 0..self.connections.len() {
            for side in 0..2 {
                moved |= self.outputs(at, side);
                moved |= self.deliver(at, side);
            }
        }
        moved
    }

    fn outputs(&mut self, at: usize, side: usize) -> bool {
        let mut moved = false;
        let connection = &mut self.connections[at];
        let node = connection.ends[side];
        if let Some(deltas) = connection.appends[side].take() {
            // What was given to the store is kept, also where the connection is gone meanwhile.
            let said = self.nodes[node].store.append(&deltas, self.now).unwrap();
            self.nodes[node].changed = true;
            connection.links[side].handle(self.now, Input::Appended(Some(said)));
            moved = true;
        }
        if let Some(reply) = connection.reads[side].take() {
            connection.links[side].handle(self.now, Input::Read(reply));
            moved = true;
        }
        while let Some(output) = connection.links[side].poll() {
            moved = true;
            match output {
                Output::Send(text) => {
                    connection.bytes += text.len();
                    if let Some(left) = &mut connection.cut_after {
                        if *left == 0 {
                            connection.is_cut = true;
                        }
                        *left = left.saturating_sub(1);
                    }
                    if !connection.is_cut {
                        connection.wires[1 - side].push_back(text);
                    }
                }
                Output::Append(deltas) => connection.appends[side] = Some(deltas),
                Output::Read(request) => {
                    connection.reads[side] = Some(read(&*self.nodes[node].store, request));
                }
                Output::Event(event) => connection.events[side].push(event),
                Output::Save(positions) => {
                    let about = connection.ends[1 - side];
                    self.nodes[node].positions.insert(about, positions);
                }
                Output::Close { .. } => connection.is_cut = true,
                _ => panic!("an output that nobody here knows"),
            }
            connection.links[side].go_on(self.now);
        }
        if connection.is_cut && !connection.links[side].is_closed() {
            connection.wires = Default::default();
            connection.links[side].handle(self.now, Input::Closed);
            moved = true;
        }
        moved
    }

    fn deliver(&mut self, at: usize, side: usize) -> bool {
        let connection = &mut self.connections[at];
        if !connection.links[side].reads(self.now) {
            return false;
        }
        let Some(text) = connection.wires[side].pop_front() else {
            return false;
        };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            frame["timestamp"].as_f64().unwrap() > 0.0,
            "no time is zero"
        );
        connection.heard[side].push(frame["type"].as_str().unwrap().to_owned());
        connection.links[side].handle(self.now, Input::Frame(&text));
        true
    }
}

impl Connection {
    /// How many frames of a name an end was sent.
    pub(crate) fn count(&self, side: usize, name: &str) -> usize {
        self.heard[side]
            .iter()
            .filter(|heard| *heard == name)
            .count()
    }

    /// The names of the events of a side.
    pub(crate) fn event_names(&self, side: usize) -> Vec<&'static str> {
        self.events[side].iter().map(Event::name).collect()
    }
}
