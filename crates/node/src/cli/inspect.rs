//! Looking inside: `stats`, `inspect`, `dump`.

use allod::one_commit;
use allod::shown::as_text;
use allod::shown::hex;
use std::ops::ControlFlow;
use std::time::Duration;

use allod::{Node, Position};
use allod_blocks::{Block, Codec, Latency, Operation, parse_cid};
use allod_identity::Event;
use allod_repo::{
    BranchName, Commit, CommitId, Entry, Parsed, Repo, State, Verb, parse, store_sizes,
};
use allod_tree::Tree;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::inspect_args::{InspectCommand, Stats};
use crate::cli::io::{Io, count, size};
use crate::cli::keys::key_text;
use crate::cli::pictures;
use crate::cli::projections;
use crate::cli::types::{parse_name, snapshot};

/// Bytes in a line of a dump.
const LINE: usize = 16;

pub(crate) fn stats(
    node: &Node,
    space: Option<&str>,
    options: &Stats,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = match node.position(&repo)? {
        Position::Branch(branch) => branch,
        Position::Detached(_) => BranchName::main(),
    };
    let stats = repo.stats(&branch)?;
    let sizes = if options.fast {
        None
    } else {
        let mut progress = io.progress("reading blocks");
        Some(store_sizes(node.store().as_ref(), &mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })?)
    };
    let disk = node.store().stats()?;
    let spaces = Verb::ALL.map(|verb| (verb.name(), node.timings().latency(verb)));
    let store = Operation::ALL.map(|asked| (asked.name(), node.metrics().latency(asked)));
    let latencies = [("space", spaces.to_vec()), ("store", store.to_vec())];
    let value = json!({
        "branch": branch.to_string(),
        "keys": stats.keys,
        "tombstones": stats.tombstones,
        "staged": stats.staged,
        "commits": stats.commits,
        "branches": stats.branches,
        "blocks": sizes.map(|sizes| sizes.blocks),
        "content_bytes": sizes.map(|sizes| sizes.content_bytes),
        "stored_bytes": sizes.map(|sizes| sizes.stored_bytes),
        "compression": node.config().compression.to_string(),
        "compression_ratio": sizes.map(|sizes| sizes.ratio()),
        "disk_bytes": disk.bytes,
        "log_entries": disk.log_end - disk.log_begin,
        "latency_us": latencies.iter().map(latency_value).collect::<serde_json::Map<_, _>>(),
    });
    io.data(&value, || {
        let mut text = format!(
            "{branch}: {} keys, {} deleted, {} staged\n{} commits on {} branches\n",
            count(stats.keys),
            count(stats.tombstones),
            count(stats.staged),
            count(stats.commits),
            count(stats.branches),
        );
        if let Some(sizes) = sizes {
            text += &format!(
                "{} blocks of {}, stored in {} (x {:.2}, now {})\n",
                count(sizes.blocks),
                size(sizes.content_bytes),
                size(sizes.stored_bytes),
                sizes.ratio(),
                node.config().compression,
            );
        }
        text += &format!(
            "{} on disk, {} log entries",
            size(disk.bytes),
            count(disk.log_end - disk.log_begin)
        );
        let rows = latencies
            .iter()
            .flat_map(|(of, each)| asked(each).map(move |(name, latency)| (of, name, latency)));
        for (of, name, latency) in rows {
            text += &format!(
                "\n{of} {name:<10} {:>9} times, p50 {:>8.0} us, p95 {:>8.0} us, p99 {:>8.0} us",
                count(latency.count),
                micros(latency.p50),
                micros(latency.p95),
                micros(latency.p99),
            );
        }
        text
    })
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What was asked for at least once.
fn asked<'a>(each: &'a [(&str, Latency)]) -> impl Iterator<Item = &'a (&'a str, Latency)> {
    each.iter().filter(|(_, latency)| latency.count > 0)
}

fn latency_value((of, each): &(&str, Vec<(&str, Latency)>)) -> (String, Value) {
    let values = asked(each).map(|(name, latency)| {
        let value = json!({
            "count": latency.count,
            "mean": micros(latency.mean),
            "p50": micros(latency.p50),
            "p95": micros(latency.p95),
            "p99": micros(latency.p99),
            "max": micros(latency.max),
        });
        ((*name).to_owned(), value)
    });
    ((*of).to_owned(), values.collect())
}

pub(crate) fn inspect(
    node: &Node,
    space: Option<&str>,
    command: &InspectCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    match command {
        InspectCommand::Commit { commit } => {
            let repo = node.space(space)?;
            let id = one_commit(&repo, commit)?;
            let signed = repo.commit(id)?;
            let mut value = commit_value(signed.payload());
            value["commit"] = json!(id.to_string());
            value["signer"] = json!(signed.signer().to_string());
            io.data(&value, || lines(&value))
        }
        InspectCommand::Tree { tree, svg, beside } => {
            let repo = node.space(space)?;
            let tree = tree_of(&repo, tree)?;
            if let Some(file) = svg {
                let beside = beside.as_ref().map(|text| tree_of(&repo, text));
                let beside = beside.transpose()?.map(|tree| tree.root());
                return pictures::tree(node, (&tree.root(), beside.as_ref()), file, io);
            }
            let value = tree_value(&tree)?;
            io.data(&value, || lines(&value))
        }
        InspectCommand::Projection { name, at } => {
            let repo = node.space(space)?;
            let snapshot = snapshot(node, &repo, &node.views(&repo)?, at.as_deref())?;
            let name = parse_name(name)?;
            let is_kept = snapshot.is_fresh(&name)?;
            let projected = projections::projected(&snapshot, &name, (false, None), io)?;
            let mut value = tree_value(&projected.tree)?;
            value["projection"] = json!(name.as_str());
            value["definition"] = json!(projections::described(&projected.projection));
            value["columns"] = json!(projected.projection.columns());
            value["was_kept"] = json!(is_kept);
            io.data(&value, || lines(&value))
        }
        InspectCommand::Block { cid } => {
            let block = block(node, cid)?;
            let mut value = parsed_value(&parse(&block));
            value["cid"] = json!(block.cid().to_string());
            value["codec"] = json!(codec_name(&block));
            value["bytes"] = json!(block.bytes().len());
            value["stored_bytes"] = json!(node.store().size(block.cid())?);
            io.data(&value, || lines(&value))
        }
    }
}

pub(crate) fn dump(node: &Node, cid: &str, raw: bool, io: &mut Io<'_>) -> Result<()> {
    let block = block(node, cid)?;
    if raw {
        return Ok(io.out.write_all(block.bytes())?);
    }
    let mut value = parsed_value(&parse(&block));
    value["cid"] = json!(block.cid().to_string());
    value["codec"] = json!(codec_name(&block));
    let said = lines(&value);
    value["base16"] = json!(hex(block.bytes()));
    io.data(&value, || {
        let mut text = String::new();
        for (row, bytes) in block.bytes().chunks(LINE).enumerate() {
            let shown: String = bytes
                .iter()
                .map(|byte| match byte {
                    0x20..0x7f => char::from(*byte),
                    _ => '.',
                })
                .collect();
            text += &format!("{:08x}  {:<32}  {shown}\n", row * LINE, hex(bytes));
        }
        text + &said
    })
}

/// What there is to know of a tree as a whole.
fn tree_value(tree: &Tree) -> Result<Value> {
    let stats = tree.stats()?;
    Ok(json!({
        "root": tree.root().to_string(),
        "depth": stats.depth,
        "nodes": stats.nodes,
        "leaves": stats.leaves,
        "entries": stats.entries,
        "bytes": stats.bytes,
        "bytes_per_node": stats.bytes / stats.nodes.max(1),
    }))
}

/// A tree by its root, or by a commit or branch that has it.
fn tree_of(repo: &Repo, text: &str) -> Result<Tree> {
    if let Ok(cid) = parse_cid(text)
        && !repo.has_commit(CommitId::from_cid(cid))?
    {
        return repo
            .tree(cid)
            .with_context(|| format!("{cid} is no tree here"));
    }
    let root = repo.state_root(one_commit(repo, text)?)?;
    Ok(repo.tree(root)?)
}

fn block(node: &Node, text: &str) -> Result<Block> {
    let cid = parse_cid(text).with_context(|| format!("{text:?} names nothing"))?;
    let block = node.store().get(&cid)?;
    block.with_context(|| format!("block {cid} is not here"))
}

fn codec_name(block: &Block) -> &'static str {
    match Codec::from_code(block.cid().codec()) {
        Some(Codec::Raw) => "raw",
        Some(Codec::DagPb) => "dag-pb",
        Some(Codec::DagCbor) => "dag-cbor",
        None => "unknown",
    }
}

fn commit_value(commit: &Commit) -> Value {
    json!({
        "author": commit.author.to_string(),
        "branch": commit.branch.to_string(),
        "generation": commit.generation,
        "message": commit.message,
        "parents": commit.parents.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "policy": commit.policy.map(|policy| policy.to_string()),
        "time": allod::utc(commit.stamp.millis()),
        "tree": commit.tree.to_string(),
    })
}

/// What a block says, by its kind.
fn parsed_value(parsed: &Parsed) -> Value {
    match parsed {
        Parsed::Commit(commit) => {
            let mut value = commit_value(commit.payload());
            value["kind"] = json!("commit");
            value["signer"] = json!(commit.signer().to_string());
            value
        }
        Parsed::Genesis(genesis) => {
            let said = genesis.payload();
            json!({
                "kind": "genesis",
                "name": said.name,
                "owner": said.owner.to_string(),
                "time": allod::utc(said.at),
            })
        }
        Parsed::KeyEvent(event) => json!({
            "kind": "key event",
            "agent": event.payload().agent.to_string(),
            "event": event_text(&event.payload().event),
            "signer": event.signer().to_string(),
        }),
        Parsed::Node(node) => {
            let rows = (0..node.len()).map(|index| {
                let key = key_text(&node.key(index).unwrap_or_default());
                match node.link(index) {
                    Some(link) => json!({
                        "up_to": key,
                        "node": link.to_string(),
                        "entries": node.count(index),
                    }),
                    None => entry_value(&key, &node.value(index).unwrap_or_default()),
                }
            });
            json!({
                "kind": if node.is_leaf() { "leaf" } else { "inner node" },
                "entries": node.total(),
                "rows": rows.collect::<Vec<_>>(),
            })
        }
        Parsed::Index(parts) => json!({
            "kind": "file index",
            "parts": parts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Parsed::Raw => json!({ "kind": "bytes" }),
        _ => json!({ "kind": "unknown" }),
    }
}

fn entry_value(key: &str, value: &bytes::Bytes) -> Value {
    let Ok(entry) = Entry::decode(value) else {
        return json!({ "key": key, "base16": hex(value) });
    };
    let time = allod::utc(entry.stamp.millis());
    match &entry.state {
        State::Tombstone => json!({ "key": key, "time": time, "deleted": true }),
        State::Link(cid) => json!({ "key": key, "time": time, "link": cid.to_string() }),
        State::Joining(kind, state) => {
            json!({ "key": key, "time": time, "joins": kind.name(), "base16": hex(state) })
        }
        State::JoiningLink(kind, cid) => {
            json!({ "key": key, "time": time, "joins": kind.name(), "link": cid.to_string() })
        }
        State::Value(value) => match as_text(value) {
            Some(text) => json!({ "key": key, "time": time, "value": text }),
            None => json!({ "key": key, "time": time, "base16": hex(value) }),
        },
    }
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Inception { .. } => "inception".to_owned(),
        Event::AddDevice { device, name, .. } => format!("adds device {device} ({name})"),
        _ => "another".to_owned(),
    }
}

/// The members of an object, one a line; lists below their names.
fn lines(value: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            });
            fields.collect::<Vec<_>>().join("  ")
        }
        other => other.to_string(),
    };
    let mut lines = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                lines.push(format!("{name:<14} {}", items.len()));
                lines.extend(items.iter().map(|item| format!("  {}", plain(item))));
            }
            other => lines.push(format!("{name:<14} {}", plain(other))),
        }
    }
    lines.join("\n")
}
