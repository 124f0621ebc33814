//! Writers, epochs, and the kinds of states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one line of history of one device.
///
/// It must never be used by two lines that go on apart from each other: a device makes a new one for
/// each branch, and whenever a branch goes back to an older state. Otherwise two things get one name,
/// and one of them is lost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "complete by the page")]
pub struct Writer(#[serde(with = "serde_bytes")] pub [u8; 8]);

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// From when on the history of a value counts (CRDT-4).
///
/// What was done in a lesser epoch is put aside. The one that a value begins with is `None`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "complete by the page")]
pub struct Epoch {
    /// The time of the clock of whoever began it.
    pub stamp: u64,
    /// Who began it.
    pub writer: Writer,
}

/// How a state joins, and what it shows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must be handled everywhere"
)]
pub enum Kind {
    /// A number that only grows.
    GCounter,
    /// A number.
    PnCounter,
    /// One value: the last that was written.
    LwwRegister,
    /// The values that were written without knowing of each other.
    MvRegister,
    /// A set from which an element is removed for ever.
    TwoPhaseSet,
    /// A set where adding wins over removing at the same time.
    OrSet,
    /// A set with a count for each element.
    CountedSet,
    /// Fields with one value each: the last that was written.
    LwwMap,
    /// Values in an order.
    List,
    /// A document of Automerge.
    Document,
}

impl Kind {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::GCounter,
        Self::PnCounter,
        Self::LwwRegister,
        Self::MvRegister,
        Self::TwoPhaseSet,
        Self::OrSet,
        Self::CountedSet,
        Self::LwwMap,
        Self::List,
        Self::Document,
    ];

    /// The number of the kind on the page, from 1.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::GCounter => 1,
            Self::PnCounter => 2,
            Self::LwwRegister => 3,
            Self::MvRegister => 4,
            Self::TwoPhaseSet => 5,
            Self::OrSet => 6,
            Self::CountedSet => 7,
            Self::LwwMap => 8,
            Self::List => 9,
            Self::Document => 10,
        }
    }

    /// The kind with a number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name of the kind on the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GCounter => "g-counter",
            Self::PnCounter => "pn-counter",
            Self::LwwRegister => "lww-register",
            Self::MvRegister => "mv-register",
            Self::TwoPhaseSet => "2p-set",
            Self::OrSet => "or-set",
            Self::CountedSet => "counted-set",
            Self::LwwMap => "lww-map",
            Self::List => "list",
            Self::Document => "document",
        }
    }

    /// The names of the operations that [`State::apply`](crate::State::apply) has for it.
    #[must_use]
    pub const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::GCounter => &["increment"],
            Self::PnCounter => &["increment", "decrement"],
            Self::LwwRegister | Self::MvRegister => &["set"],
            Self::TwoPhaseSet | Self::OrSet => &["add", "remove"],
            Self::CountedSet => &["add", "remove", "add-count"],
            Self::LwwMap => &["put", "delete"],
            Self::List => &["insert", "remove-at"],
            Self::Document => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no kind of value that joins; there are {}", Kind::ALL.map(Kind::name).join(", "))]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}
