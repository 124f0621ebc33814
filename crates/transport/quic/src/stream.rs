//! A stream of frames, both ways.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{RecvStream, SendStream};

use crate::connection::Shared;
use crate::error::{CloseCode, QuicError};
use crate::frame::{Assembler, FRAME_BYTES_MAX, HELLO_BYTES_MAX, StreamKind, header};

/// Pieces taken from the transport in one call: about what fits in a frame of 64 KiB. Each call
/// takes a lock that the connection's own task wants too.
const PIECES_MAX: usize = 16;

/// A stream of frames, both ways. Dropping it gives it up; [`finish`](Self::finish) ends it well.
#[derive(Debug)]
pub struct Stream {
    kind: StreamKind,
    send: SendHalf,
    recv: RecvHalf,
}

impl Stream {
    /// Says what the stream is for; the words travel with the first frame.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        (send, recv): (SendStream, RecvStream),
        kind: StreamKind,
    ) -> Result<Self, QuicError> {
        let (mut send, recv) = halves(shared, send, recv);
        send.send(kind.hello().into()).await?;
        Ok(Self { kind, send, recv })
    }

    /// Reads what the stream is for (TRANS-13). The caller sets the time limit; on a fault, or when
    /// this is dropped, the stream is given up.
    pub(crate) async fn accept(
        shared: Arc<Shared>,
        (send, recv): (SendStream, RecvStream),
    ) -> Result<Self, QuicError> {
        let (mut send, mut recv) = halves(shared, send, recv);
        send.drop_code = Some(CloseCode::STREAM_KIND);
        recv.drop_code = CloseCode::STREAM_KIND;
        let hello = recv
            .recv_at_most(HELLO_BYTES_MAX)
            .await?
            .ok_or(QuicError::StreamKind)?;
        let kind = StreamKind::from_hello(&hello)?;
        send.drop_code = Some(CloseCode::DONE);
        recv.drop_code = CloseCode::DONE;
        Ok(Self { kind, send, recv })
    }

    /// What the stream is for.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// See [`SendHalf::send`].
    pub async fn send(&mut self, frame: Bytes) -> Result<(), QuicError> {
        self.send.send(frame).await
    }

    /// See [`RecvHalf::recv`].
    pub async fn recv(&mut self) -> Result<Option<Bytes>, QuicError> {
        self.recv.recv().await
    }

    /// See [`SendHalf::finish`].
    pub fn finish(&mut self) -> Result<(), QuicError> {
        self.send.finish()
    }

    /// Gives both directions up with a code.
    pub fn abort(self, code: CloseCode) {
        self.send.abort(code);
        self.recv.abort(code);
    }

    /// The two directions, to be used by two tasks.
    #[must_use]
    pub fn split(self) -> (SendHalf, RecvHalf) {
        (self.send, self.recv)
    }
}

fn halves(shared: Arc<Shared>, send: SendStream, recv: RecvStream) -> (SendHalf, RecvHalf) {
    let send = SendHalf {
        stream: send,
        mid_frame: false,
        drop_code: Some(CloseCode::DONE),
        _shared: shared.clone(),
    };
    let recv = RecvHalf {
        stream: recv,
        frames: Assembler::default(),
        pieces: Vec::new(),
        next_piece: 0,
        drop_code: CloseCode::DONE,
        _shared: shared,
    };
    (send, recv)
}

/// The sending direction of a [`Stream`]. Dropped without [`finish`](Self::finish), it is given up.
#[derive(Debug)]
pub struct SendHalf {
    stream: SendStream,
    /// Set while a frame is being written: a send that was dropped leaves it set.
    mid_frame: bool,
    /// The code to give the direction up with when dropped; none once it has ended well.
    drop_code: Option<CloseCode>,
    /// Keeps the connection, and its place in the count of connections.
    _shared: Arc<Shared>,
}

impl SendHalf {
    /// Sends a frame of at most [`FRAME_BYTES_MAX`] bytes. Returns once the transport has taken it,
    /// which is when the peer's window has room: this is the back-pressure.
    ///
    /// Not to be given up half way: after that the stream takes no further frame
    /// ([`QuicError::Interrupted`]).
    pub async fn send(&mut self, frame: Bytes) -> Result<(), QuicError> {
        let header = header(frame.len())?;
        if self.mid_frame {
            return Err(QuicError::Interrupted);
        }
        self.mid_frame = true;
        let mut chunks = [Bytes::copy_from_slice(&header), frame];
        let outcome = self.stream.write_all_chunks(&mut chunks).await;
        // A fault is for good, and says more than that a frame is cut.
        self.mid_frame = false;
        Ok(outcome?)
    }

    /// Ends the direction: the peer receives all frames and then `None`.
    ///
    /// As long as the connection lives: who is about to let it go waits for
    /// [`finished`](Self::finished) first.
    pub fn finish(&mut self) -> Result<(), QuicError> {
        if self.mid_frame {
            return Err(QuicError::Interrupted);
        }
        self.stream
            .finish()
            .map_err(|_error| QuicError::ClosedHere)?;
        self.drop_code = None;
        Ok(())
    }

    /// Waits until the peer has acknowledged everything after [`finish`](Self::finish), or gave the
    /// direction up.
    pub async fn finished(&mut self) -> Result<(), QuicError> {
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(QuicError::Reset { code: code.into() }),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
            Err(quinn::StoppedError::ZeroRttRejected) => Err(QuicError::ClosedHere),
        }
    }

    /// Gives the direction up with a code; what was sent may not arrive.
    pub fn abort(mut self, code: CloseCode) {
        self.drop_code = Some(code);
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        if let Some(code) = self.drop_code {
            // An error says that the direction has ended already.
            self.stream.reset(code.into()).ok();
        }
    }
}

/// The receiving direction of a [`Stream`]. When dropped, the peer is told to stop sending.
#[derive(Debug)]
pub struct RecvHalf {
    stream: RecvStream,
    frames: Assembler,
    /// What came together and is not pushed yet, from `next_piece` on.
    pieces: Vec<Bytes>,
    next_piece: usize,
    drop_code: CloseCode,
    _shared: Arc<Shared>,
}

impl RecvHalf {
    /// The next frame; `None` once the peer has ended its direction.
    ///
    /// May be given up at any time without losing anything (cancel-safe). After an error the stream
    /// is of no further use.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, QuicError> {
        self.recv_at_most(FRAME_BYTES_MAX).await
    }

    async fn recv_at_most(&mut self, bytes_max: usize) -> Result<Option<Bytes>, QuicError> {
        loop {
            match self.frames.next(bytes_max) {
                Ok(None) => {}
                Ok(frame) => return Ok(frame),
                Err(error) => {
                    // A first frame that is too large is no kind of stream; that code stays.
                    if self.drop_code == CloseCode::DONE {
                        self.drop_code = CloseCode::FRAME;
                    }
                    return Err(error);
                }
            }
            if let Some(piece) = self.pieces.get_mut(self.next_piece) {
                self.next_piece += 1;
                self.frames.push(std::mem::take(piece));
                continue;
            }
            // Given up here, this leaves empty pieces that count as used.
            self.pieces.resize(PIECES_MAX, Bytes::new());
            self.next_piece = PIECES_MAX;
            let come = self.stream.read_chunks(&mut self.pieces).await?;
            self.pieces.truncate(come.unwrap_or(0));
            self.next_piece = 0;
            match come {
                Some(_) => {}
                None if self.frames.is_mid_frame() => return Err(QuicError::FrameCut),
                None => return Ok(None),
            }
        }
    }

    /// Tells the peer to stop sending, with a code.
    pub fn abort(mut self, code: CloseCode) {
        self.drop_code = code;
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        // An error says that the direction has ended already.
        self.stream.stop(self.drop_code.into()).ok();
    }
}
