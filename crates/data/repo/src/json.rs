//! Merging two objects of JSON field by field ("Strategies" of `specs/23-merge.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::resolve::{BadValue, MergeType};

/// Levels of objects that are merged by fields; below, an object is compared as text.
const LEVELS_MAX: usize = 32;

/// The fields of an object with their text; a repeated name makes it none.
pub(crate) struct Fields(pub(crate) BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a repeated name"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// Objects of JSON, field by field.
pub(crate) struct Json;

impl MergeType for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn merge(
        &self,
        base: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Option<Bytes>, BadValue> {
        Ok(merge(base, ours, theirs))
    }
}

/// The merge of two objects, as text; `None` if a field was changed to two values, or one of the
/// three is no object.
fn merge(base: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Option<Bytes> {
    let object = |bytes: &[u8]| serde_json::from_slice::<Fields>(bytes).ok();
    let base = match base {
        Some(base) => object(base)?,
        None => Fields(BTreeMap::new()),
    };
    let mut out = String::new();
    merge_fields(
        &base,
        &object(ours)?,
        &object(theirs)?,
        LEVELS_MAX,
        &mut out,
    )?;
    Some(out.into())
}

fn merge_fields(
    base: &Fields,
    ours: &Fields,
    theirs: &Fields,
    levels: usize,
    out: &mut String,
) -> Option<()> {
    out.push('{');
    let names: BTreeSet<&String> = ours.0.keys().chain(theirs.0.keys()).collect();
    let mut is_first = true;
    for name in names {
        let text = |fields: &'_ Fields| fields.0.get(name).map(|value| value.get().to_owned());
        let (base, ours, theirs) = (text(base), text(ours), text(theirs));
        let merged = if theirs == base || theirs == ours {
            ours
        } else if ours == base {
            theirs
        } else {
            Some(merge_deeper(base, &ours?, &theirs?, levels)?)
        };
        if let Some(value) = merged {
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            out.push_str(&serde_json::to_string(name).ok()?);
            out.push(':');
            out.push_str(&value);
        }
    }
    out.push('}');
    Some(())
}

fn merge_deeper(base: Option<String>, ours: &str, theirs: &str, levels: usize) -> Option<String> {
    let levels = levels.checked_sub(1)?;
    let object = |text: &str| serde_json::from_str::<Fields>(text).ok();
    let base = match base {
        Some(base) => object(&base)?,
        None => Fields(BTreeMap::new()),
    };
    let mut out = String::new();
    merge_fields(&base, &object(ours)?, &object(theirs)?, levels, &mut out)?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: Option<&str>, ours: &str, theirs: &str, expected: Option<&str>) {
        let base = base.map(str::as_bytes);
        for (ours, theirs) in [(ours, theirs), (theirs, ours)] {
            let merged = merge(base, ours.as_bytes(), theirs.as_bytes());
            let merged = merged.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert_eq!(merged.as_deref(), expected);
        }
    }

    #[test]
    fn fields_are_merged_apart() {
        let base = r#"{"a": 1, "b": 2, "c": 3}"#;
        check(
            Some(base),
            r#"{"a":9,"b":2,"c":3}"#,
            r#"{"b":2,"c":3,"a":1,"d":4}"#,
            Some(r#"{"a":9,"b":2,"c":3,"d":4}"#),
        );
        check(
            Some(base),
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"b":5,"c":3}"#,
            Some(r#"{"a":1,"b":5}"#),
        );
        check(
            Some(base),
            r#"{"a":7,"b":2,"c":3}"#,
            r#"{"a":8,"b":2,"c":3}"#,
            None,
        );
        check(
            Some(base),
            r#"{"b":2,"c":3}"#,
            r#"{"a":8,"b":2,"c":3}"#,
            None,
        );
        check(None, r#"{"a":1}"#, r#"{"b":2}"#, Some(r#"{"a":1,"b":2}"#));
        check(None, r#"{"a":1}"#, r#"{"a":2}"#, None);
    }

    #[test]
    fn objects_inside_are_merged_and_spelling_stays() {
        check(
            Some(r#"{"o":{"x":1,"y":1}}"#),
            r#"{"o":{"x":1.50,"y":1}}"#,
            r#"{"o":{"x":1,"y":1e999}}"#,
            Some(r#"{"o":{"x":1.50,"y":1e999}}"#),
        );
        check(
            Some(r#"{"o":[1]}"#),
            r#"{"o":[1,2]}"#,
            r#"{"o":[1,3]}"#,
            None,
        );
    }

    #[test]
    fn what_is_no_plain_object_is_left_alone() {
        for bad in [
            "[1]",
            "1",
            "",
            "{\"a\":1,\"a\":2}",
            "{\"a\":}",
            "{} x",
            "\u{0}",
        ] {
            check(Some("{}"), bad, r#"{"z":1}"#, None);
        }
        let deep = |leaf: &str| format!("{}{leaf}{}", "{\"a\":".repeat(100), "}".repeat(100));
        check(Some(&deep("1")), &deep("2"), &deep("1"), Some(&deep("2")));
        let (ours, theirs) = (deep("{\"x\":1}"), deep("{\"y\":1}"));
        check(Some(&deep("{}")), &ours, &theirs, None);
        let endless = "{\"a\":".repeat(100_000);
        check(None, &endless, "{}", None);
    }
}
