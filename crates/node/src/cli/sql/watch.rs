//! `sql --watch`: what changes in the result of a statement.

use allod::one_commit;
use allod::shown::scalar_value;
use std::sync::Arc;
use std::time::Duration;

use allod::{
    Node, NodeError, QueryWatch, ResultChange, ShouldStop, WatchError, WatchStep, WatchedQuery,
};
use allod_repo::{CommitId, Heads, Repo};
use allod_sql::Scalar;
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::cli::io::Io;
use crate::cli::sql::fault::told;
use crate::cli::sql::format::distinct;
use crate::cli::sql::script::Piece;
use crate::cli::sql::table;
use crate::cli::sql_args::SqlArgs;

/// How often it is looked where the space stands, and whether anybody still reads.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn watch(
    node: &Node,
    repo: &Repo,
    (options, parameters): (&SqlArgs, Vec<Scalar>),
    io: &mut Io<'_>,
) -> Result<()> {
    if io.net.is_none() && !options.changes.once {
        bail!("nothing changes while no node runs; start one with `allod up`, or use --once");
    }
    let piece = Piece {
        sql: options.statement.clone().unwrap_or_default(),
        line: 1,
    };
    let json = io.json;
    let fault = |error: WatchError| match error {
        WatchError::Sql(error) => told(&error, &piece, json),
        error => error.into(),
    };
    let from = options.changes.from.iter();
    let from: Heads = from
        .map(|from| one_commit(repo, from))
        .collect::<Result<_, _>>()?;
    let from = (!from.is_empty()).then_some(from);
    let stop = io.stop.clone();
    let should_stop: ShouldStop =
        Arc::new(move || stop.as_ref().is_some_and(|stop| *stop.borrow()));
    let query = query(options, parameters);
    let mut watch = match node.watch_query(repo, query, from, should_stop) {
        Ok(watch) => watch,
        Err(NodeError::Watch(error)) => return Err(fault(error)),
        Err(error) => return Err(error.into()),
    };
    let names = distinct(watch.columns());
    if !options.changes.once {
        begin(&watch, &piece.sql, &names, io)?;
    }
    loop {
        while let Some(step) = watch.next(&node.position(repo)?).map_err(fault)? {
            tell(&step, &names, io)?;
            // Fails once nobody reads any more.
            io.out.flush()?;
        }
        if options.changes.once || io.is_stopping() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        io.out.flush()?;
    }
}

fn query(options: &SqlArgs, parameters: Vec<Scalar>) -> WatchedQuery {
    let mut query = WatchedQuery::new(options.statement.as_deref().unwrap_or_default());
    query.parameters = parameters;
    query.key.clone_from(&options.changes.key);
    if let Some(time_ms) = options.timeout {
        query.limits.time_ms = time_ms;
    }
    if let Some(rows) = options.max_rows {
        query.limits.rows = rows;
    }
    query
}

/// Says that it watches, and from where.
fn begin(watch: &QueryWatch, sql: &str, names: &[String], io: &mut Io<'_>) -> Result<()> {
    if io.json {
        let mut value = json!({ "watching": sql, "columns": names });
        place(&mut value, watch.at());
        io.line(value.to_string())?;
    } else {
        let short = watch.at().iter().map(CommitId::short);
        let from = short.collect::<Vec<_>>().join(", ");
        io.say(format!("watching from {from}"))?;
    }
    Ok(io.out.flush()?)
}

/// The commit of a state, or the heads that have none together.
fn place(value: &mut Value, heads: &Heads) {
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    if let [commit] = &heads[..] {
        value["commit"] = json!(commit);
    }
    value["heads"] = json!(heads);
}

fn tell(step: &WatchStep, names: &[String], io: &mut Io<'_>) -> Result<()> {
    if step.changes.is_empty() {
        return Ok(());
    }
    for change in &step.changes {
        let (word, row, was, count) = match change {
            ResultChange::Added { row, count } => ("added", row, None, *count),
            ResultChange::Removed { row, count } => ("removed", row, None, *count),
            ResultChange::Modified { before, after } => ("modified", after, Some(before), 1),
        };
        let mut value = json!({ "change": word, "row": object(names, row) });
        match was {
            Some(was) => value["was"] = object(names, was),
            None => value["count"] = json!(count),
        }
        io.data(&value, || {
            let sign = match word {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            let times = match count {
                1 => String::new(),
                _ => format!("{count} times  "),
            };
            let was = was.map_or(String::new(), |was| format!("  was {}", text(names, was)));
            format!("{sign} {times}{}{was}", text(names, row))
        })?;
    }
    // What is a whole step, and where a watch goes on behind it (TAB-17).
    if io.json {
        let branch = step.branch.as_ref().map(ToString::to_string);
        let mut end = json!({ "change": "end", "branch": branch, "changes": step.changes.len() });
        place(&mut end, &step.heads);
        io.line(end.to_string())?;
    }
    Ok(())
}

fn object(names: &[String], row: &[Scalar]) -> Value {
    let values = names.iter().cloned().zip(row.iter().map(scalar_value));
    Value::Object(values.collect::<Map<_, _>>())
}

fn text(names: &[String], row: &[Scalar]) -> String {
    let values = names.iter().zip(row);
    let values = values.map(|(name, value)| format!("{name}={}", table::text(value)));
    values.collect::<Vec<_>>().join("  ")
}
