//! Carrying the log of a running node to its sinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use allod_blocks::{Cid, Codec, sha256_cid};
use allod_events::JSON_SCHEMAS;
use allod_feed::{Cursor, Feed, FeedError, Filter, Spaces, Subscription};
use allod_payloads::Format;
use allod_repo::{Repo, RepoError, SpaceId};
use allod_sinks::{Definition, Fault, Host, Numbers, Register, Registry, State, Target};
use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::node::Node;

/// How often it is looked which sinks there are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a sink stands.
#[derive(Clone, Debug)]
pub struct SinkStanding {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub definition: Definition,
    /// What it keeps.
    pub state: State,
    /// Moves in the log that it has not looked at, or that are not over.
    pub behind: u64,
}

/// The schema of events' data (EVENT-5).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EventSchema {
    /// Its language: `json`, `avro` or `protobuf`.
    pub language: &'static str,
    /// A JSON Schema, an Avro schema, or a `FileDescriptorSet`.
    pub bytes: Bytes,
}

/// A node as sinks see it.
struct Carrier {
    node: Node,
    stop: watch::Receiver<bool>,
}

impl Spaces for Carrier {
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError> {
        Spaces::repo(&self.node, id)
    }
}

impl Host for Carrier {
    fn feed(&self) -> &Feed {
        self.node.feed()
    }

    fn subscribe(&self, from: Cursor, filter: Filter) -> Result<Subscription, FeedError> {
        match self.node.subscribe(from, filter) {
            Err(NodeError::Feed(error)) => Err(error),
            Err(_) => Err(RepoError::Damaged("there is no thread for the changefeed").into()),
            Ok(consumer) => Ok(consumer),
        }
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn chance(&self) -> u64 {
        // Without chance many come back at once; that is all.
        random().map_or(0, u64::from_le_bytes)
    }

    fn open(&self, definition: &Definition) -> Result<Box<dyn Target>, Fault> {
        let stop = self.stop.clone();
        allod_sinks::open(definition, now_ms, Arc::new(move || *stop.borrow()))
    }

    fn open_registry(&self, registry: &Registry) -> Result<Box<dyn Numbers>, Fault> {
        allod_sinks::open_registry(registry)
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn rest(&self, at_most: Duration) {
        std::thread::sleep(at_most);
    }
}

impl Node {
    /// The sinks of this node.
    #[must_use]
    pub fn sinks(&self) -> Register {
        Register::new(Arc::clone(self.store()))
    }

    /// The schema of a CID, of events that were told here.
    pub fn event_schema(&self, cid: &Cid) -> Result<Option<EventSchema>, NodeError> {
        for text in JSON_SCHEMAS {
            if sha256_cid(Codec::Raw, text.as_bytes()) == *cid {
                let bytes = Bytes::from_static(text.as_bytes());
                let language = "json";
                return Ok(Some(EventSchema { language, bytes }));
            }
        }
        let found = self.sinks().schema(cid)?;
        Ok(found.map(|(format, bytes)| EventSchema {
            language: match format {
                Format::Protobuf => "protobuf",
                _ => "avro",
            },
            bytes,
        }))
    }

    /// How a sink stands.
    pub fn sink_standing(&self, name: &str) -> Result<SinkStanding, NodeError> {
        let (definition, state) = self.sinks().get(name)?;
        let end = self.feed().log_end().get();
        Ok(SinkStanding {
            name: name.to_owned(),
            behind: end.saturating_sub(state.cursor.position()),
            definition,
            state,
        })
    }

    /// Carries a sink until there is no more to carry, or it fails.
    pub fn carry_sink(
        &self,
        name: &str,
        stop: watch::Receiver<bool>,
    ) -> Result<SinkStanding, NodeError> {
        let carrier = Carrier {
            node: self.clone(),
            stop,
        };
        let renderer = self.renderer()?;
        allod_sinks::run(&carrier, &self.sinks(), &renderer, (name, true))?;
        self.sink_standing(name)
    }

    /// Carries all sinks, those that come later too, until `stop` becomes true.
    pub fn carry_sinks(&self, stop: watch::Receiver<bool>) -> Result<JoinHandle<()>, NodeError> {
        let (node, renderer) = (self.clone(), self.renderer()?);
        let sinks = self.sinks();
        let names = move || {
            let found = sinks.list().unwrap_or_default().into_iter();
            found.map(|(name, _)| name).collect()
        };
        let carrier = Carrier {
            node: node.clone(),
            stop: stop.clone(),
        };
        let carry = move |name: &str| {
            // One that was removed ends, and so does one whose store fails: it is begun again.
            drop(allod_sinks::run(
                &carrier,
                &node.sinks(),
                &renderer,
                (name, false),
            ));
        };
        let kept = keep_running(("allod-sink", stop), names, Arc::new(carry));
        kept.map_err(NodeError::file(self.home().path()))
    }
}

/// Runs something for each name in a thread of its own, those that come later too, until `stop` becomes true. A store
/// that cannot be read now has no names, and is asked again.
pub(crate) fn keep_running(
    (what, stop): (&'static str, watch::Receiver<bool>),
    names: impl Fn() -> Vec<String> + Send + 'static,
    run: Arc<dyn Fn(&str) + Send + Sync>,
) -> std::io::Result<JoinHandle<()>> {
    let work = move || {
        let mut running: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
        while !*stop.borrow() {
            running.retain(|_, thread| !thread.is_finished());
            for name in names() {
                if running.contains_key(&name) {
                    continue;
                }
                let (run, own) = (Arc::clone(&run), name.clone());
                if let Ok(thread) = thread(&format!("{what}-{name}"), move || run(&own)) {
                    running.insert(name, thread);
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
        for (_, thread) in running {
            drop(thread.join());
        }
    };
    thread(&format!("{what}s"), work)
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}
