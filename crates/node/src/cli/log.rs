//! `log`.

use allod::Node;
use allod_repo::{Heads, Repo};
use anyhow::Result;
use serde_json::json;

use crate::cli::asking::key_log;
use crate::cli::graph::Graph;
use crate::cli::history::who;
use crate::cli::io::Io;
use crate::cli::list_args::Log;
use crate::cli::pictures;
use crate::cli::status::{Names, reached_short, reached_value};

pub(crate) fn log(node: &Node, space: Option<&str>, options: &Log, io: &mut Io<'_>) -> Result<()> {
    if let Some(key) = &options.key {
        let of = (options.limit, options.from.as_deref());
        return key_log(node, space, key, of, io);
    }
    let repo = node.space(space)?;
    let heads = if options.all {
        let branches = repo.branches()?.into_iter();
        let branches = branches.filter(|(name, _)| !name.is_meta());
        branches.flat_map(|(_, heads)| heads).collect()
    } else {
        node.commits_at(&repo, None, options.from.as_deref())?
    };
    match &options.svg {
        Some(file) => pictures::history(node, &repo, (&heads, options.limit), file, io),
        None => list(node, &repo, &heads, options, io),
    }
}

fn list(node: &Node, repo: &Repo, heads: &Heads, options: &Log, io: &mut Io<'_>) -> Result<()> {
    let mut graph = options.graph.then(Graph::new);
    let mut where_ = if options.where_ {
        Some((node.whereabouts(repo)?, Names::in_space(node, repo)?))
    } else {
        None
    };
    for item in repo.log(heads)?.take(options.limit.unwrap_or(usize::MAX)) {
        let (id, commit) = item?;
        let commit = commit.payload();
        let parents: Vec<String> = commit.parents.iter().map(ToString::to_string).collect();
        let reached = match &mut where_ {
            Some((where_, _)) => Some(where_.of(id)?),
            None => None,
        };
        let mut value = json!({
            "commit": id.to_string(),
            "parents": parents,
            "author": commit.author.to_string(),
            "branch": commit.branch.as_str(),
            "generation": commit.generation,
            "time": allod::utc(commit.stamp.millis()),
            "message": commit.message,
        });
        if let Some(reached) = &reached {
            value["reached"] = reached_value(reached);
        }
        let place = reached.zip(where_.as_ref());
        let place = place.map(|(reached, (_, names))| reached_short(&reached, names));
        let whole = io.verbose > 0;
        let mut lanes = Vec::new();
        if let Some(graph) = &mut graph {
            lanes = graph.row(id, &commit.parents);
        }
        io.data(&value, || {
            let lane = lanes
                .first()
                .map_or_else(String::new, |lane| format!("{lane} "));
            let id = if whole { id.to_string() } else { id.short() };
            let merges = if commit.parents.len() > 1 {
                " (joins)"
            } else {
                ""
            };
            format!(
                "{lane}{id}  {}  {}{merges}  {}{}",
                allod::utc(commit.stamp.millis()),
                who(node, &commit.author),
                commit.message.lines().next().unwrap_or_default(),
                place.map_or_else(String::new, |place| format!("  [{place}]"))
            )
        })?;
        if !io.json {
            for line in lanes.iter().skip(1) {
                io.line(line)?;
            }
        }
    }
    Ok(())
}
