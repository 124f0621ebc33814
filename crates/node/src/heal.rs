//! Fetching what is damaged or missing here from peers, and serving it to them (SYNC-30 to SYNC-36).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use allod_blocks::Cid;
use allod_identity::DeviceId;
use allod_quic::{Connection, Endpoint, QuicError, Stream, StreamKind};
use allod_repo::{BlockPeer, Keep, SpaceId, forget_found, heal_space, noted_lost};
use allod_sync::{FetchError, Fetching, IDLE_MS, Message, Serving};
use allod_views::{Compared, GoOn, Name, Snapshot};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::net::{dial, no_such_space};
use crate::node::Node;
use crate::peers::Peer;

/// Silence after which a side gives the stream up (SYNC-13).
const SILENCE: Duration = Duration::from_millis(IDLE_MS);

/// A stream on which a peer is asked for blocks, used from a thread that may wait.
pub(crate) struct Asking {
    stream: Stream,
    /// Kept, as the stream ends with it.
    _connection: Connection,
    runtime: Handle,
    fetching: Fetching,
}

impl Asking {
    /// Asks, and hands what comes to `keep`; returns what does not.
    fn ask(
        &mut self,
        opened: &[Cid],
        names: &[Cid],
        keep: Keep<'_>,
    ) -> Result<Vec<Cid>, NodeError> {
        let want = self.fetching.want(opened, names).map_err(said)?;
        let stream = &mut self.stream;
        self.runtime.block_on(in_time(stream.send(want)))?;
        let mut absent = Vec::new();
        loop {
            let frame = self.runtime.block_on(in_time(self.stream.recv()))?;
            let frame = frame.ok_or(QuicError::FrameCut)?;
            let answer = self.fetching.take(&frame).map_err(said)?;
            keep(answer.blocks)?;
            absent.extend(answer.absent);
            if answer.last {
                return Ok(absent);
            }
        }
    }
}

impl BlockPeer for Asking {
    type Error = NodeError;

    fn known(&mut self, commits: &[Cid]) -> Result<BTreeSet<Cid>, NodeError> {
        let absent = self.ask(commits, &[], &mut |_| Ok(()))?;
        let mut known: BTreeSet<Cid> = commits.iter().copied().collect();
        known.retain(|commit| !absent.contains(commit));
        Ok(known)
    }

    fn fetch(&mut self, path: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<(), NodeError> {
        self.ask(path, names, keep).map(|_absent| ())
    }
}

fn said(error: FetchError) -> NodeError {
    let code = error.code().to_owned();
    let reason = match error {
        FetchError::Closed { reason, .. } => reason,
        other => other.to_string(),
    };
    NodeError::Session { code, reason }
}

pub(crate) async fn in_time<T>(
    doing: impl Future<Output = Result<T, QuicError>>,
) -> Result<T, NodeError> {
    match timeout(SILENCE, doing).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(NodeError::Session {
            code: "E_TIMEOUT".to_owned(),
            reason: "nothing was heard for 60 seconds".to_owned(),
        }),
    }
}

impl Asking {
    /// Dials a peer about a space.
    pub(crate) async fn open(
        node: &Node,
        (endpoint, runtime): (&Endpoint, &Handle),
        space: SpaceId,
        (device, peer): (DeviceId, &Peer),
    ) -> Result<Self, NodeError> {
        let hello = Fetching::hello(node.agent()?, space);
        let connection = dial(endpoint, device, &peer.addrs).await?;
        let mut stream = connection.open(StreamKind::Fetch).await?;
        in_time(stream.send(hello)).await?;
        Ok(Self {
            stream,
            _connection: connection,
            runtime: runtime.clone(),
            fetching: Fetching::new(),
        })
    }

    /// Asks for the root of the tree that the peer keeps of a projection (SYNC-37).
    fn root_of(&mut self, name: Cid, state: Cid) -> Result<Option<Cid>, NodeError> {
        let question = Fetching::projection(name, state);
        let stream = &mut self.stream;
        let frame = self.runtime.block_on(async {
            in_time(stream.send(question)).await?;
            in_time(stream.recv()).await
        })?;
        let frame = frame.ok_or(QuicError::FrameCut)?;
        self.fetching.take_tree(&frame).map_err(said)
    }
}

/// Told how far the fetching of a projection is: how many nodes came, or entries and records were compared.
/// Says whether to go on.
pub type FetchProgress<'a> = &'a mut dyn FnMut(FetchStep, u64) -> ControlFlow<()>;

/// What is done for a projection that is fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FetchStep {
    /// Nodes of its tree come.
    Nodes,
    /// Its entries are compared with the records.
    Comparing,
}

/// What became of asking a peer for a projection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fetched {
    /// The peer does not keep it.
    NotThere,
    /// It is here now: how many nodes came, and how much was compared with the records.
    Here(u64, Compared),
}

impl Node {
    /// Fetches the tree of a projection of a state from a peer, instead of computing it, and compares
    /// `samples` of its entries and as many of its records with each other. Call it on a thread that may
    /// wait.
    ///
    /// # Errors
    /// [`NodeError::View`] with those of [`Snapshot::fetch_tree`] and [`Snapshot::adopt`]; then nothing is
    /// kept, and what came is garbage.
    pub fn fetch_projection(
        &self,
        (endpoint, runtime): (&Endpoint, &Handle),
        (snapshot, name): (&Snapshot, &Name),
        (device, peer): (DeviceId, &Peer),
        samples: u64,
        progress: FetchProgress<'_>,
    ) -> Result<Fetched, NodeError> {
        snapshot.may_be_fetched(name)?;
        let net = (endpoint, runtime);
        let space = snapshot.repo().id();
        let opened = Asking::open(self, net, space, (device, peer));
        let mut asking = runtime.block_on(opened)?;
        let state = snapshot.view().tree().root();
        let Some(root) = asking.root_of(snapshot.name_of(name)?, state)? else {
            return Ok(Fetched::NotThere);
        };
        let store = self.store().as_ref();
        let _hold = store.uses().hold();
        let go_on: GoOn<'_> = &mut |came| progress(FetchStep::Nodes, came);
        let nodes = snapshot.fetch_tree((name, root), &mut asking, go_on)?;
        asking.stream.finish()?;
        // Which entries are compared is nothing that the peer can know.
        let choice = (samples, random()?);
        let go_on: GoOn<'_> = &mut |compared| progress(FetchStep::Comparing, compared);
        let compared = snapshot.adopt((name, root), choice, go_on)?;
        Ok(Fetched::Here(nodes, compared))
    }

    /// Fetches what is damaged or missing of a space from a peer; returns what came. `progress`
    /// hears of how many blocks were looked at. Call it on a thread that may wait.
    ///
    /// Nothing is read for it of the space but what is whole, so the space need not open.
    pub fn heal_from(
        &self,
        (endpoint, runtime): (&Endpoint, &Handle),
        space: SpaceId,
        (device, peer): (DeviceId, &Peer),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Cid>, NodeError> {
        let opened = Asking::open(self, (endpoint, runtime), space, (device, peer));
        let mut asking = runtime.block_on(opened)?;
        let fetched = heal_space(self.store().as_ref(), space, &mut asking, progress)?;
        asking.stream.finish()?;
        if !fetched.is_empty() {
            self.touch();
        }
        Ok(fetched)
    }

    /// Asks a peer for what is noted as lost, if anything is (SYNC-36); returns what came.
    pub fn heal_noted(
        &self,
        net: (&Endpoint, &Handle),
        space: SpaceId,
        peer: (DeviceId, &Peer),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Cid>, NodeError> {
        let store = self.store().as_ref();
        let noted = noted_lost(store)?;
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        for cid in noted {
            // A damaged block is asked for only if it does not seem to be there (BLOCKS-70).
            let _became = store.set_aside(&cid)?;
        }
        let fetched = self.heal_from(net, space, peer, progress)?;
        forget_found(store)?;
        Ok(fetched)
    }

    /// Serves a peer that asks for blocks.
    pub(crate) async fn serve_fetch(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        let first = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        let repo = match Message::decode(&first) {
            Ok(Message::Hello(hello)) => self.repo(hello.space).ok(),
            _ => None,
        };
        let Some(repo) = repo else {
            stream.send(no_such_space()).await?;
            return Ok(stream.finish()?);
        };
        if let Some(close) = self.refuses(&repo, connection.peer())? {
            stream.send(close).await?;
            return Ok(stream.finish()?);
        }
        // Whoever asks for blocks alone is served though the projections cannot be read.
        let (node, of) = (self.clone(), repo.clone());
        let kept = move |name: &Cid, state: &Cid| node.views(&of).ok()?.stored_root(name, state);
        let mut serving = Serving::new(repo, connection.peer(), now_ms()).with_kept(Box::new(kept));
        let mut heard = Some(first);
        loop {
            // Apart from the runtime, as it visits the store; one frame at a time, so that what a
            // peer asks for is made only as fast as it reads.
            let (back, frame) =
                spawn_blocking(move || turn(serving, heard))
                    .await
                    .map_err(|error| NodeError::Session {
                        code: "E_FAULT".to_owned(),
                        reason: error.to_string(),
                    })?;
            serving = back;
            heard = None;
            match frame {
                Some(frame) => in_time(stream.send(frame)).await?,
                None if serving.is_closed() => return Ok(stream.finish()?),
                // As long as the connection lives: the asker walks its space meanwhile (SYNC-31).
                None => match stream.recv().await? {
                    Some(frame) => heard = Some(frame),
                    None => return Ok(()),
                },
            }
        }
    }
}

/// Hands a frame to the machine, if there is one; the next one to send.
fn turn(mut serving: Serving, heard: Option<Bytes>) -> (Serving, Option<Bytes>) {
    if let Some(frame) = heard {
        serving.handle(&frame);
    }
    let frame = serving.poll();
    (serving, frame)
}
