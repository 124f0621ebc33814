//! What goes into a link, and what comes out.

use std::sync::Arc;

use allod_deltas::{Appended, Arrivals, Cursor, Delta, DeltaFilter, Page, Place};

use super::given::Positions;
use crate::event::Event;

/// What happens to a link.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A text frame came.
    Frame(&'a str),
    /// A binary frame came: a packed message, or none (FED-35).
    Packed(&'a [u8]),
    /// What became of the deltas of the last [`Output::Append`], in their order; none if the store failed.
    Appended(Option<Vec<Appended>>),
    /// The answer to the last [`Output::Read`].
    Read(Result<ReadReply, ReadFault>),
    /// Something was appended to the store, by this link or by others.
    Arrived,
    /// Somebody asks for something.
    Command(Command),
    /// Time has passed.
    Tick,
    /// The connection is gone.
    Closed,
}

/// What somebody asks of a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Send nothing, and ask the server to send nothing.
    Pause,
    /// Go on.
    Resume,
    /// Send a delta that is in the store.
    Send(Arc<Delta>),
    /// End the link.
    Disconnect,
    /// End the link, as this side goes away (FED-56).
    Leave,
}

/// What a link asks for.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Output {
    /// Send a text frame.
    Send(String),
    /// Send a binary frame: a packed message (FED-35).
    Packed(Vec<u8>),
    /// Append deltas, and answer with [`Input::Appended`] once they are durable. One at a time.
    Append(Vec<Arc<Delta>>),
    /// Read, and answer with [`Input::Read`]. One at a time.
    Read(ReadRequest),
    /// Tell whoever listens.
    Event(Event),
    /// Write down how far it has come, at leisure.
    Save(Positions),
    /// Close the connection. Nothing follows.
    Close {
        /// The code.
        code: u16,
        /// Why.
        reason: String,
    },
}

/// What is to be read of the store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReadRequest {
    /// The cursor after all that is there.
    End,
    /// What arrived after a cursor.
    Arrivals {
        /// The cursor.
        after: Cursor,
        /// How many at most.
        limit: usize,
    },
    /// What meets a filter, in order.
    Scan {
        /// The filter.
        filter: Box<DeltaFilter>,
        /// Where to go on.
        after: Option<Place>,
        /// How many at most.
        limit: usize,
    },
}

/// What was read of the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadReply {
    /// For [`ReadRequest::End`].
    End(Cursor),
    /// For [`ReadRequest::Arrivals`].
    Arrivals(Arrivals),
    /// For [`ReadRequest::Scan`].
    Scan(Page),
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReadFault {
    /// The cursor is older than what is known.
    Expired,
    /// The store failed.
    Failed,
}
