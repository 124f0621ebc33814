//! Migrations: the records of a type, rewritten one by one (TYPE-10).

use bytes::Bytes;
use multibase::Base;

use crate::expr::{EvalError, Expr};
use crate::record::{Malformed, Record, fields_of};
use crate::rfc3339::format_timestamp;
use crate::types::Type;
use crate::value::Value;

/// What is done to each record.
#[derive(Clone, Debug, Default)]
pub struct Migration {
    /// Fields that get the value of an expression over the record as it was; null takes a field away.
    pub set: Vec<(String, Expr)>,
    /// Fields that go.
    pub unset: Vec<String>,
    /// Which records; all without.
    pub filter: Option<Expr>,
}

/// Why a record could not be migrated. Blame: the migration, or the record's author.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MigrationError {
    /// The record cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A float is infinite, which JSON does not have.
    #[error("{0}: an infinite number")]
    Infinite(String),
    /// A field cannot be computed.
    #[error("{field}: {source}")]
    Computed {
        /// The field.
        field: String,
        /// Why not.
        source: EvalError,
    },
}

impl Migration {
    /// The record as it is after the migration; none if it is not one of those, or stays as it is. Fields
    /// keep their places and, if they stay, their spelling.
    pub fn apply(
        &self,
        bytes: &[u8],
        kind: Option<&Type>,
    ) -> Result<Option<Bytes>, MigrationError> {
        let record = Record::parse(bytes, kind)?;
        if let Some(filter) = &self.filter
            && !matches!(filter.holds(&record), Ok(Some(true)))
        {
            return Ok(None);
        }
        let mut fields: Vec<(String, String)> = fields_of(bytes)?
            .into_iter()
            .map(|(name, raw)| (name, raw.get().to_owned()))
            .collect();
        let before = fields.clone();
        fields.retain(|(name, _)| !self.unset.contains(name));
        for (name, expr) in &self.set {
            let value = expr
                .eval(&record)
                .map_err(|source| MigrationError::Computed {
                    field: name.clone(),
                    source,
                })?;
            let place = fields.iter().position(|(known, _)| known == name);
            let infinite = || MigrationError::Infinite(name.clone());
            if matches!(value, Value::Float(float) if !float.get().is_finite()) {
                return Err(infinite());
            }
            match (json(&value), place) {
                (None, Some(place)) => drop(fields.remove(place)),
                (None, None) => {}
                (Some(json), Some(place)) => fields[place].1 = json,
                (Some(json), None) => fields.push((name.clone(), json)),
            }
        }
        Ok((fields != before).then(|| object_of(&fields)))
    }
}

/// An object of JSON with these fields, whose values are JSON.
#[must_use]
pub fn object_of(fields: &[(String, String)]) -> Bytes {
    let mut out = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&quoted(name));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out.into()
}

fn quoted(text: &str) -> String {
    // A text always has JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// The JSON of a value; none for null.
fn json(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Float(float) => format!("{:?}", float.get()),
        Value::Timestamp(micros) => quoted(&format_timestamp(*micros)),
        Value::Text(text) => quoted(text),
        Value::Bytes(bytes) => quoted(&Base::Base64Pad.encode(bytes)),
    })
}
