//! What handlers share: the node, turns at the store, figures.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::gate::Rules;
use super::limits::{JSON_BYTES_ALL, JSON_BYTES_MAX, SOCKETS_MAX, WORK_MAX, WORK_WAIT};
use super::listen::FaultSink;
use super::metrics::Figures;
use super::problem::Problem;
use super::who::Who;
use crate::node::Node;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    node: Node,
    rules: Rules,
    figures: Figures,
    /// The document of the API, and the page.
    texts: Texts,
    turns: Arc<Semaphore>,
    /// In KiB.
    memory: Arc<Semaphore>,
    faults: FaultSink,
    stop: watch::Receiver<bool>,
    /// Connections that have become sockets.
    sockets: Arc<Semaphore>,
}

/// What is served as it is.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) openapi: String,
    pub(crate) page: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    pub(crate) fn new(
        node: Node,
        (rules, texts): (Rules, Texts),
        (faults, stop): (FaultSink, watch::Receiver<bool>),
    ) -> Self {
        Self(Arc::new(Inner {
            figures: Figures::new(node.clone()),
            node,
            rules,
            texts,
            turns: Arc::new(Semaphore::new(WORK_MAX)),
            memory: Arc::new(Semaphore::new(JSON_BYTES_ALL / 1024)),
            faults,
            stop,
            sockets: Arc::new(Semaphore::new(SOCKETS_MAX)),
        }))
    }

    /// Becomes true when the node stops: what never ends by itself ends then.
    pub(crate) fn stop(&self) -> watch::Receiver<bool> {
        self.0.stop.clone()
    }

    /// A place for a socket, as long as it is held.
    pub(crate) fn socket(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.0.sockets).try_acquire_owned();
        place.map_err(|_error| Problem::busy("there are too many sockets"))
    }

    /// The node's agent as who asks. It is at hand.
    pub(crate) fn own(&self) -> Result<Who, Problem> {
        Who::own(&self.0.node)
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.0.figures
    }

    pub(crate) fn texts(&self) -> &Texts {
        &self.0.texts
    }

    /// Tells whoever runs the node what went wrong inside.
    pub(crate) fn tell(&self, cause: &str) {
        self.0.figures.failed();
        (self.0.faults)(cause);
    }

    /// Does something with the node apart from the runtime, once it is its turn. The turn lasts as long as the
    /// work, also if nobody waits for it any more.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Node) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = timeout(WORK_WAIT, Arc::clone(&self.0.turns).acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => self.apart(turn, run).await,
            _ => Err(Problem::busy("all turns are taken")),
        }
    }

    /// The same for an answer that has begun: it waits for its turn as long as it takes.
    pub(crate) async fn go_on<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Node) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        self.apart(turn.map_err(Problem::fault)?, run).await
    }

    async fn apart<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        run: impl FnOnce(&Node) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let node = self.0.node.clone();
        let ran = spawn_blocking(move || {
            let result = run(&node);
            drop(turn);
            result
        });
        ran.await.map_err(Problem::fault)?
    }

    /// Room for a body of JSON of so many bytes, once there is some.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = bytes.min(JSON_BYTES_MAX).div_ceil(1024).max(1) as u32;
        let room = Arc::clone(&self.0.memory).acquire_many_owned(kib);
        match timeout(WORK_WAIT, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Problem::busy("too many bodies are under way")),
        }
    }
}
