//! Whether a record is what its type says (TYPE-7), but for uniqueness.

use std::fmt;

use crate::entries::RECORD_KEY_BYTES_MAX;
use crate::expr::Expr;
use crate::record::{Datum, Record};
use crate::types::{Received, Type};

/// What is wrong with one record (`E_RECORD`). Blame: its author.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRecord {
    /// Its key, as text.
    pub key: String,
    /// What is wrong, field by field.
    pub faults: Vec<Fault>,
}

/// What is wrong with a field, or with the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The field, unless it is the record.
    pub field: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl BadRecord {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_RECORD";
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { field, what }) in self.faults.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{}", self.key)?;
            match field {
                Some(field) => write!(f, ", field {field:?}: {what}")?,
                None => write!(f, ": {what}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for BadRecord {}

/// Whether a record can have this key (TYPE-5).
#[must_use]
pub fn is_record_key(key: &[u8]) -> bool {
    key.len() <= RECORD_KEY_BYTES_MAX && std::str::from_utf8(key).is_ok()
}

impl Type {
    /// Checks a record of this type; tells of all that is wrong with it.
    pub fn check_record(&self, key: &[u8], bytes: &[u8]) -> Result<(), BadRecord> {
        let mut faults = Vec::new();
        if !is_record_key(key) {
            faults.push(Fault {
                field: None,
                what: format!(
                    "the key of a record is a text of at most {RECORD_KEY_BYTES_MAX} bytes"
                ),
            });
        }
        match Record::parse(bytes, Some(self)) {
            Ok(record) => self.check_fields(&record, &mut faults),
            Err(malformed) => faults.push(Fault {
                field: None,
                what: malformed.to_string(),
            }),
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(BadRecord {
            key: String::from_utf8_lossy(key).into_owned(),
            faults,
        })
    }

    /// Whether a record is left out of projections and tables, because it is not what it should be
    /// (TYPE-8).
    pub(crate) fn leaves_out(&self, record: &Record<'_>) -> bool {
        if self.definition().received != Received::Quarantine {
            return false;
        }
        let mut faults = Vec::new();
        self.check_fields(record, &mut faults);
        !faults.is_empty()
    }

    fn check_fields(&self, record: &Record<'_>, faults: &mut Vec<Fault>) {
        let mut add = |field: Option<&str>, what: String| {
            let field = field.map(str::to_owned);
            faults.push(Fault { field, what });
        };
        for (place, field) in self.fields().iter().enumerate() {
            let name = Some(field.name.as_str());
            match record.read(place, field) {
                Err(error) => add(name, error.to_string()),
                Ok(datum) if field.required && datum == Datum::default() => {
                    add(name, format!("expected {}, found nothing", field.kind));
                }
                Ok(_) => {}
            }
            if let Some(check) = &field.check
                && let Some(what) = broken(check, record)
            {
                add(name, what);
            }
        }
        if self.definition().closed {
            let is_known = |name: &str| self.fields().iter().any(|field| field.is_called(name));
            for name in record.names().filter(|name| !is_known(name)) {
                add(Some(name), "the type has no such field".to_owned());
            }
        }
        if let Some(check) = self.check()
            && let Some(what) = broken(check, record)
        {
            add(None, what);
        }
    }
}

/// What is wrong if a check is false, or cannot be computed.
fn broken(check: &Expr, record: &Record<'_>) -> Option<String> {
    match check.holds(record) {
        Ok(Some(false)) => Some(format!("expected {check}")),
        Ok(_) => None,
        Err(error) => Some(format!("the check {check} cannot be computed: {error}")),
    }
}
