//! `unstage` and `stash`: what becomes of edits that are not committed.

use allod::Node;
use allod::shown::state_value;
use allod_repo::{BranchName, Repo, Stash, Unstashed};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::conflicts::{conflict_row, conflict_text};
use crate::cli::history::state_text;
use crate::cli::io::{Io, count};
use crate::cli::keys::{key_bytes, key_text};
use crate::cli::merging::{keys, resolving};
use crate::cli::values::branch as current_branch;
use crate::cli::work_args::{StashArgs, StashCommand, Unstage, Unstash};

pub(crate) fn unstage(
    node: &Node,
    space: Option<&str>,
    options: &Unstage,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = current_branch(node, &repo)?;
    let dropped = if options.all {
        repo.unstage(&branch)?
    } else {
        let keys = options.keys.iter();
        let keys = keys.map(|key| key_bytes(key)).collect::<Result<_, _>>()?;
        repo.unstage_keys(&branch, &keys)?
    };
    io.data(&json!({ "unstaged": dropped }), || {
        format!("{} keys are no longer staged", count(dropped as u64))
    })
}

pub(crate) fn stash(
    node: &Node,
    space: Option<&str>,
    options: &StashArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match &options.command {
        Some(StashCommand::List) => {
            for (number, stash) in repo.stashes()? {
                io.data(&row(number, &stash), || line(number, &stash))?;
            }
            Ok(())
        }
        Some(StashCommand::Show { number }) => show(&repo, *number, io),
        Some(StashCommand::Drop { number }) => {
            let stash = repo.drop_stash(*number)?;
            io.data(&row(*number, &stash), || {
                format!("stash {number} dropped, {} keys", count(stash.keys))
            })
        }
        Some(StashCommand::Pop(options)) => {
            let branch = current_branch(node, &repo)?;
            unstash(&repo, &branch, options, true, io)
        }
        Some(StashCommand::Apply(options)) => {
            let branch = current_branch(node, &repo)?;
            unstash(&repo, &branch, options, false, io)
        }
        None => {
            let branch = current_branch(node, &repo)?;
            let number = repo.stash(&branch, &options.message, allod::now_ms())?;
            io.data(&json!({ "stash": number }), || {
                format!("stash {number}; nothing is staged on {branch} now")
            })
        }
    }
}

fn row(number: u64, stash: &Stash) -> Value {
    json!({
        "stash": number,
        "branch": stash.branch.as_str(),
        "heads": stash.heads.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "time": allod::utc(stash.at),
        "keys": stash.keys,
        "message": stash.message,
    })
}

fn line(number: u64, stash: &Stash) -> String {
    let (time, keys) = (allod::utc(stash.at), count(stash.keys));
    let (branch, message) = (&stash.branch, &stash.message);
    format!("{number}  {time}  {branch}  {keys} keys  {message}")
}

/// The stash of this number, or the newest.
fn chosen(repo: &Repo, number: Option<u64>) -> Result<u64> {
    match number {
        Some(number) => Ok(number),
        None => {
            let stashes = repo.stashes()?;
            let (newest, _) = stashes.last().context("there is no stash")?;
            Ok(*newest)
        }
    }
}

fn show(repo: &Repo, number: Option<u64>, io: &mut Io<'_>) -> Result<()> {
    for (key, entry) in repo.stash_edits(chosen(repo, number)?)? {
        let key = key_text(&key);
        let value = state_value(repo.store().as_ref(), &entry.state);
        io.data(&json!({ "key": key, "value": value }), || {
            let value = entry.is_live().then(|| state_text(&entry.state));
            format!("{key}  {}", value.as_deref().unwrap_or("removed"))
        })?;
    }
    Ok(())
}

fn unstash(
    repo: &Repo,
    branch: &BranchName,
    options: &Unstash,
    pop: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let number = chosen(repo, options.number)?;
    let rules = options.decide.rules()?;
    match repo.unstash(branch, number, pop, resolving(&rules), allod::now_ms())? {
        Unstashed::Staged {
            keys: staged,
            decided,
        } => {
            let value = json!({
                "stash": number,
                "outcome": "staged",
                "staged": staged.count,
                "keys": keys(&staged),
                "decided": decided,
                "kept": !pop,
            });
            io.data(&value, || {
                let end = if pop { "gone" } else { "kept" };
                let staged = count(staged.count);
                format!("{staged} keys staged on {branch}; stash {number} is {end}")
            })
        }
        Unstashed::Conflicts {
            conflicts,
            count: number_of,
        } => {
            let rows: Vec<Value> = conflicts
                .iter()
                .map(|at| conflict_row(repo, at, None))
                .collect();
            let value = json!({
                "stash": number,
                "outcome": "conflicts",
                "conflicts": number_of,
                "rows": rows,
            });
            io.data(&value, || {
                let rows: Vec<String> =
                    conflicts.iter().map(|at| conflict_text(at, None)).collect();
                rows.join("\n")
            })?;
            bail!(
                "{} conflicts; nothing changed and stash {number} is kept. Decide with --ours (what \
                 {branch} has), --theirs (the stash) or --strategy",
                count(number_of)
            )
        }
    }
}
