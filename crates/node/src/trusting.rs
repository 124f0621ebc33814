//! What the node's agent says of others, what others say, and what is taken from whom (RECS).

mod decisions;
mod denials;
mod gathering;
mod heeding;
mod judging;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_identity::{AgentId, Decision, KeyLog, PublicKey, Verified};
use allod_repo::{Agents, BranchName, Content, Reach, Repo, RepoError, SpaceId};
use allod_tree::Tree;
use allod_trust::{Counted, KEEP_MAX, Keep, KeyLogs, Moment, Predicates, Record, Register};
use bytes::Bytes;
use cid::Cid;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::node::Node;
use crate::recovering::Said;

use decisions::DecisionLog;
pub(crate) use denials::denials_of;
pub(crate) use heeding::Heeding;
pub(crate) use judging::judge_of;

/// What records are kept under; the text of the CID follows.
const RECORDS: &str = "trust/";

/// What key events are kept under that records need.
const KEY_EVENTS: &str = "trust/keys/";

/// What is said of recoveries is kept under this.
const RECOVERIES: &str = "trust/recovery/";

/// The name of a new public space.
const PUBLIC: &str = "public";

/// How often a change is tried beside others.
const TRIES: u32 = 16;

/// What is known of who says what of whom.
pub(crate) struct Trusting {
    known: Mutex<Known>,
    predicates: Mutex<Arc<Predicates>>,
    decisions: DecisionLog,
    /// Held by who reads spaces, and by who makes one: one at a time.
    gathering: Mutex<()>,
    making: Mutex<()>,
}

#[derive(Default)]
struct Known {
    register: Register,
    /// Of each public space how far it was read.
    read: BTreeMap<SpaceId, Tree>,
    /// What counts, and how much was learned of agents when that was found.
    moment: Option<(u64, Arc<Moment>)>,
    is_gathered: bool,
    /// By what each space was judged anew last.
    judged: BTreeMap<SpaceId, Basis>,
    /// How often the register has changed.
    changes: u64,
}

/// What a judgement rests on: what was learned of agents, how often the register changed, and the state of `meta`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Basis {
    learned: u64,
    changes: u64,
    meta: Cid,
}

/// Key logs as a store has them, each looked at once.
struct StoredLogs {
    agents: Agents,
    at_hand: RefCell<BTreeMap<AgentId, Option<Arc<KeyLog>>>>,
}

impl StoredLogs {
    fn new(agents: Agents) -> Self {
        let at_hand = RefCell::default();
        Self { agents, at_hand }
    }

    fn of(&self, agent: &AgentId) -> Option<Arc<KeyLog>> {
        let mut at_hand = self.at_hand.borrow_mut();
        let log = at_hand.entry(*agent);
        let log = log.or_insert_with(|| self.agents.key_log(agent).ok());
        log.clone()
    }
}

impl KeyLogs for StoredLogs {
    fn speaks(&self, agent: &AgentId, key: &PublicKey) -> bool {
        // A log that cannot be read lets nobody speak.
        self.of(agent).is_some_and(|log| log.speaks(key))
    }

    fn is_frozen(&self, agent: &AgentId) -> bool {
        self.of(agent)
            .is_none_or(|log| log.equivocation().is_some())
    }
}

impl Trusting {
    /// Notes a decision that was made elsewhere.
    pub(crate) fn note(&self, decision: &Decision) -> Result<(), NodeError> {
        self.decisions.note(decision)
    }

    pub(crate) fn new(home: &std::path::Path) -> Self {
        Self {
            known: Mutex::default(),
            predicates: Mutex::default(),
            decisions: DecisionLog::at(home),
            gathering: Mutex::default(),
            making: Mutex::default(),
        }
    }

    /// What counts is found anew.
    pub(crate) fn forget_moment(&self) {
        let mut known = lock(&self.known);
        known.moment = None;
        known.changes += 1;
    }
}

impl Node {
    /// The conditions of this program by which policies can ask (TRUST-42), in place of those it had.
    pub fn set_predicates(&self, predicates: Predicates) {
        *lock(&self.trusting().predicates) = Arc::new(predicates);
        self.trusting().forget_moment();
    }

    /// What counts now of the records that are known here.
    pub fn moment(&self) -> Result<Arc<Moment>, NodeError> {
        self.gather()?;
        let (now, learned) = (now_ms(), self.agents().learned());
        let (changes, register) = {
            let known = lock(&self.trusting().known);
            match &known.moment {
                Some((at, moment)) if *at == learned && moment.holds_at(now) => {
                    return Ok(Arc::clone(moment));
                }
                _ => (known.changes, known.register.clone()),
            }
        };
        // Others go on with what they have meanwhile.
        let counted = Counted::new(&register, &StoredLogs::new(self.agents()));
        let moment = Arc::new(Moment::new(Arc::new(counted), now));
        let mut known = lock(&self.trusting().known);
        if known.changes == changes {
            known.moment = Some((learned, Arc::clone(&moment)));
        }
        Ok(moment)
    }

    /// A record that is known here, whether it counts or not.
    pub fn record(&self, cid: &Cid) -> Result<Option<Record>, NodeError> {
        self.gather()?;
        Ok(lock(&self.trusting().known).register.get(cid).cloned())
    }

    /// The agent's public space, if there is one here (RECS-2).
    pub fn public_space(&self) -> Result<Option<Repo>, NodeError> {
        let agent = self.agent()?;
        let mut found: Option<Repo> = None;
        for (_, id) in self.spaces()? {
            let repo = self.repo(id)?;
            let is_it = repo.is_owner(&agent) && repo.reach()? == Reach::Public;
            if is_it && found.as_ref().is_none_or(|least| id < least.id()) {
                found = Some(repo);
            }
        }
        Ok(found)
    }

    /// Says something for the agent: keeps the record in its public space, which is made if there is none.
    pub fn say(&self, record: impl Into<Record>) -> Result<Cid, NodeError> {
        let record = record.into();
        let cid = *record.cid();
        self.keep_records(vec![record])?;
        Ok(cid)
    }

    /// Keeps records, also those of others, in the agent's public space with the key events that they need.
    pub fn keep_records(&self, records: Vec<Record>) -> Result<(), NodeError> {
        let public = {
            let _one_at_a_time = lock(&self.trusting().making);
            match self.public_space()? {
                Some(public) => public,
                None => self.make_public()?,
            }
        };
        let mut entries: BTreeMap<String, Bytes> = BTreeMap::new();
        for record in &records {
            entries.insert(format!("{RECORDS}{}", record.cid()), record.bytes().clone());
            let log = self.agents().key_log(record.by())?;
            for event in log.known() {
                entries.insert(
                    format!("{KEY_EVENTS}{}", event.cid()),
                    event.bytes().clone(),
                );
            }
        }
        self.write_public(&public, &entries)
    }

    /// Keeps what a guardian or an owner says of a recovery in the agent's public space, if it has one (RECS-5).
    pub(crate) fn tell_of_recovery(&self, said: &Said) -> Result<(), NodeError> {
        // Who acts for nobody has none.
        let public = self.agent().ok().map(|_agent| self.public_space());
        let Some(public) = public.transpose()?.flatten() else {
            return Ok(());
        };
        let key = format!("{RECOVERIES}{}", said.name());
        self.write_public(&public, &BTreeMap::from([(key, said.bytes().clone())]))
    }

    /// Writes what is not there yet.
    fn write_public(
        &self,
        public: &Repo,
        entries: &BTreeMap<String, Bytes>,
    ) -> Result<(), NodeError> {
        let main = BranchName::main();
        let message = "Say something of others";
        let author = self.author()?;
        let made = public.transact(&main, author, message, (TRIES, now_ms()), |tx| {
            for (key, value) in entries {
                if tx.get(key.as_bytes())?.is_none() {
                    tx.put(key.clone(), value.clone())?;
                }
            }
            Ok(())
        });
        match made {
            // It was said before.
            Ok(_) | Err(RepoError::NothingStaged) => {}
            Err(error) => return Err(error.into()),
        }
        self.gather_from(public)?;
        self.touch();
        Ok(())
    }

    /// Stands by what a key said for the agent that is going to speak for it no more (TRUST-14). How many records.
    pub fn keep_said_by(&self, signer: &PublicKey) -> Result<usize, NodeError> {
        self.gather()?;
        let (agent, logs) = (self.agent()?, StoredLogs::new(self.agents()));
        let said = {
            let known = lock(&self.trusting().known);
            known.register.to_keep(&agent, signer, &logs)
        };
        let mut keeps = Vec::new();
        for some in said.chunks(KEEP_MAX) {
            let mut of = some.to_vec();
            of.sort_by_key(Cid::to_bytes);
            let keep = Keep {
                by: agent,
                of,
                at: now_ms(),
            };
            keeps.push(Record::from(Verified::sign(self.device_key()?, keep)?));
        }
        if !keeps.is_empty() {
            self.keep_records(keeps)?;
        }
        Ok(said.len())
    }

    /// The decisions that are noted, the newest first.
    pub fn decisions(&self) -> Result<Vec<Decision>, NodeError> {
        self.trusting().decisions.read()
    }

    fn make_public(&self) -> Result<Repo, NodeError> {
        let mut name = PUBLIC.to_owned();
        let mut number = 1;
        loop {
            match self.check_free(&name) {
                Ok(()) => break,
                Err(NodeError::NameTaken(_)) => {
                    number += 1;
                    name = format!("{PUBLIC}-{number}");
                }
                Err(error) => return Err(error),
            }
        }
        let current = self.space(None).ok();
        let repo = self.create_space(&name)?;
        repo.set_reach(Reach::Public, self.author()?, now_ms())?;
        if let Some(current) = current {
            self.use_space(&current)?;
        }
        Ok(repo)
    }
}

/// The bytes of a value that is in the tree itself.
fn inline(content: Option<Content>) -> Option<Bytes> {
    match content {
        Some(Content::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}
