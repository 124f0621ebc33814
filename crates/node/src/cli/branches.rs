//! `branch`.

use allod::heads_at;
use allod::{Node, Position, now_ms};
use allod_repo::{BranchName, Heads, Repo};
use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::Usage;
use crate::cli::branch_args::BranchArgs;
use crate::cli::io::Io;
use crate::cli::remotes::shorts;

pub(crate) fn branch(
    node: &Node,
    space: Option<&str>,
    options: &BranchArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match (&options.protect, &options.unprotect) {
        (Some(name), _) => return protect(node, &repo, (name, true), io),
        (_, Some(name)) => return protect(node, &repo, (name, false), io),
        _ => {}
    }
    let Some(name) = options.name.as_deref() else {
        return if options.remotes {
            list_tracking(&repo, io)
        } else {
            list(node, &repo, io)
        };
    };
    if options.delete {
        return delete(node, &repo, name, options.force, io);
    }
    make_branch(
        (node, &repo),
        name,
        options.at.as_deref(),
        &node.position(&repo)?,
    )?;
    io.say(format!(
        "branch {name} made; go to it with `allod switch {name}`"
    ))
}

fn list(node: &Node, repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let position = node.position(repo)?;
    let protected = repo.protected()?;
    for (name, heads) in repo.branches()? {
        let here = position == Position::Branch(name.clone());
        let is_protected = protected.contains(&name);
        let value = json!({
            "branch": name.as_str(),
            "heads": ids(&heads),
            "current": here,
            "protected": is_protected,
        });
        io.data(&value, || {
            let mark = if here { '*' } else { ' ' };
            let protected = if is_protected { "  protected" } else { "" };
            format!("{mark} {name}  {}{protected}", shorts(&heads))
        })?;
    }
    Ok(())
}

fn protect(
    node: &Node,
    repo: &Repo,
    (name, protected): (&str, bool),
    io: &mut Io<'_>,
) -> Result<()> {
    let branch = parse(name)?;
    if branch.is_meta() {
        bail!("meta is written by the owner of the space alone, and is not protected");
    }
    let made = repo.protect(&branch, protected, node.author()?, now_ms())?;
    node.touch();
    let value = json!({
        "branch": name,
        "protected": protected,
        "commit": made.map(|made| made.to_string()),
    });
    io.data(&value, || match (made.is_some(), protected) {
        (true, true) => format!("{branch} only goes forward from now on, for everybody"),
        (true, false) => format!("{branch} moves as others do again"),
        (false, true) => format!("{branch} is protected already"),
        (false, false) => format!("{branch} is not protected"),
    })
}

fn parse(name: &str) -> Result<BranchName> {
    let parsed = name.parse::<BranchName>();
    Ok(parsed.map_err(|error| Usage(format!("{name:?}: {error}")))?)
}

fn list_tracking(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    for tracking in repo.tracking(None)? {
        let value = json!({
            "tracking": tracking.name(),
            "remote": tracking.remote,
            "branch": tracking.branch.as_str(),
            "heads": ids(&tracking.heads),
        });
        io.data(&value, || {
            format!("{}  {}", tracking.name(), shorts(&tracking.heads))
        })?;
    }
    Ok(())
}

fn ids(heads: &Heads) -> Vec<String> {
    heads.iter().map(ToString::to_string).collect()
}

fn delete(node: &Node, repo: &Repo, name: &str, force: bool, io: &mut Io<'_>) -> Result<()> {
    let branch = parse(name)?;
    if node.position(repo)? == Position::Branch(branch.clone()) {
        bail!("{branch} is the current branch; go to another one first");
    }
    let heads = repo.delete_branch(&branch, force)?;
    let value = json!({ "deleted": branch.as_str(), "heads": ids(&heads) });
    io.data(&value, || {
        format!("{branch} deleted; it was at {}", shorts(&heads))
    })
}

pub(crate) fn make_branch(
    (node, repo): (&Node, &Repo),
    name: &str,
    at: Option<&str>,
    position: &Position,
) -> Result<()> {
    let name: BranchName = name
        .parse()
        .map_err(|error| Usage(format!("{name:?}: {error}")))?;
    let heads = match (at, position) {
        (Some(at), _) => heads_at(repo, at)?,
        (None, Position::Branch(branch)) => repo.heads(branch)?,
        (None, Position::Detached(id)) => Heads::from([*id]),
    };
    if heads.is_empty() {
        bail!("there is no commit to start from; commit something first");
    }
    if repo.authorizer()?.is_plain() {
        return Ok(repo.create_branch(&name, &heads)?);
    }
    let message = format!("Begin {name}");
    let _made = repo.begin_branch(&name, &heads, (node.author()?, &message), now_ms())?;
    node.touch();
    Ok(())
}
