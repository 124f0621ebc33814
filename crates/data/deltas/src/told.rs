//! Entries of a space as deltas: what each says, and how it is read (DELTA-50 to DELTA-52).

use allod_repo::{BranchName, Commit, CommitId, Content, Entry, SpaceId, Stamp, State};

use crate::delta::{Delta, DeltaError};
use crate::number::Number;
use crate::pointer::{NAME_BYTES_MAX, Pointer, Target};

/// How the objects and authors of told entries begin.
pub(crate) const SCHEME: &str = "allod://";

/// The property of the object of a key that has its entries.
pub(crate) const CONTEXT_ENTRY: &str = "entry";

/// The system of what follows from an entry alone.
const SYSTEM: &str = "allod";

/// The most entries that the delta of a commit names (DELTA-52).
pub(crate) const CHANGES_MAX: usize = 1000;

/// The role of the pointer with the stamp of an entry.
const ROLE_STAMP: &str = "stamp";

/// The author of all that a space tells.
pub(crate) fn author(space: SpaceId) -> String {
    format!("{SCHEME}{space}")
}

/// The object that stands for a key of a branch, if its name is no longer than a name may be (DELTA-50).
#[must_use]
pub fn object_of(space: SpaceId, branch: &BranchName, key: &[u8]) -> Option<String> {
    let mut id = author(space);
    id.push('/');
    escape(&mut id, branch.as_str().as_bytes(), b"");
    id.push('/');
    escape(&mut id, key, b"/");
    (id.len() <= NAME_BYTES_MAX).then_some(id)
}

fn escape(out: &mut String, bytes: &[u8], also: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The name of an object of a key with the key as it is; `None` if it is no such name in its one form.
pub(crate) fn plain_name(object: &str) -> Option<Vec<u8>> {
    let mut parts = object.strip_prefix(SCHEME)?.splitn(3, '/');
    let (space, branch, key) = (parts.next()?, parts.next()?, parts.next()?);
    space.parse::<SpaceId>().ok()?;
    unescape(branch, b"")?;
    let key = unescape(key, b"/")?;
    Some(
        [
            SCHEME.as_bytes(),
            space.as_bytes(),
            b"/",
            branch.as_bytes(),
            b"/",
            &key,
        ]
        .concat(),
    )
}

/// What [`escape`] wrote.
fn unescape(text: &str, also: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        out.push(match byte {
            b'%' => u8::try_from(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?).ok()?,
            plain => plain,
        });
    }
    // One key has one name, or two objects would be one entry.
    let mut again = String::with_capacity(text.len());
    escape(&mut again, &out, also);
    (again == text).then_some(out)
}

/// The delta that tells an entry: the same wherever it is made (DELTA-50). `None` if it is not told: its key is too
/// long, or it joins.
pub fn delta_of_entry(
    (space, branch, key): (SpaceId, &BranchName, &[u8]),
    entry: &Entry,
    content: Option<&Content>,
) -> Result<Option<Delta>, DeltaError> {
    let Some(object) = object_of(space, branch, key) else {
        return Ok(None);
    };
    let about = Pointer::under("entry", object, CONTEXT_ENTRY)?;
    let build = |said: Pointer| {
        let stamp = Pointer::text(ROLE_STAMP, entry.stamp.to_string())?;
        let pointers = vec![about.clone(), said, stamp];
        Delta::content_addressed(time(entry.stamp), author(space), SYSTEM, pointers)
    };
    let bytes = match (&entry.state, content) {
        (State::Tombstone, _) => {
            return Ok(Some(build(Pointer::new("deleted", Target::Bool(true))?)?));
        }
        (State::Joining(..) | State::JoiningLink(..), _) | (_, None) => return Ok(None),
        (_, Some(Content::File(cid))) => {
            return Ok(Some(build(Pointer::text("link", cid.to_string())?)?));
        }
        (_, Some(Content::Bytes(bytes))) => bytes,
    };
    let said = match std::str::from_utf8(bytes) {
        Ok(text) => Pointer::text("value", text)?,
        Err(_) => Pointer::text("hex", hex(bytes))?,
    };
    match (build(said), &entry.state) {
        (Err(DeltaError::Size), State::Link(cid)) => {
            Ok(Some(build(Pointer::text("link", cid.to_string())?)?))
        }
        (built, _) => built.map(Some),
    }
}

/// The delta that negates what a lesser entry of a key was told by (DELTA-51).
pub fn negation_of(space: SpaceId, lesser: &Delta, greater: &Delta) -> Result<Delta, DeltaError> {
    let pointers = vec![
        Pointer::negates(lesser.id())?,
        Pointer::to("by", greater.id())?,
    ];
    Delta::content_addressed(greater.timestamp(), author(space), SYSTEM, pointers)
}

/// The delta that tells of a commit, and of the deltas of the entries that it changed (DELTA-52).
pub fn delta_of_commit(
    id: CommitId,
    commit: &Commit,
    device: &str,
    changes: &[String],
) -> Result<Delta, DeltaError> {
    let mut pointers = vec![
        Pointer::under("commit", id.to_string(), "commit")?,
        Pointer::text("agent", commit.author.to_string())?,
        Pointer::text("message", commit.message.as_str())?,
    ];
    for parent in &commit.parents {
        pointers.push(Pointer::under("parent", parent.to_string(), "child")?);
    }
    for change in changes.iter().take(CHANGES_MAX) {
        pointers.push(Pointer::under("changes", change, "changed_by")?);
    }
    Delta::content_addressed(time(commit.stamp), author(commit.space), device, pointers)
}

fn time(stamp: Stamp) -> Number {
    Number::of(stamp.millis().max(1))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    bytes.collect()
}

/// An entry as a delta tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ToldEntry {
    pub(crate) stamp: Stamp,
    pub(crate) value: ToldValue,
}

/// What a key has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ToldValue {
    Bytes(Vec<u8>),
    Deleted,
    /// It is named and not said.
    Elsewhere,
}

impl ToldEntry {
    /// The entry that a delta tells of an object, if it does and the object's space is its author.
    pub(crate) fn of(delta: &Delta, object: &str) -> Option<Self> {
        let rest = object.strip_prefix(delta.author())?;
        if !delta.author().starts_with(SCHEME) || !rest.starts_with('/') {
            return None;
        }
        let [about, said, stamp] = delta.pointers() else {
            return None;
        };
        let to = about.reference()?;
        if to.id() != object || to.context() != Some(CONTEXT_ENTRY) || stamp.role() != ROLE_STAMP {
            return None;
        }
        let value = match (said.role(), said.target()) {
            ("value", Target::Text(text)) => ToldValue::Bytes(text.clone().into_bytes()),
            ("hex", Target::Text(text)) => ToldValue::Bytes(unhex(text)?),
            ("deleted", Target::Bool(true)) => ToldValue::Deleted,
            ("link", Target::Text(_)) => ToldValue::Elsewhere,
            _ => return None,
        };
        let Target::Text(text) = stamp.target() else {
            return None;
        };
        Some(Self {
            stamp: read_stamp(text)?,
            value,
        })
    }
}

fn read_stamp(text: &str) -> Option<Stamp> {
    let (millis, counter) = text.split_once('.')?;
    let (millis, counter): (u64, u16) = (millis.parse().ok()?, counter.parse().ok()?);
    if millis >> 48 != 0 {
        return None;
    }
    let stamp = Stamp::from_bits(Stamp::at_millis(millis).bits() | u64::from(counter));
    (stamp.to_string() == text).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: &str = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    fn state() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))
    }

    proptest! {
        /// What is told is read, and under the one name of its key.
        #[test]
        fn told_entries_are_read(key: Vec<u8>, bits: u64, state in state(), branch in "[a-z/]{1,9}") {
            let (space, branch) = (SPACE.parse().unwrap(), branch.parse::<BranchName>());
            let Ok(branch) = branch else { return Ok(()) };
            let stamp = Stamp::from_bits(bits);
            let (entry, content) = match &state {
                None => (State::Tombstone, None),
                Some(bytes) => (
                    State::Value(bytes.clone().into()),
                    Some(Content::Bytes(bytes.clone().into())),
                ),
            };
            let entry = Entry { stamp, state: entry };
            let told = delta_of_entry((space, &branch, &key), &entry, content.as_ref());
            let Some(delta) = told.unwrap() else {
                prop_assert_eq!(object_of(space, &branch, &key), None);
                return Ok(());
            };
            let object = object_of(space, &branch, &key).unwrap();
            let value = state.map_or(ToldValue::Deleted, ToldValue::Bytes);
            let read = ToldEntry::of(&delta, &object);
            prop_assert_eq!(read, Some(ToldEntry { stamp, value }));
            prop_assert!(plain_name(&object).unwrap().ends_with(&key));
            prop_assert_eq!(ToldEntry::of(&delta, "allod://another"), None);
        }

        /// Whatever somebody calls an object, it is the name of at most one key, and nothing panics.
        #[test]
        fn names_have_one_form(branch in "[a-zA-Z%/0-9+]{0,8}", key in "[a-z%/A-F0-9+~ \u{e9}]{0,12}") {
            let name = format!("{SCHEME}{SPACE}/{branch}/{key}");
            if let Some(plain) = plain_name(&name) {
                let (_, rest) = name.strip_prefix(SCHEME).unwrap().split_once('/').unwrap();
                let (branch, _) = rest.split_once('/').unwrap();
                let head = format!("{SCHEME}{SPACE}/{branch}/");
                let mut again = head.clone();
                escape(&mut again, &plain[head.len()..], b"/");
                prop_assert_eq!(again, name);
            }
            prop_assert_eq!(plain_name(&key), None);
        }

        /// Whatever a pointer says, reading it ends without a panic, and what is read has one text.
        #[test]
        fn texts_of_strangers_do_no_harm(text in ".{0,24}", digits in "[0-9]{0,22}\\.[0-9]{0,7}") {
            for text in [&text, &digits] {
                if let Some(stamp) = read_stamp(text) {
                    prop_assert_eq!(&stamp.to_string(), text);
                }
                if let Some(bytes) = unhex(text) {
                    prop_assert_eq!(&hex(&bytes), text);
                }
            }
        }
    }
}
