//! `space`.

use allod::Node;
use allod_repo::BranchName;
use allod_sync::Ticket;
use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cli::args::SpaceCommand;
use crate::cli::io::{Io, count, size};
use crate::cli::{net, with_net};

pub(crate) fn space(node: &Node, command: &SpaceCommand, io: &mut Io<'_>) -> Result<()> {
    match command {
        SpaceCommand::New { name } => {
            let repo = node.create_space(name)?;
            let value = json!({ "name": name, "id": repo.id().to_string() });
            io.data(&value, || format!("{name}  {}", repo.id()))
        }
        SpaceCommand::List => list(node, io),
        SpaceCommand::Use { name } => {
            let repo = node.space(Some(name))?;
            node.use_space(&repo)?;
            io.say(format!("{name} is the current space"))
        }
        SpaceCommand::Ticket { name, addr, days } => {
            let repo = node.space(name.as_deref())?;
            let mut addrs: Vec<String> = addr.iter().map(ToString::to_string).collect();
            if addrs.is_empty() {
                let net = io.net.clone().context(
                    "no node runs on this home, so nobody could answer; start one with `allod up`, \
                     or name an address with --addr",
                )?;
                addrs = net::reachable(net.endpoint.local_addr()?);
            }
            let valid_ms = days.saturating_mul(24 * 60 * 60 * 1000);
            let ticket = node.ticket(&repo, addrs, Some(valid_ms))?.to_text();
            io.data(&json!({ "ticket": ticket, "days": days }), || {
                ticket.clone()
            })
        }
        SpaceCommand::Join { ticket, name } => {
            let ticket: Ticket = ticket.parse()?;
            with_net(node, io, |io, net| {
                let joined = node.join(&net.endpoint, &ticket, name.as_deref());
                let repo = net.handle.block_on(joined)?;
                let report = net::sync_first(node, &repo, ticket.device, net, io)?;
                node.touch();
                let entries = repo.state(&BranchName::main())?.tree().len();
                let value = json!({
                    "id": repo.id().to_string(),
                    "entries": entries,
                    "commits": report.stats.commits_in,
                    "bytes_in": report.stats.bytes_in,
                    "ms": report.elapsed.as_millis() as u64,
                });
                io.data(&value, || {
                    format!(
                        "joined {}: {} entries, {} in {:.1} s",
                        repo.genesis().payload().name,
                        count(entries),
                        size(report.stats.bytes_in),
                        report.elapsed.as_secs_f64()
                    )
                })
            })
        }
    }
}

fn list(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let current = node.space(None).ok().map(|repo| repo.id());
    for (name, id) in node.spaces()? {
        let mark = if Some(id) == current { '*' } else { ' ' };
        let value = json!({ "name": name, "id": id.to_string(), "current": Some(id) == current });
        io.data(&value, || format!("{mark} {name}  {id}"))?;
    }
    if node.spaces()?.is_empty() {
        io.say("no space yet; make one with `allod space new NAME`")?;
    }
    Ok(())
}
