//! Guardians: what this home hears and says of a recovery, and the person who asks for one (IDENT-40 to IDENT-51).

mod said;

use std::sync::Arc;

use allod_blocks::Cid;
use allod_identity::{
    AgentId, GuardianSays, Guardians, KeyChain, KeyLog, Objection, PublicKey, RecoveryRequest,
    Says, SecretKey, Standing, Verified, carried,
};
use bytes::Bytes;

pub use self::said::Said;
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::identity::{AgentKeys, IdentityError};
use crate::node::Node;

/// What was said of recoveries, by agent and name of the statement.
const SAID: &[u8] = b"node/said/";

/// The request of a home that asks for a recovery.
const ASKED: &[u8] = b"node/recovering";

/// Statements about one agent that are kept: a few recoveries with all that 16 guardians say of them.
const SAID_MAX: usize = 256;

/// Objections by keys that the log of an agent does not know.
const UNKNOWN: &[u8] = b"node/said-unknown/";

/// Of those as many are kept for each agent (IDENT-51): a person has fewer devices that the guardians have not heard of, and
/// what anybody can say is to take little room.
const UNKNOWN_MAX: usize = 16;

/// Those that are looked at: the signers of some may have come to be known since.
const UNKNOWN_READ_MAX: usize = 1024;

/// Why nothing comes of a recovery, here and now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The agent has no guardians.
    #[error("{0} has no guardians, so nobody can recover it")]
    NoGuardians(AgentId),
    /// No key here is that of a guardian.
    #[error("no key in this home is that of a guardian of {0}")]
    NotGuardian(AgentId),
    /// The log went on after the event that the request names.
    #[error(
        "the key log of the agent went on after the request was made, so somebody has its key; ask for a new request"
    )]
    LogWentOn,
    /// Not approved here before.
    #[error("this home has not approved the request; `allod id recover approve` begins the wait")]
    NotApproved,
    /// The wait is not over.
    #[error("the wait is not over; confirm after {}", crate::clock::utc(*.0))]
    TooEarly(u64),
    /// Somebody who speaks for the agent objected.
    #[error(
        "{0}, who speaks for the agent, objected to this recovery; find out who that is, and only then say \
         --despite-objection"
    )]
    Objected(PublicKey),
    /// A statement about something else, by somebody else, or that does not hold.
    #[error("this statement says nothing of such a recovery: {0}")]
    Unfit(&'static str),
    /// More statements than are kept.
    #[error("more than {SAID_MAX} statements about one agent are not kept")]
    Full,
    /// More objections than are kept by keys that are not known.
    #[error("more than {UNKNOWN_MAX} objections by keys that are not known here are not kept")]
    FullUnknown,
    /// No recovery was begun here.
    #[error("no recovery was begun in this home; `allod id recover begin AGENT` does")]
    NotBegun,
    /// Too few guardians confirmed.
    #[error("{got} of the {needed} guardians that are needed have confirmed this request")]
    TooFew {
        /// How many did.
        got: usize,
        /// How many have to.
        needed: u64,
    },
    /// A request for another agent is under way here.
    #[error(
        "this home asks for the recovery of {0} already; finish that, or give it up with --anew: its new key is lost then"
    )]
    UnderWay(AgentId),
    /// Keys that no request asks for.
    #[error(
        "this home holds keys of an agent that it does not act for, as of an import or a recovery that was cut off; complete \
         that, or give them up with --anew"
    )]
    OtherKeys,
    /// This home cannot object.
    #[error("no key in this home speaks for {0}")]
    NoVoice(AgentId),
}

/// Objections to the recovery of an agent by keys that its log does not know (IDENT-51).
#[derive(Clone, Debug, Default)]
pub struct UnknownObjections {
    /// The objections, the earliest first.
    pub said: Vec<Said>,
    /// Whether there may be others, for which there was no room.
    pub is_full: bool,
}

fn ref_of(list: &[u8], agent: AgentId) -> Vec<u8> {
    [list, agent.key().as_bytes(), b"/"].concat()
}

fn guardians_of(log: &KeyLog) -> Result<&(Cid, Guardians), RecoveryError> {
    let guardians = log.guardians();
    guardians.ok_or(RecoveryError::NoGuardians(*log.agent()))
}

impl Node {
    /// What is known to have been said of recoveries of an agent by those who have a say, the earliest first.
    pub fn said_of(&self, agent: AgentId) -> Result<Vec<Said>, NodeError> {
        let mut said = self.listed(SAID, agent, SAID_MAX)?;
        // Whoever was not known may be by now.
        let log = self.agents().key_log(&agent)?;
        let unknown = self.listed(UNKNOWN, agent, UNKNOWN_READ_MAX)?;
        for one in unknown {
            let speaks = log.standing(&one.signer()) == Some(Standing::Now);
            if speaks && !said.iter().any(|known| known.is_as(&one)) {
                said.push(one);
            }
        }
        said.sort_by_key(Said::at);
        Ok(said)
    }

    /// Objections by keys that the log of the agent does not know here: of a device that was added lately, or of anybody.
    /// They bind nobody, and are for a guardian to see (IDENT-51).
    pub fn unknown_objections(&self, agent: AgentId) -> Result<UnknownObjections, NodeError> {
        let log = self.agents().key_log(&agent)?;
        let mut said = self.listed(UNKNOWN, agent, UNKNOWN_READ_MAX)?;
        said.retain(|one| log.standing(&one.signer()).is_none());
        said.sort_by_key(Said::at);
        let is_full = said.len() >= UNKNOWN_MAX;
        Ok(UnknownObjections { said, is_full })
    }

    fn listed(&self, list: &[u8], agent: AgentId, limit: usize) -> Result<Vec<Said>, NodeError> {
        let page = self.store().scan_refs(&ref_of(list, agent), None, limit)?;
        let said = page.iter().filter_map(|(_, bytes)| Said::read(bytes).ok());
        Ok(said.collect())
    }

    /// Keeps what was said of a recovery, if it was said by a guardian, or by somebody who speaks for the agent, and was not
    /// said by the same key before. An objection by a key that is not known is kept apart. Whether who said it has a say.
    ///
    /// # Errors
    /// [`RecoveryError::Unfit`], [`RecoveryError::Full`], [`RecoveryError::FullUnknown`], [`RecoveryError::NoGuardians`].
    pub fn hear(&self, said: &Said) -> Result<bool, NodeError> {
        let log = self.agents().key_log(&said.agent())?;
        let signer = said.signer();
        let has_a_say = match said {
            Said::Objection(_) => match log.standing(&signer) {
                Some(Standing::Now) => true,
                None => return self.hear_unknown(said, &log),
                Some(_) => false,
            },
            Said::Guardian(_) => {
                let guardians = &guardians_of(&log)?.1;
                said.check_wait(guardians.wait, now_ms())?;
                guardians.keys.contains(&signer)
            }
        };
        if !has_a_say {
            return Err(RecoveryError::Unfit("whoever signed it has no say there").into());
        }
        let known = self.said_of(said.agent())?;
        if known.iter().any(|known| known.is_as(said)) {
            return Ok(true);
        }
        if known.len() >= SAID_MAX {
            return Err(RecoveryError::Full.into());
        }
        self.list(SAID, said)?;
        Ok(true)
    }

    /// Keeps an objection by a key that is not known, if the agent has guardians who are to see it.
    fn hear_unknown(&self, said: &Said, log: &KeyLog) -> Result<bool, NodeError> {
        guardians_of(log)?;
        let known = self.unknown_objections(said.agent())?;
        if known.said.iter().any(|known| known.is_as(said)) {
            return Ok(false);
        }
        if known.is_full {
            return Err(RecoveryError::FullUnknown.into());
        }
        self.list(UNKNOWN, said)?;
        Ok(false)
    }

    fn list(&self, list: &[u8], said: &Said) -> Result<(), NodeError> {
        let name = [ref_of(list, said.agent()), said.name().to_bytes()].concat();
        self.set(name, said.bytes().to_vec())
    }

    /// The keys in this home that can sign: those of the agent, and the device's.
    fn own_keys(&self) -> Result<Vec<SecretKey>, NodeError> {
        let mut keys = vec![self.device_key()?.clone()];
        let AgentKeys { agent, next } = self.agent_keys();
        keys.extend(agent);
        if let (Some(next), Ok(log)) = (next, self.own_log()) {
            let chain = KeyChain::new(next);
            let before = log.events().iter().map(|event| *event.signer());
            keys.extend(before.filter_map(|key| chain.find(&key).map(|(_, key)| key)));
        }
        Ok(keys)
    }

    /// A key of this home that is one of those of the guardians of an agent.
    fn guardian_key(&self, log: &KeyLog) -> Result<SecretKey, NodeError> {
        let keys = &guardians_of(log)?.1.keys;
        let own = self
            .own_keys()?
            .into_iter()
            .find(|key| keys.contains(&key.public()));
        Ok(own.ok_or(RecoveryError::NotGuardian(*log.agent()))?)
    }

    /// Says something of a recovery, or what was said before to the same effect.
    fn say_of_recovery(&self, said: Said) -> Result<Said, NodeError> {
        let mut known = self.said_of(said.agent())?.into_iter();
        let said = known.find(|known| known.is_as(&said)).unwrap_or(said);
        let _has_a_say = self.hear(&said)?;
        self.tell_of_recovery(&said)?;
        Ok(said)
    }

    fn say_as_guardian(
        &self,
        key: &SecretKey,
        agent: AgentId,
        says: Says,
    ) -> Result<Said, NodeError> {
        let at = now_ms();
        let said = Verified::sign(key, GuardianSays { agent, at, says });
        self.say_of_recovery(Said::Guardian(
            said.map_err(allod_identity::KeyLogError::from)?,
        ))
    }

    fn log_for(&self, request: &RecoveryRequest) -> Result<Arc<KeyLog>, NodeError> {
        let log = self.agents().key_log(&request.agent)?;
        if log.head().is_none() {
            return Err(IdentityError::NoLog(request.agent).into());
        }
        Ok(log)
    }

    /// Approves a request as a guardian; the wait begins. Once more it gives what was said before.
    pub fn approve(&self, request: &RecoveryRequest) -> Result<Said, NodeError> {
        let log = self.log_for(request)?;
        let key = self.guardian_key(&log)?;
        if log.head() != Some(&request.prev) {
            return Err(RecoveryError::LogWentOn.into());
        }
        self.say_as_guardian(&key, request.agent, request.approve())
    }

    /// What this home said when it approved a request.
    fn approved(
        &self,
        request: &RecoveryRequest,
        key: &SecretKey,
    ) -> Result<Option<Said>, NodeError> {
        let approve = request.approve();
        let said = self.said_of(request.agent)?.into_iter();
        Ok(said.into_iter().find(|said| match said {
            Said::Guardian(by) => *by.signer() == key.public() && by.payload().says == approve,
            Said::Objection(_) => false,
        }))
    }

    /// Confirms a request as a guardian who approved it and waited (IDENT-42). Once more it gives what was said before.
    pub fn confirm(
        &self,
        request: &RecoveryRequest,
        despite_objection: bool,
    ) -> Result<Said, NodeError> {
        // An objection may be in a public space that nobody has looked at yet.
        self.gather()?;
        let log = self.log_for(request)?;
        let key = self.guardian_key(&log)?;
        let approved = self.approved(request, &key)?;
        let since = approved.ok_or(RecoveryError::NotApproved)?.at();
        let wait = guardians_of(&log)?.1.wait;
        let until = since.saturating_add(wait);
        if now_ms() < until {
            return Err(RecoveryError::TooEarly(until).into());
        }
        if !despite_objection {
            if log.head() != Some(&request.prev) {
                return Err(RecoveryError::LogWentOn.into());
            }
            let objection = self.said_of(request.agent)?.into_iter().find(|said| {
                let is_one = matches!(said, Said::Objection(_));
                is_one && said.key() == Some(request.key)
            });
            if let Some(objection) = objection {
                return Err(RecoveryError::Objected(objection.signer()).into());
            }
        }
        self.say_as_guardian(&key, request.agent, request.confirm(since))
    }

    /// Lets others take the place of the guardians of an agent, of whom this home is one.
    pub fn release(&self, agent: AgentId, guardians: Guardians) -> Result<Said, NodeError> {
        let log = self.agents().key_log(&agent)?;
        let key = self.guardian_key(&log)?;
        let named = guardians_of(&log)?.0;
        self.say_as_guardian(&key, agent, Says::Release { named, guardians })
    }

    /// Says for the agent that a key is not to become its key.
    pub fn object(&self, request: &RecoveryRequest) -> Result<Said, NodeError> {
        let log = self.log_for(request)?;
        let key = self
            .own_keys()?
            .into_iter()
            .find(|key| log.standing(&key.public()) == Some(Standing::Now));
        let key = key.ok_or(RecoveryError::NoVoice(request.agent))?;
        let (agent, at) = (request.agent, now_ms());
        let key_to_be = request.key;
        let said = Objection {
            agent,
            at,
            key: key_to_be,
        };
        let said = Verified::sign(&key, said).map_err(allod_identity::KeyLogError::from)?;
        self.say_of_recovery(Said::Objection(said))
    }

    /// Takes in the key events of an agent.
    pub fn learn_log(&self, agent: &AgentId, events: &[Bytes]) -> Result<(), NodeError> {
        self.agents().learn(agent, events)?;
        self.heed()
    }

    /// Begins the recovery of an agent in a home that acts for nobody: makes a new chain of keys, and the request to show the
    /// guardians. Once more it gives a request with the same key, for the log as it is then; but with `is_anew` it gives up
    /// the request and the keys that are there. `secret` is that of the home.
    ///
    /// # Errors
    /// [`RecoveryError::UnderWay`], [`RecoveryError::OtherKeys`], [`RecoveryError::NoGuardians`]; [`IdentityError::HasAgent`],
    /// [`IdentityError::NoLog`].
    pub fn begin_recovery(
        &self,
        secret: &[u8],
        agent: AgentId,
        after: Option<Cid>,
        is_anew: bool,
    ) -> Result<RecoveryRequest, NodeError> {
        let _one_at_a_time = self.saying();
        if let Some(agent) = self.config().agent {
            return Err(IdentityError::HasAgent(agent).into());
        }
        let log = self.agents().key_log(&agent)?;
        let head = *log.head().ok_or(IdentityError::NoLog(agent))?;
        guardians_of(&log)?;
        let AgentKeys { agent: held, next } = self.agent_keys();
        let next = match (self.asked()?, next) {
            (Some(asked), Some(next)) if asked.agent == agent && !is_anew => next,
            (Some(asked), _) if asked.agent != agent && !is_anew => {
                return Err(RecoveryError::UnderWay(asked.agent).into());
            }
            (None, next) if (held.is_some() || next.is_some()) && !is_anew => {
                return Err(RecoveryError::OtherKeys.into());
            }
            _ => {
                let next = SecretKey::from_seed(random()?);
                let keys = AgentKeys {
                    agent: None,
                    next: Some(next.clone()),
                };
                self.seal_agent_keys(secret, keys)?;
                next
            }
        };
        let chain = KeyChain::new(next);
        let key = chain.key(1).ok_or(IdentityError::ChainEnded)?.public();
        let request = RecoveryRequest {
            agent,
            key,
            next: chain.commitment(1),
            prev: after.unwrap_or(head),
        };
        self.set(ASKED, request.to_text().into_bytes())?;
        Ok(request)
    }

    /// The request that this home asks guardians for.
    pub fn asked(&self) -> Result<Option<RecoveryRequest>, NodeError> {
        let text = self.store().get_ref(ASKED)?;
        Ok(text.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok()))
    }

    /// Makes the new key the agent's, as enough guardians confirmed, and this device one of its devices.
    pub fn finish_recovery(&self, secret: &[u8]) -> Result<AgentId, NodeError> {
        let _one_at_a_time = self.saying();
        if let Some(agent) = self.config().agent {
            return Err(IdentityError::HasAgent(agent).into());
        }
        let request = self.asked()?.ok_or(RecoveryError::NotBegun)?;
        let next = self.agent_keys().next;
        let next = next.ok_or(RecoveryError::NotBegun)?;
        let chain = KeyChain::new(next.clone());
        let key = chain.key(1).ok_or(IdentityError::ChainEnded)?;
        let mut log = KeyLog::clone(&*self.log_for(&request)?);
        if log.key() != Some(&key.public()) {
            let confirmed = self.confirmations(&request, &log)?;
            let then = (&key, chain.commitment(1));
            log.recover(then, (Some(request.prev), now_ms()), carried(&confirmed))?;
        }
        let device = self.device()?;
        if !log.is_device(&device) {
            log.add_device(&key, device, self.config().device_name, now_ms())?;
        }
        let keys = AgentKeys {
            agent: Some(key),
            next: Some(next),
        };
        self.seal_agent_keys(secret, keys)?;
        self.write_log(&log)?;
        self.act_for(request.agent, &[])?;
        Ok(request.agent)
    }

    /// The confirmations of a request, as many as are needed.
    fn confirmations(
        &self,
        request: &RecoveryRequest,
        log: &KeyLog,
    ) -> Result<Vec<Verified<GuardianSays>>, NodeError> {
        let needed = guardians_of(log)?.1.needed;
        let mut confirmed: Vec<Verified<GuardianSays>> = Vec::new();
        for said in self.said_of(request.agent)? {
            let Said::Guardian(said) = said else { continue };
            let says = &said.payload().says;
            let is_one = matches!(says, Says::Confirm { .. })
                && RecoveryRequest::of(request.agent, says).as_ref() == Some(request);
            if is_one
                && confirmed
                    .iter()
                    .all(|known| known.signer() != said.signer())
            {
                confirmed.push(said);
            }
        }
        let got = confirmed.len();
        if (got as u64) < needed {
            return Err(RecoveryError::TooFew { got, needed }.into());
        }
        Ok(confirmed)
    }
}

#[cfg(test)]
mod tests;
