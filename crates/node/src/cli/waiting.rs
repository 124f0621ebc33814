//! Waiting for peers: `await`, `commit --until-peers`, `sync --watch`.

use allod::heads_at;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use allod::{Node, PeerLag};
use allod_identity::DeviceId;
use allod_repo::{Heads, Repo};
use allod_sync::Backoff;
use anyhow::Result;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::{self, Receiver};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cli::io::{Io, Net};
use crate::cli::remotes::shorts;
use crate::cli::status::{Names, peer_text, peer_value, reached_text, reached_value};
use crate::cli::status_args::Await;
use crate::cli::with_net;

/// How often it is looked whether whoever asked is still there: nothing else tells.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn await_commit(
    node: &Node,
    space: Option<&str>,
    options: &Await,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let commits = heads_at(&repo, &options.commit)?;
    wait_for(node, &repo, &commits, (options.peers, options.timeout), io)
}

/// Waits until so many peers have all of some commits, and prints which; fails after so many seconds.
pub(crate) fn wait_for(
    node: &Node,
    repo: &Repo,
    commits: &Heads,
    (peers, seconds): (u16, Option<u32>),
    io: &mut Io<'_>,
) -> Result<()> {
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let reached = in_touch(node, io, |io, net| {
        let stop = io.stop.clone();
        let until = async {
            tokio::select! {
                () = over(deadline) => {}
                () = stopped(stop) => {}
            }
        };
        let mut waiting = pin!(node.await_reached(repo, commits, peers.into(), until));
        loop {
            let look = async { timeout(LOOK_EVERY, waiting.as_mut()).await };
            match net.handle.block_on(look) {
                Ok(waited) => return Ok(waited?),
                // Fails once whoever asked is gone.
                Err(_) => io.out.flush()?,
            }
        }
    })?;
    let ids: Vec<String> = commits.iter().map(ToString::to_string).collect();
    let value = json!({ "commits": ids, "reached": reached_value(&reached) });
    let names = Names::in_space(node, repo)?;
    let place = reached_text(&reached, &names);
    io.data(&value, || format!("{}  {place}", shorts(commits)))
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Ends when the node stops that the command runs in.
async fn stopped(stop: Option<Receiver<bool>>) {
    match stop {
        // A sender that is gone is a node that is.
        Some(mut stop) => drop(stop.wait_for(|stop| *stop).await),
        None => pending().await,
    }
}

/// Runs what waits for peers: in a running node as it is, otherwise as one that runs for so long.
fn in_touch<T>(
    node: &Node,
    io: &mut Io<'_>,
    run: impl FnOnce(&mut Io<'_>, &Net) -> Result<T>,
) -> Result<T> {
    if io.net.is_some() {
        return with_net(node, io, run);
    }
    with_net(node, io, |io, net| {
        let (stop, stopping) = watch::channel(false);
        let (own, endpoint) = (node.clone(), net.endpoint.clone());
        let serve = async move { own.serve(&endpoint, Backoff::default(), stopping).await };
        let serving = net.handle.spawn(serve);
        let result = run(io, net);
        stop.send_replace(true);
        net.handle.block_on(serving)?;
        result
    })
}

/// What ends a wait of a watch.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Woken {
    Changed,
    Stopped,
    Quiet,
}

/// Shows how each peer stands whenever that changes, until it is interrupted or the node stops.
pub(crate) fn watch(node: &Node, repo: &Repo, peer: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let only: Option<BTreeSet<DeviceId>> = match peer {
        Some(name) => {
            let found = node.find_peers(repo, Some(name))?.into_iter();
            Some(found.map(|(device, _)| device).collect())
        }
        None => None,
    };
    // The process of a node that runs is not to be interrupted by one of its commands.
    let is_alone = io.net.is_none();
    in_touch(node, io, |io, net| {
        let mut watched = [node.watch(), node.watch_peers(), node.watch_connections()];
        let mut shown = Shown::default();
        let mut interrupt = net
            .handle
            .block_on(async { signal(SignalKind::interrupt()) })?;
        loop {
            for changes in &mut watched {
                changes.borrow_and_update();
            }
            let mut rows = node.lags(repo)?;
            rows.retain(|row| only.as_ref().is_none_or(|only| only.contains(&row.device)));
            shown.show(node, &rows, io)?;
            loop {
                let [changes, peers, links] = &mut watched;
                let woken = net.handle.block_on(async {
                    tokio::select! {
                        _ = changes.changed() => Woken::Changed,
                        _ = peers.changed() => Woken::Changed,
                        _ = links.changed() => Woken::Changed,
                        () = stopped(io.stop.clone()) => Woken::Stopped,
                        _ = interrupt.recv(), if is_alone => Woken::Stopped,
                        () = tokio::time::sleep(LOOK_EVERY) => Woken::Quiet,
                    }
                });
                match woken {
                    Woken::Changed => break,
                    Woken::Stopped => return Ok(()),
                    // Fails once nobody reads any more.
                    Woken::Quiet => io.out.flush()?,
                }
            }
        }
    })
}

/// What a watch has shown.
#[derive(Default)]
struct Shown {
    values: BTreeMap<DeviceId, Value>,
    /// Lines on the terminal that are drawn over.
    lines: usize,
}

impl Shown {
    fn show(&mut self, node: &Node, rows: &[PeerLag], io: &mut Io<'_>) -> Result<()> {
        let mut fresh = Vec::new();
        for row in rows {
            let value = peer_value(node, row);
            // How long ago something was is no change.
            let mut lasting = value.clone();
            if let Some(lacks) = lasting["lacks"].as_object_mut() {
                lacks.remove("ms");
            }
            if self.values.get(&row.device) != Some(&lasting) {
                self.values.insert(row.device, lasting);
                fresh.push((value, row));
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        match io.columns {
            Some(columns) if !io.json => self.draw(node, rows, columns, io)?,
            _ => {
                for (value, row) in fresh {
                    io.data(&value, || peer_text(node, row))?;
                }
            }
        }
        Ok(io.out.flush()?)
    }

    /// Draws all peers anew over what was drawn before.
    fn draw(
        &mut self,
        node: &Node,
        rows: &[PeerLag],
        columns: usize,
        io: &mut Io<'_>,
    ) -> Result<()> {
        if self.lines > 0 {
            write!(io.out, "\x1b[{}A", self.lines)?;
        }
        for row in rows {
            // A line that wraps would be two to draw over.
            let text: String = peer_text(node, row).chars().take(columns).collect();
            writeln!(io.out, "\r{text}\x1b[K")?;
        }
        self.lines = rows.len();
        Ok(())
    }
}
