//! The key logs a store knows: who acts for whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Codec, Expect, REF_VALUE_BYTES_MAX, Store};
use allod_identity::{
    AgentId, DeviceId, Equivocation, KeyEvent, KeyLog, KeyLogError, PublicKey, Signed, Verified,
    canonical,
};
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::layout;
use crate::repo::lock;

/// How often a compare-and-swap is tried again before the caller hears of it.
const TRIES: u32 = 16;

/// Key logs kept at hand; one is a few KiB.
const LOGS_CACHED: usize = 256;

/// The key logs in a store. Clones share what they keep at hand.
#[derive(Clone, Debug)]
pub struct Agents {
    store: Arc<dyn Store>,
    read: Arc<Mutex<BTreeMap<AgentId, Read>>>,
}

/// A log as it was read when the references said so.
#[derive(Debug)]
struct Read {
    said: Said,
    log: Arc<KeyLog>,
}

/// What the references of a key log and of a proof against it say.
type Said = (Option<Bytes>, Option<Bytes>);

impl Agents {
    /// The key logs of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            read: Arc::default(),
        }
    }

    /// The key log of an agent; empty for one that is not known.
    pub fn key_log(&self, agent: &AgentId) -> Result<Arc<KeyLog>, RepoError> {
        self.read(agent).map(|(_, log)| log)
    }

    /// Extends the log of `agent` by the events that are not known yet, given in order from any
    /// position. Events that are known are skipped, so a log may be sent whole.
    pub fn learn(&self, agent: &AgentId, events: &[Bytes]) -> Result<(), Rejected> {
        // A peer tells its log in each session, and nearly always it is known.
        let known = self.key_log(agent)?;
        let mut pairs = events.iter().zip(known.events());
        if events.len() <= known.events().len()
            && pairs.all(|(event, known)| event == known.bytes())
        {
            return Ok(());
        }
        let mut verified = Vec::with_capacity(events.len());
        for event in events {
            let signed =
                Signed::<KeyEvent>::decode(event.clone()).map_err(|_error| Refusal::KeyLog)?;
            verified.push(signed.verify().map_err(|_error| Refusal::Signature)?);
        }
        for _ in 0..TRIES {
            let (raw, log) = self.read(agent)?;
            let mut log = KeyLog::clone(&log);
            let known = log.events().len();
            let mut batch = Batch::new();
            let mut outcome = Ok(());
            for event in &verified {
                match log.append(event.clone()) {
                    Ok(()) => {}
                    Err(KeyLogError::Equivocation(proof)) => {
                        // With the events before it: a proof convicts only in its place of the log.
                        keep_proof(&proof, &mut batch)?;
                        outcome = Err(Refusal::Equivocation.into());
                        break;
                    }
                    Err(_) => return Err(Refusal::KeyLog.into()),
                }
            }
            if log.events().len() == known && outcome.is_ok() {
                return Ok(());
            }
            for event in log.events().iter().skip(known) {
                batch.put(statement_block(event)?);
            }
            let names: Vec<Cid> = log.events().iter().map(|event| *event.cid()).collect();
            let names = canonical::encode(&names)
                .map_err(|_error| RepoError::Damaged("a key log is too long to store"))?;
            batch.set_ref(
                layout::key_log(agent.as_bytes()),
                Expect::read(raw),
                Some(names),
            );
            if let BatchOutcome::Done { .. } = self.store.commit(batch)? {
                return outcome;
            }
        }
        Err(Rejected::Fault(RepoError::Damaged(
            "a key log keeps changing",
        )))
    }

    /// Lets go of what was read, so that it is read and verified anew.
    pub(crate) fn forget(&self) {
        lock(&self.read).clear();
    }

    /// The log, and the value of its reference. Its events are verified when they change, not each
    /// time.
    fn read(&self, agent: &AgentId) -> Result<(Option<Bytes>, Arc<KeyLog>), RepoError> {
        let bytes = agent.as_bytes();
        let said = (
            self.store.get_ref(&layout::key_log(bytes))?,
            self.store.get_ref(&layout::key_log_fork(bytes))?,
        );
        if let Some(known) = lock(&self.read).get(agent)
            && known.said == said
        {
            return Ok((said.0, Arc::clone(&known.log)));
        }
        let log = Arc::new(self.verified(agent, &said)?);
        let mut read = lock(&self.read);
        if read.len() >= LOGS_CACHED {
            read.clear();
        }
        let raw = said.0.clone();
        let known = Arc::clone(&log);
        read.insert(*agent, Read { said, log: known });
        Ok((raw, log))
    }

    fn verified(&self, agent: &AgentId, (raw, proof): &Said) -> Result<KeyLog, RepoError> {
        let mut log = KeyLog::new(*agent);
        if let Some(raw) = raw {
            let names: Vec<Cid> = canonical::decode(raw, REF_VALUE_BYTES_MAX)
                .map_err(|_error| RepoError::Damaged("a key log's index does not decode"))?;
            for name in names {
                log.append(self.event(name)?)
                    .map_err(|_error| RepoError::Damaged("a stored key log does not verify"))?;
            }
        }
        if let Some(proof) = proof {
            let pair: (Cid, Cid) = canonical::decode(proof, REF_VALUE_BYTES_MAX)
                .map_err(|_error| RepoError::Damaged("a proof of equivocation does not decode"))?;
            for name in [pair.0, pair.1] {
                // The second of the two ends the log, as it did when it was first seen.
                drop(log.append(self.event(name)?));
            }
        }
        Ok(log)
    }

    fn event(&self, name: Cid) -> Result<Verified<KeyEvent>, RepoError> {
        let block = self.store.get(&name)?.ok_or(RepoError::Missing(name))?;
        Signed::<KeyEvent>::decode(block.into_bytes())
            .ok()
            .and_then(|signed| signed.verify().ok())
            .ok_or(RepoError::Damaged("a stored key event does not verify"))
    }
}

/// Keeps both events as proof (IDENT-13): from now on neither is trusted.
fn keep_proof(proof: &Equivocation, batch: &mut Batch) -> Result<(), RepoError> {
    let [first, second] = proof.statements();
    batch.put(statement_block(first)?);
    batch.put(statement_block(second)?);
    let pair = canonical::encode(&(first.cid(), second.cid()))
        .map_err(|_error| RepoError::Damaged("a proof of equivocation does not encode"))?;
    let name = layout::key_log_fork(proof.agent().as_bytes());
    batch.set_ref(name, Expect::Any, Some(pair));
    Ok(())
}

/// Whether `signer` may sign for the log's agent: it is the agent's key or one of its devices
/// (REPO-13).
pub(crate) fn speaks(log: &KeyLog, signer: &PublicKey) -> bool {
    log.agent().key() == signer || log.is_device(&DeviceId::from(*signer))
}

/// The block of a verified statement.
pub(crate) fn statement_block<T>(statement: &Verified<T>) -> Result<Block, RepoError> {
    Block::new(Codec::DagCbor, statement.bytes().clone())
        .map_err(|_error| RepoError::Damaged("a statement is larger than a block"))
}
