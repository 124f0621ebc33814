//! `projection`: what is kept in an order, counted, joined and searched.

use allod::shown::hex;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use allod::{Course, FetchStep, Fetched, Node, NodeError, Position};
use allod_identity::DeviceId;
use allod_repo::{Heads, Repo};
use allod_views::{
    Checked, Compared, FieldKind, Name, OnStale, Page, Projected, Projection, ProjectionDefinition,
    Row, RowChange, ShapeDefinition, Snapshot, Value, ViewError, Views, create_projection,
    format_timestamp, parse_timestamp,
};
use anyhow::{Result, bail};
use serde_json::{Map, Value as Json, json};

use crate::cli::io::{Io, count};
use crate::cli::shapes::shape;
use crate::cli::space::say_part;
use crate::cli::types::{parse_name, snapshot};
use crate::cli::view_args::{
    CreateProjection, FetchProjection, ProjectionCommand, QueryProjection, WatchProjection,
};
use crate::cli::{Usage, with_net};

/// Rows that one step of a watch tells of at most; more are a reason to read the projection anew.
const CHANGES_MAX: usize = 100_000;

pub(crate) fn projections(
    node: &Node,
    space: Option<&str>,
    command: &ProjectionCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let views = node.views(&repo)?;
    match command {
        ProjectionCommand::Create(options) => create(node, &repo, options, io),
        ProjectionCommand::List => list(node, &repo, &views, io),
        ProjectionCommand::Status { name } => {
            let name = name.as_deref().map(parse_name).transpose()?;
            status(&views, name.as_ref(), io)
        }
        ProjectionCommand::Rebuild { name } => rebuild(&views, &parse_name(name)?, io),
        ProjectionCommand::Check { name } => {
            let name = name.as_deref().map(parse_name).transpose()?;
            check(&snapshot(node, &repo, &views, None)?, name.as_ref(), io)
        }
        ProjectionCommand::Cancel { name } => {
            let name = parse_name(name)?;
            views.wait(&name, true)?;
            node.touch();
            io.say(format!(
                "{name} is computed when it is asked for, until `allod projection resume {name}`"
            ))
        }
        ProjectionCommand::Pause => {
            views.wait_all(true)?;
            node.touch();
            io.say(
                "projections are computed when they are asked for, until `allod projection resume`",
            )
        }
        ProjectionCommand::Resume { name } => {
            match name {
                Some(name) => views.wait(&parse_name(name)?, false)?,
                None => views.wait_all(false)?,
            }
            node.touch();
            Ok(())
        }
        ProjectionCommand::Drop { name } => {
            let name = parse_name(name)?;
            let made = views.drop_projection(&name, (node.author()?, allod::now_ms()))?;
            node.touch();
            let value = json!({ "dropped": name.as_str(), "meta": made.to_string() });
            io.data(&value, || format!("{name} is no projection any more"))
        }
        ProjectionCommand::Fetch(options) => fetch(node, &repo, &views, options, io),
        ProjectionCommand::Query(options) => query(node, &repo, &views, options, io),
        ProjectionCommand::Watch(options) => watch(node, &repo, &views, options, io),
    }
}

/// Asks peers for a projection, one after the other until one has it.
fn fetch(
    node: &Node,
    repo: &Repo,
    views: &Views,
    options: &FetchProjection,
    io: &mut Io<'_>,
) -> Result<()> {
    let name = parse_name(&options.name)?;
    let peers = node.find_peers(repo, options.from.as_deref())?;
    let snapshot = snapshot(node, repo, views, options.at.as_deref())?;
    snapshot.may_be_fetched(&name)?;
    if snapshot.is_whole(&name)? {
        let value = json!({ "projection": name.as_str(), "fetched": false });
        return io.data(&value, || format!("{name} is here already"));
    }
    if peers.is_empty() {
        return Err(NodeError::NoPeer.into());
    }
    with_net(node, io, |io, net| {
        let mut last = None;
        for (device, peer) in &peers {
            let fetched = {
                let stop = io.stop.clone();
                let is_stopping = || stop.as_ref().is_some_and(|stop| *stop.borrow());
                let mut progress = io.progress("fetching");
                let on = &mut |step, done| {
                    progress.of(match step {
                        FetchStep::Nodes => "fetching nodes",
                        FetchStep::Comparing => "comparing entries and records",
                    });
                    progress.at(done, 0);
                    if is_stopping() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                let net = (&net.endpoint, &net.handle);
                node.fetch_projection(net, (&snapshot, &name), (*device, peer), options.sample, on)
            };
            match fetched {
                Ok(Fetched::Here(nodes, compared)) => {
                    node.touch();
                    return tell_fetched(&name, *device, (nodes, compared), io);
                }
                Ok(Fetched::NotThere) => io.say(format!("{device}  does not keep it"))?,
                Err(error) if is_own(&error) => return Err(error.into()),
                Err(error) => {
                    io.say(format!("{device}  {error}"))?;
                    last = Some(error);
                }
            }
        }
        match last {
            None => bail!(
                "no peer keeps {name} for this state; `allod projection query` computes it here"
            ),
            Some(error) => Err(anyhow::Error::new(error).context(format!(
                "{name} could not be had of any peer; `allod projection query` computes it here"
            ))),
        }
    })
}

/// Whether no other peer can do anything about an error.
fn is_own(error: &NodeError) -> bool {
    match error {
        NodeError::Repo(_) | NodeError::Random(_) => true,
        NodeError::View(error) => !matches!(
            error,
            ViewError::Untrue { .. } | ViewError::Incomplete { .. } | ViewError::TooLarge(_)
        ),
        _ => false,
    }
}

fn tell_fetched(
    name: &Name,
    device: DeviceId,
    (nodes, compared): (u64, Compared),
    io: &mut Io<'_>,
) -> Result<()> {
    let value = json!({
        "projection": name.as_str(),
        "fetched": true,
        "peer": device.to_string(),
        "nodes": nodes,
        "compared_entries": compared.entries,
        "compared_records": compared.records,
    });
    io.data(&value, || {
        format!(
            "{name} is here, by {} nodes from {device}; {} of its entries and {} records were compared",
            count(nodes),
            count(compared.entries),
            count(compared.records)
        )
    })
}

fn create(node: &Node, repo: &Repo, options: &CreateProjection, io: &mut Io<'_>) -> Result<()> {
    let name = parse_name(&options.name)?;
    let definition = ProjectionDefinition {
        shape: shape(options)?,
        source: options.source.clone(),
        filter: options.filter.clone(),
    };
    let by = (node.author()?, allod::now_ms());
    let made = create_projection(repo, &name, definition, by)?;
    node.touch();
    let value = json!({ "projection": name.as_str(), "meta": made.to_string() });
    io.data(&value, || format!("{name}  {}  on meta", made.short()))
}

/// A projection as people say it.
pub(crate) fn described(projection: &Projection) -> String {
    let definition = projection.definition();
    let columns = |list: &[(String, String)]| -> String {
        let shown = list.iter().map(|(name, of)| {
            if name == of {
                name.clone()
            } else {
                format!("{name} = {of}")
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let shape = match &definition.shape {
        ShapeDefinition::Index { by, values } if values.is_empty() => {
            format!("by {}", by.join(", "))
        }
        ShapeDefinition::Index { by, values } => {
            format!("by {} with {}", by.join(", "), columns(values))
        }
        ShapeDefinition::Group { by, totals } => {
            let totals = totals.iter().map(|(name, function, of)| {
                let function = format!("{function:?}").to_uppercase();
                format!("{name} = {function}({})", of.as_deref().unwrap_or("*"))
            });
            let totals = totals.collect::<Vec<_>>().join(", ");
            format!("grouped by {}: {totals}", columns(by))
        }
        ShapeDefinition::Join {
            on,
            other,
            to,
            outer,
            ..
        } => {
            let outer = if *outer { "" } else { ", matched only" };
            format!("joined to {other} where {on} = {to}{outer}")
        }
        ShapeDefinition::Words { of } => format!("words of {}", of.join(", ")),
    };
    let filter = definition.filter.as_deref();
    let filter = filter.map_or(String::new(), |filter| format!(" where {filter}"));
    format!("{}{filter} {shape}", definition.source)
}

fn list(node: &Node, repo: &Repo, views: &Views, io: &mut Io<'_>) -> Result<()> {
    let here = snapshot(node, repo, views, None)?;
    for (name, projection) in here.projections().projections() {
        let is_fresh = here.is_fresh(name)?;
        let value = json!({
            "projection": name.as_str(),
            "definition": projection.definition(),
            "columns": projection.columns(),
            "fresh": is_fresh,
        });
        let state = if is_fresh {
            "at hand"
        } else {
            "to be computed"
        };
        io.data(&value, || {
            format!("{name}  {}  {state}", described(projection))
        })?;
    }
    Ok(())
}

fn status(views: &Views, only: Option<&Name>, io: &mut Io<'_>) -> Result<()> {
    let defined = views.definitions()?;
    let names: Vec<Name> = match only {
        Some(name) => vec![name.clone()],
        None => defined
            .projections()
            .map(|(name, _)| name.clone())
            .collect(),
    };
    for name in names {
        let status = views.status(&name)?;
        let value = json!({
            "projection": name.as_str(),
            "total": status.total,
            "rebuilt": status.rebuilt,
            "pending": status.pending,
            "rebuilding": status.is_rebuilding,
            "waiting": status.is_waiting,
        });
        io.data(&value, || {
            let doing = match (status.is_rebuilding, status.is_waiting) {
                (true, _) => ", being computed",
                (_, true) => ", only when asked for",
                _ => "",
            };
            let (rebuilt, total) = (count(status.rebuilt), count(status.total));
            format!(
                "{name}  {rebuilt} of {total} commits, {} pending{doing}",
                count(status.pending)
            )
        })?;
    }
    Ok(())
}

fn check(snapshot: &Snapshot, only: Option<&Name>, io: &mut Io<'_>) -> Result<()> {
    let names: Vec<Name> = match only {
        Some(name) => vec![name.clone()],
        None => snapshot
            .projections()
            .projections()
            .map(|(name, _)| name.clone())
            .collect(),
    };
    for name in names {
        let found = {
            let mut progress = io.progress("checking, records");
            snapshot.check(&name, &mut |done| {
                progress.at(done, 0);
                ControlFlow::Continue(())
            })?
        };
        let (word, text) = match found {
            Checked::NotKept => ("not kept", "not kept: it is computed when it is asked for"),
            Checked::Right => ("right", "right"),
            Checked::PutRight => ("put right", "was wrong or damaged, and is put right"),
        };
        io.data(
            &json!({ "projection": name.as_str(), "found": word }),
            || format!("{name}  {text}"),
        )?;
    }
    Ok(())
}

fn rebuild(views: &Views, name: &Name, io: &mut Io<'_>) -> Result<()> {
    let started = Instant::now();
    let states = {
        let mut progress = io.progress("computing states");
        views.rebuild(name, &mut |done, total| {
            progress.at(done, total);
            ControlFlow::Continue(())
        })?
    };
    let value = json!({ "projection": name.as_str(), "states": states, "ms": started.elapsed().as_millis() as u64 });
    io.data(&value, || {
        let seconds = started.elapsed().as_secs_f64();
        format!("{name}  {} states in {seconds:.2} s", count(states))
    })
}

/// The projection of a state. Computing it may be given up after a while.
pub(crate) fn projected(
    snapshot: &Snapshot,
    name: &Name,
    (no_wait, timeout): (bool, Option<u32>),
    io: &mut Io<'_>,
) -> Result<Projected> {
    let on_stale = if no_wait {
        OnStale::Error
    } else {
        OnStale::Block
    };
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let mut progress = io.progress("computing, records");
    let projected = snapshot.projection(name, on_stale, &mut |done| {
        progress.at(done, 0);
        match deadline {
            Some(deadline) if Instant::now() > deadline => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    match projected {
        Err(ViewError::Cancelled) => {
            bail!(
                "{name} was not computed in {} seconds; what is to do stays",
                timeout.unwrap_or(0)
            )
        }
        other => Ok(other?),
    }
}

fn query(
    node: &Node,
    repo: &Repo,
    views: &Views,
    options: &QueryProjection,
    io: &mut Io<'_>,
) -> Result<()> {
    let name = parse_name(&options.name)?;
    say_part(repo, None, io)?;
    let snapshot = snapshot(node, repo, views, options.at.as_deref())?;
    let projected = projected(&snapshot, &name, (options.no_wait, options.timeout), io)?;
    if let (ShapeDefinition::Words { .. }, [_, ..]) = (
        &projected.projection.definition().shape,
        &options.values[..],
    ) {
        return search(&projected, options, io);
    }
    let first = values(&snapshot, &projected.projection, &options.values)?;
    let after = options.after.as_deref().map(unhex).transpose()?;
    let page = Page {
        after,
        reverse: options.reverse,
    };
    let columns = projected.projection.columns();
    let rows = projected.rows(&first, &page)?;
    let mut cursor = Vec::new();
    for (shown, row) in rows.enumerate() {
        let (at, row) = row?;
        if shown == options.limit {
            io.say(format!("more rows: --after {}", hex(&cursor)))?;
            break;
        }
        let value = row_json(&columns, &row, Some(&at));
        io.data(&value, || row_text(&columns, &row))?;
        cursor = at;
    }
    Ok(())
}

fn search(projected: &Projected, options: &QueryProjection, io: &mut Io<'_>) -> Result<()> {
    let found = projected.search(&options.values.join(" "))?;
    for (key, times) in found.iter().take(options.limit) {
        let key = String::from_utf8_lossy(key);
        io.data(&json!({ "key": key, "times": times }), || {
            format!("{key}  {times}")
        })?;
    }
    Ok(())
}

/// What was typed, as values: of the kind of the field, or else what it looks like.
fn values(snapshot: &Snapshot, projection: &Projection, texts: &[String]) -> Result<Vec<Value>> {
    let kinds = projection.kinds(snapshot.types());
    let value =
        |(index, text): (usize, &String)| typed(text, kinds.get(index).and_then(Option::as_ref));
    texts.iter().enumerate().map(value).collect()
}

fn typed(text: &str, kind: Option<&FieldKind>) -> Result<Value> {
    let number = || text.parse().ok().map(Value::Number);
    let boolean = || text.parse().ok().map(Value::Boolean);
    let plain = || Some(Value::Text(text.to_owned()));
    let value = match kind {
        Some(FieldKind::String | FieldKind::Ref(_)) => plain(),
        _ if text == "null" => Some(Value::Null),
        None => boolean().or_else(number).or_else(plain),
        Some(FieldKind::Integer | FieldKind::Number) => number(),
        Some(FieldKind::Boolean) => boolean(),
        Some(FieldKind::Timestamp) => parse_timestamp(text).map(Value::Timestamp),
        Some(FieldKind::Float) => {
            let float = text.parse().ok();
            float
                .and_then(|float| allod_views::Float::new(float).ok())
                .map(Value::Float)
        }
        Some(FieldKind::Bytes) => unhex(text).ok().map(Value::Bytes),
    };
    let known = kind.map_or_else(String::new, ToString::to_string);
    Ok(value.ok_or_else(|| Usage(format!("{text:?} is no {known}, which this field is")))?)
}

/// A value as JSON: numbers where JSON keeps them exactly, else as text.
pub(crate) fn as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(bool) => json!(bool),
        Value::Number(number) => {
            let text = number.to_string();
            match text.parse::<i64>() {
                Ok(whole) => json!(whole),
                Err(_) => {
                    let float = text
                        .parse::<f64>()
                        .ok()
                        .filter(|float| float.to_string().parse() == Ok(*number));
                    float.map_or_else(|| json!(text), |float| json!(float))
                }
            }
        }
        Value::Float(float) => json!(float.get()),
        Value::Timestamp(micros) => json!(format_timestamp(*micros)),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "base16": hex(bytes) }),
    }
}

fn as_text(value: &Value) -> String {
    match as_json(value) {
        Json::String(text) => text,
        Json::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn row_json(columns: &[String], row: &Row, cursor: Option<&[u8]>) -> Json {
    let mut object = Map::new();
    let text = |key: &[u8]| json!(String::from_utf8_lossy(key));
    if let Some(key) = &row.key {
        object.insert("key".to_owned(), text(key));
    }
    if let Some(other) = &row.other {
        object.insert("other".to_owned(), text(other));
    }
    let values: Map<String, Json> = columns
        .iter()
        .cloned()
        .zip(row.values.iter().map(as_json))
        .collect();
    object.insert("values".to_owned(), Json::Object(values));
    if let Some(cursor) = cursor {
        object.insert("cursor".to_owned(), json!(hex(cursor)));
    }
    Json::Object(object)
}

fn row_text(columns: &[String], row: &Row) -> String {
    let values = columns.iter().zip(&row.values);
    let values: Vec<String> = values
        .map(|(name, value)| format!("{name}={}", as_text(value)))
        .collect();
    let keys = row.key.iter().chain(&row.other);
    let keys: Vec<String> = keys
        .map(|key| String::from_utf8_lossy(key).into_owned())
        .collect();
    [keys, values].concat().join("  ")
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let bad = || Usage(format!("{text:?} is no cursor"));
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    Ok(bytes.ok_or_else(bad)?)
}

/// How often a watch looks at the state, and whether anybody still reads.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn watch(
    node: &Node,
    repo: &Repo,
    views: &Views,
    options: &WatchProjection,
    io: &mut Io<'_>,
) -> Result<()> {
    let name = parse_name(&options.name)?;
    if io.net.is_none() && !options.once {
        bail!("nothing changes while no node runs; start one with `allod up`, or use --once");
    }
    let from = match &options.since {
        Some(since) => snapshot(node, repo, views, Some(since))?,
        None => snapshot(node, repo, views, None)?,
    };
    let mut course = Course::new(repo.clone(), from.view().heads().clone());
    let state = |heads: &Heads| -> Result<Snapshot> { Ok(views.snapshot(repo.together(heads)?)?) };
    if !options.once {
        begin(&name, course.at(), io)?;
    }
    loop {
        let position = node.position(repo)?;
        while let Some(next) = course.next(&position)? {
            let after = state(next)?;
            let before = state(course.at())?;
            if after.view().tree().root() != before.view().tree().root() {
                tell(&position, &name, (&before, &after), io)?;
            }
            course.advance();
            // Fails once nobody reads any more.
            io.out.flush()?;
            if io.is_stopping() {
                return Ok(());
            }
        }
        if options.once {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        io.out.flush()?;
        if io.is_stopping() {
            return Ok(());
        }
    }
}

/// Says that it watches, and from where (PROJ-31).
fn begin(name: &Name, from: &Heads, io: &mut Io<'_>) -> Result<()> {
    if io.json {
        let heads: Vec<String> = from.iter().map(ToString::to_string).collect();
        io.line(json!({ "watching": name.as_str(), "heads": heads }).to_string())?;
    } else {
        io.say(format!("watching {name}"))?;
    }
    Ok(io.out.flush()?)
}

/// Tells what differs between two states of a projection.
fn tell(
    position: &Position,
    name: &Name,
    (before, after): (&Snapshot, &Snapshot),
    io: &mut Io<'_>,
) -> Result<()> {
    let from = projected(before, name, (false, None), io)?;
    let to = projected(after, name, (false, None), io)?;
    let columns = to.projection.columns();
    let branch = match position {
        Position::Branch(branch) => branch.to_string(),
        Position::Detached(id) => id.to_string(),
    };
    let heads: Vec<String> = after
        .view()
        .heads()
        .iter()
        .map(ToString::to_string)
        .collect();
    for change in from.changes(&to, CHANGES_MAX)? {
        let (word, row, was) = match &change {
            RowChange::Added(row) => ("added", row, None),
            RowChange::Removed(row) => ("removed", row, None),
            RowChange::Modified { before, after } => ("modified", after, Some(before)),
        };
        let mut value = json!({
            "change": word,
            "branch": branch,
            "heads": heads,
            "row": row_json(&columns, row, None),
        });
        if let Some(was) = was {
            value["was"] = row_json(&columns, was, None);
        }
        io.data(&value, || {
            let sign = match word {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            let was = was.map_or(String::new(), |was| {
                format!("  was {}", row_text(&columns, was))
            });
            format!("{sign} {}{was}", row_text(&columns, row))
        })?;
    }
    io.out.flush()?;
    Ok(())
}
