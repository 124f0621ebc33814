//! `federate`: deltas of a space to and from others.

use allod::http::HttpToken;
use allod::{
    BadSetting, Bring, FederatingError, LinkDefinition, LinkStanding, Narrowed, Node, NodeError,
    Shared, Trust, now_ms, random, utc,
};
use allod_deltas::StoreFault;
use allod_repo::{BranchName, Repo, RepoError, SpaceId};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::federate_args::{Connect, Export, FederateCommand, Import, Serve};
use crate::cli::io::{Io, count, plain, size};
use crate::cli::keys::key_text;

/// The branch that has the deltas of a space unless it is said otherwise: apart from what people keep in it.
const BRANCH: &str = "deltas";

pub(crate) fn federate(
    node: &Node,
    space: Option<&str>,
    command: &FederateCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let links = node.federations();
    match command {
        FederateCommand::Serve(options) => serve(node, &node.space(space)?, options, io),
        FederateCommand::Connect(options) => connect(node, &node.space(space)?, options, io),
        FederateCommand::List => list(node, io),
        FederateCommand::Status { name } => status(node, name.as_deref(), io),
        FederateCommand::Pause { name } => {
            links.pause(name, true)?;
            node.federation_changed();
            io.say(format!("{name} rests"))
        }
        FederateCommand::Resume { name } => {
            links.pause(name, false)?;
            node.federation_changed();
            io.say(format!("{name} goes on{}", while_a_node_runs(io)))
        }
        FederateCommand::Disconnect { name } => {
            links.remove(name)?;
            node.federation_changed();
            io.say(format!(
                "{name} is ended and forgotten; what it brought stays"
            ))
        }
        FederateCommand::Export(options) => export(node, &node.space(space)?, options, io),
        FederateCommand::Import(options) => import(node, &node.space(space)?, options, io),
    }
}

const fn while_a_node_runs(io: &Io<'_>) -> &'static str {
    if io.net.is_some() {
        ""
    } else {
        " while a node runs"
    }
}

/// The branch that has the deltas of a space.
pub(crate) fn branch_of(
    node: &Node,
    repo: &Repo,
    named: Option<&BranchName>,
) -> Result<BranchName> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let shared = node.federations().shared(repo.id())?;
    Ok(match shared {
        Some(shared) => shared.branch,
        None => BRANCH.parse()?,
    })
}

/// How a space is federated, or as it is at first.
fn shared(node: &Node, repo: &Repo, branch: Option<&BranchName>) -> Result<Shared> {
    let known = node.federations().shared(repo.id())?;
    let branch_now = branch_of(node, repo, branch)?;
    let mut shared = known.unwrap_or_else(|| Shared::new(branch_now.clone()));
    shared.branch = branch_now;
    Ok(shared)
}

fn trust(policy: Option<&str>) -> Result<Trust> {
    let read = policy.map(serde_json::from_str::<Trust>).transpose();
    let read = read.map_err(|error| Usage(format!("the policy: {error}")))?;
    Ok(read.unwrap_or_default())
}

fn serve(node: &Node, repo: &Repo, options: &Serve, io: &mut Io<'_>) -> Result<()> {
    let register = node.federations();
    let mut shared = shared(node, repo, options.branch.as_ref())?;
    shared.served = !options.off;
    let is_default = register.default_space()? == Some(repo.id());
    if options.off {
        if is_default {
            register.set_default(None)?;
        }
        // What is said counts for the links of this node too; what is not said stays.
        if options.policy.is_some() {
            shared.trust = trust(options.policy.as_deref())?;
        }
        shared.give = options.give.clone().or(shared.give);
        shared.take = options.take.clone().or(shared.take);
    } else {
        shared.anyone = options.anyone;
        shared.token = options.token_file.as_ref().map(|path| io.path(path));
        // One that cannot be read now would let nobody in.
        if let Some(path) = &shared.token {
            HttpToken::read(path)?;
        }
        shared.links = options.links;
        shared.trust = trust(options.policy.as_deref())?;
        shared.give.clone_from(&options.give);
        shared.take.clone_from(&options.take);
        let keys = options.key.iter().cloned().collect();
        shared.keys = options.require_key.then_some(keys);
    }
    register.share(repo.id(), &shared)?;
    if options.default && !options.off {
        register.set_default(Some(repo.id()))?;
    }
    node.federation_changed();
    let name = name_of(node, repo.id())?;
    let is_default = register.default_space()? == Some(repo.id());
    let value = json!({
        "space": repo.id().to_string(),
        "served": shared.served,
        "path": format!("/federation/{name}"),
        "default": is_default,
        "branch": shared.branch.as_str(),
    });
    io.data(&value, || {
        if !shared.served {
            return format!("{name} is served no more");
        }
        let also = if is_default { " and /federation" } else { "" };
        format!(
            "{name} is served at /federation/{name}{also} while a node runs with --http; its deltas are on the branch {}",
            shared.branch
        )
    })
}

fn name_of(node: &Node, space: SpaceId) -> Result<String> {
    let spaces = node.spaces()?;
    let name = spaces.into_iter().find(|(_, id)| *id == space);
    Ok(name.map_or_else(|| space.to_string(), |(name, _)| name))
}

fn connect(node: &Node, repo: &Repo, options: &Connect, io: &mut Io<'_>) -> Result<()> {
    let register = node.federations();
    let known = register.shared(repo.id())?;
    let mut shared = shared(node, repo, options.branch.as_ref())?;
    if let Some(known) = known.as_ref().filter(|it| it.branch != shared.branch) {
        let words = format!(
            "the deltas of this space are on the branch {}; `allod federate serve --branch` has others",
            known.branch
        );
        return Err(NodeError::from(FederatingError::from(BadSetting(words))).into());
    }
    let name = match &options.name {
        Some(name) => name.clone(),
        None => {
            let [a, b, c, d] = random()?;
            format!("{a:02x}{b:02x}{c:02x}{d:02x}")
        }
    };
    let mut link = LinkDefinition::new(repo.id().to_string(), &options.url);
    link.mode.clone_from(&options.mode);
    link.initial_sync.clone_from(&options.initial_sync);
    link.from = options.from;
    link.push.clone_from(&options.push_filter);
    link.pull.clone_from(&options.pull_filter);
    // Without a word the link takes whatever the space takes.
    link.trust = match &options.policy {
        Some(policy) => trust(Some(policy))?,
        None => shared.trust.clone(),
    };
    link.token = options.token_file.as_ref().map(|path| io.path(path));
    link.authority = options.authority.as_ref().map(|path| io.path(path));
    link.deflate.clone_from(&options.deflate);
    link.token_in_clear = options.token_in_clear;
    // A space that nobody set up takes what its first link takes.
    if known.is_none() {
        shared.trust = link.trust.clone();
    }
    let stricter = link.narrowed_by(&shared).map_err(FederatingError::from)?;
    register.add(&name, &link, (repo.id(), &shared))?;
    node.federation_changed();
    let value = json!({ "link": name, "url": link.url, "space": link.space, "stricter": stricter });
    let when = if io.net.is_some() {
        "is being opened"
    } else {
        "is opened by the next `allod up`"
    };
    io.data(&value, || format!("{name}  {}  {when}", link.url))?;
    for Narrowed {
        what, space, link, ..
    } in &stricter
    {
        let counts = "and what both allow counts; `federate serve` changes that of the space";
        io.warn(format!(
            "the space is stricter: {what} {space}, not {link}, {counts}"
        ))?;
    }
    Ok(())
}

fn list(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let register = node.federations();
    let default = register.default_space()?;
    for (space, shared) in register.spaces()? {
        let name = name_of(node, space)?;
        let is_default = default == Some(space);
        let trouble = node.federation_trouble(space);
        let shared = match shared {
            Ok(shared) => shared,
            Err(error) => {
                let value = json!({ "space": space.to_string(), "name": name, "trouble": error.to_string() });
                io.data(&value, || format!("{name}  {error}"))?;
                continue;
            }
        };
        let value = json!({
            "space": space.to_string(), "name": name, "default": is_default, "federation": shared,
            "trouble": trouble,
        });
        io.data(&value, || {
            let served = if shared.served {
                format!("served at /federation/{name}")
            } else {
                "not served".to_owned()
            };
            let also = if is_default { " and /federation" } else { "" };
            let trouble = trouble
                .as_ref()
                .map(|words| format!("\n  {}", plain(words)));
            let trouble = trouble.unwrap_or_default();
            format!(
                "{name}  {served}{also}  deltas on {}{trouble}",
                shared.branch
            )
        })?;
    }
    for (name, link) in register.links()? {
        let link = match link {
            Ok(link) => link,
            Err(error) => {
                let value = json!({ "link": name, "trouble": error.to_string() });
                io.data(&value, || format!("{name}  {error}"))?;
                continue;
            }
        };
        let value = json!({ "link": name, "definition": link });
        let rests = if link.paused { "  (paused)" } else { "" };
        io.data(&value, || {
            format!("{name}  {}  {}{rests}", link.mode, link.url)
        })?;
    }
    Ok(())
}

fn status(node: &Node, name: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let mut standings = node.link_standings()?;
    if let Some(name) = name {
        standings.retain(|standing| standing.name.as_deref() == Some(name));
        if standings.is_empty() {
            return Err(NodeError::from(FederatingError::Unknown(name.to_owned())).into());
        }
    }
    for standing in standings {
        show(node, &standing, io)?;
    }
    Ok(())
}

fn show(node: &Node, standing: &LinkStanding, io: &mut Io<'_>) -> Result<()> {
    let state = &standing.state;
    let space = name_of(node, standing.space)?;
    let url = standing.definition.as_ref().map(|link| link.url.as_str());
    let since = |at: Option<u64>| at.map(|at| now_ms().saturating_sub(at));
    let value = json!({
        "link": standing.name,
        "space": space,
        "url": url,
        "status": standing.status,
        "remote": state.remote,
        "sent": state.sent,
        "received": state.received,
        "bytes_sent": state.bytes_sent,
        "bytes_received": state.bytes_received,
        "wire_bytes_sent": state.wire_bytes_sent,
        "wire_bytes_received": state.wire_bytes_received,
        "rejected": state.rejected,
        "refused": state.refused,
        "quarantined": state.quarantined,
        "pending": standing.pending,
        "pending_more": standing.pending_more,
        "sent_ms": state.sent_ms,
        "received_ms": state.received_ms,
        "since_sent_ms": since(state.sent_ms),
        "since_received_ms": since(state.received_ms),
        "why": state.words,
    });
    io.data(&value, || text(standing, &space))
}

fn text(standing: &LinkStanding, space: &str) -> String {
    let state = &standing.state;
    let (name, url) = match (&standing.name, &standing.definition) {
        (Some(name), Some(link)) => (name.as_str(), link.url.as_str()),
        _ => ("(a peer's)", state.remote.as_deref().unwrap_or("unknown")),
    };
    let url = plain(url);
    let mut text = format!(
        "{name}  {}  {space}  {url}\n  {} deltas sent, {} received",
        standing.status,
        count(state.sent),
        count(state.received)
    );
    let (bytes, wire) = (
        state.bytes_sent + state.bytes_received,
        state.wire_bytes_sent + state.wire_bytes_received,
    );
    if wire < bytes {
        text += &format!(", {} packed into {}", size(bytes), size(wire));
    }
    for (number, words) in [
        (state.rejected, "refused here"),
        (state.refused, "refused there"),
        (state.quarantined, "set aside"),
    ] {
        if number > 0 {
            text += &format!(", {} {words}", count(number));
        }
    }
    if standing.pending > 0 || standing.pending_more {
        let more = if standing.pending_more {
            " or more"
        } else {
            ""
        };
        text += &format!("; {}{more} wait", count(standing.pending));
    }
    for (at, words) in [(state.sent_ms, "sent"), (state.received_ms, "received")] {
        if let Some(at) = at {
            text += &format!("; the last {words} at {}", utc(at));
        }
    }
    if let Some(words) = &state.words {
        text += &format!("\n  {}", plain(words));
    }
    text
}

fn export(node: &Node, repo: &Repo, options: &Export, io: &mut Io<'_>) -> Result<()> {
    let mut shared = shared(node, repo, None)?;
    let mut wanted = shared.tell.clone();
    if options.off {
        wanted = None;
    } else if options.follow {
        wanted = Some(options.branch.clone());
    }
    if options.branch == shared.branch {
        let words = "the branch of the deltas is not told as deltas";
        return Err(NodeError::from(FederatingError::from(BadSetting(words.to_owned()))).into());
    }
    // First: what cannot be told is not gone on with.
    let told = if options.off {
        None
    } else {
        let deltas = node.deltas(repo, &shared.branch)?;
        let told = allod_deltas::tell(&deltas, &options.branch, now_ms());
        node.touch();
        if let Err(StoreFault::Repo(RepoError::Bare(_))) = told {
            let words = "commits of before are not kept here; a device of the space that has all of them can tell it";
            bail!("entries cannot be told: {words}");
        }
        Some(told.context("entries cannot be told")?)
    };
    if wanted != shared.tell {
        shared.tell = wanted;
        node.federations().share(repo.id(), &shared)?;
        node.federation_changed();
    }
    let Some(told) = told else {
        return io.say("entries are told no more; what was told stays");
    };
    let value = json!({
        "branch": options.branch.as_str(),
        "commits": told.commits,
        "deltas": told.deltas,
        "left_out": told.left_out,
    });
    io.data(&value, || {
        let mut text = format!(
            "{} commits are told in {} new deltas",
            count(told.commits),
            count(told.deltas)
        );
        if told.left_out > 0 {
            text += &format!("; {} entries are not told", count(told.left_out));
        }
        text
    })
}

fn import(node: &Node, repo: &Repo, options: &Import, io: &mut Io<'_>) -> Result<()> {
    let mut shared = shared(node, repo, None)?;
    let mut bring = Bring::new(options.branch.clone(), &options.prefix);
    bring.schema.clone_from(&options.schema);
    bring.view.clone_from(&options.view);
    let bringing = bring.bringing();
    let bringing = bringing.map_err(|bad| NodeError::from(FederatingError::from(bad)))?;
    let kept = shared.bring.clone();
    if options.off {
        shared.bring = None;
    } else {
        shared.bring = Some(bring);
        shared.check().map_err(FederatingError::from)?;
        if !options.follow {
            shared.bring.clone_from(&kept);
        }
    }
    if shared.bring != kept {
        node.federations().share(repo.id(), &shared)?;
        node.federation_changed();
    }
    if options.off {
        return io.say("nothing is brought in any more; what was brought stays");
    }
    let deltas = node.deltas(repo, &shared.branch)?;
    let brought = if options.again {
        allod_deltas::bring_again(&deltas, &bringing, now_ms())
    } else {
        allod_deltas::bring(&deltas, &bringing, now_ms())
    };
    let brought = brought.context("deltas cannot be brought in")?;
    node.touch();
    if options.follow {
        if options.again {
            node.forget_refused(repo.id());
        }
        node.note_brought(repo.id(), &brought);
    }
    let refusals: Vec<Value> = brought
        .refusals
        .iter()
        .map(|refused| json!({ "key": key_text(&refused.key), "why": refused.words }))
        .collect();
    let value = json!({
        "branch": options.branch.as_str(),
        "deltas": brought.deltas,
        "set": brought.set,
        "deleted": brought.deleted,
        "left_out": brought.left_out,
        "refused": brought.refused,
        "refusals": refusals,
    });
    io.data(&value, || {
        let mut text = format!(
            "{} deltas: {} keys set, {} deleted",
            count(brought.deltas),
            count(brought.set),
            count(brought.deleted)
        );
        if brought.left_out > 0 {
            text += &format!("; {} objects are left out", count(brought.left_out));
        }
        if brought.refused > 0 {
            text += &format!("; {} keys are refused:", count(brought.refused));
        }
        for refused in &brought.refusals {
            let (key, why) = (key_text(&refused.key), plain(&refused.words));
            text += &format!("\n  {}: {why}", plain(&key));
        }
        text
    })
}
