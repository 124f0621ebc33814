//! Finds the columns of a source by reading all of it once (TAB-21).

use std::collections::BTreeMap;

use crate::columns::{Declared, OutsideColumn, Seen, check_name, named};
use crate::csv::{self, Record};
use crate::error::{AdapterError, SourceError, shown};
use crate::input::Input;
use crate::json::Values;
use crate::kind::Kind;
use crate::limits::{COLUMNS_MAX, LOOK_ROWS};
use crate::reading::{Format, Reading, Row, members, names};
use crate::source::Source;

/// What there is in a source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The columns.
    pub columns: Vec<OutsideColumn>,
    /// How many rows there are now.
    pub rows: u64,
    /// Columns that are left out, as no kind is what they have; each with why.
    pub left_out: Vec<String>,
}

/// Finds the columns of a source, and sees that each of its values fits.
///
/// A column has the kind of all its values, as said in TAB-21, unless it is declared. The source is read
/// twice, and no more of it than a row is kept.
pub fn find(
    format: &Format,
    source: &dyn Source,
    declared: &[Declared],
    should_stop: &dyn Fn() -> bool,
) -> Result<Found, AdapterError> {
    for column in declared {
        check_name(&column.field)?;
        if column.kind == Some(Kind::Bytes) {
            let text = format!("{}: this format has no bytes", column.field);
            return Err(AdapterError::Definition(text));
        }
    }
    let input = format.open(source, should_stop)?;
    let mut looking = Looking {
        place: format.place(source),
        rows: 0,
        should_stop,
    };
    let columns = match format {
        Format::Csv {
            delimiter,
            has_names,
        } => of_csv(input, (*delimiter, *has_names), declared, &mut looking)?,
        Format::Json { pointer } => {
            let values = Values::new(input, pointer.as_deref())?;
            of_json(values, declared, &mut looking)?
        }
    };
    let mut reading = Reading::open(format, source, &columns, should_stop)?;
    let mut row = Row::default();
    looking.rows = 0;
    while reading.next(&mut row)? {
        looking.look()?;
    }
    Ok(Found {
        columns,
        rows: looking.rows,
        left_out: Vec::new(),
    })
}

/// Counts rows, and looks now and then whether it has to end.
struct Looking<'a> {
    place: String,
    rows: u64,
    should_stop: &'a dyn Fn() -> bool,
}

impl Looking<'_> {
    fn look(&mut self) -> Result<(), AdapterError> {
        self.rows += 1;
        if self.rows.is_multiple_of(LOOK_ROWS) && (self.should_stop)() {
            return Err(AdapterError::Source {
                place: self.place.clone(),
                error: SourceError::Stopped,
            });
        }
        Ok(())
    }
}

fn of_csv(
    mut input: Input,
    (delimiter, has_names): (u8, bool),
    declared: &[Declared],
    looking: &mut Looking<'_>,
) -> Result<Vec<OutsideColumn>, AdapterError> {
    if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\r' | b'\n') {
        let text = "the delimiter is an ASCII character, and no quote or end of a line";
        return Err(AdapterError::Definition(text.to_owned()));
    }
    let mut fields = if has_names {
        names(&mut input, delimiter)?
    } else {
        Vec::new()
    };
    let (mut record, mut seen) = (Record::default(), Vec::new());
    while csv::read(&mut input, delimiter, &mut record)? {
        looking.look()?;
        if looking.rows == 1 && !has_names {
            fields = (0..record.len())
                .map(|at| match declared.get(at) {
                    Some(column) => column.field.clone(),
                    None => format!("c{}", at + 1),
                })
                .collect();
        }
        if record.len() != fields.len() {
            let fault = format!("{} fields, and not {}", record.len(), fields.len());
            return Err(input.format_fault(record.line, fault));
        }
        seen.resize(fields.len(), Seen::default());
        for (seen, (text, _)) in seen.iter_mut().zip(record.fields()) {
            seen.note_field(text);
        }
    }
    if let Some(unknown) = declared.iter().find(|it| !fields.contains(&it.field)) {
        let fault = format!("the column {} is missing", shown(&unknown.field));
        return Err(input.format_fault(1, fault));
    }
    seen.resize(fields.len(), Seen::default());
    let kinds = fields.iter().zip(seen).map(|(field, seen)| {
        let declared = declared.iter().find(|it| it.field == *field);
        let declared = declared.and_then(|it| it.kind);
        (field.clone(), declared.unwrap_or(seen.kind(Kind::Text)))
    });
    named(kinds.collect())
}

fn of_json(
    mut values: Values,
    declared: &[Declared],
    looking: &mut Looking<'_>,
) -> Result<Vec<OutsideColumn>, AdapterError> {
    let (mut fields, mut seen) = (Vec::new(), Vec::new());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    while values.next()? {
        looking.look()?;
        for (name, value) in members(&values)?.0 {
            let at = match places.get(&name) {
                Some(at) => *at,
                None if fields.len() == COLUMNS_MAX => {
                    return Err(AdapterError::Limit {
                        place: values.place().to_owned(),
                        line: values.line,
                        what: "too many columns",
                        most: COLUMNS_MAX,
                    });
                }
                None => {
                    places.insert(name.clone(), fields.len());
                    fields.push(name);
                    seen.push(Seen::default());
                    fields.len() - 1
                }
            };
            if let Some(seen) = seen.get_mut(at) {
                seen.note_json(value.get());
            }
        }
    }
    let kind = |field: &String| {
        let declared = declared.iter().find(|it| it.field == *field);
        declared.and_then(|it| it.kind)
    };
    let mut all: Vec<(String, Kind)> = fields
        .into_iter()
        .zip(seen)
        .map(|(field, seen)| {
            let kind = kind(&field).unwrap_or(seen.kind(Kind::Json));
            (field, kind)
        })
        .collect();
    for column in declared {
        if !places.contains_key(&column.field) {
            all.push((column.field.clone(), column.kind.unwrap_or(Kind::Json)));
        }
    }
    named(all)
}
