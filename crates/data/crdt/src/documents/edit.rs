//! Edits of a document, at places that JSON Pointers name (RFC 6901).

use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, ObjId, ObjType, Prop, ROOT, ReadDoc as _, ScalarValue, Value};
use serde_json::Value as Json;

use super::DocumentError;
use super::convert::{Place, write};

/// An edit. A path is a JSON Pointer, as `/notes/0/title`.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new one must be handled everywhere"
)]
pub enum Edit {
    /// Gives a field of an object, or an element of a list that is there, another value.
    Set {
        /// The field or element.
        path: String,
        /// Its value.
        value: Json,
    },
    /// Inserts an element into a list, before the one that the path names; `-` is behind the last one.
    Insert {
        /// The place.
        path: String,
        /// The value of the new element.
        value: Json,
    },
    /// Removes a field or an element.
    Delete {
        /// The field or element.
        path: String,
    },
    /// Removes and inserts characters of a text.
    Splice {
        /// The text.
        path: String,
        /// Where, in code points from the start.
        at: usize,
        /// How many code points are removed.
        delete: usize,
        /// What is inserted.
        insert: String,
    },
}

impl Edit {
    fn path(&self) -> &str {
        match self {
            Self::Set { path, .. }
            | Self::Insert { path, .. }
            | Self::Delete { path }
            | Self::Splice { path, .. } => path,
        }
    }
}

/// Makes an edit; `index` says which of several it is.
pub(super) fn apply(doc: &mut AutoCommit, edit: &Edit, index: usize) -> Result<(), DocumentError> {
    let nowhere = DocumentError::NoSuchPlace { index };
    let (object, last) = find(doc, edit.path()).ok_or(nowhere)?;
    let is_list = doc.object_type(&object)? == ObjType::List;
    let len = doc.length(&object);
    match edit {
        Edit::Insert { value, .. } => {
            let place = match last.as_str() {
                "-" => Some(len),
                digits => number(digits).filter(|place| *place <= len),
            };
            let place = place.filter(|_| is_list).ok_or(nowhere)?;
            write(doc, &object, Place::Before(place), value, 0)
        }
        Edit::Set { value, .. } if !is_list => {
            write(doc, &object, Place::At(Prop::Map(last)), value, 0)
        }
        Edit::Set { value, .. } => {
            let place = number(&last).filter(|place| *place < len);
            let place = Place::At(Prop::Seq(place.ok_or(nowhere)?));
            write(doc, &object, place, value, 0)
        }
        Edit::Delete { .. } => {
            let prop = prop(is_list, last).ok_or(nowhere)?;
            doc.get(&object, prop.clone())?.ok_or(nowhere)?;
            Ok(doc.delete(&object, prop)?)
        }
        Edit::Splice {
            at, delete, insert, ..
        } => {
            let prop = prop(is_list, last).ok_or(nowhere)?;
            splice(doc, &object, prop, (*at, *delete, insert)).ok_or(nowhere)?
        }
    }
}

/// Edits a text; `None` if there is none, or no such place in it.
fn splice(
    doc: &mut AutoCommit,
    object: &ObjId,
    prop: Prop,
    (at, delete, insert): (usize, usize, &str),
) -> Option<Result<(), DocumentError>> {
    let (value, text) = doc.get(object, prop.clone()).ok()??;
    let end = at.checked_add(delete)?;
    match value {
        Value::Object(ObjType::Text) => {
            let delete = isize::try_from(delete).ok()?;
            let fits = end <= doc.length(&text);
            let done = fits.then(|| doc.splice_text(&text, at, delete, insert))?;
            Some(done.map_err(Into::into))
        }
        // A text that is replaced as a whole becomes one that is not.
        Value::Scalar(scalar) => {
            let ScalarValue::Str(old) = scalar.as_ref() else {
                return None;
            };
            let fits = end <= old.chars().count();
            let head: String = old.chars().take(at).collect();
            let tail: String = old.chars().skip(end).collect();
            let new = Json::String(format!("{head}{insert}{tail}"));
            fits.then(|| write(doc, object, Place::At(prop), &new, 0))
        }
        Value::Object(_) => None,
    }
}

/// The object that a path leads into, and the last word of the path.
fn find(doc: &AutoCommit, path: &str) -> Option<(ObjId, String)> {
    let mut words = path.strip_prefix('/')?.split('/').map(unescaped);
    let mut last = words.next()??;
    let mut object = ROOT;
    for word in words {
        let is_list = doc.object_type(&object).ok()? == ObjType::List;
        match doc.get(&object, prop(is_list, last)?).ok()?? {
            (Value::Object(ObjType::Map | ObjType::Table | ObjType::List), next) => object = next,
            _ => return None,
        }
        last = word?;
    }
    Some((object, last))
}

fn prop(is_list: bool, word: String) -> Option<Prop> {
    if is_list {
        number(&word).map(Prop::Seq)
    } else {
        Some(Prop::Map(word))
    }
}

/// An index as RFC 6901 writes it.
fn number(word: &str) -> Option<usize> {
    let number = word.parse::<usize>().ok()?;
    (number.to_string() == word).then_some(number)
}

/// A word of a path; `None` if a `~` in it says nothing.
fn unescaped(word: &str) -> Option<String> {
    let mut pieces = word.split('~');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let (letter, rest) = match piece.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', piece.strip_prefix('1')?),
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    Some(plain)
}

/// A path with one more word.
pub(super) fn joined(path: &str, word: &str) -> String {
    format!("{path}/{}", word.replace('~', "~0").replace('/', "~1"))
}
