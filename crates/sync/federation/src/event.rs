//! What happens on a link, and figures about it (FED-41).

use std::sync::Arc;

use allod_deltas::Delta;

/// How a link stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// Before both sides agreed.
    Connecting,
    /// Deltas are sent as they come.
    Connected,
    /// The past is being sent to this side.
    Syncing,
    /// Nothing is sent until somebody resumes.
    Paused,
    /// It ended, and may come back.
    Disconnected,
    /// It ended by a fault of one side, and may come back.
    Error,
}

/// Something that happened on a link.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// It is being opened, says whoever opens it.
    Connecting {
        /// Where to.
        remote_url: String,
    },
    /// Both sides agreed.
    Connected {
        /// Who the peer says that it is.
        remote_system_id: String,
    },
    /// It ended.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// A side failed, or said so.
    Error {
        /// What is wrong.
        reason: String,
    },
    /// Nothing is sent until somebody resumes.
    Paused,
    /// It goes on.
    Resumed,
    /// A delta was sent.
    DeltaSent {
        /// Its id.
        id: String,
    },
    /// A delta came, was allowed, and is durable here.
    DeltaReceived {
        /// It.
        delta: Arc<Delta>,
    },
    /// A delta was refused.
    DeltaRejected {
        /// Its id, if it has one.
        id: Option<String>,
        /// Why.
        reason: String,
        /// Whether the peer refused it, and not this side.
        by_peer: bool,
    },
    /// A delta came that the policy sets aside.
    DeltaQuarantined {
        /// It.
        delta: Arc<Delta>,
    },
    /// The past begins to come.
    SyncStarted {
        /// How many deltas are announced.
        total_deltas: u64,
    },
    /// The past has come.
    SyncCompleted {
        /// How many deltas were sent.
        deltas_processed: u64,
    },
}

impl Event {
    /// What a program hears of a delta for which there is no room in the queue (FED-17).
    pub(crate) fn too_many_wait(delta: &Delta) -> Self {
        Self::DeltaRejected {
            id: Some(delta.id().to_owned()),
            reason: "too many wait to be sent".to_owned(),
            by_peer: false,
        }
    }

    /// The name that the original gives it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "link:connecting",
            Self::Connected { .. } => "link:connected",
            Self::Disconnected { .. } => "link:disconnected",
            Self::Error { .. } => "link:error",
            Self::Paused => "link:paused",
            Self::Resumed => "link:resumed",
            Self::DeltaSent { .. } => "delta:sent",
            Self::DeltaReceived { .. } => "delta:received",
            Self::DeltaRejected { .. } => "delta:rejected",
            Self::DeltaQuarantined { .. } => "delta:quarantined",
            Self::SyncStarted { .. } => "sync:started",
            Self::SyncCompleted { .. } => "sync:completed",
        }
    }
}

/// Figures about a link since it was made, over all its connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkStats {
    /// Deltas sent, each time that they were.
    pub deltas_sent: u64,
    /// Deltas received that are durable here, known ones among them.
    pub deltas_received: u64,
    /// Deltas refused by this side.
    pub deltas_rejected: u64,
    /// Deltas refused by the peer.
    pub deltas_refused: u64,
    /// When the past last had come, in milliseconds since 1970.
    pub last_sync_ms: Option<u64>,
    /// When both sides last agreed.
    pub connected_at_ms: Option<u64>,
    /// Bytes of messages sent.
    pub bytes_sent: u64,
    /// Bytes of messages received.
    pub bytes_received: u64,
    /// Bytes that these messages had in their frames, packed or not (FED-35).
    pub wire_bytes_sent: u64,
    /// Bytes that those received had in their frames.
    pub wire_bytes_received: u64,
    /// Frames that were no message.
    pub faults: u64,
}
