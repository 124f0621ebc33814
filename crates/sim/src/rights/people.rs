//! Who is in such a world.

use allod_identity::{AgentId, KeyChain, KeyLog, SecretKey};

use crate::keys::words;
use crate::rng::Rng;

/// What somebody is at first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Owner,
    /// Administers by a grant.
    Admin,
    /// A member with a role.
    Editor,
    /// A member with a handle.
    Member,
    /// Has a branch, by a grant.
    Clerk,
    /// May write some keys.
    Writer,
    /// May read some keys.
    Reader,
    /// Has nothing here.
    Stranger,
}

impl Role {
    /// All of them; each is one person, of this number.
    pub(super) const ALL: [Self; 8] = [
        Self::Owner,
        Self::Admin,
        Self::Editor,
        Self::Member,
        Self::Clerk,
        Self::Writer,
        Self::Reader,
        Self::Stranger,
    ];
}

/// A person, whose devices speak for it all the time.
pub(super) struct Person {
    pub(super) role: Role,
    key: SecretKey,
    pub(super) log: KeyLog,
}

impl Person {
    pub(super) fn new(role: Role, rng: &mut Rng) -> Result<Self, String> {
        let [key, next] = [0; 2].map(|_| SecretKey::from_seed(rng.seed()));
        let log = KeyLog::inception(&key, KeyChain::new(next).commitment(0));
        Ok(Self {
            role,
            key,
            log: log.map_err(words)?,
        })
    }

    pub(super) fn id(&self) -> AgentId {
        self.key.agent_id()
    }

    pub(super) fn add(&mut self, device: &SecretKey, at: u64) -> Result<(), String> {
        let added = self
            .log
            .add_device(&self.key, device.device_id(), "device", at);
        added.map(drop).map_err(words)
    }
}
