//! `values`, `counter`, `set`, `register`, `map`, `list` and `doc`: values that join.

use allod::shown::hex;
use allod::shown::parsed;
use std::io::Read as _;

use allod::Node;
use allod_crdt::{Document, DocumentError, Edit, Kind, Op, State as Joinable};
use allod_repo::{Content, Repo, RepoError, StateRef};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::io::{Io, count};
use crate::cli::join_args::{
    CounterCommand, DocCommand, EditDocument, Elements, ListCommand, MapCommand, RegisterCommand,
    SetCommand, ShowValue, ValuesCommand,
};
use crate::cli::keys::{key_bytes, key_text};
use crate::cli::values::{branch, view};

/// The longest JSON that a document is made of, in bytes: more makes no state.
const JSON_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn values(
    node: &Node,
    space: Option<&str>,
    command: &ValuesCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match command {
        ValuesCommand::Define { pattern, kind } => {
            let pattern = pattern.parse()?;
            let meta = repo.define_kind(&pattern, *kind, node.author()?, allod::now_ms())?;
            node.touch();
            let value = json!({
                "pattern": pattern.to_string(),
                "kind": kind.name(),
                "meta": meta.to_string(),
            });
            io.data(&value, || format!("values of {pattern} join as a {kind}"))
        }
        ValuesCommand::List => {
            for (pattern, kind) in repo.kind_rules()?.iter() {
                let value = json!({ "pattern": pattern.to_string(), "kind": kind.name() });
                io.data(&value, || format!("{:<14}{pattern}", kind.name()))?;
            }
            Ok(())
        }
        ValuesCommand::Kinds => {
            for kind in Kind::ALL {
                let value = json!({
                    "kind": kind.name(),
                    "operations": kind.operations(),
                    "what": what(kind),
                });
                io.data(&value, || format!("{:<14}{}", kind.name(), what(kind)))?;
            }
            Ok(())
        }
        ValuesCommand::Show { key, at } => show_state(node, &repo, key, at.as_deref(), io),
        ValuesCommand::Compact { key } => {
            let bytes = key_bytes(key)?;
            let before = stated(node, &repo, &bytes, None)?;
            let branch = branch(node, &repo)?;
            let after = repo.compact(&branch, &bytes, before.kind(), allod::now_ms())?;
            let [before, after] = [before.encode()?.len(), after.encode()?.len()];
            let value = json!({ "key": key, "bytes_before": before, "bytes": after });
            io.data(&value, || {
                format!(
                    "{} bytes instead of {}, staged; what others do to {key} before they have it is put aside",
                    count(after as u64),
                    count(before as u64)
                )
            })
        }
    }
}

/// What a kind is for.
const fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::GCounter => "a number that only grows",
        Kind::PnCounter => "a number that is added to and taken from",
        Kind::LwwRegister => "one value: the last that was written",
        Kind::MvRegister => {
            "the values that were written at the same time, to be decided by a person"
        }
        Kind::TwoPhaseSet => "elements; one that was removed never comes back",
        Kind::OrSet => "elements; adding wins over removing at the same time",
        Kind::CountedSet => "elements with a count each",
        Kind::LwwMap => "fields with a value each: the last that was written",
        Kind::List => "values in an order that everybody inserts into",
        Kind::Document => "objects, lists and texts that several people edit",
    }
}

/// The state of a key.
fn stated(node: &Node, repo: &Repo, key: &Bytes, at: Option<&str>) -> Result<Joinable> {
    let entry = view(node, repo, at)?.entry(key)?;
    let entry = entry.filter(allod_repo::Entry::is_live);
    let entry = entry.with_context(|| format!("no value under {:?}", key_text(key)))?;
    let (kind, bytes) = match StateRef::from(&entry.state) {
        StateRef::Joining(kind, bytes) => (kind, Bytes::copy_from_slice(bytes)),
        StateRef::JoiningLink(kind, cid) => {
            let block = node.store().get(&cid)?;
            let block = block.with_context(|| format!("block {cid} is missing"))?;
            (kind, block.into_bytes())
        }
        _ => anyhow::bail!("the value under {:?} does not join", key_text(key)),
    };
    Ok(Joinable::decode(kind, &bytes)?)
}

fn show_state(
    node: &Node,
    repo: &Repo,
    key: &str,
    at: Option<&str>,
    io: &mut Io<'_>,
) -> Result<()> {
    let bytes = key_bytes(key)?;
    let state = stated(node, repo, &bytes, at)?;
    let size = state.encode()?.len();
    let shown = shown(node, repo, &bytes, at)?;
    let epoch = state.epoch().map(|epoch| {
        let began = allod_repo::Stamp::from_bits(epoch.stamp).millis();
        json!({ "began": allod::utc(began), "writer": epoch.writer.to_string() })
    });
    let value = json!({
        "key": key,
        "kind": state.kind().name(),
        "bytes": size,
        "epoch": epoch,
        "value": parsed(&shown),
    });
    io.data(&value, || {
        let began = match &epoch {
            Some(epoch) => format!(", since {}", epoch["began"].as_str().unwrap_or_default()),
            None => String::new(),
        };
        let kind = state.kind();
        format!("{kind}, {} bytes{began}\n{shown}", count(size as u64))
    })
}

/// What a key shows, as JSON.
fn shown(node: &Node, repo: &Repo, key: &Bytes, at: Option<&str>) -> Result<String> {
    let content = view(node, repo, at)?.get(key)?;
    match content.with_context(|| format!("no value under {:?}", key_text(key)))? {
        Content::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Content::File(cid) => anyhow::bail!("{:?} is the file {cid}", key_text(key)),
    }
}

fn show(node: &Node, space: Option<&str>, options: &ShowValue, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let shown = shown(
        node,
        &repo,
        &key_bytes(&options.key)?,
        options.at.as_deref(),
    )?;
    let value = json!({ "key": options.key, "value": parsed(&shown) });
    io.data(&value, || shown.clone())
}

/// Does operations to a key, and says what it shows then.
fn operate(
    node: &Node,
    space: Option<&str>,
    (key, among, ops): (&str, &[Kind], &[Op]),
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let bytes = key_bytes(key)?;
    // What no rule has is refused with the kind that is most likely meant.
    let first = among.first().copied().unwrap_or(Kind::Document);
    let kind = match stated(node, &repo, &bytes, None) {
        Ok(state) => state.kind(),
        Err(_) => repo.kind_of(&bytes)?.unwrap_or(first),
    };
    let kind = if among.contains(&kind) { kind } else { first };
    let state = repo.operate(&branch, &bytes, (kind, ops), allod::now_ms())?;
    said(
        key,
        &state
            .value()
            .map_or_else(|| "null".to_owned(), |value| value.to_string()),
        io,
    )
}

fn said(key: &str, shown: &str, io: &mut Io<'_>) -> Result<()> {
    let value = json!({ "key": key, "value": parsed(shown) });
    io.data(&value, || shown.to_owned())
}

pub(crate) fn counter(
    node: &Node,
    space: Option<&str>,
    command: &CounterCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let kinds = &[Kind::PnCounter, Kind::GCounter];
    match command {
        CounterCommand::Incr { key, by } => {
            operate(node, space, (key, kinds, &[Op::Increment(*by)]), io)
        }
        CounterCommand::Decr { key, by } => {
            operate(node, space, (key, kinds, &[Op::Decrement(*by)]), io)
        }
        CounterCommand::Show(options) => show(node, space, options, io),
    }
}

pub(crate) fn set(
    node: &Node,
    space: Option<&str>,
    command: &SetCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let kinds = &[Kind::OrSet, Kind::TwoPhaseSet, Kind::CountedSet];
    let ops = |Elements { elements, .. }: &Elements, op: fn(Vec<u8>) -> Op| -> Vec<Op> {
        elements
            .iter()
            .map(|element| op(element.clone().into_bytes()))
            .collect()
    };
    match command {
        SetCommand::Add(of) => operate(node, space, (&of.key, kinds, &ops(of, Op::Add)), io),
        SetCommand::Rm(of) => operate(node, space, (&of.key, kinds, &ops(of, Op::Remove)), io),
        SetCommand::Count { key, element, by } => {
            let ops = [Op::AddCount(element.clone().into_bytes(), *by)];
            operate(node, space, (key, &[Kind::CountedSet], &ops), io)
        }
        SetCommand::Show(options) => show(node, space, options, io),
    }
}

pub(crate) fn register(
    node: &Node,
    space: Option<&str>,
    command: &RegisterCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let kinds = &[Kind::LwwRegister, Kind::MvRegister];
    match command {
        RegisterCommand::Set { key, value } => {
            let ops = [Op::Set(value.clone().into_bytes())];
            operate(node, space, (key, kinds, &ops), io)
        }
        RegisterCommand::Show(options) => show(node, space, options, io),
    }
}

pub(crate) fn map(
    node: &Node,
    space: Option<&str>,
    command: &MapCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let kinds = &[Kind::LwwMap];
    match command {
        MapCommand::Put { key, field, value } => {
            let ops = [Op::Put(field.clone(), value.clone().into_bytes())];
            operate(node, space, (key, kinds, &ops), io)
        }
        MapCommand::Rm { key, field } => {
            operate(node, space, (key, kinds, &[Op::Delete(field.clone())]), io)
        }
        MapCommand::Show(options) => show(node, space, options, io),
    }
}

pub(crate) fn list(
    node: &Node,
    space: Option<&str>,
    command: &ListCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let kinds = &[Kind::List];
    match command {
        ListCommand::Insert { key, values, at } => {
            let start = match at {
                Some(at) => *at,
                None => length(node, space, key)?,
            };
            let values = values.iter().map(|value| value.clone().into_bytes());
            // No list has as many values as an index may say.
            let ops = values
                .enumerate()
                .map(|(place, value)| Op::Insert(start.saturating_add(place), value));
            let ops: Vec<Op> = ops.collect();
            operate(node, space, (key, kinds, &ops), io)
        }
        ListCommand::Rm { key, index } => {
            operate(node, space, (key, kinds, &[Op::RemoveAt(*index)]), io)
        }
        ListCommand::Show(options) => show(node, space, options, io),
    }
}

/// How many values a list has.
fn length(node: &Node, space: Option<&str>, key: &str) -> Result<usize> {
    let repo = node.space(space)?;
    let key = key_bytes(key)?;
    if view(node, &repo, None)?.get(&key)?.is_none() {
        return Ok(0);
    }
    Ok(match stated(node, &repo, &key, None)?.value() {
        Some(allod_crdt::Value::List(values)) => values.len(),
        _ => 0,
    })
}

pub(crate) fn doc(
    node: &Node,
    space: Option<&str>,
    command: &DocCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    match command {
        DocCommand::Edit(options) => edit(node, space, options, io),
        DocCommand::Show(options) => show(node, space, options, io),
        DocCommand::History { key } => history(node, space, key, io),
    }
}

fn edit(node: &Node, space: Option<&str>, options: &EditDocument, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let key = key_bytes(&options.key)?;
    let whole = match &options.replace {
        Some(path) => Some(json_of(path, io)?),
        None => None,
    };
    let edits = edits_of(options)?;
    let (now, message) = (allod::now_ms(), options.message.as_deref());
    let edited = repo.edit_document(&branch, &key, message, now, &mut |document, by| {
        match &whole {
            Some(whole) => document.replace(whole, by)?,
            None => document.edit(&edits, by)?,
        };
        Ok(())
    });
    let state = edited.map_err(|error| named(error, &edits))?;
    let shown = Document::open(&state)?.value()?.to_string();
    said(&options.key, &shown, io)
}

/// An error with the path of the edit that it is about: edits are not made in the order of the options.
fn named(error: RepoError, edits: &[Edit]) -> anyhow::Error {
    let edit = match error {
        RepoError::Document(DocumentError::NoSuchPlace { index }) => edits.get(index),
        _ => None,
    };
    let Some(edit) = edit else {
        return error.into();
    };
    let (what, path) = match edit {
        Edit::Set { path, .. } => ("is no place for a value", path),
        Edit::Insert { path, .. } => ("is no place in a list", path),
        Edit::Delete { path } => ("names nothing", path),
        Edit::Splice { path, .. } => ("is no text with such a place", path),
    };
    anyhow::anyhow!("{path:?} {what} in this document; nothing was changed")
}

/// The JSON in a file, or in standard input.
fn json_of(path: &std::path::Path, io: &mut Io<'_>) -> Result<Value> {
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        (&mut *io.input)
            .take(JSON_BYTES_MAX + 1)
            .read_to_end(&mut text)?;
    } else {
        let path = io.path(path);
        let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
        file.take(JSON_BYTES_MAX + 1).read_to_end(&mut text)?;
    }
    anyhow::ensure!(
        text.len() as u64 <= JSON_BYTES_MAX,
        "a document has at most {JSON_BYTES_MAX} bytes of JSON"
    );
    serde_json::from_slice(&text).with_context(|| format!("{}: no JSON", path.display()))
}

fn edits_of(options: &EditDocument) -> Result<Vec<Edit>> {
    let mut edits: Vec<Edit> = Vec::new();
    edits.extend(
        options
            .rm
            .iter()
            .map(|path| Edit::Delete { path: path.clone() }),
    );
    for text in &options.set {
        let (path, value) = pair(text)?;
        edits.push(Edit::Set {
            path,
            value: parsed(value),
        });
    }
    for text in &options.insert {
        let (path, value) = pair(text)?;
        edits.push(Edit::Insert {
            path,
            value: parsed(value),
        });
    }
    for text in &options.text {
        edits.push(splice(text)?);
    }
    Ok(edits)
}

/// A path, and what is behind its `=`.
fn pair(text: &str) -> Result<(String, &str)> {
    let parts = text
        .split_once('=')
        .filter(|(path, _)| path.is_empty() || path.starts_with('/'));
    let (path, value) = parts.ok_or_else(|| {
        Usage(format!(
            "{text:?} is no PATH=VALUE; a path begins with /, as /notes/0/title"
        ))
    })?;
    Ok((path.to_owned(), value))
}

/// `PATH@AT[-COUNT]=TEXT`.
fn splice(text: &str) -> Result<Edit> {
    let bad = || {
        Usage(format!(
            "{text:?} is no PATH@AT[-COUNT]=TEXT, as /title@3-1=x"
        ))
    };
    let (place, insert) = pair(text).map_err(|_error| bad())?;
    let (path, at) = place.rsplit_once('@').ok_or_else(bad)?;
    let (at, delete) = at.split_once('-').unwrap_or((at, "0"));
    let number = |text: &str| text.parse::<usize>().map_err(|_error| bad());
    Ok(Edit::Splice {
        path: path.to_owned(),
        at: number(at)?,
        delete: number(delete)?,
        insert: insert.to_owned(),
    })
}

/// A time that somebody wrote, in seconds: it may be any number.
fn utc(seconds: i64) -> String {
    allod::utc(
        u64::try_from(seconds)
            .unwrap_or_default()
            .saturating_mul(1000),
    )
}

fn history(node: &Node, space: Option<&str>, key: &str, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let state = stated(node, &repo, &key_bytes(key)?, None)?;
    let mut document = Document::open(&state)?;
    for change in document.history() {
        let time = utc(change.time_s);
        let writer = hex(&change.actor);
        let value = json!({
            "change": hex(&change.hash),
            "writer": writer,
            "number": change.seq,
            "time": time,
            "operations": change.operations,
            "message": change.message,
        });
        io.data(&value, || {
            let message = change.message.clone().unwrap_or_default();
            let operations = count(change.operations);
            format!("{time}  {writer}  {operations:>5} operations  {message}")
                .trim_end()
                .to_owned()
        })?;
    }
    if document.left_out() > 0 {
        io.say(format!(
            "{} changes cannot be read, or depend on some that are not here",
            count(document.left_out() as u64)
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::utc;

    /// A change of a document says its time itself.
    #[test]
    fn any_time_is_shown() {
        assert_eq!(utc(1_795_206_684), "2026-11-20 20:31:24");
        assert_eq!(utc(-1), "1970-01-01 00:00:00");
        assert!(utc(i64::MAX).starts_with("584556019-"), "{}", utc(i64::MAX));
    }
}
