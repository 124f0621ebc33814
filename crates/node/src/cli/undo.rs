//! `undo`: what moved the branches, and taking it back.

use allod::{Node, Position};
use allod_repo::{BranchName, CommitId, RefMove, Repo};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::io::Io;
use crate::cli::merging::{short, was_shared, whole};
use crate::cli::values::branch as current_branch;
use crate::cli::work_args::Undo;

pub(crate) fn undo(
    node: &Node,
    space: Option<&str>,
    options: &Undo,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    if options.list {
        for (position, said) in repo.moves(options.limit)? {
            io.data(&row(position, &said), || {
                format!("{position}  {}", line(&said))
            })?;
        }
        return Ok(());
    }
    let (position, said) = chosen(node, &repo, options.number)?;
    let here = node.position(&repo)? == Position::Branch(said.branch.clone());
    if here && said.from.is_empty() && said.branch != BranchName::main() {
        bail!(
            "{} is the current branch and would be gone; go to another one first",
            said.branch
        );
    }
    let made = repo.undo(position)?;
    node.touch();
    io.data(&row(position, &made), || line(&made))?;
    if was_shared(node, &repo)? {
        io.say(format!(
            "a peer may have {}: what it has comes back with the next sync, beside the heads here; \
             `allod revert` undoes a commit for everybody",
            made.branch
        ))?;
    }
    Ok(())
}

/// The move of this number, or the last one of the current branch.
fn chosen(node: &Node, repo: &Repo, number: Option<u64>) -> Result<(u64, RefMove)> {
    let mut moves = repo.moves(usize::MAX)?.into_iter();
    match number {
        Some(number) => moves
            .find(|(position, _)| *position == number)
            .with_context(|| format!("no move {number} of this space; `allod undo --list`")),
        None => {
            let branch = current_branch(node, repo)?;
            moves
                .find(|(_, said)| said.branch == branch)
                .with_context(|| format!("{branch} has not moved"))
        }
    }
}

fn row(position: u64, said: &RefMove) -> Value {
    json!({
        "move": position,
        "branch": said.branch.as_str(),
        "from": whole(&said.from),
        "to": whole(&said.to),
    })
}

fn line(said: &RefMove) -> String {
    let at = |heads: &[CommitId]| match heads {
        [] => "nothing".to_owned(),
        heads => short(heads),
    };
    format!("{}  {} -> {}", said.branch, at(&said.from), at(&said.to))
}
