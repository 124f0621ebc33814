//! Which tables there are, and what is in them.

use allod_sql::{At, Catalog, Column};
use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cli::io::Io;

/// Lists the tables with their columns, and the functions that give tables.
pub(crate) fn tables(catalog: &dyn Catalog, io: &mut Io<'_>) -> Result<()> {
    for name in catalog.names() {
        let table = match catalog.table(&name, &At::default()) {
            Ok(Some(table)) => table,
            Ok(None) => continue,
            // One that cannot be opened keeps the others from nobody.
            Err(error) => {
                let value = json!({ "table": name, "error": error.to_string() });
                io.data(&value, || format!("{name}  cannot be read: {error}"))?;
                continue;
            }
        };
        let columns = table.columns();
        let values: Vec<Value> = columns.iter().map(value).collect();
        io.data(&json!({ "table": name, "columns": values }), || {
            let shown = columns.iter().filter(|column| !column.hidden);
            let names: Vec<&str> = shown.map(|column| column.name.as_str()).collect();
            format!("{name}  {}", names.join(" "))
        })?;
    }
    for name in catalog.functions() {
        io.data(&json!({ "function": name }), || format!("{name}(...)"))?;
    }
    Ok(())
}

/// Lists the columns of a table.
pub(crate) fn columns(catalog: &dyn Catalog, name: &str, io: &mut Io<'_>) -> Result<()> {
    let Some(table) = catalog.table(name, &At::default())? else {
        bail!("no table {name:?}; `allod sql --tables` lists them");
    };
    let columns = table.columns();
    let width = columns
        .iter()
        .map(|column| column.name.chars().count())
        .max();
    for column in columns {
        io.data(&value(column), || {
            let (name, kind, width) = (&column.name, kind(column), width.unwrap_or(0));
            let hidden = if column.hidden { "  hidden" } else { "" };
            format!("{name:width$}  {kind}{hidden}")
        })?;
    }
    Ok(())
}

fn value(column: &Column) -> Value {
    json!({ "column": column.name, "type": kind(column), "hidden": column.hidden })
}

fn kind(column: &Column) -> String {
    format!("{:?}", column.kind).to_uppercase()
}
