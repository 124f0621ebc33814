//! Who this node acts for: keys of the agent, its key log, and its devices.

use std::sync::Arc;

use allod_blocks::{Batch, Cid, Expect};
use allod_identity::{
    AgentId, DeviceId, Equivocation, Guardians, KeyChain, KeyEvent, KeyLog, Keystore, SecretKey,
    Signed, Verified,
};
use allod_repo::{BranchName, Commit, SpaceId};
use bytes::Bytes;
use serde_bytes::ByteBuf;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::node::Node;

/// A change of the key that was signed, and need not be known to anybody yet (IDENT-48).
const ROTATING: &[u8] = b"node/rotating";

/// The last key event that this home wrote.
const WROTE: &[u8] = b"node/wrote";

/// The keys of the agent that a home holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct AgentKeys {
    /// The agent's key, as it was when this home last changed it.
    pub(crate) agent: Option<SecretKey>,
    /// The secret of the chain of its keys.
    pub(crate) next: Option<SecretKey>,
}

/// Why something about the agent cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key log ends in a contradiction.
    #[error(
        "the key log of this agent contradicts itself from position {0} on, so nothing more counts; `allod id show` \
         tells what happened, and `allod id rotate` resolves it"
    )]
    Frozen(u64),
    /// The key here is not the agent's any more.
    #[error(
        "the agent's key was changed elsewhere, and what is here is an older one; run the command where it was changed"
    )]
    OldKey,
    /// The secret of the chain is needed and not here.
    #[error(
        "the secret of the next keys is not in this home; give the recovery kit with --kit FILE"
    )]
    NoChain,
    /// The secret of the chain is that of another chain.
    #[error("the secret of the next keys is not the one that the key log commits to")]
    OtherChain,
    /// All keys of the chain were used.
    #[error("all keys of the chain were used; only guardians can give the agent another one")]
    ChainEnded,
    /// It does not say after which event the key changes.
    #[error("name the event after which the log goes on with --after; `allod id show` lists them")]
    After,
    /// The event is not in the log.
    #[error("the key log has no event {0}")]
    NoEvent(String),
    /// The kit is that of another agent.
    #[error("the recovery kit is that of {0}, another agent than this home's")]
    OtherAgent(Box<AgentId>),
    /// The device acts for an agent.
    #[error("this device acts for an agent already: {0}")]
    HasAgent(String),
    /// Nothing is known of an agent.
    #[error(
        "no key log of {0} is known here; get one with `allod id log` from a device or a friend's node that has it"
    )]
    NoLog(AgentId),
    /// The device is not the agent's.
    #[error("the agent has no device {0:?}; `allod id device list` shows them")]
    NoDevice(String),
    /// More than one device is called so.
    #[error("{0:?} means more than one device; give its did:key")]
    ManyDevices(String),
    /// A device would remove itself.
    #[error(
        "this is the device of this very home, which would be of no more use; remove it from another one"
    )]
    OwnDevice,
}

/// How the key is to be changed.
#[derive(Debug, Default)]
pub struct Rotation {
    /// The event after which the log goes on; `None` for its end.
    pub after: Option<Cid>,
    /// Who are guardians from now on, if that changes.
    pub guardians: Option<Guardians>,
    /// What the present guardians said to that.
    pub released: Vec<ByteBuf>,
    /// The secret of the chain, if it is not in the home.
    pub chain: Option<SecretKey>,
}

fn bytes_of(log: &KeyLog) -> Vec<Bytes> {
    log.known().map(|event| event.bytes().clone()).collect()
}

impl Node {
    /// Begins this agent's key log with this device: once, when the home is new.
    pub fn begin_log(&self, device_name: &str) -> Result<(), NodeError> {
        let AgentKeys { agent, next } = self.agent_keys();
        let (Some(agent), Some(next)) = (agent, next) else {
            return Err(NodeError::NoAgentKey);
        };
        let mut log = KeyLog::inception(&agent, KeyChain::new(next).commitment(0))?;
        let device = self.device_key()?.device_id();
        log.add_device(&agent, device, device_name, now_ms())?;
        self.write_log(&log)
    }

    /// The key log of this home's agent.
    pub fn own_log(&self) -> Result<Arc<KeyLog>, NodeError> {
        Ok(self.agents().key_log(&self.agent()?)?)
    }

    /// The agent's key.
    ///
    /// # Errors
    /// [`NodeError::NoAgentKey`], [`IdentityError::OldKey`], [`IdentityError::Frozen`].
    pub fn agent_key(&self, log: &KeyLog) -> Result<SecretKey, NodeError> {
        self.device_key()?;
        let Some(current) = log.key() else {
            let seq = log.equivocation().map_or(0, Equivocation::seq);
            return Err(IdentityError::Frozen(seq).into());
        };
        let AgentKeys { agent, next } = self.agent_keys();
        match (agent, next) {
            (Some(agent), _) if agent.public() == *current => Ok(agent),
            (None, None) => Err(NodeError::NoAgentKey),
            (_, None) => Err(IdentityError::OldKey.into()),
            (_, Some(next)) => {
                let found = KeyChain::new(next).find(current);
                let (_, key) = found.ok_or(IdentityError::OldKey)?;
                Ok(key)
            }
        }
    }

    /// Lets another device act for this agent; returns the whole key log.
    pub fn add_device(&self, device: DeviceId, name: &str) -> Result<KeyLog, NodeError> {
        let _one_at_a_time = self.saying();
        let mut log = KeyLog::clone(&*self.own_log()?);
        let agent = self.agent_key(&log)?;
        log.add_device(&agent, device, name, now_ms())?;
        self.write_log(&log)?;
        Ok(log)
    }

    /// Ends that a device acts for this agent, for ever. What it wrote and said before is kept first if `keeps`: not for a
    /// device that a thief has had. Where that failed, in words; the device is removed all the same.
    pub fn remove_device(&self, device: DeviceId, keeps: bool) -> Result<Vec<String>, NodeError> {
        if device == self.device()? {
            return Err(IdentityError::OwnDevice.into());
        }
        let _agent = self.agent_key(&*self.own_log()?)?;
        let mut unkept = Vec::new();
        if keeps {
            for (name, id) in self.spaces()? {
                let kept = self.build_upon(id, device);
                unkept.extend(kept.err().map(|error| format!("the space {name}: {error}")));
            }
            // And by what it said of others (TRUST-14).
            let kept = self.keep_said_by(device.key());
            unkept.extend(
                kept.err()
                    .map(|error| format!("what it said of others: {error}")),
            );
        }
        let _one_at_a_time = self.saying();
        let mut log = KeyLog::clone(&*self.own_log()?);
        let agent = self.agent_key(&log)?;
        log.remove_device(&agent, device, now_ms())?;
        self.write_log(&log)?;
        self.touch();
        Ok(unkept)
    }

    /// Commits on top of what a device wrote that is about to be removed, in a space in which the agent may write, so that
    /// it counts whatever becomes of the device (REPO-105).
    fn build_upon(&self, id: SpaceId, device: DeviceId) -> Result<(), NodeError> {
        const MESSAGE: &str = "Keep what a device wrote that is removed";
        let (agent, repo) = (self.agent()?, self.repo(id)?);
        if !repo.is_member(&agent)? {
            return Ok(());
        }
        for (branch, _) in repo.branches()? {
            if branch == BranchName::meta() && !repo.is_owner(&agent) {
                continue;
            }
            let wrote = |commit: &Verified<Commit>| commit.signer() == device.key();
            let _kept = repo.vouch(&branch, &wrote, (self.author()?, MESSAGE), now_ms())?;
        }
        Ok(())
    }

    /// The device that a name, a `did:key` or the end of one means.
    pub fn find_device(&self, name: &str) -> Result<DeviceId, NodeError> {
        let log = self.own_log()?;
        let mut found = log.devices().filter(|(id, device)| {
            let id = id.to_string();
            device.name == name || id == name || (name.len() >= 4 && id.ends_with(name))
        });
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(*id),
            (None, _) => Err(IdentityError::NoDevice(name.to_owned()).into()),
            _ => Err(IdentityError::ManyDevices(name.to_owned()).into()),
        }
    }

    /// Makes this device act for the agent whose key log names it.
    pub fn adopt(&self, agent: AgentId, events: &[Bytes]) -> Result<(), NodeError> {
        let _one_at_a_time = self.saying();
        self.act_for(agent, events)
    }

    /// The same, for who holds the lock already.
    pub(crate) fn act_for(&self, agent: AgentId, events: &[Bytes]) -> Result<(), NodeError> {
        let (own, theirs) = (self.config().agent, agent.to_string());
        if let Some(own) = own.filter(|own| *own != theirs) {
            return Err(IdentityError::HasAgent(own).into());
        }
        self.agents().learn(&agent, events)?;
        self.heed_later();
        let log = self.agents().key_log(&agent)?;
        if !log.is_device(&self.device()?) {
            return Err(NodeError::Refused(allod_repo::Refusal::Device));
        }
        let mut config = self.config();
        config.agent = Some(agent.to_string());
        self.configure(config)
    }

    /// Keeps a log that this home wrote an event of.
    pub(crate) fn write_log(&self, log: &KeyLog) -> Result<(), NodeError> {
        self.agents().learn(log.agent(), &bytes_of(log))?;
        let written = match log.head() {
            Some(head) => self.set(WROTE, head.to_bytes()),
            None => Ok(()),
        };
        self.heed_later();
        written
    }

    /// Heeds what was learned. The event is kept and told, whatever a space says that cannot be read: the next session
    /// looks at it again.
    pub(crate) fn heed_later(&self) {
        drop(self.heed());
    }

    /// The last key event that this home wrote, if it is in `log`.
    #[must_use]
    pub fn wrote(&self, log: &KeyLog) -> Option<Cid> {
        let wrote = self.store().get_ref(WROTE).ok().flatten()?;
        let wrote = Cid::try_from(&wrote[..]).ok()?;
        log.known()
            .any(|event| *event.cid() == wrote)
            .then_some(wrote)
    }

    /// Seals the keys of the agent, and keeps them at hand. `secret` is that of the home.
    pub(crate) fn seal_agent_keys(&self, secret: &[u8], keys: AgentKeys) -> Result<(), NodeError> {
        // What another secret sealed would be lost to whoever knows the home's.
        self.home().unlock(secret)?;
        let keystore = Keystore {
            agent: keys.agent.clone(),
            next_agent: keys.next.clone(),
            device: self.device_key()?.clone(),
        };
        self.home().seal(&self.config(), &keystore, secret)?;
        self.set_agent_keys(keys);
        Ok(())
    }

    /// Gives the agent its next key: which ends a contradiction, names guardians, and lets the present key say nothing more
    /// of the log. Devices act on. `secret` is that of the home.
    ///
    /// # Errors
    /// [`IdentityError::NoChain`], [`IdentityError::OtherChain`], [`IdentityError::ChainEnded`], [`IdentityError::After`].
    pub fn rotate(&self, secret: &[u8], how: Rotation) -> Result<KeyLog, NodeError> {
        let _one_at_a_time = self.saying();
        let (log, event, keys) = self.prepare_rotation(how)?;
        self.set(ROTATING, event.bytes().to_vec())?;
        self.seal_agent_keys(secret, keys)?;
        self.publish_rotation(&log)?;
        Ok(log)
    }

    /// Signs the change of the key, and says what the home holds after it.
    fn prepare_rotation(
        &self,
        how: Rotation,
    ) -> Result<(KeyLog, Verified<KeyEvent>, AgentKeys), NodeError> {
        let mut log = KeyLog::clone(&*self.own_log()?);
        let AgentKeys { next, .. } = self.agent_keys();
        let given = how.chain.or_else(|| next.clone());
        let chain = KeyChain::new(given.ok_or(IdentityError::NoChain)?);
        let after = match (how.after, log.key()) {
            (Some(after), _) => after,
            (None, Some(_)) => *log.head().ok_or(IdentityError::After)?,
            (None, None) => self.wrote(&log).ok_or(IdentityError::After)?,
        };
        let bound = log.next_after(&after);
        let bound = bound.ok_or_else(|| IdentityError::NoEvent(after.to_string()))?;
        if bound == [0; 32] {
            return Err(IdentityError::ChainEnded.into());
        }
        let number = chain.bound_by(&bound).ok_or(IdentityError::OtherChain)?;
        let key = chain.key(number).ok_or(IdentityError::ChainEnded)?;
        let event = log.rotate(
            (&key, chain.commitment(number)),
            (Some(after), now_ms()),
            (how.guardians, how.released),
        )?;
        // The secret of the chain stays away if it was away.
        let agent = Some(key);
        Ok((log, event, AgentKeys { agent, next }))
    }

    fn publish_rotation(&self, log: &KeyLog) -> Result<(), NodeError> {
        self.write_log(log)?;
        self.forget_rotation()?;
        self.touch();
        Ok(())
    }

    fn forget_rotation(&self) -> Result<(), NodeError> {
        let mut batch = Batch::new();
        batch.set_ref(ROTATING, Expect::Any, None::<Bytes>);
        let _outcome = self.store().commit(batch)?;
        Ok(())
    }

    /// Completes a change of the key that was cut off, or forgets it (IDENT-48): if the new key was sealed, the event that
    /// makes it the agent's is published; if it was not, nobody has seen that event.
    pub(crate) fn settle_rotation(&self) -> Result<(), NodeError> {
        if !self.has_keys() {
            return Ok(());
        }
        let Some(event) = self.store().get_ref(ROTATING)? else {
            return Ok(());
        };
        let signed = Signed::<KeyEvent>::decode(event.clone()).ok();
        let event = signed.and_then(|signed| signed.verify().ok());
        let sealed = self.agent_keys().agent.as_ref().map(SecretKey::public);
        if let Some(event) = event.filter(|event| sealed.as_ref() == Some(event.signer())) {
            let agent = event.payload().agent;
            self.agents().learn(&agent, &[event.bytes().clone()])?;
            self.heed_later();
            self.set(WROTE, event.cid().to_bytes())?;
        }
        self.forget_rotation()
    }

    /// Whether the secret of the chain is here, and how many keys of it are left; `None` if that cannot be told without it.
    pub fn chain_left(&self, log: &KeyLog) -> Result<(bool, Option<u32>), NodeError> {
        self.device_key()?;
        let Some(next) = self.agent_keys().next else {
            return Ok((false, None));
        };
        let bound = log.head().and_then(|head| log.next_after(head));
        let number = bound.and_then(|bound| KeyChain::new(next).bound_by(&bound));
        let left = number.map(|number| allod_identity::ROTATIONS_MAX + 1 - number);
        Ok((true, left))
    }
}

#[cfg(test)]
mod tests {
    use allod_identity::Standing;
    use tempfile::TempDir;

    use super::*;
    use crate::home::{Home, HomeConfig, KeySource, StoreKind, make_key_file, random};

    /// A home with an agent, and its secret.
    fn home() -> (TempDir, Home, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let seed = || SecretKey::from_seed(random().unwrap());
        let keys = Keystore {
            agent: Some(seed()),
            next_agent: Some(seed()),
            device: seed(),
        };
        let file = dir.path().join("key");
        let secret = make_key_file(&file).unwrap();
        let home = Home::at(dir.path().join("home"));
        let agent = keys.agent.as_ref().map(SecretKey::agent_id);
        let device = keys.device.device_id();
        let source = KeySource::File(file);
        let config = HomeConfig::new(StoreKind::default(), source, device, "laptop".into(), agent);
        home.create(&config, &keys, &secret).unwrap();
        let node = Node::open(home.clone(), Some(keys)).unwrap();
        node.begin_log("laptop").unwrap();
        (dir, home, secret.to_vec())
    }

    fn open(home: &Home, secret: &[u8]) -> Node {
        let keys = home.unlock(secret).unwrap();
        Node::open(home.clone(), Some(keys)).unwrap()
    }

    /// The home is as good as any: it holds the agent's key, lets a device in, and changes the key again.
    fn works(node: &Node, secret: &[u8], rotations: u32) {
        let log = node.own_log().unwrap();
        assert_eq!(log.number(), (0, rotations));
        let key = node.agent_key(&log).unwrap().public();
        assert_eq!(log.standing(&key), Some(Standing::Now));
        let device = SecretKey::from_seed(random().unwrap()).device_id();
        node.add_device(device, "phone").unwrap();
        let log = node.rotate(secret, Rotation::default()).unwrap();
        assert_eq!(log.number(), (0, rotations + 1));
        assert!(log.equivocation().is_none());
        assert!(node.store().get_ref(ROTATING).unwrap().is_none());
    }

    /// Wherever a change of the key is cut off, the home goes on with the old key or with the new one (IDENT-48).
    #[test]
    fn a_change_of_the_key_is_whole_or_was_not() {
        for cut in 0..4 {
            let (_dir, home, secret) = home();
            {
                let node = open(&home, &secret);
                let how = Rotation::default();
                let (log, event, keys) = node.prepare_rotation(how).unwrap();
                if cut > 0 {
                    node.set(ROTATING, event.bytes().to_vec()).unwrap();
                }
                if cut > 1 {
                    node.seal_agent_keys(&secret, keys).unwrap();
                }
                if cut > 2 {
                    node.write_log(&log).unwrap();
                }
            }
            works(&open(&home, &secret), &secret, u32::from(cut > 1));
        }
    }

    /// The same for a home in which the secret of the chain is not kept: what was sealed has to be enough.
    #[test]
    fn it_needs_no_secret_of_the_chain_to_go_on() {
        let (_dir, home, secret) = home();
        let kit = {
            let node = open(&home, &secret);
            let kit = node.kit().unwrap();
            node.remove_chain(&secret).unwrap();
            let chain = Some(kit.secret.clone());
            let how = Rotation {
                chain,
                ..Rotation::default()
            };
            let (_, event, keys) = node.prepare_rotation(how).unwrap();
            node.set(ROTATING, event.bytes().to_vec()).unwrap();
            node.seal_agent_keys(&secret, keys).unwrap();
            kit
        };
        let node = open(&home, &secret);
        let log = node.own_log().unwrap();
        assert_eq!(log.number(), (0, 1));
        node.agent_key(&log).unwrap();
        let without = node.rotate(&secret, Rotation::default());
        assert!(matches!(
            without,
            Err(NodeError::Identity(IdentityError::NoChain))
        ));
        let chain = Some(kit.secret);
        let how = Rotation {
            chain,
            ..Rotation::default()
        };
        assert_eq!(node.rotate(&secret, how).unwrap().number(), (0, 2));
        assert_eq!(
            node.chain_left(&node.own_log().unwrap()).unwrap(),
            (false, None)
        );
    }

    /// Keys are never sealed under anything but what opens the home.
    #[test]
    fn another_secret_seals_nothing() {
        let (_dir, home, secret) = home();
        {
            let node = open(&home, &secret);
            let refused = node.rotate(b"another secret of some length", Rotation::default());
            assert!(matches!(refused, Err(NodeError::Keystore(_))));
        }
        works(&open(&home, &secret), &secret, 0);
    }
}
