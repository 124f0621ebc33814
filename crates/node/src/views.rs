//! The types and projections of the spaces of a node.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use allod_repo::{BranchName, Objection, Proposal, Repo, SpaceId};
use allod_tables::{Kept, Own, SpaceCatalog};
use allod_views::{ViewError, Views};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::net::RETRY_EVERY;
use crate::node::{Node, Position};

/// The projections of each space, opened when they are first asked for.
#[derive(Debug, Default)]
pub(crate) struct AllViews {
    views: Mutex<BTreeMap<SpaceId, Views>>,
    pub(crate) kept: Kept,
}

impl AllViews {
    pub(crate) fn of(&self, repo: &Repo) -> Result<Views, NodeError> {
        let mut all = lock(&self.views);
        if let Some(views) = all.get(&repo.id()) {
            return Ok(views.clone());
        }
        let views = Views::open(&repo.unhooked())?;
        all.insert(repo.id(), views.clone());
        Ok(views)
    }

    /// Says why a proposal must not happen, if it breaks a type.
    pub(crate) fn judge(&self, proposal: &Proposal<'_>) -> Result<(), Objection> {
        let views = self.of(&proposal.space());
        let views = views.map_err(|error| Objection::Failed(error.to_string()))?;
        let broken = views.judge(proposal);
        let broken = broken.map_err(|error| Objection::Failed(error.to_string()))?;
        match broken.count {
            0 => Ok(()),
            _ => Err(Objection::Refused(broken.to_string())),
        }
    }
}

impl Node {
    /// Computes the projections that are not at hand, in the order of their priorities, after each
    /// change and every half minute.
    pub(crate) async fn keep_computing(&self, stop: watch::Receiver<bool>) {
        let mut changes = self.watch();
        let mut retry = tokio::time::interval(RETRY_EVERY);
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = retry.tick() => {}
            }
            let (node, stop) = (self.clone(), stop.clone());
            // What cannot be computed now is tried again, and told to whoever asks for it.
            drop(spawn_blocking(move || node.compute_all(&stop)).await);
        }
    }

    fn compute_all(&self, stop: &watch::Receiver<bool>) -> Result<(), NodeError> {
        for (_, id) in self.spaces()? {
            // A space that cannot be read keeps no other from being computed.
            drop(self.compute_space(id, stop));
        }
        Ok(())
    }

    fn compute_space(&self, id: SpaceId, stop: &watch::Receiver<bool>) -> Result<(), NodeError> {
        let repo = self.repo(id)?;
        let views = self.views(&repo)?;
        if views.definitions()?.projections().next().is_none() {
            return Ok(());
        }
        let current = match self.position(&repo)? {
            Position::Branch(branch) => branch,
            Position::Detached(_) => BranchName::main(),
        };
        // What is looked at most, in one go.
        let go_on = &mut |_| {
            if *stop.borrow() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match views.branch(&current)?.refresh(go_on) {
            Ok(_) | Err(ViewError::Cancelled) => views.save()?,
            Err(error) => return Err(error.into()),
        }
        while !*stop.borrow()
            && let Some(job) = views.next_job(&current)?
        {
            let go_on = &mut |_| {
                let is_over = *stop.borrow() || views.is_waiting(&job.name).unwrap_or(true);
                if is_over {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            match job.run(go_on) {
                Ok(()) | Err(ViewError::Cancelled) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What all statements of the node share.
    pub(crate) fn kept(&self) -> &Kept {
        &self.all_views().kept
    }

    /// The tables of a space, which statements may write to. What they decode is shared by all statements of
    /// the node.
    pub(crate) fn space_catalog(&self, repo: &Repo, own: Own) -> Result<SpaceCatalog, NodeError> {
        let catalog = SpaceCatalog::new(&self.views(repo)?, own)?;
        Ok(catalog.with_kept(self.kept()).writable(Arc::new(now_ms)))
    }

    /// The tables of a space to be read, and nothing else: no tables of outside data.
    pub(crate) fn read_catalog(&self, repo: &Repo, own: Own) -> Result<SpaceCatalog, NodeError> {
        let catalog = SpaceCatalog::new(&self.views(repo)?, own)?;
        Ok(catalog.with_kept(self.kept()))
    }

    /// The types and projections of a space.
    pub fn views(&self, repo: &Repo) -> Result<Views, NodeError> {
        self.all_views().of(repo)
    }
}
