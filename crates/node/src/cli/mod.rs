//! The command line: what can be said, and where a command runs.

mod access;
mod access_args;
mod args;
mod ask_args;
mod asking;
mod attesting;
mod branch_args;
mod branches;
mod conflicts;
mod control;
mod data_args;
mod delta_args;
mod deltas;
mod demo;
mod doors;
mod events;
mod events_args;
mod explaining;
mod federate;
mod federate_args;
mod graph;
mod guardians;
mod history;
mod home;
mod home_args;
mod hooks;
mod http;
mod http_args;
mod id;
mod id_args;
mod id_show;
mod import;
mod inspect;
mod inspect_args;
mod io;
mod join_args;
mod joining;
mod keeping;
mod keys;
mod list_args;
mod listing;
mod log;
mod merge_args;
mod merging;
mod net;
mod pair;
mod part_args;
mod parts;
mod patch_args;
mod patching;
mod pictures;
mod projections;
mod qr;
mod recover;
mod remote_args;
mod remotes;
mod shapes;
mod sink_args;
mod sinks;
mod source_args;
mod sources;
mod space;
mod space_args;
mod sql;
mod sql_args;
mod standing;
mod status;
mod status_args;
mod svg;
mod svg_tree;
mod table_args;
mod tables;
mod tags;
mod token;
mod trust_args;
mod trusting;
mod types;
mod undo;
mod values;
mod view_args;
mod waiting;
mod work_args;
mod working;

use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use allod::{Home, Node, NodeError};
use allod_repo::{Denial, RepoError};
use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser as _};
use zeroize::Zeroizing;

use crate::cli::args::{Cli, Command};
use crate::cli::home_args::StoreCommand;
use crate::cli::io::{Io, Net};
use crate::cli::remotes::Way;

/// The command line was understood and makes no sense; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {}", words(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// An error and its causes, without saying the same twice.
fn words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    if let Some(denial) = denial(error) {
        text = format!("{text}: {}", io::plain(&denial.words()));
    }
    text
}

/// Which right was missing, where that is why something was not done.
fn denial(error: &anyhow::Error) -> Option<&Denial> {
    let of_node = error.downcast_ref::<NodeError>().map(|error| match error {
        NodeError::Repo(error) => Some(error),
        _ => None,
    });
    match of_node.unwrap_or_else(|| error.downcast_ref::<RepoError>())? {
        RepoError::Denied { denial, .. } => Some(denial),
        _ => None,
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() { 2 } else { 1 }
}

fn dispatch(cli: Cli) -> Result<u8> {
    let home = Home::at(home_path(cli.home.clone())?);
    if cli.command.signs() {
        hooks::check_outside()?;
    }
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "allod", &mut stdout());
            return Ok(0);
        }
        Command::Init(init) => return with_io(&cli, |io| home::init(&home, init, io)),
        Command::Demo(options) => return with_io(&cli, |io| demo::run(options, io)),
        Command::Up(up) => return with_io(&cli, |io| net::up(&home, up, io)),
        Command::Store {
            command: StoreCommand::Rebuild,
        } => return with_io(&cli, |io| keeping::rebuild(&home, io)),
        Command::Bisect(options) if !options.command.is_empty() => {
            let space = cli.space.as_deref();
            return with_io(&cli, |io| {
                asking::bisect_with(home.path(), space, options, io)
            });
        }
        Command::Sql(options) if sql::wants_shell(options) => {
            return with_io(&cli, |io| sql::shell::run(home.path(), &cli, options, io));
        }
        _ => {}
    }
    let mut secret = None;
    match open(&home, &cli.command, &mut secret) {
        Ok(node) => with_io(&cli, |io| {
            io.secret = secret;
            let outcome = run(&cli, &node, io);
            let told = hooks::tell(&node, io);
            outcome.and(told)
        }),
        // Whoever holds the home may be a node that takes commands.
        Err(error) => match error.downcast_ref::<NodeError>() {
            Some(NodeError::HomeLocked(_)) if home.socket().exists() => {
                control::ask(&home, &cli, secret).with_context(|| error.to_string())
            }
            _ => Err(error),
        },
    }
}

/// Opens the home with the keys that the command needs. What opened them is left in `secret` if the command seals them again.
fn open(home: &Home, command: &Command, secret: &mut Option<Zeroizing<Vec<u8>>>) -> Result<Node> {
    let config = home.config()?;
    let wants = command.signs() || (command.shows_keys() && !home::asks(&config.keys));
    let keys = if wants {
        let opened = home::secret(&config.keys)?;
        let keys = home.unlock(&opened)?;
        *secret = command.seals().then_some(opened);
        Some(keys)
    } else {
        None
    };
    let node = Node::open(home.clone(), keys)?;
    hooks::set_time(&node)?;
    Ok(node)
}

fn with_io(cli: &Cli, run: impl FnOnce(&mut Io<'_>) -> Result<()>) -> Result<u8> {
    let (mut out, mut err, mut input) = (stdout(), stderr(), stdin());
    let mut io = Io {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        json: cli.json,
        quiet: cli.quiet,
        verbose: cli.verbose,
        live: stderr().is_terminal() && !cli.quiet,
        columns: io::terminal_columns(),
        dir: std::env::current_dir()?,
        net: None,
        stop: None,
        secret: None,
    };
    let result = run(&mut io);
    let flushed = io.out.flush();
    match result {
        // A reader that had enough, like `head`, is no failure.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        Err(error) => Err(error),
        Ok(()) => flushed.map(|()| 0).map_err(Into::into),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Runs a command on an open node: in this process, or in the one that was asked.
pub(crate) fn run(cli: &Cli, node: &Node, io: &mut Io<'_>) -> Result<()> {
    let space = cli.space.as_deref();
    // What a command brings or looks up stays until it has said what refers to it.
    let _in_use = node.store().uses().hold();
    doors::ask(node, space, &cli.command)?;
    match &cli.command {
        Command::Id { command } => id::id(node, command.as_ref(), io),
        Command::Http { command } => http::http(node, command, io),
        Command::Space { command } => space::space(node, command, io),
        Command::Put { key, value } => values::put(node, space, key, value.as_deref(), io),
        Command::Get(options) => values::get(node, space, options, io),
        Command::Del { keys } => values::del(node, space, keys, io),
        Command::Ls(options) => listing::ls(node, space, options, io),
        Command::Import(options) => import::import(node, space, options, io),
        Command::Export(options) => values::export(node, space, options, io),
        Command::Add { file } => values::add(node, file, io),
        Command::Cat { cid } => values::cat(node, cid, io),
        Command::Commit(options) => history::commit(node, space, options, io),
        Command::Unstage(options) => working::unstage(node, space, options, io),
        Command::Stash(options) => working::stash(node, space, options, io),
        Command::Status => status::status(node, space, io),
        Command::Log(options) => log::log(node, space, options, io),
        Command::Blame(options) => asking::blame(node, space, options, io),
        Command::Bisect(options) => asking::bisect(node, space, options, io),
        Command::Undo(options) => undo::undo(node, space, options, io),
        Command::Show { commit } => history::show(node, space, commit, io),
        Command::Diff(options) => patching::diff(node, space, options, io),
        Command::Apply(options) => patching::apply(node, space, options, io),
        Command::Branch(options) => branches::branch(node, space, options, io),
        Command::Tag(options) => tags::tag(node, space, options, io),
        Command::Switch {
            name,
            detach,
            create,
        } => history::switch(node, space, name, *detach, *create, io),
        Command::Merge(options) => merging::merge(node, space, options, io),
        Command::CherryPick(options) => merging::pick(node, space, options, false, io),
        Command::Revert(options) => merging::pick(node, space, options, true, io),
        Command::Rebase(options) => merging::rebase(node, space, options, io),
        Command::Resolve(options) => conflicts::resolve(node, space, options, io),
        Command::Conflicts { limit, on } => {
            conflicts::conflicts(node, space, (*limit, on.as_deref()), io)
        }
        Command::MergeType { command } => merging::merge_types(node, space, command, io),
        Command::Sync(options) => net::sync(node, space, options, io),
        Command::Await(options) => waiting::await_commit(node, space, options, io),
        Command::Push(options) => remotes::transfer(node, space, (Way::Push, options), io),
        Command::Pull(options) => remotes::transfer(node, space, (Way::Pull, options), io),
        Command::Fetch(options) => remotes::fetch(node, space, options, io),
        Command::Remote(options) => remotes::remote(node, space, options, io),
        Command::Peers => net::peers(node, space, io),
        Command::Events { command } => events::events(node, space, command, io),
        Command::Federate { command } => federate::federate(node, space, command, io),
        Command::Delta { command } => deltas::deltas(node, space, command, io),
        Command::Sink { command } => sinks::sink(node, space, command, io),
        Command::Source { command } => sources::source(node, space, command, io),
        Command::Values { command } => joining::values(node, space, command, io),
        Command::Counter { command } => joining::counter(node, space, command, io),
        Command::Set { command } => joining::set(node, space, command, io),
        Command::Register { command } => joining::register(node, space, command, io),
        Command::Map { command } => joining::map(node, space, command, io),
        Command::List { command } => joining::list(node, space, command, io),
        Command::Doc { command } => joining::doc(node, space, command, io),
        Command::Type { command } => types::types(node, space, command, io),
        Command::Projection { command } => projections::projections(node, space, command, io),
        Command::Table(options) => tables::table(node, space, options, io),
        Command::Sql(options) => sql::sql(node, space, options, io),
        Command::Stats(options) => inspect::stats(node, space, options, io),
        Command::Inspect { command } => inspect::inspect(node, space, command, io),
        Command::Dump { cid, raw } => inspect::dump(node, cid, *raw, io),
        Command::Hooks(_) => hooks::hooks(node, io),
        Command::Gc(options) => keeping::gc(node, options, io),
        Command::Pin { cid, remove } => keeping::pin_command(node, cid.as_deref(), *remove, io),
        Command::Store { command } => keeping::store(node, command, io),
        Command::Check { repair, heal } => {
            keeping::check(node, space, *repair, heal.as_deref(), io)
        }
        command => run_about_people(node, space, command, io),
    }
}

/// The commands about people: what they say of each other, and whom to believe.
fn run_about_people(
    node: &Node,
    space: Option<&str>,
    command: &Command,
    io: &mut Io<'_>,
) -> Result<()> {
    match command {
        Command::Attest(options) => attesting::attest(node, options, io),
        Command::Attestations(options) => attesting::attestations(node, options, io),
        Command::Witness { record } => attesting::witness(node, record, io),
        Command::Revoke { record, reason } => {
            let reason = reason.as_deref();
            if access::revoke(node, (space, record), reason, io)? {
                return Ok(());
            }
            attesting::revoke(node, record, reason, io)
        }
        Command::Grant(options) => access::grant(node, space, options, io),
        Command::Grants(options) => access::grants(node, space, options, io),
        Command::Rules { command } => access::rules(node, space, command, io),
        Command::Member { command } => access::member(node, space, command, io),
        Command::Circle { command } => attesting::circle(node, command, io),
        Command::Trust { command } => trusting::trust(node, space, command, io),
        Command::Explain { what, last } => {
            explaining::explain(node, space, (what.as_deref(), *last), io)
        }
        _ => Err(Usage("this command does not run inside a node".to_owned()).into()),
    }
}

/// `--home`, else `$ALLOD_HOME`, else the platform's data directory.
fn home_path(option: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = option {
        return Ok(path);
    }
    let base = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(data) = base("XDG_DATA_HOME") {
        return Ok(PathBuf::from(data).join("allod"));
    }
    let home = base("HOME").context("set --home, ALLOD_HOME or HOME")?;
    let data = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    };
    Ok(PathBuf::from(home).join(data).join("allod"))
}

/// The network of a command that has none yet: a port of its own, for as long as it runs.
pub(crate) fn with_net<T>(
    node: &Node,
    io: &mut Io<'_>,
    run: impl FnOnce(&mut Io<'_>, &Net) -> Result<T>,
) -> Result<T> {
    match io.net.clone() {
        Some(net) => run(io, &net),
        None => with_own_net(node, (net::any_port(), 1), io, run),
    }
}

/// A network of the command's own, at an address and with so many threads.
pub(crate) fn with_own_net<T>(
    node: &Node,
    (listen, threads): (SocketAddr, usize),
    io: &mut Io<'_>,
    run: impl FnOnce(&mut Io<'_>, &Net) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let endpoint = {
        let _guard = runtime.enter();
        node.listen(listen)?
    };
    let net = Net {
        endpoint,
        handle: runtime.handle().clone(),
    };
    let result = run(io, &net);
    runtime.block_on(net.endpoint.close());
    result
}
