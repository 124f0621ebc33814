//! Which of the events that are known of an agent count (IDENT-33 to IDENT-37): a function of the set of events, in
//! whatever order they came.
//!
//! Every event names the one before it, so each has one way back to the beginning. The newest key decides: the log is
//! the way to the event that made it the key, and then what it signed, up to where it signed two things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cid::Cid;

use crate::chain::{Commitment, commit};
use crate::event::{Event, KeyEvent};
use crate::guardian::{Guardians, Says};
use crate::key::{AgentId, PublicKey};
use crate::keylog::{KEYLOG_EVENTS_MAX, KeyLogError};
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
    /// How often guardians recovered the agent, and how often its key was changed since then: the greater is newer.
    pub(crate) number: (u32, u32),
    /// The guardians, with the event that named them.
    pub(crate) guardians: Option<(Cid, Guardians)>,
}

impl Epoch {
    /// The epoch that begins a log.
    pub(crate) fn begin(agent: &AgentId, event: &Verified<KeyEvent>) -> Result<Self, KeyLogError> {
        match event.payload().event {
            Event::Inception { next } if event.signer() == agent.key() => Ok(Self {
                key: *agent.key(),
                next,
                number: (0, 0),
                guardians: None,
            }),
            Event::Inception { .. } => Err(KeyLogError::Signer),
            _ => Err(KeyLogError::Prev),
        }
    }

    /// The epoch after an event that follows in this one: a new one, or `None` if it goes on.
    pub(crate) fn after(&self, event: &Verified<KeyEvent>) -> Result<Option<Self>, KeyLogError> {
        let said = event.payload();
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
                if guardians.is_some() && !self.is_released(&said.agent, &said.event) {
                    return Err(KeyLogError::Guardians);
                }
                let named = match guardians {
                    None => self.guardians.clone(),
                    Some(none) if none.keys.is_empty() => None,
                    Some(named) => Some((*event.cid(), named.clone())),
                };
                let (recoveries, rotations) = self.number;
                Ok(Some(Self {
                    key: *event.signer(),
                    next: *next,
                    number: (recoveries, rotations.saturating_add(1)),
                    guardians: named,
                }))
            }
            Event::Recover {
                next, confirmed, ..
            } => {
                let Some((_, guardians)) = &self.guardians else {
                    return Err(KeyLogError::Guardians);
                };
                let (agent, wait, wanted) = (said.agent, guardians.wait, said.prev);
                let is_said = guardians.said(confirmed, |by| match &by.says {
                    Says::Confirm {
                        key,
                        next: then,
                        prev,
                        since,
                    } => {
                        by.agent == agent
                            && key == event.signer()
                            && then == next
                            && Some(*prev) == wanted
                            && by.at - since >= wait
                    }
                    _ => false,
                });
                if !is_said {
                    return Err(KeyLogError::Guardians);
                }
                Ok(Some(Self {
                    key: *event.signer(),
                    next: *next,
                    number: (self.number.0.saturating_add(1), 0),
                    // Named anew, so that what they said of the time before does not hold for the time after.
                    guardians: Some((*event.cid(), guardians.clone())),
                }))
            }
        }
    }

    /// Whether an event may replace the guardians: there are none, or enough of them let it (IDENT-41).
    fn is_released(&self, agent: &AgentId, event: &Event) -> bool {
        let Some((named, guardians)) = &self.guardians else {
            return true;
        };
        let Event::Rotate {
            guardians: Some(then),
            released,
            ..
        } = event
        else {
            return false;
        };
        guardians.said(released, |by| match &by.says {
            Says::Release {
                named: of,
                guardians,
            } => by.agent == *agent && of == named && guardians == then,
            _ => false,
        })
    }
}

/// An event that follows from those before it.
struct Sound<'a> {
    event: &'a Verified<KeyEvent>,
    epoch: Arc<Epoch>,
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
    let all = sound(agent, &order, &BTreeSet::new());
    let unsound = order.iter().any(|event| !all.contains_key(event.cid()));
    let void = released(agent, &all);
    let sound = if void.is_empty() {
        all
    } else {
        sound(agent, &order, &void)
    };
    Folded {
        unsound,
        ..Choice::new(&sound).folded()
    }
}

/// The events that follow, each from one that does; `order` has those before first. Of guardians that let others take
/// their place, recoveries are void.
fn sound<'a>(
    agent: &AgentId,
    order: &[&'a Verified<KeyEvent>],
    void: &BTreeSet<Cid>,
) -> BTreeMap<Cid, Sound<'a>> {
    let mut sound: BTreeMap<Cid, Sound<'a>> = BTreeMap::new();
    for event in order {
        let said = event.payload();
        let epoch = match said.prev.and_then(|prev| sound.get(&prev)) {
            None if said.seq == 0 => Epoch::begin(agent, event).ok().map(Arc::new),
            None => None,
            Some(before) => {
                let follows = before.event.payload().seq.checked_add(1) == Some(said.seq);
                let is_void = matches!(said.event, Event::Recover { .. })
                    && before
                        .epoch
                        .guardians
                        .as_ref()
                        .is_some_and(|(named, _)| void.contains(named));
                let fits = follows && !is_void && said.seq < KEYLOG_EVENTS_MAX as u64;
                match before.epoch.after(event) {
                    Ok(after) if fits => {
                        Some(after.map_or_else(|| Arc::clone(&before.epoch), Arc::new))
                    }
                    _ => None,
                }
            }
        };
        if let Some(epoch) = epoch.filter(|_| said.agent == *agent) {
            sound.insert(*event.cid(), Sound { event, epoch });
        }
    }
    sound
}

/// The events that named guardians who let others take their place (IDENT-36).
fn released(agent: &AgentId, sound: &BTreeMap<Cid, Sound<'_>>) -> BTreeSet<Cid> {
    let mut released = BTreeSet::new();
    for Sound { event, .. } in sound.values() {
        let said = event.payload();
        let before = said.prev.and_then(|prev| sound.get(&prev));
        if let Some(before) = before
            && let Some((named, _)) = &before.epoch.guardians
            && before.epoch.is_released(agent, &said.event)
        {
            released.insert(*named);
        }
    }
    released
}

/// Which way through the events is the log.
struct Choice<'a> {
    sound: &'a BTreeMap<Cid, Sound<'a>>,
    after: BTreeMap<Option<Cid>, Vec<Cid>>,
}

impl<'a> Choice<'a> {
    fn new(sound: &'a BTreeMap<Cid, Sound<'a>>) -> Self {
        let mut after: BTreeMap<Option<Cid>, Vec<Cid>> = BTreeMap::new();
        for (cid, Sound { event, .. }) in sound {
            after.entry(event.payload().prev).or_default().push(*cid);
        }
        Self { sound, after }
    }

    /// The way from the beginning to an event, that one included.
    fn way(&self, to: Cid) -> Vec<Cid> {
        let mut way = vec![to];
        let mut at = to;
        while let Some(prev) = self
            .sound
            .get(&at)
            .and_then(|sound| sound.event.payload().prev)
        {
            way.push(prev);
            at = prev;
        }
        way.reverse();
        way
    }

    /// The events that begin the newest epoch: one, or several that contradict each other.
    fn newest(&self) -> Vec<Cid> {
        let begins = self
            .sound
            .iter()
            .filter(|(_, sound)| sound.event.payload().event.is_establishment());
        let numbers = begins.clone().map(|(_, sound)| sound.epoch.number);
        let Some(newest) = numbers.max() else {
            return Vec::new();
        };
        let of_it = begins.filter(|(_, sound)| sound.epoch.number == newest);
        let mut found: Vec<(u64, Cid)> = of_it
            .map(|(cid, sound)| (sound.event.payload().seq, *cid))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, cid)| cid).collect()
    }

    /// The log, and where it ends in a contradiction, the two events.
    fn chosen(&self) -> (Vec<Cid>, Option<[Cid; 2]>) {
        match self.newest()[..] {
            [] => (Vec::new(), None),
            [one] => {
                let mut path = self.way(one);
                loop {
                    let last = path.last().copied();
                    match self.after.get(&last).map_or(&[][..], Vec::as_slice) {
                        [] => return (path, None),
                        [one] => path.push(*one),
                        [first, second, ..] => return (path, Some([*first, *second])),
                    }
                }
            }
            [first, second, ref more @ ..] => {
                let mut shared = self.way(first);
                for other in [second].iter().chain(more) {
                    let way = self.way(*other);
                    let same = shared.iter().zip(&way).take_while(|(a, b)| a == b);
                    let count = same.count();
                    shared.truncate(count);
                }
                (shared, Some([first, second]))
            }
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
        let mut others: Vec<(u64, Cid)> = self
            .sound
            .iter()
            .filter(|(cid, _)| !seen.contains(*cid))
            .map(|(cid, sound)| (sound.event.payload().seq, *cid))
            .collect();
        others.sort_unstable();
        for (_, cid) in others {
            let prev = self
                .sound
                .get(&cid)
                .and_then(|sound| sound.event.payload().prev);
            if forks.len() < FORKS_MAX && prev.is_none_or(|prev| seen.contains(&prev)) {
                seen.insert(cid);
                forks.push(cid);
            }
        }
        let of = |cid: &Cid| self.sound.get(cid).map(|sound| sound.event.clone());
        let pair = contradiction.and_then(|[first, second]| Some([of(&first)?, of(&second)?]));
        Folded {
            epoch: path
                .last()
                .and_then(|cid| self.sound.get(cid))
                .map(|sound| Arc::clone(&sound.epoch)),
            path: path.iter().filter_map(of).collect(),
            forks: forks.iter().filter_map(of).collect(),
            contradiction: pair,
            unsound: false,
        }
    }
}
