//! What a side offers of its branches (SYNC-16, SYNC-60, SYNC-64).

use std::collections::BTreeMap;

use allod_repo::{BranchName, CommitId, Part, Repo, RepoError};
use bytes::Bytes;
use serde_bytes::ByteBuf;

use crate::limits::PREFIXES_MAX;
use crate::message::Hello;
use crate::readers::{Reader, Share};

/// A branch that is offered.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) branch: BranchName,
    pub(crate) heads: Vec<CommitId>,
    pub(crate) share: Share,
}

impl Offer {
    /// What is given of it to a peer that has said who it is, and that may have been told of more or of less before.
    pub(crate) fn to(
        mut self,
        repo: &Repo,
        reader: &Reader,
        hello: &Hello,
    ) -> Result<Self, RepoError> {
        self.share = match (self.share, reader.share(repo, &self.branch)?) {
            (Share::All, Share::All) => Share::All,
            (Share::Parts(said), Share::All) if hello.slices => Share::Parts(said),
            (Share::Parts(said), Share::Parts(may)) if hello.slices => {
                Share::Parts(said.intersection(&may).cloned().collect())
            }
            _ => Share::Nothing,
        };
        if self.share == Share::Nothing {
            self.heads.clear();
        }
        Ok(self)
    }
}

/// The `branches` of a hello that offers these.
pub(crate) fn branches_of(offers: &[Offer]) -> Vec<(BranchName, Vec<CommitId>)> {
    let of = |offer: &Offer| (offer.branch.clone(), offer.heads.clone());
    offers.iter().map(of).collect()
}

/// The `parts` of a hello that offers these, whose shares are cut to what is told.
pub(crate) fn parts_of(offers: &mut [Offer]) -> Vec<(BranchName, Vec<ByteBuf>)> {
    let mut room = PREFIXES_MAX;
    let mut parts = Vec::new();
    for offer in offers {
        if let Share::Parts(prefixes) = &mut offer.share {
            *prefixes = prefixes.iter().take(room).cloned().collect();
            room -= prefixes.len();
            let told = prefixes.iter().map(|prefix| ByteBuf::from(prefix.to_vec()));
            parts.push((offer.branch.clone(), told.collect()));
        }
    }
    parts
}

/// The branches that a peer offers in parts, with the prefixes of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct InParts(BTreeMap<BranchName, Vec<Bytes>>);

impl InParts {
    pub(crate) fn of(hello: &Hello) -> Self {
        let bytes = |prefixes: &[ByteBuf]| {
            let prefixes = prefixes.iter();
            prefixes.map(|it| Bytes::copy_from_slice(it)).collect()
        };
        let parts = hello.parts.iter();
        Self(
            parts
                .map(|(branch, of)| (branch.clone(), bytes(of)))
                .collect(),
        )
    }

    /// Whether a branch is offered in parts.
    pub(crate) fn has(&self, branch: &BranchName) -> bool {
        self.0.contains_key(branch)
    }

    /// Whether all that a replica keeps is offered of such a branch.
    pub(crate) fn covers(&self, branch: &BranchName, part: &Part) -> bool {
        let offered = self.0.get(branch);
        offered.is_some_and(|of| {
            part.prefixes()
                .all(|prefix| of.iter().any(|it| *it == prefix))
        })
    }

    /// The branches, with their prefixes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BranchName, &[Bytes])> {
        self.0.iter().map(|(branch, of)| (branch, of.as_slice()))
    }
}
