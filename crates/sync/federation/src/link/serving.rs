//! The past, for a client that asks for it: counted, then sent in batches as it is read (FED-12, FED-20).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::{Cursor, Delta, DeltaFilter, Number, Place, TimestampRange};

use super::known::element_of;
use super::{Link, ReadFault, ReadReply, ReadRequest};
use crate::limits::{BATCH_BYTES_MAX, SYNC_BATCH, SYNCS_MAX, SYNCS_MS};
use crate::message::Message;

/// What is read.
#[derive(Clone, Debug)]
enum Source {
    /// Everything, in order.
    Scan(Option<Place>),
    /// What arrived after a cursor.
    Arrivals(Cursor),
}

/// A sync that is going on. It holds one batch, whatever there is to send.
#[derive(Debug)]
pub(crate) struct Serving {
    filter: DeltaFilter,
    /// Only these elements.
    wanted: Option<BTreeSet<u64>>,
    begin: Source,
    source: Source,
    /// Where the store was when the sync began; what comes after is sent as it comes.
    end: Option<Cursor>,
    /// Whether the client is told where it stands afterwards: after a reconciliation it knows.
    tells_end: bool,
    counting: bool,
    total: u64,
    batch: Vec<Arc<Delta>>,
    batch_bytes: usize,
    batches: u64,
    sent: u64,
}

impl Serving {
    fn new(filter: DeltaFilter, source: Source) -> Self {
        Self {
            filter,
            wanted: None,
            begin: source.clone(),
            source,
            end: None,
            tells_end: true,
            counting: true,
            total: 0,
            batch: Vec::new(),
            batch_bytes: 0,
            batches: 0,
            sent: 0,
        }
    }

    pub(super) fn request(&self) -> ReadRequest {
        if self.end.is_none() {
            return ReadRequest::End;
        }
        match &self.source {
            Source::Scan(after) => ReadRequest::Scan {
                filter: Box::new(self.filter.clone()),
                after: after.clone(),
                limit: SYNC_BATCH,
            },
            Source::Arrivals(after) => ReadRequest::Arrivals {
                after: *after,
                limit: SYNC_BATCH,
            },
        }
    }

    fn wants(&self, delta: &Delta) -> bool {
        let is_wanted = |wanted: &BTreeSet<u64>| wanted.contains(&element_of(delta.id()));
        self.filter.matches(delta) && self.wanted.as_ref().is_none_or(is_wanted)
    }

    fn restart(&mut self, source: Source) {
        self.begin = source.clone();
        self.source = source;
        self.total = 0;
    }
}

impl Link {
    pub(super) fn on_sync_request(
        &mut self,
        now_ms: u64,
        filter: Option<DeltaFilter>,
        from_timestamp: Option<Number>,
        cursor: Option<String>,
    ) {
        if !self.may_sync(now_ms) {
            return;
        }
        // A scan gives what is negated too, whatever the filter says: a negation without what it negates would
        // be of no use to anybody (FED-20).
        let mut filter = filter.unwrap_or_default();
        if let Some(from) = from_timestamp.filter(|from| from.get() > 0.0) {
            let range = filter.timestamp_range.unwrap_or_default();
            filter.timestamp_range = Some(TimestampRange {
                start: range.start.max(Some(from)),
                ..range
            });
        }
        let cursor = cursor.filter(|_| self.can("cursors"));
        let cursor = cursor.and_then(|text| self.unnamed(&text));
        let source = cursor.map_or(Source::Scan(None), Source::Arrivals);
        self.serving = Some(Serving::new(filter, source));
    }

    /// Serves the deltas with these elements.
    pub(super) fn serve_wanted(&mut self, wanted: BTreeSet<u64>) {
        let mut serving = Serving::new(DeltaFilter::all(), Source::Scan(None));
        serving.wanted = Some(wanted);
        serving.end = Some(Cursor::default());
        serving.tells_end = false;
        self.serving = Some(serving);
    }

    /// Whether the store is read for the peer once more: not while it is, nor too often (FED-20).
    pub(super) fn may_sync(&mut self, now_ms: u64) -> bool {
        let is_busy = self.serving.is_some() || self.answering.is_some();
        let oldest = self
            .synced
            .front()
            .filter(|_| self.synced.len() >= SYNCS_MAX);
        let too_many = oldest.is_some_and(|at| now_ms < at.saturating_add(SYNCS_MS));
        if is_busy || too_many {
            let words = if is_busy {
                "a sync is going on"
            } else {
                "too many syncs"
            };
            self.sync_error(now_ms, words);
            return false;
        }
        if self.synced.len() >= SYNCS_MAX {
            self.synced.pop_front();
        }
        self.synced.push_back(now_ms);
        true
    }

    fn sync_error(&mut self, now_ms: u64, words: &str) {
        let error = Message::Error {
            code: "SYNC_ERROR".to_owned(),
            message: words.to_owned(),
            fatal: false,
        };
        self.send(now_ms, &error);
    }

    pub(super) fn on_served(&mut self, now_ms: u64, reply: Result<ReadReply, ReadFault>) {
        let Some(mut serving) = self.serving.take() else {
            return;
        };
        let (deltas, more) = match reply {
            Ok(ReadReply::End(end)) => {
                serving.end = Some(end);
                (Vec::new(), true)
            }
            Ok(ReadReply::Scan(page)) => {
                let more = page.next.is_some();
                serving.source = Source::Scan(page.next);
                (page.deltas, more)
            }
            Ok(ReadReply::Arrivals(arrivals)) => {
                serving.source = Source::Arrivals(arrivals.next);
                (arrivals.deltas, arrivals.more)
            }
            // The client has been away for longer than the store remembers (FED-32).
            Err(_) => {
                serving.restart(Source::Scan(None));
                (Vec::new(), true)
            }
        };
        for delta in deltas {
            // Who asks again may have lost what it was sent; what it sent itself it has (FED-18).
            let is_theirs = self.from_peer.contains(delta.id());
            if self.may_send(&delta) && !is_theirs && serving.wants(&delta) {
                self.serve(now_ms, &mut serving, delta);
            }
        }
        if more {
            self.serving = Some(serving);
        } else if serving.counting {
            self.begin_to_serve(now_ms, serving);
        } else {
            self.end_serving(now_ms, serving);
        }
    }

    fn begin_to_serve(&mut self, now_ms: u64, mut serving: Serving) {
        let start = Message::SyncStart {
            total_deltas: serving.total,
            batch_size: SYNC_BATCH as u64,
        };
        self.send(now_ms, &start);
        if serving.total == 0 {
            self.end_serving(now_ms, serving);
            return;
        }
        serving.counting = false;
        serving.source = serving.begin.clone();
        self.serving = Some(serving);
    }

    /// Counts a delta, or puts it into the batch; a batch is sent once it is known not to be the last.
    fn serve(&mut self, now_ms: u64, serving: &mut Serving, delta: Arc<Delta>) {
        if serving.counting {
            serving.total += 1;
            return;
        }
        let bytes = delta.encode().len();
        let is_full = serving.batch.len() >= SYNC_BATCH
            || serving.batch_bytes + bytes > BATCH_BYTES_MAX && !serving.batch.is_empty();
        if is_full {
            self.send_batch(now_ms, serving, false);
        }
        serving.batch.push(delta);
        serving.batch_bytes += bytes;
    }

    fn send_batch(&mut self, now_ms: u64, serving: &mut Serving, is_last_batch: bool) {
        let deltas: Vec<_> = serving.batch.drain(..).collect();
        serving.sent += deltas.len() as u64;
        self.stats.deltas_sent += deltas.len() as u64;
        for delta in &deltas {
            self.known.insert(delta.id());
        }
        let batch = Message::SyncBatch {
            deltas: deltas.into_iter().map(Ok).collect(),
            batch_number: serving.batches,
            is_last_batch,
        };
        serving.batches += 1;
        serving.batch_bytes = 0;
        self.send(now_ms, &batch);
    }

    fn end_serving(&mut self, now_ms: u64, mut serving: Serving) {
        if !serving.batch.is_empty() {
            self.send_batch(now_ms, &mut serving, true);
        }
        let tells_end = serving.tells_end && self.can("cursors");
        let cursor = serving.end.filter(|_| tells_end);
        let complete = Message::SyncComplete {
            deltas_processed: serving.sent,
            cursor: cursor.map(|cursor| self.named(cursor)),
        };
        self.send(now_ms, &complete);
    }
}
