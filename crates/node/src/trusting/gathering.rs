//! Records and key events that public spaces have (RECS-1, RECS-3).

use std::collections::BTreeMap;

use allod_identity::{AgentId, KeyEvent, Signed};
use allod_repo::{BranchName, Entry, Reach, Repo};
use allod_trust::Record;
use bytes::Bytes;

use crate::error::NodeError;
use crate::hooks::lock;
use crate::node::Node;
use crate::recovering::Said;

use super::{KEY_EVENTS, RECORDS, RECOVERIES, inline};

/// Key events that are learned at once: a log has as many.
const EVENTS_AT_ONCE: usize = 512;

/// Key events by agent, each with its position.
type Events = BTreeMap<AgentId, Vec<(u64, Bytes)>>;

impl Node {
    /// Reads the records in all public spaces here, once.
    pub fn gather(&self) -> Result<(), NodeError> {
        // Who judges does not wait for whoever reads a space meanwhile.
        if lock(&self.trusting().known).is_gathered {
            return Ok(());
        }
        {
            let _one_at_a_time = lock(&self.trusting().gathering);
            if lock(&self.trusting().known).is_gathered {
                return Ok(());
            }
            for (_, id) in self.spaces()? {
                let read = self.repo(id).and_then(|repo| self.read_records(&repo));
                if read.is_err() {
                    // What it has is not known, and what rests on that cannot be told.
                    lock(&self.trusting().known).register.note_missing();
                }
            }
            lock(&self.trusting().known).is_gathered = true;
        }
        self.heed()
    }

    /// The same of one space, if it is public.
    pub(crate) fn gather_from(&self, repo: &Repo) -> Result<(), NodeError> {
        let learned = self.agents().learned();
        let is_new = {
            let _one_at_a_time = lock(&self.trusting().gathering);
            // Before all were read, this one is read with them.
            lock(&self.trusting().known).is_gathered && self.read_records(repo)?
        };
        if !is_new {
            return Ok(());
        }
        if self.agents().learned() == learned {
            self.judge_again()
        } else {
            self.heed()
        }
    }

    /// Whether there was something new.
    fn read_records(&self, repo: &Repo) -> Result<bool, NodeError> {
        if repo.reach()? != Reach::Public {
            return Ok(false);
        }
        let tree = repo.state(&BranchName::main())?.tree().clone();
        let before = lock(&self.trusting().known).read.get(&repo.id()).cloned();
        let before = before.unwrap_or_else(allod_tree::Tree::empty);
        if before.root() == tree.root() {
            return Ok(false);
        }
        let (mut records, mut events) = (Vec::new(), Events::new());
        let mut recoveries = Vec::new();
        for change in before.diff(&tree) {
            let change = change.map_err(allod_repo::RepoError::from)?;
            let (Some(entry), Ok(key)) = (change.right, std::str::from_utf8(&change.key)) else {
                continue;
            };
            if !key.starts_with(RECORDS) {
                continue;
            }
            // One that does not decode, or is not here, is none.
            let content = Entry::decode(&entry).ok();
            let content = content.and_then(|entry| repo.view(tree.clone()).content(&entry).ok());
            let Some(bytes) = inline(content.flatten()) else {
                continue;
            };
            if let Some(cid) = key.strip_prefix(KEY_EVENTS) {
                note_event(cid, bytes, &mut events);
            } else if let Some(cid) = key.strip_prefix(RECOVERIES) {
                let said = Said::read(&bytes).ok();
                recoveries.extend(said.filter(|said| said.name().to_string() == cid));
            } else {
                records.extend(record(&key[RECORDS.len()..], bytes));
            }
        }
        for (agent, mut events) in events {
            // The first come first; and what somebody else put among them keeps none of the others away.
            events.sort_by_key(|(seq, _)| *seq);
            for some in events.chunks(EVENTS_AT_ONCE) {
                let some: Vec<Bytes> = some.iter().map(|(_, event)| event.clone()).collect();
                match self.agents().learn(&agent, &some) {
                    // What follows from nothing is passed over.
                    Ok(()) | Err(allod_repo::Rejected::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for said in recoveries {
            match self.hear(&said) {
                // Whoever has no say there is not heard.
                Ok(_) | Err(NodeError::Recovery(_)) => {}
                Err(error) => return Err(error),
            }
        }
        {
            let mut known = lock(&self.trusting().known);
            for record in records {
                // What finds no room is remembered as missing (TRUST-16).
                let _is_new = known.register.add(record);
            }
            known.moment = None;
            known.changes += 1;
            known.read.insert(repo.id(), tree);
        }
        Ok(true)
    }
}

/// The record that a value is, if it has this name.
fn record(name: &str, bytes: Bytes) -> Option<Record> {
    let record = Record::decode(bytes).ok()?;
    (record.cid().to_string() == name).then_some(record)
}

fn note_event(name: &str, bytes: Bytes, events: &mut Events) {
    let signed = Signed::<KeyEvent>::decode(bytes.clone()).ok();
    let Some(event) = signed.and_then(|signed| signed.verify().ok()) else {
        return;
    };
    if event.cid().to_string() == name {
        let said = event.payload();
        events
            .entry(said.agent)
            .or_default()
            .push((said.seq, bytes));
    }
}
