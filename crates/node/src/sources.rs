//! Importing events of others into spaces of a running node.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use allod_feed::Spaces;
use allod_repo::{Author, Repo, RepoError, SpaceId};
use allod_sinks::Fault;
use allod_sinks::source::{
    From, Origin, SourceDefinition, SourceHost, SourceRegister, SourceState, open_source,
    run_source,
};
use tokio::sync::watch;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::node::Node;
use crate::sinks::keep_running;

/// How a source stands.
#[derive(Clone, Debug)]
pub struct SourceStanding {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub definition: SourceDefinition,
    /// What it keeps.
    pub state: SourceState,
}

/// A node as sources see it.
struct Importer {
    node: Node,
    stop: watch::Receiver<bool>,
}

impl SourceHost for Importer {
    fn repo(&self, space: SpaceId) -> Result<Option<Repo>, RepoError> {
        Spaces::repo(&self.node, space)
    }

    fn author(&self) -> Result<Author<'_>, String> {
        self.node.author().map_err(|error| error.to_string())
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn chance(&self) -> u64 {
        // Without chance many come back at once; that is all.
        random().map_or(0, u64::from_le_bytes)
    }

    fn open(&self, from: &From) -> Result<Box<dyn Origin>, Fault> {
        open_source(from)
    }

    fn committed(&self) {
        self.node.touch();
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn rest(&self, at_most: Duration) {
        std::thread::sleep(at_most);
    }
}

impl Node {
    /// The sources of this node.
    #[must_use]
    pub fn sources(&self) -> SourceRegister {
        SourceRegister::new(Arc::clone(self.store()))
    }

    /// How a source stands.
    pub fn source_standing(&self, name: &str) -> Result<SourceStanding, NodeError> {
        let (definition, state) = self.sources().get(name)?;
        Ok(SourceStanding {
            name: name.to_owned(),
            definition,
            state,
        })
    }

    /// Imports from a source until there is no more, or it fails.
    pub fn import_source(
        &self,
        name: &str,
        stop: watch::Receiver<bool>,
    ) -> Result<SourceStanding, NodeError> {
        let importer = Importer {
            node: self.clone(),
            stop,
        };
        run_source(&importer, &self.sources(), (name, true))?;
        self.source_standing(name)
    }

    /// Imports from all sources, those that come later too, until `stop` becomes true.
    pub fn import_sources(&self, stop: watch::Receiver<bool>) -> Result<JoinHandle<()>, NodeError> {
        let sources = self.sources();
        let names = move || {
            let found = sources.list().unwrap_or_default().into_iter();
            found.map(|(name, _)| name).collect()
        };
        let importer = Importer {
            node: self.clone(),
            stop: stop.clone(),
        };
        let register = self.sources();
        let import = move |name: &str| {
            // One that was removed ends, and so does one whose store fails: it is begun again.
            drop(run_source(&importer, &register, (name, false)));
        };
        let kept = keep_running(("allod-source", stop), names, Arc::new(import));
        kept.map_err(NodeError::file(self.home().path()))
    }
}
