//! What events go to.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use allod_events::{CloudEvent, Data, EventError};
use allod_feed::{Cursor, Kind, Order};
use allod_repo::{BranchName, SpaceId};
use bytes::Bytes;

/// The extension that says whose sink has delivered an event (SINK-3).
pub(crate) const SINK: &str = "allodsink";

/// As what a target takes events. It has them in the other form too, at a price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "targets of others name them")]
pub enum Form {
    /// As events.
    Event,
    /// As texts in the structured mode: they are written where they are read, and one text is held of each instead of
    /// many.
    Text,
}

/// An event, in one of the forms.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Event(Box<CloudEvent>),
    Text(Bytes),
}

/// An event on its way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// The event, with its cursor.
    pub(crate) said: Said,
    /// The name of its sink.
    pub(crate) sink: Arc<str>,
    /// The cursor after it.
    pub cursor: Cursor,
    /// The same as text.
    pub(crate) cursor_text: Arc<str>,
    /// Where it stands among all events of the log.
    pub order: Order,
    /// Of which kind it is.
    pub kind: Kind,
    /// Its space.
    pub space: SpaceId,
    /// Its branch.
    pub branch: BranchName,
}

impl Outgoing {
    /// The event, with its cursor.
    ///
    /// # Errors
    /// Of a text that is no event; none is.
    pub fn cloud(&self) -> Result<Cow<'_, CloudEvent>, EventError> {
        match &self.said {
            Said::Event(cloud) => Ok(Cow::Borrowed(cloud)),
            Said::Text(text) => CloudEvent::from_json(text).map(Cow::Owned),
        }
    }

    /// The event, with its cursor, in the structured mode.
    ///
    /// # Errors
    /// Of an event that cannot be written; each can.
    pub fn text(&self) -> Result<Bytes, EventError> {
        match &self.said {
            Said::Event(cloud) => Ok(cloud.to_json()?.into()),
            Said::Text(text) => Ok(text.clone()),
        }
    }

    /// What it takes in memory, nearly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let said = match &self.said {
            Said::Text(text) => text.len(),
            Said::Event(cloud) => {
                let data = match &cloud.data {
                    Some(Data::Json(json)) => json.get().len(),
                    Some(Data::Bytes(bytes)) => bytes.len(),
                    _ => 0,
                };
                size_of::<CloudEvent>() + data
            }
        };
        size_of::<Self>() + self.cursor_text.len() + said
    }
}

/// Why events were not delivered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "targets of others make them")]
pub enum Fault {
    /// It may pass (SINK-4). Blame: the environment.
    #[error("{words}")]
    Away {
        /// How many of the events the target has taken all the same, from the first on.
        taken: usize,
        /// Why.
        words: String,
        /// When the target wants to be asked again, if it said so.
        after: Option<Duration>,
    },
    /// The target has taken all events before one, and refuses that one for what it is (SINK-5). Blame: nobody.
    #[error("event {at} was refused: {words}")]
    Refused {
        /// Which of the events.
        at: usize,
        /// Why.
        words: String,
    },
    /// Somebody has to do something. Blame: whoever set it up.
    #[error("{0}")]
    Stopped(String),
}

impl Fault {
    pub(crate) fn away(error: impl ToString) -> Self {
        Self::Away {
            taken: 0,
            words: error.to_string(),
            after: None,
        }
    }
}

/// What a target says that it has.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "targets of others make them")]
pub enum Has {
    /// All up to a cursor.
    UpTo {
        /// The cursor, as text.
        cursor: String,
        /// Whose sink has delivered it.
        sink: String,
    },
    /// Nothing, and it never had anything.
    Nothing,
    /// It has several parts, each with events in order, and each may have come further than others (SINK-41).
    Parts(Vec<Part>),
    /// It cannot say: it keeps nothing, or what it had was taken away on purpose.
    Unknown,
}

/// What a part of a target has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "targets of others make them")]
pub struct Part {
    /// How many records it has had, those included that expired.
    pub end: u64,
    /// The last one, if it is still there.
    pub last: Option<Last>,
}

/// The last event of a part.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "targets of others make them")]
pub struct Last {
    /// Its cursor, as text.
    pub cursor: String,
    /// Its sequence (EVENT-4), if it has one.
    pub sequence: Option<String>,
    /// Whose sink has delivered it.
    pub sink: String,
}

/// What events go to.
pub trait Target: Send {
    /// What it has (SINK-2).
    fn has(&mut self) -> Result<Has, Fault>;

    /// How many events it is given at a time, at most.
    fn events_max(&self) -> usize;

    /// As what it takes them.
    fn form(&self) -> Form {
        Form::Event
    }

    /// Delivers events, in order. When it returns, the target keeps them all.
    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault>;

    /// Which of its parts an event goes to.
    fn part_of(&self, _event: &Outgoing) -> usize {
        0
    }

    /// How many records each of its parts has had, as far as it has said so when it took events.
    fn ends(&self) -> Vec<u64> {
        Vec::new()
    }
}
