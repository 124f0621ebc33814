//! Pictures: `log --svg`, `inspect tree --svg`, and where pictures are written.

use std::collections::BTreeMap;
use std::path::Path;

use allod::Node;
use allod_blocks::Cid;
use allod_repo::{CommitId, Heads, Repo};
use anyhow::{Context as _, Result};

use crate::cli::history::who;
use crate::cli::io::{Io, count};
use crate::cli::svg::{self, Row};
use crate::cli::svg_tree;

/// Commits that are drawn unless somebody says how many: a picture of 60,000 pixels.
const COMMITS_SHOWN: usize = 2000;

pub(crate) fn history(
    node: &Node,
    repo: &Repo,
    (heads, limit): (&Heads, Option<usize>),
    file: &Path,
    io: &mut Io<'_>,
) -> Result<()> {
    let names = names(repo)?;
    let mut rows = Vec::new();
    for item in repo.log(heads)?.take(limit.unwrap_or(COMMITS_SHOWN)) {
        let (id, commit) = item?;
        let said = commit.payload();
        let time = allod::utc(said.stamp.millis());
        rows.push(Row {
            id,
            parents: said.parents.clone(),
            names: names.get(&id).cloned().unwrap_or_default(),
            short: id.short(),
            about: format!("{time}  {}", who(node, &said.author)),
            message: said.message.clone(),
        });
    }
    let drawn = format!("{} commits", count(rows.len() as u64));
    write(&svg::history(&rows), &drawn, file, io)
}

/// Branches and tags by the commits they lead to.
fn names(repo: &Repo) -> Result<BTreeMap<CommitId, Vec<String>>> {
    let mut names: BTreeMap<CommitId, Vec<String>> = BTreeMap::new();
    for (name, heads) in repo.branches()? {
        for head in heads {
            names.entry(head).or_default().push(name.to_string());
        }
    }
    for (name, tag) in repo.tags()? {
        let name = format!("tag {name}");
        names.entry(tag.commit).or_default().push(name);
    }
    Ok(names)
}

pub(crate) fn tree(
    node: &Node,
    (root, beside): (&Cid, Option<&Cid>),
    file: &Path,
    io: &mut Io<'_>,
) -> Result<()> {
    let load = |cid: &Cid| {
        let block = node.store().get(cid)?;
        let block = block.with_context(|| format!("node {cid} is not here"))?;
        Ok(allod_tree::Node::decode(block.bytes())?)
    };
    let svg = svg_tree::tree(root, beside, &load)?;
    write(&svg, "the tree", file, io)
}

/// Writes a picture into a file, or to standard output.
pub(crate) fn write(svg: &str, drawn: &str, file: &Path, io: &mut Io<'_>) -> Result<()> {
    if file == Path::new("-") {
        return Ok(io.out.write_all(svg.as_bytes())?);
    }
    let path = io.path(file);
    std::fs::write(&path, svg).with_context(|| path.display().to_string())?;
    io.say(format!("{drawn} drawn into {}", path.display()))
}
