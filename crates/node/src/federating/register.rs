//! Where the settings of federation are kept, and how far links have come (FED-50 to FED-52).

use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, Store, StoreError};
use allod_repo::SpaceId;
use serde::{Deserialize, Serialize};

use super::positions::SpacePositions;
use super::settings::{BadSetting, LinkDefinition, Shared};

/// Spaces of a node that are federated, and links that it opens, at most: each link is a connection.
pub(crate) const LINKS_MAX: usize = 256;

const SPACES: &[u8] = b"federation/space/";
const LINKS: &[u8] = b"federation/link/";
const STATES: &[u8] = b"federation/state/";
const POSITIONS: &[u8] = b"federation/position/";
const DEFAULT: &[u8] = b"federation/default";

/// What federation could not do with what it keeps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederatingError {
    /// No setting. Blame: the caller.
    #[error(transparent)]
    Bad(#[from] BadSetting),
    /// There is a link of this name. Blame: the caller.
    #[error("there is a link {0} already")]
    Exists(String),
    /// There is no link of this name. Blame: the caller.
    #[error("there is no link {0}")]
    Unknown(String),
    /// Somebody else changed it at the same time. Blame: nobody.
    #[error("{0} was changed by somebody else at the same time; try again")]
    Changed(String),
    /// What is kept cannot be read. Blame: the environment.
    #[error("what is kept of {0} cannot be read")]
    Damaged(String),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of a link over all its connections and all runs of the node.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LinkState {
    /// Deltas that were sent, each time that they were.
    pub sent: u64,
    /// Deltas that came and are durable here, known ones among them.
    pub received: u64,
    /// Bytes of the messages that were sent.
    pub bytes_sent: u64,
    /// Bytes of the messages that came.
    pub bytes_received: u64,
    /// Bytes that those that were sent had in their frames, packed or not (FED-35).
    pub wire_bytes_sent: u64,
    /// Bytes that those that came had in their frames.
    pub wire_bytes_received: u64,
    /// Deltas that this side refused.
    pub rejected: u64,
    /// Deltas that the peer refused.
    pub refused: u64,
    /// Of those that this side refused, what the policy sets aside.
    pub quarantined: u64,
    /// Who the peer says that it is.
    pub remote: Option<String>,
    /// When a delta was last sent, in milliseconds since 1970.
    pub sent_ms: Option<u64>,
    /// When a delta that is durable here last came, in milliseconds since 1970.
    pub received_ms: Option<u64>,
    /// Why it last ended, or what was last wrong.
    pub words: Option<String>,
}

/// What is kept of one, if it can be read.
type Read<T> = Result<T, FederatingError>;

/// Federation as a store keeps it. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Register {
    store: Arc<dyn Store>,
}

fn of(kind: &[u8], name: &str) -> Vec<u8> {
    [kind, name.as_bytes()].concat()
}

fn check_name(name: &str) -> Result<(), BadSetting> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(BadSetting(
            "a name is 1 to 64 of a-z A-Z 0-9 _ -".to_owned(),
        ))
    }
}

impl Register {
    /// Of a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// How a space is federated, if it is.
    pub fn shared(&self, space: SpaceId) -> Result<Option<Shared>, FederatingError> {
        let name = space.to_string();
        let found = self.store.get_ref(&of(SPACES, &name))?;
        found.map(|value| decode(&name, &value)).transpose()
    }

    /// The spaces that are federated, by their ids. What cannot be read of one says nothing of the others.
    pub fn spaces(&self) -> Result<Vec<(SpaceId, Read<Shared>)>, FederatingError> {
        let found = self.all::<Shared>(SPACES)?.into_iter();
        // Nothing here makes a name that is no id, and nobody is served by one.
        let read = found.filter_map(|(name, shared)| Some((name.parse().ok()?, shared)));
        Ok(read.collect())
    }

    /// Federates a space, or changes how it is.
    pub fn share(&self, space: SpaceId, shared: &Shared) -> Result<(), FederatingError> {
        let mut batch = Batch::new();
        put_shared(&mut batch, space, shared)?;
        self.done(&space.to_string(), batch)
    }

    /// The space at the address without a name, if one is.
    pub fn default_space(&self) -> Result<Option<SpaceId>, FederatingError> {
        let found = self.store.get_ref(DEFAULT)?;
        let read = found.map(|value| {
            let text = String::from_utf8_lossy(&value).into_owned();
            let id = text.parse();
            id.map_err(|_error| FederatingError::Damaged(text))
        });
        read.transpose()
    }

    /// Makes a space the one at the address without a name.
    pub fn set_default(&self, space: Option<SpaceId>) -> Result<(), FederatingError> {
        let value = space.map(|space| space.to_string().into_bytes());
        let mut batch = Batch::new();
        batch.set_ref(DEFAULT, Expect::Any, value);
        self.done("the default", batch)
    }

    /// Adds a link, and federates its space as is said: both or neither.
    pub fn add(
        &self,
        name: &str,
        link: &LinkDefinition,
        (space, shared): (SpaceId, &Shared),
    ) -> Result<(), FederatingError> {
        check_name(name)?;
        link.check()?;
        let others = self.links()?;
        if others.len() >= LINKS_MAX {
            return Err(BadSetting(format!("a node opens at most {LINKS_MAX} links")).into());
        }
        for (other, its) in others {
            let is_there = its.is_ok_and(|its| its.url == link.url && its.space == link.space);
            if other != name && is_there {
                return Err(BadSetting(format!("the link {other} leads there")).into());
            }
        }
        let mut batch = Batch::new();
        let text = encode(name, link)?;
        batch.set_ref(of(LINKS, name), Expect::Absent, Some(text));
        put_shared(&mut batch, space, shared)?;
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => Err(FederatingError::Exists(name.to_owned())),
        }
    }

    /// The links, by name. What cannot be read of one says nothing of the others.
    pub fn links(&self) -> Result<Vec<(String, Read<LinkDefinition>)>, FederatingError> {
        self.all(LINKS)
    }

    /// A link.
    pub fn link(&self, name: &str) -> Result<LinkDefinition, FederatingError> {
        let found = self.store.get_ref(&of(LINKS, name))?;
        let found = found.ok_or_else(|| FederatingError::Unknown(name.to_owned()))?;
        decode(name, &found)
    }

    /// Lets a link rest, or go on.
    pub fn pause(&self, name: &str, paused: bool) -> Result<(), FederatingError> {
        let before = self.store.get_ref(&of(LINKS, name))?;
        let before = before.ok_or_else(|| FederatingError::Unknown(name.to_owned()))?;
        let mut link: LinkDefinition = decode(name, &before)?;
        link.paused = paused;
        let mut batch = Batch::new();
        let text = encode(name, &link)?;
        batch.set_ref(of(LINKS, name), Expect::Value(before), Some(text));
        self.done(name, batch)
    }

    /// Removes a link, also one that cannot be read, and how far it had come. The deltas that it brought stay.
    pub fn remove(&self, name: &str) -> Result<(), FederatingError> {
        let link = self.link(name);
        let mut batch = Batch::new();
        match link {
            Ok(link) => {
                let position = position_of(&link.space, &link.url);
                batch.set_ref(position, Expect::Any, None::<Vec<u8>>);
            }
            Err(FederatingError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        batch.set_ref(of(LINKS, name), Expect::Any, None::<Vec<u8>>);
        batch.set_ref(of(STATES, name), Expect::Any, None::<Vec<u8>>);
        self.done(name, batch)
    }

    /// What is known of a link.
    pub fn state(&self, name: &str) -> Result<LinkState, FederatingError> {
        let found = self.store.get_ref(&of(STATES, name))?;
        let state = found.map(|value| decode(name, &value)).transpose()?;
        Ok(state.unwrap_or_default())
    }

    /// Keeps what is known of a link, if it is there. A crash may lose the last of it.
    pub(crate) fn keep(&self, name: &str, state: &LinkState) -> Result<(), FederatingError> {
        if self.store.get_ref(&of(LINKS, name))?.is_none() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.set_ref(of(STATES, name), Expect::Any, Some(encode(name, state)?));
        let _done = self.store.commit_later(batch)?;
        Ok(())
    }

    /// How far the links of a space have come that is federated as is said.
    pub(crate) fn positions(&self, space: SpaceId, shared: &Shared) -> SpacePositions {
        SpacePositions::new(self.clone(), space, shared.clone())
    }

    pub(super) const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The link of a space to an address, with what the store has of it.
    pub(super) fn link_to(
        &self,
        space: &str,
        url: &str,
    ) -> Result<Option<(String, LinkDefinition)>, FederatingError> {
        let links = self.links()?.into_iter();
        let mut links = links.filter_map(|(name, link)| Some((name, link.ok()?)));
        Ok(links.find(|(_, link)| link.space == space && link.url == url))
    }

    fn all<T: for<'de> Deserialize<'de>>(
        &self,
        kind: &[u8],
    ) -> Result<Vec<(String, Read<T>)>, FederatingError> {
        let found = self.store.scan_refs(kind, None, 100_000)?;
        let read = found.into_iter().map(|(name, value)| {
            let name = name.get(kind.len()..).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let value = decode(&name, &value);
            (name, value)
        });
        Ok(read.collect())
    }

    fn done(&self, name: &str, batch: Batch) -> Result<(), FederatingError> {
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { current: None, .. } => {
                Err(FederatingError::Unknown(name.to_owned()))
            }
            BatchOutcome::Moved { .. } => Err(FederatingError::Changed(name.to_owned())),
        }
    }
}

fn put_shared(batch: &mut Batch, space: SpaceId, shared: &Shared) -> Result<(), FederatingError> {
    shared.check()?;
    let name = space.to_string();
    batch.set_ref(of(SPACES, &name), Expect::Any, Some(encode(&name, shared)?));
    Ok(())
}

pub(super) fn link_name(name: &str) -> Vec<u8> {
    of(LINKS, name)
}

pub(super) fn position_of(space: &str, url: &str) -> Vec<u8> {
    [POSITIONS, space.as_bytes(), b"\0", url.as_bytes()].concat()
}

pub(super) fn encode(name: &str, value: &impl Serialize) -> Result<Vec<u8>, FederatingError> {
    serde_json::to_vec(value).map_err(|_error| FederatingError::Damaged(name.to_owned()))
}

fn decode<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, FederatingError> {
    serde_json::from_slice(bytes).map_err(|_error| FederatingError::Damaged(name.to_owned()))
}
