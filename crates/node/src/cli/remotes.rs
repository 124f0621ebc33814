//! `remote`, `push`, `pull` and `fetch`.

use std::net::SocketAddr;

use allod::{Moved, Node, NodeError, Peer, SyncReport};
use allod_identity::DeviceId;
use allod_repo::{BranchName, CommitId, Heads, Repo};
use allod_sync::{Branches, Stats};
use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::io::Io;
use crate::cli::net::{end_of, heal, print_report, show_progress};
use crate::cli::remote_args::{Fetch, RemoteArgs, RemoteCommand, Transfer, Which};
use crate::cli::status::called;
use crate::cli::{Usage, values, with_net};

pub(crate) fn remote(
    node: &Node,
    space: Option<&str>,
    options: &RemoteArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match &options.command {
        None | Some(RemoteCommand::List) => list(node, &repo, io),
        Some(RemoteCommand::Add { name, peer }) => {
            let (device, addrs) = find(node, &repo, peer)?;
            node.add_remote(&repo, name, device, &addrs)?;
            let value = json!({ "remote": name, "device": device.to_string(), "addrs": addrs });
            io.data(&value, || format!("{name}  {device}"))
        }
        Some(RemoteCommand::Rename { name, to }) => {
            node.rename_remote(&repo, name, to)?;
            io.data(&json!({ "remote": to, "was": name }), || to.clone())
        }
        Some(RemoteCommand::Pause(which)) => pause(node, &repo, (which, true), io),
        Some(RemoteCommand::Resume(which)) => pause(node, &repo, (which, false), io),
        Some(RemoteCommand::Remove { name }) => {
            node.remove_remote(&repo, name)?;
            io.data(&json!({ "removed": name }), || {
                format!("{name} is no remote any more")
            })
        }
    }
}

fn pause(node: &Node, repo: &Repo, (which, paused): (&Which, bool), io: &mut Io<'_>) -> Result<()> {
    let peers = node.find_peers(repo, which.name.as_deref())?;
    match (&peers[..], &which.name) {
        ([], _) => return Err(NodeError::NoPeer.into()),
        ([_, _, ..], Some(name)) => return Err(NodeError::ManyPeers(Some(name.clone())).into()),
        _ => {}
    }
    for (device, peer) in &peers {
        node.pause(repo, *device, paused)?;
        let value = json!({ "peer": device.to_string(), "paused": paused });
        let word = if paused { "paused" } else { "resumed" };
        io.data(&value, || format!("{}  {word}", called(*device, peer)))?;
    }
    Ok(())
}

fn list(node: &Node, repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    for (name, device, Peer { addrs, .. }) in node.remotes(repo)? {
        let value = json!({ "remote": name, "device": device.to_string(), "addrs": addrs });
        io.data(&value, || {
            let addr = addrs.first().map_or("no address", String::as_str);
            format!("{name}  {}  {addr}", end_of(device))
        })?;
    }
    Ok(())
}

/// A device and addresses of it, as they were given, or of a peer that is known.
fn find(node: &Node, repo: &Repo, text: &str) -> Result<(DeviceId, Vec<String>)> {
    let (device, addr) = match text.rsplit_once('@') {
        Some((device, addr)) => (device, Some(addr)),
        None => (text, None),
    };
    let addrs = match addr.map(str::parse::<SocketAddr>) {
        None => Vec::new(),
        Some(Ok(addr)) => vec![addr.to_string()],
        Some(Err(_)) => {
            let usage = "a remote is DEVICE@ADDRESS:PORT, as did:key:z6Mk...@192.0.2.7:4040";
            return Err(Usage(format!("{text:?}: {usage}")).into());
        }
    };
    match device.parse() {
        Ok(device) => Ok((device, addrs)),
        Err(_) => Ok((node.remote(repo, Some(device))?.0, addrs)),
    }
}

pub(crate) fn fetch(
    node: &Node,
    space: Option<&str>,
    options: &Fetch,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let (device, peer) = node.remote(&repo, options.remote.as_deref())?;
    let branches = match &options.branches[..] {
        [] => Branches::All,
        names => Branches::Only(parse(names)?),
    };
    with_net(node, io, |io, net| {
        let fetched = {
            let mut progress = io.progress("receiving entries");
            let mut show = |stats: &Stats| show_progress(&mut progress, stats);
            let what = (branches, options.prune);
            let fetch = node.fetch(&net.endpoint, &repo, (device, &peer), what, &mut show);
            net.handle.block_on(fetch)
        };
        let (report, moved) = fetched?;
        print_report(&report, io)?;
        for Moved { name, was, heads } in &moved {
            let ids = |heads: &Heads| heads.iter().map(ToString::to_string).collect::<Vec<_>>();
            let value = json!({ "tracking": name, "was": ids(was), "heads": ids(heads) });
            io.data(&value, || match (was.is_empty(), heads.is_empty()) {
                (true, _) => format!("{name}  {} (new)", shorts(heads)),
                (_, true) => format!("{name}  forgotten; it was at {}", shorts(was)),
                _ => format!("{name}  {} -> {}", shorts(was), shorts(heads)),
            })?;
        }
        node.touch();
        check_transfer(&report, "here")
    })
}

/// Heads as people tell them apart.
pub(crate) fn shorts(heads: &Heads) -> String {
    let shorts: Vec<String> = heads.iter().map(CommitId::short).collect();
    shorts.join(", ")
}

/// Fails if not all went through that was asked for.
fn check_transfer(report: &SyncReport, refused_where: &str) -> Result<()> {
    let refused = report.stats.refused.len() + report.stats.refused_by_peer.len();
    if refused > 0 {
        bail!("{refused} commits were refused {refused_where}; the rest went through");
    }
    if !report.absent.is_empty() {
        let absent: Vec<&str> = report.absent.iter().map(BranchName::as_str).collect();
        bail!(
            "the remote has no branch {}",
            absent.join(" and no branch ")
        );
    }
    Ok(())
}

/// Which way a transfer goes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Way {
    /// To the remote.
    Push,
    /// From it.
    Pull,
}

pub(crate) fn transfer(
    node: &Node,
    space: Option<&str>,
    (way, options): (Way, &Transfer),
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let (device, peer) = one_remote(node, &repo, way, options)?;
    let branches = branches(node, &repo, options)?;
    with_net(node, io, |io, net| {
        // First, as a session may stumble over what is lost.
        heal(node, &repo, (device, &peer), net, io)?;
        let report = {
            let label = if way == Way::Push {
                "sending commits"
            } else {
                "receiving entries"
            };
            let mut progress = io.progress(label);
            let mut show = |stats: &Stats| match way {
                Way::Push => progress.at(stats.commits_out, 0),
                Way::Pull => show_progress(&mut progress, stats),
            };
            let to = (device, &peer);
            match way {
                Way::Push => {
                    let push = node.push(&net.endpoint, &repo, to, branches, &mut show);
                    net.handle.block_on(push)
                }
                Way::Pull => {
                    let pull = node.pull(&net.endpoint, &repo, to, branches, &mut show);
                    net.handle.block_on(pull)
                }
            }
        };
        let report = report?;
        print_report(&report, io)?;
        node.touch();
        check_transfer(&report, if way == Way::Push { "there" } else { "here" })
    })
}

/// Which peer is meant. Who gives a branch where the remote belongs is told how to say it.
fn one_remote(node: &Node, repo: &Repo, way: Way, options: &Transfer) -> Result<(DeviceId, Peer)> {
    let name = options.remote.as_deref();
    node.remote(repo, name).map_err(|error| {
        let branch = name.and_then(|name| name.parse::<BranchName>().ok());
        match branch {
            Some(branch) if repo.heads(&branch).is_ok_and(|heads| !heads.is_empty()) => {
                let verb = if way == Way::Push { "push" } else { "pull" };
                Usage(format!(
                    "{error}; the branch is `allod {verb} origin {branch}`"
                ))
                .into()
            }
            _ => error.into(),
        }
    })
}

fn branches(node: &Node, repo: &Repo, options: &Transfer) -> Result<Branches> {
    if options.all {
        return Ok(Branches::All);
    }
    if options.branches.is_empty() {
        return Ok(Branches::Only(vec![values::branch(node, repo)?]));
    }
    Ok(Branches::Only(parse(&options.branches)?))
}

fn parse(names: &[String]) -> Result<Vec<BranchName>> {
    let names = names.iter().map(|name| {
        let parsed = name.parse::<BranchName>();
        parsed.map_err(|error| Usage(format!("{name:?}: {error}")))
    });
    Ok(names.collect::<Result<_, _>>()?)
}
