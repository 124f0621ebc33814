//! `delta`: saying something of objects, and looking at what was said.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use allod::{Node, NodeError, now_ms};
use allod_deltas::{
    Appended, DELTA_BYTES_MAX, Delta, DeltaFilter, DeltaStore as _, HyperSchema, HyperView,
    Looking, MayNegate, Number, NumberError, PAGE_MAX, Pointer, Schemas, SpaceDeltas, Target,
    ViewSchema, ViewValue, scan_visible,
};
use allod_repo::RepoError;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::Usage;
use crate::cli::delta_args::{AddDelta, DeltaCommand, ListDeltas, Look, OnBranch, ViewDeltas};
use crate::cli::federate::branch_of;
use crate::cli::io::{Io, count, plain};

/// Deltas of a file that are appended in one commit.
const BATCH: usize = 1000;

pub(crate) fn deltas(
    node: &Node,
    space: Option<&str>,
    command: &DeltaCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let store = |on: &OnBranch| -> Result<SpaceDeltas> {
        let repo = node.space(space)?;
        let branch = branch_of(node, &repo, on.branch.as_ref())?;
        Ok(node.deltas(&repo, &branch)?)
    };
    match command {
        DeltaCommand::Add(options) => match &options.file {
            Some(file) => add_file(node, &store(&options.on)?, file, io),
            None => add(node, &store(&options.on)?, options, io),
        },
        DeltaCommand::List(options) => list(&store(&options.look.on)?, options, io),
        DeltaCommand::Show { id, look } => show(&store(&look.on)?, (id, look), io),
        DeltaCommand::Negate { id, reason, on } => {
            let mut pointers = vec![Pointer::negates(id)?];
            if let Some(reason) = reason {
                pointers.push(Pointer::text("reason", reason)?);
            }
            let store = store(on)?;
            if store.get(id)?.is_none() {
                bail!("there is no delta {id}");
            }
            say(node, &store, pointers, io)
        }
        DeltaCommand::View(options) => view(&store(&options.look.on)?, options, io),
    }
}

fn add(node: &Node, store: &SpaceDeltas, options: &AddDelta, io: &mut Io<'_>) -> Result<()> {
    let mut pointers = Vec::new();
    for text in &options.to {
        let (role, to) = parts(text)?;
        pointers.push(match to.rsplit_once('#') {
            Some((id, context)) => Pointer::under(role, id, context)?,
            None => Pointer::to(role, to)?,
        });
    }
    for text in &options.value {
        let (role, value) = parts(text)?;
        let target = match value {
            "true" => Target::Bool(true),
            "false" => Target::Bool(false),
            text => match Number::parse(text) {
                Ok(number) => Target::Number(number),
                Err(NumberError::Syntax) => Target::Text(text.to_owned()),
                // Nobody who writes a number means another one, or a text.
                Err(error) => return Err(error).with_context(|| text.to_owned()),
            },
        };
        pointers.push(Pointer::new(role, target)?);
    }
    if pointers.is_empty() {
        let words = "a delta has pointers: --to ROLE=ID#CONTEXT, --value ROLE=VALUE, or --file";
        return Err(Usage(words.to_owned()).into());
    }
    say(node, store, pointers, io)
}

fn parts(text: &str) -> Result<(&str, &str)> {
    let split = text.split_once('=');
    split.ok_or_else(|| Usage(format!("{text:?} is not ROLE=...")).into())
}

/// Says something, signed by this device.
fn say(node: &Node, store: &SpaceDeltas, pointers: Vec<Pointer>, io: &mut Io<'_>) -> Result<()> {
    let delta = signed(node, Number::of(now_ms()), pointers)?;
    let id = delta.id().to_owned();
    append(store, &[delta])?;
    node.touch();
    io.data(&json!({ "delta": id }), || id.clone())
}

fn signed(node: &Node, at: Number, pointers: Vec<Pointer>) -> Result<Arc<Delta>> {
    let system = node.device()?.to_string();
    let delta = Delta::sign(node.device_key()?, at, system, pointers)?;
    Ok(Arc::new(delta.into_delta()))
}

/// Appends deltas; how many were new.
fn append(store: &SpaceDeltas, deltas: &[Arc<Delta>]) -> Result<u64> {
    let mut fresh = 0;
    for (delta, said) in deltas.iter().zip(store.append(deltas, now_ms())?) {
        match said {
            Appended::New | Appended::Signed => fresh += 1,
            Appended::Conflict(conflict) => return Err(conflict.into()),
            Appended::Redacted => bail!("{} was redacted here", delta.id()),
            Appended::Refused(words) => {
                let refused = NodeError::from(RepoError::Hook(words));
                return Err(refused).with_context(|| format!("delta {}", delta.id()));
            }
            _ => {}
        }
    }
    Ok(fresh)
}

fn add_file(node: &Node, store: &SpaceDeltas, file: &Path, io: &mut Io<'_>) -> Result<()> {
    let path = io.path(file);
    let mut input: Box<dyn std::io::BufRead + '_> = if file == Path::new("-") {
        Box::new(BufReader::new(&mut *io.input))
    } else {
        let opened = std::fs::File::open(&path);
        Box::new(BufReader::new(
            opened.with_context(|| path.display().to_string())?,
        ))
    };
    let (mut batch, mut all, mut fresh) = (Vec::new(), 0, 0);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        // A line that is longer than any delta is not read to its end.
        let limit = DELTA_BYTES_MAX as u64 + 2;
        let read = std::io::Read::take(&mut input, limit).read_until(b'\n', &mut line)?;
        let text = String::from_utf8_lossy(&line);
        if read > 0 && !text.trim().is_empty() {
            let delta = read_line(node, text.trim());
            batch.push(delta.with_context(|| format!("line {number}"))?);
            all += 1;
        }
        if batch.len() >= BATCH || read == 0 {
            fresh += append(store, &batch)?;
            batch.clear();
        }
        if read == 0 {
            break;
        }
    }
    drop(input);
    node.touch();
    io.data(&json!({ "read": all, "new": fresh }), || {
        format!("{} deltas, {} of them new", count(all), count(fresh))
    })
}

/// What is said of a delta that is to be signed.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    pointers: &'a RawValue,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

/// A delta as it is, or one to be signed.
fn read_line(node: &Node, text: &str) -> Result<Arc<Delta>> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).context("a delta is an object")?;
    if fields.contains_key("id") {
        return Ok(Arc::new(Delta::decode(text)?));
    }
    let known = ["pointers", "timestamp"];
    if let Some(other) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        bail!("{other} is not said of what is signed here: pointers and timestamp are");
    }
    // Each at most once, and as it is written: numbers are not read and written again on the way.
    let said: Said<'_> = serde_json::from_str(text)?;
    let at = match said.timestamp {
        Some(at) => Number::parse(at.get())?,
        None => Number::of(now_ms()),
    };
    // Read as part of a delta, as pointers stand in no other place.
    let whole = format!(
        r#"{{"id":"x","timestamp":1,"author":"x","system":"x","pointers":{}}}"#,
        said.pointers.get()
    );
    let pointers = Delta::decode(&whole)?.pointers().to_vec();
    signed(node, at, pointers)
}

const ANYONE: MayNegate = MayNegate::Anyone;

fn list(store: &SpaceDeltas, options: &ListDeltas, io: &mut Io<'_>) -> Result<()> {
    let filter = DeltaFilter::decode(&options.filter)?;
    let mut left = options.limit.unwrap_or(usize::MAX);
    let (at, mut after) = (options.look.at.map(Number::of), None);
    while left > 0 {
        let page = scan_visible(store, &filter, (at, &ANYONE), after.as_ref(), PAGE_MAX)?;
        for delta in page.deltas.iter().take(left) {
            print(delta, io)?;
            left -= 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

/// A delta as it is written, or a line for people.
fn print(delta: &Delta, io: &mut Io<'_>) -> Result<()> {
    if io.json {
        return Ok(writeln!(io.out, "{}", delta.encode())?);
    }
    io.line(line(delta))
}

fn line(delta: &Delta) -> String {
    let parts = delta.pointers().iter().map(|pointer| {
        let target = match pointer.target() {
            Target::Text(text) => {
                let mut short: String = text.chars().take(40).collect();
                if short.len() < text.len() {
                    short += "...";
                }
                format!("{short:?}")
            }
            Target::Number(number) => number.to_string(),
            Target::Bool(truth) => truth.to_string(),
            Target::Reference(to) => match to.context() {
                Some(context) => format!("{}#{}", plain(to.id()), plain(context)),
                None => plain(to.id()),
            },
            _ => String::new(),
        };
        format!("{}={target}", plain(pointer.role()))
    });
    let parts: Vec<String> = parts.collect();
    let (author, id) = (plain(delta.author()), plain(delta.id()));
    format!(
        "{id}  {}  {author}\n  {}",
        delta.timestamp(),
        parts.join(" ")
    )
}

fn show(store: &SpaceDeltas, (id, look): (&str, &Look), io: &mut Io<'_>) -> Result<()> {
    let Some(delta) = store.get(id)? else {
        bail!("there is no delta {id}");
    };
    let verified = delta.verify();
    let filter = DeltaFilter {
        ids: Some([id.to_owned()].into()),
        ..DeltaFilter::default()
    };
    let at = look.at.map(Number::of);
    let visible = scan_visible(store, &filter, (at, &ANYONE), None, 1)?;
    let visible = !visible.deltas.is_empty();
    let negations = store.targeting(id, Some("negated_by"), None, PAGE_MAX)?;
    let negations = negations.deltas.iter();
    let negations: Vec<&str> = negations.map(|negation| negation.id()).collect();
    if io.json {
        let raw = RawValue::from_string(delta.encode())?;
        let about = json!({
            "verified": verified.is_ok(),
            "why": verified.as_ref().err().map(|error| error.code()),
            "visible": visible,
            "negations": negations,
        });
        return Ok(writeln!(io.out, "{{\"delta\":{raw},\"about\":{about}}}")?);
    }
    io.line(line(&delta))?;
    io.line(match &verified {
        Ok(_) => "  its author signed it".to_owned(),
        Err(why) => format!("  nobody knows that its author said it: {why}"),
    })?;
    let taken = if visible {
        "it counts"
    } else {
        "it was taken back"
    };
    io.line(format!("  {taken}; {} negations", negations.len()))
}

fn view(store: &SpaceDeltas, options: &ViewDeltas, io: &mut Io<'_>) -> Result<()> {
    let schema = match &options.schema {
        Some(schema) => HyperSchema::decode(schema)?,
        None => HyperSchema::new("view", "View"),
    };
    let id = schema.id.clone();
    let schemas = Schemas::new([schema])?;
    let looking = Looking {
        at: options.look.at.map(Number::of),
        who: ANYONE,
    };
    let view = HyperView::of(store, &schemas, &id, &options.object, &looking)?;
    let text = if options.hyper {
        view.to_json()
    } else {
        let schema = match &options.view {
            Some(schema) => ViewSchema::decode(schema)?,
            None => ViewSchema::last_of_each(&view),
        };
        ViewValue::View(schema.resolve(&view)).to_json()
    };
    io.line(text)
}
