//! `commit`, `show` and `switch`, and what a text names.

use allod::one_commit;
use allod::shown::as_text;
use allod::shown::joining_text;
use allod::shown::state_value;
use allod::{Node, Position};
use allod_crdt::Kind;
use allod_identity::AgentId;
use allod_repo::{BranchName, Entry, Heads, State};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::branches::make_branch;
use crate::cli::io::{Io, count};
use crate::cli::keys::key_text;
use crate::cli::status::{Names, reached_text, reached_value};
use crate::cli::status_args::CommitArgs;
use crate::cli::values::branch as current_branch;
use crate::cli::waiting::wait_for;

/// Characters of a value that are shown in a list.
const SHOWN_CHARS: usize = 60;

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
        State::Joining(kind, state) => joining_words(*kind, state),
        State::JoiningLink(kind, cid) => format!("{kind} {cid}"),
        State::Value(value) => match as_text(value) {
            Some(text) => cut(text),
            None => format!("{} bytes", value.len()),
        },
    }
}

/// What a value that joins shows, in one line.
fn joining_words(kind: Kind, state: &[u8]) -> String {
    match joining_text(kind, state) {
        Ok(Some(text)) => cut(&text),
        Ok(None) => "deleted".to_owned(),
        Err(_) => format!("{kind} of {} bytes", state.len()),
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
            make_branch((node, &repo), name, None, &before)?;
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
