//! `space`.

use std::net::SocketAddr;

use allod::{Node, NodeError, now_ms};
use allod_repo::{BranchName, Part, Reach, Repo};
use allod_sync::{Stats, Ticket};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::access_args::Gift;
use crate::cli::id::asks_yes;
use crate::cli::io::{Io, count, size};
use crate::cli::part_args::PartArgs;
use crate::cli::space_args::SpaceCommand;
use crate::cli::{Usage, access, net, parts, with_net};

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
        SpaceCommand::Leave { name, undo, yes } => leave(node, name, (*undo, *yes), io),
        SpaceCommand::Reach { reach, name } => say_reach(node, name.as_deref(), *reach, io),
        SpaceCommand::Ticket {
            name,
            addr,
            days,
            gift,
        } => ticket(node, (name.as_deref(), addr), *days, gift, io),
        SpaceCommand::Join { ticket, name, part } => {
            join(node, ticket, (name.as_deref(), said(part)?), io)
        }
        SpaceCommand::Parts {
            name,
            declare,
            remove,
            branch,
        } => {
            let repo = node.space(name.as_deref())?;
            for prefix in declare {
                parts::declare(node, &repo, prefix, branch)?;
            }
            for prefix in remove {
                parts::remove(node, &repo, prefix)?;
            }
            parts::list(&repo, io)
        }
        SpaceCommand::Part {
            name,
            part,
            offline,
            give_up,
        } => {
            let repo = node.space(name.as_deref())?;
            if *give_up && !repo.give_up_part()? {
                io.say("no change of what is kept was under way")?;
            }
            match said(part)? {
                None => show_part(&repo, io),
                Some(part) => keep_part(node, &repo, (part, *offline), io),
            }
        }
    }
}

fn join(
    node: &Node,
    ticket: &str,
    (name, part): (Option<&str>, Option<Part>),
    io: &mut Io<'_>,
) -> Result<()> {
    let ticket: Ticket = ticket.parse()?;
    with_net(node, io, |io, net| {
        let joined = node.join(&net.endpoint, &ticket, name, part.as_ref());
        let repo = net.handle.block_on(joined)?;
        let mut report = net::sync_first(node, &repo, ticket.device, net, io)?;
        if repo.part().is_some() && part.is_none() {
            // What may be read of it was not known before.
            report = net::sync_first(node, &repo, ticket.device, net, io)?;
        }
        node.touch();
        let entries = repo.state(&BranchName::main())?.tree().len();
        let value = json!({
            "id": repo.id().to_string(),
            "entries": entries,
            "commits": report.stats.commits_in,
            "bytes_in": report.stats.bytes_in,
            "ms": report.elapsed.as_millis() as u64,
            "part": repo.part().as_deref().map(part_json),
        });
        io.data(&value, || {
            format!(
                "joined {}{}: {} entries, {} in {:.1} s",
                if repo.part().is_some() {
                    "a part of "
                } else {
                    ""
                },
                repo.genesis().payload().name,
                count(entries),
                size(report.stats.bytes_in),
                report.elapsed.as_secs_f64()
            )
        })
    })
}

fn leave(
    node: &Node,
    name: &str,
    (is_undone, is_yes): (bool, bool),
    io: &mut Io<'_>,
) -> Result<()> {
    if is_undone {
        let id = node.return_to(name)?.id().to_string();
        return io.data(&json!({ "back": id }), || format!("{id} is here again"));
    }
    let repo = node.space(Some(name))?;
    if !is_yes && !node.is_kept_elsewhere(&repo)? {
        let question = format!(
            "no other device is known to have all of {name} that is here. Leave it all the same?"
        );
        if !asks_yes(&question, io)? {
            bail!("the space was not left; `allod sync` first, or say --yes");
        }
    }
    node.leave(&repo)?;
    let id = repo.id().to_string();
    io.data(&json!({ "left": id }), || {
        format!("{name} was left; `allod space leave {name} --undo` takes it back")
    })
}

fn ticket(
    node: &Node,
    (name, addr): (Option<&str>, &[SocketAddr]),
    days: u64,
    gift: &Gift,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(name)?;
    let mut addrs: Vec<String> = addr.iter().map(ToString::to_string).collect();
    if addrs.is_empty() {
        let net = io.net.clone().context(
            "no node runs on this home, so nobody could answer; start one with `allod up`, \
             or name an address with --addr",
        )?;
        addrs = net::reachable(net.endpoint.local_addr()?);
    }
    let valid_ms = days.saturating_mul(24 * 60 * 60 * 1000);
    let gives = (!gift.can.is_empty()).then(|| access::granting(gift));
    let gives = gives.transpose()?;
    if gives.is_some() {
        parts::check(gift)?;
    }
    let ticket = node.ticket(&repo, addrs, Some(valid_ms), gives.as_ref())?;
    parts::declare_for(node, &repo, gift, io)?;
    let ticket = ticket.to_text();
    io.data(&json!({ "ticket": ticket, "days": days }), || {
        ticket.clone()
    })
}

fn say_reach(node: &Node, name: Option<&str>, reach: Option<Reach>, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(name)?;
    if let Some(reach) = reach {
        repo.set_reach(reach, node.author()?, now_ms())?;
        node.touch();
    }
    let reach = repo.reach()?.name();
    io.data(&json!({ "reach": reach }), || reach.to_owned())
}

/// The part that options say, if they say one.
fn said(options: &PartArgs) -> Result<Option<Part>> {
    let PartArgs {
        prefix,
        depth,
        max_value,
    } = options;
    if prefix.is_empty() && depth.is_none() && max_value.is_none() {
        return Ok(None);
    }
    let part = if prefix.is_empty() {
        Part::new([""], *depth)
    } else {
        Part::new(prefix, *depth)
    };
    let part = match max_value {
        Some(bytes) => part.and_then(|part| part.with_value_max(*bytes)),
        None => part,
    };
    Ok(Some(part.map_err(|error| Usage(error.to_string()))?))
}

/// Says that an answer is about what is kept here, where that is not all that was asked about.
pub(crate) fn say_part(repo: &Repo, prefix: Option<&[u8]>, io: &mut Io<'_>) -> Result<()> {
    let asked = prefix.unwrap_or_default();
    match repo.part().as_deref() {
        Some(part) if !part.contains(asked) => io.warn(format!(
            "of this space only a part is kept here: {}",
            part_text(part)
        )),
        _ => Ok(()),
    }
}

pub(crate) fn part_json(part: &Part) -> Value {
    let prefixes = part
        .prefixes()
        .map(|prefix| prefix.escape_ascii().to_string());
    json!({
        "prefixes": prefixes.collect::<Vec<_>>(),
        "depth": part.depth(),
        "value_max": part.value_max(),
    })
}

pub(crate) fn part_text(part: &Part) -> String {
    let prefixes = part.prefixes();
    let prefixes = prefixes.map(|prefix| match prefix {
        b"" => "all keys".to_owned(),
        _ => format!("{}*", prefix.escape_ascii()),
    });
    let prefixes = prefixes.collect::<Vec<_>>().join(", ");
    let depth = match part.depth() {
        Some(1) => ", of the newest commits".to_owned(),
        Some(depth) => format!(", of the newest {} generations", count(depth)),
        None => String::new(),
    };
    let value_max = part.value_max();
    let value_max = value_max.map(|bytes| format!(", files of up to {}", size(bytes)));
    format!("{prefixes}{depth}{}", value_max.unwrap_or_default())
}

fn show_part(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let now = repo.part();
    let next = repo.next_part()?.and_then(|next| next.part());
    let value = json!({
        "part": now.as_deref().map(part_json),
        "next": next.as_deref().map(part_json),
    });
    io.data(&value, || {
        let mut text = match &now {
            Some(part) => format!("kept here: {}", part_text(part)),
            None => "kept here: all of the space".to_owned(),
        };
        if let Some(next) = &next {
            text += &format!(
                "\nto be kept once it is here: {}; the same `allod space part` again goes on with it, \
                 `allod space part --give-up` ends it",
                part_text(next)
            );
        }
        text
    })
}

/// Keeps another part, with what is here or else with what a peer has.
fn keep_part(
    node: &Node,
    repo: &Repo,
    (part, offline): (Part, bool),
    io: &mut Io<'_>,
) -> Result<()> {
    let mut bytes_in = 0;
    let is_wider = repo.is_within(&part);
    if !node.begin_part(repo, part.clone(), offline)? {
        let peers = node.whole_first(repo)?;
        bytes_in = with_net(node, io, |io, net| {
            let mut last = NodeError::PartMissing;
            for (device, peer) in &peers {
                let mut progress = io.progress("receiving entries");
                let mut show = |stats: &Stats| net::show_progress(&mut progress, stats);
                let fetched = node.fetch_part(&net.endpoint, repo, (*device, peer), &mut show);
                match net.handle.block_on(fetched) {
                    Ok(report) => return Ok(report.stats.bytes_in),
                    Err(error) => last = error,
                }
            }
            let told = if is_wider {
                NodeError::PartMissing
            } else {
                NodeError::NobodyAsked
            };
            Err(match last {
                NodeError::PartMissing | NodeError::OnlyHere(_) => last.into(),
                other => anyhow::Error::from(other).context(told),
            })
        })?;
    }
    node.touch();
    let entries = repo.state(&BranchName::main())?.tree().len();
    let value = json!({
        "part": part_json(&part),
        "entries": entries,
        "bytes_in": bytes_in,
    });
    io.data(&value, || {
        format!(
            "kept here: {}; {} entries in main, {} fetched; what fell out goes with `allod gc`",
            part_text(&part),
            count(entries),
            size(bytes_in)
        )
    })
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
