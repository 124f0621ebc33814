//! Why a connection or a stream failed, by who is to blame.

use std::io;

use allod_identity::DeviceId;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

/// The longest reason that is kept of what a peer gave, in characters: a line in a log.
const REASON_CHARS_MAX: usize = 128;

/// The TLS alert for a certificate that was refused is one of these or another; the one for a
/// missing common protocol is always this.
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

/// QUIC's code for "the server will not take another connection".
const CONNECTION_REFUSED: u64 = 0x02;

/// QUIC's codes for TLS alerts start here; the alert is the low byte.
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;

/// Why an endpoint could not be bound. Blame: the environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The socket could not be opened, or its address is in use.
    #[error("cannot bind the address: {0}")]
    Socket(#[from] io::Error),
    /// The certificate could not be made.
    #[error("cannot make a certificate for the device's key")]
    Certificate,
}

/// Why a connection or stream ended or never began.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    /// Nobody completed a handshake at the address in time, or it cannot be dialled. Blame: the
    /// environment.
    #[error("nobody answers at that address")]
    Unreachable,
    /// Another device answered (TRANS-5). Blame: whoever named the address.
    #[error("{answered} answered instead of {expected}")]
    WrongPeer {
        /// The device that was dialled.
        expected: DeviceId,
        /// The device that the certificate names; a claim, as the handshake ended there.
        answered: DeviceId,
    },
    /// The peer has reached a limit and takes no further connection (TRANS-9). Blame: nobody; try
    /// later.
    #[error("the peer takes no further connections now")]
    Refused,
    /// The peer does not speak `allod/1` (TRANS-2). Blame: nobody; it may speak another protocol.
    #[error("the peer does not speak allod/1")]
    NoCommonProtocol,
    /// One side's certificate does not name a device (TRANS-3). Blame: the side it came from.
    #[error("the handshake failed: TLS alert {alert}")]
    Handshake {
        /// The TLS alert.
        alert: u8,
    },
    /// Nothing was heard of the peer for the idle timeout (TRANS-8). Blame: the environment.
    #[error("nothing was heard of the peer for too long")]
    TimedOut,
    /// A frame announced more bytes than a frame may have (TRANS-12). Blame: the peer, when
    /// receiving; the caller, when sending.
    #[error("a frame of {got} bytes exceeds the limit")]
    FrameTooLarge {
        /// The length.
        got: u64,
    },
    /// A stream ended inside a frame (TRANS-12). Blame: the peer.
    #[error("the stream ended inside a frame")]
    FrameCut,
    /// The first frame of a stream is not a known kind and version, or did not come in time
    /// (TRANS-13). Blame: the peer.
    #[error("the stream does not begin with a known kind")]
    StreamKind,
    /// A frame was given up half sent, so nothing can follow it. Blame: the caller.
    #[error("an earlier frame was given up half sent")]
    Interrupted,
    /// The peer gave this stream up. Blame: the peer, or as its code says.
    #[error("the peer gave the stream up: {code}")]
    Reset {
        /// Its code.
        code: CloseCode,
    },
    /// The peer closed the connection. Blame: as its code says.
    #[error("the peer closed the connection: {code}: {reason}")]
    Closed {
        /// Its code.
        code: CloseCode,
        /// Its words, cut to 128 characters and without control characters. Not to be trusted.
        reason: String,
    },
    /// The connection or stream was closed on this side. Blame: the caller.
    #[error("closed on this side")]
    ClosedHere,
    /// The peer broke the rules of QUIC. Blame: the peer.
    #[error("the peer broke the rules of QUIC: code {code}")]
    Transport {
        /// QUIC's error code.
        code: u64,
    },
}

impl QuicError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "E_UNREACHABLE",
            Self::WrongPeer { .. } => "E_WRONG_PEER",
            Self::Refused => "E_REFUSED",
            Self::NoCommonProtocol => "E_ALPN",
            Self::Handshake { .. } => "E_HANDSHAKE",
            Self::TimedOut => "E_TIMEOUT",
            Self::FrameTooLarge { .. } => "E_FRAME_SIZE",
            Self::FrameCut => "E_FRAME_CUT",
            Self::StreamKind => "E_STREAM_KIND",
            Self::Interrupted => "E_INTERRUPTED",
            Self::Reset { .. } => "E_RESET",
            Self::Closed { .. } => "E_CLOSED",
            Self::ClosedHere => "E_CLOSED_HERE",
            Self::Transport { .. } => "E_TRANSPORT",
        }
    }

    /// A connection that failed before it was established.
    pub(crate) fn dial(error: ConnectionError) -> Self {
        match error.into() {
            // While dialling, silence means that nobody is there.
            Self::TimedOut => Self::Unreachable,
            other => other,
        }
    }
}

impl From<ConnectionError> for QuicError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Self::ClosedHere,
            ConnectionError::ApplicationClosed(close) => Self::Closed {
                code: close.error_code.into(),
                reason: printable(&close.reason),
            },
            ConnectionError::ConnectionClosed(close) => transport(close.error_code.into()),
            ConnectionError::TransportError(error) => transport(error.code.into()),
            ConnectionError::VersionMismatch | ConnectionError::Reset => transport(0),
        }
    }
}

fn transport(code: u64) -> QuicError {
    if code == CONNECTION_REFUSED {
        return QuicError::Refused;
    }
    if !CRYPTO_ERRORS.contains(&code) {
        return QuicError::Transport { code };
    }
    match (code & 0xff) as u8 {
        ALERT_NO_APPLICATION_PROTOCOL => QuicError::NoCommonProtocol,
        alert => QuicError::Handshake { alert },
    }
}

impl From<ReadError> for QuicError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset { code: code.into() },
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::ClosedHere,
        }
    }
}

impl From<WriteError> for QuicError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset { code: code.into() },
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Self::ClosedHere,
        }
    }
}

/// What a peer wrote, fit for a log line.
fn printable(bytes: &[u8]) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    String::from_utf8_lossy(bytes)
        .chars()
        .map(clean)
        .take(REASON_CHARS_MAX)
        .collect()
}

/// Why a connection is closed or a stream given up, as a number on the wire (TRANS-15).
///
/// Those below 256 are registered in TRANS; others belong to the protocol on the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// All is done.
    pub const DONE: Self = Self(0);
    /// The node is shutting down.
    pub const SHUTDOWN: Self = Self(1);
    /// The node has no room; try later.
    pub const BUSY: Self = Self(2);
    /// A frame broke the rules.
    pub const FRAME: Self = Self(3);
    /// The stream's kind or version is not known here.
    pub const STREAM_KIND: Self = Self(4);
    /// Another connection with the same peer is kept instead.
    pub const REPLACED: Self = Self(5);
    /// The protocol negotiated is not one that this node carries.
    pub const PROTOCOL: Self = Self(6);
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match *self {
            Self::DONE => "done",
            Self::SHUTDOWN => "shutting down",
            Self::BUSY => "busy",
            Self::FRAME => "bad frame",
            Self::STREAM_KIND => "unknown kind of stream",
            Self::REPLACED => "replaced by another connection",
            Self::PROTOCOL => "unknown protocol",
            Self(code) => return write!(f, "code {code}"),
        };
        f.write_str(word)
    }
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code.0)
    }
}

impl From<VarInt> for CloseCode {
    /// Codes beyond 32 bits, which no node of ours sends, become the largest.
    fn from(code: VarInt) -> Self {
        Self(u32::try_from(code.into_inner()).unwrap_or(u32::MAX))
    }
}
