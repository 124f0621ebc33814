//! The columns of a table of outside data, and how they are found (TAB-21).

use std::collections::BTreeSet;

use allod_sql::Column;
use serde::{Deserialize, Serialize};

use crate::error::AdapterError;
use crate::kind::{Kind, boolean, fraction, integer};
use crate::limits::{COLUMNS_MAX, NAME_BYTES_MAX};

/// A column, and where its values are.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OutsideColumn {
    /// What statements call it.
    pub name: String,
    /// What the source calls it, if that is something else: the name in the first record of CSV, the
    /// name of a member of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What its values are.
    pub kind: Kind,
}

impl OutsideColumn {
    /// What the source calls it.
    #[must_use]
    pub fn field(&self) -> &str {
        self.field.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn column(&self) -> Column {
        Column::new(self.name.clone(), self.kind.column_type())
    }
}

/// A column that is declared, as `name:kind`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Declared {
    /// What the source calls it; in CSV without a first record of names, what it is called from now on.
    pub field: String,
    /// What its values are; found if it is not said.
    pub kind: Option<Kind>,
}

impl std::str::FromStr for Declared {
    type Err = AdapterError;

    fn from_str(text: &str) -> Result<Self, AdapterError> {
        let (field, kind) = match text.rsplit_once(':') {
            Some((field, kind)) => (field, Some(kind.parse()?)),
            None => (text, None),
        };
        let field = field.to_owned();
        Ok(Self { field, kind })
    }
}

/// What the values of a column were so far: a set of the below.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen(u8);

const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FRACTION: u8 = 4;
const NUMBERS: u8 = INTEGER | FRACTION;
const TEXT: u8 = 8;
const OTHER: u8 = 16;

impl Seen {
    /// A field of CSV.
    pub(crate) fn note_field(&mut self, text: &str) {
        self.0 |= match text {
            "" => 0,
            _ if boolean(text).is_some() => BOOLEAN,
            _ if integer(text).is_some() => INTEGER,
            _ if fraction(text).is_some() => FRACTION,
            _ => TEXT,
        };
    }

    /// A value of JSON.
    pub(crate) fn note_json(&mut self, text: &str) {
        self.0 |= match text.as_bytes().first() {
            Some(b'n') => 0,
            Some(b't' | b'f') => BOOLEAN,
            Some(b'"') => TEXT,
            _ if integer(text).is_some() => INTEGER,
            _ if fraction(text).is_some() => FRACTION,
            _ => OTHER,
        };
    }

    /// The kind that all values are of, or else `other`.
    pub(crate) const fn kind(self, other: Kind) -> Kind {
        match self.0 {
            BOOLEAN => Kind::Boolean,
            INTEGER => Kind::Integer,
            FRACTION | NUMBERS => Kind::Number,
            TEXT => Kind::Text,
            _ => other,
        }
    }
}

/// Gives fields the names that statements have for them: their own, but that one which another has gets a
/// number.
pub(crate) fn named(fields: Vec<(String, Kind)>) -> Result<Vec<OutsideColumn>, AdapterError> {
    if fields.is_empty() {
        let none = "there are no columns: nothing names one, and none is declared";
        return Err(AdapterError::Definition(none.to_owned()));
    }
    if fields.len() > COLUMNS_MAX {
        let text = format!("{} columns, at most {COLUMNS_MAX}", fields.len());
        return Err(AdapterError::Definition(text));
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut columns = Vec::new();
    for (at, (field, kind)) in fields.into_iter().enumerate() {
        check_name(&field)?;
        let base = if field.is_empty() {
            format!("c{}", at + 1)
        } else {
            field.clone()
        };
        let (mut name, mut number) = (base.clone(), 1_usize);
        while !taken.insert(name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        let field = (field != name).then_some(field);
        columns.push(OutsideColumn { name, field, kind });
    }
    Ok(columns)
}

/// Refuses what no column can be called.
pub(crate) fn check_name(name: &str) -> Result<(), AdapterError> {
    let fault = if name.len() > NAME_BYTES_MAX {
        "is too long for the name of a column"
    } else if name.chars().any(char::is_control) {
        "is no name of a column"
    } else {
        return Ok(());
    };
    let shown = crate::error::shown(name);
    Err(AdapterError::Definition(format!("{shown} {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(values: &[&str], note: fn(&mut Seen, &str), other: Kind) -> Kind {
        let mut seen = Seen::default();
        for value in values {
            note(&mut seen, value);
        }
        seen.kind(other)
    }

    #[test]
    fn a_column_of_csv_has_one_kind() {
        for (values, kind) in [
            (&["1", "-2", ""][..], Kind::Integer),
            (&["1", "2.5"], Kind::Number),
            (&["2.5"], Kind::Number),
            (&["true", "FALSE"], Kind::Boolean),
            (&["true", "1"], Kind::Text),
            (&["1", "007"], Kind::Text),
            (&["18446744073709551616"], Kind::Text),
            (&["2026-01-01"], Kind::Text),
            (&["", ""], Kind::Text),
        ] {
            assert_eq!(
                kind_of(values, Seen::note_field, Kind::Text),
                kind,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_column_of_json_has_one_kind() {
        for (values, kind) in [
            (&["1", "null"][..], Kind::Integer),
            (&["1", "1e2"], Kind::Number),
            (&["true"], Kind::Boolean),
            (&["\"a\"", "null"], Kind::Text),
            (&["\"a\"", "1"], Kind::Json),
            (&["true", "1"], Kind::Json),
            (&["[1]"], Kind::Json),
            (&["18446744073709551616"], Kind::Json),
            (&["null"], Kind::Json),
            (&[], Kind::Json),
        ] {
            assert_eq!(
                kind_of(values, Seen::note_json, Kind::Json),
                kind,
                "{values:?}"
            );
        }
    }

    #[test]
    fn names_are_told_apart() {
        let fields = ["a", "A", "", "a_2"].map(|name| (name.to_owned(), Kind::Text));
        let columns = named(fields.to_vec()).unwrap();
        let names: Vec<&str> = columns.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "A_2", "c3", "a_2_2"]);
        for bad in ["a\0", "a\nb", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(named(vec![(bad.to_owned(), Kind::Text)]).is_err());
        }
        assert!(named(Vec::new()).is_err());
    }

    #[test]
    fn declarations_are_read() {
        let declared: Declared = "a:b:integer".parse().unwrap();
        assert_eq!(declared.field, "a:b");
        assert_eq!(declared.kind, Some(Kind::Integer));
        assert_eq!("a".parse::<Declared>().unwrap().kind, None);
        assert!("a:decimal".parse::<Declared>().is_err());
    }
}
