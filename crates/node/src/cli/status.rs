//! `status`, and how it is said where commits are.

use std::collections::BTreeMap;

use allod::{Node, Peer, PeerLag, Position, Reached, Told, now_ms};
use allod_identity::DeviceId;
use allod_repo::{BranchName, CommitId, Heads, Repo};
use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::io::{Io, count, size};
use crate::cli::merging::task_text;
use crate::cli::net::end_of;
use crate::cli::space::{part_json, part_text};
use crate::cli::values::view;

/// What is shown of where the space stands.
struct Place {
    at: String,
    heads: Heads,
    staged: usize,
    conflicts: usize,
    under_way: Option<String>,
}

impl Place {
    fn of(node: &Node, repo: &Repo) -> Result<Self> {
        Ok(match node.position(repo)? {
            Position::Branch(name) => Self {
                at: name.to_string(),
                heads: repo.heads(&name)?,
                staged: repo.staged(&name)?.len(),
                conflicts: repo.conflicts(&name, 10_000)?.len(),
                under_way: repo.under_way(&name)?.as_ref().map(task_text),
            },
            Position::Detached(id) => Self {
                at: format!("commit {}", id.short()),
                heads: Heads::from([id]),
                staged: 0,
                conflicts: 0,
                under_way: None,
            },
        })
    }
}

/// A branch and where it is.
struct Branch {
    name: BranchName,
    heads: Heads,
    staged: usize,
    reached: Reached,
}

pub(crate) fn status(node: &Node, space: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let place = Place::of(node, &repo)?;
    let tree = view(node, &repo, None)?.tree().clone();
    let (entries, root) = (tree.len(), tree.root());
    let lags = node.lags(&repo)?;
    let names = Names::of(&lags);
    let branches = branches(node, &repo)?;
    let mut current = 0;
    for PeerLag { peer, .. } in &lags {
        // Whoever keeps a part does not keep this state (SYNC-51).
        current += usize::from(!peer.part && peer.is_current(&repo)?);
    }
    let mut apart = 0;
    for (branch, _) in repo.offered()? {
        apart += repo.beside(&branch)?.len();
    }
    let name = &repo.genesis().payload().name;
    let have: Vec<String> = place.heads.iter().map(ToString::to_string).collect();
    let value = json!({
        "space": name,
        "id": repo.id().to_string(),
        "at": place.at,
        "heads": have,
        "root": root.to_string(),
        "keys": entries,
        "part": repo.part().as_deref().map(part_json),
        "staged": place.staged,
        "conflicts": place.conflicts,
        "apart": apart,
        "under_way": place.under_way,
        "peers": lags.len(),
        "peers_current": current,
        "branches": branches.iter().map(branch_value).collect::<Vec<_>>(),
        "lags": lags.iter().map(|row| peer_value(node, row)).collect::<Vec<_>>(),
    });
    io.data(&value, || {
        let heads: Vec<String> = place.heads.iter().map(CommitId::short).collect();
        let heads = if heads.is_empty() {
            "no commit yet".to_owned()
        } else {
            heads.join(", ")
        };
        let mut text = format!(
            "space      {name}\nat         {} ({heads})\nkeys       {}, deleted ones included\nstaged     {}\n",
            place.at,
            count(entries),
            count(place.staged as u64)
        );
        if let Some(part) = repo.part().as_deref() {
            text += &format!("kept here  {}\n", part_text(part));
        }
        if let Some(what) = &place.under_way {
            text += &format!("under way  {what}\n");
        }
        if apart > 0 {
            let apart = count(apart as u64);
            text += &format!("kept apart {apart}; `allod trust held` shows them\n");
        }
        text += &format!(
            "conflicts  {}\npeers      {current} of {} have this state",
            count(place.conflicts as u64),
            lags.len()
        );
        for branch in &branches {
            text += &format!("\nbranch     {}", branch_text(branch, &names));
        }
        for row in &lags {
            text += &format!("\npeer       {}", peer_text(node, row));
        }
        text
    })
}

fn branches(node: &Node, repo: &Repo) -> Result<Vec<Branch>> {
    let mut where_ = node.whereabouts(repo)?;
    let rows = repo.branches()?.into_iter().map(|(name, heads)| {
        Ok(Branch {
            staged: repo.staged(&name)?.len(),
            reached: where_.of_all(&heads)?,
            name,
            heads,
        })
    });
    rows.collect()
}

fn branch_value(branch: &Branch) -> Value {
    let heads: Vec<String> = branch.heads.iter().map(ToString::to_string).collect();
    json!({
        "branch": branch.name.as_str(),
        "heads": heads,
        "staged": branch.staged,
        "reached": reached_value(&branch.reached),
    })
}

fn branch_text(branch: &Branch, names: &Names) -> String {
    let heads: Vec<String> = branch.heads.iter().map(CommitId::short).collect();
    let staged = match branch.staged {
        0 => String::new(),
        staged => format!("  {} staged, only here", count(staged as u64)),
    };
    let place = reached_text(&branch.reached, names);
    format!("{}  {}{staged}  {place}", branch.name, heads.join(", "))
}

/// What peers are called in what is printed.
pub(crate) struct Names(BTreeMap<DeviceId, String>);

impl Names {
    fn of(lags: &[PeerLag]) -> Self {
        let names = lags
            .iter()
            .map(|row| (row.device, called(row.device, &row.peer)));
        Self(names.collect())
    }

    /// Those of the peers of a space.
    pub(crate) fn in_space(node: &Node, repo: &Repo) -> Result<Self> {
        let peers = node.peers(repo)?.into_iter();
        let names = peers.map(|(device, peer)| (device, called(device, &peer)));
        Ok(Self(names.collect()))
    }

    fn list(&self, devices: impl IntoIterator<Item = DeviceId>) -> String {
        let names = devices.into_iter().map(|device| {
            let name = self.0.get(&device).cloned();
            name.unwrap_or_else(|| end_of(device))
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The name of a remote, or the end of a device.
pub(crate) fn called(device: DeviceId, peer: &Peer) -> String {
    peer.name.clone().unwrap_or_else(|| end_of(device))
}

/// Where something is, for programs. Peers are devices.
pub(crate) fn reached_value(reached: &Reached) -> Value {
    let texts =
        |devices: &[DeviceId]| -> Vec<String> { devices.iter().map(ToString::to_string).collect() };
    let unknown = reached
        .unknown
        .iter()
        .map(|(device, why)| json!({ "peer": device.to_string(), "why": why.name() }));
    json!({
        "kept_by": reached.whole.len(),
        "at": texts(&reached.whole),
        "in_part_at": texts(&reached.parts),
        "not_at": texts(&reached.without),
        "unknown": unknown.collect::<Vec<_>>(),
    })
}

/// Where something is, in words.
pub(crate) fn reached_text(reached: &Reached, names: &Names) -> String {
    let mut parts = Vec::new();
    if !reached.whole.is_empty() {
        parts.push(format!("at {}", names.list(reached.whole.iter().copied())));
    }
    if !reached.parts.is_empty() {
        let list = names.list(reached.parts.iter().copied());
        parts.push(format!("in part at {list}"));
    }
    if parts.is_empty() {
        parts.push(nowhere(reached).to_owned());
    } else {
        parts.push(format!("kept by {}", reached.whole.len()));
    }
    if !reached.unknown.is_empty() {
        let unknown = names.list(reached.unknown.iter().map(|(device, _)| *device));
        parts.push(format!("not known of {unknown}"));
    }
    parts.join("; ")
}

/// Where something is, in few words.
pub(crate) fn reached_short(reached: &Reached, names: &Names) -> String {
    if reached.is_nowhere_known() {
        return nowhere(reached).to_owned();
    }
    let whole = reached.whole.iter().copied();
    let parts = reached.parts.iter().copied();
    let parts = parts.map(|device| format!("{} (part)", names.list([device])));
    let all = whole.map(|device| names.list([device])).chain(parts);
    format!("at {}", all.collect::<Vec<_>>().join(", "))
}

const fn nowhere(reached: &Reached) -> &'static str {
    match (reached.unknown.is_empty(), reached.without.is_empty()) {
        (false, _) => "not known to be elsewhere",
        (true, false) => "only here when its peers last told",
        (true, true) => "only here",
    }
}

/// How a peer stands, for programs.
pub(crate) fn peer_value(node: &Node, PeerLag { device, peer, lag }: &PeerLag) -> Value {
    json!({
        "peer": device.to_string(),
        "remote": peer.name,
        "part": peer.part,
        "paused": peer.paused,
        "connected": node.is_connected(*device),
        "heard": peer.synced_ms.map(allod::utc),
        "told_all": peer.told == Told::All,
        "lacks": lag.map(|lag| json!({
            "commits": lag.commits,
            "or_more": lag.is_cut,
            "bytes": lag.bytes,
            "bytes_of": lag.sized,
            "since": lag.since_ms.map(allod::utc),
            "ms": lag.since_ms.map(|since| now_ms().saturating_sub(since)),
        })),
    })
}

/// How a peer stands, in a line.
pub(crate) fn peer_text(node: &Node, row: &PeerLag) -> String {
    let PeerLag { device, peer, .. } = row;
    let heard = match peer.synced_ms {
        Some(heard) => format!("heard of {} UTC", allod::utc(heard)),
        None => "never heard of".to_owned(),
    };
    let connected = match (peer.paused, node.is_connected(*device)) {
        (true, _) => ", paused",
        (false, true) => ", connected",
        (false, false) => "",
    };
    format!(
        "{}  {}; {heard}{connected}",
        called(*device, peer),
        lag_text(row)
    )
}

/// What a peer lacks, as far as that is known.
pub(crate) fn lag_text(PeerLag { peer, lag, .. }: &PeerLag) -> String {
    let of = if peer.part {
        "all of its part"
    } else {
        "everything"
    };
    let Some(lag) = lag else {
        return "not known what it has".to_owned();
    };
    if lag.commits == 0 && !lag.is_cut {
        return match peer.told {
            Told::All => format!("has {of}"),
            _ if peer.part => "has its part of all that is here".to_owned(),
            _ => "has all that is here".to_owned(),
        };
    }
    let verb = if peer.told == Told::All {
        "lacks"
    } else {
        "is not known to have"
    };
    let least = if lag.is_cut { "at least " } else { "" };
    let commits = if lag.commits == 1 {
        "commit"
    } else {
        "commits"
    };
    let mut text = format!("{verb} {least}{} {commits}", count(lag.commits));
    if lag.sized > 0 {
        let least = if lag.sized < lag.commits || lag.is_cut {
            "at least "
        } else {
            ""
        };
        text += &format!(", {least}{}", size(lag.bytes));
    }
    if let Some(since) = lag.since_ms {
        text += &format!(", the oldest {} old", age(now_ms().saturating_sub(since)));
    }
    text
}

/// A span of time in its largest unit.
fn age(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
