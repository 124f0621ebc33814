//! Targets of several parts, of which each comes as far as it comes (SINK-41 to SINK-43).

use std::sync::Arc;

use allod_feed::{Cursor, Feed, FeedError};

use crate::gather::fault_of;
use crate::register::{PartState, State};
use crate::target::{Fault, Last, Outgoing, Part};

/// Where an event stands among those of its part. Of a snapshot the place of a change is another one each time, so
/// its key counts.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    position: u64,
    told: Told,
}

/// What a snapshot shows comes before the moves from its position on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Told {
    /// Space, branch and key.
    Shown(Vec<u8>, String, Vec<u8>),
    /// The places of the commit and of the change.
    Move(u64, u64),
}

impl Place {
    fn shown(cursor: &Cursor) -> Option<Self> {
        let (space, branch, key) = cursor.shown()?;
        let told = Told::Shown(space.cid().to_bytes(), branch.to_string(), key.to_vec());
        Some(Self {
            position: cursor.position(),
            told,
        })
    }

    fn of_event(event: &Outgoing) -> Self {
        Self::shown(&event.cursor).unwrap_or(Self {
            position: event.order.position,
            told: Told::Move(event.order.commit, event.order.change),
        })
    }

    fn of_last(cursor: &Cursor, sequence: Option<&str>) -> Option<Self> {
        if cursor.is_in_snapshot() {
            return Self::shown(cursor);
        }
        let mut numbers = sequence?.splitn(3, '-').map(|digits| digits.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            position: next()?,
            told: Told::Move(next()?, next()?),
        })
    }
}

/// What the parts of a target have already (SINK-42).
#[derive(Debug, Default)]
pub(crate) struct Passed(Vec<Option<Place>>);

impl Passed {
    /// What parts have, and from where on a sink goes on for none of them to miss anything.
    pub(crate) fn of(
        parts: Vec<Part>,
        state: &State,
        (name, feed): (&str, &Feed),
    ) -> Result<(Cursor, Self), Fault> {
        let mut from = state.cursor.clone();
        let mut passed = Vec::with_capacity(parts.len());
        let mut lost_all = false;
        for (number, part) in parts.into_iter().enumerate() {
            let kept = state.parts.get(number).copied().unwrap_or_default();
            let has_lost = part.end < kept.end;
            let last = match part.last {
                // It was there before somebody sought, and does not say how far that came.
                Some(_) if part.end == kept.since => None,
                Some(last) => {
                    let (cursor, place) = read(&last, (name, feed))?;
                    cursor.map(|cursor| (cursor, place))
                }
                None => None,
            };
            match &last {
                Some((cursor, _)) if has_lost => from = earlier(&from, cursor),
                None if has_lost => lost_all = true,
                _ => {}
            }
            passed.push(last.and_then(|(_, place)| place));
        }
        // What a part that lost all had is known from the beginning on alone.
        if lost_all {
            from = state.began.clone();
        }
        Ok((from, Self(passed)))
    }

    /// Whether a part has an event already.
    pub(crate) fn has(&self, part: usize, event: &Outgoing) -> bool {
        let last = self.0.get(part).and_then(Option::as_ref);
        last.is_some_and(|last| Place::of_event(event) <= *last)
    }
}

/// The cursor and place of the last event of a part; none if the log does not go on from there (SINK-3).
fn read(
    last: &Last,
    (name, feed): (&str, &Feed),
) -> Result<(Option<Cursor>, Option<Place>), Fault> {
    if last.sink != name {
        let words = format!("the target has events of another sink, {:?}", last.sink);
        return Err(Fault::Stopped(words));
    }
    let Ok(cursor) = last.cursor.parse::<Cursor>() else {
        return Ok((None, None));
    };
    if cursor.epoch() != feed.epoch() {
        return Err(of_another_node());
    }
    match feed.read(cursor.clone(), Arc::default()) {
        Ok(_) => {}
        Err(FeedError::Expired { .. } | FeedError::Cursor) => return Ok((None, None)),
        Err(error) => return Err(fault_of(error)),
    }
    let place = Place::of_last(&cursor, last.sequence.as_deref());
    Ok((Some(cursor), place))
}

/// Before the move of the earlier of two cursors: within one it is not said which is the earlier.
fn earlier(one: &Cursor, other: &Cursor) -> Cursor {
    let rank = |cursor: &Cursor| (cursor.position(), !cursor.is_in_snapshot());
    let first = if rank(other) <= rank(one) { other } else { one };
    first.before_its_move()
}

pub(crate) fn of_another_node() -> Fault {
    Fault::Stopped("the target has events of another node".to_owned())
}

/// What is kept of parts whose content does not count from here on.
pub(crate) fn forgotten(parts: &[Part]) -> Vec<PartState> {
    let all = parts.iter().map(|part| PartState {
        end: part.end,
        since: part.end,
    });
    all.collect()
}

/// Keeps that parts have had so many records.
pub(crate) fn grown(kept: &mut Vec<PartState>, ends: &[u64]) {
    if kept.len() < ends.len() {
        kept.resize(ends.len(), PartState::default());
    }
    for (kept, end) in kept.iter_mut().zip(ends) {
        kept.end = *end;
        if *end < kept.since {
            kept.since = 0;
        }
    }
}
