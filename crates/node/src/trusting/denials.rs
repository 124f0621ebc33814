//! Commits whose authors may not do what they do: each is noted once, in words that explain it (RECS-21).

use std::sync::Arc;

use allod_identity::{DecisionOutcome, Link, What, Who};
use allod_repo::{CommitId, Denial, OnDenial, Repo};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::node::{Node, WeakNode};

use super::decisions::{COUNT, TAKE};

/// Notes what a space tells of such commits.
pub(crate) fn denials_of(node: WeakNode) -> Arc<OnDenial> {
    Arc::new(move |repo, id, denial| {
        if let Some(node) = node.get() {
            // Nothing rests on it, and of what is here the reason is found anew.
            drop(node.note_denial(repo, id, denial));
        }
    })
}

impl Node {
    fn note_denial(&self, repo: &Repo, id: CommitId, denial: &Denial) -> Result<(), NodeError> {
        let (act, outcome) = if repo.has_commit(id)? {
            (COUNT, DecisionOutcome::Deny)
        } else {
            (TAKE, DecisionOutcome::Refuse)
        };
        let space = Link::from(*repo.id().cid());
        let what = What::new(act).in_space(space).on(&id.to_string());
        let decision = denial
            .verdict
            .decision_on((what, outcome), &denial.words(), now_ms())
            .about(Who::Agent(denial.who));
        self.trusting().decisions.note_once(&decision)
    }
}
