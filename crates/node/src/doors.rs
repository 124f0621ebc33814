//! The one place where somebody is asked at a door of a space (ACCESS-26), and where that is noted.

use std::sync::atomic::{AtomicU64, Ordering};

use allod_access::{Answer, Door, Principal, Request, Target, Verdict};
use allod_repo::Repo;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::node::Node;

/// One answer in so many that allows something is noted: what is allowed is seldom asked about, and often done.
const SAMPLED: u64 = 1024;

/// How often something was allowed, for the sample.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    allowed: AtomicU64,
}

impl Node {
    /// Whoever runs commands at this node: its agent.
    pub fn principal(&self) -> Result<Principal, NodeError> {
        Ok(Principal::agent(self.agent()?))
    }

    /// Asks whether somebody may pass a door, on a branch and some of its keys. What is allowed in part is an answer too:
    /// whoever asks leaves out what is not.
    ///
    /// # Errors
    /// [`NodeError::Denied`], which is noted with its reasons.
    pub fn ask(
        &self,
        repo: &Repo,
        door: Door,
        who: &Principal,
        (branch, target): (&str, Target<'_>),
    ) -> Result<Verdict, NodeError> {
        let request = Request {
            who,
            op: door.op(),
            branch,
            target,
            at: now_ms(),
        };
        let verdict = repo.may(&request)?;
        let is_denied = verdict.answer == Answer::Deny;
        let sampled = || {
            let before = self.doors().allowed.fetch_add(1, Ordering::Relaxed);
            before.is_multiple_of(SAMPLED)
        };
        if is_denied || sampled() {
            let space = *repo.id().cid();
            let decision = verdict.decision(door.name(), &request, space, now_ms());
            self.trusting().note(&decision)?;
        }
        if is_denied {
            return Err(NodeError::Denied {
                door: door.name(),
                why: verdict.words(),
            });
        }
        Ok(verdict)
    }

    /// The same where all that is asked for has to be allowed.
    pub fn ask_all(
        &self,
        repo: &Repo,
        door: Door,
        who: &Principal,
        on: (&str, Target<'_>),
    ) -> Result<(), NodeError> {
        let verdict = self.ask(repo, door, who, on)?;
        if verdict.answer == Answer::Partly {
            return Err(NodeError::DeniedInPart { door: door.name() });
        }
        Ok(())
    }
}
