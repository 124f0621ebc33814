//! Deltas: what somebody said, once and for ever (DELTA-1 to DELTA-8).

use std::cmp::Ordering;

use allod_identity::canonical;
use cid::Cid;
use multihash::Multihash;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::json::{Extras, Members, is_shallow, put_text};
use crate::number::{Number, NumberError};
use crate::pointer::{
    CONTEXT_NEGATED_BY, Pointer, ROLE_NEGATES, Reference, Target, extras, name, text,
};

/// The largest delta, in bytes of JSON (DELTA-2): a long article fits, and a thousand of them in a queue do
/// no harm.
pub const DELTA_BYTES_MAX: usize = 256 * 1024;

/// The most pointers of a delta (DELTA-2): each is a line in an index.
pub const POINTERS_MAX: usize = 4096;

/// How every id begins that is a content id (DELTA-7): CIDv1, dag-cbor, sha2-256, in base32.
const CONTENT_ID_PREFIX: &str = "bafyrei";

const DAG_CBOR: u64 = 0x71;
const SHA2_256: u64 = 0x12;

/// Why something is no delta. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// Not an object of JSON with different names, or nested too deep.
    #[error("not an object of JSON")]
    Json,
    /// Larger than [`DELTA_BYTES_MAX`], or with more than [`POINTERS_MAX`] pointers.
    #[error("larger than a delta may be")]
    Size,
    /// A member is missing, empty, too long or of another type.
    #[error("{0} is missing, empty, too long or of another type")]
    Field(&'static str),
    /// The timestamp is not a positive number.
    #[error("the timestamp is not a positive number")]
    Timestamp,
    /// The target of a pointer is neither a text, a number, true, false nor a reference.
    #[error("a target is null, an array, or no reference")]
    Target,
    /// A number that a double does not keep.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// More than 64 members that nobody knows, in one object.
    #[error("too many members that are not known")]
    Extras,
    /// The id is that of another content, or `hash` is (DELTA-7).
    #[error("the id or hash is that of another content")]
    Content,
}

impl DeltaError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json => "E_DELTA_JSON",
            Self::Size | Self::Extras => "E_DELTA_SIZE",
            Self::Field(_) => "E_DELTA_FIELD",
            Self::Timestamp => "E_DELTA_TIME",
            Self::Target => "E_DELTA_TARGET",
            Self::Number(_) => "E_DELTA_NUMBER",
            Self::Content => "E_DELTA_CONTENT",
        }
    }
}

/// What somebody said, once and for ever. It exists only if it is valid (DELTA-1, DELTA-2).
///
/// Two deltas are equal if they have the same id, content and extras.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    id: String,
    timestamp: Number,
    author: String,
    system: String,
    pointers: Vec<Pointer>,
    pub(crate) extras: Extras,
    digest: [u8; 32],
}

impl Delta {
    /// A delta with an id of the caller's, such as a UUID.
    pub fn new(
        id: impl Into<String>,
        timestamp: Number,
        author: impl Into<String>,
        system: impl Into<String>,
        pointers: Vec<Pointer>,
    ) -> Result<Self, DeltaError> {
        let mut delta = Self::build(timestamp, author.into(), system.into(), pointers)?;
        delta.id = name(id.into(), "id")?;
        delta.check_content()?;
        delta.check_size()?;
        Ok(delta)
    }

    /// A delta whose id is its content id (DELTA-7).
    pub fn content_addressed(
        timestamp: Number,
        author: impl Into<String>,
        system: impl Into<String>,
        pointers: Vec<Pointer>,
    ) -> Result<Self, DeltaError> {
        let delta = Self::build(timestamp, author.into(), system.into(), pointers)?;
        delta.check_size()?;
        Ok(delta)
    }

    /// A delta whose size nobody checked.
    fn build(
        timestamp: Number,
        author: String,
        system: String,
        pointers: Vec<Pointer>,
    ) -> Result<Self, DeltaError> {
        if timestamp.get() <= 0.0 {
            return Err(DeltaError::Timestamp);
        }
        if pointers.len() > POINTERS_MAX {
            return Err(DeltaError::Size);
        }
        let author = name(author, "author")?;
        let system = name(system, "system")?;
        let digest = Sha256::digest(content_of(timestamp, &author, &system, &pointers)).into();
        Ok(Self {
            id: content_cid(&digest).to_string(),
            timestamp,
            author,
            system,
            pointers,
            extras: Extras::default(),
            digest,
        })
    }

    /// Reads a delta from JSON.
    pub fn decode(json: &str) -> Result<Self, DeltaError> {
        if json.len() > DELTA_BYTES_MAX {
            return Err(DeltaError::Size);
        }
        if !is_shallow(json) {
            return Err(DeltaError::Json);
        }
        let mut members = Members::read(json).ok_or(DeltaError::Json)?;
        let id = text(members.take("id"), "id")?;
        let timestamp = timestamp(members.take("timestamp"))?;
        let author = text(members.take("author"), "author")?;
        let system = text(members.take("system"), "system")?;
        let pointers = members.take("pointers");
        let pointers = pointers.ok_or(DeltaError::Field("pointers"))?;
        let pointers: Vec<&RawValue> =
            serde_json::from_str(pointers.get()).map_err(|_error| DeltaError::Field("pointers"))?;
        if pointers.len() > POINTERS_MAX {
            return Err(DeltaError::Size);
        }
        let pointers = pointers
            .into_iter()
            .map(Pointer::read)
            .collect::<Result<_, _>>()?;
        let mut delta = Self::build(timestamp, author, system, pointers)?;
        delta.id = name(id, "id")?;
        delta.extras = extras(members)?;
        delta.check_content()?;
        // What is written again may be longer than what was read, where it had shorter numbers.
        delta.check_size()?;
        Ok(delta)
    }

    /// The delta as JSON: `id`, `timestamp`, `author`, `system`, `pointers`, then what nobody here knows.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(256);
        out.push_str("{\"id\":");
        put_text(&mut out, &self.id);
        out.push_str(",\"timestamp\":");
        out.push_str(&self.timestamp.to_string());
        out.push_str(",\"author\":");
        put_text(&mut out, &self.author);
        out.push_str(",\"system\":");
        put_text(&mut out, &self.system);
        out.push_str(",\"pointers\":[");
        for (at, pointer) in self.pointers.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            pointer.put(&mut out);
        }
        out.push(']');
        self.extras.put(&mut out);
        out.push('}');
        out
    }

    /// Its id: a content id, or one that its author chose.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When, in milliseconds since 1970, says its author.
    #[must_use]
    pub const fn timestamp(&self) -> Number {
        self.timestamp
    }

    /// Who said it. Believe it of what [`verify`](Self::verify) finds good alone.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// The system where it was said, says the author.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.system
    }

    /// What it says.
    #[must_use]
    pub fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// Members that nobody here knows.
    #[must_use]
    pub const fn extras(&self) -> &Extras {
        &self.extras
    }

    /// The name of its content (DELTA-6).
    #[must_use]
    pub fn content_id(&self) -> Cid {
        content_cid(&self.digest)
    }

    /// Its content: canonical DAG-CBOR of what is said, without the id (DELTA-6).
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        content_of(self.timestamp, &self.author, &self.system, &self.pointers)
    }

    /// The sha2-256 of its content (DELTA-6).
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether its id is its content id.
    #[must_use]
    pub fn is_content_addressed(&self) -> bool {
        self.id.starts_with(CONTENT_ID_PREFIX) && self.id == self.content_id().to_string()
    }

    /// The ids of the deltas that it negates (DELTA-20).
    pub fn negates(&self) -> impl Iterator<Item = &str> {
        self.references().filter_map(|(role, reference)| {
            let negates = role == ROLE_NEGATES && reference.context() == Some(CONTEXT_NEGATED_BY);
            negates.then(|| reference.id())
        })
    }

    /// Its references, with their roles.
    pub fn references(&self) -> impl Iterator<Item = (&str, &Reference)> {
        self.pointers
            .iter()
            .filter_map(|pointer| Some((pointer.role(), pointer.reference()?)))
    }

    /// The total order of deltas: by timestamp, then by the bytes of the id (DELTA-9).
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        (self.timestamp, &self.id).cmp(&(other.timestamp, &other.id))
    }

    /// Bytes of its JSON.
    pub(crate) fn size(&self) -> usize {
        self.encode().len()
    }

    fn check_size(&self) -> Result<(), DeltaError> {
        if self.size() > DELTA_BYTES_MAX {
            return Err(DeltaError::Size);
        }
        Ok(())
    }

    /// An id, or a `hash`, that looks like a content id is one (DELTA-7).
    fn check_content(&self) -> Result<(), DeltaError> {
        let hash = self.extras.text("hash");
        for claimed in [Some(&self.id), hash.as_ref()].into_iter().flatten() {
            if claimed.starts_with(CONTENT_ID_PREFIX) && *claimed != self.content_id().to_string() {
                return Err(DeltaError::Content);
            }
        }
        Ok(())
    }
}

fn timestamp(raw: Option<&RawValue>) -> Result<Number, DeltaError> {
    let raw = raw.ok_or(DeltaError::Timestamp)?;
    match Number::parse(raw.get()) {
        Ok(number) => Ok(number),
        Err(NumberError::Syntax) => Err(DeltaError::Timestamp),
        Err(error) => Err(error.into()),
    }
}

/// The canonical DAG-CBOR of what is said (DELTA-6).
fn content_of(timestamp: Number, author: &str, system: &str, pointers: &[Pointer]) -> Vec<u8> {
    // Members in the order of their length, then of their bytes.
    #[derive(Serialize)]
    struct Said<'a> {
        author: &'a str,
        system: &'a str,
        pointers: Vec<Points<'a>>,
        timestamp: Number,
    }
    #[derive(Serialize)]
    struct Points<'a> {
        role: &'a str,
        target: &'a Target,
    }
    let points = |pointer| {
        let (role, target) = (Pointer::role(pointer), Pointer::target(pointer));
        Points { role, target }
    };
    let said = Said {
        author,
        system,
        pointers: pointers.iter().map(points).collect(),
        timestamp,
    };
    #[expect(
        clippy::expect_used,
        reason = "texts, finite numbers, and maps with texts as keys always have an encoding"
    )]
    canonical::encode(&said).expect("it has an encoding")
}

fn content_cid(digest: &[u8; 32]) -> Cid {
    #[expect(
        clippy::expect_used,
        reason = "32 bytes always fit a 64-byte multihash"
    )]
    let hash = Multihash::wrap(SHA2_256, digest).expect("32 <= 64");
    Cid::new_v1(DAG_CBOR, hash)
}
