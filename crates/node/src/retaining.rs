//! Removing what nobody needs from the beginning of the log (FEED-50, FEED-51).

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use allod_federation::PositionStore as _;
use allod_feed::Retention;
use allod_repo::{follower, log_range, trim_log};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::error::NodeError;
use crate::hooks::HookKind;
use crate::node::Node;

/// How often a running node looks whether something may go.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// What reads the log and has its place kept by the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReaderKind {
    /// A hook that hears of commits.
    Hook,
    /// A sink.
    Sink,
    /// A link to a federation.
    Link,
}

impl ReaderKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Sink => "sink",
            Self::Link => "link",
        }
    }
}

/// How far one has read the log whose place the node keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogReader {
    /// What it is.
    pub kind: ReaderKind,
    /// What it is called.
    pub name: String,
    /// The position of the first entry that it has not read.
    pub next: u64,
}

/// How the log stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogStanding {
    /// The positions of the entries that are there.
    pub there: Range<u64>,
    /// How many are kept.
    pub retention: Retention,
    /// Who reads it, who is furthest behind first.
    pub readers: Vec<LogReader>,
    /// Where it would begin if it were trimmed now.
    pub begin: u64,
}

impl Node {
    /// How the log stands.
    pub fn log_standing(&self) -> Result<LogStanding, NodeError> {
        let mut readers = self.log_readers()?;
        readers.sort_by_key(|reader| reader.next);
        let store = self.store().as_ref();
        let (there, retention) = (log_range(store)?, Retention::of(store)?);
        // Who has missed entries already is held back by none of the others.
        let waiting = readers.iter().map(|reader| reader.next);
        let needed = waiting.filter(|next| *next >= there.start).min();
        Ok(LogStanding {
            begin: retention.begin(there.clone(), needed),
            there,
            retention,
            readers,
        })
    }

    /// Removes entries of the log that are not to be kept any more; how many. `progress` hears how many went so far,
    /// and may end it.
    pub fn trim_log(
        &self,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<u64, NodeError> {
        let standing = self.log_standing()?;
        Ok(trim_log(self.store().as_ref(), standing.begin, progress)?)
    }

    /// Removes entries of the log from time to time, until `stop` becomes true.
    pub(crate) async fn keep_trimming(&self, stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let (node, stop) = (self.clone(), stop.clone());
            let trim = move || {
                let mut go_on = |_| {
                    if *stop.borrow() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                node.trim_log(&mut go_on)
            };
            // What cannot be read now stays, and is looked at again.
            drop(spawn_blocking(trim).await);
        }
    }

    fn log_readers(&self) -> Result<Vec<LogReader>, NodeError> {
        let mut readers = Vec::new();
        let mut add = |kind, name: String, next| readers.push(LogReader { kind, name, next });
        let hooks = self.hooks().map_err(NodeError::file(self.home().path()))?;
        for file in hooks {
            if file.kind == HookKind::PostCommit
                && let Some(record) = follower(self.store().as_ref(), &file.cursor())?
            {
                add(ReaderKind::Hook, file.cursor(), record.next);
            }
        }
        for (name, definition) in self.sinks().list()? {
            // Of one that cannot be read nobody knows where it is: it carries nothing either.
            if definition.is_ok()
                && let Ok((_, state)) = self.sinks().get(&name)
            {
                add(ReaderKind::Sink, name, state.cursor.position());
            }
        }
        let register = self.federations();
        for (name, link) in register.links()? {
            // One that only takes reads nothing here.
            let Ok(link) = link else { continue };
            let Some(space) = link.space.parse().ok().filter(|_| link.mode != "pull") else {
                continue;
            };
            if let Some(shared) = register.shared(space)?
                && let Some(ours) = register.positions(space, &shared).load(&link.url).ours
            {
                add(ReaderKind::Link, name, ours.position);
            }
        }
        Ok(readers)
    }
}
