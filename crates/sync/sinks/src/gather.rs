//! Reading what comes next for a target.

use std::sync::Arc;

use allod_events::{CURSOR, Extension};
use allod_feed::{Cursor, Event, FeedError, Subscription};
use bytes::Bytes;

use crate::payload::Payloads;
use crate::run::Host;
use crate::target::{Fault, Form, Outgoing, SINK, Said};

/// Bytes of events that are held for a target, about.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events that are read at a time: what is held more than that is at most what these have.
pub(crate) const PAGE: usize = 32;

/// Events that come next.
pub(crate) struct Gathered {
    pub(crate) events: Vec<Outgoing>,
    /// The cursor after them.
    pub(crate) next: Cursor,
    pub(crate) is_end: bool,
    /// Why there are no more.
    pub(crate) fault: Option<Fault>,
}

impl Gathered {
    const fn broken(events: Vec<Outgoing>, next: Cursor, fault: Fault) -> Self {
        Self {
            events,
            next,
            is_end: false,
            fault: Some(fault),
        }
    }
}

/// A consumer for a sink.
pub(crate) struct Gathering<'a> {
    pub(crate) host: &'a dyn Host,
    /// The sink.
    pub(crate) name: Arc<str>,
    pub(crate) consumer: Subscription,
    pub(crate) payloads: Payloads<'a>,
    pub(crate) form: Form,
    /// Where texts are written.
    pub(crate) text: Vec<u8>,
}

impl Gathering<'_> {
    /// What comes next, until there is no more, it is enough, or something cannot be read.
    pub(crate) fn next(&mut self, events_max: usize) -> Gathered {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let mut next = self.consumer.cursor();
        loop {
            let limit = PAGE.min(events_max - events.len());
            let page = match self.consumer.page(self.host, limit, BYTES_MAX) {
                Ok(page) => page,
                Err(error) => return Gathered::broken(events, next, fault_of(error)),
            };
            for (event, cursor) in page.events.iter().zip(page.cursors) {
                match self.outgoing(event, &cursor) {
                    Ok(outgoing) => {
                        bytes += outgoing.as_ref().map_or(0, Outgoing::bytes);
                        events.extend(outgoing);
                        next = cursor;
                    }
                    Err(fault) => return Gathered::broken(events, next, fault),
                }
            }
            next = page.next;
            let is_enough = events.len() >= events_max || bytes >= BYTES_MAX;
            if page.is_end || is_enough || self.host.is_stopping() {
                return Gathered {
                    events,
                    next,
                    is_end: page.is_end,
                    fault: None,
                };
            }
        }
    }

    /// `None` of a space that went away since.
    fn outgoing(&mut self, event: &Event, cursor: &Cursor) -> Result<Option<Outgoing>, Fault> {
        let Some(mut cloud) = self.payloads.render(self.host, event, cursor)? else {
            return Ok(None);
        };
        let text = Extension::Text((*self.name).to_owned());
        cloud.extensions.insert(SINK.to_owned(), text);
        let cursor_text = match cloud.extensions.get(CURSOR) {
            Some(Extension::Text(text)) => text[..].into(),
            _ => cursor.to_string().into(),
        };
        self.text.clear();
        let said = match self.form {
            Form::Text if cloud.write_json(&mut self.text).is_ok() => {
                Said::Text(Bytes::copy_from_slice(&self.text))
            }
            // What cannot be written is for the target to refuse.
            Form::Event | Form::Text => Said::Event(Box::new(cloud)),
        };
        Ok(Some(Outgoing {
            said,
            sink: Arc::clone(&self.name),
            cursor: cursor.clone(),
            cursor_text,
            order: event.order,
            kind: event.kind(),
            space: event.space,
            branch: event.branch.clone(),
        }))
    }
}

pub(crate) fn fault_of(error: FeedError) -> Fault {
    match error {
        FeedError::Expired { .. } => Fault::Stopped(format!("{error}; give it another cursor")),
        FeedError::Cursor | FeedError::Filter(_) => Fault::Stopped(error.to_string()),
        error => Fault::away(error),
    }
}
