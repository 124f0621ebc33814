//! Carrying the log to a target, whatever happens (SINK-1 to SINK-7).

use std::sync::Arc;
use std::time::Duration;

use allod_events::{CloudEvent, Renderer};
use allod_feed::{Cursor, Feed, FeedError, Filter, Spaces, Subscription};
use allod_sync::Backoff;

use crate::definition::{Definition, Registry};
use crate::gather::{Gathered, Gathering, PAGE, fault_of};
use crate::kept::{DEAD_MAX, short};
use crate::parts::{self, Passed};
use crate::payload::{Numbers, Payloads};
use crate::register::{DeadLetter, Register, SinkError, State};
use crate::target::{Fault, Has, Outgoing, Target};

/// How failures that may pass are tried again (SINK-4).
pub(crate) const BACKOFF: Backoff = Backoff {
    first_ms: 1000,
    factor_percent: 200,
    most_ms: 60_000,
    attempts: 0,
};

/// How often it is looked whether the sink was changed, or has to end.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The longest that a target may want to be left alone.
const AFTER_MAX: Duration = Duration::from_hours(1);

/// The node that a sink belongs to.
pub trait Host: Spaces + Sync {
    /// Its feed.
    fn feed(&self) -> &Feed;

    /// A consumer of it.
    fn subscribe(&self, from: Cursor, filter: Filter) -> Result<Subscription, FeedError>;

    /// Its clock, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Any number.
    fn chance(&self) -> u64;

    /// What a definition means by its target.
    fn open(&self, definition: &Definition) -> Result<Box<dyn Target>, Fault>;

    /// What a definition means by its schema registry.
    fn open_registry(&self, registry: &Registry) -> Result<Box<dyn Numbers>, Fault>;

    /// Whether all has to end.
    fn is_stopping(&self) -> bool;

    /// Waits for so long, or until something may have changed.
    fn rest(&self, at_most: Duration);
}

/// Why a sink stopped carrying.
enum Ended {
    /// It carried all that there was.
    AtEnd,
    /// It was changed, or has to end.
    Changed,
    Fault(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Whether a target has events, and else why not.
type Delivered = Result<Result<(), Fault>, SinkError>;

/// A target, and what gathers events for it from what it has on.
type Begun<'a> = (Box<dyn Target>, Gathering<'a>);

/// A sink that is being carried.
struct Carrying<'a> {
    host: &'a dyn Host,
    register: &'a Register,
    renderer: &'a Renderer,
    name: &'a str,
    definition: Definition,
    /// What is kept.
    kept: State,
    /// What it has come to since.
    state: State,
    /// What parts of the target have already.
    passed: Passed,
    until_end: bool,
}

/// Carries a sink until it is removed or the host stops; or, if that is asked for, until there is no more, or a failure.
pub fn run(
    host: &dyn Host,
    register: &Register,
    renderer: &Renderer,
    (name, until_end): (&str, bool),
) -> Result<State, SinkError> {
    loop {
        let (definition, state) = register.get(name)?;
        let rests = definition.paused || state.stopped;
        if host.is_stopping() || until_end && rests {
            return Ok(state);
        }
        if rests {
            host.rest(LOOK_EVERY);
            continue;
        }
        let mut carrying = Carrying {
            host,
            register,
            renderer,
            name,
            definition,
            kept: state.clone(),
            state,
            passed: Passed::default(),
            until_end,
        };
        let wait = match carrying.carry() {
            // It is looked at anew.
            Err(SinkError::Unknown(_) | SinkError::Changed(_)) | Ok(Ended::Changed) => {
                Duration::ZERO
            }
            Err(error) => return Err(error),
            Ok(Ended::AtEnd) => return Ok(carrying.state),
            // What was given up for the end is no failure, and what was taken before it is not delivered again.
            Ok(Ended::Fault(Fault::Away { .. })) if host.is_stopping() => {
                match carrying.keep(None) {
                    Ok(()) | Err(SinkError::Unknown(_) | SinkError::Changed(_)) => Duration::ZERO,
                    Err(error) => return Err(error),
                }
            }
            Ok(Ended::Fault(fault)) => carrying.note(fault)?,
        };
        if until_end && wait > Duration::ZERO {
            return Ok(carrying.state);
        }
        rest_for(wait, &|step| {
            if host.is_stopping() {
                return false;
            }
            host.rest(step);
            matches!(register.get(name), Ok((now, state)) if now == carrying.definition && state == carrying.kept)
        });
    }
}

/// Rests for so long, a step at a time, as long as nothing has changed: who lets something rest, go on or removes it
/// is not made to wait.
pub(crate) fn rest_for(wait: Duration, step: &dyn Fn(Duration) -> bool) {
    let mut left = wait;
    while left > Duration::ZERO {
        let at_most = LOOK_EVERY.min(left);
        if !step(at_most) {
            return;
        }
        left -= at_most;
    }
}

impl<'a> Carrying<'a> {
    fn carry(&mut self) -> Result<Ended, SinkError> {
        let (mut target, mut gathering) = match self.begin()? {
            Ok(begun) => begun,
            Err(fault) => return Ok(fault.into()),
        };
        let mut ahead = None;
        loop {
            if self.host.is_stopping() || self.is_changed()? {
                return Ok(Ended::Changed);
            }
            let Gathered {
                mut events,
                next,
                is_end,
                fault: broken,
            } = ahead
                .take()
                .unwrap_or_else(|| gathering.next(target.events_max()));
            events.retain(|event| !self.passed.has(target.part_of(event), event));
            let goes_on = !is_end && broken.is_none() && events.len() > PAGE;
            let delivered = if goes_on {
                let (delivered, read) =
                    self.deliver_and_read(&mut *target, &events, &mut gathering);
                ahead = read;
                delivered
            } else {
                self.deliver(&mut *target, &events)
            };
            if let Err(fault) = delivered? {
                return Ok(fault.into());
            }
            // A target that could be opened, and has all, is away no more.
            let is_back = is_end && self.state.failures > 0;
            if is_back {
                self.state.failures = 0;
                self.state.words = None;
            }
            if is_back || !events.is_empty() || next.position() > self.state.cursor.position() {
                self.state.cursor = next;
                self.keep(None)?;
            }
            if let Some(fault) = broken {
                return Ok(fault.into());
            }
            if is_end {
                if self.until_end {
                    return Ok(Ended::AtEnd);
                }
                gathering.consumer.wait(LOOK_EVERY);
            }
        }
    }

    /// The target, and a consumer from what it has on (SINK-2, SINK-3).
    fn begin(&mut self) -> Result<Result<Begun<'a>, Fault>, SinkError> {
        let opened = self.host.open(&self.definition);
        let opened = opened.and_then(|mut target| target.has().map(|has| (target, has)));
        let (target, has) = match opened {
            Ok(opened) => opened,
            Err(fault) => return Ok(Err(fault)),
        };
        if self.state.sought {
            // From here on what it has now is what it took last.
            self.state.sought = false;
            self.state.taken = match &has {
                Has::UpTo { cursor, .. } => Some(cursor.clone()),
                Has::Nothing | Has::Parts(_) | Has::Unknown => None,
            };
            if let Has::Parts(parts) = &has {
                self.state.parts = parts::forgotten(parts);
            }
            self.keep(None)?;
        }
        let from = match has {
            Has::UpTo { sink, .. } if sink != self.name => {
                let words = format!("the target has events of another sink, {sink:?}");
                return Ok(Err(Fault::Stopped(words)));
            }
            Has::UpTo { cursor, .. } if self.state.taken.as_ref() != Some(&cursor) => {
                match self.of_target(&cursor) {
                    Ok(cursor) => cursor,
                    Err(fault) => return Ok(Err(fault)),
                }
            }
            Has::Nothing if self.state.taken.is_some() => self.state.began.clone(),
            Has::Parts(parts) => {
                let whose = (self.name, self.host.feed());
                match Passed::of(parts, &self.state, whose) {
                    Ok((from, passed)) => {
                        self.passed = passed;
                        // Kept with the ends of the parts: what they lost is lost to them until it is delivered again.
                        self.state.cursor = from.clone();
                        from
                    }
                    Err(fault) => return Ok(Err(fault)),
                }
            }
            Has::UpTo { .. } | Has::Nothing | Has::Unknown => self.state.cursor.clone(),
        };
        let filter = self.definition.filter.clone();
        let consumer = self.host.subscribe(from, filter).map_err(fault_of);
        let payloads = self.payloads();
        let (host, name) = (self.host, self.name);
        Ok(consumer.and_then(|consumer| {
            let gathering = Gathering {
                host,
                name: name.into(),
                consumer,
                payloads: payloads?,
                form: target.form(),
                text: Vec::new(),
            };
            Ok((target, gathering))
        }))
    }

    fn payloads(&self) -> Result<Payloads<'a>, Fault> {
        let registry = self.definition.registry.as_ref();
        let registry = registry.map(|registry| self.host.open_registry(registry));
        let by = (self.register, self.renderer);
        let format = self.definition.data.format();
        Ok(Payloads::new(by, format, registry.transpose()?))
    }

    /// Where to go on from what a target says.
    fn of_target(&self, cursor: &str) -> Result<Cursor, Fault> {
        let own = || self.state.cursor.clone();
        let Ok(cursor) = cursor.parse::<Cursor>() else {
            return Ok(own());
        };
        if cursor.epoch() != self.host.feed().epoch() {
            return Err(parts::of_another_node());
        }
        let filter = Arc::new(self.definition.filter.clone());
        match self.host.feed().read(cursor.clone(), filter) {
            Ok(_) => Ok(cursor),
            Err(FeedError::Expired { .. } | FeedError::Cursor) => Ok(own()),
            Err(error) => Err(fault_of(error)),
        }
    }

    fn is_changed(&self) -> Result<bool, SinkError> {
        let (definition, state) = self.register.get(self.name)?;
        Ok(definition != self.definition || state != self.kept)
    }

    /// Keeps what it has come to.
    fn keep(&mut self, dead: Option<&DeadLetter>) -> Result<(), SinkError> {
        let states = (&self.kept, &self.state);
        self.register.keep(self.name, states, dead)?;
        self.kept = self.state.clone();
        Ok(())
    }

    /// Delivers events, and reads those that come next meanwhile: a target is waited for, and reading takes as long.
    fn deliver_and_read(
        &mut self,
        target: &mut dyn Target,
        events: &[Outgoing],
        gathering: &mut Gathering<'_>,
    ) -> (Delivered, Option<Gathered>) {
        let events_max = target.events_max();
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().name("allod-sink-ahead".to_owned());
            let reading = reader.spawn_scoped(scope, move || gathering.next(events_max));
            let delivered = self.deliver(target, events);
            // Without a thread they are read afterwards.
            let read = reading.ok().map(|reading| match reading.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            (delivered, read)
        })
    }

    /// Delivers events, but for those that the target refuses for what they are.
    fn deliver(&mut self, target: &mut dyn Target, events: &[Outgoing]) -> Delivered {
        let mut left = events;
        while !left.is_empty() {
            let delivered = target.deliver(left);
            parts::grown(&mut self.state.parts, &target.ends());
            match delivered {
                Ok(()) => {
                    self.took(left);
                    break;
                }
                Err(Fault::Refused { at, words }) => {
                    let (taken, rest) = left.split_at(at.min(left.len()));
                    self.took(taken);
                    let Some((refused, rest)) = rest.split_first() else {
                        break;
                    };
                    if let Err(fault) = self.bury(refused, words)? {
                        return Ok(Err(fault));
                    }
                    left = rest;
                }
                Err(fault) => {
                    if let Fault::Away { taken, .. } = &fault {
                        let (taken, _) = left.split_at((*taken).min(left.len()));
                        self.took(taken);
                    }
                    return Ok(Err(fault));
                }
            }
        }
        Ok(Ok(()))
    }

    /// The target has these.
    fn took(&mut self, events: &[Outgoing]) {
        if let Some(last) = events.last() {
            self.state.cursor = last.cursor.clone();
            self.state.taken = Some((*last.cursor_text).to_owned());
            self.state.delivered += events.len() as u64;
            self.state.delivered_ms = Some(self.host.now_ms());
            self.state.failures = 0;
            self.state.words = None;
        }
    }

    /// Keeps a dead letter (SINK-5).
    fn bury(&mut self, refused: &Outgoing, words: String) -> Result<Result<(), Fault>, SinkError> {
        if self.state.dead >= DEAD_MAX {
            let words = format!("{DEAD_MAX} events were refused, the last for: {words}");
            return Ok(Err(Fault::Stopped(words)));
        }
        self.state.dead += 1;
        self.state.next_dead += 1;
        self.state.cursor = refused.cursor.clone();
        let cloud = refused.cloud().ok();
        let named = |name: fn(&CloudEvent) -> &str| cloud.as_deref().map_or("", name);
        let letter = DeadLetter {
            id: short(named(|cloud| &cloud.id)),
            source: short(named(|cloud| &cloud.source)),
            cursor: (*refused.cursor_text).to_owned(),
            words: short(&words),
        };
        self.keep(Some(&letter))?;
        Ok(Ok(()))
    }

    /// Notes a fault, and says how long to wait.
    fn note(&mut self, fault: Fault) -> Result<Duration, SinkError> {
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.words = Some(short(&fault.to_string()));
        let after = match fault {
            Fault::Stopped(_) => {
                self.state.stopped = true;
                None
            }
            Fault::Away { after, .. } => after,
            Fault::Refused { .. } => None,
        };
        match self.keep(None) {
            // What somebody else said of it is not written over, and looked at at once.
            Err(SinkError::Unknown(_) | SinkError::Changed(_)) => return Ok(Duration::ZERO),
            kept => kept?,
        }
        let wait = BACKOFF.wait_ms(self.state.failures, self.host.chance());
        let wait = Duration::from_millis(wait.unwrap_or_default());
        Ok(after.map_or(wait, |after| after.clamp(wait, AFTER_MAX.max(wait))))
    }
}
