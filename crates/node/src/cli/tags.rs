//! `tag`: names for commits that everybody in the space reads alike.

use allod::one_commit;
use allod::{Node, Position};
use allod_repo::{CommitId, Repo, TagName};
use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::Usage;
use crate::cli::history::who;
use crate::cli::io::Io;
use crate::cli::work_args::TagArgs;

pub(crate) fn tag(
    node: &Node,
    space: Option<&str>,
    options: &TagArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let Some(name) = &options.name else {
        return list(node, &repo, io);
    };
    let name: TagName = name
        .parse()
        .map_err(|error| Usage(format!("{name:?}: {error}")))?;
    let (author, now) = (node.author()?, allod::now_ms());
    if options.delete {
        let made = repo.delete_tag(&name, author, now)?;
        node.touch();
        let value = json!({ "deleted": name.as_str(), "meta": made.to_string() });
        return io.data(&value, || format!("tag {name} deleted for everybody"));
    }
    let commit = match &options.commit {
        Some(text) => one_commit(&repo, text)?,
        None => here(node, &repo)?,
    };
    let made = repo.create_tag(&name, commit, &options.message, author, now)?;
    node.touch();
    let value = json!({
        "tag": name.as_str(),
        "commit": commit.to_string(),
        "meta": made.to_string(),
    });
    io.data(&value, || format!("{name}  {}", commit.short()))
}

fn here(node: &Node, repo: &Repo) -> Result<CommitId> {
    let branch = match node.position(repo)? {
        Position::Detached(id) => return Ok(id),
        Position::Branch(branch) => branch,
    };
    let heads: Vec<CommitId> = repo.heads(&branch)?.into_iter().collect();
    match heads[..] {
        [one] => Ok(one),
        [] => bail!("{branch} has no commit yet"),
        _ => bail!(
            "{branch} has {} heads; commit, or name one of them",
            heads.len()
        ),
    }
}

fn list(node: &Node, repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    for (name, tag) in repo.tags()? {
        let is_here = repo.has_commit(tag.commit)?;
        let time = allod::utc(tag.at);
        let value = json!({
            "tag": name.as_str(),
            "commit": tag.commit.to_string(),
            "here": is_here,
            "by": tag.by.to_string(),
            "time": time,
            "message": tag.message,
        });
        io.data(&value, || {
            let (commit, by) = (tag.commit.short(), who(node, &tag.by));
            let absent = if is_here { "" } else { "  (not here)" };
            format!("{name}  {commit}  {time}  {by}  {}{absent}", tag.message)
        })?;
    }
    Ok(())
}
