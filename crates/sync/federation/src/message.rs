//! The messages: one object of JSON in a frame (FED-1 to FED-6).

mod read;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::json::{Extras, Members, is_within};
use allod_deltas::{Delta, DeltaError, DeltaFilter, Number};

use crate::config::FederationConfig;
use crate::limits::FRAME_DEPTH_MAX;

use read::Fields;

/// The protocol.
pub const PROTOCOL: &str = "rhizomedb-federation-v1";

/// Why a frame is no message. Blame: the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not an object of JSON, or nested too deep.
    #[error("not an object of JSON")]
    Json,
    /// A field is missing or of another type.
    #[error("{0} is missing or of another type")]
    Field(&'static str),
    /// A list is too long.
    #[error("a list is too long")]
    Size,
}

impl FrameError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json | Self::Field(_) | Self::Size => "E_FED_MESSAGE",
        }
    }
}

/// A message with its time and what nobody here knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What is said.
    pub message: Message,
    /// When, in milliseconds; never zero.
    pub timestamp: Number,
    /// Members that nobody here knows.
    pub extras: Extras,
}

/// A delta as a peer sent it: one, or why it is none, with its id if it has one that can be named.
pub type Sent = Result<Arc<Delta>, BadDelta>;

/// Something that a peer sent as a delta and is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadDelta {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub error: DeltaError,
}

/// The proof of a key: that its holder answers this challenge of this peer (FED-33).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    /// The `did:key`.
    pub key: String,
    /// The signature, in hex.
    pub sig: String,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// A client begins.
    Hello {
        /// Who it is.
        system_id: String,
        /// What it asks of the link.
        config: Box<FederationConfig>,
        /// [`PROTOCOL`].
        protocol: String,
        /// What it can do beyond that (FED-30).
        capabilities: BTreeSet<String>,
        /// What the server is to sign.
        challenge: Option<String>,
    },
    /// The server agrees.
    HelloAck {
        /// Who it is.
        system_id: String,
        /// Its name for the link.
        link_id: String,
        /// [`PROTOCOL`].
        protocol: String,
        /// What it can do beyond that.
        capabilities: BTreeSet<String>,
        /// The name of its store.
        store: Option<String>,
        /// Its answer to the challenge of the client.
        proof: Option<Proof>,
    },
    /// The client asks for the past.
    SyncRequest {
        /// What of it.
        filter: Option<DeltaFilter>,
        /// From when on, included.
        from_timestamp: Option<Number>,
        /// Where the client stood in the order of the server (FED-32).
        cursor: Option<String>,
    },
    /// The server begins to send it.
    SyncStart {
        /// How many deltas.
        total_deltas: u64,
        /// How many in a batch.
        batch_size: u64,
    },
    /// Some of it.
    SyncBatch {
        /// The deltas.
        deltas: Vec<Sent>,
        /// Counted from 0.
        batch_number: u64,
        /// Whether it is the last.
        is_last_batch: bool,
    },
    /// All of it was sent.
    SyncComplete {
        /// How many deltas.
        deltas_processed: u64,
        /// Where the client stands now.
        cursor: Option<String>,
    },
    /// A delta.
    Delta {
        /// It.
        delta: Sent,
        /// Where the client stands after it.
        cursor: Option<String>,
    },
    /// A delta is durable at the peer.
    DeltaAck {
        /// Its id.
        delta_id: String,
    },
    /// A delta was refused for ever.
    DeltaNack {
        /// Its id.
        delta_id: String,
        /// Why, in words.
        reason: String,
    },
    /// Send nothing for now.
    Pause,
    /// Go on.
    Resume,
    /// Are you there.
    Ping,
    /// I am.
    Pong,
    /// Something is wrong.
    Error {
        /// A word for it.
        code: String,
        /// More words.
        message: String,
        /// Whether it is the end.
        fatal: bool,
    },
    /// Sign this (extension `auth`).
    AuthChallenge {
        /// What is to be signed.
        nonce: String,
        /// Who wants that.
        system_id: String,
    },
    /// Signed (extension `auth`).
    AuthResponse {
        /// The proof.
        proof: Proof,
    },
    /// Several deltas (extension `delta_batch`).
    DeltaBatch {
        /// The deltas.
        deltas: Vec<Sent>,
        /// Where the client stands after them.
        cursor: Option<String>,
    },
    /// Several deltas are durable at the peer (extension `delta_batch`).
    DeltaAckBatch {
        /// Their ids.
        delta_ids: Vec<String>,
    },
    /// What differs (extension `reconcile`).
    Reconcile {
        /// The estimate of the client's set, in base64url.
        estimate: String,
        /// How many symbols the client has.
        have: u64,
    },
    /// Symbols of the server's set (extension `reconcile`).
    ReconcileSymbols {
        /// How many elements the set has.
        total: u64,
        /// The index of the first symbol.
        first: u64,
        /// The symbols, in base64url; none if everything is to be asked for.
        symbols: String,
        /// Where the client stands once it has what differs.
        cursor: Option<String>,
    },
    /// What the client lacks (extension `reconcile`).
    ReconcileWant {
        /// Elements, in hex.
        elements: Vec<String>,
    },
}

impl Frame {
    /// Reads a frame; `None` for a message that nobody here knows (FED-3).
    pub fn decode(text: &str) -> Result<Option<Self>, FrameError> {
        if !is_within(text, FRAME_DEPTH_MAX) {
            return Err(FrameError::Json);
        }
        let mut fields = Fields(Members::read(text).ok_or(FrameError::Json)?);
        let name: String = fields.required("type")?;
        let timestamp = fields.number("timestamp")?;
        let timestamp = timestamp.filter(|timestamp| timestamp.get() != 0.0);
        let timestamp = timestamp.ok_or(FrameError::Field("timestamp"))?;
        let Some(message) = fields.message(&name)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            message,
            timestamp,
            extras: fields.0.rest(),
        }))
    }

    /// The frame as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = self.message.encode(self.timestamp);
        out.pop();
        self.extras.put(&mut out);
        out.push('}');
        out
    }
}
