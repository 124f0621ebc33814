//! What arrives in the store goes to the peer: in a window, until it is acknowledged (FED-16 to FED-18).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use allod_deltas::{Cursor, Delta, DeltaFilter, Place};

use super::{Link, Output, ReadFault, ReadReply, ReadRequest, Role};
use crate::event::{Event, Status};
use crate::limits::{
    BATCH_BYTES_MAX, PUMP_PAGE, QUEUE_DELTAS, RESEND_MS, SENDS_MAX, WINDOW_BYTES, WINDOW_DELTAS,
    close,
};
use crate::message::Message;

/// Where the pump begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// With what comes from now on.
    Now,
    /// After a cursor.
    Cursor(Cursor),
}

/// What is read next.
#[derive(Clone, Debug, Default)]
enum Source {
    /// Nothing.
    #[default]
    Off,
    /// The end of the store: to go on from there, or after everything before it.
    End { everything: bool },
    /// Everything, in order; then what arrived after a cursor.
    Scan { after: Option<Place>, then: Cursor },
    /// What arrived after a cursor.
    Arrivals(Cursor),
}

/// What is sent as it comes, and not yet acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Pump {
    source: Source,
    /// Whether there is nothing more to read until something arrives.
    at_end: bool,
    /// Whether something arrived since the last read was asked for: its answer may be older than that.
    arrived: bool,
    paused: bool,
    /// What was read, in order: each page is done when nothing of it is open.
    pages: VecDeque<Sent>,
    unacked: BTreeMap<String, Unacked>,
    unacked_bytes: usize,
    queue: VecDeque<Arc<Delta>>,
    /// Those of the queue that are on their way.
    asked_for: BTreeSet<String>,
}

#[derive(Debug)]
struct Sent {
    open: BTreeSet<String>,
    /// Where the store was after the page, if that is known.
    after: Option<Cursor>,
}

#[derive(Debug)]
struct Unacked {
    delta: Arc<Delta>,
    bytes: usize,
    at_ms: u64,
    sends: u32,
}

impl Pump {
    pub(super) fn begin(&mut self, from: From) {
        self.at_end = false;
        self.source = match from {
            From::Now => Source::End { everything: false },
            From::Cursor(cursor) => Source::Arrivals(cursor),
        };
    }

    pub(super) const fn arrived(&mut self) {
        self.at_end = false;
        self.arrived = true;
    }

    /// A read is asked for now.
    pub(super) const fn asked(&mut self) {
        self.arrived = false;
    }

    pub(super) const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether there is room in the window.
    pub(super) fn has_room(&self) -> bool {
        !self.paused
            && self.unacked.len() + PUMP_PAGE <= WINDOW_DELTAS
            && self.unacked_bytes < WINDOW_BYTES
    }

    pub(super) fn request(&self) -> Option<ReadRequest> {
        if self.at_end || !self.has_room() {
            return None;
        }
        match &self.source {
            Source::Off => None,
            Source::End { .. } => Some(ReadRequest::End),
            Source::Scan { after, .. } => Some(ReadRequest::Scan {
                filter: Box::new(DeltaFilter::all()),
                after: after.clone(),
                limit: PUMP_PAGE,
            }),
            Source::Arrivals(after) => Some(ReadRequest::Arrivals {
                after: *after,
                limit: PUMP_PAGE,
            }),
        }
    }

    pub(super) fn resend_at(&self) -> Option<u64> {
        if self.paused {
            return None;
        }
        let sent = self.unacked.values().map(|unacked| unacked.at_ms);
        sent.min().map(|at_ms| at_ms.saturating_add(RESEND_MS))
    }

    /// Ends a page that has these deltas open, and where the store was after it.
    fn page(&mut self, open: BTreeSet<String>, after: Option<Cursor>) {
        // Pages without anything to send are as good as one.
        match self.pages.back_mut() {
            Some(last) if open.is_empty() && last.open.is_empty() => {
                last.after = after.or(last.after);
            }
            _ => self.pages.push_back(Sent { open, after }),
        }
    }

    /// An id is answered; where the store was after the last page that is done, if one is.
    fn answered(&mut self, id: &str) -> bool {
        self.asked_for.remove(id);
        let Some(unacked) = self.unacked.remove(id) else {
            return false;
        };
        self.unacked_bytes -= unacked.bytes;
        for page in &mut self.pages {
            page.open.remove(id);
        }
        true
    }

    fn done(&mut self) -> Option<Cursor> {
        let mut done = None;
        while self.pages.front().is_some_and(|page| page.open.is_empty()) {
            let page = self.pages.pop_front();
            done = page.and_then(|page| page.after).or(done);
        }
        done
    }
}

impl Link {
    pub(super) fn on_pumped(&mut self, now_ms: u64, reply: Result<ReadReply, ReadFault>) {
        match (reply, self.pump.source.clone()) {
            (Ok(ReadReply::End(end)), Source::End { everything }) => {
                self.pump.source = if everything {
                    Source::Scan {
                        after: None,
                        then: end,
                    }
                } else {
                    Source::Arrivals(end)
                };
            }
            (Ok(ReadReply::Scan(page)), Source::Scan { then, .. }) => {
                let after = page.next.is_none().then_some(then);
                self.pump.source = match page.next {
                    Some(next) => Source::Scan {
                        after: Some(next),
                        then,
                    },
                    None => Source::Arrivals(then),
                };
                self.send_page(now_ms, page.deltas, after);
            }
            (Ok(ReadReply::Arrivals(arrivals)), Source::Arrivals(_)) => {
                self.pump.source = Source::Arrivals(arrivals.next);
                self.pump.at_end = !arrivals.more && !self.pump.arrived;
                self.send_page(now_ms, arrivals.deltas, Some(arrivals.next));
            }
            // What is older than the store knows: everything is sent instead (FED-32).
            (Err(ReadFault::Expired), Source::Arrivals(_)) => {
                self.pump.source = Source::End { everything: true };
            }
            _ => {}
        }
    }

    /// Whether a delta may go to the peer (FED-21).
    pub(super) fn may_send(&self, delta: &Delta) -> bool {
        let (mode, of_link) = match self.role {
            Role::Client => (self.config.mode.client_sends(), &self.config.push_filter),
            Role::Server => (self.config.mode.server_sends(), &self.config.pull_filter),
        };
        let meets = |filter: &Option<DeltaFilter>| {
            filter.as_ref().is_none_or(|filter| filter.matches(delta))
        };
        mode && meets(of_link) && meets(&self.rules.give)
    }

    /// Sends what of a page may go to the peer and is not known there.
    pub(super) fn send_page(
        &mut self,
        now_ms: u64,
        mut deltas: Vec<Arc<Delta>>,
        after: Option<Cursor>,
    ) {
        deltas.retain(|delta| {
            self.may_send(delta)
                && !self.known.contains(delta.id())
                && !self.nacked.contains(delta.id())
                && !self.pump.unacked.contains_key(delta.id())
        });
        let open = deltas.iter().map(|delta| delta.id().to_owned()).collect();
        self.pump.page(open, after);
        let is_server = self.role == Role::Server && self.can("cursors");
        let cursor = after.filter(|_| is_server).map(|at| self.named(at));
        self.send_deltas(now_ms, deltas, cursor);
        self.save_ours();
    }

    /// Sends deltas that are not to be lost, as few messages as may be.
    fn send_deltas(&mut self, now_ms: u64, deltas: Vec<Arc<Delta>>, mut cursor: Option<String>) {
        let mut left: VecDeque<Arc<Delta>> = deltas.into();
        while !left.is_empty() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(delta) = left.front() {
                let size = delta.encode().len();
                let is_full = !batch.is_empty()
                    && (bytes + size > BATCH_BYTES_MAX || !self.can("delta_batch"));
                if is_full {
                    break;
                }
                bytes += size;
                let sends = self
                    .pump
                    .unacked
                    .get(delta.id())
                    .map_or(0, |sent| sent.sends);
                let unacked = Unacked {
                    delta: Arc::clone(delta),
                    bytes: size,
                    at_ms: now_ms,
                    sends: sends + 1,
                };
                if self
                    .pump
                    .unacked
                    .insert(delta.id().to_owned(), unacked)
                    .is_none()
                {
                    self.pump.unacked_bytes += size;
                }
                self.stats.deltas_sent += 1;
                let id = delta.id().to_owned();
                self.event(Event::DeltaSent { id });
                batch.extend(left.pop_front().map(Ok));
            }
            let cursor = if left.is_empty() { cursor.take() } else { None };
            let message = if batch.len() == 1 {
                batch.pop().map(|delta| Message::Delta { delta, cursor })
            } else {
                Some(Message::DeltaBatch {
                    deltas: batch,
                    cursor,
                })
            };
            if let Some(message) = message {
                self.send(now_ms, &message);
            }
        }
    }

    /// Takes a delta that somebody wants sent; what does not fit is said so (FED-17).
    pub(super) fn enqueue(&mut self, delta: Arc<Delta>) {
        if self.pump.queue.len() >= QUEUE_DELTAS {
            self.event(Event::too_many_wait(&delta));
        } else if self.may_send(&delta) {
            self.pump.queue.push_back(delta);
        } else {
            self.event(Event::DeltaRejected {
                id: Some(delta.id().to_owned()),
                reason: "mode or filter of the link do not allow it".to_owned(),
                by_peer: false,
            });
        }
    }

    pub(super) fn send_queued(&mut self, now_ms: u64) {
        while self.pump.has_room()
            && let Some(delta) = self.pump.queue.pop_front()
        {
            let id = delta.id().to_owned();
            self.send_page(now_ms, vec![delta], None);
            if self.pump.unacked.contains_key(&id) {
                self.pump.asked_for.insert(id);
            }
        }
    }

    /// What a program wanted sent and was not answered, for the next connection: no cursor has it (FED-17).
    pub(crate) fn take_unsent(&mut self) -> VecDeque<Arc<Delta>> {
        let (unacked, asked_for) = (&mut self.pump.unacked, &self.pump.asked_for);
        let open = asked_for.iter().filter_map(|id| unacked.remove(id));
        let mut unsent: VecDeque<_> = open.map(|sent| sent.delta).collect();
        unsent.append(&mut self.pump.queue);
        unsent
    }

    pub(super) fn on_ack(&mut self, id: &str) {
        if self.pump.answered(id) {
            self.known.insert(id);
            self.save_ours();
        }
    }

    /// Refused for ever: an acknowledgement that follows changes nothing (FED-16).
    pub(super) fn on_nack(&mut self, id: String, reason: String) {
        self.pump.answered(&id);
        self.save_ours();
        if self.nacked.contains(&id) {
            return;
        }
        self.nacked.insert(&id);
        self.stats.deltas_refused += 1;
        self.event(Event::DeltaRejected {
            id: Some(id),
            reason,
            by_peer: true,
        });
    }

    fn save_ours(&mut self) {
        if let Some(done) = self.pump.done()
            && self.role == Role::Client
            && self.positions.ours != Some(done)
        {
            self.positions.ours = Some(done);
            self.out.push_back(Output::Save(self.positions.clone()));
        }
    }

    /// Sends again what was not answered for too long.
    pub(super) fn resend(&mut self, now_ms: u64) {
        if self.pump.paused {
            return;
        }
        let is_due = |sent: &&Unacked| now_ms >= sent.at_ms.saturating_add(RESEND_MS);
        let due: Vec<&Unacked> = self.pump.unacked.values().filter(is_due).collect();
        if due.iter().any(|sent| sent.sends >= SENDS_MAX) {
            self.close(
                close::POLICY,
                "the peer acknowledges nothing",
                Status::Error,
            );
            return;
        }
        let deltas = due
            .into_iter()
            .map(|sent| Arc::clone(&sent.delta))
            .collect();
        self.send_deltas(now_ms, deltas, None);
    }

    /// Begins with everything, where what differs could not be found.
    pub(super) fn pump_everything_if_off(&mut self, _now_ms: u64) {
        let may = self.role == Role::Client
            && self.rules.auto_broadcast
            && self.config.mode.client_sends();
        if may && matches!(self.pump.source, Source::Off) {
            self.pump.begin(From::Cursor(Cursor::default()));
        }
    }

    /// A cursor of this side's store, for the peer to keep (FED-32).
    pub(super) fn named(&self, cursor: Cursor) -> String {
        format!("{cursor}@{}", self.me.store)
    }

    /// What [`named`](Self::named) made, if it is of this store.
    pub(super) fn unnamed(&self, text: &str) -> Option<Cursor> {
        let (cursor, store) = text.split_once('@')?;
        cursor.parse().ok().filter(|_| store == self.me.store)
    }
}
