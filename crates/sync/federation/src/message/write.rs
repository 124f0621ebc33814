//! Messages written.

use allod_deltas::Number;
use allod_deltas::json::put_text;

use super::{Message, Sent};

impl Message {
    /// The message at a time, as JSON.
    #[must_use]
    pub fn encode(&self, at: Number) -> String {
        let mut out = Writer::begin(self.name(), at);
        match self {
            Self::Hello {
                system_id,
                config,
                protocol,
                capabilities,
                challenge,
            } => {
                out.text("systemId", system_id);
                out.raw("config", &config.encode());
                out.text("protocol", protocol);
                out.texts("capabilities", capabilities.iter());
                out.maybe_text("challenge", challenge.as_ref());
            }
            Self::HelloAck {
                system_id,
                link_id,
                protocol,
                capabilities,
                store,
                proof,
            } => {
                out.text("systemId", system_id);
                out.text("linkId", link_id);
                out.text("protocol", protocol);
                out.texts("capabilities", capabilities.iter());
                out.maybe_text("store", store.as_ref());
                out.maybe_text("key", proof.as_ref().map(|proof| &proof.key));
                out.maybe_text("sig", proof.as_ref().map(|proof| &proof.sig));
            }
            Self::SyncRequest {
                filter,
                from_timestamp,
                cursor,
            } => {
                if let Some(filter) = filter {
                    out.raw("filter", &filter.encode());
                }
                if let Some(at) = from_timestamp {
                    out.raw("fromTimestamp", &at.to_string());
                }
                out.maybe_text("cursor", cursor.as_ref());
            }
            Self::SyncStart {
                total_deltas,
                batch_size,
            } => {
                out.raw("totalDeltas", &total_deltas.to_string());
                out.raw("batchSize", &batch_size.to_string());
            }
            Self::SyncBatch {
                deltas,
                batch_number,
                is_last_batch,
            } => {
                out.deltas(deltas);
                out.raw("batchNumber", &batch_number.to_string());
                out.raw("isLastBatch", &is_last_batch.to_string());
            }
            Self::SyncComplete {
                deltas_processed,
                cursor,
            } => {
                out.raw("deltasProcessed", &deltas_processed.to_string());
                out.maybe_text("cursor", cursor.as_ref());
            }
            _ => self.put_rest(&mut out),
        }
        out.end()
    }

    fn put_rest(&self, out: &mut Writer) {
        match self {
            Self::Delta { delta, cursor } => {
                if let Ok(delta) = delta {
                    out.raw("delta", &delta.encode());
                }
                out.maybe_text("cursor", cursor.as_ref());
            }
            Self::DeltaAck { delta_id } => out.text("deltaId", delta_id),
            Self::DeltaNack { delta_id, reason } => {
                out.text("deltaId", delta_id);
                out.text("reason", reason);
            }
            Self::Error {
                code,
                message,
                fatal,
            } => {
                out.text("code", code);
                out.text("message", message);
                out.raw("fatal", &fatal.to_string());
            }
            Self::AuthChallenge { nonce, system_id } => {
                out.text("nonce", nonce);
                out.text("systemId", system_id);
            }
            Self::AuthResponse { proof } => {
                out.text("key", &proof.key);
                out.text("sig", &proof.sig);
            }
            Self::DeltaBatch { deltas, cursor } => {
                out.deltas(deltas);
                out.maybe_text("cursor", cursor.as_ref());
            }
            Self::DeltaAckBatch { delta_ids } => out.texts("deltaIds", delta_ids.iter()),
            Self::Reconcile { estimate, have } => {
                out.text("estimate", estimate);
                out.raw("have", &have.to_string());
            }
            Self::ReconcileSymbols {
                total,
                first,
                symbols,
                cursor,
            } => {
                out.raw("total", &total.to_string());
                out.raw("first", &first.to_string());
                out.text("symbols", symbols);
                out.maybe_text("cursor", cursor.as_ref());
            }
            Self::ReconcileWant { elements } => out.texts("elements", elements.iter()),
            // The others have no more fields, or were written.
            _ => {}
        }
    }

    /// The `type` of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::HelloAck { .. } => "hello_ack",
            Self::SyncRequest { .. } => "sync_request",
            Self::SyncStart { .. } => "sync_start",
            Self::SyncBatch { .. } => "sync_batch",
            Self::SyncComplete { .. } => "sync_complete",
            Self::Delta { .. } => "delta",
            Self::DeltaAck { .. } => "delta_ack",
            Self::DeltaNack { .. } => "delta_nack",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Error { .. } => "error",
            Self::AuthChallenge { .. } => "auth_challenge",
            Self::AuthResponse { .. } => "auth_response",
            Self::DeltaBatch { .. } => "delta_batch",
            Self::DeltaAckBatch { .. } => "delta_ack_batch",
            Self::Reconcile { .. } => "reconcile",
            Self::ReconcileSymbols { .. } => "reconcile_symbols",
            Self::ReconcileWant { .. } => "reconcile_want",
        }
    }
}

/// Writes the members of a message.
struct Writer(String);

impl Writer {
    fn begin(name: &str, at: Number) -> Self {
        Self(format!("{{\"type\":\"{name}\",\"timestamp\":{at}"))
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.0.push_str(&format!(",\"{name}\":{json}"));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!(",\"{name}\":"));
        put_text(&mut self.0, text);
    }

    fn maybe_text(&mut self, name: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn texts<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a String>) {
        self.0.push_str(&format!(",\"{name}\":["));
        for (at, text) in texts.enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            put_text(&mut self.0, text);
        }
        self.0.push(']');
    }

    /// What is no delta is not written: nobody here sends such.
    fn deltas(&mut self, deltas: &[Sent]) {
        self.0.push_str(",\"deltas\":[");
        for (at, delta) in deltas.iter().flatten().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.0.push_str(&delta.encode());
        }
        self.0.push(']');
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
