//! Deltas that come: judged, given to the store, answered once they are durable (FED-15, FED-20 to FED-23).

use std::collections::VecDeque;
use std::sync::Arc;

use allod_deltas::{Appended, Conflict, Delta};

use super::{Link, Output, Role};
use crate::event::{Event, Status};
use crate::limits::{APPEND_DELTAS, PENDING_BYTES, PENDING_DELTAS, close};
use crate::message::{Message, Sent};
use crate::policy::Verdict;

/// Why what was redacted does not come again.
const REDACTED: &str = "It was redacted here";

/// What waits for the store, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    waiting: VecDeque<Item>,
    /// Bytes of what waits and what the store was given, as they came.
    bytes: usize,
    /// What the store was given, and whether each is to be acknowledged.
    appending: Option<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    delta: Arc<Delta>,
    acked: bool,
    bytes: usize,
}

#[derive(Debug)]
enum Item {
    Delta(Waiting),
    /// All before is durable: this is where this side stands with the peer.
    Mark(Mark),
}

/// What is said once everything before it is durable.
#[derive(Debug)]
enum Mark {
    Cursor(String),
    Synced(u64, Option<String>),
}

impl Inbound {
    /// Whether nothing more is to come for now (FED-15). Marks count as well: a peer could send those alone.
    pub(super) fn is_full(&self) -> bool {
        let appending = self.appending.as_ref().map_or(0, Vec::len);
        self.waiting.len() + appending >= PENDING_DELTAS || self.bytes >= PENDING_BYTES
    }
}

impl Link {
    /// Takes deltas of the peer; `acked` says whether they are to be answered if all is well.
    pub(super) fn take(
        &mut self,
        now_ms: u64,
        deltas: Vec<Sent>,
        acked: bool,
        cursor: Option<String>,
    ) {
        self.read_at_ms = self
            .deltas
            .take(deltas.len() as u64, now_ms)
            .max(self.read_at_ms);
        // Each is taken for as long as the others of its frame.
        let bytes = self.frame_bytes / deltas.len().max(1);
        for sent in deltas {
            match sent {
                Err(bad) => self.reject(now_ms, bad.id, &bad.error.to_string()),
                Ok(delta) => {
                    let waiting = Waiting {
                        delta,
                        acked,
                        bytes,
                    };
                    self.take_one(now_ms, waiting);
                }
            }
        }
        if let Some(cursor) = cursor.filter(|_| self.peer.is_whole) {
            self.inbound
                .waiting
                .push_back(Item::Mark(Mark::Cursor(cursor)));
        }
    }

    fn take_one(&mut self, now_ms: u64, waiting: Waiting) {
        let delta = &waiting.delta;
        let id = Some(delta.id().to_owned());
        if let Err(words) = self.may_take(delta) {
            self.reject(now_ms, id, words);
            return;
        }
        match self.rules.trust.judge(delta, &self.config.trust) {
            Verdict::Accept => {
                self.came(waiting.delta.id());
                self.inbound.bytes += waiting.bytes;
                self.inbound.waiting.push_back(Item::Delta(waiting));
            }
            Verdict::Quarantine => {
                let delta = Arc::clone(delta);
                self.event(Event::DeltaQuarantined { delta });
                self.reject(now_ms, id, "Quarantined until somebody lets it in");
            }
            Verdict::Reject => self.reject(now_ms, id, "Failed trust policy verification"),
        }
    }

    /// The peer has a delta, whatever becomes of it here (FED-18).
    fn came(&mut self, id: &str) {
        self.known.insert(id);
        self.from_peer.insert(id);
    }

    /// Whether mode and filters let a delta in (FED-21).
    fn may_take(&self, delta: &Delta) -> Result<(), &'static str> {
        let (mode, of_link) = match self.role {
            Role::Client => (self.config.mode.server_sends(), &self.config.pull_filter),
            Role::Server => (self.config.mode.client_sends(), &self.config.push_filter),
        };
        if !mode {
            return Err("The mode of the link does not allow it");
        }
        let filters = [of_link, &self.rules.take];
        let mut filters = filters.into_iter().flatten();
        if filters.any(|filter| !filter.matches(delta)) {
            return Err("The filter of the link does not allow it");
        }
        Ok(())
    }

    fn reject(&mut self, now_ms: u64, id: Option<String>, reason: &str) {
        self.reject_in_words(now_ms, id, (reason, reason));
    }

    /// Refuses a delta, with a reason for the program here and one for the peer.
    fn reject_in_words(&mut self, now_ms: u64, id: Option<String>, (words, reason): (&str, &str)) {
        self.stats.deltas_rejected += 1;
        self.event(Event::DeltaRejected {
            id: id.clone(),
            reason: words.to_owned(),
            by_peer: false,
        });
        if let Some(delta_id) = id {
            self.came(&delta_id);
            let reason = reason.to_owned();
            self.send(now_ms, &Message::DeltaNack { delta_id, reason });
        }
    }

    /// Gives the store what waits, if it is free.
    pub(super) fn append_next(&mut self) {
        if self.inbound.appending.is_some() {
            return;
        }
        let mut taken = Vec::new();
        while taken.len() < APPEND_DELTAS
            && let Some(Item::Delta(_)) = self.inbound.waiting.front()
            && let Some(Item::Delta(waiting)) = self.inbound.waiting.pop_front()
        {
            taken.push(waiting);
        }
        if taken.is_empty() {
            return;
        }
        let deltas = taken
            .iter()
            .map(|waiting| Arc::clone(&waiting.delta))
            .collect();
        self.inbound.appending = Some(taken);
        self.out.push_back(Output::Append(deltas));
    }

    /// The store has said what became of them: only now they are acknowledged (FED-15).
    pub(super) fn on_appended(&mut self, now_ms: u64, said: Option<Vec<Appended>>) {
        let Some(appending) = self.inbound.appending.take() else {
            return;
        };
        let Some(said) = said.filter(|said| said.len() == appending.len()) else {
            self.close(close::INTERNAL, "the store failed", Status::Error);
            return;
        };
        let mut acks = Vec::new();
        for (waiting, said) in appending.into_iter().zip(said) {
            let Waiting {
                delta,
                acked,
                bytes,
            } = waiting;
            self.inbound.bytes = self.inbound.bytes.saturating_sub(bytes);
            let refused = match &said {
                Appended::Conflict(_) => (Conflict::CODE, Conflict::CODE),
                Appended::Redacted => (REDACTED, REDACTED),
                // The words of a hook stay here (HOOK-3).
                Appended::Refused(words) => (words.as_str(), "It is not taken here"),
                _ => {
                    self.stats.deltas_received += 1;
                    if acked {
                        acks.push(delta.id().to_owned());
                    }
                    self.event(Event::DeltaReceived { delta });
                    continue;
                }
            };
            self.reject_in_words(now_ms, Some(delta.id().to_owned()), refused);
        }
        self.acknowledge(now_ms, acks);
    }

    fn acknowledge(&mut self, now_ms: u64, acks: Vec<String>) {
        if self.can("delta_batch") && acks.len() > 1 {
            self.send(now_ms, &Message::DeltaAckBatch { delta_ids: acks });
            return;
        }
        for delta_id in acks {
            self.send(now_ms, &Message::DeltaAck { delta_id });
        }
    }

    pub(super) fn on_sync_start(&mut self, total_deltas: u64) {
        self.peer.syncs = true;
        if self.status == Status::Connected {
            self.status = Status::Syncing;
        }
        self.event(Event::SyncStarted { total_deltas });
    }

    pub(super) fn on_sync_complete(&mut self, deltas_processed: u64, cursor: Option<String>) {
        let cursor = self.peer.cursor_after.take().or(cursor);
        // What follows is told apart from what comes before by its place in what waits.
        self.peer.is_whole |= cursor.is_some();
        let mark = Mark::Synced(deltas_processed, cursor);
        self.inbound.waiting.push_back(Item::Mark(mark));
    }

    /// Marks at the front of what waits have nothing before them that is not durable.
    pub(super) fn pass_marks(&mut self, now_ms: u64) {
        while self.inbound.appending.is_none()
            && let Some(Item::Mark(_)) = self.inbound.waiting.front()
            && let Some(Item::Mark(mark)) = self.inbound.waiting.pop_front()
        {
            match mark {
                Mark::Cursor(cursor) => self.stand_at(cursor),
                Mark::Synced(deltas_processed, cursor) => {
                    self.peer.syncs = false;
                    if self.status == Status::Syncing {
                        self.status = Status::Connected;
                    }
                    self.stats.last_sync_ms = Some(now_ms);
                    self.event(Event::SyncCompleted { deltas_processed });
                    if let Some(cursor) = cursor {
                        self.stand_at(cursor);
                    }
                }
            }
        }
    }

    fn stand_at(&mut self, cursor: String) {
        if self.role == Role::Client && self.can("cursors") {
            self.positions.theirs = Some(cursor);
            self.out.push_back(Output::Save(self.positions.clone()));
        }
    }
}
