//! Messages read: strict in what is used, blind to the rest (FED-2, FED-3).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::json::Members;
use allod_deltas::{Delta, DeltaFilter, Number};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadDelta, FrameError, Message, PROTOCOL, Proof, Sent};
use crate::config::{FederationConfig, whole};
use crate::limits::{BATCH_DELTAS_MAX, CAPABILITIES_MAX, TEXT_BYTES_MAX, WANT_MAX};

/// The members of a message.
pub(super) struct Fields<'a>(pub(super) Members<'a>);

impl Fields<'_> {
    pub(super) fn message(&mut self, name: &str) -> Result<Option<Message>, FrameError> {
        Ok(Some(match name {
            "hello" => {
                let config = self.0.take("config").ok_or(FrameError::Field("config"))?;
                Message::Hello {
                    system_id: self.text("systemId")?,
                    config: Box::new(FederationConfig::decode(config.get())?),
                    protocol: self.text("protocol")?,
                    capabilities: self.capabilities()?,
                    challenge: self.maybe_text("challenge")?,
                }
            }
            "hello_ack" => Message::HelloAck {
                system_id: self.text("systemId")?,
                // Clients of the original ignore both, so servers may forget them.
                link_id: self.maybe_text("linkId")?.unwrap_or_default(),
                protocol: self
                    .maybe_text("protocol")?
                    .unwrap_or_else(|| PROTOCOL.to_owned()),
                capabilities: self.capabilities()?,
                store: self.maybe_text("store")?,
                proof: self.maybe_proof()?,
            },
            "sync_request" => Message::SyncRequest {
                filter: self.filter()?,
                from_timestamp: self.number("fromTimestamp")?,
                cursor: self.maybe_text("cursor")?,
            },
            "sync_start" => Message::SyncStart {
                total_deltas: self.count("totalDeltas")?,
                batch_size: self.count("batchSize")?,
            },
            "sync_batch" => Message::SyncBatch {
                deltas: self.deltas()?,
                batch_number: self.count("batchNumber")?,
                is_last_batch: self.maybe("isLastBatch")?.unwrap_or_default(),
            },
            "sync_complete" => Message::SyncComplete {
                deltas_processed: self.count("deltasProcessed")?,
                cursor: self.maybe_text("cursor")?,
            },
            "delta" => {
                let delta = self.0.take("delta").ok_or(FrameError::Field("delta"))?;
                Message::Delta {
                    delta: read_delta(delta),
                    cursor: self.maybe_text("cursor")?,
                }
            }
            "delta_ack" => Message::DeltaAck {
                delta_id: self.text("deltaId")?,
            },
            "delta_nack" => Message::DeltaNack {
                delta_id: self.text("deltaId")?,
                reason: clipped(self.maybe("reason")?.unwrap_or_default()),
            },
            "pause" => Message::Pause,
            "resume" => Message::Resume,
            "ping" => Message::Ping,
            "pong" => Message::Pong,
            "error" => Message::Error {
                code: clipped(self.maybe("code")?.unwrap_or_default()),
                message: clipped(self.maybe("message")?.unwrap_or_default()),
                fatal: self.maybe("fatal")?.unwrap_or_default(),
            },
            _ => return self.extension(name),
        }))
    }

    fn extension(&mut self, name: &str) -> Result<Option<Message>, FrameError> {
        Ok(Some(match name {
            "auth_challenge" => Message::AuthChallenge {
                nonce: self.text("nonce")?,
                system_id: self.text("systemId")?,
            },
            "auth_response" => Message::AuthResponse {
                proof: self.maybe_proof()?.ok_or(FrameError::Field("key"))?,
            },
            "delta_batch" => Message::DeltaBatch {
                deltas: self.deltas()?,
                cursor: self.maybe_text("cursor")?,
            },
            "delta_ack_batch" => Message::DeltaAckBatch {
                delta_ids: self.list("deltaIds", BATCH_DELTAS_MAX)?,
            },
            "reconcile" => Message::Reconcile {
                estimate: self.required("estimate")?,
                have: self.count("have")?,
            },
            "reconcile_symbols" => Message::ReconcileSymbols {
                total: self.count("total")?,
                first: self.count("first")?,
                symbols: self.required("symbols")?,
                cursor: self.maybe_text("cursor")?,
            },
            "reconcile_want" => Message::ReconcileWant {
                elements: self.list("elements", WANT_MAX)?,
            },
            _ => return Ok(None),
        }))
    }

    fn maybe<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, FrameError> {
        self.0
            .optional(name)
            .map_err(|_error| FrameError::Field(name))
    }

    pub(super) fn required<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, FrameError> {
        self.maybe(name)?.ok_or(FrameError::Field(name))
    }

    fn maybe_text(&mut self, name: &'static str) -> Result<Option<String>, FrameError> {
        let text: Option<String> = self.maybe(name)?;
        match text {
            Some(text) if text.len() > TEXT_BYTES_MAX => Err(FrameError::Field(name)),
            text => Ok(text),
        }
    }

    fn text(&mut self, name: &'static str) -> Result<String, FrameError> {
        let text = self.maybe_text(name)?.filter(|text| !text.is_empty());
        text.ok_or(FrameError::Field(name))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<Number>, FrameError> {
        match self.0.take(name) {
            Some(raw) if raw.get() != "null" => match Number::parse(raw.get()) {
                Ok(number) => Ok(Some(number)),
                Err(_error) => Err(FrameError::Field(name)),
            },
            _ => Ok(None),
        }
    }

    /// A count, whatever number it was written as; 0 if it is absent.
    fn count(&mut self, name: &'static str) -> Result<u64, FrameError> {
        Ok(self.number(name)?.map_or(0, |number| whole(number.get())))
    }

    fn list(&mut self, name: &'static str, max: usize) -> Result<Vec<String>, FrameError> {
        let list: Vec<String> = self.required(name)?;
        if list.len() > max {
            return Err(FrameError::Size);
        }
        Ok(list)
    }

    fn capabilities(&mut self) -> Result<BTreeSet<String>, FrameError> {
        let list: Vec<String> = self.maybe("capabilities")?.unwrap_or_default();
        Ok(list.into_iter().take(CAPABILITIES_MAX).collect())
    }

    fn maybe_proof(&mut self) -> Result<Option<Proof>, FrameError> {
        Ok(match (self.maybe_text("key")?, self.maybe_text("sig")?) {
            (Some(key), Some(sig)) => Some(Proof { key, sig }),
            _ => None,
        })
    }

    fn filter(&mut self) -> Result<Option<DeltaFilter>, FrameError> {
        match self.0.take("filter") {
            Some(raw) if raw.get() != "null" => match DeltaFilter::decode(raw.get()) {
                Ok(filter) => Ok(Some(filter)),
                Err(_error) => Err(FrameError::Field("filter")),
            },
            _ => Ok(None),
        }
    }

    fn deltas(&mut self) -> Result<Vec<Sent>, FrameError> {
        let raw = self.0.take("deltas").ok_or(FrameError::Field("deltas"))?;
        let raw: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_error| FrameError::Field("deltas"))?;
        if raw.len() > BATCH_DELTAS_MAX {
            return Err(FrameError::Size);
        }
        Ok(raw.into_iter().map(read_delta).collect())
    }
}

fn read_delta(raw: &RawValue) -> Sent {
    match Delta::decode(raw.get()) {
        Ok(delta) => Ok(Arc::new(delta)),
        Err(error) => {
            let id = Members::read(raw.get()).and_then(|mut members| {
                let id: Option<String> = members.optional("id").ok()?;
                id.filter(|id| !id.is_empty() && id.len() <= TEXT_BYTES_MAX)
            });
            Err(BadDelta { id, error })
        }
    }
}

/// Words of a peer, as far as they are kept.
fn clipped(words: String) -> String {
    words.chars().take(TEXT_BYTES_MAX / 4).collect()
}
