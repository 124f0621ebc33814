//! States: an epoch and a body, read, joined and changed.

use allod_identity::canonical;
use serde::{Deserialize, Serialize};

use crate::body::{At, Body as _};
use crate::counter::{GCounter, PnCounter};
use crate::document::Document;
use crate::error::{BadState, ITEM_BYTES_MAX, JoinError, OpError, STATE_BYTES_MAX, TooLarge};
use crate::kind::{Epoch, Kind, Writer};
use crate::lattice::Join as _;
use crate::list::{self, List};
use crate::op::Op;
use crate::register::{LwwMap, LwwRegister, MvRegister};
use crate::set::{CountedSet, OrSet, TwoPhaseSet};
use crate::value::Value;

/// What a replica knows of a value.
///
/// Two states of one kind join, in any order and as often as one likes, and then show the same
/// everywhere (CRDT-3). Equal states have equal encodings.
#[derive(Clone, Debug)]
pub struct State {
    epoch: Option<Epoch>,
    pub(crate) body: Body,
    /// Its encoding has at most this many bytes. So it is not encoded to see whether it still fits, as long as
    /// it surely does.
    bound: usize,
}

/// Whatever is known of its size.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.body == other.body
    }
}

impl Eq for State {}

/// An encoding without a body has fewer bytes.
const EMPTY_BYTES: usize = 32;

/// What an operation adds to an encoding besides its items: numbers, writers, and the heads of lists.
const OP_BYTES: usize = 128;

/// A body of each kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    GCounter(GCounter),
    PnCounter(PnCounter),
    LwwRegister(LwwRegister),
    MvRegister(MvRegister),
    TwoPhaseSet(TwoPhaseSet),
    OrSet(OrSet),
    CountedSet(CountedSet),
    LwwMap(LwwMap),
    List(List),
    Document(Document),
}

/// Does the same with a body of any kind.
macro_rules! of_any {
    ($body:expr, $it:ident => $done:expr) => {
        match $body {
            Body::GCounter($it) => $done,
            Body::PnCounter($it) => $done,
            Body::LwwRegister($it) => $done,
            Body::MvRegister($it) => $done,
            Body::TwoPhaseSet($it) => $done,
            Body::OrSet($it) => $done,
            Body::CountedSet($it) => $done,
            Body::LwwMap($it) => $done,
            Body::List($it) => $done,
            Body::Document($it) => $done,
        }
    };
}

/// Does the same with bodies of one kind, and makes a body of that kind, or does something else with
/// bodies of several.
macro_rules! of_both {
    ($bodies:expr, ($one:ident, $two:ident) => $done:expr, _ => $else:expr) => {
        match $bodies {
            (Body::GCounter($one), Body::GCounter($two)) => $done,
            (Body::PnCounter($one), Body::PnCounter($two)) => $done,
            (Body::LwwRegister($one), Body::LwwRegister($two)) => $done,
            (Body::MvRegister($one), Body::MvRegister($two)) => $done,
            (Body::TwoPhaseSet($one), Body::TwoPhaseSet($two)) => $done,
            (Body::OrSet($one), Body::OrSet($two)) => $done,
            (Body::CountedSet($one), Body::CountedSet($two)) => $done,
            (Body::LwwMap($one), Body::LwwMap($two)) => $done,
            (Body::List($one), Body::List($two)) => $done,
            (Body::Document($one), Body::Document($two)) => $done,
            _ => $else,
        }
    };
}

/// Makes a body of a kind, where `Made` is its type.
macro_rules! of_kind {
    ($kind:expr, $made:ident => $done:expr) => {
        match $kind {
            Kind::GCounter => make!(GCounter, $made => $done),
            Kind::PnCounter => make!(PnCounter, $made => $done),
            Kind::LwwRegister => make!(LwwRegister, $made => $done),
            Kind::MvRegister => make!(MvRegister, $made => $done),
            Kind::TwoPhaseSet => make!(TwoPhaseSet, $made => $done),
            Kind::OrSet => make!(OrSet, $made => $done),
            Kind::CountedSet => make!(CountedSet, $made => $done),
            Kind::LwwMap => make!(LwwMap, $made => $done),
            Kind::List => make!(List, $made => $done),
            Kind::Document => make!(Document, $made => $done),
        }
    };
}

macro_rules! make {
    ($kind:ident, $made:ident => $done:expr) => {{
        type $made = $kind;
        Body::$kind($done)
    }};
}

impl Body {
    fn empty(kind: Kind) -> Self {
        of_kind!(kind, Made => Made::default())
    }

    fn kind(&self) -> Kind {
        fn kind_of<B: crate::body::Body>(_: &B) -> Kind {
            B::KIND
        }
        of_any!(self, it => kind_of(it))
    }

    fn is_empty(&self) -> bool {
        of_any!(self, it => it.is_empty())
    }
}

/// The encoding: an epoch, and a body if it is not empty (CRDT-1).
#[derive(Deserialize, Serialize)]
struct Encoded<T>(Option<(u64, Writer)>, Option<T>);

impl State {
    /// The state of a value that nobody has given anything.
    #[must_use]
    pub fn empty(kind: Kind) -> Self {
        let body = Body::empty(kind);
        Self {
            epoch: None,
            body,
            bound: EMPTY_BYTES,
        }
    }

    /// Reads a state of a kind, of at most [`STATE_BYTES_MAX`] bytes.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, BadState> {
        fn read<B: crate::body::Body>(bytes: &[u8]) -> Result<(Option<Epoch>, B), BadState> {
            let Encoded(epoch, body) = canonical::decode::<Encoded<B::Wire>>(bytes, usize::MAX)?;
            let epoch = epoch.map(|(stamp, writer)| Epoch { stamp, writer });
            let body = body.map(B::from_wire).transpose()?;
            if body.as_ref().is_some_and(B::is_empty) {
                return Err(BadState::Needless);
            }
            Ok((epoch, body.unwrap_or_default()))
        }
        TooLarge::check(bytes.len(), STATE_BYTES_MAX)?;
        let epoch;
        let body = of_kind!(kind, Made => {
            let (read_epoch, body) = read::<Made>(bytes)?;
            epoch = read_epoch;
            body
        });
        Ok(Self {
            epoch,
            body,
            bound: bytes.len(),
        })
    }

    /// The one encoding of the state.
    pub fn encode(&self) -> Result<Vec<u8>, TooLarge> {
        fn write<B: crate::body::Body>(epoch: Option<(u64, Writer)>, body: &B) -> Vec<u8> {
            let body = (!body.is_empty()).then(|| body.to_wire());
            // Bytes, texts, whole numbers, lists and truths all have an encoding.
            canonical::encode(&Encoded(epoch, body)).unwrap_or_default()
        }
        let epoch = self.epoch.map(|epoch| (epoch.stamp, epoch.writer));
        let bytes = of_any!(&self.body, it => write(epoch, it));
        debug_assert!(
            bytes.len() <= self.bound,
            "{} of {}",
            bytes.len(),
            self.bound
        );
        TooLarge::check(bytes.len(), STATE_BYTES_MAX)?;
        Ok(bytes)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// Its epoch; `None` until somebody begins one.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The greatest stamp in it, of its epoch or of a write. Whoever takes in a state refuses one that is
    /// far ahead, and lets the own clock give greater ones from then on.
    #[must_use]
    pub fn newest_stamp(&self) -> Option<u64> {
        let written = of_any!(&self.body, it => it.newest_stamp());
        written.max(self.epoch.map(|epoch| epoch.stamp))
    }

    /// The least state that has what both have (CRDT-4).
    pub fn join(&self, other: &Self) -> Result<Self, JoinError> {
        let (left, right) = (self.kind(), other.kind());
        if left != right {
            return Err(JoinError::Kinds { left, right });
        }
        let mut joined = self.joined(other);
        if joined.bound > STATE_BYTES_MAX {
            joined.weigh()?;
        }
        Ok(joined)
    }

    /// Becomes the least state that has what both have; says whether that changed something. After an error
    /// it is as it was.
    pub fn join_from(&mut self, other: &Self) -> Result<bool, JoinError> {
        if self.includes(other) {
            return Ok(false);
        }
        if self.epoch != other.epoch || self.bound.saturating_add(other.bound) > STATE_BYTES_MAX {
            *self = self.join(other)?;
            return Ok(true);
        }
        let bodies = (&mut self.body, &other.body);
        let (left, right) = (bodies.0.kind(), bodies.1.kind());
        of_both!(bodies, (ours, theirs) => ours.join(theirs), _ => return Err(JoinError::Kinds { left, right }));
        self.bound += other.bound;
        Ok(true)
    }

    /// Finds out how large it is.
    pub(crate) fn weigh(&mut self) -> Result<(), TooLarge> {
        self.bound = usize::MAX;
        self.bound = self.encode()?.len();
        Ok(())
    }

    /// The join of two of one kind, however large it is.
    fn joined(&self, other: &Self) -> Self {
        if self.epoch != other.epoch {
            let wins = self.epoch > other.epoch;
            return if wins { self } else { other }.clone();
        }
        let mut joined = self.clone();
        of_both!((&mut joined.body, &other.body), (ours, theirs) => ours.join(theirs), _ => ());
        // Nothing is encoded in it that is not in one of them.
        joined.bound = joined.bound.saturating_add(other.bound);
        joined
    }

    /// Whether joining the other one changes nothing. One of another kind never is included.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        if self.kind() != other.kind() {
            return false;
        }
        match self.epoch.cmp(&other.epoch) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => {
                of_both!((&self.body, &other.body), (ours, theirs) => ours.includes(theirs), _ => false)
            }
        }
    }

    /// A state, as small as the kind allows, that joined with `since` gives what this one joined with
    /// `since` gives. It is to be joined and nothing else: its value says nothing.
    #[must_use]
    pub fn delta(&self, since: &Self) -> Self {
        if self.kind() != since.kind() || self.epoch > since.epoch {
            return self.clone();
        }
        if self.epoch < since.epoch {
            return Self::empty(self.kind());
        }
        let mut delta = self.clone();
        of_both!(
            (&mut delta.body, &since.body),
            (ours, theirs) => *ours = ours.delta(theirs).unwrap_or_default(),
            _ => ()
        );
        delta
    }

    /// Does an operation as `writer`; says whether that changed something. To remove what is not there
    /// changes nothing. After an error the state is as it was.
    ///
    /// `stamp` is for registers and maps of the last writer, and has to be greater than any that was seen.
    pub fn apply(&mut self, op: &Op, writer: Writer, stamp: u64) -> Result<bool, OpError> {
        self.apply_all(std::slice::from_ref(op), writer, stamp)
    }

    /// Does operations, one after the other, all of them or none. With one stamp a register or a field is
    /// written once.
    ///
    /// Each call with more than one operation, and each on a list, goes through the whole state, so that many
    /// take less time together.
    pub fn apply_all(&mut self, ops: &[Op], writer: Writer, stamp: u64) -> Result<bool, OpError> {
        let mut bound = self.bound;
        for op in ops {
            TooLarge::check(op.item_bytes(), ITEM_BYTES_MAX)?;
            // An operation has a field and a value at most.
            bound = bound.saturating_add(2 * op.item_bytes() + OP_BYTES);
        }
        let at = At { writer, stamp };
        if let [op] = ops
            && bound <= STATE_BYTES_MAX
        {
            let has_changed =
                of_any!(&mut self.body, it => it.apply(std::slice::from_ref(op), at))?;
            self.bound = if has_changed { bound } else { self.bound };
            return Ok(has_changed);
        }
        let mut next = self.clone();
        next.bound = bound;
        let has_changed = of_any!(&mut next.body, it => it.apply(ops, at))?;
        if has_changed {
            if bound > STATE_BYTES_MAX {
                next.weigh()?;
            }
            *self = next;
        }
        Ok(has_changed)
    }

    /// The operations that do to this state what leads from the value of one state to that of another: what
    /// a cherry-pick does, and with the two exchanged a revert. They are for [`State::apply_all`].
    ///
    /// What is there already, or not there any more, is no error when they are applied, except in a 2p-set
    /// ([`OpError::RemovedForEver`]). In lists of one epoch, places are found by the nodes around them; of
    /// several, by counting from the start. What is inserted is a new value: it is not that of `to` when the two
    /// states are joined later. Documents have edits of their own (`Document::difference`).
    pub fn rebase(&self, from: &Self, to: &Self) -> Result<Vec<Op>, OpError> {
        if to.body.is_empty() && !from.body.is_empty() {
            return Err(OpError::NoOperation);
        }
        let is_one_epoch = self.epoch == from.epoch && from.epoch == to.epoch;
        match (&self.body, &from.body, &to.body) {
            (Body::List(here), Body::List(from), Body::List(to)) if is_one_epoch => {
                Ok(list::rebase(here, from, to))
            }
            (Body::List(here), Body::List(from), Body::List(to)) => {
                Ok(list::rebase_values(here, from, to))
            }
            _ => {
                of_both!((&from.body, &to.body), (from, to) => from.changes(to), _ => Err(OpError::NoOperation))
            }
        }
    }

    /// A state of a greater epoch with the same value and nothing else (CRDT-20). What others do in the
    /// older epoch without knowing of this one is put aside when it comes.
    pub fn compact(&self, epoch: Epoch) -> Result<Self, OpError> {
        let mut next = self.cleared(epoch)?;
        if self.body.is_empty() {
            return Ok(next);
        }
        let Epoch { stamp, writer } = epoch;
        let at = At { writer, stamp };
        next.body = self.body.clone();
        of_any!(&mut next.body, it => *it = it.compact(at)?);
        next.weigh()?;
        Ok(next)
    }

    /// The state of a greater epoch without a value: what deletes it (CRDT-5).
    pub fn cleared(&self, epoch: Epoch) -> Result<Self, OpError> {
        match self.epoch {
            Some(newest) if newest >= epoch => Err(OpError::OldEpoch { newest }),
            _ => Ok(Self {
                epoch: Some(epoch),
                body: Body::empty(self.kind()),
                bound: EMPTY_BYTES,
            }),
        }
    }

    /// What it shows; `None` if nobody has given it anything in this epoch. A document is shown as the
    /// names of its changes; its contents are read with the feature `documents`.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        let is_empty = self.body.is_empty();
        (!is_empty).then(|| of_any!(&self.body, it => it.value()))
    }
}

/// The join of two encoded states of a kind.
pub fn join_encoded(kind: Kind, left: &[u8], right: &[u8]) -> Result<Vec<u8>, JoinError> {
    let ours = State::decode(kind, left).map_err(JoinError::Left)?;
    let theirs = State::decode(kind, right).map_err(JoinError::Right)?;
    Ok(ours.join(&theirs)?.encode()?)
}
