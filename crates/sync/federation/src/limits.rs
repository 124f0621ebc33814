//! The numbers of FED, each with its reason.

/// The largest frame that is sent, and that a server takes (FED-4): a full batch of common deltas, and what a
/// thousand links may make a server hold at once.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The largest frame that a client takes (FED-4): 100 deltas of others, who do not count bytes.
pub const CLIENT_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The deepest nesting of a frame: a delta, in a list, in a message.
pub(crate) const FRAME_DEPTH_MAX: usize = 40;

/// Bytes of deltas that are put into one message: what is around them fits into the rest of a frame.
pub(crate) const BATCH_BYTES_MAX: usize = 512 * 1024;

/// Deltas of a batch of a sync (FED-20), as peers expect it.
pub const SYNC_BATCH: usize = 100;

/// The shortest message that is packed (FED-35), in bytes: one signed delta, of which a third is saved. Below that
/// it is less than the headers of a packet.
pub(crate) const PACK_BYTES_MIN: usize = 512;

/// Deltas of a `delta_batch` that is taken: twice what any of ours sends.
pub(crate) const BATCH_DELTAS_MAX: usize = 1024;

/// Syncs that a peer may ask for in [`SYNCS_MS`] (FED-20): each reads the store, up to three times. A client
/// asks for some when it comes back.
pub(crate) const SYNCS_MAX: usize = 32;

/// A minute.
pub(crate) const SYNCS_MS: u64 = 60_000;

/// How long a handshake may take (FED-10).
pub const HANDSHAKE_MS: u64 = 10_000;

/// How often a client says that it is there (FED-14).
pub const PING_MS: u64 = 30_000;

/// After how much silence a peer is taken for gone (FED-14): two pings and half the way to a third.
pub const SILENCE_MS: u64 = 75_000;

/// Deltas that were sent and not yet answered (FED-16): at 100 ms a round trip still 2,500 a second.
pub(crate) const WINDOW_DELTAS: usize = 256;

/// Bytes of such deltas.
pub(crate) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// When an unanswered delta is sent again (FED-16): as long as a peer may think before it is pinged.
pub(crate) const RESEND_MS: u64 = 30_000;

/// How often a delta is sent on one connection before the peer is taken for broken (FED-16).
pub(crate) const SENDS_MAX: u32 = 3;

/// Deltas received and not yet durable at which no more are read (FED-15).
pub(crate) const PENDING_DELTAS: usize = 1024;

/// Bytes of such deltas: two full frames. What they take in memory is several times that.
pub(crate) const PENDING_BYTES: usize = 2 * FRAME_BYTES_MAX;

/// Bytes to send at which nothing more is read, from the peer or the store (FED-15).
pub(crate) const OUT_BYTES: usize = 2 * FRAME_BYTES_MAX;

/// Deltas that are given to the store at once.
pub(crate) const APPEND_DELTAS: usize = 512;

/// Deltas that are read from the store at once for what is sent as it arrives.
pub(crate) const PUMP_PAGE: usize = 64;

/// Deltas that a program asks to be sent, waiting (FED-17).
pub(crate) const QUEUE_DELTAS: usize = 1000;

/// Ids that are remembered of a peer, so that it does not get back what it sent (FED-18). Who sends more
/// before the store is read again gets some of it back, and knows it.
pub(crate) const KNOWN_IDS: usize = 32 * 1024;

/// Faulty messages after which a peer is let go (FED-5): a few bugs of a peer do no harm, a thousand do.
pub(crate) const FAULTS_MAX: u32 = 16;

/// Counters of an estimate of what differs (FED-31): off by an eighth, mostly.
pub(crate) const ESTIMATE_COUNTERS: usize = 128;

/// The most symbols of a reconciliation (FED-31): they fit into one frame.
pub(crate) const SYMBOLS_MAX: usize = 32 * 1024;

/// The most elements that are asked for at once: they fit into one frame.
pub(crate) const WANT_MAX: usize = 32 * 1024;

/// How often a peer is asked for symbols before everything is sent.
pub(crate) const RECONCILE_TRIES: u32 = 3;

/// The longest text of an id, a reason or a cursor that is taken from a peer, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Capabilities that are read of a peer.
pub(crate) const CAPABILITIES_MAX: usize = 64;

/// What a peer may send in a second before it is read more slowly (FED-19): more than a busy instance
/// makes, less than a core can verify.
pub const DELTAS_PER_SECOND: u64 = 5000;

/// Bytes a second (FED-19): a fast link, for as long as it likes.
pub const BYTES_PER_SECOND: u64 = 16 * 1024 * 1024;

/// Links that a server has at once (FED-13).
pub const CONNECTIONS_MAX: usize = 1000;

/// Close codes of WebSocket that are used (RFC 6455, 7.4).
pub mod close {
    /// Done.
    pub const NORMAL: u16 = 1000;
    /// This side stops, or its settings change.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// No room, or not allowed.
    pub const POLICY: u16 = 1008;
    /// A frame that is too large.
    pub const TOO_LARGE: u16 = 1009;
    /// This side failed.
    pub const INTERNAL: u16 = 1011;
}
