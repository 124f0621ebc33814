//! Recovery kits: what gives an agent its next key, and what that goes on from (IDENT-45, IDENT-50).

use allod_blocks::Cid;
use allod_identity::{AgentId, Equivocation, KeyChain, KeyLog, Kit};
use bytes::Bytes;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::identity::{AgentKeys, IdentityError};
use crate::node::Node;

/// How far a key log goes, for a person to tell an old one by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogEnd {
    /// How many events count.
    pub events: usize,
    /// When the last of them was, as its signer says, in milliseconds since 1970; `None` if none says.
    pub at: Option<u64>,
}

impl LogEnd {
    fn of(log: &KeyLog) -> Option<Self> {
        let events = log.events();
        let at = events.iter().filter_map(|event| event.payload().event.at());
        let at = at.last();
        let events = events.len();
        (events > 0).then_some(Self { events, at })
    }
}

/// What is known of an agent's log where a kit is to give it the next key (IDENT-50).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KitLogs {
    /// The log that the kit brings; a line on paper brings none.
    pub with_kit: Option<LogEnd>,
    /// The log that was known here before.
    pub here: Option<LogEnd>,
    /// Whether something is known here that the kit does not know. If not, nobody here can tell whether the kit is old.
    pub is_newer_here: bool,
    /// The position from which on all that is known contradicts itself, if it does.
    pub frozen: Option<u64>,
}

impl Node {
    /// What gives the agent its next key, to be kept elsewhere.
    pub fn kit(&self) -> Result<Kit, NodeError> {
        self.device_key()?;
        let next = self.agent_keys().next;
        Ok(Kit {
            agent: self.agent()?,
            secret: next.ok_or(IdentityError::NoChain)?,
        })
    }

    /// Takes the secret of the chain out of this home. `secret` is that of the home.
    pub fn remove_chain(&self, secret: &[u8]) -> Result<(), NodeError> {
        let agent = self.agent_keys().agent;
        self.seal_agent_keys(secret, AgentKeys { agent, next: None })
    }

    /// The log of an agent that a kit brings, `events`, beside the one that is known here: to be told before the kit is used.
    pub fn kit_logs(&self, agent: &AgentId, events: &[Bytes]) -> Result<KitLogs, NodeError> {
        let known = self.agents().key_log(agent)?;
        let (all, _) = self.log_to_restore(agent, events)?;
        let mut brought = KeyLog::new(*agent);
        let of_kit = all.known().filter(|event| events.contains(event.bytes()));
        brought.learn(of_kit.cloned().collect())?;
        Ok(KitLogs {
            with_kit: LogEnd::of(&brought),
            here: LogEnd::of(&known),
            is_newer_here: known.known().any(|event| !events.contains(event.bytes())),
            frozen: all.equivocation().map(Equivocation::seq),
        })
    }

    /// All that is known of a log with what a kit brings, and the event that the next key goes on from: the end of that. But
    /// if what the kit brings contradicts what is known here, the end of the latter (IDENT-50).
    fn log_to_restore(
        &self,
        agent: &AgentId,
        events: &[Bytes],
    ) -> Result<(KeyLog, Cid), NodeError> {
        let known = self.agents().key_log(agent)?;
        let all = self.agents().with(agent, events)?;
        let is_known_whole = all.key().is_none() && known.key().is_some();
        let from = if is_known_whole {
            known.head()
        } else {
            all.head()
        };
        let from = *from.ok_or(IdentityError::NoLog(*agent))?;
        Ok((all, from))
    }

    /// Makes a home that acts for nobody one of the agent of a kit: the agent gets its next key, and this device acts for
    /// it. `events` is its key log, as far as it is not known here; `secret` is that of the home. The key goes on from the
    /// newest log that is known, so [what that is](Self::kit_logs) is to be told before (IDENT-50). Once more after it was
    /// cut off, it goes on.
    pub fn restore(&self, secret: &[u8], kit: Kit, events: &[Bytes]) -> Result<(), NodeError> {
        let _one_at_a_time = self.saying();
        if let Some(agent) = self.config().agent {
            return Err(IdentityError::HasAgent(agent).into());
        }
        let (mut log, head) = self.log_to_restore(&kit.agent, events)?;
        let chain = KeyChain::new(kit.secret.clone());
        let sealed = self.agent_keys().agent;
        let key = match sealed.filter(|key| Some(&key.public()) == log.key()) {
            Some(key) => key,
            None => {
                let bound = log.next_after(&head).unwrap_or_default();
                let number = chain.bound_by(&bound).ok_or(IdentityError::OtherChain)?;
                let key = chain.key(number).ok_or(IdentityError::ChainEnded)?;
                let then = (&key, chain.commitment(number));
                log.rotate(then, (Some(head), now_ms()), (None, Vec::new()))?;
                key
            }
        };
        let device = self.device()?;
        if !log.is_device(&device) {
            log.add_device(&key, device, self.config().device_name, now_ms())?;
        }
        let (agent, next) = (Some(key), Some(kit.secret.clone()));
        self.seal_agent_keys(secret, AgentKeys { agent, next })?;
        self.write_log(&log)?;
        self.act_for(kit.agent, &[])
    }
}
