//! Rows of CSV and JSON as cells of columns (TAB-21).

use std::collections::BTreeMap;
use std::fmt;

use allod_sql::ScalarRef;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::columns::OutsideColumn;
use crate::csv::{self, Record};
use crate::error::{AdapterError, shown};
use crate::input::Input;
use crate::json::{Values, words};
use crate::kind::{Cell, Kind, boolean, integer, number, real};
use crate::source::Source;

/// How the bytes of a source are read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// CSV.
    Csv {
        /// What is between fields: an ASCII character.
        delimiter: u8,
        /// Whether the first record has the names of the columns.
        has_names: bool,
    },
    /// Objects of JSON: an array of them, or one behind the other.
    Json {
        /// Where in the document they are, as a JSON pointer.
        pointer: Option<String>,
    },
}

impl Format {
    /// What errors call an adapter of this format for a source.
    pub(crate) fn place(&self, source: &dyn Source) -> String {
        let word = match self {
            Self::Csv { .. } => "CSV",
            Self::Json { .. } => "JSON",
        };
        format!("{word} {}", source.place())
    }

    pub(crate) fn open(
        &self,
        source: &dyn Source,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Input, AdapterError> {
        let place = self.place(source);
        match source.open(should_stop) {
            Ok(reader) => Input::new(place, reader),
            Err(error) => Err(AdapterError::Source { place, error }),
        }
    }
}

/// The members of an object, in their order.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The row that a reader of values stands at.
pub(crate) fn members(values: &Values) -> Result<Members<'_>, AdapterError> {
    let format = |fault: String| AdapterError::Format {
        place: values.place().to_owned(),
        line: values.line,
        fault,
    };
    let members: Members<'_> =
        serde_json::from_slice(&values.value).map_err(|error| format(words(&error)))?;
    let mut names: Vec<&str> = members.0.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format(format!("two members are called {}", shown(pair[0])))),
        None => Ok(members),
    }
}

/// The names in the first record.
pub(crate) fn names(input: &mut Input, delimiter: u8) -> Result<Vec<String>, AdapterError> {
    let mut record = Record::default();
    if !csv::read(input, delimiter, &mut record)? {
        return Err(input.format_fault(1, "the names of the columns are missing"));
    }
    let names: Vec<String> = record.fields().map(|(name, _)| name.to_owned()).collect();
    for (at, name) in names.iter().enumerate() {
        if names.get(..at).unwrap_or_default().contains(name) {
            let fault = format!("two columns are called {}", shown(name));
            return Err(input.format_fault(record.line, fault));
        }
    }
    Ok(names)
}

/// A row: cells, and the text that they are parts of.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    pub(crate) fn get(&self, column: usize) -> ScalarRef<'_> {
        match self.cells.get(column) {
            None | Some(Cell::Null) => ScalarRef::Null,
            Some(Cell::Integer(number)) => ScalarRef::Integer(*number),
            Some(Cell::Real(number)) => ScalarRef::Real(*number),
            Some(Cell::Text(start, end)) => {
                ScalarRef::Text(self.text.get(*start..*end).unwrap_or_default())
            }
        }
    }
}

/// Reads rows.
pub(crate) struct Reading {
    columns: Vec<OutsideColumn>,
    from: From,
}

enum From {
    Csv {
        input: Input,
        delimiter: u8,
        record: Record,
        /// Which field each column is.
        places: Vec<usize>,
        /// How many fields a record has.
        fields: usize,
    },
    Json {
        values: Values,
        /// Which column each member is.
        places: BTreeMap<String, usize>,
    },
}

impl Reading {
    pub(crate) fn open(
        format: &Format,
        source: &dyn Source,
        columns: &[OutsideColumn],
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Self, AdapterError> {
        let mut input = format.open(source, should_stop)?;
        let from = match format {
            Format::Csv {
                delimiter,
                has_names,
            } => {
                let (places, fields) = if *has_names {
                    places(&mut input, *delimiter, columns)?
                } else {
                    ((0..columns.len()).collect(), columns.len())
                };
                From::Csv {
                    input,
                    delimiter: *delimiter,
                    record: Record::default(),
                    places,
                    fields,
                }
            }
            Format::Json { pointer } => From::Json {
                values: Values::new(input, pointer.as_deref())?,
                places: columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| (column.field().to_owned(), at))
                    .collect(),
            },
        };
        Ok(Self {
            columns: columns.to_vec(),
            from,
        })
    }

    /// Reads the next row; false behind the last.
    pub(crate) fn next(&mut self, row: &mut Row) -> Result<bool, AdapterError> {
        row.cells.clear();
        match &mut self.from {
            From::Csv {
                input,
                delimiter,
                record,
                places,
                fields,
            } => {
                // The text of the row is that of the record: it goes back and forth.
                std::mem::swap(&mut record.text, &mut row.text);
                if !csv::read(input, *delimiter, record)? {
                    return Ok(false);
                }
                if record.len() != *fields {
                    let fault = format!("{} fields, and not {fields}", record.len());
                    return Err(input.format_fault(record.line, fault));
                }
                for (column, place) in self.columns.iter().zip(places) {
                    let (start, end, is_quoted) = record.field(*place).unwrap_or_default();
                    let text = record.text.get(start..end).unwrap_or_default();
                    let cell = match (text.is_empty(), column.kind) {
                        (true, Kind::Text) if is_quoted => Some(Cell::Text(start, end)),
                        (true, _) => Some(Cell::Null),
                        (false, kind) => of_field(text, kind).map(|cell| match cell {
                            Cell::Text(..) => Cell::Text(start, end),
                            cell => cell,
                        }),
                    };
                    let place = input.place();
                    let cell = cell.ok_or_else(|| misfit(place, record.line, column, text))?;
                    row.cells.push(cell);
                }
                std::mem::swap(&mut record.text, &mut row.text);
            }
            From::Json { values, places } => {
                if !values.next()? {
                    return Ok(false);
                }
                row.text.clear();
                row.cells.resize(self.columns.len(), Cell::Null);
                for (name, raw) in members(values)?.0 {
                    let Some(at) = places.get(&name) else {
                        continue;
                    };
                    let Some(column) = self.columns.get(*at) else {
                        continue;
                    };
                    let cell = of_json(raw.get(), column.kind, &mut row.text);
                    let cell =
                        cell.ok_or_else(|| misfit(values.place(), values.line, column, raw.get()))?;
                    if let Some(place) = row.cells.get_mut(*at) {
                        *place = cell;
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Which field each column is, by the names in the first record, and how many there are.
fn places(
    input: &mut Input,
    delimiter: u8,
    columns: &[OutsideColumn],
) -> Result<(Vec<usize>, usize), AdapterError> {
    let names = names(input, delimiter)?;
    let place = |column: &OutsideColumn| {
        let found = names.iter().position(|name| name == column.field());
        found.ok_or_else(|| {
            let fault = format!("the column {} is missing", shown(column.field()));
            input.format_fault(1, fault)
        })
    };
    let places = columns.iter().map(place).collect::<Result<_, _>>()?;
    Ok((places, names.len()))
}

fn misfit(place: &str, line: u64, column: &OutsideColumn, value: &str) -> AdapterError {
    AdapterError::Value {
        place: place.to_owned(),
        line,
        column: column.name.clone(),
        value: shown(value),
        kind: column.kind,
    }
}

/// A field that is not empty. Where it is a text is not said.
fn of_field(text: &str, kind: Kind) -> Option<Cell> {
    const SOMEWHERE: Cell = Cell::Text(0, 0);
    match kind {
        Kind::Boolean => boolean(text).map(|it| Cell::Integer(i64::from(it))),
        Kind::Integer => integer(text).map(Cell::Integer),
        Kind::Number => number(text),
        Kind::Real => real(text).map(Cell::Real),
        Kind::Text => Some(SOMEWHERE),
        Kind::Json => serde_json::from_str::<&RawValue>(text)
            .is_ok()
            .then_some(SOMEWHERE),
        Kind::Bytes => None,
    }
}

/// A value of JSON. Its text goes behind that of the row.
fn of_json(raw: &str, kind: Kind, text: &mut String) -> Option<Cell> {
    let start = text.len();
    if raw == "null" {
        return Some(Cell::Null);
    }
    match kind {
        Kind::Boolean => match raw {
            "true" => Some(Cell::Integer(1)),
            "false" => Some(Cell::Integer(0)),
            _ => None,
        },
        Kind::Integer => integer(raw).map(Cell::Integer),
        Kind::Number => number(raw),
        Kind::Real => real(raw).map(Cell::Real),
        Kind::Text => {
            let value: String = serde_json::from_str(raw).ok()?;
            text.push_str(&value);
            Some(Cell::Text(start, text.len()))
        }
        Kind::Json => {
            text.push_str(raw);
            Some(Cell::Text(start, text.len()))
        }
        Kind::Bytes => None,
    }
}
