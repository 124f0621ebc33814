//! Which doors of a space a command passes, and who is asked there: the agent of the home (ACCESS-26).
//!
//! What a command commits is asked about key by key when the commit is made; here it is said before anything is done.

use allod::{Node, Position};
use allod_access::{Door, Target};
use anyhow::Result;

use crate::cli::args::Command;
use crate::cli::keys::key_bytes;
use crate::cli::trust_args::TrustCommand;

/// What a command wants of the space that it is about.
enum Needs<'a> {
    /// Nothing: it is about the home, or asks by itself.
    Nothing,
    /// These keys.
    Keys(Door, Vec<&'a str>),
    /// All keys that begin so.
    Prefix(Door, &'a str),
    /// The branch as such.
    Branch(Door, Option<&'a str>),
}

/// Asks for a command, before it is run.
pub(crate) fn ask(node: &Node, space: Option<&str>, command: &Command) -> Result<()> {
    let needs = needs(command);
    if matches!(needs, Needs::Nothing) {
        return Ok(());
    }
    // A command that cannot find its space says so itself.
    let Ok(repo) = node.space(space) else {
        return Ok(());
    };
    let branch = match node.position(&repo)? {
        Position::Branch(branch) => branch,
        Position::Detached(commit) => repo.commit(commit)?.payload().branch.clone(),
    };
    let (who, branch) = (node.principal()?, branch.as_str());
    match needs {
        Needs::Nothing => {}
        Needs::Keys(door, keys) => {
            for key in keys {
                let key = key_bytes(key)?;
                node.ask(&repo, door, &who, (branch, Target::Key(&key)))?;
            }
        }
        Needs::Prefix(door, prefix) => {
            // More than what is kept here cannot be shown.
            for prefix in Node::kept_of(&repo, &key_bytes(prefix)?) {
                node.ask_all(&repo, door, &who, (branch, Target::Prefix(&prefix)))?;
            }
        }
        Needs::Branch(door, other) => {
            let branch = other.unwrap_or(branch);
            node.ask(&repo, door, &who, (branch, Target::Branch))?;
        }
    }
    Ok(())
}

/// What each command wants. Those that change `meta` are asked about when they commit, as they are of the doors of who
/// administers a space.
#[expect(
    clippy::too_many_lines,
    reason = "one place for all commands, so that a new one has to be thought of"
)]
fn needs(command: &Command) -> Needs<'_> {
    match command {
        Command::Get(options) => Needs::Keys(Door::Get, vec![&options.key]),
        Command::Put { key, .. } => Needs::Keys(Door::Put, vec![key]),
        Command::Del { keys } => {
            Needs::Keys(Door::Delete, keys.iter().map(String::as_str).collect())
        }
        Command::Ls(options) => {
            Needs::Prefix(Door::Range, options.prefix.as_deref().unwrap_or_default())
        }
        Command::Export(options) => {
            Needs::Prefix(Door::Export, options.prefix.as_deref().unwrap_or_default())
        }
        Command::Import(_) | Command::Apply(_) | Command::Resolve(_) => {
            Needs::Branch(Door::Put, None)
        }
        Command::Blame(options) if options.prefix => Needs::Prefix(Door::Blame, &options.key),
        Command::Blame(options) => Needs::Keys(Door::Blame, vec![&options.key]),
        Command::Log(_) | Command::Bisect(_) => Needs::Prefix(Door::History, ""),
        Command::Show { .. } | Command::Inspect { .. } => Needs::Prefix(Door::Inspect, ""),
        Command::Diff(_) | Command::Conflicts { .. } => Needs::Prefix(Door::Diff, ""),
        Command::Stash(_) => Needs::Prefix(Door::Stash, ""),
        Command::Commit(_) | Command::Undo(_) | Command::Rebase(_) => {
            Needs::Branch(Door::Commit, None)
        }
        Command::Merge(_) => Needs::Branch(Door::Merge, None),
        Command::CherryPick(_) | Command::Revert(_) => Needs::Branch(Door::CherryPick, None),
        Command::Branch(options) => match &options.name {
            Some(name) if options.delete => Needs::Branch(Door::DeleteBranch, Some(name)),
            Some(name) => Needs::Branch(Door::CreateBranch, Some(name)),
            None => Needs::Nothing,
        },
        Command::Switch {
            name, create: true, ..
        } => Needs::Branch(Door::CreateBranch, Some(name)),
        Command::Sql(_) | Command::Table(_) => Needs::Prefix(Door::Sql, ""),
        Command::Projection { .. } => Needs::Prefix(Door::Projection, ""),
        Command::Events { .. } => Needs::Branch(Door::Feed, None),
        Command::Sink { .. } => Needs::Branch(Door::Sink, None),
        Command::Delta { .. } => Needs::Prefix(Door::Range, ""),
        Command::Counter { .. }
        | Command::Set { .. }
        | Command::Register { .. }
        | Command::Map { .. }
        | Command::List { .. }
        | Command::Doc { .. } => Needs::Branch(Door::Get, None),
        Command::Stats(_) => Needs::Prefix(Door::Count, ""),
        Command::Trust {
            command: TrustCommand::TakeIn { .. },
        } => Needs::Branch(Door::Commit, None),
        Command::Space { .. }
        | Command::Trust { .. }
        | Command::Init(_)
        | Command::Id { .. }
        | Command::Up(_)
        | Command::Http { .. }
        | Command::Add { .. }
        | Command::Cat { .. }
        | Command::Unstage(_)
        | Command::Status
        | Command::Tag(_)
        | Command::Switch { .. }
        | Command::MergeType { .. }
        | Command::Sync(_)
        | Command::Await(_)
        | Command::Push(_)
        | Command::Pull(_)
        | Command::Fetch(_)
        | Command::Remote(_)
        | Command::Peers
        | Command::Federate { .. }
        | Command::Source { .. }
        | Command::Values { .. }
        | Command::Type { .. }
        | Command::Check { .. }
        | Command::Dump { .. }
        | Command::Hooks(_)
        | Command::Attest(_)
        | Command::Attestations(_)
        | Command::Witness { .. }
        | Command::Grant(_)
        | Command::Grants(_)
        | Command::Rules { .. }
        | Command::Member { .. }
        | Command::Revoke { .. }
        | Command::Circle { .. }
        | Command::Explain { .. }
        | Command::Gc(_)
        | Command::Pin { .. }
        | Command::Store { .. }
        | Command::Completions { .. }
        | Command::Demo(_) => Needs::Nothing,
    }
}
