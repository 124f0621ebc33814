//! Agents, those who steal from them, and what both do with keys.

use allod_identity::{
    AgentId, GuardianSays, Guardians, KeyChain, KeyLog, KeyLogError, Says, SecretKey, Verified,
    carried,
};
use allod_repo::{Author, BranchName, Commit, Refusal};
use bytes::Bytes;

use crate::rng::Rng;

use super::{KeyWorld, START_MS, learn, words};

/// How long guardians wait, in milliseconds.
const WAIT_MS: u64 = 60_000;

/// A person: the keys, and what the person said of them.
pub(super) struct Agent {
    /// The key that speaks for the agent, as its person knows.
    key: SecretKey,
    first: SecretKey,
    chain: KeyChain,
    /// How many keys of the chain were used.
    used: u32,
    guardian: SecretKey,
    /// The log as the person made it, without what a thief said.
    pub(super) log: KeyLog,
    /// The key that a thief has, if one has one.
    pub(super) stolen: Option<SecretKey>,
    /// What a thief made of the log.
    thieves_log: Option<KeyLog>,
}

impl Agent {
    pub(super) fn new(rng: &mut Rng) -> Result<Self, String> {
        let [key, guardian] = [0; 2].map(|_| SecretKey::from_seed(rng.seed()));
        let chain = KeyChain::new(SecretKey::from_seed(rng.seed()));
        let guardians = Guardians {
            keys: vec![guardian.public()],
            needed: 1,
            wait: WAIT_MS,
        };
        let log = KeyLog::inception_guarded(&key, chain.commitment(0), Some(guardians));
        Ok(Self {
            first: key.clone(),
            key,
            chain,
            used: 0,
            guardian,
            log: log.map_err(words)?,
            stolen: None,
            thieves_log: None,
        })
    }

    pub(super) fn id(&self) -> AgentId {
        self.first.agent_id()
    }

    pub(super) fn add(&mut self, device: &SecretKey, at: u64) -> Result<(), String> {
        let added = self
            .log
            .add_device(&self.key, device.device_id(), "device", at);
        added.map(drop).map_err(words)
    }
}

/// The events of a log, as they are told.
pub(super) fn events_of(log: &KeyLog) -> Vec<Bytes> {
    log.known().map(|event| event.bytes().clone()).collect()
}

impl KeyWorld {
    /// A thief takes a device, and sometimes the key of its agent. Each agent keeps one device at least.
    pub(super) fn steal(&mut self, node: usize) {
        let agent = self.nodes[node].agent;
        let of_agent = self.nodes.iter().filter(|other| other.agent == agent);
        let left = of_agent.filter(|other| !other.is_stolen).count();
        if left < 2 || node == 0 {
            return;
        }
        self.nodes[node].is_stolen = true;
        if self.rng.chance(60) {
            let agent = &mut self.agents[agent];
            agent.stolen = Some(agent.key.clone());
            agent.thieves_log = Some(agent.log.clone());
        }
    }

    /// A thief who has the key of an agent lets a device of its own act for it, or removes one of the owner's.
    pub(super) fn thief_acts(&mut self, agent: usize) -> Result<(), String> {
        let at = self
            .nodes
            .iter()
            .position(|node| node.is_stolen && node.agent == agent);
        let seed = self.rng.seed();
        let locks_out = self.rng.chance(50);
        let honest = self.nodes.iter();
        let honest = honest.filter(|node| node.agent == agent && !node.is_stolen);
        let honest: Vec<_> = honest.map(|node| node.device.device_id()).collect();
        let person = &mut self.agents[agent];
        let (Some(at), Some(key), Some(log)) = (at, &person.stolen, &mut person.thieves_log) else {
            return Ok(());
        };
        let said = if locks_out && let Some(device) = honest.first() {
            log.remove_device(key, *device, START_MS)
        } else {
            let device = SecretKey::from_seed(seed).device_id();
            log.add_device(key, device, "mine", START_MS)
        };
        match said {
            Ok(_) | Err(KeyLogError::DuplicateDevice | KeyLogError::NoDevice) => {}
            Err(error) => return Err(words(error)),
        }
        let log = log.clone();
        let repo = &self.nodes[at].repo;
        learn(repo.agents(), &log)?;
        let _moved = repo.heed_logs().map_err(words)?;
        Ok(())
    }

    /// The person removes a stolen device, at a node of its own; first that node vouches for what it wrote.
    pub(super) fn remove_stolen(&mut self, node: usize) -> Result<(), String> {
        let agent = self.nodes[node].agent;
        let mut stolen = self.nodes.iter();
        let log = &self.agents[agent].log;
        let stolen = stolen.find(|other| {
            let speaks = log.is_device(&other.device.device_id());
            other.is_stolen && other.agent == agent && speaks
        });
        let Some(stolen) = stolen.filter(|_| !self.nodes[node].is_stolen) else {
            return Ok(());
        };
        let (lost, device) = (stolen.device.public(), stolen.device.device_id());
        let now = self.clock(node);
        let author = Author {
            agent: self.agents[agent].id(),
            key: &self.nodes[node].device,
        };
        let needs = |commit: &Verified<Commit>| *commit.signer() == lost;
        let main = BranchName::main();
        let vouched = self.nodes[node]
            .repo
            .vouch(&main, &needs, (author, "keep"), now);
        match vouched {
            Ok(made) => self.all.extend(made),
            Err(error) => match error.refusal() {
                Some(Refusal::NotMember) => {}
                Some(_) => self.speaks_not(node, "could not vouch")?,
                None => return Err(words(error)),
            },
        }
        let person = &mut self.agents[agent];
        match person.log.remove_device(&person.key, device, now) {
            Ok(_) => self.summary.removed += 1,
            Err(KeyLogError::NoDevice) => {}
            Err(error) => return Err(words(error)),
        }
        self.publish(node)
    }

    /// The person takes the next key of the chain, going on from what the person said last.
    pub(super) fn rotate(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].is_stolen {
            return Ok(());
        }
        let (agent, now) = (self.nodes[node].agent, self.clock(node));
        let person = &mut self.agents[agent];
        let number = person.used + 1;
        let Some(key) = person.chain.key(number) else {
            return Ok(());
        };
        let after = person.log.head().copied();
        let to = (&key, person.chain.commitment(number));
        let rotated = person.log.rotate(to, (after, now), (None, Vec::new()));
        let _event = rotated.map_err(words)?;
        (person.key, person.used) = (key, number);
        self.summary.rotated += 1;
        self.publish(node)
    }

    /// The guardian gives the agent a new key, and a new chain.
    pub(super) fn recover(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].is_stolen {
            return Ok(());
        }
        let (agent, now) = (self.nodes[node].agent, self.clock(node));
        let chain = KeyChain::new(SecretKey::from_seed(self.rng.seed()));
        let key = SecretKey::from_seed(self.rng.seed());
        let person = &mut self.agents[agent];
        let Some(prev) = person.log.head().copied() else {
            return Ok(());
        };
        let next = chain.commitment(0);
        let says = GuardianSays {
            agent: person.id(),
            at: now,
            says: Says::Confirm {
                key: key.public(),
                next,
                prev,
                since: now - WAIT_MS,
            },
        };
        let said = Verified::sign(&person.guardian, says).map_err(words)?;
        let recovered = person
            .log
            .recover((&key, next), (Some(prev), now), carried(&[said]));
        let _event = recovered.map_err(words)?;
        (person.key, person.chain, person.used) = (key, chain, 0);
        self.summary.recovered += 1;
        self.publish(node)
    }

    /// A node hears what its person said.
    pub(super) fn publish(&self, node: usize) -> Result<(), String> {
        let Self { nodes, agents, .. } = self;
        let node = &nodes[node];
        learn(node.repo.agents(), &agents[node.agent].log)?;
        let _moved = node.repo.heed_logs().map_err(words)?;
        Ok(())
    }
}
