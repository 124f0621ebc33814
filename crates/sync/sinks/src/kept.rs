//! What a store keeps by name of sinks, or of sources: definitions, how far each has come, and dead letters.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, Store, StoreError};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Dead letters of one at most (SINK-5, SRC-26).
pub const DEAD_MAX: u64 = 1000;

/// How often a change is tried beside others.
const TRIES: usize = 16;

/// Bytes of words that are kept.
const WORDS_BYTES_MAX: usize = 1024;

/// Words as they are kept for a person: what others say has no end (SINK, "Limits").
pub(crate) fn short(words: &str) -> String {
    let end = words.floor_char_boundary(WORDS_BYTES_MAX);
    words.get(..end).unwrap_or_default().to_owned()
}

/// Why something of a name is not kept, or not read.
#[derive(Debug)]
pub(crate) enum KeptFault {
    /// There is one of this name.
    Exists(String),
    /// There is none of this name.
    Unknown(String),
    /// Somebody else changed it at the same time.
    Changed(String),
    /// It cannot be read.
    Damaged(String),
    Store(StoreError),
}

impl From<StoreError> for KeptFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is kept.
pub(crate) trait Kind: fmt::Debug + Clone {
    /// What references of definitions, of states and of dead letters begin with.
    const DEFINITIONS: &'static [u8];
    const STATES: &'static [u8];
    const DEAD: &'static [u8];
    /// How many there are at most.
    const MAX: usize;
    type Definition: Serialize + DeserializeOwned;
    type State: Serialize + DeserializeOwned + Clone;
    type Dead: Serialize + DeserializeOwned;

    /// Whether one rests.
    fn paused(definition: &mut Self::Definition) -> &mut bool;

    /// How many dead letters are kept.
    fn dead(state: &mut Self::State) -> &mut u64;

    /// Lets one that stopped, or waits to try again, go on.
    fn go_on(state: &mut Self::State);
}

/// All of a kind that a store keeps.
#[derive(Clone, Debug)]
pub(crate) struct Kept<K> {
    pub(crate) store: Arc<dyn Store>,
    kind: PhantomData<K>,
}

/// A dead letter, and what its reference ends with.
pub(crate) type Letter<D> = (Bytes, D);

/// What is kept by a name; what cannot be read hides no other.
type Named<K> = (String, Result<<K as Kind>::Definition, KeptFault>);

fn of(kind: &[u8], name: &str) -> Vec<u8> {
    [kind, name.as_bytes()].concat()
}

/// What references of the dead letters of a name begin with.
fn dead_of(kind: &[u8], name: &str) -> Vec<u8> {
    [kind, name.as_bytes(), b"\0"].concat()
}

/// Whether a text is a name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits {
        Ok(())
    } else {
        Err("a name is 1 to 64 of a-z A-Z 0-9 _ -".to_owned())
    }
}

impl<K: Kind> Kept<K> {
    pub(crate) const fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kind: PhantomData,
        }
    }

    pub(crate) fn add(
        &self,
        name: &str,
        definition: &K::Definition,
        state: &K::State,
    ) -> Result<(), KeptFault> {
        let mut batch = Batch::new();
        let text = encode(name, definition)?;
        batch.set_ref(of(K::DEFINITIONS, name), Expect::Absent, Some(text));
        let text = encode(name, state)?;
        batch.set_ref(of(K::STATES, name), Expect::Any, Some(text));
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => Err(KeptFault::Exists(name.to_owned())),
        }
    }

    /// All, by name.
    pub(crate) fn list(&self) -> Result<Vec<Named<K>>, KeptFault> {
        let found = self.store.scan_refs(K::DEFINITIONS, None, K::MAX)?;
        let read = found.into_iter().map(|(name, value)| {
            let name = name.get(K::DEFINITIONS.len()..).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let definition = decode(&name, &value);
            (name, definition)
        });
        Ok(read.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Result<(K::Definition, K::State), KeptFault> {
        let unknown = || KeptFault::Unknown(name.to_owned());
        let read = |kind| self.store.get_ref(&of(kind, name));
        let definition = read(K::DEFINITIONS)?.ok_or_else(unknown)?;
        let state = read(K::STATES)?.ok_or_else(unknown)?;
        Ok((decode(name, &definition)?, decode(name, &state)?))
    }

    /// Changes a definition, if that is to change it.
    pub(crate) fn define(
        &self,
        name: &str,
        change: impl FnOnce(K::Definition) -> Option<K::Definition>,
    ) -> Result<(), KeptFault> {
        let before = self.store.get_ref(&of(K::DEFINITIONS, name))?;
        let before = before.ok_or_else(|| KeptFault::Unknown(name.to_owned()))?;
        let Some(definition) = change(decode(name, &before)?) else {
            return Ok(());
        };
        let mut batch = Batch::new();
        let text = encode(name, &definition)?;
        batch.set_ref(of(K::DEFINITIONS, name), Expect::Value(before), Some(text));
        self.done(name, batch)
    }

    /// Lets one rest, or go on.
    pub(crate) fn pause(&self, name: &str, paused: bool) -> Result<(), KeptFault> {
        self.define(name, |mut definition| {
            let is = K::paused(&mut definition);
            let changes = *is != paused;
            *is = paused;
            changes.then_some(definition)
        })?;
        if paused {
            return Ok(());
        }
        self.change(name, K::go_on)
    }

    /// Changes a state, as often as it takes.
    pub(crate) fn change(
        &self,
        name: &str,
        change: impl Fn(&mut K::State),
    ) -> Result<(), KeptFault> {
        retried(name, || {
            let (_, before) = self.get(name)?;
            let mut state = before.clone();
            change(&mut state);
            self.keep(name, (&before, &state), &[])
        })
    }

    /// Keeps a state in the place of the one before, with dead letters.
    pub(crate) fn keep(
        &self,
        name: &str,
        (before, state): (&K::State, &K::State),
        dead: &[(&[u8], &K::Dead)],
    ) -> Result<(), KeptFault> {
        let mut batch = Batch::new();
        let before = Expect::Value(encode(name, before)?.into());
        batch.set_ref(of(K::STATES, name), before, Some(encode(name, state)?));
        for (place, letter) in dead {
            let at = [&dead_of(K::DEAD, name)[..], place].concat();
            batch.set_ref(at, Expect::Any, Some(encode(name, letter)?));
        }
        self.done(name, batch)
    }

    /// Removes one and all that is kept of it.
    pub(crate) fn remove(&self, name: &str) -> Result<(), KeptFault> {
        retried(name, || {
            let before = match self.get(name) {
                Ok((_, state)) => Expect::Value(encode(name, &state)?.into()),
                // What nobody can read nobody writes.
                Err(KeptFault::Damaged(_)) => Expect::Any,
                Err(error) => return Err(error),
            };
            let mut batch = Batch::new();
            self.without_dead(name, &mut batch)?;
            batch.set_ref(of(K::DEFINITIONS, name), Expect::Any, None::<Vec<u8>>);
            batch.set_ref(of(K::STATES, name), before, None::<Vec<u8>>);
            self.done(name, batch)
        })
    }

    /// The dead letters of one, in the order of their references.
    pub(crate) fn dead(&self, name: &str) -> Result<Vec<Letter<K::Dead>>, KeptFault> {
        let prefix = dead_of(K::DEAD, name);
        let limit = usize::try_from(DEAD_MAX).unwrap_or(usize::MAX);
        let found = self.store.scan_refs(&prefix, None, limit)?;
        let read = found.into_iter().map(|(at, value)| {
            let place = at.slice(prefix.len().min(at.len())..);
            Ok((place, decode(name, &value)?))
        });
        read.collect()
    }

    /// The dead letter whose reference ends so, if there is one.
    pub(crate) fn dead_at(&self, name: &str, place: &[u8]) -> Result<Option<K::Dead>, KeptFault> {
        let at = [&dead_of(K::DEAD, name)[..], place].concat();
        let found = self.store.get_ref(&at)?;
        found.map(|text| decode(name, &text)).transpose()
    }

    /// Drops the dead letters of one; how many there were. One that had stopped for them goes on.
    pub(crate) fn drop_dead(&self, name: &str) -> Result<usize, KeptFault> {
        retried(name, || {
            let (_, before) = self.get(name)?;
            let mut batch = Batch::new();
            let count = self.without_dead(name, &mut batch)?;
            let mut state = before.clone();
            if *K::dead(&mut state) >= DEAD_MAX {
                K::go_on(&mut state);
            }
            *K::dead(&mut state) = 0;
            let before = Expect::Value(encode(name, &before)?.into());
            batch.set_ref(of(K::STATES, name), before, Some(encode(name, &state)?));
            self.done(name, batch).map(|()| count)
        })
    }

    /// Adds to a batch that the dead letters of one go; how many there are.
    fn without_dead(&self, name: &str, batch: &mut Batch) -> Result<usize, KeptFault> {
        let dead = self.dead(name)?;
        for (place, _) in &dead {
            let at = [&dead_of(K::DEAD, name)[..], place].concat();
            batch.set_ref(at, Expect::Any, None::<Vec<u8>>);
        }
        Ok(dead.len())
    }

    fn done(&self, name: &str, batch: Batch) -> Result<(), KeptFault> {
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { current: None, .. } => Err(KeptFault::Unknown(name.to_owned())),
            BatchOutcome::Moved { .. } => Err(KeptFault::Changed(name.to_owned())),
        }
    }
}

/// Does something again that somebody else was faster at.
fn retried<T>(name: &str, work: impl Fn() -> Result<T, KeptFault>) -> Result<T, KeptFault> {
    for _ in 0..TRIES {
        match work() {
            Err(KeptFault::Changed(_)) => {}
            done => return done,
        }
    }
    Err(KeptFault::Changed(name.to_owned()))
}

fn encode(name: &str, value: &impl Serialize) -> Result<Vec<u8>, KeptFault> {
    serde_json::to_vec(value).map_err(|_error| KeptFault::Damaged(name.to_owned()))
}

fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, KeptFault> {
    serde_json::from_slice(bytes).map_err(|_error| KeptFault::Damaged(name.to_owned()))
}
