//! `table`: outside data as tables of SQL.

use std::path::Path;

use allod::{Node, NodeCatalog, Outside, OutsideDefinition, Registered};
use allod_adapters::Found;
use allod_repo::Repo;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::io::{Io, count};
use crate::cli::table_args::{AddTable, TableArgs, TableCommand};

pub(crate) fn table(
    node: &Node,
    space: Option<&str>,
    options: &TableArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match &options.command {
        None | Some(TableCommand::List) => list(node, &repo, io),
        Some(TableCommand::Add(options)) => {
            let from = outside(node, options, io)?;
            let stop = io.stop.clone();
            let should_stop = || stop.as_ref().is_some_and(|stop| *stop.borrow());
            let from = (from, &options.column[..]);
            let (definition, found) =
                node.add_outside_table(&repo, &options.name, from, &should_stop)?;
            told(&options.name, &definition, &found, io)
        }
        Some(TableCommand::Show { name }) => show(node, &repo, name, io),
        Some(TableCommand::Refresh { name }) => {
            let stop = io.stop.clone();
            let should_stop = || stop.as_ref().is_some_and(|stop| *stop.borrow());
            let (definition, found) = node.refresh_outside_table(&repo, name, &should_stop)?;
            told(name, &definition, &found, io)
        }
        Some(TableCommand::Remove { name }) => {
            node.remove_outside_table(&repo, name)?;
            io.data(&json!({ "removed": name }), || {
                format!("{name} is no table of outside data any more")
            })
        }
    }
}

/// Where rows are, as the options say.
fn outside(node: &Node, options: &AddTable, io: &Io<'_>) -> Result<Outside> {
    let file = |path: &Path| -> Result<String> {
        let path = io.path(path);
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("{}: the path is no text", path.display()))
    };
    let at = options.at.clone();
    if let Some(at) = &at
        && !(at.is_empty() || at.starts_with('/'))
    {
        let text = format!("{at:?} is no JSON pointer, which begins with /");
        return Err(Usage(text).into());
    }
    let is_csv = options.csv.is_some();
    let is_json = options.json_file.is_some() || options.url.is_some();
    for (is_there, is_fit, what) in [
        (options.no_header, is_csv, "--no-header is for --csv"),
        (options.delimiter != ',', is_csv, "--delimiter is for --csv"),
        (at.is_some(), is_json, "--at is for --json-file and --url"),
    ] {
        if is_there && !is_fit {
            return Err(Usage(what.to_owned()).into());
        }
    }
    Ok(match options {
        AddTable {
            csv: Some(path), ..
        } => Outside::Csv {
            file: file(path)?,
            delimiter: options.delimiter,
            names: !options.no_header,
        },
        AddTable {
            json_file: Some(path),
            ..
        } => Outside::Json {
            file: file(path)?,
            at,
        },
        AddTable { url: Some(url), .. } => Outside::Url {
            url: url.clone(),
            at,
        },
        AddTable {
            parquet: Some(path),
            ..
        } => Outside::Parquet { file: file(path)? },
        AddTable {
            from_space, kind, ..
        } => Outside::Space {
            // By its id: the name may be another's tomorrow.
            space: node.space(from_space.as_deref())?.id().to_string(),
            table: kind.clone().unwrap_or_default(),
        },
    })
}

/// What a table is of, in words.
fn place(node: &Node, from: &Outside) -> String {
    match from {
        Outside::Csv { file, .. } | Outside::Json { file, .. } | Outside::Parquet { file } => {
            file.clone()
        }
        Outside::Url { url, .. } => url.clone(),
        Outside::Space { space, table } => {
            let spaces = node.spaces().unwrap_or_default().into_iter();
            let mut named = spaces.filter(|(_, id)| id.to_string() == *space);
            let name = named.next().map_or_else(|| space.clone(), |(name, _)| name);
            format!("{table} of {name}")
        }
        _ => from.adapter().to_owned(),
    }
}

fn value(name: &str, definition: &OutsideDefinition) -> Value {
    let columns: Vec<Value> = definition
        .columns
        .iter()
        .map(|column| json!({ "column": column.name, "field": column.field(), "kind": column.kind.name() }))
        .collect();
    json!({
        "table": name,
        "from": definition.from,
        "declared": definition.declared,
        "columns": columns,
    })
}

/// Tells what was registered.
fn told(name: &str, definition: &OutsideDefinition, found: &Found, io: &mut Io<'_>) -> Result<()> {
    let mut all = value(name, definition);
    let is_counted = !matches!(definition.from, Outside::Space { .. });
    all["rows"] = is_counted.then_some(found.rows).into();
    all["left_out"] = found.left_out.clone().into();
    io.data(&all, || {
        let kinds: Vec<String> = definition.columns.iter().map(shown).collect();
        format!("{name}  {}", kinds.join(" "))
    })?;
    for column in &found.left_out {
        io.say(format!("left out: {column}"))?;
    }
    if is_counted {
        let rows = if found.rows == 1 { "row" } else { "rows" };
        io.say(format!("{} {rows}", count(found.rows)))?;
    }
    Ok(())
}

fn shown(column: &allod_adapters::OutsideColumn) -> String {
    format!("{}:{}", column.name, column.kind)
}

fn list(node: &Node, repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let catalog = catalog(node, repo)?;
    for Registered { name, definition } in node.outside_tables(repo)? {
        let hides = catalog.hides(&name);
        match definition {
            Ok(definition) => {
                let from = &definition.from;
                let value = json!({
                    "table": name, "from": from, "columns": definition.columns.len(), "hides": hides,
                });
                io.data(&value, || {
                    let also = if hides {
                        "  hides a table of the space"
                    } else {
                        ""
                    };
                    format!("{name}  {}  {}{also}", from.adapter(), place(node, from))
                })?;
            }
            Err(why) => {
                let value = json!({ "table": name, "error": why, "hides": hides });
                io.data(&value, || format!("{name}  cannot be read: {why}"))?;
            }
        }
    }
    Ok(())
}

fn catalog(node: &Node, repo: &Repo) -> Result<NodeCatalog> {
    Ok(node.catalog(repo, node.position(repo)?.into())?)
}

fn show(node: &Node, repo: &Repo, name: &str, io: &mut Io<'_>) -> Result<()> {
    let registered = node.outside_table(repo, name)?;
    let definition = registered.definition.map_err(anyhow::Error::msg)?;
    if io.json {
        let mut all = value(&registered.name, &definition);
        all["hides"] = catalog(node, repo)?.hides(name).into();
        return io.line(all.to_string());
    }
    let from = &definition.from;
    io.line(format!("{}  {}", from.adapter(), place(node, from)))?;
    match from {
        Outside::Csv {
            delimiter, names, ..
        } => {
            let header = if *names { "names" } else { "no names" };
            io.line(format!(
                "delimiter {delimiter:?}, {header} in the first record"
            ))?;
        }
        Outside::Json { at: Some(at), .. } | Outside::Url { at: Some(at), .. } => {
            io.line(format!("at {at}"))?;
        }
        _ => {}
    }
    for column in &definition.columns {
        let field = column.field.as_ref();
        let field = field.map_or_else(String::new, |field| format!("  (there {field:?})"));
        io.line(format!("  {}  {}{field}", column.name, column.kind))?;
    }
    Ok(())
}
