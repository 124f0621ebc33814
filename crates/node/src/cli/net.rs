//! `up`, `sync` and `peers`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use allod::{Home, Node, NodeError, Peer, PeerLag, SyncReport};
use allod_identity::DeviceId;
use allod_repo::Repo;
use allod_sync::{Backoff, Stats};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::home_args::Up;
use crate::cli::io::{Io, Net, Progress, count, size};
use crate::cli::status::lag_text;
use crate::cli::status_args::Sync;
use crate::cli::{control, home as keys, hooks, http, waiting, with_net};

/// Any address, any port.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}

/// Addresses under which others may reach a socket bound to `addr`.
///
/// For an unspecified address: loopback, and the address that the system would send from.
pub(crate) fn reachable(addr: SocketAddr) -> Vec<String> {
    if !addr.ip().is_unspecified() {
        return vec![addr.to_string()];
    }
    let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    // Connecting a UDP socket sends nothing; it only asks for the route.
    let route = UdpSocket::bind(any_port()).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    if let Ok(local) = route
        && !local.ip().is_loopback()
    {
        ips.insert(0, local.ip());
    }
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, addr.port()).to_string())
        .collect()
}

/// Runs the node until SIGINT or SIGTERM.
pub(crate) fn up(home: &Home, up: &Up, io: &mut Io<'_>) -> Result<()> {
    let config = home.config()?;
    let secret = keys::secret(&config.keys)?;
    let node = Node::open(home.clone(), Some(home.unlock(&secret)?))?;
    hooks::set_time(&node)?;
    node.agent()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before anybody is told that the node runs: who starts it may stop it at once.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let endpoint = node.listen(up.listen)?;
        let addr = endpoint.local_addr()?;
        let (listener, mut faults) = http::bind(&node, &up.http, io)?;
        let net = Net {
            endpoint: endpoint.clone(),
            handle: tokio::runtime::Handle::current(),
        };
        let (stop, stopped) = watch::channel(false);
        let control = control::listen(&node, net, stopped.clone())?;
        let mut value = json!({ "listen": addr.to_string(), "device": node.device()?.to_string() });
        let mut text = format!("listening on {addr}");
        if let Some(listener) = &listener {
            let url = listener.url();
            text += &format!("\nHTTP on {url}");
            value["http"] = url.into();
            if let Some(fingerprint) = listener.fingerprint() {
                text += &format!("\nits certificate has the SHA-256 {fingerprint}");
                value["http_fingerprint"] = fingerprint.into();
            }
        }
        io.data(&value, || text)?;
        io.out.flush()?;
        let sinks = node.carry_sinks(stopped.clone())?;
        let sources = node.import_sources(stopped.clone())?;
        let federating = tokio::spawn({
            let (node, stopped) = (node.clone(), stopped.clone());
            async move { node.federate(stopped).await }
        });
        let backoff = backoff(up);
        let serving = tokio::spawn({
            let (node, stopped) = (node.clone(), stopped);
            async move { node.serve(&endpoint, backoff, stopped).await }
        });
        let answering = listener.map(|listener| tokio::spawn(listener.serve(stop.subscribe())));
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                Some(fault) = faults.recv() => io.warn(format!("HTTP: {fault}"))?,
            }
        }
        stop.send_replace(true);
        if let Some(answering) = answering {
            answering.await??;
        }
        serving.await?;
        federating.await?;
        control.await?;
        let carried = tokio::task::spawn_blocking(move || sinks.join().and(sources.join()));
        if carried.await?.is_err() {
            io.warn("a sink or source failed while it was stopped; it goes on from where it was")?;
        }
        io.say("stopped")
    })
}

/// How peers that cannot be reached are tried again.
fn backoff(up: &Up) -> Backoff {
    Backoff {
        first_ms: up.retry_first.saturating_mul(1000),
        factor_percent: up.retry_factor.saturating_mul(100),
        most_ms: up.retry_most.saturating_mul(1000),
        attempts: up.retries,
    }
}

pub(crate) fn sync(
    node: &Node,
    space: Option<&str>,
    options: &Sync,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let peer = options.peer.as_deref();
    if options.watch {
        return waiting::watch(node, &repo, peer, io);
    }
    let mut peers = node.find_peers(&repo, peer)?;
    if peers.is_empty() {
        return Err(NodeError::NoPeer.into());
    }
    if peer.is_none() {
        peers.retain(|(_, peer)| !peer.paused);
        if peers.is_empty() {
            bail!("all peers are paused; name one, or say `allod remote resume`");
        }
    }
    with_net(node, io, |io, net| {
        let mut failed = 0;
        let mut refused = 0;
        for (device, peer) in &peers {
            // First, as a session may stumble over what is lost.
            heal(node, &repo, (*device, peer), net, io)?;
            match one(node, &repo, *device, peer, net, io) {
                Ok(report) => {
                    refused += report.stats.refused.len() + report.stats.refused_by_peer.len();
                    print_report(&report, io)?;
                }
                Err(error) => {
                    failed += 1;
                    let value = json!({ "peer": device.to_string(), "error": error.to_string() });
                    io.data(&value, || format!("{}  {error:#}", end_of(*device)))?;
                }
            }
        }
        node.touch();
        if refused > 0 {
            bail!("{refused} commits were refused, here or there; the rest was exchanged");
        }
        if failed == peers.len() {
            bail!("no peer could be reached; what is here stays, and goes out with the next sync");
        }
        Ok(())
    })
}

fn one(
    node: &Node,
    repo: &Repo,
    device: DeviceId,
    peer: &Peer,
    net: &Net,
    io: &mut Io<'_>,
) -> Result<SyncReport> {
    let mut progress = io.progress("receiving entries");
    let mut show = |stats: &Stats| show_progress(&mut progress, stats);
    let session = node.sync_with(&net.endpoint, repo, device, peer, &mut show);
    Ok(net.handle.block_on(session)?)
}

/// Asks the peer for what is known to be lost here (SYNC-36).
pub(crate) fn heal(
    node: &Node,
    repo: &Repo,
    (device, peer): (DeviceId, &Peer),
    net: &Net,
    io: &mut Io<'_>,
) -> Result<()> {
    let fetched = {
        let mut progress = io.progress("asking for lost blocks");
        let net = (&net.endpoint, &net.handle);
        let on = &mut |done| progress.at(done, 0);
        node.heal_noted(net, repo.id(), (device, peer), on)
    };
    match fetched {
        Ok(fetched) if fetched.is_empty() => Ok(()),
        Ok(fetched) => {
            let names: Vec<String> = fetched.iter().map(ToString::to_string).collect();
            let value = json!({ "peer": device.to_string(), "healed": names });
            let healed = count(names.len() as u64);
            io.data(&value, || {
                format!("{}  {healed} lost blocks are here again", end_of(device))
            })
        }
        Err(error) => io.say(format!(
            "{}  what is lost here could not be asked for: {error}",
            end_of(device)
        )),
    }
}

pub(crate) fn show_progress(progress: &mut Progress<'_>, stats: &Stats) {
    match &stats.walk {
        Some(walk) if walk.total > 0 => progress.at(walk.seen, walk.total),
        _ => progress.at(stats.entries_in, 0),
    }
}

/// The first session with the node that let this one join.
pub(crate) fn sync_first(
    node: &Node,
    repo: &Repo,
    device: DeviceId,
    net: &Net,
    io: &mut Io<'_>,
) -> Result<SyncReport> {
    let peers = node.peers(repo)?;
    let peer = peers.into_iter().find(|(known, _)| *known == device);
    let (_, peer) = peer.context("the node of the ticket is not known as a peer")?;
    one(node, repo, device, &peer, net, io)
}

pub(crate) fn print_report(report: &SyncReport, io: &mut Io<'_>) -> Result<()> {
    let stats = &report.stats;
    let io_verbose = io.verbose;
    let refused = |list: &[allod_sync::Refused]| -> Vec<Value> {
        let rows = list.iter();
        rows.map(|refused| {
            json!({
                "commit": refused.commit.to_string(),
                "code": refused.code,
                "reason": refused.reason,
            })
        })
        .collect()
    };
    let shown = |of: &[bytes::Bytes]| -> Vec<String> {
        of.iter().map(|it| it.escape_ascii().to_string()).collect()
    };
    let others = report.in_other_parts.iter();
    let others: Vec<(String, Vec<String>)> = others
        .map(|(branch, of)| (branch.to_string(), shown(of)))
        .collect();
    let value = json!({
        "in_other_parts": others.iter().cloned().collect::<BTreeMap<_, _>>(),
        "peer": report.peer.to_string(),
        "commits_in": stats.commits_in,
        "commits_out": stats.commits_out,
        "entries_in": stats.entries_in,
        "bytes_in": stats.bytes_in,
        "bytes_out": stats.bytes_out,
        "statements_in": stats.bare_in,
        "left_out": stats.left_out,
        "refused": refused(&stats.refused),
        "refused_by_peer": refused(&stats.refused_by_peer),
        "ms": report.elapsed.as_millis() as u64,
    });
    io.data(&value, || {
        let mut text = format!(
            "{}  in {} commits, {}; out {} commits, {}; {:.2} s",
            end_of(report.peer),
            count(stats.commits_in),
            size(stats.bytes_in),
            count(stats.commits_out),
            size(stats.bytes_out),
            report.elapsed.as_secs_f64()
        );
        if io_verbose > 0 {
            text += &format!(
                "\n  {} entries and {} blocks received, device {}",
                count(stats.entries_in),
                count(stats.blocks_in),
                report.peer
            );
        }
        if stats.left_out > 0 {
            text += &format!(
                "\n  {} commits stay behind: not all of them is kept here, and it gets them from others, or \
                they are too many for one session",
                count(stats.left_out)
            );
        }
        for (branch, of) in &others {
            text += &format!(
                "\n  nothing came of {branch}: the peer lets read no more of it than what begins with {}; `allod space part \
                --prefix` keeps that",
                of.join(", ")
            );
        }
        for refused in &stats.refused {
            text += &format!("\n  refused {}: {}", refused.commit.short(), refused.reason);
        }
        for refused in &stats.refused_by_peer {
            text += &format!(
                "\n  refused there {}: {}",
                refused.commit.short(),
                refused.reason
            );
        }
        text
    })
}

pub(crate) fn peers(node: &Node, space: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    for row in node.lags(&repo)? {
        let PeerLag { device, peer, .. } = &row;
        let device = *device;
        let synced = peer.synced_ms.map(allod::utc);
        let current = peer.is_current(&repo)?;
        let value = json!({
            "device": device.to_string(),
            "agent": peer.agent,
            "remote": peer.name,
            "addrs": peer.addrs,
            "synced": synced,
            "current": current,
            "part": peer.part,
            "paused": peer.paused,
        });
        io.data(&value, || {
            let paused = if peer.paused { "  paused" } else { "" };
            let synced = synced.clone().unwrap_or_else(|| "never".to_owned());
            let state = lag_text(&row);
            let addr = peer.addrs.first().map_or("no address", String::as_str);
            let name = peer
                .name
                .as_deref()
                .map_or(String::new(), |name| format!("  {name}"));
            format!(
                "{}{name}  {addr}  synced {synced}  {state}{paused}",
                end_of(device)
            )
        })?;
    }
    Ok(())
}

/// The end of a device's name, which `sync` takes.
pub(crate) fn end_of(device: DeviceId) -> String {
    let text = device.to_string();
    text.get(text.len().saturating_sub(8)..)
        .unwrap_or_default()
        .to_owned()
}
