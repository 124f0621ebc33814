//! Which doors of a space a command passes, and who is asked there: the agent of the home (ACCESS-26). Of a state that it names
//! it is asked by the branch that this is, or by one that has it.
//!
//! What a command commits is asked about key by key when the commit is made; here it is said before anything is done.

use allod::{Node, NodeError, Position, branch_heads, heads_at};
use allod_access::{Door, Principal, Target};
use allod_repo::{Heads, Repo};
use allod_tables::moment;
use anyhow::Result;

use crate::cli::args::Command;
use crate::cli::inspect_args::InspectCommand;
use crate::cli::join_args::{
    CounterCommand, DocCommand, ListCommand, MapCommand, RegisterCommand, SetCommand, ShowValue,
    ValuesCommand,
};
use crate::cli::keys::key_bytes;
use crate::cli::trust_args::TrustCommand;
use crate::cli::view_args::{ProjectionCommand, TypeCommand};

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
    for state in states(&repo, command)? {
        ask_at(node, &repo, &needs, state.as_deref())?;
    }
    Ok(())
}

/// Asks for what is wanted of one state.
fn ask_at(node: &Node, repo: &Repo, needs: &Needs<'_>, state: Option<&str>) -> Result<()> {
    let (who, place) = (node.principal()?, Place::of(node, repo, state)?);
    match needs {
        Needs::Nothing => {}
        Needs::Keys(door, keys) => {
            for key in keys {
                let key = key_bytes(key)?;
                place.ask(node, repo, (*door, &who), Target::Key(&key))?;
            }
        }
        Needs::Prefix(door, prefix) => {
            // More than what is kept here cannot be shown.
            for prefix in Node::kept_of(repo, &key_bytes(prefix)?) {
                place.ask(node, repo, (*door, &who), Target::Prefix(&prefix))?;
            }
        }
        Needs::Branch(door, other) => {
            let place = match other {
                Some(name) => Place::Branch((*name).to_owned()),
                None => place,
            };
            place.ask(node, repo, (*door, &who), Target::Branch)?;
        }
    }
    Ok(())
}

/// Where a state is.
enum Place {
    /// It is what a branch has.
    Branch(String),
    /// It is that of commits, on whatever branch they are.
    Commits(Heads),
}

impl Place {
    /// Of what a command names; of where the space stands if that is none, or if it names nothing that is here, as the command says
    /// itself then.
    fn of(node: &Node, repo: &Repo, state: Option<&str>) -> Result<Self> {
        if let Some(text) = state.filter(|text| moment(text).is_none()) {
            if let Ok((name, _)) = branch_heads(repo, text) {
                return Ok(Self::Branch(name.to_string()));
            }
            if let Ok(heads) = heads_at(repo, text) {
                return Ok(Self::Commits(heads));
            }
        }
        Ok(match node.position(repo)? {
            Position::Branch(name) => Self::Branch(name.to_string()),
            Position::Detached(id) => Self::Commits(Heads::from([id])),
        })
    }

    /// Asks for keys there, of which all have to be allowed.
    fn ask(
        &self,
        node: &Node,
        repo: &Repo,
        by: (Door, &Principal),
        target: Target<'_>,
    ) -> Result<()> {
        let (door, who) = by;
        match self {
            Self::Branch(name) => node.ask_all(repo, door, who, (name, target))?,
            Self::Commits(heads) => {
                let seen = node.see_commits(repo, by, heads.clone(), target)?;
                if !seen.sight.is_whole() {
                    return Err(NodeError::DeniedInPart { door: door.name() }.into());
                }
            }
        }
        Ok(())
    }
}

/// The states that a command reads: those that it names, and where the space stands (none).
fn states(repo: &Repo, command: &Command) -> Result<Vec<Option<String>>> {
    let named = match command {
        Command::Get(options) => vec![&options.at],
        Command::Ls(options) => vec![&options.at],
        Command::Export(options) => vec![&options.at],
        Command::Blame(options) => vec![&options.at],
        Command::Log(options) if options.all => {
            let all = repo.branches()?.into_iter();
            let all = all.filter(|(name, _)| !name.is_meta());
            return Ok(all.map(|(name, _)| Some(name.to_string())).collect());
        }
        Command::Log(options) => vec![&options.from],
        Command::Diff(options) => vec![&options.before, &options.after],
        Command::Conflicts { on, .. } => vec![on],
        Command::Sql(options) => vec![&options.at],
        Command::Projection { command } => vec![match command {
            ProjectionCommand::Query(options) => &options.at,
            _ => &None,
        }],
        Command::Inspect {
            command: InspectCommand::Projection { at, .. },
        }
        | Command::Type {
            command: TypeCommand::Check { at, .. },
        } => vec![at],
        Command::Inspect {
            command:
                InspectCommand::Commit { commit: state } | InspectCommand::Tree { tree: state, .. },
        }
        | Command::Show { commit: state } => return Ok(vec![Some(state.clone())]),
        command => vec![shown(command).map_or(&None, |(_, at)| at)],
    };
    Ok(named.into_iter().cloned().collect())
}

/// The key whose value a command shows that is about values that join, and of which state.
fn shown(command: &Command) -> Option<(&str, &Option<String>)> {
    match command {
        Command::Counter {
            command: CounterCommand::Show(ShowValue { key, at }),
        }
        | Command::Set {
            command: SetCommand::Show(ShowValue { key, at }),
        }
        | Command::Register {
            command: RegisterCommand::Show(ShowValue { key, at }),
        }
        | Command::Map {
            command: MapCommand::Show(ShowValue { key, at }),
        }
        | Command::List {
            command: ListCommand::Show(ShowValue { key, at }),
        }
        | Command::Doc {
            command: DocCommand::Show(ShowValue { key, at }),
        }
        | Command::Values {
            command: ValuesCommand::Show { key, at },
        } => Some((key, at)),
        _ => None,
    }
}

/// What each command wants. Those that change `meta` are asked about when they commit, as they are of the doors of who
/// administers a space.
#[expect(
    clippy::too_many_lines,
    reason = "one place for all commands, so that a new one has to be thought of"
)]
fn needs(command: &Command) -> Needs<'_> {
    if let Some((key, _)) = shown(command) {
        return Needs::Keys(Door::Get, vec![key]);
    }
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
        Command::Show { .. }
        | Command::Inspect { .. }
        | Command::Type {
            command: TypeCommand::Check { .. },
        } => Needs::Prefix(Door::Inspect, ""),
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
