//! `commit`, `show` and `switch`, and what a text names.

use allod::{Node, Position};
use allod_blocks::{Block, Codec, Store};
use allod_crdt::{Kind, State as Joinable};
use allod_identity::AgentId;
use allod_repo::{BranchName, CommitId, Entry, Heads, Repo, State, View, shown_text};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::branches::make_branch;
use crate::cli::io::{Io, as_text, count};
use crate::cli::joining::parsed;
use crate::cli::keys::key_text;
use crate::cli::status::{Names, reached_text, reached_value};
use crate::cli::status_args::CommitArgs;
use crate::cli::values::branch as current_branch;
use crate::cli::waiting::wait_for;

/// Characters of a value that are shown in a list.
const SHOWN_CHARS: usize = 60;

/// The one commit that a text means.
pub(crate) fn one_commit(repo: &Repo, text: &str) -> Result<CommitId> {
    let found = repo.find(text)?;
    match &found[..] {
        [one] => Ok(*one),
        [] => bail!("no commit or branch {text:?} in this space"),
        several => bail!(
            "{text:?} means {} commits; give more of the id",
            several.len()
        ),
    }
}

/// The heads of a branch, or a commit.
pub(crate) fn heads_at(repo: &Repo, text: &str) -> Result<Heads> {
    if let Ok(branch) = text.parse::<BranchName>() {
        let heads = repo.heads(&branch)?;
        if !heads.is_empty() {
            return Ok(heads);
        }
    }
    let tracked = tracked_at(repo, text)?;
    if !tracked.is_empty() {
        return Ok(tracked);
    }
    Ok(Heads::from([one_commit(repo, text)?]))
}

/// The heads of the tracking branch of this name, unless a tag has it.
fn tracked_at(repo: &Repo, text: &str) -> Result<Heads> {
    let tag = text.parse().ok().map(|name| repo.tag(&name)).transpose()?;
    match tag.flatten() {
        Some(_) => Ok(Heads::new()),
        None => Ok(repo.tracked_as(text)?),
    }
}

/// What a command looks at: a named branch or commit, else where the space stands.
pub(crate) fn heads_of(node: &Node, repo: &Repo, at: Option<&str>) -> Result<Heads> {
    match (at, node.position(repo)?) {
        (Some(at), _) => heads_at(repo, at),
        (None, Position::Branch(name)) => Ok(repo.heads(&name)?),
        (None, Position::Detached(id)) => Ok(Heads::from([id])),
    }
}

/// The state of a branch or commit.
pub(crate) fn view_at(repo: &Repo, text: &str) -> Result<View> {
    if let Ok(branch) = text.parse::<BranchName>()
        && !repo.heads(&branch)?.is_empty()
    {
        return Ok(repo.state(&branch)?);
    }
    let tracked = tracked_at(repo, text)?;
    if !tracked.is_empty() {
        return Ok(repo.together(&tracked)?);
    }
    Ok(repo.at(one_commit(repo, text)?)?)
}

pub(crate) fn commit(
    node: &Node,
    space: Option<&str>,
    options: &CommitArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = options.verify.space(node, space)?;
    let branch = current_branch(node, &repo)?;
    let staged = repo.staged(&branch)?.len() as u64;
    let id = repo.commit_staged(&branch, node.author()?, &options.message, allod::now_ms())?;
    node.touch();
    let value = json!({ "commit": id.to_string(), "branch": branch.as_str(), "keys": staged });
    io.data(&value, || {
        format!("{}  {} keys on {branch}", id.short(), count(staged))
    })?;
    let Some(peers) = options.until_peers else {
        return Ok(());
    };
    // Whoever gives up waiting knows what it is that leaves later.
    io.out.flush()?;
    wait_for(
        node,
        &repo,
        &Heads::from([id]),
        (peers, options.timeout),
        io,
    )
}

/// An agent as people tell them apart: `me`, or the end of the id.
pub(crate) fn who(node: &Node, agent: &AgentId) -> String {
    if node.agent().is_ok_and(|me| me == *agent) {
        return "me      ".to_owned();
    }
    let text = agent.to_string();
    text.get(text.len().saturating_sub(8)..)
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn show(node: &Node, space: Option<&str>, commit: &str, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let id = one_commit(&repo, commit)?;
    let commit = repo.commit(id)?;
    let said = commit.payload();
    let changes = repo
        .changes_of(&commit, usize::MAX)?
        .context("the commit removes keys for good")?;
    let parents: Vec<String> = said.parents.iter().map(ToString::to_string).collect();
    let reached = node.reached(&repo, id)?;
    let mut value = json!({
        "commit": id.to_string(),
        "author": said.author.to_string(),
        "device": commit.signer().to_string(),
        "branch": said.branch.as_str(),
        "time": allod::utc(said.stamp.millis()),
        "message": said.message,
        "parents": parents,
        "tree": said.tree.to_string(),
        "generation": said.generation,
        "reached": reached_value(&reached),
    });
    if io.json {
        let rows: Result<Vec<Value>> = changes
            .iter()
            .map(|(key, entry)| {
                let entry = Entry::decode(entry)?;
                Ok(json!({ "key": key_text(key), "value": state_value(repo.store().as_ref(), &entry.state) }))
            })
            .collect();
        value["changes"] = rows?.into();
        return io.data(&value, String::new);
    }
    io.line(format!("commit   {id}"))?;
    io.line(format!("author   {}", said.author))?;
    io.line(format!("device   {}", commit.signer()))?;
    io.line(format!("time     {} UTC", allod::utc(said.stamp.millis())))?;
    io.line(format!(
        "branch   {}, generation {}",
        said.branch, said.generation
    ))?;
    io.line(format!("tree     {}", said.tree))?;
    let names = Names::in_space(node, &repo)?;
    io.line(format!("where    {}", reached_text(&reached, &names)))?;
    for parent in parents {
        io.line(format!("parent   {parent}"))?;
    }
    io.line(format!("\n    {}\n", said.message.replace('\n', "\n    ")))?;
    for (key, entry) in &changes {
        let entry = Entry::decode(entry)?;
        let mark = if entry.is_live() { '+' } else { '-' };
        io.line(format!(
            "{mark} {}  {}",
            key_text(key),
            state_text(&entry.state)
        ))?;
    }
    Ok(())
}

/// A state in a few words.
pub(crate) fn state_text(state: &State) -> String {
    match state {
        State::Tombstone => "deleted".to_owned(),
        State::Link(cid) => format!("file {cid}"),
        State::Joining(kind, state) => joining_text(*kind, state),
        State::JoiningLink(kind, cid) => format!("{kind} {cid}"),
        State::Value(value) => match as_text(value) {
            Some(text) => cut(text),
            None => format!("{} bytes", value.len()),
        },
    }
}

/// What a value that joins shows; none if it has no value, or cannot be read.
fn joining(kind: Kind, state: &[u8]) -> Result<Option<String>> {
    Ok(shown_text(&Joinable::decode(kind, state)?)?)
}

/// What a value that joins shows, in one line.
fn joining_text(kind: Kind, state: &[u8]) -> String {
    match joining(kind, state) {
        Ok(Some(text)) => cut(&text),
        Ok(None) => "deleted".to_owned(),
        Err(_) => format!("{kind} of {} bytes", state.len()),
    }
}

/// What a value that joins shows, and its kind.
fn joining_value(kind: Kind, state: &[u8]) -> Value {
    match joining(kind, state) {
        Ok(Some(text)) => json!({ "joins": kind.name(), "value": parsed(&text) }),
        Ok(None) => Value::Null,
        Err(_) => json!({ "joins": kind.name(), "damaged": true }),
    }
}

/// The first line of a text, as far as it is shown.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push_str(" ...");
    }
    shown
}

/// The whole of a state for programs: text as it is, other bytes in base64, a file by its name, and
/// nothing for what was deleted.
pub(crate) fn state_value(store: &dyn Store, state: &State) -> Value {
    let bytes = match state {
        State::Tombstone => return Value::Null,
        State::Value(value) => Some(value.clone()),
        State::Link(cid) if cid.codec() == Codec::Raw.code() => {
            // What is not here, or damaged, is named all the same.
            let block = store.get(cid).ok().flatten();
            block.map(Block::into_bytes)
        }
        State::Link(_) => None,
        State::Joining(kind, state) => return joining_value(*kind, state),
        State::JoiningLink(kind, cid) => {
            let block = store.get(cid).ok().flatten();
            return match block {
                Some(block) => joining_value(*kind, block.bytes()),
                None => json!({ "joins": kind.name(), "block": cid.to_string() }),
            };
        }
    };
    match (bytes, state) {
        (Some(bytes), _) => match std::str::from_utf8(&bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": multibase::Base::Base64Pad.encode(&bytes) }),
        },
        (None, State::Link(cid)) => json!({ "file": cid.to_string() }),
        (None, _) => Value::Null,
    }
}

pub(crate) fn switch(
    node: &Node,
    space: Option<&str>,
    name: &str,
    detach: bool,
    create: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let before = node.position(&repo)?;
    let position = if detach {
        Position::Detached(one_commit(&repo, name)?)
    } else {
        if create {
            make_branch(&repo, name, None, &before)?;
        }
        let branch: BranchName = name
            .parse()
            .map_err(|error| Usage(format!("{name:?}: {error}")))?;
        if repo.heads(&branch)?.is_empty() && branch != BranchName::main() {
            if repo.find(name).is_ok_and(|found| !found.is_empty()) {
                bail!("{name} is a commit and no branch; `allod switch --detach {name}` shows it");
            }
            bail!("no branch {branch}; make it with `allod switch -c {branch}`");
        }
        Position::Branch(branch)
    };
    node.switch(&repo, &position)?;
    if let Position::Branch(left) = &before
        && before != position
    {
        let staged = repo.staged(left)?.len() as u64;
        if staged > 0 {
            io.say(format!("{} staged keys stay with {left}", count(staged)))?;
        }
    }
    match position {
        Position::Branch(branch) => io.say(format!("at branch {branch}")),
        Position::Detached(id) => io.say(format!("at commit {}, to look at it", id.short())),
    }
}
