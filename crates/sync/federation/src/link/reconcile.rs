//! What differs between two stores that have met before by other ways (FED-31).
//!
//! ```text
//! client                                server
//!    | reconcile: estimate --------------->|   reads its ids twice: for the estimate, for symbols
//!    |<------------ reconcile_symbols -----|
//!    | reconcile_want: what it lacks ----->|   reads again, and answers as to a sync_request
//!    | delta_batch: what the server lacks->|
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::{Cursor, Delta, DeltaFilter, PAGE_MAX, Place};
use allod_sketch::{Decoder, Difference, Estimate, Sketch};
use multibase::Base;

use super::known::element_of;
use super::pump::{From, Pump};
use super::{Link, ReadFault, ReadReply, ReadRequest};
use crate::limits::{ESTIMATE_COUNTERS, PUMP_PAGE, RECONCILE_TRIES, SYMBOLS_MAX, WANT_MAX};
use crate::message::Message;

/// A server that makes symbols. It holds those, and no ids.
#[derive(Debug)]
pub(crate) struct Answering {
    theirs: Estimate,
    ours: Estimate,
    total: u64,
    have: usize,
    after: Option<Place>,
    end: Option<Cursor>,
    sketch: Option<Sketch>,
}

impl Answering {
    pub(super) fn request(&self) -> ReadRequest {
        match self.end {
            None => ReadRequest::End,
            Some(_) => scan(self.after.clone(), PAGE_MAX),
        }
    }
}

/// A client that finds what differs.
#[derive(Debug)]
pub(crate) struct Asking {
    stage: Stage,
    after: Option<Place>,
    end: Option<Cursor>,
    decoder: Decoder,
    tries: u32,
    /// What the server said of where this side stands afterwards.
    cursor: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// Reads its ids for an estimate.
    Estimating(Estimate),
    /// Waits for symbols.
    Waiting,
    /// Reads its ids again, to take them out of the symbols.
    Subtracting,
    /// Reads once more, and sends what the server lacks.
    Pushing(BTreeSet<u64>),
}

impl Asking {
    pub(super) fn request(&self, pump: &Pump) -> Option<ReadRequest> {
        match self.stage {
            Stage::Waiting => None,
            _ if self.end.is_none() => Some(ReadRequest::End),
            Stage::Pushing(_) if !pump.has_room() => None,
            Stage::Pushing(_) => Some(scan(self.after.clone(), PUMP_PAGE)),
            Stage::Estimating(_) | Stage::Subtracting => Some(scan(self.after.clone(), PAGE_MAX)),
        }
    }
}

fn scan(after: Option<Place>, limit: usize) -> ReadRequest {
    ReadRequest::Scan {
        filter: Box::new(DeltaFilter::all()),
        after,
        limit,
    }
}

fn encode(bytes: &[u8]) -> String {
    Base::Base64Url.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    Base::Base64Url.decode(text).ok()
}

impl Link {
    /// Whether a delta is in the sets that are compared: either side may send it.
    fn is_compared(&self, delta: &Delta) -> bool {
        let config = &self.config;
        let meets = |sends: bool, filter: &Option<DeltaFilter>| {
            sends && filter.as_ref().is_none_or(|filter| filter.matches(delta))
        };
        meets(config.mode.client_sends(), &config.push_filter)
            || meets(config.mode.server_sends(), &config.pull_filter)
    }

    fn elements(&self, deltas: &[Arc<Delta>]) -> Vec<u64> {
        let compared = deltas.iter().filter(|delta| self.is_compared(delta));
        compared.map(|delta| element_of(delta.id())).collect()
    }

    // --- the server ---------------------------------------------------------------------------

    pub(super) fn on_reconcile(&mut self, now_ms: u64, estimate: &str, have: u64) {
        let theirs =
            decode(estimate).and_then(|bytes| Estimate::decode(&bytes, ESTIMATE_COUNTERS).ok());
        let have = usize::try_from(have)
            .ok()
            .filter(|have| *have < SYMBOLS_MAX);
        let (Some(theirs), Some(have)) = (theirs, have) else {
            self.on_fault(now_ms, "no estimate");
            return;
        };
        if !self.may_sync(now_ms) {
            return;
        }
        self.answering = Some(Answering {
            theirs,
            ours: Estimate::new(ESTIMATE_COUNTERS),
            total: 0,
            have,
            after: None,
            end: None,
            sketch: None,
        });
    }

    pub(super) fn on_answered(&mut self, now_ms: u64, reply: Result<ReadReply, ReadFault>) {
        let Some(mut answering) = self.answering.take() else {
            return;
        };
        match reply {
            Ok(ReadReply::End(end)) => {
                answering.end = Some(end);
                self.answering = Some(answering);
            }
            Ok(ReadReply::Scan(page)) => {
                let elements = self.elements(&page.deltas);
                for element in elements {
                    match &mut answering.sketch {
                        Some(sketch) => sketch.add(element),
                        None => {
                            answering.ours.add(element);
                            answering.total += 1;
                        }
                    }
                }
                answering.after = page.next;
                if answering.after.is_some() {
                    self.answering = Some(answering);
                } else if answering.sketch.is_some() {
                    self.send_symbols(now_ms, answering);
                } else {
                    self.begin_symbols(now_ms, answering);
                }
            }
            _ => {}
        }
    }

    fn begin_symbols(&mut self, now_ms: u64, mut answering: Answering) {
        let differs = answering.ours.difference(&answering.theirs);
        let differs = usize::try_from(differs).unwrap_or(usize::MAX);
        let more = differs.saturating_mul(9) / 4;
        let more = more.saturating_add(16).saturating_add(answering.have / 2);
        let end = answering.have.saturating_add(more);
        if end > SYMBOLS_MAX {
            // Where so much differs, everything is sent (FED-31).
            answering.sketch = Some(Sketch::new(answering.have..answering.have));
            self.send_symbols(now_ms, answering);
            return;
        }
        answering.sketch = Some(Sketch::new(answering.have..end));
        self.answering = Some(answering);
    }

    fn send_symbols(&mut self, now_ms: u64, answering: Answering) {
        let symbols = answering
            .sketch
            .map(|sketch| sketch.encode(answering.total));
        let symbols = Message::ReconcileSymbols {
            total: answering.total,
            first: answering.have as u64,
            symbols: encode(&symbols.unwrap_or_default()),
            cursor: answering.end.map(|end| self.named(end)),
        };
        self.send(now_ms, &symbols);
    }

    pub(super) fn on_want(&mut self, now_ms: u64, elements: &[String]) {
        let words = elements.iter().map(|hex| u64::from_str_radix(hex, 16));
        let Ok(wanted) = words.collect::<Result<BTreeSet<u64>, _>>() else {
            self.on_fault(now_ms, "no elements");
            return;
        };
        if !self.may_sync(now_ms) {
            return;
        }
        self.serve_wanted(wanted);
    }

    // --- the client ---------------------------------------------------------------------------

    pub(super) fn begin_to_ask(&mut self) {
        self.peer.syncs = self.config.mode.server_sends();
        self.asking = Some(Asking {
            stage: Stage::Estimating(Estimate::new(ESTIMATE_COUNTERS)),
            after: None,
            end: None,
            decoder: Decoder::default(),
            tries: 0,
            cursor: None,
        });
    }

    pub(super) fn on_asked(&mut self, now_ms: u64, reply: Result<ReadReply, ReadFault>) {
        let Some(mut asking) = self.asking.take() else {
            return;
        };
        match reply {
            Ok(ReadReply::End(end)) => asking.end = Some(end),
            Ok(ReadReply::Scan(page)) => {
                asking.after = page.next;
                let is_last = asking.after.is_none();
                match &mut asking.stage {
                    Stage::Estimating(estimate) => {
                        for element in self.elements(&page.deltas) {
                            estimate.add(element);
                        }
                        if is_last {
                            self.ask_for_symbols(now_ms, &mut asking);
                        }
                    }
                    Stage::Subtracting => {
                        for element in self.elements(&page.deltas) {
                            asking.decoder.subtract(element);
                        }
                        if is_last && !self.solve(now_ms, &mut asking) {
                            return;
                        }
                    }
                    Stage::Pushing(ours) => {
                        let mut deltas = page.deltas;
                        deltas.retain(|delta| ours.contains(&element_of(delta.id())));
                        self.push_difference(now_ms, deltas, asking);
                        return;
                    }
                    Stage::Waiting => {}
                }
            }
            _ => {}
        }
        self.asking = Some(asking);
    }

    fn ask_for_symbols(&mut self, now_ms: u64, asking: &mut Asking) {
        let Stage::Estimating(estimate) = &asking.stage else {
            return;
        };
        let message = Message::Reconcile {
            estimate: encode(&estimate.encode()),
            have: asking.decoder.len() as u64,
        };
        asking.stage = Stage::Waiting;
        asking.tries += 1;
        self.send(now_ms, &message);
    }

    pub(super) fn on_symbols(
        &mut self,
        now_ms: u64,
        (total, first): (u64, u64),
        symbols: &str,
        cursor: Option<String>,
    ) {
        let Some(mut asking) = self.asking.take() else {
            return;
        };
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let sketch = decode(symbols).and_then(|bytes| {
            let room = SYMBOLS_MAX.saturating_sub(first);
            Sketch::decode(first, total, &bytes, room).ok()
        });
        let is_more = sketch
            .as_ref()
            .is_some_and(|sketch| !sketch.indices().is_empty());
        let follows = sketch.is_some_and(|sketch| asking.decoder.extend(&sketch).is_ok());
        if !matches!(asking.stage, Stage::Waiting) || !is_more || !follows {
            self.ask_for_everything(now_ms);
            return;
        }
        // Of several answers the oldest cursor misses nothing.
        asking.cursor = asking.cursor.or(cursor);
        asking.after = None;
        asking.stage = Stage::Subtracting;
        self.asking = Some(asking);
    }

    /// Finds what differs in the symbols; `false` if everything is asked for instead.
    fn solve(&mut self, now_ms: u64, asking: &mut Asking) -> bool {
        let found = asking.decoder.solve().map(std::mem::take);
        let Some(Difference { theirs, ours }) =
            found.filter(|found| found.theirs.len() <= WANT_MAX)
        else {
            if asking.tries >= RECONCILE_TRIES {
                self.ask_for_everything(now_ms);
                return false;
            }
            // The estimate is made anew: what came meanwhile differs too.
            asking.stage = Stage::Estimating(Estimate::new(ESTIMATE_COUNTERS));
            asking.after = None;
            return true;
        };
        if self.config.mode.server_sends() {
            if theirs.is_empty() {
                self.on_sync_complete(0, asking.cursor.take());
            } else {
                let elements = theirs.iter().map(|element| format!("{element:016x}"));
                let elements = elements.collect();
                self.peer.cursor_after = asking.cursor.take();
                self.send(now_ms, &Message::ReconcileWant { elements });
            }
        }
        asking.stage = Stage::Pushing(ours.into_iter().collect());
        asking.after = None;
        true
    }

    fn push_difference(&mut self, now_ms: u64, deltas: Vec<Arc<Delta>>, asking: Asking) {
        if asking.after.is_some() {
            self.send_page(now_ms, deltas, None);
            self.asking = Some(asking);
            return;
        }
        self.send_page(now_ms, deltas, asking.end);
        if self.config.mode.client_sends() {
            let from = asking.end.map_or(From::Now, From::Cursor);
            self.pump.begin(from);
        }
    }

    /// What differs was not found: everything is asked for, and everything sent.
    fn ask_for_everything(&mut self, now_ms: u64) {
        self.asking = None;
        if self.config.mode.server_sends() {
            self.request_sync(now_ms);
        }
        self.pump_everything_if_off(now_ms);
    }
}
