//! What a session brought of agents and records counts everywhere, whatever becomes of the session (REPO-104, RECS-12).

use allod_repo::Repo;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use crate::error::NodeError;
use crate::node::Node;

/// Heeds what was learned when it is dropped: also if the session is given up.
pub(crate) struct Heeding<'a> {
    node: &'a Node,
    repo: &'a Repo,
    learned: u64,
}

impl<'a> Heeding<'a> {
    /// From here on.
    pub(crate) fn begin(node: &'a Node, repo: &'a Repo) -> Self {
        let learned = repo.agents().learned();
        Self {
            node,
            repo,
            learned,
        }
    }

    fn heed(&self) -> Result<(), NodeError> {
        if self.repo.agents().learned() != self.learned {
            self.node.heed()?;
        }
        self.node.gather_from(self.repo)?;
        self.node.judge_anew(self.repo)
    }
}

impl Drop for Heeding<'_> {
    fn drop(&mut self) {
        let threads = Handle::try_current().map(|handle| handle.runtime_flavor());
        let heeded = match threads {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(|| self.heed()),
            _ => self.heed(),
        };
        // The session said what it did. What could not be heeded is with the next one, or when the node starts.
        drop(heeded);
    }
}
