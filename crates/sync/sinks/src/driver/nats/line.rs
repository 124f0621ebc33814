//! Making messages of events, and sending them (SINK-10, SINK-11).

use std::sync::Arc;

use allod_events::EventError;
use async_nats::header::{
    HeaderName, NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID,
};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, HeaderMap, HeaderValue, Subject};
use bytes::Bytes;
use multibase::Base;
use sha2::{Digest as _, Sha256};

use super::{CURSOR_HEADER, SINK_HEADER};
use crate::target::Fault;

/// Messages of which the last asks for an answer (SINK-11): answers cost a server as much as messages do. In the time that
/// an answer may take a server keeps so many even where it flushes each of them to a disk that turns.
const GROUP: usize = 128;

/// The header that has the content type.
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// What a message is made of.
pub(super) struct Draft {
    pub(super) subject: Subject,
    pub(super) cursor: Arc<str>,
    pub(super) sink: Arc<str>,
    /// The attributes as headers, none in the structured mode, and the payload.
    pub(super) said: Result<(Vec<(String, String)>, Bytes), EventError>,
}

/// Where messages are sent.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) context: Context,
}

impl Line {
    /// The message of a draft that comes after a sequence, and after a message that is sent with it if there is one (SINK-11);
    /// or why there is none.
    pub(super) fn message(
        &self,
        draft: Draft,
        (sequence, before): (u64, Option<&str>),
    ) -> Result<Message, String> {
        let (attributes, payload) = draft.said.map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        if attributes.is_empty() {
            headers.insert(CONTENT_TYPE, allod_events::STRUCTURED);
        }
        for (name, value) in attributes {
            headers.insert(name, value);
        }
        let id = Base::Base64Url.encode(Sha256::digest(draft.cursor.as_bytes()));
        headers.insert(CURSOR_HEADER, &draft.cursor[..]);
        headers.insert(SINK_HEADER, &draft.sink[..]);
        headers.insert(NATS_MESSAGE_ID, &id[..]);
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, HeaderValue::from(sequence));
        if let Some(before) = before {
            headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, before);
        }
        let message = Message {
            id,
            subject: draft.subject,
            headers,
            payload,
        };
        let (bytes, bytes_max) = (message.bytes(), self.client.max_payload());
        if bytes > bytes_max {
            let words = format!("it has {bytes} bytes, and the server takes {bytes_max}");
            return Err(words);
        }
        Ok(message)
    }

    /// Sends messages after a sequence. The last of each group, and of all, asks for an answer (SINK-11).
    pub(super) async fn send(
        &self,
        drafts: Vec<Draft>,
        sequence: u64,
    ) -> (Vec<(usize, PublishAckFuture)>, Option<Fault>) {
        let (mut under_way, count) = (Vec::new(), drafts.len());
        // Held until it is known whether it is the last.
        let mut held: Option<Message> = None;
        for (at, draft) in drafts.into_iter().enumerate() {
            let before = held.as_ref().map(|before| &before.id[..]);
            let made = self.message(draft, (sequence + at as u64, before));
            if let Some(before) = held.take() {
                let sent = if at.is_multiple_of(GROUP) || made.is_err() {
                    let asked = self.ask(before).await;
                    asked.map(|answer| under_way.push((at, answer)))
                } else {
                    self.tell(before).await
                };
                if let Err(error) = sent {
                    return (under_way, Some(Fault::away(error)));
                }
            }
            match made {
                Ok(message) => held = Some(message),
                Err(words) => return (under_way, Some(Fault::Refused { at, words })),
            }
        }
        if let Some(last) = held {
            match self.ask(last).await {
                Ok(answer) => under_way.push((count, answer)),
                Err(error) => return (under_way, Some(Fault::away(error))),
            }
        }
        (under_way, None)
    }

    /// Sends a message.
    async fn tell(&self, message: Message) -> Result<(), PublishError> {
        let (subject, headers) = (message.subject, message.headers);
        let sent = self
            .client
            .publish_with_headers(subject, headers, message.payload);
        let other = |error| PublishError::with_source(PublishErrorKind::Other, error);
        sent.await.map_err(other)
    }

    /// Sends a message, and asks what becomes of it.
    pub(super) async fn ask(&self, message: Message) -> Result<PublishAckFuture, PublishError> {
        let publish = PublishMessage::build()
            .headers(message.headers)
            .payload(message.payload);
        self.context.send_publish(message.subject, publish).await
    }
}

/// A message on its way.
pub(super) struct Message {
    pub(super) id: String,
    subject: Subject,
    headers: HeaderMap,
    payload: Bytes,
}

impl Message {
    /// What the server takes it for, in bytes: headers count.
    fn bytes(&self) -> usize {
        let lines = self.headers.iter().flat_map(|(name, values)| {
            let values = values.iter().map(HeaderValue::as_str);
            values.map(move |value| AsRef::<str>::as_ref(name).len() + value.len() + ": \r\n".len())
        });
        "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>() + self.payload.len()
    }
}
