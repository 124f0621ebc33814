//! A statement as the engine gets it: with every table bound to its state.

use std::sync::Arc;

use crate::bound::{Bound, quoted};
use crate::error::SqlError;
use crate::outline::{Outline, Source, Wanted};
use crate::totals::Shape;

/// A statement for the engine.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    pub(crate) sql: String,
    /// The tables that it names.
    pub(crate) tables: Vec<Arc<Bound>>,
    /// The names that it has for tables, and where.
    pub(crate) names: Vec<(String, usize)>,
    /// What it wants of its table, if that can give it without the engine.
    pub(crate) totals: Option<Shape>,
    parts: Vec<Part>,
}

/// Where a part of the translation comes from.
#[derive(Debug)]
struct Part {
    to: usize,
    from: usize,
    /// Its bytes are those that were given.
    is_same: bool,
}

impl Translated {
    /// Puts the names of tables in, which `bind` gives for what is not the engine's own affair.
    pub(crate) fn new(
        sql: &str,
        outline: &Outline,
        mut bind: impl FnMut(&Source) -> Result<Option<(String, Arc<Bound>)>, SqlError>,
    ) -> Result<Self, SqlError> {
        let mut translated = Self::default();
        let mut at = 0;
        for source in outline.sources() {
            let (Wanted::Table { name, .. }
            | Wanted::Diff { name, .. }
            | Wanted::Function { name, .. }) = &source.wanted;
            translated.names.push((name.clone(), source.span.start));
            let Some((bound_name, table)) = bind(source)? else {
                continue;
            };
            translated.tables.push(table);
            if matches!(&source.wanted, Wanted::Table { at, .. } if at.is_own()) {
                // The engine has it under the very name.
                continue;
            }
            translated.push(&sql[at..source.span.start], at, true);
            let alias = source.alias.as_deref().map(quoted);
            let alias = alias.map_or_else(String::new, |alias| format!(" AS {alias}"));
            let text = format!("{}{}{alias}", source.before, quoted(&bound_name));
            translated.push(&text, source.span.start, false);
            at = source.span.end;
        }
        if let [table] = &translated.tables[..] {
            translated.totals = Shape::read(sql, outline, table)
                .filter(|shape| table.table.totals_plan(&shape.totals).is_some());
        }
        let rest = sql.get(at..outline.end).unwrap_or_default();
        translated.push(rest, at, true);
        Ok(translated)
    }

    fn push(&mut self, text: &str, from: usize, is_same: bool) {
        let to = self.sql.len();
        self.parts.push(Part { to, from, is_same });
        self.sql.push_str(text);
    }

    /// Where in the statement as it was given something is.
    pub(crate) fn offset(&self, to: usize) -> usize {
        let behind = self.parts.partition_point(|part| part.to <= to);
        match behind.checked_sub(1).and_then(|at| self.parts.get(at)) {
            Some(part) if part.is_same => part.from + (to - part.to),
            Some(part) => part.from,
            None => 0,
        }
    }
}
