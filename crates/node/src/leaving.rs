//! Spaces that were left on this device on purpose, and so do not come back by themselves (PAIR-16).

use allod_blocks::{Batch, Cid, Expect};
use allod_repo::{Repo, SpaceId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::node::{CURRENT, Node, name_ref};

/// What was left, by the id of the space.
const LEFT: &[u8] = b"node/left/";

/// Spaces that were left, at most, as they are listed.
const LISTED_MAX: usize = 10_000;

/// A space that was left on this device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeftSpace {
    /// What it was called here.
    pub name: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

fn left_ref(id: SpaceId) -> Vec<u8> {
    [LEFT, &id.cid().to_bytes()].concat()
}

impl Node {
    /// Leaves a space on this device: it has no name here any more, peers are told that it is not here, and it does not come
    /// back by itself. What it has stays in the store, for [`return_to`](Self::return_to); other devices and members keep it.
    pub fn leave(&self, repo: &Repo) -> Result<(), NodeError> {
        let id = repo.id();
        let names = self.spaces()?.into_iter().filter(|(_, of)| *of == id);
        let names: Vec<String> = names.map(|(name, _)| name).collect();
        let left = LeftSpace {
            name: names.first().cloned().unwrap_or_default(),
            at: now_ms(),
        };
        let mut batch = Batch::new();
        for name in &names {
            batch.set_ref(name_ref(name), Expect::Any, None::<Bytes>);
        }
        let is_current =
            self.store().get_ref(CURRENT)?.as_deref() == Some(&id.cid().to_bytes()[..]);
        if is_current {
            batch.set_ref(CURRENT, Expect::Any, None::<Bytes>);
        }
        let left = serde_json::to_vec(&left).unwrap_or_default();
        batch.set_ref(left_ref(id), Expect::Any, Some(left));
        let _outcome = self.store().commit(batch)?;
        self.spaces_lock().retain(|known| known.id() != id);
        self.touch();
        Ok(())
    }

    /// Makes a space that was left, and is meant by the name that it had or by its id, one of those here again.
    ///
    /// # Errors
    /// [`NodeError::NoSuchSpace`], [`NodeError::NameTaken`].
    pub fn return_to(&self, name: &str) -> Result<Repo, NodeError> {
        let left = self.left_spaces()?.into_iter();
        let found = left.filter(|(id, left)| left.name == name || id.to_string() == name);
        // Of two that had one name the last.
        let found = found.max_by_key(|(_, left)| left.at);
        let (id, left) = found.ok_or_else(|| NodeError::NoSuchSpace(name.to_owned()))?;
        self.check_free(&left.name)?;
        self.forget_left(id)?;
        let repo = self.repo(id)?;
        self.register(&repo, &left.name, false)?;
        self.touch();
        Ok(repo)
    }

    /// The spaces that were left on this device.
    pub fn left_spaces(&self) -> Result<Vec<(SpaceId, LeftSpace)>, NodeError> {
        let page = self.store().scan_refs(LEFT, None, LISTED_MAX)?;
        let left = page.iter().filter_map(|(name, left)| {
            let id = Cid::try_from(&name[LEFT.len()..]).ok()?;
            Some((SpaceId::from_cid(id), serde_json::from_slice(left).ok()?))
        });
        Ok(left.collect())
    }

    /// Whether another device is known to have all of a space that is here.
    pub fn is_kept_elsewhere(&self, repo: &Repo) -> Result<bool, NodeError> {
        for (_, peer) in self.peers(repo)? {
            if !peer.part && peer.is_current(repo)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn is_left(&self, id: SpaceId) -> Result<bool, NodeError> {
        Ok(self.store().get_ref(&left_ref(id))?.is_some())
    }

    /// A space may come back.
    pub(crate) fn forget_left(&self, id: SpaceId) -> Result<(), NodeError> {
        let mut batch = Batch::new();
        batch.set_ref(left_ref(id), Expect::Any, None::<Bytes>);
        let _outcome = self.store().commit(batch)?;
        Ok(())
    }
}
