//! The key logs a store knows: who acts for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Codec, Expect, REF_VALUE_BYTES_MAX, Store};
use allod_identity::{
    AgentId, KEYLOG_EVENTS_MAX, KeyEvent, KeyLog, PublicKey, Signed, Verified, canonical,
};
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::layout;
use crate::repo::lock;

/// How often a compare-and-swap is tried again before the caller hears of it.
const TRIES: u32 = 16;

/// Events of one agent that are looked at, at most: two logs that contradict each other, and what is beside them.
const LOG_EVENTS_MAX: usize = 2 * KEYLOG_EVENTS_MAX + 64;

/// Key logs kept at hand; one is a few KiB, and at most half a megabyte.
const LOGS_CACHED: usize = 256;

/// The key logs in a store. Clones share what they keep at hand.
#[derive(Clone, Debug)]
pub struct Agents {
    store: Arc<dyn Store>,
    read: Arc<Mutex<BTreeMap<AgentId, Read>>>,
    learned: Arc<AtomicU64>,
}

/// A log as it was read when its reference said so.
#[derive(Debug)]
struct Read {
    said: Option<Bytes>,
    log: Arc<KeyLog>,
}

impl Agents {
    /// The key logs of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            read: Arc::default(),
            learned: Arc::default(),
        }
    }

    /// The store that they are in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The key log of an agent; empty for one that is not known.
    pub fn key_log(&self, agent: &AgentId) -> Result<Arc<KeyLog>, RepoError> {
        self.read(agent).map(|(_, log)| log)
    }

    /// Takes in events of `agent` that are not known yet, in any order; known ones are skipped, so a log may be sent
    /// whole. What contradicts the log is kept as proof (IDENT-13), and told to others.
    ///
    /// # Errors
    /// [`Refusal::KeyLog`] if something is no event of the agent, or follows from nothing; [`Refusal::Signature`].
    pub fn learn(&self, agent: &AgentId, events: &[Bytes]) -> Result<(), Rejected> {
        // A peer tells its log in each session, and nearly always it is known.
        let verified = verified(events, &*self.key_log(agent)?)?;
        if verified.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            let (raw, log) = self.read(agent)?;
            let mut log = KeyLog::clone(&log);
            let learned = log
                .learn(verified.clone())
                .map_err(|_error| Refusal::KeyLog)?;
            let outcome = if learned.unsound {
                Err(Refusal::KeyLog.into())
            } else {
                Ok(())
            };
            if !learned.changed {
                return outcome;
            }
            let mut batch = Batch::new();
            for event in log.known() {
                batch.put(statement_block(event)?);
            }
            let names: Vec<Cid> = log.known().map(|event| *event.cid()).collect();
            let names = canonical::encode(&names)
                .map_err(|_error| RepoError::Damaged("a key log is too long to store"))?;
            let name = layout::key_log(agent.as_bytes());
            let said = Some(Bytes::from(names));
            batch.set_ref(name, Expect::read(raw), said.clone());
            if let BatchOutcome::Done { .. } = self.store.commit(batch)? {
                // Verified just now: it need not be once more.
                self.keep_at_hand(agent, said, Arc::new(log));
                self.learned.fetch_add(1, Ordering::Relaxed);
                return outcome;
            }
        }
        Err(Rejected::Fault(RepoError::Damaged(
            "a key log keeps changing",
        )))
    }

    /// How often something was learned through this handle and its clones.
    #[must_use]
    pub fn learned(&self) -> u64 {
        self.learned.load(Ordering::Relaxed)
    }

    /// What the log of `agent` would be with these events; nothing is kept of them.
    ///
    /// # Errors
    /// As those of [`learn`](Self::learn).
    pub fn with(&self, agent: &AgentId, events: &[Bytes]) -> Result<KeyLog, Rejected> {
        let mut log = KeyLog::clone(&*self.key_log(agent)?);
        let learned = log
            .learn(verified(events, &log)?)
            .map_err(|_error| Refusal::KeyLog)?;
        if learned.unsound {
            return Err(Refusal::KeyLog.into());
        }
        Ok(log)
    }

    /// Lets go of what was read, so that it is read and verified anew.
    pub(crate) fn forget(&self) {
        lock(&self.read).clear();
    }

    /// The log, and the value of its reference. Its events are verified when they change, not each
    /// time.
    fn read(&self, agent: &AgentId) -> Result<(Option<Bytes>, Arc<KeyLog>), RepoError> {
        let said = self.store.get_ref(&layout::key_log(agent.as_bytes()))?;
        if let Some(known) = lock(&self.read).get(agent)
            && known.said == said
        {
            return Ok((said, Arc::clone(&known.log)));
        }
        let log = Arc::new(self.verified(agent, said.as_ref())?);
        self.keep_at_hand(agent, said.clone(), Arc::clone(&log));
        Ok((said, log))
    }

    fn keep_at_hand(&self, agent: &AgentId, said: Option<Bytes>, log: Arc<KeyLog>) {
        let mut read = lock(&self.read);
        if read.len() >= LOGS_CACHED {
            read.clear();
        }
        read.insert(*agent, Read { said, log });
    }

    fn verified(&self, agent: &AgentId, said: Option<&Bytes>) -> Result<KeyLog, RepoError> {
        let mut log = KeyLog::new(*agent);
        let Some(said) = said else { return Ok(log) };
        let names: Vec<Cid> = canonical::decode(said, REF_VALUE_BYTES_MAX)
            .map_err(|_error| RepoError::Damaged("a key log's index does not decode"))?;
        let events = names.iter().map(|name| self.event(*name));
        let events: Vec<_> = events.collect::<Result<_, _>>()?;
        match log.learn(events) {
            Ok(learned) if !learned.unsound => Ok(log),
            _ => Err(RepoError::Damaged("a stored key log does not verify")),
        }
    }

    fn event(&self, name: Cid) -> Result<Verified<KeyEvent>, RepoError> {
        let block = self.store.get(&name)?.ok_or(RepoError::Missing(name))?;
        Signed::<KeyEvent>::decode(block.into_bytes())
            .ok()
            .and_then(|signed| signed.verify().ok())
            .ok_or(RepoError::Damaged("a stored key event does not verify"))
    }
}

/// Of some events those that a log does not have, verified.
fn verified(events: &[Bytes], log: &KeyLog) -> Result<Vec<Verified<KeyEvent>>, Rejected> {
    if events.len() > LOG_EVENTS_MAX {
        return Err(Refusal::KeyLog.into());
    }
    let known: BTreeSet<&Bytes> = log.known().map(Verified::bytes).collect();
    let mut verified = Vec::new();
    for event in events.iter().filter(|event| !known.contains(event)) {
        let signed = Signed::<KeyEvent>::decode(event.clone()).map_err(|_error| Refusal::KeyLog)?;
        verified.push(signed.verify().map_err(|_error| Refusal::Signature)?);
    }
    Ok(verified)
}

/// Whether `signer` speaks for the log's agent, or spoke for it (REPO-13).
pub(crate) fn spoke(log: &KeyLog, signer: &PublicKey) -> bool {
    log.standing(signer).is_some()
}

/// The block of a verified statement.
pub(crate) fn statement_block<T>(statement: &Verified<T>) -> Result<Block, RepoError> {
    Block::new(Codec::DagCbor, statement.bytes().clone())
        .map_err(|_error| RepoError::Damaged("a statement is larger than a block"))
}
