//! Which of the events that are known of an agent count (IDENT-33 to IDENT-37): a function of the set of events, in
//! whatever order they came.
//!
//! Every event names the one before it, so each has one way back to the beginning. The newest key decides: the log is
//! the way to the event that made it the key, and then what it signed, up to where it signed two things. Guardians may
//! then give the agent another key, from which it goes on in the same manner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cid::Cid;

use crate::chain::{Commitment, commit};
use crate::event::{Event, KeyEvent};
use crate::guardian::{Guardians, Says};
use crate::key::{AgentId, PublicKey};
use crate::keylog::{KEYLOG_BYTES_MAX, KEYLOG_EVENTS_MAX, KeyLogError};
use crate::statement::Verified;

/// Events beside the log that are kept and told (IDENT-37): enough for what a thief did before anybody noticed.
pub(crate) const FORKS_MAX: usize = 64;

/// What holds from one change of the key to the next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Epoch {
    /// The agent's key.
    pub(crate) key: PublicKey,
    /// What commits to the keys after it.
    pub(crate) next: Commitment,
    /// How often guardians recovered the agent, and how often its key was changed since then.
    pub(crate) number: (u32, u32),
    /// The guardians, with the event that named them.
    pub(crate) guardians: Option<(Cid, Guardians)>,
}

fn named(guardians: Option<&Guardians>, by: &Verified<KeyEvent>) -> Option<(Cid, Guardians)> {
    let some = guardians.filter(|some| !some.keys.is_empty());
    some.map(|some| (*by.cid(), some.clone()))
}

impl Epoch {
    /// The epoch that begins a log.
    pub(crate) fn begin(agent: &AgentId, event: &Verified<KeyEvent>) -> Result<Self, KeyLogError> {
        match &event.payload().event {
            Event::Inception { next, guardians } if event.signer() == agent.key() => Ok(Self {
                key: *agent.key(),
                next: *next,
                number: (0, 0),
                guardians: named(guardians.as_ref(), event),
            }),
            Event::Inception { .. } => Err(KeyLogError::Signer),
            _ => Err(KeyLogError::Prev),
        }
    }

    /// The epoch after an event that follows in this one: a new one, or `None` if it goes on.
    pub(crate) fn after(&self, event: &Verified<KeyEvent>) -> Result<Option<Self>, KeyLogError> {
        let said = event.payload();
        let (recoveries, rotations) = self.number;
        match &said.event {
            Event::Inception { .. } => Err(KeyLogError::Prev),
            Event::AddDevice { .. } | Event::RemoveDevice { .. } => {
                if *event.signer() == self.key {
                    Ok(None)
                } else {
                    Err(KeyLogError::Signer)
                }
            }
            Event::Rotate {
                next, guardians, ..
            } => {
                if commit(event.signer(), next) != self.next {
                    return Err(KeyLogError::Signer);
                }
                if guardians.is_some() && self.guardians.is_some() && !self.lets(event) {
                    return Err(KeyLogError::Guardians);
                }
                Ok(Some(Self {
                    key: *event.signer(),
                    next: *next,
                    number: (recoveries, rotations.saturating_add(1)),
                    guardians: match guardians {
                        None => self.guardians.clone(),
                        Some(_) => named(guardians.as_ref(), event),
                    },
                }))
            }
            Event::Recover { next, .. } => {
                if !self.confirms(event) {
                    return Err(KeyLogError::Guardians);
                }
                Ok(Some(Self {
                    key: *event.signer(),
                    next: *next,
                    number: (recoveries.saturating_add(1), 0),
                    guardians: self.guardians.clone(),
                }))
            }
        }
    }

    /// Whether enough guardians let those take their place whom an event names (IDENT-41).
    fn lets(&self, event: &Verified<KeyEvent>) -> bool {
        let said = event.payload();
        let Some((named, guardians)) = &self.guardians else {
            return false;
        };
        let Event::Rotate {
            guardians: Some(then),
            released,
            ..
        } = &said.event
        else {
            return false;
        };
        guardians.said(released, |by| match &by.says {
            Says::Release {
                named: of,
                guardians,
            } => by.agent == said.agent && of == named && guardians == then,
            _ => false,
        })
    }

    /// Whether enough guardians confirm a recovery (IDENT-43).
    fn confirms(&self, event: &Verified<KeyEvent>) -> bool {
        let said = event.payload();
        let (
            Some((_, guardians)),
            Event::Recover {
                next, confirmed, ..
            },
        ) = (&self.guardians, &said.event)
        else {
            return false;
        };
        guardians.said(confirmed, |by| match &by.says {
            Says::Confirm {
                key,
                next: then,
                prev,
                since,
            } => {
                by.agent == said.agent
                    && key == event.signer()
                    && then == next
                    && Some(*prev) == said.prev
                    && by
                        .at
                        .checked_sub(*since)
                        .is_some_and(|waited| waited >= guardians.wait)
            }
            _ => false,
        })
    }
}

/// An event that follows from those before it.
struct Sound<'a> {
    event: &'a Verified<KeyEvent>,
    epoch: Arc<Epoch>,
    /// The bytes of the way to it.
    bytes: usize,
    /// The last recovery on the way to it, or the beginning of all.
    since: Cid,
    /// The event that had named the guardians whom it replaces.
    releases: Option<Cid>,
}

/// What is to be made of a set of events.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// The log.
    pub(crate) path: Vec<Verified<KeyEvent>>,
    /// What holds at its end; `None` of an empty log.
    pub(crate) epoch: Option<Arc<Epoch>>,
    /// Sound events beside the log: those that contradict each other where it ends, and what was superseded.
    pub(crate) forks: Vec<Verified<KeyEvent>>,
    /// Two events of which neither is trusted; the log ends before them.
    pub(crate) contradiction: Option<[Verified<KeyEvent>; 2]>,
    /// Whether some events follow from nothing.
    pub(crate) unsound: bool,
}

/// The log that a set of events of one agent makes. Events that follow from nothing are left out.
pub(crate) fn fold(agent: &AgentId, events: &[Verified<KeyEvent>]) -> Folded {
    let mut order: Vec<&Verified<KeyEvent>> = events.iter().collect();
    order.sort_by_key(|event| (event.payload().seq, *event.cid()));
    let sound = sound(agent, &order);
    Folded {
        unsound: order.iter().any(|event| !sound.contains_key(event.cid())),
        ..Choice::new(&sound).folded()
    }
}

/// Why an event is not sound beside these, which are.
pub(crate) fn fault_of<'a>(
    agent: &AgentId,
    known: impl Iterator<Item = &'a Verified<KeyEvent>>,
    event: &Verified<KeyEvent>,
) -> Option<KeyLogError> {
    let order: Vec<&Verified<KeyEvent>> = known.collect();
    let sound = sound(agent, &order);
    let before = event.payload().prev.and_then(|prev| sound.get(&prev));
    Sound::after(agent, before, event).err()
}

/// The events that follow, each from one that does; `order` has those before first.
fn sound<'a>(agent: &AgentId, order: &[&'a Verified<KeyEvent>]) -> BTreeMap<Cid, Sound<'a>> {
    let mut sound: BTreeMap<Cid, Sound<'a>> = BTreeMap::new();
    for event in order {
        let before = event.payload().prev.and_then(|prev| sound.get(&prev));
        if let Ok(found) = Sound::after(agent, before, event) {
            sound.insert(*event.cid(), found);
        }
    }
    sound
}

impl<'a> Sound<'a> {
    /// An event after the one that it names; `None` if that is not sound, or the event names none.
    fn after(
        agent: &AgentId,
        before: Option<&Sound<'_>>,
        event: &'a Verified<KeyEvent>,
    ) -> Result<Self, KeyLogError> {
        let said = event.payload();
        let size = event.bytes().len();
        if said.agent != *agent {
            return Err(KeyLogError::OtherAgent);
        }
        let Some(before) = before else {
            return Epoch::begin(agent, event).map(|epoch| Self {
                event,
                epoch: Arc::new(epoch),
                bytes: size,
                since: *event.cid(),
                releases: None,
            });
        };
        if before.event.payload().seq.checked_add(1) != Some(said.seq) {
            return Err(KeyLogError::Prev);
        }
        let bytes = before.bytes + size;
        if said.seq >= KEYLOG_EVENTS_MAX as u64 || bytes > KEYLOG_BYTES_MAX {
            return Err(KeyLogError::Full);
        }
        let after = before.epoch.after(event)?;
        let (since, replaces) = match said.event {
            Event::Recover { .. } => (*event.cid(), false),
            Event::Rotate {
                guardians: Some(_), ..
            } => (before.since, true),
            _ => (before.since, false),
        };
        let replaced = before.epoch.guardians.as_ref().filter(|_| replaces);
        Ok(Self {
            event,
            epoch: after.map_or_else(|| Arc::clone(&before.epoch), Arc::new),
            bytes,
            since,
            releases: replaced.map(|(named, _)| *named),
        })
    }
}

/// A way through events, and where it ends in a contradiction, the two of them.
type Way = (Vec<Cid>, Option<[Cid; 2]>);

/// Which way through the events is the log.
struct Choice<'a> {
    sound: &'a BTreeMap<Cid, Sound<'a>>,
    after: BTreeMap<Cid, Vec<Cid>>,
    /// Of guardians who were replaced, by the event that had named them, the recoveries that were before that.
    kept: BTreeMap<Cid, BTreeSet<Cid>>,
}

impl<'a> Choice<'a> {
    fn new(sound: &'a BTreeMap<Cid, Sound<'a>>) -> Self {
        let mut after: BTreeMap<Cid, Vec<Cid>> = BTreeMap::new();
        for (cid, Sound { event, .. }) in sound {
            if let Some(prev) = event.payload().prev {
                after.entry(prev).or_default().push(*cid);
            }
        }
        let mut choice = Self {
            sound,
            after,
            kept: BTreeMap::new(),
        };
        let releases = sound
            .iter()
            .filter_map(|(cid, sound)| Some((*cid, sound.releases?)));
        for (cid, named) in releases {
            let before = choice.way(cid);
            choice.kept.entry(named).or_default().extend(before);
        }
        choice
    }

    /// The way from the beginning to an event, that one included.
    fn way(&self, to: Cid) -> Vec<Cid> {
        let mut way = vec![to];
        let mut at = to;
        while let Some(prev) = self.prev(&at) {
            way.push(prev);
            at = prev;
        }
        way.reverse();
        way
    }

    fn prev(&self, cid: &Cid) -> Option<Cid> {
        self.sound
            .get(cid)
            .and_then(|sound| sound.event.payload().prev)
    }

    /// Sound events that begin an epoch, by position and name.
    fn begins(&self, is_one: impl Fn(&Sound<'_>) -> bool) -> Vec<Cid> {
        let begins = self
            .sound
            .iter()
            .filter(|(_, sound)| sound.event.payload().event.is_establishment() && is_one(sound));
        let mut found: Vec<(u64, Cid)> = begins
            .map(|(cid, sound)| (sound.event.payload().seq, *cid))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, cid)| cid).collect()
    }

    /// Up to where events that contradict each other have the same way, with two that show it.
    fn shared(&self, of: &[Cid]) -> Way {
        let Some((first, others)) = of.split_first() else {
            return (Vec::new(), None);
        };
        let mut shared = self.way(*first);
        let mut second = None;
        for other in others {
            let way = self.way(*other);
            let count = shared.iter().zip(&way).take_while(|(a, b)| a == b).count();
            if count < shared.len() || second.is_none() {
                shared.truncate(count);
                second = Some(*other);
            }
        }
        (shared, second.map(|second| [*first, second]))
    }

    /// The way to the newest key of those that come after some recoveries, or after the beginning, and what follows it.
    fn newest(&self, since: &[Cid]) -> Way {
        if since.len() > 1 {
            // What guardians said twice the keys that came of it do not settle.
            return self.shared(since);
        }
        let begins = self.begins(|sound| since.contains(&sound.since));
        let number = |cid: &Cid| self.sound.get(cid).map(|sound| sound.epoch.number);
        let newest = begins.iter().map(number).max();
        let tips: Vec<Cid> = begins
            .into_iter()
            .filter(|cid| Some(number(cid)) == newest)
            .collect();
        let [one] = tips[..] else {
            return self.shared(&tips);
        };
        let mut path = self.way(one);
        let mut last = one;
        loop {
            let follow = self.after.get(&last).map_or(&[][..], Vec::as_slice);
            // A recovery begins what comes after all this.
            let mut follow = follow.iter().filter(|cid| number(cid) == newest.flatten());
            match (follow.next(), follow.next()) {
                (None, _) => return (path, None),
                (Some(one), None) => {
                    path.push(*one);
                    last = *one;
                }
                (Some(first), Some(second)) => return (path, Some([*first, *second])),
            }
        }
    }

    fn chosen(&self) -> Way {
        let mut since = self.begins(|sound| sound.event.payload().seq == 0);
        loop {
            let way = self.newest(&since);
            let end = way.0.last().and_then(|cid| self.sound.get(cid));
            let in_force = end.and_then(|end| end.epoch.guardians.as_ref());
            let Some((in_force, _)) = in_force else {
                return way;
            };
            let recoveries = self.begins(|sound| {
                let said = sound.event.payload();
                let before = said.prev.and_then(|prev| self.sound.get(&prev));
                let by = sound.epoch.guardians.as_ref().map(|(named, _)| named);
                let kept = self.kept.get(in_force);
                matches!(said.event, Event::Recover { .. })
                    && before.is_some_and(|before| since.contains(&before.since))
                    && by == Some(in_force)
                    && kept.is_none_or(|kept| kept.contains(sound.event.cid()))
            });
            if recoveries.is_empty() {
                return way;
            }
            since = recoveries;
        }
    }

    fn folded(&self) -> Folded {
        let (path, contradiction) = self.chosen();
        let mut forks: Vec<Cid> = Vec::new();
        let mut seen: BTreeSet<Cid> = path.iter().copied().collect();
        // First what proves the contradiction, with the way to it.
        for cid in contradiction.iter().flatten() {
            forks.extend(self.way(*cid).into_iter().filter(|cid| seen.insert(*cid)));
        }
        let most = forks.len() + FORKS_MAX;
        let mut others: Vec<(u64, Cid)> = self
            .sound
            .iter()
            .filter(|(cid, _)| !seen.contains(*cid))
            .map(|(cid, sound)| (sound.event.payload().seq, *cid))
            .collect();
        others.sort_unstable();
        for (_, cid) in others {
            let has_before = self.prev(&cid).is_none_or(|prev| seen.contains(&prev));
            if forks.len() < most && has_before {
                seen.insert(cid);
                forks.push(cid);
            }
        }
        let of = |cid: &Cid| self.sound.get(cid).map(|sound| sound.event.clone());
        let pair = contradiction.and_then(|[first, second]| Some([of(&first)?, of(&second)?]));
        let end = path.last().and_then(|cid| self.sound.get(cid));
        Folded {
            epoch: end.map(|sound| Arc::clone(&sound.epoch)),
            path: path.iter().filter_map(of).collect(),
            forks: forks.iter().filter_map(of).collect(),
            contradiction: pair,
            unsound: false,
        }
    }
}
